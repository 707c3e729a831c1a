//! A stack that shares what it has in common with other stacks.
//!
//! A list from the top down. Each element keeps the hash of all from it on, so that different stacks are told
//! apart at once, almost always.

use elenchus_core::value::Value;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher, Hash, Hasher};
use std::sync::Arc;

/// Values on top of each other.
#[derive(Clone, Debug, Default)]
pub struct Pile {
    top: Option<Arc<Element>>,
}

#[derive(Debug)]
struct Element {
    value: Value,
    below: Pile,
    height: usize,
    hash: u64,
}

impl Pile {
    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.top.is_none()
    }

    /// The value on top.
    pub fn top(&self) -> Option<&Value> {
        self.top.as_deref().map(|element| &element.value)
    }

    /// The same with one more value on top.
    pub fn with(&self, value: Value) -> Pile {
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one((&value, self.hash()));
        let element = Element { value, below: self.clone(), height: self.height() + 1, hash };
        Pile { top: Some(Arc::new(element)) }
    }

    /// The same without the value on top, if there is one.
    pub fn below(&self) -> Pile {
        self.top.as_deref().map_or_else(Pile::default, |element| element.below.clone())
    }

    /// How many values it holds.
    pub fn height(&self) -> usize {
        self.top.as_deref().map_or(0, |element| element.height)
    }

    fn hash(&self) -> u64 {
        self.top.as_deref().map_or(0, |element| element.hash)
    }
}

impl PartialEq for Pile {
    fn eq(&self, other: &Pile) -> bool {
        if self.hash() != other.hash() || self.height() != other.height() {
            return false;
        }
        let (mut one, mut other) = (&self.top, &other.top);
        while let (Some(a), Some(b)) = (one, other) {
            if Arc::ptr_eq(a, b) {
                return true;
            }
            if a.value != b.value {
                return false;
            }
            (one, other) = (&a.below.top, &b.below.top);
        }
        true
    }
}

impl Eq for Pile {}

impl Hash for Pile {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(Pile::hash(self));
    }
}

impl Drop for Pile {
    /// Element by element: a high pile would overflow the thread's stack otherwise.
    fn drop(&mut self) {
        let mut top = self.top.take();
        while let Some(mut element) = top.and_then(|element| Arc::try_unwrap(element).ok()) {
            top = element.below.top.take();
        }
    }
}

impl FromIterator<Value> for Pile {
    fn from_iter<I: IntoIterator<Item = Value>>(values: I) -> Pile {
        values.into_iter().fold(Pile::default(), |pile, value| pile.with(value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pile(values: &[i64]) -> Pile {
        values.iter().copied().map(Value::Int).collect()
    }

    #[test]
    fn what_was_put_on_last_comes_off_first() {
        let pile = pile(&[1, 2]);
        assert_eq!(pile.top(), Some(&Value::Int(2)));
        assert_eq!(pile.below().top(), Some(&Value::Int(1)));
        assert!(pile.below().below().is_empty() && pile.below().below().below().is_empty());
        assert_eq!(pile.height(), 2);
    }

    #[test]
    fn piles_are_equal_if_they_hold_the_same_in_the_same_order() {
        assert_eq!(pile(&[1, 2]), pile(&[1, 2, 3]).below());
        assert_ne!(pile(&[1, 2]), pile(&[2, 1]));
        assert_ne!(pile(&[1]), pile(&[]));
    }

    #[test]
    fn a_high_pile_is_dropped_without_harm() {
        let high = (0..300_000).map(Value::Int).collect::<Pile>();
        assert_eq!(high.height(), 300_000);
    }
}
