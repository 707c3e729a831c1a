//! Whether fencing tokens grow: what makes a lock safe to whoever checks them, even when two believe to hold it.
//!
//! A grant that was seen before a lock was asked for has a smaller token than the grant that answers it, and no two
//! grants share one. That is all: where a lock is held twice, the tokens of both must still tell who came later.

use super::vocabulary::{GuardedOp, GuardedRet, GuardedVocabulary};
use crate::models::lock::{Action, LockRet};
use elenchus_core::budget::Budget;
use elenchus_core::checker::Checker;
use elenchus_core::event::Index;
use elenchus_core::history::{History, Malformed};
use elenchus_core::operation::Operation;
use elenchus_core::outcome::Outcome;
use elenchus_core::value::Value;
use elenchus_core::verdict::{Anomaly, Exhibit, Validity, Verdict};
use std::collections::BTreeMap;

/// The checker.
#[derive(Clone, Copy, Debug, Default)]
pub struct FencingTokens;

const NAME: &str = "fencing-tokens";

type Guarded = Operation<GuardedOp, GuardedRet>;

impl Checker for FencingTokens {
    fn name(&self) -> &str {
        NAME
    }

    fn check(&self, history: &History, _budget: &Budget) -> Result<Verdict, Malformed> {
        let operations = history.operations(&GuardedVocabulary)?;
        let mut by_lock: BTreeMap<&Value, Vec<(i64, &Guarded)>> = BTreeMap::new();
        let mut bare = 0_usize;
        for operation in operations.iter().filter(|operation| is_grant(operation)) {
            match token(operation) {
                Some(token) => by_lock.entry(operation.op.key()).or_default().push((token, operation)),
                None => bare += 1,
            }
        }
        let grants = by_lock.values().map(Vec::len).sum::<usize>();
        let broken = by_lock.iter().find_map(|(lock, grants)| anomaly(lock, grants));
        let verdict = match broken {
            Some(anomaly) => {
                let mut verdict = Verdict::new(NAME, Validity::Invalid, anomaly.sentence.clone());
                verdict.class = Some(anomaly.class.clone());
                verdict.anomalies = vec![anomaly];
                verdict
            }
            None if grants == 0 => Verdict::new(NAME, Validity::Unknown, "no lock was granted under a token"),
            None => {
                let why = format!("the tokens of {grants} grants grow, and none was given twice");
                Verdict::new(NAME, Validity::Valid, why)
            }
        };
        Ok(verdict.with_figure("grants", grants).with_figure("grants_without_token", bare))
    }
}

fn is_grant(operation: &Guarded) -> bool {
    matches!(&operation.op, GuardedOp::Lock(op) if op.action == Action::Acquire) && operation.outcome.is_ok()
}

fn token(operation: &Guarded) -> Option<i64> {
    match operation.outcome {
        Outcome::Ok(GuardedRet::Lock(LockRet::Fence(token))) => Some(token),
        _ => None,
    }
}

/// The first grant of a lock, in the order of their ends, whose token contradicts an earlier one.
fn anomaly(lock: &Value, grants: &[(i64, &Guarded)]) -> Option<Anomaly> {
    let mut ended: Vec<(i64, &Guarded)> = grants.to_vec();
    ended.sort_by_key(|(_, operation)| operation.done);
    let mut given: BTreeMap<i64, &Guarded> = BTreeMap::new();
    // The largest token so far, at the end of each grant.
    let mut largest: Vec<(Index, i64, &Guarded)> = Vec::new();
    for (token, operation) in ended {
        if let Some(other) = given.insert(token, operation) {
            let [one, two] = [other, operation].map(who);
            let sentence =
                format!("two grants of lock {lock} bear the same token {token}: to {one} and to {two}");
            return Some(shown("token-repeated", lock, sentence, [(token, other), (token, operation)]));
        }
        let before = largest.partition_point(|(done, ..)| *done < operation.call);
        if let Some(&(_, earlier, other)) = before.checked_sub(1).map(|at| &largest[at])
            && earlier > token
        {
            let [one, two] = [other, operation].map(who);
            let sentence = format!(
                "the token of lock {lock} did not grow: {one} was granted it under {earlier}, and after that {two} under {token}"
            );
            return Some(shown(
                "token-went-backwards",
                lock,
                sentence,
                [(earlier, other), (token, operation)],
            ));
        }
        let top =
            largest.last().filter(|(_, top, _)| *top > token).map_or((token, operation), |l| (l.1, l.2));
        largest.push((operation.done, top.0, top.1));
    }
    None
}

fn who(operation: &Guarded) -> String {
    format!("process {} ({}–{})", operation.process, operation.call, operation.done)
}

fn shown(class: &str, lock: &Value, sentence: String, grants: [(i64, &Guarded); 2]) -> Anomaly {
    let mut operations =
        grants.map(|(token, operation)| Exhibit::of(operation, format!("acquire (token {token})"))).to_vec();
    operations[1].guilty = true;
    operations.sort_by_key(|exhibit| exhibit.call);
    Anomaly { class: class.into(), key: Some(lock.to_string()), sentence, operations, context: Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::super::notation::history;
    use super::*;

    fn judge(lines: &[&str]) -> Verdict {
        FencingTokens.check(&history(lines), &Budget::unlimited()).expect("it can be judged")
    }

    #[test]
    fn grants_side_by_side_may_bear_tokens_in_any_order() {
        let verdict = judge(&[
            "0 invoke acquire",
            "1 invoke acquire",
            "0 ok acquire 9",
            "1 ok acquire 5",
            "2 invoke acquire",
            "2 ok acquire 10",
        ]);
        assert_eq!(verdict.validity, Validity::Valid, "{}", verdict.why);
    }

    #[test]
    fn a_token_below_one_that_was_seen_before_is_found() {
        // The largest before is not the latest.
        let verdict = judge(&[
            "0 invoke acquire",
            "1 invoke acquire",
            "0 ok acquire 9",
            "1 ok acquire 5",
            "2 invoke acquire",
            "2 ok acquire 7",
        ]);
        assert_eq!(verdict.class.as_deref(), Some("token-went-backwards"), "{}", verdict.why);
        assert!(
            verdict.why.contains("process 0 (0–2)") && verdict.why.contains("process 2"),
            "{}",
            verdict.why
        );
    }

    #[test]
    fn a_token_given_twice_is_found() {
        let verdict = judge(&["0 invoke acquire", "1 invoke acquire", "0 ok acquire 9", "1 ok acquire 9"]);
        assert_eq!(verdict.class.as_deref(), Some("token-repeated"), "{}", verdict.why);
    }

    #[test]
    fn where_no_token_was_given_nothing_was_examined() {
        let verdict = judge(&["0 invoke acquire", "0 ok acquire"]);
        assert_eq!(verdict.validity, Validity::Unknown, "{}", verdict.why);
    }
}
