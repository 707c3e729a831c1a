//! The bundled system: a cluster of reference nodes, each a process of this very program.
//!
//! | module | its part |
//! |---|---|
//! | [`connector`] | opens clients |
//! | [`client`] | gives a [`elenchus_reference::session::ClientSession`] a socket and the time |
//! | [`translate`] | the requests of workloads in the nodes' words |
//! | [`admin`] | asks and sets what needs no quorum: roles, clocks |
//! | [`mod@line`] | frames over one socket |

pub mod admin;
pub mod client;
pub mod connector;
pub mod line;
pub mod translate;

use admin::Admin;
use connector::BundledConnector;
use elenchus_core::LocalFuture;
use elenchus_core::client::Connector;
use elenchus_core::fault::Skew;
use elenchus_core::outcome::Cause;
use elenchus_core::process::NodeId;
use elenchus_core::system::{Assumptions, Clocks, Leadership, Primaries, Spawn, System};
use elenchus_reference::node::NodeOptions;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// A cluster of reference nodes.
#[derive(Debug)]
pub struct BundledSystem {
    /// Program and arguments that start a node; its options follow as one more argument, in JSON.
    command: Vec<String>,
    nodes: Vec<NodeOptions>,
    connector: BundledConnector,
    admin: Admin,
}

impl BundledSystem {
    /// The cluster of these nodes. All name the same cluster, and each its address as clients reach it.
    ///
    /// `command` is the program with the arguments that make it run
    /// [`elenchus_reference::node::run`] on the options in the argument after them.
    pub fn new(command: Vec<String>, nodes: Vec<NodeOptions>) -> BundledSystem {
        let cluster = nodes.first().map_or(0, |node| node.cluster);
        let addresses: Vec<(NodeId, SocketAddr)> =
            nodes.iter().map(|node| (NodeId::new(&node.name), node.listen)).collect();
        let connector = BundledConnector::new(cluster, addresses.clone());
        BundledSystem { command, nodes, connector, admin: Admin::new(cluster, addresses) }
    }

    /// The same, but its clients give an operation up after `limit`.
    pub fn with_operation_max(self, limit: Duration) -> BundledSystem {
        BundledSystem { connector: self.connector.with_operation_max(limit), ..self }
    }

    /// Asks nodes and sets their clocks.
    pub fn admin(&self) -> &Admin {
        &self.admin
    }

    fn options(&self, node: &NodeId) -> &NodeOptions {
        let named = self.nodes.iter().find(|options| options.name == node.as_str());
        named.expect("the cluster's nodes are those that it was made of")
    }
}

impl System for BundledSystem {
    fn name(&self) -> &'static str {
        "bundled"
    }

    fn assumptions(&self) -> Assumptions {
        assumptions(self.nodes.len())
    }

    fn spawn(&self, node: &NodeId) -> Spawn {
        let mut argv = self.command.clone();
        let options = serde_json::to_string(self.options(node)).expect("options are text and numbers");
        argv.push(options);
        Spawn { argv, env: Vec::new(), cwd: None, user: None }
    }

    fn data(&self, node: &NodeId) -> Option<PathBuf> {
        Some(self.options(node).data.clone())
    }

    fn ready<'a>(&'a self, node: &'a NodeId) -> LocalFuture<'a, Result<(), Cause>> {
        Box::pin(async move {
            let begun = tokio::time::Instant::now();
            loop {
                match self.admin.status(node).await {
                    Ok(_) => return Ok(()),
                    Err(error) if begun.elapsed() > READY_MAX => {
                        return Err(format!("{node} does not answer: {error}").into());
                    }
                    Err(_) => tokio::time::sleep(READY_PAUSE).await,
                }
            }
        })
    }

    fn connector(&self) -> &dyn Connector {
        &self.connector
    }

    fn clocks(&self) -> Option<&dyn Clocks> {
        Some(self)
    }

    fn primaries(&self) -> Option<&dyn Primaries> {
        Some(self)
    }
}

/// How long a node may take until it answers.
const READY_MAX: Duration = Duration::from_secs(10);

/// The pause between two attempts to reach a node that starts.
const READY_PAUSE: Duration = Duration::from_millis(20);

impl Clocks for BundledSystem {
    fn skew<'a>(&'a self, node: &'a NodeId, skew: Option<Skew>) -> LocalFuture<'a, Result<i64, Cause>> {
        Box::pin(async move { named(node, self.admin.set_clock(node, skew).await) })
    }

    fn clock<'a>(&'a self, node: &'a NodeId) -> LocalFuture<'a, Result<i64, Cause>> {
        Box::pin(async move { named(node, self.admin.clock(node).await) })
    }
}

impl Primaries for BundledSystem {
    fn leads<'a>(&'a self, node: &'a NodeId) -> LocalFuture<'a, Result<Leadership, Cause>> {
        Box::pin(async move {
            let status = named(node, self.admin.status(node).await)?;
            Ok(Leadership { leads: status.role == "leader", term: status.term })
        })
    }
}

/// Says of an error which node it concerns.
fn named<T>(node: &NodeId, answer: io::Result<T>) -> Result<T, Cause> {
    answer.map_err(|error| format!("{node}: {error}").into())
}

/// What a cluster of so many reference nodes needs in order to keep its promises.
pub fn assumptions(nodes: usize) -> Assumptions {
    let faulty = nodes.saturating_sub(1) / 2;
    let lines = [
        "storage is durable: what was synced survives a crash, whole and unchanged".to_owned(),
        format!(
            "nodes fail by stopping or being slow, never by lying; to answer at all, {} of {nodes} must run and \
             reach each other, so that {faulty} may be lost",
            nodes - faulty
        ),
        "messages may be lost, delayed, duplicated and reordered, but not altered".to_owned(),
        "clocks may be anything: no answer depends on them, only how soon it comes".to_owned(),
    ];
    Assumptions { lines: lines.into() }
}

#[cfg(test)]
mod tests;
