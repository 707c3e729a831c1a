//! Who does something in a trial: slots, processes, nodes.
//!
//! A *slot* is a place for one open operation; it lives as long as the trial. A *process* is a single
//! logical thread of the history: it performs one operation at a time, and ends when an operation ends
//! in doubt (`info`), because that operation may still be running. Its slot goes on as the process whose
//! number is larger by the concurrency, with a new connection.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// One place for an open operation: `0..concurrency`, the first slot of clients being 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(pub u32);

/// A single logical thread of a history, or the nemesis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Process(pub u32);

impl Process {
    /// The one who breaks things. It is never retired and may have many faults in force at once.
    pub const NEMESIS: Process = Process(u32::MAX);

    /// Whether this is the nemesis.
    pub fn is_nemesis(self) -> bool {
        self == Process::NEMESIS
    }

    /// Who takes over the slot of this process once it has ended in doubt.
    pub fn successor(self, concurrency: u32) -> Process {
        Process(self.0 + concurrency)
    }
}

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_nemesis() { f.write_str("nemesis") } else { write!(f, "{}", self.0) }
    }
}

/// The name of a node, unique in its cluster: `n1`, `n2`…
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct NodeId(Arc<str>);

impl NodeId {
    /// A node by its name.
    pub fn new(name: &str) -> NodeId {
        NodeId(name.into())
    }

    /// The customary names of `count` nodes: `n1` to `n<count>`.
    pub fn numbered(count: usize) -> Vec<NodeId> {
        (1..=count).map(|i| NodeId(format!("n{i}").into())).collect()
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for NodeId {
    fn from(name: String) -> NodeId {
        NodeId(name.into())
    }
}

impl From<NodeId> for String {
    fn from(node: NodeId) -> String {
        node.0.as_ref().to_owned()
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
