//! An order of chains that fit together: a linearization.
//!
//! Forward zones stand in their order. A backward one stands where its last call is, or, if that lies inside a
//! forward zone, behind that. Every value is set as early as it then can be: right after all calls that must
//! lie before, of which none comes later than a return that stands behind (that is what fits together means).

use super::Register;
use super::chains::{Chains, INITIAL, NONE, Number, Role, Silent};
use super::zones::Zones;
use crate::linearizability::{Position, Task};

/// Which value the register holds when: the places from which on, and the values.
pub(super) struct Layout(Vec<(Position, Number)>);

impl Layout {
    pub(super) fn new(chains: &Chains<'_>, zones: &Zones) -> Layout {
        let mut near = 0;
        let backward = zones.backward.iter().map(|chain| {
            let around = zones.around(chain.last_call, &mut near);
            (around.map_or(0, |zone| zone.last_call).max(chain.last_call), chain.first)
        });
        let forward = zones.forward.iter().map(|chain| (chain.first_return, chain.first));
        let mut order: Vec<(Position, Number)> = backward.chain(forward).collect();
        order.sort_unstable();
        let mut layout = Vec::with_capacity(chains.groups.len());
        if order.first().is_none_or(|(_, first)| *first != INITIAL) {
            layout.push((0, INITIAL));
        }
        let mut from = 0;
        for number in order.into_iter().flat_map(|(_, first)| chains.values(first)) {
            let group = chains.group(number);
            from = from.max(group.call);
            layout.push((from, number));
            from = from.max(group.last_read_called);
        }
        Layout(layout)
    }

    /// Where the register stands right after this.
    fn at(&self, position: Position) -> usize {
        self.0.partition_point(|(from, _)| *from <= position) - 1
    }

    /// Where a refusal, right after its call or right after the next change, meets another value than the one it
    /// expected.
    pub(super) fn room(&self, refusal: &Silent) -> Option<usize> {
        let held = self.at(refusal.call);
        if self.0[held].1 != refusal.expected {
            return Some(held);
        }
        self.0.get(held + 1).is_some_and(|(from, _)| *from < refusal.done).then_some(held + 1)
    }
}

/// An order of these operations, by their numbers, if the chains fit together and leave room for every refusal.
pub(super) fn linearization(register: &Register, tasks: &[Task<'_, Register>]) -> Option<Vec<u32>> {
    let mut chains = Chains::new(register, tasks).ok()?;
    chains.link().ok()?;
    let layout = Layout::new(&chains, &Zones::new(&chains).ok()?);
    let mut places = vec![NONE; chains.groups.len()];
    for (place, (_, number)) in (0..).zip(&layout.0) {
        places[*number as usize] = place;
    }
    let place = |value| chains.known(value).map(|number| places[number as usize]);
    // Of each value first who set it, then the others in the order of their calls.
    let mut order: Vec<((u32, bool), u32)> = Vec::with_capacity(tasks.len());
    for task in tasks {
        let rank = match Role::of(register, task) {
            Role::Absent => continue,
            Role::Sets { value, .. } => (place(value)?, false),
            Role::Sees(value) => (place(value)?, true),
            Role::Mute => (layout.at(task.call) as u32, true),
            Role::Differs(value) => {
                let refusal = Silent { expected: chains.known(value)?, call: task.call, done: task.done };
                (layout.room(&refusal)? as u32, true)
            }
            Role::Impossible => return None,
        };
        // Who set a value that nobody saw, in doubt, need not have happened.
        if rank.0 != NONE {
            order.push((rank, task.id));
        }
    }
    order.sort_by_key(|(rank, _)| *rank);
    Some(order.into_iter().map(|(_, id)| id).collect())
}
