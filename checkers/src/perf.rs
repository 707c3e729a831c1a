//! How fast the system answered: quantiles of latency and rates, by function.

use crate::trial::calls;
use elenchus_core::budget::Budget;
use elenchus_core::checker::Checker;
use elenchus_core::event::Kind;
use elenchus_core::history::{History, Malformed};
use elenchus_core::time::Time;
use elenchus_core::verdict::{Validity, Verdict};
use serde_json::{Map, Value as Json, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// Figures of latency and rate, of operations that succeeded.
#[derive(Clone, Copy, Debug, Default)]
pub struct Perf;

const NAME: &str = "perf";
const QUANTILES: [(&str, f64); 4] = [("0.5", 0.5), ("0.95", 0.95), ("0.99", 0.99), ("1", 1.0)];

impl Perf {
    /// The checker; it needs to know nothing.
    pub fn new() -> Perf {
        Perf
    }
}

impl Checker for Perf {
    fn name(&self) -> &str {
        NAME
    }

    fn check(&self, history: &History, _budget: &Budget) -> Result<Verdict, Malformed> {
        let mut by_f: BTreeMap<&str, Vec<Duration>> = BTreeMap::new();
        let (mut all, mut completed) = (Vec::new(), 0);
        let (mut first, mut last) = (None, Time::ZERO);
        for call in calls(history) {
            let from = call.invocation.time;
            first.get_or_insert(from);
            let Some(completion) = call.completion else { continue };
            last = last.max(completion.time);
            completed += 1;
            if completion.kind == Kind::Ok {
                by_f.entry(call.invocation.f).or_default().push(completion.time.since(from));
                all.push(completion.time.since(from));
            }
        }
        if completed == 0 {
            return Ok(Verdict::new(NAME, Validity::Unknown, "no operation completed"));
        }
        let seconds = last.since(first.unwrap_or(Time::ZERO)).as_secs_f64();
        let total = figures(&mut all, seconds);
        let why = format!("{} operations succeeded, {:.0} a second", all.len(), rate(all.len(), seconds));
        let by_f: Map<String, Json> = by_f
            .into_iter()
            .map(|(f, mut latencies)| (f.to_owned(), figures(&mut latencies, seconds)))
            .collect();
        Ok(Verdict::new(NAME, Validity::Valid, why)
            .with_figure("seconds", seconds)
            .with_figure("all", total)
            .with_figure("by_f", by_f))
    }
}

/// Quantiles by nearest rank, in microseconds, and the rate over the whole trial.
fn figures(latencies: &mut [Duration], seconds: f64) -> Json {
    latencies.sort_unstable();
    let quantile = |q: f64| {
        let rank = (latencies.len() as f64 * q).ceil() as usize;
        latencies.get(rank.max(1) - 1).map(|latency| latency.as_micros() as u64)
    };
    let quantiles: Map<String, Json> =
        QUANTILES.iter().map(|(name, q)| ((*name).to_owned(), json!(quantile(*q)))).collect();
    json!({ "ok": latencies.len(), "ok_per_s": rate(latencies.len(), seconds), "latency_us": quantiles })
}

fn rate(count: usize, seconds: f64) -> f64 {
    if seconds > 0.0 { count as f64 / seconds } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trial::testing::{call, history};

    #[test]
    fn quantiles_are_latencies_that_occurred() {
        let calls = (0..100).map(|i| call(0, "read", 1000 * i, 1000 * i + i + 1, Kind::Ok));
        let slow = call(1, "write", 0, 99_900, Kind::Fail);
        let history = history(calls.flatten().chain(slow));
        let verdict = Perf::new().check(&history, &Budget::unlimited()).expect("a verdict");
        assert_eq!(verdict.validity, Validity::Valid);
        let figures = Json::from(verdict.figures);
        let read = &figures["by_f"]["read"];
        assert_eq!(read["ok"], 100);
        let latency = |q: &str| read["latency_us"][q].as_u64();
        let expected = [("0.5", 50_000), ("0.95", 95_000), ("0.99", 99_000), ("1", 100_000)];
        assert!(expected.iter().all(|(q, us)| latency(q) == Some(*us)), "{read}");
        assert!(figures["by_f"].get("write").is_none());
        assert!((figures["all"]["ok_per_s"].as_f64().expect("a rate") - 1.0).abs() < 0.01);
    }

    #[test]
    fn nothing_completed_is_no_pass() {
        let open = call(0, "read", 1, 2, Kind::Ok).into_iter().take(1);
        let verdict = Perf::new().check(&history(open), &Budget::unlimited()).expect("a verdict");
        assert_eq!(verdict.validity, Validity::Unknown);
    }
}
