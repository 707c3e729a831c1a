//! So long and no longer.

use super::turns::earlier;
use super::{Context, Event, Generator, Next};
use crate::time::Time;
use std::time::Duration;

/// See [`time_limit`].
#[derive(Clone, Debug)]
pub struct TimeLimit<G> {
    duration: Duration,
    cutoff: Option<Time>,
    child: G,
}

/// What `child` does in the first `duration`, counted from when it first does something or waits for a
/// time: while it waits for others to make room, the clock stands. Operations open at the end stay open.
pub fn time_limit<G>(duration: Duration, child: G) -> TimeLimit<G> {
    TimeLimit { duration, cutoff: None, child }
}

impl<O, R, G: Generator<O, R>> Generator<O, R> for TimeLimit<G> {
    fn next(&mut self, cx: &mut Context) -> Next<O> {
        if self.cutoff.is_some_and(|cutoff| cx.now >= cutoff) || self.duration.is_zero() {
            return Next::Done;
        }
        let next = self.child.next(cx);
        if self.cutoff.is_none() && matches!(next, Next::Invoke(..) | Next::Wait(Some(_))) {
            self.cutoff = Some(cx.now + self.duration);
        }
        match next {
            Next::Wait(until) => Next::Wait(earlier(until, self.cutoff)),
            next => next,
        }
    }

    fn update(&mut self, cx: &mut Context, event: &Event<O, R>) {
        self.child.update(cx, event);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generator::testing::*;
    use crate::generator::*;

    use crate::process::Process;

    #[test]
    fn nothing_begins_once_the_time_has_passed() {
        assert_eq!(quick(1, repeat("a").time_limit(ns(25))), [(0, 0, "a"), (10, 0, "a"), (20, 0, "a")]);
        assert_eq!(quick(1, repeat("a").time_limit(ns(20))).len(), 2, "the end belongs to what follows");
        assert_eq!(quick(1, repeat("a").time_limit(Duration::ZERO)), []);
    }

    #[test]
    fn waits_are_cut_short() {
        let long = sequence(vec![repeat("a").limit(1).boxed(), sleep(ns(1000)).boxed(), repeat("b").boxed()]);
        let run = ended(1, long.time_limit(ns(40)), &mut simulate::Quick);
        assert_eq!((lines(&run), run.ended.0), (vec![(0, 0, "a")], 40));
    }

    #[test]
    fn a_wait_for_a_slot_is_cut_short_too() {
        let run = ended(1, repeat("a").time_limit(ns(15)), &mut simulate::Perfect(ns(1000)));
        assert_eq!((lines(&run).len(), run.ended.0), (1, 15));
        assert_eq!(run.events.last().map(|event| event.time.0), Some(1000), "what is open may end later");
    }

    #[test]
    fn the_clock_stands_while_others_must_make_room() {
        let second = repeat("b").synchronize().time_limit(ns(50));
        let both = sequence(vec![repeat("a").limit(1).boxed(), second.boxed()]);
        assert_eq!(perfect(1, 30, both), [(0, 0, "a"), (30, 0, "b"), (60, 0, "b")]);
    }

    #[test]
    fn the_clock_goes_on_through_doubt() {
        let processes: Vec<_> =
            in_doubt(1, repeat("a").time_limit(ns(35))).iter().map(|l| Process(l.1)).collect();
        assert_eq!(processes, [0, 1, 2, 3].map(Process));
    }
}
