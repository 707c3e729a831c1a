//! How many durable writes a second a cluster of five real processes on loopback serves to 20 clients.
//!
//! `cargo bench -p elenchus-systems --bench durable_writes [-- SECONDS [FOLDER [TRACE]]]`. The folder
//! decides what an fsync costs; the trace is `off`, `roles` or `all`. The figure that must be kept is 2,000 a second on two cores.

use elenchus_core::client::{Client, Request};
use elenchus_core::process::{NodeId, Process};
use elenchus_core::system::System;
use elenchus_core::value::Value;
use elenchus_reference::node::protocols::{Protocol, RaftOptions};
use elenchus_reference::node::{self, NodeOptions};
use elenchus_reference::protocol::Peer;
use elenchus_systems::bundled::BundledSystem;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::rc::Rc;
use std::time::{Duration, Instant};

const NODES: usize = 5;
const CLIENTS: usize = 20;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if arguments.first().is_some_and(|first| first == "node") {
        let options = serde_json::from_str(&arguments[1]).expect("the options come from this program");
        return if node::run(&options).is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    if !std::env::args().any(|argument| argument == "--bench") {
        return ExitCode::SUCCESS; // Run as a test: there is nothing to test.
    }
    let seconds = arguments.first().map_or(5, |text| text.parse().expect("SECONDS is a number"));
    let folder = arguments.get(1).map_or_else(std::env::temp_dir, PathBuf::from);
    let folder = folder.join(format!("elenchus-durable-writes-{}", std::process::id()));
    let raft = match arguments.get(2) {
        Some(trace) => RaftOptions { trace: trace.clone(), ..RaftOptions::default() },
        None => RaftOptions::default(),
    };
    measure(&folder, Duration::from_secs(seconds), raft);
    std::fs::remove_dir_all(&folder).expect("the folder can be removed");
    ExitCode::SUCCESS
}

/// Processes that end with this one, whatever happens.
struct Cluster(Vec<Child>);

impl Drop for Cluster {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn measure(folder: &Path, duration: Duration, raft: RaftOptions) {
    let options = options(folder, raft);
    let names: Vec<NodeId> = options.iter().map(|options| NodeId::new(&options.name)).collect();
    let program = std::env::current_exe().expect("this program has a path");
    let command = vec![program.to_str().expect("a path in UTF-8").to_owned(), "node".to_owned()];
    let system = Rc::new(BundledSystem::new(command, options));
    let mut cluster = Cluster(Vec::new());
    for name in &names {
        let argv = system.spawn(name).argv;
        let child = Command::new(&argv[0]).args(&argv[1..]).stdin(Stdio::null()).spawn();
        cluster.0.push(child.expect("a process can be started"));
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let mut latencies = tokio::task::LocalSet::new().block_on(&runtime, async {
        let mut clients = Vec::new();
        for slot in 0..CLIENTS {
            let (system, name) = (system.clone(), names[slot % NODES].clone());
            clients.push(tokio::task::spawn_local(write(system, name, slot, duration)));
        }
        let mut all = Vec::new();
        for client in clients {
            all.extend(client.await.expect("a client does not panic"));
        }
        all
    });
    latencies.sort_unstable();
    let at = |permille: usize| latencies[(latencies.len() - 1) * permille / 1000].as_secs_f64() * 1e3;
    println!(
        "{:.0} durable writes a second; latency p50 {:.2} ms, p99 {:.2} ms, max {:.2} ms",
        latencies.len() as f64 / duration.as_secs_f64(),
        at(500),
        at(990),
        at(1000)
    );
}

/// Writes one after the other through one node; the latency of each.
async fn write(system: Rc<BundledSystem>, node: NodeId, slot: usize, duration: Duration) -> Vec<Duration> {
    system.ready(&node).await.expect("the node answers");
    let mut client = system.connector().connect(&node, Process(slot as u32)).await.expect("a connection");
    // Until the cluster has a leader and the client a session.
    while !put(&mut *client, slot, 0).await {}
    let begun = Instant::now();
    let mut latencies = Vec::new();
    for n in 1.. {
        let sent = Instant::now();
        if sent.duration_since(begun) > duration {
            break;
        }
        assert!(put(&mut *client, slot, n).await, "{node} did not do a write");
        latencies.push(sent.elapsed());
    }
    latencies
}

async fn put(client: &mut dyn Client, slot: usize, n: i64) -> bool {
    let request = Request::Put { key: format!("key-{slot}"), value: Value::Int(n) };
    client.call(&request).await.is_ok()
}

fn options(folder: &Path, raft: RaftOptions) -> Vec<NodeOptions> {
    let held: Vec<TcpListener> =
        (0..NODES).map(|_| TcpListener::bind("127.0.0.1:0").expect("a port")).collect();
    let peers: Vec<SocketAddr> = held.iter().map(|port| port.local_addr().expect("an address")).collect();
    let options = |me: usize| NodeOptions {
        me: Peer(me as u16),
        name: format!("n{}", me + 1),
        listen: peers[me],
        peers: peers.clone(),
        data: folder.join(format!("n{}", me + 1)),
        trace: Some(folder.join(format!("n{}.trace.jsonl", me + 1))),
        seed: 1,
        cluster: std::process::id().into(),
        protocol: Protocol::Raft(raft.clone()),
    };
    std::fs::create_dir_all(folder).expect("the folder can be made");
    (0..NODES).map(options).collect()
}
