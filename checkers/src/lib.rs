//! Judges of histories: each decides from a recorded history whether one promise was kept.
//!
//! New here? Read the [`guide`].
//!
//! Everything here is a pure function of a history and a budget. Nothing knows a cluster, a nemesis or a
//! clock; with `elenchus-core` this is a library that stands alone. Two mistakes are never forgiven: to
//! accuse a system that kept its promise, and to pass one that was not examined.
//!
//! | module | promise |
//! |---|---|
//! | [`linearizability`] | every operation takes effect at once, between call and return |
//! | [`consistency`] | weaker ones: sequential consistency, session guarantees, how stale reads were |
//! | [`set_full`] | what was added to a set stays in it |
//! | [`guarded_set`] | a lock is not held twice, or its tokens keep whole what it guards |
//! | [`bank`] | transfers neither make nor lose money |
//! | [`watch`] | a watcher sees every change once, in order |
//! | [`consensus`] | a consensus protocol's invariants, from its nodes' traces |
//! | [`faults`], [`recovery`] | the faults asked for struck; the healed cluster answers |
//! | [`states`] | none: in which abstract states a cluster has been, from the same traces |
//! | [`stats`], [`availability`], [`perf`] | none: figures, and whether there was anything to judge |
//!
//! [`models`] holds the objects that are judged and how their operations stand on disk; [`check_all`] runs
//! many checkers on one history; [`recorder`] records what the threads of a process do to an object of yours,
//! and [`lint`](mod@lint) warns of mistakes in a recording; [`synthetic`] makes histories to try checkers on.

pub mod availability;
pub mod bank;
pub mod compose;
pub mod consensus;
pub mod consistency;
pub mod faults;
pub mod guarded_set;
pub mod guide;
pub mod linearizability;
pub mod lint;
pub mod models;
pub mod perf;
pub mod recorder;
pub mod recovery;
pub mod set_full;
pub mod states;
pub mod stats;
pub mod synthetic;
pub mod watch;

mod exhibits;
mod trial;
mod vacuity;

pub use availability::Availability;
pub use bank::BankChecker;
pub use compose::{check_all, check_all_watched};
pub use consensus::Consensus;
pub use faults::Faults;
pub use linearizability::Linearizability;
pub use perf::Perf;
pub use recovery::Recovery;
pub use set_full::SetFull;
pub use stats::Stats;
pub use watch::WatchChecker;
