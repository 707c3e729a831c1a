//! The meeting point of operations, clients and checkers.

use crate::LocalFuture;
use crate::checker::Checker;
use crate::client::{Capability, Client};
use crate::generator::Generator;
use crate::outcome::{Cause, Outcome};
use crate::random::Seed;
use crate::value::Value;
use std::fmt::Debug;

/// How operations and answers of one workload stand on disk.
///
/// Law: decoding what was encoded gives the same operation, answer and outcome back.
pub trait Vocabulary: Send + Sync + 'static {
    /// What a client asks.
    type Op: Clone + Debug + PartialEq + Send + Sync + 'static;
    /// What it is answered.
    type Ret: Clone + Debug + PartialEq + Send + Sync + 'static;

    /// The operation as `f`, `key` and `value` of its invocation.
    fn encode_op(&self, op: &Self::Op) -> Call;

    /// The `value` of a completion that answered `ret` (or, refused, saw it).
    fn encode_ret(&self, op: &Self::Op, ret: &Self::Ret) -> Value;

    /// The operation of an invocation; an error says what was expected.
    fn decode_op(&self, f: &str, key: Option<&Value>, value: &Value) -> Result<Self::Op, String>;

    /// The answer in a completion of `op`; an error says what was expected.
    fn decode_ret(&self, op: &Self::Op, value: &Value) -> Result<Self::Ret, String>;

    /// The answer in an `ok` completion of `op`, where some answers only a refusal can give.
    fn decode_ok(&self, op: &Self::Op, value: &Value) -> Result<Self::Ret, String> {
        self.decode_ret(op, value)
    }
}

/// An operation as it stands on disk.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// The function.
    pub f: &'static str,
    /// Which of many independent objects, if there are many.
    pub key: Option<Value>,
    /// The arguments.
    pub value: Value,
}

/// What a workload needs to know of the trial to plan its operations.
#[derive(Clone, Debug)]
pub struct Shape {
    /// The seed of the clients' choices.
    pub seed: Seed,
    /// How many operations may be open at once.
    pub concurrency: u32,
    /// How many nodes there are; slot `i` speaks to node `i mod nodes`.
    pub nodes: u32,
}

/// What clients do in a trial, and what judges it.
///
/// A workload names the client capabilities that it needs and owns no connection.
pub trait Workload: Vocabulary {
    /// The workload's name, as `--workload` takes it.
    fn name(&self) -> &'static str;

    /// What it asks of a client.
    fn needs(&self) -> &'static [Capability];

    /// What must be there before the first operation (accounts, tables), done once by one client.
    fn prepare<'a>(&'a self, _client: &'a mut dyn Client) -> LocalFuture<'a, Result<(), Cause>> {
        Box::pin(async { Ok(()) })
    }

    /// Performs one operation through a client. The runner owns the deadline.
    fn call<'a>(
        &'a self,
        client: &'a mut dyn Client,
        op: &'a Self::Op,
    ) -> LocalFuture<'a, Outcome<Self::Ret>>;

    /// What the clients do while faults strike; the trial limits its time and rate.
    fn generator(&self, shape: &Shape) -> Box<dyn Generator<Self::Op, Self::Ret>>;

    /// What the clients do once all is healed: at least one observation of every object on every node.
    fn final_generator(&self, shape: &Shape) -> Box<dyn Generator<Self::Op, Self::Ret>>;

    /// Who judges the history.
    fn checkers(&self) -> Vec<Box<dyn Checker>>;
}
