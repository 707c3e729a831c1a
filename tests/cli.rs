//! The command line as a user meets it, without a cluster.

mod common;

use common::{Store, elenchus, events, expect_code, json, text};

#[track_caller]
fn refused(arguments: &[&str], words: &[&str]) {
    let output = elenchus(arguments);
    expect_code(&output, 254);
    let said = text(&output.stderr);
    for word in words {
        assert!(said.contains(word), "`{word}` is missing in: {said}");
    }
}

#[test]
fn a_trial_in_memory_is_valid_and_leaves_a_folder_that_can_be_judged_again() {
    let store = Store::new("memory");
    let path = store.0.to_str().expect("text");
    let output =
        elenchus(&["test", "--system", "memory", "--time-limit", "1s", "--rate", "2000", "--store", path]);
    expect_code(&output, 0);
    let folder = store.latest();
    for file in ["plan.json", "trial.json", "history.jsonl", "verdicts.json", "report/index.html"] {
        assert!(folder.join(file).is_file(), "{file} is missing");
    }
    let ok = events(&folder).iter().filter(|event| event["type"] == "ok").count();
    assert!(ok > 500, "{ok} operations");
    let before = json(&folder.join("verdicts.json"));
    std::fs::remove_file(folder.join("verdicts.json")).expect("it was there");
    expect_code(&elenchus(&["check", folder.to_str().expect("text")]), 0);
    assert_eq!(before["validity"], json(&folder.join("verdicts.json"))["validity"]);
    expect_code(&elenchus(&["report", folder.to_str().expect("text")]), 0);
}

#[test]
fn a_build_server_can_read_the_trials() {
    let store = Store::new("junit");
    let (path, file) = (store.0.to_str().expect("text"), store.0.join("junit.xml"));
    let limits = ["--system", "memory", "--time-limit", "300ms", "--test-count", "2"];
    let output = elenchus(
        &[&["test", "--store", path, "--junit", file.to_str().expect("text")], &limits[..]].concat(),
    );
    expect_code(&output, 0);
    let xml = std::fs::read_to_string(&file).expect("it was written");
    assert!(xml.contains("tests=\"2\" failures=\"0\" errors=\"0\""), "{xml}");
}

#[test]
fn every_workload_is_valid_in_memory() {
    let workloads: [&[&str]; 7] = [
        &["register"],
        &["register", "--consistency", "sequential"],
        &["set"],
        &["bank"],
        &["counter"],
        &["lock"],
        &["lock", "--fencing"],
    ];
    for workload in workloads {
        let store = Store::new(&workload.concat());
        let path = store.0.to_str().expect("text");
        let limits = ["--time-limit", "500ms", "--rate", "1000", "--store", path, "-w"];
        let output = elenchus(&[&["test", "--system", "memory"], &limits[..], workload].concat());
        expect_code(&output, 0);
    }
}

#[test]
fn the_same_seed_never_meets_its_own_leftovers() {
    let store = Store::new("prefix");
    let path = store.0.to_str().expect("text");
    let arguments = ["test", "--system", "memory", "--seed", "5", "--time-limit", "100ms", "--store", path];
    let prefix = || {
        expect_code(&elenchus(&arguments), 0);
        let folder = store.latest();
        let log = std::fs::read_to_string(folder.join("history.jsonl")).expect("a history");
        let header: serde_json::Value =
            serde_json::from_str(log.lines().next().expect("a header")).expect("JSON");
        let prefix = json(&folder.join("trial.json"))["prefix"].clone();
        assert_eq!(header["prefix"], prefix);
        prefix
    };
    let first = prefix();
    assert!(first.as_str().is_some_and(|prefix| prefix.len() >= 8), "{first}");
    assert_ne!(first, prefix());
}

#[test]
fn small_values_are_decided_by_search_and_valid() {
    let store = Store::new("small");
    let path = store.0.to_str().expect("text");
    let arguments = [
        "test",
        "--system",
        "memory",
        "--values",
        "small",
        "--time-limit",
        "500ms",
        "--rate",
        "2000",
        "--store",
        path,
    ];
    expect_code(&elenchus(&arguments), 0);
}

#[test]
fn mistakes_in_arguments_are_named_and_nothing_starts() {
    let store = Store::new("mistakes");
    let path = store.0.to_str().expect("text");
    refused(&["test", "--workload", "poetry", "--store", path], &["workload", "poetry", "register"]);
    refused(&["test", "--nemesis", "earthquake", "--store", path], &["earthquake", "partition"]);
    refused(&["test", "--system", "memory", "--nemesis", "kill", "--store", path], &["memory", "kill"]);
    refused(&["test", "--time-limit", "soon", "--store", path], &["soon", "20s"]);
    refused(&["test", "--bug", "no-such-bug", "--store", path], &["no-such-bug"]);
    refused(&["test", "--nodes", "0", "--store", path], &["at least one node"]);
    refused(&["test", "-w", "bank", "--values", "small", "--store", path], &["values", "bank"]);
    refused(&["test", "-w", "lock", "--store", path], &["workload", "bundled", "lock"]);
    refused(&["test", "-w", "set", "--fencing", "--store", path], &["fencing", "set"]);
    refused(&["test", "--consistency", "eventual", "--store", path], &["eventual", "monotonic-reads"]);
    refused(&["test", "--time-limit", "0s", "--store", path], &["time-limit"]);
    refused(&["test", "--system", "memory", "--store", "/proc/nowhere"], &["/proc/nowhere", "--store"]);
    refused(&["tset"], &["tset", "test"]);
    assert_eq!(std::fs::read_dir(&store.0).expect("the store").count(), 0, "something was started");
}

#[test]
fn mistakes_in_a_campaign_are_named_with_file_line_and_key() {
    let store = Store::new("campaign");
    let file = store.0.join("c.toml");
    let path = file.to_str().expect("text");
    let with = |text: &str| std::fs::write(&file, text).expect("our own folder");
    with("workload = \"register\"\nnode = 5\n");
    refused(&["plan", path], &["c.toml", "line 2", "node"]);
    with("\n\ntime-limit = \"twenty\"\n");
    refused(&["plan", path], &["c.toml", "line 3", "time-limit", "twenty"]);
    with("nemesis = [\"kill\"]\nsystem = \"memory\"\n");
    refused(&["plan", path], &["c.toml", "line 1", "nemesis", "kill"]);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = taken.local_addr().expect("bound").port();
    with(&format!("nodes = 1\nport-base = {port}\n"));
    refused(&["plan", path], &["c.toml", "line 2", "port-base", &port.to_string()]);
    refused(&["plan", "no-such-file.toml"], &["no-such-file.toml"]);
}

#[test]
fn a_plan_names_every_choice_and_is_the_same_for_the_same_seed() {
    let first = elenchus(&["plan", "--seed", "5", "--test-count", "2"]);
    expect_code(&first, 0);
    assert_eq!(first.stdout, elenchus(&["plan", "--seed", "5", "--test-count", "2"]).stdout);
    let plan: serde_json::Value = serde_json::from_slice(&first.stdout).expect("JSON");
    assert_eq!(plan["trials"][0]["seed"], 5);
    assert_eq!(plan["trials"].as_array().map(Vec::len), Some(2));
    assert_eq!(plan["trials"][0]["nodes"].as_array().map(Vec::len), Some(5));
}

#[test]
fn fewer_clients_than_nodes_are_no_doubt_about_the_nodes() {
    let store = Store::new("few");
    let path = store.0.to_str().expect("text");
    let arguments =
        ["test", "--system", "memory", "--concurrency", "2", "--time-limit", "300ms", "--store", path];
    expect_code(&elenchus(&arguments), 0);
}

#[test]
fn a_reader_who_leaves_and_a_full_disk_change_no_verdict() {
    let Ok(full) = std::fs::OpenOptions::new().write(true).open("/dev/full") else {
        return eprintln!("skipped: this machine has no /dev/full");
    };
    let full_output = std::process::Command::new(common::program()).arg("list").stdout(full).output();
    let full_output = full_output.expect("the program starts");
    expect_code(&full_output, 0);
    assert!(text(&full_output.stderr).contains("standard output"), "{}", text(&full_output.stderr));
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let gone =
        std::process::Command::new(common::program()).args(["completions", "bash"]).stdout(writer).output();
    let gone = gone.expect("the program starts");
    expect_code(&gone, 0);
    assert!(gone.stderr.is_empty(), "{}", text(&gone.stderr));
}

#[test]
fn what_there_is_can_be_listed_and_completed() {
    let list = elenchus(&["list"]);
    expect_code(&list, 0);
    let said = text(&list.stdout);
    for word in ["register", "bank", "partition", "stale-read", "bundled", "cas-register"] {
        assert!(said.contains(word), "{word}");
    }
    expect_code(&elenchus(&["list", "--json"]), 0);
    for shell in ["bash", "zsh", "fish"] {
        expect_code(&elenchus(&["completions", shell]), 0);
    }
    expect_code(&elenchus(&["--version"]), 0);
}

#[test]
fn a_campaign_to_start_from_is_written_once_and_can_be_planned() {
    let store = Store::new("init");
    for name in ["bundled", "etcd", "exec"] {
        let file = store.0.join(format!("{name}.toml"));
        let path = file.to_str().expect("text");
        expect_code(&elenchus(&["init", name, "--output", path]), 0);
        expect_code(&elenchus(&["plan", path]), 0);
        std::fs::write(&file, "mine").expect("our own folder");
        refused(&["init", name, "--output", path], &[path, "left as it is"]);
        assert_eq!(std::fs::read_to_string(&file).expect("it is there"), "mine");
    }
    refused(&["init", "mongodb"], &["mongodb", "etcd"]);
}

#[test]
fn the_doctor_names_what_is_missing_why_and_how_to_get_it() {
    let store = Store::new("doctor");
    let well = elenchus(&["doctor"]);
    expect_code(&well, 0);
    let said = text(&well.stdout);
    for word in ["namespaces", "ptrace", "FUSE", "fault kill", "the campaign"] {
        assert!(said.contains(word), "{word}: {said}");
    }
    let file = store.0.join("c.toml");
    let path = file.to_str().expect("text");
    let client = "client = { kind = \"exec\", command = [\"sh\"] }";
    let cluster = format!(
        "nodes = 1\n[cluster]\ncommand = [\"elenchus-no-such-program\"]\nenv = {{ X = {{ env = \"ELENCHUS_NO_SUCH\" }} }}\n{client}\n"
    );
    std::fs::write(&file, cluster).expect("our own folder");
    let ill = elenchus(&["doctor", path, "--json"]);
    expect_code(&ill, 1);
    let findings: serde_json::Value = serde_json::from_slice(&ill.stdout).expect("JSON");
    assert_eq!(findings["ok"], false);
    let missing = |what: &str| {
        let all = findings["findings"].as_array().expect("a list");
        let found = all.iter().find(|finding| finding["what"] == what).unwrap_or_else(|| panic!("{what}"));
        assert!(found["ok"] == false && found["needed"] == true, "{found}");
        assert!(found["why"] != "" && found["lost"] != "" && found["remedy"] != "", "{found}");
    };
    ["program elenchus-no-such-program", "variable ELENCHUS_NO_SUCH", "the campaign"]
        .iter()
        .for_each(|what| missing(what));
    std::fs::write(&file, "nodes = 0\n").expect("our own folder");
    refused(&["doctor", path], &["c.toml", "line 1"]);
}

#[test]
fn where_each_fault_is_possible_can_be_printed() {
    let page = elenchus(&["list", "--faults", "--markdown"]);
    expect_code(&page, 0);
    assert!(text(&page.stdout).contains("| SIGKILL to the process group |"), "{}", text(&page.stdout));
    assert!(text(&elenchus(&["list", "--faults"]).stdout).contains("SSH hosts"));
    refused(&["list", "--markdown"], &["--faults"]);
}

/// A line on which a node leads.
fn leads(nid: u64, term: u64) -> String {
    format!(r#"{{"name":"BecomeLeader","nid":"{nid}","state":{{"term":{term}}},"role":"StateLeader"}}"#)
}

#[test]
fn traces_of_consensus_are_judged_together() {
    let store = Store::new("trace");
    let folder = store.0.join("trace");
    std::fs::create_dir(&folder).expect("our own folder");
    let write = |name: &str, lines: &[String]| {
        let path = folder.join(name);
        std::fs::write(&path, lines.join("\n")).expect("our own folder");
        path.to_str().expect("text").to_owned()
    };
    let one = write("n1.jsonl", &[leads(1, 1), leads(1, 3), "{\"name\":\"Comm".to_owned()]);
    let two = write("n2.jsonl", &[format!(r#"{{"tag":"trace","event":{}}}"#, leads(2, 2))]);
    refused(&["check-trace", &one, &two, &one], &["named twice"]);
    let both = elenchus(&["check-trace", &one, &two]);
    expect_code(&both, 0);
    assert!(text(&both.stdout).contains("3 terms with a leader each"), "{}", text(&both.stdout));
    assert!(text(&both.stdout).contains("cut off: 1"), "{}", text(&both.stdout));
    let third = write("n3.jsonl", &[String::new(), leads(3, 3)]);
    // The folder of a trial stands for its traces, and a folder for its files.
    for paths in [vec![&*one, &two, &third], vec![folder.to_str().unwrap()], vec![store.0.to_str().unwrap()]]
    {
        let output = elenchus(&[&["check-trace", "--json"], &paths[..]].concat());
        expect_code(&output, 1);
        let told: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
        let violation = &told["violations"][0];
        assert_eq!((&violation["class"], &violation["term"]), (&"two-leaders".into(), &3.into()));
        let second = serde_json::json!({ "node": "3", "file": "n3.jsonl", "line": 2 });
        assert_eq!(violation["events"][1], second);
    }
    let said = elenchus(&["check-trace", &one, &third]);
    assert!(text(&said.stdout).contains("INVALID: node 1 leads term 3 (line 2 of n1.jsonl)"));
    // What shows no leader was not examined, and what is no trace is refused by file and line.
    let quiet = leads(1, 1).replace("BecomeLeader", "Ready").replace("StateLeader", "StateFollower");
    expect_code(&elenchus(&["check-trace", &write("quiet", &[quiet])]), 2);
    let wrong = write("wrong", &[leads(1, 1), leads(1, 1).replace("\"term\":1", "\"term\":\"1\"")]);
    refused(&["check-trace", &wrong], &["wrong: line 2: ", "expected u64"]);
    refused(&["check-trace", &write("words", &["hello".to_owned()])], &["words: line 1"]);
    refused(&["check-trace", folder.join("gone").to_str().unwrap()], &["cannot read", "gone"]);
    std::fs::create_dir(folder.join("empty")).expect("our own folder");
    refused(&["check-trace", folder.join("empty").to_str().unwrap()], &["holds no trace"]);
    refused(&["test", "--system", "memory", "--trace", "all"], &["trace: only the nodes of the bundled"]);
}
