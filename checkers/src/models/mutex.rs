//! A lock that one may hold at a time.
//!
//! Who holds it is named by the operations ([`Holder`]): with one holder for all it is Knossos' mutex, where
//! anybody may release; otherwise only the holder may, and may not acquire again.
//! [`super::lock::held_by_processes`] and [`super::lock::paired`] find the holders of a log that does not
//! name them.
//!
//! Without owners the verdict needs no search at all (`lock/alternation.rs`); with owners it is found from
//! the spans in which the lock must be held (`lock/holds.rs`). It takes a search where an owner did several
//! things at once, where a holder released a lock and took it again in doubt, or where a refusal can only be
//! explained by such a one.

use super::lock::holds::{Holds, Rules};
use super::lock::{Action, Effect, Holder, LockOp, LockRet, alternation, effect, room, tell};
use crate::linearizability::{Case, Insight, Shortcut, Task, Telling};
use elenchus_core::model::Model;
use elenchus_core::outcome::Outcome;
use elenchus_core::value::Value;

/// The sequential mutex.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mutex {
    /// Who holds it at first.
    pub initial: Option<Holder>,
}

impl Model for Mutex {
    type Op = LockOp;
    type Ret = LockRet;
    type Key = Value;
    type State = Option<Holder>;

    fn init(&self, _key: &Value) -> Option<Holder> {
        self.initial.clone()
    }

    fn step(
        &self,
        state: &Option<Holder>,
        op: &LockOp,
        outcome: &Outcome<LockRet>,
    ) -> impl IntoIterator<Item = Option<Holder>> {
        let mine = state.as_ref() == Some(&op.holder);
        match effect(op, outcome) {
            Effect::Acquire => state.is_none().then(|| Some(op.holder.clone())),
            Effect::Release => mine.then_some(None),
            Effect::SawBusy => state.is_some().then(|| state.clone()),
            Effect::SawNotHeld => (!mine).then(|| state.clone()),
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

    fn target(&self, op: &LockOp) -> Option<Option<Holder>> {
        Some(match op.action {
            Action::Acquire => Some(op.holder.clone()),
            Action::Release => None,
        })
    }

    fn source(&self, op: &LockOp, outcome: &Outcome<LockRet>) -> Option<Option<Holder>> {
        match effect(op, outcome) {
            Effect::Acquire => Some(None),
            Effect::Release => Some(Some(op.holder.clone())),
            Effect::SawBusy | Effect::SawNotHeld => None,
        }
    }

    /// Who holds how much is what was acquired and not released.
    fn order_free(&self, _: &LockOp, _: &Outcome<LockRet>) -> bool {
        true
    }

    fn weight(&self, state: &Option<Holder>) -> usize {
        state.as_ref().map_or(size_of::<Option<Holder>>(), Holder::weight)
    }
}

impl Insight for Mutex {
    fn shortcut(&self, tasks: &[Task<'_, Mutex>]) -> Option<Shortcut> {
        let held = u64::from(self.initial.is_some());
        let one_holder = alternation::one_holder(tasks, self.initial.as_ref());
        if one_holder && let Some(answer) = alternation::decide(tasks, 1, held) {
            return Some(answer);
        }
        let rules = Rules { initial: self.initial.as_ref(), repeatable: false };
        let mut holds = Holds::new(tasks, rules);
        if let Some(ids) = holds.impossible.take() {
            return Some(Shortcut::Refuted(ids));
        }
        if one_holder {
            return None;
        }
        let spans = match room::exclusive(&mut holds.holds, &holds.moments, |group| group) {
            Ok(spans) => spans,
            Err(groups) => return Some(Shortcut::Refuted(holds.ids(groups))),
        };
        if !holds.complete {
            return None;
        }
        let explained = |at: &u32| {
            let task = holds.task(*at);
            room::meets(&spans, task.call, task.done).is_some()
        };
        if holds.busy.iter().all(explained) {
            return Some(Shortcut::Linearizable);
        }
        if holds.denials == 0 && holds.in_turn() {
            return alternation::decide(tasks, 1, held).map(Shortcut::anywhere);
        }
        None
    }

    fn linearization(&self, tasks: &[Task<'_, Mutex>]) -> Option<Vec<u32>> {
        alternation::linearization(tasks, 1, self.initial.as_ref())
    }

    fn key_text(&self, key: &Value) -> Option<String> {
        (!key.is_nil()).then(|| key.to_string())
    }

    fn tell(&self, case: &Case<'_, Mutex>) -> Telling {
        tell::tell(self, case, 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linearizability::check_operations;
    use crate::linearizability::tests::exhaustive::{Keep, Sort, compare_all, judge_all};
    use crate::linearizability::tests::order_free::of_every_order;
    use crate::linearizability::tests::{Tally, random, search_says};
    use crate::models::collection::tests::check_linearization;
    use crate::models::lock::held_by_processes;
    use crate::synthetic::Simulation;
    use elenchus_core::budget::Budget;
    use elenchus_core::operation::Operation;
    use elenchus_core::outcome::Failure;
    use elenchus_core::process::Process;
    use elenchus_core::random::Rng;
    use elenchus_core::time::Time;

    type LockOperation = Operation<LockOp, LockRet>;

    fn holder(owner: i64, hold: u32) -> Holder {
        Holder { owner: Value::Int(owner), hold }
    }

    fn acquire(holder: &Holder) -> LockOp {
        LockOp::acquire(Value::Nil, holder.clone())
    }

    fn release(holder: &Holder) -> LockOp {
        LockOp::release(Value::Nil, holder.clone())
    }

    fn done() -> Outcome<LockRet> {
        Outcome::Ok(LockRet::Done)
    }

    fn refused() -> Outcome<LockRet> {
        Outcome::Fail(Failure::Refused(None))
    }

    /// Certain and in doubt, of each of these.
    fn both(holders: &[Holder]) -> Vec<Sort<Mutex>> {
        let mut sorts = Vec::new();
        for holder in holders {
            for op in [acquire(holder), release(holder)] {
                sorts.push(Sort::new(op.clone(), done()));
                sorts.push(Sort::new(op, Outcome::info("timeout")));
            }
        }
        sorts
    }

    fn tally(histories: u64, linearizable: u64, by_shortcut: u64) -> Tally {
        Tally { histories, linearizable, by_shortcut }
    }

    const ALL: Keep<Mutex> = |_| true;

    #[test]
    fn without_owners_nothing_needs_a_search() {
        let anybody = Holder::ANYBODY;
        let mut sorts = both(std::slice::from_ref(&anybody));
        sorts.push(Sort::new(acquire(&anybody), refused()));
        sorts.push(Sort::new(release(&anybody), refused()));
        let found = |initial| compare_all(&Mutex { initial }, &sorts, 5, 3, ALL);
        assert_eq!(
            [found(None), found(Some(anybody))],
            [tally(70_307, 17_415, 70_307), tally(70_307, 17_409, 70_307)]
        );
    }

    #[test]
    fn holders_of_one_hold_each_need_none_either() {
        let sorts = both(&[holder(1, 1), holder(2, 1), holder(3, 1)]);
        let once: Keep<Mutex> = |operations| {
            let same = |a: &LockOperation, b: &LockOperation| a.op == b.op;
            (1..operations.len()).all(|i| operations[..i].iter().all(|o| !same(o, &operations[i])))
        };
        assert_eq!(compare_all(&Mutex::default(), &sorts, 5, 3, once), tally(90_492, 14_564, 90_492));
    }

    /// Two owners and a third who is refused.
    fn owners() -> Vec<Sort<Mutex>> {
        let mut sorts = both(&[holder(1, 0), holder(2, 0)]);
        sorts.push(Sort::new(acquire(&holder(3, 0)), refused()));
        sorts.push(Sort::new(release(&holder(2, 0)), refused()));
        sorts.push(Sort::optional(acquire(&holder(1, 0)), done()));
        sorts
    }

    #[test]
    fn owners_and_all_that_they_may_do() {
        let sorts = owners();
        let found = |initial| compare_all(&Mutex { initial }, &sorts, 4, 3, ALL);
        assert_eq!(
            [found(None), found(Some(holder(1, 0)))],
            [tally(38_327, 9_465, 31_042), tally(38_327, 8_589, 30_720)]
        );
    }

    #[test]
    fn owners_and_all_that_they_may_do_in_five_operations() {
        assert_eq!(judge_all(&Mutex::default(), &owners(), 5, ALL), tally(826_825, 152_425, 639_108));
    }

    #[test]
    fn the_order_of_acquires_and_releases_leaves_no_trace() {
        let kinds: Vec<_> = owners().into_iter().map(Sort::parts).collect();
        for initial in [None, Some(holder(1, 0))] {
            let (given, several) = of_every_order(&Mutex { initial }, &kinds).expect("one holds it");
            assert!(given == 11 && several > 20, "{given} {several}");
        }
    }

    #[test]
    fn linearizations_without_owners_are_some() {
        let choose = |rng: &mut Rng, _: usize, _: &Option<Holder>| match rng.chance(1, 2) {
            true => acquire(&Holder::ANYBODY),
            false => release(&Holder::ANYBODY),
        };
        let mut accepted = 0;
        for seed in 0..200 {
            let doubt_permille = [0, 20, 100, 400][seed as usize % 4];
            let simulation =
                Simulation { operations: 200, clients: 2 + seed as usize % 20, doubt_permille, seed };
            let initial = (seed % 3 == 0).then_some(Holder::ANYBODY);
            let model = Mutex { initial: initial.clone() };
            let operations = simulation.run(&model, initial, choose, answer);
            let tasks: Vec<_> = Task::all(&operations).collect();
            accepted += u32::from(model.shortcut(&tasks) == Some(Shortcut::Linearizable));
            check_linearization(&model, &operations);
        }
        assert_eq!(accepted, 200);
    }

    fn choose(rng: &mut Rng, number: usize, state: &Option<Holder>) -> LockOp {
        match state {
            Some(held) if rng.chance(2, 3) => release(held),
            _ => acquire(&holder(number as i64, 1)),
        }
    }

    fn answer(state: &Option<Holder>, op: &LockOp) -> Outcome<LockRet> {
        let admitted = match op.action {
            Action::Acquire => state.is_none(),
            Action::Release => state.as_ref() == Some(&op.holder),
        };
        if admitted { done() } else { refused() }
    }

    /// Histories of a true mutex, of which some have one acquire answered twice.
    #[test]
    fn a_long_history_is_judged_alike_by_search() {
        let anybody = |_: &mut Rng, _: usize, state: &Option<Holder>| match state {
            Some(_) => release(&Holder::ANYBODY),
            None => acquire(&Holder::ANYBODY),
        };
        for seed in 0..20 {
            let simulation = Simulation { operations: 1_000, clients: 4, doubt_permille: 10, seed };
            let mut operations = match seed % 2 {
                0 => simulation.run(&Mutex::default(), None, anybody, answer),
                _ => simulation.run(&Mutex::default(), None, choose, answer),
            };
            if seed % 4 < 2 {
                let late = operations[500..]
                    .iter_mut()
                    .find(|o| o.op.action == Action::Acquire && o.outcome == refused());
                late.expect("there are many").outcome = done();
            }
            let tasks: Vec<_> = Task::all(&operations).collect();
            let known = Mutex::default().shortcut(&tasks).map(|answer| answer == Shortcut::Linearizable);
            let truth = search_says(&Mutex::default(), &operations);
            assert!(known.is_none_or(|known| known == truth), "seed {seed}");
            assert!(seed % 2 == 1 || known.is_some(), "seed {seed}");
        }
    }

    #[test]
    fn no_state_refutes_the_hints() {
        let (model, holders) = (Mutex::default(), [holder(1, 1), holder(1, 2), Holder::ANYBODY]);
        let states: Vec<_> = holders.iter().cloned().map(Some).chain([None]).collect();
        let outcomes = [
            done(),
            refused(),
            Outcome::info("timeout"),
            Outcome::Ok(LockRet::Declined),
            Outcome::Ok(LockRet::Fence(3)),
        ];
        for op in holders.iter().flat_map(|holder| [acquire(holder), release(holder)]) {
            for outcome in &outcomes {
                for state in &states {
                    let after: Vec<_> = model.step(state, &op, outcome).into_iter().collect();
                    assert!(!model.inert(&op, outcome) || after.iter().all(|after| after == state));
                    let elsewhere = model.source(&op, outcome).is_some_and(|source| source != *state);
                    assert!(!elsewhere || after.is_empty(), "{op:?} {outcome:?} from {state:?}");
                    let target = model.target(&op);
                    assert!(after.iter().all(|after| after == state || Some(after) == target.as_ref()));
                }
            }
        }
    }

    /// A history in which one thing happens after the other.
    #[track_caller]
    fn check(history: &[(u32, LockOp)], class: &str, words: &str) {
        let one_by_one = |(number, (process, op)): (u32, &(u32, LockOp))| LockOperation {
            process: Process(*process),
            op: op.clone(),
            outcome: done(),
            call: 2 * number,
            done: 2 * number + 1,
            called: Time::ZERO,
            ended: Some(Time::ZERO),
        };
        let mut operations: Vec<_> = (0..).zip(history).map(one_by_one).collect();
        held_by_processes(&mut operations);
        let verdict = check_operations(&Mutex::default(), &operations, &Budget::unlimited());
        assert_eq!(verdict.class.as_deref(), Some(class), "{}", verdict.why);
        assert!(verdict.why.contains(words), "{}", verdict.why);
    }

    #[test]
    fn the_words_name_both_holds() {
        let (a, r) = (acquire(&Holder::ANYBODY), release(&Holder::ANYBODY));
        let before = [(1, a.clone()), (1, r.clone()), (2, a.clone()), (2, r.clone())];
        let then = |more: &[(u32, LockOp)]| [&before[..], more].concat();
        check(
            &then(&[(1, a.clone()), (2, a.clone()), (1, r.clone()), (2, r.clone())]),
            "double-hold",
            "process 1 (acquired at 8–9, released at 12–13); process 2 (acquired at 10–11",
        );
        check(
            &then(&[(1, a.clone()), (1, a.clone()), (1, r.clone())]),
            "acquired-twice",
            "process 1 (acquired at 8–9, not released)",
        );
        check(
            &then(&[(1, r.clone()), (2, a), (2, r)]),
            "release-without-hold",
            "process 1 had released it at 2–3",
        );
    }

    #[test]
    fn on_random_histories_of_more_operations() {
        let lie = |rng: &mut Rng, operations: &mut [LockOperation]| {
            let at = rng.below(operations.len() as u64) as usize;
            if rng.chance(1, 2) && !operations[at].outcome.is_info() {
                operations[at].outcome = if operations[at].outcome.is_ok() { refused() } else { done() };
            }
        };
        let found = random::compare_many(&Mutex::default(), &None, (71, 20_000), choose, answer, lie);
        assert_eq!(found, tally(20_000, 13_979, 15_023));
    }
}
