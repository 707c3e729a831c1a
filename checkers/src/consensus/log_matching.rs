//! Log Matching: where two logs have an entry of the same index and term, they are equal up to it (Ongaro 2014,
//! figure 3.2).
//!
//! By induction: index and term name one entry, which follows an entry of one term. Each entry that any trace shows
//! is compared with the first of its name.

use crate::consensus::facts::{Seen, Spot};
use crate::consensus::mixed::MixedMap;
use crate::consensus::violation::{About, Found};
use elenchus_core::trace::{EntryMark, name};

#[derive(Debug, Default)]
pub(super) struct LogMatching {
    entries: MixedMap<(u64, u64), Known>,
    /// How many entries were compared with one of the same name.
    compared: u64,
}

#[derive(Debug)]
struct Known {
    digest: Option<u64>,
    /// The term of the entry before.
    previous: Option<u64>,
    spot: Spot,
}

impl LogMatching {
    /// How many entries were compared with another log's.
    pub fn compared(&self) -> u64 {
        self.compared
    }

    pub fn observe(&mut self, seen: &Seen<'_>, found: &mut Found) {
        let first = match &*seen.line.name {
            name::APPEND => seen.line.first,
            name::INIT_STATE => seen.line.base.map(|base| base.index.saturating_add(1)),
            _ => None,
        };
        let Some(first) = first else { return };
        let mut previous = seen.now.log.as_ref().and_then(|log| log.term_at(first.checked_sub(1)?));
        for (index, entry) in (first..).zip(&seen.line.entries) {
            self.compare(index, entry, previous, seen, found);
            previous = Some(entry.term);
        }
    }

    fn compare(
        &mut self,
        index: u64,
        entry: &EntryMark,
        previous: Option<u64>,
        seen: &Seen<'_>,
        found: &mut Found,
    ) {
        let fresh = Known { digest: entry.digest, previous, spot: seen.spot };
        let known = match self.entries.entry((index, entry.term)) {
            std::collections::hash_map::Entry::Vacant(place) => {
                place.insert(fresh);
                return;
            }
            std::collections::hash_map::Entry::Occupied(place) => place.into_mut(),
        };
        self.compared += 1;
        let differ = |a: Option<u64>, b: Option<u64>| a.zip(b).is_some_and(|(a, b)| a != b);
        let what = if differ(known.digest, entry.digest) {
            "it is another one"
        } else if differ(known.previous, previous) {
            "it follows an entry of another term"
        } else {
            known.digest = known.digest.or(entry.digest);
            known.previous = known.previous.or(previous);
            return;
        };
        let spot = known.spot;
        let about = About {
            class: "logs-do-not-match",
            node: seen.node,
            term: Some(entry.term),
            index: Some(index),
            events: [spot, seen.spot],
        };
        found.add(&about, seen.roster, || {
            format!(
                "entry {index} of term {} stands in the log of {} ({}) and in that of {} ({}), where {what}: index and \
                 term name one entry, and one log before it",
                entry.term,
                seen.roster.name(spot.node),
                seen.roster.place(spot),
                seen.roster.name(seen.node),
                seen.roster.place(seen.spot)
            )
        });
    }
}
