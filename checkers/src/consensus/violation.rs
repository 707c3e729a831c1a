//! What was found: broken invariants, each with the two events that contradict each other.

use crate::consensus::facts::{NodeId, Roster, Spot};
use serde::Serialize;
use std::collections::BTreeMap;

/// Violations of one class that are kept; the others are counted.
const KEPT_MAX: u64 = 8;

/// The classes, gravest first.
pub const CLASSES: [&str; 16] = [
    "two-leaders",
    "state-machines-differ",
    "committed-entries-differ",
    "leader-lacks-committed",
    "logs-do-not-match",
    "leader-rewrote-log",
    "voted-twice",
    "forgot-term",
    "forgot-vote",
    "forgot-entries",
    "acknowledged-undurable",
    "committed-without-quorum",
    "committed-old-term",
    "elected-without-quorum",
    "quorums-disjoint",
    "went-back",
];

/// One broken invariant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// A stable name, one of [`CLASSES`].
    pub class: &'static str,
    /// The node at whose line it shows.
    pub node: String,
    /// In which term.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub term: Option<u64>,
    /// At which index of the log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub index: Option<u64>,
    /// Plain words: what contradicts what, and where both stand.
    pub sentence: String,
    /// The two events that contradict each other: where their lines stand.
    pub events: [Event; 2],
}

/// A line that proves something.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Event {
    /// Whose line it is.
    pub node: String,
    /// The file, if one was named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The line in the file, or without one among those of the node; from 1.
    pub line: u64,
}

/// Where invariants put what they find.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub violations: Vec<Violation>,
    /// How many of each class.
    pub counts: BTreeMap<&'static str, u64>,
}

/// What an invariant says of a violation beside its sentence.
pub(super) struct About {
    pub class: &'static str,
    pub node: NodeId,
    pub term: Option<u64>,
    pub index: Option<u64>,
    pub events: [Spot; 2],
}

impl Found {
    /// Adds a violation; the sentence is made only if it is kept.
    pub fn add(&mut self, about: &About, roster: &Roster, sentence: impl FnOnce() -> String) {
        let count = self.counts.entry(about.class).or_default();
        *count += 1;
        if *count > KEPT_MAX {
            return;
        }
        self.violations.push(Violation {
            class: about.class,
            node: roster.node(about.node).to_string(),
            term: about.term,
            index: about.index,
            sentence: sentence(),
            events: about.events.map(|spot| roster.event(spot)),
        });
    }

    /// Gravest first, then by term and index.
    pub fn sort(&mut self) {
        let gravity = |class: &str| CLASSES.iter().position(|known| *known == class);
        self.violations.sort_by(|a, b| {
            let key = |v: &Violation| (gravity(v.class), v.term, v.index, v.events.clone());
            key(a).cmp(&key(b))
        });
    }
}
