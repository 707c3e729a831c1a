//! Registers that can be read, written and compared-and-set, one for each key.
//!
//! A refused cas is an observation: the register held something else than the cas expected, and, where the
//! system says what it saw, exactly that. Tools disagree on two readings of a log, so both are options:
//! whether an `ok` read of nil saw nil ([`NilReads`]), and whether a cas that plainly failed was refused
//! ([`failed_cas_is_refused`]).

mod chains;
mod layout;
mod possible;
mod refusals;
mod tell;
mod zones;

use super::{heap, key_column, key_of};
use elenchus_core::model::Model;
use elenchus_core::operation::Operation;
use elenchus_core::outcome::{Failure, Outcome};
use elenchus_core::value::Value;
use elenchus_core::workload::{Call, Vocabulary};

/// What a client asks of a register.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum RegisterOp {
    /// What does it hold?
    Read {
        /// Which register.
        key: Value,
    },
    /// Hold this from now on.
    Write {
        /// Which register.
        key: Value,
        /// What it shall hold.
        value: Value,
    },
    /// Hold `to` if you hold `from`, else decline.
    Cas {
        /// Which register.
        key: Value,
        /// What it must hold.
        from: Value,
        /// What it shall hold.
        to: Value,
    },
}

/// What a register answers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum RegisterRet {
    /// It holds (a read) or held (a refused cas) this.
    Saw(Value),
    /// It is done.
    Done,
}

impl RegisterOp {
    /// The register concerned.
    pub fn key(&self) -> &Value {
        match self {
            RegisterOp::Read { key } | RegisterOp::Write { key, .. } | RegisterOp::Cas { key, .. } => key,
        }
    }

    /// Whether it is meant to change the register.
    pub fn mutates(&self) -> bool {
        !matches!(self, RegisterOp::Read { .. })
    }

    /// The value that the register holds after this operation took effect, if it sets one.
    pub fn sets(&self) -> Option<&Value> {
        match self {
            RegisterOp::Read { .. } => None,
            RegisterOp::Write { value, .. } => Some(value),
            RegisterOp::Cas { to, .. } => Some(to),
        }
    }
}

/// How an `ok` read of nil counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NilReads {
    /// It saw that the register holds nil.
    #[default]
    SawNil,
    /// It says nothing (Knossos: such a history does not record what was read).
    SawNothing,
}

/// The sequential register: it holds the value last set, at first `initial`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Register {
    /// What every register holds at first.
    pub initial: Value,
    /// How an `ok` read of nil counts.
    pub nil_reads: NilReads,
}

impl Default for Register {
    fn default() -> Register {
        Register { initial: Value::Nil, nil_reads: NilReads::SawNil }
    }
}

impl Model for Register {
    type Op = RegisterOp;
    type Ret = RegisterRet;
    type Key = Value;
    type State = Value;

    fn init(&self, _key: &Value) -> Value {
        self.initial.clone()
    }

    fn step(
        &self,
        state: &Value,
        op: &RegisterOp,
        outcome: &Outcome<RegisterRet>,
    ) -> impl IntoIterator<Item = Value> {
        let refused = matches!(outcome, Outcome::Fail(_));
        match op {
            RegisterOp::Read { .. } => self.admits_read(state, outcome).then(|| state.clone()),
            RegisterOp::Write { .. } if refused => None,
            RegisterOp::Write { value, .. } => Some(value.clone()),
            RegisterOp::Cas { from, .. } if refused => {
                let seen = match outcome {
                    Outcome::Fail(Failure::Refused(Some(RegisterRet::Saw(saw)))) => saw == state,
                    _ => true,
                };
                (seen && state != from).then(|| state.clone())
            }
            RegisterOp::Cas { from, to, .. } => (state == from).then(|| to.clone()),
        }
    }

    fn key(&self, op: &RegisterOp) -> Value {
        op.key().clone()
    }

    fn describe(&self, op: &RegisterOp, outcome: &Outcome<RegisterRet>) -> String {
        let what = match (op, outcome) {
            (RegisterOp::Read { .. }, Outcome::Ok(RegisterRet::Saw(value))) => format!("read {value}"),
            (RegisterOp::Read { .. }, _) => "read".to_owned(),
            (RegisterOp::Write { value, .. }, _) => format!("write {value}"),
            (RegisterOp::Cas { from, to, .. }, _) => format!("cas {from} → {to}"),
        };
        match outcome {
            Outcome::Ok(_) => what,
            Outcome::Fail(Failure::Refused(Some(RegisterRet::Saw(saw)))) => {
                format!("{what} refused, saw {saw}")
            }
            Outcome::Fail(Failure::Refused(_)) => format!("{what} refused"),
            Outcome::Fail(Failure::NotDone(_)) => format!("{what} failed"),
            Outcome::Info(_) => format!("{what} (in doubt)"),
        }
    }

    fn inert(&self, op: &RegisterOp, outcome: &Outcome<RegisterRet>) -> bool {
        match op {
            RegisterOp::Read { .. } => true,
            RegisterOp::Write { .. } => matches!(outcome, Outcome::Fail(_)),
            RegisterOp::Cas { from, to, .. } => from == to || matches!(outcome, Outcome::Fail(_)),
        }
    }

    fn overwrites(&self, op: &RegisterOp) -> bool {
        matches!(op, RegisterOp::Write { .. })
    }

    fn target(&self, op: &RegisterOp) -> Option<Value> {
        op.sets().cloned()
    }

    fn source(&self, op: &RegisterOp, outcome: &Outcome<RegisterRet>) -> Option<Value> {
        let seen = match (op, outcome) {
            (RegisterOp::Read { .. }, Outcome::Ok(RegisterRet::Saw(value))) => value,
            (RegisterOp::Cas { from, .. }, Outcome::Ok(_) | Outcome::Info(_)) => from,
            (RegisterOp::Cas { .. }, Outcome::Fail(Failure::Refused(Some(RegisterRet::Saw(value))))) => value,
            _ => return None,
        };
        let says_nothing = matches!(op, RegisterOp::Read { .. }) && !self.is_seen(seen);
        (!says_nothing).then(|| seen.clone())
    }

    fn excludes(&self, op: &RegisterOp, outcome: &Outcome<RegisterRet>) -> Option<Value> {
        match (op, outcome) {
            (RegisterOp::Cas { from, .. }, Outcome::Fail(Failure::Refused(saw)))
                if !matches!(saw, Some(RegisterRet::Saw(_))) =>
            {
                Some(from.clone())
            }
            _ => None,
        }
    }

    fn weight(&self, state: &Value) -> usize {
        size_of::<Value>() + heap(state)
    }
}

impl Register {
    /// Whether a read that returned this saw it.
    pub(crate) fn is_seen(&self, value: &Value) -> bool {
        !(value.is_nil() && self.nil_reads == NilReads::SawNothing)
    }

    fn admits_read(&self, state: &Value, outcome: &Outcome<RegisterRet>) -> bool {
        match outcome {
            Outcome::Ok(RegisterRet::Saw(value)) => value == state || !self.is_seen(value),
            Outcome::Ok(RegisterRet::Done) | Outcome::Info(_) => true,
            // A read cannot be declined because of what the register holds.
            Outcome::Fail(_) => true,
        }
    }
}

/// Reads a cas that plainly failed as one that was refused, having seen another value. Porcupine reads
/// Jepsen's logs of etcd so, where a failed cas bears no other error.
pub fn failed_cas_is_refused(operation: &mut Operation<RegisterOp, RegisterRet>) {
    if matches!(operation.op, RegisterOp::Cas { .. })
        && matches!(operation.outcome, Outcome::Fail(Failure::NotDone(_)))
    {
        operation.outcome = Outcome::Fail(Failure::Refused(None));
    }
}

/// Registers on disk: `read` with value nil, then what was read; `write` with its value; `cas` with
/// `[from to]`. A completion without an answer of its own repeats the arguments, as Jepsen's do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RegisterVocabulary;

impl Vocabulary for RegisterVocabulary {
    type Op = RegisterOp;
    type Ret = RegisterRet;

    fn encode_op(&self, op: &RegisterOp) -> Call {
        let (f, value) = match op {
            RegisterOp::Read { .. } => ("read", Value::Nil),
            RegisterOp::Write { value, .. } => ("write", value.clone()),
            RegisterOp::Cas { from, to, .. } => ("cas", Value::vector([from.clone(), to.clone()])),
        };
        Call { f, key: key_column(op.key()), value }
    }

    fn encode_ret(&self, op: &RegisterOp, ret: &RegisterRet) -> Value {
        match ret {
            RegisterRet::Saw(value) => value.clone(),
            RegisterRet::Done => self.encode_op(op).value,
        }
    }

    fn decode_op(&self, f: &str, key: Option<&Value>, value: &Value) -> Result<RegisterOp, String> {
        let key = key_of(key);
        match f {
            "read" => Ok(RegisterOp::Read { key }),
            "write" => Ok(RegisterOp::Write { key, value: value.clone() }),
            "cas" => match value.as_items() {
                Some([from, to]) => Ok(RegisterOp::Cas { key, from: from.clone(), to: to.clone() }),
                _ => Err(format!("a cas takes [from to], not {value}")),
            },
            _ => Err(format!("a register has no function {f:?}, only read, write and cas")),
        }
    }

    fn decode_ret(&self, op: &RegisterOp, value: &Value) -> Result<RegisterRet, String> {
        Ok(match op {
            RegisterOp::Read { .. } => RegisterRet::Saw(value.clone()),
            RegisterOp::Write { .. } => RegisterRet::Done,
            RegisterOp::Cas { from, to, .. } => match value.as_items() {
                Some([a, b]) if a == from && b == to => RegisterRet::Done,
                _ => RegisterRet::Saw(value.clone()),
            },
        })
    }

    fn decode_ok(&self, op: &RegisterOp, value: &Value) -> Result<RegisterRet, String> {
        match (op, value) {
            (RegisterOp::Cas { .. }, Value::Bool(false)) => {
                Err("a cas that was declined is recorded as fail, not as ok with the answer false".to_owned())
            }
            (RegisterOp::Cas { .. }, _) => Ok(RegisterRet::Done),
            _ => self.decode_ret(op, value),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values() -> [Value; 3] {
        [Value::Nil, Value::Int(1), Value::Int(2)]
    }

    fn ops() -> Vec<RegisterOp> {
        let key = Value::Int(9);
        let mut ops = vec![RegisterOp::Read { key: key.clone() }];
        for a in values() {
            ops.push(RegisterOp::Write { key: key.clone(), value: a.clone() });
            ops.extend(values().map(|to| RegisterOp::Cas { key: key.clone(), from: a.clone(), to }));
        }
        ops
    }

    fn outcomes() -> Vec<Outcome<RegisterRet>> {
        let mut all = vec![
            Outcome::Ok(RegisterRet::Done),
            Outcome::Fail(Failure::Refused(None)),
            Outcome::Fail(Failure::Refused(Some(RegisterRet::Done))),
            Outcome::info("timeout"),
        ];
        for value in values() {
            all.push(Outcome::Ok(RegisterRet::Saw(value.clone())));
            all.push(Outcome::Fail(Failure::Refused(Some(RegisterRet::Saw(value)))));
        }
        all
    }

    fn models() -> [Register; 3] {
        [
            Register::default(),
            Register { initial: Value::Int(1), nil_reads: NilReads::SawNil },
            Register { initial: Value::Nil, nil_reads: NilReads::SawNothing },
        ]
    }

    fn after(model: &Register, state: &Value, op: &RegisterOp, outcome: &Outcome<RegisterRet>) -> Vec<Value> {
        model.step(state, op, outcome).into_iter().collect()
    }

    #[test]
    fn no_state_refutes_the_hints() {
        for model in models() {
            for op in ops() {
                for outcome in outcomes() {
                    for state in values() {
                        let after = after(&model, &state, &op, &outcome);
                        if model.inert(&op, &outcome) {
                            assert!(after.iter().all(|s| *s == state), "{op:?} {outcome:?} from {state}");
                        }
                        if model.source(&op, &outcome).is_some_and(|source| source != state) {
                            assert!(after.is_empty(), "{op:?} {outcome:?} from {state}");
                        }
                        let target = model.target(&op);
                        assert!(after.iter().all(|s| *s == state || Some(s) == target.as_ref()));
                    }
                    if model.overwrites(&op) && !matches!(outcome, Outcome::Fail(_)) {
                        let of = values().map(|state| self::after(&model, &state, &op, &outcome));
                        assert!(of.iter().all(|s| s.len() == 1 && *s == of[0]), "{op:?} {outcome:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_write_that_repeats_the_value_is_not_inert() {
        let write = RegisterOp::Write { key: Value::Nil, value: Value::Int(1) };
        assert!(!Register::default().inert(&write, &Outcome::Ok(RegisterRet::Done)));
    }

    #[test]
    fn a_refused_cas_saw_something_else_than_it_expected() {
        let model = Register::default();
        let cas = RegisterOp::Cas { key: Value::Nil, from: Value::Int(1), to: Value::Int(2) };
        let refused =
            |saw: Option<i64>| Outcome::Fail(Failure::Refused(saw.map(|v| RegisterRet::Saw(Value::Int(v)))));
        assert!(after(&model, &Value::Int(1), &cas, &refused(None)).is_empty());
        assert_eq!(after(&model, &Value::Int(2), &cas, &refused(None)), [Value::Int(2)]);
        assert_eq!(after(&model, &Value::Int(2), &cas, &refused(Some(2))), [Value::Int(2)]);
        assert!(after(&model, &Value::Int(2), &cas, &refused(Some(3))).is_empty());
        assert!(after(&model, &Value::Int(1), &cas, &refused(Some(1))).is_empty());
    }

    #[test]
    fn what_is_encoded_decodes_to_itself() {
        let v = RegisterVocabulary;
        for op in ops() {
            let call = v.encode_op(&op);
            assert_eq!(v.decode_op(call.f, call.key.as_ref(), &call.value).as_ref(), Ok(&op));
            let rets: Vec<RegisterRet> = match op {
                RegisterOp::Read { .. } => values().map(RegisterRet::Saw).into(),
                RegisterOp::Write { .. } => vec![RegisterRet::Done],
                RegisterOp::Cas { .. } => {
                    values().map(RegisterRet::Saw).into_iter().chain([RegisterRet::Done]).collect()
                }
            };
            for ret in rets {
                assert_eq!(v.decode_ret(&op, &v.encode_ret(&op, &ret)), Ok(ret));
            }
        }
    }

    #[test]
    fn what_is_no_register_operation_is_an_error() {
        let v = RegisterVocabulary;
        assert!(v.decode_op("cas", None, &Value::Int(1)).is_err());
        assert!(v.decode_op("append", None, &Value::Int(1)).is_err());
        assert_eq!(v.decode_op("read", None, &Value::Nil), Ok(RegisterOp::Read { key: Value::Nil }));
    }
}
