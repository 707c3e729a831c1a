//! What a client says when its node cannot be reached, hangs up or stays silent: here false verdicts are made.
//!
//! The node is a listener of our own, so that we know whether a request reached it. A put that did is in doubt,
//! whatever comes after: `fail` would be a lie, for the node may have carried it out.

use super::operations::put;
use super::session::Session;
use super::{Checked, Finding, Program, Subject, bad};
use crate::exec::{Node, words};
use elenchus_core::client::Response;
use elenchus_core::outcome::Outcome;
use elenchus_core::value::Value;
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};

/// How long the listener waits for the rest of a request before it hangs up.
const PAUSE: Duration = Duration::from_millis(100);

/// Tries all of them.
pub(super) async fn all(subject: &Subject<'_>, program: &Program<'_>, findings: &mut Vec<Finding>) {
    let key = subject.key("doubt");
    for (name, manner) in
        [("no-node", Manner::Absent), ("hang-up", Manner::HangsUp), ("silence", Manner::Silent)]
    {
        let finding = match Listener::bind(manner).await {
            Ok(listener) => {
                let node = listener.node(&program.node);
                subject.at(name, program, &node, async |session| asked(session, &listener, &key).await).await
            }
            Err(error) => {
                let what = format!("no port of this machine could be had: {error}");
                Finding { name, result: bad(what, "try again"), lines: Vec::new() }
            }
        };
        findings.push(finding);
    }
}

/// What a put comes to on such a node.
async fn asked(session: &mut Session, listener: &Listener, key: &str) -> Checked {
    let opened = match session.try_open().await {
        Ok(opened) => opened,
        // A program that waits for its node, or dies of it, was not answered either: nothing was asked of the node.
        Err(bad) => return Ok(format!("`open` fails: {}", bad.what)),
    };
    if let Err(why) = opened {
        return Ok(format!("`open` is declined: {why}"));
    }
    let before = listener.heard.get();
    let request = put(key, Value::Int(1));
    let line = match session.exchange(words::request(&request)).await {
        Ok(line) => line,
        Err(bad) => return Ok(format!("a doubt: {}", bad.what)),
    };
    let reached = listener.heard.get() > before;
    judged(session.read(&line, &request)?, reached, listener.manner)
}

fn judged(outcome: Outcome<Response>, reached: bool, manner: Manner) -> Checked {
    match outcome {
        Outcome::Ok(_) => bad(
            format!("a put was answered ok by a client whose node {}", manner.describe()),
            "speak to the node that `open` names, at its `addresses`, and to no other; answer ok only if the node did",
        ),
        Outcome::Fail(_) if reached => bad(
            format!("the put reached the node, which {}; the client answered fail", manner.describe()),
            "answer `info`: the node may have carried it out. Only what was never sent is `fail`",
        ),
        Outcome::Fail(_) => Ok("fail: the put was never sent".into()),
        Outcome::Info(why) => Ok(format!("info: {why}")),
    }
}

/// What a false node does with whoever connects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    /// Nobody listens.
    Absent,
    /// It reads what comes, and hangs up.
    HangsUp,
    /// It reads what comes, and says nothing.
    Silent,
}

impl Manner {
    fn describe(self) -> &'static str {
        match self {
            Manner::Absent => "is not there",
            Manner::HangsUp => "hung up",
            Manner::Silent => "said nothing",
        }
    }
}

/// A false node.
struct Listener {
    manner: Manner,
    port: u16,
    /// How many bytes it was sent.
    heard: Rc<Cell<usize>>,
}

impl Listener {
    async fn bind(manner: Manner) -> std::io::Result<Listener> {
        let socket = TcpListener::bind("127.0.0.1:0").await?;
        let (port, heard) = (socket.local_addr()?.port(), Rc::new(Cell::new(0)));
        if manner != Manner::Absent {
            let heard = heard.clone();
            tokio::task::spawn_local(async move {
                while let Ok((stream, _)) = socket.accept().await {
                    tokio::task::spawn_local(serve(stream, manner, heard.clone()));
                }
            });
        }
        Ok(Listener { manner, port, heard })
    }

    /// The node as a client is told of it.
    fn node(&self, like: &Node) -> Node {
        let address = format!("127.0.0.1:{}", self.port);
        let addresses = like.addresses.keys().map(|name| (name.clone(), address.clone())).collect();
        Node { name: like.name.clone(), ip: "127.0.0.1".into(), addresses }
    }
}

async fn serve(mut stream: TcpStream, manner: Manner, heard: Rc<Cell<usize>>) {
    let mut bytes = [0; 4096];
    while let Ok(n) = stream.read(&mut bytes).await {
        if n == 0 {
            return;
        }
        heard.set(heard.get() + n);
        if manner == Manner::HangsUp {
            let _ = tokio::time::timeout(PAUSE, stream.read(&mut bytes)).await;
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_never_reached_the_node_may_fail() {
        let fail = || Outcome::not_done("timeout");
        assert!(judged(fail(), true, Manner::Silent).is_err());
        assert!(judged(fail(), false, Manner::Absent).is_ok());
        assert!(judged(Outcome::info("timeout"), true, Manner::HangsUp).is_ok());
        assert!(judged(Outcome::Ok(Response::Done), false, Manner::Absent).is_err());
    }
}
