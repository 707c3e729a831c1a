//! Which texts are names in EDN: of keywords, symbols, tags; and names that stand for any key.

use super::read_value;
use crate::value::Value;
use std::borrow::Cow;

/// Whether a byte may be part of a token: neither space nor delimiter, nor what Clojure's reader takes for
/// a macro within tokens.
pub(super) fn is_token(byte: u8) -> bool {
    !matches!(
        byte,
        0..=b' '
            | 0x7f
            | b','
            | b'('
            | b')'
            | b'['
            | b']'
            | b'{'
            | b'}'
            | b'"'
            | b';'
            | b'\\'
            | b'@'
            | b'^'
            | b'`'
            | b'~'
    )
}

/// Whether `:name` reads as the keyword of this name.
pub(super) fn is_keyword(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(is_token)
}

/// Whether `name` reads as the symbol of this name.
pub(super) fn is_symbol(name: &str) -> bool {
    let bytes = name.as_bytes();
    let number = match bytes {
        [b'+' | b'-', rest @ ..] => rest.first().is_some_and(u8::is_ascii_digit),
        _ => bytes.first().is_some_and(u8::is_ascii_digit),
    };
    is_keyword(name)
        && !number
        && !matches!(bytes[0], b':' | b'#' | b'\'')
        && !matches!(name, "nil" | "true" | "false")
}

/// Whether `#name` reads as the tag of this name.
pub(super) fn is_tag(name: &str) -> bool {
    is_symbol(name) && !name.starts_with('_') && !name.starts_with(OURS)
}

/// The tags under which we write what EDN cannot say.
pub(super) const OURS: &str = "elenchus/";

/// Before the EDN of a key that is neither a keyword nor a string that can stand for itself.
const ESCAPE: &str = "#edn ";

/// A map's key as a name: a keyword's or a string's own text where that cannot be mistaken, else its EDN.
/// Keys and names are one to one, so that neither a key from EDN nor a name from JSON is ever lost.
pub(super) fn name_of(key: &Value) -> Cow<'_, str> {
    match key {
        Value::Keyword(name) if is_keyword(name) => Cow::Borrowed(name),
        Value::Str(text) if !is_taken(text) => Cow::Borrowed(text),
        key => Cow::Owned(format!("{ESCAPE}{key}")),
    }
}

/// The key that has this name: the inverse of [`name_of`].
pub(super) fn key_of(name: &str) -> Value {
    if is_keyword(name) {
        return Value::keyword(name);
    }
    match unescape(name) {
        Some(Value::Str(text)) if is_taken(&text) => Value::Str(text),
        Some(key) if !matches!(key, Value::Str(_)) => key,
        _ => Value::str(name),
    }
}

/// Whether a string's text is the name of another key, so that the string needs an escape.
fn is_taken(text: &str) -> bool {
    is_keyword(text)
        || match unescape(text) {
            Some(Value::Str(inner)) => is_taken(&inner),
            other => other.is_some(),
        }
}

/// The key whose escape this name is, in exactly the words that we write; keywords need none.
fn unescape(name: &str) -> Option<Value> {
    let text = name.strip_prefix(ESCAPE)?;
    let key = read_value(text).ok()?;
    let plain = matches!(&key, Value::Keyword(name) if is_keyword(name));
    (!plain && key.to_string() == text).then_some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_keys_are_one_to_one() {
        let keys = [
            Value::keyword("node"),
            Value::keyword("a/b"),
            Value::keyword("a b"),
            Value::str("node"),
            Value::str("two words"),
            Value::str(""),
            Value::str("#edn 1"),
            Value::Int(1),
            Value::Nil,
            Value::vector([Value::Int(1), Value::str("x")]),
        ];
        for (i, key) in keys.iter().enumerate() {
            assert_eq!(&key_of(&name_of(key)), key);
            for other in &keys[i + 1..] {
                assert_ne!(name_of(key), name_of(other));
            }
        }
        for name in [
            "node",
            "",
            "two words",
            "#edn 1",
            "#edn :a",
            "#edn  1",
            "#edn (",
            "#edn \"x y\"",
            "#edn \"x\"",
            "#edn \"#edn :x\"",
        ] {
            assert_eq!(name_of(&key_of(name)), name);
        }
    }

    #[test]
    fn numbers_and_constants_are_no_symbols() {
        for name in ["", "1", "-1", "+1a", "nil", "true", ":a", "#a", "a b", "a,b", "a\"", "'a"] {
            assert!(!is_symbol(name), "{name}");
        }
        for name in ["a", "-", "+", "...", "/", "a/b", "-a", "<=", "ä", "a#", "a:b", "jepsen.history.Op"] {
            assert!(is_symbol(name), "{name}");
        }
    }
}
