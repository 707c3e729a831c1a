//! The same generator from the start, again and again.

use super::{Context, Event, Generator, Next};

/// See [`cycle`].
#[derive(Clone, Debug)]
pub struct Cycle<F, G> {
    make: F,
    left: u64,
    current: Option<G>,
}

/// A fresh generator each time that the one before is done, `count` in all. One that is done before it did
/// anything is the last, since it would be so for ever.
pub fn cycle<F: FnMut() -> G, G>(count: u64, make: F) -> Cycle<F, G> {
    Cycle { make, left: count, current: None }
}

impl<O, R, G: Generator<O, R>, F: FnMut() -> G> Generator<O, R> for Cycle<F, G> {
    fn next(&mut self, cx: &mut Context) -> Next<O> {
        loop {
            let fresh = self.current.is_none();
            if fresh && self.left == 0 {
                return Next::Done;
            }
            let current = self.current.get_or_insert_with(|| {
                self.left -= 1;
                (self.make)()
            });
            let next = current.next(cx);
            if !matches!(next, Next::Done) {
                return next;
            }
            self.current = None;
            if fresh {
                self.left = 0;
            }
        }
    }

    fn update(&mut self, cx: &mut Context, event: &Event<O, R>) {
        if let Some(current) = &mut self.current {
            current.update(cx, event);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generator::testing::*;
    use crate::generator::*;

    #[test]
    fn it_starts_again_when_it_is_done() {
        assert_eq!(ops(&quick(1, cycle(2, || from_iter(["a", "b"])))), ["a", "b", "a", "b"]);
        assert_eq!(
            ops(&quick(1, cycle(u64::MAX, || from_iter(["a", "b"])).limit(5))),
            ["a", "b", "a", "b", "a"]
        );
        assert_eq!(quick(1, cycle(0, || repeat("a"))), []);
    }

    #[test]
    fn what_is_empty_does_not_hang() {
        assert_eq!(quick(1, cycle(u64::MAX, || repeat("a").limit(0))), []);
    }
}
