//! How an anomaly of a lock is told: who held it at once, who released what was not held, which token went
//! backwards.
//!
//! A name is given only where it is certain; everything else is `nonlinearizable`.

use super::{Effect, Holder, LockOp, LockRet, effect, fence};
use crate::linearizability::{Case, Telling};
use elenchus_core::model::Model;
use elenchus_core::operation::Operation;
use elenchus_core::outcome::Outcome;

type LockOperation = Operation<LockOp, LockRet>;

/// More holders than this are counted, not named.
const NAMED_MAX: usize = 4;

/// The anomaly of a lock of this many permits.
pub(in crate::models) fn tell<M>(model: &M, case: &Case<'_, M>, permits: u64) -> Telling
where
    M: Model<Op = LockOp, Ret = LockRet>,
{
    let lock = Told { witness: &case.witness, all: &case.operations, guilty: case.guilty, of: case.of_key() };
    lock.refusal()
        .or_else(|| lock.tokens())
        .or_else(|| lock.holders(permits))
        .or_else(|| lock.counted(permits))
        .unwrap_or_else(|| case.plainly(model))
}

struct Told<'c, 'h> {
    witness: &'c [&'h LockOperation],
    all: &'c [&'h LockOperation],
    guilty: &'h LockOperation,
    of: String,
}

impl<'h> Told<'_, 'h> {
    fn telling(&self, class: &'static str, sentence: String, named: &[&LockOperation]) -> Telling {
        let named = named.iter().map(|o| o.call).chain([self.guilty.call]).collect();
        Telling { class, sentence, named }
    }

    fn refusal(&self) -> Option<Telling> {
        let Operation { process, op, outcome, .. } = self.guilty;
        let span = span(self.guilty);
        let (class, sentence) = match effect(op, outcome) {
            Effect::SawBusy => (
                "refused-while-free",
                format!(
                    "process {process} was refused the lock{} ({span}), although nobody can have held it then",
                    self.of
                ),
            ),
            Effect::SawNotHeld => (
                "denied-while-held",
                format!(
                    "process {process} was told that it does not hold the lock{} ({span}), although it must have held it",
                    self.of
                ),
            ),
            _ => return None,
        };
        Some(self.telling(class, sentence, &[]))
    }

    /// Two acquires in the witness whose tokens do not grow.
    fn tokens(&self) -> Option<Telling> {
        let fenced = |o: &&&LockOperation| fence(&o.outcome).is_some();
        let acquires: Vec<&LockOperation> = self.witness.iter().filter(fenced).copied().collect();
        for (i, second) in acquires.iter().enumerate() {
            for first in &acquires[..i] {
                let (a, b) = (fence(&first.outcome)?, fence(&second.outcome)?);
                let who = |o: &LockOperation| format!("process {} ({})", o.process, span(o));
                let (one, two) = (who(first), who(second));
                if a == b && first.op.holder.owner != second.op.holder.owner {
                    let sentence = format!(
                        "two holders of the lock{} were given the same token {a}: {one} and {two}",
                        self.of
                    );
                    return Some(self.telling("token-repeated", sentence, &[first, second]));
                }
                if a >= b && first.precedes(second) {
                    let sentence = format!(
                        "the token of the lock{} did not grow: {one} was given {a}, and after that {two} was given {b}",
                        self.of
                    );
                    return Some(self.telling("token-went-backwards", sentence, &[first, second]));
                }
            }
        }
        None
    }

    /// The holders that the witness is about.
    fn holders(&self, permits: u64) -> Option<Telling> {
        let mut holders: Vec<&Holder> = self.witness.iter().map(|o| &o.op.holder).collect();
        holders.sort_unstable();
        holders.dedup();
        if holders.contains(&&Holder::ANYBODY) {
            return None;
        }
        let wanted: u64 = holders.iter().map(|holder| self.most(holder)).sum();
        if let [holder] = holders[..] {
            return self.release_without_hold(holder);
        }
        if wanted <= permits {
            return None;
        }
        let named: Vec<String> = holders.iter().take(NAMED_MAX).map(|holder| self.hold(holder)).collect();
        let more = if holders.len() > NAMED_MAX {
            format!(" and {} more", holders.len() - NAMED_MAX)
        } else {
            String::new()
        };
        let same = holders.windows(2).all(|pair| pair[0].owner == pair[1].owner);
        let (class, what) = match (permits, same) {
            (1, true) => ("acquired-twice", format!("the lock{} was acquired again by who held it", self.of)),
            (1, false) => ("double-hold", format!("the lock{} was held by two at once", self.of)),
            _ => ("too-many-permits", format!("{wanted} permits{} were held at once, of {permits}", self.of)),
        };
        let sentence = format!("{what}: {}{more}", named.join("; "));
        let named: Vec<&LockOperation> = self.witness.iter().take(2 * NAMED_MAX).copied().collect();
        Some(self.telling(class, sentence, &named))
    }

    /// The most permits that an operation of this holder in the witness is about.
    fn most(&self, holder: &Holder) -> u64 {
        let own = self.witness.iter().filter(|o| o.op.holder == *holder);
        own.map(|o| u64::from(o.op.permits)).max().unwrap_or(0)
    }

    /// `process 3 (acquired at 4–7, released at 12–14)`
    fn hold(&self, holder: &Holder) -> String {
        let own =
            || self.all.iter().filter(|o| o.op.holder == *holder && !matches!(o.outcome, Outcome::Fail(_)));
        let process = own().next().map_or_else(String::new, |o| format!("process {}", o.process));
        let mut acts: Vec<String> = own()
            .map(|o| match effect(&o.op, &o.outcome) {
                Effect::Acquire => format!("acquired at {}", span(o)),
                _ => format!("released at {}", span(o)),
            })
            .collect();
        if !own().any(|o| effect(&o.op, &o.outcome) == Effect::Release) {
            acts.push("not released".to_owned());
        }
        format!("{process} ({})", acts.join(", "))
    }

    fn release_without_hold(&self, holder: &Holder) -> Option<Telling> {
        let releases = effect(&self.guilty.op, &self.guilty.outcome) == Effect::Release;
        if !releases || self.guilty.op.holder != *holder {
            return None;
        }
        let others: Vec<&LockOperation> =
            self.witness.iter().copied().filter(|o| o.call != self.guilty.call).collect();
        let before = others.iter().find(|o| effect(&o.op, &o.outcome) == Effect::Release);
        let why = before
            .map_or_else(String::new, |o| format!(": process {} had released it at {}", o.process, span(o)));
        let sentence = format!(
            "process {} released the lock{} ({}), which it did not hold{why}",
            self.guilty.process,
            self.of,
            span(self.guilty)
        );
        Some(self.telling("release-without-hold", sentence, &others))
    }

    /// Of a lock that anybody may release, the count of what must have happened before the guilty one returned.
    fn counted(&self, permits: u64) -> Option<Telling> {
        let end = self.guilty.done;
        let count = |wanted: Effect, certain: bool| -> u64 {
            let own = self.all.iter().filter(|o| {
                let possible =
                    !matches!(o.outcome, Outcome::Fail(_)) && o.call < end && (!certain || o.done <= end);
                possible && effect(&o.op, &o.outcome) == wanted
            });
            own.map(|o| u64::from(o.op.permits)).sum()
        };
        let (process, span) = (self.guilty.process, span(self.guilty));
        let (class, sentence) = match effect(&self.guilty.op, &self.guilty.outcome) {
            Effect::Acquire => {
                let (acquired, released) = (count(Effect::Acquire, true), count(Effect::Release, false));
                if acquired <= released.saturating_add(permits) {
                    return None;
                }
                let sentence = format!(
                    "process {process} acquired the lock{} ({span}) while it was held: {acquired} permits had been acquired by then, and no more than {released} released",
                    self.of
                );
                (if permits == 1 { "double-hold" } else { "too-many-permits" }, sentence)
            }
            Effect::Release => {
                let (acquired, released) = (count(Effect::Acquire, false), count(Effect::Release, true));
                if released <= acquired {
                    return None;
                }
                let sentence = format!(
                    "process {process} released the lock{} ({span}), which was not held: {released} permits had been released by then, and no more than {acquired} acquired",
                    self.of
                );
                ("release-without-hold", sentence)
            }
            _ => return None,
        };
        Some(self.telling(class, sentence, &[]))
    }
}

/// Where an operation stands in the log: `4–7`, or `from 4 on` if it is in doubt.
fn span(operation: &LockOperation) -> String {
    match operation.done == LockOperation::OPEN {
        true => format!("{} or later", operation.call),
        false => format!("{}–{}", operation.call, operation.done),
    }
}
