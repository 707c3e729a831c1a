//! The ways into all nodes of a trial: opened when first needed, troubled and calmed one by one.

use super::PacketsError;
use super::lane::Lane;
use super::server::Server;
use crate::host::isolation::Refusal;
use crate::host::netlink::queue::Queue;
use elenchus_core::fault::Trouble;
use elenchus_core::process::NodeId;
use elenchus_core::random::{Rng, Seed};
use nix::sched::{CloneFlags, setns};
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::OwnedFd;
use std::thread;

/// All ways.
#[derive(Debug)]
pub(super) struct Roads {
    /// The name of our tables, and the number of our queues.
    table: String,
    queue: Queue,
    nodes: Vec<Place>,
    chance: Rng,
    /// `None` until the first trouble.
    server: Option<Server>,
}

/// Where a node is.
#[derive(Debug)]
struct Place {
    node: NodeId,
    address: Ipv4Addr,
    network: OwnedFd,
}

impl Roads {
    /// The ways into nodes that have these addresses, each in its own network namespace; nobody else there
    /// uses a table of this name, or this queue.
    pub fn new(
        table: &str,
        queue: Queue,
        nodes: impl IntoIterator<Item = (NodeId, Ipv4Addr, OwnedFd)>,
    ) -> Roads {
        let nodes = nodes.into_iter().map(|(node, address, network)| Place { node, address, network });
        Roads { table: table.into(), queue, nodes: nodes.collect(), chance: chance(), server: None }
    }

    /// Answers how many packets the trouble that ends with this call has touched.
    pub fn disturb(&mut self, node: &NodeId, trouble: Option<Trouble>) -> Result<u64, PacketsError> {
        let place = self.nodes.iter().position(|place| place.node == *node);
        let place = place.ok_or_else(|| PacketsError::NoSuchNode(node.clone()))?;
        let Some(trouble) = trouble else {
            let calm = |server: &Server| server.with(place, Lane::calm).unwrap_or(Ok(0));
            return Ok(self.server.as_ref().map_or(Ok(0), calm)?);
        };
        let server = match &mut self.server {
            Some(server) if server.is_alive() => server,
            none => none.insert(Server::start().map_err(|error| Refusal::new("thread", &error))?),
        };
        let touched = match server.with(place, Lane::calm) {
            Some(touched) => touched?,
            None => {
                let lane = open_in(&self.nodes[place].network, &self.table, self.queue)?;
                server.add(place, lane);
                0
            }
        };
        let peers: Vec<Ipv4Addr> = self.nodes.iter().map(|place| place.address).collect();
        let peers = [&peers[..place], &peers[place + 1..]].concat();
        let chance = Seed(self.chance.next_u64()).rng();
        match server.with(place, |lane| lane.disturb(trouble, chance, &peers)) {
            Some(disturbed) => disturbed.map(|()| touched).map_err(PacketsError::Refused),
            // It failed in this moment, and said so.
            None => Err(Refusal::new("packet queue", &io::Error::from_raw_os_error(libc::EPIPE)).into()),
        }
    }
}

/// Which packets are struck comes from no seed of the trial: nobody could repeat when each of them comes.
fn chance() -> Rng {
    Seed(RandomState::new().hash_one("packets")).rng()
}

/// Opens a lane in this network namespace. Only a thread of its own enters, so that we stay where we are.
fn open_in(network: &OwnedFd, table: &str, queue: Queue) -> Result<Lane, Refusal> {
    thread::scope(|scope| {
        let opening = thread::Builder::new().name("packets".into()).spawn_scoped(scope, || {
            setns(network, CloneFlags::CLONE_NEWNET).map_err(|error| Refusal::new("setns", &error.into()))?;
            Lane::open(table, queue)
        });
        let opening = opening.map_err(|error| Refusal::new("thread", &error))?;
        opening.join().unwrap_or_else(|_| Err(Refusal::new("thread", &io::Error::other("panicked"))))
    })
}
