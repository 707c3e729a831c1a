//! From a trial's folder to its verdicts: who judges it, by what, and where the answer is kept.
//!
//! Deliberately absent: the judging itself. It happens in a process of its own (see `cli::check`).

use crate::plan::TrialPlan;
use crate::registry::Registry;
use crate::store::{self, TrialEnd, TrialRecord, file};
use crate::trace::{Level, Traces};
use elenchus_checkers::{Availability, Faults, Perf, Recovery, Stats};
use elenchus_core::checker::Checker;
use elenchus_core::format::jsonl;
use elenchus_core::history::{History, Malformed};
use elenchus_core::process::NodeId;
use elenchus_core::verdict::{Validity, Verdict};
use elenchus_nemeses::FaultName;
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

/// What a trial's folder holds for its judges.
pub struct Case {
    /// What was planned.
    pub plan: TrialPlan,
    /// What happened.
    pub history: History,
    folder: PathBuf,
    path: PathBuf,
}

impl Case {
    /// Reads a folder.
    pub fn read(folder: &Path) -> Result<Case, JudgeError> {
        let plan = plan(folder)?;
        let path = folder.join(file::HISTORY);
        let recording = jsonl::read(&read(&path)?)
            .map_err(|e| JudgeError::Format { path: path.clone(), what: e.to_string() })?;
        Ok(Case { plan, history: recording.history, folder: folder.into(), path })
    }

    /// The judges of the workload's promise.
    pub fn checkers(&self, registry: &Registry) -> Result<Vec<Box<dyn Checker>>, JudgeError> {
        let trial = registry.trial(&self.plan, "");
        let trial = trial.ok_or_else(|| JudgeError::Workload(self.plan.workload.clone()))?;
        Ok(trial.checkers())
    }

    /// Those who say what happened, and whether there was anything to judge.
    pub fn observers(&self) -> Vec<Box<dyn Checker>> {
        let plan = &self.plan;
        let nodes = plan.nodes.clone();
        let asked: Vec<String> = if plan.nemesis_named {
            plan.nemesis.iter().map(ToString::to_string).collect()
        } else {
            Vec::new()
        };
        let written = plan.schedule.iter().map(|strike| strike.fault.clone());
        let beyond = FaultName::ALL.into_iter().filter(|kind| kind.is_beyond_assumptions());
        let beyond = beyond.filter(|kind| plan.strikes(*kind));
        let beyond = beyond.map(|kind| kind.to_string()).collect();
        // With fewer clients than nodes, nobody could ask the last ones: their silence says nothing.
        let reachable: Vec<NodeId> = nodes.iter().take(plan.concurrency as usize).cloned().collect();
        if plan.script.is_some() {
            // It shows one thing only; that it examines nothing else is no doubt.
            return vec![Box::new(Availability::new()), Box::new(Perf::new())];
        }
        let mut observers: Vec<Box<dyn Checker>> = vec![
            Box::new(Stats::new(nodes, plan.concurrency)),
            Box::new(Availability::new()),
            Box::new(Perf::new()),
            Box::new(Faults::new(asked).with_written(written).beyond(beyond)),
            Box::new(Recovery::new(reachable, plan.concurrency, plan.require_recovery)),
        ];
        if let Some(traces) = self.traces() {
            observers.push(Box::new(traces));
        }
        observers
    }

    /// The judge of the nodes' traces, if the bundled cluster has left any.
    fn traces(&self) -> Option<Traces> {
        let folder = self.folder.join(file::TRACE);
        let told = self.plan.system == "bundled" && self.plan.trace != Level::Off && folder.is_dir();
        told.then(|| Traces { folder, forgetful: self.plan.strikes(FaultName::Damage) })
    }

    /// The size of the nodes' traces, in bytes.
    pub fn trace_bytes(&self) -> usize {
        self.traces().map_or(0, |traces| usize::try_from(Traces::size(&traces.folder)).unwrap_or(usize::MAX))
    }

    /// A history that these judges cannot read.
    pub fn malformed(&self, malformed: Malformed) -> JudgeError {
        JudgeError::Malformed { path: self.path.clone(), malformed }
    }
}

/// The plan of the trial in `folder`.
pub fn plan(folder: &Path) -> Result<TrialPlan, JudgeError> {
    read_json(&folder.join(file::PLAN))
}

/// Leaves `verdicts.json` in `folder`.
pub fn keep(folder: &Path, verdicts: &Verdicts) -> Result<(), JudgeError> {
    let path = folder.join(file::VERDICTS);
    store::write_json(&path, verdicts).map_err(|error| JudgeError::Write { path, error })
}

/// A doubt, if the trial did not come to its planned end: what was not done was not examined.
pub fn cut_short(folder: &Path) -> Option<Verdict> {
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

/// What the nodes' traces showed while they were made, if somebody looked.
pub fn consensus(folder: &Path) -> Result<Option<Verdict>, JudgeError> {
    let path = folder.join(file::CONSENSUS);
    if path.is_file() { read_json(&path).map(Some) } else { Ok(None) }
}

/// A word on a cluster that held who knows what when the trial began. It changes no verdict: keys bear a prefix of
/// the trial, so that what was there cannot speak.
pub fn unwiped(folder: &Path) -> Option<Verdict> {
    let record: TrialRecord = read_json(&folder.join(file::TRIAL)).ok()?;
    let why = "the cluster was not wiped before the trial; its keys bear a prefix of their own, so that what was \
               there could not speak";
    (record.wiped == Some(false)).then(|| Verdict::new("wipe", Validity::Valid, why))
}

/// Reads a JSON file of a trial's folder.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, JudgeError> {
    serde_json::from_slice(&read(path)?)
        .map_err(|e| JudgeError::Format { path: path.into(), what: e.to_string() })
}

fn read(path: &Path) -> Result<Vec<u8>, JudgeError> {
    std::fs::read(path).map_err(|error| JudgeError::Read { path: path.into(), error })
}
