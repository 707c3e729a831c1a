//! What strikes when: drawn from a seed, whole, before the trial begins.
//!
//! The plan does not depend on what the trial does, so the same seed gives the same plan, byte for byte, in
//! every world. Each kind of fault draws from a stream of its own, so that leaving one out leaves the others
//! alone as far as time allows.
//!
//! The rules:
//! - every kind strikes before any strikes twice, and never two of a kind at a time;
//! - kinds overlap; but when those in force together would leave no majority that sees itself, the newcomer is
//!   short, or, where it cannot be short (a partition), late: a trial in which nothing can succeed tests little;
//! - the first partition cuts links that are in use, whoever leads, so that a short trial has one that hits;
//! - partitions last long enough for an election to happen behind them;
//! - the leaders are struck often, since what a new leader makes of the old one's work is where protocols fail.

use crate::name::FaultName;
use crate::target::{Reach, minority};
use crate::{clock, damage, disk, kill, membership, packets, partition, pause, power, resources};
use elenchus_core::fault::{Ailment, Cut, Fault, Shape};
use elenchus_core::process::NodeId;
use elenchus_core::random::{Rng, Seed};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// What a schedule is drawn from.
#[derive(Clone, Debug)]
pub struct ScheduleOptions {
    /// Which kinds of faults; none is allowed.
    pub faults: Vec<FaultName>,
    /// The mean time from one fault to the next, and about how long each lasts. Where the trial is too short for
    /// every kind to strike, it is less.
    pub interval: Duration,
    /// After how long everything is healed for good.
    pub until: Duration,
    /// The nodes.
    pub nodes: Vec<NodeId>,
    /// Whether the system can tell who leads.
    pub primaries: bool,
    /// Whether links can be cut by resetting the connections on them.
    pub resets: bool,
    /// Whether nodes exchange streams, whose packets can be late or slow only.
    pub streams: bool,
    /// Whether members may come and go while others are cut off, too: a cluster that waits then for a majority
    /// waits for the healing.
    pub crowded: bool,
    /// The seed of all choices.
    pub seed: Seed,
}

/// One fault of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Strike {
    /// When it is injected, in milliseconds from the start of the schedule.
    pub at_ms: u64,
    /// How long it is in force, in milliseconds.
    pub lasts_ms: u64,
    /// What it is.
    pub fault: Fault,
}

impl Strike {
    fn end_ms(&self) -> u64 {
        self.at_ms + self.lasts_ms
    }
}

/// The strikes, in the order of their times.
pub fn draw(options: &ScheduleOptions) -> Vec<Strike> {
    let possible = |fault: &FaultName| options.nodes.len() >= fault.nodes_min();
    let mut faults: Vec<FaultName> = options.faults.iter().copied().filter(possible).collect();
    faults.sort_unstable();
    faults.dedup();
    if faults.is_empty() { Vec::new() } else { Planner::new(options, faults).plan() }
}

/// A partition lasts at least so long: an election timeout of up to 2 s, and time to work under a new leader.
const PARTITION_MS_MIN: u64 = 3_000;
/// A leader that stands still for so long loses its office.
const PAUSE_MS_MIN: u64 = 2_500;
/// A node that is dead for so long is missed.
const KILL_MS_MIN: u64 = 1_500;
/// A drift shows after so long.
const CLOCK_MS_MIN: u64 = 1_000;
/// Packets in trouble, ill disks and scarce resources are felt after so long.
const AILING_MS_MIN: u64 = 1_500;
/// The others go on without a removed member for so long.
const MEMBERSHIP_MS_MIN: u64 = 2_000;
/// What leaves no majority lasts at most so long, and at least half as long.
const BRIEF_MS: u64 = 800;
/// Operators who see that nodes are cut off change the members within so long.
const HURRY_MS: u64 = 500;
/// From the healing of one fault to the next of its kind.
const GAP_MS: u64 = 500;
/// A plan is no longer than this, whatever is asked: at the usual interval, two days.
const STRIKES_MAX: usize = 100_000;

struct Planner<'o> {
    options: &'o ScheduleOptions,
    faults: Vec<FaultName>,
    interval_ms: u64,
    until_ms: u64,
    when: Rng,
    streams: BTreeMap<FaultName, Rng>,
    /// Whose turn it still is in this round, and the round, from 0.
    bag: Vec<FaultName>,
    rounds: u64,
    /// Which kinds strike the leaders in this round, whatever else they might.
    at_primaries: Vec<FaultName>,
    plan: Vec<Strike>,
    /// The last strike of each kind: when it ends, and how many nodes a majority has to do without till then.
    last: BTreeMap<FaultName, (u64, usize)>,
}

impl<'o> Planner<'o> {
    fn new(options: &'o ScheduleOptions, faults: Vec<FaultName>) -> Planner<'o> {
        let seed = options.seed.stream("nemesis");
        let until_ms = u64::try_from(options.until.as_millis()).unwrap_or(u64::MAX);
        let asked_ms = u64::try_from(options.interval.as_millis()).unwrap_or(u64::MAX);
        let interval_ms = asked_ms.min(until_ms / (faults.len() as u64 + 2)).max(1);
        let streams = faults.iter().map(|&fault| (fault, seed.stream(fault.as_str()).rng())).collect();
        Planner {
            options,
            faults,
            interval_ms,
            until_ms,
            when: seed.stream("when").rng(),
            streams,
            bag: Vec::new(),
            rounds: 0,
            at_primaries: Vec::new(),
            plan: Vec::new(),
            last: BTreeMap::new(),
        }
    }

    fn plan(mut self) -> Vec<Strike> {
        let mut now = self.when.between(self.interval_ms / 4, self.interval_ms * 3 / 4);
        // What would be healed before it is felt need not begin.
        while now < self.until_ms.saturating_sub(self.interval_ms / 2) && self.plan.len() < STRIKES_MAX {
            if self.bag.is_empty() {
                self.refill();
            }
            match (0..self.bag.len()).find(|&at| self.may_begin(self.bag[at], now)) {
                Some(at) => {
                    let fault = self.bag.remove(at);
                    self.strike(fault, now);
                    now += match self.hurry(fault) {
                        true => self.when.between(1, HURRY_MS),
                        false => self.when.between(self.interval_ms / 2, self.interval_ms * 3 / 2).max(1),
                    };
                }
                // Everyone left in the bag waits for something that is in force: look again when it ends.
                None => now = self.next_end(now),
            }
        }
        self.plan
    }

    /// Whether members come and go at once, since operators do so when they see that nodes are cut off. Then it is
    /// their turn.
    fn hurry(&mut self, struck: FaultName) -> bool {
        if !self.options.crowded || struck != FaultName::Partition {
            return false;
        }
        let Some(at) = self.bag.iter().position(|fault| *fault == FaultName::Membership) else {
            return false;
        };
        let hurries = self.when.chance(1, 2);
        if hurries {
            self.bag.swap(0, at);
        }
        hurries
    }

    /// A new round: every kind once, in random order, and two of those that can depose a leader aim at it
    /// (in later rounds one).
    fn refill(&mut self) {
        self.bag = self.faults.clone();
        self.when.shuffle(&mut self.bag);
        self.at_primaries = self.bag.iter().copied().filter(|fault| deposes(*fault)).collect();
        self.when.shuffle(&mut self.at_primaries);
        self.at_primaries.truncate(if self.rounds == 0 { 2 } else { 1 });
        if !self.options.primaries {
            self.at_primaries.clear();
        }
        self.rounds += 1;
    }

    fn may_begin(&self, fault: FaultName, now: u64) -> bool {
        let last = self.last.get(&fault);
        let free = last.is_none_or(|(end, _)| end + GAP_MS <= now);
        let load = self.load(now);
        // A partition cannot be short, and a late one would be cut short by the end.
        let fits = load == 0 || load < self.minority();
        let in_time = last.is_none() || now.saturating_add(PARTITION_MS_MIN) <= self.until_ms;
        match fault {
            FaultName::Partition => free && fits && in_time,
            // A leader that stands still only briefly keeps its office: better later, and for long.
            FaultName::Pause if self.at_primaries.contains(&fault) => free && fits,
            // Whoever is out is missed until it is in again, however soon that is asked.
            FaultName::Membership => {
                free && (fits || self.options.crowded && load <= self.minority()) && in_time
            }
            _ => free,
        }
    }

    /// The next moment after `now` at which a strike has ended or its kind may strike again.
    fn next_end(&self, now: u64) -> u64 {
        let ends = self.last.values().flat_map(|(end, _)| [*end, end + GAP_MS]);
        ends.filter(|&end| end > now).min().unwrap_or(self.until_ms)
    }

    /// How many nodes a majority has to do without at `now`.
    fn load(&self, now: u64) -> usize {
        self.last.values().filter(|(end, _)| *end > now).map(|(_, load)| load).sum()
    }

    fn minority(&self) -> usize {
        minority(self.options.nodes.len())
    }

    fn strike(&mut self, kind: FaultName, now: u64) {
        let aimed = self.at_primaries.contains(&kind);
        let room = self.minority().saturating_sub(self.load(now));
        let nodes = &self.options.nodes;
        let primaries = self.options.primaries;
        let rng = self.streams.get_mut(&kind).expect("every kind in the bag has a stream");
        let Drawn { fault, load, ms_min } = match kind {
            FaultName::Partition => {
                let sure = self.rounds == 1;
                let shape = if aimed {
                    Shape::Primaries
                } else {
                    pick_shape(rng, nodes.len(), room, primaries, sure)
                };
                let (fault, load) = fitted(partition::draw(rng, nodes, shape), nodes.len(), room);
                let manner = self.options.seed.stream("manner").nth(now);
                let resets = self.options.resets && manner.rng().chance(1, 4);
                let fault = if resets { partition::by_reset(fault) } else { fault };
                Drawn { fault, load, ms_min: PARTITION_MS_MIN }
            }
            // One is enough to be missed, or to have lost what it had promised.
            FaultName::Membership | FaultName::Damage => on_nodes(rng, kind, nodes, Reach::One),
            _ => {
                let reach = if aimed { Reach::Primaries } else { pick_reach(rng, primaries) };
                on_nodes(rng, kind, nodes, reach)
            }
        };
        let fault = match fault {
            Fault::Packets { nodes, .. } if self.options.streams => {
                let mut slow = self.options.seed.stream("streams").nth(now).rng();
                Fault::Packets { nodes, trouble: packets::slow(&mut slow) }
            }
            fault => fault,
        };
        let low = (self.interval_ms * 3 / 4).max(ms_min);
        let long = rng.between(low, (low * 5 / 3).max(self.interval_ms * 3 / 2));
        let brief = rng.between(BRIEF_MS / 2, BRIEF_MS);
        let can_be_brief = !matches!(kind, FaultName::Partition | FaultName::Membership);
        let lasts_ms = if load > room && can_be_brief { brief } else { long };
        let lasts_ms = lasts_ms.min(self.until_ms.saturating_sub(now));
        let strike = Strike { at_ms: now, lasts_ms, fault };
        self.last.insert(kind, (strike.end_ms(), load));
        self.plan.push(strike);
    }
}

/// A fault, how many nodes a majority has to do without while it lasts, and how long it takes to be felt.
struct Drawn {
    fault: Fault,
    load: usize,
    ms_min: u64,
}

/// Draws a fault that strikes nodes.
fn on_nodes(rng: &mut Rng, kind: FaultName, nodes: &[NodeId], reach: Reach) -> Drawn {
    let size = reach.size(nodes.len());
    let drawn = |fault, load, ms_min| Drawn { fault, load, ms_min };
    match kind {
        FaultName::Kill => drawn(kill::draw(rng, nodes, reach), size, KILL_MS_MIN),
        FaultName::Pause => drawn(pause::draw(rng, nodes, reach), size, PAUSE_MS_MIN),
        FaultName::Clock => drawn(clock::draw(rng, nodes, reach), 0, CLOCK_MS_MIN),
        FaultName::Packets => drawn(packets::draw(rng, nodes, reach), 0, AILING_MS_MIN),
        FaultName::Power => drawn(power::draw(rng, nodes, reach), size, KILL_MS_MIN),
        FaultName::Disk => {
            let fault = disk::draw(rng, nodes, reach);
            let slow = matches!(fault, Fault::Disk { ailment: Ailment::SlowSync { .. }, .. });
            drawn(fault, if slow { 0 } else { size }, AILING_MS_MIN)
        }
        FaultName::Damage => drawn(damage::draw(rng, nodes, reach), size, KILL_MS_MIN),
        FaultName::Resources => drawn(resources::draw(rng, nodes, reach), size, AILING_MS_MIN),
        FaultName::Membership => drawn(membership::draw(rng, nodes, reach), size, MEMBERSHIP_MS_MIN),
        FaultName::Partition => unreachable!("a partition strikes links"),
    }
}

/// Whether this kind, aimed at a leader, costs it its office.
fn deposes(fault: FaultName) -> bool {
    matches!(fault, FaultName::Partition | FaultName::Kill | FaultName::Pause | FaultName::Power)
}

fn pick_reach(rng: &mut Rng, primaries: bool) -> Reach {
    let all = [
        (3, Reach::One),
        (3, Reach::Minority),
        (1, Reach::Majority),
        (1, Reach::All),
        (if primaries { 4 } else { 0 }, Reach::Primaries),
    ];
    weighted(rng, &all)
}

/// The same partition with its load; the leaders go alone rather than with more companions than there is room.
fn fitted(mut fault: Fault, nodes: usize, room: usize) -> (Fault, usize) {
    let load = match &mut fault {
        Fault::Partition { cut: Cut::Primaries { companions }, .. } => {
            companions.truncate(room.saturating_sub(1));
            companions.len() + 1
        }
        Fault::Partition { shape, .. } => partition::load(*shape, nodes),
        _ => 0,
    };
    (fault, load)
}

/// A shape that these nodes can be cut into and for which there is room, if there is one. A bridge whose middle
/// leads cuts followers only, who have nothing to say to each other: not a `sure` hit.
fn pick_shape(rng: &mut Rng, nodes: usize, room: usize, primaries: bool, sure: bool) -> Shape {
    let weight = |shape: Shape| match shape {
        Shape::Bridge => {
            if sure {
                0
            } else {
                4
            }
        }
        Shape::Primaries if primaries => 3,
        Shape::Primaries => 0,
        Shape::One => 1,
        _ => 2,
    };
    let of = |fits: &dyn Fn(Shape) -> bool| -> Vec<(u64, Shape)> {
        partition::shapes(nodes)
            .iter()
            .filter(|&&shape| fits(shape))
            .map(|&shape| (weight(shape), shape))
            .collect()
    };
    let alone = |shape| if shape == Shape::Primaries { 1 } else { partition::load(shape, nodes) };
    let fitting = of(&|shape| alone(shape) <= room);
    if fitting.iter().any(|(weight, _)| *weight > 0) {
        weighted(rng, &fitting)
    } else {
        weighted(rng, &of(&|_| true))
    }
}

fn weighted<T: Copy>(rng: &mut Rng, choices: &[(u64, T)]) -> T {
    let mut drawn = rng.below(choices.iter().map(|(weight, _)| weight).sum());
    for (weight, choice) in choices {
        match drawn.checked_sub(*weight) {
            Some(rest) => drawn = rest,
            None => return *choice,
        }
    }
    unreachable!("the draw is below the sum of the weights")
}

#[cfg(test)]
mod tests {
    use super::*;
    use elenchus_core::fault::{Manner, Target, Trouble};

    fn options(seed: u64) -> ScheduleOptions {
        ScheduleOptions {
            faults: FaultName::CUSTOMARY.to_vec(),
            interval: Duration::from_secs(2),
            until: Duration::from_secs(20),
            nodes: NodeId::numbered(5),
            primaries: true,
            resets: true,
            streams: false,
            crowded: false,
            seed: Seed(seed),
        }
    }

    fn of_kind<'s>(plan: &'s [Strike], name: &'s str) -> impl Iterator<Item = &'s Strike> {
        plan.iter().filter(move |strike| strike.fault.name() == name)
    }

    fn aims_at_leaders(fault: &Fault) -> bool {
        match fault {
            Fault::Partition { cut, .. } => matches!(cut, Cut::Primaries { .. }),
            _ => fault.nodes() == Some(&Target::Primaries),
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_plan_byte_for_byte() {
        let text = |seed| serde_json::to_string(&draw(&options(seed))).expect("a plan is JSON");
        assert_eq!(text(7), text(7));
        assert_ne!(text(7), text(8));
        let first: serde_json::Value = serde_json::from_str(&text(7)).expect("JSON");
        assert!(first[0]["at_ms"].is_u64() && first[0]["lasts_ms"].is_u64() && first[0]["fault"].is_object());
    }

    #[test]
    fn the_first_partition_is_no_bridge_whose_middle_may_lead() {
        let bridge = |strike: &Strike| matches!(strike.fault, Fault::Partition { shape: Shape::Bridge, .. });
        let plans: Vec<_> = (0..500).map(|seed| draw(&options(seed))).collect();
        assert!(plans.iter().all(|plan| !of_kind(plan, "partition").next().is_some_and(bridge)));
        assert!(plans.iter().any(|plan| of_kind(plan, "partition").any(bridge)), "later ones may be");
    }

    #[test]
    fn leaders_lose_their_office_at_least_twice() {
        for seed in 0..500 {
            let deposes = |strike: &&Strike| match strike.fault.name() {
                "partition" => strike.lasts_ms >= PARTITION_MS_MIN,
                // Whoever was dead comes back as a follower, however soon.
                "kill" => true,
                "pause" => strike.lasts_ms >= 2_000,
                _ => false,
            };
            let plan = draw(&options(seed));
            let count = plan.iter().filter(|strike| aims_at_leaders(&strike.fault)).filter(deposes).count();
            assert!(count >= 2, "seed {seed}: only {count}");
        }
    }

    #[test]
    fn every_kind_strikes_before_any_strikes_twice() {
        for seed in 0..500 {
            let plan = draw(&options(seed));
            let mut first: Vec<_> = plan.iter().take(4).map(|strike| strike.fault.name()).collect();
            first.sort_unstable();
            assert_eq!(first, ["clock", "kill", "partition", "pause"], "seed {seed}");
            assert!(
                plan[3].at_ms < 17_000,
                "seed {seed}: the last kind first strikes at {} ms",
                plan[3].at_ms
            );
        }
    }

    #[test]
    fn every_kind_strikes_in_short_trials_too() {
        for (seed, until) in (0..100).flat_map(|seed| [5, 8, 12, 60].map(|until| (seed, until))) {
            for interval in [Duration::from_millis(200), Duration::from_secs(2), Duration::from_secs(30)] {
                let plan =
                    draw(&ScheduleOptions { until: Duration::from_secs(until), interval, ..options(seed) });
                let kinds: std::collections::BTreeSet<_> =
                    plan.iter().map(|strike| strike.fault.name()).collect();
                assert!(kinds.len() == 4 || until < 12, "seed {seed}, {until} s, {interval:?}: {kinds:?}");
                assert!(kinds.len() >= 2);
            }
        }
    }

    #[test]
    fn two_of_a_kind_are_never_in_force_together_and_none_after_the_end() {
        for seed in 0..500 {
            let plan = draw(&options(seed));
            assert!(plan.is_sorted_by_key(|strike| strike.at_ms));
            for name in FaultName::CUSTOMARY.map(FaultName::as_str) {
                let strikes: Vec<_> = of_kind(&plan, name).collect();
                assert!(
                    strikes.windows(2).all(|two| two[0].end_ms() + GAP_MS <= two[1].at_ms),
                    "seed {seed}: {name}"
                );
            }
            assert!(plan.iter().all(|strike| strike.end_ms() <= 20_000 && strike.lasts_ms > 0));
        }
    }

    #[test]
    fn kinds_do_overlap() {
        let overlaps = |plan: &[Strike]| plan.windows(2).any(|two| two[1].at_ms < two[0].end_ms());
        assert!((0..100).all(|seed| overlaps(&draw(&options(seed)))));
    }

    #[test]
    fn partitions_last_long_enough_for_an_election_behind_them() {
        for seed in 0..500 {
            let plan = draw(&options(seed));
            let lengths: Vec<u64> = of_kind(&plan, "partition").map(|strike| strike.lasts_ms).collect();
            assert!(lengths.iter().all(|ms| *ms >= PARTITION_MS_MIN), "seed {seed}: {lengths:?}");
            assert!((3_000..=20_000).contains(&lengths.iter().sum::<u64>()));
        }
    }

    #[test]
    fn the_leaders_are_struck_often() {
        let mut strikes = 0;
        for seed in 0..500 {
            let plan = draw(&options(seed));
            let count =
                plan.iter().filter(|s| aims_at_leaders(&s.fault) && s.fault.name() != "clock").count();
            assert!(count >= 2, "seed {seed}: {count}");
            strikes += count;
        }
        assert!(strikes >= 1500, "{strikes} in 500 trials");
    }

    #[test]
    fn streams_are_late_or_slow_and_packets_suffer_all_else_too() {
        let troubles = |streams: bool| -> Vec<Trouble> {
            let faults = vec![FaultName::Packets];
            let plans =
                (0..30).map(|seed| ScheduleOptions { streams, faults: faults.clone(), ..options(seed) });
            let strikes = plans.flat_map(|options| draw(&options));
            strikes
                .filter_map(|strike| match strike.fault {
                    Fault::Packets { trouble, .. } => Some(trouble),
                    _ => None,
                })
                .collect()
        };
        let late = |one: &&Trouble| matches!(one, Trouble::Delay { .. });
        let slow = |one: &&Trouble| matches!(one, Trouble::Rate { .. });
        let (of_streams, of_packets) = (troubles(true), troubles(false));
        assert_eq!(of_streams.len(), of_packets.len(), "all else is as it was");
        let counts = [of_streams.iter().filter(late).count(), of_streams.iter().filter(slow).count()];
        assert!(counts[0] > 20 && counts[1] > 20 && counts[0] + counts[1] == of_streams.len(), "{counts:?}");
        assert!(of_packets.iter().any(|one| !late(&one) && !slow(&one)));
    }

    #[test]
    fn some_partitions_reset_connections_where_that_can_be_done() {
        let manners = |resets: bool| -> Vec<bool> {
            let plans = (0..100).map(|seed| draw(&ScheduleOptions { resets, ..options(seed) }));
            let faults = plans.flatten().map(|strike| strike.fault);
            faults
                .filter_map(|fault| match fault {
                    Fault::Partition { manner, .. } => Some(manner == Manner::Reset),
                    _ => None,
                })
                .collect()
        };
        let share = |manners: &[bool]| manners.iter().filter(|reset| **reset).count() * 100 / manners.len();
        assert!((15..35).contains(&share(&manners(true))), "{}", share(&manners(true)));
        assert_eq!(share(&manners(false)), 0);
        // All else is as it was.
        assert_eq!(manners(true).len(), manners(false).len());
    }

    #[test]
    fn leaders_are_left_alone_when_nobody_can_tell_who_they_are() {
        for seed in 0..100 {
            let plan = draw(&ScheduleOptions { primaries: false, ..options(seed) });
            assert!(!plan.iter().any(|strike| aims_at_leaders(&strike.fault)));
        }
    }

    /// How many nodes a majority has to do without, as the plan counts.
    fn load(fault: &Fault) -> usize {
        match fault {
            Fault::Partition { cut: Cut::Primaries { companions }, .. } => companions.len() + 1,
            Fault::Partition { shape, .. } => partition::load(*shape, 5),
            Fault::Clock { .. } | Fault::Packets { .. } => 0,
            Fault::Disk { ailment: Ailment::SlowSync { .. }, .. } => 0,
            fault => match fault.nodes() {
                Some(Target::Nodes(nodes)) => nodes.len(),
                _ => 1,
            },
        }
    }

    #[test]
    fn a_majority_is_only_ever_without_itself_for_moments() {
        for seed in 0..500 {
            let plan = draw(&options(seed));
            let in_force = |ms: u64| plan.iter().filter(move |s| s.at_ms <= ms && ms < s.end_ms());
            let (mut lost, mut longest, mut run, mut working) = (0, 0, 0, 0);
            for ms in (0..20_000).step_by(10) {
                let down = in_force(ms).map(|strike| load(&strike.fault)).sum::<usize>() > 2;
                run = if down { run + 10 } else { 0 };
                longest = longest.max(run);
                lost += u64::from(down) * 10;
                working += u64::from(!down && in_force(ms).any(|s| s.fault.name() == "partition")) * 10;
            }
            assert!(longest <= 2 * BRIEF_MS, "seed {seed}: {longest} ms without a majority");
            assert!(lost <= 5_000, "seed {seed}: {lost} ms without a majority in all");
            assert!(working >= 2_000, "seed {seed}: {working} ms to work in while partitioned");
        }
    }

    #[test]
    fn every_shape_and_reach_comes_up_and_no_node_is_spared() {
        let (mut shapes, mut reaches, mut struck) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        for seed in 0..300 {
            for strike in draw(&options(seed)) {
                match &strike.fault {
                    Fault::Partition { shape, .. } => *shapes.entry(format!("{shape:?}")).or_insert(0) += 1,
                    Fault::Kill { nodes: Target::Nodes(nodes) }
                    | Fault::Pause { nodes: Target::Nodes(nodes) }
                    | Fault::Clock { nodes: Target::Nodes(nodes), .. } => {
                        *reaches.entry(nodes.len()).or_insert(0) += 1;
                        nodes.iter().for_each(|node| *struck.entry(node.clone()).or_insert(0) += 1);
                    }
                    _ => {}
                }
            }
        }
        assert!(shapes.len() == 6 && shapes.values().all(|&n| n > 20), "{shapes:?}");
        assert!(reaches.keys().eq(&[1, 2, 3, 5]) && reaches.values().all(|&n| n > 50), "{reaches:?}");
        let (least, most) = (struck.values().min().expect("five"), struck.values().max().expect("five"));
        assert!(struck.len() == 5 && most - least < most / 5, "{struck:?}");
    }

    #[test]
    fn small_clusters_get_what_they_can_suffer() {
        for (nodes, seed) in
            [1, 2, 3, 4, 7].into_iter().flat_map(|nodes| (0..50).map(move |seed| (nodes, seed)))
        {
            let plan = draw(&ScheduleOptions { nodes: NodeId::numbered(nodes), ..options(seed) });
            assert_eq!(of_kind(&plan, "partition").count() > 0, nodes > 1, "{nodes} nodes, seed {seed}");
            assert!(["kill", "pause", "clock"].iter().all(|name| of_kind(&plan, name).count() > 0));
        }
    }

    #[test]
    fn all_kinds_together_strike_each_and_leave_a_majority_most_of_the_time() {
        for seed in 0..100 {
            let until = Duration::from_secs(60);
            let plan = draw(&ScheduleOptions { faults: FaultName::ALL.to_vec(), until, ..options(seed) });
            for name in FaultName::ALL.map(FaultName::as_str) {
                assert!(of_kind(&plan, name).next().is_some(), "seed {seed}: no {name}");
            }
            let in_force = |ms: u64| plan.iter().filter(move |s| s.at_ms <= ms && ms < s.end_ms());
            let down = |ms: &u64| in_force(*ms).map(|strike| load(&strike.fault)).sum::<usize>() > 2;
            let lost = (0..60_000).step_by(10).filter(down).count() * 10;
            assert!(lost <= 25_000, "seed {seed}: {lost} ms of 60,000 without a majority");
        }
    }

    #[test]
    fn members_come_and_go_behind_a_partition_only_where_that_is_asked_for() {
        let behind = |crowded: bool| {
            let faults = vec![FaultName::Partition, FaultName::Membership];
            let plans = (0..50)
                .map(|seed| draw(&ScheduleOptions { crowded, faults: faults.clone(), ..options(seed) }));
            let is_behind = |plan: &Vec<Strike>| {
                of_kind(plan, "membership").any(|strike| {
                    let at = |cut: &Strike| cut.at_ms <= strike.at_ms && strike.at_ms < cut.end_ms();
                    of_kind(plan, "partition").any(|cut| at(cut) && load(&cut.fault) == 2)
                })
            };
            plans.filter(is_behind).count()
        };
        assert_eq!(behind(false), 0);
        assert!(behind(true) > 10);
    }

    #[test]
    fn operators_hurry_when_nodes_are_cut_off_where_that_is_asked_for() {
        let hurried = |crowded: bool| {
            let plans = (0..50).map(|seed| {
                draw(&ScheduleOptions { crowded, faults: FaultName::ALL.to_vec(), ..options(seed) })
            });
            let soon = |plan: &Vec<Strike>| {
                plan.windows(2).any(|two| {
                    let kinds = (two[0].fault.name(), two[1].fault.name());
                    kinds == ("partition", "membership") && two[1].at_ms - two[0].at_ms <= HURRY_MS
                })
            };
            plans.filter(soon).count()
        };
        assert!(hurried(false) < 3, "by chance only");
        assert!(hurried(true) >= 10, "{}", hurried(true));
    }

    #[test]
    fn files_are_harmed_and_members_removed_one_node_at_a_time() {
        for kind in [FaultName::Damage, FaultName::Membership] {
            for strike in draw(&ScheduleOptions { faults: vec![kind], ..options(3) }) {
                assert!(matches!(strike.fault.nodes(), Some(Target::Nodes(nodes)) if nodes.len() == 1));
            }
        }
    }

    #[test]
    fn nothing_asked_or_no_time_is_nothing_planned() {
        assert_eq!(draw(&ScheduleOptions { faults: vec![], ..options(1) }), []);
        assert_eq!(draw(&ScheduleOptions { until: Duration::ZERO, ..options(1) }), []);
        let at_once = draw(&ScheduleOptions { interval: Duration::ZERO, ..options(1) });
        assert!(at_once.len() < 100, "no interval at all is still bounded by how long faults last");
        assert_eq!(
            draw(&ScheduleOptions {
                nodes: NodeId::numbered(1),
                faults: vec![FaultName::Partition],
                ..options(1)
            }),
            []
        );
    }

    #[test]
    fn a_plan_for_ever_is_bounded() {
        let plan = draw(&ScheduleOptions { until: Duration::MAX, ..options(1) });
        assert_eq!(plan.len(), STRIKES_MAX);
    }

    #[test]
    fn one_kind_alone_strikes_again_and_again() {
        for fault in FaultName::ALL {
            let plan = draw(&ScheduleOptions { faults: vec![fault], ..options(4) });
            assert!(plan.len() >= 3, "{fault}: {}", plan.len());
        }
    }
}
