//! How an anomaly of a queue or a bag is told: by the operations that contradict each other.
//!
//! The witness is judged once more, all others released, so that what is told is a reason that the witness
//! proves.

use super::{NOBODY, Reason};
use crate::linearizability::{Case, Insight, Shortcut, Task, Telling};
use elenchus_core::model::Model;
use elenchus_core::operation::Operation;
use elenchus_core::outcome::{Failure, Outcome};
use elenchus_core::value::Value;

/// Answers without search: the reasons that a model's operations leave no linearization.
pub trait Judge: Insight {
    /// Whether these operations of one key are linearizable, or why not; `None` if this cannot tell.
    fn judge(&self, tasks: &[Task<'_, Self>]) -> Option<Result<(), Reason>>
    where
        Self: Sized;

    /// The value that an operation adds.
    fn adds(op: &Self::Op) -> Option<&Value>;

    /// The value that an answer names.
    fn names(outcome: &Outcome<Self::Ret>) -> Option<&Value>;

    /// `enqueued`, `dequeued`; and what two removals of one value are called.
    const WORDS: Words;
}

/// What is done to values, in the words of a model.
pub struct Words {
    pub added: &'static str,
    pub removed: &'static str,
    /// The class of two removals of one value.
    pub twice: &'static str,
}

/// The answer of a shortcut.
pub fn shortcut<M: Judge>(model: &M, tasks: &[Task<'_, M>]) -> Option<Shortcut> {
    Some(match model.judge(tasks)? {
        Ok(()) => Shortcut::Linearizable,
        Err(reason) => Shortcut::Refuted(reason.ids()),
    })
}

/// The anomaly in plain words.
pub fn tell<M: Judge>(model: &M, case: &Case<'_, M>) -> Telling {
    let doubt = Outcome::info("released");
    let held = |operation: &Operation<M::Op, M::Ret>| {
        case.witness.binary_search_by_key(&operation.call, |o| o.call).is_ok()
    };
    let numbered = case.operations.iter().copied().zip(0..);
    let mut tasks: Vec<Task<'_, M>> = numbered
        .filter_map(|(operation, id)| match held(operation) {
            true => Task::new(operation, id),
            false => Some(Task::released(operation, id, &doubt)),
        })
        .collect();
    tasks.sort_by_key(|task| task.call);
    let told = match model.judge(&tasks) {
        Some(Err(reason)) => Teller { model, case }.tell(&reason),
        _ => None,
    };
    told.unwrap_or_else(|| case.plainly(model))
}

struct Teller<'c, 'h, M: Model> {
    model: &'c M,
    case: &'c Case<'h, M>,
}

impl<M: Judge> Teller<'_, '_, M> {
    /// `None` if the reason does not fit into a sentence.
    fn tell(&self, reason: &Reason) -> Option<Telling> {
        let Words { added, removed, twice } = M::WORDS;
        let name = |id: &u32| self.name(*id);
        let (class, sentence, named) = match reason {
            Reason::Twice { first, second } => {
                let (value, of) = (self.value(*first)?, self.case.of_key());
                let both = format!("{} and {} both {removed} {value}{of}", name(first), name(second));
                (twice, format!("{both}, which was {added} only once"), vec![*first, *second])
            }
            Reason::Phantom { seen } => return self.phantom(*seen),
            Reason::Early { seen, added: adder } => {
                let sentence = format!(
                    "{} had returned before {} began, and nobody else {added} {}{}",
                    name(seen),
                    self.name_or(*adder, "the enqueue"),
                    self.value(*seen)?,
                    self.case.of_key()
                );
                ("future-value", sentence, vec![*seen, *adder])
            }
            Reason::Gone { seen, removed: remover } => {
                let (value, of) = (self.value(*seen)?, self.case.of_key());
                let sentence = format!(
                    "{} had returned before {} began, and {value}{of} was {added} only once",
                    name(remover),
                    name(seen),
                );
                ("reappeared", sentence, vec![*seen, *remover])
            }
            Reason::Together { values: [[first, last], [second, second_last]], .. } => {
                let sentence = match second == second_last {
                    true => format!(
                        "{} answered {}{} while {} came first: {} had returned before, and {} was called after",
                        name(second),
                        self.value(*second)?,
                        self.case.of_key(),
                        self.value(*first)?,
                        name(first),
                        name(last),
                    ),
                    false => format!(
                        "{} had returned before {} was called, and {} before {}: so {} and {} came first in turn",
                        name(first),
                        name(second_last),
                        name(second),
                        name(last),
                        self.value(*first)?,
                        self.value(*second)?,
                    ),
                };
                ("two-heads", sentence, vec![*first, *last, *second, *second_last])
            }
            Reason::Overtaken { ahead: [inside, last], behind: [adder, first], others }
                if others.is_empty() =>
            {
                let (ahead, behind) = (self.value(*last)?, self.value(*first)?);
                let sentence = format!(
                    "{behind} overtook {ahead}{}: {} was over before {} began, but {} was called only after {} had \
                     returned",
                    self.case.of_key(),
                    self.name_or(*inside, &format!("{ahead}, there at first,")),
                    name(adder),
                    name(last),
                    name(first)
                );
                ("out-of-order", sentence, vec![*inside, *adder, *last, *first])
            }
            Reason::Covered { empty, inside } => {
                let found = format!("{} found nothing{}", name(empty), self.case.of_key());
                let mut named = vec![*empty];
                named.extend(inside.as_flattened());
                let sentence = match &inside[..] {
                    [[from, to]] => format!(
                        "{found}, although {} was certainly inside: {} was over before it began, and {} was called only \
                         after it",
                        self.value(*to)?,
                        self.name_or(*from, "what was there at first"),
                        name(to)
                    ),
                    many => {
                        let values: Vec<_> =
                            many.iter().filter_map(|[_, to]| self.value(*to)).map(Value::to_string).collect();
                        format!("{found}, although always one of {} was certainly inside", values.join(", "))
                    }
                };
                ("false-empty", sentence, named)
            }
            Reason::Kept { values, .. } => {
                let [inside, adder, first] = values.first()?;
                let sentence = format!(
                    "{} returned{}, although {} was over before {} began, and nobody can have {removed} that value by then",
                    name(first),
                    self.case.of_key(),
                    self.name_or(*inside, "what was there at first"),
                    name(adder)
                );
                ("lost-value", sentence, values.as_flattened().to_vec())
            }
            Reason::Crowded { empty, inside, .. } => {
                let sentence = format!(
                    "{} found nothing{}, although {} was inside that nobody {removed} for certain, and too few \
                     operations in doubt can have {removed} all that was",
                    name(empty),
                    self.case.of_key(),
                    self.value(*inside.first()?)?,
                );
                ("false-empty", sentence, vec![*empty, inside[0]])
            }
            Reason::Overtaken { .. } | Reason::Whole { .. } => return None,
        };
        Some(self.telling(class, sentence, &named))
    }

    fn phantom(&self, seen: u32) -> Option<Telling> {
        let value = self.value(seen)?;
        let undone = |o: &Operation<M::Op, M::Ret>| {
            M::adds(&o.op) == Some(value) && matches!(o.outcome, Outcome::Fail(Failure::NotDone(_)))
        };
        let added = M::WORDS.added;
        let answered = format!("{} answered {value}{}", self.name(seen), self.case.of_key());
        Some(match (0..).zip(&self.case.operations).find(|(_, operation)| undone(operation)) {
            None => self.telling("phantom-value", format!("{answered}, which nobody ever {added}"), &[seen]),
            Some((id, _)) => {
                let why = format!("although {} did nothing and nobody else {added} it", self.name(id));
                self.telling("aborted-value", format!("{answered}, {why}"), &[seen, id])
            }
        })
    }

    fn telling(&self, class: &'static str, sentence: String, named: &[u32]) -> Telling {
        let mut named: Vec<_> =
            named.iter().filter_map(|id| self.operation(*id)).map(|operation| operation.call).collect();
        named.sort_unstable();
        named.dedup();
        Telling { class, sentence, named }
    }

    fn operation(&self, id: u32) -> Option<&Operation<M::Op, M::Ret>> {
        self.case.operations.get(id as usize).copied().filter(|_| id != NOBODY)
    }

    /// `` `dequeue 3` by process 2 ``
    fn name(&self, id: u32) -> String {
        self.name_or(id, "nobody")
    }

    fn name_or(&self, id: u32, otherwise: &str) -> String {
        self.operation(id).map_or_else(
            || otherwise.to_owned(),
            |o| format!("`{}` by process {}", self.model.describe(&o.op, &o.outcome), o.process),
        )
    }

    /// The value that an operation added or answered.
    fn value(&self, id: u32) -> Option<&Value> {
        let operation = self.operation(id)?;
        M::adds(&operation.op).or_else(|| M::names(&operation.outcome))
    }
}
