//! The oracle: every order is tried (Wing & Gong 1993), with no reduction at all.

use elenchus_core::model::Model;
use elenchus_core::operation::Operation;
use elenchus_core::outcome::{Failure, Outcome};

/// Whether some order of the operations (of those that did not return: of any of them) respects real time and is one
/// that the object could have produced. For histories of one key.
pub fn is_linearizable<M: Model>(model: &M, operations: &[Operation<M::Op, M::Ret>]) -> bool {
    let happened: Vec<_> = operations
        .iter()
        .filter(|operation| !matches!(operation.outcome, Outcome::Fail(Failure::NotDone(_))))
        .collect();
    let Some(first) = happened.first() else { return true };
    go(model, &happened, 0, &model.init(&model.key(&first.op)))
}

fn go<M: Model>(model: &M, operations: &[&Operation<M::Op, M::Ret>], placed: u32, state: &M::State) -> bool {
    let open = |i: usize| placed >> i & 1 == 0;
    let certain = |i: usize| operations[i].done != Operation::<M::Op, M::Ret>::OPEN;
    if (0..operations.len()).all(|i| !open(i) || !certain(i)) {
        return true;
    }
    (0..operations.len()).filter(|i| open(*i)).any(|i| {
        let operation = operations[i];
        let late = (0..operations.len())
            .any(|j| j != i && open(j) && certain(j) && operations[j].precedes(operation));
        !late
            && model
                .step(state, &operation.op, &operation.outcome)
                .into_iter()
                .any(|after| go(model, operations, placed | 1 << i, &after))
    })
}
