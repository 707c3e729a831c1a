//! An element that is added once at most: an exact answer in linear time.
//!
//! Such an element is absent, then perhaps present, then perhaps absent for good: there is at most one add
//! that has an effect, at a point `a`, and after it at most one remove that has one, at a point `d`. Whoever met
//! the element has a point between `a` and `d`; whoever missed it, and every remove that says nothing, has one
//! before `a` or after `d`, or is the remove at `d` itself. Operations that change nothing do not disturb each
//! other, so nothing else matters.
//!
//! Hence `a` should be as late as it can, `U`: just before the add returns, or the first that met the element;
//! and `d` as early as it can, `L`: just after the remove was called, or the last that met the element. If
//! `L < U` the element needs to be there for a moment only, which any operation can avoid; otherwise nobody may
//! have missed it within `U` and `L`. Of several removes that may be the one at `d`, the one called first serves
//! best, if it is not over before it can have an effect. (For completed operations with answers: fastlin's
//! rule for sets; what is in doubt, or says nothing, is added here.)
//!
//! If no operation needs the element to be there, it never was, and anything goes. Elements that may have been
//! added twice are left to the search, which has two states only.

use super::{ElementOp, ElementSet, Request};
use crate::linearizability::{NEVER, Position, Shortcut};

type Task<'h> = crate::linearizability::Task<'h, ElementSet>;

/// What one operation means for an element that is added once at most.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    /// It makes the element present, if it happens.
    Adds,
    /// It found the element there and took it away.
    Removes,
    /// It takes the element away, if it is there.
    MayRemove,
    /// It found the element there, and left it.
    Met,
    /// It did not find the element.
    Missed,
    /// It tells nothing and does nothing.
    Idle,
}

fn role(task: &Task<'_>) -> Role {
    let ElementOp { request, .. } = task.op;
    match (request, task.op.met(task.outcome), task.in_doubt()) {
        (Request::Add, None | Some(false), _) => Role::Adds,
        (Request::Remove, None, _) | (Request::Remove, Some(true), true) => Role::MayRemove,
        (Request::Remove, Some(true), false) => Role::Removes,
        (_, Some(true), false) => Role::Met,
        (_, Some(false), false) => Role::Missed,
        _ => Role::Idle,
    }
}

/// Whether the operations on one element are linearizable; `None` if it may have been added twice.
pub(super) fn judge(present_at_first: bool, tasks: &[Task<'_>]) -> Option<Shortcut> {
    let story = Story::new(present_at_first, tasks)?;
    let Some(ids) = story.contradiction() else { return Some(Shortcut::Linearizable) };
    // An add that found the element there could have added it, had it been free to end otherwise.
    let vain = tasks.iter().filter(|task| task.op.request == Request::Add && role(task) != Role::Adds);
    Some(Shortcut::Refuted(each_once(ids.into_iter().chain(vain.map(|task| task.id)))))
}

fn each_once(ids: impl Iterator<Item = u32>) -> Vec<u32> {
    let mut once = Vec::new();
    ids.for_each(|id| {
        if !once.contains(&id) {
            once.push(id);
        }
    });
    once
}

/// The operations that bound the time in which the element is there.
struct Story<'t, 'h> {
    tasks: &'t [Task<'h>],
    present_at_first: bool,
    add: Option<&'t Task<'h>>,
    /// Of those that found the element there, whether they took it away or not: the first to return.
    first_met: Option<&'t Task<'h>>,
    /// Of those that found the element there and left it: the last to be called.
    last_met: Option<&'t Task<'h>>,
    /// Those that took it away for certain: two at most are kept.
    removes: [Option<&'t Task<'h>>; 2],
}

impl<'t, 'h> Story<'t, 'h> {
    fn new(present_at_first: bool, tasks: &'t [Task<'h>]) -> Option<Story<'t, 'h>> {
        let (add, first_met, last_met, removes) = (None, None, None, [None; 2]);
        let mut story = Story { tasks, present_at_first, add, first_met, last_met, removes };
        for task in tasks {
            match role(task) {
                Role::Adds if story.present_at_first || story.add.is_some() => return None,
                Role::Adds => story.add = Some(task),
                Role::Met => {
                    story.meet(task);
                    if story.last_met.is_none_or(|last| last.call < task.call) {
                        story.last_met = Some(task);
                    }
                }
                Role::Removes => {
                    story.meet(task);
                    let place = usize::from(story.removes[0].is_some());
                    story.removes[place] = Some(task);
                }
                Role::MayRemove | Role::Missed | Role::Idle => {}
            }
        }
        Some(story)
    }

    fn meet(&mut self, task: &'t Task<'h>) {
        if self.first_met.is_none_or(|first| task.done < first.done) {
            self.first_met = Some(task);
        }
    }

    /// Operations that contradict each other whatever all others did; `None` if there is a linearization.
    fn contradiction(&self) -> Option<Vec<u32>> {
        let ids = |tasks: &[Option<&Task<'_>>]| tasks.iter().flatten().map(|task| task.id).collect();
        let (add, first_met) = (self.add, self.first_met);
        if first_met.is_none() && !self.present_at_first && add.is_none_or(|add| add.in_doubt()) {
            return None;
        }
        if !self.present_at_first {
            match (add, first_met) {
                (None, met) => return Some(ids(&[met])),
                (Some(add), Some(met)) if met.done < add.call => return Some(ids(&[Some(add), Some(met)])),
                _ => {}
            }
        }
        if let [Some(one), Some(other)] = self.removes {
            return Some(vec![one.id, other.id]);
        }
        let until = self.removes[0].or_else(|| self.earliest_remove());
        let over = until.map_or(NEVER, |remove| remove.done);
        for before in [add, self.last_met].into_iter().flatten() {
            if over < before.call {
                return Some(ids(&[until, Some(before)]));
            }
        }
        self.intruder(until)
    }

    /// Of the removes that may have taken the element away, the one called first.
    fn earliest_remove(&self) -> Option<&'t Task<'h>> {
        let needed = [self.add, self.last_met].into_iter().flatten().map(|task| task.call).max().unwrap_or(0);
        self.tasks.iter().find(|task| role(task) == Role::MayRemove && task.done > needed)
    }

    /// Who missed the element although it was there all the time, with those that prove it.
    fn intruder(&self, until: Option<&'t Task<'h>>) -> Option<Vec<u32>> {
        let by_add = if self.present_at_first { 0 } else { self.add.map_or(NEVER, |add| add.done) };
        let by_meeting = self.first_met.map_or(NEVER, |met| met.done);
        let there_from = by_add.min(by_meeting);
        let last_met: Position = self.last_met.map_or(0, |met| met.call);
        let removed = until.map_or(NEVER, |remove| remove.call);
        let there_until = removed.max(last_met);
        let misses = |task: &&Task<'_>| {
            let role = role(task);
            let certain = !task.in_doubt();
            let missed = role == Role::Missed || (role == Role::MayRemove && certain);
            missed && task.call > there_from && task.done < there_until
        };
        let intruder = self.tasks.iter().find(misses)?;
        let mut ids = vec![intruder.id];
        ids.extend(if by_meeting < by_add { self.first_met } else { self.add }.map(|task| task.id));
        if intruder.done < last_met {
            ids.extend(self.last_met.map(|task| task.id));
        } else if let Some(remove) = self.removes[0] {
            ids.push(remove.id);
        } else {
            // Had any other remove been possible before, it would have been the one at `d`.
            let bounds = self.add.iter().chain(&self.last_met).map(|task| task.id);
            let removes = self.tasks.iter().filter(|task| task.op.request == Request::Remove);
            ids.extend(bounds.chain(removes.map(|task| task.id)));
        }
        Some(ids)
    }
}
