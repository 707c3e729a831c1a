//! A model's shortcut, asked as well where a history begins to fail.
//!
//! A shortcut answers for whole histories. A prefix is a history too: what has not returned yet is in doubt
//! there, or, if it will turn out to have changed nothing, not there. A failing prefix stays failing as it
//! grows, so a binary search over the returns finds the first.

use super::Insight;
use super::search::Refuted;
use super::task::{Position, Task};

/// What a model found without search.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shortcut {
    /// There is a linearization.
    Linearizable,
    /// There is none: these operations (their [`Task::id`]) contradict each other whatever all others did, the
    /// others released. Few, and the likeliest for a witness first; none if that is not known.
    Refuted(Vec<u32>),
}

/// What a model knows of these operations without search: whether they are linearizable, or else the first
/// return that no linearization survives. `None` if it does not know.
pub(super) fn ask<M: Insight>(model: &M, tasks: &[Task<'_, M>]) -> Option<Result<(), Refuted>> {
    if model.shortcut(tasks)? == Shortcut::Linearizable {
        return Some(Ok(()));
    }
    let mut returns: Vec<(Position, u32)> =
        tasks.iter().filter(|task| !task.in_doubt()).map(|task| (task.done, task.id)).collect();
    returns.sort_unstable();
    let (mut low, mut high) = (0, returns.len().saturating_sub(1));
    while low < high {
        let middle = low.midpoint(high);
        let prefix: Vec<_> = tasks.iter().filter_map(|task| task.before(returns[middle].0)).collect();
        match model.shortcut(&prefix)? {
            Shortcut::Linearizable => low = middle + 1,
            Shortcut::Refuted(_) => high = middle,
        }
    }
    let &(at, id) = returns.get(low)?;
    Some(Err(Refuted { id, at, partial: Vec::new() }))
}
