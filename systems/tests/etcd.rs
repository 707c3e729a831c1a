//! The client of etcd against a real node on the loopback: transactions, and locks that end with their leases.
//!
//! Skipped where etcd is not installed, unless `ELENCHUS_REQUIRE` names it.

use elenchus_core::client::{Client, Connector, Request, Response};
use elenchus_core::outcome::{Failure, Outcome};
use elenchus_core::process::{NodeId, Process};
use elenchus_core::value::Value;
use elenchus_systems::etcd::EtcdConnector;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tokio::task::LocalSet;

/// etcd grants no lease shorter than this.
const TTL: Duration = Duration::from_secs(2);

/// One node, gone with the test.
struct Node {
    process: Child,
    folder: PathBuf,
    address: String,
}

impl Node {
    /// `None` where etcd is not installed.
    fn start(name: &str) -> Option<Node> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        if !std::env::split_paths(&path).any(|folder| folder.join("etcd").is_file()) {
            let required = std::env::var("ELENCHUS_REQUIRE").unwrap_or_default();
            assert!(!required.split(',').any(|one| one == "etcd"), "etcd is required and not installed");
            eprintln!("skipped: etcd is not installed");
            return None;
        }
        let folder = std::env::temp_dir().join(format!("elenchus-etcd-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        // Both are bound at once, so that they differ.
        let ports = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").expect("a free port"));
        let [client, peer] = ports.map(|port| format!("http://{}", port.local_addr().expect("bound")));
        let process = Command::new("etcd")
            .arg(format!("--data-dir={}", folder.display()))
            .arg(format!("--listen-client-urls={client}"))
            .arg(format!("--advertise-client-urls={client}"))
            .arg(format!("--listen-peer-urls={peer}"))
            .arg(format!("--initial-advertise-peer-urls={peer}"))
            .arg(format!("--initial-cluster=default={peer}"))
            .args(["--logger=zap", "--log-outputs=stderr"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("etcd starts");
        Some(Node { process, folder, address: client.replace("http://", "") })
    }

    /// Stops the process, or lets it go on.
    fn signal(&self, signal: &str) {
        let process = self.process.id().to_string();
        let sent = Command::new("kill").args([signal, &process]).status();
        assert!(sent.is_ok_and(|status| status.success()), "{signal} was not sent");
    }

    fn connector(&self) -> EtcdConnector {
        EtcdConnector::new(vec![(NodeId::new("n1"), self.address.clone())], false)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Runs `body` with a connector to a node that answers.
fn with_etcd(name: &str, body: impl AsyncFnOnce(EtcdConnector, &Node)) {
    let Some(node) = Node::start(name) else { return };
    let connector = node.connector();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    LocalSet::new().block_on(&runtime, async {
        let began = Instant::now();
        loop {
            if let Ok(mut client) = connector.connect(&NodeId::new("n1"), Process(0)).await
                && client.call(&get("ready")).await.is_ok()
            {
                break;
            }
            assert!(began.elapsed() < Duration::from_secs(20), "etcd does not answer");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        body(connector, &node).await;
    });
}

async fn client(connector: &EtcdConnector, process: u32) -> Box<dyn Client> {
    connector.connect(&NodeId::new("n1"), Process(process)).await.expect("it is up")
}

fn get(key: &str) -> Request {
    Request::Get { key: key.into() }
}

fn put(key: &str, n: i64) -> Request {
    Request::Put { key: key.into(), value: Value::Int(n) }
}

fn cas(key: &str, from: Value, to: i64) -> Request {
    Request::Cas { key: key.into(), from, to: Value::Int(to) }
}

fn lock(wait: Duration) -> Request {
    Request::Lock { key: "lock".into(), ttl: TTL, wait }
}

fn unlock() -> Request {
    Request::Unlock { key: "lock".into() }
}

#[track_caller]
fn token(outcome: Outcome<Response>) -> i64 {
    match outcome {
        Outcome::Ok(Response::Granted(Some(token))) => token,
        other => panic!("{other:?} is no grant with a token"),
    }
}

#[test]
fn a_transaction_is_done_as_a_whole_or_not_at_all() {
    with_etcd("txn", async |connector, _| {
        let mut client = client(&connector, 1).await;
        let txn = Request::Txn(vec![put("a", 1), cas("b", Value::Nil, 2), get("a"), get("c")]);
        let answers =
            [Response::Done, Response::Done, Response::Value(Value::Int(1)), Response::Value(Value::Nil)];
        assert_eq!(client.call(&txn).await, Outcome::Ok(Response::Txn(answers.to_vec())));

        let txn = Request::Txn(vec![put("a", 9), cas("b", Value::Int(7), 9)]);
        let saw = Some(Response::Value(Value::Int(2)));
        assert_eq!(client.call(&txn).await, Outcome::Fail(Failure::Refused(saw)));
        assert_eq!(client.call(&get("a")).await, Outcome::Ok(Response::Value(Value::Int(1))));

        let txn = Request::Txn((0..129).map(|n| put(&format!("many{n}"), n)).collect());
        assert!(
            matches!(client.call(&txn).await, Outcome::Fail(Failure::NotDone(why)) if why.to_string().contains("too many operations"))
        );
        assert_eq!(
            client.call(&Request::Peek { key: "a".into() }).await,
            Outcome::Ok(Response::Value(Value::Int(1)))
        );
    });
}

#[test]
fn a_lock_has_one_holder_and_its_tokens_grow() {
    with_etcd("lock", async |connector, _| {
        let (mut first, mut second) = (client(&connector, 1).await, client(&connector, 2).await);
        let moment = Duration::from_millis(300);
        let one = token(first.call(&lock(moment)).await);
        // It outlives its lease, for its holder keeps that alive.
        tokio::time::sleep(TTL + Duration::from_millis(1500)).await;
        let refused = second.call(&lock(moment)).await;
        assert!(
            matches!(&refused, Outcome::Fail(Failure::NotDone(why)) if why.to_string().contains("is revoked")),
            "{refused:?}"
        );
        assert!(matches!(second.call(&unlock()).await, Outcome::Fail(Failure::NotDone(_))));
        let wait = Duration::from_secs(5);
        let (request, release) = (lock(wait), unlock());
        let (granted, released) = tokio::join!(second.call(&request), async {
            tokio::time::sleep(moment).await;
            first.call(&release).await
        });
        assert_eq!(released, Outcome::Ok(Response::Done));
        assert!(token(granted) > one);
    });
}

#[test]
fn a_lock_whose_holder_is_gone_ends_with_its_lease() {
    with_etcd("lapse", async |connector, _| {
        let mut first = client(&connector, 1).await;
        let one = token(first.call(&lock(TTL)).await);
        drop(first);
        let began = Instant::now();
        let mut second = client(&connector, 2).await;
        assert!(token(second.call(&lock(4 * TTL)).await) > one);
        assert!(began.elapsed() > TTL / 2, "the lease had time left");
    });
}

#[test]
fn a_wait_that_is_given_up_while_the_node_stands_still_is_a_doubt_and_ends_with_its_lease() {
    with_etcd("paused", async |connector, node| {
        let (mut first, mut second) = (client(&connector, 1).await, client(&connector, 2).await);
        let one = token(first.call(&lock(TTL)).await);
        let request = lock(Duration::from_secs(1));
        let (outcome, ()) = tokio::join!(second.call(&request), async {
            tokio::time::sleep(Duration::from_millis(500)).await;
            node.signal("-STOP");
        });
        node.signal("-CONT");
        assert!(outcome.is_info(), "{outcome:?}");
        drop(second);
        assert!(!matches!(first.call(&unlock()).await, Outcome::Fail(_)));
        // The one that was given up waits in the queue before this one, and nobody keeps its lease alive.
        let mut third = client(&connector, 3).await;
        assert!(token(third.call(&lock(4 * TTL)).await) > one);
    });
}
