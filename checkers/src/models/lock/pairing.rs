//! Who holds a lock, found out from who asked.
//!
//! Processes are sequential, and one that ends in doubt does no more. The k-th release of a process
//! therefore ends the hold that its latest open acquire began, in every order that respects real time. To
//! write that down changes no verdict, and makes a proof small: two holds that overlap contradict each
//! other, whatever other holds of the same owners did.
//!
//! The same holds of a lock without owners where every process acquires and releases in turn: the first
//! release can only be by the process that acquired first, since no other has a release to make, and so on.
//! Such a lock is judged as one with owners, and so is a semaphore of which no process
//! releases more than it holds; any other stays as it was recorded.

use super::{Effect, Holder, LockOp, LockRet, effect};
use elenchus_core::operation::Operation;
use elenchus_core::outcome::{Failure, Outcome};
use elenchus_core::value::Value;
use std::collections::HashMap;

type LockOperation = Operation<LockOp, LockRet>;

/// Makes the process the owner where none is named, and pairs each owner's acquires and releases.
pub fn held_by_processes(operations: &mut [LockOperation]) {
    for operation in operations.iter_mut().filter(|operation| operation.op.holder.owner.is_nil()) {
        operation.op.holder.owner = process(operation);
    }
    number_holds(operations);
}

/// Pairs each owner's acquires and releases, unless they name their holds.
fn number_holds(operations: &mut [LockOperation]) {
    if operations.iter().any(|operation| operation.op.holder.hold != 0) {
        return;
    }
    let (owners, holds) = pair(operations, |operation| operation.op.holder.owner.clone());
    for (operation, (owner, hold)) in operations.iter_mut().zip(holds) {
        if owners[owner].certain {
            operation.op.holder.hold = hold;
        }
    }
}

/// Names the holders of a mutex without owners, if every process acquires and releases it in turn.
pub fn paired(operations: &mut [LockOperation]) {
    name_processes(operations, |owner| owner.certain && owner.covered && owner.in_turn);
}

/// Names the holders of a semaphore without owners, if no process releases more than it holds.
pub fn paired_permits(operations: &mut [LockOperation]) {
    name_processes(operations, |owner| owner.certain && owner.covered);
}

fn name_processes(operations: &mut [LockOperation], orderly: fn(&Owner) -> bool) {
    if operations.iter().any(|operation| operation.op.holder != Holder::ANYBODY) {
        return number_holds(operations);
    }
    let (owners, holds) = pair(operations, process);
    let mut all_orderly: HashMap<&Value, bool> = HashMap::new();
    for owner in &owners {
        *all_orderly.entry(&owner.key).or_insert(true) &= orderly(owner);
    }
    for (operation, (owner, hold)) in operations.iter_mut().zip(holds) {
        if all_orderly[&owners[owner].key] {
            operation.op.holder = Holder { owner: process(operation), hold };
        }
    }
}

fn process(operation: &LockOperation) -> Value {
    Value::Int(i64::from(operation.process.0))
}

/// What one owner did with one lock.
struct Owner {
    key: Value,
    /// Its open holds, and their permits.
    open: Vec<(u32, u32)>,
    /// How many holds it began.
    begun: u32,
    /// How many numbers went to what did not happen: these count from above.
    unused: u32,
    /// The end of its latest operation.
    done: u32,
    /// Whether its operations came one after the other, and only the last is in doubt.
    certain: bool,
    /// Whether it never released what it did not hold, nor was told so.
    covered: bool,
    /// Whether it never had two holds at once.
    in_turn: bool,
}

/// All owners, and of each operation its owner and hold.
fn pair(
    operations: &[LockOperation],
    owner_of: impl Fn(&LockOperation) -> Value,
) -> (Vec<Owner>, Vec<(usize, u32)>) {
    let mut owners: Vec<Owner> = Vec::new();
    let mut numbers: HashMap<(Value, Value), usize> = HashMap::new();
    let mut holds = Vec::with_capacity(operations.len());
    for operation in operations {
        let key = operation.op.key.clone();
        let number = *numbers.entry((key, owner_of(operation))).or_insert_with_key(|(key, _)| {
            owners.push(Owner::new(key.clone()));
            owners.len() - 1
        });
        holds.push((number, owners[number].hold_of(operation)));
    }
    (owners, holds)
}

impl Owner {
    fn new(key: Value) -> Owner {
        Owner {
            key,
            open: Vec::new(),
            begun: 0,
            unused: 0,
            done: 0,
            certain: true,
            covered: true,
            in_turn: true,
        }
    }

    /// The hold that the owner's next operation begins, ends, or speaks of.
    fn hold_of(&mut self, operation: &LockOperation) -> u32 {
        if matches!(operation.outcome, Outcome::Fail(Failure::NotDone(_))) {
            return self.another();
        }
        self.certain &= self.done <= operation.call;
        self.done = operation.done;
        let permits = operation.op.permits;
        match effect(&operation.op, &operation.outcome) {
            Effect::SawBusy => self.another(),
            Effect::SawNotHeld => {
                self.covered = false;
                self.certain &= self.open.len() < 2;
                self.open.last().map_or(self.begun, |(hold, _)| *hold)
            }
            Effect::Acquire => {
                self.in_turn &= self.open.is_empty();
                self.begun += 1;
                self.open.push((self.begun, permits));
                self.begun
            }
            Effect::Release => {
                let Some(at) = self.open.iter().rposition(|(_, held)| *held == permits) else {
                    self.covered = false;
                    self.certain &= self.open.is_empty();
                    // Nothing is open: it can only be released a second time, or have been held at first.
                    return self.begun;
                };
                self.open.remove(at).0
            }
        }
    }

    fn another(&mut self) -> u32 {
        self.unused += 1;
        u32::MAX - self.unused
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linearizability::tests::oracle::is_linearizable;
    use crate::models::lock::Action;
    use crate::models::mutex::Mutex;
    use crate::models::reentrant_mutex::ReentrantMutex;
    use crate::models::semaphore::Semaphore;
    use crate::synthetic::Simulation;
    use elenchus_core::model::Model;
    use elenchus_core::random::{Rng, Seed};

    const ROUNDS: u64 = 20_000;

    /// Small histories of a true lock without owners, of which some tell lies.
    fn histories<M>(model: &M) -> impl Iterator<Item = Vec<LockOperation>>
    where
        M: Model<Op = LockOp, Ret = LockRet, Key = Value>,
    {
        let choose = |rng: &mut Rng, _: usize, _: &M::State| {
            let action = if rng.chance(1, 2) { Action::Acquire } else { Action::Release };
            LockOp { key: Value::Nil, action, holder: Holder::ANYBODY, permits: 1 }
        };
        let answer = |state: &M::State, op: &LockOp| {
            let done = Outcome::Ok(LockRet::Done);
            let possible = model.step(state, op, &done).into_iter().next().is_some();
            if possible { done } else { Outcome::Fail(Failure::Refused(None)) }
        };
        (0..ROUNDS).map(move |seed| {
            let mut rng = Seed(seed).stream("lies").rng();
            let (operations, clients) = (rng.between(2, 7) as usize, rng.between(2, 3) as usize);
            let simulation = Simulation { operations, clients, doubt_permille: rng.below(3) * 100, seed };
            let mut operations = simulation.run(model, model.init(&Value::Nil), choose, answer);
            let refused = |operation: &&mut LockOperation| matches!(operation.outcome, Outcome::Fail(_));
            for operation in operations.iter_mut().filter(refused) {
                match rng.below(4) {
                    0 => {}
                    1 => operation.outcome = Outcome::Ok(LockRet::Done),
                    _ => operation.outcome = Outcome::not_done("not possible"),
                }
            }
            operations
        })
    }

    /// How many histories were changed, and how many of those are linearizable.
    fn agree<M>(model: &M, before: fn(&mut LockOperation), prepare: fn(&mut [LockOperation])) -> (u64, u64)
    where
        M: Model<Op = LockOp, Ret = LockRet, Key = Value>,
    {
        let (mut changed, mut linearizable) = (0, 0);
        for mut operations in histories(model) {
            operations.iter_mut().for_each(before);
            let mut named = operations.clone();
            prepare(&mut named);
            let truth = is_linearizable(model, &operations);
            assert_eq!(is_linearizable(model, &named), truth, "{operations:#?}");
            changed += u64::from(named != operations);
            linearizable += u64::from(named != operations && truth);
        }
        (changed, linearizable)
    }

    fn owned_by_process(operation: &mut LockOperation) {
        operation.op.holder.owner = process(operation);
    }

    #[track_caller]
    fn check((changed, linearizable): (u64, u64)) {
        let both = linearizable > ROUNDS / 100 && changed - linearizable > ROUNDS / 100;
        assert!(both, "hardly anything was tried: {linearizable} of {changed} are linearizable");
    }

    #[test]
    fn naming_the_holders_of_a_lock_without_owners_changes_no_verdict() {
        check(agree(&Mutex::default(), |_| {}, paired));
        check(agree(&Semaphore { permits: 2 }, |_| {}, paired_permits));
    }

    #[test]
    fn telling_the_holds_of_owners_apart_changes_no_verdict() {
        check(agree(&Mutex::default(), owned_by_process, held_by_processes));
        check(agree(&Semaphore { permits: 2 }, owned_by_process, held_by_processes));
        check(agree(&ReentrantMutex, owned_by_process, held_by_processes));
    }
}
