//! How an anomaly of a log is told: an offset that was assigned twice, an entry that was lost, changed, or
//! never appended.
//!
//! A name is given only where it is certain; everything else is `nonlinearizable`.

use super::{AppendLog, LogAct, LogOp, LogRet, order};
use crate::linearizability::{Case, Insight, Shortcut, Task, Telling};
use elenchus_core::model::Model;
use elenchus_core::operation::Operation;
use elenchus_core::outcome::Outcome;
use elenchus_core::value::Value;
use std::collections::HashSet;

type LogOperation = Operation<LogOp, LogRet>;

impl Insight for AppendLog {
    fn shortcut(&self, tasks: &[Task<'_, AppendLog>]) -> Option<Shortcut> {
        order::decide(self, tasks)
    }

    fn key_text(&self, key: &Value) -> Option<String> {
        (!key.is_nil()).then(|| key.to_string())
    }

    fn tell(&self, case: &Case<'_, AppendLog>) -> Telling {
        let told = Told { model: self, case };
        let told = told.phantom().or_else(|| told.pairs().find_map(|(a, b)| told.pair(a, b)));
        told.unwrap_or_else(|| case.plainly(self))
    }
}

struct Told<'c, 'h> {
    model: &'c AppendLog,
    case: &'c Case<'h, AppendLog>,
}

impl<'h> Told<'_, 'h> {
    /// Pairs of the witness, in the order of their calls.
    fn pairs(&self) -> impl Iterator<Item = (&'h LogOperation, &'h LogOperation)> + '_ {
        let witness = &self.case.witness;
        (0..witness.len()).flat_map(move |b| (0..b).map(move |a| (witness[a], witness[b])))
    }

    fn pair(&self, a: &'h LogOperation, b: &'h LogOperation) -> Option<Telling> {
        self.twice(a, b)
            .or_else(|| self.backwards(a, b))
            .or_else(|| self.changed(a, b))
            .or_else(|| self.lost(a, b))
    }

    fn telling(
        &self,
        class: &'static str,
        sentence: String,
        a: &LogOperation,
        b: &LogOperation,
    ) -> Option<Telling> {
        Some(Telling { class, sentence, named: vec![a.call, b.call, self.case.guilty.call] })
    }

    /// `` process 3's `append 7 → offset 4` ``
    fn name(&self, operation: &LogOperation) -> String {
        format!(
            "process {}'s `{}`",
            operation.process,
            self.model.describe(&operation.op, &operation.outcome)
        )
    }

    /// The guilty one saw an entry that nobody appended.
    fn phantom(&self) -> Option<Telling> {
        let guilty = self.case.guilty;
        if matches!(guilty.op.act, LogAct::Append(_)) {
            return None;
        }
        let appended = self.case.operations.iter().filter_map(|operation| match &operation.op.act {
            LogAct::Append(value) if !matches!(operation.outcome, Outcome::Fail(_)) => Some(value),
            _ => None,
        });
        let appended: HashSet<&Value> = appended.chain(&self.model.initial).collect();
        let (from, entries) = known(guilty);
        let (offset, entry) = (from..).zip(entries).find(|(_, entry)| !appended.contains(entry))?;
        let (name, of) = (self.name(guilty), self.case.of_key());
        let sentence = format!("{name}{of} saw {entry} at offset {offset}, which nobody ever appended");
        self.telling("phantom-entry", sentence, guilty, guilty)
    }

    fn twice(&self, a: &LogOperation, b: &LogOperation) -> Option<Telling> {
        let (offset, same) = (at(a)?, at(b)?);
        let sentence = format!(
            "offset {offset}{} was assigned twice: to {} and to {}",
            self.case.of_key(),
            self.name(a),
            self.name(b)
        );
        (offset == same).then(|| self.telling("offset-assigned-twice", sentence, a, b))?
    }

    fn backwards(&self, a: &LogOperation, b: &LogOperation) -> Option<Telling> {
        let (first, second) = (at(a)?, at(b)?);
        let sentence = format!(
            "{} began only after {} had returned, and yet stands before it{}",
            self.name(b),
            self.name(a),
            self.case.of_key()
        );
        (a.precedes(b) && second < first).then(|| self.telling("out-of-order", sentence, a, b))?
    }

    /// Both know an entry at the same offset, and not the same one.
    fn changed(&self, a: &LogOperation, b: &LogOperation) -> Option<Telling> {
        let (from, first) = known(a);
        let (begin, second) = known(b);
        let shared = from.max(begin)..(from + first.len() as u64).min(begin + second.len() as u64);
        let (one, other) =
            (|offset| &first[(offset - from) as usize], |offset| &second[(offset - begin) as usize]);
        let offset = shared.into_iter().find(|offset| one(*offset) != other(*offset))?;
        let (one, other) = (one(offset), other(offset));
        let sentence = format!(
            "the entry at offset {offset}{} is {one} by {} and {other} by {}",
            self.case.of_key(),
            self.name(a),
            self.name(b)
        );
        self.telling("entry-changed", sentence, a, b)
    }

    /// The first knew an entry, and the second, which began after it had ended, found the log to be shorter.
    fn lost(&self, a: &LogOperation, b: &LogOperation) -> Option<Telling> {
        let length = length_at_most(b)?;
        let (from, entries) = known(a);
        let last = (from + entries.len() as u64).checked_sub(1)?;
        if entries.is_empty() || !a.precedes(b) || last < length {
            return None;
        }
        let sentence = format!(
            "{} did not see the entry at offset {}{}, although {} was over before it began",
            self.name(b),
            last,
            self.case.of_key(),
            self.name(a)
        );
        self.telling("lost-entry", sentence, a, b)
    }
}

fn at(operation: &LogOperation) -> Option<u64> {
    match operation.outcome {
        Outcome::Ok(LogRet::At(offset)) => Some(offset),
        _ => None,
    }
}

/// The entries that an operation knows, and the offset of the first.
fn known(operation: &LogOperation) -> (u64, &[Value]) {
    let (from, entries): (u64, &[Value]) = match (&operation.op.act, &operation.outcome) {
        (LogAct::Append(value), Outcome::Ok(LogRet::At(offset))) => (*offset, std::slice::from_ref(value)),
        (LogAct::Read(offset), Outcome::Ok(LogRet::Entry(entry))) if !entry.is_nil() => {
            (*offset, std::slice::from_ref(entry))
        }
        (LogAct::ReadAll, Outcome::Ok(LogRet::Entries(entries))) => (0, entries),
        (LogAct::Poll(offset), Outcome::Ok(LogRet::Entries(entries))) => (*offset, entries),
        _ => (0, &[]),
    };
    // No log is so long that its offsets overflow; a log that says so knows nothing.
    if from.checked_add(entries.len() as u64).is_some() { (from, entries) } else { (0, &[]) }
}

fn length_at_most(operation: &LogOperation) -> Option<u64> {
    match (&operation.op.act, &operation.outcome) {
        (LogAct::Read(offset), Outcome::Ok(LogRet::Entry(Value::Nil))) => Some(*offset),
        (LogAct::ReadAll, Outcome::Ok(LogRet::Entries(entries))) => Some(entries.len() as u64),
        (LogAct::Poll(offset), Outcome::Ok(LogRet::Entries(entries))) => {
            offset.checked_add(entries.len() as u64)
        }
        _ => None,
    }
}
