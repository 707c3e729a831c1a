//! What the clients of locks do: each acquires its lock, adds one element, and releases it.
//!
//! A hold is numbered, so that each acquire has its release. A process that ended in doubt has a successor, which
//! holds nothing. Whoever called a release holds nothing either, whatever came of it.

use elenchus_checkers::guarded_set::vocabulary::{GuardedOp, GuardedRet};
use elenchus_checkers::models::lock::{self, Holder, LockOp, LockRet};
use elenchus_checkers::models::set::SetOp;
use elenchus_core::generator::{Action, Context, Event, Generator, Next, What};
use elenchus_core::outcome::Outcome;
use elenchus_core::process::{Process, Slot};
use elenchus_core::random::Rng;
use elenchus_core::value::Value;
use std::collections::BTreeMap;

/// One operation in so many, of a client that holds nothing, is a read of the set.
const READ_EVERY: u64 = 4;

/// Each slot acquires its lock, adds one element, and releases it; between holds it now and then reads.
pub(super) struct Holders {
    rng: Rng,
    /// So many slots share a lock.
    row: u32,
    fencing: bool,
    /// The next element.
    next: i64,
    places: BTreeMap<Slot, Place>,
}

/// Where one slot's process stands.
struct Place {
    process: Process,
    /// How many locks it asked for.
    holds: u32,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// It holds nothing.
    Free,
    /// It holds the lock, under this token, and has added nothing yet.
    Held(Option<i64>),
    /// It has added its element, or tried to.
    Added,
}

impl Holders {
    /// So many slots share a lock; with `fencing` whoever was given a token adds under it.
    pub(super) fn new(rng: Rng, row: u32, fencing: bool) -> Holders {
        Holders { rng, row, fencing, next: 0, places: BTreeMap::new() }
    }

    fn place(&mut self, slot: Slot, process: Process) -> &mut Place {
        let fresh = Place { process, holds: 0, stage: Stage::Free };
        let place = self.places.entry(slot).or_insert(fresh);
        if place.process != process {
            *place = Place { process, holds: 0, stage: Stage::Free };
        }
        place
    }

    fn add(&mut self, key: Value, token: Option<i64>) -> GuardedOp {
        self.next += 1;
        let element = Value::Int(self.next - 1);
        match token {
            Some(token) if self.fencing => GuardedOp::AddUnder { key, element, token },
            _ => GuardedOp::Set(SetOp::Add { key, element }),
        }
    }
}

impl Generator<GuardedOp, GuardedRet> for Holders {
    fn next(&mut self, cx: &mut Context) -> Next<GuardedOp> {
        let Some(slot) = cx.pick() else { return Next::Wait(None) };
        let (process, key) = (cx.process(slot), Value::Int(i64::from(slot.0 / self.row)));
        let reads = self.rng.chance(1, READ_EVERY);
        let fencing = self.fencing;
        let place = self.place(slot, process);
        let holder = |hold| Holder { owner: Value::Int(i64::from(process.0)), hold };
        let op = match place.stage {
            Stage::Free if reads => GuardedOp::Set(SetOp::Read { key }),
            Stage::Free => {
                place.holds += 1;
                GuardedOp::Lock(LockOp::acquire(key, holder(place.holds)))
            }
            // Whoever was given no token has nothing to show to what the lock guards.
            Stage::Held(token) if token.is_some() || !fencing => self.add(key, token),
            Stage::Held(_) | Stage::Added => GuardedOp::Lock(LockOp::release(key, holder(place.holds))),
        };
        Next::Invoke(slot, Action::Client(op))
    }

    fn update(&mut self, _cx: &mut Context, event: &Event<GuardedOp, GuardedRet>) {
        let What::Done(op, outcome) = &event.what else { return };
        let stage = match (op, outcome) {
            (GuardedOp::Set(SetOp::Read { .. }), _) => return,
            (GuardedOp::Lock(LockOp { action: lock::Action::Acquire, .. }), Outcome::Ok(ret)) => {
                Stage::Held(match ret {
                    GuardedRet::Lock(LockRet::Fence(token)) => Some(*token),
                    _ => None,
                })
            }
            // The lock is given up, whatever came of the release.
            (GuardedOp::Lock(_), _) => Stage::Free,
            (GuardedOp::Set(_) | GuardedOp::AddUnder { .. }, _) => Stage::Added,
        };
        self.place(event.slot, event.process).stage = stage;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use elenchus_checkers::models::set::SetRet;
    use elenchus_core::random::Seed;

    #[test]
    fn each_client_acquires_adds_and_releases_in_turn() {
        let mut generator = Holders::new(Seed(1).rng(), 2, true);
        let mut cx = Context::new(4);
        let mut last: BTreeMap<Slot, &str> = BTreeMap::new();
        let mut elements = Vec::new();
        for turn in 0..400 {
            let Next::Invoke(slot, Action::Client(op)) = generator.next(&mut cx) else { panic!("it ends") };
            assert_eq!(op.key(), &Value::Int(i64::from(slot.0 / 2)), "a row shares a lock");
            let (f, outcome) = match &op {
                GuardedOp::Lock(LockOp { action: lock::Action::Acquire, holder, .. }) => {
                    assert_eq!(holder.owner, Value::Int(cx.process(slot).0.into()));
                    ("acquire", Outcome::Ok(GuardedRet::Lock(LockRet::Fence(turn))))
                }
                GuardedOp::Lock(_) => ("release", Outcome::not_done("no connection")),
                GuardedOp::AddUnder { element, .. } => {
                    elements.push(element.clone());
                    // Every third adder ends in doubt.
                    let ended = if turn % 3 == 0 { Outcome::info("?") } else { Outcome::not_done("!") };
                    ("add", ended)
                }
                GuardedOp::Set(_) => ("read", Outcome::Ok(GuardedRet::Set(SetRet::Elements(vec![])))),
            };
            let before = last.get(&slot).copied().unwrap_or("release");
            let fits = match f {
                "acquire" | "read" => before == "release",
                "add" => before == "acquire",
                _ => before == "add",
            };
            assert!(fits, "{f} after {before}");
            let retired = outcome.is_info();
            if f != "read" {
                last.insert(slot, if retired { "release" } else { f });
            }
            let process = cx.process(slot);
            let event = Event { time: cx.now, slot, process, what: What::Done(op, outcome) };
            generator.update(&mut cx, &event);
            cx.occupy(slot);
            cx.release(slot, retired);
        }
        let offered = elements.len();
        elements.dedup();
        assert!(offered > 50 && elements.len() == offered, "each element is added once");
    }
}
