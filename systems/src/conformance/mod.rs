//! Whether a client answers as its capabilities say: it is tried out, against a node and, if it is a program, without one.
//!
//! Each check opens the client anew and tells what it saw, with what was sent and received. What a check blames is
//! something that would cost users a verdict, or make one false; what is a matter of taste it leaves alone. Not examined
//! is whether the store itself is right: few clients ask, one after the other, and nothing is broken meanwhile.
//!
//! | module | what it tries |
//! |---|---|
//! | `operations`, `locks` | what the client says of each operation that it offers |
//! | `manners` | how a program takes requests: their ids, their order, words that it does not know, the end |
//! | `doubts` | what a program says when the node cannot be reached, hangs up or stays silent |
//! | `talk` | whoever is asked and answers |
//! | `session` | one running program, line by line |

mod doubts;
mod locks;
mod manners;
mod operations;
mod session;
mod talk;

use crate::exec::{self, Node};
use elenchus_core::client::{Capability, Connector};
use elenchus_core::process::{NodeId, Process};
use session::Session;
use std::cell::Cell;
use std::time::Duration;
use talk::{Connection, Talk, Transcript};

/// What is tried out.
pub struct Subject<'a> {
    /// The client.
    pub client: Tried<'a>,
    /// What it claims to offer.
    pub capabilities: Vec<Capability>,
    /// Begins all keys, so that nobody else's are touched.
    pub prefix: String,
    /// How long an answer is waited for.
    pub patience: Duration,
}

/// The client that is tried out.
pub enum Tried<'a> {
    /// A program, which must keep to the protocol of `docs/clients.md` too.
    Program(Program<'a>),
    /// Any client, by what it answers.
    Any {
        /// Who opens it.
        connector: &'a dyn Connector,
        /// The node that it speaks to.
        node: NodeId,
    },
}

/// A program, and the node that it speaks to.
pub struct Program<'a> {
    /// The program that speaks to this node.
    pub program: &'a dyn Fn(&Node) -> exec::Program,
    /// The node that runs.
    pub node: Node,
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
        let mut findings = vec![self.opens().await];
        if findings[0].result.is_err() {
            return findings;
        }
        operations::all(self, &mut findings).await;
        if let Tried::Program(program) = &self.client {
            manners::all(self, program, &mut findings).await;
            doubts::all(self, program, &mut findings).await;
        }
        findings
    }

    async fn opens(&self) -> Finding {
        match &self.client {
            Tried::Program(program) => manners::opens(self, program).await,
            Tried::Any { node, .. } => {
                self.talk("open", async |_, _| Ok(format!("{node} can be reached"))).await
            }
        }
    }

    /// Opens the client and does what the check does.
    async fn talk(
        &self,
        name: &'static str,
        check: impl AsyncFnOnce(&mut dyn Talk, &Others<'_>) -> Checked,
    ) -> Finding {
        let others = Others { subject: self, lines: Transcript::default(), opened: Cell::new(0) };
        let result = match others.another().await {
            Ok(mut talk) => check(&mut *talk, &others).await,
            Err(bad) => Err(bad),
        };
        Finding { name, result, lines: others.lines.take() }
    }

    /// Runs the program, opens it, and does what the check does.
    async fn opened(
        &self,
        name: &'static str,
        program: &Program<'_>,
        check: impl AsyncFnOnce(&mut Session) -> Checked,
    ) -> Finding {
        self.at(name, program, &program.node, async |session| {
            session.open().await?;
            check(session).await
        })
        .await
    }

    /// Runs the program for this node and does what the check does.
    async fn at(
        &self,
        name: &'static str,
        program: &Program<'_>,
        node: &Node,
        check: impl AsyncFnOnce(&mut Session) -> Checked,
    ) -> Finding {
        let lines = Transcript::default();
        let result = match self.started(program, node, lines.clone()) {
            Ok(mut session) => check(&mut session).await,
            Err(bad) => Err(bad),
        };
        Finding { name, result, lines: lines.take() }
    }

    fn started(&self, program: &Program<'_>, node: &Node, lines: Transcript) -> Result<Session, Bad> {
        Session::start(&(program.program)(node), self.patience, lines)
            .or_else(|why| bad(why.to_string(), "name a program that can be started"))
    }

    fn key(&self, name: &str) -> String {
        format!("{}/{name}", self.prefix)
    }

    fn offers(&self, capability: Capability) -> bool {
        self.capabilities.contains(&capability)
    }
}

/// Opens clients for one check, where it needs several.
struct Others<'a> {
    subject: &'a Subject<'a>,
    lines: Transcript,
    opened: Cell<u32>,
}

impl Others<'_> {
    /// One more client of the same node.
    async fn another(&self) -> Result<Box<dyn Talk>, Bad> {
        let (patience, lines) = (self.subject.patience, self.lines.clone());
        let process = Process(self.opened.replace(self.opened.get() + 1));
        Ok(match &self.subject.client {
            Tried::Program(program) => {
                let mut session = self.subject.started(program, &program.node, lines)?;
                session.open().await?;
                Box::new(session)
            }
            Tried::Any { connector, node } => {
                Box::new(Connection::open(*connector, node, process, patience, lines).await?)
            }
        })
    }
}
