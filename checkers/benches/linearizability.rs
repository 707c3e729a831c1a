//! How long the search takes, and how much memory it holds: the figures of `docs/benchmarks.md`.
//!
//! `cargo bench -p elenchus-checkers --bench linearizability [-- WORD…]` prints a line a case whose name
//! contains every word: the median of three runs (one, where it takes over 3 s), the peak of the heap beyond the history itself, and the
//! bar where one is set. Every history is made here from a seed. A case that the search cannot decide in
//! 20 s and 1 GiB says so; one that it decides wrongly ends the program.
//!
//! The registers are judged by search alone ([`Searched`]), also where a model would know a quicker way.

use elenchus_checkers::linearizability::{Answer, Insight, judge};
use elenchus_checkers::models::register::{
    Register, RegisterOp, RegisterRet, RegisterVocabulary, failed_cas_is_refused,
};
use elenchus_checkers::synthetic::Simulation;
use elenchus_core::budget::Budget;
use elenchus_core::format;
use elenchus_core::model::Model;
use elenchus_core::operation::Operation;
use elenchus_core::outcome::{Failure, Outcome};
use elenchus_core::random::{Rng, Seed};
use elenchus_core::value::Value;
use std::alloc::{GlobalAlloc, Layout, System};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

type RegisterOperation = Operation<RegisterOp, RegisterRet>;

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

/// A register whose quicker way is not taken.
struct Searched(Register);

impl Model for Searched {
    type Op = RegisterOp;
    type Ret = RegisterRet;
    type Key = Value;
    type State = Value;

    fn init(&self, key: &Value) -> Value {
        self.0.init(key)
    }

    fn step(
        &self,
        state: &Value,
        op: &RegisterOp,
        outcome: &Outcome<RegisterRet>,
    ) -> impl IntoIterator<Item = Value> {
        self.0.step(state, op, outcome)
    }

    fn key(&self, op: &RegisterOp) -> Value {
        self.0.key(op)
    }

    fn describe(&self, op: &RegisterOp, outcome: &Outcome<RegisterRet>) -> String {
        self.0.describe(op, outcome)
    }

    fn inert(&self, op: &RegisterOp, outcome: &Outcome<RegisterRet>) -> bool {
        self.0.inert(op, outcome)
    }

    fn overwrites(&self, op: &RegisterOp) -> bool {
        self.0.overwrites(op)
    }

    fn target(&self, op: &RegisterOp) -> Option<Value> {
        self.0.target(op)
    }

    fn source(&self, op: &RegisterOp, outcome: &Outcome<RegisterRet>) -> Option<Value> {
        self.0.source(op, outcome)
    }

    fn excludes(&self, op: &RegisterOp, outcome: &Outcome<RegisterRet>) -> Option<Value> {
        self.0.excludes(op, outcome)
    }

    fn weight(&self, state: &Value) -> usize {
        self.0.weight(state)
    }
}

impl Insight for Searched {}

/// What is changed in a history of a true register.
#[derive(Clone, Copy, PartialEq)]
enum Lie {
    /// Nothing.
    None,
    /// One read in ten from the end saw what nobody ever wrote.
    NeverWritten,
    /// One read near the end saw an old value; with few values, one that the search confirms.
    Stale,
}

struct Case {
    name: &'static str,
    operations: usize,
    clients: usize,
    /// `None`: every write sets a new value.
    values: Option<u64>,
    /// Of a thousand operations, how many end in doubt.
    doubt: u64,
    /// Whether a refused cas says what it saw.
    refusals_tell: bool,
    lie: Lie,
    /// What it may take: milliseconds, megabytes.
    bar: Option<(f64, usize)>,
}

#[rustfmt::skip]
fn cases() -> Vec<Case> {
    let case = |name, operations, clients, values, doubt, lie, bar| Case {
        name, operations, clients, values, doubt, lie, bar, refusals_tell: false,
    };
    let few = Some(5);
    let (legal, impossible, stale) = (Lie::None, Lie::NeverWritten, Lie::Stale);
    vec![
        case("cas 5 values", 1_000, 5, few, 0, legal, None),
        case("cas 5 values", 1_000, 20, few, 0, legal, None),
        case("cas 5 values", 10_000, 10, few, 0, legal, None),
        case("cas 5 values", 100_000, 5, few, 0, legal, None),
        case("cas 5 values", 100_000, 10, few, 0, legal, Some((500.0, 100))),
        case("cas 5 values", 100_000, 10, few, 0, impossible, Some((500.0, 100))),
        case("cas 5 values", 100_000, 10, few, 0, stale, Some((500.0, 100))),
        case("cas 5 values", 100_000, 20, few, 0, legal, Some((2_000.0, 100))),
        case("cas 5 values", 100_000, 20, few, 0, impossible, Some((2_000.0, 100))),
        case("cas 5 values", 100_000, 20, few, 0, stale, Some((2_000.0, 100))),
        case("cas 5 values", 1_000, 50, few, 0, legal, None),
        case("cas 5 values", 10_000, 50, few, 0, legal, Some((10_000.0, 100))),
        case("cas 5 values", 10_000, 50, few, 0, impossible, Some((10_000.0, 100))),
        case("cas 5 values, 1 % in doubt", 10_000, 10, few, 10, legal, Some((300.0, 100))),
        case("cas 5 values, 1 % in doubt", 10_000, 10, few, 10, impossible, Some((300.0, 100))),
        case("cas 5 values, 1 % in doubt", 10_000, 20, few, 10, legal, None),
        case("cas 5 values, 1 % in doubt", 100_000, 10, few, 10, legal, None),
        case("cas 5 values, 5 % in doubt", 1_000, 5, few, 50, legal, Some((2_000.0, 100))),
        case("cas 5 values, 5 % in doubt", 1_000, 5, few, 50, impossible, Some((2_000.0, 100))),
        case("cas 5 values, 5 % in doubt", 1_000, 10, few, 50, legal, Some((2_000.0, 100))),
        case("cas 5 values, 5 % in doubt", 1_000, 10, few, 50, impossible, Some((2_000.0, 100))),
        case("cas 5 values, 5 % in doubt", 1_000, 20, few, 50, legal, Some((2_000.0, 100))),
        case("cas 5 values, 5 % in doubt", 1_000, 20, few, 50, impossible, Some((2_000.0, 100))),
        case("cas 5 values, 5 % in doubt", 10_000, 5, few, 50, legal, None),
        case("cas 5 values, 5 % in doubt", 10_000, 10, few, 50, legal, None),
        case("cas 5 values, 5 % in doubt", 10_000, 20, few, 50, legal, None),
        case("unique", 100_000, 10, None, 0, legal, None),
        case("unique", 100_000, 10, None, 0, stale, None),
        case("unique", 100_000, 20, None, 0, legal, None),
        case("unique", 100_000, 20, None, 0, stale, None),
        case("unique", 1_000, 50, None, 0, legal, None),
        case("unique, 1 % in doubt", 10_000, 10, None, 10, legal, None),
        case("unique, 1 % in doubt", 10_000, 20, None, 10, legal, None),
        case("unique, 1 % in doubt", 10_000, 20, None, 10, stale, None),
        case("unique, 5 % in doubt", 10_000, 10, None, 50, legal, None),
        case("unique, 5 % in doubt", 10_000, 10, None, 50, stale, None),
    ]
}

impl Case {
    fn history(&self, seed: u64) -> Vec<RegisterOperation> {
        let simulation = Simulation {
            operations: self.operations,
            clients: self.clients,
            doubt_permille: self.doubt,
            seed,
        };
        let model = Register::default();
        simulation.run(
            &model,
            Value::Nil,
            |rng, i, state| self.choose(rng, i, state),
            |s, op| self.answer(s, op),
        )
    }

    fn choose(&self, rng: &mut Rng, i: usize, state: &Value) -> RegisterOp {
        let key = Value::Nil;
        let mut any = |fresh: i64| Value::Int(self.values.map_or(fresh, |values| rng.below(values) as i64));
        let (value, guess) = (any(i as i64), any(i as i64));
        match rng.below(3) {
            0 => RegisterOp::Read { key },
            1 => RegisterOp::Write { key, value },
            _ if self.values.is_none() => RegisterOp::Cas { key, from: state.clone(), to: value },
            _ => RegisterOp::Cas { key, from: guess, to: value },
        }
    }

    fn answer(&self, state: &Value, op: &RegisterOp) -> Outcome<RegisterRet> {
        match op {
            RegisterOp::Read { .. } => Outcome::Ok(RegisterRet::Saw(state.clone())),
            RegisterOp::Cas { from, .. } if from != state => {
                Outcome::Fail(Failure::Refused(self.refusals_tell.then(|| RegisterRet::Saw(state.clone()))))
            }
            _ => Outcome::Ok(RegisterRet::Done),
        }
    }

    /// The history with its lie in it; `None` if none was found that the search confirms.
    fn with_lie(&self, history: &[RegisterOperation]) -> Option<Vec<RegisterOperation>> {
        let read = |o: &RegisterOperation| matches!(o.op, RegisterOp::Read { .. }) && o.outcome.is_ok();
        let near_the_end = history.len() * 9 / 10;
        let mut lying = history.to_vec();
        match self.lie {
            Lie::None => Some(lying),
            Lie::NeverWritten => {
                let at = near_the_end + history[near_the_end..].iter().position(read)?;
                lying[at].outcome = Outcome::Ok(RegisterRet::Saw(Value::Int(-1)));
                Some(lying)
            }
            Lie::Stale => {
                let old = history.iter().filter_map(|o| o.op.sets().filter(|_| o.outcome.is_ok())).next()?;
                let few: Vec<Value> = (0..self.values.unwrap_or(0) as i64).map(Value::Int).collect();
                let choices = if few.is_empty() { vec![old.clone()] } else { few };
                let reads = (near_the_end..history.len()).filter(|at| read(&history[*at]));
                let tries =
                    reads.flat_map(|at| choices.iter().map(move |value| (at, value.clone()))).take(300);
                for (at, value) in tries {
                    // What was in doubt before and a short part tell already, whatever the state was at first.
                    lying[at].outcome = Outcome::Ok(RegisterRet::Saw(value));
                    let begin = at.saturating_sub(200);
                    let doubtful = lying[..begin].iter().filter(|o| o.outcome.is_info());
                    let part = doubtful.chain(&lying[begin..(at + 100).min(lying.len())]).cloned();
                    if refuted(&part.collect::<Vec<_>>()) {
                        return Some(lying);
                    }
                    lying[at].outcome = history[at].outcome.clone();
                }
                None
            }
        }
    }
}

/// Whether a part of a history is refuted whatever was before it: the register may have held at first any
/// value that anybody sees in it, or one that nobody does.
fn refuted(part: &[RegisterOperation]) -> bool {
    let mut seen: Vec<Value> = Vec::new();
    for operation in part {
        let expected = match &operation.op {
            RegisterOp::Cas { from, .. } => Some(from),
            _ => None,
        };
        let saw = match &operation.outcome {
            Outcome::Ok(RegisterRet::Saw(value)) => Some(value),
            _ => None,
        };
        for value in [expected, saw].into_iter().flatten() {
            if !seen.contains(value) {
                seen.push(value.clone());
            }
        }
    }
    seen.push(Value::Nil);
    let budget = Budget::new(Duration::from_millis(200), 1 << 28);
    seen.into_iter().all(|initial| {
        let model = Searched(Register { initial, ..Register::default() });
        matches!(judge(&model, part, &budget)[0].answer, Answer::Refuted { .. })
    })
}

/// Milliseconds and peak bytes of one check, and what it found.
fn measure<M: Insight<Op = RegisterOp, Ret = RegisterRet>>(
    model: &M,
    history: &[RegisterOperation],
) -> (f64, usize, String) {
    let budget = Budget::new(Duration::from_secs(20), 1 << 30);
    let before = HELD.load(Relaxed);
    PEAK.store(before, Relaxed);
    let began = Instant::now();
    let finding = judge(model, history, &budget).swap_remove(0);
    let took = began.elapsed().as_secs_f64() * 1e3;
    let answer = match finding.answer {
        Answer::Linearizable => "linearizable".to_owned(),
        Answer::Refuted { at, .. } => format!("refuted at {at}"),
        Answer::Unknown { reached, why } => format!("unknown after {reached}: {why}"),
    };
    let what =
        format!("{answer} ({} configurations, widest {})", finding.configurations, finding.frontier_max);
    (took, PEAK.load(Relaxed) - before, what)
}

fn run(case: &Case, seed: u64) {
    let truth = case.history(seed);
    let title = format!("{:<28} C={:<3} N={:<7}", case.name, case.clients, case.operations);
    let lie = match case.lie {
        Lie::None => "legal",
        Lie::NeverWritten => "impossible",
        Lie::Stale => "stale",
    };
    let Some(history) = case.with_lie(&truth) else {
        println!("{title} {lie:<10} no lie was found that is one");
        return;
    };
    drop(truth);
    let mut runs = vec![measure(&Searched(Register::default()), &history)];
    while runs.len() < 3 && runs[0].0 < 3_000.0 {
        runs.push(measure(&Searched(Register::default()), &history));
    }
    runs.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (took, peak, what) = runs.swap_remove(runs.len() / 2);
    let wrong = if case.lie == Lie::None { "refuted" } else { "linearizable" };
    assert!(!what.starts_with(wrong), "{title} {lie}: {what}");
    let bar = case.bar.map_or(String::new(), |(ms, mb)| {
        let over = took > ms || peak > mb << 20 || what.starts_with("unknown");
        format!("{} {ms} ms {mb} MB", if over { "OVER" } else { "within" })
    });
    println!(
        "{title} {lie:<10} {took:>9.1} ms {:>6.1} MB  {bar:<22} {what}",
        peak as f64 / f64::from(1 << 20)
    );
}

/// Jepsen's logs of etcd, where they are at hand.
fn etcd_logs() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/histories/etcd-jepsen-log");
    let Ok(entries) = std::fs::read_dir(&folder) else {
        return println!("etcd logs: none in {}", folder.display());
    };
    let mut logs: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    logs.sort();
    let read = |path: &std::path::PathBuf| {
        let bytes = std::fs::read(path).expect("the log is readable");
        let history = format::read(&bytes, None).expect("the log is Jepsen's").history;
        let mut operations = history.operations(&RegisterVocabulary).expect("the log is a register's");
        operations.iter_mut().for_each(failed_cas_is_refused);
        operations
    };
    let histories: Vec<Vec<RegisterOperation>> = logs.iter().map(read).collect();
    let mut each: Vec<(f64, String)> = histories
        .iter()
        .zip(&logs)
        .map(|(history, path)| {
            let mut runs: Vec<f64> = (0..5)
                .map(|_| {
                    let budget = Budget::new(Duration::from_secs(20), 1 << 30);
                    let began = Instant::now();
                    let findings = judge(&Searched(Register::default()), history, &budget);
                    let took = began.elapsed().as_secs_f64() * 1e3;
                    assert!(findings.iter().all(|finding| !matches!(finding.answer, Answer::Unknown { .. })));
                    took
                })
                .collect();
            runs.sort_by(f64::total_cmp);
            (runs[2], path.file_name().unwrap_or_default().to_string_lossy().into_owned())
        })
        .collect();
    each.sort_by(|a, b| b.0.total_cmp(&a.0));
    let total: f64 = each.iter().map(|one| one.0).sum();
    let Some((longest, name)) = each.first() else { return };
    let over = if total > 15.0 || *longest > 2.0 { "OVER" } else { "within" };
    println!(
        "etcd logs: {} in {total:.2} ms, the longest {longest:.2} ms ({name}); {over} 15 ms, 2 ms",
        logs.len()
    );
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    if words.is_empty() || words.iter().any(|word| word == "etcd") {
        etcd_logs();
    }
    for (i, case) in cases().iter().enumerate() {
        let name = format!("{} C={} N={}", case.name, case.clients, case.operations);
        if words.iter().all(|word| name.contains(word.as_str())) {
            run(case, Seed(7).nth(i as u64).0);
        }
    }
}
