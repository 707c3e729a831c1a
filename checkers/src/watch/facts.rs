//! What writers and watchers together prove of where each change stands.

use super::{Found, WatchOperation, named, watches};
use crate::models::watch::{WatchOp, WatchRet};
use elenchus_core::operation::Operation;
use elenchus_core::outcome::Outcome;
use elenchus_core::value::Value;
use elenchus_core::watch::Change;
use std::collections::{BTreeMap, BTreeSet};

/// A key and what it was set to.
type Name<'h> = (&'h Value, &'h Value);

/// A change that certainly took place, and where.
#[derive(Clone)]
pub(super) struct Place<'h> {
    pub change: Change,
    /// The first that told of it.
    pub told_by: &'h WatchOperation,
}

/// An acknowledged write that nobody placed, between two writes of its key that are placed.
pub(super) struct Unplaced<'h> {
    pub write: &'h WatchOperation,
    /// The revision of one that was over before it began; 0 if there is none.
    pub after: i64,
    /// The revision of one that began after it was over.
    pub before: i64,
}

/// Everything that is known.
pub(super) struct Facts<'h> {
    /// The write of each change: one that certainly failed only if there is no other.
    writes: BTreeMap<Name<'h>, &'h WatchOperation>,
    places: BTreeMap<(i64, Value), Place<'h>>,
    placed: BTreeMap<Name<'h>, i64>,
    shown: BTreeSet<Name<'h>>,
    unplaced: Vec<Unplaced<'h>>,
    /// How many acknowledged writes have no place, whether bounded or not.
    lost_sight_of: usize,
    disputes: Vec<(Change, &'h WatchOperation, Place<'h>)>,
    /// A change that two operations may both have made.
    pub twice: Option<String>,
}

impl<'h> Facts<'h> {
    pub(super) fn new(operations: &'h [WatchOperation]) -> Facts<'h> {
        let mut facts = Facts {
            writes: BTreeMap::new(),
            places: BTreeMap::new(),
            placed: BTreeMap::new(),
            shown: BTreeSet::new(),
            unplaced: Vec::new(),
            lost_sight_of: 0,
            disputes: Vec::new(),
            twice: None,
        };
        for operation in operations {
            if let WatchOp::Write { key, value } = &operation.op {
                facts.write(key, value, operation);
            }
        }
        for operation in operations {
            if let (WatchOp::Write { key, value }, Outcome::Ok(WatchRet::Revision(revision))) =
                (&operation.op, &operation.outcome)
            {
                facts.place(*revision, (key, value), operation);
            }
        }
        for watch in watches(operations) {
            for change in &watch.seen.changes {
                facts.shown.insert((&change.key, &change.value));
                if facts.unwritten(change, watch.operation).is_none() {
                    facts.place(change.revision, (&change.key, &change.value), watch.operation);
                }
            }
        }
        facts.bound(operations);
        facts
    }

    fn write(&mut self, key: &'h Value, value: &'h Value, operation: &'h WatchOperation) {
        match self.writes.get(&(key, value)) {
            Some(other) if may_be(other) && may_be(operation) => {
                self.twice = Some(format!("{key} = {value}"))
            }
            Some(other) if may_be(other) => {}
            _ => drop(self.writes.insert((key, value), operation)),
        }
    }

    /// Takes note of where a change is said to be.
    fn place(&mut self, revision: i64, name: Name<'h>, told_by: &'h WatchOperation) {
        let change = Change { revision, key: name.0.clone(), value: name.1.clone() };
        let here = self.places.get(&(revision, change.key.clone()));
        let elsewhere = self.placed.get(&name).filter(|known| **known != revision);
        let elsewhere = elsewhere.and_then(|known| self.places.get(&(*known, change.key.clone())));
        match (elsewhere, here) {
            // Within one watch that is a thing shown twice.
            (Some(known), _) if known.told_by.call == told_by.call => {}
            (Some(known), _) => self.disputes.push((change, told_by, known.clone())),
            (None, Some(known)) if known.change.value != change.value => {
                self.disputes.push((change, told_by, known.clone()));
            }
            (None, Some(_)) => {}
            (None, None) => {
                self.placed.insert(name, revision);
                self.places.insert((revision, change.key.clone()), Place { change, told_by });
            }
        }
    }

    /// Bounds acknowledged writes without a place by those of their key that have one.
    fn bound(&mut self, operations: &'h [WatchOperation]) {
        let by_key = self.by_key();
        for operation in operations {
            let WatchOp::Write { key, value } = &operation.op else { continue };
            if !operation.outcome.is_ok() || self.placed.contains_key(&(key, value)) {
                continue;
            }
            self.lost_sight_of += 1;
            let own = || by_key.get(key).into_iter().flatten();
            let after = own().filter(|(_, write)| write.precedes(operation)).map(|(at, _)| *at).max();
            let before = own().filter(|(_, write)| operation.precedes(write)).map(|(at, _)| *at).min();
            if let Some(before) = before {
                self.unplaced.push(Unplaced { write: operation, after: after.unwrap_or(0), before });
            }
        }
    }

    /// The writes that have a place, by key, in the order of their places.
    fn by_key(&self) -> BTreeMap<&'h Value, Vec<(i64, &'h WatchOperation)>> {
        let mut by_key: BTreeMap<&Value, Vec<(i64, &WatchOperation)>> = BTreeMap::new();
        for (name, revision) in &self.placed {
            if let Some(write) = self.writes.get(name) {
                by_key.entry(name.0).or_default().push((*revision, *write));
            }
        }
        by_key.values_mut().for_each(|writes| writes.sort_by_key(|(revision, _)| *revision));
        by_key
    }

    /// Why nobody can have made this change by the time it was shown, if so, and who tried.
    pub(super) fn unwritten(
        &self,
        change: &Change,
        watch: &WatchOperation,
    ) -> Option<(String, Option<&'h WatchOperation>)> {
        let Some(write) = self.writer(change) else { return Some(("which nobody wrote".into(), None)) };
        if !may_be(write) {
            let why = format!("although process {} was told that its write was not done", write.process);
            return Some((why, Some(write)));
        }
        (write.call > watch.done).then(|| {
            (format!("although process {} began to write it only after that", write.process), Some(write))
        })
    }

    /// The operation that wrote it, or tried to.
    pub(super) fn writer(&self, change: &Change) -> Option<&'h WatchOperation> {
        self.writes.get(&(&change.key, &change.value)).copied()
    }

    pub(super) fn was_shown(&self, key: &Value, value: &Value) -> bool {
        self.shown.contains(&(key, value))
    }

    /// The changes that have a place from this revision on, up to and without that.
    pub(super) fn places_between(&self, from: i64, to: i64) -> impl Iterator<Item = &Place<'h>> {
        // Nil is the least of all keys.
        let range = (from, Value::Nil)..(to.max(from), Value::Nil);
        self.places.range(range).map(|(_, place)| place)
    }

    /// The unplaced writes whose bounds lie between these revisions.
    pub(super) fn unplaced_between(&self, from: i64, to: i64) -> impl Iterator<Item = &Unplaced<'h>> {
        self.unplaced.iter().filter(move |write| from <= write.after + 1 && write.before <= to)
    }

    /// The highest revision of an acknowledged write.
    pub(super) fn last_acknowledged(&self) -> Option<i64> {
        let acknowledged = |name: &Name<'h>| self.writes.get(name).is_some_and(|write| write.outcome.is_ok());
        self.placed.iter().filter(|(name, _)| acknowledged(name)).map(|(_, revision)| *revision).max()
    }

    /// How many acknowledged writes nobody was shown, at revisions that nobody named.
    pub(super) fn lost_sight_of(&self) -> usize {
        self.lost_sight_of
    }

    /// Where two tell different things of one change or one place, and where places contradict real time.
    pub(super) fn conflicts(&self, found: &mut Found) {
        for (change, told_by, known) in &self.disputes {
            let other = match known.told_by.op {
                WatchOp::Write { .. } => format!("process {} was told", known.told_by.process),
                WatchOp::Watch { .. } => format!("process {} was shown", known.told_by.process),
            };
            let me = match told_by.op {
                WatchOp::Write { .. } => format!("process {} was told", told_by.process),
                WatchOp::Watch { .. } => format!("process {} was shown", told_by.process),
            };
            let sentence = format!("{me} {}, where {other} {}", named(change), named(&known.change));
            found.add("reordered", Some(change), sentence, &[(told_by, true), (known.told_by, false)], self);
        }
        for writes in self.by_key().values() {
            self.against_time(writes, found);
        }
    }

    /// The writes of one key by their places: none may stand before one that was over when it began.
    fn against_time(&self, writes: &[(i64, &'h WatchOperation)], found: &mut Found) {
        let mut latest: Option<(i64, &WatchOperation)> = None;
        for (revision, write) in writes {
            if let Some((earlier, begun)) = latest.filter(|(_, begun)| write.precedes(begun)) {
                let (WatchOp::Write { key, value }, WatchOp::Write { value: after, .. }) =
                    (&write.op, &begun.op)
                else {
                    continue;
                };
                let change = Change { revision: *revision, key: key.clone(), value: value.clone() };
                let sentence = format!(
                    "{} stands after {after} at revision {earlier}, although process {} began to write {after} when process {} had been told that {value} is written",
                    named(&change),
                    begun.process,
                    write.process
                );
                let mut shown: Vec<(&WatchOperation, bool)> = vec![(write, false), (begun, false)];
                for (name, at) in [(value, *revision), (after, earlier)] {
                    let place = self.places.get(&(at, key.clone()));
                    let told_by =
                        place.filter(|place| place.change.value == *name).map(|place| place.told_by);
                    shown.extend(told_by.map(|told_by| (told_by, true)));
                }
                found.add("reordered", Some(&change), sentence, &shown, self);
            }
            latest = latest.filter(|(_, begun)| begun.call > write.call).or(Some((*revision, write)));
        }
    }
}

impl Unplaced<'_> {
    /// `3 = 17`.
    pub(super) fn name(&self) -> String {
        match &self.write.op {
            WatchOp::Write { key, value } => format!("{key} = {value}"),
            WatchOp::Watch { .. } => String::new(),
        }
    }
}

/// Whether it may have been done.
fn may_be<O, R>(operation: &Operation<O, R>) -> bool {
    !matches!(operation.outcome, Outcome::Fail(_))
}
