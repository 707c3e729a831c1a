//! What a client of a system can be asked, whatever the system.
//!
//! Workloads speak in these requests and systems answer them: N workloads and M clients, never N × M
//! pieces. A request is sent once, to the client's own node; what is not certain is `info`.

use crate::LocalFuture;
use crate::outcome::{Cause, Outcome};
use crate::process::{NodeId, Process};
use crate::value::Value;

/// What a client offers, and what a workload needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Capability {
    /// `Get`, `Put`, `Cas`, `Append`, `Delete` on single keys.
    Kv,
    /// `Txn`: several of those, atomically, or none of them.
    Txn,
}

/// One request to a store of keys. Keys are text, values are integers or text; an absent key reads as nil.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    /// The value of a key. Answer: [`Response::Value`].
    Get {
        /// The key.
        key: String,
    },
    /// Sets a key. Answer: [`Response::Done`].
    Put {
        /// The key.
        key: String,
        /// Its new value.
        value: Value,
    },
    /// Sets a key to `to` if it is `from` (nil: absent), else is refused. Answer: [`Response::Done`].
    Cas {
        /// The key.
        key: String,
        /// What the key must hold.
        from: Value,
        /// Its new value.
        to: Value,
    },
    /// Adds text to the end of a key's value; an absent key counts as "". Answer: [`Response::Done`].
    Append {
        /// The key.
        key: String,
        /// The text added.
        text: String,
    },
    /// Removes a key. Answer: [`Response::Done`].
    Delete {
        /// The key.
        key: String,
    },
    /// All of these, atomically and in this order; if one is refused, all are. Answer: [`Response::Txn`].
    Txn(Vec<Request>),
}

/// The answer to a [`Request`].
#[derive(Clone, Debug, PartialEq)]
pub enum Response {
    /// What a key holds: an integer, text or nil.
    Value(Value),
    /// It is done.
    Done,
    /// The answers to a transaction's requests, in their order.
    Txn(Vec<Response>),
}

/// One process's connection to one node. It is dropped, and another opened, after an `info`.
///
/// A refusal ([`crate::outcome::Failure::Refused`]) carries what was seen as [`Response::Value`], where
/// the system says so.
pub trait Client {
    /// Sends a request once and awaits its outcome. The caller owns the deadline and may drop the future.
    fn call<'a>(&'a mut self, request: &'a Request) -> LocalFuture<'a, Outcome<Response>>;
}

/// Opens clients of one system.
pub trait Connector {
    /// What the clients offer.
    fn capabilities(&self) -> &[Capability];

    /// A new connection of `process` to `node`. An error means that nothing was sent.
    fn connect<'a>(
        &'a self,
        node: &'a NodeId,
        process: Process,
    ) -> LocalFuture<'a, Result<Box<dyn Client>, Cause>>;
}
