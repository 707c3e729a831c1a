//! First-in-first-out queues, one for each key.
//!
//! A dequeue that found nothing is an observation: the queue was empty. It is written as an `ok` dequeue of
//! nil. A dequeue that *failed* was not done, as everywhere, and says nothing, unless the log says that it was
//! refused: then the queue was empty as well. A queue without bounds has no reason to refuse an enqueue, and
//! one with bounds does not say them: a refused enqueue changed nothing and says nothing.
//!
//! Histories in which no value is enqueued twice are judged without search (`fifo`).

mod fifo;
mod layout;
mod spans;
mod tell;

pub use super::collection::Contents;

use super::{key_column, key_of};
use elenchus_core::model::Model;
use elenchus_core::outcome::{Failure, Outcome};
use elenchus_core::value::Value;
use elenchus_core::workload::{Call, Vocabulary};

/// What a client asks of a queue.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum QueueOp {
    /// Hold this too, behind all others.
    Enqueue {
        /// Which queue.
        key: Value,
        /// What it shall hold.
        value: Value,
    },
    /// Give away what came first.
    Dequeue {
        /// Which queue.
        key: Value,
    },
    /// What came first?
    Peek {
        /// Which queue.
        key: Value,
    },
}

/// What a queue answers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum QueueRet {
    /// It is done.
    Done,
    /// This came first.
    Value(Value),
    /// Nothing is inside.
    Empty,
}

impl QueueOp {
    /// The queue concerned.
    pub fn key(&self) -> &Value {
        match self {
            QueueOp::Enqueue { key, .. } | QueueOp::Dequeue { key } | QueueOp::Peek { key } => key,
        }
    }
}

/// The sequential queue: values leave it in the order in which they came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Queue {
    /// What every queue holds at first, the first to leave first.
    pub initial: Vec<Value>,
}

/// What an answer says of the state it met.
enum Sight<'a> {
    /// This value was first.
    First(&'a Value),
    Empty,
    Anything,
    /// No queue answers so.
    Absurd,
}

/// What a dequeue or a peek saw.
fn sight(outcome: &Outcome<QueueRet>) -> Sight<'_> {
    match outcome {
        Outcome::Ok(QueueRet::Value(value)) => Sight::First(value),
        Outcome::Fail(Failure::Refused(Some(QueueRet::Value(value)))) => Sight::First(value),
        Outcome::Ok(QueueRet::Empty) => Sight::Empty,
        Outcome::Fail(Failure::Refused(None | Some(QueueRet::Empty))) => Sight::Empty,
        Outcome::Ok(QueueRet::Done) | Outcome::Fail(Failure::Refused(Some(QueueRet::Done))) => Sight::Absurd,
        Outcome::Fail(Failure::NotDone(_)) | Outcome::Info(_) => Sight::Anything,
    }
}

impl Model for Queue {
    type Op = QueueOp;
    type Ret = QueueRet;
    type Key = Value;
    type State = Contents;

    fn init(&self, _key: &Value) -> Contents {
        Contents::new(self.initial.iter().cloned())
    }

    fn step(
        &self,
        state: &Contents,
        op: &QueueOp,
        outcome: &Outcome<QueueRet>,
    ) -> impl IntoIterator<Item = Contents> {
        let refused = matches!(outcome, Outcome::Fail(_));
        if let QueueOp::Enqueue { value, .. } = op {
            return Some(if refused { state.clone() } else { state.with_last(value) });
        }
        let possible = match sight(outcome) {
            Sight::First(value) => state.first() == Some(value),
            Sight::Empty => state.is_empty(),
            Sight::Anything => true,
            Sight::Absurd => false,
        };
        let removes = matches!(op, QueueOp::Dequeue { .. }) && !refused;
        possible.then(|| if removes { state.without_first() } else { state.clone() })
    }

    fn key(&self, op: &QueueOp) -> Value {
        op.key().clone()
    }

    fn describe(&self, op: &QueueOp, outcome: &Outcome<QueueRet>) -> String {
        let what = match op {
            QueueOp::Enqueue { value, .. } => format!("enqueue {value}"),
            QueueOp::Dequeue { .. } => "dequeue".to_owned(),
            QueueOp::Peek { .. } => "peek".to_owned(),
        };
        match outcome {
            Outcome::Ok(QueueRet::Value(value)) => format!("{what} {value}"),
            Outcome::Ok(QueueRet::Empty) => format!("{what}, empty"),
            Outcome::Ok(QueueRet::Done) => what,
            Outcome::Fail(Failure::Refused(Some(QueueRet::Value(saw)))) => {
                format!("{what} refused, saw {saw}")
            }
            Outcome::Fail(Failure::Refused(_)) => format!("{what} refused"),
            Outcome::Fail(Failure::NotDone(_)) => format!("{what} failed"),
            Outcome::Info(_) => format!("{what} (in doubt)"),
        }
    }

    fn inert(&self, op: &QueueOp, outcome: &Outcome<QueueRet>) -> bool {
        match op {
            QueueOp::Enqueue { .. } => matches!(outcome, Outcome::Fail(_)),
            QueueOp::Dequeue { .. } => {
                matches!(outcome, Outcome::Fail(_) | Outcome::Ok(QueueRet::Empty | QueueRet::Done))
            }
            QueueOp::Peek { .. } => true,
        }
    }

    fn source(&self, op: &QueueOp, outcome: &Outcome<QueueRet>) -> Option<Contents> {
        let looks = !matches!(op, QueueOp::Enqueue { .. });
        (looks && matches!(sight(outcome), Sight::Empty)).then(|| Contents::new([]))
    }

    fn weight(&self, state: &Contents) -> usize {
        state.weight()
    }
}

/// Queues on disk: `enqueue` with its value; `dequeue` and `peek` with value nil, then what came first, or nil
/// if nothing was inside. So nil cannot be enqueued.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueVocabulary;

impl Vocabulary for QueueVocabulary {
    type Op = QueueOp;
    type Ret = QueueRet;

    fn encode_op(&self, op: &QueueOp) -> Call {
        let (f, value) = match op {
            QueueOp::Enqueue { value, .. } => ("enqueue", value.clone()),
            QueueOp::Dequeue { .. } => ("dequeue", Value::Nil),
            QueueOp::Peek { .. } => ("peek", Value::Nil),
        };
        Call { f, key: key_column(op.key()), value }
    }

    fn encode_ret(&self, op: &QueueOp, ret: &QueueRet) -> Value {
        match ret {
            QueueRet::Done => self.encode_op(op).value,
            QueueRet::Value(value) => value.clone(),
            QueueRet::Empty => Value::Nil,
        }
    }

    fn decode_op(&self, f: &str, key: Option<&Value>, value: &Value) -> Result<QueueOp, String> {
        let key = key_of(key);
        match f {
            "enqueue" if value.is_nil() => Err("an enqueue takes a value, and nil is none".to_owned()),
            "enqueue" => Ok(QueueOp::Enqueue { key, value: value.clone() }),
            "dequeue" => Ok(QueueOp::Dequeue { key }),
            "peek" => Ok(QueueOp::Peek { key }),
            _ => Err(format!("a queue has no function {f:?}, only enqueue, dequeue and peek")),
        }
    }

    fn decode_ret(&self, op: &QueueOp, value: &Value) -> Result<QueueRet, String> {
        Ok(match op {
            QueueOp::Enqueue { .. } => QueueRet::Done,
            QueueOp::Dequeue { .. } | QueueOp::Peek { .. } if value.is_nil() => QueueRet::Empty,
            QueueOp::Dequeue { .. } | QueueOp::Peek { .. } => QueueRet::Value(value.clone()),
        })
    }
}

#[cfg(test)]
mod tests;
