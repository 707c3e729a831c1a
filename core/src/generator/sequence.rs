//! One generator after the other.

use super::compose::Boxed;
use super::synchronize::synchronize;
use super::{Context, Event, Generator, Next};
use std::collections::VecDeque;

/// See [`sequence`] and [`phases`].
pub struct Sequence<O, R> {
    members: VecDeque<Boxed<O, R>>,
}

/// These, one after the other. The next begins as soon as one has nothing more to invoke, while its last
/// operations may still be open.
pub fn sequence<O, R>(members: Vec<Boxed<O, R>>) -> Sequence<O, R> {
    Sequence { members: members.into() }
}

/// These, one after the other, each beginning when all slots in sight are free.
pub fn phases<O: 'static, R: 'static>(members: Vec<Boxed<O, R>>) -> Sequence<O, R> {
    let gated = |member| -> Boxed<O, R> { Box::new(synchronize(member)) };
    Sequence { members: members.into_iter().map(gated).collect() }
}

impl<O, R> Generator<O, R> for Sequence<O, R> {
    fn next(&mut self, cx: &mut Context) -> Next<O> {
        while let Some(member) = self.members.front_mut() {
            match member.next(cx) {
                Next::Done => drop(self.members.pop_front()),
                next => return next,
            }
        }
        Next::Done
    }

    /// The current member alone learns of events: those to come see what happens once they began.
    fn update(&mut self, cx: &mut Context, event: &Event<O, R>) {
        if let Some(member) = self.members.front_mut() {
            member.update(cx, event);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generator::testing::*;
    use crate::generator::*;

    #[test]
    fn a_sequence_does_not_wait_for_what_is_open() {
        let both = sequence(vec![repeat("a").limit(1).boxed(), repeat("b").limit(1).boxed()]);
        assert_eq!(whens(&quick(2, both)), [(0, "a"), (0, "b")]);
    }

    #[test]
    fn a_phase_waits_for_what_is_open() {
        let both = phases(vec![repeat("a").limit(1).boxed(), repeat("b").limit(1).boxed()]);
        assert_eq!(whens(&quick(2, both)), [(0, "a"), (10, "b")]);
        let then = repeat("a").limit(3).then(repeat("b").limit(1));
        assert_eq!(whens(&quick(2, then)), [(0, "a"), (0, "a"), (10, "a"), (20, "b")]);
    }

    #[test]
    fn nothing_is_soon_done() {
        assert_eq!(quick(1, sequence::<&str, ()>(vec![])), []);
        assert_eq!(
            quick(1, phases(vec![repeat("a").limit(0).boxed(), repeat("b").limit(1).boxed()])),
            [(0, 0, "b")]
        );
    }
}
