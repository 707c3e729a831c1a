//! So many slots for this, so many for that, the rest for another.

use super::compose::Boxed;
use super::slots::SlotSet;
use super::turns::{Turns, ask_fused, update_fused};
use super::{Context, Event, Generator, Next};

/// See [`reserve`].
pub struct Reserve<O, R> {
    counts: Vec<u32>,
    members: Vec<Option<Boxed<O, R>>>,
    turns: Turns,
    scope: SlotSet,
    ranges: Vec<SlotSet>,
}

/// The first slots in sight for the first of `reserved`, as many as it names, the next for the second, and
/// so on; the rest, and the nemesis if it is in sight, for `default`. A slow part cannot take the slots of
/// another. Done when all are.
pub fn reserve<O, R>(reserved: Vec<(u32, Boxed<O, R>)>, default: Boxed<O, R>) -> Reserve<O, R> {
    let (counts, mut members): (Vec<_>, Vec<_>) =
        reserved.into_iter().map(|(n, member)| (n, Some(member))).unzip();
    members.push(Some(default));
    Reserve { counts, members, turns: Turns::default(), scope: SlotSet::EMPTY, ranges: Vec::new() }
}

impl<O, R> Reserve<O, R> {
    /// Deals the slots in sight out, when they are not those of the last time.
    fn deal(&mut self, cx: &Context) {
        if self.ranges.is_empty() || self.scope != *cx.slots() {
            self.scope = cx.slots().clone();
            let mut slots = self.scope.iter();
            self.ranges = self.counts.iter().map(|&n| slots.by_ref().take(n as usize).collect()).collect();
            self.ranges.push(slots.collect());
        }
    }
}

impl<O, R> Generator<O, R> for Reserve<O, R> {
    fn next(&mut self, cx: &mut Context) -> Next<O> {
        self.deal(cx);
        let Reserve { members, turns, ranges, counts, .. } = self;
        turns.ask(members.len(), |at| {
            cx.within(&ranges[at], at == counts.len(), |cx| ask_fused(&mut members[at], cx))
        })
    }

    fn update(&mut self, cx: &mut Context, event: &Event<O, R>) {
        self.deal(cx);
        let default = self.counts.len();
        let at = match event.slot {
            Context::NEMESIS => default,
            slot => match self.ranges.iter().position(|range| range.contains(slot)) {
                Some(at) => at,
                None => return,
            },
        };
        let member = &mut self.members[at];
        cx.within(&self.ranges[at], at == default, |cx| update_fused(member, cx, event));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generator::testing::*;
    use crate::generator::*;

    #[test]
    fn each_part_has_its_slots() {
        let parts = vec![(2, repeat("a").limit(30).boxed()), (1, repeat("b").limit(30).boxed())];
        let run = quick(5, reserve(parts, repeat("c").limit(30).boxed()));
        let slots = |op| {
            let mut slots: Vec<u32> = run.iter().filter(|line| line.2 == op).map(|line| line.1).collect();
            slots.sort_unstable();
            slots.dedup();
            slots
        };
        assert_eq!((slots("a"), slots("b"), slots("c")), (vec![0, 1], vec![2], vec![3, 4]));
        assert_eq!(run.len(), 90);
    }

    #[test]
    fn a_slow_part_leaves_the_others_their_slots() {
        struct Slow;
        impl simulate::Pretend<&'static str, ()> for Slow {
            fn call(&mut self, op: &&'static str) -> (std::time::Duration, crate::outcome::Outcome<()>) {
                (ns(if *op == "slow" { 1000 } else { 10 }), crate::outcome::Outcome::Ok(()))
            }
        }
        let both = reserve(vec![(2, repeat("slow").boxed())], repeat("b").boxed()).time_limit(ns(55));
        let run = lines(&ended(3, both, &mut Slow));
        assert_eq!(run.iter().filter(|line| line.2 == "slow").count(), 2);
        assert_eq!(
            run.iter().filter(|line| line.2 == "b").map(|line| line.0).collect::<Vec<_>>(),
            [0, 10, 20, 30, 40, 50]
        );
    }

    #[test]
    fn slots_are_counted_among_those_in_sight_and_follow_their_processes() {
        let inner = reserve(vec![(1, repeat("a").boxed())], repeat("b").boxed()).limit(20);
        let run = in_doubt(6, inner.on_slots([2, 4].map(Slot).into_iter().collect()));
        assert!(run.iter().all(|line| line.1 % 6 == if line.2 == "a" { 2 } else { 4 }), "{run:?}");
        assert!(run.iter().any(|line| line.1 > 6));
    }

    #[test]
    fn more_reserved_than_there_is_leaves_the_last_without_slots() {
        let run = quick(1, reserve(vec![(3, repeat("a").limit(2).boxed())], repeat("b").limit(0).boxed()));
        assert_eq!(run, [(0, 0, "a"), (10, 0, "a")]);
    }
}
