//! How many operations ended how, by function and by node.
//!
//! A function that never succeeded was not tested, so nothing that other checkers say of it means much.

use crate::trial::{Placement, Tally, calls};
use elenchus_core::budget::Budget;
use elenchus_core::checker::Checker;
use elenchus_core::history::{History, Malformed};
use elenchus_core::process::NodeId;
use elenchus_core::verdict::{Validity, Verdict};
use serde_json::{Map, Value as Json};
use std::collections::BTreeMap;

/// Counts; `unknown` if some function never succeeded.
#[derive(Clone, Debug)]
pub struct Stats {
    placement: Placement,
}

const NAME: &str = "stats";

impl Stats {
    /// Counts for a trial on `nodes` with `concurrency` slots; without nodes, by function only.
    pub fn new(nodes: Vec<NodeId>, concurrency: u32) -> Stats {
        Stats { placement: Placement { nodes, concurrency } }
    }
}

impl Checker for Stats {
    fn name(&self) -> &str {
        NAME
    }

    fn check(&self, history: &History, _budget: &Budget) -> Result<Verdict, Malformed> {
        let mut all = Tally::default();
        let mut by_f: BTreeMap<&str, Tally> = BTreeMap::new();
        let mut by_node: Vec<BTreeMap<&str, Tally>> = vec![BTreeMap::new(); self.placement.nodes.len()];
        for call in calls(history) {
            let f = call.invocation.f;
            all.add(call.ended());
            by_f.entry(f).or_default().add(call.ended());
            if let Some(node) = self.placement.node_of(call.invocation.process) {
                by_node[node].entry(f).or_default().add(call.ended());
            }
        }
        let mut verdict = judge(&all, &by_f);
        if verdict.validity == Validity::Unknown
            && let Some((error, count)) = commonest_error(history)
        {
            verdict.why.push_str(&format!("; most often ({count} times) for: {error}"));
        }
        verdict.figures = all.figures();
        verdict = verdict.with_figure("by_f", figures(&by_f));
        if !by_node.is_empty() {
            let nodes = self.placement.nodes.iter().zip(&by_node);
            let by_node: Map<String, Json> =
                nodes.map(|(node, by_f)| (node.to_string(), node_figures(by_f))).collect();
            verdict = verdict.with_figure("by_node", by_node);
        }
        Ok(verdict)
    }
}

fn judge(all: &Tally, by_f: &BTreeMap<&str, Tally>) -> Verdict {
    if all.all() == 0 {
        return Verdict::new(NAME, Validity::Unknown, "no operation was invoked");
    }
    let never: Vec<&str> = by_f.iter().filter(|(_, tally)| tally.ok == 0).map(|(f, _)| *f).collect();
    match never.is_empty() {
        true => {
            let why = format!(
                "{} operations: {} ok, {} failed, {} in doubt",
                all.all(),
                all.ok,
                all.fail,
                all.info
            );
            Verdict::new(NAME, Validity::Valid, why)
        }
        false => {
            Verdict::new(NAME, Validity::Unknown, format!("no {} ever succeeded", never.join(" and no ")))
        }
    }
}

/// What most operations that did not succeed gave as their reason, and how many did; of equals the first in order.
fn commonest_error(history: &History) -> Option<(String, usize)> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for error in calls(history).filter_map(|call| call.completion?.error) {
        let text = error.as_text().map_or_else(|| error.to_string(), str::to_owned);
        *counts.entry(text).or_default() += 1;
    }
    counts.into_iter().max_by(|(a, x), (b, y)| x.cmp(y).then_with(|| b.cmp(a)))
}

fn figures(by_f: &BTreeMap<&str, Tally>) -> Map<String, Json> {
    by_f.iter().map(|(f, tally)| ((*f).to_owned(), tally.figures().into())).collect()
}

fn node_figures(by_f: &BTreeMap<&str, Tally>) -> Json {
    let mut all = Tally::default();
    for tally in by_f.values() {
        all.ok += tally.ok;
        all.fail += tally.fail;
        all.info += tally.info;
    }
    let mut node = all.figures();
    node.insert("by_f".to_owned(), figures(by_f).into());
    node.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trial::testing::{call, event, history};
    use elenchus_core::event::Kind;
    use elenchus_core::process::Process;
    use elenchus_core::value::Value;

    fn check(history: &History) -> Verdict {
        let stats = Stats::new(NodeId::numbered(2), 2);
        stats.check(history, &Budget::unlimited()).expect("a verdict")
    }

    #[test]
    fn operations_are_counted_by_function_and_by_node() {
        let events = [
            call(0, "read", 1, 2, Kind::Ok),
            call(1, "read", 3, 4, Kind::Fail),
            call(3, "write", 5, 6, Kind::Ok),
        ];
        let open = event(7, Process(0), Kind::Invoke, "write");
        let nemesis = event(8, Process::NEMESIS, Kind::Info, "kill");
        let verdict = check(&history(events.into_iter().flatten().chain([open, nemesis])));
        assert_eq!(verdict.validity, Validity::Valid);
        let figures = Json::from(verdict.figures);
        assert_eq!(figures["ok"], 2);
        assert_eq!(figures["info"], 1);
        assert_eq!(figures["by_f"]["read"]["fail"], 1);
        assert_eq!(figures["by_node"]["n2"]["by_f"]["write"]["ok"], 1);
        assert_eq!(figures["by_node"]["n1"]["info"], 1);
    }

    #[test]
    fn a_function_that_never_succeeded_is_named() {
        let events = [call(0, "read", 1, 2, Kind::Ok), call(1, "cas", 3, 4, Kind::Info)];
        let verdict = check(&history(events.into_iter().flatten()));
        assert_eq!((verdict.validity, verdict.why.as_str()), (Validity::Unknown, "no cas ever succeeded"));
    }

    #[test]
    fn the_commonest_reason_is_told_where_something_never_succeeded() {
        let failed = |process: u32, error: &str| {
            let mut events = call(process, "cas", u64::from(process), u64::from(process) + 1, Kind::Fail);
            events[1].error = Some(Value::str(error));
            events
        };
        let events =
            [failed(0, "b"), failed(1, "no JSON: garbage"), failed(2, "no JSON: garbage"), failed(3, "a")];
        let verdict = check(&history(events.into_iter().flatten()));
        assert_eq!(verdict.why, "no cas ever succeeded; most often (2 times) for: no JSON: garbage");
        let tied = [failed(0, "b"), failed(1, "a")];
        let verdict = check(&history(tied.into_iter().flatten()));
        assert!(verdict.why.ends_with("most often (1 times) for: a"), "{}", verdict.why);
    }

    #[test]
    fn an_empty_history_is_no_pass() {
        assert_eq!(check(&history([])).validity, Validity::Unknown);
    }
}
