//! One key's operations, made ready for the search.
//!
//! Operations that ended for certain get a slot from call to return. Operations in doubt that ask the same
//! form a class. Those that nobody could notice are left out ([`super::notice`]).

use super::meter::{Meter, Spent};
use super::notice::Notice;
use elenchus_core::model::Model;
use elenchus_core::operation::Operation;
use elenchus_core::outcome::{Failure, Outcome};

/// A place in the log, counted from 1; 0 is before everything.
pub(super) type Position = u64;

/// After everything.
pub(super) const NEVER: Position = Position::MAX;

/// An operation as the search sees it.
pub(super) struct Task<'h, M: Model> {
    pub op: &'h M::Op,
    pub outcome: &'h Outcome<M::Ret>,
    pub call: Position,
    /// [`NEVER`] for an operation in doubt.
    pub done: Position,
    /// Its number among the key's operations.
    pub id: u32,
}

impl<'h, M: Model> Task<'h, M> {
    /// The task of an operation; `None` if it certainly did not happen and saw nothing.
    pub(super) fn new(operation: &'h Operation<M::Op, M::Ret>, id: u32) -> Option<Task<'h, M>> {
        let done = match &operation.outcome {
            Outcome::Fail(Failure::NotDone(_)) => return None,
            Outcome::Info(_) => NEVER,
            _ if operation.done == Operation::<M::Op, M::Ret>::OPEN => NEVER - 1,
            _ => Position::from(operation.done) + 1,
        };
        let call = Position::from(operation.call) + 1;
        Some(Task { op: &operation.op, outcome: &operation.outcome, call, done, id })
    }

    /// The operation free to happen at any time or never; `doubt` is an outcome in doubt.
    pub(super) fn released(
        operation: &'h Operation<M::Op, M::Ret>,
        id: u32,
        doubt: &'h Outcome<M::Ret>,
    ) -> Task<'h, M> {
        Task { op: &operation.op, outcome: doubt, call: 0, done: NEVER, id }
    }

    pub(super) fn in_doubt(&self) -> bool {
        self.done == NEVER
    }

    /// Whether its outcome may depend on the state it meets.
    pub(super) fn observes(&self, model: &M) -> bool {
        matches!(self.outcome, Outcome::Fail(_)) || !model.overwrites(self.op)
    }

    pub(super) fn can_follow(&self, model: &M, state: &M::State) -> bool {
        model.step(state, self.op, self.outcome).into_iter().next().is_some()
    }

    pub(super) fn can_change(&self, model: &M, state: &M::State) -> bool {
        model.step(state, self.op, self.outcome).into_iter().any(|after| after != *state)
    }
}

impl<M: Model> Clone for Task<'_, M> {
    fn clone(&self) -> Self {
        Task { ..*self }
    }
}

/// Operations in doubt that ask the same.
pub(super) struct Class<'h, M: Model> {
    pub op: &'h M::Op,
    pub outcome: &'h Outcome<M::Ret>,
    /// The last return that could notice one of them.
    pub until: Position,
    /// Their numbers, in the order of their calls.
    pub ids: Vec<u32>,
}

/// What happens next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    /// An operation in doubt of this class becomes possible.
    Arrive(u32),
    /// A required operation becomes possible.
    Call(u32),
    /// A required operation must have happened.
    Return(u32),
}

/// One key's history, ready for the search.
pub(super) struct Schedule<'h, M: Model> {
    pub init: M::State,
    /// The operations that ended for certain.
    pub required: Vec<Task<'h, M>>,
    /// The slot of each of them.
    pub slots: Vec<u32>,
    /// How many slots there are.
    pub width: usize,
    pub classes: Vec<Class<'h, M>>,
    pub notice: Notice<'h, M>,
    /// In the order of the log.
    pub steps: Vec<(Position, Step)>,
}

impl<'h, M: Model> Schedule<'h, M> {
    /// The schedule of `tasks`, in any order.
    pub(super) fn new(
        model: &M,
        init: M::State,
        tasks: Vec<Task<'h, M>>,
        meter: &mut Meter<'_>,
    ) -> Result<Schedule<'h, M>, Spent> {
        let (mut doubtful, mut required) = (Vec::new(), Vec::new());
        for task in tasks {
            match task.in_doubt() {
                false => required.push(task),
                true if model.inert(task.op, task.outcome) => {}
                true => doubtful.push(task),
            }
        }
        required.sort_by_key(|task| task.call);
        doubtful.sort_by_key(|task| task.call);
        let mut steps: Vec<(Position, Step)> = Vec::with_capacity(2 * required.len());
        for (i, task) in required.iter().enumerate() {
            steps.push((task.call, Step::Call(i as u32)));
            steps.push((task.done, Step::Return(i as u32)));
        }
        let (notice, until) = Notice::new(model, &required, &doubtful, meter)?;
        let classes = classes(doubtful, until, &mut steps, meter)?;
        steps.sort_unstable();
        let (slots, width) = slots(&steps, required.len());
        Ok(Schedule { init, required, slots, width, classes, notice, steps })
    }
}

/// Groups the operations in doubt that somebody can notice, and adds their arrivals to the steps.
fn classes<'h, M: Model>(
    doubtful: Vec<Task<'h, M>>,
    until: Vec<Position>,
    steps: &mut Vec<(Position, Step)>,
    meter: &mut Meter<'_>,
) -> Result<Vec<Class<'h, M>>, Spent> {
    let mut classes: Vec<Class<'h, M>> = Vec::new();
    for (task, until) in doubtful.into_iter().zip(until) {
        meter.tick()?;
        if until <= task.call {
            continue;
        }
        // To leave two like operations in two classes is never wrong, only slower.
        let known = classes.iter().rposition(|class| class.op == task.op);
        let at = known.unwrap_or_else(|| {
            classes.push(Class { op: task.op, outcome: task.outcome, until, ids: Vec::new() });
            classes.len() - 1
        });
        classes[at].ids.push(task.id);
        steps.push((task.call, Step::Arrive(at as u32)));
    }
    Ok(classes)
}

/// Gives each required operation the lowest slot that is free at its call.
fn slots(steps: &[(Position, Step)], count: usize) -> (Vec<u32>, usize) {
    let mut slots = vec![0; count];
    let mut free = std::collections::BinaryHeap::new();
    let mut width = 0;
    for (_, step) in steps {
        match *step {
            Step::Arrive(_) => {}
            Step::Call(i) => {
                slots[i as usize] = free.pop().map_or_else(
                    || {
                        width += 1;
                        width - 1
                    },
                    |std::cmp::Reverse(slot)| slot,
                );
            }
            Step::Return(i) => free.push(std::cmp::Reverse(slots[i as usize])),
        }
    }
    (slots, width as usize)
}
