//! From findings to a verdict: words, figures, and whether enough was examined.

use super::judge::{Answer, Finding};
use super::witness::{Evidence, evidence_after};
use super::{Case, Insight, Subject, Telling};
use crate::exhibits;
use crate::vacuity::Coverage;
use elenchus_core::budget::Budget;
use elenchus_core::operation::Operation;
use elenchus_core::verdict::{Anomaly, Exhibit, Validity, Verdict};
use std::time::Duration;

/// The checker's name in `verdicts.json`.
pub(super) const NAME: &str = "linearizability";

/// Keys whose anomaly is worked out; the others are counted.
const ANOMALIES_MAX: usize = 8;
/// Operations shown of a witness that could not be made small.
const EXHIBITS_MAX: usize = 24;
/// Neighbours shown beside a witness.
const CONTEXT_MAX: usize = 6;
/// What takes less than this is told even when the time is over.
const AT_ONCE: Duration = Duration::from_millis(50);
/// Operations listed of the longest partial linearization: its end.
const PARTIAL_MAX: usize = 64;

pub(super) fn verdict<M: Insight>(
    model: &M,
    operations: &[Operation<M::Op, M::Ret>],
    findings: Vec<Finding<M::Key>>,
    subject: Subject,
    budget: &Budget,
) -> Verdict {
    let coverage = coverage(model, operations, &findings);
    let mut refuted: Vec<(&Finding<M::Key>, usize, u32)> = Vec::new();
    let mut unknown: Vec<(&Finding<M::Key>, &str)> = Vec::new();
    for finding in &findings {
        match &finding.answer {
            Answer::Linearizable => {}
            Answer::Refuted { failed, at } => refuted.push((finding, *failed, *at)),
            Answer::Unknown { why, .. } => unknown.push((finding, why)),
        }
    }
    refuted.sort_by_key(|(_, _, at)| *at);
    let mut verdict = if let Some((_, _, at)) = refuted.first() {
        let anomalies = anomalies(model, operations, &refuted, budget);
        invalid(anomalies, refuted.len(), *at)
    } else if let Some((_, why)) = unknown.first() {
        let why = format!("{} of {} keys were not decided: {why}", unknown.len(), findings.len());
        Verdict::new(NAME, Validity::Unknown, why)
    } else {
        let keys = exhibits::count(findings.len(), "key");
        let kept = match operations.len() {
            1 => format!("the only operation on {keys} is linearizable"),
            n => format!("all {n} operations on {keys} are linearizable"),
        };
        match (coverage.vacuous(), subject) {
            (None, _) => Verdict::new(NAME, Validity::Valid, kept),
            (Some(why), Subject::Trial) => Verdict::new(NAME, Validity::Unknown, why),
            (Some(why), Subject::History) => {
                Verdict::new(NAME, Validity::Valid, format!("{kept}, but {why}"))
            }
        }
    };
    if let Some(first) = unknown.iter().filter_map(|(finding, _)| reached(finding)).min() {
        verdict = verdict.with_figure("reached", first);
    }
    let sum = findings.iter().map(|finding| finding.configurations).sum::<u64>();
    let widest = findings.iter().map(|finding| finding.frontier_max).max().unwrap_or(0);
    let searched = findings.iter().filter(|finding| finding.searched).count();
    verdict = verdict
        .with_figure("keys", findings.len())
        .with_figure("keys_searched", searched)
        .with_figure("keys_invalid", refuted.len())
        .with_figure("keys_unknown", unknown.len())
        .with_figure("configurations", sum)
        .with_figure("frontier_max", widest);
    coverage.add_figures(verdict)
}

fn reached<K>(finding: &Finding<K>) -> Option<u32> {
    match finding.answer {
        Answer::Unknown { reached, .. } => Some(reached),
        _ => None,
    }
}

fn coverage<M: Insight>(
    model: &M,
    operations: &[Operation<M::Op, M::Ret>],
    findings: &[Finding<M::Key>],
) -> Coverage {
    let mut coverage = Coverage::default();
    for finding in findings {
        let part = || finding.operations.iter().map(|i| &operations[*i]);
        let observes = |o: &&Operation<M::Op, M::Ret>| o.outcome.is_ok() && !model.overwrites(&o.op);
        let last = part().rev().find(observes).map(|o| o.call);
        for operation in part() {
            coverage.count(&operation.outcome);
            if operation.outcome.is_ok() && !model.inert(&operation.op, &operation.outcome) {
                coverage.mutation(last.is_some_and(|call| operation.done < call));
            }
        }
    }
    coverage
}

fn invalid(anomalies: Vec<(Anomaly, Vec<u32>)>, keys: usize, at: u32) -> Verdict {
    let first = anomalies.first().map_or_else(String::new, |(anomaly, _)| anomaly.sentence.clone());
    let why = match keys {
        1 => first,
        _ if keys > anomalies.len() && anomalies.len() > 1 => {
            format!("{first}; {keys} keys are not linearizable, the {} earliest are shown", anomalies.len())
        }
        _ => format!("{first}; {keys} keys are not linearizable"),
    };
    let mut verdict = Verdict::new(NAME, Validity::Invalid, why).with_figure("prefix_end", at);
    verdict.class = anomalies.first().map(|(anomaly, _)| anomaly.class.clone());
    if let Some((_, partial)) = anomalies.first() {
        verdict = verdict.with_figure("partial_linearization", partial.clone());
    }
    verdict.anomalies = anomalies.into_iter().map(|(anomaly, _)| anomaly).collect();
    verdict
}

/// The anomalies of the keys that failed first, each with the calls of its longest partial linearization.
fn anomalies<M: Insight>(
    model: &M,
    operations: &[Operation<M::Op, M::Ret>],
    refuted: &[(&Finding<M::Key>, usize, u32)],
    budget: &Budget,
) -> Vec<(Anomaly, Vec<u32>)> {
    if budget.evidence_max.is_zero() {
        let first = refuted.first();
        return first
            .map(|(finding, failed, _)| (unproved(model, operations, finding, *failed), vec![]))
            .into_iter()
            .collect();
    }
    let budget = budget.clone().within(budget.evidence_max);
    let anomaly = |(finding, failed, _): &(&Finding<M::Key>, usize, u32)| {
        let took = finding.took;
        let limits = match budget.remaining() {
            Some(left) => budget.clone().within(left.saturating_sub(2 * took)),
            None => budget.clone(),
        };
        let found = evidence_after(model, operations, &finding.operations, *failed, (&limits, took));
        let partial = &found.partial[found.partial.len().saturating_sub(PARTIAL_MAX)..];
        let partial = partial.iter().map(|i| operations[*i].call).collect();
        (word(model, operations, finding, found, &budget), partial)
    };
    refuted.iter().take(ANOMALIES_MAX).map(anomaly).collect()
}

/// The anomaly of a key where only the answer is wanted: which operation it is about.
fn unproved<M: Insight>(
    model: &M,
    operations: &[Operation<M::Op, M::Ret>],
    finding: &Finding<M::Key>,
    failed: usize,
) -> Anomaly {
    let guilty = &operations[failed];
    let case = Case { key: model.key_text(&finding.key), operations: vec![], witness: vec![], guilty };
    let Telling { class, sentence, .. } = case.plainly(model);
    let mut exhibit = Exhibit::of(guilty, model.describe(&guilty.op, &guilty.outcome));
    exhibit.guilty = true;
    Anomaly { class: class.to_owned(), key: case.key, sentence, operations: vec![exhibit], context: vec![] }
}

fn word<M: Insight>(
    model: &M,
    operations: &[Operation<M::Op, M::Ret>],
    finding: &Finding<M::Key>,
    found: Evidence,
    budget: &Budget,
) -> Anomaly {
    let of = |items: &[usize]| items.iter().map(|i| &operations[*i]).collect::<Vec<_>>();
    let key = model.key_text(&finding.key);
    let guilty = &operations[found.guilty];
    let case = Case { key, operations: of(&finding.operations), witness: of(&found.witness), guilty };
    // To tell it takes about as long as one answer.
    let has_time = finding.took < AT_ONCE || budget.remaining().is_none_or(|left| left > finding.took);
    let telling = if has_time { model.tell(&case) } else { case.plainly(model) };
    let mut sentence = telling.sentence;
    let mut shown = case.witness;
    if !found.minimal {
        sentence.push_str("; the budget ended before the evidence was made as small as it can be");
        shown = exhibits::nearest(&shown, guilty, EXHIBITS_MAX);
    }
    let exhibit = |operation: &&Operation<M::Op, M::Ret>| {
        let mut exhibit = Exhibit::of(operation, model.describe(&operation.op, &operation.outcome));
        exhibit.guilty = operation.call == guilty.call;
        exhibit
    };
    let hidden = |o: &&Operation<M::Op, M::Ret>| shown.iter().all(|other| other.call != o.call);
    let others: Vec<_> = case.operations.iter().copied().filter(hidden).collect();
    let mut context = exhibits::nearest(&others, guilty, CONTEXT_MAX);
    context.extend(others.iter().filter(|o| telling.named.contains(&o.call)));
    context.sort_by_key(|operation| operation.call);
    context.dedup_by_key(|operation| operation.call);
    Anomaly {
        class: telling.class.to_owned(),
        key: case.key,
        sentence,
        operations: shown.iter().map(exhibit).collect(),
        context: context.iter().map(exhibit).collect(),
    }
}
