//! Linearizability: every operation seems to take effect at once, somewhere between its call and its
//! return (Herlihy & Wing 1990).
//!
//! [`judge()`] decides a list of operations of any [`Model`] exactly, key by key; [`Linearizability`] is the
//! checker that decodes a history, judges it and words the verdict. A model says through [`Insight`] what
//! it knows beyond its sequential specification: a quicker way to an answer, and how to tell an anomaly.
//!
//! An answer is exact or it is `unknown`: the search is bounded in time and memory, never in depth.
//! Deliberately absent: any heuristic that could make an answer wrong.
//!
//! | module | what it does |
//! |---|---|
//! | `judge` | one answer a key, keys in parallel |
//! | `task` | an operation as algorithms see it |
//! | `schedule` | one key's operations made ready: slots, classes of operations in doubt |
//! | `notice` | which states and operations nobody could notice |
//! | `search` | the search itself: in `breadth` and in `depth`, over one `board` |
//! | `frontier`, `counts`, `states`, `window` | configurations and what they are made of |
//! | `shortcut` | where a history begins to fail, by a model's quicker way |
//! | `pace` | whether that way would lead to an answer in time |
//! | `witness` | of a refuted key, the few operations that prove it |
//! | `verdict` | the words, the figures, and whether enough was examined |
//! | `unexamined` | answers in the log that say more than the vocabulary decodes |
//! | `meter` | time and memory spent |

mod board;
mod breadth;
mod counts;
mod depth;
mod frontier;
mod index;
mod judge;
mod meter;
mod notice;
mod pace;
mod refuted;
mod schedule;
mod search;
mod shortcut;
mod states;
mod task;
mod trace;
mod unexamined;
mod verdict;
mod window;
mod witness;

#[cfg(test)]
pub(crate) mod tests;

pub use judge::{Answer, Finding, judge};
pub use meter::Spent;
pub use shortcut::Shortcut;
pub use task::{NEVER, Position, Task};
pub use witness::{Evidence, evidence};

use crate::lint;
use elenchus_core::budget::Budget;
use elenchus_core::checker::{Checker, Unwatched, Watch};
use elenchus_core::event::Index;
use elenchus_core::history::{History, Malformed};
use elenchus_core::model::Model;
use elenchus_core::operation::Operation;
use elenchus_core::verdict::Verdict;
use elenchus_core::workload::Vocabulary;

/// What a model knows of its histories beyond the sequential specification. All of it is optional.
pub trait Insight: Model {
    /// An answer found without search, if there is a quicker way that is exact: whether the operations of
    /// one key are linearizable. `None` if it cannot tell.
    fn shortcut(&self, _tasks: &[Task<'_, Self>]) -> Option<Shortcut>
    where
        Self: Sized,
    {
        None
    }

    /// A linearization found without search, as numbers of tasks ([`Task::id`]) in its order: every operation that
    /// returned is in it, and of those in doubt whatever must have happened. `None` if it knows none; called with
    /// operations that are linearizable.
    fn linearization(&self, _tasks: &[Task<'_, Self>]) -> Option<Vec<u32>>
    where
        Self: Sized,
    {
        None
    }

    /// Operations of one key (their places in the list) that are likely to contradict the one at `failed`,
    /// whose return no linearization survived. They are tried first for a witness; a bad guess costs time.
    fn suspects(&self, _operations: &[&Operation<Self::Op, Self::Ret>], _failed: usize) -> Vec<usize> {
        Vec::new()
    }

    /// The object's name for people; `None` where there is only one.
    fn key_text(&self, key: &Self::Key) -> Option<String> {
        Some(format!("{key:?}"))
    }

    /// The anomaly in plain words, with a stable name. Called with a refuted key's evidence.
    fn tell(&self, case: &Case<'_, Self>) -> Telling
    where
        Self: Sized,
    {
        case.plainly(self)
    }
}

/// One refuted key, for a model to put into words.
pub struct Case<'h, M: Model> {
    /// The object's name; `None` where there is only one.
    pub key: Option<String>,
    /// All operations of the key, in the order of their calls.
    pub operations: Vec<&'h Operation<M::Op, M::Ret>>,
    /// Those that prove it.
    pub witness: Vec<&'h Operation<M::Op, M::Ret>>,
    /// The one of the witness at whose return no order of it is left.
    pub guilty: &'h Operation<M::Op, M::Ret>,
}

/// An anomaly in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Telling {
    /// A stable name: `stale-read`, `nonlinearizable`…
    pub class: &'static str,
    /// A sentence that names the operations.
    pub sentence: String,
    /// Where the operations that it names were called: they are shown, whether they prove it or not.
    pub named: Vec<Index>,
}

impl<M: Model> Case<'_, M> {
    /// What can be said without knowing the model.
    pub fn plainly(&self, model: &M) -> Telling {
        let guilty = model.describe(&self.guilty.op, &self.guilty.outcome);
        let (process, of) = (self.guilty.process, self.of_key());
        let sentence = match self.witness.len() {
            1 => {
                format!("process {process}: `{guilty}`{of} is impossible, whatever all other operations did")
            }
            2.. => format!(
                "no order of these {} operations explains `{guilty}`{of} by process {process}, whenever the others took effect",
                self.witness.len()
            ),
            0 => format!("no order of all operations explains `{guilty}`{of} by process {process}"),
        };
        Telling { class: "nonlinearizable", sentence, named: vec![self.guilty.call] }
    }

    /// ` of key 4`, or nothing where there is only one object.
    pub fn of_key(&self) -> String {
        self.key.as_ref().map_or_else(String::new, |key| format!(" of key {key}"))
    }
}

/// Corrects an operation as it was recorded, before it is judged.
pub type Reading<O, R> = fn(&mut Operation<O, R>);

/// Writes into operations what one alone does not say: given all, in the order of their calls.
pub type Preparation<O, R> = fn(&mut [Operation<O, R>]);

/// The checker: decodes a history by a vocabulary and judges it against a model.
pub struct Linearizability<M, V: Vocabulary> {
    model: M,
    vocabulary: V,
    reading: Option<Reading<V::Op, V::Ret>>,
    preparation: Option<Preparation<V::Op, V::Ret>>,
    subject: Subject,
}

/// What a verdict is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A system that was on trial: a history that says too little of it is `unknown`.
    Trial,
    /// A recorded history and nothing beyond it: it is linearizable or it is not. That it says little is
    /// told, and is no doubt.
    History,
}

impl<M, V> Linearizability<M, V>
where
    V: Vocabulary,
    M: Insight<Op = V::Op, Ret = V::Ret>,
{
    /// Judges against `model` what `vocabulary` decodes.
    pub fn new(model: M, vocabulary: V) -> Linearizability<M, V> {
        Linearizability { model, vocabulary, reading: None, preparation: None, subject: Subject::Trial }
    }

    /// Judges this, instead of a trial.
    pub fn of(mut self, subject: Subject) -> Linearizability<M, V> {
        self.subject = subject;
        self
    }

    /// Corrects every operation before it is judged, where a log is to be read in a way of its own.
    pub fn with_reading(mut self, reading: Reading<V::Op, V::Ret>) -> Linearizability<M, V> {
        self.reading = Some(reading);
        self
    }

    /// Prepares all operations together before they are judged, where an operation takes its meaning from
    /// others.
    pub fn with_preparation(mut self, preparation: Preparation<V::Op, V::Ret>) -> Linearizability<M, V> {
        self.preparation = Some(preparation);
        self
    }
}

impl<M, V> Checker for Linearizability<M, V>
where
    V: Vocabulary,
    M: Insight<Op = V::Op, Ret = V::Ret> + Send,
{
    fn name(&self) -> &str {
        verdict::NAME
    }

    fn check(&self, history: &History, budget: &Budget) -> Result<Verdict, Malformed> {
        self.check_watched(history, budget, &Unwatched)
    }

    fn check_watched(
        &self,
        history: &History,
        budget: &Budget,
        watch: &dyn Watch,
    ) -> Result<Verdict, Malformed> {
        let mut operations = history.operations(&self.vocabulary)?;
        if let Some(reading) = self.reading {
            operations.iter_mut().for_each(reading);
        }
        let unexamined = unexamined::answers(history, &self.vocabulary, &operations);
        if let Some(prepare) = self.preparation {
            prepare(&mut operations);
        }
        let findings = judge::judge_watched(&self.model, &operations, budget, watch);
        let verdict = verdict::verdict(&self.model, &operations, findings, self.subject, budget);
        Ok(unexamined.beside(history, lint::warned(history, verdict)))
    }
}

/// The verdict on a trial's operations, given in the order of their calls.
pub fn check_operations<M: Insight>(
    model: &M,
    operations: &[Operation<M::Op, M::Ret>],
    budget: &Budget,
) -> Verdict {
    verdict::verdict(model, operations, judge(model, operations, budget), Subject::Trial, budget)
}
