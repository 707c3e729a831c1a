//! Whose turn it is among generators that run side by side.

use super::{Context, Event, Generator, Next};
use crate::time::Time;

/// Asks members in turn, first the one after the last that ran. Whoever can run is asked before long, so
/// that a busy member cannot starve the nemesis beside it.
#[derive(Clone, Debug, Default)]
pub(super) struct Turns {
    first: usize,
}

impl Turns {
    /// The first answer to run of `count` members; else the earliest wait; else, if all are done, that.
    pub(super) fn ask<O>(&mut self, count: usize, mut ask: impl FnMut(usize) -> Next<O>) -> Next<O> {
        let mut waiting = false;
        let mut until = None;
        for step in 0..count {
            let at = (self.first + step) % count;
            match ask(at) {
                Next::Invoke(slot, action) => {
                    self.first = at + 1;
                    return Next::Invoke(slot, action);
                }
                Next::Wait(time) => {
                    waiting = true;
                    until = earlier(until, time);
                }
                Next::Done => {}
            }
        }
        if waiting { Next::Wait(until) } else { Next::Done }
    }
}

/// The earlier of two times to wait for, `None` being no time at all.
pub(super) fn earlier(a: Option<Time>, b: Option<Time>) -> Option<Time> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

/// Asks a member that is dropped once it is done.
pub(super) fn ask_fused<O, R, G: Generator<O, R>>(member: &mut Option<G>, cx: &mut Context) -> Next<O> {
    let Some(generator) = member else { return Next::Done };
    let next = generator.next(cx);
    if matches!(next, Next::Done) {
        *member = None;
    }
    next
}

/// Shows an event to a member that is not done.
pub(super) fn update_fused<O, R, G: Generator<O, R>>(
    member: &mut Option<G>,
    cx: &mut Context,
    event: &Event<O, R>,
) {
    if let Some(generator) = member {
        generator.update(cx, event);
    }
}
