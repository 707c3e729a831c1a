//! Connections to peers: one each, opened by this node, for its own messages only, opened again whenever it
//! breaks.
//!
//! A healed partition must be over for Raft as well, within a second or so. TCP alone would take much
//! longer: what it could not deliver it sends again after ever longer pauses, up to minutes. So a connection
//! on which nothing is acknowledged for long is given up (TCP_USER_TIMEOUT, RFC 5482), and
//! attempts to connect are short and frequent.

use super::diary::Diary;
use super::outbox::Outbox;
use crate::frame;
use crate::hello::Hello;
use crate::protocol::Peer;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

/// How many bytes may wait for a peer; a message that does not fit is lost.
pub const QUEUE_MAX: usize = 32 << 20;

/// The longest a connection lives on which nothing is acknowledged.
const UNACKNOWLEDGED_MAX: Duration = Duration::from_millis(1500);

/// The longest an attempt to connect takes: less than the kernel waits before it repeats a lost SYN.
const CONNECT_MAX: Duration = Duration::from_millis(500);

/// The pause after a connection failed; doubled each time, up to [`PAUSE_MAX`].
const PAUSE: Duration = Duration::from_millis(20);

/// The longest pause between two attempts to connect.
const PAUSE_MAX: Duration = Duration::from_millis(200);

/// A connection that lasted so long was a good one: worth a line, and a fresh start if it breaks.
const SETTLED: Duration = Duration::from_millis(250);

/// A connection to one peer.
#[derive(Debug)]
pub struct Link {
    /// The peer.
    pub to: Peer,
    /// Where it, or the proxy before it, is.
    pub address: SocketAddr,
    /// What to say first.
    pub hello: Hello,
    /// What to send.
    pub outbox: Rc<Outbox>,
    /// Where to note connections found and lost.
    pub diary: Diary,
}

impl Link {
    /// Keeps the connection, for ever.
    pub async fn keep(self) {
        let mut pause = PAUSE;
        loop {
            let begun = Instant::now();
            let error = match timeout(CONNECT_MAX, self.connect()).await {
                Ok(Ok(socket)) => self.use_up(socket).await,
                Ok(Err(error)) => error,
                Err(_) => io::ErrorKind::TimedOut.into(),
            };
            // Messages that waited for a connection in vain are older than the next one.
            self.outbox.clear();
            if begun.elapsed() > SETTLED + CONNECT_MAX {
                self.diary.note(format_args!("lost the connection to node {}: {error}", self.to.0));
                pause = PAUSE;
            }
            sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    async fn connect(&self) -> io::Result<TcpStream> {
        let mut socket = TcpStream::connect(self.address).await?;
        socket.set_nodelay(true)?;
        give_up_unacknowledged(&socket)?;
        let mut first = Vec::new();
        frame::encode(&self.hello.payload(), &mut first).expect("a hello is short");
        socket.write_all(&first).await?;
        Ok(socket)
    }

    /// Sends until the connection breaks. The peer never writes; that there is something to read means that
    /// it has closed.
    async fn use_up(&self, mut socket: TcpStream) -> io::Error {
        let (mut reader, mut writer) = socket.split();
        let settled = async {
            sleep(SETTLED).await;
            self.diary.note(format_args!("connected to node {}", self.to.0));
            std::future::pending().await
        };
        tokio::select! {
            error = self.outbox.pump(&mut writer, false) => error,
            read = reader.read_u8() => match read {
                Ok(_) => io::Error::other("it answers, which no peer does"),
                Err(error) => error,
            },
            never = settled => never,
        }
    }
}

/// Lets the kernel close a connection on which the other end is silent for too long.
#[cfg(target_os = "linux")]
fn give_up_unacknowledged(socket: &TcpStream) -> io::Result<()> {
    let limit = UNACKNOWLEDGED_MAX.as_millis() as u32;
    nix::sys::socket::setsockopt(socket, nix::sys::socket::sockopt::TcpUserTimeout, &limit)?;
    Ok(())
}

/// Elsewhere there is no such option; connections then come back later.
#[cfg(not(target_os = "linux"))]
fn give_up_unacknowledged(_: &TcpStream) -> io::Result<()> {
    let _ = UNACKNOWLEDGED_MAX;
    Ok(())
}
