//! Who asks the cluster to change its members and its leader, and counts what comes of it.

use std::collections::BTreeSet;

use elenchus_core::random::Rng;
use elenchus_reference::protocol::Peer;
use elenchus_reference::raft::membership::Membership;
use elenchus_reference::wire::{Answer, ToClient, ToNode};

/// The requests, and how they ended.
#[derive(Debug, Default)]
pub struct Reform {
    asked: u64,
    /// Changes that were committed.
    pub changed: usize,
    /// Transfers whose successor led.
    pub transferred: usize,
    pub not_done: usize,
    pub doubt: usize,
}

impl Reform {
    /// Asks a cluster of `peers` nodes, of which somebody believes that `now` is in force, for something else.
    pub fn ask(&mut self, now: &Membership, peers: u16, rng: &mut Rng) -> Vec<u8> {
        self.asked += 1;
        let id = self.asked;
        let message = match rng.below(3) {
            0 => ToNode::Transfer { id, to: Peer(rng.below(u64::from(peers)) as u16) },
            1 => one_step(id, now, Peer(rng.below(u64::from(peers)) as u16)),
            _ => anything(id, now, peers, rng),
        };
        serde_json::to_vec(&message).unwrap()
    }

    pub fn answered(&mut self, bytes: &[u8]) {
        let ToClient { answer, .. } = serde_json::from_slice(bytes).unwrap();
        match answer {
            Answer::Configuration { outgoing, committed, .. } => {
                assert!(committed && outgoing.is_empty(), "Change: answered before it is complete");
                self.changed += 1;
            }
            Answer::Done { .. } => self.transferred += 1,
            Answer::NotDone { .. } => self.not_done += 1,
            Answer::InDoubt { .. } => self.doubt += 1,
            other => panic!("{other:?} answers no such request"),
        }
    }
}

/// A voter becomes a learner, a learner a voter, a stranger a learner.
fn one_step(id: u64, now: &Membership, peer: Peer) -> ToNode {
    let (mut voters, mut learners) = (now.voters.clone(), now.learners.clone());
    if learners.remove(&peer) {
        voters.insert(peer);
    } else {
        voters.remove(&peer);
        learners.insert(peer);
    }
    change(id, &voters, &learners, false)
}

/// Any of those who have the log vote, others learn or leave.
fn anything(id: u64, now: &Membership, peers: u16, rng: &mut Rng) -> ToNode {
    let (mut voters, mut learners) = (BTreeSet::new(), BTreeSet::new());
    for peer in (0..peers).map(Peer) {
        match rng.below(4) {
            0 | 1 if now.contains(peer) => voters.insert(peer),
            0..3 => learners.insert(peer),
            _ => false,
        };
    }
    change(id, &voters, &learners, true)
}

fn change(id: u64, voters: &BTreeSet<Peer>, learners: &BTreeSet<Peer>, joint: bool) -> ToNode {
    let (voters, learners) = (voters.iter().copied().collect(), learners.iter().copied().collect());
    ToNode::Change { id, voters, learners, joint }
}
