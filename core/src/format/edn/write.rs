//! Values as EDN text, such that reading gives exactly the same value back.

use super::name::{OURS, is_keyword, is_symbol, is_tag};
use super::read::number;
use crate::value::Value;
use std::fmt::{self, Write};

/// Writes a value as EDN, on one line.
pub fn write_value(value: &Value, out: &mut impl Write) -> fmt::Result {
    match value {
        Value::Nil => out.write_str("nil"),
        Value::Bool(truth) => out.write_str(if *truth { "true" } else { "false" }),
        Value::Int(n) => write!(out, "{n}"),
        Value::Float(x) => write_float(*x, out),
        Value::Char(c) => write_char(*c, out),
        Value::Str(text) => write_str(text, out),
        Value::BigInt(text) if is_number(&format!("{text}N"), value) => write!(out, "{text}N"),
        Value::Decimal(text) if is_number(text, value) => out.write_str(text),
        Value::Keyword(name) if is_keyword(name) => write!(out, ":{name}"),
        Value::Symbol(name) if is_symbol(name) => out.write_str(name),
        Value::BigInt(text) => write_escaped("integer", text, out),
        Value::Decimal(text) => write_escaped("decimal", text, out),
        Value::Keyword(name) => write_escaped("keyword", name, out),
        Value::Symbol(name) => write_escaped("symbol", name, out),
        Value::List(items) => write_items("(", items, ")", out),
        Value::Vector(items) => write_items("[", items, "]", out),
        Value::Set(items) => write_items("#{", items, "}", out),
        Value::Map(entries) => write_map(entries, out),
        Value::Tagged(tagged) => {
            let (tag, value) = tagged.as_ref();
            if is_tag(tag) {
                write!(out, "#{tag} ")?;
                return write_value(value, out);
            }
            write!(out, "#{OURS}tagged [")?;
            write_str(tag, out)?;
            out.write_str(" ")?;
            write_value(value, out)?;
            out.write_str("]")
        }
    }
}

/// Writes text as an EDN string.
pub(super) fn write_str(text: &str, out: &mut impl Write) -> fmt::Result {
    out.write_str("\"")?;
    let mut plain = 0;
    for (i, byte) in text.bytes().enumerate() {
        let escape = match byte {
            b'"' => "\\\"",
            b'\\' => "\\\\",
            b'\n' => "\\n",
            b'\r' => "\\r",
            b'\t' => "\\t",
            0..0x20 | 0x7f => "",
            _ => continue,
        };
        out.write_str(&text[plain..i])?;
        plain = i + 1;
        if escape.is_empty() { write!(out, "\\u{byte:04x}")? } else { out.write_str(escape)? }
    }
    out.write_str(&text[plain..])?;
    out.write_str("\"")
}

fn write_items(open: &str, items: &[Value], close: &str, out: &mut impl Write) -> fmt::Result {
    out.write_str(open)?;
    for (i, item) in items.iter().enumerate() {
        if i > 0 {
            out.write_str(" ")?;
        }
        write_value(item, out)?;
    }
    out.write_str(close)
}

fn write_map(entries: &[(Value, Value)], out: &mut impl Write) -> fmt::Result {
    out.write_str("{")?;
    for (i, (key, value)) in entries.iter().enumerate() {
        if i > 0 {
            out.write_str(", ")?;
        }
        write_value(key, out)?;
        out.write_str(" ")?;
        write_value(value, out)?;
    }
    out.write_str("}")
}

/// The shortest digits that read back as the same number, always with a point or an exponent.
fn write_float(x: f64, out: &mut impl Write) -> fmt::Result {
    if x.is_nan() {
        // Its sign is lost in EDN, which knows only one.
        return if is_plain_nan(x) { out.write_str("##NaN") } else { write_bits(x, out) };
    }
    if x.is_infinite() {
        return out.write_str(if x > 0.0 { "##Inf" } else { "##-Inf" });
    }
    write!(out, "{x:?}")
}

/// Whether this is the one NaN that `##NaN` reads as.
pub(super) fn is_plain_nan(x: f64) -> bool {
    x.to_bits() == f64::NAN.to_bits()
}

fn write_bits(x: f64, out: &mut impl Write) -> fmt::Result {
    write_escaped("float", &format!("{:016x}", x.to_bits()), out)
}

fn write_char(c: char, out: &mut impl Write) -> fmt::Result {
    match c {
        '\n' => out.write_str("\\newline"),
        '\r' => out.write_str("\\return"),
        ' ' => out.write_str("\\space"),
        '\t' => out.write_str("\\tab"),
        '\0'..'\x20' | '\x7f'..='\u{a0}' => write!(out, "\\u{:04x}", u32::from(c)),
        c => write!(out, "\\{c}"),
    }
}

fn is_number(text: &str, value: &Value) -> bool {
    number(text).as_ref() == Some(value)
}

fn write_escaped(kind: &str, text: &str, out: &mut impl Write) -> fmt::Result {
    write!(out, "#{OURS}{kind} ")?;
    write_str(text, out)
}
