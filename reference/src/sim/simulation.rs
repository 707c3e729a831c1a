//! What a universe is like: its weather, and what its nodes and clients are told.
//!
//! It is written down in a campaign, or drawn from a seed: then small and large snapshots, fast and slow links, patient
//! and impatient clients, reads by lease come in every mixture, because many a mistake shows only in one.

use super::latency::Latency;
use super::network::Weather;
use crate::replica::{Config, Reads, Timeouts};
use crate::session::Patience;
use elenchus_core::random::{Rng, Seed};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How far from the truth a clock may run where leases are relied on, in parts of a million: two of them run apart by
/// less than the tenth that a lease allows for.
const DRIFT_PPM: u64 = 45_000;

/// What a universe is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Simulation {
    /// That it is one, where a campaign file calls it its cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<Kind>,
    /// What the network, the disks and the clocks do when no fault is in force.
    pub weather: Weather,
    /// After how many applied entries a node takes a snapshot: few, so that short trials see some.
    pub snapshot_every: u64,
    /// How many entries before its snapshot a node keeps.
    pub trailing: u64,
    /// The size of the pieces in which a snapshot travels, in bytes.
    pub chunk_bytes: usize,
    /// How many bytes of entries travel in one message, at least one entry.
    pub append_bytes: usize,
    /// How many such messages a follower may have to answer at a time.
    pub appends_in_flight: usize,
    /// How a leader makes sure that a read is not stale.
    pub reads: Reads,
    /// Milliseconds between a leader's heartbeats.
    pub heartbeat_ms: u64,
    /// After how many milliseconds without a leader there may be an election; after twice as many there is one.
    pub election_ms: u64,
    /// After how many milliseconds a client sends again what was not answered.
    pub resend_ms: u64,
    /// After how many milliseconds a client gives up what could not be sent, or what no node took.
    pub unsent_ms: u64,
}

/// The kind of cluster that a simulation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A simulated one.
    Simulated,
}

impl Default for Simulation {
    fn default() -> Simulation {
        let (timeouts, patience) = (Timeouts::default(), Patience::default());
        Simulation {
            kind: None,
            weather: Weather::default(),
            snapshot_every: 200,
            trailing: 20,
            chunk_bytes: 4_096,
            append_bytes: 256 << 10,
            appends_in_flight: 2,
            reads: Reads::default(),
            heartbeat_ms: millis(timeouts.heartbeat),
            election_ms: millis(timeouts.election_min),
            resend_ms: millis(patience.resend),
            unsent_ms: millis(patience.unsent),
        }
    }
}

impl Simulation {
    /// One of the many that a seed can mean. All of them are within what the nodes assume.
    pub fn drawn(seed: Seed) -> Simulation {
        let choice = |name: &str| seed.stream(name).rng();
        let reads = if choice("reads").chance(1, 4) { Reads::Lease } else { Reads::ReadIndex };
        let slow = choice("pace").chance(1, 4);
        let weather = weather(seed, slow, reads);
        let (heartbeat_ms, election_ms) = match choice("timeouts").below(3) {
            0 if !slow => (40, 200),
            0 | 1 => (80, 500),
            _ => (100, 1_000),
        };
        // Small pieces one after the other would carry less than clients ask for.
        let appends = [(1, 4), (400, 8), (256 << 10, 2), (256 << 10, 2)];
        let (append_bytes, appends_in_flight) = one_of(&mut choice("appends"), &appends);
        Simulation {
            kind: None,
            weather,
            snapshot_every: one_of(&mut choice("snapshot-every"), &[7, 20, 60, 200, 1_000, 10_000]),
            trailing: one_of(&mut choice("trailing"), &[0, 2, 10, 50, 1_000]),
            chunk_bytes: one_of(&mut choice("chunk-bytes"), &[256, 1_024, 4_096, 65_536]),
            append_bytes,
            appends_in_flight,
            reads,
            heartbeat_ms,
            election_ms,
            resend_ms: one_of(&mut choice("resend"), &[60, 250, 250, 1_000]),
            unsent_ms: one_of(&mut choice("unsent"), &[150, 1_000, 1_000]),
        }
    }

    /// Whether it makes sense; an error names the key.
    pub fn check(&self) -> Result<(), String> {
        self.weather.check().map_err(|why| format!("weather.{why}"))?;
        let positive = [
            ("snapshot-every", self.snapshot_every),
            ("chunk-bytes", self.chunk_bytes as u64),
            ("appends-in-flight", self.appends_in_flight as u64),
            ("heartbeat-ms", self.heartbeat_ms),
            ("resend-ms", self.resend_ms),
            ("unsent-ms", self.unsent_ms),
        ];
        if let Some((key, _)) = positive.into_iter().find(|(_, value)| *value == 0) {
            return Err(format!("{key}: at least 1"));
        }
        if self.election_ms <= self.heartbeat_ms {
            return Err("election-ms: more than heartbeat-ms, or no leader could stay".into());
        }
        Ok(())
    }

    /// What its nodes are told.
    #[must_use]
    pub fn config(&self, defaults: Config) -> Config {
        let ms = Duration::from_millis;
        let timeouts = Timeouts {
            heartbeat: ms(self.heartbeat_ms),
            election_min: ms(self.election_ms),
            election_max: ms(self.election_ms.saturating_mul(2)),
        };
        Config {
            timeouts,
            reads: self.reads,
            snapshot_every: self.snapshot_every,
            trailing: self.trailing,
            chunk_bytes: self.chunk_bytes,
            append_bytes_max: self.append_bytes,
            appends_in_flight_max: self.appends_in_flight,
            ..defaults
        }
    }

    /// How patient its clients are.
    pub fn patience(&self) -> Patience {
        let (resend, unsent) = (Duration::from_millis(self.resend_ms), Duration::from_millis(self.unsent_ms));
        let defaults = Patience::default();
        Patience { resend, resend_max: defaults.resend_max.max(resend), unsent, ..defaults }
    }
}

fn weather(seed: Seed, slow: bool, reads: Reads) -> Weather {
    let choice = |name: &str| seed.stream(name).rng();
    let links: &[Latency] = match slow {
        false => &[
            Latency::Exponential { min_us: 50, mean_us: 100 },
            Latency::Exponential { min_us: 100, mean_us: 400 },
            Latency::Pareto { min_us: 300, shape_tenths: 12, max_us: 500_000 },
        ],
        true => &[
            Latency::Uniform { min_us: 2_000, max_us: 40_000 },
            Latency::Exponential { min_us: 10_000, mean_us: 20_000 },
            Latency::Pareto { min_us: 5_000, shape_tenths: 12, max_us: 2_000_000 },
        ],
    };
    let syncs = [
        Latency::Exponential { min_us: 50, mean_us: 150 },
        Latency::Exponential { min_us: 200, mean_us: 800 },
        Latency::Exponential { min_us: 1_000, mean_us: 15_000 },
        Latency::Pareto { min_us: 2_000, shape_tenths: 9, max_us: 300_000 },
    ];
    let defaults = Weather::default();
    let usual = (defaults.loss_ppm, defaults.duplicate_ppm, defaults.late_ppm);
    let (loss_ppm, duplicate_ppm, late_ppm) =
        one_of(&mut choice("losses"), &[usual, usual, (0, 0, 0), (20_000, 20_000, 30_000)]);
    Weather {
        latency: one_of(&mut choice("links"), links),
        sync: one_of(&mut choice("syncs"), &syncs),
        loss_ppm,
        duplicate_ppm,
        late_ppm,
        drift_ppm: if reads == Reads::Lease { DRIFT_PPM } else { 0 },
        ..defaults
    }
}

fn one_of<T: Copy>(rng: &mut Rng, choices: &[T]) -> T {
    choices[rng.below(choices.len() as u64) as usize]
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_universe_that_says_nothing_is_that_of_the_bundled_cluster() {
        let simulation = Simulation::default();
        assert_eq!(simulation.patience(), Patience::default());
        let defaults = Config::new(crate::protocol::Peer(0), 5, Seed(1));
        assert_eq!(simulation.config(defaults).timeouts, Timeouts::default());
    }

    #[test]
    fn seeds_mean_many_universes_and_each_makes_sense() {
        let mut texts = BTreeSet::new();
        for seed in (0..200).map(Seed) {
            let drawn = Simulation::drawn(seed);
            assert_eq!((drawn.check(), drawn), (Ok(()), Simulation::drawn(seed)));
            let leased = drawn.reads == Reads::Lease;
            assert_eq!(drawn.weather.drift_ppm > 0, leased, "clocks run apart where it matters");
            texts.insert(format!("{drawn:?}"));
        }
        assert!(texts.len() > 150, "{}", texts.len());
        let lease = (0..200).filter(|seed| Simulation::drawn(Seed(*seed)).reads == Reads::Lease).count();
        assert!((20..100).contains(&lease), "{lease}");
    }

    #[test]
    fn two_clocks_run_apart_by_less_than_leases_allow_for() {
        let allowed = u64::from(Config::new(crate::protocol::Peer(0), 5, Seed(1)).drift_ppm);
        let (fast, slow) = (1_000_000 + DRIFT_PPM, 1_000_000 - DRIFT_PPM);
        assert!(fast * 1_000_000 < slow * (1_000_000 + allowed));
    }

    #[test]
    fn nonsense_is_refused_by_its_key() {
        let usual = Simulation::default();
        for (simulation, key) in [
            (Simulation { snapshot_every: 0, ..usual }, "snapshot-every"),
            (Simulation { chunk_bytes: 0, ..usual }, "chunk-bytes"),
            (Simulation { resend_ms: 0, ..usual }, "resend-ms"),
            (Simulation { election_ms: 100, ..usual }, "election-ms"),
            (
                Simulation { weather: Weather { drift_ppm: 2_000_000, ..usual.weather }, ..usual },
                "weather.drift-ppm",
            ),
        ] {
            assert!(simulation.check().unwrap_err().starts_with(key), "{key}");
        }
    }
}
