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

    pub(super) fn len(&self) -> usize {
        self.steps.len()
    }

    /// Forgets all steps but those that lead to these, and renumbers these in place.
    pub(super) fn keep<'a>(&mut self, last: impl Iterator<Item = &'a mut u32>) {
        let mut numbers = vec![0; self.steps.len() + 1];
        let last: Vec<&mut u32> = last.collect();
        for at in &last {
            let mut at = **at as usize;
            while at > 0 && std::mem::replace(&mut numbers[at], 1) == 0 {
                at = self.steps[at - 1].0 as usize;
            }
        }
        // A step stands after the one before it, which has its new number already.
        let mut count = 0;
        for at in 1..numbers.len() {
            if numbers[at] > 0 {
                let (before, what) = self.steps[at - 1];
                self.steps[count] = (numbers[before as usize], what);
                count += 1;
                numbers[at] = count as u32;
            }
        }
        self.steps.truncate(count);
        last.into_iter().for_each(|at| *at = numbers[*at as usize]);
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

#[cfg(test)]
mod tests {
    use super::*;

    /// What led to a step, the latest first.
    fn back(trace: &Trace, mut at: u32) -> Vec<Traced> {
        let mut steps = Vec::new();
        while let Some((before, what)) = at.checked_sub(1).map(|i| trace.steps[i as usize]) {
            steps.push(what);
            at = before;
        }
        steps
    }

    #[test]
    fn what_is_kept_keeps_all_that_led_to_it() {
        let mut trace = Trace::new();
        let (mut common, mut forgotten) = (0, 0);
        (0..3).for_each(|i| trace.note(&mut common, Traced::Required(i)));
        (0..9).for_each(|i| trace.note(&mut forgotten, Traced::Doubtful(i)));
        let (mut one, mut other, mut none) = (common, common, 0);
        trace.note(&mut one, Traced::Required(7));
        (4..6).for_each(|i| trace.note(&mut other, Traced::Unseen(i)));
        let before = [one, other, none].map(|at| back(&trace, at));
        assert_eq!((trace.len(), before[0].len(), before[1].len()), (15, 4, 5));
        trace.keep([&mut one, &mut other, &mut none].into_iter());
        assert_eq!(trace.len(), 6);
        assert_eq!([one, other, none].map(|at| back(&trace, at)), before);
    }
}
