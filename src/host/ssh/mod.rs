//! Hosts that are reached over SSH: commands, files and streams, each with an end to it.
//!
//! libssh2 blocks, so every connection has a thread of its own, and the rest of the program waits for answers
//! only. A host that vanishes, refuses, fills up or answers slowly ends in an error that names it, never in a hang.
//! Deliberately absent: certificates, forwarding, terminals.
//!
//! | module | what it is |
//! |---|---|
//! | [`config`], `pattern` | what OpenSSH's configuration says |
//! | [`known_hosts`] | whose key is whose |
//! | [`access`] | how one host is reached, every choice made |
//! | `session`, `login` | one connection, opened |
//! | `command`, `transfer` | what is done over it |
//! | `bridge` | a channel as a local socket: streams, and jump hosts |
//! | `line` | a connection that is kept, its thread and its queue |
//! | [`host`] | a host, as everybody else sees it |
//! | [`error`] | what can be wrong with it |

pub mod access;
mod bridge;
mod command;
pub mod config;
pub mod error;
pub mod host;
pub mod known_hosts;
mod line;
mod login;
mod pattern;
mod session;
mod transfer;

pub use access::{Access, Us};
pub use bridge::Ended;
pub use command::{Output, quoted};
pub use config::Config;
pub use error::{SshError, Trouble};
pub use host::{Purpose, SshHost, Stream, Survey};
