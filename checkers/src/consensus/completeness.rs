//! Leader Completeness: what was committed in a term stands in the log of the leader of every later term (Ongaro
//! 2014, figure 3.2).
//!
//! A node that knows of a commitment in term t learned it from a leader of that term or an earlier one, so every
//! leader of a term after t must hold the entry when it is elected; what a snapshot covers counts as held. Elections
//! and commitments come up in any order, so they are compared at the end.

use crate::consensus::facts::{Roster, Seen, Spot};
use crate::consensus::log::Log;
use crate::consensus::violation::{About, Found};
use elenchus_core::trace::{EntryMark, name};
use std::collections::BTreeMap;

#[derive(Debug, Default)]
pub(super) struct Completeness {
    /// By term: how far somebody in it knew the log to be committed.
    commits: BTreeMap<u64, (u64, Spot)>,
    elected: Vec<Elected>,
}

/// A leader with what it was elected with.
#[derive(Debug)]
struct Elected {
    term: u64,
    spot: Spot,
    last: Option<u64>,
    log: Option<Log>,
}

impl Completeness {
    /// How many elections were compared.
    pub fn elections(&self) -> usize {
        self.elected.len()
    }

    pub fn observe(&mut self, seen: &Seen<'_>) {
        if let Some((term, commit)) = seen.line.term.zip(seen.line.commit)
            && (seen.before.term, seen.before.commit) != (Some(term), Some(commit))
        {
            let known = self.commits.entry(term).or_insert((commit, seen.spot));
            if commit > known.0 {
                *known = (commit, seen.spot);
            }
        }
        if seen.line.name == name::BECOME_LEADER
            && let Some(term) = seen.line.term
        {
            let (last, log) = (seen.line.log, seen.now.log.clone());
            self.elected.push(Elected { term, spot: seen.spot, last, log });
        }
    }

    /// Compares every leader with what was committed before its term, given by index and term of each entry.
    pub fn finish(&self, committed: &[(u64, u64, Spot)], roster: &Roster, found: &mut Found) {
        let pieces = Pieces::new(committed);
        let mut elected: Vec<&Elected> = self.elected.iter().collect();
        elected.sort_by_key(|leader| (leader.term, leader.spot));
        let mut commits = self.commits.iter().peekable();
        // The furthest commitment of any term before the leader's.
        let mut furthest: Option<(u64, u64, Spot)> = None;
        for leader in elected {
            while let Some((term, (commit, spot))) = commits.next_if(|(term, _)| **term < leader.term) {
                if furthest.is_none_or(|(_, known, _)| *commit > known) {
                    furthest = Some((*term, *commit, *spot));
                }
            }
            let Some((in_term, commit, spot)) = furthest else { continue };
            let Some(index) = leader.lacks(commit, &pieces) else { continue };
            let about = About {
                class: "leader-lacks-committed",
                node: leader.spot.node,
                term: Some(leader.term),
                index: Some(index),
                events: [spot, leader.spot],
            };
            found.add(&about, roster, || {
                format!(
                    "{} was elected in term {} without the entry {index} ({}), though {} knew the log to be committed \
                     up to {commit} in term {in_term} ({})",
                    roster.name(leader.spot.node),
                    leader.term,
                    roster.place(leader.spot),
                    roster.name(spot.node),
                    roster.place(spot)
                )
            });
        }
    }
}

impl Elected {
    /// The first index up to `commit` at which its log lacks what is committed.
    fn lacks(&self, commit: u64, pieces: &Pieces) -> Option<u64> {
        let differs = self.log.as_ref().and_then(|log| pieces.differs(log, commit));
        let short = self.last.filter(|last| *last < commit).map(|last| last + 1);
        differs.into_iter().chain(short).min()
    }
}

/// The committed entries as logs without gaps.
struct Pieces(Vec<Log>);

impl Pieces {
    fn new(committed: &[(u64, u64, Spot)]) -> Pieces {
        let mut pieces: Vec<Log> = Vec::new();
        for (index, term, _) in committed {
            if pieces.last().is_none_or(|log| log.last() + 1 != *index) {
                pieces.push(Log::unknown_before(*index));
            }
            if let Some(log) = pieces.last_mut() {
                log.replace(*index, &[EntryMark { term: *term, digest: None }]);
            }
        }
        Pieces(pieces)
    }

    fn differs(&self, log: &Log, commit: u64) -> Option<u64> {
        self.0.iter().find_map(|piece| Some(piece.differs(log, commit.min(piece.last()))?.0))
    }
}
