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
//! | [`membership`] | 4.1, 4.3: configurations, and those that the log knows |
//! | `election` | 3.4, 3.6.1, 9.6, 4.2.3, 6.2: votes, pre-votes, stepping down without a quorum |
//! | `replication` | 3.5, 3.6.2: entries, conflicts, commitment |
//! | `read` | 6.4: reads without writing to the log, by ReadIndex or by lease |
//! | `snapshot` | 5: compaction, sending and installing snapshots |
//! | [`change`] | 4.1 to 4.3: changes of the membership, single steps and joint ones |
//! | `transfer` | 3.10: handing the office over |

pub mod change;
mod election;
pub mod entry;
pub mod log;
pub mod membership;
pub mod message;
mod read;
mod replication;
mod snapshot;
mod transfer;

use std::collections::{BTreeMap, BTreeSet};

use crate::bug::{Bug, Bugs};
use crate::protocol::Peer;
use crate::raft::entry::{Entry, EntryId, HardState, Index, Snapshot, Term};
use crate::raft::log::Log;
use crate::raft::membership::{Membership, Memberships};
use crate::raft::message::{Body, Message};
use crate::raft::read::Reads;
use crate::raft::replication::Follower;
use crate::raft::snapshot::Incoming;
use crate::raft::transfer::Transfer;

/// What does not change while a server runs.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Config {
    /// This server.
    pub me: Peer,
    /// How many servers there are. All of them vote until the membership is changed.
    pub peers: u16,
    /// Whether a candidate first asks if it would win (section 9.6).
    pub pre_vote: bool,
    /// Whether leaders may answer reads by lease (section 6.4.1): then nobody who may have promised a leader
    /// the minimum election timeout votes within it.
    pub lease: bool,
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
            lease: false,
            append_bytes_max: 256 << 10,
            appends_in_flight_max: 2,
            chunk_bytes: 512 << 10,
            trailing: 2_000,
            bugs: Bugs::NONE,
        }
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
    /// The configuration in force is another one: [`Raft::membership`].
    pub membership: bool,
    /// Reads that may be answered from the state after this index.
    pub reads: Vec<(ReadId, Index)>,
    /// Heartbeats of this round leave: a lease that they earn counts from now at the earliest.
    pub round: Option<u64>,
    /// A majority has answered this round.
    pub confirmed: Option<u64>,
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
    memberships: Memberships,
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
    transfer: Option<Transfer>,
    /// False once it told a successor to stand, who may win within the lease.
    trusts_lease: bool,
}

impl Raft {
    /// A server as its disk remembers it; all defaults for a new one.
    pub fn new(config: Config, hard: HardState, snapshot: Option<Snapshot>, entries: Vec<Entry>) -> Raft {
        let base = snapshot.as_ref().map(|snapshot| snapshot.last).unwrap_or_default();
        let known = snapshot.as_ref().and_then(|snapshot| snapshot.membership.clone());
        let first = known.unwrap_or_else(|| Membership::initial(config.peers).into());
        let mut memberships = Memberships::new(base.index, first);
        let mut log = Log::new(base);
        for entry in entries {
            memberships.observe(log.last_index().next(), &entry);
            log.push(entry);
        }
        Raft {
            // It may have promised a leader not to vote, just before it was restarted.
            heard: config.lease,
            term: if config.bugs.has(Bug::ForgetTerm) { log.last().term } else { hard.term },
            config,
            vote: hard.vote,
            role: Role::Follower,
            leader: None,
            commit: base.index,
            durable: log.last_index(),
            log,
            memberships,
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
        if self.config.lease && self.heard && matches!(body, Body::RequestVote { transfer: false, .. }) {
            // Neither its term nor its wish counts while a lease may rest on this server (section 4.2.3).
            return;
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
            Body::RequestVote { last, .. } => self.answer_vote(from, last, fx),
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
            Body::InstallSnapshot { last, membership, total, offset, data } => {
                if self.follow(from, fx) {
                    self.receive_chunk(from, Incoming { last, membership, total, data }, offset, fx);
                }
            }
            Body::TimeoutNow => self.succeed(fx),
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
        let index = self.log.last_index().next();
        fx.membership |= self.memberships.observe(index, &entry);
        self.log.push(entry);
        fx.written = Some(fx.written.map_or(index, |first| first.min(index)));
    }

    fn last(&self) -> EntryId {
        self.log.last()
    }
}

#[cfg(test)]
mod tests;
