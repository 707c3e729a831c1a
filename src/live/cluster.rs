//! A running cluster: machines that run its nodes, and a system that knows what they are.

use super::machines::Machines;
use super::watch::{Leaders, Noter};
use crate::host::{self, Exits};
use crate::store::file;
use elenchus_core::LocalFuture;
use elenchus_core::cluster::{Cluster, HeldBack, Lost};
use elenchus_core::fault::{Ailment, FaultId, Harm, Limit, Link, Loss, Skew, Trouble};
use elenchus_core::outcome::Cause;
use elenchus_core::process::NodeId;
use elenchus_core::system::System;
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
    machines: Rc<dyn Machines>,
    exits: RefCell<Option<Exits>>,
    dead: RefCell<BTreeMap<NodeId, String>>,
    output: Box<dyn Fn(&NodeId) -> PathBuf>,
    seen: Leaders,
}

impl LiveCluster {
    /// A cluster of which no node runs yet. `output` is where a node's output goes, as its machine names it; a
    /// folder for it is made in the trial's `folder` here.
    pub fn new(
        nodes: Vec<NodeId>,
        system: Rc<dyn System>,
        machines: Rc<dyn Machines>,
        folder: &Path,
        output: impl Fn(&NodeId) -> PathBuf + 'static,
    ) -> Result<LiveCluster, String> {
        let logs = folder.join(file::LOGS);
        for node in &nodes {
            let folder = logs.join(node.as_str());
            std::fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
        }
        let exits = machines.exits();
        Ok(LiveCluster {
            nodes,
            system,
            machines,
            exits: RefCell::new(exits),
            dead: RefCell::default(),
            output: Box::new(output),
            seen: Leaders::default(),
        })
    }

    /// Notes every new leader from now on.
    pub fn tell_leaders(&self, noter: Noter) {
        self.seen.tell(noter);
    }

    /// Where the node's output goes.
    pub fn log(&self, node: &NodeId) -> PathBuf {
        (self.output)(node)
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

    /// Forgets that the node once ended of its own, so that [`LiveCluster::died`] tells of what comes.
    pub fn forget_death(&self, node: &NodeId) {
        self.dead.borrow_mut().remove(node);
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
        let ended = self.nodes.iter().map(|node| {
            let (machines, node) = (self.machines.clone(), node.clone());
            tokio::task::spawn_local(async move { machines.kill(&node).await })
        });
        for end in ended.collect::<Vec<_>>() {
            // Whoever is left dies with the machines' own end.
            let _ = end.await;
        }
    }
}

impl Cluster for LiveCluster {
    fn nodes(&self) -> &[NodeId] {
        &self.nodes
    }

    fn cut<'a>(&'a self, id: FaultId, links: &'a [Link]) -> LocalFuture<'a, Result<(), Cause>> {
        self.machines.cut(id, links)
    }

    fn reset<'a>(&'a self, id: FaultId, links: &'a [Link]) -> LocalFuture<'a, Result<(), Cause>> {
        self.machines.reset(id, links)
    }

    fn mend<'a>(&'a self, id: FaultId) -> LocalFuture<'a, Result<HeldBack, Cause>> {
        self.machines.mend(id)
    }

    fn kill<'a>(&'a self, node: &'a NodeId) -> LocalFuture<'a, Result<(), Cause>> {
        self.machines.kill(node)
    }

    fn start<'a>(&'a self, node: &'a NodeId) -> LocalFuture<'a, Result<(), Cause>> {
        Box::pin(async move {
            let spawn = self.system.spawn(node);
            let log = self.log(node);
            let spawn = host::Spawn {
                argv: spawn.argv,
                env: spawn.env,
                cwd: spawn.cwd,
                user: spawn.user,
                stdout: log.clone(),
                stderr: log,
            };
            self.machines.start(node, &spawn).await
        })
    }

    fn pause<'a>(&'a self, node: &'a NodeId) -> LocalFuture<'a, Result<(), Cause>> {
        self.machines.pause(node)
    }

    fn resume<'a>(&'a self, node: &'a NodeId) -> LocalFuture<'a, Result<(), Cause>> {
        self.machines.resume(node)
    }

    fn skew<'a>(
        &'a self,
        node: &'a NodeId,
        skew: Option<Skew>,
    ) -> LocalFuture<'a, Result<Option<i64>, Cause>> {
        Box::pin(async move {
            match self.system.clocks() {
                Some(clocks) => clocks.skew(node, skew).await.map(Some),
                None => self.machines.skew(node, skew).await,
            }
        })
    }

    fn clock<'a>(&'a self, node: &'a NodeId) -> LocalFuture<'a, Result<Option<i64>, Cause>> {
        Box::pin(async move {
            match self.system.clocks() {
                Some(clocks) => clocks.clock(node).await.map(Some),
                None => self.machines.clock(node).await,
            }
        })
    }

    fn disturb<'a>(
        &'a self,
        node: &'a NodeId,
        trouble: Option<Trouble>,
    ) -> LocalFuture<'a, Result<HeldBack, Cause>> {
        self.machines.disturb(node, trouble)
    }

    fn power_off<'a>(&'a self, node: &'a NodeId, loss: Loss) -> LocalFuture<'a, Result<Lost, Cause>> {
        self.machines.power_off(node, loss)
    }

    fn ail<'a>(
        &'a self,
        node: &'a NodeId,
        ailment: Option<Ailment>,
    ) -> LocalFuture<'a, Result<HeldBack, Cause>> {
        self.machines.ail(node, ailment)
    }

    fn damage<'a>(&'a self, node: &'a NodeId, harm: Harm) -> LocalFuture<'a, Result<String, Cause>> {
        self.machines.damage(node, harm)
    }

    fn restrict<'a>(
        &'a self,
        node: &'a NodeId,
        limit: Option<Limit>,
    ) -> LocalFuture<'a, Result<HeldBack, Cause>> {
        self.machines.restrict(node, limit)
    }

    fn leave<'a>(&'a self, node: &'a NodeId) -> LocalFuture<'a, Result<(), Cause>> {
        Box::pin(async move {
            let membership = self.system.membership().ok_or("this system has no way to remove members")?;
            // What a member knows may go only once it is none: else a majority could forget.
            membership.remove(node).await?;
            self.machines.kill(node).await?;
            self.machines.wipe(node, membership.state(node)).await
        })
    }

    fn join<'a>(&'a self, node: &'a NodeId) -> LocalFuture<'a, Result<(), Cause>> {
        Box::pin(async move {
            let membership = self.system.membership().ok_or("this system has no way to add members")?;
            membership.add(node).await?;
            self.start(node).await
        })
    }

    fn primaries<'a>(&'a self) -> LocalFuture<'a, Result<Vec<NodeId>, Cause>> {
        Box::pin(async move { Ok(self.leaders().await.into_iter().map(|(node, _)| node).collect()) })
    }
}
