//! Whether a history says enough for a pass to mean something.
//!
//! A checker that finds no violation in a history in which nothing succeeded, or in which nobody looked at
//! what was written, has shown nothing. Such a pass would be worse than none, so it is `unknown`.

use elenchus_core::outcome::{Failure, Outcome};
use elenchus_core::verdict::Verdict;

/// What was there to examine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Coverage {
    ok: usize,
    fail: usize,
    refused: usize,
    info: usize,
    mutations: usize,
    observed: usize,
}

impl Coverage {
    /// Counts an operation.
    pub(crate) fn count<R>(&mut self, outcome: &Outcome<R>) {
        match outcome {
            Outcome::Ok(_) => self.ok += 1,
            Outcome::Fail(failure) => {
                self.fail += 1;
                self.refused += usize::from(matches!(failure, Failure::Refused(_)));
            }
            Outcome::Info(_) => self.info += 1,
        }
    }

    /// Counts an acknowledged mutation, and whether an ok observation of its key began after it.
    pub(crate) fn mutation(&mut self, observed: bool) {
        self.mutations += 1;
        self.observed += usize::from(observed);
    }

    /// Why a pass would mean nothing, if so.
    pub(crate) fn vacuous(&self) -> Option<String> {
        if self.ok == 0 {
            return Some("no operation succeeded, so nothing was examined".to_owned());
        }
        (2 * self.observed < self.mutations).then(|| {
            format!(
                "only {} of {} acknowledged mutations were followed by a successful observation of their key",
                self.observed, self.mutations
            )
        })
    }

    /// The verdict with what was counted as figures.
    pub(crate) fn add_figures(&self, verdict: Verdict) -> Verdict {
        verdict
            .with_figure("operations", self.ok + self.fail + self.info)
            .with_figure("ok", self.ok)
            .with_figure("fail", self.fail)
            .with_figure("refused", self.refused)
            .with_figure("info", self.info)
            .with_figure("mutations_acknowledged", self.mutations)
            .with_figure("mutations_observed", self.observed)
    }
}
