//! Cut links by packet filter rules inside each node's network namespace.
//!
//! A link is cut at its receiver, on the way in, by the sender's address: so a cut has a direction, and the
//! rule's own counter proves that it struck. The rules live in a table of our own. Where a cut resets, connections on
//! which nobody speaks are ended too, at both ends.

use super::connections::Connections;
use super::filter::Filter;
use super::links::{Medium, Road};
use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr};

/// The table's name: each node has a network namespace of its own, so one name does for all.
pub(super) const TABLE: &str = "elenchus";

/// The packet filters of all nodes, in their order.
#[derive(Debug)]
pub struct Firewall {
    nodes: Vec<Wall>,
    /// How many connections were ended on each road since it was cut.
    ended: BTreeMap<Road, u64>,
}

/// The packet filter of one node.
#[derive(Debug)]
pub struct Wall {
    address: Ipv4Addr,
    filter: Filter,
    /// `None` where the kernel cannot end any.
    connections: Option<Connections>,
}

impl Wall {
    /// The filter of the current network namespace, whose node has this address. Tries all that a cut will
    /// need, so that a kernel without it says so now.
    pub fn build(address: Ipv4Addr) -> io::Result<Wall> {
        Ok(Wall { address, filter: Filter::v4(TABLE)?, connections: Connections::open().ok() })
    }

    /// The address of its node.
    pub fn address(&self) -> Ipv4Addr {
        self.address
    }
}

impl Firewall {
    /// All nodes' filters.
    pub fn new(nodes: Vec<Wall>) -> Firewall {
        Firewall { nodes, ended: BTreeMap::new() }
    }

    /// Ends what connects the two ends of this road. Whichever end hears of it first tells the other one, unless what
    /// it says is lost on its way; so both are asked.
    fn sever(&mut self, road: Road) -> io::Result<()> {
        let mut ended = 0;
        for (here, there) in [(road.to, road.from), (road.from, road.to)] {
            let theirs = self.nodes[there].address.into();
            let Wall { address, connections: Some(connections), .. } = &mut self.nodes[here] else {
                continue;
            };
            ended = connections.end_between(&[(*address).into()], &[theirs])?.max(ended);
        }
        *self.ended.entry(road).or_default() += ended;
        Ok(())
    }

    /// Does something in each receiver's namespace, with the addresses of those cut off from it.
    fn each(
        &mut self,
        roads: &[Road],
        mut act: impl FnMut(&mut Filter, &[IpAddr]) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut sources: BTreeMap<usize, Vec<IpAddr>> = BTreeMap::new();
        for road in roads {
            sources.entry(road.to).or_default().push(self.nodes[road.from].address.into());
        }
        sources.into_iter().try_for_each(|(to, sources)| act(&mut self.nodes[to].filter, &sources))
    }

    /// Adds rules for all these roads, or none.
    fn add(
        &mut self,
        roads: &[Road],
        act: impl FnMut(&mut Filter, &[IpAddr]) -> io::Result<()>,
    ) -> io::Result<()> {
        let added = self.each(roads, act);
        if added.is_err() {
            // Each node's change is atomic, all of them together are not: take back those that succeeded.
            self.mend(roads)?;
        }
        added
    }
}

impl Medium for Firewall {
    fn cut(&mut self, roads: &[Road]) -> io::Result<()> {
        self.add(roads, Filter::hold_back)
    }

    fn reset(&mut self, roads: &[Road]) -> io::Result<()> {
        self.add(roads, Filter::reset)?;
        let severed = roads.iter().try_for_each(|road| self.sever(*road));
        if severed.is_err() {
            self.mend(roads)?;
        }
        severed
    }

    fn mend(&mut self, roads: &[Road]) -> io::Result<()> {
        self.each(roads, Filter::let_pass)?;
        self.ended.retain(|road, _| !roads.contains(road));
        Ok(())
    }

    fn held_back(&mut self, roads: &[Road]) -> io::Result<Vec<u64>> {
        let dropped = |road: &Road| {
            let source = self.nodes[road.from].address.into();
            let dropped = self.nodes[road.to].filter.dropped(source)?;
            Ok(dropped + self.ended.get(road).copied().unwrap_or(0))
        };
        roads.iter().map(dropped).collect()
    }
}
