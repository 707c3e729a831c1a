//! The lines that Jepsen prints while it runs.
//!
//! A line tells of an operation if one of its words is a type (`:invoke`, `:ok`, `:fail`, `:info`) and the
//! word before it a process: a number or `:nemesis`. The function and the value follow, then, perhaps, an
//! error, as text that was printed and need not be EDN. All other lines are the log's own and are skipped.

use super::edn;
use super::fields::Fields;
use super::text::{ReadError, Trouble, line_end};
use super::{Recording, without_mark};
use crate::event::Kind;
use crate::history::HistoryBuilder;
use crate::process::Process;
use crate::value::Value;
use std::borrow::Cow;

/// Reads the operations of a log. A log without any is an error: it is something else.
pub fn read(bytes: &[u8]) -> Result<Recording, ReadError> {
    read_into(HistoryBuilder::new(), bytes)
}

pub(super) fn read_into(mut builder: HistoryBuilder, bytes: &[u8]) -> Result<Recording, ReadError> {
    let content = without_mark(bytes);
    let offset = bytes.len() - content.len();
    let (mut start, mut skipped, mut doubtful) = (0, 0, Vec::new());
    while start < content.len() {
        let end = line_end(content, start);
        let line = &content[start..end];
        match read_line(line, &mut builder) {
            Ok(true) => {}
            Ok(false) => {
                skipped += usize::from(!line.trim_ascii().is_empty());
                doubtful.extend(names_type(line).then_some(start));
            }
            Err(trouble) => return Err(ReadError::at(bytes, offset + start + trouble.at, trouble.what)),
        }
        start = end + 1;
    }
    if builder.is_empty() {
        let what = "expected operations: no line tells of one, so this is no history in a known format";
        return Err(ReadError::at(bytes, 0, what));
    }
    let mut complaints = Vec::new();
    if skipped > 0 {
        complaints.push(format!("lines of the log that tell of no operation and were skipped: {skipped}"));
    }
    if let Some(&first) = doubtful.first() {
        let line = ReadError::at(bytes, offset + first, "").line;
        complaints.push(format!(
            "skipped lines with a type but no process before it, which may be operations: {}, the first is line {line}",
            doubtful.len()
        ));
    }
    Ok(Recording { header: None, history: builder.seal(), torn: None, complaints })
}

/// Whether the line told of an operation.
fn read_line(line: &[u8], builder: &mut HistoryBuilder) -> Result<bool, Box<Trouble>> {
    let Some((process, kind, at)) = operation(line) else { return Ok(false) };
    let rest = std::str::from_utf8(&line[at..])
        .map_err(|error| Trouble::expected("UTF-8", line, at + error.valid_up_to()))?;
    let mut reader = edn::Reader::new(rest.as_bytes());
    let shift = |mut trouble: Box<Trouble>| {
        trouble.at += at;
        trouble
    };
    let f = match reader.value(0).map_err(shift)? {
        Value::Keyword(name) | Value::Str(name) | Value::Symbol(name) => name,
        other => return Err(Trouble::meaning(at, format!("expected a function, found {other}"))),
    };
    let after_f = reader.at;
    let value = match reader.value(0) {
        Ok(value) => value,
        // What a nemesis reports is often printed in a way that nothing can read.
        Err(_) if process.is_nemesis() => {
            reader.at = rest.len();
            Value::str(rest[after_f..].trim())
        }
        Err(trouble) => return Err(shift(trouble)),
    };
    let printed = rest[reader.at..].trim();
    let error = match (printed, kind, &value) {
        ("", Kind::Fail | Kind::Info, Value::Keyword(_)) => Some(value.clone()),
        ("", ..) => None,
        _ => Some(edn::read_value(printed).unwrap_or_else(|_| Value::str(printed))),
    };
    let fields = Fields {
        process: Some(process),
        kind: Some(kind),
        f: Some(Cow::Owned(f.into())),
        value: Some(value),
        error,
        ..Fields::default()
    };
    fields.push_to(builder).map_err(|malformed| Trouble::meaning(0, malformed.to_string()))?;
    Ok(true)
}

/// The process and the type that the line names, and the byte after them.
fn operation(line: &[u8]) -> Option<(Process, Kind, usize)> {
    let mut before: &[u8] = b"";
    let mut at = 0;
    for word in line.split(|byte| byte.is_ascii_whitespace()) {
        at += word.len();
        if let (Some(process), Some(kind)) = (process(before), kind(word)) {
            return Some((process, kind, at));
        }
        if !word.is_empty() {
            before = word;
        }
        at += 1;
    }
    None
}

/// Whether a word of the line is a type, as in a line that tells of an operation.
fn names_type(line: &[u8]) -> bool {
    line.split(|byte| byte.is_ascii_whitespace()).any(|word| kind(word).is_some())
}

fn process(word: &[u8]) -> Option<Process> {
    if word == b":nemesis" {
        return Some(Process::NEMESIS);
    }
    let number = std::str::from_utf8(word).ok()?.parse().ok()?;
    Some(Process(number)).filter(|process| !process.is_nemesis())
}

fn kind(word: &[u8]) -> Option<Kind> {
    Kind::named(std::str::from_utf8(word.strip_prefix(b":")?).ok()?)
}
