//! Tests of the grow-only set: its hints, its shortcut, its words.

use super::*;
use crate::linearizability::tests::exhaustive::{Keep, Sort, compare_all, judge_all};
use crate::linearizability::tests::order_free::of_every_order;
use crate::linearizability::tests::random::compare_many;
use crate::linearizability::tests::{Tally, search_says};
use crate::linearizability::{Insight, Shortcut, Task, check_operations};
use crate::synthetic::Simulation;
use elenchus_core::budget::Budget;
use elenchus_core::operation::Operation;
use elenchus_core::process::Process;
use elenchus_core::random::{Rng, Seed};
use elenchus_core::time::Time;
use elenchus_core::verdict::{Validity, Verdict};

type SetOperation = Operation<SetOp, SetRet>;

fn add(element: i64) -> SetOp {
    SetOp::Add { key: Value::Nil, element: Value::Int(element) }
}

fn read() -> SetOp {
    SetOp::Read { key: Value::Nil }
}

fn elements(text: &str) -> SetRet {
    SetRet::Elements(text.bytes().map(|digit| Value::Int(i64::from(digit - b'0'))).collect())
}

/// `a1` add, `a1!` refused, `a1?` in doubt, `a1~` open; `r12` a read, `r12~` one that may happen.
fn operation(name: &str) -> (SetOp, Outcome<SetRet>, bool) {
    let end = name.find(['!', '?', '~']).unwrap_or(name.len());
    let (what, end) = name.split_at(end);
    let (op, ret) = match what.strip_prefix('a') {
        Some(element) => (add(element.parse().expect("a digit")), SetRet::Done),
        None => (read(), elements(&what[1..])),
    };
    match end {
        "!" => (op, Outcome::Fail(Failure::Refused(None)), false),
        "?" => (op, Outcome::info("timeout"), true),
        end => (op, Outcome::Ok(ret), end == "~"),
    }
}

fn sorts(names: &str) -> Vec<Sort<GrowOnlySet>> {
    let sort = |name: &str| match operation(name) {
        (op, outcome @ Outcome::Ok(_), true) => Sort::optional(op, outcome),
        (op, outcome, _) => Sort::new(op, outcome),
    };
    names.split_whitespace().map(sort).collect()
}

/// Elements are numbered in the order in which they are first named: of histories that differ in names alone, one.
const CANONICAL: Keep<GrowOnlySet> = |operations| {
    let named = operations.iter().flat_map(|operation| match (&operation.op, &operation.outcome) {
        (SetOp::Add { element, .. }, _) => vec![element],
        (_, Outcome::Ok(SetRet::Elements(elements))) => elements.iter().collect(),
        _ => vec![],
    });
    let mut highest = 0;
    named.filter_map(Value::as_int).all(|element| {
        let next = highest + 1;
        highest = highest.max(element);
        element <= next
    })
};

fn of_all(model: &GrowOnlySet, names: &str, count: usize) -> (u64, u64) {
    let tally = compare_all(model, &sorts(names), count, 3, |_| true);
    assert_eq!(tally.by_shortcut, tally.histories, "all of them need no search");
    (tally.histories, tally.linearizable)
}

fn all(names: &str, count: usize) -> (u64, u64) {
    of_all(&GrowOnlySet::default(), names, count)
}

#[test]
fn no_state_refutes_the_hints() {
    let model = GrowOnlySet::default();
    let states = ["", "1", "2", "12"].map(|text| match elements(text) {
        SetRet::Elements(elements) => elements.into_iter().collect::<BTreeSet<Value>>(),
        SetRet::Done => unreachable!("these are elements"),
    });
    for name in ["a1", "a1!", "a1?", "r", "r1", "r12", "r11", "r?", "r!"] {
        let (op, outcome, _) = operation(name);
        assert!(
            !model.overwrites(&op) && model.target(&op).is_none() && model.source(&op, &outcome).is_none()
        );
        for state in &states {
            let after: Vec<_> = model.step(state, &op, &outcome).into_iter().collect();
            assert!(!model.inert(&op, &outcome) || after.iter().all(|s| s == state), "{name} from {state:?}");
        }
    }
}

#[test]
fn the_order_of_adds_leaves_no_trace() {
    let kinds = ["a1", "a1?", "a1!", "a2", "a3", "r", "r1", "r12"].map(|name| {
        let (op, outcome, _) = operation(name);
        (op, outcome)
    });
    let (given, several) = of_every_order(&GrowOnlySet::default(), &kinds).expect("adds commute");
    assert!(given == 8 && several > 50, "{given} {several}");
}

#[test]
fn a_read_lists_everything_once_in_any_order() {
    let model = GrowOnlySet::default();
    let state: BTreeSet<Value> = [Value::Int(1), Value::Int(2)].into();
    let admits = |text| model.step(&state, &read(), &Outcome::Ok(elements(text))).into_iter().count() == 1;
    assert!(admits("12") && admits("21"));
    assert!(!admits("1") && !admits("11") && !admits("122") && !admits("123") && !admits(""));
}

const SORTS: &str = "a1 a1? a1~ a1! a2 a2? r r1 r2 r12 r21 r11 r3 r1~";

#[test]
fn all_histories_of_four_operations_agree_with_the_oracle() {
    let numbers: Vec<_> = (1..=4).map(|count| all(SORTS, count)).collect();
    assert_eq!(numbers, [(14, 7), (245, 58), (5740, 697), (167368, 11283)]);
}

#[test]
fn all_histories_of_five_operations_agree_with_the_oracle() {
    assert_eq!(all("a1 a1? a2 r r1 r12", 5), (130067, 21417));
}

#[test]
fn all_histories_of_a_set_that_has_an_element_at_first_agree_with_the_oracle() {
    let model = GrowOnlySet { initial: [Value::Int(1)].into() };
    assert_eq!(of_all(&model, "a1 a1! a2 a2! a2? r r1 r2 r12", 4), (45817, 6773));
}

#[test]
fn all_histories_of_five_operations_up_to_names_agree_with_the_oracle() {
    let sorts = sorts("a1 a1? a1! a2 a2? a2! r r1 r2 r12 r11");
    let found = judge_all(&GrowOnlySet::default(), &sorts, 5, CANONICAL);
    assert_eq!(found, Tally { histories: 1574832, linearizable: 88786, by_shortcut: 1574832 });
}

#[test]
#[ignore = "long: 4 million histories"]
fn all_histories_of_five_operations_of_any_kind_agree_with_the_oracle() {
    assert_eq!(all("a1 a1? a1! a2 a2? a3 r r1 r2 r12 r13 r123", 5), (4083787, 194515));
}

fn choose(rng: &mut Rng, _: usize, _: &BTreeSet<Value>) -> SetOp {
    if rng.chance(1, 2) { read() } else { add(rng.between(1, 5) as i64) }
}

fn answer(state: &BTreeSet<Value>, op: &SetOp) -> Outcome<SetRet> {
    match op {
        SetOp::Read { .. } => Outcome::Ok(SetRet::Elements(state.iter().cloned().collect())),
        SetOp::Add { element, .. } if state.contains(element) => Outcome::Fail(Failure::Refused(None)),
        SetOp::Add { .. } => Outcome::Ok(SetRet::Done),
    }
}

fn lie(rng: &mut Rng, operations: &mut [SetOperation]) {
    for operation in operations {
        if let Outcome::Ok(SetRet::Elements(elements)) = &mut operation.outcome
            && rng.chance(1, 4)
        {
            match rng.chance(1, 2) {
                true => drop(elements.pop()),
                false => elements.push(Value::Int(rng.between(1, 5) as i64)),
            }
        }
    }
}

#[test]
fn random_histories_agree_with_the_oracle() {
    let tally = compare_many(&GrowOnlySet::default(), &BTreeSet::new(), (52, 30_000), choose, answer, lie);
    assert_eq!(tally.by_shortcut, tally.histories);
    assert!(tally.linearizable > 10_000 && tally.histories - tally.linearizable > 5_000, "{tally:?}");
}

/// One operation a row: its name, its process, its call and its return.
fn verdict(rows: &[(&str, u32, u32, u32)]) -> Verdict {
    let time = |at: u32| Time(u64::from(at) * 1_000_000);
    let operation = |(name, process, call, done): &(&str, u32, u32, u32)| {
        let (op, outcome, open) = match name.strip_suffix('x') {
            Some(name) => (operation(name).0, Outcome::not_done("no quorum"), false),
            None => operation(name),
        };
        SetOperation {
            process: Process(*process),
            op,
            outcome,
            call: *call,
            done: if open { SetOperation::OPEN } else { *done },
            called: time(*call),
            ended: Some(time(*done)),
        }
    };
    let operations: Vec<_> = rows.iter().map(operation).collect();
    check_operations(&GrowOnlySet::default(), &operations, &Budget::unlimited())
}

#[track_caller]
fn tells(rows: &[(&str, u32, u32, u32)], class: &str, sentence: &str) {
    let verdict = verdict(rows);
    assert_eq!((verdict.class.as_deref(), verdict.why.as_str()), (Some(class), sentence));
}

#[test]
fn anomalies_are_told_in_plain_words() {
    tells(
        &[("a1", 0, 0, 1), ("a2", 0, 2, 3), ("r2", 1, 5, 6)],
        "lost-element",
        "process 1 read the set without 1, although `add 1` by process 0 was answered 4 ms before; no later read \
         shows it, so it was lost",
    );
    tells(
        &[("a1?", 0, 0, 1), ("r1", 1, 2, 3), ("r", 2, 4, 5), ("r1", 2, 6, 7)],
        "stale-read",
        "process 2 read the set without 1, although `read {1}` by process 1 had shown it 1 ms before",
    );
    tells(
        &[("r3", 1, 0, 1)],
        "phantom-element",
        "process 1 read the set with 3 in it, which nobody ever added",
    );
    tells(
        &[("a3x", 0, 0, 1), ("r3", 1, 2, 3)],
        "aborted-read",
        "process 1 read the set with 3 in it, although `add 3 failed` by process 0 was answered as not done and \
         nobody else added it",
    );
    tells(
        &[("a1", 0, 0, 1), ("r11", 1, 2, 3)],
        "duplicate-element",
        "process 1 read the set with 1 in it, twice",
    );
    tells(
        &[("r1", 1, 0, 1), ("a1", 0, 2, 3)],
        "future-read",
        "process 1 read the set with 1 in it, although `add 1` by process 0 began only after that",
    );
    tells(
        &[("a1", 0, 0, 7), ("a2", 1, 1, 8), ("r1", 2, 2, 5), ("r2", 3, 3, 6)],
        "diverging-reads",
        "process 3 read the set with 2 and without 1, process 2 one with 1 and without 2: neither can be the \
         earlier one",
    );
    tells(
        &[("r2", 2, 0, 9), ("a1", 0, 1, 2), ("a2", 1, 3, 4)],
        "out-of-order",
        "process 2 read the set with 2 and without 1, although `add 1` by process 0 was answered before `add 2` by \
         process 1 began",
    );
}

#[test]
fn the_search_agrees_on_histories_of_a_thousand_operations() {
    let (model, mut rng, mut refuted) = (GrowOnlySet::default(), Seed(56).rng(), 0);
    for seed in 0..2 {
        let simulation = Simulation { operations: 1_000, clients: 4, doubt_permille: 10, seed };
        let choose = |rng: &mut Rng, number: usize, _: &BTreeSet<Value>| {
            if rng.chance(1, 5) { read() } else { add(number as i64 - rng.below(2) as i64) }
        };
        let mut operations = simulation.run(&model, BTreeSet::new(), choose, answer);
        for _ in 0..3 {
            let says = model.shortcut(&Task::all(&operations).collect::<Vec<_>>());
            let says = says == Some(Shortcut::Linearizable);
            assert_eq!(search_says(&model, &operations), says, "seed {seed}");
            refuted += u32::from(!says);
            let reads = operations.iter_mut().skip(rng.below(800) as usize);
            let mut shown = reads.filter_map(|o| match &mut o.outcome {
                Outcome::Ok(SetRet::Elements(elements)) => (!elements.is_empty()).then(|| elements.remove(0)),
                _ => None,
            });
            assert!(shown.next().is_some(), "there are reads");
        }
    }
    assert!((2..=4).contains(&refuted), "{refuted} of 6 are lies");
}

#[test]
fn a_long_history_is_judged_without_search() {
    let simulation = Simulation { operations: 4_000, clients: 20, doubt_permille: 20, seed: 6 };
    let choose = |rng: &mut Rng, number: usize, _: &BTreeSet<Value>| {
        if rng.chance(1, 10) { read() } else { add(number as i64) }
    };
    let mut operations = simulation.run(&GrowOnlySet::default(), BTreeSet::new(), choose, answer);
    let judge = |operations: &[SetOperation]| {
        check_operations(&GrowOnlySet::default(), operations, &Budget::unlimited())
    };
    let verdict = judge(&operations);
    assert_eq!((verdict.validity, verdict.figures["keys_searched"].as_u64()), (Validity::Valid, Some(0)));
    let last = operations.iter_mut().rev().find_map(|o| match &mut o.outcome {
        Outcome::Ok(SetRet::Elements(elements)) => Some(elements),
        _ => None,
    });
    last.expect("there are reads").remove(100);
    let verdict = judge(&operations);
    assert_eq!((verdict.validity, verdict.class.as_deref()), (Validity::Invalid, Some("lost-element")));
    assert_eq!(verdict.anomalies[0].operations.len(), 2);
}
