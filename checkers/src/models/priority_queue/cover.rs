//! Priority queues in which every value is inserted once: an exact answer in time n log n.
//!
//! By the first return of an operation on a value it was inside, and until the last call of one it still
//! was ([`crate::models::lives`]); between the two it *covers* every slot. Whoever polled or saw a value did
//! so at a moment when no better one was inside, and who found nothing at a moment when nothing was. So each
//! of them needs a slot that no better value covers. That is enough as well:
//!
//! Take the values from the best to the worst and let `v` be next. All operations on better values have been
//! placed so that these are inside, beyond what they cover and apart from the two slots in which they come
//! and go, only where still better ones cover. Let `first` and `last` be the slots that bound what `v`
//! covers. Insert `v` in the last bare slot up to `first` (in `first` itself if nobody sees it before) and
//! poll it in the first bare one from `last` on. Every look at `v` is open in one of these two slots or has
//! a bare slot between them; and where `v` is inside without having to be, better values cover. If `first >=
//! last`, either one bare slot lies between them, where all of it happens at once, or none does, and better
//! values cover all between the two slots chosen. Within a slot, the values polled there leave from the best
//! to the worst; then come the looks at what remains, and whatever only passes through; then the values that
//! stay come in from the worst to the best. (Lee & Mathur, OOPSLA 2025, decide complete histories of this
//! object in the same time; the argument here is for slots and for what is in doubt.)
//!
//! A free take only ever shortens what one value covers that nobody else took: to where it was called, or
//! to the last call of an operation that found the value inside, whichever is later. From there on it needs
//! no slot of its own: if better values cover all, nobody is in the way of `v`. Hence
//! 1. if even free takes that are called as early as the earliest leave someone without a slot, there is no
//!    linearization;
//! 2. a value must be gone by the return of whoever polled or saw a worse value, or found nothing, and was
//!    called after the value was certainly in: a deadline. If free takes cannot meet the deadlines, there is
//!    no linearization;
//! 3. if what each value covers ends where the free take is called that it is given, and all have their
//!    slots, there is one.
//!
//! Between 2 and 3 the deadlines are tightened a few times; if that does not decide, search must. That
//! can only happen where an operation overlaps the entry of a value that a free take took.

use crate::models::lives::bare::Bare;
use crate::models::lives::deadlines::{self, Deadline, SuffixMin, assign};
use crate::models::lives::slots::Slot;
use crate::models::lives::{Act, Judgement, Lives, NOBODY};

/// How often deadlines are tightened, and for how many operations at once.
const ROUNDS_MAX: usize = 8;
const MISSES_MAX: usize = 1_000;

/// Whether what is known of the queue admits a linearization; `best_first` brings a value to a number that is
/// lower for what is polled earlier.
pub(super) fn judge(lives: &Lives<i64>, best_first: impl Fn(i64) -> i64) -> Judgement {
    let queue = Queue::new(lives, best_first);
    let earliest = lives.leaves(lives.free.first().copied());
    if let Some(miss) = queue.misses(&earliest).first() {
        return Judgement::Refuted(queue.contradiction(miss, &earliest));
    }
    if !lives.is_open() {
        return Judgement::Linearizable;
    }
    let mut deadlines = queue.deadlines();
    for round in 0..=ROUNDS_MAX {
        let given = match assign(&mut deadlines, &lives.free) {
            Ok(given) => given,
            Err(missed) if round == 0 => return Judgement::Refuted(queue.crowd(&deadlines[..missed])),
            Err(_) => break,
        };
        let leaves = lives.leaves_given(&given);
        let misses = queue.misses(&leaves);
        if misses.is_empty() {
            return Judgement::Linearizable;
        }
        queue.tighten(&mut deadlines, &misses[..misses.len().min(MISSES_MAX)]);
    }
    Judgement::Open
}

/// An operation that needs a moment when nothing better is inside.
#[derive(Clone, Copy, Debug)]
struct Need {
    /// The place of its value in the order of priority; the number of values if it found nothing.
    rank: u32,
    call: Slot,
    done: Slot,
    id: u32,
}

struct Queue<'a> {
    lives: &'a Lives<i64>,
    /// The lives from the best to the worst.
    order: Vec<u32>,
    /// By rank.
    needs: Vec<Need>,
}

impl<'a> Queue<'a> {
    fn new(lives: &'a Lives<i64>, best_first: impl Fn(i64) -> i64) -> Queue<'a> {
        let numbers = lives.lives.iter().map(|life| best_first(life.value));
        let mut sorted: Vec<(i64, u32)> = numbers.zip(0..).collect();
        sorted.sort_unstable();
        let order: Vec<u32> = sorted.into_iter().map(|(_, life)| life).collect();
        let mut needs = Vec::with_capacity(order.len() + lives.looks.len() + lives.empties.len());
        for (rank, at) in (0..).zip(&order) {
            let life = &lives.lives[*at as usize];
            if let Some(take) = life.take {
                needs.push(Need { rank, call: life.last.0, done: take.done, id: take.id });
            }
            needs.extend(lives.looks_at(*at).iter().map(|look| Need { rank, ..Need::of(look.act) }));
        }
        let last = order.len() as u32;
        needs.extend(lives.empties.iter().map(|act| Need { rank: last, ..Need::of(*act) }));
        Queue { lives, order, needs }
    }

    /// Those for whom better values leave no slot, if each value may be outside from `leaves` on.
    fn misses(&self, leaves: &[Slot]) -> Vec<Need> {
        let mut bare = Bare::new(self.lives.end);
        let (mut misses, mut rank) = (Vec::new(), 0);
        for need in &self.needs {
            while rank < need.rank {
                let at = self.order[rank as usize] as usize;
                bare.cover(self.lives.lives[at].first.0, leaves[at], |_| {});
                rank += 1;
            }
            if bare.from(need.call) > need.done {
                misses.push(*need);
            }
        }
        misses
    }

    /// By when each value that nobody certainly took must be gone.
    fn deadlines(&self) -> Vec<Deadline> {
        let mut by_call = SuffixMin::new(self.lives.end);
        let (mut deadlines, mut left) = (Vec::new(), self.needs.len());
        for rank in (0..self.order.len()).rev() {
            while left > 0 && self.needs[left - 1].rank as usize > rank {
                left -= 1;
                by_call.lower(self.needs[left].call, (self.needs[left].done, left as u32));
            }
            let life = self.order[rank];
            let of = &self.lives.lives[life as usize];
            if of.take.is_none() {
                let (slot, by) = by_call.after(of.first.0);
                deadlines.push(Deadline { slot: self.unless_known(life, slot), life, by });
            }
        }
        deadlines
    }

    /// A deadline that is met by whoever says that it took the value, if it did, needs no free take.
    fn unless_known(&self, life: u32, slot: Slot) -> Slot {
        let known = self.lives.lives[life as usize].leaves(self.lives.end);
        if known <= slot { deadlines::NONE } else { slot }
    }

    /// Whoever is left without a slot shall have its last one.
    fn tighten(&self, deadlines: &mut [Deadline], misses: &[Need]) {
        let mut ranks = vec![0; self.order.len()];
        (0..).zip(&self.order).for_each(|(rank, life)| ranks[*life as usize] = rank);
        for need in misses {
            for deadline in deadlines.iter_mut() {
                let at = deadline.life as usize;
                if ranks[at] < need.rank && self.lives.lives[at].first.0 < need.done {
                    let slot = deadline.slot.min(need.done);
                    deadline.slot = self.unless_known(deadline.life, slot);
                }
            }
        }
    }

    /// Few operations that leave this one without a slot.
    fn contradiction(&self, need: &Need, leaves: &[Slot]) -> Vec<u32> {
        let better = &self.order[..need.rank as usize];
        let covers = better.iter().map(|at| (*at, leaves[*at as usize]));
        let mut core = self.narrowed(need);
        core.extend(self.lives.covering((need.call, need.done), covers));
        core
    }

    /// The operation, and those on the same value that narrow when it can have happened.
    fn narrowed(&self, need: &Need) -> Vec<u32> {
        let mut core = vec![need.id];
        if let Some(at) = self.order.get(need.rank as usize) {
            let life = &self.lives.lives[*at as usize];
            core.extend([life.last.1, life.add.id, life.take.map_or(NOBODY, |take| take.id)]);
        }
        core
    }

    /// The values that must have been taken, and who says so.
    fn crowd(&self, deadlines: &[Deadline]) -> Vec<u32> {
        let mut core = Vec::new();
        for deadline in deadlines {
            core.push(self.lives.lives[deadline.life as usize].first.1);
            core.extend(self.needs.get(deadline.by as usize).iter().flat_map(|need| self.narrowed(need)));
        }
        core
    }
}

impl Need {
    fn of(act: Act) -> Need {
        Need { rank: 0, call: act.call, done: act.done, id: act.id }
    }
}
