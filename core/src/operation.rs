//! The typed view of a history: operations with their two ends, as checkers read them.

use crate::event::Index;
use crate::outcome::Outcome;
use crate::process::Process;
use crate::time::Time;

/// One operation of a client: invoked at `call`, ended at `done` if it ended for certain.
#[derive(Clone, Debug, PartialEq)]
pub struct Operation<O, R> {
    /// Who performed it.
    pub process: Process,
    /// What was asked.
    pub op: O,
    /// What came of it. An operation without a completion is `Info`.
    pub outcome: Outcome<R>,
    /// Position of the invocation in the log.
    pub call: Index,
    /// Position of the completion in the log, [`Operation::OPEN`] if it ended in doubt or never: such an
    /// operation is concurrent with everything after its call.
    pub done: Index,
    /// When it was invoked.
    pub called: Time,
    /// When its completion (of any kind) was logged, if it was and the history [bears times].
    ///
    /// [bears times]: crate::history::History::bears_times
    pub ended: Option<Time>,
}

impl<O, R> Operation<O, R> {
    /// `done` of an operation that may take effect at any later time.
    pub const OPEN: Index = Index::MAX;

    /// Whether it was over before `other` began (Herlihy & Wing's real-time order).
    pub fn precedes(&self, other: &Operation<O, R>) -> bool {
        self.done < other.call
    }
}
