//! The fields of one event as a reader gathers them, in whatever order they come.

use crate::event::Kind;
use crate::history::{Draft, HistoryBuilder, Malformed};
use crate::process::Process;
use crate::time::Time;
use crate::value::Value;
use std::borrow::Cow;
use std::sync::Arc;

/// What is known of an event so far.
#[derive(Default)]
pub(crate) struct Fields<'a> {
    pub index: Option<u64>,
    pub time: Option<Time>,
    pub process: Option<Process>,
    pub kind: Option<Kind>,
    pub f: Option<Cow<'a, str>>,
    pub key: Option<Value>,
    pub value: Option<Value>,
    pub error: Option<Value>,
    pub extra: Vec<(Arc<str>, Value)>,
}

/// The fields with a meaning of their own.
pub(crate) const NAMES: [&str; 8] = ["index", "time", "process", "type", "f", "key", "value", "error"];

impl Fields<'_> {
    /// The field without which this is no event, if there is one.
    pub fn missing(&self) -> Option<&'static str> {
        if self.process.is_none() {
            Some("process")
        } else if self.kind.is_none() {
            Some("type")
        } else if self.f.is_none() {
            Some("f")
        } else {
            None
        }
    }

    /// Adds the event to a history. A missing time is the event's position, a missing value nil.
    ///
    /// # Panics
    /// When a field is [`Fields::missing`].
    pub fn push_to(self, builder: &mut HistoryBuilder) -> Result<(), Malformed> {
        let position = builder.len() as u64;
        builder.push_draft(Draft {
            time: self.time.unwrap_or(Time(position)),
            process: self.process.expect("readers refuse events without a process"),
            kind: self.kind.expect("readers refuse events without a type"),
            f: &self.f.expect("readers refuse events without a function"),
            key: self.key,
            value: self.value.unwrap_or(Value::Nil),
            error: self.error,
            extra: self.extra,
        })
    }
}

/// Sets a field that may stand only once.
pub(crate) fn once<T>(field: &mut Option<T>, name: &str, value: T) -> Result<(), String> {
    match field.replace(value) {
        None => Ok(()),
        Some(_) => Err(format!("expected `{name}` only once")),
    }
}

/// How an extra name is written, lest it be taken for a field: `time` as `#time`, `#time` as `##time`.
pub(crate) fn escape(name: &str) -> Cow<'_, str> {
    if is_field(name.trim_start_matches('#')) { Cow::Owned(format!("#{name}")) } else { Cow::Borrowed(name) }
}

/// The inverse of [`escape`].
pub(crate) fn unescape(name: &str) -> &str {
    match name.strip_prefix('#') {
        Some(rest) if is_field(rest.trim_start_matches('#')) => rest,
        _ => name,
    }
}

fn is_field(name: &str) -> bool {
    NAMES.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_fields_are_escaped_and_come_back() {
        for name in ["time", "#time", "##time", "node", "#node", "", "#", "times"] {
            assert_eq!(unescape(&escape(name)), name);
            assert!(!is_field(&escape(name)), "{name}");
        }
        assert_eq!(escape("node"), "node");
        assert_eq!(unescape("#node"), "#node");
    }
}
