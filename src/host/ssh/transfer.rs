//! Files and folders to a host and from it, by SFTP.
//!
//! A file is sent under another name and renamed once it is whole, so that nobody ever finds half of it. Links
//! to files are followed; other things that are neither file nor folder are left out of what is fetched, and
//! refused in what is sent.

use super::command::{self, quoted};
use super::error::{Broke, Deadline, Trouble, is_deadly, within};
use super::session::Open;
use ssh2::{ErrorCode, OpenFlags, OpenType, Sftp};
use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// How much is handed to libssh2 at once: it keeps as much under way.
const PIECE: usize = 1 << 20;
/// SFTP's answer to whatever has no number of its own, a full disk among others.
const FAILURE: i32 = 4;
/// SFTP's answer to what is not there.
const NO_SUCH_FILE: i32 = 2;

/// Sends a file or a folder; its parent must be there. Replaces files, keeps others that a folder holds.
pub(super) fn upload(open: &Open, from: &Path, to: &Path, deadline: Deadline) -> Result<(), Broke> {
    let sftp = begin(open, deadline)?;
    Transfer { open, sftp, deadline }.send(from, to)
}

/// Sends these bytes as a file.
pub(super) fn write(
    open: &Open,
    bytes: &[u8],
    to: &Path,
    mode: u32,
    deadline: Deadline,
) -> Result<(), Broke> {
    let sftp = begin(open, deadline)?;
    Transfer { open, sftp, deadline }.replace(&mut &bytes[..], to, mode)
}

/// Whether the host speaks SFTP at all.
pub(super) fn is_there(open: &Open, deadline: Deadline) -> Result<(), Broke> {
    begin(open, deadline).map(drop)
}

/// Fetches a file or a folder, with all that is in it.
pub(super) fn download(open: &Open, from: &Path, to: &Path, deadline: Deadline) -> Result<(), Broke> {
    let sftp = begin(open, deadline)?;
    Transfer { open, sftp, deadline }.fetch(from, to)
}

fn begin(open: &Open, deadline: Deadline) -> Result<Sftp, Broke> {
    open.session.set_timeout(deadline.left_ms());
    open.session.sftp().map_err(|e| match within("SFTP", &e, deadline) {
        Broke::Within(Trouble::Lost { why, .. }) => Broke::Before(Trouble::Unreachable(why)),
        other => other,
    })
}

struct Transfer<'a> {
    open: &'a Open,
    sftp: Sftp,
    deadline: Deadline,
}

impl Transfer<'_> {
    fn send(&self, from: &Path, to: &Path) -> Result<(), Broke> {
        let about = fs::metadata(from).map_err(|e| local(from, &e))?;
        let mode = about.permissions().mode() & 0o7777;
        if about.is_file() {
            let mut file = fs::File::open(from).map_err(|e| local(from, &e))?;
            return self.replace(&mut file, to, mode);
        }
        if !about.is_dir() {
            return Err(refused(format!("{} is neither a file nor a folder", from.display())));
        }
        if fs::symlink_metadata(from).map_err(|e| local(from, &e))?.is_symlink() {
            return Err(refused(format!("{} is a link to a folder", from.display())));
        }
        self.make_folder(to, mode)?;
        for entry in fs::read_dir(from).map_err(|e| local(from, &e))? {
            let entry = entry.map_err(|e| local(from, &e))?;
            self.send(&entry.path(), &to.join(entry.file_name()))?;
        }
        Ok(())
    }

    fn make_folder(&self, folder: &Path, mode: u32) -> Result<(), Broke> {
        self.arm()?;
        if self.sftp.stat(folder).is_ok_and(|about| about.is_dir()) {
            return Ok(());
        }
        self.arm()?;
        self.sftp.mkdir(folder, mode as i32).map_err(|e| self.wrong("make the folder", folder, &e))
    }

    /// Writes a file beside its place, then puts it there.
    fn replace(&self, from: &mut dyn Read, to: &Path, mode: u32) -> Result<(), Broke> {
        let mut name = to.as_os_str().to_owned();
        name.push(format!(".part-{}", std::process::id()));
        let part = PathBuf::from(name);
        let whole = self.write_whole(from, &part, mode).and_then(|()| self.rename(&part, to));
        if let Err(Broke::Answered(_)) = whole {
            self.arm()?;
            // If it cannot be removed it stays, under a name that nobody reads.
            let _ = self.sftp.unlink(&part);
        }
        whole
    }

    fn write_whole(&self, from: &mut dyn Read, part: &Path, mode: u32) -> Result<(), Broke> {
        self.arm()?;
        let flags = OpenFlags::WRITE | OpenFlags::CREATE | OpenFlags::TRUNCATE;
        let opened = self.sftp.open_mode(part, flags, mode as i32, OpenType::File);
        let mut file = opened.map_err(|e| self.wrong("write", part, &e))?;
        let mut piece = vec![0; PIECE];
        loop {
            let length =
                from.read(&mut piece).map_err(|e| refused(format!("cannot read what is to be sent: {e}")))?;
            if length == 0 {
                break;
            }
            let mut rest = &piece[..length];
            while !rest.is_empty() {
                self.arm()?;
                let written = file.write(rest).map_err(|e| self.wrong_io("write", part, &e))?;
                rest = &rest[written..];
            }
        }
        self.arm()?;
        // The mode that a file is made with is subject to the umask of the host.
        let about =
            ssh2::FileStat { size: None, uid: None, gid: None, perm: Some(mode), atime: None, mtime: None };
        file.setstat(about).map_err(|e| self.wrong("set the mode of", part, &e))?;
        self.arm()?;
        // A disk may say only now that it is full.
        file.close().map_err(|e| self.wrong("write", part, &e))
    }

    /// SFTP's own renaming refuses to replace.
    fn rename(&self, part: &Path, to: &Path) -> Result<(), Broke> {
        let word = |path: &Path| quoted(&path.to_string_lossy());
        // Into a folder `mv` would put it under its other name.
        let line = format!(
            "if test -d {1}; then echo it is a folder >&2; exit 1; fi; exec mv -f -- {0} {1}",
            word(part),
            word(to)
        );
        let moved = command::run(self.open, &line, "rename", self.deadline)?;
        match moved.is_success() {
            true => Ok(()),
            false => Err(refused(format!("{} cannot be replaced: {}", to.display(), moved.ending()))),
        }
    }

    fn fetch(&self, from: &Path, to: &Path) -> Result<(), Broke> {
        self.arm()?;
        let about = self.sftp.stat(from).map_err(|e| self.wrong("read", from, &e))?;
        if about.is_file() {
            return self.fetch_file(from, to);
        }
        if !about.is_dir() {
            return Ok(());
        }
        fs::create_dir_all(to).map_err(|e| local(to, &e))?;
        self.arm()?;
        for (path, about) in self.sftp.readdir(from).map_err(|e| self.wrong("read", from, &e))? {
            // A name is all that a host may choose.
            let Some(name) = path.file_name() else { continue };
            if about.is_file() || about.is_dir() {
                self.fetch(&from.join(name), &to.join(name))?;
            }
        }
        Ok(())
    }

    fn fetch_file(&self, from: &Path, to: &Path) -> Result<(), Broke> {
        self.arm()?;
        let mut source = self.sftp.open(from).map_err(|e| self.wrong("read", from, &e))?;
        let mut target = fs::File::create(to).map_err(|e| local(to, &e))?;
        let mut piece = vec![0; PIECE];
        loop {
            self.arm()?;
            match source.read(&mut piece).map_err(|e| self.wrong_io("read", from, &e))? {
                0 => return Ok(()),
                length => target.write_all(&piece[..length]).map_err(|e| local(to, &e))?,
            }
        }
    }

    /// Gives libssh2 the time that is left.
    fn arm(&self) -> Result<(), Broke> {
        if self.deadline.is_over() {
            return Err(Broke::Within(self.deadline.trouble("SFTP")));
        }
        self.open.session.set_timeout(self.deadline.left_ms());
        Ok(())
    }

    fn wrong(&self, what: &str, path: &Path, error: &ssh2::Error) -> Broke {
        let what = format!("cannot {what} {}", path.display());
        match error.code() {
            ErrorCode::SFTP(NO_SUCH_FILE) => refused(format!("{what}: it, or its folder, is not there")),
            ErrorCode::SFTP(FAILURE) if self.is_full(path) => Broke::Answered(Trouble::Full(what)),
            _ => within(&what, error, self.deadline),
        }
    }

    /// The same for what std's traits have made an [`io::Error`] of: the session remembers what it was.
    fn wrong_io(&self, what: &str, path: &Path, error: &io::Error) -> Broke {
        match ssh2::Error::last_session_error(&self.open.session) {
            Some(last) if is_deadly(&last) => self.wrong(what, path, &last),
            _ if self.is_full(path) => {
                Broke::Answered(Trouble::Full(format!("cannot {what} {}", path.display())))
            }
            _ => refused(format!("cannot {what} {}: {error}", path.display())),
        }
    }

    /// Whether the disk below `path` has no room left, asked after it refused.
    fn is_full(&self, path: &Path) -> bool {
        let folder = quoted(&path.parent().unwrap_or(path).to_string_lossy());
        let line = format!("df -Pk -- {folder} | tail -n 1; df -Pi -- {folder} | tail -n 1");
        let Ok(said) = command::run(self.open, &line, "df", self.deadline) else { return false };
        let left = |line: &str| line.split_ascii_whitespace().nth(3)?.parse::<u64>().ok();
        let said = said.text();
        let mut lines = said.lines();
        let kib = lines.next().and_then(left);
        let inodes =
            lines.next().filter(|line| line.split_ascii_whitespace().nth(1).is_none_or(|all| all != "0"));
        kib.is_some_and(|kib| kib < 64) || inodes.and_then(left) == Some(0)
    }
}

fn refused(why: String) -> Broke {
    Broke::Answered(Trouble::Failed(why))
}

/// What is wrong on our own side.
fn local(path: &Path, error: &io::Error) -> Broke {
    refused(format!("here, {}: {error}", path.display()))
}
