//! The tests, and the tiny harness that runs them.

use crate::roles::{FIFO, ROLE};
use elenchus::host::processes::{Identity, Process};
use elenchus::host::vdso::{ClockError, Clocks, probe};
use elenchus_core::fault::Skew;
use elenchus_core::process::NodeId;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::panic::catch_unwind;
use std::path::PathBuf;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant, SystemTime};

const MS: i64 = 1_000_000;
const SECOND: i64 = 1000 * MS;

type Test = (&'static str, fn());

const TESTS: &[Test] = &[
    ("one_clock_goes_back_a_minute_and_no_other_does", one_clock_goes_back_a_minute_and_no_other_does),
    ("every_wall_clock_lies_alike_and_no_other_clock_lies", every_wall_clock_lies_alike),
    ("python_is_lied_to", python_is_lied_to),
    ("a_clock_drifts_and_strobes", a_clock_drifts_and_strobes),
    ("threads_that_spin_on_the_clock_survive_many_patches", spinning_threads_survive),
    ("an_interrupted_sleep_goes_on_and_no_signal_is_lost", sleeps_and_signals_are_undisturbed),
    ("what_nobody_read_was_not_shown", what_nobody_read_was_not_shown),
    ("a_process_that_dies_is_an_error", a_process_that_dies_is_an_error),
    ("a_process_that_stands_still_is_patched_and_goes_on_standing", a_stopped_process_stays_stopped),
    ("a_thread_that_the_kernel_holds_is_no_obstacle", a_held_thread_is_no_obstacle),
    ("children_lie_with_their_parents", children_lie_with_their_parents),
    ("a_new_program_is_found", a_new_program_is_found),
    ("etcd_writes_another_time_into_its_log", etcd_writes_another_time),
];

/// Runs the tests whose names contain the arguments that are no flags.
pub fn run_all(arguments: &[String]) -> ExitCode {
    let filters: Vec<&String> = arguments.iter().filter(|a| !a.starts_with('-')).collect();
    let (mut passed, mut failed, mut ignored) = (0, vec![], 0);
    let possible = probe();
    for (name, test) in TESTS.iter().filter(|(name, _)| filters.iter().all(|f| name.contains(f.as_str()))) {
        if let Err(why) = &possible {
            assert!(!required("ptrace"), "ELENCHUS_REQUIRE names ptrace: {why}");
            println!("test {name} ... ignored, {why}");
            ignored += 1;
            continue;
        }
        let is_ok = catch_unwind(test).is_ok();
        println!("test {name} ... {}", if is_ok { "ok" } else { "FAILED" });
        if is_ok { passed += 1 } else { failed.push(*name) }
    }
    let verdict = if failed.is_empty() { "ok" } else { "FAILED" };
    println!("\ntest result: {verdict}. {passed} passed; {} failed; {ignored} ignored", failed.len());
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

// ---- programs and their clocks ------------------------------------------------------------------------

/// A program in a session of its own that answers questions; it ends with this.
struct Program {
    child: Child,
    answers: BufReader<std::process::ChildStdout>,
}

impl Program {
    fn role(role: &str) -> Program {
        Program::start(Command::new(std::env::current_exe().unwrap()).env(ROLE, role))
    }

    fn start(command: &mut Command) -> Program {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        // SAFETY: one system call between fork and exec.
        unsafe { command.pre_exec(|| nix::unistd::setsid().map(|_| ()).map_err(Into::into)) };
        let mut child = command.spawn().unwrap();
        let answers = BufReader::new(child.stdout.take().unwrap());
        Program { child, answers }
    }

    fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    fn identity(&self) -> Identity {
        Process::find(self.pid()).expect("it runs").identity
    }

    fn tell(&mut self, line: &str) {
        writeln!(self.child.stdin.as_mut().unwrap(), "{line}").unwrap();
    }

    fn hear(&mut self) -> i64 {
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        line.trim().parse().unwrap_or_else(|_| panic!("it answered `{line}`"))
    }

    fn ask(&mut self, question: &str) -> i64 {
        self.tell(question);
        self.hear()
    }

    /// How far ahead of ours its wall clock is, nanoseconds.
    fn ahead(&mut self, question: &str) -> i64 {
        self.ask(question) - now()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Ours and not reaped: its group is nobody else's.
        let _ = kill(Pid::from_raw(-self.pid()), Signal::SIGKILL);
        let _ = self.child.wait();
    }
}

fn now() -> i64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos() as i64
}

/// Lying clocks with a runtime to wait for them.
struct Liar {
    runtime: tokio::runtime::Runtime,
    clocks: Clocks,
    node: NodeId,
}

impl Liar {
    fn new() -> Liar {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Liar { runtime, clocks: Clocks::default(), node: NodeId::new("n1") }
    }

    fn try_skew(&self, whose: Identity, skew: Option<Skew>) -> Result<Option<i64>, ClockError> {
        self.runtime.block_on(self.clocks.skew(&self.node, whose, skew))
    }

    #[track_caller]
    fn skew(&self, program: &Program, skew: Skew) -> Option<i64> {
        self.try_skew(program.identity(), Some(skew)).unwrap()
    }

    #[track_caller]
    fn bump(&self, program: &Program, seconds: i64) -> Option<i64> {
        self.skew(program, Skew::Bump { delta_ms: 1000 * seconds })
    }

    #[track_caller]
    fn free(&self, program: &Program) {
        assert_eq!(self.try_skew(program.identity(), None), Ok(Some(0)));
    }

    #[track_caller]
    fn shown(&self, program: &Program) -> Option<i64> {
        self.runtime.block_on(self.clocks.clock(&self.node, program.identity())).unwrap()
    }
}

#[track_caller]
fn near(found: i64, wanted: i64, error: i64) {
    assert!((found - wanted).abs() <= error, "{found} ns is not {wanted} ± {error} ns");
}

/// A busy machine answers late.
const LATE: i64 = 2 * SECOND;

// ---- the tests ----------------------------------------------------------------------------------------

fn one_clock_goes_back_a_minute_and_no_other_does() {
    let (liar, mut one, mut other) = (Liar::new(), Program::role("teller"), Program::role("teller"));
    let (began, wall) = (Instant::now(), now());
    let monotonic = one.ask("monotonic");
    near(one.ahead("ask"), 0, LATE);
    for seconds in [-60, 3600, -1] {
        liar.bump(&one, seconds);
        near(one.ahead("ask"), seconds * SECOND, LATE);
        near(other.ahead("ask"), 0, LATE);
        assert_eq!(liar.shown(&one), Some(seconds * SECOND));
        let elapsed = began.elapsed().as_nanos() as i64;
        near(now() - wall, elapsed, SECOND / 10);
        near(one.ask("monotonic") - monotonic, elapsed, SECOND);
    }
    liar.free(&one);
    near(one.ahead("ask"), 0, LATE);
    assert_eq!(liar.shown(&one), Some(0));
}

fn every_wall_clock_lies_alike() {
    let (liar, mut program) = (Liar::new(), Program::role("teller"));
    let tai = program.ahead("tai");
    let boot = program.ask("boottime");
    for seconds in [0, 1000, 0, -1_000_000_000, 0] {
        if seconds == 0 {
            liar.free(&program);
        } else {
            liar.bump(&program, seconds);
        }
        for clock in ["ask", "std", "coarse", "day", "time"] {
            near(program.ahead(clock), seconds * SECOND, LATE);
        }
        near(program.ahead("tai"), tai + seconds * SECOND, LATE);
        near(program.ask("boottime"), boot, 60 * SECOND);
        assert_eq!(program.ask("nothing"), 9, "clocks that do not exist");
    }
}

fn python_is_lied_to() {
    let script = "import sys, time\n\
                  for line in sys.stdin:\n    print(int(time.time() * 1e9) if 'ask' in line else time.monotonic_ns(), flush=True)";
    let Some(python) = in_path("python3") else { return };
    let (liar, mut program) = (Liar::new(), Program::start(Command::new(python).args(["-c", script])));
    near(program.ahead("ask"), 0, LATE);
    let before = program.ask("monotonic");
    liar.bump(&program, -60);
    near(program.ahead("ask"), -60 * SECOND, LATE);
    near(program.ask("monotonic"), before, 60 * SECOND);
    liar.skew(&program, Skew::Drift { rate_ppm: -900_000 });
    std::thread::sleep(Duration::from_millis(300));
    let drifted = program.ahead("ask");
    assert!(drifted < -200 * MS && drifted > -10 * SECOND, "{drifted}");
    liar.free(&program);
    near(program.ahead("ask"), 0, LATE);
}

fn a_clock_drifts_and_strobes() {
    let (liar, mut program) = (Liar::new(), Program::role("teller"));
    let began = Instant::now();
    liar.skew(&program, Skew::Drift { rate_ppm: 500_000 });
    let set = Instant::now();
    std::thread::sleep(Duration::from_millis(200));
    let least = set.elapsed().as_nanos() as i64 / 2;
    program.ask("ask");
    let (shown, most) = (liar.shown(&program).expect("it was read"), began.elapsed().as_nanos() as i64 / 2);
    assert!((least..=most).contains(&shown), "{least} {shown} {most}");

    liar.skew(&program, Skew::Strobe { delta_ms: 5000, period_ms: 40 });
    let mut seen = [0, 0, 0];
    let until = Instant::now() + Duration::from_secs(5);
    while (seen[0] < 3 || seen[2] < 3) && Instant::now() < until {
        let ahead = program.ahead("ask");
        let kind = if ahead > 4 * SECOND { 2 } else { usize::from(ahead > SECOND / 2) };
        seen[kind] += 1;
        std::thread::sleep(Duration::from_millis(7));
    }
    assert!(seen[0] >= 3 && seen[2] >= 3 && seen[1] <= 1, "true, between, ahead: {seen:?}");
    liar.free(&program);
    near(program.ahead("ask"), 0, LATE);
}

fn spinning_threads_survive() {
    let (liar, mut program) = (Liar::new(), Program::role("spinner"));
    for turn in 0..60 {
        liar.bump(&program, if turn % 2 == 0 { 7 } else { -7 });
        if turn % 3 == 0 {
            liar.free(&program);
        }
    }
    liar.free(&program);
    let turns = program.ask("turns");
    near(program.ahead("ask"), 0, LATE);
    let until = Instant::now() + Duration::from_secs(10);
    while program.ask("turns") <= turns {
        assert!(Instant::now() < until, "nobody spins any more");
    }
}

fn sleeps_and_signals_are_undisturbed() {
    let (liar, mut program) = (Liar::new(), Program::role("sleeper"));
    program.ask("signals");
    program.tell("nap");
    for turn in 0..20 {
        liar.bump(&program, 5 + turn);
        liar.free(&program);
    }
    let napped = program.hear();
    // On processors where an interrupted sleep begins again it may take longer, never shorter.
    assert!(napped >= 400 * MS, "{napped}");
    if cfg!(target_arch = "x86_64") {
        near(napped, 400 * MS, 2 * SECOND);
    }
    let (pid, sent) = (program.pid(), 300);
    let storm = std::thread::spawn(move || {
        for _ in 0..sent {
            // SAFETY: it queues a signal to our own child.
            unsafe {
                libc::sigqueue(pid, libc::SIGRTMIN(), libc::sigval { sival_ptr: std::ptr::null_mut() })
            };
            std::thread::sleep(Duration::from_micros(300));
        }
    });
    while !storm.is_finished() {
        liar.bump(&program, 5);
        liar.free(&program);
    }
    storm.join().unwrap();
    assert_eq!(program.ask("signals"), sent);
    kill(Pid::from_raw(pid), Signal::SIGTRAP).unwrap();
    assert_eq!(program.ask("signals"), sent + 1, "its own handler of traps is still there");
}

fn what_nobody_read_was_not_shown() {
    let (liar, mut program) = (Liar::new(), Program::role("sleeper"));
    program.ask("signals");
    assert_eq!(liar.bump(&program, 60), None);
    assert_eq!(liar.shown(&program), None);
    program.ask("monotonic");
    assert_eq!(liar.shown(&program), None, "the monotonic clock is none that lies");
    program.ask("ask");
    assert_eq!(liar.shown(&program), Some(60 * SECOND));
    liar.bump(&program, 90);
    assert_eq!(liar.shown(&program), None, "a new lie is not yet told");
    liar.free(&program);
}

fn a_process_that_dies_is_an_error() {
    let liar = Liar::new();
    let program = Program::role("teller");
    let identity = program.identity();
    drop(program);
    let error = liar.try_skew(identity, Some(Skew::Bump { delta_ms: 1 })).unwrap_err().to_string();
    assert!(error.contains("ended"), "{error}");
    assert_eq!(liar.try_skew(identity, None), Ok(Some(0)), "nobody is left who could be lied to");
    // Whoever has the number now is another one.
    let program = Program::role("teller");
    let earlier = Identity { start: program.identity().start - 1, ..program.identity() };
    assert!(liar.try_skew(earlier, Some(Skew::Bump { delta_ms: 60_000 })).is_err());
    for pause in 0..30 {
        let mut program = Program::role("spinner");
        let identity = program.identity();
        let killer = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_micros(100 * pause));
            program.child.kill().unwrap();
            program.child.wait().unwrap();
        });
        let began = Instant::now();
        let _ = liar.try_skew(identity, Some(Skew::Bump { delta_ms: 1 }));
        assert!(began.elapsed() < Duration::from_secs(5));
        killer.join().unwrap();
    }
    let absurd = Skew::Bump { delta_ms: i64::MAX };
    assert!(matches!(liar.try_skew(program.identity(), Some(absurd)), Err(ClockError::TooMuch(_))));
}

fn a_stopped_process_stays_stopped() {
    let (liar, mut program) = (Liar::new(), Program::role("spinner"));
    let pid = program.pid();
    let is_stopped = || {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        stat.rsplit_once(") ").unwrap().1.starts_with('T')
    };
    program.ask("turns");
    kill(Pid::from_raw(pid), Signal::SIGSTOP).unwrap();
    until("it stands still", is_stopped);
    assert_eq!(liar.bump(&program, 60), None, "nobody reads a clock while standing");
    until("it stands still", is_stopped);
    kill(Pid::from_raw(pid), Signal::SIGCONT).unwrap();
    near(program.ahead("ask"), 60 * SECOND, LATE);
    kill(Pid::from_raw(pid), Signal::SIGSTOP).unwrap();
    until("it stands still", is_stopped);
    liar.free(&program);
    until("it stands still", is_stopped);
    kill(Pid::from_raw(pid), Signal::SIGCONT).unwrap();
    near(program.ahead("ask"), 0, LATE);
    // A pause that comes while the clock is being set holds all the same.
    for _ in 0..20 {
        let stopper = std::thread::spawn(move || kill(Pid::from_raw(pid), Signal::SIGSTOP).unwrap());
        liar.bump(&program, 5);
        liar.free(&program);
        stopper.join().unwrap();
        until("it stands still", is_stopped);
        kill(Pid::from_raw(pid), Signal::SIGCONT).unwrap();
        near(program.ahead("ask"), 0, LATE);
    }
}

fn a_held_thread_is_no_obstacle() {
    let folder = Folder::new("held");
    let fifo = folder.0.join("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    let (liar, mut program) = (Liar::new(), Program::start(command.env(ROLE, "held").env(FIFO, &fifo)));
    let tasks = format!("/proc/{}/task", program.pid());
    let is_held = || {
        std::fs::read_dir(&tasks).unwrap().any(|task| {
            let stat = std::fs::read_to_string(task.unwrap().path().join("stat")).unwrap_or_default();
            stat.rsplit_once(") ").is_some_and(|(_, state)| state.starts_with('D'))
        })
    };
    until("a thread is held", is_held);
    for seconds in [-60, 60] {
        liar.bump(&program, seconds);
        near(program.ahead("ask"), seconds * SECOND, LATE);
        liar.free(&program);
        near(program.ahead("ask"), 0, LATE);
    }
    assert!(is_held() && program.ask("turns") == 0);
    liar.bump(&program, 60);
    drop(std::fs::OpenOptions::new().write(true).open(&fifo).unwrap());
    until("the thread goes on", || program.ask("turns") == 1);
    near(program.ahead("ask"), 60 * SECOND, LATE);
}

fn children_lie_with_their_parents() {
    let (liar, mut program) = (Liar::new(), Program::role("teller"));
    program.ask("fork");
    near(program.ahead("ask child"), 0, LATE);
    liar.bump(&program, 60);
    near(program.ahead("ask child"), 60 * SECOND, LATE);
    near(program.ahead("ask"), 60 * SECOND, LATE);
    // A child that is born while the clock lies inherits the lie, and is freed of it.
    program.ask("fork");
    near(program.ahead("ask child"), 60 * SECOND, LATE);
    liar.free(&program);
    near(program.ahead("ask child"), 0, LATE);
    liar.bump(&program, -60);
    near(program.ahead("ask child"), -60 * SECOND, LATE);
    liar.free(&program);
    near(program.ahead("ask child"), 0, LATE);
}

fn a_new_program_is_found() {
    let (liar, mut program) = (Liar::new(), Program::role("changer"));
    liar.bump(&program, 60);
    program.tell("change");
    until("the new program lies", || (program.ahead("ask") - 60 * SECOND).abs() < LATE);
    liar.free(&program);
    near(program.ahead("ask"), 0, LATE);
    // The same behind a shell, which waits for it.
    let teller = std::env::current_exe().unwrap();
    let mut shell = Program::start(
        Command::new("/bin/sh")
            .args(["-c", "read line; \"$0\"; exit 3", teller.to_str().unwrap()])
            .env(ROLE, "teller"),
    );
    liar.bump(&shell, -60);
    shell.tell("go");
    until("the new program lies", || (shell.ahead("ask") - -60 * SECOND).abs() < LATE);
    liar.free(&shell);
    near(shell.ahead("ask"), 0, LATE);
}

fn etcd_writes_another_time() {
    let Some(etcd) = in_path("etcd") else { return };
    let folder = Folder::new("etcd");
    let log = folder.0.join("log");
    let mut command = Command::new(etcd);
    let url = |port: u16| format!("http://127.0.0.1:{port}");
    let (client, peer) = (url(free_port()), url(free_port()));
    command.args(["--logger=zap", "--log-outputs=stderr", "--name=n1", "--data-dir=data"]);
    command.args(["--listen-client-urls", &client, "--advertise-client-urls", &client]);
    command.args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer]);
    command.args(["--initial-cluster", &format!("n1={peer}")]).current_dir(&folder.0);
    let etcd = Program::start(command.stderr(std::fs::File::create(&log).unwrap()));
    let written = || std::fs::read_to_string(&log).unwrap();
    until("etcd serves", || written().contains("serving client traffic"));
    let ahead = |what: &str| {
        let text = written();
        let line = text.lines().find(|line| line.contains(what)).unwrap_or_else(|| panic!("{what}: {text}"));
        let day = 86_400;
        (second_of_day(line) - now() / SECOND % day + day + day / 2) % day - day / 2
    };
    assert!(ahead("serving client traffic").abs() < 30);
    let liar = Liar::new();
    liar.bump(&etcd, -600);
    until("etcd looks at its clock", || liar.shown(&etcd) == Some(-600 * SECOND));
    kill(Pid::from_raw(etcd.pid()), Signal::SIGTERM).unwrap();
    until("etcd says farewell", || written().contains("received signal"));
    let behind = ahead("received signal");
    assert!((behind + 600).abs() < 30, "{behind} seconds ahead");
}

/// The time of day of a line of etcd's log, which begins with `{"level":"info","ts":"2026-11-26T22:05:46.`.
fn second_of_day(line: &str) -> i64 {
    let ts = line.split("\"ts\":\"").nth(1).unwrap_or_else(|| panic!("no time in {line}"));
    let part = |at: usize| ts[at..at + 2].parse::<i64>().unwrap();
    part(11) * 3600 + part(14) * 60 + part(17)
}

#[track_caller]
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let limit = Instant::now() + Duration::from_secs(30);
    while !is_so() {
        assert!(Instant::now() < limit, "it never came about that {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Where a program is, or that the test is skipped without it.
fn in_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file());
    assert!(
        found.is_some() || !required(program),
        "ELENCHUS_REQUIRE names {program}, and it is not installed"
    );
    if found.is_none() {
        println!("    skipped: {program} is not installed");
    }
    found
}

/// Whether what must be there on this machine may be absent: then a test may skip itself.
fn required(what: &str) -> bool {
    std::env::var("ELENCHUS_REQUIRE").is_ok_and(|list| list.split(',').any(|item| item == what))
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A folder that goes away with this.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("elenchus-clock-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
