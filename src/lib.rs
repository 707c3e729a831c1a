//! The controller of Elenchus: from a campaign to a report.
//!
//! | module | stage |
//! |---|---|
//! | [`cli`] | what the user asks |
//! | [`campaign`], [`quantity`] | text to campaign |
//! | [`plan`], [`registry`], [`faults`] | campaign to plan |
//! | [`hosts`] | the same, on hosts over SSH |
//! | [`host`] | plan to a provisioned ground: processes apart from each other |
//! | [`agent`] | the same on other hosts: who runs, breaks and heals their nodes |
//! | [`trial`], [`live`], [`runner`] | ground to history |
//! | [`judge`] | history to verdicts |
//! | [`report`] | verdicts to pages and pictures |
//! | [`store`] | what each stage leaves for the next |

pub mod agent;
pub mod bundled;
pub mod campaign;
pub mod cli;
pub mod described;
pub mod exit;
pub mod faults;
pub mod host;
pub mod hosts;
pub mod judge;
pub mod live;
pub mod plan;
pub mod progress;
pub mod quantity;
pub mod registry;
pub mod report;
pub mod runner;
pub mod store;
pub mod trial;
pub mod utc;
