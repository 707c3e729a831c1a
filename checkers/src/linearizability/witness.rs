//! The few operations that prove that a key is not linearizable.
//!
//! To *release* an operation is to let it happen at any time or never, with any answer. A *witness* is a
//! set of operations such that the history with all others released is not linearizable, and releasing any
//! member makes it so. Releasing only ever gives freedom, so sets larger than a witness refute as well:
//! in any fixed order of the operations the shortest prefix that refutes, together with what was found
//! before, ends with a member, and a binary search finds it. Each member costs a logarithm of searches
//! (the same idea as Junker's QuickXplain, 2004).
//!
//! Deleting instead of releasing would prove any read guilty without its write.

use super::Insight;
use super::judge::decide;
use super::meter::Meter;
use super::search::{Answer, Effort};
use super::shortcut::{self, Shortcut};
use super::task::Task;
use elenchus_core::budget::Budget;
use elenchus_core::model::Model;
use elenchus_core::operation::Operation;
use elenchus_core::outcome::Outcome;
use std::sync::atomic::AtomicUsize;

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
    let doubt = Outcome::info("released");
    let trial = Trial::new(model, operations, part, &doubt, budget);
    let (mut witness, minimal) = trial.minimise(failed);
    let guilty = trial.guilty(&witness).unwrap_or(failed);
    let partial = trial.partial(operations[failed].done);
    witness.sort_by_key(|i| operations[*i].call);
    Evidence { witness, minimal, guilty, partial }
}

/// What one question may cost: a set that is not decided by then is not made smaller that way.
const STEPS_MAX: u64 = 500_000;

struct Trial<'a, M: Model> {
    model: &'a M,
    key: M::Key,
    operations: &'a [Operation<M::Op, M::Ret>],
    /// The key's operations, as positions in `operations`. One that certainly did not happen can be held
    /// to that, or released like any other.
    part: &'a [usize],
    doubt: &'a Outcome<M::Ret>,
    budget: &'a Budget,
    memory: AtomicUsize,
}

impl<'a, M: Insight> Trial<'a, M> {
    fn new(
        model: &'a M,
        operations: &'a [Operation<M::Op, M::Ret>],
        part: &'a [usize],
        doubt: &'a Outcome<M::Ret>,
        budget: &'a Budget,
    ) -> Trial<'a, M> {
        let key = model.key(&operations[part[0]].op);
        Trial { model, key, operations, part, doubt, budget, memory: AtomicUsize::new(0) }
    }

    /// What is found when all operations but these are released, by the model's shortcut or by search.
    fn answer(&self, held: &[bool]) -> Answer {
        let tasks = self.part.iter().zip(0..).filter_map(|(i, id)| {
            let operation = &self.operations[*i];
            if held[*i] { Task::new(operation, id) } else { Some(Task::released(operation, id, self.doubt)) }
        });
        let mut tasks: Vec<_> = tasks.collect();
        tasks.sort_by_key(|task| task.call);
        match shortcut::ask(self.model, &tasks) {
            Some(Ok(())) => return Answer::Linearizable,
            Some(Err(refuted)) => return Answer::Refuted(refuted),
            None => {}
        }
        let mut meter = Meter::new(self.budget, &self.memory).with_steps(STEPS_MAX);
        decide(self.model, &self.key, tasks, false, &mut meter, &mut Effort::default())
    }

    /// Whether these alone refute; `None` if the budget ended first.
    fn refutes(&self, held: &[bool]) -> Option<bool> {
        match self.answer(held) {
            Answer::Refuted(_) => Some(true),
            Answer::Linearizable => Some(false),
            Answer::Unknown(..) => None,
        }
    }

    /// A set that refutes, and whether it is minimal.
    fn minimise(&self, failed: usize) -> (Vec<usize>, bool) {
        let mut rest = self.likeliest_first(failed);
        let (mut members, mut minimal) = (Vec::new(), true);
        loop {
            let (length, certain) = self.shortest(&members, &rest);
            minimal &= certain;
            if self.budget.is_over() {
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
            let mut held = vec![false; self.operations.len()];
            members.iter().chain(&rest[..length]).for_each(|i| held[*i] = true);
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

    /// What contradicts itself by the model's shortcut; the operation that failed; then those the model suspects, then those that ended before it, the latest first, those that could
    /// change something before those that could not; then all others. What comes first is what the witness
    /// will be made of, where there is a choice.
    fn likeliest_first(&self, failed: usize) -> Vec<usize> {
        let end = self.operations[failed].done;
        let own: Vec<_> = self.part.iter().map(|i| &self.operations[*i]).collect();
        let place = self.part.iter().position(|i| *i == failed).expect("what failed is one of the key's");
        let mut suspected = vec![false; self.operations.len()];
        self.model.suspects(&own, place).into_iter().for_each(|at| suspected[self.part[at]] = true);
        let mut contradicts = vec![false; self.operations.len()];
        let tasks: Vec<_> = Task::all(own.iter().copied()).collect();
        if let Some(Shortcut::Refuted(ids)) = self.model.shortcut(&tasks) {
            ids.into_iter().for_each(|id| contradicts[self.part[id as usize]] = true);
        }
        let mut order = self.part.to_vec();
        order.sort_by_key(|i| {
            let operation = &self.operations[*i];
            let later = operation.done > end;
            let distance = if later { operation.call } else { end - operation.done };
            (
                !contradicts[*i],
                *i != failed,
                !suspected[*i],
                later,
                self.model.inert(&operation.op, &operation.outcome),
                distance,
            )
        });
        order
    }

    fn guilty(&self, witness: &[usize]) -> Option<usize> {
        let mut held = vec![false; self.operations.len()];
        witness.iter().for_each(|i| held[*i] = true);
        match self.answer(&held) {
            Answer::Refuted(refuted) => Some(self.part[refuted.id as usize]),
            _ => None,
        }
    }

    /// The longest linearization of the operations called before `end`.
    fn partial(&self, end: u32) -> Vec<usize> {
        let called = self.part.iter().enumerate().filter(|(_, i)| self.operations[**i].call < end);
        let tasks = called.filter_map(|(id, i)| Task::new(&self.operations[*i], id as u32)).collect();
        let mut meter = Meter::new(self.budget, &self.memory);
        match decide(self.model, &self.key, tasks, true, &mut meter, &mut Effort::default()) {
            Answer::Refuted(refuted) => refuted.partial.iter().map(|id| self.part[*id as usize]).collect(),
            _ => Vec::new(),
        }
    }
}
