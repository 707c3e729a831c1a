//! Agents: the small helper on each host that runs, breaks and heals the nodes there, and the controller's
//! side of it.
//!
//! The helper is this very program, uploaded and started by whatever reaches the host. It outlives its
//! connections, and holds every fault under a lease: when its controller has said nothing for a minute it
//! takes everything back. Nothing here knows how bytes reach a host: an agent listens on a socket in its
//! folder, `attach` bridges that to standard input and output, and the controller is given a closure that
//! opens such a bridge.
//!
//! | module | what it is |
//! |---|---|
//! | [`protocol`] | what both ends say |
//! | `serve` | starting an agent, bridging to it, healing after it |
//! | `server`, `answers` | connections, the lease, each request once |
//! | `duties` | what is done on the host, and taken back |
//! | `wall`, `clock`, `programs`, `rights` | the host's packet filter, its clock, its programs, what it allows |
//! | `units`, `systemd` | nodes that are units of systemd, what `systemctl` says of one |
//! | `undo`, `folder` | what must be undone after a `kill -9`; who lives where |
//! | [`machines`], `post` | the controller's side: the nodes of all hosts, one line to each |

#[cfg(target_os = "linux")]
mod answers;
#[cfg(target_os = "linux")]
mod clock;
#[cfg(target_os = "linux")]
mod duties;
#[cfg(target_os = "linux")]
mod folder;
pub mod machines;
mod post;
#[cfg(target_os = "linux")]
mod programs;
pub mod protocol;
#[cfg(target_os = "linux")]
mod rights;
#[cfg(target_os = "linux")]
mod serve;
#[cfg(target_os = "linux")]
mod server;
#[cfg(target_os = "linux")]
mod systemd;
#[cfg(target_os = "linux")]
mod undo;
#[cfg(target_os = "linux")]
mod units;
#[cfg(target_os = "linux")]
mod wall;

pub use machines::{AgentError, AgentHost, AgentMachines};
pub use post::{Connect, Stream};
pub use protocol::{Hello, Ran, Right, Step};
#[cfg(target_os = "linux")]
pub use rights::rights;
#[cfg(target_os = "linux")]
pub use serve::{AgentFailure, AgentHealed, Options, Ready, attach, client_of, heal, serve};
#[cfg(target_os = "linux")]
pub use wall::FilterRequest;
