//! What can be done to a universe's nodes, and undone.

use super::event::Event;
use super::machine::{Doom, Point, Process};
use super::{EPOCH, News, Universe};
use crate::protocol::{Connection, Input, Peer, Timer};
use crate::timers::Timers;
use elenchus_core::cluster::Lost;
use elenchus_core::fault::{Ailment, FaultId, Harm, Loss, Skew, Trouble};
use std::collections::{BTreeMap, VecDeque};

/// How long a node that is to die may take to come to the point, in nanoseconds.
const DOOM_NS: u64 = 300_000_000;
/// How long one that is to die in office.
const OFFICE_NS: u64 = 1_500_000_000;

impl Universe {
    /// Starts a node, unless it runs.
    pub fn start(&mut self, node: Peer) {
        if self.machine(node).runs() {
            // Whoever was to die, and has not come to the point, is to run now.
            self.machine_mut(node).doom = None;
            return;
        }
        let replica = (self.make)(node);
        let now = EPOCH + self.now;
        let machine = self.machine_mut(node);
        machine.forget_lie(now);
        machine.life += 1;
        machine.doom = None;
        let files = machine.disk.files();
        machine.process = Some(Process {
            replica,
            timers: Timers::new(),
            ring_at: None,
            paused: false,
            inbox: VecDeque::new(),
            clients: BTreeMap::new(),
            office: (false, 0),
        });
        self.give(node, Input::Restart { files });
    }

    /// Kills a node at some point of its work that is not far; [`News::Killed`] tells when it is dead. With a loss
    /// its power fails, and its disk forgets; that happens also if it does not run.
    pub fn kill(&mut self, node: Peer, loss: Option<Loss>) {
        let (chance, now) = (self.chance, self.now);
        let machine = self.machine_mut(node);
        if machine.doom.is_some() {
            return;
        }
        machine.kills += 1;
        let kill = machine.kills;
        let in_office = chance.office(now).chance(1, 3);
        let rng = &mut chance.crash(node.0, kill);
        let point = if in_office { Point::in_office(rng) } else { Point::draw(rng) };
        let is_idle = machine.process.as_ref().is_none_or(|process| process.paused);
        let point = if is_idle { Point::Now } else { point };
        machine.doom = Some(Doom { point, loss });
        match point {
            Point::Now => self.die(node),
            Point::InOffice { .. } => self.queue.push(now + OFFICE_NS, Event::Doom { node, kill }),
            _ => self.queue.push(now + DOOM_NS, Event::Doom { node, kill }),
        }
    }

    /// Whether a node's processes are gone, and what was to happen to it with them has happened.
    pub fn is_dead(&self, node: Peer) -> bool {
        !self.machine(node).runs() && self.machine(node).doom.is_none()
    }

    /// What the node's disk forgot when its power failed last.
    pub fn forgotten(&self, node: Peer) -> Lost {
        let forgotten = self.machine(node).forgotten;
        Lost { bytes: forgotten.bytes, files: forgotten.files }
    }

    /// The end of a doomed node.
    pub(super) fn die(&mut self, node: Peer) {
        let loss = self.machine_mut(node).doom.take().and_then(|doom| doom.loss);
        self.end_process(node);
        if let Some(loss) = loss {
            let chance = self.chance;
            let machine = self.machine_mut(node);
            machine.losses += 1;
            machine.forgotten = machine.disk.lose_power(loss, &mut chance.loss(node.0, machine.losses));
        }
        self.news.push_back(News::Killed(node));
    }

    /// A node ends by itself.
    pub(super) fn exit(&mut self, node: Peer, why: String) {
        self.end_process(node);
        self.news.push_back(News::Exited { node, why });
        if self.machine(node).doom.is_some() {
            self.die(node);
        }
    }

    fn end_process(&mut self, node: Peer) {
        let machine = self.machine_mut(node);
        machine.disk.abandon();
        machine.synced_at = 0;
        let Some(process) = machine.process.take() else { return };
        let theirs: Vec<Connection> =
            self.errands.iter().filter(|(_, (asked, _))| *asked == node).map(|(at, _)| *at).collect();
        for connection in theirs {
            if let Some((_, errand)) = self.errands.remove(&connection) {
                self.news.push_back(News::Answered { errand, answer: None });
            }
        }
        let (now, link) = (self.now, self.link());
        for (connection, client) in process.clients {
            let at = self.client(client).arrival(now, link);
            let dial = self.client(client).dial;
            self.queue.push(at, Event::Lost { client, connection: Some(connection), dial });
        }
    }

    /// Stops a node in its tracks. Whether there is a process that stands still now.
    pub fn pause(&mut self, node: Peer) -> bool {
        if let Some(process) = self.machine_mut(node).process.as_mut() {
            process.paused = true;
        }
        // It will come to no point of its work.
        if self.machine(node).doom.is_some() {
            self.die(node);
        }
        self.machine(node).runs()
    }

    /// Lets a node go on: it takes what has come meanwhile, then looks at its timers.
    pub fn resume(&mut self, node: Peer) {
        let Some(process) = self.machine_mut(node).process.as_mut() else { return };
        process.paused = false;
        let inbox = std::mem::take(&mut process.inbox);
        let life = self.machine(node).life;
        for input in inbox {
            if self.machine(node).life == life {
                self.give(node, input);
            }
        }
        self.look_at_timers(node);
    }

    /// Makes a node's clock lie from now on, or tell the truth. Returns how far ahead it is, in nanoseconds.
    pub fn skew(&mut self, node: Peer, skew: Option<Skew>) -> i64 {
        let now = EPOCH + self.now;
        let machine = self.machine_mut(node);
        machine.set_clock(skew, now);
        if let Some(process) = machine.process.as_mut() {
            process.ring_at = None;
        }
        // What was due by the old clock may be far away by the new one: the node looks again.
        self.give(node, Input::Timer(Timer(0)));
        self.ahead(node)
    }

    /// How far ahead of the true time a node's clock is, in nanoseconds.
    pub fn ahead(&self, node: Peer) -> i64 {
        self.machine(node).clock.offset(EPOCH + self.now)
    }

    /// Cuts directed links in the name of a fault.
    pub fn cut(&mut self, id: FaultId, links: impl IntoIterator<Item = (Peer, Peer)>) {
        self.network.cut(id, links);
    }

    /// Mends what a fault cut, unless another still cuts it. Returns how many letters it held back.
    pub fn mend(&mut self, id: FaultId) -> u64 {
        let (held_back, freed) = self.network.mend(id);
        for letter in freed {
            self.post(letter);
        }
        held_back
    }

    /// Priorities of links, if there are any, count during this time only, in nanoseconds.
    pub fn rank(&mut self, during: std::ops::Range<u64>) {
        self.network.rank(during);
    }

    /// Makes what is sent to a node suffer, or no more. Returns how many letters the trouble that ends touched.
    pub fn disturb(&mut self, node: Peer, trouble: Option<Trouble>) -> u64 {
        self.network.disturb(node, trouble)
    }

    /// Makes a node's disk ail, or cures it. Returns how many calls the ailment that ends touched.
    pub fn ail(&mut self, node: Peer, ailment: Option<Ailment>) -> u64 {
        let before =
            std::mem::replace(&mut self.machine_mut(node).ailment, ailment.map(|ailment| (ailment, 0)));
        before.map_or(0, |(_, touched)| touched)
    }

    /// Harms the files of a node that does not run; says how. `None`: there was nothing to harm.
    pub fn harm(&mut self, node: Peer, harm: Harm) -> Option<String> {
        let chance = self.chance;
        let machine = self.machine_mut(node);
        machine.losses += 1;
        let mut rng = chance.loss(node.0, machine.losses);
        machine.harm(harm, &mut rng)
    }
}
