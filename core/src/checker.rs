//! A judge of one promise.

use crate::budget::Budget;
use crate::history::{History, Malformed};
use crate::verdict::Verdict;

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
}
