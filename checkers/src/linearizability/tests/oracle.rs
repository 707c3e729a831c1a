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
    let init = model.init(&model.key(&first.op));
    let bit = |i: usize, is_in: bool| u32::from(is_in) << i;
    let returned = |i: usize| happened[i].done != Operation::<M::Op, M::Ret>::OPEN;
    let sooner = |i: usize, late: usize| returned(i) && happened[i].precedes(happened[late]);
    let all = 0..happened.len();
    let certain = all.clone().map(|i| bit(i, returned(i))).sum();
    let sooner = all.clone().map(|late| all.clone().map(|i| bit(i, sooner(i, late))).sum()).collect();
    let orders = Orders { model, certain, sooner, operations: happened };
    orders.lead_to_the_end(0, &init)
}

/// The orders of some operations. A set of operations is one bit each.
struct Orders<'a, M: Model> {
    model: &'a M,
    operations: Vec<&'a Operation<M::Op, M::Ret>>,
    /// Those that returned.
    certain: u32,
    /// Of each, those that returned before it was called.
    sooner: Vec<u32>,
}

impl<M: Model> Orders<'_, M> {
    /// Whether the operations that are not `placed` yet can follow in some order.
    fn lead_to_the_end(&self, placed: u32, state: &M::State) -> bool {
        if self.certain & !placed == 0 {
            return true;
        }
        let next = |i: &usize| placed >> i & 1 == 0 && self.sooner[*i] & !placed == 0;
        (0..self.operations.len()).filter(next).any(|i| {
            let operation = self.operations[i];
            self.model
                .step(state, &operation.op, &operation.outcome)
                .into_iter()
                .any(|after| self.lead_to_the_end(placed | 1 << i, &after))
        })
    }
}
