//! A sequential specification: what an object would do if it were used by one client at a time.

use crate::outcome::Outcome;
use std::fmt::Debug;
use std::hash::Hash;

/// A sequential object (Herlihy & Wing 1990, section 2): a history is linearizable if its operations can
/// be put in an order that respects real time and that this object, alone, could have produced.
///
/// The hints at the end only make the search cheaper; their defaults are always safe, and the tests
/// of each model refute a wrong hint by enumeration.
pub trait Model: Sync {
    /// What a client asks.
    type Op: Clone + Debug + PartialEq + Send + Sync;
    /// What the object answers.
    type Ret: Clone + Debug + PartialEq + Send + Sync;
    /// Names one of many independent objects: a history is linearizable if and only if each key's part is.
    type Key: Clone + Debug + Ord + Send + Sync;
    /// The object's state.
    type State: Clone + Debug + Eq + Hash + Send + Sync;

    /// The state before the first operation.
    fn init(&self, key: &Self::Key) -> Self::State;

    /// The states in which `op` can leave the object, given what its client learnt: none if that outcome
    /// is impossible here. `Ok(ret)` admits only this answer; `Fail(Refused(saw))` is an observation that
    /// changes nothing; `Info` admits any answer (its effect applied). Never called with `NotDone`.
    fn step(
        &self,
        state: &Self::State,
        op: &Self::Op,
        outcome: &Outcome<Self::Ret>,
    ) -> impl IntoIterator<Item = Self::State>;

    /// The object that `op` concerns.
    fn key(&self, op: &Self::Op) -> Self::Key;

    /// The operation and its outcome in plain notation: `read 3`, `cas 1 → 2 refused`. No process, no key.
    fn describe(&self, op: &Self::Op, outcome: &Outcome<Self::Ret>) -> String;

    /// Hint: with this outcome, `op` can never change any state (a read, a refused cas; not a write that
    /// happens to repeat the value).
    fn inert(&self, _op: &Self::Op, _outcome: &Outcome<Self::Ret>) -> bool {
        false
    }

    /// Hint: `op` succeeds in every state, always with the same answer, and the state after it does not
    /// depend on the one before (a blind write).
    fn overwrites(&self, _op: &Self::Op) -> bool {
        false
    }

    /// Hint: the only state in which `op` can leave an object that it changes, however it ends (the value
    /// of a write, the new value of a cas). `None`: there are many, or nobody knows.
    fn target(&self, _op: &Self::Op) -> Option<Self::State> {
        None
    }

    /// Hint: the only state in which `op` can end so (the value that a read saw, the value that a successful
    /// cas expected). `None`: there are many, or nobody knows.
    fn source(&self, _op: &Self::Op, _outcome: &Outcome<Self::Ret>) -> Option<Self::State> {
        None
    }

    /// Hint: the only state in which `op` cannot end so, without changing anything (the value that a refused
    /// cas expected, where it did not say what it saw). `None`: there are many, none, or nobody knows.
    fn excludes(&self, _op: &Self::Op, _outcome: &Outcome<Self::Ret>) -> Option<Self::State> {
        None
    }

    /// Hint: `op` can end so in every state, and what it makes of a state is one that this state grows into
    /// (an append; not a write).
    fn grows(&self, _op: &Self::Op, _outcome: &Outcome<Self::Ret>) -> bool {
        false
    }

    /// Hint: whether operations that grow can make `later` of `state` (a text that begins with it). True of a
    /// state and itself; if a second grows into a third, so does a first that grows into the second; and only
    /// finitely many grow into any one.
    fn grows_into(&self, _state: &Self::State, _later: &Self::State) -> bool {
        true
    }

    /// Hint: with this outcome, `op` is one of those whose order leaves no trace: in whatever order any of them
    /// happen, if they can, they end in one and the same state (the adds of a counter, of a grow-only set, what is
    /// acquired and released; not the writes of a register, nor what enters a queue).
    fn order_free(&self, _op: &Self::Op, _outcome: &Outcome<Self::Ret>) -> bool {
        false
    }

    /// Hint: bytes that this state occupies, heap included.
    fn weight(&self, _state: &Self::State) -> usize {
        size_of::<Self::State>()
    }
}
