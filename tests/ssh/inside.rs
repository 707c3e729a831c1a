//! The way into namespaces of our own, and the tiny harness that runs the tests there.

use crate::bed::Bed;
use crate::{transport, trials, units};
use nix::unistd::Uid;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::{Command, ExitCode};

/// What the bed is made with.
const PROGRAMS: [&str; 8] = [
    "/usr/sbin/sshd",
    "/usr/bin/ssh-keygen",
    "/usr/bin/ssh-agent",
    "/usr/bin/ssh-add",
    "/usr/bin/unshare",
    "/usr/bin/nsenter",
    "/usr/bin/mount",
    "/usr/sbin/ip",
];

/// A test and its name.
pub type Test = (&'static str, fn(&Bed));

/// Runs this program again in namespaces that end with it.
pub fn enter(arguments: &[String]) -> ExitCode {
    if let Err(why) = possible() {
        let required = std::env::var("ELENCHUS_REQUIRE").unwrap_or_default();
        assert!(!required.split(',').any(|item| item == "sshd"), "ELENCHUS_REQUIRE names sshd, but {why}");
        println!("test result: ok. 0 passed; ignored: {why}");
        return ExitCode::SUCCESS;
    }
    let filter = arguments.iter().filter(|argument| !argument.starts_with('-'));
    let status =
        unshare().arg(std::env::current_exe().expect("this program")).arg("inside").args(filter).status();
    match status.expect("unshare runs").success() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

fn unshare() -> Command {
    let mut command = Command::new("unshare");
    command.args(["--net", "--mount", "--pid", "--uts", "--fork", "--kill-child", "--mount-proc"]);
    command
}

fn possible() -> Result<(), String> {
    if !Uid::effective().is_root() {
        return Err("hosts made of namespaces need root".into());
    }
    if let Some(lacking) = PROGRAMS.iter().find(|program| !Path::new(program).exists()) {
        return Err(format!("{lacking} is not installed"));
    }
    let tried = unshare().arg("true").output().map_err(|e| format!("unshare: {e}"))?;
    match tried.status.success() {
        true => Ok(()),
        false => {
            Err(format!("the kernel grants no namespaces: {}", String::from_utf8_lossy(&tried.stderr).trim()))
        }
    }
}

/// Makes the bed and runs every test whose name holds one of these words.
pub fn run(filter: &[&str]) -> ExitCode {
    let tests: Vec<Test> = [transport::TESTS, trials::TESTS, units::TESTS].concat();
    let chosen =
        tests.iter().filter(|(name, _)| filter.is_empty() || filter.iter().any(|word| name.contains(word)));
    let bed = Bed::make(5);
    let (mut passed, mut failed) = (0, vec![]);
    for (name, test) in chosen {
        let began = std::time::Instant::now();
        let result = catch_unwind(AssertUnwindSafe(|| test(&bed)));
        // Whatever a test did to the hosts is no business of the next.
        bed.restore();
        let seconds = began.elapsed().as_secs_f32();
        match result {
            Ok(()) => {
                passed += 1;
                println!("test {name} ... ok ({seconds:.1} s)");
            }
            Err(_) => {
                failed.push(*name);
                println!("test {name} ... FAILED ({seconds:.1} s)");
            }
        }
    }
    drop(bed);
    let word = if failed.is_empty() { "ok" } else { "FAILED" };
    println!("test result: {word}. {passed} passed; {} failed {failed:?}", failed.len());
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
