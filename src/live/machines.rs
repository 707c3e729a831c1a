//! What runs the nodes of a cluster and breaks them: this machine's supervisor, or agents on other hosts.
//!
//! A [`LiveCluster`](super::LiveCluster) adds what only the system knows: who leads, a clock of its own, its
//! members. Deliberately absent: any knowledge of what the programs are.

use crate::host::{Exits, Spawn};
use elenchus_core::LocalFuture;
use elenchus_core::cluster::{HeldBack, Lost};
use elenchus_core::fault::{Ailment, FaultId, Harm, Limit, Link, Loss, Skew, Trouble};
use elenchus_core::outcome::Cause;
use elenchus_core::process::NodeId;
use std::path::PathBuf;

/// Runs nodes and breaks them. Every method is idempotent and returns when its effect is there; what cannot be
/// done is an error that says why.
pub trait Machines {
    /// Starts the node's process, unless one runs.
    fn start<'a>(&'a self, node: &'a NodeId, spawn: &'a Spawn) -> LocalFuture<'a, Result<(), Cause>>;

    /// Kills the node's processes; returns once they are gone.
    fn kill<'a>(&'a self, node: &'a NodeId) -> LocalFuture<'a, Result<(), Cause>>;

    /// Stops the node's processes in their tracks; returns once they stand.
    fn pause<'a>(&'a self, node: &'a NodeId) -> LocalFuture<'a, Result<(), Cause>>;

    /// Lets the node's processes go on.
    fn resume<'a>(&'a self, node: &'a NodeId) -> LocalFuture<'a, Result<(), Cause>>;

    /// Cuts these directed links, in the name of `id`: other cuts stay as they are.
    fn cut<'a>(&'a self, id: FaultId, links: &'a [Link]) -> LocalFuture<'a, Result<(), Cause>>;

    /// As [`Cluster::reset`](elenchus_core::cluster::Cluster::reset).
    fn reset<'a>(&'a self, _id: FaultId, _links: &'a [Link]) -> LocalFuture<'a, Result<(), Cause>> {
        cannot("connections cannot be reset here")
    }

    /// Mends what `id` cut, unless another cut still holds it. Returns what was held back while it lasted.
    fn mend<'a>(&'a self, id: FaultId) -> LocalFuture<'a, Result<HeldBack, Cause>>;

    /// Empties these folders of a node that does not run. Those that are not there are empty.
    fn wipe<'a>(&'a self, _node: &'a NodeId, _folders: Vec<PathBuf>) -> LocalFuture<'a, Result<(), Cause>> {
        cannot("folders cannot be emptied here")
    }

    /// The nodes that end, as they do; to be taken once.
    fn exits(&self) -> Option<Exits>;

    /// The trial begins: what the nodes have written so far counts as synced, as it would had they run for a while.
    fn settle(&self) -> LocalFuture<'_, Result<(), Cause>> {
        Box::pin(async { Ok(()) })
    }

    /// Makes the clock of the node's processes lie from now on, or (with `None`) tell the truth: for programs
    /// whose clock cannot be told by their own means. Returns how far ahead of the true time they then read it,
    /// in nanoseconds; `None` if they have not read it since.
    fn skew<'a>(
        &'a self,
        _node: &'a NodeId,
        _skew: Option<Skew>,
    ) -> LocalFuture<'a, Result<Option<i64>, Cause>> {
        cannot("this system's clocks cannot be told to lie")
    }

    /// How far ahead of the true time the node's processes read their clock now, in nanoseconds; `None` if they
    /// have not read it since it was set.
    fn clock<'a>(&'a self, _node: &'a NodeId) -> LocalFuture<'a, Result<Option<i64>, Cause>> {
        cannot("this system's clocks cannot be read")
    }

    /// As [`Cluster::disturb`](elenchus_core::cluster::Cluster::disturb).
    fn disturb<'a>(
        &'a self,
        _node: &'a NodeId,
        _trouble: Option<Trouble>,
    ) -> LocalFuture<'a, Result<HeldBack, Cause>> {
        cannot("packets cannot be disturbed here")
    }

    /// As [`Cluster::power_off`](elenchus_core::cluster::Cluster::power_off).
    fn power_off<'a>(&'a self, _node: &'a NodeId, _loss: Loss) -> LocalFuture<'a, Result<Lost, Cause>> {
        cannot("power cannot be cut here")
    }

    /// As [`Cluster::ail`](elenchus_core::cluster::Cluster::ail).
    fn ail<'a>(
        &'a self,
        _node: &'a NodeId,
        _ailment: Option<Ailment>,
    ) -> LocalFuture<'a, Result<HeldBack, Cause>> {
        cannot("disks cannot be made to ail here")
    }

    /// As [`Cluster::damage`](elenchus_core::cluster::Cluster::damage).
    fn damage<'a>(&'a self, _node: &'a NodeId, _harm: Harm) -> LocalFuture<'a, Result<String, Cause>> {
        cannot("files cannot be harmed here")
    }

    /// As [`Cluster::restrict`](elenchus_core::cluster::Cluster::restrict).
    fn restrict<'a>(
        &'a self,
        _node: &'a NodeId,
        _limit: Option<Limit>,
    ) -> LocalFuture<'a, Result<HeldBack, Cause>> {
        cannot("resources cannot be limited here")
    }
}

fn cannot<'a, T: 'a>(why: &'static str) -> LocalFuture<'a, Result<T, Cause>> {
    Box::pin(async move { Err(why.into()) })
}
