//! The report of a recorded history: the page of live trials, from a folder that holds what they leave.

use super::input::Input;
use super::job::Job;
use crate::judge::Verdicts;
use crate::report;
use crate::store::{self, file};
use elenchus_core::format::jsonl;
use elenchus_core::value::Value;
use elenchus_core::verdict::Verdict;
use std::fs;
use std::path::{Path, PathBuf};

/// Writes the history as it was judged, its verdicts and their report into `folder`. Returns the page.
pub fn write(
    folder: &Path,
    job: &Job,
    input: &Input,
    model: Option<&str>,
    verdicts: &[Verdict],
) -> Result<PathBuf, String> {
    let reason = |path: &Path, e: &dyn std::fmt::Display| format!("{}: {e}", path.display());
    let history = folder.join(file::HISTORY);
    if !is_ours(folder, &history) {
        return Err(format!(
            "{} holds what no check left: choose another folder, or a new one",
            folder.display()
        ));
    }
    fs::create_dir_all(folder).map_err(|e| reason(folder, &e))?;
    store::write_whole(&history, &lines(job, input, model)).map_err(|e| reason(&history, &e))?;
    let verdicts_file = folder.join(file::VERDICTS);
    store::write_json(&verdicts_file, &Verdicts::of(verdicts.to_vec()))
        .map_err(|e| reason(&verdicts_file, &e))?;
    let built = report::build(folder).map_err(|e| e.to_string())?;
    Ok(built.page)
}

/// The mark of a folder that a check left, in the header of its history.
const CHECKED: &str = "checked";

/// Whether nothing of others is lost if this folder is written to: it is empty, or a check left it.
fn is_ours(folder: &Path, history: &Path) -> bool {
    let others = [file::PLAN, file::JOURNAL, file::TRIAL].iter().any(|name| folder.join(name).exists());
    let ours = || {
        let first = fs::read(history).ok()?;
        let end = first.iter().position(|&byte| byte == b'\n').unwrap_or(first.len());
        let header = jsonl::read(&first[..end]).ok()?.header?;
        header.extra.iter().any(|(name, _)| name == CHECKED).then_some(())
    };
    let is_empty = || fs::read_dir(folder).map_or(true, |mut entries| entries.next().is_none());
    !others && (is_empty() || ours().is_some())
}

/// The history as JSON lines, its header saying where it came from.
fn lines(job: &Job, input: &Input, model: Option<&str>) -> Vec<u8> {
    let path = Path::new(&job.path);
    let name = if path == Path::new("-") { "standard input".into() } else { path.display().to_string() };
    let given = input.recording.header.clone();
    let mut header = given.unwrap_or_else(|| jsonl::Header {
        workload: model.unwrap_or_default().to_owned(),
        ..jsonl::Header::default()
    });
    header.version = jsonl::VERSION;
    if header.name.is_empty() {
        header.name.clone_from(&name);
    }
    header.extra.retain(|(name, _)| name != CHECKED);
    header.extra.push((CHECKED.into(), Value::str(&name)));
    let mut out = Vec::new();
    jsonl::write_header(&mut out, &header);
    for event in input.recording.history.events() {
        jsonl::write_event(&mut out, &event);
    }
    out
}
