//! Counts what a check has spent against its budget.

use elenchus_core::budget::Budget;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Why a search stopped before it had an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spent {
    /// The deadline passed.
    Time,
    /// The memory was used up.
    Memory,
    /// A limit on the number of steps was reached.
    Steps,
    /// Somebody else had the answer first.
    Stopped,
}

impl Spent {
    /// The reason in plain words.
    pub fn why(self) -> &'static str {
        match self {
            Spent::Time => "the time allowed ran out",
            Spent::Memory => "the memory allowed ran out",
            Spent::Steps => "it took too many steps",
            Spent::Stopped => "it was stopped",
        }
    }
}

/// One thread's account of a budget that all threads share.
///
/// The clock is read every few steps while steps are quick, and at every step once they are not, so that a
/// slow model cannot run past the deadline by more than a step.
pub(super) struct Meter<'b> {
    budget: &'b Budget,
    all: &'b AtomicUsize,
    stop: Option<&'b AtomicBool>,
    /// What was held already when this search began, beside what it says it holds.
    base: usize,
    mine: usize,
    unread: u32,
    stride: u32,
    read_at: Instant,
    steps_left: u64,
}

impl<'b> Meter<'b> {
    /// An account of `budget`; `all` is what its threads hold together, in bytes.
    pub(super) fn new(budget: &'b Budget, all: &'b AtomicUsize) -> Meter<'b> {
        let (read_at, steps_left) = (Instant::now(), u64::MAX);
        Meter { budget, all, stop: None, base: 0, mine: 0, unread: 0, stride: 1, read_at, steps_left }
    }

    /// Another account of the same budget, which ends as well once `stop` is set.
    pub(super) fn beside<'c>(&self, stop: &'c AtomicBool) -> Meter<'c>
    where
        'b: 'c,
    {
        let mut meter = Meter::new(self.budget, self.all).with_steps(self.steps_left);
        meter.stop = Some(stop);
        meter
    }

    /// Whether this account has come to its end by steps.
    pub(super) fn is_out_of_steps(&self) -> bool {
        self.steps_left == 0
    }

    /// How many bytes all threads together may hold.
    pub(super) fn memory_max(&self) -> usize {
        self.budget.memory_max
    }

    /// The same account, which ends after this many steps.
    pub(super) fn with_steps(mut self, steps: u64) -> Meter<'b> {
        self.steps_left = steps;
        self
    }

    /// Called at every step: whether the deadline has passed.
    pub(super) fn tick(&mut self) -> Result<(), Spent> {
        self.steps_left = self.steps_left.checked_sub(1).ok_or(Spent::Steps)?;
        self.unread += 1;
        if self.unread < self.stride {
            return Ok(());
        }
        let now = Instant::now();
        let slow = now.duration_since(self.read_at) > Duration::from_micros(500);
        self.stride = if slow { (self.stride / 4).max(1) } else { (self.stride * 2).min(128) };
        self.read_at = now;
        self.unread = 0;
        if self.stop.is_some_and(|stop| stop.load(Ordering::Relaxed)) {
            return Err(Spent::Stopped);
        }
        if self.budget.is_over() { Err(Spent::Time) } else { Ok(()) }
    }

    /// States what is held for as long as the account lasts.
    pub(super) fn hold_throughout(&mut self, bytes: usize) -> Result<(), Spent> {
        let before = self.base;
        self.base += bytes;
        self.hold(self.mine - before)
    }

    /// States how many bytes this thread holds now.
    pub(super) fn hold(&mut self, bytes: usize) -> Result<(), Spent> {
        let bytes = self.base.saturating_add(bytes);
        let all = if bytes >= self.mine {
            self.all.fetch_add(bytes - self.mine, Ordering::Relaxed) + bytes - self.mine
        } else {
            self.all.fetch_sub(self.mine - bytes, Ordering::Relaxed) - (self.mine - bytes)
        };
        self.mine = bytes;
        if all > self.budget.memory_max { Err(Spent::Memory) } else { Ok(()) }
    }
}

/// What a vector holds, or would hold once it has grown, if it soon will.
pub(super) fn grown<T>(vector: &Vec<T>) -> usize {
    vector.capacity().max(2 * vector.len()) * size_of::<T>()
}

impl Drop for Meter<'_> {
    fn drop(&mut self) {
        self.all.fetch_sub(self.mine, Ordering::Relaxed);
    }
}
