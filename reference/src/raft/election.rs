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
        if !self.may_stand() {
            return;
        }
        if self.config.pre_vote { self.ask_pre_votes(fx) } else { self.campaign(false, fx) }
    }

    /// No leader was heard for the minimum election timeout: another one may be wanted (section 4.2.3).
    pub fn lease_timeout(&mut self) {
        self.heard = false;
    }

    /// An election timeout has passed since a leader last looked whether a majority answers it. Without
    /// one it leaves office, so that its clients learn of it (section 6.2).
    pub fn quorum_timeout(&mut self, fx: &mut Effects) {
        self.count_transfer();
        let Role::Leader(leader) = &mut self.role else { return };
        let mut active = BTreeSet::from([self.config.me]);
        for (peer, follower) in &mut leader.followers {
            if std::mem::take(&mut follower.active) {
                active.insert(*peer);
            }
        }
        if !self.is_quorum(&active) && !self.config.bugs.has(Bug::StaleRead) {
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
        // A lease that rests on this server does not end with the term.
        self.heard &= self.config.lease;
        self.incoming = None;
        fx.turns.push(self.stand());
    }

    fn ask_pre_votes(&mut self, fx: &mut Effects) {
        self.role = Role::PreCandidate(BTreeSet::from([self.config.me]));
        fx.turns.push(self.stand());
        if self.is_quorum(&BTreeSet::from([self.config.me])) {
            return self.campaign(false, fx);
        }
        let last = self.last();
        for peer in self.other_voters() {
            fx.send(peer, self.term, Body::PreVote { last });
        }
    }

    /// Stands for election; `transfer`: because the leader wants it.
    pub(super) fn campaign(&mut self, transfer: bool, fx: &mut Effects) {
        self.term = self.term.next();
        self.vote = Some(self.config.me);
        fx.hard_state = true;
        self.role = Role::Candidate(BTreeSet::from([self.config.me]));
        fx.turns.push(self.stand());
        let last = self.last();
        for peer in self.other_voters() {
            fx.send(peer, self.term, Body::RequestVote { last, transfer });
        }
    }

    /// This server's vote in `term` is on its disk. Where it is a majority alone, it leads now and not before:
    /// a leader's messages do not wait, and after a crash it must not lead the same term again.
    pub fn voted(&mut self, term: Term, fx: &mut Effects) {
        let Role::Candidate(votes) = &self.role else { return };
        let votes = votes.clone();
        if term == self.term && self.is_quorum(&votes) {
            self.become_leader(fx);
        }
    }

    /// Whether these are a majority of the configuration in force. Whoever has no vote there does not count,
    /// be it this server itself (section 4.2.2).
    fn is_quorum(&self, servers: &BTreeSet<Peer>) -> bool {
        self.membership().1.is_quorum(|peer| servers.contains(&peer))
    }

    fn other_voters(&self) -> impl Iterator<Item = Peer> + use<> {
        let me = self.config.me;
        self.membership().1.all_voters().into_iter().filter(move |peer| *peer != me)
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
            let votes = votes.clone();
            if self.is_quorum(&votes) {
                fx.patience = true;
                self.campaign(false, fx);
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
            let votes = votes.clone();
            if self.is_quorum(&votes) {
                self.become_leader(fx);
            }
        }
    }

    fn become_leader(&mut self, fx: &mut Effects) {
        let first = self.log.last_index().next();
        let others = self.membership().1.members().into_iter().filter(|peer| *peer != self.config.me);
        let followers: BTreeMap<_, _> = others.map(|peer| (peer, Follower::new(first))).collect();
        let reads = Reads::default();
        self.role = Role::Leader(Leader { followers, first, reads, transfer: None, trusts_lease: true });
        self.leader = Some(self.config.me);
        self.heard = false;
        fx.turns.push(self.stand());
        // Entries of earlier terms are committed only together with one of this term (section 3.6.2), so
        // it begins with one that means nothing.
        self.push(Entry { term: self.term, data: [].into() }, fx);
        self.replicate_all(fx);
    }
}
