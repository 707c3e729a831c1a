//! A sealed log: paired, checked, columnar.

use crate::event::{Event, Index, Kind};
use crate::operation::Operation;
use crate::process::Process;
use crate::time::Time;
use crate::value::Value;
use crate::workload::Vocabulary;
use std::sync::Arc;

/// A log that cannot be a history: the trial is broken, and nothing is said about the system.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed history at event {index}: {what}")]
pub struct Malformed {
    /// The event at fault.
    pub index: Index,
    /// What is wrong with it.
    pub what: String,
}

/// A sealed history: events in the order of the log, invocations paired with completions.
#[derive(Clone, Debug)]
pub struct History {
    events: Vec<Event>,
    partner: Vec<Index>,
}

/// One event of a sealed history.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EventRef<'h> {
    /// Position in the log.
    pub index: Index,
    /// When, on the trial's clock.
    pub time: Time,
    /// Who.
    pub process: Process,
    /// `type` on disk.
    pub kind: Kind,
    /// The function.
    pub f: &'h str,
    /// Which of many independent objects, if there are many.
    pub key: Option<&'h Value>,
    /// Arguments of an invocation, answer of a completion.
    pub value: &'h Value,
    /// Why a completion is `fail` or `info`.
    pub error: Option<&'h Value>,
    /// Whatever else the line said.
    pub extra: &'h [(Arc<str>, Value)],
}

impl History {
    /// Seals events into a history: pairs each completion with its process's open invocation. Malformed
    /// is a completion without invocation and an invocation while the process has one open. Events of the
    /// nemesis are kept and never paired. An invocation without completion is an operation in doubt.
    pub fn seal(_events: impl IntoIterator<Item = Event>) -> Result<History, Malformed> {
        todo!()
    }

    /// How many events there are.
    pub fn len(&self) -> usize {
        todo!()
    }

    /// Whether nothing happened.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The event at this position.
    pub fn event(&self, _index: Index) -> EventRef<'_> {
        todo!()
    }

    /// All events, in order.
    pub fn events(&self) -> impl DoubleEndedIterator<Item = EventRef<'_>> {
        (0..self.len() as Index).map(|index| self.event(index))
    }

    /// The completion of an invocation, or the invocation of a completion.
    pub fn partner(&self, _index: Index) -> Option<Index> {
        todo!()
    }

    /// The clients' operations in the order of their calls, decoded by the workload's vocabulary.
    /// `fail` with an error `["refused", saw]` or `["refused"]` is a refusal, any other `fail` is
    /// not-done; `info` and missing completions are in doubt, with `done` = [`Operation::OPEN`].
    pub fn operations<V: Vocabulary>(
        &self,
        _vocabulary: &V,
    ) -> Result<Vec<Operation<V::Op, V::Ret>>, Malformed> {
        todo!()
    }
}
