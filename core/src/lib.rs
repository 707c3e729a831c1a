//! The vocabulary of Elenchus, shared by everything that drives, records or judges a trial.
//!
//! Nothing here does IO, owns a runtime or knows a clock: these are the values that cross the
//! boundaries between the stages (an operation, an event, a history, a fault, a verdict) and the traits
//! that each side of a boundary keeps.
//!
//! | module | what it names |
//! |---|---|
//! | [`value`] | what an operation carries: all of EDN |
//! | [`process`] | slots, processes, nodes |
//! | [`outcome`] | how an operation ended: ok, fail, info |
//! | [`event`] | one line of the log |
//! | [`history`] | a sealed log: paired, checked, columnar |
//! | [`mod@format`] | histories as JSONL and EDN, in and out |
//! | [`operation`] | the typed view of a history that checkers read |
//! | [`generator`] | what to do next |
//! | [`world`] | where it is done |
//! | [`client`], [`system`] | what a system and its clients offer |
//! | [`host`] | the machine that a node's files lie on |
//! | [`watch`] | what a watch shows |
//! | [`workload`] | the meeting point of operations, clients and checkers |
//! | [`fault`] | what is broken |
//! | [`fault_log`] | how faults and notes stand in a history |
//! | [`cluster`] | the running cluster as a nemesis sees it |
//! | [`model`], [`checker`], [`verdict`], [`budget`] | how a history is judged |
//! | [`trace`] | what a node's protocol did, line by line |
//! | [`plain`] | types with a JSON form, as values |
//! | [`random`], [`time`] | the only sources of chance and of time |

pub mod budget;
pub mod checker;
pub mod client;
pub mod cluster;
pub mod event;
pub mod fault;
pub mod fault_log;
pub mod format;
pub mod generator;
pub mod history;
pub mod host;
pub mod model;
pub mod operation;
pub mod outcome;
pub mod plain;
pub mod process;
pub mod random;
pub mod system;
pub mod time;
pub mod trace;
pub mod value;
pub mod verdict;
pub mod watch;
pub mod workload;
pub mod world;

/// A boxed future that stays on its thread: the live world runs everything on one.
pub type LocalFuture<'a, T> = std::pin::Pin<Box<dyn Future<Output = T> + 'a>>;
