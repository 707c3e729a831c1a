//! Again until it works.

use super::{Context, Event, Generator, Next, What};
use crate::process::Process;

/// See [`until_ok`].
#[derive(Clone, Debug)]
pub struct UntilOk<G> {
    open: Vec<Process>,
    done: bool,
    child: G,
}

/// What `child` does until one of its operations ends ok.
pub fn until_ok<G>(child: G) -> UntilOk<G> {
    UntilOk { open: Vec::new(), done: false, child }
}

impl<O, R, G: Generator<O, R>> Generator<O, R> for UntilOk<G> {
    fn next(&mut self, cx: &mut Context) -> Next<O> {
        if self.done {
            return Next::Done;
        }
        let next = self.child.next(cx);
        if let Next::Invoke(slot, _) = &next {
            self.open.push(cx.process(*slot));
        }
        next
    }

    fn update(&mut self, cx: &mut Context, event: &Event<O, R>) {
        if let What::Done(_, outcome) = &event.what
            && let Some(at) = self.open.iter().position(|&process| process == event.process)
        {
            self.open.swap_remove(at);
            self.done |= outcome.is_ok();
        }
        self.child.update(cx, event);
    }
}

#[cfg(test)]
mod tests {
    use crate::generator::testing::*;
    use crate::generator::*;

    use crate::outcome::Outcome;
    use crate::process::Slot;
    use simulate::Pretend;

    struct ThirdTime(u32);

    impl Pretend<&'static str, ()> for ThirdTime {
        fn call(&mut self, op: &&'static str) -> (std::time::Duration, Outcome<()>) {
            self.0 += u32::from(*op == "a");
            let outcome = match (*op, self.0) {
                ("a", 1) => Outcome::not_done("refused"),
                ("a", 2) => Outcome::info("lost"),
                _ => Outcome::Ok(()),
            };
            (ns(10), outcome)
        }
    }

    #[test]
    fn failure_and_doubt_are_not_enough() {
        let run = ended(1, repeat("a").until_ok(), &mut ThirdTime(0));
        assert_eq!(lines(&run), [(0, 0, "a"), (10, 0, "a"), (20, 1, "a")]);
    }

    #[test]
    fn the_success_of_others_does_not_count() {
        let (mine, others) = (SlotSet::one(Slot(0)), SlotSet::one(Slot(1)));
        let both = any(vec![
            repeat("b").limit(9).on_slots(others).boxed(),
            repeat("a").on_slots(mine).until_ok().boxed(),
        ]);
        let run = lines(&ended(2, both, &mut ThirdTime(0)));
        assert_eq!(run.iter().filter(|line| line.2 == "a").count(), 3);
    }
}
