//! Values as JSON: what JSON has as it is, everything else as `{"#edn":"…"}`.

use super::edn;
use super::text::{Bytes, DEPTH_MAX, Trouble, push_i64, unicode_escape};
use crate::value::Value;
use std::borrow::Cow;
use std::fmt::Write;

/// The key of an object that holds a value as EDN.
const EDN: &str = "#edn";

/// Writes a value as JSON, on one line.
pub(crate) fn write_value(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Nil => out.extend_from_slice(b"null"),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::Int(n) => push_i64(out, *n),
        Value::Float(x) if x.is_finite() => {
            write!(Bytes(out), "{x:?}").expect("writing to memory cannot fail");
        }
        Value::Str(text) => write_str(text, out),
        Value::Vector(items) => {
            out.push(b'[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                write_value(item, out);
            }
            out.push(b']');
        }
        Value::Map(entries) if entries.iter().all(|(key, _)| is_plain_key(key)) => {
            out.push(b'{');
            for (i, (key, value)) in entries.iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                write_value(key, out);
                out.push(b':');
                write_value(value, out);
            }
            out.push(b'}');
        }
        value => {
            out.extend_from_slice(b"{\"#edn\":");
            write_str(&value.to_string(), out);
            out.push(b'}');
        }
    }
}

fn is_plain_key(key: &Value) -> bool {
    matches!(key, Value::Str(text) if text.as_ref() != EDN)
}

/// Writes text as a JSON string.
pub(crate) fn write_str(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    let mut plain = 0;
    for (i, byte) in text.bytes().enumerate() {
        if byte >= b' ' && byte != b'"' && byte != b'\\' {
            continue;
        }
        out.extend_from_slice(&text.as_bytes()[plain..i]);
        plain = i + 1;
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            _ => write!(Bytes(out), "\\u{byte:04x}").expect("writing to memory cannot fail"),
        }
    }
    out.extend_from_slice(&text.as_bytes()[plain..]);
    out.push(b'"');
}

/// A position in one line of JSON, and what has been read of arrays and objects that are not closed yet.
pub(crate) struct Reader<'a> {
    pub bytes: &'a [u8],
    pub at: usize,
    /// Items of open arrays, innermost last: each array is then one allocation of its size.
    items: Vec<Value>,
    entries: Vec<(Value, Value)>,
}

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { bytes, at: 0, items: Vec::new(), entries: Vec::new() }
    }

    /// Goes on with another line.
    pub fn restart(&mut self, line: &'a [u8]) {
        self.bytes = line;
        self.at = 0;
        self.items.clear();
        self.entries.clear();
    }

    pub fn expected<T>(&self, what: &str) -> Result<T, Box<Trouble>> {
        Err(Trouble::expected(what, self.bytes, self.at))
    }

    /// The next byte that is no space.
    pub fn peek(&mut self) -> Option<u8> {
        loop {
            match self.bytes.get(self.at) {
                Some(b' ' | b'\t' | b'\r' | b'\n') => self.at += 1,
                byte => return byte.copied(),
            }
        }
    }

    /// Passes this byte, if it is next.
    pub fn takes(&mut self, byte: u8) -> bool {
        let is_next = self.peek() == Some(byte);
        self.at += usize::from(is_next);
        is_next
    }

    /// Passes what follows, which must be nothing.
    pub fn end(&mut self, what: &str) -> Result<(), Box<Trouble>> {
        if self.peek().is_none() { Ok(()) } else { self.expected(what) }
    }

    /// The next key of the object that was opened, its colon passed; `None` at its end. `first` is true for
    /// the first call.
    pub fn key(&mut self, first: &mut bool) -> Result<Option<Cow<'a, str>>, Box<Trouble>> {
        if self.takes(b'}') {
            return if *first || self.bytes[..self.at - 1].trim_ascii_end().last() != Some(&b',') {
                Ok(None)
            } else {
                self.at -= 1;
                self.expected("a key in quotes")
            };
        }
        if !std::mem::take(first) && !self.takes(b',') {
            return self.expected("`,` or `}`");
        }
        if self.peek() != Some(b'"') {
            return self.expected("a key in quotes");
        }
        let key = self.string()?;
        if self.takes(b':') { Ok(Some(key)) } else { self.expected("`:`") }
    }

    /// The next value, inside of `depth` arrays and objects.
    pub fn value(&mut self, depth: usize) -> Result<Value, Box<Trouble>> {
        match self.peek() {
            Some(b'0'..=b'9' | b'-') => self.number(),
            Some(b'"') => Ok(Value::Str(self.string()?.into())),
            Some(b'n') => self.word("null", Value::Nil),
            Some(b't') => self.word("true", Value::Bool(true)),
            Some(b'f') => self.word("false", Value::Bool(false)),
            Some(b'[' | b'{') if depth > DEPTH_MAX => Err(Trouble::too_deep(self.at)),
            Some(b'[') => self.array(depth),
            Some(b'{') => self.object(depth),
            _ => self.expected("a value"),
        }
    }

    fn word(&mut self, word: &str, value: Value) -> Result<Value, Box<Trouble>> {
        if !self.bytes[self.at..].starts_with(word.as_bytes()) {
            return self.expected(&format!("`{word}`"));
        }
        self.at += word.len();
        Ok(value)
    }

    fn number(&mut self) -> Result<Value, Box<Trouble>> {
        let start = self.at;
        self.at += usize::from(self.bytes[start] == b'-');
        let integer = self.digits();
        match self.bytes[self.at - integer..self.at] {
            [] => return self.expected("a digit"),
            [b'0', _, ..] => {
                return Err(Trouble::syntax(start, "expected a number without leading zeros"));
            }
            _ => {}
        }
        let mut whole = true;
        if self.bytes.get(self.at) == Some(&b'.') {
            whole = false;
            self.at += 1;
            if self.digits() == 0 {
                return self.expected("a digit");
            }
        }
        if matches!(self.bytes.get(self.at), Some(b'e' | b'E')) {
            whole = false;
            self.at += 1;
            self.at += usize::from(matches!(self.bytes.get(self.at), Some(b'+' | b'-')));
            if self.digits() == 0 {
                return self.expected("a digit");
            }
        }
        let digits = &self.bytes[start..self.at];
        if whole && digits.len() <= 18 {
            return Ok(Value::Int(short_integer(digits)));
        }
        let text = std::str::from_utf8(digits).expect("digits are ASCII");
        Ok(if whole {
            text.parse().map_or_else(|_| Value::BigInt(text.into()), Value::Int)
        } else {
            Value::Float(text.parse().expect("every JSON number is a float"))
        })
    }

    /// Passes digits; how many there were.
    fn digits(&mut self) -> usize {
        let start = self.at;
        while self.bytes.get(self.at).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
        }
        self.at - start
    }

    /// The string that begins here.
    pub fn string(&mut self) -> Result<Cow<'a, str>, Box<Trouble>> {
        self.at += 1;
        let mut start = self.at;
        let mut text = Cow::Borrowed("");
        loop {
            match self.bytes.get(self.at) {
                Some(b'"') => {
                    let piece = self.text(start)?;
                    self.at += 1;
                    if text.is_empty() {
                        return Ok(Cow::Borrowed(piece));
                    }
                    text += piece;
                    return Ok(text);
                }
                Some(b'\\') => {
                    text += self.text(start)?;
                    let escaped = self.escape()?;
                    text.to_mut().push(escaped);
                    start = self.at;
                }
                Some(b' '..) => self.at += 1,
                _ => return self.expected("`\"` at the end of a string"),
            }
        }
    }

    /// What stands between `start` and here, which must be UTF-8.
    fn text(&self, start: usize) -> Result<&'a str, Box<Trouble>> {
        std::str::from_utf8(&self.bytes[start..self.at])
            .map_err(|error| Trouble::expected("UTF-8", self.bytes, start + error.valid_up_to()))
    }

    fn escape(&mut self) -> Result<char, Box<Trouble>> {
        let escaped = match self.bytes.get(self.at + 1) {
            Some(&byte @ (b'"' | b'\\' | b'/')) => char::from(byte),
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'b') => '\x08',
            Some(b'f') => '\x0c',
            Some(b'u') => {
                let (c, after) = unicode_escape(self.bytes, self.at + 2)?;
                self.at = after;
                return Ok(c);
            }
            _ => {
                let what = "one of the escapes \\\" \\\\ \\/ \\n \\r \\t \\b \\f \\uXXXX";
                return Err(Trouble::expected(what, self.bytes, self.at + 1));
            }
        };
        self.at += 2;
        Ok(escaped)
    }

    fn array(&mut self, depth: usize) -> Result<Value, Box<Trouble>> {
        let start = self.at;
        self.at += 1;
        let mark = self.items.len();
        if !self.takes(b']') {
            if depth == DEPTH_MAX {
                return Err(Trouble::too_deep(start));
            }
            loop {
                let item = self.value(depth + 1)?;
                self.items.push(item);
                if self.takes(b']') {
                    break;
                }
                if !self.takes(b',') {
                    return self.expected("`,` or `]`");
                }
            }
        }
        Ok(Value::Vector(self.items.drain(mark..).collect()))
    }

    fn object(&mut self, depth: usize) -> Result<Value, Box<Trouble>> {
        let start = self.at;
        self.at += 1;
        let mark = self.entries.len();
        let mut first = true;
        while let Some(key) = self.key(&mut first)? {
            let value = self.value(depth + 1)?;
            self.entries.push((Value::Str(key.into()), value));
        }
        let entries = self.entries.drain(mark..);
        // What stands as EDN is as deep as the object around it; other entries are one deeper.
        if depth == DEPTH_MAX && entries.as_slice().iter().any(|(key, _)| is_plain_key(key)) {
            return Err(Trouble::too_deep(start));
        }
        if entries.as_slice().iter().all(|(key, _)| is_plain_key(key)) {
            return Ok(Value::Map(entries.collect()));
        }
        match entries.as_slice() {
            [(_, Value::Str(text))] => edn::value_at_depth(text, depth).map_err(|trouble| {
                let what =
                    format!("in the EDN of this \"{EDN}\", at its byte {}: {}", trouble.at, trouble.what);
                Trouble::meaning(start, what)
            }),
            _ => Err(Trouble::meaning(start, format!("expected \"{EDN}\" to be alone and a string"))),
        }
    }
}

/// The integer of a sign and at most 17 digits, or of 18 digits.
fn short_integer(digits: &[u8]) -> i64 {
    let (negative, digits) = match digits {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    let n = digits.iter().fold(0, |n, &digit| n * 10 + i64::from(digit - b'0'));
    if negative { -n } else { n }
}
