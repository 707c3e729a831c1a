//! Whole trials on the bed's hosts, through the command line.

use crate::bed::{Bed, CONTROL_GROUPS, eventually};
use crate::inside::Test;
use crate::transport::has_sudo;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

pub const TESTS: &[Test] = &[
    ("trial_etcd_is_valid_while_hosts_are_cut_and_nodes_killed_and_paused", etcd),
    ("trial_etcd_is_valid_while_its_members_come_and_go", members),
    ("trial_etcd_is_valid_while_power_fails_and_disks_ail", power),
    ("trial_etcd_is_valid_while_nodes_lack_the_processor", resources),
    ("doctor_says_what_each_host_lacks_and_leaves_nothing", doctor),
    ("trial_of_all_faults_leaves_out_what_a_host_lacks", left_out),
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

pub fn has_etcd() -> bool {
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
pub struct Trial {
    pub child: Child,
    store: PathBuf,
}

fn begin(bed: &Bed, name: &str, more: &[&str]) -> Trial {
    begin_with(bed, CAMPAIGN, name, more)
}

pub fn begin_with(bed: &Bed, campaign: &str, name: &str, more: &[&str]) -> Trial {
    let store = bed.folder.join("store").join(name);
    let key = bed.folder.join("user");
    let mut command = Command::new(program(bed));
    command.args(["test", campaign, "--concurrency", "2n"]);
    if !more.contains(&"--rate") {
        command.args(["--rate", "100"]);
    }
    if !more.contains(&"--seed") {
        command.args(["--seed", "7"]);
    }
    command.arg("--store").arg(&store).arg("--ssh-private-key").arg(key).args(more);
    command.env("HOME", bed.folder.join("home")).env_remove("SSH_AUTH_SOCK");
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    Trial { child: child.expect("the program starts"), store }
}

impl Trial {
    pub fn folder(&self) -> Option<PathBuf> {
        self.store.join("current").canonicalize().ok()
    }

    /// How many lines its history has.
    pub fn events(&self) -> usize {
        let history = self.folder().map(|folder| folder.join("history.jsonl"));
        history.and_then(|path| fs::read_to_string(path).ok()).map_or(0, |text| text.lines().count())
    }

    /// Waits until clients have done something.
    pub fn is_working(&mut self) {
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
    pub fn end(self) -> (Option<i32>, String, PathBuf) {
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
pub fn nothing_left(bed: &Bed, i: usize) {
    eventually("its processes are gone", || {
        bed.processes(i).iter().all(|line| line.contains("ps ") || line.is_empty())
    });
    let said = bed.shell(i, "grep elenchus /proc/mounts");
    assert!(said.stdout.is_empty(), "n{i}: {}", String::from_utf8_lossy(&said.stdout));
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

fn has_fuse() -> bool {
    let has = fs::OpenOptions::new().read(true).write(true).open("/dev/fuse").is_ok();
    let required = std::env::var("ELENCHUS_REQUIRE").unwrap_or_default();
    assert!(
        has || !required.split(',').any(|item| item == "fuse"),
        "ELENCHUS_REQUIRE names fuse; it cannot be opened"
    );
    if !has {
        println!("skipped: /dev/fuse cannot be opened");
    }
    has
}

fn power(bed: &Bed) {
    if !has_etcd() || !has_fuse() {
        return;
    }
    let text = fs::read_to_string(CAMPAIGN).expect("the example");
    // By sudo, where there is one: then what lies under the disk belongs to another user than who mounts it.
    let by_sudo = "user = \"tester\"\nsudo = true\nfolder = \"/var/tmp/tester\"";
    let text = if has_sudo() { text.replace("user = \"root\"", by_sudo) } else { text };
    // What it keeps in a file of its own comes back too, though only root may read it; what is not there is told.
    let path = bed.folder.join("power.toml");
    // The step that makes it is a program of the campaign's own folder, put there before.
    let tools = bed.folder.join("tools");
    fs::create_dir_all(&tools).expect("our own folder");
    let step = "#!/bin/sh\nmkdir -m 700 own; echo one > own/a.log; chmod 600 own/a.log; ln -s /etc/shadow own/link\n";
    fs::write(tools.join("step"), step).expect("our own file");
    fs::set_permissions(tools.join("step"), fs::Permissions::from_mode(0o755)).expect("our own file");
    let install = "upload = { \"my/tools\" = \"tools\" }\ninstall = [\"my/tools/step\"]";
    let more = format!("[cluster]\nlogs = [\"own\", \"no/such.log\"]\n{install}");
    fs::write(&path, text.replace("[cluster]", &more)).expect("our own file");
    let more = ["--time-limit", "15s", "--nemesis", "power,disk", "--nemesis-interval", "1500ms"];
    let (code, said, folder) = begin_with(bed, path.to_str().expect("text"), "power", &more).end();
    // Named faults that did not hit would be no pass.
    assert_eq!(code, Some(0), "{said}");
    let text = fs::read_to_string(folder.join("history.jsonl")).expect("a history");
    assert!(text.contains("\"power\"") && text.contains("\"disk\""), "{said}");
    let setup = fs::read_to_string(folder.join("setup.log")).expect("a log");
    for i in 1..=5 {
        nothing_left(bed, i);
        let own = folder.join(format!("logs/n{i}/own"));
        assert_eq!(fs::read_to_string(own.join("a.log")).expect("it came back"), "one\n", "{setup}");
        assert!(!own.join("link").exists(), "links are not followed");
        assert!(setup.contains(&format!("n{i}: ")) && setup.contains("no/such.log is not kept"), "{setup}");
    }
}

/// The groups of helpers; other trials on this machine may have some too.
fn groups() -> Vec<String> {
    let found = Command::new("find").args([CONTROL_GROUPS, "-type", "d", "-name", "elenchus-*"]).output();
    String::from_utf8_lossy(&found.expect("find").stdout).lines().map(str::to_owned).collect()
}

fn resources(bed: &Bed) {
    if !has_etcd() {
        return;
    }
    if let Err(why) = elenchus::host::resources::probe() {
        println!("skipped: {why}");
        return;
    }
    let before = groups();
    let more = ["--time-limit", "8s", "--nemesis", "resources", "--nemesis-interval", "1s", "--rate", "400"];
    let (code, said, _) = begin(bed, "resources", &more).end();
    assert_eq!(code, Some(0), "{said}");
    (1..=5).for_each(|i| nothing_left(bed, i));
    eventually("no group is left", || groups().iter().all(|group| before.contains(group)));
}

/// What the doctor says of the example, by what it looked at: whether it is well, and all of it.
fn examined(bed: &Bed, home: &str, more: &[&str]) -> (Option<i32>, Vec<Value>) {
    let mut command = Command::new(program(bed));
    command.args(["doctor", CAMPAIGN, "--json", "--ssh-private-key"]).arg(bed.folder.join("user")).args(more);
    let output = command.env("HOME", bed.folder.join(home)).env_remove("SSH_AUTH_SOCK").output();
    let output = output.expect("the program starts");
    let text = String::from_utf8_lossy(&output.stdout);
    let said: Value = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}"));
    (output.status.code(), said["findings"].as_array().expect("a list").clone())
}

fn doctor(bed: &Bed) {
    if !has_etcd() {
        return;
    }
    let find = |findings: &[Value], what: &str| {
        let found = findings.iter().find(|finding| finding["what"] == what);
        found.unwrap_or_else(|| panic!("nothing of {what}: {findings:#?}")).clone()
    };
    let (code, findings) = examined(bed, "home", &["--nemesis", "partition,kill"]);
    assert_eq!(code, Some(0), "{findings:#?}");
    for i in 1..=5 {
        for what in [
            "reached",
            "system",
            "root",
            "SFTP",
            "sha1sum",
            "room",
            "helper",
            "clock",
            "program etcd",
            "fault partition",
        ] {
            let finding = find(&findings, &format!("n{i} {what}"));
            assert_eq!(finding["ok"], true, "{finding}");
        }
        assert!(
            find(&findings, &format!("n{i} clock"))["why"]
                .as_str()
                .is_some_and(|w| w.contains("give or take"))
        );
        nothing_left(bed, i);
    }

    assert!(bed.shell(2, "mount --bind /dev/null /dev/fuse").status.success());
    bed.power_off(3);
    bed.fill_disk(5);
    let strange = bed.folder.join("home-without-n4/.ssh");
    fs::create_dir_all(&strange).expect("our own folder");
    let known = fs::read_to_string(bed.folder.join("home/.ssh/known_hosts")).expect("the bed wrote it");
    let known: String = known.split_inclusive('\n').filter(|line| !line.starts_with("10.77.0.4 ")).collect();
    fs::write(strange.join("known_hosts"), known).expect("our own folder");
    let (code, findings) = examined(bed, "home-without-n4", &["--nemesis", "power,kill"]);
    assert!(bed.shell(2, "umount /dev/fuse").status.success());
    assert_eq!(code, Some(1), "{findings:#?}");
    for (what, is_needed) in [
        ("n2 fault power", true),
        ("n2 fault disk", false),
        ("n3 reached", true),
        ("n4 host key", true),
        ("n5 room", true),
    ] {
        let finding = find(&findings, what);
        assert_eq!((&finding["ok"], &finding["needed"]), (&false.into(), &is_needed.into()), "{finding}");
        for key in ["why", "lost", "remedy"] {
            assert!(finding[key].as_str().is_some_and(|text| !text.is_empty()), "{finding}");
        }
    }
    assert!(find(&findings, "n1 fault kill")["ok"] == true);
    [1, 2, 4].into_iter().for_each(|i| nothing_left(bed, i));
}

fn left_out(bed: &Bed) {
    if !has_etcd() || !has_fuse() {
        return;
    }
    assert!(bed.shell(2, "mount --bind /dev/null /dev/fuse").status.success());
    let (named, said, _) = begin(bed, "lacking", &["--time-limit", "5s", "--nemesis", "kill,power"]).end();
    assert!(named == Some(255) && said.contains("n2 (root@10.77.0.2:22)"), "{said}");
    assert!(said.contains("it cannot suffer `power`: ") && !said.contains("n1 ("), "{said}");
    let more = ["--time-limit", "10s", "--nemesis", "all", "--nemesis-interval", "1s"];
    let (code, said, folder) = begin(bed, "all", &more).end();
    assert!(bed.shell(2, "umount /dev/fuse").status.success());
    assert_eq!(code, Some(0), "{said}");
    for fault in ["power", "disk"] {
        let line = format!("left out: n2 (root@10.77.0.2:22): it cannot suffer `{fault}`: ");
        assert!(said.contains(&line), "{said}");
        let text = fs::read_to_string(folder.join("history.jsonl")).expect("a history");
        assert!(!text.contains(&format!("\"f\":\"{fault}\"")), "{fault} was left out");
    }
    assert!(fs::read_to_string(folder.join("trial.json")).expect("a record").contains("left_out"));
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
    let faults = "partition,packets,power,kill";
    let (code, said, _) =
        begin_with(bed, path.to_str().expect("text"), "nobody", &["--nemesis", faults]).end();
    assert!(code == Some(255) && said.contains("n1 (tester@10.77.0.1:22)"), "{said}");
    for fault in ["partition", "packets", "power"] {
        assert!(said.contains(&format!("it cannot suffer `{fault}`")), "{said}");
    }
    assert!(!said.contains("suffer `kill`"), "{said}");
    (1..=5).for_each(|i| nothing_left(bed, i));
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

pub fn heal(bed: &Bed, folder: &Path) -> String {
    let mut command = Command::new(program(bed));
    let output = command.arg("heal").arg(folder).env("HOME", bed.folder.join("home")).output();
    let output = output.expect("the program starts");
    [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat()
}
