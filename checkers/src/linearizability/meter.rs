//! Counts what a check has spent against its budget.

use elenchus_core::budget::Budget;
use std::sync::atomic::{AtomicUsize, Ordering};
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
    /// More operations were open at once than the search can hold (2,048).
    Width,
}

impl Spent {
    /// The reason in plain words.
    pub fn why(self) -> &'static str {
        match self {
            Spent::Time => "the time allowed ran out",
            Spent::Memory => "the memory allowed ran out",
            Spent::Steps => "it took too many steps",
            Spent::Width => "more than 2,048 completed operations were open at once",
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
    mine: usize,
    unread: u32,
    stride: u32,
    read_at: Instant,
    steps_left: u64,
}

impl<'b> Meter<'b> {
    /// An account of `budget`; `all` is what its threads hold together, in bytes.
    pub(super) fn new(budget: &'b Budget, all: &'b AtomicUsize) -> Meter<'b> {
        Meter { budget, all, mine: 0, unread: 0, stride: 1, read_at: Instant::now(), steps_left: u64::MAX }
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
        if self.budget.is_over() { Err(Spent::Time) } else { Ok(()) }
    }

    /// States how many bytes this thread holds now.
    pub(super) fn hold(&mut self, bytes: usize) -> Result<(), Spent> {
        let all = if bytes >= self.mine {
            self.all.fetch_add(bytes - self.mine, Ordering::Relaxed) + bytes - self.mine
        } else {
            self.all.fetch_sub(self.mine - bytes, Ordering::Relaxed) - (self.mine - bytes)
        };
        self.mine = bytes;
        if all > self.budget.memory_max { Err(Spent::Memory) } else { Ok(()) }
    }
}

impl Drop for Meter<'_> {
    fn drop(&mut self) {
        self.all.fetch_sub(self.mine, Ordering::Relaxed);
    }
}
