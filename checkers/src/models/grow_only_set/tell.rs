//! How an anomaly of a grow-only set is told: which element a read shows or misses, and why it cannot be.
//!
//! A name is given only where it is certain from all operations on the set. Everything else is called
//! `nonlinearizable`, which is certain always.

use super::GrowOnlySet;
use super::chain;
use crate::exhibits::span;
use crate::linearizability::{Case, Insight, Shortcut, Task, Telling};
use crate::models::set::{SetOp, SetRet};
use elenchus_core::model::Model;
use elenchus_core::operation::Operation;
use elenchus_core::outcome::{Failure, Outcome};
use elenchus_core::value::Value;
use std::collections::HashSet;

type SetOperation = Operation<SetOp, SetRet>;

impl Insight for GrowOnlySet {
    fn shortcut(&self, tasks: &[Task<'_, GrowOnlySet>]) -> Option<Shortcut> {
        Some(chain::judge(&self.initial, tasks))
    }

    fn key_text(&self, key: &Value) -> Option<String> {
        (!key.is_nil()).then(|| key.to_string())
    }

    fn tell(&self, case: &Case<'_, GrowOnlySet>) -> Telling {
        let tellers =
            [Read::phantom, Read::duplicate, Read::future, Read::missing, Read::out_of_order, Read::apart];
        let others = case.witness.iter().rev().filter(|o| o.call != case.guilty.call);
        let reads: Vec<Read<'_, '_>> = std::iter::once(&case.guilty)
            .chain(others)
            .filter_map(|o| Some(Read { model: self, case, read: o, shown: shown(o)? }))
            .collect();
        let told = reads.iter().find_map(|read| tellers.iter().find_map(|teller| teller(read)));
        told.unwrap_or_else(|| case.plainly(self))
    }
}

/// What a read lists, or the element that a refused add found.
fn shown(operation: &SetOperation) -> Option<&[Value]> {
    match (&operation.op, &operation.outcome) {
        (SetOp::Read { .. }, Outcome::Ok(SetRet::Elements(elements))) => Some(elements),
        (SetOp::Add { element, .. }, Outcome::Fail(Failure::Refused(_))) => {
            Some(std::slice::from_ref(element))
        }
        _ => None,
    }
}

/// One read (or refused add), and what it shows.
struct Read<'c, 'h> {
    model: &'c GrowOnlySet,
    case: &'c Case<'h, GrowOnlySet>,
    read: &'h SetOperation,
    shown: &'h [Value],
}

impl<'h> Read<'_, 'h> {
    fn is_whole(&self) -> bool {
        matches!(self.read.op, SetOp::Read { .. })
    }

    fn shows(&self, element: &Value) -> String {
        let (process, of) = (self.read.process, self.case.of_key());
        match self.is_whole() {
            true => format!("process {process} read the set{of} with {element} in it"),
            false => format!("process {process} was refused to add {element}{of}, as if it were there"),
        }
    }

    fn misses(&self, element: &Value) -> String {
        format!("process {} read the set{} without {element}", self.read.process, self.case.of_key())
    }

    fn name(&self, operation: &SetOperation) -> String {
        let what = self.model.describe(&operation.op, &operation.outcome);
        format!("`{what}` by process {}", operation.process)
    }

    fn telling(&self, class: &'static str, sentence: String, named: &[&SetOperation]) -> Telling {
        let named = std::iter::once(&self.read).chain(named).map(|o| o.call).collect();
        Telling { class, sentence, named }
    }

    /// The adds that happened or may have, of this element.
    fn adds(&self, element: &Value) -> impl Iterator<Item = &'h SetOperation> {
        let all = self.case.operations.iter().copied();
        all.filter(move |o| !matches!(o.outcome, Outcome::Fail(_)) && added(o) == Some(element))
    }

    /// It shows what nobody added.
    fn phantom(&self) -> Option<Telling> {
        let may: HashSet<&Value> = self
            .case
            .operations
            .iter()
            .filter(|o| !matches!(o.outcome, Outcome::Fail(_)))
            .filter_map(|o| added(o))
            .chain(&self.model.initial)
            .collect();
        let element = self.shown.iter().find(|element| !may.contains(element))?;
        let failed =
            self.case.operations.iter().find(|o| {
                added(o) == Some(element) && matches!(o.outcome, Outcome::Fail(Failure::NotDone(_)))
            });
        let shows = self.shows(element);
        Some(match failed {
            None => self.telling("phantom-element", format!("{shows}, which nobody ever added"), &[]),
            Some(failed) => {
                let why = format!(
                    "although {} was answered as not done and nobody else added it",
                    self.name(failed)
                );
                self.telling("aborted-read", format!("{shows}, {why}"), &[failed])
            }
        })
    }

    /// It shows an element twice.
    fn duplicate(&self) -> Option<Telling> {
        let mut seen = HashSet::new();
        let twice = self.shown.iter().find(|element| !seen.insert(*element))?;
        let sentence = format!("{}, twice", self.shows(twice));
        Some(self.telling("duplicate-element", sentence, &[]))
    }

    /// It shows what was added only after it.
    fn future(&self) -> Option<Telling> {
        let begun: HashSet<&Value> = self
            .case
            .operations
            .iter()
            .filter(|o| !matches!(o.outcome, Outcome::Fail(_)) && !self.read.precedes(o))
            .filter_map(|o| added(o))
            .chain(&self.model.initial)
            .collect();
        let element = self.shown.iter().find(|element| !begun.contains(element))?;
        let first = self.adds(element).next()?;
        let sentence =
            format!("{}, although {} began only after that", self.shows(element), self.name(first));
        Some(self.telling("future-read", sentence, &[first]))
    }

    /// It misses what was certainly there.
    fn missing(&self) -> Option<Telling> {
        if !self.is_whole() {
            return None;
        }
        let own: HashSet<&Value> = self.shown.iter().collect();
        if let Some(element) = self.model.initial.iter().find(|element| !own.contains(element)) {
            let sentence = format!("{}, which was there from the beginning", self.misses(element));
            return Some(self.telling("lost-element", sentence, &[]));
        }
        let before = || self.case.operations.iter().copied().filter(|o| o.precedes(self.read));
        let missing =
            |(element, o): (&'h Value, &'h SetOperation)| (!own.contains(element)).then_some((element, o));
        let mut answered = before().rev().filter(|o| o.outcome.is_ok());
        let by_add = answered.find_map(|o| missing((added(o)?, o)));
        let by_read = || {
            let shows = |o: &'h SetOperation| shown(o)?.iter().find_map(|element| missing((element, o)));
            before().rev().find_map(shows)
        };
        let (element, known) = by_add.or_else(by_read)?;
        let ago =
            known.ended.map_or_else(String::new, |ended| format!(" {}", span(self.read.called.since(ended))));
        let how = if added(known).is_some() { "was answered" } else { "had shown it" };
        let mut sentence =
            format!("{}, although {} {how}{ago} before", self.misses(element), self.name(known));
        let again =
            self.case.operations.iter().any(|o| {
                self.read.precedes(o) && shown(o).is_some_and(|elements| elements.contains(element))
            });
        if again {
            return Some(self.telling("stale-read", sentence, &[known]));
        }
        sentence.push_str("; no later read shows it, so it was lost");
        Some(self.telling("lost-element", sentence, &[known]))
    }

    /// It shows an element and misses another one that was added before.
    fn out_of_order(&self) -> Option<Telling> {
        let own: HashSet<&Value> = self.shown.iter().collect();
        let missed = self
            .case
            .witness
            .iter()
            .copied()
            .find(|o| o.outcome.is_ok() && added(o).is_some_and(|element| !own.contains(element)))?;
        let shown = self.shown.iter().filter(|element| !self.model.initial.contains(element));
        let later = shown.into_iter().find(|element| self.adds(element).all(|add| missed.precedes(add)));
        let add = self.is_whole().then_some(self.adds(later?).next()?)?;
        let sentence = format!(
            "process {} read the set{} with {} and without {}, although {} was answered before {} began",
            self.read.process,
            self.case.of_key(),
            later?,
            added(missed)?,
            self.name(missed),
            self.name(add)
        );
        Some(self.telling("out-of-order", sentence, &[missed, add]))
    }

    /// Another read shows what this one misses, and misses what this one shows.
    fn apart(&self) -> Option<Telling> {
        let own: HashSet<&Value> = self.shown.iter().collect();
        let others = self.case.witness.iter().copied().filter(|o| o.call != self.read.call);
        let (other, elements) = others.filter(|o| added(o).is_none()).find_map(|o| Some((o, shown(o)?)))?;
        let theirs: HashSet<&Value> = elements.iter().collect();
        let (mine, other_has) = (
            self.shown.iter().find(|element| !theirs.contains(element))?,
            elements.iter().find(|element| !own.contains(element))?,
        );
        let sentence = format!(
            "process {} read the set{} with {mine} and without {other_has}, process {} one with {other_has} and without \
             {mine}: neither can be the earlier one",
            self.read.process,
            self.case.of_key(),
            other.process
        );
        self.is_whole().then(|| self.telling("diverging-reads", sentence, &[other]))
    }
}

/// The element that an add adds.
fn added(operation: &SetOperation) -> Option<&Value> {
    match &operation.op {
        SetOp::Add { element, .. } => Some(element),
        SetOp::Read { .. } => None,
    }
}
