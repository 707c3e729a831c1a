//! What queues and bags have in common: values that come once and go once, judged without search.
//!
//! Where no value is added twice, an answer names the operation that it depends on, and the history falls
//! into *lives*: a value is added within one interval of the log and removed within another. What order a
//! collection keeps is its own affair ([`super::queue`], [`super::bag`]); what follows here holds for all.
//!
//! | module | what it does |
//! |---|---|
//! | `lives` | the lives of values, gathered from the tasks of one key |
//! | `cover` | where something was certainly inside, so that nobody can have found the collection empty |
//! | `doubt` | removals that do not say what they removed: what they can explain, and what not |
//! | `layout` | who did what to which value, to write a linearization down |
//! | `reason`, `tell` | why there is no linearization, which operations contradict each other, in words |
//! | `state` | what a sequential collection holds |

mod cover;
mod doubt;
mod layout;
mod lives;
mod reason;
mod state;
mod tell;
#[cfg(test)]
pub(super) mod tests;

pub(super) use cover::{Cover, covered};
pub(super) use doubt::{Loose, Removal, Unsettled, assign, settle};
pub(super) use layout::{Deeds, Doers};
pub(super) use lives::{At, Deed, END, Empty, Life, Lives, NOBODY, gather};
pub(super) use reason::Reason;
pub use state::Contents;
pub(super) use tell::{Judge, Words, shortcut, tell};
