//! Stores that speak HTTP, as a campaign's file describes their requests and answers.
//!
//! Every request is sent once, over a connection of its own client, to its own node: no redirect is followed, nothing
//! is sent again. An answer that the description does not name is a doubt.
//!
//! | module | its part |
//! |---|---|
//! | [`description`] | what the file may say |
//! | `hole` | texts with holes, and how they are escaped |
//! | `answer` | what an answer means |

mod answer;
pub mod description;
mod hole;

use crate::described::description::Secret;
use crate::http::{Answer, Connection, Message, NoAnswer};
use answer::Meaning;
use description::{Exchange, HttpDescription, Texts};
use elenchus_core::LocalFuture;
use elenchus_core::client::{Capability, Client, Connector, Request, Response};
use elenchus_core::outcome::{Cause, Failure, Outcome};
use elenchus_core::process::{NodeId, Process};
use elenchus_core::value::Value;
use hole::Word;
use std::rc::Rc;

/// Opens clients of a described store.
pub struct HttpConnector {
    description: Rc<HttpDescription>,
    capabilities: Vec<Capability>,
    nodes: Vec<Rc<Node>>,
}

/// One node: where it listens, and what every request to it bears.
struct Node {
    name: NodeId,
    address: String,
    headers: Vec<(String, String)>,
    /// What no record may hold.
    secrets: Vec<String>,
}

impl HttpConnector {
    /// A connector to these nodes, by a description that was checked. `fill` fills a node's own holes.
    pub fn new(
        description: HttpDescription,
        nodes: &[NodeId],
        fill: impl Fn(usize, &str) -> String,
    ) -> HttpConnector {
        let node = |(me, name): (usize, &NodeId)| {
            let mut secrets = Vec::new();
            let mut value = |secret: &Secret| match secret {
                Secret::Plain(text) => fill(me, text),
                // A variable that is not set is refused when the trial is planned.
                Secret::Env { env } => {
                    let value = std::env::var(env).unwrap_or_default();
                    secrets.push(value.clone());
                    value
                }
            };
            let headers = description.headers.iter().map(|(name, secret)| (name.clone(), value(secret)));
            let headers = headers.collect();
            Rc::new(Node { name: name.clone(), address: fill(me, &description.address), headers, secrets })
        };
        let nodes = nodes.iter().enumerate().map(node).collect();
        let capabilities = description.capabilities();
        HttpConnector { description: Rc::new(description), capabilities, nodes }
    }
}

impl Connector for HttpConnector {
    fn capabilities(&self) -> &[Capability] {
        &self.capabilities
    }

    fn connect<'a>(
        &'a self,
        node: &'a NodeId,
        _process: Process,
    ) -> LocalFuture<'a, Result<Box<dyn Client>, Cause>> {
        Box::pin(async move {
            let known = self.nodes.iter().find(|known| known.name == *node);
            let node = known.ok_or_else(|| Cause::from(format!("{node} is no node here")))?.clone();
            let connection = Connection::open(&node.address).await?;
            let client = HttpClient { description: self.description.clone(), node, connection };
            Ok(Box::new(client) as Box<dyn Client>)
        })
    }
}

struct HttpClient {
    description: Rc<HttpDescription>,
    node: Rc<Node>,
    connection: Connection,
}

impl Client for HttpClient {
    fn call<'a>(&'a mut self, request: &'a Request) -> LocalFuture<'a, Outcome<Response>> {
        Box::pin(async move {
            match request {
                Request::Get { key } => self.read(key).await.map(|(value, _)| Response::Value(value)),
                Request::Put { key, value } => {
                    let put = self.description.put.clone();
                    self.write(put, "put", &[(Word::Key, &Value::str(key)), (Word::Value, value)]).await
                }
                Request::Delete { key } => {
                    let delete = self.description.delete.clone();
                    self.write(delete, "delete", &[(Word::Key, &Value::str(key))]).await
                }
                Request::Cas { key, from, to } => self.cas(key, from, to).await,
                Request::Append { key, text } if self.description.append.is_some() => {
                    let append = self.description.append.clone();
                    let holes = [(Word::Key, &Value::str(key)), (Word::Text, &Value::str(text))];
                    self.write(append, "append", &holes).await
                }
                Request::Append { key, text } => self.append(key, text).await,
                _ => Outcome::not_done("an HTTP client is not asked this"),
            }
        })
    }
}

/// What fills the holes.
type Holes<'a> = [(Word, &'a Value)];

impl HttpClient {
    /// What a key holds, and its version. A read that failed has done nothing, whatever the reason.
    async fn read(&mut self, key: &str) -> Outcome<(Value, Option<String>)> {
        let Some(get) = self.description.get.clone() else { return not_described("get") };
        let answer = match self.exchange(&get, &[(Word::Key, &Value::str(key))]).await {
            Ok(answer) => answer,
            Err(NoAnswer::Unsent(why) | NoAnswer::Doubt(why)) => return Outcome::not_done(why),
        };
        match answer::meaning(&get, &answer, &self.node.secrets) {
            Meaning::Done => match answer::value(&get, &answer) {
                Some(value) => {
                    let version = get.version.as_ref().and_then(|at| answer::text_at(&answer, at));
                    Outcome::Ok((value, version))
                }
                None => Outcome::info(format!("no value in {}", answer::said(&answer, &self.node.secrets))),
            },
            Meaning::Absent => Outcome::Ok((Value::Nil, get.version_absent.clone())),
            Meaning::NotDone(why) | Meaning::Doubt(why) => Outcome::not_done(why),
            Meaning::Refused(_) => Outcome::not_done("the read was refused"),
        }
    }

    async fn write(
        &mut self,
        exchange: Option<Exchange>,
        name: &str,
        holes: &Holes<'_>,
    ) -> Outcome<Response> {
        let Some(exchange) = exchange else { return not_described(name) };
        match self.exchange(&exchange, holes).await {
            Ok(answer) => {
                let meaning = answer::meaning(&exchange, &answer, &self.node.secrets);
                meaning.outcome(|| Response::Done, Response::Value)
            }
            Err(NoAnswer::Unsent(why)) => Outcome::not_done(why),
            Err(NoAnswer::Doubt(why)) => Outcome::info(why),
        }
    }

    /// Where the store compares versions, the key is read first, and set if it is still as it was read.
    async fn cas(&mut self, key: &str, from: &Value, to: &Value) -> Outcome<Response> {
        let Some(cas) = self.description.cas.clone() else { return not_described("cas") };
        let name = Value::str(key);
        let mut holes = vec![(Word::Key, &name), (Word::From, from), (Word::To, to)];
        if !cas.names(Word::Version) {
            return self.write(Some(cas), "cas", &holes).await;
        }
        let (held, version) = match self.read(key).await {
            Outcome::Ok(read) => read,
            // Only a read was sent.
            Outcome::Fail(_) => return Outcome::not_done("the key could not be read"),
            Outcome::Info(why) => return Outcome::not_done(why),
        };
        if held != *from {
            return Outcome::Fail(Failure::Refused(Some(Response::Value(held))));
        }
        let Some(version) = version.map(|version| Value::str(&version)) else {
            return Outcome::not_done("the answer to the get bears no version");
        };
        holes.push((Word::Version, &version));
        match self.write(Some(cas), "cas", &holes).await {
            // The version is another one, but the value may be `from` again: that is no observation of it.
            Outcome::Fail(Failure::Refused(_)) => {
                Outcome::not_done("the key was written between the read and the cas")
            }
            outcome => outcome,
        }
    }

    /// A get, and a cas from what it saw: done at once, or not at all.
    async fn append(&mut self, key: &str, text: &str) -> Outcome<Response> {
        let held = match self.read(key).await {
            Outcome::Ok((held, _)) => held,
            Outcome::Fail(_) => return Outcome::not_done("the key could not be read"),
            Outcome::Info(why) => return Outcome::not_done(why),
        };
        let before = match &held {
            Value::Nil => String::new(),
            Value::Int(n) => n.to_string(),
            Value::Str(text) => text.to_string(),
            other => return Outcome::not_done(format!("nothing can be added to {other}")),
        };
        match self.cas(key, &held, &Value::str(&format!("{before}{text}"))).await {
            Outcome::Fail(Failure::Refused(_)) => {
                Outcome::not_done("the key was written between the read and the cas")
            }
            outcome => outcome,
        }
    }

    /// Sends one request once and reads its answer.
    async fn exchange(&mut self, exchange: &Exchange, holes: &Holes<'_>) -> Result<Answer, NoAnswer> {
        let unsent = |why: String| NoAnswer::Unsent(why);
        let texts = exchange.texts().map_err(|(key, why)| unsent(format!("{key}: {why}")))?;
        let Texts { path, body, kind } = texts;
        let of = |word: Word| holes.iter().find(|(known, _)| *known == word).map(|(_, value)| *value);
        let path = path.fill(of).map_err(unsent)?;
        let text = body.as_ref().map(|body| body.fill(of)).transpose().map_err(unsent)?;
        let mut headers: Vec<(&str, &str)> = Vec::new();
        if text.is_some()
            && !self.node.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type"))
        {
            headers.push(("content-type", kind));
        }
        headers.extend(self.node.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        // A server that hung up since the last answer took its connection along; nothing of this request was sent yet.
        if self.connection.is_closed() {
            let opened = Connection::open(&self.node.address).await;
            self.connection = opened.map_err(|error| unsent(format!("no connection: {error}")))?;
        }
        let message = Message {
            method: &exchange.method,
            path: &path,
            headers: &headers,
            body: text.unwrap_or_default(),
        };
        self.connection.send(message).await
    }
}

fn not_described<R>(operation: &str) -> Outcome<R> {
    Outcome::not_done(format!("the campaign describes no {operation}"))
}

#[cfg(test)]
mod tests;
