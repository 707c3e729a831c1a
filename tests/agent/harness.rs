//! The tiny harness: each scenario in a process, in a trial, in a folder of its own.

use crate::scenarios::SCENARIOS;
use elenchus::host::{HostError, IsolationRequest, Wish, run_trial};
use elenchus_core::process::NodeId;
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{Gid, Uid};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Says that the machine cannot run scenarios.
const REFUSED: u8 = 77;

/// Runs one scenario in the controller of a trial with three nodes.
pub fn scenario(name: &str, folder: &str) -> ExitCode {
    if !Uid::effective().is_root()
        && let Err(why) = become_root()
    {
        println!("no user namespace: {why}");
        return REFUSED.into();
    }
    let (_, play) = SCENARIOS.iter().find(|(known, _)| *known == name).expect("a scenario of this name");
    let nodes = NodeId::numbered(3);
    let wish = Wish { isolation: IsolationRequest::Namespaces, nodes: &nodes, port_base: None };
    let ended = run_trial(wish, Path::new(folder), |ground| {
        play(ground, Path::new(folder));
        0
    });
    match ended {
        Ok(ended) if ended.controller == Some(elenchus::host::Status::Exited(0)) => ExitCode::SUCCESS,
        Ok(ended) => {
            println!("the scenario's process: {:?}", ended.controller);
            ExitCode::FAILURE
        }
        Err(HostError::Refused(why)) => {
            println!("{why}");
            REFUSED.into()
        }
        Err(error) => panic!("{error}"),
    }
}

/// Goes into a user namespace in which we are root.
fn become_root() -> std::io::Result<()> {
    let (user, group) = (Uid::effective(), Gid::effective());
    unshare(CloneFlags::CLONE_NEWUSER)?;
    fs::write("/proc/self/setgroups", "deny")?;
    fs::write("/proc/self/uid_map", format!("0 {user} 1"))?;
    fs::write("/proc/self/gid_map", format!("0 {group} 1"))
}

/// Runs the scenarios whose names contain the arguments that are no flags.
pub fn run_all(arguments: &[String]) -> ExitCode {
    let filters: Vec<&String> = arguments.iter().filter(|a| !a.starts_with('-')).collect();
    let base = std::env::temp_dir().join(format!("elenchus-agent-{}", std::process::id()));
    make_open(&base);
    // Nobody may be unable to reach the folder that this was built in.
    let program = base.join("program");
    fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    let users: &[bool] = if Uid::effective().is_root() { &[false, true] } else { &[false] };
    let all = users.iter().flat_map(|user| SCENARIOS.iter().map(move |(name, _)| (*user, *name)));
    let full = |is_nobody: bool, name: &str| format!("{name}{}", if is_nobody { " as nobody" } else { "" });
    let wanted: Vec<(bool, &str)> =
        all.filter(|(user, name)| filters.iter().all(|f| full(*user, name).contains(*f))).collect();
    // They mostly wait, each in a network of its own: several run beside each other.
    let next = AtomicUsize::new(0);
    let results: Vec<Ended> = std::thread::scope(|scope| {
        let work = || {
            let mut ended = vec![];
            while let Some((is_nobody, name)) = wanted.get(next.fetch_add(1, Ordering::Relaxed)) {
                let result = run(&program, &base, name, *is_nobody);
                let full = full(*is_nobody, name);
                match &result {
                    Ended::Passed(said) => println!("test {full} ... ok{said}"),
                    Ended::Ignored(why) => println!("test {full} ... ignored, {why}"),
                    Ended::Failed(said) => println!("test {full} ... FAILED\n{said}"),
                }
                ended.push(result);
            }
            ended
        };
        let workers: Vec<_> = (0..4).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("a worker panics nowhere")).collect()
    });
    let count = |wanted: fn(&Ended) -> bool| results.iter().filter(|ended| wanted(ended)).count();
    let passed = count(|ended| matches!(ended, Ended::Passed(_)));
    let failed = count(|ended| matches!(ended, Ended::Failed(_)));
    let ignored = count(|ended| matches!(ended, Ended::Ignored(_)));
    let verdict = if failed == 0 { "ok" } else { "FAILED" };
    println!("\ntest result: {verdict}. {passed} passed; {failed} failed; {ignored} ignored");
    if failed == 0 {
        let _ = fs::remove_dir_all(&base);
        ExitCode::SUCCESS
    } else {
        println!("the folders are kept: {}", base.display());
        ExitCode::FAILURE
    }
}

/// How a scenario ended, and what it had to say.
enum Ended {
    Passed(String),
    Ignored(String),
    Failed(String),
}

/// Runs one scenario in a process of its own, and makes sure that nothing of it is left.
fn run(program: &Path, base: &Path, name: &str, is_nobody: bool) -> Ended {
    // No folder's name may begin with another's: by it is found what is left.
    let folder = base.join(if is_nobody { "nobody" } else { "root" }).join(name);
    make_open(&folder);
    let mut command = Command::new(program);
    command.args(["scenario", name]).arg(&folder).stdin(Stdio::null());
    if name.contains("by_netem") {
        command.env(elenchus::host::packets::VARIABLE, "netem");
    }
    if is_nobody {
        command.uid(65534).gid(65534);
    }
    let output = command.output().unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout);
    let left = left(&folder);
    match output.status.code() {
        Some(0) if left.is_empty() => Ended::Passed(stdout.lines().map(|line| format!(", {line}")).collect()),
        Some(code) if code == i32::from(REFUSED) => Ended::Ignored(stdout.trim().to_owned()),
        _ => {
            let stderr = String::from_utf8_lossy(&output.stderr);
            Ended::Failed(format!("{stdout}{stderr}left: {left:?}"))
        }
    }
}

/// Makes a folder that everybody may write to.
fn make_open(path: &Path) {
    fs::create_dir_all(path).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o777)).unwrap();
}

/// All processes, zombies aside, that have the scenario's folder in their arguments or environment.
fn left(folder: &Path) -> Vec<String> {
    let folder = folder.to_str().unwrap();
    let mut left = vec![];
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let read = |name: &str| {
            let bytes = fs::read(entry.path().join(name)).unwrap_or_default();
            String::from_utf8_lossy(&bytes).into_owned()
        };
        let is_zombie = read("stat").rsplit_once(')').is_none_or(|(_, rest)| rest.starts_with(" Z"));
        if !is_zombie && (read("cmdline") + &read("environ")).contains(folder) {
            left.push(format!("{}: {}", entry.file_name().display(), read("cmdline").replace('\0', " ")));
        }
    }
    left
}
