//! A search that cannot end ends in time and within its memory, and says how far it came.

use elenchus_checkers::linearizability::{Answer, Finding, Insight, judge};
use elenchus_core::budget::Budget;
use elenchus_core::model::Model;
use elenchus_core::operation::Operation;
use elenchus_core::outcome::Outcome;
use elenchus_core::process::Process;
use elenchus_core::time::Time;
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// The system's allocator, which counts.
struct Counting;

static HELD: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call is handed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        PEAK.fetch_max(HELD.fetch_add(layout.size(), Relaxed) + layout.size(), Relaxed);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Only one test measures at a time.
static ALONE: Mutex<()> = Mutex::new(());

/// A log of bytes: every order of appends is a state of its own. Knows no short cut, gives no hint but what
/// a state weighs.
#[derive(Default)]
struct Log {
    /// Bytes that a state occupies beside its entries.
    ballast: usize,
    /// How long a step takes.
    pause: Duration,
    steps: Mutex<Vec<Instant>>,
}

#[derive(Clone, Debug, PartialEq)]
enum LogOp {
    Append(u8),
    Read,
}

impl Model for Log {
    type Op = LogOp;
    type Ret = Vec<u8>;
    type Key = ();
    type State = Vec<u8>;

    fn init(&self, _key: &()) -> Vec<u8> {
        vec![0; self.ballast]
    }

    fn step(
        &self,
        state: &Vec<u8>,
        op: &LogOp,
        outcome: &Outcome<Vec<u8>>,
    ) -> impl IntoIterator<Item = Vec<u8>> {
        if !self.pause.is_zero() {
            self.steps.lock().expect("no test panics here").push(Instant::now());
            std::thread::sleep(self.pause);
        }
        match (op, outcome) {
            (LogOp::Append(entry), _) => Some(state.iter().chain([entry]).copied().collect()),
            (LogOp::Read, Outcome::Ok(saw)) => (state[self.ballast..] == saw[..]).then(|| state.clone()),
            (LogOp::Read, _) => Some(state.clone()),
        }
    }

    fn key(&self, _op: &LogOp) {}

    fn describe(&self, op: &LogOp, _outcome: &Outcome<Vec<u8>>) -> String {
        format!("{op:?}")
    }

    fn weight(&self, state: &Vec<u8>) -> usize {
        size_of::<Vec<u8>>() + state.capacity()
    }
}

impl Insight for Log {}

/// Appends one after the other, then so many at once that never end with what is read at last.
fn adversarial(quiet: u32, at_once: u32) -> Vec<Operation<LogOp, Vec<u8>>> {
    let operation = |number: u32, op, ret, call, done| Operation {
        process: Process(number),
        op,
        outcome: Outcome::Ok(ret),
        call,
        done,
        called: Time::ZERO,
        ended: None,
    };
    let append = |number: u32, call, done| operation(number, LogOp::Append(number as u8), vec![], call, done);
    let mut operations: Vec<_> = (0..quiet).map(|i| append(i, 2 * i, 2 * i + 1)).collect();
    let end = 2 * quiet;
    operations.extend((0..at_once).map(|i| append(quiet + i, end + i, end + at_once + i)));
    let read = end + 2 * at_once;
    operations.push(operation(quiet + at_once, LogOp::Read, vec![255], read, read + 1));
    operations
}

fn unknown(finding: &Finding<()>) -> (u32, &str) {
    match &finding.answer {
        Answer::Unknown { reached, why } => (*reached, why),
        answer => panic!("nobody can know that: {answer:?}"),
    }
}

#[test]
fn a_search_never_holds_more_than_its_budget_and_says_how_far_it_came() {
    let _alone = ALONE.lock();
    const BUDGET: usize = 64 << 20;
    for (ballast, threads) in [(0, 1), (0, 2), (10_000, 2), (1_000_000, 2)] {
        let model = Log { ballast, ..Log::default() };
        let operations = adversarial(50, 14);
        let budget = Budget::new(Duration::from_secs(60), BUDGET).with_threads(threads);
        let before = HELD.load(Relaxed);
        PEAK.store(before, Relaxed);
        let findings = judge(&model, &operations, &budget);
        let peak = PEAK.load(Relaxed) - before;
        let (reached, why) = unknown(&findings[0]);
        assert!(why.contains("memory"), "{why}");
        assert!(reached >= 100, "everything before 100 is plain to see, but it reached {reached}");
        assert!(peak <= BUDGET, "ballast {ballast}, {threads} threads: {peak} bytes of {BUDGET}");
        assert!(peak > BUDGET / 8, "ballast {ballast}, {threads} threads: it gave up at {peak} bytes");
    }
}

#[test]
fn no_step_is_begun_after_the_deadline() {
    let _alone = ALONE.lock();
    for (pause, threads) in [(Duration::from_millis(20), 1), (Duration::from_micros(20), 2)] {
        let model = Log { pause, ..Log::default() };
        let operations = adversarial(2, 14);
        let time = Duration::from_millis(300);
        let began = Instant::now();
        let findings = judge(&model, &operations, &Budget::new(time, 1 << 30).with_threads(threads));
        let (_, why) = unknown(&findings[0]);
        assert!(why.contains("time"), "{why}");
        let steps = model.steps.lock().expect("no step panics");
        let late = steps.iter().filter(|at| **at > began + time + Duration::from_millis(100)).count();
        // While steps are quick the clock is read at every 128th only: a machine that stands still just then
        // begins the rest of them late.
        let begun_already = if pause > Duration::from_millis(1) { threads } else { 128 * threads };
        assert!(late <= begun_already, "{late} of {} steps were begun too late", steps.len());
    }
}
