//! TOML and JSON read alike: values that know where they stand.

use elenchus_core::format::ReadError;
use std::ops::Range;

/// Collections inside of more collections than this are refused.
const DEPTH_MAX: usize = 16;

/// A value and where it stands, in bytes.
pub(super) struct Node {
    pub at: usize,
    pub kind: Kind,
}

pub(super) enum Kind {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    Array(Vec<Node>),
    /// Each key with where it stands.
    Table(Vec<(String, usize, Node)>),
}

/// What is wrong, and where, in bytes.
pub(super) struct Trouble {
    pub at: usize,
    pub what: String,
}

pub(super) fn trouble<T>(at: usize, what: impl Into<String>) -> Result<T, Trouble> {
    Err(Trouble { at, what: what.into() })
}

impl Trouble {
    /// The error with its line and column.
    pub(super) fn in_text(self, text: &str) -> ReadError {
        let before = text.get(..self.at).unwrap_or(text);
        let line = before.rsplit('\n').next().unwrap_or("");
        let (line_number, column) = (1 + before.matches('\n').count(), 1 + line.chars().count());
        ReadError { line: line_number, column, what: self.what }
    }
}

/// Reads JSON if the text begins with an object, and TOML otherwise, which never begins so.
pub(super) fn read(text: &str) -> Result<Node, Trouble> {
    if text.trim_start().starts_with('{') { read_json(text) } else { read_toml(text) }
}

fn read_toml(text: &str) -> Result<Node, Trouble> {
    let table = toml::de::DeTable::parse(text).map_err(|error| Trouble {
        at: error.span().map_or(0, |span| span.start),
        what: error.message().to_owned(),
    })?;
    let span = table.span();
    from_table(table.into_inner(), span, 0)
}

fn from_table(table: toml::de::DeTable<'_>, span: Range<usize>, depth: usize) -> Result<Node, Trouble> {
    let mut entries = Vec::new();
    for (key, value) in table {
        let (at, value_at) = (key.span().start, value.span());
        entries.push((
            key.into_inner().into_owned(),
            at,
            from_toml(value.into_inner(), value_at, depth + 1)?,
        ));
    }
    entries.sort_by_key(|(_, at, _)| *at);
    Ok(Node { at: span.start, kind: Kind::Table(entries) })
}

fn from_toml(value: toml::de::DeValue<'_>, span: Range<usize>, depth: usize) -> Result<Node, Trouble> {
    use toml::de::DeValue;
    let at = span.start;
    if depth > DEPTH_MAX {
        return trouble(at, "this is nested too deeply");
    }
    let kind = match value {
        DeValue::Boolean(truth) => Kind::Bool(truth),
        DeValue::String(text) => Kind::Text(text.into_owned()),
        DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => Kind::Int(number),
            Err(_) => return trouble(at, format!("{number} is no integer of 64 bits")),
        },
        DeValue::Float(number) => match number.as_str().parse() {
            Ok(number) => Kind::Float(number),
            Err(_) => return trouble(at, format!("{number} is no number")),
        },
        DeValue::Datetime(_) => return trouble(at, "dates are no values of histories"),
        DeValue::Array(items) => {
            let item = |item: toml::Spanned<DeValue<'_>>| {
                let span = item.span();
                from_toml(item.into_inner(), span, depth + 1)
            };
            Kind::Array(items.into_iter().map(item).collect::<Result<_, _>>()?)
        }
        DeValue::Table(table) => return from_table(table, span, depth),
    };
    Ok(Node { at, kind })
}

fn read_json(text: &str) -> Result<Node, Trouble> {
    let mut reader = Json { text, at: 0 };
    let node = reader.value(0)?;
    match reader.peek() {
        None => Ok(node),
        Some(_) => trouble(reader.at, "nothing may follow the closing brace"),
    }
}

/// Collections are read here, so that every value knows its place; what is inside of them by serde_json.
struct Json<'a> {
    text: &'a str,
    at: usize,
}

impl Json<'_> {
    fn peek(&mut self) -> Option<u8> {
        let rest = &self.text[self.at..];
        self.at += rest.len() - rest.trim_start_matches([' ', '\t', '\r', '\n']).len();
        self.text.as_bytes().get(self.at).copied()
    }

    fn takes(&mut self, byte: u8) -> bool {
        let is_next = self.peek() == Some(byte);
        self.at += usize::from(is_next);
        is_next
    }

    fn value(&mut self, depth: usize) -> Result<Node, Trouble> {
        let next = self.peek();
        let at = self.at;
        if depth > DEPTH_MAX {
            return trouble(at, "this is nested too deeply");
        }
        let kind = match next {
            Some(b'{') => Kind::Table(self.entries(depth)?),
            Some(b'[') => Kind::Array(self.items(depth)?),
            _ => self.scalar()?,
        };
        Ok(Node { at, kind })
    }

    fn entries(&mut self, depth: usize) -> Result<Vec<(String, usize, Node)>, Trouble> {
        let mut entries: Vec<(String, usize, Node)> = Vec::new();
        self.at += 1;
        while !(entries.is_empty() && self.takes(b'}')) {
            self.peek();
            let at = self.at;
            let Kind::Text(key) = self.scalar()? else { return trouble(at, "expected a key in quotes") };
            if entries.iter().any(|(other, ..)| *other == key) {
                return trouble(at, format!("the key `{key}` stands here twice"));
            }
            if !self.takes(b':') {
                return trouble(self.at, "expected `:`");
            }
            entries.push((key, at, self.value(depth + 1)?));
            if self.takes(b'}') {
                break;
            }
            if !self.takes(b',') {
                return trouble(self.at, "expected `,` or `}`");
            }
        }
        Ok(entries)
    }

    fn items(&mut self, depth: usize) -> Result<Vec<Node>, Trouble> {
        let mut items = Vec::new();
        self.at += 1;
        while !(items.is_empty() && self.takes(b']')) {
            items.push(self.value(depth + 1)?);
            if self.takes(b']') {
                break;
            }
            if !self.takes(b',') {
                return trouble(self.at, "expected `,` or `]`");
            }
        }
        Ok(items)
    }

    /// A string, a number or a word.
    fn scalar(&mut self) -> Result<Kind, Trouble> {
        let at = self.at;
        if !matches!(self.peek(), Some(b'"' | b'-' | b'0'..=b'9' | b't' | b'f' | b'n')) {
            return trouble(self.at, "expected a value");
        }
        let mut stream =
            serde_json::Deserializer::from_str(&self.text[at..]).into_iter::<serde_json::Value>();
        let value = match stream.next() {
            Some(Ok(value)) => value,
            Some(Err(error)) => return trouble(at, format!("this is no value of JSON: {error}")),
            None => return trouble(at, "expected a value"),
        };
        self.at += stream.byte_offset();
        match value {
            serde_json::Value::Null => Ok(Kind::Null),
            serde_json::Value::Bool(truth) => Ok(Kind::Bool(truth)),
            serde_json::Value::String(text) => Ok(Kind::Text(text)),
            serde_json::Value::Number(number) => match (number.as_i64(), number.as_f64()) {
                (Some(number), _) => Ok(Kind::Int(number)),
                (None, Some(x)) if number.is_f64() => Ok(Kind::Float(x)),
                _ => trouble(at, format!("{number} is no integer of 64 bits")),
            },
            _ => trouble(at, "expected a value"),
        }
    }
}
