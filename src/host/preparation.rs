//! Setting up the ground before the controller is born, so that a refusal can still be answered by another
//! way.

use super::addresses::Addresses;
use super::firewall::{Firewall, Wall};
use super::ground::Ground;
use super::handle::SupervisorLine;
use super::interrupts::Interrupts;
use super::isolation::{Isolation, Refusal, Way};
use super::links::Links;
use super::namespaces::{self, Identity};
use super::packets::Packets;
use super::proxy::Ports;
use elenchus_core::process::NodeId;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

/// What the supervisor has set up, before the controller is born.
pub(super) enum Prepared {
    Namespaces { networks: Vec<OwnedFd>, walls: Vec<Wall>, addresses: Addresses },
    Proxy { ports: Ports, addresses: Addresses },
}

/// Sets up the ground this way.
pub(super) fn prepare(
    way: Way,
    nodes: &[NodeId],
    port_base: Option<u16>,
    identity: Identity,
) -> Result<Prepared, Refusal> {
    let identity = (way == Way::UserNamespace).then_some(identity);
    match way {
        Way::Namespaces | Way::UserNamespace => {
            let namespaces::Namespaces { networks, walls } = namespaces::set_up(nodes, identity)?;
            let addresses = Addresses::direct(namespaces::addresses(nodes));
            Ok(Prepared::Namespaces { networks, walls, addresses })
        }
        Way::Proxy => {
            let refused = |error: io::Error| Refusal::new("loopback ports", &error);
            let ports = Ports::take(nodes, port_base).map_err(refused)?;
            let addresses = ports.addresses().map_err(refused)?;
            Ok(Prepared::Proxy { ports, addresses })
        }
    }
}

impl Prepared {
    /// The supervisor's part: each node's network namespace, where nodes have one.
    pub fn into_networks(self, nodes: usize) -> Vec<Option<OwnedFd>> {
        match self {
            Prepared::Namespaces { networks, .. } => networks.into_iter().map(Some).collect(),
            Prepared::Proxy { .. } => (0..nodes).map(|_| None).collect(),
        }
    }

    /// The controller's part. May start a thread.
    pub fn into_ground(
        self,
        nodes: &[NodeId],
        isolation: Isolation,
        token: String,
        socket: UnixStream,
        interrupts: Interrupts,
    ) -> io::Result<Ground> {
        let (links, packets, addresses) = match self {
            Prepared::Namespaces { networks, walls, addresses } => {
                let places = nodes.iter().cloned().zip(networks).zip(&walls);
                let packets =
                    Packets::between(places.map(|((node, network), wall)| (node, wall.address(), network)));
                (Links::new(nodes, Box::new(Firewall::new(walls))), packets, addresses)
            }
            Prepared::Proxy { ports, addresses } => {
                let proxy = ports.serve()?;
                let packets = Packets::of_streams(proxy.slowing(nodes));
                (Links::new(nodes, Box::new(proxy)), packets, addresses)
            }
        };
        let supervisor = SupervisorLine::new(socket);
        Ok(Ground { isolation, token, addresses, links, packets, supervisor, interrupts })
    }
}
