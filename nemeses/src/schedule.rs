//! The plan as a generator: injects what is due, heals what has lasted, and ends with everything healed.
//!
//! A drawn strike waits for the one of its kind before it to be healed, however long that takes, and lasts from when
//! it is in force. What cannot be injected may be there in part, so it is healed at once, and tried again
//! later under another id (nobody led at that moment, say). What cannot be healed is tried again a few times.
//!
//! A strike that the user wrote out waits for nobody, and nobody waits for it: it is injected at its time, whatever
//! else of its kind is in force, and heals alone.

use crate::plan::{self, Strike};
use elenchus_core::fault::{Fault, FaultId};
use elenchus_core::generator::{Action, Context, Event, Generator, Next, What};
use elenchus_core::random::Seed;
use elenchus_core::time::Time;
use std::collections::VecDeque;
use std::time::Duration;

pub use crate::plan::ScheduleOptions;

/// The schedule of a nemesis. It occupies no slot; done when its time is over and everything is healed, or
/// could not be.
#[derive(Clone, Debug)]
pub struct Schedule {
    plan: Vec<Strike>,
    until: Duration,
    start: Option<Time>,
    waiting: VecDeque<Planned>,
    active: Vec<Active>,
    next_id: u32,
    /// Nothing is due before this, unless an event says otherwise: most asks need not look.
    rest: Option<Time>,
}

#[derive(Clone, Debug)]
struct Planned {
    strike: Strike,
    tries: u32,
    /// Whether the user wrote it out.
    written: bool,
}

#[derive(Clone, Debug)]
struct Active {
    id: FaultId,
    planned: Planned,
    state: State,
    heals: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Injecting,
    /// To be healed then, or when all is over.
    InForce(Time),
    Healing,
    /// Could not be healed; to be tried again then.
    Ill(Time),
}

/// How often a fault is tried when it cannot be injected or healed.
pub const TRIES_MAX: u32 = 4;
/// How long after a failure.
pub const RETRY: Duration = Duration::from_millis(500);

impl Schedule {
    /// The schedule that these options draw.
    pub fn new(options: &ScheduleOptions) -> Schedule {
        Schedule::of(plan::draw(options), options.until)
    }

    /// These strikes, in the order of their times, and everything healed after `until`.
    pub fn of(plan: Vec<Strike>, until: Duration) -> Schedule {
        let waiting = plan.iter().map(|strike| Planned::new(strike, false)).collect();
        Schedule { plan, until, start: None, waiting, active: Vec::new(), next_id: 0, rest: None }
    }

    /// The same with strikes that were written out: each strikes exactly when it says.
    pub fn with_written(mut self, written: &[Strike]) -> Schedule {
        self.waiting.extend(written.iter().map(|strike| Planned::new(strike, true)));
        self.waiting.make_contiguous().sort_by_key(|planned| planned.strike.at_ms);
        self
    }

    /// A plan of nothing.
    pub fn none() -> Schedule {
        let (until, seed) = (Duration::ZERO, Seed(0));
        let (faults, nodes) = (Vec::new(), Vec::new());
        Schedule::new(&ScheduleOptions {
            faults,
            interval: until,
            until,
            nodes,
            primaries: false,
            resets: false,
            streams: false,
            crowded: false,
            seed,
        })
    }

    /// What is planned, for `plan.json`.
    pub fn plan(&self) -> &[Strike] {
        &self.plan
    }

    /// Whether it has to wait for another of its kind.
    fn must_wait(&self, planned: &Planned) -> bool {
        let name = planned.strike.fault.name();
        let drawn = self.active.iter().map(|active| &active.planned).filter(|planned| !planned.written);
        !planned.written && drawn.into_iter().any(|other| other.strike.fault.name() == name)
    }

    /// Heals what is due at `now`; everything, once the time is over.
    fn heal(&mut self, now: Time, over: bool) -> Option<FaultId> {
        let due = |active: &&mut Active| match active.state {
            State::InForce(until) => over || now >= until,
            State::Ill(until) => now >= until,
            State::Injecting | State::Healing => false,
        };
        let active = self.active.iter_mut().find(due)?;
        active.state = State::Healing;
        active.heals += 1;
        Some(active.id)
    }

    /// Injects the first planned that is due at `elapsed` and need not wait.
    fn inject(&mut self, elapsed: Duration) -> Option<(FaultId, Fault)> {
        let ready = |planned: &Planned| due(planned) <= elapsed && !self.must_wait(planned);
        let at = self.waiting.iter().position(ready)?;
        let planned = self.waiting.remove(at)?;
        let (id, fault) = (FaultId(self.next_id), planned.strike.fault.clone());
        self.next_id += 1;
        self.active.push(Active { id, planned, state: State::Injecting, heals: 0 });
        Some((id, fault))
    }

    /// The next moment at which something is due, if it is not an event that must come first.
    fn next_time(&self, start: Time) -> Option<Time> {
        let injections = self.waiting.iter().filter(|planned| !self.must_wait(planned)).map(due);
        let heals = self.active.iter().filter_map(|active| match active.state {
            State::InForce(until) | State::Ill(until) => Some(until),
            State::Injecting | State::Healing => None,
        });
        injections.map(|at| start + at).chain(heals).min()
    }

    fn injected(&mut self, id: FaultId, now: Time, ok: bool) {
        let Some(active) = self.active.iter_mut().find(|active| active.id == id) else { return };
        if active.state != State::Injecting {
            return;
        }
        let lasts = Duration::from_millis(active.planned.strike.lasts_ms);
        active.state = State::InForce(if ok { now + lasts } else { now });
        let tries = active.planned.tries + 1;
        if !ok
            && tries < TRIES_MAX
            && let Some(start) = self.start
        {
            let at_ms = (now.since(start) + RETRY).as_millis() as u64;
            let strike = Strike { at_ms, ..active.planned.strike.clone() };
            self.waiting.push_front(Planned { strike, tries, written: active.planned.written });
        }
    }

    fn healed(&mut self, id: FaultId, now: Time, ok: bool) {
        let Some(at) = self.active.iter().position(|active| active.id == id) else { return };
        if ok || self.active[at].heals >= TRIES_MAX {
            self.active.remove(at);
        } else {
            self.active[at].state = State::Ill(now + RETRY);
        }
    }
}

impl Planned {
    fn new(strike: &Strike, written: bool) -> Planned {
        Planned { strike: strike.clone(), tries: 0, written }
    }
}

fn due(planned: &Planned) -> Duration {
    Duration::from_millis(planned.strike.at_ms)
}

impl<O, R> Generator<O, R> for Schedule {
    fn next(&mut self, cx: &mut Context) -> Next<O> {
        if let Some(rest) = self.rest.filter(|&rest| cx.now < rest) {
            return Next::Wait(Some(rest));
        }
        let start = *self.start.get_or_insert(cx.now);
        let elapsed = cx.now.since(start);
        let over = elapsed >= self.until;
        if let Some(id) = self.heal(cx.now, over) {
            return Next::Invoke(Context::NEMESIS, Action::Heal(id));
        }
        if over {
            self.waiting.clear();
            return if self.active.is_empty() { Next::Done } else { Next::Wait(self.next_time(start)) };
        }
        if let Some((id, fault)) = self.inject(elapsed) {
            return Next::Invoke(Context::NEMESIS, Action::Inject(id, fault));
        }
        if self.waiting.is_empty() && self.active.is_empty() {
            return Next::Done;
        }
        let end = start + self.until;
        self.rest = Some(self.next_time(start).map_or(end, |time| time.min(end)));
        Next::Wait(self.rest)
    }

    fn update(&mut self, cx: &mut Context, event: &Event<O, R>) {
        self.rest = self.rest.filter(|_| event.slot != Context::NEMESIS);
        match &event.what {
            What::Injected(id, result) => self.injected(*id, cx.now, result.is_ok()),
            What::Healed(id, result) => self.healed(*id, cx.now, result.is_ok()),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::FaultName;
    use elenchus_core::fault::Proof;
    use elenchus_core::generator::simulate::{End, Perfect, Pretend, Run, simulate};
    use elenchus_core::generator::{Compose, any, repeat};
    use elenchus_core::outcome::{Cause, Outcome};
    use elenchus_core::process::NodeId;
    use std::collections::{BTreeMap, BTreeSet};

    type Op = &'static str;

    fn options(seed: u64) -> ScheduleOptions {
        ScheduleOptions {
            faults: FaultName::CUSTOMARY.to_vec(),
            interval: Duration::from_secs(2),
            until: Duration::from_secs(20),
            nodes: NodeId::numbered(5),
            primaries: true,
            resets: true,
            streams: false,
            crowded: false,
            seed: Seed(seed),
        }
    }

    fn run(schedule: Schedule, system: &mut dyn Pretend<Op, ()>) -> Run<Op, ()> {
        let run = simulate(&mut { schedule }, system, Context::new(2), 1000);
        assert_eq!(run.end, End::Done);
        run
    }

    /// `0.512 inject 0`, event by event.
    fn lines(run: &Run<Op, ()>) -> Vec<String> {
        let line = |event: &Event<Op, ()>| {
            let what = match &event.what {
                What::Inject(id, _) => format!("inject {}", id.0),
                What::Injected(id, result) => {
                    format!("injected {}{}", id.0, if result.is_ok() { "" } else { "!" })
                }
                What::Heal(id) => format!("heal {}", id.0),
                What::Healed(id, result) => {
                    format!("healed {}{}", id.0, if result.is_ok() { "" } else { "!" })
                }
                _ => "operation".to_owned(),
            };
            format!("{:.1} {what}", event.time.as_secs_f64())
        };
        run.events.iter().map(line).collect()
    }

    /// Faults take so long, and those of this name fail so many times.
    struct Stubborn {
        latency: Duration,
        failing: &'static str,
        inject: u32,
        heal: u32,
        names: BTreeMap<FaultId, &'static str>,
    }

    impl Stubborn {
        fn new(failing: &'static str, inject: u32, heal: u32) -> Stubborn {
            Stubborn { latency: Duration::from_millis(100), failing, inject, heal, names: BTreeMap::new() }
        }

        fn result(
            &mut self,
            id: FaultId,
            left: fn(&mut Stubborn) -> &mut u32,
        ) -> (Duration, Result<Proof, Cause>) {
            let proof = Proof { nodes: vec![], links: vec![], hit: true, text: String::new() };
            let fails = self.names[&id] == self.failing && *left(self) > 0;
            if fails {
                *left(self) -= 1;
            }
            (self.latency, if fails { Err("stubborn".into()) } else { Ok(proof) })
        }
    }

    impl Pretend<Op, ()> for Stubborn {
        fn call(&mut self, _op: &Op) -> (Duration, Outcome<()>) {
            (self.latency, Outcome::Ok(()))
        }

        fn inject(&mut self, id: FaultId, fault: &Fault) -> (Duration, Result<Proof, Cause>) {
            self.names.insert(id, fault.name());
            self.result(id, |stubborn| &mut stubborn.inject)
        }

        fn heal(&mut self, id: FaultId) -> (Duration, Result<Proof, Cause>) {
            self.result(id, |stubborn| &mut stubborn.heal)
        }
    }

    fn strike(at_ms: u64, lasts_ms: u64, fault: Fault) -> Strike {
        Strike { at_ms, lasts_ms, fault }
    }

    fn kill() -> Fault {
        Fault::Kill { nodes: elenchus_core::fault::Target::Primaries }
    }

    fn pause() -> Fault {
        Fault::Pause { nodes: elenchus_core::fault::Target::Primaries }
    }

    #[test]
    fn strikes_begin_and_end_as_planned_and_the_end_heals_the_rest() {
        let plan = vec![strike(500, 1000, kill()), strike(1000, 9000, pause()), strike(1200, 300, kill())];
        let run = run(Schedule::of(plan, Duration::from_secs(4)), &mut Stubborn::new("", 0, 0));
        assert_eq!(
            lines(&run),
            [
                "0.5 inject 0",
                "0.6 injected 0",
                "1.0 inject 1",
                "1.1 injected 1",
                "1.6 heal 0",
                "1.7 healed 0",
                "1.7 inject 2",
                "1.8 injected 2",
                "2.1 heal 2",
                "2.2 healed 2",
                "4.0 heal 1",
                "4.1 healed 1"
            ]
        );
        assert_eq!(run.ended, Time(4_100_000_000));
    }

    #[test]
    fn written_strikes_begin_exactly_when_they_say_and_each_heals_alone() {
        let drawn =
            Schedule::of(vec![strike(500, 2000, kill()), strike(900, 300, kill())], Duration::from_secs(4));
        let written = [strike(1400, 9000, pause()), strike(1000, 1000, kill()), strike(1000, 2000, kill())];
        let run = run(drawn.with_written(&written), &mut Stubborn::new("", 0, 0));
        assert_eq!(
            lines(&run),
            [
                "0.5 inject 0",
                "0.6 injected 0",
                "1.0 inject 1",
                "1.0 inject 2",
                "1.1 injected 1",
                "1.1 injected 2",
                "1.4 inject 3",
                "1.5 injected 3",
                "2.1 heal 1",
                "2.2 healed 1",
                "2.6 heal 0",
                "2.7 healed 0",
                "2.7 inject 4",
                "2.8 injected 4",
                "3.1 heal 2",
                "3.1 heal 4",
                "3.2 healed 2",
                "3.2 healed 4",
                "4.0 heal 3",
                "4.1 healed 3"
            ]
        );
    }

    #[test]
    fn a_plan_that_is_over_early_is_done_early() {
        let run = run(
            Schedule::of(vec![strike(500, 100, kill())], Duration::from_secs(90)),
            &mut Stubborn::new("", 0, 0),
        );
        assert_eq!(run.ended, Time(800_000_000));
    }

    #[test]
    fn what_could_not_be_injected_is_healed_all_the_same_and_tried_again() {
        let plan = vec![strike(500, 1000, kill())];
        let run = run(Schedule::of(plan, Duration::from_secs(9)), &mut Stubborn::new("kill", 1, 0));
        assert_eq!(
            lines(&run),
            [
                "0.5 inject 0",
                "0.6 injected 0!",
                "0.6 heal 0",
                "0.7 healed 0",
                "1.1 inject 1",
                "1.2 injected 1",
                "2.2 heal 1",
                "2.3 healed 1"
            ]
        );
    }

    #[test]
    fn what_never_can_be_injected_is_given_up() {
        let plan = vec![strike(500, 1000, kill())];
        let run = run(Schedule::of(plan, Duration::from_secs(60)), &mut Stubborn::new("kill", 99, 0));
        let injections = lines(&run).iter().filter(|line| line.contains("inject ")).count();
        assert_eq!(injections, TRIES_MAX as usize);
        let heals = lines(&run).iter().filter(|line| line.contains("healed ")).count();
        assert_eq!(heals, TRIES_MAX as usize);
    }

    #[test]
    fn what_could_not_be_healed_is_tried_again_even_after_the_end() {
        let plan = vec![strike(500, 1000, kill()), strike(900, 100, kill())];
        let run = run(Schedule::of(plan, Duration::from_secs(2)), &mut Stubborn::new("kill", 0, 2));
        assert_eq!(
            lines(&run),
            [
                "0.5 inject 0",
                "0.6 injected 0",
                "1.6 heal 0",
                "1.7 healed 0!",
                "2.2 heal 0",
                "2.3 healed 0!",
                "2.8 heal 0",
                "2.9 healed 0"
            ]
        );
    }

    #[test]
    fn what_never_heals_does_not_hang_the_trial() {
        let plan = vec![strike(500, 1000, kill())];
        let run = run(Schedule::of(plan, Duration::from_secs(2)), &mut Stubborn::new("kill", 0, 99));
        let heals = lines(&run).iter().filter(|line| line.contains("healed 0!")).count();
        assert_eq!(heals, TRIES_MAX as usize);
    }

    #[test]
    fn everything_is_healed_at_the_end_whatever_fails() {
        for seed in 0..200 {
            let failing = ["", "partition", "kill", "pause", "clock"][seed as usize % 5];
            let run = run(Schedule::new(&options(seed)), &mut Stubborn::new(failing, 2, 2));
            let (mut open, mut kinds, mut in_force) = (BTreeMap::new(), BTreeSet::new(), BTreeSet::new());
            for event in &run.events {
                match &event.what {
                    What::Inject(id, fault) => {
                        assert_eq!(open.insert(*id, fault.name()), None, "ids are never used twice");
                        assert!(in_force.insert(fault.name()), "seed {seed}: two {} at a time", fault.name());
                    }
                    What::Injected(id, Ok(_)) => drop(kinds.insert(open[id])),
                    What::Healed(id, Ok(_)) => {
                        let name = open.remove(id).expect("healed once");
                        in_force.remove(name);
                    }
                    _ => {}
                }
            }
            assert!(open.is_empty(), "seed {seed}: {open:?} not healed");
            assert_eq!(kinds.len(), 4, "seed {seed}: {kinds:?}");
            assert!(run.ended >= Time::from(Duration::from_secs(14)), "seed {seed}: {}", run.ended);
            assert!(run.ended <= Time::from(Duration::from_secs(22)), "seed {seed}: {}", run.ended);
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_events() {
        let trial = |seed| run(Schedule::new(&options(seed)), &mut Stubborn::new("kill", 1, 1)).events;
        assert_eq!(trial(11), trial(11));
        assert_ne!(trial(11), trial(12));
    }

    #[test]
    fn clients_work_while_it_strikes() {
        let clients =
            repeat("op").delay(Duration::from_millis(10)).time_limit(Duration::from_secs(20)).clients();
        let both = any(vec![clients.boxed::<Op, ()>(), Schedule::new(&options(3)).nemesis().boxed()]);
        let run = simulate(&mut { both }, &mut Perfect(Duration::from_millis(5)), Context::new(2), 100_000);
        assert_eq!((run.end, run.invocations().len()), (End::Done, 2000));
        assert!(run.events.iter().any(|event| matches!(event.what, What::Healed(..))));
    }

    #[test]
    fn none_is_done_at_once() {
        assert_eq!(run(Schedule::none(), &mut Stubborn::new("", 0, 0)).events, []);
        assert!(Schedule::none().plan().is_empty());
    }
}
