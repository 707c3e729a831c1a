//! Systems under test: each with its adapter (how a node is started, who leads, its clock), its client beside it.
//!
//! An adapter knows no fault and no workload, and starts no node itself: it says how. What it does start are the
//! programs that a user's description names beside the nodes: install steps, questions, clients.
//!
//! | module | what it is |
//! |---|---|
//! | [`described`] | the user's own system, as a campaign file describes it |
//! | [`etcd`], [`http_client`], [`exec`] | the clients it can have: etcd's gateway, described requests, a program of any language |
//! | [`conformance`] | whether a client answers as its capabilities say |
//! | [`http`] | one connection, for clients and for questions |
//! | [`memory`] | one map in this process, which never fails |
//! | [`simulated`] | the bundled cluster's nodes in virtual time |

#[cfg(unix)]
pub mod bundled;
pub mod conformance;
pub mod described;
pub mod etcd;
pub mod exec;
pub mod http;
pub mod http_client;
pub mod memory;
#[cfg(unix)]
pub mod simulated;
