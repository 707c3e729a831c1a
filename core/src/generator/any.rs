//! Whoever can run.

use super::compose::Boxed;
use super::turns::{Turns, ask_fused, update_fused};
use super::{Context, Event, Generator, Next};

/// See [`any`].
pub struct Any<O, R> {
    turns: Turns,
    members: Vec<Option<Boxed<O, R>>>,
}

/// The action of the first of these that can run now, asked in turn; done when all are. This is how the
/// clients' generators and the nemesis' schedule run side by side.
pub fn any<O, R>(members: Vec<Boxed<O, R>>) -> Any<O, R> {
    Any { turns: Turns::default(), members: members.into_iter().map(Some).collect() }
}

impl<O, R> Generator<O, R> for Any<O, R> {
    fn next(&mut self, cx: &mut Context) -> Next<O> {
        let Any { turns, members } = self;
        turns.ask(members.len(), |at| ask_fused(&mut members[at], cx))
    }

    fn update(&mut self, cx: &mut Context, event: &Event<O, R>) {
        self.members.iter_mut().for_each(|member| update_fused(member, cx, event));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generator::testing::*;
    use crate::generator::*;

    use crate::process::Slot;

    #[test]
    fn the_first_that_can_run_runs() {
        let late = sequence(vec![sleep(ns(25)).boxed(), repeat("late").limit(1).boxed()]);
        let run = quick(1, any(vec![late.boxed(), repeat("a").limit(4).boxed()]));
        assert_eq!(run, [(0, 0, "a"), (10, 0, "a"), (20, 0, "a"), (30, 0, "late"), (40, 0, "a")]);
    }

    #[test]
    fn nobody_is_starved() {
        let run = quick(1, any(vec![repeat("a").boxed(), repeat("b").boxed(), repeat("c").boxed()]).limit(6));
        assert_eq!(ops(&run), ["a", "b", "c", "a", "b", "c"]);
    }

    #[test]
    fn the_earliest_wait_counts() {
        let at = |t, op| sequence(vec![sleep(ns(t)).boxed(), repeat(op).limit(1).boxed()]).boxed();
        assert_eq!(
            whens(&quick(3, any(vec![at(30, "c"), at(10, "a"), at(20, "b")]))),
            [(10, "a"), (20, "b"), (30, "c")]
        );
    }

    #[test]
    fn a_busy_part_does_not_hold_the_other_up() {
        let slow = repeat("slow").limit(1).on_slots(SlotSet::one(Slot(0)));
        let free = repeat("free").limit(2).on_slots(SlotSet::one(Slot(1)));
        assert_eq!(
            whens(&perfect(2, 30, any(vec![slow.boxed(), free.boxed()]))),
            [(0, "slow"), (0, "free"), (30, "free")]
        );
        assert_eq!(quick(1, any::<&str, ()>(vec![])), []);
    }
}
