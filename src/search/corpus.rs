//! The schedules that are worth being changed: those that reached more new states than was to be expected.
//!
//! What is new is judged by when it came: early trials reach much that is new without merit. So a trial's worth is
//! how many new states it reached, compared with how many were expected of it ([`super::Known::expected`]).

use super::known::Gain;
use crate::plan::TrialPlan;
use elenchus_core::random::Rng;

/// Worth of a trial that reached just as much as was expected.
const PAR: u64 = 16;
/// No trial is worth more than this.
const WORTH_MAX: u64 = 8 * PAR;
/// Older ones make room for newer ones.
const ENTRIES_MAX: usize = 400;

/// A schedule that was tried.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The trial.
    pub trial: usize,
    /// What was done, the strikes explicit.
    pub plan: TrialPlan,
    /// When some node's role changed, in milliseconds.
    pub turns: Vec<u64>,
    worth: u64,
    chosen: u64,
}

/// See the module.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Corpus {
    entries: Vec<Entry>,
}

impl Corpus {
    /// Keeps a trial if it is worth it.
    pub fn offer(&mut self, plan: TrialPlan, gain: &Gain, expected: Option<f64>) {
        let worth = match expected {
            None => PAR,
            Some(expected) => (gain.new.len() as f64 * PAR as f64 / (1.0 + expected)) as u64,
        };
        if worth < PAR || plan.drawn.is_none() {
            return;
        }
        if self.entries.len() == ENTRIES_MAX {
            self.entries.remove(0);
        }
        let (trial, turns) = (gain.trial, gain.turns.clone());
        self.entries.push(Entry { trial, plan, turns, worth: worth.min(WORTH_MAX), chosen: 0 });
    }

    /// One of those with this workload and these faults, the more worth the likelier, the more chosen the less.
    pub fn choose(&mut self, like: &TrialPlan, rng: &mut Rng) -> Option<&Entry> {
        let weight = |entry: &Entry| {
            let fits = entry.plan.workload == like.workload && entry.plan.nemesis == like.nemesis;
            if fits { entry.worth * 1_000 / (1 + entry.chosen) } else { 0 }
        };
        let total: u64 = self.entries.iter().map(weight).sum();
        if total == 0 {
            return None;
        }
        let mut left = rng.below(total);
        let chosen = self.entries.iter_mut().find(|entry| match left.checked_sub(weight(entry)) {
            Some(rest) => {
                left = rest;
                false
            }
            None => true,
        })?;
        chosen.chosen += 1;
        Some(chosen)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}
