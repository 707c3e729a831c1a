//! Trials that never took place: folders as a runner would leave them, made of one seed.

use elenchus_core::event::{Event, Index, Kind};
use elenchus_core::fault::{Cut, Fault, FaultId, Link, Manner, Proof, Shape, Skew, Target};
use elenchus_core::fault_log::{encode_heal, encode_healed, encode_inject, encode_injected, encode_note};
use elenchus_core::format::jsonl::{self, Header};
use elenchus_core::process::{NodeId, Process};
use elenchus_core::random::{Rng, Seed};
use elenchus_core::time::Time;
use elenchus_core::value::Value;
use elenchus_core::verdict::{Anomaly, Exhibit, Validity, Verdict};
use elenchus_core::world::Note;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// A folder that is gone when it is dropped.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn empty(name: &str) -> Folder {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path =
            Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}-{number}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).expect("the target folder can be written");
        Folder(path)
    }

    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.0.join(name), text).expect("the folder can be written");
    }

    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.0.join(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if std::env::var_os("ELENCHUS_KEEP").is_none() {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }
}

/// A trial as data, before it is written.
pub struct Trial {
    pub header: Header,
    pub events: Vec<Event>,
    pub verdicts: Vec<Verdict>,
    pub plan: Option<serde_json::Value>,
    pub trial: Option<serde_json::Value>,
}

const SECOND: u64 = 1_000_000_000;
const LENGTH: u64 = 20 * SECOND;

impl Trial {
    /// Nothing happened yet: a header and nobody's verdict.
    pub fn new(name: &str, concurrency: u32) -> Trial {
        Trial {
            header: Header {
                name: name.into(),
                workload: "register".into(),
                concurrency,
                nodes: NodeId::numbered(5),
                seed: 20_140_317,
                began: "2026-11-23T08:46:00Z".into(),
                ..Header::default()
            },
            events: Vec::new(),
            verdicts: Vec::new(),
            plan: Some(serde_json::json!({
                "version": 1, "name": name, "workload": "register", "nemesis": ["partition", "kill", "pause", "clock"],
                "seed": 20_140_317, "bugs": [], "limits": { "time": "20s", "rate": 500 },
                "again": "elenchus test --workload register --nemesis partition,kill,pause,clock --seed 20140317",
            })),
            trial: Some(serde_json::json!({
                "isolation": "namespaces", "isolation_why": "user namespaces work here",
                "began": "2026-11-23T08:46:00Z", "ended": "2026-11-23T08:46:31Z", "end": "completed", "version": "0.1.0",
            })),
        }
    }

    /// Twenty seconds of load, faults and leaders; every checker is content.
    pub fn eventful(name: &str, operations: usize, concurrency: u32) -> Trial {
        let mut trial = Trial::new(name, concurrency);
        let mut events = load(operations, concurrency);
        events.extend(faults());
        events.extend(leaders());
        events.sort_by_key(|event| event.time);
        trial.events = events;
        trial.verdicts = content();
        trial
    }

    /// The same with one read made stale, and the verdict that says so.
    pub fn stale(name: &str, operations: usize, concurrency: u32) -> Trial {
        let mut trial = Trial::eventful(name, operations, concurrency);
        let anomaly = trial.make_stale();
        let mut verdict = Verdict::new(
            "linearizability",
            Validity::Invalid,
            format!("1 of 40 keys is not linearizable: {}", anomaly.sentence),
        );
        verdict.class = Some("stale-read".into());
        verdict.anomalies.push(anomaly);
        trial.verdicts[0] = verdict;
        trial
    }

    /// The same, stopped by the user after a third: operations are open, faults in force.
    pub fn interrupted(name: &str) -> Trial {
        let mut trial = Trial::eventful(name, 3_000, 10);
        let stop = Time(LENGTH * 3 / 12);
        trial.events.retain(|event| event.time < stop);
        trial.trial =
            Some(serde_json::json!({ "end": "interrupted", "why": "Ctrl-C", "isolation": "proxy" }));
        for verdict in &mut trial.verdicts {
            verdict.validity = Validity::Unknown;
            verdict.why = "The trial was interrupted.".into();
        }
        trial
    }

    /// Makes some read return the value before the latest one, and shows the operations that prove it.
    fn make_stale(&mut self) -> Anomaly {
        let operations = self.operations();
        let written = |i: &usize| self.events[operations[*i].0 as usize].f.as_ref() == "write";
        let ok = |i: &usize| operations[*i].1.is_some_and(|d| self.events[d as usize].kind == Kind::Ok);
        let key = |i: usize| self.events[operations[i].0 as usize].key.clone();
        let read = (operations.len() * 5 / 12..operations.len())
            .find(|i| {
                self.events[operations[*i].0 as usize].f.as_ref() == "read"
                    && ok(i)
                    && self.before(&operations, *i, key(*i)).len() >= 2
            })
            .expect("some read follows two writes of its key");
        let writes: Vec<usize> =
            self.before(&operations, read, key(read)).into_iter().filter(|i| written(i) && ok(i)).collect();
        let [.., old, new] = writes.as_slice() else { panic!("two writes") };
        let (old, new) = (*old, *new);
        let old_value = self.events[operations[old].0 as usize].value.clone();
        let new_value = self.events[operations[new].0 as usize].value.clone();
        let doubt = (0..read).rev().find(|i| {
            written(i) && operations[*i].1.is_some_and(|d| self.events[d as usize].kind == Kind::Info)
        });
        let key = key(read).map(|key| key.to_string());
        let done = operations[read].1.expect("the read ended");
        self.events[done as usize].value = old_value.clone();
        let mut proof = vec![
            self.exhibit(&operations, old),
            self.exhibit(&operations, new),
            self.exhibit(&operations, read),
        ];
        proof[2].guilty = true;
        let context: Vec<Exhibit> = doubt.into_iter().map(|i| self.exhibit(&operations, i)).collect();
        Anomaly {
            class: "stale-read".into(),
            sentence: format!(
                "Process {} read {old_value} from key {} although process {} had overwritten it with {new_value} before that read began.",
                proof[2].process,
                key.as_deref().unwrap_or("?"),
                proof[1].process
            ),
            key,
            operations: proof,
            context,
        }
    }

    /// Calls and completions, by position.
    fn operations(&self) -> Vec<(Index, Option<Index>)> {
        let mut open: BTreeMap<u32, usize> = BTreeMap::new();
        let mut operations: Vec<(Index, Option<Index>)> = Vec::new();
        for (index, event) in self.events.iter().enumerate().filter(|(_, e)| !e.process.is_nemesis()) {
            if event.kind == Kind::Invoke {
                open.insert(event.process.0, operations.len());
                operations.push((index as Index, None));
            } else if let Some(at) = open.remove(&event.process.0) {
                operations[at].1 = Some(index as Index);
            }
        }
        operations
    }

    /// The ok writes of a key that ended, each before the next began, before this operation was called.
    fn before(&self, operations: &[(Index, Option<Index>)], read: usize, key: Option<Value>) -> Vec<usize> {
        let mut chain: Vec<usize> = Vec::new();
        for (i, (call, done)) in operations.iter().enumerate().take(read) {
            let event = &self.events[*call as usize];
            let Some(done) = done.filter(|d| *d < operations[read].0) else { continue };
            let follows = chain.last().is_none_or(|last| operations[*last].1.is_some_and(|d| d < *call));
            if event.f.as_ref() == "write"
                && event.key == key
                && self.events[done as usize].kind == Kind::Ok
                && follows
            {
                chain.push(i);
            }
        }
        chain
    }

    fn exhibit(&self, operations: &[(Index, Option<Index>)], i: usize) -> Exhibit {
        let (call, done) = operations[i];
        let invocation = &self.events[call as usize];
        let completion = done.map(|d| &self.events[d as usize]);
        let certain = completion.filter(|e| e.kind != Kind::Info);
        let value = if invocation.value.is_nil() {
            completion.map(|e| e.value.clone()).unwrap_or(Value::Nil)
        } else {
            invocation.value.clone()
        };
        Exhibit {
            call,
            done: certain.and(done),
            process: invocation.process.0,
            text: format!("{} {value}", invocation.f),
            called: invocation.time,
            ended: completion.map(|e| e.time),
            guilty: false,
        }
    }

    pub fn write(&self) -> Folder {
        let folder = Folder::empty("report");
        let mut text = Vec::new();
        jsonl::write_header(&mut text, &self.header);
        for (index, event) in self.events.iter().enumerate() {
            jsonl::write_event(&mut text, &event.at(index as Index));
        }
        folder.write("history.jsonl", std::str::from_utf8(&text).expect("JSON is UTF-8"));
        let verdicts = serde_json::json!({
            "version": 1, "validity": Verdict::merge(&self.verdicts), "verdicts": self.verdicts,
        });
        folder.write("verdicts.json", &verdicts.to_string());
        for (name, value) in [("plan.json", &self.plan), ("trial.json", &self.trial)] {
            if let Some(value) = value {
                folder.write(name, &value.to_string());
            }
        }
        folder
    }
}

/// An event of a client.
pub fn event(time: u64, process: u32, kind: Kind, f: &str, key: Option<i64>, value: Value) -> Event {
    Event {
        time: Time(time),
        process: Process(process),
        kind,
        f: f.into(),
        key: key.map(Value::Int),
        value,
        error: None,
        extra: vec![],
    }
}

fn content() -> Vec<Verdict> {
    vec![
        Verdict::new("linearizability", Validity::Valid, "All 40 keys are linearizable.")
            .with_figure("keys", 40)
            .with_figure("configurations_max", 18_211),
        Verdict::new("stats", Validity::Valid, "Every function has ok operations."),
        Verdict::new("availability", Validity::Valid, "At most 2.1 s without an ok operation."),
        Verdict::new("perf", Validity::Valid, "Nothing is judged.").with_figure("rate_ok", 498.2),
        Verdict::new("faults", Validity::Valid, "All four kinds of fault hit while operations were open."),
        Verdict::new("recovery", Validity::Valid, "Every node answered within 1.2 s of the last healing."),
    ]
}

/// Operations of all slots, back to back with pauses.
fn load(operations: usize, concurrency: u32) -> Vec<Event> {
    let mut events = Vec::new();
    let mut registers: BTreeMap<i64, i64> = BTreeMap::new();
    let mut unique = 0;
    let period = LENGTH * u64::from(concurrency) / operations.max(1) as u64;
    for slot in 0..concurrency {
        let mut rng = Seed(7).nth(u64::from(slot)).rng();
        let mut process = slot;
        let mut now = rng.below(period.max(1));
        while now < LENGTH {
            let (kind, took) = fate(&mut rng, now, slot % 5, period);
            let key = rng.below(40) as i64;
            let register = registers.entry(key).or_insert(0);
            let (f, asked, answer) = match rng.below(4) {
                0 | 1 => ("read", Value::Nil, Value::Int(*register)),
                2 => {
                    unique += 1;
                    *register = unique;
                    ("write", Value::Int(unique), Value::Int(unique))
                }
                _ => {
                    unique += 1;
                    let pair = Value::vector([Value::Int(*register), Value::Int(unique)]);
                    ("cas", pair.clone(), pair)
                }
            };
            events.push(event(now, process, Kind::Invoke, f, Some(key), asked.clone()));
            let mut done =
                event(now + took, process, kind, f, Some(key), if kind == Kind::Ok { answer } else { asked });
            match kind {
                Kind::Fail if f == "cas" => {
                    done.error = Some(Value::vector([Value::str("refused"), Value::Int(unique - 1)]))
                }
                Kind::Fail => done.error = Some(Value::str("connection refused")),
                Kind::Info => {
                    done.error = Some(Value::str("timeout after 1 s"));
                    process += concurrency;
                }
                _ => {}
            }
            events.push(done);
            now += took + period * rng.between(50, 150) / 100 - (period / 2).min(took);
            now += 1;
        }
    }
    events
}

/// How an operation ends that is called now on this node, and after how many nanoseconds.
fn fate(rng: &mut Rng, now: u64, node: u32, period: u64) -> (Kind, u64) {
    let at = now as f64 / SECOND as f64;
    let base = rng.between(300_000, 900_000);
    let tail = if rng.chance(1, 60) { rng.between(2_000_000, 40_000_000) } else { 0 };
    let quick = (base + tail).min(period / 2 + 1_000);
    if (3.0..6.0).contains(&at) && node < 2 {
        return if rng.chance(2, 3) {
            (Kind::Info, SECOND)
        } else {
            (Kind::Ok, rng.between(SECOND / 10, SECOND))
        };
    }
    if (5.0..7.5).contains(&at) && node == 4 {
        return (Kind::Fail, rng.between(60_000, 400_000) + 100_000_000);
    }
    if (9.0..11.0).contains(&at) && node == 2 {
        return (Kind::Info, SECOND);
    }
    if (3.0..3.6).contains(&at) || (9.0..9.5).contains(&at) {
        return (Kind::Ok, quick + rng.between(50_000_000, 600_000_000));
    }
    let kind = if rng.chance(1, 14) { Kind::Fail } else { Kind::Ok };
    (kind, quick)
}

fn at(time: f64, entry: elenchus_core::fault_log::Entry) -> Event {
    entry.into_event(Time((time * SECOND as f64) as u64))
}

fn faults() -> Vec<Event> {
    let node = |n: usize| NodeId::numbered(5)[n - 1].clone();
    let links = |side: &[usize], rest: &[usize]| {
        let pairs = side.iter().flat_map(|a| rest.iter().map(move |b| (*a, *b)));
        pairs
            .flat_map(|(a, b)| [Link { from: node(a), to: node(b) }, Link { from: node(b), to: node(a) }])
            .collect::<Vec<_>>()
    };
    let cut = links(&[1, 2], &[3, 4, 5]);
    let partition =
        Fault::Partition { shape: Shape::Halves, cut: Cut::Links(cut.clone()), manner: Manner::Drop };
    let kill = Fault::Kill { nodes: Target::Nodes(vec![node(5)]) };
    let pause = Fault::Pause { nodes: Target::Primaries };
    let clock =
        Fault::Clock { nodes: Target::Nodes(vec![node(1), node(4)]), skew: Skew::Bump { delta_ms: 8_200 } };
    let missed = Fault::Kill { nodes: Target::Nodes(vec![node(2)]) };
    let proof =
        |nodes: Vec<NodeId>, hit, text: &str| Ok(Proof { nodes, links: vec![], hit, text: text.into() });
    let mut events = Vec::new();
    let mut fault =
        |id, fault: &Fault, from: f64, until: f64, injected: &Result<Proof, _>, healed: &Result<Proof, _>| {
            let id = FaultId(id);
            events.push(at(from - 0.02, encode_inject(id, fault)));
            events.push(at(from, encode_injected(id, fault.name(), injected)));
            events.push(at(until - 0.05, encode_heal(id, fault.name())));
            events.push(at(until, encode_healed(id, fault.name(), healed)));
        };
    fault(
        1,
        &partition,
        3.0,
        6.0,
        &proof(vec![node(1), node(2)], false, "12 links cut"),
        &proof(vec![node(1), node(2)], true, "1,204 packets dropped"),
    );
    fault(
        2,
        &kill,
        5.0,
        7.5,
        &proof(vec![node(5)], true, "n5: process 4242 gone"),
        &proof(vec![node(5)], true, "n5: runs as 4711"),
    );
    fault(
        3,
        &pause,
        9.0,
        11.0,
        &proof(vec![node(3)], true, "n3: state T for 2.0 s"),
        &proof(vec![node(3)], true, "n3: state T for 2.0 s"),
    );
    fault(
        4,
        &clock,
        12.0,
        15.0,
        &proof(vec![node(1), node(4)], true, "n1: clock read 8.2 s ahead, n4: clock read 8.2 s ahead"),
        &proof(vec![node(1), node(4)], false, "n1, n4: clock true again"),
    );
    fault(
        5,
        &missed,
        15.5,
        16.0,
        &Err("no such process: n2 had already exited".into()),
        &proof(vec![node(2)], false, "n2: runs as 5012"),
    );
    events
}

fn leaders() -> Vec<Event> {
    let leader = |time, node: &str, term: u32| {
        at(
            time,
            encode_note(&Note {
                f: "leader",
                fields: vec![("node", node.into()), ("term", term.to_string())],
            }),
        )
    };
    vec![
        leader(0.4, "n1", 1),
        leader(3.5, "n3", 2),
        leader(5.2, "n3", 2),
        leader(9.6, "n4", 4),
        at(
            5.0,
            encode_note(&Note {
                f: "exit",
                fields: vec![("node", "n5".into()), ("status", "signal 9".into())],
            }),
        ),
        at(17.0, encode_note(&Note { f: "phase", fields: vec![("phase", "final".into())] })),
    ]
}
