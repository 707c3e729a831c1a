//! One action.

use super::{Action, Context, Generator, Next};

/// See [`once`].
#[derive(Clone, Debug)]
pub struct Once<O> {
    action: Option<Action<O>>,
}

/// This action, once: an operation on any free slot, all else on that of the nemesis.
pub fn once<O>(action: Action<O>) -> Once<O> {
    Once { action: Some(action) }
}

impl<O, R> Generator<O, R> for Once<O> {
    fn next(&mut self, cx: &mut Context) -> Next<O> {
        let Some(action) = &self.action else { return Next::Done };
        let slot = if matches!(action, Action::Client(_)) { cx.pick() } else { Some(Context::NEMESIS) };
        match (slot, self.action.take()) {
            (Some(slot), Some(action)) => Next::Invoke(slot, action),
            (_, action) => {
                self.action = action;
                Next::Wait(None)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generator::testing::*;
    use crate::generator::*;

    #[test]
    fn an_action_happens_once_and_waits_for_a_slot() {
        assert_eq!(quick(5, once(Action::Client("a"))).len(), 1);
        let after = sequence(vec![repeat("a").limit(1).boxed(), once(Action::Client("b")).boxed()]);
        assert_eq!(quick(1, after), [(0, 0, "a"), (10, 0, "b")]);
    }

    #[test]
    fn a_fault_needs_no_free_slot() {
        use crate::fault::{Fault, FaultId, Target};
        let kill = || Fault::Kill { nodes: Target::Primaries };
        let inject = once(Action::Inject(FaultId(1), kill()));
        let run =
            ended(1, sequence(vec![repeat("a").limit(1).boxed(), inject.boxed()]), &mut simulate::Quick);
        assert_eq!(run.events[1].what, What::Inject(FaultId(1), kill()));
        assert_eq!((run.events[1].time.0, run.events[1].process), (0, crate::process::Process::NEMESIS));
    }
}
