//! What the tests of generators share: short names for simulations with text as operations.

use super::simulate::{End, Imperfect, Perfect, PerfectInfo, Pretend, Quick, Run, simulate};
use super::*;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

/// When (ns), by whom, what.
pub(super) type Line<O> = (u64, u32, O);

pub(super) fn ns(n: u64) -> Duration {
    Duration::from_nanos(n)
}

/// Everything takes 10 ns and succeeds.
pub(super) fn quick<O: Clone>(slots: u32, generator: impl Generator<O, ()>) -> Vec<Line<O>> {
    lines(&ended(slots, generator, &mut Quick))
}

/// Everything takes `latency` ns and succeeds.
pub(super) fn perfect<O: Clone>(slots: u32, latency: u64, generator: impl Generator<O, ()>) -> Vec<Line<O>> {
    lines(&ended(slots, generator, &mut Perfect(ns(latency))))
}

/// Everything takes 10 ns and ends in doubt.
pub(super) fn in_doubt<O: Clone>(slots: u32, generator: impl Generator<O, ()>) -> Vec<Line<O>> {
    lines(&ended(slots, generator, &mut PerfectInfo(ns(10))))
}

/// Everything takes 10 ns and ends ok, fail and in doubt in turn.
pub(super) fn imperfect<O: Clone>(slots: u32, generator: impl Generator<O, ()>) -> Vec<Line<O>> {
    lines(&ended(slots, generator, &mut Imperfect::new(ns(10))))
}

/// Runs to the end, which must come.
#[track_caller]
pub(super) fn ended<O: Clone>(
    slots: u32,
    mut generator: impl Generator<O, ()>,
    system: &mut dyn Pretend<O, ()>,
) -> Run<O, ()> {
    let run = simulate(&mut generator, system, Context::new(slots), 100_000);
    assert_eq!(run.end, End::Done);
    run
}

pub(super) fn lines<O: Clone>(run: &Run<O, ()>) -> Vec<Line<O>> {
    run.invocations().into_iter().map(|(time, process, op)| (time.0, process.0, op)).collect()
}

/// The lines without their processes, where chance chose these.
pub(super) fn whens<O: Clone>(lines: &[Line<O>]) -> Vec<(u64, O)> {
    lines.iter().map(|(time, _, op)| (*time, op.clone())).collect()
}

/// The operations alone.
pub(super) fn ops<O: Clone>(lines: &[Line<O>]) -> Vec<O> {
    lines.iter().map(|(_, _, op)| op.clone()).collect()
}

/// Invokes `op` so many times, and keeps what it is told: the slots of the events.
pub(super) struct Witness {
    pub left: u32,
    pub heard: Rc<RefCell<Vec<Slot>>>,
}

pub(super) fn witness(left: u32) -> (Witness, Rc<RefCell<Vec<Slot>>>) {
    let heard = Rc::new(RefCell::new(Vec::new()));
    (Witness { left, heard: heard.clone() }, heard)
}

impl Generator<&'static str, ()> for Witness {
    fn next(&mut self, cx: &mut Context) -> Next<&'static str> {
        match (self.left, cx.pick()) {
            (0, _) => Next::Done,
            (_, None) => Next::Wait(None),
            (_, Some(slot)) => {
                self.left -= 1;
                Next::Invoke(slot, Action::Client("w"))
            }
        }
    }

    fn update(&mut self, _cx: &mut Context, event: &Event<&'static str, ()>) {
        self.heard.borrow_mut().push(event.slot);
    }
}

#[test]
fn events_reach_the_children_of_every_combinator() {
    type Wrap = fn(Boxed<&'static str, ()>) -> Boxed<&'static str, ()>;
    let wraps: Vec<(&str, Wrap)> = vec![
        ("limit", |g| g.limit(9).boxed()),
        ("process_limit", |g| g.process_limit(9).boxed()),
        ("time_limit", |g| g.time_limit(ns(99)).boxed()),
        ("stagger", |g| g.stagger(ns(1), crate::random::Seed(0)).boxed()),
        ("delay", |g| g.delay(ns(1)).boxed()),
        ("synchronize", |g| g.synchronize().boxed()),
        ("clients", |g| g.clients().boxed()),
        ("on_slots", |g| g.on_slots(SlotSet::first(1)).boxed()),
        ("until_ok", |g| g.until_ok().boxed()),
        ("sequence", |g| sequence(vec![g]).boxed()),
        ("phases", |g| phases(vec![g]).boxed()),
        ("any", |g| any(vec![g]).boxed()),
        ("mix", |g| mix(crate::random::Seed(0), vec![g]).boxed()),
        ("flip_flop", |g| flip_flop(vec![g]).boxed()),
        ("reserve", |g| reserve(vec![(1, g)], repeat("x").limit(0).boxed()).boxed()),
        ("default of reserve", |g| reserve(vec![], g).boxed()),
        ("cycle", |g| {
            let mut g = Some(g);
            cycle(1, move || g.take().expect("made once")).boxed()
        }),
        ("each_slot", |g| {
            let mut g = Some(g);
            each_slot(move |_| g.take().expect("made once")).boxed()
        }),
        ("each_process", |g| {
            let mut g = Some(g);
            each_process(move |_| g.take().expect("made once")).boxed()
        }),
        ("sequential", |g| {
            let mut g = Some(g);
            independent::sequential(1, move |_| g.take().expect("made once")).boxed()
        }),
        ("concurrent", |g| {
            let mut g = Some(g);
            independent::concurrent(1, 1, move |_| g.take().expect("made once")).boxed()
        }),
    ];
    for (name, wrap) in wraps {
        let (child, heard) = witness(2);
        let mut generator = wrap(child.boxed());
        simulate(&mut generator, &mut Quick, Context::new(1), 3);
        let heard = heard.borrow();
        assert!(heard.len() >= 2 && heard.iter().all(|&slot| slot == Slot(0)), "{name}: {heard:?}");
    }
}

#[test]
fn asking_without_an_operation_consumes_nothing() {
    let make = || {
        let seed = crate::random::Seed(3);
        any(vec![
            reserve(
                vec![(1, repeat("a").stagger(ns(30), seed).limit(20).boxed())],
                mix(seed, vec![from_iter(["b"; 9]).boxed(), repeat("c").delay(ns(7)).limit(9).boxed()])
                    .boxed(),
            )
            .clients()
            .boxed(),
            log("hello").boxed(),
        ])
    };
    /// Asks a busy context over and over before each true ask.
    struct Nagging<G>(G);
    impl<G: Generator<&'static str, ()>> Generator<&'static str, ()> for Nagging<G> {
        fn next(&mut self, cx: &mut Context) -> Next<&'static str> {
            for _ in 0..5 {
                let busy = cx.within(&SlotSet::EMPTY, false, |cx| cx.any_free());
                assert!(!busy && cx.pick() == cx.pick());
            }
            let next = self.0.next(cx);
            if let Next::Wait(until) = next {
                assert_eq!(self.0.next(cx), Next::Wait(until), "the same answer to the same question");
            }
            next
        }
        fn update(&mut self, cx: &mut Context, event: &Event<&'static str, ()>) {
            self.0.update(cx, event);
        }
    }
    assert_eq!(imperfect(3, Nagging(make())), imperfect(3, make()));
}
