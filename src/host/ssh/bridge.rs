//! A bridge between a channel and a local socket, served by a thread of its own.
//!
//! It makes of a channel what tokio can wait for, and what another SSH session takes for its connection (a jump
//! host). It notices a host that is gone: it asks for a sign of life now and then, and a host that was not
//! heard of for a while has ended, though no packet said so.
//!
//! libssh2 allows no other packet before one that was half sent is sent whole. So while the socket takes no
//! more, only what was being done is tried again.

use super::session::Open;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use ssh2::{BlockDirections, Channel};
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How often a sign of life is asked for.
const ASK: Duration = Duration::from_secs(5);
/// How long a host may be silent.
const SILENCE_MAX: Duration = Duration::from_secs(15);
/// How much waits for whoever reads; beyond that the channel is not read, and the host waits.
const WAITING_MAX: usize = 1 << 18;
/// How much of what the command complains of is kept.
const COMPLAINT_MAX: usize = 1 << 12;

/// Why a bridge ended, once it has.
#[derive(Clone, Debug, Default)]
pub struct Ended(Arc<Mutex<Option<String>>>);

impl Ended {
    /// The reason, if it has ended.
    pub fn why(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, why: String) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(why);
    }
}

/// Builds the bridge; returns our end. `name` is for whoever lists threads.
pub(super) fn start(open: Open, channel: Channel, name: &str) -> io::Result<(UnixStream, Ended)> {
    let (ours, theirs) = UnixStream::pair()?;
    theirs.set_nonblocking(true)?;
    let ended = Ended::default();
    let kept = ended.clone();
    let now = Instant::now();
    let pump = Pump {
        open,
        channel,
        local: theirs,
        outward: vec![],
        inward: vec![],
        complaint: vec![],
        local_ended: false,
        end_sent: false,
        heard: now,
        asked: now,
    };
    std::thread::Builder::new().name(format!("ssh {name}")).spawn(move || kept.set(pump.run()))?;
    Ok((ours, ended))
}

struct Pump {
    open: Open,
    channel: Channel,
    local: UnixStream,
    /// On its way from us to the host.
    outward: Vec<u8>,
    /// On its way from the host to us.
    inward: Vec<u8>,
    complaint: Vec<u8>,
    local_ended: bool,
    end_sent: bool,
    heard: Instant,
    asked: Instant,
}

impl Pump {
    fn run(mut self) -> String {
        self.open.session.set_keepalive(true, ASK.as_secs() as u32);
        self.open.session.set_blocking(false);
        let why = loop {
            match self.turn() {
                Ok(true) => {}
                Ok(false) => {
                    if let Err(why) = self.wait() {
                        break why;
                    }
                }
                Err(why) => break why,
            }
        };
        // Whoever reads hears of the end by the closed socket, so what was heard before must be in it.
        let _ = self.local.write_all(&self.inward);
        let complaint = String::from_utf8_lossy(&self.complaint);
        match complaint.trim() {
            "" => why,
            said => format!("{why}: {said}"),
        }
    }

    /// Moves what can be moved; whether anything was.
    fn turn(&mut self) -> Result<bool, String> {
        let mut moved = self.send()?;
        if !self.is_stuck() {
            moved |= self.receive()?;
        }
        moved |= self.deliver()?;
        if self.asked.elapsed() > ASK && !self.is_stuck() {
            self.asked = Instant::now();
            let asked = self.open.session.keepalive_send();
            asked.map_err(|e| format!("the connection broke: {}", e.message()))?;
        }
        if self.heard.elapsed() > SILENCE_MAX {
            return Err(format!("the host was not heard of for {SILENCE_MAX:?}"));
        }
        Ok(moved)
    }

    /// Whether a packet is half sent.
    fn is_stuck(&self) -> bool {
        let directions = self.open.session.block_directions();
        matches!(directions, BlockDirections::Outbound | BlockDirections::Both)
    }

    fn send(&mut self) -> Result<bool, String> {
        if self.outward.is_empty() && !self.local_ended {
            let mut buffer = [0; 1 << 14];
            match self.local.read(&mut buffer) {
                Ok(0) => self.local_ended = true,
                Ok(length) => self.outward.extend_from_slice(&buffer[..length]),
                Err(e) if is_patient(&e) => return Ok(false),
                Err(e) => return Err(format!("nobody listens any more: {e}")),
            }
        }
        if self.outward.is_empty() {
            return self.send_end();
        }
        match self.channel.write(&self.outward) {
            Ok(length) => {
                self.outward.drain(..length);
                Ok(length > 0)
            }
            Err(e) if is_patient(&e) => Ok(false),
            Err(e) => Err(format!("the connection broke: {e}")),
        }
    }

    fn send_end(&mut self) -> Result<bool, String> {
        if !self.local_ended || self.end_sent {
            return Ok(false);
        }
        match self.channel.send_eof().map_err(io::Error::from) {
            Err(e) if is_patient(&e) => Ok(false),
            Err(e) => Err(format!("the connection broke: {e}")),
            Ok(()) => {
                self.end_sent = true;
                Ok(true)
            }
        }
    }

    fn receive(&mut self) -> Result<bool, String> {
        if self.inward.len() > WAITING_MAX {
            return Ok(false);
        }
        let mut buffer = [0; 1 << 14];
        let mut moved = false;
        for stream in [ssh2::EXTENDED_DATA_STDERR, 0] {
            match self.channel.stream(stream).read(&mut buffer) {
                Ok(0) => {}
                Ok(length) => {
                    (moved, self.heard) = (true, Instant::now());
                    match stream {
                        0 => self.inward.extend_from_slice(&buffer[..length]),
                        _ => {
                            let room = COMPLAINT_MAX.saturating_sub(self.complaint.len());
                            self.complaint.extend_from_slice(&buffer[..length.min(room)]);
                        }
                    }
                }
                Err(e) if is_patient(&e) => {}
                Err(e) => return Err(format!("the connection broke: {e}")),
            }
        }
        if !moved && self.channel.eof() {
            return Err("it has ended".into());
        }
        Ok(moved)
    }

    fn deliver(&mut self) -> Result<bool, String> {
        if self.inward.is_empty() {
            return Ok(false);
        }
        match self.local.write(&self.inward) {
            Ok(length) => {
                self.inward.drain(..length);
                Ok(true)
            }
            Err(e) if is_patient(&e) => Ok(false),
            Err(e) => Err(format!("nobody listens any more: {e}")),
        }
    }

    /// Waits until something can be moved.
    fn wait(&mut self) -> Result<(), String> {
        let mut host = PollFlags::POLLIN;
        host.set(PollFlags::POLLOUT, self.is_stuck());
        let mut local = PollFlags::empty();
        local.set(PollFlags::POLLIN, self.outward.is_empty() && !self.local_ended);
        local.set(PollFlags::POLLOUT, !self.inward.is_empty());
        let mut fds = [PollFd::new(self.open.socket(), host), PollFd::new(self.local.as_fd(), local)];
        match poll(&mut fds, PollTimeout::from(1000u16)) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(e) => return Err(format!("the connection broke: {e}")),
        }
        let happened = |fd: &PollFd<'_>, what| fd.revents().is_some_and(|events| events.intersects(what));
        if happened(&fds[1], PollFlags::POLLHUP) && self.local_ended {
            // Both directions are closed: whoever had our end has dropped it.
            return Err("nobody listens any more".into());
        }
        if happened(&fds[0], PollFlags::POLLIN) {
            self.heard = Instant::now();
        }
        Ok(())
    }
}

fn is_patient(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}
