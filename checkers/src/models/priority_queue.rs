//! Priority queues: whatever is inside, the first in priority is polled.
//!
//! A value is its own priority; which end is first, the highest (as in Java's documentation of `take-max`, and by
//! default here) or the lowest, is a choice of the model. Where every value is inserted once, `cover` knows
//! the answer without search. The state is a search tree that shares most of itself with those it grew
//! from ([`Heap`]).

mod cover;
mod state;
#[cfg(test)]
mod tests;

pub use state::Heap;

use super::lives::cores::reduced;
use super::lives::words::{Story, Words};
use super::lives::{Ask, Deed, Fact, Halt, Judgement, Lives, Seen};
use super::{key_column, key_of};
use crate::linearizability::{Case, Insight, Shortcut, Task, Telling};
use elenchus_core::model::Model;
use elenchus_core::outcome::{Failure, Outcome};
use elenchus_core::value::Value;
use elenchus_core::workload::{Call, Vocabulary};

/// What a client asks of a priority queue.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum PriorityQueueOp {
    /// Contain this, once more.
    Insert {
        /// Which queue.
        key: Value,
        /// What is inserted; also its priority.
        value: i64,
    },
    /// Remove the first in priority, and say what it was.
    Poll {
        /// Which queue.
        key: Value,
    },
    /// Which is the first in priority?
    Peek {
        /// Which queue.
        key: Value,
    },
}

/// What a priority queue answers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum PriorityQueueRet {
    /// It is done.
    Done,
    /// This was the first.
    First(i64),
    /// Nothing was inside.
    Empty,
}

/// Which values are polled first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Priority {
    /// The greatest number.
    #[default]
    Highest,
    /// The least number.
    Lowest,
}

impl Priority {
    /// Numbers in another order: the one that is polled first is the least.
    fn rank(self, value: i64) -> i64 {
        // The complement reverses the order and, unlike the negative, exists of every number.
        if self == Priority::Highest { !value } else { value }
    }
}

impl PriorityQueueOp {
    /// The queue concerned.
    pub fn key(&self) -> &Value {
        match self {
            PriorityQueueOp::Insert { key, .. }
            | PriorityQueueOp::Poll { key }
            | PriorityQueueOp::Peek { key } => key,
        }
    }
}

/// The sequential priority queue: it holds what was inserted and not polled yet, at first `initial`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PriorityQueue {
    /// What every queue holds at first.
    pub initial: Vec<i64>,
    /// What is polled first.
    pub priority: Priority,
}

impl PriorityQueue {
    /// A queue that holds the integers of a list at first.
    ///
    /// # Errors
    /// What was expected, if this is not such a list.
    pub fn holding(initial: &Value, priority: Priority) -> Result<PriorityQueue, String> {
        let wrong = || format!("a priority queue starts with a list of integers, not {initial}");
        let initial = match initial {
            Value::Nil => Vec::new(),
            Value::Vector(items) | Value::List(items) | Value::Set(items) => {
                items.iter().map(integer).collect::<Option<_>>().ok_or_else(wrong)?
            }
            _ => return Err(wrong()),
        };
        Ok(PriorityQueue { initial, priority })
    }

    fn first(&self, state: &Heap) -> Option<i64> {
        match self.priority {
            Priority::Highest => state.greatest(),
            Priority::Lowest => state.least(),
        }
    }

    fn judge(&self, initial: &[i64], facts: impl ExactSizeIterator<Item = Fact<i64>> + Clone) -> Judgement {
        match Lives::new(initial, facts) {
            Ok(lives) => cover::judge(&lives, |value| self.priority.rank(value)),
            Err(Halt::Ambiguous) => Judgement::Open,
            Err(Halt::Refuted(core)) => Judgement::Refuted(core),
        }
    }
}

fn integer(value: &Value) -> Option<i64> {
    if let Value::Int(number) = value { Some(*number) } else { None }
}

/// What an operation did to the queue.
fn deed(op: &PriorityQueueOp, outcome: &Outcome<PriorityQueueRet>) -> Deed<i64> {
    use PriorityQueueRet::{Done, Empty, First};
    if let (PriorityQueueOp::Insert { .. }, Outcome::Fail(_)) = (op, outcome) {
        // A queue with bounds may be full, and does not say them: it changed nothing and says nothing.
        return Deed::Look(Seen::Unknown);
    }
    let seen = match outcome {
        Outcome::Info(_) => Seen::Unknown,
        Outcome::Ok(First(value)) | Outcome::Fail(Failure::Refused(Some(First(value)))) => {
            Seen::Value(*value)
        }
        Outcome::Ok(Empty) | Outcome::Fail(Failure::Refused(Some(Empty) | None)) => Seen::Nothing,
        Outcome::Ok(Done) | Outcome::Fail(_) => match op {
            PriorityQueueOp::Insert { value, .. } if outcome.is_ok() => return Deed::Add(*value),
            _ => return Deed::Impossible,
        },
    };
    match op {
        PriorityQueueOp::Insert { value, .. } if seen == Seen::Unknown => Deed::Add(*value),
        PriorityQueueOp::Insert { .. } => Deed::Impossible,
        PriorityQueueOp::Poll { .. } if outcome.is_ok() || outcome.is_info() => Deed::Take(seen),
        // Refused: it saw what was there and left it.
        PriorityQueueOp::Poll { .. } | PriorityQueueOp::Peek { .. } => Deed::Look(seen),
    }
}

fn asks(op: &PriorityQueueOp) -> Ask<i64> {
    match op {
        PriorityQueueOp::Insert { value, .. } => Ask::Add(*value),
        PriorityQueueOp::Poll { .. } => Ask::Take,
        PriorityQueueOp::Peek { .. } => Ask::Look,
    }
}

impl Model for PriorityQueue {
    type Op = PriorityQueueOp;
    type Ret = PriorityQueueRet;
    type Key = Value;
    type State = Heap;

    fn init(&self, _key: &Value) -> Heap {
        self.initial.iter().copied().collect()
    }

    fn step(
        &self,
        state: &Heap,
        op: &PriorityQueueOp,
        outcome: &Outcome<PriorityQueueRet>,
    ) -> impl IntoIterator<Item = Heap> {
        let first = self.first(state);
        let is_there = |seen: Seen<i64>| match seen {
            Seen::Value(value) => first == Some(value),
            Seen::Nothing => first.is_none(),
            Seen::Unknown => true,
        };
        match deed(op, outcome) {
            Deed::Add(value) => Some(state.with(value)),
            Deed::Take(seen) => is_there(seen).then(|| match first {
                Some(value) => state.without(value),
                None => state.clone(),
            }),
            Deed::Look(seen) => is_there(seen).then(|| state.clone()),
            Deed::Impossible => None,
        }
    }

    fn key(&self, op: &PriorityQueueOp) -> Value {
        op.key().clone()
    }

    fn describe(&self, op: &PriorityQueueOp, outcome: &Outcome<PriorityQueueRet>) -> String {
        let what = match op {
            PriorityQueueOp::Insert { value, .. } => format!("insert {value}"),
            PriorityQueueOp::Poll { .. } => "poll".to_owned(),
            PriorityQueueOp::Peek { .. } => "peek".to_owned(),
        };
        match outcome {
            Outcome::Ok(PriorityQueueRet::Done) => what,
            Outcome::Ok(PriorityQueueRet::First(value)) => format!("{what} {value}"),
            Outcome::Ok(PriorityQueueRet::Empty) => format!("{what} nothing"),
            Outcome::Fail(Failure::Refused(Some(PriorityQueueRet::First(value)))) => {
                format!("{what} refused, saw {value}")
            }
            Outcome::Fail(Failure::Refused(_)) => format!("{what} refused"),
            Outcome::Fail(Failure::NotDone(_)) => format!("{what} failed"),
            Outcome::Info(_) => format!("{what} (in doubt)"),
        }
    }

    fn inert(&self, op: &PriorityQueueOp, outcome: &Outcome<PriorityQueueRet>) -> bool {
        matches!(deed(op, outcome), Deed::Look(_) | Deed::Take(Seen::Nothing) | Deed::Impossible)
    }

    fn source(&self, op: &PriorityQueueOp, outcome: &Outcome<PriorityQueueRet>) -> Option<Heap> {
        let empty = matches!(deed(op, outcome), Deed::Look(Seen::Nothing) | Deed::Take(Seen::Nothing));
        empty.then(Heap::default)
    }

    /// What is inside is what was inserted and not polled, as long as it is known what was polled.
    fn order_free(&self, op: &PriorityQueueOp, outcome: &Outcome<PriorityQueueRet>) -> bool {
        deed(op, outcome) != Deed::Take(Seen::Unknown)
    }

    fn weight(&self, state: &Heap) -> usize {
        // The path that was copied for it; the rest belongs to the states that it grew from.
        size_of::<Heap>() + 2 * 56 * (usize::BITS - state.size().leading_zeros()) as usize
    }
}

const WORDS: Words = Words {
    object: "priority queue",
    added: "inserted",
    taken: "polled",
    seen: "as the first",
    twice: "double-poll",
};

impl Insight for PriorityQueue {
    fn shortcut(&self, tasks: &[Task<'_, PriorityQueue>]) -> Option<Shortcut> {
        let facts = tasks.iter().map(|task| Fact {
            deed: deed(task.op, task.outcome),
            call: task.call,
            done: task.done,
            id: task.id,
            asks: asks(task.op),
        });
        match self.judge(&self.initial, facts.clone()) {
            Judgement::Linearizable => Some(Shortcut::Linearizable),
            Judgement::Open => None,
            Judgement::Refuted(core) => {
                let core = reduced(&self.initial, facts, core, |initial, facts| {
                    matches!(self.judge(initial, facts.iter().copied()), Judgement::Refuted(_))
                });
                Some(Shortcut::Refuted(core))
            }
        }
    }

    fn key_text(&self, key: &Value) -> Option<String> {
        (!key.is_nil()).then(|| key.to_string())
    }

    fn tell(&self, case: &Case<'_, PriorityQueue>) -> Telling {
        let story = Story {
            model: self,
            case,
            words: &WORDS,
            deed: &|operation| deed(&operation.op, &operation.outcome),
            initial: &self.initial,
            first_out: &|_, later, sooner| {
                let first = self.priority.rank(sooner) < self.priority.rank(later);
                first.then(|| "comes first".to_owned())
            },
        };
        story.tell()
    }
}

/// Priority queues on disk: `insert` (also `add`) with an integer; `poll` and `peek` with value nil, then what was
/// polled or seen. An `ok` poll or peek of nil found the queue empty. A queue of which the highest comes first knows
/// `take-max` as well, the other one `take-min`. A `fail` did nothing and says nothing, as always.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PriorityQueueVocabulary {
    /// What is polled first.
    pub priority: Priority,
}

impl Vocabulary for PriorityQueueVocabulary {
    type Op = PriorityQueueOp;
    type Ret = PriorityQueueRet;

    fn encode_op(&self, op: &PriorityQueueOp) -> Call {
        let (f, value) = match op {
            PriorityQueueOp::Insert { value, .. } => ("insert", Value::Int(*value)),
            PriorityQueueOp::Poll { .. } => ("poll", Value::Nil),
            PriorityQueueOp::Peek { .. } => ("peek", Value::Nil),
        };
        Call { f, key: key_column(op.key()), value }
    }

    fn encode_ret(&self, op: &PriorityQueueOp, ret: &PriorityQueueRet) -> Value {
        match ret {
            PriorityQueueRet::Done => self.encode_op(op).value,
            PriorityQueueRet::First(value) => Value::Int(*value),
            PriorityQueueRet::Empty => Value::Nil,
        }
    }

    fn decode_op(&self, f: &str, key: Option<&Value>, value: &Value) -> Result<PriorityQueueOp, String> {
        let key = key_of(key);
        match (f, self.priority) {
            ("insert" | "add", _) => match integer(value) {
                Some(value) => Ok(PriorityQueueOp::Insert { key, value }),
                None => Err(format!("what a priority queue holds are integers, not {value}")),
            },
            ("poll", _) | ("take-max", Priority::Highest) | ("take-min", Priority::Lowest) => {
                Ok(PriorityQueueOp::Poll { key })
            }
            ("peek", _) => Ok(PriorityQueueOp::Peek { key }),
            ("take-max", Priority::Lowest) | ("take-min", Priority::Highest) => {
                Err(format!("{f:?} is no function of a priority queue of which the other end comes first"))
            }
            _ => Err(format!("a priority queue has no function {f:?}, only insert, poll and peek")),
        }
    }

    fn decode_ret(&self, op: &PriorityQueueOp, value: &Value) -> Result<PriorityQueueRet, String> {
        match (op, value) {
            (PriorityQueueOp::Insert { .. }, _) => Ok(PriorityQueueRet::Done),
            (_, Value::Nil) => Ok(PriorityQueueRet::Empty),
            (_, Value::Int(value)) => Ok(PriorityQueueRet::First(*value)),
            _ => Err(format!("what a priority queue holds are integers, not {value}")),
        }
    }
}
