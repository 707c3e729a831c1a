//! One total order on values, with the equality and the hash that agree with it.
//!
//! Written by hand because floating-point numbers have none of the three: they are compared by IEEE 754's
//! total order, so that NaN equals itself and a value read back equals the value written. The order
//! between kinds is that of their declaration; it means nothing, but never changes.

use super::Value;
use std::cmp::Ordering;
use std::hash::{Hash, Hasher};

impl Value {
    fn rank(&self) -> u8 {
        match self {
            Value::Nil => 0,
            Value::Bool(_) => 1,
            Value::Int(_) => 2,
            Value::BigInt(_) => 3,
            Value::Float(_) => 4,
            Value::Decimal(_) => 5,
            Value::Char(_) => 6,
            Value::Str(_) => 7,
            Value::Keyword(_) => 8,
            Value::Symbol(_) => 9,
            Value::List(_) => 10,
            Value::Vector(_) => 11,
            Value::Set(_) => 12,
            Value::Map(_) => 13,
            Value::Tagged(_) => 14,
        }
    }
}

impl Ord for Value {
    // Most values are integers, and most comparisons look up one of many keys.
    #[inline]
    fn cmp(&self, other: &Value) -> Ordering {
        match (self, other) {
            (Value::Int(a), Value::Int(b)) => a.cmp(b),
            (a, b) => a.cmp_any(b),
        }
    }
}

impl Value {
    /// The order of any two values.
    fn cmp_any(&self, other: &Value) -> Ordering {
        match (self, other) {
            (Value::Nil, Value::Nil) => Ordering::Equal,
            (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
            (Value::Int(a), Value::Int(b)) => a.cmp(b),
            (Value::Float(a), Value::Float(b)) => a.total_cmp(b),
            (Value::Char(a), Value::Char(b)) => a.cmp(b),
            (Value::BigInt(a), Value::BigInt(b))
            | (Value::Decimal(a), Value::Decimal(b))
            | (Value::Str(a), Value::Str(b))
            | (Value::Keyword(a), Value::Keyword(b))
            | (Value::Symbol(a), Value::Symbol(b)) => a.cmp(b),
            (Value::List(a), Value::List(b))
            | (Value::Vector(a), Value::Vector(b))
            | (Value::Set(a), Value::Set(b)) => a.cmp(b),
            (Value::Map(a), Value::Map(b)) => a.cmp(b),
            (Value::Tagged(a), Value::Tagged(b)) => a.cmp(b),
            (a, b) => a.rank().cmp(&b.rank()),
        }
    }
}

impl PartialOrd for Value {
    fn partial_cmp(&self, other: &Value) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Value {
    #[inline]
    fn eq(&self, other: &Value) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Value {}

impl Hash for Value {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u8(self.rank());
        match self {
            Value::Nil => {}
            Value::Bool(b) => b.hash(state),
            Value::Int(n) => n.hash(state),
            Value::Float(x) => x.to_bits().hash(state),
            Value::Char(c) => c.hash(state),
            Value::BigInt(text)
            | Value::Decimal(text)
            | Value::Str(text)
            | Value::Keyword(text)
            | Value::Symbol(text) => text.hash(state),
            Value::List(items) | Value::Vector(items) | Value::Set(items) => items.hash(state),
            Value::Map(pairs) => pairs.hash(state),
            Value::Tagged(tagged) => tagged.hash(state),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{BTreeSet, HashSet};

    #[test]
    fn every_kind_differs_from_every_other_and_equals_itself() {
        let text = || "7".into();
        let items = || vec![Value::Int(7)].into_boxed_slice();
        let all = vec![
            Value::Nil,
            Value::Bool(true),
            Value::Int(7),
            Value::BigInt(text()),
            Value::Float(7.0),
            Value::Float(f64::NAN),
            Value::Float(0.0),
            Value::Float(-0.0),
            Value::Decimal(text()),
            Value::Char('7'),
            Value::Str(text()),
            Value::Keyword(text()),
            Value::Symbol(text()),
            Value::List(items()),
            Value::Vector(items()),
            Value::Set(items()),
            Value::Map(vec![(Value::Int(7), Value::Nil)].into()),
            Value::Tagged(Box::new((text(), Value::Nil))),
        ];
        assert_eq!(all.iter().collect::<HashSet<_>>().len(), all.len());
        assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len());
        for value in &all {
            assert_eq!(value, &value.clone());
        }
    }

    #[test]
    fn integers_are_ordered_by_size() {
        assert!(Value::Int(-1) < Value::Int(2) && Value::Nil < Value::Int(i64::MIN));
    }
}
