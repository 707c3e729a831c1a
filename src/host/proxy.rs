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
//! What goes to a node may also be late, or come no faster than at some rate ([`Slowing`]): then a gate lets pieces of
//! the streams through as if each were a packet. Streams lose, double and reorder nothing.
//!
//! Not like a real network: bytes that the kernel has already taken for the receiver arrive, and a dialler
//! believes to be connected before the node has accepted, at once.

mod slow;

pub use slow::{Slowing, is_possible};

use super::addresses::Addresses;
use super::links::{Medium, Road};
use elenchus_core::process::NodeId;
use elenchus_core::random::Seed;
use nix::sys::socket::{Shutdown, setsockopt, shutdown, sockopt};
use slow::{Late, PIECE, Slow};
use std::collections::BTreeMap;
use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};
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
    /// What makes the same links slow.
    pub fn slowing(&self, nodes: &[NodeId]) -> Slowing {
        Slowing::new(nodes, self.gates.clone())
    }

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
    /// What makes its bytes slow, if anything does; the same for all links to a node.
    slow: watch::Sender<Option<Arc<Mutex<Slow>>>>,
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
        let slow = watch::Sender::new(None);
        Gate { state: watch::Sender::new(State::Open), held_back: AtomicU64::new(0), slow }
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
    let mut slow = gate.slow.subscribe();
    let (mut late, mut has_ended) = (Late::default(), false);
    loop {
        let now = Instant::now();
        let reads_at = slow.borrow().as_ref().map_or(now, |slow| lock(slow).reads_at(now));
        let may_read = !has_ended && late.has_room() && reads_at <= now;
        tokio::select! {
            // Nobody need speak to be cut off.
            () = gate.barred() => {
                gate.pass().await?;
                continue;
            }
            // The sender is ours and lives as long: whatever is on its way is late no more.
            _ = slow.changed() => {
                late.hurry(Instant::now());
                continue;
            }
            () = at(late.due()), if !late.is_empty() => {
                send(&late.pop(), sink, gate).await?;
                if has_ended && late.is_empty() {
                    return finish(sink, gate).await;
                }
                continue;
            }
            () = at(Some(reads_at)), if !has_ended && reads_at > now => continue,
            readable = source.readable(), if may_read => readable?,
        }
        gate.pass().await?;
        let slow = slow.borrow().clone();
        let most = if slow.is_some() { PIECE } else { buffer.len() };
        let length = match source.try_read(&mut buffer[..most]) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            result => result?,
        };
        match (length, slow) {
            (0, _) if late.is_empty() => return finish(sink, gate).await,
            (0, _) => has_ended = true,
            (_, None) if late.is_empty() => send(&buffer[..length], sink, gate).await?,
            (_, slow) => {
                let now = Instant::now();
                let due = slow.map_or(now, |slow| lock(&slow).due(now, length));
                late.push(due, &buffer[..length]);
            }
        }
    }
}

/// Waits for this moment, or for ever.
async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment.into()).await,
        None => std::future::pending().await,
    }
}

fn lock(slow: &Mutex<Slow>) -> std::sync::MutexGuard<'_, Slow> {
    slow.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Sends these bytes as soon as the gate lets them through.
async fn send(mut rest: &[u8], sink: &TcpStream, gate: &Gate) -> io::Result<()> {
    while !rest.is_empty() {
        sink.writable().await?;
        match gate.through(|| sink.try_write(rest)) {
            None => gate.pass().await?,
            Some(Ok(sent)) => rest = &rest[sent..],
            Some(Err(error)) if error.kind() == io::ErrorKind::WouldBlock => {}
            Some(Err(error)) => return Err(error),
        }
    }
    Ok(())
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
mod tests;
