//! Mounting a FUSE file system with the system calls alone, and finding out beforehand whether the kernel
//! would let us.
//!
//! No `fusermount` is involved: it needs a set-uid program and can only mount for its caller's mount
//! namespace, and we want the mount in the trial's own, with which it goes away.

use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::unistd::{getegid, geteuid};
use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// The kernel's side of every FUSE file system.
const DEVICE: &str = "/dev/fuse";
/// What our file systems are called in the kernel's list of mounts.
const KIND: &str = "fuse.elenchus";
/// How many mounts may lie over each other at one place before something is wrong.
const STACKED_MAX: usize = 16;

/// A mount, as long as this lives. It is unmounted lazily: whoever still has a file open there keeps
/// nothing but that file.
#[derive(Debug)]
pub(super) struct Mount {
    point: PathBuf,
}

impl Mount {
    /// Mounts a new file system; the descriptor is the server's side of it.
    pub fn new(point: &Path) -> io::Result<(Mount, OwnedFd)> {
        let device = open().map_err(|error| io::Error::new(error.kind(), format!("{DEVICE}: {error}")))?;
        let options = options(device.as_raw_fd());
        let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
        mount(Some("elenchus"), point, Some(KIND), flags, Some(options.as_str()))
            .map_err(|errno| io::Error::new(io::Error::from(errno).kind(), format!("mount: {errno}")))?;
        Ok((Mount { point: point.to_owned() }, device.into()))
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // If it is gone already, so much the better.
        let _ = umount2(&self.point, MntFlags::MNT_DETACH);
    }
}

/// Unmounts, lazily, whatever disk of ours is mounted at `point`, also one whose server was killed. That none is
/// there is as good.
pub fn unmount(point: &Path) -> io::Result<()> {
    for _ in 0..STACKED_MAX {
        if !is_ours(&fs::read("/proc/self/mountinfo")?, point) {
            return Ok(());
        }
        umount2(point, MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW)?;
    }
    Err(io::Error::other(format!("{}: mounted again and again", point.display())))
}

/// Whether the uppermost mount at this point is one of ours.
fn is_ours(mounts: &[u8], point: &Path) -> bool {
    let lines = mounts.split(|byte| *byte == b'\n');
    let kind = |line: &[u8]| {
        let mut words = line.split(|byte| *byte == b' ');
        let is_here = plain(words.nth(4)?) == point.as_os_str();
        let kind = words.skip_while(|word| *word != b"-").nth(1)?;
        is_here.then(|| kind == KIND.as_bytes())
    };
    // Later ones lie over earlier ones.
    lines.filter_map(kind).next_back().unwrap_or(false)
}

/// A path as it was before the kernel wrote some of its bytes as backslash and three octal digits.
fn plain(word: &[u8]) -> std::ffi::OsString {
    let mut bytes = Vec::with_capacity(word.len());
    let mut rest = word;
    while let Some((first, after)) = rest.split_first() {
        let digits = after.get(..3).filter(|_| *first == b'\\').and_then(|d| std::str::from_utf8(d).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[3..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    OsStr::from_bytes(&bytes).to_owned()
}

fn open() -> io::Result<File> {
    OpenOptions::new().read(true).write(true).open(DEVICE)
}

/// The kernel checks rights by the files' modes; everybody may come, for nodes may run as anybody.
fn options(device: i32) -> String {
    let (user, group) = (geteuid(), getegid());
    format!("fd={device},rootmode=40000,user_id={user},group_id={group},default_permissions,allow_other")
}

/// Whether a data folder can be given a disk that fails, on this machine and with these rights. Says how,
/// or why not and what would help. Changes nothing: it is tried in a child with a mount namespace (and
/// where need be a user namespace) of its own.
pub fn probe() -> Result<String, String> {
    match probe_here() {
        Err(Refused::Right(_)) => match attempt(true) {
            Ok(()) => Ok("FUSE, inside a user namespace".into()),
            Err(errno) => Err(format!("{}, inside a user namespace either", refusal(errno))),
        },
        other => other.map_err(Refused::why),
    }
}

/// The same for this very process, which makes no namespaces.
pub fn probe_as_we_are() -> Result<String, String> {
    probe_here().map_err(Refused::why)
}

/// Why no disk can be had.
enum Refused {
    /// The right to mount is lacking; a user namespace may give it.
    Right(String),
    /// Something else is.
    Other(String),
}

impl Refused {
    fn why(self) -> String {
        match self {
            Refused::Right(why) | Refused::Other(why) => why,
        }
    }
}

fn probe_here() -> Result<String, Refused> {
    if let Err(error) = open() {
        return Err(Refused::Other(match error.raw_os_error() {
            Some(libc::ENOENT) => {
                format!(
                    "there is no {DEVICE}: the kernel lacks FUSE, or its module is not loaded (`modprobe fuse`)"
                )
            }
            Some(libc::EACCES | libc::EPERM) => format!(
                "{DEVICE} may not be opened ({error}): run as root, or let the machine's owner allow it \
                 (`chmod 666 {DEVICE}`, as most distributions have it)"
            ),
            _ => format!("{DEVICE} cannot be opened: {error}"),
        }));
    }
    match attempt(false) {
        Ok(()) => Ok("FUSE, with the rights at hand".into()),
        Err(Errno::EPERM) => Err(Refused::Right(refusal(Errno::EPERM))),
        Err(errno) => Err(Refused::Other(refusal(errno))),
    }
}

fn refusal(errno: Errno) -> String {
    match errno {
        Errno::ENODEV => "the kernel has no FUSE file systems".into(),
        errno => format!("the kernel does not let us mount FUSE file systems ({errno})"),
    }
}

/// Mounts in a child that then ends, and the mount with it.
fn attempt(in_user_namespace: bool) -> nix::Result<()> {
    let user = if in_user_namespace { libc::CLONE_NEWUSER } else { 0 };
    // SAFETY: the child makes system calls only, through functions that neither allocate nor lock, and
    // leaves with `_exit`; other threads' locks do not concern it.
    let child = unsafe { libc::fork() };
    match child {
        -1 => Err(Errno::last()),
        // SAFETY: as above.
        0 => unsafe { libc::_exit(mount_and_tell(user)) },
        child => loop {
            let mut status = 0;
            // SAFETY: the kernel writes one integer to where the pointer shows.
            match unsafe { libc::waitpid(child, &mut status, 0) } {
                -1 if Errno::last() == Errno::EINTR => {}
                -1 => return Err(Errno::last()),
                _ if libc::WIFEXITED(status) => {
                    return match libc::WEXITSTATUS(status) {
                        0 => Ok(()),
                        code => Err(Errno::from_raw(code)),
                    };
                }
                _ => return Err(Errno::EINTR),
            }
        },
    }
}

/// The child's life: 0, or the number of the error. Allocates nothing.
///
/// # Safety
/// To be called in a process of its own, which is about to end.
unsafe fn mount_and_tell(user: libc::c_int) -> i32 {
    let mut options = [0_u8; 64];
    let root = c"/".as_ptr();
    // SAFETY: all pointers are to terminated text that outlives the calls.
    let result = unsafe {
        let private = libc::MS_REC | libc::MS_PRIVATE;
        if libc::unshare(user | libc::CLONE_NEWNS) != 0
            || libc::mount(std::ptr::null(), root, std::ptr::null(), private, std::ptr::null()) != 0
        {
            return Errno::last_raw();
        }
        let device = libc::open(c"/dev/fuse".as_ptr(), libc::O_RDWR | libc::O_CLOEXEC);
        if device < 0 {
            return Errno::last_raw();
        }
        write_options(&mut options, device);
        let (source, kind) = (c"elenchus".as_ptr(), c"fuse".as_ptr());
        libc::mount(source, c"/tmp".as_ptr(), kind, libc::MS_NOSUID, options.as_ptr().cast())
    };
    if result == 0 { 0 } else { Errno::last_raw() }
}

/// `fd=N,rootmode=40000,user_id=U,group_id=G`, in a buffer that is there already.
fn write_options(buffer: &mut [u8; 64], device: i32) {
    use std::io::Write;
    // SAFETY: these calls cannot fail.
    let (user, group) = unsafe { (libc::geteuid(), libc::getegid()) };
    let length = buffer.len();
    // What does not fit is cut off; the numbers have ten digits at most, and fit.
    let _ = write!(&mut buffer[..length - 1], "fd={device},rootmode=40000,user_id={user},group_id={group}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_uppermost_mount_counts_and_only_if_it_is_ours() {
        let ours = "30 20 0:45 / /var/a\\040b rw,nosuid shared:5 master:2 - fuse.elenchus elenchus rw\n";
        let other = "31 30 0:46 / /var/a\\040b rw - tmpfs none rw\n";
        let is = |text: &str, point: &str| is_ours(text.as_bytes(), Path::new(point));
        assert!(is(ours, "/var/a b"));
        assert!(is(&format!("{other}{ours}"), "/var/a b"));
        assert!(!is(&format!("{ours}{other}"), "/var/a b"));
        for (text, point) in
            [(ours, "/var/a"), (ours, "/var"), ("", "/"), ("a b c d /x - fuse.elenchus", "/y")]
        {
            assert!(!is(text, point), "{text:?} {point}");
        }
    }

    #[test]
    fn octal_escapes_are_bytes_and_broken_ones_are_themselves() {
        assert_eq!(plain(br"/a\040b\134\777\12"), OsStr::from_bytes(br"/a b\\777\12"));
    }

    #[test]
    fn where_nothing_is_mounted_nothing_is_unmounted() {
        unmount(Path::new("/no/such/place")).expect("as good as done");
        unmount(&std::env::temp_dir()).expect("that is not ours");
    }
}
