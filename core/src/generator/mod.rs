//! What to do next: pure, seeded, composable.
//!
//! A generator is asked with the current time and the free slots, and answers with an operation to
//! invoke **now**, a time to wait for, or the end. Asking never consumes: only an answer of
//! [`Next::Invoke`] may advance a generator. Every event of the trial is shown to it through
//! [`Generator::update`].

use crate::fault::{Fault, FaultId, Proof};
use crate::outcome::{Cause, Outcome};
use crate::process::{Process, Slot};
use crate::time::Time;

/// What a generator wants.
#[derive(Clone, Debug, PartialEq)]
pub enum Next<O> {
    /// Do this now, in this slot, which was free. Faults and notes occupy no slot of a client: theirs is
    /// [`Context::NEMESIS`].
    Invoke(Slot, Action<O>),
    /// Nothing now: ask again at this time, or (`None`) after the next event.
    Wait(Option<Time>),
    /// Nothing, ever again.
    Done,
}

/// One thing to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Action<O> {
    /// An operation of a client.
    Client(O),
    /// Break something.
    Inject(FaultId, Fault),
    /// Put it back.
    Heal(FaultId),
    /// Tell the user; stays out of the history.
    Log(String),
}

/// What happened, as generators see it.
#[derive(Clone, Debug, PartialEq)]
pub struct Event<O, R> {
    /// When.
    pub time: Time,
    /// Where; [`Context::NEMESIS`] for faults.
    pub slot: Slot,
    /// Who.
    pub process: Process,
    /// What.
    pub what: What<O, R>,
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum What<O, R> {
    /// An operation was invoked.
    Invoked(O),
    /// It ended.
    Done(O, Outcome<R>),
    /// A fault is to be brought about.
    Inject(FaultId, Fault),
    /// It is in force, or could not be.
    Injected(FaultId, Result<Proof, Cause>),
    /// A fault is to be healed.
    Heal(FaultId),
    /// It is, or could not be.
    Healed(FaultId, Result<Proof, Cause>),
}

/// What a generator may look at: the time, and which slots are free.
#[derive(Clone, Debug)]
pub struct Context {
    /// The time now.
    pub now: Time,
    processes: Vec<Process>,
    free: Vec<bool>,
    concurrency: u32,
}

impl Context {
    /// The slot of the nemesis: it takes any number of faults and is never busy.
    pub const NEMESIS: Slot = Slot(u32::MAX);

    /// All slots free, slot `i` held by process `i`, time zero.
    pub fn new(concurrency: u32) -> Context {
        Context {
            now: Time::ZERO,
            processes: (0..concurrency).map(Process).collect(),
            free: vec![true; concurrency as usize],
            concurrency,
        }
    }

    /// How many operations may be open at once.
    pub fn concurrency(&self) -> u32 {
        self.concurrency
    }

    /// Whether the slot is free.
    pub fn is_free(&self, slot: Slot) -> bool {
        self.free[slot.0 as usize]
    }

    /// The process that holds the slot now.
    pub fn process(&self, slot: Slot) -> Process {
        self.processes[slot.0 as usize]
    }

    /// Marks the slot busy: its operation was invoked. For runners.
    pub fn occupy(&mut self, slot: Slot) {
        self.free[slot.0 as usize] = false;
    }

    /// Marks the slot free: its operation ended; `retire` if it ended in doubt. For runners.
    pub fn release(&mut self, slot: Slot, retire: bool) {
        let i = slot.0 as usize;
        self.free[i] = true;
        if retire {
            self.processes[i] = self.processes[i].successor(self.concurrency);
        }
    }
}

/// Decides what is done next. Pure: time, free slots, events and its own seed are all that it knows.
pub trait Generator<O, R> {
    /// What to do now. Only an answer of [`Next::Invoke`] may change what later answers will be.
    fn next(&mut self, cx: &mut Context) -> Next<O>;

    /// Something happened.
    fn update(&mut self, _cx: &mut Context, _event: &Event<O, R>) {}
}
