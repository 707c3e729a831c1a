//! What could be all that it takes: scripts far smaller than the one at hand, tried under many lucks.
//!
//! A script loses what it shows when little is left out of it: elections fall otherwise, and what follows is another
//! run. Then nothing near it is smaller. But most violations need little: a strike, a few operations on one
//! key, the last second. Whatever shows it is as good as what was recorded.

use super::passes::Size;
use super::trials::Sight;
use crate::plan::TrialPlan;
use crate::script::{Blow, Script, Step};
use elenchus_checkers::consensus;
use elenchus_core::time::Time;
use elenchus_reference::sim::Simulation;

/// A millisecond in nanoseconds.
const MS: u64 = 1_000_000;
/// How long strikes alone last at least, in nanoseconds: some elections.
const ELECTIONS: u64 = 8_000 * MS;
/// Beyond so many strikes only single ones are tried, and no pairs.
const PAIRED_MAX: usize = 6;
/// How long a cluster has to begin, in nanoseconds.
const LEAD: u64 = 100 * MS;
/// How long clients are waited for when they alone act, in nanoseconds.
const PATIENCE: u64 = 1_000 * MS;
/// How far apart operations come when they alone act, in microseconds: many at once, or in turn.
const PACES: [u64; 3] = [200, 1_000, 5_000];
/// How much is left of the end, in milliseconds.
const WINDOWS: [u64; 6] = [250, 500, 1_000, 2_000, 4_000, 8_000];
/// Every which operation is left.
const THINNED: [usize; 3] = [32, 8, 2];

/// Almost all operations are left out: those stay that prove it, of the same key, of the last seconds, or some of all.
pub fn operations(plan: &TrialPlan, sight: &Sight) -> Vec<TrialPlan> {
    smaller(
        plan,
        guesses(plan, sight).into_iter().map(|guess| with(plan, |script| script.operations = guess)),
    )
}

/// What a protocol does wrong by itself often takes one strike, no client, and luck.
pub fn strikes_alone(plan: &TrialPlan) -> Vec<TrialPlan> {
    let Some(script) = plan.script.as_ref().filter(|script| script.sought.checker == consensus::NAME) else {
        return Vec::new();
    };
    let alone = |strikes| {
        with(plan, |script| {
            script.until_ns = script.until_ns.max(ELECTIONS);
            script.operations.clear();
            script.strikes = strikes;
        })
    };
    smaller(plan, few_of(&script.strikes).into_iter().map(alone))
}

/// What clients can see often takes no strike, but operations on one key that come close together.
pub fn operations_alone(plan: &TrialPlan, sight: &Sight) -> Vec<TrialPlan> {
    let paced = |operations: &Vec<Step>| {
        let alone = |pace: u64| {
            with(plan, |script| {
                script.strikes.clear();
                script.final_ns = None;
                let time = |number: usize| LEAD + number as u64 * pace * 1_000;
                let steps = operations.iter().enumerate();
                script.operations =
                    steps.map(|(number, step)| Step { at_ns: time(number), ..step.clone() }).collect();
                script.until_ns = time(operations.len()) + PATIENCE;
            })
        };
        PACES.map(alone)
    };
    smaller(plan, guesses(plan, sight).iter().filter(|guess| !guess.is_empty()).flat_map(paced))
}

/// The last moments alone, at the beginning of a trial.
pub fn recent(plan: &TrialPlan, sight: &Sight) -> Vec<TrialPlan> {
    let mut all = Vec::new();
    for window in WINDOWS {
        let from = sight.at.0.saturating_sub(window * MS);
        let late = with(plan, |script| keep_since(script, from));
        let script = late.script.as_ref().expect("it was a plan with a script");
        let shifted = moved(sight, from);
        let mut strikes = few_of(&script.strikes);
        strikes.push(script.strikes.clone());
        let mut guesses = guesses(&late, &shifted);
        guesses.push(script.operations.clone());
        for guess in &guesses {
            for strikes in &strikes {
                all.push(with(&late, |script| {
                    script.operations.clone_from(guess);
                    script.strikes.clone_from(strikes);
                }));
            }
        }
    }
    smaller(plan, all)
}

/// With snapshots after so many entries, if they come more rarely now.
pub fn with_snapshots(plan: &TrialPlan, every: u64) -> Option<TrialPlan> {
    let simulation = plan.simulation.filter(|simulation| simulation.snapshot_every > every)?;
    let simulation = Simulation { snapshot_every: every, ..simulation };
    Some(TrialPlan { simulation: Some(simulation), ..plan.clone() })
}

/// The operations that may be enough.
fn guesses(plan: &TrialPlan, sight: &Sight) -> Vec<Vec<Step>> {
    let Some(script) = &plan.script else { return Vec::new() };
    let slots = plan.concurrency.max(1);
    let proves =
        |step: &Step| sight.calls.iter().any(|(who, at)| who % slots == step.slot && at.0 == step.at_ns);
    let key = |step: &Step| step.key().map(|key| key.to_string()) == sight.key;
    let late = |step: &Step| step.at_ns + 2_000 * MS >= sight.at.0;
    let rules: [&dyn Fn(&Step) -> bool; 5] =
        [&|_| false, &proves, &|step| key(step) && late(step), &key, &late];
    let chosen = |rule: &dyn Fn(&Step) -> bool| -> Vec<Step> {
        script.operations.iter().filter(|step| rule(step)).cloned().collect()
    };
    let mut all: Vec<Vec<Step>> = rules.into_iter().map(chosen).collect();
    all.extend(THINNED.map(|every| script.operations.iter().step_by(every).cloned().collect()));
    all
}

/// No strike, each alone, and each two.
fn few_of(strikes: &[Blow]) -> Vec<Vec<Blow>> {
    let mut few = vec![Vec::new()];
    few.extend(strikes.iter().map(|blow| vec![blow.clone()]));
    if strikes.len() <= PAIRED_MAX {
        for (number, one) in strikes.iter().enumerate() {
            few.extend(strikes[number + 1..].iter().map(|other| vec![one.clone(), other.clone()]));
        }
    }
    few
}

/// Leaves out what was over by then, and begins with the rest.
fn keep_since(script: &mut Script, from: u64) {
    script.operations.retain(|step| step.at_ns >= from);
    script.strikes.retain(|blow| blow.at_ns >= from || blow.heal_ns.is_none_or(|heal| heal > from));
    script.retime(|at| since(at, from));
}

/// What was seen, as it is called after the beginning was moved.
fn moved(sight: &Sight, from: u64) -> Sight {
    let calls = sight.calls.iter().map(|(who, at)| (*who, Time(since(at.0, from))));
    Sight { at: Time(since(sight.at.0, from)), calls: calls.collect(), key: sight.key.clone() }
}

/// A time after the beginning was moved to this.
fn since(at: u64, from: u64) -> u64 {
    at.saturating_sub(from) + LEAD.min(from)
}

/// Only those that are smaller than the plan, each once, the smallest first.
fn smaller(plan: &TrialPlan, all: impl IntoIterator<Item = TrialPlan>) -> Vec<TrialPlan> {
    let size = |plan: &TrialPlan| {
        let Size { strikes, operations, nodes } = Size::of(plan);
        strikes + operations + nodes
    };
    let mut smaller: Vec<TrialPlan> = all.into_iter().filter(|one| size(one) < size(plan)).collect();
    smaller.sort_by_key(size);
    smaller.dedup();
    smaller
}

/// The plan, its script changed.
pub fn with(plan: &TrialPlan, change: impl FnOnce(&mut Script)) -> TrialPlan {
    let mut plan = plan.clone();
    if let Some(script) = &mut plan.script {
        change(script);
    }
    plan
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shrink::sample;

    fn script(plan: &TrialPlan) -> &Script {
        plan.script.as_ref().unwrap()
    }

    fn are_smaller_and_in_order(plan: &TrialPlan, all: &[TrialPlan]) {
        let sizes: Vec<usize> = all.iter().map(|one| script(one).size(one.nodes.len())).collect();
        assert!(!sizes.is_empty() && sizes.is_sorted(), "{sizes:?}");
        assert!(sizes.iter().all(|size| *size < script(plan).size(plan.nodes.len())));
    }

    #[test]
    fn the_operations_that_prove_it_and_those_of_its_key_are_tried_before_many() {
        let plan = sample::plan("linearizability");
        let all = operations(&plan, &sample::sight(&plan));
        are_smaller_and_in_order(&plan, &all);
        let times: Vec<Vec<u64>> = all
            .iter()
            .map(|one| script(one).operations.iter().map(|step| step.at_ns / sample::MS).collect())
            .collect();
        assert_eq!(times[..2], [vec![], vec![10_100, 10_400]]);
        assert!(times.contains(&(8_600..12_000).step_by(300).collect()), "late ones of key 2: {times:?}");
        assert!(times.contains(&(0..12_000).step_by(800).collect()), "every eighth: {times:?}");
        assert!(all.iter().all(|one| script(one).strikes == script(&plan).strikes));
    }

    #[test]
    fn strikes_alone_are_tried_only_where_no_client_is_needed() {
        assert!(strikes_alone(&sample::plan("linearizability")).is_empty());
        let plan = sample::plan(consensus::NAME);
        let all = strikes_alone(&plan);
        are_smaller_and_in_order(&plan, &all);
        assert_eq!(all.len(), 1 + 4 + 6, "none, each, and each two");
        assert!(all.iter().all(|one| script(one).operations.is_empty()));
    }

    #[test]
    fn operations_alone_come_at_an_even_pace_and_are_waited_for() {
        let plan = sample::plan("linearizability");
        let all = operations_alone(&plan, &sample::sight(&plan));
        are_smaller_and_in_order(&plan, &all);
        for one in &all {
            let Script { strikes, operations, until_ns, final_ns, .. } = script(one);
            assert!(strikes.is_empty() && final_ns.is_none());
            let gaps: Vec<u64> = operations.windows(2).map(|two| two[1].at_ns - two[0].at_ns).collect();
            assert!(gaps.iter().all(|gap| *gap == gaps[0] && PACES.contains(&(gap / 1_000))), "{gaps:?}");
            assert!(operations.last().unwrap().at_ns + PATIENCE <= *until_ns);
        }
    }

    #[test]
    fn the_last_moments_begin_at_the_beginning_with_what_was_in_force() {
        let mut plan = sample::plan("linearizability");
        keep_since(plan.script.as_mut().unwrap(), 5_000 * MS);
        let Script { strikes, operations, until_ns, final_ns, .. } = script(&plan);
        // The kill of 4 s was in force until 6 s; the partition of 1 s was over.
        let times: Vec<(u64, Option<u64>)> =
            strikes.iter().map(|blow| (blow.at_ns / MS, blow.heal_ns.map(|heal| heal / MS))).collect();
        assert_eq!(times, [(100, Some(1_100)), (2_100, Some(4_100)), (5_100, Some(7_100))]);
        assert_eq!((operations.len(), operations[0].at_ns), (70, LEAD));
        assert_eq!((*until_ns, *final_ns), (7_100 * MS, Some(6_100 * MS)));
    }

    #[test]
    fn what_proves_it_is_known_again_after_the_beginning_was_moved() {
        let plan = sample::plan("linearizability");
        let all = recent(&plan, &sample::sight(&plan));
        are_smaller_and_in_order(&plan, &all);
        let is_proof = |one: &&TrialPlan| {
            let values: Vec<_> = script(one).operations.iter().map(|step| step.value.clone()).collect();
            values == [serde_json::Value::Null, 104.into()]
        };
        let proofs: Vec<&TrialPlan> = all.iter().filter(is_proof).collect();
        assert!(proofs.iter().any(|one| script(one).strikes.is_empty()));
        assert!(proofs.iter().any(|one| script(one).strikes.len() == 1));
        assert!(proofs.iter().all(|one| script(one).operations[0].at_ns < 9_000 * MS));
    }

    #[test]
    fn snapshots_are_only_made_more_often() {
        let plan = sample::plan("linearizability");
        let often = with_snapshots(&plan, 2).unwrap();
        assert_eq!(often.simulation.unwrap().snapshot_every, 2);
        assert!(with_snapshots(&often, 2).is_none() && with_snapshots(&often, 5).is_none());
    }
}
