//! What the two processes of a check say to each other: jobs one way, messages the other, a line of JSON
//! each.

use super::{FailedCas, NilReading};
use crate::store::file;
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
    /// Whether the path is the folder of a trial, whose plan says how it is judged.
    pub trial: bool,
    /// What is known of it already, if a worker died of it.
    pub earlier: Option<Earlier>,
}

/// What workers that died left to the next one.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Earlier {
    /// How long all of them together may take.
    pub allowed: Duration,
    /// The parts that are valid.
    pub valid: Vec<usize>,
    /// The parts that workers died of, and how.
    pub hopeless: Vec<(usize, String)>,
}

impl Job {
    /// Where the history stands.
    pub fn history(&self) -> PathBuf {
        let path = PathBuf::from(&self.path);
        if self.trial { path.join(file::HISTORY) } else { path }
    }

    /// How long the whole check may take.
    pub fn allowed(&self) -> Duration {
        self.earlier.as_ref().map_or(self.timeout, |earlier| earlier.allowed)
    }
}

/// What the judging process says of its job, in this order.
#[derive(Debug, Serialize, Deserialize)]
pub enum Message {
    /// The file was read: the time begins to count.
    Read(Read),
    /// What other checkers say than the one that takes long.
    Beside(Vec<Verdict>),
    /// A part is being examined, said only where a worker has died.
    Begun(usize),
    /// What was decided since the last of these.
    Decided(News),
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

/// Parts that were decided.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct News {
    /// How many parts (keys) there are in all.
    pub parts: usize,
    /// Those that are valid.
    pub valid: Vec<usize>,
    /// Those that are given up.
    pub unknown: Vec<usize>,
    /// Those that are invalid.
    pub invalid: Vec<usize>,
    /// The first of these, without evidence.
    pub anomalies: Vec<(usize, Anomaly)>,
    /// Whether several checkers gave numbers to their parts: then these say nothing to another worker.
    pub mixed: bool,
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
