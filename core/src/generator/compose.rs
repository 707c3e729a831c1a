//! Combinators as methods, so that a generator reads from the inside out.

use super::*;
use crate::random::Seed;
use std::time::Duration;

/// A generator of any make.
pub type Boxed<O, R> = Box<dyn Generator<O, R>>;

/// The combinators with one child, as methods: `repeat(op).stagger(mean, seed).limit(10)`. Each is
/// described at the function of the same name.
pub trait Compose: Sized {
    /// At most `count` actions.
    fn limit(self, count: u64) -> Limit<Self> {
        limit(count, self)
    }

    /// The first action only.
    fn once(self) -> Limit<Self> {
        limit(1, self)
    }

    /// Actions at random intervals of this mean.
    fn stagger(self, mean: Duration, seed: Seed) -> Stagger<Self> {
        stagger(mean, seed, self)
    }

    /// Actions at least this far apart.
    fn delay(self, interval: Duration) -> Delay<Self> {
        delay(interval, self)
    }

    /// Nothing once this time has passed.
    fn time_limit(self, duration: Duration) -> TimeLimit<Self> {
        time_limit(duration, self)
    }

    /// Nothing before all slots in sight are free.
    fn synchronize(self) -> Synchronize<Self> {
        synchronize(self)
    }

    /// On the clients' slots only.
    fn clients(self) -> Scope<Self> {
        clients(self)
    }

    /// For the nemesis only.
    fn nemesis(self) -> Scope<Self> {
        nemesis(self)
    }

    /// On these slots only.
    fn on_slots(self, slots: SlotSet) -> Scope<Self> {
        on_slots(slots, self)
    }

    /// Until one of its operations ends ok.
    fn until_ok(self) -> UntilOk<Self> {
        until_ok(self)
    }

    /// Until more than `count` processes have had a share in it.
    fn process_limit(self, count: usize) -> ProcessLimit<Self> {
        process_limit(count, self)
    }

    /// As one of many makes.
    fn boxed<O, R>(self) -> Boxed<O, R>
    where
        Self: Generator<O, R> + 'static,
    {
        Box::new(self)
    }

    /// First this; when it is done and all slots in sight are free, the other.
    fn then<O, R>(self, next: impl Generator<O, R> + 'static) -> Sequence<O, R>
    where
        Self: Generator<O, R> + 'static,
    {
        sequence(vec![Box::new(self), Box::new(synchronize(next))])
    }
}

impl<G> Compose for G {}
