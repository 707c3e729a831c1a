//! How long the linearizability checker takes on histories of true registers, and of lying ones.
//!
//! `cargo bench -p elenchus-checkers` prints a line a case. Cases that the search cannot decide in 20 s and
//! 1 GiB say so; none may be decided wrongly.

use elenchus_checkers::linearizability::check_operations;
use elenchus_checkers::models::register::{Register, RegisterOp, RegisterRet};
use elenchus_core::budget::Budget;
use elenchus_core::model::Model;
use elenchus_core::operation::Operation;
use elenchus_core::outcome::{Failure, Outcome};
use elenchus_core::process::Process;
use elenchus_core::random::{Rng, Seed};
use elenchus_core::time::Time;
use elenchus_core::value::Value;
use elenchus_core::verdict::Validity;
use std::time::{Duration, Instant};

type RegisterOperation = Operation<RegisterOp, RegisterRet>;

struct Case {
    name: &'static str,
    operations: usize,
    keys: usize,
    /// How many keys are in use at once.
    active: usize,
    clients: usize,
    /// `None`: every write sets a new value.
    values: Option<u64>,
    /// Of a thousand operations, how many end in doubt.
    doubt: u64,
    /// Whether a refused cas says what it saw.
    refusals_tell: bool,
}

const DEFAULT: Case = Case {
    name: "default workload",
    operations: 20_000,
    keys: 100,
    active: 4,
    clients: 20,
    values: None,
    doubt: 30,
    refusals_tell: true,
};

fn cases() -> Vec<Case> {
    let one = |name, operations, clients, values, doubt| Case {
        name,
        operations,
        clients,
        values,
        doubt,
        keys: 1,
        active: 1,
        refusals_tell: false,
    };
    vec![
        DEFAULT,
        Case { name: "default workload, 200,000", operations: 200_000, keys: 1_000, ..DEFAULT },
        Case { name: "default workload, refusals silent", refusals_tell: false, ..DEFAULT },
        Case { name: "default workload, one key at once", active: 1, ..DEFAULT },
        Case { name: "small values, many keys", values: Some(5), ..DEFAULT },
        one("unique, one key, 10 clients", 10_000, 10, None, 10),
        one("unique, one key, 20 clients", 10_000, 20, None, 10),
        one("5 values, 10 clients", 10_000, 10, Some(5), 0),
        one("5 values, 20 clients", 10_000, 20, Some(5), 0),
        one("5 values, 10 clients, 1 % in doubt", 10_000, 10, Some(5), 10),
        one("5 values, 20 clients, 1 % in doubt", 10_000, 20, Some(5), 10),
        one("5 values, 10 clients, 5 % in doubt", 1_000, 10, Some(5), 50),
        one("5 values, 10 clients, 5 % in doubt", 10_000, 10, Some(5), 50),
        one("5 values, 20 clients, 5 % in doubt", 1_000, 20, Some(5), 50),
    ]
}

/// What a simulated client is doing.
enum Client {
    Idle,
    Called(usize),
    Effective(usize),
}

fn simulate(case: &Case, seed: u64) -> Vec<RegisterOperation> {
    let mut rng = Seed(seed).rng();
    let mut states = vec![Value::Nil; case.keys];
    let mut clients: Vec<Client> = (0..case.clients).map(|_| Client::Idle).collect();
    let mut operations: Vec<RegisterOperation> = Vec::with_capacity(case.operations);
    let (mut at, mut busy) = (0, 0);
    while operations.len() < case.operations || busy > 0 {
        let client = rng.below(case.clients as u64) as usize;
        at += 1;
        match clients[client] {
            Client::Idle if operations.len() < case.operations => {
                let op = choose(case, operations.len(), &states, &mut rng);
                let (process, done, called) =
                    (Process(client as u32), RegisterOperation::OPEN, Time(u64::from(at)));
                let outcome = Outcome::info("timeout");
                clients[client] = Client::Called(operations.len());
                operations.push(Operation { process, op, outcome, call: at, done, called, ended: None });
                busy += 1;
            }
            Client::Idle => {}
            Client::Called(_) if rng.chance(case.doubt, 2_000) => {
                clients[client] = Client::Idle;
                busy -= 1;
            }
            Client::Called(i) => {
                take_effect(case, &mut operations[i], &mut states);
                clients[client] = Client::Effective(i);
            }
            Client::Effective(i) => {
                if rng.chance(case.doubt, 2_000) {
                    operations[i].outcome = Outcome::info("timeout");
                } else {
                    operations[i].done = at;
                    operations[i].ended = Some(Time(u64::from(at)));
                }
                clients[client] = Client::Idle;
                busy -= 1;
            }
        }
    }
    operations
}

fn choose(case: &Case, i: usize, states: &[Value], rng: &mut Rng) -> RegisterOp {
    let generation = i * case.keys / case.operations / case.active * case.active;
    let which = (generation + rng.below(case.active as u64) as usize) % case.keys;
    let key = Value::Int(which as i64);
    let value = Value::Int(case.values.map_or(i as i64, |values| rng.below(values) as i64));
    match rng.below(4) {
        0 | 1 => RegisterOp::Read { key },
        2 => RegisterOp::Write { key, value },
        _ => {
            let guess = case
                .values
                .map_or_else(|| states[which].clone(), |values| Value::Int(rng.below(values) as i64));
            RegisterOp::Cas { key, from: guess, to: value }
        }
    }
}

fn take_effect(case: &Case, operation: &mut RegisterOperation, states: &mut [Value]) {
    let Value::Int(key) = operation.op.key() else { unreachable!("keys are numbers") };
    let state = &mut states[*key as usize];
    operation.outcome = match &operation.op {
        RegisterOp::Read { .. } => Outcome::Ok(RegisterRet::Saw(state.clone())),
        RegisterOp::Cas { from, .. } if from != state => {
            let saw = case.refusals_tell.then(|| RegisterRet::Saw(state.clone()));
            Outcome::Fail(Failure::Refused(saw))
        }
        _ => Outcome::Ok(RegisterRet::Done),
    };
    let after: Vec<Value> =
        Register::default().step(state, &operation.op, &operation.outcome).into_iter().collect();
    *state = after[0].clone();
}

/// The same history with one read near the end changed to a value that was overwritten long before.
fn lie(operations: &[RegisterOperation]) -> Option<Vec<RegisterOperation>> {
    let mut lying = operations.to_vec();
    let is_read =
        |o: &RegisterOperation| matches!((&o.op, &o.outcome), (RegisterOp::Read { .. }, Outcome::Ok(_)));
    let last = lying.iter().rposition(is_read)?;
    let key = lying[last].op.key().clone();
    let old =
        lying.iter().find(|o| o.op.mutates() && o.outcome.is_ok() && *o.op.key() == key)?.op.sets()?.clone();
    lying[last].outcome = Outcome::Ok(RegisterRet::Saw(old));
    Some(lying)
}

fn run(case: &Case, what: &str, operations: &[RegisterOperation]) -> Validity {
    let budget = Budget::new(Duration::from_secs(20), 1 << 30);
    let began = Instant::now();
    let verdict = check_operations(&Register::default(), operations, &budget);
    let took = began.elapsed();
    println!(
        "{:<38} {what:<5} {:>7} ops {:>10.1} ms  {:?}  {} configurations, widest {}",
        case.name,
        operations.len(),
        took.as_secs_f64() * 1e3,
        verdict.validity,
        verdict.figures["configurations"],
        verdict.figures["frontier_max"]
    );
    verdict.validity
}

fn main() {
    for (seed, case) in cases().iter().enumerate() {
        let operations = simulate(case, seed as u64);
        assert_ne!(run(case, "true", &operations), Validity::Invalid, "{}: a false alarm", case.name);
        if let Some(lying) = lie(&operations).filter(|_| case.values.is_none()) {
            assert_ne!(run(case, "lying", &lying), Validity::Valid, "{}: a lie was believed", case.name);
        }
    }
}
