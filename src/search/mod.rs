//! Search that learns: what trials have reached decides which are tried next.
//!
//! The states that [`elenchus_checkers::states`] tells of a trial are what it reached. A schedule that reached states
//! which no other did is kept and changed; half of the trials are fresh all the same, so that no corner is never
//! looked at. Everything is decided by the campaign's seed and by the results in the order of the trials, whoever
//! ends first: so a campaign that was interrupted goes on as if nothing had happened.
//!
//! | module | its part |
//! |---|---|
//! | [`known`] | which states have been reached, and whether there are more |
//! | [`ledger`] | the same on disk |
//! | [`corpus`] | the schedules that are worth being changed |
//! | [`mutation`] | a schedule with something changed |
//! | [`guide`] | which trial is next |

pub mod corpus;
pub mod guide;
pub mod known;
pub mod ledger;
pub mod mutation;

pub use guide::Guide;
pub use known::{Gain, Known};
pub use ledger::Ledger;

use serde::{Deserialize, Serialize};

/// How a campaign chooses its trials.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Search {
    /// Each trial is drawn from its seed.
    #[default]
    Random,
    /// The same, and links have priorities of which a few fall (PCT, ASPLOS 2010).
    Pct,
    /// With priorities too; half are drawn, half are changed ones of those that reached something new.
    Guided,
}

impl Search {
    /// Whether trials know nothing of each other.
    pub fn is_random(&self) -> bool {
        *self == Search::Random
    }
}

/// What a trial reached: `states.json` of its folder.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Coverage {
    /// The abstract states, hashed, in ascending order.
    pub states: Vec<u64>,
    /// When some node's role changed, in milliseconds of the trial.
    pub turns: Vec<u64>,
}
