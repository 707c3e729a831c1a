//! How many operations in doubt of each class a configuration has used.
//!
//! Operations in doubt that ask the same are interchangeable: what matters is how many were used, not
//! which. Counts are few and shared by many configurations, so each distinct vector of counts is stored
//! once and configurations hold its number; number 0 is "none used".

use super::index::{Index, Place};
use super::meter::grown;

/// The number of a vector of counts.
pub(super) type CountsId = u32;

/// One vector, as far as comparing needs no look at its entries.
#[derive(Clone, Copy)]
struct Head {
    start: u32,
    len: u32,
    /// How many operations were used in all.
    total: u32,
    /// A sum over the operations used, so that one more is one addition.
    hash: u64,
    /// A bit for every class used, modulo 64: a vector with other bits is not less.
    classes: u64,
}

/// Every vector of counts seen, each once: `(class, how many)`, by class, without zeros.
pub(super) struct Counts {
    heads: Vec<Head>,
    entries: Vec<(u32, u32)>,
    index: Index,
    scratch: Vec<(u32, u32)>,
    /// What one more of a class made of a vector, where it was asked lately: `(vector, class, result)`.
    lately: Box<[(CountsId, u32, CountsId)]>,
}

const LATELY_MAX: usize = 1024;

impl Counts {
    pub(super) const NONE: CountsId = 0;

    /// No counts but none, of so many classes.
    pub(super) fn new(classes: usize) -> Counts {
        let lately = vec![(u32::MAX, 0, 0); (16 * classes).next_power_of_two().min(LATELY_MAX)].into();
        let (heads, entries, scratch) = (Vec::new(), Vec::new(), Vec::new());
        let mut counts = Counts { heads, entries, index: Index::new(), scratch, lately };
        counts.intern(0);
        counts
    }

    pub(super) fn len(&self) -> usize {
        self.heads.len()
    }

    pub(super) fn bytes(&self) -> usize {
        grown(&self.heads) + grown(&self.entries) + self.index.bytes() + self.lately.len() * 12
    }

    /// How many operations were used in all.
    pub(super) fn total(&self, id: CountsId) -> u32 {
        self.heads[id as usize].total
    }

    /// How many operations of `class` were used.
    pub(super) fn of(&self, id: CountsId, class: u32) -> u32 {
        let head = &self.heads[id as usize];
        if head.classes & bit(class) == 0 {
            return 0;
        }
        let vector = self.vector(id);
        vector.binary_search_by_key(&class, |entry| entry.0).map_or(0, |at| vector[at].1)
    }

    /// The same counts with one more of `class`.
    pub(super) fn with_one_more(&mut self, id: CountsId, class: u32) -> CountsId {
        let place = (id.wrapping_mul(31) ^ class) as usize & (self.lately.len() - 1);
        let (vector, of, known) = self.lately[place];
        if (vector, of) == (id, class) {
            return known;
        }
        let head = self.heads[id as usize];
        self.scratch.clear();
        self.scratch.extend_from_slice(&self.entries[head.start as usize..(head.start + head.len) as usize]);
        match self.scratch.binary_search_by_key(&class, |entry| entry.0) {
            Ok(at) => self.scratch[at].1 += 1,
            Err(at) => self.scratch.insert(at, (class, 1)),
        }
        let result = self.intern(head.hash.wrapping_add(weight(class)));
        self.lately[place] = (id, class, result);
        result
    }

    /// The same counts without the classes that are `over`.
    pub(super) fn without(&mut self, id: CountsId, over: impl Fn(u32) -> bool) -> CountsId {
        if !self.vector(id).iter().any(|entry| over(entry.0)) {
            return id;
        }
        let head = self.heads[id as usize];
        self.scratch.clear();
        let entries = &self.entries[head.start as usize..(head.start + head.len) as usize];
        self.scratch.extend(entries.iter().filter(|entry| !over(entry.0)));
        self.intern(hash(&self.scratch))
    }

    /// Whether no class was used more in `a` than in `b`.
    pub(super) fn at_most(&self, a: CountsId, b: CountsId) -> bool {
        if a == b || a == Counts::NONE {
            return true;
        }
        let (less, more) = (&self.heads[a as usize], &self.heads[b as usize]);
        if less.total >= more.total || less.classes & !more.classes != 0 {
            return false;
        }
        let mut rest = self.vector(b).iter();
        let covered = |&(class, used): &(u32, u32)| {
            rest.find(|other| other.0 >= class).is_some_and(|other| other.0 == class && other.1 >= used)
        };
        self.vector(a).iter().all(covered)
    }

    /// Forgets every vector but those of `live`, and renumbers these in place.
    pub(super) fn keep<'a>(&mut self, live: impl Iterator<Item = &'a mut CountsId>) {
        let old = std::mem::replace(self, Counts::new(self.lately.len() / 16));
        for id in live {
            self.scratch.clear();
            self.scratch.extend_from_slice(old.vector(*id));
            *id = self.intern(old.heads[*id as usize].hash);
        }
    }

    fn vector(&self, id: CountsId) -> &[(u32, u32)] {
        let head = &self.heads[id as usize];
        &self.entries[head.start as usize..(head.start + head.len) as usize]
    }

    fn intern(&mut self, hash: u64) -> CountsId {
        let same = |id: u32| {
            let head = &self.heads[id as usize];
            let vector = &self.entries[head.start as usize..(head.start + head.len) as usize];
            head.hash == hash && vector == &self.scratch[..]
        };
        match self.index.find(hash, same) {
            Place::Known(id) => id,
            Place::Vacant(at) => {
                let id = self.heads.len() as u32;
                self.index.fill(at, hash, id);
                let (start, len) = (self.entries.len() as u32, self.scratch.len() as u32);
                let total = self.scratch.iter().map(|entry| entry.1).sum();
                let classes = self.scratch.iter().fold(0, |bits, entry| bits | bit(entry.0));
                self.heads.push(Head { start, len, total, hash, classes });
                self.entries.extend_from_slice(&self.scratch);
                id
            }
        }
    }
}

/// What one operation of a class adds to the hash of a vector.
fn weight(class: u32) -> u64 {
    let mixed = (u64::from(class) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9)
}

fn hash(vector: &[(u32, u32)]) -> u64 {
    let part = |(class, used): &(u32, u32)| weight(*class).wrapping_mul(u64::from(*used));
    vector.iter().map(part).fold(0, u64::wrapping_add)
}

fn bit(class: u32) -> u64 {
    1 << (class % 64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts_of(counts: &mut Counts, classes: &[u32]) -> CountsId {
        classes.iter().fold(Counts::NONE, |id, class| counts.with_one_more(id, *class))
    }

    #[test]
    fn the_order_of_use_does_not_matter() {
        let mut counts = Counts::new(4);
        let id = counts_of(&mut counts, &[4, 1, 4]);
        assert_eq!(id, counts_of(&mut counts, &[4, 4, 1]));
        assert_eq!((counts.of(id, 4), counts.of(id, 1), counts.of(id, 2), counts.total(id)), (2, 1, 0, 3));
    }

    #[test]
    fn fewer_in_every_class_is_fewer() {
        let mut counts = Counts::new(4);
        let mut of = |classes: &[u32]| counts_of(&mut counts, classes);
        let (none, a, b, ab, aab) = (of(&[]), of(&[1]), of(&[2]), of(&[1, 2]), of(&[1, 1, 2]));
        for (less, more) in [(none, a), (a, ab), (b, ab), (ab, aab), (a, aab), (ab, ab)] {
            assert!(counts.at_most(less, more), "{less} {more}");
        }
        for (more, less) in [(a, none), (a, b), (b, a), (ab, a), (aab, ab)] {
            assert!(!counts.at_most(more, less), "{more} {less}");
        }
    }

    #[test]
    fn classes_that_are_over_are_forgotten() {
        let mut counts = Counts::new(4);
        let id = counts_of(&mut counts, &[1, 2, 2]);
        let rest = counts.without(id, |class| class == 2);
        assert_eq!(rest, counts_of(&mut counts, &[1]));
        let mut live = [rest];
        counts.keep(live.iter_mut());
        assert_eq!((counts.len(), counts.of(live[0], 1)), (2, 1));
    }
}
