//! Which operations a configuration put in, and in which order.

use super::meter::grown;
use super::schedule::Schedule;
use elenchus_core::model::Model;

/// What one step put in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Traced {
    /// An operation that ended for certain.
    Required(u32),
    /// A blind write that ended for certain, just before the last other one, where nobody saw it.
    Unseen(u32),
    /// An operation in doubt of this class.
    Doubtful(u32),
}

/// The steps of all configurations, each linked to the one before.
pub(super) struct Trace {
    /// The step before, counted from 1, and what was put in.
    steps: Vec<(u32, Traced)>,
}

impl Trace {
    pub(super) fn new() -> Trace {
        Trace { steps: Vec::new() }
    }

    pub(super) fn bytes(&self) -> usize {
        grown(&self.steps)
    }

    /// Adds a step after the one that `last` names, and names it there.
    pub(super) fn note(&mut self, last: &mut u32, what: Traced) {
        self.steps.push((*last, what));
        *last = self.steps.len() as u32;
    }

    /// The numbers of the operations of a linearization that ends with this step, in its order.
    pub(super) fn order<M: Model>(&self, model: &M, schedule: &Schedule<'_, M>, last: u32) -> Vec<u32> {
        let (mut steps, mut at) = (Vec::new(), last);
        while let Some((before, what)) = at.checked_sub(1).map(|i| self.steps[i as usize]) {
            steps.push(what);
            at = before;
        }
        let mut used = vec![0; schedule.classes.len()];
        let (mut order, mut unseen_go) = (Vec::new(), 0);
        for step in steps.into_iter().rev() {
            match step {
                Traced::Unseen(required) => {
                    order.insert(unseen_go, schedule.required[required as usize].id);
                    unseen_go += 1;
                }
                Traced::Required(required) => {
                    let task = &schedule.required[required as usize];
                    if schedule.blind_target(model, task).is_some() {
                        unseen_go = order.len();
                    }
                    order.push(task.id);
                }
                Traced::Doubtful(class) => {
                    let Some(id) = schedule.classes[class as usize].ids.get(used[class as usize]) else {
                        continue;
                    };
                    used[class as usize] += 1;
                    if schedule.classes[class as usize].target.is_some() {
                        unseen_go = order.len();
                    }
                    order.push(*id);
                }
            }
        }
        order
    }
}
