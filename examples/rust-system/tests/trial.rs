//! The example as a user runs it: a program of our own that has the whole command line.

use std::path::PathBuf;
use std::process::{Command, Output};

fn run(store: &str, arguments: &[&str]) -> (Output, PathBuf) {
    let store = std::env::temp_dir().join(format!("rust-system-{}-{store}", std::process::id()));
    let mut command = Command::new(env!("CARGO_BIN_EXE_rust-system"));
    let output = command.args(arguments).args(["--store", store.to_str().expect("text")]).output();
    (output.expect("the program starts"), store)
}

#[track_caller]
fn expect_code(output: &Output, code: i32) {
    let said = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    assert_eq!(output.status.code(), Some(code), "{}", said.concat());
}

const SHORT: [&str; 9] =
    ["--nodes", "3", "--time-limit", "5s", "--rate", "100", "--nemesis", "kill", "--seed"];

#[test]
fn a_store_of_our_own_keeps_its_promise_while_it_is_killed() {
    let (output, store) = run("shelf", &[&["test", "--system", "shelf"], &SHORT[..], &["3"]].concat());
    expect_code(&output, 0);
    let trial = std::fs::read_to_string(store.join("latest/trial.json")).expect("a trial");
    assert!(trial.contains("the first node answers"), "{trial}");
    let _ = std::fs::remove_dir_all(store);
}

#[test]
fn its_bug_is_found_and_the_command_that_repeats_it_is_our_own() {
    // All nodes at once, so that the first is among them.
    let campaign = std::env::temp_dir().join(format!("rust-system-{}.toml", std::process::id()));
    let schedule = "system = \"forgetful\"\nnodes = 3\ntime-limit = \"5s\"\nrate = 100\n\
                    [[schedule]]\nat = \"2s\"\nfor = \"1s\"\nfault = { kill = { nodes = \"primaries\" } }\n";
    std::fs::write(&campaign, schedule).expect("a temporary file");
    let (output, store) = run("forgetful", &["test", campaign.to_str().expect("text"), "--seed", "3"]);
    expect_code(&output, 1);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("again: rust-system test"), "{said}");
    let _ = (std::fs::remove_dir_all(store), std::fs::remove_file(campaign));
}

#[test]
fn what_it_adds_is_listed_beside_what_comes_along() {
    let output = Command::new(env!("CARGO_BIN_EXE_rust-system")).arg("list").output().expect("it starts");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("shelf") && said.contains("bundled") && said.contains("register"), "{said}");
}
