//! Values from EDN text.

use super::name::{OURS, is_keyword, is_symbol, is_token};
use crate::format::text::{DEPTH_MAX, Trouble, unicode_escape};
use crate::value::Value;
use std::borrow::Cow;

/// A position in a text, and what has been read of collections that are not closed yet.
pub(crate) struct Reader<'a> {
    pub bytes: &'a [u8],
    pub at: usize,
    /// Items of open collections, innermost last: each collection is then one allocation of its size.
    items: Vec<Value>,
    entries: Vec<(Value, Value)>,
}

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { bytes, at: 0, items: Vec::new(), entries: Vec::new() }
    }

    pub fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    pub fn expected<T>(&self, what: &str) -> Result<T, Box<Trouble>> {
        Err(Trouble::expected(what, self.bytes, self.at))
    }

    /// Passes space, commas, comments and discarded values.
    pub fn skip(&mut self, depth: usize) -> Result<(), Box<Trouble>> {
        loop {
            match self.peek() {
                Some(b' ' | b'\t' | b'\n' | b'\r' | b'\x0b' | b'\x0c' | b',') => self.at += 1,
                Some(b';') => {
                    self.at = crate::format::text::line_end(self.bytes, self.at);
                }
                Some(b'#') if self.bytes.get(self.at + 1) == Some(&b'_') => {
                    self.at += 2;
                    self.value(depth + 1)?;
                }
                _ => return Ok(()),
            }
        }
    }

    /// Passes what follows, which must be nothing.
    pub fn end(&mut self, what: &str) -> Result<(), Box<Trouble>> {
        self.skip(0)?;
        if self.at == self.bytes.len() { Ok(()) } else { self.expected(what) }
    }

    /// The next value, inside of `depth` collections.
    pub fn value(&mut self, depth: usize) -> Result<Value, Box<Trouble>> {
        if depth > DEPTH_MAX {
            return Err(Trouble::too_deep(self.at));
        }
        self.skip(depth)?;
        match self.peek() {
            Some(b'0'..=b'9') => self.number(),
            Some(b'+' | b'-') if self.bytes.get(self.at + 1).is_some_and(u8::is_ascii_digit) => self.number(),
            Some(b':') => Ok(Value::keyword(self.keyword()?)),
            Some(b'"') => Ok(Value::Str(self.string()?.into())),
            Some(b'[') => Ok(Value::Vector(self.items(b']', depth)?)),
            Some(b'(') => Ok(Value::List(self.items(b')', depth)?)),
            Some(b'{') => Ok(Value::Map(self.map(depth)?)),
            Some(b'\\') => self.char(),
            Some(b'#') => self.dispatch(depth),
            Some(byte) if is_token(byte) => self.symbol(),
            _ => self.expected("a value"),
        }
    }

    /// The token that begins here; nothing if none does.
    fn token(&mut self) -> Result<&'a str, Box<Trouble>> {
        let start = self.at;
        let rest = &self.bytes[start..];
        self.at += rest.iter().position(|&byte| !is_token(byte)).unwrap_or(rest.len());
        self.text(start, self.at)
    }

    /// A piece of the file, which must be UTF-8.
    fn text(&self, start: usize, end: usize) -> Result<&'a str, Box<Trouble>> {
        let bytes = &self.bytes[start..end];
        std::str::from_utf8(bytes)
            .map_err(|error| Trouble::expected("UTF-8", self.bytes, start + error.valid_up_to()))
    }

    /// The name of the keyword that begins here.
    pub fn keyword(&mut self) -> Result<&'a str, Box<Trouble>> {
        self.at += 1;
        let name = self.token()?;
        if name.is_empty() { self.expected("the name of a keyword") } else { Ok(name) }
    }

    fn symbol(&mut self) -> Result<Value, Box<Trouble>> {
        let start = self.at;
        match self.token()? {
            "nil" => Ok(Value::Nil),
            "true" => Ok(Value::Bool(true)),
            "false" => Ok(Value::Bool(false)),
            name if is_symbol(name) => Ok(Value::Symbol(name.into())),
            name => Err(Trouble::syntax(start, format!("expected a value, found `{name}`"))),
        }
    }

    fn number(&mut self) -> Result<Value, Box<Trouble>> {
        let start = self.at;
        if let Some(n) = self.short_integer() {
            return Ok(Value::Int(n));
        }
        self.at = start;
        let token = self.token()?;
        number(token).ok_or_else(|| Trouble::syntax(start, format!("expected a number, found `{token}`")))
    }

    /// An integer of at most 18 digits with nothing after it: nearly every number of a history.
    fn short_integer(&mut self) -> Option<i64> {
        let negative = self.peek() == Some(b'-');
        self.at += usize::from(negative);
        let (start, mut n) = (self.at, 0i64);
        while let Some(digit @ b'0'..=b'9') = self.peek() {
            if self.at == start + 18 {
                return None;
            }
            n = n * 10 + i64::from(digit - b'0');
            self.at += 1;
        }
        let leads_with_zero = self.at > start + 1 && self.bytes[start] == b'0';
        if self.at == start || leads_with_zero || self.peek().is_some_and(is_token) {
            return None;
        }
        Some(if negative { -n } else { n })
    }

    /// The string that begins here.
    pub fn string(&mut self) -> Result<Cow<'a, str>, Box<Trouble>> {
        let opened = self.at;
        self.at += 1;
        let mut start = self.at;
        let mut text = Cow::Borrowed("");
        loop {
            match self.peek() {
                Some(b'"') => {
                    let piece = self.text(start, self.at)?;
                    self.at += 1;
                    if text.is_empty() {
                        return Ok(Cow::Borrowed(piece));
                    }
                    text += piece;
                    return Ok(text);
                }
                Some(b'\\') => {
                    text += self.text(start, self.at)?;
                    let escaped = self.escape()?;
                    text.to_mut().push(escaped);
                    start = self.at;
                }
                Some(_) => self.at += 1,
                None => {
                    let what = "expected `\"` at the end of this string, found the end";
                    return Err(Trouble::syntax(opened, what));
                }
            }
        }
    }

    /// The character of the escape that begins here, within a string.
    fn escape(&mut self) -> Result<char, Box<Trouble>> {
        let escaped = match self.bytes.get(self.at + 1) {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
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
                let what = "one of the escapes \\\" \\\\ \\n \\r \\t \\b \\f \\uXXXX";
                return Err(Trouble::expected(what, self.bytes, self.at + 1));
            }
        };
        self.at += 2;
        Ok(escaped)
    }

    fn char(&mut self) -> Result<Value, Box<Trouble>> {
        let start = self.at;
        let end = self.bytes.len().min(start + 5);
        let lead = self.bytes[start + 1..end].utf8_chunks().next().map_or("", |chunk| chunk.valid());
        let Some(first) = lead.chars().next() else {
            return Err(Trouble::expected("a character after `\\`", self.bytes, start + 1));
        };
        self.at = start + 1 + first.len_utf8();
        let rest = if is_token(self.bytes[start + 1]) { self.token()? } else { "" };
        Ok(Value::Char(match (first, rest) {
            (c, "") => c,
            ('n', "ewline") => '\n',
            ('r', "eturn") => '\r',
            ('s', "pace") => ' ',
            ('t', "ab") => '\t',
            ('b', "ackspace") => '\x08',
            ('f', "ormfeed") => '\x0c',
            ('u', digits) if digits.len() == 4 => unicode_escape(self.bytes, start + 2)?.0,
            (c, rest) => {
                return Err(Trouble::syntax(start, format!("expected a character, found `\\{c}{rest}`")));
            }
        }))
    }

    fn items(&mut self, close: u8, depth: usize) -> Result<Box<[Value]>, Box<Trouble>> {
        let opened = self.at;
        self.at += 1;
        let mark = self.items.len();
        while !self.closes(opened, close, depth)? {
            let item = self.value(depth + 1)?;
            self.items.push(item);
        }
        Ok(self.items.drain(mark..).collect())
    }

    fn map(&mut self, depth: usize) -> Result<Box<[(Value, Value)]>, Box<Trouble>> {
        let opened = self.at;
        self.at += 1;
        let mark = self.entries.len();
        while !self.closes(opened, b'}', depth)? {
            let key = self.value(depth + 1)?;
            self.skip(depth)?;
            if self.peek() == Some(b'}') {
                return Err(Trouble::syntax(
                    self.at,
                    format!("expected a value for the key {key}, found `}}`"),
                ));
            }
            let value = self.value(depth + 1)?;
            self.entries.push((key, value));
        }
        Ok(self.entries.drain(mark..).collect())
    }

    /// Whether the collection that was opened at `opened` ends here; if so, passes its end.
    pub fn closes(&mut self, opened: usize, close: u8, depth: usize) -> Result<bool, Box<Trouble>> {
        self.skip(depth)?;
        match self.peek() {
            Some(byte) if byte == close => {
                self.at += 1;
                Ok(true)
            }
            Some(b')' | b']' | b'}') => self.expected(&format!("a value or `{}`", char::from(close))),
            Some(_) => Ok(false),
            None => {
                let (open, close) = (char::from(self.bytes[opened]), char::from(close));
                Err(Trouble::syntax(
                    opened,
                    format!("expected `{close}` to end this `{open}`, found the end"),
                ))
            }
        }
    }

    /// What begins with `#`.
    fn dispatch(&mut self, depth: usize) -> Result<Value, Box<Trouble>> {
        let start = self.at;
        self.at += 1;
        match self.peek() {
            Some(b'{') => Ok(Value::Set(self.items(b'}', depth)?)),
            Some(b'#') => {
                self.at += 1;
                match self.token()? {
                    "NaN" => Ok(Value::Float(f64::NAN)),
                    "Inf" => Ok(Value::Float(f64::INFINITY)),
                    "-Inf" => Ok(Value::Float(f64::NEG_INFINITY)),
                    name => {
                        let what = format!("expected `##NaN`, `##Inf` or `##-Inf`, found `##{name}`");
                        Err(Trouble::syntax(start, what))
                    }
                }
            }
            Some(b':') => self.namespaced_map(depth),
            _ => {
                let tag = self.tag()?;
                if let Some(kind) = tag.strip_prefix(OURS) {
                    return self.ours(start, kind, depth);
                }
                let value = self.value(depth + 1)?;
                Ok(Value::Tagged(Box::new((tag.into(), value))))
            }
        }
    }

    /// What stands under one of our own tags. It is no deeper than the tag, which is no part of the value;
    /// a string or a vector must follow, lest tags without end recurse without bound.
    fn ours(&mut self, start: usize, kind: &str, depth: usize) -> Result<Value, Box<Trouble>> {
        self.skip(depth)?;
        let content = match self.peek() {
            Some(b'"' | b'[') => self.value(depth)?,
            _ => return self.expected(&format!("a string or a vector after #{OURS}{kind}")),
        };
        ours(kind, content).map_err(|what| Trouble::meaning(start, what))
    }

    /// The tag whose name begins here.
    pub fn tag(&mut self) -> Result<&'a str, Box<Trouble>> {
        let start = self.at;
        let tag = self.token()?;
        if is_symbol(tag) { Ok(tag) } else { Err(Trouble::expected("a tag after `#`", self.bytes, start)) }
    }

    /// `#:space{:a 1, :_/b 2}` is `{:space/a 1, :b 2}`.
    fn namespaced_map(&mut self, depth: usize) -> Result<Value, Box<Trouble>> {
        let space = self.keyword()?;
        self.skip(depth)?;
        if self.peek() != Some(b'{') {
            return self.expected("a map after its namespace");
        }
        let mut entries = self.map(depth)?;
        for (key, _) in &mut entries {
            if let Value::Keyword(name) | Value::Symbol(name) = key {
                *name = match name.strip_prefix("_/") {
                    Some(bare) if is_keyword(bare) => bare.into(),
                    None if !name.contains('/') => format!("{space}/{name}").into(),
                    _ => continue,
                };
            }
        }
        Ok(Value::Map(entries))
    }
}

/// What stands under one of our own tags.
fn ours(kind: &str, value: Value) -> Result<Value, String> {
    Ok(match (kind, value) {
        ("keyword", Value::Str(name)) => Value::Keyword(name),
        ("symbol", Value::Str(name)) => Value::Symbol(name),
        ("integer", Value::Str(text)) => Value::BigInt(text),
        ("decimal", Value::Str(text)) => Value::Decimal(text),
        ("float", Value::Str(bits)) => match u64::from_str_radix(&bits, 16) {
            Ok(bits) => Value::Float(f64::from_bits(bits)),
            Err(_) => return Err(format!("expected hexadecimal digits after #{OURS}float")),
        },
        ("tagged", Value::Vector(items)) => match <[Value; 2]>::try_from(items.into_vec()) {
            Ok([Value::Str(tag), value]) => Value::Tagged(Box::new((tag, value))),
            _ => return Err(format!("expected a vector of a string and a value after #{OURS}tagged")),
        },
        ("tagged", _) => return Err(format!("expected a vector after #{OURS}tagged")),
        ("keyword" | "symbol" | "integer" | "decimal" | "float", _) => {
            return Err(format!("expected a string after #{OURS}{kind}"));
        }
        _ => return Err(format!("expected another tag, #{OURS}{kind} means nothing")),
    })
}

/// The number that a token is, if it is one: integers of any size (`12`, `12N`), floats (`1.5`, `1e9`),
/// decimals (`1.5M`) and ratios (`1/3`), with a sign, without superfluous leading zeros.
pub(super) fn number(token: &str) -> Option<Value> {
    let unsigned = token.strip_prefix(['+', '-']).unwrap_or(token);
    let (integer, rest) = digits(unsigned);
    if integer.is_empty() || (integer.len() > 1 && integer.starts_with('0')) {
        return None;
    }
    let signed = || token[..token.len() - rest.len()].trim_start_matches('+');
    match rest {
        "" => Some(signed().parse().map_or_else(|_| Value::BigInt(signed().into()), Value::Int)),
        "N" => Some(Value::BigInt(signed().into())),
        _ => {
            if let Some(denominator) = rest.strip_prefix('/') {
                let (digits, rest) = digits(denominator);
                let whole = rest.is_empty() && !digits.is_empty() && !digits.starts_with('0');
                return whole.then(|| Value::Decimal(token.into()));
            }
            let body = fraction(rest)?;
            match body {
                "" => token.parse().ok().map(Value::Float),
                "M" => Some(Value::Decimal(token.into())),
                _ => None,
            }
        }
    }
}

/// What follows a fraction, an exponent or both; `None` if an exponent has no digits.
fn fraction(text: &str) -> Option<&str> {
    let text = text.strip_prefix('.').map_or(text, |fraction| digits(fraction).1);
    let Some(exponent) = text.strip_prefix(['e', 'E']) else { return Some(text) };
    let (digits, rest) = digits(exponent.strip_prefix(['+', '-']).unwrap_or(exponent));
    (!digits.is_empty()).then_some(rest)
}

/// The digits that a text begins with, and the rest.
fn digits(text: &str) -> (&str, &str) {
    text.split_at(text.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len()))
}
