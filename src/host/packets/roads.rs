//! The ways into all nodes of a trial: opened when first needed, by the first means that the kernel has;
//! troubled and calmed one by one.

use super::PacketsError;
use super::detour::{self, Detour};
use super::means::Means;
use super::queues::Queues;
use crate::host::isolation::Refusal;
use crate::host::netlink::queue::Queue;
use elenchus_core::fault::Trouble;
use elenchus_core::process::NodeId;
use nix::sched::{CloneFlags, setns};
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::OwnedFd;
use std::thread;

/// All ways.
#[derive(Debug)]
pub(super) struct Roads {
    table: String,
    nodes: Vec<Place>,
    queues: Queues,
    /// Whether packets come from cards of machines, which have looked at checksums before.
    behind_cards: bool,
}

/// Where a node is.
#[derive(Debug)]
struct Place {
    node: NodeId,
    address: Ipv4Addr,
    network: OwnedFd,
    /// The way there where the kernel has no queue, once that has shown; and what was refused before.
    detour: Option<(Detour, Vec<Refusal>)>,
}

impl Roads {
    /// The ways into nodes that have these addresses, each in its own network namespace; nobody else there
    /// uses a table or a device of this name, or this queue.
    pub fn new(
        table: &str,
        queue: Queue,
        nodes: impl IntoIterator<Item = (NodeId, Ipv4Addr, OwnedFd)>,
    ) -> Roads {
        let place = |(node, address, network)| Place { node, address, network, detour: None };
        let nodes = nodes.into_iter().map(place).collect();
        Roads { table: table.into(), nodes, queues: Queues::new(table, queue), behind_cards: false }
    }

    /// The same ways, on hosts whose packets come from the cards of machines.
    pub fn behind_cards(self) -> Roads {
        Roads { behind_cards: true, ..self }
    }

    /// Answers how many packets the trouble that ends with this call has touched.
    pub fn disturb(&mut self, node: &NodeId, trouble: Option<Trouble>) -> Result<u64, PacketsError> {
        let place = self.nodes.iter().position(|place| place.node == *node);
        let place = place.ok_or_else(|| PacketsError::NoSuchNode(node.clone()))?;
        let Some(trouble) = trouble else { return Ok(self.calm(place)?) };
        let sources = self.nodes.iter().filter(|other| other.node != *node).map(|other| other.address);
        let sources: Vec<Ipv4Addr> = sources.collect();
        self.open(place)?;
        let Some((detour, refused)) = &mut self.nodes[place].detour else {
            let touched = self.queues.calm(place)?;
            return self.queues.disturb(place, trouble, &sources).map(|()| touched);
        };
        let trouble = match trouble {
            // A card throws away what was garbled on its way there. A bit that is flipped behind it nobody notices.
            Trouble::Corrupt { percent } if self.behind_cards => Trouble::Loss { percent },
            other => other,
        };
        let touched = detour.calm()?;
        match detour.disturb(trouble, &sources) {
            Ok(()) => Ok(touched),
            Err(refusal) => Err(PacketsError::Refused([&refused[..], &[refusal]].concat())),
        }
    }

    fn calm(&mut self, place: usize) -> Result<u64, Refusal> {
        match &mut self.nodes[place].detour {
            Some((detour, _)) => detour.calm(),
            None => self.queues.calm(place),
        }
    }

    /// Opens a way into this node unless there is one.
    fn open(&mut self, place: usize) -> Result<(), PacketsError> {
        let Place { network, detour, .. } = &mut self.nodes[place];
        if detour.is_some() || self.queues.lead_to(place) {
            return Ok(());
        }
        let mut refused = vec![];
        for means in Means::allowed().map_err(PacketsError::Asked)? {
            let opened = match means {
                Means::Queue => self.queues.open(place, |open| inside(network, open)),
                Means::Netem => inside(network, &|| Detour::open(detour::device_name(&self.table)))
                    .map(|opened| *detour = Some((opened, refused.clone()))),
            };
            match opened {
                Ok(()) => return Ok(()),
                Err(refusal) => refused.push(refusal),
            }
        }
        Err(PacketsError::Refused(refused))
    }
}

/// Does something in this network namespace. Only a thread of its own enters, so that we stay where we are.
fn inside<T: Send>(network: &OwnedFd, act: &(dyn Fn() -> Result<T, Refusal> + Sync)) -> Result<T, Refusal> {
    thread::scope(|scope| {
        let acting = thread::Builder::new().name("packets".into()).spawn_scoped(scope, || {
            setns(network, CloneFlags::CLONE_NEWNET).map_err(|error| Refusal::new("setns", &error.into()))?;
            act()
        });
        let acting = acting.map_err(|error| Refusal::new("thread", &error))?;
        acting.join().unwrap_or_else(|_| Err(Refusal::new("thread", &io::Error::other("panicked"))))
    })
}
