//! From operations that contradict each other to few of them.
//!
//! Whether a handful of operations contradict each other, all others released, depends on few of the others:
//! of those that put in one of the same values, and of how many there are that may have taken any value. So
//! the question is asked of a small history, and asked again for every member left out.

use super::{Ask, Deed, Fact, NOBODY, Seen, members};
use crate::linearizability::NEVER;
use std::collections::HashSet;
use std::hash::Hash;

/// More than this are not made fewer: it would cost more than it is worth.
const MEMBERS_MAX: usize = 64;

/// The small history of some operations and of whatever could excuse them.
struct Small<V> {
    initial: Vec<V>,
    /// The operations themselves, and all that put in one of their values.
    facts: Vec<Fact<V>>,
    /// How many operations there are that take something.
    takes: usize,
}

/// Of operations that contradict each other, unless others that took something excuse them, a set that
/// contradicts itself whatever all others did. `refutes` says whether a history, in the order of its calls,
/// is certainly not linearizable.
pub(in crate::models) fn reduced<V: Copy + Eq + Hash>(
    initial: &[V],
    facts: impl Iterator<Item = Fact<V>> + Clone,
    core: Vec<u32>,
    refutes: impl Fn(&[V], &[Fact<V>]) -> bool,
) -> Vec<u32> {
    let core = members(core);
    if core.is_empty() {
        return core;
    }
    let small = Small::new(initial, facts.clone(), &core);
    // Released, a refused one may have put in one of the values a second time.
    let core = members(core.into_iter().chain(small.refused()));
    let contradicts = |ids: &[u32]| refutes(&small.initial, &small.with_released(ids));
    if !contradicts(&core) {
        // Nothing less than all that take keeps them from having taken what is too much.
        let takes = facts.filter(|fact| fact.asks == Ask::Take).map(|fact| fact.id);
        return members(core.into_iter().chain(takes));
    }
    if core.len() > MEMBERS_MAX {
        return core;
    }
    let mut kept = core.clone();
    for id in core.iter().rev() {
        let without: Vec<u32> = kept.iter().copied().filter(|other| other != id).collect();
        if contradicts(&without) {
            kept = without;
        }
    }
    kept
}

impl<V: Copy + Eq + Hash> Small<V> {
    fn new(initial: &[V], facts: impl Iterator<Item = Fact<V>> + Clone, core: &[u32]) -> Small<V> {
        let core: HashSet<u32> = core.iter().copied().collect();
        let own = facts.clone().filter(|fact| core.contains(&fact.id));
        let values: HashSet<V> = own.filter_map(|fact| fact.value()).collect();
        let takes = facts.clone().filter(|fact| fact.asks == Ask::Take).count();
        let matters = |fact: &Fact<V>| match fact.asks {
            Ask::Add(value) => values.contains(&value),
            Ask::Take | Ask::Look => core.contains(&fact.id),
        };
        let initial = initial.iter().copied().filter(|value| values.contains(value)).collect();
        Small { initial, facts: facts.filter(matters).collect(), takes }
    }

    /// Those that were asked to put in a value and did not.
    fn refused(&self) -> impl Iterator<Item = u32> {
        let is_refused = |fact: &&Fact<V>| matches!((fact.asks, fact.deed), (Ask::Add(_), Deed::Look(_)));
        self.facts.iter().filter(is_refused).map(|fact| fact.id)
    }

    /// The history in which all but these are released.
    fn with_released(&self, held: &[u32]) -> Vec<Fact<V>> {
        let held: HashSet<u32> = held.iter().copied().collect();
        let is_held = |fact: &&Fact<V>| held.contains(&fact.id);
        let held_takes = self.facts.iter().filter(is_held).filter(|fact| fact.asks == Ask::Take).count();
        // More free takes than values make no difference.
        let free = (self.takes - held_takes).min(self.facts.len() + self.initial.len());
        let take =
            Fact { deed: Deed::Take(Seen::Unknown), call: 0, done: NEVER, id: NOBODY, asks: Ask::Take };
        let released = self.facts.iter().filter(|fact| !is_held(fact)).filter_map(|fact| match fact.asks {
            Ask::Add(value) => Some(Fact { deed: Deed::Add(value), call: 0, done: NEVER, ..*fact }),
            Ask::Take | Ask::Look => None,
        });
        let mut history: Vec<Fact<V>> = std::iter::repeat_n(take, free).chain(released).collect();
        history.extend(self.facts.iter().filter(is_held));
        history
    }
}
