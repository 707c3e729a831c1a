//! One file, folder or anything else of the tree: an open descriptor of its durable self, and what is not
//! synced of it.

use super::unsynced::{Platter, Unsynced};
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat, fstatat, futimens, utimensat};
use nix::sys::time::TimeSpec;
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::time::{SystemTime, UNIX_EPOCH};

/// What the tree keeps of one inode.
#[derive(Debug)]
pub(super) struct Node {
    /// Files are open for reading and writing, folders for reading, all else only as a place.
    pub file: File,
    pub kind: SFlag,
    /// How often the kernel was told of it, less what it has forgotten.
    pub lookups: u64,
    pub unsynced: Unsynced,
    /// When an un-synced write last changed it.
    pub modified: Option<SystemTime>,
    /// Whether it was cut to nothing since it was last synced: closing it then writes it out.
    pub is_replaced: bool,
}

impl Node {
    /// Opens what `name` is in `folder`.
    pub fn open(folder: &File, name: &OsStr) -> nix::Result<Node> {
        let kind = kind(&fstatat(folder, name, AtFlags::AT_SYMLINK_NOFOLLOW)?);
        let access = match kind {
            SFlag::S_IFREG => OFlag::O_RDWR | OFlag::O_NONBLOCK,
            SFlag::S_IFDIR => OFlag::O_RDONLY | OFlag::O_DIRECTORY,
            _ => OFlag::O_PATH,
        };
        let flags = access | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        Ok(Node::new(openat(folder, name, flags, Mode::empty())?, kind))
    }

    /// What this descriptor shows.
    pub fn new(fd: OwnedFd, kind: SFlag) -> Node {
        let unsynced = Unsynced::default();
        Node { file: fd.into(), kind, lookups: 0, unsynced, modified: None, is_replaced: false }
    }

    /// What is known of it, as programs see it.
    pub fn attributes(&self) -> nix::Result<FileStat> {
        let mut stat = fstat(&self.file)?;
        if self.kind == SFlag::S_IFREG {
            stat.st_size = self.unsynced.size(stat.st_size as u64) as i64;
            stat.st_blocks += self.unsynced.bytes().div_ceil(512) as i64;
        }
        if let Some(modified) = self.modified.and_then(|time| time.duration_since(UNIX_EPOCH).ok()) {
            stat.st_mtime = modified.as_secs() as i64;
            stat.st_mtime_nsec = i64::from(modified.subsec_nanos());
        }
        Ok(stat)
    }

    /// Whether it is a file; an error that says what else it is.
    pub fn must_be_file(&self) -> nix::Result<()> {
        match self.kind {
            SFlag::S_IFREG => Ok(()),
            SFlag::S_IFDIR => Err(Errno::EISDIR),
            _ => Err(Errno::EINVAL),
        }
    }

    /// Makes what was written durable.
    pub fn sync(&mut self) -> io::Result<()> {
        self.is_replaced = false;
        if self.unsynced.bytes() == 0 {
            return Ok(());
        }
        self.unsynced.sync(&self.file)?;
        if let Some(since) = self.modified.take().and_then(|time| time.duration_since(UNIX_EPOCH).ok()) {
            // Without it the time of the write would change to that of the sync.
            futimens(&self.file, &TimeSpec::UTIME_OMIT, &TimeSpec::from_duration(since))?;
        }
        Ok(())
    }

    /// Sets its times, where given.
    pub fn set_times(&mut self, accessed: TimeSpec, modified: TimeSpec) -> nix::Result<()> {
        if modified != TimeSpec::UTIME_OMIT {
            self.modified = None;
        }
        if matches!(self.kind, SFlag::S_IFREG | SFlag::S_IFDIR) {
            return futimens(&self.file, &accessed, &modified);
        }
        let follow = nix::sys::stat::UtimensatFlags::FollowSymlink;
        utimensat(nix::fcntl::AT_FDCWD, self.path().as_str(), &accessed, &modified, follow)
    }

    /// A path to it for calls that take no descriptor of a mere place.
    pub fn path(&self) -> String {
        format!("/proc/self/fd/{}", self.file.as_raw_fd())
    }
}

/// What kind of thing this is.
pub(super) fn kind(stat: &FileStat) -> SFlag {
    SFlag::from_bits_truncate(stat.st_mode & libc::S_IFMT)
}

impl Platter for File {
    fn length(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read(&self, mut buffer: &mut [u8], mut offset: u64) -> io::Result<()> {
        while !buffer.is_empty() {
            match self.read_at(buffer, offset) {
                Ok(0) => break,
                Ok(length) => {
                    buffer = &mut buffer[length..];
                    offset += length as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn write(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.write_all_at(bytes, offset)
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }
}
