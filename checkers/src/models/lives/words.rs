//! What happened to a value that it could not happen to, in words.
//!
//! A name is given only where it is certain from the whole history of the object, whether values are put in
//! once or more often. Everything else is called `nonlinearizable`, which is certain always.

use super::{Deed, Seen};
use crate::linearizability::{Case, Telling};
use elenchus_core::model::Model;
use elenchus_core::operation::Operation;
use elenchus_core::outcome::Outcome;
use std::fmt::Display;

/// How people speak of an object.
pub(in crate::models) struct Words {
    /// `stack`
    pub object: &'static str,
    /// `pushed`
    pub added: &'static str,
    /// `popped`
    pub taken: &'static str,
    /// `on top`
    pub seen: &'static str,
    /// The name of an anomaly: `double-pop`.
    pub twice: &'static str,
}

/// An operation of the model `M`.
type Done<'h, M> = &'h Operation<<M as Model>::Op, <M as Model>::Ret>;

/// Why of two values the second had to leave first.
type FirstOut<'c, 'h, M, V> = dyn Fn(&Story<'c, 'h, M, V>, V, V) -> Option<String> + 'c;

/// A refuted history, read as that of a container of `V`.
pub(in crate::models) struct Story<'c, 'h, M: Model, V> {
    pub model: &'c M,
    pub case: &'c Case<'h, M>,
    pub words: &'c Words,
    pub deed: &'c dyn Fn(Done<'h, M>) -> Deed<V>,
    pub initial: &'c [V],
    /// Why the second value had to leave before the first, if both were inside at once and what is known of
    /// them is this; `None` if it had not to.
    pub first_out: &'c FirstOut<'c, 'h, M, V>,
}

/// More operations than this are not compared pair by pair.
const PAIRS_MAX: usize = 1_000_000;

impl<'h, M: Model, V: Copy + Eq + Display> Story<'_, 'h, M, V> {
    /// The anomaly, by the first of the names that fits.
    pub fn tell(&self) -> Telling {
        let tellers = [
            Story::phantom,
            Story::early,
            Story::twice,
            Story::too_late,
            Story::never_empty,
            Story::out_of_order,
        ];
        tellers.iter().find_map(|teller| teller(self)).unwrap_or_else(|| self.case.plainly(self.model))
    }

    /// The operations of the witness that certainly happened, and what they did; the guilty one first.
    fn witness(&self) -> impl Iterator<Item = (Done<'h, M>, Deed<V>)> {
        let guilty = self.case.guilty;
        let others = self.case.witness.iter().copied().filter(|o| o.call != guilty.call);
        [guilty].into_iter().chain(others).filter(|o| certain(*o)).map(|o| (o, (self.deed)(o)))
    }

    /// Those of the witness that took or saw a value, and which.
    fn seers(&self) -> impl Iterator<Item = (Done<'h, M>, V)> {
        self.witness().filter_map(|(operation, deed)| match deed {
            Deed::Take(Seen::Value(value)) | Deed::Look(Seen::Value(value)) => Some((operation, value)),
            _ => None,
        })
    }

    /// All operations that may have happened and did one of these.
    fn that(&self, did: impl Fn(Deed<V>) -> bool) -> impl Iterator<Item = Done<'h, M>> {
        let happened = self.case.operations.iter().copied().filter(|o| !failed(*o));
        happened.filter(move |operation| did((self.deed)(operation)))
    }

    fn adders(&self, value: V) -> impl Iterator<Item = Done<'h, M>> {
        self.that(move |deed| deed == Deed::Add(value))
    }

    fn is_added_once(&self, value: V) -> bool {
        let initial = self.initial.iter().filter(|held| **held == value).count();
        initial + self.adders(value).count() == 1
    }

    /// `process 3 popped 7 of key 4`
    fn what_happened(&self, operation: Done<'h, M>) -> String {
        let Words { object, taken, seen, .. } = self.words;
        let (process, of) = (operation.process, self.case.of_key());
        match (self.deed)(operation) {
            Deed::Take(Seen::Value(value)) if operation.outcome.is_ok() => {
                format!("process {process} {taken} {value}{of}")
            }
            Deed::Take(Seen::Value(value)) | Deed::Look(Seen::Value(value)) => {
                format!("process {process} saw {value} {seen}{of}")
            }
            Deed::Take(Seen::Nothing) | Deed::Look(Seen::Nothing) => {
                format!("process {process} found the {object}{of} empty")
            }
            _ => format!("process {process} did `{}`{of}", self.describe(operation)),
        }
    }

    fn describe(&self, operation: Done<'h, M>) -> String {
        self.model.describe(&operation.op, &operation.outcome)
    }

    /// `` `push 7` by process 1 ``
    fn name(&self, operation: Done<'h, M>) -> String {
        format!("`{}` by process {}", self.describe(operation), operation.process)
    }

    fn telling<const N: usize>(
        &self,
        class: &'static str,
        sentence: String,
        named: [Option<Done<'h, M>>; N],
    ) -> Option<Telling> {
        let mut named: Vec<_> = named.into_iter().flatten().map(|operation| operation.call).collect();
        named.sort_unstable();
        named.dedup();
        Some(Telling { class, sentence, named })
    }

    /// Nobody put the value in, or only someone who said that he did not.
    fn phantom(&self) -> Option<Telling> {
        let unknown =
            |(_, value): &(_, V)| !self.initial.contains(value) && self.adders(*value).next().is_none();
        let (seer, value) = self.seers().find(unknown)?;
        let refused = self.case.operations.iter().copied().find(|o| (self.deed)(o) == Deed::Add(value));
        let (happened, added) = (self.what_happened(seer), self.words.added);
        let sentence = match refused {
            None => format!("{happened}, which nobody ever {added}"),
            Some(refused) => {
                let refused = self.name(refused);
                format!("{happened}, although {refused} was answered as not done and nobody else {added} it")
            }
        };
        self.telling("phantom-value", sentence, [Some(seer), refused])
    }

    /// Whoever put the value in began only after it was seen.
    fn early(&self) -> Option<Telling> {
        let early = |(seer, value): &(Done<'h, M>, V)| {
            !self.initial.contains(value) && self.adders(*value).all(|adder| seer.precedes(adder))
        };
        let (seer, value) = self.seers().find(early)?;
        let adder = self.adders(value).next()?;
        let sentence =
            format!("{}, although {} began only after that", self.what_happened(seer), self.name(adder));
        self.telling("future-value", sentence, [Some(seer), Some(adder)])
    }

    /// Two took what was put in once.
    fn twice(&self) -> Option<Telling> {
        let takers = || self.seers().filter(|(operation, _)| self.takes(operation));
        let mut pairs = takers().take(64).flat_map(|one| takers().take(64).map(move |other| (one, other)));
        let ((one, value), (other, _)) = pairs.find(|((one, value), (other, same))| {
            value == same && one.call != other.call && self.is_added_once(*value)
        })?;
        let (later, sooner) = if one.done > other.done { (one, other) } else { (other, one) };
        let sentence = format!(
            "{}, although {} took it too and it was {} only once",
            self.what_happened(later),
            self.name(sooner),
            self.words.added
        );
        self.telling(self.words.twice, sentence, [Some(later), Some(sooner), self.adders(value).next()])
    }

    /// Someone saw what had been taken before.
    fn too_late(&self) -> Option<Telling> {
        let mut pairs =
            self.seers().take(64).flat_map(|one| self.seers().take(64).map(move |other| (one, other)));
        let ((taker, _), (seer, _)) = pairs.find(|((taker, value), (seer, same))| {
            value == same && self.takes(taker) && taker.precedes(seer) && self.is_added_once(*value)
        })?;
        let sentence =
            format!("{}, although {} had taken it before", self.what_happened(seer), self.name(taker));
        self.telling("stale-peek", sentence, [Some(seer), Some(taker)])
    }

    /// Something was inside all the while that someone found nothing.
    fn never_empty(&self) -> Option<Telling> {
        let nothing = |deed: &Deed<V>| matches!(deed, Deed::Take(Seen::Nothing) | Deed::Look(Seen::Nothing));
        let (finder, _) = self.witness().find(|(_, deed)| nothing(deed))?;
        let mut values = self.witness().filter_map(|(_, deed)| value_of(deed));
        let (value, stay) = values.find_map(|value| Some((value, self.stay(value, finder)?)))?;
        let sentence = format!(
            "{}, although {value} was inside: {}",
            self.what_happened(finder),
            self.account(value, &stay)
        );
        self.telling("false-empty", sentence, [Some(finder), stay.from, stay.to])
    }

    /// Someone took or saw a value while another one was inside that had to leave first.
    fn out_of_order(&self) -> Option<Telling> {
        let values: Vec<V> = self.witness().filter_map(|(_, deed)| value_of(deed)).take(PAIRS_MAX).collect();
        let all = self.case.operations.len().max(1);
        let pairs = self.seers().flat_map(|seer| values.iter().map(move |value| (seer, *value)));
        // Each pair that is looked into costs a walk through the history.
        let mut pairs =
            pairs.filter(|((_, seen), value)| seen != value).take((100 * PAIRS_MAX / all).min(PAIRS_MAX));
        let (seer, value, why, stay) = pairs.find_map(|((seer, seen), value)| {
            let why = (self.first_out)(self, seen, value)?;
            Some((seer, value, why, self.stay(value, seer)?))
        })?;
        let sentence = format!(
            "{}, although {value} was inside and {why}: {}",
            self.what_happened(seer),
            self.account(value, &stay)
        );
        self.telling("out-of-order", sentence, [Some(seer), stay.from, stay.to])
    }

    fn takes(&self, operation: Done<'h, M>) -> bool {
        operation.outcome.is_ok() && matches!((self.deed)(operation), Deed::Take(_))
    }

    /// How it is known that a value was inside all the while that an operation was open.
    fn stay(&self, value: V, during: Done<'h, M>) -> Option<Stay<'h, M>> {
        if !self.is_added_once(value) {
            return None;
        }
        let on = |deed: Deed<V>| value_of(deed) == Some(value);
        let mut shown = self.that(on).filter(|o| certain(*o) && o.precedes(during));
        let from = shown.next();
        if from.is_none() && !self.initial.contains(&value) {
            return None;
        }
        let to = self.that(on).find(|o| certain(*o) && during.precedes(o) && !self.adds(o));
        let may_take = |deed: Deed<V>| {
            matches!(deed, Deed::Take(Seen::Unknown)) || deed == Deed::Take(Seen::Value(value))
        };
        let taken = || self.that(may_take).any(|o| o.call < during.done);
        (to.is_some() || !taken()).then_some(Stay { from, to })
    }

    fn adds(&self, operation: Done<'h, M>) -> bool {
        matches!((self.deed)(operation), Deed::Add(_))
    }

    /// Whether a value was certainly inside before another one was put in.
    pub fn lies_below(&self, lower: V, upper: V) -> bool {
        let Some(adder) = self.adders(upper).next() else { return false };
        let mut shown = self.that(|deed| value_of(deed) == Some(lower));
        let below = self.initial.contains(&lower) || shown.any(|o| certain(o) && o.precedes(adder));
        let mut lower_takers = self.that(|deed| deed == Deed::Take(Seen::Value(lower)));
        // Only one that is still inside when the other one comes lies below it.
        let taken = lower_takers.any(|taker| taker.call < adder.done);
        below && !taken && self.is_added_once(lower) && self.is_added_once(upper)
    }

    fn account(&self, value: V, stay: &Stay<'h, M>) -> String {
        let Words { added, taken, .. } = self.words;
        let from = stay.from.map_or_else(
            || "it was there from the start".to_owned(),
            |from| match self.adds(from) {
                true => format!("it had been {added} by process {}", from.process),
                false => format!("{} had ended", self.name(from)),
            },
        );
        match stay.to {
            Some(to) => format!("{from}, and {} began only later", self.name(to)),
            None => format!("{from}, and nobody who may have {taken} {value} had begun"),
        }
    }
}

/// Between which operations a value was inside; nobody's if from the start, or to the end.
struct Stay<'h, M: Model> {
    from: Option<Done<'h, M>>,
    to: Option<Done<'h, M>>,
}

fn value_of<V: Copy>(deed: Deed<V>) -> Option<V> {
    match deed {
        Deed::Add(value) | Deed::Take(Seen::Value(value)) | Deed::Look(Seen::Value(value)) => Some(value),
        _ => None,
    }
}

fn certain<O, R>(operation: &Operation<O, R>) -> bool {
    operation.done != Operation::<O, R>::OPEN
}

fn failed<O, R>(operation: &Operation<O, R>) -> bool {
    use elenchus_core::outcome::Failure;
    matches!(operation.outcome, Outcome::Fail(Failure::NotDone(_)))
}
