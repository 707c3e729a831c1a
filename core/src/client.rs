//! What a client of a system can be asked, whatever the system.
//!
//! Workloads speak in these requests and systems answer them: N workloads and M clients, never N × M
//! pieces. A request is sent once, to the client's own node; what is not certain is `info`.

use crate::LocalFuture;
use crate::outcome::{Cause, Outcome};
use crate::process::{NodeId, Process};
use crate::value::Value;
use crate::watch::Seen;
use std::time::Duration;

/// What a client offers, and what a workload needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Capability {
    /// `Get`, `Put`, `Cas`, `Delete` on single keys.
    Kv,
    /// `Append` on single keys.
    Append,
    /// `Peek`: reads that the node asked answers by itself, however old what it knows is.
    Peek,
    /// `Txn`: several of `Get`, `Put`, `Cas`, `Delete` (and `Append`, where it is offered), atomically, or none of them.
    Txn,
    /// `Publish`, `Watch`: writes that have revisions, and watches that show them.
    Watch,
    /// `Lock`, `Unlock`: locks held under a lease that the client keeps alive.
    Lock,
    /// Each grant of a lock says its fencing token.
    Fencing,
}

impl Capability {
    /// The name, as campaign files and messages have it.
    pub fn name(self) -> &'static str {
        match self {
            Capability::Kv => "kv",
            Capability::Append => "append",
            Capability::Peek => "peek",
            Capability::Txn => "txn",
            Capability::Lock => "lock",
            Capability::Fencing => "fencing",
            Capability::Watch => "watch",
        }
    }
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
    /// Sets a key as [`Request::Put`] does, and says at which revision. Answer: [`Response::Revision`].
    Publish {
        /// The key.
        key: String,
        /// Its new value.
        value: Value,
    },
    /// Shows the changes of all keys that begin so, from a revision on, until there were so many or it lasted so long.
    /// It changes nothing. Answer: [`Response::Seen`].
    Watch {
        /// How the keys begin.
        prefix: String,
        /// The first revision shown; the store's first is 1.
        from: i64,
        /// After so many changes it ends; a revision is never shown in part.
        changes_max: usize,
        /// After so long it ends.
        time_max: Duration,
    },
    /// The value of a key as the node asked knows it, however old that is. Answer: [`Response::Value`].
    Peek {
        /// The key.
        key: String,
    },
    /// Waits until this client holds the lock, and holds it from then on: the client keeps its lease alive in the
    /// background until it is asked to [`Request::Unlock`], or is dropped. Answer: [`Response::Granted`].
    ///
    /// Whoever does not see a grant does not hold the lock. A client that gives up waiting therefore fails for certain,
    /// once the system has confirmed that it will not grant the lock to it any more; until then it is in doubt.
    Lock {
        /// The lock.
        key: String,
        /// How long the lock outlives its last sign of life; a system may choose longer.
        ttl: Duration,
        /// How long to wait.
        wait: Duration,
    },
    /// Holds the lock no longer, whatever comes of it: where the request does not end the lock, its lease does, for the
    /// keep-alive ends too; that is a doubt. Answer: [`Response::Done`].
    Unlock {
        /// The lock.
        key: String,
    },
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
    /// It is done, at this revision, if the system says at which.
    Revision(Option<i64>),
    /// What a watch has shown; its keys are text.
    Seen(Seen),
    /// The lock is held, under this fencing token: larger than those of all grants that were seen before the lock was
    /// asked for. `None` where the system gives none.
    Granted(Option<i64>),
}

/// One process's connection to one node. It is dropped, and another opened, after an `info`. What it does in the
/// background (keeping a lease alive) ends with it.
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

    /// How long opening a connection may take. It is part of an operation's time, so shorter than that.
    fn connect_limit(&self) -> Duration {
        Duration::from_secs(1)
    }

    /// A new connection of `process` to `node`. An error means that nothing was sent.
    fn connect<'a>(
        &'a self,
        node: &'a NodeId,
        process: Process,
    ) -> LocalFuture<'a, Result<Box<dyn Client>, Cause>>;
}
