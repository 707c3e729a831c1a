//! Drives a generator against a pretend system in virtual time.
//!
//! This is a runner without a world: no IO, no waiting, the same answer each time. It shows exactly what a
//! generator does, which is how generators, workloads and schedules of faults are tested.

use super::{Action, Context, Event, Generator, Next, What};
use crate::fault::{Fault, FaultId, Proof};
use crate::outcome::{Cause, Outcome};
use crate::process::{Process, Slot};
use crate::time::Time;
use std::collections::BTreeMap;
use std::time::Duration;

/// A system that is only pretended: how long each thing takes and how it ends.
pub trait Pretend<O, R> {
    /// An operation.
    fn call(&mut self, op: &O) -> (Duration, Outcome<R>);

    /// The injection of a fault; by default it hits at once.
    fn inject(&mut self, _id: FaultId, _fault: &Fault) -> (Duration, Result<Proof, Cause>) {
        (Duration::ZERO, Ok(certain()))
    }

    /// The healing of a fault; by default it works at once.
    fn heal(&mut self, _id: FaultId) -> (Duration, Result<Proof, Cause>) {
        (Duration::ZERO, Ok(certain()))
    }
}

fn certain() -> Proof {
    Proof { nodes: Vec::new(), links: Vec::new(), hit: true, text: "pretended".into() }
}

/// Everything succeeds within 10 ns.
#[derive(Clone, Copy, Debug)]
pub struct Quick;

/// Everything succeeds, after this long.
#[derive(Clone, Copy, Debug)]
pub struct Perfect(pub Duration);

/// Everything ends in doubt, after this long.
#[derive(Clone, Copy, Debug)]
pub struct PerfectInfo(pub Duration);

/// Operations end ok, fail and in doubt in turn, after this long.
#[derive(Clone, Copy, Debug)]
pub struct Imperfect {
    latency: Duration,
    turn: u8,
}

impl Imperfect {
    /// The first operation ends ok.
    pub fn new(latency: Duration) -> Imperfect {
        Imperfect { latency, turn: 0 }
    }
}

impl<O, R: Default> Pretend<O, R> for Quick {
    fn call(&mut self, _op: &O) -> (Duration, Outcome<R>) {
        (Duration::from_nanos(10), Outcome::Ok(R::default()))
    }
}

impl<O, R: Default> Pretend<O, R> for Perfect {
    fn call(&mut self, _op: &O) -> (Duration, Outcome<R>) {
        (self.0, Outcome::Ok(R::default()))
    }
}

impl<O, R> Pretend<O, R> for PerfectInfo {
    fn call(&mut self, _op: &O) -> (Duration, Outcome<R>) {
        (self.0, Outcome::info("pretended"))
    }
}

impl<O, R: Default> Pretend<O, R> for Imperfect {
    fn call(&mut self, _op: &O) -> (Duration, Outcome<R>) {
        let turn = self.turn;
        self.turn = (turn + 1) % 3;
        let outcome = match turn {
            0 => Outcome::Ok(R::default()),
            1 => Outcome::not_done("pretended"),
            _ => Outcome::info("pretended"),
        };
        (self.latency, outcome)
    }
}

/// How a simulation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The generator was done.
    Done,
    /// The cap on events was reached.
    Capped,
    /// The generator waited for nothing while nothing was open, or for a time that was not to come.
    Stuck,
}

/// What happened in a simulation.
#[derive(Clone, Debug)]
pub struct Run<O, R> {
    /// All events, in order.
    pub events: Vec<Event<O, R>>,
    /// What the user was told.
    pub log: Vec<(Time, String)>,
    /// How it ended.
    pub end: End,
    /// When the generator was done (or the simulation given up).
    pub ended: Time,
}

impl<O: Clone, R> Run<O, R> {
    /// The operations invoked: when, by whom, what.
    pub fn invocations(&self) -> Vec<(Time, Process, O)> {
        let invoked = |event: &Event<O, R>| match &event.what {
            What::Invoked(op) => Some((event.time, event.process, op.clone())),
            _ => None,
        };
        self.events.iter().filter_map(invoked).collect()
    }
}

/// Drives `generator` against `system` until it is done, at most `cap` events long (give or take what is
/// open then). What ends at one moment ends in the order in which it began, and before anything new begins.
pub fn simulate<O: Clone, R: Clone>(
    generator: &mut dyn Generator<O, R>,
    system: &mut dyn Pretend<O, R>,
    cx: Context,
    cap: usize,
) -> Run<O, R> {
    let run = Run { events: Vec::new(), log: Vec::new(), end: End::Done, ended: Time::ZERO };
    let mut simulation = Simulation { generator, system, cx, run, pending: BTreeMap::new(), begun: 0 };
    simulation.run.end = simulation.drive(cap);
    simulation.run.ended = simulation.cx.now;
    while simulation.finish(Time::MAX) {}
    simulation.run
}

struct Simulation<'a, O, R> {
    generator: &'a mut dyn Generator<O, R>,
    system: &'a mut dyn Pretend<O, R>,
    cx: Context,
    run: Run<O, R>,
    /// What is open, by when it will end and when it began.
    pending: BTreeMap<(Time, u64), (Slot, What<O, R>)>,
    begun: u64,
}

impl<O: Clone, R: Clone> Simulation<'_, O, R> {
    fn drive(&mut self, cap: usize) -> End {
        loop {
            while self.finish(self.cx.now) {}
            if self.run.events.len() >= cap {
                return End::Capped;
            }
            match self.generator.next(&mut self.cx) {
                Next::Invoke(slot, action) => self.begin(slot, action),
                Next::Done => return End::Done,
                Next::Wait(until) => {
                    let ends = self.pending.keys().next().map(|&(time, _)| time);
                    match super::turns::earlier(until, ends) {
                        Some(time) if time > self.cx.now => self.cx.now = time,
                        _ => return End::Stuck,
                    }
                }
            }
        }
    }

    fn begin(&mut self, slot: Slot, action: Action<O>) {
        assert!(self.cx.is_free(slot), "the generator chose slot {} that was busy", slot.0);
        match action {
            Action::Log(text) => self.run.log.push((self.cx.now, text)),
            Action::Client(op) => {
                let (latency, outcome) = self.system.call(&op);
                self.open(slot, What::Invoked(op.clone()), latency, What::Done(op, outcome));
            }
            Action::Inject(id, fault) => {
                let (latency, result) = self.system.inject(id, &fault);
                self.open(slot, What::Inject(id, fault), latency, What::Injected(id, result));
            }
            Action::Heal(id) => {
                let (latency, result) = self.system.heal(id);
                self.open(slot, What::Heal(id), latency, What::Healed(id, result));
            }
        }
    }

    fn open(&mut self, slot: Slot, what: What<O, R>, latency: Duration, end: What<O, R>) {
        self.cx.occupy(slot);
        self.tell(slot, what);
        self.pending.insert((self.cx.now + latency, self.begun), (slot, end));
        self.begun += 1;
    }

    /// Ends what is due first, if anything is by then.
    fn finish(&mut self, by: Time) -> bool {
        let Some(first) = self.pending.first_entry().filter(|first| first.key().0 <= by) else {
            return false;
        };
        let ((time, _), (slot, what)) = first.remove_entry();
        self.cx.now = self.cx.now.max(time);
        let retire = matches!(&what, What::Done(_, outcome) if outcome.is_info());
        let process = self.cx.process(slot);
        self.cx.release(slot, retire);
        let event = Event { time: self.cx.now, slot, process, what };
        self.generator.update(&mut self.cx, &event);
        self.run.events.push(event);
        true
    }

    fn tell(&mut self, slot: Slot, what: What<O, R>) {
        let event = Event { time: self.cx.now, slot, process: self.cx.process(slot), what };
        self.generator.update(&mut self.cx, &event);
        self.run.events.push(event);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generator::testing::*;
    use crate::generator::*;

    #[test]
    fn what_waits_for_nothing_is_stuck() {
        struct Waits(Next<&'static str>);
        impl Generator<&'static str, ()> for Waits {
            fn next(&mut self, _: &mut Context) -> Next<&'static str> {
                self.0.clone()
            }
        }
        let end = |next| simulate(&mut Waits(next), &mut Quick, Context::new(1), 9).end;
        assert_eq!(end(Next::Wait(None)), End::Stuck);
        assert_eq!(end(Next::Wait(Some(Time::ZERO))), End::Stuck);
        assert_eq!(end(Next::Done), End::Done);
    }

    #[test]
    fn outcomes_come_in_turn_and_the_cap_holds() {
        let run = simulate(&mut repeat("a"), &mut Imperfect::new(ns(10)), Context::new(1), 8);
        assert_eq!(run.end, End::Capped);
        let kinds: Vec<_> = run.events.iter().map(|e| (e.time.0, e.process.0, what(&e.what))).collect();
        assert_eq!(
            kinds,
            [
                (0, 0, "invoke"),
                (10, 0, "ok"),
                (10, 0, "invoke"),
                (20, 0, "fail"),
                (20, 0, "invoke"),
                (30, 0, "info"),
                (30, 1, "invoke"),
                (40, 1, "ok")
            ]
        );
    }

    fn what(what: &What<&str, ()>) -> &'static str {
        match what {
            What::Invoked(_) => "invoke",
            What::Done(_, Outcome::Ok(())) => "ok",
            What::Done(_, Outcome::Fail(_)) => "fail",
            What::Done(_, Outcome::Info(_)) => "info",
            _ => "fault",
        }
    }

    #[test]
    fn asking_is_cheap() {
        let seed = crate::random::Seed(1);
        let members = vec![(3, repeat("a").boxed::<&str, ()>()), (1, repeat("b").boxed())];
        let load = independent::concurrent(5, u64::MAX, |_| repeat("c").process_limit(20).limit(100));
        let both = any(vec![weighted_mix(seed, members).on_slots(SlotSet::first(5)).boxed(), load.boxed()]);
        let run = simulate(&mut both.clients(), &mut Imperfect::new(ns(10)), Context::new(20), 40_000);
        assert_eq!(run.end, End::Capped);
    }
}
