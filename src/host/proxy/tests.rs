//! Links that stall, bar and slow down, between two sockets of ours.

use super::*;
use crate::host::links::Links;
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
