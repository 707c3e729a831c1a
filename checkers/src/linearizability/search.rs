//! The exact search: whether operations have an order that the object could have produced.
//!
//! What keeps it small, each proved by an exchange argument and refuted by no small history:
//! - an operation that can never change the state is put in as soon as it fits;
//! - of open operations that do the same, the one that returns first goes first;
//! - blind writes that nobody sees are absorbed (`board`);
//! - states that nobody can notice any more are one state, and so are those that nobody will tell apart
//!   (`notice`);
//! - operations in doubt are counted by class and used as late as possible, the thriftiest configurations
//!   first, and only antichains are kept (`frontier`);
//! - where the state follows from the set of operations, it is not compared, and not computed twice.
//!
//! There are two orders. In *breadth* (`breadth`) a history that is not linearizable costs no more than its
//! failing prefix; in *depth* (`depth`) a linearization is found soon where there are many. Most keys are
//! decided in breadth within the first [`ALONE`] configurations. After that both orders run side by side
//! where a thread is to spare, and otherwise depth first for a while ([`IN_DEPTH`] configurations a step),
//! then breadth. The first answer wins. Both are exact, and a refutation is the same by both: the first
//! return that no linearization survives.

use super::breadth::Breadth;
use super::depth::Depth;
use super::meter::{Meter, Spent};
use super::schedule::{Class, Schedule};
use super::task::Position;
use super::window::{Narrow, Wide, Window};
use elenchus_core::model::Model;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// What the search found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// There is a linearization.
    Linearizable,
    /// There is none: at this return no configuration survived.
    Refuted(Refuted),
    /// The budget ran out; everything before this position is linearizable.
    Unknown(Spent, Position),
}

/// Where a history stops being linearizable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refuted {
    /// The number of the operation whose return nothing survived.
    pub id: u32,
    /// The position of that return.
    pub at: Position,
    /// The longest linearization of what came before, by numbers; empty unless it was traced.
    pub partial: Vec<u32>,
}

/// What the search has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Effort {
    /// Configurations visited.
    pub configurations: u64,
    /// Most configurations kept after one return.
    pub frontier_max: usize,
}

impl Effort {
    /// So many were kept.
    pub(super) fn widest(&mut self, frontier: usize) {
        self.frontier_max = self.frontier_max.max(frontier);
    }
}

impl std::ops::AddAssign for Effort {
    fn add_assign(&mut self, other: Effort) {
        self.configurations += other.configurations;
        self.widest(other.frontier_max);
    }
}

/// How operations in doubt are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// As often as they were called, and every way of using them is kept.
    Exact,
    /// Of configurations that differ only in their counts one is kept: refutes too much.
    Thrifty,
    /// Not at all: refutes too little.
    Relaxed,
}

/// Configurations that the search in breadth visits alone.
const ALONE: u64 = 10_000;
/// Configurations a step of the schedule that the search in depth may visit where it has no thread.
const IN_DEPTH: u64 = 4;

/// Bytes that the search in depth may hold: what it remembers beyond that would not make it quicker.
const BYTES_IN_DEPTH: usize = 48 << 20;

/// Which orders there are, and how they share the threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// In breadth only; a refutation tells the longest partial linearization.
    Traced,
    /// One after the other.
    InTurns,
    /// Side by side.
    Race,
}

/// Searches for a linearization.
pub(super) fn search<M: Model>(
    model: &M,
    schedule: &Schedule<'_, M>,
    order: Order,
    meter: &mut Meter<'_>,
    effort: &mut Effort,
) -> Answer {
    match schedule.width {
        0..=64 => Plan::<M, Narrow<1>>::new(model, schedule).search(order, meter, effort),
        _ => Plan::<M, Wide>::new(model, schedule).search(order, meter, effort),
    }
}

/// What is searched, with windows of one kind.
pub(super) struct Plan<'s, 'h, M: Model, W> {
    model: &'s M,
    schedule: &'s Schedule<'h, M>,
    /// Configurations that the search in breadth visits alone.
    alone: u64,
    window: std::marker::PhantomData<W>,
}

impl<'s, 'h, M: Model, W: Window> Plan<'s, 'h, M, W> {
    pub(super) fn new(model: &'s M, schedule: &'s Schedule<'h, M>) -> Self {
        Plan { model, schedule, alone: ALONE, window: std::marker::PhantomData }
    }

    /// The same, with another limit on what the search in breadth visits alone.
    #[cfg(test)]
    pub(super) fn alone(self, alone: u64) -> Self {
        Plan { alone, ..self }
    }

    pub(super) fn search(&self, order: Order, meter: &mut Meter<'_>, effort: &mut Effort) -> Answer {
        let reached = AtomicU64::new(0);
        if order == Order::Traced {
            return self.in_breadth(true, &reached, meter, effort);
        }
        let alone = self.breadth(Mode::Exact, (false, self.alone), meter, effort);
        match alone {
            Answer::Unknown(Spent::Steps, _) if !meter.is_out_of_steps() => {}
            answer => return answer,
        }
        if order == Order::Race {
            return self.race(&reached, meter, effort);
        }
        let limit = IN_DEPTH * self.schedule.steps.len() as u64 + ALONE;
        match self.depth(limit, &reached, meter, effort) {
            Answer::Unknown(Spent::Steps | Spent::Memory, at) if !meter.is_out_of_steps() => {
                farther(self.in_breadth(false, &reached, meter, effort), at)
            }
            answer => answer,
        }
    }

    /// Both orders at once, each in a thread of its own.
    fn race(&self, reached: &AtomicU64, meter: &Meter<'_>, effort: &mut Effort) -> Answer {
        let stop = AtomicBool::new(false);
        let (mut of_depth, mut of_breadth) = (meter.beside(&stop), meter.beside(&stop));
        let mut effort_of_depth = Effort::default();
        let (depth, breadth) = std::thread::scope(|scope| {
            let depth = scope.spawn(|| {
                let _guard = StopOnPanic(&stop);
                let answer = self.depth(u64::MAX, reached, &mut of_depth, &mut effort_of_depth);
                if !matches!(answer, Answer::Unknown(..)) {
                    stop.store(true, Ordering::Relaxed);
                }
                drop(of_depth);
                answer
            });
            let _guard = StopOnPanic(&stop);
            let breadth = self.in_breadth(false, reached, &mut of_breadth, effort);
            if !matches!(breadth, Answer::Unknown(..)) {
                stop.store(true, Ordering::Relaxed);
            }
            drop(of_breadth);
            match depth.join() {
                Ok(depth) => (depth, breadth),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        });
        effort.configurations += effort_of_depth.configurations;
        match (depth, breadth) {
            (Answer::Unknown(_, reached), breadth) => farther(breadth, reached),
            (depth, Answer::Unknown(..)) => depth,
            (_, breadth) => breadth,
        }
    }

    /// The search in depth; it tells in `reached` up to where it came.
    pub(super) fn depth(
        &self,
        limit: u64,
        reached: &AtomicU64,
        meter: &mut Meter<'_>,
        effort: &mut Effort,
    ) -> Answer {
        let bytes_max = (meter.memory_max() / 4).min(BYTES_IN_DEPTH);
        Depth::<M, W>::new(self.model, self.schedule, (limit, bytes_max), reached, meter).run(effort)
    }

    pub(super) fn breadth(
        &self,
        mode: Mode,
        traced_and_limit: (bool, u64),
        meter: &mut Meter<'_>,
        effort: &mut Effort,
    ) -> Answer {
        Breadth::<M, W>::new(mode, self.model, self.schedule, traced_and_limit, meter).run(effort)
    }

    /// The search in breadth, as long as it takes.
    ///
    /// Where operations are in doubt, the vectors of their counts are what makes it long, and two short
    /// searches come first. *Relaxed* lets an operation in doubt happen any number of times: where even that
    /// finds no linearization there is none. *Thrifty* keeps one vector where there are many: what it finds
    /// is a linearization, and it refutes no later than the exact search, which decides what lies between.
    /// If that one cannot, a relaxed refutation still stands. And if the search in depth came to the very
    /// return at which the relaxed one failed, nothing lies between. Operations in doubt without a known target (an
    /// append, an increment) reach ever new states when repeated, so that a relaxed search need not end: it is
    /// left out then, unless the states that somebody could notice are known to be few (`notice`).
    fn in_breadth(
        &self,
        traced: bool,
        reached: &AtomicU64,
        meter: &mut Meter<'_>,
        effort: &mut Effort,
    ) -> Answer {
        let mut run = |mode| self.breadth(mode, (traced, u64::MAX), meter, effort);
        if self.schedule.classes.is_empty() {
            return run(Mode::Exact);
        }
        let (model, notice) = (self.model, &self.schedule.notice);
        let endless = |class: &Class<'_, M>| {
            class.target.is_none()
                && model.target(class.op).is_none()
                && !notice.is_growth(model, class.op, class.outcome)
        };
        let relaxed = match self.schedule.classes.iter().any(endless) {
            true => Answer::Unknown(Spent::Steps, 0),
            false => run(Mode::Relaxed),
        };
        let in_depth = |refuted: &Refuted| reached.load(Ordering::Relaxed) >= refuted.at;
        if let Answer::Refuted(upper) = &relaxed
            && in_depth(upper)
        {
            return relaxed;
        }
        let thrifty = run(Mode::Thrifty);
        match (relaxed, thrifty) {
            (_, Answer::Linearizable) => Answer::Linearizable,
            (Answer::Refuted(upper), Answer::Unknown(..)) => {
                Answer::Refuted(Refuted { partial: vec![], ..upper })
            }
            (_, Answer::Unknown(spent, reached)) => Answer::Unknown(spent, reached),
            // Not before the one and not after the other: here it is.
            (Answer::Refuted(upper), Answer::Refuted(lower)) if upper.at == lower.at => {
                Answer::Refuted(lower)
            }
            (relaxed, Answer::Refuted(lower)) => match (run(Mode::Exact), relaxed) {
                (Answer::Unknown(..), Answer::Refuted(upper)) => {
                    Answer::Refuted(Refuted { partial: lower.partial, ..upper })
                }
                (exact, _) => farther(exact, lower.at),
            },
        }
    }
}

/// A model that panics in one thread ends the other one.
struct StopOnPanic<'a>(&'a AtomicBool);

impl Drop for StopOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.store(true, Ordering::Relaxed);
        }
    }
}

/// The answer; if there is none, with the farther of two places that were reached.
fn farther(answer: Answer, reached: Position) -> Answer {
    match answer {
        Answer::Unknown(spent, at) => Answer::Unknown(spent, at.max(reached)),
        answer => answer,
    }
}
