//! The client: what workloads ask, in the store's words. It sends each request once, to its own node.
//!
//! Every error after the first byte was sent is a doubt; only what the store itself calls not done is a failure.

use elenchus_core::LocalFuture;
use elenchus_core::client::{Capability, Client, Connector, Request, Response};
use elenchus_core::outcome::{Cause, Failure, Outcome};
use elenchus_core::process::{NodeId, Process};
use elenchus_core::value::Value;
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufStream};
use tokio::net::TcpStream;

/// What the store can be asked.
pub const OFFERED: &[Capability] = &[Capability::Kv, Capability::Append];

/// Opens clients.
pub struct ShelfConnector {
    addresses: BTreeMap<NodeId, SocketAddr>,
}

impl ShelfConnector {
    /// Clients of the nodes at these addresses.
    pub fn new(addresses: BTreeMap<NodeId, SocketAddr>) -> ShelfConnector {
        ShelfConnector { addresses }
    }

    /// A connection to a node.
    pub async fn open(&self, node: &NodeId) -> io::Result<Line> {
        Ok(Line(BufStream::new(TcpStream::connect(self.addresses[node]).await?)))
    }
}

impl Connector for ShelfConnector {
    fn capabilities(&self) -> &[Capability] {
        OFFERED
    }

    fn connect<'a>(
        &'a self,
        node: &'a NodeId,
        _process: Process,
    ) -> LocalFuture<'a, Result<Box<dyn Client>, Cause>> {
        Box::pin(async move {
            let line = self.open(node).await.map_err(|error| Cause::from(error.to_string()))?;
            Ok(Box::new(line) as Box<dyn Client>)
        })
    }
}

/// A connection to one node.
pub struct Line(BufStream<TcpStream>);

impl Line {
    /// Sends one request and waits for its answer.
    pub async fn ask(&mut self, request: &Json) -> io::Result<Json> {
        self.0.write_all(format!("{request}\n").as_bytes()).await?;
        self.0.flush().await?;
        let mut answer = String::new();
        match self.0.read_line(&mut answer).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(serde_json::from_str(&answer)?),
        }
    }
}

impl Client for Line {
    fn call<'a>(&'a mut self, request: &'a Request) -> LocalFuture<'a, Outcome<Response>> {
        Box::pin(async move {
            let Some(words) = words(request) else {
                return Outcome::not_done("the store has no such request");
            };
            match self.ask(&words).await {
                Ok(answer) => outcome(request, &answer),
                Err(error) => Outcome::info(error.to_string()),
            }
        })
    }
}

fn words(request: &Request) -> Option<Json> {
    Some(match request {
        Request::Get { key } => json!({ "op": "get", "key": key }),
        Request::Put { key, value } => json!({ "op": "put", "key": key, "value": plain(value)? }),
        Request::Cas { key, from, to } => {
            json!({ "op": "cas", "key": key, "from": plain(from)?, "to": plain(to)? })
        }
        Request::Append { key, text } => json!({ "op": "append", "key": key, "text": text }),
        Request::Delete { key } => json!({ "op": "delete", "key": key }),
        _ => return None,
    })
}

fn outcome(request: &Request, answer: &Json) -> Outcome<Response> {
    if let Some(why) = answer["not-done"].as_str() {
        return Outcome::not_done(why.to_owned());
    }
    if let Some(saw) = answer.get("refused") {
        return Outcome::Fail(Failure::Refused(value(saw).map(Response::Value)));
    }
    match request {
        Request::Get { .. } => match answer.get("value").and_then(value) {
            Some(value) => Outcome::Ok(Response::Value(value)),
            None => Outcome::info(format!("a strange answer: {answer}")),
        },
        _ => Outcome::Ok(Response::Done),
    }
}

fn plain(value: &Value) -> Option<Json> {
    match value {
        Value::Nil => Some(Json::Null),
        Value::Int(number) => Some(json!(number)),
        Value::Str(text) => Some(json!(&**text)),
        _ => None,
    }
}

fn value(json: &Json) -> Option<Value> {
    match json {
        Json::Null => Some(Value::Nil),
        Json::Number(number) => number.as_i64().map(Value::Int),
        Json::String(text) => Some(Value::str(text)),
        _ => None,
    }
}
