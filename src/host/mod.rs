//! Local hosts: how the processes of a trial are isolated, started, signalled, cut off and cleaned away,
//! with and without root.
//!
//! [`run_trial`] forks the process tree, and calls its body in the controller with the [`Ground`] it stands
//! on. Everything that a trial makes is tied to its processes: no namespace has a name, no file lies
//! outside the trial's folder. The whole works on Linux; elsewhere `run_trial` says that it does not.
//!
//! | module | what it is |
//! |---|---|
//! | [`isolation`] | what was asked for, chosen, refused |
//! | [`probe`] | what the kernel grants of that, tried |
//! | `trial`, `preparation` | the process tree, from the first fork to the end |
//! | `daemon` | the process tree of an agent, which outlives whoever started it |
//! | [`ground`] | what the controller gets |
//! | `supervisor`, `spawn`, [`protocol`], [`handle`] | starting and ending nodes: who does it, and who asks for it |
//! | [`links`], `firewall`, `filter`, [`connections`], [`proxy`] | cutting links, two ways |
//! | [`packets`] | what nodes send each other, late, lost or mangled |
//! | `namespaces`, `kernel`, [`netlink`] | networks, in the kernel's own language |
//! | [`addresses`], [`interrupts`] | where everybody is; the user's wish to stop |
//! | [`disk`] | data folders that lose, fail and fill up |
//! | [`resources`] | limits on what a node may use |
//! | [`vdso`] | clocks of unmodified programs that lie |
//! | [`ssh`] | hosts elsewhere |
//! | [`journal`], [`processes`] | what is left after a `kill -9`, and its end |

pub mod addresses;
#[cfg(target_os = "linux")]
pub mod connections;
#[cfg(target_os = "linux")]
pub(crate) mod daemon;
pub mod disk;
#[cfg(target_os = "linux")]
pub(crate) mod filter;
#[cfg(target_os = "linux")]
mod firewall;
pub mod ground;
pub mod handle;
pub mod interrupts;
pub mod isolation;
pub mod journal;
#[cfg(target_os = "linux")]
mod kernel;
pub mod links;
#[cfg(target_os = "linux")]
mod namespaces;
pub mod netlink;
pub mod packets;
#[cfg(target_os = "linux")]
mod preparation;
#[cfg(target_os = "linux")]
pub mod probe;
pub mod processes;
pub mod protocol;
pub mod proxy;
pub mod resources;
#[cfg(target_os = "linux")]
mod spawn;
pub mod ssh;
#[cfg(target_os = "linux")]
mod supervisor;
#[cfg(target_os = "linux")]
mod trial;
#[cfg_attr(
    not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"))),
    path = "vdso/absent.rs"
)]
pub mod vdso;

pub use ground::Ground;
pub use handle::{Exits, Supervisor, SupervisorError};
pub use interrupts::Interrupt;
pub use isolation::{Isolation, IsolationRequest, Means};
pub use journal::{HealError, Healed, heal, heal_store};
pub use links::{LinkError, Links};
pub use packets::{Packets, PacketsError};
pub use protocol::{Exit, Spawn, Status};
#[cfg(target_os = "linux")]
pub use trial::run_trial;

/// The ground that a trial asks for.
#[derive(Clone, Copy, Debug)]
pub struct Wish<'a> {
    /// How the nodes are to be kept apart.
    pub isolation: IsolationRequest,
    /// The nodes.
    pub nodes: &'a [elenchus_core::process::NodeId],
    /// The first of the ports that nodes listen on where the proxy isolates them, one after the other;
    /// `None`: free ones.
    pub port_base: Option<u16>,
}

/// How a trial's processes ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// How the controller ended. `None`: the supervisor was killed, or the user's third signal ended all.
    pub controller: Option<Status>,
    /// How many signals the user sent.
    pub interrupts: usize,
    /// Processes of the trial that the kernel does not let die; otherwise none. `heal` may end them later.
    pub left: Vec<i32>,
}

/// Why there was no trial, or nothing is known of its end.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// Trials on local hosts need Linux.
    #[error("local hosts need Linux; `check` and `report` work everywhere")]
    Unsupported,
    /// These nodes cannot be.
    #[error("{0}")]
    Nodes(String),
    /// Forking would leave locks behind that other threads hold.
    #[error("a trial must begin before any thread is started; there are {0}")]
    Threads(usize),
    /// The kernel refused every way that was allowed.
    #[error("no isolation: {0}")]
    Refused(String),
    /// The machine gave an error.
    #[error("{what}: {source}")]
    Io {
        /// With what.
        what: &'static str,
        /// Which.
        source: std::io::Error,
    },
}

impl HostError {
    #[cfg(target_os = "linux")]
    fn io<E: Into<std::io::Error>>(what: &'static str) -> impl Fn(E) -> HostError {
        move |error| HostError::Io { what, source: error.into() }
    }
}

/// Would run a trial, on Linux.
#[cfg(not(target_os = "linux"))]
pub fn run_trial(
    _wish: Wish<'_>,
    _folder: &std::path::Path,
    _body: impl FnOnce(Ground) -> i32,
) -> Result<Ended, HostError> {
    Err(HostError::Unsupported)
}
