//! Depth first: one linearization at a time, back where it cannot go on.
//!
//! Histories of few values have many linearizations, and one is soon found by following the likeliest
//! extension: the one that contains the operation that returns, then one after which reads fit, then the
//! operation that returns soonest. What was extended before is remembered, and nothing that is no better is
//! extended again (Wing & Gong 1993; Lowe 2017, section 3). Where the order comes to an end it has proved
//! that there is no linearization, and the farthest return that it could not pass is the one at which the
//! search in breadth would have ended too.
//!
//! What it remembers it may forget, for that costs time and no exactness. If the list of what is left to try
//! becomes too long, its oldest part is dropped; then the end of the list proves nothing any more.

use super::board::{Board, Successor};
use super::breadth::leave;
use super::frontier::{Antichain, Configuration};
use super::meter::{Meter, Spent};
use super::schedule::{Schedule, Step};
use super::search::{Answer, Effort, Mode, Refuted};
use super::task::Position;
use super::window::Window;
use elenchus_core::model::Model;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};

/// What is left to try: a configuration at a return.
struct Branch<W> {
    /// The place of the return in the schedule.
    at: u32,
    /// Whether the operation that returns passed unseen already, and is now to be seen.
    seen: bool,
    configuration: Configuration<W>,
}

pub(super) struct Depth<'s, 'h, 'm, 'b, M: Model, W> {
    board: Board<'s, 'h, 'm, 'b, M, W>,
    /// How many steps of the schedule the board has done.
    done: usize,
    branches: VecDeque<Branch<W>>,
    extended: Antichain<W>,
    successors: Vec<Successor<W>>,
    /// The farthest return that could not be passed yet: its place in the schedule.
    farthest: usize,
    /// The position of that return, for others to know.
    reached: &'s AtomicU64,
    /// Whether nothing was dropped.
    complete: bool,
    /// So many configurations are visited at most.
    limit: u64,
    /// So many bytes are held at most.
    bytes_max: usize,
}

/// Branches that are kept at most.
const BRANCHES_MAX: usize = 1 << 16;

/// Whether a branch came to the end of the log.
enum Walk {
    Arrived,
    Stuck,
}

impl<'s, 'h, 'm, 'b, M: Model, W: Window> Depth<'s, 'h, 'm, 'b, M, W> {
    pub(super) fn new(
        model: &'s M,
        schedule: &'s Schedule<'h, M>,
        (limit, bytes_max): (u64, usize),
        reached: &'s AtomicU64,
        meter: &'m mut Meter<'b>,
    ) -> Self {
        let mut board = Board::new(Mode::Exact, model, schedule, false, meter);
        let configuration = board.start();
        let mut depth = Depth {
            board,
            done: 0,
            branches: VecDeque::new(),
            extended: Antichain::new(),
            successors: Vec::new(),
            farthest: 0,
            reached,
            complete: true,
            limit,
            bytes_max,
        };
        depth.branches.push_back(Branch { at: 0, seen: false, configuration });
        depth
    }

    pub(super) fn run(mut self, effort: &mut Effort) -> Answer {
        let answer = self.walk();
        *effort += self.board.effort;
        answer
    }

    fn walk(&mut self) -> Answer {
        while let Some(branch) = self.branches.pop_back() {
            match self.follow(branch) {
                Ok(Walk::Arrived) => return Answer::Linearizable,
                Ok(Walk::Stuck) => {}
                Err(spent) => return Answer::Unknown(spent, self.reached()),
            }
        }
        let schedule = self.board.schedule;
        match schedule.steps.get(self.farthest) {
            Some(&(at, Step::Return(required))) if self.complete => {
                let id = schedule.required[required as usize].id;
                Answer::Refuted(Refuted { id, at, partial: Vec::new() })
            }
            _ => Answer::Unknown(Spent::Steps, self.reached()),
        }
    }

    fn reached(&self) -> Position {
        self.board.schedule.steps.get(self.farthest).map_or(0, |(at, _)| *at)
    }

    /// Lets a configuration pass returns as long as it needs no choice, then extends it.
    fn follow(&mut self, branch: Branch<W>) -> Result<Walk, Spent> {
        let Branch { at, mut seen, mut configuration } = branch;
        self.board.meter.tick()?;
        self.go_to(at as usize);
        loop {
            let Some((at, required)) = self.next_return() else { return Ok(Walk::Arrived) };
            let slot = self.board.schedule.slots[required as usize] as usize;
            if self.done > self.farthest {
                self.farthest = self.done;
                self.reached.store(at, Ordering::Relaxed);
            }
            self.board.turn_to(at);
            self.board.fit(&mut configuration)?;
            self.board.effort.configurations += 1;
            if !configuration.window.has(slot) {
                if !configuration.free.has(slot) || seen {
                    self.extend(&configuration, slot)?;
                    return Ok(Walk::Stuck);
                }
                if self.board.may_be_seen(slot) {
                    self.later(self.done, true, configuration.clone());
                }
            }
            leave(&mut configuration, slot);
            self.board.expire(&mut configuration);
            seen = false;
            self.board.forward(Step::Return(required));
            self.done += 1;
        }
    }

    /// Brings the board to the place where this many steps are done.
    fn go_to(&mut self, place: usize) {
        while self.done > place {
            self.done -= 1;
            self.board.backward(self.board.schedule.steps[self.done].1);
        }
        while self.done < place {
            self.board.forward(self.board.schedule.steps[self.done].1);
            self.done += 1;
        }
    }

    /// Goes on to the next return that is not done.
    fn next_return(&mut self) -> Option<(Position, u32)> {
        loop {
            match *self.board.schedule.steps.get(self.done)? {
                (at, Step::Return(required)) => return Some((at, required)),
                (_, step) => self.board.forward(step),
            }
            self.done += 1;
        }
    }

    /// Leaves everything that one more operation makes of a configuration to be tried, the likeliest last.
    fn extend(&mut self, from: &Configuration<W>, slot: usize) -> Result<(), Spent> {
        if !self.extended.offer(from, self.done as u32, &self.board.comparison()) {
            return Ok(());
        }
        let mut successors = std::mem::take(&mut self.successors);
        let extended = self.board.extend(from, &mut successors, |_, _| false);
        let was_free = from.free.has(slot);
        successors.sort_by_key(|successor| {
            let configuration = &successor.configuration;
            let passes = configuration.window.has(slot) || configuration.free.has(slot) && !was_free;
            (passes, successor.seen, std::cmp::Reverse(successor.done))
        });
        for successor in successors.drain(..) {
            self.later(self.done, was_free, successor.configuration);
        }
        self.successors = successors;
        extended?;
        if self.board.effort.configurations > self.limit {
            return Err(Spent::Steps);
        }
        if self.board.effort.configurations.is_multiple_of(64) { self.weigh() } else { Ok(()) }
    }

    fn later(&mut self, at: usize, seen: bool, configuration: Configuration<W>) {
        if self.branches.len() == BRANCHES_MAX {
            self.branches.pop_front();
            self.complete = false;
        }
        self.branches.push_back(Branch { at: at as u32, seen, configuration });
    }

    fn weigh(&mut self) -> Result<(), Spent> {
        let heap = W::heap(self.board.schedule.width);
        let branches = self.branches.capacity().max(2 * self.branches.len()) * size_of::<Branch<W>>();
        let beside = branches + self.branches.len() * 2 * heap;
        if self.extended.bytes(heap) > self.bytes_max / 2 {
            self.extended = Antichain::new();
        }
        let all = beside + self.extended.bytes(heap);
        if all + self.board.bytes() > self.bytes_max {
            return Err(Spent::Memory);
        }
        self.board.weigh(all)
    }
}
