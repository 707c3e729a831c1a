//! The files under a node's data folder: names that are durable at once, bytes that are not.
//!
//! The durable state is the folder itself: whatever is not in memory here lies there, and would lie there
//! after a power loss. Which state that is, and why, is told in [`super`].
//!
//! Inode numbers are those of the real folder, save that the root has the kernel's number for it. A number
//! cannot come to mean another file while the kernel knows it, because its descriptor is open here.

use super::Lost;
use super::node::{Node, kind};
use elenchus_core::fault::Loss;
use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, FallocateFlags, OFlag, RenameFlags, fallocate, openat, readlinkat, renameat2};
use nix::sys::stat::{FchmodatFlags, FileStat, Mode, SFlag, fchmod, fchmodat, fstatat, mkdirat, mknodat};
use nix::sys::statvfs::{Statvfs, fstatvfs};
use nix::sys::time::TimeSpec;
use nix::unistd::{Gid, Uid, UnlinkatFlags, fchownat, getegid, geteuid, linkat, symlinkat, unlinkat};
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use std::time::SystemTime;

/// The kernel's number for the root.
pub(super) const ROOT: u64 = 1;
/// How many un-synced bytes a tree holds before it writes out the file that has most of them, as a kernel
/// does that runs out of memory.
const UNSYNCED_MAX: u64 = 256 << 20;

/// A data folder, durable part and all.
#[derive(Debug)]
pub(super) struct Tree {
    device: u64,
    nodes: BTreeMap<u64, Node>,
    /// How many writes there were.
    writes: u64,
    /// How many bytes are not synced, of all files.
    unsynced: u64,
}

/// What is made under a new name.
#[derive(Clone, Copy, Debug)]
pub(super) enum What<'a> {
    /// An empty file.
    File,
    /// An empty folder.
    Folder,
    /// A symbolic link to this.
    Link(&'a OsStr),
    /// A pipe, socket or device.
    Special(SFlag, u64),
}

/// Who owns what is made, and who may use it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rights {
    pub mode: u32,
    pub user: u32,
    pub group: u32,
}

/// An entry of a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub inode: u64,
    pub kind: SFlag,
    pub name: OsString,
}

impl Tree {
    /// The tree whose durable part is this folder, under whatever is mounted upon it later.
    pub fn open(folder: &Path) -> io::Result<Tree> {
        let root = File::open(folder)?;
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let root = Node::new(openat(&root, ".", flags, Mode::empty())?, SFlag::S_IFDIR);
        let device = root.attributes()?.st_dev;
        Ok(Tree { device, nodes: BTreeMap::from([(ROOT, root)]), writes: 0, unsynced: 0 })
    }

    fn node(&self, inode: u64) -> nix::Result<&Node> {
        self.nodes.get(&inode).ok_or(Errno::ESTALE)
    }

    fn node_mut(&mut self, inode: u64) -> nix::Result<&mut Node> {
        self.nodes.get_mut(&inode).ok_or(Errno::ESTALE)
    }

    /// Does something to a file, and keeps count of what is not synced.
    fn with_file<T>(&mut self, inode: u64, act: impl FnOnce(&mut Node) -> io::Result<T>) -> io::Result<T> {
        let node = self.node_mut(inode)?;
        node.must_be_file()?;
        let before = node.unsynced.bytes();
        let result = act(node);
        let after = node.unsynced.bytes();
        self.unsynced = self.unsynced + after - before;
        result
    }

    // ---- names ----------------------------------------------------------------------------------------

    /// What `name` is in `folder`. The kernel knows it from now on.
    pub fn look_up(&mut self, folder: u64, name: &OsStr) -> nix::Result<FileStat> {
        let stat = self.find(folder, name)?;
        let is_known = self.nodes.contains_key(&stat.st_ino);
        let new = if is_known { None } else { Some(Node::open(&self.node(folder)?.file, name)?) };
        self.nodes.extend(new.map(|node| (stat.st_ino, node)));
        let node = self.node_mut(stat.st_ino)?;
        node.lookups += 1;
        node.attributes()
    }

    /// The same, but the kernel does not come to know it.
    fn find(&self, folder: u64, name: &OsStr) -> nix::Result<FileStat> {
        let stat = fstatat(&self.node(folder)?.file, name, AtFlags::AT_SYMLINK_NOFOLLOW)?;
        // What is mounted within the folder is not ours, and its numbers would collide with ours.
        if stat.st_dev == self.device { Ok(stat) } else { Err(Errno::EXDEV) }
    }

    /// The kernel knows it so many times less.
    pub fn forget(&mut self, inode: u64, lookups: u64) {
        if let Some(node) = self.nodes.get_mut(&inode) {
            node.lookups = node.lookups.saturating_sub(lookups);
            self.release(inode);
        }
    }

    /// Lets go of a node that the kernel does not know and that holds nothing which would be lost.
    fn release(&mut self, inode: u64) {
        let Some(node) = self.nodes.get(&inode) else { return };
        let is_gone = node.attributes().is_ok_and(|stat| stat.st_nlink == 0);
        let is_needed = node.unsynced.bytes() > 0 || node.is_replaced;
        if inode != ROOT && node.lookups == 0 && (is_gone || !is_needed) {
            self.unsynced -= node.unsynced.bytes();
            self.nodes.remove(&inode);
        }
    }

    /// Makes something new and looks it up.
    pub fn make(&mut self, folder: u64, name: &OsStr, what: What, rights: Rights) -> nix::Result<FileStat> {
        let parent = &self.node(folder)?.file;
        let mode = Mode::from_bits_truncate(rights.mode & 0o7777);
        match what {
            What::File => {
                let flags = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_RDWR | OFlag::O_CLOEXEC;
                drop(openat(parent, name, flags, mode)?);
            }
            What::Folder => mkdirat(parent, name, mode)?,
            What::Link(target) => symlinkat(target, parent, name)?,
            What::Special(kind, device) => mknodat(parent, name, kind, mode, device)?,
        }
        let (user, group) = (Uid::from_raw(rights.user), Gid::from_raw(rights.group));
        if (user, group) != (geteuid(), getegid()) {
            fchownat(parent, name, Some(user), Some(group), AtFlags::AT_SYMLINK_NOFOLLOW)?;
        }
        if !matches!(what, What::Link(_)) {
            // Our own mask is none of theirs.
            fchmodat(parent, name, mode, FchmodatFlags::FollowSymlink)?;
        }
        self.look_up(folder, name)
    }

    /// Gives an inode another name, and looks it up under that.
    pub fn link(&mut self, inode: u64, folder: u64, name: &OsStr) -> nix::Result<FileStat> {
        let (node, parent) = (self.node(inode)?, &self.node(folder)?.file);
        match linkat(&node.file, "", parent, name, AtFlags::AT_EMPTY_PATH) {
            // Without rights over the machine the kernel wants a path.
            Err(Errno::ENOENT | Errno::EPERM) => {
                let here = nix::fcntl::AT_FDCWD;
                linkat(here, node.path().as_str(), parent, name, AtFlags::AT_SYMLINK_FOLLOW)?;
            }
            other => other?,
        }
        self.look_up(folder, name)
    }

    /// Removes a name.
    pub fn remove(&mut self, folder: u64, name: &OsStr, how: UnlinkatFlags) -> nix::Result<()> {
        let inode = self.find(folder, name)?.st_ino;
        unlinkat(&self.node(folder)?.file, name, how)?;
        self.release(inode);
        Ok(())
    }

    /// Renames. What replaces another file is first written out, unless `can_write` forbids it.
    pub fn rename(
        &mut self,
        from: (u64, &OsStr),
        to: (u64, &OsStr),
        flags: RenameFlags,
        can_write: bool,
    ) -> io::Result<()> {
        let source = self.find(from.0, from.1)?.st_ino;
        let target = match self.find(to.0, to.1) {
            Ok(stat) => Some(stat.st_ino),
            Err(Errno::ENOENT) => None,
            Err(error) => return Err(error.into()),
        };
        let replaces = target.is_some() && !flags.contains(RenameFlags::RENAME_NOREPLACE);
        if replaces && can_write && self.nodes.get(&source).is_some_and(|node| node.unsynced.bytes() > 0) {
            self.sync(source)?;
        }
        renameat2(&self.node(from.0)?.file, from.1, &self.node(to.0)?.file, to.1, flags)?;
        if let Some(target) = target {
            self.release(target);
        }
        Ok(())
    }

    /// Where a symbolic link leads.
    pub fn read_link(&self, inode: u64) -> nix::Result<OsString> {
        readlinkat(&self.node(inode)?.file, "")
    }

    /// All entries of a folder, itself and the one above left out: to look at `..` would lead from a folder just
    /// below the root into whatever is mounted upon the root, which is we ourselves.
    pub fn list(&self, inode: u64) -> nix::Result<Vec<Entry>> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let mut folder = Dir::openat(&self.node(inode)?.file, ".", flags, Mode::empty())?;
        let mut entries = vec![];
        for entry in folder.iter() {
            let entry = entry?;
            let name = OsString::from_vec(entry.file_name().to_bytes().to_vec());
            if name == "." || name == ".." {
                continue;
            }
            let stat = match fstatat(&self.node(inode)?.file, name.as_os_str(), AtFlags::AT_SYMLINK_NOFOLLOW)
            {
                Ok(stat) => stat,
                // It went while we were looking.
                Err(Errno::ENOENT) => continue,
                Err(error) => return Err(error),
            };
            entries.push(Entry { inode: entry.ino(), kind: kind(&stat), name });
        }
        entries.sort_by(|one, other| one.name.as_bytes().cmp(other.name.as_bytes()));
        Ok(entries)
    }

    // ---- attributes -----------------------------------------------------------------------------------

    /// What is known of an inode, as programs see it.
    pub fn attributes(&self, inode: u64) -> nix::Result<FileStat> {
        self.node(inode)?.attributes()
    }

    /// Who may use it.
    pub fn set_mode(&mut self, inode: u64, mode: u32) -> nix::Result<()> {
        let (node, mode) = (self.node(inode)?, Mode::from_bits_truncate(mode & 0o7777));
        match node.kind {
            SFlag::S_IFREG | SFlag::S_IFDIR => fchmod(&node.file, mode),
            _ => fchmodat(nix::fcntl::AT_FDCWD, node.path().as_str(), mode, FchmodatFlags::FollowSymlink),
        }
    }

    /// Whose it is.
    pub fn set_owner(&mut self, inode: u64, user: Option<u32>, group: Option<u32>) -> nix::Result<()> {
        let (user, group) = (user.map(Uid::from_raw), group.map(Gid::from_raw));
        fchownat(&self.node(inode)?.file, "", user, group, AtFlags::AT_EMPTY_PATH)
    }

    /// When it was used and changed.
    pub fn set_times(&mut self, inode: u64, accessed: TimeSpec, modified: TimeSpec) -> nix::Result<()> {
        self.node_mut(inode)?.set_times(accessed, modified)
    }

    /// The file system that the durable part lies on.
    pub fn room(&self) -> nix::Result<Statvfs> {
        fstatvfs(self.node(ROOT)?.file.as_fd())
    }

    // ---- bytes ----------------------------------------------------------------------------------------

    /// What programs read.
    pub fn read(&self, inode: u64, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let node = self.node(inode)?;
        node.must_be_file()?;
        node.unsynced.read(&node.file, offset, length)
    }

    /// Writes, not durably.
    pub fn write(&mut self, inode: u64, offset: u64, bytes: &[u8]) -> io::Result<()> {
        if offset.checked_add(bytes.len() as u64).is_none_or(|end| end > i64::MAX as u64) {
            return Err(Errno::EFBIG.into());
        }
        self.writes += 1;
        let number = self.writes;
        self.with_file(inode, |node| {
            node.unsynced.write(offset, bytes, number);
            node.modified = Some(SystemTime::now());
            Ok(())
        })?;
        while self.unsynced > UNSYNCED_MAX {
            let most = self.nodes.iter().max_by_key(|(_, node)| node.unsynced.bytes());
            let Some(inode) = most.map(|(inode, _)| *inode) else { break };
            self.sync(inode)?;
        }
        Ok(())
    }

    /// Makes a file durable. Folders and all else are so already.
    pub fn sync(&mut self, inode: u64) -> io::Result<()> {
        if self.node(inode)?.must_be_file().is_err() {
            return Ok(());
        }
        self.with_file(inode, Node::sync)?;
        self.release(inode);
        Ok(())
    }

    /// Cuts or extends a file, durably.
    pub fn truncate(&mut self, inode: u64, length: u64) -> io::Result<()> {
        self.with_file(inode, |node| {
            node.unsynced.truncate(&node.file, length)?;
            node.modified = None;
            node.is_replaced |= length == 0;
            Ok(())
        })
    }

    /// Reserves, or punches a hole, durably.
    pub fn allocate(&mut self, inode: u64, mode: i32, offset: u64, length: u64) -> io::Result<()> {
        let end = offset.checked_add(length).filter(|end| *end <= i64::MAX as u64).ok_or(Errno::EFBIG)?;
        let flags = FallocateFlags::from_bits(mode).ok_or(Errno::EOPNOTSUPP)?;
        let (keep, punch, zero) = (
            FallocateFlags::FALLOC_FL_KEEP_SIZE,
            FallocateFlags::FALLOC_FL_PUNCH_HOLE,
            FallocateFlags::FALLOC_FL_ZERO_RANGE,
        );
        self.with_file(inode, |node| {
            if flags == FallocateFlags::empty() {
                // A hole reads as what was reserved does, and costs nothing.
                let durable = node.file.metadata()?.len();
                if end > durable { node.file.set_len(end) } else { Ok(()) }
            } else if flags == keep {
                Ok(())
            } else if flags == keep | punch || flags == zero || flags == zero | keep {
                fallocate(&node.file, flags, offset as i64, length as i64)?;
                node.unsynced.forget(offset, end);
                Ok(())
            } else {
                Err(Errno::EOPNOTSUPP.into())
            }
        })
    }

    /// A descriptor of the file was closed: what was cut to nothing and written anew is written out, unless
    /// `can_write` forbids it.
    pub fn close(&mut self, inode: u64, can_write: bool) -> io::Result<()> {
        match self.nodes.get(&inode) {
            Some(node) if node.is_replaced && can_write => self.sync(inode),
            _ => Ok(()),
        }
    }

    // ---- the end --------------------------------------------------------------------------------------

    /// Makes everything durable.
    pub fn sync_all(&mut self) -> io::Result<()> {
        let inodes: Vec<u64> = self.nodes.keys().copied().collect();
        inodes.into_iter().try_for_each(|inode| self.sync(inode))
    }

    /// Loses what is not synced. Returns what was lost, and of which inodes.
    pub fn lose(&mut self, loss: Loss) -> io::Result<(Lost, Vec<u64>)> {
        let newest = self.nodes.iter().filter(|(_, node)| !is_unlinked(node));
        let newest = newest.max_by_key(|(_, node)| node.unsynced.last()).map(|(inode, _)| *inode);
        let (mut lost, mut inodes) = (Lost::default(), vec![]);
        for (inode, node) in &mut self.nodes {
            node.modified = None;
            node.is_replaced = false;
            if node.unsynced.bytes() == 0 {
                continue;
            }
            let bytes = match loss {
                Loss::Torn if newest == Some(*inode) => node.unsynced.tear(&node.file)?,
                Loss::Torn | Loss::Unsynced => node.unsynced.lose(),
            };
            inodes.push(*inode);
            // What has no name any more would be gone anyway.
            if bytes > 0 && !is_unlinked(node) {
                lost.bytes += bytes;
                lost.files += 1;
            }
        }
        self.unsynced = 0;
        inodes.iter().for_each(|inode| self.release(*inode));
        Ok((lost, inodes))
    }
}

fn is_unlinked(node: &Node) -> bool {
    node.attributes().is_ok_and(|stat| stat.st_nlink == 0)
}
