//! Bags (unordered queues), one for each key: what was put in comes out once, in any order.
//!
//! A take that found nothing is an observation: the bag was empty. It is written as an `ok` take of nil. A
//! take that *failed* was not done, as everywhere, and says nothing, unless the log says that it was refused:
//! then the bag was empty as well. A refused put changed nothing and says nothing.
//!
//! Histories in which no value is put in twice are judged without search (module `unordered`).

mod tell;
mod unordered;

use super::collection::Contents;
use super::{key_column, key_of};
use elenchus_core::model::Model;
use elenchus_core::outcome::{Failure, Outcome};
use elenchus_core::value::Value;
use elenchus_core::workload::{Call, Vocabulary};

/// What a client asks of a bag.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum BagOp {
    /// Hold this too.
    Put {
        /// Which bag.
        key: Value,
        /// What it shall hold.
        value: Value,
    },
    /// Give away anything that you hold.
    Take {
        /// Which bag.
        key: Value,
    },
}

/// What a bag answers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum BagRet {
    /// It is done.
    Done,
    /// This was inside, and is no more.
    Value(Value),
    /// Nothing is inside.
    Empty,
}

impl BagOp {
    /// The bag concerned.
    pub fn key(&self) -> &Value {
        match self {
            BagOp::Put { key, .. } | BagOp::Take { key } => key,
        }
    }
}

/// The sequential bag: it gives away any value that it holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bag {
    /// What every bag holds at first.
    pub initial: Vec<Value>,
}

impl Model for Bag {
    type Op = BagOp;
    type Ret = BagRet;
    type Key = Value;
    /// In ascending order.
    type State = Contents;

    fn init(&self, _key: &Value) -> Contents {
        let mut items = self.initial.clone();
        items.sort();
        Contents::new(items)
    }

    fn step(
        &self,
        state: &Contents,
        op: &BagOp,
        outcome: &Outcome<BagRet>,
    ) -> impl IntoIterator<Item = Contents> {
        let unchanged = |possible: bool| if possible { vec![state.clone()] } else { Vec::new() };
        let value = match (op, outcome) {
            (BagOp::Put { .. }, Outcome::Fail(_)) => return unchanged(true),
            (BagOp::Put { value, .. }, _) => return vec![state.with_sorted(value)],
            (BagOp::Take { .. }, Outcome::Ok(BagRet::Value(value))) => value,
            (BagOp::Take { .. }, Outcome::Info(_)) if !state.is_empty() => return removals(state),
            (BagOp::Take { .. }, Outcome::Info(_) | Outcome::Fail(Failure::NotDone(_))) => {
                return unchanged(true);
            }
            (BagOp::Take { .. }, _) => return unchanged(finds_nothing(outcome) && state.is_empty()),
        };
        state.items().binary_search(value).map(|place| state.without(place)).into_iter().collect()
    }

    fn key(&self, op: &BagOp) -> Value {
        op.key().clone()
    }

    fn describe(&self, op: &BagOp, outcome: &Outcome<BagRet>) -> String {
        let what = match op {
            BagOp::Put { value, .. } => format!("put {value}"),
            BagOp::Take { .. } => "take".to_owned(),
        };
        match outcome {
            Outcome::Ok(BagRet::Value(value)) => format!("{what} {value}"),
            Outcome::Ok(BagRet::Empty) => format!("{what}, empty"),
            Outcome::Ok(BagRet::Done) => what,
            Outcome::Fail(Failure::Refused(_)) => format!("{what} refused"),
            Outcome::Fail(Failure::NotDone(_)) => format!("{what} failed"),
            Outcome::Info(_) => format!("{what} (in doubt)"),
        }
    }

    fn inert(&self, op: &BagOp, outcome: &Outcome<BagRet>) -> bool {
        match (op, outcome) {
            (_, Outcome::Fail(_)) => true,
            (BagOp::Put { .. }, _) => false,
            (BagOp::Take { .. }, Outcome::Ok(answer)) => !matches!(answer, BagRet::Value(_)),
            (BagOp::Take { .. }, Outcome::Info(_)) => false,
        }
    }

    fn source(&self, op: &BagOp, outcome: &Outcome<BagRet>) -> Option<Contents> {
        let takes = matches!(op, BagOp::Take { .. });
        (takes && finds_nothing(outcome)).then(|| Contents::new([]))
    }

    /// A take in doubt may have taken anything.
    fn order_free(&self, op: &BagOp, outcome: &Outcome<BagRet>) -> bool {
        matches!(op, BagOp::Put { .. }) || !outcome.is_info()
    }

    fn weight(&self, state: &Contents) -> usize {
        state.weight()
    }
}

/// What remains after any one value was taken, each different state once.
fn removals(state: &Contents) -> Vec<Contents> {
    let items = state.items();
    let first_of_its_kind = |place: &usize| *place == 0 || items[place - 1] != items[*place];
    (0..items.len()).filter(first_of_its_kind).map(|place| state.without(place)).collect()
}

/// Whether a take with this outcome found the bag empty.
fn finds_nothing(outcome: &Outcome<BagRet>) -> bool {
    match outcome {
        Outcome::Ok(answer) => *answer == BagRet::Empty,
        Outcome::Fail(Failure::Refused(saw)) => matches!(saw, None | Some(BagRet::Empty)),
        Outcome::Fail(Failure::NotDone(_)) | Outcome::Info(_) => false,
    }
}

/// Bags on disk: `put` (or `enqueue`) with its value; `take` (or `dequeue`) with value nil, then what was
/// taken, or nil if nothing was inside. So nil cannot be put in. Jepsen calls them unordered queues.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BagVocabulary;

impl Vocabulary for BagVocabulary {
    type Op = BagOp;
    type Ret = BagRet;

    fn encode_op(&self, op: &BagOp) -> Call {
        let (f, value) = match op {
            BagOp::Put { value, .. } => ("put", value.clone()),
            BagOp::Take { .. } => ("take", Value::Nil),
        };
        Call { f, key: key_column(op.key()), value }
    }

    fn encode_ret(&self, op: &BagOp, ret: &BagRet) -> Value {
        match ret {
            BagRet::Done => self.encode_op(op).value,
            BagRet::Value(value) => value.clone(),
            BagRet::Empty => Value::Nil,
        }
    }

    fn decode_op(&self, f: &str, key: Option<&Value>, value: &Value) -> Result<BagOp, String> {
        let key = key_of(key);
        match f {
            "put" | "enqueue" if value.is_nil() => Err(format!("{f} takes a value, and nil is none")),
            "put" | "enqueue" => Ok(BagOp::Put { key, value: value.clone() }),
            "take" | "dequeue" => Ok(BagOp::Take { key }),
            _ => Err(format!("a bag has no function {f:?}, only put and take (or enqueue and dequeue)")),
        }
    }

    fn decode_ret(&self, op: &BagOp, value: &Value) -> Result<BagRet, String> {
        Ok(match op {
            BagOp::Put { .. } => BagRet::Done,
            BagOp::Take { .. } if value.is_nil() => BagRet::Empty,
            BagOp::Take { .. } => BagRet::Value(value.clone()),
        })
    }
}

#[cfg(test)]
mod tests;
