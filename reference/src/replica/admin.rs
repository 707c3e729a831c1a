//! What is asked of the cluster rather than of its store: changes of the membership, transfers of the office.
//!
//! Such a request goes to the leader as a client's does, and is answered with as much care: not done if it
//! was certainly refused, in doubt if the leader lost office with it. A change is done when a configuration
//! that is not joint is committed at or after its entry; a transfer when its successor is seen to lead.

use crate::codec::{Reader, Write};
use crate::protocol::{Connection, Output, Peer};
use crate::raft::Effects;
use crate::raft::change::Change;
use crate::raft::entry::{Index, Term};
use crate::replica::RaftReplica;
use crate::replica::office::Origin;
use crate::wire::Answer;

/// A request, as it is forwarded. None begins with a byte that a client's request begins with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Admin {
    Change(Change),
    Transfer(Peer),
}

/// A transfer that is to be answered.
#[derive(Clone, Debug)]
pub(super) struct Handover {
    to: Peer,
    origin: Origin,
    /// The term that this server leads or led.
    term: Term,
    /// Whether the successor was told to stand.
    told: bool,
}

impl Admin {
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        match self {
            Admin::Change(Change { voters, learners, joint }) => {
                bytes.u8(16);
                for set in [voters, learners] {
                    bytes.u32(set.len() as u32);
                    set.iter().for_each(|peer| bytes.u16(peer.0));
                }
                bytes.u8(u8::from(*joint));
            }
            Admin::Transfer(to) => {
                bytes.u8(17);
                bytes.u16(to.0);
            }
        }
        bytes
    }

    pub fn decode(bytes: &[u8]) -> Option<Admin> {
        let mut reader = Reader::new(bytes);
        let admin = match reader.u8()? {
            16 => {
                let mut set = || {
                    let count = reader.u32()?;
                    reader.many(count, |reader| reader.u16().map(Peer))
                };
                let (voters, learners) = (set()?.into_iter().collect(), set()?.into_iter().collect());
                Admin::Change(Change { voters, learners, joint: reader.u8()? != 0 })
            }
            17 => Admin::Transfer(Peer(reader.u16()?)),
            _ => return None,
        };
        reader.end()?;
        Some(admin)
    }
}

impl Handover {
    /// Whether nobody listens for its answer any more.
    pub fn was_for(&self, gone: Connection) -> bool {
        matches!(self.origin, Origin::Client { connection, .. } if connection == gone)
    }
}

impl RaftReplica {
    /// Begins a request as the leader.
    pub(super) fn lead_admin(
        &mut self,
        origin: Origin,
        admin: &Admin,
        fx: &mut Effects,
        out: &mut Vec<Output>,
    ) {
        let begun = match admin {
            Admin::Change(change) => {
                self.raft.change(change, fx).map(|index| self.owe_change(index, origin, out))
            }
            Admin::Transfer(to) => self.raft.transfer(*to, fx).map(|()| self.owe_transfer(*to, origin, out)),
        };
        if let Err(refusal) = begun {
            self.answer(origin, Answer::NotDone { why: refusal.to_string() }, out);
        }
    }

    fn owe_change(&mut self, index: Index, origin: Origin, out: &mut Vec<Output>) {
        if index <= self.applied {
            self.answer(origin, self.configuration(), out);
        } else if let Some(office) = &mut self.office {
            office.owe_change(index, origin);
        }
    }

    fn owe_transfer(&mut self, to: Peer, origin: Origin, out: &mut Vec<Output>) {
        if to == self.config.me {
            return self.answer(origin, Answer::Done { results: Vec::new() }, out);
        }
        self.handover = Some(Handover { to, origin, term: self.raft.term(), told: false });
    }

    /// Answers a transfer once it is known what became of it.
    pub(super) fn settle_handover(&mut self, out: &mut Vec<Output>) {
        let Some(handover) = &mut self.handover else { return };
        let leads = self.raft.is_leader() && self.raft.term() == handover.term;
        if leads && let Some((_, told)) = self.raft.transferring() {
            handover.told |= told;
            return;
        }
        let (to, origin, told) = (handover.to, handover.origin, handover.told);
        let answer = match self.raft.leader() {
            None => return,
            Some(leader) if leader == to => Answer::Done { results: Vec::new() },
            Some(leader) => {
                let why = format!("node {} leads term {}", leader.0, self.raft.term());
                if told { Answer::InDoubt { why } } else { Answer::NotDone { why } }
            }
        };
        self.handover = None;
        self.answer(origin, answer, out);
    }

    /// The configuration in force here.
    pub(super) fn configuration(&self) -> Answer {
        let (index, membership) = self.raft.membership();
        Answer::Configuration {
            voters: membership.voters.iter().copied().collect(),
            outgoing: membership.outgoing.iter().copied().collect(),
            learners: membership.learners.iter().copied().collect(),
            index: index.0,
            committed: index <= self.raft.commit(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kv::request::Request;

    #[test]
    fn a_request_survives_its_encoding_and_is_no_clients() {
        let (voters, learners) = ([Peer(0), Peer(9)].into(), [Peer(3)].into());
        for admin in [Admin::Change(Change { voters, learners, joint: true }), Admin::Transfer(Peer(7))] {
            let bytes = admin.encode();
            assert_eq!(Admin::decode(&bytes), Some(admin));
            assert_eq!(Request::decode(&bytes), None);
            for length in 0..bytes.len() {
                assert_eq!(Admin::decode(&bytes[..length]), None);
            }
        }
        assert_eq!(Admin::decode(&Request::Register.encode()), None);
    }
}
