//! Sets whose elements are added, removed and looked for one by one.
//!
//! No operation concerns more than one element, so each element of each set is an object of its own
//! (Herlihy & Wing 1990, theorem 1), and its state is one bit: whether it is there.
//!
//! An operation may say what it met. `add` answers true if the element was not there before, `remove`
//! answers true if it was, `contains` whether it is; an add or a remove may also answer nothing but that it is
//! done. An add that was refused found the element there, a remove that was refused did not.
//!
//! Where each element is added once at most, an answer needs no search (`phases`).

mod phases;
mod tell;
#[cfg(test)]
mod tests;

use super::{key_column, key_of};
use elenchus_core::model::Model;
use elenchus_core::outcome::{Failure, Outcome};
use elenchus_core::value::Value;
use elenchus_core::workload::{Call, Vocabulary};
use std::collections::BTreeSet;

/// What a client asks of a set.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ElementOp {
    /// Which set.
    pub key: Value,
    /// Which element.
    pub element: Value,
    /// What about it.
    pub request: Request,
}

/// What is asked about an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Request {
    /// Contain it from now on.
    Add,
    /// Contain it no more.
    Remove,
    /// Do you contain it?
    Contains,
}

/// What a set answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ElementRet {
    /// It is done.
    Done,
    /// Whether the add or the remove changed anything, or whether the element is there.
    Answer(bool),
}

/// The sequential set of elements: at first it contains those of `initial`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ElementSet {
    /// What every set contains at first.
    pub initial: BTreeSet<Value>,
}

impl ElementOp {
    /// Whether the element was there when this operation met it, as far as its outcome tells.
    fn met(&self, outcome: &Outcome<ElementRet>) -> Option<bool> {
        let answer = match outcome {
            Outcome::Ok(ElementRet::Answer(answer)) => *answer,
            Outcome::Fail(Failure::Refused(saw)) => match (self.request, saw) {
                (Request::Add, _) => return Some(true),
                (Request::Remove, _) => return Some(false),
                (Request::Contains, Some(ElementRet::Answer(answer))) => *answer,
                (Request::Contains, _) => return None,
            },
            _ => return None,
        };
        Some(if self.request == Request::Add { !answer } else { answer })
    }

    /// Whether the element is there after this operation, if it can change that at all.
    fn leaves(&self, outcome: &Outcome<ElementRet>) -> Option<bool> {
        if matches!(outcome, Outcome::Fail(_)) {
            return None;
        }
        match self.request {
            Request::Add => Some(true),
            Request::Remove => Some(false),
            Request::Contains => None,
        }
    }
}

impl Model for ElementSet {
    type Op = ElementOp;
    type Ret = ElementRet;
    /// The set and the element.
    type Key = (Value, Value);
    type State = bool;

    fn init(&self, key: &(Value, Value)) -> bool {
        self.initial.contains(&key.1)
    }

    fn step(
        &self,
        there: &bool,
        op: &ElementOp,
        outcome: &Outcome<ElementRet>,
    ) -> impl IntoIterator<Item = bool> {
        let admitted = op.met(outcome).is_none_or(|met| met == *there);
        admitted.then(|| op.leaves(outcome).unwrap_or(*there))
    }

    fn key(&self, op: &ElementOp) -> (Value, Value) {
        (op.key.clone(), op.element.clone())
    }

    fn describe(&self, op: &ElementOp, outcome: &Outcome<ElementRet>) -> String {
        let name = match op.request {
            Request::Add => "add",
            Request::Remove => "remove",
            Request::Contains => "contains",
        };
        let what = format!("{name} {}", op.element);
        match outcome {
            Outcome::Ok(ElementRet::Answer(answer)) => format!("{what} → {answer}"),
            Outcome::Ok(ElementRet::Done) => what,
            Outcome::Fail(Failure::Refused(_)) => format!("{what} refused"),
            Outcome::Fail(Failure::NotDone(_)) => format!("{what} failed"),
            Outcome::Info(_) => format!("{what} (in doubt)"),
        }
    }

    fn inert(&self, op: &ElementOp, outcome: &Outcome<ElementRet>) -> bool {
        let leaves = op.leaves(outcome);
        leaves.is_none() || op.met(outcome) == leaves
    }

    /// An add and a remove that do not say whether they changed anything leave what the last of them says.
    fn order_free(&self, op: &ElementOp, outcome: &Outcome<ElementRet>) -> bool {
        op.leaves(outcome).is_none() || op.met(outcome).is_some()
    }

    fn target(&self, op: &ElementOp) -> Option<bool> {
        match op.request {
            Request::Add => Some(true),
            Request::Remove => Some(false),
            Request::Contains => None,
        }
    }

    fn source(&self, op: &ElementOp, outcome: &Outcome<ElementRet>) -> Option<bool> {
        op.met(outcome)
    }
}

/// Sets of elements on disk: `add`, `remove` and `contains` with their element. A completion answers true or
/// false; anything else (Jepsen repeats the element) says only that it is done, which a `contains` may not.
/// Elements that are themselves true or false cannot be told from answers: those count as answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ElementSetVocabulary;

impl Vocabulary for ElementSetVocabulary {
    type Op = ElementOp;
    type Ret = ElementRet;

    fn encode_op(&self, op: &ElementOp) -> Call {
        let f = match op.request {
            Request::Add => "add",
            Request::Remove => "remove",
            Request::Contains => "contains",
        };
        Call { f, key: key_column(&op.key), value: op.element.clone() }
    }

    fn encode_ret(&self, _op: &ElementOp, ret: &ElementRet) -> Value {
        match ret {
            ElementRet::Done => Value::Nil,
            ElementRet::Answer(answer) => Value::Bool(*answer),
        }
    }

    fn decode_op(&self, f: &str, key: Option<&Value>, value: &Value) -> Result<ElementOp, String> {
        let request = match f {
            "add" => Request::Add,
            "remove" => Request::Remove,
            "contains" => Request::Contains,
            _ => {
                return Err(format!(
                    "a set of elements has no function {f:?}, only add, remove and contains"
                ));
            }
        };
        Ok(ElementOp { key: key_of(key), element: value.clone(), request })
    }

    fn decode_ret(&self, op: &ElementOp, value: &Value) -> Result<ElementRet, String> {
        match (op.request, value) {
            (_, Value::Bool(answer)) => Ok(ElementRet::Answer(*answer)),
            (Request::Contains, _) => Err(format!("contains answers true or false, not {value}")),
            _ => Ok(ElementRet::Done),
        }
    }
}
