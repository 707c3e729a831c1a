//! Clients: described, programs of any language, watches. As a user meets them.
//!
//! They need Python, bash and etcd, and say so where they are skipped; `ELENCHUS_REQUIRE` makes a skip a failure.

mod common;

use common::{
    Store, elenchus, events, expect_code, is_here, json, processes_naming, program, required, text,
};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// One trial at a time.
fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn example(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(path)
}

/// Runs a campaign in a store, where namespaces are granted.
fn run(store: &Store, campaign: &Path, more: &[&str]) -> Option<Output> {
    let (campaign, path) = (campaign.to_str().expect("text"), store.0.to_str().expect("text"));
    let output = elenchus(&[&["test", campaign, "--store", path], more].concat());
    if text(&output.stderr).contains("no isolation") && !required("namespaces") {
        eprintln!("skipped: the kernel grants no namespaces");
        return None;
    }
    Some(output)
}

/// An example's campaign with these words in place of those, in a folder of its own with what it names.
fn changed(store: &Store, name: &str, files: &[&str], from: &str, to: &str) -> PathBuf {
    let folder = example(name);
    for file in files {
        std::fs::copy(folder.join(file), store.0.join(Path::new(file).file_name().expect("a name")))
            .expect("a copy");
    }
    let campaign = std::fs::read_to_string(folder.join("campaign.toml")).expect("an example");
    assert!(campaign.contains(from), "the example does not say {from}");
    let path = store.0.join("campaign.toml");
    std::fs::write(&path, campaign.replace(from, to)).expect("our own folder");
    path
}

#[test]
fn a_described_http_store_is_judged_by_what_it_answers() {
    if !is_here("python3") {
        return;
    }
    let _turn = turn();
    let (buggy, honest) = (Store::new("http-buggy"), Store::new("http-honest"));
    let more = ["--time-limit", "5s", "--seed", "3"];
    let Some(output) = run(&buggy, &example("http-store/campaign.toml"), &more) else { return };
    expect_code(&output, 1);
    assert!(text(&output.stdout).contains("was acknowledged"), "{}", text(&output.stdout));
    let campaign = changed(&honest, "http-store", &["store.py"], "\"0.05\"", "\"0\"");
    let output = run(&honest, &campaign, &more).expect("the machine has namespaces");
    expect_code(&output, 0);
    let cas = |event: &&serde_json::Value| event["type"] == "ok" && event["f"] == "cas";
    assert!(events(&honest.latest()).iter().filter(cas).count() > 10, "hardly a cas was done");
}

#[test]
fn a_described_client_that_cannot_be_meant_is_refused_by_its_key() {
    let store = Store::new("http-absurd");
    let refused = |from: &str, to: &str, words: &[&str]| {
        let campaign = changed(&store, "http-store", &["store.py"], from, to);
        let output = elenchus(&["plan", campaign.to_str().expect("text")]);
        expect_code(&output, 254);
        let said = text(&output.stderr);
        words.iter().for_each(|word| assert!(said.contains(word), "`{word}` is missing in: {said}"));
    };
    refused("'{\"value\": {value}}'", "'{\"value\": \"{value}\"}'", &["client.put.json", "quotes"]);
    refused("refused = [409]", "refused = [200]", &["client.cas.refused", "already"]);
    refused("absent = [404]", "absent = [404], colour = 1", &["colour"]);
    let secret = "kind = \"http\"\nheaders = { Token = { env = \"ELENCHUS_NO_SUCH\" } }";
    refused("kind = \"http\"", secret, &["client.headers.Token", "ELENCHUS_NO_SUCH"]);
}

/// The store of an example on the loopback.
struct Running(Child, u16);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn store_in_python() -> Running {
    started(|port| {
        let listen = format!("127.0.0.1:{port}");
        let store = example("python-client/store.py").display().to_string();
        [store, "n1".into(), "127.0.0.1".into(), port.to_string(), "0".into(), listen].to_vec()
    })
}

/// A store in Python, once it accepts connections.
fn started(words: impl Fn(u16) -> Vec<String>) -> Running {
    let port =
        TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a free port").port();
    let mut command = Command::new("python3");
    command.args(words(port)).stdout(Stdio::null());
    let running = Running(command.spawn().expect("Python starts"), port);
    let began = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(began.elapsed() < Duration::from_secs(20), "the store does not come up");
        std::thread::sleep(Duration::from_millis(20));
    }
    running
}

/// The store that knows every request, with this mistake.
fn whole_store(mistake: &str) -> Running {
    let store = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/store.py").display().to_string();
    started(|port| vec![store.clone(), "127.0.0.1".into(), port.to_string(), mistake.into()])
}

/// A client of it, which hands every request on.
fn client_of_all(folder: &Store) -> String {
    let client = std::fs::read_to_string(example("python-client/client.py")).expect("the example");
    let hands_on =
        client.replace("not in (\"get\", \"put\", \"cas\")", "== \"\"").replace("timeout=2", "timeout=9");
    assert_eq!(
        hands_on.matches("== \"\"").count() + hands_on.matches("timeout=9").count(),
        2,
        "it has changed"
    );
    let path = folder.0.join("all.py");
    std::fs::write(&path, hands_on).expect("our own folder");
    path.display().to_string()
}

const ALL: &str = "kv,append,peek,txn,lock,fencing,watch";

fn check(store: &Running, client: &[&str]) -> Output {
    let port = format!("client={}", store.1);
    let mut command = Command::new(program());
    command.args(["client", "check", "--port", &port, "--"]).args(client);
    // Else Python flushes for whoever forgets to.
    command.env_remove("PYTHONUNBUFFERED").output().expect("the program starts")
}

#[test]
fn the_clients_of_the_examples_keep_the_protocol() {
    if !is_here("python3") || !is_here("bash") {
        return;
    }
    let store = store_in_python();
    for client in [
        ["python3", example("python-client/client.py").to_str().expect("text")],
        ["bash", example("bash-client/client.sh").to_str().expect("text")],
    ] {
        let output = check(&store, &client);
        expect_code(&output, 0);
        assert!(text(&output.stdout).contains("all ok"), "{}", text(&output.stdout));
    }
}

#[test]
fn each_breach_of_the_protocol_is_named_with_what_was_said_and_how_to_mend_it() {
    if !is_here("python3") {
        return;
    }
    let (store, folder) = (store_in_python(), Store::new("breaches"));
    let client = std::fs::read_to_string(example("python-client/client.py")).expect("the example");
    let path = folder.0.join("client.py");
    let found = |from: &str, to: &str, name: &str| {
        assert!(client.contains(from), "the client does not say {from}");
        std::fs::write(&path, client.replace(from, to)).expect("our own folder");
        let output = check(&store, &["python3", path.to_str().expect("text")]);
        expect_code(&output, 1);
        let said = text(&output.stdout);
        let has = said.lines().any(|line| line.starts_with(&format!("bad  {name}")));
        assert!(has && said.contains("mend") && said.contains("sent"), "no bad {name} in: {said}");
    };
    // The mistakes that make false verdicts.
    found("{\"info\": str(error)}", "{\"fail\": str(error)}", "silence");
    found("else {\"info\": \"the store hung up\"}", "else {\"fail\": \"the store hung up\"}", "hang-up");
    found("else {\"info\": \"the store hung up\"}", "else {\"ok\": None}", "hang-up");
    // Those that make none.
    found("\"id\": request[\"id\"]", "\"id\": min(request[\"id\"], 40)", "ids");
    found("return {\"fail\": \"this store knows get, put and cas\"}", "return {\"ok\": None}", "unknown");
    found("return json.loads(line) if line", "return {**json.loads(line), \"info\": \"x\"} if line", "get");
    found(", flush=True", "", "open");
    found("import sys\n", "import sys\nimport time\nimport atexit\natexit.register(time.sleep, 9)\n", "end");
}

#[test]
fn whatever_a_client_claims_to_offer_is_tried_out_and_each_wrong_answer_is_named() {
    if !is_here("python3") {
        return;
    }
    let folder = Store::new("claims");
    let client = client_of_all(&folder);
    let tried = |mistake: &str| {
        let store = whole_store(mistake);
        let mut command = Command::new(program());
        command.args([
            "client",
            "check",
            "--capabilities",
            ALL,
            "--port",
            &format!("client={}", store.1),
            "--",
        ]);
        command.args(["python3", &client]).output().expect("the program starts")
    };
    let honest = || {
        let output = tried("");
        expect_code(&output, 0);
        for check in ["peek", "append", "txn", "watch", "lock"] {
            let is_good = |line: &str| line.starts_with(&format!("ok   {check} "));
            assert!(text(&output.stdout).lines().any(is_good), "{check}: {}", text(&output.stdout));
        }
    };
    let found = |mistake: &str, check: &str, words: &str| {
        let output = tried(mistake);
        expect_code(&output, 1);
        let said = text(&output.stdout);
        let bad: Vec<&str> = said.lines().filter(|line| line.starts_with("bad ")).collect();
        let is_named = bad.len() == 1 && bad[0].starts_with(&format!("bad  {check} "));
        assert!(is_named && bad[0].contains(words), "{mistake}: {said}");
        assert!(said.contains("sent") && said.contains("received") && said.contains("mend"), "{said}");
    };
    let mistakes = [
        ("append", "append", "b a"),
        ("peek", "peek", "7"),
        ("txn", "txn", "held 1"),
        ("watch", "watch", "revision 1"),
        ("shared", "lock", "second client was granted"),
        ("unlock", "lock", "a lock that was released"),
        ("for-ever", "lock", "holder has ended"),
        ("token", "lock", "under token 0, after"),
        ("no-token", "lock", "without a token"),
    ];
    // Each waits for leases, and nobody but itself; but a client must open within a second, so few start at once.
    std::thread::scope(|scope| {
        scope.spawn(honest);
        for third in mistakes.chunks(3) {
            let found = &found;
            scope
                .spawn(move || third.iter().for_each(|(mistake, check, words)| found(mistake, check, words)));
        }
    });
}

/// `client check` of a campaign; what it keeps of a bad one goes away with the folder.
fn check_campaign(folder: &Store, campaign: &Path) -> Output {
    let mut command = std::process::Command::new(common::program());
    command.args(["client", "check", "--campaign"]).arg(campaign).env("TMPDIR", &folder.0);
    command.output().expect("the program starts")
}

#[test]
fn the_client_of_a_campaign_is_tried_out_on_a_node_that_is_started_for_it() {
    if !is_here("python3") {
        return;
    }
    let (_turn, folder) = (turn(), Store::new("campaigns"));
    for name in ["python-client", "http-store"] {
        let output = check_campaign(&folder, &example(name).join("campaign.toml"));
        if text(&output.stderr).contains("no isolation") && !required("namespaces") {
            return eprintln!("skipped: the kernel grants no namespaces");
        }
        expect_code(&output, 0);
    }
    let campaign = changed(&folder, "http-store", &["store.py"], "refused = [409]", "refused = [410]");
    let output = check_campaign(&folder, &campaign);
    expect_code(&output, 1);
    let said = text(&output.stdout);
    assert!(said.contains("bad  cas") && said.contains("409") && said.contains("received"), "{said}");
    std::fs::write(&campaign, "colour = 1").expect("our own folder");
    expect_code(&check_campaign(&folder, &campaign), 254);
}

#[test]
fn etcds_client_does_what_it_offers_locks_and_watches_too() {
    if !is_here("etcd") {
        return;
    }
    let (_turn, folder) = (turn(), Store::new("etcd-client"));
    let output = check_campaign(&folder, &example("etcd-local/campaign.toml"));
    if text(&output.stderr).contains("no isolation") && !required("namespaces") {
        return eprintln!("skipped: the kernel grants no namespaces");
    }
    expect_code(&output, 0);
    let said = text(&output.stdout);
    assert!(
        ["ok   peek", "ok   txn", "ok   watch", "ok   lock"].iter().all(|ok| said.contains(ok)),
        "{said}"
    );
}

#[test]
fn the_client_of_an_external_cluster_is_tried_out_on_it() {
    if !is_here("python3") {
        return;
    }
    let (folder, store) = (Store::new("campaign-external"), whole_store("shared"));
    let client = client_of_all(&folder);
    let campaign = folder.0.join("campaign.toml");
    let text_of = format!(
        "[cluster]\nexternal = true\naddresses = {{ n1 = \"127.0.0.1:{}\" }}\n[cluster.client]\nkind = \"exec\"\n\
         command = [\"python3\", \"{client}\"]\ncapabilities = [\"kv\", \"lock\"]\n",
        store.1
    );
    std::fs::write(&campaign, text_of).expect("our own folder");
    let output = check_campaign(&folder, &campaign);
    expect_code(&output, 1);
    assert!(text(&output.stdout).contains("bad  lock"), "{}{}", text(&output.stdout), text(&output.stderr));
}

#[test]
fn a_client_in_bash_finds_a_single_node_right() {
    if !is_here("python3") || !is_here("bash") {
        return;
    }
    let (_turn, store) = (turn(), Store::new("bash"));
    let campaign = example("bash-client/campaign.toml");
    let Some(output) = run(&store, &campaign, &["--time-limit", "4s", "--seed", "3"]) else { return };
    expect_code(&output, 0);
    let ok = events(&store.latest()).iter().filter(|event| event["type"] == "ok").count();
    assert!(ok >= 50, "only {ok} operations succeeded");
}

/// After a few requests each client misbehaves in a way of its own.
const ROGUE: &str = r#"
        if ((++count > 5)); then
            case $((process % 5)) in
                0) exit 3 ;;
                1) read -r -t 60 -u "$silence" ;;
                2) printf 'Traceback: something went wrong\n'; continue ;;
                3) read -r -t 1 -u "$silence" ;;
                4) ((++id)) ;;
            esac
        fi
"#;

/// What its beginning adds: who it is, and where nothing is ever heard.
const ROGUE_OPENS: &str = r#"
        [[ $request =~ \"process\":([0-9]+) ]] && process=${BASH_REMATCH[1]}
        exec {silence}<>/dev/udp/127.0.0.1/9
"#;

#[test]
fn clients_that_crash_hang_babble_or_answer_late_harm_nothing_but_their_own_requests() {
    if !is_here("python3") || !is_here("bash") {
        return;
    }
    let (_turn, store) = (turn(), Store::new("rogue"));
    let client = std::fs::read_to_string(example("bash-client/client.sh")).expect("the example");
    let opens = "if [[ $request =~ \\\"op\\\":\\\"open\\\" ]]; then\n";
    assert!(client.contains(opens) && client.contains("        carry_out\n"), "the client has changed");
    let client = client
        .replace("        carry_out\n", &format!("        carry_out{ROGUE}"))
        .replace(opens, &format!("{opens}{ROGUE_OPENS}"));
    let more = "nodes = 1\nconcurrency = 10\ntimeout = \"500ms\"";
    let campaign = changed(&store, "bash-client", &["../python-client/store.py"], "nodes = 1", more);
    let text_of = std::fs::read_to_string(&campaign).expect("our own");
    std::fs::write(&campaign, text_of.replace("../python-client/store.py", "store.py"))
        .expect("our own folder");
    std::fs::write(store.0.join("client.sh"), client).expect("our own folder");
    let Some(output) = run(&store, &campaign, &["--time-limit", "8s", "--seed", "3"]) else { return };
    assert!(matches!(output.status.code(), Some(0 | 2)), "{}{}", text(&output.stdout), text(&output.stderr));
    let verdicts = json(&store.latest().join("verdicts.json"));
    assert_eq!(verdicts["verdicts"][0]["validity"], "valid", "{verdicts}");
    let events = events(&store.latest());
    let doubts: std::collections::BTreeSet<String> = events
        .iter()
        .filter(|event| event["type"] == "info")
        .map(|event| event["error"].to_string())
        .collect();
    for reason in ["the client ended: exit status: 3", "no answer: Traceback", "answered request", "timeout"]
    {
        assert!(doubts.iter().any(|doubt| doubt.contains(reason)), "no doubt says {reason}: {doubts:?}");
    }
    let ok = events.iter().filter(|event| event["type"] == "ok").count();
    assert!(ok >= 50, "only {ok} operations succeeded");
    assert_eq!(processes_naming(store.0.to_str().expect("text")), Vec::<String>::new());
}

#[test]
fn watches_of_the_map_in_memory_miss_nothing() {
    let store = Store::new("watch-memory");
    let path = store.0.to_str().expect("text");
    let arguments =
        ["--system", "memory", "--workload", "watch", "--rate", "300", "--time-limit", "2s", "--nodes", "3"];
    let output = elenchus(&[&["test", "--store", path], &arguments[..]].concat());
    expect_code(&output, 0);
    let verdicts = json(&store.latest().join("verdicts.json"));
    let figures = &verdicts["verdicts"][0]["figures"];
    assert!(figures["changes"].as_u64() > Some(100), "{verdicts}");
}

#[test]
fn watches_of_etcd_miss_nothing_while_its_nodes_are_cut_killed_and_paused() {
    if !is_here("etcd") {
        return;
    }
    let (_turn, store) = (turn(), Store::new("watch-etcd"));
    let more = ["--workload", "watch", "--nodes", "3", "--time-limit", "12s", "--nemesis-interval", "2s"];
    let more = [&more[..], &["--nemesis", "partition,kill,pause", "--seed", "5"]].concat();
    let Some(output) = run(&store, &example("etcd-local/campaign.toml"), &more) else { return };
    expect_code(&output, 0);
    let verdicts = json(&store.latest().join("verdicts.json"));
    let figures = &verdicts["verdicts"][0]["figures"];
    assert!(figures["changes"].as_u64() > Some(200), "{verdicts}");
}

#[test]
fn a_workload_that_the_client_cannot_serve_is_refused_by_name() {
    let store = Store::new("watch-bundled");
    let path = store.0.to_str().expect("text");
    let output =
        elenchus(&["test", "--store", path, "--workload", "watch", "--nemesis", "none", "--nodes", "1"]);
    let said = text(&output.stderr);
    assert_ne!(output.status.code(), Some(0));
    assert!(said.contains("watch") && said.contains("needs"), "{said}");
}
