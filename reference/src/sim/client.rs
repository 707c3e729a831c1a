//! A client of the simulated cluster: a [`ClientSession`] whose connection the universe moves.

use super::chance::Chance;
use super::latency::Latency;
use crate::protocol::{Connection, Peer};
use crate::session::{Call, ClientSession, Effect, End, Patience};
use elenchus_core::time::Time;

/// Names a client, upwards from 0 in the order in which they come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId(pub u32);

/// What a client wants of the universe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Dial the node, and arrive there at this time.
    Dial {
        /// When.
        at: u64,
    },
    /// Hang up; the node hears of it at this time.
    Close {
        /// When.
        at: u64,
        /// On which connection.
        connection: Connection,
    },
    /// Send, and arrive at this time.
    Send {
        /// When.
        at: u64,
        /// On which connection.
        connection: Connection,
        /// What.
        bytes: Vec<u8>,
    },
    /// Look again at this time.
    Wake {
        /// When.
        at: u64,
    },
}

/// See the module.
#[derive(Debug)]
pub struct Client {
    id: ClientId,
    /// Its node.
    pub node: Peer,
    session: ClientSession,
    connection: Option<Connection>,
    /// Counts its attempts to connect; what belongs to an earlier one is dropped.
    pub dial: u64,
    /// Nobody asks it any more.
    pub closed: bool,
    end: Option<End>,
    messages: u64,
    /// When the last message of either way arrives: a connection keeps its order.
    last: u64,
    /// The alarm that is set.
    alarm: Option<u64>,
}

impl Client {
    /// A client that is connected already.
    pub fn new(id: ClientId, node: Peer, connection: Connection, patience: Patience) -> Client {
        let mut session = ClientSession::new(patience);
        session.connected(Time::ZERO, &mut Vec::new());
        Client {
            id,
            node,
            session,
            connection: Some(connection),
            dial: 0,
            closed: false,
            end: None,
            messages: 0,
            last: 0,
            alarm: None,
        }
    }

    /// How the operation ended, once, if it has.
    pub fn take_end(&mut self) -> Option<End> {
        self.end.take()
    }

    /// Whether an operation has ended that nobody has asked about.
    pub fn has_ended(&self) -> bool {
        self.end.is_some()
    }

    /// Whether this is the connection it has.
    pub fn is_on(&self, connection: Connection) -> bool {
        self.connection == Some(connection)
    }

    /// The connection that it has.
    pub fn connection(&self) -> Option<Connection> {
        self.connection
    }

    /// Begins an operation. A connection that was lost between two operations puts none of them in doubt.
    pub fn begin(&mut self, now: u64, call: Call, deadline: u64, link: Link) -> Vec<Wish> {
        let mut effects = Vec::new();
        if self.connection.is_none() {
            // A call that is still under way is not waited for.
            self.dial += 1;
            self.session.disconnected(time(now), "the connection was lost", &mut Vec::new());
        }
        self.end = None;
        self.session.begin(time(now), call, time(deadline), &mut effects);
        self.carry_out(now, effects, link)
    }

    /// The node has taken the call.
    pub fn opened(&mut self, now: u64, connection: Connection, link: Link) -> Vec<Wish> {
        self.connection = Some(connection);
        let mut effects = Vec::new();
        self.session.connected(time(now), &mut effects);
        self.carry_out(now, effects, link)
    }

    /// There is no connection any more, or there never was.
    pub fn lost(&mut self, now: u64, why: &str, link: Link) -> Vec<Wish> {
        self.connection = None;
        if self.session.wake_at().is_none() {
            return Vec::new(); // Noticed when the next operation begins.
        }
        let mut effects = Vec::new();
        self.session.disconnected(time(now), why, &mut effects);
        self.carry_out(now, effects, link)
    }

    /// The node has said something.
    pub fn received(&mut self, now: u64, bytes: &[u8], link: Link) -> Vec<Wish> {
        let mut effects = Vec::new();
        self.session.received(time(now), bytes, &mut effects);
        self.carry_out(now, effects, link)
    }

    /// An alarm rings; it may be an old one.
    pub fn rang(&mut self, now: u64, link: Link) -> Vec<Wish> {
        if self.alarm.is_none_or(|at| at > now) {
            return Vec::new();
        }
        self.alarm = None;
        let mut effects = Vec::new();
        self.session.elapsed(time(now), &mut effects);
        self.carry_out(now, effects, link)
    }

    fn carry_out(&mut self, now: u64, effects: Vec<Effect>, link: Link) -> Vec<Wish> {
        let mut wishes = Vec::new();
        for effect in effects {
            match effect {
                Effect::Connect => {
                    self.dial += 1;
                    wishes.push(Wish::Dial { at: self.arrival(now, link) });
                }
                Effect::Disconnect => {
                    let at = self.arrival(now, link);
                    wishes.extend(self.connection.take().map(|connection| Wish::Close { at, connection }));
                }
                Effect::Send(bytes) => {
                    let at = self.arrival(now, link);
                    // Without a connection it is lost, as the session will hear.
                    wishes.extend(self.connection.map(|connection| Wish::Send { at, connection, bytes }));
                }
                Effect::Finish(end) => self.end = Some(end),
            }
        }
        if let Some(wake) = self.session.wake_at()
            && self.alarm.is_none_or(|alarm| alarm > wake.0 || alarm <= now)
        {
            let at = wake.0.max(now);
            self.alarm = Some(at);
            wishes.push(Wish::Wake { at });
        }
        wishes
    }

    /// When a message that is sent now arrives, in the order of the connection.
    pub fn arrival(&mut self, now: u64, link: Link) -> u64 {
        self.messages += 1;
        let mut rng = link.chance.client(self.id.0, self.messages);
        self.last = self.last.max(now + link.latency.draw(&mut rng));
        self.last
    }
}

/// How messages travel between a client and its node.
#[derive(Clone, Copy, Debug)]
pub struct Link {
    /// What decides how long they take.
    pub chance: Chance,
    /// How long that is.
    pub latency: Latency,
}

fn time(ns: u64) -> Time {
    Time(ns)
}
