//! Cut links by packet filter rules inside each node's network namespace.
//!
//! A link is cut at its receiver, on the way in, by the sender's address: so a cut has a direction, and the
//! rule's own counter proves that it struck. The rules live in a table of our own.

use super::kernel::Socket;
use super::links::{Medium, Road};
use super::netlink::{self, Rule};
use std::collections::BTreeMap;
use std::io;
use std::net::Ipv4Addr;

/// The packet filters of all nodes, in their order.
#[derive(Debug)]
pub struct Firewall {
    nodes: Vec<Wall>,
}

/// The packet filter of one node.
#[derive(Debug)]
pub struct Wall {
    address: Ipv4Addr,
    socket: Socket,
}

impl Wall {
    /// The filter of the current network namespace, whose node has this address. Tries all that a cut will
    /// need, so that a kernel without it says so now.
    pub fn build(address: Ipv4Addr) -> io::Result<Wall> {
        let mut wall = Wall { address, socket: Socket::filter()? };
        wall.change(vec![netlink::new_table(), netlink::new_chain()])?;
        wall.change(vec![netlink::drop_rule(address)])?;
        let trial = wall.rules()?;
        let rule = trial
            .iter()
            .find(|rule| rule.source == address)
            .ok_or_else(|| io::Error::from_raw_os_error(libc::EPROTO))?;
        wall.change(vec![netlink::delete_rule(rule.handle)])?;
        Ok(wall)
    }

    /// The address of its node.
    pub fn address(&self) -> Ipv4Addr {
        self.address
    }

    fn change(&mut self, changes: Vec<netlink::Message>) -> io::Result<()> {
        if changes.is_empty() {
            return Ok(());
        }
        self.socket.transact(netlink::transaction(changes)).map(|_| ())
    }

    fn rules(&mut self) -> io::Result<Vec<Rule>> {
        let entries = self.socket.transact(vec![netlink::list_rules()])?;
        Ok(entries.iter().filter_map(|entry| Rule::parse(entry)).collect())
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
        mut act: impl FnMut(&mut Wall, &[Ipv4Addr]) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut sources: BTreeMap<usize, Vec<Ipv4Addr>> = BTreeMap::new();
        for road in roads {
            sources.entry(road.to).or_default().push(self.nodes[road.from].address);
        }
        sources.into_iter().try_for_each(|(to, sources)| act(&mut self.nodes[to], &sources))
    }

    /// Adds the rules of all these roads, or none.
    fn add(&mut self, roads: &[Road], rules: impl Fn(Ipv4Addr) -> Vec<netlink::Message>) -> io::Result<()> {
        let added = self.each(roads, |wall, sources| {
            wall.change(sources.iter().flat_map(|source| rules(*source)).collect())
        });
        if added.is_err() {
            // Each node's change is atomic, all of them together are not: take back those that succeeded.
            self.mend(roads)?;
        }
        added
    }

    fn dropped(&mut self, road: Road) -> io::Result<u64> {
        let source = self.nodes[road.from].address;
        let rules = self.nodes[road.to].rules()?;
        Ok(rules.iter().filter(|rule| rule.source == source).map(|rule| rule.packets).sum())
    }
}

impl Medium for Firewall {
    fn cut(&mut self, roads: &[Road]) -> io::Result<()> {
        self.add(roads, |source| vec![netlink::drop_rule(source)])
    }

    fn reset(&mut self, roads: &[Road]) -> io::Result<()> {
        self.add(roads, |source| netlink::reset::reset_rules(source).into())
    }

    fn mend(&mut self, roads: &[Road]) -> io::Result<()> {
        self.each(roads, |wall, sources| {
            let rules = wall.rules()?;
            let gone = rules.iter().filter(|rule| sources.contains(&rule.source));
            wall.change(gone.map(|rule| netlink::delete_rule(rule.handle)).collect())
        })
    }

    fn held_back(&mut self, roads: &[Road]) -> io::Result<Vec<u64>> {
        roads.iter().map(|road| self.dropped(*road)).collect()
    }
}
