//! Connections that others open: peers, to send their messages, and clients, to ask.
//!
//! Each has a task that reads. The first frame says who calls; strays are turned away. When the replica falls
//! behind, sockets are left unread, and the senders wait.

use super::diary::Diary;
use super::outbox::Outbox;
use crate::frame::Decoder;
use crate::hello::{Caller, Hello};
use crate::protocol::{Connection, Peer};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::Sender;
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};

/// How long a caller may take to say who it is.
const HELLO_MAX: Duration = Duration::from_secs(5);

/// How many bytes of answers may wait for a client before it is left.
const ANSWERS_MAX: usize = 64 << 20;

/// How much is read at once.
const CHUNK: usize = 64 << 10;

/// What comes in.
#[derive(Debug)]
pub enum Arrival {
    /// A client has called; answers to it go into this outbox.
    Client(Connection, Rc<Outbox>),
    /// Payloads of a client, at least one.
    Requests(Connection, Vec<Vec<u8>>),
    /// A client is gone.
    Gone(Connection),
    /// Payloads of a peer, at least one.
    Messages(Peer, Vec<Vec<u8>>),
}

/// Where callers are received.
#[derive(Debug)]
pub struct Reception {
    /// The cluster that callers must mean.
    pub cluster: u64,
    /// This node.
    pub me: Peer,
    /// How many nodes there are.
    pub peers: u16,
    /// Where what arrives goes.
    pub arrivals: Sender<Arrival>,
    /// Where to note who was turned away.
    pub diary: Diary,
}

/// A reception that is open.
struct Desk {
    reception: Reception,
    clients: Cell<u64>,
    /// The task that reads each peer's latest connection.
    readers: RefCell<BTreeMap<Peer, AbortHandle>>,
}

/// The node has ended; there is nobody to hand anything to.
struct Ended;

impl Reception {
    /// Receives callers, for ever.
    pub async fn open(self, listener: TcpListener) {
        let desk = Rc::new(Desk { reception: self, clients: Cell::new(0), readers: RefCell::default() });
        loop {
            match listener.accept().await {
                Ok((socket, _)) => {
                    tokio::task::spawn_local(desk.clone().receive(socket));
                }
                Err(error) => {
                    // Too many open files, or a caller that left already. The former passes with time.
                    desk.reception.diary.note(format_args!("cannot accept a connection: {error}"));
                    sleep(Duration::from_millis(50)).await;
                }
            }
        }
    }
}

impl Desk {
    async fn receive(self: Rc<Self>, mut socket: TcpStream) {
        let mut decoder = Decoder::new();
        let hello = timeout(HELLO_MAX, first_payload(&mut socket, &mut decoder)).await;
        let Ok(Ok(hello)) = hello else { return };
        let Reception { cluster, me, peers, .. } = self.reception;
        match Hello::admit(&hello, cluster, me, peers) {
            Ok(Caller::Client) => self.serve(socket, decoder).await,
            Ok(Caller::Peer { from, .. }) => self.hear(socket, decoder, from),
            Err(stray) => self.reception.diary.note(format_args!("turned a caller away: {stray}")),
        }
    }

    /// Serves a client until it leaves or has to.
    async fn serve(&self, mut socket: TcpStream, decoder: Decoder) {
        if socket.set_nodelay(true).is_err() {
            return;
        }
        let connection = Connection(self.clients.get() + 1);
        self.clients.set(connection.0);
        let outbox = Rc::new(Outbox::new(ANSWERS_MAX));
        let arrivals = &self.reception.arrivals;
        if arrivals.send(Arrival::Client(connection, outbox.clone())).await.is_err() {
            return;
        }
        let (mut reader, mut writer) = socket.split();
        let read = self.read(&mut reader, decoder, |payloads| Arrival::Requests(connection, payloads));
        tokio::select! {
            _ = read => {}
            _ = outbox.pump(&mut writer, true) => {}
        }
        let _ = arrivals.send(Arrival::Gone(connection)).await;
    }

    /// Begins to hear a peer. It calls again only when its former connection is of no use any more.
    fn hear(self: Rc<Self>, mut socket: TcpStream, decoder: Decoder, from: Peer) {
        let desk = self.clone();
        let read = async move {
            let _ = desk.read(&mut socket, decoder, |payloads| Arrival::Messages(from, payloads)).await;
        };
        let reader = tokio::task::spawn_local(read).abort_handle();
        if let Some(former) = self.readers.borrow_mut().insert(from, reader) {
            former.abort();
        }
    }

    /// Hands on what arrives until the stream ends, breaks or makes no sense.
    async fn read(
        &self,
        socket: &mut (impl AsyncRead + Unpin),
        mut decoder: Decoder,
        arrival: impl Fn(Vec<Vec<u8>>) -> Arrival,
    ) -> Result<(), Ended> {
        let mut chunk = vec![0; CHUNK];
        loop {
            let mut payloads = Vec::new();
            let sound = loop {
                match decoder.next_payload() {
                    Ok(Some(payload)) => payloads.push(payload),
                    Ok(None) => break true,
                    Err(error) => {
                        self.reception.diary.note(format_args!("closes a connection: {error}"));
                        break false;
                    }
                }
            };
            if !payloads.is_empty() {
                self.reception.arrivals.send(arrival(payloads)).await.map_err(|_| Ended)?;
            }
            if !sound {
                return Ok(());
            }
            match socket.read(&mut chunk).await {
                Ok(length) if length > 0 => decoder.push(&chunk[..length]),
                _ => return Ok(()),
            }
        }
    }
}

/// The first payload of a stream; what follows stays in the decoder.
async fn first_payload(socket: &mut TcpStream, decoder: &mut Decoder) -> io::Result<Vec<u8>> {
    let mut chunk = [0; 1024];
    loop {
        match decoder.next_payload() {
            Ok(Some(payload)) => return Ok(payload),
            Ok(None) => {}
            Err(error) => return Err(io::Error::other(error)),
        }
        match socket.read(&mut chunk).await? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            length => decoder.push(&chunk[..length]),
        }
    }
}
