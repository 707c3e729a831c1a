//! A script as a generator: each item at its time, an operation as soon as its slot is free.

use super::Script;
use elenchus_core::fault::{Fault, FaultId};
use elenchus_core::generator::{Action, Context, Event, Generator, Next, What};
use elenchus_core::process::Slot;
use elenchus_core::time::Time;
use elenchus_core::workload::Vocabulary;
use elenchus_nemeses::schedule::{RETRY, TRIES_MAX};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Does what a part of a script says, and ends no sooner than that part.
#[derive(Clone, Debug)]
pub struct Actor<O> {
    left: VecDeque<(Time, Act<O>)>,
    until: Time,
    /// The faults that are in force, or could not be.
    struck: BTreeSet<FaultId>,
    /// The faults whose healing is under way, and how often it was tried.
    healing: BTreeMap<FaultId, u32>,
}

#[derive(Clone, Debug)]
enum Act<O> {
    Ask(Slot, O),
    Inject(FaultId, Fault),
    Heal(FaultId),
}

impl<O: Clone> Actor<O> {
    /// What is done before the last questions, if there are any, and they themselves.
    pub fn parts<V: Vocabulary<Op = O>>(
        script: &Script,
        vocabulary: &V,
    ) -> Result<(Actor<O>, Option<Actor<O>>), String> {
        let parting = script.final_ns.map_or(Time::MAX, Time);
        let (mut first, mut last) = (Vec::new(), Vec::new());
        for blow in &script.strikes {
            first.push((Time(blow.at_ns), Act::Inject(blow.id, blow.fault.clone())));
            let heal = blow.heal_ns.map(Time).filter(|at| *at <= parting);
            first.extend(heal.map(|at| (at, Act::Heal(blow.id))));
        }
        for (number, step) in script.operations.iter().enumerate() {
            let op = vocabulary.decode_op(&step.f, step.key().as_ref(), &step.value());
            let op = op.map_err(|what| format!("script: operation {number}: {what}"))?;
            let at = Time(step.at_ns);
            let part = if at < parting { &mut first } else { &mut last };
            part.push((at, Act::Ask(Slot(step.slot), op)));
        }
        let until = Time(script.until_ns);
        let is_parted = !last.is_empty();
        let first = Actor::new(first, if is_parted { Time::ZERO } else { until });
        Ok((first, is_parted.then(|| Actor::new(last, until))))
    }

    fn new(mut acts: Vec<(Time, Act<O>)>, until: Time) -> Actor<O> {
        // Stable: what happens at one time stays in the order of the script.
        acts.sort_by_key(|(at, _)| *at);
        Actor { left: acts.into(), until, struck: BTreeSet::new(), healing: BTreeMap::new() }
    }

    /// What cannot be healed is tried again, as a schedule does.
    fn healed(&mut self, id: FaultId, now: Time, ok: bool) {
        if ok || self.healing.get(&id).is_none_or(|tries| *tries >= TRIES_MAX) {
            self.healing.remove(&id);
            return;
        }
        let again = now + RETRY;
        let place = self.left.partition_point(|(at, _)| *at <= again);
        self.left.insert(place, (again, Act::Heal(id)));
    }

    /// The first that is due and can be done. An operation waits for its slot, those after it in that slot for it;
    /// a fault is healed only after it has struck.
    fn ready(&self, cx: &Context) -> Option<usize> {
        let mut busy = BTreeSet::new();
        let due = self.left.iter().take_while(|(at, _)| *at <= cx.now);
        due.enumerate().find_map(|(place, (_, act))| {
            let can = match act {
                Act::Ask(slot, _) => !busy.contains(slot) && (cx.is_free(*slot) || !busy.insert(*slot)),
                Act::Inject(..) => true,
                Act::Heal(id) => self.struck.contains(id),
            };
            can.then_some(place)
        })
    }
}

impl<O: Clone, R> Generator<O, R> for Actor<O> {
    fn next(&mut self, cx: &mut Context) -> Next<O> {
        if let Some((_, act)) = self.ready(cx).and_then(|place| self.left.remove(place)) {
            return match act {
                Act::Ask(slot, op) => Next::Invoke(slot, Action::Client(op)),
                Act::Inject(id, fault) => Next::Invoke(Context::NEMESIS, Action::Inject(id, fault)),
                Act::Heal(id) => {
                    *self.healing.entry(id).or_insert(0) += 1;
                    Next::Invoke(Context::NEMESIS, Action::Heal(id))
                }
            };
        }
        match self.left.iter().map(|(at, _)| *at).find(|at| *at > cx.now) {
            Some(at) => Next::Wait(Some(at)),
            None if !self.left.is_empty() || !self.healing.is_empty() => Next::Wait(None),
            None if cx.now < self.until => Next::Wait(Some(self.until)),
            None => Next::Done,
        }
    }

    fn update(&mut self, cx: &mut Context, event: &Event<O, R>) {
        match &event.what {
            What::Injected(id, _) => drop(self.struck.insert(*id)),
            What::Healed(id, healed) => self.healed(*id, cx.now, healed.is_ok()),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use elenchus_core::fault::Target;
    use elenchus_core::generator::simulate::{End, Perfect, simulate};
    use elenchus_core::process::{NodeId, Process};
    use std::time::Duration;

    const MS: u64 = 1_000_000;

    fn run(acts: Vec<(Time, Act<&'static str>)>, until_ms: u64) -> Vec<String> {
        let mut actor = Actor::new(acts, Time(until_ms * MS));
        let run = simulate::<&'static str, ()>(
            &mut actor,
            &mut Perfect(Duration::from_millis(5)),
            Context::new(2),
            100,
        );
        assert_eq!(run.end, End::Done);
        let line = |event: &Event<&str, ()>| {
            let what = match &event.what {
                What::Invoked(op) => format!("{op} in {}", event.slot.0),
                What::Inject(..) => "inject".into(),
                What::Heal(_) => "heal".into(),
                _ => return None,
            };
            Some(format!("{} {what}", event.time.0 / MS))
        };
        let mut lines: Vec<String> = run.events.iter().filter_map(line).collect();
        lines.push(format!("{} end", run.ended.0 / MS));
        lines
    }

    #[test]
    fn items_come_at_their_time_and_an_operation_waits_for_its_slot_alone() {
        let ask = |at: u64, slot, op| (Time(at * MS), Act::Ask(Slot(slot), op));
        let lines = run(vec![ask(20, 1, "d"), ask(10, 0, "a"), ask(12, 0, "b"), ask(12, 1, "c")], 0);
        assert_eq!(lines, ["10 a in 0", "12 c in 1", "15 b in 0", "20 d in 1", "20 end"]);
    }

    #[test]
    fn what_could_not_be_healed_is_tried_again_a_few_times_and_then_no_more() {
        let kill = Fault::Kill { nodes: Target::Nodes(NodeId::numbered(1)) };
        let acts = vec![(Time::ZERO, Act::Inject(FaultId(1), kill)), (Time(MS), Act::Heal(FaultId(1)))];
        let mut actor: Actor<&str> = Actor::new(acts, Time::ZERO);
        let mut cx = Context::new(1);
        let mut heals = Vec::new();
        let (time, slot, process) = (Time::ZERO, Context::NEMESIS, Process::NEMESIS);
        let told = |what| Event::<&str, ()> { time, slot, process, what };
        for at in 0..4_000 {
            cx.now = Time(at * MS);
            match Generator::<&str, ()>::next(&mut actor, &mut cx) {
                Next::Invoke(_, Action::Inject(id, _)) => {
                    let struck = What::Injected(id, Err("not done".into()));
                    actor.update(&mut cx, &told(struck));
                }
                Next::Invoke(_, Action::Heal(id)) => {
                    heals.push(at);
                    let is_waiting =
                        matches!(Generator::<&str, ()>::next(&mut actor, &mut cx), Next::Wait(None));
                    assert!(is_waiting, "it does not end before it knows");
                    actor.update(&mut cx, &told(What::Healed(id, Err("not done".into()))));
                }
                Next::Done => break,
                _ => {}
            }
        }
        assert_eq!(heals, [1, 501, 1_001, 1_501]);
    }

    #[test]
    fn a_fault_is_healed_after_it_has_struck_and_the_end_is_waited_for() {
        let fault = Fault::Kill { nodes: Target::Nodes(vec![NodeId::new("n1")]) };
        let acts = vec![(Time(MS), Act::Inject(FaultId(0), fault)), (Time(MS), Act::Heal(FaultId(0)))];
        let lines = run(acts, 90);
        assert!(lines[0] == "1 inject" && lines[1].ends_with("heal") && lines[2] == "90 end", "{lines:?}");
    }
}
