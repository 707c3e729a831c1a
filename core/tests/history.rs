//! What makes a log a history, and what its operations are.

use elenchus_core::event::{Event, Index, Kind};
use elenchus_core::format::edn;
use elenchus_core::history::{History, HistoryBuilder};
use elenchus_core::operation::Operation;
use elenchus_core::outcome::{Failure, Outcome};
use elenchus_core::process::Process;
use elenchus_core::random::Seed;
use elenchus_core::time::Time;
use elenchus_core::value::Value;
use elenchus_core::workload::{Call, Vocabulary};

/// A history in few words: process, type, function, value, all as EDN.
fn log(text: &str) -> Vec<Event> {
    let event = |(at, line): (usize, &str)| {
        let words = edn::read_value(&format!("[{line}]")).expect("EDN");
        let words = words.as_items().expect("a vector");
        let process = words[0].as_int().map_or(Process::NEMESIS, |number| Process(number as u32));
        Event {
            time: Time(10 * at as u64),
            process,
            kind: words[1].as_text().and_then(Kind::named).expect("a type"),
            f: words[2].as_text().expect("a function").into(),
            key: None,
            value: words[3].clone(),
            error: words.get(4).cloned(),
            extra: vec![],
        }
    };
    text.lines().map(str::trim).filter(|line| !line.is_empty()).enumerate().map(event).collect()
}

fn seal(text: &str) -> History {
    History::seal(log(text)).expect("a history")
}

#[track_caller]
fn malformed(text: &str, index: Index, what: &str) {
    let error = History::seal(log(text)).expect_err("no history");
    assert_eq!((error.index, error.what.as_str()), (index, what));
    assert_eq!(error.to_string(), format!("malformed history at event {index}: {what}"));
}

/// Reads answer integers; writes take integers and answer nothing.
struct Register;

impl Vocabulary for Register {
    type Op = (String, Option<i64>);
    type Ret = Option<i64>;

    fn encode_op(&self, (_, value): &Self::Op) -> Call {
        Call { f: "write", key: None, value: (*value).into() }
    }

    fn encode_ret(&self, _: &Self::Op, ret: &Self::Ret) -> Value {
        (*ret).into()
    }

    fn decode_op(&self, f: &str, _: Option<&Value>, value: &Value) -> Result<Self::Op, String> {
        match f {
            "read" | "write" => Ok((f.into(), value.as_int())),
            _ => Err(format!("expected `read` or `write`, found `{f}`")),
        }
    }

    fn decode_ret(&self, _: &Self::Op, value: &Value) -> Result<Self::Ret, String> {
        match value {
            Value::Nil => Ok(None),
            Value::Int(n) => Ok(Some(*n)),
            _ => Err(format!("expected an integer, found {value}")),
        }
    }
}

#[test]
fn completions_are_paired_with_their_own_process() {
    let history = seal(
        "0 invoke write 1
         1 invoke read nil
         :nemesis info kill nil
         1 ok read 1
         0 ok write 1
         1 invoke read nil",
    );
    let partners: Vec<_> = (0..6).map(|index| history.partner(index)).collect();
    assert_eq!(partners, [Some(4), Some(3), None, Some(1), Some(0), None]);
    assert_eq!(history.invocations().collect::<Vec<_>>(), [0, 1, 5]);
    let names: Vec<&str> = history.names().iter().map(|name| &**name).collect();
    assert_eq!(names, ["write", "read", "kill"]);
    assert_eq!(history.name_id(3), 1);
}

#[test]
fn every_event_comes_back_as_it_went_in() {
    let mut rng = Seed(9).rng();
    let processes = [0, 65_535, 65_536, u32::MAX - 1];
    let mut open: Vec<Option<Event>> = vec![None; processes.len()];
    let mut events = Vec::new();
    for i in 0..5_000u64 {
        let slot = rng.below(4) as usize;
        let value = match rng.below(4) {
            0 => Value::Nil,
            1 => Value::Float(*rng.pick(&[0.0, -0.0, f64::NAN])),
            2 => Value::vector([Value::Int(rng.below(3) as i64)]),
            _ => Value::Int(rng.below(5) as i64),
        };
        let error = rng.chance(1, 5).then(|| value.clone());
        let extra = if rng.chance(1, 5) { vec![("node".into(), Value::str("n1"))] } else { vec![] };
        let event = match open[slot].take() {
            Some(call) => {
                let kind = *rng.pick(&[Kind::Ok, Kind::Fail, Kind::Info]);
                Event { time: Time(i), kind, value, error, extra, ..call }
            }
            None => {
                let key = rng.chance(3, 4).then(|| Value::Int(rng.below(9) as i64));
                let (f, kind) = ((*rng.pick(&["a", "b", "c"])).into(), Kind::Invoke);
                let call = Event {
                    time: Time(i),
                    process: Process(processes[slot]),
                    kind,
                    f,
                    key,
                    value,
                    error,
                    extra,
                };
                open[slot] = Some(call.clone());
                call
            }
        };
        events.push(event);
    }
    let history = History::seal(events.clone()).unwrap();
    assert_eq!(history.len(), events.len());
    let back: Vec<Event> = history.events().map(|event| event.to_event()).collect();
    assert_eq!(back, events);
    assert!(history.keys().len() <= 9, "keys are held once");
    for event in history.events() {
        let index = event.index;
        assert_eq!(event, events[index as usize].at(index));
        let (time, process, kind) = (history.time(index), history.process(index), history.kind(index));
        assert_eq!((time, process, kind), (event.time, event.process, event.kind));
        assert_eq!(history.key_id(index).map(|id| &history.keys()[id as usize]), event.key);
    }
}

#[test]
fn a_completion_needs_an_invocation_of_the_same_function() {
    malformed(
        "0 invoke read nil
         1 ok read 1",
        1,
        "process 1 ends `read` with `ok`, expected an invocation: it has none open",
    );
    malformed(
        "0 invoke read nil
         0 info read nil
         0 fail read nil",
        2,
        "process 0 ends `read` with `fail`, expected an invocation: it has none open",
    );
    malformed(
        "0 invoke read nil
         0 ok write 1",
        1,
        "process 0 ends `write`, expected the end of its `read` of event 0",
    );
    malformed(
        "7 invoke read nil
         7 invoke write 1",
        1,
        "process 7 invokes `write`, expected a completion of its `read` of event 0",
    );
}

#[test]
fn a_refused_event_leaves_the_builder_as_it_was() {
    let mut builder = HistoryBuilder::new();
    let mut events = log("0 invoke read nil
                          0 ok read 1");
    builder.push(events[0].clone()).unwrap();
    builder.push(events[0].clone()).unwrap_err();
    builder.push(Event { f: "write".into(), ..events[1].clone() }).unwrap_err();
    builder.push(events.remove(1)).unwrap();
    let history = builder.seal();
    assert_eq!((history.len(), history.partner(1), history.names().len()), (2, Some(0), 1));
}

#[test]
fn the_nemesis_may_say_what_it_wants() {
    let history = seal(
        ":nemesis info kill 1
         :nemesis invoke kill 1
         :nemesis invoke kill 1
         :nemesis ok heal 1",
    );
    assert!((0..4).all(|index| history.partner(index).is_none()));
    assert_eq!(history.operations(&Register), Ok(vec![]), "it performs no operations");
}

#[test]
fn times_that_run_backwards_are_no_matter_of_form() {
    let mut events = log("0 invoke read nil
                          0 ok read 1");
    events.reverse();
    events.iter_mut().rev().zip([Kind::Ok, Kind::Invoke]).for_each(|(event, kind)| event.kind = kind);
    let history = History::seal(events).unwrap();
    assert!(history.time(0) > history.time(1));
}

#[test]
fn more_functions_than_fit_are_refused_by_name() {
    let event = |n: usize| Event { f: n.to_string().into(), ..log(":nemesis info x nil").remove(0) };
    let error = History::seal((0..=65_536).map(event)).unwrap_err();
    assert_eq!(error.index, 65_536);
    assert!(error.what.contains("`65536` is one more function"), "{error}");
    assert_eq!(History::seal((0..65_536).map(event)).unwrap().names().len(), 65_536);
}

#[test]
fn operations_carry_their_outcomes() {
    let history = seal(
        r#"0 invoke write 1
           1 invoke read nil
           2 invoke write 2
           3 invoke write 3
           4 invoke write 4
           5 invoke write 5
           6 invoke write 6
           1 ok read 9
           2 info write 2 [:timeout 5]
           3 fail write 3 ["refused" 7]
           4 fail write 4 ["refused"]
           5 fail write 5 "no route"
           6 fail write 6 [:refused 7]"#,
    );
    let operations = history.operations(&Register).unwrap();
    type Of = Operation<(String, Option<i64>), Option<i64>>;
    let outcomes: Vec<_> = operations.iter().map(|operation| operation.outcome.clone()).collect();
    assert_eq!(
        outcomes,
        [
            Outcome::info("no completion in the log"),
            Outcome::Ok(Some(9)),
            Outcome::info("[:timeout 5]".to_owned()),
            Outcome::Fail(Failure::Refused(Some(Some(7)))),
            Outcome::Fail(Failure::Refused(None)),
            Outcome::not_done("no route"),
            // A client's own keyword is a refused connection, say: no observation of any state.
            Outcome::not_done("[:refused 7]".to_owned()),
        ]
    );
    let spans: Vec<_> = operations.iter().map(|o| (o.call, o.done, o.called, o.ended)).collect();
    assert_eq!(spans[0], (0, Of::OPEN, Time(0), None));
    assert_eq!(spans[1], (1, 7, Time(10), Some(Time(70))));
    assert_eq!(spans[2], (2, Of::OPEN, Time(20), Some(Time(80))), "in doubt: it may still take effect");
    assert_eq!(spans[3], (3, 9, Time(30), Some(Time(90))));
    assert_eq!(operations[1].op, ("read".to_owned(), None));
    assert_eq!(operations[1].process, Process(1));
}

#[test]
fn a_history_without_times_says_no_end_of_any_operation() {
    let at = |time: fn(u64) -> u64| {
        let mut events = log("0 invoke write 1\n 0 ok write 1\n 1 invoke read nil\n 1 ok read 1");
        (0..).zip(&mut events).for_each(|(i, event)| event.time = Time(time(i)));
        History::seal(events).expect("a history")
    };
    let of_a_system = at(|i| 5_000_000_000 + 100 * i);
    let operations = of_a_system.operations(&Register).expect("operations");
    assert!(of_a_system.bears_times() && operations.iter().all(|o| o.ended.is_some()));
    // Positions, counted ends from anywhere, no times at all.
    for timeless in [at(|i| i), at(|i| 1_000 + 2 * i), at(|_| 0), at(|_| 77)] {
        let operations = timeless.operations(&Register).expect("operations");
        assert!(!timeless.bears_times() && operations.iter().all(|o| o.ended.is_none() && o.done < 4));
    }
}

#[test]
fn what_the_workload_cannot_decode_names_the_event() {
    let error = |text: &str| seal(text).operations(&Register).unwrap_err().to_string();
    assert_eq!(
        error("0 invoke read nil\n 1 invoke cas [1 2]"),
        "malformed history at event 1: expected `read` or `write`, found `cas`"
    );
    assert_eq!(
        error("0 invoke read nil\n 0 ok read [1]"),
        "malformed history at event 1: expected an integer, found [1]"
    );
    assert_eq!(
        error("0 invoke read nil\n 0 fail read nil [\"refused\" :x]"),
        "malformed history at event 1: expected an integer, found :x"
    );
}

#[test]
fn a_value_takes_three_words() {
    assert_eq!(size_of::<Value>(), 24);
}
