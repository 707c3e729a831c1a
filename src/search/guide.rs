//! Which trial is next in a guided campaign: fresh ones and changed ones in turn.
//!
//! A trial is planned from the results of those that came at least [`LAG`] before it, taken in their order. So the
//! plans are the same however many are run at once, up to as many as that, and whoever ends first.

use super::corpus::Corpus;
use super::known::{Gain, Known};
use super::mutation::mutate;
use crate::plan::TrialPlan;
use crate::trial::drawn_from;
use elenchus_core::random::Seed;
use elenchus_nemeses::plan;
use std::collections::VecDeque;

/// A trial knows nothing of the few before it.
pub const LAG: usize = 4;

/// See the module.
#[derive(Debug)]
pub struct Guide {
    fresh: Vec<TrialPlan>,
    seed: Seed,
    corpus: Corpus,
    known: Known,
    next: usize,
    /// Planned, and not yet learned from.
    open: VecDeque<TrialPlan>,
    /// What they have reached, as far as that is known.
    gains: VecDeque<Gain>,
}

/// A planned trial.
#[derive(Clone, Debug, PartialEq)]
pub struct Planned {
    /// Its place in the campaign.
    pub trial: usize,
    /// What is to be done.
    pub plan: TrialPlan,
    /// Whose changed schedule it is, if it is not a fresh one.
    pub parent: Option<usize>,
}

impl Guide {
    /// A guide for a campaign whose trials would be these if nothing was learned.
    pub fn new(fresh: Vec<TrialPlan>, seed: Seed) -> Guide {
        Guide {
            fresh,
            seed: seed.stream("search"),
            corpus: Corpus::default(),
            known: Known::default(),
            next: 0,
            open: VecDeque::new(),
            gains: VecDeque::new(),
        }
    }

    /// Whether what the next trial is planned from is known.
    pub fn is_ready(&self) -> bool {
        self.open.len() < LAG + self.gains.len()
    }

    /// The next trial, if there is one.
    ///
    /// # Panics
    /// If it is not [ready](Guide::is_ready).
    pub fn plan(&mut self) -> Option<Planned> {
        let (trial, fresh) = (self.next, self.fresh.get(self.next)?.clone());
        while self.open.len() >= LAG {
            self.learn();
        }
        let mut rng = self.seed.nth(trial as u64).rng();
        // The even ones are fresh.
        let parent = if trial % 2 == 1 { self.corpus.choose(&fresh, &mut rng).cloned() } else { None };
        let (plan, parent) = match parent {
            None => (fresh, None),
            Some(parent) => {
                let other = self.corpus.choose(&fresh, &mut rng).cloned().unwrap_or_else(|| parent.clone());
                (mutate(&parent, &other, &fresh, &mut rng), Some(parent.trial))
            }
        };
        self.open.push_back(plan.clone());
        self.next += 1;
        Some(Planned { trial, plan, parent })
    }

    /// Takes what a trial has reached; trials are taken in their order.
    pub fn take(&mut self, gain: Gain) {
        self.gains.push_back(gain);
    }

    fn learn(&mut self) {
        let gain = self.gains.pop_front().expect("whoever asks has seen that it is ready");
        let mut plan = self.open.pop_front().expect("what was reached had been planned");
        let expected = self.known.expected();
        self.known.recall(&gain);
        if plan.drawn.is_none() {
            plan.drawn = Some(plan::draw(&drawn_from(&plan, false)));
        }
        self.corpus.offer(plan, &gain, expected);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::campaign::{Campaign, Faults};
    use crate::plan::Plan;
    use crate::registry::Registry;
    use crate::search::Coverage;

    fn fresh(count: u32) -> Vec<TrialPlan> {
        let campaign = Campaign {
            sim: true,
            seed: Some(5),
            test_count: Some(count),
            nemesis: Some(Faults::All),
            ..Campaign::default()
        };
        Plan::of(&Registry::builtin(), &campaign, 0, None).unwrap().trials
    }

    /// What a trial might reach: something that depends on its plan.
    fn reach(plan: &TrialPlan) -> Coverage {
        let text = serde_json::to_string(plan).unwrap();
        let mut rng = Seed(0).stream(&text).rng();
        let states = (0..500).filter(|n| rng.chance(1, n + 1)).collect();
        Coverage { states, turns: vec![rng.below(20_000)] }
    }

    /// The campaign with so many trials at once, which end in the wrong order.
    fn campaign(count: u32, jobs: usize) -> Vec<Planned> {
        let mut guide = Guide::new(fresh(count), Seed(5));
        let (mut known, mut all, mut open) = (Known::default(), Vec::new(), VecDeque::new());
        loop {
            while open.len() < jobs && guide.is_ready() {
                let Some(planned) = guide.plan() else { break };
                open.push_back(planned.clone());
                all.push(planned);
            }
            let Some(planned): Option<Planned> = open.pop_front() else { return all };
            guide.take(known.take(planned.trial, &reach(&planned.plan)));
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_trials_however_many_are_run_at_once() {
        let alone = campaign(60, 1);
        assert_eq!(alone.len(), 60);
        assert_eq!(alone, campaign(60, 1));
        assert_eq!(alone, campaign(60, 3));
        assert_eq!(alone, campaign(60, 100));
    }

    #[test]
    fn half_of_the_trials_are_fresh_and_the_others_are_changed_ones() {
        let (trials, fresh) = (campaign(60, 2), fresh(60));
        let (mut changed, mut of_parents_seed) = (0, 0);
        for planned in &trials {
            let Some(parent) = planned.parent else {
                assert_eq!(planned.plan, fresh[planned.trial]);
                continue;
            };
            assert!(parent + LAG <= planned.trial);
            assert_ne!(planned.plan.drawn, None, "its strikes are explicit");
            changed += 1;
            of_parents_seed += usize::from(planned.plan.seed == trials[parent].plan.seed);
        }
        assert!((20..=30).contains(&changed), "{changed}");
        assert!((3..changed - 3).contains(&of_parents_seed), "{of_parents_seed} of {changed}");
    }

    #[test]
    fn changed_schedules_stay_within_their_trial_and_its_kinds_of_faults() {
        for planned in campaign(200, 1) {
            let limit = planned.plan.time_limit.0.as_millis() as u64;
            let strikes = planned.plan.drawn.unwrap_or_default();
            assert!(strikes.len() <= 50 && strikes.is_sorted_by_key(|strike| strike.at_ms));
            for strike in strikes {
                assert!(strike.lasts_ms > 0 && strike.at_ms + strike.lasts_ms <= limit, "{strike:?}");
                let kind = planned.plan.nemesis.iter().find(|kind| kind.as_str() == strike.fault.name());
                assert!(kind.is_some(), "{strike:?}");
            }
        }
    }

    #[test]
    fn a_guide_that_is_told_what_was_reached_goes_on_as_if_it_had_not_stopped() {
        let all = campaign(40, 1);
        let (mut guide, mut known) = (Guide::new(fresh(40), Seed(5)), Known::default());
        for planned in &all[..23] {
            assert!(guide.is_ready());
            assert_eq!(guide.plan().as_ref(), Some(planned));
            guide.take(known.take(planned.trial, &reach(&planned.plan)));
        }
        assert_eq!(guide.plan().as_ref(), Some(&all[23]));
    }
}
