//! A trial's folder, read: all that a report is built from.
//!
//! `history.jsonl` and `verdicts.json` must be there and readable. The others (`plan.json`, `trial.json`)
//! only add to the report: a history that was recorded elsewhere has none, and one that is damaged becomes
//! a remark. Unknown keys are shown as they stand, so that older and newer folders stay readable.

use crate::report::escape::shorten;
use crate::report::{ReportError, reason};
use crate::store::file as name_of;
use elenchus_core::format::jsonl;
use elenchus_core::history::History;
use elenchus_core::verdict::{Validity, Verdict};
use serde::Deserialize;
use std::io::ErrorKind;
use std::path::Path;

/// What a folder holds.
#[derive(Clone, Debug)]
pub struct Folder {
    /// What happened.
    pub history: History,
    /// What the history's first line says.
    pub header: Facts,
    /// The worst answer.
    pub validity: Validity,
    /// What each checker said.
    pub verdicts: Vec<Verdict>,
    /// `plan.json`.
    pub plan: Document,
    /// `trial.json`.
    pub trial: Document,
    /// How the violation came about, as a picture (SVG), if somebody has told it.
    pub diagram: Option<String>,
    /// What was not as it should be.
    pub remarks: Vec<String>,
}

/// What the first line of a history says of its trial; a recorded history may say nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// The trial's name.
    pub name: Option<String>,
    /// The workload.
    pub workload: Option<String>,
    /// How many operations could be open at once.
    pub concurrency: Option<u32>,
    /// The nodes.
    pub nodes: Vec<String>,
    /// The seed.
    pub seed: Option<String>,
    /// When it began.
    pub began: Option<String>,
}

/// A JSON object for people: its keys and values as text, in its order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Document {
    /// Key by key, without `again`.
    pub entries: Vec<(String, String)>,
    /// The command line that runs the trial again.
    pub again: Option<String>,
}

impl Document {
    /// The value of a key, if it is there and not empty.
    pub fn entry(&self, name: &str) -> Option<String> {
        self.entries.iter().find(|(key, value)| key == name && !value.is_empty()).map(|(_, v)| v.clone())
    }
}

#[derive(Deserialize)]
struct VerdictsFile {
    version: u32,
    validity: Validity,
    verdicts: Vec<Verdict>,
}

/// The newest version of `verdicts.json` that can be read.
const VERSION_MAX: u32 = 1;

impl Folder {
    /// Reads a folder.
    pub fn read(path: &Path) -> Result<Folder, ReportError> {
        let file = path.join("history.jsonl");
        let bytes = std::fs::read(&file).map_err(|e| reason(&file, e))?;
        let recording = jsonl::read(&bytes).map_err(|e| reason(&file, e))?;
        let file = path.join("verdicts.json");
        let bytes = std::fs::read(&file).map_err(|e| reason(&file, e))?;
        let verdicts: VerdictsFile = serde_json::from_slice(&bytes).map_err(|e| reason(&file, e))?;
        if verdicts.version > VERSION_MAX {
            let what =
                format!("version {} is newer than this program reads ({VERSION_MAX})", verdicts.version);
            return Err(reason(&file, what));
        }
        let mut remarks = recording.complaints;
        remarks.extend(recording.torn.map(|torn| format!("history.jsonl: {torn}")));
        Ok(Folder {
            plan: read_document(path, "plan.json", &mut remarks),
            trial: read_document(path, "trial.json", &mut remarks),
            history: recording.history,
            header: recording.header.map(Facts::of).unwrap_or_default(),
            // The file may be more severe than its verdicts, never less.
            validity: verdicts.validity.max(Verdict::merge(&verdicts.verdicts)),
            verdicts: verdicts.verdicts,
            diagram: std::fs::read_to_string(path.join(name_of::STORY_PICTURE)).ok(),
            remarks,
        })
    }
}

impl Facts {
    fn of(header: jsonl::Header) -> Facts {
        let said = |text: String| (!text.is_empty()).then_some(text);
        Facts {
            name: said(header.name),
            workload: said(header.workload),
            concurrency: (header.concurrency > 0).then_some(header.concurrency),
            nodes: header.nodes.into_iter().map(String::from).collect(),
            seed: Some(header.seed.to_string()),
            began: said(header.began),
        }
    }
}

/// Reads an optional file; what is wrong with it is a remark.
fn read_document(folder: &Path, name: &str, remarks: &mut Vec<String>) -> Document {
    let bytes = match std::fs::read(folder.join(name)) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return Document::default(),
        Err(error) => {
            remarks.push(format!("{name} could not be read: {error}"));
            return Document::default();
        }
    };
    match serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(&bytes) {
        Ok(object) => document(object),
        Err(error) => {
            remarks.push(format!("{name} could not be read: {error}"));
            Document::default()
        }
    }
}

fn document(object: serde_json::Map<String, serde_json::Value>) -> Document {
    let mut document = Document::default();
    for (key, value) in object {
        if key == "again" {
            document.again = Some(match value {
                serde_json::Value::Array(words) => words.iter().map(text).collect::<Vec<_>>().join(" "),
                other => text(&other),
            });
            continue;
        }
        document.entries.push((shorten(&key, 80), text(&value)));
    }
    document
}

/// A value for people: text without quotes, lists of plain values with commas, all else as JSON.
fn text(value: &serde_json::Value) -> String {
    use serde_json::Value;
    let whole = match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        Value::Array(items) if items.iter().all(|item| !item.is_array() && !item.is_object()) => {
            items.iter().map(text).collect::<Vec<_>>().join(", ")
        }
        other => other.to_string(),
    };
    shorten(&whole, TEXT_CHARS_MAX)
}

const TEXT_CHARS_MAX: usize = 1_000;
