//! A hash index from what is stored elsewhere to its number.
//!
//! The things indexed (states, counts, configurations) stand in vectors of their owners, so that numbers
//! are dense, iteration is in the order of arrival, and nothing is stored twice. The index can be emptied
//! in constant time, since the search does so at every return. The hash is fixed: two runs do the same.

use std::hash::{Hash, Hasher};

/// Where a new thing of some hash goes, or which number the thing already has.
pub(super) enum Place {
    /// The thing is known by this number.
    Known(u32),
    /// It is not; [`Index::fill`] puts it here.
    Vacant(usize),
}

#[derive(Clone, Copy, Default)]
struct Slot {
    epoch: u32,
    hash: u32,
    id: u32,
}

/// Open addressing with linear probing, at most half full.
pub(super) struct Index {
    slots: Vec<Slot>,
    epoch: u32,
    len: usize,
}

impl Index {
    pub(super) fn new() -> Index {
        Index { slots: vec![Slot::default(); 16], epoch: 1, len: 0 }
    }

    /// Looks for a thing of this hash that `same` recognises by its number.
    pub(super) fn find(&mut self, hash: u64, same: impl Fn(u32) -> bool) -> Place {
        if self.len * 2 >= self.slots.len() {
            self.grow();
        }
        let short = (hash >> 32) as u32;
        let mask = self.slots.len() - 1;
        let mut at = short as usize & mask;
        loop {
            let slot = self.slots[at];
            if slot.epoch != self.epoch {
                return Place::Vacant(at);
            }
            if slot.hash == short && same(slot.id) {
                return Place::Known(slot.id);
            }
            at = (at + 1) & mask;
        }
    }

    /// Puts a number at a vacant place that [`Index::find`] just returned for this hash.
    pub(super) fn fill(&mut self, at: usize, hash: u64, id: u32) {
        self.slots[at] = Slot { epoch: self.epoch, hash: (hash >> 32) as u32, id };
        self.len += 1;
    }

    pub(super) fn clear(&mut self) {
        self.len = 0;
        match self.epoch.checked_add(1) {
            Some(next) => self.epoch = next,
            None => *self = Index::new(),
        }
    }

    /// What it holds, and would hold while it grows, if it soon will.
    pub(super) fn bytes(&self) -> usize {
        let growth = if self.len * 16 >= self.slots.len() * 7 { 3 } else { 1 };
        self.slots.len() * size_of::<Slot>() * growth
    }

    fn grow(&mut self) {
        let larger = vec![Slot::default(); self.slots.len() * 2];
        let mask = larger.len() - 1;
        for slot in std::mem::replace(&mut self.slots, larger) {
            if slot.epoch != self.epoch {
                continue;
            }
            let mut at = slot.hash as usize & mask;
            while self.slots[at].epoch == self.epoch {
                at = (at + 1) & mask;
            }
            self.slots[at] = slot;
        }
    }
}

/// The hash of anything, the same in every run. Its upper half is the better one.
pub(super) fn hash_of(thing: &impl Hash) -> u64 {
    let mut hasher = Scatter::default();
    thing.hash(&mut hasher);
    hasher.finish()
}

/// A multiplicative hash in the manner of Fx: weak against an enemy, quick for small keys.
#[derive(Clone, Copy, Default)]
pub(super) struct Scatter(u64);

impl Hasher for Scatter {
    fn finish(&self) -> u64 {
        let folded = self.0 ^ (self.0 >> 32);
        folded.wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u8(&mut self, n: u8) {
        self.write_u64(u64::from(n));
    }

    fn write_u32(&mut self, n: u32) {
        self.write_u64(u64::from(n));
    }

    fn write_u64(&mut self, n: u64) {
        self.0 = (self.0.rotate_left(5) ^ n).wrapping_mul(0x517c_c1b7_2722_0a95);
    }

    fn write_i64(&mut self, n: i64) {
        self.write_u64(n as u64);
    }

    fn write_usize(&mut self, n: usize) {
        self.write_u64(n as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(index: &mut Index, things: &mut Vec<u64>, thing: u64) -> u32 {
        let hash = hash_of(&thing);
        match index.find(hash, |id| things[id as usize] == thing) {
            Place::Known(id) => id,
            Place::Vacant(at) => {
                let id = things.len() as u32;
                things.push(thing);
                index.fill(at, hash, id);
                id
            }
        }
    }

    #[test]
    fn things_keep_their_numbers_while_the_index_grows() {
        let (mut index, mut things) = (Index::new(), Vec::new());
        for round in 0..2 {
            for thing in 0..10_000u64 {
                assert_eq!(u64::from(number(&mut index, &mut things, thing * 3)), thing, "round {round}");
            }
        }
        index.clear();
        things.clear();
        assert_eq!(number(&mut index, &mut things, 9), 0);
    }
}
