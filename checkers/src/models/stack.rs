//! Stacks: what was pushed last is popped first.
//!
//! Where every value is pushed once, `bottoms` knows the answer without search, over `layers` and
//! `stabbing`; `gone` says by when a value must have been popped that nobody says to have popped, and `crossing`
//! why a history has no linearization. The state is a list that shares its tail with those it
//! grew from ([`Pile`]).

mod bottoms;
mod crossing;
mod gone;
mod layers;
mod relaxing;
mod stabbing;
mod state;
#[cfg(test)]
mod tests;

pub use state::Pile;

use super::lives::cores::reduced;
use super::lives::words::{Story, Words};
use super::lives::{Ask, Deed, Fact, Halt, Judgement, Lives, Seen};
use super::{heap, key_column, key_of};
use crate::linearizability::{Case, Insight, Shortcut, Task, Telling};
use elenchus_core::model::Model;
use elenchus_core::outcome::{Failure, Outcome};
use elenchus_core::value::Value;
use elenchus_core::workload::{Call, Vocabulary};

/// What a client asks of a stack.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum StackOp {
    /// Put this on top.
    Push {
        /// Which stack.
        key: Value,
        /// What is put there.
        value: Value,
    },
    /// Remove what is on top, and say what it was.
    Pop {
        /// Which stack.
        key: Value,
    },
    /// What is on top?
    Peek {
        /// Which stack.
        key: Value,
    },
}

/// What a stack answers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum StackRet {
    /// It is done.
    Done,
    /// This was on top.
    Top(Value),
    /// Nothing was on it.
    Empty,
}

impl StackOp {
    /// The stack concerned.
    pub fn key(&self) -> &Value {
        match self {
            StackOp::Push { key, .. } | StackOp::Pop { key } | StackOp::Peek { key } => key,
        }
    }
}

/// The sequential stack: it holds what was pushed and not popped yet, at first `initial`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stack {
    /// What every stack holds at first, from the bottom to the top.
    pub initial: Vec<Value>,
}

impl Stack {
    /// A stack that holds the items of a list at first, the last one on top.
    ///
    /// # Errors
    /// What was expected, if this is not a list.
    pub fn holding(initial: &Value) -> Result<Stack, String> {
        match initial {
            Value::Nil => Ok(Stack::default()),
            Value::Vector(items) | Value::List(items) if !items.iter().any(Value::is_nil) => {
                Ok(Stack { initial: items.to_vec() })
            }
            _ => Err(format!(
                "a stack starts with a list of values, none nil, the top one last, not {initial}"
            )),
        }
    }
}

/// What an operation did to the stack.
fn deed<'h>(op: &'h StackOp, outcome: &'h Outcome<StackRet>) -> Deed<&'h Value> {
    if let (StackOp::Push { .. }, Outcome::Fail(_)) = (op, outcome) {
        // A stack with bounds may be full, and does not say them: it changed nothing and says nothing.
        return Deed::Look(Seen::Unknown);
    }
    let seen = match outcome {
        Outcome::Info(_) => Seen::Unknown,
        Outcome::Ok(StackRet::Top(value)) | Outcome::Fail(Failure::Refused(Some(StackRet::Top(value)))) => {
            Seen::Value(value)
        }
        Outcome::Ok(StackRet::Empty) | Outcome::Fail(Failure::Refused(Some(StackRet::Empty) | None)) => {
            Seen::Nothing
        }
        Outcome::Ok(StackRet::Done) | Outcome::Fail(_) => match op {
            StackOp::Push { value, .. } if outcome.is_ok() => return Deed::Add(value),
            _ => return Deed::Impossible,
        },
    };
    match op {
        StackOp::Push { value, .. } if seen == Seen::Unknown => Deed::Add(value),
        StackOp::Push { .. } => Deed::Impossible,
        StackOp::Pop { .. } if outcome.is_ok() || outcome.is_info() => Deed::Take(seen),
        // Refused: it saw what was there and left it.
        StackOp::Pop { .. } | StackOp::Peek { .. } => Deed::Look(seen),
    }
}

fn asks(op: &StackOp) -> Ask<&Value> {
    match op {
        StackOp::Push { value, .. } => Ask::Add(value),
        StackOp::Pop { .. } => Ask::Take,
        StackOp::Peek { .. } => Ask::Look,
    }
}

impl Model for Stack {
    type Op = StackOp;
    type Ret = StackRet;
    type Key = Value;
    type State = Pile;

    fn init(&self, _key: &Value) -> Pile {
        self.initial.iter().cloned().collect()
    }

    fn step(
        &self,
        state: &Pile,
        op: &StackOp,
        outcome: &Outcome<StackRet>,
    ) -> impl IntoIterator<Item = Pile> {
        let is_there = |seen: Seen<&Value>| match seen {
            Seen::Value(value) => state.top() == Some(value),
            Seen::Nothing => state.is_empty(),
            Seen::Unknown => true,
        };
        match deed(op, outcome) {
            Deed::Add(value) => Some(state.with(value.clone())),
            Deed::Take(seen) => is_there(seen).then(|| state.below()),
            Deed::Look(seen) => is_there(seen).then(|| state.clone()),
            Deed::Impossible => None,
        }
    }

    fn key(&self, op: &StackOp) -> Value {
        op.key().clone()
    }

    fn describe(&self, op: &StackOp, outcome: &Outcome<StackRet>) -> String {
        let what = match op {
            StackOp::Push { value, .. } => format!("push {value}"),
            StackOp::Pop { .. } => "pop".to_owned(),
            StackOp::Peek { .. } => "peek".to_owned(),
        };
        match outcome {
            Outcome::Ok(StackRet::Done) => what,
            Outcome::Ok(StackRet::Top(value)) => format!("{what} {value}"),
            Outcome::Ok(StackRet::Empty) => format!("{what} nothing"),
            Outcome::Fail(Failure::Refused(Some(StackRet::Top(value)))) => {
                format!("{what} refused, saw {value}")
            }
            Outcome::Fail(Failure::Refused(_)) => format!("{what} refused"),
            Outcome::Fail(Failure::NotDone(_)) => format!("{what} failed"),
            Outcome::Info(_) => format!("{what} (in doubt)"),
        }
    }

    fn inert(&self, op: &StackOp, outcome: &Outcome<StackRet>) -> bool {
        matches!(deed(op, outcome), Deed::Look(_) | Deed::Take(Seen::Nothing) | Deed::Impossible)
    }

    fn source(&self, op: &StackOp, outcome: &Outcome<StackRet>) -> Option<Pile> {
        let empty = matches!(deed(op, outcome), Deed::Look(Seen::Nothing) | Deed::Take(Seen::Nothing));
        empty.then(Pile::default)
    }

    fn weight(&self, state: &Pile) -> usize {
        // Its own element; the others belong to the states that it grew from.
        size_of::<Pile>() + state.top().map_or(0, |value| size_of::<Value>() + heap(value) + 48)
    }
}

const WORDS: Words =
    Words { object: "stack", added: "pushed", taken: "popped", seen: "on top", twice: "double-pop" };

impl Insight for Stack {
    fn shortcut(&self, tasks: &[Task<'_, Stack>]) -> Option<Shortcut> {
        let initial: Vec<&Value> = self.initial.iter().collect();
        let facts = tasks.iter().map(|task| Fact {
            deed: deed(task.op, task.outcome),
            call: task.call,
            done: task.done,
            id: task.id,
            asks: asks(task.op),
        });
        match judge(&initial, facts.clone()) {
            Judgement::Linearizable => Some(Shortcut::Linearizable),
            Judgement::Open => None,
            Judgement::Refuted(core) => {
                Some(Shortcut::Refuted(reduced(&initial, facts, core, |initial, facts| {
                    matches!(judge(initial, facts.iter().copied()), Judgement::Refuted(_))
                })))
            }
        }
    }

    fn key_text(&self, key: &Value) -> Option<String> {
        (!key.is_nil()).then(|| key.to_string())
    }

    fn tell(&self, case: &Case<'_, Stack>) -> Telling {
        let initial: Vec<&Value> = self.initial.iter().collect();
        let story = Story {
            model: self,
            case,
            words: &WORDS,
            deed: &|operation| deed(&operation.op, &operation.outcome),
            initial: &initial,
            first_out: &|story, lower, upper| {
                story.lies_below(lower, upper).then(|| format!("was pushed after {lower}"))
            },
        };
        story.tell()
    }
}

fn judge<'v>(
    initial: &[&'v Value],
    facts: impl ExactSizeIterator<Item = Fact<&'v Value>> + Clone,
) -> Judgement {
    match Lives::new(initial, facts) {
        Ok(lives) => bottoms::judge(&lives),
        Err(Halt::Ambiguous) => Judgement::Open,
        Err(Halt::Refuted(core)) => Judgement::Refuted(core),
    }
}

/// Stacks on disk: `push` with its value; `pop` and `peek` (also `top`) with value nil, then what was
/// popped or seen. An `ok` pop or peek of nil found the stack empty, so nil itself cannot be pushed. A
/// `fail` did nothing and says nothing, as always.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StackVocabulary;

impl Vocabulary for StackVocabulary {
    type Op = StackOp;
    type Ret = StackRet;

    fn encode_op(&self, op: &StackOp) -> Call {
        let (f, value) = match op {
            StackOp::Push { value, .. } => ("push", value.clone()),
            StackOp::Pop { .. } => ("pop", Value::Nil),
            StackOp::Peek { .. } => ("peek", Value::Nil),
        };
        Call { f, key: key_column(op.key()), value }
    }

    fn encode_ret(&self, op: &StackOp, ret: &StackRet) -> Value {
        match ret {
            StackRet::Done => self.encode_op(op).value,
            StackRet::Top(value) => value.clone(),
            StackRet::Empty => Value::Nil,
        }
    }

    fn decode_op(&self, f: &str, key: Option<&Value>, value: &Value) -> Result<StackOp, String> {
        let key = key_of(key);
        match f {
            "push" if value.is_nil() => Err("nil cannot be pushed: it stands for an empty stack".into()),
            "push" => Ok(StackOp::Push { key, value: value.clone() }),
            "pop" => Ok(StackOp::Pop { key }),
            "peek" | "top" => Ok(StackOp::Peek { key }),
            _ => Err(format!("a stack has no function {f:?}, only push, pop and peek")),
        }
    }

    fn decode_ret(&self, op: &StackOp, value: &Value) -> Result<StackRet, String> {
        Ok(match op {
            StackOp::Push { .. } => StackRet::Done,
            _ if value.is_nil() => StackRet::Empty,
            _ => StackRet::Top(value.clone()),
        })
    }
}
