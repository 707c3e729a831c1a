//! Whatever a log calls a set: judged by what its clients did.
//!
//! A set that is read as a whole is judged element by element ([`crate::set_full`]), as in trials; one whose
//! elements are removed or looked for one by one, by linearizability ([`super::element_set`]).

use super::element_set::{ElementSet, ElementSetVocabulary};
use crate::linearizability::Linearizability;
use crate::set_full::SetFull;
use elenchus_core::budget::Budget;
use elenchus_core::checker::{Checker, Unwatched, Watch};
use elenchus_core::history::{History, Malformed};
use elenchus_core::verdict::Verdict;

/// The checker that chooses.
pub(super) struct AnySet {
    elements: Linearizability<ElementSet, ElementSetVocabulary>,
}

impl AnySet {
    /// Judges sets of elements by this.
    pub(super) fn new(elements: Linearizability<ElementSet, ElementSetVocabulary>) -> AnySet {
        AnySet { elements }
    }
}

impl Checker for AnySet {
    fn name(&self) -> &str {
        "set"
    }

    fn check(&self, history: &History, budget: &Budget) -> Result<Verdict, Malformed> {
        self.check_watched(history, budget, &Unwatched)
    }

    fn check_watched(
        &self,
        history: &History,
        budget: &Budget,
        watch: &dyn Watch,
    ) -> Result<Verdict, Malformed> {
        let clients = history.events().filter(|event| !event.process.is_nemesis());
        match clients.map(|event| event.f).any(|f| matches!(f, "remove" | "contains")) {
            true => self.elements.check_watched(history, budget, watch),
            false => SetFull::linearizable().check_watched(history, budget, watch),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::models::catalogue::{Choices, named};
    use elenchus_core::budget::Budget;
    use elenchus_core::format;
    use elenchus_core::verdict::Validity;

    fn judged(edn: &str) -> (String, Validity) {
        let history = format::read(edn.as_bytes(), None).expect("it is EDN").history;
        let set = named("set").expect("there is a set");
        let checker = (set.checker)(&Choices::default()).expect("nothing was chosen");
        let verdict = checker.check(&history, &Budget::unlimited()).expect("it can be decoded");
        (verdict.checker, verdict.validity)
    }

    #[test]
    fn a_set_is_judged_by_what_its_clients_did() {
        let add = "{:process 0 :type :invoke :f :add :value 7} {:process 0 :type :ok :f :add :value 7}\n";
        let read =
            "{:process 1 :type :invoke :f :read :value nil} {:process 1 :type :ok :f :read :value [7]}\n";
        let contains = "{:process 1 :type :invoke :f :contains :value 7} \
                        {:process 1 :type :ok :f :contains :value false}\n";
        assert_eq!(judged(&format!("{add}{read}")), ("set-full".into(), Validity::Valid));
        assert_eq!(judged(&format!("{add}{contains}")), ("linearizability".into(), Validity::Invalid));
    }
}
