//! What must be undone after everything was killed at once: `journal.jsonl` in the trial's folder.
//!
//! A trial undoes itself on every path but one: `kill -9` of all its processes at the same time. So each
//! process writes down who it is before it does anything, and `elenchus heal` ends those that are left. A
//! number counts only with the start time, the boot and the pid namespace in which it was written, so that
//! nobody else's process is ever touched. Every process of a node also inherits a word that no other trial
//! has ([`Journal::token`]): daemons that left their family are found by it.

use super::processes::{self, Identity, Process};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The journal's name in a trial's folder.
pub const FILE: &str = "journal.jsonl";
/// The environment variable that names a node's trial.
pub const VARIABLE: &str = "ELENCHUS_TRIAL";
const VERSION: u32 = 1;

/// Who a process is in its trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// The command that the user started.
    Outer,
    /// The one who starts and ends the others.
    Supervisor,
    /// The one who runs clients and nemeses.
    Controller,
    /// A node's process.
    Node,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Line {
    /// The first line.
    Trial { version: u32, boot: String, pids: String, token: String },
    /// A process, as the outer process sees pids.
    Process { role: Role, identity: Identity },
    /// All is undone.
    Done {},
}

/// The open journal of a running trial. Each line is one `write`, so several processes may append.
#[derive(Debug)]
pub struct Journal {
    file: File,
    token: String,
}

impl Journal {
    /// Begins the journal of the trial in `folder`, and enters this process.
    pub fn create(folder: &Path) -> io::Result<Journal> {
        let file = OpenOptions::new().append(true).create_new(true).open(folder.join(FILE))?;
        let token = format!("{:016x}{:016x}", RandomState::new().hash_one(1), RandomState::new().hash_one(2));
        let journal = Journal { file, token: token.clone() };
        journal.append(&Line::Trial {
            version: VERSION,
            boot: processes::boot_id()?,
            pids: processes::pid_namespace()?,
            token,
        })?;
        journal.enter_pid(Role::Outer, std::process::id() as i32)?;
        Ok(journal)
    }

    /// A word that is in the environment of this trial's nodes and nobody else's.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// Enters the process of this number.
    pub fn enter_pid(&self, role: Role, pid: i32) -> io::Result<()> {
        let process = Process::find(pid).ok_or_else(|| io::Error::other(format!("process {pid} is gone")))?;
        self.enter(role, process.identity)
    }

    /// Enters a process.
    pub fn enter(&self, role: Role, identity: Identity) -> io::Result<()> {
        self.append(&Line::Process { role, identity })
    }

    /// Notes that everything is undone.
    pub fn done(&self) -> io::Result<()> {
        self.append(&Line::Done {})
    }

    fn append(&self, line: &Line) -> io::Result<()> {
        (&self.file).write_all(&super::protocol::line(line))
    }
}

/// What [`heal`] found in a trial's folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Healed {
    /// Nothing to do: the trial had undone everything itself, or was healed before.
    Already,
    /// The trial still runs, under this process: nothing was touched.
    Running {
        /// The command that the user started.
        pid: i32,
    },
    /// What was left is gone: these processes, if any.
    Now {
        /// Their numbers.
        killed: Vec<i32>,
    },
}

/// Why a trial's folder could not be healed.
#[derive(Debug, thiserror::Error)]
pub enum HealError {
    /// The journal cannot be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The journal.
        path: PathBuf,
        /// What is wrong with it.
        source: io::Error,
    },
    /// The journal is not one.
    #[error("{}:{line}: not a journal that this version can read: {why}", path.display())]
    Unreadable {
        /// The journal.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        why: String,
    },
    /// These processes do not end.
    #[error("{}: processes {left:?} do not end", path.display())]
    Left {
        /// The journal.
        path: PathBuf,
        /// Their numbers.
        left: Vec<i32>,
    },
}

/// Ends what is left of the trial in `folder`, unless the command that runs it is still there. Idempotent.
pub fn heal(folder: &Path) -> Result<Healed, HealError> {
    let path = folder.join(FILE);
    let io = |source| HealError::Io { path: path.clone(), source };
    let text = fs::read_to_string(&path).map_err(io)?;
    let lines = read(&path, &text)?;
    if lines.contains(&Line::Done {}) || lines.is_empty() {
        return Ok(Healed::Already);
    }
    let here = (processes::boot_id().map_err(io)?, processes::pid_namespace().map_err(io)?);
    let mut killed = BTreeSet::new();
    if let Some(Line::Trial { boot, pids, token, .. }) = lines.first()
        && here == (boot.clone(), pids.clone())
    {
        let entered = |wanted: fn(Role) -> bool| -> Vec<Identity> {
            let lines = lines.iter().filter_map(|line| match line {
                Line::Process { role, identity } if wanted(*role) => Some(*identity),
                _ => None,
            });
            lines.filter(|identity| identity.is_alive()).collect()
        };
        if let Some(outer) = entered(|role| role == Role::Outer).first() {
            return Ok(Healed::Running { pid: outer.pid });
        }
        let assignment = format!("{VARIABLE}={token}");
        let left = || -> Vec<Identity> {
            let marked =
                Process::all().into_iter().filter(|p| !p.is_zombie && p.has_environment(&assignment));
            let mut left = entered(|role| role != Role::Outer);
            left.extend(marked.map(|p| p.identity));
            left
        };
        end(left, &mut killed).map_err(|left| HealError::Left { path: path.clone(), left })?;
        super::resources::sweep(token).map_err(io)?;
    }
    let file = OpenOptions::new().append(true).open(&path).map_err(io)?;
    // A last line may be torn: ours must not become part of it.
    let whole = text.rfind('\n').map_or(0, |end| end + 1);
    file.set_len(whole as u64).map_err(io)?;
    Journal { file, token: String::new() }.done().map_err(io)?;
    Ok(Healed::Now { killed: killed.into_iter().collect() })
}

/// Heals every trial below `store` that has a journal: `store/NAME/TIME` and `store/NAME/TIME/SEED`. Links
/// are not followed.
pub fn heal_store(store: &Path) -> io::Result<Vec<(PathBuf, Result<Healed, HealError>)>> {
    let mut level = vec![store.to_owned()];
    let mut healed = vec![];
    for _depth in 0..3 {
        let mut below = vec![];
        for folder in level {
            for entry in fs::read_dir(&folder)? {
                let entry = entry?;
                if entry.file_type()?.is_dir() {
                    below.push(entry.path());
                }
            }
        }
        below.sort();
        healed.extend(below.iter().filter(|f| f.join(FILE).is_file()).map(|f| (f.clone(), heal(f))));
        level = below;
    }
    Ok(healed)
}

fn read(path: &Path, text: &str) -> Result<Vec<Line>, HealError> {
    let whole = text.lines().enumerate();
    let last = text.lines().count();
    let mut lines = vec![];
    for (number, line) in whole.filter(|(_, line)| !line.is_empty()) {
        match serde_json::from_str(line) {
            Ok(line) => lines.push(line),
            // The writer was killed in the middle of it: nothing was done yet that it announced.
            Err(_) if number + 1 == last && !text.ends_with('\n') => {}
            Err(error) => {
                return Err(HealError::Unreadable {
                    path: path.to_owned(),
                    line: number + 1,
                    why: error.to_string(),
                });
            }
        }
    }
    match lines.first() {
        None => Ok(lines),
        Some(Line::Trial { version: VERSION, .. }) => Ok(lines),
        Some(Line::Trial { version, .. }) => {
            Err(HealError::Unreadable { path: path.to_owned(), line: 1, why: format!("version {version}") })
        }
        Some(_) => Err(HealError::Unreadable {
            path: path.to_owned(),
            line: 1,
            why: "the first line does not say which trial".into(),
        }),
    }
}

/// Kills what `left` finds until it finds nothing.
fn end(left: impl Fn() -> Vec<Identity>, killed: &mut BTreeSet<i32>) -> Result<(), Vec<i32>> {
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        let found = left();
        if found.is_empty() {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(found.iter().map(|identity| identity.pid).collect());
        }
        for identity in found {
            identity.kill();
            killed.insert(identity.pid);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}
