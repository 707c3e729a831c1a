//! Whether the faults asked for truly struck.
//!
//! A trial that was to cut the network, and did not, says nothing about partitions. A fault counts only if
//! it is known to have had effect and a client operation was open meanwhile.

use crate::exhibits::count;
use elenchus_core::budget::Budget;
use elenchus_core::checker::Checker;
use elenchus_core::fault::Fault;
use elenchus_core::fault_log::{self, Span};
use elenchus_core::history::{History, Malformed};
use elenchus_core::verdict::{Validity, Verdict};
use serde_json::{Map, Value as Json, json};
use std::collections::BTreeMap;

/// `unknown` if a kind of fault that was asked for by name never hit while an operation was open, or one that was
/// written out did not.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    asked: Vec<String>,
    beyond: Vec<String>,
    written: Vec<Fault>,
}

const NAME: &str = "faults";

impl Faults {
    /// A checker for a trial in which these kinds of fault (`partition`, `kill`…) were asked for by name.
    pub fn new(asked: Vec<String>) -> Faults {
        Faults { asked, ..Faults::default() }
    }

    /// The same for a trial in which these faults were written out, each to strike once.
    pub fn with_written(self, written: impl IntoIterator<Item = Fault>) -> Faults {
        Faults { written: written.into_iter().collect(), ..self }
    }

    /// The same, where these kinds are beyond what the system assumes: the verdict then says so.
    pub fn beyond(self, beyond: Vec<String>) -> Faults {
        Faults { beyond, ..self }
    }

    fn caveat(&self) -> String {
        match self.beyond.as_slice() {
            [] => String::new(),
            kinds => format!("; beyond its assumptions: {}", kinds.join(", ")),
        }
    }
}

impl Checker for Faults {
    fn name(&self) -> &str {
        NAME
    }

    fn check(&self, history: &History, _budget: &Budget) -> Result<Verdict, Malformed> {
        let spans = fault_log::spans(history);
        let mut kinds: BTreeMap<&str, Vec<&Span>> =
            self.asked.iter().map(|kind| (kind.as_str(), vec![])).collect();
        for span in &spans {
            kinds.entry(&span.fault).or_default().push(span);
        }
        let struck = |kind: &str| kinds[kind].iter().any(|span| span.hit_while_open());
        let mut missed: Vec<String> = self
            .asked
            .iter()
            .filter(|kind| !struck(kind))
            .map(|kind| missed(kind, &kinds[kind.as_str()]))
            .collect();
        missed.extend(missed_written(&self.written, &spans));
        let hit = spans.iter().filter(|span| span.hit_while_open()).count();
        let verdict = if !missed.is_empty() {
            Verdict::new(NAME, Validity::Unknown, missed.join("; ") + &self.caveat())
        } else if spans.is_empty() {
            Verdict::new(NAME, Validity::Valid, "no fault was injected, and none was asked for by name")
        } else {
            let why = format!("{hit} of {} hit while an operation was open", count(spans.len(), "fault"));
            Verdict::new(NAME, Validity::Valid, why + &self.caveat())
        };
        let by_kind: Map<String, Json> =
            kinds.iter().map(|(kind, spans)| ((*kind).to_owned(), figures(spans))).collect();
        Ok(verdict
            .with_figure("injected", spans.len())
            .with_figure("hit", hit)
            .with_figure("by_kind", by_kind))
    }
}

fn missed(kind: &str, spans: &[&Span]) -> String {
    let trouble = spans.iter().find_map(|span| span.errors.first());
    match (spans.len(), trouble) {
        (0, _) => format!("{kind} was asked for and never injected"),
        (_, Some(error)) => {
            format!("{kind} was asked for and never hit while an operation was open ({error})")
        }
        (_, None) => format!("{kind} was asked for and never hit while an operation was open"),
    }
}

/// The written faults for which no fault of the log can stand that hit; each of those stands for one.
fn missed_written(written: &[Fault], spans: &[Span]) -> Vec<String> {
    let mut hits: Vec<&Fault> =
        spans.iter().filter(|span| span.hit_while_open()).filter_map(|span| span.target.as_ref()).collect();
    let mut missed = Vec::new();
    for (number, fault) in (1..).zip(written) {
        match hits.iter().position(|hit| *hit == fault) {
            Some(at) => drop(hits.swap_remove(at)),
            None => {
                let same = |span: &&Span| span.target.as_ref() == Some(fault);
                let error = spans.iter().filter(same).find_map(|span| span.errors.first());
                let error = error.map(|error| format!(" ({error})")).unwrap_or_default();
                let kind = fault.name();
                missed.push(format!(
                    "fault {number} of the schedule, a {kind}, never hit while an operation was open{error}"
                ));
            }
        }
    }
    missed
}

fn figures(spans: &[&Span]) -> Json {
    let hit: Vec<Json> =
        spans.iter().filter(|span| span.hit_while_open()).map(|span| summary(span)).collect();
    let not_hit: Vec<Json> =
        spans.iter().filter(|span| !span.hit_while_open()).map(|span| summary(span)).collect();
    json!({ "injected": spans.len(), "hit": hit, "not_hit": not_hit })
}

fn summary(span: &Span) -> Json {
    json!({
        "fault": span.id.0,
        "from_s": span.from().map(|(_, time)| time.as_secs_f64()),
        "until_s": span.until().map(|(_, time)| time.as_secs_f64()),
        "operations": span.operations,
        "proof": span.proof().map(|proof| proof.text.clone()),
        "errors": span.errors,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trial::testing::{call, history};
    use elenchus_core::event::{Event, Kind};
    use elenchus_core::fault::{FaultId, Proof, Target};
    use elenchus_core::fault_log::{encode_healed, encode_inject, encode_injected};
    use elenchus_core::time::Time;

    /// A kill from 10 to 20 ms with this proof of effect.
    fn kill(hit: bool) -> Vec<Event> {
        let proof = Ok(Proof { nodes: vec![], links: vec![], hit, text: "process gone".into() });
        let fault = Fault::Kill { nodes: Target::Primaries };
        let entries = [
            (10, encode_inject(FaultId(1), &fault)),
            (11, encode_injected(FaultId(1), "kill", &proof)),
            (20, encode_healed(FaultId(1), "kill", &proof)),
        ];
        entries.into_iter().map(|(ms, entry)| entry.into_event(Time(ms * 1_000_000))).collect()
    }

    fn check(asked: &[&str], events: Vec<Event>) -> Verdict {
        let faults = Faults::new(asked.iter().map(|kind| (*kind).to_owned()).collect());
        faults.check(&history(events), &Budget::unlimited()).expect("a verdict")
    }

    #[test]
    fn a_fault_that_hit_while_an_operation_was_open_counts() {
        let open = call(0, "read", 5, 15, Kind::Ok);
        let verdict = check(&["kill"], kill(true).into_iter().chain(open).collect());
        assert_eq!((verdict.validity, &verdict.figures["hit"]), (Validity::Valid, &json!(1)));
        assert_eq!(Json::from(verdict.figures)["by_kind"]["kill"]["hit"][0]["proof"], "process gone");
    }

    #[test]
    fn a_fault_that_hit_nobody_does_not() {
        let idle = call(0, "read", 1, 2, Kind::Ok);
        assert_eq!(
            check(&["kill"], kill(true).into_iter().chain(idle).collect()).validity,
            Validity::Unknown
        );
        let open = call(0, "read", 5, 15, Kind::Ok);
        let verdict = check(&["kill"], kill(false).into_iter().chain(open).collect());
        assert_eq!(verdict.validity, Validity::Unknown);
        assert_eq!(Json::from(verdict.figures)["by_kind"]["kill"]["not_hit"][0]["fault"], 1);
    }

    #[test]
    fn what_is_beyond_the_systems_assumptions_is_said() {
        let faults = Faults::new(vec!["kill".into()]).beyond(vec!["kill".into()]);
        let events: Vec<Event> = kill(true).into_iter().chain(call(0, "read", 5, 15, Kind::Ok)).collect();
        let verdict = faults.check(&history(events), &Budget::unlimited()).expect("a verdict");
        assert!(verdict.why.ends_with("beyond its assumptions: kill"), "{}", verdict.why);
    }

    #[test]
    fn a_fault_asked_for_and_never_injected_is_named() {
        let verdict = check(&["kill", "clock"], vec![]);
        assert_eq!(verdict.validity, Validity::Unknown);
        assert!(verdict.why.contains("clock was asked for and never injected"), "{}", verdict.why);
        assert_eq!(check(&[], vec![]).validity, Validity::Valid);
    }

    #[test]
    fn every_written_fault_must_hit_for_itself() {
        let leaders = || Fault::Kill { nodes: Target::Primaries };
        let nobody = || Fault::Kill { nodes: Target::Nodes(vec![]) };
        let judged = |written: Vec<Fault>| {
            let open = call(0, "read", 5, 15, Kind::Ok);
            let events: Vec<Event> = kill(true).into_iter().chain(open).collect();
            let faults = Faults::new(vec![]).with_written(written);
            faults.check(&history(events), &Budget::unlimited()).expect("a verdict")
        };
        assert_eq!(judged(vec![leaders()]).validity, Validity::Valid);
        let twice = judged(vec![leaders(), leaders()]);
        assert_eq!(twice.validity, Validity::Unknown);
        assert!(twice.why.contains("fault 2 of the schedule, a kill"), "{}", twice.why);
        assert_eq!(judged(vec![nobody()]).validity, Validity::Unknown);
    }
}
