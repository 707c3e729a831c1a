//! Clients that append to lists and read them, and the history that they leave.
//!
//! A list makes everything visible: each write adds a token of its own, each answer shows the list up to
//! some token. Some writes append, others compare the list with the one seen last and set it: a lost
//! update loses a token. The final list is the order in which writes took effect; every answer must be a prefix of
//! it, and must reach at least as far as any answer that came before it was asked (linearizability).

use std::collections::BTreeMap;

use elenchus_core::random::{Rng, Seed};
use elenchus_reference::protocol::Peer;
use elenchus_reference::wire::{Answer, Command, Datum, ToClient, ToNode};

use super::MS;

const KEYS: u64 = 3;
/// After how long a client sends again.
const PATIENCE: u64 = 250 * MS;
/// After how long it gives up.
const DEADLINE: u64 = 6_000 * MS;

/// How an operation ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// It saw the list of its key.
    Ok(String),
    /// It certainly did nothing.
    NotDone,
    /// Nobody knows.
    Doubt,
}

/// One operation.
#[derive(Clone, Debug)]
pub struct Operation {
    pub key: u64,
    /// What a write appends.
    pub token: Option<String>,
    /// The list that it compares with, if it sets instead of appending.
    pub from: Option<String>,
    pub invoked: u64,
    pub ended: u64,
    pub end: End,
}

/// What a client wants now.
pub struct Sending {
    pub send: Option<(Peer, Vec<u8>)>,
    /// When to ask it again, from now.
    pub again: u64,
}

pub struct Clients {
    clients: Vec<Client>,
    peers: u16,
    rng: Rng,
    pub history: Vec<Operation>,
}

#[derive(Default)]
struct Client {
    session: Option<u64>,
    number: u64,
    id: u64,
    sent: u64,
    open: Option<Open>,
    idle_until: u64,
    /// The list that it last saw, by key.
    seen: BTreeMap<u64, String>,
}

struct Open {
    operation: Operation,
    node: Peer,
    /// Sendings of which nothing is known yet, by id.
    unknown: Vec<u64>,
}

impl Clients {
    pub fn new(count: usize, peers: u16, seed: Seed) -> Clients {
        let clients = (0..count).map(|_| Client::default()).collect();
        Clients { clients, peers, rng: seed.stream("clients").rng(), history: Vec::new() }
    }

    pub fn count(&self) -> usize {
        self.clients.len()
    }

    /// Lets a client do what is to be done now.
    pub fn drive(&mut self, at: usize, now: u64) -> Sending {
        let client = &mut self.clients[at];
        if client.open.as_ref().is_some_and(|open| now >= open.operation.invoked + DEADLINE) {
            self.end(at, now, None);
            return Sending { send: None, again: MS };
        }
        if now < client.idle_until {
            return Sending { send: None, again: client.idle_until - now };
        }
        if client.open.is_none() {
            self.begin(at, now);
        } else if now < client.sent + PATIENCE {
            return Sending { send: None, again: client.sent + PATIENCE - now };
        }
        Sending { send: self.send(at, now), again: PATIENCE }
    }

    fn begin(&mut self, at: usize, now: u64) {
        let client = &mut self.clients[at];
        let token = self.rng.chance(2, 3).then(|| {
            client.number += 1;
            format!("{at}.{};", client.number)
        });
        let key = self.rng.below(KEYS);
        let node = Peer(self.rng.below(u64::from(self.peers)) as u16);
        let compares = token.is_some() && self.rng.chance(1, 3);
        let from = compares.then(|| client.seen.get(&key).cloned().unwrap_or_default());
        let operation = Operation { key, token, from, invoked: now, ended: u64::MAX, end: End::Doubt };
        client.open = Some(Open { operation, node, unknown: Vec::new() });
    }

    fn send(&mut self, at: usize, now: u64) -> Option<(Peer, Vec<u8>)> {
        let client = &mut self.clients[at];
        let open = client.open.as_mut()?;
        client.sent = now;
        client.id += 1;
        let id = client.id;
        let key = format!("k{}", open.operation.key);
        let get = Command::Get { key: key.clone() };
        let message = match (&open.operation.token, client.session) {
            (Some(_), None) => ToNode::Register { id },
            (Some(token), Some(session)) => {
                open.unknown.push(id);
                let text = |list: &str| Some(Datum::Text(list.to_owned()));
                let change = match &open.operation.from {
                    None => Command::Append { key, text: token.clone() },
                    Some(from) => {
                        let to = Datum::Text(format!("{from}{token}"));
                        Command::Cas { key, from: if from.is_empty() { None } else { text(from) }, to }
                    }
                };
                let commands = vec![change, get];
                ToNode::Write { id, session, number: client.number, commands }
            }
            (None, _) => {
                open.unknown.push(id);
                ToNode::Read { id, commands: vec![get] }
            }
        };
        // Mostly to its own node; dedup must hold across nodes as well.
        if self.rng.chance(1, 4) {
            open.node = Peer(self.rng.below(u64::from(self.peers)) as u16);
        }
        Some((open.node, serde_json::to_vec(&message).unwrap()))
    }

    pub fn answered(&mut self, at: usize, bytes: &[u8], now: u64) {
        let ToClient { id, answer } = serde_json::from_slice(bytes).unwrap();
        let pause = self.rng.between(MS, 30 * MS);
        let client = &mut self.clients[at];
        let Some(open) = &mut client.open else { return };
        let current = open.unknown.contains(&id);
        match answer {
            Answer::Session { session } if client.session.is_none() => {
                client.session = Some(session);
                client.sent = 0;
            }
            Answer::Done { results } if current => {
                let list = match results.last().cloned().flatten() {
                    Some(Datum::Text(list)) => list,
                    None => String::new(),
                    Some(other) => panic!("{other:?} is no list"),
                };
                client.seen.insert(open.operation.key, list.clone());
                self.end(at, now, Some(End::Ok(list)));
                self.clients[at].idle_until = now + pause;
            }
            // Its session sees to it that no copy of the command can find otherwise.
            Answer::Refused { saw, .. } if current => {
                if let Some(Datum::Text(list)) = saw {
                    client.seen.insert(open.operation.key, list);
                }
                self.end(at, now, Some(End::NotDone));
                self.clients[at].idle_until = now + pause;
            }
            Answer::NotDone { .. } => {
                open.unknown.retain(|sending| *sending != id);
                if open.unknown.is_empty() && self.rng.chance(1, 4) {
                    // Had enough: whoever was told that nothing was done may rely on it.
                    self.end(at, now, None);
                    return;
                }
                client.idle_until = now + 10 * pause;
                client.sent = 0;
            }
            Answer::InDoubt { .. } if current => {
                client.idle_until = now + 10 * pause;
                client.sent = 0;
            }
            Answer::NoSession if current => self.end(at, now, None),
            _ => {}
        }
    }

    /// Ends the open operation, without an answer as what is known of its sendings allows.
    fn end(&mut self, at: usize, now: u64, end: Option<End>) {
        let client = &mut self.clients[at];
        let Some(Open { mut operation, unknown, .. }) = client.open.take() else { return };
        operation.end = end.unwrap_or(if unknown.is_empty() { End::NotDone } else { End::Doubt });
        operation.ended = now;
        if operation.end == End::Doubt {
            client.session = None;
        }
        self.history.push(operation);
    }

    /// Ends whatever is open and judges the history against the final lists.
    pub fn judge(&mut self, finals: &BTreeMap<u64, String>) -> Result<Summary, String> {
        for at in 0..self.clients.len() {
            self.end(at, u64::MAX, None);
        }
        let mut summary = Summary::default();
        for operation in &self.history {
            let list = finals.get(&operation.key).map_or("", String::as_str);
            judge_alone(operation, list)?;
            match operation.end {
                End::Ok(_) => summary.ok += 1,
                End::NotDone => summary.not_done += 1,
                End::Doubt => summary.doubt += 1,
            }
        }
        (0..KEYS).try_for_each(|key| judge_order(&self.history, key))?;
        Ok(summary)
    }
}

/// How many operations ended how.
#[derive(Clone, Copy, Debug, Default)]
pub struct Summary {
    pub ok: usize,
    pub not_done: usize,
    pub doubt: usize,
}

fn judge_alone(operation: &Operation, list: &str) -> Result<(), String> {
    if let End::Ok(seen) = &operation.end
        && !list.starts_with(seen.as_str())
    {
        return Err(format!("{operation:?} is no prefix of {list}"));
    }
    let Some(token) = &operation.token else { return Ok(()) };
    let times = list.split_inclusive(';').filter(|other| other == token).count();
    let fits = match &operation.end {
        End::Ok(seen) => times == 1 && seen.ends_with(token.as_str()),
        End::NotDone => times == 0,
        End::Doubt => times <= 1,
    };
    if fits { Ok(()) } else { Err(format!("{operation:?} took effect {times} times in {list}")) }
}

/// No answer may show less than another that came before it was asked.
fn judge_order(history: &[Operation], key: u64) -> Result<(), String> {
    let reach = |operation: &Operation| match &operation.end {
        End::Ok(seen) => Some(seen.len()),
        _ => None,
    };
    let mut invoked: Vec<_> = history.iter().filter(|o| o.key == key && reach(o).is_some()).collect();
    let mut ended = invoked.clone();
    invoked.sort_by_key(|operation| operation.invoked);
    ended.sort_by_key(|operation| operation.ended);
    let (mut done, mut most) = (ended.into_iter().peekable(), None::<&Operation>);
    for operation in invoked {
        while let Some(earlier) = done.next_if(|earlier| earlier.ended < operation.invoked) {
            if most.is_none_or(|most| reach(most) < reach(earlier)) {
                most = Some(earlier);
            }
        }
        if let Some(most) = most.filter(|most| reach(most) > reach(operation)) {
            return Err(format!("{operation:?} does not see {most:?}"));
        }
        // A write's own token is new, so it sees strictly more.
        if operation.token.is_some() && most.is_some_and(|most| reach(most) == reach(operation)) {
            return Err(format!("{operation:?} sees only what {most:?} saw"));
        }
    }
    Ok(())
}
