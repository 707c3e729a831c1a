//! A replica's timers: which are set, and which have come due by the node's clock.
//!
//! Nothing here waits; the driver asks when to look again and looks.

use crate::protocol::{Tick, Timer};
use std::collections::BTreeMap;

/// The timers that are set. A replica has a handful.
#[derive(Clone, Debug, Default)]
pub struct Timers {
    set: BTreeMap<Timer, Tick>,
}

impl Timers {
    /// No timer.
    pub fn new() -> Timers {
        Timers::default()
    }

    /// Sets a timer, or sets it anew.
    pub fn set(&mut self, timer: Timer, at: Tick) {
        self.set.insert(timer, at);
    }

    /// The earliest that is set.
    pub fn earliest(&self) -> Option<Tick> {
        self.set.values().min().copied()
    }

    /// Takes out the earliest timer that has come due once the clock shows `now`; of several the lowest.
    pub fn take_due(&mut self, now: Tick) -> Option<Timer> {
        let (&timer, &at) = self.set.iter().min_by_key(|&(&timer, &at)| (at, timer))?;
        (at <= now).then(|| {
            self.set.remove(&timer);
            timer
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timers_come_due_in_order_and_once() {
        let mut timers = Timers::new();
        timers.set(Timer(1), Tick(30));
        timers.set(Timer(2), Tick(10));
        timers.set(Timer(3), Tick(10));
        assert_eq!(timers.earliest(), Some(Tick(10)));
        assert_eq!(timers.take_due(Tick(9)), None);
        assert_eq!(timers.take_due(Tick(10)), Some(Timer(2)));
        assert_eq!(timers.take_due(Tick(10)), Some(Timer(3)));
        assert_eq!(timers.take_due(Tick(29)), None);
        assert_eq!(timers.take_due(Tick(99)), Some(Timer(1)));
        assert_eq!((timers.take_due(Tick(99)), timers.earliest()), (None, None));
    }

    #[test]
    fn setting_a_timer_again_replaces_it() {
        let mut timers = Timers::new();
        timers.set(Timer(1), Tick(10));
        timers.set(Timer(1), Tick(20));
        assert_eq!(timers.take_due(Tick(19)), None);
        assert_eq!(timers.take_due(Tick(20)), Some(Timer(1)));
        assert_eq!(timers.take_due(Tick(20)), None);
    }
}
