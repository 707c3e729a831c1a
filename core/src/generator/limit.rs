//! So many actions and no more.

use super::{Context, Event, Generator, Next};

/// See [`limit`].
#[derive(Clone, Debug)]
pub struct Limit<G> {
    left: u64,
    child: G,
}

/// The first `count` actions of `child`.
pub fn limit<G>(count: u64, child: G) -> Limit<G> {
    Limit { left: count, child }
}

impl<O, R, G: Generator<O, R>> Generator<O, R> for Limit<G> {
    fn next(&mut self, cx: &mut Context) -> Next<O> {
        if self.left == 0 {
            return Next::Done;
        }
        let next = self.child.next(cx);
        if matches!(next, Next::Invoke(..)) {
            self.left -= 1;
        }
        next
    }

    fn update(&mut self, cx: &mut Context, event: &Event<O, R>) {
        self.child.update(cx, event);
    }
}

#[cfg(test)]
mod tests {
    use crate::generator::testing::*;
    use crate::generator::*;

    #[test]
    fn nothing_comes_after_the_limit_and_all_before() {
        assert_eq!(quick(1, repeat("a").limit(0)), []);
        assert_eq!(quick(1, repeat("a").limit(2)), [(0, 0, "a"), (10, 0, "a")]);
        assert_eq!(quick(1, from_iter(["a", "b"]).limit(9)).len(), 2);
        assert_eq!(quick(1, from_iter(["a", "b"]).once()), [(0, 0, "a")]);
    }
}
