//! `elenchus check`: recorded histories, or the folder of a trial, judged.

use super::say::say;
use super::{broken, usage};
use crate::exit::Exit;
use crate::judge::{self, Verdicts};
use crate::quantity::{Bytes, Span};
use crate::store::{file, is_trial};
use clap::{Args, ValueEnum};
use elenchus_checkers::check_all;
use elenchus_checkers::linearizability::Subject;
use elenchus_checkers::models::catalogue::{self, CATALOGUE, Choices};
use elenchus_checkers::models::register::NilReads;
use elenchus_core::budget::Budget;
use elenchus_core::checker::Checker;
use elenchus_core::format::{self, Format, Recording, edn};
use elenchus_core::value::Value;
use elenchus_core::verdict::{Validity, Verdict};
use std::collections::BTreeSet;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Arguments of `check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Recorded histories, folders of trials, or `-` for standard input
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    /// What the history is judged against (see `elenchus list`); guessed where it is plain
    #[arg(long)]
    model: Option<String>,
    /// What a register holds at first, as EDN; nil if left out
    #[arg(long, value_name = "EDN")]
    initial: Option<String>,
    /// How the file is written; recognised by its content if left out
    #[arg(long)]
    format: Option<String>,
    /// How an `ok` read of nil counts
    #[arg(long, value_enum)]
    nil_reads: Option<NilReading>,
    /// How a failed compare-and-set counts
    #[arg(long, value_enum)]
    failed_cas: Option<FailedCas>,
    /// How long the checkers may take, all together, for each file
    #[arg(long, default_value = "60s")]
    timeout: Span,
    /// How much memory the checkers may use
    #[arg(long, default_value = "2GiB")]
    memory: Bytes,
    /// Print one JSON object a file
    #[arg(long)]
    json: bool,
}

/// How an `ok` read of nil counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum NilReading {
    /// It saw nil (the default, except for EDN).
    Saw,
    /// It says nothing (as Knossos has it; the default for EDN).
    Nothing,
}

/// How a failed compare-and-set counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum FailedCas {
    /// It did nothing, for whatever reason (Jepsen; the default, except for jepsen-log).
    NotDone,
    /// It saw another value (the default for jepsen-log).
    Refused,
}

/// Judges every path; the worst exit wins.
pub fn run(args: &CheckArgs) -> Exit {
    let initial = match args.initial.as_deref().map(edn::read_value).transpose() {
        Ok(initial) => initial.unwrap_or(Value::Nil),
        Err(e) => return usage(&format!("--initial: {e}")),
    };
    let format = match args.format.as_deref().map(|name| Format::named(name).ok_or(name)).transpose() {
        Ok(format) => format,
        Err(name) => {
            return usage(&format!("--format: there is no format `{name}`; there are {}", formats()));
        }
    };
    if let Some(model) = &args.model
        && catalogue::named(model).is_none()
    {
        let known: Vec<&str> = CATALOGUE.iter().map(|entry| entry.name).collect();
        return usage(&format!("--model: there is no model `{model}`; there are {}", known.join(", ")));
    }
    let mut worst = Exit::Valid;
    for path in &args.paths {
        let exit = if is_trial(path) && path.is_dir() {
            folder(path, args)
        } else {
            file(path, format, &initial, args)
        };
        worst = worst.max(exit);
    }
    worst
}

fn formats() -> String {
    [Format::Jsonl, Format::Edn, Format::JepsenLog].map(Format::name).join(", ")
}

/// A trial's folder: everything that judged it then judges it now.
fn folder(path: &Path, args: &CheckArgs) -> Exit {
    match judge::judge(path) {
        Ok(verdicts) => show(path, &verdicts, args),
        Err(e @ judge::JudgeError::Write { .. }) => broken(&e.to_string()),
        Err(e) => usage(&e.to_string()),
    }
}

fn file(path: &Path, format: Option<Format>, initial: &Value, args: &CheckArgs) -> Exit {
    let bytes = match read(path) {
        Ok(bytes) => bytes,
        Err(e) => return usage(&format!("cannot read {}: {e}", path.display())),
    };
    let format = format.unwrap_or_else(|| format::detect(&bytes));
    let recording = match format::read(&bytes, Some(format)) {
        Ok(recording) => recording,
        Err(e) => return usage(&format!("{}: {e}", path.display())),
    };
    drop(bytes);
    for note in recording.torn.iter().chain(&recording.complaints) {
        eprintln!("{}: {note}", path.display());
    }
    let model = args.model.clone().or_else(|| guess(&recording));
    let Some(checker) = model.as_deref().and_then(|model| checker(model, format, initial, args)) else {
        let why = match model {
            Some(model) => format!("there is no model `{model}` yet"),
            None if recording.history.is_empty() => "the history is empty: nothing was examined".into(),
            None => {
                let known: Vec<&str> = CATALOGUE.iter().map(|entry| entry.name).collect();
                let functions = names(&recording);
                format!(
                    "its operations ({functions}) are those of no model there is yet: {}",
                    known.join(", ")
                )
            }
        };
        let verdict = Verdict::new("check", Validity::Unknown, why);
        return show(path, &Verdicts::of(vec![verdict]), args);
    };
    let budget = Budget::new(args.timeout.0, args.memory.0);
    match check_all(vec![checker], &recording.history, &budget) {
        Ok(verdicts) => show(path, &Verdicts::of(verdicts), args),
        Err(malformed) => usage(&format!("{}: {malformed}", path.display())),
    }
}

fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    if path == Path::new("-") {
        let mut bytes = Vec::new();
        std::io::stdin().lock().read_to_end(&mut bytes)?;
        return Ok(bytes);
    }
    if path.is_dir() {
        let history = path.join(file::HISTORY);
        return Err(std::io::Error::other(format!("it is a folder and holds no {}", history.display())));
    }
    std::fs::read(path)
}

/// The functions that clients used, for people and for guessing.
fn functions(recording: &Recording) -> BTreeSet<String> {
    recording.history.events().filter(|e| !e.process.is_nemesis()).map(|e| e.f.to_owned()).collect()
}

fn names(recording: &Recording) -> String {
    functions(recording).into_iter().collect::<Vec<_>>().join(", ")
}

/// The model, where it is plain from what the trial was or from what its clients did.
fn guess(recording: &Recording) -> Option<String> {
    let workload = recording.header.as_ref().map(|header| header.workload.as_str());
    if let Some(name @ ("register" | "set")) = workload {
        return Some(name.into());
    }
    let functions = functions(recording);
    let only = |allowed: &[&str]| functions.iter().all(|f| allowed.contains(&f.as_str()));
    if functions.contains("add") && only(&["add", "read"]) {
        Some("set".into())
    } else if !functions.is_empty() && only(&["read", "write", "cas"]) {
        Some("cas-register".into())
    } else {
        None
    }
}

fn checker(model: &str, format: Format, initial: &Value, args: &CheckArgs) -> Option<Box<dyn Checker>> {
    let nil_reads = match args.nil_reads {
        Some(NilReading::Saw) => NilReads::SawNil,
        Some(NilReading::Nothing) => NilReads::SawNothing,
        None if format == Format::Edn => NilReads::SawNothing,
        None => NilReads::SawNil,
    };
    let failed_cas = match args.failed_cas {
        Some(FailedCas::NotDone) => catalogue::FailedCas::NotDone,
        Some(FailedCas::Refused) => catalogue::FailedCas::Refused,
        None if format == Format::JepsenLog => catalogue::FailedCas::Refused,
        None => catalogue::FailedCas::NotDone,
    };
    let initial = Some(initial.clone());
    let choices = Choices { initial, nil_reads, failed_cas, subject: Subject::History };
    (catalogue::named(model)?.checker)(&choices).ok()
}

fn show(path: &Path, verdicts: &Verdicts, args: &CheckArgs) -> Exit {
    if args.json {
        let line = serde_json::json!({
            "path": path,
            "validity": verdicts.validity,
            "verdicts": verdicts.verdicts,
        });
        say!("{line}");
    } else {
        for verdict in &verdicts.verdicts {
            say!("{}: {}: {}: {}", path.display(), word(verdict.validity), verdict.checker, verdict.why);
            for anomaly in &verdict.anomalies {
                say!("  {}: {}", anomaly.class, anomaly.sentence);
                for exhibit in &anomaly.operations {
                    let mark = if exhibit.guilty { "→" } else { " " };
                    let done = exhibit.done.map_or_else(|| "never".to_owned(), |done| done.to_string());
                    say!(
                        "   {mark} process {:<4} {:<40} [{}, {done}]",
                        exhibit.process,
                        exhibit.text,
                        exhibit.call
                    );
                }
            }
        }
    }
    verdicts.validity.into()
}

fn word(validity: Validity) -> &'static str {
    match validity {
        Validity::Valid => "valid",
        Validity::Unknown => "unknown",
        Validity::Invalid => "invalid",
    }
}
