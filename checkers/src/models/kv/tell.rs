//! How an anomaly of a store is told: what was got, and which put or append it should have shown.
//!
//! A name is given only where it is certain from the whole history of the key. Everything else is
//! `nonlinearizable`, which is certain always.

use super::{Kv, KvOp, KvRet, unique};
use crate::exhibits::span;
use crate::linearizability::{Case, Insight, Shortcut, Task, Telling};
use crate::models::start;
use elenchus_core::event::Index;
use elenchus_core::model::Model;
use elenchus_core::operation::Operation;
use elenchus_core::outcome::{Failure, Outcome};
use elenchus_core::value::Value;
use std::collections::BTreeSet;

type KvOperation = Operation<KvOp, KvRet>;

/// More operations than this that wrote a part of what was got are not worth a guess.
const SUSPECTS_MAX: usize = 64;

impl Insight for Kv {
    fn shortcut(&self, tasks: &[Task<'_, Kv>]) -> Option<Shortcut> {
        unique::shortcut(self, tasks)
    }

    /// Whoever wrote a part of what was seen, and the last acknowledged change that is no part of it.
    fn suspects(&self, operations: &[&KvOperation], failed: usize) -> Vec<usize> {
        let guilty = operations[failed];
        let Some(seen) = self.saw(&guilty.op, &guilty.outcome) else { return Vec::new() };
        let all = || operations.iter().enumerate();
        let shown = all().filter(|(_, o)| writes(o).is_some_and(|written| shows(seen, &written)));
        let mut suspects: Vec<usize> = shown.map(|(i, _)| i).collect();
        if suspects.len() > SUSPECTS_MAX {
            return Vec::new();
        }
        let hidden = |o: &KvOperation| o.outcome.is_ok() && writes(o).is_some_and(|w| !shows(seen, &w));
        let missing = all().filter(|(_, o)| o.precedes(guilty) && hidden(o)).max_by_key(|(_, o)| o.call);
        suspects.extend(missing.map(|(i, _)| i));
        suspects
    }

    fn key_text(&self, key: &Value) -> Option<String> {
        (!key.is_nil()).then(|| key.to_string())
    }

    fn tell(&self, case: &Case<'_, Kv>) -> Telling {
        let tellers = [aborted, never_written, future, missing, forked];
        let told = Sight::new(self, case).and_then(|sight| tellers.iter().find_map(|teller| teller(&sight)));
        let telling = told.unwrap_or_else(|| case.plainly(self));
        let changes = |o: &KvOperation| !self.inert(&o.op, &o.outcome);
        let saw = self.saw(&case.guilty.op, &case.guilty.outcome);
        start::hinted(telling, case, &self.initial, saw, changes)
    }
}

/// What an operation writes, whether it succeeded or not.
fn writes(operation: &KvOperation) -> Option<Value> {
    match &operation.op {
        KvOp::Put { value, .. } => Some(value.clone()),
        KvOp::Append { piece, .. } => Some(Value::Str(piece.clone())),
        KvOp::Cas { from, to, .. } => (from != to).then(|| to.clone()),
        KvOp::Get { .. } | KvOp::Delete { .. } => None,
    }
}

/// Whether `written` is, or is a part of, what was seen.
fn shows(seen: &Value, written: &Value) -> bool {
    match (seen, written) {
        (Value::Str(seen), Value::Str(written)) => seen.contains(&**written),
        _ => seen == written,
    }
}

/// The guilty operation and what it saw.
struct Sight<'c, 'h> {
    model: &'c Kv,
    case: &'c Case<'h, Kv>,
    seen: &'h Value,
}

impl<'c, 'h> Sight<'c, 'h> {
    fn new(model: &'c Kv, case: &'c Case<'h, Kv>) -> Option<Sight<'c, 'h>> {
        let seen = model.saw(&case.guilty.op, &case.guilty.outcome)?;
        Some(Sight { model, case, seen })
    }

    /// `process 3 got "ab" of key 4`
    fn what_happened(&self) -> String {
        let (process, of, seen) = (self.case.guilty.process, self.case.of_key(), self.seen);
        match &self.case.guilty.op {
            KvOp::Get { .. } => format!("process {process} got {seen}{of}"),
            _ => {
                format!("process {process} saw {seen}{of} by `{}`", self.describe(self.case.guilty))
            }
        }
    }

    fn describe(&self, operation: &KvOperation) -> String {
        self.model.describe(&operation.op, &operation.outcome)
    }

    /// `` `append "b"` by process 1 ``
    fn name(&self, operation: &KvOperation) -> String {
        format!("`{}` by process {}", self.describe(operation), operation.process)
    }

    fn telling(&self, class: &'static str, why: &str, named: Option<&KvOperation>) -> Telling {
        let sentence = format!("{}, {why}", self.what_happened());
        let named = [Some(self.case.guilty), named].into_iter().flatten().map(|o| o.call).collect();
        Telling { class, sentence, named }
    }

    /// The first such operation that wrote a part of what was seen, if nobody else wrote what it did, nor
    /// anything of which that is a part.
    fn writer(&self, such: impl Fn(&KvOperation) -> bool) -> Option<&'h KvOperation> {
        let shown = |o: &&KvOperation| writes(o).is_some_and(|written| shows(self.seen, &written));
        let found = self.case.operations.iter().copied().filter(shown).find(|o| such(o))?;
        let written = writes(found).filter(|written| *written != Value::str(""))?;
        let alike = |o: &&&KvOperation| writes(o).is_some_and(|other| shows(&other, &written));
        let initial = shows(&self.model.initial, &written);
        (!initial && self.case.operations.iter().filter(alike).take(2).count() == 1).then_some(found)
    }
}

/// It shows what was answered as not done.
fn aborted(sight: &Sight<'_, '_>) -> Option<Telling> {
    let failed = sight.writer(|o| matches!(o.outcome, Outcome::Fail(Failure::NotDone(_))))?;
    let why = format!("although {} was answered as not done", sight.name(failed));
    Some(sight.telling("aborted-read", &why, Some(failed)))
}

/// It alone cannot be.
fn never_written(sight: &Sight<'_, '_>) -> Option<Telling> {
    let alone = matches!(&sight.case.witness[..], [one] if one.call == sight.case.guilty.call);
    alone.then(|| sight.telling("never-written", "which nothing that was ever written can give", None))
}

/// It shows what was called only after it had ended.
fn future(sight: &Sight<'_, '_>) -> Option<Telling> {
    let later = sight.writer(|o| sight.case.guilty.precedes(o))?;
    let why = format!("although {} began only after that", sight.name(later));
    Some(sight.telling("future-read", &why, Some(later)))
}

/// It does not show what was acknowledged before, and nothing can have removed that.
fn missing(sight: &Sight<'_, '_>) -> Option<Telling> {
    let (guilty, operations) = (sight.case.guilty, &sight.case.operations);
    let removes = |o: &KvOperation| {
        !matches!(o.op, KvOp::Get { .. } | KvOp::Append { .. }) && !matches!(o.outcome, Outcome::Fail(_))
    };
    // The two removals that returned last: one of them may be the change itself.
    let mut removals: Vec<(Index, Index)> =
        operations.iter().filter(|o| removes(o)).map(|o| (o.done, o.call)).collect();
    removals.sort_unstable_by_key(|(done, _)| std::cmp::Reverse(*done));
    let kept = |o: &&&KvOperation| {
        removals.iter().find(|(_, call)| *call != o.call).is_none_or(|(done, _)| *done < o.call)
    };
    let hidden = |o: &&&KvOperation| {
        o.outcome.is_ok()
            && o.precedes(guilty)
            && writes(o).is_some_and(|written| !shows(sight.seen, &written))
    };
    let change = operations.iter().filter(hidden).filter(kept).max_by_key(|o| o.call)?;
    let written = writes(change)?;
    let ago = change.ended.map_or_else(String::new, |ended| format!("{} ", span(guilty.called.since(ended))));
    let mut why = format!("although {} was acknowledged {ago}before that began", sight.name(change));
    let gets = || operations.iter().filter(|o| matches!(o.op, KvOp::Get { .. }) && o.outcome.is_ok());
    let seen = |o: &&&KvOperation| sight.model.saw(&o.op, &o.outcome).is_some_and(|saw| shows(saw, &written));
    let readers: BTreeSet<_> = gets().filter(|o| change.precedes(o)).map(|o| o.process).collect();
    if gets().any(|o| seen(&o)) || readers.len() < 3 {
        return Some(sight.telling("stale-read", &why, Some(change)));
    }
    why.push_str("; nobody ever saw what it wrote, so it was lost");
    Some(sight.telling("lost-write", &why, Some(change)))
}

/// Two gets saw texts of which neither continues the other, and nothing but appends wrote.
fn forked(sight: &Sight<'_, '_>) -> Option<Telling> {
    let grows = |o: &&KvOperation| matches!(o.op, KvOp::Get { .. } | KvOp::Append { .. });
    if !sight.case.operations.iter().all(grows) {
        return None;
    }
    let text = |value: &'_ Value| match value {
        Value::Str(text) => Some(text.to_string()),
        _ => None,
    };
    let mine = text(sight.seen)?;
    let apart = |o: &&&KvOperation| {
        let other = sight.model.saw(&o.op, &o.outcome).and_then(text);
        other.is_some_and(|other| !other.starts_with(&mine) && !mine.starts_with(&other))
    };
    let other = sight.case.witness.iter().find(apart)?;
    let why = format!("and {} saw what neither continues that nor is continued by it", sight.name(other));
    Some(sight.telling("forked", &why, Some(other)))
}
