//! Frames over one socket, to a node of a bundled cluster.

use elenchus_reference::frame::{self, Decoder};
use elenchus_reference::hello::Hello;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// A connection as a client. Futures of its methods may be dropped; nothing is lost or torn by that.
#[derive(Debug)]
pub struct Line {
    socket: TcpStream,
    decoder: Decoder,
    /// What is not written yet, from `written` on.
    out: Vec<u8>,
    written: usize,
}

impl Line {
    /// Connects within `limit` and says hello to the cluster.
    pub async fn open(address: SocketAddr, cluster: u64, limit: Duration) -> io::Result<Line> {
        let socket = match timeout(limit, TcpStream::connect(address)).await {
            Ok(socket) => socket?,
            Err(_) => return Err(io::Error::new(io::ErrorKind::TimedOut, "no connection in time")),
        };
        socket.set_nodelay(true)?;
        let mut line = Line { socket, decoder: Decoder::new(), out: Vec::new(), written: 0 };
        line.send(&Hello::client(cluster).payload())?;
        Ok(line)
    }

    /// Puts a payload on its way; [`Line::receive`] moves it.
    pub fn send(&mut self, payload: &[u8]) -> io::Result<()> {
        frame::encode(payload, &mut self.out).map_err(io::Error::other)
    }

    /// Sends what is on its way until a payload has come.
    pub async fn receive(&mut self) -> io::Result<Vec<u8>> {
        loop {
            if let Some(payload) = self.decoder.next_payload().map_err(io::Error::other)? {
                return Ok(payload);
            }
            let mut chunk = [0; 4096];
            let (mut reader, mut writer) = self.socket.split();
            let unwritten = &self.out[self.written..];
            tokio::select! {
                biased;
                written = writer.write(unwritten), if !unwritten.is_empty() => {
                    self.written += written?;
                    if self.written == self.out.len() {
                        self.out.clear();
                        self.written = 0;
                    }
                }
                read = reader.read(&mut chunk) => match read? {
                    0 => return Err(closed()),
                    length => self.decoder.push(&chunk[..length]),
                },
            }
        }
    }

    /// Whether the node has closed the connection meanwhile, as far as this end has heard.
    pub fn is_closed(&mut self) -> bool {
        let mut chunk = [0; 4096];
        loop {
            match self.socket.try_read(&mut chunk) {
                Ok(0) => return true,
                Ok(length) => self.decoder.push(&chunk[..length]),
                Err(error) => return error.kind() != io::ErrorKind::WouldBlock,
            }
        }
    }
}

fn closed() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the node closed the connection")
}
