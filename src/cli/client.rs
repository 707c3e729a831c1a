//! `elenchus client check`: whether a client answers as its capabilities say, and a program keeps to the protocol.
//!
//! | module | what it does |
//! |---|---|
//! | `campaign` | tries out the client of a campaign, on a cluster of it |
//! | `show` | what the user sees |

mod campaign;
mod show;

use super::usage;
use crate::exit::Exit;
use crate::quantity::Span;
use crate::registry::Registry;
use clap::{Args, Subcommand};
use elenchus_core::client::Capability;
use elenchus_systems::conformance::{Finding, Program as Running, Subject, Tried};
use elenchus_systems::described::description::Offered;
use elenchus_systems::described::template::{Facts, Template};
use elenchus_systems::exec::{Node, Program};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// Arguments of `client`.
#[derive(Debug, Args)]
pub struct ClientArgs {
    #[command(subcommand)]
    command: ClientCommand,
}

#[derive(Debug, Subcommand)]
enum ClientCommand {
    /// Try a client out, against a node that runs or a campaign's cluster, and say where it is wrong
    Check(Box<CheckArgs>),
}

/// Arguments of `client check`.
#[derive(Debug, Args)]
struct CheckArgs {
    /// Try out the client of this campaign (etcd, http or exec), on one node that is started for it, or on its
    /// external cluster
    #[arg(long, value_name = "FILE", conflicts_with_all = ["command", "node", "ip", "port", "capabilities"])]
    campaign: Option<PathBuf>,
    /// The node's name, as the program is told it
    #[arg(long, default_value = "n1")]
    node: String,
    /// The node's address
    #[arg(long, default_value = "127.0.0.1")]
    ip: String,
    /// A port of the node, under the name that the program knows it by; may be repeated
    #[arg(long, value_name = "NAME=PORT", value_parser = port)]
    port: Vec<(String, u16)>,
    /// What the program offers: kv, append, peek, txn, lock, fencing, watch
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "kv", value_parser = offered)]
    capabilities: Vec<Offered>,
    /// How long an answer is waited for
    #[arg(long, value_name = "DURATION")]
    timeout: Option<Span>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Print the lines that went to and fro of every check, not only of the bad ones
    #[arg(long, short)]
    verbose: bool,
    /// The program and its arguments; {ip}, {node} and {port.NAME} are filled
    #[arg(last = true, required_unless_present = "campaign", value_name = "PROGRAM")]
    command: Vec<String>,
}

fn port(text: &str) -> Result<(String, u16), String> {
    let parsed = text.split_once('=').and_then(|(name, port)| Some((name.to_owned(), port.parse().ok()?)));
    parsed.filter(|(name, _)| !name.is_empty()).ok_or_else(|| "write it so: client=2379".into())
}

fn offered(text: &str) -> Result<Offered, String> {
    Offered::named(text).ok_or_else(|| format!("there are {}", Offered::names().join(", ")))
}

/// Does what the arguments say.
pub fn run(args: &ClientArgs, registry: &Registry) -> Exit {
    let ClientCommand::Check(args) = &args.command;
    match &args.campaign {
        Some(path) => campaign::check(args, path, registry),
        None => check_program(args),
    }
}

/// Tries out the program that the arguments name.
fn check_program(args: &CheckArgs) -> Exit {
    let words = match args.words() {
        Ok(words) => words,
        Err(why) => return usage(&why),
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return super::broken(&format!("no asynchronous runtime can be built: {error}")),
    };
    let program = |node: &Node| args.program(&words, node);
    let client = Tried::Program(Running { program: &program, node: args.node() });
    let subject =
        args.subject(client, args.capabilities.iter().map(|offered| offered.capability()).collect());
    let findings = tokio::task::LocalSet::new().block_on(&runtime, subject.examine());
    args.show(&findings)
}

impl CheckArgs {
    /// What is tried out.
    fn subject<'a>(&self, client: Tried<'a>, capabilities: Vec<Capability>) -> Subject<'a> {
        Subject {
            client,
            capabilities,
            prefix: format!("elenchus-check-{}-{}", std::process::id(), super::fresh_seed()),
            patience: self.timeout.map_or(Duration::from_secs(3), |span| span.0),
        }
    }

    /// Shows what was found.
    fn show(&self, findings: &[Finding]) -> Exit {
        if self.json {
            show::json(findings);
        } else {
            show::table(findings, self.verbose);
        }
        let is_good = findings.iter().all(|finding| finding.result.is_ok());
        if is_good { Exit::Valid } else { Exit::Invalid }
    }

    /// The words of the command, with their holes read.
    fn words(&self) -> Result<Vec<Template>, String> {
        let ports: Vec<&str> = self.port.iter().map(|(name, _)| name.as_str()).collect();
        let word = |text: &String| Template::parse(text, &ports).map_err(|error| format!("{text}: {error}"));
        let words: Vec<Template> = self.command.iter().map(word).collect::<Result<_, _>>()?;
        let program = &self.command[0];
        if which(program) { Ok(words) } else { Err(format!("there is no program {program}")) }
    }

    fn node(&self) -> Node {
        let addresses = self.port.iter().map(|(name, port)| (name.clone(), format!("{}:{port}", self.ip)));
        Node { name: self.node.clone(), ip: self.ip.clone(), addresses: addresses.collect() }
    }

    /// The program that speaks to this node.
    fn program(&self, words: &[Template], node: &Node) -> Program {
        let port = |address: &String| address.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
        let ports = node.addresses.iter().filter_map(|(name, at)| Some((name.clone(), port(at)?)));
        let here = std::env::current_dir().unwrap_or_default().to_string_lossy().into_owned();
        let facts = Facts {
            node: node.name.clone(),
            index: 1,
            campaign: here.clone(),
            ip: node.ip.clone(),
            dir: here.clone(),
            data: here,
            ports: ports.collect::<BTreeMap<String, u16>>(),
        };
        let command = words.iter().map(|word| word.fill(0, std::slice::from_ref(&facts))).collect();
        Program { command, node: node.clone(), log: None }
    }
}

/// Whether a program of this name or path can be found.
fn which(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    match program.contains('/') {
        true => std::path::Path::new(program).is_file(),
        false => std::env::split_paths(&path).any(|folder| folder.join(program).is_file()),
    }
}
