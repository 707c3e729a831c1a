//! One vote a term, which survives a restart (Ongaro 2014, sections 3.4 and 3.8).
//!
//! A vote that was received was given for certain, as was one in a `Send` line of a node that counts its starts: it
//! says that what it promises is durable before. What a node only holds in memory counts within its life: a crash
//! may undo a vote that nobody was told of.

use crate::consensus::facts::{NodeId, Seen, Spot};
use crate::consensus::mixed::MixedMap;
use crate::consensus::violation::{About, Found};
use elenchus_core::trace::name;

#[derive(Debug, Default)]
pub(super) struct OneVote {
    /// By voter and term: votes that were given for certain.
    given: MixedMap<(NodeId, u64), Given>,
    /// By voter: its latest vote in this life.
    held: Vec<Option<Vote>>,
    /// Whether what a disk holds may be forgotten: then votes of different lives are not compared.
    forgetful: bool,
}

#[derive(Clone, Copy, Debug)]
struct Vote {
    term: u64,
    candidate: NodeId,
    spot: Spot,
}

#[derive(Clone, Copy, Debug)]
struct Given {
    candidate: NodeId,
    spot: Spot,
    /// Whether the voter itself told of it.
    own: bool,
}

impl OneVote {
    /// How many votes were given for certain.
    pub fn votes(&self) -> usize {
        self.given.len()
    }

    /// Compares no votes of different lives any more.
    pub fn forget(&mut self) {
        self.forgetful = true;
    }

    pub fn observe(&mut self, seen: &Seen<'_>, found: &mut Found) {
        if self.held.len() <= seen.node {
            self.held.resize(seen.node + 1, None);
        }
        if seen.line.name == name::INIT_STATE {
            self.held[seen.node] = None;
        }
        if let Some((term, Some(vote))) = seen.line.term.zip(seen.line.vote.as_ref()) {
            let candidate = seen.roster.known(vote);
            self.hold(Vote { term, candidate, spot: seen.spot }, seen, found);
        } else if seen.line.name == name::BECOME_CANDIDATE
            && let Some(term) = seen.line.term
        {
            self.hold(Vote { term, candidate: seen.node, spot: seen.spot }, seen, found);
        }
        if let Some((from, to, term)) = seen.grant(name::SEND_REQUEST_VOTE_RESPONSE)
            && seen.roster.known(from) == seen.node
        {
            let vote = Vote { term, candidate: seen.roster.known(to), spot: seen.spot };
            self.sent(vote, seen, found);
        }
        if let Some((from, to, term)) = seen.grant(name::RECEIVE_REQUEST_VOTE_RESPONSE) {
            let vote = Vote { term, candidate: seen.roster.known(to), spot: seen.spot };
            self.give(seen.roster.known(from), vote, false, seen, found);
        }
        self.observe_candidacy(seen, found);
    }

    /// Who asks for votes has voted for itself.
    fn observe_candidacy(&mut self, seen: &Seen<'_>, found: &mut Found) {
        let asked =
            matches!(&*seen.line.name, name::SEND_REQUEST_VOTE_REQUEST | name::RECEIVE_REQUEST_VOTE_REQUEST);
        let Some(letter) = seen.line.message.as_deref().filter(|_| asked) else { return };
        let real = letter.kind.as_deref().is_none_or(|kind| kind == "MsgVote");
        let Some(term) = letter.term.filter(|_| real) else { return };
        let from = seen.roster.known(&letter.from);
        let vote = Vote { term, candidate: from, spot: seen.spot };
        if from != seen.node {
            self.give(from, vote, false, seen, found);
        } else if seen.line.name == name::SEND_REQUEST_VOTE_REQUEST {
            self.sent(vote, seen, found);
        }
    }

    /// A vote in the node's memory.
    fn hold(&mut self, vote: Vote, seen: &Seen<'_>, found: &mut Found) {
        if let Some(held) = self.held[seen.node].filter(|held| held.term == vote.term) {
            // Where no start was told, a restart may lie between.
            if held.candidate != vote.candidate && seen.now.lives > 0 {
                accuse(seen.node, held.candidate, held.spot, vote, seen, found);
            }
            return;
        }
        let given = self.given.get(&(seen.node, vote.term)).filter(|given| given.own);
        if let Some(given) = given.filter(|given| given.candidate != vote.candidate && !self.forgetful) {
            accuse(seen.node, given.candidate, given.spot, vote, seen, found);
        }
        self.held[seen.node] = Some(vote);
    }

    /// A vote that the node says it sent.
    fn sent(&mut self, vote: Vote, seen: &Seen<'_>, found: &mut Found) {
        if seen.now.careful {
            self.give(seen.node, vote, true, seen, found);
        } else if seen.line.term == Some(vote.term) && seen.line.vote.is_none() {
            self.hold(vote, seen, found);
        }
    }

    fn give(&mut self, voter: NodeId, vote: Vote, own: bool, seen: &Seen<'_>, found: &mut Found) {
        let fresh = Given { candidate: vote.candidate, spot: vote.spot, own };
        let known = self.given.entry((voter, vote.term)).or_insert(fresh);
        known.own |= own && known.candidate == vote.candidate;
        let (candidate, spot) = (known.candidate, known.spot);
        if candidate != vote.candidate && !self.forgetful {
            accuse(voter, candidate, spot, vote, seen, found);
        }
    }
}

fn accuse(voter: NodeId, first: NodeId, spot: Spot, vote: Vote, seen: &Seen<'_>, found: &mut Found) {
    let about = About {
        class: "voted-twice",
        node: voter,
        term: Some(vote.term),
        index: None,
        events: [spot, vote.spot],
    };
    found.add(&about, seen.roster, || {
        format!(
            "{} voted for {} in term {} ({}) and for {} in the same term ({}): a node has one vote a term",
            seen.roster.name(voter),
            seen.roster.name(first),
            vote.term,
            seen.roster.place(spot),
            seen.roster.name(vote.candidate),
            seen.roster.place(vote.spot)
        )
    });
}
