//! From the files of nodes' traces to a verdict on consensus.
//!
//! Files stream by, one after the other, so that their size does not matter. A line that ends in the middle is what
//! a crash left of it: it is counted and passed over. Whatever else is no JSON, or has a wrong type under a known
//! key, is an error that names the line: a trace that is misread must not acquit anybody.

use crate::store::file;
use elenchus_checkers::consensus::{Consensus, Findings, NAME};
use elenchus_core::budget::Budget;
use elenchus_core::checker::Checker;
use elenchus_core::history::{History, Malformed};
use elenchus_core::trace::json;
use elenchus_core::verdict::{Validity, Verdict};
use serde::{Deserialize, Serialize};
use serde_json::error::Category;
use std::collections::BTreeSet;
use std::fs;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

/// How much the nodes of the bundled cluster tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Nothing.
    Off,
    /// Starts and changes of role: who led, and no more.
    Roles,
    /// Every message, entry and sync as well: all invariants can be judged. Some three megabytes a second.
    #[default]
    All,
}

impl Level {
    /// The word itself.
    pub fn word(self) -> &'static str {
        match self {
            Level::Off => "off",
            Level::Roles => "roles",
            Level::All => "all",
        }
    }
}

/// Why a trace cannot be judged.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// A file or folder cannot be read.
    #[error("cannot read {}: {error}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A folder without files of a trace.
    #[error("{} holds no trace: no file whose name ends in .jsonl or .ndjson", .0.display())]
    Empty(PathBuf),
    /// A file that was named twice.
    #[error("{} is named twice", .0.display())]
    Twice(PathBuf),
    /// A line that is none of a trace.
    #[error("{}: line {number}: {what}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        number: u64,
        /// What is wrong.
        what: String,
    },
}

/// What came of some files.
#[derive(Clone, Debug, PartialEq)]
pub struct Judged {
    /// What the invariants say.
    pub findings: Findings,
    /// Lines that end in the middle.
    pub torn: u64,
    /// Whether time ran out before the last line.
    pub cut_short: bool,
}

/// The files that paths stand for: themselves, or of a folder (also a trial's) all files of lines, by name.
pub fn files(paths: &[PathBuf]) -> Result<Vec<PathBuf>, TraceError> {
    let mut found = Vec::new();
    for path in paths {
        if !path.is_dir() {
            found.push(path.clone());
            continue;
        }
        let inner = path.join(file::TRACE);
        let folder = if inner.is_dir() { inner } else { path.clone() };
        let read = |error| TraceError::Read { path: folder.clone(), error };
        let mut inside = Vec::new();
        for entry in fs::read_dir(&folder).map_err(read)? {
            let path = entry.map_err(read)?.path();
            let lines = path.extension().is_some_and(|ext| ext == "jsonl" || ext == "ndjson");
            if lines && path.is_file() {
                inside.push(path);
            }
        }
        if inside.is_empty() {
            return Err(TraceError::Empty(folder));
        }
        inside.sort();
        found.extend(inside);
    }
    // Read twice, a node's trace would contradict itself.
    let mut known = BTreeSet::new();
    match found.iter().find(|path| fs::canonicalize(path).is_ok_and(|whole| !known.insert(whole))) {
        Some(twice) => Err(TraceError::Twice(twice.clone())),
        None => Ok(found),
    }
}

/// Judges files; `-` is standard input.
pub fn judge(files: &[PathBuf], mut judge: Consensus, budget: &Budget) -> Result<Judged, TraceError> {
    let (mut torn, mut cut_short) = (0, false);
    for path in files {
        let error = |error| TraceError::Read { path: path.clone(), error };
        let name = path.file_name().unwrap_or_else(|| path.as_os_str()).to_string_lossy();
        let source = judge.source(&name);
        let input: Box<dyn Read> = match path.as_os_str() == "-" {
            true => Box::new(io::stdin()),
            false => Box::new(fs::File::open(path).map_err(error)?),
        };
        let mut lines = BufReader::with_capacity(1 << 18, input);
        let (mut bytes, mut number) = (Vec::new(), 0);
        loop {
            bytes.clear();
            if lines.read_until(b'\n', &mut bytes).map_err(error)? == 0 {
                break;
            }
            number += 1;
            let text = bytes.trim_ascii();
            match json::read(text) {
                Ok(Some(line)) => judge.observe_at(&line, source, number),
                Ok(None) => {}
                Err(_) if text.is_empty() => {}
                Err(e) if e.classify() == Category::Eof && text.starts_with(b"{") => torn += 1,
                Err(e) => {
                    return Err(TraceError::Line { path: path.clone(), number, what: e.to_string() });
                }
            }
            if number % 16_384 == 0 && budget.is_over() {
                cut_short = true;
                break;
            }
        }
    }
    Ok(Judged { findings: judge.finish(), torn, cut_short })
}

impl Judged {
    /// As a checker's verdict: what was not read cannot acquit.
    pub fn verdict(&self) -> Verdict {
        let mut verdict = self.findings.verdict();
        if self.cut_short && verdict.validity != Validity::Invalid {
            verdict.validity = Validity::Unknown;
            verdict.why =
                format!("the budget ran out before all lines were read; until then: {}", verdict.why);
        }
        if self.torn > 0 { verdict.with_figure("torn", self.torn) } else { verdict }
    }
}

/// The judge of the traces in a trial's folder.
pub struct Traces {
    /// The folder of the traces.
    pub folder: PathBuf,
    /// Whether disks were damaged on purpose, so that nodes may forget what they promised.
    pub forgetful: bool,
}

impl Traces {
    /// How large the files are together, in bytes.
    pub fn size(folder: &Path) -> u64 {
        let files = files(&[folder.to_path_buf()]).unwrap_or_default();
        files.iter().filter_map(|path| Some(fs::metadata(path).ok()?.len())).sum()
    }
}

impl Checker for Traces {
    fn name(&self) -> &str {
        NAME
    }

    /// Looks at the traces, and not at the history.
    fn check(&self, _: &History, budget: &Budget) -> Result<Verdict, Malformed> {
        let consensus = Consensus::new();
        let consensus = if self.forgetful { consensus.with_forgetful_disks() } else { consensus };
        let judged =
            files(std::slice::from_ref(&self.folder)).and_then(|files| judge(&files, consensus, budget));
        Ok(match judged {
            Ok(judged) => judged.verdict(),
            Err(why) => Verdict::new(NAME, Validity::Unknown, format!("the traces cannot be judged: {why}")),
        })
    }
}
