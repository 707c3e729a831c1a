//! Whether this machine lets clocks lie: tried on a process of our own, and on nothing else.

use super::clocks::now_ns;
use super::lie::Lie;
use super::patch::Patch;
use elenchus_core::fault::Skew;
use nix::libc;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, Pid, fork};
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

const HOUR_MS: i64 = 3_600_000;
/// No process takes so long to answer, unless it never will.
const PATIENCE: Duration = Duration::from_secs(3);

/// Patches a child of our own, asks it for the time, frees it, asks again. Says how clocks are made to lie
/// here, or why they cannot.
pub fn probe() -> Result<String, String> {
    let mut witness = Witness::new().map_err(|error| format!("no process to try it on: {error}"))?;
    let before = witness.ahead_ms()?;
    let lie = Lie::new(Skew::Bump { delta_ms: HOUR_MS }, now_ns()).expect("an hour is within bounds");
    let deadline = Instant::now() + PATIENCE;
    let patch = Patch::install(witness.child.as_raw(), None, &lie, deadline).map_err(|e| e.to_string())?;
    let (askew, shown) = (witness.ahead_ms()?, patch.shown().map_err(|error| error.to_string())?);
    patch.remove(deadline).map_err(|error| error.to_string())?;
    let after = witness.ahead_ms()?;
    // A busy machine delays an answer by less than minutes.
    let near = |ms: i64, wanted: i64| (ms - wanted).abs() < HOUR_MS / 10;
    if near(before, 0) && near(askew, HOUR_MS) && near(after, 0) && shown.reads == 1 {
        return Ok("through the vDSO of each process, by ptrace".into());
    }
    Err(format!(
        "a patched process read its clock {askew} ms ahead where an hour was meant, and {after} ms when freed"
    ))
}

/// A child that tells the time when it is asked, and ends with us.
struct Witness {
    child: Pid,
    line: UnixStream,
}

impl Witness {
    fn new() -> io::Result<Witness> {
        let (line, theirs) = UnixStream::pair()?;
        line.set_read_timeout(Some(PATIENCE))?;
        let us = Pid::this();
        // SAFETY: the child makes system calls only, and no other of our threads' locks concerns it.
        match unsafe { fork() }? {
            ForkResult::Parent { child } => Ok(Witness { child, line }),
            ForkResult::Child => testify(theirs.as_raw_fd(), line.as_raw_fd(), us),
        }
    }

    /// How far ahead of ours its clock is.
    fn ahead_ms(&mut self) -> Result<i64, String> {
        let mut answer = [0; 8];
        let asked = self.line.write_all(b"?").and_then(|()| self.line.read_exact(&mut answer));
        asked.map_err(|error| format!("the process it was tried on does not answer: {error}"))?;
        Ok((i64::from_ne_bytes(answer) - now_ns()) / 1_000_000)
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        // It is ours and not reaped, so that its number is nobody else's.
        let _ = kill(self.child, Signal::SIGKILL);
        let _ = waitpid(self.child, None);
    }
}

/// The child's whole life. It may call what is safe in a signal handler and no more.
fn testify(line: i32, other: i32, parent: Pid) -> ! {
    let mut question = 0_u8;
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: every pointer shows to a value that lives longer than the call, of the length that is told.
    unsafe {
        libc::close(other);
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
        if libc::getppid() != parent.as_raw() {
            libc::_exit(1);
        }
        while libc::read(line, (&raw mut question).cast(), 1) == 1 {
            libc::clock_gettime(libc::CLOCK_REALTIME, &mut now);
            let ns = (now.tv_sec * 1_000_000_000 + now.tv_nsec).to_ne_bytes();
            if libc::write(line, ns.as_ptr().cast(), ns.len()) != ns.len() as isize {
                break;
            }
        }
        libc::_exit(0)
    }
}
