//! A bundled cluster of real processes, each this very test program with other arguments.

use elenchus_core::client::{Client, Request, Response};
use elenchus_core::fault::Skew;
use elenchus_core::outcome::Outcome;
use elenchus_core::process::{NodeId, Process};
use elenchus_core::system::{Clocks, Primaries, System};
use elenchus_core::value::Value;
use elenchus_reference::node::protocols::{Protocol, RaftOptions};
use elenchus_reference::node::{self, NodeOptions};
use elenchus_reference::protocol::Peer;
use elenchus_systems::bundled::BundledSystem;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Long enough for anything that must happen, on any machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Not a test: what a node's process does. The options are its last argument.
#[test]
#[ignore = "the other tests start it"]
fn be_a_node() {
    let Ok(options) = serde_json::from_str(&std::env::args().next_back().expect("a program has a name"))
    else {
        return; // Somebody runs ignored tests.
    };
    // Whoever started this process holds the other end of its input, until death.
    std::thread::spawn(|| {
        let _ = std::io::stdin().read(&mut [0]);
        std::process::exit(3);
    });
    let ended = node::run(&options);
    std::process::exit(if ended.is_ok() { 0 } else { 2 });
}

/// A cluster whose processes and files end with the test.
struct Cluster {
    folder: PathBuf,
    names: Vec<NodeId>,
    system: BundledSystem,
    children: Vec<Option<Child>>,
}

impl Cluster {
    /// A running cluster. Its elections are quick, so that the tests are.
    fn start(nodes: usize) -> Cluster {
        Cluster::start_with(nodes, RaftOptions::default())
    }

    fn start_with(nodes: usize, raft: RaftOptions) -> Cluster {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let name =
            format!("elenchus-cluster-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        let raft = RaftOptions { heartbeat_ms: 50, election_min_ms: 500, election_max_ms: 1000, ..raft };
        let options = options(&folder, nodes, &raft);
        let program = std::env::current_exe().unwrap().to_str().unwrap().to_owned();
        let mut command = vec![program];
        command.extend(["be_a_node", "--exact", "--ignored", "--nocapture"].map(str::to_owned));
        let names = options.iter().map(|options| NodeId::new(&options.name)).collect();
        let system = BundledSystem::new(command, options);
        let mut cluster = Cluster { folder, names, system, children: Vec::new() };
        for node in 0..nodes {
            cluster.children.push(None);
            cluster.spawn(node);
        }
        cluster
    }

    fn spawn(&mut self, node: usize) {
        let argv = self.system.spawn(&self.names[node]).argv;
        let stderr = OpenOptions::new().append(true).create(true).open(self.stderr(node)).unwrap();
        let child = Command::new(&argv[0])
            .args(&argv[1..])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(stderr)
            .spawn();
        self.children[node] = Some(child.unwrap());
    }

    fn stderr(&self, node: usize) -> PathBuf {
        self.folder.join(format!("{}.stderr", self.names[node]))
    }

    fn said(&self, node: usize) -> String {
        std::fs::read_to_string(self.stderr(node)).unwrap()
    }

    fn kill(&mut self, node: usize) {
        let mut child = self.children[node].take().expect("it runs");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// How the node's process ended by itself.
    fn ended(&mut self, node: usize) -> ExitStatus {
        let begun = Instant::now();
        let child = self.children[node].as_mut().expect("it was started");
        loop {
            if let Some(status) = child.try_wait().unwrap() {
                return status;
            }
            assert!(begun.elapsed() < PATIENCE, "node {node} does not end");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn signal(&self, node: usize, signal: nix::sys::signal::Signal) {
        let child = self.children[node].as_ref().expect("it runs");
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(child.id() as i32), signal).unwrap();
    }

    fn data(&self, node: usize) -> PathBuf {
        self.folder.join(self.names[node].as_str())
    }

    /// The node's file that holds the most.
    fn largest_file(&self, node: usize) -> PathBuf {
        let files = std::fs::read_dir(self.data(node)).unwrap().map(|entry| entry.unwrap().path());
        files.max_by_key(|path| path.metadata().unwrap().len()).expect("a node has files")
    }

    async fn connect(&self, node: usize) -> Box<dyn Client> {
        self.system.ready(&self.names[node]).await.unwrap();
        self.system.connector().connect(&self.names[node], Process(0)).await.unwrap()
    }

    /// Asks through one node until it is done.
    async fn ask(&self, node: usize, request: &Request) -> Response {
        let begun = Instant::now();
        let mut client = self.connect(node).await;
        loop {
            match client.call(request).await {
                Outcome::Ok(response) => return response,
                other => assert!(begun.elapsed() < PATIENCE, "node {node}: {other:?}\n{}", self.said(node)),
            }
        }
    }

    async fn write(&self, node: usize, key: &str, n: i64) {
        let request = Request::Put { key: key.into(), value: Value::Int(n) };
        assert_eq!(self.ask(node, &request).await, Response::Done);
    }

    async fn read(&self, node: usize, key: &str) -> Value {
        match self.ask(node, &Request::Get { key: key.into() }).await {
            Response::Value(value) => value,
            other => panic!("{other:?}"),
        }
    }

    /// The node that leads the highest term, once one does.
    async fn leader(&self) -> usize {
        let begun = Instant::now();
        loop {
            let mut leaders = Vec::new();
            for node in (0..self.names.len()).filter(|&node| self.children[node].is_some()) {
                if let Ok(leadership) = self.system.leads(&self.names[node]).await
                    && leadership.leads
                {
                    leaders.push((leadership.term, node));
                }
            }
            if let Some((_, node)) = leaders.into_iter().max() {
                return node;
            }
            assert!(begun.elapsed() < PATIENCE, "nobody leads");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for child in self.children.iter_mut().flatten() {
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            for node in 0..self.names.len() {
                eprintln!("{}", self.said(node));
            }
        }
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn options(folder: &Path, nodes: usize, raft: &RaftOptions) -> Vec<NodeOptions> {
    let held: Vec<TcpListener> = (0..nodes).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    let peers: Vec<SocketAddr> = held.iter().map(|port| port.local_addr().unwrap()).collect();
    let cluster = u64::from(std::process::id()) << 32 | u64::from(peers[0].port());
    let options = |me: usize| NodeOptions {
        me: Peer(me as u16),
        name: format!("n{}", me + 1),
        listen: peers[me],
        peers: peers.clone(),
        data: folder.join(format!("n{}", me + 1)),
        trace: Some(folder.join(format!("n{}.trace.jsonl", me + 1))),
        seed: 1,
        cluster,
        protocol: Protocol::Raft(raft.clone()),
    };
    (0..nodes).map(options).collect()
}

fn on_runtime<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

#[test]
fn every_node_serves_reads_and_writes() {
    let cluster = Cluster::start(3);
    on_runtime(async {
        for node in 0..3 {
            cluster.write(node, "x", node as i64).await;
            for other in 0..3 {
                assert_eq!(cluster.read(other, "x").await, Value::Int(node as i64));
            }
        }
        let txn = Request::Txn(vec![
            Request::Cas { key: "x".into(), from: Value::Int(2), to: Value::Int(9) },
            Request::Append { key: "y".into(), text: "a".into() },
            Request::Get { key: "y".into() },
        ]);
        let answers = vec![Response::Done, Response::Done, Response::Value(Value::str("a"))];
        assert_eq!(cluster.ask(1, &txn).await, Response::Txn(answers));
        let mut client = cluster.connect(0).await;
        assert!(
            matches!(client.call(&txn).await, Outcome::Fail(_)),
            "the cas is refused now, and all with it"
        );
        assert_eq!(cluster.read(2, "y").await, Value::str("a"));
    });
}

#[test]
fn the_cluster_goes_on_without_its_leader_and_takes_it_back() {
    let mut cluster = Cluster::start(3);
    on_runtime(async {
        cluster.write(0, "x", 1).await;
        let old = cluster.leader().await;
        cluster.kill(old);
        let other = (old + 1) % 3;
        assert_eq!(cluster.read(other, "x").await, Value::Int(1));
        cluster.write(other, "x", 2).await;
        assert_ne!(cluster.leader().await, old);
        cluster.spawn(old);
        assert_eq!(cluster.read(old, "x").await, Value::Int(2));
    });
}

#[test]
fn what_was_acknowledged_survives_the_death_of_all() {
    let mut cluster = Cluster::start(3);
    on_runtime(async {
        for round in 0..3 {
            cluster.write(round, &format!("x{round}"), 1).await;
            for node in 0..3 {
                cluster.kill(node);
            }
            for node in 0..3 {
                cluster.spawn(node);
            }
            for earlier in 0..=round {
                assert_eq!(cluster.read(2 - round, &format!("x{earlier}")).await, Value::Int(1));
            }
        }
    });
}

#[test]
fn snapshots_and_short_logs_survive_the_death_of_all() {
    let mut cluster = Cluster::start_with(3, RaftOptions { snapshot_every: 20, ..RaftOptions::default() });
    on_runtime(async {
        let mut client = cluster.connect(0).await;
        let late = 2;
        cluster.write(0, "x", -1).await;
        cluster.kill(late);
        for n in 0..100 {
            let request = Request::Put { key: format!("k{}", n % 7), value: Value::Int(n) };
            while !client.call(&request).await.is_ok() {}
        }
        for node in 0..2 {
            cluster.kill(node);
            cluster.spawn(node);
        }
        cluster.spawn(late);
        for n in 93..100 {
            assert_eq!(cluster.read(late, &format!("k{}", n % 7)).await, Value::Int(n));
        }
    });
}

#[test]
fn a_torn_tail_is_cut_off_and_nothing_acknowledged_is_lost() {
    let mut cluster = Cluster::start(3);
    on_runtime(async {
        for n in 0..20 {
            cluster.write(n % 3, "x", n as i64).await;
        }
        for node in 0..3 {
            cluster.kill(node);
            // The beginning of a record that the crash cut off: the last one's first bytes once more.
            let path = cluster.largest_file(node);
            let bytes = std::fs::read(&path).unwrap();
            let tail = &bytes[bytes.len() - 5..];
            OpenOptions::new().append(true).open(&path).unwrap().write_all(tail).unwrap();
        }
        for node in 0..3 {
            cluster.spawn(node);
        }
        assert_eq!(cluster.read(1, "x").await, Value::Int(19));
        for node in 0..3 {
            assert!(cluster.said(node).contains("torn its end"), "{}", cluster.said(node));
        }
        cluster.write(2, "x", 20).await;
        assert_eq!(cluster.read(0, "x").await, Value::Int(20));
    });
}

#[test]
fn damage_in_the_middle_stops_a_node_with_a_clear_word_and_the_others_go_on() {
    let mut cluster = Cluster::start(3);
    on_runtime(async {
        for n in 0..30 {
            cluster.write(n % 3, "x", n as i64).await;
        }
        cluster.kill(0);
        let path = cluster.largest_file(0);
        let mut bytes = std::fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0x10;
        File::create(&path).unwrap().write_all(&bytes).unwrap();
        cluster.spawn(0);
        assert_eq!(cluster.ended(0).code(), Some(2), "{}", cluster.said(0));
        let said = cluster.said(0);
        let name = path.file_name().unwrap().to_str().unwrap();
        assert!(said.lines().last().unwrap().contains(name), "the last line names the file: {said}");
        assert_eq!(cluster.read(1, "x").await, Value::Int(29));
    });
}

#[test]
fn a_clock_that_is_set_is_read_so_until_it_is_set_back() {
    let cluster = Cluster::start(3);
    on_runtime(async {
        cluster.write(0, "x", 1).await;
        let node = &cluster.names[cluster.leader().await];
        let bump = Skew::Bump { delta_ms: 60_000 };
        assert_eq!(cluster.system.skew(node, Some(bump)).await, Ok(60_000_000_000));
        assert_eq!(cluster.system.clock(node).await, Ok(60_000_000_000));
        cluster.write(1, "x", 2).await;
        let drift = Skew::Drift { rate_ppm: 500_000 };
        cluster.system.skew(node, Some(drift)).await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert!(cluster.system.clock(node).await.unwrap() >= 10_000_000);
        assert_eq!(cluster.system.skew(node, None).await, Ok(0));
        cluster.write(2, "x", 3).await;
        assert_eq!(cluster.read(0, "x").await, Value::Int(3));
    });
}

#[test]
fn a_paused_leader_is_replaced_and_catches_up() {
    let cluster = Cluster::start(3);
    on_runtime(async {
        cluster.write(0, "x", 1).await;
        let old = cluster.leader().await;
        cluster.signal(old, nix::sys::signal::Signal::SIGSTOP);
        cluster.write((old + 1) % 3, "x", 2).await;
        assert!(cluster.system.clock(&cluster.names[old]).await.is_err(), "it does not answer");
        cluster.signal(old, nix::sys::signal::Signal::SIGCONT);
        assert_eq!(cluster.read(old, "x").await, Value::Int(2));
    });
}
