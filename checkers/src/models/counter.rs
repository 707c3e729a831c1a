//! Counters: read, added to, and set back, one for each key.
//!
//! An add may answer nothing, the value before it (`fetch-and-add`) or the value after it (`add-and-fetch`).
//! Amounts may be negative. An operation that was refused changed nothing; where it says what it saw, it is
//! a read.
//!
//! Where nothing is set back and all amounts have one sign, the values put everything that saw one in order, and
//! most histories need no search (`chain`, `units`, `sums`). Otherwise the sums of what may have been added by
//! then bound each value (`bounds`), which can refute but never accept; the search decides the rest. It is
//! hard: one read among many different amounts asks for a subset of a given sum.

mod bounds;
mod chain;
mod facts;
mod sums;
mod tell;
#[cfg(test)]
mod tests;
mod units;

use super::{key_column, key_of};
use elenchus_core::model::Model;
use elenchus_core::outcome::{Failure, Outcome};
use elenchus_core::value::Value;
use elenchus_core::workload::{Call, Vocabulary};

/// What a client asks of a counter.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum CounterOp {
    /// What is your value?
    Read {
        /// Which counter.
        key: Value,
    },
    /// Add this to your value.
    Add {
        /// Which counter.
        key: Value,
        /// How much; it may be negative.
        amount: i64,
        /// What the answer tells.
        tells: Tells,
    },
    /// Have this value from now on.
    Reset {
        /// Which counter.
        key: Value,
        /// The value.
        value: i64,
    },
}

/// What the answer to an add tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tells {
    /// That it is done.
    Nothing,
    /// The value before.
    Before,
    /// The value after.
    After,
}

/// What a counter answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CounterRet {
    /// It is done.
    Done,
    /// Its value: now (a read), before or after (an add that tells it).
    Saw(i64),
}

impl CounterOp {
    /// The counter concerned.
    pub fn key(&self) -> &Value {
        match self {
            CounterOp::Read { key } | CounterOp::Add { key, .. } | CounterOp::Reset { key, .. } => key,
        }
    }

    /// The value that the counter had when this operation met it, as far as its outcome tells.
    fn met(&self, outcome: &Outcome<CounterRet>) -> Option<i128> {
        let (refused, saw) = match outcome {
            Outcome::Ok(CounterRet::Saw(value)) => (false, i128::from(*value)),
            Outcome::Fail(Failure::Refused(Some(CounterRet::Saw(value)))) => (true, i128::from(*value)),
            _ => return None,
        };
        match self {
            _ if refused => Some(saw),
            CounterOp::Read { .. } | CounterOp::Add { tells: Tells::Before, .. } => Some(saw),
            CounterOp::Add { amount, tells: Tells::After, .. } => Some(saw - i128::from(*amount)),
            CounterOp::Add { tells: Tells::Nothing, .. } | CounterOp::Reset { .. } => None,
        }
    }

    /// How much it adds.
    fn amount(&self) -> i64 {
        if let CounterOp::Add { amount, .. } = self { *amount } else { 0 }
    }
}

/// The sequential counter: at first it has the value `initial`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counter {
    /// The value that every counter has at first.
    pub initial: i64,
}

impl Model for Counter {
    type Op = CounterOp;
    type Ret = CounterRet;
    type Key = Value;
    /// Wide enough for the sum of as many amounts as a log can hold.
    type State = i128;

    fn init(&self, _key: &Value) -> i128 {
        self.initial.into()
    }

    fn step(
        &self,
        state: &i128,
        op: &CounterOp,
        outcome: &Outcome<CounterRet>,
    ) -> impl IntoIterator<Item = i128> {
        let admitted = op.met(outcome).is_none_or(|met| met == *state);
        admitted.then(|| match op {
            _ if matches!(outcome, Outcome::Fail(_)) => *state,
            CounterOp::Read { .. } => *state,
            CounterOp::Add { amount, .. } => state.wrapping_add((*amount).into()),
            CounterOp::Reset { value, .. } => (*value).into(),
        })
    }

    fn key(&self, op: &CounterOp) -> Value {
        op.key().clone()
    }

    fn describe(&self, op: &CounterOp, outcome: &Outcome<CounterRet>) -> String {
        let what = match (op, outcome) {
            (CounterOp::Read { .. }, Outcome::Ok(CounterRet::Saw(value))) => format!("read {value}"),
            (CounterOp::Read { .. }, _) => "read".to_owned(),
            (CounterOp::Add { amount, tells, .. }, _) => {
                let what = format!("{} {amount}", name(*tells));
                match (tells, outcome) {
                    (Tells::Before | Tells::After, Outcome::Ok(CounterRet::Saw(value))) => {
                        format!("{what} → {value}")
                    }
                    _ => what,
                }
            }
            (CounterOp::Reset { value, .. }, _) => format!("reset to {value}"),
        };
        match outcome {
            Outcome::Ok(_) => what,
            Outcome::Fail(Failure::Refused(Some(CounterRet::Saw(saw)))) => {
                format!("{what} refused, saw {saw}")
            }
            Outcome::Fail(Failure::Refused(_)) => format!("{what} refused"),
            Outcome::Fail(Failure::NotDone(_)) => format!("{what} failed"),
            Outcome::Info(_) => format!("{what} (in doubt)"),
        }
    }

    fn inert(&self, op: &CounterOp, outcome: &Outcome<CounterRet>) -> bool {
        match op {
            CounterOp::Read { .. } => true,
            CounterOp::Add { amount, .. } => *amount == 0 || matches!(outcome, Outcome::Fail(_)),
            CounterOp::Reset { .. } => matches!(outcome, Outcome::Fail(_)),
        }
    }

    fn overwrites(&self, op: &CounterOp) -> bool {
        matches!(op, CounterOp::Reset { .. })
    }

    fn target(&self, op: &CounterOp) -> Option<i128> {
        if let CounterOp::Reset { value, .. } = op { Some((*value).into()) } else { None }
    }

    fn order_free(&self, op: &CounterOp, outcome: &Outcome<CounterRet>) -> bool {
        !matches!(op, CounterOp::Reset { .. }) || matches!(outcome, Outcome::Fail(_))
    }

    fn source(&self, op: &CounterOp, outcome: &Outcome<CounterRet>) -> Option<i128> {
        op.met(outcome)
    }
}

fn name(tells: Tells) -> &'static str {
    match tells {
        Tells::Nothing => "add",
        Tells::Before => "fetch-and-add",
        Tells::After => "add-and-fetch",
    }
}

/// Counters on disk: `read` with value nil, then the value read; `add` with the amount; `fetch-and-add` and
/// `add-and-fetch` with the amount, then the value before or after; `reset` with the value. `increment` and
/// `decrement` (`inc`, `dec`) add one, or take one away, or as much as they say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CounterVocabulary;

impl CounterVocabulary {
    /// The functions that it knows.
    pub const FUNCTIONS: &'static [&'static str] =
        &["read", "add", "fetch-and-add", "add-and-fetch", "reset", "increment", "decrement", "inc", "dec"];
}

impl Vocabulary for CounterVocabulary {
    type Op = CounterOp;
    type Ret = CounterRet;

    fn encode_op(&self, op: &CounterOp) -> Call {
        let (f, value) = match op {
            CounterOp::Read { .. } => ("read", Value::Nil),
            CounterOp::Add { amount, tells, .. } => (name(*tells), Value::Int(*amount)),
            CounterOp::Reset { value, .. } => ("reset", Value::Int(*value)),
        };
        Call { f, key: key_column(op.key()), value }
    }

    fn encode_ret(&self, op: &CounterOp, ret: &CounterRet) -> Value {
        match ret {
            CounterRet::Saw(value) => Value::Int(*value),
            CounterRet::Done => self.encode_op(op).value,
        }
    }

    fn decode_op(&self, f: &str, key: Option<&Value>, value: &Value) -> Result<CounterOp, String> {
        let key = key_of(key);
        let number = || value.as_int().ok_or_else(|| format!("{f} takes a number of 64 bits, not {value}"));
        let step = || if value.is_nil() { Ok(1) } else { number() };
        let add = |amount, tells| Ok(CounterOp::Add { key: key.clone(), amount, tells });
        match f {
            "read" => Ok(CounterOp::Read { key }),
            "reset" => Ok(CounterOp::Reset { value: number()?, key }),
            "add" => add(number()?, Tells::Nothing),
            "fetch-and-add" => add(number()?, Tells::Before),
            "add-and-fetch" => add(number()?, Tells::After),
            "increment" | "inc" => add(step()?, Tells::Nothing),
            "decrement" | "dec" => {
                let amount = step()?.checked_neg().ok_or("nothing takes that much away")?;
                add(amount, Tells::Nothing)
            }
            _ => Err(format!("a counter has no function {f:?}, only {}", Self::FUNCTIONS.join(", "))),
        }
    }

    fn decode_ret(&self, op: &CounterOp, value: &Value) -> Result<CounterRet, String> {
        match op {
            CounterOp::Read { .. } | CounterOp::Add { tells: Tells::Before | Tells::After, .. } => value
                .as_int()
                .map(CounterRet::Saw)
                .ok_or_else(|| format!("a counter answers a number of 64 bits, not {value}")),
            CounterOp::Add { .. } | CounterOp::Reset { .. } => Ok(CounterRet::Done),
        }
    }
}
