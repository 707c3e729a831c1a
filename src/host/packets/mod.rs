//! Packets that suffer: late, lost, doubled, overtaken, corrupted or slow, on their way from node to node.
//!
//! One mechanism does it all, in user space: the packet filter of the node that receives hands us what its
//! peers send (a queue), and we say when and how each packet goes on. The kernel's own `netem` would do,
//! but many kernels are built without it. A controller's packets are never touched: clients speak to each
//! node as if nothing were.
//!
//! Nothing is opened before the first trouble; then a thread serves the queues of all nodes in trouble. Who
//! kills us lets everything pass: the kernel lets through what nobody serves.
//!
//! Where a proxy keeps nodes apart they exchange streams: those are late or slow, and suffer nothing else.
//!
//! | module | what it is |
//! |---|---|
//! | `fate` | what becomes of a packet: trouble, time and chance |
//! | `wire` | a packet as bytes |
//! | `lane`, `roads` | the way into one node, into all nodes |
//! | `server` | the thread that serves the lanes |
//! | `probe` | whether this machine can |

#[cfg(target_os = "linux")]
mod fate;
#[cfg(target_os = "linux")]
mod lane;
#[cfg(target_os = "linux")]
mod probe;
#[cfg(target_os = "linux")]
mod roads;
#[cfg(target_os = "linux")]
mod server;
#[cfg(target_os = "linux")]
mod wire;

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
    /// The kernel refused.
    #[error("packets stay as they are: {0}")]
    Refused(#[from] Refusal),
}

/// The packets between the nodes of a trial.
#[derive(Debug)]
pub struct Packets {
    means: Mutex<Means>,
}

#[derive(Debug)]
enum Means {
    /// Each node has a network of its own, or a host.
    #[cfg(target_os = "linux")]
    Queue(Roads),
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
        Packets { means: Mutex::new(Means::Queue(roads)) }
    }

    /// Packets to the nodes on this host, in the present network namespace; `nodes` are all of the trial with
    /// the addresses they have there. The host has other users: table and queue must be nobody else's.
    #[cfg(target_os = "linux")]
    pub(crate) fn here(
        table: &str,
        queue: u16,
        nodes: impl IntoIterator<Item = (NodeId, std::net::Ipv4Addr)>,
    ) -> std::io::Result<Packets> {
        let network = std::fs::File::open("/proc/self/ns/net")?;
        let place = |(node, address)| Ok((node, address, network.try_clone()?.into()));
        let nodes: Vec<_> = nodes.into_iter().map(place).collect::<std::io::Result<_>>()?;
        Ok(Packets { means: Mutex::new(Means::Queue(Roads::new(table, Queue(queue), nodes))) })
    }

    /// Streams between nodes without networks of their own.
    pub(super) fn of_streams(slowing: Slowing) -> Packets {
        Packets { means: Mutex::new(Means::Proxy(slowing)) }
    }

    /// Makes what other nodes send to `node` suffer from now on, or (with `None`) lets it pass as it is.
    /// Answers how many packets the trouble that ends with this call has touched. Takes a moment: it blocks.
    pub fn disturb(&self, node: &NodeId, trouble: Option<Trouble>) -> Result<HeldBack, PacketsError> {
        let touched = match &mut *self.means.lock().unwrap_or_else(PoisonError::into_inner) {
            #[cfg(target_os = "linux")]
            Means::Queue(roads) => roads.disturb(node, trouble),
            Means::Proxy(slowing) => slowing.disturb(node, trouble),
        };
        touched.map(|count| HeldBack { count })
    }
}

/// Would find out by which means packets can be made to suffer, on Linux.
#[cfg(not(target_os = "linux"))]
pub fn probe() -> Result<String, String> {
    Err("packets suffer on Linux only".into())
}
