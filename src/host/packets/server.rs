//! The thread that serves the lanes of a trial: it wakes when packets come, and when held ones are due.
//!
//! A thread, not a task of the runner's runtime: there a packet would wait for a client's turn, and a client
//! for a flood of packets. What changes a lane takes the same lock as the thread does, so when a change has
//! returned it is in force.

use super::lane::Lane;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;
use std::collections::BTreeMap;
use std::io::{self, PipeReader, PipeWriter, Read, Write, pipe};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// The lanes in service.
#[derive(Debug)]
pub(super) struct Server {
    lanes: Arc<Lanes>,
    /// Each byte wakes the thread once; the end of the pipe ends it.
    bell: Option<PipeWriter>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// A thread that serves no lane yet.
    pub fn start() -> io::Result<Server> {
        let (woken, bell) = pipe()?;
        let lanes = Arc::new(Lanes::default());
        let served = lanes.clone();
        let thread = thread::Builder::new().name("packets".into()).spawn(move || serve(&served, woken))?;
        Ok(Server { lanes, bell: Some(bell), thread: Some(thread) })
    }

    /// Whether anybody serves.
    pub fn is_alive(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }

    /// Takes a lane into service, under this number. It stays until the server is dropped.
    pub fn add(&mut self, place: usize, lane: Lane) {
        self.lanes.change(|lanes| drop(lanes.insert(place, lane)));
        if let Some(bell) = &mut self.bell {
            // Fails only if the thread is gone; then nothing serves, and everything passes.
            let _ = bell.write_all(b"!");
        }
    }

    /// Does something with the lane of this number. `None` if there is none.
    pub fn with<T>(&self, place: usize, act: impl FnOnce(&mut Lane) -> T) -> Option<T> {
        self.lanes.change(|lanes| lanes.get_mut(&place).map(act))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.bell = None;
        if let Some(thread) = self.thread.take() {
            // A panic in there was printed; its lanes were closed all the same.
            let _ = thread.join();
        }
    }
}

#[derive(Debug, Default)]
struct Lanes {
    all: Mutex<BTreeMap<usize, Lane>>,
    /// How many want to change them: in a flood of packets the lock alone would hardly ever be theirs.
    wanted: AtomicUsize,
}

impl Lanes {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<usize, Lane>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change<T>(&self, act: impl FnOnce(&mut BTreeMap<usize, Lane>) -> T) -> T {
        self.wanted.fetch_add(1, Relaxed);
        let mut lanes = self.lock();
        self.wanted.fetch_sub(1, Relaxed);
        act(&mut lanes)
    }

    /// Gives every lane its turn. Returns which descriptors to wait for, and until when at most.
    fn turn(&self) -> (Vec<RawFd>, Option<Instant>) {
        while self.wanted.load(Relaxed) > 0 {
            thread::yield_now();
        }
        let mut lanes = self.lock();
        let mut next: Option<Instant> = None;
        let mut sooner = |at: Instant| next = Some(next.map_or(at, |next| next.min(at)));
        // What cannot be served is let go: the kernel lets its packets pass from then on.
        lanes.retain(|place, lane| match lane.work() {
            Ok((due, more)) => {
                due.into_iter().for_each(&mut sooner);
                if more {
                    sooner(Instant::now());
                }
                true
            }
            Err(error) => {
                eprintln!("elenchus: the packets of node {} are left alone: {error}", place + 1);
                false
            }
        });
        (lanes.values().map(|lane| lane.as_fd().as_raw_fd()).collect(), next)
    }
}

/// Closes all lanes when the thread ends, however it does: what nobody serves must not be held.
struct Closing<'a>(&'a Lanes);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        self.0.lock().clear();
    }
}

fn serve(lanes: &Lanes, mut woken: PipeReader) {
    let _closing = Closing(lanes);
    loop {
        let (fds, next) = lanes.turn();
        // SAFETY: only this thread removes lanes while it runs, and not before its next turn.
        let fds = fds.into_iter().map(|fd| unsafe { BorrowedFd::borrow_raw(fd) });
        let fds = std::iter::once(woken.as_fd()).chain(fds);
        let mut fds: Vec<PollFd<'_>> = fds.map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
        let wait = next.map(|next| TimeSpec::from(wait(next)));
        // Interrupted or not, the next turn looks at everything.
        let _ = ppoll(&mut fds, wait, None);
        let is_woken = fds[0].any().unwrap_or(false);
        if is_woken && !matches!(woken.read(&mut [0; 16]), Ok(1..)) {
            return;
        }
    }
}

/// How long to sleep for this moment.
fn wait(next: Instant) -> Duration {
    next.saturating_duration_since(Instant::now()).min(Duration::from_secs(60))
}
