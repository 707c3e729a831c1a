//! Histories as EDN, in Jepsen's shape.
//!
//! What an event has beyond Jepsen's own keys comes and goes as extra keys, in their order. Two things that
//! a [`History`] does not hold are kept there as well: an `:index` that is not the event's position (part of
//! a longer history), and a `:process` that is a keyword other than `:nemesis`.

use super::Reader;
use super::name::{is_keyword, key_of, name_of};
use crate::event::{Event, Kind};
use crate::format::fields::{Fields, escape, once, unescape};
use crate::format::text::{Bytes, ReadError, Trouble, line_end, push_u64, tell_torn};
use crate::format::{Recording, without_mark};
use crate::history::{EventRef, History, HistoryBuilder, Malformed};
use crate::process::Process;
use crate::time::Time;
use crate::value::Value;
use std::borrow::Cow;
use std::fmt::Write;

/// Reads a history: maps or `#jepsen.history.Op{…}`, one after the other or within one vector or list.
pub fn read(bytes: &[u8]) -> Result<Recording, ReadError> {
    read_into(HistoryBuilder::new(), bytes)
}

pub(crate) fn read_into(mut builder: HistoryBuilder, bytes: &[u8]) -> Result<Recording, ReadError> {
    let content = without_mark(bytes);
    let mut reader = Reader::new(content);
    match read_events(&mut reader, &mut builder) {
        Ok(()) => Ok(Recording { header: None, history: builder.seal(), torn: None, complaints: Vec::new() }),
        Err(trouble) => Err(ReadError::at(bytes, bytes.len() - content.len() + trouble.at, trouble.what)),
    }
}

/// Reads a history with one event on each line. As of [`crate::format::jsonl`], a last line that is cut off
/// is dropped and told.
pub fn read_lines(bytes: &[u8]) -> Result<Recording, ReadError> {
    read_lines_into(HistoryBuilder::new(), bytes)
}

pub(crate) fn read_lines_into(mut builder: HistoryBuilder, bytes: &[u8]) -> Result<Recording, ReadError> {
    let content = without_mark(bytes);
    let content_end = content.trim_ascii_end().len();
    let (mut torn, mut start) = (None, 0);
    while start < content_end {
        let end = line_end(content, start);
        let line = &content[start..end];
        match read_line(line, &mut builder) {
            Ok(()) => {}
            Err(trouble) if end >= content_end && (trouble.syntax || is_torn(line)) => {
                torn = Some(tell_torn(bytes, line));
            }
            Err(trouble) => {
                let at = bytes.len() - content.len() + start + trouble.at;
                return Err(ReadError::at(bytes, at, trouble.what));
            }
        }
        start = end + 1;
    }
    Ok(Recording { header: None, history: builder.seal(), torn, complaints: Vec::new() })
}

/// Whether a line is no EDN, whatever its beginning may say.
fn is_torn(line: &[u8]) -> bool {
    let mut reader = Reader::new(line);
    reader.value(0).and_then(|_| reader.end("the end")).is_err_and(|trouble| trouble.syntax)
}

fn read_line(line: &[u8], builder: &mut HistoryBuilder) -> Result<(), Box<Trouble>> {
    let mut reader = Reader::new(line);
    reader.skip(0)?;
    if reader.peek().is_none() {
        return Ok(());
    }
    let event = event(&mut reader, builder)?;
    reader.end("the end of the line after one event")?;
    add(event, builder)
}

/// Writes a history as Jepsen's `history.edn`: a map a line.
pub fn write_history(out: &mut Vec<u8>, history: &History) {
    for event in history.events() {
        write_event(out, &event);
    }
}

/// Writes one event as one map on one line.
pub fn write_event(out: &mut Vec<u8>, event: &EventRef<'_>) {
    let own_index = event.extra.iter().position(|(name, value)| {
        &**name == "index" && value.as_int().is_some_and(|n| n >= 0 && n != i64::from(event.index))
    });
    let own_process = event.extra.iter().position(|(name, value)| {
        let named = matches!(value, Value::Keyword(name) if is_keyword(name) && name.as_ref() != "nemesis");
        &**name == "process" && event.process.is_nemesis() && named
    });
    out.push(b'{');
    if own_index.is_none() {
        out.extend_from_slice(b":index ");
        push_u64(out, u64::from(event.index));
        out.extend_from_slice(b", ");
    }
    out.extend_from_slice(b":time ");
    push_u64(out, event.time.0);
    out.extend_from_slice(b", :type :");
    out.extend_from_slice(event.kind.name().as_bytes());
    if own_process.is_none() {
        out.extend_from_slice(b", :process ");
        match event.process {
            Process::NEMESIS => out.extend_from_slice(b":nemesis"),
            Process(number) => push_u64(out, u64::from(number)),
        }
    }
    out.extend_from_slice(b", :f ");
    if is_keyword(event.f) {
        out.push(b':');
        out.extend_from_slice(event.f.as_bytes());
    } else {
        push_value(out, &key_of(event.f));
    }
    for (name, value) in [(":key", event.key), (":value", Some(event.value)), (":error", event.error)] {
        if let Some(value) = value {
            out.extend_from_slice(b", ");
            out.extend_from_slice(name.as_bytes());
            out.push(b' ');
            push_value(out, value);
        }
    }
    for (i, (name, value)) in event.extra.iter().enumerate() {
        out.extend_from_slice(b", ");
        let own = Some(i) == own_index || Some(i) == own_process;
        let name = if own { Cow::Borrowed(name.as_ref()) } else { escape(name) };
        push_value(out, &key_of(&name));
        out.push(b' ');
        push_value(out, value);
    }
    out.extend_from_slice(b"}\n");
}

/// The history with the first element of every client's value that is a vector of two moved into its key:
/// jepsen.independent's tuples `[k v]` as independent objects. Only its caller knows that a workload used
/// them: the value of a cas looks the same. Events with a key of their own stay as they are.
pub fn split_keys(history: &History) -> Result<History, Malformed> {
    History::seal(history.events().map(|event| {
        let event = event.to_event();
        match &event.value {
            Value::Vector(pair) if event.key.is_none() && !event.process.is_nemesis() => {
                match pair.as_ref() {
                    [key, value] => Event { key: Some(key.clone()), value: value.clone(), ..event },
                    _ => event,
                }
            }
            _ => event,
        }
    }))
}

fn push_value(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Int(n) => crate::format::text::push_i64(out, *n),
        value => write!(Bytes(out), "{value}").expect("writing to memory cannot fail"),
    }
}

fn read_events(reader: &mut Reader<'_>, builder: &mut HistoryBuilder) -> Result<(), Box<Trouble>> {
    reader.skip(0)?;
    let opened = reader.at;
    let close = match reader.peek() {
        Some(b'[') => b']',
        Some(b'(') => b')',
        _ => {
            while reader.peek().is_some() {
                read_event(reader, builder)?;
                reader.skip(0)?;
            }
            return Ok(());
        }
    };
    reader.at += 1;
    while !reader.closes(opened, close, 0)? {
        read_event(reader, builder)?;
    }
    reader.end("the end after the vector of all events")
}

fn read_event(reader: &mut Reader<'_>, builder: &mut HistoryBuilder) -> Result<(), Box<Trouble>> {
    let event = event(reader, builder)?;
    add(event, builder)
}

/// The fields of the next event, and where it began.
fn event<'a>(
    reader: &mut Reader<'a>,
    builder: &mut HistoryBuilder,
) -> Result<(Fields<'a>, usize), Box<Trouble>> {
    let start = reader.at;
    if reader.peek() == Some(b'#') {
        reader.at += 1;
        let tag = reader.tag()?;
        if !tag.ends_with(".Op") {
            return Err(Trouble::meaning(start, format!("expected #jepsen.history.Op, found #{tag}")));
        }
        reader.skip(1)?;
    }
    let opened = reader.at;
    if reader.peek() != Some(b'{') {
        return reader.expected("a map: `{`");
    }
    reader.at += 1;
    let mut fields = Fields::default();
    while !reader.closes(opened, b'}', 1)? {
        read_field(reader, builder, &mut fields)?;
    }
    if let Some(missing) = fields.missing() {
        return Err(Trouble::meaning(start, format!("expected an event, this one has no :{missing}")));
    }
    Ok((fields, start))
}

fn add((fields, start): (Fields<'_>, usize), builder: &mut HistoryBuilder) -> Result<(), Box<Trouble>> {
    fields.push_to(builder).map_err(|malformed| Trouble::meaning(start, malformed.to_string()))
}

/// A key and its value.
fn read_field<'a>(
    reader: &mut Reader<'a>,
    builder: &mut HistoryBuilder,
    fields: &mut Fields<'a>,
) -> Result<(), Box<Trouble>> {
    let key = if reader.peek() == Some(b':') {
        Cow::Borrowed(reader.keyword()?)
    } else {
        let key = reader.value(0)?;
        // A string that says `process` is no field: a name that is none of a keyword is escaped already.
        Cow::Owned(name_of(&key).into_owned())
    };
    reader.skip(1)?;
    if reader.peek() == Some(b'}') {
        return reader.expected(&format!("a value for the key :{key}"));
    }
    let at = reader.at;
    let value = match (key.as_ref(), reader.peek()) {
        ("type" | "f", Some(b':')) => Err(reader.keyword()?),
        _ => Ok(reader.value(0)?),
    };
    let set = match (key.as_ref(), value) {
        ("type", Err(name)) => kind(name).and_then(|kind| once(&mut fields.kind, ":type", kind)),
        ("type", Ok(other)) => Err(wrong_kind(&other.to_string())),
        ("f", Err(name)) => once(&mut fields.f, ":f", Cow::Borrowed(name)),
        ("f", Ok(value)) => once(&mut fields.f, ":f", Cow::Owned(name_of(&value).into_owned())),
        ("index", Ok(value)) => index(builder, fields, value),
        ("time", Ok(value)) => time(fields, &value),
        ("process", Ok(value)) => process(builder, fields, value),
        ("key", Ok(value)) => once(&mut fields.key, ":key", value),
        ("value", Ok(value)) => once(&mut fields.value, ":value", value),
        ("error", Ok(value)) => once(&mut fields.error, ":error", value),
        (name, Ok(value)) => {
            fields.extra.push((builder.extra_name(unescape(name)), value));
            Ok(())
        }
        (_, Err(_)) => unreachable!("only types and functions are read as keywords"),
    };
    set.map_err(|what| Trouble::meaning(at, what))
}

fn kind(name: &str) -> Result<Kind, String> {
    Kind::named(name).ok_or_else(|| wrong_kind(&format!(":{name}")))
}

fn wrong_kind(found: &str) -> String {
    format!("expected the type to be :invoke, :ok, :fail or :info, found {found}")
}

/// A position that is not the event's own is kept beside it. Jepsen writes -1 for none.
fn index(builder: &mut HistoryBuilder, fields: &mut Fields<'_>, value: Value) -> Result<(), String> {
    let position = builder.len() as u64;
    let index = match value {
        Value::Nil | Value::Int(-1) => return Ok(()),
        Value::Int(n) => u64::try_from(n).map_err(|_| format!("expected an index from 0, found {n}"))?,
        other => return Err(format!("expected an index, found {other}")),
    };
    once(&mut fields.index, ":index", index)?;
    if index != position {
        fields.extra.push((builder.extra_name("index"), value));
    }
    Ok(())
}

/// Jepsen writes -1 for none.
fn time(fields: &mut Fields<'_>, value: &Value) -> Result<(), String> {
    let wrong = || format!("expected a time in nanoseconds from 0, found {value}");
    let time = match value {
        Value::Nil | Value::Int(-1) => return Ok(()),
        Value::Int(n) => u64::try_from(*n).map_err(|_| wrong())?,
        Value::BigInt(text) => text.parse().map_err(|_| wrong())?,
        _ => return Err(wrong()),
    };
    once(&mut fields.time, ":time", Time(time))
}

fn process(builder: &mut HistoryBuilder, fields: &mut Fields<'_>, value: Value) -> Result<(), String> {
    let process = match &value {
        Value::Int(n) => u32::try_from(*n).ok().map(Process).filter(|process| !process.is_nemesis()),
        Value::Keyword(_) => Some(Process::NEMESIS),
        _ => None,
    };
    let wrong = || format!("expected a process: a number below {} or a keyword, found {value}", u32::MAX);
    once(&mut fields.process, ":process", process.ok_or_else(wrong)?)?;
    if matches!(&value, Value::Keyword(name) if name.as_ref() != "nemesis") {
        fields.extra.push((builder.extra_name("process"), value));
    }
    Ok(())
}
