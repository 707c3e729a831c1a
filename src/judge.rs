//! From a trial's folder to its verdicts: the checkers run here, on what the trial left, and nowhere else.

use crate::plan::TrialPlan;
use crate::registry;
use crate::store::{self, TrialEnd, TrialRecord, file};
use elenchus_checkers::{Availability, Faults, Perf, Recovery, Stats, check_all};
use elenchus_core::budget::Budget;
use elenchus_core::checker::Checker;
use elenchus_core::format::jsonl;
use elenchus_core::history::Malformed;
use elenchus_core::process::NodeId;
use elenchus_core::verdict::{Validity, Verdict};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// `verdicts.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Verdicts {
    /// The version of this format.
    pub version: u32,
    /// The worst of all.
    pub validity: Validity,
    /// One a checker.
    pub verdicts: Vec<Verdict>,
}

impl Verdicts {
    /// The verdicts with their merge.
    pub fn of(verdicts: Vec<Verdict>) -> Verdicts {
        Verdicts { version: 1, validity: Verdict::merge(&verdicts), verdicts }
    }
}

/// A folder that cannot be judged. Nothing is said about the system.
#[derive(Debug, thiserror::Error)]
pub enum JudgeError {
    /// A file is missing or unreadable.
    #[error("cannot read {}: {error}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// A file does not say what it should.
    #[error("{}: {what}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// Where and what.
        what: String,
    },
    /// The history is none.
    #[error("{}: {malformed}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Where and what.
        malformed: Malformed,
    },
    /// The plan names a workload of another version or program.
    #[error("the trial's workload `{0}` is not known to this program")]
    Workload(String),
    /// The verdicts could not be kept.
    #[error("cannot write {}: {error}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
}

/// Judges the trial in `folder` and leaves `verdicts.json` there.
pub fn judge(folder: &Path) -> Result<Verdicts, JudgeError> {
    let plan: TrialPlan = read_json(&folder.join(file::PLAN))?;
    let path = folder.join(file::HISTORY);
    let bytes = read(&path)?;
    let recording =
        jsonl::read(&bytes).map_err(|e| JudgeError::Format { path: path.clone(), what: e.to_string() })?;
    let trial = registry::trial(&plan).ok_or_else(|| JudgeError::Workload(plan.workload.clone()))?;
    let budget = Budget::new(plan.check_timeout.0, plan.check_memory.0);
    let mut verdicts = check_all(checkers(&*trial, &plan), &recording.history, &budget)
        .map_err(|malformed| JudgeError::Malformed { path, malformed })?;
    verdicts.extend(cut_short(folder));
    let verdicts = Verdicts::of(verdicts);
    let path = folder.join(file::VERDICTS);
    store::write_json(&path, &verdicts).map_err(|error| JudgeError::Write { path, error })?;
    Ok(verdicts)
}

fn checkers(trial: &dyn registry::Trial, plan: &TrialPlan) -> Vec<Box<dyn Checker>> {
    let nodes = plan.nodes.clone();
    let asked: Vec<String> =
        if plan.nemesis_named { plan.nemesis.iter().map(ToString::to_string).collect() } else { Vec::new() };
    let mut all = trial.checkers();
    all.push(Box::new(Stats::new(nodes.clone(), plan.concurrency)));
    all.push(Box::new(Availability::new()));
    all.push(Box::new(Perf::new()));
    all.push(Box::new(Faults::new(asked)));
    // With fewer clients than nodes, nobody could ask the last ones: their silence says nothing.
    let asked: Vec<NodeId> = nodes.into_iter().take(plan.concurrency as usize).collect();
    all.push(Box::new(Recovery::new(asked, plan.concurrency, plan.require_recovery)));
    all
}

/// A doubt, if the trial did not come to its planned end: what was not done was not examined.
fn cut_short(folder: &Path) -> Option<Verdict> {
    let record: TrialRecord = read_json(&folder.join(file::TRIAL)).ok()?;
    let why = record.why.unwrap_or_default();
    let why = match record.end {
        TrialEnd::Completed => return None,
        TrialEnd::Interrupted => format!("the trial was interrupted: {why}"),
        TrialEnd::Broken => format!("the trial broke: {why}"),
        TrialEnd::Running => "the controller was killed in the middle of the trial".into(),
    };
    Some(Verdict::new("trial", Validity::Unknown, why))
}

/// Reads a JSON file of a trial's folder.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, JudgeError> {
    serde_json::from_slice(&read(path)?)
        .map_err(|e| JudgeError::Format { path: path.into(), what: e.to_string() })
}

fn read(path: &Path) -> Result<Vec<u8>, JudgeError> {
    std::fs::read(path).map_err(|error| JudgeError::Read { path: path.into(), error })
}
