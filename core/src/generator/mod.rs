//! What to do next: pure, seeded, composable.
//!
//! A generator is asked with the current time and the free slots, and answers with an operation to
//! invoke **now**, a time to wait for, or the end. Asking never consumes: only an answer of
//! [`Next::Invoke`] may advance a generator. Every event of the trial is shown to it through
//! [`Generator::update`].
//!
//! The combinators are Jepsen's (jepsen.generator), translated from immutable values to this contract. The
//! difference that matters: a generator never promises an operation for later, it says until when to wait.
//!
//! | generators | what they do |
//! |---|---|
//! | [`once()`], [`repeat()`], [`from_fn`], [`from_iter`], [`log()`], [`sleep()`] | the leaves |
//! | [`limit()`], [`process_limit()`], [`time_limit()`], [`until_ok()`] | end sooner |
//! | [`stagger()`], [`delay()`], [`synchronize()`] | wait longer |
//! | [`sequence()`], [`phases()`], [`cycle()`] | one after the other |
//! | [`any()`], [`mix()`], [`weighted_mix`], [`flip_flop()`] | side by side on the same slots |
//! | [`clients`], [`nemesis`], [`on_slots`], [`reserve()`] | on some slots only |
//! | [`each_slot`], [`each_process`] | a copy for each |
//! | [`independent`] | many objects, one after the other or groups of slots at once |
//! | [`simulate`] | how all of these are tested |
//!
//! [`Compose`] has those with a single child as methods.

mod any;
mod compose;
mod context;
mod cycle;
mod delay;
mod each;
mod flip_flop;
mod function;
pub mod independent;
mod limit;
mod log;
mod mix;
mod once;
mod process_limit;
mod repeat;
mod reserve;
mod scope;
mod sequence;
pub mod simulate;
mod sleep;
mod slots;
mod stagger;
mod synchronize;
#[cfg(test)]
mod testing;
mod time_limit;
mod turns;
mod until_ok;

pub use any::{Any, any};
pub use compose::{Boxed, Compose};
pub use context::Context;
pub use cycle::{Cycle, cycle};
pub use delay::{Delay, delay};
pub use each::{EachProcess, EachSlot, each_process, each_slot};
pub use flip_flop::{FlipFlop, flip_flop};
pub use function::{FromFn, FromIter, from_fn, from_iter};
pub use limit::{Limit, limit};
pub use log::{Log, log};
pub use mix::{Mix, mix, weighted_mix};
pub use once::{Once, once};
pub use process_limit::{ProcessLimit, process_limit};
pub use repeat::{Repeat, repeat};
pub use reserve::{Reserve, reserve};
pub use scope::{Scope, clients, nemesis, on_slots};
pub use sequence::{Sequence, phases, sequence};
pub use sleep::{Sleep, sleep};
pub use slots::SlotSet;
pub use stagger::{Stagger, stagger};
pub use synchronize::{Synchronize, synchronize};
pub use time_limit::{TimeLimit, time_limit};
pub use until_ok::{UntilOk, until_ok};

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

/// Decides what is done next. Pure: time, free slots, events and its own seed are all that it knows.
pub trait Generator<O, R> {
    /// What to do now. Only an answer of [`Next::Invoke`] may change what later answers will be, save for
    /// the moment at which a clock starts ([`sleep()`], [`time_limit()`]) or a gate opens ([`synchronize()`]).
    /// A [`Next::Wait`] names a time that is still to come; after [`Next::Done`] only that follows.
    fn next(&mut self, cx: &mut Context) -> Next<O>;

    /// Something happened. The context shows how things stand after it.
    fn update(&mut self, _cx: &mut Context, _event: &Event<O, R>) {}
}

impl<O, R, G: Generator<O, R> + ?Sized> Generator<O, R> for Box<G> {
    fn next(&mut self, cx: &mut Context) -> Next<O> {
        (**self).next(cx)
    }

    fn update(&mut self, cx: &mut Context, event: &Event<O, R>) {
        (**self).update(cx, event);
    }
}
