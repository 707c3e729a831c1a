//! The controller of Elenchus: from a campaign to a report.
//!
//! | module | stage |
//! |---|---|
//! | [`cli`] | what the user asks |
//! | [`campaign`], [`quantity`] | text to campaign |
//! | [`plan`], [`registry`] | campaign to plan |
//! | [`host`] | plan to a provisioned ground: processes apart from each other |
//! | [`trial`], [`live`], [`runner`] | ground to history |
//! | [`judge`] | history to verdicts |
//! | [`report`] | verdicts to pages and pictures |
//! | [`store`] | what each stage leaves for the next |

pub mod exit;
pub mod host;
pub mod quantity;
pub mod report;
pub mod runner;
pub mod store;
pub mod utc;
