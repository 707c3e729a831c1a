//! The exact search: just-in-time linearization, breadth first.
//!
//! The log is read once, from the front (Lowe, "Testing for linearizability", 2017, section 4): an
//! operation that is called becomes possible, and only when one returns must something happen. Every
//! configuration that does not contain it yet is then extended by open operations, in every order, until
//! it does. If none survives, the history is not linearizable, and this return ends the earliest prefix
//! that is not. Where nothing is open the configurations are states, so that quiescent points cut the
//! search by themselves.
//!
//! What keeps it small, each proved by an exchange argument and refuted by no small history:
//! - an operation that can never change the state is put in as soon as it fits;
//! - of open operations that ask and answer the same, the one that returns first goes first;
//! - states that nobody can notice any more are one state ([`super::notice`]);
//! - operations in doubt are counted by class and used as late as possible, the thriftiest configurations
//!   first, and only antichains are kept ([`super::frontier`]).
//!
//! Not done here: depth-first order, which finds a linearization sooner where values repeat, but an illegal
//! history later; and the absorption of blind writes.

use super::counts::Counts;
use super::frontier::{Antichain, Configuration};
use super::index::{Index, Place, hash_of};
use super::meter::{Meter, Spent};
use super::schedule::{Class, Schedule, Step};
use super::task::Position;
use super::window::Window;
use elenchus_core::model::Model;

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

/// Searches for a linearization. With `traced`, a refutation tells the longest partial one.
///
/// Where operations are in doubt, the vectors of their counts are what makes a search long, and two short
/// ones come first. *Thrifty* keeps one vector where there are many: what it finds is a linearization.
/// *Relaxed* lets an operation in doubt happen any number of times: where even that finds none, there is
/// none. The exact search decides what lies between, and if it cannot, a relaxed refutation still stands.
/// Operations in doubt without a known target (an append, an increment) reach ever new states when repeated, so
/// that a relaxed search need not end: it is left out then.
pub(super) fn search<M: Model>(
    model: &M,
    schedule: &Schedule<'_, M>,
    traced: bool,
    meter: &mut Meter<'_>,
    effort: &mut Effort,
) -> Answer {
    let mut run = |mode| search_in(mode, model, schedule, traced, meter, effort);
    if schedule.classes.is_empty() {
        return run(Mode::Exact);
    }
    let thrifty = run(Mode::Thrifty);
    let Answer::Refuted(lower) = thrifty else { return thrifty };
    if schedule.classes.iter().any(|class| model.target(class.op).is_none()) {
        return run(Mode::Exact);
    }
    match run(Mode::Relaxed) {
        // Not before the one and not after the other: here it is.
        Answer::Refuted(upper) if upper.at == lower.at => Answer::Refuted(lower),
        Answer::Refuted(upper) => match run(Mode::Exact) {
            Answer::Unknown(..) => Answer::Refuted(Refuted { partial: lower.partial, ..upper }),
            exact => exact,
        },
        Answer::Linearizable | Answer::Unknown(..) => run(Mode::Exact),
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

/// Searches with operations in doubt counted in one way.
pub(super) fn search_in<M: Model>(
    mode: Mode,
    model: &M,
    schedule: &Schedule<'_, M>,
    traced: bool,
    meter: &mut Meter<'_>,
    effort: &mut Effort,
) -> Answer {
    match schedule.width {
        0..=64 => Search::<M, 1>::new(mode, model, schedule, traced, meter).run(effort),
        65..=128 => Search::<M, 2>::new(mode, model, schedule, traced, meter).run(effort),
        129..=512 => Search::<M, 8>::new(mode, model, schedule, traced, meter).run(effort),
        513..=2048 => Search::<M, 32>::new(mode, model, schedule, traced, meter).run(effort),
        _ => Answer::Unknown(Spent::Width, 0),
    }
}

/// An open operation that may change the state.
struct Mutator<const N: usize> {
    required: u32,
    slot: usize,
    done: Position,
    /// Open operations that ask and answer the same, and return sooner.
    sooner: Window<N>,
}

/// One step of a partial linearization, linked to the one before.
struct Trace {
    before: u32,
    what: Traced,
}

#[derive(Clone, Copy)]
enum Traced {
    Start,
    Required(u32),
    Doubtful(u32),
}

struct Search<'s, 'h, 'b, M: Model, const N: usize> {
    mode: Mode,
    model: &'s M,
    schedule: &'s Schedule<'h, M>,
    meter: &'s mut Meter<'b>,
    states: Vec<M::State>,
    states_index: Index,
    states_bytes: usize,
    /// Of each state, the open operations without effect that fit it, and the epoch of that knowledge.
    fitting: Vec<(u32, Window<N>)>,
    /// Of each state, the last return that could notice it.
    noticed: Vec<Position>,
    /// A state that nobody can notice any more: it stands for all such.
    dead: Option<u32>,
    /// The position of the return that is dealt with.
    now: Position,
    epoch: u32,
    inert: Window<N>,
    inert_in: Vec<u32>,
    mutators: Vec<Mutator<N>>,
    arrived: Vec<u32>,
    active: Vec<u32>,
    counts: Counts,
    frontier: Vec<Configuration<N>>,
    seen: Antichain<N>,
    survivors: Antichain<N>,
    queue: Vec<Vec<Configuration<N>>>,
    trace: Option<Vec<Trace>>,
    after: Vec<M::State>,
    effort: Effort,
}

impl<'s, 'h, 'b, M: Model, const N: usize> Search<'s, 'h, 'b, M, N> {
    fn new(
        mode: Mode,
        model: &'s M,
        schedule: &'s Schedule<'h, M>,
        traced: bool,
        meter: &'s mut Meter<'b>,
    ) -> Self {
        let mut search = Search {
            mode,
            model,
            schedule,
            meter,
            states: Vec::new(),
            states_index: Index::new(),
            states_bytes: 0,
            fitting: Vec::new(),
            noticed: Vec::new(),
            dead: None,
            now: 0,
            epoch: 1,
            inert: Window::EMPTY,
            inert_in: vec![0; schedule.width],
            mutators: Vec::new(),
            arrived: vec![0; schedule.classes.len()],
            active: Vec::new(),
            counts: Counts::new(),
            frontier: Vec::new(),
            seen: Antichain::new(mode == Mode::Thrifty),
            survivors: Antichain::new(mode == Mode::Thrifty),
            queue: Vec::new(),
            trace: traced.then(|| vec![Trace { before: 0, what: Traced::Start }]),
            after: Vec::new(),
            effort: Effort::default(),
        };
        let state = search.number(schedule.init.clone());
        search.frontier.push(Configuration { window: Window::EMPTY, state, counts: Counts::NONE, trace: 0 });
        search
    }

    fn run(mut self, effort: &mut Effort) -> Answer {
        let answer = self.walk();
        effort.configurations += self.effort.configurations;
        effort.frontier_max = effort.frontier_max.max(self.effort.frontier_max);
        answer
    }

    fn walk(&mut self) -> Answer {
        let schedule = self.schedule;
        for &(at, step) in &schedule.steps {
            match step {
                Step::Arrive(class) => self.arrive(class),
                Step::Call(required) => self.call(required),
                Step::Return(required) => {
                    self.now = at;
                    if let Err(spent) = self.retire(required) {
                        return Answer::Unknown(spent, at);
                    }
                    if self.frontier.is_empty() {
                        let id = schedule.required[required as usize].id;
                        return Answer::Refuted(Refuted { id, at, partial: self.longest() });
                    }
                    self.leave(required, at);
                }
            }
        }
        Answer::Linearizable
    }

    fn arrive(&mut self, class: u32) {
        self.arrived[class as usize] += 1;
        if self.arrived[class as usize] == 1 {
            self.active.push(class);
        }
    }

    fn call(&mut self, required: u32) {
        let task = &self.schedule.required[required as usize];
        let slot = self.schedule.slots[required as usize] as usize;
        if self.model.inert(task.op, task.outcome) {
            self.inert.insert(slot);
            self.inert_in[slot] = required;
            self.epoch += 1;
            return;
        }
        let mut new = Mutator { required, slot, done: task.done, sooner: Window::EMPTY };
        for other in &mut self.mutators {
            let twin = &self.schedule.required[other.required as usize];
            if twin.op != task.op || twin.outcome != task.outcome {
                continue;
            }
            match other.done < new.done {
                true => new.sooner.insert(other.slot),
                false => other.sooner.insert(new.slot),
            }
        }
        let at = self.mutators.partition_point(|other| other.done < new.done);
        self.mutators.insert(at, new);
    }

    /// The operation has returned: its slot is free, and classes that nobody can notice any more are over.
    fn leave(&mut self, required: u32, at: Position) {
        let slot = self.schedule.slots[required as usize] as usize;
        if self.inert.has(slot) {
            self.inert.remove(slot);
        } else {
            self.mutators.retain(|mutator| mutator.slot != slot);
            self.mutators.iter_mut().for_each(|mutator| mutator.sooner.remove(slot));
        }
        let classes = &self.schedule.classes;
        let over = |class: u32| classes[class as usize].until <= at;
        if self.active.iter().any(|class| over(*class)) {
            self.active.retain(|class| !over(*class));
            for configuration in &mut self.frontier {
                configuration.counts = self.counts.without(configuration.counts, over);
            }
        }
        if self.counts.len() > 1 << 14 && self.counts.len() > 4 * self.frontier.len() {
            self.counts.keep(self.frontier.iter_mut().map(|configuration| &mut configuration.counts));
        }
    }

    /// Extends every configuration until it contains the operation that returns now.
    fn retire(&mut self, required: u32) -> Result<(), Spent> {
        self.meter.tick()?;
        let slot = self.schedule.slots[required as usize] as usize;
        let mut frontier = std::mem::take(&mut self.frontier);
        let mut all = true;
        for configuration in &mut frontier {
            self.fit(configuration);
            all &= configuration.window.has(slot);
        }
        self.seen.clear();
        if all {
            frontier.iter_mut().for_each(|configuration| configuration.window.remove(slot));
            self.frontier = frontier;
            return Ok(());
        }
        self.survivors.clear();
        let least = frontier.iter().map(|c| self.counts.total(c.counts)).min().unwrap_or(0);
        for configuration in frontier.drain(..) {
            self.meter.tick()?;
            let depth = (self.counts.total(configuration.counts) - least) as usize;
            self.reach(configuration, slot, depth);
        }
        let mut depth = 0;
        while depth < self.queue.len() {
            while let Some(configuration) = self.queue[depth].pop() {
                self.extend(configuration, slot, depth)?;
                if self.effort.configurations.is_multiple_of(64) {
                    self.weigh(&frontier)?;
                }
            }
            depth += 1;
        }
        frontier.extend(self.survivors.alive());
        self.frontier = frontier;
        self.effort.frontier_max = self.effort.frontier_max.max(self.frontier.len());
        self.weigh(&[])
    }

    /// Puts in every open operation without effect that fits the state, if anybody still can notice it.
    fn fit(&mut self, configuration: &mut Configuration<N>) {
        if self.noticed[configuration.state as usize] < self.now {
            configuration.state = *self.dead.get_or_insert(configuration.state);
        }
        let state = configuration.state as usize;
        if self.fitting[state].0 != self.epoch {
            let mut window = Window::EMPTY;
            for slot in self.inert.slots() {
                let task = &self.schedule.required[self.inert_in[slot] as usize];
                let mut after = self.model.step(&self.states[state], task.op, task.outcome).into_iter();
                if after.next().is_some() {
                    window.insert(slot);
                }
            }
            self.fitting[state] = (self.epoch, window);
        }
        let window = configuration.window.or(&self.fitting[state].1.and(&self.inert));
        if self.trace.is_some() {
            for slot in window.without(&configuration.window).slots() {
                self.note(configuration, Traced::Required(self.inert_in[slot]));
            }
        }
        configuration.window = window;
    }

    /// Everything that one more operation makes of a configuration.
    fn extend(&mut self, from: Configuration<N>, slot: usize, depth: usize) -> Result<(), Spent> {
        for i in 0..self.mutators.len() {
            self.meter.tick()?;
            let mutator = &self.mutators[i];
            if from.window.has(mutator.slot) || !mutator.sooner.is_subset(&from.window) {
                continue;
            }
            let (required, bit) = (mutator.required, mutator.slot);
            let task = &self.schedule.required[required as usize];
            self.after.extend(self.model.step(&self.states[from.state as usize], task.op, task.outcome));
            while let Some(after) = self.after.pop() {
                let mut to = from;
                to.window.insert(bit);
                to.state = self.number(after);
                self.note(&mut to, Traced::Required(required));
                self.visit(to, slot, depth);
            }
        }
        for i in 0..self.active.len() {
            self.meter.tick()?;
            let class = self.active[i];
            let counted = self.mode != Mode::Relaxed;
            if counted && self.counts.of(from.counts, class) >= self.arrived[class as usize] {
                continue;
            }
            let Class { op, outcome, .. } = &self.schedule.classes[class as usize];
            self.after.extend(self.model.step(&self.states[from.state as usize], op, outcome));
            while let Some(after) = self.after.pop() {
                let state = self.number(after);
                if state == from.state {
                    continue;
                }
                let used = usize::from(counted);
                let counts =
                    if counted { self.counts.with_one_more(from.counts, class) } else { from.counts };
                let mut to = Configuration { state, counts, ..from };
                self.note(&mut to, Traced::Doubtful(class));
                self.visit(to, slot, depth + used);
            }
        }
        Ok(())
    }

    fn visit(&mut self, mut configuration: Configuration<N>, slot: usize, depth: usize) {
        self.fit(&mut configuration);
        self.reach(configuration, slot, depth);
    }

    /// Keeps a configuration: as a survivor if it contains the operation in `slot`, else to be extended.
    fn reach(&mut self, mut configuration: Configuration<N>, slot: usize, depth: usize) {
        self.effort.configurations += 1;
        if configuration.window.has(slot) {
            configuration.window.remove(slot);
            self.survivors.offer(configuration, &self.inert, &self.counts);
        } else if self.seen.offer(configuration, &self.inert, &self.counts) {
            if self.queue.len() <= depth {
                self.queue.resize_with(depth + 1, Vec::new);
            }
            self.queue[depth].push(configuration);
        }
    }

    fn number(&mut self, state: M::State) -> u32 {
        let hash = hash_of(&state);
        match self.states_index.find(hash, |id| self.states[id as usize] == state) {
            Place::Known(id) => id,
            Place::Vacant(at) => {
                let id = self.states.len() as u32;
                self.states_index.fill(at, hash, id);
                self.noticed.push(self.schedule.notice.last(self.model, &state));
                self.states_bytes += self.model.weight(&state) + size_of::<(u32, Window<N>, Position)>();
                self.states.push(state);
                self.fitting.push((0, Window::EMPTY));
                id
            }
        }
    }

    fn weigh(&mut self, frontier: &[Configuration<N>]) -> Result<(), Spent> {
        let queued: usize = self.queue.iter().map(Vec::capacity).sum();
        let configurations = queued + self.frontier.capacity() + frontier.len();
        let bytes = configurations * size_of::<Configuration<N>>()
            + self.seen.bytes()
            + self.survivors.bytes()
            + self.states_bytes
            + self.states_index.bytes()
            + self.counts.bytes()
            + self.trace.as_ref().map_or(0, |trace| trace.capacity() * size_of::<Trace>());
        self.meter.hold(bytes)
    }

    fn note(&mut self, configuration: &mut Configuration<N>, what: Traced) {
        if let Some(trace) = &mut self.trace {
            trace.push(Trace { before: configuration.trace, what });
            configuration.trace = trace.len() as u32 - 1;
        }
    }

    /// The numbers of the operations, in order, of the longest linearization just before the end.
    fn longest(&self) -> Vec<u32> {
        let Some(trace) = &self.trace else { return Vec::new() };
        let best = self.seen.alive().max_by_key(|c| c.window.len());
        let mut at = best.map_or(0, |configuration| configuration.trace);
        let mut order = Vec::new();
        loop {
            match trace[at as usize].what {
                Traced::Start => break,
                step => order.push(step),
            }
            at = trace[at as usize].before;
        }
        order.reverse();
        let mut used = vec![0; self.schedule.classes.len()];
        let id = |step: Traced| match step {
            Traced::Start => None,
            Traced::Required(required) => Some(self.schedule.required[required as usize].id),
            Traced::Doubtful(class) => {
                used[class as usize] += 1;
                self.schedule.classes[class as usize].ids.get(used[class as usize] - 1).copied()
            }
        };
        order.into_iter().filter_map(id).collect()
    }
}
