//! Clients that are programs of the user's own, in any language: one process a client, one JSON object a line.
//!
//! The program reads requests on its standard input and answers each on its standard output; `docs/clients.md`
//! has the words. It is started for each connection and ends with it: when its input ends, or by force. Whatever is
//! no answer (garbage, an end, silence) is a doubt about the one request that was open, and harms nothing else.

pub(crate) mod words;

use elenchus_core::LocalFuture;
use elenchus_core::client::{Capability, Client, Connector, Request, Response};
use elenchus_core::outcome::{Cause, Outcome};
use elenchus_core::process::{NodeId, Process};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

/// The node that a client is to speak to, as it is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// Its address.
    pub ip: String,
    /// `host:port` of each of its ports.
    pub addresses: BTreeMap<String, String>,
}

/// The program that speaks to one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// Program and arguments.
    pub command: Vec<String>,
    /// The node.
    pub node: Node,
    /// The file to which its standard error is appended; `None`: that of this process.
    pub log: Option<PathBuf>,
}

impl Program {
    /// Why it did not open, with the last that it said on its standard error.
    fn explained(&self, why: &Cause) -> Cause {
        let Some(path) = &self.log else { return why.clone() };
        let said = std::fs::read(path).unwrap_or_default();
        let said = String::from_utf8_lossy(&said[said.len().saturating_sub(LAST_MAX)..]).into_owned();
        match said.lines().rfind(|line| !line.trim().is_empty()) {
            Some(last) => format!("{why}; it said last: {} ({})", last.trim(), path.display()).into(),
            None => why.clone(),
        }
    }
}

/// How much is read of the end of what a program said.
const LAST_MAX: usize = 300;

/// Opens clients by starting programs.
#[derive(Clone, Debug)]
pub struct ExecConnector {
    programs: Vec<Program>,
    capabilities: Vec<Capability>,
}

impl ExecConnector {
    /// A connector to the nodes of these programs, which offer this.
    pub fn new(programs: Vec<Program>, capabilities: Vec<Capability>) -> ExecConnector {
        ExecConnector { programs, capabilities }
    }
}

impl Connector for ExecConnector {
    fn capabilities(&self) -> &[Capability] {
        &self.capabilities
    }

    /// A dozen interpreters that start at once take their time.
    fn connect_limit(&self) -> Duration {
        Duration::from_secs(2)
    }

    fn connect<'a>(
        &'a self,
        node: &'a NodeId,
        process: Process,
    ) -> LocalFuture<'a, Result<Box<dyn Client>, Cause>> {
        Box::pin(async move {
            let program = self.programs.iter().find(|program| program.node.name == node.as_str());
            let program = program.ok_or_else(|| Cause::from(format!("{node} is no node here")))?;
            let client = ExecClient::open(program, process).await?;
            Ok(Box::new(client) as Box<dyn Client>)
        })
    }
}

/// A running client program.
pub struct ExecClient {
    program: Program,
    process: Process,
    child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
    /// How many requests were sent.
    sent: u64,
}

impl ExecClient {
    /// Starts the program and tells it whom it speaks to. An error means that it is not ready, and nothing was
    /// asked of the system.
    pub async fn open(program: &Program, process: Process) -> Result<ExecClient, Cause> {
        let mut child = start(program)?;
        let input = child.stdin.take().expect("it is piped");
        let output = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        let mut client = ExecClient { program: program.clone(), process, child, input, output, sent: 0 };
        let answer = client.exchange(words::open(&program.node, process)).await;
        words::opened(&answer.map_err(|trouble| program.explained(&trouble.0))?)?;
        Ok(client)
    }

    /// Performs one request.
    pub async fn perform(&mut self, request: &Request) -> Outcome<Response> {
        // Nothing of this request was sent yet, so another one may take it.
        if let Ok(Some(status)) = self.child.try_wait() {
            match ExecClient::open(&self.program, self.process).await {
                Ok(client) => *self = client,
                Err(why) => {
                    return Outcome::not_done(format!(
                        "the client had ended before ({status}), and then: {why}"
                    ));
                }
            }
        }
        match self.exchange(words::request(request)).await {
            Ok(line) => words::outcome(&line, self.sent, request).unwrap_or_else(Outcome::Info),
            Err(Trouble(why)) => Outcome::Info(why),
        }
    }

    /// Sends a line and reads the next one.
    async fn exchange(
        &mut self,
        mut message: serde_json::Map<String, serde_json::Value>,
    ) -> Result<String, Trouble> {
        self.sent += 1;
        message.insert("id".into(), self.sent.into());
        let mut line = serde_json::Value::from(message).to_string();
        line.push('\n');
        let sent = async {
            self.input.write_all(line.as_bytes()).await?;
            self.input.flush().await
        };
        if let Err(error) = sent.await {
            return Err(self.ended(&error.to_string()).await);
        }
        match self.output.next_line().await {
            Ok(Some(line)) => Ok(line),
            Ok(None) => Err(self.ended("it closed its output").await),
            Err(error) => Err(Trouble(format!("the client's answer cannot be read: {error}").into())),
        }
    }

    /// Why a client that no longer speaks does not.
    async fn ended(&mut self, seen: &str) -> Trouble {
        // Whoever closes its output ends in the same breath, as a rule.
        let patience = Duration::from_millis(200);
        let how = match tokio::time::timeout(patience, self.child.wait()).await {
            Ok(Ok(status)) => format!("the client ended: {status}"),
            _ => format!("the client is broken: {seen}"),
        };
        Trouble(how.into())
    }
}

/// What kept a line from being exchanged.
struct Trouble(Cause);

impl Client for ExecClient {
    fn call<'a>(&'a mut self, request: &'a Request) -> LocalFuture<'a, Outcome<Response>> {
        Box::pin(self.perform(request))
    }
}

pub(crate) fn start(program: &Program) -> Result<Child, Cause> {
    let Some((file, arguments)) = program.command.split_first() else {
        return Err("no client program is named".into());
    };
    let log = match &program.log {
        Some(path) => {
            let opened = std::fs::OpenOptions::new().create(true).append(true).open(path);
            Stdio::from(opened.map_err(|error| Cause::from(format!("{}: {error}", path.display())))?)
        }
        None => Stdio::inherit(),
    };
    let mut command = Command::new(file);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log).kill_on_drop(true);
    // A terminal's Ctrl-C is for us: the trial still has its last answers to hear.
    command.process_group(0);
    command.spawn().map_err(|error| Cause::from(format!("{file}: {error}")))
}
