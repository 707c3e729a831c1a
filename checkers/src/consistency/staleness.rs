//! Staleness: how old the oldest value was that a read returned, in versions and in seconds.
//!
//! **In versions.** A history of a register is *k-atomic* if its operations can be put in an order that respects
//! real time and in which every read returns one of the last *k* values written before it (Aiyer, Alvisi &
//! Bazzi, "On the availability of non-strict quorum systems", 2005). 1-atomic is linearizable. The figure is
//! the least *k*, less one: how many versions behind the stalest read was. For values written once,
//! - `k = 1` is decided in time n log n, by zones ([`crate::models::register`]);
//! - a lower bound is exact for each read alone: the writes that began after the read's own write had ended
//!   and had ended before the read began stand between the two in any order; and what is not 1-atomic is 2;
//! - an upper bound is an order: writes by when they, or the first read of them, ended. That respects real
//!   time, and each read then stands as early as it may;
//! - what lies between is searched, smallest first, as linearizability of a register that remembers its last
//!   *k* values. Where the search is too long, both bounds are given. (For 2 there are quasilinear algorithms,
//!   Golab et al. 2013; for more than 2 none is known; with weights it is NP-complete.)
//!
//! **In seconds.** A history is *Δ-atomic* if it is linearizable once every read may take effect up to Δ
//! before it began (Golab, Li & Shah, "Analyzing consistency properties for fun and profit", 2011). The least Δ is
//! found by bisection over zones, to the nanosecond, if the log's times never run backwards.
//!
//! No staleness explains a read of what nobody wrote, or of what was written only after it had ended: then the
//! verdict is `invalid`. Otherwise it is `valid`, whatever the figures: this condition promises no bound. A cas
//! must see the newest value; where cas contradict each other, or values repeat, a key that is not
//! linearizable is `unknown`.

use super::versions::{Versions, seen};
use super::{RegisterOperation, anomaly, broken, name};
use crate::exhibits::{count, span};
use crate::linearizability::{
    Answer, Insight, NEVER, Position, Shortcut, Task, judge as judge_linearizability,
};
use crate::models::register::{Register, RegisterOp, RegisterRet};
use elenchus_core::budget::Budget;
use elenchus_core::model::Model;
use elenchus_core::outcome::{Failure, Outcome};
use elenchus_core::value::Value;
use elenchus_core::verdict::{Validity, Verdict};
use std::collections::HashMap;
use std::time::Duration;

pub(super) const NAME: &str = "staleness";

/// What one search for a `k` may take.
const SEARCH_TIME: Duration = Duration::from_secs(2);
/// Operations of a key up to which a search is tried.
const SEARCHED_MAX: usize = 2_000;

/// How stale the reads of one register were.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stale {
    /// The stalest read was at least so many versions behind.
    pub versions_min: usize,
    /// And at most so many.
    pub versions_max: usize,
    /// How long before a read began its value can have been the newest, at worst; `None` if times do not say.
    pub time: Option<Duration>,
    /// The read that is certainly the furthest behind (its position), if any is.
    pub stalest: Option<usize>,
}

/// The verdict on operations given in the order of their calls.
pub fn judge(register: &Register, operations: &[RegisterOperation], budget: &Budget) -> Verdict {
    let versions = Versions::new(register, operations);
    if let Some(verdict) = versions.unwritten(NAME, register, operations) {
        return verdict;
    }
    let findings = judge_linearizability(register, operations, budget);
    let (mut worst, mut open): (Option<Stale>, Vec<String>) = (None, Vec::new());
    for finding in findings.iter().filter(|finding| finding.answer != Answer::Linearizable) {
        let own: Vec<(usize, &RegisterOperation)> =
            finding.operations.iter().map(|i| (*i, &operations[*i])).collect();
        match measure(register, &own, budget) {
            Measured::Stale(stale) => worst = Some(worst.map_or(stale, |worst| worse(worst, stale))),
            Measured::Future { read, write } => {
                let [early, late] = [read, write].map(|i| name(register, &operations[i]));
                let sentence =
                    format!("{early} saw what {late} wrote, which began only after that read had ended");
                return broken(
                    NAME,
                    anomaly(register, operations, ("future-read", sentence), (&[write], read)),
                );
            }
            Measured::Unclear(why) if finding.key.is_nil() => open.push(why.to_owned()),
            Measured::Unclear(why) => open.push(format!("of key {}, {why}", finding.key)),
        }
    }
    let stale = worst.unwrap_or(Stale {
        versions_min: 0,
        versions_max: 0,
        time: Some(Duration::ZERO),
        stalest: None,
    });
    let words = in_words(register, operations, &stale);
    let mut verdict = match open.first() {
        None => Verdict::new(NAME, Validity::Valid, words),
        Some(why) => {
            Verdict::new(NAME, Validity::Unknown, format!("{} keys were not measured: {why}", open.len()))
        }
    };
    if let Some(time) = stale.time {
        verdict = verdict.with_figure("stale_nanos", u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    }
    verdict
        .with_figure("stale_versions_min", stale.versions_min)
        .with_figure("stale_versions_max", stale.versions_max)
        .with_figure("keys", findings.len())
}

fn in_words(register: &Register, operations: &[RegisterOperation], stale: &Stale) -> String {
    if stale.versions_max == 0 {
        return "no read was stale".to_owned();
    }
    let versions = match stale.versions_max - stale.versions_min {
        0 => count(stale.versions_min, "version"),
        _ => format!("between {} and {} versions", stale.versions_min, stale.versions_max),
    };
    let time = stale.time.map_or_else(String::new, |time| format!(" and {}", span(time)));
    let example = stale
        .stalest
        .map_or_else(String::new, |i| format!("; {} was certainly stale", name(register, &operations[i])));
    format!("the stalest read was {versions}{time} behind{example}")
}

/// What no key is better than.
fn worse(a: Stale, b: Stale) -> Stale {
    Stale {
        versions_min: a.versions_min.max(b.versions_min),
        versions_max: a.versions_max.max(b.versions_max),
        time: a.time.zip(b.time).map(|(a, b)| a.max(b)),
        stalest: if b.versions_min > a.versions_min { b.stalest } else { a.stalest },
    }
}

/// What was found of a key that is not linearizable, or not known to be.
pub(super) enum Measured {
    /// Its reads were so stale.
    Stale(Stale),
    /// A read saw what was written only after it.
    Future { read: usize, write: usize },
    /// It cannot be said.
    Unclear(&'static str),
}

/// A write, and what is known of its value.
#[derive(Clone, Copy, Debug)]
struct Write {
    call: Position,
    done: Position,
    /// When it, or the first read of it, had ended.
    settled: Position,
    /// The position of the operation.
    operation: usize,
}

/// A read of a value written once.
#[derive(Clone, Copy, Debug)]
struct Read {
    call: Position,
    done: Position,
    /// The place of its write.
    write: usize,
    operation: usize,
}

/// Measures one register that is not known to be linearizable.
pub(super) fn measure(register: &Register, own: &[(usize, &RegisterOperation)], budget: &Budget) -> Measured {
    let cas = |o: &RegisterOperation| {
        matches!(o.op, RegisterOp::Cas { .. }) && !matches!(o.outcome, Outcome::Fail(Failure::NotDone(_)))
    };
    if own.iter().any(|(_, operation)| cas(operation)) {
        return Measured::Unclear("with compare-and-set, and not known to be linearizable");
    }
    let Some((mut writes, mut reads)) = trace(register, own) else {
        return Measured::Unclear(
            "values were written more than once, and it is not known to be linearizable",
        );
    };
    if let Some(read) = reads.iter().find(|read| read.done < writes[read.write].call) {
        return Measured::Future { read: read.operation, write: writes[read.write].operation };
    }
    settle(&mut writes, &mut reads);
    let behind = lower(&writes, &reads);
    let worst = behind.iter().zip(&reads).max_by_key(|(behind, _)| **behind);
    let certain = worst.map_or(0, |(behind, _)| *behind);
    let stalest = worst.filter(|(behind, _)| **behind > 0).map(|(_, read)| read.operation);
    // It is not linearizable, so that 0 is not the answer, unless that was not decided.
    let linearizable = shifted(register, own, None);
    if linearizable == Some(true) {
        return Measured::Stale(Stale {
            versions_min: 0,
            versions_max: 0,
            time: Some(Duration::ZERO),
            stalest: None,
        });
    }
    let (mut min, mut max) = (certain.max(usize::from(linearizable == Some(false))), upper(&writes, &reads));
    while min < max && own.len() <= SEARCHED_MAX {
        match is_atomic(register, own, min + 1, budget) {
            Some(true) => max = min,
            Some(false) => min += 1,
            None => break,
        }
    }
    Measured::Stale(Stale { versions_min: min, versions_max: max, time: longest(register, own), stalest })
}

/// Writes and reads of one register; the first write is the initial value. `None` if a value was written twice.
/// Writes in doubt that nobody read did not happen.
fn trace(register: &Register, own: &[(usize, &RegisterOperation)]) -> Option<(Vec<Write>, Vec<Read>)> {
    let mut writes = vec![Write { call: 0, done: 0, settled: 0, operation: usize::MAX }];
    let mut places: HashMap<&Value, usize> = HashMap::from([(&register.initial, 0)]);
    let read_values: std::collections::HashSet<&Value> =
        own.iter().filter_map(|(_, operation)| seen(register, operation)).collect();
    for (i, operation) in own {
        let (RegisterOp::Write { value, .. }, Outcome::Ok(_) | Outcome::Info(_)) =
            (&operation.op, &operation.outcome)
        else {
            continue;
        };
        if operation.outcome.is_info() && !read_values.contains(value) {
            continue;
        }
        if places.insert(value, writes.len()).is_some() {
            return None;
        }
        let (call, done) = ends(operation);
        writes.push(Write { call, done, settled: done, operation: *i });
    }
    let mut reads = Vec::new();
    for (i, operation) in own.iter().filter(|(_, operation)| !operation.outcome.is_info()) {
        let Some(value) = seen(register, operation) else { continue };
        let (call, done) = ends(operation);
        reads.push(Read { call, done, write: *places.get(value)?, operation: *i });
    }
    Some((writes, reads))
}

fn ends(operation: &RegisterOperation) -> (Position, Position) {
    let done = match operation.done {
        RegisterOperation::OPEN => NEVER,
        done => Position::from(done) + 1,
    };
    (Position::from(operation.call) + 1, done)
}

/// Puts the writes in the order in which they were settled: it respects real time.
fn settle(writes: &mut Vec<Write>, reads: &mut [Read]) {
    for read in reads.iter() {
        let settled = &mut writes[read.write].settled;
        *settled = read.done.min(*settled);
    }
    let mut places: Vec<usize> = (0..writes.len()).collect();
    places.sort_by_key(|place| (writes[*place].settled, writes[*place].call));
    let mut place_of = vec![0; writes.len()];
    places.iter().enumerate().for_each(|(new, old)| place_of[*old] = new);
    *writes = places.iter().map(|place| writes[*place]).collect();
    reads.iter_mut().for_each(|read| read.write = place_of[read.write]);
}

/// Of each read, how many writes stand between its own and it in any order: those that began after the one had
/// ended and had ended before the other began.
fn lower(writes: &[Write], reads: &[Read]) -> Vec<usize> {
    let mut calls: Vec<Position> = writes.iter().map(|write| write.call).collect();
    calls.sort_unstable();
    let mut by_end: Vec<&Write> = writes.iter().filter(|write| write.done != NEVER).collect();
    by_end.sort_unstable_by_key(|write| write.done);
    let mut by_call: Vec<usize> = (0..reads.len()).collect();
    by_call.sort_unstable_by_key(|i| reads[*i].call);
    // Of the writes that have ended: how many began at each place (Fenwick 1994).
    let mut sums = vec![0usize; calls.len() + 1];
    let (mut ended, mut behind) = (0, vec![0; reads.len()]);
    for i in by_call {
        while let Some(write) = by_end.get(ended).filter(|write| write.done < reads[i].call) {
            let mut at = calls.partition_point(|call| *call < write.call) + 1;
            while at < sums.len() {
                sums[at] += 1;
                at += at & at.wrapping_neg();
            }
            ended += 1;
        }
        let own = writes[reads[i].write].done;
        let (mut at, mut before) = (calls.partition_point(|call| *call <= own), 0);
        while at > 0 {
            before += sums[at];
            at &= at - 1;
        }
        behind[i] = ended - before;
    }
    behind
}

/// How far behind the stalest read is if the writes stand in this order and each read as early as it may.
fn upper(writes: &[Write], reads: &[Read]) -> usize {
    enum End {
        Write(usize),
        Read(usize),
        Call(usize),
    }
    let mut ends: Vec<(Position, End)> = Vec::with_capacity(writes.len() + 2 * reads.len());
    ends.extend(writes.iter().enumerate().map(|(i, write)| (write.done, End::Write(i))));
    for (i, read) in reads.iter().enumerate() {
        ends.extend([(read.call, End::Call(i)), (read.done, End::Read(i))]);
    }
    ends.retain(|(at, _)| *at != NEVER);
    ends.sort_unstable_by_key(|(at, _)| *at);
    // The last write that whatever is called now must come after.
    let (mut passed, mut after, mut behind) = (0, vec![0; reads.len()], 0);
    for (_, end) in ends {
        match end {
            End::Write(i) => passed = passed.max(i),
            End::Read(i) => passed = passed.max(after[i]),
            End::Call(i) => {
                after[i] = passed.max(reads[i].write);
                behind = behind.max(after[i] - reads[i].write);
            }
        }
    }
    behind
}

/// Whether the register is linearizable if every read may take effect up to `delta` before it began (and, without
/// a delta, not at all before). `None` if that cannot be said without search.
fn shifted(
    register: &Register,
    own: &[(usize, &RegisterOperation)],
    delta: Option<Duration>,
) -> Option<bool> {
    // Positions are spread, so that a read can be called just before any event.
    let spread = own.len() as Position + 2;
    let mut events: Vec<(u64, Position)> = Vec::new();
    for (_, operation) in own {
        let (call, done) = ends(operation);
        events.push((operation.called.0, call));
        events.extend(operation.ended.filter(|_| done != NEVER).map(|ended| (ended.0, done)));
    }
    events.sort_unstable_by_key(|(_, at)| *at);
    let tasks = own.iter().zip(1..).filter_map(|((_, operation), number): (_, Position)| {
        let task: Task<'_, Register> = Task::new(operation, number as u32)?;
        let Task { op, outcome, process, call, done, id } = task;
        let (mut call, done) = (call * spread, if done == NEVER { NEVER } else { done * spread });
        if let (Some(delta), RegisterOp::Read { .. }) = (delta, op) {
            let since =
                operation.called.0.saturating_sub(u64::try_from(delta.as_nanos()).unwrap_or(u64::MAX));
            let first = events.partition_point(|(time, _)| *time < since);
            let moved = events.get(first).map_or(call, |(_, at)| at * spread - number);
            call = moved.min(call);
        }
        Some(Task::<Register> { op, outcome, process, call, done, id })
    });
    let mut tasks: Vec<Task<'_, Register>> = tasks.collect();
    tasks.sort_unstable_by_key(|task| task.call);
    register.shortcut(&tasks).map(|answer| answer == Shortcut::Linearizable)
}

/// The least delta; `None` if times run backwards, or no delta is enough.
fn longest(register: &Register, own: &[(usize, &RegisterOperation)]) -> Option<Duration> {
    let mut times: Vec<(Position, u64)> = Vec::new();
    for (_, operation) in own {
        let (call, done) = ends(operation);
        times.push((call, operation.called.0));
        if done != NEVER {
            times.push((done, operation.ended?.0));
        }
    }
    times.sort_unstable();
    if times.windows(2).any(|pair| pair[0].1 > pair[1].1) {
        return None;
    }
    let enough = |nanos: u64| shifted(register, own, Some(Duration::from_nanos(nanos)));
    let (mut low, mut high) = (0, times.last()?.1.saturating_sub(times.first()?.1).saturating_add(1));
    if !enough(high)? {
        return None;
    }
    while low < high {
        let middle = low.midpoint(high);
        match enough(middle)? {
            true => high = middle,
            false => low = middle + 1,
        }
    }
    Some(Duration::from_nanos(high))
}

/// Whether the register is k-atomic, by search; `None` if that took too long.
fn is_atomic(
    register: &Register,
    own: &[(usize, &RegisterOperation)],
    k: usize,
    budget: &Budget,
) -> Option<bool> {
    let model = Remembering { register, k };
    let read: std::collections::HashSet<&Value> =
        own.iter().filter_map(|(_, operation)| seen(register, operation)).collect();
    let happened = |operation: &RegisterOperation| match (&operation.op, &operation.outcome) {
        (RegisterOp::Write { value, .. }, Outcome::Info(_)) => read.contains(value),
        _ => true,
    };
    let operations: Vec<RegisterOperation> = own
        .iter()
        .filter(|(_, operation)| happened(operation))
        .map(|(_, operation)| (*operation).clone())
        .collect();
    let findings = judge_linearizability(&model, &operations, &budget.clone().within(SEARCH_TIME));
    match findings.first().map(|finding| &finding.answer) {
        None | Some(Answer::Linearizable) => Some(true),
        Some(Answer::Refuted { .. }) => Some(false),
        Some(Answer::Unknown { .. }) => None,
    }
}

/// A register that may answer with any of its last `k` values. Read and write only.
pub(super) struct Remembering<'m> {
    pub(super) register: &'m Register,
    pub(super) k: usize,
}

impl Model for Remembering<'_> {
    type Op = RegisterOp;
    type Ret = RegisterRet;
    type Key = Value;
    /// The newest last.
    type State = Vec<Value>;

    fn init(&self, _key: &Value) -> Vec<Value> {
        vec![self.register.initial.clone()]
    }

    fn step(
        &self,
        state: &Vec<Value>,
        op: &RegisterOp,
        outcome: &Outcome<RegisterRet>,
    ) -> impl IntoIterator<Item = Vec<Value>> {
        match (op, outcome) {
            (RegisterOp::Read { .. }, Outcome::Ok(RegisterRet::Saw(value))) => {
                (state.contains(value) || !self.register.is_seen(value)).then(|| state.clone())
            }
            (RegisterOp::Read { .. }, _) => Some(state.clone()),
            (RegisterOp::Write { value, .. }, Outcome::Ok(_) | Outcome::Info(_)) => {
                let forgotten = (state.len() + 1).saturating_sub(self.k);
                Some(state.iter().skip(forgotten).chain([value]).cloned().collect())
            }
            _ => None,
        }
    }

    fn key(&self, op: &RegisterOp) -> Value {
        op.key().clone()
    }

    fn describe(&self, op: &RegisterOp, outcome: &Outcome<RegisterRet>) -> String {
        self.register.describe(op, outcome)
    }

    fn inert(&self, op: &RegisterOp, _outcome: &Outcome<RegisterRet>) -> bool {
        matches!(op, RegisterOp::Read { .. })
    }

    fn weight(&self, state: &Vec<Value>) -> usize {
        size_of::<Vec<Value>>() + state.iter().map(|value| self.register.weight(value)).sum::<usize>()
    }
}

impl Insight for Remembering<'_> {}
