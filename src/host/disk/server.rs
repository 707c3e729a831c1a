//! The kernel's questions, put to the tree.
//!
//! Everything is answered from one tree under one lock; only a slow sync is answered later, by a thread of
//! its own, so that nobody else waits for it. Nothing is cached beyond the kernel's pages: attributes and
//! names are asked for anew each time, and each `open` drops the file's pages.
//!
//! Deliberately absent: locks (the kernel keeps them itself where a file system does not), extended
//! attributes, `copy_file_range` and `lseek` for holes (the kernel does without).

use super::ailing::{Ailing, Slow, Sync};
use super::tree::{Entry, Rights, Tree, What};
use fuser::{
    AccessFlags, BsdFileFlags, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation,
    INodeNo, InitFlags, KernelConfig, LockOwner, OpenFlags, ReplyAttr, ReplyCreate, ReplyData,
    ReplyDirectory, ReplyEmpty, ReplyEntry, ReplyOpen, ReplyStatfs, ReplyWrite, ReplyXattr, Request,
    TimeOrNow, WriteFlags,
};
use nix::sys::stat::{FileStat, SFlag};
use nix::sys::time::TimeSpec;
use nix::unistd::UnlinkatFlags;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Nothing is believed for longer than the answer takes.
const TTL: Duration = Duration::ZERO;
/// No inode number means two files at once.
const GENERATION: Generation = Generation(0);
/// The longest write that the kernel hands over at once, in bytes.
const WRITE_MAX: u32 = 1 << 20;

/// What the disk's owner and the threads that serve it share.
#[derive(Debug)]
pub(super) struct State {
    tree: Mutex<Tree>,
    pub ailing: Ailing,
}

impl State {
    pub fn new(tree: Tree) -> State {
        State { tree: Mutex::new(tree), ailing: Ailing::default() }
    }

    pub fn tree(&self) -> MutexGuard<'_, Tree> {
        self.tree.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Syncs a file, and answers, now or (where syncs are slow) later.
    fn sync(self: &Arc<State>, inode: u64, answer: impl FnOnce(io::Result<()>) + Send + 'static) {
        match self.ailing.sync() {
            Sync::Healthy => {
                let result = self.tree().sync(inode);
                answer(result);
            }
            Sync::Fails => answer(Err(nix::errno::Errno::EIO.into())),
            Sync::Slow(slow) => self.sync_later(slow, inode, answer),
        }
    }

    fn sync_later(
        self: &Arc<State>,
        slow: Slow,
        inode: u64,
        answer: impl FnOnce(io::Result<()>) + Send + 'static,
    ) {
        let state = self.clone();
        let wait = move || {
            let has_power = state.ailing.wait(slow);
            // Let go of the lock before the answer lets the program go on.
            let result =
                if has_power { state.tree().sync(inode) } else { Err(nix::errno::Errno::EIO.into()) };
            answer(result);
        };
        // Without a thread the answer is lost, which the kernel would take for a wait without end; the reply
        // answers with an error when it is dropped.
        let _ = std::thread::Builder::new().name("slow sync".to_owned()).spawn(wait);
    }
}

/// The file system as the kernel sees it.
#[derive(Debug)]
pub(super) struct Server {
    state: Arc<State>,
    /// Folders that are being listed: what they held when the listing began.
    listings: Mutex<Listings>,
}

#[derive(Debug, Default)]
struct Listings {
    last: u64,
    open: BTreeMap<u64, Vec<Entry>>,
}

impl Server {
    pub fn new(state: Arc<State>) -> Server {
        Server { state, listings: Mutex::default() }
    }

    fn tree(&self) -> MutexGuard<'_, Tree> {
        self.state.tree()
    }

    fn listings(&self) -> MutexGuard<'_, Listings> {
        self.listings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn make(&self, folder: INodeNo, name: &OsStr, what: What, rights: Rights, reply: ReplyEntry) {
        let made = self.tree().make(folder.0, name, what, rights);
        answer_entry(made, reply);
    }

    fn set(&self, inode: u64, wish: &Wish) -> io::Result<FileStat> {
        if let Some(mode) = wish.mode {
            self.tree().set_mode(inode, mode)?;
        }
        if wish.user.is_some() || wish.group.is_some() {
            self.tree().set_owner(inode, wish.user, wish.group)?;
        }
        if let Some(size) = wish.size {
            self.state.ailing.write(false)?;
            self.tree().truncate(inode, size)?;
        }
        if wish.accessed.is_some() || wish.modified.is_some() {
            self.tree().set_times(inode, time(wish.accessed), time(wish.modified))?;
        }
        Ok(self.tree().attributes(inode)?)
    }
}

/// What is to be changed of a file's attributes.
struct Wish {
    mode: Option<u32>,
    user: Option<u32>,
    group: Option<u32>,
    size: Option<u64>,
    accessed: Option<TimeOrNow>,
    modified: Option<TimeOrNow>,
}

impl Filesystem for Server {
    fn init(&mut self, _: &Request, config: &mut KernelConfig) -> io::Result<()> {
        // What the kernel does not offer is only slower.
        let _ = config.add_capabilities(InitFlags::FUSE_PARALLEL_DIROPS);
        let _ = config.set_max_write(WRITE_MAX);
        Ok(())
    }

    // ---- names ----------------------------------------------------------------------------------------

    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let found = self.tree().look_up(parent.0, name);
        answer_entry(found, reply);
    }

    fn forget(&self, _: &Request, inode: INodeNo, lookups: u64) {
        self.tree().forget(inode.0, lookups);
    }

    fn mknod(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        device: u32,
        reply: ReplyEntry,
    ) {
        let what = match SFlag::from_bits_truncate(mode & libc::S_IFMT) {
            SFlag::S_IFREG => What::File,
            kind => What::Special(kind, u64::from(device)),
        };
        self.make(parent, name, what, rights(request, mode & !umask), reply);
    }

    fn mkdir(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        reply: ReplyEntry,
    ) {
        self.make(parent, name, What::Folder, rights(request, mode & !umask), reply);
    }

    fn symlink(&self, request: &Request, parent: INodeNo, name: &OsStr, target: &Path, reply: ReplyEntry) {
        self.make(parent, name, What::Link(target.as_os_str()), rights(request, 0o777), reply);
    }

    fn link(&self, _: &Request, inode: INodeNo, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let linked = self.tree().link(inode.0, parent.0, name);
        answer_entry(linked, reply);
    }

    fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let removed = self.tree().remove(parent.0, name, UnlinkatFlags::NoRemoveDir);
        answer(removed, reply);
    }

    fn rmdir(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let removed = self.tree().remove(parent.0, name, UnlinkatFlags::RemoveDir);
        answer(removed, reply);
    }

    fn rename(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        new_parent: INodeNo,
        new_name: &OsStr,
        flags: fuser::RenameFlags,
        reply: ReplyEmpty,
    ) {
        let flags = nix::fcntl::RenameFlags::from_bits_retain(flags.bits());
        let can_write = self.state.ailing.can_write();
        let renamed = self.tree().rename((parent.0, name), (new_parent.0, new_name), flags, can_write);
        answer(renamed, reply);
    }

    fn readlink(&self, _: &Request, inode: INodeNo, reply: ReplyData) {
        use std::os::unix::ffi::OsStrExt;
        match self.tree().read_link(inode.0) {
            Ok(target) => reply.data(target.as_bytes()),
            Err(error) => reply.error(errno(error)),
        }
    }

    fn create(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        flags: i32,
        reply: ReplyCreate,
    ) {
        let mut tree = self.tree();
        let mut made = tree.make(parent.0, name, What::File, rights(request, mode & !umask));
        if made == Err(nix::errno::Errno::EEXIST) && flags & libc::O_EXCL == 0 {
            // Somebody made it since the kernel looked.
            made = tree.look_up(parent.0, name);
        }
        drop(tree);
        match made {
            Ok(stat) => {
                reply.created(&TTL, &attributes(&stat), GENERATION, FileHandle(0), FopenFlags::empty());
            }
            Err(error) => reply.error(errno(error)),
        }
    }

    // ---- folders --------------------------------------------------------------------------------------

    fn opendir(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        let mut listings = self.listings();
        listings.last += 1;
        reply.opened(FileHandle(listings.last), FopenFlags::empty());
    }

    fn readdir(
        &self,
        _: &Request,
        inode: INodeNo,
        handle: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        let mut listings = self.listings();
        // From the beginning on: as it is now.
        if offset == 0 || !listings.open.contains_key(&handle.0) {
            match self.tree().list(inode.0) {
                Ok(entries) => drop(listings.open.insert(handle.0, entries)),
                Err(error) => return reply.error(errno(error)),
            }
        }
        // Where `.` and `..` lead the kernel knows by itself; programs expect to see them all the same.
        let dots = [".", ".."].map(|dot| (inode.0, FileType::Directory, OsStr::new(dot)));
        let entries = listings.open[&handle.0].iter();
        let entries = entries.map(|entry| (entry.inode, file_type(entry.kind), entry.name.as_os_str()));
        for ((inode, kind, name), next) in dots.into_iter().chain(entries).zip(1..).skip(offset as usize) {
            if reply.add(INodeNo(inode), next, kind, name) {
                break;
            }
        }
        reply.ok();
    }

    fn releasedir(&self, _: &Request, _: INodeNo, handle: FileHandle, _: OpenFlags, reply: ReplyEmpty) {
        self.listings().open.remove(&handle.0);
        reply.ok();
    }

    fn fsyncdir(&self, _: &Request, inode: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        self.state.sync(inode.0, |result| answer(result, reply));
    }

    // ---- attributes -----------------------------------------------------------------------------------

    fn getattr(&self, _: &Request, inode: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        let found = self.tree().attributes(inode.0);
        answer_attributes(found, reply);
    }

    fn setattr(
        &self,
        _: &Request,
        inode: INodeNo,
        mode: Option<u32>,
        user: Option<u32>,
        group: Option<u32>,
        size: Option<u64>,
        accessed: Option<TimeOrNow>,
        modified: Option<TimeOrNow>,
        _: Option<SystemTime>,
        _: Option<FileHandle>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let set = self.set(inode.0, &Wish { mode, user, group, size, accessed, modified });
        answer_attributes(set, reply);
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        let room = match self.tree().room() {
            Ok(room) => room,
            Err(error) => return reply.error(errno(error)),
        };
        let (free, available) =
            if self.state.ailing.is_full() { (0, 0) } else { (room.blocks_free(), room.blocks_available()) };
        let sizes = (room.block_size() as u32, room.name_max() as u32, room.fragment_size() as u32);
        let files = (room.files(), room.files_free());
        reply.statfs(room.blocks(), free, available, files.0, files.1, sizes.0, sizes.1, sizes.2);
    }

    fn access(&self, _: &Request, _: INodeNo, _: AccessFlags, reply: ReplyEmpty) {
        // The kernel checks rights itself, as it was mounted to.
        reply.error(Errno::ENOSYS);
    }

    fn setxattr(&self, _: &Request, _: INodeNo, _: &OsStr, _: &[u8], _: i32, _: u32, reply: ReplyEmpty) {
        reply.error(Errno::ENOSYS);
    }

    fn getxattr(&self, _: &Request, _: INodeNo, _: &OsStr, _: u32, reply: ReplyXattr) {
        reply.error(Errno::ENOSYS);
    }

    fn listxattr(&self, _: &Request, _: INodeNo, _: u32, reply: ReplyXattr) {
        reply.error(Errno::ENOSYS);
    }

    fn removexattr(&self, _: &Request, _: INodeNo, _: &OsStr, reply: ReplyEmpty) {
        reply.error(Errno::ENOSYS);
    }

    // ---- bytes ----------------------------------------------------------------------------------------

    fn read(
        &self,
        _: &Request,
        inode: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let read = self.tree().read(inode.0, offset, size as usize);
        match read {
            Ok(bytes) => reply.data(&bytes),
            Err(error) => reply.error(errno(error)),
        }
    }

    fn write(
        &self,
        _: &Request,
        inode: INodeNo,
        _: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        flags: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let length = data.len() as u32;
        let written = {
            let mut tree = self.tree();
            let size = tree.attributes(inode.0).map_or(0, |stat| stat.st_size as u64);
            let grows = offset.saturating_add(u64::from(length)) > size;
            let allowed = self.state.ailing.write(grows).map_err(io::Error::from);
            allowed.and_then(|()| tree.write(inode.0, offset, data))
        };
        let done = move |result: io::Result<()>| match result {
            Ok(()) => reply.written(length),
            Err(error) => reply.error(errno(error)),
        };
        // O_SYNC has the bit of O_DSYNC too.
        match written {
            Ok(()) if flags.0 & libc::O_DSYNC != 0 => self.state.sync(inode.0, done),
            other => done(other),
        }
    }

    fn fsync(&self, _: &Request, inode: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        self.state.sync(inode.0, |result| answer(result, reply));
    }

    fn flush(&self, _: &Request, inode: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        // Unlike a release, the program that closes waits for this.
        let closed = self.tree().close(inode.0, self.state.ailing.can_write());
        answer(closed, reply);
    }

    fn fallocate(
        &self,
        _: &Request,
        inode: INodeNo,
        _: FileHandle,
        offset: u64,
        length: u64,
        mode: i32,
        reply: ReplyEmpty,
    ) {
        let frees = mode & libc::FALLOC_FL_PUNCH_HOLE != 0;
        let allowed = self.state.ailing.write(!frees).map_err(io::Error::from);
        let done = allowed.and_then(|()| self.tree().allocate(inode.0, mode, offset, length));
        answer(done, reply);
    }
}

// ---- words of the kernel's -------------------------------------------------------------------------------

fn errno(error: impl Into<io::Error>) -> Errno {
    Errno::from_i32(error.into().raw_os_error().unwrap_or(libc::EIO))
}

fn answer<E: Into<io::Error>>(result: Result<(), E>, reply: ReplyEmpty) {
    match result {
        Ok(()) => reply.ok(),
        Err(error) => reply.error(errno(error)),
    }
}

fn answer_entry(result: nix::Result<FileStat>, reply: ReplyEntry) {
    match result {
        Ok(stat) => reply.entry(&TTL, &attributes(&stat), GENERATION),
        Err(error) => reply.error(errno(error)),
    }
}

fn answer_attributes<E: Into<io::Error>>(result: Result<FileStat, E>, reply: ReplyAttr) {
    match result {
        Ok(stat) => reply.attr(&TTL, &attributes(&stat)),
        Err(error) => reply.error(errno(error)),
    }
}

fn rights(request: &Request, mode: u32) -> Rights {
    Rights { mode, user: request.uid(), group: request.gid() }
}

fn time(wish: Option<TimeOrNow>) -> TimeSpec {
    match wish {
        None => TimeSpec::UTIME_OMIT,
        Some(TimeOrNow::Now) => TimeSpec::UTIME_NOW,
        Some(TimeOrNow::SpecificTime(time)) => {
            TimeSpec::from_duration(time.duration_since(UNIX_EPOCH).unwrap_or_default())
        }
    }
}

fn instant(seconds: i64, nanoseconds: i64) -> SystemTime {
    let whole = Duration::from_secs(seconds.unsigned_abs());
    let time = if seconds < 0 { UNIX_EPOCH.checked_sub(whole) } else { UNIX_EPOCH.checked_add(whole) };
    time.unwrap_or(UNIX_EPOCH) + Duration::from_nanos(nanoseconds.unsigned_abs())
}

fn attributes(stat: &FileStat) -> FileAttr {
    FileAttr {
        ino: INodeNo(stat.st_ino),
        size: stat.st_size as u64,
        blocks: stat.st_blocks as u64,
        atime: instant(stat.st_atime, stat.st_atime_nsec),
        mtime: instant(stat.st_mtime, stat.st_mtime_nsec),
        ctime: instant(stat.st_ctime, stat.st_ctime_nsec),
        crtime: UNIX_EPOCH,
        kind: file_type(SFlag::from_bits_truncate(stat.st_mode & libc::S_IFMT)),
        perm: (stat.st_mode & 0o7777) as u16,
        nlink: stat.st_nlink as u32,
        uid: stat.st_uid,
        gid: stat.st_gid,
        rdev: stat.st_rdev as u32,
        blksize: stat.st_blksize as u32,
        flags: 0,
    }
}

fn file_type(kind: SFlag) -> FileType {
    match kind {
        SFlag::S_IFDIR => FileType::Directory,
        SFlag::S_IFLNK => FileType::Symlink,
        SFlag::S_IFIFO => FileType::NamedPipe,
        SFlag::S_IFSOCK => FileType::Socket,
        SFlag::S_IFCHR => FileType::CharDevice,
        SFlag::S_IFBLK => FileType::BlockDevice,
        _ => FileType::RegularFile,
    }
}
