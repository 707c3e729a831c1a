//! The last questions of a watch trial: one more write of every key, and on every node a watch of everything up to them.
//!
//! The writes mark the end: whoever has been shown them has been shown all that went before. They bear negative values, so
//! that they are like no other. A write or a watch without answer is tried again until the trial's limit ends it.

use super::{FIRST, KEYS};
use elenchus_checkers::models::watch::{WatchOp, WatchRet};
use elenchus_core::generator::{Action, Context, Event, Generator, Next, What};
use elenchus_core::outcome::Outcome;
use elenchus_core::process::Slot;
use elenchus_core::time::Time;
use elenchus_core::value::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// How long a slot or node is left alone after it did not answer.
const PAUSE: Duration = Duration::from_millis(100);

/// See the module.
pub(super) struct LastWatches {
    nodes: u32,
    value: i64,
    /// The keys that are still to be written, and when.
    unwritten: Vec<(i64, Time)>,
    /// The last writes that were acknowledged.
    marks: BTreeSet<(Value, Value)>,
    watchers: Vec<Watcher>,
    open: BTreeMap<Slot, Open>,
}

/// What one node has shown so far.
struct Watcher {
    next: i64,
    shown: BTreeSet<(Value, Value)>,
    not_before: Time,
    is_open: bool,
}

enum Open {
    Write(i64),
    Watch(usize),
}

impl LastWatches {
    pub(super) fn new(nodes: u32) -> LastWatches {
        let watcher =
            |_| Watcher { next: FIRST, shown: BTreeSet::new(), not_before: Time::ZERO, is_open: false };
        LastWatches {
            nodes,
            value: 0,
            unwritten: (0..KEYS).map(|key| (key, Time::ZERO)).collect(),
            marks: BTreeSet::new(),
            watchers: (0..nodes).map(watcher).collect(),
            open: BTreeMap::new(),
        }
    }

    fn write(&mut self, cx: &Context) -> Option<Next<WatchOp>> {
        let due = self.unwritten.iter().position(|(_, not_before)| *not_before <= cx.now)?;
        let slot = cx.pick()?;
        let (key, _) = self.unwritten.remove(due);
        self.value -= 1;
        self.open.insert(slot, Open::Write(key));
        let op = WatchOp::Write { key: Value::Int(key), value: Value::Int(self.value) };
        Some(Next::Invoke(slot, Action::Client(op)))
    }

    /// A watch on a node that has not come to the last writes, through a free slot of it.
    fn watch(&mut self, cx: &Context) -> Option<Next<WatchOp>> {
        let free = |node: usize| {
            (node as u32..cx.concurrency())
                .step_by(self.nodes as usize)
                .map(Slot)
                .find(|slot| cx.is_free(*slot))
        };
        let due = |watcher: &Watcher| {
            !watcher.is_open && watcher.not_before <= cx.now && !watcher.has_all(&self.marks)
        };
        let at = |(node, watcher): (usize, &Watcher)| {
            due(watcher).then(|| free(node)).flatten().map(|slot| (node, slot))
        };
        let (node, slot) = self.watchers.iter().enumerate().find_map(at)?;
        self.watchers[node].is_open = true;
        self.open.insert(slot, Open::Watch(node));
        let op = WatchOp::Watch { from: self.watchers[node].next, last: Some(node as u32) };
        Some(Next::Invoke(slot, Action::Client(op)))
    }

    /// Whether nothing is left to ask, of the nodes that some slot speaks to.
    fn is_over(&self, slots: u32) -> bool {
        let mut asked = self.watchers.iter().take(slots as usize);
        self.open.is_empty() && self.unwritten.is_empty() && asked.all(|watcher| watcher.has_all(&self.marks))
    }
}

impl Watcher {
    fn has_all(&self, marks: &BTreeSet<(Value, Value)>) -> bool {
        marks.is_subset(&self.shown)
    }
}

impl Generator<WatchOp, WatchRet> for LastWatches {
    fn next(&mut self, cx: &mut Context) -> Next<WatchOp> {
        if let Some(next) = self.write(cx) {
            return next;
        }
        // Watches begin when all is written: only then is it known how far they must come.
        let written =
            self.unwritten.is_empty() && !self.open.values().any(|open| matches!(open, Open::Write(_)));
        if written && let Some(next) = self.watch(cx) {
            return next;
        }
        if self.is_over(cx.concurrency()) {
            return Next::Done;
        }
        let rests = self.unwritten.iter().map(|(_, at)| *at);
        let rests = rests.chain(self.watchers.iter().map(|watcher| watcher.not_before));
        Next::Wait(rests.filter(|at| *at > cx.now).min())
    }

    fn update(&mut self, _cx: &mut Context, event: &Event<WatchOp, WatchRet>) {
        let What::Done(op, outcome) = &event.what else { return };
        match (self.open.remove(&event.slot), op, outcome) {
            (Some(Open::Write(_)), WatchOp::Write { key, value }, Outcome::Ok(_)) => {
                self.marks.insert((key.clone(), value.clone()));
            }
            (Some(Open::Write(key)), ..) => self.unwritten.push((key, event.time + PAUSE)),
            (Some(Open::Watch(node)), _, outcome) => {
                let watcher = &mut self.watchers[node];
                watcher.is_open = false;
                match outcome {
                    Outcome::Ok(WatchRet::Seen(seen)) => {
                        watcher.next = seen.next;
                        let changes =
                            seen.changes.iter().map(|change| (change.key.clone(), change.value.clone()));
                        watcher.shown.extend(changes);
                    }
                    _ => watcher.not_before = event.time + PAUSE,
                }
            }
            (None, ..) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use elenchus_core::process::Process;
    use elenchus_core::watch::{Change, End, Seen};

    /// A store that answers at once, but for the first `deaf` operations; returns who watched from where.
    fn ask_all(nodes: u32, slots: u32, mut deaf: u32) -> Vec<(u32, i64)> {
        let (mut last, mut cx) = (LastWatches::new(nodes), Context::new(slots));
        let (mut changes, mut watched) = (Vec::new(), Vec::new());
        for _ in 0..1000 {
            match last.next(&mut cx) {
                Next::Done => {
                    assert!(last.is_over(slots));
                    return watched;
                }
                Next::Wait(until) => cx.now = until.expect("nothing is open"),
                Next::Invoke(slot, Action::Client(op)) => {
                    let answer = match &op {
                        WatchOp::Write { key, value } => {
                            let revision = changes.len() as i64 + 1;
                            changes.push(Change { revision, key: key.clone(), value: value.clone() });
                            WatchRet::Revision(revision)
                        }
                        WatchOp::Watch { from, .. } => {
                            watched.push((slot.0 % nodes, *from));
                            // Three changes at a time.
                            let shown: Vec<Change> = changes
                                .iter()
                                .filter(|change| change.revision >= *from)
                                .take(3)
                                .cloned()
                                .collect();
                            let next = shown.last().map_or(*from, |change| change.revision + 1);
                            WatchRet::Seen(Seen { changes: shown, next, end: End::Complete })
                        }
                    };
                    let outcome = if deaf > 0 { Outcome::info("no answer") } else { Outcome::Ok(answer) };
                    deaf = deaf.saturating_sub(1);
                    let what = What::Done(op, outcome);
                    let event = Event { time: cx.now, slot, process: Process(slot.0), what };
                    last.update(&mut cx, &event);
                }
                Next::Invoke(..) => panic!("only clients are asked"),
            }
        }
        panic!("it never ends");
    }

    #[test]
    fn every_node_is_watched_from_the_first_revision_to_the_last_write() {
        assert_eq!(ask_all(2, 4, 0), [(0, 1), (0, 4), (1, 1), (1, 4)]);
    }

    #[test]
    fn what_is_not_answered_is_asked_again() {
        let watched = ask_all(2, 4, 7);
        assert!(watched.contains(&(0, 1)) && watched.contains(&(1, 4)), "{watched:?}");
    }

    #[test]
    fn nodes_without_a_client_keep_nobody_waiting() {
        assert!(ask_all(5, 1, 0).iter().all(|(node, _)| *node == 0));
    }
}
