//! How often the system answered: over the whole trial, and while each kind of fault was in force.
//!
//! Availability is no promise that is judged here: a system may well be unavailable while it is broken.
//! These are figures, and the verdict is `unknown` only where nothing was asked or nothing answered.

use crate::exhibits::span;
use crate::trial::{Tally, calls};
use elenchus_core::budget::Budget;
use elenchus_core::checker::Checker;
use elenchus_core::event::{Index, Kind};
use elenchus_core::fault_log;
use elenchus_core::history::{History, Malformed};
use elenchus_core::time::Time;
use elenchus_core::verdict::{Validity, Verdict};
use serde_json::{Map, Value as Json, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// Figures of availability.
#[derive(Clone, Copy, Debug, Default)]
pub struct Availability;

const NAME: &str = "availability";

impl Availability {
    /// The checker; it needs to know nothing.
    pub fn new() -> Availability {
        Availability
    }
}

impl Checker for Availability {
    fn name(&self) -> &str {
        NAME
    }

    fn check(&self, history: &History, _budget: &Budget) -> Result<Verdict, Malformed> {
        let faults = Faults::of(history);
        let mut all = Tally::default();
        let mut healthy = Tally::default();
        let mut during: BTreeMap<&str, Tally> =
            faults.kinds.keys().map(|kind| (kind.as_str(), Tally::default())).collect();
        for call in calls(history) {
            let at = call.invocation.index;
            all.add(call.ended());
            let mut any = false;
            for (kind, tally) in &mut during {
                if faults.in_force(kind, at) {
                    tally.add(call.ended());
                    any = true;
                }
            }
            if !any {
                healthy.add(call.ended());
            }
        }
        let Some(fraction) = all.ok_fraction() else {
            return Ok(Verdict::new(NAME, Validity::Unknown, "no operation was invoked"));
        };
        let during: Map<String, Json> =
            during.iter().map(|(kind, tally)| ((*kind).to_owned(), figures(tally))).collect();
        let (gap, since) = longest_gap(history);
        let why = match all.ok {
            0 => "no operation succeeded".to_owned(),
            _ => format!(
                "{:.1} % of {} operations succeeded; the longest time without an answer was {}",
                fraction * 100.0,
                all.all(),
                span(gap)
            ),
        };
        let validity = if all.ok == 0 { Validity::Unknown } else { Validity::Valid };
        Ok(Verdict::new(NAME, validity, why)
            .with_figure("ok_fraction", fraction)
            .with_figure("operations", all.all())
            .with_figure("without_faults", figures(&healthy))
            .with_figure("during", during)
            .with_figure("longest_gap_ms", gap.as_millis() as u64)
            .with_figure("longest_gap_from_s", since.as_secs_f64()))
    }
}

fn figures(tally: &Tally) -> Json {
    let mut figures = tally.figures();
    figures.insert("ok_fraction".to_owned(), json!(tally.ok_fraction()));
    figures.into()
}

/// Of each kind of fault, the intervals of the log in which one was in force, joined and in order.
struct Faults {
    kinds: BTreeMap<String, Vec<(Index, Index)>>,
}

impl Faults {
    fn of(history: &History) -> Faults {
        let mut kinds: BTreeMap<String, Vec<(Index, Index)>> = BTreeMap::new();
        for span in fault_log::spans(history) {
            let Some((from, _)) = span.from() else { continue };
            let until = span.until().map_or(Index::MAX, |(index, _)| index);
            kinds.entry(span.fault).or_default().push((from, until));
        }
        for intervals in kinds.values_mut() {
            intervals.sort_unstable();
            let mut joined: Vec<(Index, Index)> = Vec::with_capacity(intervals.len());
            for &(from, until) in intervals.iter() {
                match joined.last_mut() {
                    Some(last) if from <= last.1 => last.1 = last.1.max(until),
                    _ => joined.push((from, until)),
                }
            }
            *intervals = joined;
        }
        Faults { kinds }
    }

    fn in_force(&self, kind: &str, at: Index) -> bool {
        let intervals = &self.kinds[kind];
        let before = intervals.partition_point(|(from, _)| *from <= at);
        before > 0 && at <= intervals[before - 1].1
    }
}

/// The longest time in which no operation succeeded, between the first and the last event of any client,
/// and when it began.
fn longest_gap(history: &History) -> (Duration, Time) {
    let mut clients = history.events().filter(|event| !event.process.is_nemesis());
    let Some(first) = clients.next() else { return (Duration::ZERO, Time::ZERO) };
    let (mut since, mut longest) = (first.time, (Duration::ZERO, first.time));
    let mut last = first.time;
    let mut end = |at: Time, since: Time| {
        if at.since(since) > longest.0 {
            longest = (at.since(since), since);
        }
    };
    for event in clients {
        last = event.time;
        if event.kind == Kind::Ok {
            end(event.time, since);
            since = event.time;
        }
    }
    end(last, since);
    longest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trial::testing::{call, history};
    use elenchus_core::event::Event;
    use elenchus_core::fault::{Fault, FaultId, Proof, Target};
    use elenchus_core::fault_log::{Entry, encode_heal, encode_healed, encode_inject, encode_injected};

    fn at(ms: u64, entry: Entry) -> Event {
        entry.into_event(Time(ms * 1_000_000))
    }

    fn check(history: &History) -> Verdict {
        Availability::new().check(history, &Budget::unlimited()).expect("a verdict")
    }

    #[test]
    fn operations_are_counted_by_the_fault_in_force_at_their_call() {
        let proof = Ok(Proof { nodes: vec![], links: vec![], hit: true, text: "gone".into() });
        let kill = Fault::Kill { nodes: Target::Primaries };
        let faults = [
            at(10, encode_inject(FaultId(1), &kill)),
            at(11, encode_injected(FaultId(1), "kill", &proof)),
            at(20, encode_heal(FaultId(1), "kill")),
            at(21, encode_healed(FaultId(1), "kill", &proof)),
        ];
        let calls = [
            call(0, "read", 1, 2, Kind::Ok),
            call(0, "read", 12, 13, Kind::Fail),
            call(0, "read", 14, 18, Kind::Ok),
            call(0, "read", 30, 31, Kind::Ok),
        ];
        let verdict = check(&history(calls.into_iter().flatten().chain(faults)));
        assert_eq!(verdict.validity, Validity::Valid);
        let figures = Json::from(verdict.figures);
        assert_eq!(figures["during"]["kill"]["ok"], 1);
        assert_eq!(figures["during"]["kill"]["ok_fraction"], 0.5);
        assert_eq!(figures["without_faults"]["ok"], 2);
        assert_eq!(figures["longest_gap_ms"], 16);
        assert_eq!(figures["ok_fraction"], 0.75);
    }

    #[test]
    fn a_system_that_never_answers_is_no_pass() {
        assert_eq!(check(&history(call(0, "read", 1, 2, Kind::Info))).validity, Validity::Unknown);
        assert_eq!(check(&history([])).validity, Validity::Unknown);
    }
}
