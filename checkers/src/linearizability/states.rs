//! The states that a search has met, each once, and what is known of them.
//!
//! Configurations hold numbers of states. Of each state it is remembered which open operations can follow
//! it, so that the model is asked once where it would be asked a thousand times; and how long it matters.
//! Where histories go on and states do not come back, those that nobody holds any more are forgotten.

use super::index::{Index, Place, hash_of};
use super::meter::grown;
use super::notice::Lasting;
use super::task::Position;
use super::window::Window;
use std::hash::Hash;

/// A state, and what is known of it.
struct Known<S, W> {
    state: S,
    lasting: Lasting,
    /// How many calls there had been when `asked` was true last.
    calls: u64,
    /// The slots whose operation was tried, and those of them whose operation can follow.
    asked: W,
    fits: W,
}

/// A table of states.
pub(super) struct States<S, W> {
    known: Vec<Known<S, W>>,
    index: Index,
    /// Bytes of the states themselves.
    weight: usize,
    /// The most that one state weighs.
    heaviest: usize,
    width: usize,
    /// A state that nobody can notice any more: it stands for all such.
    dead: Option<u32>,
    /// A state that fits all who could still notice it: it stands for all such.
    plain: Option<u32>,
    /// The slots of the latest calls, and how many there were.
    latest: [u32; LATEST],
    calls: u64,
    /// Where an operation leads, if that was asked lately: state, required operation, state.
    lately: Box<[(u32, u32, u32)]>,
}

/// So many states may exist that have no number yet.
const IN_THE_MAKING: usize = 4;
/// A state that remembers less than this many calls back is asked anew.
const LATEST: usize = 64;
/// So many answers are remembered at most.
const LATELY_MAX: usize = 1 << 12;

impl<S: Eq + Hash, W: Window> States<S, W> {
    /// An empty table, for about so many `steps`.
    pub(super) fn new(width: usize, steps: usize) -> States<S, W> {
        States {
            known: Vec::new(),
            index: Index::new(),
            weight: 0,
            heaviest: 0,
            width,
            dead: None,
            plain: None,
            latest: [0; LATEST],
            calls: 0,
            lately: vec![(u32::MAX, 0, 0); steps.next_power_of_two().clamp(8, LATELY_MAX)].into(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.known.len()
    }

    /// Bytes held, with those of a few states that the model is making.
    pub(super) fn bytes(&self) -> usize {
        let windows = self.known.len() * 2 * W::heap(self.width);
        self.weight
            + IN_THE_MAKING * self.heaviest
            + grown(&self.known)
            + windows
            + self.index.bytes()
            + self.lately.len() * 12
    }

    pub(super) fn state(&self, id: u32) -> &S {
        &self.known[id as usize].state
    }

    /// The number of a state; of a new one `describe` says how long it matters and what it weighs.
    pub(super) fn number(&mut self, state: S, describe: impl FnOnce(&S) -> (Lasting, usize)) -> u32 {
        let hash = hash_of(&state);
        match self.index.find(hash, |id| self.known[id as usize].state == state) {
            Place::Known(id) => id,
            Place::Vacant(at) => {
                let id = self.known.len() as u32;
                self.index.fill(at, hash, id);
                let (lasting, weight) = describe(&state);
                self.weight += weight;
                self.heaviest = self.heaviest.max(weight);
                let (asked, fits) = (W::empty(self.width), W::empty(self.width));
                self.known.push(Known { state, lasting, calls: self.calls, asked, fits });
                id
            }
        }
    }

    /// The state that stands for this one from `now` on.
    pub(super) fn settle(&mut self, id: u32, now: Position) -> u32 {
        let Lasting { noticed, distinct } = self.known[id as usize].lasting;
        if now <= noticed && now <= distinct {
            return id;
        }
        let stands = |other: Option<u32>, until: fn(&Lasting) -> Position| {
            other.filter(|other| until(&self.known[*other as usize].lasting) < now).unwrap_or(id)
        };
        if noticed < now {
            let stands = stands(self.dead, |lasting| lasting.noticed);
            self.dead = Some(stands);
            stands
        } else {
            let stands = stands(self.plain, |lasting| lasting.distinct);
            self.plain = Some(stands);
            stands
        }
    }

    pub(super) fn lasting(&self, id: u32) -> Lasting {
        self.known[id as usize].lasting
    }

    /// An operation was called in this slot: nothing that was known of the slot holds.
    pub(super) fn called(&mut self, slot: usize) {
        self.latest[(self.calls % LATEST as u64) as usize] = slot as u32;
        self.calls += 1;
    }

    /// Forgets of a state what is not true any more.
    pub(super) fn refresh(&mut self, id: u32) {
        let known = &mut self.known[id as usize];
        let missed = self.calls - known.calls;
        if missed == 0 {
            return;
        }
        if missed > LATEST as u64 {
            known.asked = W::empty(self.width);
        } else {
            let latest = (known.calls..self.calls).map(|call| self.latest[(call % LATEST as u64) as usize]);
            latest.for_each(|slot| known.asked.remove(slot as usize));
        }
        known.calls = self.calls;
    }

    /// The slots whose operation was tried in this state, and those whose operation can follow it.
    pub(super) fn asked(&self, id: u32) -> (&W, &W) {
        let known = &self.known[id as usize];
        (&known.asked, &known.fits)
    }

    /// Remembers whether the operation in `slot` can follow this state.
    pub(super) fn answer(&mut self, id: u32, slot: usize, fits: bool) {
        let known = &mut self.known[id as usize];
        known.asked.insert(slot);
        match fits {
            true => known.fits.insert(slot),
            false => known.fits.remove(slot),
        }
    }

    /// Where this operation leads, if it was remembered.
    pub(super) fn leads(&self, id: u32, required: u32) -> Option<u32> {
        let (state, of, to) = self.lately[self.place(id, required)];
        ((state, of) == (id, required)).then_some(to)
    }

    /// Remembers where this operation leads.
    pub(super) fn remember(&mut self, id: u32, required: u32, to: u32) {
        self.lately[self.place(id, required)] = (id, required, to);
    }

    /// Forgets all states but those whose numbers are given, and renumbers these in place.
    pub(super) fn keep<'a>(&mut self, held: impl Iterator<Item = &'a mut u32>, weigh: impl Fn(&S) -> usize) {
        let mut numbers: Vec<u32> = vec![u32::MAX; self.known.len()];
        let mut count = 0;
        let mut renumber = |id: &mut u32| {
            let number = &mut numbers[*id as usize];
            if *number == u32::MAX {
                *number = count;
                count += 1;
            }
            *id = *number;
        };
        held.for_each(&mut renumber);
        self.dead.iter_mut().for_each(&mut renumber);
        self.plain.iter_mut().for_each(&mut renumber);
        let mut kept: Vec<_> = std::mem::take(&mut self.known)
            .into_iter()
            .zip(numbers)
            .filter(|(_, id)| *id != u32::MAX)
            .collect();
        kept.sort_unstable_by_key(|(_, id)| *id);
        (self.index, self.weight) = (Index::new(), 0);
        self.lately.fill((u32::MAX, 0, 0));
        for (known, id) in kept {
            let hash = hash_of(&known.state);
            if let Place::Vacant(at) = self.index.find(hash, |_| false) {
                self.index.fill(at, hash, id);
            }
            self.weight += weigh(&known.state);
            self.known.push(known);
        }
    }

    fn place(&self, state: u32, required: u32) -> usize {
        let mixed = state.wrapping_mul(0x9e37_79b1) ^ required.wrapping_mul(0x85eb_ca6b);
        (mixed >> 16) as usize & (self.lately.len() - 1)
    }
}
