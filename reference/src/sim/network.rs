//! The network between nodes: what becomes of each letter, decided when it is sent.
//!
//! Letters travel alone: they may be lost, doubled, late, and overtake each other, as on the worst of networks.
//! A cut link drops what is sent on it, or (clogged) keeps it until the cut is mended. What is lost is counted for
//! the fault that lost it: that is its proof.

use super::chance::Chance;
use super::latency::Latency;
use super::priorities::{Priorities, Ranks};
use crate::protocol::Peer;
use elenchus_core::fault::{FaultId, Trouble};
use elenchus_core::random::Rng;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Range;

/// Parts in a million.
const MILLION: u64 = 1_000_000;
/// How many letters a clogged link keeps; older ones are lost first.
const CLOGGED_MAX: usize = 64;
/// The span in which a link's letters are counted, in nanoseconds…
const SPAN: u64 = 1_000 * MS;
/// …and how many it carries then: far more than anybody sends who is in his right mind.
const LETTERS_MAX: u64 = 3_000;
/// Of how many cuts one clogs.
const CLOGS_OF: u64 = 4;
/// Nanoseconds in a millisecond.
const MS: u64 = 1_000_000;

/// What the network does when no fault is in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Weather {
    /// How long a letter takes from node to node.
    pub latency: Latency,
    /// How long a message takes between a client and its node.
    pub client_latency: Latency,
    /// How long a disk takes for a sync.
    pub sync: Latency,
    /// Of a million letters, so many are lost.
    pub loss_ppm: u64,
    /// So many come twice.
    pub duplicate_ppm: u64,
    /// So many are very late.
    pub late_ppm: u64,
    /// How late that is.
    pub late: Latency,
    /// A node's clock is too fast or too slow by up to so many parts of a million, each by its own share, always.
    pub drift_ppm: u64,
    /// Whose letters are held back, if any are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priorities: Option<Priorities>,
}

impl Default for Weather {
    fn default() -> Weather {
        Weather {
            latency: Latency::Exponential { min_us: 100, mean_us: 400 },
            client_latency: Latency::Uniform { min_us: 50, max_us: 200 },
            sync: Latency::Exponential { min_us: 200, mean_us: 800 },
            loss_ppm: 500,
            duplicate_ppm: 500,
            late_ppm: 1_000,
            late: Latency::Pareto { min_us: 2_000, shape_tenths: 8, max_us: 4_000_000 },
            drift_ppm: 0,
            priorities: None,
        }
    }
}

impl Weather {
    /// The same without losses, doubles and stragglers.
    #[must_use]
    pub fn fair(self) -> Weather {
        Weather { loss_ppm: 0, duplicate_ppm: 0, late_ppm: 0, ..self }
    }

    /// Whether it makes sense; an error names the key.
    pub fn check(&self) -> Result<(), String> {
        let latencies = [
            ("latency", self.latency),
            ("client-latency", self.client_latency),
            ("sync", self.sync),
            ("late", self.late),
        ];
        for (key, latency) in latencies {
            latency.check().map_err(|why| format!("{key}: {why}"))?;
        }
        if let Some(priorities) = self.priorities {
            priorities.check().map_err(|why| format!("priorities.{why}"))?;
        }
        let rates = [
            ("loss-ppm", self.loss_ppm),
            ("duplicate-ppm", self.duplicate_ppm),
            ("late-ppm", self.late_ppm),
            ("drift-ppm", self.drift_ppm),
        ];
        match rates.into_iter().find(|(_, ppm)| *ppm > MILLION) {
            Some((key, ppm)) => Err(format!("{key}: {ppm} of a million")),
            None => Ok(()),
        }
    }
}

/// A letter under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    /// Who sent it.
    pub from: Peer,
    /// Who is to have it.
    pub to: Peer,
    /// What it says.
    pub bytes: Vec<u8>,
}

/// All links, and what is wrong with them.
#[derive(Debug)]
pub struct Network {
    chance: Chance,
    weather: Weather,
    ranks: Option<Ranks>,
    /// When ranks count.
    ranked: Range<u64>,
    roads: BTreeMap<(Peer, Peer), Road>,
    cuts: BTreeMap<FaultId, Cut>,
    /// By receiver.
    troubles: BTreeMap<Peer, Troubled>,
}

/// One directed link.
#[derive(Debug, Default)]
struct Road {
    /// How many letters were sent on it.
    sent: u64,
    /// The span of time that is counted, and how many letters were sent in it.
    lately: (u64, u64),
    /// Who cuts it.
    cut_by: BTreeSet<FaultId>,
    /// What a clog keeps.
    kept: VecDeque<Letter>,
}

impl Road {
    /// Whether it can carry no more for now: what nodes that have gone mad send each other is lost in the end, as on
    /// any network, so that a trial of them ends too.
    fn is_full(&mut self, now: u64) -> bool {
        let span = now / SPAN;
        if self.lately.0 != span {
            self.lately = (span, 0);
        }
        self.lately.1 += 1;
        self.lately.1 > LETTERS_MAX
    }
}

#[derive(Debug)]
struct Cut {
    links: Vec<(Peer, Peer)>,
    clogs: bool,
    held_back: u64,
}

#[derive(Debug)]
struct Troubled {
    trouble: Trouble,
    touched: u64,
    /// When a slow link is free again.
    free_at: u64,
}

impl Network {
    /// A network between so many nodes, without faults.
    pub fn new(chance: Chance, weather: Weather, nodes: u16) -> Network {
        Network {
            chance,
            weather,
            ranks: weather.priorities.map(|priorities| priorities.draw(chance, nodes)),
            ranked: 0..u64::MAX,
            roads: BTreeMap::new(),
            cuts: BTreeMap::new(),
            troubles: BTreeMap::new(),
        }
    }

    /// Takes a letter at `now` and says when it arrives: never, once or twice.
    pub fn send(&mut self, now: u64, letter: &Letter) -> Arrivals {
        let Letter { from, to, bytes } = letter;
        let road = self.roads.entry((*from, *to)).or_default();
        road.sent += 1;
        let mut rng = self.chance.letter(from.0, to.0, road.sent);
        if !road.cut_by.is_empty() {
            self.hold_back(letter);
            return Arrivals::NONE;
        }
        if road.is_full(now) {
            return Arrivals::NONE;
        }
        let weather = self.weather;
        let mut arrivals = Arrivals::NONE;
        // Each letter draws the same number of choices whatever comes of them.
        let (lost, doubled, late) = (
            rng.chance(weather.loss_ppm, MILLION),
            rng.chance(weather.duplicate_ppm, MILLION),
            rng.chance(weather.late_ppm, MILLION),
        );
        let ranks = self.ranks.as_ref().filter(|_| self.ranked.contains(&now));
        let hold = ranks.map_or(0, |ranks| ranks.hold(*from, *to, road.sent));
        let trip = |rng: &mut Rng| now + hold + weather.latency.draw(rng);
        let (first, second) = (trip(&mut rng), trip(&mut rng));
        let tardy = weather.late.draw(&mut rng);
        if lost {
            return arrivals;
        }
        arrivals.push(if late { first + tardy } else { first });
        if doubled {
            arrivals.push(second + tardy);
        }
        match self.troubles.get_mut(to) {
            Some(troubled) => troubled.touch(now, bytes.len(), arrivals, &mut rng),
            None => arrivals,
        }
    }

    fn hold_back(&mut self, letter: &Letter) {
        let Some(road) = self.roads.get_mut(&(letter.from, letter.to)) else { return };
        let mut clogs = true;
        for id in &road.cut_by {
            if let Some(cut) = self.cuts.get_mut(id) {
                cut.held_back += 1;
                clogs &= cut.clogs;
            }
        }
        if clogs {
            if road.kept.len() == CLOGGED_MAX {
                road.kept.pop_front();
            }
            road.kept.push_back(letter.clone());
        }
    }

    /// Priorities of links, if there are any, count during this time only.
    pub fn rank(&mut self, during: Range<u64>) {
        self.ranked = during;
    }

    /// Cuts links in the name of a fault.
    pub fn cut(&mut self, id: FaultId, links: impl IntoIterator<Item = (Peer, Peer)>) {
        let clogs = self.chance.cut(id.0).chance(1, CLOGS_OF);
        let cut = self.cuts.entry(id).or_insert_with(|| Cut { links: Vec::new(), clogs, held_back: 0 });
        for link in links {
            if self.roads.entry(link).or_default().cut_by.insert(id) {
                cut.links.push(link);
            }
        }
    }

    /// Mends what a fault cut, unless another still cuts it. Returns how many letters were held back, and those
    /// that a clog has kept and lets go.
    pub fn mend(&mut self, id: FaultId) -> (u64, Vec<Letter>) {
        let Some(cut) = self.cuts.remove(&id) else { return (0, Vec::new()) };
        let mut freed = Vec::new();
        for link in cut.links {
            if let Some(road) = self.roads.get_mut(&link) {
                road.cut_by.remove(&id);
                if road.cut_by.is_empty() {
                    freed.extend(road.kept.drain(..));
                }
            }
        }
        (cut.held_back, freed)
    }

    /// Makes what is sent to a node suffer, or no more. Returns how many letters the trouble that ends touched.
    pub fn disturb(&mut self, node: Peer, trouble: Option<Trouble>) -> u64 {
        let before = match trouble {
            Some(trouble) => self.troubles.insert(node, Troubled { trouble, touched: 0, free_at: 0 }),
            None => self.troubles.remove(&node),
        };
        before.map_or(0, |troubled| troubled.touched)
    }
}

impl Troubled {
    fn touch(&mut self, now: u64, length: usize, arrivals: Arrivals, rng: &mut Rng) -> Arrivals {
        let mut changed = Arrivals::NONE;
        let mut touched = true;
        for at in arrivals {
            match self.trouble {
                Trouble::Delay { ms, jitter_ms } => {
                    let least = ms.saturating_sub(jitter_ms) * MS;
                    changed.push(at + rng.between(least, (ms + jitter_ms) * MS));
                }
                // A garbled letter is one that checksums throw away.
                Trouble::Loss { percent } | Trouble::Corrupt { percent } => {
                    touched = rng.chance(u64::from(percent), 100);
                    if !touched {
                        changed.push(at);
                    }
                }
                Trouble::Duplicate { percent } => {
                    touched = rng.chance(u64::from(percent), 100);
                    changed.push(at);
                    if touched {
                        changed.push(at + rng.between(0, 5 * MS));
                    }
                }
                Trouble::Reorder { percent, ms } => {
                    touched = rng.chance(u64::from(percent), 100);
                    changed.push(if touched { at + ms * MS } else { at });
                }
                Trouble::Rate { kbit } => {
                    let begins = self.free_at.max(now);
                    touched = begins > now;
                    // Bits by kilobits a second are milliseconds.
                    self.free_at = begins + length as u64 * 8 * MS / kbit.max(1);
                    changed.push(at.max(self.free_at));
                }
            }
        }
        self.touched += u64::from(touched);
        changed
    }
}

/// When a letter arrives, up to four times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrivals {
    at: [u64; 4],
    count: u8,
    next: u8,
}

impl Arrivals {
    const NONE: Arrivals = Arrivals { at: [0; 4], count: 0, next: 0 };

    fn push(&mut self, at: u64) {
        if let Some(place) = self.at.get_mut(usize::from(self.count)) {
            *place = at;
            self.count += 1;
        }
    }
}

impl Iterator for Arrivals {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        let at = (self.next < self.count).then(|| self.at[usize::from(self.next)]);
        self.next += 1;
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use elenchus_core::random::Seed;

    fn network(weather: Weather) -> Network {
        Network::new(Chance::new(Seed(1)), weather, 2)
    }

    fn letter(n: u8) -> Letter {
        Letter { from: Peer(0), to: Peer(1), bytes: vec![n] }
    }

    fn arrivals(network: &mut Network) -> Vec<usize> {
        (0..1_000).map(|_| network.send(0, &letter(0)).count()).collect()
    }

    #[test]
    fn fair_weather_delivers_everything_once() {
        let mut network = network(Weather::default().fair());
        assert!(arrivals(&mut network).iter().all(|&count| count == 1));
    }

    #[test]
    fn bad_weather_loses_and_doubles() {
        let mut network =
            network(Weather { loss_ppm: 100_000, duplicate_ppm: 100_000, ..Weather::default() });
        let arrivals = arrivals(&mut network);
        let of = |wanted| arrivals.iter().filter(|&&count| count == wanted).count();
        assert!((60..140).contains(&of(0)) && (60..140).contains(&of(2)), "{} {}", of(0), of(2));
    }

    #[test]
    fn a_cut_holds_back_one_way_until_its_last_fault_is_mended() {
        let mut network = network(Weather::default().fair());
        for id in [1, 2] {
            network.cut(FaultId(id), [(Peer(0), Peer(1))]);
        }
        assert_eq!(network.send(0, &letter(1)).count(), 0);
        let back = Letter { from: Peer(1), to: Peer(0), bytes: vec![] };
        assert_eq!(network.send(0, &back).count(), 1, "the other way is open");
        assert_eq!(network.mend(FaultId(1)).0, 1);
        assert_eq!(network.send(0, &letter(2)).count(), 0);
        assert_eq!(network.mend(FaultId(2)).0, 2);
        assert_eq!(network.send(0, &letter(3)).count(), 1);
        assert_eq!(network.mend(FaultId(2)), (0, vec![]), "mending twice is harmless");
    }

    #[test]
    fn some_cuts_clog_and_let_go_what_they_kept() {
        let (mut clogged, mut dropped) = (0, 0);
        for id in 0..40 {
            let mut network = network(Weather::default().fair());
            network.cut(FaultId(id), [(Peer(0), Peer(1))]);
            for n in 0..100 {
                network.send(0, &letter(n));
            }
            match network.mend(FaultId(id)).1.as_slice() {
                [] => dropped += 1,
                kept => {
                    assert_eq!((kept.len(), kept.last()), (CLOGGED_MAX, Some(&letter(99))));
                    clogged += 1;
                }
            }
        }
        assert!(clogged > 3 && dropped > 20, "{clogged} {dropped}");
    }

    #[test]
    fn trouble_touches_what_it_says_and_counts_it() {
        let cases = [
            (Trouble::Loss { percent: 50 }, 400..600, 400..600),
            (Trouble::Corrupt { percent: 50 }, 400..600, 400..600),
            (Trouble::Duplicate { percent: 50 }, 1_400..1_600, 400..600),
            (Trouble::Reorder { percent: 50, ms: 10 }, 1_000..1_001, 400..600),
            (Trouble::Delay { ms: 50, jitter_ms: 5 }, 1_000..1_001, 1_000..1_001),
            (Trouble::Rate { kbit: 1 }, 1_000..1_001, 999..1_000),
        ];
        for (trouble, arriving, touched) in cases {
            let mut network = network(Weather::default().fair());
            network.disturb(Peer(1), Some(trouble));
            let arrived: usize = arrivals(&mut network).iter().sum();
            assert!(arriving.contains(&arrived), "{trouble:?}: {arrived} arrive");
            let count = network.disturb(Peer(1), None);
            assert!(touched.contains(&count), "{trouble:?}: {count} touched");
            assert_eq!(network.disturb(Peer(1), None), 0);
        }
    }

    #[test]
    fn priorities_hold_nothing_back_before_and_after_their_time() {
        let lowest = Priorities { letters: 1, ..Priorities::new(100) };
        let mut network = network(Weather { priorities: Some(lowest), ..Weather::default().fair() });
        network.rank(2 * SPAN..3 * SPAN);
        let mut late = |now: u64| network.send(now, &letter(1)).map(|at| at - now).max().unwrap() > 100 * MS;
        assert_eq!([late(SPAN), late(2 * SPAN), late(3 * SPAN)], [false, true, false]);
    }

    #[test]
    fn priorities_hold_letters_back_and_change_nothing_else() {
        let fair = Weather::default().fair();
        let held = Weather { priorities: Some(Priorities::new(2)), ..fair };
        let (mut plain, mut slow) = (network(fair), network(held));
        let mut late = Vec::new();
        for n in 0..2_000 {
            let when = |network: &mut Network| network.send(0, &letter(n as u8)).collect::<Vec<_>>();
            let (plain, slow) = (when(&mut plain), when(&mut slow));
            assert_eq!((plain.len(), slow.len()), (1, 1));
            late.push(slow[0] - plain[0]);
        }
        late.dedup();
        assert!(late.is_sorted() && late.len() <= 2, "{late:?}");
        assert!(late.iter().all(|&by| by <= 400 * MS));
    }

    #[test]
    fn weather_without_sense_is_refused_by_key() {
        let late = Latency::Uniform { min_us: 2, max_us: 1 };
        assert!(Weather { late, ..Weather::default() }.check().unwrap_err().starts_with("late:"));
        assert!(Weather { loss_ppm: 2_000_000, ..Weather::default() }.check().is_err());
        let idle = Weather { priorities: Some(Priorities::new(0)), ..Weather::default() };
        assert!(idle.check().unwrap_err().starts_with("priorities.depth"));
        assert_eq!(Weather::default().check(), Ok(()));
    }

    #[test]
    fn a_link_carries_so_much_and_no_more() {
        let mut network = network(Weather::default().fair());
        let letter = Letter { from: Peer(0), to: Peer(1), bytes: vec![1] };
        let mut carried = |now| (0..11_000).filter(|_| network.send(now, &letter).count() > 0).count() as u64;
        assert_eq!([carried(0), carried(SPAN - 1), carried(SPAN)], [LETTERS_MAX, 0, LETTERS_MAX]);
    }
}
