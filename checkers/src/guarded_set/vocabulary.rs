//! What is asked of a lock and of the set that it guards, in one history.
//!
//! The operations of the lock are those of [`LockVocabulary`], those of the set those of [`SetVocabulary`]; an add that
//! names the token it is made under has a map for its value: `{"element": 5, "token": 12}`.

use crate::models::lock::{LockOp, LockRet, LockVocabulary};
use crate::models::set::{SetOp, SetRet, SetVocabulary};
use elenchus_core::operation::Operation;
use elenchus_core::value::Value;
use elenchus_core::workload::{Call, Vocabulary};

/// What a client asks.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum GuardedOp {
    /// Of the lock.
    Lock(LockOp),
    /// Of the set.
    Set(SetOp),
    /// Contain this from now on, unless somebody wrote under a later token.
    AddUnder {
        /// Which set.
        key: Value,
        /// What it shall contain.
        element: Value,
        /// The token of the grant under which it is added.
        token: i64,
    },
}

/// What it is answered.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum GuardedRet {
    /// By the lock.
    Lock(LockRet),
    /// By the set.
    Set(SetRet),
}

/// Locks are answered with tokens, where the system gives any.
const LOCK: LockVocabulary = LockVocabulary { fenced: true };

/// See the module.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GuardedVocabulary;

impl GuardedOp {
    /// The lock, or the set that bears the same name.
    pub fn key(&self) -> &Value {
        match self {
            GuardedOp::Lock(op) => &op.key,
            GuardedOp::Set(op) => op.key(),
            GuardedOp::AddUnder { key, .. } => key,
        }
    }

    /// The operation of the set, if it is one, whatever guards it.
    fn of_set(&self) -> Option<SetOp> {
        match self {
            GuardedOp::Lock(_) => None,
            GuardedOp::Set(op) => Some(op.clone()),
            GuardedOp::AddUnder { key, element, .. } => {
                Some(SetOp::Add { key: key.clone(), element: element.clone() })
            }
        }
    }
}

impl Vocabulary for GuardedVocabulary {
    type Op = GuardedOp;
    type Ret = GuardedRet;

    fn encode_op(&self, op: &GuardedOp) -> Call {
        match op {
            GuardedOp::Lock(op) => LOCK.encode_op(op),
            GuardedOp::Set(op) => SetVocabulary.encode_op(op),
            GuardedOp::AddUnder { element, token, .. } => {
                let pairs =
                    [(Value::str("element"), element.clone()), (Value::str("token"), Value::Int(*token))];
                let plain = SetVocabulary.encode_op(&op.of_set().expect("it is an add"));
                Call { value: Value::Map(pairs.into()), ..plain }
            }
        }
    }

    fn encode_ret(&self, op: &GuardedOp, ret: &GuardedRet) -> Value {
        match (op, ret) {
            (GuardedOp::Lock(op), GuardedRet::Lock(ret)) => LOCK.encode_ret(op, ret),
            (GuardedOp::Set(op), GuardedRet::Set(ret)) => SetVocabulary.encode_ret(op, ret),
            _ => self.encode_op(op).value,
        }
    }

    fn decode_op(&self, f: &str, key: Option<&Value>, value: &Value) -> Result<GuardedOp, String> {
        match (f, value) {
            ("acquire" | "release", _) => LOCK.decode_op(f, key, value).map(GuardedOp::Lock),
            ("add", Value::Map(pairs)) => {
                let field =
                    |name| pairs.iter().find(|(key, _)| key.as_text() == Some(name)).map(|(_, value)| value);
                match (field("element"), field("token").and_then(Value::as_int)) {
                    (Some(element), Some(token)) => Ok(GuardedOp::AddUnder {
                        key: key.cloned().unwrap_or(Value::Nil),
                        element: element.clone(),
                        token,
                    }),
                    _ => Err(format!("add takes an element, or a map with element and token, not {value}")),
                }
            }
            ("add" | "read", _) => SetVocabulary.decode_op(f, key, value).map(GuardedOp::Set),
            _ => Err(format!("a guarded set has no function {f:?}, only acquire, release, add and read")),
        }
    }

    fn decode_ret(&self, op: &GuardedOp, value: &Value) -> Result<GuardedRet, String> {
        match op {
            GuardedOp::Lock(op) => LOCK.decode_ret(op, value).map(GuardedRet::Lock),
            GuardedOp::Set(op) => SetVocabulary.decode_ret(op, value).map(GuardedRet::Set),
            GuardedOp::AddUnder { .. } => Ok(GuardedRet::Set(SetRet::Done)),
        }
    }
}

/// The operations of the set alone.
pub fn of_sets(operations: &[Operation<GuardedOp, GuardedRet>]) -> Vec<Operation<SetOp, SetRet>> {
    let of_set = |o: &Operation<GuardedOp, GuardedRet>| {
        let op = o.op.of_set()?;
        let outcome = o.outcome.clone().map(|ret| match ret {
            GuardedRet::Set(ret) => ret,
            GuardedRet::Lock(_) => SetRet::Done,
        });
        Some(Operation {
            process: o.process,
            op,
            outcome,
            call: o.call,
            done: o.done,
            called: o.called,
            ended: o.ended,
        })
    };
    operations.iter().filter_map(of_set).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::lock::Holder;

    #[test]
    fn what_is_encoded_decodes_to_itself() {
        let v = GuardedVocabulary;
        let (key, holder) = (Value::Int(2), Holder { owner: Value::Int(4), hold: 1 });
        let add = SetOp::Add { key: key.clone(), element: Value::Int(7) };
        let cases = [
            (
                GuardedOp::Lock(LockOp::acquire(key.clone(), holder.clone())),
                GuardedRet::Lock(LockRet::Fence(9)),
            ),
            (GuardedOp::Lock(LockOp::acquire(key.clone(), holder.clone())), GuardedRet::Lock(LockRet::Done)),
            (GuardedOp::Lock(LockOp::release(key.clone(), holder)), GuardedRet::Lock(LockRet::Done)),
            (GuardedOp::Set(add), GuardedRet::Set(SetRet::Done)),
            (
                GuardedOp::Set(SetOp::Read { key: key.clone() }),
                GuardedRet::Set(SetRet::Elements(vec![Value::Int(7)])),
            ),
            (GuardedOp::AddUnder { key, element: Value::Int(7), token: 12 }, GuardedRet::Set(SetRet::Done)),
        ];
        for (op, ret) in cases {
            let call = v.encode_op(&op);
            assert_eq!(v.decode_op(call.f, call.key.as_ref(), &call.value).as_ref(), Ok(&op));
            assert_eq!(v.decode_ret(&op, &v.encode_ret(&op, &ret)), Ok(ret));
        }
    }

    #[test]
    fn nonsense_is_named() {
        let refused = |f, value| GuardedVocabulary.decode_op(f, None, &value).expect_err("nonsense");
        assert!(refused("enqueue", Value::Nil).contains("enqueue"));
        let no_token = Value::Map([(Value::str("element"), Value::Int(1))].into());
        assert!(refused("add", no_token).contains("token"));
    }
}
