//! Slots as they are covered, one interval after another (disjoint sets; Tarjan 1975).

use super::slots::Slot;

/// The slots that nothing covers yet.
pub(in crate::models) struct Bare {
    /// Itself, or a later slot such that all between are covered.
    next: Vec<Slot>,
}

impl Bare {
    /// All slots up to `end`.
    pub fn new(end: Slot) -> Bare {
        Bare { next: (0..=end + 1).collect() }
    }

    /// The first bare slot from this one on.
    pub fn from(&mut self, slot: Slot) -> Slot {
        let mut at = slot;
        while self.next[at as usize] != at {
            let after = self.next[self.next[at as usize] as usize];
            self.next[at as usize] = after;
            at = after;
        }
        at
    }

    /// Covers what lies between two slots, and tells of each slot that was bare.
    pub fn cover(&mut self, first: Slot, last: Slot, mut tell: impl FnMut(Slot)) {
        let mut at = self.from(first + 1);
        while at < last {
            tell(at);
            self.next[at as usize] = at + 1;
            at = self.from(at + 1);
        }
    }
}
