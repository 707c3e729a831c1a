//! Whole trials on disks that fail: what was synced is kept, and who does not sync is found out.
//!
//! They need `/dev/fuse` and the right to mount, and say so where they are skipped; `fuse` in
//! `ELENCHUS_REQUIRE` makes a skip a failure.
#![cfg(target_os = "linux")]

mod common;

use common::{Store, elenchus, events, expect_code, processes_naming, required, text};
use serde_json::Value;
use std::path::Path;
use std::process::Output;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// One trial at a time, where disks can fail.
fn turn() -> Option<MutexGuard<'static, ()>> {
    static TURN: Mutex<()> = Mutex::new(());
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    match elenchus::host::disk::probe() {
        Ok(_) => Some(turn),
        Err(why) => {
            assert!(!required("fuse"), "ELENCHUS_REQUIRE names fuse: {why}");
            eprintln!("skipped: {why}");
            None
        }
    }
}

fn etcd_is_here() -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let here = std::env::split_paths(&path).any(|folder| folder.join("etcd").is_file());
    assert!(here || !required("etcd"), "ELENCHUS_REQUIRE names etcd, and it is not installed");
    if !here {
        eprintln!("skipped: etcd is not installed");
    }
    here
}

fn run(store: &Store, arguments: &[&str]) -> Output {
    let output = elenchus(&[&["test", "--store", store.0.to_str().expect("text")], arguments].concat());
    let left = processes_naming(store.0.to_str().expect("text"));
    assert_eq!(left, Vec::<String>::new(), "something is left of the trial");
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").expect("/proc");
    assert!(!mounts.contains(store.0.to_str().expect("text")), "a mount is left of the trial");
    output
}

/// What showed that faults of this kind struck, and whether they did.
fn proofs(folder: &Path, kind: &str) -> Vec<(String, bool)> {
    let proof = |event: Value| {
        let proof = &event["value"]["proof"];
        Some((proof["text"].as_str()?.to_owned(), proof["hit"] == true))
    };
    events(folder).into_iter().filter(|event| event["f"] == kind).filter_map(proof).collect()
}

#[test]
fn the_bundled_cluster_keeps_its_promise_without_power_and_on_ailing_disks() {
    let Some(_turn) = turn() else { return };
    let store = Store::new("power-bundled");
    let flags = ["--nemesis", "power,kill,disk", "--time-limit", "15s", "--rate", "200", "--seed", "4"];
    let output = run(&store, &flags);
    expect_code(&output, 0);
    let folder = store.latest();
    let power = proofs(&folder, "power");
    assert!(power.iter().any(|(text, hit)| *hit && text.contains("no power")), "{power:?}");
}

#[test]
fn etcd_without_syncs_is_found_to_lose_what_it_acknowledged() {
    let Some(_turn) = turn() else { return };
    if !etcd_is_here() {
        return;
    }
    let campaign = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/etcd-power/unsafe-no-fsync.toml");
    for seed in ["1", "2", "3"] {
        let store = Store::new("power-etcd");
        let flags = [campaign.to_str().expect("text"), "--time-limit", "20s", "--seed", seed];
        let output = run(&store, &flags);
        if output.status.code() == Some(1) {
            assert!(text(&output.stdout).contains("was acknowledged"), "{}", text(&output.stdout));
            return;
        }
    }
    panic!("nothing was lost in three trials");
}

#[test]
fn etcd_with_syncs_loses_nothing() {
    let Some(_turn) = turn() else { return };
    if !etcd_is_here() {
        return;
    }
    let campaign = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/etcd-power/campaign.toml");
    let store = Store::new("power-etcd-safe");
    let output = run(&store, &[campaign.to_str().expect("text"), "--time-limit", "20s", "--seed", "2"]);
    expect_code(&output, 0);
    assert!(proofs(&store.latest(), "power").iter().any(|(_, hit)| *hit));
}

#[test]
fn faults_of_disks_are_refused_where_their_mounts_could_outlive_the_trial() {
    let output = elenchus(&["plan", "--nemesis", "power", "--isolation", "proxy"]);
    expect_code(&output, 254);
    assert!(text(&output.stderr).contains("namespaces"), "{}", text(&output.stderr));
}
