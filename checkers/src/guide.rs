//! A short course: from a history to a verdict that you can believe.
//!
//! # 1. Histories
//!
//! Clients call *operations* on an object: read, write, enqueue. A **history** is the log of their calls and
//! returns, in the order in which they happened. An operation ends in one of three ways, and everything
//! rests on telling them apart ([`Outcome`]):
//!
//! - `ok`: it took effect, and this is its answer;
//! - `fail`: it certainly did not take effect, now or later;
//! - `info`: nobody knows. A timeout is `info`: the request may still be on its way. To record it as `fail` is
//!   the commonest cause of a false alarm, and a lint looks for it.
//!
//! An operation in doubt never returns: it may take effect at any time after its call, or never.
//!
//! # 2. Linearizability
//!
//! A history is **linearizable** (Herlihy & Wing 1990) if each operation can be given one moment between its
//! call and its return at which it takes effect, such that the object, used by one client at a time in that
//! order, would have answered the same. Operations that do not overlap keep their order: what was
//! acknowledged before you asked must be in your answer.
//!
//! ```text
//! |--write 1--|  |---write 2---|
//!                    |--read 1--|  |--read 2--|     linearizable: the first read takes effect before write 2
//!                    |--read 2--|  |--read 1--|     not: once 2 was seen, 1 is gone for good
//! ```
//!
//! # 3. Models
//!
//! What the object would answer if it were used by one client at a time is its **sequential specification**, a
//! [`Model`]. The ready ones stand in [`crate::models::catalogue`]; take the narrowest that has all your
//! operations, since it knows the quickest way to an answer. Where each value is written once (each element
//! enqueued once, and so on) most of them need time n log n; otherwise the search decides, and what it costs
//! grows with how many operations are open at once, not with how long the history is. So let clients
//! write unique values whenever you can.
//!
//! # 4. A model of your own
//!
//! Say what an operation is, what it answers, what the state is, and what a step does. A switch that can be
//! turned on and off, and tells whether it was on before:
//!
//! ```
//! use elenchus_checkers::linearizability::{Insight, check_operations};
//! use elenchus_checkers::recorder::Recorder;
//! use elenchus_core::{budget::Budget, model::Model, outcome::Outcome, verdict::Validity};
//!
//! struct Switch;
//!
//! impl Model for Switch {
//!     type Op = bool; // set it to this
//!     type Ret = bool; // it was this before
//!     type Key = (); // one switch only; many independent ones would be told apart here
//!     type State = bool;
//!
//!     fn init(&self, _: &()) -> bool {
//!         false
//!     }
//!     fn step(&self, on: &bool, set: &bool, outcome: &Outcome<bool>) -> impl IntoIterator<Item = bool> {
//!         match outcome {
//!             Outcome::Ok(was) if was != on => None, // not in this state
//!             Outcome::Fail(_) => Some(*on),
//!             _ => Some(*set),
//!         }
//!     }
//!     fn key(&self, _: &bool) {}
//!     fn describe(&self, set: &bool, outcome: &Outcome<bool>) -> String {
//!         format!("set {set} {outcome:?}")
//!     }
//! }
//! impl Insight for Switch {}
//!
//! let recorder = Recorder::new();
//! let mut client = recorder.client();
//! client.perform(true, || false); // it was off
//! client.perform(true, || false); // it was off again?
//! drop(client);
//! let verdict = check_operations(&Switch, &recorder.operations(), &Budget::unlimited());
//! assert_eq!(verdict.validity, Validity::Invalid);
//! assert_eq!(verdict.anomalies[0].operations.len(), 2);
//! ```
//!
//! That is enough to be right. The hints of [`Model`] (`inert`, `overwrites`, `target`, `source`) make the search
//! cheaper; a wrong hint makes it wrong, so test each against all states, as the models here do. `key` cuts a
//! history into independent objects: each is judged by itself, in parallel. [`Insight`] is where a quicker
//! algorithm goes, and the words for an anomaly.
//!
//! # 5. Verdicts
//!
//! - `valid`: there is an order. Every operation was examined; [`Verdict::figures`] say how many.
//! - `invalid`: no order explains the history. The proof is in [`Verdict::anomalies`]: a **witness**, a few operations
//!   that no order explains *whatever all others did*. To release an operation is to let it happen at any time or never,
//!   with any answer; with all but the witness released there still is no order, and releasing any member of it
//!   gives one. (To delete an operation instead would prove every read guilty, without its write.) The guilty
//!   one is that at whose return no order was left. `prefix_end` is where the shortest failing prefix of
//!   the log ends, `partial_linearization` how far an order goes.
//! - `unknown`: not decided, and [`Verdict::why`] says why: time, memory, or nothing there to judge. It is not a
//!   pass. More time may help; unique values, or fewer clients on one object, help more.
//!
//! # 6. Objects in this process
//!
//! [`crate::recorder`] stamps what threads do to an object of your own; `examples/queue.rs` of the project
//! finds a race in a queue so.
//!
//! [`Model`]: elenchus_core::model::Model
//! [`Outcome`]: elenchus_core::outcome::Outcome
//! [`Verdict::why`]: elenchus_core::verdict::Verdict::why
//! [`Verdict::figures`]: elenchus_core::verdict::Verdict::figures
//! [`Verdict::anomalies`]: elenchus_core::verdict::Verdict::anomalies
//! [`Insight`]: crate::linearizability::Insight
