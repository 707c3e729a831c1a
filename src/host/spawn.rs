//! Starting one node's process: in its own network, session and process group, and with nothing of ours.

use super::journal::{Journal, Role, VARIABLE};
use super::processes::Process;
use super::protocol::Spawn;
use nix::sched::{CloneFlags, setns};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};
use nix::unistd::{Gid, Pid, Uid, User, getgrouplist, getppid, setgid, setgroups, setsid, setuid};
use std::ffi::CString;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

/// Where a node's process is to live.
#[derive(Clone, Copy)]
pub(super) struct Home<'a> {
    /// Its network namespace, if it has one of its own.
    pub network: Option<&'a OwnedFd>,
    /// The trial's journal.
    pub journal: &'a Arc<Journal>,
    /// Whether pids here mean something outside, so that the process must be journaled.
    pub is_seen_outside: bool,
}

/// Starts the process and returns its pid. An error means that there is none.
pub(super) fn spawn(spawn: &Spawn, home: Home<'_>) -> io::Result<i32> {
    let Some((program, arguments)) = spawn.argv.split_first() else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "no program is named"));
    };
    let mut command = Command::new(program);
    command.args(arguments).envs(spawn.env.iter().map(|(name, value)| (name, value)));
    command.env(VARIABLE, home.journal.token());
    command.stdin(Stdio::null()).stdout(append(&spawn.stdout)?).stderr(append(&spawn.stderr)?);
    if let Some(folder) = &spawn.cwd {
        command.current_dir(folder);
    }
    let account = spawn.user.as_deref().map(Account::find).transpose()?;
    if let Some(account) = &account {
        let home = [("HOME", &account.home), ("USER", &account.name), ("LOGNAME", &account.name)];
        let is_given = |name: &str| spawn.env.iter().any(|(given, _)| given == name);
        command.envs(home.into_iter().filter(|(name, _)| !is_given(name)));
    }
    let network = home.network.map(|fd| fd.as_raw_fd());
    let journal = home.is_seen_outside.then(|| home.journal.clone());
    let supervisor = Pid::this();
    // SAFETY: the supervisor has a single thread, so the child may use all that its parent could, memory
    // and files included; the descriptors named here stay open in the supervisor across the fork.
    unsafe {
        command.pre_exec(move || {
            let network = network.map(|fd| BorrowedFd::borrow_raw(fd));
            settle(network, journal.as_deref(), account.as_ref(), supervisor)
        });
    }
    let child =
        command.spawn().map_err(|error| io::Error::new(error.kind(), format!("{program}: {error}")))?;
    Ok(child.id() as i32)
}

/// A user of this machine.
struct Account {
    name: String,
    user: Uid,
    group: Gid,
    groups: Vec<Gid>,
    home: String,
}

impl Account {
    fn find(name: &str) -> io::Result<Account> {
        let user = User::from_name(name)?;
        let user = user.ok_or_else(|| io::Error::other(format!("this machine has no user {name}")))?;
        let groups = getgrouplist(&CString::new(name)?, user.gid)?;
        let home = user.dir.to_string_lossy().into_owned();
        Ok(Account { name: name.into(), user: user.uid, group: user.gid, groups, home })
    }

    /// Gives up our rights for its own, for good.
    fn become_it(&self) -> io::Result<()> {
        if Uid::effective() == self.user {
            return Ok(());
        }
        setgroups(&self.groups)?;
        setgid(self.group)?;
        setuid(self.user)?;
        Ok(())
    }
}

fn append(path: &Path) -> io::Result<File> {
    let open = || OpenOptions::new().create(true).append(true).open(path);
    let file = match open() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| open())
        }
        other => other,
    };
    file.map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
}

/// What the child does between its birth and its new program.
fn settle(
    network: Option<BorrowedFd<'_>>,
    journal: Option<&Journal>,
    account: Option<&Account>,
    supervisor: Pid,
) -> io::Result<()> {
    setsid()?;
    if let Some(network) = network {
        setns(network, CloneFlags::CLONE_NEWNET)?;
    }
    if let Some(account) = account {
        account.become_it()?;
    }
    // After the change of user, which makes the kernel forget it.
    set_pdeathsig(Signal::SIGKILL)?;
    if getppid() != supervisor {
        // The supervisor died before the kernel was asked to tell us.
        return Err(io::Error::other("the supervisor is gone"));
    }
    if let Some(journal) = journal {
        let stat = fs::read_to_string("/proc/self/stat")?;
        let own = Process::parse(&stat).ok_or_else(|| io::Error::other("/proc/self/stat is strange"))?;
        journal.enter(Role::Node, own.identity)?;
    }
    forget_signals();
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)?;
    Ok(())
}

/// Resets every signal to its default: a program inherits what its parent ignores.
fn forget_signals() {
    for number in 1..=64 {
        // SAFETY: SIG_DFL runs no code of ours; the kernel refuses the numbers that cannot be set.
        unsafe { libc::signal(number, libc::SIG_DFL) };
    }
}
