//! What a queue knows of its histories, and how it tells an anomaly.

use super::{Queue, QueueOp, QueueRet, fifo};
use crate::linearizability::{Case, Insight, Shortcut, Task, Telling};
use crate::models::collection::{Judge, Reason, Words, shortcut, tell};
use elenchus_core::outcome::{Failure, Outcome};
use elenchus_core::value::Value;

impl Insight for Queue {
    fn shortcut(&self, tasks: &[Task<'_, Queue>]) -> Option<Shortcut> {
        shortcut(self, tasks)
    }

    fn linearization(&self, tasks: &[Task<'_, Queue>]) -> Option<Vec<u32>> {
        fifo::linearization(self, tasks)
    }

    fn key_text(&self, key: &Value) -> Option<String> {
        (!key.is_nil()).then(|| key.to_string())
    }

    fn tell(&self, case: &Case<'_, Queue>) -> Telling {
        tell(self, case)
    }
}

impl Judge for Queue {
    fn judge(&self, tasks: &[Task<'_, Queue>]) -> Option<Result<(), Reason>> {
        fifo::judge(self, tasks)
    }

    fn adds(op: &QueueOp) -> Option<&Value> {
        if let QueueOp::Enqueue { value, .. } = op { Some(value) } else { None }
    }

    fn names(outcome: &Outcome<QueueRet>) -> Option<&Value> {
        match outcome {
            Outcome::Ok(QueueRet::Value(value))
            | Outcome::Fail(Failure::Refused(Some(QueueRet::Value(value)))) => Some(value),
            _ => None,
        }
    }

    const WORDS: Words = Words { added: "enqueued", removed: "dequeued", twice: "double-dequeue" };
}
