//! Histories as text: our JSON lines, Jepsen's EDN, the log that Jepsen prints.
//!
//! Readers take whole files as bytes and never panic, hang or lose anything silently: what they cannot read
//! is an error with its line and column, what they drop is told. Deliberately absent: files. Reading and
//! writing those is the controller's business.

pub mod edn;
mod fields;
pub mod jepsen_log;
mod json;
pub mod jsonl;
mod text;

pub use text::ReadError;

use crate::history::History;

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
    /// The lines that Jepsen prints while it runs: process, type, function, value.
    JepsenLog,
}

impl Format {
    /// The word for it: `jsonl`, `edn`, `jepsen-log`.
    pub fn name(self) -> &'static str {
        match self {
            Format::Jsonl => "jsonl",
            Format::Edn => "edn",
            Format::JepsenLog => "jepsen-log",
        }
    }

    /// The format of this name.
    pub fn named(name: &str) -> Option<Format> {
        [Format::Jsonl, Format::Edn, Format::JepsenLog].into_iter().find(|format| format.name() == name)
    }
}

/// The format of a file, by its first bytes that are no space: an object with quoted keys is JSON; any
/// other collection, a tag or a comment is EDN; all else is a log.
pub fn detect(bytes: &[u8]) -> Format {
    let content = without_mark(bytes).trim_ascii_start();
    match content.first() {
        Some(b'{') => match content[1..].trim_ascii_start().first() {
            Some(b'"' | b'}') | None => Format::Jsonl,
            Some(_) => Format::Edn,
        },
        None => Format::Jsonl,
        Some(b'[' | b'(' | b'#' | b';' | b',') => Format::Edn,
        Some(_) => Format::JepsenLog,
    }
}

/// Reads a history in this format, or in the one that it seems to have.
pub fn read(bytes: &[u8], format: Option<Format>) -> Result<Recording, ReadError> {
    match format.unwrap_or_else(|| detect(bytes)) {
        Format::Jsonl => jsonl::read(bytes),
        Format::Edn => edn::read(bytes),
        Format::JepsenLog => jepsen_log::read(bytes),
    }
}

/// The bytes without the mark that some editors put before UTF-8.
fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)
}
