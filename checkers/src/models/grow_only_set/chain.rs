//! Adds and whole reads: an exact answer in time linear in the total length of the reads.
//!
//! What a set contains never shrinks, so the reads of a linearization, sorted by size, form a chain under
//! inclusion, and each new element of a read was added between that read and the next smaller one. The order
//! is therefore fixed up to what commutes: *slot* 1, the reads of the smallest set, slot 2, the reads of the
//! next, and so on, where a slot holds the first adds of the elements that are new in the reads after it, and
//! the last slot those of elements that nobody read. Such a sequence of blocks is a linearization if and only if
//! no operation returned before one of an earlier block was called: comparing each return with the last call in
//! all earlier blocks decides it.
//!
//! Of several adds of one element the one called first serves best as the first, since only its call
//! constrains what comes later. Every other add of it, and every refused one, changes nothing and disturbs
//! nobody: it needs only return after the last call in the blocks before it (it is put right after its own
//! call, or after the block, whichever is later). An add in doubt counts only as the first of an element that
//! was seen; a read in doubt does not count.
//!
//! (The chain is the idea of Jepsen's set-full, taken further; the argument for the blocks is that of interval
//! orders: a relation in which everybody returns after all earlier calls has points in that order.)

use super::super::numbers::Numbers;
use super::GrowOnlySet;
use crate::linearizability::{Position, Shortcut};
use crate::models::set::{SetOp, SetRet};
use elenchus_core::outcome::Outcome;
use elenchus_core::value::Value;
use std::collections::BTreeSet;

type Task<'h> = crate::linearizability::Task<'h, GrowOnlySet>;

/// Operations that contradict each other whatever all others did.
type Contradiction = Vec<u32>;

const NONE: u32 = u32::MAX;

/// Whether the operations on one set are linearizable.
pub(super) fn judge<'h>(initial: &'h BTreeSet<Value>, tasks: &[Task<'h>]) -> Shortcut {
    match History::new(initial, tasks).judge() {
        Ok(()) => Shortcut::Linearizable,
        Err(ids) => Shortcut::Refuted(ids),
    }
}

/// One element.
#[derive(Clone, Copy)]
struct Element {
    /// The smallest set read that contains it: 0 is the initial one, [`NONE`] none.
    group: u32,
    /// The read in which it was seen last.
    stamp: u32,
    /// The place of its add that was called first, [`NONE`] if it was not added.
    first_add: u32,
}

/// One set that was read, or the initial one.
#[derive(Clone, Copy, Default)]
struct Group {
    /// Place of a read of it; the initial set may have none.
    read: Option<usize>,
    /// The last call of a read of it.
    last_read: Position,
    /// The last call of the first adds of what is new in it.
    last_add: Position,
}

struct History<'t, 'h> {
    tasks: &'t [Task<'h>],
    initial: usize,
    numbers: Numbers<'h>,
    elements: Vec<Element>,
    /// Of each task, the number of the element added, or the group read.
    of: Vec<u32>,
    /// By size.
    groups: Vec<Group>,
}

impl<'t, 'h> History<'t, 'h> {
    fn new(initial: &'h BTreeSet<Value>, tasks: &'t [Task<'h>]) -> History<'t, 'h> {
        let numbers = Numbers::with_capacity(initial.len());
        let (groups, of) = (vec![Group::default()], vec![NONE; tasks.len()]);
        let mut history =
            History { tasks, initial: initial.len(), numbers, elements: Vec::new(), of, groups };
        for value in initial {
            let number = history.number(value);
            history.elements[number as usize].group = 0;
        }
        for (place, task) in tasks.iter().enumerate() {
            let SetOp::Add { element, .. } = task.op else { continue };
            let number = history.number(element);
            history.of[place] = number;
            let element = &mut history.elements[number as usize];
            if element.first_add == NONE && !matches!(task.outcome, Outcome::Fail(_)) {
                element.first_add = place as u32;
            }
        }
        history
    }

    fn number(&mut self, value: &'h Value) -> u32 {
        let number = self.numbers.number(value);
        if number as usize == self.elements.len() {
            self.elements.push(Element { group: NONE, stamp: NONE, first_add: NONE });
        }
        number
    }

    fn judge(mut self) -> Result<(), Contradiction> {
        self.read_all()?;
        let last = self.groups.len() as u32;
        for element in &mut self.elements {
            element.group = element.group.min(last);
            if let (Some(group), Some(add)) =
                (self.groups.get_mut(element.group as usize), self.tasks.get(element.first_add as usize))
                && element.group > 0
            {
                group.last_add = group.last_add.max(add.call);
            }
        }
        self.in_time()
    }

    /// Finds what is new in which read; all of them must form a chain.
    fn read_all(&mut self) -> Result<(), Contradiction> {
        let mut reads: Vec<(usize, &'h [Value])> = Vec::new();
        for (place, task) in self.tasks.iter().enumerate() {
            if let (SetOp::Read { .. }, Outcome::Ok(SetRet::Elements(elements)), false) =
                (task.op, task.outcome, task.in_doubt())
            {
                reads.push((place, elements));
            }
        }
        reads.sort_by_key(|(_, elements)| elements.len());
        let (mut size, mut fresh) = (self.initial, Vec::new());
        for (place, elements) in reads {
            let known = self.look_at(place, elements, &mut fresh)?;
            if known < size {
                let smaller = self.groups.last().and_then(|group| group.read);
                return Err(smaller.into_iter().chain([place]).map(|place| self.tasks[place].id).collect());
            }
            if !fresh.is_empty() {
                let group = self.groups.len() as u32;
                fresh.drain(..).for_each(|number: u32| self.elements[number as usize].group = group);
                self.groups.push(Group::default());
                size = elements.len();
            }
            self.of[place] = self.groups.len() as u32 - 1;
            let group = self.groups.last_mut().expect("the initial set is the first group");
            group.read.get_or_insert(place);
            group.last_read = group.last_read.max(self.tasks[place].call);
        }
        Ok(())
    }

    /// How many elements of a read were seen before; the others are `fresh`.
    fn look_at(
        &mut self,
        place: usize,
        elements: &[Value],
        fresh: &mut Vec<u32>,
    ) -> Result<usize, Contradiction> {
        let mut known = 0;
        for value in elements {
            let Some(number) = self.numbers.get(value) else { return Err(vec![self.tasks[place].id]) };
            let element = &mut self.elements[number as usize];
            if std::mem::replace(&mut element.stamp, place as u32) == place as u32 {
                return Err(vec![self.tasks[place].id]);
            }
            match element.group {
                NONE if element.first_add == NONE => {
                    return Err(self.with_adds(&[place], number));
                }
                NONE => fresh.push(number),
                _ => known += 1,
            }
        }
        Ok(known)
    }

    /// Whether every operation returned after the last call in the blocks before its own.
    fn in_time(&self) -> Result<(), Contradiction> {
        let mut before_slot = vec![0; self.groups.len() + 1];
        for (i, group) in self.groups.iter().enumerate() {
            before_slot[i + 1] = group.last_add.max(group.last_read).max(before_slot[i]);
        }
        for (place, task) in self.tasks.iter().enumerate().filter(|(_, task)| !task.in_doubt()) {
            let of = self.of[place];
            let last = match task.op {
                SetOp::Read { .. } if of == NONE => continue,
                SetOp::Read { .. } => before_slot[of as usize].max(self.groups[of as usize].last_add),
                SetOp::Add { .. } => {
                    if matches!(task.outcome, Outcome::Fail(_)) {
                        self.was_there(place, of)?;
                    }
                    before_slot[self.elements[of as usize].group as usize]
                }
            };
            if task.done < last {
                return Err(self.late(place, last));
            }
        }
        Ok(())
    }

    /// Whether an add that was refused can have found its element there.
    fn was_there(&self, place: usize, number: u32) -> Result<(), Contradiction> {
        let element = self.elements[number as usize];
        let add = self.tasks.get(element.first_add as usize);
        match element.group == 0 || add.is_some_and(|add| add.call < self.tasks[place].done) {
            true => Ok(()),
            false => Err(self.with_adds(&[place], number)),
        }
    }

    /// The operation at `place` returned before the call at `position`, which belongs to an earlier block.
    fn late(&self, place: usize, position: Position) -> Contradiction {
        let Some(earlier) = self.tasks.iter().position(|task| task.call == position) else {
            return Vec::new();
        };
        let number = self.of[earlier];
        match (self.tasks[place].op, self.tasks[earlier].op) {
            (_, SetOp::Read { .. }) => vec![self.tasks[place].id, self.tasks[earlier].id],
            (SetOp::Read { .. }, SetOp::Add { .. }) => self.with_adds(&[place], number),
            (SetOp::Add { .. }, SetOp::Add { .. }) => {
                // A read that shows the one element and not the other.
                let group = self.elements[number as usize].group as usize;
                let places: Vec<usize> = std::iter::once(place).chain(self.groups[group].read).collect();
                self.with_adds(&places, number)
            }
        }
    }

    /// These operations, and all that would add the element if they were free to.
    fn with_adds(&self, places: &[usize], number: u32) -> Contradiction {
        let adds_it =
            |place: &usize| self.of[*place] == number && matches!(self.tasks[*place].op, SetOp::Add { .. });
        let adds = (0..self.tasks.len()).filter(|place| adds_it(place) && !places.contains(place));
        places.iter().copied().chain(adds).map(|place| self.tasks[place].id).collect()
    }
}
