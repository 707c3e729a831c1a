//! `elenchus client check`: whether a client program of the user's own keeps to the protocol.

use super::say::say;
use super::usage;
use crate::exit::Exit;
use crate::quantity::Span;
use clap::{Args, Subcommand};
use elenchus_core::client::Capability;
use elenchus_systems::described::description::Offered;
use elenchus_systems::described::template::{Facts, Template};
use elenchus_systems::exec::conformance::{Finding, Line, Subject};
use elenchus_systems::exec::{Node, Program};
use std::collections::BTreeMap;
use std::time::Duration;

/// Arguments of `client`.
#[derive(Debug, Args)]
pub struct ClientArgs {
    #[command(subcommand)]
    command: ClientCommand,
}

#[derive(Debug, Subcommand)]
enum ClientCommand {
    /// Try a client program out, against a node that runs, and say where it breaks the protocol
    Check(Box<CheckArgs>),
}

/// Arguments of `client check`.
#[derive(Debug, Args)]
struct CheckArgs {
    /// The node's name, as the program is told it
    #[arg(long, default_value = "n1")]
    node: String,
    /// The node's address
    #[arg(long, default_value = "127.0.0.1")]
    ip: String,
    /// A port of the node, under the name that the program knows it by; may be repeated
    #[arg(long, value_name = "NAME=PORT", value_parser = port)]
    port: Vec<(String, u16)>,
    /// What the program offers: kv, txn
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
    #[arg(last = true, required = true, value_name = "PROGRAM")]
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
pub fn run(args: &ClientArgs) -> Exit {
    let ClientCommand::Check(args) = &args.command;
    let words = match args.words() {
        Ok(words) => words,
        Err(why) => return usage(&why),
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return super::broken(&format!("no asynchronous runtime can be built: {error}")),
    };
    let program = |node: &Node| args.program(&words, node);
    let subject = Subject {
        program: &program,
        node: args.node(),
        capabilities: args
            .capabilities
            .iter()
            .map(|offered| offered.capability())
            .collect::<Vec<Capability>>(),
        prefix: format!("elenchus-check-{}-{}", std::process::id(), super::fresh_seed()),
        patience: args.timeout.map_or(Duration::from_secs(3), |span| span.0),
    };
    let findings = tokio::task::LocalSet::new().block_on(&runtime, subject.examine());
    if args.json {
        json(&findings)
    } else {
        table(&findings, args.verbose)
    }
    let is_good = findings.iter().all(|finding| finding.result.is_ok());
    if is_good { Exit::Valid } else { Exit::Invalid }
}

impl CheckArgs {
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

fn table(findings: &[Finding], verbose: bool) {
    let width = findings.iter().map(|finding| finding.name.len()).max().unwrap_or(0);
    for finding in findings {
        let (mark, text) = match &finding.result {
            Ok(note) => ("ok ", note.as_str()),
            Err(bad) => ("bad", bad.what.as_str()),
        };
        say!("{mark}  {:width$}  {text}", finding.name);
        if verbose || finding.result.is_err() {
            for line in &finding.lines {
                let (way, text) = parts(line);
                say!("     {:width$}  {way:8} {}", "", short(text));
            }
        }
        if let Err(bad) = &finding.result {
            say!("     {:width$}  mend     {}", "", bad.mend);
        }
    }
    let bad = findings.iter().filter(|finding| finding.result.is_err()).count();
    match bad {
        0 => say!("{} checks, all ok", findings.len()),
        bad => say!("{bad} of {} checks are bad", findings.len()),
    }
}

fn parts(line: &Line) -> (&'static str, &str) {
    match line {
        Line::Sent(text) => ("sent", text),
        Line::Received(text) => ("received", text),
    }
}

/// A line of a terminal's width, its controls left out.
fn short(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(200).collect()
}

fn json(findings: &[Finding]) {
    let checks = findings.iter().map(|finding| {
        let lines = finding.lines.iter().map(parts).map(|(way, text)| serde_json::json!({ way: text }));
        let mut check = serde_json::json!({
            "name": finding.name,
            "ok": finding.result.is_ok(),
            "lines": lines.collect::<Vec<_>>(),
        });
        match &finding.result {
            Ok(note) => check["note"] = note.as_str().into(),
            Err(bad) => {
                check["what"] = bad.what.as_str().into();
                check["mend"] = bad.mend.into();
            }
        }
        check
    });
    say!("{}", serde_json::json!({ "checks": checks.collect::<Vec<_>>() }));
}
