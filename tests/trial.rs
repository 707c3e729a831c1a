//! Live trials of the bundled cluster, from the command line to the report, as a user runs them.
//!
//! Each test here owns both cores for a while, so they take turns. The long forms are ignored by default:
//! `cargo test --release --test trial -- --ignored --nocapture`.

mod common;

use common::{Store, events, expect_code, json, processes_naming, program, required, text};
use serde_json::Value;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// One trial at a time.
fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Who runs the trial.
#[derive(Clone, Copy, Debug)]
enum User {
    /// Whoever runs the tests.
    Myself,
    /// Nobody: no rights at all. Only root can become nobody.
    Nobody,
}

/// A command under this user.
fn command(user: User, arguments: &[&str]) -> Command {
    let mut command = match user {
        User::Nobody if nix_is_root() => {
            let mut command = Command::new("setpriv");
            command.args(["--reuid=65534", "--regid=65534", "--clear-groups", program()]);
            command
        }
        _ => Command::new(program()),
    };
    command.args(arguments).stdin(Stdio::null()).env("HOME", std::env::temp_dir());
    command
}

fn nix_is_root() -> bool {
    std::fs::read_to_string("/proc/self/status")
        .is_ok_and(|status| status.lines().any(|line| line.starts_with("Uid:\t0\t")))
}

fn run(user: User, store: &Store, arguments: &[&str]) -> Output {
    let path = store.0.to_str().expect("text");
    let mut all = vec!["test", "--store", path];
    all.extend(arguments);
    command(user, &all).output().expect("the program starts")
}

/// Starts a trial and returns once clients are at work.
fn start(store: &Store, arguments: &[&str]) -> Child {
    let path = store.0.to_str().expect("text");
    let mut all = vec!["test", "--store", path];
    all.extend(arguments);
    let mut child =
        command(User::Myself, &all).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(60) {
        let history = store.current().map(|folder| folder.join("history.jsonl"));
        let length = history.and_then(|path| std::fs::metadata(path).ok()).map_or(0, |data| data.len());
        if length > 100_000 {
            return child;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    child.kill().expect("it runs");
    child.wait().expect("it ends");
    panic!("no history after a minute");
}

#[track_caller]
fn nothing_left(store: &Store) {
    let marker = store.0.to_str().expect("text");
    let begun = Instant::now();
    loop {
        let left = processes_naming(marker);
        if left.is_empty() {
            return;
        }
        assert!(begun.elapsed() < Duration::from_secs(5), "left behind: {left:#?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// What the acceptance of a default trial counts.
struct Count {
    ok: usize,
    ok_while_partitioned: usize,
    leaders: usize,
    hit: Vec<String>,
}

impl Count {
    fn of(folder: &Path) -> Count {
        let mut count = Count { ok: 0, ok_while_partitioned: 0, leaders: 0, hit: Vec::new() };
        let mut partitions = 0;
        for event in events(folder) {
            let phase = event["value"]["phase"].as_str().unwrap_or_default();
            match (event["type"].as_str(), event["f"].as_str(), phase) {
                (Some("ok"), ..) => {
                    count.ok += 1;
                    count.ok_while_partitioned += usize::from(partitions > 0);
                }
                (_, Some("partition"), "injected") => partitions += 1,
                (_, Some("partition"), "healed") => partitions -= 1,
                (_, Some("leader"), _) => count.leaders += 1,
                _ => {}
            }
            if event["value"]["proof"]["hit"] == Value::Bool(true) {
                let f = event["f"].as_str().unwrap_or_default().to_owned();
                if !count.hit.contains(&f) {
                    count.hit.push(f);
                }
            }
        }
        count
    }
}

#[track_caller]
fn a_good_trial(user: User, arguments: &[&str]) {
    let _turn = turn();
    let store = Store::new("good");
    let output = run(user, &store, arguments);
    expect_code(&output, 0);
    // What a failure below is about: the seed, and which faults hit.
    println!("{}{}", text(&output.stdout), text(&output.stderr));
    let folder = store.latest();
    let count = Count::of(&folder);
    assert!(count.ok >= 2000, "{} ok operations", count.ok);
    assert!(count.ok_while_partitioned >= 200, "{} ok while partitioned", count.ok_while_partitioned);
    assert!(count.leaders >= 3, "{} leaders, the first included", count.leaders);
    for fault in ["partition", "kill", "pause", "clock"] {
        assert!(count.hit.iter().any(|hit| hit == fault), "{fault} never hit: {:?}", count.hit);
    }
    let page = std::fs::read_to_string(folder.join("report/index.html")).expect("a report");
    assert!(page.contains("</html>"));
    nothing_left(&store);
}

#[test]
fn the_main_job_is_valid_for_whoever_has_no_rights_at_all() {
    a_good_trial(User::Nobody, &[]);
}

#[test]
fn the_main_job_is_valid_by_proxy() {
    a_good_trial(User::Nobody, &["--isolation", "proxy"]);
}

#[test]
fn packets_suffer_where_nodes_have_networks_and_streams_elsewhere() {
    let _turn = turn();
    let store = Store::new("packets");
    let faults = ["--nemesis", "packets,partition", "--nodes", "3", "--time-limit", "8s"];
    let suffer = |arguments: &[&str]| {
        let output = run(User::Nobody, &store, arguments);
        expect_code(&output, 0);
        println!("{}{}", text(&output.stdout), text(&output.stderr));
        let count = Count::of(&store.latest());
        assert!(count.hit.iter().any(|hit| hit == "packets"), "{:?}", count.hit);
        nothing_left(&store);
    };
    suffer(&[&faults[..], &["--isolation", "proxy"]].concat());
    if let Err(why) = elenchus::host::packets::probe() {
        assert!(!required("namespaces"), "{why}");
        eprintln!("skipped: {why}");
        return;
    }
    suffer(&faults);
}

#[test]
fn what_takes_root_is_refused_to_whoever_has_no_rights_at_all() {
    let planned = |arguments: &[&str]| {
        let output = command(User::Nobody, &[&["plan"], arguments].concat()).output().expect("it starts");
        (output.status.code(), text(&output.stderr).to_string())
    };
    let described = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/python-client/campaign.toml");
    if !nix_is_root() {
        return eprintln!("skipped: this user may have rights that others have not");
    }
    for arguments in [&["--nemesis", "resources"][..], &[described, "--nemesis", "resources"]] {
        let (code, why) = planned(arguments);
        assert!(code == Some(254) && (why.contains("root")), "{why}");
    }
    for fault in ["power", "disk"] {
        let (code, why) = planned(&["--nemesis", fault]);
        assert!(code == Some(0) || code == Some(254) && why.contains("/dev/fuse"), "{fault}: {why}");
    }
}

#[test]
fn files_are_harmed_by_whoever_has_no_rights_at_all() {
    let _turn = turn();
    let store = Store::new("damage");
    let campaign = store.0.join("damage.toml");
    let strike = "at = \"1s\"\nfor = \"1s\"\nfault = { damage = { nodes = [\"n1\"], harm = \"truncate\" } }";
    let text_of = format!("nodes = 3\nrate = 200\ntime-limit = \"3s\"\n[[schedule]]\n{strike}\n");
    std::fs::write(&campaign, text_of).expect("a folder of ours");
    let output = run(User::Nobody, &store, &[campaign.to_str().expect("text")]);
    // Beyond what the cluster assumes it may fail; but it is judged, and says so.
    assert!(matches!(output.status.code(), Some(0..=2)), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("beyond its assumptions: damage"), "{}", text(&output.stdout));
    assert!(Count::of(&store.latest()).hit.iter().any(|hit| hit == "damage"));
    nothing_left(&store);
}

#[test]
fn set_and_bank_are_valid_under_faults() {
    let _turn = turn();
    for workload in ["set", "bank"] {
        let store = Store::new(workload);
        expect_code(&run(User::Myself, &store, &["-w", workload, "--time-limit", "8s"]), 0);
        consensus_was_examined(&store.latest());
        nothing_left(&store);
    }
}

/// The nodes' traces say enough for every invariant, also when they are judged again by themselves.
#[track_caller]
fn consensus_was_examined(folder: &Path) {
    let verdicts = json(&folder.join("verdicts.json"));
    let mut all = verdicts["verdicts"].as_array().into_iter().flatten();
    let verdict = all.find(|verdict| verdict["checker"] == "consensus").expect("the traces are judged");
    assert_eq!(verdict["validity"], "valid", "{verdict}");
    for figure in
        ["terms", "leaders", "elections", "commits", "entries", "committed", "states", "acknowledgements"]
    {
        assert!(verdict["figures"][figure].as_u64() > Some(0), "{figure}: {verdict}");
    }
    let output = common::elenchus(&["check-trace", "--json", folder.to_str().expect("text")]);
    expect_code(&output, 0);
    let told: Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
    assert_eq!(told["examined"]["committed"], verdict["figures"]["committed"]);
}

#[test]
fn an_interrupted_trial_is_healed_and_judged_and_leaves_nothing() {
    let _turn = turn();
    let store = Store::new("interrupt");
    let child = start(&store, &["--time-limit", "60s"]);
    signal(child.id(), "-INT");
    let output = child.wait_with_output().expect("it ends");
    expect_code(&output, 2);
    assert!(text(&output.stdout).contains("interrupted"), "{}", text(&output.stdout));
    assert!(store.latest().join("report/index.html").is_file());
    nothing_left(&store);
}

#[test]
fn a_killed_trial_can_be_judged_and_healed() {
    let _turn = turn();
    let store = Store::new("killed");
    let mut child = start(&store, &["--time-limit", "60s"]);
    child.kill().expect("it runs");
    child.wait().expect("it ends");
    // As a user would name it: the trial that was killed is the latest.
    let folder = store.latest();
    let path = folder.to_str().expect("text");
    let check = common::elenchus(&["check", path]);
    expect_code(&check, 2);
    assert!(text(&check.stdout).contains("killed"), "{}", text(&check.stdout));
    expect_code(&common::elenchus(&["heal", path]), 0);
    assert!(!folder.join("data").exists(), "the nodes' data is left");
    expect_code(&common::elenchus(&["heal", "--store", store.0.to_str().expect("text")]), 0);
    nothing_left(&store);
}

fn signal(pid: u32, signal: &str) {
    let status = Command::new("kill").args([signal, &pid.to_string()]).status().expect("kill(1)");
    assert!(status.success());
}

/// Looks for a bug until it is found; the same seeds must pass without it.
#[track_caller]
fn found(bug: &str, arguments: &[&str], runs: u64, with_twin: bool) {
    let _turn = turn();
    for seed in 1..=runs {
        let store = Store::new(bug);
        let seed = seed.to_string();
        let mut all = vec!["--seed", &seed];
        all.extend(arguments);
        let twin = all.clone();
        all.extend(["--bug", bug]);
        let output = run(User::Myself, &store, &all);
        if output.status.code() != Some(1) {
            eprintln!("{bug}: seed {seed}: {:?}", output.status.code());
            continue;
        }
        let verdicts = json(&store.latest().join("verdicts.json"));
        let anomaly =
            verdicts["verdicts"].as_array().into_iter().flatten().find_map(|v| v["anomalies"].get(0));
        let anomaly = anomaly.expect("an invalid verdict names its reason");
        eprintln!("{bug}: seed {seed}: {}: {}", anomaly["class"], anomaly["sentence"]);
        assert!(!anomaly["operations"].as_array().expect("a list").is_empty());
        if with_twin {
            let store = Store::new("twin");
            expect_code(&run(User::Myself, &store, &twin), 0);
        }
        return;
    }
    panic!("{bug} was not found in {runs} runs");
}

#[test]
fn a_leader_that_acknowledges_too_early_is_found() {
    found("ack-before-commit", &["--time-limit", "15s"], 5, false);
}

#[test]
#[ignore = "long: up to fifteen trials of 30 s, each with its twin"]
fn every_first_bug_is_found_within_five_runs_and_its_twin_passes() {
    found("stale-read", &["--time-limit", "30s"], 5, true);
    found("ack-before-commit", &["--time-limit", "30s"], 5, true);
    found("double-apply", &["--time-limit", "30s"], 5, true);
}

#[test]
#[ignore = "long: twenty trials of 20 s"]
fn twenty_trials_in_a_row_are_valid() {
    for seed in 100..120u64 {
        let seed = seed.to_string();
        eprintln!("seed {seed}");
        a_good_trial(User::Nobody, &["--seed", &seed]);
    }
}
