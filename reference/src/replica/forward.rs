//! Requests on their way to the leader: those that this node sent there, and those that it has taken.
//!
//! A node answers [`crate::wire::Answer::NotDone`] for a forwarded request only if no copy of it can still
//! be carried out. A request is addressed to the leader *of a term*, so whoever does not lead that term now
//! never will; and a copy that the network doubled is told from the first by its stamp.

use std::collections::{BTreeMap, BTreeSet};

use crate::protocol::{Connection, Peer};
use crate::replica::envelope::Stamp;

/// How many requests wait for answers at most; the oldest are forgotten first, and never answered.
const WAITING_MAX: usize = 100_000;
/// How many stamps of a sender are remembered one by one.
const STAMPS_MAX: usize = 10_000;

/// What this node has forwarded, by its own stamp's number: the client's connection and request.
#[derive(Clone, Debug, Default)]
pub(super) struct Forwarded(BTreeMap<u64, (Connection, u64)>);

impl Forwarded {
    pub fn insert(&mut self, number: u64, connection: Connection, id: u64) {
        self.0.insert(number, (connection, id));
        if self.0.len() > WAITING_MAX {
            self.0.pop_first();
        }
    }

    /// Whose request it was, once.
    pub fn take(&mut self, number: u64) -> Option<(Connection, u64)> {
        self.0.remove(&number)
    }

    /// Nobody listens there any more.
    pub fn closed(&mut self, gone: Connection) {
        self.0.retain(|_, (connection, _)| *connection != gone);
    }
}

/// Which forwarded requests this node has taken, by sender.
#[derive(Clone, Debug, Default)]
pub(super) struct Taken(BTreeMap<Peer, Stamps>);

#[derive(Clone, Debug, Default)]
struct Stamps {
    boot: u64,
    /// All up to here count as taken.
    floor: u64,
    above: BTreeSet<u64>,
}

impl Taken {
    /// True the first time that a stamp is seen, and never again. A letter that was overtaken by very many
    /// others, or by a restart of its sender, counts as seen: nobody waits for its answer.
    pub fn first_time(&mut self, from: Peer, stamp: Stamp) -> bool {
        let stamps = self.0.entry(from).or_default();
        if stamp.boot > stamps.boot {
            *stamps = Stamps { boot: stamp.boot, ..Stamps::default() };
        }
        if stamp.boot < stamps.boot || stamp.number <= stamps.floor || !stamps.above.insert(stamp.number) {
            return false;
        }
        if stamps.above.len() > STAMPS_MAX {
            stamps.floor = stamps.above.pop_first().unwrap_or(stamps.floor);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_new_once_even_when_overtaken() {
        let mut taken = Taken::default();
        let mut first = |peer, boot, number| taken.first_time(Peer(peer), Stamp { boot, number });
        assert!(first(1, 1, 5));
        assert!(first(1, 1, 3));
        assert!(!first(1, 1, 5));
        assert!(!first(1, 1, 3));
        assert!(first(2, 1, 5));
        assert!(first(1, 2, 1));
        assert!(!first(1, 1, 9), "of an earlier start");
        for number in 2..=20_000 {
            assert!(first(1, 2, number));
        }
        assert!(!first(1, 2, 2) && !first(1, 2, 20_000));
    }
}
