//! Terms and commit indices never go back within a life, and nobody commits what its log does not hold.
//!
//! That they do not go back is judged only of lives whose start was told: without it a restart looks the same.

use crate::consensus::facts::{Seen, Spot};
use crate::consensus::violation::{About, Found};

#[derive(Debug, Default)]
pub(super) struct Progress {
    /// By node: the line before.
    before: Vec<Option<Spot>>,
}

impl Progress {
    pub fn observe(&mut self, seen: &Seen<'_>, found: &mut Found) {
        if self.before.len() <= seen.node {
            self.before.resize(seen.node + 1, None);
        }
        let before = self.before[seen.node].replace(seen.spot).unwrap_or(seen.spot);
        let (term, commit) = (seen.line.term, seen.line.commit);
        let fell = |before: Option<u64>, now: Option<u64>| {
            before.zip(now).filter(|(before, now)| now < before && seen.now.lives > 0)
        };
        let about = |index, events| About { class: "went-back", node: seen.node, term, index, events };
        let (roster, node) = (seen.roster, seen.node);
        if let Some((was, is)) = fell(seen.before.term, term) {
            found.add(&about(None, [before, seen.spot]), roster, || {
                let (earlier, now) = (roster.place(before), roster.place(seen.spot));
                format!("{} was in term {was} ({earlier}) and then in term {is} ({now})", roster.name(node))
            });
        }
        if let Some((was, is)) = fell(seen.before.commit, commit) {
            found.add(&about(Some(was), [before, seen.spot]), roster, || {
                let (earlier, now) = (roster.place(before), roster.place(seen.spot));
                format!(
                    "{} had committed up to {was} ({earlier}) and then up to {is} ({now})",
                    roster.name(node)
                )
            });
        }
        if let Some((commit, last)) = commit.zip(seen.line.log).filter(|(commit, last)| commit > last) {
            found.add(&about(Some(commit), [before, seen.spot]), roster, || {
                let now = roster.place(seen.spot);
                format!(
                    "{} has committed up to {commit}, but its log ends at {last} ({now})",
                    roster.name(node)
                )
            });
        }
    }
}
