//! A running cluster on this machine: nodes under the supervisor, links that can be cut.

use super::watch::{Leaders, Noter};
use crate::host::handle::SupervisorLine;
use crate::host::{self, Exits, Links, Supervisor};
use crate::store::file;
use elenchus_core::LocalFuture;
use elenchus_core::cluster::{Cluster, HeldBack};
use elenchus_core::fault::{FaultId, Link, Skew};
use elenchus_core::outcome::Cause;
use elenchus_core::process::NodeId;
use elenchus_core::system::{Clocks, System};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;
use tokio::task::JoinHandle;

/// How long a node may take to say whether it leads. A node that stands still is asked in vain.
const ANSWER_LIMIT: Duration = Duration::from_millis(300);

/// The nodes of one trial and what holds them apart.
pub struct LiveCluster {
    nodes: Vec<NodeId>,
    system: Rc<dyn System>,
    supervisor: Supervisor,
    exits: RefCell<Option<Exits>>,
    dead: RefCell<BTreeMap<NodeId, String>>,
    links: Links,
    logs: PathBuf,
    seen: Leaders,
}

impl LiveCluster {
    /// A cluster of which no node runs yet. Must be called inside the runtime that will drive it.
    pub fn new(
        nodes: Vec<NodeId>,
        system: Rc<dyn System>,
        supervisor: SupervisorLine,
        links: Links,
        folder: &Path,
    ) -> Result<LiveCluster, String> {
        let logs = folder.join(file::LOGS);
        for node in &nodes {
            let folder = logs.join(node.as_str());
            std::fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
        }
        let (supervisor, exits) = supervisor.connect().map_err(|e| format!("the supervisor: {e}"))?;
        Ok(LiveCluster {
            nodes,
            system,
            supervisor,
            exits: RefCell::new(Some(exits)),
            dead: RefCell::default(),
            links,
            logs,
            seen: Leaders::default(),
        })
    }

    /// Notes every new leader from now on.
    pub fn tell_leaders(&self, noter: Noter) {
        self.seen.tell(noter);
    }

    /// Where the node's output goes.
    pub fn log(&self, node: &NodeId) -> PathBuf {
        self.logs.join(node.as_str()).join("output.log")
    }

    /// How the node ended, if it ended of its own.
    pub fn died(&self, node: &NodeId) -> Option<String> {
        if let Some(exits) = self.exits.borrow_mut().as_mut() {
            while let Ok(exit) = exits.try_recv() {
                self.keep(&exit);
            }
        }
        self.dead.borrow().get(node).cloned()
    }

    fn keep(&self, exit: &host::Exit) {
        if !exit.expected {
            self.dead.borrow_mut().insert(exit.node.clone(), exit.status.to_string());
        }
    }

    /// The next node that ends though nobody killed it; `None` once the supervisor is gone.
    pub async fn unexpected_exit(&self) -> Option<(NodeId, String)> {
        let mut exits = self.exits.borrow_mut().take()?;
        let found = loop {
            match exits.recv().await {
                Some(exit) if exit.expected => {}
                Some(exit) => {
                    self.keep(&exit);
                    break Some((exit.node.clone(), exit.status.to_string()));
                }
                None => break None,
            }
        };
        *self.exits.borrow_mut() = Some(exits);
        found
    }

    /// Who believes to lead, and in which term; all nodes are asked at once.
    pub async fn leaders(&self) -> Vec<(NodeId, u64)> {
        let asked: Vec<JoinHandle<Option<(NodeId, u64)>>> = self
            .nodes
            .iter()
            .map(|node| {
                let (system, node) = (self.system.clone(), node.clone());
                tokio::task::spawn_local(async move {
                    let asked = system.primaries()?.leads(&node);
                    let leadership = tokio::time::timeout(ANSWER_LIMIT, asked).await.ok()?.ok()?;
                    leadership.leads.then_some((node.clone(), leadership.term))
                })
            })
            .collect();
        let mut leaders = Vec::new();
        for answer in asked {
            leaders.extend(answer.await.ok().flatten());
        }
        for (node, term) in &leaders {
            self.seen.saw(node, *term);
        }
        leaders
    }

    /// Ends all nodes, whatever holds them down.
    pub async fn stop_all(&self) {
        for node in &self.nodes {
            // Whoever is left dies with the supervisor.
            let _ = self.supervisor.kill(node).await;
        }
    }

    fn clocks(&self) -> Result<&dyn Clocks, Cause> {
        self.system.clocks().ok_or_else(|| Cause::from("this system's clocks cannot be told to lie"))
    }
}

fn cause(error: impl std::fmt::Display) -> Cause {
    Cause::from(error.to_string())
}

impl Cluster for LiveCluster {
    fn nodes(&self) -> &[NodeId] {
        &self.nodes
    }

    fn cut<'a>(&'a self, id: FaultId, links: &'a [Link]) -> LocalFuture<'a, Result<(), Cause>> {
        Box::pin(async move { self.links.cut(id, links).map_err(cause) })
    }

    fn mend<'a>(&'a self, id: FaultId) -> LocalFuture<'a, Result<HeldBack, Cause>> {
        Box::pin(async move { self.links.mend(id).map_err(cause) })
    }

    fn kill<'a>(&'a self, node: &'a NodeId) -> LocalFuture<'a, Result<(), Cause>> {
        Box::pin(async move { self.supervisor.kill(node).await.map_err(cause) })
    }

    fn start<'a>(&'a self, node: &'a NodeId) -> LocalFuture<'a, Result<(), Cause>> {
        Box::pin(async move {
            let spawn = self.system.spawn(node);
            let log = self.log(node);
            let spawn = host::Spawn {
                argv: spawn.argv,
                env: spawn.env,
                cwd: spawn.cwd,
                stdout: log.clone(),
                stderr: log,
            };
            self.supervisor.start(node, &spawn).await.map(|_pid| ()).map_err(cause)
        })
    }

    fn pause<'a>(&'a self, node: &'a NodeId) -> LocalFuture<'a, Result<(), Cause>> {
        Box::pin(async move { self.supervisor.pause(node).await.map_err(cause) })
    }

    fn resume<'a>(&'a self, node: &'a NodeId) -> LocalFuture<'a, Result<(), Cause>> {
        Box::pin(async move { self.supervisor.resume(node).await.map_err(cause) })
    }

    fn skew<'a>(&'a self, node: &'a NodeId, skew: Option<Skew>) -> LocalFuture<'a, Result<i64, Cause>> {
        Box::pin(async move { self.clocks()?.skew(node, skew).await })
    }

    fn clock<'a>(&'a self, node: &'a NodeId) -> LocalFuture<'a, Result<i64, Cause>> {
        Box::pin(async move { self.clocks()?.clock(node).await })
    }

    fn primaries<'a>(&'a self) -> LocalFuture<'a, Result<Vec<NodeId>, Cause>> {
        Box::pin(async move { Ok(self.leaders().await.into_iter().map(|(node, _)| node).collect()) })
    }
}
