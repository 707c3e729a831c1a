//! Types that have a JSON form, as values and back.
//!
//! What the harness itself writes into a history (a fault, a proof) is derived with serde; this carries it
//! through [`Value`], whatever the format of the file. Only values with a plain JSON form can be read back.

use crate::value::Value;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A value as it is written to JSON, with text as strings and objects as maps with string keys.
///
/// # Panics
/// Never for the types of this crate: they all have a JSON form.
pub fn to_value<T: Serialize>(value: &T) -> Value {
    from_json(serde_json::to_value(value).expect("faults and proofs have a JSON form"))
}

/// Reads back what [`to_value`] made; keywords and symbols count as text, so that EDN may lie between.
pub fn from_value<T: DeserializeOwned>(value: &Value) -> Result<T, String> {
    serde_json::from_value(to_json(value)?).map_err(|error| error.to_string())
}

/// A JSON value as a [`Value`].
pub fn from_json(json: serde_json::Value) -> Value {
    match json {
        serde_json::Value::Null => Value::Nil,
        serde_json::Value::Bool(truth) => Value::Bool(truth),
        serde_json::Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(n), _) => Value::Int(n),
            (None, Some(x)) if number.is_f64() => Value::Float(x),
            _ => Value::BigInt(number.to_string().into()),
        },
        serde_json::Value::String(text) => Value::Str(text.into()),
        serde_json::Value::Array(items) => Value::vector(items.into_iter().map(from_json)),
        serde_json::Value::Object(fields) => {
            let entry = |(key, value): (String, _)| (Value::Str(key.into()), from_json(value));
            Value::Map(fields.into_iter().map(entry).collect())
        }
    }
}

/// A [`Value`] as JSON, where it has a plain form: numbers that JSON can hold, maps with text as keys.
pub fn to_json(value: &Value) -> Result<serde_json::Value, String> {
    Ok(match value {
        Value::Nil => serde_json::Value::Null,
        Value::Bool(truth) => (*truth).into(),
        Value::Int(n) => (*n).into(),
        Value::BigInt(text) => text.parse::<u64>().map_err(|_| format!("{text} is too large"))?.into(),
        Value::Float(x) => {
            serde_json::Number::from_f64(*x).ok_or_else(|| format!("{x} is no number"))?.into()
        }
        Value::Char(c) => c.to_string().into(),
        Value::Str(text) | Value::Keyword(text) | Value::Symbol(text) => text.as_ref().into(),
        Value::List(items) | Value::Vector(items) | Value::Set(items) => {
            serde_json::Value::Array(items.iter().map(to_json).collect::<Result<_, _>>()?)
        }
        Value::Map(fields) => {
            let mut object = serde_json::Map::new();
            for (key, value) in fields {
                let key = key.as_text().ok_or_else(|| format!("key {key} is no text"))?;
                object.insert(key.to_owned(), to_json(value)?);
            }
            serde_json::Value::Object(object)
        }
        Value::Decimal(_) | Value::Tagged(_) => return Err(format!("{value} has no plain JSON form")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_comes_back_as_it_went() {
        let json = serde_json::json!({"a": [1, -2, 1.5, null, true, "x"], "b": {"c": u64::MAX}});
        assert_eq!(to_json(&from_json(json.clone())), Ok(json));
        assert!(to_json(&Value::Map([(Value::Int(1), Value::Nil)].into())).is_err());
        assert!(to_json(&Value::Float(f64::NAN)).is_err());
    }
}
