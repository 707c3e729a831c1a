//! How long `elenchus check` takes on a file of a million operations, reading, judging and reason included.
//!
//! `cargo bench --bench check`: 20 clients read and write one register with unique values, 2 % of the
//! operations in doubt; as JSON lines and as EDN, true and with one stale read. Each figure is the median of
//! three runs of the whole program; beside it the largest of its processes. The targets are 3 s, and 6 s
//! with a reason. `cargo bench --bench check -- 100000` takes another number of operations.

use elenchus_checkers::models::register::{Register, RegisterOp, RegisterRet, RegisterVocabulary};
use elenchus_checkers::synthetic::Simulation;
use elenchus_core::event::{Event, Kind};
use elenchus_core::format::{edn, jsonl};
use elenchus_core::history::History;
use elenchus_core::operation::Operation;
use elenchus_core::outcome::Outcome;
use elenchus_core::random::Rng;
use elenchus_core::time::Time;
use elenchus_core::value::Value;
use elenchus_core::workload::Vocabulary;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

type RegisterOperation = Operation<RegisterOp, RegisterRet>;

const RUNS: usize = 3;

fn main() {
    let operations = std::env::args().find_map(|word| word.parse().ok()).unwrap_or(1_000_000);
    let folder = std::env::temp_dir().join(format!("elenchus-bench-check-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a temporary folder");
    let mut operations = register(operations);
    for (name, code) in [("true", 0), ("one stale read", 1)] {
        if code == 1 {
            lie(&mut operations);
        }
        let history = history(&operations);
        let (mut lines, mut edn_lines) = (Vec::new(), Vec::new());
        history.events().for_each(|event| jsonl::write_event(&mut lines, &event));
        edn::write_history(&mut edn_lines, &history);
        for (format, bytes) in [("jsonl", lines), ("edn", edn_lines)] {
            let path = folder.join(format!("h.{format}"));
            std::fs::write(&path, &bytes).expect("a temporary file");
            measure(&format!("{format}, {name}"), &path, bytes.len(), code);
        }
    }
    std::fs::remove_dir_all(&folder).expect("our own folder");
}

fn measure(name: &str, path: &Path, bytes: usize, code: i32) {
    let mut runs: Vec<(f64, u64)> = (0..RUNS).map(|_| run(path, code)).collect();
    runs.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (seconds, memory) = runs[RUNS / 2];
    let (size, memory) = (bytes >> 20, memory >> 10);
    println!("{name:>24} {seconds:6.2} s, {memory:5} MiB, {size} MiB on disk");
}

/// Seconds, and the KiB of the largest process.
fn run(path: &Path, code: i32) -> (f64, u64) {
    let began = Instant::now();
    let child = Command::new(program()).arg("check").arg(path).stdout(Stdio::null()).spawn();
    let id = child.expect("the program starts").id();
    let (mut status, mut usage) = (0, std::mem::MaybeUninit::zeroed());
    // SAFETY: the child is ours and nobody else waits for it; both places live until the call returns, and
    // a usage of zeros is one.
    let usage: libc::rusage = unsafe {
        assert_eq!(libc::wait4(id as i32, &mut status, 0, usage.as_mut_ptr()), id as i32);
        usage.assume_init()
    };
    assert_eq!((libc::WIFEXITED(status), libc::WEXITSTATUS(status)), (true, code), "{}", path.display());
    (began.elapsed().as_secs_f64(), usage.ru_maxrss as u64)
}

fn program() -> PathBuf {
    env!("CARGO_BIN_EXE_elenchus").into()
}

fn register(operations: usize) -> Vec<RegisterOperation> {
    let simulation = Simulation { operations, clients: 20, doubt_permille: 20, seed: 1 };
    let choose = |rng: &mut Rng, number: usize, _: &Value| match rng.chance(1, 2) {
        true => RegisterOp::Read { key: Value::Nil },
        false => RegisterOp::Write { key: Value::Nil, value: Value::Int(number as i64) },
    };
    let answer = |state: &Value, op: &RegisterOp| match op {
        RegisterOp::Read { .. } => Outcome::Ok(RegisterRet::Saw(state.clone())),
        _ => Outcome::Ok(RegisterRet::Done),
    };
    simulation.run(&Register::default(), Value::Nil, choose, answer)
}

/// Lets a read in the middle see what a much earlier one saw.
fn lie(operations: &mut [RegisterOperation]) {
    let is_read = |o: &RegisterOperation| matches!(o.outcome, Outcome::Ok(RegisterRet::Saw(_)));
    let middle = operations.len() / 2;
    let read = (middle..operations.len()).find(|i| is_read(&operations[*i])).expect("there are reads");
    let older = (0..middle / 2).rfind(|i| is_read(&operations[*i])).expect("there are reads");
    operations[read].outcome = operations[older].outcome.clone();
}

fn history(operations: &[RegisterOperation]) -> History {
    let mut events: Vec<(u32, Event)> = Vec::with_capacity(2 * operations.len());
    for operation in operations {
        let call = RegisterVocabulary.encode_op(&operation.op);
        let event = |kind, time, value| Event {
            time,
            process: operation.process,
            kind,
            f: call.f.into(),
            key: call.key.clone(),
            value,
            error: None,
            extra: Vec::new(),
        };
        events.push((operation.call, event(Kind::Invoke, operation.called, call.value.clone())));
        if let Outcome::Ok(ret) = &operation.outcome {
            let value = RegisterVocabulary.encode_ret(&operation.op, ret);
            let ended = operation.ended.unwrap_or(Time::ZERO);
            events.push((operation.done, event(Kind::Ok, ended, value)));
        }
    }
    events.sort_by_key(|(position, _)| *position);
    History::seal(events.into_iter().map(|(_, event)| event)).expect("it was simulated")
}
