//! Tests of the search and of its evidence, and what the tests of models share: an oracle, all small
//! histories, random ones.

mod agreement;
mod evidence;
pub(crate) mod exhaustive;
mod notation;
pub(crate) mod oracle;
pub(crate) mod order_free;
pub(crate) mod random;
mod recorded;
mod refuted_claims;
mod small_registers;
mod verdicts;

use super::shortcut::Shortcut;
use super::task::Task;

use super::Insight;
use super::judge::decide;
use super::meter::Meter;
use super::refuted::{Claim, holding};
use super::schedule::Schedule;
use super::search::{Answer, Effort, Mode, Order, Plan};
use super::window::{Narrow, Wide};
use elenchus_core::budget::Budget;
use elenchus_core::model::Model;
use elenchus_core::operation::Operation;
use elenchus_core::outcome::{Failure, Outcome};
use std::sync::atomic::{AtomicU64, AtomicUsize};

/// What the search says of the operations of one key, of which there is one at least.
fn answer<M: Model>(model: &M, operations: &[Operation<M::Op, M::Ret>]) -> Answer {
    let (budget, memory) = (Budget::unlimited(), AtomicUsize::new(0));
    let key = model.key(&operations[0].op);
    decide(
        model,
        &key,
        Task::all(operations).collect(),
        Order::InTurns,
        &mut Meter::new(&budget, &memory),
        &mut Effort::default(),
    )
}

/// What the search says in one mode alone.
fn answer_in<M: Model>(mode: Mode, model: &M, operations: &[Operation<M::Op, M::Ret>]) -> Answer {
    let (budget, memory) = (Budget::unlimited(), AtomicUsize::new(0));
    let meter = &mut Meter::new(&budget, &memory);
    let tasks = Task::all(operations).collect();
    let init = model.init(&model.key(&operations[0].op));
    let schedule = Schedule::new(model, init, tasks, meter).expect("the budget has no limit");
    let plan = Plan::<M, Narrow<1>>::new(model, &schedule);
    plan.breadth(mode, (false, u64::MAX), meter, &mut Effort::default())
}

/// What the search in depth says alone.
fn answer_in_depth<M: Model>(model: &M, operations: &[Operation<M::Op, M::Ret>]) -> Answer {
    let (budget, memory) = (Budget::unlimited(), AtomicUsize::new(0));
    let meter = &mut Meter::new(&budget, &memory);
    let init = model.init(&model.key(&operations[0].op));
    let tasks = Task::all(operations).collect();
    let schedule = Schedule::new(model, init, tasks, meter).expect("the budget has no limit");
    Plan::<M, Wide>::new(model, &schedule).depth(u64::MAX, &AtomicU64::new(0), meter, &mut Effort::default())
}

/// What the search says in this order, if the search in breadth is not tried alone before.
fn answer_in_order<M: Model>(order: Order, model: &M, operations: &[Operation<M::Op, M::Ret>]) -> Answer {
    let (budget, memory) = (Budget::unlimited(), AtomicUsize::new(0));
    let meter = &mut Meter::new(&budget, &memory);
    let init = model.init(&model.key(&operations[0].op));
    let tasks = Task::all(operations).collect();
    let schedule = Schedule::new(model, init, tasks, meter).expect("the budget has no limit");
    Plan::<M, Narrow<1>>::new(model, &schedule).alone(0).search(order, meter, &mut Effort::default())
}

/// Whether the operations of one key are linearizable, by search alone.
pub(crate) fn search_says<M: Model>(model: &M, operations: &[Operation<M::Op, M::Ret>]) -> bool {
    if operations.is_empty() {
        return true;
    }
    match answer(model, operations) {
        Answer::Linearizable => true,
        Answer::Refuted(_) => false,
        Answer::Unknown(..) => unreachable!("the budget has no limit"),
    }
}

/// The same, if the search believes that a state which no source is does not matter.
pub(crate) fn search_says_blind_to_growth<M: Model>(
    model: &M,
    operations: &[Operation<M::Op, M::Ret>],
) -> bool {
    holding(Claim::GrowthIsUnnoticed, || search_says(model, operations))
}

/// How many histories were compared with the oracle.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub histories: u64,
    pub linearizable: u64,
    /// Those that the model knew without search.
    pub by_shortcut: u64,
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Tally) {
        self.histories += other.histories;
        self.linearizable += other.linearizable;
        self.by_shortcut += other.by_shortcut;
    }
}

/// Compares what the search and the model's shortcut say of one object's operations with the oracle.
#[track_caller]
pub(crate) fn compare<M: Insight>(model: &M, operations: &[Operation<M::Op, M::Ret>]) -> Tally {
    let expected = oracle::is_linearizable(model, operations);
    compare_search(model, operations, expected);
    if !operations.is_empty() {
        let in_depth = answer_in_depth(model, operations) == Answer::Linearizable;
        assert_eq!(in_depth, expected, "by the search in depth: {operations:#?}");
    }
    let by_shortcut = compare_shortcut(model, operations, expected);
    Tally { histories: 1, linearizable: expected.into(), by_shortcut: by_shortcut.into() }
}

/// Compares what the checker would say with the oracle: the shortcut, and the search where the shortcut is silent.
#[track_caller]
pub(crate) fn judge<M: Insight>(model: &M, operations: &[Operation<M::Op, M::Ret>]) -> Tally {
    let expected = oracle::is_linearizable(model, operations);
    let by_shortcut = compare_shortcut(model, operations, expected);
    if !by_shortcut {
        compare_search(model, operations, expected);
    }
    Tally { histories: 1, linearizable: expected.into(), by_shortcut: by_shortcut.into() }
}

#[track_caller]
fn compare_search<M: Model>(model: &M, operations: &[Operation<M::Op, M::Ret>], expected: bool) {
    assert_eq!(search_says(model, operations), expected, "by the search: {operations:#?}");
}

/// Whether the shortcut knew. What it says contradicts itself must do so whatever the rest did.
#[track_caller]
fn compare_shortcut<M: Insight>(model: &M, operations: &[Operation<M::Op, M::Ret>], expected: bool) -> bool {
    let says = model.shortcut(&Task::all(operations).collect::<Vec<_>>());
    match &says {
        None | Some(Shortcut::RefutedAt(_)) => {}
        Some(Shortcut::Linearizable) => assert!(expected, "the shortcut accepts: {operations:#?}"),
        Some(Shortcut::Refuted(ids)) => {
            assert!(!expected, "the shortcut refutes: {operations:#?}");
            if !ids.is_empty() {
                let rest = all_but_released(operations, ids);
                assert!(
                    !oracle::is_linearizable(model, &rest),
                    "no contradiction: {ids:?} of {operations:#?}"
                );
            }
        }
    }
    if let Some(Shortcut::RefutedAt(id)) = says {
        assert!(!expected, "the shortcut refutes: {operations:#?}");
        let failed = agreement::earliest_failure(model, operations);
        assert_eq!(failed, Some(operations[id as usize].done), "{operations:#?}");
    }
    says.is_some()
}

fn not_done<R>(outcome: &Outcome<R>) -> bool {
    matches!(outcome, Outcome::Fail(Failure::NotDone(_)))
}

/// The operations, all but these released. What certainly did not happen is no task and stays as it is.
fn all_but_released<O: Clone, R: Clone>(operations: &[Operation<O, R>], ids: &[u32]) -> Vec<Operation<O, R>> {
    let release =
        |(id, operation): (u32, &Operation<O, R>)| match ids.contains(&id) || not_done(&operation.outcome) {
            true => operation.clone(),
            false => Operation {
                outcome: Outcome::info("released"),
                call: 0,
                done: Operation::<O, R>::OPEN,
                ..operation.clone()
            },
        };
    (0..).zip(operations).map(release).collect()
}
