//! Sets that only grow and are read as a whole, by linearizability.
//!
//! An element may be added again and stays; a read lists everything, each element once, in any order. An add
//! that was refused found its element there. Operations and vocabulary are those of [`super::set`].
//!
//! [`crate::set_full`] judges the same histories element by element, tells the fate of each, and lets a set be
//! late if it may; it does not ask whether the reads fit together. This model does, and its answer needs no
//! search (`chain`).

mod chain;
mod tell;
#[cfg(test)]
mod tests;

use super::heap;
use super::set::{SetOp, SetRet};
use elenchus_core::model::Model;
use elenchus_core::outcome::{Failure, Outcome};
use elenchus_core::value::Value;
use std::collections::BTreeSet;

/// The sequential set: it contains what was added, at first `initial`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GrowOnlySet {
    /// What every set contains at first.
    pub initial: BTreeSet<Value>,
}

impl Model for GrowOnlySet {
    type Op = SetOp;
    type Ret = SetRet;
    type Key = Value;
    type State = BTreeSet<Value>;

    fn init(&self, _key: &Value) -> BTreeSet<Value> {
        self.initial.clone()
    }

    fn step(
        &self,
        state: &BTreeSet<Value>,
        op: &SetOp,
        outcome: &Outcome<SetRet>,
    ) -> impl IntoIterator<Item = BTreeSet<Value>> {
        match (op, outcome) {
            (SetOp::Add { element, .. }, Outcome::Fail(_)) => state.contains(element).then(|| state.clone()),
            (SetOp::Add { element, .. }, _) => {
                let mut after = state.clone();
                after.insert(element.clone());
                Some(after)
            }
            (SetOp::Read { .. }, Outcome::Ok(SetRet::Elements(elements))) => {
                let all = elements.len() == state.len() && lists(elements, state);
                all.then(|| state.clone())
            }
            (SetOp::Read { .. }, _) => Some(state.clone()),
        }
    }

    fn key(&self, op: &SetOp) -> Value {
        op.key().clone()
    }

    fn describe(&self, op: &SetOp, outcome: &Outcome<SetRet>) -> String {
        let what = match (op, outcome) {
            (SetOp::Add { element, .. }, _) => format!("add {element}"),
            (SetOp::Read { .. }, Outcome::Ok(SetRet::Elements(elements))) => return listed(elements),
            (SetOp::Read { .. }, _) => "read".to_owned(),
        };
        match outcome {
            Outcome::Ok(_) => what,
            Outcome::Fail(Failure::Refused(_)) => format!("{what} refused"),
            Outcome::Fail(Failure::NotDone(_)) => format!("{what} failed"),
            Outcome::Info(_) => format!("{what} (in doubt)"),
        }
    }

    fn inert(&self, op: &SetOp, outcome: &Outcome<SetRet>) -> bool {
        matches!(op, SetOp::Read { .. }) || matches!(outcome, Outcome::Fail(_))
    }

    fn order_free(&self, _: &SetOp, _: &Outcome<SetRet>) -> bool {
        true
    }

    fn weight(&self, state: &BTreeSet<Value>) -> usize {
        size_of::<BTreeSet<Value>>()
            + state.iter().map(|value| size_of::<Value>() + heap(value)).sum::<usize>()
    }
}

/// Whether these elements, as many as the set has, are those of the set, each once.
fn lists(elements: &[Value], state: &BTreeSet<Value>) -> bool {
    let mut sorted: Vec<&Value> = elements.iter().collect();
    sorted.sort_unstable();
    sorted.into_iter().eq(state)
}

/// Elements shown of a read.
const LISTED_MAX: usize = 8;

/// `read {1 2 3}`, or the last few elements of many.
fn listed(elements: &[Value]) -> String {
    let hidden = elements.len().saturating_sub(LISTED_MAX);
    let last: Vec<String> = elements[hidden..].iter().map(Value::to_string).collect();
    match hidden {
        0 => format!("read {{{}}}", last.join(" ")),
        _ => format!("read {} elements, the last {{{}}}", elements.len(), last.join(" ")),
    }
}
