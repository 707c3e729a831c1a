//! A leader's lease (section 6.4.1): how long, by its own clock, nobody else can lead.
//!
//! Whoever answers a round of heartbeats votes for nobody for the minimum election timeout. So from the moment
//! at which the round left, a majority vouches for that long, less what clocks may run apart. The bound on
//! that is assumed, not measured: a clock that jumps breaks it. A jump back of the leader's own clock is seen,
//! and ends the lease; others' jumps are not.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::bug::Bug;
use crate::protocol::Tick;
use crate::replica::Config;

/// A million: the unit of drift is parts per million.
const MILLION: u128 = 1_000_000;
/// How many rounds may wait to be confirmed; the oldest are forgotten first.
const ROUNDS_MAX: usize = 1_000;

/// How a leader makes sure, before it answers a read, that it still leads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reads {
    /// It hears from a majority, after the read came (section 6.4).
    #[default]
    ReadIndex,
    /// It relies on the clocks (section 6.4.1), and asks when its lease has ended.
    Lease,
}

impl fmt::Display for Reads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Reads::ReadIndex => "read-index",
            Reads::Lease => "lease",
        })
    }
}

impl FromStr for Reads {
    type Err = String;

    fn from_str(name: &str) -> Result<Reads, String> {
        let found = [Reads::ReadIndex, Reads::Lease].into_iter().find(|reads| reads.to_string() == name);
        found.ok_or_else(|| format!("a node reads by read-index or lease, not {name:?}"))
    }
}

/// The lease of a leader; a server that does not lead has none.
#[derive(Clone, Debug)]
pub(super) struct Lease {
    /// In nanoseconds, from when a round left.
    span: u64,
    /// When the rounds left that are not confirmed yet.
    began: BTreeMap<u64, Tick>,
    until: Tick,
}

impl Lease {
    /// None yet.
    pub fn new(config: &Config) -> Lease {
        Lease { span: span(config), began: BTreeMap::new(), until: Tick(0) }
    }

    /// Whether leases are in use.
    pub fn is_used(config: &Config) -> bool {
        let bugs = config.bugs;
        config.reads == Reads::Lease || bugs.has(Bug::LeaseIgnoresDrift) || bugs.has(Bug::ClockJumpElection)
    }

    /// Heartbeats of `round` leave.
    pub fn begin(&mut self, round: u64, now: Tick) {
        self.began.entry(round).or_insert(now);
        if self.began.len() > ROUNDS_MAX {
            self.began.pop_first();
        }
    }

    /// A majority has answered `round`.
    pub fn confirm(&mut self, round: u64) {
        if let Some(began) = self.began.remove(&round) {
            self.until = self.until.max(Tick(began.0.saturating_add(self.span)));
        }
        self.began = self.began.split_off(&round);
    }

    /// Whether it lasts.
    pub fn lasts(&self, now: Tick) -> bool {
        now < self.until
    }

    /// It ends, and what was begun earns none: the office is lost, or the clock was set back.
    pub fn end(&mut self) {
        self.began.clear();
        self.until = Tick(0);
    }
}

fn span(config: &Config) -> u64 {
    let nanos = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    if config.bugs.has(Bug::LeaseIgnoresDrift) {
        return nanos(config.timeouts.election_max);
    }
    let least = u128::from(nanos(config.timeouts.election_min));
    let span = least * MILLION / (MILLION + u128::from(config.drift_ppm));
    u64::try_from(span).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Peer;
    use elenchus_core::random::Seed;

    const MS: u64 = 1_000_000;

    fn lease(change: impl FnOnce(&mut Config)) -> Lease {
        let mut config = Config::new(Peer(0), 3, Seed(1));
        change(&mut config);
        Lease::new(&config)
    }

    #[test]
    fn section_6_4_1_a_lease_counts_from_when_its_round_left_and_is_shortened_by_the_drift() {
        let mut lease = lease(|config| config.drift_ppm = 250_000);
        lease.begin(1, Tick(1_000 * MS));
        lease.begin(1, Tick(1_500 * MS));
        assert!(!lease.lasts(Tick(1_500 * MS)));
        lease.confirm(1);
        assert!(lease.lasts(Tick(1_800 * MS - 1)) && !lease.lasts(Tick(1_800 * MS)));
        lease.begin(2, Tick(1_600 * MS));
        lease.begin(3, Tick(1_700 * MS));
        lease.confirm(3);
        lease.confirm(2);
        assert!(lease.lasts(Tick(2_500 * MS - 1)) && !lease.lasts(Tick(2_500 * MS)));
    }

    #[test]
    fn a_lease_that_was_ended_needs_a_round_that_left_later() {
        let mut lease = lease(|_| {});
        lease.begin(1, Tick(5_000 * MS));
        lease.begin(2, Tick(5_100 * MS));
        lease.confirm(1);
        lease.end();
        lease.confirm(2);
        assert!(!lease.lasts(Tick(0)) && !lease.lasts(Tick(5_100 * MS)));
    }

    #[test]
    fn a_lease_that_ignores_drift_is_too_long() {
        let mut lease = lease(|config| config.bugs = config.bugs.with(Bug::LeaseIgnoresDrift));
        lease.begin(1, Tick(0));
        lease.confirm(1);
        assert!(lease.lasts(Tick(2_000 * MS - 1)) && !lease.lasts(Tick(2_000 * MS)));
    }
}
