//! A key-value store, key by key: get, put, append, compare-and-set, delete.
//!
//! Every key holds a value, `initial` until something else is put there and again after a delete. An append
//! joins its text to the end of what the key holds: to a string its characters; to nil, nothing but
//! itself; to any other value, the text of that (as Redis does).
//!
//! A refused cas is an observation: the key held something else, and, where the system says what it saw,
//! exactly that.

mod rope;
mod tell;
mod unique;

use super::register::NilReads;
use super::{heap, key_column, key_of};
use elenchus_core::model::Model;
use elenchus_core::operation::Operation;
use elenchus_core::outcome::{Failure, Outcome};
use elenchus_core::value::Value;
use elenchus_core::workload::{Call, Vocabulary};
use rope::Rope;

/// What a client asks of a key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum KvOp {
    /// What does it hold?
    Get {
        /// Which key.
        key: Value,
    },
    /// Hold this from now on.
    Put {
        /// Which key.
        key: Value,
        /// What it shall hold.
        value: Value,
    },
    /// Hold what you hold, and this after it.
    Append {
        /// Which key.
        key: Value,
        /// What shall be joined to its end.
        piece: Box<str>,
    },
    /// Hold `to` if you hold `from`, else decline.
    Cas {
        /// Which key.
        key: Value,
        /// What it must hold.
        from: Value,
        /// What it shall hold.
        to: Value,
    },
    /// Be as you were at first.
    Delete {
        /// Which key.
        key: Value,
    },
}

/// What a key answers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum KvRet {
    /// It holds (a get) or held (a refused cas) this.
    Saw(Value),
    /// It is done.
    Done,
}

impl KvOp {
    /// The key concerned.
    pub fn key(&self) -> &Value {
        match self {
            KvOp::Get { key }
            | KvOp::Put { key, .. }
            | KvOp::Append { key, .. }
            | KvOp::Cas { key, .. }
            | KvOp::Delete { key } => key,
        }
    }
}

/// What a key holds. Cheap to copy, and to extend by an append.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct KvState(Held);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Held {
    /// A string.
    Text(Rope),
    /// Anything but a string.
    Other(Value),
}

impl KvState {
    /// A key that holds this.
    pub fn new(value: &Value) -> KvState {
        KvState(match value {
            Value::Str(text) => Held::Text(Rope::new(text)),
            other => Held::Other(other.clone()),
        })
    }

    fn is(&self, value: &Value) -> bool {
        match (&self.0, value) {
            (Held::Text(rope), Value::Str(text)) => rope.is(text),
            (Held::Other(held), value) => held == value,
            (Held::Text(_), _) => false,
        }
    }

    /// What it is, as a get answers it.
    pub fn value(&self) -> Value {
        match &self.0 {
            Held::Text(rope) => Value::Str(rope.to_string().into()),
            Held::Other(value) => value.clone(),
        }
    }

    fn with(&self, piece: &str) -> KvState {
        KvState(Held::Text(match &self.0 {
            Held::Text(rope) => rope.with(piece),
            Held::Other(Value::Nil) => Rope::new(piece),
            Held::Other(value) => Rope::new(&value.to_string()).with(piece),
        }))
    }
}

/// The sequential store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kv {
    /// What every key holds at first, and after a delete.
    pub initial: Value,
    /// How an `ok` get of nil counts.
    pub nil_reads: NilReads,
}

impl Default for Kv {
    fn default() -> Kv {
        Kv { initial: Value::Nil, nil_reads: NilReads::SawNil }
    }
}

impl Model for Kv {
    type Op = KvOp;
    type Ret = KvRet;
    type Key = Value;
    type State = KvState;

    fn init(&self, _key: &Value) -> KvState {
        KvState::new(&self.initial)
    }

    fn step(
        &self,
        state: &KvState,
        op: &KvOp,
        outcome: &Outcome<KvRet>,
    ) -> impl IntoIterator<Item = KvState> {
        let refused = matches!(outcome, Outcome::Fail(_));
        match op {
            KvOp::Get { .. } => self.admits_get(state, outcome).then(|| state.clone()),
            KvOp::Cas { from, .. } if refused => {
                let seen = match outcome {
                    Outcome::Fail(Failure::Refused(Some(KvRet::Saw(saw)))) => state.is(saw),
                    _ => true,
                };
                (seen && !state.is(from)).then(|| state.clone())
            }
            _ if refused => None,
            KvOp::Put { value, .. } => Some(KvState::new(value)),
            KvOp::Append { piece, .. } => Some(state.with(piece)),
            KvOp::Cas { from, to, .. } => state.is(from).then(|| KvState::new(to)),
            KvOp::Delete { .. } => Some(KvState::new(&self.initial)),
        }
    }

    fn key(&self, op: &KvOp) -> Value {
        op.key().clone()
    }

    fn describe(&self, op: &KvOp, outcome: &Outcome<KvRet>) -> String {
        let what = match (op, outcome) {
            (KvOp::Get { .. }, Outcome::Ok(KvRet::Saw(value))) => format!("get {value}"),
            (KvOp::Get { .. }, _) => "get".to_owned(),
            (KvOp::Put { value, .. }, _) => format!("put {value}"),
            (KvOp::Append { piece, .. }, _) => format!("append {}", Value::str(piece)),
            (KvOp::Cas { from, to, .. }, _) => format!("cas {from} → {to}"),
            (KvOp::Delete { .. }, _) => "delete".to_owned(),
        };
        match outcome {
            Outcome::Ok(_) => what,
            Outcome::Fail(Failure::Refused(Some(KvRet::Saw(saw)))) => format!("{what} refused, saw {saw}"),
            Outcome::Fail(Failure::Refused(_)) => format!("{what} refused"),
            Outcome::Fail(Failure::NotDone(_)) => format!("{what} failed"),
            Outcome::Info(_) => format!("{what} (in doubt)"),
        }
    }

    fn inert(&self, op: &KvOp, outcome: &Outcome<KvRet>) -> bool {
        match op {
            KvOp::Get { .. } => true,
            KvOp::Cas { from, to, .. } => from == to || matches!(outcome, Outcome::Fail(_)),
            _ => matches!(outcome, Outcome::Fail(_)),
        }
    }

    fn overwrites(&self, op: &KvOp) -> bool {
        matches!(op, KvOp::Put { .. } | KvOp::Delete { .. })
    }

    fn target(&self, op: &KvOp) -> Option<KvState> {
        match op {
            KvOp::Put { value, .. } | KvOp::Cas { to: value, .. } => Some(KvState::new(value)),
            KvOp::Delete { .. } => Some(KvState::new(&self.initial)),
            KvOp::Get { .. } | KvOp::Append { .. } => None,
        }
    }

    fn source(&self, op: &KvOp, outcome: &Outcome<KvRet>) -> Option<KvState> {
        self.saw(op, outcome).map(KvState::new)
    }

    fn grows(&self, op: &KvOp, outcome: &Outcome<KvRet>) -> bool {
        matches!(op, KvOp::Append { .. }) && !matches!(outcome, Outcome::Fail(_))
    }

    fn grows_into(&self, state: &KvState, later: &KvState) -> bool {
        match (&state.0, &later.0) {
            (Held::Text(text), Held::Text(later)) => later.starts_with(text),
            (Held::Other(Value::Nil), Held::Text(_)) => true,
            (Held::Other(value), Held::Text(later)) => later.starts_with(&Rope::new(&value.to_string())),
            (value, later) => value == later,
        }
    }

    fn weight(&self, state: &KvState) -> usize {
        let behind = match &state.0 {
            Held::Text(rope) => rope.weight(),
            Held::Other(value) => heap(value),
        };
        size_of::<KvState>() + behind
    }
}

impl Kv {
    /// Whether a get that returned this saw it.
    fn is_seen(&self, value: &Value) -> bool {
        !(value.is_nil() && self.nil_reads == NilReads::SawNothing)
    }

    /// The only value that the key can have held when the operation ended so, if there is only one.
    fn saw<'h>(&self, op: &'h KvOp, outcome: &'h Outcome<KvRet>) -> Option<&'h Value> {
        match (op, outcome) {
            (KvOp::Get { .. }, Outcome::Ok(KvRet::Saw(value))) => self.is_seen(value).then_some(value),
            (KvOp::Cas { from, .. }, Outcome::Ok(_) | Outcome::Info(_)) => Some(from),
            (KvOp::Cas { .. }, Outcome::Fail(Failure::Refused(Some(KvRet::Saw(value))))) => Some(value),
            _ => None,
        }
    }

    fn admits_get(&self, state: &KvState, outcome: &Outcome<KvRet>) -> bool {
        match outcome {
            Outcome::Ok(KvRet::Saw(value)) => state.is(value) || !self.is_seen(value),
            // A get cannot be declined because of what the key holds.
            Outcome::Ok(KvRet::Done) | Outcome::Info(_) | Outcome::Fail(_) => true,
        }
    }
}

/// Reads a cas that plainly failed as one that was refused, having seen another value.
pub fn failed_cas_is_refused(operation: &mut Operation<KvOp, KvRet>) {
    if matches!(operation.op, KvOp::Cas { .. })
        && matches!(operation.outcome, Outcome::Fail(Failure::NotDone(_)))
    {
        operation.outcome = Outcome::Fail(Failure::Refused(None));
    }
}

/// Stores on disk: `get` with value nil, then what was got; `put` with its value; `append` with a string;
/// `cas` with `[from to]`; `delete` with value nil. A completion without an answer of its own repeats the
/// arguments, as Jepsen's do. A `delete` or a `get` that ended `fail` did nothing and saw nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KvVocabulary;

impl Vocabulary for KvVocabulary {
    type Op = KvOp;
    type Ret = KvRet;

    fn encode_op(&self, op: &KvOp) -> Call {
        let (f, value) = match op {
            KvOp::Get { .. } => ("get", Value::Nil),
            KvOp::Put { value, .. } => ("put", value.clone()),
            KvOp::Append { piece, .. } => ("append", Value::str(piece)),
            KvOp::Cas { from, to, .. } => ("cas", Value::vector([from.clone(), to.clone()])),
            KvOp::Delete { .. } => ("delete", Value::Nil),
        };
        Call { f, key: key_column(op.key()), value }
    }

    fn encode_ret(&self, op: &KvOp, ret: &KvRet) -> Value {
        match ret {
            KvRet::Saw(value) => value.clone(),
            KvRet::Done => self.encode_op(op).value,
        }
    }

    fn decode_op(&self, f: &str, key: Option<&Value>, value: &Value) -> Result<KvOp, String> {
        let key = key_of(key);
        match (f, value) {
            ("get", _) => Ok(KvOp::Get { key }),
            ("put", _) => Ok(KvOp::Put { key, value: value.clone() }),
            ("append", Value::Str(piece)) => Ok(KvOp::Append { key, piece: piece.clone() }),
            ("append", _) => Err(format!("an append takes a string, not {value}")),
            ("cas", _) => match value.as_items() {
                Some([from, to]) => Ok(KvOp::Cas { key, from: from.clone(), to: to.clone() }),
                _ => Err(format!("a cas takes [from to], not {value}")),
            },
            ("delete", _) => Ok(KvOp::Delete { key }),
            _ => Err(format!("a store has no function {f:?}, only get, put, append, cas and delete")),
        }
    }

    fn decode_ret(&self, op: &KvOp, value: &Value) -> Result<KvRet, String> {
        Ok(match op {
            KvOp::Get { .. } => KvRet::Saw(value.clone()),
            KvOp::Put { .. } | KvOp::Append { .. } | KvOp::Delete { .. } => KvRet::Done,
            KvOp::Cas { from, to, .. } => match value.as_items() {
                Some([a, b]) if a == from && b == to => KvRet::Done,
                _ => KvRet::Saw(value.clone()),
            },
        })
    }

    fn decode_ok(&self, op: &KvOp, value: &Value) -> Result<KvRet, String> {
        match (op, value) {
            (KvOp::Cas { .. }, Value::Bool(false)) => {
                Err("a cas that was declined is recorded as fail, not as ok with the answer false".to_owned())
            }
            (KvOp::Cas { .. }, _) => Ok(KvRet::Done),
            _ => self.decode_ret(op, value),
        }
    }
}

#[cfg(test)]
mod small_tests;

#[cfg(test)]
mod tests {
    use super::*;

    fn values() -> [Value; 5] {
        [Value::Nil, Value::str(""), Value::str("a"), Value::str("ab"), Value::Int(1)]
    }

    fn ops() -> Vec<KvOp> {
        let key = Value::Int(9);
        let mut ops = vec![KvOp::Get { key: key.clone() }, KvOp::Delete { key: key.clone() }];
        ops.extend(["", "a", "b"].map(|piece| KvOp::Append { key: key.clone(), piece: piece.into() }));
        for a in values() {
            ops.push(KvOp::Put { key: key.clone(), value: a.clone() });
            ops.extend(values().map(|to| KvOp::Cas { key: key.clone(), from: a.clone(), to }));
        }
        ops
    }

    fn outcomes() -> Vec<Outcome<KvRet>> {
        let mut all = vec![
            Outcome::Ok(KvRet::Done),
            Outcome::Fail(Failure::Refused(None)),
            Outcome::Fail(Failure::Refused(Some(KvRet::Done))),
            Outcome::info("timeout"),
        ];
        for value in values() {
            all.push(Outcome::Ok(KvRet::Saw(value.clone())));
            all.push(Outcome::Fail(Failure::Refused(Some(KvRet::Saw(value)))));
        }
        all
    }

    fn models() -> [Kv; 3] {
        let nothing = Kv { initial: Value::Nil, nil_reads: NilReads::SawNothing };
        [Kv::default(), Kv { initial: Value::str(""), ..Kv::default() }, nothing]
    }

    fn after(model: &Kv, state: &KvState, op: &KvOp, outcome: &Outcome<KvRet>) -> Vec<KvState> {
        model.step(state, op, outcome).into_iter().collect()
    }

    #[test]
    fn no_state_refutes_the_hints() {
        let states = || values().map(|value| KvState::new(&value));
        for model in models() {
            for op in ops() {
                for outcome in outcomes() {
                    for state in states() {
                        let after = after(&model, &state, &op, &outcome);
                        if model.inert(&op, &outcome) {
                            assert!(after.iter().all(|s| *s == state), "{op:?} {outcome:?} from {state:?}");
                        }
                        if model.source(&op, &outcome).is_some_and(|source| source != state) {
                            assert!(after.is_empty(), "{op:?} {outcome:?} from {state:?}");
                        }
                        if model.grows(&op, &outcome) {
                            let grown = |s: &KvState| model.grows_into(&state, s);
                            assert!(!after.is_empty() && after.iter().all(grown), "{op:?} from {state:?}");
                        }
                        if let Some(target) = model.target(&op) {
                            assert!(after.iter().all(|s| *s == state || *s == target), "{op:?} {outcome:?}");
                        }
                    }
                    if model.overwrites(&op) && !matches!(outcome, Outcome::Fail(_)) {
                        let of = states().map(|state| self::after(&model, &state, &op, &outcome));
                        assert!(of.iter().all(|s| s.len() == 1 && *s == of[0]), "{op:?} {outcome:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn what_grows_into_another_grows_into_whatever_that_grows_into() {
        let texts = ["", "a", "b", "ab", "aba", "1", "12", "nil"].map(Value::str);
        let others = [Value::Nil, Value::Int(1), Value::Int(12)];
        let states: Vec<KvState> = texts.iter().chain(&others).map(KvState::new).collect();
        let grows_into = |a: &KvState, b: &KvState| Kv::default().grows_into(a, b);
        let mut pairs = 0;
        for a in &states {
            assert!(grows_into(a, a));
            for b in states.iter().filter(|b| grows_into(a, b)) {
                assert!(states.iter().all(|c| !grows_into(b, c) || grows_into(a, c)), "{a:?} {b:?}");
                pairs += 1;
            }
        }
        // Itself, eleven; of the empty text and of nil the others; of "a", "ab", "1", 1 and 12 what begins so.
        assert_eq!(pairs, 11 + 7 + 8 + 2 + 1 + 1 + 2 + 1);
    }

    #[test]
    fn an_append_joins_to_whatever_is_there() {
        let joined = |held: Value, piece| {
            let append = KvOp::Append { key: Value::Nil, piece: Box::from(piece) };
            let after = after(&Kv::default(), &KvState::new(&held), &append, &Outcome::Ok(KvRet::Done));
            after.into_iter().next().expect("an append always succeeds")
        };
        assert!(joined(Value::str("ab"), "c").is(&Value::str("abc")));
        assert!(joined(Value::Nil, "c").is(&Value::str("c")));
        assert!(joined(Value::Int(12), "c").is(&Value::str("12c")));
        assert_eq!(joined(Value::str("ab"), "c"), joined(Value::str("a"), "bc"));
    }

    #[test]
    fn what_is_encoded_decodes_to_itself() {
        let v = KvVocabulary;
        for op in ops() {
            let call = v.encode_op(&op);
            assert_eq!(v.decode_op(call.f, call.key.as_ref(), &call.value).as_ref(), Ok(&op));
            let ret = match op {
                KvOp::Get { .. } => KvRet::Saw(Value::str("a")),
                _ => KvRet::Done,
            };
            assert_eq!(v.decode_ret(&op, &v.encode_ret(&op, &ret)), Ok(ret));
        }
        assert!(v.decode_op("append", None, &Value::Int(3)).is_err());
        assert!(v.decode_op("cas", None, &Value::Int(3)).is_err());
        assert!(v.decode_op("incr", None, &Value::Nil).is_err());
    }
}
