//! Actions at random intervals: a rate.

use super::{Context, Event, Generator, Next};
use crate::random::{Rng, Seed};
use crate::time::Time;
use std::time::Duration;

/// Delays up to this are made up for whatever the interval: a timer of the operating system may be some
/// milliseconds late, which at 10,000 operations a second is many intervals.
const CATCH_UP: Duration = Duration::from_millis(20);

/// See [`stagger`].
#[derive(Clone, Debug)]
pub struct Stagger<G> {
    mean: Duration,
    rng: Rng,
    due: Option<Time>,
    child: G,
}

/// The actions of `child`, at intervals drawn uniformly from 0 to twice the mean: the mean is that of all
/// slots together. The first comes at once. Small delays of the loop do not add up, since the next interval
/// starts at the time that was planned; but after a stall, longer than two intervals and than
/// 20 ms, nothing is caught up.
pub fn stagger<G>(mean: Duration, seed: Seed, child: G) -> Stagger<G> {
    Stagger { mean, rng: seed.stream("stagger").rng(), due: None, child }
}

impl<O, R, G: Generator<O, R>> Generator<O, R> for Stagger<G> {
    fn next(&mut self, cx: &mut Context) -> Next<O> {
        if let Some(due) = self.due.filter(|&due| cx.now < due) {
            return Next::Wait(Some(due));
        }
        let next = self.child.next(cx);
        if matches!(next, Next::Invoke(..)) {
            let widest = self.mean.saturating_mul(2);
            let stall = widest.max(CATCH_UP);
            let planned = self.due.filter(|&due| cx.now.since(due) <= stall).unwrap_or(cx.now);
            self.due = Some(planned + self.rng.duration(Duration::ZERO, widest));
        }
        next
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

    #[test]
    fn the_rate_is_that_of_all_slots_together() {
        for slots in [1, 20] {
            let staggered = quick(slots, repeat("a").stagger(ns(1000), Seed(7)).limit(2000));
            let last = staggered.last().expect("2000 operations").0;
            assert!((1_900_000..2_100_000).contains(&last), "{last} ns with {slots} slots");
            assert_eq!(staggered[0].0, 0, "the first comes at once");
            assert!(staggered.windows(2).all(|two| two[1].0 - two[0].0 <= 2000));
        }
    }

    #[test]
    fn intervals_come_from_the_seed() {
        let times = |seed| whens(&quick(2, repeat("a").stagger(ns(1000), Seed(seed)).limit(9)));
        assert_eq!(times(1), times(1));
        assert_ne!(times(1), times(2));
    }

    #[test]
    fn small_delays_do_not_add_up_and_stalls_are_not_caught_up() {
        let mut cx = Context::new(9);
        let mut staggered = repeat("a").stagger(ns(1000), Seed(1));
        let mut ask = |now| {
            cx.now = Time(now);
            Generator::<&str, ()>::next(&mut staggered, &mut cx)
        };
        assert!(matches!(ask(0), Next::Invoke(..)));
        let Next::Wait(Some(due)) = ask(0) else { panic!("one at a time") };
        assert!(matches!(ask(due.0 + 5), Next::Invoke(..)), "5 ns late");
        let Next::Wait(Some(next)) = ask(due.0 + 5) else { panic!("one at a time") };
        assert!(next.0 - due.0 <= 2000, "planned from what was due");
        assert!(matches!(ask(100_000_000), Next::Invoke(..)));
        assert!(matches!(ask(100_000_000), Next::Wait(Some(_))), "no burst after a stall");
    }
}
