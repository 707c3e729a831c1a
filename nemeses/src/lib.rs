//! The faults of a trial: when they strike, how they are brought about, and how they heal.
//!
//! Each fault has a file with three parts: a draw (pure, from a seeded generator), its enactment on a
//! [running cluster](elenchus_core::cluster::Cluster), and its shade in the plots. Around them:
//!
//! | module | what it is |
//! |---|---|
//! | [`name`] | the faults by name, as the command line takes them |
//! | [`partition`], [`kill`], [`pause`], [`clock`], [`packets`], [`power`], [`disk`], [`damage`], [`resources`], [`membership`] | the faults |
//! | [`target`] | which nodes a fault strikes |
//! | [`plan`] | what strikes when: drawn from a seed, whole, before the trial begins |
//! | [`schedule`] | the plan as a generator, which heals what it broke |
//! | [`nemesis`] | enacts faults, many at a time, and knows how to undo each |
//! | [`ledger`] | what holds a node down, so that healing one fault never undoes another |

pub mod clock;
mod condition;
pub mod damage;
pub mod disk;
mod join;
pub mod kill;
pub mod ledger;
pub mod membership;
pub mod name;
pub mod nemesis;
pub mod packets;
pub mod partition;
pub mod pause;
pub mod plan;
pub mod power;
pub mod resources;
pub mod schedule;
pub mod target;
#[cfg(test)]
mod testing;

pub use name::{BadName, FaultName, list, parse};
pub use nemesis::Nemesis;
pub use plan::Strike;
pub use schedule::{Schedule, ScheduleOptions};

/// How plots shade the time in which a fault was in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shade {
    /// `#RRGGBB`, Jepsen's colours.
    pub color: &'static str,
    /// For the legend.
    pub label: &'static str,
}

/// The shade of the fault of this name, if it is one of ours.
pub fn shade(fault: &str) -> Option<Shade> {
    FaultName::ALL.into_iter().find(|name| name.as_str() == fault).map(FaultName::shade)
}
