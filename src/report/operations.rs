//! The clients' operations of a history as plots need them: times, outcome, lane.
//!
//! All operations of a trial are here, as plain numbers; their texts are made only for those that are
//! drawn one by one (`drawn`). A *lane* is a row of a timeline: the slot of the process if the
//! concurrency is known, so that processes retired by an `info` do not each cost a row for ever; else
//! lanes are shared by processes that were never there at the same time.

use crate::report::escape::shorten;
use elenchus_core::event::{Index, Kind};
use elenchus_core::history::{EventRef, History};
use elenchus_core::process::Process;
use elenchus_core::value::Value;
use std::collections::BTreeMap;
use std::fmt::{self, Write};

/// How an operation ended, as far as the log says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Outcome {
    /// It took effect.
    Ok,
    /// It certainly did not.
    Fail,
    /// Nobody knows; the client gave up.
    Info,
    /// Nobody knows; the log holds no completion.
    Open,
}

impl Outcome {
    /// The word for it, as it stands on disk; an operation without completion is `open`.
    pub fn name(self) -> &'static str {
        ["ok", "fail", "info", "open"][self as usize]
    }
}

/// What an operation means for the first anomaly of a verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Role {
    /// Nothing.
    None,
    /// It belongs to the proof.
    Evidence,
    /// No order can explain its answer.
    Guilty,
}

/// One operation of a client.
#[derive(Clone, Debug, PartialEq)]
pub struct Op {
    /// Position of its invocation in the log.
    pub call: Index,
    /// Position of its completion of any kind, if the log holds one.
    pub done: Option<Index>,
    /// When it was invoked, in nanoseconds of the trial.
    pub called: u64,
    /// When its completion was logged, if it was.
    pub ended: Option<u64>,
    /// Who performed it.
    pub process: u32,
    /// Its row in a timeline.
    pub lane: u32,
    /// Its function, as position in [`Operations::functions`].
    pub f: u16,
    /// Its key, as position in [`Operations::keys`].
    pub key: Option<u32>,
    /// How it ended.
    pub outcome: Outcome,
    /// What it means for an anomaly.
    pub role: Role,
}

impl Op {
    /// From call to completion in nanoseconds, if it has one.
    pub fn took(&self) -> Option<u64> {
        self.ended.map(|ended| ended.saturating_sub(self.called))
    }
}

/// All operations of the clients, in the order of their calls.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Operations {
    /// The operations.
    pub all: Vec<Op>,
    /// The functions, in the order of their first call.
    pub functions: Vec<String>,
    /// The keys, in the order of their first call.
    pub keys: Vec<String>,
    /// How many lanes there are.
    pub lanes: u32,
}

impl Operations {
    /// The operations of a history; `concurrency` tells the slots, if it is known.
    pub fn of(history: &History, concurrency: Option<u32>) -> Operations {
        let mut operations = Operations::default();
        let mut functions = Names::default();
        let keys = history.keys().iter().map(|key| value_text(key, KEY_CHARS_MAX)).collect();
        for call in history.events().filter(|e| e.kind == Kind::Invoke && !e.process.is_nemesis()) {
            let done = history.partner(call.index).map(|index| history.event(index));
            operations.all.push(Op {
                call: call.index,
                done: done.map(|e| e.index),
                called: call.time.0,
                ended: done.map(|e| e.time.0),
                process: call.process.0,
                lane: 0,
                f: u16::try_from(functions.number(call.f)).unwrap_or(u16::MAX - 1),
                key: history.key_id(call.index),
                outcome: outcome_of(done),
                role: Role::None,
            });
        }
        operations.functions = functions.names;
        operations.keys = keys;
        operations.lanes = match concurrency {
            Some(slots) if slots > 0 => assign_slots(&mut operations.all, slots),
            _ => share_lanes(&mut operations.all),
        };
        operations
    }

    /// The operation that was invoked at this position of the log.
    pub fn at(&mut self, call: Index) -> Option<&mut Op> {
        let at = self.all.binary_search_by_key(&call, |op| op.call).ok()?;
        self.all.get_mut(at)
    }

    /// Which operations to draw one by one: all if there are at most `count_max`; else those with a role
    /// and those in doubt first, and of the others every so many, evenly.
    pub fn choose(&self, count_max: usize) -> Vec<u32> {
        let numbers = 0..self.all.len() as u32;
        if self.all.len() <= count_max {
            return numbers.collect();
        }
        let rank = |i: u32| match self.all[i as usize] {
            Op { role: Role::Evidence | Role::Guilty, .. } => 0,
            Op { outcome: Outcome::Info | Outcome::Open, .. } => 1,
            _ => 2,
        };
        let mut chosen: Vec<u32> = Vec::with_capacity(count_max);
        for wanted in 0..3 {
            let of_rank: Vec<u32> = numbers.clone().filter(|&i| rank(i) == wanted).collect();
            let room = count_max - chosen.len();
            let take = of_rank.len().min(room);
            chosen.extend((0..take).map(|i| of_rank[i * of_rank.len() / take]));
        }
        chosen.sort_unstable();
        chosen
    }
}

/// The slot of each process is its number modulo the concurrency.
fn assign_slots(all: &mut [Op], slots: u32) -> u32 {
    all.iter_mut().for_each(|op| op.lane = op.process % slots);
    slots.min(all.iter().map(|op| op.lane + 1).max().unwrap_or(0))
}

/// Gives each process the lowest lane whose last process was over before it began.
fn share_lanes(all: &mut [Op]) -> u32 {
    let mut life: BTreeMap<u32, (Index, Index)> = BTreeMap::new();
    for op in all.iter() {
        let end = op.done.unwrap_or(Index::MAX);
        let entry = life.entry(op.process).or_insert((op.call, end));
        entry.1 = entry.1.max(end);
    }
    let mut by_birth: Vec<(Index, Index, u32)> = life.iter().map(|(&p, &(from, to))| (from, to, p)).collect();
    by_birth.sort_unstable();
    let mut lanes: Vec<Index> = Vec::new();
    let mut lane_of: BTreeMap<u32, u32> = BTreeMap::new();
    for (from, to, process) in by_birth {
        let free = lanes.iter().position(|&until| until < from);
        let lane = free.unwrap_or_else(|| {
            lanes.push(0);
            lanes.len() - 1
        });
        lanes[lane] = to;
        lane_of.insert(process, lane as u32);
    }
    all.iter_mut().for_each(|op| op.lane = lane_of[&op.process]);
    lanes.len() as u32
}

fn outcome_of(done: Option<EventRef<'_>>) -> Outcome {
    match done.map(|e| e.kind) {
        Some(Kind::Ok) => Outcome::Ok,
        Some(Kind::Fail) => Outcome::Fail,
        Some(Kind::Info) => Outcome::Info,
        Some(Kind::Invoke) | None => Outcome::Open,
    }
}

/// What an operation asked and what came of it, in at most `chars_max` characters: `1`, `→ 3`,
/// `[1 2] · refused, saw 5`. The function, the key and the kind of outcome are shown beside it.
pub fn text_of(history: &History, op: &Op, chars_max: usize) -> String {
    let asked = history.event(op.call).value;
    let done = op.done.map(|index| history.event(index));
    let mut text = String::new();
    if !asked.is_nil() {
        text.push_str(&value_text(asked, chars_max));
    }
    let Some(done) = done else { return text };
    let part = match (done.kind, done.error) {
        (Kind::Ok, _) if done.value == asked && !asked.is_nil() => String::new(),
        (Kind::Ok, _) => format!("→ {}", value_text(done.value, chars_max)),
        (_, Some(error)) => format!("· {}", error_text(error, chars_max)),
        (_, None) => String::new(),
    };
    if !text.is_empty() && !part.is_empty() {
        text.push(' ');
    }
    text.push_str(&part);
    shorten(&text, chars_max)
}

fn error_text(error: &Value, chars_max: usize) -> String {
    match error.as_items() {
        Some([kind, saw]) if kind.as_text() == Some("refused") => {
            format!("refused, saw {}", value_text(saw, chars_max))
        }
        Some([kind]) if kind.as_text() == Some("refused") => "refused".to_owned(),
        _ => error.as_text().map_or_else(|| value_text(error, chars_max), |text| shorten(text, chars_max)),
    }
}

/// A value as text, a string without its quotes, in at most `chars_max` characters.
pub fn value_text(value: &Value, chars_max: usize) -> String {
    if let Value::Str(text) = value {
        return shorten(text, chars_max);
    }
    let mut clip = Clip { text: String::new(), room: chars_max * 4 };
    // An error only says that the clip is full: a value of a million elements is not written out in vain.
    let _ = write!(clip, "{value}");
    shorten(&clip.text, chars_max)
}

/// Text that refuses to grow beyond its room.
struct Clip {
    text: String,
    room: usize,
}

impl Write for Clip {
    fn write_str(&mut self, more: &str) -> fmt::Result {
        if self.text.len() > self.room {
            return Err(fmt::Error);
        }
        self.text.push_str(more);
        Ok(())
    }
}

/// Names, numbered in the order of their first use.
#[derive(Default)]
struct Names {
    names: Vec<String>,
    numbers: BTreeMap<String, u32>,
}

impl Names {
    fn number(&mut self, name: &str) -> u32 {
        if let Some(&number) = self.numbers.get(name) {
            return number;
        }
        let number = self.names.len() as u32;
        self.names.push(name.to_owned());
        self.numbers.insert(name.to_owned(), number);
        number
    }
}

/// The node that a process speaks to: slot `i` speaks to node `i mod nodes`.
pub fn node_of(process: u32, concurrency: Option<u32>, nodes: &[String]) -> Option<&str> {
    let slots = concurrency.filter(|&slots| slots > 0)?;
    if nodes.is_empty() || process == Process::NEMESIS.0 {
        return None;
    }
    nodes.get((process % slots) as usize % nodes.len()).map(String::as_str)
}

const KEY_CHARS_MAX: usize = 40;
