//! Cut links by rules of our own in the host's packet filter.
//!
//! As in local trials a link is cut at its receiver, by the addresses of its sender; here the filter is the
//! host's and others use it too. All our rules lie in a table of our own (nftables), or in a chain of our own
//! with one jump to it (`iptables`, where the kernel has no nftables), whose name no other trial uses.

use super::programs;
use super::protocol::Peer;
use super::undo::{Faults, Undo};
use crate::host::connections::Connections;
use crate::host::filter::{self, Filter};
use crate::host::links::{Medium, Road};
use std::collections::BTreeMap;
use std::fmt::Display;
use std::io;
use std::net::IpAddr;

/// Holds back what comes from some addresses, all of one version of IP.
trait Barrier: Send {
    fn hold_back(&mut self, sources: &[IpAddr]) -> io::Result<()>;
    /// The same, but connections that are used are reset.
    fn reset(&mut self, sources: &[IpAddr]) -> io::Result<()>;
    fn let_pass(&mut self, sources: &[IpAddr]) -> io::Result<()>;
    /// How many packets from this address were held back since it was; 0 if it is not.
    fn count(&mut self, source: IpAddr) -> io::Result<u64>;
}

/// By what means links are cut.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FilterRequest {
    /// nftables where the kernel has them, else `iptables`.
    #[default]
    Auto,
    /// nftables, or not at all.
    Nftables,
    /// The program `iptables`, or not at all.
    Iptables,
}

/// The host's packet filter, as far as it is ours.
pub(super) struct Wall {
    /// Where each node's packets come from.
    sources: Vec<Vec<IpAddr>>,
    /// Which of the nodes run here.
    here: Vec<bool>,
    v4: Option<Box<dyn Barrier>>,
    v6: Option<Box<dyn Barrier>>,
    /// `None` where the kernel cannot end any.
    connections: Option<Connections>,
    /// How many connections were ended on each road since it was cut.
    ended: BTreeMap<Road, u64>,
}

impl Wall {
    /// Makes room for our rules under this name, and notes first how to remove it. Tries all that a cut will
    /// need. `here` says whether a node runs on this host.
    pub fn build(
        name: &str,
        request: FilterRequest,
        peers: &[Peer],
        here: impl Fn(&Peer) -> bool,
        faults: &mut Faults,
    ) -> Result<Wall, String> {
        let uses = |v6: bool| peers.iter().flat_map(|p| &p.addresses).any(|a| a.is_ipv6() == v6);
        let mut wall = Wall {
            sources: peers.iter().map(|peer| peer.addresses.clone()).collect(),
            here: peers.iter().map(here).collect(),
            v4: None,
            v6: None,
            connections: Connections::open().ok(),
            ended: BTreeMap::new(),
        };
        if uses(false) {
            wall.v4 = Some(barrier(name, request, false, faults)?);
        }
        if uses(true) {
            wall.v6 = Some(barrier(name, request, true, faults)?);
        }
        Ok(wall)
    }

    fn each(
        &mut self,
        roads: &[Road],
        mut act: impl FnMut(&mut dyn Barrier, &[IpAddr]) -> io::Result<()>,
    ) -> io::Result<()> {
        if let Some(road) = roads.iter().find(|road| !self.here[road.to]) {
            return Err(io::Error::other(format!("node {} does not run on this host", road.to + 1)));
        }
        let sources = roads.iter().flat_map(|road| self.sources[road.from].iter().copied());
        let (v4, v6): (Vec<IpAddr>, Vec<IpAddr>) = sources.partition(IpAddr::is_ipv4);
        for (barrier, sources) in [(&mut self.v4, v4), (&mut self.v6, v6)] {
            if let (Some(barrier), [_, ..]) = (barrier, &sources[..]) {
                act(&mut **barrier, &sources)?;
            }
        }
        Ok(())
    }
}

impl Wall {
    /// Ends what connects the two nodes of this road, and nothing else; whoever is at the other end hears of it.
    fn sever(&mut self, road: Road) -> io::Result<()> {
        if let Some(connections) = &mut self.connections {
            let ended = connections.end_between(&self.sources[road.to], &self.sources[road.from])?;
            *self.ended.entry(road).or_default() += ended;
        }
        Ok(())
    }

    /// Adds rules for all these roads, or none.
    fn add(
        &mut self,
        roads: &[Road],
        act: impl FnMut(&mut dyn Barrier, &[IpAddr]) -> io::Result<()>,
    ) -> io::Result<()> {
        let added = self.each(roads, act);
        if added.is_err() {
            // Each version's change is atomic, both together are not.
            let _ = self.mend(roads);
        }
        added
    }
}

impl Medium for Wall {
    fn cut(&mut self, roads: &[Road]) -> io::Result<()> {
        self.add(roads, |barrier, sources| barrier.hold_back(sources))
    }

    fn reset(&mut self, roads: &[Road]) -> io::Result<()> {
        self.add(roads, |barrier, sources| barrier.reset(sources))?;
        let severed = roads.iter().try_for_each(|road| self.sever(*road));
        if severed.is_err() {
            let _ = self.mend(roads);
        }
        severed
    }

    fn mend(&mut self, roads: &[Road]) -> io::Result<()> {
        self.each(roads, |barrier, sources| barrier.let_pass(sources))?;
        self.ended.retain(|road, _| !roads.contains(road));
        Ok(())
    }

    fn held_back(&mut self, roads: &[Road]) -> io::Result<Vec<u64>> {
        let mut counts = vec![];
        for road in roads {
            let mut count = self.ended.get(road).copied().unwrap_or(0);
            for source in self.sources[road.from].clone() {
                let barrier = if source.is_ipv4() { &mut self.v4 } else { &mut self.v6 };
                count += barrier.as_mut().map_or(Ok(0), |barrier| barrier.count(source))?;
            }
            counts.push(count);
        }
        Ok(counts)
    }
}

/// The means that are asked for and that this kernel grants, for this version of IP.
fn barrier(
    name: &str,
    request: FilterRequest,
    v6: bool,
    faults: &mut Faults,
) -> Result<Box<dyn Barrier>, String> {
    // Nothing is noted that could neither be made nor undone.
    permitted()?;
    let mut note = |undo| faults.begin(undo).map_err(|error| format!("the list of faults: {error}"));
    let mut refused = vec![];
    if request != FilterRequest::Iptables {
        note(Undo::Tables { name: name.into() })?;
        match if v6 { Filter::v6(name) } else { Filter::v4(name) } {
            Ok(filter) => return Ok(Box::new(filter)),
            Err(error) => refused.push(format!("nftables: {error}")),
        }
    }
    if request != FilterRequest::Nftables {
        note(Undo::Chains { name: name.into() })?;
        match Chain::build(name, v6) {
            Ok(chain) => return Ok(Box::new(chain)),
            Err(why) => refused.push(why),
        }
    }
    Err(refused.join("; "))
}

/// By what means this host could cut links, without trying it: rights and programs only.
pub(super) fn probe(request: FilterRequest) -> Result<String, String> {
    permitted()?;
    let mut refused = vec![];
    if request != FilterRequest::Iptables {
        match filter::answers() {
            Ok(()) => return Ok("nftables, in a table of our own".into()),
            Err(error) => refused.push(format!("nftables: {error}")),
        }
    }
    if request != FilterRequest::Nftables {
        match programs::run("iptables", &["-w", "5", "-S", "INPUT"]) {
            Ok(_) => return Ok("iptables, in a chain of our own".into()),
            Err(why) => refused.push(why),
        }
    }
    Err(refused.join("; "))
}

/// Whether we may change the packet filter at all.
pub(super) fn permitted() -> Result<(), String> {
    match super::rights::has_capability(super::rights::NET_ADMIN) {
        true => Ok(()),
        false => Err("changing the packet filter needs root (CAP_NET_ADMIN)".into()),
    }
}

/// Removes what stands under this name in nftables.
pub(super) fn remove_tables(name: &str) -> Result<(), String> {
    filter::remove(name).map_err(|error| format!("nftables table {name}: {error}"))
}

/// Removes what stands under this name in `iptables` and `ip6tables`.
pub(super) fn remove_chains(name: &str) -> Result<(), String> {
    for v6 in [false, true] {
        let mut chain = Chain { name: name.into(), program: program(v6) };
        if chain.run(&["-S", name]).is_ok() {
            chain.remove()?;
        }
    }
    Ok(())
}

impl Barrier for Filter {
    fn hold_back(&mut self, sources: &[IpAddr]) -> io::Result<()> {
        Filter::hold_back(self, sources)
    }

    fn reset(&mut self, sources: &[IpAddr]) -> io::Result<()> {
        Filter::reset(self, sources)
    }

    fn let_pass(&mut self, sources: &[IpAddr]) -> io::Result<()> {
        Filter::let_pass(self, sources)
    }

    fn count(&mut self, source: IpAddr) -> io::Result<u64> {
        self.dropped(source)
    }
}

/// A chain of our own in `iptables`.
struct Chain {
    name: String,
    program: &'static str,
}

fn program(v6: bool) -> &'static str {
    if v6 { "ip6tables" } else { "iptables" }
}

impl Chain {
    fn build(name: &str, v6: bool) -> Result<Chain, String> {
        let chain = Chain { name: name.into(), program: program(v6) };
        chain.run(&["-N", name])?;
        chain.run(&["-I", "INPUT", "1", "-j", name])?;
        Ok(chain)
    }

    fn run(&self, arguments: &[&str]) -> Result<String, String> {
        let waiting = ["-w", "5"].iter().chain(arguments).copied().collect::<Vec<_>>();
        programs::run(self.program, &waiting)
    }

    fn rule(&self, change: &str, source: &dyn Display) -> io::Result<()> {
        let source = source.to_string();
        self.run(&[change, &self.name, "-s", &source, "-j", "DROP"]).map(|_| ()).map_err(io::Error::other)
    }

    /// Removes the jumps to it, its rules, itself.
    fn remove(&mut self) -> Result<(), String> {
        let name = self.name.clone();
        while self.run(&["-C", "INPUT", "-j", &name]).is_ok() {
            self.run(&["-D", "INPUT", "-j", &name])?;
        }
        self.run(&["-F", &name])?;
        self.run(&["-X", &name]).map(|_| ())
    }
}

impl Barrier for Chain {
    fn hold_back(&mut self, sources: &[IpAddr]) -> io::Result<()> {
        for (done, source) in sources.iter().enumerate() {
            if let Err(error) = self.rule("-A", source) {
                let _ = self.let_pass(&sources[..done]);
                return Err(error);
            }
        }
        Ok(())
    }

    fn reset(&mut self, _sources: &[IpAddr]) -> io::Result<()> {
        Err(io::Error::other("connections are reset by nftables only; `iptables` cuts by dropping"))
    }

    fn let_pass(&mut self, sources: &[IpAddr]) -> io::Result<()> {
        for source in sources {
            if self.rule("-C", source).is_ok() {
                self.rule("-D", source)?;
            }
        }
        Ok(())
    }

    fn count(&mut self, source: IpAddr) -> io::Result<u64> {
        let rules = self.run(&["-v", "-S", &self.name]).map_err(io::Error::other)?;
        Ok(rules.lines().find_map(|rule| packets(rule, source)).unwrap_or(0))
    }
}

/// How many packets a rule has dropped, if it is about this address: `-A chain -s 10.0.0.1/32 -c 3 180 -j DROP`.
fn packets(rule: &str, source: IpAddr) -> Option<u64> {
    let words: Vec<&str> = rule.split_whitespace().collect();
    let after = |flag: &str| words.get(words.iter().position(|word| *word == flag)? + 1).copied();
    let address = after("-s")?.split('/').next()?.parse::<IpAddr>().ok()?;
    if address == source { after("-c")?.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_read_from_the_rule_of_that_address() {
        let v4: IpAddr = "10.77.0.3".parse().unwrap();
        let v6: IpAddr = "fd00::3".parse().unwrap();
        assert_eq!(packets("-A elenchus-1 -s 10.77.0.3/32 -c 3 180 -j DROP", v4), Some(3));
        assert_eq!(packets("-A elenchus-1 -s fd00:0::3/128 -c 4 180 -j DROP", v6), Some(4));
        assert_eq!(packets("-A elenchus-1 -s 10.77.0.33/32 -c 3 180 -j DROP", v4), None);
        for garbage in ["", "-N elenchus-1", "-A x -s", "-A x -s 10.77.0.3/32 -c", "-A x -s y -c 1"] {
            assert_eq!(packets(garbage, v4), None, "{garbage}");
        }
    }
}
