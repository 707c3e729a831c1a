//! A unit of systemd as `systemctl` tells of it: its name, its state, its processes, and the drop-in under which
//! a trial has it.
//!
//! Whoever kills a unit must not be undone by what its file says: `Restart=` would start it again, a limit of
//! starts would keep it down, a watchdog would end it while it stands still. The drop-in takes these away for as
//! long as the trial lasts. It lies in `/run`, so that not even a power cut leaves it, and is noted in the list
//! of faults before it is made.
//!
//! Deliberately absent: systemd's own kill and freezer. What they strike is the unit's control group; its
//! processes are found there by us, and signalled until it is so.

use super::programs;
use crate::host::processes::{self, Identity, Process};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Where systemd shows that it runs, and takes drop-ins that last until the next boot.
const RUN: &str = "/run/systemd/system";
/// What our drop-ins' names begin with: later names have the last word.
const PREFIX: &str = "zzz-elenchus-";
/// What they say.
const DROP_IN: &str = "\
# A trial of Elenchus has this unit: it is killed and started again on purpose. `elenchus heal` removes this file.
[Unit]
StartLimitIntervalSec=0
[Service]
Restart=no
TimeoutStartSec=infinity
WatchdogSec=0
";
/// What is asked of a unit.
const PROPERTIES: &str =
    "LoadState,ActiveState,MainPID,ControlGroup,InvocationID,ExecMainCode,ExecMainStatus,Restart,TriggeredBy";
/// How long undoing waits for a unit to be down.
const DOWN_LIMIT: Duration = Duration::from_secs(8);

/// What systemd says of a unit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    /// `loaded`, `not-found`, `masked`…
    pub load: String,
    /// `active`, `activating`, `failed`…
    pub active: String,
    /// Its main process; 0: none.
    pub main: i32,
    /// Its control group; empty: none.
    pub group: String,
    /// A word for each time that it is started.
    pub invocation: String,
    /// How its main process ended, as `waitid` counts: 1 exited, 2 killed, 3 dumped.
    pub code: i32,
    /// Its exit code or signal.
    pub status: i32,
    /// Who starts it when it ended.
    pub restart: String,
    /// What starts it when something happens.
    pub triggers: String,
}

impl Seen {
    /// The question, as arguments of `systemctl`.
    pub fn question(unit: &str) -> [&str; 5] {
        ["show", "-p", PROPERTIES, "--", unit]
    }

    /// Asks and waits.
    pub fn ask(unit: &str) -> Result<Seen, String> {
        programs::run("systemctl", &Seen::question(unit)).map(|text| Seen::parse(&text))
    }

    /// Reads the answer: `Name=value`, one a line. What is not understood is as if it were not there.
    pub fn parse(text: &str) -> Seen {
        let mut seen = Seen::default();
        for (name, value) in text.lines().filter_map(|line| line.split_once('=')) {
            let (word, number) = (value.trim().to_owned(), value.trim().parse().unwrap_or(0));
            match name {
                "LoadState" => seen.load = word,
                "ActiveState" => seen.active = word,
                "MainPID" => seen.main = number,
                "ControlGroup" => seen.group = word,
                "InvocationID" => seen.invocation = word,
                "ExecMainCode" => seen.code = number,
                "ExecMainStatus" => seen.status = number,
                "Restart" => seen.restart = word,
                "TriggeredBy" => seen.triggers = word,
                _ => {}
            }
        }
        seen
    }

    /// Whether nothing of it runs, and nothing is about to.
    pub fn is_down(&self) -> bool {
        matches!(self.active.as_str(), "inactive" | "failed")
    }

    /// Its main process, if it lives.
    pub fn leader(&self) -> Option<Identity> {
        let process = (self.main > 1).then(|| Process::find(self.main)).flatten()?;
        (!process.is_zombie).then_some(process.identity)
    }

    /// All its living processes: those of its control group, or, where it has none, its main one's family.
    pub fn processes(&self) -> Vec<Identity> {
        let own = std::process::id() as i32;
        let found: Vec<Identity> = match self.group.trim_matches('/').is_empty() {
            true => self.leader().map(|leader| processes::family(leader.pid)).unwrap_or_default(),
            false => {
                let is_inside = |process: &Process| {
                    let groups = fs::read_to_string(format!("/proc/{}/cgroup", process.identity.pid));
                    !process.is_zombie && groups.is_ok_and(|groups| lies_in(&groups, &self.group))
                };
                Process::all().into_iter().filter(is_inside).map(|process| process.identity).collect()
            }
        };
        found.into_iter().filter(|identity| identity.pid > 1 && identity.pid != own).collect()
    }
}

/// Whether a process with these control groups (`/proc/PID/cgroup`) is in this one, or below it.
fn lies_in(groups: &str, group: &str) -> bool {
    let paths = groups.lines().filter_map(|line| line.splitn(3, ':').nth(2));
    let rests = paths.filter_map(|path| path.strip_prefix(group));
    rests.into_iter().any(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Sends a signal to those of these processes that still live.
pub(super) fn signal(processes: &[Identity], signal: Signal) {
    for identity in processes.iter().filter(|identity| identity.is_alive()) {
        // It may have ended since.
        let _ = kill(Pid::from_raw(identity.pid), signal);
    }
}

/// Whether a process stands still.
pub(super) fn stands(identity: Identity) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", identity.pid)).unwrap_or_default();
    !identity.is_alive() || stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with(['T', 't']))
}

/// The whole name of a unit: `etcd` is `etcd.service`. An error if it can be none that is a service.
pub(super) fn full_name(name: &str) -> Result<String, String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || ":_.@\\-".contains(c);
    if name.is_empty() || name.len() > 250 || name.starts_with(['-', '.']) || !name.chars().all(is_plain) {
        return Err(format!("`{name}` is no name of a unit"));
    }
    if name.ends_with(".service") {
        return Ok(name.to_owned());
    }
    const OTHERS: [&str; 7] = ["socket", "timer", "target", "path", "mount", "slice", "scope"];
    match name.rsplit_once('.') {
        Some((_, kind)) if OTHERS.contains(&kind) => Err(format!("`{name}` is no service")),
        _ => Ok(format!("{name}.service")),
    }
}

/// Whether this host has systemd, and we may tell it what to do; says by what means.
pub(super) fn probe() -> Result<String, String> {
    if !Path::new(RUN).is_dir() {
        return Err("systemd does not run this host".into());
    }
    if !nix::unistd::Uid::effective().is_root() {
        return Err(format!("this is user {}, without sudo", nix::unistd::Uid::effective()));
    }
    let said = programs::run("systemctl", &["--version"])?;
    Ok(said.lines().next().unwrap_or("systemctl").trim().to_owned())
}

/// Where our drop-in for this unit goes, in the trial of this token. An error if another trial's is there.
pub(super) fn drop_in(unit: &str, token: &str) -> Result<PathBuf, String> {
    let folder = Path::new(RUN).join(format!("{unit}.d"));
    let own = format!("{PREFIX}{}.conf", &token[..8]);
    let names = fs::read_dir(&folder).into_iter().flatten().flatten();
    let mut names = names.map(|entry| entry.file_name().to_string_lossy().into_owned());
    match names.find(|name| name.starts_with(PREFIX) && *name != own) {
        Some(other) => Err(format!(
            "another trial has the unit {unit}: end it, or `elenchus heal` it ({} is its mark)",
            folder.join(other).display()
        )),
        None => Ok(folder.join(own)),
    }
}

/// Writes the drop-in.
pub(super) fn write(path: &Path) -> Result<(), String> {
    let at = |error: io::Error| format!("{}: {error}", path.display());
    fs::create_dir_all(path.parent().unwrap_or(path)).and_then(|()| fs::write(path, DROP_IN)).map_err(at)
}

/// Leaves a unit as it was found: without our drop-in, with nothing that stands still, and running or not.
pub(super) fn restore(unit: &str, drop_in: &Path, ran: bool) -> Result<(), String> {
    match fs::remove_file(drop_in) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(format!("{}: {error}", drop_in.display()));
        }
        _ => {}
    }
    if let Some(folder) = drop_in.parent() {
        // Others may have drop-ins there.
        let _ = fs::remove_dir(folder);
    }
    programs::run("systemctl", &["daemon-reload"])?;
    let seen = Seen::ask(unit)?;
    signal(&seen.processes(), Signal::SIGCONT);
    if !ran {
        down(unit)?;
    }
    // It died of us: that is no failure of its own, and no start too many.
    let _ = programs::run("systemctl", &["reset-failed", "--", unit]);
    match ran {
        true => programs::run("systemctl", &["start", "--no-block", "--", unit]).map(drop),
        false => Ok(()),
    }
}

/// Stops a unit; by force, if it does not end.
fn down(unit: &str) -> Result<(), String> {
    programs::run("systemctl", &["stop", "--no-block", "--", unit])?;
    let deadline = Instant::now() + DOWN_LIMIT;
    while !Seen::ask(unit)?.is_down() {
        if Instant::now() > deadline {
            return slay(unit);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// Kills all processes of a unit, and waits until they are gone.
pub(super) fn slay(unit: &str) -> Result<(), String> {
    let deadline = Instant::now() + DOWN_LIMIT;
    loop {
        let seen = Seen::ask(unit)?;
        let left = seen.processes();
        if left.is_empty() {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(format!("{} processes of {unit} do not die", left.len()));
        }
        signal(&left, Signal::SIGKILL);
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_systemctl_says_is_read_and_garbage_is_nothing() {
        let text = "LoadState=loaded\nActiveState=active\nMainPID=71\nControlGroup=/system.slice/etcd.service\n\
                    InvocationID=ab\nExecMainCode=2\nExecMainStatus=9\nRestart=on-failure\nTriggeredBy=\n";
        let seen = Seen::parse(text);
        assert_eq!((seen.main, seen.code, seen.status), (71, 2, 9));
        assert_eq!(
            (seen.group.as_str(), seen.restart.as_str()),
            ("/system.slice/etcd.service", "on-failure")
        );
        assert!(!seen.is_down() && Seen::parse("ActiveState=failed").is_down());
        for garbage in ["", "=", "MainPID=x\nMainPID\n\u{0}", "MainPID=99999999999999"] {
            assert_eq!(Seen::parse(garbage), Seen::default(), "{garbage}");
        }
    }

    #[test]
    fn a_unit_without_a_process_of_its_own_has_none_and_never_everybodys() {
        for group in ["", "/", "//"] {
            let seen = Seen { group: group.into(), ..Seen::default() };
            assert_eq!(seen.processes(), [], "{group}");
        }
        assert_eq!(Seen { main: 1, ..Seen::default() }.leader(), None);
    }

    #[test]
    fn a_process_lies_in_its_units_group_and_in_none_of_a_similar_name() {
        let group = "/system.slice/etcd.service";
        assert!(lies_in("0::/system.slice/etcd.service\n", group));
        assert!(lies_in("0::/system.slice/etcd.service/worker\n", group));
        assert!(lies_in("4:memory:/\n1:name=systemd:/system.slice/etcd.service\n", group));
        assert!(!lies_in("0::/system.slice/etcd.service2\n0::/x/system.slice/etcd.service\n", group));
        assert!(!lies_in("garbage\n::\n", group));
    }

    #[test]
    fn a_name_is_that_of_a_service_or_refused() {
        assert_eq!(full_name("etcd"), Ok("etcd.service".into()));
        assert_eq!(full_name("etcd.service"), Ok("etcd.service".into()));
        assert_eq!(full_name("my.db@n1"), Ok("my.db@n1.service".into()));
        for no in ["", "-f", "../x", "a b", "x;y", "etcd.socket", "multi-user.target", "{node}"] {
            assert!(full_name(no).is_err(), "{no}");
        }
    }
}
