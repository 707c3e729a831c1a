//! What the end-to-end tests share: a store of their own, the program, and what it left.

#![allow(dead_code)] // Each test binary uses a part of this.

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A fresh store that goes away with the test.
pub struct Store(pub PathBuf);

impl Store {
    /// A store that anybody may write to, so that a test can hand it to an unprivileged user.
    pub fn new(name: &str) -> Store {
        let path = std::env::temp_dir().join(format!("elenchus-test-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).expect("a temporary folder");
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o777)).expect("our own folder");
        Store(path)
    }

    /// Runs the program in this folder, its arguments apart by spaces; its exit code, and all that it said.
    pub fn run(&self, words: &str) -> (Option<i32>, String) {
        let mut command = Command::new(program());
        let output = command.args(words.split_whitespace()).current_dir(&self.0).output();
        let output = output.expect("the program starts");
        (output.status.code(), text(&output.stdout) + &text(&output.stderr))
    }

    /// The only trial in the store.
    pub fn latest(&self) -> PathBuf {
        self.0.join("latest").canonicalize().expect("a finished trial")
    }

    /// The trial that runs or ran last.
    pub fn current(&self) -> Option<PathBuf> {
        self.0.join("current").canonicalize().ok()
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the store is kept: {}", self.0.display());
        } else {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }
}

/// The program under test.
pub fn program() -> &'static str {
    env!("CARGO_BIN_EXE_elenchus")
}

/// Runs the program to its end.
pub fn elenchus(arguments: &[&str]) -> Output {
    Command::new(program()).args(arguments).output().expect("the program starts")
}

/// The exit code, or a panic that shows what the program said.
#[track_caller]
pub fn expect_code(output: &Output, code: i32) {
    assert_eq!(output.status.code(), Some(code), "{}{}", text(&output.stdout), text(&output.stderr));
}

/// Bytes as text.
pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A JSON file.
#[track_caller]
pub fn json(path: &Path) -> Value {
    let bytes = std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_slice(&bytes).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// The events of a trial, in order.
pub fn events(folder: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(folder.join("history.jsonl")).expect("a history");
    text.lines().skip(1).map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
}

/// Processes, other than zombies, whose command line or environment names `marker`.
pub fn processes_naming(marker: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").expect("/proc").flatten() {
        let path = entry.path();
        if entry.file_name().to_str().is_none_or(|name| name.parse::<u32>().is_err()) {
            continue;
        }
        let stat = std::fs::read_to_string(path.join("stat")).unwrap_or_default();
        let is_zombie = stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('Z'));
        let command = text(&std::fs::read(path.join("cmdline")).unwrap_or_default()).replace('\0', " ");
        if !is_zombie && command.contains(marker) {
            found.push(format!("{}: {command}", entry.file_name().to_string_lossy()));
        }
    }
    found
}

/// Whether what must be there on this machine may be absent: then a test may skip itself.
pub fn required(what: &str) -> bool {
    std::env::var("ELENCHUS_REQUIRE").is_ok_and(|list| list.split(',').any(|item| item == what))
}

/// Whether a program is in `PATH`.
pub fn is_here(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let here = std::env::split_paths(&path).any(|folder| folder.join(program).is_file());
    assert!(here || !required(program), "ELENCHUS_REQUIRE names {program}, and it is not installed");
    if !here {
        eprintln!("skipped: {program} is not installed");
    }
    here
}
