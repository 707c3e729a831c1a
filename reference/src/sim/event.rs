//! What the universe waits for, in the order of its time; of two at the same time, the one that was asked for first.

use super::client::ClientId;
use super::network::Letter;
use crate::protocol::{Connection, Peer, SyncId};
use elenchus_core::fault::FaultId;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Something that will happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A letter arrives.
    Letter(Letter),
    /// A client's call arrives at its node.
    Dial { client: ClientId, dial: u64 },
    /// The node's answer to that arrives.
    Opened { client: ClientId, dial: u64, connection: Connection },
    /// The news that there is no connection arrives at the client.
    Lost { client: ClientId, connection: Option<Connection>, dial: u64 },
    /// A client's request arrives.
    Request { to: Peer, connection: Connection, bytes: Vec<u8> },
    /// The news that a client has hung up arrives.
    Closed { at: Peer, connection: Connection },
    /// A node's answer arrives at its client.
    Reply { client: ClientId, connection: Connection, bytes: Vec<u8> },
    /// A client looks at its session.
    Wake { client: ClientId },
    /// A sync is done.
    Synced { node: Peer, life: u64, id: SyncId },
    /// A node looks at its timers.
    Ring { node: Peer, life: u64 },
    /// A node that was to die at some point has not come there.
    Doom { node: Peer, kill: u64 },
    /// A cut turns.
    Turn(FaultId),
    /// Somebody outside wanted to be woken.
    Alarm(u64),
}

/// All that will happen.
#[derive(Debug, Default)]
pub struct Queue {
    heap: BinaryHeap<Reverse<Entry>>,
    asked: u64,
}

#[derive(Debug)]
struct Entry {
    at: u64,
    nth: u64,
    event: Event,
}

impl Queue {
    /// Lets something happen.
    pub fn push(&mut self, at: u64, event: Event) {
        self.asked += 1;
        self.heap.push(Reverse(Entry { at, nth: self.asked, event }));
    }

    /// The next thing that happens until then, and when.
    pub fn pop(&mut self, until: u64) -> Option<(u64, Event)> {
        if self.heap.peek()?.0.at > until {
            return None;
        }
        self.heap.pop().map(|Reverse(entry)| (entry.at, entry.event))
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Entry) -> bool {
        (self.at, self.nth) == (other.at, other.nth)
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Entry) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Entry) -> std::cmp::Ordering {
        (self.at, self.nth).cmp(&(other.at, other.nth))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_at_the_same_time_comes_in_the_order_asked() {
        let mut queue = Queue::default();
        for (at, alarm) in [(5, 1), (3, 2), (5, 3), (9, 4)] {
            queue.push(at, Event::Alarm(alarm));
        }
        let mut seen = Vec::new();
        while let Some((at, Event::Alarm(alarm))) = queue.pop(5) {
            seen.push((at, alarm));
        }
        assert_eq!(seen, [(3, 2), (5, 1), (5, 3)]);
        assert_eq!(queue.pop(8), None);
        assert!(queue.pop(9).is_some());
    }
}
