//! Snapshots: shortening the log, and bringing a follower up that needs what was cut off (section 5).
//!
//! A snapshot travels in pieces, one unanswered at a time, so that no frame grows with the state. Pieces
//! that have come are kept in memory only: after a restart the sender begins again.

use std::sync::Arc;

use crate::bug::Bug;
use crate::protocol::Peer;
use crate::raft::entry::{EntryId, Index, Snapshot};
use crate::raft::log::Log;
use crate::raft::membership::{Membership, Memberships};
use crate::raft::message::Body;
use crate::raft::replication::Mode;
use crate::raft::{Effects, Raft, Role};

/// A snapshot on its way to a follower. It stays the same one even if a newer is taken meanwhile, else a
/// slow follower would never have a whole one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Outgoing {
    snapshot: Snapshot,
    /// How much the follower has.
    offset: usize,
}

impl Outgoing {
    /// The last index that it covers.
    pub fn last(&self) -> Index {
        self.snapshot.last.index
    }

    /// The next piece.
    pub fn chunk(&self, bytes_max: usize) -> Body {
        let rest = &self.snapshot.data[self.offset..];
        Body::InstallSnapshot {
            last: self.snapshot.last,
            membership: self.snapshot.membership.clone(),
            total: self.snapshot.data.len() as u64,
            offset: self.offset as u64,
            data: rest[..rest.len().min(bytes_max)].to_vec(),
        }
    }
}

/// What has come of a leader's snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Incoming {
    pub last: EntryId,
    pub membership: Option<Arc<Membership>>,
    pub total: u64,
    pub data: Vec<u8>,
}

impl Raft {
    /// Takes `data` as the state after `index`, which has been applied, and drops entries that it covers.
    pub fn compact(&mut self, index: Index, data: Vec<u8>) {
        let Some(term) = self.log.term_at(index).filter(|_| index <= self.commit) else { return };
        let membership = self.memberships.at(index).cloned();
        self.snapshot = Some(Snapshot { last: EntryId { term, index }, membership, data: data.into() });
        self.memberships.compact(index);
        self.log.compact(Index(index.0.saturating_sub(self.config.trailing)));
    }

    /// Begins to send the latest snapshot.
    pub(super) fn send_snapshot(&mut self, to: Peer, fx: &mut Effects) {
        let Some(snapshot) = self.snapshot.clone() else { return };
        let Role::Leader(leader) = &mut self.role else { return };
        let Some(follower) = leader.followers.get_mut(&to) else { return };
        let outgoing = Outgoing { snapshot, offset: 0 };
        fx.send(to, self.term, outgoing.chunk(self.config.chunk_bytes));
        follower.sent.clear();
        follower.quiet = 0;
        follower.mode = Mode::Snapshot(outgoing);
    }

    pub(super) fn send_next_chunk(&mut self, to: Peer, index: Index, offset: u64, fx: &mut Effects) {
        let Role::Leader(leader) = &mut self.role else { return };
        let Some(follower) = leader.followers.get_mut(&to) else { return };
        follower.active = true;
        let Mode::Snapshot(outgoing) = &mut follower.mode else { return };
        let current = outgoing.last() == index && offset <= outgoing.snapshot.data.len() as u64;
        if !current || offset == outgoing.offset as u64 {
            return; // A late or doubled answer. The piece is sent again on a heartbeat.
        }
        let advances = offset > outgoing.offset as u64;
        outgoing.offset = offset as usize;
        // A smaller one is late, or the follower began anew: that the next heartbeat finds out. Were each answered at
        // once, late and doubled answers would beget each other without end.
        if advances {
            follower.quiet = 0;
            fx.send(to, self.term, outgoing.chunk(self.config.chunk_bytes));
        }
    }

    /// A follower's part of InstallSnapshot: `piece.data` belongs at `offset`.
    pub(super) fn receive_chunk(&mut self, from: Peer, piece: Incoming, offset: u64, fx: &mut Effects) {
        let last = piece.last;
        let known = last.index <= self.commit || self.log.term_at(last.index) == Some(last.term);
        if known && !self.config.bugs.has(Bug::SnapshotDropsTail) {
            // The log already holds what it covers, and it is committed.
            self.incoming = None;
            self.advance_to(last.index);
            return fx.send(from, self.term, Body::Appended { matched: last.index });
        }
        let total = piece.total;
        match &mut self.incoming {
            // What came already stays: its first piece may be late, too.
            Some(incoming) if incoming.last == last => {
                if incoming.data.len() as u64 == offset {
                    incoming.data.extend_from_slice(&piece.data);
                }
            }
            _ if offset == 0 => self.incoming = Some(piece),
            _ => self.incoming = None,
        }
        let have = self.incoming.as_ref().map_or(0, |incoming| incoming.data.len() as u64);
        match self.incoming.take_if(|_| have >= total) {
            Some(whole) => self.install(from, whole, fx),
            None => fx.send(from, self.term, Body::SnapshotReceived { index: last.index, offset: have }),
        }
    }

    fn install(&mut self, from: Peer, whole: Incoming, fx: &mut Effects) {
        let last = whole.last;
        let initial = || Membership::initial(self.config.peers).into();
        let membership = whole.membership.unwrap_or_else(initial);
        self.memberships = Memberships::new(last.index, membership.clone());
        fx.membership = true;
        self.snapshot = Some(Snapshot { last, membership: Some(membership), data: whole.data.into() });
        let mut log = Log::new(last);
        if self.config.bugs.has(Bug::SnapshotKeepsStaleLog) {
            for entry in self.log.entries_from(last.index.next()) {
                self.memberships.observe(log.last_index().next(), entry);
                log.push(entry.clone());
            }
        }
        self.log = log;
        self.commit = last.index;
        // Nothing of the new log is on disk yet.
        self.durable = Index(0);
        fx.installed = true;
        fx.send(from, self.term, Body::Appended { matched: last.index });
    }
}
