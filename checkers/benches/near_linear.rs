//! How long a verdict takes, reason included, on histories that need no search: true ones, and the same ones
//! with one answer changed.
//!
//! `cargo bench -p elenchus-checkers --bench near_linear -- [PART OF A NAME] [OPERATIONS]` prints a line a case:
//! the shortest of a few runs of `check_operations`, which takes the operations from memory and gives a
//! verdict; and the most memory in use meanwhile, the operations themselves included. `searched` counts keys
//! that the near-linear algorithm could not decide.

#[path = "near_linear/locks.rs"]
mod locks;

use elenchus_checkers::linearizability::{Insight, check_operations};
use elenchus_checkers::models::bag::{Bag, BagOp, BagRet};
use elenchus_checkers::models::counter::{Counter, CounterOp, CounterRet, Tells};
use elenchus_checkers::models::element_set::{ElementOp, ElementRet, ElementSet, Request};
use elenchus_checkers::models::grow_only_set::GrowOnlySet;
use elenchus_checkers::models::priority_queue::{Heap, PriorityQueue, PriorityQueueOp, PriorityQueueRet};
use elenchus_checkers::models::queue::{Contents, Queue, QueueOp, QueueRet};
use elenchus_checkers::models::register::{Register, RegisterOp, RegisterRet};
use elenchus_checkers::models::set::{SetOp, SetRet};
use elenchus_checkers::models::stack::{Pile, Stack, StackOp, StackRet};
use elenchus_checkers::synthetic::Simulation;
use elenchus_core::budget::Budget;
use elenchus_core::model::Model;
use elenchus_core::operation::Operation;
use elenchus_core::outcome::{Failure, Outcome};
use elenchus_core::random::Rng;
use elenchus_core::value::Value;
use elenchus_core::verdict::{Validity, Verdict};
use std::alloc::{GlobalAlloc, Layout, System};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// The operations of a model's history.
type Operations<M> = [Operation<<M as Model>::Op, <M as Model>::Ret>];

/// One model's histories. A key is a number; models of one object are tried with one key alone.
struct Case<M: Insight> {
    model: M,
    initial: M::State,
    /// Draws the operation of a number on a key.
    choose: fn(&mut Rng, i64, usize, &M::State) -> M::Op,
    /// What a true object answers.
    answer: fn(&M::State, &M::Op) -> Outcome<M::Ret>,
    /// Changes one answer near the middle so that no order explains it.
    lie: fn(&mut Operations<M>),
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    let operations = arguments.iter().find_map(|a| a.replace(',', "").parse().ok()).unwrap_or(1_000_000);
    let part = arguments.iter().find(|a| a.parse::<usize>().is_err()).cloned().unwrap_or_default();
    let run = Run { part, operations };
    println!(
        "{:<26} {:>10} | {:>9} {:>7} {:>8} | {:>9} {:>7} {:>8}  reason",
        "case", "operations", "valid", "B/op", "searched", "invalid", "B/op", "searched"
    );
    // A line a case: name, keys, case.
    run.case("fifo queue", 1, queue(false));
    run.case("fifo queue with peeks", 1, queue(true));
    run.case("bag", 1, bag());
    run.case("stack", 1, stack());
    run.case("priority queue", 1, priority_queue());
    run.case("mutex, silent refusals", 1, locks::mutex());
    run.case("owned mutex", 1, locks::owned_mutex());
    run.case("fenced mutex", 1, locks::fenced_mutex());
    run.case("semaphore", 1, locks::semaphore());
    run.case("semaphore without owners", 1, locks::semaphore_without_owners());
    run.case("append log", 1, locks::append_log());
    run.case("register", 1, register(reads_and_writes, answers));
    run.case("register, 100 keys", 100, register(reads_and_writes, answers));
    run.case("cas chains", 1, register(reads_and_cas, answers));
    run.case("cas chains, 100 keys", 100, register(reads_and_cas, answers));
    run.case("cas, silent refusals", 1, register(reads_and_cas, answers_silently));
    run.case("set, 100,000 elements", 100_000.min(run.operations / 10).max(1), element_set());
    run.case("grow-only set, 2,000 keys", 2_000.min(run.operations / 100).max(1), grow_only_set());
    run.case("counter, reads", 1, counter(increments_and_reads));
    run.case("counter, fetch-and-add 1", 1, counter(fetches_of_one));
    run.case("counter, fetch-and-add 1-5", 1, counter(fetches));
}

fn register(
    choose: fn(&mut Rng, i64, usize, &Value) -> RegisterOp,
    answer: fn(&Value, &RegisterOp) -> Outcome<RegisterRet>,
) -> Case<Register> {
    Case { model: Register::default(), initial: Value::Nil, choose, answer, lie: stale_read }
}

/// Half reads, half writes of new values.
fn reads_and_writes(rng: &mut Rng, key: i64, number: usize, _: &Value) -> RegisterOp {
    let (key, value) = (Value::Int(key), Value::Int(number as i64));
    if rng.chance(1, 2) { RegisterOp::Read { key } } else { RegisterOp::Write { key, value } }
}

/// Half reads; cas from the value at the call to a new one, which often come too late; few writes.
fn reads_and_cas(rng: &mut Rng, key: i64, number: usize, state: &Value) -> RegisterOp {
    let (key, to) = (Value::Int(key), Value::Int(number as i64));
    match rng.below(20) {
        0..10 => RegisterOp::Read { key },
        10 => RegisterOp::Write { key, value: to },
        _ => RegisterOp::Cas { key, from: state.clone(), to },
    }
}

fn answers(state: &Value, op: &RegisterOp) -> Outcome<RegisterRet> {
    match op {
        RegisterOp::Read { .. } => Outcome::Ok(RegisterRet::Saw(state.clone())),
        RegisterOp::Cas { from, .. } if from != state => {
            Outcome::Fail(Failure::Refused(Some(RegisterRet::Saw(state.clone()))))
        }
        _ => Outcome::Ok(RegisterRet::Done),
    }
}

/// A refused cas does not say what it saw.
fn answers_silently(state: &Value, op: &RegisterOp) -> Outcome<RegisterRet> {
    match answers(state, op) {
        Outcome::Fail(Failure::Refused(_)) => Outcome::Fail(Failure::Refused(None)),
        other => other,
    }
}

/// A read sees what another one saw long before.
fn stale_read(operations: &mut [Operation<RegisterOp, RegisterRet>]) {
    let middle = operations.len() / 2;
    let seen = |o: &Operation<RegisterOp, RegisterRet>| match (&o.op, &o.outcome) {
        (RegisterOp::Read { key }, Outcome::Ok(RegisterRet::Saw(value))) => {
            Some((key.clone(), value.clone()))
        }
        _ => None,
    };
    let late = (middle..operations.len()).find(|i| seen(&operations[*i]).is_some()).expect("somebody reads");
    let (key, _) = seen(&operations[late]).expect("it was found");
    let mut values = operations.iter().filter_map(seen).filter(|(k, value)| *k == key && !value.is_nil());
    let (_, old) = values.next().expect("somebody read before");
    operations[late].outcome = Outcome::Ok(RegisterRet::Saw(old));
}

fn queue(peeks: bool) -> Case<Queue> {
    let choose = match peeks {
        true => |rng: &mut Rng, key, number, _: &Contents| match rng.below(3) {
            0 => QueueOp::Peek { key: Value::Int(key) },
            _ => enqueue_or_dequeue(rng, key, number),
        },
        false => |rng: &mut Rng, key, number, _: &Contents| enqueue_or_dequeue(rng, key, number),
    };
    let answer = |state: &Contents, op: &QueueOp| {
        Outcome::Ok(match (op, state.first()) {
            (QueueOp::Enqueue { .. }, _) => QueueRet::Done,
            (_, Some(value)) => QueueRet::Value(value.clone()),
            (_, None) => QueueRet::Empty,
        })
    };
    Case { model: Queue::default(), initial: Contents::new([]), choose, answer, lie: out_of_order }
}

/// A little fewer enqueues than dequeues, so that the queue is often empty.
fn enqueue_or_dequeue(rng: &mut Rng, key: i64, number: usize) -> QueueOp {
    let (key, value) = (Value::Int(key), Value::Int(number as i64));
    if rng.chance(49, 100) { QueueOp::Enqueue { key, value } } else { QueueOp::Dequeue { key } }
}

/// Two dequeues far apart answer what the other one should have.
fn out_of_order(operations: &mut [Operation<QueueOp, QueueRet>]) {
    let middle = operations.len() / 2;
    let dequeued = |o: &Operation<QueueOp, QueueRet>| {
        matches!((&o.op, &o.outcome), (QueueOp::Dequeue { .. }, Outcome::Ok(QueueRet::Value(_))))
    };
    let mut found = (middle..operations.len()).filter(|i| dequeued(&operations[*i]));
    let first = found.next().expect("somebody dequeues");
    let second = found.nth(100).expect("many do");
    let outcome = operations[first].outcome.clone();
    operations[first].outcome = std::mem::replace(&mut operations[second].outcome, outcome);
}

fn bag() -> Case<Bag> {
    let choose = |rng: &mut Rng, key, number: usize, _: &Contents| {
        let (key, value) = (Value::Int(key), Value::Int(number as i64));
        if rng.chance(49, 100) { BagOp::Put { key, value } } else { BagOp::Take { key } }
    };
    let answer = |state: &Contents, op: &BagOp| {
        Outcome::Ok(match (op, state.items().last()) {
            (BagOp::Put { .. }, _) => BagRet::Done,
            (_, Some(value)) => BagRet::Value(value.clone()),
            (_, None) => BagRet::Empty,
        })
    };
    Case { model: Bag::default(), initial: Contents::new([]), choose, answer, lie: false_empty }
}

/// A take finds nothing, although something was put in before it.
fn false_empty(operations: &mut [Operation<BagOp, BagRet>]) {
    let middle = operations.len() / 2;
    let taken = |value: &Value| {
        let answer = Outcome::Ok(BagRet::Value(value.clone()));
        operations.iter().find(|o| o.outcome == answer).map(|o| o.call)
    };
    let inside = operations[middle..].iter().find_map(|o| match &o.op {
        BagOp::Put { value, .. } if o.outcome.is_ok() => {
            let call = taken(value)?;
            let takes =
                |t: &Operation<BagOp, BagRet>| matches!(t.op, BagOp::Take { .. }) && t.outcome.is_ok();
            let within = |t: &&Operation<BagOp, BagRet>| takes(t) && t.call > o.done && t.done < call;
            operations.iter().find(within).map(|t| t.call)
        }
        _ => None,
    });
    let call = inside.expect("some value was inside for a while");
    let found = operations.iter_mut().find(|o| o.call == call).expect("it was found");
    found.outcome = Outcome::Ok(BagRet::Empty);
}

fn element_set() -> Case<ElementSet> {
    let choose = |rng: &mut Rng, key: i64, number: usize, _: &bool| {
        let request = match rng.below(4) {
            _ if number == 0 => Request::Add,
            // Some elements are never removed.
            0 if key % 10 > 0 => Request::Remove,
            _ => Request::Contains,
        };
        ElementOp { key: Value::Nil, element: Value::Int(key), request }
    };
    let answer = |there: &bool, op: &ElementOp| {
        Outcome::Ok(ElementRet::Answer(*there != (op.request == Request::Add)))
    };
    Case { model: ElementSet::default(), initial: false, choose, answer, lie: lost_element }
}

/// An element that was added and never removed is not found.
fn lost_element(operations: &mut [Operation<ElementOp, ElementRet>]) {
    let middle = operations.len() / 2;
    let added = |contains: &Operation<ElementOp, ElementRet>| {
        operations.iter().any(|o| {
            o.op.request == Request::Add && o.op.element == contains.op.element && o.precedes(contains)
        })
    };
    let lost = |o: &Operation<ElementOp, ElementRet>| {
        o.op.request == Request::Contains
            && matches!(o.op.element, Value::Int(key) if key % 10 == 0)
            && o.outcome == Outcome::Ok(ElementRet::Answer(true))
            && added(o)
    };
    let late = (middle..operations.len()).find(|i| lost(&operations[*i])).expect("somebody looks for it");
    operations[late].outcome = Outcome::Ok(ElementRet::Answer(false));
}

fn grow_only_set() -> Case<GrowOnlySet> {
    let choose = |rng: &mut Rng, key: i64, number: usize, _: &BTreeSet<Value>| {
        let (key, element) = (Value::Int(key), Value::Int(number as i64));
        if rng.chance(1, 50) { SetOp::Read { key } } else { SetOp::Add { key, element } }
    };
    let answer = |state: &BTreeSet<Value>, op: &SetOp| match op {
        SetOp::Read { .. } => Outcome::Ok(SetRet::Elements(state.iter().cloned().collect())),
        SetOp::Add { .. } => Outcome::Ok(SetRet::Done),
    };
    Case { model: GrowOnlySet::default(), initial: BTreeSet::new(), choose, answer, lie: missing_element }
}

/// A read misses the first element.
fn missing_element(operations: &mut [Operation<SetOp, SetRet>]) {
    let middle = operations.len() / 2;
    let shown = operations[middle..].iter_mut().find_map(|o| match &mut o.outcome {
        Outcome::Ok(SetRet::Elements(elements)) if elements.len() > 100 => Some(elements),
        _ => None,
    });
    shown.expect("somebody reads").remove(0);
}

fn counter(choose: fn(&mut Rng, i64, usize, &i128) -> CounterOp) -> Case<Counter> {
    let answer = |state: &i128, op: &CounterOp| {
        let state = i64::try_from(*state).expect("the amounts are small");
        Outcome::Ok(match op {
            CounterOp::Read { .. } | CounterOp::Add { tells: Tells::Before, .. } => CounterRet::Saw(state),
            _ => CounterRet::Done,
        })
    };
    Case { model: Counter::default(), initial: 0, choose, answer, lie: older_number }
}

fn increments_and_reads(rng: &mut Rng, key: i64, _: usize, _: &i128) -> CounterOp {
    let key = Value::Int(key);
    match rng.chance(1, 2) {
        true => CounterOp::Read { key },
        false => CounterOp::Add { key, amount: 1, tells: Tells::Nothing },
    }
}

fn fetches_of_one(_: &mut Rng, key: i64, _: usize, _: &i128) -> CounterOp {
    CounterOp::Add { key: Value::Int(key), amount: 1, tells: Tells::Before }
}

fn fetches(rng: &mut Rng, key: i64, _: usize, _: &i128) -> CounterOp {
    CounterOp::Add { key: Value::Int(key), amount: rng.between(1, 5) as i64, tells: Tells::Before }
}

/// Somebody in the middle sees the value that somebody saw long before.
fn older_number(operations: &mut [Operation<CounterOp, CounterRet>]) {
    let sees = |o: &Operation<CounterOp, CounterRet>| matches!(o.outcome, Outcome::Ok(CounterRet::Saw(_)));
    let (before, after) = operations.split_at_mut(operations.len() / 2);
    let old = before[before.len() / 2..].iter().find(|o| sees(o)).expect("somebody sees it");
    after.iter_mut().find(|o| sees(o)).expect("somebody sees it").outcome = old.outcome.clone();
}

fn stack() -> Case<Stack> {
    Case {
        model: Stack::default(),
        initial: Pile::default(),
        choose: |rng, key, number, _| match (rng.below(20), Value::Int(key)) {
            (0..9, key) => StackOp::Push { key, value: Value::Int(number as i64) },
            (9..18, key) => StackOp::Pop { key },
            (_, key) => StackOp::Peek { key },
        },
        answer: |state, op| {
            Outcome::Ok(match (op, state.top()) {
                (StackOp::Push { .. }, _) => StackRet::Done,
                (_, Some(value)) => StackRet::Top(value.clone()),
                (_, None) => StackRet::Empty,
            })
        },
        lie: |operations| {
            exchange(operations, |o| match (&o.op, &o.outcome) {
                (StackOp::Pop { .. }, Outcome::Ok(StackRet::Top(Value::Int(value)))) => Some(*value),
                _ => None,
            })
        },
    }
}

/// Priorities are scattered, each used once.
fn priority_queue() -> Case<PriorityQueue> {
    Case {
        model: PriorityQueue::default(),
        initial: Heap::default(),
        choose: |rng, key, number, _| match (rng.below(20), Value::Int(key)) {
            (0..9, key) => {
                PriorityQueueOp::Insert { key, value: (number as i64).wrapping_mul(0x9e37_79b9) % (1 << 32) }
            }
            (9..18, key) => PriorityQueueOp::Poll { key },
            (_, key) => PriorityQueueOp::Peek { key },
        },
        answer: |state, op| {
            Outcome::Ok(match (op, state.greatest()) {
                (PriorityQueueOp::Insert { .. }, _) => PriorityQueueRet::Done,
                (_, Some(value)) => PriorityQueueRet::First(value),
                (_, None) => PriorityQueueRet::Empty,
            })
        },
        lie: |operations| {
            exchange(operations, |o| match (&o.op, &o.outcome) {
                (PriorityQueueOp::Poll { .. }, Outcome::Ok(PriorityQueueRet::First(value))) => Some(*value),
                _ => None,
            })
        },
    }
}

/// Two answers near the middle change places: of the operations that took something, the first and the one
/// that took something new long after.
fn exchange<O, R: Clone>(operations: &mut [Operation<O, R>], took: fn(&Operation<O, R>) -> Option<i64>) {
    let middle = operations.len() / 2;
    let takers: Vec<usize> =
        (middle..operations.len()).filter(|i| took(&operations[*i]).is_some()).take(1_000).collect();
    let one = takers[0];
    let put_in_before = |i: &&usize| took(&operations[**i]).is_some_and(|value| value < middle as i64 / 2);
    let other = *takers[100..].iter().find(put_in_before).unwrap_or(&takers[takers.len() - 1]);
    let answer = operations[other].outcome.clone();
    operations[other].outcome = std::mem::replace(&mut operations[one].outcome, answer);
}

struct Run {
    part: String,
    operations: usize,
}

/// Clients, whatever the number of keys; so many keys are in use at once.
const CLIENTS: usize = 20;
const ACTIVE: usize = 4;

impl Run {
    fn case<M: Insight>(&self, name: &str, keys: usize, case: Case<M>) {
        if !name.contains(&self.part) {
            return;
        }
        let mut operations = self.history(keys, &case);
        let valid = measure(&case.model, &operations);
        (case.lie)(&mut operations);
        let invalid = measure(&case.model, &operations);
        assert_ne!(valid.verdict.validity, Validity::Invalid, "{name}: {}", valid.verdict.why);
        if valid.verdict.validity == Validity::Unknown {
            println!("{name}: {}", valid.verdict.why);
        }
        let reason = match invalid.verdict.anomalies.first() {
            Some(anomaly) => format!("{} operations: {}", anomaly.operations.len(), anomaly.sentence),
            None => format!("{:?}: {}", invalid.verdict.validity, invalid.verdict.why),
        };
        let line = |m: &Measured| {
            let per_operation = m.memory / operations.len();
            let searched = m.verdict.figures["keys_searched"].to_string();
            format!("{:>6} ms {per_operation:>7} {searched:>8}", m.time.as_millis())
        };
        println!(
            "{name:<26} {:>10} | {} | {}  {}",
            operations.len(),
            line(&valid),
            line(&invalid),
            reason.chars().take(160).collect::<String>()
        );
    }

    /// The keys' histories side by side, a few at a time.
    fn history<M: Insight>(&self, keys: usize, case: &Case<M>) -> Vec<Operation<M::Op, M::Ret>> {
        let active = ACTIVE.min(keys);
        let mut all = Vec::with_capacity(self.operations);
        let (mut begin, mut key) = (0, 0);
        while key < keys {
            let mut end = begin;
            for lane in 0..active.min(keys - key) {
                let number = (key + lane) as i64;
                let simulation = Simulation {
                    operations: self.operations / keys,
                    clients: CLIENTS / active,
                    doubt_permille: 20,
                    seed: number as u64 + 1,
                };
                let choose = |rng: &mut Rng, n: usize, state: &M::State| (case.choose)(rng, number, n, state);
                let own = simulation.run(&case.model, case.initial.clone(), choose, case.answer);
                let place = |at: u32| begin + at * active as u32 + lane as u32;
                for mut operation in own {
                    operation.call = place(operation.call);
                    if operation.done != Operation::<M::Op, M::Ret>::OPEN {
                        operation.done = place(operation.done);
                        end = end.max(operation.done);
                    }
                    end = end.max(operation.call);
                    all.push(operation);
                }
            }
            (begin, key) = (end + 1, key + active);
        }
        all.sort_by_key(|operation| operation.call);
        all
    }
}

struct Measured {
    verdict: Verdict,
    time: Duration,
    memory: usize,
}

/// The shortest of a few runs.
fn measure<M: Insight>(model: &M, operations: &[Operation<M::Op, M::Ret>]) -> Measured {
    let once = || {
        let before = USED.load(Ordering::Relaxed);
        PEAK.store(before, Ordering::Relaxed);
        let began = Instant::now();
        let verdict = check_operations(model, operations, &Budget::new(Duration::from_secs(20), 4 << 30));
        let time = began.elapsed();
        let memory = PEAK.load(Ordering::Relaxed) - before + size_of_val(operations);
        Measured { verdict, time, memory }
    };
    let mut best = once();
    for _ in 0..4 {
        if best.time > Duration::from_secs(5) {
            break;
        }
        let next = once();
        if next.time < best.time {
            best = next;
        }
    }
    best
}

/// The system's allocator, which counts.
struct Counting;

static USED: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let used = USED.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        PEAK.fetch_max(used, Ordering::Relaxed);
        // SAFETY: the caller keeps the promises of `GlobalAlloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let used = USED.fetch_add(size, Ordering::Relaxed) + size - layout.size();
        USED.fetch_sub(layout.size(), Ordering::Relaxed);
        PEAK.fetch_max(used, Ordering::Relaxed);
        // SAFETY: the caller keeps the promises of `GlobalAlloc`.
        unsafe { System.realloc(at, layout, size) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        USED.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps the promises of `GlobalAlloc`.
        unsafe { System.dealloc(at, layout) }
    }
}
