//! A schedule with something changed.
//!
//! A child keeps its parent's seed or gets one of its own. With the parent's seed it is the parent's run, event for
//! event, up to the first change: what comes next comes in the state that made the parent worth keeping. With its own
//! seed it is the parent's schedule in another run.

use super::corpus::Entry;
use crate::plan::TrialPlan;
use crate::trial::drawn_from;
use elenchus_core::random::{Rng, Seed};
use elenchus_nemeses::{FaultName, ScheduleOptions, Strike, plan};
use elenchus_reference::sim::Priorities;

/// What can be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mutation {
    /// A strike comes earlier or later.
    Shift,
    /// A strike lasts longer or shorter.
    Stretch,
    /// Another strike of the same kind in a strike's place: other nodes, other particulars.
    Retarget,
    /// A strike of another kind in a strike's place.
    Swap,
    /// A strike more.
    Add,
    /// A strike less.
    Drop,
    /// A strike comes just after a node's role changed.
    Turn,
    /// A strike more, just after a node's role changed.
    Pursue,
    /// The first strikes of this schedule, the last of another.
    Splice,
    /// One stream of choices has another seed.
    Reseed,
    /// Links have priorities, or none.
    Weather,
}

impl Mutation {
    /// Each, as often as it is chosen.
    const WEIGHTED: [(u64, Mutation); 11] = [
        (2, Mutation::Shift),
        (2, Mutation::Stretch),
        (2, Mutation::Retarget),
        (2, Mutation::Swap),
        (2, Mutation::Add),
        (1, Mutation::Drop),
        (3, Mutation::Turn),
        (3, Mutation::Pursue),
        (2, Mutation::Splice),
        (1, Mutation::Reseed),
        (1, Mutation::Weather),
    ];

    fn draw(rng: &mut Rng) -> Mutation {
        let mut left = rng.below(Mutation::WEIGHTED.iter().map(|(weight, _)| weight).sum());
        for (weight, mutation) in Mutation::WEIGHTED {
            match left.checked_sub(weight) {
                Some(rest) => left = rest,
                None => return mutation,
            }
        }
        Mutation::Shift
    }
}

/// How far a strike is shifted, in milliseconds.
const SHIFT_MS: u64 = 2_000;
/// A strike comes at most so long after a role changed.
const PURSUIT_MS: u64 = 100;
/// What comes later than this before the end is not felt.
const END_MS: u64 = 200;
/// No schedule has more strikes for each second.
const STRIKES_A_SECOND: usize = 2;
/// The streams that can have another seed.
const STREAMS: [&str; 5] = ["universe", "raft", "clients", "slots", "rate"];
/// How deep priorities are.
pub const DEPTH: u32 = 3;

/// A child of a parent. `fresh` is the trial whose place it takes; `other` is one of the same kind.
pub fn mutate(parent: &Entry, other: &Entry, fresh: &TrialPlan, rng: &mut Rng) -> TrialPlan {
    let mut child = parent.plan.clone();
    if rng.chance(1, 2) {
        child.seed = fresh.seed;
        child.reseeded.clear();
    }
    let options = drawn_from(fresh, false);
    let mut strikes = child.drawn.take().unwrap_or_default();
    for _ in 0..rng.between(1, 3) {
        match Mutation::draw(rng) {
            Mutation::Reseed => {
                child.reseeded.insert((*rng.pick(&STREAMS)).into(), Seed(rng.next_u64()));
            }
            Mutation::Weather => {
                let simulation = child.simulation.get_or_insert_default();
                simulation.weather.priorities = match simulation.weather.priorities {
                    Some(_) => None,
                    None => Some(Priorities::new(DEPTH)),
                };
            }
            Mutation::Splice => {
                let at = rng.below(millis(fresh).max(1));
                strikes.retain(|strike| strike.at_ms < at);
                let rest = other.plan.drawn.iter().flatten().filter(|strike| strike.at_ms >= at);
                strikes.extend(rest.cloned());
            }
            change => rearrange(&mut strikes, change, &parent.turns, &options, rng),
        }
    }
    child.drawn = Some(settled(strikes, millis(fresh)));
    child.nemesis_named = false;
    child
}

fn millis(plan: &TrialPlan) -> u64 {
    u64::try_from(plan.time_limit.0.as_millis()).unwrap_or(u64::MAX)
}

fn rearrange(
    strikes: &mut Vec<Strike>,
    change: Mutation,
    turns: &[u64],
    options: &ScheduleOptions,
    rng: &mut Rng,
) {
    let turn = |rng: &mut Rng| (!turns.is_empty()).then(|| rng.pick(turns) + rng.below(PURSUIT_MS));
    if matches!(change, Mutation::Add | Mutation::Pursue) || strikes.is_empty() {
        let Some(mut strike) = drawn(&options.faults, options, rng) else { return };
        if change == Mutation::Pursue {
            strike.at_ms = turn(rng).unwrap_or(strike.at_ms);
        }
        return strikes.push(strike);
    }
    let at = rng.below(strikes.len() as u64) as usize;
    let strike = &mut strikes[at];
    let same = |kind: &FaultName| kind.as_str() == strike.fault.name();
    match change {
        Mutation::Shift => strike.at_ms = (strike.at_ms + rng.below(2 * SHIFT_MS)).saturating_sub(SHIFT_MS),
        Mutation::Stretch => strike.lasts_ms = strike.lasts_ms * rng.between(1, 16) / 4,
        Mutation::Turn => strike.at_ms = turn(rng).unwrap_or(strike.at_ms),
        Mutation::Drop => drop(strikes.remove(at)),
        Mutation::Retarget | Mutation::Swap => {
            let wants_same = change == Mutation::Retarget;
            let kinds: Vec<FaultName> =
                options.faults.iter().copied().filter(|kind| same(kind) == wants_same).collect();
            if let Some(other) = drawn(&kinds, options, rng) {
                strike.fault = other.fault;
            }
        }
        Mutation::Add | Mutation::Pursue | Mutation::Splice | Mutation::Reseed | Mutation::Weather => {}
    }
}

/// A strike of one of these kinds, as the schedule of a fresh trial would have it.
fn drawn(kinds: &[FaultName], options: &ScheduleOptions, rng: &mut Rng) -> Option<Strike> {
    if kinds.is_empty() {
        return None;
    }
    let faults = vec![*rng.pick(kinds)];
    let drawn = plan::draw(&ScheduleOptions { faults, seed: Seed(rng.next_u64()), ..options.clone() });
    (!drawn.is_empty()).then(|| rng.pick(&drawn).clone())
}

/// The same within the trial's time, in the order of their times, and not too many.
fn settled(mut strikes: Vec<Strike>, limit_ms: u64) -> Vec<Strike> {
    let most = (limit_ms / 1_000 + 1) as usize * STRIKES_A_SECOND;
    strikes.truncate(most);
    for strike in &mut strikes {
        strike.at_ms = strike.at_ms.min(limit_ms.saturating_sub(END_MS));
        strike.lasts_ms = strike.lasts_ms.clamp(1, (limit_ms - strike.at_ms).max(1));
    }
    strikes.sort_by_key(|strike| strike.at_ms);
    strikes
}
