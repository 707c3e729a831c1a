//! The simulated system: the bundled cluster's own nodes, in one thread of virtual time.
//!
//! | module | its part |
//! |---|---|
//! | `client` | what workloads speak to |
//! | `cluster` | what nemeses break |
//! | `operator` | who changes the cluster's members |
//!
//! Nothing here waits for real time: whoever owns a [`Simulated`] lets its time pass, and whoever awaits something is
//! woken when it has happened there.

mod client;
mod cluster;
mod operator;

use elenchus_core::process::NodeId;
use elenchus_core::random::Seed;
use elenchus_core::time::Time;
use elenchus_core::trace::Line;
use elenchus_core::world::Note;
use elenchus_reference::protocol::Peer;
use elenchus_reference::sim::{ClientId, Make, News, Simulation, Universe};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::future::poll_fn;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

pub use client::{CAPABILITIES, SimulatedConnector};

/// A universe with names, and with those who wait for it.
pub struct Simulated {
    universe: RefCell<Universe>,
    nodes: Vec<NodeId>,
    waiting: RefCell<BTreeMap<Awaited, Waker>>,
    alarms: RefCell<u64>,
    operation_max: Duration,
    /// Where the choices of operators begin.
    operators: Seed,
    /// How often somebody has dealt with a node's membership.
    deeds: RefCell<BTreeMap<Peer, u64>>,
    /// Nodes that are to be no members.
    out: RefCell<BTreeSet<Peer>>,
    errands: RefCell<u64>,
    /// What was answered to those who wait for it; `None`: the node died.
    answers: RefCell<BTreeMap<u64, Option<Vec<u8>>>>,
}

/// What somebody can wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Awaited {
    /// The end of a client's operation.
    Client(ClientId),
    /// A time.
    Alarm(u64),
    /// The end of a node.
    Node(Peer),
    /// The answer to an errand.
    Errand(u64),
}

impl Simulated {
    /// A cluster of which no node runs yet. Its operations end after `operation_max` at the latest.
    pub fn new(
        seed: Seed,
        nodes: &[NodeId],
        simulation: &Simulation,
        operation_max: Duration,
        make: Make,
    ) -> Simulated {
        let universe = Universe::new(seed, nodes.len() as u16, simulation.weather, make);
        Simulated {
            universe: RefCell::new(universe.with_patience(simulation.patience())),
            nodes: nodes.to_vec(),
            waiting: RefCell::default(),
            alarms: RefCell::default(),
            operation_max,
            operators: seed.stream("operators"),
            deeds: RefCell::default(),
            out: RefCell::default(),
            errands: RefCell::default(),
            answers: RefCell::default(),
        }
    }

    /// The time in the universe.
    pub fn now(&self) -> Time {
        Time(self.universe.borrow().now())
    }

    /// Priorities of links, if there are any, count from now on for so long: not while a cluster comes up, nor when it
    /// is to recover.
    pub fn rank_for(&self, time: Duration) {
        let from = self.now();
        self.universe.borrow_mut().rank(from.0..(from + time).0);
    }

    /// How many inputs all nodes have taken.
    pub fn steps(&self) -> u64 {
        self.universe.borrow().steps()
    }

    /// Starts all nodes.
    pub fn start_all(&self) {
        let mut universe = self.universe.borrow_mut();
        universe.peers().for_each(|node| universe.start(node));
    }

    /// Whether some node says that it leads.
    pub fn has_leader(&self) -> bool {
        let universe = self.universe.borrow();
        universe.peers().any(|node| universe.status(node).is_some_and(|status| status.role == "leader"))
    }

    /// Whether somebody is to be woken, or something noted, before more happens.
    pub fn has_news(&self) -> bool {
        self.universe.borrow().has_news()
    }

    /// Lets the next thing happen, if it happens until then (else the time is then), and wakes whoever waited for
    /// it. Returns whether anything happened, and what a log should note.
    ///
    /// News comes at once, before time goes on: else it would depend on when others look who would be woken when.
    pub fn advance(&self, until: Time, notes: &mut Vec<Note>) -> bool {
        let mut universe = self.universe.borrow_mut();
        let happened = universe.has_news() || universe.advance(until.0);
        while let Some(news) = universe.news() {
            let awaited = match news {
                News::Ended(client) => Awaited::Client(client),
                News::Alarm(alarm) => Awaited::Alarm(alarm),
                News::Killed(node) => Awaited::Node(node),
                News::Answered { errand, answer } => {
                    if self.waiting.borrow().contains_key(&Awaited::Errand(errand)) {
                        self.answers.borrow_mut().insert(errand, answer);
                    }
                    Awaited::Errand(errand)
                }
                News::Leads { node, term } => {
                    notes.push(self.note("leader", node, ("term", term.to_string())));
                    continue;
                }
                News::Turned { fault, side } => {
                    let names: Vec<&str> = side.iter().map(|peer| self.name(*peer).as_str()).collect();
                    let fields = vec![("fault", fault.0.to_string()), ("apart", names.join(", "))];
                    notes.push(Note { f: "turn", fields });
                    continue;
                }
                News::Exited { node, why } => {
                    notes.push(self.note("exit", node, ("status", why)));
                    continue;
                }
            };
            if let Some(waker) = self.waiting.borrow_mut().remove(&awaited) {
                waker.wake();
            }
        }
        happened
    }

    fn note(&self, f: &'static str, node: Peer, field: (&'static str, String)) -> Note {
        Note { f, fields: vec![("node", self.name(node).to_string()), field] }
    }

    /// Hands over what the nodes have traced since this was last asked.
    pub fn traced(&self, mut take: impl FnMut(&NodeId, &Line)) {
        for (node, line) in self.universe.borrow_mut().traced() {
            take(&self.nodes[usize::from(node.0)], &line);
        }
    }

    /// Lasts so long, in the universe's time.
    pub async fn sleep(&self, time: Duration) {
        let at = self.now() + time;
        let alarm = self.next_alarm(at);
        poll_fn(|cx| if self.now() >= at { Poll::Ready(()) } else { self.wait(Awaited::Alarm(alarm), cx) })
            .await;
    }

    fn next_alarm(&self, at: Time) -> u64 {
        let mut alarms = self.alarms.borrow_mut();
        *alarms += 1;
        self.universe.borrow_mut().wake_at(at.0, *alarms);
        *alarms
    }

    fn wait<T>(&self, awaited: Awaited, cx: &Context<'_>) -> Poll<T> {
        self.waiting.borrow_mut().insert(awaited, cx.waker().clone());
        Poll::Pending
    }

    fn name(&self, node: Peer) -> &NodeId {
        &self.nodes[usize::from(node.0)]
    }

    fn peer(&self, node: &NodeId) -> Option<Peer> {
        self.nodes.iter().position(|name| name == node).map(|at| Peer(at as u16))
    }
}

#[cfg(test)]
mod tests;
