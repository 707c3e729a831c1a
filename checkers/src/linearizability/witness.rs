//! The few operations that prove that a key is not linearizable.
//!
//! To *release* an operation is to let it happen at any time or never, with any answer. A *witness* is a
//! set of operations such that the history with all others released is not linearizable, and releasing any
//! member makes it so. Releasing only ever gives freedom, so sets larger than a witness refute as well.
//!
//! Where the model says which operations contradict each other, what is superfluous among these few is
//! released one by one. Otherwise, in any fixed order of the operations the shortest prefix that refutes,
//! together with what was found before, ends with a member, and a binary search finds it: each member costs a
//! logarithm of searches (the same idea as Junker's QuickXplain, 2004).
//!
//! Deleting instead of releasing would prove any read guilty without its write.
//!
//! Evidence ends with its time: no question is asked that would not be answered before (`pace`), and the last
//! part of the time is kept for what needs no more than a few.

use super::Insight;
use super::judge::decide;
use super::meter::Meter;
use super::pace::Pace;
use super::search::{Answer, Effort, Order};
use super::shortcut::{self, Shortcut};
use super::task::{Position, Task};
use elenchus_core::budget::Budget;
use elenchus_core::event::Index;
use elenchus_core::model::Model;
use elenchus_core::operation::Operation;
use elenchus_core::outcome::Outcome;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

/// What proves that a key is not linearizable. Operations are given as positions in the list judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// The witness, in the order of calls.
    pub witness: Vec<usize>,
    /// Whether releasing any member makes the rest linearizable; if not, the budget ended before.
    pub minimal: bool,
    /// The member at whose return no order of the witness is left.
    pub guilty: usize,
    /// The longest linearization of what came before the return that nothing survived, in its order. May
    /// be empty if the budget ended.
    pub partial: Vec<usize>,
}

/// Finds the evidence on a refuted key. `part` are its operations, `failed` the one whose return nothing
/// survived.
pub fn evidence<M: Insight>(
    model: &M,
    operations: &[Operation<M::Op, M::Ret>],
    part: &[usize],
    failed: usize,
    budget: &Budget,
) -> Evidence {
    evidence_after(model, operations, part, failed, (budget, Duration::ZERO))
}

/// As [`evidence`], where the model is known to take so long for one answer.
pub(super) fn evidence_after<M: Insight>(
    model: &M,
    operations: &[Operation<M::Op, M::Ret>],
    part: &[usize],
    failed: usize,
    (budget, took): (&Budget, Duration),
) -> Evidence {
    let doubt = Outcome::info("released");
    let most = most_of(budget);
    let (mut witness, minimal) = Trial::new(model, operations, part, &doubt, (&most, took)).witness(failed);
    let trial = Trial::new(model, operations, part, &doubt, (budget, took));
    let guilty = trial.guilty(&witness).unwrap_or(failed);
    let partial = trial.partial(operations[failed].done);
    witness.sort_by_key(|i| operations[*i].call);
    Evidence { witness, minimal, guilty, partial }
}

/// The budget without the last part of its time.
fn most_of(budget: &Budget) -> Budget {
    let budget = budget.clone();
    match budget.remaining() {
        Some(left) => budget.within(left * 5 / 6),
        None => budget,
    }
}

/// What one question may cost: a set that is not decided by then is not made smaller that way.
const STEPS_MAX: u64 = 500_000;

/// What the search for the longest partial linearization may cost.
const PARTIAL_STEPS_MAX: u64 = 20_000_000;

/// Of so many operations each is released by itself.
const FEW: usize = 12;

struct Trial<'a, M: Model> {
    model: &'a M,
    key: M::Key,
    operations: &'a [Operation<M::Op, M::Ret>],
    /// The key's operations, as positions in `operations`. One that certainly did not happen can be held
    /// to that, or released like any other.
    part: &'a [usize],
    doubt: &'a Outcome<M::Ret>,
    budget: &'a Budget,
    pace: Pace<'a>,
    memory: AtomicUsize,
}

impl<'a, M: Insight> Trial<'a, M> {
    fn new(
        model: &'a M,
        operations: &'a [Operation<M::Op, M::Ret>],
        part: &'a [usize],
        doubt: &'a Outcome<M::Ret>,
        (budget, took): (&'a Budget, Duration),
    ) -> Trial<'a, M> {
        let key = model.key(&operations[part[0]].op);
        let pace = Pace::new(budget, part.len(), took);
        Trial { model, key, operations, part, doubt, budget, pace, memory: AtomicUsize::new(0) }
    }

    /// Whether there is time to look at all operations once more.
    fn has_time(&self) -> bool {
        !self.budget.is_over() && self.pace.has_time(self.part.len())
    }

    /// The operations, all but these released.
    fn tasks(&self, held: &[bool]) -> Vec<Task<'a, M>> {
        let numbered = || self.part.iter().zip(0..).map(|(i, id)| (held[*i], &self.operations[*i], id));
        // What is released was called before everything.
        let released = numbered().filter(|(held, ..)| !held);
        let released = released.map(|(_, operation, id)| Task::released(operation, id, self.doubt));
        let held = numbered().filter(|(held, ..)| *held);
        let mut tasks = Vec::with_capacity(self.part.len());
        tasks.extend(released);
        tasks.extend(held.filter_map(|(_, operation, id)| Task::new(operation, id)));
        tasks
    }

    /// As `held` of [`Trial::tasks`]: these.
    fn holding(&self, some: &[usize]) -> Vec<bool> {
        let mut held = vec![false; self.operations.len()];
        some.iter().for_each(|i| held[*i] = true);
        held
    }

    /// Whether these alone refute, by the model's shortcut or by search; `None` if the budget ended first.
    fn refutes(&self, held: &[bool]) -> Option<bool> {
        if !self.has_time() {
            return None;
        }
        let tasks = self.tasks(held);
        match self.pace.ask(self.model, &tasks).ok()? {
            Some(shortcut) => Some(shortcut != Shortcut::Linearizable),
            None => match self.search(tasks) {
                Answer::Refuted(_) => Some(true),
                Answer::Linearizable => Some(false),
                Answer::Unknown(..) => None,
            },
        }
    }

    fn search(&self, tasks: Vec<Task<'a, M>>) -> Answer {
        let mut meter = Meter::new(self.budget, &self.memory).with_steps(STEPS_MAX);
        decide(self.model, &self.key, tasks, Order::InTurns, &mut meter, &mut Effort::default())
    }

    /// A set that refutes, and whether it is minimal.
    fn witness(&self, failed: usize) -> (Vec<usize>, bool) {
        for candidates in self.contradictions(failed) {
            match self.refutes(&self.holding(&candidates)) {
                Some(true) => return self.reduce(candidates),
                None if !self.has_time() => return (candidates, false),
                _ => {}
            }
        }
        if !self.has_time() {
            return (self.part.to_vec(), false);
        }
        self.minimise(self.likeliest_first(failed))
    }

    /// What the model says contradicts itself: in what was known when the operation failed, and in all.
    fn contradictions(&self, failed: usize) -> impl Iterator<Item = Vec<usize>> {
        let not_done = |i: &usize| Task::<M>::new(&self.operations[*i], 0).is_none();
        let failed = Position::from(self.operations[failed].done) + 1;
        [Some(failed), None]
            .into_iter()
            .filter_map(move |end| {
                if !self.has_time() {
                    return None;
                }
                let mut tasks = Vec::with_capacity(self.part.len());
                tasks.extend(Task::all(self.part.iter().map(|i| &self.operations[*i])));
                let tasks = if let Some(end) = end { shortcut::until(tasks, end) } else { tasks };
                match self.pace.ask(self.model, &tasks) {
                    Ok(Some(Shortcut::Refuted(ids))) if !ids.is_empty() => {
                        Some(ids.into_iter().map(|id| self.part[id as usize]).collect::<Vec<usize>>())
                    }
                    _ => None,
                }
            })
            // What certainly did not happen is no task, but may belong to it.
            .flat_map(move |some| {
                let not_done = self.part.iter().filter(|i| not_done(i));
                let more: Vec<usize> = some.iter().chain(not_done).copied().collect();
                if more.len() > some.len() { vec![some, more] } else { vec![some] }
            })
    }

    /// Releases whatever is superfluous in a set that refutes.
    fn reduce(&self, mut set: Vec<usize>) -> (Vec<usize>, bool) {
        if set.len() > FEW {
            return self.minimise(set);
        }
        let (mut at, mut minimal) = (set.len(), true);
        while at > 0 {
            at -= 1;
            let one = set.remove(at);
            match self.refutes(&self.holding(&set)) {
                Some(true) => {}
                decided => {
                    minimal &= decided.is_some();
                    set.insert(at, one);
                }
            }
        }
        (set, minimal)
    }

    /// A part of these, all of which together refute, that still does; and whether it is minimal.
    fn minimise(&self, mut rest: Vec<usize>) -> (Vec<usize>, bool) {
        let (mut members, mut minimal) = (Vec::new(), true);
        loop {
            let (length, certain) = self.shortest(&members, &rest);
            minimal &= certain;
            if !self.has_time() {
                members.extend(&rest[..length]);
                return (members, false);
            }
            if length == 0 {
                return (members, minimal);
            }
            members.push(rest[length - 1]);
            rest.truncate(length - 1);
        }
    }

    /// The shortest prefix of `rest` that refutes together with `members`; all of `rest` is known to. Also
    /// whether it is certain that no shorter one does.
    fn shortest(&self, members: &[usize], rest: &[usize]) -> (usize, bool) {
        // A prefix that cannot be decided is taken not to refute: what is returned always does.
        let (mut low, mut high, mut length, mut certain) = (0, rest.len(), 0, true);
        let mut refutes = |length: usize| {
            let mut held = self.holding(members);
            rest[..length].iter().for_each(|i| held[*i] = true);
            let refutes = self.refutes(&held);
            certain &= refutes.is_some();
            refutes == Some(true)
        };
        // Witnesses are small, and short prefixes are cheap to try: double the length until one refutes.
        while length < high {
            match refutes(length) {
                true => high = length,
                false => low = length + 1,
            }
            length = (2 * length).max(1);
        }
        while low < high {
            let middle = low.midpoint(high);
            match refutes(middle) {
                true => high = middle,
                false => low = middle + 1,
            }
        }
        (high, certain)
    }

    /// The operation that failed; then those the model suspects, then those that ended before it, the latest
    /// first, those that could change something before those that could not; then all others. What comes first
    /// is what the witness will be made of, where there is a choice.
    fn likeliest_first(&self, failed: usize) -> Vec<usize> {
        let end = self.operations[failed].done;
        let own: Vec<_> = self.part.iter().map(|i| &self.operations[*i]).collect();
        let place = self.part.iter().position(|i| *i == failed).expect("what failed is one of the key's");
        let mut suspected = vec![false; self.operations.len()];
        self.model.suspects(&own, place).into_iter().for_each(|at| suspected[self.part[at]] = true);
        let mut order = self.part.to_vec();
        order.sort_by_key(|i| {
            let operation = &self.operations[*i];
            let later = operation.done > end;
            let distance = if later { operation.call } else { end - operation.done };
            (
                *i != failed,
                !suspected[*i],
                later,
                self.model.inert(&operation.op, &operation.outcome),
                distance,
            )
        });
        order
    }

    /// The member at whose return no order of the witness is left.
    fn guilty(&self, witness: &[usize]) -> Option<usize> {
        if !self.has_time() {
            return None;
        }
        let tasks = self.tasks(&self.holding(witness));
        let refuted = match shortcut::ask(self.model, &tasks, &self.pace) {
            Some(found) => found.err(),
            None => match self.search(tasks) {
                Answer::Refuted(refuted) => Some(refuted),
                _ => None,
            },
        };
        refuted.map(|refuted| self.part[refuted.id as usize])
    }

    /// The longest linearization of the operations called before `end`, at which one failed.
    fn partial(&self, end: Index) -> Vec<usize> {
        if !self.has_time() {
            return Vec::new();
        }
        let called = &self.part[..self.part.partition_point(|i| self.operations[*i].call < end)];
        let mut tasks: Vec<Task<'a, M>> = Vec::with_capacity(called.len());
        tasks.extend(Task::all(called.iter().map(|i| &self.operations[*i])));
        let places = |ids: Vec<u32>| ids.into_iter().map(|id| self.part[id as usize]).collect();
        if let Some(ids) = self.told(&tasks, end) {
            return places(ids);
        }
        let mut meter = Meter::new(self.budget, &self.memory).with_steps(PARTIAL_STEPS_MAX);
        match decide(self.model, &self.key, tasks, Order::Traced, &mut meter, &mut Effort::default()) {
            Answer::Refuted(refuted) => places(refuted.partial),
            _ => Vec::new(),
        }
    }

    /// A linearization that the model knows of what was known before `end`.
    fn told(&self, tasks: &[Task<'a, M>], end: Index) -> Option<Vec<u32>> {
        let mut before = Vec::with_capacity(tasks.len());
        before.extend(tasks.iter().filter_map(|task| task.before(Position::from(end))));
        self.model.linearization(&before)
    }
}
