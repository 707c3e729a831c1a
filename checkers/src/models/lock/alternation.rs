//! Locks without owners: only how many permits are held matters, and operations of a kind are alike.
//!
//! The log is read from the front. An operation happens only when a return forces it, and then as little as
//! possible happens before it: an acquire that meets no permit needs one release first, a release that
//! meets none held needs one acquire. Among the operations that could serve, the one that returns first is
//! taken, and one in doubt only if there is no other. If none is there, there is no linearization.
//!
//! Why that is exact. Every linearization can be made to act just before returns only (Lowe 2017, section
//! 4), so let one agree with this construction up to a return, and act `b1 … bm` before it. Some `bi` is what
//! must happen, or what it needs. Operations of a kind are alike, so `bi` (and a counterpart that it needs) can
//! be put first; the rest can follow it in some order, because it ends with as many permits as before, and
//! nothing else returns here, so it can as well follow the return. If another of its kind was taken instead,
//! that one returns no sooner, or may never happen, and they change places.
//!
//! With one permit the states passed are the same for every such order, so that a refusal (the lock was
//! held) or a denial (it was free) that the linearization explained is still explained, and one whose return
//! comes and which is not needs just one step. With more permits that is not so: what explains all refusals
//! on the way is a linearization, and otherwise the answer is open unless there is none without them.
//!
//! With one permit or without refusals, what is forced up to a return does not depend on what comes later. So
//! the first return that nothing serves is the first one that no linearization survives, and what happened
//! before it, in its order, is a linearization of what came before.
//!
//! The argument is our own; all small histories agree.

use super::{Effect, Holder, LockOp, LockRet, effect};
use crate::linearizability::{Position, Shortcut, Task};
use elenchus_core::model::Model;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Whether operations by anybody on a lock of this many permits, of which some are held at first, are
/// linearizable. `None` if this cannot tell.
pub(in crate::models) fn decide<M: Model<Op = LockOp, Ret = LockRet>>(
    tasks: &[Task<'_, M>],
    permits: u64,
    held: u64,
) -> Option<Shortcut> {
    let mut lock = Lock::new(tasks.len(), permits, held, None);
    match (lock.walk(tasks)?, lock.open) {
        (None, false) => Some(Shortcut::Linearizable),
        (None, true) => None,
        (Some(at), false) => Some(Shortcut::RefutedAt(tasks[at as usize].id)),
        // A refusal that was left unexplained may have failed before.
        (Some(_), true) => Some(Shortcut::Refuted(Vec::new())),
    }
}

/// A linearization of such operations by one holder, by their numbers; `None` if this finds none.
pub(in crate::models) fn linearization<M: Model<Op = LockOp, Ret = LockRet>>(
    tasks: &[Task<'_, M>],
    permits: u64,
    initial: Option<&Holder>,
) -> Option<Vec<u32>> {
    if !one_holder(tasks, initial) {
        return None;
    }
    let order = Some(Vec::with_capacity(tasks.len()));
    let mut lock = Lock::new(tasks.len(), permits, u64::from(initial.is_some()), order);
    match (lock.walk(tasks)?, lock.open) {
        (None, false) => lock.order.map(|order| order.iter().map(|at| tasks[*at as usize].id).collect()),
        _ => None,
    }
}

/// Whether all operations name the same holder, who may have held the lock at first.
pub(in crate::models) fn one_holder<M: Model<Op = LockOp, Ret = LockRet>>(
    tasks: &[Task<'_, M>],
    initial: Option<&Holder>,
) -> bool {
    let Some(first) = tasks.first().map(|task| &task.op.holder) else { return false };
    initial.is_none_or(|initial| initial == first) && tasks.iter().all(|task| task.op.holder == *first)
}

/// Operations of one kind that were called and did not happen yet.
#[derive(Default)]
struct Waiting {
    certain: BinaryHeap<Reverse<(Position, u32)>>,
    in_doubt: Vec<u32>,
}

struct Lock {
    permits: u64,
    held: u64,
    acquires: Waiting,
    releases: Waiting,
    /// What happened, or was explained.
    over: Vec<bool>,
    /// Refusals and denials that are not explained yet.
    busy: Vec<u32>,
    unheld: Vec<u32>,
    /// Something was left unexplained.
    open: bool,
    /// What happened, in its order, if that is asked for.
    order: Option<Vec<u32>>,
}

impl Lock {
    fn new(operations: usize, permits: u64, held: u64, order: Option<Vec<u32>>) -> Lock {
        Lock {
            permits,
            held,
            acquires: Waiting::default(),
            releases: Waiting::default(),
            over: vec![false; operations],
            busy: Vec::new(),
            unheld: Vec::new(),
            open: false,
            order,
        }
    }

    /// Reads the log. The first operation at whose return nothing serves, if there is one; `None` if the
    /// operations are not of this kind.
    fn walk<M: Model<Op = LockOp, Ret = LockRet>>(&mut self, tasks: &[Task<'_, M>]) -> Option<Option<u32>> {
        if self.permits == 0 || tasks.iter().any(|task| task.op.permits != 1) {
            return None;
        }
        let mut returns: Vec<(Position, u32)> = Vec::with_capacity(tasks.len());
        returns
            .extend((0..).zip(tasks).filter(|(_, task)| !task.in_doubt()).map(|(at, task)| (task.done, at)));
        returns.sort_by_key(|(done, _)| *done);
        let mut called = 0;
        for (done, at) in returns {
            while called < tasks.len() && tasks[called].call < done {
                self.call(called as u32, &tasks[called]);
                called += 1;
            }
            let effect = effect(tasks[at as usize].op, tasks[at as usize].outcome);
            if !self.over[at as usize] && self.force(at, effect).is_none() {
                return Some(Some(at));
            }
        }
        Some(None)
    }

    fn call<M: Model<Op = LockOp, Ret = LockRet>>(&mut self, at: u32, task: &Task<'_, M>) {
        let (full, empty) = (self.held == self.permits, self.held == 0);
        let waiting = match effect(task.op, task.outcome) {
            Effect::Acquire => &mut self.acquires,
            Effect::Release => &mut self.releases,
            Effect::SawBusy if full => return self.happen(at),
            Effect::SawNotHeld if empty => return self.happen(at),
            Effect::SawBusy => return self.busy.push(at),
            Effect::SawNotHeld => return self.unheld.push(at),
        };
        match task.in_doubt() {
            true => waiting.in_doubt.push(at),
            false => waiting.certain.push(Reverse((task.done, at))),
        }
    }

    /// Lets a returning operation happen, and before it what it needs; `None` if that is not there.
    fn force(&mut self, at: u32, effect: Effect) -> Option<()> {
        match effect {
            Effect::Acquire => {
                if self.held == self.permits {
                    self.release()?;
                }
                self.change(at, true);
            }
            Effect::Release => {
                if self.held == 0 {
                    self.acquire()?;
                }
                self.change(at, false);
            }
            Effect::SawBusy | Effect::SawNotHeld if self.permits > 1 => self.open = true,
            Effect::SawBusy => self.acquire()?,
            Effect::SawNotHeld => self.release()?,
        }
        Some(())
    }

    fn acquire(&mut self) -> Option<()> {
        let at = self.acquires.take(&self.over)?;
        self.change(at, true);
        Some(())
    }

    fn release(&mut self) -> Option<()> {
        let at = self.releases.take(&self.over)?;
        self.change(at, false);
        Some(())
    }

    /// One acquire or release happens.
    fn change(&mut self, at: u32, acquires: bool) {
        self.happen(at);
        self.held = if acquires { self.held + 1 } else { self.held - 1 };
        let explained = match self.held {
            held if held == self.permits => &mut self.busy,
            0 => &mut self.unheld,
            _ => return,
        };
        std::mem::take(explained).into_iter().for_each(|at| self.happen(at));
    }

    fn happen(&mut self, at: u32) {
        self.over[at as usize] = true;
        self.order.iter_mut().for_each(|order| order.push(at));
    }
}

impl Waiting {
    /// The operation that returns first.
    fn take(&mut self, over: &[bool]) -> Option<u32> {
        while let Some(Reverse((_, at))) = self.certain.pop() {
            if !over[at as usize] {
                return Some(at);
            }
        }
        self.in_doubt.pop()
    }
}
