//! An agent at work: connections come and go, requests are carried out, the lease runs.
//!
//! Requests of one controller run beside each other, so a slow one holds up no other; each is answered when
//! its effect is there. Whatever a controller says renews the lease. The agent ends when the lease lapses,
//! when it is asked to, at SIGTERM, and when its supervisor is gone; then it takes everything back first.

use super::answers::{Answers, Asked, Key};
use super::clock::TICK;
use super::duties::Duties;
use super::protocol::{Answer, Attach, Hello, Notice, Numbered, Request, VERSION, line};
use crate::host::daemon::note;
use crate::host::{Exit, Exits};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;
use tokio::time::Instant;

/// The longest line that is read, in bytes: a file to be written fits.
const LINE_MAX: usize = 8 << 20;
/// How long an ending agent waits for what it is doing already.
const PATIENCE: Duration = Duration::from_secs(5);

/// A line to a controller.
type Outgoing = mpsc::UnboundedSender<Vec<u8>>;

/// An agent at work.
pub(super) struct Server {
    duties: Duties,
    hello: Hello,
    lease: Duration,
    renewed: Cell<Instant>,
    answers: RefCell<Answers<Outgoing>>,
    exits: RefCell<Vec<Exit>>,
    /// Who hears of exits, by the number of the connection.
    listeners: RefCell<BTreeMap<u64, Outgoing>>,
    busy: Cell<usize>,
    is_ending: Cell<bool>,
    end: mpsc::UnboundedSender<String>,
}

impl Server {
    /// Works until something ends it; then takes everything back. Returns what was done in the end, in words,
    /// the reason first. Must run inside a `LocalSet`.
    pub async fn work(duties: Duties, hello: Hello, listener: UnixListener) -> Vec<String> {
        let (end, mut ended) = mpsc::unbounded_channel();
        let server = Rc::new(Server {
            duties,
            lease: Duration::from_millis(hello.lease_ms),
            hello,
            renewed: Cell::new(Instant::now()),
            answers: RefCell::default(),
            exits: RefCell::default(),
            listeners: RefCell::default(),
            busy: Cell::new(0),
            is_ending: Cell::new(false),
            end,
        });
        tokio::task::spawn_local(server.clone().accept(listener));
        tokio::task::spawn_local(server.clone().watch_the_lease());
        tokio::task::spawn_local(server.clone().tick());
        tokio::task::spawn_local(server.clone().hear_of_sigterm());
        let why = ended.recv().await.unwrap_or_else(|| "nobody could ask it to end".into());
        server.is_ending.set(true);
        server.duties.clock().inspect(|clock| clock.close());
        let deadline = Instant::now() + PATIENCE;
        while server.busy.get() > 0 && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let mut said = vec![why];
        said.extend(server.duties.end().await);
        said
    }

    // ---- what ends it ---------------------------------------------------------------------------------

    async fn watch_the_lease(self: Rc<Self>) {
        loop {
            let lapses = self.renewed.get() + self.lease;
            if Instant::now() >= lapses {
                let why = format!("no controller has said anything for {:?}", self.lease);
                return drop(self.end.send(why));
            }
            tokio::time::sleep_until(lapses).await;
        }
    }

    async fn hear_of_sigterm(self: Rc<Self>) {
        let mut taken = SigSet::empty();
        taken.add(Signal::SIGTERM);
        // It is blocked since before we were born, so none is lost.
        let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
        let heard = match SignalFd::with_flags(&taken, flags) {
            // SAFETY: the descriptor is the value's own, and stays open and the same as long as it lives.
            Ok(fd) => match unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) } {
                Ok(fd) => fd.readable().await.map(drop),
                Err(error) => Err(error.into()),
            },
            Err(errno) => Err(errno.into()),
        };
        // An agent that cannot be told to end must not go on.
        let _ = self.end.send(match heard {
            Ok(()) => "SIGTERM, or the supervisor is gone".into(),
            Err(error) => format!("signals cannot be heard: {error}"),
        });
    }

    async fn tick(self: Rc<Self>) {
        let Some(clock) = self.duties.clock() else { return };
        loop {
            tokio::time::sleep(TICK).await;
            if clock.ticks()
                && let Err(why) = clock.tick()
            {
                note(&format_args!("the clock: {why}"));
            }
        }
    }

    // ---- exits ----------------------------------------------------------------------------------------

    async fn tell_exits(self: Rc<Self>, mut exits: Exits) {
        while let Some(exit) = exits.recv().await {
            self.exits.borrow_mut().push(exit.clone());
            let number = self.exits.borrow().len() as u64;
            let line = line(&Notice::Exit { number, exit });
            // Whoever has gone is taken off the list by its connection.
            self.listeners.borrow().values().for_each(|listener| drop(listener.send(line.clone())));
        }
        let _ = self.end.send("the supervisor is gone".into());
    }

    fn listen_to_exits(&self, connection: u64, since: u64, outgoing: &Outgoing) {
        let exits = self.exits.borrow();
        for (number, exit) in (1..).zip(exits.iter()).filter(|(number, _)| *number > since) {
            let _ = outgoing.send(line(&Notice::Exit { number, exit: exit.clone() }));
        }
        self.listeners.borrow_mut().insert(connection, outgoing.clone());
    }

    // ---- connections ----------------------------------------------------------------------------------

    async fn accept(self: Rc<Self>, listener: UnixListener) {
        for connection in 0.. {
            match listener.accept().await {
                Ok((stream, _)) => {
                    tokio::task::spawn_local(self.clone().serve(connection, stream));
                }
                // Out of descriptors, perhaps: others may be closed soon.
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    }

    async fn serve(self: Rc<Self>, connection: u64, stream: UnixStream) {
        let (reader, writer) = stream.into_split();
        let (outgoing, lines) = mpsc::unbounded_channel();
        let speaking = tokio::task::spawn_local(speak(writer, lines));
        if let Err(why) = self.clone().converse(connection, Lines::new(reader), &outgoing).await {
            let _ = outgoing.send(line(&Notice::Closing { why }));
        }
        self.listeners.borrow_mut().remove(&connection);
        drop(outgoing);
        // Answers under way keep the line open as long as somebody reads it.
        let _ = speaking.await;
    }

    /// Hears one controller out. An error is what it is told before its line is closed.
    async fn converse(
        self: Rc<Self>,
        connection: u64,
        mut lines: Lines,
        outgoing: &Outgoing,
    ) -> Result<(), String> {
        let Some(first) = lines.next().await? else { return Ok(()) };
        let Attach { from } = parse(&first)?;
        if let Some(controller) = from {
            self.duties.spare(controller);
        }
        let mut session = None;
        while let Some(line) = lines.next().await? {
            let Numbered { id, request } = parse(&line)?;
            self.renewed.set(Instant::now());
            match (request, &session) {
                (Request::Hello { version, .. }, _) if version != VERSION => {
                    return Err(format!("the agent speaks version {VERSION}, not {version}"));
                }
                (Request::Hello { session: own, since, .. }, _) => {
                    let hello = Answer::Hello(Box::new(self.hello.clone()));
                    let _ = outgoing.send(super::protocol::line(&Notice::Done { id, answer: hello }));
                    self.listen_to_exits(connection, since, outgoing);
                    session = Some(own);
                }
                (request, Some(session)) => self.clone().take((session.clone(), id), request, outgoing),
                (_, None) => return Err("a controller says hello first".into()),
            }
        }
        Ok(())
    }

    /// Carries the request out, unless that was done before, and answers.
    fn take(self: Rc<Self>, key: Key, request: Request, outgoing: &Outgoing) {
        match self.answers.borrow_mut().ask(&key, outgoing.clone()) {
            Asked::New => {}
            Asked::Waiting => return,
            Asked::Answered(notice, outgoing) => return drop(outgoing.send(line(&notice))),
        }
        let subject = request.subject();
        let is_timely = subject.is_none_or(|s| self.answers.borrow_mut().is_timely(&key, s));
        let server = self.clone();
        tokio::task::spawn_local(async move {
            server.busy.set(server.busy.get() + 1);
            let id = key.1;
            let result = if is_timely {
                server.obey(request).await
            } else {
                Err("a later request has overtaken this one".into())
            };
            let notice = match result {
                Ok(answer) => Notice::Done { id, answer },
                Err(why) => Notice::Failed { id, why },
            };
            server.busy.set(server.busy.get() - 1);
            let text = line(&notice);
            for outgoing in server.answers.borrow_mut().answer(&key, notice) {
                // Whoever is gone asks again on another line.
                let _ = outgoing.send(text.clone());
            }
        });
    }

    async fn obey(self: &Rc<Self>, request: Request) -> Result<Answer, String> {
        if self.is_ending.get() {
            return Err("the agent is ending".into());
        }
        match request {
            Request::Ping {} => Ok(Answer::Done {}),
            Request::Peers { peers } => {
                if let Some(exits) = self.duties.meet(&peers)? {
                    tokio::task::spawn_local(self.clone().tell_exits(exits));
                }
                Ok(Answer::Done {})
            }
            Request::End {} => {
                let _ = self.end.send("its controller asked it to end".into());
                Ok(Answer::Done {})
            }
            other => self.duties.carry_out(other).await,
        }
    }
}

fn parse<T: serde::de::DeserializeOwned>(line: &[u8]) -> Result<T, String> {
    serde_json::from_slice(line).map_err(|error| {
        let seen = String::from_utf8_lossy(&line[..line.len().min(80)]).into_owned();
        format!("this is no request: {seen:?}: {error}")
    })
}

/// Writes whole lines until nobody has more to say, or nobody reads.
async fn speak(mut writer: OwnedWriteHalf, mut lines: mpsc::UnboundedReceiver<Vec<u8>>) {
    while let Some(line) = lines.recv().await {
        if writer.write_all(&line).await.is_err() {
            return;
        }
    }
}

/// A stream cut into lines.
struct Lines {
    reader: OwnedReadHalf,
    rest: Vec<u8>,
    /// How much of the rest was searched for an end of line.
    searched: usize,
}

impl Lines {
    fn new(reader: OwnedReadHalf) -> Lines {
        Lines { reader, rest: vec![], searched: 0 }
    }

    /// The next line without its end; `None` when there are no more.
    async fn next(&mut self) -> Result<Option<Vec<u8>>, String> {
        loop {
            if let Some(end) = self.rest[self.searched..].iter().position(|byte| *byte == b'\n') {
                let end = self.searched + end;
                let rest = self.rest.split_off(end + 1);
                let mut line = std::mem::replace(&mut self.rest, rest);
                line.truncate(end);
                self.searched = 0;
                return Ok(Some(line));
            }
            self.searched = self.rest.len();
            if self.rest.len() > LINE_MAX {
                return Err(format!("a line of more than {LINE_MAX} bytes"));
            }
            let mut buffer = [0; 1 << 14];
            match self.reader.read(&mut buffer).await {
                Ok(0) => return Ok(None),
                Ok(length) => self.rest.extend_from_slice(&buffer[..length]),
                Err(error) => return Err(error.to_string()),
            }
        }
    }
}
