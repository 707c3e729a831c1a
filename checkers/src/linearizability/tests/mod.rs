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
use super::search::{Answer, Effort};
use elenchus_core::budget::Budget;
use elenchus_core::model::Model;
use elenchus_core::operation::Operation;
use std::sync::atomic::AtomicUsize;

/// Whether the operations of one key are linearizable, by search alone.
fn search_says<M: Model>(model: &M, operations: &[Operation<M::Op, M::Ret>]) -> bool {
    let (budget, memory) = (Budget::unlimited(), AtomicUsize::new(0));
    let Some(first) = operations.first() else { return true };
    let own: Vec<_> = operations.iter().collect();
    let key = model.key(&first.op);
    match decide(model, &key, &own, false, &mut Meter::new(&budget, &memory), &mut Effort::default()) {
        Answer::Linearizable => true,
        Answer::Refuted(_) => false,
        Answer::Unknown(..) => unreachable!("the budget has no limit"),
    }
}
