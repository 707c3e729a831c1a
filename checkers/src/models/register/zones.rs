//! Registers in which every value is set once: an exact answer in time n log n.
//!
//! A read names its write, and a cas the one that it follows, so the operations fall into *chains*: a
//! write, the reads of its value, the cas from that value, the reads of the new one, and so on. In every
//! linearization a chain stands in one piece. Let `f` be the first return in a chain and `s` its last call.
//! If `f < s` the chain holds the register from `f` to `s` (a forward zone); otherwise it fits into any
//! point between `s` and `f` (a backward zone). The history is linearizable if and only if each chain is in
//! order within itself, no two forward zones overlap, and no backward zone lies inside a forward one
//! (Gibbons & Korach 1997, section 4, for completed operations; Golab, Li & Shah 2011 call them zones).
//!
//! An operation in doubt counts only if its value was seen, or replaced by a cas that counts; then it
//! happened, and its return lies beyond the end. A refusal that says what it saw is a read. One that does
//! not can refute nothing here and could be satisfied only by trying, so it leaves the answer open, and so
//! do values that are set twice.

use super::{Register, RegisterOp, RegisterRet};
use crate::linearizability::{NEVER, Position};
use elenchus_core::outcome::{Failure, Outcome};
use elenchus_core::value::Value;
use std::collections::HashMap;

type Task<'h> = crate::linearizability::Task<'h, Register>;

/// One value: who set it, and who saw it.
#[derive(Clone, Copy)]
struct Group {
    /// Call and return of the operation that set it; nobody's if it was only seen.
    setter: Option<(Position, Position)>,
    /// The group of the value that a cas replaced by this one.
    replaces: Option<usize>,
    first_read_returned: Position,
    last_read_called: Position,
    /// Whether it must have been set.
    counts: bool,
}

const UNSEEN: Group =
    Group { setter: None, replaces: None, first_read_returned: NEVER, last_read_called: 0, counts: false };

/// Whether the operations of one key are linearizable; `None` if this cannot tell.
pub(super) fn is_linearizable(register: &Register, tasks: &[Task<'_>]) -> Option<bool> {
    let mut history = History::new(register);
    for task in tasks {
        history.take(task)?;
    }
    Some(history.judge().is_some())
}

/// The initial value's group.
const INITIAL: usize = 0;

struct History<'h> {
    register: &'h Register,
    numbers: HashMap<&'h Value, usize>,
    groups: Vec<Group>,
}

impl<'h> History<'h> {
    fn new(register: &'h Register) -> History<'h> {
        let initial = Group { setter: Some((0, 0)), counts: true, ..UNSEEN };
        History { register, numbers: HashMap::from([(&register.initial, INITIAL)]), groups: vec![initial] }
    }

    /// Enters an operation; `None` if it is of a kind that this cannot judge.
    fn take(&mut self, task: &Task<'h>) -> Option<()> {
        let certain = !task.in_doubt();
        if let Outcome::Fail(Failure::Refused(saw)) = task.outcome {
            return self.take_refusal(task, saw.as_ref());
        }
        match (task.op, task.outcome) {
            (RegisterOp::Read { .. }, _) if !certain => {}
            (RegisterOp::Read { .. }, Outcome::Ok(RegisterRet::Saw(value))) => {
                if self.register.is_seen(value) {
                    self.take_read(task, value);
                }
            }
            (RegisterOp::Read { .. }, Outcome::Ok(RegisterRet::Done)) => return None,
            (RegisterOp::Read { .. }, _) => {}
            (RegisterOp::Write { value, .. }, _) => self.take_setter(task, value, None)?,
            (RegisterOp::Cas { from, to, .. }, _) if from == to => {
                if certain {
                    self.take_read(task, from);
                }
            }
            (RegisterOp::Cas { from, to, .. }, _) => {
                let replaced = self.number(from);
                self.take_setter(task, to, Some(replaced))?;
            }
        }
        Some(())
    }

    fn take_refusal(&mut self, task: &Task<'h>, saw: Option<&'h RegisterRet>) -> Option<()> {
        match (task.op, saw) {
            (RegisterOp::Read { .. }, _) => Some(()),
            (RegisterOp::Cas { from, .. }, Some(RegisterRet::Saw(value))) if value != from => {
                self.take_read(task, value);
                Some(())
            }
            _ => None,
        }
    }

    fn take_read(&mut self, task: &Task<'h>, value: &'h Value) {
        let number = self.number(value);
        let group = &mut self.groups[number];
        group.first_read_returned = group.first_read_returned.min(task.done);
        group.last_read_called = group.last_read_called.max(task.call);
        group.counts = true;
    }

    fn take_setter(&mut self, task: &Task<'h>, value: &'h Value, replaces: Option<usize>) -> Option<()> {
        let number = self.number(value);
        let group = &mut self.groups[number];
        if group.setter.is_some() {
            return None;
        }
        group.setter = Some((task.call, task.done));
        group.replaces = replaces;
        group.counts |= !task.in_doubt();
        Some(())
    }

    fn number(&mut self, value: &'h Value) -> usize {
        let next = self.groups.len();
        let number = *self.numbers.entry(value).or_insert(next);
        if number == next {
            self.groups.push(UNSEEN);
        }
        number
    }

    /// `None` if there is no linearization.
    fn judge(mut self) -> Option<()> {
        let next = self.link()?;
        let (mut forward, mut backward, mut counted) = (Vec::new(), Vec::new(), 0);
        for first in 0..self.groups.len() {
            let group = self.groups[first];
            if !group.counts || group.replaces.is_some() {
                continue;
            }
            let chain = self.chain(first, &next, &mut counted)?;
            match chain {
                // Nothing but the initial value, unseen.
                (_, 0) => {}
                (f, s) if f < s => forward.push((f, s)),
                zone => backward.push(zone),
            }
        }
        // What no chain reaches replaces itself in a circle.
        if counted < self.groups.iter().filter(|group| group.counts).count() {
            return None;
        }
        forward.sort_unstable();
        let apart = forward.windows(2).all(|pair| pair[0].1 < pair[1].0);
        let outside = backward.iter().all(|(f, s)| {
            let before = forward.partition_point(|zone| zone.0 < *s);
            before == 0 || forward[before - 1].1 < *f
        });
        (apart && outside).then_some(())
    }

    /// Marks whatever must have been set, and finds what replaced each value.
    fn link(&mut self) -> Option<Vec<Option<usize>>> {
        let mut next = vec![None; self.groups.len()];
        let mut work: Vec<usize> = (0..self.groups.len()).filter(|i| self.groups[*i].counts).collect();
        while let Some(number) = work.pop() {
            // A value that was seen must have been set.
            self.groups[number].setter?;
            let Some(replaced) = self.groups[number].replaces else { continue };
            // Two cas cannot both replace it.
            if next[replaced].replace(number).is_some() {
                return None;
            }
            if !std::mem::replace(&mut self.groups[replaced].counts, true) {
                work.push(replaced);
            }
        }
        Some(next)
    }

    /// The first return and the last call in the chain that starts here; `None` if it is out of order.
    fn chain(
        &self,
        first: usize,
        next: &[Option<usize>],
        counted: &mut usize,
    ) -> Option<(Position, Position)> {
        let (mut first_return, mut last_call) = (NEVER, 0);
        let mut at = Some(first);
        while let Some(number) = at {
            let group = &self.groups[number];
            let (call, done) = group.setter?;
            // `last_call` is forced to lie before whatever comes now.
            if done < last_call {
                return None;
            }
            last_call = last_call.max(call);
            if group.first_read_returned < last_call {
                return None;
            }
            last_call = last_call.max(group.last_read_called);
            first_return = first_return.min(done).min(group.first_read_returned);
            *counted += 1;
            at = next[number];
        }
        Some((first_return, last_call))
    }
}
