//! A watcher sees every change once, in order.
//!
//! Each value is written once, so that a change is known by its key and value wherever it is shown. A change has a
//! *place*, its revision, once the writer was told it or some watch showed it. From there:
//!
//! - what a watch shows must have been written, by an operation that did not certainly fail and had begun (`unwritten`);
//! - it shows nothing twice (`duplicate`), nothing before the revision that it was asked from (`too-early`), and
//!   revisions that only grow (`reordered`);
//! - one change has one place, whoever tells of it, and one place of a key has one change; writes of one key that
//!   followed each other in real time have places in that order (`reordered`);
//! - a watch that has come past the place of a change has shown it (`gap`).
//!
//! How far a watch has come it says itself (`next`), if it ended by its own bounds; one that was cut, or whose beginning was
//! compacted away, only as far as the last change that it showed. A write in doubt may be seen or not; once seen,
//! it has a place like any other. Writes of different keys are not compared in real time: that is a promise of
//! the store's order, which not every store with revisions makes.

mod facts;

use crate::exhibits::count;
use crate::models::watch::{WatchOp, WatchRet, WatchVocabulary};
use crate::vacuity::Coverage;
use elenchus_core::budget::Budget;
use elenchus_core::checker::Checker;
use elenchus_core::history::{History, Malformed};
use elenchus_core::operation::Operation;
use elenchus_core::outcome::{Failure, Outcome};
use elenchus_core::verdict::{Anomaly, Exhibit, Validity, Verdict};
use elenchus_core::watch::{Change, End, Seen};
use facts::{Facts, Place};
use std::collections::{BTreeMap, BTreeSet};

pub(crate) type WatchOperation = Operation<WatchOp, WatchRet>;

/// The checker.
#[derive(Clone, Copy, Debug, Default)]
pub struct WatchChecker;

const NAME: &str = "watch";
/// Anomalies worked out of each class; the others are counted.
const ANOMALIES_MAX: usize = 8;
/// The classes, gravest first.
const CLASSES: [&str; 5] = ["unwritten", "gap", "duplicate", "reordered", "too-early"];

impl Checker for WatchChecker {
    fn name(&self) -> &str {
        NAME
    }

    fn check(&self, history: &History, budget: &Budget) -> Result<Verdict, Malformed> {
        Ok(judge(&history.operations(&WatchVocabulary)?, budget))
    }
}

fn judge(operations: &[WatchOperation], budget: &Budget) -> Verdict {
    let facts = Facts::new(operations);
    let mut found = Found::default();
    if facts.twice.is_some() {
        // Whatever is told of that change may be told of either write of it.
        return found.verdict(operations, &facts, 0);
    }
    let mut unexamined = 0;
    for watch in watches(operations) {
        if budget.is_over() {
            unexamined += 1;
            continue;
        }
        watch.order(&facts, &mut found);
        watch.gaps(&facts, &mut found);
    }
    facts.conflicts(&mut found);
    found.verdict(operations, &facts, unexamined)
}

/// A watch that was answered.
struct Watched<'h> {
    operation: &'h WatchOperation,
    from: i64,
    seen: &'h Seen,
}

fn watches(operations: &[WatchOperation]) -> impl Iterator<Item = Watched<'_>> {
    operations.iter().filter_map(|operation| match (&operation.op, &operation.outcome) {
        (WatchOp::Watch { from, .. }, Outcome::Ok(WatchRet::Seen(seen))) => {
            Some(Watched { operation, from: *from, seen })
        }
        _ => None,
    })
}

impl Watched<'_> {
    /// All revisions from its beginning up to, and without, this one were shown.
    fn reached(&self) -> i64 {
        let last = self.seen.changes.iter().map(|change| change.revision).max();
        match self.seen.end {
            End::Complete => last.map_or(self.seen.next, |last| self.seen.next.max(last.saturating_add(1))),
            // Of the last revision there may be more.
            End::Cut | End::Compacted => last.unwrap_or(self.from),
        }
    }

    /// What is wrong with the list by itself.
    fn order(&self, facts: &Facts<'_>, found: &mut Found) {
        let me = self.operation;
        let who = format!("process {} watched from revision {}", me.process, self.from);
        let mut shown: BTreeMap<_, i64> = BTreeMap::new();
        let mut before: Option<&Change> = None;
        for change in &self.seen.changes {
            let what = named(change);
            if let Some(first) = shown.insert((&change.key, &change.value), change.revision) {
                let at = if first == change.revision {
                    String::new()
                } else {
                    format!(" at revision {first}, and")
                };
                let sentence = format!("{who} and was shown {what}{at} twice");
                found.add("duplicate", Some(change), sentence, &[(me, true)], facts);
            }
            if change.revision < self.from {
                let sentence = format!("{who} and was shown {what}, which is older");
                found.add("too-early", Some(change), sentence, &[(me, true)], facts);
            }
            if let Some(before) = before.filter(|before| !follows(before, change)) {
                let sentence = format!("{who} and was shown {what} after {}", named(before));
                found.add("reordered", Some(change), sentence, &[(me, true)], facts);
            }
            if let Some((because, writer)) = facts.unwritten(change, me) {
                let mut shown = vec![(me, true)];
                shown.extend(writer.map(|writer| (writer, false)));
                let sentence = format!("{who} and was shown {what}, {because}");
                found.add("unwritten", Some(change), sentence, &shown, facts);
            }
            before = Some(change);
        }
    }

    /// What it has come past without showing it.
    fn gaps(&self, facts: &Facts<'_>, found: &mut Found) {
        let shown: BTreeSet<_> =
            self.seen.changes.iter().map(|change| (&change.key, &change.value)).collect();
        let reached = self.reached();
        for place in facts.places_between(self.from, reached) {
            if !shown.contains(&(&place.change.key, &place.change.value)) {
                self.gap(place, facts, found);
            }
        }
        for unplaced in facts.unplaced_between(self.from, reached) {
            let sentence = format!(
                "process {} watched from revision {} and came to {}, without {}, which was acknowledged between the writes at {} and {} of its key",
                self.operation.process,
                self.from,
                reached - 1,
                unplaced.name(),
                unplaced.after,
                unplaced.before,
            );
            found.add("gap", None, sentence, &[(self.operation, true), (unplaced.write, false)], facts);
        }
    }

    fn gap(&self, place: &Place<'_>, facts: &Facts<'_>, found: &mut Found) {
        let because = match place.told_by.op {
            WatchOp::Write { .. } => format!("process {} was told that it is there", place.told_by.process),
            WatchOp::Watch { .. } => format!("process {} was shown it", place.told_by.process),
        };
        let sentence = format!(
            "process {} watched from revision {} and came to {}, without {}; {because}",
            self.operation.process,
            self.from,
            self.reached() - 1,
            named(&place.change),
        );
        let shown = [(self.operation, true), (place.told_by, false)];
        found.add("gap", Some(&place.change), sentence, &shown, facts);
    }
}

/// Whether one may be shown after the other: one transaction may change several keys at one revision.
fn follows(before: &Change, change: &Change) -> bool {
    before.revision < change.revision || (before.revision == change.revision && before.key != change.key)
}

/// `3 = 17 at revision 9`.
fn named(change: &Change) -> String {
    match change.value.is_nil() {
        true => format!("the end of {} at revision {}", change.key, change.revision),
        false => format!("{} = {} at revision {}", change.key, change.value, change.revision),
    }
}

/// What was found.
#[derive(Default)]
struct Found {
    /// How many of each class.
    counts: BTreeMap<&'static str, usize>,
    anomalies: Vec<Anomaly>,
}

impl Found {
    fn add(
        &mut self,
        class: &'static str,
        about: Option<&Change>,
        sentence: String,
        shown: &[(&WatchOperation, bool)],
        facts: &Facts<'_>,
    ) {
        let number = self.counts.entry(class).or_default();
        *number += 1;
        if *number > ANOMALIES_MAX {
            return;
        }
        let writer = about.and_then(|change| facts.writer(change)).map(|writer| (writer, false));
        let mut operations: Vec<Exhibit> = shown
            .iter()
            .copied()
            .chain(writer)
            .map(|(operation, guilty)| {
                let mut exhibit = Exhibit::of(operation, describe(operation, about));
                exhibit.guilty = guilty;
                exhibit
            })
            .collect();
        operations.sort_by_key(|exhibit| (exhibit.call, !exhibit.guilty));
        operations.dedup_by_key(|exhibit| exhibit.call);
        let key = about.map(|change| change.key.to_string());
        self.anomalies.push(Anomaly { class: class.into(), key, sentence, operations, context: Vec::new() });
    }

    fn verdict(mut self, operations: &[WatchOperation], facts: &Facts<'_>, unexamined: usize) -> Verdict {
        let gravity = |class: &str| CLASSES.iter().position(|known| *known == class);
        self.anomalies.sort_by_key(|anomaly| gravity(&anomaly.class));
        let (watched, changes) = watches(operations)
            .fold((0, 0), |(watches, changes), watch| (watches + 1, changes + watch.seen.changes.len()));
        let coverage = coverage(operations, facts);
        let unknown = |why: String| Verdict::new(NAME, Validity::Unknown, why);
        let verdict = if let Some(first) = self.anomalies.first() {
            let all: Vec<String> = CLASSES
                .iter()
                .filter_map(|class| Some(format!("{} {class}", self.counts.get(class)?)))
                .collect();
            let why = format!("{} (in all: {})", first.sentence, all.join(", "));
            let mut verdict = Verdict::new(NAME, Validity::Invalid, why);
            verdict.class = Some(first.class.clone());
            verdict
        } else if let Some(twice) = &facts.twice {
            unknown(format!("{twice} was written twice, so that its changes cannot be told apart"))
        } else if unexamined > 0 {
            unknown(format!("{unexamined} of {watched} watches were not examined: the budget ran out"))
        } else if changes == 0 {
            unknown("no watch showed any change, so nothing was examined".into())
        } else if let Some(why) = coverage.vacuous().or_else(|| behind(operations, facts)) {
            unknown(why)
        } else {
            let seen = format!("{} in {}", count(changes, "change"), count(watched, "watch"));
            let why = format!("{seen}, each where it belongs; none is missing").replace("watchs", "watches");
            Verdict::new(NAME, Validity::Valid, why)
        };
        let mut verdict =
            coverage.add_figures(verdict).with_figure("watches", watched).with_figure("changes", changes);
        for class in CLASSES {
            verdict = verdict.with_figure(class, self.counts.get(class).copied().unwrap_or(0));
        }
        verdict.anomalies = self.anomalies;
        verdict
    }
}

fn coverage(operations: &[WatchOperation], facts: &Facts<'_>) -> Coverage {
    let mut coverage = Coverage::default();
    for operation in operations {
        coverage.count(&operation.outcome);
        if operation.outcome.is_ok()
            && let WatchOp::Write { key, value } = &operation.op
        {
            coverage.mutation(facts.was_shown(key, value));
        }
    }
    coverage
}

/// Why the last watches do not tell of everything, if they do not: a node whose watches never came to the last write
/// may hide what it likes.
fn behind(operations: &[WatchOperation], facts: &Facts<'_>) -> Option<String> {
    if facts.lost_sight_of() > 0 {
        let lost = count(facts.lost_sight_of(), "acknowledged write");
        return Some(format!(
            "{lost} were never shown, at revisions that nobody named: they may be lost or late"
        ));
    }
    let last = facts.last_acknowledged()?;
    let mut reached: BTreeMap<u32, i64> = BTreeMap::new();
    for operation in operations {
        if let WatchOp::Watch { last: Some(node), .. } = operation.op {
            reached.entry(node).or_default();
        }
    }
    for watch in watches(operations) {
        if let WatchOp::Watch { last: Some(node), .. } = watch.operation.op {
            let reached = reached.entry(node).or_default();
            *reached = watch.reached().max(*reached);
        }
    }
    let (node, reached) = reached.into_iter().find(|(_, reached)| *reached <= last)?;
    Some(format!(
        "the last watches on node number {} came to revision {}, and the last write is at {last}: what they would have shown is not known",
        node + 1,
        (reached - 1).max(0)
    ))
}

/// An operation in plain notation, as far as it concerns this change.
fn describe(operation: &WatchOperation, about: Option<&Change>) -> String {
    let what = match (&operation.op, &operation.outcome) {
        (WatchOp::Write { key, value }, Outcome::Ok(WatchRet::Revision(revision))) => {
            format!("write {key} = {value}, at revision {revision}")
        }
        (WatchOp::Write { key, value }, _) => format!("write {key} = {value}"),
        (WatchOp::Watch { from, .. }, Outcome::Ok(WatchRet::Seen(seen))) => {
            format!("watch from {from}: {}", around(seen, about))
        }
        (WatchOp::Watch { from, .. }, _) => format!("watch from {from}"),
    };
    match &operation.outcome {
        Outcome::Ok(_) => what,
        Outcome::Fail(Failure::Refused(_)) => format!("{what} refused"),
        Outcome::Fail(Failure::NotDone(_)) => format!("{what} failed"),
        Outcome::Info(_) => format!("{what} (in doubt)"),
    }
}

/// The part of a list that a change belongs to.
fn around(seen: &Seen, about: Option<&Change>) -> String {
    let near = |change: &Change| about.is_some_and(|about| change.revision >= about.revision);
    let at = seen.changes.iter().position(near).unwrap_or(seen.changes.len());
    let part = seen.changes.iter().skip(at.saturating_sub(2)).take(5);
    let part: Vec<String> =
        part.map(|change| format!("{}: {} = {}", change.revision, change.key, change.value)).collect();
    let all = count(seen.changes.len(), "change");
    if part.is_empty() {
        format!("{all}, {}", seen.end.name())
    } else {
        format!("{all}, {}; […{}…]", seen.end.name(), part.join(", "))
    }
}

#[cfg(test)]
mod tests;
