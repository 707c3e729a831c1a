//! Reads that do not write to the log: ReadIndex (section 6.4).
//!
//! A leader answers a read from its state only after it has (1) committed an entry of its term, so that it
//! knows what is committed, (2) remembered that index, (3) heard from a majority, after the read arrived,
//! that they know no later leader, and (4) applied up to that index. Rounds of (3) are shared: reads that
//! arrive while one is under way wait for the next.
//!
//! With leases (section 6.4.1) each heartbeat begins a round, and whoever holds the core measures by its own
//! clock how long a confirmed round vouches for (3): no other leader can come as long as those who answered it
//! vote for nobody.

use crate::bug::Bug;
use crate::protocol::Peer;
use crate::raft::entry::Index;
use crate::raft::message::Body;
use crate::raft::{Effects, Raft, ReadId, Role};

/// A leader's reads.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Reads {
    /// The latest round.
    pub round: u64,
    /// The latest that a majority has confirmed.
    pub confirmed: u64,
    /// The reads that await a round, which, and the index that was committed when it began.
    pub asked: Vec<ReadId>,
    pub awaited: u64,
    pub index: Index,
    /// Those that came since.
    pub waiting: Vec<ReadId>,
}

impl Raft {
    /// Begins a read; false when this is no leader. It comes back in [`Effects::reads`], unless the leader
    /// leaves office.
    pub fn read(&mut self, read: ReadId, fx: &mut Effects) -> bool {
        let Role::Leader(leader) = &mut self.role else { return false };
        if self.config.bugs.has(Bug::StaleRead) && self.commit >= leader.first {
            fx.reads.push((read, self.commit));
            return true;
        }
        leader.reads.waiting.push(read);
        self.start_round(fx);
        true
    }

    /// As [`Raft::read`], while a lease vouches that nobody else leads: the answer needs no round.
    pub fn read_by_lease(&mut self, read: ReadId, fx: &mut Effects) -> bool {
        match &self.role {
            Role::Leader(leader) if leader.trusts_lease && self.commit >= leader.first => {
                fx.reads.push((read, self.commit));
                true
            }
            _ => self.read(read, fx),
        }
    }

    /// Begins a round for the reads that wait, if none is under way and the leader knows what is committed.
    pub(super) fn start_round(&mut self, fx: &mut Effects) {
        let Role::Leader(leader) = &mut self.role else { return };
        let knows = self.commit >= leader.first || self.config.bugs.has(Bug::ReadIndexBeforeOwnCommit);
        let reads = &mut leader.reads;
        if !knows || !reads.asked.is_empty() || reads.waiting.is_empty() {
            return;
        }
        reads.round += 1;
        reads.awaited = reads.round;
        reads.index = self.commit;
        reads.asked = std::mem::take(&mut reads.waiting);
        self.send_heartbeats(fx);
        self.confirm(fx);
    }

    /// The heartbeats that are due by time rather than for a read.
    pub(super) fn beat(&mut self, fx: &mut Effects) {
        let Role::Leader(leader) = &mut self.role else { return };
        leader.reads.round += u64::from(self.config.lease);
        self.send_heartbeats(fx);
        // A majority may have become smaller.
        self.confirm(fx);
    }

    pub(super) fn send_heartbeats(&mut self, fx: &mut Effects) {
        let Role::Leader(leader) = &self.role else { return };
        fx.round = Some(leader.reads.round);
        for (peer, follower) in &leader.followers {
            let sure = !self.config.bugs.has(Bug::HeartbeatCommitsUnmatched);
            let commit = if sure { self.commit.min(follower.matched) } else { self.commit };
            fx.send(*peer, self.term, Body::Heartbeat { commit, round: leader.reads.round });
        }
    }

    pub(super) fn confirm_round(&mut self, from: Peer, round: u64, fx: &mut Effects) {
        let Role::Leader(leader) = &mut self.role else { return };
        let Some(follower) = leader.followers.get_mut(&from) else { return };
        follower.active = true;
        follower.round = follower.round.max(round.min(leader.reads.round));
        self.confirm(fx);
    }

    /// Looks up to which round a majority has answered, and lets the reads go that waited for that.
    fn confirm(&mut self, fx: &mut Effects) {
        let (me, (_, membership)) = (self.config.me, self.memberships.current());
        let Role::Leader(leader) = &mut self.role else { return };
        let answered = |peer: Peer| match leader.followers.get(&peer) {
            Some(follower) => follower.round,
            None if peer == me => leader.reads.round,
            None => 0,
        };
        let confirmed = membership.agreed(answered);
        let reads = &mut leader.reads;
        if confirmed > reads.confirmed {
            reads.confirmed = confirmed;
            fx.confirmed = Some(confirmed);
        }
        if reads.asked.is_empty() || reads.confirmed < reads.awaited {
            return;
        }
        let index = reads.index;
        fx.reads.extend(std::mem::take(&mut reads.asked).into_iter().map(|read| (read, index)));
        self.start_round(fx);
    }
}
