//! A generator confined to some slots: it sees no others, and none of their events.

use super::slots::SlotSet;
use super::{Context, Event, Generator, Next};

/// See [`clients`], [`nemesis`] and [`on_slots`].
#[derive(Clone, Debug)]
pub struct Scope<G> {
    /// `None` is all.
    slots: Option<SlotSet>,
    nemesis: bool,
    child: G,
}

/// `child` on the clients' slots, without the nemesis.
pub fn clients<G>(child: G) -> Scope<G> {
    Scope { slots: None, nemesis: false, child }
}

/// `child` for the nemesis alone.
pub fn nemesis<G>(child: G) -> Scope<G> {
    Scope { slots: Some(SlotSet::EMPTY), nemesis: true, child }
}

/// `child` on these slots of clients alone (Jepsen's on-threads).
pub fn on_slots<G>(slots: SlotSet, child: G) -> Scope<G> {
    Scope { slots: Some(slots), nemesis: false, child }
}

impl<O, R, G: Generator<O, R>> Generator<O, R> for Scope<G> {
    fn next(&mut self, cx: &mut Context) -> Next<O> {
        let Scope { slots, nemesis, child } = self;
        cx.narrowed(slots.as_ref(), *nemesis, |cx| child.next(cx))
    }

    fn update(&mut self, cx: &mut Context, event: &Event<O, R>) {
        let Scope { slots, nemesis, child } = self;
        let concerned = match slots {
            _ if event.slot == Context::NEMESIS => *nemesis,
            Some(slots) => slots.contains(event.slot),
            None => true,
        };
        if concerned {
            cx.narrowed(slots.as_ref(), *nemesis, |cx| child.update(cx, event));
        }
    }
}

impl Context {
    fn narrowed<T>(
        &mut self,
        slots: Option<&SlotSet>,
        nemesis: bool,
        look: impl FnOnce(&mut Context) -> T,
    ) -> T {
        match slots {
            Some(slots) => self.within(slots, nemesis, look),
            None => {
                let slots = self.slots().clone();
                self.within(&slots, nemesis, look)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generator::testing::*;
    use crate::generator::*;

    use crate::fault::{Fault, FaultId, Target};
    use crate::generator::testing::witness;

    fn kill() -> Action<&'static str> {
        Action::Inject(FaultId(0), Fault::Kill { nodes: Target::Primaries })
    }

    #[test]
    fn a_generator_stays_on_its_slots() {
        let some: SlotSet = [Slot(1), Slot(3)].into_iter().collect();
        let run = quick(4, repeat("a").limit(50).on_slots(some));
        assert!(run.iter().all(|line| [1, 3].contains(&line.1)));
        assert!([1, 3].iter().all(|&slot| run.iter().any(|line| line.1 == slot)));
    }

    #[test]
    fn clients_and_nemesis_see_their_own_events_alone() {
        let ((client, client_heard), (breaker, breaker_heard)) = (witness(3), witness(0));
        let breaker = any(vec![breaker.boxed(), once(kill()).boxed(), sleep(ns(1)).boxed()]);
        let all = any(vec![client.clients().boxed(), breaker.nemesis().boxed()]);
        ended(1, all, &mut simulate::Quick);
        assert!(!client_heard.borrow().is_empty() && client_heard.borrow().iter().all(|&s| s == Slot(0)));
        assert!(breaker_heard.borrow().is_empty(), "done generators hear nothing");
    }

    #[test]
    fn the_nemesis_hears_of_faults_but_not_of_operations() {
        struct Ear(std::rc::Rc<std::cell::RefCell<Vec<Slot>>>, bool);
        impl Generator<&'static str, ()> for Ear {
            fn next(&mut self, cx: &mut Context) -> Next<&'static str> {
                assert!(cx.sees_nemesis() && cx.pick().is_none());
                if std::mem::replace(&mut self.1, true) {
                    Next::Wait(None)
                } else {
                    Next::Invoke(Context::NEMESIS, kill())
                }
            }
            fn update(&mut self, _: &mut Context, event: &Event<&'static str, ()>) {
                self.0.borrow_mut().push(event.slot);
            }
        }
        let heard = std::rc::Rc::default();
        let all = any(vec![
            repeat("a").limit(3).clients().boxed(),
            Ear(std::rc::Rc::clone(&heard), false).nemesis().boxed(),
        ]);
        simulate::simulate(&mut { all }, &mut simulate::Quick, Context::new(1), 99);
        assert_eq!(*heard.borrow(), [Context::NEMESIS; 2]);
    }

    #[test]
    fn scopes_within_scopes_only_narrow() {
        let inner = repeat("a").limit(5).on_slots(SlotSet::first(3));
        let run = quick(5, inner.on_slots([Slot(2), Slot(4)].into_iter().collect()));
        assert!(run.iter().all(|line| line.1 == 2) && run.len() == 5);
    }
}
