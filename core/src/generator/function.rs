//! Operations out of a closure or an iterator.

use super::{Action, Context, Generator, Next};

/// See [`from_fn`].
#[derive(Clone, Debug)]
pub struct FromFn<F> {
    make: F,
}

/// What the closure makes, for ever. It is called once for each operation, when a slot is free; the slot is
/// that of [`Context::pick`].
pub fn from_fn<O, F: FnMut(&mut Context) -> O>(make: F) -> FromFn<F> {
    FromFn { make }
}

impl<O, R, F: FnMut(&mut Context) -> O> Generator<O, R> for FromFn<F> {
    fn next(&mut self, cx: &mut Context) -> Next<O> {
        match cx.pick() {
            Some(slot) => Next::Invoke(slot, Action::Client((self.make)(cx))),
            None => Next::Wait(None),
        }
    }
}

/// See [`from_iter`].
pub struct FromIter<I: Iterator> {
    items: std::iter::Peekable<I>,
}

/// The iterator's operations, in their order, whenever a slot is free.
pub fn from_iter<I: IntoIterator>(ops: I) -> FromIter<I::IntoIter> {
    FromIter { items: ops.into_iter().peekable() }
}

impl<R, I: Iterator> Generator<I::Item, R> for FromIter<I> {
    fn next(&mut self, cx: &mut Context) -> Next<I::Item> {
        // The end is told even while all slots are busy.
        if self.items.peek().is_none() {
            return Next::Done;
        }
        match cx.pick() {
            Some(slot) => self.items.next().map_or(Next::Done, |op| Next::Invoke(slot, Action::Client(op))),
            None => Next::Wait(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generator::testing::*;
    use crate::generator::*;

    #[test]
    fn a_closure_is_called_once_an_operation() {
        let mut n = 0;
        let count = from_fn(move |_: &mut Context| {
            n += 1;
            n
        });
        assert_eq!(quick(1, count.limit(3)), [(0, 0, 1), (10, 0, 2), (20, 0, 3)]);
    }

    #[test]
    fn a_closure_sees_the_slot_that_it_is_called_for() {
        let whose = from_fn(|cx: &mut Context| cx.process(cx.pick().expect("a slot is free")).0);
        assert!(imperfect(3, whose.limit(50)).iter().all(|(_, process, op)| process == op));
    }

    #[test]
    fn an_iterator_is_followed_to_its_end() {
        assert_eq!(quick(1, from_iter(["a", "b"])), [(0, 0, "a"), (10, 0, "b")]);
        assert_eq!(quick(1, from_iter(Vec::<&str>::new())), []);
    }

    #[test]
    fn the_end_of_an_iterator_needs_no_free_slot() {
        let run = ended(1, from_iter(["a"]), &mut simulate::Quick);
        assert_eq!(run.ended.0, 0);
    }
}
