//! Where packets come from and go to: an interface by its name or number, the one that leads to an address.
//!
//! Layouts follow `linux/rtnetlink.h` and `linux/if_link.h`.

use super::{
    ACK, CREATE, EXCLUSIVE, HEADER, IFLA_IFNAME, IFLA_INFO_KIND, IFLA_LINKINFO, Message, NEW_LINK, find,
    interface,
};
use std::net::Ipv4Addr;

const DELETE_LINK: u16 = 17;
const GET_LINK: u16 = 18;
const GET_ROUTE: u16 = 26;
const IFLA_MTU: u16 = 4;
const ROUTE_TO: u16 = 1;
const ROUTE_BY: u16 = 4;

/// Makes a device, in service, that hands back to the kernel what is sent to it.
pub fn ifb(name: &str) -> Message {
    Message::new(NEW_LINK, ACK | CREATE | EXCLUSIVE)
        .body(&interface(0, true))
        .text(IFLA_IFNAME, name)
        .nested(IFLA_LINKINFO, |m| m.text(IFLA_INFO_KIND, "ifb"))
}

/// Removes interface `index`.
pub fn delete_link(index: u32) -> Message {
    Message::new(DELETE_LINK, ACK).body(&interface(index, false))
}

/// Asks for the interface of this name; [`Interface::parse`] reads the answer.
pub fn link_named(name: &str) -> Message {
    Message::new(GET_LINK, ACK).body(&interface(0, false)).text(IFLA_IFNAME, name)
}

/// Asks for the interface of this number.
pub fn link(index: u32) -> Message {
    Message::new(GET_LINK, ACK).body(&interface(index, false))
}

/// An interface as the kernel has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Interface {
    /// The kernel's number for it.
    pub index: u32,
    /// The longest packet that it carries, its own header left aside.
    pub mtu: u32,
}

impl Interface {
    /// Reads the answer to [`link_named`] or [`link`], header included.
    pub fn parse(message: &[u8]) -> Option<Interface> {
        let body = message.get(HEADER..)?;
        let index = u32::from_ne_bytes(body.get(4..8)?.try_into().ok()?);
        let mtu = u32::from_ne_bytes(find(body.get(16..)?, IFLA_MTU)?.try_into().ok()?);
        Some(Interface { index, mtu })
    }
}

/// Asks which way packets to this address take; [`parse_route`] reads the answer.
pub fn route_to(address: Ipv4Addr) -> Message {
    const INET: u8 = 2;
    const WHOLE: u8 = 32;
    Message::new(GET_ROUTE, ACK)
        .body(&[INET, WHOLE, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
        .attribute(ROUTE_TO, &address.octets())
}

/// The number of the interface that leads there.
pub fn parse_route(message: &[u8]) -> Option<u32> {
    let attributes = message.get(HEADER + 12..)?;
    Some(u32::from_ne_bytes(find(attributes, ROUTE_BY)?.try_into().ok()?))
}

#[cfg(all(test, target_endian = "little"))]
mod tests {
    use super::super::tests::check;
    use super::*;

    #[test]
    fn a_device_that_hands_back_is_made_found_and_removed() {
        check(
            ifb("x"),
            "34000000 10000506 07000000 00000000  00000000 00000000 01000000 01000000
             06000300 78000000  0c001280 08000100 69666200",
        );
        check(
            link_named("x"),
            "28000000 12000500 07000000 00000000  00000000 00000000 00000000 00000000  06000300 78000000",
        );
        check(link(3), "20000000 12000500 07000000 00000000  00000000 03000000 00000000 00000000");
        check(delete_link(3), "20000000 11000500 07000000 00000000  00000000 03000000 00000000 00000000");
    }

    #[test]
    fn a_route_is_asked_for_one_address() {
        check(
            route_to(Ipv4Addr::new(10, 77, 0, 2)),
            "24000000 1a000500 07000000 00000000  02200000 00000000 00000000  08000100 0a4d0002",
        );
    }

    #[test]
    fn answers_are_read_and_torn_ones_are_not() {
        let link = Message::new(NEW_LINK, 0).body(&interface(5, true)).native(IFLA_MTU, 1500).numbered(1);
        assert_eq!(Interface::parse(&link), Some(Interface { index: 5, mtu: 1500 }));
        let route = Message::new(24, 0).body(&[0; 12]).native(ROUTE_BY, 7).numbered(1);
        assert_eq!(parse_route(&route), Some(7));
        for end in 0..route.len() {
            assert_eq!(parse_route(&route[..end]), None, "cut at {end}");
        }
        for end in 0..link.len() {
            assert_eq!(Interface::parse(&link[..end]), None, "cut at {end}");
        }
    }
}
