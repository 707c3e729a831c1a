//! The folder in which an agent lives: who lives there, and where what is.
//!
//! The lock is the kernel's own (`flock`), held by the agent and its supervisor: it is free exactly when both
//! have ended, however they ended. What stands in the file says whom to ask to leave.

use crate::host::processes::{self, Identity, Process};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::mem::ManuallyDrop;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The socket's name in the folder. The folder's own path may be longer than a socket's address may be: both
/// ends go there first.
pub(super) const SOCKET: &str = "socket";

/// An agent's folder.
#[derive(Clone, Debug)]
pub(super) struct Folder(PathBuf);

/// Who lives in a folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Tenant {
    /// The agent's process.
    pub identity: Identity,
    /// The boot in which it started.
    pub boot: String,
}

/// The right to live in a folder.
#[derive(Debug)]
pub(super) struct Lock(ManuallyDrop<Flock<File>>);

impl Folder {
    /// The folder at this path, which is made if it is not there.
    pub fn make(path: &Path) -> io::Result<Folder> {
        // Nodes of other users must be able to go through it to their own folders.
        fs::DirBuilder::new().recursive(true).mode(0o711).create(path)?;
        Folder::find(path)
    }

    /// The folder at this path.
    pub fn find(path: &Path) -> io::Result<Folder> {
        Ok(Folder(path.canonicalize()?))
    }

    /// Its absolute path.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// What the agent has to tell.
    pub fn log(&self) -> PathBuf {
        self.0.join("agent.log")
    }

    /// What must be undone.
    pub fn faults(&self) -> PathBuf {
        self.0.join("faults.jsonl")
    }

    /// The processes.
    pub fn journal(&self) -> PathBuf {
        self.0.join(crate::host::journal::FILE)
    }

    fn lock_file(&self) -> PathBuf {
        self.0.join("agent.lock")
    }

    /// Takes the lock; `None` if somebody lives here.
    pub fn lock(&self) -> io::Result<Option<Lock>> {
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(false).mode(0o600);
        match Flock::lock(file.open(self.lock_file())?, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => Ok(Some(Lock(ManuallyDrop::new(lock)))),
            Err((_, Errno::EWOULDBLOCK)) => Ok(None),
            Err((_, errno)) => Err(errno.into()),
        }
    }

    /// Who holds the lock, if they have said so and still live.
    pub fn tenant(&self) -> Option<Tenant> {
        let tenant: Tenant = serde_json::from_slice(&fs::read(self.lock_file()).ok()?).ok()?;
        let is_here = processes::boot_id().ok()? == tenant.boot && tenant.identity.is_alive();
        is_here.then_some(tenant)
    }
}

impl Lock {
    /// Says that this process lives here.
    pub fn enter(&mut self) -> io::Result<Tenant> {
        let own = Process::find(std::process::id() as i32);
        let own = own.ok_or_else(|| io::Error::other("/proc does not show this process"))?;
        let tenant = Tenant { identity: own.identity, boot: processes::boot_id()? };
        let mut file: &File = &self.0;
        file.set_len(0)?;
        file.write_all(&super::protocol::line(&tenant))?;
        Ok(tenant)
    }

    /// Gives the lock back. Otherwise it lasts as long as any process that was forked under it.
    pub fn release(self) {
        drop(ManuallyDrop::into_inner(self.0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_one_tenant_at_a_time() {
        let path = std::env::temp_dir().join(format!("elenchus-tenant-{}", std::process::id()));
        let folder = Folder::make(&path).unwrap();
        let mut lock = folder.lock().unwrap().expect("nobody lives here");
        assert_eq!(folder.tenant(), None);
        let tenant = lock.enter().unwrap();
        assert!(folder.lock().unwrap().is_none());
        assert_eq!(folder.tenant(), Some(tenant.clone()));
        lock.release();
        // Whoever had our number before, or in another boot, is not here.
        let gone = Tenant { identity: Identity { start: 1, ..tenant.identity }, ..tenant.clone() };
        let other = Tenant { boot: "another".into(), ..tenant };
        for stale in [&gone, &other] {
            fs::write(path.join("agent.lock"), super::super::protocol::line(stale)).unwrap();
            assert_eq!(folder.tenant(), None);
        }
        fs::write(path.join("agent.lock"), "garbage").unwrap();
        assert_eq!(folder.tenant(), None);
        folder.lock().unwrap().expect("it was given back").release();
        fs::remove_dir_all(path).unwrap();
    }
}
