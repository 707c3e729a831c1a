//! A gate that opens once everybody is free.

use super::{Context, Event, Generator, Next};

/// See [`synchronize`].
#[derive(Clone, Debug)]
pub struct Synchronize<G> {
    open: bool,
    child: G,
}

/// `child`, from the first moment at which all slots in sight are free. A slot whose operation ended in
/// doubt is free again, as another process.
pub fn synchronize<G>(child: G) -> Synchronize<G> {
    Synchronize { open: false, child }
}

impl<O, R, G: Generator<O, R>> Generator<O, R> for Synchronize<G> {
    fn next(&mut self, cx: &mut Context) -> Next<O> {
        self.open |= cx.all_free();
        if self.open { self.child.next(cx) } else { Next::Wait(None) }
    }

    fn update(&mut self, cx: &mut Context, event: &Event<O, R>) {
        if self.open {
            self.child.update(cx, event);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::generator::testing::*;
    use crate::generator::*;

    #[test]
    fn doubt_frees_a_slot_for_the_next_phase() {
        let phased = phases(vec![repeat("a").limit(2).boxed(), repeat("b").limit(2).boxed()]);
        let run = in_doubt(2, phased);
        assert_eq!(whens(&run), [(0, "a"), (0, "a"), (10, "b"), (10, "b")]);
        let mut processes: Vec<_> = run[2..].iter().map(|line| line.1).collect();
        processes.sort_unstable();
        assert_eq!(processes, [2, 3]);
    }

    #[test]
    fn only_slots_in_sight_are_awaited() {
        let slow = repeat("slow").limit(1).on_slots(SlotSet::one(Slot(0)));
        let gated = repeat("a").limit(2).synchronize().on_slots(SlotSet::one(Slot(1)));
        let run = perfect(2, 100, any(vec![slow.boxed(), gated.boxed()]));
        assert_eq!(run, [(0, 0, "slow"), (0, 1, "a"), (100, 1, "a")]);
    }

    #[test]
    fn the_gate_stays_open() {
        let run = quick(2, repeat("a").limit(4).synchronize());
        assert_eq!(whens(&run), [(0, "a"), (0, "a"), (10, "a"), (10, "a")]);
    }
}
