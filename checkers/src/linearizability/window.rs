//! Sets of open operations, as bits.
//!
//! Bits stand for slots, which operations occupy from call to return; a set is as wide as the history is
//! concurrent, never as long as the history. Operations in doubt take no slot: they are counted. Where few
//! operations are open at once a set is a word or a few; where many are, it stands on the heap.

use std::hash::Hash;

/// A set of slots below its width.
pub(super) trait Window: Clone + PartialEq + Eq + Hash + Send + Sync {
    /// The empty set over this many slots.
    fn empty(width: usize) -> Self;

    /// Its words, 64 slots each.
    fn words(&self) -> &[u64];

    /// Its words.
    fn words_mut(&mut self) -> &mut [u64];

    /// Bytes on the heap that a set over this many slots occupies.
    fn heap(width: usize) -> usize;

    fn has(&self, slot: usize) -> bool {
        self.words()[slot / 64] >> (slot % 64) & 1 == 1
    }

    fn insert(&mut self, slot: usize) {
        self.words_mut()[slot / 64] |= 1 << (slot % 64);
    }

    fn remove(&mut self, slot: usize) {
        self.words_mut()[slot / 64] &= !(1 << (slot % 64));
    }

    fn and(mut self, other: &Self) -> Self {
        self.words_mut().iter_mut().zip(other.words()).for_each(|(a, b)| *a &= b);
        self
    }

    fn or(mut self, other: &Self) -> Self {
        self.words_mut().iter_mut().zip(other.words()).for_each(|(a, b)| *a |= b);
        self
    }

    fn without(mut self, other: &Self) -> Self {
        self.words_mut().iter_mut().zip(other.words()).for_each(|(a, b)| *a &= !b);
        self
    }

    fn is_empty(&self) -> bool {
        self.words().iter().all(|word| *word == 0)
    }

    fn is_subset(&self, other: &Self) -> bool {
        self.words().iter().zip(other.words()).all(|(a, b)| a & !b == 0)
    }

    fn len(&self) -> usize {
        self.words().iter().map(|word| word.count_ones() as usize).sum()
    }

    /// The slots in the set, in ascending order.
    fn slots(&self) -> impl Iterator<Item = usize> {
        self.words().iter().enumerate().flat_map(|(i, word)| {
            let rest = std::iter::successors(Some(*word), |w| Some(w & w.wrapping_sub(1)));
            rest.take_while(|w| *w != 0).map(move |w| i * 64 + w.trailing_zeros() as usize)
        })
    }
}

/// A set of slots below `64 * N`, in place.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Narrow<const N: usize>([u64; N]);

impl<const N: usize> Window for Narrow<N> {
    fn empty(_width: usize) -> Narrow<N> {
        Narrow([0; N])
    }

    fn words(&self) -> &[u64] {
        &self.0
    }

    fn words_mut(&mut self) -> &mut [u64] {
        &mut self.0
    }

    fn heap(_width: usize) -> usize {
        0
    }
}

/// A set of any width, on the heap.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Wide(Box<[u64]>);

impl Window for Wide {
    fn empty(width: usize) -> Wide {
        Wide(vec![0; width.div_ceil(64)].into())
    }

    fn words(&self) -> &[u64] {
        &self.0
    }

    fn words_mut(&mut self) -> &mut [u64] {
        &mut self.0
    }

    fn heap(width: usize) -> usize {
        width.div_ceil(64) * 8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slots_are_kept_apart<W: Window + std::fmt::Debug>() {
        let mut window = W::empty(128);
        for slot in [0, 63, 64, 127] {
            window.insert(slot);
        }
        assert_eq!(window.slots().collect::<Vec<_>>(), [0, 63, 64, 127]);
        let mut less = window.clone();
        less.remove(64);
        assert!(less.is_subset(&window) && !window.is_subset(&less) && !less.has(64));
        assert_eq!(window.clone().without(&less).slots().collect::<Vec<_>>(), [64]);
        assert_eq!((less.clone().and(&window), less.clone().or(&window)), (less, window.clone()));
        assert_eq!((window.len(), W::empty(128).len()), (4, 0));
    }

    #[test]
    fn slots_beyond_the_first_word_are_kept_apart() {
        slots_are_kept_apart::<Narrow<2>>();
        slots_are_kept_apart::<Wide>();
    }
}
