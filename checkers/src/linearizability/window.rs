//! The set of open operations that a configuration has linearized, as bits.
//!
//! Bits stand for slots, which operations occupy from call to return; the set is as wide as the history is
//! concurrent, never as long as the history. Operations in doubt take no slot: they are counted.

use std::hash::{Hash, Hasher};

/// A set of slots below `64 * N`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window<const N: usize>([u64; N]);

impl<const N: usize> Window<N> {
    pub(super) const EMPTY: Window<N> = Window([0; N]);

    pub(super) fn has(&self, slot: usize) -> bool {
        self.0[slot / 64] >> (slot % 64) & 1 == 1
    }

    pub(super) fn insert(&mut self, slot: usize) {
        self.0[slot / 64] |= 1 << (slot % 64);
    }

    pub(super) fn remove(&mut self, slot: usize) {
        self.0[slot / 64] &= !(1 << (slot % 64));
    }

    pub(super) fn and(mut self, other: &Window<N>) -> Window<N> {
        self.0.iter_mut().zip(other.0).for_each(|(a, b)| *a &= b);
        self
    }

    pub(super) fn or(mut self, other: &Window<N>) -> Window<N> {
        self.0.iter_mut().zip(other.0).for_each(|(a, b)| *a |= b);
        self
    }

    pub(super) fn without(mut self, other: &Window<N>) -> Window<N> {
        self.0.iter_mut().zip(other.0).for_each(|(a, b)| *a &= !b);
        self
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }

    pub(super) fn is_subset(&self, other: &Window<N>) -> bool {
        self.without(other).is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// The slots in the set, in ascending order.
    pub(super) fn slots(self) -> impl Iterator<Item = usize> {
        self.0.into_iter().enumerate().flat_map(|(i, word)| {
            let rest = std::iter::successors(Some(word), |w| Some(w & w.wrapping_sub(1)));
            rest.take_while(|w| *w != 0).map(move |w| i * 64 + w.trailing_zeros() as usize)
        })
    }
}

impl<const N: usize> Hash for Window<N> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.iter().for_each(|word| state.write_u64(*word));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_beyond_the_first_word_are_kept_apart() {
        let mut window = Window::<2>::EMPTY;
        for slot in [0, 63, 64, 127] {
            window.insert(slot);
        }
        assert_eq!(window.slots().collect::<Vec<_>>(), [0, 63, 64, 127]);
        let mut less = window;
        less.remove(64);
        assert!(less.is_subset(&window) && !window.is_subset(&less) && !less.has(64));
        assert_eq!(window.without(&less).slots().collect::<Vec<_>>(), [64]);
        assert_eq!((less.and(&window), less.or(&window)), (less, window));
        assert_eq!((window.len(), Window::<2>::EMPTY.len()), (4, 0));
    }
}
