//! Frames on their way to one socket.
//!
//! The driver puts frames in during its turn and lets them go at the end of it; the socket's own task writes
//! all that is there with one `write(2)`. An outbox holds so much and no more: to a peer what does not fit
//! is lost, as any message may be; a client that does not read its answers is left.

use crate::frame;
use std::cell::{Cell, RefCell};
use std::io;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::Notify;

/// See the module. Lives on the node's one thread.
#[derive(Debug)]
pub struct Outbox {
    frames: RefCell<Vec<u8>>,
    limit: usize,
    /// Whether a frame did not fit since this was last asked.
    overflown: Cell<bool>,
    ready: Notify,
}

impl Outbox {
    /// An empty outbox that holds up to `limit` bytes.
    pub fn new(limit: usize) -> Outbox {
        Outbox { frames: RefCell::new(Vec::new()), limit, overflown: Cell::new(false), ready: Notify::new() }
    }

    /// Puts a frame in. False if it did not fit and is lost.
    pub fn put(&self, payload: &[u8]) -> bool {
        let mut frames = self.frames.borrow_mut();
        let fits = frames.len().saturating_add(payload.len()) <= self.limit
            && frame::encode(payload, &mut frames).is_ok();
        if !fits {
            self.overflown.set(true);
        }
        fits
    }

    /// Lets go what was put in.
    pub fn release(&self) {
        if !self.frames.borrow().is_empty() || self.overflown.get() {
            self.ready.notify_one();
        }
    }

    /// Throws away what is in it.
    pub fn clear(&self) {
        self.frames.borrow_mut().clear();
        self.overflown.set(false);
    }

    /// Whether a frame did not fit since this was last asked.
    pub fn take_overflown(&self) -> bool {
        self.overflown.take()
    }

    /// Waits until frames are let go; they then belong to the caller, who swaps them for an empty buffer.
    async fn take(&self, buffer: &mut Vec<u8>) {
        buffer.clear();
        while self.frames.borrow().is_empty() && !self.overflown.get() {
            self.ready.notified().await;
        }
        std::mem::swap(&mut *self.frames.borrow_mut(), buffer);
    }

    /// Writes to a socket whatever is let go, for ever, until the socket fails. With `strict`, a frame that
    /// did not fit is a failure as well.
    pub async fn pump(&self, socket: &mut (impl AsyncWrite + Unpin), strict: bool) -> io::Error {
        let mut buffer = Vec::new();
        loop {
            self.take(&mut buffer).await;
            if self.take_overflown() && strict {
                return io::Error::other("it does not read what it is sent");
            }
            if let Err(error) = socket.write_all(&buffer).await {
                return error;
            }
        }
    }
}
