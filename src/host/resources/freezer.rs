//! A node that stands still by the kernel's freezer, whatever process groups its processes made.
//!
//! A signal reaches a process group, and a child that made one of its own runs on. So where a control group of version 2
//! can be made, all of the node's processes are moved into one of the trial's own, which is frozen; when the pause ends
//! they go on where they stood and back to where they came from. No process notices: none is told that it was stopped.
//!
//! Deliberately absent: the freezer of version 1. What that has frozen does not die of SIGKILL before somebody thaws
//! it, so that a trial that was killed would leave it behind.

use super::hierarchy::{self, Hierarchy};
use super::{PREFIX, empty, enter, read, write};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The file that freezes a group, and the one that says whether it is frozen.
const FREEZE: &str = "cgroup.freeze";
const EVENTS: &str = "cgroup.events";

/// The group in which a node stands still.
#[derive(Debug)]
pub struct Freeze {
    group: PathBuf,
    home: PathBuf,
}

impl Freeze {
    /// Freezes a group of `node`'s, in the name of the trial with this token; nobody is in it yet, unless a limit has one
    /// of the same name. Whoever comes in stands still.
    pub fn begin(token: &str, node: &str) -> io::Result<Freeze> {
        let Hierarchy { parent, home, .. } = here().map_err(io::Error::other)?;
        let group = parent.join(format!("{PREFIX}{token}-{node}"));
        let is_ours = match fs::create_dir(&group) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => false,
            made => made.map(|()| true).map_err(|error| super::at(&group, error))?,
        };
        let freeze = Freeze { group, home };
        if let Err(error) = write(&freeze.group.join(FREEZE), "1") {
            if is_ours {
                let _ = fs::remove_dir(&freeze.group);
            }
            return Err(error);
        }
        Ok(freeze)
    }

    /// Where it is.
    pub fn group(&self) -> &Path {
        &self.group
    }

    /// Lets these processes stand still. Answers how many of them did not before.
    pub fn admit(&self, pids: &[i32]) -> io::Result<usize> {
        let inside = read(&self.group.join("cgroup.procs"))?;
        let inside: Vec<i32> = inside.lines().filter_map(|line| line.trim().parse().ok()).collect();
        let new: Vec<i32> = pids.iter().copied().filter(|pid| !inside.contains(pid)).collect();
        new.iter().try_for_each(|pid| enter(&self.group, *pid))?;
        Ok(new.len())
    }

    /// Whether all that are in it stand still by now.
    pub fn stands(&self) -> io::Result<bool> {
        Ok(super::keyed(&read(&self.group.join(EVENTS))?, &["frozen"]) == 1)
    }

    /// Lets everybody go on and back to where they came from, and removes the group; with `keep` they stay in it, for it is a
    /// limit's too. After an error it can be tried again.
    pub fn end(&self, keep: bool) -> io::Result<()> {
        if !self.group.exists() {
            return Ok(());
        }
        thaw(&self.group)?;
        if keep { Ok(()) } else { empty(&self.group, &self.home) }
    }
}

/// Lets everybody in the group go on.
pub(super) fn thaw(group: &Path) -> io::Result<()> {
    let file = group.join(FREEZE);
    if file.exists() { write(&file, "0") } else { Ok(()) }
}

/// Where the groups are that can be frozen.
pub(super) fn here() -> Result<Hierarchy, String> {
    let read = |path: &str| fs::read_to_string(path).map_err(|error| format!("{path}: {error}"));
    hierarchy::unified(&read("/proc/mounts")?, &read("/proc/self/cgroup")?)
}

/// Whether this user may freeze anything here: where, or what is missing. Changes nothing.
pub fn probe() -> Result<String, String> {
    let parent = here()?.parent;
    super::may_write(&parent)?;
    Ok(format!("groups of version 2 in {}", parent.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::CommandExt;
    use std::process::{Child, Command, Stdio};
    use std::time::{Duration, Instant};

    /// A shell that counts its turns in a file, in a session of its own.
    struct Counter {
        child: Child,
        file: PathBuf,
    }

    impl Counter {
        fn start(name: &str) -> Counter {
            let file = std::env::temp_dir().join(format!("elenchus-freezer-{}-{name}", std::process::id()));
            let count = "while :; do n=$((n+1)); echo $n > \"$0\"; sleep 0.01; done";
            let mut command = Command::new("sh");
            command.arg("-c").arg(count).arg(&file).stdin(Stdio::null());
            // SAFETY: one system call between fork and exec.
            unsafe { command.pre_exec(|| nix::unistd::setsid().map(|_| ()).map_err(Into::into)) };
            Counter { child: command.spawn().expect("a shell"), file }
        }

        fn pids(&self) -> Vec<i32> {
            let family = crate::host::processes::family(self.child.id() as i32);
            family.iter().map(|identity| identity.pid).collect()
        }

        fn count(&self) -> u64 {
            fs::read_to_string(&self.file).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0)
        }

        /// Whether it counts on within a moment.
        fn counts(&self) -> bool {
            let (before, until) = (self.count(), Instant::now() + Duration::from_millis(500));
            while self.count() <= before && Instant::now() < until {
                std::thread::sleep(Duration::from_millis(10));
            }
            self.count() > before
        }

        /// Freezes it until all its processes stand.
        fn freeze(&self, token: &str) -> Freeze {
            let freeze = Freeze::begin(token, "n1").expect("it may");
            let until = Instant::now() + Duration::from_secs(20);
            while freeze.admit(&self.pids()).expect("admitted") > 0 || !freeze.stands().expect("it is told") {
                assert!(Instant::now() < until, "it never stands still");
                std::thread::sleep(Duration::from_millis(2));
            }
            freeze
        }
    }

    impl Drop for Counter {
        fn drop(&mut self) {
            let _ = (self.child.kill(), self.child.wait(), fs::remove_file(&self.file));
        }
    }

    fn may_not() -> bool {
        probe().inspect_err(|why| eprintln!("skipped: {why}")).is_err()
    }

    #[test]
    fn who_is_frozen_stands_still_and_goes_on() {
        if may_not() {
            return;
        }
        let counter = Counter::start("on");
        assert!(counter.counts());
        let freeze = counter.freeze(&format!("freeze{}", std::process::id()));
        assert!(!counter.counts());
        freeze.end(true).expect("thawed");
        assert!(counter.counts() && freeze.group().exists(), "a limit may still need it");
        freeze.end(false).expect("and left");
        assert!(counter.counts() && !freeze.group().exists());
        freeze.end(false).expect("again");
    }

    #[test]
    fn who_is_frozen_dies_of_a_kill_and_its_group_is_swept() {
        if may_not() {
            return;
        }
        let (mut counter, token) = (Counter::start("die"), format!("frozen{}", std::process::id()));
        let freeze = counter.freeze(&token);
        counter.child.kill().expect("it is ours");
        counter.child.wait().expect("it dies");
        // A `sleep` of the shell's may be in there still, and goes on.
        assert_eq!(super::super::sweep(&token).expect("swept"), 1);
        assert!(!freeze.group().exists());
    }
}
