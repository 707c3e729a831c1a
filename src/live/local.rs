//! The nodes of a trial on this machine: processes under the supervisor, on links that can be cut.

use super::machines::Machines;
use crate::host::handle::SupervisorLine;
use crate::host::{Exits, Links, Spawn, Supervisor};
use elenchus_core::LocalFuture;
use elenchus_core::cluster::HeldBack;
use elenchus_core::fault::{FaultId, Link};
use elenchus_core::outcome::Cause;
use elenchus_core::process::NodeId;
use std::cell::RefCell;

/// This machine's processes.
pub struct LocalMachines {
    supervisor: Supervisor,
    exits: RefCell<Option<Exits>>,
    links: Links,
}

impl LocalMachines {
    /// The nodes that this supervisor starts. Must be called inside the runtime that will drive it.
    pub fn new(supervisor: SupervisorLine, links: Links) -> Result<LocalMachines, String> {
        let (supervisor, exits) = supervisor.connect().map_err(|e| format!("the supervisor: {e}"))?;
        Ok(LocalMachines { supervisor, exits: RefCell::new(Some(exits)), links })
    }
}

fn cause(error: impl std::fmt::Display) -> Cause {
    Cause::from(error.to_string())
}

impl Machines for LocalMachines {
    fn start<'a>(&'a self, node: &'a NodeId, spawn: &'a Spawn) -> LocalFuture<'a, Result<(), Cause>> {
        Box::pin(async move { self.supervisor.start(node, spawn).await.map(|_pid| ()).map_err(cause) })
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

    fn mend<'a>(&'a self, id: FaultId) -> LocalFuture<'a, Result<HeldBack, Cause>> {
        Box::pin(async move { self.links.mend(id).map_err(cause) })
    }

    fn exits(&self) -> Option<Exits> {
        self.exits.borrow_mut().take()
    }
}
