//! Tests of client and admin against a node that follows a script.

use super::*;
use elenchus_core::client::{Capability, Request, Response};
use elenchus_core::outcome::{Failure, Outcome};
use elenchus_core::process::Process;
use elenchus_core::value::Value;
use elenchus_reference::frame::{self, Decoder};
use elenchus_reference::hello::{Caller, Hello};
use elenchus_reference::protocol::{Peer, Status};
use elenchus_reference::wire::{Answer, Command, Datum, ToClient, ToNode};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

const CLUSTER: u64 = 7;

/// What the scripted node does with a request.
enum Deed {
    Answer(Answer),
    /// Answers nothing.
    Silence,
    /// Closes the connection.
    Hang,
    /// Answers, and is gone for ever.
    LastWord(Answer),
}

/// A node that does as its script says, one connection at a time, until nobody holds it any more.
struct Scripted {
    address: SocketAddr,
    requests: Receiver<ToNode>,
}

impl Scripted {
    fn new(script: impl FnMut(usize, &ToNode) -> Deed + Send + 'static) -> Scripted {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (seen, requests) = channel();
        std::thread::spawn(move || serve(listener, script, &seen));
        Scripted { address, requests }
    }

    fn node() -> NodeId {
        NodeId::new("n1")
    }

    fn connector(&self) -> BundledConnector {
        BundledConnector::new(CLUSTER, vec![(Scripted::node(), self.address)])
    }

    /// Performs requests one after the other through one client.
    fn perform(&self, limit: Duration, requests: &[Request]) -> Vec<Outcome<Response>> {
        let connector = self.connector().with_operation_max(limit);
        on_runtime(async {
            let mut client = connector.connect(&Scripted::node(), Process(0)).await.unwrap();
            let mut outcomes = Vec::new();
            for request in requests {
                outcomes.push(client.call(request).await);
            }
            outcomes
        })
    }

    fn seen(&self) -> Vec<ToNode> {
        self.requests.try_iter().collect()
    }
}

fn on_runtime<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

fn serve(listener: TcpListener, mut script: impl FnMut(usize, &ToNode) -> Deed, seen: &Sender<ToNode>) {
    let mut count = 0;
    while let Ok((socket, _)) = listener.accept() {
        let mut line = Blocking { socket, decoder: Decoder::new() };
        let hello = line.receive().expect("a caller says hello");
        assert_eq!(Hello::admit(&hello, CLUSTER, Peer(0), 1), Ok(Caller::Client));
        while let Some(payload) = line.receive() {
            let request: ToNode = serde_json::from_slice(&payload).unwrap();
            let deed = script(count, &request);
            count += 1;
            let id = id(&request);
            if seen.send(request).is_err() {
                return;
            }
            match deed {
                Deed::Answer(answer) => line.send(&serde_json::to_vec(&ToClient { id, answer }).unwrap()),
                Deed::Silence => {}
                Deed::Hang => break,
                Deed::LastWord(answer) => {
                    return line.send(&serde_json::to_vec(&ToClient { id, answer }).unwrap());
                }
            }
        }
    }
}

fn id(request: &ToNode) -> u64 {
    match *request {
        ToNode::Register { id }
        | ToNode::Read { id, .. }
        | ToNode::Write { id, .. }
        | ToNode::Status { id }
        | ToNode::Configuration { id }
        | ToNode::Change { id, .. }
        | ToNode::Transfer { id, .. }
        | ToNode::Clock { id, .. } => id,
    }
}

struct Blocking {
    socket: TcpStream,
    decoder: Decoder,
}

impl Blocking {
    fn receive(&mut self) -> Option<Vec<u8>> {
        loop {
            if let Some(payload) = self.decoder.next_payload().unwrap() {
                return Some(payload);
            }
            let mut chunk = [0; 512];
            match self.socket.read(&mut chunk) {
                Ok(length) if length > 0 => self.decoder.push(&chunk[..length]),
                _ => return None,
            }
        }
    }

    fn send(&mut self, payload: &[u8]) {
        let mut bytes = Vec::new();
        frame::encode(payload, &mut bytes).unwrap();
        // A client that has left hears nothing.
        let _ = self.socket.write_all(&bytes);
    }
}

fn done() -> Deed {
    Deed::Answer(Answer::Done { results: vec![None] })
}

fn session(session: u64) -> Deed {
    Deed::Answer(Answer::Session { session })
}

fn put() -> Request {
    Request::Put { key: "x".into(), value: Value::Int(1) }
}

fn get() -> Request {
    Request::Get { key: "x".into() }
}

const LONG: Duration = Duration::from_secs(20);

#[test]
fn requests_are_answered_and_refusals_say_what_was_seen() {
    let node = Scripted::new(|_, request| match request {
        ToNode::Register { .. } => session(5),
        ToNode::Read { .. } => Deed::Answer(Answer::Done { results: vec![Some(Datum::Text("é".into()))] }),
        ToNode::Write { commands, .. } if matches!(commands[0], Command::Cas { .. }) => {
            Deed::Answer(Answer::Refused { at: 0, saw: Some(Datum::Int(3)) })
        }
        _ => done(),
    });
    let cas = Request::Cas { key: "x".into(), from: Value::Int(2), to: Value::Int(4) };
    let outcomes = node.perform(LONG, &[get(), put(), cas]);
    assert_eq!(
        outcomes,
        [
            Outcome::Ok(Response::Value(Value::str("é"))),
            Outcome::Ok(Response::Done),
            Outcome::Fail(Failure::Refused(Some(Response::Value(Value::Int(3))))),
        ]
    );
    let numbers: Vec<_> = node
        .seen()
        .into_iter()
        .filter_map(|seen| {
            if let ToNode::Write { session, number, .. } = seen { Some((session, number)) } else { None }
        })
        .collect();
    assert_eq!(numbers, [(5, 1), (5, 2)]);
}

#[test]
fn a_connection_lost_in_the_middle_leads_to_the_same_write_again() {
    let node = Scripted::new(|count, request| match (count, request) {
        (_, ToNode::Register { .. }) => session(5),
        (0..3, _) => Deed::Hang,
        _ => done(),
    });
    assert_eq!(node.perform(LONG, &[put()]), [Outcome::Ok(Response::Done)]);
    let seen = node.seen();
    let ToNode::Write { session, number, commands, .. } = &seen[1] else { panic!("{seen:?}") };
    assert_eq!(seen.len(), 4);
    for again in &seen[2..] {
        let ToNode::Write { session: s, number: n, commands: c, .. } = again else { panic!("{seen:?}") };
        assert_eq!((session, number, commands), (s, n, c));
    }
}

#[test]
fn a_connection_lost_between_two_writes_puts_neither_in_doubt() {
    // The node answers the first write, and is gone for good before the second.
    let node = Scripted::new(|count, _| match count {
        0 => session(5),
        1 => Deed::LastWord(Answer::Done { results: vec![None] }),
        _ => Deed::Silence,
    });
    on_runtime(async {
        let mut client = node.connector().connect(&Scripted::node(), Process(0)).await.unwrap();
        assert!(client.call(&put()).await.is_ok());
        let seen: Vec<_> = node.requests.iter().collect();
        assert_eq!(seen.len(), 2, "the node's thread is gone, and its sockets with it");
        tokio::time::sleep(Duration::from_millis(5)).await;
        assert!(matches!(client.call(&put()).await, Outcome::Fail(Failure::NotDone(_))));
    });
}

#[test]
fn silence_ends_a_write_in_doubt_and_a_read_as_certainly_not_done() {
    let node = Scripted::new(|_, request| match request {
        ToNode::Register { .. } => session(5),
        _ => Deed::Silence,
    });
    let outcomes = node.perform(Duration::from_millis(100), &[get(), put()]);
    assert!(matches!(outcomes[0], Outcome::Fail(Failure::NotDone(_))), "{outcomes:?}");
    assert!(outcomes[1].is_info(), "{outcomes:?}");
}

#[test]
fn what_is_too_long_to_send_fails_for_certain() {
    let node = Scripted::new(|_, request| match request {
        ToNode::Register { .. } => session(5),
        _ => done(),
    });
    let long = Request::Append { key: "x".into(), text: "a".repeat(frame::PAYLOAD_MAX) };
    let outcomes = node.perform(LONG, &[long, put()]);
    assert!(matches!(outcomes[0], Outcome::Fail(Failure::NotDone(_))), "{outcomes:?}");
    assert_eq!(outcomes[1], Outcome::Ok(Response::Done), "the client goes on with a new connection");
}

#[test]
fn a_node_that_is_not_there_cannot_be_connected_to() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let connector = BundledConnector::new(CLUSTER, vec![(NodeId::new("n1"), nobody)]);
    assert_eq!(connector.capabilities(), [Capability::Kv, Capability::Append, Capability::Txn]);
    on_runtime(async {
        assert!(connector.connect(&NodeId::new("n1"), Process(0)).await.is_err());
        assert!(connector.connect(&NodeId::new("n2"), Process(0)).await.is_err());
    });
}

fn status(role: &str) -> Status {
    Status { role: role.into(), term: 4, leader: Some(Peer(0)), commit: 0, applied: 0, last: 0 }
}

#[test]
fn the_admin_survives_lost_connections_and_translates_skews() {
    let node = Scripted::new(|count, request| match request {
        _ if count == 1 => Deed::Hang,
        ToNode::Clock { offset_ns, .. } => {
            Deed::Answer(Answer::Status { status: status("leader"), clock_offset_ns: *offset_ns })
        }
        _ => Deed::Answer(Answer::Status { status: status("follower"), clock_offset_ns: 9 }),
    });
    let name = Scripted::node();
    let admin = Admin::new(CLUSTER, vec![(name.clone(), node.address)]);
    on_runtime(async {
        assert_eq!(admin.status(&name).await.unwrap(), status("follower"));
        assert_eq!(admin.clock(&name).await.unwrap(), 9, "the second request is asked again");
        let skews = [
            (Some(Skew::Bump { delta_ms: -3 }), -3_000_000),
            (Some(Skew::Bump { delta_ms: i64::MAX }), i64::MAX),
            (Some(Skew::Strobe { delta_ms: 5, period_ms: 10 }), 5_000_000),
            (Some(Skew::Drift { rate_ppm: 8 }), 0),
            (None, 0),
        ];
        for (skew, offset) in skews {
            assert_eq!(admin.set_clock(&name, skew).await.unwrap(), offset);
        }
        assert!(admin.status(&NodeId::new("n2")).await.is_err());
    });
    let clocks: Vec<_> =
        node.seen().into_iter().filter(|seen| matches!(seen, ToNode::Clock { .. })).collect();
    assert!(matches!(clocks[2], ToNode::Clock { offset_ns: 5_000_000, rate_ppm: 0, strobe_ms: 10, .. }));
    assert!(matches!(clocks[3], ToNode::Clock { offset_ns: 0, rate_ppm: 8, strobe_ms: 0, .. }));
    assert!(matches!(clocks[4], ToNode::Clock { offset_ns: 0, rate_ppm: 0, strobe_ms: 0, .. }));
}

#[test]
fn the_assumptions_count_the_nodes_that_may_be_lost() {
    for (nodes, line) in
        [(1, "1 of 1 must run and reach each other, so that 0"), (5, "3 of 5 must run"), (4, "3 of 4")]
    {
        assert!(assumptions(nodes).lines[1].contains(line), "{:?}", assumptions(nodes));
    }
}
