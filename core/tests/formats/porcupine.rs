//! Porcupine's operations become a log: order by time, ties as Porcupine takes them, doubt where it is.

use elenchus_core::event::Kind;
use elenchus_core::format::{Format, Recording, detect, porcupine_json, read};
use elenchus_core::random::Seed;

/// Each event as `process kind f key value error`.
fn told(recording: &Recording) -> Vec<String> {
    let text = |value: Option<&elenchus_core::value::Value>| value.map_or("-".into(), ToString::to_string);
    let event = |e: elenchus_core::history::EventRef<'_>| {
        let (key, error) = (text(e.key), text(e.error));
        format!("{} {} {} {key} {} {error}", e.process, e.kind.name(), e.f, e.value)
    };
    recording.history.events().map(event).collect()
}

#[track_caller]
fn reads_as(text: &str, expected: &[&str]) -> Recording {
    assert_eq!(detect(text.as_bytes()), Format::PorcupineJson, "{text}");
    let recording = read(text.as_bytes(), None).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(told(&recording), expected, "{text}");
    recording
}

#[track_caller]
fn refuses(text: &str, line: usize, column: usize, what: &str) {
    let error = porcupine_json::read(text.as_bytes()).expect_err("it is damaged");
    assert_eq!((error.line, error.column, error.what.as_str()), (line, column, what), "{text}");
}

#[test]
fn operations_are_sorted_by_their_times() {
    let later = r#"{"ClientId":1,"Input":{"f":"read"},"Call":-4,"Output":7,"Return":30}"#;
    let first = r#"{"ClientId":0,"Input":{"Op":"Write","Value":7},"Call":-5,"Output":{},"Return":20}"#;
    let expected = ["0 invoke write - 7 -", "1 invoke read - nil -", "0 ok write - nil -", "1 ok read - 7 -"];
    for text in [format!("{later}\n{first}\n"), format!("[{later},\n {first}]")] {
        let history = reads_as(&text, &expected).history;
        assert_eq!((history.time(0).0, history.time(3).0), (0, 35));
    }
}

#[test]
fn a_call_at_the_time_of_a_return_comes_before_it() {
    let text = r#"{"ClientId":3,"Input":{"f":"write","key":"x","value":1},"Call":0,"Output":null,"Return":5}
                  {"ClientId":3,"Input":{"f":"read","key":"x"},"Call":5,"Output":{"value":1},"Return":5}"#;
    let expected = [
        "3 invoke write \"x\" 1 -",
        "4 invoke read \"x\" nil -",
        "3 ok write \"x\" nil -",
        "4 ok read \"x\" 1 -",
    ];
    let recording = reads_as(text, &expected);
    assert!(recording.complaints[0].ends_with("a process of their own: 1"), "{:?}", recording.complaints);
}

#[test]
fn doubt_and_refusals_are_what_they_say() {
    let text = r#"[{"clientid":0,"input":{"op":"cas","key":1,"from":1,"to":2},"output":{"ok":false},"call":1,"return":2},
        {"clientid":0,"input":{"op":"cas","key":1,"from":1,"to":2},"output":{"ok":false,"saw":5},"call":3,"return":4},
        {"clientid":0,"input":{"op":"cas","key":1,"from":5,"to":2},"output":{"ok":true,"value":""},"call":5,"return":6},
        {"clientid":0,"input":{"op":"put","key":1,"value":"v"},"output":{"error":"timeout"},"call":7,"return":8},
        {"clientid":0,"input":{"op":"put","key":1,"value":"w"},"output":{"unknown":true,"ok":false},"call":9,"return":10},
        {"clientid":0,"input":{"op":"put","key":1,"value":"x"},"call":11,"return":9223372036854775807},
        {"clientid":0,"input":{"op":"get","key":1},"output":{"exists":false,"value":""},"call":13,"return":14}]"#;
    let expected = [
        "0 invoke cas 1 [1 2] -",
        "0 fail cas 1 [1 2] [\"refused\"]",
        "0 invoke cas 1 [1 2] -",
        "0 fail cas 1 [1 2] [\"refused\" 5]",
        "0 invoke cas 1 [5 2] -",
        "0 ok cas 1 [5 2] -",
        "0 invoke put 1 \"v\" -",
        "0 info put 1 \"v\" \"timeout\"",
        "1 invoke put 1 \"w\" -",
        "1 info put 1 \"w\" -",
        "2 invoke put 1 \"x\" -",
        "3 invoke get 1 nil -",
        "3 ok get 1 nil -",
    ];
    reads_as(text, &expected);
}

#[test]
fn what_is_not_understood_is_an_error_with_its_place() {
    refuses(
        r#"[{"Input":{"f":"read"},"Return":1}]"#,
        1,
        2,
        "expected an operation, this one has no \"Call\"",
    );
    refuses(
        r#"{"Input":{"f":"read","revision":4},"Call":1}"#,
        1,
        10,
        "expected an input of f (or op), key, value, from and to, found \"revision\"",
    );
    refuses(
        r#"{"Input":{"f":"read"},"Call":5,"Return":1}"#,
        1,
        41,
        "expected a return after the call at 5, found 1; leave it out if there was none",
    );
    refuses("[{\"Input\":{\"f\":1},\"Call\":5}]", 1, 11, "expected the name of a function, found 1");
    refuses(
        r#"{"Input":{"f":"read"},"Call":1.5}"#,
        1,
        30,
        "expected a time: an integer of 64 bits, found 1.5",
    );
    refuses("[{\"Call\":1}\n {}]", 1, 2, "expected an operation, this one has no \"Input\"");
    refuses("[{\"Call\":1,\"Input\":{\"f\":\"read\"}}\n {}]", 2, 2, "expected `,` or `]`, found `{`");
    refuses(
        r#"{"ClientId":-1,"Input":{"f":"r"},"Call":1}"#,
        1,
        13,
        "expected a client: a number below 2147483648",
    );
}

#[test]
fn random_operations_keep_their_order_in_time() {
    let mut rng = Seed(9).stream("porcupine").rng();
    for _ in 0..300 {
        let count = rng.below(12);
        let mut lines = String::new();
        let mut intervals = Vec::new();
        for i in 0..count {
            let call = rng.below(20) as i64 - 10;
            let end = call + rng.below(10) as i64;
            intervals.push((call, end));
            let client = rng.below(4);
            lines += &format!(
                r#"{{"ClientId":{client},"Input":{{"f":"w","value":{i}}},"Call":{call},"Output":{i},"Return":{end}}}"#
            );
        }
        let history = porcupine_json::read(lines.as_bytes()).expect("it is whole").history;
        let mut seen = vec![(0, 0); count as usize];
        for event in history.events() {
            let i = event.value.as_int().expect("a number") as usize;
            if event.kind == Kind::Invoke { seen[i].0 = event.index } else { seen[i].1 = event.index }
        }
        for (i, a) in intervals.iter().enumerate() {
            for (j, b) in intervals.iter().enumerate() {
                assert_eq!(a.1 < b.0, seen[i].1 < seen[j].0, "{lines}");
            }
        }
    }
}
