//! How many operations in doubt of each class a configuration has used.
//!
//! Operations in doubt that ask the same are interchangeable: what matters is how many were used, not
//! which. Counts are few and shared by many configurations, so each distinct vector of counts is stored
//! once and configurations hold its number; number 0 is "none used".

use super::index::{Index, Place, hash_of};

/// The number of a vector of counts.
pub(super) type CountsId = u32;

/// Every vector of counts seen, each once: `(class, how many)`, by class, without zeros.
pub(super) struct Counts {
    vectors: Vec<Box<[(u32, u32)]>>,
    totals: Vec<u32>,
    index: Index,
    scratch: Vec<(u32, u32)>,
    bytes: usize,
}

impl Counts {
    pub(super) const NONE: CountsId = 0;

    pub(super) fn new() -> Counts {
        let index = Index::new();
        let mut counts = Counts { vectors: vec![], totals: vec![], index, scratch: vec![], bytes: 0 };
        counts.intern();
        counts
    }

    pub(super) fn len(&self) -> usize {
        self.vectors.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes + self.index.bytes()
    }

    /// How many operations were used in all.
    pub(super) fn total(&self, id: CountsId) -> u32 {
        self.totals[id as usize]
    }

    /// How many operations of `class` were used.
    pub(super) fn of(&self, id: CountsId, class: u32) -> u32 {
        let vector = &self.vectors[id as usize];
        vector.binary_search_by_key(&class, |entry| entry.0).map_or(0, |at| vector[at].1)
    }

    /// The same counts with one more of `class`.
    pub(super) fn with_one_more(&mut self, id: CountsId, class: u32) -> CountsId {
        self.scratch.clear();
        self.scratch.extend_from_slice(&self.vectors[id as usize]);
        match self.scratch.binary_search_by_key(&class, |entry| entry.0) {
            Ok(at) => self.scratch[at].1 += 1,
            Err(at) => self.scratch.insert(at, (class, 1)),
        }
        self.intern()
    }

    /// The same counts without the classes that are `over`.
    pub(super) fn without(&mut self, id: CountsId, over: impl Fn(u32) -> bool) -> CountsId {
        if !self.vectors[id as usize].iter().any(|entry| over(entry.0)) {
            return id;
        }
        self.scratch.clear();
        self.scratch.extend(self.vectors[id as usize].iter().filter(|entry| !over(entry.0)));
        self.intern()
    }

    /// Whether no class was used more in `a` than in `b`.
    pub(super) fn at_most(&self, a: CountsId, b: CountsId) -> bool {
        if a == b || a == Counts::NONE {
            return true;
        }
        let mut rest = self.vectors[b as usize].iter();
        let covered = |&(class, used): &(u32, u32)| {
            rest.find(|other| other.0 >= class).is_some_and(|other| other.0 == class && other.1 >= used)
        };
        self.vectors[a as usize].iter().all(covered)
    }

    /// Forgets every vector but those of `live`, and renumbers these in place.
    pub(super) fn keep<'a>(&mut self, live: impl Iterator<Item = &'a mut CountsId>) {
        let old = std::mem::replace(self, Counts::new());
        for id in live {
            self.scratch.clear();
            self.scratch.extend_from_slice(&old.vectors[*id as usize]);
            *id = self.intern();
        }
    }

    fn intern(&mut self) -> CountsId {
        let hash = hash_of(&self.scratch);
        match self.index.find(hash, |id| *self.vectors[id as usize] == self.scratch[..]) {
            Place::Known(id) => id,
            Place::Vacant(at) => {
                let id = self.vectors.len() as u32;
                self.index.fill(at, hash, id);
                self.bytes += self.scratch.len() * size_of::<(u32, u32)>() + 24;
                self.totals.push(self.scratch.iter().map(|entry| entry.1).sum());
                self.vectors.push(self.scratch.as_slice().into());
                id
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts_of(counts: &mut Counts, classes: &[u32]) -> CountsId {
        classes.iter().fold(Counts::NONE, |id, class| counts.with_one_more(id, *class))
    }

    #[test]
    fn the_order_of_use_does_not_matter() {
        let mut counts = Counts::new();
        let id = counts_of(&mut counts, &[4, 1, 4]);
        assert_eq!(id, counts_of(&mut counts, &[4, 4, 1]));
        assert_eq!((counts.of(id, 4), counts.of(id, 1), counts.of(id, 2), counts.total(id)), (2, 1, 0, 3));
    }

    #[test]
    fn fewer_in_every_class_is_fewer() {
        let mut counts = Counts::new();
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
        let mut counts = Counts::new();
        let id = counts_of(&mut counts, &[1, 2, 2]);
        let rest = counts.without(id, |class| class == 2);
        assert_eq!(rest, counts_of(&mut counts, &[1]));
        let mut live = [rest];
        counts.keep(live.iter_mut());
        assert_eq!((counts.len(), counts.of(live[0], 1)), (2, 1));
    }
}
