//! What an agent must undo on its host: `faults.jsonl` in its folder, written before anything is done.
//!
//! The agent itself undoes by this file alone when its lease lapses, when it is told to end, and when
//! somebody heals after it was killed: there is one way, so it is well trodden. Undoing what was never done,
//! or was undone already, changes nothing.

use super::protocol::line;
use crate::host::processes;
use serde::{Deserialize, Serialize};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

const VERSION: u32 = 1;

/// Something that was done to the host, in the words of whoever takes it back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Undo {
    /// The packet filter has tables of this name.
    Tables { name: String },
    /// `iptables` has chains of this name.
    Chains { name: String },
    /// Packets are led through an interface of this name.
    Device { name: String },
    /// A disk of ours is mounted here.
    Mount {
        /// Where.
        point: PathBuf,
        /// The mount namespace in which that is so.
        mounts: String,
    },
    /// This unit of systemd is a node of the trial's.
    Unit {
        /// Its name.
        unit: String,
        /// The file that says what a trial needs of it.
        drop_in: PathBuf,
        /// Whether it ran before.
        ran: bool,
    },
    /// Processes of this unit are told lies of the time, which only the agent itself could take back.
    Lies { unit: String },
    /// The clock lies, and these services that would set it right stand still.
    Clock {
        /// The true time, in nanoseconds since 1970, when the host had been up for no time.
        epoch_ns: i64,
        /// To be started again.
        services: Vec<String>,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Line {
    /// The first line: in which boot and network all of it was done.
    Agent { version: u32, boot: String, network: String },
    /// This is about to be done.
    Begin { number: u64, undo: Undo },
    /// It is undone.
    End { number: u64 },
}

/// What was undone, or why it could not be.
pub(super) type Undone = Vec<(Undo, Result<(), String>)>;

/// Who can undo.
pub(super) trait Hands {
    /// Takes it back; that it is not there is as good.
    fn undo(&mut self, undo: &Undo) -> Result<(), String>;
}

/// Why a host cannot be healed, or not wholly.
#[derive(Debug, thiserror::Error)]
pub(super) enum UndoError {
    /// The file cannot be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: io::Error,
    },
    /// The file is not one of ours.
    #[error("{}:{line}: not a list of faults that this version can read: {why}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        why: String,
    },
    /// What was done was done elsewhere.
    #[error(
        "{}: this was done in the network namespace {there}, and this process is in {here}: heal from there",
        path.display()
    )]
    Elsewhere {
        /// The file.
        path: PathBuf,
        /// Where it was done.
        there: String,
        /// Where we are.
        here: String,
    },
}

/// The open list of a running agent.
#[derive(Debug)]
pub(super) struct Faults {
    file: File,
    last: u64,
}

impl Faults {
    /// Begins the list at `path`; an older one there is replaced.
    pub fn create(path: &Path) -> io::Result<Faults> {
        let _ = fs::remove_file(path);
        let file = OpenOptions::new().append(true).create_new(true).open(path)?;
        let mut faults = Faults { file, last: 0 };
        faults.append(&Line::Agent { version: VERSION, boot: processes::boot_id()?, network: network()? })?;
        Ok(faults)
    }

    /// Notes what will have to be undone. To be called before it is done.
    pub fn begin(&mut self, undo: Undo) -> io::Result<u64> {
        let number = self.last + 1;
        self.append(&Line::Begin { number, undo })?;
        self.last = number;
        Ok(number)
    }

    /// Notes that it is undone.
    pub fn end(&mut self, number: u64) -> io::Result<()> {
        self.append(&Line::End { number })
    }

    fn append(&mut self, entry: &Line) -> io::Result<()> {
        self.file.write_all(&line(entry))
    }
}

fn network() -> io::Result<String> {
    Ok(fs::read_link("/proc/self/ns/net")?.to_string_lossy().into_owned())
}

/// The mount namespace that we are in.
pub(super) fn mounts() -> io::Result<String> {
    Ok(fs::read_link("/proc/self/ns/mnt")?.to_string_lossy().into_owned())
}

/// Undoes all that is open in the list at `path`, the last first. Returns what was undone and what could not
/// be, which stays open. A list of another boot holds nothing that still lasts.
pub(super) fn undo_all(path: &Path, hands: &mut dyn Hands) -> Result<Undone, UndoError> {
    let io = |source| UndoError::Io { path: path.to_owned(), source };
    let text = match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(vec![]),
        other => other.map_err(io)?,
    };
    let lines = read(path, &text)?;
    let Some(Line::Agent { boot, network: there, .. }) = lines.first() else { return Ok(vec![]) };
    if *boot != processes::boot_id().map_err(io)? {
        return Ok(vec![]);
    }
    let open = open(&lines);
    let here = network().map_err(io)?;
    if !open.is_empty() && *there != here {
        return Err(UndoError::Elsewhere { path: path.to_owned(), there: there.clone(), here });
    }
    let file = OpenOptions::new().append(true).open(path).map_err(io)?;
    // A last line may be torn: ours must not become part of it.
    file.set_len(text.rfind('\n').map_or(0, |end| end + 1) as u64).map_err(io)?;
    let mut faults = Faults { file, last: 0 };
    let mut undone = vec![];
    for (number, undo) in open.into_iter().rev() {
        let result = hands.undo(&undo);
        if result.is_ok() {
            // Where the disk is full it is undone once more, which changes nothing.
            let _ = faults.end(number);
        }
        undone.push((undo, result));
    }
    Ok(undone)
}

/// What has begun and not ended.
fn open(lines: &[Line]) -> Vec<(u64, Undo)> {
    let mut open = vec![];
    for line in lines {
        match line {
            Line::Agent { .. } => {}
            Line::Begin { number, undo } => open.push((*number, undo.clone())),
            Line::End { number } => open.retain(|(begun, _)| begun != number),
        }
    }
    open
}

fn read(path: &Path, text: &str) -> Result<Vec<Line>, UndoError> {
    let unreadable =
        |line: usize, why: String| UndoError::Unreadable { path: path.to_owned(), line: line + 1, why };
    let last = text.lines().count();
    let mut lines = vec![];
    for (place, line) in text.lines().enumerate() {
        match serde_json::from_str(line) {
            Ok(line) => lines.push(line),
            // The writer was killed in the middle of it: nothing was done yet that it announced.
            Err(_) if place + 1 == last && !text.ends_with('\n') => {}
            Err(error) => return Err(unreadable(place, error.to_string())),
        }
    }
    match lines.first() {
        None | Some(Line::Agent { version: VERSION, .. }) => Ok(lines),
        Some(Line::Agent { version, .. }) => Err(unreadable(0, format!("version {version}"))),
        Some(_) => Err(unreadable(0, "the first line does not say where it was done".into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Pretend {
        undone: Vec<Undo>,
        refuses: Option<Undo>,
    }

    impl Hands for Pretend {
        fn undo(&mut self, undo: &Undo) -> Result<(), String> {
            if self.refuses.as_ref() == Some(undo) {
                return Err("no".into());
            }
            self.undone.push(undo.clone());
            Ok(())
        }
    }

    fn tables(name: &str) -> Undo {
        Undo::Tables { name: name.into() }
    }

    fn fresh(name: &str) -> (PathBuf, Faults) {
        let path = std::env::temp_dir().join(format!("elenchus-undo-{}-{name}", std::process::id()));
        let faults = Faults::create(&path).unwrap();
        (path, faults)
    }

    #[test]
    fn what_is_open_is_undone_once_the_last_first() {
        let (path, mut faults) = fresh("open");
        faults.begin(tables("a")).unwrap();
        let b = faults.begin(tables("b")).unwrap();
        let clock = Undo::Clock { epoch_ns: -5, services: vec!["chrony".into()] };
        faults.begin(clock.clone()).unwrap();
        faults.end(b).unwrap();
        let mut hands = Pretend { refuses: Some(clock.clone()), ..Pretend::default() };
        let undone = undo_all(&path, &mut hands).unwrap();
        assert_eq!(undone, [(clock.clone(), Err("no".into())), (tables("a"), Ok(()))]);
        // What could not be undone is tried again; the rest is not.
        let mut hands = Pretend::default();
        undo_all(&path, &mut hands).unwrap();
        assert_eq!(hands.undone, [clock]);
        assert_eq!(undo_all(&path, &mut hands).unwrap(), []);
        fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_torn_last_line_announced_what_was_never_done() {
        let (path, mut faults) = fresh("torn");
        faults.begin(tables("a")).unwrap();
        let whole = fs::read_to_string(&path).unwrap();
        fs::write(&path, format!("{whole}{{\"begin\":{{\"num")).unwrap();
        let mut hands = Pretend::default();
        undo_all(&path, &mut hands).unwrap();
        assert_eq!(hands.undone, [tables("a")]);
        assert_eq!(undo_all(&path, &mut hands).unwrap(), []);
        fs::write(&path, format!("{whole}what?\n{whole}")).unwrap();
        assert!(matches!(undo_all(&path, &mut hands), Err(UndoError::Unreadable { line: 3, .. })));
        fs::remove_file(path).unwrap();
    }

    #[test]
    fn other_boots_left_nothing_and_other_networks_are_not_touched() {
        let (path, mut faults) = fresh("elsewhere");
        faults.begin(tables("a")).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        let mut hands = Pretend::default();
        let here = network().unwrap();
        fs::write(&path, text.replace(&here, "net:[1]")).unwrap();
        assert!(matches!(undo_all(&path, &mut hands), Err(UndoError::Elsewhere { .. })));
        fs::write(&path, text.replace(&processes::boot_id().unwrap(), "another")).unwrap();
        assert_eq!(undo_all(&path, &mut hands).unwrap(), []);
        fs::remove_file(&path).unwrap();
        assert_eq!(undo_all(&path, &mut hands).unwrap(), []);
        assert_eq!(hands.undone, []);
    }
}
