//! Where everybody is: what a node listens on, what its peers dial, what clients dial.

use elenchus_core::process::NodeId;
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// The addresses of a trial's nodes.
#[derive(Clone, Debug)]
pub struct Addresses {
    listen: BTreeMap<NodeId, SocketAddr>,
    /// Only links that do not lead straight to where the node listens.
    detours: BTreeMap<(NodeId, NodeId), SocketAddr>,
}

impl Addresses {
    /// Nodes that are dialled where they listen.
    pub fn direct(listen: impl IntoIterator<Item = (NodeId, SocketAddr)>) -> Addresses {
        Addresses { listen: listen.into_iter().collect(), detours: BTreeMap::new() }
    }

    /// The same, but what `from` sends to `to` must be sent to `via`.
    pub fn detour(&mut self, from: NodeId, to: NodeId, via: SocketAddr) {
        self.detours.insert((from, to), via);
    }

    /// What `node` listens on.
    ///
    /// # Panics
    /// When the trial has no such node.
    pub fn listen(&self, node: &NodeId) -> SocketAddr {
        *self.listen.get(node).unwrap_or_else(|| panic!("the trial has no node {node}"))
    }

    /// What `from` must dial to reach `to`. Only so can the link be cut.
    ///
    /// # Panics
    /// When the trial has no node `to`.
    pub fn peer(&self, from: &NodeId, to: &NodeId) -> SocketAddr {
        let key = (from.clone(), to.clone());
        self.detours.get(&key).copied().unwrap_or_else(|| self.listen(to))
    }

    /// What clients dial to reach `node`. No fault cuts that.
    ///
    /// # Panics
    /// When the trial has no such node.
    pub fn client(&self, node: &NodeId) -> SocketAddr {
        self.listen(node)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peers_take_the_detour_and_clients_do_not() {
        let nodes = NodeId::numbered(2);
        let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let mut addresses = Addresses::direct([(nodes[0].clone(), at(1)), (nodes[1].clone(), at(2))]);
        addresses.detour(nodes[0].clone(), nodes[1].clone(), at(9));
        assert_eq!(addresses.peer(&nodes[0], &nodes[1]), at(9));
        assert_eq!(addresses.peer(&nodes[1], &nodes[0]), at(1));
        assert_eq!(addresses.client(&nodes[1]), at(2));
    }
}
