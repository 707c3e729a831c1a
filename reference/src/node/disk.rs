//! A node's files: the data folder, and the thread that writes and syncs.
//!
//! Commands are carried out in their order. The thread takes all that wait at once: adjoining writes become
//! one, and all syncs that were asked for meanwhile share one fsync a file (group commit). A sync is thus
//! reported when more than it asked for is durable, which nobody can tell from a crash just after it.
//!
//! Any error ends the thread, and with it the node. Nothing is tried again: after a failed fsync the kernel
//! may have dropped the pages and would call the next one a success (the PostgreSQL fsync errors of 2018).

use crate::protocol::SyncId;
use nix::fcntl::{Flock, FlockArg};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::JoinHandle;
use thiserror::Error;
use tokio::sync::mpsc::UnboundedSender;

/// The file that says by its lock that a node uses the folder. Names that begin with a dot are not the
/// replica's.
const LOCK: &str = ".lock";

/// How the node's files failed it.
#[derive(Debug, Error)]
pub enum DiskError {
    /// Another node runs on the same folder.
    #[error("another node uses the data folder {0}: end it, or give this one its own")]
    Locked(PathBuf),
    /// The system refused.
    #[error("cannot {action} {path}: {source}")]
    Refused {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The folder holds, or the replica asks for, a name that no file of a replica has.
    #[error("{path} is no name for a replica's file")]
    Name {
        /// The name, in its folder.
        path: PathBuf,
    },
    /// The thread is gone without a word.
    #[error("the thread that writes the node's files has ended")]
    Gone,
}

/// Makes a [`DiskError::Refused`] of an [`io::Error`].
fn refused<'a>(action: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> DiskError + 'a {
    move |source| DiskError::Refused { action, path: path.to_owned(), source }
}

/// A data folder, locked: no other node uses it as long as this value lives.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    /// The folder itself, to sync the names in it.
    names: File,
    _lock: Flock<File>,
}

impl Folder {
    /// Locks the folder, which is made if it is not there.
    pub fn open(path: &Path) -> Result<Folder, DiskError> {
        std::fs::create_dir_all(path).map_err(refused("make", path))?;
        let lock = path.join(LOCK);
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(&lock);
        let file = file.map_err(refused("open", &lock))?;
        let locked =
            Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, errno)| match errno {
                nix::errno::Errno::EWOULDBLOCK => DiskError::Locked(path.to_owned()),
                errno => refused("lock", &lock)(errno.into()),
            })?;
        let names = File::open(path).map_err(refused("open", path))?;
        Ok(Folder { path: path.to_owned(), names, _lock: locked })
    }

    /// All files of the replica, whole, by name.
    pub fn read(&self) -> Result<Vec<(String, Vec<u8>)>, DiskError> {
        let mut files = Vec::new();
        for entry in std::fs::read_dir(&self.path).map_err(refused("list", &self.path))? {
            let path = entry.map_err(refused("list", &self.path))?.path();
            let name = path.file_name().and_then(|name| name.to_str()).map(str::to_owned);
            let Some(name) = name else { return Err(DiskError::Name { path }) };
            if !name.starts_with('.') {
                let bytes = std::fs::read(&path).map_err(refused("read", &path))?;
                files.push((name, bytes));
            }
        }
        files.sort();
        Ok(files)
    }

    /// Where a file of this name is.
    fn locate(&self, name: &str) -> Result<PathBuf, DiskError> {
        let plain = !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\0']);
        let path = self.path.join(name);
        if plain { Ok(path) } else { Err(DiskError::Name { path }) }
    }

    fn sync_names(&self) -> Result<(), DiskError> {
        self.names.sync_all().map_err(refused("sync", &self.path))
    }
}

/// What the thread is told to do. See the outputs of the same names in [`crate::protocol::Output`].
#[derive(Debug)]
pub enum Command {
    /// Write bytes at an offset.
    Write {
        /// File name.
        file: String,
        /// Where.
        offset: u64,
        /// What.
        bytes: Vec<u8>,
    },
    /// Cut to a length.
    Truncate {
        /// File name.
        file: String,
        /// The length.
        length: u64,
    },
    /// Make durable, then report.
    Sync {
        /// What to report.
        id: SyncId,
        /// File name.
        file: String,
    },
    /// Put one file in another's place, durably.
    Rename {
        /// The file.
        from: String,
        /// Its new name.
        to: String,
    },
    /// Remove a file.
    Remove {
        /// File name.
        file: String,
    },
    /// Say when all commands before this one are carried out.
    Fence(SyncSender<()>),
}

/// The thread, from outside. Dropping this waits until all commands are carried out, and unlocks the folder.
#[derive(Debug)]
pub struct Disk {
    commands: Option<Sender<Vec<Command>>>,
    thread: Option<JoinHandle<Result<(), DiskError>>>,
}

impl Disk {
    /// Starts the thread. It reports the syncs that are done; that it says no more means that it has failed.
    pub fn start(folder: Folder, reports: UnboundedSender<Vec<SyncId>>) -> io::Result<Disk> {
        let (commands, waiting) = channel();
        let work = move || work(folder, &waiting, &reports);
        let thread = std::thread::Builder::new().name("disk".to_owned()).spawn(work)?;
        Ok(Disk { commands: Some(commands), thread: Some(thread) })
    }

    /// Hands over commands, in their order. A thread that has failed takes none.
    pub fn submit(&self, commands: Vec<Command>) {
        if let Some(sender) = self.commands.as_ref().filter(|_| !commands.is_empty()) {
            let _ = sender.send(commands);
        }
    }

    /// Waits, blocking, until all commands so far are carried out.
    pub fn fence(&mut self) -> Result<(), DiskError> {
        let (done, wait) = sync_channel(1);
        self.submit(vec![Command::Fence(done)]);
        wait.recv().map_err(|_| self.failure())
    }

    /// Why the thread has failed. It must have.
    pub fn failure(&mut self) -> DiskError {
        self.commands = None;
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(Err(error))) => error,
            _ => DiskError::Gone,
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if self.thread.is_some() {
            // Whether it failed at the very end concerns nobody: what was not reported is not durable.
            self.failure();
        }
    }
}

/// The thread's life: until the node lets go of it or something fails.
fn work(
    folder: Folder,
    commands: &Receiver<Vec<Command>>,
    reports: &UnboundedSender<Vec<SyncId>>,
) -> Result<(), DiskError> {
    let mut hand = Hand::new(folder);
    while let Ok(first) = commands.recv() {
        for command in first.into_iter().chain(commands.try_iter().flatten()) {
            hand.carry_out(command)?;
        }
        let synced = hand.settle()?;
        if !synced.is_empty() && reports.send(synced).is_err() {
            return Ok(());
        }
    }
    Ok(())
}

/// What carries commands out, and what it has put off: the last write, the syncs.
struct Hand {
    folder: Folder,
    files: BTreeMap<String, File>,
    /// A write that the next one may adjoin.
    write: Option<(String, u64, Vec<u8>)>,
    /// Files written since they were last synced.
    dirty: BTreeSet<String>,
    /// Files that somebody wants synced, and what to report then.
    wanted: BTreeSet<String>,
    syncs: Vec<SyncId>,
    /// Whether a name was made since names were last synced.
    new_names: bool,
}

impl Hand {
    fn new(folder: Folder) -> Hand {
        Hand {
            folder,
            files: BTreeMap::new(),
            write: None,
            dirty: BTreeSet::new(),
            wanted: BTreeSet::new(),
            syncs: Vec::new(),
            new_names: false,
        }
    }

    fn carry_out(&mut self, command: Command) -> Result<(), DiskError> {
        match command {
            Command::Write { file, offset, bytes } => self.write(file, offset, bytes),
            Command::Sync { id, file } => {
                self.wanted.insert(file);
                self.syncs.push(id);
                Ok(())
            }
            Command::Truncate { file, length } => {
                self.flush()?;
                let path = self.folder.locate(&file)?;
                self.open(&file)?.set_len(length).map_err(refused("truncate", &path))?;
                self.dirty.insert(file);
                Ok(())
            }
            Command::Rename { from, to } => self.rename(from, to),
            Command::Remove { file } => {
                self.flush()?;
                self.sync_wanted()?;
                self.dirty.remove(&file);
                self.files.remove(&file);
                let path = self.folder.locate(&file)?;
                std::fs::remove_file(&path).map_err(refused("remove", &path))
            }
            Command::Fence(done) => {
                self.flush()?;
                // Whoever asked may have gone.
                let _ = done.send(());
                Ok(())
            }
        }
    }

    fn write(&mut self, file: String, offset: u64, bytes: Vec<u8>) -> Result<(), DiskError> {
        if let Some((last, start, so_far)) = &mut self.write
            && *last == file
            && *start + so_far.len() as u64 == offset
        {
            so_far.extend_from_slice(&bytes);
            return Ok(());
        }
        self.flush()?;
        self.write = Some((file, offset, bytes));
        Ok(())
    }

    /// Hands the write that was put off to the kernel.
    fn flush(&mut self) -> Result<(), DiskError> {
        let Some((file, offset, bytes)) = self.write.take() else { return Ok(()) };
        let path = self.folder.locate(&file)?;
        self.open(&file)?.write_all_at(&bytes, offset).map_err(refused("write", &path))?;
        self.dirty.insert(file);
        Ok(())
    }

    fn rename(&mut self, from: String, to: String) -> Result<(), DiskError> {
        self.flush()?;
        self.wanted.insert(from.clone());
        self.sync_wanted()?;
        let (source, target) = (self.folder.locate(&from)?, self.folder.locate(&to)?);
        std::fs::rename(&source, &target).map_err(refused("rename", &source))?;
        self.files.remove(&to);
        if let Some(handle) = self.files.remove(&from) {
            self.files.insert(to, handle);
        }
        self.folder.sync_names()
    }

    /// Does all that was put off; the syncs to report.
    fn settle(&mut self) -> Result<Vec<SyncId>, DiskError> {
        self.flush()?;
        self.sync_wanted()?;
        Ok(std::mem::take(&mut self.syncs))
    }

    fn sync_wanted(&mut self) -> Result<(), DiskError> {
        for file in std::mem::take(&mut self.wanted) {
            if self.dirty.remove(&file) {
                let path = self.folder.locate(&file)?;
                self.open(&file)?.sync_data().map_err(refused("sync", &path))?;
            }
        }
        if std::mem::take(&mut self.new_names) {
            self.folder.sync_names()?;
        }
        Ok(())
    }

    fn open(&mut self, name: &str) -> Result<&File, DiskError> {
        if !self.files.contains_key(name) {
            let path = self.folder.locate(name)?;
            let is_new = !path.exists();
            let file = OpenOptions::new().write(true).create(true).truncate(false).open(&path);
            self.files.insert(name.to_owned(), file.map_err(refused("open", &path))?);
            self.new_names |= is_new;
        }
        Ok(&self.files[name])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::tests::Scratch;

    fn write(file: &str, offset: u64, bytes: &[u8]) -> Command {
        Command::Write { file: file.into(), offset, bytes: bytes.to_vec() }
    }

    fn sync(id: u64, file: &str) -> Command {
        Command::Sync { id: SyncId(id), file: file.into() }
    }

    /// Carries the commands out as one batch; the files then.
    fn after(scratch: &Scratch, commands: Vec<Command>) -> Result<Vec<(String, Vec<u8>)>, DiskError> {
        let mut hand = Hand::new(Folder::open(scratch.path())?);
        for command in commands {
            hand.carry_out(command)?;
        }
        hand.settle()?;
        assert!(hand.dirty.is_subset(&hand.files.keys().cloned().collect()));
        hand.folder.read()
    }

    fn file(name: &str, bytes: &[u8]) -> (String, Vec<u8>) {
        (name.into(), bytes.to_vec())
    }

    #[test]
    fn commands_take_effect_in_their_order() {
        let scratch = Scratch::new();
        let commands = vec![
            write("log", 0, b"abc"),
            write("log", 3, b"def"),
            sync(1, "log"),
            write("log", 6, b"ghi"),
            Command::Truncate { file: "log".into(), length: 7 },
            write("log", 7, b"!"),
            write("log", 1, b"B"),
            write("other", 2, b"x"),
            write("gone", 0, b"y"),
            Command::Remove { file: "gone".into() },
            write("log", 8, b"?"),
        ];
        let files = after(&scratch, commands).unwrap();
        assert_eq!(files, [file("log", b"aBcdefg!?"), file("other", b"\0\0x")]);
    }

    #[test]
    fn a_renamed_file_is_written_under_its_new_name() {
        let scratch = Scratch::new();
        let commands = vec![
            write("log", 0, b"old and long"),
            write("log.new", 0, b"new"),
            Command::Rename { from: "log.new".into(), to: "log".into() },
            write("log", 3, b"er"),
            write("log.new", 0, b"next"),
        ];
        assert_eq!(after(&scratch, commands).unwrap(), [file("log", b"newer"), file("log.new", b"next")]);
    }

    #[test]
    fn a_second_node_cannot_have_the_folder() {
        let scratch = Scratch::new();
        let first = Folder::open(scratch.path()).unwrap();
        assert!(matches!(Folder::open(scratch.path()), Err(DiskError::Locked(_))));
        drop(first);
        assert!(Folder::open(scratch.path()).is_ok());
    }

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
        for name in ["../x", "/etc/x", "", ".", "..", ".lock", "a/b", "a\0b"] {
            let scratch = Scratch::new();
            let result = after(&scratch, vec![write(name, 0, b"x")]);
            assert!(matches!(result, Err(DiskError::Name { .. })), "{name:?}: {result:?}");
        }
    }

    #[test]
    fn what_is_no_file_is_not_read_over() {
        let scratch = Scratch::new();
        std::fs::create_dir_all(scratch.path().join("folder")).unwrap();
        let folder = Folder::open(scratch.path()).unwrap();
        assert!(matches!(folder.read(), Err(DiskError::Refused { action: "read", .. })));
    }

    #[test]
    fn the_thread_reports_syncs_in_order_and_errors_once() {
        let scratch = Scratch::new();
        let (reports, mut said) = tokio::sync::mpsc::unbounded_channel();
        let mut disk = Disk::start(Folder::open(scratch.path()).unwrap(), reports).unwrap();
        let mut synced = Vec::new();
        for id in 1..=50 {
            disk.submit(vec![write("log", id - 1, b"x"), sync(id, "log")]);
        }
        while synced.len() < 50 {
            synced.extend(said.blocking_recv().expect("it has not failed").into_iter().map(|SyncId(id)| id));
        }
        assert_eq!(synced, (1..=50).collect::<Vec<_>>());

        disk.fence().unwrap();
        disk.submit(vec![Command::Remove { file: "never there".into() }, sync(51, "log")]);
        assert!(said.blocking_recv().is_none(), "nothing is reported after an error");
        assert!(matches!(disk.fence(), Err(DiskError::Refused { action: "remove", .. })));
    }

    #[test]
    fn a_folder_is_free_again_once_its_disk_is_dropped() {
        let scratch = Scratch::new();
        let (reports, _said) = tokio::sync::mpsc::unbounded_channel();
        let disk = Disk::start(Folder::open(scratch.path()).unwrap(), reports).unwrap();
        disk.submit(vec![write("log", 0, b"kept")]);
        drop(disk);
        let folder = Folder::open(scratch.path()).unwrap();
        assert_eq!(folder.read().unwrap(), [file("log", b"kept")]);
    }
}
