//! One answer a key.
//!
//! A history is linearizable if and only if each object's part of it is (Herlihy & Wing 1990, theorem 1),
//! so keys are judged apart, and at once on as many threads as the budget allows, the longest first. A key
//! whose model panics or whose budget runs out is unknown; the others keep their answers.

use super::meter::{Meter, Spent};
use super::pace::Pace;
use super::schedule::Schedule;
use super::search::{self, Effort, Order, search};
use super::shortcut;
use super::task::Task;
use super::{Case, Insight};
use crate::compose::panic_text;
use elenchus_core::budget::Budget;
use elenchus_core::checker::{Decided, Known, Unwatched, Watch};
use elenchus_core::event::Index;
use elenchus_core::model::Model;
use elenchus_core::operation::Operation;
use elenchus_core::verdict::{Anomaly, Exhibit, Validity};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// What was found of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding<K> {
    /// The key.
    pub key: K,
    /// Its operations, as positions in the list judged.
    pub operations: Vec<usize>,
    /// The answer.
    pub answer: Answer,
    /// Whether it took a search; otherwise the model knew a quicker way.
    pub searched: bool,
    /// Configurations visited.
    pub configurations: u64,
    /// Most configurations kept after one return.
    pub frontier_max: usize,
    /// How long the model took to answer for all operations without search, or to find that it cannot.
    pub took: Duration,
}

/// Whether one key's operations are linearizable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// They are.
    Linearizable,
    /// They are not.
    Refuted {
        /// The operation (a position in the list judged) at whose return no linearization was left.
        failed: usize,
        /// The position in the log of that return. It ends the earliest prefix that is not linearizable (given
        /// what the operations still open there answered later), unless the budget ended before that one
        /// was found.
        at: Index,
    },
    /// Not decided.
    Unknown {
        /// Everything before this position in the log is linearizable.
        reached: Index,
        /// Why it ended there.
        why: String,
    },
}

/// Judges operations, given in the order of their calls. The findings are in the order of the keys.
pub fn judge<M: Insight>(
    model: &M,
    operations: &[Operation<M::Op, M::Ret>],
    budget: &Budget,
) -> Vec<Finding<M::Key>> {
    judge_watched(model, operations, budget, &Unwatched)
}

/// As [`judge()`], telling `watch` of each key as soon as it is decided.
pub(super) fn judge_watched<M: Insight>(
    model: &M,
    operations: &[Operation<M::Op, M::Ret>],
    budget: &Budget,
    watch: &dyn Watch,
) -> Vec<Finding<M::Key>> {
    let mut jobs = partition(model, operations);
    jobs.sort_by_key(|(_, part)| std::cmp::Reverse(part.len()));
    let (next, memory) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let found = Mutex::new(Vec::with_capacity(jobs.len()));
    // Where there are fewer keys than threads, two orders of search run side by side.
    let order = if 2 * jobs.len() <= budget.threads_max { Order::Race } else { Order::InTurns };
    let work = || {
        loop {
            let job = next.fetch_add(1, Ordering::Relaxed);
            let Some((key, part)) = jobs.get(job) else { return };
            let examined = match watch.begins(job) {
                None => examine(model, operations, key, part, order, (budget, &memory)),
                Some(known) => Examined::of(known),
            };
            watch.decided(decided(model, operations, key, &examined.answer, (job, jobs.len())));
            found.lock().expect("no thread panics while it holds the lock").push((job, examined));
        }
    };
    let threads = budget.threads_max.clamp(1, jobs.len().max(1));
    if threads == 1 {
        work();
    } else {
        std::thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));
    }
    let mut found = found.into_inner().expect("no thread panics while it holds the lock");
    found.sort_unstable_by_key(|(job, _)| *job);
    let finding = |((key, operations), (_, examined)): ((M::Key, Vec<usize>), (usize, Examined))| {
        let Examined { answer, searched, effort, took } = examined;
        let Effort { configurations, frontier_max } = effort;
        Finding { key, operations, answer, searched, configurations, frontier_max, took }
    };
    let mut findings: Vec<_> = jobs.into_iter().zip(found).map(finding).collect();
    findings.sort_by(|a, b| a.key.cmp(&b.key));
    findings
}

/// The operations of each key, as positions in the list.
fn partition<M: Model>(model: &M, operations: &[Operation<M::Op, M::Ret>]) -> Vec<(M::Key, Vec<usize>)> {
    let mut numbers: BTreeMap<M::Key, usize> = BTreeMap::new();
    let mut parts: Vec<(M::Key, Vec<usize>)> = Vec::new();
    let mut last = 0;
    for (i, operation) in operations.iter().enumerate() {
        let key = model.key(&operation.op);
        // Mostly it is the one before, where there are few.
        if parts.get(last).is_none_or(|(known, _)| *known != key) {
            last = *numbers.entry(key).or_insert_with_key(|key| {
                parts.push((key.clone(), Vec::new()));
                parts.len() - 1
            });
        }
        parts[last].1.push(i);
    }
    parts
}

/// What is known of a key before its evidence was worked out.
fn decided<M: Insight>(
    model: &M,
    operations: &[Operation<M::Op, M::Ret>],
    key: &M::Key,
    answer: &Answer,
    (part, parts): (usize, usize),
) -> Decided {
    let (validity, anomaly) = match *answer {
        Answer::Linearizable => (Validity::Valid, None),
        Answer::Unknown { .. } => (Validity::Unknown, None),
        Answer::Refuted { failed, .. } => {
            let guilty = &operations[failed];
            let key = model.key_text(key);
            let case = Case::<M> { key: key.clone(), operations: Vec::new(), witness: Vec::new(), guilty };
            let telling = case.plainly(model);
            let mut exhibit = Exhibit::of(guilty, model.describe(&guilty.op, &guilty.outcome));
            exhibit.guilty = true;
            let (class, sentence) = (telling.class.to_owned(), telling.sentence);
            let anomaly = Anomaly { class, key, sentence, operations: vec![exhibit], context: Vec::new() };
            (Validity::Invalid, Some(anomaly))
        }
    };
    Decided { part, parts, validity, anomaly }
}

/// What was found of one key, without the key.
struct Examined {
    answer: Answer,
    searched: bool,
    effort: Effort,
    took: Duration,
}

impl Examined {
    /// What need not be examined again.
    fn of(known: Known) -> Examined {
        let answer = match known {
            Known::Valid => Answer::Linearizable,
            Known::Hopeless(why) => Answer::Unknown { reached: 0, why },
        };
        Examined { answer, searched: false, effort: Effort::default(), took: Duration::ZERO }
    }
}

/// What the search may take to find where a failure began that is known already.
const STEPS_MAX: u64 = 2_000_000;

fn examine<M: Insight>(
    model: &M,
    operations: &[Operation<M::Op, M::Ret>],
    key: &M::Key,
    part: &[usize],
    order: Order,
    (budget, memory): (&Budget, &AtomicUsize),
) -> Examined {
    let (mut effort, mut searched) = (Effort::default(), false);
    let pace = Pace::new(budget, part.len(), Duration::ZERO);
    let answer = catch_unwind(AssertUnwindSafe(|| {
        let mut meter = Meter::new(budget, memory);
        match meter.tick() {
            Err(spent) => search::Answer::Unknown(spent, 0),
            Ok(()) => {
                let mut tasks = Vec::with_capacity(part.len());
                tasks.extend(Task::all(part.iter().map(|i| &operations[*i])));
                match shortcut::ask(model, &tasks, &pace) {
                    Some(Ok(())) => search::Answer::Linearizable,
                    Some(Err(refuted)) => search::Answer::Refuted(refuted),
                    None => {
                        searched = true;
                        // Of a failure that is known, the search may find that it began earlier.
                        let failure = shortcut::failure(model, &tasks);
                        if failure.is_some() {
                            meter = meter.with_steps(STEPS_MAX);
                        }
                        match (decide(model, key, tasks, order, &mut meter, &mut effort), failure) {
                            (search::Answer::Unknown(..), Some(known)) => search::Answer::Refuted(known),
                            (answer, _) => answer,
                        }
                    }
                }
            }
        }
    }));
    let answer = match answer {
        Err(panic) => Answer::Unknown { reached: 0, why: panic_text(panic.as_ref()) },
        Ok(search::Answer::Linearizable) => Answer::Linearizable,
        Ok(search::Answer::Refuted(refuted)) => {
            let failed = part[refuted.id as usize];
            Answer::Refuted { failed, at: operations[failed].done }
        }
        Ok(search::Answer::Unknown(spent, reached)) => {
            let reached = Index::try_from(reached.saturating_sub(1)).unwrap_or(Index::MAX);
            Answer::Unknown { reached, why: spent.why().to_owned() }
        }
    };
    Examined { answer, searched, effort, took: pace.took() }
}

/// Decides tasks of one key by search.
pub(super) fn decide<M: Model>(
    model: &M,
    key: &M::Key,
    tasks: Vec<Task<'_, M>>,
    order: Order,
    meter: &mut Meter<'_>,
    effort: &mut Effort,
) -> search::Answer {
    let schedule: Result<Schedule<'_, M>, Spent> = Schedule::new(model, model.init(key), tasks, meter);
    match schedule {
        Ok(schedule) => search(model, &schedule, order, meter, effort),
        Err(spent) => search::Answer::Unknown(spent, 0),
    }
}
