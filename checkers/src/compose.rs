//! Many checkers, one history.

use elenchus_core::budget::Budget;
use elenchus_core::checker::{Checker, Unwatched, Watch};
use elenchus_core::history::{History, Malformed};
use elenchus_core::verdict::{Validity, Verdict};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The verdict of each checker, in their order. One that panics is `unknown`; the others still speak. The
/// budget is shared: who comes later has what time is left.
pub fn check_all(
    checkers: Vec<Box<dyn Checker>>,
    history: &History,
    budget: &Budget,
) -> Result<Vec<Verdict>, Malformed> {
    check_all_watched(checkers, history, budget, &Unwatched)
}

/// As [`check_all`], telling `watch` of what was decided so far.
pub fn check_all_watched(
    checkers: Vec<Box<dyn Checker>>,
    history: &History,
    budget: &Budget,
    watch: &dyn Watch,
) -> Result<Vec<Verdict>, Malformed> {
    let judge = |checker: &dyn Checker| {
        let checked = catch_unwind(AssertUnwindSafe(|| checker.check_watched(history, budget, watch)));
        checked.unwrap_or_else(|panic| {
            Ok(Verdict::new(checker.name(), Validity::Unknown, panic_text(panic.as_ref())))
        })
    };
    checkers.iter().map(|checker| judge(checker.as_ref())).collect()
}

/// What a panic said.
pub(crate) fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("the checker panicked: {}", text.unwrap_or("without a message"))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Says(Validity);
    impl Checker for Says {
        fn name(&self) -> &str {
            "says"
        }
        fn check(&self, _: &History, _: &Budget) -> Result<Verdict, Malformed> {
            Ok(Verdict::new("says", self.0, "so"))
        }
    }

    struct Panics;
    impl Checker for Panics {
        fn name(&self) -> &str {
            "panics"
        }
        fn check(&self, _: &History, _: &Budget) -> Result<Verdict, Malformed> {
            panic!("index out of {}", "bounds")
        }
    }

    struct Breaks;
    impl Checker for Breaks {
        fn name(&self) -> &str {
            "breaks"
        }
        fn check(&self, _: &History, _: &Budget) -> Result<Verdict, Malformed> {
            Err(Malformed { index: 3, what: "no such function".into() })
        }
    }

    fn all(checkers: Vec<Box<dyn Checker>>) -> Result<Vec<Verdict>, Malformed> {
        let history = History::seal([]).expect("nothing is a history");
        check_all(checkers, &history, &Budget::unlimited())
    }

    #[test]
    fn a_checker_that_panics_is_unknown_and_does_not_silence_the_others() {
        let verdicts = all(vec![Box::new(Panics), Box::new(Says(Validity::Invalid))]).expect("verdicts");
        assert_eq!(verdicts[0].validity, Validity::Unknown);
        assert!(verdicts[0].why.contains("index out of bounds"), "{}", verdicts[0].why);
        assert_eq!(Verdict::merge(&verdicts), Validity::Invalid);
    }

    #[test]
    fn a_history_that_cannot_be_decoded_is_never_a_verdict() {
        assert!(all(vec![Box::new(Says(Validity::Valid)), Box::new(Breaks)]).is_err());
    }
}
