//! Whole trials on the bed's hosts, through the command line.

use crate::bed::{Bed, eventually};
use crate::inside::Test;
use crate::transport::has_sudo;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

pub const TESTS: &[Test] = &[
    ("trial_etcd_is_valid_while_hosts_are_cut_and_nodes_killed_and_paused", etcd),
    ("trial_etcd_is_valid_while_its_members_come_and_go", members),
    ("trial_whose_host_loses_its_cable_ends_and_names_it", cable_pulled),
    ("trial_whose_host_loses_sshd_or_disk_ends_and_names_it", sshd_killed_and_disk_filled),
    ("trial_by_sudo_that_is_interrupted_leaves_nothing", interrupted),
    ("trial_whose_hosts_do_not_allow_a_fault_is_refused", not_allowed),
    ("trial_that_is_killed_is_healed_on_its_hosts", killed_and_healed),
    ("trial_with_a_host_that_is_off_is_refused_with_its_name", host_off),
];

const CAMPAIGN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/etcd-ssh/campaign.toml");

/// The program without what only debuggers want: it is sent to five hosts.
fn program(bed: &Bed) -> PathBuf {
    let path = bed.folder.join("elenchus");
    if !path.exists() {
        let stripped =
            Command::new("strip").arg("-o").arg(&path).arg(env!("CARGO_BIN_EXE_elenchus")).status();
        if !stripped.is_ok_and(|status| status.success()) {
            fs::copy(env!("CARGO_BIN_EXE_elenchus"), &path).expect("there is room");
        }
    }
    path
}

fn has_etcd() -> bool {
    let has = ["/usr/bin/etcd", "/usr/local/bin/etcd"].iter().any(|path| Path::new(path).exists());
    let required = std::env::var("ELENCHUS_REQUIRE").unwrap_or_default();
    assert!(
        has || !required.split(',').any(|item| item == "etcd"),
        "ELENCHUS_REQUIRE names etcd; it is not here"
    );
    if !has {
        println!("skipped: etcd is not installed");
    }
    has
}

/// A trial under way.
struct Trial {
    child: Child,
    store: PathBuf,
}

fn begin(bed: &Bed, name: &str, more: &[&str]) -> Trial {
    begin_with(bed, CAMPAIGN, name, more)
}

fn begin_with(bed: &Bed, campaign: &str, name: &str, more: &[&str]) -> Trial {
    let store = bed.folder.join("store").join(name);
    let key = bed.folder.join("user");
    let mut command = Command::new(program(bed));
    command.args(["test", campaign, "--rate", "100", "--concurrency", "2n"]);
    if !more.contains(&"--seed") {
        command.args(["--seed", "7"]);
    }
    command.arg("--store").arg(&store).arg("--ssh-private-key").arg(key).args(more);
    command.env("HOME", bed.folder.join("home")).env_remove("SSH_AUTH_SOCK");
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    Trial { child: child.expect("the program starts"), store }
}

impl Trial {
    fn folder(&self) -> Option<PathBuf> {
        self.store.join("current").canonicalize().ok()
    }

    /// How many lines its history has.
    fn events(&self) -> usize {
        let history = self.folder().map(|folder| folder.join("history.jsonl"));
        history.and_then(|path| fs::read_to_string(path).ok()).map_or(0, |text| text.lines().count())
    }

    /// Waits until clients have done something.
    fn is_working(&mut self) {
        for _ in 0..1200 {
            if self.events() > 50 {
                return;
            }
            if self.child.try_wait().expect("it is ours").is_some() {
                break;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        let _ = self.child.kill();
        let mut said = String::new();
        let _ = self.child.stderr.take().map(|mut stderr| stderr.read_to_string(&mut said));
        panic!("the trial never worked: {said}");
    }

    /// Its exit code and all that it said.
    fn end(self) -> (Option<i32>, String, PathBuf) {
        let folder = self.folder();
        let output = self.child.wait_with_output().expect("it is ours");
        let said =
            [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
        println!("{said}");
        (
            output.status.code(),
            said,
            folder.or_else(|| self.store.join("current").canonicalize().ok()).unwrap_or_default(),
        )
    }
}

/// Nothing of ours is left on this host: no process, no rule, no folder but the helper's.
#[track_caller]
fn nothing_left(bed: &Bed, i: usize) {
    eventually("its processes are gone", || {
        bed.processes(i).iter().all(|line| line.contains("ps ") || line.is_empty())
    });
    let said = bed.shell(i, "cd /var/tmp; ls -d elenchus/* tester/* 2>/dev/null; nft list tables");
    let said = String::from_utf8_lossy(&said.stdout);
    assert!(!said.is_empty() && said.lines().all(|line| line.ends_with("/bin")), "n{i}: {said}");
}

/// One short trial a workload; with `ELENCHUS_LONG` five of a minute, as docs/acceptance.md has them.
fn etcd(bed: &Bed) {
    let is_long = std::env::var_os("ELENCHUS_LONG").is_some();
    let (trials, time_limit) = if is_long { (5, "60s") } else { (1, "20s") };
    for (workload, trial) in ["register", "set"].into_iter().flat_map(|w| (0..trials).map(move |i| (w, i))) {
        if has_etcd() {
            etcd_with(bed, workload, time_limit, 7 + trial);
        }
    }
}

fn members(bed: &Bed) {
    if !has_etcd() {
        return;
    }
    let trial = begin(bed, "members", &["--time-limit", "20s", "--nemesis", "membership"]);
    let (code, said, folder) = trial.end();
    assert_eq!(code, Some(0), "{said}");
    let text = fs::read_to_string(folder.join("history.jsonl")).expect("a history");
    assert!(text.contains("a member again, a new one"), "{said}");
    (1..=5).for_each(|i| nothing_left(bed, i));
}

fn etcd_with(bed: &Bed, workload: &str, time_limit: &str, seed: u64) {
    let (name, seed) = (format!("{workload}-{seed}"), seed.to_string());
    let more = ["-w", workload, "--time-limit", time_limit, "--nemesis-interval", "3s", "--seed", &seed];
    let trial = begin(bed, &name, &more);
    let (code, said, folder) = trial.end();
    assert_eq!(code, Some(0), "{said}");
    let text = fs::read_to_string(folder.join("history.jsonl")).expect("a history");
    let events =
        text.lines().skip(1).map(|line| serde_json::from_str::<Value>(line).expect("a line of JSON"));
    let ok = events.filter(|event| event["type"] == "ok").count();
    assert!(ok >= 200, "only {ok} operations succeeded");
    for i in 1..=5 {
        nothing_left(bed, i);
        let log = folder.join(format!("logs/n{i}/output.log"));
        let log = fs::read_to_string(&log).unwrap_or_else(|e| panic!("{}: {e}", log.display()));
        assert!(log.contains("etcd"), "the log of n{i} came back");
    }
    assert!(!folder.join("hosts.json").exists(), "nothing is left to be undone");
    let secrets = Command::new("grep").args(["-rl", "PRIVATE KEY"]).arg(&folder).output().expect("grep");
    assert!(secrets.stdout.is_empty(), "no key is in the store");
}

fn cable_pulled(bed: &Bed) {
    if !has_etcd() {
        return;
    }
    let mut trial = begin(bed, "cable", &["--time-limit", "12s", "--nemesis", "kill"]);
    trial.is_working();
    bed.cable(3, false);
    let (code, said, folder) = trial.end();
    // n3 never answers again: valid it cannot be called, and nobody is accused.
    assert!(matches!(code, Some(2 | 255)), "{said}");
    assert!(said.contains("n3") && said.contains("10.77.0.3"), "{said}");
    assert!(folder.join("verdicts.json").exists(), "what was recorded is judged");
    for i in [1, 2, 4, 5] {
        let said = bed.shell(i, "pgrep etcd");
        assert!(said.stdout.is_empty(), "no node runs on n{i}");
    }
    bed.cable(3, true);
    let healed = heal(bed, &folder);
    assert!(healed.contains("nothing is left on its 5 hosts"), "{healed}");
    nothing_left(bed, 3);
}

fn sshd_killed_and_disk_filled(bed: &Bed) {
    if !has_etcd() {
        return;
    }
    let mut trial = begin(bed, "sshd", &["--time-limit", "12s", "--nemesis", "none"]);
    trial.is_working();
    bed.kill_sshd(2);
    bed.fill_disk(4);
    let (code, said, folder) = trial.end();
    assert!(matches!(code, Some(0 | 2 | 255)), "{said}");
    assert!(said.contains("n2") && said.contains("10.77.0.2"), "{said}");
    assert!(folder.join("verdicts.json").exists(), "what was recorded is judged");
    bed.start_sshd(2);
    bed.empty_disk(4);
    heal(bed, &folder);
    (1..=5).for_each(|i| nothing_left(bed, i));
}

fn interrupted(bed: &Bed) {
    if !has_etcd() || !has_sudo() {
        return;
    }
    let text = fs::read_to_string(CAMPAIGN).expect("the example");
    assert!(text.contains("user = \"root\""), "the example names its user");
    let path = bed.folder.join("sudo.toml");
    let by_sudo = |more: &str| {
        let user = format!("user = \"tester\"\nsudo = true\n{more}");
        fs::write(&path, text.replace("user = \"root\"", &user)).expect("our own file");
        path.to_str().expect("text")
    };
    (1..=5).for_each(|i| drop(bed.shell(i, "mkdir -p /var/tmp/elenchus/bin")));
    let (code, said, _) = begin_with(bed, by_sudo(""), "another", &["--time-limit", "5s"]).end();
    assert!(code == Some(255) && said.contains("n3") && said.contains("belongs to somebody else"), "{said}");
    let more = ["--time-limit", "60s", "--nemesis", "partition,kill"];
    let campaign = by_sudo("folder = \"/var/tmp/tester\"");
    let mut trial = begin_with(bed, campaign, "sudo", &more);
    trial.is_working();
    kill(Pid::from_raw(trial.child.id() as i32), Signal::SIGINT).expect("it is ours");
    let (code, said, folder) = trial.end();
    assert_eq!(code, Some(2), "{said}");
    assert!(fs::read_to_string(folder.join("trial.json")).expect("a record").contains("interrupted"));
    for i in 1..=5 {
        nothing_left(bed, i);
        assert!(folder.join(format!("logs/n{i}/output.log")).exists(), "the log of n{i} came back");
    }
}

fn not_allowed(bed: &Bed) {
    let text = fs::read_to_string(CAMPAIGN).expect("the example");
    let path = bed.folder.join("nobody.toml");
    let nobody = "user = \"tester\"\nfolder = \"/var/tmp/tester\"";
    fs::write(&path, text.replace("user = \"root\"", nobody)).expect("our own file");
    let (code, said, _) =
        begin_with(bed, path.to_str().expect("text"), "nobody", &["--nemesis", "partition"]).end();
    assert!(code == Some(255) && said.contains("n1 (tester@10.77.0.1:22)"), "{said}");
    assert!(said.contains("it cannot suffer `partition`"), "{said}");
    (1..=5).for_each(|i| nothing_left(bed, i));
    let (code, said, _) = begin(bed, "refused", &["--nemesis", "power"]).end();
    assert!(code == Some(254) && said.contains("power"), "{said}");
}

fn killed_and_healed(bed: &Bed) {
    if !has_etcd() {
        return;
    }
    let more = ["--time-limit", "60s", "--nemesis", "partition", "--nemesis-interval", "3s"];
    let mut trial = begin(bed, "killed", &more);
    trial.is_working();
    let folder = trial.folder().expect("it runs");
    let rules = || {
        (1..=5).any(|i| !bed.shell(i, "nft list tables; iptables -S | grep -i elenchus").stdout.is_empty())
    };
    eventually("a link is cut", rules);
    let running = heal(bed, &folder);
    assert!(running.contains("still runs"), "{running}");
    trial.child.kill().and_then(|()| trial.child.wait()).expect("it is ours");
    let healed = heal(bed, &folder);
    assert!(healed.contains("nothing is left on its 5 hosts"), "{healed}");
    (1..=5).for_each(|i| nothing_left(bed, i));
}

fn host_off(bed: &Bed) {
    bed.power_off(5);
    let (code, said, _) = begin(bed, "off", &["--time-limit", "5s"]).end();
    assert_eq!(code, Some(255), "{said}");
    assert!(said.contains("n5") && said.contains("10.77.0.5"), "{said}");
    assert!(!said.contains("n1 ("), "the others are well: {said}");
    (1..=4).for_each(|i| assert!(bed.processes(i).is_empty(), "nothing was started on n{i}"));
}

fn heal(bed: &Bed, folder: &Path) -> String {
    let mut command = Command::new(program(bed));
    let output = command.arg("heal").arg(folder).env("HOME", bed.folder.join("home")).output();
    let output = output.expect("the program starts");
    [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat()
}
