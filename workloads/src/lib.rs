//! What the clients of a trial do, and what judges it: one file a workload.
//!
//! A workload names the client capabilities that it needs and owns no connection, so that it runs on any
//! system whose client offers them. Its operations on disk and their models are those of
//! [`elenchus_checkers`], so that `elenchus check` reads what a trial wrote.
//!
//! | workload | clients | judged by |
//! |---|---|---|
//! | [`register`] | read, write and compare-and-set many registers | linearizability |
//! | [`set`] | add elements to one set, and read it | set |
//! | [`bank`] | move money between accounts, and read them all | bank |

pub mod bank;
mod final_reads;
pub mod register;
pub mod set;
mod store;

pub use bank::Bank;
pub use register::{Register, Values};
pub use set::Set;
