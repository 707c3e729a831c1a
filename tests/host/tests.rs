//! The tests, and the tiny harness that runs them.

use crate::scenarios::{self, eventually};
use elenchus::host::{
    HealError, Healed, HostError, IsolationRequest, Wish, heal, heal_store, packets, run_trial,
};
use elenchus_core::process::NodeId;
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Gid, Pid, Uid};
use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Output, Stdio};

// ---- one trial, in a process of its own ---------------------------------------------------------------

/// Runs a scenario in a trial; prints how its isolation was chosen and how it ended.
pub fn trial(scenario: &str, isolation: &str, folder: &str) -> ExitCode {
    let folder = Path::new(folder);
    if scenario == "refused" {
        refuse_networks();
    }
    let threads: Vec<_> = (0..usize::from(scenario == "threads"))
        .map(|_| std::thread::spawn(|| std::thread::sleep(std::time::Duration::from_secs(1))))
        .collect();
    let scenario = if ["refused", "threads"].contains(&scenario) { "nothing" } else { scenario };
    let outside = (mounts(), network());
    let nodes = NodeId::numbered(2);
    let wish = Wish { isolation: isolation.parse().unwrap(), nodes: &nodes, port_base: None };
    let ended = run_trial(wish, folder, |ground| {
        println!("isolation: {}", ground.isolation);
        scenarios::play(scenario, ground, folder)
    });
    drop(threads);
    assert_eq!(outside, (mounts(), network()), "the outer process stays where it is");
    match ended {
        Ok(ended) => {
            let controller = ended.controller.map_or("lost".into(), |status| status.to_string());
            println!("controller {controller}; {} interrupts; {:?} left", ended.interrupts, ended.left);
        }
        Err(error @ (HostError::Refused(_) | HostError::Threads(_))) => println!("{error}"),
        Err(error) => panic!("{error}"),
    }
    ExitCode::SUCCESS
}

fn mounts() -> String {
    fs::read_to_string("/proc/self/mountinfo").unwrap()
}

fn network() -> PathBuf {
    fs::read_link("/proc/self/ns/net").unwrap()
}

/// Prints by which means packets can be made to suffer, or why they cannot.
pub fn say_how_packets_suffer() -> ExitCode {
    match packets::probe() {
        Ok(how) => println!("{how}"),
        Err(why) => println!("no means: {why}"),
    }
    ExitCode::SUCCESS
}

/// From here on the kernel grants no network namespaces.
fn refuse_networks() {
    let (user, group) = (Uid::effective(), Gid::effective());
    unshare(CloneFlags::CLONE_NEWUSER).unwrap();
    fs::write("/proc/self/setgroups", "deny").unwrap();
    fs::write("/proc/self/uid_map", format!("{user} {user} 1")).unwrap();
    fs::write("/proc/self/gid_map", format!("{group} {group} 1")).unwrap();
    fs::write("/proc/sys/user/max_net_namespaces", "0").unwrap();
}

// ---- the harness --------------------------------------------------------------------------------------

/// Under what conditions a test runs its trials.
#[derive(Clone)]
struct Setting {
    program: PathBuf,
    folder: PathBuf,
    isolation: IsolationRequest,
    is_nobody: bool,
    /// By what packets suffer; `None`: by the first that the kernel has.
    means: Option<&'static str>,
}

type Test = (&'static str, fn(&Setting));

/// Whatever packets suffer by.
const OF_PACKETS: &[Test] = &[
    ("packets_are_late_in_order_and_only_those_of_peers", packets_are_late_in_order_and_only_those_of_peers),
    ("packets_are_lost_doubled_overtaken_and_corrupted", packets_are_lost_doubled_overtaken_and_corrupted),
    ("streams_stay_whole_in_any_trouble", streams_stay_whole_in_any_trouble),
    ("a_cut_link_carries_no_late_packets_and_no_copies", a_cut_link_carries_no_late_packets_and_no_copies),
];

const TESTS: &[Test] = &[
    ("a_cut_is_one_way_mends_and_counts", a_cut_is_one_way_mends_and_counts),
    ("a_cut_by_resets_refuses_at_once", a_cut_by_resets_refuses_at_once),
    ("nodes_start_stand_go_on_and_die", nodes_start_stand_go_on_and_die),
    ("who_left_his_process_group_stands_still_too", who_left_his_process_group_stands_still_too),
    ("a_clock_lies_in_its_node_alone", a_clock_lies_in_its_node_alone),
    ("a_daemon_dies_with_its_trial", a_daemon_dies_with_its_trial),
    ("nodes_die_when_nobody_commands_them", nodes_die_when_nobody_commands_them),
    ("killing_the_outer_process_leaves_nothing", killing_the_outer_process_leaves_nothing),
    ("killing_the_supervisor_leaves_nothing", killing_the_supervisor_leaves_nothing),
    ("killing_the_controller_leaves_nothing", killing_the_controller_leaves_nothing),
    ("healing_ends_what_outlived_its_supervisor_and_us", healing_ends_what_outlived_its_supervisor_and_us),
    ("signals_reach_the_controller_as_messages", signals_reach_the_controller_as_messages),
    ("the_third_signal_ends_everything", the_third_signal_ends_everything),
    ("the_end_of_the_controller_is_told", the_end_of_the_controller_is_told),
];

/// Independent of how nodes are kept apart.
const ONCE: &[Test] = &[
    ("refused_namespaces_fall_back_to_the_proxy", refused_namespaces_fall_back_to_the_proxy),
    ("a_second_thread_is_refused", a_second_thread_is_refused),
    ("journals_of_other_boots_kill_nobody", journals_of_other_boots_kill_nobody),
];

/// Runs the tests whose names contain the arguments that are no flags.
pub fn run_all(arguments: &[String]) -> ExitCode {
    let filters: Vec<&String> = arguments.iter().filter(|a| !a.starts_with('-')).collect();
    let base = Folder::new(std::env::temp_dir().join(format!("elenchus-host-{}", std::process::id())));
    // Nobody may be unable to reach the folder that this was built in.
    let program = base.0.join("program");
    fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    let (mut passed, mut failed, mut ignored) = (0, vec![], 0);
    for (name, isolation, is_nobody, means, test) in plan() {
        if !filters.iter().all(|filter| name.contains(*filter)) {
            continue;
        }
        let setting = Setting {
            program: program.clone(),
            folder: base.0.join(name.replace(' ', "-")),
            isolation,
            is_nobody,
            means,
        };
        if let Some(why) = refusal(&setting, &base.0) {
            println!("test {name} ... ignored, {why}");
            ignored += 1;
            continue;
        }
        make_open(&setting.folder);
        let is_ok = catch_unwind(AssertUnwindSafe(|| test(&setting))).is_ok();
        println!("test {name} ... {}", if is_ok { "ok" } else { "FAILED" });
        if is_ok { passed += 1 } else { failed.push(name) }
    }
    let verdict = if failed.is_empty() { "ok" } else { "FAILED" };
    println!("\ntest result: {verdict}. {passed} passed; {} failed; {ignored} ignored", failed.len());
    for name in &failed {
        println!("    {name}");
    }
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

type Planned = (String, IsolationRequest, bool, Option<&'static str>, fn(&Setting));

/// Every test under every setting that this user can have.
fn plan() -> Vec<Planned> {
    let users: &[bool] = if Uid::effective().is_root() { &[false, true] } else { &[false] };
    let mut plan = vec![];
    for is_nobody in users {
        let user = if *is_nobody { " as nobody" } else { "" };
        for isolation in [IsolationRequest::Namespaces, IsolationRequest::Proxy] {
            let named = |name: &str| format!("{name} ({isolation}{user})");
            let tests = OF_PACKETS.iter().chain(TESTS);
            plan.extend(tests.map(|(name, test)| (named(name), isolation, *is_nobody, None, *test)));
        }
        let isolation = IsolationRequest::Namespaces;
        for means in ["queue", "netem"] {
            let named = |name: &str| format!("{name} ({isolation}, {means}{user})");
            let tests = OF_PACKETS.iter();
            plan.extend(tests.map(|(name, test)| (named(name), isolation, *is_nobody, Some(means), *test)));
        }
        let named = |name: &str| format!("{name}{user}");
        let once = |(name, test): &Test| (named(name), IsolationRequest::Auto, *is_nobody, None, *test);
        plan.extend(ONCE.iter().map(once));
    }
    plan
}

/// Why this machine cannot run the tests of this setting.
fn refusal(setting: &Setting, base: &Path) -> Option<String> {
    if setting.isolation != IsolationRequest::Namespaces {
        return None;
    }
    let probe = Setting { folder: base.join(format!("probe-{}", setting.is_nobody)), ..setting.clone() };
    let answer = probe.folder.join("answer");
    if !answer.exists() {
        make_open(&probe.folder);
        fs::write(&answer, probe.run("nothing").stdout).unwrap();
    }
    let answer = fs::read_to_string(answer).unwrap();
    let refused = answer.strip_prefix("no isolation: ").map(|why| why.trim().to_owned());
    refused.or_else(|| setting.lacks_means())
}

/// A folder that goes with the test run.
struct Folder(PathBuf);

impl Folder {
    fn new(path: PathBuf) -> Folder {
        make_open(&path);
        Folder(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Makes a folder that everybody may write to.
fn make_open(path: &Path) {
    fs::create_dir_all(path).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o777)).unwrap();
}

impl Setting {
    fn command(&self, scenario: &str) -> Command {
        let mut command = self.program();
        command.args(["trial", scenario, &self.isolation.to_string()]).arg(&self.folder);
        command
    }

    /// Why packets cannot suffer by what they should.
    fn lacks_means(&self) -> Option<String> {
        self.means?;
        let output = self.program().arg("how-packets-suffer").output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        said.strip_prefix("no means: ").map(|why| why.trim().to_owned())
    }

    fn program(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.stdin(Stdio::null());
        if let Some(means) = self.means {
            command.env(packets::VARIABLE, means);
        }
        if self.is_nobody {
            command.uid(65534).gid(65534);
        }
        command
    }

    /// Runs a whole trial, and makes sure that nothing of it is left.
    fn run(&self, scenario: &str) -> Output {
        let output = self.command(scenario).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{scenario}: {}\n{stderr}", output.status);
        self.nothing_is_left();
        // Printed only if the test fails later on.
        self.note(&stderr);
        output
    }

    fn note(&self, text: &str) {
        fs::write(self.folder.join("stderr"), text).unwrap();
    }

    #[track_caller]
    fn succeed(&self, scenario: &str) -> String {
        let output = self.run(scenario);
        let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(stdout.contains("controller exited with code 0; 0 interrupts; [] left"), "{stdout}{stderr}");
        stdout
    }

    /// Starts a trial and waits until its controller says that it is ready.
    fn begin(&self, scenario: &str) -> Started {
        let mut child = Started(self.command(scenario).stdout(Stdio::piped()).spawn().unwrap());
        eventually("the trial is ready", || {
            assert_eq!(child.0.try_wait().unwrap(), None, "the trial ended before it was ready");
            self.folder.join("ready").exists()
        });
        child
    }

    /// The processes of this role that the journal names.
    fn pids(&self, role: &str) -> Vec<Pid> {
        let journal = fs::read_to_string(self.folder.join("journal.jsonl")).unwrap();
        let lines = journal.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        let lines = lines.filter(|line| line["process"]["role"] == role);
        lines.map(|line| Pid::from_raw(line["process"]["identity"]["pid"].as_i64().unwrap() as i32)).collect()
    }

    /// The one that is still alive.
    fn pid(&self, role: &str) -> Pid {
        *self.pids(role).last().unwrap_or_else(|| panic!("the journal names a {role}"))
    }

    /// All processes, zombies aside, that have the trial's folder in their arguments or environment.
    fn left(&self) -> Vec<String> {
        let folder = self.folder.to_str().unwrap();
        let mut left = vec![];
        for entry in fs::read_dir("/proc").unwrap().flatten() {
            let path = entry.path();
            let read = |name: &str| {
                String::from_utf8_lossy(&fs::read(path.join(name)).unwrap_or_default()).into_owned()
            };
            let is_marked = [read("cmdline"), read("environ")].iter().any(|text| {
                text.split('\0').any(|word| word == folder || word.strip_prefix("MARK=") == Some(folder))
            });
            let is_zombie = read("stat").rsplit_once(')').is_none_or(|(_, rest)| rest.starts_with(" Z"));
            if is_marked && !is_zombie {
                left.push(format!("{}: {}", entry.file_name().display(), read("cmdline").replace('\0', " ")));
            }
        }
        left
    }

    #[track_caller]
    fn nothing_is_left(&self) {
        assert_eq!(self.left(), [] as [String; 0]);
    }

    /// No control group bears the trial's token.
    #[track_caller]
    fn no_group_is_left(&self) {
        let journal = fs::read_to_string(self.folder.join("journal.jsonl")).unwrap();
        let trial: serde_json::Value = serde_json::from_str(journal.lines().next().unwrap()).unwrap();
        let name = format!("elenchus-{}", trial["trial"]["token"].as_str().unwrap());
        let groups = |folder: &Path| -> Vec<PathBuf> {
            let entries = fs::read_dir(folder).into_iter().flatten().flatten();
            entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect()
        };
        let top = groups(Path::new("/sys/fs/cgroup"));
        let all = top.iter().flat_map(|group| groups(group)).chain(top.iter().cloned());
        let left: Vec<PathBuf> = all.filter(|group| group.to_string_lossy().contains(&name)).collect();
        assert_eq!(left, [] as [PathBuf; 0]);
    }

    fn nothing_stays(&self) {
        eventually("nothing is left of the trial", || self.left().is_empty());
    }
}

/// A trial that runs. It is killed if its test fails.
struct Started(Child);

impl Started {
    fn outer(&self) -> Pid {
        Pid::from_raw(self.0.id() as i32)
    }

    /// What the trial printed, once it has ended.
    fn finish(mut self) -> String {
        eventually("the trial ends", || self.0.try_wait().unwrap().is_some());
        let mut stdout = String::new();
        self.0.stdout.take().unwrap().read_to_string(&mut stdout).unwrap();
        stdout
    }

    fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        let _ = (self.0.kill(), self.0.wait());
    }
}

// ---- the tests ----------------------------------------------------------------------------------------

fn a_cut_is_one_way_mends_and_counts(setting: &Setting) {
    let stdout = setting.succeed("links");
    assert!(stdout.contains(&format!("isolation: {}", setting.isolation)), "{stdout}");
}

fn a_cut_by_resets_refuses_at_once(setting: &Setting) {
    setting.succeed("resets");
}

/// Runs a scenario of packets, where there are packets; streams refuse what would break them.
fn suffer(setting: &Setting, scenario: &str) {
    if setting.isolation == IsolationRequest::Proxy {
        setting.succeed("packets-refused");
    } else {
        setting.succeed(scenario);
    }
}

fn packets_are_late_in_order_and_only_those_of_peers(setting: &Setting) {
    suffer(setting, "packets-late");
}

fn packets_are_lost_doubled_overtaken_and_corrupted(setting: &Setting) {
    suffer(setting, "packets-mangled");
}

fn streams_stay_whole_in_any_trouble(setting: &Setting) {
    let by_proxy = setting.isolation == IsolationRequest::Proxy;
    setting.succeed(if by_proxy { "packets-slow-streams" } else { "packets-streams" });
}

fn a_cut_link_carries_no_late_packets_and_no_copies(setting: &Setting) {
    suffer(setting, "packets-cut");
}

fn nodes_start_stand_go_on_and_die(setting: &Setting) {
    setting.succeed("nodes");
}

fn who_left_his_process_group_stands_still_too(setting: &Setting) {
    setting.succeed("frozen");
    setting.no_group_is_left();
}

fn a_clock_lies_in_its_node_alone(setting: &Setting) {
    if let Err(why) = elenchus::host::vdso::probe() {
        return println!("    not tried: {why}");
    }
    setting.succeed("clocks");
    setting.nothing_is_left();
}

fn a_daemon_dies_with_its_trial(setting: &Setting) {
    setting.succeed("daemon");
    assert_eq!(heal(&setting.folder).unwrap(), Healed::Already);
}

fn nodes_die_when_nobody_commands_them(setting: &Setting) {
    setting.succeed("let-go");
}

fn killing_the_outer_process_leaves_nothing(setting: &Setting) {
    let mut child = setting.begin("wait");
    assert!(setting.left().len() >= 6, "{:?}", setting.left());
    child.kill();
    setting.nothing_stays();
    // Whom it kills, if anybody, was dying already: nobody knows that all is undone, so it looks.
    assert!(matches!(heal(&setting.folder).unwrap(), Healed::Now { .. }));
    setting.no_group_is_left();
    assert_eq!(heal(&setting.folder).unwrap(), Healed::Already);
}

fn killing_the_supervisor_leaves_nothing(setting: &Setting) {
    let child = setting.begin("wait");
    kill(setting.pid("supervisor"), Signal::SIGKILL).unwrap();
    let stdout = child.finish();
    assert!(stdout.contains("controller lost; 0 interrupts; [] left"), "{stdout}");
    setting.nothing_is_left();
    setting.no_group_is_left();
}

fn killing_the_controller_leaves_nothing(setting: &Setting) {
    let child = setting.begin("wait");
    kill(setting.pid("controller"), Signal::SIGKILL).unwrap();
    let stdout = child.finish();
    assert!(stdout.contains("controller was killed by signal 9; 0 interrupts; [] left"), "{stdout}");
    setting.nothing_is_left();
    setting.no_group_is_left();
}

fn healing_ends_what_outlived_its_supervisor_and_us(setting: &Setting) {
    let mut child = setting.begin("wait");
    let outer = child.outer();
    // As long as the command is there, the trial is its own.
    assert_eq!(heal(&setting.folder).unwrap(), Healed::Running { pid: outer.as_raw() });
    let both = [outer, setting.pid("supervisor")];
    both.iter().for_each(|pid| kill(*pid, Signal::SIGSTOP).unwrap());
    // The kernel may be quicker: whoever loses its parent dies.
    for pid in &both {
        // Whoever is gone already need not be killed.
        let _ = kill(*pid, Signal::SIGKILL);
    }
    child.kill();
    // The controller and the nodes die of themselves. Without a pid namespace a daemon does not, nor
    // does who left his process group, frozen or not.
    let daemons = if setting.isolation == IsolationRequest::Proxy { 2 } else { 0 };
    eventually("only daemons are left", || setting.left().len() == daemons);
    // As a user would: over the whole store, whose trials lie two levels down.
    let store = setting.folder.join("store");
    make_open(&store.join("name"));
    let moved = store.join("name").join("time");
    fs::create_dir(&moved).unwrap();
    fs::copy(setting.folder.join("journal.jsonl"), moved.join("journal.jsonl")).unwrap();
    let healed = heal_store(&store).unwrap();
    let [(folder, Ok(Healed::Now { killed }))] = &healed[..] else { panic!("{healed:?}") };
    assert_eq!(*folder, moved);
    assert!(killed.len() >= daemons);
    setting.nothing_is_left();
    assert_eq!(heal(&moved).unwrap(), Healed::Already);
}

fn signals_reach_the_controller_as_messages(setting: &Setting) {
    let child = setting.begin("interrupts");
    let outer = child.outer();
    kill(outer, Signal::SIGINT).unwrap();
    eventually("the first signal arrives", || setting.folder.join("first").exists());
    kill(outer, Signal::SIGTERM).unwrap();
    let stdout = child.finish();
    assert!(stdout.contains("controller exited with code 0; 2 interrupts; [] left"), "{stdout}");
    setting.nothing_is_left();
}

fn the_third_signal_ends_everything(setting: &Setting) {
    let child = setting.begin("deaf");
    let outer = child.outer();
    [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP].iter().for_each(|signal| kill(outer, *signal).unwrap());
    let stdout = child.finish();
    assert!(stdout.contains("controller lost; 3 interrupts; [] left"), "{stdout}");
    setting.nothing_is_left();
}

fn the_end_of_the_controller_is_told(setting: &Setting) {
    for (scenario, end) in [
        ("seven", "exited with code 7"),
        ("panic", "exited with code 255"),
        ("suicide", "was killed by signal 9"),
    ] {
        let journal = setting.folder.join("journal.jsonl");
        if journal.exists() {
            fs::remove_file(&journal).unwrap();
        }
        let stdout = String::from_utf8(setting.run(scenario).stdout).unwrap();
        assert!(stdout.contains(&format!("controller {end}; 0 interrupts; [] left")), "{stdout}");
    }
}

fn refused_namespaces_fall_back_to_the_proxy(setting: &Setting) {
    let stdout = setting.succeed("refused");
    assert!(stdout.contains("isolation: proxy (namespaces were refused: clone("), "{stdout}");
    assert!(stdout.contains("ENOSPC"), "{stdout}");
    fs::remove_file(setting.folder.join("journal.jsonl")).unwrap();
    let strict = Setting { isolation: IsolationRequest::Namespaces, ..setting.clone() };
    let stdout = String::from_utf8(strict.run("refused").stdout).unwrap();
    assert!(stdout.starts_with("no isolation: clone(") && stdout.contains("ENOSPC"), "{stdout}");
    assert_eq!(heal(&setting.folder).unwrap(), Healed::Already);
}

fn a_second_thread_is_refused(setting: &Setting) {
    let stdout = String::from_utf8(setting.run("threads").stdout).unwrap();
    assert!(stdout.contains("before any thread is started"), "{stdout}");
}

fn journals_of_other_boots_kill_nobody(setting: &Setting) {
    setting.succeed("nothing");
    let path = setting.folder.join("journal.jsonl");
    let journal = fs::read_to_string(&path).unwrap();
    let mut bystander = Command::new(&setting.program).env(crate::toy::ROLE, "sleeper").spawn().unwrap();
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    let stat = fs::read_to_string(format!("/proc/{}/stat", bystander.id())).unwrap();
    let start = stat.rsplit_once(')').unwrap().1.split_whitespace().nth(19).unwrap();
    let trial = journal.lines().next().unwrap();
    let pid = bystander.id() as i32;
    let node = |start: &str| {
        format!("{{\"process\":{{\"role\":\"node\",\"identity\":{{\"pid\":{pid},\"start\":{start}}}}}}}\n")
    };
    // Another boot; then this boot, but a process that had this number before.
    let other_boot = trial.replace(boot.trim(), "00000000-0000-0000-0000-000000000000");
    for text in [format!("{other_boot}\n{}", node(start)), format!("{trial}\n{}", node("1"))] {
        fs::write(&path, &text).unwrap();
        assert_eq!(heal(&setting.folder).unwrap(), Healed::Now { killed: vec![] });
        assert_eq!(bystander.try_wait().unwrap(), None);
        assert_eq!(heal(&setting.folder).unwrap(), Healed::Already);
    }
    // A torn last line is left out; a torn line elsewhere is an error that names it.
    fs::write(&path, format!("{trial}\n{{\"process\":{{\"ro")).unwrap();
    assert_eq!(heal(&setting.folder).unwrap(), Healed::Now { killed: vec![] });
    assert_eq!(heal(&setting.folder).unwrap(), Healed::Already);
    fs::write(&path, format!("{trial}\nwhat?\n{}", node(start))).unwrap();
    assert!(matches!(heal(&setting.folder), Err(HealError::Unreadable { line: 2, .. })));
    // The one that is meant is killed.
    fs::write(&path, format!("{trial}\n{}", node(start))).unwrap();
    assert_eq!(heal(&setting.folder).unwrap(), Healed::Now { killed: vec![pid] });
    bystander.wait().unwrap();
}
