//! A system of the user's own, as `[cluster]` of a campaign file describes it: programs on this machine.
//!
//! | module | its part |
//! |---|---|
//! | [`description`] | what the file may say |
//! | [`template`] | texts that each node fills with its own |
//! | `membership` | removing and adding members |
//! | [`question`] | asking a node whether it answers, and whether it leads |

pub mod description;
mod membership;
pub mod question;
pub mod template;

use crate::etcd::EtcdConnector;
use crate::exec::{self, ExecConnector, Program};
use crate::http_client::HttpConnector;
use description::{Client, Content, Description, Secret};
use elenchus_core::LocalFuture;
use elenchus_core::client::Connector;
use elenchus_core::outcome::Cause;
use elenchus_core::process::NodeId;
use elenchus_core::system::{Assumptions, Leadership, Membership, Primaries, Spawn, System};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
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
    /// User and group whose the nodes' folders are, if they run as somebody else.
    owner: Option<(u32, u32)>,
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
        let place = |(node, ip): (NodeId, IpAddr)| (node, ip.to_string(), description.ports.clone());
        let places = nodes.into_iter().map(place).collect();
        DescribedSystem::at(description, places, data, logs)
    }

    /// The cluster of these nodes, which somebody else runs where the description says. Their folders, in `data`, are
    /// for what is run beside them.
    pub fn external(
        description: Description,
        nodes: &[NodeId],
        data: &Path,
        logs: impl Fn(&NodeId) -> PathBuf,
    ) -> Result<DescribedSystem, String> {
        let place = |node: &NodeId| {
            let (host, port) = description.address(node.as_str()).ok_or(format!("{node} has no address"))?;
            let mut ports = description.ports.clone();
            ports.insert(description::CLIENT.into(), port);
            Ok((node.clone(), host, ports))
        };
        let places = nodes.iter().map(place).collect::<Result<_, String>>()?;
        DescribedSystem::at(description, places, data, logs)
    }

    /// The same, but its nodes run as this user of this group.
    pub fn owned_by(self, user: u32, group: u32) -> DescribedSystem {
        DescribedSystem { owner: Some((user, group)), ..self }
    }

    fn at(
        description: Description,
        places: Vec<(NodeId, String, BTreeMap<String, u16>)>,
        data: &Path,
        logs: impl Fn(&NodeId) -> PathBuf,
    ) -> Result<DescribedSystem, String> {
        let names: Vec<NodeId> = places.iter().map(|(node, ..)| node.clone()).collect();
        let facts = (1..).zip(places).map(|(index, (node, ip, ports))| {
            facts(&description, data, Facts { ip, ports, ..Facts::of(node.as_str(), index) })
        });
        let facts = facts.collect::<Result<Vec<Facts>, String>>()?;
        let fill = |me: usize, text: &str| description.fill(text, me, &facts);
        let connector: Rc<dyn Connector> = match &description.client {
            Client::Etcd { address, serializable } => {
                let addresses = names.iter().enumerate().map(|(me, node)| (node.clone(), fill(me, address)));
                Rc::new(EtcdConnector::new(addresses.collect(), *serializable))
            }
            Client::Http(http) => Rc::new(HttpConnector::new((**http).clone(), &names, fill)),
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
        let joined = RefCell::default();
        Ok(DescribedSystem { description, nodes: names, facts, logs, connector, joined, owner: None })
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
            if let Some((user, group)) = self.owner {
                give(Path::new(&facts.dir), user, group)?;
            }
            for step in self.description.wipe.steps().iter().chain(&self.description.install) {
                let step = self.description.fill(step, me, &self.facts);
                let ended = question::shell(&step, &facts.dir, self.owner)
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

/// Makes a folder and all in it this user's.
fn give(path: &Path, user: u32, group: u32) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("{}: {error}", path.display());
    std::os::unix::fs::lchown(path, Some(user), Some(group)).map_err(failed)?;
    if !path.symlink_metadata().map_err(failed)?.is_dir() {
        return Ok(());
    }
    for entry in std::fs::read_dir(path).map_err(failed)? {
        give(&entry.map_err(failed)?.path(), user, group)?;
    }
    Ok(())
}

/// Makes a node's folders and tells it of them.
fn facts(description: &Description, data: &Path, facts: Facts) -> Result<Facts, String> {
    let folder = data.join(&facts.node);
    let inner = folder.join("data");
    std::fs::create_dir_all(&inner).map_err(|error| format!("{}: {error}", inner.display()))?;
    let text =
        |path: PathBuf| path.into_os_string().into_string().map_err(|path| format!("{path:?} is no text"));
    Ok(Facts { campaign: description.campaign.clone(), dir: text(folder)?, data: text(inner)?, ..facts })
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
        let env = self.description.env_of(node.as_str()).into_iter();
        let again = self.description.membership.as_ref().and_then(|membership| membership.command.as_ref());
        let again = again.filter(|_| self.joined.borrow().contains(node));
        let command = again.map_or(self.description.command_of(node.as_str()), Vec::as_slice);
        Spawn {
            argv: self.filled(me, command),
            env: env.map(|(name, secret)| (name.to_owned(), value(secret))).collect(),
            cwd: Some(PathBuf::from(&self.facts[me].dir)),
            user: self.description.user.clone(),
        }
    }

    fn data(&self, node: &NodeId) -> Option<PathBuf> {
        Some(PathBuf::from(&self.facts[self.place(node)].data))
    }

    fn stop<'a>(&'a self, node: &'a NodeId) -> Option<LocalFuture<'a, Result<String, Cause>>> {
        let (me, command) = (self.place(node), self.description.stop.as_ref()?);
        let command = self.filled(me, command);
        Some(Box::pin(async move {
            question::run(&command, &self.facts[me].dir).await?;
            Ok(format!("{} ended well", command.join(" ")))
        }))
    }

    fn logs(&self, node: &NodeId) -> Vec<PathBuf> {
        let me = self.place(node);
        let folder = Path::new(&self.facts[me].dir);
        self.filled(me, &self.description.logs).iter().map(|path| folder.join(path)).collect()
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
