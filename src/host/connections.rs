//! Open TCP connections of the network namespace in which this was opened: found by their addresses, and ended.
//!
//! A packet filter resets a connection when something is sent on it. One on which nobody speaks would outlive a cut that
//! is to reset it: its owners would never hear of the cut. So the kernel is asked to end it (`SOCK_DESTROY`). A
//! kernel that cannot do so leaves it as it is, and [`probe`] says so.

use super::kernel::Socket;
use super::netlink::sockets::Connection;
use std::io;
use std::net::IpAddr;

/// Who finds and ends connections.
#[derive(Debug)]
pub struct Connections {
    socket: Socket,
}

impl Connections {
    /// The connections of the current network namespace. An error where the kernel cannot list or end any.
    pub fn open() -> io::Result<Connections> {
        let mut connections = Connections { socket: Socket::sockets()? };
        connections.socket.transact(vec![Connection::list(false)])?;
        match connections.socket.request(Connection::of_nobody().destroy()) {
            // It has looked for it.
            Err(error) if is_gone(&error) => Ok(connections),
            Err(error) => Err(error),
            Ok(()) => Err(io::Error::from_raw_os_error(libc::EPROTO)),
        }
    }

    /// Ends all connections between one of our addresses and one of theirs, here, and tells the other ends. Returns how
    /// many there were.
    pub fn end_between(&mut self, ours: &[IpAddr], theirs: &[IpAddr]) -> io::Result<u64> {
        let mut ended = 0;
        for v6 in [false, true] {
            let entries = match self.socket.transact(vec![Connection::list(v6)]) {
                // A kernel without IPv6 has no connections over it.
                Err(error) if v6 && is_gone(&error) => vec![],
                entries => entries?,
            };
            let all = entries.iter().filter_map(|entry| Connection::parse(entry));
            for connection in all.filter(|it| ours.contains(&it.ours()) && theirs.contains(&it.theirs())) {
                match self.socket.request(connection.destroy()) {
                    Ok(()) => ended += 1,
                    // It ended by itself, or with its other end.
                    Err(error) if is_gone(&error) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(ended)
    }
}

fn is_gone(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::ENOENT)
}

/// Whether this kernel can end connections at all; changes nothing. Where nodes have namespaces of their own the right
/// to do so is there too.
pub fn probe() -> Result<String, String> {
    match Connections::open() {
        Ok(_) => {
            Ok("idle connections across a link that resets are ended by the kernel (SOCK_DESTROY)".into())
        }
        Err(error) => Err(format!("the kernel cannot end connections (SOCK_DESTROY): {error}")),
    }
}
