//! Whether the healed cluster answered again, on every node.
//!
//! The trial notes when its final phase begins: everything is healed, and clients observe every object on
//! every node. A node that then stays silent was not examined, and whatever it holds was not either.

use crate::exhibits::span;
use crate::trial::{Placement, calls};
use elenchus_core::budget::Budget;
use elenchus_core::checker::Checker;
use elenchus_core::event::{Index, Kind};
use elenchus_core::fault_log;
use elenchus_core::history::{History, Malformed};
use elenchus_core::process::NodeId;
use elenchus_core::time::Time;
use elenchus_core::verdict::{Anomaly, Validity, Verdict};
use serde_json::{Map, Value as Json, json};
use std::time::Duration;

/// How long a healed cluster may take until every node has answered.
pub const RECOVERY_TIME_MAX: Duration = Duration::from_secs(30);

/// `unknown` (or `invalid`, if recovery is required) if a node gave no ok answer within 30 s of healing.
#[derive(Clone, Debug)]
pub struct Recovery {
    placement: Placement,
    required: bool,
}

const NAME: &str = "recovery";

impl Recovery {
    /// A checker for a trial on `nodes` with `concurrency` slots. With `required`, not to recover is a
    /// violation and no mere doubt.
    pub fn new(nodes: Vec<NodeId>, concurrency: u32, required: bool) -> Recovery {
        Recovery { placement: Placement { nodes, concurrency }, required }
    }

    /// Of each node, how long after `since` it first answered an operation that was called after it.
    fn answers(&self, history: &History, since: (Index, Time)) -> Vec<Option<Duration>> {
        let mut first = vec![None; self.placement.nodes.len()];
        for call in calls(history).filter(|call| call.invocation.index > since.0) {
            let Some(done) = call.completion.filter(|completion| completion.kind == Kind::Ok) else {
                continue;
            };
            let Some(node) = self.placement.node_of(call.invocation.process) else { continue };
            let after = done.time.since(since.1);
            first[node] = Some(first[node].map_or(after, |sooner: Duration| sooner.min(after)));
        }
        first
    }

    fn judge(&self, answers: &[Option<Duration>]) -> Verdict {
        let late = |answer: &Option<Duration>| answer.is_none_or(|after| after > RECOVERY_TIME_MAX);
        let silent: Vec<&str> = self
            .placement
            .nodes
            .iter()
            .zip(answers)
            .filter(|(_, answer)| late(answer))
            .map(|(node, _)| node.as_str())
            .collect();
        if silent.is_empty() {
            let slowest = answers.iter().flatten().max().copied().unwrap_or_default();
            let why = format!("every node answered within {} of healing", span(slowest));
            return Verdict::new(NAME, Validity::Valid, why);
        }
        let why = format!(
            "{} of {} nodes gave no ok answer within {} of healing: {}",
            silent.len(),
            answers.len(),
            span(RECOVERY_TIME_MAX),
            silent.join(", ")
        );
        if !self.required {
            return Verdict::new(NAME, Validity::Unknown, why);
        }
        let mut verdict = Verdict::new(NAME, Validity::Invalid, why.clone());
        let class = "no-recovery".to_owned();
        verdict.class = Some(class.clone());
        verdict.anomalies =
            vec![Anomaly { class, key: None, sentence: why, operations: Vec::new(), context: Vec::new() }];
        verdict
    }
}

impl Checker for Recovery {
    fn name(&self) -> &str {
        NAME
    }

    fn check(&self, history: &History, _budget: &Budget) -> Result<Verdict, Malformed> {
        let phase = fault_log::notes(history)
            .into_iter()
            .find(|n| n.f == "phase" && n.field("phase") == Some("final"));
        let Some(phase) = phase else {
            let why = "the trial ended before its final phase, so nobody knows whether the cluster recovered";
            return Ok(Verdict::new(NAME, Validity::Unknown, why));
        };
        if self.placement.nodes.is_empty() || self.placement.concurrency == 0 {
            return Ok(Verdict::new(
                NAME,
                Validity::Unknown,
                "no node is known, so none was seen to recover",
            ));
        }
        let answers = self.answers(history, (phase.index, phase.time));
        let nodes = self.placement.nodes.iter().zip(&answers);
        let figures: Map<String, Json> = nodes
            .map(|(node, after)| (node.to_string(), json!(after.map(|after| after.as_millis() as u64))))
            .collect();
        Ok(self.judge(&answers).with_figure("first_ok_ms", figures))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trial::testing::{call, history};
    use elenchus_core::event::Event;
    use elenchus_core::world::Note;

    fn last_phase(ms: u64) -> Event {
        let note = Note { f: "phase", fields: vec![("phase", "final".into())] };
        fault_log::encode_note(&note).into_event(Time(ms * 1_000_000))
    }

    fn check(required: bool, events: impl IntoIterator<Item = Event>) -> Verdict {
        let recovery = Recovery::new(NodeId::numbered(2), 2, required);
        recovery.check(&history(events), &Budget::unlimited()).expect("a verdict")
    }

    fn answered(second: [Event; 2]) -> impl Iterator<Item = Event> {
        call(2, "read", 101, 150, Kind::Ok).into_iter().chain(second).chain([last_phase(100)])
    }

    #[test]
    fn every_node_must_answer_after_healing() {
        let verdict = check(true, answered(call(1, "read", 120, 130, Kind::Ok)));
        assert_eq!(verdict.validity, Validity::Valid, "{}", verdict.why);
        assert_eq!(Json::from(verdict.figures)["first_ok_ms"]["n1"], 50);
    }

    #[test]
    fn an_answer_from_before_too_late_or_not_ok_does_not_count() {
        let before = call(1, "read", 50, 60, Kind::Ok);
        let late = call(1, "read", 120, 30_200, Kind::Ok);
        let failed = call(1, "read", 120, 130, Kind::Fail);
        for second in [before, late, failed] {
            let verdict = check(false, answered(second.clone()));
            assert_eq!(verdict.validity, Validity::Unknown);
            assert!(verdict.why.ends_with("n2"), "{}", verdict.why);
            let verdict = check(true, answered(second));
            assert_eq!(
                (verdict.validity, verdict.class.as_deref()),
                (Validity::Invalid, Some("no-recovery"))
            );
        }
    }

    #[test]
    fn a_trial_without_a_final_phase_is_no_pass_and_no_violation() {
        let verdict = check(true, call(0, "read", 1, 2, Kind::Ok));
        assert_eq!(verdict.validity, Validity::Unknown);
    }
}
