//! What a leader owes: answers to the writes in its log and to the reads it has begun.
//!
//! A leader that loses office does not know what becomes of the entries in its log. It says so
//! ([`Answer::InDoubt`]); only for reads, which change nothing, may it say that they were not done.

use std::collections::BTreeMap;

use crate::bug::{Bug, Bugs};
use crate::protocol::{Connection, Peer};
use crate::raft::ReadId;
use crate::raft::entry::{Index, Term};
use crate::replica::envelope::Stamp;
use crate::wire::{Answer, Command};

/// Who is to be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// A client of this node.
    Client { connection: Connection, id: u64 },
    /// A node that forwarded.
    Node { peer: Peer, stamp: Stamp },
}

/// The term in which this server leads, and what it owes there.
#[derive(Clone, Debug)]
pub(super) struct Office {
    pub term: Term,
    writes: BTreeMap<Index, Origin>,
    reads: BTreeMap<ReadId, (Origin, Vec<Command>)>,
    changes: Vec<(Index, Origin)>,
    next_read: u64,
}

impl Office {
    pub fn new(term: Term) -> Office {
        Office { term, writes: BTreeMap::new(), reads: BTreeMap::new(), changes: Vec::new(), next_read: 0 }
    }

    /// How many answers are owed.
    pub fn owed(&self) -> usize {
        self.writes.len() + self.reads.len() + self.changes.len()
    }

    /// The entry at `index` is to be answered when it is applied.
    pub fn owe_write(&mut self, index: Index, origin: Origin) {
        self.writes.insert(index, origin);
    }

    /// A read is to be answered when it is confirmed.
    pub fn owe_read(&mut self, origin: Origin, commands: Vec<Command>) -> ReadId {
        self.next_read += 1;
        let read = ReadId(self.next_read);
        self.reads.insert(read, (origin, commands));
        read
    }

    /// The change of the membership at `index` is to be answered when it is done.
    pub fn owe_change(&mut self, index: Index, origin: Origin) {
        self.changes.push((index, origin));
    }

    /// Whom to answer once the configuration at `index` is committed and not joint.
    pub fn take_changes(&mut self, index: Index) -> Vec<Origin> {
        self.changes.extract_if(.., |(begun, _)| *begun <= index).map(|(_, origin)| origin).collect()
    }

    /// Whom to answer for the entry at `index`.
    pub fn take_write(&mut self, index: Index) -> Option<Origin> {
        self.writes.remove(&index)
    }

    /// Whom to answer for a read.
    pub fn take_read(&mut self, read: ReadId) -> Option<(Origin, Vec<Command>)> {
        self.reads.remove(&read)
    }

    /// Nobody listens there any more.
    pub fn closed(&mut self, gone: Connection) {
        let stays =
            |origin: &Origin| !matches!(origin, Origin::Client { connection, .. } if *connection == gone);
        self.writes.retain(|_, origin| stays(origin));
        self.changes.retain(|(_, origin)| stays(origin));
        self.reads.retain(|_, (origin, _)| stays(origin));
    }

    /// Leaves office: what to say to whom.
    pub fn leave(self, bugs: Bugs) -> impl Iterator<Item = (Origin, Answer)> {
        let term = self.term;
        let doubt = move |origin| {
            let why = format!("the leader of term {term} lost office before the entry was committed");
            if bugs.has(Bug::DoubtAsFailure) {
                return (origin, Answer::NotDone { why });
            }
            (origin, Answer::InDoubt { why })
        };
        let refuse = move |(origin, _)| {
            let why = format!("the leader of term {term} lost office before it could confirm the read");
            (origin, Answer::NotDone { why })
        };
        let changes = self.changes.into_iter().map(|(_, origin)| origin);
        self.writes.into_values().chain(changes).map(doubt).chain(self.reads.into_values().map(refuse))
    }
}
