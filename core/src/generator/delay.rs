//! Actions at a fixed interval.

use super::{Context, Event, Generator, Next};
use crate::time::Time;
use std::time::Duration;

/// See [`delay`].
#[derive(Clone, Debug)]
pub struct Delay<G> {
    interval: Duration,
    due: Option<Time>,
    child: G,
}

/// The actions of `child`, each at least `interval` after the one before. The first comes at once.
pub fn delay<G>(interval: Duration, child: G) -> Delay<G> {
    Delay { interval, due: None, child }
}

impl<O, R, G: Generator<O, R>> Generator<O, R> for Delay<G> {
    fn next(&mut self, cx: &mut Context) -> Next<O> {
        if let Some(due) = self.due.filter(|&due| cx.now < due) {
            return Next::Wait(Some(due));
        }
        let next = self.child.next(cx);
        if matches!(next, Next::Invoke(..)) {
            self.due = Some(cx.now + self.interval);
        }
        next
    }

    fn update(&mut self, cx: &mut Context, event: &Event<O, R>) {
        self.child.update(cx, event);
    }
}

#[cfg(test)]
mod tests {
    use crate::generator::testing::*;
    use crate::generator::*;

    #[test]
    fn actions_keep_their_distance() {
        assert_eq!(whens(&quick(5, repeat("a").delay(ns(100)).limit(3))), [(0, "a"), (100, "a"), (200, "a")]);
        assert_eq!(
            whens(&perfect(1, 150, repeat("a").delay(ns(100)).limit(3))),
            [(0, "a"), (150, "a"), (300, "a")]
        );
    }
}
