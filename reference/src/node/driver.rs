//! The task that owns the replica: inputs in, outputs carried out, turn by turn.
//!
//! Invariant: nothing leaves the node before the trace lines that precede it in the replica's outputs are in
//! the kernel. Frames go into outboxes during a turn, and their tasks run only after it, when the lines are
//! written. A [`Output::Rename`] promises to be durable before later outputs act, so the turn waits for it; all
//! else that the files need happens meanwhile, and is reported.

use super::diary::Diary;
use super::disk::{Command, Disk};
use super::inbound::Arrival;
use super::outbox::Outbox;
use super::{NodeError, NodeOptions};
use crate::clock::{Clock, Lie};
use crate::protocol::{Connection, Input, Output, Replica, Status, SyncId, Timer};
use crate::timers::Timers;
use crate::wire::{Answer, ToClient, ToNode};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::{mpsc, oneshot};

/// How many arrivals a turn takes at most, so that timers and answers do not wait for ever.
const TURN_MAX: usize = 256;

/// The longest that the driver sleeps without looking at the clock.
const SLEEP_MAX: Duration = Duration::from_secs(3600);

/// Where a driver's inputs come from, timers apart.
#[derive(Debug)]
pub struct Sources {
    /// What peers and clients send.
    pub inbox: mpsc::Receiver<Arrival>,
    /// The syncs that the disk reports done.
    pub disk: mpsc::UnboundedReceiver<Vec<SyncId>>,
    /// When to end.
    pub stop: oneshot::Receiver<()>,
}

/// See the module.
pub struct Driver {
    replica: Box<dyn Replica>,
    time: TrueTime,
    clock: Clock,
    timers: Timers,
    disk: Disk,
    trace: Option<Trace>,
    /// By number; none for this node itself.
    peers: Vec<Option<Rc<Outbox>>>,
    clients: BTreeMap<Connection, Rc<Outbox>>,
    /// Who got frames in this turn.
    filled: Vec<Rc<Outbox>>,
    commands: Vec<Command>,
    outputs: Vec<Output>,
    diary: Diary,
    /// What the diary last said of the replica: role and term.
    noted: (String, u64),
}

impl Driver {
    /// A driver of `replica`, which has had no input yet.
    pub fn new(
        options: &NodeOptions,
        replica: Box<dyn Replica>,
        disk: Disk,
        peers: Vec<Option<Rc<Outbox>>>,
        diary: Diary,
    ) -> Result<Driver, NodeError> {
        Ok(Driver {
            replica,
            time: TrueTime::from(diary.start()),
            clock: Clock::new(),
            timers: Timers::new(),
            disk,
            trace: options.trace.clone().map(Trace::open).transpose()?,
            peers,
            clients: BTreeMap::new(),
            filled: Vec::new(),
            commands: Vec::new(),
            outputs: Vec::new(),
            diary,
            noted: (String::new(), 0),
        })
    }

    /// Gives the replica its first input.
    pub fn restart(&mut self, files: Vec<(String, Vec<u8>)>) -> Result<(), NodeError> {
        let (count, bytes) = (files.len(), files.iter().map(|(_, bytes)| bytes.len()).sum::<usize>());
        self.diary.note(format_args!("found {count} files of {bytes} bytes in all"));
        self.step(Input::Restart { files })?;
        for command in &self.commands {
            if let Command::Truncate { file, length } = command {
                self.diary.note(format_args!("cuts {file} to {length} bytes: a crash had torn its end"));
            }
        }
        self.end_turn()
    }

    /// Takes turns until the replica cannot go on or a stop is asked for.
    pub async fn run(&mut self, mut sources: Sources) -> Result<(), NodeError> {
        loop {
            let sleep = tokio::time::sleep(self.until_timer());
            tokio::select! {
                biased;
                _ = &mut sources.stop => return Ok(()),
                synced = sources.disk.recv() => self.synced(synced)?,
                Some(arrival) = sources.inbox.recv() => self.arrived(arrival)?,
                () = sleep, if self.timers.earliest().is_some() => {}
            }
            while let Ok(synced) = sources.disk.try_recv() {
                self.synced(Some(synced))?;
            }
            for _ in 0..TURN_MAX {
                let Ok(arrival) = sources.inbox.try_recv() else { break };
                self.arrived(arrival)?;
            }
            while let Some(timer) = self.timers.take_due(self.clock.read(self.time.now())) {
                self.step(Input::Timer(timer))?;
            }
            self.end_turn()?;
        }
    }

    /// How long to sleep for the earliest timer, in true time.
    fn until_timer(&self) -> Duration {
        let Some(at) = self.timers.earliest() else { return SLEEP_MAX };
        Duration::from_nanos(self.clock.wait(at, self.time.now())).min(SLEEP_MAX)
    }

    /// `None`: the disk has failed.
    fn synced(&mut self, ids: Option<Vec<SyncId>>) -> Result<(), NodeError> {
        let ids = ids.ok_or_else(|| self.disk.failure())?;
        ids.into_iter().try_for_each(|id| self.step(Input::Synced(id)))
    }

    fn arrived(&mut self, arrival: Arrival) -> Result<(), NodeError> {
        match arrival {
            Arrival::Client(connection, outbox) => {
                self.clients.insert(connection, outbox);
                Ok(())
            }
            Arrival::Requests(connection, payloads) => {
                payloads.into_iter().try_for_each(|bytes| self.request(connection, bytes))
            }
            Arrival::Gone(connection) => {
                self.clients.remove(&connection);
                self.step(Input::Closed { connection })
            }
            Arrival::Messages(from, payloads) => {
                payloads.into_iter().try_for_each(|bytes| self.step(Input::Message { from, bytes }))
            }
        }
    }

    /// Answers what concerns the node rather than the store; hands on the rest.
    fn request(&mut self, connection: Connection, bytes: Vec<u8>) -> Result<(), NodeError> {
        let id = match own_request(&bytes) {
            Some(ToNode::Status { id }) => id,
            Some(ToNode::Clock { id, offset_ns, rate_ppm, strobe_ms }) => {
                let lie = Lie { offset_ns, rate_ppm, strobe_ms };
                self.clock.set(lie, self.time.now());
                self.diary.note(format_args!("the clock is set to {lie:?}"));
                // What was due by the old clock may be far away by the new one: the replica looks again.
                // A cluster whose clocks all fell back would otherwise sleep until somebody spoke.
                self.step(Input::Timer(Timer(0)))?;
                id
            }
            _ => return self.step(Input::Request { connection, bytes }),
        };
        let clock_offset_ns = self.clock.offset(self.time.now());
        let answer = Answer::Status { status: self.replica.status(), clock_offset_ns };
        let payload =
            serde_json::to_vec(&ToClient { id, answer }).expect("a status has only text and numbers");
        self.reply(connection, &payload);
        Ok(())
    }

    fn step(&mut self, input: Input) -> Result<(), NodeError> {
        let now = self.clock.read(self.time.now());
        let mut outputs = std::mem::take(&mut self.outputs);
        self.replica.step(now, input, &mut outputs);
        outputs.drain(..).try_for_each(|output| self.carry_out(output))?;
        self.outputs = outputs;
        Ok(())
    }

    fn carry_out(&mut self, output: Output) -> Result<(), NodeError> {
        match output {
            Output::Send { to, bytes } => {
                if let Some(Some(outbox)) = self.peers.get(usize::from(to.0)) {
                    put(outbox, &bytes, &mut self.filled);
                }
            }
            Output::Reply { connection, bytes } => self.reply(connection, &bytes),
            Output::SetTimer { timer, at } => self.timers.set(timer, at),
            Output::Write { file, offset, bytes } => {
                self.commands.push(Command::Write { file, offset, bytes })
            }
            Output::Truncate { file, length } => self.commands.push(Command::Truncate { file, length }),
            Output::Sync { id, file } => self.commands.push(Command::Sync { id, file }),
            Output::Remove { file } => self.commands.push(Command::Remove { file }),
            Output::Rename { from, to } => {
                self.commands.push(Command::Rename { from, to });
                self.submit();
                self.disk.fence()?;
            }
            Output::Trace(line) => {
                if let Some(trace) = &mut self.trace {
                    trace.add(&line);
                }
            }
            Output::Halt(why) => {
                self.end_turn()?;
                return Err(NodeError::Halted(why));
            }
        }
        Ok(())
    }

    fn reply(&mut self, connection: Connection, payload: &[u8]) {
        // A client that is gone needs no answer.
        if let Some(outbox) = self.clients.get(&connection) {
            put(outbox, payload, &mut self.filled);
        }
    }

    fn submit(&mut self) {
        self.disk.submit(std::mem::take(&mut self.commands));
    }

    /// Lets everything leave that this turn has gathered, in the order that the module promises.
    fn end_turn(&mut self) -> Result<(), NodeError> {
        self.submit();
        if let Some(trace) = &mut self.trace {
            trace.flush()?;
        }
        for outbox in self.filled.drain(..) {
            outbox.release();
        }
        self.note_role();
        Ok(())
    }

    fn note_role(&mut self) {
        let Status { role, term, .. } = self.replica.status();
        if self.noted != (role.clone(), term) {
            self.diary.note(format_args!("is {role} in term {term}"));
            self.noted = (role, term);
        }
    }
}

/// Puts a frame into an outbox and remembers to release it.
fn put(outbox: &Rc<Outbox>, payload: &[u8], filled: &mut Vec<Rc<Outbox>>) {
    outbox.put(payload);
    if !filled.iter().any(|other| Rc::ptr_eq(other, outbox)) {
        filled.push(outbox.clone());
    }
}

/// The request, if it is one that the node answers itself. Others are not even parsed: the replica will.
fn own_request(bytes: &[u8]) -> Option<ToNode> {
    let inside = bytes.trim_ascii_start().strip_prefix(b"{")?.trim_ascii_start();
    let own = inside.starts_with(b"\"status\"") || inside.starts_with(b"\"clock\"");
    if own { serde_json::from_slice(bytes).ok() } else { None }
}

/// The true time: nanoseconds since 1970 when the node started, and on from there without jumps.
///
/// So large that a clock set back by days does not reach zero, and about the same on all nodes, which helps
/// whoever reads their traces side by side.
#[derive(Clone, Copy, Debug)]
struct TrueTime {
    start: Instant,
    base: u64,
}

impl TrueTime {
    fn from(start: Instant) -> TrueTime {
        let base = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        TrueTime { start, base: nanos(base) }
    }

    fn now(self) -> u64 {
        self.base.saturating_add(nanos(self.start.elapsed()))
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// The file that the trace goes to.
struct Trace {
    path: PathBuf,
    file: File,
    lines: Vec<u8>,
}

impl Trace {
    /// Opens the file at its end. A line that a crash cut off is ended there, so that it spoils no other.
    fn open(path: PathBuf) -> Result<Trace, NodeError> {
        let open = || {
            let mut file = OpenOptions::new().read(true).append(true).create(true).open(&path)?;
            let mut last = [b'\n'];
            if file.seek(SeekFrom::End(0))? > 0 {
                file.seek(SeekFrom::End(-1))?;
                file.read_exact(&mut last)?;
            }
            Ok((file, last == *b"\n"))
        };
        match open() {
            Ok((file, true)) => Ok(Trace { path, file, lines: Vec::new() }),
            Ok((file, false)) => Ok(Trace { path, file, lines: vec![b'\n'] }),
            Err(source) => Err(NodeError::Trace { path, source }),
        }
    }

    fn add(&mut self, line: &elenchus_core::trace::Line) {
        elenchus_core::trace::json::write(line, &mut self.lines);
        self.lines.push(b'\n');
    }

    /// Hands the lines to the kernel.
    fn flush(&mut self) -> Result<(), NodeError> {
        let written = self.file.write_all(&self.lines);
        self.lines.clear();
        written.map_err(|source| NodeError::Trace { path: self.path.clone(), source })
    }
}
