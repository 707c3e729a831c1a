//! Systems of the user's own: the examples, as a user runs them.
//!
//! They need etcd and Python, and say so where they are skipped; `ELENCHUS_REQUIRE` makes a skip a failure.

mod common;

use common::{Store, elenchus, events, expect_code, is_here, json, processes_naming, required, text};
use serde_json::Value;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// One trial at a time.
fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn example(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(name).join("campaign.toml");
    path.to_str().expect("text").to_owned()
}

/// Runs an example in a store, where namespaces are granted.
fn run(store: &Store, name: &str, more: &[&str]) -> Option<std::process::Output> {
    let (campaign, path) = (example(name), store.0.to_str().expect("text"));
    let output = elenchus(&[&["test", &campaign, "--store", path], more].concat());
    if text(&output.stderr).contains("no isolation") && !required("namespaces") {
        eprintln!("skipped: the kernel grants no namespaces");
        return None;
    }
    Some(output)
}

#[test]
fn etcd_keeps_its_promise_while_its_nodes_are_cut_killed_and_paused() {
    if !is_here("etcd") {
        return;
    }
    let (_turn, store) = (turn(), Store::new("etcd"));
    let more = [
        "--time-limit",
        "15s",
        "--nemesis-interval",
        "2s",
        "--nemesis",
        "partition,kill,pause",
        "--seed",
        "7",
    ];
    let Some(output) = run(&store, "etcd-local", &more) else { return };
    expect_code(&output, 0);
    let folder = store.latest();
    let ok = events(&folder).iter().filter(|event| event["type"] == "ok").count();
    assert!(ok >= 500, "only {ok} operations succeeded");
    assert_eq!(processes_naming(store.0.to_str().expect("text")), Vec::<String>::new());
}

#[test]
fn etcd_keeps_its_promise_while_its_clocks_lie() {
    if !is_here("etcd") {
        return;
    }
    let (_turn, store) = (turn(), Store::new("etcd-clock"));
    let more = ["--time-limit", "12s", "--nemesis-interval", "2s", "--nemesis", "clock", "--seed", "7"];
    let Some(output) = run(&store, "etcd-local", &more) else { return };
    if text(&output.stderr).contains("cannot suffer `clock` here") && !required("ptrace") {
        return eprintln!("skipped: {}", text(&output.stderr));
    }
    expect_code(&output, 0);
    let proofs = events(&store.latest()).into_iter().map(|event| event["value"]["proof"].clone());
    let hit: Vec<Value> = proofs.filter(|proof| proof["hit"] == true).collect();
    assert!(hit.iter().any(|proof| proof["text"].as_str().is_some_and(|text| text.contains("clock read"))));
}

#[test]
fn etcd_keeps_its_promise_while_its_members_come_and_go() {
    if !is_here("etcd") || !is_here("etcdctl") {
        return;
    }
    let (_turn, store) = (turn(), Store::new("etcd-members"));
    let more = ["--time-limit", "20s", "--nemesis", "membership,kill", "--rate", "60", "--seed", "5"];
    let Some(output) = run(&store, "etcd-local", &more) else { return };
    expect_code(&output, 0);
    let healed = events(&store.latest()).into_iter().map(|event| event["value"]["proof"]["text"].clone());
    let healed: Vec<Value> = healed.filter(|text| !text.is_null()).collect();
    assert!(
        healed.iter().any(|text| text.as_str().is_some_and(|text| text.contains("a new one"))),
        "{healed:?}"
    );
}

#[test]
fn scarce_resources_are_felt_and_given_back() {
    let (_turn, store) = (turn(), Store::new("resources"));
    let path = store.0.to_str().expect("text");
    let more = ["--time-limit", "8s", "--nemesis", "resources", "--nemesis-interval", "2s"];
    let output = elenchus(&[&["test", "--store", path], &more[..]].concat());
    if text(&output.stderr).contains("cannot suffer `resources` here") {
        return eprintln!("skipped: {}", text(&output.stderr));
    }
    expect_code(&output, 0);
    assert!(text(&output.stdout).contains("faults hit while an operation was open"));
}

#[test]
fn reads_past_etcds_leader_are_found_to_be_stale() {
    if !is_here("etcd") {
        return;
    }
    let (_turn, store) = (turn(), Store::new("etcd-stale"));
    for seed in ["1", "2", "3"] {
        let Some(output) = run(&store, "etcd-serializable-reads", &["--time-limit", "15s", "--seed", seed])
        else {
            return;
        };
        if output.status.code() == Some(1) {
            let verdicts = json(&store.latest().join("verdicts.json"));
            let anomalies = verdicts["verdicts"][0]["anomalies"].as_array().expect("there are anomalies");
            assert!(anomalies.iter().any(|anomaly| anomaly["class"] == "stale-read"), "{verdicts}");
            return;
        }
    }
    panic!("no stale read in three trials");
}

/// The verdict of this checker.
fn verdict_of(folder: &Path, checker: &str) -> serde_json::Value {
    let verdicts = json(&folder.join("verdicts.json"));
    let all = verdicts["verdicts"].as_array().expect("there are verdicts");
    let own = all.iter().find(|verdict| verdict["checker"] == checker);
    own.unwrap_or_else(|| panic!("no {checker} in {verdicts}")).clone()
}

#[test]
fn a_lock_of_etcds_whose_holder_pauses_longer_than_its_lease_is_held_twice() {
    if !is_here("etcd") {
        return;
    }
    let (_turn, store) = (turn(), Store::new("etcd-lock"));
    for seed in ["1", "2", "3"] {
        let Some(output) = run(&store, "etcd-lock", &["--time-limit", "20s", "--seed", seed]) else { return };
        if output.status.code() == Some(1) {
            let verdict = verdict_of(&store.latest(), "mutual-exclusion");
            assert_eq!(verdict["class"], "double-hold", "{verdict}");
            let holders = verdict["why"].as_str().expect("words").matches("process ").count();
            assert!(holders >= 2, "{verdict}");
            return;
        }
    }
    panic!("no lock was held twice in three trials");
}

#[test]
fn fencing_tokens_keep_whole_what_a_lock_held_twice_would_not() {
    if !is_here("etcd") {
        return;
    }
    let (_turn, store) = (turn(), Store::new("etcd-fencing"));
    let more = ["--fencing", "--time-limit", "15s", "--seed", "1"];
    let Some(output) = run(&store, "etcd-lock", &more) else { return };
    expect_code(&output, 0);
    let tokens = verdict_of(&store.latest(), "fencing-tokens");
    assert!(tokens["figures"]["grants"].as_u64() > Some(50), "{tokens}");
}

#[test]
fn what_etcd_keeps_of_sets_counters_banks_and_sequential_reads_is_valid() {
    if !is_here("etcd") {
        return;
    }
    let _turn = turn();
    let workloads: [&[&str]; 4] =
        [&["set"], &["counter"], &["bank"], &["register", "--consistency", "sequential"]];
    for workload in workloads {
        let store = Store::new(&format!("etcd-{}", workload[0]));
        let limits = ["--time-limit", "8s", "--nemesis", "partition,kill", "--nemesis-interval", "2s"];
        let more = [&limits[..], &["--seed", "3", "--workload"], workload].concat();
        let Some(output) = run(&store, "etcd-local", &more) else { return };
        expect_code(&output, 0);
        let ok = events(&store.latest()).iter().filter(|event| event["type"] == "ok").count();
        assert!(ok >= 300, "{workload:?}: only {ok} operations succeeded");
    }
}

#[test]
fn a_workload_is_refused_by_name_where_the_client_lacks_what_it_needs() {
    let store = Store::new("lacking");
    let path = store.0.to_str().expect("text");
    let output = elenchus(&["test", &example("python-client"), "--workload", "lock", "--store", path]);
    expect_code(&output, 254);
    let said = text(&output.stderr);
    assert!(said.contains("`lock` needs clients that offer lock"), "{said}");
}

#[test]
fn a_client_in_python_finds_the_bug_of_a_store_in_python() {
    if !is_here("python3") {
        return;
    }
    let (_turn, store) = (turn(), Store::new("python"));
    let Some(output) = run(&store, "python-client", &["--seed", "3"]) else { return };
    expect_code(&output, 1);
    let said = text(&output.stdout);
    assert!(said.contains("was acknowledged") && said.contains("INVALID"), "{said}");
}

#[test]
fn a_description_that_cannot_be_meant_is_refused_before_anything_starts() {
    let store = Store::new("absurd");
    let refused = |cluster: &str, words: &[&str]| {
        let path = store.0.join("campaign.toml");
        std::fs::write(&path, format!("nodes = 3\n[cluster]\n{cluster}\n")).expect("our own folder");
        let output = elenchus(&["plan", path.to_str().expect("text")]);
        expect_code(&output, 254);
        let said = text(&output.stderr);
        words.iter().for_each(|word| assert!(said.contains(word), "`{word}` is missing in: {said}"));
    };
    let client = "client = { kind = \"exec\", command = [\"true\"] }";
    refused(&format!("command = []\n{client}"), &["cluster", "names no program"]);
    refused(&format!("command = [\"x\", \"{{nodes}}\"]\n{client}"), &["command", "`{nodes}` is no hole"]);
    refused(&format!("command = [\"x\", \"{{port.client}}\"]\n{client}"), &["no such port"]);
    refused(
        &format!("command = [\"x\"]\nupload = {{ \"../y\" = \"x\" }}\n{client}"),
        &["upload", "leads out"],
    );
    refused(&format!("command = [\"x\"]\nfiles = {{ \"../y\" = \"\" }}\n{client}"), &["leads out"]);
    refused(&format!("command = [\"x\"]\nupload = {{ y = \"none\" }}\n{client}"), &["upload.y", "none"]);
    refused(
        &format!("command = [\"x\"]\nfiles = {{ y = {{ file = \"none\" }} }}\n{client}"),
        &["files.y", "none"],
    );
    refused(
        &format!("command = [\"x\"]\nenv = {{ Y = {{ env = \"ELENCHUS_NO_SUCH\" }} }}\n{client}"),
        &["ELENCHUS_NO_SUCH"],
    );
    refused(&format!("command = [\"x\"]\ncampaign = \"/y\"\n{client}"), &["campaign", "leave it out"]);
    refused(&format!("command = [\"x\"]\ncolour = 1\n{client}"), &["line 4", "colour"]);
    let hosts = format!("command = [\"x\"]\n{client}\nhosts = [\"h1\", \"h2\", \"h3\"]");
    refused(&format!("{hosts}\nssh = {{ password = \"secret\" }}"), &["line 6", "password"]);
    refused(
        &format!("{hosts}\nssh = {{ password = {{ env = \"ELENCHUS_NO_SUCH\" }} }}"),
        &["ssh.password", "ELENCHUS_NO_SUCH"],
    );
    refused(&format!("{hosts}\nssh = {{ folder = \"/\" }}"), &["ssh.folder"]);
    refused(&format!("{hosts}\nssh = {{ config = \"/no/such\" }}"), &["ssh.config", "/no/such"]);
    refused(&format!("{hosts}\nssh = {{ jump = \"a b\" }}"), &["jump host", "user@host:port"]);
    refused(&format!("command = [\"x\"]\n{client}\nssh = {{ user = \"u\" }}"), &["[cluster.hosts]"]);
    refused(&format!("command = [\"x\"]\n{client}\nhosts = [\"h1\", \"h2\"]"), &["n3", "no host"]);
    refused(&format!("command = [\"x\"]\n{client}\nhosts = [\"h1:0\"]"), &["line 5", "user@host:port"]);
    let units = format!("unit = \"db\"\n{client}");
    refused(&units, &["cluster: unit", "on hosts over SSH only"]);
    refused(&format!("command = [\"x\"]\n{client}\n[cluster.node.n2]\nunit = \"db\""), &["over SSH only"]);
    let units = format!("{units}\nhosts = [\"h1\", \"h2\", \"h3\"]");
    refused(&format!("command = [\"x\"]\n{units}"), &["unit", "leave one out"]);
    refused(&format!("{units}\nenv = {{ A = \"b\" }}"), &["env", "systemctl edit"]);
    refused(&format!("{units}\nuser = \"nobody\""), &["user", "systemctl edit"]);
    refused(&format!("{units}\nstop = [\"x\"]"), &["stop", "systemctl edit"]);
    refused(&format!("{units}\n[cluster.node.n1]\nenv = {{ A = \"b\" }}"), &["node.n1.env"]);
    refused(&format!("{units}\nready = {{ log = \"up\" }}"), &["ready.log", "journal"]);
    refused(&format!("{units}\nmembership = {{ add = \"a\", remove = \"b\" }}"), &["membership", "unit"]);
    refused(
        &format!("unit = \"{{unit}}\"\n{client}\nhosts = [\"h1\", \"h2\", \"h3\"]"),
        &["`{unit}` is no hole"],
    );
    refused(
        &format!("command = [\"x\"]\n{client}\n[cluster.leader]\nleader = \"/x\"\nis = \"y\""),
        &["either `http` or `command`"],
    );
}
