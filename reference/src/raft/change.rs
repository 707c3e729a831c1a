//! Changes of the membership: one server at a time (section 4.1) or any set through a joint configuration
//! (section 4.3).
//!
//! A leader begins a change only when it has committed an entry of its own term (Ongaro, "bug in
//! single-server membership changes", raft-dev, 2015) and no other change is under way: otherwise two
//! majorities that share no server could decide. New voters were learners before and have caught up (section
//! 4.2.1). Those that leave still get the log until their leaving is committed, so that they learn of it; a
//! leader that leaves manages the cluster until then, without counting itself (section 4.2.2).

use std::collections::BTreeSet;

use thiserror::Error;

use crate::bug::Bug;
use crate::protocol::Peer;
use crate::raft::entry::{Entry, Index};
use crate::raft::membership::Membership;
use crate::raft::replication::{Follower, Mode};
use crate::raft::{Effects, Raft, Role};

/// How many entries a learner that has caught up may lack of what is committed.
const BEHIND_MAX: u64 = 100;

/// Who is to take part.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Change {
    /// Who is to vote.
    pub voters: BTreeSet<Peer>,
    /// Who is to get the log without a vote.
    pub learners: BTreeSet<Peer>,
    /// Whether to go through a joint configuration; else at most one voter comes or goes.
    pub joint: bool,
}

/// Why a change or a transfer is not begun. Nothing has been done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    /// Only a leader can.
    #[error("this server does not lead")]
    NotLeader,
    /// The leader does not know yet what its predecessors committed.
    #[error("the leader has not committed an entry of its term yet")]
    TooEarly,
    /// A configuration is not committed yet, or joint.
    #[error("the configuration of entry {0} is not complete yet")]
    UnderWay(Index),
    /// The leader hands its office over.
    #[error("the leader hands its office over")]
    Transferring,
    /// Nobody would vote.
    #[error("a cluster needs a voter")]
    NoVoters,
    /// There is no such node.
    #[error("there is no node {}", .0.0)]
    Stranger(Peer),
    /// A node cannot be voter and learner.
    #[error("node {} cannot be voter and learner at once", .0.0)]
    Twice(Peer),
    /// More than one voter comes or goes.
    #[error("{0} voters would come or go: only a joint change can do more than one")]
    TooMany(usize),
    /// A new voter must be a learner that has caught up.
    #[error("node {} is no learner that has caught up", .0.0)]
    Behind(Peer),
    /// Only a voter can lead.
    #[error("node {} has no vote", .0.0)]
    NoVoter(Peer),
}

impl Raft {
    /// The configuration in force, and the index of its entry.
    pub fn membership(&self) -> (Index, &Membership) {
        let (index, membership) = self.memberships.current();
        (index, membership)
    }

    /// Begins a change. The index of its entry; once a configuration that is not joint is committed there or
    /// later, the change is done. Asking for what is in force already begins nothing.
    pub fn change(&mut self, change: &Change, fx: &mut Effects) -> Result<Index, Refusal> {
        let next = Membership::of(change.voters.iter().copied(), change.learners.iter().copied());
        let (index, current) = self.memberships.current();
        let current = current.clone();
        self.may_change(index, &current, &next)?;
        let moved = current.voters.symmetric_difference(&next.voters).count();
        if next == *current {
            return Ok(index);
        }
        if moved > 1 && !change.joint {
            return Err(Refusal::TooMany(moved));
        }
        let next = if change.joint { current.joined(&next) } else { next };
        Ok(self.adopt(&next, fx))
    }

    fn may_change(&self, index: Index, current: &Membership, next: &Membership) -> Result<(), Refusal> {
        let Role::Leader(leader) = &self.role else { return Err(Refusal::NotLeader) };
        if leader.transfer.is_some() {
            return Err(Refusal::Transferring);
        }
        if self.commit < leader.first && !self.config.bugs.has(Bug::MembershipBeforeCommit) {
            return Err(Refusal::TooEarly);
        }
        let under_way = index > self.commit && !self.config.bugs.has(Bug::MembershipTwoAtOnce);
        if under_way || current.is_joint() {
            return Err(Refusal::UnderWay(index));
        }
        if next.voters.is_empty() {
            return Err(Refusal::NoVoters);
        }
        if let Some(stranger) = next.members().into_iter().find(|peer| peer.0 >= self.config.peers) {
            return Err(Refusal::Stranger(stranger));
        }
        if let Some(twice) = next.voters.intersection(&next.learners).next() {
            return Err(Refusal::Twice(*twice));
        }
        let behind = |peer: &&Peer| **peer != self.config.me && !self.has_caught_up(**peer);
        match next.voters.difference(&current.voters).find(behind) {
            Some(behind) => Err(Refusal::Behind(*behind)),
            None => Ok(()),
        }
    }

    fn has_caught_up(&self, peer: Peer) -> bool {
        let Role::Leader(leader) = &self.role else { return false };
        leader.followers.get(&peer).is_some_and(|follower| {
            follower.mode == Mode::Replicate && follower.matched.0 + BEHIND_MAX >= self.commit.0
        })
    }

    /// Appends a configuration, which is in force at once.
    fn adopt(&mut self, next: &Membership, fx: &mut Effects) -> Index {
        self.push(Entry { term: self.term, data: next.encode() }, fx);
        let index = self.log.last_index();
        if let Role::Leader(leader) = &mut self.role {
            for peer in next.members().into_iter().filter(|peer| *peer != self.config.me) {
                leader.followers.entry(peer).or_insert_with(|| Follower::new(index));
            }
        }
        self.replicate_all(fx);
        index
    }

    /// More of the log is committed: what follows if the configuration in force is. A joint one is left for
    /// the one that it leads to; whoever is no member any more hears so and then nothing more.
    pub(super) fn settle_membership(&mut self, fx: &mut Effects) {
        let (index, membership) = self.memberships.current();
        if index > self.commit {
            return;
        }
        if membership.is_joint() {
            let next = membership.joined_out();
            self.adopt(&next, fx);
            return;
        }
        let membership = membership.clone();
        let Role::Leader(leader) = &self.role else { return };
        if leader.followers.keys().any(|peer| !membership.contains(*peer)) {
            self.send_heartbeats(fx);
            let Role::Leader(leader) = &mut self.role else { return };
            leader.followers.retain(|peer, _| membership.contains(*peer));
        }
    }

    /// A leader whose leaving is committed hands over and leaves office (section 4.2.2).
    pub(super) fn retire(&mut self, fx: &mut Effects) {
        let (index, membership) = self.memberships.current();
        if !self.is_leader() || index > self.commit || membership.votes(self.config.me) {
            return;
        }
        self.hand_to_the_best(fx);
        self.become_follower(self.term, fx);
    }

    /// Whether this server may stand for election: it has a vote, or had one before its leaving, which may
    /// not be committed. Then it may be the only one that can be elected (figure 4.6); its own vote does not
    /// count.
    pub(super) fn may_stand(&self) -> bool {
        let me = self.config.me;
        let (index, membership) = self.memberships.current();
        let had = || self.memberships.before().is_some_and(|before| before.votes(me));
        membership.votes(me) || (index > self.commit && had())
    }
}
