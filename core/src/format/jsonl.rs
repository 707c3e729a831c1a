//! JSON lines, in and out: our own format, written as a trial happens.
//!
//! The first line is a [`Header`], every other line an event. The writer never allocates for integers and
//! short vectors of them, since the runner calls it between two operations. The reader takes each line's
//! fields in any order, without building an object first. `docs/formats.md` is the specification.
//!
//! A controller that was killed leaves a last line that is cut off. Such a line is dropped and reported,
//! and only such a line: text that is no JSON anywhere else, and JSON that is no event even at the end, are
//! errors, because a log that is read in part is not what happened.

use super::fields::{Fields, escape, once, unescape};
use super::json::{self, Reader};
use super::text::{ReadError, Trouble, line_end, push_u64, tell_torn};
use super::{Recording, without_mark};
use crate::event::Kind;
use crate::history::{EventRef, HistoryBuilder};
use crate::process::{NodeId, Process};
use crate::time::Time;
use crate::value::Value;
use std::borrow::Cow;

/// The version of the format that this program writes; it reads all up to this one.
pub const VERSION: u32 = 1;

/// The first line of a trial's log.
#[derive(Clone, Debug, PartialEq)]
pub struct Header {
    /// Of the format; see [`VERSION`].
    pub version: u32,
    /// The trial's name.
    pub name: String,
    /// The workload, as `--workload` takes it.
    pub workload: String,
    /// The state of every object before the first operation.
    pub initial: Value,
    /// How many operations may be open at once.
    pub concurrency: u32,
    /// The cluster's nodes.
    pub nodes: Vec<NodeId>,
    /// The trial's seed.
    pub seed: u64,
    /// When time zero was: UTC, RFC 3339.
    pub began: String,
    /// Whatever else the line said, in its order.
    pub extra: Vec<(String, Value)>,
}

impl Default for Header {
    fn default() -> Header {
        Header {
            version: VERSION,
            name: String::new(),
            workload: String::new(),
            initial: Value::Nil,
            concurrency: 0,
            nodes: Vec::new(),
            seed: 0,
            began: String::new(),
            extra: Vec::new(),
        }
    }
}

/// Writes the first line.
pub fn write_header(out: &mut Vec<u8>, header: &Header) {
    out.extend_from_slice(b"{\"elenchus\":\"history\",\"version\":");
    push_u64(out, u64::from(header.version));
    out.extend_from_slice(b",\"name\":");
    json::write_str(&header.name, out);
    out.extend_from_slice(b",\"workload\":");
    json::write_str(&header.workload, out);
    out.extend_from_slice(b",\"initial\":");
    json::write_value(&header.initial, out);
    out.extend_from_slice(b",\"concurrency\":");
    push_u64(out, u64::from(header.concurrency));
    out.extend_from_slice(b",\"nodes\":[");
    for (i, node) in header.nodes.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        json::write_str(node.as_str(), out);
    }
    out.extend_from_slice(b"],\"seed\":");
    push_u64(out, header.seed);
    out.extend_from_slice(b",\"began\":");
    json::write_str(&header.began, out);
    for (name, value) in &header.extra {
        out.push(b',');
        json::write_str(name, out);
        out.push(b':');
        json::write_value(value, out);
    }
    out.extend_from_slice(b"}\n");
}

/// Writes one event as one line.
pub fn write_event(out: &mut Vec<u8>, event: &EventRef<'_>) {
    out.extend_from_slice(b"{\"index\":");
    push_u64(out, u64::from(event.index));
    out.extend_from_slice(b",\"time\":");
    push_u64(out, event.time.0);
    out.extend_from_slice(b",\"process\":");
    if event.process.is_nemesis() {
        out.extend_from_slice(b"\"nemesis\"");
    } else {
        push_u64(out, u64::from(event.process.0));
    }
    out.extend_from_slice(match event.kind {
        Kind::Invoke => b",\"type\":\"invoke\",\"f\":".as_slice(),
        Kind::Ok => b",\"type\":\"ok\",\"f\":",
        Kind::Fail => b",\"type\":\"fail\",\"f\":",
        Kind::Info => b",\"type\":\"info\",\"f\":",
    });
    json::write_str(event.f, out);
    if let Some(key) = event.key {
        out.extend_from_slice(b",\"key\":");
        json::write_value(key, out);
    }
    out.extend_from_slice(b",\"value\":");
    json::write_value(event.value, out);
    if let Some(error) = event.error {
        out.extend_from_slice(b",\"error\":");
        json::write_value(error, out);
    }
    for (name, value) in event.extra {
        out.push(b',');
        json::write_str(&escape(name), out);
        out.push(b':');
        json::write_value(value, out);
    }
    out.extend_from_slice(b"}\n");
}

/// Reads a log: an optional header, then events.
pub fn read(bytes: &[u8]) -> Result<Recording, ReadError> {
    read_into(HistoryBuilder::new(), bytes)
}

pub(super) fn read_into(builder: HistoryBuilder, bytes: &[u8]) -> Result<Recording, ReadError> {
    let content = without_mark(bytes);
    let mut lines = Lines { reader: Reader::new(content), builder, header: None, fresh: true };
    let mut torn = None;
    let content_end = content.trim_ascii_end().len();
    let mut start = 0;
    while start < content_end {
        let end = line_end(content, start);
        let line = &content[start..end];
        let last = end >= content_end;
        match lines.line(line) {
            Ok(()) => {}
            Err(trouble) if last && is_torn(line, &trouble) => torn = Some(tell_torn(bytes, line)),
            Err(trouble) => {
                let at = bytes.len() - content.len() + start + trouble.at;
                return Err(ReadError::at(bytes, at, trouble.what));
            }
        }
        start = end + 1;
    }
    Ok(Recording { header: lines.header, history: lines.builder.seal(), torn, complaints: Vec::new() })
}

/// Whether a last line was cut off: it is no JSON, whatever its beginning may say.
fn is_torn(line: &[u8], trouble: &Trouble) -> bool {
    let mut reader = Reader::new(line);
    trouble.syntax || reader.value(0).and_then(|_| reader.end("the end")).is_err_and(|trouble| trouble.syntax)
}

/// What has been read so far.
struct Lines<'a> {
    reader: Reader<'a>,
    builder: HistoryBuilder,
    header: Option<Header>,
    /// Nothing but empty lines was read.
    fresh: bool,
}

impl<'a> Lines<'a> {
    fn line(&mut self, line: &'a [u8]) -> Result<(), Box<Trouble>> {
        let reader = &mut self.reader;
        reader.restart(line);
        if reader.peek().is_none() {
            return Ok(());
        }
        let fresh = std::mem::take(&mut self.fresh);
        let start = reader.at;
        if !reader.takes(b'{') {
            return reader.expected("`{`");
        }
        if fresh && reader.bytes[reader.at..].trim_ascii_start().starts_with(b"\"elenchus\"") {
            let header = read_header(reader)?;
            reader.end("the end of the line")?;
            self.header = Some(header);
            return Ok(());
        }
        let fields = read_fields(reader, &mut self.builder)?;
        reader.end("the end of the line")?;
        if let Some(missing) = fields.missing() {
            return Err(Trouble::meaning(start, format!("expected an event, this one has no \"{missing}\"")));
        }
        fields.push_to(&mut self.builder).map_err(|malformed| Trouble::meaning(start, malformed.to_string()))
    }
}

/// The fields of an event, its `{` passed.
fn read_fields<'a>(
    reader: &mut Reader<'a>,
    builder: &mut HistoryBuilder,
) -> Result<Fields<'a>, Box<Trouble>> {
    let mut fields = Fields::default();
    let mut first = true;
    while let Some(name) = reader.key(&mut first)? {
        reader.peek();
        let at = reader.at;
        let set = match name.as_ref() {
            "index" => {
                let (position, index) = (builder.len() as u64, natural(reader, u64::MAX)?);
                if index != position {
                    let what =
                        format!("expected index {position}, found {index}: a line is missing or added");
                    return Err(Trouble::meaning(at, what));
                }
                once(&mut fields.index, "index", index)
            }
            "time" => once(&mut fields.time, "time", Time(natural(reader, u64::MAX)?)),
            "process" => once(&mut fields.process, "process", process(reader)?),
            "type" => once(&mut fields.kind, "type", kind(reader)?),
            "f" => once(&mut fields.f, "f", text(reader)?),
            "key" => once(&mut fields.key, "key", reader.value(0)?),
            "value" => once(&mut fields.value, "value", reader.value(0)?),
            "error" => once(&mut fields.error, "error", reader.value(0)?),
            other => {
                let name = builder.extra_name(unescape(other));
                fields.extra.push((name, reader.value(0)?));
                Ok(())
            }
        };
        set.map_err(|what| Trouble::meaning(at, what))?;
    }
    Ok(fields)
}

fn read_header(reader: &mut Reader<'_>) -> Result<Header, Box<Trouble>> {
    let mut header = Header { version: 0, ..Header::default() };
    let mut first = true;
    while let Some(name) = reader.key(&mut first)? {
        reader.peek();
        let at = reader.at;
        match name.as_ref() {
            "elenchus" => match text(reader)?.as_ref() {
                "history" => {}
                other => {
                    let what = format!("expected \"history\", found \"{other}\": this is no history");
                    return Err(Trouble::meaning(at, what));
                }
            },
            "version" => header.version = version(reader)?,
            "name" => header.name = text(reader)?.into(),
            "workload" => header.workload = text(reader)?.into(),
            "initial" => header.initial = reader.value(0)?,
            "concurrency" => header.concurrency = natural(reader, u64::from(u32::MAX))? as u32,
            "nodes" => header.nodes = nodes(reader)?,
            "seed" => header.seed = natural(reader, u64::MAX)?,
            "began" => header.began = text(reader)?.into(),
            _ => {
                let value = reader.value(0)?;
                header.extra.push((name.into(), value));
            }
        }
    }
    if header.version == 0 {
        return Err(Trouble::meaning(0, "expected a \"version\" in the header"));
    }
    Ok(header)
}

fn version(reader: &mut Reader<'_>) -> Result<u32, Box<Trouble>> {
    let at = reader.at;
    let version = natural(reader, u64::MAX)?;
    if (1..=u64::from(VERSION)).contains(&version) {
        return Ok(version as u32);
    }
    let newer = if version == 0 { "" } else { ": a newer elenchus wrote this" };
    let what = format!("expected a version from 1 to {VERSION}, found {version}{newer}");
    Err(Trouble::meaning(at, what))
}

fn nodes(reader: &mut Reader<'_>) -> Result<Vec<NodeId>, Box<Trouble>> {
    let at = reader.at;
    let refuse = || Trouble::meaning(at, "expected a list of names of nodes");
    let value = reader.value(0)?;
    let Value::Vector(names) = value else { return Err(refuse()) };
    let node = |name: &Value| match name {
        Value::Str(name) => Ok(NodeId::new(name)),
        _ => Err(refuse()),
    };
    names.iter().map(node).collect()
}

/// A number that is not negative.
fn natural(reader: &mut Reader<'_>, max: u64) -> Result<u64, Box<Trouble>> {
    let at = reader.at;
    let number = match reader.value(0)? {
        Value::Int(n) => u64::try_from(n).ok(),
        Value::BigInt(text) => text.parse().ok(),
        _ => None,
    };
    number
        .filter(|&n| n <= max)
        .ok_or_else(|| Trouble::meaning(at, format!("expected an integer from 0 to {max}")))
}

fn process(reader: &mut Reader<'_>) -> Result<Process, Box<Trouble>> {
    let at = reader.at;
    let named = match reader.value(0)? {
        Value::Int(n) => u32::try_from(n).ok().map(Process).filter(|process| !process.is_nemesis()),
        Value::Str(name) if name.as_ref() == "nemesis" => Some(Process::NEMESIS),
        _ => None,
    };
    named.ok_or_else(|| {
        Trouble::meaning(at, format!("expected a process: a number below {} or \"nemesis\"", u32::MAX))
    })
}

fn kind(reader: &mut Reader<'_>) -> Result<Kind, Box<Trouble>> {
    let at = reader.at;
    let name = text(reader)?;
    Kind::named(&name).ok_or_else(|| {
        let what = format!("expected \"invoke\", \"ok\", \"fail\" or \"info\", found \"{name}\"");
        Trouble::meaning(at, what)
    })
}

fn text<'a>(reader: &mut Reader<'a>) -> Result<Cow<'a, str>, Box<Trouble>> {
    let at = reader.at;
    if reader.peek() == Some(b'"') {
        return reader.string();
    }
    reader.value(0)?;
    Err(Trouble::meaning(at, "expected a string"))
}
