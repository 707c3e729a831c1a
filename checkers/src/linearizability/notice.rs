//! Who could notice that an object is in some state, and until when.
//!
//! A state is noticed by an operation whose outcome depends on the state it meets: a read, a cas, a
//! refusal; not by a blind write. An operation in doubt notices too, but only as long as somebody could
//! notice what it makes of the state, so that the answer is a fixpoint. Two things follow, both by taking
//! an operation out of a linearization, or by putting another one in its place:
//! - an operation in doubt can be left out if nobody could notice the state it leads to;
//! - states that nobody can notice any more are all the same.
//!
//! A model's `source` makes looking up quick; what has none is tried against each state. A refusal that
//! does not say what it saw notices almost everything.

use super::meter::{Meter, Spent};
use super::task::{NEVER, Position, Task};
use elenchus_core::model::Model;
use std::collections::HashMap;

/// More pairs of state and observer than this are not tried: everything counts as noticed then.
const PAIRS_MAX: usize = 20_000_000;
/// With more observers without a source than this, states are not looked up while the search runs.
const UNBOUND_MAX: usize = 64;

/// The observers of one key's operations.
pub(super) struct Notice<'h, M: Model> {
    /// The last return of an operation with this source.
    sources: HashMap<M::State, Position>,
    /// Those without a source, the last to return first.
    unbound: Vec<Task<'h, M>>,
    /// How long an operation in doubt with this source could be noticed.
    doubtful_sources: HashMap<M::State, Position>,
    /// Those in doubt without a source, and how long they could be noticed.
    doubtful_unbound: Vec<(Task<'h, M>, Position)>,
}

impl<'h, M: Model> Notice<'h, M> {
    /// The observers among the operations that ended for certain and those in doubt; and of each of the
    /// latter, until when somebody could notice that it happened.
    pub(super) fn new(
        model: &M,
        required: &[Task<'h, M>],
        doubtful: &[Task<'h, M>],
        meter: &mut Meter<'_>,
    ) -> Result<(Notice<'h, M>, Vec<Position>), Spent> {
        let mut notice = Notice {
            sources: HashMap::new(),
            unbound: Vec::new(),
            doubtful_sources: HashMap::new(),
            doubtful_unbound: Vec::new(),
        };
        for task in required.iter().filter(|task| task.observes(model)) {
            match model.source(task.op, task.outcome) {
                None => notice.unbound.push(task.clone()),
                Some(state) => {
                    let last = notice.sources.entry(state).or_insert(0);
                    *last = task.done.max(*last);
                }
            }
        }
        notice.unbound.sort_by_key(|task| std::cmp::Reverse(task.done));
        let until = notice.close(model, doubtful, meter)?;
        Ok((notice, until))
    }

    /// The last return that could notice this state; [`NEVER`] where that would take too long to say.
    pub(super) fn last(&self, model: &M, state: &M::State) -> Position {
        if self.unbound.len() + self.doubtful_unbound.len() > UNBOUND_MAX {
            return NEVER;
        }
        let through = self.doubtful_unbound.iter().filter(|(task, _)| task.can_change(model, state));
        let last = through.map(|(_, until)| *until).max().unwrap_or(0);
        last.max(self.direct(model, state)).max(self.doubtful_sources.get(state).copied().unwrap_or(0))
    }

    /// The last return of an operation that ended for certain and can follow this state.
    fn direct(&self, model: &M, state: &M::State) -> Position {
        let bound = self.sources.get(state).copied().unwrap_or(0);
        let later = self.unbound.iter().take_while(|task| task.done > bound);
        later.into_iter().find(|task| task.can_follow(model, state)).map_or(bound, |task| task.done)
    }

    /// Finds for each operation in doubt until when it is noticed, and enters those that notice.
    fn close(
        &mut self,
        model: &M,
        doubtful: &[Task<'h, M>],
        meter: &mut Meter<'_>,
    ) -> Result<Vec<Position>, Spent> {
        let (targets, target_of) = distinct_targets(model, doubtful);
        let links: Vec<usize> = (0..doubtful.len()).filter(|i| doubtful[*i].observes(model)).collect();
        let sources: Vec<Option<M::State>> =
            links.iter().map(|i| model.source(doubtful[*i].op, doubtful[*i].outcome)).collect();
        let unbound: Vec<usize> =
            links.iter().zip(&sources).filter(|(_, source)| source.is_none()).map(|(i, _)| *i).collect();
        let all = targets.len().saturating_mul(self.unbound.len() + unbound.len()) > PAIRS_MAX;
        let mut noticed = vec![if all { NEVER } else { 0 }; targets.len()];
        // Which operations in doubt each target enables.
        let mut enables: Vec<Vec<usize>> = vec![Vec::new(); targets.len()];
        for (target, state) in targets.iter().enumerate().filter(|_| !all) {
            meter.tick()?;
            noticed[target] = self.direct(model, state);
            enables[target].extend(unbound.iter().filter(|i| doubtful[**i].can_change(model, state)));
        }
        let numbers: HashMap<&M::State, usize> = targets.iter().zip(0..).collect();
        for (i, source) in links.iter().zip(&sources) {
            if let Some(target) = source.as_ref().and_then(|state| numbers.get(state)) {
                enables[*target].push(*i);
            }
        }
        spread(&mut noticed, &enables, &target_of, meter)?;
        let until: Vec<Position> =
            target_of.iter().map(|target| target.map_or(NEVER, |t| noticed[t])).collect();
        for (i, source) in links.into_iter().zip(sources) {
            match source {
                None => self.doubtful_unbound.push((doubtful[i].clone(), until[i])),
                Some(state) => {
                    let last = self.doubtful_sources.entry(state).or_insert(0);
                    *last = until[i].max(*last);
                }
            }
        }
        Ok(until)
    }
}

/// What is noticed through an operation in doubt is noticed as long as that one is: a fixpoint.
fn spread(
    noticed: &mut [Position],
    enables: &[Vec<usize>],
    target_of: &[Option<usize>],
    meter: &mut Meter<'_>,
) -> Result<(), Spent> {
    loop {
        let mut grown = false;
        for target in 0..noticed.len() {
            meter.tick()?;
            let until = |i: &usize| target_of[*i].map_or(NEVER, |target| noticed[target]);
            let through = enables[target].iter().map(until).max().unwrap_or(0);
            grown |= through > noticed[target];
            noticed[target] = noticed[target].max(through);
        }
        if !grown {
            return Ok(());
        }
    }
}

/// The states in which operations in doubt can leave the object, each once, and which of them each does.
fn distinct_targets<M: Model>(model: &M, doubtful: &[Task<'_, M>]) -> (Vec<M::State>, Vec<Option<usize>>) {
    let mut targets: Vec<M::State> = Vec::new();
    let mut numbers = HashMap::new();
    let mut number = |state: M::State| {
        *numbers.entry(state.clone()).or_insert_with(|| {
            targets.push(state);
            targets.len() - 1
        })
    };
    let of = doubtful.iter().map(|task| model.target(task.op).map(&mut number)).collect();
    (targets, of)
}
