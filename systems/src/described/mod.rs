//! A system of the user's own, as `[cluster]` of a campaign file describes it: programs on this machine or on others.
//!
//! | module | its part |
//! |---|---|
//! | [`description`] | what the file may say |
//! | [`hosts`] | where its hosts are, if they are reached over SSH |
//! | [`template`] | texts that each node fills with its own |
//! | `membership` | removing and adding members |
//! | `here` | this machine as a host |
//! | [`question`] | asking a node whether it answers, and whether it leads |

pub mod description;
mod here;
pub mod hosts;
mod membership;
pub mod question;
pub mod template;

use crate::etcd::EtcdConnector;
use crate::exec::{self, ExecConnector, Program};
use crate::http_client::HttpConnector;
use description::{Client, Content, Description, Secret};
use elenchus_core::LocalFuture;
use elenchus_core::client::Connector;
use elenchus_core::host::Host;
use elenchus_core::outcome::Cause;
use elenchus_core::process::NodeId;
use elenchus_core::system::{Assumptions, Leadership, Membership, Primaries, Spawn, System};
pub use here::Here;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use template::Facts;

/// A described cluster on its ground.
pub struct DescribedSystem {
    description: Description,
    nodes: Vec<NodeId>,
    facts: Vec<Facts>,
    seats: Vec<Seat>,
    connector: Rc<dyn Connector>,
    /// Who was added to a cluster that was there already.
    joined: RefCell<BTreeSet<NodeId>>,
}

/// Where one node is.
pub struct Seat {
    /// The node.
    pub node: NodeId,
    /// What its peers and clients call it: an address or a name.
    pub address: String,
    /// The machine that bears it.
    pub host: Rc<dyn Host>,
    /// Its working folder there.
    pub folder: PathBuf,
    /// Where its output goes there.
    pub output: PathBuf,
    /// Where its clients' complaints go, here.
    pub client_log: PathBuf,
}

impl DescribedSystem {
    /// The cluster of these nodes. Their folders are made when it is installed.
    pub fn new(description: Description, seats: Vec<Seat>) -> Result<DescribedSystem, String> {
        let facts = (1..).zip(&seats).map(|(index, seat)| facts(&description, index, seat));
        let facts = facts.collect::<Result<Vec<Facts>, String>>()?;
        let names: Vec<NodeId> = seats.iter().map(|seat| seat.node.clone()).collect();
        let fill = |me: usize, text: &str| description.fill(text, me, &facts);
        let connector: Rc<dyn Connector> = match &description.client {
            Client::Etcd { address, serializable } => {
                let addresses = names.iter().enumerate().map(|(me, node)| (node.clone(), fill(me, address)));
                Rc::new(EtcdConnector::new(addresses.collect(), *serializable))
            }
            Client::Http(http) => Rc::new(HttpConnector::new((**http).clone(), &names, fill)),
            Client::Exec { command, .. } => {
                let programs = seats.iter().enumerate().map(|(me, seat)| Program {
                    command: command.iter().map(|word| fill(me, word)).collect(),
                    node: hello(&facts[me]),
                    log: Some(seat.client_log.clone()),
                });
                Rc::new(ExecConnector::new(programs.collect(), description.client.capabilities()))
            }
        };
        Ok(DescribedSystem { description, nodes: names, facts, seats, connector, joined: RefCell::default() })
    }

    /// The client program of a node, as it would speak to a node that is told so; `None` if the client is none.
    pub fn program(&self, node: &NodeId, told: &exec::Node) -> Option<Program> {
        let Client::Exec { command, .. } = &self.description.client else { return None };
        let me = self.place(node);
        let mut facts = self.facts.clone();
        facts[me].ip.clone_from(&told.ip);
        let port = |address: &String| address.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
        facts[me].ports =
            told.addresses.iter().filter_map(|(name, at)| Some((name.clone(), port(at)?))).collect();
        Some(Program {
            command: command.iter().map(|word| self.description.fill(word, me, &facts)).collect(),
            node: told.clone(),
            log: Some(self.seats[me].client_log.clone()),
        })
    }

    /// What a client program of this node is told of it.
    pub fn told(&self, node: &NodeId) -> exec::Node {
        hello(&self.facts[self.place(node)])
    }

    /// The nodes that are units of systemd, each with its unit's name.
    pub fn units(&self) -> Vec<(NodeId, String)> {
        let unit = |(me, node): (usize, &NodeId)| Some((node.clone(), self.unit(me)?));
        self.nodes.iter().enumerate().filter_map(unit).collect()
    }

    fn unit(&self, me: usize) -> Option<String> {
        let unit = self.description.unit_of(self.nodes[me].as_str())?;
        Some(self.description.fill(unit, me, &self.facts))
    }

    /// Makes each node's folder, its files, and whatever its install steps make. Returns what they said.
    async fn laid(&self) -> Result<Vec<String>, String> {
        let mut said = Vec::new();
        for (me, (facts, seat)) in self.facts.iter().zip(&self.seats).enumerate() {
            let (host, wrong) = (&*seat.host, |why: Cause| format!("{}: {why}", seat.node));
            host.folder(Path::new(&facts.data)).await.map_err(wrong)?;
            for (name, from) in &self.description.upload {
                let from = Path::new(&self.description.campaign).join(from);
                host.put(&from, &seat.folder.join(name)).await.map_err(wrong)?;
            }
            for (name, content) in &self.description.files {
                let path = seat.folder.join(name);
                let text = match content {
                    Content::Text(text) => self.description.fill(text, me, &self.facts),
                    Content::Copy { copy } => copy.clone(),
                    Content::File { file } => return Err(format!("{} was not read", file.display())),
                };
                host.write(&path, &text).await.map_err(wrong)?;
            }
            let user = self.description.user.as_deref();
            if let Some(user) = user {
                question::give(user, host, &seat.folder)
                    .await
                    .map_err(|why| format!("{}: {why}", facts.node))?;
            }
            for step in self.description.wipe.steps().iter().chain(&self.description.install) {
                let step = self.description.fill(step, me, &self.facts);
                let ended = question::shell(&step, host, &seat.folder, user)
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

    fn seat(&self, me: usize) -> question::Seat<'_> {
        let seat = &self.seats[me];
        question::Seat { host: &*seat.host, folder: &seat.folder, log: &seat.output }
    }

    fn filled(&self, me: usize, texts: &[String]) -> Vec<String> {
        texts.iter().map(|text| self.description.fill(text, me, &self.facts)).collect()
    }
}

fn facts(description: &Description, index: usize, seat: &Seat) -> Result<Facts, String> {
    let text =
        |path: PathBuf| path.into_os_string().into_string().map_err(|path| format!("{path:?} is no text"));
    Ok(Facts {
        node: seat.node.to_string(),
        index,
        campaign: description.campaign.clone(),
        ip: seat.address.clone(),
        dir: text(seat.folder.clone())?,
        data: text(seat.folder.join("data"))?,
        ports: description.ports_of(seat.node.as_str()),
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
        let me = self.place(node);
        let command = match self.unit(me) {
            Some(unit) => ["systemctl", "stop", "--no-block", "--", &unit].map(str::to_owned).to_vec(),
            None => self.filled(me, self.description.stop.as_ref()?),
        };
        Some(Box::pin(async move {
            question::run(&command, &self.seat(me)).await?;
            Ok(format!("{} ended well", command.join(" ")))
        }))
    }

    fn logs(&self, node: &NodeId) -> Vec<PathBuf> {
        let me = self.place(node);
        let folder = &self.seats[me].folder;
        self.filled(me, &self.description.logs).iter().map(|path| folder.join(path)).collect()
    }

    fn ready<'a>(&'a self, node: &'a NodeId) -> LocalFuture<'a, Result<(), Cause>> {
        let me = self.place(node);
        let ready = self.description.ready.clone();
        Box::pin(async move {
            let fill = |text: &String| self.description.fill(text, me, &self.facts);
            question::ready(&ready, fill, self.seat(me)).await
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
            question::leads(leader, fill, self.seat(me)).await
        })
    }
}
