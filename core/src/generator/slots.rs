//! A set of slots.
//!
//! The first 64 slots live in one word, so that restricting a context to some of them costs a few
//! instructions; only larger trials pay for an allocation.

use crate::process::Slot;

/// A set of client slots. The nemesis is never in it: its slot takes any number of faults and is no place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SlotSet {
    low: u64,
    /// Slots from 64 upwards. Invariant: no zero word at the end, so that equal sets are equal values.
    high: Vec<u64>,
}

impl SlotSet {
    /// No slot.
    pub const EMPTY: SlotSet = SlotSet { low: 0, high: Vec::new() };

    /// The slots `0..count`.
    pub fn first(count: u32) -> SlotSet {
        let filled = |bits: u32| if bits >= 64 { u64::MAX } else { (1 << bits) - 1 };
        let high = (1..count.div_ceil(64)).map(|word| filled(count - 64 * word)).collect();
        SlotSet { low: filled(count), high }
    }

    /// One slot.
    pub fn one(slot: Slot) -> SlotSet {
        let mut set = SlotSet::EMPTY;
        set.insert(slot);
        set
    }

    /// Whether the slot is a member.
    pub fn contains(&self, slot: Slot) -> bool {
        self.word(slot.0 as usize / 64) & bit(slot) != 0
    }

    /// Makes the slot a member.
    pub fn insert(&mut self, slot: Slot) {
        let word = slot.0 as usize / 64;
        if word == 0 {
            self.low |= bit(slot);
        } else {
            if self.high.len() < word {
                self.high.resize(word, 0);
            }
            self.high[word - 1] |= bit(slot);
        }
    }

    /// Makes the slot no member.
    pub fn remove(&mut self, slot: Slot) {
        match slot.0 as usize / 64 {
            0 => self.low &= !bit(slot),
            word => {
                if let Some(bits) = self.high.get_mut(word - 1) {
                    *bits &= !bit(slot);
                }
                self.trim();
            }
        }
    }

    /// What both have.
    pub fn and(&self, other: &SlotSet) -> SlotSet {
        let high = self.high.iter().zip(&other.high).map(|(a, b)| a & b).collect();
        let mut both = SlotSet { low: self.low & other.low, high };
        both.trim();
        both
    }

    /// How many slots both have.
    pub fn common(&self, other: &SlotSet) -> u32 {
        let high: u32 = self.high.iter().zip(&other.high).map(|(a, b)| (a & b).count_ones()).sum();
        (self.low & other.low).count_ones() + high
    }

    /// The `n`th slot, from 0, of those that both have.
    pub fn nth_common(&self, other: &SlotSet, mut n: u32) -> Option<Slot> {
        for word in 0..=self.high.len() {
            let mut bits = self.word(word) & other.word(word);
            if n >= bits.count_ones() {
                n -= bits.count_ones();
                continue;
            }
            for _ in 0..n {
                bits &= bits - 1;
            }
            return Some(Slot(word as u32 * 64 + bits.trailing_zeros()));
        }
        None
    }

    /// How many slots.
    pub fn len(&self) -> u32 {
        self.low.count_ones() + self.high.iter().map(|word| word.count_ones()).sum::<u32>()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.low == 0 && self.high.is_empty()
    }

    /// Whether the other has all of these.
    pub fn is_within(&self, other: &SlotSet) -> bool {
        (0..=self.high.len()).all(|word| self.word(word) & !other.word(word) == 0)
    }

    /// The slots, upwards.
    pub fn iter(&self) -> impl Iterator<Item = Slot> + '_ {
        (0..=self.high.len()).flat_map(move |word| {
            let mut bits = self.word(word);
            std::iter::from_fn(move || {
                let slot = (bits != 0).then(|| Slot(word as u32 * 64 + bits.trailing_zeros()));
                bits &= bits.wrapping_sub(1);
                slot
            })
        })
    }

    fn word(&self, word: usize) -> u64 {
        if word == 0 { self.low } else { self.high.get(word - 1).copied().unwrap_or(0) }
    }

    fn trim(&mut self) {
        while self.high.last() == Some(&0) {
            self.high.pop();
        }
    }
}

impl FromIterator<Slot> for SlotSet {
    fn from_iter<I: IntoIterator<Item = Slot>>(slots: I) -> SlotSet {
        let mut set = SlotSet::EMPTY;
        slots.into_iter().for_each(|slot| set.insert(slot));
        set
    }
}

fn bit(slot: Slot) -> u64 {
    1 << (slot.0 % 64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_behaves_as_a_set_below_and_above_the_first_word() {
        for count in [0, 1, 20, 63, 64, 65, 128, 130] {
            let all = SlotSet::first(count);
            assert_eq!(all.len(), count);
            assert_eq!(all.is_empty(), count == 0);
            assert_eq!(all.iter().collect::<Vec<_>>(), (0..count).map(Slot).collect::<Vec<_>>());
            assert_eq!(all, all.iter().collect());
            assert!(!all.contains(Slot(count)));
            for slot in all.iter() {
                assert_eq!(all.nth_common(&all, slot.0), Some(slot));
                let mut less = all.clone();
                less.remove(slot);
                assert!(!less.contains(slot) && less.len() == count - 1);
                assert!(less.is_within(&all) && !all.is_within(&less));
                assert_eq!(less.and(&SlotSet::one(slot)), SlotSet::EMPTY);
                less.insert(slot);
                assert_eq!(less, all);
            }
            assert_eq!(all.nth_common(&all, count), None);
        }
    }

    #[test]
    fn what_two_sets_share_is_counted_and_numbered() {
        let a: SlotSet = [1, 3, 64, 70, 200].map(Slot).into_iter().collect();
        let b: SlotSet = [0, 3, 70, 71].map(Slot).into_iter().collect();
        assert_eq!(a.common(&b), 2);
        assert_eq!(
            (a.nth_common(&b, 0), a.nth_common(&b, 1), a.nth_common(&b, 2)),
            (Some(Slot(3)), Some(Slot(70)), None)
        );
        assert_eq!(a.and(&b), [3, 70].map(Slot).into_iter().collect());
    }
}
