//! Cut links where namespaces are refused: every directed link leads through a proxy that can stall.
//!
//! All nodes listen on the loopback, and what `i` dials to reach `j` is a port of ours, so that we know who
//! speaks to whom. A connection carries two directed links, whoever dialled it: bytes from `i` to `j` pass
//! the gate of that link, answers the gate of the other. A shut gate stalls and never refuses: connections
//! stay open, what was sent waits with its sender (we stop reading, so nothing piles up here), ends of
//! streams wait too; a new connection waits until both its links are open, as a handshake does. When the
//! gate opens, all flows on. A barred gate ends the connections that lead through it, and new ones.
//! What waited or ended is counted, as proof that the cut struck.
//!
//! Not like a real network: bytes that the kernel has already taken for the receiver arrive, and a dialler
//! believes to be connected before the node has accepted.

use super::addresses::Addresses;
use super::links::{Medium, Road};
use elenchus_core::process::NodeId;
use elenchus_core::random::Seed;
use nix::sys::socket::{Shutdown, setsockopt, shutdown, sockopt};
use std::collections::BTreeMap;
use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, watch};

/// The ports of a trial, taken but not yet served.
#[derive(Debug)]
pub struct Ports {
    nodes: Vec<NodeId>,
    listen: Vec<SocketAddr>,
    doors: Vec<(Road, TcpListener)>,
    /// Keep other trials from choosing the nodes' ports while a node is down. Datagrams, so that the node
    /// itself is not in its own way.
    reservations: Vec<UdpSocket>,
}

impl Ports {
    /// Takes a port for each node, from `base` on if it is given, and one for each directed link.
    pub fn take(nodes: &[NodeId], base: Option<u16>) -> io::Result<Ports> {
        let mut ports = Ports { nodes: nodes.to_vec(), listen: vec![], doors: vec![], reservations: vec![] };
        let mut chance = Seed(RandomState::new().hash_one("ports")).rng();
        let ceiling = u64::from(first_ephemeral_port());
        let mut next = || SocketAddr::from((Ipv4Addr::LOCALHOST, chance.between(FLOOR, ceiling - 1) as u16));
        for i in 0..nodes.len() as u16 {
            let (address, reservation) = match base {
                Some(base) => {
                    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, base.saturating_add(i)));
                    (address, reserve_at(address)?)
                }
                None => reserve(&mut next)?,
            };
            ports.listen.push(address);
            ports.reservations.push(reservation);
        }
        for from in 0..nodes.len() {
            for to in (0..nodes.len()).filter(|to| *to != from) {
                let door = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
                ports.doors.push((Road { from, to }, door));
            }
        }
        Ok(ports)
    }

    /// Where everybody is.
    pub fn addresses(&self) -> io::Result<Addresses> {
        let mut addresses = Addresses::direct(self.nodes.iter().cloned().zip(self.listen.iter().copied()));
        for (Road { from, to }, door) in &self.doors {
            addresses.detour(self.nodes[*from].clone(), self.nodes[*to].clone(), door.local_addr()?);
        }
        Ok(addresses)
    }

    /// Serves all links from now on, in a thread of its own, until the process ends.
    pub fn serve(self) -> io::Result<Proxy> {
        let gate = |(road, _): &(Road, TcpListener)| (*road, Arc::new(Gate::default()));
        let gates: BTreeMap<Road, Arc<Gate>> = self.doors.iter().map(gate).collect();
        let proxy = Proxy { gates: gates.clone(), _reservations: self.reservations };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let mut doors = vec![];
        for (road, door) in self.doors {
            door.set_nonblocking(true)?;
            let there = gates[&road].clone();
            let back = gates[&Road { from: road.to, to: road.from }].clone();
            doors.push((door, self.listen[road.to], there, back));
        }
        let serve = async move {
            for (door, target, there, back) in doors {
                tokio::spawn(admit(door, target, there, back));
            }
            std::future::pending::<()>().await
        };
        thread::Builder::new().name("proxy".into()).spawn(move || runtime.block_on(serve))?;
        Ok(proxy)
    }
}

/// Below it are the ports of well-known services.
const FLOOR: u64 = 15_000;

/// The first port that the kernel gives to outgoing connections. One of them could take a node's port
/// while the node is down, so nodes get lower ones.
fn first_ephemeral_port() -> u16 {
    let range = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let first = range.split_whitespace().next().and_then(|first| first.parse().ok());
    first.filter(|port| *port > 20_000).unwrap_or(32_768)
}

/// A port that nobody uses, and what keeps it so.
fn reserve(next: &mut impl FnMut() -> SocketAddr) -> io::Result<(SocketAddr, UdpSocket)> {
    let mut refused = io::Error::from(io::ErrorKind::AddrInUse);
    for _ in 0..1000 {
        let address = next();
        match reserve_at(address) {
            Ok(reservation) => return Ok((address, reservation)),
            Err(error) => refused = error,
        }
    }
    Err(refused)
}

/// Keeps this port, if nobody uses it.
fn reserve_at(address: SocketAddr) -> io::Result<UdpSocket> {
    UdpSocket::bind(address).and_then(|udp| TcpListener::bind(address).map(|_| udp))
}

/// The links of a trial, each with a gate.
#[derive(Debug)]
pub struct Proxy {
    gates: BTreeMap<Road, Arc<Gate>>,
    _reservations: Vec<UdpSocket>,
}

impl Proxy {
    fn gates<'a>(&'a self, roads: &'a [Road]) -> impl Iterator<Item = &'a Gate> {
        roads.iter().map(|road| &*self.gates[road])
    }
}

impl Medium for Proxy {
    fn cut(&mut self, roads: &[Road]) -> io::Result<()> {
        self.gates(roads).for_each(|gate| gate.set_anew(State::Shut));
        Ok(())
    }

    fn reset(&mut self, roads: &[Road]) -> io::Result<()> {
        self.gates(roads).for_each(|gate| gate.set_anew(State::Barred));
        Ok(())
    }

    fn mend(&mut self, roads: &[Road]) -> io::Result<()> {
        self.gates(roads).for_each(Gate::open);
        Ok(())
    }

    fn held_back(&mut self, roads: &[Road]) -> io::Result<Vec<u64>> {
        Ok(self.gates(roads).map(|gate| gate.held_back.load(Relaxed)).collect())
    }
}

/// What a directed link passes through.
#[derive(Debug)]
struct Gate {
    state: watch::Sender<State>,
    /// Reads, ends of streams and connections that did not find the gate open since it was so last.
    held_back: AtomicU64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    /// Whoever comes waits.
    Shut,
    /// Whoever comes is turned away.
    Barred,
}

impl Default for Gate {
    fn default() -> Gate {
        Gate { state: watch::Sender::new(State::Open), held_back: AtomicU64::new(0) }
    }
}

impl Gate {
    /// Counts from nothing, and lets nothing more through.
    fn set_anew(&self, state: State) {
        self.held_back.store(0, Relaxed);
        self.state.send_replace(state);
    }

    fn open(&self) {
        self.state.send_replace(State::Open);
    }

    /// Waits until the gate is open, which may be at once. It may be shut again by the time of return. An
    /// error if it is barred.
    async fn pass(&self) -> io::Result<()> {
        let mut state = self.state.subscribe();
        if *state.borrow_and_update() == State::Open {
            return Ok(());
        }
        self.held_back.fetch_add(1, Relaxed);
        // The sender is ours, so this ends by the gate's change only.
        match state.wait_for(|state| *state != State::Shut).await.map(|state| *state) {
            Ok(State::Barred) => Err(io::ErrorKind::ConnectionReset.into()),
            _ => Ok(()),
        }
    }

    /// Waits until the gate is barred.
    async fn barred(&self) {
        // The sender is ours, so this ends by the gate's change only.
        let _ = self.state.subscribe().wait_for(|state| *state == State::Barred).await;
    }

    /// Acts if the gate is open. It cannot be shut meanwhile: once `shut` has returned, nothing passes.
    fn through<T>(&self, act: impl FnOnce() -> T) -> Option<T> {
        let state = self.state.borrow();
        (*state == State::Open).then(act)
    }
}

/// How many new connections may wait at one link; further ones wait with the kernel.
const WAITING_MAX: usize = 16;

async fn admit(door: TcpListener, target: SocketAddr, there: Arc<Gate>, back: Arc<Gate>) {
    let door = tokio::net::TcpListener::from_std(door).expect("a listener of this runtime's own thread");
    let places = Arc::new(Semaphore::new(WAITING_MAX));
    loop {
        let place = places.clone().acquire_owned().await.expect("never closed");
        let Ok((dialler, _)) = door.accept().await else {
            // Out of descriptors, most likely: some will be free soon.
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        let (there, back) = (there.clone(), back.clone());
        tokio::spawn(async move {
            while there.through(|| ()).is_none() || back.through(|| ()).is_none() {
                if there.pass().await.is_err() || back.pass().await.is_err() {
                    return reset(&dialler);
                }
            }
            let listener = TcpStream::connect(target).await;
            drop(place);
            // A node that does not listen: the dialler's connection ends as it is dropped.
            if let Ok(listener) = listener {
                carry(dialler, listener, there, back);
            }
        });
    }
}

/// Carries one connection's bytes both ways.
fn carry(dialler: TcpStream, listener: TcpStream, there: Arc<Gate>, back: Arc<Gate>) {
    let _ = (dialler.set_nodelay(true), listener.set_nodelay(true));
    let (dialler, listener) = (Arc::new(dialler), Arc::new(listener));
    for (source, sink, gate) in [(&dialler, &listener, there), (&listener, &dialler, back)] {
        let (source, sink) = (source.clone(), sink.clone());
        tokio::spawn(async move {
            if pump(&source, &sink, &gate).await.is_err() {
                if gate.pass().await.is_err() {
                    reset(&source);
                    reset(&sink);
                }
                end(&source);
                end(&sink);
            }
        });
    }
}

/// Carries bytes one way until their source ends, and then says so to the sink.
async fn pump(source: &TcpStream, sink: &TcpStream, gate: &Gate) -> io::Result<()> {
    let mut buffer = vec![0; 1 << 14];
    loop {
        tokio::select! {
            // Nobody need speak to be cut off.
            () = gate.barred() => {}
            readable = source.readable() => readable?,
        }
        gate.pass().await?;
        let length = match source.try_read(&mut buffer) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            result => result?,
        };
        if length == 0 {
            return finish(sink, gate).await;
        }
        let mut rest = &buffer[..length];
        while !rest.is_empty() {
            sink.writable().await?;
            match gate.through(|| sink.try_write(rest)) {
                None => gate.pass().await?,
                Some(Ok(sent)) => rest = &rest[sent..],
                Some(Err(error)) if error.kind() == io::ErrorKind::WouldBlock => {}
                Some(Err(error)) => return Err(error),
            }
        }
    }
}

/// Tells the sink that its source has ended.
async fn finish(sink: &TcpStream, gate: &Gate) -> io::Result<()> {
    loop {
        match gate.through(|| shutdown(fd(sink), Shutdown::Write)) {
            None => gate.pass().await?,
            Some(_) => return Ok(()),
        }
    }
}

/// Sees to it that the connection is reset as soon as we let go of it.
fn reset(stream: &TcpStream) {
    let at_once = libc::linger { l_onoff: 1, l_linger: 0 };
    // Fails only if it has ended already.
    let _ = setsockopt(stream, sockopt::Linger, &at_once);
}

fn end(stream: &TcpStream) {
    // Fails only if it has ended already.
    let _ = shutdown(fd(stream), Shutdown::Both);
}

fn fd(stream: &TcpStream) -> i32 {
    stream.as_raw_fd()
}

#[cfg(test)]
mod tests {
    use super::super::links::Links;
    use super::*;
    use elenchus_core::fault::{FaultId, Link};
    use std::io::{Read, Write};
    use std::net::TcpStream as Stream;

    struct Pair {
        links: Links,
        listener: TcpListener,
        addresses: Addresses,
        nodes: Vec<NodeId>,
    }

    impl Pair {
        fn new() -> Pair {
            let nodes = NodeId::numbered(2);
            let ports = Ports::take(&nodes, None).unwrap();
            let addresses = ports.addresses().unwrap();
            let listener = TcpListener::bind(addresses.listen(&nodes[1])).unwrap();
            let links = Links::new(&nodes, Box::new(ports.serve().unwrap()));
            Pair { links, listener, addresses, nodes }
        }

        fn dial(&self) -> Stream {
            let stream = Stream::connect(self.addresses.peer(&self.nodes[0], &self.nodes[1])).unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            stream
        }

        fn accept(&self) -> Stream {
            let stream = self.listener.accept().unwrap().0;
            stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            stream
        }

        fn link(&self, from: usize, to: usize) -> Link {
            Link { from: self.nodes[from].clone(), to: self.nodes[to].clone() }
        }
    }

    fn silent(stream: &mut Stream) -> bool {
        stream.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        let nothing = stream.read(&mut [0]).is_err_and(|e| e.kind() == io::ErrorKind::WouldBlock);
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        nothing
    }

    fn hear(stream: &mut Stream, expect: &[u8]) {
        let mut got = vec![0; expect.len()];
        stream.read_exact(&mut got).unwrap();
        assert_eq!(got, expect);
    }

    #[test]
    fn a_cut_stalls_one_way_only_and_flows_on_when_mended() {
        let pair = Pair::new();
        let mut dialler = pair.dial();
        let mut listener = pair.accept();
        dialler.write_all(b"one").unwrap();
        hear(&mut listener, b"one");

        pair.links.cut(FaultId(1), &[pair.link(0, 1)]).unwrap();
        dialler.write_all(b"two").unwrap();
        listener.write_all(b"back").unwrap();
        hear(&mut dialler, b"back");
        assert!(silent(&mut listener));

        assert!(pair.links.mend(FaultId(1)).unwrap().count > 0);
        hear(&mut listener, b"two");
    }

    #[test]
    fn answers_stall_when_their_own_link_is_cut() {
        let pair = Pair::new();
        let mut dialler = pair.dial();
        let mut listener = pair.accept();
        pair.links.cut(FaultId(1), &[pair.link(1, 0)]).unwrap();
        dialler.write_all(b"there").unwrap();
        hear(&mut listener, b"there");
        listener.write_all(b"back").unwrap();
        assert!(silent(&mut dialler));
        pair.links.mend(FaultId(1)).unwrap();
        hear(&mut dialler, b"back");
    }

    #[test]
    fn a_new_connection_waits_until_both_ways_are_open() {
        for (from, to) in [(0, 1), (1, 0)] {
            let pair = Pair::new();
            pair.links.cut(FaultId(1), &[pair.link(from, to)]).unwrap();
            let mut dialler = pair.dial();
            dialler.write_all(b"knock").unwrap();
            pair.listener.set_nonblocking(true).unwrap();
            thread::sleep(Duration::from_millis(50));
            assert!(pair.listener.accept().is_err());
            pair.listener.set_nonblocking(false).unwrap();
            assert!(pair.links.mend(FaultId(1)).unwrap().count > 0);
            hear(&mut pair.accept(), b"knock");
        }
    }

    fn has_ended(stream: &mut Stream) -> bool {
        stream.read(&mut [0]).map_or_else(|error| error.kind() != io::ErrorKind::WouldBlock, |got| got == 0)
    }

    #[test]
    fn a_barred_link_ends_connections_though_nobody_speaks_and_new_ones() {
        for (from, to) in [(0, 1), (1, 0)] {
            let pair = Pair::new();
            let (mut dialler, mut listener) = (pair.dial(), pair.accept());
            pair.links.reset(FaultId(1), &[pair.link(from, to)]).unwrap();
            assert!(has_ended(&mut dialler) && has_ended(&mut listener));
            assert!(has_ended(&mut pair.dial()));
            assert!(pair.links.mend(FaultId(1)).unwrap().count >= 2);
            let mut again = pair.dial();
            again.write_all(b"again").unwrap();
            hear(&mut pair.accept(), b"again");
        }
    }

    #[test]
    fn the_end_of_a_stream_waits_too() {
        let pair = Pair::new();
        let dialler = pair.dial();
        let mut listener = pair.accept();
        pair.links.cut(FaultId(1), &[pair.link(0, 1)]).unwrap();
        drop(dialler);
        assert!(silent(&mut listener));
        pair.links.mend(FaultId(1)).unwrap();
        assert_eq!(listener.read(&mut [0]).unwrap(), 0);
    }

    #[test]
    fn a_stalled_link_does_not_swallow_without_bound() {
        let pair = Pair::new();
        let mut dialler = pair.dial();
        let mut listener = pair.accept();
        pair.links.cut(FaultId(1), &[pair.link(0, 1)]).unwrap();
        dialler.set_write_timeout(Some(Duration::from_millis(100))).unwrap();
        let (chunk, mut sent) = (vec![7; 1 << 16], 0);
        while let Ok(length) = dialler.write(&chunk) {
            sent += length;
            assert!(sent < 64 << 20, "64 MiB went into a link that is cut");
        }
        pair.links.mend(FaultId(1)).unwrap();
        let mut received = vec![0; sent];
        listener.read_exact(&mut received).unwrap();
        assert!(received.iter().all(|byte| *byte == 7));
    }

    #[test]
    fn a_node_that_does_not_listen_ends_the_connection() {
        let Pair { links: _links, listener, addresses, nodes } = Pair::new();
        drop(listener);
        let mut dialler = Stream::connect(addresses.peer(&nodes[0], &nodes[1])).unwrap();
        dialler.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        assert!(matches!(dialler.read(&mut [0]), Ok(0)) || dialler.read(&mut [0]).is_err());
    }
}
