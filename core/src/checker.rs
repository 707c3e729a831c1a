//! A judge of one promise.

use crate::budget::Budget;
use crate::history::{History, Malformed};
use crate::verdict::{Anomaly, Validity, Verdict};

/// Decides from a history whether one promise was kept.
///
/// Implementers are pure: history and budget in, verdict out. They never hang and never exhaust memory:
/// past the budget the verdict is `unknown`. A history that cannot be decoded is [`Malformed`]: a broken
/// trial, never a verdict about the system.
pub trait Checker: Send + Sync {
    /// The checker's name, stable, as it stands in `verdicts.json`.
    fn name(&self) -> &str;

    /// Judges the history.
    fn check(&self, history: &History, budget: &Budget) -> Result<Verdict, Malformed>;

    /// As [`Checker::check`], telling `watch` of each independent part as soon as it is decided. A checker
    /// that does not judge parts apart tells nothing.
    fn check_watched(
        &self,
        history: &History,
        budget: &Budget,
        _watch: &dyn Watch,
    ) -> Result<Verdict, Malformed> {
        self.check(history, budget)
    }
}

/// Is told what was decided while the rest is still being examined, from any thread, so that the answers
/// are not lost with a check that must be ended by force.
///
/// Parts have numbers, from 0 on. The same checker gives the same parts of the same history the same numbers.
pub trait Watch: Sync {
    /// A part is about to be examined: what makes that needless, if anything does.
    fn begins(&self, _part: usize) -> Option<Known> {
        None
    }

    /// Another part was decided, or given up.
    fn decided(&self, part: Decided);
}

/// What is known of a part that was examined before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Known {
    /// It is valid. Whoever says so must have heard it from the same checker, of the same history.
    Valid,
    /// Nobody can decide it, and why.
    Hopeless(String),
}

/// One independent part (a key) of a history, decided. An `invalid` here is as certain as in a verdict.
#[derive(Clone, Debug, PartialEq)]
pub struct Decided {
    /// Which part it is.
    pub part: usize,
    /// How many parts there are in all.
    pub parts: usize,
    /// The answer on this one.
    pub validity: Validity,
    /// If it is invalid: what is known before any evidence was worked out.
    pub anomaly: Option<Anomaly>,
}

/// Nobody watches.
pub struct Unwatched;

impl Watch for Unwatched {
    fn decided(&self, _part: Decided) {}
}
