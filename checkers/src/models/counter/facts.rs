//! What the operations on one counter say, sorted by what can be done with it.
//!
//! Values are counted from the initial one. If all amounts are negative, everything is mirrored, so that a
//! counter with amounts of one sign only grows.

use super::{Counter, CounterOp};
use crate::linearizability::{NEVER, Position, Shortcut};
use elenchus_core::outcome::Outcome;

pub(super) type Task<'h> = crate::linearizability::Task<'h, Counter>;

/// An operation that met the counter at a value, and what it made of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Seen {
    pub before: i64,
    pub after: i64,
    /// Its place among the tasks.
    pub place: u32,
}

/// An add that does not say what it met, or may not have happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unseen {
    pub amount: i64,
    pub call: Position,
    /// [`NEVER`] if it is in doubt.
    pub done: Position,
    pub place: u32,
}

/// The operations on one counter.
pub(super) struct Facts {
    /// Those that ended for certain and say what they met, in the order of their calls.
    pub seen: Vec<Seen>,
    /// Adds that may have happened, and say what they met if they did.
    pub maybe: Vec<Seen>,
    /// Adds that do not say what they met, in the order of their calls.
    pub unseen: Vec<Unseen>,
    /// Whether amounts are never negative now.
    pub grows: bool,
    /// Whether some operation was refused: set free for a witness, it could add or set back after all, so that
    /// contradictions are not told.
    pub refusals: bool,
}

impl Facts {
    /// `None` if the counter is or may have been set back, or values are too large.
    pub(super) fn new(counter: &Counter, tasks: &[Task<'_>]) -> Option<Facts> {
        let changes = |task: &&Task<'_>| task.op.amount() != 0 && !matches!(task.outcome, Outcome::Fail(_));
        let (mut up, mut down) = (false, false);
        for task in tasks.iter().filter(changes) {
            (up, down) = (up || task.op.amount() > 0, down || task.op.amount() < 0);
        }
        let sign = if down && !up { -1 } else { 1 };
        let (seen, maybe, unseen) = (Vec::new(), Vec::new(), Vec::new());
        let mut facts = Facts { seen, maybe, unseen, grows: !(up && down), refusals: false };
        for (task, place) in tasks.iter().zip(0..) {
            let refused = matches!(task.outcome, Outcome::Fail(_));
            facts.refusals |= refused;
            if matches!(task.op, CounterOp::Reset { .. }) && !refused {
                return None;
            }
            let amount = if refused { 0 } else { task.op.amount().checked_mul(sign)? };
            let Some(met) = task.op.met(task.outcome) else {
                if amount != 0 {
                    facts.unseen.push(Unseen { amount, call: task.call, done: task.done, place });
                }
                continue;
            };
            let before = i64::try_from((met - i128::from(counter.initial)) * i128::from(sign)).ok()?;
            let seen = Seen { before, after: before.checked_add(amount)?, place };
            match task.done == NEVER {
                false => facts.seen.push(seen),
                true if amount != 0 => facts.maybe.push(seen),
                true => {}
            }
        }
        Some(facts)
    }

    /// A refutation by the operations at these places.
    pub(super) fn refuted(&self, tasks: &[Task<'_>], places: &[u32]) -> Shortcut {
        match self.refusals {
            true => Shortcut::Refuted(Vec::new()),
            false => Shortcut::Refuted(places.iter().map(|place| tasks[*place as usize].id).collect()),
        }
    }
}
