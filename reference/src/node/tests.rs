//! Tests of the node with a replica that does little, so that each promise of the driver is seen by itself.

mod members;

use super::protocols::RaftOptions;
use super::*;
use crate::frame::{self, Decoder};
use crate::hello::Hello;
use crate::protocol::{Connection, Input, Output, Status, SyncId, Tick, Timer};
use crate::wire::{Answer, Command, Datum, ToClient, ToNode};
use elenchus_core::trace::{Line, Node};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener as Std, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// A folder of this test alone, removed in the end.
pub(super) struct Scratch(PathBuf);

impl Scratch {
    pub(super) fn new() -> Scratch {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let name = format!("elenchus-node-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        Scratch(std::env::temp_dir().join(name))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

const CLUSTER: u64 = 0xfeed;
const ALARM: Timer = Timer(1);

/// A replica that writes down what it is told and passes it on. It agrees with nobody.
struct Scribe {
    me: Peer,
    peers: u16,
    text: String,
    heard: String,
    role: &'static str,
    syncs: u64,
    waiting: BTreeMap<SyncId, (Connection, u64)>,
}

impl Scribe {
    fn new(me: Peer, peers: u16) -> Scribe {
        let (text, heard) = (String::new(), String::new());
        Scribe { me, peers, text, heard, role: "quiet", syncs: 0, waiting: BTreeMap::new() }
    }

    fn restart(&mut self, now: Tick, files: Vec<(String, Vec<u8>)>, out: &mut Vec<Output>) {
        let log = files.into_iter().find(|(name, _)| name == "log").map(|(_, bytes)| bytes);
        self.text = String::from_utf8(log.unwrap_or_default()).unwrap();
        if self.text.contains("poison") {
            out.push(Output::Trace(Line::new("Poisoned", Node::Number(1))));
            out.push(Output::Halt("the log is poisoned: restore it".into()));
        }
        out.push(Output::SetTimer { timer: ALARM, at: Tick(now.0 + 10_000_000_000) });
    }

    fn request(&mut self, connection: Connection, request: ToNode, out: &mut Vec<Output>) {
        let (id, command) = match request {
            ToNode::Read { id, .. } => {
                let results = [&self.text, &self.heard].map(|text| Some(Datum::Text(text.clone())));
                return out.push(done(connection, id, results.into()));
            }
            ToNode::Write { id, mut commands, .. } => (id, commands.remove(0)),
            other => panic!("the node answers {other:?} itself"),
        };
        match command {
            Command::Append { text, .. } => {
                let offset = self.text.len() as u64;
                self.text.push_str(&text);
                self.syncs += 1;
                self.waiting.insert(SyncId(self.syncs), (connection, id));
                let bytes = text.clone().into_bytes();
                out.push(Output::Write { file: "log".into(), offset, bytes });
                out.push(Output::Sync { id: SyncId(self.syncs), file: "log".into() });
                for to in (0..self.peers).map(Peer).filter(|&to| to != self.me) {
                    out.push(Output::Send { to, bytes: text.clone().into_bytes() });
                }
            }
            Command::Put { .. } => {
                out.push(Output::Trace(Line { index: Some(id), ..Line::new("Put", Node::Number(1)) }));
                out.push(done(connection, id, vec![]));
            }
            Command::Delete { .. } => {
                out.push(Output::Write { file: "new".into(), offset: 0, bytes: b"fresh".to_vec() });
                out.push(Output::Rename { from: "new".into(), to: "log".into() });
                out.push(done(connection, id, vec![]));
            }
            _ => out.push(Output::Remove { file: "not there".into() }),
        }
    }
}

fn done(connection: Connection, id: u64, results: Vec<Option<Datum>>) -> Output {
    let bytes = serde_json::to_vec(&ToClient { id, answer: Answer::Done { results } }).unwrap();
    Output::Reply { connection, bytes }
}

impl Replica for Scribe {
    fn step(&mut self, now: Tick, input: Input, out: &mut Vec<Output>) {
        match input {
            Input::Restart { files } => self.restart(now, files, out),
            Input::Message { from, bytes } => {
                self.heard.push_str(&format!("{}:{} ", from.0, String::from_utf8(bytes).unwrap()));
            }
            Input::Request { connection, bytes } => {
                self.request(connection, serde_json::from_slice(&bytes).unwrap(), out);
            }
            Input::Closed { .. } => {}
            // It rings when the clock is set.
            Input::Timer(Timer(0)) => {}
            Input::Timer(timer) => {
                assert_eq!(timer, ALARM);
                self.role = "rung";
            }
            Input::Synced(sync) => {
                let (connection, id) = self.waiting.remove(&sync).expect("each sync is reported once");
                out.push(done(connection, id, vec![]));
            }
        }
    }

    fn status(&self) -> Status {
        Status { role: self.role.into(), term: 0, leader: None, commit: 0, applied: 0, last: 0 }
    }
}

/// A node on a thread of this process.
struct Running {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<Result<(), NodeError>>>,
    address: SocketAddr,
}

impl Running {
    fn start(options: &NodeOptions) -> Running {
        let options = options.clone();
        Running::of(options.listen, move |stopped| {
            let scribe = |peers| Ok(Box::new(Scribe::new(options.me, peers)) as Box<dyn Replica>);
            run_replica(&options, scribe, stopped)
        })
    }

    fn of(
        address: SocketAddr,
        run: impl FnOnce(oneshot::Receiver<()>) -> Result<(), NodeError> + Send + 'static,
    ) -> Running {
        let (stop, stopped) = oneshot::channel();
        Running { stop: Some(stop), thread: Some(std::thread::spawn(move || run(stopped))), address }
    }

    fn stop(mut self) -> Result<(), NodeError> {
        drop(self.stop.take());
        self.thread.take().expect("it was started").join().expect("a node does not panic")
    }

    /// Waits until the node has ended by itself.
    fn end(mut self) -> NodeError {
        let ended = self.thread.take().expect("it was started").join().expect("a node does not panic");
        ended.expect_err("nobody stopped it")
    }

    fn client(&self) -> Client {
        Client::call(self.address, &Hello::client(CLUSTER))
    }
}

/// A client that blocks.
struct Client {
    socket: TcpStream,
    decoder: Decoder,
    id: u64,
}

impl Client {
    fn call(address: SocketAddr, hello: &Hello) -> Client {
        let begun = Instant::now();
        let socket = loop {
            match TcpStream::connect(address) {
                Ok(socket) => break socket,
                Err(error) => assert!(begun.elapsed() < Duration::from_secs(20), "{address}: {error}"),
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut client = Client { socket, decoder: Decoder::new(), id: 0 };
        client.send(&hello.payload());
        client
    }

    fn send(&mut self, payload: &[u8]) {
        let mut bytes = Vec::new();
        frame::encode(payload, &mut bytes).unwrap();
        self.socket.write_all(&bytes).unwrap();
    }

    /// The next payload, `None` at the end of the stream.
    fn receive(&mut self) -> Option<Vec<u8>> {
        loop {
            if let Some(payload) = self.decoder.next_payload().unwrap() {
                return Some(payload);
            }
            let mut chunk = [0; 1000];
            match self.socket.read(&mut chunk) {
                Ok(length) if length > 0 => self.decoder.push(&chunk[..length]),
                Ok(_) => return None,
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("{error}"),
            }
        }
    }

    fn ask(&mut self, request: impl FnOnce(u64) -> ToNode) -> Option<Answer> {
        self.id += 1;
        self.send(&serde_json::to_vec(&request(self.id)).unwrap());
        let ToClient { id, answer } = serde_json::from_slice(&self.receive()?).unwrap();
        assert_eq!(id, self.id);
        Some(answer)
    }

    fn write(&mut self, command: Command) -> Option<Answer> {
        self.ask(|id| ToNode::Write { id, session: 1, number: id, commands: vec![command] })
    }

    fn append(&mut self, text: &str) {
        let command = Command::Append { key: "x".into(), text: text.into() };
        assert_eq!(self.write(command), Some(Answer::Done { results: vec![] }));
    }

    /// What the node has written down, and what it has heard.
    fn read(&mut self) -> (String, String) {
        match self.ask(|id| ToNode::Read { id, commands: vec![] }) {
            Some(Answer::Done { results }) => match &results[..] {
                [Some(Datum::Text(text)), Some(Datum::Text(heard))] => (text.clone(), heard.clone()),
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        }
    }

    fn status(&mut self) -> (String, i64) {
        match self.ask(|id| ToNode::Status { id }) {
            Some(Answer::Status { status, clock_offset_ns }) => (status.role, clock_offset_ns),
            other => panic!("{other:?}"),
        }
    }
}

/// Options of `count` nodes on ports that nobody has.
fn options(scratch: &Scratch, count: usize) -> Vec<NodeOptions> {
    let held: Vec<Std> = (0..count).map(|_| Std::bind("127.0.0.1:0").unwrap()).collect();
    let peers: Vec<SocketAddr> = held.iter().map(|listener| listener.local_addr().unwrap()).collect();
    let options = |me: usize| NodeOptions {
        me: Peer(me as u16),
        name: format!("n{}", me + 1),
        listen: peers[me],
        peers: peers.clone(),
        data: scratch.path().join(me.to_string()).join("data"),
        trace: None,
        seed: 1,
        cluster: CLUSTER,
        protocol: Protocol::Raft(RaftOptions::default()),
    };
    (0..count).map(options).collect()
}

fn put() -> Command {
    Command::Put { key: "x".into(), value: Datum::Int(1) }
}

#[test]
fn what_was_acknowledged_is_there_after_a_restart() {
    let scratch = Scratch::new();
    let options = &options(&scratch, 1)[0];
    let node = Running::start(options);
    let mut client = node.client();
    for text in ["one ", "two ", "three"] {
        client.append(text);
    }
    node.stop().unwrap();
    assert_eq!(client.receive(), None, "the client sees the node go");

    let node = Running::start(options);
    assert_eq!(node.client().read().0, "one two three");
    node.stop().unwrap();
}

#[test]
fn messages_reach_peers_that_came_late_or_again() {
    let scratch = Scratch::new();
    let options = options(&scratch, 2);
    let first = Running::start(&options[0]);
    for _ in 0..2 {
        let second = Running::start(&options[1]);
        let (mut from, mut to) = (first.client(), second.client());
        let begun = Instant::now();
        while !to.read().1.contains("0:again") {
            assert!(begun.elapsed() < Duration::from_secs(20), "nothing is heard");
            from.append("again");
            std::thread::sleep(Duration::from_millis(10));
        }
        second.stop().unwrap();
    }
    first.stop().unwrap();
}

#[test]
fn a_node_that_halts_says_why_and_what_it_traced_before_is_kept() {
    let scratch = Scratch::new();
    let mut options = options(&scratch, 1).remove(0);
    options.trace = Some(scratch.path().join("trace.jsonl"));
    std::fs::create_dir_all(&options.data).unwrap();
    std::fs::write(options.data.join("log"), "poison").unwrap();
    let error = Running::start(&options).end();
    assert_eq!(error.to_string(), "the log is poisoned: restore it");
    let trace = std::fs::read_to_string(options.trace.unwrap()).unwrap();
    assert_eq!(trace, "{\"name\":\"Poisoned\",\"nid\":\"1\"}\n");
}

#[test]
fn trace_lines_are_written_before_what_follows_them_leaves() {
    let scratch = Scratch::new();
    let mut options = options(&scratch, 1).remove(0);
    let trace = scratch.path().join("trace.jsonl");
    options.trace = Some(trace.clone());
    std::fs::create_dir_all(scratch.path()).unwrap();
    std::fs::write(&trace, "{\"event\":\"cut o").unwrap();
    let node = Running::start(&options);
    let mut client = node.client();
    for id in 1..=100 {
        client.write(put()).unwrap();
        let lines = std::fs::read_to_string(&trace).unwrap();
        assert_eq!(lines.lines().count(), 1 + id, "a line that was cut off is ended, not continued");
        assert!(lines.ends_with(&format!("{{\"name\":\"Put\",\"nid\":\"1\",\"index\":{id}}}\n")));
    }
    node.stop().unwrap();
}

#[test]
fn a_rename_is_done_before_what_follows_it_leaves() {
    let scratch = Scratch::new();
    let options = &options(&scratch, 1)[0];
    let node = Running::start(options);
    let mut client = node.client();
    client.append("stale");
    client.write(Command::Delete { key: "x".into() }).unwrap();
    assert_eq!(std::fs::read(options.data.join("log")).unwrap(), b"fresh");
    assert!(!options.data.join("new").exists());
    node.stop().unwrap();
}

#[test]
fn a_failing_disk_ends_the_node_with_the_reason() {
    let scratch = Scratch::new();
    let node = Running::start(&options(&scratch, 1)[0]);
    let mut client = node.client();
    assert_eq!(client.write(Command::Get { key: "x".into() }), None);
    assert!(matches!(node.end(), NodeError::Disk(DiskError::Refused { action: "remove", .. })));
}

#[test]
fn the_clock_that_is_set_moves_status_and_timers() {
    let scratch = Scratch::new();
    let node = Running::start(&options(&scratch, 1)[0]);
    let mut client = node.client();
    assert_eq!(client.status(), ("quiet".into(), 0));
    let set = |offset_ns, rate_ppm, strobe_ms| move |id| ToNode::Clock { id, offset_ns, rate_ppm, strobe_ms };
    let back = -3_000_000_000;
    let Some(Answer::Status { clock_offset_ns, .. }) = client.ask(set(back, 0, 0)) else { panic!() };
    assert_eq!((clock_offset_ns, client.status()), (back, ("quiet".into(), back)));

    // The alarm is set for ten seconds after the start.
    client.ask(set(10_000_000_000, 0, 0)).unwrap();
    assert_eq!(client.status(), ("rung".into(), 10_000_000_000));

    client.ask(set(0, 0, 0)).unwrap();
    assert_eq!(client.status().1, 0);
    client.ask(set(i64::MAX, i64::MIN, u64::MAX)).unwrap();
    client.ask(set(i64::MIN, i64::MAX, 1)).unwrap();
    client.ask(set(0, 0, 0)).unwrap();
    assert_eq!(client.status().1, 0, "absurd clocks do no harm");
    node.stop().unwrap();
}

#[test]
fn strays_and_noise_are_turned_away_and_others_served_on() {
    let scratch = Scratch::new();
    let node = Running::start(&options(&scratch, 2)[0]);
    let mut client = node.client();
    let strays = [
        Hello::client(CLUSTER + 1),
        Hello::peer(CLUSTER, Peer(1), Peer(1)),
        Hello::peer(CLUSTER, Peer(0), Peer(0)),
        Hello::peer(CLUSTER + 1, Peer(1), Peer(0)),
    ];
    for stray in strays {
        assert_eq!(Client::call(node.address, &stray).receive(), None, "{stray:?}");
    }
    let mut noise = Client::call(node.address, &Hello::client(CLUSTER));
    noise.socket.write_all(&[0xff; 100]).unwrap();
    assert_eq!(noise.receive(), None);
    let mut noise = TcpStream::connect(node.address).unwrap();
    noise.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    assert_eq!(noise.read(&mut [0; 10]).unwrap_or(0), 0);

    client.append("still here");
    assert_eq!(client.read().0, "still here");
    node.stop().unwrap();
}

#[test]
fn two_nodes_cannot_share_a_folder() {
    let scratch = Scratch::new();
    let mut options = options(&scratch, 2);
    let first = Running::start(&options[0]);
    first.client().append("mine");
    options[1].data = options[0].data.clone();
    let error = Running::start(&options[1]).end();
    assert!(matches!(error, NodeError::Disk(DiskError::Locked(_))), "{error}");
    first.stop().unwrap();
}

#[test]
fn options_that_contradict_themselves_are_refused() {
    let scratch = Scratch::new();
    let mut options = options(&scratch, 1).remove(0);
    options.me = Peer(1);
    assert!(matches!(Running::start(&options).end(), NodeError::Options(_)));
}

#[test]
fn settings_that_cannot_work_are_refused() {
    let scratch = Scratch::new();
    let sound = RaftOptions::default();
    let unsound = [
        RaftOptions { heartbeat_ms: 0, ..sound.clone() },
        RaftOptions { heartbeat_ms: sound.election_min_ms, ..sound.clone() },
        RaftOptions { election_max_ms: sound.election_min_ms - 1, ..sound.clone() },
        RaftOptions { trace: "everything".into(), ..sound },
    ];
    for settings in unsound {
        let mut options = options(&scratch, 1).remove(0);
        options.protocol = Protocol::Raft(settings.clone());
        assert!(matches!(run(&options), Err(NodeError::Options(_))), "{settings:?}");
    }
}

#[test]
fn options_survive_being_an_argument() {
    let scratch = Scratch::new();
    let options = options(&scratch, 3).remove(1);
    let argument = serde_json::to_string(&options).unwrap();
    assert_eq!(serde_json::from_str::<NodeOptions>(&argument).unwrap(), options);
    let unknown = argument.replacen('{', "{\"colour\":1,", 1);
    assert!(serde_json::from_str::<NodeOptions>(&unknown).is_err());
}
