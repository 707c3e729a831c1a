//! Promises survive a restart: what a node told others it finds again on its disk (Ongaro 2014, section 3.8).
//!
//! Its term is no lower than that of any vote, candidacy or acknowledgement it sent; a vote that it gave in that
//! term is still its vote; its log still has what it acknowledged or called durable and nothing has overwritten
//! since. Judged only of nodes that count their starts (`boot`): they say that a promise is durable before its
//! `Send` line. A crash may leave a disk with more than the trace tells, never with less.

use crate::consensus::facts::{NodeId, Seen, Spot};
use crate::consensus::log::Log;
use crate::consensus::violation::{About, Found};
use elenchus_core::trace::name;

#[derive(Debug, Default)]
pub(super) struct Promises {
    nodes: Vec<Promised>,
    /// How many restarts were compared with what was promised before.
    restarts: u64,
    forgetful: bool,
}

/// What a node owes.
#[derive(Clone, Debug, Default)]
struct Promised {
    /// The highest term of a promise.
    term: Option<(u64, Spot)>,
    /// A vote: its term and the candidate.
    vote: Option<(u64, NodeId, Spot)>,
    /// How far its log must be there.
    held: Option<(u64, Spot)>,
    /// Its log before this line.
    log: Option<Log>,
}

impl Promises {
    /// How many restarts were compared with what was promised before.
    pub fn restarts(&self) -> u64 {
        self.restarts
    }

    /// What a disk holds may be forgotten.
    pub fn forget(&mut self) {
        self.forgetful = true;
    }

    pub fn observe(&mut self, seen: &Seen<'_>, found: &mut Found) {
        if self.forgetful {
            return;
        }
        if self.nodes.len() <= seen.node {
            self.nodes.resize(seen.node + 1, Promised::default());
        }
        let node = &mut self.nodes[seen.node];
        match &*seen.line.name {
            name::INIT_STATE => {
                if seen.now.careful {
                    self.restarts += u64::from(node.term.is_some() || node.held.is_some());
                    node.compare(seen, found);
                }
                node.go_on(seen);
            }
            name::APPEND => {
                let keep = seen.line.first.map_or(0, |first| first.saturating_sub(1));
                node.cut(keep);
                node.log.clone_from(&seen.now.log);
            }
            name::INSTALL_SNAPSHOT => {
                // Until the snapshot is durable, a crash may bring back what it has taken the place of.
                node.cut(seen.line.base.map_or(0, |base| base.index.saturating_sub(1)));
                node.log.clone_from(&seen.now.log);
            }
            name::PERSIST => node.hold(seen.line.index.unwrap_or(0), seen),
            _ => {}
        }
        node.observe_letters(seen);
    }
}

impl Promised {
    /// Begins another life. What was promised stays so; what was found may not be durable yet.
    fn go_on(&mut self, seen: &Seen<'_>) {
        if !seen.now.careful {
            *self = Promised::default();
        }
        self.cut(seen.line.log.unwrap_or(0));
        self.log.clone_from(&seen.now.log);
    }

    fn observe_letters(&mut self, seen: &Seen<'_>) {
        if let Some((from, to, term)) = seen.grant(name::SEND_REQUEST_VOTE_RESPONSE)
            && seen.roster.known(from) == seen.node
        {
            self.vote_sent(term, seen.roster.known(to), seen.spot);
        }
        if seen.line.name == name::SEND_REQUEST_VOTE_REQUEST
            && let Some(letter) = seen.line.message.as_deref()
            && let Some(term) =
                letter.term.filter(|_| letter.kind.as_deref().is_none_or(|kind| kind == "MsgVote"))
        {
            self.vote_sent(term, seen.node, seen.spot);
        }
        if let Some((from, _, term, index)) = seen.acknowledgement(name::SEND_APPEND_ENTRIES_RESPONSE)
            && seen.roster.known(from) == seen.node
        {
            self.term_sent(term, seen.spot);
            // An older term's may have been overwritten since.
            if seen.line.term == Some(term) {
                self.hold(index, seen);
            }
        }
    }

    fn term_sent(&mut self, term: u64, spot: Spot) {
        if self.term.is_none_or(|(known, _)| known < term) {
            self.term = Some((term, spot));
        }
    }

    fn vote_sent(&mut self, term: u64, candidate: NodeId, spot: Spot) {
        self.term_sent(term, spot);
        if self.vote.is_none_or(|(known, ..)| known < term) {
            self.vote = Some((term, candidate, spot));
        }
    }

    fn hold(&mut self, index: u64, seen: &Seen<'_>) {
        if self.held.is_none_or(|(known, _)| known < index) {
            self.held = Some((index, seen.spot));
        }
    }

    fn cut(&mut self, keep: u64) {
        if let Some((held, _)) = &mut self.held {
            *held = keep.min(*held);
        }
    }

    /// Compares what was promised with what the node has found.
    fn compare(&self, seen: &Seen<'_>, found: &mut Found) {
        let (node, roster) = (seen.node, seen.roster);
        let about = |class, term, index, spot| About { class, node, term, index, events: [spot, seen.spot] };
        let here = || format!("{} started again ({})", roster.name(node), roster.place(seen.spot));
        let term = seen.line.term;
        if let Some(((promised, spot), term)) =
            self.term.zip(term).filter(|((promised, _), term)| term < promised)
        {
            found.add(&about("forgot-term", Some(promised), None, spot), roster, || {
                let place = roster.place(spot);
                format!(
                    "{} in term {term}, though it had promised something in term {promised} ({place})",
                    here()
                )
            });
        }
        if let Some((promised, candidate, spot)) = self.vote
            && term == Some(promised)
            && let Some(vote) = &seen.line.vote
            && vote.as_ref().map(|vote| roster.known(vote)) != Some(candidate)
        {
            found.add(&about("forgot-vote", term, None, spot), roster, || {
                let now = vote
                    .as_ref()
                    .map_or("without a vote".into(), |vote| format!("with a vote for node {vote}"));
                let (to, place) = (roster.name(candidate), roster.place(spot));
                format!("{} in term {promised} {now}, though it had voted for {to} ({place})", here())
            });
        }
        if let Some((held, spot)) = self.held
            && let Some(index) = self.lost(held, seen)
        {
            found.add(&about("forgot-entries", term, Some(index), spot), roster, || {
                let place = roster.place(spot);
                format!(
                    "{} without its entry {index}, though it held the log up to {held} durably ({place})",
                    here()
                )
            });
        }
    }

    /// The first index up to `held` that is no longer what it was.
    fn lost(&self, held: u64, seen: &Seen<'_>) -> Option<u64> {
        let short = seen.line.log.filter(|last| *last < held).map(|last| last + 1);
        let differs =
            self.log.as_ref().zip(seen.now.log.as_ref()).and_then(|(before, now)| before.differs(now, held));
        // Where only what was known before has ended, nothing was lost.
        let differs = differs.filter(|(_, before, _)| before.is_some()).map(|(at, ..)| at);
        short.into_iter().chain(differs).min()
    }
}
