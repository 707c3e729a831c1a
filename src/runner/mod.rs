//! The loop that drives a trial: generator on one side, world on the other, the log in between.
//!
//! Its rules are Jepsen's (`jepsen.generator.interpreter`), each of them kept for the verdict's sake:
//! - Completions are taken before new operations are asked for, so that intervals widen little.
//! - An invocation reaches the kernel before the world may act on it, a completion is logged after it was
//!   received: intervals only ever widen, so the order in the log never accuses a correct system.
//! - An operation in doubt retires its process; the slot goes on as another.
//! - Every operation and every fault has a deadline that the loop owns. Past it the operation is in
//!   doubt, whatever still arrives from its process is dropped.
//! - A log that cannot be written ends the trial: nothing more is invoked.
//!
//! Deliberately absent: any knowledge of clusters, sockets or tasks. Those are the [`World`]'s.

mod log;

pub use log::{Log, Pages};

use elenchus_core::fault::{Fault, FaultId, Proof};
use elenchus_core::fault_log;
use elenchus_core::generator::{Action, Context, Event, Generator, Next, What};
use elenchus_core::outcome::{Cause, Outcome};
use elenchus_core::process::{Process, Slot};
use elenchus_core::random::Seed;
use elenchus_core::time::Time;
use elenchus_core::workload::Vocabulary;
use elenchus_core::world::{Note, Wake, World};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// The deadlines that the loop owns.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How long an operation may take before it is in doubt.
    pub operation: Duration,
    /// How long a fault may take to come or to go.
    pub fault: Duration,
}

/// Why a run of the loop ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The generator is done and everything that was open has ended.
    Completed,
    /// The user wants an end; operations may still be open.
    Interrupted,
}

/// The trial itself broke; the history so far stands, no verdict on the system follows from this.
#[derive(Debug, thiserror::Error)]
pub enum Broken {
    /// The log could not be written.
    #[error("the log cannot be written any more ({0}); is the disk full?")]
    Log(std::io::Error),
    /// The generator asked to wait while nothing could ever happen.
    #[error("the generator waits for nothing: no operation is open, no fault is pending, no time was named")]
    Stalled,
    /// The generator used a slot that was not free.
    #[error("the generator invoked an operation in slot {0}, which was busy")]
    Busy(u32),
}

/// Watches the loop for the user. Called with everything that enters the log.
pub trait Observer<O, R> {
    /// Something entered the log.
    fn saw(&mut self, event: &Event<O, R>);
    /// The generator wants the user to know something.
    fn told(&mut self, _text: &str) {}
    /// Called at least twice a second.
    fn tick(&mut self, _now: Time) {}
}

/// An observer that does not look.
pub struct Silent;

impl<O, R> Observer<O, R> for Silent {
    fn saw(&mut self, _event: &Event<O, R>) {}
}

/// The loop and all that it remembers between two runs: who is busy, what is broken.
pub struct Runner<'t, V: Vocabulary> {
    vocabulary: &'t V,
    world: &'t mut dyn World<V::Op, V::Ret>,
    observer: &'t mut dyn Observer<V::Op, V::Ret>,
    log: Log,
    limits: Limits,
    cx: Context,
    open: Vec<Option<Open<V::Op>>>,
    deadlines: BTreeSet<(Time, Slot)>,
    faults: BTreeMap<FaultId, Pending>,
    names: BTreeMap<FaultId, &'static str>,
    unhealed: BTreeSet<FaultId>,
    batch: Vec<Order<V::Op>>,
}

/// An operation that has not ended.
struct Open<O> {
    process: Process,
    op: O,
    deadline: Time,
}

/// Where a fault stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pending {
    Injecting(Time),
    InForce,
    Healing(Time),
}

/// What the world is told once the log is safe.
enum Order<O> {
    Invoke(Slot, Process, O),
    Inject(FaultId, Fault),
    Heal(FaultId),
}

/// How often the observer is called at least.
const TICK: Duration = Duration::from_millis(500);
/// How often healing everything is tried: a cluster without a majority takes no member back, for one.
const HEALINGS_MAX: u32 = 3;

impl<'t, V: Vocabulary> Runner<'t, V> {
    /// A runner with all slots free.
    pub fn new(
        vocabulary: &'t V,
        world: &'t mut dyn World<V::Op, V::Ret>,
        observer: &'t mut dyn Observer<V::Op, V::Ret>,
        log: Log,
        concurrency: u32,
        limits: Limits,
    ) -> Self {
        Runner {
            vocabulary,
            world,
            observer,
            log,
            limits,
            cx: Context::new(concurrency),
            open: (0..concurrency).map(|_| None).collect(),
            deadlines: BTreeSet::new(),
            faults: BTreeMap::new(),
            names: BTreeMap::new(),
            unhealed: BTreeSet::new(),
            batch: Vec::new(),
        }
    }

    /// The same runner, its slots chosen by this seed.
    pub fn seeded(mut self, seed: Seed) -> Self {
        self.cx = self.cx.seeded(seed);
        self
    }

    /// Drives `generator` to its end.
    pub fn run(&mut self, generator: &mut dyn Generator<V::Op, V::Ret>) -> Result<End, Broken> {
        loop {
            // Completions first: an operation that ended must not look concurrent with the next ones.
            while let Some(wake) = self.poll() {
                if self.handle(wake, generator)? {
                    return self.stop();
                }
            }
            self.expire(generator);
            let asked = self.ask(generator)?;
            self.log.flush().map_err(Broken::Log)?;
            self.act();
            let idle = self.open.iter().all(Option::is_none) && !self.is_fault_moving();
            match asked {
                None if idle => return self.stop_with(End::Completed),
                Some(None) if idle => return Err(Broken::Stalled),
                _ => {}
            }
            self.observer.tick(self.world.now());
            let wake = self.world.wait(Some(self.next_wake(asked.flatten())));
            if self.handle(wake, generator)? {
                return self.stop();
            }
        }
    }

    /// Heals every fault still in force and waits until each is healed or overdue; what could not be healed is
    /// tried again, since the cluster may have been in no state for it before.
    pub fn heal_all(&mut self) -> Result<(), Broken> {
        for _ in 0..HEALINGS_MAX {
            if self.is_whole() {
                break;
            }
            self.heal_once()?;
        }
        Ok(())
    }

    fn heal_once(&mut self) -> Result<(), Broken> {
        let now = self.world.now();
        let moving = |id: &FaultId| matches!(self.faults.get(id), Some(Pending::Healing(_)));
        let ids: BTreeSet<FaultId> = self.faults.keys().chain(&self.unhealed).copied().collect();
        for id in ids.into_iter().filter(|id| !moving(id)).collect::<Vec<_>>() {
            self.start_healing(id, now);
        }
        self.log.flush().map_err(Broken::Log)?;
        self.act();
        while self.is_fault_moving() {
            let until = self.next_wake(None);
            let wake = self.world.wait(Some(until));
            self.handle(wake, &mut Nothing)?;
            self.expire(&mut Nothing);
            self.log.flush().map_err(Broken::Log)?;
            self.act();
        }
        Ok(())
    }

    /// Puts a note into the log, such as the beginning of the final phase.
    pub fn note(&mut self, note: &Note) -> Result<(), Broken> {
        self.log.entry(self.world.now(), &fault_log::encode_note(note));
        self.log.flush().map_err(Broken::Log)
    }

    /// Whether everything injected is healed.
    pub fn is_whole(&self) -> bool {
        self.faults.is_empty() && self.unhealed.is_empty()
    }

    /// The log, for its last lines.
    pub fn into_log(self) -> Log {
        self.log
    }

    fn stop(&mut self) -> Result<End, Broken> {
        self.stop_with(End::Interrupted)
    }

    fn stop_with(&mut self, end: End) -> Result<End, Broken> {
        self.log.flush().map_err(Broken::Log)?;
        Ok(end)
    }

    fn poll(&mut self) -> Option<Wake<V::Ret>> {
        if self.open.iter().all(Option::is_none) && self.faults.is_empty() {
            return None;
        }
        match self.world.wait(Some(Time::ZERO)) {
            Wake::Timeout => None,
            wake => Some(wake),
        }
    }

    /// Asks the generator until it waits (`Some(until)`) or is done (`None`).
    fn ask(&mut self, generator: &mut dyn Generator<V::Op, V::Ret>) -> Result<Option<Option<Time>>, Broken> {
        loop {
            let now = self.world.now();
            self.cx.now = now;
            match generator.next(&mut self.cx) {
                Next::Done => return Ok(None),
                Next::Wait(until) => return Ok(Some(until)),
                Next::Invoke(slot, Action::Client(op)) => self.invoke(slot, op, now, generator)?,
                Next::Invoke(_, Action::Inject(id, fault)) => self.inject(id, fault, now, generator),
                Next::Invoke(_, Action::Heal(id)) => {
                    self.start_healing(id, now);
                    self.show(Context::NEMESIS, Process::NEMESIS, What::Heal(id), now, generator);
                }
                Next::Invoke(_, Action::Log(text)) => self.observer.told(&text),
            }
        }
    }

    fn invoke(
        &mut self,
        slot: Slot,
        op: V::Op,
        now: Time,
        generator: &mut dyn Generator<V::Op, V::Ret>,
    ) -> Result<(), Broken> {
        let place = self.open.get_mut(slot.0 as usize).ok_or(Broken::Busy(slot.0))?;
        if place.is_some() {
            return Err(Broken::Busy(slot.0));
        }
        let process = self.cx.process(slot);
        let deadline = now + self.limits.operation;
        *place = Some(Open { process, op: op.clone(), deadline });
        self.deadlines.insert((deadline, slot));
        self.cx.occupy(slot);
        self.log.invocation(now, process, &self.vocabulary.encode_op(&op));
        self.batch.push(Order::Invoke(slot, process, op.clone()));
        self.show(slot, process, What::Invoked(op), now, generator);
        Ok(())
    }

    fn inject(&mut self, id: FaultId, fault: Fault, now: Time, generator: &mut dyn Generator<V::Op, V::Ret>) {
        self.log.entry(now, &fault_log::encode_inject(id, &fault));
        self.names.insert(id, fault.name());
        self.faults.insert(id, Pending::Injecting(now + self.limits.fault));
        self.batch.push(Order::Inject(id, fault.clone()));
        self.show(Context::NEMESIS, Process::NEMESIS, What::Inject(id, fault), now, generator);
    }

    fn start_healing(&mut self, id: FaultId, now: Time) {
        let Some(name) = self.names.get(&id) else { return };
        self.log.entry(now, &fault_log::encode_heal(id, name));
        self.faults.insert(id, Pending::Healing(now + self.limits.fault));
        self.batch.push(Order::Heal(id));
    }

    /// Tells the world what the log now holds.
    fn act(&mut self) {
        for order in self.batch.drain(..) {
            match order {
                Order::Invoke(slot, process, op) => self.world.invoke(slot, process, op),
                Order::Inject(id, fault) => self.world.inject(id, fault),
                Order::Heal(id) => self.world.heal(id),
            }
        }
    }

    /// Takes in what happened. True if the user wants an end.
    fn handle(
        &mut self,
        wake: Wake<V::Ret>,
        generator: &mut dyn Generator<V::Op, V::Ret>,
    ) -> Result<bool, Broken> {
        let now = self.world.now();
        match wake {
            Wake::Timeout => {}
            Wake::Interrupted => return Ok(true),
            Wake::Noted(note) => {
                self.log.entry(now, &fault_log::encode_note(&note));
            }
            Wake::Done(slot, process, outcome) => self.complete(slot, process, outcome, now, generator),
            Wake::Injected(id, proof) => self.injected(id, proof, now, generator),
            Wake::Healed(id, proof) => self.healed(id, proof, now, generator),
        }
        Ok(false)
    }

    fn complete(
        &mut self,
        slot: Slot,
        process: Process,
        outcome: Outcome<V::Ret>,
        now: Time,
        generator: &mut dyn Generator<V::Op, V::Ret>,
    ) {
        let place = &mut self.open[slot.0 as usize];
        if !matches!(place, Some(open) if open.process == process) {
            return; // It was given up before; its process is over and its completion already stands.
        }
        let Open { op, deadline, .. } = place.take().expect("the place was just seen to be taken");
        self.deadlines.remove(&(deadline, slot));
        self.log.completion(now, process, self.vocabulary, &op, &outcome);
        self.cx.release(slot, outcome.is_info());
        self.show(slot, process, What::Done(op, outcome), now, generator);
    }

    fn injected(
        &mut self,
        id: FaultId,
        proof: Result<Proof, Cause>,
        now: Time,
        generator: &mut dyn Generator<V::Op, V::Ret>,
    ) {
        if !matches!(self.faults.get(&id), Some(Pending::Injecting(_))) {
            return; // Overdue: the log already says so.
        }
        self.faults.insert(id, Pending::InForce);
        self.log.entry(now, &fault_log::encode_injected(id, self.names[&id], &proof));
        self.show(Context::NEMESIS, Process::NEMESIS, What::Injected(id, proof), now, generator);
    }

    fn healed(
        &mut self,
        id: FaultId,
        proof: Result<Proof, Cause>,
        now: Time,
        generator: &mut dyn Generator<V::Op, V::Ret>,
    ) {
        if self.faults.remove(&id).is_none() {
            return; // Overdue: the log already says so.
        }
        // A schedule may try again to heal what could not be healed.
        if proof.is_err() {
            self.unhealed.insert(id);
        } else {
            self.unhealed.remove(&id);
        }
        self.log.entry(now, &fault_log::encode_healed(id, self.names[&id], &proof));
        self.show(Context::NEMESIS, Process::NEMESIS, What::Healed(id, proof), now, generator);
    }

    /// Ends in doubt whatever is overdue.
    fn expire(&mut self, generator: &mut dyn Generator<V::Op, V::Ret>) {
        let now = self.world.now();
        while let Some(&(at, slot)) = self.deadlines.first()
            && at <= now
        {
            let process = self.cx.process(slot);
            self.world.abandon(slot, process);
            let late = Outcome::info(format!("timeout after {:?}", self.limits.operation));
            self.complete(slot, process, late, now, generator);
        }
        let overdue: Vec<(FaultId, Pending)> = self
            .faults
            .iter()
            .filter(|(_, p)| matches!(p, Pending::Injecting(at) | Pending::Healing(at) if *at <= now))
            .map(|(id, p)| (*id, *p))
            .collect();
        for (id, pending) in overdue {
            let late = Err(Cause::from(format!("not done within {:?}", self.limits.fault)));
            match pending {
                Pending::Injecting(_) => self.injected(id, late, now, generator),
                _ => self.healed(id, late, now, generator),
            }
        }
    }

    fn is_fault_moving(&self) -> bool {
        self.faults.values().any(|p| !matches!(p, Pending::InForce))
    }

    /// When the loop must look again if nothing happens.
    fn next_wake(&self, asked: Option<Time>) -> Time {
        let operation = self.deadlines.first().map(|d| d.0);
        let fault = self.faults.values().filter_map(|p| match p {
            Pending::Injecting(at) | Pending::Healing(at) => Some(*at),
            Pending::InForce => None,
        });
        let tick = self.world.now() + TICK;
        fault.chain(operation).chain(asked).fold(tick, Time::min)
    }

    fn show(
        &mut self,
        slot: Slot,
        process: Process,
        what: What<V::Op, V::Ret>,
        now: Time,
        generator: &mut dyn Generator<V::Op, V::Ret>,
    ) {
        let event = Event { time: now, slot, process, what };
        self.cx.now = now;
        self.observer.saw(&event);
        generator.update(&mut self.cx, &event);
    }
}

/// A generator of nothing, for the time when only faults still end.
struct Nothing;

impl<O, R> Generator<O, R> for Nothing {
    fn next(&mut self, _cx: &mut Context) -> Next<O> {
        Next::Done
    }
}

#[cfg(test)]
mod tests;
