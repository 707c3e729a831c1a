//! What was added to a set stays in it.
//!
//! Each element is judged alone, as in Jepsen's set-full. It is *known* once its add was acknowledged, or a
//! read that contains it returned; every read that begins later must contain it. An element that a later
//! read misses is *stale* if a read that began still later shows it again, and *lost* if none does. A read
//! must also not show what nobody added (*unexpected*), nor anything twice (*duplicated*). An add in doubt
//! may take effect at any time or never, but once seen its element must stay.
//!
//! Deliberately absent: whether all reads together form a chain, which linearizability would ask as well.

mod element;
mod reads;

use crate::exhibits::count;
use crate::models::set::{SetOp, SetRet, SetVocabulary};
use crate::vacuity::Coverage;
use element::{Element, Fate};
use elenchus_core::budget::Budget;
use elenchus_core::checker::Checker;
use elenchus_core::history::{History, Malformed};
use elenchus_core::operation::Operation;
use elenchus_core::value::Value;
use elenchus_core::verdict::{Anomaly, Exhibit, Validity, Verdict};
use reads::Reads;
use serde_json::json;
use std::collections::BTreeMap;

type SetOperation = Operation<SetOp, SetRet>;

/// The checker.
#[derive(Clone, Copy, Debug)]
pub struct SetFull {
    linearizable: bool,
}

const NAME: &str = "set-full";
/// Anomalies worked out of each class; the others are counted.
const ANOMALIES_MAX: usize = 8;
/// Elements listed of each class.
const LISTED_MAX: usize = 32;

impl SetFull {
    /// A set must show an element from the moment it is known: stale elements are violations.
    pub fn linearizable() -> SetFull {
        SetFull { linearizable: true }
    }

    /// A set may take its time to show an element, but must not lose it: stale elements are only counted.
    pub fn eventual() -> SetFull {
        SetFull { linearizable: false }
    }

    /// The verdict on operations given in the order of their calls.
    pub fn judge(&self, operations: &[SetOperation], budget: &Budget) -> Verdict {
        let mut by_key: BTreeMap<&Value, Vec<&SetOperation>> = BTreeMap::new();
        for operation in operations {
            by_key.entry(operation.op.key()).or_default().push(operation);
        }
        let mut report = Report { linearizable: self.linearizable, ..Report::default() };
        for (key, own) in &by_key {
            report.examine(key, own, budget);
        }
        report.verdict(by_key.len())
    }
}

impl Checker for SetFull {
    fn name(&self) -> &str {
        NAME
    }

    fn check(&self, history: &History, budget: &Budget) -> Result<Verdict, Malformed> {
        Ok(self.judge(&history.operations(&SetVocabulary)?, budget))
    }
}

/// What was found of all sets.
#[derive(Default)]
struct Report {
    linearizable: bool,
    coverage: Coverage,
    reads: usize,
    bytes: usize,
    unexamined: usize,
    /// How many elements had each fate, by its name, and the first of them.
    fates: BTreeMap<&'static str, (usize, Vec<String>)>,
    anomalies: Vec<(Fate, Anomaly)>,
}

impl Report {
    fn examine(&mut self, key: &Value, operations: &[&SetOperation], budget: &Budget) {
        for operation in operations {
            self.coverage.count(&operation.outcome);
        }
        let Some(reads) = Reads::new(operations, budget, &mut self.bytes) else {
            self.unexamined += 1;
            return;
        };
        self.reads += reads.len();
        for operation in operations {
            if operation.outcome.is_ok() && matches!(operation.op, SetOp::Add { .. }) {
                self.coverage.mutation(reads.last_call().is_some_and(|call| operation.done < call));
            }
        }
        for element in reads.elements(operations) {
            let fate = element.fate();
            let (number, listed) = self.fates.entry(fate.name()).or_default();
            *number += 1;
            if !matches!(fate, Fate::Stable | Fate::Never) && listed.len() < LISTED_MAX {
                listed.push(element.value.to_string());
            }
            if fate.breaks(self.linearizable) && *number <= ANOMALIES_MAX {
                self.anomalies.push((fate, anomaly(key, &element, fate)));
            }
        }
    }

    fn verdict(mut self, keys: usize) -> Verdict {
        self.anomalies.sort_by_key(|(fate, _)| *fate);
        let of = |fate: Fate| self.fates.get(fate.name()).map_or(0, |(number, _)| *number);
        let verdict = if let Some((_, first)) = self.anomalies.first() {
            let all: Vec<String> = Fate::ALL
                .iter()
                .filter(|fate| fate.breaks(self.linearizable) && of(**fate) > 0)
                .map(|fate| format!("{} {}", of(*fate), fate.name()))
                .collect();
            let why = format!("{} (elements in all: {})", first.sentence, all.join(", "));
            let mut verdict = Verdict::new(NAME, Validity::Invalid, why);
            verdict.class = Some(first.class.clone());
            verdict
        } else if self.unexamined > 0 {
            let why = format!("{} of {keys} sets were not examined: the budget ran out", self.unexamined);
            Verdict::new(NAME, Validity::Unknown, why)
        } else if self.reads == 0 {
            Verdict::new(NAME, Validity::Unknown, "no read succeeded, so nothing was examined")
        } else if let Some(why) = self.coverage.vacuous() {
            Verdict::new(NAME, Validity::Unknown, why)
        } else {
            let why = format!(
                "all {} that {} should show are there",
                count(of(Fate::Stable), "element"),
                count(self.reads, "read")
            );
            Verdict::new(NAME, Validity::Valid, why)
        };
        let mut verdict = self.coverage.add_figures(verdict).with_figure("reads", self.reads);
        for fate in Fate::ALL {
            let (number, listed) = self.fates.remove(fate.name()).unwrap_or_default();
            verdict = verdict.with_figure(fate.name(), number);
            if !listed.is_empty() {
                verdict = verdict.with_figure(&format!("{}_elements", fate.name()), json!(listed));
            }
        }
        verdict.anomalies = self.anomalies.into_iter().map(|(_, anomaly)| anomaly).collect();
        verdict
    }
}

fn anomaly(key: &Value, element: &Element<'_>, fate: Fate) -> Anomaly {
    let set = if key.is_nil() { String::new() } else { format!(" of set {key}") };
    let (sentence, shown) = element.evidence(fate, &set);
    let exhibit = |(operation, guilty): &(&SetOperation, bool)| {
        let mut exhibit = Exhibit::of(operation, element.describe(operation));
        exhibit.guilty = *guilty;
        exhibit
    };
    let mut operations: Vec<Exhibit> = shown.iter().map(exhibit).collect();
    operations.sort_by_key(|exhibit| exhibit.call);
    operations.dedup_by_key(|exhibit| exhibit.call);
    Anomaly {
        class: fate.name().to_owned(),
        key: (!key.is_nil()).then(|| key.to_string()),
        sentence,
        operations,
        context: Vec::new(),
    }
}

#[cfg(test)]
mod tests;
