//! A counter that only grows: whoever saw a value stands in the order of the values.
//!
//! An operation that met the value `a` and left `b` (a read: `b = a`) stands before each that met a larger value,
//! since the counter never shrinks; of one value, the reads stand before the add. This is a chain of
//! compare-and-sets whose order is known (Gibbons & Korach 1997, section 5), with gaps: where the next one met
//! more than the last one left, adds that do not say what they met must have filled the gap exactly.
//!
//! Needed are: no two operations left the same value behind them or met one that another one stepped over; and
//! nobody returned before an operation was called that must stand before him. What fills the gaps is the
//! affair of [`super::units`] (all these amounts are the same) and [`super::sums`] (they differ, but none is
//! certain). Certain adds of different amounts among reads are left to the bounds and to the search.

use super::facts::{Facts, Seen, Task};
use super::{Counter, bounds, sums, units};
use crate::linearizability::{NEVER, Position, Shortcut};

/// Operations at one value: some reads, or one add that tells.
#[derive(Clone, Copy, Debug)]
pub(super) struct Block {
    pub before: i64,
    pub after: i64,
    /// The last call in this and all earlier blocks.
    pub last_call: Position,
    /// The first return in this and all later blocks.
    pub first_done: Position,
}

/// What stands in the order of the values.
pub(super) struct Chain<'t, 'h> {
    pub tasks: &'t [Task<'h>],
    pub facts: Facts,
    pub blocks: Vec<Block>,
}

/// Whether the operations on one counter are linearizable; `None` if this cannot tell.
pub(super) fn judge(counter: &Counter, tasks: &[Task<'_>]) -> Option<Shortcut> {
    let mut facts = Facts::new(counter, tasks)?;
    if facts.seen.is_empty() {
        return Some(Shortcut::Linearizable);
    }
    if !facts.grows {
        return bounds::refute(tasks, &facts);
    }
    facts.seen.sort_unstable();
    let blocks = match blocks(tasks, &facts.seen) {
        Ok(blocks) => blocks,
        Err(places) => return Some(facts.refuted(tasks, &places)),
    };
    let chain = Chain { tasks, facts, blocks };
    let unseen = &chain.facts.unseen;
    let amounts = unseen.iter().map(|add| add.amount);
    let amounts = amounts.chain(chain.facts.maybe.iter().map(|add| add.after - add.before));
    let same = |amount: i64| amounts.clone().all(|other| other == amount);
    match amounts.clone().next() {
        None => Some(chain.without_gaps()),
        Some(amount) if same(amount) => units::judge(&chain, amount),
        Some(_) if unseen.iter().all(|add| add.done == NEVER) => sums::judge(&chain),
        Some(_) => bounds::refute(tasks, &chain.facts),
    }
}

/// The blocks in the order of their values; or operations that contradict each other.
fn blocks(tasks: &[Task<'_>], seen: &[Seen]) -> Result<Vec<Block>, Vec<u32>> {
    let mut blocks: Vec<Block> = Vec::with_capacity(seen.len());
    if let Some(negative) = seen.first().filter(|seen| seen.before < 0) {
        return Err(vec![negative.place]);
    }
    let mut before: Option<Seen> = None;
    // Whoever was called last in the blocks before, and in this one.
    let (mut last_before, mut last): (Option<u32>, Option<u32>) = (None, None);
    let call = |place: Option<u32>| place.map_or(0, |place| tasks[place as usize].call);
    for seen in seen {
        let Task { call: called, done, .. } = tasks[seen.place as usize];
        if let Some(before) = before.filter(|before| seen.before < before.after) {
            return Err(vec![before.place, seen.place]);
        }
        let joins = before.is_some_and(|before| (before.before, before.after) == (seen.before, seen.after));
        if !joins {
            last_before = last;
            let (last_call, first_done) = (0, NEVER);
            blocks.push(Block { before: seen.before, after: seen.after, last_call, first_done });
        }
        if let Some(place) = last_before.filter(|place| done < tasks[*place as usize].call) {
            return Err(vec![seen.place, place]);
        }
        if called >= call(last) {
            last = Some(seen.place);
        }
        let block = blocks.last_mut().expect("one was pushed for the first operation");
        block.last_call = call(last);
        block.first_done = block.first_done.min(done);
        before = Some(*seen);
    }
    let mut first_done = NEVER;
    for block in blocks.iter_mut().rev() {
        first_done = first_done.min(block.first_done);
        block.first_done = first_done;
    }
    Ok(blocks)
}

impl Chain<'_, '_> {
    /// From which value to which the adds before block `i` must lead.
    pub(super) fn gap(&self, i: usize) -> (i64, i64) {
        let from = if i == 0 { 0 } else { self.blocks[i - 1].after };
        (from, self.blocks[i].before)
    }

    /// Nothing can fill a gap.
    fn without_gaps(&self) -> Shortcut {
        let gap = (0..self.blocks.len()).find(|i| self.gap(*i).0 < self.gap(*i).1);
        gap.map_or(Shortcut::Linearizable, |i| self.too_high(i))
    }

    pub(super) fn refuted(&self, places: &[u32]) -> Shortcut {
        self.facts.refuted(self.tasks, places)
    }

    /// The operation in blocks from `i` on that returned first.
    pub(super) fn first_returned(&self, i: usize) -> Option<u32> {
        let done = self.blocks[i].first_done;
        let mut places = self.facts.seen.iter().map(|seen| seen.place);
        places.find(|place| self.tasks[*place as usize].done == done)
    }

    /// The operation in blocks up to `i` that was called last.
    pub(super) fn last_called(&self, i: usize) -> Option<u32> {
        let call = self.blocks[i].last_call;
        let mut places = self.facts.seen.iter().map(|seen| seen.place);
        places.find(|place| self.tasks[*place as usize].call == call)
    }

    /// The gap before block `i` cannot be filled. Who met more than all others can have added by then, and the
    /// adds that came too late for it, if these are not too many.
    pub(super) fn too_high(&self, i: usize) -> Shortcut {
        let last = self.facts.seen.last().map(|seen| seen.place);
        let high =
            [self.first_returned(i), last].into_iter().flatten().find_map(|place| self.unreached(place));
        high.map_or(Shortcut::Refuted(Vec::new()), |places| self.refuted(&places))
    }

    /// This operation and the adds that were called after it returned, if it met more than the others come to.
    fn unreached(&self, place: u32) -> Option<Vec<u32>> {
        let met = self.facts.seen.iter().find(|seen| seen.place == place)?.before;
        let seen = self.facts.seen.iter().chain(&self.facts.maybe).map(|s| (s.place, s.after - s.before));
        let unseen = self.facts.unseen.iter().map(|add| (add.place, add.amount));
        let done = self.tasks[place as usize].done;
        let (mut in_time, mut late) = (0_i128, vec![]);
        for (other, amount) in seen.chain(unseen).filter(|(other, amount)| *other != place && *amount > 0) {
            match self.tasks[other as usize].call < done {
                true => in_time += i128::from(amount),
                false => late.push((amount, other)),
            }
        }
        if in_time >= i128::from(met) {
            return None;
        }
        // Those that could not make up for it may be left out.
        late.sort_unstable();
        let harmless = late.iter().take_while(|(amount, _)| {
            in_time += i128::from(*amount);
            in_time < i128::from(met)
        });
        let harmless = harmless.count();
        let places: Vec<u32> =
            [place].into_iter().chain(late[harmless..].iter().map(|(_, other)| *other)).collect();
        (places.len() <= super::bounds::CONTRADICTION_MAX).then_some(places)
    }
}
