//! `elenchus check`: recorded histories, or the folder of a trial, judged.
//!
//! | module | what it does |
//! |---|---|
//! | `manifest` | which histories, and what is expected of them |
//! | `watchdog` | has each judged in a process of its own, and ends that one in time |
//! | `child` | that process, as a handle |
//! | `herald` | says in that process, all along, what was decided |
//! | `job` | what the two processes say to each other |
//! | `worker` | judges, in that process |
//! | `limits` | what the operating system holds it to |
//! | `input` | from a file to a history |
//! | `model` | which model is meant |
//! | `page` | the report of a recorded history |
//! | `show` | what the user sees |
//! | `adversary` | models that never let go, for tests |

mod adversary;
mod child;
mod herald;
mod input;
mod job;
mod limits;
mod manifest;
mod model;
mod page;
mod show;
mod watchdog;
mod worker;

use super::usage;
use crate::exit::Exit;
use crate::judge::{self, Verdicts};
use crate::plan::TrialPlan;
use crate::quantity::{Bytes, Span};
use crate::registry::Registry;
use crate::store::{file, is_trial};
use clap::{Args, ValueEnum};
use elenchus_core::format::{Format, edn};
use job::Job;
use manifest::Row;
use serde::{Deserialize, Serialize};
use show::{Shown, Style, Summary};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use watchdog::{Answer, Outcome, Watchdog};

/// Arguments of `check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Recorded histories (also gzip and zstd), folders of trials, or `-` for standard input
    #[arg(required_unless_present = "manifest")]
    paths: Vec<PathBuf>,
    /// A table of histories (tabs; columns file, format, model, initial, verdict), relative to its place
    #[arg(long, value_name = "FILE.tsv")]
    manifest: Option<PathBuf>,
    /// What the history is judged against (see `elenchus list`), or a table of transitions (FILE.toml,
    /// FILE.json); guessed where it is plain
    #[arg(long)]
    model: Option<String>,
    /// What it promises: linearizability, or one of a register's weaker conditions (see `elenchus list`); may
    /// be given again
    #[arg(long = "condition", value_name = "NAME")]
    conditions: Vec<String>,
    /// What the object holds at first, as EDN; the model's default (a register: nil) if left out
    #[arg(long, value_name = "EDN")]
    initial: Option<String>,
    /// How the file is written: jsonl, edn, edn-lines, jepsen-log, porcupine-json; recognised if left out
    #[arg(long)]
    format: Option<String>,
    /// Judge only this key, as EDN or as its text; may be given again
    #[arg(long = "key", value_name = "KEY")]
    keys: Vec<String>,
    /// Whether values are jepsen.independent's tuples [key value]; found out where it is plain
    #[arg(long, value_enum)]
    tuples: Option<YesNo>,
    /// How an `ok` read of nil counts
    #[arg(long, value_enum)]
    nil_reads: Option<NilReading>,
    /// How a failed compare-and-set counts
    #[arg(long, value_enum)]
    failed_cas: Option<FailedCas>,
    /// How long the check of each file may take once it was read
    #[arg(long, default_value = "60s")]
    timeout: Span,
    /// How much memory the check may use
    #[arg(long, default_value = "2GiB")]
    memory: Bytes,
    /// Print one JSON object a file
    #[arg(long)]
    json: bool,
    /// Print the evidence of every file, and not only where there is one file
    #[arg(long)]
    evidence: bool,
    /// Write the page of the counterexample into this folder (of many files: into a folder each)
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,
}

/// Arguments of the hidden command that judges.
#[derive(Debug, Args)]
pub struct JudgeArgs {
    /// The only job, as JSON; without it, jobs come on standard input
    job: Option<String>,
}

/// Yes or no.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum YesNo {
    Yes,
    No,
}

/// How an `ok` read of nil counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
pub enum NilReading {
    /// It saw nil (the default, except for EDN).
    Saw,
    /// It says nothing (as Knossos has it; the default for EDN).
    Nothing,
}

/// How a failed compare-and-set counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
pub enum FailedCas {
    /// It did nothing, for whatever reason (Jepsen; the default, except for jepsen-log).
    NotDone,
    /// It saw another value (the default for jepsen-log).
    Refused,
}

/// Judges every path and every row of the manifest; the worst exit wins.
pub fn run(args: &CheckArgs) -> Exit {
    let rows = match rows(args) {
        Ok(rows) => rows,
        Err(why) => return usage(&why),
    };
    let style = Style { json: args.json, evidence: args.evidence || rows.len() == 1 };
    let (mut summary, mut worst) = (Summary::default(), Exit::Valid);
    judge_all(&rows, |Row { job, expected }, outcome| {
        let shown = Shown { path: Path::new(&job.path), outcome, expected: *expected };
        shown.show(style);
        summary.count(&shown);
        worst = worst.max(shown.exit());
        if matches!(outcome.report, Some(Err(_))) {
            worst = worst.max(Exit::Broken);
        }
    });
    if args.manifest.is_some() {
        summary.show(style);
    }
    worst
}

/// Has all rows judged, and tells of each in their order, as soon as it can.
fn judge_all(rows: &[Row], mut tell: impl FnMut(&Row, &Outcome)) {
    let (next, (send, receive)) = (AtomicUsize::new(0), channel());
    std::thread::scope(|scope| {
        for _ in 0..at_once(rows) {
            let (next, send) = (&next, send.clone());
            scope.spawn(move || {
                let mut watchdog = Watchdog::default();
                let take = || next.fetch_add(1, Ordering::Relaxed);
                while let Some((number, row)) = Some(take()).and_then(|i| Some((i, rows.get(i)?))) {
                    if send.send((number, judge_one(&mut watchdog, &row.job))).is_err() {
                        break;
                    }
                }
            });
        }
        drop(send);
        let (mut early, mut told) = (BTreeMap::new(), 0);
        for (number, outcome) in receive {
            early.insert(number, outcome);
            while let Some(outcome) = early.remove(&told) {
                tell(&rows[told], &outcome);
                told += 1;
            }
        }
    });
}

/// How many files are judged at once: as many as there are cores if all are small, else one after the other,
/// since each may take the memory that is allowed.
fn at_once(rows: &[Row]) -> usize {
    const SMALL: u64 = 1 << 20;
    let is_small =
        |row: &Row| std::fs::metadata(&row.job.path).is_ok_and(|data| data.is_file() && data.len() <= SMALL);
    let cores = std::thread::available_parallelism().map_or(1, |n| n.get());
    if rows.iter().all(is_small) { cores.min(rows.len()) } else { 1 }
}

fn judge_one(watchdog: &mut Watchdog, job: &Job) -> Outcome {
    let path = Path::new(&job.path);
    let has = |name: &str| path.join(name).is_file();
    if !path.is_dir() || !is_trial(path) {
        return watchdog.judge(job);
    }
    // A history without a plan is what a check left there.
    if has(file::HISTORY) && !has(file::PLAN) && !has(file::JOURNAL) {
        let path = path.join(file::HISTORY).to_string_lossy().into_owned();
        return watchdog.judge(&Job { path: path.into(), ..job.clone() });
    }
    judge_trial(watchdog, path)
}

/// Is the process that judges.
pub fn judge(args: &JudgeArgs, registry: &Registry) -> Exit {
    worker::run(args.job.as_deref(), registry)
}

/// With less nothing can be judged; whoever asks for it forgot the unit.
const MEMORY_MIN: usize = 1 << 20;

fn rows(args: &CheckArgs) -> Result<Vec<Row>, String> {
    let usual = Job {
        path: "-".into(),
        format: args.format.clone(),
        model: args.model.clone(),
        conditions: args.conditions.clone(),
        initial: args.initial.clone(),
        nil_reads: args.nil_reads,
        failed_cas: args.failed_cas,
        keys: args.keys.clone(),
        tuples: args.tuples.map(|tuples| tuples == YesNo::Yes),
        timeout: args.timeout.0,
        memory: args.memory.0,
        evidence: args.evidence || args.json || args.report.is_some(),
        report: None,
        trial: false,
        earlier: None,
    };
    if args.memory.0 < MEMORY_MIN {
        return Err(format!("--memory: {} bytes hold no search; give 1MiB or more", args.memory.0));
    }
    validate(&usual)?;
    let of_path = |path: &PathBuf| Row { job: Job { path: path.into(), ..usual.clone() }, expected: None };
    let mut rows: Vec<Row> = args.paths.iter().map(of_path).collect();
    if let Some(manifest) = &args.manifest {
        rows.extend(manifest::read(manifest, &usual)?);
    }
    if rows.iter().filter(|row| row.job.path == "-").count() > 1 {
        return Err("standard input can be read only once".into());
    }
    let alone = rows.len() == 1;
    for (number, row) in (1..).zip(&mut rows) {
        row.job.evidence |= alone;
        row.job.report = args.report.as_ref().map(|folder| match alone {
            true => folder.into(),
            false => folder.join(member(number, Path::new(&row.job.path))).into(),
        });
    }
    Ok(rows)
}

/// The folder of one of many reports: a number, and what the file is called.
fn member(number: usize, path: &Path) -> String {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    format!("{number:03}-{stem}")
}

/// What can be said of a job before anything is read.
fn validate(job: &Job) -> Result<(), String> {
    if let Some(name) = &job.format
        && Format::named(name).is_none()
    {
        let known = Format::ALL.map(Format::name).join(", ");
        return Err(format!("--format: there is no format `{name}`; there are {known}"));
    }
    job.model.as_deref().map_or(Ok(()), model::validate)?;
    job.conditions.iter().try_for_each(|name| model::validate_condition(name))?;
    job.initial
        .as_deref()
        .map_or(Ok(()), |text| edn::read_value(text).map(drop))
        .map_err(|e| format!("--initial: {e}"))
}

/// Judges a trial's folder in a process of its own, and leaves `verdicts.json` there.
pub fn trial(folder: &Path) -> Result<Verdicts, String> {
    Judge::default().trial(folder)
}

/// A trial's folder: everything that judged it then judges it now, within the limits of its plan.
fn judge_trial(watchdog: &mut Watchdog, folder: &Path) -> Outcome {
    let mut outcome = match judge::plan(folder) {
        Ok(plan) => watchdog.judge(&job_of(folder, &plan)),
        Err(e) => Outcome { answer: Answer::Refused(e.to_string()), ..Outcome::default() },
    };
    if let Answer::Verdicts(verdicts) = &mut outcome.answer {
        match judge::consensus(folder) {
            Ok(verdict) => verdicts.extend(verdict),
            Err(e) => outcome.answer = Answer::Refused(e.to_string()),
        }
    }
    if let Answer::Verdicts(verdicts) = &mut outcome.answer {
        verdicts.extend(judge::cut_short(folder));
        verdicts.extend(judge::unwiped(folder));
        if let Err(e) = judge::keep(folder, &Verdicts::of(verdicts.clone())) {
            outcome.answer = Answer::Broken(e.to_string());
        }
    }
    outcome
}

/// Judges trials' folders, one after the other, in one process of its own.
#[derive(Default)]
pub struct Judge(Watchdog);

impl Judge {
    /// Judges what a trial left, and keeps the verdicts there.
    pub fn trial(&mut self, folder: &Path) -> Result<Verdicts, String> {
        match judge_trial(&mut self.0, folder).answer {
            Answer::Verdicts(verdicts) => Ok(Verdicts::of(verdicts)),
            Answer::Refused(why) | Answer::Broken(why) => Err(why),
        }
    }
}

fn job_of(folder: &Path, plan: &TrialPlan) -> Job {
    Job {
        path: folder.into(),
        format: None,
        model: None,
        conditions: Vec::new(),
        initial: None,
        nil_reads: None,
        failed_cas: None,
        keys: Vec::new(),
        tuples: None,
        timeout: plan.check_timeout.0,
        memory: plan.check_memory.0,
        evidence: true,
        report: None,
        trial: true,
        earlier: None,
    }
}
