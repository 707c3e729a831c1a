//! Scripts drawn at random from what a script is made of: a strike or two, a few operations, at times of their own.
//!
//! Where nothing that is left out leaves the violation, and no leap does, it may still be shown by few of the same
//! things in another order. Most draws show nothing, but one takes a millisecond or two.

use super::leaps;
use super::passes::{Size, without};
use super::trials::Sight;
use crate::plan::TrialPlan;
use crate::script::{Blow, Step};
use elenchus_checkers::consensus;
use elenchus_core::fault::{Cut, Fault, Target};
use elenchus_core::process::NodeId;
use elenchus_core::random::{Rng, Seed};
use std::collections::BTreeSet;

/// A millisecond in nanoseconds.
const MS: u64 = 1_000_000;
/// The most strikes drawn.
const STRIKES_MAX: usize = 2;
/// The most operations drawn.
const OPERATIONS_MAX: usize = 5;
/// The fewest nodes drawn.
const NODES_MIN: usize = 3;
/// Among how many of the last operations is drawn.
const POOL: usize = 48;
/// Workloads whose checkers are right about values that are written twice, too.
const REPEATABLE: [&str; 1] = ["register"];
/// After how many entries snapshots are taken in some draws.
const SNAPSHOTS: u64 = 2;
/// When the first thing happens at least, in nanoseconds.
const LEAD: u64 = 100 * MS;
/// How long after the one before the next thing happens, in microseconds.
const GAPS: [u64; 8] = [0, 200, 1_000, 5_000, 50_000, 300_000, 1_000_000, 2_500_000];
/// How long a fault is in force, in milliseconds.
const SPANS: [u64; 4] = [50, 500, 1_500, 4_000];
/// How long after the last thing it ends, in nanoseconds: an election after strikes.
const AFTER_STRIKES: u64 = 4_000 * MS;
/// The same where nothing strikes.
const AFTER_OPERATIONS: u64 = 500 * MS;

/// One draw, smaller than the plan; `None` if nothing can be.
pub fn draw(plan: &TrialPlan, sight: &Sight, seed: Seed) -> Option<TrialPlan> {
    let mut rng = seed.rng();
    let script = plan.script.as_ref()?;
    let Size { strikes, operations, nodes } = Size::of(plan);
    let drawn_nodes = if nodes > NODES_MIN && rng.chance(2, 3) { NODES_MIN } else { nodes };
    let room = (strikes + operations + nodes).checked_sub(drawn_nodes + 1)?;
    let strikes = drawn_strikes(&script.strikes, &plan.nodes, room.min(STRIKES_MAX), &mut rng);
    let room = (room - strikes.len()).min(OPERATIONS_MAX);
    let pool = pool(plan, sight);
    let (can_be_none, may_repeat) =
        (script.sought.checker == consensus::NAME, REPEATABLE.contains(&plan.workload.as_str()));
    let operations = drawn_operations(&pool, room, can_be_none, may_repeat, &mut rng)?;
    let mut plan = at_random(plan, strikes, operations, &mut rng);
    if rng.chance(1, 3) {
        plan = leaps::with_snapshots(&plan, SNAPSHOTS).unwrap_or(plan);
    }
    while plan.nodes.len() > drawn_nodes {
        let gone = rng.pick(&plan.nodes).clone();
        plan = without(&plan, &gone);
    }
    Some(plan)
}

/// The operations that are drawn from: the last ones, of the object concerned if there is one.
fn pool(plan: &TrialPlan, sight: &Sight) -> Vec<Step> {
    let Some(script) = &plan.script else { return Vec::new() };
    let concerns = |step: &&Step| sight.key.is_none() || step.key().map(|key| key.to_string()) == sight.key;
    let all: Vec<&Step> = script.operations.iter().filter(concerns).collect();
    all[all.len().saturating_sub(POOL)..].iter().map(|step| (*step).clone()).collect()
}

/// Some of the strikes, each at whichever nodes.
fn drawn_strikes(all: &[Blow], nodes: &[NodeId], max: usize, rng: &mut Rng) -> Vec<Blow> {
    let count = rng.between(0, max.min(all.len()) as u64) as usize;
    let mut drawn = all.to_vec();
    rng.shuffle(&mut drawn);
    // Two of a kind may together be more than the system was said to suffer: two drifts, two minorities.
    let mut kinds = BTreeSet::new();
    drawn.retain(|blow| kinds.len() < count && kinds.insert(blow.fault.name()));
    for blow in &mut drawn {
        let mut others = nodes.to_vec();
        rng.shuffle(&mut others);
        rename(&mut blow.fault, nodes, &others);
    }
    drawn
}

/// Some of the operations, in their order or another, what asks least in place of one or the other; `None` if there
/// must be one and can be none. Where a value written twice would contradict itself, only what reads is drawn twice.
fn drawn_operations(
    pool: &[Step],
    max: usize,
    can_be_none: bool,
    may_repeat: bool,
    rng: &mut Rng,
) -> Option<Vec<Step>> {
    let (least, most) = (usize::from(!can_be_none), max.min(pool.len()));
    if most < least {
        return None;
    }
    let count = rng.between(least as u64, most as u64) as usize;
    let mut places: Vec<usize> = (0..pool.len()).collect();
    rng.shuffle(&mut places);
    places.truncate(count);
    if rng.chance(1, 2) {
        places.sort_unstable();
    }
    let plainest = pool
        .iter()
        .filter(|step| may_repeat || step.value.is_null())
        .min_by_key(|step| step.value.to_string().len());
    let drawn = places.into_iter().map(|place| {
        let step = &pool[place];
        match plainest.filter(|_| rng.chance(1, 4)) {
            Some(plain) => Step { slot: step.slot, ..plain.clone() },
            None => step.clone(),
        }
    });
    Some(drawn.collect())
}

/// All of it, one after the other, at times that are drawn.
fn at_random(plan: &TrialPlan, strikes: Vec<Blow>, operations: Vec<Step>, rng: &mut Rng) -> TrialPlan {
    let mut plan = plan.clone();
    let Some(script) = &mut plan.script else { return plan };
    let after = if strikes.is_empty() { AFTER_OPERATIONS } else { AFTER_STRIKES };
    let mut is_strike: Vec<bool> = strikes.iter().map(|_| true).collect();
    is_strike.extend(operations.iter().map(|_| false));
    rng.shuffle(&mut is_strike);
    (script.strikes, script.operations) = (strikes, operations);
    let (mut strikes, mut steps) = (script.strikes.iter_mut(), script.operations.iter_mut());
    let mut now = LEAD + rng.below(500) * MS;
    for is_strike in is_strike {
        now += rng.pick(&GAPS) * 1_000;
        if !is_strike {
            steps.next().into_iter().for_each(|step| step.at_ns = now);
        } else if let Some(blow) = strikes.next() {
            blow.at_ns = now;
            blow.heal_ns = rng.chance(1, 2).then(|| now + rng.pick(&SPANS) * MS);
        }
    }
    script.final_ns = None;
    script.until_ns = now + after;
    script.luck = rng.below(1 << 20);
    plan
}

/// The same fault at other nodes: each in the place of another.
fn rename(fault: &mut Fault, nodes: &[NodeId], others: &[NodeId]) {
    let renamed = |node: &mut NodeId| {
        if let Some(place) = nodes.iter().position(|one| one == node) {
            node.clone_from(&others[place]);
        }
    };
    if let Fault::Partition { cut: Cut::Links(links), .. } = fault {
        for link in links {
            renamed(&mut link.from);
            renamed(&mut link.to);
        }
    } else if let Some(Target::Nodes(struck)) = fault.nodes_mut() {
        struck.iter_mut().for_each(renamed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shrink::sample;

    fn draws(plan: &TrialPlan) -> Vec<TrialPlan> {
        (0..400).filter_map(|number| draw(plan, &sample::sight(plan), Seed(3).nth(number))).collect()
    }

    #[test]
    fn every_draw_can_be_followed_and_is_made_of_what_was_there() {
        for checker in ["linearizability", consensus::NAME] {
            let mut plan = sample::plan(checker);
            plan.workload = "set".into();
            let script = plan.script.as_ref().unwrap();
            let draws = draws(&plan);
            assert_eq!(draws.len(), 400);
            for draw in &draws {
                let drawn = draw.script.as_ref().unwrap();
                drawn.check(draw).unwrap();
                let kinds: BTreeSet<&str> = drawn.strikes.iter().map(|blow| blow.fault.name()).collect();
                assert_eq!(kinds.len(), drawn.strikes.len(), "no two of a kind");
                let ids = |strikes: &[Blow]| strikes.iter().map(|blow| blow.id).collect::<BTreeSet<_>>();
                assert!(ids(&drawn.strikes).is_subset(&ids(&script.strikes)));
                for step in &drawn.operations {
                    let is_known =
                        |one: &Step| (&one.f, &one.key, &one.value) == (&step.f, &step.key, &step.value);
                    assert!(script.operations.iter().any(is_known), "{step:?}");
                    assert_eq!(step.key, Some(2.into()), "the contradiction is about key 2");
                }
                assert!(checker == consensus::NAME || !drawn.operations.is_empty());
                let writes = drawn.operations.iter().filter(|step| !step.value.is_null());
                let mut values: Vec<String> = writes.map(|step| step.value.to_string()).collect();
                values.sort();
                assert!(
                    values.windows(2).all(|two| two[0] != two[1]),
                    "nothing is written twice: {values:?}"
                );
                let ends = drawn.strikes.iter().map(|blow| blow.at_ns);
                let last = ends.chain(drawn.operations.iter().map(|step| step.at_ns)).max();
                assert!(last.is_none_or(|last| LEAD <= last && last < drawn.until_ns));
            }
            let sizes: BTreeSet<(usize, usize, usize)> =
                draws.iter().map(Size::of).map(|size| (size.strikes, size.operations, size.nodes)).collect();
            assert!(sizes.len() > 10, "{sizes:?}");
        }
    }

    #[test]
    fn every_draw_is_smaller_and_the_same_seed_draws_the_same() {
        let large = sample::plan("linearizability");
        let again: Vec<TrialPlan> = draws(&large);
        assert!(draws(&large) == again);
        let small = again.into_iter().find(|draw| Size::of(draw).operations == 3).unwrap();
        let whole = |plan: &TrialPlan| plan.script.as_ref().unwrap().size(plan.nodes.len());
        assert!(draws(&small).iter().all(|draw| whole(draw) < whole(&small)));
    }

    #[test]
    fn of_what_is_as_small_as_can_be_nothing_is_drawn() {
        let mut plan = sample::plan("linearizability");
        let script = plan.script.as_mut().unwrap();
        script.strikes.clear();
        script.operations.truncate(1);
        plan.nodes.truncate(3);
        assert!(draws(&plan).is_empty());
    }

    #[test]
    fn a_strike_is_drawn_at_other_nodes_too() {
        let plan = sample::plan(consensus::NAME);
        let mut killed = BTreeSet::new();
        for draw in draws(&plan) {
            for blow in &draw.script.as_ref().unwrap().strikes {
                if let Fault::Kill { nodes: Target::Nodes(nodes) } = &blow.fault {
                    assert_eq!(nodes.len(), 1);
                    killed.extend(nodes.clone());
                }
            }
        }
        assert_eq!(killed, plan.nodes.iter().cloned().collect());
    }
}
