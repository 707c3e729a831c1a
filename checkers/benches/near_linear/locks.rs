//! Locks, semaphores and logs.
//!
//! Clients take what is free at their call, and often come too late: such an acquire is refused (where nobody
//! owns the lock) or fails and did nothing. What is in doubt explains almost anything where nobody owns the
//! lock, so that many lies are needed there.

use super::Case;
use elenchus_checkers::models::append_log::{AppendLog, Entries, LogAct, LogOp, LogRet};
use elenchus_checkers::models::fenced_mutex::{Fenced, FencedMutex};
use elenchus_checkers::models::lock::{Action, Holder, LockOp, LockRet};
use elenchus_checkers::models::mutex::Mutex;
use elenchus_checkers::models::semaphore::Semaphore;
use elenchus_core::model::Model;
use elenchus_core::operation::Operation;
use elenchus_core::outcome::{Failure, Outcome};
use elenchus_core::random::Rng;
use elenchus_core::value::Value;

type LockOperation = Operation<LockOp, LockRet>;

/// A lock that anybody may release.
pub fn mutex() -> Case<Mutex> {
    let choose = |rng: &mut Rng, key, _, state: &Option<Holder>| match state {
        Some(_) if rng.chance(3, 4) => LockOp::release(Value::Int(key), Holder::ANYBODY),
        _ => LockOp::acquire(Value::Int(key), Holder::ANYBODY),
    };
    let answer = |state: &Option<Holder>, op: &LockOp| match op.action {
        Action::Acquire if state.is_some() => Outcome::Fail(Failure::Refused(None)),
        Action::Release if state.is_none() => Outcome::not_done("not held"),
        _ => Outcome::Ok(LockRet::Done),
    };
    Case { model: Mutex::default(), initial: None, choose, answer, lie: never_refused }
}

/// A lock that only its owner may release.
pub fn owned_mutex() -> Case<Mutex> {
    let choose = |_: &mut Rng, key, number, state: &Option<Holder>| match state {
        Some(holder) => LockOp::release(Value::Int(key), holder.clone()),
        None => LockOp::acquire(Value::Int(key), holder(number)),
    };
    let model = Mutex::default();
    Case {
        model,
        initial: None,
        choose,
        answer: |state, op| done_if_possible(&Mutex::default(), state, op),
        lie: second_holder,
    }
}

/// The same, with tokens.
pub fn fenced_mutex() -> Case<FencedMutex> {
    let choose = |_: &mut Rng, key, number, state: &Fenced| match state.owned.holds.first() {
        Some(hold) => {
            let holder = Holder { owner: state.owned.owner.clone(), hold: *hold };
            LockOp::release(Value::Int(key), holder)
        }
        None => LockOp::acquire(Value::Int(key), holder(number)),
    };
    let answer = |state: &Fenced, op: &LockOp| match (op.action, state.owned.holds.is_empty()) {
        (Action::Acquire, true) => Outcome::Ok(LockRet::Fence(state.largest.unwrap_or(0) + 1)),
        _ => done_if_possible(&FencedMutex::default(), state, op),
    };
    Case { model: FencedMutex::default(), initial: Fenced::default(), choose, answer, lie: token_of_old }
}

const FIVE: Semaphore = Semaphore { permits: 5 };

/// A semaphore whose holders are known and take one permit or two.
pub fn semaphore() -> Case<Semaphore> {
    let choose = |rng: &mut Rng, key, number, state: &Vec<(Holder, u32)>| {
        if !state.is_empty() && rng.chance(1, 2) {
            let (holder, permits) = rng.pick(state).clone();
            return LockOp { permits, ..LockOp::release(Value::Int(key), holder) };
        }
        LockOp { permits: rng.between(1, 2) as u32, ..LockOp::acquire(Value::Int(key), holder(number)) }
    };
    let answer = |state: &Vec<(Holder, u32)>, op: &LockOp| done_if_possible(&FIVE, state, op);
    Case { model: FIVE, initial: Vec::new(), choose, answer, lie: second_holder }
}

/// A semaphore whose permits anybody may release, one at a time.
pub fn semaphore_without_owners() -> Case<Semaphore> {
    let choose = |rng: &mut Rng, key, _, _: &Vec<(Holder, u32)>| match rng.chance(1, 2) {
        true => LockOp::release(Value::Int(key), Holder::ANYBODY),
        false => LockOp::acquire(Value::Int(key), Holder::ANYBODY),
    };
    let answer = |state: &Vec<(Holder, u32)>, op: &LockOp| done_if_possible(&FIVE, state, op);
    Case { model: FIVE, initial: Vec::new(), choose, answer, lie: never_refused }
}

/// Appends that are told their offsets, reads and polls near the end.
pub fn append_log() -> Case<AppendLog> {
    let choose = |rng: &mut Rng, key, number, state: &Entries| {
        let near_the_end = (state.len() as u64).saturating_sub(rng.below(4));
        let act = match rng.below(4) {
            0..2 => LogAct::Append(Value::Int(number as i64)),
            2 => LogAct::Read(near_the_end),
            _ => LogAct::Poll(near_the_end),
        };
        LogOp { key: Value::Int(key), act }
    };
    let answer = |state: &Entries, op: &LogOp| {
        Outcome::Ok(match op.act {
            LogAct::Append(_) => LogRet::At(state.len() as u64),
            LogAct::Read(offset) => LogRet::Entry(state.get(offset).cloned().unwrap_or(Value::Nil)),
            LogAct::ReadAll => LogRet::Entries(state.to_vec()),
            LogAct::Poll(from) => {
                LogRet::Entries((from..state.len() as u64).filter_map(|at| state.get(at).cloned()).collect())
            }
        })
    };
    Case { model: AppendLog::default(), initial: Entries::default(), choose, answer, lie: lost_entries }
}

/// Who acquires by the operation of this number.
fn holder(number: usize) -> Holder {
    Holder { owner: Value::Int(number as i64), hold: 1 }
}

fn done_if_possible<M>(model: &M, state: &M::State, op: &LockOp) -> Outcome<LockRet>
where
    M: Model<Op = LockOp, Ret = LockRet>,
{
    let done = Outcome::Ok(LockRet::Done);
    let possible = model.step(state, op, &done).into_iter().next().is_some();
    if possible { done } else { Outcome::not_done("not possible") }
}

/// From the middle on every acquire is said to have succeeded.
fn never_refused(operations: &mut [LockOperation]) {
    let middle = operations.len() / 2;
    let failed =
        |o: &&mut LockOperation| o.op.action == Action::Acquire && matches!(o.outcome, Outcome::Fail(_));
    operations[middle..].iter_mut().filter(failed).for_each(|o| o.outcome = Outcome::Ok(LockRet::Done));
}

/// An acquire that failed is said to have succeeded; it is never released.
fn second_holder(operations: &mut [LockOperation]) {
    let middle = operations.len() / 2;
    let failed =
        |o: &&mut LockOperation| o.op.action == Action::Acquire && matches!(o.outcome, Outcome::Fail(_));
    let late = operations[middle..].iter_mut().find(failed).expect("some come too late");
    late.outcome = Outcome::Ok(LockRet::Done);
}

/// An acquire is given a token smaller than all.
fn token_of_old(operations: &mut [LockOperation]) {
    let middle = operations.len() / 2;
    let fenced = |o: &&mut LockOperation| matches!(o.outcome, Outcome::Ok(LockRet::Fence(_)));
    let late = operations[middle..].iter_mut().find(fenced).expect("many succeed");
    late.outcome = Outcome::Ok(LockRet::Fence(0));
}

/// A poll from an offset that was assigned before finds nothing there.
fn lost_entries(operations: &mut [Operation<LogOp, LogRet>]) {
    let middle = operations.len() / 2;
    let known = operations[..middle].iter().filter_map(|o| match o.outcome {
        Outcome::Ok(LogRet::At(offset)) if (o.done as usize) < middle => Some(offset),
        _ => None,
    });
    let known = known.max().expect("many are appended");
    let polls = |o: &&mut Operation<LogOp, LogRet>| o.outcome.is_ok() && matches!(o.op.act, LogAct::Poll(_));
    let late = operations[middle..].iter_mut().find(polls).expect("many poll");
    late.op.act = LogAct::Poll(known);
    late.outcome = Outcome::Ok(LogRet::Entries(Vec::new()));
}
