//! The search agrees with the oracle: on every small history, and on random larger ones.

use super::notation::RegisterOperation;
use super::oracle::is_linearizable;
use super::search_says;
use crate::models::register::{Register, RegisterOp, RegisterRet};
use elenchus_core::model::Model;
use elenchus_core::operation::Operation;
use elenchus_core::outcome::{Failure, Outcome};
use elenchus_core::process::Process;
use elenchus_core::random::{Rng, Seed};
use elenchus_core::time::Time;
use elenchus_core::value::Value;

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

/// A history of a true register: each operation takes effect at one moment between its call and its
/// return, those in doubt perhaps, and perhaps later.
pub(super) fn simulated(
    rng: &mut Rng,
    count: usize,
    processes: usize,
    values: u64,
    doubt: u64,
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
                called.push(operations.len());
                operations.push(random_operation(rng, values, at));
            }
            1 if !called.is_empty() => {
                let i = called.swap_remove(rng.below(called.len() as u64) as usize);
                let refused = Outcome::Fail(Failure::Refused(None));
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

#[test]
fn on_random_histories() {
    let (tried, linearizable) = agree_on(100_000, 1);
    assert!(linearizable > tried / 20 && linearizable < tried * 19 / 20, "{linearizable} of {tried}");
}

#[test]
#[ignore = "long: a minute of random histories"]
fn on_many_random_histories() {
    agree_on(5_000_000, 2);
}
