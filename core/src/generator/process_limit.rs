//! So many processes and no more.
//!
//! Every operation in doubt costs a checker dearly, and ends a process: a limit on the processes that work
//! on one object is a limit on its doubts.

use super::{Context, Event, Generator, Next};
use crate::process::Process;
use std::collections::BTreeSet;

/// See [`process_limit`].
#[derive(Clone, Debug)]
pub struct ProcessLimit<G> {
    count: usize,
    seen: BTreeSet<Process>,
    retired: Option<u64>,
    child: G,
}

/// What `child` does until more than `count` different processes have been in sight: all that hold a slot
/// count, whether or not they did anything.
pub fn process_limit<G>(count: usize, child: G) -> ProcessLimit<G> {
    ProcessLimit { count, seen: BTreeSet::new(), retired: None, child }
}

impl<O, R, G: Generator<O, R>> Generator<O, R> for ProcessLimit<G> {
    fn next(&mut self, cx: &mut Context) -> Next<O> {
        // Processes change only when one is retired: most asks need not look.
        if self.retired != Some(cx.retired()) {
            self.retired = Some(cx.retired());
            let cx = &*cx;
            self.seen.extend(cx.slots().iter().map(|slot| cx.process(slot)));
        }
        if self.seen.len() > self.count { Next::Done } else { self.child.next(cx) }
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
    fn processes_that_ended_in_doubt_count_as_well() {
        assert_eq!(in_doubt(1, repeat("a").process_limit(3)), [(0, 0, "a"), (10, 1, "a"), (20, 2, "a")]);
    }

    #[test]
    fn idle_processes_count_as_jepsen_has_it() {
        assert_eq!(quick(4, repeat("a").limit(9).process_limit(3)), []);
        assert_eq!(quick(3, repeat("a").limit(9).process_limit(3)).len(), 9);
        let two_rounds = in_doubt(2, repeat("a").process_limit(4));
        assert_eq!(whens(&two_rounds), [(0, "a"), (0, "a"), (10, "a"), (10, "a")]);
    }

    #[test]
    fn processes_out_of_sight_do_not_count() {
        let two = SlotSet::first(2);
        assert_eq!(quick(9, repeat("a").limit(5).process_limit(2).on_slots(two)).len(), 5);
    }
}
