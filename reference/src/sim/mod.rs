//! A universe in a seed: nodes, their network, disks and clocks, and their clients, in one thread of virtual time.
//!
//! The nodes run the very code that runs for real; only their IO differs. Time jumps from event to event, so idle
//! time costs nothing. No threads, no real time, no order of a hash map, whole numbers only: the same seed gives the
//! same run, byte for byte.
//!
//! | module | what it decides |
//! |---|---|
//! | `chance` | nothing; it draws, each choice by its name |
//! | `latency` | how long things take |
//! | `network` | what becomes of a letter between two nodes |
//! | `priorities` | whose letters are held back, if any are |
//! | `disk` | what survives a failure of the power |
//! | `machine` | what a node is: process, disk, clock, and where it dies |
//! | `client` | what a client sends, and when again |
//! | `simulation` | what a universe is like, written down or drawn from a seed |
//!
//! Deliberately absent: workloads, schedules of faults, histories. Whoever owns a universe brings them.

mod chance;
mod client;
mod disk;
mod event;
mod faults;
mod latency;
mod machine;
mod network;
mod priorities;
mod simulation;

pub use client::ClientId;
pub use latency::Latency;
pub use network::Weather;
pub use priorities::Priorities;
pub use simulation::{Kind, Simulation};

use crate::protocol::{Connection, Input, Output, Peer, Replica, Status, SyncId, Tick};
use crate::replica::STATE_EVERY;
use crate::session::{Call, End, Patience};
use chance::Chance;
use client::{Client, Link, Wish};
use elenchus_core::fault::FaultId;
use elenchus_core::random::Seed;
use elenchus_core::trace::{Line, name};
use event::{Event, Queue};
use machine::{Machine, Point, Process};
use network::{Letter, Network};
use std::collections::{BTreeMap, VecDeque};

/// What a true clock shows when the universe begins, in nanoseconds: enough to jump back from.
const EPOCH: u64 = 1_000_000_000_000_000_000;

/// Makes a node's replica, anew for each of its lives.
pub type Make = Box<dyn Fn(Peer) -> Box<dyn Replica>>;

/// What happened that somebody outside may want to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// A client's operation has ended.
    Ended(ClientId),
    /// An alarm that was asked for rings.
    Alarm(u64),
    /// A node has come to lead.
    Leads {
        /// Which.
        node: Peer,
        /// In which term.
        term: u64,
    },
    /// A cut has turned.
    Turned {
        /// Whose cut it is.
        fault: FaultId,
        /// Who is apart from the others now.
        side: Vec<Peer>,
    },
    /// A node has ended though nobody killed it.
    Exited {
        /// Which.
        node: Peer,
        /// Why, in its own words.
        why: String,
    },
    /// A node that was to be killed is dead.
    Killed(Peer),
    /// An errand has come back.
    Answered {
        /// Which.
        errand: u64,
        /// What the node said; `None`: it died first.
        answer: Option<Vec<u8>>,
    },
}

/// By how many parts of a million a node's clock is too fast.
fn drift(chance: Chance, node: u16, most: u64) -> i64 {
    match most {
        0 => 0,
        most => chance.drift(node).between(0, 2 * most) as i64 - most as i64,
    }
}

/// See the module.
pub struct Universe {
    now: u64,
    queue: Queue,
    chance: Chance,
    weather: Weather,
    patience: Patience,
    network: Network,
    machines: Vec<Machine>,
    clients: Vec<Client>,
    /// Who asked something on a connection of its own.
    errands: BTreeMap<Connection, (Peer, u64)>,
    make: Make,
    connections: u64,
    news: VecDeque<News>,
    traced: Vec<(Peer, Line)>,
    outputs: Vec<Output>,
    steps: u64,
}

impl Universe {
    /// A universe of so many nodes, none of which runs.
    pub fn new(seed: Seed, nodes: u16, weather: Weather, make: Make) -> Universe {
        let chance = Chance::new(seed);
        Universe {
            now: 0,
            queue: Queue::default(),
            chance,
            weather,
            patience: Patience::default(),
            network: Network::new(chance, weather, nodes),
            machines: (0..nodes).map(|node| Machine::new(drift(chance, node, weather.drift_ppm))).collect(),
            clients: Vec::new(),
            errands: BTreeMap::new(),
            make,
            connections: 0,
            news: VecDeque::new(),
            traced: Vec::new(),
            outputs: Vec::new(),
            steps: 0,
        }
    }

    /// The same with clients that are so patient.
    #[must_use]
    pub fn with_patience(self, patience: Patience) -> Universe {
        Universe { patience, ..self }
    }

    /// The true time, in nanoseconds since the universe began.
    pub fn now(&self) -> u64 {
        self.now
    }

    /// How many inputs all nodes have taken.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// The nodes.
    pub fn peers(&self) -> impl Iterator<Item = Peer> + use<> {
        (0..self.machines.len() as u16).map(Peer)
    }

    /// Lets the next thing happen, if it happens until then; else the time is then.
    pub fn advance(&mut self, until: u64) -> bool {
        match self.queue.pop(until) {
            Some((at, event)) => {
                self.now = self.now.max(at);
                self.happen(event);
                true
            }
            None => {
                self.now = self.now.max(until);
                false
            }
        }
    }

    /// Whether there is any.
    pub fn has_news(&self) -> bool {
        !self.news.is_empty()
    }

    /// The oldest news.
    pub fn news(&mut self) -> Option<News> {
        self.news.pop_front()
    }

    /// What the nodes have traced since this was last asked, in their common order.
    pub fn traced(&mut self) -> impl Iterator<Item = (Peer, Line)> + '_ {
        self.traced.drain(..)
    }

    /// Wants [`News::Alarm`] at this time.
    pub fn wake_at(&mut self, at: u64, alarm: u64) {
        self.queue.push(at.max(self.now), Event::Alarm(alarm));
    }

    /// Where a node stands; `None` if it does not answer: it does not run, or stands still.
    pub fn status(&self, node: Peer) -> Option<Status> {
        let process = self.machine(node).process.as_ref().filter(|process| !process.paused)?;
        Some(process.replica.status())
    }

    fn machine(&self, node: Peer) -> &Machine {
        &self.machines[usize::from(node.0)]
    }

    fn machine_mut(&mut self, node: Peer) -> &mut Machine {
        &mut self.machines[usize::from(node.0)]
    }

    // ---- clients ----------------------------------------------------------------------------------------

    /// A client with a connection to the node; an error says why there is none.
    pub fn open(&mut self, node: Peer) -> Result<ClientId, &'static str> {
        let id = ClientId(self.clients.len() as u32);
        let connection = self.connect(node, id).ok_or("connection refused")?;
        self.clients.push(Client::new(id, node, connection, self.patience));
        Ok(id)
    }

    /// The client has an operation, which ends at the deadline at the latest.
    pub fn begin(&mut self, client: ClientId, call: Call, deadline: u64) {
        let (now, link) = (self.now, self.link());
        let wishes = self.client(client).begin(now, call, deadline, link);
        self.grant(client, wishes);
    }

    /// How the client's operation ended, once, if it has.
    pub fn take_end(&mut self, client: ClientId) -> Option<End> {
        self.client(client).take_end()
    }

    /// Nobody asks this client any more: it hangs up.
    pub fn close(&mut self, client: ClientId) {
        let (now, link) = (self.now, self.link());
        let it = self.client(client);
        it.closed = true;
        let (at, node) = (it.arrival(now, link), it.node);
        if let Some(connection) = it.connection() {
            self.queue.push(at, Event::Closed { at: node, connection });
        }
    }

    /// Asks a node something outside of any session, once; [`News::Answered`] brings what it says. A node that
    /// stands still answers when it goes on. Whether the node could be asked: it must run.
    pub fn ask(&mut self, node: Peer, errand: u64, bytes: Vec<u8>) -> bool {
        if !self.machine(node).runs() {
            return false;
        }
        self.connections += 1;
        let connection = Connection(self.connections);
        self.errands.insert(connection, (node, errand));
        self.give(node, Input::Request { connection, bytes });
        true
    }

    /// Nobody waits for this errand any more.
    pub fn forget_errand(&mut self, errand: u64) {
        self.errands.retain(|_, (_, known)| *known != errand);
    }

    fn client(&mut self, id: ClientId) -> &mut Client {
        &mut self.clients[id.0 as usize]
    }

    fn link(&self) -> Link {
        Link { chance: self.chance, latency: self.weather.client_latency }
    }

    /// A new connection, if the node runs: the kernel takes calls for one that stands still.
    fn connect(&mut self, node: Peer, client: ClientId) -> Option<Connection> {
        let connection = Connection(self.connections + 1);
        self.machine_mut(node).process.as_mut()?.clients.insert(connection, client);
        self.connections += 1;
        Some(connection)
    }

    fn grant(&mut self, client: ClientId, wishes: Vec<Wish>) {
        let (node, dial) = (self.client(client).node, self.client(client).dial);
        for wish in wishes {
            match wish {
                Wish::Dial { at } => self.queue.push(at, Event::Dial { client, dial }),
                Wish::Close { at, connection } => self.queue.push(at, Event::Closed { at: node, connection }),
                Wish::Send { at, connection, bytes } => {
                    self.queue.push(at, Event::Request { to: node, connection, bytes });
                }
                Wish::Wake { at } => self.queue.push(at, Event::Wake { client }),
            }
        }
        if self.client(client).has_ended() {
            self.news.push_back(News::Ended(client));
        }
    }

    // ---- what happens -----------------------------------------------------------------------------------

    fn happen(&mut self, event: Event) {
        match event {
            Event::Letter(letter) if self.network.holds_back(&letter) => {}
            Event::Letter(Letter { from, to, bytes }) => self.give(to, Input::Message { from, bytes }),
            Event::Turn(cut) => self.turn(cut),
            Event::Request { to, connection, bytes } => {
                let knows = |process: &Process| process.clients.contains_key(&connection);
                if self.machine(to).process.as_ref().is_some_and(knows) {
                    self.give(to, Input::Request { connection, bytes });
                }
            }
            Event::Closed { at, connection } => {
                let process = self.machine_mut(at).process.as_mut();
                if process.is_some_and(|process| process.clients.remove(&connection).is_some()) {
                    self.give(at, Input::Closed { connection });
                }
            }
            Event::Dial { client, dial } => self.dialled(client, dial),
            Event::Synced { node, life, id } => self.synced(node, life, id),
            Event::Ring { node, life } => self.rang(node, life),
            Event::Doom { node, kill } => {
                if self.machine(node).doom.is_some() && self.machine(node).kills == kill {
                    self.die(node);
                }
            }
            Event::Alarm(alarm) => self.news.push_back(News::Alarm(alarm)),
            to_client => self.tell(to_client),
        }
    }

    fn dialled(&mut self, client: ClientId, dial: u64) {
        let node = self.client(client).node;
        if self.client(client).dial != dial {
            return;
        }
        let connection = self.connect(node, client);
        let (now, link) = (self.now, self.link());
        let at = self.client(client).arrival(now, link);
        self.queue.push(
            at,
            match connection {
                Some(connection) => Event::Opened { client, dial, connection },
                None => Event::Lost { client, connection: None, dial },
            },
        );
    }

    fn tell(&mut self, event: Event) {
        let (now, link) = (self.now, self.link());
        let (id, wishes) = match event {
            Event::Opened { client, dial, connection } => {
                let it = self.client(client);
                if it.dial != dial || it.closed {
                    let node = it.node;
                    return self.queue.push(now, Event::Closed { at: node, connection });
                }
                (client, it.opened(now, connection, link))
            }
            Event::Lost { client, connection: None, dial } => {
                let it = self.client(client);
                let concerns = it.dial == dial && it.connection().is_none();
                (client, if concerns { it.lost(now, "connection refused", link) } else { Vec::new() })
            }
            Event::Lost { client, connection: Some(connection), .. } => {
                let it = self.client(client);
                let why = "the node closed the connection";
                (client, if it.is_on(connection) { it.lost(now, why, link) } else { Vec::new() })
            }
            Event::Reply { client, connection, bytes } => {
                let it = self.client(client);
                (client, if it.is_on(connection) { it.received(now, &bytes, link) } else { Vec::new() })
            }
            Event::Wake { client } => (client, self.client(client).rang(now, link)),
            other => unreachable!("{other:?} concerns no client"),
        };
        if !self.client(id).closed {
            self.grant(id, wishes);
        }
    }

    fn synced(&mut self, node: Peer, life: u64, id: SyncId) {
        let machine = self.machine_mut(node);
        if machine.life != life || !machine.runs() {
            return;
        }
        machine.disk.synced(id);
        self.give(node, Input::Synced(id));
        if self.machine(node).doom.is_some_and(|doom| doom.point == Point::AfterSynced) {
            self.die(node);
        }
    }

    fn rang(&mut self, node: Peer, life: u64) {
        let now = self.now;
        let machine = self.machine_mut(node);
        let Some(process) = machine.process.as_mut().filter(|_| machine.life == life) else { return };
        if process.ring_at.is_none_or(|at| at > now) {
            return; // It was set anew.
        }
        process.ring_at = None;
        self.look_at_timers(node);
    }

    /// Rings whatever is due by the node's clock, and sets the alarm for the next.
    fn look_at_timers(&mut self, node: Peer) {
        let tick = self.tick(node);
        let process = self.machine_mut(node).process.as_mut();
        let Some(process) = process.filter(|process| !process.paused) else { return };
        match process.timers.take_due(tick) {
            Some(timer) => self.give(node, Input::Timer(timer)),
            None => self.set_alarm(node),
        }
    }

    fn set_alarm(&mut self, node: Peer) {
        let now = self.now;
        let machine = self.machine_mut(node);
        let (clock, life) = (&machine.clock, machine.life);
        let Some(process) = machine.process.as_mut() else { return };
        let Some(at) = process.timers.earliest() else { return };
        let wait = clock.wait(at, EPOCH + now);
        if wait == u64::MAX {
            return; // A clock that stands still: it is looked at again when it is set.
        }
        let at = now.saturating_add(wait);
        if process.ring_at.is_none_or(|set| at < set || set < now) {
            process.ring_at = Some(at);
            self.queue.push(at, Event::Ring { node, life });
        }
    }

    fn tick(&self, node: Peer) -> Tick {
        self.machine(node).clock.read(EPOCH + self.now)
    }

    /// Hands an input to a node, now or when it goes on.
    fn give(&mut self, node: Peer, input: Input) {
        let tick = self.tick(node);
        let mut outputs = std::mem::take(&mut self.outputs);
        let Some(process) = self.machines[usize::from(node.0)].process.as_mut() else { return };
        if process.paused {
            process.inbox.push_back(input);
            self.outputs = outputs;
            return;
        }
        process.replica.step(tick, input, &mut outputs);
        self.steps += 1;
        let life = self.machine(node).life;
        let last = self.machine_mut(node).last_output();
        let mut nth = 0;
        for output in outputs.drain(..) {
            if last == Some(nth) && !is_beside(&output) {
                self.die(node);
            }
            nth += u64::from(!is_beside(&output));
            if self.machine(node).life != life || !self.machine(node).runs() {
                break;
            }
            self.carry_out(node, output);
        }
        outputs.clear();
        self.outputs = outputs;
        self.look_at_office(node);
        self.look_at_timers(node);
    }

    fn look_at_office(&mut self, node: Peer) {
        let Some(process) = self.machine_mut(node).process.as_mut() else { return };
        let Status { role, term, .. } = process.replica.status();
        let office = (role == "leader", term);
        if process.office != office {
            process.office = office;
            if office.0 {
                self.news.push_back(News::Leads { node, term });
                for (cut, later) in self.network.leads(node) {
                    match later {
                        0 => self.turn(cut),
                        ns => self.queue.push(self.now + ns, Event::Turn(cut)),
                    }
                }
            }
        }
    }

    fn turn(&mut self, fault: FaultId) {
        if let Some((freed, side)) = self.network.turn(fault) {
            freed.into_iter().for_each(|letter| self.post(letter));
            self.news.push_back(News::Turned { fault, side });
        }
    }

    fn carry_out(&mut self, node: Peer, output: Output) {
        match output {
            Output::Send { to, bytes } => self.post(Letter { from: node, to, bytes }),
            Output::Reply { connection, bytes } => self.reply(node, connection, bytes),
            Output::SetTimer { timer, at } => {
                if let Some(process) = self.machine_mut(node).process.as_mut() {
                    process.timers.set(timer, at);
                }
            }
            Output::Trace(line) => self.traced.push((node, line)),
            Output::Halt(why) => self.exit(node, why),
            Output::Sync { id, file } => self.sync(node, id, file),
            Output::Rename { from, to } => self.machine_mut(node).disk.rename(&from, to),
            Output::Remove { file } => self.machine_mut(node).disk.remove(&file),
            Output::Write { file, offset, bytes } => match self.machine_mut(node).refuses() {
                Some(why) => self.exit(node, format!("cannot write {file}: {why}")),
                None => self.machine_mut(node).disk.write(file, offset, bytes),
            },
            Output::Truncate { file, length } => self.machine_mut(node).disk.truncate(file, length),
        }
    }

    fn post(&mut self, letter: Letter) {
        if usize::from(letter.to.0) >= self.machines.len() {
            return;
        }
        for at in self.network.send(self.now, &letter) {
            self.queue.push(at, Event::Letter(letter.clone()));
        }
    }

    fn reply(&mut self, node: Peer, connection: Connection, bytes: Vec<u8>) {
        if let Some((_, errand)) = self.errands.remove(&connection) {
            return self.news.push_back(News::Answered { errand, answer: Some(bytes) });
        }
        let process = self.machine(node).process.as_ref();
        let Some(&client) = process.and_then(|process| process.clients.get(&connection)) else { return };
        let (now, link) = (self.now, self.link());
        let at = self.client(client).arrival(now, link);
        self.queue.push(at, Event::Reply { client, connection, bytes });
    }

    fn sync(&mut self, node: Peer, id: SyncId, file: String) {
        let doom = self.machine(node).doom.map(|doom| doom.point);
        if doom == Some(Point::BeforeSync) {
            return self.die(node);
        }
        if let Some(why) = self.machine_mut(node).refuses() {
            return self.exit(node, format!("cannot sync {file}: {why}"));
        }
        let (now, latency, chance) = (self.now, self.weather.sync, self.chance);
        let machine = self.machine_mut(node);
        machine.syncs += 1;
        let takes = latency.draw(&mut chance.sync(node.0, machine.syncs)) + machine.slowness();
        let at = machine.sync(now, takes, id, file);
        let life = machine.life;
        self.queue.push(at, Event::Synced { node, life, id });
        if doom == Some(Point::AfterSync) {
            self.die(node);
        }
    }
}

/// Whether it is a line that traces have only when they are to tell more. A node that is to die after so many outputs
/// must die where it does when they tell less: a script is to be the same run.
fn is_beside(output: &Output) -> bool {
    match output {
        Output::Trace(line) => line.name == name::STATE && line.index.is_some_and(|at| at % STATE_EVERY != 0),
        _ => false,
    }
}

#[cfg(test)]
mod tests;
