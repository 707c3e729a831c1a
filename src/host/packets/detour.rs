//! The other way into one node, for kernels without a packet queue: what peers send takes a detour through a
//! device of ours (`ifb`), where the kernel's `netem` or `tbf` deals with it, and comes back where it came in.
//!
//! A filter on the node's way in picks what is struck and counts it. The disciplines of an interface's way
//! out, which on a host are somebody else's, are never touched; nor is a way in that has filters already.
//! When a trouble ends the filter goes and the device stays until the next one: what waits there arrives late
//! still, and in its order. A cut looks at packets behind the detour, as it does behind the queue.
//!
//! What the kernel had put together from several packets of a stream suffers as one.

use super::picker::program;
use crate::host::isolation::Refusal;
use crate::host::kernel::Socket;
use crate::host::netlink;
use crate::host::netlink::disciplines::{self, Diversion, Netem};
use crate::host::netlink::routes::{self, Interface};
use elenchus_core::fault::Trouble;
use std::collections::BTreeSet;
use std::io;
use std::net::Ipv4Addr;

/// How many packets may wait.
const PACKETS_MAX: u32 = 16_384;
/// How many bytes may wait before a wire of limited rate, at the least; else what it carries in a second.
const WAITING_MIN: u64 = 8 << 10;
/// The longest name of an interface.
const NAME_MAX: usize = 15;
/// In every network namespace the loopback is the first.
const LOOPBACK: u32 = 1;
/// An Ethernet header with a tag, and some room.
const FRAME: u32 = 64;

/// The way into one node.
#[derive(Debug)]
pub(super) struct Detour {
    route: Socket,
    name: String,
    /// Our device, if it is there.
    device: Option<u32>,
    /// Whose ways in are diverted.
    diverted: Vec<u32>,
}

impl Detour {
    /// A way in the current network namespace that nothing takes yet. Nobody else there has a device of this
    /// name.
    pub fn open(name: &str) -> Result<Detour, Refusal> {
        let route = step("netlink socket", Socket::route())?;
        Ok(Detour { route, name: name.into(), device: None, diverted: vec![] })
    }

    /// From now on what comes from these addresses is in trouble.
    pub fn disturb(&mut self, trouble: Trouble, sources: &[Ipv4Addr]) -> Result<(), Refusal> {
        let interfaces = self.interfaces(sources)?;
        self.lead(trouble, sources, &interfaces)
    }

    /// The interfaces by which these addresses are reached, and so by which they reach us.
    fn interfaces(&mut self, sources: &[Ipv4Addr]) -> Result<Vec<Interface>, Refusal> {
        let mut found = BTreeSet::new();
        for source in sources {
            let routes = step("route to a peer", self.route.transact(vec![routes::route_to(*source)]))?;
            found.extend(routes.iter().filter_map(|route| routes::parse_route(route)));
        }
        found.remove(&LOOPBACK);
        let all = found.into_iter().map(|index| interface(&mut self.route, routes::link(index)));
        let all = all.collect::<Result<Vec<_>, _>>()?;
        // Who has no peers is in no trouble by them.
        if all.is_empty() && !sources.is_empty() {
            return Err(Refusal { step: "route to a peer".into(), errno: libc::ENETUNREACH });
        }
        Ok(all)
    }

    /// Leads what comes in by these interfaces through the trouble; where that is refused, nothing.
    pub(super) fn lead(
        &mut self,
        trouble: Trouble,
        sources: &[Ipv4Addr],
        interfaces: &[Interface],
    ) -> Result<(), Refusal> {
        self.close()?;
        let led = self.try_lead(trouble, sources, interfaces);
        if led.is_err() {
            // It was refused, which says more than what comes of taking back.
            let _ = self.close();
        }
        led
    }

    fn try_lead(
        &mut self,
        trouble: Trouble,
        sources: &[Ipv4Addr],
        interfaces: &[Interface],
    ) -> Result<(), Refusal> {
        step("device that packets are led through (ifb)", self.route.request(routes::ifb(&self.name)))?;
        let device = interface(&mut self.route, routes::link_named(&self.name))?.index;
        self.device = Some(device);
        let mtu = interfaces.iter().map(|interface| interface.mtu).max().unwrap_or(0);
        let discipline = match trouble {
            Trouble::Rate { kbit } => limit(device, kbit, mtu),
            other => disciplines::netem(device, suffering(other), PACKETS_MAX),
        };
        let kind = if matches!(trouble, Trouble::Rate { .. }) { "tbf" } else { "netem" };
        step(kind, self.route.request(discipline))?;
        let program = program(trouble, sources);
        for Interface { index, .. } in interfaces {
            let ingress = self.route.request(disciplines::ingress(*index));
            step("filters on the way in (sch_ingress)", ingress)?;
            self.diverted.push(*index);
            let divert = self.route.request(disciplines::divert(*index, &program, device));
            step("filter that diverts packets (cls_bpf, act_mirred)", divert)?;
        }
        Ok(())
    }

    /// From now on nothing is in trouble; what is on its detour arrives in its time. Returns how many packets
    /// the trouble has touched; 0 if there was none.
    pub fn calm(&mut self) -> Result<u64, Refusal> {
        let mut touched = 0;
        while let (Some(interface), Some(device)) = (self.diverted.last(), self.device) {
            touched += step("filters on the way in", give_back(&mut self.route, *interface, device))?;
            self.diverted.pop();
        }
        Ok(touched)
    }

    /// All is as it was before the first trouble. What still waits is lost.
    fn close(&mut self) -> Result<(), Refusal> {
        self.calm()?;
        if let Some(device) = self.device {
            let deleted = unless_gone(self.route.request(routes::delete_link(device)));
            step("device that packets are led through", deleted)?;
            self.device = None;
        }
        Ok(())
    }
}

impl Drop for Detour {
    fn drop(&mut self) {
        // In a namespace of the trial's it goes with that; on a host it stands in the list of what to undo.
        let _ = self.close();
    }
}

/// What `netem` does to what the filter picks. What it does not pick passes by the device, so who is held
/// back there is overtaken.
fn suffering(trouble: Trouble) -> Netem {
    let ns = |ms: u64| ms.saturating_mul(1_000_000);
    match trouble {
        Trouble::Delay { ms, jitter_ms } => Netem::Delay { ns: ns(ms), jitter_ns: ns(jitter_ms) },
        Trouble::Reorder { ms, .. } => Netem::Delay { ns: ns(ms), jitter_ns: 0 },
        Trouble::Loss { .. } => Netem::Lose,
        Trouble::Duplicate { .. } => Netem::Double,
        Trouble::Corrupt { .. } => Netem::Flip,
        Trouble::Rate { .. } => unreachable!("a rate is for tbf"),
    }
}

/// A wire of this rate: what would wait for more than a second is dropped.
fn limit(device: u32, kbit: u64, mtu: u32) -> netlink::Message {
    let rate = kbit.max(1).saturating_mul(125);
    // At high rates timers are too coarse for a packet at a time.
    let burst = u64::from(mtu + FRAME).max(rate / 200);
    let narrow = |bytes: u64| u32::try_from(bytes).unwrap_or(u32::MAX);
    disciplines::tbf(device, rate, narrow(burst), narrow(rate.max(WAITING_MIN).saturating_add(burst)))
}

fn interface(route: &mut Socket, question: netlink::Message) -> Result<Interface, Refusal> {
    let answer = step("interface", route.transact(vec![question]))?;
    let found = answer.iter().find_map(|one| Interface::parse(one));
    found.ok_or_else(|| Refusal { step: "interface".into(), errno: libc::EPROTO })
}

/// The name of our device where our tables have this one.
pub(super) fn device_name(table: &str) -> &str {
    &table[..table.len().min(NAME_MAX)]
}

/// Removes the device of this name from the current network namespace, and the filters that lead to it; that
/// there is none is as good. Filters of anybody else's stay.
pub(super) fn remove(name: &str) -> io::Result<()> {
    let mut route = Socket::route()?;
    let found = match route.transact(vec![routes::link_named(name)]) {
        Err(error) if error.raw_os_error() == Some(libc::ENODEV) => return Ok(()),
        other => other?,
    };
    let Some(device) = found.iter().find_map(|one| Interface::parse(one)) else { return Ok(()) };
    let all = route.transact(vec![disciplines::list_disciplines()])?;
    for interface in all.iter().filter_map(|one| disciplines::parse_ingress(one)) {
        if leads_to(device.index, &filters(&mut route, interface)?) {
            give_back(&mut route, interface, device.index)?;
        }
    }
    route.request(routes::delete_link(device.index))
}

fn filters(route: &mut Socket, interface: u32) -> io::Result<Vec<Vec<u8>>> {
    let mut listed = route.transact(vec![disciplines::list_diversions(interface)])?;
    listed.retain(|one| disciplines::is_filter(one));
    Ok(listed)
}

fn leads_to(device: u32, filters: &[Vec<u8>]) -> bool {
    filters.iter().filter_map(|one| Diversion::parse(one)).any(|one| one.to == device)
}

/// Leads nothing more from this interface to the device. Returns how many packets it was. Where others have
/// put filters beside ours they stay; that somebody has taken ours away is as good.
fn give_back(route: &mut Socket, interface: u32, device: u32) -> io::Result<u64> {
    let all = filters(route, interface)?;
    let ours: Vec<Diversion> = all.iter().filter_map(|one| Diversion::parse(one)).collect();
    let ours: Vec<Diversion> = ours.into_iter().filter(|one| one.to == device).collect();
    for diversion in &ours {
        unless_gone(route.request(diversion.delete()))?;
    }
    if ours.len() == all.len() {
        unless_gone(route.request(disciplines::delete_ingress(interface)))?;
    }
    Ok(ours.iter().map(|one| one.packets).sum())
}

fn unless_gone(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if [libc::ENODEV, libc::ENOENT].contains(&error.raw_os_error().unwrap_or(0)) => Ok(()),
        other => other,
    }
}

/// Tries all that any trouble needs, in the current network namespace, which has to be of nobody's use.
pub(super) fn try_out() -> Result<(), Refusal> {
    const BYSTANDER: &str = "bystander";
    let mut detour = Detour::open("elenchus")?;
    step("device that packets are led through (ifb)", detour.route.request(routes::ifb(BYSTANDER)))?;
    let bystander = interface(&mut detour.route, routes::link_named(BYSTANDER))?;
    for trouble in [Trouble::Delay { ms: 1, jitter_ms: 0 }, Trouble::Rate { kbit: 1 }] {
        detour.lead(trouble, &[Ipv4Addr::LOCALHOST], &[bystander])?;
        detour.calm()?;
    }
    Ok(())
}

fn step<T>(name: &str, result: io::Result<T>) -> Result<T, Refusal> {
    result.map_err(|error| Refusal::new(name, &error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sched::{CloneFlags, unshare};
    use std::thread;

    const RATE: Trouble = Trouble::Rate { kbit: 1_000 };
    const PEER: &[Ipv4Addr] = &[Ipv4Addr::LOCALHOST];

    /// Acts in a network of its own, where there is a card that packets could come in by; unless the kernel has
    /// no such things, or they are not ours to make.
    fn with_card(act: impl FnOnce(&mut Socket, Interface) + Send) {
        let acted = |scope| {
            unshare(CloneFlags::CLONE_NEWNET).map_err(|error| Refusal::new("unshare", &error.into()))?;
            let mut route = step("netlink socket", Socket::route())?;
            step("ifb", route.request(routes::ifb("card")))?;
            let card = interface(&mut route, routes::link_named("card"))?;
            Detour::open("probe")?.lead(RATE, PEER, &[card])?;
            act(&mut route, card);
            Ok::<_, Refusal>(scope)
        };
        let ended = thread::scope(|scope| scope.spawn(|| acted(())).join().expect("no panic"));
        if let Err(refusal) = ended {
            println!("not tried: {refusal}");
        }
    }

    fn is_there(route: &mut Socket, name: &str) -> bool {
        route.transact(vec![routes::link_named(name)]).is_ok()
    }

    fn diversions(route: &mut Socket, card: Interface) -> Option<usize> {
        let listed = route.transact(vec![disciplines::list_diversions(card.index)]).ok()?;
        Some(listed.iter().filter_map(|one| Diversion::parse(one)).count())
    }

    #[test]
    fn what_a_trouble_takes_is_given_back() {
        with_card(|route, card| {
            let mut detour = Detour::open("ours").unwrap();
            detour.lead(RATE, PEER, &[card]).unwrap();
            assert_eq!(diversions(route, card), Some(1));
            assert_eq!(detour.calm(), Ok(0));
            assert_eq!(diversions(route, card).unwrap_or(0), 0);
            assert!(is_there(route, "ours"), "for what still waits");
            detour.lead(RATE, PEER, &[card]).unwrap();
            drop(detour);
            assert!(!is_there(route, "ours"));
            assert_eq!(diversions(route, card).unwrap_or(0), 0);
        });
    }

    #[test]
    fn a_way_in_of_somebody_elses_is_left_alone() {
        with_card(|route, card| {
            let mut theirs = Detour::open("theirs").unwrap();
            theirs.lead(RATE, PEER, &[card]).unwrap();
            let mut ours = Detour::open("ours").unwrap();
            let refusal = ours.lead(RATE, PEER, &[card]).unwrap_err();
            assert_eq!(refusal.errno, libc::EEXIST, "{refusal}");
            assert!(refusal.step.contains("way in"), "{refusal}");
            assert!(!is_there(route, "ours"));
            remove("ours").unwrap();
            assert_eq!(diversions(route, card), Some(1));
        });
    }

    #[test]
    fn what_others_put_beside_ours_stays() {
        with_card(|route, card| {
            let mut ours = Detour::open("ours").unwrap();
            ours.lead(RATE, PEER, &[card]).unwrap();
            let theirs = disciplines::divert(card.index, &program(RATE, PEER), card.index);
            // The same place in the order of filters, by another name.
            route.request(theirs).unwrap();
            assert_eq!(diversions(route, card), Some(2));
            drop(ours);
            assert_eq!(diversions(route, card), Some(1));
            assert!(!is_there(route, "ours"));
        });
    }

    #[test]
    fn what_somebody_left_behind_is_removed_by_its_name() {
        with_card(|route, card| {
            let mut killed = Detour::open("ours").unwrap();
            killed.lead(RATE, PEER, &[card]).unwrap();
            std::mem::forget(killed);
            remove("ours").unwrap();
            assert!(!is_there(route, "ours"));
            assert_eq!(diversions(route, card).unwrap_or(0), 0);
            remove("ours").unwrap();
        });
    }
}
