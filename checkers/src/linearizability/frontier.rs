//! Configurations, and sets of them that keep only the best.
//!
//! Between two steps of the search a configuration says all that matters of one partial linearization:
//! which open operations it contains, the state it leads to, how many operations in doubt it used. Of two
//! in the same state that contain the same open operations which could still change something, the one is
//! at least as good that contains more of those that cannot (reads, refusals) and used fewer in doubt:
//! whatever completes the other completes it. Such a set without the worse ones is an antichain.

use super::counts::{Counts, CountsId};
use super::index::{Index, Place, hash_of};
use super::window::Window;

/// One partial linearization, as far as it matters.
#[derive(Clone, Copy, Debug)]
pub(super) struct Configuration<const N: usize> {
    /// The open operations that it contains.
    pub window: Window<N>,
    /// The number of the state that it leads to.
    pub state: u32,
    /// What it used of operations in doubt.
    pub counts: CountsId,
    /// Its last step in the trace, where one is kept.
    pub trace: u32,
}

struct Entry<const N: usize> {
    configuration: Configuration<N>,
    /// The next entry of the same key, `NONE` at the end.
    next: u32,
    alive: bool,
}

const NONE: u32 = u32::MAX;

/// A set of configurations without those that are no better than another one.
pub(super) struct Antichain<const N: usize> {
    /// Whether counts are left out of the comparison.
    blind_to_counts: bool,
    entries: Vec<Entry<N>>,
    /// The first entry of each key.
    heads: Index,
}

impl<const N: usize> Antichain<N> {
    /// An empty one. Blind to counts, it keeps of configurations that differ in nothing else the first.
    pub(super) fn new(blind_to_counts: bool) -> Antichain<N> {
        Antichain { blind_to_counts, entries: Vec::new(), heads: Index::new() }
    }

    pub(super) fn clear(&mut self) {
        self.entries.clear();
        self.heads.clear();
    }

    pub(super) fn bytes(&self) -> usize {
        self.entries.capacity() * size_of::<Entry<N>>() + self.heads.bytes()
    }

    /// Takes a configuration in, unless one is there that is at least as good. `inert` are the open
    /// operations that can change nothing.
    pub(super) fn offer(&mut self, new: Configuration<N>, inert: &Window<N>, counts: &Counts) -> bool {
        let key = (new.window.without(inert), new.state);
        let hash = hash_of(&key);
        let same = |id: u32| {
            let other = &self.entries[id as usize].configuration;
            (other.window.without(inert), other.state) == key
        };
        let id = self.entries.len() as u32;
        let mut next = NONE;
        match self.heads.find(hash, same) {
            Place::Vacant(at) => self.heads.fill(at, hash, id),
            Place::Known(head) => {
                if self.is_covered(head, &new, counts) {
                    return false;
                }
                self.bury_covered(head, &new, counts);
                next = std::mem::replace(&mut self.entries[head as usize].next, id);
            }
        }
        self.entries.push(Entry { configuration: new, next, alive: true });
        true
    }

    /// All that were taken in and not found worse than a later one, in the order in which they came.
    pub(super) fn alive(&self) -> impl Iterator<Item = Configuration<N>> {
        self.entries.iter().filter(|entry| entry.alive).map(|entry| entry.configuration)
    }

    fn is_covered(&self, head: u32, new: &Configuration<N>, counts: &Counts) -> bool {
        let mut at = head;
        while at != NONE {
            let entry = &self.entries[at as usize];
            if entry.alive && self.covers(&entry.configuration, new, counts) {
                return true;
            }
            at = entry.next;
        }
        false
    }

    fn bury_covered(&mut self, head: u32, new: &Configuration<N>, counts: &Counts) {
        let mut at = head;
        while at != NONE {
            let entry = &self.entries[at as usize];
            let (next, buried) = (entry.next, entry.alive && self.covers(new, &entry.configuration, counts));
            if buried {
                self.entries[at as usize].alive = false;
            }
            at = next;
        }
    }

    /// Whether `a` is at least as good as `b`, both of one key.
    fn covers(&self, a: &Configuration<N>, b: &Configuration<N>, counts: &Counts) -> bool {
        b.window.is_subset(&a.window) && (self.blind_to_counts || counts.at_most(a.counts, b.counts))
    }
}
