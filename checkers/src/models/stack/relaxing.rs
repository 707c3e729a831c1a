//! Where values are stuck that free takes may have taken: which of them to have taken sooner.
//!
//! Of the stuck values whose push has its slot, one was the bottom. If it was popped or seen in a slot that,
//! besides itself, only values cover that a free take may have taken by then, let these be gone by then. The
//! earliest such pop or look is helped first, in its last slot. This is a guess: where it leads to a
//! linearization there is one, where it does not nothing is known.

use super::bottoms::Unpiling;
use crate::models::lives::Look;
use crate::models::lives::deadlines::Deadline;
use crate::models::lives::slots::Slot;
use std::hash::Hash;

/// How many steps may be spent on guesses.
const STEPS_MAX: usize = 50_000_000;

/// The last and the first slot of an operation that waits for one, and its value if it has one.
type Blocked = (Slot, Slot, Option<u32>);

impl<V: Copy + Eq + Hash> Unpiling<'_, V> {
    /// Whether all values can be taken away once the deadlines are set early enough, which is done.
    pub fn done_by(mut self, deadlines: &mut [Deadline]) -> bool {
        let mut steps = 0;
        let all: Vec<u32> = (0..self.pending.len() as u32).collect();
        let found_nothing = self.never_empty().into_iter().map(|at| {
            let act = self.lives.empties[at];
            (act.done, act.call, None)
        });
        let found_nothing: Vec<Blocked> = found_nothing.collect();
        if self.relax(&all, &found_nothing, &mut steps) < found_nothing.len() {
            return false;
        }
        loop {
            self.unpile();
            let left = self.left();
            if left.is_empty() {
                break;
            }
            let blocked = self.blocked(&left);
            if self.relax(&left, &blocked, &mut steps) == 0 || steps > STEPS_MAX {
                return false;
            }
        }
        for deadline in deadlines {
            let (life, leaves) =
                (&self.lives.lives[deadline.life as usize], self.leaves[deadline.life as usize]);
            if leaves < life.leaves(deadline.slot.min(self.lives.end)) {
                deadline.slot = leaves;
            }
        }
        true
    }

    /// How many of these have a slot now if all values but those left are outside.
    fn relax(&mut self, left: &[u32], blocked: &[Blocked], steps: &mut usize) -> usize {
        let fixed = self.fixed(left);
        let open: Vec<u32> = left.iter().copied().filter(|at| self.is_open(*at)).collect();
        let mut helped = 0;
        for (done, call, of) in blocked {
            let own = |slot: Slot| of.is_some_and(|of| self.lives.lives[of as usize].certainly_covers(slot));
            *steps += (done - call) as usize + open.len();
            let bare = |slot: &Slot| fixed[*slot as usize] == u32::from(own(*slot));
            let Some(slot) = (*call..=*done).rev().find(bare) else { continue };
            let others = open.iter().copied().filter(|at| Some(*at) != *of);
            others.for_each(|at| self.leave_by(at, slot));
            helped += 1;
            if *steps > STEPS_MAX {
                break;
            }
        }
        *steps += left.len() + self.pending.len();
        helped
    }

    /// Lets a value that a free take may have taken be gone in a slot.
    fn leave_by(&mut self, at: u32, slot: Slot) {
        let (first, leaves) = (self.lives.lives[at as usize].first.0, self.leaves[at as usize]);
        if first < slot && slot < leaves {
            self.layers.uncover(at, (slot - 1, leaves));
            self.leaves[at as usize] = slot;
        }
    }

    /// Whether a free take may have taken it.
    fn is_open(&self, at: u32) -> bool {
        self.lives.lives[at as usize].take.is_none()
    }

    /// Pops and looks that wait for a slot, of values whose push does not: the earliest to return first.
    fn blocked(&self, left: &[u32]) -> Vec<Blocked> {
        let mut blocked = Vec::new();
        for at in left.iter().copied().filter(|at| self.pushed[*at as usize]) {
            let life = &self.lives.lives[at as usize];
            if let Some(take) = life.take {
                blocked.push((take.done, life.last.0, Some(at)));
            }
            let from = self.lives.looks.partition_point(|look| look.life < at);
            let waits = |(place, _): &(usize, &Look)| !self.looked[*place];
            let looks = (from..).zip(self.lives.looks_at(at)).filter(waits);
            blocked.extend(looks.map(|(_, look)| (look.act.done, look.act.call, Some(at))));
        }
        blocked.sort_unstable();
        blocked
    }

    /// How many values certainly cover each slot.
    fn fixed(&self, left: &[u32]) -> Vec<u32> {
        let mut changes = vec![0i32; self.lives.end as usize + 2];
        let lives = left.iter().map(|at| &self.lives.lives[*at as usize]);
        for life in lives.filter(|life| life.first.0 + 1 < life.last.0) {
            changes[life.first.0 as usize + 1] += 1;
            changes[life.last.0 as usize] -= 1;
        }
        let mut count = 0;
        let sum = |change: i32| {
            count += change;
            count as u32
        };
        changes.into_iter().map(sum).collect()
    }
}
