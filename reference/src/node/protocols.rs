//! Which protocol a node runs, and with which settings.

use super::NodeError;
use crate::bug::Bug;
use crate::protocol::{Peer, Replica};
use crate::replica::{Config, RaftReplica, Reads, Timeouts};
use elenchus_core::random::Seed;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A protocol and its settings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Protocol {
    /// Raft (Ongaro 2014).
    Raft(RaftOptions),
}

/// A Raft node's settings. The default is a correct node with sound timeouts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RaftOptions {
    /// Its mistakes.
    pub bugs: Vec<Bug>,
    /// Milliseconds between a leader's heartbeats.
    pub heartbeat_ms: u64,
    /// The least time without a leader before an election, in milliseconds.
    pub election_min_ms: u64,
    /// The most.
    pub election_max_ms: u64,
    /// How a leader makes sure that a read is not stale: `read-index`, or `lease`, which relies on the clocks.
    pub reads: Reads,
    /// How much faster than another's a clock may run while leases are relied on, in parts per million.
    pub drift_ppm: u32,
    /// After how many applied entries it takes a snapshot.
    pub snapshot_every: u64,
    /// How much it tells in its trace, if it writes one: `off`, `roles`, `all`.
    pub trace: String,
}

impl Default for RaftOptions {
    fn default() -> RaftOptions {
        let Config { timeouts, reads, drift_ppm, snapshot_every, trace, .. } =
            Config::new(Peer(0), 1, Seed(0));
        let millis = |duration: Duration| duration.as_millis() as u64;
        RaftOptions {
            bugs: Vec::new(),
            heartbeat_ms: millis(timeouts.heartbeat),
            election_min_ms: millis(timeouts.election_min),
            election_max_ms: millis(timeouts.election_max),
            reads,
            drift_ppm,
            snapshot_every,
            trace: trace.to_string(),
        }
    }
}

impl Protocol {
    /// The replica of node `me` of `peers`.
    pub fn replica(&self, me: Peer, peers: u16, seed: u64) -> Result<Box<dyn Replica>, NodeError> {
        match self {
            Protocol::Raft(options) => Ok(Box::new(RaftReplica::new(options.config(me, peers, seed)?))),
        }
    }
}

impl RaftOptions {
    fn config(&self, me: Peer, peers: u16, seed: u64) -> Result<Config, NodeError> {
        let RaftOptions {
            heartbeat_ms,
            election_min_ms,
            election_max_ms,
            reads,
            drift_ppm,
            snapshot_every,
            ..
        } = *self;
        if !(0 < heartbeat_ms && heartbeat_ms < election_min_ms && election_min_ms <= election_max_ms) {
            return Err(NodeError::Options(format!(
                "timeouts must rise from heartbeat ({heartbeat_ms} ms) over election_min ({election_min_ms} ms) \
                 to election_max ({election_max_ms} ms)"
            )));
        }
        let timeouts = Timeouts {
            heartbeat: Duration::from_millis(heartbeat_ms),
            election_min: Duration::from_millis(election_min_ms),
            election_max: Duration::from_millis(election_max_ms),
        };
        let trace = self.trace.parse().map_err(NodeError::Options)?;
        let bugs = self.bugs.iter().copied().collect();
        Ok(Config {
            timeouts,
            reads,
            drift_ppm,
            snapshot_every,
            trace,
            bugs,
            ..Config::new(me, peers, Seed(seed))
        })
    }
}
