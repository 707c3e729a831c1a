//! Whoever is asked and answers: a program that prints lines, or any other client.

use super::{Bad, Line, bad};
use crate::exec::words;
use elenchus_core::LocalFuture;
use elenchus_core::client::{Client, Connector, Request, Response};
use elenchus_core::outcome::{Failure, Outcome};
use elenchus_core::process::{NodeId, Process};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// What was said in one check, by all that took part.
pub(super) type Transcript = Rc<RefCell<Vec<Line>>>;

/// One client that is tried out.
pub(super) trait Talk {
    /// Asks for this and hears the answer, whatever it is, as long as it is one.
    fn ask<'a>(&'a mut self, request: &'a Request) -> LocalFuture<'a, Result<Outcome<Response>, Bad>>;

    /// How long the last answer took.
    fn took(&self) -> Duration;
}

/// How much longer than others an answer may take, by what is asked.
pub(super) fn allowance(request: &Request) -> Duration {
    match request {
        Request::Lock { wait, .. } => *wait,
        Request::Watch { time_max, .. } => *time_max,
        _ => Duration::ZERO,
    }
}

/// A client of a connector's.
pub(super) struct Connection {
    client: Box<dyn Client>,
    patience: Duration,
    lines: Transcript,
    took: Duration,
}

impl Connection {
    pub(super) async fn open(
        connector: &dyn Connector,
        node: &NodeId,
        process: Process,
        patience: Duration,
        lines: Transcript,
    ) -> Result<Connection, Bad> {
        let mend = "see to it that the node runs and that the campaign says where it listens";
        let limit = connector.connect_limit();
        match tokio::time::timeout(limit, connector.connect(node, process)).await {
            Ok(Ok(client)) => Ok(Connection { client, patience, lines, took: Duration::ZERO }),
            Ok(Err(why)) => bad(format!("{node} cannot be reached: {why}"), mend),
            Err(_) => bad(format!("{node} is not reached within {limit:?}"), mend),
        }
    }
}

impl Talk for Connection {
    fn ask<'a>(&'a mut self, request: &'a Request) -> LocalFuture<'a, Result<Outcome<Response>, Bad>> {
        Box::pin(async move {
            let sent = serde_json::Value::Object(words::request(request)).to_string();
            self.lines.borrow_mut().push(Line::Sent(sent));
            let (began, limit) = (Instant::now(), self.patience + allowance(request));
            let outcome = tokio::time::timeout(limit, self.client.call(request)).await;
            self.took = began.elapsed();
            let Ok(outcome) = outcome else {
                return bad(format!("no answer within {limit:?}"), "see whether the node is well");
            };
            self.lines.borrow_mut().push(Line::Received(told(&outcome)));
            Ok(outcome)
        })
    }

    fn took(&self) -> Duration {
        self.took
    }
}

/// An outcome in words.
pub(super) fn told(outcome: &Outcome<Response>) -> String {
    match outcome {
        Outcome::Ok(response) => format!("ok {response:?}"),
        Outcome::Fail(Failure::Refused(Some(saw))) => format!("refused, having seen {saw:?}"),
        Outcome::Fail(Failure::Refused(None)) => "refused".into(),
        Outcome::Fail(Failure::NotDone(why)) => format!("fail: {why}"),
        Outcome::Info(why) => format!("info: {why}"),
    }
}
