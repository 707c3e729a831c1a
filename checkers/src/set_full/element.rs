//! One element of a set: what happened to it, and what proves that.

use super::SetOperation;
use crate::exhibits::{count, span};
use crate::models::set::{SetOp, SetRet};
use elenchus_core::event::Index;
use elenchus_core::outcome::{Failure, Outcome};
use elenchus_core::value::Value;

/// What became of an element. The order is that of gravity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fate {
    /// Known, then missing from a read, and never seen again by a read that began later.
    Lost,
    /// Read although nobody can have added it by then.
    Unexpected,
    /// Twice in one read.
    Duplicated,
    /// Known, then missing from a read, and seen again later.
    Stale,
    /// In every read that began after it was known, and there was one.
    Stable,
    /// No read began after it was known, or it was never known.
    Never,
}

impl Fate {
    pub(super) const ALL: [Fate; 6] =
        [Fate::Lost, Fate::Unexpected, Fate::Duplicated, Fate::Stale, Fate::Stable, Fate::Never];

    pub(super) fn name(self) -> &'static str {
        match self {
            Fate::Lost => "lost",
            Fate::Unexpected => "unexpected",
            Fate::Duplicated => "duplicated",
            Fate::Stale => "stale",
            Fate::Stable => "stable",
            Fate::Never => "never-read",
        }
    }

    /// Whether it breaks the promise.
    pub(super) fn breaks(self, linearizable: bool) -> bool {
        match self {
            Fate::Lost | Fate::Unexpected | Fate::Duplicated => true,
            Fate::Stale => linearizable,
            Fate::Stable | Fate::Never => false,
        }
    }
}

/// One element, with the operations that tell of it.
pub(super) struct Element<'h> {
    pub value: &'h Value,
    /// Its adds that happened or may have, in the order of their calls.
    pub adds: Vec<&'h SetOperation>,
    /// An add of it that certainly was not done.
    pub failed_add: Option<&'h SetOperation>,
    /// The operation by whose return it was known: the add or a read. None if it never was.
    pub known_by: Option<&'h SetOperation>,
    /// The last called of the reads that miss it though it was known.
    pub missing_from: Option<&'h SetOperation>,
    /// The last called of the reads that contain it.
    pub last_seen: Option<&'h SetOperation>,
    /// The first returned of the reads that contain it.
    pub first_seen: Option<&'h SetOperation>,
    /// A read that contains it twice.
    pub twice_in: Option<&'h SetOperation>,
    /// Whether some read began after it was known.
    pub followed: bool,
}

impl<'h> Element<'h> {
    pub(super) fn fate(&self) -> Fate {
        if self.first_seen.is_some_and(|read| !self.added_before(read.done)) {
            return Fate::Unexpected;
        }
        if let Some(missing) = self.missing_from {
            let again = self.last_seen.is_some_and(|seen| seen.call > missing.call);
            return if again { Fate::Stale } else { Fate::Lost };
        }
        match (self.twice_in, self.followed) {
            (Some(_), _) => Fate::Duplicated,
            (None, true) => Fate::Stable,
            (None, false) => Fate::Never,
        }
    }

    fn added_before(&self, at: Index) -> bool {
        self.adds.iter().any(|add| add.call < at)
    }

    /// The sentence, and the operations that prove it, each with whether it is the guilty one.
    pub(super) fn evidence(&self, fate: Fate, set: &str) -> (String, Vec<(&'h SetOperation, bool)>) {
        match fate {
            Fate::Unexpected => self.unexpected(set),
            Fate::Duplicated => self.duplicated(set),
            _ => self.missing(fate, set),
        }
    }

    fn unexpected(&self, set: &str) -> (String, Vec<(&'h SetOperation, bool)>) {
        let read = self.first_seen.expect("an unexpected element was read");
        let mut shown = vec![(read, true)];
        let because = match (self.failed_add, self.adds.first()) {
            (Some(add), _) => {
                shown.push((add, false));
                format!("although process {} was told that its add was not done", add.process)
            }
            (None, Some(add)) => {
                shown.push((add, false));
                format!("although process {} began to add it only after that", add.process)
            }
            (None, None) => "which nobody ever added".to_owned(),
        };
        (format!("process {} read element {}{set}, {because}", read.process, self.value), shown)
    }

    fn duplicated(&self, set: &str) -> (String, Vec<(&'h SetOperation, bool)>) {
        let read = self.twice_in.expect("a duplicated element was read twice");
        let mut shown: Vec<_> = self.adds.iter().take(2).map(|add| (*add, false)).collect();
        shown.push((read, true));
        let times = if self.adds.len() == 1 { "added once" } else { "in a set" };
        (
            format!("process {} read element {}{set} twice in one read, {times}", read.process, self.value),
            shown,
        )
    }

    fn missing(&self, fate: Fate, set: &str) -> (String, Vec<(&'h SetOperation, bool)>) {
        let known = self.known_by.expect("a missing element was known");
        let read = self.missing_from.expect("a missing element is missing from a read");
        let how = match known.op {
            SetOp::Add { .. } => format!("added by process {} and acknowledged", known.process),
            SetOp::Read { .. } => format!("read by process {}", known.process),
        };
        let later = known
            .ended
            .map_or_else(|| " later".into(), |ended| format!(" {} later", span(read.called.since(ended))));
        let mut shown = vec![(known, false), (read, true)];
        let end = match (fate, self.last_seen) {
            (Fate::Stale, Some(seen)) => {
                shown.push((seen, false));
                format!("; process {} saw it again after that", seen.process)
            }
            _ => " and was never seen again".to_owned(),
        };
        let sentence = format!(
            "element {}{set} was {how}, and is missing from a read that process {} began{later}{end}",
            self.value, read.process
        );
        (sentence, shown)
    }

    /// An operation in plain notation, as far as it concerns this element.
    pub(super) fn describe(&self, operation: &SetOperation) -> String {
        let what = match (&operation.op, &operation.outcome) {
            (SetOp::Add { element, .. }, _) => format!("add {element}"),
            (SetOp::Read { .. }, Outcome::Ok(SetRet::Elements(elements))) => {
                let times = elements.iter().filter(|element| *element == self.value).count();
                let with = match times {
                    0 => format!("without {}", self.value),
                    1 => format!("with {}", self.value),
                    _ => format!("with {} {times} times", self.value),
                };
                format!("read {}, {with}", count(elements.len(), "element"))
            }
            (SetOp::Read { .. }, _) => "read".to_owned(),
        };
        match &operation.outcome {
            Outcome::Ok(_) => what,
            Outcome::Fail(Failure::Refused(_)) => format!("{what} refused"),
            Outcome::Fail(Failure::NotDone(_)) => format!("{what} failed"),
            Outcome::Info(_) => format!("{what} (in doubt)"),
        }
    }
}
