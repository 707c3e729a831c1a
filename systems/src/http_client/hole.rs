//! Texts with holes for what a request is about: `/kv/{key}`, `{"from": {from}, "to": {to}}`.
//!
//! A hole is a word in braces, with the form in which it is written after a colon (`{value:base64}`) or the form that
//! its place has by itself. Braces that hold anything else stand for themselves; a word that is no hole is an error.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use elenchus_core::value::Value;
use std::fmt::Write;

/// What a hole is filled with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Word {
    Key,
    Value,
    From,
    To,
    Text,
    Version,
}

/// How it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// `a%2Fb`
    Percent,
    /// As percent, but `/` stays.
    Path,
    /// As it is.
    Text,
    /// A JSON value: `5`, `"x"`, `null`.
    Json,
    /// A JSON string, numbers too: `"5"`.
    String,
    /// Its text in base64.
    Base64,
}

const WORDS: [(&str, Word); 6] = [
    ("key", Word::Key),
    ("value", Word::Value),
    ("from", Word::From),
    ("to", Word::To),
    ("text", Word::Text),
    ("version", Word::Version),
];

const FORMS: [(&str, Form); 6] = [
    ("percent", Form::Percent),
    ("path", Form::Path),
    ("text", Form::Text),
    ("json", Form::Json),
    ("string", Form::String),
    ("base64", Form::Base64),
];

/// A text with holes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Holed(Vec<Piece>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Hole(Word, Form),
}

impl Holed {
    /// Reads a text whose holes have this form unless they name another.
    pub(super) fn parse(text: &str, form: Form) -> Result<Holed, String> {
        let (mut pieces, mut plain, mut rest) = (Vec::new(), String::new(), text);
        while let Some(at) = rest.find('{') {
            plain.push_str(&rest[..at]);
            let inner = &rest[at + 1..];
            let end = inner.find(|c: char| !(c.is_ascii_alphanumeric() || "-_.:".contains(c)));
            match end.filter(|end| *end > 0 && inner[*end..].starts_with('}')) {
                Some(end) => {
                    let (word, form) = hole(&inner[..end], form)?;
                    pieces.extend((!plain.is_empty()).then(|| Piece::Text(std::mem::take(&mut plain))));
                    pieces.push(Piece::Hole(word, form));
                    rest = &inner[end + 1..];
                }
                None => {
                    plain.push('{');
                    rest = inner;
                }
            }
        }
        plain.push_str(rest);
        pieces.extend((!plain.is_empty()).then_some(Piece::Text(plain)));
        Ok(Holed(pieces))
    }

    /// Whether there is such a hole.
    pub(super) fn names(&self, word: Word) -> bool {
        self.words().any(|found| found == word)
    }

    /// The holes there are.
    pub(super) fn words(&self) -> impl Iterator<Item = Word> {
        self.0.iter().filter_map(|piece| match piece {
            Piece::Hole(word, _) => Some(*word),
            Piece::Text(_) => None,
        })
    }

    /// The text with its holes filled; an error says which value cannot be written so.
    pub(super) fn fill<'v>(&self, of: impl Fn(Word) -> Option<&'v Value>) -> Result<String, String> {
        let mut text = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(plain) => text.push_str(plain),
                Piece::Hole(word, form) => {
                    let name = name(*word);
                    let value = of(*word).ok_or_else(|| format!("there is no {name} to write"))?;
                    let written = form.write(value);
                    text.push_str(&written.ok_or_else(|| format!("{value} cannot be written as {name}"))?);
                }
            }
        }
        Ok(text)
    }
}

/// The word in braces.
pub(super) fn name(word: Word) -> &'static str {
    WORDS.iter().find(|(_, known)| *known == word).map_or("", |(name, _)| name)
}

fn hole(inner: &str, form: Form) -> Result<(Word, Form), String> {
    let (word, wanted) = inner.split_once(':').map_or((inner, None), |(word, form)| (word, Some(form)));
    let known = WORDS.iter().find(|(name, _)| *name == word).ok_or_else(|| {
        let names: Vec<String> = WORDS.iter().map(|(name, _)| format!("{{{name}}}")).collect();
        format!("`{{{inner}}}` is no hole of a request: use {}", names.join(", "))
    })?;
    let Some(wanted) = wanted else { return Ok((known.1, form)) };
    let form = FORMS.iter().find(|(name, _)| *name == wanted).ok_or_else(|| {
        let names: Vec<&str> = FORMS.iter().map(|(name, _)| *name).collect();
        format!("`{{{inner}}}`: there is no form `{wanted}`; there are {}", names.join(", "))
    })?;
    Ok((known.1, form.1))
}

impl Form {
    /// The value in this form; `None` if it has none: only JSON can say that something is absent.
    fn write(self, value: &Value) -> Option<String> {
        let text = match value {
            Value::Nil => return (self == Form::Json).then(|| "null".into()),
            Value::Int(n) => n.to_string(),
            Value::Str(text) => text.to_string(),
            _ => return None,
        };
        Some(match self {
            Form::Percent => percent(&text, false),
            Form::Path => percent(&text, true),
            Form::Text => text,
            Form::Json if value.as_int().is_some() => text,
            Form::Json | Form::String => serde_json::Value::from(text).to_string(),
            Form::Base64 => BASE64_STANDARD.encode(text),
        })
    }
}

/// RFC 3986: whatever is not unreserved is escaped.
fn percent(text: &str, keep_slashes: bool) -> String {
    let mut escaped = String::new();
    for byte in text.bytes() {
        let plain = byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || (keep_slashes && byte == b'/');
        match plain {
            true => escaped.push(char::from(byte)),
            false => write!(escaped, "%{byte:02X}").expect("text can be written to text"),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(text: &str, form: Form, value: &Value) -> Result<String, String> {
        Holed::parse(text, form).and_then(|holed| holed.fill(|_| Some(value)))
    }

    #[test]
    fn each_form_escapes_what_its_place_cannot_bear() {
        let text = Value::str("a/b \"ü");
        let written = |form: &str| filled(&format!("{{key:{form}}}"), Form::Text, &text).expect("it is text");
        assert_eq!(written("percent"), "a%2Fb%20%22%C3%BC");
        assert_eq!(written("path"), "a/b%20%22%C3%BC");
        assert_eq!(written("text"), "a/b \"ü");
        assert_eq!(written("json"), r#""a/b \"ü""#);
        assert_eq!(written("base64"), "YS9iICLDvA==");
        assert_eq!(filled("{to} {to:string}", Form::Json, &Value::Int(-5)), Ok("-5 \"-5\"".into()));
    }

    #[test]
    fn only_json_can_say_that_something_is_absent() {
        assert_eq!(filled("{from}", Form::Json, &Value::Nil), Ok("null".into()));
        for form in [Form::Percent, Form::Path, Form::Text, Form::String, Form::Base64] {
            assert!(filled("{from}", form, &Value::Nil).is_err());
        }
    }

    #[test]
    fn other_braces_stand_for_themselves_and_other_words_are_errors() {
        let body = r#"{"a": {"b": {value}}, "c": {}}"#;
        assert_eq!(filled(body, Form::Json, &Value::Int(1)), Ok(r#"{"a": {"b": 1}, "c": {}}"#.into()));
        assert_eq!(filled("{ key } {", Form::Text, &Value::Int(1)), Ok("{ key } {".into()));
        assert!(
            filled("/{keys}", Form::Percent, &Value::Int(1)).is_err_and(|why| why.contains("{key}, {value}"))
        );
        assert!(filled("{key:hex}", Form::Percent, &Value::Int(1)).is_err_and(|why| why.contains("base64")));
    }
}
