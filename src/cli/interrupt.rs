//! Ctrl-C where a command can end at any moment: a word on what is left, in place of silence.
//!
//! Live trials are not ended so: what they broke must be healed first (`trial::stop`).

use nix::sys::signal::{SigSet, Signal};
use std::path::Path;

/// From here on SIGINT and SIGTERM end the process with these words, after `tidy`. To be called before any thread is
/// started, for threads inherit what is blocked; child processes do not.
pub(super) fn ends_with(words: String, tidy: impl FnOnce() + Send + 'static) {
    let signals = SigSet::from_iter([Signal::SIGINT, Signal::SIGTERM]);
    if signals.thread_block().is_err() {
        return;
    }
    std::thread::spawn(move || {
        if signals.wait().is_ok() {
            tidy();
            eprintln!("\nelenchus: {words}");
            std::process::exit(255);
        }
    });
}

/// Removes a folder in which others may still be writing.
pub(super) fn remove(folder: &Path) {
    const TRIES: usize = 50;
    for _ in 0..TRIES {
        if std::fs::remove_dir_all(folder).is_ok() || !folder.exists() {
            return;
        }
    }
}
