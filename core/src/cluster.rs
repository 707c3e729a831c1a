//! The running cluster as a nemesis sees it: what can be broken, and how it is put back.
//!
//! A nemesis knows no namespace, no signal and no socket; a world implements this once for all nemeses.

use crate::LocalFuture;
use crate::fault::{FaultId, Link, Skew};
use crate::outcome::Cause;
use crate::process::NodeId;

/// A running cluster that can be broken. Every method is idempotent and returns when its effect is there.
pub trait Cluster {
    /// The nodes, in their customary order.
    fn nodes(&self) -> &[NodeId];

    /// Cuts these directed links, in the name of `id`: other cuts stay as they are.
    fn cut<'a>(&'a self, id: FaultId, links: &'a [Link]) -> LocalFuture<'a, Result<(), Cause>>;

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
    /// the true time the node then reads it, in nanoseconds.
    fn skew<'a>(&'a self, node: &'a NodeId, skew: Option<Skew>) -> LocalFuture<'a, Result<i64, Cause>>;

    /// How far ahead of the true time the node reads its clock now, in nanoseconds.
    fn clock<'a>(&'a self, node: &'a NodeId) -> LocalFuture<'a, Result<i64, Cause>>;

    /// Who believes to lead now. More than one is possible; none is too.
    fn primaries<'a>(&'a self) -> LocalFuture<'a, Result<Vec<NodeId>, Cause>>;
}

/// What a cut held back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HeldBack {
    /// How much: packets dropped by rules, or stalled reads and connections of a proxy.
    pub count: u64,
}
