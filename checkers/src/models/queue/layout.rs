//! A linearization of a queue's operations, as the proof in [`super::fifo`] makes it.
//!
//! Positions are doubled here, so that a gap has a place of its own between two of them.

use super::spans::Span;
use crate::models::collection::{At, Deeds, END, NOBODY};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// A place in time, twice a position or between two.
type Time = u64;

/// A value, or a gap where the queue is empty: one that comes and goes there.
#[derive(Clone, Copy)]
enum Item {
    Value(usize),
    Gap(At),
}

/// An operation's place in the linearization: its time; of what comes at one time, that of the earlier item; of
/// one item, the enqueue, then who saw it, then the dequeue.
type Place = (Time, usize, u8, u32);

/// The operations in an order that they can have happened in; `spans` agree, and the queue is empty at these gaps.
pub(super) fn linearization(spans: &[Span], deeds: &Deeds) -> Vec<u32> {
    let mut places: Vec<Place> = deeds.idle.iter().map(|(call, id)| (time(*call), 0, 0, *id)).collect();
    let mut gaps: Vec<(At, u32)> = deeds.empties.clone();
    gaps.sort_unstable();
    let mut distinct: Vec<At> = gaps.iter().map(|(gap, _)| *gap).collect();
    distinct.dedup();
    let (mut enqueued, mut free) = (0, 0);
    for (rank, item) in total_order(spans, &distinct).into_iter().enumerate() {
        match item {
            Item::Gap(gap) => {
                (enqueued, free) = (after(gap), after(gap));
                let first = gaps.partition_point(|(other, _)| *other < gap);
                let there = gaps[first..].iter().take_while(|(other, _)| *other == gap);
                places.extend(there.map(|(_, id)| (free, rank, 1, *id)));
            }
            Item::Value(number) => {
                let (span, doers) = (&spans[number], &deeds.doers[number]);
                enqueued = enqueued.max(time(span.add));
                if doers.adder != NOBODY {
                    places.push((enqueued, rank, 0, doers.adder));
                }
                // Who is first for a while is so as soon as possible; others at one moment.
                let single = span.last <= span.first;
                free = free.max(time(if single { span.last } else { span.add }));
                for (call, id) in &doers.watchers {
                    places.push((free.max(time(*call)), rank, 1, *id));
                }
                free = free.max(time(span.last));
                // After everything means never: so it is where one before it stays for ever.
                if doers.remover != NOBODY && free != Time::MAX {
                    places.push((free, rank, 2, doers.remover));
                }
            }
        }
    }
    places.sort_unstable();
    places.into_iter().map(|(.., id)| id).collect()
}

fn time(at: At) -> Time {
    if at == END { Time::MAX } else { 2 * Time::from(at) }
}

fn after(gap: At) -> Time {
    time(gap) + 1
}

/// An order of all items that extends both relations.
///
/// Of the items that no one left was enqueued before, the one with the least `last` is the next: some item is
/// preceded by none in either way, and this one has a `last` that is no later. Of equal ones the value comes
/// first that was first for a while up to there.
fn total_order(spans: &[Span], gaps: &[At]) -> Vec<Item> {
    let ends = |item: &Item| match *item {
        Item::Value(i) => (time(spans[i].add), time(spans[i].inside), time(spans[i].last)),
        Item::Gap(gap) => (after(gap), after(gap), after(gap)),
    };
    let mut items: Vec<Item> = (0..spans.len()).map(Item::Value).collect();
    items.extend(gaps.iter().map(|gap| Item::Gap(*gap)));
    items.sort_by_key(|item| ends(item).0);
    let mut by_inside: Vec<usize> = (0..items.len()).collect();
    by_inside.sort_by_key(|i| ends(&items[*i]).1);
    let (mut done, mut order) = (vec![false; items.len()], Vec::with_capacity(items.len()));
    let (mut ready, mut next) = (BinaryHeap::new(), 0);
    for least in by_inside {
        while !done[least] {
            while next < items.len() && ends(&items[next]).0 <= ends(&items[least]).1 {
                let single = match items[next] {
                    Item::Value(i) => spans[i].last <= spans[i].first,
                    Item::Gap(_) => true,
                };
                ready.push(Reverse((ends(&items[next]).2, single, next)));
                next += 1;
            }
            let Some(Reverse((.., i))) = ready.pop() else { break };
            done[i] = true;
            order.push(items[i]);
        }
    }
    order
}
