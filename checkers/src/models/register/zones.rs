//! Registers in which every value is set once: an exact answer in time n log n.
//!
//! A read names its write, and a cas the one that it follows, so the operations fall into *chains*: a
//! write, the reads of its value, the cas from that value, the reads of the new one, and so on. In every
//! linearization a chain stands in one piece. Let `f` be the first return in a chain and `s` its last call.
//! If `f < s` the chain holds the register from `f` to `s` (a forward zone); otherwise it fits into any
//! point between `s` and `f` (a backward zone). The history is linearizable if and only if each chain is in
//! order within itself, no two forward zones overlap, and no backward zone lies inside a forward one
//! (Gibbons & Korach 1997, section 4, for completed operations; Golab, Li & Shah 2011 call them zones).
//!
//! Those that break this rule contradict each other, whenever all others happened: two operations out of
//! order in a chain, or the first return and the last call of each of two chains.
//!
//! Values that are set twice leave the answer open, to the search.

use super::chains::{Chain, Chains, Stop};
use super::{Register, refusals};
use crate::linearizability::{NEVER, Position, Shortcut, Task};

/// Whether the operations of one register are linearizable; `None` if this cannot tell.
pub(super) fn shortcut(register: &Register, tasks: &[Task<'_, Register>]) -> Option<Shortcut> {
    let mut chains = match Chains::new(register, tasks) {
        Ok(chains) => chains,
        Err(Stop::Ambiguous) => return None,
        Err(Stop::Impossible(id)) => return Some(Shortcut::Refuted(vec![id])),
    };
    match chains.link().and_then(|()| Zones::new(&chains)) {
        Err(contradiction) => Some(Shortcut::Refuted(contradiction.among(tasks, &chains))),
        Ok(_) if chains.silent.is_empty() => Some(Shortcut::Linearizable),
        Ok(zones) => match refusals::place(&mut chains, zones) {
            refusals::Answer::Fit => Some(Shortcut::Linearizable),
            refusals::Answer::Open => None,
            refusals::Answer::Contradict(among) => {
                Some(Shortcut::Refuted(among.map_or_else(Vec::new, |c| c.among(tasks, &chains))))
            }
        },
    }
}

/// Operations that contradict each other, by one end of each: its return, or its call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Contradiction {
    ends: Vec<Position>,
}

impl Contradiction {
    pub(super) fn of(ends: impl IntoIterator<Item = Position>) -> Contradiction {
        Contradiction { ends: ends.into_iter().collect() }
    }

    /// The numbers of these operations.
    fn among(&self, tasks: &[Task<'_, Register>], chains: &Chains<'_>) -> Vec<u32> {
        let has = |end: Position| end != 0 && end != NEVER && self.ends.contains(&end);
        let concerned =
            tasks.iter().filter(|task| has(task.call) || has(task.done) || chains.might_set(task));
        concerned.map(|task| task.id).collect()
    }
}

/// Chains that fit together.
#[derive(Default)]
pub(super) struct Zones {
    /// In the order of time; no two overlap.
    pub forward: Vec<Chain>,
    /// None lies inside a forward one.
    pub backward: Vec<Chain>,
}

impl Zones {
    /// Sorts the chains into zones, or says which of them do not fit together.
    pub(super) fn new(chains: &Chains<'_>) -> Result<Zones, Contradiction> {
        let mut zones = Zones::default();
        chains.each(|chain| match chain {
            // Nothing but the initial value, unseen.
            Chain { last_call: 0, .. } => {}
            chain if chain.is_forward() => zones.forward.push(chain),
            chain => zones.backward.push(chain),
        })?;
        zones.forward.sort_by_key(|chain| chain.first_return);
        let overlap = zones.forward.windows(2).find(|pair| pair[1].first_return < pair[0].last_call);
        if let Some(pair) = overlap {
            return Err(chains.clash(&pair[0], &pair[1]));
        }
        let mut near = 0;
        let inside = zones.backward.iter().filter_map(|chain| {
            let around = zones.around(chain.last_call, &mut near)?;
            (chain.first_return < around.last_call).then_some((chain, around))
        });
        match inside.min_by_key(|(chain, _)| chain.first_return) {
            Some((chain, around)) => Err(chains.clash(around, chain)),
            None => Ok(zones),
        }
    }

    /// The last forward zone that begins before `at`. `near` is where the one asked for before was found:
    /// chains come almost in the order of time, so that a few steps from there lead to it.
    pub(super) fn around(&self, at: Position, near: &mut usize) -> Option<&Chain> {
        let begins_before = |i: usize| self.forward.get(i).is_some_and(|zone| zone.first_return < at);
        let mut steps = 0;
        while steps < 8 && begins_before(*near) {
            *near += 1;
            steps += 1;
        }
        while steps < 8 && *near > 0 && !begins_before(*near - 1) {
            *near -= 1;
            steps += 1;
        }
        if steps == 8 {
            *near = self.forward.partition_point(|zone| zone.first_return < at);
        }
        near.checked_sub(1).map(|i| &self.forward[i])
    }
}
