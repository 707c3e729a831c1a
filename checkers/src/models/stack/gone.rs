//! By when a value must have been popped that nobody says to have popped.
//!
//! Let `v` be such a value, certainly inside from `first` on.
//! - If `w` was certainly inside before `v` was pushed and was popped by, or seen by, an operation called after
//!   `first`, then `v` lay above it and is gone when that operation returns. So it is when somebody returns
//!   who was called after `first` and found nothing.
//! - The same if `w` is itself a value that must be gone by then, and was certainly inside after `first`.
//! - `v` was pushed in some slot, above all values that cover it, and had to be gone before any of them was: by
//!   the earliest of their returns or deadlines, and so at the latest by the latest of these over all slots in
//!   which `v` can have been pushed.
//! - If `v` must be gone by some slot, and `w` was pushed after `first` and certainly still inside after that
//!   slot, then `w` cannot have lain above `v`: `v` was gone before `w` was certainly in.
//!
//! All of this is necessary. It is applied until nothing changes, or a few times.

use crate::models::lives::bare::Bare;
use crate::models::lives::deadlines::{self, Deadline, SuffixMin};
use crate::models::lives::slots::{Slot, in_order};
use crate::models::lives::{Act, Life, Lives};

/// How often the rules are applied.
const ROUNDS_MAX: usize = 6;

/// What sets a deadline: a value below, by its place in the list of lives, or one of these.
const FOUND_NOTHING: u32 = u32::MAX;
const OTHER_DEADLINES: u32 = u32::MAX - 1;

/// By when values must be gone.
pub(super) struct Gone<'a, V> {
    rules: Rules<'a, V>,
    must: Vec<Must>,
}

impl<'a, V> Gone<'a, V> {
    /// What the first of the rules says.
    pub fn new(lives: &'a Lives<V>) -> Gone<'a, V> {
        let mut gone = Gone {
            rules: Rules::new(lives),
            must: vec![(deadlines::NONE, OTHER_DEADLINES); lives.lives.len()],
        };
        gone.rules.above_another(&mut gone.must);
        gone
    }

    /// What all of them say.
    pub fn refine(&mut self) {
        for _ in 0..ROUNDS_MAX {
            let lowered = self.rules.above_all_others(&mut self.must)
                + self.rules.below_another(&mut self.must)
                + self.rules.above_another(&mut self.must);
            if lowered == 0 {
                break;
            }
        }
    }

    /// By when each value that nobody certainly took must have been taken by a free take.
    pub fn deadlines(&self) -> Vec<Deadline> {
        let lives = self.rules.lives;
        let deadline = |life: &u32| {
            let (slot, by) = self.must[*life as usize];
            let met = lives.lives[*life as usize].leaves(lives.end) <= slot;
            Deadline { slot: if met { deadlines::NONE } else { slot }, life: *life, by }
        };
        self.rules.open.iter().map(deadline).collect()
    }
}

struct Rules<'a, V> {
    lives: &'a Lives<V>,
    /// The values that nobody certainly took.
    open: Vec<u32>,
    /// All values, in the order in which they were certainly in.
    by_first: Vec<u32>,
    /// All values, in the order in which their pushes were called.
    by_call: Vec<u32>,
}

type Must = (Slot, u32);

impl<'a, V> Rules<'a, V> {
    fn new(lives: &'a Lives<V>) -> Rules<'a, V> {
        let all = || lives.lives.iter();
        Rules {
            lives,
            open: (0..).zip(all()).filter(|(_, life)| life.take.is_none()).map(|(at, _)| at).collect(),
            by_first: in_order(lives.end, all().map(|life| life.first.0)),
            by_call: in_order(lives.end, all().map(|life| life.add.call)),
        }
    }

    fn life(&self, at: u32) -> &'a Life<V> {
        &self.lives.lives[at as usize]
    }

    /// What lay above a value that was popped or seen, or must be gone, is gone by then.
    fn above_another(&self, must: &mut [Must]) -> usize {
        let mut gone = SuffixMin::new(self.lives.end);
        self.lives.empties.iter().for_each(|act| gone.lower(act.call, (act.done, FOUND_NOTHING)));
        let mut below = self.by_first.iter().copied().peekable();
        let mut lowered = 0;
        for at in self.by_call.iter().copied().filter(|at| self.life(*at).take.is_none()) {
            let life = self.life(at);
            while let Some(other) = below.next_if(|other| self.life(*other).first.0 < life.add.call) {
                self.leave_below(other, must, &mut gone);
            }
            lowered += lower(&mut must[at as usize], gone.after(life.first.0));
        }
        lowered
    }

    /// By when a value had been popped or seen on top: whatever lay above it is gone.
    fn leave_below(&self, at: u32, must: &[Must], gone: &mut SuffixMin) {
        let life = self.life(at);
        match (life.take, must[at as usize]) {
            (Some(take), _) => gone.lower(life.last.0, (take.done, at)),
            (None, (deadlines::NONE, _)) => {}
            (None, (slot, _)) => gone.lower(life.last.0, (slot, OTHER_DEADLINES)),
        }
        for look in self.lives.looks_at(at) {
            gone.lower(look.act.call, (look.act.done, at));
        }
    }

    /// Wherever it was pushed, it is gone before the first of those that cover that slot.
    fn above_all_others(&self, must: &mut [Must]) -> usize {
        let gone = |(at, life): (usize, &Life<V>)| life.take.map_or(must[at].0, |take| take.done);
        let bounds: Vec<Slot> = self.lives.lives.iter().enumerate().map(gone).collect();
        let mut earliest = vec![deadlines::NONE; self.lives.end as usize + 1];
        let mut bare = Bare::new(self.lives.end);
        for at in in_order(self.lives.end + 1, bounds.iter().map(|slot| (*slot).min(self.lives.end + 1))) {
            let (life, bound) = (self.life(at), bounds[at as usize]);
            if bound == deadlines::NONE {
                break;
            }
            bare.cover(life.first.0, life.last.0, |slot| earliest[slot as usize] = bound);
        }
        let mut lowered = 0;
        for at in &self.open {
            let (from, to) = self.life(*at).entry();
            let latest = earliest[from as usize..=to as usize].iter().max().expect("an entry has a slot");
            lowered += lower(&mut must[*at as usize], (*latest, OTHER_DEADLINES));
        }
        lowered
    }

    /// What must be gone while a value pushed later is still inside was gone before that was in.
    fn below_another(&self, must: &mut [Must]) -> usize {
        if self.open.iter().all(|at| must[*at as usize].0 == deadlines::NONE) {
            return 0;
        }
        let mut entered = SuffixMin::new(self.lives.end);
        let mut above = self.by_call.iter().rev().copied().peekable();
        let mut lowered = 0;
        for at in self.by_first.iter().rev().copied().filter(|at| self.life(*at).take.is_none()) {
            let life = self.life(at);
            while let Some(other) = above.next_if(|other| self.life(*other).add.call > life.first.0) {
                let other = self.life(other);
                entered.lower(other.last.0, (other.first.0, OTHER_DEADLINES));
            }
            let (slot, _) = must[at as usize];
            if slot < self.lives.end {
                lowered += lower(&mut must[at as usize], entered.after(slot));
            }
        }
        lowered
    }
}

/// Lowers a deadline; returns whether it did.
fn lower(must: &mut Must, to: Must) -> usize {
    if to.0 < must.0 {
        *must = to;
        return 1;
    }
    0
}

/// The values that must have been taken, and who says so; nobody if that takes more than a few words.
pub(super) fn crowd<V>(lives: &Lives<V>, deadlines: &[Deadline]) -> Vec<u32> {
    let mut core = Vec::new();
    for deadline in deadlines {
        let life = &lives.lives[deadline.life as usize];
        let forces = |act: &&Act| act.call > life.first.0 && act.done == deadline.slot;
        core.extend([life.first.1, life.add.id]);
        match deadline.by {
            OTHER_DEADLINES => return Vec::new(),
            FOUND_NOTHING => core.extend(lives.empties.iter().find(forces).map(|act| act.id)),
            below => {
                let looks = lives.looks_at(below).iter();
                core.extend(looks.map(|look| &look.act).find(forces).map(|act| act.id));
                let below = &lives.lives[below as usize];
                core.extend([below.first.1, below.add.id, below.last.1]);
                core.extend(below.take.map(|take| take.id));
            }
        }
    }
    core
}
