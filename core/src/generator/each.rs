//! A generator of its own for each slot, or for each process.

use super::slots::SlotSet;
use super::turns::{Turns, ask_fused, update_fused};
use super::{Context, Event, Generator, Next};
use crate::process::{Process, Slot};
use std::collections::BTreeMap;

/// See [`each_slot`].
pub struct EachSlot<F, G>(Each<F, G>);

/// A generator made for each of the clients' slots in sight (Jepsen's each-thread), which outlives the
/// processes of its slot. Done when all are.
pub fn each_slot<F: FnMut(Slot) -> G, G>(make: F) -> EachSlot<F, G> {
    EachSlot(Each::new(make))
}

/// See [`each_process`].
pub struct EachProcess<F, G>(Each<F, G>);

/// A generator made for each process that comes to hold one of the clients' slots in sight. Done when those
/// of all present processes are and none of their operations is open.
pub fn each_process<F: FnMut(Process) -> G, G>(make: F) -> EachProcess<F, G> {
    EachProcess(Each::new(make))
}

impl<O, R, G: Generator<O, R>, F: FnMut(Slot) -> G> Generator<O, R> for EachSlot<F, G> {
    fn next(&mut self, cx: &mut Context) -> Next<O> {
        let EachSlot(Each { make, members, turns }) = self;
        Each::<F, G>::ask(members, turns, cx, |cx, slot, member| {
            let member = &mut member.get_or_insert_with(|| (cx.process(slot), Some(make(slot)))).1;
            // The end of a busy slot's generator need not wait for its operation.
            if member.is_some() && !cx.is_free(slot) { Next::Wait(None) } else { ask_fused(member, cx) }
        })
    }

    fn update(&mut self, cx: &mut Context, event: &Event<O, R>) {
        self.0.update(cx, event);
    }
}

impl<O, R, G: Generator<O, R>, F: FnMut(Process) -> G> Generator<O, R> for EachProcess<F, G> {
    fn next(&mut self, cx: &mut Context) -> Next<O> {
        let EachProcess(Each { make, members, turns }) = self;
        Each::<F, G>::ask(members, turns, cx, |cx, slot, member| {
            if !cx.is_free(slot) {
                return Next::Wait(None);
            }
            let process = cx.process(slot);
            let (owner, member) = member.get_or_insert_with(|| (process, Some(make(process))));
            if *owner != process {
                (*owner, *member) = (process, Some(make(process)));
            }
            ask_fused(member, cx)
        })
    }

    fn update(&mut self, cx: &mut Context, event: &Event<O, R>) {
        self.0.update(cx, event);
    }
}

/// Whom a member was made for, and the member until it is done.
type Member<G> = Option<(Process, Option<G>)>;

struct Each<F, G> {
    make: F,
    members: BTreeMap<Slot, Member<G>>,
    turns: Turns,
}

impl<F, G> Each<F, G> {
    fn new(make: F) -> Each<F, G> {
        Each { make, members: BTreeMap::new(), turns: Turns::default() }
    }

    fn ask<O>(
        members: &mut BTreeMap<Slot, Member<G>>,
        turns: &mut Turns,
        cx: &mut Context,
        mut ask: impl FnMut(&mut Context, Slot, &mut Member<G>) -> Next<O>,
    ) -> Next<O> {
        let slots = cx.slots().clone();
        turns.ask(slots.len() as usize, |at| {
            let slot = slots.nth_common(&slots, at as u32).expect("at is below the number of slots");
            let member = members.entry(slot).or_default();
            cx.within(&SlotSet::one(slot), false, |cx| ask(cx, slot, member))
        })
    }

    fn update<O, R>(&mut self, cx: &mut Context, event: &Event<O, R>)
    where
        G: Generator<O, R>,
    {
        if let Some(Some((_, member))) = self.members.get_mut(&event.slot) {
            cx.within(&SlotSet::one(event.slot), false, |cx| update_fused(member, cx, event));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generator::testing::*;
    use crate::generator::*;

    #[test]
    fn every_slot_has_its_own() {
        let run = quick(3, each_slot(|_| from_iter(["a", "b"])));
        let mut by_slot = run.clone();
        by_slot.sort_by_key(|line| (line.1, line.0));
        assert_eq!(
            by_slot,
            [(0, 0, "a"), (10, 0, "b"), (0, 1, "a"), (10, 1, "b"), (0, 2, "a"), (10, 2, "b")]
        );
    }

    #[test]
    fn a_slot_keeps_its_own_through_doubt_and_a_process_does_not() {
        assert_eq!(in_doubt(1, each_slot(|_| from_iter(["a", "b"]))), [(0, 0, "a"), (10, 1, "b")]);
        let anew = in_doubt(1, each_process(|_| from_iter(["a", "b"])).limit(3));
        assert_eq!(anew, [(0, 0, "a"), (10, 1, "a"), (20, 2, "a")]);
    }

    #[test]
    fn a_process_that_lives_uses_its_own_up() {
        assert_eq!(quick(1, each_process(|_| from_iter(["a", "b"]))), [(0, 0, "a"), (10, 0, "b")]);
        assert_eq!(imperfect(1, each_process(|p: Process| from_iter([p.0, p.0]))), [(0, 0, 0), (10, 0, 0)]);
        // The third operation ends in doubt: its process has had one of its two, and a new one begins.
        let lives = imperfect(1, each_process(|p: Process| from_iter([p.0; 4])).limit(6));
        assert_eq!(lives, [(0, 0, 0), (10, 0, 0), (20, 0, 0), (30, 1, 1), (40, 1, 1), (50, 1, 1)]);
    }

    #[test]
    fn a_slot_sleeps_alone() {
        let pause = || {
            sequence(vec![repeat("a").limit(1).boxed(), sleep(ns(50)).boxed(), repeat("b").limit(1).boxed()])
        };
        assert_eq!(whens(&quick(2, each_slot(move |_| pause()))), [(0, "a"), (0, "a"), (60, "b"), (60, "b")]);
    }
}
