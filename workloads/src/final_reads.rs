//! The last questions of a trial: every object, asked of every node, until each is answered.
//!
//! A node's slots share its list. A read that is not answered goes back to the end of the list, so a node
//! that stays silent is asked again until the trial's limit ends it.

use elenchus_core::generator::{Action, Context, Event, Generator, Next, What};
use elenchus_core::process::Slot;
use elenchus_core::time::Time;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// How long a node is left alone after it did not answer.
const PAUSE: Duration = Duration::from_millis(100);

/// Reads every object that was ever touched on every node.
pub(crate) struct FinalReads<O, K> {
    nodes: u32,
    object: fn(&O) -> K,
    read: fn(&K) -> O,
    objects: BTreeMap<K, ()>,
    lists: Option<Vec<List<K>>>,
    asked: BTreeMap<Slot, K>,
}

/// What one node still has to answer.
struct List<K> {
    left: VecDeque<K>,
    not_before: Time,
}

impl<O, K: Ord + Clone> FinalReads<O, K> {
    /// `object` names what an operation concerns, `read` asks for it; `always` are asked for even if no
    /// operation touched them.
    pub(crate) fn new(
        nodes: u32,
        always: impl IntoIterator<Item = K>,
        object: fn(&O) -> K,
        read: fn(&K) -> O,
    ) -> Self {
        let objects = always.into_iter().map(|k| (k, ())).collect();
        FinalReads { nodes, object, read, objects, lists: None, asked: BTreeMap::new() }
    }

    /// One list a node that some slot speaks to: nobody could ask the others.
    fn lists(&mut self, slots: u32) -> &mut Vec<List<K>> {
        let (nodes, objects) = (self.nodes.min(slots), &self.objects);
        self.lists.get_or_insert_with(|| {
            (0..nodes)
                .map(|_| List { left: objects.keys().cloned().collect(), not_before: Time::ZERO })
                .collect()
        })
    }
}

impl<O, R, K: Ord + Clone> Generator<O, R> for FinalReads<O, K> {
    fn next(&mut self, cx: &mut Context) -> Next<O> {
        let (now, nodes, read, slots) = (cx.now, self.nodes, self.read, cx.concurrency());
        let mut wait: Option<Time> = None;
        for i in 0..slots {
            let slot = Slot(i);
            let list = &mut self.lists(slots)[(i % nodes) as usize];
            if list.left.is_empty() || !cx.is_free(slot) {
                continue;
            }
            if list.not_before > now {
                let at = list.not_before;
                wait = Some(wait.map_or(at, |w| w.min(at)));
                continue;
            }
            let object = list.left.pop_front().expect("it was just seen to hold something");
            let op = read(&object);
            self.asked.insert(slot, object);
            return Next::Invoke(slot, Action::Client(op));
        }
        let is_over = self.asked.is_empty() && self.lists(slots).iter().all(|list| list.left.is_empty());
        if is_over { Next::Done } else { Next::Wait(wait) }
    }

    fn update(&mut self, cx: &mut Context, event: &Event<O, R>) {
        match &event.what {
            What::Invoked(op) if self.lists.is_none() => {
                self.objects.insert((self.object)(op), ());
            }
            What::Done(_, outcome) => {
                let Some(object) = self.asked.remove(&event.slot) else { return };
                if !outcome.is_ok() {
                    let node = (event.slot.0 % self.nodes) as usize;
                    let list = &mut self.lists(cx.concurrency())[node];
                    list.left.push_back(object);
                    list.not_before = event.time + PAUSE;
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use elenchus_core::outcome::Outcome;
    use elenchus_core::process::Process;

    /// Answers everything, except for the first question to node `deaf`; returns who was asked what.
    fn ask_all(nodes: u32, slots: u32, deaf: Option<u32>) -> Vec<(u32, u32)> {
        let mut reads: FinalReads<u32, u32> = FinalReads::new(nodes, [7, 8], |op| *op, |object| *object);
        let mut cx = Context::new(slots);
        let mut asked = Vec::new();
        let mut deaf = deaf;
        for _ in 0..1000 {
            match Generator::<u32, ()>::next(&mut reads, &mut cx) {
                Next::Done => return asked,
                Next::Wait(until) => cx.now = until.expect("nothing is open"),
                Next::Invoke(slot, Action::Client(op)) => {
                    let node = slot.0 % nodes;
                    let outcome = if deaf.take_if(|deaf| *deaf == node).is_some() {
                        Outcome::info("no answer")
                    } else {
                        asked.push((node, op));
                        Outcome::Ok(())
                    };
                    let what = What::Done(op, outcome);
                    let event = Event { time: cx.now, slot, process: Process(slot.0), what };
                    reads.update(&mut cx, &event);
                }
                Next::Invoke(..) => panic!("only clients are asked"),
            }
        }
        panic!("it never ends");
    }

    #[test]
    fn every_node_is_asked_for_every_object() {
        let mut asked = ask_all(3, 6, None);
        asked.sort_unstable();
        assert_eq!(asked, [(0, 7), (0, 8), (1, 7), (1, 8), (2, 7), (2, 8)]);
    }

    #[test]
    fn a_node_that_does_not_answer_is_asked_again() {
        assert_eq!(ask_all(3, 6, Some(1)).len(), 6);
    }

    #[test]
    fn nodes_without_a_client_keep_nobody_waiting() {
        assert_eq!(ask_all(5, 1, None), [(0, 7), (0, 8)]);
    }
}
