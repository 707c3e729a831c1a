//! Election Safety: a term has at most one leader (Ongaro 2014, figure 3.2).
//!
//! Any line on which a node leads counts, not only that of its election.

use crate::consensus::facts::{Seen, Spot};
use crate::consensus::violation::{About, Found};
use std::collections::BTreeMap;

#[derive(Debug, Default)]
pub(super) struct ElectionSafety {
    /// The first line of each term on which somebody leads.
    leaders: BTreeMap<u64, Spot>,
}

impl ElectionSafety {
    /// How many terms had a leader.
    pub fn terms(&self) -> usize {
        self.leaders.len()
    }

    pub fn observe(&mut self, seen: &Seen<'_>, found: &mut Found) {
        let Some(term) = seen.leads() else { return };
        if seen.before.role == seen.now.role && seen.before.term == Some(term) {
            return;
        }
        let first = *self.leaders.entry(term).or_insert(seen.spot);
        if first.node == seen.node {
            return;
        }
        let about = About {
            class: "two-leaders",
            node: seen.node,
            term: Some(term),
            index: None,
            events: [first, seen.spot],
        };
        found.add(&about, seen.roster, || {
            let (roster, spot) = (seen.roster, seen.spot);
            format!(
                "{} leads term {term} ({}), and so does {} ({}): a term may have one leader",
                roster.name(first.node),
                roster.place(first),
                roster.name(seen.node),
                roster.place(spot)
            )
        });
    }
}
