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
    let (mut passed, mut failed, mut ignored) = (0, vec![], 0);
    for (is_nobody, (name, _)) in users.iter().flat_map(|user| SCENARIOS.iter().map(move |s| (*user, s))) {
        let full = format!("{name}{}", if is_nobody { " as nobody" } else { "" });
        if !filters.iter().all(|filter| full.contains(*filter)) {
            continue;
        }
        let folder = base.join(full.replace(' ', "-"));
        make_open(&folder);
        let mut command = Command::new(&program);
        command.args(["scenario", name]).arg(&folder).stdin(Stdio::null());
        if is_nobody {
            command.uid(65534).gid(65534);
        }
        let output = command.output().unwrap();
        let stdout = String::from_utf8_lossy(&output.stdout);
        let left = left(&folder);
        match output.status.code() {
            Some(0) if left.is_empty() => {
                println!(
                    "test {full} ... ok{}",
                    stdout.lines().map(|line| format!(", {line}")).collect::<String>()
                );
                passed += 1;
            }
            Some(code) if code == i32::from(REFUSED) => {
                println!("test {full} ... ignored, {}", stdout.trim());
                ignored += 1;
            }
            _ => {
                let stderr = String::from_utf8_lossy(&output.stderr);
                println!("test {full} ... FAILED\n{stdout}{stderr}{left:?}");
                failed.push(full);
            }
        }
    }
    let verdict = if failed.is_empty() { "ok" } else { "FAILED" };
    println!("\ntest result: {verdict}. {passed} passed; {} failed; {ignored} ignored", failed.len());
    if failed.is_empty() {
        let _ = fs::remove_dir_all(&base);
        ExitCode::SUCCESS
    } else {
        println!("the folders are kept: {}", base.display());
        ExitCode::FAILURE
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
