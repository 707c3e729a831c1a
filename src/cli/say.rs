//! Standard output that may be gone: a reader who leaves, or a full disk, changes no verdict.

use std::fmt::Arguments;
use std::io::{ErrorKind, Write};
use std::sync::atomic::{AtomicBool, Ordering};

/// Writes one line, as `println!` does, and goes on if it cannot be written.
macro_rules! say {
    () => { $crate::cli::say::line(format_args!("")) };
    ($($text:tt)*) => { $crate::cli::say::line(format_args!($($text)*)) };
}
pub(crate) use say;

/// See [`say!`].
pub(crate) fn line(text: Arguments<'_>) {
    let mut out = std::io::stdout().lock();
    let written = out.write_fmt(text).and_then(|()| out.write_all(b"\n"));
    note(written);
}

/// Writes bytes as they are.
pub(crate) fn bytes(bytes: &[u8]) {
    let mut out = std::io::stdout().lock();
    note(out.write_all(bytes).and_then(|()| out.flush()));
}

fn note(written: std::io::Result<()>) {
    static SAID: AtomicBool = AtomicBool::new(false);
    // Who closed the pipe wants no more, and no complaint either.
    if let Err(e) = written
        && e.kind() != ErrorKind::BrokenPipe
        && !SAID.swap(true, Ordering::Relaxed)
    {
        let _ = writeln!(std::io::stderr(), "elenchus: standard output cannot be written: {e}");
    }
}
