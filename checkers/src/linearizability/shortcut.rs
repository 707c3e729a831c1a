//! A model's shortcut, asked as well where a history begins to fail.
//!
//! A shortcut answers for whole histories. A prefix is a history too: what has not returned yet is in doubt
//! there, or, if it will turn out to have changed nothing, not there. A failing prefix stays failing as it
//! grows, so its end can be searched for. What contradicts itself does so when the last of it has returned:
//! that bounds the end from above, and mostly nothing shorter fails.

use super::Insight;
use super::pace::Pace;
use super::search::Refuted;
use super::task::{NEVER, Position, Task};
use elenchus_core::outcome::Outcome;

/// What a model found without search.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shortcut {
    /// There is a linearization.
    Linearizable,
    /// There is none: these operations (their [`Task::id`]) contradict each other whatever all others did, the
    /// others released. Few, and the likeliest for a witness first; none if that is not known.
    Refuted(Vec<u32>),
    /// There is none, and the first return that no linearization survives is that of this operation (its
    /// [`Task::id`]).
    RefutedAt(u32),
}

impl Shortcut {
    /// The same, but not saying which return is the first that no linearization survives.
    pub(crate) fn anywhere(self) -> Shortcut {
        if let Shortcut::RefutedAt(_) = self { Shortcut::Refuted(Vec::new()) } else { self }
    }
}

/// What a model knows of these operations without search: whether they are linearizable, or else the first
/// return that no linearization survives (or a later one, if the time ended before it was found). `None` if it does
/// not know, or not in time.
pub(super) fn ask<M: Insight>(
    model: &M,
    tasks: &[Task<'_, M>],
    pace: &Pace<'_>,
) -> Option<Result<(), Refuted>> {
    match pace.ask(model, tasks).ok()?? {
        Shortcut::Linearizable => Some(Ok(())),
        Shortcut::Refuted(ids) => first_failure(model, tasks, &ids, pace).map(Err),
        Shortcut::RefutedAt(id) => failed_at(tasks, id).map(Err),
    }
}

/// The operations as they were known once `end` was logged. Unlike in [`Task::before`], those that were called
/// later are there, in doubt: they cannot explain what returned before, but they can be a part of what
/// contradicts it.
pub(super) fn until<'h, M: Insight>(mut tasks: Vec<Task<'h, M>>, end: Position) -> Vec<Task<'h, M>> {
    tasks.retain(|task| task.done <= end || !matches!(task.outcome, Outcome::Fail(_)));
    tasks.iter_mut().filter(|task| task.done > end).for_each(|task| task.done = NEVER);
    tasks
}

/// The operations as they were known once `end` was logged, those that were called by then.
fn prefix<'h, M: Insight>(tasks: &[Task<'h, M>], end: Position) -> Vec<Task<'h, M>> {
    let called = tasks.partition_point(|task| task.call <= end);
    let mut prefix = Vec::with_capacity(called);
    prefix.extend(tasks[..called].iter().filter_map(|task| task.before(end)));
    prefix
}

/// Where operations that are not linearizable begin to fail; `ids` are some that contradict each other. `None`
/// if the model cannot tell of some prefix.
fn first_failure<M: Insight>(
    model: &M,
    tasks: &[Task<'_, M>],
    ids: &[u32],
    pace: &Pace<'_>,
) -> Option<Refuted> {
    let returned = tasks.iter().filter(|task| !task.in_doubt());
    let mut returns: Vec<Position> = Vec::with_capacity(returned.clone().count());
    returns.extend(returned.map(|task| task.done));
    returns.sort_unstable();
    let last = |tasks: &[Task<'_, M>], ids: &[u32]| {
        last_return(tasks, ids).map(|done| returns.partition_point(|other| *other < done))
    };
    // What returned before `low` is linearizable, and what returned up to `high` is not.
    let (mut low, mut high) = (0, last(tasks, ids).unwrap_or(returns.len().saturating_sub(1)));
    let (mut guided, mut step) = (!ids.is_empty(), 1);
    while low < high {
        let middle = if guided { high - step.min(high - low) } else { low.midpoint(high) };
        let prefix = prefix(tasks, returns[middle]);
        let Ok(answer) = pace.ask(model, &prefix) else { break };
        match answer? {
            Shortcut::Linearizable => (low, guided) = (middle + 1, false),
            Shortcut::RefutedAt(id) => return failed_at(&prefix, id),
            Shortcut::Refuted(ids) => {
                high = last(&prefix, &ids).map_or(middle, |last| last.min(middle));
                step *= 2;
            }
        }
    }
    let at = *returns.get(high)?;
    let id = tasks.iter().find(|task| task.done == at)?.id;
    Some(Refuted { id, at, partial: Vec::new() })
}

/// A return by which these operations have failed, if the model knows that they do: perhaps not the first.
pub(super) fn failure<M: Insight>(model: &M, tasks: &[Task<'_, M>]) -> Option<Refuted> {
    let ids = match model.shortcut(tasks)? {
        Shortcut::Linearizable => return None,
        Shortcut::Refuted(ids) => ids,
        Shortcut::RefutedAt(id) => return failed_at(tasks, id),
    };
    let returned = tasks.iter().filter(|task| !task.in_doubt());
    let at = last_return(tasks, &ids).or_else(|| returned.map(|task| task.done).max())?;
    let id = tasks.iter().find(|task| task.done == at)?.id;
    Some(Refuted { id, at, partial: Vec::new() })
}

/// The failure at the return of this operation.
fn failed_at<M: Insight>(tasks: &[Task<'_, M>], id: u32) -> Option<Refuted> {
    let at = tasks.iter().find(|task| task.id == id)?.done;
    Some(Refuted { id, at, partial: Vec::new() })
}

/// More operations than these are no hint.
const HINT_MAX: usize = 32;

/// The last return of these operations, if there are few.
fn last_return<M: Insight>(tasks: &[Task<'_, M>], ids: &[u32]) -> Option<Position> {
    let few = ids.len() <= HINT_MAX;
    let returned = tasks.iter().filter(|task| few && !task.in_doubt() && ids.contains(&task.id));
    returned.map(|task| task.done).max()
}
