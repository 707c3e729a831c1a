//! The user's wish that a trial ends, where it runs in the process that the user started.
//!
//! The first signal is a wish: faults are healed, what was recorded is judged. The second ends the process at once.
//! Between trials, while they are judged, signals are again what they were before: there is nothing to heal then. On
//! local ground an outer process listens instead (see `host::interrupts`).

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use std::io;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use tokio::signal::unix::{Signal as Listener, SignalKind, signal};

/// Resolves when the user wants the trial to end.
pub(super) type Stop = Pin<Box<dyn Future<Output = ()>>>;

/// Tells the user that the wish was heard.
pub(super) fn announce(more: &str) {
    eprintln!(
        "\nelenchus: the trial ends early: what is broken is healed, what was recorded is judged{more}"
    );
}

const SIGNALS: [Signal; 2] = [Signal::SIGINT, Signal::SIGTERM];

/// The runtime's own handlers, once they are there: it installs each only once in the life of a process.
static HANDLERS: Mutex<Vec<(Signal, SigAction)>> = Mutex::new(Vec::new());

/// Listens to signals until it is dropped.
#[derive(Debug)]
pub(super) struct Listening(());

impl Listening {
    /// Begins to listen; to be called inside the runtime that waits. `by_force` is said when a second signal ends
    /// the process.
    pub(super) fn begin(by_force: &'static str) -> io::Result<(Listening, Stop)> {
        let mut heard = Heard {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        };
        let handlers = std::mem::take(&mut *HANDLERS.lock().unwrap_or_else(PoisonError::into_inner));
        for (signal, handler) in &handlers {
            // SAFETY: it is the runtime's own handler, which was in force before.
            unsafe { sigaction(*signal, handler) }?;
        }
        let stop = async move {
            heard.next().await;
            announce("; once more ends it by force");
            tokio::task::spawn(async move {
                heard.next().await;
                eprintln!("\nelenchus: ended by force; {by_force}");
                std::process::exit(255);
            });
        };
        Ok((Listening(()), Box::pin(stop)))
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        let mut kept = HANDLERS.lock().unwrap_or_else(PoisonError::into_inner);
        let default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
        for signal in SIGNALS {
            // SAFETY: the default action runs no code of ours.
            if let Ok(handler) = unsafe { sigaction(signal, &default) } {
                kept.push((signal, handler));
            }
        }
    }
}

struct Heard {
    interrupt: Listener,
    terminate: Listener,
}

impl Heard {
    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
