//! A model's shortcut, asked as well where a history begins to fail.
//!
//! A shortcut answers for whole histories. A prefix is a history too: what has not returned yet is in doubt
//! there, or, if it will turn out to have changed nothing, not there. A failing prefix stays failing as it
//! grows, so a binary search over the returns finds the first.

use super::Insight;
use elenchus_core::event::Index;
use elenchus_core::operation::Operation;
use elenchus_core::outcome::{Failure, Outcome};

/// What a model knows without search of the operations of one key, given in the order of their calls:
/// whether they are linearizable, or else the place of the operation whose return is the first that no
/// linearization survives. `None` if it does not know.
pub(super) fn ask<M: Insight>(
    model: &M,
    operations: &[&Operation<M::Op, M::Ret>],
) -> Option<Result<(), usize>> {
    if model.shortcut(operations)? {
        return Some(Ok(()));
    }
    let mut returns: Vec<usize> = (0..operations.len()).filter(|i| returns(operations[*i])).collect();
    returns.sort_by_key(|i| operations[*i].done);
    let (mut low, mut high) = (0, returns.len().saturating_sub(1));
    while low < high {
        let middle = low.midpoint(high);
        let prefix = prefix(operations, operations[returns[middle]].done);
        match model.shortcut(&prefix.iter().collect::<Vec<_>>())? {
            true => low = middle + 1,
            false => high = middle,
        }
    }
    Some(Err(*returns.get(low)?))
}

fn returns<O, R>(operation: &Operation<O, R>) -> bool {
    operation.done != Operation::<O, R>::OPEN
}

/// What was known of the operations called before `end`, once this return was logged.
fn prefix<O: Clone, R: Clone>(operations: &[&Operation<O, R>], end: Index) -> Vec<Operation<O, R>> {
    let called = operations.iter().filter(|operation| operation.call < end);
    let cut = |operation: &&Operation<O, R>| {
        let mut operation = (*operation).clone();
        if operation.done > end {
            operation.done = Operation::<O, R>::OPEN;
            operation.outcome = match operation.outcome {
                Outcome::Fail(_) => Outcome::Fail(Failure::NotDone("it will be".into())),
                Outcome::Ok(_) | Outcome::Info(_) => Outcome::info("not yet"),
            };
        }
        operation
    };
    called.map(cut).collect()
}
