//! Intervals of slots, each found once in some slot that it holds.
//!
//! In the order of their starts, in blocks under a binary tree of their last ends: those that hold a slot
//! are, among those that start early enough, the ones that end late enough (a priority search tree;
//! McCreight 1985).

use crate::models::lives::slots::Slot;
use std::ops::Range;

const BLOCK: usize = 16;

pub(super) struct Stabbing {
    /// Of each interval, one more than its last slot; 0 once it was found. In order, filled up to whole blocks.
    ends: Vec<Slot>,
    /// Its number; empty if that is its place.
    numbers: Vec<u32>,
    /// How many intervals start at or before each slot; empty if they are in another order.
    started: Vec<u32>,
    /// The greatest of the ends below each node.
    last: Vec<Slot>,
    blocks: usize,
}

impl Stabbing {
    /// Intervals, numbered as they come.
    pub fn by_start<I: Iterator<Item = (Slot, Slot)>>(end: Slot, spans: impl Fn() -> I) -> Stabbing {
        let mut started = vec![0; end as usize + 2];
        spans().for_each(|(first, _)| started[first as usize + 1] += 1);
        for slot in 1..started.len() {
            started[slot] += started[slot - 1];
        }
        let count = started[started.len() - 1] as usize;
        let (mut ends, mut numbers) = (vec![0; count], vec![0; count]);
        for (number, (first, last)) in (0..).zip(spans()) {
            let place = &mut started[first as usize];
            ends[*place as usize] = last + 1;
            numbers[*place as usize] = number;
            *place += 1;
        }
        Stabbing { numbers, started, ..Stabbing::with_ends(ends) }
    }

    /// Intervals in an order of the caller's, by their last slots.
    pub fn in_order(lasts: impl Iterator<Item = Slot>) -> Stabbing {
        Stabbing::with_ends(lasts.map(|last| last + 1).collect())
    }

    fn with_ends(mut ends: Vec<Slot>) -> Stabbing {
        let blocks = ends.len().div_ceil(BLOCK).next_power_of_two();
        ends.resize(blocks * BLOCK, 0);
        let mut last = vec![0; 2 * blocks];
        for (block, ends) in ends.chunks(BLOCK).enumerate() {
            last[blocks + block] = ends.iter().copied().fold(0, Slot::max);
        }
        for node in (1..blocks).rev() {
            last[node] = last[2 * node].max(last[2 * node + 1]);
        }
        Stabbing { ends, numbers: Vec::new(), started: Vec::new(), last, blocks }
    }

    /// Takes all that hold a slot.
    pub fn take(&mut self, slot: Slot, found: &mut Vec<u32>) {
        let count = self.started[slot as usize] as usize;
        self.take_among(0..count, slot, found);
    }

    /// Takes all with these places that end in or after a slot.
    pub fn take_among(&mut self, places: Range<usize>, slot: Slot, found: &mut Vec<u32>) {
        if !places.is_empty() && self.last[1] > slot {
            self.search(1, (0, self.blocks), &places, slot, found);
        }
    }

    fn search(
        &mut self,
        node: usize,
        (from, to): (usize, usize),
        places: &Range<usize>,
        slot: Slot,
        found: &mut Vec<u32>,
    ) {
        if node >= self.blocks {
            return self.search_block(node, places, slot, found);
        }
        let (middle, before) = (from.midpoint(to), found.len());
        if self.last[2 * node] > slot && places.start < middle * BLOCK {
            self.search(2 * node, (from, middle), places, slot, found);
        }
        if self.last[2 * node + 1] > slot && places.end > middle * BLOCK {
            self.search(2 * node + 1, (middle, to), places, slot, found);
        }
        if found.len() > before {
            self.last[node] = self.last[2 * node].max(self.last[2 * node + 1]);
        }
    }

    fn search_block(&mut self, node: usize, places: &Range<usize>, slot: Slot, found: &mut Vec<u32>) {
        let from = (node - self.blocks) * BLOCK;
        let block = from..from + BLOCK;
        let before = found.len();
        for place in block.start.max(places.start)..block.end.min(places.end) {
            if self.ends[place] > slot {
                self.ends[place] = 0;
                found.push(self.numbers.get(place).map_or(place as u32, |number| *number));
            }
        }
        if found.len() > before {
            self.last[node] = self.ends[block].iter().copied().fold(0, Slot::max);
        }
    }
}
