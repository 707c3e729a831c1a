//! Which states a campaign has reached, how many of them only once, and what that says of those it has not.
//!
//! Good and Turing: of what was seen, the share that was seen once is about the share of the unseen in what is seen
//! next (I. J. Good, Biometrika 1953). Here a trial is one look at many states, so the number of states that a single
//! trial reached, divided by the trials, is about how many new states the next trial will reach.

use super::Coverage;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fmt;

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// Whether more than one trial reached it. Looked into, never gone through.
    reached: HashMap<u64, bool>,
    once: usize,
    trials: usize,
    visits: usize,
}

/// What a trial added.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gain {
    /// The trial's place in its campaign.
    pub trial: usize,
    /// How many states it reached.
    pub states: usize,
    /// Those that no trial before it had reached.
    pub new: Vec<u64>,
    /// Those that exactly one had.
    pub again: Vec<u64>,
    /// When some node's role changed, in milliseconds.
    pub turns: Vec<u64>,
}

impl Known {
    /// Takes what a trial reached; trials are taken in their order.
    pub fn take(&mut self, trial: usize, coverage: &Coverage) -> Gain {
        let of = |wanted: Option<bool>| {
            let states = coverage.states.iter().copied();
            states.filter(|state| self.reached.get(state).copied() == wanted).collect()
        };
        let (new, again) = (of(None), of(Some(false)));
        let gain = Gain { trial, states: coverage.states.len(), new, again, turns: coverage.turns.clone() };
        self.recall(&gain);
        gain
    }

    /// Takes what a trial added earlier.
    pub fn recall(&mut self, gain: &Gain) {
        self.reached.extend(gain.new.iter().map(|state| (*state, false)));
        self.reached.extend(gain.again.iter().map(|state| (*state, true)));
        self.once = (self.once + gain.new.len()).saturating_sub(gain.again.len());
        self.visits += gain.states;
        self.trials += 1;
    }

    /// How many states there are so far.
    pub fn distinct(&self) -> usize {
        self.reached.len()
    }

    /// About how many new ones the next trial will reach; nobody knows before the first.
    pub fn expected(&self) -> Option<f64> {
        (self.trials > 0).then(|| self.once as f64 / self.trials as f64)
    }
}

/// A sentence for people.
impl fmt::Display for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(expected) = self.expected() else { return f.write_str("no states were looked at") };
        let share = 100.0 * self.once as f64 / self.visits.max(1) as f64;
        write!(
            f,
            "{} abstract states, {} of them reached by one trial only; the next trial may reach {expected:.1} new ones \
             ({share:.2} % of what it reaches)",
            self.distinct(),
            self.once
        )?;
        f.write_str(if expected < 0.5 { ": more of the same will show little" } else { "" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use elenchus_core::random::Seed;

    fn coverage(states: &[u64]) -> Coverage {
        Coverage { states: states.to_vec(), turns: vec![] }
    }

    #[test]
    fn what_is_new_and_what_was_reached_once_is_told_apart() {
        let mut known = Known::default();
        assert_eq!(known.take(0, &coverage(&[1, 2, 3])).new, [1, 2, 3]);
        let gain = known.take(1, &coverage(&[2, 3, 4]));
        assert_eq!((&gain.new[..], &gain.again[..]), (&[4][..], &[2, 3][..]));
        let gain = known.take(2, &coverage(&[2, 4]));
        assert_eq!((&gain.new[..], &gain.again[..]), (&[][..], &[4][..]));
        assert_eq!((known.distinct(), known.once), (4, 1));
    }

    #[test]
    fn the_guess_at_the_unseen_is_near_what_comes() {
        // 2,000 states, the nth with a chance of about 1/n.
        let mut known = Known::default();
        let look = |trial: u64| {
            let mut rng = Seed(9).nth(trial).rng();
            coverage(&(1..=2_000).filter(|n| rng.chance(1, *n)).collect::<Vec<_>>())
        };
        for trial in 0..200 {
            known.take(trial, &look(trial as u64));
        }
        let guess = known.expected().unwrap();
        let came: usize = (200..240).map(|trial| known.take(trial, &look(trial as u64)).new.len()).sum();
        let came = came as f64 / 40.0;
        assert!((guess - came).abs() < 0.3 * guess, "{guess} guessed, {came} came");
    }

    #[test]
    fn what_is_recalled_is_what_was_taken() {
        let (mut known, mut recalled) = (Known::default(), Known::default());
        for (trial, states) in [[1, 2, 3], [3, 4, 5], [1, 3, 9]].iter().enumerate() {
            recalled.recall(&known.take(trial, &coverage(states)));
        }
        assert_eq!(known.to_string(), recalled.to_string());
        assert_eq!(known.reached, recalled.reached);
    }
}
