//! A heap of numbers that shares what it has in common with other heaps.
//!
//! A treap whose priorities are hashes of the numbers (Aragon & Seidel 1989): its shape depends on what it
//! holds and on nothing else, so equal heaps are equal trees, and adding or removing one copies a path
//! of expected logarithmic length. Each node keeps the hash of its tree, so that different heaps are told
//! apart at once, almost always.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// Numbers, each as often as it was added.
#[derive(Clone, Debug, Default)]
pub struct Heap {
    root: Tree,
    hash: u64,
}

type Tree = Option<Arc<Node>>;

#[derive(Debug)]
struct Node {
    value: i64,
    count: u32,
    left: Tree,
    right: Tree,
    /// How many nodes there are below and including this one.
    size: u32,
}

impl Heap {
    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.root.is_none()
    }

    /// The least number in it.
    pub fn least(&self) -> Option<i64> {
        end_of(&self.root, |node| &node.left)
    }

    /// The greatest number in it.
    pub fn greatest(&self) -> Option<i64> {
        end_of(&self.root, |node| &node.right)
    }

    /// The same with this number once more.
    pub fn with(&self, value: i64) -> Heap {
        let (less, count, more) = split(&self.root, value);
        let root = join(less, value, count + 1, more);
        Heap { root, hash: self.hash.wrapping_add(scatter(value)) }
    }

    /// The same with this number once less, if it is in it.
    pub fn without(&self, value: i64) -> Heap {
        let (less, count, more) = split(&self.root, value);
        match count {
            0 => self.clone(),
            1 => Heap { root: merge(less, more), hash: self.hash.wrapping_sub(scatter(value)) },
            _ => Heap {
                root: join(less, value, count - 1, more),
                hash: self.hash.wrapping_sub(scatter(value)),
            },
        }
    }

    /// How many different numbers it holds.
    pub fn size(&self) -> usize {
        size(&self.root) as usize
    }
}

impl PartialEq for Heap {
    fn eq(&self, other: &Heap) -> bool {
        self.hash == other.hash && same(&self.root, &other.root)
    }
}

impl Eq for Heap {}

impl Hash for Heap {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

impl FromIterator<i64> for Heap {
    fn from_iter<I: IntoIterator<Item = i64>>(values: I) -> Heap {
        values.into_iter().fold(Heap::default(), |heap, value| heap.with(value))
    }
}

/// SplitMix64's finaliser.
fn scatter(value: i64) -> u64 {
    let mut x = (value as u64).wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

fn end_of(tree: &Tree, further: impl Fn(&Node) -> &Tree) -> Option<i64> {
    let mut node = tree.as_deref()?;
    while let Some(next) = further(node) {
        node = next;
    }
    Some(node.value)
}

fn size(tree: &Tree) -> u32 {
    tree.as_deref().map_or(0, |node| node.size)
}

fn node(value: i64, count: u32, left: Tree, right: Tree) -> Tree {
    let size = 1 + size(&left) + size(&right);
    Some(Arc::new(Node { value, count, left, right, size }))
}

/// What is less than a number, how often that is there, and what is greater.
fn split(tree: &Tree, value: i64) -> (Tree, u32, Tree) {
    let Some(at) = tree else { return (None, 0, None) };
    match at.value.cmp(&value) {
        std::cmp::Ordering::Equal => (at.left.clone(), at.count, at.right.clone()),
        std::cmp::Ordering::Less => {
            let (less, count, more) = split(&at.right, value);
            (node(at.value, at.count, at.left.clone(), less), count, more)
        }
        std::cmp::Ordering::Greater => {
            let (less, count, more) = split(&at.left, value);
            (less, count, node(at.value, at.count, more, at.right.clone()))
        }
    }
}

/// One tree of two, of which the first holds the lesser numbers.
fn merge(less: Tree, more: Tree) -> Tree {
    match (less, more) {
        (None, tree) | (tree, None) => tree,
        (Some(a), Some(b)) if scatter(a.value) > scatter(b.value) => {
            let right = merge(a.right.clone(), Some(b));
            node(a.value, a.count, a.left.clone(), right)
        }
        (Some(a), Some(b)) => {
            let left = merge(Some(a), b.left.clone());
            node(b.value, b.count, left, b.right.clone())
        }
    }
}

fn join(less: Tree, value: i64, count: u32, more: Tree) -> Tree {
    merge(merge(less, node(value, count, None, None)), more)
}

fn same(a: &Tree, b: &Tree) -> bool {
    match (a, b) {
        (None, None) => true,
        (Some(a), Some(b)) => {
            Arc::ptr_eq(a, b)
                || (a.value == b.value
                    && a.count == b.count
                    && same(&a.left, &b.left)
                    && same(&a.right, &b.right))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use elenchus_core::random::Seed;
    use std::collections::BTreeMap;
    use std::hash::BuildHasher;

    #[test]
    fn a_heap_holds_what_a_plain_one_would() {
        let mut rng = Seed(3).rng();
        let (mut heap, mut plain) = (Heap::default(), BTreeMap::<i64, u32>::new());
        for _ in 0..20_000 {
            let value = rng.below(40) as i64 - 20;
            if rng.chance(1, 2) {
                heap = heap.with(value);
                *plain.entry(value).or_default() += 1;
            } else {
                heap = heap.without(value);
                plain.entry(value).and_modify(|count| *count -= 1);
                plain.retain(|_, count| *count > 0);
            }
            assert_eq!(heap.is_empty(), plain.is_empty());
            assert_eq!(heap.size(), plain.len());
            assert_eq!(heap.least(), plain.keys().next().copied());
            assert_eq!(heap.greatest(), plain.keys().next_back().copied());
        }
    }

    #[test]
    fn heaps_are_equal_and_hash_so_if_they_hold_the_same() {
        let hasher = std::collections::hash_map::RandomState::new();
        let mut rng = Seed(4).rng();
        for _ in 0..2_000 {
            let mut values: Vec<i64> = (0..rng.below(8)).map(|_| rng.below(4) as i64).collect();
            let one: Heap = values.iter().copied().chain([9]).collect::<Heap>().without(9);
            values.reverse();
            let other: Heap = values.iter().copied().collect();
            assert_eq!(one, other);
            assert_eq!(hasher.hash_one(&one), hasher.hash_one(&other));
            assert_ne!(one.with(1), other);
            assert_ne!(one.with(1), one.with(2));
        }
    }
}
