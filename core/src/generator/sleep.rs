//! A pause between generators.

use super::{Context, Generator, Next};
use crate::time::Time;
use std::time::Duration;

/// See [`sleep`].
#[derive(Clone, Debug)]
pub struct Sleep {
    duration: Duration,
    until: Option<Time>,
}

/// Nothing for this long, from the first ask at which anyone in sight is free; then the end.
pub fn sleep(duration: Duration) -> Sleep {
    Sleep { duration, until: None }
}

impl<O, R> Generator<O, R> for Sleep {
    fn next(&mut self, cx: &mut Context) -> Next<O> {
        if self.until.is_none() && cx.any_free() {
            self.until = Some(cx.now + self.duration);
        }
        match self.until {
            Some(until) if cx.now >= until => Next::Done,
            until => Next::Wait(until),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generator::testing::*;
    use crate::generator::*;

    #[test]
    fn nothing_happens_meanwhile() {
        let steps =
            || vec![repeat("a").limit(1).boxed(), sleep(ns(50)).boxed(), repeat("b").limit(1).boxed()];
        assert_eq!(quick(1, phases(steps())), [(0, 0, "a"), (60, 0, "b")]);
        assert_eq!(whens(&quick(2, sequence(steps()))), [(0, "a"), (50, "b")], "others need not be awaited");
        assert_eq!(
            quick(1, sequence(steps())),
            [(0, 0, "a"), (60, 0, "b")],
            "but someone must be free to sleep"
        );
    }
}
