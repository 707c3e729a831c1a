//! What `[cluster]` can say beside how a node is started, and faults that are written out: trials of small stores.
//!
//! They need Python, and say so where they are skipped; `ELENCHUS_REQUIRE` makes a skip a failure.

mod common;

use common::{Store, elenchus, events, expect_code, json, processes_naming, required, text};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// One trial at a time.
fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn has_python() -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let here = std::env::split_paths(&path).any(|folder| folder.join("python3").is_file());
    assert!(here || !required("python3"), "ELENCHUS_REQUIRE names python3, and it is not installed");
    if !here {
        eprintln!("skipped: python3 is not installed");
    }
    here
}

fn example() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/python-client")
}

/// Writes a campaign and runs it.
fn run(store: &Store, campaign: &str, more: &[&str]) -> Output {
    let file = store.0.join("campaign.toml");
    std::fs::write(&file, campaign).expect("our own folder");
    let (file, path) = (file.to_str().expect("text"), store.0.to_str().expect("text"));
    elenchus(&[&["test", file, "--store", path], more].concat())
}

/// Whether the kernel grants no namespaces here; then a trial of local nodes says nothing.
fn is_refused(output: &Output) -> bool {
    let refused = text(&output.stderr).contains("no isolation") && !required("namespaces");
    if refused {
        eprintln!("skipped: the kernel grants no namespaces");
    }
    refused
}

fn client() -> String {
    format!("client = {{ kind = \"exec\", command = [\"python3\", \"{}/client.py\"] }}", example().display())
}

/// A store that runs outside of every trial, and ends with the test.
struct Outside(Child, u16);

impl Outside {
    fn start() -> Outside {
        let port = TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("bound").port();
        let own = format!("127.0.0.1:{port}");
        let mut command = Command::new("python3");
        command.arg(example().join("store.py")).args(["n1", "127.0.0.1", &port.to_string(), "0", &own]);
        Outside(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("python3 starts"), port)
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_cluster_that_others_run_is_tested_as_it_is_and_the_report_says_so() {
    if !has_python() {
        return;
    }
    let (_turn, store, outside) = (turn(), Store::new("external"), Outside::start());
    let campaign = format!(
        "workload = \"register\"\nrate = 50\ntime-limit = \"4s\"\nconcurrency = 3\n[cluster]\nexternal = true\n\
         addresses = {{ n1 = \"127.0.0.1:{}\" }}\nready = {{ tcp = \"{{ip}}:{{port.client}}\" }}\n{}\n",
        outside.1,
        client()
    );
    // The same seed again: what the first trial wrote is still there, and must not be read as the second's. On a busy
    // machine clients may come too late to write anything, which is a doubt; then it is tried again.
    let mut valid = 0;
    for _ in 0..6 {
        let output = run(&store, &campaign, &["--seed", "7"]);
        assert!(matches!(output.status.code(), Some(0 | 2)), "{}", text(&output.stdout));
        assert!(text(&output.stdout).contains("was not wiped before the trial"), "{}", text(&output.stdout));
        let folder = store.latest();
        assert_eq!(json(&folder.join("trial.json"))["wiped"], false);
        let page = std::fs::read_to_string(folder.join("report/index.html")).expect("a report");
        assert!(page.contains("not wiped before the trial"));
        valid += usize::from(output.status.code() == Some(0));
        if valid == 2 {
            break;
        }
    }
    assert_eq!(valid, 2, "the trials were not valid");
    let refused = run(&store, &campaign, &["--nemesis", "kill"]);
    expect_code(&refused, 254);
    assert!(text(&refused.stderr).contains("somebody else runs the nodes"), "{}", text(&refused.stderr));
}

/// A trial that would last a minute, of a store that others run, spoken to by this client.
fn endless(store: &Store, client: &str, port: u16) -> Child {
    let campaign = format!(
        "workload = \"register\"\nrate = 100\ntime-limit = \"60s\"\nconcurrency = 2\n[cluster]\nexternal = true\n\
         addresses = {{ n1 = \"127.0.0.1:{port}\" }}\nready = {{ tcp = \"{{ip}}:{{port.client}}\" }}\n{client}\n",
    );
    let file = store.0.join("campaign.toml");
    std::fs::write(&file, campaign).expect("our own folder");
    let mut command = Command::new(common::program());
    command.arg("test").arg(&file).arg("--store").arg(&store.0);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts")
}

/// Sends a signal once the trial has come so far, and returns how it ended.
fn interrupted(store: &Store, trial: Child, signal: &str, has_begun: impl Fn(&Path) -> bool) -> Output {
    let began = Instant::now();
    while !store.current().is_some_and(|folder| has_begun(&folder)) {
        assert!(began.elapsed() < Duration::from_secs(30), "the trial does not begin");
        std::thread::sleep(Duration::from_millis(20));
    }
    let status = Command::new("kill").args([signal, &trial.id().to_string()]).status().expect("kill(1)");
    assert!(status.success());
    let asked = Instant::now();
    let output = trial.wait_with_output().expect("it ends");
    assert!(asked.elapsed() < Duration::from_secs(20), "it took {:?} to end", asked.elapsed());
    output
}

fn is_working(folder: &Path) -> bool {
    std::fs::metadata(folder.join("history.jsonl")).is_ok_and(|data| data.len() > 5_000)
}

#[test]
fn a_trial_of_a_cluster_that_others_run_ends_in_order_when_it_is_interrupted() {
    if !has_python() {
        return;
    }
    let (_turn, mut outside) = (turn(), Outside::start());
    for signal in ["-INT", "-TERM"] {
        let store = Store::new("external-interrupted");
        let output = interrupted(&store, endless(&store, &client(), outside.1), signal, is_working);
        expect_code(&output, 2);
        let said = text(&output.stdout);
        assert!(said.contains("unknown  trial") && said.contains("interrupted"), "{said}");
        assert!(store.latest().join("report/index.html").is_file());
        assert_eq!(json(&store.latest().join("trial.json"))["end"], "interrupted");
    }
    assert!(outside.0.try_wait().expect("it is ours").is_none(), "what others run was ended");
}

#[test]
fn what_was_found_before_an_interrupt_stays_found() {
    if !has_python() {
        return;
    }
    let (_turn, store, outside) = (turn(), Store::new("found-interrupted"), Outside::start());
    let honest = std::fs::read_to_string(example().join("client.py")).expect("the example");
    let liar = honest.replace(
        "    try:\n        link.write",
        "    if request[\"op\"] == \"put\":\n        return {\"ok\": None}\n    try:\n        link.write",
    );
    assert_ne!(honest, liar, "the client has changed");
    std::fs::write(store.0.join("liar.py"), liar).expect("our own folder");
    let client = "client = { kind = \"exec\", command = [\"python3\", \"{campaign}/liar.py\"] }";
    let output = interrupted(&store, endless(&store, client, outside.1), "-INT", is_working);
    expect_code(&output, 1);
    assert!(text(&output.stdout).contains("unknown  trial"), "{}", text(&output.stdout));
}

#[test]
fn a_trial_that_is_interrupted_before_it_begins_is_a_doubt() {
    if !has_python() {
        return;
    }
    let (_turn, store) = (turn(), Store::new("early-interrupted"));
    let nobody =
        TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port").port();
    let waits = |folder: &Path| {
        std::fs::read_to_string(folder.join("setup.log")).is_ok_and(|log| log.contains("n1 is not ready"))
    };
    let output = interrupted(&store, endless(&store, &client(), nobody), "-TERM", waits);
    expect_code(&output, 2);
    assert!(text(&output.stdout).contains("interrupted"), "{}", text(&output.stdout));
    assert!(store.latest().join("report/index.html").is_file());
}

fn is_root() -> bool {
    std::fs::read_to_string("/proc/self/status")
        .is_ok_and(|status| status.lines().any(|line| line.starts_with("Uid:\t0\t")))
}

#[test]
fn nodes_differ_run_as_somebody_stop_when_asked_and_leave_their_logs() {
    if !has_python() {
        return;
    }
    let (_turn, store) = (turn(), Store::new("nodes"));
    let user = if is_root() { "user = \"nobody\"" } else { "" };
    let campaign = format!(
        r#"workload = "register"
nodes = 1
rate = 50
time-limit = "2s"
nemesis = "none"
[cluster]
command = ["false"]
{user}
env = {{ COLOUR = "red", SHAPE = "round" }}
ports = {{ client = 7000 }}
install = ["id -un > installed"]
ready = {{ tcp = "{{ip}}:{{port.client}}" }}
stop = ["sh", "-c", "kill -TERM $(cat pid)"]
logs = ["who", "colour", "installed", "ended", "no-such-file"]
{}
[cluster.files]
"store.py" = {{ file = "{}" }}
[cluster.node.n1]
command = ["sh", "-c", "id -un > who; echo $COLOUR $SHAPE > colour; trap 'echo well > ended; exit 0' TERM; python3 store.py n1 {{ip}} {{port.client}} 0 {{ip}}:{{port.client}} & echo $$ > pid; wait"]
env = {{ COLOUR = "blue" }}
"#,
        client(),
        example().join("store.py").display()
    );
    let output = run(&store, &campaign, &[]);
    if is_refused(&output) {
        return;
    }
    // Slow clients may leave a doubt on a busy machine; here it matters how the nodes lived.
    assert!(matches!(output.status.code(), Some(0 | 2)), "{}", text(&output.stderr));
    let kept = |file: &str| {
        let path = store.latest().join("logs/n1").join(file);
        std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display())).trim().to_owned()
    };
    let whoami = Command::new("id").arg("-un").output().expect("id");
    let me = if is_root() { "nobody".to_owned() } else { text(&whoami.stdout).trim().to_owned() };
    assert_eq!((kept("who"), kept("installed")), (me.clone(), me));
    assert_eq!((kept("colour").as_str(), kept("ended").as_str()), ("blue round", "well"));
    let setup = std::fs::read_to_string(store.latest().join("setup.log")).expect("it is written");
    assert!(setup.contains("n1 stopped: it exited with code 0"), "{setup}");
    assert!(setup.contains("no-such-file is not kept"), "{setup}");
    assert_eq!(processes_naming(store.0.to_str().expect("text")), Vec::<String>::new());
}

#[test]
fn the_files_of_a_described_node_are_harmed() {
    if !has_python() {
        return;
    }
    let (_turn, store) = (turn(), Store::new("harmed"));
    let campaign = format!(
        r#"workload = "register"
nodes = 1
rate = 50
time-limit = "3s"
[cluster]
command = ["sh", "-c", "cat {{data}}/log > found; echo written by n1 > {{data}}/log; exec python3 store.py n1 {{ip}} {{port.client}} 0 {{ip}}:{{port.client}}"]
ports = {{ client = 7000 }}
ready = {{ tcp = "{{ip}}:{{port.client}}" }}
logs = ["found"]
{}
[cluster.files]
"store.py" = {{ file = "{}" }}
[[schedule]]
at = "1s"
for = "500ms"
fault = {{ damage = {{ nodes = ["n1"], harm = "truncate" }} }}
"#,
        client(),
        example().join("store.py").display()
    );
    let output = run(&store, &campaign, &[]);
    if is_refused(&output) {
        return;
    }
    // What the store does without its memory is its own affair.
    assert!(matches!(output.status.code(), Some(0..=2)), "{}", text(&output.stderr));
    let proofs: Vec<String> = events(&store.latest())
        .iter()
        .filter(|event| event["f"] == "damage" && event["value"]["proof"]["hit"] == true)
        .map(|event| event["value"]["proof"]["text"].to_string())
        .collect();
    assert!(proofs.iter().any(|text| text.contains("log")), "{proofs:?}");
    let found = std::fs::read_to_string(store.latest().join("logs/n1/found")).expect("it was kept");
    assert!(found.len() < "written by n1\n".len(), "{found:?}");
    assert_eq!(processes_naming(store.0.to_str().expect("text")), Vec::<String>::new());
}

#[test]
fn logs_are_kept_of_a_cluster_that_does_not_come_up() {
    let (_turn, store) = (turn(), Store::new("down"));
    let campaign = "nodes = 1\ntime-limit = \"1s\"\n[cluster]\ncommand = [\"sh\", \"-c\", \"echo why > reason; exit 3\"]\n\
                    ready = { log = \"never\" }\nlogs = [\"reason\"]\nclient = { kind = \"exec\", command = [\"true\"] }\n";
    let output = run(&store, campaign, &[]);
    if is_refused(&output) {
        return;
    }
    expect_code(&output, 255);
    assert!(text(&output.stderr).contains("exited with code 3"), "{}", text(&output.stderr));
    let reason = store.current().expect("a trial").join("logs/n1/reason");
    assert_eq!(std::fs::read_to_string(reason).expect("it is kept"), "why\n");
}

#[track_caller]
fn refused(campaign: &str, words: &[&str]) {
    let store = Store::new("refused");
    let output = run(&store, campaign, &[]);
    expect_code(&output, 254);
    let said = text(&output.stderr);
    words.iter().for_each(|word| assert!(said.contains(word), "`{word}` is missing in: {said}"));
}

#[test]
fn what_a_cluster_cannot_be_is_refused_before_anything_starts() {
    let client = "client = { kind = \"exec\", command = [\"true\"] }";
    let local = |more: &str| format!("nodes = 2\n[cluster]\ncommand = [\"true\"]\n{client}\n{more}\n");
    refused(&local("[cluster.node.n9]\ncommand = [\"x\"]"), &["node.n9", "there are n1, n2"]);
    refused(&local("[cluster.node.n1]\ncommand = []"), &["node.n1.command", "names no program"]);
    refused(&local("[cluster.node.n1]\ncolour = 1"), &["line 6", "colour"]);
    refused(
        &local("[cluster.node.n1]\nenv = { X = { env = \"ELENCHUS_NO_SUCH\" } }"),
        &["node.n1.env.X", "not set"],
    );
    refused(&local("stop = [\"x\", \"{nodes}\"]"), &["stop", "`{nodes}` is no hole"]);
    refused(&local("user = \"no-such-user\""), &["user", if is_root() { "no user" } else { "only root" }]);
    refused(&local("wipe = 3"), &["line 5", "list of shell commands"]);
    refused(&local("addresses = { n1 = \"x:1\" }"), &["addresses", "external = true"]);
    let external = |more: &str| format!("[cluster]\nexternal = true\n{client}\n{more}\n");
    refused(&external(""), &["addresses", "where each node is"]);
    refused(&external("addresses = { n1 = \"localhost\" }"), &["addresses.n1", "host:port"]);
    let at = "addresses = { n1 = \"127.0.0.1:1\" }";
    refused(&external(&format!("{at}\ncommand = [\"x\"]")), &["command", "leave it out"]);
    refused(&external(&format!("{at}\nwipe = true")), &["wipe", "say how"]);
    refused(&format!("nodes = [\"n1\", \"n2\"]\n{}", external(at)), &["addresses", "n2 has none"]);
    refused(&format!("nodes = [\"n2\"]\n{}", external(at)), &["addresses.n1", "no such node"]);
}

#[test]
fn written_faults_strike_when_they_say_and_overlap() {
    let (_turn, store) = (turn(), Store::new("written"));
    let campaign = "nodes = 3\nrate = 200\ntime-limit = \"6s\"\n\
        [[schedule]]\nat = \"1s\"\nfor = \"2s\"\nfault = { pause = { nodes = [\"n1\"] } }\n\
        [[schedule]]\nat = \"1500ms\"\nfor = \"3s\"\nfault = { pause = { nodes = [\"n2\"] } }\n\
        [[schedule]]\nat = \"5s\"\nfault = { partition = { cut = \"n1|n2,n3\" } }\n";
    let output = run(&store, campaign, &["--seed", "3"]);
    expect_code(&output, 0);
    let plan = json(&store.latest().join("plan.json"));
    assert_eq!(plan["schedule"][2]["lasts_ms"], 1000, "{plan}");
    assert_eq!(plan["nemesis"], serde_json::json!([]), "nothing else strikes");
    let events = events(&store.latest());
    let began = events.iter().find(|event| event["type"] == "invoke").expect("an operation")["time"].as_f64();
    let began = began.expect("a time") / 1e9;
    let injected: Vec<(String, f64)> = events
        .iter()
        .filter(|event| event["value"]["phase"] == "inject")
        .map(|event| (event["f"].to_string(), event["time"].as_f64().expect("a time") / 1e9 - began))
        .collect();
    assert_eq!(injected.len(), 3, "{injected:?}");
    let late = injected.iter().zip([1.0, 1.5, 5.0]).map(|((_, at), due)| at - due);
    assert!(late.clone().all(|late| (-0.1..0.5).contains(&late)), "{injected:?}");
}

#[test]
fn a_written_fault_that_never_hits_is_a_doubt() {
    let (_turn, store) = (turn(), Store::new("missed"));
    let campaign = "nodes = 3\nrate = 200\ntime-limit = \"4s\"\n\
        [[schedule]]\nat = \"1s\"\nfor = \"2s\"\nfault = { kill = { nodes = [\"n1\"] } }\n\
        [[schedule]]\nat = \"1500ms\"\nfor = \"500ms\"\nfault = { pause = { nodes = [\"n1\"] } }\n";
    let output = run(&store, campaign, &["--seed", "3"]);
    expect_code(&output, 2);
    assert!(text(&output.stdout).contains("fault 2 of the schedule, a pause"), "{}", text(&output.stdout));
}

#[test]
fn a_schedule_that_cannot_be_meant_is_refused_by_line() {
    let with = |fault: &str| {
        format!("nodes = 3\ntime-limit = \"9s\"\n\n[[schedule]]\nat = \"1s\"\nfault = {fault}\n")
    };
    refused(&with("{ kill = { nodes = [\"n9\"] } }"), &["line 6", "schedule: fault 1", "`n9`"]);
    let twice = "[[schedule]]\nat = \"1s\"\nfault = { packets = { nodes = \"all\", trouble = { loss = \"30%\" } } }\n";
    let covered = with("{ packets = { nodes = \"n1\", trouble = { delay = \"50ms\" } } }") + twice;
    refused(&covered, &["line 6", "fault 1", "never be felt", "fault 2"]);
    refused(&with("{ kil = { nodes = [\"n1\"] } }"), &["line 6", "kil"]);
    refused(
        &format!("system = \"memory\"\n{}", with("{ kill = { nodes = [\"n1\"] } }")),
        &["line 7", "memory"],
    );
    refused(
        "time-limit = \"9s\"\n[[schedule]]\nat = \"9s\"\nfault = { kill = { nodes = \"all\" } }\n",
        &["line 3", "9s"],
    );
    let client = "client = { kind = \"exec\", command = [\"true\"] }";
    let mute = format!(
        "{}\n[cluster]\ncommand = [\"true\"]\n{client}\n",
        with("{ kill = { nodes = \"primaries\" } }")
    );
    refused(&mute, &["line 6", "who leads"]);
}
