//! What is written is read back, exactly.

use crate::arbitrary;
use elenchus_core::event::{Event, Kind};
use elenchus_core::format::jsonl::{self, Header};
use elenchus_core::format::{Format, Recording, detect, edn, read};
use elenchus_core::history::History;
use elenchus_core::process::Process;
use elenchus_core::random::Seed;
use elenchus_core::time::Time;
use elenchus_core::value::Value;

fn jsonl_of(header: Option<&Header>, history: &History) -> Vec<u8> {
    let mut out = Vec::new();
    if let Some(header) = header {
        jsonl::write_header(&mut out, header);
    }
    history.events().for_each(|event| jsonl::write_event(&mut out, &event));
    out
}

fn edn_of(history: &History) -> Vec<u8> {
    let mut out = Vec::new();
    edn::write_history(&mut out, history);
    out
}

#[track_caller]
fn reads(bytes: &[u8]) -> Recording {
    match read(bytes, None) {
        Ok(recording) => recording,
        Err(error) => panic!("{error}\n{}", String::from_utf8_lossy(bytes)),
    }
}

fn event_with(value: Value) -> Event {
    let (time, process, kind) = (Time(0), Process::NEMESIS, Kind::Info);
    Event { time, process, kind, f: "f".into(), key: None, value, error: None, extra: vec![] }
}

#[test]
fn every_value_survives_edn_and_json() {
    let mut rng = Seed(1).stream("values").rng();
    for _ in 0..30_000 {
        let value = arbitrary::value(&mut rng, 4);
        let text = value.to_string();
        assert!(!text.contains('\n'), "{text}");
        assert_eq!(edn::read_value(&text).as_ref(), Ok(&value), "{text}");
        let history = History::seal([event_with(value)]).unwrap();
        let line = jsonl_of(None, &history);
        assert_eq!(reads(&line).history, history, "{}", String::from_utf8_lossy(&line));
    }
}

#[test]
fn all_formats_nest_equally_deep() {
    let wrap: [fn(Value) -> Value; 6] = [
        |inner| Value::vector([inner]),
        |inner| Value::List([inner].into()),
        |inner| Value::Map([(Value::str("a"), inner)].into()),
        |inner| Value::Map([(inner, Value::Nil)].into()),
        |inner| Value::Tagged(Box::new(("a".into(), inner))),
        |inner| Value::Tagged(Box::new(("no tag".into(), inner))),
    ];
    let cores =
        [Value::Int(1), Value::vector([]), Value::keyword("a"), Value::keyword("a b"), Value::Map([].into())];
    let mut rng = Seed(6).stream("deep").rng();
    for depth in 510..=514 {
        for core in &cores {
            for one in wrap {
                for mixed in [false, true] {
                    let nest = |inner, _| if mixed { rng.pick(&wrap)(inner) } else { one(inner) };
                    let history = History::seal([event_with((0..depth).fold(core.clone(), nest))]).unwrap();
                    let jsonl = jsonl::read(&jsonl_of(None, &history)).map(|read| read.history);
                    let edn = edn::read(&edn_of(&history)).map(|read| read.history);
                    if depth <= 512 {
                        assert_eq!((jsonl.as_ref(), edn.as_ref()), (Ok(&history), Ok(&history)));
                    } else {
                        let whats = [jsonl, edn].map(|read| read.unwrap_err().what);
                        assert!(
                            whats.iter().all(|what| what.ends_with("nested more than 512 deep")),
                            "{whats:?}"
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn every_history_survives_both_formats() {
    let mut rng = Seed(2).stream("histories").rng();
    for i in 0..2_000 {
        let history = arbitrary::history(&mut rng, i % 40);
        let header = rng.chance(1, 2).then(|| arbitrary::header(&mut rng));
        let jsonl = reads(&jsonl_of(header.as_ref(), &history));
        assert_eq!(jsonl, Recording { header, history: history.clone(), torn: None, complaints: vec![] });
        let edn = edn_of(&history);
        assert_eq!(reads(&edn).history, history, "{}", String::from_utf8_lossy(&edn));
        assert_eq!(edn_of(&reads(&edn).history), edn);
    }
}

#[test]
fn histories_cross_from_edn_to_json_and_back() {
    let jepsen = r#"
        ; a comment, then all that Jepsen writes
        #jepsen.history.Op{:index 40, :time 1, :type :invoke, :process 0, :f :read, :value [3 nil], :node "n1"}
        #_ {:ignored true},,
        #jepsen.history.Op {:index 41 :time 3 :type :info :process :kill-loop :f :start :value #{:n1 :n2}}
        {:type :info, :f :read, :value [3 nil], :process 0, :time 5, :index -1, :error [:timeout "x"], "k" #inst "2020"}
    "#;
    let history = reads(jepsen.as_bytes()).history;
    let events: Vec<_> = history.events().collect();
    assert_eq!(history.partner(0), Some(2));
    assert_eq!((events[0].time, events[0].process, events[0].f), (Time(1), Process(0), "read"));
    assert_eq!(events[0].extra[0], ("index".into(), Value::Int(40)));
    assert_eq!(events[0].extra[1], ("node".into(), Value::str("n1")));
    assert_eq!(events[1].process, Process::NEMESIS);
    assert_eq!(events[2].error.unwrap().to_string(), "[:timeout \"x\"]");
    let through_json = reads(&jsonl_of(None, &history)).history;
    assert_eq!(through_json, history);
    let back = String::from_utf8(edn_of(&through_json)).unwrap();
    let lines: Vec<&str> = back.lines().collect();
    assert_eq!(
        lines,
        [
            r#"{:time 1, :type :invoke, :process 0, :f :read, :value [3 nil], :index 40, :node "n1"}"#,
            r#"{:time 3, :type :info, :f :start, :value #{:n1 :n2}, :index 41, :process :kill-loop}"#,
            r#"{:index 2, :time 5, :type :info, :process 0, :f :read, :value [3 nil], :error [:timeout "x"], "k" #inst "2020"}"#,
        ]
    );
}

#[test]
fn one_vector_one_list_and_one_map_a_line_are_the_same_history() {
    let maps = "{:process 1, :type :invoke, :f :write, :value 2} {:process 1 :type :ok :f :write :value 2}";
    let expected = reads(maps.as_bytes()).history;
    assert_eq!(expected.len(), 2);
    assert_eq!(expected.time(1), Time(1), "a missing time is the position");
    for text in [
        format!("[{maps}]"),
        format!("({maps})"),
        format!("\u{feff}; comment\n [ {} ]\n", maps.replace("} {", "}\n #_[1 2] ,,, {")),
        maps.replace("{:p", "#jepsen.history.Op{:p"),
    ] {
        assert_eq!(reads(text.as_bytes()).history, expected, "{text}");
    }
}

#[test]
fn fields_may_stand_in_any_order_and_spaced() {
    let line = br##" { "value" : [ 1 , 2 ] , "f":"cas","x":{"#edn":"#{1}"}, "type":"invoke", "process":3 , "key":null } "##;
    let history = reads(line).history;
    let event = history.event(0);
    assert_eq!((event.time, event.process, event.f), (Time(0), Process(3), "cas"));
    assert_eq!(event.key, Some(&Value::Nil), "a key that is null is a key");
    assert_eq!(event.value.to_string(), "[1 2]");
    assert_eq!(event.extra, [("x".into(), Value::Set([Value::Int(1)].into()))]);
}

#[test]
fn a_line_looks_as_the_design_shows_it() {
    let event = Event {
        time: Time(5_003_112),
        process: Process(3),
        kind: Kind::Ok,
        f: "cas".into(),
        key: Some(Value::Int(7)),
        value: Value::vector([Value::Int(1), Value::Int(2)]),
        error: None,
        extra: vec![],
    };
    let mut out = Vec::new();
    jsonl::write_event(&mut out, &event.at(12));
    let expected = r#"{"index":12,"time":5003112,"process":3,"type":"ok","f":"cas","key":7,"value":[1,2]}"#;
    assert_eq!(String::from_utf8(out).unwrap(), format!("{expected}\n"));
}

#[test]
fn numbers_of_json_keep_their_kind() {
    let cases = [
        ("1", Value::Int(1)),
        ("-0", Value::Int(0)),
        ("1.0", Value::Float(1.0)),
        ("1e3", Value::Float(1000.0)),
        ("-0.0", Value::Float(-0.0)),
        ("9223372036854775807", Value::Int(i64::MAX)),
        ("-9223372036854775808", Value::Int(i64::MIN)),
        ("9223372036854775808", Value::BigInt("9223372036854775808".into())),
        ("\"\\ud83d\\ude00\\u00e4\\/\"", Value::str("😀ä/")),
    ];
    for (json, value) in cases {
        let line = format!(r#"{{"process":"nemesis","type":"info","f":"x","value":{json}}}"#);
        assert_eq!(*reads(line.as_bytes()).history.value(0), value, "{json}");
    }
}

#[test]
fn all_literals_of_edn_are_read() {
    let cases = [
        ("+7", Value::Int(7)),
        ("7N", Value::BigInt("7".into())),
        ("-1.50M", Value::Decimal("-1.50M".into())),
        ("22/7", Value::Decimal("22/7".into())),
        ("1e3", Value::Float(1000.0)),
        ("##-Inf", Value::Float(f64::NEG_INFINITY)),
        ("\\newline", Value::Char('\n')),
        ("\\u00e4", Value::Char('ä')),
        ("\\\\", Value::Char('\\')),
        ("\"a\\tb\\u00e4\n\"", Value::str("a\tbä\n")),
        (":a.b/c-d", Value::keyword("a.b/c-d")),
        ("-", Value::Symbol("-".into())),
        ("#:a{:b 1, :_/c 2}", edn::read_value("{:a/b 1, :c 2}").unwrap()),
        ("#uuid \"f\"", Value::Tagged(Box::new(("uuid".into(), Value::str("f"))))),
        ("[1 #_ #_ 2 3 4]", Value::vector([Value::Int(1), Value::Int(4)])),
        ("#elenchus/keyword \"a b\"", Value::keyword("a b")),
    ];
    for (text, value) in cases {
        assert_eq!(edn::read_value(text), Ok(value), "{text}");
    }
}

#[test]
fn independent_tuples_are_split_on_demand() {
    let text = "{:process 0 :type :invoke :f :cas :value [5 [1 2]]}
                {:process 1 :type :invoke :f :read :value [6 nil]}
                {:process :nemesis :type :info :f :kill :value [1 2]}
                {:process 0 :type :info :f :cas :value :timed-out}
                {:process 1 :type :ok :f :read :value [6 3]}";
    let split = edn::split_keys(&reads(text.as_bytes()).history).unwrap();
    let shown: Vec<_> = split.events().map(|e| (e.key.map(Value::to_string), e.value.to_string())).collect();
    let is = |key: Option<&str>, value: &str| (key.map(str::to_owned), value.to_owned());
    assert_eq!(
        shown,
        [
            is(Some("5"), "[1 2]"),
            is(Some("6"), "nil"),
            is(None, "[1 2]"),
            is(None, ":timed-out"),
            is(Some("6"), "3")
        ]
    );
    assert_eq!(split.keys(), [Value::Int(5), Value::Int(6)]);
}

#[test]
fn formats_are_known_by_their_content() {
    let cases: [(&str, Format); 11] = [
        ("{\"elenchus\":\"history\"", Format::Jsonl),
        ("\n {  \"index\":0", Format::Jsonl),
        ("", Format::Jsonl),
        ("{", Format::Jsonl),
        ("{:type :invoke", Format::Edn),
        ("[{:type", Format::Edn),
        ("({:type", Format::Edn),
        ("; comment", Format::Edn),
        ("#jepsen.history.Op{", Format::Edn),
        ("INFO  jepsen.util - 0\t:invoke\t:read\tnil", Format::JepsenLog),
        ("0\t:invoke\t:read\tnil", Format::JepsenLog),
    ];
    for (text, format) in cases {
        assert_eq!(detect(text.as_bytes()), format, "{text}");
        assert_eq!(Format::named(format.name()), Some(format));
    }
}
