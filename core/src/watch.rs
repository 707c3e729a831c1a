//! What a watch shows: the changes under a prefix, one after the other, each with its revision.
//!
//! A *revision* is an integer of the whole store that grows with every change and orders all of them. A watch is one
//! bounded operation, and its answer a list: it begins at a revision, and ends after so many changes, after so long,
//! or where the store cut it.

use crate::value::Value;

/// One change of one key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Change {
    /// When, in the store's own order.
    pub revision: i64,
    /// Which key.
    pub key: Value,
    /// What it holds since; nil if it was removed.
    pub value: Value,
}

/// What one watch has shown.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Seen {
    /// The changes, in the order in which they were shown.
    pub changes: Vec<Change>,
    /// The revision at which to go on: all changes before it, from the watch's beginning on, were shown.
    pub next: i64,
    /// How it ended.
    pub end: End,
}

/// How a watch ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum End {
    /// By its own bounds.
    Complete,
    /// The store, or the way to it, broke it off.
    Cut,
    /// The store no longer has the revisions that were asked for; they begin at `next`.
    Compacted,
}

impl End {
    /// All of them.
    pub const ALL: [End; 3] = [End::Complete, End::Cut, End::Compacted];

    /// Its name, on disk and in clients' answers.
    pub fn name(self) -> &'static str {
        match self {
            End::Complete => "complete",
            End::Cut => "cut",
            End::Compacted => "compacted",
        }
    }

    /// The end of this name.
    pub fn named(name: &str) -> Option<End> {
        End::ALL.into_iter().find(|end| end.name() == name)
    }
}
