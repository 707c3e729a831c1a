//! What the log is made of: terms, indices, entries, and what must survive a crash beside them.

use std::fmt;
use std::sync::Arc;

use crate::protocol::Peer;
use crate::raft::membership::Membership;

/// A term, counted from 1; 0 is before the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Term(pub u64);

impl Term {
    /// The term after this one.
    #[must_use]
    pub fn next(self) -> Term {
        Term(self.0 + 1)
    }
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A position in the log, counted from 1; 0 is before the first entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Index(pub u64);

impl Index {
    /// The position after this one.
    #[must_use]
    pub fn next(self) -> Index {
        Index(self.0 + 1)
    }

    /// The position before this one; 0 has none before it.
    #[must_use]
    pub fn previous(self) -> Index {
        Index(self.0.saturating_sub(1))
    }
}

impl fmt::Display for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Names an entry: no two entries of one term share an index (Log Matching, section 3.5).
///
/// The order is the one that the election restriction compares logs by (section 3.6.1): of two logs the
/// one whose last entry is greater is the more up-to-date.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryId {
    /// The term in which a leader made it.
    pub term: Term,
    /// Where it stands.
    pub index: Index,
}

/// One entry. Its index is its place in the log.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Entry {
    /// The term in which a leader made it.
    pub term: Term,
    /// What the state machine is to apply; empty is a leader's no-op (section 6.4). A configuration concerns
    /// the consensus alone: [`Membership::decode`] knows it.
    pub data: Arc<[u8]>,
}

/// What must be durable before a server answers, besides its log (section 3.8).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct HardState {
    /// The latest term that the server has seen.
    pub term: Term,
    /// Whom it voted for in that term.
    pub vote: Option<Peer>,
}

/// The state machine after all entries up to `last` (section 5).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Snapshot {
    /// The last entry that it covers.
    pub last: EntryId,
    /// The configuration in force there; `None`: the one that the cluster began with.
    pub membership: Option<Arc<Membership>>,
    /// The state machine's own encoding.
    pub data: Arc<[u8]>,
}
