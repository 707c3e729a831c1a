//! One set: elements are added, each once, and the whole is read, at last on every node.
//!
//! An add appends to the set's text, which is not idempotent: a system that applies a retried command
//! twice shows the element twice.

use crate::final_reads::FinalReads;
use crate::store::{prefix, translate};
use elenchus_checkers::models::set::{SetOp, SetRet, SetVocabulary};
use elenchus_checkers::set_full::SetFull;
use elenchus_core::LocalFuture;
use elenchus_core::checker::Checker;
use elenchus_core::client::{Capability, Client, Request, Response};
use elenchus_core::generator::{Action, Context, Generator, Next};
use elenchus_core::outcome::Outcome;
use elenchus_core::random::{Rng, Seed};
use elenchus_core::value::Value;
use elenchus_core::workload::{Call, Shape, Vocabulary, Workload};

/// One operation in so many is a read.
const READ_EVERY: u64 = 10;

/// The workload.
pub struct Set {
    key: String,
}

impl Set {
    /// The set of the trial with this seed.
    pub fn new(seed: Seed) -> Set {
        Set { key: format!("{}/set", prefix(seed)) }
    }
}

/// The name of the only set.
fn only() -> Value {
    Value::Int(0)
}

impl Vocabulary for Set {
    type Op = SetOp;
    type Ret = SetRet;

    fn encode_op(&self, op: &SetOp) -> Call {
        SetVocabulary.encode_op(op)
    }
    fn encode_ret(&self, op: &SetOp, ret: &SetRet) -> Value {
        SetVocabulary.encode_ret(op, ret)
    }
    fn decode_op(&self, f: &str, key: Option<&Value>, value: &Value) -> Result<SetOp, String> {
        SetVocabulary.decode_op(f, key, value)
    }
    fn decode_ret(&self, op: &SetOp, value: &Value) -> Result<SetRet, String> {
        SetVocabulary.decode_ret(op, value)
    }
}

impl Workload for Set {
    fn name(&self) -> &'static str {
        "set"
    }

    fn needs(&self) -> &'static [Capability] {
        &[Capability::Kv]
    }

    fn call<'a>(&'a self, client: &'a mut dyn Client, op: &'a SetOp) -> LocalFuture<'a, Outcome<SetRet>> {
        Box::pin(async move {
            let key = self.key.clone();
            let request = match op {
                SetOp::Add { element, .. } => Request::Append { key, text: format!("{element} ") },
                SetOp::Read { .. } => Request::Get { key },
            };
            translate(client.call(&request).await, |response| match response {
                Response::Done => Ok(SetRet::Done),
                Response::Value(Value::Nil) => Ok(SetRet::Elements(Vec::new())),
                Response::Value(Value::Str(text)) => elements(&text).ok_or(Response::Value(Value::Str(text))),
                other => Err(other),
            })
        })
    }

    fn generator(&self, shape: &Shape) -> Box<dyn Generator<SetOp, SetRet>> {
        Box::new(Adds { rng: shape.seed.stream("set").rng(), next: 0 })
    }

    fn final_generator(&self, shape: &Shape) -> Box<dyn Generator<SetOp, SetRet>> {
        Box::new(FinalReads::new(
            shape.nodes,
            [only()],
            |op: &SetOp| op.key().clone(),
            |key| SetOp::Read { key: key.clone() },
        ))
    }

    fn checkers(&self) -> Vec<Box<dyn Checker>> {
        vec![Box::new(SetFull::linearizable())]
    }
}

/// The elements in a set's text; `None` if it holds anything that no add wrote.
fn elements(text: &str) -> Option<SetRet> {
    let numbers: Result<Vec<Value>, _> =
        text.split_ascii_whitespace().map(|n| n.parse().map(Value::Int)).collect();
    numbers.ok().map(SetRet::Elements)
}

/// Adds of ever new elements, with a read among them.
struct Adds {
    rng: Rng,
    next: i64,
}

impl Generator<SetOp, SetRet> for Adds {
    fn next(&mut self, cx: &mut Context) -> Next<SetOp> {
        let Some(slot) = cx.pick() else { return Next::Wait(None) };
        let op = if self.rng.chance(1, READ_EVERY) {
            SetOp::Read { key: only() }
        } else {
            self.next += 1;
            SetOp::Add { key: only(), element: Value::Int(self.next - 1) }
        };
        Next::Invoke(slot, Action::Client(op))
    }
}
