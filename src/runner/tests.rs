use super::*;
use elenchus_core::event::Kind;
use elenchus_core::fault::Target;
use elenchus_core::format::jsonl::{self, Header};
use elenchus_core::history::History;
use elenchus_core::process::NodeId;
use elenchus_core::value::Value;
use elenchus_core::workload::Call;
use std::path::PathBuf;

/// An operation that takes so many milliseconds; below zero it never ends.
struct Echo;

impl Vocabulary for Echo {
    type Op = i64;
    type Ret = i64;
    fn encode_op(&self, op: &i64) -> Call {
        Call { f: "echo", key: None, value: Value::Int(*op) }
    }
    fn encode_ret(&self, _op: &i64, ret: &i64) -> Value {
        Value::Int(*ret)
    }
    fn decode_op(&self, _f: &str, _key: Option<&Value>, value: &Value) -> Result<i64, String> {
        value.as_int().ok_or_else(|| "a number".into())
    }
    fn decode_ret(&self, _op: &i64, value: &Value) -> Result<i64, String> {
        value.as_int().ok_or_else(|| "a number".into())
    }
}

/// A world of virtual time in which everything takes as long as it says.
struct Script {
    now: Time,
    due: Vec<(Time, u64, Wake<i64>)>,
    count: u64,
    path: PathBuf,
    abandoned: Vec<Process>,
    faults_answer: bool,
    interrupt_at: Option<Time>,
}

impl Script {
    fn new(path: PathBuf) -> Script {
        Script {
            now: Time::ZERO,
            due: vec![],
            count: 0,
            path,
            abandoned: vec![],
            faults_answer: true,
            interrupt_at: None,
        }
    }

    fn later(&mut self, after: Duration, wake: Wake<i64>) {
        self.count += 1;
        self.due.push((self.now + after, self.count, wake));
        self.due.sort_by_key(|(at, n, _)| (*at, *n));
    }

    fn proof(&self) -> Result<Proof, Cause> {
        Ok(Proof { nodes: NodeId::numbered(1), links: vec![], hit: true, text: "seen".into() })
    }
}

impl World<i64, i64> for Script {
    fn now(&self) -> Time {
        self.now
    }
    fn invoke(&mut self, slot: Slot, process: Process, op: i64) {
        let log = std::fs::read_to_string(&self.path).expect("the log is there");
        let last = format!("\"value\":{op}");
        assert!(log.lines().any(|line| line.contains(&last)), "operation {op} acts before it is on disk");
        if let Ok(ms) = u64::try_from(op) {
            self.later(Duration::from_millis(ms), Wake::Done(slot, process, Outcome::Ok(op)));
        }
    }
    fn abandon(&mut self, slot: Slot, process: Process) {
        self.abandoned.push(process);
        // Its answer comes all the same, much too late.
        self.later(Duration::from_millis(1), Wake::Done(slot, process, Outcome::Ok(0)));
    }
    fn inject(&mut self, id: FaultId, _fault: Fault) {
        if self.faults_answer {
            let proof = self.proof();
            self.later(Duration::from_millis(5), Wake::Injected(id, proof));
        }
    }
    fn heal(&mut self, id: FaultId) {
        if self.faults_answer {
            let proof = self.proof();
            self.later(Duration::from_millis(5), Wake::Healed(id, proof));
        }
    }
    fn wait(&mut self, until: Option<Time>) -> Wake<i64> {
        if self.interrupt_at.is_some_and(|at| at <= self.now) {
            self.interrupt_at = None;
            return Wake::Interrupted;
        }
        let until = until.unwrap_or(Time::MAX);
        match self.due.first() {
            Some((at, ..)) if *at <= until.max(self.now) => {
                let (at, _, wake) = self.due.remove(0);
                self.now = self.now.max(at);
                wake
            }
            _ => {
                self.now = self.now.max(until);
                Wake::Timeout
            }
        }
    }
}

/// Does what it is given, in order, as soon as a slot is free.
struct List(Vec<Action<i64>>);

impl Generator<i64, i64> for List {
    fn next(&mut self, cx: &mut Context) -> Next<i64> {
        let slot = match self.0.first() {
            None => return Next::Done,
            Some(Action::Client(_)) => match (0..cx.concurrency()).map(Slot).find(|s| cx.is_free(*s)) {
                Some(slot) => slot,
                None => return Next::Wait(None),
            },
            Some(_) => Context::NEMESIS,
        };
        Next::Invoke(slot, self.0.remove(0))
    }
}

fn ops(list: &[i64]) -> List {
    List(list.iter().map(|op| Action::Client(*op)).collect())
}

fn kill() -> Fault {
    Fault::Kill { nodes: Target::Nodes(NodeId::numbered(1)) }
}

/// A fresh folder that goes away with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("elenchus-runner-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).expect("a temporary folder");
        Folder(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

const LIMITS: Limits = Limits { operation: Duration::from_millis(100), fault: Duration::from_millis(50) };

/// Runs the generator, heals, and reads back what the log holds.
fn run(
    name: &str,
    slots: u32,
    change: impl FnOnce(&mut Script),
    generator: &mut dyn Generator<i64, i64>,
) -> (Result<End, Broken>, History, Script) {
    let folder = Folder::new(name);
    let path = folder.0.join("history.jsonl");
    let log = Log::create(&path, &Header::default()).expect("a fresh log");
    let mut world = Script::new(path.clone());
    change(&mut world);
    let mut silent = Silent;
    let mut runner = Runner::new(&Echo, &mut world, &mut silent, log, slots, LIMITS);
    let end = runner.run(generator);
    runner.heal_all().expect("the log can be written");
    drop(runner);
    let recording = jsonl::read(&std::fs::read(&path).expect("the log")).expect("a well-formed log");
    (end, recording.history, world)
}

fn kinds(history: &History) -> Vec<(u32, Kind)> {
    history.events().filter(|e| !e.process.is_nemesis()).map(|e| (e.process.0, e.kind)).collect()
}

#[test]
fn an_operation_is_on_disk_before_it_acts_and_ends_after_it_was_heard_of() {
    let (end, history, _) = run("order", 2, |_| {}, &mut ops(&[10, 20, 30]));
    assert_eq!(end.expect("it completes"), End::Completed);
    let expected = [
        (0, Kind::Invoke),
        (1, Kind::Invoke),
        (0, Kind::Ok),
        (0, Kind::Invoke),
        (1, Kind::Ok),
        (0, Kind::Ok),
    ];
    assert_eq!(kinds(&history), expected);
}

#[test]
fn an_operation_past_its_deadline_is_in_doubt_and_its_late_answer_is_dropped() {
    let (end, history, world) = run("late", 1, |_| {}, &mut ops(&[-1, 10]));
    assert_eq!(end.expect("it completes"), End::Completed);
    assert_eq!(kinds(&history), [(0, Kind::Invoke), (0, Kind::Info), (1, Kind::Invoke), (1, Kind::Ok)]);
    assert_eq!(world.abandoned, [Process(0)]);
    let error = history.event(1).error.expect("a doubt has a reason").to_string();
    assert!(error.contains("timeout"), "{error}");
}

#[test]
fn a_generator_that_waits_for_nothing_breaks_the_trial_with_a_reason() {
    struct Waits;
    impl Generator<i64, i64> for Waits {
        fn next(&mut self, _cx: &mut Context) -> Next<i64> {
            Next::Wait(None)
        }
    }
    let (end, ..) = run("stalled", 1, |_| {}, &mut Waits);
    assert!(matches!(end, Err(Broken::Stalled)), "{end:?}");
}

#[test]
fn a_generator_that_uses_a_busy_slot_breaks_the_trial() {
    struct Pushes;
    impl Generator<i64, i64> for Pushes {
        fn next(&mut self, _cx: &mut Context) -> Next<i64> {
            Next::Invoke(Slot(0), Action::Client(1))
        }
    }
    let (end, ..) = run("busy", 1, |_| {}, &mut Pushes);
    assert!(matches!(end, Err(Broken::Busy(0))), "{end:?}");
}

#[test]
fn a_log_that_cannot_be_written_ends_the_trial_before_anything_is_invoked() {
    let Ok(full) = std::fs::OpenOptions::new().append(true).open("/dev/full") else {
        return eprintln!("skipped: this machine has no /dev/full");
    };
    let folder = Folder::new("full");
    let mut world = Script::new(folder.0.join("nothing"));
    let mut silent = Silent;
    let mut runner = Runner::new(&Echo, &mut world, &mut silent, Log::onto(full), 1, LIMITS);
    let end = runner.run(&mut ops(&[10]));
    assert!(matches!(end, Err(Broken::Log(_))), "{end:?}");
    drop(runner);
    assert!(world.due.is_empty(), "something was invoked");
}

#[test]
fn what_is_broken_is_healed_at_the_end_and_the_log_tells_all_four_phases() {
    let mut generator = List(vec![Action::Inject(FaultId(7), kill()), Action::Client(20)]);
    let (end, history, _) = run("heal", 1, |_| {}, &mut generator);
    assert_eq!(end.expect("it completes"), End::Completed);
    let spans = fault_log::spans(&history);
    assert_eq!(spans.len(), 1);
    assert!(spans[0].inject.is_some() && spans[0].injected.is_some());
    assert!(spans[0].heal.is_some() && spans[0].healed.is_some());
    assert!(spans[0].hit_while_open());
}

#[test]
fn a_fault_that_is_never_answered_is_overdue_and_the_loop_goes_on() {
    let mut generator = List(vec![Action::Inject(FaultId(1), kill()), Action::Client(10)]);
    let (end, history, _) = run("overdue", 1, |world| world.faults_answer = false, &mut generator);
    assert_eq!(end.expect("it completes"), End::Completed);
    let spans = fault_log::spans(&history);
    assert!(!spans[0].hit());
    let errors = history.events().filter(|e| e.process.is_nemesis() && e.error.is_some()).count();
    assert_eq!(
        errors,
        1 + HEALINGS_MAX as usize,
        "it neither came nor went, however often it was asked to go"
    );
}

#[test]
fn an_interrupt_ends_the_run_and_leaves_open_operations_in_doubt() {
    let change = |world: &mut Script| world.interrupt_at = Some(Time(15_000_000));
    let (end, history, _) = run("interrupt", 2, change, &mut ops(&[10, 90, 90, 90]));
    assert_eq!(end.expect("it ends"), End::Interrupted);
    let operations = history.operations(&Echo).expect("it decodes");
    assert!(operations.iter().any(|o| o.outcome.is_info() && o.ended.is_none()));
}
