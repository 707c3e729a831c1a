//! How much a checker may spend before it must say `unknown`.

use std::time::{Duration, Instant};

/// A deadline on the wall clock and a limit on memory, tested by checkers between steps.
#[derive(Clone, Debug)]
pub struct Budget {
    deadline: Option<Instant>,
    /// Bytes that a checker's own structures may hold, all threads together.
    pub memory_max: usize,
    /// How many threads a checker may use.
    pub threads_max: usize,
    /// How long a checker may work at the evidence for an answer that it has; zero: only the answer is wanted.
    pub evidence_max: Duration,
}

/// Enough for the evidence on histories of any usual length.
const EVIDENCE_MAX: Duration = Duration::from_secs(3);

impl Budget {
    /// A budget of `time` from now and `memory_max` bytes, on as many threads as the machine has cores.
    pub fn new(time: Duration, memory_max: usize) -> Budget {
        let threads_max = std::thread::available_parallelism().map_or(1, |n| n.get());
        let deadline = Instant::now().checked_add(time);
        Budget { deadline, memory_max, threads_max, evidence_max: EVIDENCE_MAX }
    }

    /// No deadline, no limit, one thread: for tests on small histories.
    pub fn unlimited() -> Budget {
        Budget { deadline: None, memory_max: usize::MAX, threads_max: 1, evidence_max: EVIDENCE_MAX }
    }

    /// The time left until the deadline, if there is one; zero once it has passed.
    pub fn remaining(&self) -> Option<Duration> {
        self.deadline.map(|at| at.saturating_duration_since(Instant::now()))
    }

    /// The same budget with at most `time` from now.
    pub fn within(mut self, time: Duration) -> Budget {
        let sooner = Instant::now().checked_add(time);
        self.deadline = [self.deadline, sooner].into_iter().flatten().min();
        self
    }

    /// The same budget on at most `threads` threads.
    pub fn with_threads(mut self, threads: usize) -> Budget {
        self.threads_max = threads.max(1);
        self
    }

    /// The same budget with at most `time` for evidence.
    pub fn with_evidence(mut self, time: Duration) -> Budget {
        self.evidence_max = time;
        self
    }

    /// Whether the deadline has passed.
    pub fn is_over(&self) -> bool {
        self.deadline.is_some_and(|at| Instant::now() >= at)
    }
}
