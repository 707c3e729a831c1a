//! Whether two clients held a lock at once, as they themselves believed.
//!
//! A client holds a lock from its grant to its own call of release, or until it ends: a process that ends in doubt takes
//! its client along, and with it all that it held. From there on the lock may be free at any time, for its lease lapses
//! unseen. Therefore:
//! - whoever did not see a grant never held the lock: an acquire that failed says nothing, whatever kept the lock busy;
//! - a release ends the hold however it ended itself, and a doubt in another operation of the holder is a release too.
//!
//! What is judged then is a mutex whose tokens grow with each hold ([`FencedMutex`]).

use super::vocabulary::{GuardedOp, GuardedRet, GuardedVocabulary};
use crate::linearizability::check_operations;
use crate::models::fenced_mutex::FencedMutex;
use crate::models::lock::{Action, LockOp, LockRet};
use elenchus_core::budget::Budget;
use elenchus_core::checker::Checker;
use elenchus_core::history::{History, Malformed};
use elenchus_core::operation::Operation;
use elenchus_core::outcome::{Failure, Outcome};
use elenchus_core::process::Process;
use elenchus_core::verdict::Verdict;
use std::collections::BTreeMap;

/// The checker.
#[derive(Clone, Copy, Debug, Default)]
pub struct MutualExclusion;

const NAME: &str = "mutual-exclusion";

impl Checker for MutualExclusion {
    fn name(&self) -> &str {
        NAME
    }

    fn check(&self, history: &History, budget: &Budget) -> Result<Verdict, Malformed> {
        let operations = history.operations(&GuardedVocabulary)?;
        let holds = holds(history, &operations);
        let mut verdict = check_operations(&FencedMutex::default(), &holds, budget);
        verdict.checker = NAME.into();
        Ok(verdict)
    }
}

/// What the clients believed to acquire and to release, in the order of their calls.
fn holds(
    history: &History,
    operations: &[Operation<GuardedOp, GuardedRet>],
) -> Vec<Operation<LockOp, LockRet>> {
    let mut found = Vec::new();
    let mut held: BTreeMap<Process, LockOp> = BTreeMap::new();
    for operation in operations {
        if let GuardedOp::Lock(op) = &operation.op {
            let believed = believed(operation, op);
            match op.action {
                Action::Acquire if believed.outcome.is_ok() => {
                    held.insert(operation.process, op.clone());
                }
                Action::Acquire => {}
                Action::Release => {
                    held.remove(&operation.process);
                }
            }
            found.push(believed);
        }
        if operation.outcome.is_info()
            && let Some(lock) = held.remove(&operation.process)
            && let Some(end) = history.partner(operation.call)
        {
            found.push(Operation {
                process: operation.process,
                op: LockOp::release(lock.key, lock.holder),
                outcome: Outcome::info("its client ended"),
                call: end,
                done: Operation::<LockOp, LockRet>::OPEN,
                called: history.time(end),
                ended: None,
            });
        }
    }
    found.sort_by_key(|operation| operation.call);
    found
}

/// An operation of the lock, as it counts for what clients believe.
fn believed(operation: &Operation<GuardedOp, GuardedRet>, op: &LockOp) -> Operation<LockOp, LockRet> {
    let (outcome, done) = match (op.action, &operation.outcome) {
        (Action::Acquire, Outcome::Fail(_)) => (Outcome::not_done("no grant was seen"), operation.done),
        (Action::Release, Outcome::Fail(Failure::NotDone(_) | Failure::Refused(_))) => {
            (Outcome::info("the lock is given up all the same"), Operation::<LockOp, LockRet>::OPEN)
        }
        (_, outcome) => {
            let ret = |ret| match ret {
                GuardedRet::Lock(ret) => ret,
                GuardedRet::Set(_) => LockRet::Done,
            };
            (outcome.clone().map(ret), operation.done)
        }
    };
    let Operation { process, call, called, ended, .. } = *operation;
    Operation { process, op: op.clone(), outcome, call, done, called, ended }
}

#[cfg(test)]
mod tests {
    use super::super::notation::history;
    use super::*;
    use elenchus_core::verdict::Validity;

    fn judge(lines: &[&str]) -> Verdict {
        MutualExclusion.check(&history(lines), &Budget::unlimited()).expect("it can be judged")
    }

    #[track_caller]
    fn invalid(class: &str, words: &[&str], lines: &[&str]) {
        let verdict = judge(lines);
        assert_eq!(verdict.validity, Validity::Invalid, "{}", verdict.why);
        assert_eq!(verdict.class.as_deref(), Some(class), "{}", verdict.why);
        words.iter().for_each(|word| assert!(verdict.why.contains(word), "{word}: {}", verdict.why));
    }

    #[track_caller]
    fn not_invalid(lines: &[&str]) {
        let verdict = judge(lines);
        assert_ne!(verdict.validity, Validity::Invalid, "{}", verdict.why);
    }

    #[test]
    fn two_holders_at_once_are_named() {
        invalid(
            "double-hold",
            &["process 0", "process 1"],
            &["0 invoke acquire", "0 ok acquire", "1 invoke acquire", "1 ok acquire"],
        );
    }

    #[test]
    fn a_lock_that_went_over_while_its_holder_was_at_work_was_held_twice() {
        invalid(
            "double-hold",
            &["process 0", "process 1"],
            &[
                "0 invoke acquire",
                "0 ok acquire 5",
                "0 invoke add 1",
                "1 invoke acquire",
                "1 ok acquire 8",
                "0 info add",
                "1 invoke release",
                "1 ok release",
            ],
        );
    }

    #[test]
    fn a_holder_that_ended_in_doubt_holds_no_longer() {
        not_invalid(&[
            "0 invoke acquire",
            "0 ok acquire 5",
            "0 invoke add 1",
            "0 info add",
            "1 invoke acquire",
            "1 ok acquire 8",
            "1 invoke release",
            "1 ok release",
        ]);
    }

    #[test]
    fn a_release_ends_the_hold_however_it_ended() {
        for ended in ["ok", "fail", "info"] {
            not_invalid(&[
                "0 invoke acquire",
                "0 ok acquire 5",
                "0 invoke release",
                "1 invoke acquire",
                "1 ok acquire 8",
                &format!("0 {ended} release"),
            ]);
        }
    }

    #[test]
    fn who_saw_no_grant_held_nothing() {
        for ended in ["fail", "refused", "info"] {
            not_invalid(&[
                "0 invoke acquire",
                &format!("0 {ended} acquire"),
                "1 invoke acquire",
                "1 ok acquire 8",
                "2 invoke acquire",
                "2 refused acquire",
                "1 invoke release",
                "1 ok release",
                "3 invoke acquire",
                "3 refused acquire",
            ]);
        }
    }

    #[test]
    fn a_token_that_does_not_grow_is_found() {
        invalid(
            "token-went-backwards",
            &["5", "8"],
            &[
                "0 invoke acquire",
                "0 ok acquire 8",
                "0 invoke release",
                "0 ok release",
                "1 invoke acquire",
                "1 ok acquire 5",
            ],
        );
    }
}
