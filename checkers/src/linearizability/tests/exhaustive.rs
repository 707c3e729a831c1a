//! All small histories, up to renaming.
//!
//! Histories that differ only in the order of neighbouring calls, or of neighbouring returns, are the same
//! to a checker. One of each is tried.

use super::{Tally, compare, judge};
use crate::linearizability::Insight;
use elenchus_core::model::Model;
use elenchus_core::operation::Operation;
use elenchus_core::outcome::Outcome;
use elenchus_core::process::Process;
use elenchus_core::time::Time;

/// A kind of operation.
pub struct Sort<M: Model> {
    op: M::Op,
    outcome: Outcome<M::Ret>,
    /// Whether it never returns: with `Info` always, with an answer as in a prefix of a log.
    open: bool,
}

impl<M: Model> Sort<M> {
    /// One that ends so.
    pub fn new(op: M::Op, outcome: Outcome<M::Ret>) -> Sort<M> {
        Sort { op, open: outcome.is_info(), outcome }
    }

    /// One that may happen, and then has this outcome.
    pub fn optional(op: M::Op, outcome: Outcome<M::Ret>) -> Sort<M> {
        Sort { op, outcome, open: true }
    }

    /// What is asked, and what comes of it.
    pub fn parts(self) -> (M::Op, Outcome<M::Ret>) {
        (self.op, self.outcome)
    }
}

/// Which histories are tried. One that is left out takes with it all that go on from it, so that they are not
/// even made.
pub type Keep<M> = fn(&[Operation<<M as Model>::Op, <M as Model>::Ret>]) -> bool;

/// What is done with each.
pub type Try<M> = fn(&M, &[Operation<<M as Model>::Op, <M as Model>::Ret>]) -> Tally;

struct Enumeration<'a, M: Model> {
    model: &'a M,
    sorts: &'a [Sort<M>],
    count: usize,
    processes: usize,
    keep: Keep<M>,
    each: Try<M>,
    operations: Vec<Operation<M::Op, M::Ret>>,
    sort_of: Vec<usize>,
    open: Vec<usize>,
    tally: Tally,
}

/// What the last event was: two neighbouring ones of a kind stand in a fixed order.
#[derive(Clone, Copy)]
enum Last {
    Call(usize),
    Return(usize),
}

impl<M: Insight> Enumeration<'_, M> {
    fn go(&mut self, at: u32, last: Last) {
        let calls_left = self.operations.len() < self.count;
        if !calls_left {
            // Nothing is called any more, so the order of the returns does not matter.
            return self.try_it(at);
        }
        if self.open.len() < self.processes {
            let least = if let Last::Call(sort) = last { sort } else { 0 };
            for sort in least..self.sorts.len() {
                self.call(at, sort);
            }
        }
        for i in 0..self.open.len() {
            let id = self.open[i];
            let sooner_twin =
                self.open.iter().any(|other| *other < id && self.sort_of[*other] == self.sort_of[id]);
            if sooner_twin || matches!(last, Last::Return(before) if id < before) {
                continue;
            }
            self.open.remove(i);
            self.operations[id].done = at;
            self.go(at + 1, Last::Return(id));
            self.operations[id].done = Operation::<M::Op, M::Ret>::OPEN;
            self.open.insert(i, id);
        }
    }

    fn call(&mut self, at: u32, sort: usize) {
        let Sort { op, outcome, open } = &self.sorts[sort];
        let (op, outcome, open) = (op.clone(), outcome.clone(), *open);
        let id = self.operations.len();
        let (process, called, done) = (Process(id as u32), Time::ZERO, Operation::<M::Op, M::Ret>::OPEN);
        self.operations.push(Operation { process, op, outcome, call: at, done, called, ended: None });
        if (self.keep)(&self.operations) {
            self.sort_of.push(sort);
            if !open {
                self.open.push(id);
            }
            self.go(at + 1, Last::Call(sort));
            if !open {
                self.open.pop();
            }
            self.sort_of.pop();
        }
        self.operations.pop();
    }

    fn try_it(&mut self, at: u32) {
        for (i, id) in self.open.iter().enumerate() {
            self.operations[*id].done = at + i as u32;
        }
        self.tally += (self.each)(self.model, &self.operations);
        for id in &self.open {
            self.operations[*id].done = Operation::<M::Op, M::Ret>::OPEN;
        }
    }
}

/// Tries every history of exactly `count` operations of these sorts on one object, with at most `processes` open
/// at once beside those that never return. `keep` leaves out what is the same as another one up to renaming.
pub fn try_all<M: Insight>(
    model: &M,
    sorts: &[Sort<M>],
    (count, processes): (usize, usize),
    keep: Keep<M>,
    each: Try<M>,
) -> Tally {
    let (operations, sort_of, open, tally) = (vec![], vec![], vec![], Tally::default());
    let mut all =
        Enumeration { model, sorts, count, processes, keep, each, operations, sort_of, open, tally };
    all.go(0, Last::Call(0));
    all.tally
}

/// Compares the search in each of its orders, and the shortcut, with the oracle on all of them.
pub fn compare_all<M: Insight>(
    model: &M,
    sorts: &[Sort<M>],
    count: usize,
    processes: usize,
    keep: Keep<M>,
) -> Tally {
    try_all(model, sorts, (count, processes), keep, compare)
}

/// Compares what the checker would say with the oracle on all histories of three processes: the shortcut, and the
/// search where the shortcut is silent.
pub fn judge_all<M: Insight>(model: &M, sorts: &[Sort<M>], count: usize, keep: Keep<M>) -> Tally {
    try_all(model, sorts, (count, 3), keep, judge)
}
