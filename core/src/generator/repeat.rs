//! The same operation for ever.

use super::{Action, Context, Generator, Next};

/// See [`repeat`].
#[derive(Clone, Debug)]
pub struct Repeat<O> {
    op: O,
}

/// This operation, again and again, whenever a slot is free.
pub fn repeat<O: Clone>(op: O) -> Repeat<O> {
    Repeat { op }
}

impl<O: Clone, R> Generator<O, R> for Repeat<O> {
    fn next(&mut self, cx: &mut Context) -> Next<O> {
        match cx.pick() {
            Some(slot) => Next::Invoke(slot, Action::Client(self.op.clone())),
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
    fn the_same_comes_whenever_a_slot_is_free() {
        assert_eq!(quick(1, repeat("a").limit(3)), [(0, 0, "a"), (10, 0, "a"), (20, 0, "a")]);
        assert_eq!(whens(&quick(2, repeat("a").limit(3))), [(0, "a"), (0, "a"), (10, "a")]);
    }
}
