//! Opening one authenticated connection to a host, through other hosts where need be.
//!
//! Blocking, for the thread that owns the connection. Every step ends at the deadline, except the questions
//! to the local resolver and the user's own key agent, which know none; whoever waits for this thread
//! therefore has a clock of their own.

use super::access::Access;
use super::bridge;
use super::error::{Deadline, Trouble, is_deadly};
use super::known_hosts::{self, Judgement, KnownHosts};
use elenchus_systems::described::hosts::Trust;
use nix::sys::socket::{setsockopt, sockopt};
use ssh2::{MethodType, Session};
use std::fs;
use std::io::Write;
use std::net::{Shutdown, TcpStream, ToSocketAddrs};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// How long connecting to one address may take, if the deadline is later.
const CONNECT_MAX: Duration = Duration::from_secs(5);
/// How long what was sent may remain without the kernel of the host confirming it.
const UNHEARD_MAX: Duration = Duration::from_secs(15);
/// Our order of host keys, the best first.
const KINDS: [&str; 5] =
    ["ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "ssh-rsa"];

/// One connection, authenticated.
pub(super) struct Open {
    pub session: Session,
    socket: Socket,
}

enum Socket {
    Straight(TcpStream),
    /// The end of a bridge through a jump host.
    Bridged(UnixStream),
}

impl Open {
    /// What to wait on for the host's next packet.
    pub fn socket(&self) -> BorrowedFd<'_> {
        match &self.socket {
            Socket::Straight(socket) => socket.as_fd(),
            Socket::Bridged(socket) => socket.as_fd(),
        }
    }

    /// Breaks the connection, so that nothing waits for it any more.
    pub fn sever(&self) {
        // An error means that it is broken already.
        let _ = match &self.socket {
            Socket::Straight(socket) => socket.shutdown(Shutdown::Both),
            Socket::Bridged(socket) => socket.shutdown(Shutdown::Both),
        };
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.sever();
    }
}

/// Opens a connection.
pub(super) fn open(access: &Access, deadline: Deadline) -> Result<Open, Trouble> {
    let mut session = Session::new().map_err(|e| Trouble::Failed(e.to_string()))?;
    let socket = match &access.jump {
        None => {
            let socket = connect(access, deadline)?;
            let copy = socket.try_clone().map_err(|e| Trouble::Unreachable(e.to_string()))?;
            session.set_tcp_stream(copy);
            Socket::Straight(socket)
        }
        Some(jump) => {
            let socket = tunnel(access, jump, deadline)?;
            let copy = socket.try_clone().map_err(|e| Trouble::Unreachable(e.to_string()))?;
            session.set_tcp_stream(copy);
            Socket::Bridged(socket)
        }
    };
    let known = known(access);
    prefer(&session, &known.kinds(&access.host, access.port));
    session.set_timeout(deadline.left_ms());
    session.handshake().map_err(|e| Trouble::Unreachable(format!("it speaks no SSH: {}", e.message())))?;
    trust(&session, access, &known)?;
    session.set_timeout(deadline.left_ms());
    super::login::log_in(&session, access)?;
    Ok(Open { session, socket })
}

fn connect(access: &Access, deadline: Deadline) -> Result<TcpStream, Trouble> {
    let unreachable = |why: String| Trouble::Unreachable(why);
    let addresses = (access.host.as_str(), access.port)
        .to_socket_addrs()
        .map_err(|e| unreachable(format!("its name cannot be resolved: {e}")))?;
    let mut why = "its name has no address".to_owned();
    for address in addresses {
        let left = deadline.left().min(CONNECT_MAX).max(Duration::from_millis(1));
        match TcpStream::connect_timeout(&address, left) {
            Ok(socket) => {
                keep_alive(&socket).map_err(|e| unreachable(e.to_string()))?;
                return Ok(socket);
            }
            Err(error) => why = format!("{address}: {error}"),
        }
    }
    Err(unreachable(why))
}

/// Lets the kernel notice a host that is gone.
fn keep_alive(socket: &TcpStream) -> std::io::Result<()> {
    socket.set_nodelay(true)?;
    setsockopt(socket, sockopt::KeepAlive, &true)?;
    #[cfg(target_os = "linux")]
    {
        setsockopt(socket, sockopt::TcpKeepIdle, &5)?;
        setsockopt(socket, sockopt::TcpKeepInterval, &5)?;
        setsockopt(socket, sockopt::TcpUserTimeout, &(UNHEARD_MAX.as_millis() as u32))?;
    }
    Ok(())
}

/// A way to the host through its jump host.
fn tunnel(access: &Access, jump: &Access, deadline: Deadline) -> Result<UnixStream, Trouble> {
    let through = |why: String| format!("through {}@{}:{}: {why}", jump.user, jump.host, jump.port);
    let outer = open(jump, deadline).map_err(|trouble| match trouble {
        Trouble::NotTrusted(why) => Trouble::NotTrusted(through(why)),
        Trouble::NotAdmitted(why) => Trouble::NotAdmitted(through(why)),
        Trouble::Unreachable(why) => Trouble::Unreachable(through(why)),
        other => Trouble::Unreachable(through(other.to_string())),
    })?;
    outer.session.set_timeout(deadline.left_ms());
    let channel = outer
        .session
        .channel_direct_tcpip(&access.host, access.port, None)
        .map_err(|e| Trouble::Unreachable(through(format!("no way on: {}", e.message()))))?;
    let (ours, _) = bridge::start(outer, channel, &access.host)
        .map_err(|e| Trouble::Unreachable(through(e.to_string())))?;
    Ok(ours)
}

fn known(access: &Access) -> KnownHosts {
    let mut known = KnownHosts::default();
    for file in &access.known_hosts {
        // A file that is not there vouches for nobody.
        let text = fs::read(file).unwrap_or_default();
        known.read(&String::from_utf8_lossy(&text), &file.to_string_lossy());
    }
    known
}

/// Asks for the keys that are known first: the host may have others, which nobody vouches for.
fn prefer(session: &Session, kinds: &[String]) {
    let (mut first, last): (Vec<&str>, Vec<&str>) =
        KINDS.iter().partition(|kind| kinds.iter().any(|known| known == *kind));
    first.extend(last);
    let methods =
        first.iter().map(|kind| if *kind == "ssh-rsa" { "rsa-sha2-512,rsa-sha2-256,ssh-rsa" } else { kind });
    // libssh2 passes over what it cannot do; its own order is as good if it can do none of them.
    let _ = session.method_pref(MethodType::HostKey, &methods.collect::<Vec<_>>().join(","));
}

/// Judges the key that the host has just proved to have.
fn trust(session: &Session, access: &Access, known: &KnownHosts) -> Result<(), Trouble> {
    let Some((key, _)) = session.host_key() else {
        return Err(Trouble::NotTrusted("it showed no host key".into()));
    };
    let refuse = |why: String| Err(Trouble::NotTrusted(why));
    match (known.judge(&access.host, access.port, key), access.trust) {
        (Judgement::Revoked(place), _) => refuse(format!("its host key is REVOKED in {place}")),
        (Judgement::Known, _) | (_, Trust::Off) => Ok(()),
        (Judgement::Changed(place), _) => refuse(format!(
            "its host key has CHANGED: it is not the one in {place}. Somebody may be in between; if the host was \
             set up anew, remove that line"
        )),
        (Judgement::Unknown, Trust::AcceptNew) => keep(access, key),
        (Judgement::Unknown, Trust::Check) => refuse(format!(
            "its host key is unknown: nothing in {} vouches for it. Log in once with `ssh`, or say known-hosts = \
             \"accept-new\"",
            access.known_hosts.iter().map(|file| file.display().to_string()).collect::<Vec<_>>().join(", ")
        )),
    }
}

/// Keeps a new key, so that a change of it is noticed from now on.
fn keep(access: &Access, key: &[u8]) -> Result<(), Trouble> {
    let line = known_hosts::line(&access.host, access.port, key)
        .ok_or_else(|| Trouble::NotTrusted("its host key cannot be read".into()))?;
    let Some(file) = access.known_hosts.first() else { return Ok(()) };
    let append = || {
        let folder = file.parent().unwrap_or(Path::new("/"));
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        // One write: many hosts may be met at the same time.
        fs::OpenOptions::new().create(true).append(true).mode(0o600).open(file)?.write_all(line.as_bytes())
    };
    append().map_err(|e| {
        Trouble::NotTrusted(format!("its new host key cannot be kept in {}: {e}", file.display()))
    })
}

/// Whether an error while logging in says that the connection is gone.
pub(super) fn gone(error: &ssh2::Error) -> Option<Trouble> {
    is_deadly(error)
        .then(|| Trouble::Unreachable(format!("the connection broke while logging in: {}", error.message())))
}
