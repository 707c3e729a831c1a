//! Many independent objects, each with a generator of its own.
//!
//! A history of one object must stay short for its checker, a trial should not: so a trial works through
//! many objects, one after the other or several at once. The generators are made from the object's index;
//! they put the key into their operations themselves.

use super::slots::SlotSet;
use super::turns::{Turns, update_fused};
use super::{Context, Event, Generator, Next};

/// See [`sequential`].
pub struct Sequential<F, G> {
    keys: Keys<F>,
    current: Option<G>,
}

/// The generators of the objects `0..count`, one after the other on all slots in sight.
pub fn sequential<F: FnMut(u64) -> G, G>(count: u64, make: F) -> Sequential<F, G> {
    Sequential { keys: Keys { next: 0, count, make }, current: None }
}

impl<O, R, G: Generator<O, R>, F: FnMut(u64) -> G> Generator<O, R> for Sequential<F, G> {
    fn next(&mut self, cx: &mut Context) -> Next<O> {
        self.keys.ask(&mut self.current, cx)
    }

    fn update(&mut self, cx: &mut Context, event: &Event<O, R>) {
        update_fused(&mut self.current, cx, event);
    }
}

/// See [`concurrent`].
pub struct Concurrent<F, G> {
    per_key: u32,
    keys: Keys<F>,
    turns: Turns,
    scope: SlotSet,
    groups: Vec<(SlotSet, Option<G>)>,
}

/// The slots in sight in groups of `per_key`, each group on an object of its own; a group whose generator is
/// done goes on with the next of `0..count`. Slots that do not fill a group are shared out among the groups,
/// so that none idles. Done when all are.
pub fn concurrent<F: FnMut(u64) -> G, G>(per_key: u32, count: u64, make: F) -> Concurrent<F, G> {
    let keys = Keys { next: 0, count, make };
    let per_key = per_key.max(1);
    Concurrent { per_key, keys, turns: Turns::default(), scope: SlotSet::EMPTY, groups: Vec::new() }
}

impl<F, G> Concurrent<F, G> {
    /// Groups the slots in sight when they are not those of the last time. Generators stay with their place.
    fn group(&mut self, cx: &Context) {
        if !self.groups.is_empty() && self.scope == *cx.slots() {
            return;
        }
        self.scope = cx.slots().clone();
        let (slots, mut dealt) = (self.scope.len(), self.scope.iter());
        let count = (slots / self.per_key).max(1);
        self.groups.resize_with(count as usize, || (SlotSet::EMPTY, None));
        for (at, (group, _)) in (0..).zip(&mut self.groups) {
            let size = slots / count + u32::from(at < slots % count);
            *group = dealt.by_ref().take(size as usize).collect();
        }
    }
}

impl<O, R, G: Generator<O, R>, F: FnMut(u64) -> G> Generator<O, R> for Concurrent<F, G> {
    fn next(&mut self, cx: &mut Context) -> Next<O> {
        self.group(cx);
        let Concurrent { keys, turns, groups, .. } = self;
        turns.ask(groups.len(), |at| {
            let (slots, current) = &mut groups[at];
            // A group with nobody free can do nothing, and its generator need not be asked.
            cx.within(slots, false, |cx| if cx.any_free() { keys.ask(current, cx) } else { Next::Wait(None) })
        })
    }

    fn update(&mut self, cx: &mut Context, event: &Event<O, R>) {
        if let Some((slots, current)) = self.groups.iter_mut().find(|(slots, _)| slots.contains(event.slot)) {
            cx.within(slots, false, |cx| update_fused(current, cx, event));
        }
    }
}

/// The objects that are still to come.
struct Keys<F> {
    next: u64,
    count: u64,
    make: F,
}

impl<F> Keys<F> {
    /// Asks the current generator, or, as long as one is done, that of the next object.
    fn ask<O, R, G: Generator<O, R>>(&mut self, current: &mut Option<G>, cx: &mut Context) -> Next<O>
    where
        F: FnMut(u64) -> G,
    {
        let mut idle = 0;
        loop {
            if current.is_none() {
                if self.next >= self.count || idle > IDLE_MAX {
                    return Next::Done;
                }
                *current = Some((self.make)(self.next));
                self.next += 1;
            }
            let next = current.as_mut().map_or(Next::Done, |generator| generator.next(cx));
            if !matches!(next, Next::Done) {
                return next;
            }
            *current = None;
            idle += 1;
        }
    }
}

/// After so many objects in a row without any operation there will be none: asking must not hang.
const IDLE_MAX: u32 = 1000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generator::testing::*;
    use crate::generator::*;

    #[test]
    fn keys_come_one_after_the_other() {
        let run = quick(1, sequential(3, |key| from_iter([(key, "a"), (key, "b")])));
        assert_eq!(ops(&run), [(0, "a"), (0, "b"), (1, "a"), (1, "b"), (2, "a"), (2, "b")]);
        assert_eq!(whens(&quick(2, sequential(2, |key| repeat(key).limit(1)))), [(0, 0), (0, 1)]);
    }

    #[test]
    fn a_key_belongs_to_one_group_of_slots() {
        let run = quick(6, concurrent(2, 9, |key| repeat(key).limit(5)));
        assert_eq!(run.len(), 45);
        for key in 0..9 {
            let slots: SlotSet = run.iter().filter(|line| line.2 == key).map(|line| Slot(line.1)).collect();
            let group = slots.iter().next().expect("every key is used").0 / 2;
            assert!(slots.iter().all(|slot| slot.0 / 2 == group), "key {key} on {slots:?}");
        }
        let first: Vec<u64> = run.iter().take_while(|line| line.0 == 0).map(|line| line.2).collect();
        assert_eq!(
            SlotSet::first(3),
            first.iter().map(|&key| Slot(key as u32)).collect(),
            "three keys at once"
        );
    }

    #[test]
    fn groups_survive_doubt() {
        let run = in_doubt(4, concurrent(2, 4, |key| repeat(key).limit(6)));
        assert_eq!(run.len(), 24);
        let group = |process: u32| process % 4 / 2;
        assert!((0..4).all(|key| {
            let mut of = run.iter().filter(|line| line.2 == key).map(|line| group(line.1));
            let first = of.next();
            of.all(|other| Some(other) == first)
        }));
    }

    #[test]
    fn slots_that_fill_no_group_are_shared_out() {
        let run = quick(5, concurrent(2, 2, |key| repeat(key).limit(60)));
        let mut slots: Vec<u32> = run.iter().map(|line| line.1).collect();
        slots.sort_unstable();
        slots.dedup();
        assert_eq!(slots, [0, 1, 2, 3, 4]);
        assert_eq!(quick(1, concurrent(7, 3, |key| repeat(key).limit(1))).len(), 3, "one small group");
    }

    #[test]
    fn the_processes_of_a_key_can_be_limited() {
        let run = in_doubt(2, concurrent(2, 3, |key| repeat(key).process_limit(4)));
        assert_eq!(
            run.iter().map(|line| (line.0, line.2)).collect::<Vec<_>>(),
            [
                (0, 0),
                (0, 0),
                (10, 0),
                (10, 0),
                (20, 1),
                (20, 1),
                (30, 1),
                (30, 1),
                (40, 2),
                (40, 2),
                (50, 2),
                (50, 2)
            ]
        );
    }

    #[test]
    fn keys_without_operations_do_not_hang() {
        assert_eq!(quick(2, sequential(u64::MAX, |_| repeat("a").limit(0))), []);
        assert_eq!(quick(2, concurrent(1, u64::MAX, |_| repeat("a").limit(0))), []);
        assert_eq!(quick(2, concurrent(1, 0, |_| repeat("a"))), []);
    }
}
