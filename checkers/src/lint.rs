//! Mistakes that the clients of a recorded history are likely to have made.
//!
//! A checker believes what is recorded. If a client logged a timeout as `fail`, the write that took effect
//! after all becomes an *aborted read* of a correct system. Such a history is judged as it stands; what is
//! found here stands beside the verdict, and before it where the evidence holds the operation concerned
//! ([`warning`]). None of this is certain, so none of it changes an answer.
//!
//! What cannot be a history at all (a completion without invocation, two open operations in one process,
//! values that do not decode) is [`Malformed`](elenchus_core::history::Malformed) long before.

use elenchus_core::event::{Index, Kind};
use elenchus_core::history::{EventRef, History};
use elenchus_core::process::Process;
use elenchus_core::time::Time;
use elenchus_core::value::Value;
use elenchus_core::verdict::{Exhibit, Validity, Verdict};
use std::collections::{HashMap, HashSet};

/// What a client seems to have done wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mistake {
    /// An operation that may have taken effect was logged as `fail`: its error speaks of a timeout or of a
    /// connection that was lost.
    DoubtAsFail,
    /// A process went on after an operation of its ended in doubt: that operation may still be running.
    WentOnAfterInfo,
    /// The clock ran backwards. Order is the position in the log, so only figures in seconds are wrong,
    /// unless the log was put together by time.
    TimeRanBackwards,
    /// A value was set twice where each was to be new.
    ValueReused,
}

impl Mistake {
    /// Its stable name, for machines.
    pub fn name(self) -> &'static str {
        match self {
            Mistake::DoubtAsFail => "doubt-as-fail",
            Mistake::WentOnAfterInfo => "went-on-after-info",
            Mistake::TimeRanBackwards => "time-ran-backwards",
            Mistake::ValueReused => "value-reused",
        }
    }
}

/// One likely mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lint {
    /// Which.
    pub mistake: Mistake,
    /// The position in the log of the event that shows it.
    pub event: Index,
    /// Whose event that is.
    pub process: Process,
    /// The earlier event that it is at odds with, where there is one.
    pub earlier: Option<Index>,
}

impl Lint {
    /// The mistake in plain words. `history` is the one that it was found in.
    pub fn sentence(&self, history: &History) -> String {
        let Lint { event, process, .. } = *self;
        let f = history.event(event).f;
        let earlier = self.earlier.map(|index| format!("event {index}")).unwrap_or_default();
        match self.mistake {
            Mistake::DoubtAsFail => format!(
                "event {event}: process {process} logged `{f}` as fail because of {}; it may have taken effect, \
                 so it should be info",
                complaint(&history.event(event)).unwrap_or_default()
            ),
            Mistake::WentOnAfterInfo => format!(
                "event {event}: process {process} goes on with `{f}` although its operation of {earlier} ended \
                 in doubt and may still be running; a new process should"
            ),
            Mistake::TimeRanBackwards => {
                format!("event {event} is timed before {earlier}, after which it stands")
            }
            Mistake::ValueReused => {
                format!("event {event}: process {process} sets with `{f}` a value that {earlier} set before")
            }
        }
    }
}

/// What is known of the functions of a history, by their names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Habits<'a> {
    /// Those that change nothing: to log one that timed out as `fail` is no mistake.
    pub observers: &'a [&'a str],
    /// Those whose every invocation promises to set a new value: the whole value, or the last item of a pair
    /// (a cas).
    pub unique: &'a [&'a str],
}

/// The customary names of observers; nothing is promised to be unique.
impl Default for Habits<'_> {
    fn default() -> Self {
        Habits { observers: &["read", "r", "get", "contains", "peek", "size", "read-all"], unique: &[] }
    }
}

/// Looks for likely mistakes, in the order of the log.
pub fn lint(history: &History, habits: Habits<'_>) -> Vec<Lint> {
    let mut found = doubt_as_fail(history, habits.observers);
    found.extend(went_on_after_info(history));
    found.extend(time_ran_backwards(history));
    found.extend(values_reused(history, habits.unique));
    found.sort_by_key(|lint| (lint.event, lint.mistake));
    found
}

/// What should be read before an invalid verdict: that its evidence holds an operation which a client may
/// have recorded wrongly. `None` if it holds none, or if nothing is invalid.
pub fn warning(history: &History, found: &[Lint], verdict: &Verdict) -> Option<String> {
    if verdict.validity != Validity::Invalid {
        return None;
    }
    let shown = verdict.anomalies.iter().flat_map(|anomaly| &anomaly.operations);
    let events: HashSet<Index> = shown.flat_map(events_of).collect();
    // Clocks move no operation, and what a value reused costs is speed.
    let matters = |lint: &&Lint| matches!(lint.mistake, Mistake::DoubtAsFail | Mistake::WentOnAfterInfo);
    let concerns = |lint: &&Lint| {
        let ends = [Some(lint.event), lint.earlier, history.partner(lint.event)];
        ends.into_iter().flatten().any(|event| events.contains(&event))
    };
    let lint = found.iter().filter(matters).find(concerns)?;
    Some(format!("the client may be at fault: {}", lint.sentence(history)))
}

/// An invalid verdict that begins with what should be read before it; any other as it is.
pub(crate) fn warned(history: &History, mut verdict: Verdict) -> Verdict {
    if verdict.validity == Validity::Invalid {
        let found = lint(history, Habits::default());
        if let Some(warning) = warning(history, &found, &verdict) {
            verdict.why = format!("{warning}. As it was logged, {}", verdict.why);
        }
    }
    verdict
}

fn events_of(exhibit: &Exhibit) -> impl Iterator<Item = Index> {
    [Some(exhibit.call), exhibit.done].into_iter().flatten()
}

fn doubt_as_fail(history: &History, observers: &[&str]) -> Vec<Lint> {
    let failed = history.events().filter(|event| event.kind == Kind::Fail && !event.process.is_nemesis());
    let suspect = failed.filter(|event| !observers.contains(&event.f) && complaint(event).is_some());
    let lint = |event: EventRef<'_>| Lint {
        mistake: Mistake::DoubtAsFail,
        event: event.index,
        process: event.process,
        earlier: None,
    };
    suspect.map(lint).collect()
}

/// What an error says when nobody knows whether the request arrived. A refused connection is not among them.
const DOUBTFUL: [&str; 14] = [
    "timeout",
    "timed out",
    "timed-out",
    "deadline exceeded",
    "connection reset",
    "connection lost",
    "connection closed",
    "connection-lost",
    "socket closed",
    "broken pipe",
    "broken-pipe",
    "econnreset",
    "epipe",
    "unexpected eof",
];

/// The error of a completion, if it speaks of doubt.
fn complaint(event: &EventRef<'_>) -> Option<String> {
    let said = event.error.or_else(|| event.value.as_text().map(|_| event.value))?;
    let text = said.to_string();
    let small = text.to_lowercase();
    DOUBTFUL.iter().any(|phrase| small.contains(phrase)).then_some(text)
}

fn went_on_after_info(history: &History) -> Vec<Lint> {
    let mut doubtful: HashMap<Process, Index> = HashMap::new();
    let mut found = Vec::new();
    for index in 0..history.len() as Index {
        let process = history.process(index);
        match history.kind(index) {
            _ if process.is_nemesis() => {}
            Kind::Info => {
                doubtful.insert(process, index);
            }
            Kind::Invoke => {
                // One finding for each operation in doubt is enough.
                let earlier = doubtful.remove(&process);
                let lint = Lint { mistake: Mistake::WentOnAfterInfo, event: index, process, earlier };
                found.extend(earlier.map(|_| lint));
            }
            Kind::Ok | Kind::Fail => {}
        }
    }
    found
}

fn time_ran_backwards(history: &History) -> Vec<Lint> {
    let mut before: Option<(Time, Index)> = None;
    let mut found = Vec::new();
    for index in 0..history.len() as Index {
        let time = history.time(index);
        if let Some((_, earlier)) = before.filter(|(latest, _)| time < *latest) {
            let process = history.process(index);
            found.push(Lint {
                mistake: Mistake::TimeRanBackwards,
                event: index,
                process,
                earlier: Some(earlier),
            });
        }
        before = Some((time, index));
    }
    found
}

fn values_reused(history: &History, unique: &[&str]) -> Vec<Lint> {
    let mut first: HashMap<(Option<u32>, &Value), Index> = HashMap::new();
    let promised: Vec<bool> = history.names().iter().map(|name| unique.contains(&name.as_ref())).collect();
    let mut found = Vec::new();
    for event in history.invocations().filter(|event| promised[usize::from(history.name_id(*event))]) {
        let value = match history.value(event).as_items() {
            Some([_, set]) => set,
            _ => history.value(event),
        };
        match first.entry((history.key_id(event), value)) {
            std::collections::hash_map::Entry::Vacant(place) => {
                place.insert(event);
            }
            std::collections::hash_map::Entry::Occupied(place) => found.push(Lint {
                mistake: Mistake::ValueReused,
                event,
                process: history.process(event),
                earlier: Some(*place.get()),
            }),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linearizability::{Linearizability, Subject};
    use crate::models::register::{Register, RegisterVocabulary};
    use elenchus_core::budget::Budget;
    use elenchus_core::checker::Checker;
    use elenchus_core::event::Event;

    fn event(process: u32, kind: Kind, f: &str, value: Value, error: Option<Value>) -> Event {
        let f = f.into();
        Event { time: Time::ZERO, process: Process(process), kind, f, key: None, value, error, extra: vec![] }
    }

    /// Calls and completions of one process after the other, timed by their position.
    fn history(events: &[(u32, Kind, &str, i64, Option<&str>)]) -> History {
        let events = events.iter().enumerate().map(|(i, (process, kind, f, value, error))| {
            let error = error.map(Value::keyword);
            Event { time: Time(i as u64), ..event(*process, *kind, f, Value::Int(*value), error) }
        });
        History::seal(events).expect("the history is well-formed")
    }

    fn names(history: &History, habits: Habits<'_>) -> Vec<(&'static str, Index)> {
        lint(history, habits).iter().map(|lint| (lint.mistake.name(), lint.event)).collect()
    }

    use Kind::{Fail, Info, Invoke, Ok as Done};

    #[test]
    fn a_sound_history_has_none() {
        let sound = history(&[
            (0, Invoke, "write", 1, None),
            (0, Fail, "write", 1, Some("connection refused")),
            (1, Invoke, "read", 0, None),
            (1, Fail, "read", 0, Some("timeout")),
            (1, Invoke, "write", 1, None),
            (1, Info, "write", 1, Some("timeout")),
            (2, Invoke, "read", 0, None),
            (2, Done, "read", 1, None),
        ]);
        assert_eq!(names(&sound, Habits::default()), []);
    }

    #[test]
    fn a_timeout_recorded_as_fail_is_found() {
        let errors =
            ["timed-out", "Deadline Exceeded", "java.net.SocketException: Broken pipe", "ECONNRESET"];
        for error in errors {
            let history = history(&[(0, Invoke, "write", 1, None), (0, Fail, "write", 1, Some(error))]);
            assert_eq!(names(&history, Habits::default()), [("doubt-as-fail", 1)], "{error}");
            let sentence = lint(&history, Habits::default())[0].sentence(&history);
            assert!(sentence.contains(error) && sentence.contains("process 0"), "{sentence}");
        }
    }

    #[test]
    fn a_process_that_goes_on_after_info_is_found_once() {
        let history = history(&[
            (0, Invoke, "write", 1, None),
            (0, Info, "write", 1, None),
            (0, Invoke, "write", 2, None),
            (0, Done, "write", 2, None),
            (0, Invoke, "write", 3, None),
        ]);
        assert_eq!(names(&history, Habits::default()), [("went-on-after-info", 2)]);
    }

    #[test]
    fn a_clock_that_runs_backwards_is_found() {
        let times = [5, 7, 6, 6, 8];
        let events = times.iter().enumerate().map(|(i, time)| Event {
            time: Time(*time),
            ..event(i as u32, Invoke, "read", Value::Nil, None)
        });
        let history = History::seal(events).expect("the history is well-formed");
        assert_eq!(names(&history, Habits::default()), [("time-ran-backwards", 2)]);
    }

    #[test]
    fn values_reused_are_found_where_they_were_promised_to_be_new() {
        let pair = |a, b| Value::vector([Value::Int(a), Value::Int(b)]);
        let events = [
            event(0, Invoke, "write", Value::Int(1), None),
            event(1, Invoke, "cas", pair(1, 2), None),
            event(2, Invoke, "cas", pair(2, 1), None),
            event(3, Invoke, "read", Value::Int(1), None),
            Event { key: Some(Value::Int(9)), ..event(4, Invoke, "write", Value::Int(1), None) },
        ];
        let history = History::seal(events).expect("the history is well-formed");
        assert_eq!(names(&history, Habits::default()), []);
        let habits = Habits { unique: &["write", "cas"], ..Habits::default() };
        assert_eq!(names(&history, habits), [("value-reused", 2)]);
    }

    #[test]
    fn a_verdict_is_warned_of_only_if_its_evidence_holds_the_operation() {
        let mut events = vec![
            (0, Invoke, "write", 7, None),
            (0, Fail, "write", 7, Some("timeout")),
            (1, Invoke, "read", 0, None),
            (1, Done, "read", 7, None),
        ];
        let judge = |history: &History| {
            let checker = Linearizability::new(Register::default(), RegisterVocabulary).of(Subject::History);
            checker.check(history, &Budget::unlimited()).expect("it is a register's")
        };
        let guilty = history(&events);
        let found = lint(&guilty, Habits::default());
        assert!(warning(&guilty, &found, &judge(&guilty)).is_some());
        let why = judge(&guilty).why;
        assert!(
            why.starts_with("the client may be at fault: event 1: process 0 logged `write` as fail"),
            "{why}"
        );
        assert!(why.contains("As it was logged, process 1 read 7"), "{why}");
        events[3].3 = 8;
        let innocent = history(&events);
        assert_eq!(warning(&innocent, &found, &judge(&innocent)), None);
        assert!(judge(&innocent).why.starts_with("process 1 read 8"));
        events.truncate(2);
        let valid = history(&events);
        assert_eq!(warning(&valid, &found, &judge(&valid)), None);
    }

    #[test]
    fn what_is_no_history_is_malformed_and_not_linted() {
        let refused = |events: Vec<Event>| History::seal(events).expect_err("it is no history").what;
        let call = || event(0, Invoke, "write", Value::Int(1), None);
        let done = || event(0, Done, "write", Value::Int(1), None);
        assert!(refused(vec![done()]).contains("process 0"));
        assert!(refused(vec![call(), call()]).contains("expected a completion"));
        assert!(refused(vec![call(), done(), done()]).contains("process 0"));
        let undecodable = History::seal([event(0, Invoke, "cas", Value::Int(1), None)]).expect("it is one");
        let checker = Linearizability::new(Register::default(), RegisterVocabulary);
        let malformed = checker.check(&undecodable, &Budget::unlimited()).expect_err("a cas takes a pair");
        assert!(malformed.index == 0 && malformed.what.contains("[from to]"), "{malformed}");
    }
}
