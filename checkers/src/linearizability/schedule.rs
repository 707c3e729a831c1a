//! One key's operations, made ready for the search.
//!
//! Operations that ended for certain get a slot from call to return. Operations in doubt that ask the same
//! form a class. Those that nobody could notice are left out ([`super::notice`]).

use super::meter::{Meter, Spent};
use super::notice::Notice;
use super::task::{Position, Task};
use elenchus_core::model::Model;
use elenchus_core::outcome::Outcome;

/// Operations in doubt that ask the same and, should it be known, are answered the same.
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
        let alike = |class: &Class<'h, M>| class.op == task.op && class.outcome == task.outcome;
        let known = classes.iter().rposition(alike);
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
