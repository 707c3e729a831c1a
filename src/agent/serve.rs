//! Starting an agent, bridging to it, healing after it: what the subcommand `agent` does on a host.

use super::clock::{HostClock, Systemd, ThisMachine};
use super::duties::{self, Duties};
use super::folder::{Folder, Lock, SOCKET, Tenant};
use super::protocol::{Attach, Hello, VERSION, line};
use super::rights;
use super::server::Server;
use super::undo::{Faults, UndoError};
use super::wall::FilterRequest;
use crate::host::daemon::{Born, Place, note, run_daemon};
use crate::host::processes::Identity;
use crate::host::{HealError, Healed, HostError, journal};
use elenchus_core::process::NodeId;
use nix::sys::signal::{Signal, kill};
use nix::sys::stat::{Mode, umask};
use nix::unistd::{Pid, chdir};
use serde::{Deserialize, Serialize};
use std::fs;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Shutdown};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::UnixListener;

/// How an agent is to be.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where it lives; made if it is not there.
    pub folder: PathBuf,
    /// The nodes that it runs.
    pub nodes: Vec<NodeId>,
    /// After so long without any request it takes everything back and ends.
    pub lease: Duration,
    /// Whether it may set the host's own clock.
    pub host_clock: bool,
    /// By what means it cuts links.
    pub filter: FilterRequest,
}

/// That an agent serves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ready {
    /// The agent's process.
    #[serde(flatten)]
    pub identity: Identity,
    /// Whether it had been started before.
    pub already: bool,
}

/// Why there is no agent, or nothing was healed.
#[derive(Debug, thiserror::Error)]
pub enum AgentFailure {
    /// The machine gave an error.
    #[error("{}: {source}", path.display())]
    Io {
        /// With what.
        path: PathBuf,
        /// Which.
        source: io::Error,
    },
    /// The processes could not be made.
    #[error(transparent)]
    Host(#[from] HostError),
    /// What an agent that was killed had left could not be ended.
    #[error(transparent)]
    Heal(#[from] HealError),
    /// What an agent that was killed had done could not be undone.
    #[error("{0}")]
    Undo(String),
    /// The agent ended before it was ready.
    #[error("the agent ended before it was ready; {} may say why", log.display())]
    Ended {
        /// The agent's log.
        log: PathBuf,
    },
    /// Another agent is starting or ending there.
    #[error("{}: another agent is about to start or to end here; try again", folder.display())]
    Busy {
        /// The folder.
        folder: PathBuf,
    },
    /// The agent that lives there does not end.
    #[error("{}: the agent, process {pid}, does not end", folder.display())]
    Stays {
        /// The folder.
        folder: PathBuf,
        /// Its process.
        pid: i32,
    },
}

fn at(path: &Path) -> impl Fn(io::Error) -> AgentFailure {
    move |source| AgentFailure::Io { path: path.to_owned(), source }
}

// ---- serve --------------------------------------------------------------------------------------------

/// Starts an agent that outlives us, unless one lives there; returns when it can be attached to. What an
/// agent that was killed had left there is undone first.
pub fn serve(options: &Options) -> Result<Ready, AgentFailure> {
    let folder = Folder::make(&options.folder).map_err(at(&options.folder))?;
    let Some(lock) = folder.lock().map_err(at(folder.path()))? else {
        let tenant = folder.tenant();
        let busy = || AgentFailure::Busy { folder: folder.path().to_owned() };
        return tenant.map(|t| Ready { identity: t.identity, already: true }).ok_or_else(busy);
    };
    if let Err(error) = clear(&folder) {
        lock.release();
        return Err(error);
    }
    let (path, log) = (folder.path().to_owned(), folder.log());
    let place = Place { folder: &path, log: &log };
    let after = {
        let folder = folder.clone();
        // The agent has done so itself, unless it was killed.
        move || duties::heal(&folder).iter().for_each(|said| note(said))
    };
    let said = run_daemon(place, &options.nodes, |born| live(folder, lock, options, born), after)?;
    serde_json::from_str(&said).map_err(|_| AgentFailure::Ended { log })
}

/// Undoes what is left of a former agent, and removes its lists.
fn clear(folder: &Folder) -> Result<(), AgentFailure> {
    undo(folder)?;
    for path in [folder.journal(), folder.faults(), folder.path().join(SOCKET)] {
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(at(&path)(error)),
            _ => {}
        }
    }
    Ok(())
}

/// The agent's whole life. Returns its exit code.
fn live(folder: Folder, mut lock: Lock, options: &Options, mut born: Born) -> i32 {
    let work = || -> Result<(), String> {
        let tenant = lock.enter().map_err(|e| format!("the lock: {e}"))?;
        let faults = Faults::create(&folder.faults()).map_err(|e| format!("the list of faults: {e}"))?;
        let listener = listen().map_err(|e| format!("the socket: {e}"))?;
        let hello = hello(&tenant, options);
        let clock = options.host_clock.then(|| HostClock::new(Rc::new(ThisMachine), Arc::new(Systemd)));
        let (supervisor, journal) = (born.line, born.journal.clone());
        let duties = Duties::new(folder.clone(), options, journal, faults, clock, supervisor);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|e| format!("a runtime: {e}"))?;
        let tasks = tokio::task::LocalSet::new();
        let said = tasks.block_on(&runtime, async {
            let listener = UnixListener::from_std(listener).map_err(|e| format!("the socket: {e}"))?;
            let ready = line(&Ready { identity: tenant.identity, already: false });
            born.ready.write_all(&ready).map_err(|e| format!("the one who started us: {e}"))?;
            drop(born.ready);
            Ok::<_, String>(Server::work(duties, hello, listener).await)
        })?;
        // Whoever still looks at services in a thread changes nothing; what it waits for ends with us.
        runtime.shutdown_background();
        let _ = fs::remove_file(SOCKET);
        said.iter().for_each(|said| note(said));
        Ok(())
    };
    match work() {
        Ok(()) => {
            // Without a supervisor nobody else ends what the nodes left behind.
            if nix::unistd::getppid() != born.supervisor {
                let _ = journal::heal(folder.path());
            }
            0
        }
        Err(why) => {
            note(&why);
            255
        }
    }
}

/// A socket in the current folder, for us and root alone.
fn listen() -> io::Result<std::os::unix::net::UnixListener> {
    let before = umask(Mode::from_bits_truncate(0o177));
    let listener = std::os::unix::net::UnixListener::bind(SOCKET);
    umask(before);
    let listener = listener?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

fn hello(tenant: &Tenant, options: &Options) -> Hello {
    let hostname = fs::read_to_string("/proc/sys/kernel/hostname");
    Hello {
        version: VERSION,
        program: env!("CARGO_PKG_VERSION").into(),
        arch: std::env::consts::ARCH.into(),
        hostname: hostname.unwrap_or_default().trim().into(),
        boot: tenant.boot.clone(),
        pid: tenant.identity.pid,
        nodes: options.nodes.clone(),
        lease_ms: options.lease.as_millis() as u64,
        rights: rights::rights(options.filter, options.host_clock),
    }
}

// ---- attach -------------------------------------------------------------------------------------------

/// Bridges standard input and output to the agent in this folder until either end closes. `from` is where
/// the controller's connection comes from.
pub fn attach(folder: &Path, from: Option<IpAddr>) -> Result<(), AgentFailure> {
    // A folder's path may be longer than a socket's address may be.
    chdir(folder).map_err(|errno| at(folder)(errno.into()))?;
    let socket = folder.join(SOCKET);
    let mut stream = UnixStream::connect(SOCKET).map_err(at(&socket))?;
    stream.write_all(&line(&Attach { from })).map_err(at(&socket))?;
    let mut agent = stream.try_clone().map_err(at(&socket))?;
    std::thread::spawn(move || {
        pump(&mut io::stdin(), &mut agent);
        // The controller says no more; what it asked is still answered.
        let _ = agent.shutdown(Shutdown::Write);
    });
    pump(&mut stream, &mut io::stdout());
    Ok(())
}

/// Copies what comes at once, until either side is closed.
fn pump(from: &mut impl Read, to: &mut impl Write) {
    let mut buffer = [0; 1 << 14];
    loop {
        match from.read(&mut buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Ok(length @ 1..) => {
                if to.write_all(&buffer[..length]).and_then(|()| to.flush()).is_err() {
                    return;
                }
            }
            _ => return,
        }
    }
}

/// The address from which an SSH connection comes, as its server tells it: the first word of
/// `SSH_CONNECTION`.
pub fn client_of(connection: &str) -> Option<IpAddr> {
    // A link-local address bears its interface behind a percent sign.
    connection.split_whitespace().next()?.split('%').next()?.parse().ok()
}

// ---- heal ---------------------------------------------------------------------------------------------

/// What healing a folder found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum AgentHealed {
    /// Nothing to do.
    Already,
    /// An agent lives there: nothing was touched.
    Running {
        /// Its process.
        pid: i32,
    },
    /// What was left is gone.
    Now {
        /// What was undone, in words.
        undone: Vec<String>,
        /// The processes that were ended.
        killed: Vec<i32>,
    },
}

/// How long a living agent may take to end.
const END_LIMIT: Duration = Duration::from_secs(60);

/// Undoes what an agent left in this folder. A living one is told to end if `end`, and otherwise left alone.
/// Idempotent.
pub fn heal(path: &Path, end: bool) -> Result<AgentHealed, AgentFailure> {
    let folder = Folder::find(path).map_err(at(path))?;
    let deadline = Instant::now() + END_LIMIT;
    let lock = loop {
        if let Some(lock) = folder.lock().map_err(at(folder.path()))? {
            break lock;
        }
        match folder.tenant() {
            Some(tenant) if !end => return Ok(AgentHealed::Running { pid: tenant.identity.pid }),
            Some(tenant) if Instant::now() > deadline => {
                return Err(AgentFailure::Stays { folder: folder.path().into(), pid: tenant.identity.pid });
            }
            // It hears it once; whoever is ending already does not mind.
            Some(tenant) => drop(kill(Pid::from_raw(tenant.identity.pid), Signal::SIGTERM)),
            None if Instant::now() > deadline || !end => {
                return Err(AgentFailure::Busy { folder: folder.path().into() });
            }
            None => {}
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    let healed = undo(&folder);
    lock.release();
    healed
}

/// Undoes faults, then ends processes.
fn undo(folder: &Folder) -> Result<AgentHealed, AgentFailure> {
    let undone =
        duties::try_heal(folder).map_err(|error: UndoError| AgentFailure::Undo(error.to_string()))?;
    let failed: Vec<String> = undone
        .iter()
        .filter_map(|(undo, result)| result.as_ref().err().map(|why| format!("{undo:?}: {why}")))
        .collect();
    let killed = match folder.journal().exists() {
        true => match journal::heal(folder.path())? {
            Healed::Now { killed } => killed,
            Healed::Already => vec![],
            // It holds no lock, so it is ending.
            Healed::Running { .. } => return Err(AgentFailure::Busy { folder: folder.path().into() }),
        },
        false => vec![],
    };
    if !failed.is_empty() {
        return Err(AgentFailure::Undo(format!("not undone: {}", failed.join("; "))));
    }
    if undone.is_empty() && killed.is_empty() {
        return Ok(AgentHealed::Already);
    }
    let undone = undone.iter().map(|(undo, _)| format!("{undo:?}")).collect();
    Ok(AgentHealed::Now { undone, killed })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_controller_is_the_first_word_of_an_ssh_connection() {
        assert_eq!(client_of("10.0.0.9 50022 10.0.0.1 22"), Some("10.0.0.9".parse().unwrap()));
        assert_eq!(client_of("fe80::1%eth0 50022 fe80::2%eth0 22"), Some("fe80::1".parse().unwrap()));
        for garbage in ["", " ", "nobody 1 2 3", "10.0.0.999 1 2 3"] {
            assert_eq!(client_of(garbage), None, "{garbage}");
        }
    }
}
