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
use crate::models::collection::{
    At, Deed, Deeds, Doers, END, Life, Loose, NOBODY, Reason, Unsettled, assign, covered, gather, settle,
};
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

/// A linearization of these operations of one key, as numbers; `None` if this cannot tell.
pub(super) fn linearization(bag: &Bag, tasks: &[Task<'_, Bag>]) -> Option<Vec<u32>> {
    let lives = gather(&bag.initial, tasks, deed)?.ok()?;
    let loose: Vec<Loose> =
        lives.loose().map(|number| Loose::new(&lives.lives[number as usize], END)).collect();
    let gaps = settle(&lives, &loose, covered(&lives).ok()?).ok()?;
    let removals = assign(&loose, &lives.blind, &gaps)?;
    let mut last: Vec<At> = lives.lives.iter().map(|life| life.last).collect();
    lives.loose().zip(&removals).for_each(|(number, removal)| last[number as usize] = removal.at);
    let deeds = Deeds::new(&lives, tasks, deed, &bag.initial, (&removals, &gaps));
    let mut places: Vec<Place> = deeds.empties.iter().map(|(gap, id)| (*gap, 1, 0, *id)).collect();
    places.extend(deeds.idle.iter().map(|(call, id)| (*call, 1, 0, *id)));
    for (rank, ((life, doers), last)) in (0..).zip(lives.lives.iter().zip(&deeds.doers).zip(last)) {
        let [put, take] = ends(life, last, rank);
        let Doers { adder, remover, .. } = *doers;
        places.extend((adder != NOBODY).then_some((put.0, put.1, put.2, adder)));
        places.extend((remover != NOBODY).then_some((take.0, take.1, take.2, remover)));
    }
    places.sort_unstable();
    Some(places.into_iter().map(|(.., id)| id).collect())
}

/// An operation's gap; of one gap first what is taken there, then who finds nothing, then what is put in, then what
/// is put in and taken at once; among these last, the value.
type Place = (At, u8, u64, u32);

/// Where a value is put in and where it is taken, if it was taken after `last`.
fn ends(life: &Life, last: At, rank: u64) -> [(At, u8, u64); 2] {
    match life.inside() <= last {
        true => [(life.inside().saturating_sub(1), 2, 0), (last, 0, 0)],
        false => [(last, 3, 2 * rank), (last, 3, 2 * rank + 1)],
    }
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
