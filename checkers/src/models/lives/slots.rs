//! Positions in the log, as few as possible.
//!
//! Only which operations precede which matters for linearizability. A run of calls followed by a run of
//! returns contains one moment at which everything is open that is open at any moment of it, and whatever
//! lies between two operations and covers that moment covers all moments of the run. So it is enough to
//! look at these moments, one a run: the *slots*. (This is the canonical representation of an interval
//! order by its magnitude; Greenough 1976, Fishburn 1985.)
//!
//! An operation called in run `i` that returned in run `j` is open in the slots `i..=j`; it precedes one
//! called in run `k` if and only if `j < k`.

use crate::linearizability::{NEVER, Position};

/// A moment at which calls have been made and nothing of this run has returned yet.
pub(in crate::models) type Slot = u32;

/// The first and the last slot in which an operation is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::models) struct Span {
    pub call: Slot,
    pub done: Slot,
}

/// The spans of operations, given by call and return in the order of their calls, and the slot after all of
/// them, where operations that never returned may still happen. The first slot is `first`.
pub(in crate::models) fn spans(
    first: Slot,
    operations: impl ExactSizeIterator<Item = (Position, Position)> + Clone,
) -> (Vec<Span>, Slot) {
    let mut returns: Vec<(Position, u32)> = operations
        .clone()
        .zip(0..)
        .filter(|((_, done), _)| *done != NEVER)
        .map(|((_, done), at)| (done, at))
        .collect();
    returns.sort_unstable();
    let mut spans = Vec::with_capacity(operations.len());
    let (mut slot, mut returned, mut next) = (first, false, 0);
    for (call, _) in operations {
        while let Some((_, at)) = returns.get(next).filter(|(done, _)| *done < call) {
            let span: &mut Span = &mut spans[*at as usize];
            span.done = slot;
            (returned, next) = (true, next + 1);
        }
        slot += Slot::from(std::mem::take(&mut returned));
        spans.push(Span { call: slot, done: Slot::MAX });
    }
    let end = slot + 1;
    returns[next..].iter().for_each(|(_, at)| spans[*at as usize].done = slot);
    spans.iter_mut().filter(|span| span.done == Slot::MAX).for_each(|span| span.done = end);
    (spans, end)
}

/// The places of slots in a list, in the order of the slots (a counting sort).
pub(in crate::models) fn in_order(end: Slot, slots: impl Iterator<Item = Slot> + Clone) -> Vec<u32> {
    let mut starts = vec![0u32; end as usize + 2];
    slots.clone().for_each(|slot| starts[slot as usize + 1] += 1);
    for slot in 1..starts.len() {
        starts[slot] += starts[slot - 1];
    }
    let mut order = vec![0; starts[starts.len() - 1] as usize];
    for (place, slot) in (0..).zip(slots) {
        let start = &mut starts[slot as usize];
        order[*start as usize] = place;
        *start += 1;
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_of_calls_and_returns_share_a_slot() {
        let operations = [(1, 3), (2, 7), (4, NEVER), (5, 6), (8, 9)];
        let (spans, end) = spans(2, operations.into_iter());
        let spans: Vec<_> = spans.iter().map(|span| (span.call, span.done)).collect();
        assert_eq!(spans, [(2, 2), (2, 3), (3, 5), (3, 3), (4, 4)]);
        assert_eq!(end, 5);
    }

    #[test]
    fn slots_keep_which_operations_precede_which() {
        let mut rng = elenchus_core::random::Seed(7).rng();
        for _ in 0..2_000 {
            let count = rng.between(1, 7);
            let mut positions: Vec<Position> = (1..=2 * count).collect();
            let mut operations: Vec<(Position, Position)> = (0..count)
                .map(|_| {
                    let mut draw = || positions.swap_remove(rng.below(positions.len() as u64) as usize);
                    let (a, b) = (draw(), draw());
                    (a.min(b), if a % 5 == 0 { NEVER } else { a.max(b) })
                })
                .collect();
            operations.sort_unstable();
            let (spans, _) = spans(0, operations.iter().copied());
            for (a, span) in operations.iter().zip(&spans) {
                for (b, other) in operations.iter().zip(&spans) {
                    assert_eq!(a.1 < b.0, span.done < other.call, "{operations:?} {spans:?}");
                }
            }
        }
    }
}
