//! What the two processes of a check say to each other: jobs one way, messages the other, a line of JSON
//! each.

use super::{FailedCas, NilReading};
use elenchus_core::verdict::{Anomaly, Verdict};
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

/// One history to judge, and how.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Job {
    /// The file; `-` is standard input.
    pub path: OsString,
    /// How it is written, if the user said so.
    pub format: Option<String>,
    /// The model, if the user named one.
    pub model: Option<String>,
    /// The conditions to judge by; linearizability if there are none.
    pub conditions: Vec<String>,
    /// The initial value, as EDN.
    pub initial: Option<String>,
    /// How an `ok` read of nil counts, if the user said so.
    pub nil_reads: Option<NilReading>,
    /// How a failed compare-and-set counts, if the user said so.
    pub failed_cas: Option<FailedCas>,
    /// The only keys to judge; all if there are none.
    pub keys: Vec<String>,
    /// Whether values are jepsen.independent's tuples `[key value]`; found out if nothing is said.
    pub tuples: Option<bool>,
    /// How long the check may take once the file was read.
    pub timeout: Duration,
    /// How many bytes it may use.
    pub memory: usize,
    /// Whether the evidence is wanted, and not only the answer.
    pub evidence: bool,
    /// The folder of the report, if one is wanted.
    pub report: Option<OsString>,
}

/// What the judging process says of its job, in this order.
#[derive(Debug, Serialize, Deserialize)]
pub enum Message {
    /// The file was read: the time begins to count.
    Read(Read),
    /// What was decided so far; the last one counts.
    Decided(Tally),
    /// The verdicts: the time ends to count.
    Judged(Judged),
    /// There is none, since the input or what was said of it is wrong.
    Refused(String),
    /// There is none, since the program is wrong.
    Broken(String),
    /// The report was written, or why not.
    Reported(Result<PathBuf, String>),
    /// The next job can come.
    Done,
}

/// What was read.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Read {
    /// The format's name.
    pub format: String,
    /// What the reader should be told, a sentence each.
    pub notes: Vec<String>,
}

/// What was decided so far, part by part.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Tally {
    /// How many parts (keys) there are.
    pub parts: usize,
    /// How many of them are valid.
    pub valid: usize,
    /// How many are given up.
    pub unknown: usize,
    /// How many are invalid.
    pub invalid: usize,
    /// The first of these, without evidence.
    pub anomalies: Vec<Anomaly>,
}

/// Verdicts, and what stands beside them.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Judged {
    /// The model, named or guessed.
    pub model: Option<String>,
    /// The verdicts.
    pub verdicts: Vec<Verdict>,
    /// Likely mistakes of the clients that recorded the history.
    pub lints: Vec<LintTold>,
}

/// A likely mistake in words.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LintTold {
    /// Its stable name.
    pub mistake: String,
    /// The event that shows it.
    pub event: u32,
    /// In plain words.
    pub sentence: String,
}
