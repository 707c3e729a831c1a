//! Quorums that decided intersect, also where the configuration changed between them (Ongaro 2014, section 4).
//!
//! Majorities of one configuration always do, and so do those of neighbours; a cluster that has moved on in several
//! steps may rightly decide by others altogether. What must never be: a leader elected in a later term by nodes none
//! of which took part in a commitment, when its configuration is no newer than what was committed. For that leader
//! holds the committed entry (Leader Completeness), so the committing leader's configuration was the same or the next.
//!
//! Judged of nodes that count their starts: they adopt a configuration as soon as it stands in their log.

use crate::consensus::facts::{NodeId, Roster, Spot};
use crate::consensus::violation::{About, Found};
use std::collections::BTreeMap;

/// Who decided what.
#[derive(Clone, Debug)]
pub(super) struct Decision {
    pub term: u64,
    /// What was committed; `None`: an election.
    pub index: Option<u64>,
    /// Who agreed, in order.
    pub agreed: Vec<NodeId>,
    pub spot: Spot,
    /// Of an election: the entry of its configuration is not behind this index.
    pub bound: Option<u64>,
}

#[derive(Debug, Default)]
pub(super) struct Intersection {
    /// By term and quorum: the furthest commitment.
    commits: BTreeMap<(u64, Vec<NodeId>), (u64, Spot)>,
    elections: Vec<(Decision, u64)>,
}

impl Intersection {
    /// Takes a decision of a node; `careful`: it counts its starts.
    pub fn take(&mut self, decision: Decision, careful: bool) {
        if !careful {
            return;
        }
        match (decision.index, decision.bound) {
            (Some(index), _) => {
                let known = self.commits.entry((decision.term, decision.agreed));
                let known = known.or_insert((index, decision.spot));
                if known.0 < index {
                    *known = (index, decision.spot);
                }
            }
            (None, Some(bound)) => self.elections.push((decision, bound)),
            (None, None) => {}
        }
    }

    pub fn finish(&self, roster: &Roster, found: &mut Found) {
        for (election, bound) in &self.elections {
            let before = self.commits.range(..(election.term, Vec::new()));
            let disjoint = |agreed: &[NodeId]| !agreed.iter().any(|node| election.agreed.contains(node));
            let Some(((term, agreed), (index, spot))) =
                before.rev().find(|((_, agreed), (index, _))| index >= bound && disjoint(agreed))
            else {
                continue;
            };
            let about = About {
                class: "quorums-disjoint",
                node: election.spot.node,
                term: Some(election.term),
                index: Some(*index),
                events: [*spot, election.spot],
            };
            found.add(&about, roster, || {
                format!(
                    "{} was elected in term {} by {{{}}} ({}), none of whom belongs to {{{}}}, who committed entry \
                     {index} in term {term} ({})",
                    roster.name(election.spot.node),
                    election.term,
                    roster.names(&election.agreed),
                    roster.place(election.spot),
                    roster.names(agreed),
                    roster.place(*spot)
                )
            });
        }
    }
}
