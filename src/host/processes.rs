//! Processes as `/proc` shows them, and the killing of whole families.
//!
//! A number alone names no process: the kernel uses it again. Number and start time together do, within
//! one boot. Where there is no `/proc`, nothing is found and nothing is killed.

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fs;
use std::time::{Duration, Instant};

/// A process that cannot be mistaken for a later one of the same number, within one boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Identity {
    /// Its number.
    pub pid: i32,
    /// When it started, in clock ticks since boot (field 22 of `/proc/PID/stat`).
    pub start: u64,
}

/// One process, as `/proc/PID/stat` tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process {
    /// Which.
    pub identity: Identity,
    /// Whether it has ended and only waits for its parent to notice.
    pub is_zombie: bool,
    /// Its parent's number.
    pub parent: i32,
    /// Its process group.
    pub group: i32,
    /// Its session.
    pub session: i32,
}

impl Process {
    /// Reads the text of a `stat` file. The program's name in it may hold anything, parentheses included.
    pub fn parse(stat: &str) -> Option<Process> {
        let (pid, rest) = stat.split_once(' ')?;
        let (_, rest) = rest.rsplit_once(')')?;
        let fields: Vec<&str> = rest.split_whitespace().collect();
        let number = |at: usize| fields.get(at)?.parse::<i32>().ok();
        Some(Process {
            identity: Identity { pid: pid.parse().ok()?, start: fields.get(19)?.parse().ok()? },
            is_zombie: matches!(*fields.first()?, "Z" | "X"),
            parent: number(1)?,
            group: number(2)?,
            session: number(3)?,
        })
    }

    /// The process of this number, if there is one.
    pub fn find(pid: i32) -> Option<Process> {
        Process::parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    /// Ourselves, by the number that `/proc` shows: that of another pid namespace where it was mounted in one.
    pub fn find_own() -> Option<Process> {
        Process::parse(&fs::read_to_string("/proc/self/stat").ok()?)
    }

    /// Whether `/proc` shows the numbers by which we know processes, and not those of another pid namespace.
    pub fn are_ours() -> bool {
        Process::find_own().is_some_and(|own| own.identity.pid == std::process::id() as i32)
    }

    /// All processes that we can see.
    pub fn all() -> Vec<Process> {
        let Ok(entries) = fs::read_dir("/proc") else { return vec![] };
        let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        pids.filter_map(Process::find).collect()
    }

    /// Whether its environment holds this assignment (`NAME=value`). Only our own user's can be read.
    pub fn has_environment(&self, assignment: &str) -> bool {
        let environ = fs::read(format!("/proc/{}/environ", self.identity.pid)).unwrap_or_default();
        environ.split(|byte| *byte == 0).any(|entry| entry == assignment.as_bytes())
    }
}

impl Identity {
    /// Whether it still runs.
    pub fn is_alive(self) -> bool {
        Process::find(self.pid).is_some_and(|p| p.identity == self && !p.is_zombie)
    }

    /// Kills it, and nothing else that may have its number by now.
    pub fn kill(self) {
        if self.is_alive() {
            let _ = kill(Pid::from_raw(self.pid), Signal::SIGKILL);
        }
    }
}

/// The machine's present boot.
pub fn boot_id() -> std::io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}

/// The pid namespace in which our numbers hold.
pub fn pid_namespace() -> std::io::Result<String> {
    Ok(fs::read_link("/proc/self/ns/pid")?.to_string_lossy().into_owned())
}

/// The children of `parent`.
pub fn children(parent: i32) -> BTreeSet<i32> {
    Process::all().into_iter().filter(|p| p.parent == parent).map(|p| p.identity.pid).collect()
}

/// The living descendants of `ancestor`, leaving out the families of `except`.
pub fn descendants(ancestor: i32, except: &BTreeSet<i32>) -> Vec<Identity> {
    let all = Process::all();
    let mut family = BTreeSet::from([ancestor]);
    loop {
        let before = family.len();
        let born = all.iter().filter(|p| family.contains(&p.parent) && !except.contains(&p.identity.pid));
        let born: Vec<i32> = born.map(|p| p.identity.pid).collect();
        family.extend(born);
        if family.len() == before {
            break;
        }
    }
    all.into_iter()
        .filter(|p| p.identity.pid != ancestor && family.contains(&p.identity.pid) && !p.is_zombie)
        .map(|p| p.identity)
        .collect()
}

/// The living processes of the family that `leader` founded: its session, its process group, and its
/// descendants.
pub fn family(leader: i32) -> Vec<Identity> {
    let mut family: BTreeSet<Identity> = descendants(leader, &BTreeSet::new()).into_iter().collect();
    let is_own = |p: &Process| (p.session == leader || p.group == leader) && !p.is_zombie;
    family.extend(Process::all().into_iter().filter(is_own).map(|p| p.identity));
    family.into_iter().collect()
}

/// Whether a process of this group still runs. Where `/proc` shows another pid namespace's numbers, the
/// dead that nobody has reaped cannot be told from the living: then only our own children count.
pub fn group_lives(group: i32) -> bool {
    if kill(Pid::from_raw(-group), None).is_err() {
        return false;
    }
    let own = Process::find_own();
    own.is_some_and(|p| p.identity.pid == std::process::id() as i32)
        && Process::all().iter().any(|p| p.group == group && !p.is_zombie)
}

/// Kills and reaps every descendant of ours, save the families of `except`, until none is left or the time
/// is over. Returns those left: none, unless the kernel holds one in an uninterruptible wait.
///
/// Only for a process that is init or a subreaper: an orphan whose parent is not ours is not found.
pub fn end_descendants(except: &BTreeSet<i32>, patience: Duration) -> Vec<Identity> {
    let own = std::process::id() as i32;
    let deadline = Instant::now() + patience;
    loop {
        let left = descendants(own, except);
        left.iter().for_each(|identity| identity.kill());
        for child in children(own).difference(except) {
            let _ = waitpid(Pid::from_raw(*child), Some(WaitPidFlag::WNOHANG));
        }
        if left.is_empty() || Instant::now() > deadline {
            return left;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_confuses_nobody() {
        let stat = "42 (a) R 1 (b) S 7 8 9 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 987654 1 1 1";
        let expect = Process {
            identity: Identity { pid: 42, start: 987_654 },
            is_zombie: false,
            parent: 7,
            group: 8,
            session: 9,
        };
        assert_eq!(Process::parse(stat), Some(expect));
        assert_eq!(Process::parse("42 (a"), None);
        assert_eq!(Process::parse(""), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn we_find_ourselves_and_not_whoever_had_our_number_before() {
        let me = Process::find(std::process::id() as i32).unwrap().identity;
        assert!(me.is_alive());
        assert!(!Identity { start: me.start + 1, ..me }.is_alive());
    }
}
