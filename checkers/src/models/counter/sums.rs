//! A growing counter whose gaps only adds in doubt can fill, of different amounts.
//!
//! An add in doubt has no return, so it fits into every gap whose later blocks all returned after it was called:
//! what fits into one gap fits into all later ones. Each gap needs adds that come to exactly its size, and that is
//! the problem of subset sums, so this is no complete procedure: it fills the gaps from below, and what it fills
//! is a linearization; a gap that all adds called by then together could not fill is a refutation; otherwise it
//! does not know. Two choices lose nothing: an add of the very size of a gap (were it needed later, what fills
//! this gap otherwise would serve there), and one that would say that it met the value at which a gap begins
//! or the last such add ended, if the rest can still be filled.

use super::chain::Chain;
use super::facts::Seen;
use crate::linearizability::{Position, Shortcut};
use std::collections::BTreeMap;

/// Steps spent on one gap.
const STEPS_MAX: u32 = 2_000;

/// How many adds there are of each amount, where there are any.
#[derive(Default)]
struct Purse {
    of: BTreeMap<i64, u32>,
    steps: u32,
}

/// An amount, and how many adds of it.
type Coins = (i64, u32);

impl Purse {
    fn put(&mut self, amount: i64) {
        *self.of.entry(amount).or_default() += 1;
    }

    /// Takes out adds that come to `sum`. `None` if that took too many steps to decide.
    fn take(&mut self, sum: i64, taken: &mut Vec<Coins>) -> Option<bool> {
        if sum == 0 {
            return Some(true);
        }
        if self.of.contains_key(&sum) {
            self.take_some((sum, 1), taken);
            return Some(true);
        }
        self.steps = 0;
        self.take_several(sum, sum, taken)
    }

    fn take_some(&mut self, (amount, many): Coins, taken: &mut Vec<Coins>) {
        let left = self.of.get(&amount).map_or(0, |left| left - many);
        match left {
            0 => drop(self.of.remove(&amount)),
            left => drop(self.of.insert(amount, left)),
        }
        taken.push((amount, many));
    }

    /// As many as possible of the largest amount, then of smaller ones.
    fn take_several(&mut self, sum: i64, largest: i64, taken: &mut Vec<Coins>) -> Option<bool> {
        if sum == 0 {
            return Some(true);
        }
        let largest = largest.min(sum);
        let Some((&amount, &left)) = self.of.range(..=largest).next_back() else { return Some(false) };
        let most = u32::try_from(sum / amount).unwrap_or(u32::MAX).min(left);
        for many in (0..=most).rev() {
            self.steps += 1;
            if self.steps > STEPS_MAX {
                return None;
            }
            let keep = taken.len();
            if many > 0 {
                self.take_some((amount, many), taken);
            }
            if self.take_several(sum - amount * i64::from(many), amount - 1, taken)? {
                return Some(true);
            }
            self.give_back(taken, keep);
        }
        Some(false)
    }

    fn give_back(&mut self, taken: &mut Vec<Coins>, keep: usize) {
        taken.drain(keep..).for_each(|(amount, many)| *self.of.entry(amount).or_default() += many);
    }
}

/// Whether adds in doubt explain the chain; `None` if this cannot tell.
pub(super) fn judge(chain: &Chain<'_, '_>) -> Option<Shortcut> {
    let mut maybe = chain.facts.maybe.clone();
    maybe.sort_unstable();
    let mut unseen = chain.facts.unseen.iter().peekable();
    let mut purse = Purse::default();
    for i in 0..chain.blocks.len() {
        let (from, to) = chain.gap(i);
        let end = chain.blocks[i].first_done;
        while let Some(add) = unseen.next_if(|add| add.call < end) {
            purse.put(add.amount);
        }
        if from == to {
            continue;
        }
        let inside = &maybe[maybe.partition_point(|add| add.before < from)..];
        let inside = &inside[..inside.partition_point(|add| add.before < to)];
        let pinned = pinned(chain, inside, (from, to), end);
        if purse.fill(from, to, &pinned) || purse.fill(from, to, &[]) {
            continue;
        }
        return impossible(chain, i, inside).then(|| chain.too_high(i));
    }
    Some(Shortcut::Linearizable)
}

/// Adds in doubt that would say what they met, one after the other, within one gap.
fn pinned(chain: &Chain<'_, '_>, inside: &[Seen], (from, to): (i64, i64), end: Position) -> Vec<Seen> {
    let (mut at, mut pinned) = (from, Vec::new());
    for add in inside {
        if add.before >= at && add.after <= to && chain.tasks[add.place as usize].call < end {
            at = add.after;
            pinned.push(*add);
        }
    }
    pinned
}

impl Purse {
    /// Fills what these leave open between two values.
    fn fill(&mut self, from: i64, to: i64, pinned: &[Seen]) -> bool {
        let (mut at, mut taken) = (from, Vec::new());
        for add in pinned {
            if self.take(add.before - at, &mut taken) != Some(true) {
                self.give_back(&mut taken, 0);
                return false;
            }
            at = add.after;
        }
        let filled = self.take(to - at, &mut taken) == Some(true);
        if !filled {
            self.give_back(&mut taken, 0);
        }
        filled
    }
}

/// Whether nothing that was called in time comes to the size of the gap before block `i`.
fn impossible(chain: &Chain<'_, '_>, i: usize, inside: &[Seen]) -> bool {
    let (from, to) = chain.gap(i);
    let mut all = Purse::default();
    let in_time = chain.facts.unseen.iter().take_while(|add| add.call < chain.blocks[i].first_done);
    in_time.for_each(|add| all.put(add.amount));
    inside.iter().for_each(|add| all.put(add.after - add.before));
    all.take(to - from, &mut Vec::new()) == Some(false)
}
