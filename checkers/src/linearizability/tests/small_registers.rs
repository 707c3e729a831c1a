//! The search and the shortcut agree with the oracle on every small history of a register.
//!
//! Of histories that differ by an exchange of the values 1 and 2, one is tried.

use super::exhaustive::{Keep, Sort, Try, try_all};
use super::notation::RegisterOperation;
use super::random::compare_many;
use super::{Tally, compare, judge, search_says};
use crate::linearizability::{Insight, Shortcut, Task};
use crate::models::register::{Register, RegisterOp, RegisterRet};
use crate::synthetic::Simulation;
use elenchus_core::model::Model;
use elenchus_core::outcome::{Failure, Outcome};
use elenchus_core::random::Rng;
use elenchus_core::value::Value;

const PROCESSES: usize = 3;

/// An operation by its name in the notation of these tests: `r1`, `w2`, `w2?`, `c_,1`, `c1,2!_`; with `*` it
/// never returns, but what it answers if it happens is known.
pub(super) fn sort<M: Model<Op = RegisterOp, Ret = RegisterRet>>(name: &str) -> Sort<M> {
    if let Some(name) = name.strip_suffix('*') {
        let RegisterOperation { op, outcome, .. } = super::notation::parse(&format!("|{name}|")).remove(0);
        return Sort::optional(op, outcome);
    }
    let doubt = name.ends_with('?');
    let text = if doubt { format!("|{}>", &name[..name.len() - 1]) } else { format!("|{name}|") };
    let RegisterOperation { op, outcome, .. } = super::notation::parse(&text).remove(0);
    Sort::new(op, outcome)
}

/// The values that these name, in their order.
fn named(operations: &[RegisterOperation]) -> impl Iterator<Item = &Value> {
    let values = operations.iter().flat_map(|operation| {
        let seen = match &operation.outcome {
            Outcome::Ok(RegisterRet::Saw(v)) | Outcome::Fail(Failure::Refused(Some(RegisterRet::Saw(v)))) => {
                Some(v)
            }
            _ => None,
        };
        let from = if let RegisterOp::Cas { from, .. } = &operation.op { Some(from) } else { None };
        [from, operation.op.sets(), seen].into_iter().flatten()
    });
    values.filter(|value| !value.is_nil())
}

pub(super) fn first_value_is_one(operations: &[RegisterOperation]) -> bool {
    named(operations).next().is_none_or(|value| *value == Value::Int(1))
}

/// Values are numbered in the order in which they are first named, and each is set once at most.
fn set_once_in_order(operations: &[RegisterOperation]) -> bool {
    let mut highest = 0;
    let in_order = named(operations).filter_map(Value::as_int).all(|value| {
        let next = highest + 1;
        highest = highest.max(value);
        value <= next
    });
    in_order && set_once(operations)
}

/// How many histories of exactly `count` of these operations there are, and how many are linearizable.
fn agree_on_all(count: usize, names: &str) -> (u64, u64) {
    let (histories, linearizable, _) = enumerate(count, names);
    (histories, linearizable)
}

/// The same, and of how many the model knew the answer without search.
fn enumerate(count: usize, names: &str) -> (u64, u64, u64) {
    tried(count, names, first_value_is_one, compare)
}

fn tried(count: usize, names: &str, keep: Keep<Register>, each: Try<Register>) -> (u64, u64, u64) {
    let sorts: Vec<Sort<Register>> = names.split_whitespace().map(sort).collect();
    let Tally { histories, linearizable, by_shortcut } =
        try_all(&Register::default(), &sorts, (count, PROCESSES), keep, each);
    (histories, linearizable, by_shortcut)
}

/// Everything over nil, 1 and 2.
const RICH: &str = "r_ r1 r2 w1 w2 w_ w1? w2? w_? c_,1 c_,2 c1,2 c2,1 c1,_ c2,_ c1,1 \
    c_,1? c_,2? c1,2? c2,1? c1,_? c2,_? c_,1! c1,2! c2,1! c_,1!1 c_,1!2 c1,2!_ c1,2!2 c2,1!1 r1? w1x";
/// Everything over nil and 1.
const PLAIN: &str = "r_ r1 w1 w1? w_ c_,1 c_,1? c1,_ c1,_? c_,1! c1,_!";
/// What needs a third value.
const THREE: &str = "r1 r2 w1 w2 w1? c_,1? c1,2 c1,2? c_,1! c2,1!";

/// Values that are each set once, where a shortcut knows the answer.
const UNIQUE: &str =
    "r_ r1 r2 w1 w1? w2 w2? w3 w3? c_,1 c_,1? c1,2 c1,2? c2,3 c2,3? c1,3? c2,1? c_,3!1 c1,3!_";

// The numbers are those of the enumeration: should they change, histories were lost or gained.

#[test]
fn on_every_history_of_five_operations_over_one_value() {
    let numbers: Vec<_> = (1..=5).map(|count| agree_on_all(count, PLAIN)).collect();
    assert_eq!(numbers, [(11, 8), (154, 87), (2882, 1350), (66878, 27339), (1792740, 658742)]);
}

#[test]
fn on_every_history_of_five_operations_over_two_values() {
    assert_eq!(agree_on_all(5, THREE), (610162, 179982));
}

#[test]
fn on_every_history_of_three_operations_of_any_kind() {
    let numbers: Vec<_> = (1..=3).map(|count| agree_on_all(count, RICH)).collect();
    assert_eq!(numbers, [(21, 13), (765, 275), (39041, 9160)]);
}

#[test]
#[ignore = "long: 2.5 million histories"]
fn on_every_history_of_four_operations_of_any_kind() {
    assert_eq!(agree_on_all(4, RICH), (2515658, 423288));
}

#[test]
fn the_shortcut_for_values_set_once_agrees_on_every_history_of_four_operations() {
    let numbers: Vec<_> = (1..=4).map(|count| enumerate(count, UNIQUE)).collect();
    assert_eq!(numbers, [(10, 8, 10), (203, 116, 171), (5559, 2289, 3463), (189342, 56665, 80104)]);
}

#[test]
#[ignore = "long: 7.5 million histories"]
fn the_shortcut_for_values_set_once_agrees_on_every_history_of_five_operations() {
    assert_eq!(enumerate(5, UNIQUE), (7466894, 1599175, 1999874));
}

#[test]
fn on_every_history_of_four_operations_some_of_which_did_not_return() {
    let numbers: Vec<_> =
        (1..=4).map(|count| enumerate(count, "r1 r1* w1 w1* w2* c_,1* c1,2 c1,2*")).collect();
    assert_eq!(numbers, [(7, 5, 7), (56, 32, 41), (522, 269, 212), (5640, 2721, 1140)]);
}

/// Values that are each set once, and refusals that do not say what they saw.
const SILENT: &str = "r_ r1 r2 w1 w2 w2? w3? c_,1? c1,2 c1,2? c2,3? c_,4! c1,4! c2,5! c3,4!";

/// How many histories of exactly `count` of these operations set no value twice, how many of those are
/// linearizable, and of how many the model knew the answer without search.
fn enumerate_set_once(count: usize, names: &str) -> (u64, u64, u64) {
    tried(count, names, set_once, compare)
}

fn set_once(operations: &[RegisterOperation]) -> bool {
    let set = operations.iter().filter(|o| !matches!(o.outcome, Outcome::Fail(_)));
    let mut values: Vec<_> = set.filter_map(|o| o.op.sets()).collect();
    let count = values.len();
    values.sort();
    values.dedup();
    values.len() == count && !values.contains(&&Value::Nil)
}

#[test]
fn silent_refusals_need_no_search_in_nearly_all_histories_of_four_operations() {
    let numbers: Vec<_> = (1..=4).map(|count| enumerate_set_once(count, SILENT)).collect();
    assert_eq!(numbers, [(15, 11, 15), (244, 127, 244), (5116, 1969, 5110), (129407, 37680, 129067)]);
}

#[test]
#[ignore = "long: 3.7 million histories"]
fn silent_refusals_need_no_search_in_nearly_all_histories_of_five_operations() {
    assert_eq!(enumerate_set_once(5, SILENT), (3700723, 816437, 3686290));
}

/// A true register's longer histories, refusals silent, which no oracle can decide; and the same where one
/// cas was refused that succeeded.
#[test]
fn silent_refusals_of_long_histories_are_decided_as_the_search_decides_them() {
    let model = Register::default();
    let (mut agreed, mut refuted, mut open) = (0, 0, 0);
    for seed in 0..60 {
        let simulation = Simulation { operations: 1_000, clients: 6, doubt_permille: 10, seed };
        let mut operations = simulation.run(&model, Value::Nil, choose, answer);
        for round in 0..2 {
            let tasks: Vec<_> = Task::all(&operations).collect();
            match model.shortcut(&tasks) {
                Some(Shortcut::Linearizable) => {
                    assert!(search_says(&model, &operations), "seed {seed}, round {round}");
                    agreed += 1;
                }
                Some(Shortcut::Refuted(_) | Shortcut::RefutedAt(_)) => {
                    assert!(round == 1 && !search_says(&model, &operations), "seed {seed}, round {round}");
                    refuted += 1;
                }
                None => open += 1,
            }
            let succeeded =
                |o: &&mut RegisterOperation| matches!(o.op, RegisterOp::Cas { .. }) && o.outcome.is_ok();
            let cas = operations.iter_mut().filter(succeeded).nth(90).expect("cas mostly succeed");
            cas.outcome = Outcome::Fail(Failure::Refused(None));
        }
    }
    assert_eq!((agreed, refuted, open), (79, 41, 0));
}

/// An operation that mostly succeeds, on values that are set once.
fn choose(rng: &mut Rng, number: usize, state: &Value) -> RegisterOp {
    let (key, to) = (Value::Nil, Value::Int(number as i64 + 1));
    match rng.below(4) {
        0 => RegisterOp::Write { key, value: to },
        1 => RegisterOp::Cas { key, from: state.clone(), to },
        _ => RegisterOp::Read { key },
    }
}

fn answer(state: &Value, op: &RegisterOp) -> Outcome<RegisterRet> {
    match op {
        RegisterOp::Read { .. } => Outcome::Ok(RegisterRet::Saw(state.clone())),
        RegisterOp::Cas { from, .. } if from != state => Outcome::Fail(Failure::Refused(None)),
        _ => Outcome::Ok(RegisterRet::Done),
    }
}

/// The numbers of histories that the checker judged as the oracle does, each value set once.
fn judged_set_once(count: usize, names: &str) -> (u64, u64, u64) {
    tried(count, names, set_once_in_order, judge)
}

#[test]
fn the_checker_is_right_on_every_history_of_six_reads_and_writes_of_different_values() {
    assert_eq!(judged_set_once(6, "r_ r1 r2 r3 w1 w2 w3 w1? w2? w3?"), (1827382, 73986, 1827382));
}

#[test]
fn the_checker_is_right_on_every_history_of_six_reads_and_writes_of_one_value_and_nil() {
    assert_eq!(tried(6, "r_ r1 w1 w1? w_", first_value_is_one, judge), (630764, 304804, 28823));
}

#[test]
fn the_checker_is_right_on_every_history_of_six_operations_with_cas_of_different_values() {
    assert_eq!(judged_set_once(6, "r1 r2 w1 w2 w1? w2? c1,2 c2,1 c1,2? c2,1?"), (258322, 9860, 258322));
}

#[test]
fn the_checker_is_right_on_every_history_of_five_operations_with_cas_and_refusals_of_different_values() {
    let names = "r_ r1 r2 r3 w1 w2 w3 w1? w2? w3? c_,1 c_,2 c1,2 c2,1 c1,2? c2,1? c_,1! c_,2!";
    assert_eq!(judged_set_once(5, names), (1743540, 176171, 1743540));
}

/// Some read saw what it did not see.
fn lie(rng: &mut Rng, operations: &mut [RegisterOperation]) {
    let value = Value::Int(rng.between(1, 8) as i64);
    let reads = operations.iter_mut().filter(|o| o.outcome.is_ok() && !o.op.mutates());
    if let (Some(read), true) = (reads.last(), rng.chance(1, 2)) {
        read.outcome = Outcome::Ok(RegisterRet::Saw(value));
    }
}

#[test]
fn on_random_histories_of_values_set_once() {
    let tally = compare_many(&Register::default(), &Value::Nil, (7, 40_000), choose, answer, lie);
    let lies = tally.histories - tally.linearizable;
    assert!(lies > 8_000 && tally.linearizable > 20_000 && tally.by_shortcut > 25_000, "{tally:?}");
}
