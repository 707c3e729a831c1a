//! State Machine Safety: what is committed at an index is the same entry everywhere, and so is the state after it
//! (Ongaro 2014, figure 3.2).
//!
//! It is also how replicas agree at the end: all that any of them came to is compared.

use crate::consensus::facts::{Seen, Spot};
use crate::consensus::mixed::MixedMap;
use crate::consensus::violation::{About, Found};
use elenchus_core::trace::name;

#[derive(Debug, Default)]
pub(super) struct MachineSafety {
    /// By index: the term of the entry that is committed there, and who told.
    committed: MixedMap<u64, (u64, Spot)>,
    /// By index: the digest of the state after it.
    states: MixedMap<u64, (u64, Spot)>,
    /// By node: which life, and how far its committed entries were taken.
    told: Vec<(u64, u64)>,
    /// How many states were compared with another node's.
    compared: u64,
}

impl MachineSafety {
    /// How many entries are known to be committed.
    pub fn committed(&self) -> usize {
        self.committed.len()
    }

    /// How many states were compared with another's.
    pub fn compared(&self) -> u64 {
        self.compared
    }

    /// The committed entries as index and term, in order.
    pub fn entries(&self) -> Vec<(u64, u64, Spot)> {
        let mut entries: Vec<_> =
            self.committed.iter().map(|(index, (term, spot))| (*index, *term, *spot)).collect();
        entries.sort_unstable();
        entries
    }

    pub fn observe(&mut self, seen: &Seen<'_>, found: &mut Found) {
        if seen.line.name == name::STATE {
            self.compare_state(seen, found);
        }
        if seen.line.commit.is_some() {
            self.compare_entries(seen, found);
        }
    }

    fn compare_state(&mut self, seen: &Seen<'_>, found: &mut Found) {
        let Some((index, digest)) = seen.line.index.zip(seen.line.digest) else { return };
        let Some((known, spot)) = self.states.get(&index).copied() else {
            self.states.insert(index, (digest, seen.spot));
            return;
        };
        self.compared += u64::from(spot.node != seen.node);
        if known == digest {
            return;
        }
        let about = About {
            class: "state-machines-differ",
            node: seen.node,
            term: seen.line.term,
            index: Some(index),
            events: [spot, seen.spot],
        };
        found.add(&about, seen.roster, || {
            format!(
                "after entry {index} the state machine of {} ({}) is another than that of {} ({})",
                seen.roster.name(seen.node),
                seen.roster.place(seen.spot),
                seen.roster.name(spot.node),
                seen.roster.place(spot)
            )
        });
    }

    fn compare_entries(&mut self, seen: &Seen<'_>, found: &mut Found) {
        if self.told.len() <= seen.node {
            self.told.resize(seen.node + 1, (0, 0));
        }
        let (life, told) = &mut self.told[seen.node];
        if *life != seen.now.lives {
            (*life, *told) = (seen.now.lives, 0);
        }
        let Some((commit, log)) = seen.line.commit.zip(seen.now.log.as_ref()) else { return };
        let end = commit.min(log.last());
        if end <= *told {
            return;
        }
        let from = log.known_from().saturating_sub(1).max(*told + 1);
        *told = end;
        for index in from..=end {
            let Some(term) = log.term_at(index) else { continue };
            let (known, spot) = *self.committed.entry(index).or_insert((term, seen.spot));
            if known == term {
                continue;
            }
            let about = About {
                class: "committed-entries-differ",
                node: seen.node,
                term: Some(term),
                index: Some(index),
                events: [spot, seen.spot],
            };
            found.add(&about, seen.roster, || {
                format!(
                    "{} has committed an entry of term {term} at index {index} ({}), but {} one of term {known} ({})",
                    seen.roster.name(seen.node),
                    seen.roster.place(seen.spot),
                    seen.roster.name(spot.node),
                    seen.roster.place(spot)
                )
            });
            return;
        }
    }
}
