//! Tests of the search and of its evidence.

mod agreement;
mod evidence;
mod exhaustive;
mod notation;
mod oracle;
mod refuted_claims;
mod verdicts;

use super::judge::decide;
use super::meter::Meter;
use super::schedule::{Schedule, Task};
use super::search::{Answer, Effort, Mode, search_in};
use elenchus_core::budget::Budget;
use elenchus_core::model::Model;
use elenchus_core::operation::Operation;
use std::sync::atomic::AtomicUsize;

/// What the search says of the operations of one key, of which there is one at least.
fn answer<M: Model>(model: &M, operations: &[Operation<M::Op, M::Ret>]) -> Answer {
    let (budget, memory) = (Budget::unlimited(), AtomicUsize::new(0));
    let own: Vec<_> = operations.iter().collect();
    let key = model.key(&operations[0].op);
    decide(model, &key, &own, false, &mut Meter::new(&budget, &memory), &mut Effort::default())
}

/// What the search says in one mode alone.
fn answer_in<M: Model>(mode: Mode, model: &M, operations: &[Operation<M::Op, M::Ret>]) -> Answer {
    let (budget, memory) = (Budget::unlimited(), AtomicUsize::new(0));
    let meter = &mut Meter::new(&budget, &memory);
    let tasks = operations.iter().enumerate().filter_map(|(i, o)| Task::new(o, i as u32)).collect();
    let init = model.init(&model.key(&operations[0].op));
    let schedule = Schedule::new(model, init, tasks, meter).expect("the budget has no limit");
    search_in(mode, model, &schedule, false, meter, &mut Effort::default())
}

/// Whether the operations of one key are linearizable, by search alone.
fn search_says<M: Model>(model: &M, operations: &[Operation<M::Op, M::Ret>]) -> bool {
    if operations.is_empty() {
        return true;
    }
    match answer(model, operations) {
        Answer::Linearizable => true,
        Answer::Refuted(_) => false,
        Answer::Unknown(..) => unreachable!("the budget has no limit"),
    }
}
