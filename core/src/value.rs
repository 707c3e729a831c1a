//! What operations carry on disk: all of EDN, so that a Jepsen history survives the journey.

mod order;

use std::fmt;

/// Any EDN value, 24 bytes wide; a number costs no allocation.
///
/// Equality, order and hash are those of what is written: `1` and `1.0` differ, so do `0.0` and `-0.0`, and
/// NaN equals itself. Values can therefore be keys and states.
#[derive(Clone, Debug)]
pub enum Value {
    /// `nil`
    Nil,
    /// `true`, `false`
    Bool(bool),
    /// An integer that fits 64 bits.
    Int(i64),
    /// An integer that does not, as its decimal text.
    BigInt(Box<str>),
    /// A number with a fraction or an exponent.
    Float(f64),
    /// A decimal of arbitrary precision (`1.50M`) or a ratio (`1/3`), as its text.
    Decimal(Box<str>),
    /// `\a`
    Char(char),
    /// `"text"`
    Str(Box<str>),
    /// `:name` or `:space/name`, without the colon.
    Keyword(Box<str>),
    /// `name`
    Symbol(Box<str>),
    /// `(1 2)`
    List(Box<[Value]>),
    /// `[1 2]`
    Vector(Box<[Value]>),
    /// `#{1 2}`, in the order written.
    Set(Box<[Value]>),
    /// `{:a 1}`, in the order written.
    Map(Box<[(Value, Value)]>),
    /// `#tag value`
    Tagged(Box<(Box<str>, Value)>),
}

impl Value {
    /// A string.
    pub fn str(text: &str) -> Value {
        Value::Str(text.into())
    }

    /// A keyword, given without its colon.
    pub fn keyword(name: &str) -> Value {
        Value::Keyword(name.into())
    }

    /// A vector of values.
    pub fn vector(items: impl IntoIterator<Item = Value>) -> Value {
        Value::Vector(items.into_iter().collect())
    }

    /// The integer, if this is one that fits 64 bits.
    pub fn as_int(&self) -> Option<i64> {
        if let Value::Int(n) = self { Some(*n) } else { None }
    }

    /// The text, if this is a string, a keyword or a symbol.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Value::Str(text) | Value::Keyword(text) | Value::Symbol(text) => Some(text),
            _ => None,
        }
    }

    /// The items, if this is a vector or a list.
    pub fn as_items(&self) -> Option<&[Value]> {
        match self {
            Value::Vector(items) | Value::List(items) => Some(items),
            _ => None,
        }
    }

    /// Whether this is `nil`.
    pub fn is_nil(&self) -> bool {
        matches!(self, Value::Nil)
    }
}

impl From<i64> for Value {
    fn from(n: i64) -> Value {
        Value::Int(n)
    }
}

impl From<Option<i64>> for Value {
    fn from(n: Option<i64>) -> Value {
        n.map_or(Value::Nil, Value::Int)
    }
}

/// The value as EDN text.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        crate::format::edn::write_value(self, f)
    }
}
