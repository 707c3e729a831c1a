//! Tests of the counter: its hints, its vocabulary, its shortcuts, its words.

use super::*;
use crate::linearizability::tests::exhaustive::{Sort, Try, try_all};
use crate::linearizability::tests::order_free::of_every_order;
use crate::linearizability::tests::random::compare_many;
use crate::linearizability::tests::{Tally, compare, judge, search_says};
use crate::linearizability::{Insight, Shortcut, Task, check_operations};
use crate::synthetic::Simulation;
use elenchus_core::budget::Budget;
use elenchus_core::operation::Operation;
use elenchus_core::process::Process;
use elenchus_core::random::{Rng, Seed};
use elenchus_core::time::Time;
use elenchus_core::verdict::{Validity, Verdict};

type CounterOperation = Operation<CounterOp, CounterRet>;

fn add(amount: i64, tells: Tells) -> CounterOp {
    CounterOp::Add { key: Value::Nil, amount, tells }
}

fn read() -> CounterOp {
    CounterOp::Read { key: Value::Nil }
}

fn number(text: &str) -> i64 {
    text.parse().expect("a number")
}

/// `r5` read; `+2`, `-1` add; `f1@5` fetch 5 and add 1; `=0` reset. At the end `?` in doubt, `~` that it may
/// happen, `!` refused, having seen what stands after it.
fn operation(name: &str) -> (CounterOp, Outcome<CounterRet>, bool) {
    let (what, end) = name.split_at(name.find(['?', '~', '!']).unwrap_or(name.len()));
    let (what, met) = what.split_once('@').unwrap_or((what, ""));
    let (op, ret) = match &what[..1] {
        "r" => (read(), if what.len() > 1 { CounterRet::Saw(number(&what[1..])) } else { CounterRet::Done }),
        "f" => {
            let saw = if met.is_empty() { CounterRet::Done } else { CounterRet::Saw(number(met)) };
            (add(number(&what[1..]), Tells::Before), saw)
        }
        "=" => (CounterOp::Reset { key: Value::Nil, value: number(&what[1..]) }, CounterRet::Done),
        _ => (add(number(what), Tells::Nothing), CounterRet::Done),
    };
    match end {
        "" => (op, Outcome::Ok(ret), false),
        "?" => (op, Outcome::info("timeout"), true),
        "~" => (op, Outcome::Ok(ret), true),
        "!" => (op, Outcome::Fail(Failure::Refused(None)), false),
        saw => (op, Outcome::Fail(Failure::Refused(Some(CounterRet::Saw(number(&saw[1..]))))), false),
    }
}

fn of_all(model: &Counter, names: &str, count: usize) -> (u64, u64, u64) {
    tried(model, names, count, compare)
}

/// The numbers of those that the checker judged as the oracle does.
fn judged(names: &str, count: usize) -> (u64, u64, u64) {
    tried(&Counter::default(), names, count, judge)
}

fn tried(model: &Counter, names: &str, count: usize, each: Try<Counter>) -> (u64, u64, u64) {
    let sort = |name: &str| match operation(name) {
        (op, outcome @ Outcome::Ok(_), true) => Sort::optional(op, outcome),
        (op, outcome, _) => Sort::new(op, outcome),
    };
    let sorts: Vec<_> = names.split_whitespace().map(sort).collect();
    let Tally { histories, linearizable, by_shortcut } = try_all(model, &sorts, (count, 3), |_| true, each);
    (histories, linearizable, by_shortcut)
}

fn all(names: &str, count: usize) -> (u64, u64, u64) {
    of_all(&Counter::default(), names, count)
}

fn up_to(names: &str, count: usize) -> Vec<(u64, u64, u64)> {
    (1..=count).map(|count| all(names, count)).collect()
}

#[test]
fn no_state_refutes_the_hints() {
    let model = Counter::default();
    for name in "r r0 r1 r? r!1 +1 +0 -1 +1? +1! +1!2 f1@0 f-1@1 f0@1 f1? f1!3 =0 =2 =2? =2! =2!1".split(' ')
    {
        let (op, outcome, _) = operation(name);
        for state in -3..4_i128 {
            let after: Vec<i128> = model.step(&state, &op, &outcome).into_iter().collect();
            if model.inert(&op, &outcome) {
                assert!(after.iter().all(|s| *s == state), "{name} from {state}");
            }
            if model.source(&op, &outcome).is_some_and(|source| source != state) {
                assert!(after.is_empty(), "{name} from {state}");
            }
            if let Some(target) = model.target(&op) {
                assert!(after.iter().all(|s| *s == state || *s == target), "{name} from {state}");
            }
            if model.overwrites(&op) && !matches!(outcome, Outcome::Fail(_)) {
                assert_eq!(after, [model.target(&op).expect("it sets something")], "{name} from {state}");
            }
        }
    }
}

#[test]
fn the_order_of_what_is_added_leaves_no_trace() {
    let kind = |name| {
        let (op, outcome, _) = operation(name);
        (op, outcome)
    };
    let kinds = ["+1", "-2", "+2?", "f1@0", "f1@2", "r1", "r3", "+1!1", "=1", "=2?", "=1!"].map(kind);
    let (given, several) = of_every_order(&Counter::default(), &kinds).expect("adds commute");
    assert!(given == 9 && several > 100, "{given} {several}");
}

#[test]
fn what_is_encoded_decodes_to_itself() {
    let v = CounterVocabulary;
    let adds = [Tells::Nothing, Tells::Before, Tells::After].map(|tells| add(-5, tells));
    let reset = CounterOp::Reset { key: Value::Int(1), value: 3 };
    for op in adds.into_iter().chain([read(), reset]) {
        let call = v.encode_op(&op);
        assert_eq!(v.decode_op(call.f, call.key.as_ref(), &call.value).as_ref(), Ok(&op));
        let told =
            matches!(op, CounterOp::Read { .. } | CounterOp::Add { tells: Tells::Before | Tells::After, .. });
        let ret = if told { CounterRet::Saw(7) } else { CounterRet::Done };
        assert_eq!(v.decode_ret(&op, &v.encode_ret(&op, &ret)), Ok(ret));
    }
}

#[test]
fn every_function_is_understood_and_nonsense_is_an_error() {
    let v = CounterVocabulary;
    for f in CounterVocabulary::FUNCTIONS {
        assert!(v.decode_op(f, None, &Value::Int(1)).is_ok(), "{f}");
    }
    assert_eq!(v.decode_op("dec", None, &Value::Nil), Ok(add(-1, Tells::Nothing)));
    assert_eq!(v.decode_op("increment", None, &Value::Int(4)), Ok(add(4, Tells::Nothing)));
    assert!(v.decode_op("dec", None, &Value::Int(i64::MIN)).is_err());
    assert!(v.decode_op("write", None, &Value::Int(1)).is_err_and(|e| e.contains("fetch-and-add")));
    assert!(v.decode_op("add", None, &Value::Nil).is_err_and(|e| e.contains("number")));
    assert!(v.decode_ret(&read(), &Value::Nil).is_err());
}

#[test]
fn an_add_meets_the_value_before_it_however_it_tells() {
    let after = Outcome::Ok(CounterRet::Saw(i64::MIN));
    assert_eq!(add(1, Tells::After).met(&after), Some(i128::from(i64::MIN) - 1));
    assert_eq!(add(1, Tells::Before).met(&after), Some(i64::MIN.into()));
    assert_eq!(add(1, Tells::Nothing).met(&after), None);
}

const UNITS: &str = "r0 r1 r2 +1 +1? f1@0 f1@1 f1? f1@0~ f1@1~ r!1";

#[test]
fn all_histories_of_four_increments_and_reads_agree_with_the_oracle() {
    assert_eq!(up_to(UNITS, 4), [(11, 7, 11), (143, 65, 143), (2442, 833, 2438), (51269, 12451, 51173)]);
}

#[test]
fn all_histories_of_five_increments_and_plain_reads_agree_with_the_oracle() {
    assert_eq!(all("r0 r1 r2 +1 +1?", 5), (46165, 6896, 46165));
}

#[test]
fn all_histories_of_five_fetches_agree_with_the_oracle() {
    assert_eq!(all("f1@0 f1@1 f1@2 f1? f1@1~", 5), (21096, 762, 21096));
}

#[test]
fn all_histories_of_different_amounts_agree_with_the_oracle() {
    assert_eq!(
        up_to("r1 r2 r3 +1 +2? +1? f1@0 f2@0 f1@2 f2@1 f3@0 f2@1~ f1@2~", 4),
        [(13, 8, 13), (208, 68, 208), (4433, 734, 4309), (117058, 9123, 113706)]
    );
}

#[test]
fn all_histories_that_go_down_agree_with_the_oracle() {
    assert_eq!(
        up_to("r0 r-1 r-2 -1 -1? f-1@0 f-1@-1 f-1@0~ f-2@-1 r1", 4),
        [(10, 5, 10), (135, 43, 135), (2460, 455, 2458), (55729, 5185, 55701)]
    );
}

#[test]
fn all_histories_that_go_up_and_down_or_are_set_back_agree_with_the_oracle() {
    assert_eq!(
        up_to("r0 r1 r2 +1 +2? -1 -1? f1@0 f-1@1 =1 =0? +1!1", 4),
        [(12, 8, 10), (186, 86, 126), (3874, 1406, 2065), (100343, 30334, 45130)]
    );
}

#[test]
fn all_histories_of_a_counter_that_begins_elsewhere_agree_with_the_oracle() {
    assert_eq!(
        of_all(&Counter { initial: 5 }, "r5 r6 r4 +1 +1? f1@5 f1@6 +2? f-1@5", 4),
        (34691, 4784, 30259)
    );
}

#[test]
fn all_histories_of_five_operations_that_are_refused_or_set_back_agree_with_the_oracle() {
    assert_eq!(judged("r0 r1 +1 -1? f1@0 =1 =0? r!1 +1!", 5), (798073, 326439, 263463));
}

#[test]
fn all_histories_of_five_increments_and_reads_agree_with_the_oracle() {
    assert_eq!(judged("r0 r1 r2 r3 +1 +1? f1@0 f1@1 f1? f1@1~", 5), (991912, 88995, 990547));
}

fn choose(amounts: &'static [i64]) -> impl FnMut(&mut Rng, usize, &i128) -> CounterOp {
    |rng, _, _| match rng.below(5) {
        0 | 1 => read(),
        2 => add(*rng.pick(amounts), Tells::Before),
        3 => add(*rng.pick(amounts), Tells::After),
        _ => add(*rng.pick(amounts), Tells::Nothing),
    }
}

/// What a true counter answers.
fn answer(state: &i128, op: &CounterOp) -> Outcome<CounterRet> {
    let state = i64::try_from(*state).expect("the amounts are small");
    Outcome::Ok(match op {
        CounterOp::Read { .. } | CounterOp::Add { tells: Tells::Before, .. } => CounterRet::Saw(state),
        CounterOp::Add { amount, tells: Tells::After, .. } => CounterRet::Saw(state + amount),
        _ => CounterRet::Done,
    })
}

fn lie(rng: &mut Rng, operations: &mut [CounterOperation]) {
    for operation in operations {
        if let Outcome::Ok(CounterRet::Saw(saw)) = &mut operation.outcome
            && rng.chance(1, 8)
        {
            *saw += [-1, 1, 2][rng.below(3) as usize];
        }
    }
}

#[test]
fn random_histories_agree_with_the_oracle() {
    for (amounts, shortcuts) in [(&[1][..], 95), (&[2], 95), (&[1, 2, 3], 50), (&[-1, 2], 20)] {
        let amounts: &'static [i64] = amounts;
        let tally = compare_many(&Counter::default(), &0, (53, 15_000), choose(amounts), answer, lie);
        assert!(tally.linearizable > 4_000 && tally.histories - tally.linearizable > 2_000, "{tally:?}");
        assert!(tally.by_shortcut > tally.histories * shortcuts / 100, "{amounts:?} {tally:?}");
    }
}

/// Random operations of random outcomes, where adds in doubt that would tell are many.
#[test]
fn random_histories_of_optional_adds_agree_with_the_oracle() {
    let open = |rng: &mut Rng, operations: &mut [CounterOperation]| {
        lie(rng, operations);
        for operation in operations {
            if operation.outcome.is_ok() && rng.chance(1, 3) {
                operation.done = CounterOperation::OPEN;
            }
        }
    };
    for amounts in [&[1][..], &[1, 2], &[3]] {
        let amounts: &'static [i64] = amounts;
        let tally = compare_many(&Counter::default(), &0, (54, 15_000), choose(amounts), answer, open);
        assert!(tally.linearizable > 4_000 && tally.histories - tally.linearizable > 1_000, "{tally:?}");
    }
}

/// One operation a row: its name, its process, its call and its return.
fn verdict(rows: &[(&str, u32, u32, u32)]) -> Verdict {
    let time = |at: u32| Time(u64::from(at) * 1_000_000);
    let operation = |(name, process, call, done): &(&str, u32, u32, u32)| {
        let (op, outcome, open) = operation(name);
        CounterOperation {
            process: Process(*process),
            op,
            outcome,
            call: *call,
            done: if open { CounterOperation::OPEN } else { *done },
            called: time(*call),
            ended: Some(time(*done)),
        }
    };
    let operations: Vec<_> = rows.iter().map(operation).collect();
    check_operations(&Counter::default(), &operations, &Budget::unlimited())
}

#[track_caller]
fn tells(rows: &[(&str, u32, u32, u32)], class: &str, sentence: &str) {
    let verdict = verdict(rows);
    assert_eq!((verdict.class.as_deref(), verdict.why.as_str()), (Some(class), sentence));
}

#[test]
fn anomalies_are_told_in_plain_words() {
    tells(
        &[("f1@0", 0, 0, 2), ("f1@0", 1, 1, 3)],
        "duplicate-number",
        "process 1 met 0 (`fetch-and-add 1 → 0`), although `fetch-and-add 1 → 0` by process 0 met 0 as well and \
         changed it: the same number was handed out twice",
    );
    tells(
        &[("+1", 0, 0, 1), ("+1", 0, 2, 3), ("r1", 1, 4, 5)],
        "counter-too-low",
        "process 1 read 1, although 2 adds before it began make at least 2",
    );
    tells(
        &[("+1", 0, 0, 1), ("+1?", 0, 2, 3), ("r3", 1, 4, 5)],
        "counter-too-high",
        "process 1 read 3, although the 2 adds begun before it ended make at most 2",
    );
    tells(
        &[("+1", 0, 0, 9), ("r1", 1, 1, 2), ("r0", 2, 6, 7)],
        "stale-read",
        "process 2 read 0, although `read 1` by process 1 was answered 4 ms before and nothing makes this counter \
         smaller",
    );
}

#[test]
fn the_search_agrees_on_histories_of_a_thousand_operations() {
    let (mut rng, mut refuted) = (Seed(55).rng(), 0);
    for (seed, amounts) in [&[1][..], &[1], &[2], &[-3], &[1, 2, 3], &[1, 2, 3]].into_iter().enumerate() {
        let simulation = Simulation { operations: 1_000, clients: 4, doubt_permille: 10, seed: seed as u64 };
        let choose = |rng: &mut Rng, _: usize, _: &i128| match rng.chance(1, 3) {
            true => read(),
            false if seed % 2 == 0 => add(*rng.pick(amounts), Tells::Before),
            false => add(amounts[0], Tells::Nothing),
        };
        let mut operations = simulation.run(&Counter::default(), 0, choose, answer);
        for _ in 0..3 {
            let says = Counter::default().shortcut(&Task::all(&operations).collect::<Vec<_>>());
            let says = says.expect("it needs no search") == Shortcut::Linearizable;
            assert_eq!(search_says(&Counter::default(), &operations), says, "{amounts:?} {seed}");
            refuted += u32::from(!says);
            let at = rng.below(900) as usize;
            lie(&mut rng, &mut operations[at..at + 40]);
        }
    }
    assert!((4..=12).contains(&refuted), "{refuted} of 18 are lies");
}

/// Certain adds of different amounts: when the history began to fail is left to the search, which is soon lost.
#[test]
fn a_contradiction_stands_where_the_search_cannot_tell_when_it_began() {
    let simulation = Simulation { operations: 2_000, clients: 20, doubt_permille: 20, seed: 9 };
    let choose = |rng: &mut Rng, number: usize, _: &i128| match number % 10 {
        0 => read(),
        _ => add(rng.between(1, 5) as i64, Tells::Nothing),
    };
    let mut operations = simulation.run(&Counter::default(), 0, choose, answer);
    let mut saw = operations.iter_mut().skip(1_000).filter_map(|o| match &mut o.outcome {
        Outcome::Ok(CounterRet::Saw(saw)) => Some(saw),
        _ => None,
    });
    *saw.next().expect("there are reads") -= 500;
    let verdict = check_operations(&Counter::default(), &operations, &Budget::unlimited());
    assert_eq!((verdict.validity, verdict.class.as_deref()), (Validity::Invalid, Some("stale-read")));
    assert_eq!(verdict.anomalies[0].operations.len(), 2);
}

/// Long histories need no search, and one lie in them is found.
#[test]
fn long_histories_are_judged_without_search() {
    for (amounts, tell) in [(&[1][..], true), (&[1], false), (&[5, 1, 3, 2], true)] {
        let simulation = Simulation { operations: 4_000, clients: 20, doubt_permille: 20, seed: 8 };
        let choose = |rng: &mut Rng, _: usize, _: &i128| match rng.chance(1, 3) {
            true => read(),
            false => add(*rng.pick(amounts), if tell { Tells::After } else { Tells::Nothing }),
        };
        let mut operations = simulation.run(&Counter::default(), 0, choose, answer);
        let judge = |operations: &[CounterOperation]| {
            check_operations(&Counter::default(), operations, &Budget::unlimited())
        };
        let verdict = judge(&operations);
        let searched = verdict.figures["keys_searched"].as_u64();
        assert_eq!((verdict.validity, searched), (Validity::Valid, Some(0)), "{amounts:?} {tell}");
        let read = operations.iter_mut().rev().find_map(|o| match (&o.op, &mut o.outcome) {
            (CounterOp::Read { .. }, Outcome::Ok(CounterRet::Saw(saw))) => Some(saw),
            _ => None,
        });
        *read.expect("there are reads") -= 100;
        let verdict = judge(&operations);
        assert_eq!((verdict.validity, verdict.class.as_deref()), (Validity::Invalid, Some("stale-read")));
        assert_eq!(verdict.anomalies[0].operations.len(), 2, "{amounts:?} {tell}");
    }
}
