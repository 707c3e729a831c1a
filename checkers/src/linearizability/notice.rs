//! Who could notice that an object is in some state, and until when.
//!
//! A state is noticed by an operation whose outcome depends on the state it meets: a read, a cas, a
//! refusal; not by a blind write. An operation in doubt notices too, but only as long as somebody could
//! notice what it makes of the state, so that the answer is a fixpoint. Three things follow, all by taking
//! an operation out of a linearization, or by putting another one in its place:
//! - an operation in doubt can be left out if nobody could notice the state it leads to;
//! - states that nobody can notice any more are all the same: *dead*;
//! - states that all who could still notice them would find fit are all the same too: *plain*. So are
//!   values that nobody reads or expects any more, while refusals that did not say what they saw are to come.
//!
//! A model's `source` and `excludes` make looking up quick; what has neither is tried against each state.
//!
//! An append follows every state, and would by this rule notice them all. But what it makes of a text still
//! begins with that text. Where nothing without a source is left but operations that *grow* a state, a state is
//! noticed only by those whose source it can grow into: a text that no get will see the continuation of
//! is dead, and so is whatever is appended to it.

use super::index::Scatter;
use super::meter::{Meter, Spent};
use super::refuted::{Claim, claimed};
use super::task::{NEVER, Position, Task};
use elenchus_core::model::Model;
use elenchus_core::outcome::Outcome;
use std::collections::BinaryHeap;
use std::hash::BuildHasherDefault;

type HashMap<K, V> = std::collections::HashMap<K, V, BuildHasherDefault<Scatter>>;

/// More pairs of state and observer than this are not tried: everything counts as noticed then.
const PAIRS_MAX: usize = 20_000_000;
/// With more sources than this it is not asked which of them a state grows into.
const SOURCES_MAX: usize = 1 << 10;
/// With more observers than this of which nothing is known, states are not looked up while the search runs.
const UNBOUND_MAX: usize = 64;

/// How long a state matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lasting {
    /// The last return that could notice the state; it is dead afterwards.
    pub noticed: Position,
    /// The last return that could tell the state from a plain one.
    pub distinct: Position,
}

/// The observers of one key's operations.
pub(super) struct Notice<'h, M: Model> {
    /// The last return of an operation with this source.
    sources: HashMap<M::State, Position>,
    /// The last return of an operation without effect that fits every state but this.
    excluded: HashMap<M::State, Position>,
    /// The last of these returns, and the last one of those that exclude another state.
    exclusions: [(Position, Option<M::State>); 2],
    /// Those of which neither is known, the last to return first.
    unbound: Vec<Task<'h, M>>,
    /// How long an operation in doubt with this source could be noticed.
    doubtful_sources: HashMap<M::State, Position>,
    /// Those in doubt without a source, and how long they could be noticed.
    doubtful_unbound: Vec<(Task<'h, M>, Position)>,
    /// All sources and how long each is noticed, the longest first, if whatever has none only grows the state:
    /// what grows is then no observer.
    growing: Option<Vec<(Position, M::State)>>,
}

impl<'h, M: Model> Notice<'h, M> {
    /// The observers among the operations that ended for certain and those in doubt; and of each of the
    /// latter, until when somebody could notice that it happened.
    pub(super) fn new(
        model: &M,
        required: &[Task<'h, M>],
        doubtful: &[Task<'h, M>],
        meter: &mut Meter<'_>,
    ) -> Result<(Notice<'h, M>, Vec<Position>), Spent> {
        let mut notice = Notice {
            sources: HashMap::default(),
            excluded: HashMap::default(),
            exclusions: [(0, None), (0, None)],
            unbound: Vec::new(),
            doubtful_sources: HashMap::default(),
            doubtful_unbound: Vec::new(),
            growing: None,
        };
        for task in required.iter().filter(|task| task.observes(model)) {
            if let Some(state) = model.source(task.op, task.outcome) {
                later(notice.sources.entry(state).or_insert(0), task.done);
            } else if let Some(state) = excludes(model, task) {
                later(notice.excluded.entry(state).or_insert(0), task.done);
            } else {
                notice.unbound.push(task.clone());
            }
        }
        let mut exclusions: Vec<_> = notice.excluded.iter().map(|(state, at)| (*at, state)).collect();
        exclusions.sort_unstable_by_key(|(at, _)| std::cmp::Reverse(*at));
        for (rank, (at, state)) in exclusions.into_iter().take(2).enumerate() {
            notice.exclusions[rank] = (at, Some(state.clone()));
        }
        notice.unbound.sort_by_key(|task| std::cmp::Reverse(task.done));
        if notice.only_grows(model, doubtful) {
            notice.unbound.clear();
            notice.growing = Some(by_position(&notice.sources));
        }
        let until = notice.close(model, doubtful, meter)?;
        if let Some(growing) = &mut notice.growing {
            growing.extend(by_position(&notice.doubtful_sources));
            growing.sort_by_key(|(until, _)| std::cmp::Reverse(*until));
        }
        Ok((notice, until))
    }

    /// Whether an operation in doubt of this kind was found to matter only by what a state grows into.
    pub(super) fn is_growth(&self, model: &M, op: &M::Op, outcome: &Outcome<M::Ret>) -> bool {
        self.growing.is_some() && model.grows(op, outcome)
    }

    /// Whether whatever has no source, and there is such, only grows the state.
    fn only_grows(&self, model: &M, doubtful: &[Task<'h, M>]) -> bool {
        let source = |task: &&Task<'h, M>| model.source(task.op, task.outcome).is_some();
        let (bound, free): (Vec<_>, Vec<_>) =
            doubtful.iter().filter(|task| task.observes(model)).partition(source);
        let mut free = free.into_iter().chain(&self.unbound).peekable();
        self.excluded.is_empty()
            && self.sources.len() + bound.len() <= SOURCES_MAX
            && free.peek().is_some()
            && free.all(|task| model.grows(task.op, task.outcome))
    }

    /// How long this state matters; [`NEVER`] where that would take too long to say.
    pub(super) fn lasting(&self, model: &M, state: &M::State) -> Lasting {
        if self.unbound.len() + self.doubtful_unbound.len() > UNBOUND_MAX {
            return Lasting { noticed: NEVER, distinct: NEVER };
        }
        if self.growing.is_some() {
            let noticed = self.direct(model, state);
            return Lasting { noticed, distinct: noticed };
        }
        let through = self.doubtful_unbound.iter().filter(|(task, _)| task.can_change(model, state));
        let through = through.map(|(_, until)| *until).max().unwrap_or(0);
        let bound = through.max(self.doubtful_sources.get(state).copied().unwrap_or(0));
        let noticed = bound.max(self.direct(model, state));
        let distinct = bound.max(self.sources.get(state).copied().unwrap_or(0));
        let distinct = distinct.max(self.excluded.get(state).copied().unwrap_or(0));
        // One that cannot follow tells it from a plain state; so does one that makes something else of it.
        let tells =
            |task: &&Task<'h, M>| !model.inert(task.op, task.outcome) || !task.can_follow(model, state);
        let mut later = self.unbound.iter().take_while(|task| task.done > distinct);
        let distinct = later.find(tells).map_or(distinct, |task| task.done);
        Lasting { noticed, distinct }
    }

    /// The last return of an operation that ended for certain and can follow this state, or what it grows into.
    fn direct(&self, model: &M, state: &M::State) -> Position {
        if let Some(growing) = &self.growing {
            let found = growing.iter().find(|(_, source)| leads(model, state, source));
            return found.map_or(0, |(until, _)| *until);
        }
        let [last, other] = &self.exclusions;
        let refusal = if last.1.as_ref() == Some(state) { other.0 } else { last.0 };
        let refusal = if claimed(Claim::OnlyReadsNotice) { 0 } else { refusal };
        let bound = self.sources.get(state).copied().unwrap_or(0).max(refusal);
        let later = self.unbound.iter().take_while(|task| task.done > bound);
        later.into_iter().find(|task| task.can_follow(model, state)).map_or(bound, |task| task.done)
    }

    /// Finds for each operation in doubt until when it is noticed, and enters those that notice.
    fn close(
        &mut self,
        model: &M,
        doubtful: &[Task<'h, M>],
        meter: &mut Meter<'_>,
    ) -> Result<Vec<Position>, Spent> {
        let (targets, target_of) = distinct_targets(model, doubtful);
        let links: Vec<usize> = (0..doubtful.len()).filter(|i| doubtful[*i].observes(model)).collect();
        let sources: Vec<Option<M::State>> =
            links.iter().map(|i| model.source(doubtful[*i].op, doubtful[*i].outcome)).collect();
        let (grows, forever) = match &self.growing {
            Some(growing) => (true, growing.first().map_or(0, |(until, _)| *until)),
            None => (false, NEVER),
        };
        let no_source = || links.iter().zip(&sources).filter(|(_, source)| source.is_none());
        let unbound: Vec<usize> = no_source().filter(|_| !grows).map(|(i, _)| *i).collect();
        let tried = if grows { self.sources.len() + links.len() } else { self.unbound.len() + unbound.len() };
        let all = targets.len().saturating_mul(tried) > PAIRS_MAX;
        let mut noticed = vec![if all { NEVER } else { 0 }; targets.len()];
        // Of each target, the states that enable an operation which leads there; and the states that enable
        // one which may lead anywhere.
        let mut enablers: Vec<Vec<usize>> = vec![Vec::new(); targets.len()];
        let enter = |source: usize, i: usize, noticed: &mut Vec<Position>, enablers: &mut Vec<Vec<usize>>| {
            match target_of[i] {
                None => noticed[source] = NEVER,
                Some(target) => enablers[target].push(source),
            }
        };
        for (target, state) in targets.iter().enumerate().filter(|_| !all) {
            meter.tick()?;
            noticed[target] = self.direct(model, state).max(noticed[target]);
            for i in unbound.iter().filter(|i| doubtful[**i].can_change(model, state)) {
                enter(target, *i, &mut noticed, &mut enablers);
            }
            for (i, source) in links.iter().zip(&sources).filter(|_| grows) {
                if source.as_ref().is_some_and(|source| leads(model, state, source)) {
                    enter(target, *i, &mut noticed, &mut enablers);
                }
            }
        }
        let numbers: HashMap<&M::State, usize> = targets.iter().zip(0..).collect();
        for (i, source) in links.iter().zip(&sources).filter(|_| !grows) {
            if let Some(target) = source.as_ref().and_then(|state| numbers.get(state)) {
                enter(*target, *i, &mut noticed, &mut enablers);
            }
        }
        if !claimed(Claim::DoubtNeedsNoFixpoint) {
            spread(&mut noticed, &enablers, meter)?;
        }
        let until: Vec<Position> =
            target_of.iter().map(|target| target.map_or(forever, |t| noticed[t])).collect();
        for (i, source) in links.into_iter().zip(sources) {
            match source {
                None if grows => {}
                None => self.doubtful_unbound.push((doubtful[i].clone(), until[i])),
                Some(state) => later(self.doubtful_sources.entry(state).or_insert(0), until[i]),
            }
        }
        Ok(until)
    }
}

/// Whether a state is or grows into this source.
fn leads<M: Model>(model: &M, state: &M::State, source: &M::State) -> bool {
    match claimed(Claim::GrowthIsUnnoticed) {
        true => state == source,
        false => model.grows_into(state, source),
    }
}

/// The states and how long each is noticed, the longest first.
fn by_position<S: Clone>(noticed: &HashMap<S, Position>) -> Vec<(Position, S)> {
    let mut all: Vec<_> = noticed.iter().map(|(state, until)| (*until, state.clone())).collect();
    all.sort_by_key(|(until, _)| std::cmp::Reverse(*until));
    all
}

fn later(known: &mut Position, at: Position) {
    *known = at.max(*known);
}

/// The only state in which an operation without effect cannot end so, if the model says it.
pub(super) fn excludes<M: Model>(model: &M, task: &Task<'_, M>) -> Option<M::State> {
    model.inert(task.op, task.outcome).then(|| model.excludes(task.op, task.outcome)).flatten()
}

/// What is noticed through an operation in doubt is noticed as long as that one is: a fixpoint, found from
/// the latest on.
fn spread(noticed: &mut [Position], enablers: &[Vec<usize>], meter: &mut Meter<'_>) -> Result<(), Spent> {
    let mut rest: BinaryHeap<(Position, usize)> = noticed.iter().copied().zip(0..).collect();
    while let Some((until, target)) = rest.pop() {
        meter.tick()?;
        if until < noticed[target] {
            continue;
        }
        for &source in &enablers[target] {
            if noticed[source] < until {
                noticed[source] = until;
                rest.push((until, source));
            }
        }
    }
    Ok(())
}

/// The states in which operations in doubt can leave the object, each once, and which of them each does.
fn distinct_targets<M: Model>(model: &M, doubtful: &[Task<'_, M>]) -> (Vec<M::State>, Vec<Option<usize>>) {
    let mut targets: Vec<M::State> = Vec::new();
    let mut numbers = HashMap::default();
    let mut number = |state: M::State| {
        *numbers.entry(state.clone()).or_insert_with(|| {
            targets.push(state);
            targets.len() - 1
        })
    };
    let of = doubtful.iter().map(|task| model.target(task.op).map(&mut number)).collect();
    (targets, of)
}
