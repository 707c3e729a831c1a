//! Packets that suffer: late, lost, doubled, overtaken, corrupted or slow, on their way from node to node.
//!
//! The kernel has two means, and the first that it has is taken. A queue: the packet filter of the node that
//! receives hands us what its peers send, and we say when and how each packet goes on. Else its own
//! disciplines, `netem` and `tbf`, through which what comes from peers is led. A controller's packets are
//! never touched: clients speak to each node as if nothing were.
//!
//! Nothing is opened before the first trouble; then a thread serves the queues of all nodes in trouble. Who
//! kills us lets everything pass that was queued: the kernel lets through what nobody serves. What is led
//! through disciplines goes on to be, until the network namespace ends or somebody heals the host.
//!
//! Where a proxy keeps nodes apart they exchange streams: those are late or slow, and suffer nothing else.
//!
//! | module | what it is |
//! |---|---|
//! | `means` | which of the two, and in which order |
//! | `fate` | what becomes of a packet in a queue: trouble, time and chance |
//! | `wire` | a packet as bytes |
//! | `lane`, `queues` | the way into one node by a queue, into all nodes |
//! | `server` | the thread that serves the lanes |
//! | `picker` | which packets the disciplines are given, as a program for the kernel |
//! | `detour` | the way into one node through disciplines |
//! | `roads` | the ways into all nodes, by either means |
//! | `probe` | whether this machine can |

#[cfg(target_os = "linux")]
mod detour;
#[cfg(target_os = "linux")]
mod fate;
#[cfg(target_os = "linux")]
mod lane;
#[cfg(target_os = "linux")]
mod means;
#[cfg(target_os = "linux")]
mod picker;
#[cfg(target_os = "linux")]
mod probe;
#[cfg(target_os = "linux")]
mod queues;
#[cfg(target_os = "linux")]
mod roads;
#[cfg(target_os = "linux")]
mod server;
#[cfg(target_os = "linux")]
mod wire;

#[cfg(target_os = "linux")]
pub use means::VARIABLE;
#[cfg(target_os = "linux")]
pub use probe::probe;

use super::isolation::Refusal;
#[cfg(target_os = "linux")]
use super::netlink::queue::Queue;
use super::proxy::Slowing;
use elenchus_core::cluster::HeldBack;
use elenchus_core::fault::Trouble;
use elenchus_core::process::NodeId;
#[cfg(target_os = "linux")]
use roads::Roads;
use std::sync::{Mutex, PoisonError};

/// Why packets are as they were.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PacketsError {
    /// The trial has no such node.
    #[error("the trial has no node {0}")]
    NoSuchNode(NodeId),
    /// There are no packets of single nodes on this ground.
    #[error(
        "nodes that are kept apart by a proxy exchange streams of bytes, which can be late or slow; all else that packets \
         suffer takes namespaces"
    )]
    Streams,
    /// Somebody insists on what there is not.
    #[error("packets stay as they are: {0}")]
    Asked(String),
    /// The kernel refused, each means for a reason of its own.
    #[error("packets stay as they are: {}", each(.0))]
    Refused(Vec<Refusal>),
}

impl From<Refusal> for PacketsError {
    fn from(refusal: Refusal) -> PacketsError {
        PacketsError::Refused(vec![refusal])
    }
}

fn each(refused: &[Refusal]) -> String {
    refused.iter().map(Refusal::to_string).collect::<Vec<_>>().join("; ")
}

/// The packets between the nodes of a trial.
#[derive(Debug)]
pub struct Packets {
    carrier: Mutex<Carrier>,
}

/// What carries what nodes send each other.
#[derive(Debug)]
enum Carrier {
    /// Each node has a network of its own, or a host.
    #[cfg(target_os = "linux")]
    Kernel(Roads),
    /// A proxy on each link.
    Proxy(Slowing),
}

impl Packets {
    /// Packets between nodes that have these addresses, each in its own network namespace.
    #[cfg(target_os = "linux")]
    pub(super) fn between(
        nodes: impl IntoIterator<Item = (NodeId, std::net::Ipv4Addr, std::os::fd::OwnedFd)>,
    ) -> Packets {
        let roads = Roads::new(super::firewall::TABLE, Queue(0), nodes);
        Packets { carrier: Mutex::new(Carrier::Kernel(roads)) }
    }

    /// Packets to the nodes on this host, in the present network namespace; `nodes` are all of the trial with
    /// the addresses they have there. The host has other users: table and queue must be nobody else's.
    /// What [`device`] names after the table stays there if we are killed, until [`remove_device`].
    #[cfg(target_os = "linux")]
    pub(crate) fn here(
        table: &str,
        queue: u16,
        nodes: impl IntoIterator<Item = (NodeId, std::net::Ipv4Addr)>,
    ) -> std::io::Result<Packets> {
        let network = std::fs::File::open("/proc/self/ns/net")?;
        let place = |(node, address)| Ok((node, address, network.try_clone()?.into()));
        let nodes: Vec<_> = nodes.into_iter().map(place).collect::<std::io::Result<_>>()?;
        let roads = Roads::new(table, Queue(queue), nodes).behind_cards();
        Ok(Packets { carrier: Mutex::new(Carrier::Kernel(roads)) })
    }

    /// Streams between nodes without networks of their own.
    pub(super) fn of_streams(slowing: Slowing) -> Packets {
        Packets { carrier: Mutex::new(Carrier::Proxy(slowing)) }
    }

    /// Makes what other nodes send to `node` suffer from now on, or (with `None`) lets it pass as it is.
    /// Answers how many packets the trouble that ends with this call has touched. Takes a moment: it blocks.
    pub fn disturb(&self, node: &NodeId, trouble: Option<Trouble>) -> Result<HeldBack, PacketsError> {
        let touched = match &mut *self.carrier.lock().unwrap_or_else(PoisonError::into_inner) {
            #[cfg(target_os = "linux")]
            Carrier::Kernel(roads) => roads.disturb(node, trouble),
            Carrier::Proxy(slowing) => slowing.disturb(node, trouble),
        };
        touched.map(|count| HeldBack { count })
    }
}

/// What our device is called on a host where our tables have this name.
#[cfg(target_os = "linux")]
pub(crate) fn device(table: &str) -> &str {
    detour::device_name(table)
}

/// Removes the device of this name from the current network namespace, and what leads packets to it; that
/// there is none is as good.
#[cfg(target_os = "linux")]
pub(crate) fn remove_device(name: &str) -> std::io::Result<()> {
    detour::remove(name)
}

/// Would find out by which means packets can be made to suffer, on Linux.
#[cfg(not(target_os = "linux"))]
pub fn probe() -> Result<String, String> {
    Err("packets suffer on Linux only".into())
}
