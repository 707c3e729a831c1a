//! `elenchus agent`: what a controller calls on a host. Hidden, for people have no use for it.

use super::say::say;
use super::{broken, usage};
use crate::agent::{self, FilterRequest, Options};
use crate::exit::Exit;
use crate::quantity::Span;
use clap::{Args, Subcommand};
use elenchus_core::process::NodeId;
use std::net::IpAddr;
use std::path::PathBuf;

/// What to do on this host.
#[derive(Debug, Subcommand)]
pub enum AgentCommand {
    /// Start an agent that outlives this command, unless one lives there
    Serve(ServeArgs),
    /// Bridge standard input and output to the agent
    Attach {
        /// Where the agent lives
        #[arg(long, value_name = "DIR")]
        folder: PathBuf,
        /// Where the controller's connection comes from; `$SSH_CONNECTION` tells it if left out
        #[arg(long, value_name = "IP")]
        from: Option<IpAddr>,
    },
    /// Say what this host allows, and change nothing
    Look {
        /// Whose clock faults would set
        #[arg(long, value_enum, default_value = "processes")]
        clock: Clock,
    },
    /// Undo what an agent left
    Heal {
        /// Where the agent lived
        #[arg(long, value_name = "DIR")]
        folder: PathBuf,
        /// End a living agent first
        #[arg(long)]
        end: bool,
    },
}

/// How an agent is to be.
#[derive(Debug, Args)]
pub struct ServeArgs {
    /// Where it lives
    #[arg(long, value_name = "DIR")]
    folder: PathBuf,
    /// A node that it runs
    #[arg(long = "node", value_name = "NAME", required = true)]
    nodes: Vec<String>,
    /// After so long without any request it takes everything back and ends
    #[arg(long, value_name = "TIME", default_value = "60s")]
    lease: Span,
    /// Whose clock faults set: that of the node's processes, or the host's own
    #[arg(long, value_enum, default_value = "processes")]
    clock: Clock,
    /// By what means links are cut
    #[arg(long, value_enum, default_value = "auto")]
    filter: Filter,
}

/// By what means links are cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Filter {
    /// nftables where the kernel has them, else iptables.
    Auto,
    /// nftables.
    Nftables,
    /// The program iptables.
    Iptables,
}

/// Whose clock is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Clock {
    /// That of the node's processes.
    Processes,
    /// The host's own.
    Host,
}

/// Does it.
pub fn run(command: AgentCommand) -> Exit {
    match command {
        AgentCommand::Serve(args) => serve(args),
        AgentCommand::Attach { folder, from } => {
            let connection = std::env::var("SSH_CONNECTION").unwrap_or_default();
            let from = from.or_else(|| agent::client_of(&connection));
            agent::attach(&folder, from).map_or_else(|error| broken(&error.to_string()), |()| Exit::Valid)
        }
        AgentCommand::Look { clock } => {
            let rights = agent::rights(FilterRequest::Auto, clock == Clock::Host);
            say!("{}", serde_json::json!({ "rights": rights }));
            Exit::Valid
        }
        AgentCommand::Heal { folder, end } => match agent::heal(&folder, end) {
            Ok(healed) => {
                say!("{}", serde_json::json!({ "healed": healed }));
                Exit::Valid
            }
            Err(error) => broken(&error.to_string()),
        },
    }
}

fn serve(args: ServeArgs) -> Exit {
    let lease = args.lease.0;
    if lease < std::time::Duration::from_millis(100) {
        return usage("--lease: an agent needs at least 100ms to hear anything");
    }
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if let Some(name) = args.nodes.iter().find(|name| name.starts_with('.') || !name.chars().all(is_plain)) {
        return usage(&format!("--node: {name:?} cannot be the name of a folder"));
    }
    let options = Options {
        folder: args.folder,
        nodes: args.nodes.iter().map(|name| NodeId::new(name.as_str())).collect(),
        lease,
        host_clock: args.clock == Clock::Host,
        filter: match args.filter {
            Filter::Auto => FilterRequest::Auto,
            Filter::Nftables => FilterRequest::Nftables,
            Filter::Iptables => FilterRequest::Iptables,
        },
    };
    match agent::serve(&options) {
        Ok(ready) => {
            say!("{}", serde_json::json!({ "ready": ready }));
            Exit::Valid
        }
        Err(error) => broken(&error.to_string()),
    }
}
