//! A system under test: what it promises to survive, how it is started, who speaks to it.

use crate::LocalFuture;
use crate::client::Connector;
use crate::fault::Skew;
use crate::outcome::Cause;
use crate::process::NodeId;
use std::path::PathBuf;

/// What a system needs in order to keep its promises. Faults that break an assumption run only by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assumptions {
    /// One line each, for the report: `synced data survives a crash`.
    pub lines: Vec<String>,
}

/// How a node's process is started. The world that starts it decides where it runs and where its streams
/// go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spawn {
    /// Program and arguments.
    pub argv: Vec<String>,
    /// Variables added to the environment.
    pub env: Vec<(String, String)>,
    /// The working folder; `None`: that of whoever starts it.
    pub cwd: Option<PathBuf>,
    /// The name of the user that it runs as; `None`: that of whoever starts it.
    pub user: Option<String>,
}

/// The adapter of one system. A trial asks for capabilities before anything starts.
pub trait System {
    /// The system's name, as `--system` takes it.
    fn name(&self) -> &'static str;

    /// What it assumes of the world.
    fn assumptions(&self) -> Assumptions;

    /// Whatever must be there before any node starts. Returns what was done, a line each.
    fn install(&self) -> LocalFuture<'_, Result<Vec<String>, Cause>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    /// How to start this node, for the first time or again.
    fn spawn(&self, node: &NodeId) -> Spawn;

    /// The folder whose content must survive a crash of this node, if it is known; it need not be there yet.
    fn data(&self, _node: &NodeId) -> Option<PathBuf> {
        None
    }

    /// Resolves once the node answers; an error says what it waits for.
    fn ready<'a>(&'a self, node: &'a NodeId) -> LocalFuture<'a, Result<(), Cause>>;

    /// Asks the node to end by itself, when the trial is over, and says what came of it. `None`: there is no way but
    /// to kill it.
    fn stop<'a>(&'a self, _node: &'a NodeId) -> Option<LocalFuture<'a, Result<String, Cause>>> {
        None
    }

    /// Files and folders that the node leaves, to be kept with the trial, beside what it printed.
    fn logs(&self, _node: &NodeId) -> Vec<PathBuf> {
        Vec::new()
    }

    /// Opens its clients.
    fn connector(&self) -> &dyn Connector;

    /// Its clock source, if it can be told to lie.
    fn clocks(&self) -> Option<&dyn Clocks> {
        None
    }

    /// Who leads, if it can tell.
    fn primaries(&self) -> Option<&dyn Primaries> {
        None
    }

    /// How members are removed and added, if they can be.
    fn membership(&self) -> Option<&dyn Membership> {
        None
    }
}

/// A system whose nodes read a clock that can be told to lie.
pub trait Clocks {
    /// Makes the node's clock lie from now on, or (with `None`) tell the truth. Returns how far ahead of
    /// the true time the node then reads it, in nanoseconds.
    fn skew<'a>(&'a self, node: &'a NodeId, skew: Option<Skew>) -> LocalFuture<'a, Result<i64, Cause>>;

    /// How far ahead of the true time the node reads its clock now, in nanoseconds.
    fn clock<'a>(&'a self, node: &'a NodeId) -> LocalFuture<'a, Result<i64, Cause>>;
}

/// A system whose nodes know whether they lead.
pub trait Primaries {
    /// Whether this node believes to lead, and in which term.
    fn leads<'a>(&'a self, node: &'a NodeId) -> LocalFuture<'a, Result<Leadership, Cause>>;
}

/// A system whose members can be removed and added while it works.
pub trait Membership {
    /// Removes the node from the cluster; it may go on running. Success is certain: what the node knows may be wiped.
    fn remove<'a>(&'a self, node: &'a NodeId) -> LocalFuture<'a, Result<(), Cause>>;

    /// Adds the node as a new member, unless it is one: an answer may have been lost. From now on [`System::spawn`] starts it as one.
    fn add<'a>(&'a self, node: &'a NodeId) -> LocalFuture<'a, Result<(), Cause>>;

    /// The folders that hold what the node knows as a member, to be emptied before it is added again.
    fn state(&self, node: &NodeId) -> Vec<PathBuf>;
}

/// What a node believes of its own role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leadership {
    /// Whether it believes to lead.
    pub leads: bool,
    /// Its term, epoch or view.
    pub term: u64,
}
