//! Configurations, and sets of them that keep only the best.
//!
//! Between two steps of the search a configuration says all that matters of one partial linearization:
//! which open operations it contains, which blind writes it may contain unseen, the state it leads to, how
//! many operations in doubt it used. Of two in the same state the one is at least as good that
//! - contains the same open operations that could still change something otherwise,
//! - contains more of those that cannot (reads, refusals),
//! - may contain every blind write unseen that the other contains or may contain: such a write can still be
//!   put in, or be left where nobody sees it, as the other needs it,
//! - used fewer in doubt:
//!
//! whatever completes the other completes it. A set without the worse ones is an antichain. Looking up is by
//! what must be equal; blind writes are compared in [`thin`] only, once a return is dealt with.

use super::counts::{Counts, CountsId};
use super::index::{Index, Place, Scatter};
use super::meter::grown;
use super::window::Window;
use std::hash::Hasher;

/// One partial linearization, as far as it matters.
#[derive(Clone, Debug)]
pub(super) struct Configuration<W> {
    /// The open operations that it contains.
    pub window: W,
    /// The open blind writes that it may contain: just before another write, where nobody sees them.
    pub free: W,
    /// The number of the state that it leads to.
    pub state: u32,
    /// What it used of operations in doubt.
    pub counts: CountsId,
    /// Its last step in the trace, where one is kept.
    pub trace: u32,
    /// Whether its last step is a blind write that nobody saw: another one next would only hide it, and
    /// that is one of the ways of the other.
    pub idle: bool,
}

/// What comparing needs to know beside two configurations.
pub(super) struct Comparison<'a, W> {
    /// The open operations that can change nothing.
    pub inert: &'a W,
    pub counts: &'a Counts,
    /// Whether counts are left out of the comparison.
    pub blind_to_counts: bool,
    /// Whether the state follows from the rest, and need not be looked at.
    pub state_free: bool,
}

impl<W: Window> Comparison<'_, W> {
    /// Whether two may be compared at all: they agree in everything but what is inert, idle or counted.
    fn alike(&self, a: &Configuration<W>, b: &Configuration<W>) -> bool {
        let inert = self.inert.words().iter();
        let windows = a.window.words().iter().zip(b.window.words()).zip(inert);
        (self.state_free || a.state == b.state)
            && a.free == b.free
            && windows.into_iter().all(|((a, b), inert)| (a ^ b) & !inert == 0)
    }

    fn hash(&self, configuration: &Configuration<W>, level: u32) -> u64 {
        let mut hasher = Scatter::default();
        let state = if self.state_free { 0 } else { configuration.state };
        hasher.write_u64(u64::from(state) << 32 | u64::from(level));
        let words = configuration.window.words().iter().zip(configuration.free.words());
        for ((window, free), inert) in words.zip(self.inert.words()) {
            hasher.write_u64(window & !inert);
            hasher.write_u64(*free);
        }
        hasher.finish()
    }

    /// Whether `a` is at least as good as `b`, which is alike.
    fn covers(&self, a: &Configuration<W>, b: &Configuration<W>) -> bool {
        b.window.is_subset(&a.window)
            && a.idle <= b.idle
            && (self.blind_to_counts || self.counts.at_most(a.counts, b.counts))
    }

    /// Whether `a` is at least as good as `b`, which is in the same state.
    fn dominates(&self, a: &Configuration<W>, b: &Configuration<W>, blind: &W) -> bool {
        let words = a.window.words().iter().zip(a.free.words());
        let others = b.window.words().iter().zip(b.free.words());
        let kinds = self.inert.words().iter().zip(blind.words());
        words.zip(others).zip(kinds).all(|(((window, free), (other, other_free)), (inert, blind))| {
            let missing = other & !window & inert;
            let differs = (window ^ other) & !inert & !blind;
            let unfree = ((window ^ other) | other_free) & blind & !free;
            missing | differs | unfree == 0
        }) && (self.blind_to_counts || self.counts.at_most(a.counts, b.counts))
    }
}

struct Entry<W> {
    configuration: Configuration<W>,
    /// The return before which it stands, where several are dealt with at once.
    level: u32,
    /// The next entry that is alike, `NONE` at the end.
    next: u32,
    alive: bool,
}

const NONE: u32 = u32::MAX;

/// A set of configurations without those that are no better than an alike one.
pub(super) struct Antichain<W> {
    entries: Vec<Entry<W>>,
    /// The first entry of those that are alike.
    heads: Index,
}

impl<W: Window> Antichain<W> {
    pub(super) fn new() -> Antichain<W> {
        Antichain { entries: Vec::new(), heads: Index::new() }
    }

    pub(super) fn clear(&mut self) {
        self.entries.clear();
        self.heads.clear();
    }

    /// Bytes held, `heap` of them for each window.
    pub(super) fn bytes(&self, heap: usize) -> usize {
        grown(&self.entries) + self.entries.len() * 2 * heap + self.heads.bytes()
    }

    /// Takes a configuration in, unless one is there that is at least as good.
    pub(super) fn offer(&mut self, new: &Configuration<W>, level: u32, by: &Comparison<'_, W>) -> bool {
        let hash = by.hash(new, level);
        let same = |id: u32| {
            let entry = &self.entries[id as usize];
            entry.level == level && by.alike(&entry.configuration, new)
        };
        let id = self.entries.len() as u32;
        let mut next = NONE;
        match self.heads.find(hash, same) {
            Place::Vacant(at) => self.heads.fill(at, hash, id),
            Place::Known(head) => {
                if self.is_covered(head, new, by) {
                    return false;
                }
                self.bury_covered(head, new, by);
                next = std::mem::replace(&mut self.entries[head as usize].next, id);
            }
        }
        self.entries.push(Entry { configuration: new.clone(), level, next, alive: true });
        true
    }

    /// Whether one is there that is at least as good.
    pub(super) fn has_better(&mut self, new: &Configuration<W>, level: u32, by: &Comparison<'_, W>) -> bool {
        let same = |id: u32| {
            let entry = &self.entries[id as usize];
            entry.level == level && by.alike(&entry.configuration, new)
        };
        match self.heads.find(by.hash(new, level), same) {
            Place::Vacant(_) => false,
            Place::Known(head) => self.is_covered(head, new, by),
        }
    }

    /// All that were taken in and not found worse than a later one, in the order in which they came.
    pub(super) fn alive(&self) -> impl Iterator<Item = &Configuration<W>> {
        self.entries.iter().filter(|entry| entry.alive).map(|entry| &entry.configuration)
    }

    fn is_covered(&self, head: u32, new: &Configuration<W>, by: &Comparison<'_, W>) -> bool {
        let mut at = head;
        while at != NONE {
            let entry = &self.entries[at as usize];
            if entry.alive && by.covers(&entry.configuration, new) {
                return true;
            }
            at = entry.next;
        }
        false
    }

    fn bury_covered(&mut self, head: u32, new: &Configuration<W>, by: &Comparison<'_, W>) {
        let mut at = head;
        while at != NONE {
            let entry = &mut self.entries[at as usize];
            if entry.alive && by.covers(new, &entry.configuration) {
                entry.alive = false;
            }
            at = entry.next;
        }
    }
}

/// So many better ones are looked at before a configuration is kept.
const LOOKED_AT: usize = 256;

/// Leaves out configurations that are no better than another one, comparing the open `blind` writes too.
pub(super) fn thin<W: Window>(
    frontier: &mut Vec<Configuration<W>>,
    blind: &W,
    order: &mut Vec<(u64, u32, u32)>,
    by: &Comparison<'_, W>,
) {
    order.clear();
    for (i, configuration) in frontier.iter().enumerate() {
        let mut hasher = Scatter::default();
        hasher.write_u32(configuration.state);
        let mut good = 0;
        let words = configuration.window.words().iter().zip(configuration.free.words());
        for ((window, free), (inert, blind)) in words.zip(by.inert.words().iter().zip(blind.words())) {
            hasher.write_u64(window & !inert & !blind);
            good += (window & inert).count_ones() + 2 * free.count_ones();
        }
        order.push((hasher.finish(), u32::MAX - good, i as u32));
    }
    order.sort_unstable();
    let (mut group, mut kept) = (0, 0);
    for i in 0..order.len() {
        let (key, _, id) = order[i];
        if kept > 0 && order[kept - 1].0 != key {
            group = kept;
        }
        let first = group.max(kept.saturating_sub(LOOKED_AT));
        let this = &frontier[id as usize];
        let worse = order[first..kept].iter().any(|(_, _, other)| {
            let other = &frontier[*other as usize];
            other.state == this.state && by.dominates(other, this, blind)
        });
        if !worse {
            order[kept] = order[i];
            kept += 1;
        }
    }
    if kept < frontier.len() {
        order.truncate(kept);
        order.sort_unstable_by_key(|(_, _, id)| *id);
        let mut keep = order.iter().map(|(_, _, id)| *id).peekable();
        let mut id = 0;
        frontier.retain(|_| {
            id += 1;
            keep.next_if(|kept| *kept == id - 1).is_some()
        });
    }
}
