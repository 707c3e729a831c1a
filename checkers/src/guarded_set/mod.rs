//! Histories of a lock and of the set that it guards: acquire, add or read, release.
//!
//! Two promises are known. Without tokens, two clients hold the lock never at once, and nothing acknowledged is lost
//! from the set ([`MutualExclusion`], [`GuardedSet`]). With fencing, each add is made under the token of its grant:
//! the lock may be held twice, but the set is whole and tokens grow ([`GuardedSet`], [`FencingTokens`]). Which of
//! the two a history is of is seen by its adds ([`Guarded`]).

pub mod exclusion;
#[cfg(test)]
mod notation;
pub mod tokens;
pub mod vocabulary;

pub use exclusion::MutualExclusion;
pub use tokens::FencingTokens;

use crate::models::set::SetOp;
use crate::set_full::SetFull;
use elenchus_core::budget::Budget;
use elenchus_core::checker::Checker;
use elenchus_core::history::{History, Malformed};
use elenchus_core::verdict::Verdict;
use vocabulary::{GuardedOp, GuardedVocabulary, of_sets};

/// Whether the guarded set has all that was added.
#[derive(Clone, Copy, Debug, Default)]
pub struct GuardedSet;

impl Checker for GuardedSet {
    fn name(&self) -> &str {
        "set-full"
    }

    fn check(&self, history: &History, budget: &Budget) -> Result<Verdict, Malformed> {
        let operations = history.operations(&GuardedVocabulary)?;
        Ok(SetFull::linearizable().judge(&of_sets(&operations), budget))
    }
}

/// The set of a history that is known by nothing but its operations: one whose adds are of the other kind is malformed.
#[derive(Clone, Copy, Debug)]
pub struct Guarded {
    /// Whether each add names the token that it is made under.
    pub fencing: bool,
}

impl Checker for Guarded {
    fn name(&self) -> &str {
        GuardedSet.name()
    }

    fn check(&self, history: &History, budget: &Budget) -> Result<Verdict, Malformed> {
        let operations = history.operations(&GuardedVocabulary)?;
        let is_foreign = |op: &GuardedOp| match op {
            GuardedOp::Lock(_) => false,
            GuardedOp::AddUnder { .. } => !self.fencing,
            GuardedOp::Set(op) => self.fencing && matches!(op, SetOp::Add { .. }),
        };
        if let Some(foreign) = operations.iter().find(|operation| is_foreign(&operation.op)) {
            let what = match self.fencing {
                true => {
                    "this add names no token: {\"element\": 5, \"token\": 12} (without tokens it is a guarded-set)"
                }
                false => "this add names a token: it is a fenced-guarded-set",
            };
            return Err(Malformed { index: foreign.call, what: what.into() });
        }
        GuardedSet.check(history, budget)
    }
}

#[cfg(test)]
mod tests {
    use super::notation::history;
    use super::*;
    use elenchus_core::verdict::Validity;

    #[test]
    fn an_element_that_a_second_holder_wrote_over_is_lost() {
        let verdict = GuardedSet
            .check(
                &history(&[
                    "0 invoke acquire",
                    "0 ok acquire 5",
                    "0 invoke add 1",
                    "1 invoke acquire",
                    "1 ok acquire 8",
                    "1 invoke add 2",
                    "1 ok add 2",
                    "0 ok add 1",
                    "2 invoke read",
                    "2 ok read 1",
                ]),
                &Budget::unlimited(),
            )
            .expect("it can be judged");
        assert_eq!((verdict.validity, verdict.class.as_deref()), (Validity::Invalid, Some("lost")));
    }
}
