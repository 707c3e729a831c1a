//! A number of permits, of which each operation acquires or releases some.
//!
//! Only permits that are held can be released: by their holder where operations name one, by anybody where
//! all name the same ([`super::lock::held_by_processes`] names the processes).
//!
//! With known holders the verdict is found from the spans in which permits must be held: at no point more
//! than there are (`lock/holds.rs`). Without owners, and one permit an operation, it is found by counting
//! (`lock/alternation.rs`). It takes a search where an owner did several things at once, where operations
//! without owners are about several permits, or where a refusal is not explained at once: permits must then
//! have been held longer than they need be.

use super::lock::holds::{Holds, Rules};
use super::lock::{Effect, Holder, LockOp, LockRet, alternation, effect, room, tell};
use crate::linearizability::{Case, Insight, Shortcut, Task, Telling};
use elenchus_core::model::Model;
use elenchus_core::outcome::Outcome;
use elenchus_core::value::Value;

/// The sequential semaphore. Nobody holds a permit at first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Semaphore {
    /// How many permits there are.
    pub permits: u32,
}

impl Model for Semaphore {
    type Op = LockOp;
    type Ret = LockRet;
    type Key = Value;
    /// Who holds how many, in the order of the holders.
    type State = Vec<(Holder, u32)>;

    fn init(&self, _key: &Value) -> Vec<(Holder, u32)> {
        Vec::new()
    }

    fn step(
        &self,
        state: &Vec<(Holder, u32)>,
        op: &LockOp,
        outcome: &Outcome<LockRet>,
    ) -> impl IntoIterator<Item = Vec<(Holder, u32)>> {
        let place = state.binary_search_by(|(holder, _)| holder.cmp(&op.holder));
        let held = place.map_or(0, |at| state[at].1);
        let all: u64 = state.iter().map(|(_, held)| u64::from(*held)).sum();
        let room = all + u64::from(op.permits) <= u64::from(self.permits);
        let becomes = |held: u32| {
            let mut after = state.clone();
            match (place, held) {
                (Ok(at), 0) => drop(after.remove(at)),
                (Ok(at), _) => after[at].1 = held,
                (Err(_), 0) => {}
                (Err(at), _) => after.insert(at, (op.holder.clone(), held)),
            }
            after
        };
        match effect(op, outcome) {
            Effect::Acquire => room.then(|| becomes(held + op.permits)),
            Effect::Release => (held >= op.permits).then(|| becomes(held - op.permits)),
            Effect::SawBusy => (!room).then(|| state.clone()),
            Effect::SawNotHeld => (held < op.permits).then(|| state.clone()),
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

    fn weight(&self, state: &Vec<(Holder, u32)>) -> usize {
        let held = state.iter().map(|(holder, _)| holder.weight() + size_of::<u64>()).sum::<usize>();
        size_of::<Vec<(Holder, u32)>>() + held
    }
}

impl Insight for Semaphore {
    fn shortcut(&self, tasks: &[Task<'_, Semaphore>]) -> Option<Shortcut> {
        let permits = u64::from(self.permits);
        if alternation::one_holder(tasks, None)
            && let Some(answer) = alternation::decide(tasks, permits, 0)
        {
            return Some(answer);
        }
        let mut holds = Holds::new(tasks, Rules { initial: None, repeatable: true });
        if let Some(ids) = holds.impossible.take() {
            return Some(Shortcut::Refuted(ids));
        }
        let load = match room::shared(&holds.holds, &holds.moments, permits) {
            Ok(load) => load,
            Err(groups) => return Some(Shortcut::Refuted(holds.ids(groups))),
        };
        if !holds.complete {
            return None;
        }
        let mut busy: Vec<_> = holds.busy.iter().map(|at| holds.task(*at)).collect();
        busy.sort_by_key(|task| task.op.permits);
        let explained = busy.chunk_by(|a, b| a.op.permits == b.op.permits).all(|alike| {
            let wanted = alike[0].op.permits;
            let full = load.without(wanted);
            wanted > self.permits
                || alike.iter().all(|task| room::meets(&full, task.call, task.done).is_some())
        });
        explained.then_some(Shortcut::Linearizable)
    }

    fn linearization(&self, tasks: &[Task<'_, Semaphore>]) -> Option<Vec<u32>> {
        alternation::linearization(tasks, u64::from(self.permits), None)
    }

    fn key_text(&self, key: &Value) -> Option<String> {
        (!key.is_nil()).then(|| key.to_string())
    }

    fn tell(&self, case: &Case<'_, Semaphore>) -> Telling {
        tell::tell(self, case, u64::from(self.permits))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linearizability::tests::Tally;
    use crate::linearizability::tests::exhaustive::{Keep, Sort, compare_all, judge_all};
    use crate::linearizability::tests::order_free::of_every_order;
    use crate::models::collection::tests::check_linearization;
    use crate::models::lock::Action;
    use crate::synthetic::Simulation;
    use elenchus_core::operation::Operation;
    use elenchus_core::outcome::Failure;
    use elenchus_core::random::Rng;

    type LockOperation = Operation<LockOp, LockRet>;

    fn sorts(holders: &[Holder], permits: u32) -> Vec<Sort<Semaphore>> {
        let mut sorts = Vec::new();
        for holder in holders {
            for action in [Action::Acquire, Action::Release] {
                let op = LockOp { key: Value::Nil, action, holder: holder.clone(), permits };
                sorts.push(Sort::new(op.clone(), Outcome::Ok(LockRet::Done)));
                sorts.push(Sort::new(op, Outcome::info("timeout")));
            }
        }
        sorts
    }

    fn refused(holder: &Holder, permits: u32) -> Sort<Semaphore> {
        let op = LockOp { permits, ..LockOp::acquire(Value::Nil, holder.clone()) };
        Sort::new(op, Outcome::Fail(Failure::Refused(None)))
    }

    fn of(owner: i64, hold: u32) -> Holder {
        Holder { owner: Value::Int(owner), hold }
    }

    fn tally(histories: u64, linearizable: u64, by_shortcut: u64) -> Tally {
        Tally { histories, linearizable, by_shortcut }
    }

    const ALL: Keep<Semaphore> = |_| true;
    const ONCE: Keep<Semaphore> = |operations| {
        let same = |a: &LockOperation, b: &LockOperation| a.op == b.op;
        (1..operations.len()).all(|i| operations[..i].iter().all(|o| !same(o, &operations[i])))
    };

    #[test]
    fn without_owners_single_permits_need_no_search() {
        let sorts = sorts(&[Holder::ANYBODY], 1);
        assert_eq!(compare_all(&Semaphore { permits: 2 }, &sorts, 5, 3, ALL), tally(4_565, 2_062, 4_565));
    }

    #[test]
    fn linearizations_without_owners_are_some() {
        let choose = |rng: &mut Rng, _: usize, _: &Vec<(Holder, u32)>| match rng.chance(1, 2) {
            true => LockOp::acquire(Value::Nil, Holder::ANYBODY),
            false => LockOp::release(Value::Nil, Holder::ANYBODY),
        };
        let model = Semaphore { permits: 3 };
        let answer = |state: &Vec<(Holder, u32)>, op: &LockOp| {
            let done = Outcome::Ok(LockRet::Done);
            let possible = Semaphore { permits: 3 }.step(state, op, &done).into_iter().next().is_some();
            if possible { done } else { Outcome::not_done("not possible") }
        };
        let mut accepted = 0;
        for seed in 0..200 {
            let doubt_permille = [0, 20, 100, 400][seed as usize % 4];
            let simulation =
                Simulation { operations: 200, clients: 2 + seed as usize % 20, doubt_permille, seed };
            let operations = simulation.run(&model, Vec::new(), choose, answer);
            let tasks: Vec<_> = Task::all(&operations).collect();
            accepted += u32::from(model.shortcut(&tasks) == Some(Shortcut::Linearizable));
            check_linearization(&model, &operations);
        }
        assert_eq!(accepted, 200);
    }

    #[test]
    fn without_owners_refusals_need_one_at_times() {
        let mut sorts = sorts(&[Holder::ANYBODY], 1);
        sorts.push(refused(&Holder::ANYBODY, 1));
        assert_eq!(compare_all(&Semaphore { permits: 2 }, &sorts, 5, 3, ALL), tally(21_653, 4_386, 13_557));
    }

    #[test]
    fn holders_of_one_hold_each_need_none() {
        let mut sorts = sorts(&[of(1, 1), of(2, 1)], 1);
        sorts.extend(self::sorts(&[of(3, 1)], 2));
        assert_eq!(compare_all(&Semaphore { permits: 2 }, &sorts, 5, 3, ONCE), tally(90_492, 17_385, 90_492));
    }

    #[test]
    fn owners_and_all_that_they_may_do() {
        let mut sorts = sorts(&[of(1, 0)], 1);
        sorts.extend(self::sorts(&[of(1, 0)], 2));
        sorts.push(refused(&of(2, 0), 2));
        assert_eq!(compare_all(&Semaphore { permits: 3 }, &sorts, 4, 3, ALL), tally(18_045, 6_062, 8_026));
        assert_eq!(judge_all(&Semaphore { permits: 3 }, &sorts, 5, ALL), tally(321_737, 96_635, 124_926));
    }

    #[test]
    fn the_order_of_acquires_and_releases_leaves_no_trace() {
        let mut all = sorts(&[of(1, 0), of(2, 0)], 1);
        all.extend(sorts(&[of(1, 0)], 2));
        all.push(refused(&of(2, 0), 2));
        let kinds: Vec<_> = all.into_iter().map(Sort::parts).collect();
        let (given, several) =
            of_every_order(&Semaphore { permits: 3 }, &kinds).expect("permits are counted");
        assert!(given == 13 && several > 50, "{given} {several}");
    }

    #[test]
    fn more_permits_than_there_are_can_never_be_acquired() {
        let sorts = sorts(&[of(1, 1)], 3);
        let found = compare_all(&Semaphore { permits: 2 }, &sorts, 3, 3, ALL);
        assert_eq!(found, tally(100, 4, 72));
    }
}
