//! What a client and a node of a bundled cluster say to each other, as JSON in frames.
//!
//! A client speaks to its own node only; the node forwards to the leader. Writes belong to a session
//! (Ongaro 2014, section 6.3) so that a command sent twice is applied once; reads need none. A change of the
//! membership or of the leader needs none either: asked for twice, it finds itself done.

use serde::{Deserialize, Serialize};

use crate::protocol::Peer;

/// A value in the store. An absent key has none (`null`).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Datum {
    /// A number.
    Int(i64),
    /// Text.
    Text(String),
}

/// One command on one key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Command {
    /// The key's value.
    Get {
        /// The key.
        key: String,
    },
    /// Sets the key.
    Put {
        /// The key.
        key: String,
        /// Its new value.
        value: Datum,
    },
    /// Sets the key if it holds `from` (`None`: if it is absent), else refuses and says what it holds.
    Cas {
        /// The key.
        key: String,
        /// What it must hold.
        from: Option<Datum>,
        /// Its new value.
        to: Datum,
    },
    /// Adds text to the end of the key's text; absent counts as "". Refused on a number.
    Append {
        /// The key.
        key: String,
        /// The text.
        text: String,
    },
    /// Removes the key.
    Delete {
        /// The key.
        key: String,
    },
}

/// A client's message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum ToNode {
    /// Opens a session: answered by [`Answer::Session`].
    Register {
        /// Numbers the request on its connection.
        id: u64,
    },
    /// Reads, linearizably, in one instant: only `Get`s. Answered by [`Answer::Done`].
    Read {
        /// Numbers the request on its connection.
        id: u64,
        /// What to read.
        commands: Vec<Command>,
    },
    /// Changes, atomically, all of `commands` or none. The same session and number are applied once.
    Write {
        /// Numbers the request on its connection.
        id: u64,
        /// The session, as [`Answer::Session`] named it.
        session: u64,
        /// The number of this command in its session, upwards from 1. A larger number says that the
        /// answers to all smaller ones arrived.
        number: u64,
        /// What to change; one command or a transaction.
        commands: Vec<Command>,
    },
    /// Where the node stands: answered by [`Answer::Status`], never forwarded. Needs no quorum.
    Status {
        /// Numbers the request on its connection.
        id: u64,
    },
    /// Makes the node's clock lie: it then reads `true time + offset_ns`, and gains `rate_ppm` on it from
    /// now on; strobing shows the offset only every other `strobe_ms`. All zero is the truth. Answered by
    /// [`Answer::Status`].
    Clock {
        /// Numbers the request on its connection.
        id: u64,
        /// Nanoseconds ahead of the true time.
        offset_ns: i64,
        /// Parts per million too fast.
        rate_ppm: i64,
        /// Milliseconds between jumps to and fro; 0 is steady.
        strobe_ms: u64,
    },
    /// The configuration that the node has in force: answered by [`Answer::Configuration`], never forwarded.
    /// Needs no quorum.
    Configuration {
        /// Numbers the request on its connection.
        id: u64,
    },
    /// Changes who takes part. Answered by [`Answer::Configuration`] once the new one is committed;
    /// [`Answer::NotDone`] if the leader refuses to begin.
    Change {
        /// Numbers the request on its connection.
        id: u64,
        /// Who is to vote. Whoever has no vote yet must be a learner that has caught up.
        voters: Vec<Peer>,
        /// Who is to get the log without a vote.
        learners: Vec<Peer>,
        /// Whether to go through a joint configuration; else at most one voter comes or goes.
        joint: bool,
    },
    /// Lets the leader hand its office over. Answered by [`Answer::Done`] once `to` leads.
    Transfer {
        /// Numbers the request on its connection.
        id: u64,
        /// The successor, a voter.
        to: Peer,
    },
}

/// A node's message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ToClient {
    /// The request that this answers.
    pub id: u64,
    /// The answer.
    pub answer: Answer,
}

/// What a node answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Answer {
    /// The session is open.
    Session {
        /// Its number.
        session: u64,
    },
    /// Done; one result a command, `None` where there is nothing to say or the key is absent.
    Done {
        /// The results, in the commands' order.
        results: Vec<Option<Datum>>,
    },
    /// Nothing was changed: the command at `at` found what it did not expect.
    Refused {
        /// Which command.
        at: usize,
        /// What the key holds.
        saw: Option<Datum>,
    },
    /// Certainly not done now or later by this request, for a reason that may pass (no leader known, the
    /// leader was not reachable before anything was proposed): the client may send it again.
    NotDone {
        /// Why.
        why: String,
    },
    /// Perhaps done (the leader lost office with the entry in its log): the client may send it again in
    /// the same session with the same number, and otherwise knows nothing.
    InDoubt {
        /// Why.
        why: String,
    },
    /// The session is not known (any more): the command was not applied by this request, but an earlier
    /// sending of it may have been.
    NoSession,
    /// Where the node stands.
    Status {
        /// The replica's state.
        status: crate::protocol::Status,
        /// How far the node's clock is ahead of the true time now, in nanoseconds.
        clock_offset_ns: i64,
    },
    /// Who takes part.
    Configuration {
        /// Who votes.
        voters: Vec<Peer>,
        /// Who voted in the configuration that is being left, if a joint one is in force.
        outgoing: Vec<Peer>,
        /// Who gets the log without a vote.
        learners: Vec<Peer>,
        /// The index of its entry, 0 for the one that the cluster began with.
        index: u64,
        /// Whether the node knows it to be committed.
        committed: bool,
    },
}
