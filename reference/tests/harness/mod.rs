//! A cluster in memory: network, disks, clocks and clients under one seed, and the rules that must hold
//! whatever they do.
//!
//! Time is simulated, so nothing here waits. Every choice is drawn from one generator: the same seed gives
//! the same run.

pub mod clients;
pub mod disk;
pub mod invariants;
pub mod reform;

use std::collections::{BTreeMap, BTreeSet};

use elenchus_core::random::{Rng, Seed};
use elenchus_core::trace::Line;
use elenchus_reference::bug::Bugs;
use elenchus_reference::clock::{Clock, Lie};
use elenchus_reference::protocol::{Connection, Input, Output, Peer, Replica, SyncId, Tick, Timer};
use elenchus_reference::raft::Raft;
use elenchus_reference::raft::entry::EntryId;
use elenchus_reference::raft::membership::Membership;
use elenchus_reference::replica::{Config, RaftReplica, Reads, Trace};
use elenchus_reference::wal;

use clients::Clients;
use disk::Disk;
use invariants::Invariants;
use reform::Reform;

/// A millisecond, in nanoseconds.
pub const MS: u64 = 1_000_000;
/// What a clock shows when the true time is 0: enough to jump back from.
pub const EPOCH: i64 = 1_000_000 * MS as i64;

/// What goes wrong, and how often.
#[derive(Clone, Copy, Debug)]
pub struct Weather {
    /// Of 1000 letters, how many are lost.
    pub lost: u64,
    /// Of 1000 letters, how many come twice.
    pub doubled: u64,
    /// Of 1000 letters, how many are very late.
    pub late: u64,
    /// Between two faults, on average.
    pub calm_ms: u64,
    /// The longest that a letter takes when it is not late.
    pub travel_ms: u64,
    /// Whether clocks jump.
    pub jumps: bool,
    /// By how many parts per million clocks that do not jump go wrong at most.
    pub drift_ppm: u64,
    /// Whether members come and go, and the office is handed over.
    pub reforms: bool,
}

/// All that the simulation waits for.
#[derive(Clone, Debug)]
enum Pending {
    Letter { from: Peer, to: Peer, bytes: Vec<u8> },
    Request { to: Peer, life: u64, connection: Connection, bytes: Vec<u8> },
    Reply { client: usize, bytes: Vec<u8> },
    Synced { node: Peer, life: u64, id: SyncId },
    Ring { node: Peer, setting: u64 },
    Client { client: usize },
    Fault,
    Reform,
    Restart { node: Peer },
    Flicker { node: Peer, times: u64 },
    Heal { cut: u64 },
}

impl Pending {
    /// Who has to be awake for it.
    fn node(&self) -> Option<Peer> {
        match self {
            Pending::Letter { to, .. } | Pending::Request { to, .. } => Some(*to),
            Pending::Synced { node, .. } | Pending::Ring { node, .. } => Some(*node),
            _ => None,
        }
    }
}

struct Node {
    replica: Option<RaftReplica>,
    disk: Disk,
    clock: Clock,
    /// What its timer is set to.
    timer: Option<(Tick, u64)>,
    /// Counts its starts; what belonged to an earlier one is dropped.
    life: u64,
    /// It is paused until then: whatever concerns it waits.
    asleep: u64,
}

impl Node {
    /// Whether a power failure would leave it `entry`, or a snapshot that covers it.
    fn holds(&self, entry: EntryId) -> bool {
        if let Some(replica) = &self.replica {
            let (log, durable) = (replica.raft().log(), replica.raft().durable());
            return durable >= entry.index
                && (log.base().index > entry.index || log.term_at(entry.index) == Some(entry.term));
        }
        let Ok(Some(found)) = wal::recover(&self.disk.durable(), Bugs::NONE) else { return false };
        let base = found.snapshot.as_ref().map_or(0, |snapshot| snapshot.last.index.0);
        match entry.index.0.checked_sub(base + 1) {
            Some(offset) => found.entries.get(offset as usize).is_some_and(|held| held.term == entry.term),
            None => true,
        }
    }
}

/// The world of one run.
pub struct World {
    pub now: u64,
    rng: Rng,
    sequence: u64,
    pending: BTreeMap<(u64, u64), Pending>,
    nodes: Vec<Node>,
    /// Links that carry nothing, by sender and receiver, and which cuts they are part of.
    cut: BTreeSet<(Peer, Peer, u64)>,
    cuts: u64,
    weather: Weather,
    stormy: bool,
    pub clients: Clients,
    pub invariants: Invariants,
    pub reform: Reform,
    config: Config,
    pub steps: u64,
    /// Whether others judge what happens, so that a broken rule is no panic here.
    pub lawless: bool,
    /// The trace, each line with the time in milliseconds: for determinism, for judges, for a look at a failed run.
    pub trace: Vec<(u64, Line)>,
}

impl World {
    pub fn new(seed: Seed, peers: u16, bugs: Bugs, weather: Weather) -> World {
        World::telling(Trace::Roles, Reads::ReadIndex, seed, peers, bugs, weather)
    }

    /// A world whose nodes tell so much and make sure of reads so.
    pub fn telling(
        trace: Trace,
        reads: Reads,
        seed: Seed,
        peers: u16,
        bugs: Bugs,
        weather: Weather,
    ) -> World {
        // Small logs and large ones, snapshots in many pieces and in one.
        let mut draw = seed.stream("config").rng();
        let mut one_of = |choices: [u64; 2]| choices[draw.below(2) as usize];
        let config = Config {
            reads,
            snapshot_every: one_of([5, 40]),
            trailing: one_of([0, 10]),
            chunk_bytes: one_of([200, 8_000]) as usize,
            bugs,
            trace,
            ..Config::new(Peer(0), peers, seed)
        };
        let mut clock = Clock::new();
        clock.set(Lie { offset_ns: EPOCH, ..Lie::default() }, 0);
        let node = |_| Node {
            replica: None,
            disk: Disk::default(),
            clock: clock.clone(),
            timer: None,
            life: 0,
            asleep: 0,
        };
        let mut world = World {
            now: 0,
            rng: seed.stream("world").rng(),
            sequence: 0,
            pending: BTreeMap::new(),
            nodes: (0..peers).map(node).collect(),
            cut: BTreeSet::new(),
            cuts: 0,
            weather,
            stormy: true,
            clients: Clients::new(6, peers, seed),
            invariants: Invariants::default(),
            reform: Reform::default(),
            config,
            steps: 0,
            lawless: false,
            trace: Vec::new(),
        };
        (0..peers).for_each(|node| world.start(Peer(node)));
        (0..world.clients.count()).for_each(|client| world.later(0, Pending::Client { client }));
        world.later(500 * MS, Pending::Fault);
        if weather.reforms {
            world.later(500 * MS, Pending::Reform);
        }
        world
    }

    /// Runs for `ms` of bad weather, then heals everything and lets the cluster settle.
    pub fn run(&mut self, ms: u64) {
        self.run_until(self.now + ms * MS);
        self.stormy = false;
        self.heal();
        for node in self.peers() {
            if self.nodes[usize::from(node.0)].replica.is_none() {
                self.start(node);
            }
        }
    }

    pub fn run_until(&mut self, end: u64) {
        while let Some(entry) = self.pending.first_entry().filter(|entry| entry.key().0 <= end) {
            let ((at, _), pending) = entry.remove_entry();
            self.now = at;
            match pending.node().map(|node| self.nodes[usize::from(node.0)].asleep) {
                Some(until) if until > at => self.later(until - at, pending),
                _ => self.happen(pending),
            }
        }
        self.now = end;
    }

    pub fn peers(&self) -> impl Iterator<Item = Peer> + use<> {
        (0..self.nodes.len() as u16).map(Peer)
    }

    pub fn replica(&self, node: Peer) -> Option<&RaftReplica> {
        self.nodes[usize::from(node.0)].replica.as_ref()
    }

    pub fn leader(&self) -> Option<Peer> {
        let leads = |node: &Peer| self.replica(*node).filter(|replica| replica.raft().is_leader());
        self.peers()
            .filter(|node| leads(node).is_some())
            .max_by_key(|node| leads(node).map(|r| r.raft().term()))
    }

    /// Cuts all links between `side` and the rest.
    pub fn partition(&mut self, side: &BTreeSet<Peer>) {
        for from in self.peers() {
            for to in self.peers() {
                if side.contains(&from) != side.contains(&to) {
                    self.cut.insert((from, to, self.cuts));
                }
            }
        }
    }

    pub fn heal(&mut self) {
        self.cut.clear();
        self.nodes.iter_mut().for_each(|node| node.asleep = 0);
        for node in self.peers() {
            if self.weather.jumps {
                self.set_clock(node, EPOCH);
            } else {
                self.set_rate(node, 0);
            }
        }
    }

    /// Ends a node; `power` takes un-synced writes with it.
    pub fn crash(&mut self, node: Peer, power: bool) {
        let state = &mut self.nodes[usize::from(node.0)];
        state.replica = None;
        state.timer = None;
        state.asleep = 0;
        if power {
            state.disk.lose_power(&mut self.rng);
        }
    }

    pub fn start(&mut self, node: Peer) {
        let state = &mut self.nodes[usize::from(node.0)];
        state.life += 1;
        state.replica = Some(RaftReplica::new(Config { me: node, ..self.config.clone() }));
        let files = state.disk.files();
        self.invariants.restarted(node);
        self.step(node, Input::Restart { files });
    }

    pub fn set_clock(&mut self, node: Peer, offset_ns: i64) {
        self.set_lie(node, Lie { offset_ns, ..Lie::default() });
    }

    /// Lets a clock run faster or slower from now on, without a jump.
    fn set_rate(&mut self, node: Peer, rate_ppm: i64) {
        let offset_ns = self.offset(node);
        self.set_lie(node, Lie { offset_ns, rate_ppm, ..Lie::default() });
    }

    fn offset(&self, node: Peer) -> i64 {
        self.nodes[usize::from(node.0)].clock.offset(self.now)
    }

    fn set_lie(&mut self, node: Peer, lie: Lie) {
        let state = &mut self.nodes[usize::from(node.0)];
        state.clock.set(lie, self.now);
        if state.replica.is_some() {
            // A driver lets the replica look at the clock that it has changed.
            self.step(node, Input::Timer(Timer(0)));
            self.ring_later(node);
        }
    }

    fn later(&mut self, wait: u64, pending: Pending) {
        self.sequence += 1;
        self.pending.insert((self.now + wait, self.sequence), pending);
    }

    fn happen(&mut self, pending: Pending) {
        match pending {
            Pending::Letter { from, to, bytes } => {
                if !self.cut.iter().any(|cut| (cut.0, cut.1) == (from, to)) {
                    self.step(to, Input::Message { from, bytes });
                }
            }
            Pending::Request { to, life, connection, bytes } => {
                if self.nodes[usize::from(to.0)].life == life {
                    self.step(to, Input::Request { connection, bytes });
                }
            }
            Pending::Reply { client, bytes } if client == self.clients.count() => {
                self.reform.answered(&bytes);
            }
            Pending::Reply { client, bytes } => {
                self.clients.answered(client, &bytes, self.now);
                self.drive(client);
            }
            Pending::Synced { node, life, id } => {
                let state = &mut self.nodes[usize::from(node.0)];
                if state.life == life && state.replica.is_some() {
                    state.disk.synced(id);
                    self.step(node, Input::Synced(id));
                }
            }
            Pending::Ring { node, setting } => {
                let state = &mut self.nodes[usize::from(node.0)];
                if let Some((_, set)) = state.timer
                    && set == setting
                {
                    state.timer = None;
                    self.step(node, Input::Timer(Timer(0)));
                }
            }
            Pending::Client { client } => self.drive(client),
            Pending::Fault => self.fault(),
            Pending::Reform => self.reform(),
            Pending::Restart { node } => {
                if self.replica(node).is_none() {
                    self.start(node);
                }
            }
            Pending::Flicker { node, times } => self.flicker(node, times),
            Pending::Heal { cut } => self.cut.retain(|link| link.2 != cut),
        }
    }

    fn drive(&mut self, client: usize) {
        let sending = self.clients.drive(client, self.now);
        if let Some((to, bytes)) = sending.send {
            self.request(client, to, bytes);
        }
        self.later(sending.again.max(1), Pending::Client { client });
    }

    fn request(&mut self, client: usize, to: Peer, bytes: Vec<u8>) {
        let life = self.nodes[usize::from(to.0)].life;
        let connection = Connection((client as u64) << 32 | life);
        let wait = self.rng.between(MS / 20, MS);
        self.later(wait, Pending::Request { to, life, connection, bytes });
    }

    /// Asks some node to change the membership or the leader.
    fn reform(&mut self) {
        if !self.stormy {
            return;
        }
        let wait = self.rng.between(50, 300) * MS;
        self.later(wait, Pending::Reform);
        let to = Peer(self.rng.below(self.nodes.len() as u64) as u16);
        let Some(replica) = self.leader().or(Some(to)).and_then(|node| self.replica(node)) else { return };
        let membership = replica.raft().membership().1.clone();
        let peers = self.nodes.len() as u16;
        let bytes = self.reform.ask(&membership, peers, &mut self.rng);
        self.request(self.clients.count(), to, bytes);
    }

    fn fault(&mut self) {
        if !self.stormy {
            return;
        }
        let calm = self.weather.calm_ms;
        let wait = self.rng.between(calm / 2, calm * 2) * MS;
        self.later(wait, Pending::Fault);
        let node = match self.leader().filter(|_| self.rng.chance(1, 2)) {
            Some(leader) => leader,
            None => Peer(self.rng.below(self.nodes.len() as u64) as u16),
        };
        let lasts = self.rng.between(100, 4_000) * MS;
        match self.rng.below(12) {
            0 | 1 => {
                let power = self.rng.chance(1, 2);
                self.crash(node, power);
                self.later(lasts, Pending::Restart { node });
            }
            2..=4 => {
                let mut side: BTreeSet<Peer> = self.peers().filter(|_| self.rng.chance(1, 2)).collect();
                side.insert(node);
                if self.rng.chance(1, 2) {
                    side = BTreeSet::from([node]);
                }
                self.cuts += 1;
                self.partition(&side);
                self.later(lasts, Pending::Heal { cut: self.cuts });
            }
            5 => {
                // One way only.
                self.cuts += 1;
                for to in self.peers() {
                    self.cut.insert((node, to, self.cuts));
                }
                self.later(lasts, Pending::Heal { cut: self.cuts });
            }
            6 if !self.weather.jumps => {
                let most = self.weather.drift_ppm;
                let rate = self.rng.between(0, 2 * most) as i64 - most as i64;
                self.set_rate(node, rate);
            }
            6 => {
                let jump = self.rng.below(20_000 * MS) as i64 - 10_000 * MS as i64;
                self.set_clock(node, EPOCH + jump);
            }
            7 | 8 => self.nodes[usize::from(node.0)].asleep = self.now + lasts,
            9 | 10 => {
                // All are impatient at once, and one of them dies again and again meanwhile.
                self.flicker(node, 5);
                for other in self.peers().filter(|_| self.weather.jumps).collect::<Vec<_>>() {
                    self.set_clock(other, self.offset(other) + 3_000 * MS as i64);
                }
            }
            _ => {
                // The power fails for all.
                for other in self.peers() {
                    self.crash(other, true);
                    let wait = self.rng.between(MS, 500 * MS);
                    self.later(wait, Pending::Restart { node: other });
                }
            }
        }
    }

    /// Kills a node for moments, `times` times.
    fn flicker(&mut self, node: Peer, times: u64) {
        if times == 0 || !self.stormy {
            return;
        }
        let power = self.rng.chance(1, 2);
        self.crash(node, power);
        let (dead, lives) = (self.rng.between(MS / 10, 5 * MS), self.rng.between(4 * MS, 30 * MS));
        self.later(dead, Pending::Restart { node });
        self.later(dead + lives, Pending::Flicker { node, times: times - 1 });
    }

    fn step(&mut self, node: Peer, input: Input) {
        let at = usize::from(node.0);
        let clock = self.nodes[at].clock.read(self.now);
        let Some(replica) = &mut self.nodes[at].replica else { return };
        self.steps += 1;
        let (led, before) = (replica.raft().is_leader(), replica.raft().commit());
        let membership = replica.raft().membership().1.clone();
        let mut out = Vec::new();
        replica.step(clock, input, &mut out);
        for output in out {
            self.carry_out(node, output);
        }
        if let Some(replica) = self.nodes[at].replica.as_ref().filter(|_| !self.lawless) {
            self.invariants.check(node, replica);
            if replica.raft().is_leader() && !led {
                self.check_votes(node, replica.raft());
            } else if replica.raft().is_leader() && replica.raft().commit() > before {
                self.check_quorum(replica.raft(), &membership);
            }
        }
    }

    /// A majority votes for a leader, and remembers it; who is dead, or in a later term, may have.
    fn check_votes(&self, leader: Peer, raft: &Raft) {
        let (term, (_, membership)) = (raft.term(), raft.membership());
        let voted = |node: Peer| {
            let Some(replica) = self.replica(node) else { return true };
            let stand = replica.raft().stand();
            stand.term > term || (stand.term == term && stand.vote == Some(leader))
        };
        assert!(
            membership.is_quorum(voted),
            "Vote Quorum: too few of {membership:?} for {leader:?} in {term:?}"
        );
    }

    /// What a leader commits is on the disks of a majority of the configuration that it had in force. (It stays
    /// so: no later leader lacks it.)
    fn check_quorum(&self, leader: &Raft, membership: &Membership) {
        let last = leader.log().term_at(leader.commit()).map(|term| EntryId { term, index: leader.commit() });
        let last = last.expect("a leader holds what it has just committed");
        let holds = |node: Peer| self.nodes[usize::from(node.0)].holds(last);
        assert!(membership.is_quorum(holds), "Commit Quorum: {last:?} is on too few disks of {membership:?}");
    }

    fn carry_out(&mut self, node: Peer, output: Output) {
        let state = &mut self.nodes[usize::from(node.0)];
        match output {
            Output::Send { to, bytes } => self.send(node, to, bytes),
            Output::Reply { connection, bytes } => {
                let wait = self.rng.between(MS / 20, MS);
                self.later(wait, Pending::Reply { client: (connection.0 >> 32) as usize, bytes });
            }
            Output::SetTimer { timer: Timer(0), at } => {
                self.sequence += 1;
                state.timer = Some((at, self.sequence));
                self.ring_later(node);
            }
            Output::Sync { id, file } => {
                state.disk.sync(id, &file);
                let life = state.life;
                let slow = self.rng.chance(1, 20);
                let wait =
                    if slow { self.rng.between(MS, 300 * MS) } else { self.rng.between(MS / 5, 5 * MS) };
                self.later(wait, Pending::Synced { node, life, id });
            }
            Output::Trace(line) => self.trace.push((self.now / MS, line)),
            Output::Halt(_) if self.lawless => self.crash(node, false),
            Output::Halt(why) => panic!("node {} halts: {why}", node.0),
            Output::SetTimer { timer, .. } => panic!("unknown {timer:?}"),
            disk => state.disk.carry_out(disk),
        }
    }

    /// Turns the node's timer into true time, as its clock now runs.
    fn ring_later(&mut self, node: Peer) {
        let state = &self.nodes[usize::from(node.0)];
        if let Some((at, setting)) = state.timer {
            let wait = state.clock.wait(at, self.now);
            self.later(wait, Pending::Ring { node, setting });
        }
    }

    fn send(&mut self, from: Peer, to: Peer, bytes: Vec<u8>) {
        let bad = |rate: u64, world: &mut World| world.stormy && world.rng.chance(rate, 1_000);
        if bad(self.weather.lost, self) {
            return;
        }
        let copies = if bad(self.weather.doubled, self) { 2 } else { 1 };
        for _ in 0..copies {
            let mut wait = self.rng.between(MS / 10, self.weather.travel_ms * MS);
            if bad(self.weather.late, self) {
                wait = self.rng.between(MS, 3_000 * MS);
            }
            self.later(wait, Pending::Letter { from, to, bytes: bytes.clone() });
        }
    }
}
