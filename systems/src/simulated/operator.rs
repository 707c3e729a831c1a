//! Who changes the members of a simulated cluster, by the nodes' own requests, as operators do.
//!
//! One is patient and takes a step at a time, one goes through a joint configuration, one is hasty: it asks every node
//! that believes to lead for several steps in a row, and waits for no answer. A protocol must refuse what it cannot
//! bear. Some hand the office over first. A node that is removed ends; when it is taken back it has its old log.
//!
//! Everything that was removed meanwhile comes back with the node that is taken back, unless it is to stay out.

use super::{Awaited, Simulated};
use elenchus_core::cluster::Cluster;
use elenchus_core::outcome::Cause;
use elenchus_core::process::NodeId;
use elenchus_core::random::Rng;
use elenchus_reference::protocol::Peer;
use elenchus_reference::wire::{Answer, ToClient, ToNode};
use std::collections::BTreeSet;
use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

/// How long a node may take to answer.
const ANSWER_MAX: Duration = Duration::from_secs(2);
/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(150);
/// How long between two looks of one who cannot wait.
pub(super) const GLANCE: Duration = Duration::from_micros(200);
/// So many attempts.
const TRIES: u32 = 60;
/// So many of them are hasty, if any are: longer than an election takes.
const HASTY_TRIES: u32 = 20;
/// How many steps the hasty ask for at once, at most.
const HASTE_MAX: u64 = 4;

/// How somebody goes about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    Patient,
    Joint,
    Hasty,
}

/// The configuration that a leader has in force.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Members {
    leader: Peer,
    voters: BTreeSet<Peer>,
    learners: BTreeSet<Peer>,
    /// Whether it is committed and no step on the way to another.
    settled: bool,
}

impl Simulated {
    /// Removes a node from the cluster, then ends it.
    pub(super) async fn remove(&self, name: &NodeId) -> Result<(), Cause> {
        let node = self.peer(name).ok_or_else(|| Cause::from(format!("{name} is no node here")))?;
        let mut rng = self.operator(node);
        self.out.borrow_mut().insert(node);
        let manner = match rng.below(4) {
            0 => Manner::Patient,
            1 => Manner::Joint,
            _ => Manner::Hasty,
        };
        if rng.chance(1, 3) {
            self.hand_over(&mut rng);
        }
        let mut seen = None;
        for attempt in 0..TRIES {
            if let Some(members) = self.members().await {
                let is_in = members.voters.contains(&node) || members.learners.contains(&node);
                if !is_in && members.settled {
                    return self.kill(name).await;
                }
                match manner {
                    // Haste that has come to nothing so often gives way to patience.
                    Manner::Hasty if attempt < HASTY_TRIES => self.haste(node, &mut rng).await,
                    Manner::Joint if attempt < 4 => {
                        let (mut voters, mut learners) = (members.voters.clone(), members.learners.clone());
                        voters.remove(&node);
                        learners.remove(&node);
                        demote(&mut voters, &mut learners, &mut rng);
                        self.change(members.leader, &voters, &learners, true).await;
                    }
                    _ => {
                        let (mut voters, mut learners) = (members.voters.clone(), members.learners.clone());
                        voters.remove(&node);
                        learners.remove(&node);
                        self.change(members.leader, &voters, &learners, false).await;
                    }
                }
                seen = Some(members);
            }
            if manner == Manner::Hasty {
                self.watch_the_leaders().await;
            } else {
                self.sleep(PAUSE).await;
            }
        }
        self.out.borrow_mut().remove(&node);
        Err(format!("{name} is still a member; last seen: {seen:?}").into())
    }

    /// Takes a node back: first it learns, then it votes.
    pub(super) async fn take_back(&self, name: &NodeId) -> Result<(), Cause> {
        let node = self.peer(name).ok_or_else(|| Cause::from(format!("{name} is no node here")))?;
        let mut rng = self.operator(node);
        self.out.borrow_mut().remove(&node);
        self.start(name).await?;
        let at_once = rng.chance(1, 2);
        let mut seen = None;
        for _ in 0..TRIES {
            if let Some(members) = self.members().await {
                let wanted = self.wanted();
                if members.settled && wanted.is_subset(&members.voters) {
                    return Ok(());
                }
                self.step_towards(&members, &wanted, at_once).await;
                seen = Some(members);
            }
            self.sleep(PAUSE).await;
        }
        Err(format!("{name} is no member yet; last seen: {seen:?}").into())
    }

    async fn step_towards(&self, members: &Members, wanted: &BTreeSet<Peer>, at_once: bool) {
        let Members { leader, voters, learners, .. } = members;
        let strangers = || wanted.iter().filter(|peer| !voters.contains(peer) && !learners.contains(peer));
        if strangers().next().is_some() {
            let learners = learners.iter().chain(strangers()).copied().collect();
            self.change(*leader, voters, &learners, false).await;
            return;
        }
        let (mut voters, mut learners) = (voters.clone(), learners.clone());
        let ready: Vec<Peer> = learners.intersection(wanted).copied().collect();
        for peer in ready.into_iter().take(if at_once { usize::MAX } else { 1 }) {
            learners.remove(&peer);
            voters.insert(peer);
        }
        self.change(*leader, &voters, &learners, at_once).await;
    }

    /// Asks every node that believes to lead for some steps in a row, each as if those before it were done.
    async fn haste(&self, node: Peer, rng: &mut Rng) {
        for leader in self.leaders() {
            let Some(Members { mut voters, mut learners, .. }) = self.members_of(leader).await else {
                continue;
            };
            // One who hears first of something else may have another configuration than the others.
            let first = rng.chance(1, 2);
            if first && (voters.remove(&node) || learners.remove(&node)) {
                self.send_change(leader, &voters, &learners, false);
            }
            for _ in 0..rng.between(1, HASTE_MAX) {
                let others: Vec<Peer> = self.wanted().into_iter().collect();
                let other = others[rng.below(others.len() as u64) as usize];
                if learners.remove(&other) {
                    voters.insert(other);
                } else if voters.len() > 1 && voters.remove(&other) {
                    learners.insert(other);
                }
                self.send_change(leader, &voters, &learners, false);
            }
        }
    }

    /// Waits, but no longer than until another set of nodes believes to lead.
    async fn watch_the_leaders(&self) {
        let (known, until) = (self.leaders(), self.now() + PAUSE);
        while self.now() < until && self.leaders() == known {
            self.sleep(GLANCE).await;
        }
    }

    /// Asks somebody to let somebody lead, and does not wait.
    fn hand_over(&self, rng: &mut Rng) {
        let nodes = self.nodes.len() as u64;
        let (asked, to) = (Peer(rng.below(nodes) as u16), Peer(rng.below(nodes) as u16));
        self.send(asked, |id| ToNode::Transfer { id, to });
    }

    /// All nodes that are to be members.
    fn wanted(&self) -> BTreeSet<Peer> {
        let out = self.out.borrow();
        self.universe.borrow().peers().filter(|peer| !out.contains(peer)).collect()
    }

    pub(super) fn leaders(&self) -> Vec<Peer> {
        let universe = self.universe.borrow();
        let leads = |peer: &Peer| universe.status(*peer).is_some_and(|status| status.role == "leader");
        universe.peers().filter(leads).collect()
    }

    /// What the leader of the latest term has in force.
    async fn members(&self) -> Option<Members> {
        let term = |peer: &Peer| self.universe.borrow().status(*peer).map_or(0, |status| status.term);
        let leader = self.leaders().into_iter().max_by_key(term)?;
        self.members_of(leader).await
    }

    async fn members_of(&self, leader: Peer) -> Option<Members> {
        match self.ask(leader, |id| ToNode::Configuration { id }).await? {
            Answer::Configuration { voters, outgoing, learners, committed, .. } => Some(Members {
                leader,
                voters: voters.into_iter().collect(),
                learners: learners.into_iter().collect(),
                settled: committed && outgoing.is_empty(),
            }),
            _ => None,
        }
    }

    async fn change(&self, leader: Peer, voters: &BTreeSet<Peer>, learners: &BTreeSet<Peer>, joint: bool) {
        self.ask(leader, |id| change(id, voters, learners, joint)).await;
    }

    fn send_change(&self, leader: Peer, voters: &BTreeSet<Peer>, learners: &BTreeSet<Peer>, joint: bool) {
        self.send(leader, |id| change(id, voters, learners, joint));
    }

    /// Asks a node, and does not wait for what it says.
    fn send(&self, node: Peer, request: impl FnOnce(u64) -> ToNode) {
        let errand = self.next_errand();
        let mut universe = self.universe.borrow_mut();
        universe.ask(node, errand, encoded(&request(errand)));
        universe.forget_errand(errand);
    }

    /// What a node answers; `None` if it does not.
    async fn ask(&self, node: Peer, request: impl FnOnce(u64) -> ToNode) -> Option<Answer> {
        let errand = self.next_errand();
        if !self.universe.borrow_mut().ask(node, errand, encoded(&request(errand))) {
            return None;
        }
        let until = self.now() + ANSWER_MAX;
        let alarm = self.next_alarm(until);
        let bytes = poll_fn(|cx| {
            if let Some(answer) = self.answers.borrow_mut().remove(&errand) {
                return Poll::Ready(answer);
            }
            if self.now() >= until {
                return Poll::Ready(None);
            }
            let _: Poll<()> = self.wait(Awaited::Alarm(alarm), cx);
            self.wait(Awaited::Errand(errand), cx)
        })
        .await;
        self.universe.borrow_mut().forget_errand(errand);
        self.waiting.borrow_mut().remove(&Awaited::Errand(errand));
        self.waiting.borrow_mut().remove(&Awaited::Alarm(alarm));
        serde_json::from_slice::<ToClient>(&bytes?).ok().map(|message| message.answer)
    }

    fn next_errand(&self) -> u64 {
        let mut errands = self.errands.borrow_mut();
        *errands += 1;
        *errands
    }

    /// The choices of who deals with a node now, each time others.
    fn operator(&self, node: Peer) -> Rng {
        let mut deeds = self.deeds.borrow_mut();
        let nth = deeds.entry(node).or_insert(0);
        *nth += 1;
        self.operators.nth(u64::from(node.0)).nth(*nth).rng()
    }
}

/// One more of three or more voters only learns, perhaps.
fn demote(voters: &mut BTreeSet<Peer>, learners: &mut BTreeSet<Peer>, rng: &mut Rng) {
    if voters.len() > 3
        && rng.chance(1, 2)
        && let Some(&peer) = voters.iter().nth(rng.below(voters.len() as u64) as usize)
    {
        voters.remove(&peer);
        learners.insert(peer);
    }
}

fn change(id: u64, voters: &BTreeSet<Peer>, learners: &BTreeSet<Peer>, joint: bool) -> ToNode {
    let (voters, learners) = (voters.iter().copied().collect(), learners.iter().copied().collect());
    ToNode::Change { id, voters, learners, joint }
}

fn encoded(request: &ToNode) -> Vec<u8> {
    serde_json::to_vec(request).expect("a request has only numbers")
}
