//! Elections: candidacies, votes, the asking before them, and leaving office without a quorum.

use std::collections::{BTreeMap, BTreeSet};

use crate::bug::Bug;
use crate::protocol::Peer;
use crate::raft::entry::{Entry, EntryId, Term};
use crate::raft::message::Body;
use crate::raft::read::Reads;
use crate::raft::replication::Follower;
use crate::raft::{Effects, Leader, Raft, Role};

impl Raft {
    /// No leader was heard for a randomized election timeout (section 3.4).
    pub fn election_timeout(&mut self, fx: &mut Effects) {
        if self.is_leader() {
            return;
        }
        self.leader = None;
        self.heard = false;
        fx.patience = true;
        if self.config.pre_vote { self.ask_pre_votes(fx) } else { self.campaign(fx) }
    }

    /// No leader was heard for the minimum election timeout: another one may be wanted (section 4.2.3).
    pub fn lease_timeout(&mut self) {
        self.heard = false;
    }

    /// An election timeout has passed since a leader last looked whether a majority answers it. Without
    /// one it leaves office, so that its clients learn of it (section 6.2).
    pub fn quorum_timeout(&mut self, fx: &mut Effects) {
        let Role::Leader(leader) = &mut self.role else { return };
        let mut active = 1;
        for follower in leader.followers.values_mut() {
            active += usize::from(std::mem::take(&mut follower.active));
        }
        if active < self.config.majority() && !self.config.bugs.has(Bug::StaleRead) {
            self.become_follower(self.term, fx);
        }
    }

    /// Leaves whatever role for that of a follower in `term`, whose leader is not known yet.
    pub(super) fn become_follower(&mut self, term: Term, fx: &mut Effects) {
        if term > self.term {
            self.term = term;
            self.vote = None;
            fx.hard_state = true;
        }
        if self.is_leader() {
            // A leader has no election timer running.
            fx.patience = true;
        }
        self.role = Role::Follower;
        self.leader = None;
        self.heard = false;
        self.incoming = None;
        fx.turns.push(self.stand());
    }

    fn ask_pre_votes(&mut self, fx: &mut Effects) {
        self.role = Role::PreCandidate(BTreeSet::from([self.config.me]));
        fx.turns.push(self.stand());
        if self.config.majority() == 1 {
            return self.campaign(fx);
        }
        let last = self.last();
        for peer in self.config.others() {
            fx.send(peer, self.term, Body::PreVote { last });
        }
    }

    fn campaign(&mut self, fx: &mut Effects) {
        self.term = self.term.next();
        self.vote = Some(self.config.me);
        fx.hard_state = true;
        self.role = Role::Candidate(BTreeSet::from([self.config.me]));
        fx.turns.push(self.stand());
        if self.config.majority() == 1 {
            return self.become_leader(fx);
        }
        let last = self.last();
        for peer in self.config.others() {
            fx.send(peer, self.term, Body::RequestVote { last });
        }
    }

    /// `term` is the one that the sender is in, the one before that of its candidacy.
    pub(super) fn answer_pre_vote(&mut self, from: Peer, term: Term, last: EntryId, fx: &mut Effects) {
        let wanted = !self.heard && !self.is_leader();
        let granted = wanted && term >= self.term && self.is_complete(last);
        fx.send(from, self.term, Body::PreVoteResponse { asked: term, granted });
    }

    pub(super) fn count_pre_vote(&mut self, from: Peer, asked: Term, granted: bool, fx: &mut Effects) {
        let Role::PreCandidate(votes) = &mut self.role else { return };
        if granted && asked == self.term {
            votes.insert(from);
            if votes.len() >= self.config.majority() {
                fx.patience = true;
                self.campaign(fx);
            }
        }
    }

    pub(super) fn answer_vote(&mut self, from: Peer, last: EntryId, fx: &mut Effects) {
        let free = self.vote.is_none_or(|vote| vote == from) || self.config.bugs.has(Bug::VoteTwice);
        let granted = free && self.is_complete(last);
        if granted {
            fx.hard_state |= self.vote != Some(from);
            self.vote = Some(from);
            fx.patience = true;
        }
        fx.send(from, self.term, Body::RequestVoteResponse { granted });
    }

    /// The election restriction (section 3.6.1): a leader must hold every committed entry, so its log, which
    /// ends with `last`, is at least as up-to-date as those of its voters.
    fn is_complete(&self, last: EntryId) -> bool {
        last >= self.last() || self.config.bugs.has(Bug::VoteIgnoresLog)
    }

    pub(super) fn count_vote(&mut self, from: Peer, granted: bool, fx: &mut Effects) {
        let Role::Candidate(votes) = &mut self.role else { return };
        if granted {
            votes.insert(from);
            if votes.len() >= self.config.majority() {
                self.become_leader(fx);
            }
        }
    }

    fn become_leader(&mut self, fx: &mut Effects) {
        let first = self.log.last_index().next();
        let followers: BTreeMap<_, _> =
            self.config.others().map(|peer| (peer, Follower::new(first))).collect();
        self.role = Role::Leader(Leader { followers, first, reads: Reads::default() });
        self.leader = Some(self.config.me);
        self.heard = false;
        fx.turns.push(self.stand());
        // Entries of earlier terms are committed only together with one of this term (section 3.6.2), so
        // it begins with one that means nothing.
        self.push(Entry { term: self.term, data: [].into() }, fx);
        self.replicate_all(fx);
    }
}
