//! Decisions rest on quorums: a candidate leads only with a majority of votes, a leader commits only what a majority
//! holds durably and, as the last entry, one of its own term (Ongaro 2014, sections 3.4, 3.6.2 and 4).
//!
//! Votes and acknowledgements are those in the decider's own file, so nothing is compared between files. A decision
//! is judged if everything it could rest on was told: the candidacy or the election, letters that came, the
//! configuration. A leader counts itself if its log is durable so far, or if it never tells what is.
//!
//! A step may change the configuration and decide by the new one in any order of lines. So a decision that the
//! configurations before and at its line do not allow waits for the end of the step before it is held against
//! anybody; a trace that ends there says nothing.

use crate::consensus::facts::{Conf, NodeId, Seen, Spot};
use crate::consensus::intersection::{Decision, Intersection};
use crate::consensus::violation::{About, Found};
use elenchus_core::trace::{Role, name};
use std::rc::Rc;

#[derive(Debug, Default)]
pub(super) struct Quorums {
    nodes: Vec<Office>,
    elections: u64,
    commits: u64,
    pub intersection: Intersection,
}

/// What a node's decisions rest on.
#[derive(Clone, Debug, Default)]
struct Office {
    /// Its candidacy: the term and who voted for it.
    candidacy: Option<(u64, Vec<NodeId>)>,
    /// Its leadership, if its beginning was told.
    leadership: Option<Leadership>,
    /// Decisions without a quorum so far.
    doubts: Vec<Doubt>,
}

#[derive(Clone, Debug)]
struct Leadership {
    term: u64,
    spot: Spot,
    commit: u64,
    /// Who acknowledged up to where.
    held: Vec<(NodeId, u64)>,
}

/// A decision that no known configuration allows.
#[derive(Clone, Debug)]
struct Doubt {
    term: u64,
    /// What was committed; `None`: an election.
    index: Option<u64>,
    agreed: Vec<NodeId>,
    /// The event before, and the decision.
    events: [Spot; 2],
    bound: Option<u64>,
}

impl Quorums {
    /// How many elections were judged.
    pub fn elections(&self) -> u64 {
        self.elections
    }

    /// How many advances of a leader's commit index were judged.
    pub fn commits(&self) -> u64 {
        self.commits
    }

    pub fn observe(&mut self, seen: &Seen<'_>, found: &mut Found) {
        if self.nodes.len() <= seen.node {
            self.nodes.resize(seen.node + 1, Office::default());
        }
        if seen.line.name == name::INIT_STATE {
            // A life that was cut off says nothing more.
            self.nodes[seen.node] = Office::default();
            return;
        }
        self.settle_doubts(seen, found);
        self.observe_candidate(seen);
        self.observe_leader(seen, found);
        self.observe_letters(seen);
    }

    fn observe_candidate(&mut self, seen: &Seen<'_>) {
        let office = &mut self.nodes[seen.node];
        if seen.line.name == name::BECOME_CANDIDATE {
            office.candidacy = seen.line.term.map(|term| (term, vec![seen.node]));
        }
        let Some(term) = seen.leads() else {
            if seen.now.role.is_some_and(|role| role != Role::Leader) {
                office.leadership = None;
            }
            return;
        };
        if office.leadership.as_ref().is_some_and(|leadership| leadership.term != term) {
            office.leadership = None;
        }
        if seen.line.name == name::BECOME_LEADER {
            let commit = seen.line.commit.or(seen.before.commit);
            office.leadership =
                commit.map(|commit| Leadership { term, spot: seen.spot, commit, held: Vec::new() });
            if let Some((_, agreed)) = office.candidacy.take().filter(|(candidacy, _)| *candidacy == term)
                && seen.now.config.is_some()
                && (seen.now.hears || agreed.len() > 1 || alone(seen))
            {
                self.elections += 1;
                let events = [seen.spot, seen.spot];
                let bound = seen.now.config_bound;
                self.decide(Doubt { term, index: None, agreed, events, bound }, seen);
            }
        }
    }

    fn observe_leader(&mut self, seen: &Seen<'_>, found: &mut Found) {
        let Some(leadership) = &mut self.nodes[seen.node].leadership else { return };
        let Some(commit) = seen.line.commit.filter(|commit| *commit > leadership.commit) else { return };
        if seen.leads() != Some(leadership.term) {
            return;
        }
        leadership.commit = commit;
        let (term, elected) = (leadership.term, leadership.spot);
        let mut agreed: Vec<NodeId> =
            leadership.held.iter().filter(|(_, held)| *held >= commit).map(|(node, _)| *node).collect();
        let durable = seen.now.durable.filter(|_| seen.now.persists);
        if durable.is_none_or(|durable| durable >= commit) && !agreed.contains(&seen.node) {
            agreed.push(seen.node);
        }
        let of = seen.now.log.as_ref().and_then(|log| log.term_at(commit));
        if let Some(of) = of.filter(|of| *of != term) {
            let about = About {
                class: "committed-old-term",
                node: seen.node,
                term: Some(term),
                index: Some(commit),
                events: [elected, seen.spot],
            };
            found.add(&about, seen.roster, || {
                format!(
                    "{}, leader of term {term} ({}), committed up to entry {commit} of term {of} ({}): an entry of \
                     an earlier term may still be overwritten until one of its own is committed with it",
                    seen.roster.name(seen.node),
                    seen.roster.place(elected),
                    seen.roster.place(seen.spot)
                )
            });
        }
        if seen.now.config.is_some() && (seen.now.hears || alone(seen)) {
            self.commits += 1;
            let events = [elected, seen.spot];
            self.decide(Doubt { term, index: Some(commit), agreed, events, bound: None }, seen);
        }
    }

    fn observe_letters(&mut self, seen: &Seen<'_>) {
        let office = &mut self.nodes[seen.node];
        if let Some((from, _, term)) = seen.grant(name::RECEIVE_REQUEST_VOTE_RESPONSE)
            && let Some((_, agreed)) = office.candidacy.as_mut().filter(|(candidacy, _)| *candidacy == term)
        {
            let from = seen.roster.known(from);
            if !agreed.contains(&from) {
                agreed.push(from);
            }
        }
        if let Some((from, _, term, index)) = seen.acknowledgement(name::RECEIVE_APPEND_ENTRIES_RESPONSE)
            && let Some(leadership) = office.leadership.as_mut().filter(|leadership| leadership.term == term)
            && seen.line.log.is_none_or(|last| index <= last)
        {
            let from = seen.roster.known(from);
            match leadership.held.iter_mut().find(|(node, _)| *node == from) {
                Some((_, held)) => *held = index.max(*held),
                None => leadership.held.push((from, index)),
            }
        }
    }

    /// Takes a decision that a configuration in force allows; doubts any other.
    fn decide(&mut self, doubt: Doubt, seen: &Seen<'_>) {
        if allows(seen.now.config.as_ref(), &doubt) || allows(seen.before.config.as_ref(), &doubt) {
            self.intersection.take(doubt.decision(), seen.now.careful);
        } else {
            self.nodes[seen.node].doubts.push(doubt);
        }
    }

    /// Takes up doubts again: another configuration may allow the decision, or the step is over.
    fn settle_doubts(&mut self, seen: &Seen<'_>, found: &mut Found) {
        if self.nodes[seen.node].doubts.is_empty() {
            return;
        }
        for doubt in std::mem::take(&mut self.nodes[seen.node].doubts) {
            if allows(seen.now.config.as_ref(), &doubt) {
                self.intersection.take(doubt.decision(), seen.now.careful);
            } else if seen.begins_step() {
                doubt.accuse(seen, found);
            } else {
                self.nodes[seen.node].doubts.push(doubt);
            }
        }
    }
}

/// Whether the node is the only voter: then it needs no letters.
fn alone(seen: &Seen<'_>) -> bool {
    seen.now.config.as_ref().is_some_and(|conf| conf.voters == [seen.node] && conf.outgoing.is_empty())
}

fn allows(conf: Option<&Rc<Conf>>, doubt: &Doubt) -> bool {
    conf.is_some_and(|conf| conf.decides(|node| doubt.agreed.contains(&node)))
}

impl Doubt {
    fn decision(self) -> Decision {
        let Doubt { term, index, mut agreed, events: [_, spot], bound } = self;
        agreed.sort_unstable();
        Decision { term, index, agreed, spot, bound }
    }

    fn accuse(&self, seen: &Seen<'_>, found: &mut Found) {
        let class = if self.index.is_some() { "committed-without-quorum" } else { "elected-without-quorum" };
        let about =
            About { class, node: seen.node, term: Some(self.term), index: self.index, events: self.events };
        let (roster, [before, spot]) = (seen.roster, self.events);
        found.add(&about, roster, || {
            let (who, whose) = (roster.name(seen.node), roster.names(&self.agreed));
            let voters = seen.now.config.as_ref().map_or(String::new(), |conf| roster.names(&conf.voters));
            match self.index {
                Some(index) => format!(
                    "{who}, leader of term {} ({}), committed up to {index} ({}) when only {{{whose}}} held that \
                     durably, no majority of the voters {{{voters}}}",
                    self.term,
                    roster.place(before),
                    roster.place(spot)
                ),
                None => format!(
                    "{who} leads term {} ({}) with the votes of {{{whose}}}, no majority of the voters {{{voters}}}",
                    self.term,
                    roster.place(spot)
                ),
            }
        });
    }
}
