//! What ails a disk at the moment, and how many operations have felt it.
//!
//! Whoever waits for a slow sync waits here, so that a cure or the end of the disk wakes all of them.

use elenchus_core::fault::Ailment;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The state of a disk's health.
#[derive(Debug, Default)]
pub(super) struct Ailing {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    ailment: Option<Ailment>,
    /// How many operations the present ailment has touched.
    touched: u64,
    /// How often a spell of the disk's life ended: by a cure or another ailment.
    spell: u64,
    /// How often the power went.
    powers: u64,
}

/// What a sync has to expect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sync {
    /// Nothing.
    Healthy,
    /// An error.
    Fails,
    /// It takes so much longer.
    Slow(Slow),
}

/// A sync that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slow {
    until: Instant,
    spell: u64,
    powers: u64,
}

impl Ailing {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes what ails the disk. Returns how many operations the former ailment has touched.
    pub fn set(&self, ailment: Option<Ailment>) -> u64 {
        let mut state = self.state();
        state.ailment = ailment;
        state.spell += 1;
        self.changed.notify_all();
        std::mem::take(&mut state.touched)
    }

    /// Who waits for a sync waits in vain: the power went.
    pub fn power_went(&self) {
        self.state().powers += 1;
        self.changed.notify_all();
    }

    /// A sync begins.
    pub fn sync(&self) -> Sync {
        let mut state = self.state();
        match state.ailment {
            Some(Ailment::SlowSync { ms }) => {
                state.touched += 1;
                let until = Instant::now() + Duration::from_millis(ms);
                Sync::Slow(Slow { until, spell: state.spell, powers: state.powers })
            }
            Some(Ailment::Failing) => {
                state.touched += 1;
                Sync::Fails
            }
            Some(Ailment::Full) | None => Sync::Healthy,
        }
    }

    /// Waits as long as a slow sync takes. False: the power went, and nothing may be synced any more.
    pub fn wait(&self, slow: Slow) -> bool {
        let mut state = self.state();
        while state.spell == slow.spell && state.powers == slow.powers {
            let left = slow.until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        state.powers == slow.powers
    }

    /// The error that a write gets, if it gets one; `grows`: it needs room that the file does not have yet.
    pub fn write(&self, grows: bool) -> Result<(), nix::errno::Errno> {
        let mut state = self.state();
        let error = match state.ailment {
            Some(Ailment::Failing) => nix::errno::Errno::EIO,
            Some(Ailment::Full) if grows => nix::errno::Errno::ENOSPC,
            _ => return Ok(()),
        };
        state.touched += 1;
        Err(error)
    }

    /// Whether the disk takes writes that no program waits for.
    pub fn can_write(&self) -> bool {
        self.state().ailment != Some(Ailment::Failing)
    }

    /// Whether there is no room left.
    pub fn is_full(&self) -> bool {
        self.state().ailment == Some(Ailment::Full)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_are_counted_for_the_ailment_that_touched_them() {
        let ailing = Ailing::default();
        assert_eq!((ailing.write(true), ailing.sync()), (Ok(()), Sync::Healthy));
        assert_eq!(ailing.set(Some(Ailment::Full)), 0);
        assert_eq!(ailing.write(true), Err(nix::errno::Errno::ENOSPC));
        assert_eq!((ailing.write(false), ailing.sync()), (Ok(()), Sync::Healthy));
        assert_eq!(ailing.set(Some(Ailment::Failing)), 1);
        assert_eq!(ailing.write(false), Err(nix::errno::Errno::EIO));
        assert_eq!(ailing.sync(), Sync::Fails);
        assert_eq!(ailing.set(None), 2);
        assert_eq!(ailing.set(None), 0);
    }

    #[test]
    fn a_cure_wakes_who_waits_and_a_power_loss_forbids_the_sync() {
        let ailing = Ailing::default();
        let begun = Instant::now();
        let slow = |ailing: &Ailing| match ailing.sync() {
            Sync::Slow(slow) => slow,
            other => panic!("{other:?}"),
        };
        ailing.set(Some(Ailment::SlowSync { ms: 60_000 }));
        let (cured, dead) = (slow(&ailing), slow(&ailing));
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| ailing.wait(cured));
            ailing.set(None);
            assert!(waits.join().unwrap());
        });
        ailing.power_went();
        assert!(!ailing.wait(dead));
        assert!(begun.elapsed() < Duration::from_secs(30));
    }
}
