//! A node's log as its trace tells it: which term stands where.
//!
//! Kept as runs of entries of one term, so that the log of a leader can be remembered for every election. What the
//! entries carry is not kept: Log Matching compares that once, and from there index and term name an entry.

use elenchus_core::trace::{EntryMark, Mark};

/// The entries from `known_from` to `last`; what stands before is covered by a snapshot, or not known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Log {
    known_from: u64,
    /// The term of the entry before `known_from`, if known.
    base_term: Option<u64>,
    /// Where each run begins, and its term.
    runs: Vec<(u64, u64)>,
    last: u64,
}

impl Log {
    /// A log that a snapshot up to `base` has taken the place of.
    pub fn after(base: Mark) -> Log {
        let known_from = base.index.saturating_add(1);
        Log { known_from, base_term: Some(base.term), runs: Vec::new(), last: base.index }
    }

    /// A log of which only what will stand from `first` on is going to be known.
    pub fn unknown_before(first: u64) -> Log {
        let base_term = (first == 1).then_some(0);
        Log { known_from: first, base_term, runs: Vec::new(), last: first.saturating_sub(1) }
    }

    /// The last index.
    pub fn last(&self) -> u64 {
        self.last
    }

    /// The first index whose term is known; that before it may be too.
    pub fn known_from(&self) -> u64 {
        self.known_from
    }

    /// The term of the entry at `index`, if there is one and it is known.
    pub fn term_at(&self, index: u64) -> Option<u64> {
        if index > self.last {
            None
        } else if index >= self.known_from {
            let after = self.runs.partition_point(|(start, _)| *start <= index);
            Some(self.runs[after.checked_sub(1)?].1)
        } else {
            self.base_term.filter(|_| index.checked_add(1) == Some(self.known_from))
        }
    }

    /// The log from `first` on is now `entries`.
    pub fn replace(&mut self, first: u64, entries: &[EntryMark]) {
        if first < self.known_from || first > self.last.saturating_add(1) {
            *self = Log::unknown_before(first);
        } else {
            self.last = first - 1;
            while self.runs.last().is_some_and(|(start, _)| *start >= first) {
                self.runs.pop();
            }
        }
        for entry in entries {
            self.last = self.last.saturating_add(1);
            if self.runs.last().is_none_or(|(_, term)| *term != entry.term) {
                self.runs.push((self.last, entry.term));
            }
        }
    }

    /// The first index up to `end` where both logs are known and differ; the terms that stand there. A log that has
    /// ended differs from one that goes on.
    pub fn differs(&self, other: &Log, end: u64) -> Option<(u64, Option<u64>, Option<u64>)> {
        let known = |log: &Log| log.known_from - u64::from(log.base_term.is_some());
        let begin = known(self).max(known(other));
        // Terms change only where a run begins.
        let starts = self.runs.iter().chain(&other.runs).map(|(start, _)| *start);
        let ends = [begin, self.last.saturating_add(1), other.last.saturating_add(1)];
        let mut places: Vec<u64> = starts.chain(ends).filter(|at| *at >= begin && *at <= end).collect();
        places.sort_unstable();
        places.into_iter().find_map(|at| {
            let (own, others) = (self.term_at(at), other.term_at(at));
            (own != others).then_some((at, own, others))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(terms: &[u64]) -> Vec<EntryMark> {
        terms.iter().map(|term| EntryMark { term: *term, digest: None }).collect()
    }

    fn log(base: (u64, u64), terms: &[u64]) -> Log {
        let mut log = Log::after(Mark { index: base.0, term: base.1 });
        log.replace(base.0 + 1, &entries(terms));
        log
    }

    #[test]
    fn terms_are_found_at_and_around_the_base() {
        let log = log((4, 1), &[2, 2, 5]);
        let terms: Vec<_> = (3..=8).map(|index| log.term_at(index)).collect();
        assert_eq!(terms, [None, Some(1), Some(2), Some(2), Some(5), None]);
    }

    #[test]
    fn a_tail_is_replaced_and_a_gap_makes_what_is_before_it_unknown() {
        let mut log = log((0, 0), &[1, 1, 2, 2]);
        log.replace(2, &entries(&[3]));
        assert_eq!((log.last(), log.term_at(1), log.term_at(2), log.term_at(3)), (2, Some(1), Some(3), None));
        log.replace(9, &entries(&[4, 4]));
        assert_eq!((log.last(), log.term_at(8), log.term_at(2), log.term_at(9)), (10, None, None, Some(4)));
        log.replace(9, &[]);
        assert_eq!((log.last(), log.term_at(9)), (8, None));
    }

    #[test]
    fn logs_differ_where_terms_do_or_one_has_ended() {
        let whole = log((0, 0), &[1, 1, 2, 3]);
        assert_eq!(whole.differs(&log((0, 0), &[1, 1, 2, 2]), 4), Some((4, Some(3), Some(2))));
        assert_eq!(whole.differs(&log((0, 0), &[1, 1, 2, 2]), 3), None);
        assert_eq!(whole.differs(&log((0, 0), &[1, 1]), 4), Some((3, Some(2), None)));
        assert_eq!(whole.differs(&log((2, 1), &[2, 3]), 4), None);
        assert_eq!(whole.differs(&log((2, 9), &[2, 3]), 4), Some((2, Some(1), Some(9))));
    }
}
