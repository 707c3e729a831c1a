//! Queues in which no value is enqueued twice: an exact answer in time n log n.
//!
//! **What an order must keep.** Of each value four positions are known: the call of its enqueue, the return of
//! it (`inside`), the first return of those that saw or dequeued it (`first`), and the last call of those
//! (`last`). A value that nobody dequeues leaves after everything. One value comes before another one if
//!
//! - it was enqueued before: its `inside` lies before the other's call (relation *P*), or
//! - it was first before: its `first` lies before the other's `last` (relation *Q*).
//!
//! With `first < last` a value was first for a while; this *zone* has room for no other value. So zones are
//! apart, a value that was first only within the zone of another one is a contradiction, and a `first` (or
//! `last`) within a zone is shifted to the zone's begin (end). After that P and Q are both interval orders.
//!
//! **Theorem.** The history is linearizable if and only if no value is dequeued twice, dequeued or seen without
//! having been enqueued or before its enqueue was called, none is seen after it was dequeued, zones leave room as above, no two values have `a P b`
//! and `b Q a`, and within every dequeue that found nothing there is a gap where no value is certainly inside
//! (from `inside` to `last`).
//!
//! *Proof.* All are necessary. Let them hold. An empty dequeue is a value that comes and goes in its gap; that
//! no value covers the gap says that it has no P-Q contradiction with a value. Now in a cycle of P and Q, of
//! two P-steps `a P b` and `c P d` either `a P d` or `c P b` (interval orders), so a shortest cycle has one step
//! of each kind, and there is none such. So there is a total order that extends both. Enqueue in this order,
//! each value as early as those before it allow (after the latest call so far); let each be first in this order
//! likewise, and dequeue it as soon as its `last` allows. No interval is left: that would be a step of P or Q
//! against the order. Every value is enqueued before it is first, since its own `first` lies after its own
//! call, and dequeued before the next one is first. ∎
//!
//! For completed operations without peeks these are the four patterns of Henzinger, Sezgin & Vafeiadis
//! (CONCUR 2013) and Bouajjani, Emmi, Enea & Hamza (ICALP 2015); the zones of peeks are those of registers
//! (Gibbons & Korach 1997).
//!
//! **In doubt.** An enqueue in doubt happened if its value was seen for certain, and else is left out. A dequeue
//! in doubt that names its value may remove it at any time after its call. One that does not may remove any
//! value, once: [`crate::models::collection`] says which empty dequeues these can explain and which overtaken
//! values they can have removed, exactly. If as many of them as there are values left were free from before
//! the log on (released, for a witness), every such value may leave at any time, and nothing is to be matched.
//!
//! **What is left to search**: values enqueued twice; and some histories with dequeues in doubt where values
//! that were seen and never dequeued compete for them, or where some of these dequeues name their value. There
//! an assignment is guessed, the one with the least deadline first, and accepted only if the theorem holds for
//! it.

use super::spans::{Heads, Order};
use super::{Queue, QueueOp, Sight, layout, sight};
use crate::linearizability::Task;
use crate::models::collection::{
    At, Cover, Deed, Deeds, END, Life, Lives, Loose, Reason, Removal, Unsettled, assign, covered, gather,
    settle,
};
use elenchus_core::outcome::Outcome;

/// Whether these operations of one key are linearizable, or why not; `None` if this cannot tell.
pub(super) fn judge(queue: &Queue, tasks: &[Task<'_, Queue>]) -> Option<Result<(), Reason>> {
    let lives = match gather(&queue.initial, tasks, deed)? {
        Ok(lives) => lives,
        Err(reason) => return Some(Err(reason)),
    };
    let (order, cover) = match forced(&lives) {
        Ok(forced) => forced,
        Err(reason) => return Some(Err(reason)),
    };
    let loose: Vec<u32> = lives.loose().collect();
    if lives.released() >= loose.len() {
        return Some(Ok(()));
    }
    Doubt { tasks, lives: &lives, order: &order, loose }.judge(cover)
}

/// A linearization of these operations of one key, as numbers; `None` if this cannot tell.
pub(super) fn linearization(queue: &Queue, tasks: &[Task<'_, Queue>]) -> Option<Vec<u32>> {
    let lives = gather(&queue.initial, tasks, deed)?.ok()?;
    let (order, cover) = forced(&lives).ok()?;
    let doubt = Doubt { tasks, lives: &lives, order: &order, loose: lives.loose().collect() };
    let values = doubt.values();
    let gaps = settle(&lives, &values, cover).ok()?;
    let (order, removals) = doubt.guess(values, &gaps)?;
    let deeds = Deeds::new(&lives, tasks, deed, &queue.initial, (&removals, &gaps));
    Some(layout::linearization(&order.spans, &deeds))
}

/// What is forced even if whoever was not removed for certain left as soon as nothing says otherwise.
fn forced(lives: &Lives) -> Result<(Order, Cover), Reason> {
    let order = Order::new(&lives.lives, |i| lives.lives[i].last);
    let order = order.map_err(|clash| clash.reason(&lives.lives))?;
    Ok((order, covered(lives)?))
}

fn deed<'h>(task: &Task<'h, Queue>) -> Deed<'h> {
    let refused = matches!(task.outcome, Outcome::Fail(_));
    let removes = match task.op {
        QueueOp::Enqueue { .. } if refused => return Deed::Nothing,
        QueueOp::Enqueue { value, .. } => return Deed::Adds(value),
        QueueOp::Dequeue { .. } => !refused,
        QueueOp::Peek { .. } => false,
    };
    match sight(task.outcome) {
        Sight::First(value) if removes => Deed::Removes(value),
        Sight::First(value) => Deed::Shows(value),
        Sight::Empty => Deed::FindsNothing,
        Sight::Anything if removes => Deed::RemovesSomething,
        Sight::Anything => Deed::Nothing,
        Sight::Absurd => Deed::Absurd,
    }
}

/// More values than this that were kept too long are not told one by one.
const KEPT_MAX: usize = 64;

/// What remains once all that needs no dequeue in doubt was found to be in order.
struct Doubt<'a, 'h> {
    tasks: &'a [Task<'h, Queue>],
    lives: &'a Lives,
    order: &'a Order,
    /// The values that were not dequeued for certain.
    loose: Vec<u32>,
}

impl Doubt<'_, '_> {
    fn judge(&self, cover: Cover) -> Option<Result<(), Reason>> {
        let values = self.values();
        let gaps = match settle(self.lives, &values, cover) {
            Ok(gaps) => gaps,
            Err(Unsettled::Late(late)) => return Some(Err(self.kept(&late))),
            Err(Unsettled::Crowded(empty)) => return Some(Err(self.lives.crowded(empty, self.all()))),
        };
        if self.seen().next().is_none() && values.iter().all(|value| value.own == END) {
            return Some(Ok(()));
        }
        if self.guess(values, &gaps).is_some() {
            return Some(Ok(()));
        }
        // Without dequeues to choose from, nothing was guessed.
        self.lives.blind.is_empty().then(|| Err(Reason::Whole { others: self.all() }))
    }

    /// The loose values, with what others force on them.
    fn values(&self) -> Vec<Loose> {
        let spans = &self.order.spans;
        let heads = self.seen().next().map(|_| Heads::new(spans));
        let value = |i: &u32| {
            let overtaken = self.order.came_later(*i as usize);
            let again = heads.as_ref().map_or(END, |heads| heads.came_later(spans, *i));
            Loose::new(self.life(*i), overtaken.min(again))
        };
        self.loose.iter().map(value).collect()
    }

    /// The loose values that were seen.
    fn seen(&self) -> impl Iterator<Item = u32> {
        self.loose.iter().copied().filter(|i| self.life(*i).first != END)
    }

    /// How the loose values may have been removed, and the order that follows, if there is one.
    fn guess(&self, mut values: Vec<Loose>, gaps: &[At]) -> Option<(Order, Vec<Removal>)> {
        self.one_after_the_other(&mut values);
        let removals = assign(&values, &self.lives.blind, gaps)?;
        let mut last: Vec<At> = self.lives.lives.iter().map(|life| life.last).collect();
        for (number, removal) in self.loose.iter().zip(&removals) {
            last[*number as usize] = removal.at;
        }
        Some((Order::new(&self.lives.lives, |i| last[i]).ok()?, removals))
    }

    fn life(&self, number: u32) -> &Life {
        &self.lives.lives[number as usize]
    }

    /// Of values that were seen but not dequeued for certain, each goes before the next one is first: a guess,
    /// where nothing forces this order.
    fn one_after_the_other(&self, values: &mut [Loose]) {
        let spans = &self.order.spans;
        let mut in_order: Vec<u32> = self.seen().collect();
        in_order.sort_by_key(|i| spans[*i as usize].first);
        for (at, number) in in_order.iter().enumerate() {
            let own = spans[*number as usize];
            let came_before = |other: u32| {
                let other = spans[other as usize];
                other.inside < own.add || other.first < own.last
            };
            let next = in_order[at + 1..].iter().take(KEPT_MAX).find(|other| !came_before(**other));
            if let (Some(next), Ok(place)) = (next, self.loose.binary_search(number)) {
                let deadline = &mut values[place].deadline;
                *deadline = (*deadline).min(spans[*next as usize].first);
            }
        }
    }

    /// These values were overtaken, and nobody can have removed them all in time.
    fn kept(&self, late: &[usize]) -> Reason {
        let numbers: Vec<u32> = late.iter().map(|place| self.loose[*place]).collect();
        let plain = numbers.len() <= KEPT_MAX && numbers.iter().all(|i| self.life(*i).first == END);
        let told = |number: &u32| {
            let behind = &self.lives.lives[self.order.came_later_by(*number as usize)?];
            // Otherwise a third value that was first for a while made it so early.
            let certain = self.order.came_later(*number as usize) == behind.first;
            certain.then_some([self.life(*number).inside_by(), behind.added_by, behind.first_by])
        };
        match numbers.iter().map(told).collect::<Option<Vec<_>>>() {
            Some(values) if plain => {
                let dequeues = self.tasks.iter().filter(|task| matches!(task.op, QueueOp::Dequeue { .. }));
                Reason::Kept { values, others: dequeues.map(|task| task.id).collect() }
            }
            _ => Reason::Whole { others: self.all() },
        }
    }

    fn all(&self) -> Vec<u32> {
        self.tasks.iter().map(|task| task.id).collect()
    }
}
