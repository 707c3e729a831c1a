//! A lock whose every acquire is given a token larger than all before, so that what it protects can turn away
//! who held it once (Kleppmann, "How to do distributed locking", 2016). Also in the reentrant form of
//! Hazelcast: who acquires again is given the same token.
//!
//! An acquire whose token nobody knows leaves the largest token as it is: that is the most lenient reading,
//! since tokens need not be consecutive.
//!
//! Near-linear where the holders are known: the test of the mutex (`lock/holds.rs`), then the tokens in
//! order (`lock/tokens.rs`). In the reentrant form all tokens in an unbroken span of one owner must be equal,
//! and grow from span to span. It takes a search where that of the mutex does, for refusals that are
//! not explained at once, and, in the reentrant form, where holds that name a token are free to move.

use super::lock::holds::{Holds, Rules};
use super::lock::room::{self, Span};
use super::lock::{Effect, LockOp, LockRet, alternation, effect, fence, tell, tokens};
use super::reentrant_mutex::Owned;
use crate::linearizability::{Case, Insight, Shortcut, Task, Telling};
use elenchus_core::model::Model;
use elenchus_core::outcome::Outcome;
use elenchus_core::value::Value;

/// The sequential fenced mutex. Nobody holds it at first, and no token was given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FencedMutex {
    /// Whether its owner may acquire it again.
    pub reentrant: bool,
}

/// Who holds a fenced mutex, and what tokens were given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Fenced {
    /// Who holds it.
    pub owned: Owned,
    /// The token under which it is held, if that is known; only in the reentrant form.
    pub current: Option<i64>,
    /// The largest token so far.
    pub largest: Option<i64>,
}

impl FencedMutex {
    /// After an acquire under this token, if the state admits it.
    fn acquired(self, state: &Fenced, op: &LockOp, token: Option<i64>) -> Option<Fenced> {
        let again = !state.owned.holds.is_empty();
        if again && !(self.reentrant && state.owned.admits(&op.holder.owner)) {
            return None;
        }
        let owned = state.owned.acquired(op);
        let same = again && state.current.is_some();
        match token {
            None => Some(Fenced { owned, ..state.clone() }),
            Some(_) if same => (token == state.current).then(|| Fenced { owned, ..state.clone() }),
            Some(_) => (token > state.largest).then(|| Fenced {
                owned,
                current: token.filter(|_| self.reentrant),
                largest: token,
            }),
        }
    }

    fn released(state: &Fenced, op: &LockOp) -> Fenced {
        let owned = state.owned.released(op);
        let current = state.current.filter(|_| !owned.holds.is_empty());
        Fenced { owned, current, largest: state.largest }
    }
}

impl Model for FencedMutex {
    type Op = LockOp;
    type Ret = LockRet;
    type Key = Value;
    type State = Fenced;

    fn init(&self, _key: &Value) -> Fenced {
        Fenced::default()
    }

    fn step(
        &self,
        state: &Fenced,
        op: &LockOp,
        outcome: &Outcome<LockRet>,
    ) -> impl IntoIterator<Item = Fenced> {
        let admits = match self.reentrant {
            true => state.owned.admits(&op.holder.owner),
            false => state.owned.holds.is_empty(),
        };
        match effect(op, outcome) {
            Effect::Acquire => self.acquired(state, op, fence(outcome)),
            Effect::Release => state.owned.holds(op).then(|| FencedMutex::released(state, op)),
            Effect::SawBusy => (!admits).then(|| state.clone()),
            Effect::SawNotHeld => (!state.owned.holds(op)).then(|| state.clone()),
        }
    }

    fn key(&self, op: &LockOp) -> Value {
        op.key.clone()
    }

    fn describe(&self, op: &LockOp, outcome: &Outcome<LockRet>) -> String {
        op.describe_fenced(outcome)
    }

    fn inert(&self, op: &LockOp, outcome: &Outcome<LockRet>) -> bool {
        matches!(effect(op, outcome), Effect::SawBusy | Effect::SawNotHeld)
    }

    fn weight(&self, state: &Fenced) -> usize {
        size_of::<Fenced>() + state.owned.weight()
    }
}

impl Insight for FencedMutex {
    fn shortcut(&self, tasks: &[Task<'_, FencedMutex>]) -> Option<Shortcut> {
        let mut holds = Holds::new(tasks, Rules { initial: None, repeatable: self.reentrant });
        if let Some(ids) = holds.impossible.take() {
            return Some(Shortcut::Refuted(ids));
        }
        let owners = holds.owners();
        let tag = |group: u32| if self.reentrant { owners.of_group[group as usize] } else { group };
        let spans = match room::exclusive(&mut holds.holds, &holds.moments, tag) {
            Ok(spans) => spans,
            Err(groups) => return Some(Shortcut::Refuted(holds.ids(groups))),
        };
        let told = match self.reentrant {
            true => self.reentrant_tokens(&holds, &spans),
            false => tokens::contradiction(&holds.holds, &holds.moments, &spans)
                .map_or(Tokens::Grow, Tokens::Contradict),
        };
        match told {
            Tokens::Contradict(groups) => return Some(Shortcut::Refuted(holds.ids(groups))),
            Tokens::Open => return None,
            Tokens::Grow => {}
        }
        let explained = |at: &u32| {
            let task = holds.task(*at);
            let own = owners.numbers.get(&task.op.holder.owner).copied();
            room::meets_other(&spans, task.call, task.done, own.filter(|_| self.reentrant))
        };
        if !holds.complete {
            return None;
        }
        if holds.busy.iter().all(explained) {
            return Some(Shortcut::Linearizable);
        }
        // Holds that name a token stand in one order whatever else happens, unless they are in doubt.
        let token_in_doubt = |task: &Task<'_, FencedMutex>| task.in_doubt() && fence(task.outcome).is_some();
        let simple =
            !self.reentrant && holds.denials == 0 && holds.in_turn() && !tasks.iter().any(token_in_doubt);
        if simple { alternation::decide(tasks, 1, 0).map(Shortcut::anywhere) } else { None }
    }

    fn key_text(&self, key: &Value) -> Option<String> {
        (!key.is_nil()).then(|| key.to_string())
    }

    fn tell(&self, case: &Case<'_, FencedMutex>) -> Telling {
        tell::tell_fenced(self, case)
    }
}

/// What the tokens say.
enum Tokens {
    Grow,
    /// These groups contradict each other.
    Contradict(Vec<u32>),
    Open,
}

impl FencedMutex {
    /// Tokens in the reentrant form: one in each span of an owner, and growing.
    fn reentrant_tokens(self, holds: &Holds<'_, '_, FencedMutex>, spans: &[Span]) -> Tokens {
        if holds.moments.iter().any(|moment| moment.fence.is_some()) {
            return Tokens::Open;
        }
        // The token and the group of the last span that has one.
        let mut last: Option<(i64, u32, u32)> = None;
        let mut rest = holds.holds.iter().peekable();
        for span in spans {
            let mut here: Option<(i64, u32)> = None;
            let mut members = Vec::new();
            while let Some(hold) = rest.next_if(|hold| hold.start < span.end) {
                members.push(hold.group);
                let Some(fence) = hold.fence else { continue };
                match here {
                    // Whatever lies between the two keeps the lock held.
                    Some((other, _)) if other != fence => return Tokens::Contradict(members),
                    _ => here = Some((fence, hold.group)),
                }
            }
            let Some((fence, group)) = here else { continue };
            match last {
                Some((other, _, owner)) if other == fence && owner == span.tag => return Tokens::Open,
                Some((other, before, _)) if other >= fence => return Tokens::Contradict(vec![before, group]),
                _ => {}
            }
            last = Some((fence, group, span.tag));
        }
        Tokens::Grow
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linearizability::tests::Tally;
    use crate::linearizability::tests::exhaustive::{Keep, Sort, compare_all, judge_all};
    use crate::models::lock::Holder;
    use elenchus_core::operation::Operation;
    use elenchus_core::outcome::Failure;

    type LockOperation = Operation<LockOp, LockRet>;

    /// Certain and in doubt; acquires without a token, and with each of these.
    fn sorts(holders: &[Holder], tokens: &[i64]) -> Vec<Sort<FencedMutex>> {
        let mut sorts = Vec::new();
        for holder in holders {
            let acquire = LockOp::acquire(Value::Nil, holder.clone());
            let release = LockOp::release(Value::Nil, holder.clone());
            sorts.push(Sort::new(release.clone(), Outcome::Ok(LockRet::Done)));
            sorts.push(Sort::new(release, Outcome::info("timeout")));
            sorts.push(Sort::new(acquire.clone(), Outcome::info("timeout")));
            for token in tokens {
                sorts.push(Sort::new(acquire.clone(), Outcome::Ok(LockRet::Fence(*token))));
            }
            sorts.push(Sort::optional(acquire.clone(), Outcome::Ok(LockRet::Fence(tokens[0]))));
        }
        sorts
    }

    fn of(owner: i64, hold: u32) -> Holder {
        Holder { owner: Value::Int(owner), hold }
    }

    fn tally(histories: u64, linearizable: u64, by_shortcut: u64) -> Tally {
        Tally { histories, linearizable, by_shortcut }
    }

    const ONCE: Keep<FencedMutex> = |operations| {
        let same = |a: &LockOperation, b: &LockOperation| a.op == b.op;
        (1..operations.len()).all(|i| operations[..i].iter().all(|o| !same(o, &operations[i])))
    };

    #[test]
    fn holders_of_one_hold_each() {
        let sorts = sorts(&[of(1, 1), of(2, 1)], &[5, 6]);
        assert_eq!(
            compare_all(&FencedMutex::default(), &sorts, 4, 2, |_| true),
            tally(38_250, 4_862, 32_528)
        );
    }

    #[test]
    fn three_holders_of_one_hold_each() {
        let sorts = sorts(&[of(1, 1), of(2, 1), of(3, 1)], &[5, 6]);
        assert_eq!(compare_all(&FencedMutex::default(), &sorts, 4, 3, ONCE), tally(52_668, 5_868, 52_668));
        assert_eq!(judge_all(&FencedMutex::default(), &sorts, 5, ONCE), tally(542_952, 29_142, 542_952));
    }

    #[test]
    fn reentrant_two_holds_of_one_owner_and_one_of_another() {
        let sorts = sorts(&[of(1, 1), of(1, 2), of(2, 1)], &[5, 6]);
        assert_eq!(
            compare_all(&FencedMutex { reentrant: true }, &sorts, 4, 3, ONCE),
            tally(52_668, 7_755, 44_421)
        );
        assert_eq!(
            judge_all(&FencedMutex { reentrant: true }, &sorts, 5, ONCE),
            tally(542_952, 42_914, 447_412)
        );
    }

    #[test]
    fn owners_and_all_that_they_may_do_in_five_operations() {
        let mut sorts = sorts(&[of(1, 0)], &[5, 6]);
        let acquire = LockOp::acquire(Value::Nil, of(2, 0));
        sorts.push(Sort::new(acquire.clone(), Outcome::Fail(Failure::Refused(None))));
        sorts.push(Sort::new(acquire, Outcome::Ok(LockRet::Fence(6))));
        sorts.push(Sort::new(LockOp::release(Value::Nil, of(2, 0)), Outcome::Ok(LockRet::Done)));
        assert_eq!(judge_all(&FencedMutex::default(), &sorts, 5, |_| true), tally(523_965, 24_585, 420_322));
    }
}
