//! Cut links by packet filter rules inside each node's network namespace.
//!
//! A link is cut at its receiver, on the way in, by the sender's address: so a cut has a direction, and the
//! rule's own counter proves that it struck. The rules live in a table of our own.

use super::filter::Filter;
use super::links::{Medium, Road};
use super::netlink::Rule;
use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr};

/// The table's name: each node has a network namespace of its own, so one name does for all.
const TABLE: &str = "elenchus";

/// The packet filters of all nodes, in their order.
#[derive(Debug)]
pub struct Firewall {
    nodes: Vec<Wall>,
}

/// The packet filter of one node.
#[derive(Debug)]
pub struct Wall {
    address: IpAddr,
    filter: Filter,
}

impl Wall {
    /// The filter of the current network namespace, whose node has this address. Tries all that a cut will
    /// need, so that a kernel without it says so now.
    pub fn build(address: Ipv4Addr) -> io::Result<Wall> {
        Ok(Wall { address: address.into(), filter: Filter::v4(TABLE)? })
    }
}

impl Firewall {
    /// All nodes' filters.
    pub fn new(nodes: Vec<Wall>) -> Firewall {
        Firewall { nodes }
    }

    /// Does something in each receiver's namespace, with the addresses of those cut off from it.
    fn each(
        &mut self,
        roads: &[Road],
        mut act: impl FnMut(&mut Wall, &[IpAddr]) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut sources: BTreeMap<usize, Vec<IpAddr>> = BTreeMap::new();
        for road in roads {
            sources.entry(road.to).or_default().push(self.nodes[road.from].address);
        }
        sources.into_iter().try_for_each(|(to, sources)| act(&mut self.nodes[to], &sources))
    }

    fn rule(&mut self, road: Road) -> io::Result<Option<Rule>> {
        let source = self.nodes[road.from].address;
        Ok(self.nodes[road.to].filter.rules()?.remove(&source))
    }
}

impl Medium for Firewall {
    fn cut(&mut self, roads: &[Road]) -> io::Result<()> {
        let cut = self.each(roads, |wall, sources| wall.filter.hold_back(sources));
        if cut.is_err() {
            // Each node's change is atomic, all of them together are not: take back those that succeeded.
            self.mend(roads)?;
        }
        cut
    }

    fn mend(&mut self, roads: &[Road]) -> io::Result<()> {
        self.each(roads, |wall, sources| wall.filter.let_pass(sources))
    }

    fn held_back(&mut self, roads: &[Road]) -> io::Result<Vec<u64>> {
        roads.iter().map(|road| Ok(self.rule(*road)?.map_or(0, |rule| rule.packets))).collect()
    }
}
