//! The running cluster as a nemesis sees it: what can be broken, and how it is put back.
//!
//! A nemesis knows no namespace, no signal and no socket; a world implements this once for all nemeses.

use crate::LocalFuture;
use crate::fault::{Ailment, FaultId, Harm, Limit, Link, Loss, Skew, Trouble};
use crate::outcome::Cause;
use crate::process::NodeId;

/// A running cluster that can be broken. Every method is idempotent and returns when its effect is there.
pub trait Cluster {
    /// The nodes, in their customary order.
    fn nodes(&self) -> &[NodeId];

    /// Cuts these directed links, in the name of `id`: other cuts stay as they are.
    fn cut<'a>(&'a self, id: FaultId, links: &'a [Link]) -> LocalFuture<'a, Result<(), Cause>>;

    /// As [`Cluster::cut`], but who sends across these links is told so: its connections are reset. A link that is
    /// cut already stays as it is cut.
    fn reset<'a>(&'a self, _id: FaultId, _links: &'a [Link]) -> LocalFuture<'a, Result<(), Cause>> {
        cannot("reset connections")
    }

    /// Mends what `id` cut, unless another cut still holds it. Returns what was held back while it lasted.
    fn mend<'a>(&'a self, id: FaultId) -> LocalFuture<'a, Result<HeldBack, Cause>>;

    /// Kills the node's processes; returns once they are gone.
    fn kill<'a>(&'a self, node: &'a NodeId) -> LocalFuture<'a, Result<(), Cause>>;

    /// Starts the node; returns once its process runs.
    fn start<'a>(&'a self, node: &'a NodeId) -> LocalFuture<'a, Result<(), Cause>>;

    /// Stops the node's processes in their tracks; returns once they stand.
    fn pause<'a>(&'a self, node: &'a NodeId) -> LocalFuture<'a, Result<(), Cause>>;

    /// Lets the node's processes go on.
    fn resume<'a>(&'a self, node: &'a NodeId) -> LocalFuture<'a, Result<(), Cause>>;

    /// Makes the node's clock lie from now on, or (with `None`) tell the truth. Returns how far ahead of
    /// the true time the node then reads it, in nanoseconds; `None` if it has not read it since.
    fn skew<'a>(
        &'a self,
        node: &'a NodeId,
        skew: Option<Skew>,
    ) -> LocalFuture<'a, Result<Option<i64>, Cause>>;

    /// How far ahead of the true time the node reads its clock now, in nanoseconds; `None` if it has not read it
    /// since it was set.
    fn clock<'a>(&'a self, node: &'a NodeId) -> LocalFuture<'a, Result<Option<i64>, Cause>>;

    /// Makes the packets that other nodes send to this one suffer, or (with `None`) lets them pass as they are.
    /// Answers how many packets the trouble that ends with this call has touched.
    fn disturb<'a>(
        &'a self,
        _node: &'a NodeId,
        _trouble: Option<Trouble>,
    ) -> LocalFuture<'a, Result<HeldBack, Cause>> {
        cannot("disturb packets")
    }

    /// Kills the node's processes, and lets its disk forget what was not synced; also if none runs. Returns
    /// once both are done.
    fn power_off<'a>(&'a self, _node: &'a NodeId, _loss: Loss) -> LocalFuture<'a, Result<Lost, Cause>> {
        cannot("cut power")
    }

    /// Makes the node's disk ail, or (with `None`) cures it. Answers how many calls of the node the ailment that
    /// ends with this call has touched.
    fn ail<'a>(
        &'a self,
        _node: &'a NodeId,
        _ailment: Option<Ailment>,
    ) -> LocalFuture<'a, Result<HeldBack, Cause>> {
        cannot("make a disk ail")
    }

    /// Harms the files of a node that does not run. Answers what was done, for people.
    fn damage<'a>(&'a self, _node: &'a NodeId, _harm: Harm) -> LocalFuture<'a, Result<String, Cause>> {
        cannot("harm files")
    }

    /// Limits what the node may use, or (with `None`) gives it all back. Answers how often the limit that ends
    /// with this call was felt.
    fn restrict<'a>(
        &'a self,
        _node: &'a NodeId,
        _limit: Option<Limit>,
    ) -> LocalFuture<'a, Result<HeldBack, Cause>> {
        cannot("limit resources")
    }

    /// Removes the node from the cluster by the cluster's own means, ends its processes and wipes its data.
    fn leave<'a>(&'a self, _node: &'a NodeId) -> LocalFuture<'a, Result<(), Cause>> {
        cannot("remove members")
    }

    /// Adds the node, which was removed, as a new member, and starts it.
    fn join<'a>(&'a self, _node: &'a NodeId) -> LocalFuture<'a, Result<(), Cause>> {
        cannot("add members")
    }

    /// Who believes to lead now. More than one is possible; none is too.
    fn primaries<'a>(&'a self) -> LocalFuture<'a, Result<Vec<NodeId>, Cause>>;
}

/// What a cut held back, or what else a fault has touched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HeldBack {
    /// How much: packets dropped by rules and connections ended, or stalled reads and connections of a proxy.
    pub count: u64,
}

/// What a disk forgot when the power failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lost {
    /// How many bytes had been written and not synced.
    pub bytes: u64,
    /// Of how many files.
    pub files: u64,
}

fn cannot<'a, T: 'a>(what: &'static str) -> LocalFuture<'a, Result<T, Cause>> {
    Box::pin(async move { Err(format!("this cluster cannot {what}").into()) })
}
