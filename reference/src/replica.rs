//! The Raft replica: consensus core, write-ahead log, state machine and clients, behind one trait.
//!
//! Whatever a step changes is written before anything that depends on it leaves: messages that are promises
//! wait until the flush that covers them is durable ([`crate::raft::message::Message::waits_for_disk`]), the
//! others go at once. While a sync is under way, writes and promises gather for the next.
//!
//! A node that does not lead forwards its clients' requests and hands the answers back. It answers nothing
//! itself for a request that is under way: whether it was done, only the leader can know.

mod admin;
mod alarm;
mod envelope;
mod forward;
mod input;
mod lease;
mod office;
mod settle;
mod trace;

use std::time::Duration;

use elenchus_core::random::Seed;

use crate::bug::{Bug, Bugs};
use crate::kv::Kv;
use crate::protocol::{Input, Output, Peer, Replica, Status, Tick};
use crate::raft::entry::{HardState, Index, Term};
use crate::raft::message::Message;
use crate::raft::{self, Effects, Raft};
use crate::replica::admin::Handover;
use crate::replica::alarm::Alarm;
use crate::replica::forward::{Forwarded, Taken};
use crate::replica::lease::Lease;
use crate::replica::office::Office;
use crate::wal::Wal;

pub use crate::replica::lease::Reads;
pub use crate::replica::trace::Trace;

/// What a replica is told before it starts.
#[derive(Clone, Debug)]
pub struct Config {
    /// Its place in the cluster.
    pub me: Peer,
    /// How many nodes there are. All of them vote until the membership is changed.
    pub peers: u16,
    /// Where its chance begins. Nodes may share it: each draws from a stream of its own.
    pub seed: Seed,
    /// How long it waits for what.
    pub timeouts: Timeouts,
    /// How it makes sure, when it leads, that a read is not stale.
    pub reads: Reads,
    /// How much faster than another's a node's clock may run while leases are relied on, in parts per million.
    pub drift_ppm: u32,
    /// After how many applied entries it takes a snapshot and shortens its log.
    pub snapshot_every: u64,
    /// How many entries before the snapshot it keeps for followers that are a little behind.
    pub trailing: u64,
    /// The size of the pieces in which a snapshot travels, in bytes.
    pub chunk_bytes: usize,
    /// How many bytes of entries one message carries at most, if it has more than one.
    pub append_bytes_max: usize,
    /// How many such messages a follower may have to answer at a time.
    pub appends_in_flight_max: usize,
    /// Its mistakes.
    pub bugs: Bugs,
    /// How much it tells.
    pub trace: Trace,
    /// Every how many entries a full trace tells what the state machine has come to.
    pub state_every: u64,
}

/// Every how many entries a full trace tells what the state machine has come to, unless it is to tell more.
pub const STATE_EVERY: u64 = 64;

impl Config {
    /// The defaults for node `me` of `peers`.
    pub fn new(me: Peer, peers: u16, seed: Seed) -> Config {
        let core = raft::Config::new(me, peers);
        Config {
            me,
            peers,
            seed,
            timeouts: Timeouts::default(),
            reads: Reads::default(),
            drift_ppm: 100_000,
            snapshot_every: 10_000,
            trailing: core.trailing,
            chunk_bytes: core.chunk_bytes,
            append_bytes_max: core.append_bytes_max,
            appends_in_flight_max: core.appends_in_flight_max,
            bugs: Bugs::NONE,
            trace: Trace::default(),
            state_every: STATE_EVERY,
        }
    }

    fn core(&self) -> raft::Config {
        let Config {
            me, peers, trailing, chunk_bytes, append_bytes_max, appends_in_flight_max, bugs, ..
        } = *self;
        let lease = Lease::is_used(self);
        let usual = raft::Config::new(me, peers);
        raft::Config { lease, trailing, chunk_bytes, append_bytes_max, appends_in_flight_max, bugs, ..usual }
    }
}

/// How long a replica waits for what, on its own clock.
///
/// The defaults survive two noisy cores under six processes: a leader must stay silent for ten heartbeats
/// before anybody stands for election.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Between a leader's heartbeats.
    pub heartbeat: Duration,
    /// The least time without a leader before an election; also how often a leader counts its followers.
    pub election_min: Duration,
    /// The most.
    pub election_max: Duration,
}

impl Default for Timeouts {
    fn default() -> Timeouts {
        Timeouts {
            heartbeat: Duration::from_millis(100),
            election_min: Duration::from_millis(1_000),
            election_max: Duration::from_millis(2_000),
        }
    }
}

/// One node of a Raft cluster, without its IO.
#[derive(Debug)]
pub struct RaftReplica {
    config: Config,
    life: Life,
    raft: Raft,
    wal: Wal,
    kv: Kv,
    /// How far the log is applied to `kv`.
    applied: Index,
    /// How often this node has started, this time included.
    boot: u64,
    /// The term that it had reached when it started.
    boot_term: Term,
    /// How many letters it has sent since.
    letters: u64,
    alarm: Alarm,
    lease: Lease,
    /// While it leads.
    office: Option<Office>,
    /// The state as it will be if everything in the log gets committed: only for a bug.
    ahead: Option<Kv>,
    /// The transfer of its office that it began.
    handover: Option<Handover>,
    forwarded: Forwarded,
    taken: Taken,
    /// The term of the sync under way.
    flushed: Term,
    /// Promises that wait for the sync under way.
    held: Vec<(Peer, Message)>,
    /// Promises that wait for the one after it.
    held_next: Vec<(Peer, Message)>,
    /// When it last told how far the log is committed.
    told: Tick,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    /// Waits for its files.
    Unborn,
    /// Waits until it is durable that it has started: its letters' stamps rest on that.
    Starting,
    Running,
    Halted,
}

impl RaftReplica {
    /// A replica that waits for [`Input::Restart`].
    pub fn new(config: Config) -> RaftReplica {
        let raft = Raft::new(config.core(), HardState::default(), None, Vec::new());
        let rng = config.seed.rng();
        RaftReplica {
            life: Life::Unborn,
            wal: Wal::create(0),
            kv: Kv::new(config.bugs),
            applied: Index(0),
            boot: 0,
            boot_term: Term(0),
            letters: 0,
            alarm: Alarm::new(config.timeouts, rng),
            lease: Lease::new(&config),
            office: None,
            ahead: None,
            handover: None,
            forwarded: Forwarded::default(),
            taken: Taken::default(),
            flushed: Term(0),
            held: Vec::new(),
            held_next: Vec::new(),
            told: Tick(0),
            raft,
            config,
        }
    }

    /// Its consensus core, for invariants.
    pub fn raft(&self) -> &Raft {
        &self.raft
    }

    /// Its state machine, for invariants.
    pub fn kv(&self) -> &Kv {
        &self.kv
    }

    /// How far its log is applied.
    pub fn applied(&self) -> Index {
        self.applied
    }
}

impl RaftReplica {
    /// The node's clock shows `now`; the time that counts.
    fn observe(&mut self, now: Tick) -> Tick {
        let seen = self.alarm.now();
        if now < seen && self.config.bugs.has(Bug::ClockJumpElection) {
            return seen;
        }
        if now < seen {
            self.lease.end();
        }
        self.alarm.observe(now);
        now
    }
}

impl Replica for RaftReplica {
    fn step(&mut self, now: Tick, input: Input, out: &mut Vec<Output>) {
        if self.life == Life::Halted {
            return;
        }
        let now = self.observe(now);
        let mut fx = Effects::default();
        match input {
            Input::Restart { files } => {
                *self = RaftReplica::new(self.config.clone());
                self.alarm.observe(now);
                return self.restart(&files, out);
            }
            Input::Synced(id) => self.synced(id, &mut fx, out),
            Input::Request { connection, bytes } => self.request(connection, &bytes, &mut fx, out),
            Input::Closed { connection } => self.closed(connection),
            _ if self.life != Life::Running => return,
            Input::Message { from, bytes } => self.message(from, &bytes, &mut fx, out),
            Input::Timer(_) => self.rang(&mut fx),
        }
        self.settle(fx, out);
    }

    fn status(&self) -> Status {
        let stand = self.raft.stand();
        Status {
            role: stand.role.to_owned(),
            term: stand.term.0,
            leader: self.raft.leader(),
            commit: stand.commit.0,
            applied: self.applied.0,
            last: stand.last.0,
        }
    }
}

#[cfg(test)]
mod tests;
