//! Histories as text: our JSON lines, Jepsen's EDN, the log that Jepsen prints, Porcupine's operations.
//!
//! Readers take whole files as bytes and never panic, hang or lose anything silently: what they cannot read
//! is an error with its line and column, what they drop is told. Deliberately absent: files. Reading and
//! writing those is the controller's business.

pub mod edn;
mod fields;
pub mod jepsen_log;
mod json;
pub mod jsonl;
pub mod porcupine_json;
mod text;

pub use text::ReadError;

use crate::event::Index;
use crate::history::{History, HistoryBuilder};

/// A history as it was read from a file.
#[derive(Clone, Debug, PartialEq)]
pub struct Recording {
    /// What the file says of its trial, if it says anything.
    pub header: Option<jsonl::Header>,
    /// What happened.
    pub history: History,
    /// That the last line was cut off, what it held, and that it was dropped.
    pub torn: Option<String>,
    /// What else a reader should know: a sentence each.
    pub complaints: Vec<String>,
}

/// How a history can be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Our own lines of JSON.
    Jsonl,
    /// Jepsen's `history.edn`: maps or `#jepsen.history.Op{…}`, one after the other or in one vector.
    Edn,
    /// The same with each event on a line of its own, the last of which may be torn.
    EdnLines,
    /// The lines that Jepsen prints while it runs: process, type, function, value.
    JepsenLog,
    /// Operations with both their times, as Go prints Porcupine's.
    PorcupineJson,
}

impl Format {
    /// All of them.
    pub const ALL: [Format; 5] =
        [Format::Jsonl, Format::Edn, Format::EdnLines, Format::JepsenLog, Format::PorcupineJson];

    /// The word for it: `jsonl`, `edn`, `edn-lines`, `jepsen-log`, `porcupine-json`.
    pub fn name(self) -> &'static str {
        match self {
            Format::Jsonl => "jsonl",
            Format::Edn => "edn",
            Format::EdnLines => "edn-lines",
            Format::JepsenLog => "jepsen-log",
            Format::PorcupineJson => "porcupine-json",
        }
    }

    /// The format of this name.
    pub fn named(name: &str) -> Option<Format> {
        Format::ALL.into_iter().find(|format| format.name() == name)
    }
}

/// The format of a file, by its first bytes that are no space: an object with quoted keys is JSON
/// (Porcupine's if the first key is one of its own, or if it stands in an array); any other collection, a
/// tag or a comment is EDN; all else is a log.
pub fn detect(bytes: &[u8]) -> Format {
    let content = without_mark(bytes).trim_ascii_start();
    match content.first() {
        Some(b'{') => match content[1..].trim_ascii_start() {
            [b'"', rest @ ..] if begins_with_porcupine_field(rest) => Format::PorcupineJson,
            [b'"' | b'}', ..] | [] => Format::Jsonl,
            _ => Format::Edn,
        },
        Some(b'[') => match content[1..].trim_ascii_start() {
            [b'{', rest @ ..] if rest.trim_ascii_start().starts_with(b"\"") => Format::PorcupineJson,
            _ => Format::Edn,
        },
        None => Format::Jsonl,
        Some(b'(' | b'#' | b';' | b',') => Format::Edn,
        Some(_) => Format::JepsenLog,
    }
}

fn begins_with_porcupine_field(rest: &[u8]) -> bool {
    let end = rest.iter().position(|&byte| byte == b'"').unwrap_or(0);
    std::str::from_utf8(&rest[..end]).is_ok_and(porcupine_json::is_field)
}

/// Reads a history in this format, or in the one that it seems to have.
pub fn read(bytes: &[u8], format: Option<Format>) -> Result<Recording, ReadError> {
    match format.unwrap_or_else(|| detect(bytes)) {
        Format::Jsonl => jsonl::read(bytes),
        Format::Edn => edn::read(bytes),
        Format::EdnLines => edn::read_lines(bytes),
        Format::JepsenLog => jepsen_log::read(bytes),
        Format::PorcupineJson => porcupine_json::read(bytes),
    }
}

/// Where a file that can be read holds the event at this position: its line and its column, from 1. `None`
/// where events do not stand in the order of the file.
pub fn locate(bytes: &[u8], format: Format, index: Index) -> Option<(usize, usize)> {
    let builder = HistoryBuilder::refusing(index);
    let refused = match format {
        Format::Jsonl => jsonl::read_into(builder, bytes),
        Format::Edn => edn::read_into(builder, bytes),
        Format::EdnLines => edn::read_lines_into(builder, bytes),
        Format::JepsenLog => jepsen_log::read_into(builder, bytes),
        Format::PorcupineJson => return None,
    };
    refused.err().map(|error| (error.line, error.column))
}

/// The bytes without the mark that some editors put before UTF-8.
fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)
}
