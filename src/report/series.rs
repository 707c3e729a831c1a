//! Curves over the time of a trial: latency quantiles, rates, operations open.

use crate::report::operations::{Op, Outcome};
use crate::report::scale::round_up;

/// The trial cut into equal steps, and what happened in each.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// The length of a step in nanoseconds. The last one is longer: it reaches to the end of the trial, so
    /// that no step is so short that its rate means nothing.
    pub step: u64,
    /// The end of the last step.
    pub end: u64,
    /// Operations that ended in each step, by outcome: ok, fail, info.
    pub ended: Vec<[u64; 3]>,
    /// Latency of the operations that were invoked in each step and ended ok, in nanoseconds: the
    /// quantiles of [`QUANTILES`]. `None` where there was no such operation.
    pub latency: Vec<Option<[u64; 4]>>,
    /// The most operations open at once in each step.
    pub open: Vec<u32>,
}

/// Which quantiles are shown; the last is the maximum.
pub const QUANTILES: [f64; 4] = [0.5, 0.95, 0.99, 1.0];
/// Their names.
pub const QUANTILE_NAMES: [&str; 4] = ["median", "95 %", "99 %", "slowest"];

/// A trial is cut into at most this many steps: more could not be told apart on a screen.
const STEPS_MAX: f64 = 120.0;

impl Series {
    /// The curves of these operations in a trial that ended at `end` nanoseconds.
    pub fn of(operations: &[Op], end: u64) -> Series {
        let step = (round_up(end as f64 / STEPS_MAX) as u64).max(1_000);
        let steps = (end / step).max(1) as usize;
        let mut series = Series {
            step,
            end,
            ended: vec![[0; 3]; steps],
            latency: vec![None; steps],
            open: vec![0; steps],
        };
        let at = |time: u64| ((time / step) as usize).min(steps - 1);
        let mut took: Vec<Vec<u64>> = vec![Vec::new(); steps];
        for op in operations {
            let Some(ended) = op.ended else { continue };
            if op.outcome != Outcome::Open {
                series.ended[at(ended)][op.outcome as usize] += 1;
            }
            if op.outcome == Outcome::Ok {
                took[at(op.called)].push(ended.saturating_sub(op.called));
            }
        }
        for (latency, mut took) in series.latency.iter_mut().zip(took) {
            took.sort_unstable();
            *latency = (!took.is_empty()).then(|| QUANTILES.map(|q| quantile(&took, q)));
        }
        series.count_open(operations, at);
        series
    }

    fn count_open(&mut self, operations: &[Op], at: impl Fn(u64) -> usize) {
        let mut changes: Vec<(u64, i32)> = Vec::with_capacity(operations.len() * 2);
        for op in operations {
            changes.push((op.called, 1));
            changes.extend(op.ended.map(|ended| (ended, -1)));
        }
        // At one instant, an end comes before a call: a slot is not counted twice.
        changes.sort_unstable();
        let mut now = 0i32;
        let mut step = 0;
        for (time, change) in changes {
            for passed in step + 1..=at(time) {
                self.open[passed] = now as u32;
            }
            step = step.max(at(time));
            now += change;
            self.open[step] = self.open[step].max(now.max(0) as u32);
        }
        for rest in self.open.iter_mut().skip(step + 1) {
            *rest = now.max(0) as u32;
        }
    }

    /// Operations a second in each step, for one outcome: 0 ok, 1 fail, 2 info.
    pub fn rate(&self, outcome: usize) -> impl Iterator<Item = f64> {
        let seconds = move |step| {
            let (from, until) = self.bounds(step);
            (until - from) as f64 / 1e9
        };
        self.ended.iter().enumerate().map(move |(step, counts)| counts[outcome] as f64 / seconds(step))
    }

    /// Begin and end of a step, in nanoseconds.
    pub fn bounds(&self, step: usize) -> (u64, u64) {
        let from = step as u64 * self.step;
        let until = if step + 1 == self.ended.len() { self.end } else { from + self.step };
        (from, until.max(from + 1))
    }

    /// The middle of a step, in nanoseconds.
    pub fn middle(&self, step: usize) -> u64 {
        let (from, until) = self.bounds(step);
        from + (until - from) / 2
    }
}

/// The value that a share `q` of the sorted values does not exceed (nearest rank); zero of none.
pub fn quantile(sorted: &[u64], q: f64) -> u64 {
    let rank = (q * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.clamp(1, sorted.len().max(1)) - 1).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::operations::Role;

    fn op(called: u64, ended: Option<u64>, outcome: Outcome) -> Op {
        let done = ended.map(|_| 1);
        Op { call: 0, done, called, ended, process: 0, lane: 0, f: 0, key: None, outcome, role: Role::None }
    }

    #[test]
    fn a_quantile_is_a_value_that_was_there() {
        let values: Vec<u64> = (1..=100).collect();
        assert_eq!(QUANTILES.map(|q| quantile(&values, q)), [50, 95, 99, 100]);
        assert_eq!(quantile(&[7], 0.5), 7);
        assert_eq!(quantile(&[], 0.5), 0);
    }

    #[test]
    fn operations_count_where_they_end_and_are_open_until_then() {
        let s = 1_000_000_000;
        let operations = [
            op(0, Some(s / 2), Outcome::Ok),
            op(s / 2, Some(3 * s), Outcome::Ok),
            op(s, Some(2 * s), Outcome::Info),
            op(4 * s, None, Outcome::Open),
        ];
        let series = Series::of(&operations, 240 * s);
        assert_eq!(series.step, 2 * s);
        assert_eq!(&series.ended[..3], &[[1, 0, 0], [1, 0, 1], [0, 0, 0]]);
        assert_eq!(series.latency[0], Some([s / 2, 5 * s / 2, 5 * s / 2, 5 * s / 2]));
        assert_eq!(series.latency[1], None);
        // Two at most in the first step; one is left open to the end.
        assert_eq!(&series.open[..4], &[2, 2, 1, 1]);
        assert_eq!(series.open.last(), Some(&1));
        assert_eq!(series.rate(0).next(), Some(0.5));
    }

    #[test]
    fn an_empty_trial_has_one_empty_step() {
        let series = Series::of(&[], 0);
        assert_eq!((series.ended.len(), series.open[0], series.latency[0]), (1, 0, None));
        assert_eq!(series.rate(0).collect::<Vec<_>>(), [0.0]);
    }

    #[test]
    fn the_last_step_reaches_to_the_end_and_its_rate_is_per_second_too() {
        let ms = 1_000_000;
        let operations: Vec<Op> = (0..1_250).map(|i| op(i * ms, Some(i * ms), Outcome::Ok)).collect();
        let series = Series::of(&operations, 1_250 * ms);
        assert_eq!(series.step, 20 * ms);
        assert_eq!((series.ended.len(), series.bounds(61)), (62, (1_220 * ms, 1_250 * ms)));
        assert!(series.rate(0).all(|rate| (rate - 1_000.0).abs() < 1e-6));
    }
}
