//! Where trials leave what they left: `store/<name>/<UTC time>/[<seed>/]`.
//!
//! `store/current` and `store/latest` point at the trial that began last, from its first moment: one that was
//! killed must be found too. Every stage reads only its folder, so a folder can be moved anywhere and judged
//! again.

use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Files of a trial's folder.
pub mod file {
    /// The trial's plan, every choice made.
    pub const PLAN: &str = "plan.json";
    /// What was really used, and how the trial ended.
    pub const TRIAL: &str = "trial.json";
    /// What happened.
    pub const HISTORY: &str = "history.jsonl";
    /// What the nodes' traces showed while a simulation made them.
    pub const CONSENSUS: &str = "consensus.json";
    /// In which abstract states a simulated cluster was.
    pub const STATES: &str = "states.json";
    /// What the checkers concluded.
    pub const VERDICTS: &str = "verdicts.json";
    /// What was done to set the trial up.
    pub const SETUP: &str = "setup.log";
    /// What must be undone if the controller dies.
    pub const JOURNAL: &str = "journal.jsonl";
    /// The folder of what a violation was shrunk to.
    pub const SHRUNK: &str = "shrunk";
    /// The plan of that, with its script: a regression test.
    pub const SHRUNK_PLAN: &str = "shrunk.json";
    /// How the violation came about, as a picture.
    pub const STORY_PICTURE: &str = "story.svg";
    /// The same in sentences.
    pub const STORY: &str = "story.txt";
    /// The campaign's text, as it was given.
    pub const CAMPAIGN: &str = "campaign.toml";
    /// The folder of the report.
    pub const REPORT: &str = "report";
    /// The folder of the nodes' logs.
    pub const LOGS: &str = "logs";
    /// The folder of the nodes' traces.
    pub const TRACE: &str = "trace";
    /// The folder of the nodes' data.
    pub const DATA: &str = "data";
}

/// How a trial went, as far as the world is concerned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrialRecord {
    /// The version of this format.
    pub version: u32,
    /// What kept the nodes apart: `namespaces`, `proxy`, `none`.
    pub isolation: String,
    /// Why that.
    pub isolation_why: String,
    /// Whether the cluster was empty when the trial began; absent where nobody asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wiped: Option<bool>,
    /// What the keys of the trial begin with: drawn for each trial, so that nobody's leftovers speak in it.
    #[serde(default)]
    pub prefix: String,
    /// The faults that nobody named and some host does not allow, each with the host and the reason.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<String>,
    /// What the system assumes.
    pub assumptions: Vec<String>,
    /// When it began (UTC).
    pub began: String,
    /// When it ended (UTC).
    #[serde(default)]
    pub ended: Option<String>,
    /// `running`, `completed`, `interrupted` or `broken`; `running` in a finished folder means that the
    /// controller was killed.
    pub end: TrialEnd,
    /// The reason, if it did not complete.
    #[serde(default)]
    pub why: Option<String>,
    /// The program's version.
    pub program: String,
}

/// How a trial ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TrialEnd {
    /// It has not, or its controller was killed.
    Running,
    /// As planned.
    Completed,
    /// The user ended it.
    Interrupted,
    /// The trial itself failed.
    Broken,
}

/// The folder of all trials.
#[derive(Clone, Debug)]
pub struct Store {
    root: PathBuf,
}

impl Store {
    /// A store at this path; nothing is created yet.
    pub fn at(root: impl Into<PathBuf>) -> Store {
        Store { root: root.into() }
    }

    /// The path.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Makes the folder of a trial; `time` is [`crate::utc::basic`], `member` names it among several.
    pub fn create(&self, name: &str, time: &str, member: Option<u64>) -> io::Result<PathBuf> {
        let mut folder = self.root.join(name).join(time);
        if let Some(seed) = member {
            folder.push(seed.to_string());
        }
        fs::create_dir_all(&folder)?;
        let folder = folder.canonicalize()?;
        self.link("current", &folder)?;
        self.link("latest", &folder)?;
        Ok(folder)
    }

    /// Every trial's folder, oldest first: a folder with a plan, a history or a journal.
    pub fn trials(&self) -> io::Result<Vec<PathBuf>> {
        let mut found = Vec::new();
        for name in folders(&self.root)? {
            for time in folders(&name)? {
                if is_trial(&time) {
                    found.push(time);
                } else {
                    found.extend(folders(&time)?.into_iter().filter(|member| is_trial(member)));
                }
            }
        }
        found.sort();
        Ok(found)
    }

    /// Replaces a link in one step, so that whoever follows it never finds it missing.
    fn link(&self, name: &str, folder: &Path) -> io::Result<()> {
        let root = self.root.canonicalize()?;
        let target = folder.strip_prefix(&root).unwrap_or(folder);
        let fresh = root.join(format!(".{name}.{}", std::process::id()));
        let _ = fs::remove_file(&fresh);
        std::os::unix::fs::symlink(target, &fresh)?;
        fs::rename(&fresh, root.join(name))
    }
}

/// Whether a folder is that of a trial.
pub fn is_trial(folder: &Path) -> bool {
    [file::PLAN, file::HISTORY, file::JOURNAL].iter().any(|name| folder.join(name).is_file())
}

/// Writes a file as a whole or not at all: whoever reads it never sees half of it.
pub fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let fresh = path.with_file_name(name);
    fs::write(&fresh, bytes)?;
    fs::rename(&fresh, path)
}

/// Writes a value as indented JSON.
pub fn write_json(path: &Path, value: &impl Serialize) -> io::Result<()> {
    let mut text = serde_json::to_vec_pretty(value)?;
    text.push(b'\n');
    write_whole(path, &text)
}

/// The folders in a folder, sorted, links left out; none if there is no such folder.
fn folders(path: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(e),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}
