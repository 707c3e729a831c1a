//! Bags in which no value is put in twice: an exact answer in time n log n.
//!
//! **Theorem.** The history is linearizable if and only if no value is taken twice, or taken without having been
//! put in or before its put was called, and within every take that found nothing there is a gap where no value
//! is certainly inside (from the return of its put to the call of its take).
//!
//! *Proof.* All are necessary. Let them hold, and let every empty take happen in its gap. A value that is
//! certainly inside for a while is put in just before that and taken just after it, so that it is inside in
//! none of the gaps; any other one is put in and taken at one point. ∎ (Without an order between values these
//! are all the patterns of Henzinger, Sezgin & Vafeiadis, CONCUR 2013, that remain.)
//!
//! **In doubt.** A put in doubt happened if its value was taken for certain, and else is left out. A take in
//! doubt that names its value may take it at any time after its call. One that does not may take any value,
//! once: which empty takes these can explain [`crate::models::collection`] says, exactly.
//!
//! **What is left to search**: values put in twice; and some histories with takes in doubt of both kinds.

use super::{Bag, BagOp, BagRet, finds_nothing};
use crate::linearizability::Task;
use crate::models::collection::{Deed, END, Loose, Reason, Unsettled, assign, covered, gather, settle};
use elenchus_core::outcome::{Failure, Outcome};

/// Whether these operations of one key are linearizable, or why not; `None` if this cannot tell.
pub(super) fn judge(bag: &Bag, tasks: &[Task<'_, Bag>]) -> Option<Result<(), Reason>> {
    let lives = match gather(&bag.initial, tasks, deed)? {
        Ok(lives) => lives,
        Err(reason) => return Some(Err(reason)),
    };
    let cover = match covered(&lives) {
        Ok(cover) => cover,
        Err(reason) => return Some(Err(reason)),
    };
    let loose: Vec<Loose> =
        lives.loose().map(|number| Loose::new(&lives.lives[number as usize], END)).collect();
    if lives.released() >= loose.len() {
        return Some(Ok(()));
    }
    let all = || tasks.iter().map(|task| task.id).collect();
    let gaps = match settle(&lives, &loose, cover) {
        Ok(gaps) => gaps,
        Err(Unsettled::Crowded(empty)) => return Some(Err(lives.crowded(empty, all()))),
        // There is no order, so there are no deadlines.
        Err(Unsettled::Late(_)) => return None,
    };
    let exact = loose.iter().all(|value| value.own == END);
    (exact || assign(&loose, &lives.blind, &gaps).is_some()).then_some(Ok(()))
}

fn deed<'h>(task: &Task<'h, Bag>) -> Deed<'h> {
    match (task.op, task.outcome) {
        (BagOp::Put { .. }, Outcome::Fail(_)) | (_, Outcome::Fail(Failure::NotDone(_))) => Deed::Nothing,
        (BagOp::Put { value, .. }, _) => Deed::Adds(value),
        (BagOp::Take { .. }, Outcome::Ok(BagRet::Value(value))) => Deed::Removes(value),
        (BagOp::Take { .. }, Outcome::Info(_)) => Deed::RemovesSomething,
        (BagOp::Take { .. }, outcome) if finds_nothing(outcome) => Deed::FindsNothing,
        (BagOp::Take { .. }, _) => Deed::Absurd,
    }
}
