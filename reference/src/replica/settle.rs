//! What follows from a step: the core's wishes carried out in the order that safety needs.

use elenchus_core::trace::{Line, name};

use crate::bug::Bug;
use crate::kv::request::Request;
use crate::protocol::{Output, Peer};
use crate::raft::Effects;
use crate::raft::entry::Index;
use crate::raft::membership::Membership;
use crate::raft::message::{Body, Message};
use crate::replica::envelope::{Envelope, Letter, Stamp};
use crate::replica::lease::Lease;
use crate::replica::office::{Office, Origin};
use crate::replica::trace::Way;
use crate::replica::{Life, RaftReplica, Trace, trace};
use crate::wal::Image;
use crate::wire::{Answer, ToClient};

/// Between two lines that tell how far the log is committed, in nanoseconds.
const COMMIT_LINE_NS: u64 = 1_000_000_000;

impl RaftReplica {
    /// Carries out what the core asked for: trace, log, letters, state machine, answers, disk, timer.
    pub(super) fn settle(&mut self, fx: Effects, out: &mut Vec<Output>) {
        if let Some(why) = fx.contradiction {
            return self.halt(why, out);
        }
        if self.config.trace != Trace::Off {
            for stand in &fx.turns {
                out.push(Output::Trace(trace::line(self.config.me, trace::turn(stand), stand)));
            }
        }
        if self.config.trace == Trace::All {
            self.tell_log(&fx, out);
        }
        if self.config.trace != Trace::Off && fx.membership {
            out.push(Output::Trace(trace::config_line(self.config.me, &self.raft)));
        }
        self.change_office(out);
        self.keep_lease(&fx);
        self.settle_handover(out);
        if fx.heard {
            self.alarm.heard();
        } else if fx.patience && self.office.is_none() {
            self.alarm.patience();
        }
        if let Err(why) = self.log(&fx) {
            return self.halt(why, out);
        }
        for (to, message) in fx.messages {
            self.send_or_hold(to, message, out);
        }
        if let Err(why) = self.apply(out) {
            return self.halt(why, out);
        }
        for (read, index) in fx.reads {
            debug_assert!(index <= self.applied, "a leader applies whatever is committed in the same step");
            if let Some((origin, commands)) = self.office.as_mut().and_then(|office| office.take_read(read)) {
                let answer = self.kv.read(&commands);
                self.answer(origin, answer, out);
            }
        }
        self.compact();
        self.flush(out);
        self.alarm.arm(out);
    }

    /// Takes note of what the core's heartbeats earn.
    fn keep_lease(&mut self, fx: &Effects) {
        if self.office.is_none() || !Lease::is_used(&self.config) {
            return;
        }
        if let Some(round) = fx.round {
            self.lease.begin(round, self.alarm.now());
        }
        if let Some(round) = fx.confirmed {
            self.lease.confirm(round);
        }
    }

    /// Tells what became of the log.
    fn tell_log(&self, fx: &Effects, out: &mut Vec<Output>) {
        let me = self.config.me;
        let changed = fx.truncated.into_iter().chain(fx.written).min();
        let base = self.raft.snapshot().map(|snapshot| snapshot.last).filter(|_| fx.installed);
        if let Some(base) = base {
            let line = trace::line(me, name::INSTALL_SNAPSHOT, &self.raft.stand());
            out.push(Output::Trace(Line { base: Some(trace::mark(base)), ..line }));
        }
        if fx.written.is_some() && self.raft.is_leader() {
            out.push(Output::Trace(trace::line(me, name::REPLICATE, &self.raft.stand())));
        }
        let after = base.map(|base| base.index.next()).filter(|first| *first <= self.raft.log().last_index());
        if let Some(first) = after.or(changed) {
            out.push(Output::Trace(trace::append_line(me, &self.raft, first)));
        }
    }

    /// Takes or leaves office as the core has.
    fn change_office(&mut self, out: &mut Vec<Output>) {
        let term = self.raft.is_leader().then(|| self.raft.term());
        if self.office.as_ref().map(|office| office.term) == term {
            return;
        }
        self.ahead = None;
        self.lease.end();
        if let Some(office) = self.office.take() {
            self.alarm.follow();
            for (origin, answer) in office.leave(self.config.bugs) {
                self.answer(origin, answer, out);
            }
        }
        if let Some(term) = term {
            self.alarm.lead();
            self.office = Some(Office::new(term));
            if self.config.bugs.has(Bug::AckBeforeCommit) {
                self.run_ahead();
            }
        }
    }

    /// The state as if the whole log were committed.
    fn run_ahead(&mut self) {
        let mut ahead = self.kv.clone();
        let first = self.applied.next();
        for (index, entry) in (first.0..).zip(self.raft.log().entries_from(first)) {
            if let Some(request) = Request::decode(&entry.data) {
                ahead.apply(index, &request);
            }
        }
        self.ahead = Some(ahead);
    }

    /// Hands the write-ahead log what changed.
    fn log(&mut self, fx: &Effects) -> Result<(), String> {
        if fx.hard_state {
            self.wal.hard_state(self.raft.hard_state());
        }
        if fx.installed {
            if let Some(snapshot) = self.raft.snapshot().cloned() {
                self.restore(&snapshot)?;
            }
            self.wal.renew(Index(0));
        } else if let Some(first) = fx.written {
            self.wal.entries(first, self.raft.log().entries_from(first));
        }
        Ok(())
    }

    fn send_or_hold(&mut self, to: Peer, message: Message, out: &mut Vec<Output>) {
        let hasty = self.config.bugs.has(Bug::AckBeforeSync) && matches!(message.body, Body::Appended { .. });
        if hasty || !message.waits_for_disk() {
            self.send(to, message, out);
        } else if self.wal.is_dirty() {
            self.held_next.push((to, message));
        } else if self.wal.is_syncing() {
            self.held.push((to, message));
        } else {
            self.send(to, message, out);
        }
    }

    pub(super) fn send(&mut self, to: Peer, message: Message, out: &mut Vec<Output>) {
        if self.config.trace == Trace::All {
            let stamp = Stamp { boot: self.boot, number: self.letters + 1 };
            let way = (self.config.me, to);
            let stand = self.raft.stand();
            out.push(Output::Trace(trace::message_line(
                self.config.me,
                Way::Send,
                &stand,
                way,
                stamp,
                &message,
            )));
        }
        self.post(to, Letter::Raft(message), out);
    }

    /// Sends a letter; the number of its stamp.
    pub(super) fn post(&mut self, to: Peer, letter: Letter, out: &mut Vec<Output>) -> u64 {
        self.letters += 1;
        let stamp = Stamp { boot: self.boot, number: self.letters };
        out.push(Output::Send { to, bytes: Envelope { stamp, letter }.encode() });
        self.letters
    }

    pub(super) fn answer(&mut self, origin: Origin, answer: Answer, out: &mut Vec<Output>) {
        match origin {
            Origin::Client { connection, id } => {
                let bytes = serde_json::to_vec(&ToClient { id, answer }).expect("an answer is plain data");
                out.push(Output::Reply { connection, bytes });
            }
            Origin::Node { peer, stamp } => {
                self.post(peer, Letter::Answer { stamp, answer }, out);
            }
        }
    }

    /// Applies what is committed, and answers whoever waits for it.
    fn apply(&mut self, out: &mut Vec<Output>) -> Result<(), String> {
        if self.applied >= self.raft.commit() {
            return Ok(());
        }
        while self.applied < self.raft.commit() {
            let index = self.applied.next();
            let entry = self.raft.log().get(index).expect("the log holds whatever is not yet applied");
            let membership = Membership::decode(&entry.data);
            let request = if entry.data.is_empty() || membership.is_some() {
                None
            } else {
                let decoded = Request::decode(&entry.data);
                Some(decoded.ok_or_else(|| {
                    format!("entry {index} cannot be understood; was it written by a newer version?")
                })?)
            };
            self.applied = index;
            if membership.is_some_and(|membership| !membership.is_joint()) {
                self.answer_changes(index, out);
            }
            if let Some(request) = request {
                let answer = self.kv.apply(index.0, &request);
                if let Some(origin) = self.office.as_mut().and_then(|office| office.take_write(index)) {
                    self.answer(origin, answer, out);
                }
            }
            if self.config.trace == Trace::All && index.0.is_multiple_of(self.config.state_every.max(1)) {
                self.tell_state(out);
            }
        }
        self.tell_commit(out);
        Ok(())
    }

    /// The configuration at `index`, which is not joint, is committed.
    fn answer_changes(&mut self, index: Index, out: &mut Vec<Output>) {
        let origins = self.office.as_mut().map(|office| office.take_changes(index)).unwrap_or_default();
        for origin in origins {
            self.answer(origin, self.configuration(), out);
        }
    }

    fn tell_state(&self, out: &mut Vec<Output>) {
        let line = trace::line(self.config.me, name::STATE, &self.raft.stand());
        let digest = Some(trace::digest(&self.kv.encode()));
        out.push(Output::Trace(Line { index: Some(self.applied.0), digest, ..line }));
    }

    fn tell_commit(&mut self, out: &mut Vec<Output>) {
        let now = self.alarm.now();
        let often = self.config.trace == Trace::All;
        let due = now.0.abs_diff(self.told.0) >= COMMIT_LINE_NS;
        if often || (self.config.trace == Trace::Roles && due) {
            self.told = now;
            out.push(Output::Trace(trace::line(self.config.me, name::COMMIT, &self.raft.stand())));
        }
    }

    /// Takes a snapshot when one is due.
    fn compact(&mut self) {
        let covered = self.raft.snapshot().map_or(0, |snapshot| snapshot.last.index.0);
        if self.applied.0 - covered < self.config.snapshot_every.max(1) {
            return;
        }
        let late = self.config.bugs.has(Bug::RestartAppliesTwice);
        let index = if late { self.applied.previous() } else { self.applied };
        self.raft.compact(index, self.kv.snapshot());
        // What is being synced stays true: the log loses only what the snapshot covers.
        self.wal.renew(self.raft.log().last_index());
    }

    pub(super) fn flush(&mut self, out: &mut Vec<Output>) {
        let (raft, boot) = (&self.raft, self.boot);
        let image = || {
            let snapshot = raft.snapshot().cloned();
            let first = snapshot.as_ref().map_or(Index(0), |snapshot| snapshot.last.index).next();
            let entries = raft.log().entries_from(first).cloned().collect();
            Image { boot, hard: raft.hard_state(), snapshot, entries }
        };
        if self.wal.flush(raft.log().last_index(), image, out) {
            self.held = std::mem::take(&mut self.held_next);
            self.flushed = self.raft.term();
        }
    }

    pub(super) fn halt(&mut self, why: String, out: &mut Vec<Output>) {
        self.life = Life::Halted;
        out.push(Output::Halt(why));
    }
}
