//! How faults and notes stand in a history.
//!
//! The runner writes them, checkers and the report read them back, and all three agree because both
//! directions are here. Such an event has the process of the nemesis and the kind `info`. Of a fault, `f`
//! is its name and `value` a map: `{"fault": 3, "phase": "inject", "target": <the fault>}`, later
//! `{"fault": 3, "phase": "injected", "proof": <the proof>}`, and the same with `heal` and `healed`. What
//! could not be done has its reason in the event's `error`. Of a note, `f` is its kind and `value` a map of
//! strings without the key `fault`.
//!
//! Reading is lenient: a phase may be missing (the controller was killed, the log was torn), and a proof
//! that cannot be read becomes an error of its span, never a panic and never a proof.

use crate::event::{Event, Index, Kind};
use crate::fault::{Fault, FaultId, Proof};
use crate::history::{EventRef, History};
use crate::outcome::Cause;
use crate::plain::{from_value, to_value};
use crate::process::Process;
use crate::time::Time;
use crate::value::Value;
use crate::world::Note;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What the log says of a fault or a note: the varying part of its event.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The fault's name or the note's kind.
    pub f: &'static str,
    /// What happened.
    pub value: Value,
    /// Why it could not be done.
    pub error: Option<Value>,
}

impl Entry {
    /// The event, whole.
    pub fn into_event(self, time: Time) -> Event {
        Event {
            time,
            process: Process::NEMESIS,
            kind: Kind::Info,
            f: Arc::from(self.f),
            key: None,
            value: self.value,
            error: self.error,
            extra: Vec::new(),
        }
    }
}

/// A fault is to be brought about.
pub fn encode_inject(id: FaultId, fault: &Fault) -> Entry {
    phase(id, fault.name(), "inject", Some(("target", to_value(fault))), None)
}

/// The fault `name` is in force, or could not be brought about.
pub fn encode_injected(id: FaultId, name: &'static str, result: &Result<Proof, Cause>) -> Entry {
    ended(id, name, "injected", result)
}

/// The fault `name` is to be healed.
pub fn encode_heal(id: FaultId, name: &'static str) -> Entry {
    phase(id, name, "heal", None, None)
}

/// The fault `name` is healed, or could not be.
pub fn encode_healed(id: FaultId, name: &'static str, result: &Result<Proof, Cause>) -> Entry {
    ended(id, name, "healed", result)
}

/// Something observed.
pub fn encode_note(note: &Note) -> Entry {
    let fields = note.fields.iter().map(|(key, value)| (Value::str(key), Value::str(value))).collect();
    Entry { f: note.f, value: Value::Map(fields), error: None }
}

fn ended(id: FaultId, name: &'static str, phase_name: &'static str, result: &Result<Proof, Cause>) -> Entry {
    match result {
        Ok(proof) => phase(id, name, phase_name, Some(("proof", to_value(proof))), None),
        Err(cause) => phase(id, name, phase_name, None, Some(Value::str(&cause.0))),
    }
}

fn phase(
    id: FaultId,
    f: &'static str,
    phase: &'static str,
    detail: Option<(&'static str, Value)>,
    error: Option<Value>,
) -> Entry {
    let mut fields =
        vec![(Value::str("fault"), Value::Int(i64::from(id.0))), (Value::str("phase"), Value::str(phase))];
    fields.extend(detail.map(|(key, value)| (Value::str(key), value)));
    Entry { f, value: Value::Map(fields.into()), error }
}

/// Where an event stands and when it happened.
pub type Mark = (Index, Time);

/// One fault of a history, from its injection to its healing.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    /// Which.
    pub id: FaultId,
    /// Its kind: `partition`, `kill`…
    pub fault: String,
    /// What was asked for, if the log says so readably.
    pub target: Option<Fault>,
    /// When it was asked for.
    pub inject: Option<Mark>,
    /// When it was in force, or had failed to be.
    pub injected: Option<Mark>,
    /// When its healing was first asked for.
    pub heal: Option<Mark>,
    /// When it was healed, or that had failed.
    pub healed: Option<Mark>,
    /// What its injection showed.
    pub proof_injected: Option<Proof>,
    /// What its healing showed.
    pub proof_healed: Option<Proof>,
    /// What went wrong with it, in the order of the log.
    pub errors: Vec<String>,
    /// How many client operations were open at some moment while it was in force.
    pub operations: u64,
}

impl Span {
    fn new(id: FaultId, fault: &str) -> Span {
        Span {
            id,
            fault: fault.to_owned(),
            target: None,
            inject: None,
            injected: None,
            heal: None,
            healed: None,
            proof_injected: None,
            proof_healed: None,
            errors: Vec::new(),
            operations: 0,
        }
    }

    /// Since when it was in force: since it was injected, or, if the log does not say, since that was asked.
    pub fn from(&self) -> Option<Mark> {
        self.injected.or(self.inject)
    }

    /// Until when it was in force; `None` is the end of the history.
    pub fn until(&self) -> Option<Mark> {
        self.healed
    }

    /// The interval in which it was in force, for plots; `end` is the end of the history.
    pub fn interval(&self, end: Time) -> (Time, Time) {
        let from = self.from().or(self.heal).or(self.healed).map_or(Time::ZERO, |(_, time)| time);
        (from, self.until().map_or(end, |(_, time)| time).max(from))
    }

    /// Whether it is known to have had effect.
    pub fn hit(&self) -> bool {
        [&self.proof_injected, &self.proof_healed].into_iter().flatten().any(|proof| proof.hit)
    }

    /// Whether it is known to have had effect, and a client operation was open while it was in force. Only
    /// such a fault was a test of anything.
    pub fn hit_while_open(&self) -> bool {
        self.hit() && self.operations > 0
    }

    /// What shows its effect, or that there was none: the later proof that hit, else the latest.
    pub fn proof(&self) -> Option<&Proof> {
        let proofs = || [&self.proof_healed, &self.proof_injected].into_iter().flatten();
        proofs().find(|proof| proof.hit).or_else(|| proofs().next())
    }

    fn take(&mut self, phase: &str, event: &EventRef<'_>) {
        let mark = Some((event.index, event.time));
        match phase {
            "inject" => {
                self.inject = mark;
                self.target = self.detail(event, "target");
            }
            "injected" => {
                self.injected = mark;
                self.proof_injected = self.detail(event, "proof");
            }
            // It may be tried again.
            "heal" => self.heal = self.heal.or(mark),
            "healed" => {
                self.healed = mark;
                self.proof_healed = self.detail(event, "proof");
            }
            other => self.errors.push(format!("event {}: unknown phase `{other}`", event.index)),
        }
        self.errors.extend(event.error.map(|error| format!("{phase}: {}", text_of(error))));
    }

    fn detail<T: DeserializeOwned>(&mut self, event: &EventRef<'_>, key: &str) -> Option<T> {
        match from_value(field(event.value, key)?) {
            Ok(detail) => Some(detail),
            Err(why) => {
                self.errors.push(format!("event {}: unreadable {key}: {why}", event.index));
                None
            }
        }
    }
}

/// A note of a history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Noted {
    /// Position in the log.
    pub index: Index,
    /// When.
    pub time: Time,
    /// What kind: `leader`, `exit`…
    pub f: String,
    /// What was seen, key by key.
    pub fields: Vec<(String, String)>,
}

impl Noted {
    /// The field of this name.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// The faults of a history, in the order of their injections.
pub fn spans(history: &History) -> Vec<Span> {
    spans_of(history.events())
}

/// The notes of a history, in its order.
pub fn notes(history: &History) -> Vec<Noted> {
    notes_of(history.events())
}

fn spans_of<'h>(events: impl Iterator<Item = EventRef<'h>>) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::new();
    let mut latest: BTreeMap<FaultId, usize> = BTreeMap::new();
    let mut in_force: Vec<usize> = Vec::new();
    let mut open: u64 = 0;
    for event in events {
        if !event.process.is_nemesis() {
            if event.kind == Kind::Invoke {
                open += 1;
                in_force.iter().for_each(|&at| spans[at].operations += 1);
            } else {
                open = open.saturating_sub(1);
            }
            continue;
        }
        let Some((id, phase)) = phase_of(&event) else { continue };
        let at = match latest.get(&id) {
            Some(&at) if phase != "inject" => at,
            _ => {
                spans.push(Span::new(id, event.f));
                latest.insert(id, spans.len() - 1);
                spans.len() - 1
            }
        };
        spans[at].take(phase, &event);
        match phase {
            "inject" | "injected" => {
                spans[at].operations = open;
                in_force.retain(|&other| other != at);
                in_force.push(at);
            }
            "healed" => in_force.retain(|&other| other != at),
            _ => {}
        }
    }
    spans
}

fn notes_of<'h>(events: impl Iterator<Item = EventRef<'h>>) -> Vec<Noted> {
    let noted = |event: EventRef<'h>| Noted {
        index: event.index,
        time: event.time,
        f: event.f.to_owned(),
        fields: entries(event.value).iter().map(|(key, value)| (text_of(key), text_of(value))).collect(),
    };
    events.filter(|event| event.process.is_nemesis() && phase_of(event).is_none()).map(noted).collect()
}

/// The fault and the phase that an event of the nemesis tells of; `None` is a note.
fn phase_of<'h>(event: &EventRef<'h>) -> Option<(FaultId, &'h str)> {
    let id = field(event.value, "fault")?.as_int().and_then(|id| u32::try_from(id).ok())?;
    Some((FaultId(id), field(event.value, "phase").and_then(Value::as_text).unwrap_or("")))
}

fn entries(value: &Value) -> &[(Value, Value)] {
    if let Value::Map(entries) = value { entries } else { &[] }
}

fn field<'v>(value: &'v Value, key: &str) -> Option<&'v Value> {
    entries(value).iter().find(|(name, _)| name.as_text() == Some(key)).map(|(_, value)| value)
}

fn text_of(value: &Value) -> String {
    value.as_text().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::{Ailment, Cut, Harm, Limit, Link, Loss, Manner, Shape, Skew, Target, Trouble};
    use crate::process::NodeId;

    fn node(name: &str) -> NodeId {
        NodeId::new(name)
    }

    fn proof(hit: bool) -> Proof {
        let links = vec![Link { from: node("n1"), to: node("n2") }];
        Proof { nodes: vec![node("n1")], links, hit, text: "3 packets held back".into() }
    }

    fn cut() -> Fault {
        let links = vec![Link { from: node("n1"), to: node("n2") }];
        Fault::Partition { shape: Shape::OneWay, cut: Cut::Links(links), manner: Manner::Drop }
    }

    /// Events at 1 ms, 2 ms…
    fn log(entries: Vec<Event>) -> Vec<Event> {
        let at = |(i, event): (usize, Event)| Event { time: Time(1_000_000 * (i as u64 + 1)), ..event };
        entries.into_iter().enumerate().map(at).collect()
    }

    fn sealed(events: &[Event]) -> History {
        History::seal(events.iter().cloned()).expect("a history")
    }

    fn client(process: u32, kind: Kind) -> Event {
        let entry = Entry { f: "read", value: Value::Nil, error: None };
        Event { process: Process(process), kind, ..entry.into_event(Time::ZERO) }
    }

    fn nemesis(entry: Entry) -> Event {
        entry.into_event(Time::ZERO)
    }

    #[test]
    fn a_fault_is_read_back_as_it_was_written() {
        let id = FaultId(3);
        let events = log(vec![
            nemesis(encode_inject(id, &cut())),
            nemesis(encode_injected(id, "partition", &Ok(proof(false)))),
            client(0, Kind::Invoke),
            nemesis(encode_heal(id, "partition")),
            nemesis(encode_healed(id, "partition", &Ok(proof(true)))),
        ]);
        assert_eq!(
            events[0].value,
            to_value(&serde_json::json!({"fault": 3, "phase": "inject", "target":
                {"partition": {"shape": "one-way", "cut": {"links": [{"from": "n1", "to": "n2"}]}}}}))
        );
        let spans = spans(&sealed(&events));
        let [span] = spans.as_slice() else { panic!("one fault, not {spans:?}") };
        assert_eq!((span.id, span.fault.as_str(), &span.target), (id, "partition", &Some(cut())));
        assert_eq!((span.inject, span.injected), (Some((0, Time(1_000_000))), Some((1, Time(2_000_000)))));
        assert_eq!((span.heal, span.healed), (Some((3, Time(4_000_000))), Some((4, Time(5_000_000)))));
        assert_eq!((&span.proof_injected, &span.proof_healed), (&Some(proof(false)), &Some(proof(true))));
        assert!(span.hit() && span.hit_while_open() && span.errors.is_empty());
        assert_eq!(span.proof(), Some(&proof(true)));
        assert_eq!(span.interval(Time(9_000_000)), (Time(2_000_000), Time(5_000_000)));
    }

    #[test]
    fn every_fault_survives_the_log() {
        let faults = [
            cut(),
            Fault::Partition {
                shape: Shape::Primaries,
                cut: Cut::Primaries { companions: vec![node("n4")] },
                manner: Manner::Reset,
            },
            Fault::Kill { nodes: Target::Primaries },
            Fault::Pause { nodes: Target::Nodes(vec![node("n1"), node("n5")]) },
            Fault::Clock { nodes: Target::Primaries, skew: Skew::Bump { delta_ms: -60_000 } },
            Fault::Clock { nodes: Target::Primaries, skew: Skew::Strobe { delta_ms: 5, period_ms: 7 } },
            Fault::Clock { nodes: Target::Primaries, skew: Skew::Drift { rate_ppm: 500_000 } },
            Fault::Packets { nodes: Target::Primaries, trouble: Trouble::Delay { ms: 50, jitter_ms: 7 } },
            Fault::Packets { nodes: Target::Primaries, trouble: Trouble::Reorder { percent: 9, ms: 3 } },
            Fault::Power { nodes: Target::Primaries, loss: Loss::Torn },
            Fault::Disk { nodes: Target::Primaries, ailment: Ailment::SlowSync { ms: 9 } },
            Fault::Disk { nodes: Target::Primaries, ailment: Ailment::Full },
            Fault::Damage { nodes: Target::Primaries, harm: Harm::BitFlip },
            Fault::Resources { nodes: Target::Primaries, limit: Limit::Memory { mib: 64 } },
            Fault::Membership { nodes: Target::Primaries },
        ];
        for fault in faults {
            let entry = encode_inject(FaultId(0), &fault);
            assert_eq!(from_value(field(&entry.value, "target").expect("a target")), Ok(fault));
        }
    }

    #[test]
    fn a_failed_injection_is_an_error_and_no_hit() {
        let events = log(vec![
            client(0, Kind::Invoke),
            nemesis(encode_inject(FaultId(1), &Fault::Kill { nodes: Target::Primaries })),
            nemesis(encode_injected(FaultId(1), "kill", &Err("no leader".into()))),
            nemesis(encode_healed(FaultId(1), "kill", &Err("n1 does not start".into()))),
        ]);
        let spans = spans(&sealed(&events));
        assert_eq!(spans[0].errors, ["injected: no leader", "healed: n1 does not start"]);
        assert!(!spans[0].hit() && !spans[0].hit_while_open());
    }

    #[test]
    fn a_fault_that_struck_while_nothing_was_open_tested_nothing() {
        let struck = |events: Vec<Event>| spans(&sealed(&log(events)))[0].hit_while_open();
        let injected = || nemesis(encode_injected(FaultId(0), "kill", &Ok(proof(true))));
        let healed = || nemesis(encode_healed(FaultId(0), "kill", &Ok(proof(true))));
        let (call, done) = (|| client(0, Kind::Invoke), || client(0, Kind::Ok));
        assert!(!struck(vec![call(), done(), injected(), healed(), call(), done()]));
        assert!(!struck(vec![
            call(),
            nemesis(encode_inject(FaultId(0), &cut())),
            done(),
            injected(),
            healed()
        ]));
        assert!(struck(vec![call(), injected(), healed(), done()]), "open throughout");
        assert!(struck(vec![call(), injected(), done(), healed()]), "open at the start");
        assert!(struck(vec![injected(), call(), done(), healed()]), "invoked meanwhile");
        assert!(struck(vec![injected(), call()]), "never healed");
        assert!(!struck(vec![call(), client(0, Kind::Info), injected(), healed()]), "ended in doubt before");
    }

    #[test]
    fn overlapping_faults_stay_apart() {
        let events = log(vec![
            nemesis(encode_inject(FaultId(0), &cut())),
            nemesis(encode_inject(FaultId(1), &Fault::Kill { nodes: Target::Primaries })),
            nemesis(encode_injected(FaultId(1), "kill", &Ok(proof(true)))),
            nemesis(encode_injected(FaultId(0), "partition", &Ok(proof(false)))),
            nemesis(encode_healed(FaultId(0), "partition", &Ok(proof(false)))),
        ]);
        let spans = spans(&sealed(&events));
        assert_eq!(
            spans.iter().map(|s| (s.id.0, s.hit(), s.until().is_some())).collect::<Vec<_>>(),
            [(0, false, true), (1, true, false)]
        );
        assert_eq!(spans[1].interval(Time(77_000_000)), (Time(3_000_000), Time(77_000_000)));
    }

    #[test]
    fn notes_are_no_faults() {
        let note = Note { f: "leader", fields: vec![("node", "n3".into()), ("term", "7".into())] };
        let events = log(vec![nemesis(encode_note(&note)), nemesis(encode_inject(FaultId(0), &cut()))]);
        let [noted] = notes(&sealed(&events)).try_into().expect("one note");
        assert_eq!(
            (noted.f.as_str(), noted.field("node"), noted.field("term")),
            ("leader", Some("n3"), Some("7"))
        );
        assert_eq!(noted.field("role"), None);
        assert_eq!(spans(&sealed(&events)).len(), 1);
    }

    #[test]
    fn what_cannot_be_read_is_said_and_never_a_proof() {
        let bad = |json| Entry { f: "kill", value: to_value(&json), error: None };
        let events = log(vec![
            nemesis(bad(serde_json::json!({"fault": 0, "phase": "injected", "proof": {"hit": true}}))),
            nemesis(bad(serde_json::json!({"fault": 0, "phase": "exploded"}))),
            nemesis(bad(serde_json::json!({"fault": -1, "phase": "inject"}))),
            nemesis(bad(serde_json::json!(["jepsen", "says", "anything"]))),
        ]);
        let spans = spans(&sealed(&events));
        assert_eq!(spans.len(), 1);
        assert!(!spans[0].hit());
        assert_eq!(spans[0].errors.len(), 2, "{:?}", spans[0].errors);
        assert_eq!(notes(&sealed(&events)).len(), 2);
    }

    #[test]
    fn keywords_count_as_text_since_edn_may_lie_between() {
        let keyword = |name: &str| Value::keyword(name);
        let target = Value::Map(
            [(keyword("kill"), Value::Map([(keyword("nodes"), keyword("primaries"))].into()))].into(),
        );
        assert_eq!(from_value(&target), Ok(Fault::Kill { nodes: Target::Primaries }));
    }

    #[test]
    fn every_format_keeps_faults_and_notes() {
        use crate::format::{Format, edn, jsonl, read};
        let note = Note { f: "leader", fields: vec![("node", "n3".into())] };
        let history = sealed(&log(vec![
            nemesis(encode_note(&note)),
            nemesis(encode_inject(FaultId(7), &cut())),
            client(0, Kind::Invoke),
            nemesis(encode_injected(FaultId(7), "partition", &Err("late".into()))),
            nemesis(encode_heal(FaultId(7), "partition")),
            nemesis(encode_healed(FaultId(7), "partition", &Ok(proof(true)))),
        ]));
        let (mut json, mut edn) = (Vec::new(), Vec::new());
        jsonl::write_header(&mut json, &jsonl::Header::default());
        history.events().for_each(|event| jsonl::write_event(&mut json, &event));
        edn::write_history(&mut edn, &history);
        for (bytes, format) in [(json, Format::Jsonl), (edn, Format::Edn)] {
            let again = read(&bytes, Some(format)).expect("what was written").history;
            assert_eq!((spans(&again), notes(&again)), (spans(&history), notes(&history)), "{format:?}");
            assert!(spans(&again)[0].hit_while_open());
        }
    }
}
