//! What the clients of a trial do, and what judges it: one file a workload.
//!
//! A workload names the client capabilities that it needs and owns no connection, so that it runs on any
//! system whose client offers them. Its operations on disk and their models are those of
//! [`elenchus_checkers`], so that `elenchus check` reads what a trial wrote.
//!
//! | workload | clients | judged by |
//! |---|---|---|
//! | [`register`] | read, write and compare-and-set many registers | linearizability |
//! | [`set`] | add elements to sets, and read them | set |
//! | [`watch`] | write keys, and watch all their changes on every node | watch |
//! | [`bank`] | move money between accounts, and read them all | bank |
//! | [`counter`] | add to counters, and read them | linearizability |
//! | [`lock`] | add elements to a set under a lock, and read it | mutual exclusion, fencing tokens, set |

pub mod bank;
pub mod counter;
mod final_reads;
pub mod lock;
pub mod register;
pub mod set;
mod store;
#[cfg(test)]
mod testing;
pub mod watch;

pub use bank::Bank;
pub use counter::Counters;
pub use lock::Lock;
pub use register::{Register, Values};
pub use set::Set;
pub use watch::Watch;
