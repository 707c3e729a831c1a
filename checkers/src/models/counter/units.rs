//! A growing counter where all adds that do not say what they met add the same amount: an exact answer.
//!
//! The blocks of the chain leave *slots* between them, and each slot has room for a known number of adds: as many
//! as its gap asks for, no more and no fewer; after the last block there is room for any number. An add `p` fits
//! into the slots after every block that returned before `p` was called, and before every block that was
//! called after `p` returned: an interval. A linearization exists if and only if adds can be chosen for the
//! slots so that all places are filled and every certain add has one: if `q` returned before `p` was called but
//! stands later, the two can change places, for `q` fits wherever `p` fits further on, and the other way round.
//!
//! By the theorem of Mendelsohn and Dulmage (1958), one assignment fills all places and has all certain adds
//! if one fills all places and another has all certain adds. Each of the two is a schedule of jobs of unit length
//! with release times and deadlines, found by taking the earliest deadline first (Jackson 1955).
//!
//! An add in doubt that would say what it met can fill one place only, and whatever stands later must not have
//! returned before it was called. Among adds in doubt alone that makes no difference beyond that place; among
//! certain ones it may, and then the answer is left open unless it is the same with and without it.

use super::chain::Chain;
use super::facts::Unseen;
use crate::linearizability::{NEVER, Position, Shortcut};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Where an add fits: from the first place to before the last one.
#[derive(Clone, Copy)]
struct Job {
    from: u32,
    /// [`OPEN`] if it fits after the last block.
    until: u32,
}

const OPEN: u32 = u32::MAX;

struct Slots<'c, 't, 'h> {
    chain: &'c Chain<'t, 'h>,
    amount: i64,
    /// How many places there are before each slot, and in all.
    offsets: Vec<u32>,
    /// Of each add, in the order of their calls.
    jobs: Vec<Job>,
}

/// Whether adds of this amount explain the chain.
pub(super) fn judge(chain: &Chain<'_, '_>, amount: i64) -> Option<Shortcut> {
    let slots = match Slots::new(chain, amount) {
        Ok(slots) => slots,
        Err(slot) => return Some(chain.too_high(slot)),
    };
    if let Some(late) = slots.without_room() {
        return Some(slots.too_low(late));
    }
    let Err(empty) = slots.fill(&[]) else { return Some(Shortcut::Linearizable) };
    let (pinned, harmless) = slots.pinned();
    match (slots.fill(&pinned), harmless) {
        (Ok(()), true) => Some(Shortcut::Linearizable),
        (Ok(()), false) => None,
        (Err(_), _) => Some(chain.too_high(slots.slot_of(empty))),
    }
}

impl<'c, 't, 'h> Slots<'c, 't, 'h> {
    /// An error is a slot that cannot be filled, whatever was added.
    fn new(chain: &'c Chain<'t, 'h>, amount: i64) -> Result<Slots<'c, 't, 'h>, usize> {
        let adds = chain.facts.unseen.len() + chain.facts.maybe.len();
        let mut offsets = Vec::with_capacity(chain.blocks.len() + 1);
        offsets.push(0);
        let mut places = 0;
        for i in 0..chain.blocks.len() {
            let (from, to) = chain.gap(i);
            // Both are at least 0, and in order.
            let gap = to - from;
            if gap % amount != 0 || gap / amount > adds as i64 - places {
                return Err(i);
            }
            places += gap / amount;
            offsets.push(places as u32);
        }
        let mut slots = Slots { chain, amount, offsets, jobs: Vec::new() };
        slots.jobs = slots.jobs();
        Ok(slots)
    }

    fn jobs(&self) -> Vec<Job> {
        let blocks = &self.chain.blocks;
        let mut first = 0;
        let job = |add: &Unseen| {
            while blocks.get(first).is_some_and(|block| block.first_done < add.call) {
                first += 1;
            }
            let until = match add.done {
                NEVER => OPEN,
                done => {
                    let slot = blocks.partition_point(|block| block.last_call < done);
                    self.offsets.get(slot + 1).copied().unwrap_or(OPEN)
                }
            };
            Job { from: self.offsets[first], until }
        };
        self.chain.facts.unseen.iter().map(job).collect()
    }

    /// The number of places.
    fn places(&self) -> u32 {
        self.offsets[self.offsets.len() - 1]
    }

    fn slot_of(&self, place: u32) -> usize {
        self.offsets.partition_point(|offset| *offset <= place) - 1
    }

    /// A certain add that finds no room before its deadline, however the places are shared.
    fn without_room(&self) -> Option<u32> {
        let mut waiting = BinaryHeap::new();
        let mut jobs = self.jobs.iter().filter(|job| job.until != OPEN).peekable();
        let mut place = 0;
        while !waiting.is_empty() || jobs.peek().is_some() {
            if let (true, Some(job)) = (waiting.is_empty(), jobs.peek()) {
                place = place.max(job.from);
            }
            while let Some(job) = jobs.next_if(|job| job.from <= place) {
                waiting.push(Reverse(job.until));
            }
            let Some(Reverse(until)) = waiting.pop() else { continue };
            if until <= place {
                return Some(until);
            }
            place += 1;
        }
        None
    }

    /// Fills every place, or says which one stays empty. Some are filled already.
    fn fill(&self, filled: &[u32]) -> Result<(), u32> {
        let (mut waiting, mut open) = (BinaryHeap::new(), 0_u32);
        let (mut jobs, mut filled) = (self.jobs.iter().peekable(), filled.iter().peekable());
        for place in 0..self.places() {
            while let Some(job) = jobs.next_if(|job| job.from <= place) {
                match job.until {
                    OPEN => open += 1,
                    until => waiting.push(Reverse(until)),
                }
            }
            if filled.next_if(|filled| **filled == place).is_some() {
                continue;
            }
            while waiting.peek().is_some_and(|Reverse(until)| *until <= place) {
                waiting.pop();
            }
            if waiting.pop().is_none() {
                open = open.checked_sub(1).ok_or(place)?;
            }
        }
        Ok(())
    }

    /// The places that adds in doubt fill which would say what they met, in order; and whether none of them
    /// can be in the way of a certain add.
    fn pinned(&self) -> (Vec<u32>, bool) {
        let certain = self.chain.facts.unseen.iter().map(|add| add.done).min().unwrap_or(NEVER);
        let (mut places, mut harmless) = (Vec::new(), true);
        for add in &self.chain.facts.maybe {
            let slot = self.chain.blocks.partition_point(|block| block.before < add.after);
            if slot == self.chain.blocks.len() {
                continue;
            }
            let call: Position = self.chain.tasks[add.place as usize].call;
            let from = self.chain.gap(slot).0;
            let fits = add.before >= from && (add.before - from) % self.amount == 0;
            if fits && self.chain.blocks[slot].first_done > call {
                places.push(self.offsets[slot] + ((add.before - from) / self.amount) as u32);
                harmless &= certain > call;
            }
        }
        places.sort_unstable();
        places.dedup();
        (places, harmless)
    }

    /// More certain adds than there is room for, up to the place `until`: those of the smallest window that
    /// proves it, the two operations around it, and what else was added in it.
    fn too_low(&self, until: u32) -> Shortcut {
        let inside = |(_, job): &(usize, &Job)| job.until <= until;
        let mut adds = Vec::new();
        for (i, job) in self.jobs.iter().enumerate().rev().filter(inside) {
            adds.push(&self.chain.facts.unseen[i]);
            if adds.len() as u32 > until - job.from.min(until) {
                break;
            }
        }
        let blocks = &self.chain.blocks;
        let first = adds.iter().map(|add| blocks.partition_point(|block| block.first_done < add.call)).min();
        let last = adds.iter().map(|add| blocks.partition_point(|block| block.last_call < add.done)).max();
        let (Some(first), Some(last)) = (first, last) else { return Shortcut::Refuted(Vec::new()) };
        let mut places: Vec<u32> = self.chain.last_called(last).into_iter().collect();
        places.extend(first.checked_sub(1).and_then(|before| self.chain.first_returned(before)));
        places.extend(adds.iter().map(|add| add.place));
        let (low, high) = (if first == 0 { 0 } else { blocks[first - 1].after }, blocks[last].before);
        let known = self.chain.facts.seen.iter().filter(|s| s.after > s.before);
        places.extend(known.filter(|s| s.before >= low && s.after <= high).map(|s| s.place));
        places.dedup();
        self.chain.refuted(&places)
    }
}
