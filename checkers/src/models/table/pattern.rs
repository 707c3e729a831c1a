//! What a cell of a table says of a value.

use super::node::{Kind, Node, Trouble, trouble};
use elenchus_core::format::edn::read_value;
use elenchus_core::value::Value;

/// Which values fit.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Pattern {
    /// All.
    Any,
    /// A string, a keyword or a symbol of this text.
    Text(Box<str>),
    /// Exactly this.
    Exactly(Value),
    /// A vector or a list of what fits these, one by one.
    Items(Vec<Pattern>),
}

impl Pattern {
    pub(super) fn fits(&self, value: &Value) -> bool {
        match self {
            Pattern::Any => true,
            Pattern::Text(text) => value.as_text() == Some(text),
            Pattern::Exactly(expected) => value == expected,
            Pattern::Items(patterns) => value.as_items().is_some_and(|items| {
                items.len() == patterns.len() && patterns.iter().zip(items).all(|(p, item)| p.fits(item))
            }),
        }
    }

    /// `"*"` is anything, other text is text of any kind, `{ edn = "…" }` is what that says.
    pub(super) fn read(node: &Node) -> Result<Pattern, Trouble> {
        Ok(match &node.kind {
            Kind::Text(text) if text == "*" => Pattern::Any,
            Kind::Text(text) => Pattern::Text(text.as_str().into()),
            Kind::Null => Pattern::Exactly(Value::Nil),
            Kind::Bool(truth) => Pattern::Exactly(Value::Bool(*truth)),
            Kind::Int(number) => Pattern::Exactly(Value::Int(*number)),
            Kind::Float(number) => Pattern::Exactly(Value::Float(*number)),
            Kind::Array(items) => Pattern::Items(items.iter().map(Pattern::read).collect::<Result<_, _>>()?),
            Kind::Table(entries) => match &entries[..] {
                [(key, at, Node { kind: Kind::Text(text), .. })] if key == "edn" => match read_value(text) {
                    Ok(value) => Pattern::Exactly(value),
                    Err(error) => return trouble(*at, format!("`edn` is no value of EDN: {}", error.what)),
                },
                _ => return trouble(node.at, "expected a value, or `{ edn = \"…\" }` with one"),
            },
        })
    }
}
