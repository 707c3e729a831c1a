//! Histories of one lock in a notation for tests: `process type function [argument]`, an event a line. The argument is
//! an acquire's token, an add's element, or what was read (`1,2`); `refused` is a fail that was told so.

use elenchus_core::event::{Event, Kind};
use elenchus_core::history::History;
use elenchus_core::process::Process;
use elenchus_core::time::Time;
use elenchus_core::value::Value;

/// The history of these events; each acquire and release names its process as the holder.
pub fn history(lines: &[&str]) -> History {
    History::seal(lines.iter().zip(0..).map(|(line, at)| event(line, Time(at)))).expect("a history")
}

fn event(line: &str, time: Time) -> Event {
    let words: Vec<&str> = line.split(' ').collect();
    let [process, kind, f] = words[..3] else { panic!("`{line}` is no event") };
    let number = |text: &str| Value::Int(text.parse().expect("a number"));
    let argument = words.get(3).map(|text| match f {
        "read" => Value::vector(text.split(',').map(number)),
        _ => number(text),
    });
    let kinds = [
        ("invoke", Kind::Invoke),
        ("ok", Kind::Ok),
        ("fail", Kind::Fail),
        ("refused", Kind::Fail),
        ("info", Kind::Info),
    ];
    let process: u32 = process.parse().expect("a process");
    let pairs =
        [(Value::keyword("owner"), Value::Int(process.into())), (Value::keyword("hold"), Value::Int(1))];
    let holder = matches!(f, "acquire" | "release").then(|| Value::Map(pairs.into()));
    let fence = |token| Value::Map([(Value::keyword("fence"), token)].into());
    let value = match argument {
        Some(token) if f == "acquire" && kind == "ok" => fence(token),
        argument => argument.or(holder).unwrap_or(Value::Nil),
    };
    Event {
        time,
        process: Process(process),
        kind: kinds.into_iter().find(|(name, _)| *name == kind).expect("a type").1,
        f: f.into(),
        key: Some(Value::Int(0)),
        value,
        error: (kind == "refused").then(|| Value::vector([Value::str("refused"), Value::Nil])),
        extra: Vec::new(),
    }
}
