//! The log in memory: entries after a base that a snapshot covers.
//!
//! Knows nothing of commitment or of disks; it only answers what stands where. Terms never fall along the
//! log, so that a term's first and last entry are found by bisection.

use std::collections::VecDeque;

use crate::raft::entry::{Entry, EntryId, Index, Term};

/// The entries `base.index + 1 ..= last().index`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Log {
    base: EntryId,
    entries: VecDeque<Entry>,
}

impl Log {
    /// A log whose first entry will follow `base`.
    pub fn new(base: EntryId) -> Log {
        Log { base, entries: VecDeque::new() }
    }

    /// The entry before the first that is still held.
    pub fn base(&self) -> EntryId {
        self.base
    }

    /// The last entry, or the base when there is none.
    pub fn last(&self) -> EntryId {
        match self.entries.back() {
            Some(entry) => EntryId { term: entry.term, index: self.last_index() },
            None => self.base,
        }
    }

    /// The index of [`Log::last`].
    pub fn last_index(&self) -> Index {
        Index(self.base.index.0 + self.entries.len() as u64)
    }

    /// The term at `index`; known for the base too, `None` before it and after the end.
    pub fn term_at(&self, index: Index) -> Option<Term> {
        if index == self.base.index { Some(self.base.term) } else { self.get(index).map(|entry| entry.term) }
    }

    /// The entry at `index`, if it is held.
    pub fn get(&self, index: Index) -> Option<&Entry> {
        let offset = index.0.checked_sub(self.base.index.0 + 1)?;
        self.entries.get(usize::try_from(offset).ok()?)
    }

    /// All entries held from `from` on.
    pub fn entries_from(&self, from: Index) -> impl Iterator<Item = &Entry> + Clone {
        let skip = from.0.saturating_sub(self.base.index.0 + 1);
        self.entries.iter().skip(usize::try_from(skip).unwrap_or(usize::MAX))
    }

    /// Entries from `from` on: at least one if there is one, more while their data stays within
    /// `bytes_max`.
    pub fn batch(&self, from: Index, bytes_max: usize) -> Vec<Entry> {
        let mut bytes = 0;
        let fits = |entry: &&Entry| {
            let first = bytes == 0;
            // The constant stands for what an entry costs beside its data.
            bytes += entry.data.len() + 16;
            first || bytes <= bytes_max
        };
        self.entries_from(from).take_while(fits).cloned().collect()
    }

    /// Adds an entry at the end.
    pub fn push(&mut self, entry: Entry) {
        self.entries.push_back(entry);
    }

    /// Drops everything from `index` on.
    pub fn truncate(&mut self, index: Index) {
        let keep = index.0.saturating_sub(self.base.index.0 + 1);
        self.entries.truncate(usize::try_from(keep).unwrap_or(usize::MAX));
    }

    /// Drops everything up to `index`, which becomes the base. Nothing happens when it is not held.
    pub fn compact(&mut self, index: Index) {
        let Some(term) = self.term_at(index) else { return };
        self.entries.drain(..(index.0 - self.base.index.0) as usize);
        self.base = EntryId { term, index };
    }

    /// The first index, above the base, of the run of entries that have `index`'s term.
    pub fn first_of_term_at(&self, index: Index) -> Index {
        let term = self.term_at(index).unwrap_or_default();
        Index(self.base.index.0 + 1 + self.entries.partition_point(|entry| entry.term < term) as u64)
    }

    /// The last index whose entry is of `term`, if one is held.
    pub fn last_of_term(&self, term: Term) -> Option<Index> {
        let after = self.entries.partition_point(|entry| entry.term <= term) as u64;
        let index = Index(self.base.index.0 + after);
        (self.term_at(index) == Some(term)).then_some(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(base: (u64, u64), terms: &[u64]) -> Log {
        let mut log = Log::new(EntryId { term: Term(base.0), index: Index(base.1) });
        for term in terms {
            log.push(Entry { term: Term(*term), data: vec![*term as u8; 10].into() });
        }
        log
    }

    #[test]
    fn terms_are_found_at_and_around_the_base() {
        let log = log((1, 4), &[2, 2, 5]);
        let terms: Vec<_> = (3..=8).map(|i| log.term_at(Index(i)).map(|term| term.0)).collect();
        assert_eq!(terms, [None, Some(1), Some(2), Some(2), Some(5), None]);
        assert_eq!(log.last(), EntryId { term: Term(5), index: Index(7) });
        assert_eq!(log.first_of_term_at(Index(6)), Index(5));
        assert_eq!(log.last_of_term(Term(2)), Some(Index(6)));
        assert_eq!(log.last_of_term(Term(5)), Some(Index(7)));
        assert_eq!(log.last_of_term(Term(3)), None);
        assert_eq!(log.last_of_term(Term(1)), Some(Index(4)));
    }

    #[test]
    fn truncating_and_compacting_keep_the_rest() {
        let mut log = log((1, 4), &[2, 2, 5]);
        log.compact(Index(5));
        assert_eq!((log.base().index, log.last_index()), (Index(5), Index(7)));
        log.compact(Index(99));
        log.compact(Index(3));
        assert_eq!((log.base().index, log.last_index()), (Index(5), Index(7)));
        log.truncate(Index(7));
        assert_eq!(log.last(), EntryId { term: Term(2), index: Index(6) });
        log.truncate(Index(2));
        assert_eq!(log.last(), EntryId { term: Term(2), index: Index(5) });
    }

    #[test]
    fn a_batch_has_at_least_one_entry_and_ends_at_its_limit() {
        let log = log((0, 0), &[1, 1, 1, 1]);
        assert_eq!(log.batch(Index(1), 0).len(), 1);
        assert_eq!(log.batch(Index(2), 60).len(), 2);
        assert_eq!(log.batch(Index(1), 1_000).len(), 4);
        assert_eq!(log.batch(Index(5), 1_000).len(), 0);
    }
}
