//! One key's operations, made ready for the search.
//!
//! Operations that ended for certain get a slot from call to return. Operations in doubt that do the same
//! form a class: those that lead from the same state (or from any) to the same one, and, where a model does
//! not say, those that ask and are answered the same. Those that nobody could notice are left out, and
//! those whose state nobody will tell from a plain one do the same (`notice`).

use super::index::Scatter;
use super::meter::{Meter, Spent, grown};
use super::notice::Notice;
use super::task::{Position, Task};
use elenchus_core::model::Model;
use elenchus_core::outcome::Outcome;
use std::collections::HashMap;
use std::hash::BuildHasherDefault;

/// Operations in doubt that do the same.
pub(super) struct Class<'h, M: Model> {
    pub op: &'h M::Op,
    pub outcome: &'h Outcome<M::Ret>,
    /// Of blind writes, the state that they lead to.
    pub target: Option<M::State>,
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
        mut tasks: Vec<Task<'h, M>>,
        meter: &mut Meter<'_>,
    ) -> Result<Schedule<'h, M>, Spent> {
        let mut doubtful: Vec<_> = tasks.extract_if(.., |task| task.in_doubt()).collect();
        doubtful.retain(|task| !model.inert(task.op, task.outcome));
        let mut required = tasks;
        required.sort_by_key(|task| task.call);
        doubtful.sort_by_key(|task| task.call);
        let mut steps: Vec<(Position, Step)> = Vec::with_capacity(2 * required.len());
        for (i, task) in required.iter().enumerate() {
            steps.push((task.call, Step::Call(i as u32)));
            steps.push((task.done, Step::Return(i as u32)));
        }
        meter.hold_throughout(grown(&steps) + grown(&required) + 4 * required.len())?;
        let (notice, until) = Notice::new(model, &required, &doubtful, meter)?;
        let mut grouping =
            Grouping { model, init: &init, notice: &notice, classes: vec![], known: HashMap::default() };
        for (task, until) in doubtful.into_iter().zip(until) {
            meter.tick()?;
            if let Some(class) = grouping.class(&task, until) {
                steps.push((task.call, Step::Arrive(class)));
            }
        }
        let classes = grouping.classes;
        steps.sort_unstable();
        let (slots, width) = slots(&steps, required.len());
        Ok(Schedule { init, required, slots, width, classes, notice, steps })
    }

    /// Where this operation leads from any state, if it is a blind write that can end so.
    pub(super) fn blind_target(&self, model: &M, task: &Task<'h, M>) -> Option<M::State> {
        blind_target(model, &self.init, task)
    }
}

fn blind_target<M: Model>(model: &M, init: &M::State, task: &Task<'_, M>) -> Option<M::State> {
    if matches!(task.outcome, Outcome::Fail(_)) || !model.overwrites(task.op) {
        return None;
    }
    let mut after = model.step(init, task.op, task.outcome).into_iter();
    after.next().filter(|_| after.next().is_none())
}

/// What an operation in doubt does: from where, if not from anywhere, it leads where, if not to a state that
/// nobody will tell from a plain one.
type Deed<S> = (Option<S>, Option<S>);

struct Grouping<'g, 'h, M: Model> {
    model: &'g M,
    init: &'g M::State,
    notice: &'g Notice<'h, M>,
    classes: Vec<Class<'h, M>>,
    known: HashMap<Deed<M::State>, u32, BuildHasherDefault<Scatter>>,
}

/// So many classes are searched for one like an operation of which the model says nothing.
const LOOKED_AT: usize = 512;

impl<'h, M: Model> Grouping<'_, 'h, M> {
    /// The class of an operation that could be noticed until then; `None` if it can be left out.
    fn class(&mut self, task: &Task<'h, M>, until: Position) -> Option<u32> {
        let model = self.model;
        if until <= task.call {
            return None;
        }
        let target = blind_target(model, self.init, task);
        let source = if target.is_some() { None } else { model.source(task.op, task.outcome) };
        if source.as_ref().is_some_and(|source| !task.can_change(model, source)) {
            return None;
        }
        let leads = target.clone().or_else(|| source.as_ref().and_then(|_| model.target(task.op)));
        let at = match leads {
            Some(leads) => {
                let plain = self.notice.lasting(model, &leads).distinct <= task.call;
                let next = self.classes.len() as u32;
                *self.known.entry((source, (!plain).then_some(leads))).or_insert(next) as usize
            }
            None => {
                let alike = |class: &Class<'h, M>| class.op == task.op && same(class.outcome, task.outcome);
                let looked_at = self.classes.iter().enumerate().rev().take(LOOKED_AT);
                let known =
                    looked_at.filter(|(_, class)| class.target.is_none()).find(|(_, class)| alike(class));
                known.map_or(self.classes.len(), |(at, _)| at)
            }
        };
        if at == self.classes.len() {
            let Task { op, outcome, .. } = *task;
            self.classes.push(Class { op, outcome, target, until, ids: Vec::new() });
        }
        let class = &mut self.classes[at];
        class.until = class.until.max(until);
        class.ids.push(task.id);
        Some(at as u32)
    }
}

/// Whether the outcomes admit the same: of two that are not known the causes do not matter.
fn same<R: PartialEq>(a: &Outcome<R>, b: &Outcome<R>) -> bool {
    a == b || a.is_info() && b.is_info()
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
