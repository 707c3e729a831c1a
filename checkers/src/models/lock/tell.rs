//! How an anomaly of a lock is told: who held it at once, who released what was not held, which token went
//! backwards.
//!
//! A name is given only where it is certain; everything else is `nonlinearizable`. A proof may hold a release
//! without its acquire, or rest on a release that ends another hold: what belongs together is shown together.

use super::{Effect, Holder, LockOp, LockRet, effect, fence};
use crate::linearizability::{Case, Telling};
use elenchus_core::event::Index;
use elenchus_core::model::Model;
use elenchus_core::operation::Operation;
use elenchus_core::outcome::Outcome;
use std::collections::HashSet;

type LockOperation = Operation<LockOp, LockRet>;

/// More holders than this are counted, not named.
const NAMED_MAX: usize = 4;
/// Releases of other holds than these last ones are not named.
const OTHERS_MAX: usize = 2;
/// Of a larger witness the other halves of holds are not looked for.
const WITNESS_MAX: usize = 24;

/// The anomaly of a lock of this many permits.
pub(in crate::models) fn tell<M>(model: &M, case: &Case<'_, M>, permits: u64) -> Telling
where
    M: Model<Op = LockOp, Ret = LockRet>,
{
    told(model, case, permits, false)
}

/// The anomaly of a mutex whose acquires are answered with tokens.
pub(in crate::models) fn tell_fenced<M>(model: &M, case: &Case<'_, M>) -> Telling
where
    M: Model<Op = LockOp, Ret = LockRet>,
{
    told(model, case, 1, true)
}

fn told<M>(model: &M, case: &Case<'_, M>, permits: u64, fenced: bool) -> Telling
where
    M: Model<Op = LockOp, Ret = LockRet>,
{
    let lock = Told { witness: &case.witness, all: &case.operations, guilty: case.guilty, of: case.of_key() };
    let mut telling = lock
        .refusal()
        .or_else(|| if fenced { lock.tokens() } else { None })
        .or_else(|| lock.holders(permits))
        .or_else(|| lock.counted(permits))
        .unwrap_or_else(|| case.plainly(model));
    telling.named.extend(lock.whole_holds());
    telling
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
        let fenced =
            |o: &&&LockOperation| fence(&o.outcome).is_some() && effect(&o.op, &o.outcome) == Effect::Acquire;
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
        let (why, of_others) = self.releases_between(&holders);
        let sentence = format!("{what}: {}{more}{why}", named.join("; "));
        let shown = self.witness.iter().take(2 * NAMED_MAX).copied();
        let named: Vec<&LockOperation> = shown.chain(of_others).collect();
        Some(self.telling(class, sentence, &named))
    }

    /// Why the last releases that could lie between those holds end none of them: whose they are, in words, and
    /// the operations. None is told of where the holds of an owner are not told apart.
    fn releases_between(&self, holders: &[&Holder]) -> (String, Vec<&'h LockOperation>) {
        let happened = |o: &&&'h LockOperation| !matches!(o.outcome, Outcome::Fail(_));
        let are = |o: &LockOperation, wanted| effect(&o.op, &o.outcome) == wanted;
        let own = self.all.iter().filter(happened).filter(|o| holders.contains(&&o.op.holder));
        let Some(from) = own.filter(|o| are(o, Effect::Acquire)).map(|o| o.call).min() else {
            return (String::new(), Vec::new());
        };
        let between = self.all.iter().rev().filter(happened).filter(|o| {
            let other = o.op.holder.hold != 0 && !holders.contains(&&o.op.holder);
            other && are(o, Effect::Release) && o.done > from && o.call < self.guilty.done
        });
        let mut last: Vec<&LockOperation> = between.take(OTHERS_MAX).copied().collect();
        last.reverse();
        let (mut words, mut named) = (String::new(), Vec::new());
        for release in last {
            let begins = |o: &&&LockOperation| o.op.holder == release.op.holder && are(o, Effect::Acquire);
            let Some(acquire) = self.all.iter().filter(happened).find(begins).copied() else { continue };
            words += &format!(
                "; process {}'s release at {} ends another hold, acquired at {}",
                release.process,
                span(release),
                span(acquire)
            );
            named.extend([acquire, release]);
        }
        (words, named)
    }

    /// Where the operations of all holds in the witness were called: a release without its acquire proves
    /// nothing to a reader.
    fn whole_holds(&self) -> Vec<Index> {
        if self.witness.len() > WITNESS_MAX {
            return Vec::new();
        }
        let known = self.witness.iter().map(|o| &o.op.holder).filter(|holder| holder.hold != 0);
        let holders: HashSet<&Holder> = known.collect();
        self.all.iter().filter(|o| holders.contains(&o.op.holder)).map(|o| o.call).collect()
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

#[cfg(test)]
mod tests {
    use crate::models::catalogue::{Choices, named};
    use elenchus_core::budget::Budget;
    use elenchus_core::format::{self, edn};
    use elenchus_core::verdict::{Anomaly, Validity};

    /// The first anomaly of a history of lines such as `0 invoke acquire 1`.
    #[track_caller]
    fn told(model: &str, initial: &str, lines: &[&str]) -> Anomaly {
        let event = |line: &&str| {
            let parts: Vec<&str> = line.splitn(4, ' ').collect();
            let [process, kind, f, value] = parts[..] else { panic!("{line}") };
            format!("{{:process {process} :type :{kind} :f :{f} :value {value}}}\n")
        };
        let text: String = lines.iter().map(event).collect();
        let history = format::read(text.as_bytes(), None).expect("it is EDN").history;
        let initial = edn::read_value(initial).expect("it is EDN");
        let choices = Choices { initial: Some(initial), ..Choices::default() };
        let checker = (named(model).expect("it is known").checker)(&choices).expect("it is a checker");
        let mut verdict = checker.check(&history, &Budget::unlimited()).expect("it decodes");
        assert_eq!(verdict.validity, Validity::Invalid, "{}", verdict.why);
        verdict.anomalies.remove(0)
    }

    /// Where the operations that are shown were called, as proof or beside it.
    fn shown(anomaly: &Anomaly) -> Vec<u32> {
        let mut calls: Vec<u32> =
            anomaly.operations.iter().chain(&anomaly.context).map(|exhibit| exhibit.call).collect();
        calls.sort_unstable();
        calls
    }

    const THREE_PERMITS: [&str; 6] = [
        "0 invoke acquire 1",
        "0 ok acquire 1",
        "1 invoke acquire 1",
        "1 ok acquire 1",
        "2 invoke acquire 1",
        "2 ok acquire 1",
    ];

    #[test]
    fn a_number_of_permits_is_no_token() {
        let anomaly = told("semaphore", "2", &THREE_PERMITS);
        assert_eq!(anomaly.class, "too-many-permits");
        assert!(!anomaly.sentence.contains("token"), "{}", anomaly.sentence);
        assert!(anomaly.operations.iter().all(|exhibit| exhibit.text == "acquire"));
        for model in ["mutex", "owned-mutex", "reentrant-mutex"] {
            let anomaly = told(model, "nil", &THREE_PERMITS);
            assert!(anomaly.class == "double-hold", "{model}: {}", anomaly.sentence);
        }
    }

    #[test]
    fn a_fenced_lock_still_has_tokens() {
        let lines = [
            "0 invoke acquire nil",
            "0 ok acquire 7",
            "0 invoke release nil",
            "0 ok release 9",
            "1 invoke acquire nil",
            "1 ok acquire 7",
        ];
        for model in ["fenced-mutex", "reentrant-fenced-mutex"] {
            let anomaly = told(model, "nil", &lines);
            assert_eq!(anomaly.class, "token-repeated", "{model}: {}", anomaly.sentence);
            assert!(anomaly.operations.iter().any(|exhibit| exhibit.text == "acquire (token 7)"));
        }
    }

    #[test]
    fn the_acquire_to_which_a_release_belongs_is_shown_with_it() {
        let lines = [
            "1 invoke acquire nil",
            "0 invoke acquire nil",
            "0 ok acquire nil",
            "1 ok acquire nil",
            "1 invoke release nil",
            "1 ok release nil",
        ];
        let anomaly = told("mutex", "nil", &lines);
        assert_eq!(anomaly.class, "double-hold");
        assert_eq!(shown(&anomaly), [0, 1, 4]);
        assert!(
            anomaly.sentence.contains("process 1 (acquired at 0–3, released at 4–5)"),
            "{}",
            anomaly.sentence
        );
    }

    #[test]
    fn a_release_that_helps_nobody_is_told_of_with_its_own_acquire() {
        let lines = [
            "0 invoke acquire nil",
            "2 invoke acquire nil",
            "2 ok acquire nil",
            "1 invoke acquire nil",
            "2 invoke release nil",
            "0 ok acquire nil",
            "3 invoke acquire nil",
            "2 ok release nil",
            "3 fail acquire nil",
            "1 ok acquire nil",
        ];
        let anomaly = told("mutex", "nil", &lines);
        assert_eq!(anomaly.class, "double-hold");
        let words = "process 2's release at 4–7 ends another hold, acquired at 1–2";
        assert!(anomaly.sentence.ends_with(words), "{}", anomaly.sentence);
        assert!([0, 1, 3, 4].iter().all(|call| shown(&anomaly).contains(call)), "{:?}", shown(&anomaly));
    }

    #[test]
    fn a_release_that_ends_the_inner_of_two_holds_is_told_of() {
        let lines = [
            "0 invoke acquire nil",
            "0 ok acquire nil",
            "0 invoke acquire nil",
            "0 ok acquire nil",
            "0 invoke release nil",
            "0 ok release nil",
            "1 invoke acquire nil",
            "1 ok acquire nil",
        ];
        let anomaly = told("reentrant-mutex", "nil", &lines);
        assert_eq!(anomaly.class, "double-hold");
        let words = "process 0's release at 4–5 ends another hold, acquired at 2–3";
        assert!(anomaly.sentence.ends_with(words), "{}", anomaly.sentence);
        assert!([0, 2, 4, 6].iter().all(|call| shown(&anomaly).contains(call)), "{:?}", shown(&anomaly));
    }
}
