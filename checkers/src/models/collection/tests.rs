//! What the tests of queues and bags share.

use crate::linearizability::{Answer, Insight, Shortcut, Task, judge};
use elenchus_core::budget::Budget;
use elenchus_core::model::Model;
use elenchus_core::operation::Operation;
use elenchus_core::outcome::Outcome;
use std::time::Duration;

/// Where the model's shortcut finds that these are linearizable, its linearization is one.
#[track_caller]
pub fn check_linearization<M: Insight>(model: &M, operations: &[Operation<M::Op, M::Ret>]) {
    let tasks: Vec<Task<'_, M>> = Task::all(operations).collect();
    if model.shortcut(&tasks) != Some(Shortcut::Linearizable) || tasks.is_empty() {
        return;
    }
    let ids = model.linearization(&tasks).expect("it knows that there is one");
    let order: Vec<&Task<'_, M>> =
        ids.iter().map(|id| tasks.iter().find(|task| task.id == *id).expect("a task's number")).collect();
    let mut once = ids.clone();
    once.sort_unstable();
    once.dedup();
    assert_eq!(once.len(), ids.len(), "twice in {ids:?} of {operations:#?}");
    let certain = tasks.iter().filter(|task| !task.in_doubt());
    assert!(certain.clone().all(|task| ids.contains(&task.id)), "{ids:?} is not all of {operations:#?}");
    let mut called = 0;
    for task in &order {
        assert!(task.done > called, "{ids:?} is against time in {operations:#?}");
        called = called.max(task.call);
    }
    let mut states = vec![model.init(&model.key(tasks[0].op))];
    for task in order {
        states = states.iter().flat_map(|state| model.step(state, task.op, task.outcome)).collect();
        let mut distinct: Vec<M::State> = Vec::new();
        states.into_iter().for_each(|state| {
            if !distinct.contains(&state) {
                distinct.push(state);
            }
        });
        states = distinct;
        assert!(!states.is_empty(), "{ids:?} is impossible in {operations:#?}");
    }
}

/// A model of which nothing is known but what it does.
struct Plain<'m, M>(&'m M);

impl<M: Model> Model for Plain<'_, M> {
    type Op = M::Op;
    type Ret = M::Ret;
    type Key = M::Key;
    type State = M::State;

    fn init(&self, key: &M::Key) -> M::State {
        self.0.init(key)
    }

    fn step(
        &self,
        state: &M::State,
        op: &M::Op,
        outcome: &Outcome<M::Ret>,
    ) -> impl IntoIterator<Item = M::State> {
        self.0.step(state, op, outcome)
    }

    fn key(&self, op: &M::Op) -> M::Key {
        self.0.key(op)
    }

    fn describe(&self, op: &M::Op, outcome: &Outcome<M::Ret>) -> String {
        self.0.describe(op, outcome)
    }

    fn inert(&self, op: &M::Op, outcome: &Outcome<M::Ret>) -> bool {
        self.0.inert(op, outcome)
    }
}

impl<M: Model> Insight for Plain<'_, M> {}

/// Whether they are linearizable, by search alone; `None` if that takes too long.
pub fn by_search<M: Model>(model: &M, operations: &[Operation<M::Op, M::Ret>]) -> Option<bool> {
    let budget = Budget::new(Duration::from_secs(2), 256 << 20);
    match judge(&Plain(model), operations, &budget).pop()?.answer {
        Answer::Linearizable => Some(true),
        Answer::Refuted { .. } => Some(false),
        Answer::Unknown { .. } => None,
    }
}

/// The same, by the model's shortcut.
pub fn by_shortcut<M: Insight>(model: &M, operations: &[Operation<M::Op, M::Ret>]) -> Option<bool> {
    let tasks: Vec<Task<'_, M>> = Task::all(operations).collect();
    model.shortcut(&tasks).map(|shortcut| shortcut == Shortcut::Linearizable)
}
