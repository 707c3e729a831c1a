//! Acknowledged only what is durable (Ongaro 2014, section 3.8): before a node says that its log equals the leader's
//! up to an index, a `Persist` line says that it is on its disk.
//!
//! Judged only in lives that tell of their start and of what becomes durable. An acknowledgement of an older term
//! binds nobody, and its entries may have been overwritten since: it is passed over.

use crate::consensus::facts::{Seen, Spot};
use crate::consensus::violation::{About, Found};
use elenchus_core::trace::name;

#[derive(Debug, Default)]
pub(super) struct Durability {
    /// By node: where it last told how far its log is durable.
    told: Vec<Option<Spot>>,
    /// How many acknowledgements were compared.
    acknowledgements: u64,
}

impl Durability {
    /// How many acknowledgements were compared with what was durable.
    pub fn acknowledgements(&self) -> u64 {
        self.acknowledgements
    }

    pub fn observe(&mut self, seen: &Seen<'_>, found: &mut Found) {
        if self.told.len() <= seen.node {
            self.told.resize(seen.node + 1, None);
        }
        if matches!(&*seen.line.name, name::INIT_STATE | name::PERSIST) {
            self.told[seen.node] = Some(seen.spot);
        }
        let Some((from, to, term, index)) = seen.acknowledgement(name::SEND_APPEND_ENTRIES_RESPONSE) else {
            return;
        };
        let own = seen.roster.known(from) == seen.node && seen.line.term == Some(term);
        let durable = seen.now.durable.filter(|_| own && seen.now.persists);
        let Some((durable, told)) = durable.zip(self.told[seen.node]) else { return };
        self.acknowledgements += 1;
        if index <= durable {
            return;
        }
        let about = About {
            class: "acknowledged-undurable",
            node: seen.node,
            term: Some(term),
            index: Some(index),
            events: [told, seen.spot],
        };
        found.add(&about, seen.roster, || {
            format!(
                "{} acknowledged entry {index} to node {to} ({}), but its log was durable only up to {durable} ({})",
                seen.roster.name(seen.node),
                seen.roster.place(seen.spot),
                seen.roster.place(told)
            )
        });
    }
}
