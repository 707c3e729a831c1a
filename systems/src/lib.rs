//! Systems under test: one folder each, with its adapter (how a node is started, who leads, its clock) and
//! its client.
//!
//! An adapter knows no fault and no workload, and starts no process itself: it says how.

#[cfg(unix)]
pub mod bundled;
pub mod described;
pub mod etcd;
pub mod exec;
pub mod http;
pub mod memory;
