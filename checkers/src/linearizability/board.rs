//! What is open at one place of the log, and what can be done with a configuration there.
//!
//! Both orders of search (`breadth`, `depth`) walk over the same board. It knows three kinds of open
//! operations: *inert* ones, which can never change the state and are put in as soon as they fit; *blind*
//! writes, which fit every state and lead to one; and all *others*. Operations in doubt are possible from
//! their call on, and counted by class.
//!
//! A blind write that nobody sees is *absorbed*: when another one is put in, every open blind write may have
//! happened just before it. It becomes *free*: it may pass its return as it is, or still be put in where it
//! is seen, at its own return at the latest. So one is put in only to be seen; and after one that nobody has
//! seen yet, no other is tried: that is what absorbing stands for.

use super::counts::Counts;
use super::frontier::{Comparison, Configuration};
use super::meter::{Meter, Spent, grown};
use super::notice::excludes;
use super::refuted::{Claim, claimed};
use super::schedule::{Class, Schedule, Step};
use super::search::{Effort, Mode};
use super::states::States;
use super::task::{NEVER, Position, Task};
use super::trace::{Trace, Traced};
use super::window::Window;
use elenchus_core::model::Model;

/// Which states an open operation that is not blind can follow, as far as the model tells.
#[derive(Clone, Copy)]
enum Follows {
    /// It must be tried.
    Unknown,
    /// None but this one.
    Only(u32),
    /// Every one but this one.
    AllBut(u32),
}

/// What became of a configuration by one more operation.
pub(super) struct Successor<W> {
    pub configuration: Configuration<W>,
    /// When that operation returns.
    pub done: Position,
    /// Whether operations without effect fitted afterwards.
    pub seen: bool,
}

/// One operation leads to several states.
const SEVERAL: u32 = u32::MAX;
/// No state, no operation.
const NONE: u32 = u32::MAX;

pub(super) struct Board<'s, 'h, 'm, 'b, M: Model, W> {
    pub model: &'s M,
    pub schedule: &'s Schedule<'h, M>,
    pub meter: &'m mut Meter<'b>,
    pub effort: Effort,
    pub counts: Counts,
    pub inert: W,
    pub blind: W,
    pub others: W,
    pub trace: Option<Trace>,
    /// The position of the return that is dealt with.
    pub now: Position,
    mode: Mode,
    /// Whether the state follows from what was put in.
    state_free: bool,
    states: States<M::State, W>,
    /// The operation in each slot.
    occupant: Vec<u32>,
    follows: Vec<Follows>,
    /// Where the blind write in each slot leads.
    target: Vec<u32>,
    /// The state that stood for that one when blind writes were compared.
    settled: Vec<u32>,
    /// Of each slot, those with operations that do the same and return sooner: they go first.
    sooner: Vec<W>,
    /// Until when the blind writes of `sooner` are complete: later some of their values are dead.
    alike_until: Position,
    arrived: Vec<u32>,
    active: Vec<u32>,
    /// Where blind writes of each class lead.
    class_target: Vec<u32>,
    after: Vec<M::State>,
    /// What the search held, beside the board, when it was weighed last.
    beside: usize,
    weighed: usize,
}

impl<'s, 'h, 'm, 'b, M: Model, W: Window> Board<'s, 'h, 'm, 'b, M, W> {
    pub(super) fn new(
        mode: Mode,
        model: &'s M,
        schedule: &'s Schedule<'h, M>,
        traced: bool,
        meter: &'m mut Meter<'b>,
    ) -> Self {
        let (width, classes) = (schedule.width, schedule.classes.len());
        let order_free = |task: &Task<'h, M>| model.order_free(task.op, task.outcome);
        Board {
            model,
            schedule,
            meter,
            effort: Effort::default(),
            counts: Counts::new(classes),
            inert: W::empty(width),
            blind: W::empty(width),
            others: W::empty(width),
            trace: traced.then(Trace::new),
            now: 0,
            mode,
            state_free: classes == 0 && schedule.required.iter().all(order_free),
            states: States::new(width, schedule.steps.len()),
            occupant: vec![NONE; width],
            follows: vec![Follows::Unknown; width],
            target: vec![NONE; width],
            settled: vec![NONE; width],
            sooner: vec![W::empty(width); width],
            alike_until: 0,
            arrived: vec![0; classes],
            active: Vec::new(),
            class_target: vec![NONE; classes],
            after: Vec::new(),
            beside: 0,
            weighed: 0,
        }
    }

    /// The configuration before everything.
    pub(super) fn start(&mut self) -> Configuration<W> {
        let state = self.number(self.schedule.init.clone());
        let (window, free) = (W::empty(self.schedule.width), W::empty(self.schedule.width));
        Configuration { window, free, state, counts: Counts::NONE, trace: 0, idle: false }
    }

    pub(super) fn comparison(&self) -> Comparison<'_, W> {
        Comparison {
            inert: &self.inert,
            counts: &self.counts,
            blind_to_counts: self.mode == Mode::Thrifty,
            state_free: self.state_free,
        }
    }

    /// Does what a step of the schedule says: a call opens an operation, a return closes it.
    pub(super) fn forward(&mut self, step: Step) {
        match step {
            Step::Arrive(class) => self.arrive(class),
            Step::Call(required) => self.open(required),
            Step::Return(required) => self.close(required),
        }
    }

    /// Undoes the last step that was done.
    pub(super) fn backward(&mut self, step: Step) {
        match step {
            Step::Arrive(class) => {
                self.arrived[class as usize] -= 1;
                if self.arrived[class as usize] == 0 {
                    self.active.pop();
                }
            }
            Step::Call(required) => self.close(required),
            Step::Return(required) => self.open(required),
        }
        self.alike_until = 0;
    }

    /// The return at this position is to be dealt with.
    pub(super) fn turn_to(&mut self, now: Position) {
        self.now = now;
        if now > self.alike_until {
            self.compare_blind();
        }
    }

    /// Forgets the classes of operations in doubt that nobody can notice after `now`, if there are any.
    pub(super) fn drop_classes(&mut self) -> bool {
        let (classes, now) = (&self.schedule.classes, self.now);
        let before = self.active.len();
        self.active.retain(|class| classes[*class as usize].until > now);
        self.active.len() < before
    }

    /// The same configuration, as it is after `now`.
    pub(super) fn expire(&mut self, configuration: &mut Configuration<W>) {
        let (classes, now) = (&self.schedule.classes, self.now);
        let over = |class: u32| classes[class as usize].until <= now;
        configuration.counts = self.counts.without(configuration.counts, over);
    }

    fn arrive(&mut self, class: u32) {
        self.arrived[class as usize] += 1;
        if self.arrived[class as usize] > 1 {
            return;
        }
        self.active.push(class);
        if let Some(target) = &self.schedule.classes[class as usize].target
            && self.class_target[class as usize] == NONE
        {
            self.class_target[class as usize] = self.number(target.clone());
        }
    }

    fn open(&mut self, required: u32) {
        let task = &self.schedule.required[required as usize];
        let slot = self.schedule.slots[required as usize] as usize;
        self.occupant[slot] = required;
        if let Some(target) = self.schedule.blind_target(self.model, task) {
            self.target[slot] = self.number(target);
            self.settled[slot] = self.settle_blind(slot);
            let same = |board: &Self, other: usize| board.settled[other] == board.settled[slot];
            self.compare(slot, &self.blind.clone(), same);
            return self.blind.insert(slot);
        }
        let source = self.model.source(task.op, task.outcome);
        self.follows[slot] = match (source, excludes(self.model, task)) {
            (Some(state), _) => Follows::Only(self.number(state)),
            (None, Some(state)) => Follows::AllBut(self.number(state)),
            (None, None) => Follows::Unknown,
        };
        self.states.called(slot);
        if self.model.inert(task.op, task.outcome) {
            self.inert.insert(slot);
            return;
        }
        let same = |board: &Self, other: usize| {
            let twin = &board.schedule.required[board.occupant[other] as usize];
            twin.op == task.op && twin.outcome == task.outcome
        };
        self.compare(slot, &self.others.clone(), same);
        self.others.insert(slot);
    }

    /// Finds which of these open operations do the same as the one in `slot`, and who goes first.
    fn compare(&mut self, slot: usize, open: &W, same: impl Fn(&Self, usize) -> bool) {
        let done = |slot: usize| self.schedule.required[self.occupant[slot] as usize].done;
        let mut sooner = W::empty(self.schedule.width);
        let own = done(slot);
        let twins: Vec<(usize, bool)> =
            open.slots().filter(|other| same(self, *other)).map(|other| (other, done(other) < own)).collect();
        for (other, goes_first) in twins {
            match goes_first {
                true => sooner.insert(other),
                false => self.sooner[other].insert(slot),
            }
        }
        self.sooner[slot] = sooner;
    }

    fn close(&mut self, required: u32) {
        let slot = self.schedule.slots[required as usize] as usize;
        if self.inert.has(slot) {
            return self.inert.remove(slot);
        }
        let set = if self.blind.has(slot) { &mut self.blind } else { &mut self.others };
        set.remove(slot);
        set.slots().for_each(|other| self.sooner[other].remove(slot));
    }

    /// The state that stands for where the blind write in this slot leads.
    fn settle_blind(&mut self, slot: usize) -> u32 {
        let settled = self.states.settle(self.target[slot], self.now);
        let lasting = self.states.lasting(settled);
        for until in [lasting.noticed, lasting.distinct].into_iter().filter(|until| *until >= self.now) {
            self.alike_until = self.alike_until.min(until);
        }
        settled
    }

    /// Finds which open blind writes do the same now.
    fn compare_blind(&mut self) {
        self.alike_until = NEVER;
        let mut writes: Vec<(u32, Position, usize)> = Vec::new();
        for slot in self.blind.clone().slots() {
            self.settled[slot] = self.settle_blind(slot);
            let done = self.schedule.required[self.occupant[slot] as usize].done;
            writes.push((self.settled[slot], done, slot));
        }
        writes.sort_unstable();
        let mut sooner = W::empty(self.schedule.width);
        for (i, &(state, _, slot)) in writes.iter().enumerate() {
            if i > 0 && writes[i - 1].0 != state {
                sooner = W::empty(self.schedule.width);
            }
            self.sooner[slot] = sooner.clone();
            sooner.insert(slot);
        }
    }

    /// Whether it can matter that the blind write in this slot is seen at its return, which is now.
    pub(super) fn may_be_seen(&self, slot: usize) -> bool {
        let lasting = self.states.lasting(self.target[slot]);
        match claimed(Claim::UnreadStaysUnseen) {
            true => lasting.distinct > self.now,
            false => lasting.noticed > self.now && !claimed(Claim::UnseenStaysUnseen),
        }
    }

    /// Puts in every open operation without effect that fits the state; whether there was one.
    pub(super) fn fit(&mut self, configuration: &mut Configuration<W>) -> Result<bool, Spent> {
        configuration.state = self.states.settle(configuration.state, self.now);
        let state = configuration.state;
        self.states.refresh(state);
        if claimed(Claim::WritesCanBeEager) {
            let there = |slot: &usize| self.states.settle(self.target[*slot], self.now) == state;
            self.blind.slots().filter(there).for_each(|slot| configuration.window.insert(slot));
        }
        let open = self.inert.clone().without(&configuration.window);
        if open.is_empty() {
            return Ok(false);
        }
        if !open.is_subset(self.states.asked(state).0) {
            let unasked = open.clone().without(self.states.asked(state).0);
            for slot in unasked.slots() {
                self.ask(state, slot)?;
            }
        }
        let fits = open.and(self.states.asked(state).1);
        if fits.is_empty() {
            return Ok(false);
        }
        if let Some(trace) = &mut self.trace {
            for slot in fits.slots() {
                trace.note(&mut configuration.trace, Traced::Required(self.occupant[slot]));
            }
        }
        configuration.window = configuration.window.clone().or(&fits);
        Ok(true)
    }

    /// Whether the operation in a slot can follow a state.
    fn follows(&mut self, state: u32, slot: usize) -> Result<bool, Spent> {
        let (asked, fits) = self.states.asked(state);
        if asked.has(slot) {
            return Ok(fits.has(slot));
        }
        self.ask(state, slot)
    }

    fn ask(&mut self, state: u32, slot: usize) -> Result<bool, Spent> {
        let required = self.occupant[slot];
        let fits = match self.follows[slot] {
            Follows::Only(other) if other != state => false,
            Follows::AllBut(other) => other != state,
            _ => {
                self.meter.tick()?;
                let task = &self.schedule.required[required as usize];
                let mut after = self.model.step(self.states.state(state), task.op, task.outcome).into_iter();
                match (after.next(), self.inert.has(slot)) {
                    (None, _) => false,
                    (Some(_), true) => true,
                    (Some(first), false) => {
                        let several = after.next().is_some();
                        drop(after);
                        let to = if several { SEVERAL } else { self.number(first) };
                        self.states.remember(state, required, to);
                        true
                    }
                }
            }
        };
        self.states.answer(state, slot, fits);
        Ok(fits)
    }

    /// Everything that one more operation makes of a configuration that is fitted. A configuration that
    /// differs from it only in what `known` accepts is left out.
    pub(super) fn extend(
        &mut self,
        from: &Configuration<W>,
        into: &mut Vec<Successor<W>>,
        mut known: impl FnMut(&Configuration<W>, &Comparison<'_, W>) -> bool,
    ) -> Result<(), Spent> {
        self.meter.tick()?;
        self.extend_by_others(from, into, &mut known)?;
        if !from.idle {
            self.extend_by_blind(from, into)?;
        }
        self.extend_by_doubtful(from, into)
    }

    fn extend_by_others(
        &mut self,
        from: &Configuration<W>,
        into: &mut Vec<Successor<W>>,
        known: &mut impl FnMut(&Configuration<W>, &Comparison<'_, W>) -> bool,
    ) -> Result<(), Spent> {
        let open = self.others.clone().without(&from.window);
        for slot in open.slots() {
            if !self.sooner[slot].is_subset(&from.window) {
                continue;
            }
            if self.state_free {
                let mut to = Configuration { idle: false, ..from.clone() };
                to.window.insert(slot);
                if known(&to, &self.comparison()) {
                    continue;
                }
            }
            if !self.follows(from.state, slot)? {
                continue;
            }
            let required = self.occupant[slot];
            let mut to = Configuration { idle: false, ..from.clone() };
            to.window.insert(slot);
            self.note(&mut to, Traced::Required(required));
            let task = &self.schedule.required[required as usize];
            match self.states.leads(from.state, required) {
                Some(state) if state != SEVERAL => {
                    to.state = state;
                    self.finish(to, task.done, into)?;
                }
                _ => {
                    self.meter.tick()?;
                    let after = self.model.step(self.states.state(from.state), task.op, task.outcome);
                    self.after.extend(after);
                    self.finish_all(&to, task.done, into)?;
                }
            }
        }
        Ok(())
    }

    fn extend_by_blind(
        &mut self,
        from: &Configuration<W>,
        into: &mut Vec<Successor<W>>,
    ) -> Result<(), Spent> {
        let open = self.blind.clone().without(&from.window);
        for slot in open.slots() {
            if !self.sooner[slot].is_subset(&from.window) {
                continue;
            }
            let required = self.occupant[slot];
            let mut to = from.clone();
            to.window.insert(slot);
            to.free = open.clone();
            to.free.remove(slot);
            (to.state, to.idle) = (self.target[slot], true);
            self.note(&mut to, Traced::Required(required));
            self.finish(to, self.schedule.required[required as usize].done, into)?;
        }
        Ok(())
    }

    fn extend_by_doubtful(
        &mut self,
        from: &Configuration<W>,
        into: &mut Vec<Successor<W>>,
    ) -> Result<(), Spent> {
        for i in 0..self.active.len() {
            let class = self.active[i];
            let Class { op, outcome, until, .. } = &self.schedule.classes[class as usize];
            let counted = self.mode != Mode::Relaxed;
            let target = self.class_target[class as usize];
            if *until < self.now
                || target != NONE && from.idle
                || counted && self.counts.of(from.counts, class) >= self.arrived[class as usize]
            {
                continue;
            }
            let mut to = Configuration { idle: false, ..from.clone() };
            if target != NONE {
                to.state = self.states.settle(target, self.now);
                to.free = self.blind.clone().without(&from.window);
                if to.state == from.state && to.free == from.free {
                    continue;
                }
                to.idle = true;
            } else {
                self.meter.tick()?;
                self.after.extend(self.model.step(self.states.state(from.state), op, outcome));
                if self.after.is_empty() {
                    continue;
                }
            }
            if counted {
                to.counts = self.counts.with_one_more(from.counts, class);
            }
            self.note(&mut to, Traced::Doubtful(class));
            match target {
                NONE => {
                    let own = from.state;
                    while let Some(state) = self.after.pop() {
                        let state = self.number(state);
                        // One in doubt that leads where nobody can notice is better left out.
                        let dead = self.states.lasting(state).noticed < self.now;
                        if !dead && self.states.settle(state, self.now) != own {
                            self.finish(Configuration { state, ..to.clone() }, NEVER, into)?;
                        }
                    }
                }
                _ => self.finish(to, NEVER, into)?,
            }
        }
        Ok(())
    }

    /// The configuration in each of the states in `after`.
    fn finish_all(
        &mut self,
        to: &Configuration<W>,
        done: Position,
        into: &mut Vec<Successor<W>>,
    ) -> Result<(), Spent> {
        while let Some(state) = self.after.pop() {
            let state = self.number(state);
            self.finish(Configuration { state, ..to.clone() }, done, into)?;
        }
        Ok(())
    }

    fn finish(
        &mut self,
        mut configuration: Configuration<W>,
        done: Position,
        into: &mut Vec<Successor<W>>,
    ) -> Result<(), Spent> {
        let seen = self.fit(&mut configuration)?;
        configuration.idle &= !seen;
        into.push(Successor { configuration, done, seen });
        if self.states.bytes() > self.weighed + SELDOM_WEIGHED { self.weigh(self.beside) } else { Ok(()) }
    }

    pub(super) fn note(&mut self, configuration: &mut Configuration<W>, what: Traced) {
        if let Some(trace) = &mut self.trace {
            trace.note(&mut configuration.trace, what);
        }
    }

    /// The required operation in a slot.
    pub(super) fn in_slot(&self, slot: usize) -> u32 {
        self.occupant[slot]
    }

    fn number(&mut self, state: M::State) -> u32 {
        let (model, notice) = (self.model, &self.schedule.notice);
        self.states.number(state, |state| (notice.lasting(model, state), model.weight(state)))
    }

    /// How many states are known.
    pub(super) fn states(&self) -> usize {
        self.states.len()
    }

    /// Forgets all states that neither these configurations hold nor what is open.
    pub(super) fn keep_states(&mut self, frontier: &mut [Configuration<W>]) {
        let of_frontier = frontier.iter_mut().map(|configuration| &mut configuration.state);
        let blind = &self.blind;
        let targets = self.target.iter_mut().chain(&mut self.settled).enumerate();
        let width = self.schedule.width;
        let targets = targets.filter(|(slot, _)| blind.has(*slot % width));
        let of_classes = self.class_target.iter_mut().filter(|target| **target != NONE);
        let bound = self.inert.clone().or(&self.others);
        let of_follows = self.follows.iter_mut().enumerate().filter_map(|(slot, follows)| match follows {
            Follows::Only(state) | Follows::AllBut(state) if bound.has(slot) => Some(state),
            _ => None,
        });
        let held = of_frontier.chain(targets.map(|(_, target)| target)).chain(of_classes).chain(of_follows);
        self.states.keep(held, |state| self.model.weight(state));
    }

    /// Bytes that the board holds.
    pub(super) fn bytes(&self) -> usize {
        let trace = self.trace.as_ref().map_or(0, Trace::bytes);
        let width = self.schedule.width * (W::heap(self.schedule.width) + size_of::<W>() + 24);
        let classes = grown(&self.arrived) + grown(&self.class_target) + grown(&self.active);
        self.states.bytes() + self.counts.bytes() + trace + width + classes
    }

    /// Counts what is held: by the board, and `beside` it.
    pub(super) fn weigh(&mut self, beside: usize) -> Result<(), Spent> {
        (self.beside, self.weighed) = (beside, self.states.bytes());
        self.meter.hold(beside + self.bytes())
    }
}

/// So many bytes of states may come before they are weighed again.
const SELDOM_WEIGHED: usize = 1 << 18;
