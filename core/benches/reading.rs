//! How fast a history of 1,000,000 register events is written and read, and how large it is in memory.
//!
//! Run with `cargo bench -p elenchus-core --bench reading`. Each figure is the median of five runs on one
//! thread. The targets: JSONL read and sealed in 2 s, EDN in 5 s, at most 100 bytes an event.

use elenchus_core::event::{Event, Kind};
use elenchus_core::format::{edn, jsonl};
use elenchus_core::history::History;
use elenchus_core::process::Process;
use elenchus_core::random::{Rng, Seed};
use elenchus_core::time::Time;
use elenchus_core::value::Value;
use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

const EVENTS: usize = 1_000_000;
const RUNS: usize = 5;

fn main() {
    let events = register_events(Seed(1).stream("reading").rng());
    let (mut lines, mut edn_lines) = (Vec::new(), Vec::new());
    report("write JSONL", || {
        lines.clear();
        let numbered = (0..).zip(&events);
        numbered.for_each(|(index, event)| jsonl::write_event(&mut lines, &event.at(index)));
    });
    println!("{:>24} {:6.1} bytes an event", "JSONL on disk", lines.len() as f64 / EVENTS as f64);
    report("seal", || black_box(History::seal(events.iter().cloned())).expect("well-formed"));
    report("read JSONL", || black_box(jsonl::read(&lines)).expect("just written"));

    let before = LIVE.load(Relaxed);
    PEAK.store(before, Relaxed);
    let history = jsonl::read(&lines).expect("just written").history;
    let (live, peak) = (LIVE.load(Relaxed) - before, PEAK.load(Relaxed) - before);
    println!("{:>24} {:6.1} bytes an event", "in memory", live as f64 / EVENTS as f64);
    println!("{:>24} {:6.1} bytes an event", "while it is read, peak", peak as f64 / EVENTS as f64);

    report("go through all events", || history.events().filter(|event| event.value.is_nil()).count());
    report("write EDN", || {
        edn_lines.clear();
        edn::write_history(&mut edn_lines, &history);
    });
    report("read EDN", || black_box(edn::read(&edn_lines)).expect("just written"));
    assert_eq!(edn::read(&edn_lines).expect("just written").history, history);
}

/// Prints the median time.
fn report<T>(name: &str, mut run: impl FnMut() -> T) {
    let mut times: Vec<Duration> = Vec::new();
    for _ in 0..RUNS {
        let start = Instant::now();
        black_box(run());
        times.push(start.elapsed());
    }
    times.sort();
    let median = times[RUNS / 2].as_secs_f64();
    println!("{name:>24} {median:6.3} s, {:5.0} ns an event", median * 1e9 / EVENTS as f64);
}

/// Twenty clients read, write and compare-and-set 100 registers with unique values; one in fifty operations
/// ends in doubt, one in fifty certainly failed.
fn register_events(mut rng: Rng) -> Vec<Event> {
    const CLIENTS: u32 = 20;
    let mut processes: Vec<u32> = (0..CLIENTS).collect();
    let mut open: Vec<Option<Event>> = vec![None; CLIENTS as usize];
    let mut written = 0;
    let mut next = |rng: &mut Rng, time: u64| {
        let slot = rng.below(u64::from(CLIENTS)) as usize;
        let Some(call) = open[slot].take() else {
            written += 1;
            let (f, value) = match rng.below(3) {
                0 => ("read", Value::Nil),
                1 => ("write", Value::Int(written)),
                _ => ("cas", Value::vector([Value::Int(written - 3), Value::Int(written)])),
            };
            let call = Event {
                time: Time(time),
                process: Process(processes[slot]),
                kind: Kind::Invoke,
                f: f.into(),
                key: Some(Value::Int(rng.below(100) as i64)),
                value,
                error: None,
                extra: Vec::new(),
            };
            open[slot] = Some(call.clone());
            return call;
        };
        let (kind, error) = match rng.below(50) {
            0 => (Kind::Info, Some(Value::str("deadline of 1 s"))),
            1 => (Kind::Fail, Some(Value::vector([Value::str("refused"), Value::Int(written)]))),
            _ => (Kind::Ok, None),
        };
        if kind == Kind::Info {
            processes[slot] += CLIENTS;
        }
        let value = match kind {
            Kind::Ok if &*call.f == "read" => Value::Int(written - 5),
            _ => call.value.clone(),
        };
        Event { time: Time(time), kind, value, error, ..call }
    };
    (0..EVENTS as u64).map(|i| next(&mut rng, 5_000_000_000 + i * 5_017)).collect()
}

/// Counts the bytes that are allocated.
struct Counting;

static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes to the system's allocator with its own arguments; the counters only watch.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let live = LIVE.fetch_add(layout.size(), Relaxed) + layout.size();
        PEAK.fetch_max(live, Relaxed);
        // SAFETY: the caller keeps the allocator's contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Relaxed);
        // SAFETY: as above.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;
