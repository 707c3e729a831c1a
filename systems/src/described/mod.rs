//! A system of the user's own, as `[cluster]` of a campaign file describes it: programs on this machine.
//!
//! | module | its part |
//! |---|---|
//! | [`description`] | what the file may say |
//! | [`hosts`] | where its hosts are, if they are reached over SSH |
//! | [`template`] | texts that each node fills with its own |
//! | `membership` | removing and adding members |
//! | [`question`] | asking a node whether it answers, and whether it leads |

pub mod description;
mod membership;
pub mod hosts;
pub mod question;
pub mod template;

use crate::etcd::EtcdConnector;
use crate::exec::{self, ExecConnector, Program};
use description::{Client, Content, Description, Secret};
use elenchus_core::LocalFuture;
use elenchus_core::client::Connector;
use elenchus_core::outcome::Cause;
use elenchus_core::process::NodeId;
use elenchus_core::system::{Assumptions, Leadership, Membership, Primaries, Spawn, System};
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use template::Facts;

/// A described cluster on its ground.
pub struct DescribedSystem {
    description: Description,
    nodes: Vec<NodeId>,
    facts: Vec<Facts>,
    /// Where each node's output goes.
    logs: Vec<PathBuf>,
    connector: Rc<dyn Connector>,
    /// Who was added to a cluster that was there already.
    joined: RefCell<BTreeSet<NodeId>>,
}

impl DescribedSystem {
    /// The cluster of these nodes, each with its address. Their folders are made in `data`, their output is
    /// found in `logs`.
    pub fn new(
        description: Description,
        nodes: Vec<(NodeId, IpAddr)>,
        data: &Path,
        logs: impl Fn(&NodeId) -> PathBuf,
    ) -> Result<DescribedSystem, String> {
        let facts = (1..).zip(&nodes).map(|(index, (node, ip))| facts(&description, data, index, node, *ip));
        let facts = facts.collect::<Result<Vec<Facts>, String>>()?;
        let names: Vec<NodeId> = nodes.into_iter().map(|(node, _)| node).collect();
        let fill = |me: usize, text: &str| description.fill(text, me, &facts);
        let connector: Rc<dyn Connector> = match &description.client {
            Client::Etcd { address, serializable } => {
                let addresses = names.iter().enumerate().map(|(me, node)| (node.clone(), fill(me, address)));
                Rc::new(EtcdConnector::new(addresses.collect(), *serializable))
            }
            Client::Exec { command, .. } => {
                let programs = names.iter().enumerate().map(|(me, node)| Program {
                    command: command.iter().map(|word| fill(me, word)).collect(),
                    node: hello(&facts[me]),
                    log: Some(logs(node).with_file_name("client.log")),
                });
                Rc::new(ExecConnector::new(programs.collect(), description.client.capabilities()))
            }
        };
        let logs = names.iter().map(logs).collect();
        Ok(DescribedSystem { description, nodes: names, facts, logs, connector, joined: RefCell::default() })
    }

    /// Makes each node's folder, its files, and whatever its install steps make. Returns what they said.
    async fn laid(&self) -> Result<Vec<String>, String> {
        let mut said = Vec::new();
        for (me, facts) in self.facts.iter().enumerate() {
            for (name, content) in &self.description.files {
                let path = Path::new(&facts.dir).join(name);
                let folder = path.parent().expect("a file lies in a folder");
                let text = match content {
                    Content::Text(text) => self.description.fill(text, me, &self.facts),
                    Content::Copy { copy } => copy.clone(),
                    Content::File { file } => return Err(format!("{} was not read", file.display())),
                };
                let written = std::fs::create_dir_all(folder).and_then(|()| std::fs::write(&path, text));
                written.map_err(|error| format!("{}: {error}", path.display()))?;
            }
            for step in &self.description.install {
                let step = self.description.fill(step, me, &self.facts);
                let ended = question::shell(&step, &facts.dir)
                    .await
                    .map_err(|why| format!("{}: {why}", facts.node))?;
                said.push(format!("{}: {step}: {ended}", facts.node));
            }
        }
        Ok(said)
    }

    fn place(&self, node: &NodeId) -> usize {
        let place = self.nodes.iter().position(|known| known == node);
        place.expect("the cluster's nodes are those that it was made of")
    }

    fn filled(&self, me: usize, texts: &[String]) -> Vec<String> {
        texts.iter().map(|text| self.description.fill(text, me, &self.facts)).collect()
    }
}

fn facts(
    description: &Description,
    data: &Path,
    index: usize,
    node: &NodeId,
    ip: IpAddr,
) -> Result<Facts, String> {
    let folder = data.join(node.as_str());
    let inner = folder.join("data");
    std::fs::create_dir_all(&inner).map_err(|error| format!("{}: {error}", inner.display()))?;
    let text =
        |path: PathBuf| path.into_os_string().into_string().map_err(|path| format!("{path:?} is no text"));
    Ok(Facts {
        node: node.to_string(),
        index,
        campaign: description.campaign.clone(),
        ip: ip.to_string(),
        dir: text(folder)?,
        data: text(inner)?,
        ports: description.ports.clone(),
    })
}

/// What a client program is told of its node.
fn hello(facts: &Facts) -> exec::Node {
    let addresses = facts.ports.iter().map(|(name, port)| (name.clone(), format!("{}:{port}", facts.ip)));
    exec::Node { name: facts.node.clone(), ip: facts.ip.clone(), addresses: addresses.collect() }
}

impl System for DescribedSystem {
    fn name(&self) -> &'static str {
        "described"
    }

    fn assumptions(&self) -> Assumptions {
        let mut lines = self.description.assumptions.clone();
        if lines.is_empty() {
            lines.push("none were described".into());
        }
        Assumptions { lines }
    }

    fn install(&self) -> LocalFuture<'_, Result<Vec<String>, Cause>> {
        Box::pin(async move { Ok(self.laid().await?) })
    }

    fn spawn(&self, node: &NodeId) -> Spawn {
        let me = self.place(node);
        let value = |secret: &Secret| match secret {
            Secret::Plain(text) => self.description.fill(text, me, &self.facts),
            // A variable that is not set is refused when the trial begins.
            Secret::Env { env } => std::env::var(env).unwrap_or_default(),
        };
        let env = self.description.env.iter().map(|(name, secret)| (name.clone(), value(secret)));
        let again = self.description.membership.as_ref().and_then(|membership| membership.command.as_ref());
        let command = again.filter(|_| self.joined.borrow().contains(node));
        Spawn {
            argv: self.filled(me, command.unwrap_or(&self.description.command)),
            env: env.collect(),
            cwd: Some(PathBuf::from(&self.facts[me].dir)),
        }
    }

    fn data(&self, node: &NodeId) -> Option<PathBuf> {
        Some(PathBuf::from(&self.facts[self.place(node)].data))
    }

    fn ready<'a>(&'a self, node: &'a NodeId) -> LocalFuture<'a, Result<(), Cause>> {
        let me = self.place(node);
        let ready = self.description.ready.clone();
        Box::pin(async move {
            let fill = |text: &String| self.description.fill(text, me, &self.facts);
            question::ready(&ready, fill, &self.logs[me], &self.facts[me].dir).await
        })
    }

    fn connector(&self) -> &dyn Connector {
        &*self.connector
    }

    fn membership(&self) -> Option<&dyn Membership> {
        self.description.membership.as_ref().map(|_| self as &dyn Membership)
    }

    fn primaries(&self) -> Option<&dyn Primaries> {
        self.description.leader.as_ref().map(|_| self as &dyn Primaries)
    }
}

impl Primaries for DescribedSystem {
    fn leads<'a>(&'a self, node: &'a NodeId) -> LocalFuture<'a, Result<Leadership, Cause>> {
        let me = self.place(node);
        Box::pin(async move {
            let leader = self.description.leader.as_ref().ok_or("nobody said how to see who leads")?;
            let fill = |text: &String| self.description.fill(text, me, &self.facts);
            question::leads(leader, fill, &self.facts[me].dir).await
        })
    }
}
