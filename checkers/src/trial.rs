//! What the checkers of a trial as a whole have in common: who spoke to which node, how calls ended.

use elenchus_core::event::{Index, Kind};
use elenchus_core::history::{EventRef, History};
use elenchus_core::process::{NodeId, Process};
use serde_json::{Map, Value as Json, json};

/// A client operation as far as it can be read without a vocabulary.
#[derive(Clone, Copy)]
pub(crate) struct Call<'h> {
    pub invocation: EventRef<'h>,
    pub completion: Option<EventRef<'h>>,
}

impl Call<'_> {
    /// How it ended; a missing completion is a doubt.
    pub(crate) fn ended(&self) -> Kind {
        self.completion.map_or(Kind::Info, |completion| completion.kind)
    }
}

/// The client operations of a history, in the order of their calls.
pub(crate) fn calls(history: &History) -> impl Iterator<Item = Call<'_>> {
    let call = |index: Index| Call {
        invocation: history.event(index),
        completion: history.partner(index).map(|done| history.event(done)),
    };
    history.invocations().map(call)
}

/// Which node a process speaks to: slot `i` to node `i mod nodes`, and the slot is what remains of the
/// process when retired processes are counted off.
#[derive(Clone, Debug)]
pub(crate) struct Placement {
    pub nodes: Vec<NodeId>,
    pub concurrency: u32,
}

impl Placement {
    /// The node's place in the list of nodes; `None` if nothing is known of nodes.
    pub(crate) fn node_of(&self, process: Process) -> Option<usize> {
        let slot = process.0.checked_rem(self.concurrency)?;
        (slot as usize).checked_rem(self.nodes.len())
    }
}

/// How many calls ended how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub ok: u64,
    pub fail: u64,
    pub info: u64,
}

impl Tally {
    pub(crate) fn add(&mut self, ended: Kind) {
        match ended {
            Kind::Ok => self.ok += 1,
            Kind::Fail => self.fail += 1,
            Kind::Invoke | Kind::Info => self.info += 1,
        }
    }

    pub(crate) fn all(&self) -> u64 {
        self.ok + self.fail + self.info
    }

    /// The part of all that was ok; nothing of nothing is `None`.
    pub(crate) fn ok_fraction(&self) -> Option<f64> {
        (self.all() > 0).then(|| self.ok as f64 / self.all() as f64)
    }

    pub(crate) fn figures(&self) -> Map<String, Json> {
        let pairs = [("ok", json!(self.ok)), ("fail", json!(self.fail)), ("info", json!(self.info))];
        pairs.into_iter().map(|(name, figure)| (name.to_owned(), figure)).collect()
    }
}

#[cfg(test)]
pub(crate) mod testing {
    //! Small histories of a whole trial.
    use super::*;
    use elenchus_core::event::Event;
    use elenchus_core::time::Time;
    use elenchus_core::value::Value;

    pub fn event(ms: u64, process: Process, kind: Kind, f: &str) -> Event {
        Event {
            time: Time(ms * 1_000_000),
            process,
            kind,
            f: f.into(),
            key: None,
            value: Value::Nil,
            error: None,
            extra: Vec::new(),
        }
    }

    /// One operation from `from` to `to`, in milliseconds.
    pub fn call(process: u32, f: &str, from: u64, to: u64, ended: Kind) -> [Event; 2] {
        let process = Process(process);
        [event(from, process, Kind::Invoke, f), event(to, process, ended, f)]
    }

    /// The history of these events, in the order of their times.
    pub fn history(events: impl IntoIterator<Item = Event>) -> History {
        let mut events: Vec<Event> = events.into_iter().collect();
        events.sort_by_key(|event| event.time);
        History::seal(events).expect("a history")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_retired_process_leaves_its_node_to_its_successor() {
        let placement = Placement { nodes: NodeId::numbered(3), concurrency: 4 };
        let nodes: Vec<_> = (0..8).map(|p| placement.node_of(Process(p))).collect();
        assert_eq!(nodes, [0, 1, 2, 0, 0, 1, 2, 0].map(Some));
    }

    #[test]
    fn without_nodes_nothing_is_placed() {
        assert_eq!(Placement { nodes: vec![], concurrency: 4 }.node_of(Process(1)), None);
        assert_eq!(Placement { nodes: NodeId::numbered(3), concurrency: 0 }.node_of(Process(1)), None);
    }
}
