//! Leader Append-Only: in its term, a leader's log only grows (Ongaro 2014, figure 3.2).

use crate::consensus::facts::{Seen, Spot};
use crate::consensus::log::Log;
use crate::consensus::violation::{About, Found};
use elenchus_core::trace::{Role, name};
use std::collections::HashMap;

#[derive(Debug, Default)]
pub(super) struct AppendOnly {
    /// By node, while it leads: its term, the last line, its log there and that log's last index.
    leaders: HashMap<usize, Office>,
}

#[derive(Debug)]
struct Office {
    term: u64,
    spot: Spot,
    last: Option<u64>,
    log: Option<Log>,
}

impl AppendOnly {
    pub fn observe(&mut self, seen: &Seen<'_>, found: &mut Found) {
        let Some(term) = seen.leads().filter(|_| seen.line.name != name::INIT_STATE) else {
            if seen.now.role.is_some_and(|role| role != Role::Leader) {
                self.leaders.remove(&seen.node);
            }
            return;
        };
        let office = self.leaders.entry(seen.node);
        let office = office.or_insert_with(|| Office { term, spot: seen.spot, last: None, log: None });
        if office.term != term {
            *office = Office { term, spot: seen.spot, last: None, log: None };
        }
        let changes = matches!(&*seen.line.name, name::APPEND | name::INSTALL_SNAPSHOT);
        let grows = grown(office.log.as_mut(), seen);
        let known = office.log.as_ref().zip(seen.now.log.as_ref()).filter(|_| changes && !grows);
        let rewritten = known.and_then(|(before, now)| before.differs(now, before.last()));
        let shorter = office.last.zip(seen.line.log).filter(|(before, now)| now < before);
        if let Some(index) = rewritten.map(|(at, ..)| at).or(shorter.map(|(_, now)| now + 1)) {
            let before = office.spot;
            let about = About {
                class: "leader-rewrote-log",
                node: seen.node,
                term: Some(term),
                index: Some(index),
                events: [before, seen.spot],
            };
            found.add(&about, seen.roster, || {
                format!(
                    "{} leads term {term} and had an entry {index} ({}), which it removed or replaced ({}): a leader \
                     only appends to its log",
                    seen.roster.name(seen.node),
                    seen.roster.place(before),
                    seen.roster.place(seen.spot)
                )
            });
        }
        if (changes && !grows) || office.log.is_none() {
            office.log.clone_from(&seen.now.log);
        }
        office.last = seen.line.log.or(office.last);
        office.spot = seen.spot;
    }
}

/// Adds what the line appends at the end, if that is what it does: the usual case, without a look at the whole.
fn grown(log: Option<&mut Log>, seen: &Seen<'_>) -> bool {
    let first = seen.line.first.filter(|_| seen.line.name == name::APPEND && seen.now.log.is_some());
    match (log, first) {
        (Some(log), Some(first)) if first == log.last().saturating_add(1) => {
            log.replace(first, &seen.line.entries);
            true
        }
        _ => false,
    }
}
