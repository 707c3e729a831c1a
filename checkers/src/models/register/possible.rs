//! What a register can have held at the moment that no order explains, given all that was answered before.
//!
//! Where values repeat a witness is long, and tells a person little. So the history up to the guilty
//! operation's return is judged anew, with a read of each value in its place: what could have been seen there
//! says more than a dozen operations. Bounded, since it is words and no proof: where histories are long,
//! values many or the time is up, nothing is said.

use super::{Register, RegisterOp, RegisterRet};
use crate::linearizability::{Answer, Case, judge};
use elenchus_core::budget::Budget;
use elenchus_core::operation::Operation;
use elenchus_core::outcome::{Failure, Outcome};
use elenchus_core::value::Value;
use std::collections::BTreeSet;
use std::time::Duration;

type RegisterOperation = Operation<RegisterOp, RegisterRet>;

/// Longer histories are not judged anew.
const OPERATIONS_MAX: usize = 2_000;
/// Nor those in which more values occur.
const VALUES_MAX: usize = 12;
/// What all of it may take.
const TIME_MAX: Duration = Duration::from_millis(400);
const MEMORY_MAX: usize = 64 << 20;

/// What was known when the guilty operation returned.
pub(super) struct Possible<'c> {
    model: &'c Register,
    /// The guilty one is last.
    operations: Vec<RegisterOperation>,
    budget: Budget,
}

impl<'c> Possible<'c> {
    /// `None` if that is too much to be judged anew.
    pub(super) fn new(model: &'c Register, case: &Case<'_, Register>) -> Option<Possible<'c>> {
        let (call, end) = (case.guilty.call, case.guilty.done);
        let others = case.operations.iter().filter(|o| o.call < end && o.call != call);
        if others.clone().count() > OPERATIONS_MAX {
            return None;
        }
        let open = RegisterOperation::OPEN;
        let cut = |o: &&RegisterOperation| match o.done > end {
            true => RegisterOperation { done: open, ..(*o).clone() },
            false => (*o).clone(),
        };
        let mut operations: Vec<_> = others.map(cut).collect();
        operations.push(case.guilty.clone());
        Some(Possible { model, operations, budget: Budget::new(TIME_MAX, MEMORY_MAX).with_threads(1) })
    }

    /// The values that a read in the place of the guilty operation could have seen, in their order; none if the
    /// history was broken before. `None` if that is not known.
    pub(super) fn values(&self) -> Option<Vec<&Value>> {
        let set = self.operations.iter().filter(|o| !matches!(o.outcome, Outcome::Fail(_)));
        let mut values: BTreeSet<&Value> = set.filter_map(|o| o.op.sets()).collect();
        values.insert(&self.model.initial);
        if values.len() > VALUES_MAX {
            return None;
        }
        let mut possible = Vec::new();
        for value in values {
            let (guilty, rest) = self.operations.split_last()?;
            let op = RegisterOp::Read { key: guilty.op.key().clone() };
            let outcome = Outcome::Ok(RegisterRet::Saw(value.clone()));
            let mut operations = rest.to_vec();
            operations.push(RegisterOperation { op, outcome, ..guilty.clone() });
            if self.is_linearizable(operations)? {
                possible.push(value);
            }
        }
        Some(possible)
    }

    /// An operation that was answered as not done, and explains all if it was.
    pub(super) fn done_nevertheless(&self) -> Option<&RegisterOperation> {
        let (guilty, rest) = self.operations.split_last()?;
        let not_done = |o: &&RegisterOperation| matches!(o.outcome, Outcome::Fail(Failure::NotDone(_)));
        let sets = |o: &&RegisterOperation| o.op.sets().is_some() && o.call < guilty.done;
        rest.iter().filter(not_done).filter(sets).take(VALUES_MAX).find(|suspect| {
            let mut operations = self.operations.clone();
            for operation in operations.iter_mut().filter(|o| o.call == suspect.call) {
                operation.outcome = Outcome::info("done nevertheless");
                operation.done = RegisterOperation::OPEN;
            }
            self.is_linearizable(operations) == Some(true)
        })
    }

    fn is_linearizable(&self, mut operations: Vec<RegisterOperation>) -> Option<bool> {
        operations.sort_by_key(|operation| operation.call);
        let finding = judge(self.model, &operations, &self.budget).pop()?;
        match finding.answer {
            Answer::Linearizable => Some(true),
            Answer::Refuted { .. } => Some(false),
            Answer::Unknown { .. } => None,
        }
    }
}
