//! Random values and histories, biased towards what breaks readers.

use elenchus_core::event::{Event, Kind};
use elenchus_core::format::jsonl::{Header, write_event, write_header};
use elenchus_core::history::History;
use elenchus_core::process::{NodeId, Process};
use elenchus_core::random::Rng;
use elenchus_core::time::Time;
use elenchus_core::value::Value;
use std::sync::Arc;

/// Words that mean something to some reader, and words that look as if they did.
const WORDS: [&str; 40] = [
    "",
    "read",
    "cas",
    "a/b",
    "process",
    "index",
    "time",
    "value",
    "#time",
    "##time",
    "#edn",
    "#edn 1",
    "#edn \"x\"",
    "nil",
    "true",
    "two words",
    "\"quoted\"",
    "back\\slash",
    "new\nline",
    "tab\t\r\u{8}\u{c}",
    "\0\u{1f}\u{7f}",
    "ä",
    "😀",
    "\u{2028}",
    "-1",
    "1N",
    "1.5M",
    "+a",
    ":a",
    "#a",
    "'",
    "a,b",
    "(",
    "]",
    "elenchus",
    "elenchus/keyword",
    "_",
    "nemesis",
    "jepsen.history.Op",
    "…",
];

/// Any text at all.
pub fn text(rng: &mut Rng) -> String {
    match rng.below(4) {
        0..=1 => (*rng.pick(&WORDS)).to_owned(),
        2 => format!("{}{}", rng.pick(&WORDS), rng.pick(&WORDS)),
        _ => (0..rng.below(6)).filter_map(|_| char::from_u32(rng.below(0x11_0000) as u32)).collect(),
    }
}

fn float(rng: &mut Rng) -> f64 {
    match rng.below(4) {
        0 => f64::from_bits(rng.next_u64()),
        1 => rng.below(1000) as f64 / 8.0,
        2 => *rng.pick(&[
            0.0,
            -0.0,
            f64::NAN,
            f64::INFINITY,
            f64::NEG_INFINITY,
            f64::MAX,
            f64::MIN_POSITIVE,
            1e16,
            5e-324,
        ]),
        _ => rng.next_u64() as f64,
    }
}

fn integer(rng: &mut Rng) -> i64 {
    match rng.below(3) {
        0 => rng.below(20) as i64 - 5,
        1 => rng.next_u64() as i64 >> rng.below(64),
        _ => *rng.pick(&[i64::MIN, i64::MAX, 999_999_999_999_999_999, 1_000_000_000_000_000_000, -1]),
    }
}

/// Any value at all, nested up to `depth`.
pub fn value(rng: &mut Rng, depth: u32) -> Value {
    let boxed = |rng: &mut Rng| text(rng).into_boxed_str();
    match rng.below(if depth == 0 { 11 } else { 16 }) {
        0 => Value::Nil,
        1 => Value::Bool(rng.chance(1, 2)),
        2..=3 => Value::Int(integer(rng)),
        4 => Value::Float(float(rng)),
        5 => Value::BigInt(match rng.below(3) {
            0 => boxed(rng),
            1 => integer(rng).to_string().into(),
            _ => format!("{}{:018}", integer(rng), rng.below(1 << 50)).into(),
        }),
        6 => Value::Decimal(match rng.below(3) {
            0 => boxed(rng),
            1 => format!("{}.{}M", integer(rng), rng.below(100)).into(),
            _ => format!("{}/{}", integer(rng), 1 + rng.below(9)).into(),
        }),
        7 => {
            let bound = if rng.chance(1, 2) { 0x100 } else { 0x11_0000 };
            Value::Char(char::from_u32(rng.below(bound) as u32).unwrap_or('x'))
        }
        8 => Value::Str(boxed(rng)),
        9 => Value::Keyword(boxed(rng)),
        10 => Value::Symbol(boxed(rng)),
        11 => Value::List(items(rng, depth - 1)),
        12 => Value::Vector(items(rng, depth - 1)),
        13 => Value::Set(items(rng, depth - 1)),
        14 => {
            let plain = rng.chance(1, 2);
            let key =
                |rng: &mut Rng| if plain { Value::Str(text(rng).into()) } else { value(rng, depth - 1) };
            Value::Map((0..rng.below(4)).map(|_| (key(rng), value(rng, depth - 1))).collect())
        }
        _ => Value::Tagged(Box::new((boxed(rng), value(rng, depth - 1)))),
    }
}

fn items(rng: &mut Rng, depth: u32) -> Box<[Value]> {
    (0..rng.below(4)).map(|_| value(rng, depth)).collect()
}

/// Events that can be sealed: each process in turn invokes and completes, the nemesis says anything.
pub fn events(rng: &mut Rng, count: usize) -> Vec<Event> {
    let mut open: Vec<Option<(Arc<str>, Option<Value>)>> = vec![None; 5];
    let event = |rng: &mut Rng| {
        let slot = rng.below(5) as usize;
        let process = [0, 1, 70_000, u32::MAX - 1, u32::MAX][slot];
        let slot = &mut open[slot];
        let (kind, f, key) = match slot.take() {
            _ if process == u32::MAX => {
                (*rng.pick(&[Kind::Info, Kind::Invoke, Kind::Ok]), text(rng).into(), None)
            }
            Some((f, key)) => {
                (*rng.pick(&[Kind::Ok, Kind::Fail, Kind::Info]), f, key.filter(|_| rng.chance(3, 4)))
            }
            None => {
                let call = (Arc::from(text(rng)), rng.chance(1, 2).then(|| value(rng, 1)));
                *slot = Some(call.clone());
                (Kind::Invoke, call.0, call.1)
            }
        };
        Event {
            time: Time(if rng.chance(1, 8) { rng.next_u64() } else { rng.below(1 << 40) }),
            process: Process(process),
            kind,
            f,
            key,
            value: value(rng, 3),
            error: rng.chance(1, 4).then(|| value(rng, 2)),
            extra: (0..rng.below(8).saturating_sub(5)).map(|_| (text(rng).into(), value(rng, 2))).collect(),
        }
    };
    let mut event = event;
    (0..count).map(|_| event(rng)).collect()
}

/// Any history of this many events.
pub fn history(rng: &mut Rng, count: usize) -> History {
    History::seal(events(rng, count)).expect("the generator keeps the rules")
}

/// Any header of the version that is written.
pub fn header(rng: &mut Rng) -> Header {
    Header {
        name: text(rng),
        workload: text(rng),
        initial: value(rng, 2),
        concurrency: rng.next_u64() as u32,
        nodes: (0..rng.below(6)).map(|_| NodeId::new(&text(rng))).collect(),
        seed: rng.next_u64(),
        began: "2026-01-02T03:04:05Z".into(),
        extra: (0..rng.below(3)).map(|i| (format!("extra {i} {}", text(rng)), value(rng, 2))).collect(),
        ..Header::default()
    }
}

/// A register's history in the shape that trials write, `count` events long.
pub fn register_lines(rng: &mut Rng, count: u32) -> Vec<u8> {
    let mut out = Vec::new();
    write_header(&mut out, &header(rng));
    let mut open: [Option<(Value, Value)>; 5] = Default::default();
    for index in 0..count {
        let process = rng.below(5) as usize;
        let value = Value::vector([Value::Int(rng.below(9) as i64), Value::Int(rng.below(9) as i64)]);
        let kind = if open[process].is_some() { Kind::Ok } else { Kind::Invoke };
        let (key, value) = open[process].get_or_insert((Value::Int(7), value)).clone();
        if kind == Kind::Ok {
            open[process] = None;
        }
        let event = Event {
            time: Time(u64::from(index) * 1000),
            process: Process(process as u32),
            kind,
            f: "cas".into(),
            key: Some(key.clone()),
            value: value.clone(),
            error: None,
            extra: Vec::new(),
        };
        write_event(&mut out, &event.at(index));
    }
    out
}
