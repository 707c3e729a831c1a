//! The controller's side of the supervisor: start, kill, pause and resume nodes, hear of those that end.
//!
//! Each request is answered when its effect is there, so a caller that awaits it need not look itself.
//! Dropping a future abandons the answer, never the request.

use super::protocol::{Exit, Lines, Notice, Numbered, Request, Spawn, line};
use elenchus_core::process::NodeId;
use std::collections::BTreeMap;
use std::io;
use std::os::unix::net::UnixStream as Socket;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, oneshot};

/// Why the supervisor did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SupervisorError {
    /// It could not, for this reason.
    #[error("{0}")]
    Failed(String),
    /// It is gone, and with it all nodes.
    #[error("the supervisor is gone")]
    Gone,
}

/// The nodes that end, as they do: those that we killed too, marked as expected.
pub type Exits = mpsc::UnboundedReceiver<Exit>;

/// The line to the supervisor before a runtime listens to it.
#[derive(Debug)]
pub struct SupervisorLine {
    socket: Socket,
}

impl SupervisorLine {
    /// The controller's end of the socket.
    pub(super) fn new(socket: Socket) -> SupervisorLine {
        SupervisorLine { socket }
    }

    /// Listens, in the current tokio runtime, as long as that runtime is driven.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn connect(self) -> io::Result<(Supervisor, Exits)> {
        self.socket.set_nonblocking(true)?;
        let (reader, writer) = UnixStream::from_std(self.socket)?.into_split();
        let waiting = Waiting::default();
        let (exits, ended) = mpsc::unbounded_channel();
        let (outgoing, lines) = mpsc::unbounded_channel();
        tokio::spawn(listen(reader, waiting.clone(), exits));
        tokio::spawn(speak(writer, lines));
        Ok((Supervisor { outgoing, waiting }, ended))
    }
}

/// Starts and ends the nodes. Clones speak to the same supervisor.
#[derive(Clone, Debug)]
pub struct Supervisor {
    outgoing: mpsc::UnboundedSender<Vec<u8>>,
    waiting: Waiting,
}

impl Supervisor {
    /// Starts a node's process, unless one runs. Returns its pid, as the controller sees pids.
    pub async fn start(&self, node: &NodeId, spawn: &Spawn) -> Result<i32, SupervisorError> {
        let pid = self.ask(Request::Start { node: node.clone(), spawn: spawn.clone() }).await?;
        pid.ok_or_else(|| SupervisorError::Failed(format!("{node} was started and has no process")))
    }

    /// Kills a node's process group. Returns once none of it is left, at once if there was none.
    pub async fn kill(&self, node: &NodeId) -> Result<(), SupervisorError> {
        self.ask(Request::Kill { node: node.clone() }).await.map(|_| ())
    }

    /// Stops a node's process group. Returns once it stands. An error if the node does not run.
    pub async fn pause(&self, node: &NodeId) -> Result<(), SupervisorError> {
        self.ask(Request::Pause { node: node.clone() }).await.map(|_| ())
    }

    /// Lets a node's process group go on. Returns once it runs, at once if the node has no process.
    pub async fn resume(&self, node: &NodeId) -> Result<(), SupervisorError> {
        self.ask(Request::Resume { node: node.clone() }).await.map(|_| ())
    }

    async fn ask(&self, request: Request) -> Result<Option<i32>, SupervisorError> {
        let (answer, answered) = oneshot::channel();
        let id = self.waiting.add(answer).ok_or(SupervisorError::Gone)?;
        self.outgoing.send(line(&Numbered { id, request })).map_err(|_| SupervisorError::Gone)?;
        answered.await.map_err(|_| SupervisorError::Gone)?
    }
}

type Answer = oneshot::Sender<Result<Option<i32>, SupervisorError>>;

/// Who waits for which answer.
#[derive(Clone, Debug)]
struct Waiting(Arc<Mutex<Option<Book>>>);

#[derive(Debug, Default)]
struct Book {
    last: u64,
    open: BTreeMap<u64, Answer>,
}

impl Default for Waiting {
    fn default() -> Waiting {
        Waiting(Arc::new(Mutex::new(Some(Book::default()))))
    }
}

impl Waiting {
    fn with<T>(&self, act: impl FnOnce(&mut Option<Book>) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The number for a request, or `None` if nobody will answer.
    fn add(&self, answer: Answer) -> Option<u64> {
        self.with(|book| {
            let book = book.as_mut()?;
            book.last += 1;
            book.open.insert(book.last, answer);
            Some(book.last)
        })
    }

    fn take(&self, id: u64) -> Option<Answer> {
        self.with(|book| book.as_mut()?.open.remove(&id))
    }

    /// Nobody answers any more: all who wait hear of it, and all who come.
    fn close(&self) {
        self.with(Option::take);
    }
}

async fn listen(mut reader: OwnedReadHalf, waiting: Waiting, exits: mpsc::UnboundedSender<Exit>) {
    let mut lines = Lines::default();
    let mut buffer = vec![0; 1 << 14];
    while let Ok(length @ 1..) = reader.read(&mut buffer).await {
        // The supervisor is the same program: what cannot be read means that it is broken.
        let Ok(notices) = lines.push::<Notice>(&buffer[..length]) else { break };
        for notice in notices {
            let (id, result) = match notice {
                Notice::Done { id, pid } => (id, Ok(pid)),
                Notice::Failed { id, why } => (id, Err(SupervisorError::Failed(why))),
                Notice::Exit(exit) => {
                    // Whoever has no use for exits has dropped the receiver.
                    let _ = exits.send(exit);
                    continue;
                }
            };
            if let Some(answer) = waiting.take(id) {
                let _ = answer.send(result);
            }
        }
    }
    waiting.close();
}

/// Writes whole lines, whatever becomes of those who sent them.
async fn speak(mut writer: OwnedWriteHalf, mut lines: mpsc::UnboundedReceiver<Vec<u8>>) {
    while let Some(line) = lines.recv().await {
        if writer.write_all(&line).await.is_err() {
            break;
        }
    }
}
