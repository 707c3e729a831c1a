//! The ground made of namespaces: a bridge, and for each node a network namespace on a cable to it.
//!
//! The namespaces are anonymous: they live as long as a process or a descriptor is in them, so the kernel
//! removes them, their cables and their rules with the last process of the trial, however it ends. The
//! whole set-up doubles as the probe: whatever the kernel refuses is named with its errno.
//!
//! The controller and its clients live beside the bridge, at an address of their own. Addresses cannot
//! collide with those of the machine, whose network is another one.

use super::firewall::Wall;
use super::isolation::Refusal;
use super::kernel::Socket;
use super::netlink;
use elenchus_core::process::NodeId;
use nix::mount::{MsFlags, mount};
use nix::net::if_::if_nametoindex;
use nix::sched::{CloneFlags, setns, unshare};
use nix::unistd::{Gid, Uid};
use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

/// How many nodes have an address each.
pub const NODES_MAX: usize = 250;
/// What every node listens on.
const PORT: u16 = 7000;
const PREFIX: u8 = 24;
const BRIDGE: &str = "elenchus";

/// Whose rights a user namespace maps.
#[derive(Clone, Copy, Debug)]
pub struct Identity {
    user: Uid,
    group: Gid,
}

impl Identity {
    /// Who we are now, before a user namespace hides it.
    pub fn current() -> Identity {
        Identity { user: Uid::effective(), group: Gid::effective() }
    }
}

/// The namespaces of a trial.
#[derive(Debug)]
pub struct Namespaces {
    /// Each node's network namespace, in the order of the nodes.
    pub networks: Vec<OwnedFd>,
    /// Each node's packet filter.
    pub walls: Vec<Wall>,
}

/// What every node listens on, in their order.
pub fn addresses(nodes: &[NodeId]) -> impl Iterator<Item = (NodeId, SocketAddr)> + '_ {
    nodes.iter().enumerate().map(|(place, node)| (node.clone(), SocketAddr::from((address(place), PORT))))
}

fn address(place: usize) -> Ipv4Addr {
    let host = u8::try_from(place + 1).expect("the number of nodes was checked");
    Ipv4Addr::new(10, 77, 0, host)
}

fn step<T, E: Into<io::Error>>(name: impl Into<String>, result: Result<T, E>) -> Result<T, Refusal> {
    result.map_err(|error| Refusal::new(name, &error.into()))
}

/// Sets everything up. To be called by the first process of new mount and network namespaces, and with
/// `identity` if it is in a new user namespace too.
pub fn set_up(nodes: &[NodeId], identity: Option<Identity>) -> Result<Namespaces, Refusal> {
    if let Some(identity) = identity {
        map(identity)?;
    }
    let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    step("private mounts", mount(None::<&str>, "/", None::<&str>, private, None::<&str>))?;
    // Programs that look themselves up by their pid need a /proc that knows it. Where parts of /proc are
    // masked, as in a container, the kernel refuses; what does not look is as well off without.
    let quiet = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    let _ = mount(Some("proc"), "/proc", Some("proc"), quiet, None::<&str>);

    let mut route = step("netlink socket", Socket::route())?;
    step("loopback up", route.request(netlink::link_up(1)))?;
    step("bridge", route.request(netlink::bridge(BRIDGE)))?;
    let bridge = step("bridge", if_nametoindex(BRIDGE))?;
    let own = Ipv4Addr::new(10, 77, 0, 254);
    step("address of the bridge", route.request(netlink::address(bridge, own, PREFIX)))?;

    let home = step("own network namespace", network())?;
    let mut all = Namespaces { networks: vec![], walls: vec![] };
    for (place, node) in nodes.iter().enumerate() {
        let made = cable(place, node, &mut route, bridge);
        step("return from a network namespace", setns(home.as_fd(), CloneFlags::CLONE_NEWNET))?;
        let (network, wall) = made?;
        all.networks.push(network);
        all.walls.push(wall);
    }
    Ok(all)
}

/// Inside the new user namespace we stay who we are: a node that is executed there runs with its user's
/// rights and no others, while we, until we execute something, may do everything inside.
fn map(Identity { user, group }: Identity) -> Result<(), Refusal> {
    step("setgroups", fs::write("/proc/self/setgroups", "deny"))?;
    step("uid_map", fs::write("/proc/self/uid_map", format!("{user} {user} 1")))?;
    step("gid_map", fs::write("/proc/self/gid_map", format!("{group} {group} 1")))
}

fn network() -> io::Result<OwnedFd> {
    File::open("/proc/self/ns/net").map(OwnedFd::from)
}

/// Makes one node's network namespace, stays in it, and connects it to the bridge.
fn cable(place: usize, node: &NodeId, route: &mut Socket, bridge: u32) -> Result<(OwnedFd, Wall), Refusal> {
    let name = |what: &str| format!("{what} of {node}");
    step(name("network namespace"), unshare(CloneFlags::CLONE_NEWNET))?;
    let network = step(name("network namespace"), network())?;
    let end = format!("node{}", place + 1);
    step(name("cable"), route.request(netlink::veth(&end, bridge, "eth0", network.as_raw_fd())))?;

    let mut inside = step(name("netlink socket"), Socket::route())?;
    let eth0 = step(name("cable"), if_nametoindex("eth0"))?;
    step(name("loopback"), inside.request(netlink::link_up(1)))?;
    step(name("address"), inside.request(netlink::address(eth0, address(place), PREFIX)))?;
    step(name("link"), inside.request(netlink::link_up(eth0)))?;
    let wall = step(name("packet filter (nftables)"), Wall::build(address(place)))?;
    Ok((network, wall))
}
