//! Leadership transfer (section 3.10): a leader that wants to go names its successor.
//!
//! It takes nothing new into its log, brings the successor's log up to its own, and tells it to stand for
//! election at once. If that has come to nothing after an election timeout, it takes up its work again. It does
//! not know then whether the successor was told, and may still win; so for the rest of its term it no longer
//! trusts leases.

use crate::protocol::Peer;
use crate::raft::change::Refusal;
use crate::raft::message::Body;
use crate::raft::{Effects, Raft, Role};

/// How often a leader counts its followers before it gives a transfer up: more than an election timeout.
const COUNTS_MAX: u8 = 2;

/// A transfer under way.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Transfer {
    pub to: Peer,
    /// Whether the successor was told.
    pub told: bool,
    /// How often the leader has counted its followers since it began.
    pub counts: u8,
}

impl Raft {
    /// Begins to hand the office over to `to`.
    pub fn transfer(&mut self, to: Peer, fx: &mut Effects) -> Result<(), Refusal> {
        let votes = self.membership().1.voters.contains(&to);
        let me = self.config.me;
        let Role::Leader(leader) = &mut self.role else { return Err(Refusal::NotLeader) };
        if leader.transfer.is_some() {
            return Err(Refusal::Transferring);
        }
        if !votes {
            return Err(Refusal::NoVoter(to));
        }
        if to != me {
            leader.transfer = Some(Transfer { to, told: false, counts: 0 });
            self.advance_transfer(fx);
        }
        Ok(())
    }

    /// Whom a transfer under way is to, and whether it was told.
    pub fn transferring(&self) -> Option<(Peer, bool)> {
        let Role::Leader(leader) = &self.role else { return None };
        leader.transfer.as_ref().map(|transfer| (transfer.to, transfer.told))
    }

    /// Tells the successor, once its log is complete.
    pub(super) fn advance_transfer(&mut self, fx: &mut Effects) {
        let last = self.log.last_index();
        let Role::Leader(leader) = &mut self.role else { return };
        let Some(transfer) = &mut leader.transfer else { return };
        let complete = leader.followers.get(&transfer.to).is_some_and(|follower| follower.matched == last);
        if complete && !transfer.told {
            transfer.told = true;
            leader.trusts_lease = false;
            fx.send(transfer.to, self.term, Body::TimeoutNow);
        }
    }

    /// The leader has counted its followers: a transfer that lasts too long is given up.
    pub(super) fn count_transfer(&mut self) {
        let Role::Leader(leader) = &mut self.role else { return };
        if let Some(transfer) = &mut leader.transfer {
            transfer.counts += 1;
        }
        leader.transfer.take_if(|transfer| transfer.counts >= COUNTS_MAX);
    }

    /// Tells the voter with the longest log to stand for election.
    pub(super) fn hand_to_the_best(&mut self, fx: &mut Effects) {
        let voters = self.membership().1.voters.clone();
        let Role::Leader(leader) = &mut self.role else { return };
        let voting = leader.followers.iter().filter(|(peer, _)| voters.contains(peer));
        if let Some((best, _)) = voting.max_by_key(|(_, follower)| follower.matched) {
            fx.send(*best, self.term, Body::TimeoutNow);
        }
    }

    /// The leader of this term wants this server to succeed it.
    pub(super) fn succeed(&mut self, fx: &mut Effects) {
        if !self.is_leader() && self.may_stand() {
            fx.patience = true;
            self.leader = None;
            self.campaign(true, fx);
        }
    }
}
