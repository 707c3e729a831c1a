//! Stacks on which every value is pushed once: an exact answer in time n log n.
//!
//! By the first return of an operation on a value it was inside, and until the last call of one it still
//! was ([`crate::models::lives`]); between the two it *covers* every slot.
//!
//! **Where nothing covers a slot, the stack can be empty there.** Take any linearization and what is inside in
//! such a slot. Each of these values has either all its operations still unreturned there: let it be pushed
//! only now, and looked at right after, the lower ones first. Or all of them have been called: let it
//! be popped already, the higher ones first. Between the two the stack is empty, no value is inside for
//! longer than before, and whoever saw what was inside, or nothing, still sees it. So there is a linearization in
//! which the stack is empty once in every bare slot.
//!
//! **Who can be the bottom.** If the push of `v` and its pop are each open in a bare slot, and every look at `v`
//! in a slot that nothing but `v` covers, then there is a linearization if and only if there is one
//! without `v`: push it where the stack is empty, pop it where the stack is empty, and at such a look all else
//! is outside. On the other hand, whatever a linearization pushes first onto the empty stack is of this
//! kind. So take away one such value after another, in any order, until none is left, or until there are
//! values but no such one: then there is no linearization. Each value taken away may lay bare new slots. Whoever
//! found nothing needs a slot that is bare from the start. (Lee & Mathur, OOPSLA 2025, decide complete
//! histories of stacks in the same time; the argument here is for slots and for what is in doubt.)
//!
//! A value that nobody took leaves at the end, where all such values can be popped in turn. If a free take
//! took it, it leaves between the call of that one and the end. So a history is linearizable if and only if
//! free takes can be given to values so that the above holds; earlier calls are never worse. Hence
//! 1. a value must be gone by a deadline, if it has one ([`super::gone`]). If free takes cannot meet the deadlines,
//!    there is no linearization;
//! 2. if they can, and with them all values can be taken away, there is one; so it is with earlier deadlines, which
//!    [`super::relaxing`] proposes where values are stuck;
//! 3. if values are left even where all free takes are called as early as the earliest, there is none.
//!
//! Otherwise search must decide.

use super::gone::{Gone, crowd};
use super::layers::{Layers, Ready};
use super::stabbing::Stabbing;
use crate::models::lives::deadlines::assign;
use crate::models::lives::slots::Slot;
use crate::models::lives::{Act, Judgement, Lives};
use std::hash::Hash;

/// Whether what is known of the stack admits a linearization.
pub(super) fn judge<V: Copy + Eq + Hash>(lives: &Lives<V>) -> Judgement {
    if lives.is_open() {
        let mut gone = Gone::new(lives);
        let mut deadlines = gone.deadlines();
        match assign(&mut deadlines, &lives.free) {
            Ok(given) if can_be_unpiled(lives, lives.leaves_given(&given)) => return Judgement::Linearizable,
            Ok(_) => {}
            Err(missed) => return Judgement::Refuted(crowd(lives, &deadlines[..missed])),
        }
        gone.refine();
        let mut deadlines = gone.deadlines();
        if let Err(missed) = assign(&mut deadlines, &lives.free) {
            return Judgement::Refuted(crowd(lives, &deadlines[..missed]));
        }
        let guess = Unpiling::new(lives, lives.leaves_by(&deadlines));
        if guess.done_by(&mut deadlines) && assign(&mut deadlines, &lives.free).is_ok() {
            return Judgement::Linearizable;
        }
    }
    let leaves = lives.leaves(lives.free.first().copied());
    match Unpiling::new(lives, leaves.clone()).run() {
        Outcome::Done if lives.is_open() => Judgement::Open,
        Outcome::Done => Judgement::Linearizable,
        Outcome::NeverEmpty(at) => {
            let act = lives.empties[at];
            let covers = (0..).zip(leaves.iter().copied());
            let covering = lives.covering((act.call, act.done), covers);
            Judgement::Refuted([act.id].into_iter().chain(covering).collect())
        }
        Outcome::Stuck(left) => Judgement::Refuted(super::crossing::contradiction(lives, &leaves, &left)),
    }
}

fn can_be_unpiled<V: Copy + Eq + Hash>(lives: &Lives<V>, leaves: Vec<Slot>) -> bool {
    Unpiling::new(lives, leaves).run() == Outcome::Done
}

/// What comes of taking values away.
#[derive(PartialEq, Eq)]
enum Outcome {
    Done,
    /// This one of those who found nothing has no bare slot.
    NeverEmpty(usize),
    /// These lives are left.
    Stuck(Vec<u32>),
}

/// Takes away what can be the bottom, until nothing can.
pub(super) struct Unpiling<'a, V> {
    pub(super) lives: &'a Lives<V>,
    pub(super) leaves: Vec<Slot>,
    pub(super) layers: Layers,
    /// Pushes, pops and looks that still need a slot, by their first slots.
    items: Stabbing,
    /// Looks again, by their values.
    looks: Stabbing,
    /// Which looks have their slot.
    pub(super) looked: Vec<bool>,
    /// Which pushes have their slot.
    pub(super) pushed: Vec<bool>,
    /// How many operations on each value still need a slot.
    pub(super) pending: Vec<u32>,
}

/// Items are numbered: the push and the pop of each life, then the looks.
enum Item {
    PushOrPop { life: u32 },
    Look { at: u32 },
}

impl<'a, V: Copy + Eq + Hash> Unpiling<'a, V> {
    fn new(lives: &'a Lives<V>, leaves: Vec<Slot>) -> Unpiling<'a, V> {
        let covers = || lives.lives.iter().zip(&leaves).map(|(life, leaves)| (life.first.0, *leaves));
        let spans = || {
            let of = lives.lives.iter().zip(&leaves);
            let ends = of.flat_map(|(life, leaves)| [life.entry(), life.departure(*leaves, lives.end)]);
            ends.chain(lives.looks.iter().map(|look| (look.act.call, look.act.done)))
        };
        let mut pending = vec![2; lives.lives.len()];
        lives.looks.iter().for_each(|look| pending[look.life as usize] += 1);
        Unpiling {
            lives,
            layers: Layers::new(lives.end, covers, !lives.looks.is_empty()),
            items: Stabbing::by_start(lives.end, spans),
            looks: Stabbing::in_order(lives.looks.iter().map(|look| look.act.done)),
            looked: vec![false; lives.looks.len()],
            pushed: vec![false; lives.lives.len()],
            pending,
            leaves,
        }
    }

    fn run(mut self) -> Outcome {
        if let Some(at) = self.never_empty().first() {
            return Outcome::NeverEmpty(*at);
        }
        self.unpile();
        let left = self.left();
        if left.is_empty() { Outcome::Done } else { Outcome::Stuck(left) }
    }

    /// The values that were not taken away.
    pub(super) fn left(&self) -> Vec<u32> {
        (0..).zip(&self.pending).filter(|(_, pending)| **pending > 0).map(|(life, _)| life).collect()
    }

    pub(super) fn unpile(&mut self) {
        let (mut ready, mut found) = (Vec::new(), Vec::new());
        loop {
            self.layers.take_ready(&mut ready);
            if ready.is_empty() {
                break;
            }
            for slot in ready.drain(..) {
                self.find(slot, &mut found);
                found.drain(..).for_each(|item| self.settle(item));
            }
        }
    }

    /// Those who found nothing and for whom there is no bare slot.
    pub(super) fn never_empty(&self) -> Vec<usize> {
        if self.lives.empties.is_empty() {
            return Vec::new();
        }
        let bare = self.layers.bare_until();
        let never_empty = |act: &Act| {
            let before = act.call.checked_sub(1).map_or(0, |slot| bare[slot as usize]);
            bare[act.done as usize] == before
        };
        let empties = self.lives.empties.iter().enumerate();
        empties.filter(|(_, act)| never_empty(act)).map(|(at, _)| at).collect()
    }

    /// The items that have their slot in this one.
    fn find(&mut self, slot: Ready, found: &mut Vec<u32>) {
        match slot {
            Ready::Bare(slot) => self.items.take(slot, found),
            Ready::Single(slot) => {
                let Some(life) = self.layers.owner(slot) else { return };
                let from = self.lives.looks.partition_point(|look| look.life < life);
                let own = &self.lives.looks[from..];
                let called = own.partition_point(|look| (look.life, look.act.call) <= (life, slot));
                self.looks.take_among(from..from + called, slot, found);
                let first = 2 * self.pending.len() as u32;
                found.iter_mut().for_each(|look| *look += first);
            }
        }
    }

    fn settle(&mut self, item: u32) {
        let life = match self.item(item) {
            Item::PushOrPop { life } => {
                self.pushed[life as usize] |= item.is_multiple_of(2);
                life
            }
            Item::Look { at } if std::mem::replace(&mut self.looked[at as usize], true) => return,
            Item::Look { at } => self.lives.looks[at as usize].life,
        };
        let pending = &mut self.pending[life as usize];
        *pending -= 1;
        if *pending == 0 {
            let at = life as usize;
            self.layers.uncover(life, (self.lives.lives[at].first.0, self.leaves[at]));
        }
    }

    fn item(&self, number: u32) -> Item {
        let ends = 2 * self.pending.len() as u32;
        if number < ends { Item::PushOrPop { life: number / 2 } } else { Item::Look { at: number - ends } }
    }
}
