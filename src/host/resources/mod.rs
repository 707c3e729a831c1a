//! Limits on what a node may use, and its standing still, by the kernel's control groups.
//!
//! A limited node's processes are moved into a group of the trial's own, and back when the limit ends; then the
//! group is removed. Its name bears the trial's token, so that [`sweep`] finds what a trial that was killed left
//! behind, and nothing else. Only who may write there can limit anything: root, as a rule.
//!
//! In a hierarchy of version 2 a process is in one group only. So a limit and a [`freezer::Freeze`] of one node share a
//! group there, and whoever ends first leaves it to the other.

pub mod freezer;
pub mod hierarchy;

use elenchus_core::fault::Limit;
use hierarchy::{Controller, Hierarchy, Version};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// How long a period of the processor's time is, of which a limited node gets its share.
const PERIOD_US: u64 = 100_000;
/// The beginning of every group's name.
const PREFIX: &str = "elenchus-";

/// A limit in force.
#[derive(Debug)]
pub struct Restriction {
    hierarchy: Hierarchy,
    limit: Limit,
    group: PathBuf,
    /// How often an earlier limit of the same group was felt.
    before: u64,
}

impl Restriction {
    /// Limits these processes of `node`, in the name of the trial with this token.
    pub fn impose(token: &str, node: &str, pids: &[i32], limit: Limit) -> io::Result<Restriction> {
        let hierarchy = here(controller(limit)).map_err(io::Error::other)?;
        Restriction::impose_in(hierarchy, &format!("{PREFIX}{token}-{node}"), pids, limit)
    }

    fn impose_in(hierarchy: Hierarchy, name: &str, pids: &[i32], limit: Limit) -> io::Result<Restriction> {
        let group = hierarchy.parent.join(name);
        match fs::create_dir(&group) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(at(&group, error)),
            _ => {}
        }
        let mut restriction = Restriction { hierarchy, limit, group, before: 0 };
        restriction.before = restriction.felt().unwrap_or(0);
        let imposed = restriction.limit().and_then(|()| restriction.admit(pids));
        match imposed {
            Ok(()) => Ok(restriction),
            Err(error) => {
                restriction.lift(false)?;
                Err(error)
            }
        }
    }

    /// Limits these processes too. Whoever has ended meanwhile needs no limit.
    pub fn admit(&self, pids: &[i32]) -> io::Result<()> {
        pids.iter().try_for_each(|pid| enter(&self.group, *pid))
    }

    /// Where it is.
    pub fn group(&self) -> &Path {
        &self.group
    }

    /// How often the limit was felt so far: the processor taken away, memory refused.
    pub fn felt(&self) -> io::Result<u64> {
        Ok(self.counted()?.saturating_sub(self.before))
    }

    fn counted(&self) -> io::Result<u64> {
        let (file, keys): (&str, &[&str]) = match (self.limit, self.hierarchy.version) {
            (Limit::Cpu { .. }, _) => ("cpu.stat", &["nr_throttled"]),
            (Limit::Memory { .. }, Version::Two) => ("memory.events", &["max", "oom_kill"]),
            (Limit::Memory { .. }, Version::One) => {
                let text = read(&self.group.join("memory.failcnt"))?;
                return text.trim().parse().map_err(io::Error::other);
            }
        };
        Ok(keyed(&read(&self.group.join(file))?, keys))
    }

    /// Ends the limit: its processes go back to where they came from, and the group is gone; with `keep` they stay in it,
    /// for they stand still there. Answers how often it was felt. After an error it can be tried again.
    pub fn lift(&self, keep: bool) -> io::Result<u64> {
        if !self.group.exists() {
            return Ok(0);
        }
        let felt = self.felt().unwrap_or(0);
        match keep {
            true => self.unlimit()?,
            false => empty(&self.group, &self.hierarchy.home)?,
        }
        Ok(felt)
    }

    /// What only a group of version 2 ever needs, since it alone is shared.
    fn unlimit(&self) -> io::Result<()> {
        match self.limit {
            Limit::Cpu { .. } => write(&self.group.join("cpu.max"), &format!("max {PERIOD_US}")),
            Limit::Memory { .. } => write(&self.group.join("memory.max"), "max"),
        }
    }

    fn limit(&self) -> io::Result<()> {
        let put = |file: &str, text: String| write(&self.group.join(file), &text);
        match (self.limit, self.hierarchy.version) {
            (Limit::Cpu { percent }, version) => {
                let quota = (PERIOD_US * u64::from(percent) / 100).max(1_000);
                match version {
                    Version::One => {
                        put("cpu.cfs_period_us", PERIOD_US.to_string())?;
                        put("cpu.cfs_quota_us", quota.to_string())
                    }
                    Version::Two => put("cpu.max", format!("{quota} {PERIOD_US}")),
                }
            }
            (Limit::Memory { mib }, Version::One) => put("memory.limit_in_bytes", (mib << 20).to_string()),
            (Limit::Memory { mib }, Version::Two) => put("memory.max", (mib << 20).to_string()),
        }
    }
}

/// Whether this user may limit anything here: how, or what is missing and how to get it. Changes nothing.
pub fn probe() -> Result<String, String> {
    let mut ways = Vec::new();
    for controller in [Controller::Cpu, Controller::Memory] {
        let hierarchy = here(controller)?;
        may_write(&hierarchy.parent)?;
        ways.push(format!("{} in {}", controller.as_str(), hierarchy.parent.display()));
    }
    Ok(ways.join(", "))
}

/// Whether this user may make groups there.
fn may_write(parent: &Path) -> Result<(), String> {
    nix::unistd::access(parent, nix::unistd::AccessFlags::W_OK).map_err(|errno| {
        format!("{}: {}; only root may make control groups there", parent.display(), errno.desc())
    })
}

/// Removes the groups that the trial with this token left behind; processes in them go on, without a limit.
pub fn sweep(token: &str) -> io::Result<usize> {
    let mut swept = 0;
    let prefix = format!("{PREFIX}{token}-");
    for hierarchy in [here(Controller::Cpu), here(Controller::Memory), freezer::here()].into_iter().flatten()
    {
        for entry in fs::read_dir(&hierarchy.parent).into_iter().flatten().flatten() {
            if entry.file_name().to_string_lossy().starts_with(&prefix) {
                freezer::thaw(&entry.path())?;
                empty(&entry.path(), &hierarchy.home)?;
                swept += 1;
            }
        }
    }
    Ok(swept)
}

fn controller(limit: Limit) -> Controller {
    match limit {
        Limit::Cpu { .. } => Controller::Cpu,
        Limit::Memory { .. } => Controller::Memory,
    }
}

fn here(controller: Controller) -> Result<Hierarchy, String> {
    let read = |path: &str| fs::read_to_string(path).map_err(|error| format!("{path}: {error}"));
    let enabled = |group: &Path| fs::read_to_string(group.join("cgroup.subtree_control")).unwrap_or_default();
    hierarchy::find(controller, &read("/proc/mounts")?, &read("/proc/self/cgroup")?, enabled)
}

/// Sends everybody home and removes the group.
fn empty(group: &Path, home: &Path) -> io::Result<()> {
    // Whoever is born while we look is found the next time.
    for _ in 0..50 {
        let inside = read(&group.join("cgroup.procs"))?;
        let pids: Vec<i32> = inside.lines().filter_map(|line| line.trim().parse().ok()).collect();
        pids.iter().try_for_each(|pid| enter(home, *pid))?;
        match fs::remove_dir(group) {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(_) => std::thread::sleep(std::time::Duration::from_millis(10)),
        }
    }
    Err(io::Error::other(format!("{}: processes in it do not leave", group.display())))
}

/// Moves a process into a group. One that is gone is where nobody can limit it.
fn enter(group: &Path, pid: i32) -> io::Result<()> {
    match write(&group.join("cgroup.procs"), &pid.to_string()) {
        Err(error) if error.raw_os_error() == Some(libc::ESRCH) => Ok(()),
        other => other,
    }
}

/// The sum of the numbers with these keys, in lines of key and number.
fn keyed(text: &str, keys: &[&str]) -> u64 {
    let lines = text.lines().filter_map(|line| line.split_once(' '));
    lines.filter(|(key, _)| keys.contains(key)).filter_map(|(_, n)| n.trim().parse::<u64>().ok()).sum()
}

fn read(path: &Path) -> io::Result<String> {
    fs::read_to_string(path).map_err(|error| at(path, error))
}

/// One write of the whole text, as the kernel's files want it.
fn write(path: &Path, text: &str) -> io::Result<()> {
    let opened = fs::OpenOptions::new().write(true).open(path);
    let written = opened.and_then(|mut file| io::Write::write_all(&mut file, text.as_bytes()));
    match written {
        // The kernel's number says more to the caller than our words.
        Err(error) if error.raw_os_error() == Some(libc::ESRCH) => Err(error),
        other => other.map_err(|error| at(path, error)),
    }
}

fn at(path: &Path, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_summed_by_their_whole_key() {
        let text = "low 0\nhigh 1\nmax 12\noom 3\noom_kill 2\nbroken\nmax x\n";
        assert_eq!(keyed(text, &["max", "oom_kill"]), 14);
        assert_eq!(keyed("", &["max"]), 0);
    }

    #[test]
    fn a_group_that_cannot_be_made_is_named() {
        let nowhere = PathBuf::from("/proc/elenchus-no-such-folder");
        let hierarchy = Hierarchy { version: Version::Two, parent: nowhere.clone(), home: nowhere };
        let refused = Restriction::impose_in(hierarchy, "x", &[], Limit::Cpu { percent: 5 });
        assert!(refused.expect_err("nothing can be made in /proc").to_string().contains("no-such-folder"));
    }

    #[test]
    fn of_a_group_that_is_shared_only_the_limit_goes() {
        let folder = std::env::temp_dir().join(format!("elenchus-shared-{}", std::process::id()));
        let group = folder.join("n1");
        fs::create_dir_all(&group).expect("a folder of ours");
        let put = |file: &str, text: &str| fs::write(group.join(file), text).expect("a file of ours");
        put("cpu.max", "max 100000");
        put("cpu.stat", "nr_periods 40\nnr_throttled 7\n");
        put("cgroup.procs", "");
        let hierarchy = Hierarchy { version: Version::Two, parent: folder.clone(), home: folder.clone() };
        let limit = Restriction::impose_in(hierarchy, "n1", &[], Limit::Cpu { percent: 5 }).expect("imposed");
        let max = || fs::read_to_string(group.join("cpu.max")).expect("it is there");
        assert!(max().starts_with("5000 100000"), "{}", max());
        put("cpu.stat", "nr_periods 50\nnr_throttled 9\n");
        assert_eq!(limit.lift(true).expect("lifted"), 2, "what an earlier one felt is not this one's");
        assert!(max().starts_with("max 100000") && group.exists(), "{}", max());
        fs::remove_dir_all(&folder).expect("it is ours");
    }

    /// A process that spins until it is ended.
    struct Spinner(std::process::Child);

    impl Spinner {
        fn start() -> Spinner {
            let spin = "while :; do :; done";
            Spinner(std::process::Command::new("sh").args(["-c", spin]).spawn().expect("a shell"))
        }
    }

    impl Drop for Spinner {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    #[test]
    fn a_spinning_process_feels_its_limit_and_is_free_again() {
        if let Err(why) = probe() {
            eprintln!("skipped: {why}");
            return;
        }
        let spinner = Spinner::start();
        let (token, pid) = (format!("test{}", std::process::id()), spinner.0.id() as i32);
        let limit = Limit::Cpu { percent: 5 };
        let restriction = Restriction::impose(&token, "n1", &[pid], limit).expect("it may");
        let mut felt = 0;
        for _ in 0..100 {
            std::thread::sleep(std::time::Duration::from_millis(50));
            felt = restriction.felt().expect("it is told");
            if felt > 2 {
                break;
            }
        }
        assert!(felt > 2, "only {felt} times");
        assert!(restriction.lift(false).expect("lifted") >= felt);
        assert!(!restriction.group.exists());
        assert_eq!(restriction.lift(false).expect("again"), 0);
    }

    #[test]
    fn what_a_killed_trial_left_is_swept_and_nothing_else() {
        if let Err(why) = probe() {
            eprintln!("skipped: {why}");
            return;
        }
        let spinner = Spinner::start();
        let (mine, other) = (format!("sweep{}", std::process::id()), format!("other{}", std::process::id()));
        let limit = Limit::Memory { mib: 64 };
        let left = Restriction::impose(&mine, "n1", &[spinner.0.id() as i32], limit).expect("it may");
        let kept = Restriction::impose(&other, "n1", &[], limit).expect("it may");
        assert_eq!(sweep(&mine).expect("swept"), 1);
        assert!(!left.group.exists() && kept.group.exists());
        kept.lift(false).expect("lifted");
    }
}
