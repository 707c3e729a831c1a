//! A netlink socket: sends requests to the kernel and gathers its answers.
//!
//! A socket belongs for ever to the network namespace in which it was opened, whoever holds it: the
//! controller cuts links inside a node's namespace without entering it.

use super::netlink::{Answer, Answers, Message};
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, setsockopt, socket, sockopt,
};
use nix::sys::time::TimeVal;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// An open netlink socket.
#[derive(Debug)]
pub struct Socket {
    fd: OwnedFd,
    sequence: u32,
}

impl Socket {
    /// A socket for links and addresses, in the current network namespace.
    pub fn route() -> io::Result<Socket> {
        Socket::open(SockProtocol::NetlinkRoute)
    }

    /// A socket for the packet filter, in the current network namespace.
    pub fn filter() -> io::Result<Socket> {
        Socket::open(SockProtocol::NetlinkNetFilter)
    }

    /// A socket for open connections, in the current network namespace.
    pub fn sockets() -> io::Result<Socket> {
        Socket::open(SockProtocol::NetlinkSockDiag)
    }

    fn open(protocol: SockProtocol) -> io::Result<Socket> {
        let fd = socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, protocol)?;
        // The kernel answers before `send` returns; the deadline only turns a surprise into an error.
        setsockopt(&fd, sockopt::ReceiveTimeout, &TimeVal::new(2, 0))?;
        Ok(Socket { fd, sequence: 0 })
    }

    /// Asks for room for so many bytes of the kernel's answers. It may grant less.
    pub fn enlarge(&self, bytes: usize) -> io::Result<()> {
        setsockopt(&self.fd, sockopt::RcvBufForce, &bytes)
            .or_else(|_| setsockopt(&self.fd, sockopt::RcvBuf, &bytes))
            .map_err(Into::into)
    }

    /// Sends these messages at once; when it returns they are carried out. What is refused among them is
    /// answered all the same, for [`Socket::hear`].
    pub fn tell(&self, messages: impl IntoIterator<Item = Message>) -> io::Result<()> {
        let datagram: Vec<u8> = messages.into_iter().flat_map(|message| message.numbered(0)).collect();
        if datagram.is_empty() {
            return Ok(());
        }
        send(self.fd.as_raw_fd(), &datagram, MsgFlags::empty())?;
        Ok(())
    }

    /// Receives the next datagram from the kernel, if there is one now, and returns its length.
    pub fn hear(&self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        loop {
            match recv(self.fd.as_raw_fd(), buffer, MsgFlags::MSG_DONTWAIT) {
                Ok(length) => return Ok(Some(length)),
                Err(Errno::EAGAIN) => return Ok(None),
                // There was no room for one; those before it are here.
                Err(Errno::ENOBUFS | Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Sends one request and waits until it is carried out.
    pub fn request(&mut self, message: Message) -> io::Result<()> {
        self.transact(vec![message]).map(|_| ())
    }

    /// Sends these messages at once, waits until each is answered, and returns the entries of the lists
    /// that were asked for. The first refusal is the error.
    pub fn transact(&mut self, messages: Vec<Message>) -> io::Result<Vec<Vec<u8>>> {
        let first = self.sequence + 1;
        let mut open = vec![];
        let mut datagram = vec![];
        for message in messages {
            self.sequence += 1;
            if message.is_answered() {
                open.push(self.sequence);
            }
            datagram.extend(message.numbered(self.sequence));
        }
        send(self.fd.as_raw_fd(), &datagram, MsgFlags::empty())?;

        let mut entries = vec![];
        let mut refused = None;
        let mut buffer = vec![0; 1 << 16];
        while !open.is_empty() {
            let length = recv(self.fd.as_raw_fd(), &mut buffer, MsgFlags::empty())?;
            for answer in Answers(&buffer[..length]) {
                match answer {
                    // What an earlier, refused request left behind.
                    Answer::Done(sequence, _) | Answer::Entry(sequence, _) if sequence < first => {}
                    Answer::Entry(_, entry) => entries.push(entry.to_vec()),
                    Answer::Done(sequence, result) => {
                        let errno = result.err();
                        refused = refused.or(errno);
                        // A transaction refused as a whole is answered at its first message only.
                        match open.iter().position(|s| *s == sequence) {
                            Some(place) => drop(open.remove(place)),
                            None if errno.is_some() => open.clear(),
                            None => {}
                        }
                    }
                }
            }
        }
        match refused {
            Some(errno) => Err(io::Error::from_raw_os_error(errno)),
            None => Ok(entries),
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
