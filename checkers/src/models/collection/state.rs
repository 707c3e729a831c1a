//! What a queue or a bag holds, cheap to clone.

use crate::models::heap;
use elenchus_core::value::Value;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// Values in a fixed order: states share what they can, and none is changed.
#[derive(Clone)]
pub struct Contents {
    items: Arc<[Value]>,
    /// The values before this place are gone.
    from: u32,
}

impl Contents {
    /// These, in this order.
    pub fn new(items: impl IntoIterator<Item = Value>) -> Contents {
        Contents { items: items.into_iter().collect(), from: 0 }
    }

    /// The values, the first to come first.
    pub fn items(&self) -> &[Value] {
        &self.items[self.from as usize..]
    }

    /// The first value.
    pub fn first(&self) -> Option<&Value> {
        self.items().first()
    }

    /// Whether nothing is inside.
    pub fn is_empty(&self) -> bool {
        self.items().is_empty()
    }

    /// All but the first value.
    pub(in crate::models) fn without_first(&self) -> Contents {
        let from = (self.from as usize + 1).min(self.items.len()) as u32;
        Contents { items: self.items.clone(), from }
    }

    /// With one value more, at the end.
    pub(in crate::models) fn with_last(&self, value: &Value) -> Contents {
        Contents::new(self.items().iter().chain([value]).cloned())
    }

    /// With one value more, at its place in ascending order.
    pub(in crate::models) fn with_sorted(&self, value: &Value) -> Contents {
        let (before, after) = self.items().split_at(self.items().partition_point(|other| other <= value));
        Contents::new(before.iter().chain([value]).chain(after).cloned())
    }

    /// Without the value at this place.
    pub(in crate::models) fn without(&self, place: usize) -> Contents {
        let kept = self.items().iter().enumerate().filter(|(at, _)| *at != place);
        Contents::new(kept.map(|(_, value)| value.clone()))
    }

    /// Bytes that this occupies if nobody shares it.
    pub(in crate::models) fn weight(&self) -> usize {
        let behind = self.items.iter().map(|value| size_of::<Value>() + heap(value)).sum::<usize>();
        size_of::<Contents>() + behind
    }
}

impl PartialEq for Contents {
    fn eq(&self, other: &Contents) -> bool {
        self.items() == other.items()
    }
}

impl Eq for Contents {}

impl Hash for Contents {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.items().hash(hasher);
    }
}

impl fmt::Debug for Contents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.items()).finish()
    }
}
