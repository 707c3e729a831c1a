#![no_main]
//! Each byte is an event of one of three processes: it calls an operation, or ends the one it has open.

use elenchus_checkers::linearizability::{Answer, Insight, judge};
use elenchus_checkers::models::register::{NilReads, Register, RegisterOp, RegisterRet};
use elenchus_core::budget::Budget;
use elenchus_core::model::Model;
use elenchus_core::operation::Operation;
use elenchus_core::outcome::{Failure, Outcome};
use elenchus_core::process::Process;
use elenchus_core::time::Time;
use elenchus_core::value::Value;
use elenchus_fuzz::is_linearizable;

type RegisterOperation = Operation<RegisterOp, RegisterRet>;

/// The register without its near-linear way.
struct Searched(Register);

impl Model for Searched {
    type Op = RegisterOp;
    type Ret = RegisterRet;
    type Key = Value;
    type State = Value;
    fn init(&self, key: &Value) -> Value {
        self.0.init(key)
    }
    fn step(&self, state: &Value, op: &RegisterOp, outcome: &Outcome<RegisterRet>) -> impl IntoIterator<Item = Value> {
        self.0.step(state, op, outcome)
    }
    fn key(&self, op: &RegisterOp) -> Value {
        self.0.key(op)
    }
    fn describe(&self, op: &RegisterOp, outcome: &Outcome<RegisterRet>) -> String {
        self.0.describe(op, outcome)
    }
    fn inert(&self, op: &RegisterOp, outcome: &Outcome<RegisterRet>) -> bool {
        self.0.inert(op, outcome)
    }
    fn overwrites(&self, op: &RegisterOp) -> bool {
        self.0.overwrites(op)
    }
    fn target(&self, op: &RegisterOp) -> Option<Value> {
        self.0.target(op)
    }
    fn source(&self, op: &RegisterOp, outcome: &Outcome<RegisterRet>) -> Option<Value> {
        self.0.source(op, outcome)
    }
}

impl Insight for Searched {}

const OPERATIONS_MAX: usize = 8;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let operations = operations(bytes);
    let register = Register { initial: Value::Nil, nil_reads: NilReads::SawNil };
    let expected = is_linearizable(&register, &Value::Nil, &operations);
    assert_eq!(says(&register, &operations), expected, "the near-linear way: {operations:?}");
    assert_eq!(says(&Searched(register), &operations), expected, "the search: {operations:?}");
});

fn says<M: Insight>(model: &M, operations: &[Operation<M::Op, M::Ret>]) -> bool {
    let findings = judge(model, operations, &Budget::unlimited());
    findings.iter().all(|finding| match finding.answer {
        Answer::Linearizable => true,
        Answer::Refuted { .. } => false,
        Answer::Unknown { ref why, .. } => panic!("unknown without a budget: {why}"),
    })
}

fn operations(bytes: &[u8]) -> Vec<RegisterOperation> {
    let mut operations: Vec<RegisterOperation> = Vec::new();
    let mut open: [Option<usize>; 3] = [None; 3];
    for (at, byte) in (0u32..).zip(bytes) {
        let process = usize::from(byte % 3);
        let rest = byte / 3;
        match open[process].take() {
            None if operations.len() == OPERATIONS_MAX => {}
            None => {
                open[process] = Some(operations.len());
                operations.push(RegisterOperation {
                    process: Process(process as u32),
                    op: op(rest),
                    outcome: Outcome::info("no completion"),
                    call: at,
                    done: RegisterOperation::OPEN,
                    called: Time(u64::from(at)),
                    ended: None,
                });
            }
            Some(i) => {
                let operation = &mut operations[i];
                operation.outcome = outcome(&operation.op, rest);
                if !operation.outcome.is_info() {
                    operation.done = at;
                }
            }
        }
    }
    operations
}

fn value(n: u8) -> Value {
    if n % 4 == 0 { Value::Nil } else { Value::Int(i64::from(n % 4)) }
}

fn op(n: u8) -> RegisterOp {
    let key = Value::Nil;
    match n % 3 {
        0 => RegisterOp::Read { key },
        1 => RegisterOp::Write { key, value: value(n / 3) },
        _ => RegisterOp::Cas { key, from: value(n / 3), to: value(n / 12) },
    }
}

fn outcome(op: &RegisterOp, n: u8) -> Outcome<RegisterRet> {
    let saw = || RegisterRet::Saw(value(n / 6));
    match (op, n % 6) {
        (_, 0) => Outcome::info("timeout"),
        (_, 1) => Outcome::not_done("refused connection"),
        (RegisterOp::Read { .. }, _) => Outcome::Ok(saw()),
        (RegisterOp::Cas { .. }, 2) => Outcome::Fail(Failure::Refused(None)),
        (RegisterOp::Cas { .. }, 3) => Outcome::Fail(Failure::Refused(Some(saw()))),
        _ => Outcome::Ok(RegisterRet::Done),
    }
}
