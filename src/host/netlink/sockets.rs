//! Open TCP connections as the kernel lists and ends them, as bytes.
//!
//! The kernel's socket monitoring answers with each connection's addresses, ports and a cookie that names this
//! very socket; with those it can be told to end it: its owner is given an error and the other end a reset. Layouts follow
//! `linux/sock_diag.h` and `linux/inet_diag.h`.

use super::{ACK, DUMP, HEADER, Message};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const BY_FAMILY: u16 = 20;
const DESTROY: u16 = 21;
const INET: u8 = 2;
const INET6: u8 = 10;
const TCP: u8 = 6;
/// Where `inet_diag_sockid` lies in the request and in the answer, and how long it is.
const ID: usize = 48;
const ID_IN_ANSWER: usize = 4;

/// The states, a bit each, in which a connection is open or was and has not ended on both sides.
const OPEN: u32 = {
    const ESTABLISHED: u32 = 1 << 1;
    const FIN_WAIT_1: u32 = 1 << 4;
    const FIN_WAIT_2: u32 = 1 << 5;
    const CLOSE_WAIT: u32 = 1 << 8;
    const LAST_ACK: u32 = 1 << 9;
    const CLOSING: u32 = 1 << 11;
    ESTABLISHED | FIN_WAIT_1 | FIN_WAIT_2 | CLOSE_WAIT | LAST_ACK | CLOSING
};

/// One end of an open TCP connection, as the kernel names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connection {
    family: u8,
    id: [u8; ID],
}

impl Connection {
    /// Asks for all open connections, those over IPv6 sockets or the others; [`Connection::parse`] reads each answer.
    pub fn list(v6: bool) -> Message {
        request(BY_FAMILY, DUMP, if v6 { INET6 } else { INET }, &[0; ID])
    }

    /// Ends it, if it is still the same.
    pub fn destroy(&self) -> Message {
        request(DESTROY, ACK, self.family, &self.id)
    }

    /// A connection that there is not, between addresses that nobody has (RFC 5737).
    pub fn of_nobody() -> Connection {
        let mut id = [0; ID];
        id[0..2].copy_from_slice(&1u16.to_be_bytes());
        id[2..4].copy_from_slice(&1u16.to_be_bytes());
        id[4..8].copy_from_slice(&[192, 0, 2, 1]);
        id[20..24].copy_from_slice(&[192, 0, 2, 2]);
        id[40..48].fill(0xff);
        Connection { family: INET, id }
    }

    /// Reads one message of the answer to [`Connection::list`], header included.
    pub fn parse(message: &[u8]) -> Option<Connection> {
        let body = message.get(HEADER..)?;
        let id = body.get(ID_IN_ANSWER..ID_IN_ANSWER + ID)?.try_into().ok()?;
        let family = *body.first()?;
        [INET, INET6].contains(&family).then_some(Connection { family, id })
    }

    /// Its address on this side.
    pub fn ours(&self) -> IpAddr {
        self.address(4)
    }

    /// Its address on the other side.
    pub fn theirs(&self) -> IpAddr {
        self.address(20)
    }

    /// An IPv4 address on a socket that speaks both versions counts as what it is.
    fn address(&self, at: usize) -> IpAddr {
        let octets: [u8; 16] = *self.id[at..].first_chunk().expect("an id holds two addresses");
        match self.family {
            INET => Ipv4Addr::from(*octets.first_chunk::<4>().expect("16 are more than 4")).into(),
            _ => Ipv6Addr::from(octets).to_canonical(),
        }
    }
}

/// `inet_diag_req_v2`.
fn request(kind: u16, flags: u16, family: u8, id: &[u8; ID]) -> Message {
    Message::new(kind, flags).body(&[family, TCP, 0, 0]).body(&OPEN.to_ne_bytes()).body(id)
}

#[cfg(all(test, target_endian = "little"))]
mod tests {
    use super::*;

    /// An answer as the kernel gives it: the header, then `inet_diag_msg`.
    fn answer(family: u8, ours: &[u8], theirs: &[u8]) -> Vec<u8> {
        let mut body = vec![family, 1, 0, 0, 0x1b, 0x58, 0x9c, 0x40];
        for address in [ours, theirs] {
            body.extend_from_slice(address);
            body.resize(body.len() + 16 - address.len(), 0);
        }
        body.extend_from_slice(&[0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0]);
        body.extend_from_slice(&[0; 20]);
        Message::new(BY_FAMILY, 0).body(&body).numbered(3)
    }

    #[test]
    fn both_ends_are_read_and_named_again() {
        let mapped = |host: u8| [[0; 10].as_slice(), &[0xff, 0xff, 10, 77, 0, host]].concat();
        let v6 = |last: u8| [[0xfd].as_slice(), &[0; 14], &[last]].concat();
        for (family, ours, theirs, expect) in [
            (INET, vec![10, 77, 0, 1], vec![10, 77, 0, 2], ["10.77.0.1", "10.77.0.2"]),
            (INET6, mapped(1), mapped(2), ["10.77.0.1", "10.77.0.2"]),
            (INET6, v6(1), v6(2), ["fd00::1", "fd00::2"]),
        ] {
            let answer = answer(family, &ours, &theirs);
            let connection = Connection::parse(&answer).unwrap();
            assert_eq!([connection.ours().to_string(), connection.theirs().to_string()], expect);
            let sent = connection.destroy().numbered(4);
            assert_eq!((sent.len(), sent[4], sent[16], sent[17]), (HEADER + 8 + ID, 21, family, TCP));
            assert_eq!(sent[HEADER + 8..], answer[HEADER + ID_IN_ANSWER..][..ID], "its cookie with it");
            for end in 0..HEADER + ID_IN_ANSWER + ID {
                assert_eq!(Connection::parse(&answer[..end]), None, "cut at {end}");
            }
        }
        assert_eq!(Connection::parse(&answer(1, &[], &[])), None, "neither version of IP");
    }

    #[test]
    fn only_open_connections_are_asked_for() {
        let list = Connection::list(false);
        assert!(list.is_dump());
        let states = &list.numbered(1)[HEADER + 4..HEADER + 8];
        assert_eq!(u32::from_le_bytes(states.try_into().unwrap()), 0b1011_0011_0010);
    }
}
