//! What a generator may look at: the time, and which slots are free.
//!
//! A context can be narrowed to some slots ([`Context::within`]), which is how a generator is confined to
//! a part of the trial: it then sees no others, neither as free nor as busy.

use super::slots::SlotSet;
use crate::process::{Process, Slot};
use crate::random::{Rng, Seed};
use crate::time::Time;

/// What a generator may look at: the time, and which slots are free.
#[derive(Clone, Debug)]
pub struct Context {
    /// The time now.
    pub now: Time,
    processes: Vec<Process>,
    free: SlotSet,
    scope: SlotSet,
    nemesis: bool,
    retired: u64,
    rng: Rng,
    draw: u64,
}

impl Context {
    /// The slot of the nemesis: it takes any number of faults and is never busy.
    pub const NEMESIS: Slot = Slot(u32::MAX);

    /// All slots free, slot `i` held by process `i`, time zero.
    pub fn new(concurrency: u32) -> Context {
        Context {
            now: Time::ZERO,
            processes: (0..concurrency).map(Process).collect(),
            free: SlotSet::first(concurrency),
            scope: SlotSet::first(concurrency),
            nemesis: true,
            retired: 0,
            rng: Seed(0).rng(),
            draw: 0,
        }
        .seeded(Seed(0))
    }

    /// The same, with the slots drawn from this seed.
    pub fn seeded(mut self, seed: Seed) -> Context {
        self.rng = seed.stream("slots").rng();
        self.draw = self.rng.next_u64();
        self
    }

    /// How many operations may be open at once, in all the trial.
    pub fn concurrency(&self) -> u32 {
        self.processes.len() as u32
    }

    /// Whether the slot is free. That of the nemesis always is.
    pub fn is_free(&self, slot: Slot) -> bool {
        slot == Context::NEMESIS || self.free.contains(slot)
    }

    /// The process that holds the slot now.
    pub fn process(&self, slot: Slot) -> Process {
        if slot == Context::NEMESIS { Process::NEMESIS } else { self.processes[slot.0 as usize] }
    }

    /// The clients' slots in sight, free or not.
    pub fn slots(&self) -> &SlotSet {
        &self.scope
    }

    /// Whether the nemesis is in sight.
    pub fn sees_nemesis(&self) -> bool {
        self.nemesis
    }

    /// A free slot of a client, each of those in sight with the same chance; `None` if all are busy. The
    /// answer stays the same until an operation is invoked or ends, however often one asks. Chance and not
    /// rotation, because a rotation would marry a regular generator's operations to certain nodes.
    pub fn pick(&self) -> Option<Slot> {
        let count = self.free.common(&self.scope);
        let n = (u128::from(self.draw) * u128::from(count)) >> 64;
        self.free.nth_common(&self.scope, n as u32)
    }

    /// Whether every slot in sight is free.
    pub fn all_free(&self) -> bool {
        self.scope.is_within(&self.free)
    }

    /// Whether anyone in sight could do something now: a client, or where there is none the nemesis.
    pub fn any_free(&self) -> bool {
        self.free.common(&self.scope) > 0 || (self.nemesis && self.scope.is_empty())
    }

    /// How many processes have ended in doubt so far.
    pub fn retired(&self) -> u64 {
        self.retired
    }

    /// What `look` answers when it sees only these of the slots in sight, and the nemesis only if `nemesis`.
    pub fn within<T>(&mut self, slots: &SlotSet, nemesis: bool, look: impl FnOnce(&mut Context) -> T) -> T {
        let narrower = self.scope.and(slots);
        let scope = std::mem::replace(&mut self.scope, narrower);
        let saw = self.nemesis;
        self.nemesis &= nemesis;
        let answer = look(self);
        self.scope = scope;
        self.nemesis = saw;
        answer
    }

    /// Marks the slot busy: its operation was invoked. For runners.
    pub fn occupy(&mut self, slot: Slot) {
        if slot != Context::NEMESIS {
            self.free.remove(slot);
        }
        self.draw = self.rng.next_u64();
    }

    /// Marks the slot free: its operation ended; `retire` if it ended in doubt. For runners.
    pub fn release(&mut self, slot: Slot, retire: bool) {
        if slot == Context::NEMESIS {
            return;
        }
        self.free.insert(slot);
        if retire {
            let concurrency = self.concurrency();
            let process = &mut self.processes[slot.0 as usize];
            *process = process.successor(concurrency);
            self.retired += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_free_slot_has_its_turn() {
        let mut cx = Context::new(20);
        cx.occupy(Slot(7));
        let mut picked = [0; 20];
        for _ in 0..19_000 {
            let slot = cx.pick().expect("19 are free");
            assert_eq!(cx.pick(), Some(slot), "asking changes nothing");
            picked[slot.0 as usize] += 1;
            cx.occupy(slot);
            cx.release(slot, false);
        }
        assert_eq!(picked[7], 0);
        assert!((0..20).filter(|&i| i != 7).all(|i| (850..1150).contains(&picked[i])), "{picked:?}");
    }

    #[test]
    fn a_narrowed_context_shows_nothing_else() {
        let mut cx = Context::new(4);
        let (low, one): (SlotSet, SlotSet) = (SlotSet::first(2), SlotSet::one(Slot(1)));
        cx.occupy(Slot(1));
        cx.within(&low, false, |cx| {
            assert_eq!((cx.slots().len(), cx.pick(), cx.sees_nemesis()), (2, Some(Slot(0)), false));
            assert!(!cx.all_free() && cx.any_free());
            cx.within(&one, true, |cx| {
                assert_eq!((cx.pick(), cx.any_free(), cx.sees_nemesis()), (None, false, false));
            });
            assert_eq!(cx.slots().len(), 2);
        });
        assert_eq!((cx.slots().len(), cx.sees_nemesis()), (4, true));
    }

    #[test]
    fn a_slot_goes_on_as_another_process_after_doubt() {
        let mut cx = Context::new(3);
        cx.occupy(Slot(2));
        assert!(!cx.is_free(Slot(2)));
        cx.release(Slot(2), true);
        assert!(cx.is_free(Slot(2)));
        assert_eq!((cx.process(Slot(2)), cx.process(Slot(1)), cx.retired()), (Process(5), Process(1), 1));
        cx.occupy(Slot(2));
        cx.release(Slot(2), false);
        assert_eq!(cx.process(Slot(2)), Process(5));
    }

    #[test]
    fn the_nemesis_is_never_busy_and_never_retired() {
        let mut cx = Context::new(1);
        cx.occupy(Context::NEMESIS);
        assert!(cx.is_free(Context::NEMESIS));
        cx.release(Context::NEMESIS, true);
        assert_eq!(cx.process(Context::NEMESIS), Process::NEMESIS);
    }
}
