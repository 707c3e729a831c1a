//! Jepsen's EDN, in and out.
use crate::value::Value;
use std::fmt;

/// Writes a value as EDN.
pub fn write_value(_value: &Value, _out: &mut impl fmt::Write) -> fmt::Result {
    Ok(())
}
