//! Dense numbers for values, in the order of their first appearance.

use elenchus_core::value::Value;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// Which value has which number.
pub(super) struct Numbers<'h> {
    of: HashMap<&'h Value, u32, BuildHasherDefault<Scatter>>,
}

impl<'h> Numbers<'h> {
    pub(super) fn with_capacity(capacity: usize) -> Numbers<'h> {
        Numbers { of: HashMap::with_capacity_and_hasher(capacity, BuildHasherDefault::default()) }
    }

    /// The number of a value, a new one if it has none yet.
    pub(super) fn number(&mut self, value: &'h Value) -> u32 {
        let next = self.of.len() as u32;
        *self.of.entry(value).or_insert(next)
    }

    /// The number of a value, if it has one.
    pub(super) fn get(&self, value: &Value) -> Option<u32> {
        self.of.get(value).copied()
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
        let values = [Value::Int(5), Value::str("five"), Value::Nil, Value::Int(-5)];
        let mut numbers = Numbers::with_capacity(0);
        for round in 0..2 {
            let of: Vec<u32> = values.iter().map(|value| numbers.number(value)).collect();
            assert_eq!(of, [0, 1, 2, 3], "round {round}");
        }
        assert_eq!((numbers.get(&Value::Nil), numbers.get(&Value::Int(4))), (Some(2), None));
    }
}
