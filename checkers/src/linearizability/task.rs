//! Operations of one key as algorithms see them: what matters for an order, and nothing else.
//!
//! Tasks stand in the order of their calls. What certainly did not happen and saw nothing is no task. All
//! positions are distinct, but for operations that were *released* for a witness: these may happen at any
//! time or never, with any answer.

use elenchus_core::model::Model;
use elenchus_core::operation::Operation;
use elenchus_core::outcome::{Failure, Outcome};
use elenchus_core::process::Process;

/// A place in the log, counted from 1; 0 is before everything.
pub type Position = u64;

/// After everything.
pub const NEVER: Position = Position::MAX;

/// An operation of one key.
pub struct Task<'h, M: Model> {
    /// What was asked.
    pub op: &'h M::Op,
    /// What came of it. Of an operation in doubt this is `Info`, or the answer that it gives if it happens.
    pub outcome: &'h Outcome<M::Ret>,
    /// Who asked.
    pub process: Process,
    /// Where it was called.
    pub call: Position,
    /// Where it returned; [`NEVER`] if it is in doubt: then it may happen at any time after its call, or never.
    pub done: Position,
    /// Its number among the key's operations.
    pub id: u32,
}

impl<'h, M: Model> Task<'h, M> {
    /// The task of an operation; `None` if it certainly did not happen and saw nothing.
    pub fn new(operation: &'h Operation<M::Op, M::Ret>, id: u32) -> Option<Task<'h, M>> {
        let Operation { op, outcome, process, .. } = operation;
        let done = match outcome {
            Outcome::Fail(Failure::NotDone(_)) => return None,
            Outcome::Info(_) => NEVER,
            _ if operation.done == Operation::<M::Op, M::Ret>::OPEN => NEVER,
            _ => Position::from(operation.done) + 1,
        };
        let call = Position::from(operation.call) + 1;
        Some(Task { op, outcome, process: *process, call, done, id })
    }

    /// The tasks of one key's operations, which are given in the order of their calls and numbered so.
    pub fn all<'o>(
        operations: impl IntoIterator<Item = &'h Operation<M::Op, M::Ret>> + 'o,
    ) -> impl Iterator<Item = Task<'h, M>> + 'o
    where
        'h: 'o,
        M: 'h,
    {
        operations.into_iter().zip(0..).filter_map(|(operation, id)| Task::new(operation, id))
    }

    /// The operation free to happen at any time or never; `doubt` is an outcome in doubt.
    pub fn released(
        operation: &'h Operation<M::Op, M::Ret>,
        id: u32,
        doubt: &'h Outcome<M::Ret>,
    ) -> Task<'h, M> {
        let Operation { op, process, .. } = operation;
        Task { op, outcome: doubt, process: *process, call: 0, done: NEVER, id }
    }

    /// What is known of it once `end` was logged: nothing if it was called later; if it had not returned by
    /// then, that it may happen and what it answers if it does.
    pub fn before(&self, end: Position) -> Option<Task<'h, M>> {
        match self.done <= end {
            _ if self.call > end => None,
            true => Some(self.clone()),
            false if matches!(self.outcome, Outcome::Fail(_)) => None,
            false => Some(Task { done: NEVER, ..self.clone() }),
        }
    }

    /// Whether it may never have happened.
    pub fn in_doubt(&self) -> bool {
        self.done == NEVER
    }

    /// Whether its outcome may depend on the state it meets.
    pub(super) fn observes(&self, model: &M) -> bool {
        matches!(self.outcome, Outcome::Fail(_)) || !model.overwrites(self.op)
    }

    pub(super) fn can_follow(&self, model: &M, state: &M::State) -> bool {
        model.step(state, self.op, self.outcome).into_iter().next().is_some()
    }

    pub(super) fn can_change(&self, model: &M, state: &M::State) -> bool {
        model.step(state, self.op, self.outcome).into_iter().any(|after| after != *state)
    }
}

impl<M: Model> Clone for Task<'_, M> {
    fn clone(&self) -> Self {
        Task { ..*self }
    }
}
