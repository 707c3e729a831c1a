//! Client programs that misbehave: each leaves a doubt about one request, or refuses before anything was asked.

use elenchus_core::client::{Capability, Connector, Request, Response};
use elenchus_core::outcome::Outcome;
use elenchus_core::process::{NodeId, Process};
use elenchus_core::value::Value;
use elenchus_systems::exec::{ExecConnector, Node, Program};
use std::time::Duration;
use tokio::task::LocalSet;

/// Answers the first line as it should.
const OPEN: &str = "read line; echo '{\"id\":1,\"ok\":null}'; ";

fn connector(script: &str) -> ExecConnector {
    let node = Node { name: "n1".into(), ip: "127.0.0.1".into(), addresses: Default::default() };
    let command = ["sh", "-c", script].map(String::from).to_vec();
    ExecConnector::new(vec![Program { command, node, log: None }], vec![Capability::Kv])
}

/// What two requests to this shell script lead to; an error if it does not open.
fn met(script: &str) -> Result<Vec<Outcome<Response>>, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    LocalSet::new().block_on(&runtime, async {
        let node = Node { name: "n1".into(), ip: "127.0.0.1".into(), addresses: Default::default() };
        let command = ["sh", "-c", script].map(String::from).to_vec();
        let connector = ExecConnector::new(vec![Program { command, node, log: None }], vec![Capability::Kv]);
        let mut client =
            connector.connect(&NodeId::new("n1"), Process(0)).await.map_err(|why| why.to_string())?;
        let request = Request::Get { key: "k".into() };
        let mut outcomes = Vec::new();
        for _ in 0..2 {
            let asked = tokio::time::timeout(Duration::from_secs(1), client.call(&request));
            outcomes.push(asked.await.unwrap_or_else(|_| Outcome::info("no answer in time")));
        }
        Ok(outcomes)
    })
}

fn first(script: &str) -> Outcome<Response> {
    met(&format!("{OPEN}{script}")).expect("it opens").remove(0)
}

#[track_caller]
fn doubt(outcome: &Outcome<Response>, words: &str) {
    match outcome {
        Outcome::Info(why) => assert!(why.to_string().contains(words), "{why}"),
        other => panic!("{other:?} is no doubt"),
    }
}

#[test]
fn a_client_that_keeps_to_the_words_is_understood() {
    let answers = "read line; echo '{\"id\":2,\"ok\":5}'; read line; echo '{\"id\":3,\"fail\":\"busy\"}'";
    let outcomes = met(&format!("{OPEN}{answers}")).expect("it opens");
    assert_eq!(outcomes[0], Outcome::Ok(Response::Value(Value::Int(5))));
    assert_eq!(outcomes[1], Outcome::not_done("busy"));
}

#[test]
fn whatever_is_no_answer_is_a_doubt() {
    doubt(&first("read line; echo hello"), "no answer: hello");
    doubt(&first("read line; echo '{\"id\":9,\"ok\":1}'"), "answered request 9");
    doubt(&first("read line; exit 3"), "exit status: 3");
    doubt(&first("exec >&-; sleep 5"), "broken");
    doubt(&first("sleep 5"), "no answer in time");
}

#[test]
fn a_client_that_had_ended_is_started_again() {
    // Each answers one request; the pause lets the end of the first be seen before the second is asked.
    let one = "read line; echo '{\"id\":2,\"ok\":5}'; exit 0";
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    LocalSet::new().block_on(&runtime, async {
        let connector = connector(&format!("{OPEN}{one}"));
        let mut client = connector.connect(&NodeId::new("n1"), Process(0)).await.expect("it opens");
        for _ in 0..2 {
            let outcome = client.call(&Request::Get { key: "k".into() }).await;
            assert_eq!(outcome, Outcome::Ok(Response::Value(Value::Int(5))));
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    });
}

#[test]
fn a_client_that_does_not_open_says_why() {
    let why = |script: &str| met(script).expect_err("it does not open");
    assert!(why("read line; echo '{\"id\":1,\"fail\":\"no such host\"}'").contains("no such host"));
    assert!(why("exit 7").contains("exit status: 7"));
    assert!(why("read line; echo garbage").contains("garbage"));
}
