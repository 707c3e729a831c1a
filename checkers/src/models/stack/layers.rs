//! How many values cover each slot, as values are taken away.
//!
//! Blocks of neighbouring slots under a binary tree of their least counts. A tree's nodes keep what was added to
//! all below them, so that taking a value away costs a logarithm, and so does each slot that comes bare.

use crate::models::lives::slots::Slot;

/// Slots in a block: enough to be counted by a few vector instructions.
const BLOCK: usize = 32;

/// A slot that nobody will ask for again.
const SPENT: i32 = i32::MAX / 2;

/// A slot in which operations may have their place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ready {
    /// Nothing covers it.
    Bare(Slot),
    /// One value alone covers it; told once.
    Single(Slot),
}

pub(super) struct Layers {
    /// How many values cover each slot, and one more once it was told to be single; without what the nodes add.
    counts: Vec<i32>,
    /// The least count below each node, without what is added above it.
    least: Vec<i32>,
    /// What is added to all below each node.
    added: Vec<i32>,
    /// The exclusive or of the lives (from 1) that cover each slot, without what is at the nodes; empty if
    /// nobody asks.
    owners: Vec<u32>,
    owners_added: Vec<u32>,
    /// How many blocks there are: a power of two.
    blocks: usize,
}

impl Layers {
    /// Covers are open intervals of slots up to `end`, one for each life. Single slots are told only if
    /// `with_owners`.
    pub fn new<I: Iterator<Item = (Slot, Slot)>>(
        end: Slot,
        covers: impl Fn() -> I,
        with_owners: bool,
    ) -> Layers {
        let slots = end as usize + 1;
        let blocks = slots.div_ceil(BLOCK).next_power_of_two();
        let mut counts = vec![0; slots + 1];
        for (first, last) in covers().filter(|(first, last)| first + 1 < *last) {
            counts[first as usize + 1] += 1;
            counts[last as usize] -= 1;
        }
        // Without owners, every slot counts as told to be single already.
        let mut count = i32::from(!with_owners);
        for slot in &mut counts {
            count += *slot;
            *slot = count;
        }
        counts.truncate(slots);
        counts.resize(blocks * BLOCK, SPENT);
        let mut layers = Layers {
            counts,
            least: vec![SPENT; 2 * blocks],
            added: vec![0; 2 * blocks],
            owners: Vec::new(),
            owners_added: Vec::new(),
            blocks,
        };
        (0..blocks).for_each(|block| layers.count_block(block));
        (1..blocks).rev().for_each(|node| layers.pull(node));
        if with_owners {
            layers.own(covers());
        }
        layers
    }

    fn own(&mut self, covers: impl Iterator<Item = (Slot, Slot)>) {
        self.owners = vec![0; self.counts.len() + 1];
        self.owners_added = vec![0; 2 * self.blocks];
        for (life, (first, last)) in (1..).zip(covers).filter(|(_, (first, last))| first + 1 < *last) {
            self.owners[first as usize + 1] ^= life;
            self.owners[last as usize] ^= life;
        }
        let mut owner = 0;
        for slot in &mut self.owners {
            owner ^= *slot;
            *slot = owner;
        }
    }

    /// Of each slot, how many are bare up to and including it. Before anything was taken away.
    pub fn bare_until(&self) -> Vec<u32> {
        let none = if self.owners.is_empty() { 1 } else { 0 };
        let mut bare = 0;
        let count = |count: &i32| {
            bare += u32::from(*count == none);
            bare
        };
        self.counts.iter().map(count).collect()
    }

    /// Which value alone covers a slot; `None` if none does any more.
    pub fn owner(&self, slot: Slot) -> Option<u32> {
        let mut owner = self.owners[slot as usize];
        let mut node = self.blocks + slot as usize / BLOCK;
        while node > 0 {
            owner ^= self.owners_added[node];
            node /= 2;
        }
        owner.checked_sub(1)
    }

    /// Takes away the cover of a life.
    pub fn uncover(&mut self, life: u32, (first, last): (Slot, Slot)) {
        let (from, to) = (first as usize + 1, last as usize);
        if from >= to {
            return;
        }
        let (mut low, mut high) = (self.blocks + from / BLOCK, self.blocks + (to - 1) / BLOCK);
        let (left, right) = (low, high);
        if low == high {
            self.uncover_slots(life, from, to);
            return self.pull_from(low);
        }
        self.uncover_slots(life, from, (from / BLOCK + 1) * BLOCK);
        self.uncover_slots(life, (to - 1) / BLOCK * BLOCK, to);
        // The blocks strictly between are covered as a whole, by the nodes between the two paths to the root.
        while low / 2 != high / 2 {
            if low % 2 == 0 {
                self.uncover_node(life, low + 1);
            }
            if high % 2 == 1 {
                self.uncover_node(life, high - 1);
            }
            (low, high) = (low / 2, high / 2);
        }
        self.pull_from(left);
        self.pull_from(right);
    }

    fn uncover_node(&mut self, life: u32, node: usize) {
        self.added[node] -= 1;
        self.least[node] -= 1;
        if !self.owners.is_empty() {
            self.owners_added[node] ^= life + 1;
        }
    }

    /// Slots of one block.
    fn uncover_slots(&mut self, life: u32, from: usize, to: usize) {
        self.counts[from..to].iter_mut().for_each(|count| *count -= 1);
        if !self.owners.is_empty() {
            self.owners[from..to].iter_mut().for_each(|owner| *owner ^= life + 1);
        }
        self.count_block(from / BLOCK);
    }

    /// The slots that are single or bare now and were not told to be so before.
    pub fn take_ready(&mut self, ready: &mut Vec<Ready>) {
        if self.least[1] <= 1 {
            self.take_below(1, 0, ready);
        }
    }

    fn take_below(&mut self, node: usize, above: i32, ready: &mut Vec<Ready>) {
        if node >= self.blocks {
            return self.take_block(node - self.blocks, above + self.added[node], ready);
        }
        let above = above + self.added[node];
        for child in [2 * node, 2 * node + 1] {
            if self.least[child] + above <= 1 {
                self.take_below(child, above, ready);
            }
        }
        self.pull(node);
    }

    fn take_block(&mut self, block: usize, above: i32, ready: &mut Vec<Ready>) {
        let with_owners = !self.owners.is_empty();
        let from = block * BLOCK;
        for slot in from..from + BLOCK {
            let count = self.counts[slot] + above;
            if count > 1 {
                continue;
            }
            if with_owners && count == 1 && self.owner(slot as Slot).is_some() {
                self.counts[slot] += 1;
                ready.push(Ready::Single(slot as Slot));
            } else {
                self.counts[slot] = SPENT;
                ready.push(Ready::Bare(slot as Slot));
            }
        }
        self.count_block(block);
    }

    fn count_block(&mut self, block: usize) {
        let from = block * BLOCK;
        let least = self.counts[from..from + BLOCK].iter().copied().fold(SPENT, i32::min);
        let node = self.blocks + block;
        self.least[node] = least + self.added[node];
    }

    fn pull(&mut self, node: usize) {
        self.least[node] = self.least[2 * node].min(self.least[2 * node + 1]) + self.added[node];
    }

    fn pull_from(&mut self, leaf: usize) {
        let mut node = leaf / 2;
        while node > 0 {
            self.pull(node);
            node /= 2;
        }
    }
}
