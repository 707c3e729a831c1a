//! Dense numbers for values, in the order of their first appearance, so that what is known of each can stand
//! in a vector.
//!
//! Histories mostly count their values up from zero: those are looked up by themselves. All others go
//! through a hash.

use elenchus_core::value::Value;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// Which value has which number.
pub(super) struct Numbers<'h> {
    /// Of the integer at each place, its number, or [`NONE`].
    dense: Vec<u32>,
    /// How far `dense` may grow: as far as the values would fill a good part of it.
    dense_max: usize,
    sparse: HashMap<&'h Value, u32, BuildHasherDefault<Scatter>>,
    count: u32,
}

/// The number of no value.
const NONE: u32 = u32::MAX;

impl<'h> Numbers<'h> {
    /// None yet, for about so many values.
    pub(super) fn with_capacity(capacity: usize) -> Numbers<'h> {
        let dense_max = capacity.saturating_mul(4).saturating_add(64);
        Numbers { dense: Vec::new(), dense_max, sparse: HashMap::default(), count: 0 }
    }

    /// The number of a value, a new one if it has none yet.
    pub(super) fn number(&mut self, value: &'h Value) -> u32 {
        let known = match self.place(value) {
            Some(at) => {
                if at >= self.dense.len() {
                    let length = (at + 1).max(self.dense.len() * 2).min(self.dense_max);
                    self.dense.resize(length, NONE);
                }
                &mut self.dense[at]
            }
            None => self.sparse.entry(value).or_insert(NONE),
        };
        if *known == NONE {
            *known = self.count;
            self.count += 1;
        }
        *known
    }

    /// The number of a value, if it has one.
    pub(super) fn get(&self, value: &Value) -> Option<u32> {
        let known = match self.place(value) {
            Some(at) => self.dense.get(at),
            None => self.sparse.get(value),
        };
        known.copied().filter(|number| *number != NONE)
    }

    /// Where a small integer stands.
    fn place(&self, value: &Value) -> Option<usize> {
        let at = usize::try_from(value.as_int()?).ok()?;
        (at < self.dense_max).then_some(at)
    }
}

/// A multiplicative hash: the same in every run, weak against an enemy, quick for small values.
#[derive(Default)]
pub(super) struct Scatter(u64);

impl Hasher for Scatter {
    fn finish(&self) -> u64 {
        (self.0 ^ (self.0 >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u8(&mut self, n: u8) {
        self.write_u64(u64::from(n));
    }

    fn write_i64(&mut self, n: i64) {
        self.write_u64(n as u64);
    }

    fn write_u64(&mut self, n: u64) {
        self.0 = (self.0.rotate_left(5) ^ n).wrapping_mul(0x517c_c1b7_2722_0a95);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_numbered_as_they_appear_and_once() {
        let integers = [5, 0, 70, 1 << 20, i64::MAX, -5, i64::MIN].map(Value::Int);
        let others = [Value::Nil, Value::str("5"), Value::Float(5.0), Value::vector([Value::Int(5)])];
        let values: Vec<Value> = integers.into_iter().chain(others).collect();
        for capacity in [0, 4, 1_000] {
            let mut numbers = Numbers::with_capacity(capacity);
            for round in 0..2 {
                for (i, value) in values.iter().enumerate() {
                    assert_eq!(numbers.number(value), i as u32, "round {round}");
                }
            }
            assert_eq!((numbers.get(&Value::Nil), numbers.get(&Value::Int(70))), (Some(7), Some(2)));
            assert_eq!((numbers.get(&Value::Int(4)), numbers.get(&Value::Int(-4))), (None, None));
        }
    }
}
