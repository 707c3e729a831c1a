//! Damaged files: an exact error or a reported tail, never a panic, never a silent loss.

use crate::arbitrary;
use elenchus_core::format::{Format, ReadError, edn, jsonl, read};
use elenchus_core::random::Seed;

#[track_caller]
fn refuses(text: &str, line: usize, column: usize, what: &str) {
    refuses_bytes(text.as_bytes(), line, column, what);
}

#[track_caller]
fn refuses_bytes(bytes: &[u8], line: usize, column: usize, what: &str) {
    match read(bytes, None) {
        Ok(recording) => panic!("read {recording:?}"),
        Err(error) => assert_eq!(error, ReadError { line, column, what: what.into() }),
    }
}

const INVOKE: &str = r#"{"process":1,"type":"invoke","f":"read"}"#;
const OK: &str = r#"{"process":1,"type":"ok","f":"read","value":3}"#;

#[test]
fn errors_of_json_lines_say_where_and_what_was_expected() {
    let after = |line: &str| format!("{INVOKE}\n{line}\n{OK}\n");
    refuses(&after("{"), 2, 2, "expected a key in quotes, found the end");
    refuses(&after("nonsense"), 2, 1, "expected `{`, found `n`");
    refuses(&after(r#"{"process":1,}"#), 2, 14, "expected a key in quotes, found `}`");
    refuses(&after(r#"{"process":1 "type":"ok"}"#), 2, 14, "expected `,` or `}`, found `\"`");
    refuses(&after(r#"{"process":01}"#), 2, 12, "expected a number without leading zeros");
    refuses(
        &after(r#"{"process":1.5}"#),
        2,
        12,
        "expected a process: a number below 4294967295 or \"nemesis\"",
    );
    refuses(
        &after(r#"{"process":4294967295}"#),
        2,
        12,
        "expected a process: a number below 4294967295 or \"nemesis\"",
    );
    refuses(&after(r#"{"f":"ä","time":-1}"#), 2, 17, "expected an integer from 0 to 18446744073709551615");
    refuses(&after(r#"{"f":"x","f":"y"}"#), 2, 14, "expected `f` only once");
    refuses(
        &after(r#"{"type":"okay"}"#),
        2,
        9,
        "expected \"invoke\", \"ok\", \"fail\" or \"info\", found \"okay\"",
    );
    refuses(&after(r#"{"type":"ok","f":"x"}"#), 2, 1, "expected an event, this one has no \"process\"");
    refuses(&after(r#"{"value":[1,2}"#), 2, 14, "expected `,` or `]`, found `}`");
    refuses(
        &after(r#"{"value":"a\x"}"#),
        2,
        13,
        "expected one of the escapes \\\" \\\\ \\/ \\n \\r \\t \\b \\f \\uXXXX, found `x`",
    );
    refuses(&after(r#"{"value":"\ud800"}"#), 2, 13, "expected a character, found half of a surrogate pair");
    refuses(
        &after(r##"{"value":{"#edn":"(1"}}"##),
        2,
        10,
        "in the EDN of this \"#edn\", at its byte 0: expected `)` to end this `(`, found the end",
    );
    refuses(&after(r##"{"value":{"#edn":1}}"##), 2, 10, "expected \"#edn\" to be alone and a string");
    refuses(&after(&format!("{OK} x")), 2, 48, "expected the end of the line, found `x`");
    refuses_bytes(b"{\"f\":\"a\xffb\"}\n{}\n", 1, 8, "expected UTF-8, found byte 0xff, no UTF-8");
}

#[test]
fn a_missing_line_is_noticed_by_its_index() {
    let lines = [
        r#"{"index":0,"process":1,"type":"invoke","f":"read"}"#,
        r#"{"index":2,"process":1,"type":"ok","f":"read"}"#,
    ];
    refuses(&lines.join("\n"), 2, 10, "expected index 1, found 2: a line is missing or added");
}

#[test]
fn logs_that_are_no_histories_name_the_event() {
    refuses(
        &format!("{INVOKE}\n{INVOKE}\n"),
        2,
        1,
        "malformed history at event 1: process 1 invokes `read`, expected a completion of its `read` of event 0",
    );
    refuses(
        OK,
        1,
        1,
        "malformed history at event 0: process 1 ends `read` with `ok`, expected an invocation: it has none open",
    );
    refuses(
        &format!("{INVOKE}\n{}\n", OK.replace("read", "cas")),
        2,
        1,
        "malformed history at event 1: process 1 ends `cas`, expected the end of its `read` of event 0",
    );
    refuses(
        "{:process 1 :type :invoke :f :r :key 1}\n  {:process 1 :type :ok :f :r :key 2}",
        2,
        3,
        "malformed history at event 1: process 1 ends `r` of key 2, expected key 1 as in event 0",
    );
}

#[test]
fn a_header_of_a_newer_version_is_refused() {
    let newer = r#"{"elenchus":"history","version":2,"initial":{"new":"things"}}"#;
    refuses(
        &format!("{newer}\n{INVOKE}\n"),
        1,
        33,
        "expected a version from 1 to 1, found 2: a newer elenchus wrote this",
    );
    refuses(newer, 1, 33, "expected a version from 1 to 1, found 2: a newer elenchus wrote this");
    refuses(
        "{\"elenchus\":\"verdicts\"}\n",
        1,
        13,
        "expected \"history\", found \"verdicts\": this is no history",
    );
    refuses("{\"elenchus\":\"history\"}\n", 1, 1, "expected a \"version\" in the header");
    refuses(
        "{\"elenchus\":\"history\",\"version\":1,\"nodes\":[1]}\n",
        1,
        43,
        "expected a list of names of nodes",
    );
}

#[test]
fn errors_of_edn_say_where_and_what_was_expected() {
    let inside = |text: &str| format!("[{{:process 1 :type :invoke :f :read}}\n {text}]");
    refuses(&inside("{:process 1"), 2, 13, "expected a value or `}`, found `]`");
    refuses(&inside("{:process}"), 2, 11, "expected a value for the key :process, found `}`");
    refuses(&inside("{:process 01}"), 2, 12, "expected a number, found `01`");
    refuses(
        &inside("{:process nil}"),
        2,
        12,
        "expected a process: a number below 4294967295 or a keyword, found nil",
    );
    refuses(
        &inside("{:type :okay}"),
        2,
        9,
        "expected the type to be :invoke, :ok, :fail or :info, found :okay",
    );
    refuses(&inside("{:type 1}"), 2, 9, "expected the type to be :invoke, :ok, :fail or :info, found 1");
    refuses(&inside("{:time -5}"), 2, 9, "expected a time in nanoseconds from 0, found -5");
    refuses(&inside("{:type :ok :f :x}"), 2, 2, "expected an event, this one has no :process");
    refuses(&inside("{:f :x :f :y}"), 2, 12, "expected `:f` only once");
    refuses(&inside("7"), 2, 2, "expected a map: `{`, found `7`");
    refuses(&inside("#foo{}"), 2, 2, "expected #jepsen.history.Op, found #foo");
    refuses(&inside("{:value \"äö"), 2, 10, "expected `\"` at the end of this string, found the end");
    refuses(
        &inside("{:value \"ä\\q\"}"),
        2,
        13,
        "expected one of the escapes \\\" \\\\ \\n \\r \\t \\b \\f \\uXXXX, found `q`",
    );
    refuses(&inside("{:value \\foo}"), 2, 10, "expected a character, found `\\foo`");
    refuses(&inside("{:value ^a b}"), 2, 10, "expected a value, found `^`");
    refuses(&inside("{:value ##Nope}"), 2, 10, "expected `##NaN`, `##Inf` or `##-Inf`, found `##Nope`");
    refuses(
        &inside("{:value #elenchus/keyword 1}"),
        2,
        28,
        "expected a string or a vector after #elenchus/keyword, found `1`",
    );
    refuses("[{:process 1}", 1, 2, "expected an event, this one has no :type");
    refuses("[\n", 1, 1, "expected `]` to end this `[`, found the end");
    refuses("[] 1", 1, 4, "expected the end after the vector of all events, found `1`");
    refuses_bytes(b"[{:f \"a\n\xc3\"}]", 2, 1, "expected UTF-8, found byte 0xc3, no UTF-8");
}

#[test]
fn nesting_too_deep_is_an_error_and_no_overflow() {
    let deep = |open: &str, close: &str| format!("{}{}", open.repeat(100_000), close.repeat(100_000));
    for (open, close) in [
        ("[", "]"),
        ("(", ")"),
        ("{", "}"),
        ("#{", "}"),
        ("#a ", "1"),
        ("#_ ", "1"),
        ("{1 ", "}"),
        ("#:a{:b ", "}"),
    ] {
        let error = edn::read_value(&deep(open, close)).expect_err(open);
        assert_eq!(error.what, "nested more than 512 deep", "{open}");
    }
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let line = format!("{{\"value\":{}}}\n{OK}\n", deep(open, close));
        assert_eq!(jsonl::read(line.as_bytes()).unwrap_err().what, "nested more than 512 deep");
    }
    let edn = format!(
        "{{\"value\":{}{{\"#edn\":\"{}\"}}{}}}\n{OK}\n",
        "[".repeat(300),
        deep("[", "]"),
        "]".repeat(300)
    );
    assert!(jsonl::read(edn.as_bytes()).unwrap_err().what.contains("nested more than 512 deep"));
    let fits = format!("{}1{}", "[".repeat(500), "]".repeat(500));
    assert_eq!(edn::read_value(&fits).unwrap().to_string(), fits);
}

#[test]
fn a_tail_torn_at_any_byte_is_dropped_and_told() {
    let mut rng = Seed(3).stream("torn").rng();
    for _ in 0..20 {
        let bytes = arbitrary::register_lines(&mut rng, 12);
        let whole = jsonl::read(&bytes).unwrap();
        let last = bytes[..bytes.len() - 1].iter().rposition(|&byte| byte == b'\n').unwrap() + 1;
        for cut in last..=bytes.len() {
            let recording =
                jsonl::read(&bytes[..cut]).unwrap_or_else(|error| panic!("cut at {cut}: {error}"));
            assert_eq!(recording.header, whole.header);
            // A line that lacks nothing but its newline is whole.
            let kept = cut + 1 >= bytes.len();
            assert_eq!(recording.history.len(), if kept { 12 } else { 11 });
            let told = recording.torn.is_some_and(|torn| {
                torn.starts_with(&format!("line 13, the last, is cut off after {} bytes", cut - last))
            });
            assert_eq!(told, !kept && cut > last, "cut at {cut}");
        }
    }
}

#[test]
fn a_header_torn_at_any_byte_leaves_an_empty_history() {
    let bytes = arbitrary::register_lines(&mut Seed(4).rng(), 0);
    for cut in 1..bytes.len() - 1 {
        let recording = jsonl::read(&bytes[..cut]).unwrap_or_else(|error| panic!("cut at {cut}: {error}"));
        assert!(recording.header.is_none() && recording.history.is_empty());
        assert!(recording.torn.is_some(), "cut at {cut}");
    }
}

#[test]
fn a_line_of_edn_torn_at_any_byte_is_dropped_and_told() {
    let mut bytes = Vec::new();
    edn::write_history(
        &mut bytes,
        &jsonl::read(&arbitrary::register_lines(&mut Seed(6).rng(), 12)).unwrap().history,
    );
    let last = bytes[..bytes.len() - 1].iter().rposition(|&byte| byte == b'\n').unwrap() + 1;
    for cut in last..=bytes.len() {
        let recording =
            edn::read_lines(&bytes[..cut]).unwrap_or_else(|error| panic!("cut at {cut}: {error}"));
        let kept = cut + 1 >= bytes.len();
        assert_eq!(recording.history.len(), if kept { 12 } else { 11 });
        assert_eq!(recording.torn.is_some(), !kept && cut > last, "cut at {cut}");
    }
    let error = edn::read_lines(b"{:process 1 :type :invoke :f :r}\n{:proc\n{}\n").unwrap_err();
    assert_eq!(error.to_string(), "line 2, column 7: expected a value, found the end");
    let error = edn::read_lines(b"{:process 1 :type :invoke\n:f :r}\n").unwrap_err();
    assert_eq!(error.line, 1);
    let error = edn::read_lines(b"{:process 1 :type :ok :f :r}\n").unwrap_err();
    assert!(error.what.contains("it has none open"), "{error}");
}

#[test]
fn a_last_line_of_garbage_is_torn_but_a_wrong_event_is_an_error() {
    let torn = jsonl::read(format!("{INVOKE}\n{{\"proc\0\0\0\0\n\n").as_bytes()).unwrap();
    assert_eq!(torn.history.len(), 1);
    assert_eq!(
        torn.torn.unwrap(),
        "line 2, the last, is cut off after 10 bytes and was dropped: {\"proc\0\0\0\0"
    );
    refuses(
        &format!("{INVOKE}\n{{\"process\":2,\"type\":\"ok\",\"f\":\"x\"}}"),
        2,
        1,
        "malformed history at event 1: process 2 ends `x` with `ok`, expected an invocation: it has none open",
    );
    refuses(
        &format!("{INVOKE}\n{{\"process\":2,\"type\":\"sleep\"}}\n"),
        2,
        21,
        "expected \"invoke\", \"ok\", \"fail\" or \"info\", found \"sleep\"",
    );
}

#[test]
fn damage_never_makes_a_reader_panic() {
    let mut rng = Seed(5).stream("damage").rng();
    for i in 0..6_000 {
        let history = arbitrary::history(&mut rng, 6);
        let mut bytes = Vec::new();
        match i % 4 {
            0 => edn::write_history(&mut bytes, &history),
            1 => history.events().for_each(|event| jsonl::write_event(&mut bytes, &event)),
            2 => bytes.extend_from_slice(LOG.as_bytes()),
            _ => bytes.extend_from_slice(PORCUPINE.as_bytes()),
        }
        for _ in 0..rng.between(1, 4) {
            let at = rng.below(bytes.len() as u64 + 1) as usize;
            match rng.below(5) {
                0 => bytes.truncate(at),
                1 => bytes.insert(at, rng.next_u64() as u8),
                2 => bytes.insert(at, *rng.pick(b"{}[]()\"\\#:;,_ \n")),
                _ if at == bytes.len() => {}
                3 => bytes[at] ^= 1 << rng.below(8),
                _ => drop(bytes.drain(at..bytes.len().min(at + 5))),
            }
        }
        for format in Format::ALL.map(Some).into_iter().chain([None]) {
            if let Ok(recording) = read(&bytes, format) {
                // What could be read can be written and read again.
                let mut again = Vec::new();
                edn::write_history(&mut again, &recording.history);
                assert_eq!(edn::read(&again).map(|read| read.history), Ok(recording.history));
            }
        }
    }
}

#[test]
fn no_bytes_make_a_reader_panic() {
    // Bytes that mean something to a reader come often, others now and then.
    const WORDS: [&[u8]; 22] = [
        b"{",
        b"}",
        b"[",
        b"]",
        b"(",
        b")",
        b"\"",
        b"\\",
        b"#",
        b":",
        b",",
        b";",
        b"\n",
        b" ",
        b"\"f\":",
        b":f ",
        b":process 1 ",
        b":type :invoke ",
        b"\"Call\":1",
        b"\"Input\":{",
        b"0\t:invoke\t:read\tnil",
        b"-9e99",
    ];
    let mut rng = Seed(8).stream("bytes").rng();
    for _ in 0..20_000 {
        let mut bytes = Vec::new();
        for _ in 0..rng.below(30) {
            match rng.below(8) {
                0 => bytes.push(rng.next_u64() as u8),
                _ => bytes.extend_from_slice(WORDS[rng.below(WORDS.len() as u64) as usize]),
            }
        }
        for format in Format::ALL.map(Some).into_iter().chain([None]) {
            if let Err(error) = read(&bytes, format) {
                let lines = 1 + bytes.iter().filter(|byte| **byte == b'\n').count();
                assert!((1..=lines).contains(&error.line) && error.column > 0, "{error} in {bytes:?}");
            }
        }
    }
}

const PORCUPINE: &str = r#"[{"ClientId":0,"Input":{"f":"cas","key":"x","from":1,"to":2},"Call":1,"Output":{"ok":false,"saw":3},"Return":5},
    {"ClientId":1,"Input":{"f":"write","key":"x","value":[1,{}]},"Call":2,"Output":{"error":"timeout"},"Return":9},
    {"ClientId":0,"Input":{"f":"read","key":"x"},"Call":5,"Output":null}]"#;

const LOG: &str = "INFO  jepsen.core - starting\n\
    INFO  jepsen.util - 0\t:invoke\t:cas\t[1 2]\n\
    INFO  jepsen.util - 1   :invoke :read   nil\n\
    INFO  jepsen.util - :nemesis\t:info\t:start\tnil\n\
    INFO  jepsen.util - 0\t:info\t:cas\t:timed-out\n\
    INFO  jepsen.util - 1\t:ok\t:read\t3\n";

#[test]
fn a_jepsen_log_is_read_line_by_line() {
    let recording = read(LOG.as_bytes(), None).unwrap();
    assert_eq!(recording.complaints, ["lines of the log that tell of no operation and were skipped: 1"]);
    let history = recording.history;
    assert_eq!(history.len(), 5);
    assert_eq!((history.partner(0), history.partner(1)), (Some(3), Some(4)));
    assert_eq!(history.event(3).error.unwrap().to_string(), ":timed-out");
    assert!(history.event(2).process.is_nemesis());
    let doubtful = read(format!("{LOG}worker-2\t:invoke\t:read\tnil\n").as_bytes(), None).unwrap();
    assert_eq!(
        doubtful.complaints[1],
        "skipped lines with a type but no process before it, which may be operations: 1, the first is line 7"
    );
    let printed = "1\t:invoke\t:read\tnil\n1\t:info\t:read\tnil\tindeterminate: timeout (5 s)\n";
    let history = read(printed.as_bytes(), None).unwrap().history;
    assert_eq!(history.event(1).error.unwrap().as_text(), Some("indeterminate: timeout (5 s)"));
    refuses(
        "hello\nworld\n",
        1,
        1,
        "expected operations: no line tells of one, so this is no history in a known format",
    );
    refuses("a - 1\t:invoke\t:read\t(\n", 1, 21, "expected `)` to end this `(`, found the end");
}
