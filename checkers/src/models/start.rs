//! A key that seems to have started as something else than nil.
//!
//! Logs do not say how keys start, and many systems start them empty or at zero. Then the very first read
//! accuses a correct system. The verdict stays, since nobody knows, but its words say what would acquit.

use crate::linearizability::{Case, Telling};
use elenchus_core::model::Model;
use elenchus_core::operation::Operation;
use elenchus_core::value::Value;

/// The same, with a hint if the guilty operation `saw` what keys often start as, before any operation that
/// `changes` the key had ended, and the model starts them as nil.
pub(super) fn hinted<M: Model>(
    telling: Telling,
    case: &Case<'_, M>,
    initial: &Value,
    saw: Option<&Value>,
    changes: impl Fn(&Operation<M::Op, M::Ret>) -> bool,
) -> Telling {
    let Some(saw) = saw.filter(|saw| initial.is_nil() && is_beginning(saw)) else { return telling };
    if case.operations.iter().any(|o| o.precedes(case.guilty) && changes(o)) {
        return telling;
    }
    let sentence = format!("{}; if keys start as {saw} say --initial '{saw}'", telling.sentence);
    Telling { sentence, ..telling }
}

/// Whether this is what keys often start as.
fn is_beginning(value: &Value) -> bool {
    matches!(value, Value::Int(0) | Value::Bool(false)) || *value == Value::str("")
}
