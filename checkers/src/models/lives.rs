//! The lives of values in a container that each of them enters once: a stack, a priority queue.
//!
//! Where every value is put in by one operation, each observation names the operation that it depends on,
//! and what is known of a value is an interval: by the *first* return of an operation that put it in, saw it
//! or took it out, it was in, and until the *last* call of one it was not out. Between the two it was
//! certainly inside. This module gathers these intervals and settles what concerns one value alone: a value
//! taken out twice, taken though never put in, or seen too early or too late.
//!
//! What is in doubt:
//! - A value whose entry is in doubt and that nobody certainly saw need not have entered: leaving it out of
//!   a linearization, with whatever took it, leaves a linearization.
//! - Whoever took a value in doubt may have taken it at any time after its call, or never. Either way it is
//!   as if the value was taken by an operation that never returns, so such a value leaves between its last
//!   call and the end.
//! - Who took an unknown value in doubt (a *free* take) may have taken any one of the values that nobody
//!   else took, or none. Which one is left to the algorithms ([`deadlines`]).
//! - A look in doubt says nothing.

pub(super) mod bare;
pub(super) mod cores;
pub(super) mod deadlines;
pub(super) mod slots;
pub(super) mod words;

use crate::linearizability::{NEVER, Position};
use deadlines::Deadline;
use slots::{Slot, Span};
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hash, Hasher};

/// What an operation did to a container of values `V`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::models) enum Deed<V> {
    /// It put this in.
    Add(V),
    /// It took something out.
    Take(Seen<V>),
    /// It looked at what would be taken next.
    Look(Seen<V>),
    /// No object ever answers so.
    Impossible,
}

/// What an operation saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::models) enum Seen<V> {
    Value(V),
    /// That there is nothing in the container.
    Nothing,
    /// It does not say.
    Unknown,
}

/// A task in these terms.
#[derive(Clone, Copy, Debug)]
pub(in crate::models) struct Fact<V> {
    pub deed: Deed<V>,
    pub call: Position,
    pub done: Position,
    pub id: u32,
    pub asks: Ask<V>,
}

/// What an operation was asked to do, whatever came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::models) enum Ask<V> {
    Add(V),
    Take,
    Look,
}

impl<V: Copy> Fact<V> {
    /// The value that it put in, took or saw.
    pub fn value(&self) -> Option<V> {
        match self.deed {
            Deed::Add(value) | Deed::Take(Seen::Value(value)) | Deed::Look(Seen::Value(value)) => Some(value),
            _ => None,
        }
    }
}

/// The id of what was inside from the start.
pub(in crate::models) const NOBODY: u32 = u32::MAX;

/// An operation, by its slots and its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::models) struct Act {
    pub call: Slot,
    pub done: Slot,
    pub id: u32,
}

/// What is known of one value that certainly was inside.
#[derive(Clone, Debug)]
pub(in crate::models) struct Life<V> {
    pub value: V,
    /// Who put it in; the return may lie at the end.
    pub add: Act,
    /// Who certainly took it.
    pub take: Option<Act>,
    /// The earliest call of those who may have taken it and said so.
    pub may_take: Option<Slot>,
    /// The first return of an operation that found it inside or put it there, and whose.
    pub first: (Slot, u32),
    /// The last call of an operation that found it inside or put it there, and whose.
    pub last: (Slot, u32),
}

/// An operation that looked at a value and left it there.
#[derive(Clone, Copy, Debug)]
pub(in crate::models) struct Look {
    /// The place of the value in the list of lives.
    pub life: u32,
    /// When it can have looked, given who put the value in and took it.
    pub act: Act,
}

/// What is known of a container.
#[derive(Debug)]
pub(in crate::models) struct Lives<V> {
    /// The values that were certainly inside.
    pub lives: Vec<Life<V>>,
    /// By life, then by call.
    pub looks: Vec<Look>,
    /// Who found nothing inside.
    pub empties: Vec<Act>,
    /// The calls of those who may have taken one value or none, in order.
    pub free: Vec<Slot>,
    /// The slot after everything: whatever is in doubt may happen there.
    pub end: Slot,
}

/// Why there are no lives to speak of.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::models) enum Halt {
    /// Some value is put in twice.
    Ambiguous,
    /// These operations contradict each other.
    Refuted(Vec<u32>),
}

/// What lives admit.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::models) enum Judgement {
    Linearizable,
    /// These contradict each other, perhaps only because nobody else took what was inside.
    Refuted(Vec<u32>),
    /// Search must decide.
    Open,
}

/// What is gathered of a value before all is known.
struct Draft<V> {
    value: V,
    add: Option<Act>,
    take: Option<Act>,
    may_take: Option<Slot>,
    first: (Slot, u32),
    last: (Slot, u32),
}

impl<V> Draft<V> {
    fn new(value: V) -> Draft<V> {
        let (first, last) = ((Slot::MAX, NOBODY), (0, NOBODY));
        Draft { value, add: None, take: None, may_take: None, first, last }
    }

    fn called(&mut self, act: Act) {
        if act.call >= self.last.0 {
            self.last = (act.call, act.id);
        }
    }

    /// It was certainly found or put inside.
    fn witnessed(&mut self, act: Act) {
        self.called(act);
        if act.done < self.first.0 {
            self.first = (act.done, act.id);
        }
    }
}

impl<V: Copy + Eq + Hash> Lives<V> {
    /// Gathers facts, given in the order of their calls, about a container that held `initial`, entered in
    /// this order.
    pub fn new(
        initial: &[V],
        facts: impl ExactSizeIterator<Item = Fact<V>> + Clone,
    ) -> Result<Lives<V>, Halt> {
        let impossible = |fact: &Fact<V>| fact.deed == Deed::Impossible && fact.done != NEVER;
        Lives::gather(initial, facts.clone()).map_err(|halt| match facts.clone().find(impossible) {
            // It needs no other operation, whatever else was found.
            Some(fact) => Halt::Refuted(vec![fact.id]),
            None => halt,
        })
    }

    fn gather(
        initial: &[V],
        facts: impl ExactSizeIterator<Item = Fact<V>> + Clone,
    ) -> Result<Lives<V>, Halt> {
        let before = initial.len() as Slot;
        let (spans, end) = slots::spans(before, facts.clone().map(|fact| (fact.call, fact.done)));
        let mut gathering = Gathering {
            numbers: Numbers::default(),
            drafts: Vec::with_capacity(facts.len() / 2),
            taken_twice: None,
            looks: Vec::new(),
            empties: Vec::new(),
            free: Vec::new(),
        };
        for (slot, value) in (0..).zip(initial) {
            gathering.add(*value, Act { call: slot, done: slot, id: NOBODY }, true)?;
        }
        let acts = || {
            let spans = spans.iter().zip(facts.clone());
            spans.map(|(Span { call, done }, fact)| (fact, Act { call: *call, done: *done, id: fact.id }))
        };
        for (fact, act) in acts().filter(|(fact, _)| fact.done != NEVER) {
            gathering.take_certain(fact.deed, act)?;
        }
        for (fact, act) in acts().filter(|(fact, _)| fact.done == NEVER) {
            gathering.take_doubtful(fact.deed, act)?;
        }
        gathering.finish(end)
    }
}

impl<V> Lives<V> {
    /// Whether there are values that a free take may have taken.
    pub fn is_open(&self) -> bool {
        !self.free.is_empty() && self.lives.iter().any(|life| life.take.is_none())
    }

    /// From where on each value may be outside if a free take is called at this slot for each, or (`None`) if
    /// there are none.
    pub fn leaves(&self, free: Option<Slot>) -> Vec<Slot> {
        self.lives.iter().map(|life| life.leaves(free.unwrap_or(self.end))).collect()
    }

    /// From where on each value may be outside if these are given free takes that are called at these slots.
    pub fn leaves_given(&self, given: &[(u32, Slot)]) -> Vec<Slot> {
        let mut leaves = self.leaves(None);
        for (life, free) in given {
            leaves[*life as usize] = self.lives[*life as usize].leaves(*free);
        }
        leaves
    }

    /// From where on each value may be outside if it is given a free take just in time.
    pub fn leaves_by(&self, deadlines: &[Deadline]) -> Vec<Slot> {
        let mut leaves = self.leaves(None);
        for deadline in deadlines {
            let life = deadline.life as usize;
            leaves[life] = self.lives[life].leaves(deadline.slot.min(self.end));
        }
        leaves
    }

    /// The looks at a value, by their calls.
    pub fn looks_at(&self, life: u32) -> &[Look] {
        let from = self.looks.partition_point(|look| look.life < life);
        let count = self.looks[from..].partition_point(|look| look.life == life);
        &self.looks[from..from + count]
    }

    /// Few operations that show that one of some values was inside in each of these slots, if there are such.
    /// The values are given with the slot from which on each may be outside.
    pub fn covering(&self, (from, to): (Slot, Slot), values: impl Iterator<Item = (u32, Slot)>) -> Vec<u32> {
        let covers = values.map(|(at, leaves)| (&self.lives[at as usize], leaves));
        let mut covers: Vec<_> = covers
            .filter(|(life, leaves)| life.first.0 + 1 < *leaves && life.first.0 < to && *leaves > from)
            .collect();
        covers.sort_unstable_by_key(|(life, _)| life.first.0);
        let mut covers = covers.into_iter().peekable();
        let (mut ids, mut at, mut furthest) = (Vec::new(), from, None);
        while at <= to {
            while let Some(cover) = covers.next_if(|(life, _)| life.first.0 < at) {
                if furthest.is_none_or(|(_, leaves)| leaves < cover.1) {
                    furthest = Some(cover);
                }
            }
            let Some((life, leaves)) = furthest.filter(|(_, leaves)| *leaves > at) else { break };
            ids.extend([life.first.1, life.last.1]);
            at = leaves;
        }
        ids
    }
}

impl<V> Life<V> {
    /// From where on it may be outside, if the earliest call of a free take for it is `free`.
    pub fn leaves(&self, free: Slot) -> Slot {
        match (self.take, self.may_take) {
            (Some(_), _) => self.last.0,
            (None, Some(known)) => self.last.0.max(known.min(free)),
            (None, None) => self.last.0.max(free),
        }
    }

    /// Where the operation that took it can have happened, if it may be outside from `leaves` on.
    pub fn departure(&self, leaves: Slot, end: Slot) -> (Slot, Slot) {
        (leaves, self.take.map_or(end, |take| take.done))
    }

    /// Whether it was certainly inside in a slot, whoever took it.
    pub fn certainly_covers(&self, slot: Slot) -> bool {
        self.first.0 < slot && slot < self.last.0
    }

    /// Where the operation that put it in can have happened.
    pub fn entry(&self) -> (Slot, Slot) {
        (self.add.call, self.first.0)
    }
}

struct Gathering<V> {
    numbers: Numbers<V>,
    drafts: Vec<Draft<V>>,
    /// Two operations that took the same value.
    taken_twice: Option<[u32; 2]>,
    looks: Vec<Look>,
    empties: Vec<Act>,
    free: Vec<Slot>,
}

type Numbers<V> = HashMap<V, u32, BuildHasherDefault<QuickHasher>>;

impl<V: Copy + Eq + Hash> Gathering<V> {
    fn number(&mut self, value: V) -> u32 {
        let next = self.drafts.len() as u32;
        let number = *self.numbers.entry(value).or_insert(next);
        if number == next {
            self.drafts.push(Draft::new(value));
        }
        number
    }

    fn draft(&mut self, value: V) -> &mut Draft<V> {
        let number = self.number(value);
        &mut self.drafts[number as usize]
    }

    fn take_certain(&mut self, deed: Deed<V>, act: Act) -> Result<(), Halt> {
        match deed {
            Deed::Add(value) => self.add(value, act, true)?,
            Deed::Take(Seen::Value(value)) => {
                let draft = self.draft(value);
                draft.witnessed(act);
                if let Some(before) = draft.take.replace(act) {
                    // Judged when all is gathered: a later call may put the value in once more.
                    self.taken_twice.get_or_insert([act.id, before.id]);
                }
            }
            Deed::Look(Seen::Value(value)) => {
                let life = self.number(value);
                self.drafts[life as usize].witnessed(act);
                self.looks.push(Look { life, act });
            }
            Deed::Take(Seen::Nothing) | Deed::Look(Seen::Nothing) => self.empties.push(act),
            Deed::Take(Seen::Unknown) | Deed::Look(Seen::Unknown) => {}
            Deed::Impossible => return Err(Halt::Refuted(vec![act.id])),
        }
        Ok(())
    }

    /// After all that is certain: of values that nobody certainly put in or saw there is nothing to know.
    fn take_doubtful(&mut self, deed: Deed<V>, act: Act) -> Result<(), Halt> {
        match deed {
            Deed::Add(value) if self.numbers.contains_key(&value) => self.add(value, act, false)?,
            Deed::Take(Seen::Unknown) => self.free.push(act.call),
            Deed::Take(Seen::Value(value)) if self.numbers.contains_key(&value) => {
                self.draft(value).may_take.get_or_insert(act.call);
            }
            _ => {}
        }
        Ok(())
    }

    fn add(&mut self, value: V, act: Act, certain: bool) -> Result<(), Halt> {
        let draft = self.draft(value);
        if draft.add.replace(act).is_some() {
            return Err(Halt::Ambiguous);
        }
        match certain {
            true => draft.witnessed(act),
            false => draft.called(act),
        }
        Ok(())
    }

    fn finish(mut self, end: Slot) -> Result<Lives<V>, Halt> {
        if let Some(pair) = self.taken_twice {
            return Err(Halt::Refuted(pair.to_vec()));
        }
        // They are in the order of their calls.
        self.looks.sort_by_key(|look| look.life);
        let mut lives = Vec::with_capacity(self.drafts.len());
        for draft in self.drafts {
            lives.push(draft.live()?);
        }
        let lives = Lives { lives, looks: self.looks, empties: self.empties, free: self.free, end };
        lives.with_looks_in_their_lives()
    }
}

impl<V> Draft<V> {
    /// What is known of a value that was certainly inside, unless that cannot be.
    fn live(self) -> Result<Life<V>, Halt> {
        let Draft { value, take, may_take, first, last, .. } = self;
        let Some(add) = self.add else {
            return Err(Halt::Refuted(vec![first.1]));
        };
        if first.0 < add.call {
            return Err(Halt::Refuted(members([first.1, add.id])));
        }
        if let Some(take) = take
            && take.done < last.0
        {
            return Err(Halt::Refuted(members([last.1, take.id])));
        }
        Ok(Life { value, add, take, may_take, first, last })
    }
}

impl<V> Lives<V> {
    fn with_looks_in_their_lives(mut self) -> Result<Lives<V>, Halt> {
        for look in &mut self.looks {
            let life = &self.lives[look.life as usize];
            look.act.call = look.act.call.max(life.add.call);
            if let Some(take) = life.take {
                look.act.done = look.act.done.min(take.done);
            }
        }
        // What was put in before a look was called may narrow it beyond the order of calls.
        self.looks.sort_by_key(|look| (look.life, look.act.call));
        Ok(self)
    }
}

/// These ids, without what was inside from the start, and each once.
pub(in crate::models) fn members(ids: impl IntoIterator<Item = u32>) -> Vec<u32> {
    let mut known = HashSet::new();
    ids.into_iter().filter(|id| *id != NOBODY && known.insert(*id)).collect()
}

/// Multiplication and rotation: values are numbered, not defended against those who choose them.
#[derive(Clone, Copy, Default)]
pub(in crate::models) struct QuickHasher(u64);

impl QuickHasher {
    fn mix(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

impl Hasher for QuickHasher {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.mix(u64::from_le_bytes(word));
        }
    }

    fn write_u8(&mut self, byte: u8) {
        self.mix(u64::from(byte));
    }

    fn write_u64(&mut self, word: u64) {
        self.mix(word);
    }

    fn write_i64(&mut self, word: i64) {
        self.mix(word as u64);
    }

    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 32)
    }
}
