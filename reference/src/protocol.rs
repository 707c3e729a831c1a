//! The boundary between a replica and whatever carries its bytes: a node with real sockets and files, or a
//! simulator.
//!
//! A [`Replica`] is a deterministic state machine without IO. Its driver hands it one [`Input`] at a time,
//! with the node's own (skewable) clock, and then carries out the [`Output`]s **in their order**. Nothing
//! here is particular to Raft.

use serde::{Deserialize, Serialize};

/// A node's position in its cluster: `0..nodes`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Peer(pub u16);

/// Nanoseconds on the node's own clock, which may jump and drift.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Tick(pub u64);

/// One client's connection to this node, numbered by the driver, never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Connection(pub u64);

/// Names a timer of the replica; setting it again replaces it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timer(pub u32);

/// Numbers the replica's syncs, upwards from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SyncId(pub u64);

/// What happens to a replica.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// The first input, always: all files of the data folder, whole, as the crash (or nothing) left them.
    Restart {
        /// Name and contents.
        files: Vec<(String, Vec<u8>)>,
    },
    /// A message of a peer: one frame's payload.
    Message {
        /// Who sent it.
        from: Peer,
        /// The payload.
        bytes: Vec<u8>,
    },
    /// A message of a client: one frame's payload.
    Request {
        /// On which connection; replies go there.
        connection: Connection,
        /// The payload.
        bytes: Vec<u8>,
    },
    /// A client's connection is gone; nothing can be replied there.
    Closed {
        /// Which.
        connection: Connection,
    },
    /// A timer that was set has come due, by the node's clock. Timer 0 also rings when the clock was set
    /// anew: a timer that rings too early must do no harm.
    Timer(Timer),
    /// Everything written before the [`Output::Sync`] of this number is durable.
    Synced(SyncId),
}

/// What a replica wants done. Writes are volatile until a sync that follows them is reported durable; the
/// replica itself holds back whatever depends on that.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "where lines are told, most outputs are lines")]
pub enum Output {
    /// Send to a peer; may be lost, delayed, duplicated, reordered.
    Send {
        /// To whom.
        to: Peer,
        /// The payload of one frame.
        bytes: Vec<u8>,
    },
    /// Send to a client.
    Reply {
        /// On which connection.
        connection: Connection,
        /// The payload of one frame.
        bytes: Vec<u8>,
    },
    /// Report [`Input::Timer`] once the node's clock shows `at`. Replaces an earlier setting.
    SetTimer {
        /// Which.
        timer: Timer,
        /// When, on the node's clock.
        at: Tick,
    },
    /// Write these bytes at this offset; the file grows as needed and is made if it is not there.
    Write {
        /// File name in the data folder.
        file: String,
        /// Where.
        offset: u64,
        /// What.
        bytes: Vec<u8>,
    },
    /// Cut the file to this length.
    Truncate {
        /// File name.
        file: String,
        /// Its new length.
        length: u64,
    },
    /// Make all that was written to this file durable (its name as well), then report [`Input::Synced`].
    Sync {
        /// The number to report.
        id: SyncId,
        /// File name.
        file: String,
    },
    /// Put one file in another's place, atomically and durably. The source is synced before.
    Rename {
        /// The file.
        from: String,
        /// Its new name; a file of that name is replaced.
        to: String,
    },
    /// Remove a file.
    Remove {
        /// File name.
        file: String,
    },
    /// One line of the node's trace. It must reach the kernel before any later output acts.
    Trace(elenchus_core::trace::Line),
    /// The replica cannot go on (its files are damaged): print this and end with an error.
    Halt(String),
}

/// A protocol's state machine, whole: consensus core, log encoding, key-value state, client sessions.
pub trait Replica {
    /// Takes one input at `now` on the node's clock and appends what is to be done, in order.
    fn step(&mut self, now: Tick, input: Input, out: &mut Vec<Output>);

    /// Where the replica stands, for whoever asks who leads.
    fn status(&self) -> Status;
}

/// Where a replica stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Status {
    /// `leader`, `follower`, `candidate`, `pre-candidate`.
    pub role: String,
    /// Its term.
    pub term: u64,
    /// Who it believes leads, if it believes so.
    pub leader: Option<Peer>,
    /// How far it knows the log to be committed.
    pub commit: u64,
    /// How far it has applied the log.
    pub applied: u64,
    /// The last index of its log.
    pub last: u64,
}
