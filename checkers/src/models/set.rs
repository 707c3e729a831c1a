//! Grow-only sets: elements are added one by one, and read all at once.
//!
//! There is no sequential model here: a set whose reads list everything is judged element by element
//! ([`crate::set_full`]), which says more than yes or no.

use super::{key_column, key_of};
use elenchus_core::value::Value;
use elenchus_core::workload::{Call, Vocabulary};
use std::collections::BTreeSet;

/// What a client asks of a set.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum SetOp {
    /// Contain this from now on.
    Add {
        /// Which set.
        key: Value,
        /// What it shall contain.
        element: Value,
    },
    /// What do you contain?
    Read {
        /// Which set.
        key: Value,
    },
}

/// What a set answers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum SetRet {
    /// It is done.
    Done,
    /// It contains these, in the order in which the system listed them, repetitions included.
    Elements(Vec<Value>),
}

impl SetOp {
    /// The set concerned.
    pub fn key(&self) -> &Value {
        match self {
            SetOp::Add { key, .. } | SetOp::Read { key } => key,
        }
    }
}

/// Sets on disk: `add` with its element; `read` with value nil, then the list of what was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SetVocabulary;

impl Vocabulary for SetVocabulary {
    type Op = SetOp;
    type Ret = SetRet;

    fn encode_op(&self, op: &SetOp) -> Call {
        let (f, value) = match op {
            SetOp::Add { element, .. } => ("add", element.clone()),
            SetOp::Read { .. } => ("read", Value::Nil),
        };
        Call { f, key: key_column(op.key()), value }
    }

    fn encode_ret(&self, op: &SetOp, ret: &SetRet) -> Value {
        match ret {
            SetRet::Done => self.encode_op(op).value,
            SetRet::Elements(elements) => Value::vector(elements.iter().cloned()),
        }
    }

    fn decode_op(&self, f: &str, key: Option<&Value>, value: &Value) -> Result<SetOp, String> {
        let key = key_of(key);
        match f {
            "add" => Ok(SetOp::Add { key, element: value.clone() }),
            "read" => Ok(SetOp::Read { key }),
            _ => Err(format!("a set has no function {f:?}, only add and read")),
        }
    }

    fn decode_ret(&self, op: &SetOp, value: &Value) -> Result<SetRet, String> {
        match (op, value) {
            (SetOp::Add { .. }, _) => Ok(SetRet::Done),
            (SetOp::Read { .. }, Value::Vector(items) | Value::List(items) | Value::Set(items)) => {
                Ok(SetRet::Elements(items.to_vec()))
            }
            (SetOp::Read { .. }, Value::Nil) => Ok(SetRet::Elements(Vec::new())),
            (SetOp::Read { .. }, _) => Err(format!("a read of a set answers a list, not {value}")),
        }
    }
}

/// What a set contains at first, from how it is given: nothing, or a list of elements.
pub(super) fn contents(initial: Option<&Value>) -> Result<BTreeSet<Value>, String> {
    match initial {
        None | Some(Value::Nil) => Ok(BTreeSet::new()),
        Some(Value::Vector(items) | Value::List(items) | Value::Set(items)) => {
            Ok(items.iter().cloned().collect())
        }
        Some(other) => Err(format!("a set begins with a list of elements, such as [1 2], not {other}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_decodes_to_itself() {
        let v = SetVocabulary;
        for key in [Value::Nil, Value::Int(3)] {
            let add = SetOp::Add { key: key.clone(), element: Value::Int(7) };
            let read = SetOp::Read { key };
            let some = SetRet::Elements(vec![Value::Int(7), Value::Int(7)]);
            for (op, ret) in [(add, SetRet::Done), (read.clone(), SetRet::Elements(vec![])), (read, some)] {
                let call = v.encode_op(&op);
                assert_eq!(v.decode_op(call.f, call.key.as_ref(), &call.value).as_ref(), Ok(&op));
                assert_eq!(v.decode_ret(&op, &v.encode_ret(&op, &ret)), Ok(ret));
            }
        }
    }

    #[test]
    fn a_set_begins_with_a_list_of_elements_or_with_nothing() {
        let items = [Value::Int(2), Value::Int(1), Value::Int(2)];
        assert_eq!(contents(Some(&Value::vector(items.clone()))), Ok(items.into()));
        assert_eq!(contents(Some(&Value::Nil)), Ok(BTreeSet::new()));
        assert!(contents(Some(&Value::Int(1))).is_err_and(|e| e.contains("list of elements")));
    }

    #[test]
    fn a_read_must_answer_a_list() {
        let read = SetOp::Read { key: Value::Nil };
        assert!(SetVocabulary.decode_ret(&read, &Value::Int(1)).is_err());
        assert!(SetVocabulary.decode_op("remove", None, &Value::Int(1)).is_err());
    }
}
