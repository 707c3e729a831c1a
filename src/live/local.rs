//! The nodes of a trial on this machine: processes under the supervisor, on links that can be cut.

use super::disks::Disks;
use super::machines::Machines;
use crate::host::handle::SupervisorLine;
use crate::host::processes::Identity;
use crate::host::resources::Restriction;
use crate::host::resources::freezer::{self, Freeze};
use crate::host::vdso::Clocks;
use crate::host::{Exits, Links, Packets, Spawn, Supervisor, processes};
use elenchus_core::LocalFuture;
use elenchus_core::cluster::{HeldBack, Lost};
use elenchus_core::fault::{Ailment, FaultId, Harm, Limit, Link, Loss, Skew, Trouble};
use elenchus_core::outcome::Cause;
use elenchus_core::process::NodeId;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// This machine's processes.
pub struct LocalMachines {
    supervisor: Supervisor,
    exits: RefCell<Option<Exits>>,
    links: Links,
    packets: Packets,
    token: String,
    /// The process that each node was started as, last.
    started: RefCell<BTreeMap<NodeId, Identity>>,
    clocks: Clocks,
    restrictions: RefCell<BTreeMap<NodeId, Restriction>>,
    /// Whether nodes stand still by the kernel's freezer, or by signals.
    freezes: bool,
    frozen: RefCell<BTreeMap<NodeId, Freeze>>,
    disks: Disks,
}

impl LocalMachines {
    /// The nodes that this supervisor starts. Must be called inside the runtime that will drive it.
    pub fn new(
        supervisor: SupervisorLine,
        links: Links,
        packets: Packets,
        token: String,
    ) -> Result<LocalMachines, String> {
        let (supervisor, exits) = supervisor.connect().map_err(|e| format!("the supervisor: {e}"))?;
        Ok(LocalMachines {
            supervisor,
            exits: RefCell::new(Some(exits)),
            links,
            packets,
            token,
            started: RefCell::default(),
            clocks: Clocks::default(),
            restrictions: RefCell::default(),
            freezes: freezer::probe().is_ok() && processes::Process::are_ours(),
            frozen: RefCell::default(),
            disks: Disks::default(),
        })
    }

    /// The same, with these disks under their data folders.
    pub fn with_disks(self, disks: Disks) -> LocalMachines {
        LocalMachines { disks, ..self }
    }

    /// The data folders that faults strike.
    pub fn disks(&self) -> &Disks {
        &self.disks
    }

    /// The node's living processes.
    fn processes(&self, node: &NodeId) -> Vec<i32> {
        let leader = self.leader(node).ok();
        let family = leader.map(|leader| processes::family(leader.pid)).unwrap_or_default();
        family.iter().map(|identity| identity.pid).collect()
    }

    /// The process that the node was started as.
    fn leader(&self, node: &NodeId) -> Result<Identity, Cause> {
        let leader = self.started.borrow().get(node).copied();
        leader.ok_or_else(|| format!("{node} does not run").into())
    }

    /// Ends the limit that is in force, if one is, and imposes the other, if one is asked for.
    fn limited(&self, node: &NodeId, limit: Option<Limit>) -> io::Result<HeldBack> {
        let mut restrictions = self.restrictions.borrow_mut();
        let count = match restrictions.get(node) {
            Some(restriction) => restriction.lift(self.frozen_in(node, restriction.group()))?,
            None => 0,
        };
        restrictions.remove(node);
        if let Some(limit) = limit {
            let pids = self.processes(node);
            let restriction = Restriction::impose(&self.token, node.as_str(), &pids, limit)?;
            restrictions.insert(node.clone(), restriction);
        }
        Ok(HeldBack { count })
    }

    /// Whether the node stands still in this very group.
    fn frozen_in(&self, node: &NodeId, group: &Path) -> bool {
        self.frozen.borrow().get(node).is_some_and(|freeze| freeze.group() == group)
    }

    /// Freezes all the node's processes; returns once they stand, whoever is born meanwhile too.
    async fn freeze(&self, node: &NodeId) -> io::Result<()> {
        // On record before anybody stands: whoever gives up half way leaves it to the resumption.
        let freeze = Freeze::begin(&self.token, node.as_str())?;
        self.frozen.borrow_mut().insert(node.clone(), freeze);
        loop {
            let family = self.processes(node);
            if family.is_empty() {
                return Err(io::Error::other(format!("{node} does not run")));
            }
            let stands = match self.frozen.borrow().get(node) {
                Some(freeze) => freeze.admit(&family)? == 0 && freeze.stands()?,
                None => {
                    let why = format!("{node} was resumed meanwhile");
                    return Err(io::Error::new(io::ErrorKind::Interrupted, why));
                }
            };
            if stands {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Lets go on what was frozen, if anything was.
    fn thaw(&self, node: &NodeId) -> io::Result<()> {
        let mut frozen = self.frozen.borrow_mut();
        if let Some(freeze) = frozen.get(node) {
            let restrictions = self.restrictions.borrow();
            freeze.end(restrictions.get(node).is_some_and(|limit| limit.group() == freeze.group()))?;
        }
        frozen.remove(node);
        Ok(())
    }
}

/// Removes all that is in a folder; the folder itself stays, since a disk of ours may be mounted there.
fn empty(folder: &Path) -> Result<(), Cause> {
    let removed = std::fs::read_dir(folder).and_then(|mut entries| {
        entries.try_for_each(|entry| {
            let entry = entry?;
            match entry.file_type()?.is_dir() {
                true => std::fs::remove_dir_all(entry.path()),
                false => std::fs::remove_file(entry.path()),
            }
        })
    });
    match removed {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(format!("{}: {error}", folder.display()).into())
        }
        _ => Ok(()),
    }
}

fn cause(error: impl std::fmt::Display) -> Cause {
    Cause::from(error.to_string())
}

impl Machines for LocalMachines {
    fn start<'a>(&'a self, node: &'a NodeId, spawn: &'a Spawn) -> LocalFuture<'a, Result<(), Cause>> {
        Box::pin(async move {
            let pid = self.supervisor.start(node, spawn).await.map_err(cause)?;
            match processes::Process::find(pid) {
                Some(process) => drop(self.started.borrow_mut().insert(node.clone(), process.identity)),
                None => drop(self.started.borrow_mut().remove(node)),
            }
            // A limit is the node's, whichever process is the node.
            match self.restrictions.borrow().get(node) {
                Some(restriction) => restriction.admit(&self.processes(node)).map_err(cause),
                None => Ok(()),
            }
        })
    }

    fn kill<'a>(&'a self, node: &'a NodeId) -> LocalFuture<'a, Result<(), Cause>> {
        Box::pin(async move {
            // What is frozen dies as well. Those of other process groups, who outlive it, go on.
            self.supervisor.kill(node).await.map_err(cause)?;
            self.thaw(node).map_err(cause)
        })
    }

    fn pause<'a>(&'a self, node: &'a NodeId) -> LocalFuture<'a, Result<(), Cause>> {
        Box::pin(async move {
            if self.freezes && self.leader(node).is_ok() {
                match self.freeze(node).await {
                    Ok(()) => return Ok(()),
                    // A signal now would come after the resumption, and nobody would take it back.
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => return Err(cause(error)),
                    Err(_) => {}
                }
                self.thaw(node).map_err(cause)?;
            }
            self.supervisor.pause(node).await.map_err(cause)
        })
    }

    fn resume<'a>(&'a self, node: &'a NodeId) -> LocalFuture<'a, Result<(), Cause>> {
        Box::pin(async move {
            self.thaw(node).map_err(cause)?;
            self.supervisor.resume(node).await.map_err(cause)
        })
    }

    fn cut<'a>(&'a self, id: FaultId, links: &'a [Link]) -> LocalFuture<'a, Result<(), Cause>> {
        Box::pin(async move { self.links.cut(id, links).map_err(cause) })
    }

    fn reset<'a>(&'a self, id: FaultId, links: &'a [Link]) -> LocalFuture<'a, Result<(), Cause>> {
        Box::pin(async move { self.links.reset(id, links).map_err(cause) })
    }

    fn mend<'a>(&'a self, id: FaultId) -> LocalFuture<'a, Result<HeldBack, Cause>> {
        Box::pin(async move { self.links.mend(id).map_err(cause) })
    }

    fn skew<'a>(
        &'a self,
        node: &'a NodeId,
        skew: Option<Skew>,
    ) -> LocalFuture<'a, Result<Option<i64>, Cause>> {
        Box::pin(async move { self.clocks.skew(node, self.leader(node)?, skew).await.map_err(cause) })
    }

    fn clock<'a>(&'a self, node: &'a NodeId) -> LocalFuture<'a, Result<Option<i64>, Cause>> {
        Box::pin(async move { self.clocks.clock(node, self.leader(node)?).await.map_err(cause) })
    }

    fn wipe<'a>(&'a self, _node: &'a NodeId, folders: Vec<PathBuf>) -> LocalFuture<'a, Result<(), Cause>> {
        Box::pin(async move { folders.iter().try_for_each(|folder| empty(folder)) })
    }

    fn restrict<'a>(
        &'a self,
        node: &'a NodeId,
        limit: Option<Limit>,
    ) -> LocalFuture<'a, Result<HeldBack, Cause>> {
        Box::pin(async move { self.limited(node, limit).map_err(cause) })
    }

    fn settle(&self) -> LocalFuture<'_, Result<(), Cause>> {
        Box::pin(self.disks.settle())
    }

    fn power_off<'a>(&'a self, node: &'a NodeId, loss: Loss) -> LocalFuture<'a, Result<Lost, Cause>> {
        Box::pin(async move {
            // First the processes: what they synced until they died they may have told somebody.
            self.kill(node).await?;
            self.disks.power_off(node, loss).await
        })
    }

    fn ail<'a>(
        &'a self,
        node: &'a NodeId,
        ailment: Option<Ailment>,
    ) -> LocalFuture<'a, Result<HeldBack, Cause>> {
        Box::pin(async move { self.disks.ail(node, ailment) })
    }

    fn damage<'a>(&'a self, node: &'a NodeId, harm: Harm) -> LocalFuture<'a, Result<String, Cause>> {
        Box::pin(async move { self.disks.damage(node, harm).await })
    }

    fn disturb<'a>(
        &'a self,
        node: &'a NodeId,
        trouble: Option<Trouble>,
    ) -> LocalFuture<'a, Result<HeldBack, Cause>> {
        Box::pin(async move { self.packets.disturb(node, trouble).map_err(cause) })
    }

    fn exits(&self) -> Option<Exits> {
        self.exits.borrow_mut().take()
    }
}
