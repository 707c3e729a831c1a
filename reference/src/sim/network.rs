//! The network between nodes: what becomes of each letter, decided when it is sent.
//!
//! Letters travel alone: they may be lost, doubled, late, and overtake each other, as on the worst of networks.
//! A cut link drops what is sent on it or under way, or (clogged) keeps it until the cut is mended. What is lost is
//! counted for the fault that lost it: that is its proof.
//!
//! Some cuts turn: whenever somebody comes to lead, they part him from who led before, and draw anew whom with whom.
//! Then what an old leader has begun meets what a new one has, as in the worst hour of a network whose routes come
//! and go.

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
/// Of three cuts so many turn…
const TURNING: u64 = 2;
/// …in the moment that somebody comes to lead, or later by one of so many nanoseconds, each twice as many as those
/// before it: from a part of a round trip on the fastest of networks to some on slow ones.
const TURN_NS: [u64; 2] = [1 << 17, 1 << 25];
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
    nodes: u16,
    /// Who came to lead last, and who led before.
    leaders: (Option<Peer>, Option<Peer>),
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
    turns: bool,
    /// How often it was to turn.
    turned: u64,
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
            nodes,
            leaders: (None, None),
            troubles: BTreeMap::new(),
        }
    }

    /// Takes a letter at `now` and says when it arrives: never, once or twice.
    pub fn send(&mut self, now: u64, letter: &Letter) -> Arrivals {
        let Letter { from, to, bytes } = letter;
        let road = self.roads.entry((*from, *to)).or_default();
        road.sent += 1;
        let mut rng = self.chance.letter(from.0, to.0, road.sent);
        if self.holds_back(letter) {
            return Arrivals::NONE;
        }
        let road = self.roads.entry((*from, *to)).or_default();
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

    /// Whether a letter that is sent now, or was to arrive now, meets a cut; then it stays behind.
    pub fn holds_back(&mut self, letter: &Letter) -> bool {
        let Some(road) = self.roads.get_mut(&(letter.from, letter.to)) else { return false };
        if road.cut_by.is_empty() {
            return false;
        }
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
        true
    }

    /// Priorities of links, if there are any, count during this time only.
    pub fn rank(&mut self, during: Range<u64>) {
        self.ranked = during;
    }

    /// Cuts links in the name of a fault.
    pub fn cut(&mut self, id: FaultId, links: impl IntoIterator<Item = (Peer, Peer)>) {
        let mut rng = self.chance.cut(id.0);
        let (clogs, turns) = (rng.chance(1, CLOGS_OF), rng.chance(TURNING, 3));
        self.cuts.entry(id).or_insert_with(|| Cut {
            links: Vec::new(),
            clogs,
            turns,
            turned: 0,
            held_back: 0,
        });
        self.sever(id, links);
    }

    fn sever(&mut self, id: FaultId, links: impl IntoIterator<Item = (Peer, Peer)>) {
        let Some(cut) = self.cuts.get_mut(&id) else { return };
        for link in links {
            if self.roads.entry(link).or_default().cut_by.insert(id) {
                cut.links.push(link);
            }
        }
    }

    /// Somebody has come to lead. Returns the cuts that are to turn now or later, and after how many nanoseconds.
    pub fn leads(&mut self, node: Peer) -> Vec<(FaultId, u64)> {
        if self.leaders.0 != Some(node) {
            self.leaders = (Some(node), self.leaders.0);
        }
        let mut turning = Vec::new();
        for (id, cut) in self.cuts.iter_mut().filter(|(_, cut)| cut.turns) {
            cut.turned += 1;
            let mut rng = self.chance.turn(id.0, cut.turned);
            let later = rng.between(u64::from(TURN_NS[0].ilog2()), u64::from(TURN_NS[1].ilog2()));
            turning.push((*id, if rng.chance(1, 2) { 0 } else { rng.below(1 << later) }));
        }
        turning
    }

    /// A cut turns: who came to lead last is on one side, who led before on the other. Returns what a clog has kept
    /// and lets go, and who is with the leader.
    pub fn turn(&mut self, id: FaultId) -> Option<(Vec<Letter>, Vec<Peer>)> {
        let (leader, former) = (self.leaders.0?, self.leaders.1);
        let turned = self.cuts.get(&id)?.turned;
        let mut rng = self.chance.sides(id.0, turned);
        let mut with = |peer: &Peer| *peer == leader || Some(*peer) != former && rng.chance(1, 2);
        let (mut side, mut rest): (Vec<Peer>, Vec<Peer>) =
            (0..self.nodes).map(Peer).partition(|peer| with(peer));
        // Who led before may be alone already: then nothing would turn.
        if rest.len() <= 1 && side.len() > 2 {
            let moved = side.iter().position(|peer| *peer != leader).map(|at| side.remove(at));
            rest.extend(moved);
        }
        let freed = self.open(id);
        let links = side.iter().flat_map(|a| rest.iter().flat_map(|b| [(*a, *b), (*b, *a)]));
        self.sever(id, links);
        Some((freed, side))
    }

    /// Mends what a fault cut, unless another still cuts it. Returns how many letters were held back, and those
    /// that a clog has kept and lets go.
    pub fn mend(&mut self, id: FaultId) -> (u64, Vec<Letter>) {
        let freed = self.open(id);
        (self.cuts.remove(&id).map_or(0, |cut| cut.held_back), freed)
    }

    /// Takes a fault's cuts from its links. Returns what a clog has kept and lets go.
    fn open(&mut self, id: FaultId) -> Vec<Letter> {
        let mut freed = Vec::new();
        for link in self.cuts.get_mut(&id).map(|cut| std::mem::take(&mut cut.links)).unwrap_or_default() {
            if let Some(road) = self.roads.get_mut(&link) {
                road.cut_by.remove(&id);
                if road.cut_by.is_empty() {
                    freed.extend(road.kept.drain(..));
                }
            }
        }
        freed
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

    fn five(id: u32) -> Network {
        let mut network = Network::new(Chance::new(Seed(1)), Weather::default().fair(), 5);
        let apart = |a: u16| (1..5).flat_map(move |b| [(Peer(a), Peer(b)), (Peer(b), Peer(a))]);
        network.cut(FaultId(id), apart(0));
        network
    }

    #[test]
    fn a_cut_that_turns_parts_the_leader_from_who_led_before() {
        let (mut turning, mut sides) = (0, BTreeSet::new());
        for id in 0..60 {
            let mut network = five(id);
            network.leads(Peer(0));
            let Some((cut, _)) = network.leads(Peer(3)).pop() else { continue };
            turning += 1;
            let (_, side) = network.turn(cut).expect("somebody leads");
            assert!(side.contains(&Peer(3)) && !side.contains(&Peer(0)) && side.len() < 4, "{side:?}");
            for (from, to) in (0..5).flat_map(|a| (0..5).map(move |b| (Peer(a), Peer(b)))) {
                let passes = network.send(0, &Letter { from, to, bytes: vec![] }).count() > 0;
                assert_eq!(
                    passes,
                    side.contains(&from) == side.contains(&to),
                    "{from:?} to {to:?}: {side:?}"
                );
            }
            assert_eq!(
                network.mend(cut).0,
                2 * (side.len() * (5 - side.len())) as u64,
                "both ways are held back"
            );
            assert!(network.turn(cut).is_none(), "what is mended turns no more");
            sides.insert(side);
        }
        assert!((25..50).contains(&turning) && sides.len() == 7, "{turning} {sides:?}");
    }

    #[test]
    fn a_cut_turns_at_once_or_soon() {
        let mut network = five((0..).find(|id| !five(*id).leads(Peer(1)).is_empty()).expect("some turn"));
        let after: Vec<u64> =
            (0..200).flat_map(|n| network.leads(Peer(n % 5))).map(|(_, later)| later).collect();
        let at_once = after.iter().filter(|later| **later == 0).count();
        assert!((70..130).contains(&at_once) && after.iter().all(|later| *later < TURN_NS[1]), "{at_once}");
        assert!(after.iter().any(|later| (1..MS).contains(later)), "sooner than a letter comes back");
    }

    #[test]
    fn a_letter_under_way_is_lost_if_its_link_is_cut_before_it_arrives() {
        let mut network = network(Weather::default().fair());
        assert!(!network.holds_back(&letter(1)), "nothing is cut");
        network.cut(FaultId(1), [(Peer(0), Peer(1))]);
        assert!(network.holds_back(&letter(1)));
        assert_eq!(network.mend(FaultId(1)).0, 1);
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
