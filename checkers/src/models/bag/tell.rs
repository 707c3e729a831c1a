//! What a bag knows of its histories, and how it tells an anomaly.

use super::{Bag, BagOp, BagRet, unordered};
use crate::linearizability::{Case, Insight, Shortcut, Task, Telling};
use crate::models::collection::{Judge, Reason, Words, shortcut, tell};
use elenchus_core::outcome::Outcome;
use elenchus_core::value::Value;

impl Insight for Bag {
    fn shortcut(&self, tasks: &[Task<'_, Bag>]) -> Option<Shortcut> {
        shortcut(self, tasks)
    }

    fn linearization(&self, tasks: &[Task<'_, Bag>]) -> Option<Vec<u32>> {
        unordered::linearization(self, tasks)
    }

    fn key_text(&self, key: &Value) -> Option<String> {
        (!key.is_nil()).then(|| key.to_string())
    }

    fn tell(&self, case: &Case<'_, Bag>) -> Telling {
        tell(self, case)
    }
}

impl Judge for Bag {
    fn judge(&self, tasks: &[Task<'_, Bag>]) -> Option<Result<(), Reason>> {
        unordered::judge(self, tasks)
    }

    fn adds(op: &BagOp) -> Option<&Value> {
        if let BagOp::Put { value, .. } = op { Some(value) } else { None }
    }

    fn names(outcome: &Outcome<BagRet>) -> Option<&Value> {
        if let Outcome::Ok(BagRet::Value(value)) = outcome { Some(value) } else { None }
    }

    const WORDS: Words = Words { added: "put in", removed: "taken", twice: "double-take" };
}
