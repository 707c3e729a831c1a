//! EDN, in and out: values, and Jepsen's histories of them.
//!
//! All of EDN's grammar is read (<https://github.com/edn-format/edn>), with what Clojure prints beyond it:
//! `##NaN`, `##Inf`, ratios, namespaced maps. What a [`Value`] can hold and EDN cannot say (a keyword with a
//! space in its name) is written under a tag of our own, so that every value survives:
//! `#elenchus/keyword "a b"`. Deliberately absent: metadata, regular expressions, readers for tags.

mod history;
mod name;
mod read;
mod write;

pub use history::{read, read_lines, split_keys, write_event, write_history};
pub use write::write_value;

pub(crate) use history::{read_into, read_lines_into};
pub(crate) use read::Reader;

use crate::format::text::{ReadError, Trouble};
use crate::value::Value;

/// Reads a text that holds one value and nothing else but space and comments.
pub fn read_value(text: &str) -> Result<Value, ReadError> {
    value_at_depth(text, 0).map_err(|trouble| ReadError::at(text.as_bytes(), trouble.at, trouble.what))
}

/// The same inside something that is already nested this deeply.
pub(crate) fn value_at_depth(text: &str, depth: usize) -> Result<Value, Box<Trouble>> {
    let mut reader = Reader::new(text.as_bytes());
    let value = reader.value(depth)?;
    reader.end("the end after one value")?;
    Ok(value)
}
