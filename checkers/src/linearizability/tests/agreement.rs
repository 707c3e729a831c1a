//! The search agrees with the oracle: on every small history, and on random larger ones.

use super::notation::RegisterOperation;
use super::oracle::is_linearizable;
use super::{Answer, Mode, Order, answer, answer_in, answer_in_depth, answer_in_order, search_says};
use crate::linearizability::pace::Pace;
use crate::linearizability::{Task, shortcut};
use crate::models::register::{Register, RegisterOp, RegisterRet};
use elenchus_core::budget::Budget;
use elenchus_core::model::Model;
use elenchus_core::operation::Operation;
use elenchus_core::outcome::{Failure, Outcome};
use elenchus_core::process::Process;
use elenchus_core::random::{Rng, Seed};
use elenchus_core::time::Time;
use elenchus_core::value::Value;
use std::time::Duration;

fn value(n: u64) -> Value {
    if n == 0 { Value::Nil } else { Value::Int(n as i64) }
}

/// A history of `count` operations by `processes` over the values nil and 1 to `values`, with about
/// `doubt` in ten in doubt. Nothing simulates a register: most of the longer ones are not linearizable.
pub(super) fn random(
    rng: &mut Rng,
    count: usize,
    processes: usize,
    values: u64,
    doubt: u64,
) -> Vec<RegisterOperation> {
    let (mut operations, mut open): (Vec<RegisterOperation>, Vec<usize>) = (Vec::new(), Vec::new());
    let mut at = 0;
    while operations.len() < count || !open.is_empty() {
        at += 1;
        if operations.len() < count && open.len() < processes && (open.is_empty() || rng.chance(1, 2)) {
            open.push(operations.len());
            operations.push(random_operation(rng, values, at));
        } else {
            let i = open.swap_remove(rng.below(open.len() as u64) as usize);
            if rng.chance(doubt, 10) {
                operations[i].outcome = Outcome::info("timeout");
            } else {
                operations[i].done = at;
            }
        }
    }
    operations
}

fn random_operation(rng: &mut Rng, values: u64, call: u32) -> RegisterOperation {
    let key = Value::Nil;
    let (any, some) = (value(rng.below(values + 1)), value(rng.between(1, values)));
    let cas = |to| RegisterOp::Cas { key: key.clone(), from: any.clone(), to };
    let refused = |saw| Outcome::Fail(Failure::Refused(saw));
    let (op, outcome) = match rng.below(10) {
        0..=2 => (RegisterOp::Read { key: key.clone() }, Outcome::Ok(RegisterRet::Saw(any.clone()))),
        3..=5 => (RegisterOp::Write { key: key.clone(), value: some }, Outcome::Ok(RegisterRet::Done)),
        6 => (cas(some), refused(None)),
        7 => (cas(any.clone()), refused(Some(RegisterRet::Saw(some)))),
        _ => (cas(some), Outcome::Ok(RegisterRet::Done)),
    };
    Operation {
        process: Process(0),
        op,
        outcome,
        call,
        done: RegisterOperation::OPEN,
        called: Time::ZERO,
        ended: None,
    }
}

/// One of few values for a simulated register.
pub(super) fn few_values(rng: &mut Rng, _: usize, _: &Value) -> RegisterOp {
    random_operation(rng, 4, 0).op
}

/// Operations that set no value twice, and whose cas mostly succeed.
fn values_set_once(rng: &mut Rng, number: usize, state: &Value) -> RegisterOp {
    let (key, value) = (Value::Nil, Value::Int(number as i64));
    match rng.below(4) {
        0 => RegisterOp::Write { key, value },
        1 => RegisterOp::Cas { key, from: state.clone(), to: value },
        _ => RegisterOp::Read { key },
    }
}

/// A history of a true register: each operation takes effect at one moment between its call and its
/// return, those in doubt perhaps, and perhaps later.
pub(super) fn simulated(
    rng: &mut Rng,
    count: usize,
    processes: usize,
    doubt: u64,
    mut choose: impl FnMut(&mut Rng, usize, &Value) -> RegisterOp,
) -> Vec<RegisterOperation> {
    let (model, mut state) = (Register::default(), Value::Nil);
    let mut operations: Vec<RegisterOperation> = Vec::new();
    let (mut called, mut effective): (Vec<usize>, Vec<usize>) = (Vec::new(), Vec::new());
    let mut at = 0;
    while operations.len() < count || !called.is_empty() || !effective.is_empty() {
        at += 1;
        let may_call = operations.len() < count && called.len() + effective.len() < processes;
        match rng.below(3) {
            0 if may_call => {
                let op = choose(rng, operations.len(), &state);
                let (outcome, done) = (Outcome::info("timeout"), RegisterOperation::OPEN);
                let (process, called_at) = (Process(0), Time::ZERO);
                called.push(operations.len());
                operations.push(Operation {
                    process,
                    op,
                    outcome,
                    call: at,
                    done,
                    called: called_at,
                    ended: None,
                });
            }
            1 if !called.is_empty() => {
                let i = called.swap_remove(rng.below(called.len() as u64) as usize);
                let saw = rng.chance(3, 4).then(|| RegisterRet::Saw(state.clone()));
                let refused = Outcome::Fail(Failure::Refused(saw));
                let outcome = match &operations[i].op {
                    RegisterOp::Read { .. } => Outcome::Ok(RegisterRet::Saw(state.clone())),
                    RegisterOp::Cas { from, .. } if *from != state => refused,
                    _ => Outcome::Ok(RegisterRet::Done),
                };
                if rng.chance(doubt, 20) {
                    // It never took effect, and nobody knows.
                    operations[i].outcome = Outcome::info("timeout");
                    continue;
                }
                let after: Vec<Value> = model.step(&state, &operations[i].op, &outcome).into_iter().collect();
                state = after[0].clone();
                operations[i].outcome = outcome;
                effective.push(i);
            }
            2 if !effective.is_empty() => {
                let i = effective.swap_remove(rng.below(effective.len() as u64) as usize);
                operations[i].done = at;
                if rng.chance(doubt, 20) {
                    operations[i].outcome = Outcome::info("timeout");
                    operations[i].done = RegisterOperation::OPEN;
                }
            }
            _ => {}
        }
    }
    operations
}

/// How many histories were tried, and how many were linearizable.
fn agree_on(random_histories: u64, seed: u64) -> (u64, u64) {
    let model = Register::default();
    let mut rng = Seed(seed).rng();
    let mut linearizable = 0;
    for _ in 0..random_histories {
        let (count, processes) = (rng.between(2, 8) as usize, rng.between(2, 5) as usize);
        let (values, doubt) = (rng.between(1, 3), rng.below(4));
        let operations = random(&mut rng, count, processes, values, doubt);
        let expected = is_linearizable(&model, &operations);
        assert_eq!(search_says(&model, &operations), expected, "{operations:#?}");
        linearizable += u64::from(expected);
    }
    (random_histories, linearizable)
}

/// The first return at which what happened so far is not linearizable, by the oracle. What operations
/// answer that are still open then is known already, though perhaps they have not happened yet.
pub(super) fn earliest_failure<M: Model>(model: &M, operations: &[Operation<M::Op, M::Ret>]) -> Option<u32> {
    let open = Operation::<M::Op, M::Ret>::OPEN;
    let mut returns: Vec<u32> = operations.iter().map(|o| o.done).filter(|done| *done != open).collect();
    returns.sort_unstable();
    returns.into_iter().find(|end| {
        let mut prefix: Vec<_> = operations.iter().filter(|o| o.call < *end).cloned().collect();
        for operation in prefix.iter_mut().filter(|o| o.done > *end) {
            operation.done = open;
        }
        !is_linearizable(model, &prefix)
    })
}

#[test]
fn each_way_of_counting_what_is_in_doubt_keeps_its_promise() {
    let (model, mut rng) = (Register::default(), Seed(31).rng());
    let (mut too_strict, mut too_lax) = (0, 0);
    for _ in 0..60_000 {
        let (count, values) = (rng.between(4, 8) as usize, rng.between(1, 2));
        let operations = random(&mut rng, count, 4, values, 5);
        let truth = is_linearizable(&model, &operations);
        let says = |mode| answer_in(mode, &model, &operations) == Answer::Linearizable;
        assert_eq!(says(Mode::Exact), truth, "{operations:#?}");
        let (thrifty, relaxed) = (says(Mode::Thrifty), says(Mode::Relaxed));
        assert!(!thrifty || truth, "thrifty accepts too much: {operations:#?}");
        assert!(relaxed || !truth, "relaxed refutes too much: {operations:#?}");
        too_strict += u32::from(truth && !thrifty);
        too_lax += u32::from(relaxed && !truth);
    }
    assert!(too_strict > 5 && too_lax > 50, "hardly anything was tried: {too_strict}, {too_lax}");
}

#[test]
fn on_where_a_history_begins_to_fail() {
    let (model, mut rng) = (Register::default(), Seed(32).rng());
    for round in 0..20_000 {
        let (count, values, doubt) = (rng.between(2, 7) as usize, rng.between(1, 3), rng.below(5));
        let operations = random(&mut rng, count, 4, values, doubt);
        let expected = earliest_failure(&model, &operations).map(|index| u64::from(index) + 1);
        let found = match answer(&model, &operations) {
            Answer::Refuted(refuted) => Some(refuted.at),
            _ => None,
        };
        assert_eq!(found, expected, "{operations:#?}");
        let in_depth = match answer_in_depth(&model, &operations) {
            Answer::Refuted(refuted) => Some(refuted.at),
            Answer::Linearizable => None,
            Answer::Unknown(..) => unreachable!("nothing is dropped in so small a history"),
        };
        assert_eq!(in_depth, expected, "in depth: {operations:#?}");
        let side_by_side = (round % 16 == 0).then_some(Order::Race);
        for order in [Order::Traced, Order::InTurns].into_iter().chain(side_by_side) {
            let found = match answer_in_order(order, &model, &operations) {
                Answer::Refuted(refuted) => Some(refuted.at),
                _ => None,
            };
            assert_eq!(found, expected, "{order:?}: {operations:#?}");
        }
    }
}

/// Values set once, more operations than can be enumerated; and some answers of reads are lies.
#[test]
fn of_the_shortcut_on_random_histories_of_values_set_once() {
    let (model, mut rng) = (Register::default(), Seed(33).rng());
    let (mut known, mut linearizable) = (0, 0);
    let budget = Budget::unlimited();
    for _ in 0..60_000 {
        let (count, processes) = (rng.between(5, 9) as usize, rng.between(2, 5) as usize);
        let mut operations = simulated(&mut rng, count, processes, 3, values_set_once);
        if rng.chance(2, 3) {
            let values: Vec<Value> = operations.iter().filter_map(|o| o.op.sets().cloned()).collect();
            let reads = operations
                .iter_mut()
                .filter(|o| o.outcome.is_ok() && matches!(o.op, RegisterOp::Read { .. }));
            if let (Some(read), false) = (reads.last(), values.is_empty()) {
                read.outcome = Outcome::Ok(RegisterRet::Saw(rng.pick(&values).clone()));
            }
        }
        let tasks: Vec<_> = Task::all(&operations).collect();
        let pace = Pace::new(&budget, tasks.len(), Duration::ZERO);
        let Some(says) = shortcut::ask(&model, &tasks, &pace) else { continue };
        let says = says.map_err(|refuted| refuted.at);
        let expected = earliest_failure(&model, &operations).map(|index| u64::from(index) + 1);
        assert_eq!(says.err(), expected, "{operations:#?}");
        let says = says.is_ok();
        known += 1;
        linearizable += u64::from(says);
    }
    assert!(linearizable > 20_000 && known - linearizable > 10_000, "{linearizable} of {known}");
}

/// A register that gives no hint.
struct Hintless(Register);

impl Model for Hintless {
    type Op = RegisterOp;
    type Ret = RegisterRet;
    type Key = Value;
    type State = Value;

    fn init(&self, key: &Value) -> Value {
        self.0.init(key)
    }

    fn step(
        &self,
        state: &Value,
        op: &RegisterOp,
        outcome: &Outcome<RegisterRet>,
    ) -> impl IntoIterator<Item = Value> {
        self.0.step(state, op, outcome)
    }

    fn key(&self, op: &RegisterOp) -> Value {
        self.0.key(op)
    }

    fn describe(&self, op: &RegisterOp, outcome: &Outcome<RegisterRet>) -> String {
        self.0.describe(op, outcome)
    }
}

#[test]
fn of_a_model_that_gives_no_hints() {
    let (model, mut rng) = (Hintless(Register::default()), Seed(34).rng());
    for _ in 0..20_000 {
        let (count, values, doubt) = (rng.between(2, 8) as usize, rng.between(1, 3), rng.below(5));
        let operations = random(&mut rng, count, 4, values, doubt);
        assert_eq!(search_says(&model, &operations), is_linearizable(&model, &operations), "{operations:#?}");
    }
}

#[test]
fn on_random_histories() {
    let (tried, linearizable) = agree_on(1_000_000, 1);
    assert!(linearizable > tried / 20 && linearizable < tried * 19 / 20, "{linearizable} of {tried}");
}

#[test]
#[ignore = "long: a minute of random histories"]
fn on_many_random_histories() {
    agree_on(5_000_000, 2);
}
