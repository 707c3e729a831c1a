//! Replication: how entries get from the leader's log into the others', and when they are committed.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::bug::Bug;
use crate::protocol::Peer;
use crate::raft::entry::{Entry, EntryId, Index, Term};
use crate::raft::message::Body;
use crate::raft::snapshot::Outgoing;
use crate::raft::{Effects, Raft, Role};

/// After how many heartbeats without an answer what was sent is held for lost.
const QUIET_BEATS_MAX: u8 = 2;

/// What a leader knows of a follower.
///
/// Invariant: `matched < next`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Follower {
    /// The follower's log equals the leader's up to here, durably.
    pub matched: Index,
    /// The first entry of the next AppendEntries.
    pub next: Index,
    pub mode: Mode,
    /// For each unanswered AppendEntries, what its answer will say to match.
    pub sent: VecDeque<Index>,
    /// How many heartbeats ago the follower last answered, while an answer is awaited.
    pub quiet: u8,
    /// The latest round that the follower confirmed (section 6.4).
    pub round: u64,
    /// Whether it was heard since the leader last counted (section 6.2).
    pub active: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Mode {
    /// Where its log departs from the leader's is not known: one AppendEntries at a time.
    Probe,
    /// It is: entries are sent before earlier ones are acknowledged.
    Replicate,
    /// It needs entries that the leader no longer has.
    Snapshot(Outgoing),
}

impl Follower {
    pub fn new(next: Index) -> Follower {
        Follower {
            matched: Index(0),
            next,
            mode: Mode::Probe,
            sent: VecDeque::new(),
            quiet: 0,
            round: 0,
            active: true,
        }
    }

    /// Begins again behind what is known to match.
    fn probe(&mut self, next: Index) {
        self.mode = Mode::Probe;
        self.next = next.max(self.matched.next());
        self.sent.clear();
        self.quiet = 0;
    }
}

impl Raft {
    /// Appends an entry to the leader's log and sends it; its index, or `None` when this is no leader or hands
    /// its office over.
    pub fn propose(&mut self, data: Arc<[u8]>, fx: &mut Effects) -> Option<Index> {
        if !self.is_leader() || self.transferring().is_some() {
            return None;
        }
        self.push(Entry { term: self.term, data }, fx);
        self.replicate_all(fx);
        Some(self.log.last_index())
    }

    /// It is time for a leader to say that it lives; what stayed unanswered for long is sent again.
    pub fn heartbeat_timeout(&mut self, fx: &mut Effects) {
        let Role::Leader(leader) = &mut self.role else { return };
        let mut lost = Vec::new();
        for (peer, follower) in &mut leader.followers {
            let waits = !follower.sent.is_empty() || matches!(follower.mode, Mode::Snapshot(_));
            follower.quiet = if waits { follower.quiet + 1 } else { 0 };
            if follower.quiet >= QUIET_BEATS_MAX {
                lost.push(*peer);
            }
        }
        self.beat(fx);
        for peer in lost {
            self.send_again(peer, fx);
        }
        self.retire(fx);
    }

    fn send_again(&mut self, to: Peer, fx: &mut Effects) {
        let Role::Leader(leader) = &mut self.role else { return };
        let Some(follower) = leader.followers.get_mut(&to) else { return };
        if let Mode::Snapshot(outgoing) = &follower.mode {
            follower.quiet = 0;
            fx.send(to, self.term, outgoing.chunk(self.config.chunk_bytes));
        } else {
            follower.probe(follower.matched.next());
            self.replicate(to, fx);
        }
    }

    pub(super) fn replicate_all(&mut self, fx: &mut Effects) {
        let Role::Leader(leader) = &self.role else { return };
        for peer in leader.followers.keys().copied().collect::<Vec<_>>() {
            self.replicate(peer, fx);
        }
    }

    /// Sends `to` what it lacks, as far as what it has not yet answered allows.
    pub(super) fn replicate(&mut self, to: Peer, fx: &mut Effects) {
        let Role::Leader(leader) = &mut self.role else { return };
        let Some(follower) = leader.followers.get_mut(&to) else { return };
        loop {
            let ready = match follower.mode {
                Mode::Probe => follower.sent.is_empty(),
                Mode::Replicate => {
                    follower.sent.len() < self.config.appends_in_flight_max
                        && follower.next <= self.log.last_index()
                }
                Mode::Snapshot(_) => false,
            };
            if !ready {
                return;
            }
            let index = follower.next.previous();
            let Some(term) = self.log.term_at(index) else {
                return self.send_snapshot(to, fx);
            };
            let entries = self.log.batch(follower.next, self.config.append_bytes_max);
            let end = Index(index.0 + entries.len() as u64);
            follower.sent.push_back(end);
            if follower.mode == Mode::Replicate {
                follower.next = end.next();
            }
            let previous = EntryId { term, index };
            fx.send(to, self.term, Body::AppendEntries { previous, entries, commit: self.commit });
        }
    }

    /// A follower's part of AppendEntries (section 3.5).
    pub(super) fn append(
        &mut self,
        from: Peer,
        previous: EntryId,
        entries: Vec<Entry>,
        commit: Index,
        fx: &mut Effects,
    ) {
        let matched = Index(previous.index.0 + entries.len() as u64);
        let base = self.log.base().index;
        // What the base covers is committed, so it stands in the leader's log as well.
        let covered = base.0.saturating_sub(previous.index.0);
        let found = self.log.term_at(previous.index);
        let matches = match found {
            Some(term) => term == previous.term || self.config.bugs.has(Bug::AppendSkipsPrevCheck),
            None => false,
        };
        if covered == 0 && !matches {
            let conflict = found;
            let hint = match conflict {
                Some(_) => self.log.first_of_term_at(previous.index),
                None => self.log.last_index().next(),
            };
            let body = Body::AppendRejected { previous: previous.index, conflict, hint };
            return fx.send(from, self.term, body);
        }
        if self.config.bugs.has(Bug::AppendTruncatesMatching) {
            let snapshot = self.snapshot.as_ref().map_or(base, |snapshot| snapshot.last.index);
            self.cut(previous.index.max(snapshot).next(), fx);
        }
        let mut index = previous.index;
        for entry in entries {
            index = index.next();
            if index > base && !self.take(index, entry, fx) {
                return;
            }
        }
        self.advance_to(commit.min(matched));
        fx.send(from, self.term, Body::Appended { matched: matched.max(base) });
    }

    /// Puts the leader's entry at `index`, unless it stands there; false if that would undo a commitment.
    fn take(&mut self, index: Index, entry: Entry, fx: &mut Effects) -> bool {
        match self.log.term_at(index) {
            Some(term) if term == entry.term => return true,
            Some(term) => {
                if index <= self.commit {
                    fx.contradiction = Some(format!(
                        "entry {index} of term {term} is committed here, but the leader of term {} has one of \
                         term {} in its place: this node or another lost what it promised to keep",
                        self.term, entry.term
                    ));
                    return false;
                }
                self.cut(index, fx);
            }
            None => {}
        }
        self.push(entry, fx);
        true
    }

    /// Drops the log from `index` on.
    fn cut(&mut self, index: Index, fx: &mut Effects) {
        self.log.truncate(index);
        fx.membership |= self.memberships.truncate(index);
        self.durable = self.durable.min(index.previous());
        fx.truncated = Some(fx.truncated.map_or(index, |first| first.min(index)));
    }

    /// A follower learns how far the log is committed; its own log reaches at least as far.
    pub(super) fn advance_to(&mut self, commit: Index) {
        self.commit = self.commit.max(commit.min(self.log.last_index()));
    }

    pub(super) fn appended(&mut self, from: Peer, matched: Index, fx: &mut Effects) {
        let last = self.log.last_index();
        let Role::Leader(leader) = &mut self.role else { return };
        let Some(follower) = leader.followers.get_mut(&from) else { return };
        follower.active = true;
        if matched > last || matched < follower.matched {
            return;
        }
        follower.quiet = 0;
        let hasty = self.config.bugs.has(Bug::MatchFromNext);
        let matched = if hasty { matched.max(follower.next.previous()) } else { matched };
        follower.matched = matched;
        let catching_up = matches!(&follower.mode, Mode::Snapshot(outgoing) if matched < outgoing.last());
        if !catching_up {
            if follower.mode == Mode::Replicate {
                while follower.sent.front().is_some_and(|end| *end <= matched) {
                    follower.sent.pop_front();
                }
                follower.next = follower.next.max(matched.next());
            } else {
                follower.probe(matched.next());
                follower.mode = Mode::Replicate;
            }
        }
        self.advance_commit(fx);
        self.advance_transfer(fx);
        self.replicate(from, fx);
    }

    /// The follower's log departs from the leader's before `previous`. The next attempt skips a whole term
    /// of conflicting entries at a time (section 3.5, at its end).
    pub(super) fn append_rejected(
        &mut self,
        from: Peer,
        previous: Index,
        conflict: Option<Term>,
        hint: Index,
        fx: &mut Effects,
    ) {
        let Role::Leader(leader) = &mut self.role else { return };
        let Some(follower) = leader.followers.get_mut(&from) else { return };
        follower.active = true;
        let current = match follower.mode {
            Mode::Probe => previous == follower.next.previous(),
            Mode::Replicate => previous > follower.matched,
            Mode::Snapshot(_) => false,
        };
        if !current {
            return;
        }
        let shared = conflict.and_then(|term| self.log.last_of_term(term)).filter(|index| *index < previous);
        let next = shared.map_or(hint, Index::next).min(previous);
        follower.probe(next);
        self.replicate(from, fx);
    }

    /// Commits what a majority holds, if it is of this term (section 3.6.2, figure 3.7: an older entry may
    /// still be overwritten, whatever number of servers hold it).
    pub(super) fn advance_commit(&mut self, fx: &mut Effects) {
        let Role::Leader(leader) = &self.role else { return };
        let bugs = self.config.bugs;
        let own = if bugs.has(Bug::AckBeforeSync) { self.log.last_index() } else { self.durable };
        let holds = |peer: Peer| match leader.followers.get(&peer) {
            Some(follower) => follower.matched,
            None if peer == self.config.me => own,
            None => Index(0),
        };
        let (_, membership) = self.membership();
        let half = bugs.has(Bug::CommitMinority);
        let held = if half { membership.reached_by_half(holds) } else { membership.agreed(holds) };
        let own_term = self.log.term_at(held) == Some(self.term) || bugs.has(Bug::CommitOldTerm);
        if held > self.commit && own_term {
            self.commit = held;
            self.settle_membership(fx);
            self.start_round(fx);
        }
    }
}
