//! Whether a client program keeps to the protocol of `docs/clients.md`: it is tried out, against a node and without one.
//!
//! Each check runs the program anew and tells what it saw, with the lines that went to and fro. What a check blames is
//! something that would cost users a verdict, or make one false; what is a matter of taste it leaves alone. Not examined
//! is whether the store itself is right: one client at a time asks, and nothing is broken meanwhile.
//!
//! | module | what it tries |
//! |---|---|
//! | `operations` | what the client says of each operation that it offers |
//! | `manners` | how it takes requests: their ids, their order, words that it does not know, the end |
//! | `doubts` | what it says when the node cannot be reached, hangs up or stays silent |
//! | `session` | one running program, line by line |

mod doubts;
mod manners;
mod operations;
mod session;

use super::{Node, Program};
use elenchus_core::client::Capability;
use session::Session;
use std::time::Duration;

/// What is tried out.
pub struct Subject<'a> {
    /// The program that speaks to this node.
    pub program: &'a dyn Fn(&Node) -> Program,
    /// The node that it speaks to.
    pub node: Node,
    /// What it claims to offer.
    pub capabilities: Vec<Capability>,
    /// Begins all keys, so that nobody else's are touched.
    pub prefix: String,
    /// How long an answer is waited for.
    pub patience: Duration,
}

/// What one check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The check.
    pub name: &'static str,
    /// What was seen, or what was wrong with it.
    pub result: Result<String, Bad>,
    /// The lines that went to and fro.
    pub lines: Vec<Line>,
}

/// Something that a client must not do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bad {
    /// What it did.
    pub what: String,
    /// What to do about it.
    pub mend: &'static str,
}

/// A line that went to or fro.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// To the program.
    Sent(String),
    /// From it.
    Received(String),
}

/// How long the first answer may take: the runner waits no longer for a connection.
const OPEN_MAX: Duration = Duration::from_secs(1);

/// What a check comes to.
type Checked = Result<String, Bad>;

fn bad<T>(what: impl Into<String>, mend: &'static str) -> Result<T, Bad> {
    Err(Bad { what: what.into(), mend })
}

impl Subject<'_> {
    /// Runs all checks, one after the other. Must be called inside a `LocalSet`.
    pub async fn examine(&self) -> Vec<Finding> {
        let mut findings = vec![manners::opens(self).await];
        if findings[0].result.is_err() {
            return findings;
        }
        operations::all(self, &mut findings).await;
        manners::all(self, &mut findings).await;
        doubts::all(self, &mut findings).await;
        findings
    }

    /// Runs the program, opens it, and does what the check does.
    async fn opened(&self, name: &'static str, check: impl AsyncFnOnce(&mut Session) -> Checked) -> Finding {
        self.at(name, &self.node, async |session| {
            session.open().await?;
            check(session).await
        })
        .await
    }

    /// Runs the program for this node and does what the check does.
    async fn at(
        &self,
        name: &'static str,
        node: &Node,
        check: impl AsyncFnOnce(&mut Session) -> Checked,
    ) -> Finding {
        match Session::start(&(self.program)(node), self.patience) {
            Ok(mut session) => {
                let result = check(&mut session).await;
                Finding { name, result, lines: session.into_lines() }
            }
            Err(why) => {
                let mend = "name a program that can be started";
                Finding { name, result: bad(why.to_string(), mend), lines: Vec::new() }
            }
        }
    }

    fn key(&self, name: &str) -> String {
        format!("{}/{name}", self.prefix)
    }

    fn offers(&self, capability: Capability) -> bool {
        self.capabilities.contains(&capability)
    }
}
