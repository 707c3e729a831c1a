//! The nodes of a trial on other hosts: one agent each, asked in parallel.
//!
//! Every request has a deadline, and every error names the node. As long as this lives it tells each agent,
//! often enough, that somebody is still here; once it is dropped the agents take everything back by
//! themselves when their lease lapses.

use super::post::{Connect, Post, Purpose};
use super::protocol::{Answer, Hello, Peer, Ran, Request, Step, VERSION};
use crate::host::{Exits, Spawn};
use crate::live::{DataFolder, Machines};
use elenchus_core::LocalFuture;
use elenchus_core::cluster::{HeldBack, Lost};
use elenchus_core::fault::{Ailment, FAULT_TIMEOUT, FaultId, Harm, Limit, Link, Loss, Manner, Skew, Trouble};
use elenchus_core::outcome::Cause;
use elenchus_core::process::NodeId;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};

/// How long anything may take that is asked of an agent: less than a fault has, so that the error that names
/// the node comes before the one that does not.
const LIMIT: Duration = FAULT_TIMEOUT.saturating_sub(Duration::from_millis(500));
/// How long opening all lines may take, logins included.
const OPEN_LIMIT: Duration = Duration::from_secs(60);

/// A host and the node on it.
#[derive(Clone)]
pub struct AgentHost {
    /// The node.
    pub node: NodeId,
    /// Where the other nodes see its packets come from.
    pub addresses: Vec<IpAddr>,
    /// The user that its process runs as; `None`: the agent's own.
    pub user: Option<String>,
    /// Opens a stream to its agent.
    pub work: Connect,
    /// The same, on a connection of its own that is kept free for healing.
    pub heal: Connect,
}

/// Why something was not done on a host.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AgentError {
    /// The trial has no such node.
    #[error("the trial has no node {0}")]
    NoSuchNode(NodeId),
    /// The agent did not do it.
    #[error("{node}: {why}")]
    Refused {
        /// Where.
        node: NodeId,
        /// Why not.
        why: String,
    },
    /// The agent cannot be reached, or says nothing.
    #[error("the agent of {node}: {why}")]
    Silent {
        /// Where.
        node: NodeId,
        /// How that shows.
        why: String,
    },
    /// What the agent says makes no sense.
    #[error("the agent of {node} {what}")]
    Strange {
        /// Where.
        node: NodeId,
        /// What is strange.
        what: String,
    },
}

impl From<AgentError> for Cause {
    fn from(error: AgentError) -> Cause {
        Cause::from(error.to_string())
    }
}

/// The nodes of all hosts.
pub struct AgentMachines {
    hosts: BTreeMap<NodeId, Reached>,
    exits: RefCell<Option<Exits>>,
    cuts: RefCell<BTreeMap<FaultId, Cut>>,
}

/// A host whose agent has answered.
struct Reached {
    post: Rc<Post>,
    hello: Hello,
    user: Option<String>,
    renewing: JoinHandle<()>,
}

/// Where a fault has cut links, and what was held back where they are mended already.
#[derive(Default)]
struct Cut {
    nodes: BTreeSet<NodeId>,
    count: u64,
}

impl Drop for AgentMachines {
    fn drop(&mut self) {
        self.hosts.values().for_each(|host| host.renewing.abort());
    }
}

impl AgentMachines {
    /// Reaches all agents at once. Must be called inside a `LocalSet`.
    pub async fn open(hosts: Vec<AgentHost>) -> Result<AgentMachines, AgentError> {
        let (told, exits) = mpsc::unbounded_channel();
        let session =
            format!("{:016x}{:016x}", RandomState::new().hash_one(1), RandomState::new().hash_one(2));
        let peer = |host: &AgentHost| Peer { node: host.node.clone(), addresses: host.addresses.clone() };
        let peers: Rc<[Peer]> = hosts.iter().map(peer).collect();
        let mut meetings = JoinSet::new();
        for host in hosts {
            let (told, session, peers) = (told.clone(), session.clone(), peers.clone());
            meetings.spawn_local(async move {
                let AgentHost { node, user, work, heal, .. } = host;
                let post = Rc::new(Post::new(node, session, work, heal, told));
                meet(post, user, &peers).await
            });
        }
        let mut reached = BTreeMap::new();
        while let Some(met) = meetings.join_next().await {
            let host = met.expect("meeting an agent does not panic")?;
            reached.insert(host.post.node().clone(), host);
        }
        Ok(AgentMachines { hosts: reached, exits: RefCell::new(Some(exits)), cuts: RefCell::default() })
    }

    /// Who the agent of a node is, and what its host allows.
    pub fn hello(&self, node: &NodeId) -> Result<&Hello, AgentError> {
        self.host(node).map(|host| &host.hello)
    }

    /// Runs a program on the node's host to its end.
    pub async fn run(&self, node: &NodeId, step: &Step) -> Result<Ran, AgentError> {
        let limit = Duration::from_millis(step.limit_ms) + LIMIT;
        let post = &self.host(node)?.post;
        match ask(post, Request::Run(step.clone()), Purpose::Work, limit).await? {
            Answer::Ran(ran) => Ok(ran),
            other => Err(strange(node, &other)),
        }
    }

    /// Writes a file on the node's host, whole or not at all. `mode` is as `chmod` counts.
    pub async fn write(&self, node: &NodeId, path: &Path, text: &str, mode: u32) -> Result<(), AgentError> {
        let owner = self.host(node)?.user.clone();
        let request = Request::Write { path: path.into(), text: text.into(), mode, owner };
        self.do_it(node, request, Purpose::Work).await
    }

    /// Makes a folder on the node's host, and those above it; it belongs to the user that the node runs as.
    pub async fn folder(&self, node: &NodeId, path: &Path) -> Result<(), AgentError> {
        let owner = self.host(node)?.user.clone();
        self.do_it(node, Request::Folder { path: path.into(), owner }, Purpose::Work).await
    }

    /// Makes the node's data folder one that faults can strike; before the node starts.
    pub async fn store(&self, node: &NodeId, data: &DataFolder) -> Result<(), AgentError> {
        let request = Request::Store { node: node.clone(), data: data.clone() };
        self.do_it(node, request, Purpose::Work).await
    }

    /// Takes these units of systemd for their nodes, all at once, before they start. Returns whether each ran before.
    pub async fn adopt(&self, units: &[(NodeId, String)]) -> Result<Vec<(NodeId, bool)>, AgentError> {
        let mut asked = JoinSet::new();
        for (node, unit) in units {
            let (post, node) = (self.host(node)?.post.clone(), node.clone());
            let request = Request::Adopt { node: node.clone(), unit: unit.clone() };
            asked.spawn_local(async move { (node, ask(&post, request, Purpose::Work, OPEN_LIMIT).await) });
        }
        let (mut adopted, mut failed) = (vec![], None);
        while let Some(answer) = asked.join_next().await {
            match answer.expect("asking does not panic") {
                (node, Ok(Answer::Adopted { ran })) => adopted.push((node, ran)),
                (node, Ok(other)) => failed = failed.or(Some(strange(&node, &other))),
                (_, Err(error)) => failed = failed.or(Some(error)),
            }
        }
        adopted.sort();
        failed.map_or(Ok(adopted), Err)
    }

    /// Puts what these nodes' units have said where their hosts keep output. Returns what could not be had.
    pub async fn journals(&self, units: &[(NodeId, String)]) -> Vec<AgentError> {
        let mut asked = JoinSet::new();
        for post in units.iter().filter_map(|(node, _)| self.hosts.get(node)).map(|host| host.post.clone()) {
            let request = Request::Journal { node: post.node().clone() };
            asked.spawn_local(async move { ask(&post, request, Purpose::Work, OPEN_LIMIT).await });
        }
        let mut errors = vec![];
        while let Some(answer) = asked.join_next().await {
            errors.extend(answer.expect("asking does not panic").err());
        }
        errors
    }

    /// How many bytes are free on the node's host, at this path.
    pub async fn space(&self, node: &NodeId, path: &Path) -> Result<u64, AgentError> {
        match self.ask(node, Request::Space { path: path.into() }, Purpose::Work).await? {
            Answer::Space(bytes) => Ok(bytes),
            other => Err(strange(node, &other)),
        }
    }

    /// Has all agents take everything back, end their nodes and themselves. Returns those that could not be
    /// told; their lease lapses.
    pub async fn end(&self) -> Vec<AgentError> {
        let mut asked = JoinSet::new();
        for host in self.hosts.values() {
            host.renewing.abort();
            let post = host.post.clone();
            asked.spawn_local(async move { ask(&post, Request::End {}, Purpose::Heal, LIMIT).await });
        }
        let mut errors = vec![];
        while let Some(answer) = asked.join_next().await {
            errors.extend(answer.expect("asking does not panic").err());
        }
        errors
    }

    fn host(&self, node: &NodeId) -> Result<&Reached, AgentError> {
        self.hosts.get(node).ok_or_else(|| AgentError::NoSuchNode(node.clone()))
    }

    async fn ask(&self, node: &NodeId, request: Request, purpose: Purpose) -> Result<Answer, AgentError> {
        ask(&self.host(node)?.post, request, purpose, LIMIT).await
    }

    async fn do_it(&self, node: &NodeId, request: Request, purpose: Purpose) -> Result<(), AgentError> {
        match self.ask(node, request, purpose).await? {
            Answer::Done {} => Ok(()),
            other => Err(strange(node, &other)),
        }
    }

    async fn count(&self, node: &NodeId, request: Request, heals: bool) -> Result<HeldBack, Cause> {
        let purpose = if heals { Purpose::Heal } else { Purpose::Work };
        match self.ask(node, request, purpose).await? {
            Answer::HeldBack(count) => Ok(HeldBack { count }),
            other => Err(strange(node, &other).into()),
        }
    }

    /// Cuts each receiver's links at its own host, all at once. On an error nothing stays cut.
    async fn cut_all(&self, id: FaultId, links: &[Link], manner: Manner) -> Result<(), AgentError> {
        let mut at: BTreeMap<&NodeId, Vec<Link>> = BTreeMap::new();
        for link in links {
            self.host(&link.from)?;
            self.host(&link.to)?;
            at.entry(&link.to).or_default().push(link.clone());
        }
        // Noted before it is asked: an answer that is lost must not hide a cut.
        let nodes = at.keys().map(|node| (*node).clone());
        self.cuts.borrow_mut().entry(id).or_default().nodes.extend(nodes);
        let mut asked = JoinSet::new();
        for (node, links) in at {
            let post = self.host(node)?.post.clone();
            let request = Request::Cut { id, links, manner };
            asked.spawn_local(async move { ask(&post, request, Purpose::Work, LIMIT).await });
        }
        let mut failed = None;
        while let Some(answer) = asked.join_next().await {
            failed = failed.or(answer.expect("asking does not panic").err());
        }
        match failed {
            None => Ok(()),
            Some(error) => {
                // What cannot be mended now is tried again when the fault is healed.
                let _ = self.mend_all(id).await;
                Err(error)
            }
        }
    }

    /// Mends at all hosts at once; those that fail are tried again the next time.
    async fn mend_all(&self, id: FaultId) -> Result<HeldBack, AgentError> {
        let nodes = self.cuts.borrow().get(&id).map(|cut| cut.nodes.clone()).unwrap_or_default();
        let mut asked = JoinSet::new();
        for node in nodes {
            let post = self.host(&node)?.post.clone();
            asked.spawn_local(async move {
                let answer = ask(&post, Request::Mend { id }, Purpose::Heal, LIMIT).await;
                (node, answer)
            });
        }
        let mut failed = None;
        while let Some(answer) = asked.join_next().await {
            let (node, answer) = answer.expect("asking does not panic");
            let counted = match answer {
                Ok(Answer::HeldBack(count)) => Ok(count),
                Ok(other) => Err(strange(&node, &other)),
                Err(error) => Err(error),
            };
            match counted {
                Ok(count) => {
                    if let Some(cut) = self.cuts.borrow_mut().get_mut(&id) {
                        cut.nodes.remove(&node);
                        cut.count += count;
                    }
                }
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        match failed {
            Some(error) => Err(error),
            None => {
                let count = self.cuts.borrow_mut().remove(&id).map_or(0, |cut| cut.count);
                Ok(HeldBack { count })
            }
        }
    }
}

/// Reaches one agent on both lines, tells it of all nodes, and begins to renew its lease.
async fn meet(post: Rc<Post>, user: Option<String>, peers: &[Peer]) -> Result<Reached, AgentError> {
    let node = post.node().clone();
    let strange = |what: String| AgentError::Strange { node: node.clone(), what };
    let request = Request::Peers { peers: peers.to_vec() };
    let silent = |why| AgentError::Silent { node: node.clone(), why };
    // It must be known that it is the right one before it is told anything.
    post.prove(Purpose::Work, OPEN_LIMIT).await.map_err(silent)?;
    let hello = post.hello().ok_or_else(|| strange("has not said who it is".into()))?;
    if hello.version != VERSION {
        return Err(strange(format!("speaks version {}, not {VERSION}", hello.version)));
    }
    if !hello.nodes.contains(&node) {
        return Err(strange(format!("runs {:?} on {}", hello.nodes, hello.hostname)));
    }
    ask(&post, request, Purpose::Work, LIMIT).await?;
    post.prove(Purpose::Heal, OPEN_LIMIT).await.map_err(silent)?;
    let lease = Duration::from_millis(hello.lease_ms);
    let renewing = tokio::task::spawn_local(renew(post.clone(), lease));
    Ok(Reached { post, hello, user, renewing })
}

/// Says on both lines that somebody is here, several times a lease. A line that does not answer is opened
/// anew, so that it is open when it is needed.
async fn renew(post: Rc<Post>, lease: Duration) {
    let pause = (lease / 6).min(Duration::from_secs(5));
    loop {
        tokio::time::sleep(pause).await;
        let limit = lease / 3;
        // Whoever needs the line is told why it is broken; here it is only tried again.
        let _ = tokio::join!(post.prove(Purpose::Work, limit), post.prove(Purpose::Heal, limit));
    }
}

async fn ask(post: &Post, request: Request, purpose: Purpose, limit: Duration) -> Result<Answer, AgentError> {
    let node = || post.node().clone();
    match post.ask(request, purpose, limit).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(why)) => Err(AgentError::Refused { node: node(), why }),
        Err(why) => Err(AgentError::Silent { node: node(), why }),
    }
}

fn strange(node: &NodeId, answer: &Answer) -> AgentError {
    AgentError::Strange { node: node.clone(), what: format!("answers {answer:?}") }
}

fn now_ns() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_nanos()).unwrap_or(i64::MAX)
}

impl Machines for AgentMachines {
    fn start<'a>(&'a self, node: &'a NodeId, spawn: &'a Spawn) -> LocalFuture<'a, Result<(), Cause>> {
        Box::pin(async move {
            let user = self.host(node)?.user.clone();
            let spawn = Spawn { user: user.or_else(|| spawn.user.clone()), ..spawn.clone() };
            let request = Request::Start { node: node.clone(), spawn };
            Ok(self.do_it(node, request, Purpose::Heal).await?)
        })
    }

    fn kill<'a>(&'a self, node: &'a NodeId) -> LocalFuture<'a, Result<(), Cause>> {
        Box::pin(
            async move { Ok(self.do_it(node, Request::Kill { node: node.clone() }, Purpose::Work).await?) },
        )
    }

    fn pause<'a>(&'a self, node: &'a NodeId) -> LocalFuture<'a, Result<(), Cause>> {
        Box::pin(
            async move { Ok(self.do_it(node, Request::Pause { node: node.clone() }, Purpose::Work).await?) },
        )
    }

    fn resume<'a>(&'a self, node: &'a NodeId) -> LocalFuture<'a, Result<(), Cause>> {
        Box::pin(
            async move { Ok(self.do_it(node, Request::Resume { node: node.clone() }, Purpose::Heal).await?) },
        )
    }

    fn cut<'a>(&'a self, id: FaultId, links: &'a [Link]) -> LocalFuture<'a, Result<(), Cause>> {
        Box::pin(async move { Ok(self.cut_all(id, links, Manner::Drop).await?) })
    }

    fn reset<'a>(&'a self, id: FaultId, links: &'a [Link]) -> LocalFuture<'a, Result<(), Cause>> {
        Box::pin(async move { Ok(self.cut_all(id, links, Manner::Reset).await?) })
    }

    fn mend<'a>(&'a self, id: FaultId) -> LocalFuture<'a, Result<HeldBack, Cause>> {
        Box::pin(async move { Ok(self.mend_all(id).await?) })
    }

    fn wipe<'a>(&'a self, node: &'a NodeId, folders: Vec<PathBuf>) -> LocalFuture<'a, Result<(), Cause>> {
        Box::pin(async move {
            for folder in folders {
                let path = folder.to_string_lossy().into_owned();
                let argv = ["find", &path, "-mindepth", "1", "-delete"].map(str::to_owned).to_vec();
                let limit_ms = FAULT_TIMEOUT.as_millis() as u64;
                let step = Step { argv, env: Vec::new(), cwd: PathBuf::from("/"), limit_ms };
                let ran = self.run(node, &step).await?;
                if ran.code != Some(0) {
                    return Err(format!("{path} cannot be emptied: {}", ran.stderr.trim()).into());
                }
            }
            Ok(())
        })
    }

    fn exits(&self) -> Option<Exits> {
        self.exits.borrow_mut().take()
    }

    fn settle(&self) -> LocalFuture<'_, Result<(), Cause>> {
        Box::pin(async move {
            let mut asked = JoinSet::new();
            for host in self.hosts.values() {
                let post = host.post.clone();
                asked.spawn_local(
                    async move { ask(&post, Request::Settle {}, Purpose::Work, OPEN_LIMIT).await },
                );
            }
            while let Some(answer) = asked.join_next().await {
                answer.expect("asking does not panic")?;
            }
            Ok(())
        })
    }

    fn skew<'a>(
        &'a self,
        node: &'a NodeId,
        skew: Option<Skew>,
    ) -> LocalFuture<'a, Result<Option<i64>, Cause>> {
        Box::pin(async move {
            let purpose = if skew.is_some() { Purpose::Work } else { Purpose::Heal };
            let request = Request::Skew { node: node.clone(), skew, now_ns: now_ns() };
            match self.ask(node, request, purpose).await? {
                Answer::Ahead(ns) => Ok(ns),
                other => Err(strange(node, &other).into()),
            }
        })
    }

    fn clock<'a>(&'a self, node: &'a NodeId) -> LocalFuture<'a, Result<Option<i64>, Cause>> {
        Box::pin(async move {
            match self.ask(node, Request::Clock { node: node.clone() }, Purpose::Work).await? {
                Answer::Ahead(ns) => Ok(ns),
                other => Err(strange(node, &other).into()),
            }
        })
    }

    fn disturb<'a>(
        &'a self,
        node: &'a NodeId,
        trouble: Option<Trouble>,
    ) -> LocalFuture<'a, Result<HeldBack, Cause>> {
        let heals = trouble.is_none();
        Box::pin(self.count(node, Request::Disturb { node: node.clone(), trouble }, heals))
    }

    fn power_off<'a>(&'a self, node: &'a NodeId, loss: Loss) -> LocalFuture<'a, Result<Lost, Cause>> {
        Box::pin(async move {
            let request = Request::PowerOff { node: node.clone(), loss };
            match self.ask(node, request, Purpose::Work).await? {
                Answer::Lost { bytes, files } => Ok(Lost { bytes, files }),
                other => Err(strange(node, &other).into()),
            }
        })
    }

    fn ail<'a>(
        &'a self,
        node: &'a NodeId,
        ailment: Option<Ailment>,
    ) -> LocalFuture<'a, Result<HeldBack, Cause>> {
        let heals = ailment.is_none();
        Box::pin(self.count(node, Request::Ail { node: node.clone(), ailment }, heals))
    }

    fn damage<'a>(&'a self, node: &'a NodeId, harm: Harm) -> LocalFuture<'a, Result<String, Cause>> {
        Box::pin(async move {
            let request = Request::Damage { node: node.clone(), harm };
            match self.ask(node, request, Purpose::Work).await? {
                Answer::Harmed(what) => Ok(what),
                other => Err(strange(node, &other).into()),
            }
        })
    }

    fn restrict<'a>(
        &'a self,
        node: &'a NodeId,
        limit: Option<Limit>,
    ) -> LocalFuture<'a, Result<HeldBack, Cause>> {
        let heals = limit.is_none();
        Box::pin(self.count(node, Request::Restrict { node: node.clone(), limit }, heals))
    }
}
