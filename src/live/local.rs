//! The nodes of a trial on this machine: processes under the supervisor, on links that can be cut.

use super::machines::Machines;
use crate::host::handle::SupervisorLine;
use crate::host::resources::Restriction;
use crate::host::{Exits, Links, Packets, Spawn, Supervisor, processes};
use elenchus_core::LocalFuture;
use elenchus_core::cluster::HeldBack;
use elenchus_core::fault::{FaultId, Limit, Link, Trouble};
use elenchus_core::outcome::Cause;
use elenchus_core::process::NodeId;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

/// This machine's processes.
pub struct LocalMachines {
    supervisor: Supervisor,
    exits: RefCell<Option<Exits>>,
    links: Links,
    packets: Packets,
    token: String,
    /// The process that each node was started as, last.
    pids: RefCell<BTreeMap<NodeId, i32>>,
    restrictions: RefCell<BTreeMap<NodeId, Restriction>>,
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
            pids: RefCell::default(),
            restrictions: RefCell::default(),
        })
    }

    /// The node's living processes.
    fn processes(&self, node: &NodeId) -> Vec<i32> {
        let pid = self.pids.borrow().get(node).copied();
        pid.map(processes::family).unwrap_or_default().iter().map(|identity| identity.pid).collect()
    }

    /// Ends the limit that is in force, if one is, and imposes the other, if one is asked for.
    fn limited(&self, node: &NodeId, limit: Option<Limit>) -> io::Result<HeldBack> {
        let mut restrictions = self.restrictions.borrow_mut();
        let count = match restrictions.get(node) {
            Some(restriction) => restriction.lift()?,
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
            self.pids.borrow_mut().insert(node.clone(), pid);
            // A limit is the node's, whichever process is the node.
            match self.restrictions.borrow().get(node) {
                Some(restriction) => restriction.admit(&self.processes(node)).map_err(cause),
                None => Ok(()),
            }
        })
    }

    fn kill<'a>(&'a self, node: &'a NodeId) -> LocalFuture<'a, Result<(), Cause>> {
        Box::pin(async move { self.supervisor.kill(node).await.map_err(cause) })
    }

    fn pause<'a>(&'a self, node: &'a NodeId) -> LocalFuture<'a, Result<(), Cause>> {
        Box::pin(async move { self.supervisor.pause(node).await.map_err(cause) })
    }

    fn resume<'a>(&'a self, node: &'a NodeId) -> LocalFuture<'a, Result<(), Cause>> {
        Box::pin(async move { self.supervisor.resume(node).await.map_err(cause) })
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
