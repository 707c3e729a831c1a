//! Reads that do not write to the log: ReadIndex (section 6.4).
//!
//! A leader answers a read from its state only after it has (1) committed an entry of its term, so that it
//! knows what is committed, (2) remembered that index, (3) heard from a majority, after the read arrived,
//! that they know no later leader, and (4) applied up to that index. Rounds of (3) are shared: reads that
//! arrive while one is under way wait for the next.

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
    /// The reads that it is to confirm, and the index that was committed when it began.
    pub asked: Vec<ReadId>,
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

    /// Begins a round for the reads that wait, if none is under way and the leader knows what is committed.
    pub(super) fn start_round(&mut self, fx: &mut Effects) {
        let Role::Leader(leader) = &mut self.role else { return };
        let reads = &mut leader.reads;
        if self.commit < leader.first || !reads.asked.is_empty() || reads.waiting.is_empty() {
            return;
        }
        reads.round += 1;
        reads.index = self.commit;
        reads.asked = std::mem::take(&mut reads.waiting);
        if self.config.majority() == 1 {
            return self.finish_round(fx);
        }
        self.send_heartbeats(fx);
    }

    pub(super) fn send_heartbeats(&mut self, fx: &mut Effects) {
        let Role::Leader(leader) = &self.role else { return };
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
        follower.round = follower.round.max(round);
        let now = leader.reads.round;
        let confirmed = 1 + leader.followers.values().filter(|follower| follower.round >= now).count();
        if confirmed >= self.config.majority() && !leader.reads.asked.is_empty() {
            self.finish_round(fx);
        }
    }

    fn finish_round(&mut self, fx: &mut Effects) {
        let Role::Leader(leader) = &mut self.role else { return };
        let index = leader.reads.index;
        fx.reads.extend(std::mem::take(&mut leader.reads.asked).into_iter().map(|read| (read, index)));
        self.start_round(fx);
    }
}
