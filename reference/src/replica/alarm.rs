//! When things are due, on a clock that may jump.
//!
//! All deadlines share one timer of the driver. It is not set again when a deadline moves away, which each
//! heartbeat makes it do: it then rings early, and is set anew. So a ring means no more than "look", and a
//! driver may ring whenever it likes; it should when it has changed the clock.
//!
//! When the clock is seen to have gone back, every deadline goes back with it and keeps what was left of its
//! wait. A jump forward only makes things due.

use std::time::Duration;

use elenchus_core::random::Rng;

use crate::protocol::{Output, Tick, Timer};
use crate::replica::Timeouts;

/// The driver's timer.
const TIMER: Timer = Timer(0);

/// What can be due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// No leader was heard for long.
    Election,
    /// No leader was heard for the least time after which another may be wanted.
    Lease,
    /// A leader is to say that it lives.
    Heartbeat,
    /// A leader is to count who answers it.
    Quorum,
}

const ALL: [Due; 4] = [Due::Election, Due::Lease, Due::Heartbeat, Due::Quorum];

/// The deadlines.
#[derive(Clone, Debug)]
pub(super) struct Alarm {
    timeouts: Timeouts,
    rng: Rng,
    /// The latest that the clock showed.
    now: Tick,
    /// By [`Due`].
    deadlines: [Option<Tick>; ALL.len()],
    /// What the driver's timer is set to.
    set: Option<Tick>,
}

impl Alarm {
    pub fn new(timeouts: Timeouts, rng: Rng) -> Alarm {
        Alarm { timeouts, rng, now: Tick(0), deadlines: [None; ALL.len()], set: None }
    }

    /// The clock shows `now`.
    pub fn observe(&mut self, now: Tick) {
        if now < self.now {
            for deadline in self.deadlines.iter_mut().flatten() {
                *deadline = Tick(now.0.saturating_add(deadline.0.saturating_sub(self.now.0)));
            }
            self.set = None;
        }
        self.now = now;
    }

    pub fn now(&self) -> Tick {
        self.now
    }

    /// The driver's timer has rung.
    pub fn rang(&mut self) {
        self.set = None;
    }

    /// Whatever is due. Each thing is due once, until it is set again.
    pub fn take_due(&mut self) -> Vec<Due> {
        let mut all = Vec::new();
        for due in ALL {
            if self.deadlines[due as usize].take_if(|at| *at <= self.now).is_some() {
                all.push(due);
            }
        }
        all
    }

    /// Waits anew, for a random time, before an election.
    pub fn patience(&mut self) {
        let Timeouts { election_min, election_max, .. } = self.timeouts;
        let wait = self.rng.duration(election_min, election_max.max(election_min));
        self.within(Due::Election, wait);
    }

    /// A leader was heard.
    pub fn heard(&mut self) {
        self.patience();
        self.within(Due::Lease, self.timeouts.election_min);
    }

    /// This server leads.
    pub fn lead(&mut self) {
        self.deadlines[Due::Election as usize] = None;
        self.deadlines[Due::Lease as usize] = None;
        self.heartbeat();
        self.quorum();
    }

    /// This server no longer leads.
    pub fn follow(&mut self) {
        self.deadlines[Due::Heartbeat as usize] = None;
        self.deadlines[Due::Quorum as usize] = None;
        self.patience();
    }

    /// The next heartbeat.
    pub fn heartbeat(&mut self) {
        self.within(Due::Heartbeat, self.timeouts.heartbeat);
    }

    /// The next count of who answers.
    pub fn quorum(&mut self) {
        self.within(Due::Quorum, self.timeouts.election_min);
    }

    /// Sets the driver's timer, if it would ring too late.
    pub fn arm(&mut self, out: &mut Vec<Output>) {
        let Some(at) = self.deadlines.iter().flatten().min().copied() else { return };
        if self.set.is_none_or(|set| set > at) {
            self.set = Some(at);
            out.push(Output::SetTimer { timer: TIMER, at });
        }
    }

    fn within(&mut self, due: Due, wait: Duration) {
        let nanos = u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX);
        self.deadlines[due as usize] = Some(Tick(self.now.0.saturating_add(nanos)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use elenchus_core::random::Seed;

    const MS: u64 = 1_000_000;

    fn alarm() -> Alarm {
        let mut alarm = Alarm::new(Timeouts::default(), Seed(1).rng());
        alarm.observe(Tick(5_000 * MS));
        alarm
    }

    fn armed(alarm: &mut Alarm) -> Option<u64> {
        let mut out = Vec::new();
        alarm.arm(&mut out);
        out.into_iter()
            .map(|output| if let Output::SetTimer { at, .. } = output { at.0 / MS } else { 0 })
            .next()
    }

    #[test]
    fn a_deadline_that_moves_away_does_not_set_the_timer_again() {
        let mut alarm = alarm();
        alarm.heard();
        assert_eq!(armed(&mut alarm), Some(6_000));
        alarm.observe(Tick(5_900 * MS));
        alarm.heard();
        assert_eq!(armed(&mut alarm), None);
        alarm.observe(Tick(6_000 * MS));
        alarm.rang();
        assert_eq!(alarm.take_due(), []);
        assert_eq!(armed(&mut alarm), Some(6_900));
    }

    #[test]
    fn a_clock_that_goes_back_takes_the_deadlines_along() {
        let mut alarm = alarm();
        alarm.lead();
        assert_eq!(armed(&mut alarm), Some(5_100));
        alarm.observe(Tick(5_060 * MS));
        alarm.observe(Tick(60 * MS));
        assert_eq!(armed(&mut alarm), Some(100));
        alarm.observe(Tick(100 * MS));
        assert_eq!(alarm.take_due(), [Due::Heartbeat]);
    }

    #[test]
    fn a_clock_that_jumps_ahead_makes_all_due_once() {
        let mut alarm = alarm();
        alarm.heard();
        alarm.observe(Tick(u64::MAX));
        assert_eq!(alarm.take_due(), [Due::Election, Due::Lease]);
        assert_eq!(alarm.take_due(), []);
        alarm.heard();
        alarm.arm(&mut Vec::new());
    }

    #[test]
    fn election_timeouts_differ_and_stay_in_their_range() {
        let mut alarm = alarm();
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..100 {
            alarm.set = None;
            alarm.patience();
            seen.insert(armed(&mut alarm).unwrap());
        }
        assert!(seen.len() > 50 && *seen.first().unwrap() >= 6_000 && *seen.last().unwrap() <= 7_000);
    }
}
