//! Raft's consensus core: who leads, what the log holds, how far it is committed (Ongaro 2014).
//!
//! A [`Raft`] is a value. It has no clock, no disk, no bytes and no chance: whoever holds it says when a
//! timer has come due, when its log is durable and what arrived, and finds in [`Effects`] what is to be
//! sent, written, applied and answered. So the same code runs in a node, in a simulator and in a model
//! checker, which compares and hashes it.
//!
//! | module | section of the dissertation |
//! |---|---|
//! | [`entry`], [`log`] | 3.3, 3.5: terms, indices, the log |
//! | [`message`] | what servers say to each other |
//! | `election` | 3.4, 3.6.1, 9.6, 6.2: votes, pre-votes, stepping down without a quorum |
//! | `replication` | 3.5, 3.6.2: entries, conflicts, commitment |
//! | `read` | 6.4: reads without writing to the log |
//! | `snapshot` | 5: compaction, sending and installing snapshots |
//!
//! Deliberately absent: changes of membership (section 4), transfer of leadership (3.10), reads by lease.

mod election;
pub mod entry;
pub mod log;
pub mod message;
mod read;
mod replication;
mod snapshot;

use std::collections::{BTreeMap, BTreeSet};

use crate::bug::{Bug, Bugs};
use crate::protocol::Peer;
use crate::raft::entry::{Entry, EntryId, HardState, Index, Snapshot, Term};
use crate::raft::log::Log;
use crate::raft::message::{Body, Message};
use crate::raft::read::Reads;
use crate::raft::replication::Follower;
use crate::raft::snapshot::Incoming;

/// What does not change while a server runs.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Config {
    /// This server.
    pub me: Peer,
    /// How many servers the cluster has.
    pub peers: u16,
    /// Whether a candidate first asks if it would win (section 9.6).
    pub pre_vote: bool,
    /// How many bytes of entries one AppendEntries carries at most, if it has more than one.
    pub append_bytes_max: usize,
    /// How many unanswered AppendEntries a follower may have. What is proposed while they travel gathers
    /// for the next: few of them make large batches.
    pub appends_in_flight_max: usize,
    /// The size of a snapshot's pieces, in bytes.
    pub chunk_bytes: usize,
    /// How many entries before the last snapshot stay in memory, so that a follower that is a little
    /// behind does not need the snapshot.
    pub trailing: u64,
    /// Its mistakes.
    pub bugs: Bugs,
}

impl Config {
    /// The defaults for server `me` of `peers`.
    pub fn new(me: Peer, peers: u16) -> Config {
        Config {
            me,
            peers,
            pre_vote: true,
            append_bytes_max: 256 << 10,
            appends_in_flight_max: 2,
            chunk_bytes: 512 << 10,
            trailing: 2_000,
            bugs: Bugs::NONE,
        }
    }

    /// The other servers, in order.
    pub fn others(&self) -> impl Iterator<Item = Peer> + use<> {
        let me = self.me;
        (0..self.peers).map(Peer).filter(move |peer| *peer != me)
    }

    /// How many servers are a majority.
    pub fn majority(&self) -> usize {
        usize::from(self.peers) / 2 + 1
    }
}

/// Names a read; numbered by who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReadId(pub u64);

/// What a step asks for. Steps append to it, the holder takes it.
#[derive(Clone, Debug, Default)]
pub struct Effects {
    /// To be sent, in order; those that [`Message::waits_for_disk`] once everything changed so far is
    /// durable.
    pub messages: Vec<(Peer, Message)>,
    /// Term or vote changed: [`Raft::hard_state`] is to be written.
    pub hard_state: bool,
    /// The log was cut: entries from here on were removed.
    pub truncated: Option<Index>,
    /// The log changed: entries from here on are to be written.
    pub written: Option<Index>,
    /// A leader's snapshot replaced log and state: both are to be written and applied anew.
    pub installed: bool,
    /// Reads that may be answered from the state after this index.
    pub reads: Vec<(ReadId, Index)>,
    /// A leader was heard: the election timer and the lease begin anew.
    pub heard: bool,
    /// The election timer begins anew.
    pub patience: bool,
    /// Changes of role, in order.
    pub turns: Vec<Stand>,
    /// What came contradicts what is committed. The server cannot go on.
    pub contradiction: Option<String>,
}

impl Effects {
    fn send(&mut self, to: Peer, term: Term, body: Body) {
        self.messages.push((to, Message { term, body }));
    }
}

/// Where a server stands, for traces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stand {
    /// `follower`, `pre-candidate`, `candidate`, `leader`.
    pub role: &'static str,
    /// Its term.
    pub term: Term,
    /// Its vote in the term.
    pub vote: Option<Peer>,
    /// How far it knows the log to be committed.
    pub commit: Index,
    /// The last index of its log.
    pub last: Index,
}

/// One server's part in the consensus.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Raft {
    config: Config,
    term: Term,
    vote: Option<Peer>,
    role: Role,
    /// Who leads the term, if known.
    leader: Option<Peer>,
    /// Whether a leader was heard within the minimum election timeout; then nobody else is wanted (4.2.3).
    heard: bool,
    log: Log,
    /// Invariant: `log.base() <= commit <= log.last()`, and it never falls.
    commit: Index,
    /// How far the log is on this server's disk.
    durable: Index,
    /// The latest snapshot. Invariant: it covers the log's base.
    snapshot: Option<Snapshot>,
    /// The pieces of a leader's snapshot that have come.
    incoming: Option<Incoming>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Role {
    Follower,
    PreCandidate(BTreeSet<Peer>),
    Candidate(BTreeSet<Peer>),
    Leader(Leader),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Leader {
    followers: BTreeMap<Peer, Follower>,
    /// The index of its no-op: once that is committed, so is everything committed before its term.
    first: Index,
    reads: Reads,
}

impl Raft {
    /// A server as its disk remembers it; all defaults for a new one.
    pub fn new(config: Config, hard: HardState, snapshot: Option<Snapshot>, entries: Vec<Entry>) -> Raft {
        let base = snapshot.as_ref().map(|snapshot| snapshot.last).unwrap_or_default();
        let mut log = Log::new(base);
        entries.into_iter().for_each(|entry| log.push(entry));
        Raft {
            term: if config.bugs.has(Bug::ForgetTerm) { log.last().term } else { hard.term },
            config,
            vote: hard.vote,
            role: Role::Follower,
            leader: None,
            heard: false,
            commit: base.index,
            durable: log.last_index(),
            log,
            snapshot,
            incoming: None,
        }
    }

    /// What must be durable besides the log.
    pub fn hard_state(&self) -> HardState {
        let vote = if self.config.bugs.has(Bug::ForgetVote) { None } else { self.vote };
        HardState { term: self.term, vote }
    }

    /// The configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The current term.
    pub fn term(&self) -> Term {
        self.term
    }

    /// Who leads, if known.
    pub fn leader(&self) -> Option<Peer> {
        self.leader
    }

    /// Whether this server leads.
    pub fn is_leader(&self) -> bool {
        matches!(self.role, Role::Leader(_))
    }

    /// The log.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// How far the log is known to be committed.
    pub fn commit(&self) -> Index {
        self.commit
    }

    /// How far the log is on this server's disk.
    pub fn durable(&self) -> Index {
        self.durable
    }

    /// The latest snapshot.
    pub fn snapshot(&self) -> Option<&Snapshot> {
        self.snapshot.as_ref()
    }

    /// Where the server stands.
    pub fn stand(&self) -> Stand {
        let role = match self.role {
            Role::Follower => "follower",
            Role::PreCandidate(_) => "pre-candidate",
            Role::Candidate(_) => "candidate",
            Role::Leader(_) => "leader",
        };
        Stand { role, term: self.term, vote: self.vote, commit: self.commit, last: self.log.last_index() }
    }

    /// Takes what a peer sent.
    pub fn receive(&mut self, from: Peer, message: Message, fx: &mut Effects) {
        if from == self.config.me || from.0 >= self.config.peers {
            return;
        }
        let Message { term, body } = message;
        if let Body::PreVote { last } = body {
            // Only asks; its term binds nobody (section 9.6).
            return self.answer_pre_vote(from, term, last, fx);
        }
        if term > self.term {
            self.become_follower(term, fx);
        }
        if let Body::PreVoteResponse { asked, granted } = body {
            return self.count_pre_vote(from, asked, granted, fx);
        }
        if term < self.term && !self.overlooks_term(&body) {
            return self.refuse_stale(from, &body, fx);
        }
        match body {
            Body::PreVote { .. } | Body::PreVoteResponse { .. } => {}
            Body::RequestVote { last } => self.answer_vote(from, last, fx),
            Body::RequestVoteResponse { granted } => self.count_vote(from, granted, fx),
            Body::AppendEntries { previous, entries, commit } => {
                if self.follow(from, fx) {
                    self.append(from, previous, entries, commit, fx);
                }
            }
            Body::Heartbeat { commit, round } => {
                if self.follow(from, fx) {
                    self.advance_to(commit);
                    fx.send(from, self.term, Body::HeartbeatResponse { round });
                }
            }
            Body::InstallSnapshot { last, total, offset, data } => {
                if self.follow(from, fx) {
                    self.receive_chunk(from, Incoming { last, total, data }, offset, fx);
                }
            }
            Body::Appended { matched } => self.appended(from, matched, fx),
            Body::AppendRejected { previous, conflict, hint } => {
                self.append_rejected(from, previous, conflict, hint, fx);
            }
            Body::HeartbeatResponse { round } => self.confirm_round(from, round, fx),
            Body::SnapshotReceived { index, offset } => self.send_next_chunk(from, index, offset, fx),
        }
    }

    /// The log up to `index` is on this server's disk.
    pub fn persisted(&mut self, index: Index, fx: &mut Effects) {
        self.durable = self.durable.max(index.min(self.log.last_index()));
        self.advance_commit(fx);
    }

    /// Accepts `from` as the leader of this term; false if this server leads it, which cannot be.
    fn follow(&mut self, from: Peer, fx: &mut Effects) -> bool {
        match self.role {
            // Election Safety excludes it. With a bug that breaks it, two leaders shut their ears.
            Role::Leader(_) => return false,
            Role::Follower => {}
            _ => self.become_follower(self.term, fx),
        }
        self.leader = Some(from);
        self.heard = true;
        fx.heard = true;
        true
    }

    /// Whether a bug lets a message of an earlier term pass for one of this.
    fn overlooks_term(&self, body: &Body) -> bool {
        let bugs = self.config.bugs;
        match body {
            Body::AppendEntries { .. } => bugs.has(Bug::AppendIgnoresTerm),
            Body::RequestVoteResponse { .. } => bugs.has(Bug::StaleVoteResponse),
            _ => false,
        }
    }

    /// Tells the sender of an old term's request that there is a newer one. It only needs to learn the
    /// term, so one kind of message serves for all but votes.
    fn refuse_stale(&mut self, from: Peer, body: &Body, fx: &mut Effects) {
        match body {
            Body::RequestVote { .. } => {
                fx.send(from, self.term, Body::RequestVoteResponse { granted: false });
            }
            Body::AppendEntries { .. } | Body::Heartbeat { .. } | Body::InstallSnapshot { .. } => {
                fx.send(from, self.term, Body::HeartbeatResponse { round: 0 });
            }
            _ => {}
        }
    }

    fn push(&mut self, entry: Entry, fx: &mut Effects) {
        self.log.push(entry);
        let index = self.log.last_index();
        fx.written = Some(fx.written.map_or(index, |first| first.min(index)));
    }

    fn last(&self) -> EntryId {
        self.log.last()
    }
}

#[cfg(test)]
mod tests;
