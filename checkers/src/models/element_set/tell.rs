//! How an anomaly of one element is told: it was met or missed, and why that cannot be.
//!
//! A name is given only where it is certain from all operations on the element. Everything else is called
//! `nonlinearizable`, which is certain always.

use super::phases;
use super::{ElementOp, ElementRet, ElementSet, Request};
use crate::exhibits::span;
use crate::linearizability::{Case, Insight, Shortcut, Task, Telling};
use elenchus_core::model::Model;
use elenchus_core::operation::Operation;
use elenchus_core::outcome::Outcome;
use elenchus_core::value::Value;

type ElementOperation = Operation<ElementOp, ElementRet>;

impl Insight for ElementSet {
    fn shortcut(&self, tasks: &[Task<'_, ElementSet>]) -> Option<Shortcut> {
        let Some(first) = tasks.first() else { return Some(Shortcut::Linearizable) };
        phases::judge(self.initial.contains(&first.op.element), tasks)
    }

    fn key_text(&self, (key, element): &(Value, Value)) -> Option<String> {
        Some(if key.is_nil() { element.to_string() } else { format!("{key}, element {element}") })
    }

    fn tell(&self, case: &Case<'_, ElementSet>) -> Telling {
        let tellers = [Element::phantom, Element::twice, Element::stale];
        let told = suspects(case).find_map(|guilty| {
            let met = guilty.op.met(&guilty.outcome)?;
            let element = Element { model: self, case, guilty, met };
            tellers.iter().find_map(|teller| teller(&element))
        });
        told.unwrap_or_else(|| case.plainly(self))
    }
}

/// The guilty operation, then the rest of the witness, the last first.
fn suspects<'c, 'h>(
    case: &'c Case<'h, ElementSet>,
) -> impl Iterator<Item = &'h ElementOperation> + use<'c, 'h> {
    let others = case.witness.iter().rev().copied().filter(|o| o.call != case.guilty.call);
    std::iter::once(case.guilty).chain(others)
}

/// One operation, and whether it met the element.
struct Element<'c, 'h> {
    model: &'c ElementSet,
    case: &'c Case<'h, ElementSet>,
    guilty: &'h ElementOperation,
    met: bool,
}

impl<'h> Element<'_, 'h> {
    fn present_at_first(&self) -> bool {
        self.model.initial.contains(&self.guilty.op.element)
    }

    /// The operations that made the element present (or absent), or may have.
    fn makers(&self, present: bool) -> impl Iterator<Item = &'h ElementOperation> {
        let all = self.case.operations.iter().copied();
        all.filter(move |o| {
            let met = o.op.met(&o.outcome);
            !certainly_failed(o) && o.op.leaves(&o.outcome) == Some(present) && met != Some(present)
        })
    }

    /// `process 3 found 7 in set 4` or `process 3 did not find 7`.
    fn what_happened(&self) -> String {
        let (process, element) = (self.guilty.process, &self.guilty.op.element);
        let of = if self.guilty.op.key.is_nil() {
            String::new()
        } else {
            format!(" in set {}", self.guilty.op.key)
        };
        let how = self.model.describe(&self.guilty.op, &self.guilty.outcome);
        match self.met {
            true => format!("process {process} found {element}{of} (`{how}`)"),
            false => format!("process {process} did not find {element}{of} (`{how}`)"),
        }
    }

    /// `` `add 7` by process 1 ``
    fn name(&self, operation: &ElementOperation) -> String {
        let what = self.model.describe(&operation.op, &operation.outcome);
        format!("`{what}` by process {}", operation.process)
    }

    fn telling(&self, class: &'static str, sentence: String, named: &[&ElementOperation]) -> Telling {
        let named = std::iter::once(&self.guilty).chain(named).map(|o| o.call).collect();
        Telling { class, sentence, named }
    }

    /// It met the element, which nobody had added by then.
    fn phantom(&self) -> Option<Telling> {
        if !self.met || self.present_at_first() || self.makers(true).any(|o| !self.guilty.precedes(o)) {
            return None;
        }
        let happened = self.what_happened();
        if let Some(later) = self.makers(true).next() {
            let sentence = format!("{happened}, although {} began only after that", self.name(later));
            return Some(self.telling("future-read", sentence, &[later]));
        }
        let adds = |o: &&&ElementOperation| o.op.request == Request::Add;
        Some(match self.case.operations.iter().filter(adds).find(|o| certainly_failed(o)) {
            Some(failed) => {
                let why = format!(
                    "although {} was answered as not done and nobody else added it",
                    self.name(failed)
                );
                self.telling("aborted-read", format!("{happened}, {why}"), &[failed])
            }
            None => self.telling("phantom-element", format!("{happened}, which nobody ever added"), &[]),
        })
    }

    /// Two operations had the same effect, and nobody can have undone the first between them.
    fn twice(&self) -> Option<Telling> {
        let leaves = effect(self.guilty)?;
        let same = |o: &&&ElementOperation| o.call != self.guilty.call && effect(o) == Some(leaves);
        let other = self.case.witness.iter().copied().find(|o| same(&o))?;
        let times = self.makers(!leaves).count() + usize::from(self.present_at_first() != leaves);
        if times >= 2 {
            return None;
        }
        let sentence = format!(
            "{}, although {} had the same effect and nobody can have undone that",
            self.what_happened(),
            self.name(other)
        );
        Some(self.telling(if leaves { "double-add" } else { "double-remove" }, sentence, &[other]))
    }

    /// It missed an element that had been added, or met one that had been removed, for good.
    fn stale(&self) -> Option<Telling> {
        let last = |of: &[&'h ElementOperation]| {
            let settles = |o: &&ElementOperation| {
                o.op.leaves(&o.outcome).or(o.op.met(&o.outcome)) == Some(!self.met)
                    && o.precedes(self.guilty)
                    && self.makers(self.met).all(|maker| maker.precedes(o) || self.guilty.precedes(maker))
            };
            of.iter().copied().filter(settles).max_by_key(|o| o.call)
        };
        let settled = last(&self.case.witness).or_else(|| last(&self.case.operations))?;
        let before = settled
            .ended
            .map_or_else(String::new, |ended| format!(" {}", span(self.guilty.called.since(ended))));
        let undone = if self.met { "added it again" } else { "removed it" };
        let mut sentence = format!(
            "{}, although {} was answered{before} before and nobody {undone} by then",
            self.what_happened(),
            self.name(settled),
        );
        let found_later =
            |o: &&&ElementOperation| self.guilty.precedes(o) && o.op.met(&o.outcome) == Some(true);
        let class = match self.met {
            true => "stale-read",
            false if self.case.operations.iter().any(|o| found_later(&o)) => "stale-read",
            false => {
                sentence.push_str("; nobody found it later, so it was lost");
                "lost-element"
            }
        };
        Some(self.telling(class, sentence, &[settled]))
    }
}

fn certainly_failed(operation: &ElementOperation) -> bool {
    matches!(operation.outcome, Outcome::Fail(_))
}

/// Whether an operation that says that it changed something left the element there.
fn effect(operation: &ElementOperation) -> Option<bool> {
    let leaves = operation.op.leaves(&operation.outcome)?;
    (operation.outcome.is_ok() && operation.op.met(&operation.outcome) == Some(!leaves)).then_some(leaves)
}
