//! How an anomaly of a register is told: which value was seen, and why it could not be.
//!
//! A name is given only where it is certain from the whole history of the key. Everything else is called
//! `nonlinearizable`, which is certain always.

use super::possible::Possible;
use super::{Register, RegisterOp, RegisterRet, layout, zones};
use crate::exhibits::span;
use crate::linearizability::{Case, Insight, Shortcut, Task, Telling};
use crate::models::start;
use elenchus_core::model::Model;
use elenchus_core::operation::Operation;
use elenchus_core::outcome::{Failure, Outcome};
use elenchus_core::value::Value;
use std::collections::BTreeSet;

type RegisterOperation = Operation<RegisterOp, RegisterRet>;

/// More operations than this that set one value are not worth a guess.
const SUSPECTS_MAX: usize = 8;

impl Insight for Register {
    fn shortcut(&self, tasks: &[Task<'_, Register>]) -> Option<Shortcut> {
        zones::shortcut(self, tasks)
    }

    fn linearization(&self, tasks: &[Task<'_, Register>]) -> Option<Vec<u32>> {
        layout::linearization(self, tasks)
    }

    /// Whoever sets, or would set, what the failed operation saw; who replaced that value; and the last
    /// change that was acknowledged before. None where values repeat much: then anything may matter.
    fn suspects(&self, operations: &[&RegisterOperation], failed: usize) -> Vec<usize> {
        let guilty = operations[failed];
        let Some(value) = seen(guilty) else { return Vec::new() };
        let all = || operations.iter().enumerate();
        let concerned = all().filter(|(_, o)| would_set(o) == Some(value) || replaces(o, value));
        let mut suspects: Vec<usize> = concerned.map(|(i, _)| i).collect();
        if suspects.len() > SUSPECTS_MAX {
            return Vec::new();
        }
        let changes =
            |o: &RegisterOperation| o.outcome.is_ok() && would_set(o).is_some_and(|set| set != value);
        let before = all().filter(|(_, o)| o.precedes(guilty) && changes(o));
        suspects.extend(before.max_by_key(|(_, o)| o.call).map(|(i, _)| i));
        suspects
    }

    fn key_text(&self, key: &Value) -> Option<String> {
        (!key.is_nil()).then(|| key.to_string())
    }

    fn tell(&self, case: &Case<'_, Register>) -> Telling {
        let told = seen(case.guilty).filter(|value| self.is_seen(value)).and_then(|value| {
            let sources = Sources::new(self, case, value);
            let tellers = [Sources::unwritten, Sources::future, Sources::lost_update, Sources::overwritten];
            tellers.iter().find_map(|teller| teller(&sources))
        });
        let telling = told.unwrap_or_else(|| self.tell_what_was_possible(case));
        let changes =
            |o: &RegisterOperation| !matches!(o.outcome, Outcome::Fail(_)) && would_set(o).is_some();
        start::hinted(telling, case, &self.initial, seen(case.guilty), changes)
    }
}

impl Register {
    /// What the register can have held instead, or which operation that was answered as not done explains it.
    fn tell_what_was_possible(&self, case: &Case<'_, Register>) -> Telling {
        let plain = case.plainly(self);
        let Some(possible) = Possible::new(self, case) else { return plain };
        let happened = what_happened(case);
        if let Some(done) = possible.done_nevertheless() {
            let name = format!("`{}` by process {}", self.describe(&done.op, &done.outcome), done.process);
            let sentence = format!("{happened}, which {name} explains, although it was answered as not done");
            return Telling { class: "aborted-read", sentence, named: vec![case.guilty.call, done.call] };
        }
        let count = case.witness.len();
        match possible.values().as_deref() {
            None | Some([]) => plain,
            Some(values) => {
                let sentence = format!(
                    "{happened}, when the register can only have held {}: no order of these {count} \
                     operations explains it, whenever the others took effect",
                    either(values)
                );
                Telling { sentence, ..plain }
            }
        }
    }
}

/// `1`, `1 or 2`, `1, 2 or 3`
fn either(values: &[&Value]) -> String {
    let texts: Vec<String> = values.iter().map(ToString::to_string).collect();
    match texts.as_slice() {
        [rest @ .., last] if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        texts => texts.concat(),
    }
}

/// `process 3 read 17 of key 4`
fn what_happened(case: &Case<'_, Register>) -> String {
    let Operation { process, op, outcome, .. } = case.guilty;
    let of = case.of_key();
    match (op, outcome) {
        (RegisterOp::Read { .. }, Outcome::Ok(RegisterRet::Saw(value))) => {
            format!("process {process} read {value}{of}")
        }
        (RegisterOp::Read { .. }, _) => format!("process {process} read{of}"),
        (RegisterOp::Write { value, .. }, _) => format!("process {process} wrote {value}{of}"),
        (RegisterOp::Cas { from, to, .. }, Outcome::Fail(Failure::Refused(Some(RegisterRet::Saw(saw))))) => {
            format!("process {process} was refused the cas {from} → {to}{of}, having seen {saw}")
        }
        (RegisterOp::Cas { from, to, .. }, Outcome::Fail(_)) => {
            format!("process {process} was refused the cas {from} → {to}{of}")
        }
        (RegisterOp::Cas { from, to, .. }, _) => {
            format!("process {process} changed {from} to {to} by cas{of}")
        }
    }
}

/// The value that an operation saw, if it says so.
fn seen(operation: &RegisterOperation) -> Option<&Value> {
    match (&operation.op, &operation.outcome) {
        (RegisterOp::Read { .. }, Outcome::Ok(RegisterRet::Saw(value))) => Some(value),
        (RegisterOp::Cas { from, .. }, Outcome::Ok(_)) => Some(from),
        (RegisterOp::Cas { .. }, Outcome::Fail(Failure::Refused(Some(RegisterRet::Saw(value))))) => {
            Some(value)
        }
        _ => None,
    }
}

/// The value that an operation would set, if that changes anything.
fn would_set(operation: &RegisterOperation) -> Option<&Value> {
    match &operation.op {
        RegisterOp::Cas { from, to, .. } if from == to => None,
        op => op.sets(),
    }
}

/// Where the value that the guilty operation saw can have come from.
struct Sources<'c, 'h> {
    model: &'c Register,
    case: &'c Case<'h, Register>,
    value: &'c Value,
    /// The register held it at first.
    initial: bool,
    /// The operations that set it, or may have.
    setters: Vec<&'h RegisterOperation>,
}

impl<'c, 'h> Sources<'c, 'h> {
    fn new(model: &'c Register, case: &'c Case<'h, Register>, value: &'c Value) -> Sources<'c, 'h> {
        let sets =
            |o: &&RegisterOperation| !matches!(o.outcome, Outcome::Fail(_)) && would_set(o) == Some(value);
        let setters = case.operations.iter().copied().filter(sets).collect();
        Sources { model, case, value, initial: model.initial == *value, setters }
    }

    /// `` `write 21` by process 1 ``
    fn name(&self, operation: &RegisterOperation) -> String {
        let what = self.model.describe(&operation.op, &operation.outcome);
        format!("`{what}` by process {}", operation.process)
    }

    fn telling(&self, class: &'static str, sentence: String, named: Option<&RegisterOperation>) -> Telling {
        let named = [Some(self.case.guilty), named].into_iter().flatten().map(|o| o.call).collect();
        Telling { class, sentence, named }
    }

    /// Nobody set the value, or only someone who said that he did not.
    fn unwritten(&self) -> Option<Telling> {
        if self.initial || !self.setters.is_empty() {
            return None;
        }
        let failed = self.case.operations.iter().find(|operation| would_set(operation) == Some(self.value));
        let happened = what_happened(self.case);
        Some(match failed {
            None => self.telling("never-written", format!("{happened}, which nobody ever wrote"), None),
            // Its own effect, though it was told that there was none.
            Some(own) if own.call == self.case.guilty.call => {
                let why = "which nobody but this very cas would write: it seems to have taken effect before it was refused";
                self.telling("refused-but-applied", format!("{happened}, {why}"), None)
            }
            Some(failed) => {
                let (name, value) = (self.name(failed), self.value);
                let why = format!("although {name} was answered as not done and nobody else wrote {value}");
                self.telling("aborted-read", format!("{happened}, {why}"), Some(failed))
            }
        })
    }

    /// Whoever set the value began only after it was seen.
    fn future(&self) -> Option<Telling> {
        let guilty = self.case.guilty;
        if self.initial || !self.setters.iter().all(|setter| guilty.precedes(setter)) {
            return None;
        }
        let first = self.setters.first()?;
        let sentence =
            format!("{}, although {} began only after that", what_happened(self.case), self.name(first));
        Some(self.telling("future-read", sentence, Some(first)))
    }

    /// Two cas succeeded from a value that was there only once.
    fn lost_update(&self) -> Option<Telling> {
        let once = self.setters.len() + usize::from(self.initial) == 1;
        if !once || !replaces(self.case.guilty, self.value) {
            return None;
        }
        let other =
            self.case.witness.iter().find(|o| o.call != self.case.guilty.call && replaces(o, self.value))?;
        let sentence = format!(
            "{}, although {} succeeded from the same value, which the register held only once",
            what_happened(self.case),
            self.name(other)
        );
        Some(self.telling("lost-update", sentence, Some(other)))
    }

    /// The value had been overwritten before it was seen.
    fn overwritten(&self) -> Option<Telling> {
        let guilty = self.case.guilty;
        let overwrites = |o: &&&RegisterOperation| {
            o.outcome.is_ok()
                && would_set(o).is_some_and(|value| value != self.value)
                && o.precedes(guilty)
                && self.setters.iter().all(|setter| setter.precedes(o))
        };
        let latest =
            |of: &[&'h RegisterOperation]| of.iter().filter(overwrites).max_by_key(|o| o.call).copied();
        let later = latest(&self.case.witness).or_else(|| latest(&self.case.operations))?;
        let before =
            later.ended.map_or_else(String::new, |ended| format!("{} ", span(guilty.called.since(ended))));
        let again = match self.initial && self.setters.is_empty() {
            true => "nothing ever wrote that".to_owned(),
            false => format!("nothing wrote {} again", self.value),
        };
        let mut sentence = format!(
            "{}, although {} was acknowledged {before}before that {} began and {again}",
            what_happened(self.case),
            self.name(later),
            if self.guilty_reads() { "read" } else { "cas" },
        );
        let class = match (self.persists(later), self.was_seen(would_set(later)?)) {
            (false, _) => "stale-read",
            (true, false) => {
                sentence.push_str("; nobody ever saw what it wrote, so it was lost");
                "lost-write"
            }
            (true, true) => {
                let undone = match self.setters.as_slice() {
                    [setter] => format!("{} took effect twice", self.name(setter)),
                    _ => format!("one of those that set {} took effect twice", self.value),
                };
                sentence.push_str("; what that one wrote was seen, so it was lost afterwards, or ");
                sentence.push_str(&undone);
                "reappeared"
            }
        };
        Some(self.telling(class, sentence, Some(later)))
    }

    fn guilty_reads(&self) -> bool {
        matches!(self.case.guilty.op, RegisterOp::Read { .. })
    }

    /// Whether the old value is what the system truly holds after `later`, and not what one node believes:
    /// a cas succeeded from it, or three processes read it before anybody changed the register again.
    fn persists(&self, later: &RegisterOperation) -> bool {
        let after = || self.case.operations.iter().filter(|o| later.precedes(o));
        if after().any(|o| replaces(o, self.value)) {
            return true;
        }
        let changes =
            |o: &&&RegisterOperation| !matches!(o.outcome, Outcome::Fail(_)) && would_set(o).is_some();
        let others = self.case.operations.iter().filter(|o| o.call != later.call && o.done > later.call);
        let next_change = others.filter(changes).map(|o| o.call).min().unwrap_or(u32::MAX);
        let undisturbed = after().filter(|o| o.done < next_change);
        let readers: BTreeSet<_> =
            undisturbed.filter(|o| seen(o) == Some(self.value)).map(|o| o.process).collect();
        readers.len() >= 3
    }

    fn was_seen(&self, value: &Value) -> bool {
        self.case.operations.iter().any(|operation| seen(operation) == Some(value))
    }
}

/// Whether it is a cas that replaced `value` by another one.
fn replaces(operation: &RegisterOperation, value: &Value) -> bool {
    match &operation.op {
        RegisterOp::Cas { from, to, .. } => operation.outcome.is_ok() && from == value && to != from,
        _ => false,
    }
}
