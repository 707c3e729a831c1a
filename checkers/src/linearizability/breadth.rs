//! Breadth first: all configurations, from the front of the log to its end.
//!
//! The log is read once (just-in-time linearization; Lowe, "Testing for linearizability", 2017, section 4):
//! an operation that is called becomes possible, and only when one returns must something happen. Every
//! configuration that does not contain it yet is then extended by open operations, in every order, until
//! it does. If none survives, the history is not linearizable, and this return ends the earliest prefix
//! that is not. Where nothing is open the configurations are states, so that quiescent points cut the
//! search by themselves.
//!
//! Nothing has to be kept but the configurations at one return, the thriftiest with operations in doubt are
//! extended first, and only antichains are kept: within a return, and after it.

use super::board::{Board, Successor};
use super::frontier::{Antichain, Comparison, Configuration, thin};
use super::meter::{Meter, Spent, grown};
use super::schedule::{Schedule, Step};
use super::search::{Answer, Effort, Mode, Refuted};
use super::trace::Traced;
use super::window::Window;
use elenchus_core::model::Model;

pub(super) struct Breadth<'s, 'h, 'm, 'b, M: Model, W> {
    board: Board<'s, 'h, 'm, 'b, M, W>,
    frontier: Vec<Configuration<W>>,
    /// What was extended at this return.
    seen: Antichain<W>,
    /// What contains the operation that returns.
    survivors: Antichain<W>,
    /// What is to be extended, by how many more operations in doubt it used than the thriftiest.
    queue: Vec<Vec<Configuration<W>>>,
    successors: Vec<Successor<W>>,
    order: Vec<(u64, u32, u32)>,
    extended: u64,
    /// So many configurations are visited at most.
    limit: u64,
    /// The number of states above which those that nobody holds are forgotten.
    states_max: usize,
    /// The number of steps traced above which those that lead nowhere are forgotten.
    traced_max: usize,
}

const STATES_MAX: usize = 1 << 13;
const TRACED_MAX: usize = 1 << 14;

impl<'s, 'h, 'm, 'b, M: Model, W: Window> Breadth<'s, 'h, 'm, 'b, M, W> {
    pub(super) fn new(
        mode: Mode,
        model: &'s M,
        schedule: &'s Schedule<'h, M>,
        (traced, limit): (bool, u64),
        meter: &'m mut Meter<'b>,
    ) -> Self {
        let mut board = Board::new(mode, model, schedule, traced, meter);
        let frontier = vec![board.start()];
        Breadth {
            board,
            frontier,
            seen: Antichain::new(),
            survivors: Antichain::new(),
            queue: Vec::new(),
            successors: Vec::new(),
            order: Vec::new(),
            extended: 0,
            limit,
            states_max: STATES_MAX,
            traced_max: TRACED_MAX,
        }
    }

    pub(super) fn run(mut self, effort: &mut Effort) -> Answer {
        let answer = self.walk();
        *effort += self.board.effort;
        answer
    }

    fn walk(&mut self) -> Answer {
        let schedule = self.board.schedule;
        for &(at, step) in &schedule.steps {
            if let Step::Return(required) = step {
                self.board.turn_to(at);
                if let Err(spent) = self.retire(required) {
                    return Answer::Unknown(spent, at);
                }
                if self.frontier.is_empty() {
                    let id = schedule.required[required as usize].id;
                    return Answer::Refuted(Refuted { id, at, partial: self.longest() });
                }
                self.board.forward(step);
                self.tidy();
            } else {
                self.board.forward(step);
            }
        }
        Answer::Linearizable
    }

    /// Extends every configuration until it contains the operation that returns now.
    fn retire(&mut self, required: u32) -> Result<(), Spent> {
        self.board.meter.tick()?;
        let slot = self.board.schedule.slots[required as usize] as usize;
        let mut frontier = std::mem::take(&mut self.frontier);
        let mut all = true;
        for configuration in &mut frontier {
            self.board.fit(configuration)?;
            all &= configuration.window.has(slot);
        }
        self.seen.clear();
        if all {
            for configuration in &mut frontier {
                leave(configuration, slot);
            }
            self.frontier = frontier;
            return Ok(());
        }
        self.survivors.clear();
        let least = frontier.iter().map(|c| self.board.counts.total(c.counts)).min().unwrap_or(0);
        for configuration in frontier.drain(..) {
            self.reach(configuration, false, slot, least);
        }
        let mut depth = 0;
        while depth < self.queue.len() {
            while let Some(configuration) = self.queue[depth].pop() {
                self.extend(&configuration, slot, least)?;
            }
            depth += 1;
        }
        frontier.extend(self.survivors.alive().cloned());
        if frontier.len() > 1 && !self.board.blind.is_empty() {
            thin(&mut frontier, &self.board.blind, &mut self.order, &self.board.comparison());
        }
        self.frontier = frontier;
        self.board.effort.widest(self.frontier.len());
        self.weigh()
    }

    /// Everything that one more operation makes of a configuration.
    fn extend(&mut self, from: &Configuration<W>, slot: usize, least: u32) -> Result<(), Spent> {
        let mut successors = std::mem::take(&mut self.successors);
        let known = |to: &Configuration<W>, by: &Comparison<'_, W>| match to.window.has(slot) {
            true => {
                let mut to = to.clone();
                leave(&mut to, slot);
                self.survivors.has_better(&to, 0, by)
            }
            false => self.seen.has_better(to, 0, by),
        };
        let extended = self.board.extend(from, &mut successors, known);
        let was_free = from.free.has(slot);
        for successor in successors.drain(..) {
            self.reach(successor.configuration, was_free, slot, least);
        }
        self.successors = successors;
        extended?;
        if self.board.effort.configurations > self.limit {
            return Err(Spent::Steps);
        }
        self.extended += 1;
        if self.extended.is_multiple_of(64) { self.weigh() } else { Ok(()) }
    }

    /// Keeps a configuration that is fitted: as a survivor if it contains the operation in `slot`, or may
    /// contain it unseen (unless the one that it comes from could already); else, or to see whether the
    /// operation can be seen as well, to be extended.
    fn reach(&mut self, configuration: Configuration<W>, was_free: bool, slot: usize, least: u32) {
        self.board.effort.configurations += 1;
        if configuration.window.has(slot) {
            let mut survivor = configuration;
            leave(&mut survivor, slot);
            self.survivors.offer(&survivor, 0, &self.board.comparison());
            return;
        }
        if configuration.free.has(slot) {
            if !was_free {
                let mut survivor = configuration.clone();
                self.board.note(&mut survivor, Traced::Unseen(self.board.in_slot(slot)));
                leave(&mut survivor, slot);
                self.survivors.offer(&survivor, 0, &self.board.comparison());
            }
            if !self.board.may_be_seen(slot) {
                return;
            }
        }
        if self.seen.offer(&configuration, 0, &self.board.comparison()) {
            let depth = (self.board.counts.total(configuration.counts) - least) as usize;
            if self.queue.len() <= depth {
                self.queue.resize_with(depth + 1, Vec::new);
            }
            self.queue[depth].push(configuration);
        }
    }

    /// Forgets what nobody can hold any more, after a return.
    fn tidy(&mut self) {
        let board = &mut self.board;
        if board.drop_classes() {
            self.frontier.iter_mut().for_each(|configuration| board.expire(configuration));
        }
        if board.counts.len() > 1 << 14 && board.counts.len() > 4 * self.frontier.len() {
            board.counts.keep(self.frontier.iter_mut().map(|configuration| &mut configuration.counts));
        }
        if let Some(trace) = board.trace.as_mut().filter(|trace| trace.len() > self.traced_max) {
            trace.keep(self.frontier.iter_mut().map(|configuration| &mut configuration.trace));
            self.traced_max = TRACED_MAX.max(2 * trace.len());
        }
        if board.states() > self.states_max {
            board.keep_states(&mut self.frontier);
            self.states_max = STATES_MAX.max(4 * board.states());
        }
    }

    fn weigh(&mut self) -> Result<(), Spent> {
        let heap = W::heap(self.board.schedule.width);
        let each = size_of::<Configuration<W>>() + 2 * heap;
        let queued: usize = self.queue.iter().map(|level| grown(level) + level.len() * 2 * heap).sum();
        let beside = queued
            + self.frontier.capacity() * each
            + self.seen.bytes(heap)
            + 2 * self.survivors.bytes(heap)
            + grown(&self.order)
            + grown(&self.successors);
        self.board.weigh(beside)
    }

    /// The numbers of the operations, in order, of the longest linearization just before the end.
    fn longest(&mut self) -> Vec<u32> {
        let best = self.seen.alive().max_by_key(|c| c.window.len() + c.free.len()).cloned();
        let Some(mut best) = best else { return Vec::new() };
        for slot in best.free.clone().slots() {
            self.board.note(&mut best, Traced::Unseen(self.board.in_slot(slot)));
        }
        let Some(trace) = &self.board.trace else { return Vec::new() };
        trace.order(self.board.model, self.board.schedule, best.trace)
    }
}

/// The operation in `slot` has returned.
pub(super) fn leave<W: Window>(configuration: &mut Configuration<W>, slot: usize) {
    configuration.window.remove(slot);
    configuration.free.remove(slot);
    configuration.idle = false;
}
