//! A supervisor whose controller is an agent: both outlive whoever started them.
//!
//! ```text
//! the command (ends when the agent is ready) → supervisor (subreaper, own session) → agent
//!                                                                                  ↘ nodes
//! ```
//!
//! Whoever loses the other cleans up: when the agent ends, however it does, the supervisor undoes what the
//! agent had under way and ends all nodes; when the supervisor dies, the kernel kills the nodes and sends
//! the agent SIGTERM. Only `kill -9` of both at once leaves something behind, and that stands in the journal.

use super::HostError;
use super::handle::SupervisorLine;
use super::journal::Journal;
use super::supervisor::{Over, Supervisor};
use super::trial::{BROKEN, PATIENCE, keep_from_programs, leave};
use super::{processes, resources};
use elenchus_core::process::NodeId;
use nix::sys::prctl;
use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::stat::{Mode, umask};
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, Pid, chdir, dup2_stderr, dup2_stdin, dup2_stdout, fork, getppid, setsid};
use std::collections::BTreeSet;
use std::fmt::Display;
use std::fs::{File, OpenOptions};
use std::io::{self, PipeWriter, Read, Write, pipe};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;

/// What a new agent has.
pub(crate) struct Born {
    /// The line to its supervisor; to be connected inside a tokio runtime.
    pub line: SupervisorLine,
    /// The journal of its folder.
    pub journal: Arc<Journal>,
    /// Its supervisor, which is its parent as long as it lives.
    pub supervisor: Pid,
    /// What it writes here before it closes it reaches whoever started it.
    pub ready: PipeWriter,
}

/// Where a daemon lives.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    /// Its folder, which becomes its working folder and receives the journal; absolute.
    pub folder: &'a Path,
    /// The file to which its standard output and error are appended.
    pub log: &'a Path,
}

/// Starts a supervisor of these nodes with an agent that runs `body`. Returns what the agent had to say when
/// it was ready; nothing, if it ended before. `after` runs in the supervisor when the agent has ended, before
/// the nodes are killed.
pub(crate) fn run_daemon(
    place: Place<'_>,
    nodes: &[NodeId],
    body: impl FnOnce(Born) -> i32,
    after: impl FnOnce(),
) -> Result<String, HostError> {
    let threads = std::fs::read_dir("/proc/self/task").map_err(HostError::io("/proc"))?.count();
    if threads != 1 {
        return Err(HostError::Threads(threads));
    }
    let log = OpenOptions::new().create(true).append(true).open(place.log);
    let log = log.map_err(HostError::io("the agent's log"))?;
    let (mut said, ready) = pipe().map_err(HostError::io("a pipe"))?;
    // SAFETY: we have a single thread, so no lock is held that a child would wait for.
    match unsafe { fork() }.map_err(HostError::io("fork"))? {
        ForkResult::Child => leave(|| {
            // A session leader could still take a terminal: its child cannot.
            // SAFETY: as above.
            match setsid().and_then(|_| unsafe { fork() }) {
                Ok(ForkResult::Child) => leave(|| supervise(place, nodes, log, ready, body, after)),
                Ok(ForkResult::Parent { .. }) => 0,
                Err(_) => BROKEN,
            }
        }),
        ForkResult::Parent { child } => {
            drop(ready);
            // What they own is the daemon's now; to drop it here could remove a file under its feet.
            std::mem::forget((body, after));
            waitpid(child, None).map_err(HostError::io("the daemon"))?;
            let mut text = String::new();
            said.read_to_string(&mut text).map_err(HostError::io("the daemon"))?;
            Ok(text)
        }
    }
}

/// Writes a line into the agent's log. A log that cannot be written, on a full disk, stops nobody.
pub(crate) fn note(what: &dyn Display) {
    let _ = writeln!(io::stderr(), "elenchus agent: {what}");
}

fn supervise(
    place: Place<'_>,
    nodes: &[NodeId],
    log: File,
    ready: PipeWriter,
    body: impl FnOnce(Born) -> i32,
    after: impl FnOnce(),
) -> i32 {
    let worked = settle(place, log).and_then(|()| work(place, nodes, ready, body));
    after();
    let left = processes::end_descendants(&BTreeSet::new(), PATIENCE);
    match worked {
        Ok(journal) if left.is_empty() => {
            match resources::sweep(journal.token()).and_then(|_groups| journal.done()) {
                Ok(()) => 0,
                Err(error) => {
                    note(&error);
                    BROKEN
                }
            }
        }
        Ok(_) => BROKEN,
        Err(error) => {
            note(&error);
            BROKEN
        }
    }
}

/// Cuts every tie to whoever started us.
fn settle(place: Place<'_>, log: File) -> io::Result<()> {
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::all()), None)?;
    prctl::set_child_subreaper(true)?;
    chdir(place.folder)?;
    umask(Mode::from_bits_truncate(0o022));
    dup2_stdin(File::open("/dev/null")?)?;
    dup2_stdout(&log)?;
    dup2_stderr(&log)?;
    keep_from_programs();
    Ok(())
}

/// Brings forth the agent and supervises until it ends.
fn work(
    place: Place<'_>,
    nodes: &[NodeId],
    ready: PipeWriter,
    body: impl FnOnce(Born) -> i32,
) -> io::Result<Arc<Journal>> {
    let mut child = SigSet::empty();
    child.add(Signal::SIGCHLD);
    let children = SignalFd::with_flags(&child, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
    let journal = Arc::new(Journal::create(place.folder)?);
    let (ours, theirs) = UnixStream::pair()?;
    let parent = Pid::this();
    // SAFETY: we have a single thread.
    let agent = match unsafe { fork() }? {
        ForkResult::Parent { child } => child,
        ForkResult::Child => {
            drop((ours, children));
            let journal = journal.clone();
            let line = SupervisorLine::new(theirs);
            leave(|| live(Born { line, journal, supervisor: parent, ready }, body))
        }
    };
    drop((theirs, ready));
    std::mem::forget(body);
    // Nothing is above us: this never closes.
    let (lifeline, _held) = pipe()?;
    let nodes = nodes.iter().map(|node| (node.clone(), None)).collect();
    let mut supervisor = Supervisor::new(nodes, journal.clone(), false, agent.as_raw(), ours)?;
    if let Over::Controller(status) = supervisor.work(&lifeline, &children)? {
        note(&format_args!("the agent {status}"));
    }
    Ok(journal)
}

/// The agent's whole life. SIGTERM stays blocked until somebody listens for it.
fn live(born: Born, body: impl FnOnce(Born) -> i32) -> i32 {
    let mut taken = SigSet::empty();
    taken.add(Signal::SIGTERM);
    let tied = sigprocmask(SigmaskHow::SIG_SETMASK, Some(&taken), None)
        .and_then(|()| prctl::set_pdeathsig(Signal::SIGTERM));
    if tied.is_err() || getppid() != born.supervisor {
        return BROKEN;
    }
    body(born)
}
