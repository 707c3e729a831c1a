//! A lock that its owner may acquire again, and must release as often.
//!
//! Each acquire begins a hold of its own, and holds of one owner may overlap: the lock is its owner's while
//! one of them lasts. So the test of a mutex carries over, with owners in the place of holders
//! (`lock/holds.rs`). A refusal saw another owner; what cannot be explained by a span in which one must
//! hold the lock takes a search.

use super::lock::holds::{Holds, Rules};
use super::lock::{Effect, LockOp, LockRet, effect, room, tell};
use crate::linearizability::{Case, Insight, Shortcut, Task, Telling};
use elenchus_core::model::Model;
use elenchus_core::outcome::Outcome;
use elenchus_core::value::Value;

/// The sequential reentrant mutex. Nobody holds it at first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReentrantMutex;

/// Who owns a reentrant mutex, by which holds.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Owned {
    /// The owner; nil if there is none.
    pub owner: Value,
    /// The holds of the owner, in order, each as often as it was begun.
    pub holds: Vec<u32>,
}

impl Default for Owned {
    fn default() -> Owned {
        Owned { owner: Value::Nil, holds: Vec::new() }
    }
}

impl Owned {
    /// Whether an owner may acquire.
    pub(super) fn admits(&self, owner: &Value) -> bool {
        self.holds.is_empty() || self.owner == *owner
    }

    /// After one more acquire.
    pub(super) fn acquired(&self, op: &LockOp) -> Owned {
        let mut holds = self.holds.clone();
        let at = holds.partition_point(|hold| *hold <= op.holder.hold);
        holds.insert(at, op.holder.hold);
        Owned { owner: op.holder.owner.clone(), holds }
    }

    /// Whether the operation's holder has a hold.
    pub(super) fn holds(&self, op: &LockOp) -> bool {
        !self.holds.is_empty() && self.owner == op.holder.owner && self.holds.contains(&op.holder.hold)
    }

    /// After one of the holder's releases.
    pub(super) fn released(&self, op: &LockOp) -> Owned {
        let mut holds = self.holds.clone();
        if let Ok(at) = holds.binary_search(&op.holder.hold) {
            holds.remove(at);
        }
        let owner = if holds.is_empty() { Value::Nil } else { self.owner.clone() };
        Owned { owner, holds }
    }

    pub(super) fn weight(&self) -> usize {
        size_of::<Owned>() + super::heap(&self.owner) + size_of_val(&self.holds[..])
    }
}

impl Model for ReentrantMutex {
    type Op = LockOp;
    type Ret = LockRet;
    type Key = Value;
    type State = Owned;

    fn init(&self, _key: &Value) -> Owned {
        Owned::default()
    }

    fn step(
        &self,
        state: &Owned,
        op: &LockOp,
        outcome: &Outcome<LockRet>,
    ) -> impl IntoIterator<Item = Owned> {
        let admitted = state.admits(&op.holder.owner);
        match effect(op, outcome) {
            Effect::Acquire => admitted.then(|| state.acquired(op)),
            Effect::Release => state.holds(op).then(|| state.released(op)),
            Effect::SawBusy => (!admitted).then(|| state.clone()),
            Effect::SawNotHeld => (!state.holds(op)).then(|| state.clone()),
        }
    }

    fn key(&self, op: &LockOp) -> Value {
        op.key.clone()
    }

    fn describe(&self, op: &LockOp, outcome: &Outcome<LockRet>) -> String {
        op.describe(outcome)
    }

    fn inert(&self, op: &LockOp, outcome: &Outcome<LockRet>) -> bool {
        matches!(effect(op, outcome), Effect::SawBusy | Effect::SawNotHeld)
    }

    /// Who holds how much is what was acquired and not released.
    fn order_free(&self, _: &LockOp, _: &Outcome<LockRet>) -> bool {
        true
    }

    fn weight(&self, state: &Owned) -> usize {
        state.weight()
    }
}

impl Insight for ReentrantMutex {
    fn shortcut(&self, tasks: &[Task<'_, ReentrantMutex>]) -> Option<Shortcut> {
        let mut holds = Holds::new(tasks, Rules { initial: None, repeatable: true });
        if let Some(ids) = holds.impossible.take() {
            return Some(Shortcut::Refuted(ids));
        }
        let owners = holds.owners();
        let owner = |group: u32| owners.of_group[group as usize];
        let spans = match room::exclusive(&mut holds.holds, &holds.moments, owner) {
            Ok(spans) => spans,
            Err(groups) => return Some(Shortcut::Refuted(holds.ids(groups))),
        };
        let explained = |at: &u32| {
            let task = holds.task(*at);
            let own = owners.numbers.get(&task.op.holder.owner).copied();
            room::meets_other(&spans, task.call, task.done, own)
        };
        (holds.complete && holds.busy.iter().all(explained)).then_some(Shortcut::Linearizable)
    }

    fn key_text(&self, key: &Value) -> Option<String> {
        (!key.is_nil()).then(|| key.to_string())
    }

    fn tell(&self, case: &Case<'_, ReentrantMutex>) -> Telling {
        tell::tell(self, case, 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linearizability::tests::Tally;
    use crate::linearizability::tests::exhaustive::{Keep, Sort, compare_all, judge_all};
    use crate::linearizability::tests::order_free::of_every_order;
    use crate::models::lock::Holder;
    use elenchus_core::operation::Operation;
    use elenchus_core::outcome::Failure;

    type LockOperation = Operation<LockOp, LockRet>;

    fn sorts(holders: &[Holder]) -> Vec<Sort<ReentrantMutex>> {
        let mut sorts = Vec::new();
        for holder in holders {
            for op in
                [LockOp::acquire(Value::Nil, holder.clone()), LockOp::release(Value::Nil, holder.clone())]
            {
                sorts.push(Sort::new(op.clone(), Outcome::Ok(LockRet::Done)));
                sorts.push(Sort::new(op, Outcome::info("timeout")));
            }
        }
        sorts
    }

    fn of(owner: i64, hold: u32) -> Holder {
        Holder { owner: Value::Int(owner), hold }
    }

    fn tally(histories: u64, linearizable: u64, by_shortcut: u64) -> Tally {
        Tally { histories, linearizable, by_shortcut }
    }

    const ALL: Keep<ReentrantMutex> = |_| true;
    const ONCE: Keep<ReentrantMutex> = |operations| {
        let same = |a: &LockOperation, b: &LockOperation| a.op == b.op;
        (1..operations.len()).all(|i| operations[..i].iter().all(|o| !same(o, &operations[i])))
    };

    #[test]
    fn two_holds_of_one_owner_and_one_of_another() {
        let sorts = sorts(&[of(1, 1), of(1, 2), of(2, 1)]);
        assert_eq!(compare_all(&ReentrantMutex, &sorts, 5, 3, ONCE), tally(90_492, 17_385, 90_492));
    }

    #[test]
    fn the_order_of_acquires_and_releases_leaves_no_trace() {
        for holders in [[of(1, 0), of(2, 0)], [of(1, 1), of(1, 2)]] {
            let kinds: Vec<_> = sorts(&holders).into_iter().map(Sort::parts).collect();
            let (given, several) = of_every_order(&ReentrantMutex, &kinds).expect("one owner holds it");
            assert!(given == 8 && several > 20, "{given} {several}");
        }
    }

    #[test]
    fn owners_and_all_that_they_may_do() {
        let mut sorts = sorts(&[of(1, 0), of(2, 0)]);
        let refused = LockOp::acquire(Value::Nil, of(2, 0));
        sorts.push(Sort::new(refused, Outcome::Fail(Failure::Refused(None))));
        assert_eq!(compare_all(&ReentrantMutex, &sorts, 4, 3, ALL), tally(18_045, 3_615, 13_138));
        let release = LockOp::release(Value::Nil, of(1, 0));
        sorts.push(Sort::new(release, Outcome::Fail(Failure::Refused(None))));
        assert_eq!(judge_all(&ReentrantMutex, &sorts, 5, ALL), tally(664_809, 105_889, 450_531));
    }
}
