//! Whether a model's shortcut would answer in time.
//!
//! A shortcut reads all operations of a key and never looks at the clock. So it is not asked what it would not
//! answer before the deadline, going by how long it took before. The first answer on a key says nothing yet of
//! how long it takes, and one that takes much longer than all before it comes late by the difference.

use super::Insight;
use super::shortcut::Shortcut;
use super::task::Task;
use elenchus_core::budget::Budget;
use std::cell::Cell;
use std::time::{Duration, Instant};

/// There is no time left for an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Late;

/// How long a model takes to answer for a key of so many operations.
pub(super) struct Pace<'b> {
    budget: &'b Budget,
    operations: usize,
    /// The longest that it took, or would have taken, for all of them.
    took: Cell<Duration>,
}

impl<'b> Pace<'b> {
    /// It took so long already, as far as is known.
    pub(super) fn new(budget: &'b Budget, operations: usize, took: Duration) -> Pace<'b> {
        Pace { budget, operations: operations.max(1), took: Cell::new(took) }
    }

    /// How long it takes for all operations, as far as is known.
    pub(super) fn took(&self) -> Duration {
        self.took.get()
    }

    /// Whether an answer for so many operations would come before the deadline.
    pub(super) fn has_time(&self, operations: usize) -> bool {
        let share = operations as f64 / self.operations as f64;
        self.budget.remaining().is_none_or(|left| left > self.took.get().mul_f64(share))
    }

    /// What the model's shortcut answers, unless that would be too late.
    pub(super) fn ask<M: Insight>(&self, model: &M, tasks: &[Task<'_, M>]) -> Result<Option<Shortcut>, Late> {
        if !self.has_time(tasks.len()) {
            return Err(Late);
        }
        let began = Instant::now();
        let answer = model.shortcut(tasks);
        self.learn(tasks.len(), began.elapsed());
        Ok(answer)
    }

    /// Few operations say little of many: what does not grow with them would be counted many times.
    fn learn(&self, operations: usize, took: Duration) {
        if 2 * operations >= self.operations {
            let all = took.mul_f64(self.operations as f64 / operations as f64);
            self.took.set(self.took.get().max(all));
        }
    }
}
