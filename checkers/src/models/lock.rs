//! What mutexes and semaphores are asked and answer, and who holds them.
//!
//! Every operation names a [`Holder`]: an owner, and which of the owner's holds it begins or ends. A lock
//! without owners is one where all operations name the same. Logs seldom say who the holder is;
//! [`held_by_processes`], [`paired`] and [`paired_permits`] find it out from the processes.
//!
//! | module | what it does |
//! |---|---|
//! | `holds` | from when to when a lock must be held: the near-linear test |
//! | `room` | whether holds leave each other room |
//! | `alternation` | locks without owners: acquires and releases in turn |
//! | `tokens` | fencing tokens |
//! | `tell` | the words |

pub(super) mod alternation;
pub(super) mod holds;
mod pairing;
pub(super) mod room;
pub(super) mod tell;
pub(super) mod tokens;

pub use pairing::{held_by_processes, paired, paired_permits};

use super::{heap, key_column, key_of};
use elenchus_core::outcome::{Failure, Outcome};
use elenchus_core::value::Value;
use elenchus_core::workload::{Call, Vocabulary};

/// What a client asks of a lock.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LockOp {
    /// Which lock.
    pub key: Value,
    /// What to do.
    pub action: Action,
    /// Who holds it after an acquire, and must hold it before a release.
    pub holder: Holder,
    /// How many permits, of a semaphore; a mutex has one.
    pub permits: u32,
}

/// What can be done with a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Hold it from now on.
    Acquire,
    /// Hold it no longer.
    Release,
}

/// One hold of one owner.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Holder {
    /// Who; `nil` where a lock knows no owners.
    pub owner: Value,
    /// Which of the owner's holds, from 1, where it is known; else 0.
    pub hold: u32,
}

/// What a lock answers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum LockRet {
    /// It is done.
    Done,
    /// It is acquired, under this fencing token.
    Fence(i64),
    /// It is not done: there are not enough permits (an acquire), or the asker does not hold it (a release).
    Declined,
}

impl Holder {
    /// The one holder of a lock that knows no owners.
    pub const ANYBODY: Holder = Holder { owner: Value::Nil, hold: 0 };

    /// An owner whose holds are not told apart.
    pub fn of(owner: Value) -> Holder {
        Holder { owner, hold: 0 }
    }

    /// Bytes that this occupies, heap included.
    pub(super) fn weight(&self) -> usize {
        size_of::<Holder>() + heap(&self.owner)
    }
}

impl LockOp {
    /// Acquires one permit.
    pub fn acquire(key: Value, holder: Holder) -> LockOp {
        LockOp { key, action: Action::Acquire, holder, permits: 1 }
    }

    /// Releases one permit.
    pub fn release(key: Value, holder: Holder) -> LockOp {
        LockOp { key, action: Action::Release, holder, permits: 1 }
    }

    /// The operation of a fenced lock in plain notation.
    pub(super) fn describe_fenced(&self, outcome: &Outcome<LockRet>) -> String {
        let what = self.describe(outcome);
        match fence(outcome) {
            Some(fence) => format!("{what} (token {fence})"),
            None => what,
        }
    }

    /// The operation in plain notation.
    pub(super) fn describe(&self, outcome: &Outcome<LockRet>) -> String {
        let mut what = match self.action {
            Action::Acquire => "acquire".to_owned(),
            Action::Release => "release".to_owned(),
        };
        if self.permits != 1 {
            what += &format!(" {}", self.permits);
        }
        match outcome {
            Outcome::Ok(LockRet::Fence(_) | LockRet::Done) => what,
            Outcome::Ok(LockRet::Declined) | Outcome::Fail(Failure::Refused(_)) => format!("{what} refused"),
            Outcome::Fail(Failure::NotDone(_)) => format!("{what} failed"),
            Outcome::Info(_) => format!("{what} (in doubt)"),
        }
    }
}

/// What an operation does to a lock if it happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    Acquire,
    Release,
    /// Nothing; there were too few permits.
    SawBusy,
    /// Nothing; the asker did not hold what it wanted to release.
    SawNotHeld,
}

/// The effect of an operation that ended so.
pub(super) fn effect(op: &LockOp, outcome: &Outcome<LockRet>) -> Effect {
    let declined = matches!(outcome, Outcome::Ok(LockRet::Declined) | Outcome::Fail(_));
    match (op.action, declined) {
        (Action::Acquire, false) => Effect::Acquire,
        (Action::Release, false) => Effect::Release,
        (Action::Acquire, true) => Effect::SawBusy,
        (Action::Release, true) => Effect::SawNotHeld,
    }
}

/// The token under which an acquire succeeded, if it says so.
pub(super) fn fence(outcome: &Outcome<LockRet>) -> Option<i64> {
    match outcome {
        Outcome::Ok(LockRet::Fence(fence)) => Some(*fence),
        _ => None,
    }
}

/// Locks on disk: `acquire` and `release`. Their value is nil, a number of permits, or a map with `:owner` (or
/// `:client`) and `:permits`; any other text names the request and says nothing. A completion's value is a
/// fencing token (an integer, or a map with `:fence`), `false` for a request that was declined, or nothing of
/// interest. A `fail` did nothing for whatever reason, unless it says that it was refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LockVocabulary {
    /// Whether acquires are answered with fencing tokens. Elsewhere an integer says no more than `nil`: most
    /// often it repeats how many permits were asked for.
    pub fenced: bool,
}

const EXPECTED: &str = "nil, a number of permits from 1 on, or a map with :owner and :permits";

impl Vocabulary for LockVocabulary {
    type Op = LockOp;
    type Ret = LockRet;

    fn encode_op(&self, op: &LockOp) -> Call {
        let f = match op.action {
            Action::Acquire => "acquire",
            Action::Release => "release",
        };
        let permits = Value::Int(i64::from(op.permits));
        let fields = [
            ("owner", op.holder.owner.clone(), op.holder.owner.is_nil()),
            ("hold", Value::Int(i64::from(op.holder.hold)), op.holder.hold == 0),
            ("permits", permits.clone(), op.permits == 1),
        ];
        let said: Vec<_> = fields.into_iter().filter(|(_, _, usual)| !usual).collect();
        let value = match &said[..] {
            [] => Value::Nil,
            [("permits", ..)] => permits,
            _ => Value::Map(said.into_iter().map(|(name, value, _)| (Value::keyword(name), value)).collect()),
        };
        Call { f, key: key_column(&op.key), value }
    }

    fn encode_ret(&self, op: &LockOp, ret: &LockRet) -> Value {
        match ret {
            LockRet::Done => self.encode_op(op).value,
            LockRet::Fence(fence) => Value::Map([(Value::keyword("fence"), Value::Int(*fence))].into()),
            LockRet::Declined => Value::Bool(false),
        }
    }

    fn decode_op(&self, f: &str, key: Option<&Value>, value: &Value) -> Result<LockOp, String> {
        let action = match f {
            "acquire" => Action::Acquire,
            "release" => Action::Release,
            _ => return Err(format!("a lock has no function {f:?}, only acquire and release")),
        };
        let wrong = || format!("{f} takes {EXPECTED}, not {value}");
        let (holder, permits) = match value {
            Value::Int(_) => (Holder::ANYBODY, Some(value)),
            Value::Map(_) => {
                let owner = field(value, "owner").or_else(|| field(value, "client")).cloned();
                let hold = field(value, "hold").map_or(Some(0), |hold| u32::try_from(hold.as_int()?).ok());
                (
                    Holder { owner: owner.unwrap_or(Value::Nil), hold: hold.ok_or_else(wrong)? },
                    field(value, "permits"),
                )
            }
            Value::Nil => (Holder::ANYBODY, None),
            text if text.as_text().is_some() => (Holder::ANYBODY, None),
            _ => return Err(wrong()),
        };
        let permits = match permits {
            None => 1,
            Some(value) => {
                let count = value.as_int().and_then(|n| u32::try_from(n).ok());
                count.filter(|count| *count > 0).ok_or_else(wrong)?
            }
        };
        Ok(LockOp { key: key_of(key), action, holder, permits })
    }

    fn decode_ret(&self, op: &LockOp, value: &Value) -> Result<LockRet, String> {
        if *value == self.encode_op(op).value {
            return Ok(LockRet::Done);
        }
        Ok(match (value, field(value, "fence")) {
            (Value::Bool(false), _) => LockRet::Declined,
            _ if !self.fenced => LockRet::Done,
            (Value::Int(fence), _) | (_, Some(Value::Int(fence))) => LockRet::Fence(*fence),
            (_, Some(other)) => return Err(format!("a fencing token is an integer, not {other}")),
            _ => LockRet::Done,
        })
    }
}

/// What a map holds under this name.
fn field<'v>(value: &'v Value, name: &str) -> Option<&'v Value> {
    let Value::Map(pairs) = value else { return None };
    pairs.iter().find(|(key, _)| key.as_text() == Some(name)).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_decodes_to_itself() {
        let v = LockVocabulary { fenced: true };
        for owner in [Value::Nil, Value::Int(3), Value::str("n1")] {
            for (hold, permits) in [(0, 1), (0, 7), (2, 1), (2, 7)] {
                let holder = Holder { owner: owner.clone(), hold };
                for action in [Action::Acquire, Action::Release] {
                    let op = LockOp { key: Value::Int(9), action, holder: holder.clone(), permits };
                    let call = v.encode_op(&op);
                    assert_eq!(v.decode_op(call.f, call.key.as_ref(), &call.value).as_ref(), Ok(&op));
                    for ret in [LockRet::Done, LockRet::Fence(7), LockRet::Declined] {
                        assert_eq!(v.decode_ret(&op, &v.encode_ret(&op, &ret)), Ok(ret));
                    }
                }
            }
        }
    }

    #[test]
    fn the_forms_of_other_tools_are_read() {
        let v = LockVocabulary { fenced: true };
        let client = Value::Map([(Value::keyword("client"), Value::str("hz-1"))].into());
        let named = v.decode_op("release", None, &client).expect("a client is an owner");
        assert_eq!(named.holder, Holder::of(Value::str("hz-1")));
        let request = v.decode_op("acquire", None, &Value::str("5f2c")).expect("a request may have a name");
        assert_eq!(request, LockOp::acquire(Value::Nil, Holder::ANYBODY));
        assert_eq!(v.decode_ret(&request, &Value::Int(12)), Ok(LockRet::Fence(12)));
    }

    #[test]
    fn only_a_fenced_lock_has_tokens() {
        let v = LockVocabulary::default();
        for asked in [Value::Nil, Value::Int(1), Value::Int(2)] {
            let op = v.decode_op("acquire", None, &asked).expect("a number of permits");
            assert_eq!(v.decode_ret(&op, &Value::Int(1)), Ok(LockRet::Done));
            assert_eq!(v.decode_ret(&op, &Value::Bool(false)), Ok(LockRet::Declined));
            assert!(!op.describe(&Outcome::Ok(LockRet::Fence(1))).contains("token"));
        }
    }

    #[test]
    fn nonsense_is_named() {
        let v = LockVocabulary { fenced: true };
        for value in [Value::Int(0), Value::Int(-1), Value::Bool(true), Value::vector([])] {
            assert!(v.decode_op("acquire", None, &value).expect_err("nonsense").contains("permits"));
        }
        assert!(v.decode_op("lock", None, &Value::Nil).expect_err("nonsense").contains("lock"));
    }
}
