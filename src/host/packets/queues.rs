//! The queues of a trial: a lane into each node that was ever in trouble, and the thread that serves them.

use super::PacketsError;
use super::lane::Lane;
use super::server::Server;
use crate::host::isolation::Refusal;
use crate::host::netlink::queue::Queue;
use elenchus_core::fault::Trouble;
use elenchus_core::random::{Rng, Seed};
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::Ipv4Addr;

/// All queues.
#[derive(Debug)]
pub(super) struct Queues {
    /// The name of our tables, and the number of our queues.
    table: String,
    number: Queue,
    chance: Rng,
    /// `None` until the first trouble.
    server: Option<Server>,
}

impl Queues {
    /// None yet. Nobody else uses a table of this name, or this queue, where the nodes are.
    pub fn new(table: &str, number: Queue) -> Queues {
        // Which packets are struck comes from no seed of the trial: nobody could repeat when each of them comes.
        let chance = Seed(RandomState::new().hash_one("packets")).rng();
        Queues { table: table.into(), number, chance, server: None }
    }

    /// Whether there is a lane into this node.
    pub fn lead_to(&self, place: usize) -> bool {
        self.server.as_ref().is_some_and(|server| server.is_alive() && server.with(place, |_| ()).is_some())
    }

    /// Opens a lane into this node. `enter` does what it is given in the network namespace of the node.
    pub fn open(
        &mut self,
        place: usize,
        enter: impl FnOnce(&(dyn Fn() -> Result<Lane, Refusal> + Sync)) -> Result<Lane, Refusal>,
    ) -> Result<(), Refusal> {
        let lane = enter(&|| Lane::open(&self.table, self.number))?;
        let server = match &mut self.server {
            Some(server) if server.is_alive() => server,
            none => none.insert(Server::start().map_err(|error| Refusal::new("thread", &error))?),
        };
        server.add(place, lane);
        Ok(())
    }

    /// From now on what comes to this node from these addresses is in trouble.
    pub fn disturb(
        &mut self,
        place: usize,
        trouble: Trouble,
        sources: &[Ipv4Addr],
    ) -> Result<(), PacketsError> {
        let chance = Seed(self.chance.next_u64()).rng();
        let server = self.server.as_ref();
        match server.and_then(|server| server.with(place, |lane| lane.disturb(trouble, chance, sources))) {
            Some(disturbed) => Ok(disturbed?),
            // It failed in this moment, and said so.
            None => Err(Refusal::new("packet queue", &io::Error::from_raw_os_error(libc::EPIPE)).into()),
        }
    }

    /// From now on nothing is in trouble there. Answers how many packets were.
    pub fn calm(&self, place: usize) -> Result<u64, Refusal> {
        self.server.as_ref().and_then(|server| server.with(place, Lane::calm)).unwrap_or(Ok(0))
    }
}
