//! The controller of Elenchus: from a campaign to a report.
//!
//! | module | stage |
//! |---|---|
//! | [`cli`] | what the user asks |
//! | [`init`] | a campaign to start from |
//! | [`doctor`] | what a machine allows, before anything runs |
//! | [`campaign`], [`schedule`], [`quantity`] | text to campaign |
//! | [`plan`], [`registry`], [`faults`] | campaign to plan |
//! | [`hosts`] | the same, on hosts over SSH |
//! | [`host`] | plan to a provisioned ground: processes apart from each other |
//! | [`agent`] | the same on other hosts: who runs, breaks and heals their nodes |
//! | [`trial`], [`live`], [`sim`], [`runner`], [`ending`] | ground to history |
//! | [`judge`] | history to verdicts |
//! | [`report`] | verdicts to pages and pictures |
//! | [`script`], [`shrink`] | a violation to the least that shows it |
//! | [`results`], [`gallery`] | many verdicts to a table |
//! | [`search`] | what was reached to the next plan |
//! | [`store`] | what each stage leaves for the next |

pub mod agent;
pub mod bundled;
pub mod campaign;
pub mod cli;
pub mod described;
pub mod doctor;
pub mod ending;
pub mod exit;
pub mod faults;
pub mod gallery;
pub mod host;
pub mod hosts;
pub mod init;
pub mod judge;
pub mod live;
pub mod plan;
pub mod progress;
pub mod quantity;
pub mod registry;
pub mod report;
pub mod results;
pub mod runner;
pub mod schedule;
pub mod script;
pub mod search;
pub mod shrink;
pub mod sim;
pub mod store;
pub mod trace;
mod trace_names;
pub mod trial;
pub mod utc;

use std::process::ExitCode;

/// The whole program: does what the command line says, with these systems and workloads.
///
/// A program of the user's own calls it from its `main`, before it starts any thread. It starts further processes of
/// itself with arguments of its own, so what the program does before this call happens in those too.
pub fn main(registry: registry::Registry) -> ExitCode {
    // A panic is a bug of ours, and must not look like a verdict.
    let exit = std::panic::catch_unwind(|| cli::main(&registry, std::env::args_os().collect()));
    ExitCode::from(exit.map_or(255, exit::Exit::code))
}
