//! Watches: some slots write, and watchers on every node follow all changes from where they left off.
//!
//! Of the slots of a node every other one watches. A watch is one bounded operation; the next of its slot begins at the
//! revision at which it ended. At last every key is written once more, and a watch on every node goes from
//! the first revision on until it has come to these last writes: then nothing before them may be missing.

mod last;

use crate::store::translate;
use elenchus_checkers::models::watch::{WatchOp, WatchRet, WatchVocabulary};
use elenchus_checkers::watch::WatchChecker;
use elenchus_core::LocalFuture;
use elenchus_core::checker::Checker;
use elenchus_core::client::{Capability, Client, Request, Response};
use elenchus_core::generator::{Action, Context, Event, Generator, Next, What};
use elenchus_core::outcome::Outcome;
use elenchus_core::process::Slot;
use elenchus_core::random::Rng;
use elenchus_core::value::Value;
use elenchus_core::watch::Seen;
use elenchus_core::workload::{Call, Shape, Vocabulary, Workload};
use last::LastWatches;
use std::collections::BTreeMap;
use std::time::Duration;

/// How many keys there are.
const KEYS: i64 = 5;
/// How long a watch lasts: well below an operation's deadline.
const TIME_MAX: Duration = Duration::from_millis(500);
/// After so many changes it ends.
const CHANGES_MAX: usize = 100;
/// After so many, the last ones end.
const LAST_CHANGES_MAX: usize = 10_000;
/// The first revision of a store.
const FIRST: i64 = 1;

/// The workload.
pub struct Watch {
    prefix: String,
}

impl Watch {
    /// Watched keys that begin with this prefix.
    pub fn new(prefix: &str) -> Watch {
        Watch { prefix: format!("{prefix}/w") }
    }

    fn request(&self, op: &WatchOp) -> Request {
        match op {
            WatchOp::Write { key, value } => {
                Request::Publish { key: format!("{}{key}", self.prefix), value: value.clone() }
            }
            WatchOp::Watch { from, last } => Request::Watch {
                prefix: self.prefix.clone(),
                from: *from,
                changes_max: if last.is_some() { LAST_CHANGES_MAX } else { CHANGES_MAX },
                time_max: TIME_MAX,
            },
        }
    }

    /// What was seen, with our names of the keys; foreign ones stay as they are, for the checker to wonder at.
    fn ours(&self, mut seen: Seen) -> Seen {
        for change in &mut seen.changes {
            let number = change.key.as_text().and_then(|key| key.strip_prefix(&self.prefix)?.parse().ok());
            if let Some(number) = number {
                change.key = Value::Int(number);
            }
        }
        seen
    }
}

impl Vocabulary for Watch {
    type Op = WatchOp;
    type Ret = WatchRet;

    fn encode_op(&self, op: &WatchOp) -> Call {
        WatchVocabulary.encode_op(op)
    }
    fn encode_ret(&self, op: &WatchOp, ret: &WatchRet) -> Value {
        WatchVocabulary.encode_ret(op, ret)
    }
    fn decode_op(&self, f: &str, key: Option<&Value>, value: &Value) -> Result<WatchOp, String> {
        WatchVocabulary.decode_op(f, key, value)
    }
    fn decode_ret(&self, op: &WatchOp, value: &Value) -> Result<WatchRet, String> {
        WatchVocabulary.decode_ret(op, value)
    }
}

impl Workload for Watch {
    fn name(&self) -> &'static str {
        "watch"
    }

    fn needs(&self) -> &'static [Capability] {
        &[Capability::Watch]
    }

    fn call<'a>(&'a self, client: &'a mut dyn Client, op: &'a WatchOp) -> LocalFuture<'a, Outcome<WatchRet>> {
        Box::pin(async move {
            let request = self.request(op);
            translate(client.call(&request).await, |response| match response {
                Response::Seen(seen) => Ok(WatchRet::Seen(self.ours(seen))),
                Response::Revision(Some(revision)) => Ok(WatchRet::Revision(revision)),
                Response::Revision(None) | Response::Done => Ok(WatchRet::Done),
                other => Err(other),
            })
        })
    }

    fn generator(&self, shape: &Shape) -> Box<dyn Generator<WatchOp, WatchRet>> {
        Box::new(WritesAndWatches {
            rng: shape.seed.stream("watch").rng(),
            nodes: shape.nodes,
            value: 0,
            next: BTreeMap::new(),
            alone: false,
        })
    }

    fn final_generator(&self, shape: &Shape) -> Box<dyn Generator<WatchOp, WatchRet>> {
        Box::new(LastWatches::new(shape.nodes))
    }

    fn checkers(&self) -> Vec<Box<dyn Checker>> {
        vec![Box::new(WatchChecker)]
    }
}

/// Writes of ever new values by some slots, watches by the others.
struct WritesAndWatches {
    rng: Rng,
    nodes: u32,
    value: i64,
    /// Where the watch of a slot goes on.
    next: BTreeMap<Slot, i64>,
    /// Whether a slot that is alone has just written.
    alone: bool,
}

impl WritesAndWatches {
    /// Of a node's slots the first watches, the second writes, and so on; if each node has but one, those of every other
    /// node write.
    fn watches(&mut self, slot: Slot, concurrency: u32) -> bool {
        if concurrency == 1 {
            self.alone = !self.alone;
            return !self.alone;
        }
        let place = if concurrency > self.nodes { slot.0 / self.nodes } else { slot.0 };
        place.is_multiple_of(2)
    }
}

impl Generator<WatchOp, WatchRet> for WritesAndWatches {
    fn next(&mut self, cx: &mut Context) -> Next<WatchOp> {
        let Some(slot) = cx.pick() else { return Next::Wait(None) };
        let op = if self.watches(slot, cx.concurrency()) {
            WatchOp::Watch { from: self.next.get(&slot).copied().unwrap_or(FIRST), last: None }
        } else {
            self.value += 1;
            WatchOp::Write {
                key: Value::Int(self.rng.below(KEYS as u64) as i64),
                value: Value::Int(self.value),
            }
        };
        Next::Invoke(slot, Action::Client(op))
    }

    fn update(&mut self, _cx: &mut Context, event: &Event<WatchOp, WatchRet>) {
        if let What::Done(WatchOp::Watch { .. }, Outcome::Ok(WatchRet::Seen(seen))) = &event.what {
            self.next.insert(event.slot, seen.next);
        }
    }
}
