//! Sequential consistency: one order of all operations, on all registers, in which each process's operations
//! stand as it issued them, explains every answer (Lamport, "How to make a multiprocessor computer that
//! correctly executes multiprocess programs", 1979).
//!
//! Real time between processes does not matter. Unlike linearizability it is no property of each register
//! alone, so all are judged together; and it is NP-complete even where every read names its write (Gibbons &
//! Korach, "Testing shared memories", 1997). What is done, each step exact:
//! 1. versions (values written once): the four session guarantees follow, jointly, from sequential
//!    consistency. Demands that form a circle refute it, with few operations to prove it;
//! 2. a linearizable history is sequentially consistent, and that is quickly known;
//! 3. otherwise a depth-first search over how far each process has come. Reads that fit are taken at once
//!    (they change nothing, and what fits now need not wait); an order in which a value was overwritten
//!    that somebody still has to see, and nobody will write again, is given up; nothing is visited twice.
//!    Where there is no order, the operations that prove it are found by releasing the others.
//!
//! An operation in doubt happens at any time after those its process issued before, or never; nothing of its
//! process waits for it. Past the budget the verdict is `unknown`.

use super::arbitration::arbitration;
use super::order::Order;
use super::versions::{Act, Versions, seen};
use super::{
    RegisterOperation, anomaly, broken, monotonic_reads, name, read_your_writes, writes_follow_reads,
};
use crate::linearizability::{Answer, judge as judge_linearizability};
use crate::models::register::{Register, RegisterOp};
use elenchus_core::budget::Budget;
use elenchus_core::outcome::{Failure, Outcome};
use elenchus_core::process::Process;
use elenchus_core::value::Value;
use elenchus_core::verdict::{Anomaly, Validity, Verdict};
use std::collections::{HashMap, HashSet};
use std::time::Duration;

mod evidence;

#[cfg(test)]
pub(super) use evidence::released;

pub(super) const NAME: &str = "sequential";

const CLASS: &str = "not-sequential";
const KEPT: &str = "one order that keeps each process's own explains everything";
/// What asking for linearizability may take of the budget.
const SHORT: Duration = Duration::from_secs(5);

/// The verdict on operations given in the order of their calls.
pub fn judge(register: &Register, operations: &[RegisterOperation], budget: &Budget) -> Verdict {
    if let Some(anomaly) = by_versions(register, operations) {
        return broken(NAME, anomaly);
    }
    let short = budget.clone().within(budget.remaining().map_or(SHORT, |left| SHORT.min(left / 3)));
    let findings = judge_linearizability(register, operations, &short);
    if findings.iter().all(|finding| finding.answer == Answer::Linearizable) {
        return Verdict::new(NAME, Validity::Valid, format!("{KEPT}; it is even linearizable"));
    }
    let mut search = Search::new(register, operations);
    let verdict = match search.run(budget) {
        Found::Order => Verdict::new(NAME, Validity::Valid, KEPT),
        Found::Spent(why) => Verdict::new(NAME, Validity::Unknown, format!("not decided: {why}")),
        Found::Nothing => broken(NAME, evidence::tell(register, operations, budget)),
    };
    verdict.with_figure("configurations", search.visited)
}

/// A contradiction between versions, or a read of what nobody wrote.
fn by_versions(register: &Register, operations: &[RegisterOperation]) -> Option<Anomaly> {
    let versions = Versions::new(register, operations);
    if let Some(verdict) = versions.unwritten(NAME, register, operations) {
        return verdict.anomalies.into_iter().next();
    }
    if let Some((guilty, writer)) = writes_follow_reads::own_future(&versions, operations) {
        let (read, write) = (name(register, &operations[guilty]), name(register, &operations[writer]));
        let sentence = format!("{read} saw what its own process wrote only later, by {write}");
        return Some(anomaly(register, operations, (CLASS, sentence), (&[writer], guilty)));
    }
    let demands = [
        monotonic_reads::constrain,
        read_your_writes::constrain,
        writes_follow_reads::constrain,
        keep_writes,
    ];
    let circle = arbitration(&versions, &demands).circle()?;
    Some(monotonic_reads::tell(register, operations, CLASS, &versions, &circle))
}

/// What a process writes comes after what it was told is written.
fn keep_writes(versions: &Versions, order: &mut Order) {
    let mut last: HashMap<Process, (usize, usize)> = HashMap::new();
    for event in &versions.events {
        let (Act::Wrote(version) | Act::Maybe(version)) = event.act else { continue };
        if let Some((before, writer)) = last.get(&event.process) {
            order.put(*before, version, &[*writer, event.operation]);
        }
        if matches!(event.act, Act::Wrote(_)) {
            last.insert(event.process, (version, event.operation));
        }
    }
}

/// What an operation asks of its register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Need {
    Nothing,
    Is(u32),
    IsNot(u32),
    /// No register answers so.
    Never,
}

/// An operation as the search sees it; values are numbers.
#[derive(Clone, Copy, Debug)]
struct Step {
    operation: usize,
    key: usize,
    need: Need,
    sets: Option<u32>,
}

/// One that may happen once its process has come this far.
#[derive(Clone, Copy, Debug)]
struct Doubtful {
    step: Step,
    process: usize,
    after: u32,
}

enum Found {
    Order,
    Nothing,
    Spent(&'static str),
}

/// How far each process has come; then what each register holds; then which operations in doubt happened.
type Configuration = Box<[u32]>;

struct Search {
    processes: Vec<Vec<Step>>,
    doubtful: Vec<Doubtful>,
    keys: usize,
    /// Who needs a register to hold a value: process and place.
    readers: HashMap<(usize, u32), Vec<(usize, u32)>>,
    /// Who sets it.
    setters: HashMap<(usize, u32), Vec<(usize, u32)>>,
    initial: u32,
    /// Whether to leave what can no longer be completed; not if the longest partial order is asked for.
    gives_up: bool,
    visited: u64,
    visited_max: u64,
    /// The first of those in which most operations are placed.
    deepest: (u32, Configuration),
}

impl Search {
    fn new(register: &Register, operations: &[RegisterOperation]) -> Search {
        let mut numbers = Numbers::default();
        let initial = numbers.value(&register.initial);
        let (mut processes, mut doubtful): (Vec<Vec<Step>>, Vec<Doubtful>) = (Vec::new(), Vec::new());
        let mut process_of: HashMap<Process, usize> = HashMap::new();
        for (i, operation) in operations.iter().enumerate() {
            let next = processes.len();
            let process = *process_of.entry(operation.process).or_insert(next);
            if process == next {
                processes.push(Vec::new());
            }
            let Some(step) = numbers.step(register, operation, i) else { continue };
            match operation.outcome.is_info() {
                false => processes[process].push(step),
                true if step.sets.is_none() => {}
                true => doubtful.push(Doubtful { step, process, after: processes[process].len() as u32 }),
            }
        }
        let all = || processes.iter().flatten().chain(doubtful.iter().map(|doubtful| &doubtful.step));
        let needed: HashSet<(usize, u32)> = all()
            .filter_map(|s| if let Need::Is(value) = s.need { Some((s.key, value)) } else { None })
            .collect();
        let shunned: HashSet<usize> =
            all().filter(|step| matches!(step.need, Need::IsNot(_))).map(|step| step.key).collect();
        // What nobody could notice can be left out of any order.
        doubtful.retain(|Doubtful { step, .. }| {
            step.sets.is_some_and(|value| needed.contains(&(step.key, value))) || shunned.contains(&step.key)
        });
        let (mut readers, mut setters) = (HashMap::new(), HashMap::new());
        for (process, steps) in processes.iter().enumerate() {
            for (place, step) in (0..).zip(steps) {
                if let Need::Is(value) = step.need {
                    readers.entry((step.key, value)).or_insert_with(Vec::new).push((process, place));
                }
                if let Some(value) = step.sets {
                    setters.entry((step.key, value)).or_insert_with(Vec::new).push((process, place));
                }
            }
        }
        let keys = numbers.keys.len();
        let (gives_up, visited, visited_max, deepest) = (true, 0, u64::MAX, Default::default());
        Search {
            processes,
            doubtful,
            keys,
            readers,
            setters,
            initial,
            gives_up,
            visited,
            visited_max,
            deepest,
        }
    }

    fn run(&mut self, budget: &Budget) -> Found {
        let used = self.doubtful.len().div_ceil(32);
        let mut first = vec![0; self.processes.len() + self.keys + used];
        first[self.processes.len()..self.processes.len() + self.keys].fill(self.initial);
        let bytes = 2 * (size_of::<Configuration>() + 4 * first.len() + 16);
        let mut seen: HashSet<Configuration> = HashSet::new();
        self.deepest = (0, first.clone().into());
        let mut stack: Vec<Configuration> = vec![first.into()];
        while let Some(mut configuration) = stack.pop() {
            self.visited += 1;
            if self.visited > self.visited_max || self.visited.is_multiple_of(64) && budget.is_over() {
                return Found::Spent("the time allowed ran out");
            }
            if (seen.len() + stack.len()).saturating_mul(bytes) > budget.memory_max {
                return Found::Spent("the memory allowed ran out");
            }
            if self.advance(&mut configuration) {
                return Found::Order;
            }
            if seen.contains(&configuration) {
                continue;
            }
            let depth = configuration[..self.processes.len()].iter().sum();
            if self.deepest.0 < depth {
                self.deepest = (depth, configuration.clone());
            }
            self.push_next(&configuration, &mut stack);
            seen.insert(configuration);
        }
        Found::Nothing
    }

    /// Takes whatever fits and changes nothing; whether all have come to their end.
    fn advance(&self, configuration: &mut [u32]) -> bool {
        let mut done = true;
        for (process, steps) in self.processes.iter().enumerate() {
            while let Some(step) = steps.get(configuration[process] as usize) {
                if step.sets.is_some() || !self.fits(configuration, step) {
                    done = false;
                    break;
                }
                configuration[process] += 1;
            }
        }
        done
    }

    fn fits(&self, configuration: &[u32], step: &Step) -> bool {
        let held = configuration[self.processes.len() + step.key];
        match step.need {
            Need::Nothing => true,
            Need::Is(value) => held == value,
            Need::IsNot(value) => held != value,
            Need::Never => false,
        }
    }

    /// Puts what may come next on the stack, the operation that was called first on top.
    fn push_next(&self, configuration: &[u32], stack: &mut Vec<Configuration>) {
        let mut next: Vec<(usize, Configuration)> = Vec::new();
        for (process, steps) in self.processes.iter().enumerate() {
            if let Some(step) = steps.get(configuration[process] as usize) {
                let mut after: Configuration = configuration.into();
                after[process] += 1;
                next.extend(self.change(configuration, after, step));
            }
        }
        let used = self.processes.len() + self.keys;
        for (i, doubtful) in self.doubtful.iter().enumerate() {
            let (word, bit) = (used + i / 32, 1 << (i % 32));
            if configuration[word] & bit == 0 && configuration[doubtful.process] >= doubtful.after {
                let mut after: Configuration = configuration.into();
                after[word] |= bit;
                next.extend(self.change(configuration, after, &doubtful.step));
            }
        }
        next.sort_by_key(|(operation, _)| std::cmp::Reverse(*operation));
        stack.extend(next.into_iter().map(|(_, configuration)| configuration));
    }

    /// What a step that sets a value makes of a configuration, unless somebody could then never go on.
    fn change(
        &self,
        before: &[u32],
        mut after: Configuration,
        step: &Step,
    ) -> Option<(usize, Configuration)> {
        let value = step.sets.filter(|_| self.fits(before, step))?;
        let register = self.processes.len() + step.key;
        let overwritten = before[register];
        after[register] = value;
        let stuck = self.gives_up && overwritten != value && self.is_awaited(&after, (step.key, overwritten));
        (!stuck).then_some((step.operation, after))
    }

    /// Whether somebody still has to see a value that nobody can set again.
    fn is_awaited(&self, configuration: &[u32], value: (usize, u32)) -> bool {
        let ahead = |list: &HashMap<(usize, u32), Vec<(usize, u32)>>| {
            let places = list.get(&value).into_iter().flatten();
            places.into_iter().any(|(process, place)| *place >= configuration[*process])
        };
        let used = self.processes.len() + self.keys;
        let may_come = || {
            self.doubtful.iter().enumerate().any(|(i, doubtful)| {
                (doubtful.step.key, doubtful.step.sets) == (value.0, Some(value.1))
                    && configuration[used + i / 32] >> (i % 32) & 1 == 0
            })
        };
        ahead(&self.readers) && !ahead(&self.setters) && !may_come()
    }
}

/// Keys and values by numbers.
#[derive(Default)]
struct Numbers<'h> {
    keys: HashMap<&'h Value, usize>,
    values: HashMap<&'h Value, u32>,
}

impl<'h> Numbers<'h> {
    fn value(&mut self, value: &'h Value) -> u32 {
        let next = self.values.len() as u32;
        *self.values.entry(value).or_insert(next)
    }

    /// `None` if the operation neither says nor sets anything.
    fn step(&mut self, register: &Register, operation: &'h RegisterOperation, i: usize) -> Option<Step> {
        let next = self.keys.len();
        let key = *self.keys.entry(operation.op.key()).or_insert(next);
        let (mut need, mut sets) = (Need::Nothing, None);
        match (&operation.op, &operation.outcome) {
            (_, Outcome::Fail(Failure::NotDone(_))) => return None,
            (RegisterOp::Read { .. }, _) => {}
            (RegisterOp::Write { .. }, Outcome::Fail(_)) => need = Need::Never,
            (RegisterOp::Write { value, .. }, _) => sets = Some(self.value(value)),
            (RegisterOp::Cas { from, .. }, Outcome::Fail(_)) => need = Need::IsNot(self.value(from)),
            (RegisterOp::Cas { from, to, .. }, _) => {
                need = Need::Is(self.value(from));
                sets = (from != to).then(|| self.value(to));
            }
        }
        if let Some(value) = seen(register, operation) {
            need = match need {
                Need::IsNot(from) if from == self.value(value) => Need::Never,
                _ => Need::Is(self.value(value)),
            };
        }
        (need != Need::Nothing || sets.is_some()).then_some(Step { operation: i, key, need, sets })
    }
}
