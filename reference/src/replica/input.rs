//! What comes in: files, ends of syncs, rings of the alarm, peers' letters, clients' requests.

use elenchus_core::trace::{Cut, Line, name};
use serde_json::Value;

use crate::bug::Bug;
use crate::kv::Kv;
use crate::kv::request::Request;
use crate::protocol::{Connection, Output, Peer, Replica, SyncId};
use crate::raft::change::Change;
use crate::raft::entry::{Snapshot, Term};
use crate::raft::{Effects, Raft};
use crate::replica::admin::Admin;
use crate::replica::alarm::{Alarm, Due};
use crate::replica::envelope::{Envelope, Letter, Stamp};
use crate::replica::lease::Lease;
use crate::replica::office::Origin;
use crate::replica::trace::Way;
use crate::replica::{Config, Life, RaftReplica, Trace, trace};
use crate::wal::{self, Recovered, Wal};
use crate::wire::{Answer, Command, ToNode};

/// The longest request that is logged, in bytes: a message that carries it must fit a frame.
const REQUEST_BYTES_MAX: usize = 8 << 20;
/// How many answers a leader owes at most.
const OWED_MAX: usize = 50_000;

/// What can be forwarded to a leader.
enum Wish {
    /// Of the store.
    Store(Request),
    /// Of the cluster.
    Cluster(Admin),
}

impl Wish {
    fn encode(&self) -> Vec<u8> {
        match self {
            Wish::Store(request) => request.encode(),
            Wish::Cluster(admin) => admin.encode(),
        }
    }

    fn decode(bytes: &[u8]) -> Option<Wish> {
        Request::decode(bytes).map(Wish::Store).or_else(|| Admin::decode(bytes).map(Wish::Cluster))
    }
}

impl RaftReplica {
    pub(super) fn restart(&mut self, files: &[(String, Vec<u8>)], out: &mut Vec<Output>) {
        let recovered = match wal::recover(files, self.config.bugs) {
            Ok(recovered) => recovered,
            Err(damage) => return self.halt(damage.to_string(), out),
        };
        if files.iter().any(|(name, _)| name == wal::NEW_FILE) {
            out.push(Output::Remove { file: wal::NEW_FILE.to_owned() });
        }
        let mut torn = None;
        match recovered {
            Some(recovered) => {
                if let Some(cut) = recovered.cut {
                    out.push(Output::Truncate { file: wal::FILE.to_owned(), length: recovered.length });
                    torn = Some(Cut { offset: cut.offset, bytes: cut.bytes });
                }
                if let Err(why) = self.resume(recovered) {
                    return self.halt(why, out);
                }
                self.wal.sync_recovered(self.raft.log().last_index(), out);
            }
            None => {
                self.boot = 1;
                self.wal = Wal::create(self.config.seed.nth(u64::from(self.config.me.0)).0);
            }
        }
        let me = u64::from(self.config.me.0);
        let rng = self.config.seed.stream("raft").nth(me).nth(self.boot).rng();
        let now = self.alarm.now();
        self.alarm = Alarm::new(self.config.timeouts, rng);
        self.alarm.observe(now);
        self.boot_term = self.raft.term();
        self.life = Life::Starting;
        if self.config.trace != Trace::Off {
            let Config { me, trace, .. } = self.config;
            let line = Line { cut: torn, ..trace::init_line(me, self.boot, &self.raft, trace) };
            out.push(Output::Trace(line));
        }
        self.flush(out);
    }

    fn resume(&mut self, recovered: Recovered) -> Result<(), String> {
        self.wal = Wal::resume(&recovered);
        self.boot = recovered.boot + 1;
        self.wal.boot(self.boot);
        if let Some(snapshot) = &recovered.snapshot {
            self.restore(snapshot)?;
        }
        if self.config.bugs.has(Bug::RestartSkipsEntry) && !recovered.entries.is_empty() {
            self.applied = self.applied.next();
        }
        let Recovered { hard, snapshot, entries, .. } = recovered;
        self.raft = Raft::new(self.config.core(), hard, snapshot, entries);
        Ok(())
    }

    /// Replaces the state machine.
    pub(super) fn restore(&mut self, snapshot: &Snapshot) -> Result<(), String> {
        let index = snapshot.last.index;
        self.kv = Kv::decode(&snapshot.data, self.config.bugs).ok_or_else(|| {
            format!("the snapshot of entry {index} cannot be understood; was it written by a newer version?")
        })?;
        self.applied = index;
        Ok(())
    }

    pub(super) fn synced(&mut self, id: SyncId, fx: &mut Effects, out: &mut Vec<Output>) {
        let Some(covers) = self.wal.synced(id, out) else { return };
        // The sync of what was recovered comes before that of the start.
        if self.life == Life::Starting && !self.wal.is_dirty() {
            self.life = Life::Running;
            // With leases it votes for nobody at first: it may have promised so before it was restarted.
            if Lease::is_used(&self.config) { self.alarm.heard() } else { self.alarm.patience() }
        }
        if self.config.trace == Trace::All {
            let line = trace::line(self.config.me, name::PERSIST, &self.raft.stand());
            out.push(Output::Trace(Line { index: Some(covers.0), ..line }));
        }
        for (to, message) in std::mem::take(&mut self.held) {
            self.send(to, message, out);
        }
        self.raft.voted(self.flushed, fx);
        self.raft.persisted(covers, fx);
    }

    pub(super) fn rang(&mut self, fx: &mut Effects) {
        self.alarm.rang();
        for due in self.alarm.take_due() {
            match due {
                Due::Election => self.raft.election_timeout(fx),
                Due::Lease => self.raft.lease_timeout(),
                Due::Heartbeat => {
                    self.alarm.heartbeat();
                    self.raft.heartbeat_timeout(fx);
                }
                Due::Quorum => {
                    self.alarm.quorum();
                    self.raft.quorum_timeout(fx);
                }
            }
        }
    }

    pub(super) fn message(&mut self, from: Peer, bytes: &[u8], fx: &mut Effects, out: &mut Vec<Output>) {
        // Not understood is as good as lost.
        let Some(Envelope { stamp, letter }) = Envelope::decode(bytes) else { return };
        match letter {
            Letter::Raft(message) => {
                if self.config.trace == Trace::All {
                    let way = (from, self.config.me);
                    let stand = self.raft.stand();
                    let line =
                        trace::message_line(self.config.me, Way::Receive, &stand, way, stamp, &message);
                    out.push(Output::Trace(line));
                }
                self.raft.receive(from, message, fx);
            }
            Letter::Forward { term, request } => self.take_forwarded(from, stamp, term, &request, fx, out),
            Letter::Answer { stamp, answer } => {
                if stamp.boot == self.boot
                    && let Some((connection, id)) = self.forwarded.take(stamp.number)
                {
                    self.answer(Origin::Client { connection, id }, answer, out);
                }
            }
        }
    }

    /// A request that another node sent here, because it believes that this one leads `term`.
    fn take_forwarded(
        &mut self,
        from: Peer,
        stamp: Stamp,
        term: Term,
        request: &[u8],
        fx: &mut Effects,
        out: &mut Vec<Output>,
    ) {
        if from.0 >= self.config.peers || !self.taken.first_time(from, stamp) {
            return;
        }
        let Some(decoded) = Wish::decode(request) else { return };
        let origin = Origin::Node { peer: from, stamp };
        if self.raft.is_leader() && self.raft.term() == term {
            return self.lead(origin, decoded, request.to_vec(), fx, out);
        }
        let why = format!("{} does not lead term {term}", trace::node(self.config.me));
        // Only for a term that this node reached since it started does it remember each copy it took.
        let certain = term > self.boot_term || matches!(decoded, Wish::Store(Request::Read { .. }));
        let answer = if certain { Answer::NotDone { why } } else { Answer::InDoubt { why } };
        self.answer(origin, answer, out);
    }

    pub(super) fn request(
        &mut self,
        connection: Connection,
        bytes: &[u8],
        fx: &mut Effects,
        out: &mut Vec<Output>,
    ) {
        let (id, wish) = match serde_json::from_slice(bytes) {
            Ok(ToNode::Register { id }) => (id, Wish::Store(Request::Register)),
            Ok(ToNode::Read { id, commands }) => (id, Wish::Store(Request::Read { commands })),
            Ok(ToNode::Write { id, session, number, commands }) => {
                (id, Wish::Store(Request::Write { session, number, commands }))
            }
            Ok(ToNode::Change { id, voters, learners, joint }) => {
                let (voters, learners) = (voters.into_iter().collect(), learners.into_iter().collect());
                (id, Wish::Cluster(Admin::Change(Change { voters, learners, joint })))
            }
            Ok(ToNode::Transfer { id, to }) => (id, Wish::Cluster(Admin::Transfer(to))),
            Ok(ToNode::Configuration { id }) => {
                return self.answer(Origin::Client { connection, id }, self.configuration(), out);
            }
            Ok(ToNode::Status { id } | ToNode::Clock { id, .. }) => {
                // Drivers answer these. One that has no lying clock may leave them to the replica.
                let answer = Answer::Status { status: self.status(), clock_offset_ns: 0 };
                return self.answer(Origin::Client { connection, id }, answer, out);
            }
            Err(error) => return self.reject(connection, bytes, &error, out),
        };
        let origin = Origin::Client { connection, id };
        let not_done = |why: &str| Answer::NotDone { why: why.to_owned() };
        if self.life != Life::Running {
            return self.answer(origin, not_done("the node is starting"), out);
        }
        if let Wish::Store(Request::Read { commands }) = &wish
            && !commands.iter().all(|command| matches!(command, Command::Get { .. }))
        {
            return self.answer(origin, not_done("a read may only get"), out);
        }
        let encoded = wish.encode();
        if encoded.len() > REQUEST_BYTES_MAX {
            return self.answer(origin, not_done("the request is longer than 8 MiB"), out);
        }
        if self.raft.is_leader() {
            return self.lead(origin, wish, encoded, fx, out);
        }
        if let Wish::Store(Request::Read { commands }) = &wish
            && self.config.bugs.has(Bug::FollowerRead)
        {
            return self.answer(origin, self.kv.read(commands), out);
        }
        let Some(leader) = self.raft.leader() else {
            return self.answer(origin, not_done("no leader is known"), out);
        };
        let letter = Letter::Forward { term: self.raft.term(), request: encoded };
        let number = self.post(leader, letter, out);
        self.forwarded.insert(number, connection, id);
    }

    /// What cannot be understood is answered if it at least says which request it is.
    fn reject(
        &mut self,
        connection: Connection,
        bytes: &[u8],
        error: &serde_json::Error,
        out: &mut Vec<Output>,
    ) {
        let Ok(Value::Object(said)) = serde_json::from_slice(bytes) else { return };
        let Some(id) = said.values().find_map(|body| body.get("id")?.as_u64()) else { return };
        let answer = Answer::NotDone { why: format!("the request is malformed: {error}") };
        self.answer(Origin::Client { connection, id }, answer, out);
    }

    pub(super) fn closed(&mut self, connection: Connection) {
        self.forwarded.closed(connection);
        self.handover.take_if(|handover| handover.was_for(connection));
        if let Some(office) = &mut self.office {
            office.closed(connection);
        }
    }

    /// Begins a request as the leader.
    fn lead(
        &mut self,
        origin: Origin,
        wish: Wish,
        encoded: Vec<u8>,
        fx: &mut Effects,
        out: &mut Vec<Output>,
    ) {
        let Some(office) = &mut self.office else { return };
        if office.owed() >= OWED_MAX {
            let why = "the leader has too many requests to answer".to_owned();
            return self.answer(origin, Answer::NotDone { why }, out);
        }
        let request = match wish {
            Wish::Cluster(admin) => return self.lead_admin(origin, &admin, fx, out),
            Wish::Store(Request::Read { commands }) => {
                let read = office.owe_read(origin, commands);
                let begin = if self.lease.lasts(self.alarm.now()) { Raft::read_by_lease } else { Raft::read };
                begin(&mut self.raft, read, fx);
                return;
            }
            Wish::Store(request) => request,
        };
        let (request, encoded) = if self.config.bugs.has(Bug::CasDecidedAtPropose) {
            match self.kv.decide(request) {
                Ok(decided) => {
                    let encoded = decided.encode();
                    (decided, encoded)
                }
                Err(refusal) => return self.answer(origin, refusal, out),
            }
        } else {
            (request, encoded)
        };
        let Some(index) = self.raft.propose(encoded.into(), fx) else {
            let why = "the leader hands its office over".to_owned();
            return self.answer(origin, Answer::NotDone { why }, out);
        };
        match &mut self.ahead {
            Some(ahead) => {
                let answer = ahead.apply(index.0, &request);
                self.answer(origin, answer, out);
            }
            None => office.owe_write(index, origin),
        }
    }
}
