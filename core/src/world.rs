//! Where a trial takes place: real processes and real time, or a simulation of both.
//!
//! The runner is one plain loop over a [`World`]; the same generator, schedule, history and checkers run
//! in every world.

use crate::fault::{Fault, FaultId, Proof};
use crate::outcome::{Cause, Outcome};
use crate::process::{Process, Slot};
use crate::time::Time;

/// What happened while the runner waited.
#[derive(Clone, Debug, PartialEq)]
pub enum Wake<R> {
    /// An operation ended. Whoever was abandoned meanwhile may still end; the runner drops it.
    Done(Slot, Process, Outcome<R>),
    /// A fault is in force, or could not be brought about.
    Injected(FaultId, Result<Proof, Cause>),
    /// A fault is healed, or could not be.
    Healed(FaultId, Result<Proof, Cause>),
    /// Something the log should keep that is no operation and no fault: who leads, a node that died.
    Noted(Note),
    /// The time asked for has come.
    Timeout,
    /// The user wants an end: heal, judge what there is, leave nothing.
    Interrupted,
}

/// An event of the cluster, observed and not caused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// What kind: `leader`, `exit`…
    pub f: &'static str,
    /// What was seen, key by key.
    pub fields: Vec<(&'static str, String)>,
}

/// Where a trial takes place. All methods but [`World::wait`] return at once.
pub trait World<O, R> {
    /// The time now.
    fn now(&self) -> Time;

    /// Starts an operation. The runner has put its invocation on disk before.
    fn invoke(&mut self, slot: Slot, process: Process, op: O);

    /// Gives an operation up: its connection is closed, its process over. The next operation of this slot
    /// belongs to a new process with a new connection.
    fn abandon(&mut self, slot: Slot, process: Process);

    /// Starts to bring a fault about. [`Wake::Injected`] tells when it is there.
    fn inject(&mut self, id: FaultId, fault: Fault);

    /// Starts to heal a fault. [`Wake::Healed`] tells when it is gone.
    fn heal(&mut self, id: FaultId);

    /// The next thing that happened, or [`Wake::Timeout`] at `until`; `None` waits for ever.
    fn wait(&mut self, until: Option<Time>) -> Wake<R>;
}
