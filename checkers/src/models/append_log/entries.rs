//! The entries of a log, cheap to clone and to extend: a list from the last entry to the first, whose states
//! share what they have in common.

use crate::models::heap;
use elenchus_core::value::Value;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

/// Entries in the order of their offsets.
#[derive(Clone, Default)]
pub struct Entries(Option<Arc<Node>>);

struct Node {
    before: Option<Arc<Node>>,
    entry: Value,
    length: usize,
    /// Of all entries up to this one.
    hash: u64,
}

impl Entries {
    /// These, in this order.
    pub fn new<'v>(entries: impl IntoIterator<Item = &'v Value>) -> Entries {
        entries.into_iter().fold(Entries::default(), |before, entry| before.with(entry))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |last| last.length)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// The entry at this offset. The last ones are found the quickest.
    pub fn get(&self, offset: u64) -> Option<&Value> {
        let back = self.len().checked_sub(1)?.checked_sub(usize::try_from(offset).ok()?)?;
        self.backwards().nth(back)
    }

    /// All of them.
    pub fn to_vec(&self) -> Vec<Value> {
        let mut entries: Vec<Value> = self.backwards().cloned().collect();
        entries.reverse();
        entries
    }

    /// With one entry more, at the end.
    pub(super) fn with(&self, entry: &Value) -> Entries {
        let mut hasher = DefaultHasher::new();
        (self.hash(), entry).hash(&mut hasher);
        let (before, length) = (self.0.clone(), self.len() + 1);
        Entries(Some(Arc::new(Node { before, entry: entry.clone(), length, hash: hasher.finish() })))
    }

    /// Whether these are the entries from this offset to the end.
    pub(super) fn end_with(&self, offset: u64, entries: &[Value]) -> bool {
        let from = usize::try_from(offset).unwrap_or(usize::MAX);
        self.len().saturating_sub(from) == entries.len()
            && self.backwards().zip(entries.iter().rev()).all(|(held, entry)| held == entry)
    }

    /// Bytes that the last entry occupies; all others are shared with the state before.
    pub(super) fn weight(&self) -> usize {
        size_of::<Node>() + self.0.as_ref().map_or(0, |last| heap(&last.entry))
    }

    fn backwards(&self) -> impl Iterator<Item = &Value> {
        std::iter::successors(self.0.as_ref(), |node| node.before.as_ref()).map(|node| &node.entry)
    }

    fn hash(&self) -> u64 {
        self.0.as_ref().map_or(0, |last| last.hash)
    }
}

impl PartialEq for Entries {
    fn eq(&self, other: &Entries) -> bool {
        if self.len() != other.len() || self.hash() != other.hash() {
            return false;
        }
        let (mut a, mut b) = (&self.0, &other.0);
        while let (Some(x), Some(y)) = (a, b) {
            if Arc::ptr_eq(x, y) {
                return true;
            }
            if x.entry != y.entry {
                return false;
            }
            (a, b) = (&x.before, &y.before);
        }
        true
    }
}

impl Eq for Entries {}

impl Hash for Entries {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        hasher.write_u64(Entries::hash(self));
    }
}

impl fmt::Debug for Entries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.to_vec()).finish()
    }
}

/// One after the other: a long log would overflow the stack.
impl Drop for Node {
    fn drop(&mut self) {
        let mut next = self.before.take();
        while let Some(mut node) = next.and_then(Arc::into_inner) {
            next = node.before.take();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_entries_are_equal_however_they_came_about() {
        let values: Vec<Value> = (0..4).map(Value::Int).collect();
        let (all, three) = (Entries::new(&values), Entries::new(&values[..3]));
        assert_eq!(three.with(&values[3]), all);
        assert_ne!(three, all);
        assert_ne!(three.with(&values[0]), all);
        assert_eq!(all.to_vec(), values);
        assert_eq!((all.get(0), all.get(3), all.get(4)), (Some(&values[0]), Some(&values[3]), None));
        assert!(all.end_with(2, &values[2..]) && all.end_with(9, &[]));
        assert!(!all.end_with(2, &values[..2]) && !all.end_with(3, &[]));
    }

    #[test]
    fn a_long_log_is_dropped() {
        let value = Value::Int(1);
        let log = (0..1_000_000).fold(Entries::default(), |log, _| log.with(&value));
        let shorter = log.0.as_ref().map(|last| Entries(last.before.clone()));
        drop(log);
        assert_eq!(shorter.map(|log| log.len()), Some(999_999));
    }
}
