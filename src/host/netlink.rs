//! Netlink messages as bytes: links, addresses and packet filter rules, without a socket.
//!
//! A trial needs a bridge, a veth pair a node, addresses and a few kinds of firewall rule. Asking the kernel
//! in its own language spares the programs `ip` and `nft`, which a machine may lack, and a change takes a
//! fraction of a millisecond. Layouts follow `linux/netlink.h`, `linux/rtnetlink.h`, `linux/if_link.h` and
//! `linux/netfilter/nf_tables.h`. Deliberately absent: everything that a trial does not say.

pub mod disciplines;
pub mod queue;
pub mod reset;
pub mod routes;
pub mod sockets;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A netlink message under construction: a header, then a fixed body, then attributes.
#[derive(Clone, Debug)]
pub struct Message {
    bytes: Vec<u8>,
}

const HEADER: usize = 16;
const REQUEST: u16 = 0x1;
const ACK: u16 = 0x4;
const DUMP: u16 = 0x300;
const EXCLUSIVE: u16 = 0x200;
const CREATE: u16 = 0x400;
const APPEND: u16 = 0x800;

impl Message {
    fn new(kind: u16, flags: u16) -> Message {
        let mut bytes = vec![0; HEADER];
        bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
        bytes[6..8].copy_from_slice(&(REQUEST | flags).to_ne_bytes());
        Message { bytes }
    }

    /// The message as the kernel reads it, with its own length and this sequence number.
    pub fn numbered(mut self, sequence: u32) -> Vec<u8> {
        let length = self.bytes.len() as u32;
        self.bytes[0..4].copy_from_slice(&length.to_ne_bytes());
        self.bytes[8..12].copy_from_slice(&sequence.to_ne_bytes());
        self.bytes
    }

    /// Whether the kernel answers this message at all (a batch's ends are not acknowledged).
    pub fn is_answered(&self) -> bool {
        self.flags() & ACK != 0 || self.is_dump()
    }

    /// Whether the answer is a list that ends with its own message.
    pub fn is_dump(&self) -> bool {
        self.flags() & DUMP == DUMP
    }

    fn flags(&self) -> u16 {
        u16::from_ne_bytes([self.bytes[6], self.bytes[7]])
    }

    fn body(mut self, bytes: &[u8]) -> Message {
        self.bytes.extend_from_slice(bytes);
        while !self.bytes.len().is_multiple_of(4) {
            self.bytes.push(0);
        }
        self
    }

    fn attribute(mut self, kind: u16, payload: &[u8]) -> Message {
        self.bytes.extend_from_slice(&(payload.len() as u16 + 4).to_ne_bytes());
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.body(payload)
    }

    fn text(self, kind: u16, text: &str) -> Message {
        let mut payload = text.as_bytes().to_vec();
        payload.push(0);
        self.attribute(kind, &payload)
    }

    /// A number as the routing family writes it: in the machine's byte order.
    fn native(self, kind: u16, number: u32) -> Message {
        self.attribute(kind, &number.to_ne_bytes())
    }

    /// A number as the packet filter writes it: in the network's byte order.
    fn network(self, kind: u16, number: u32) -> Message {
        self.attribute(kind, &number.to_be_bytes())
    }

    fn nested(mut self, kind: u16, fill: impl FnOnce(Message) -> Message) -> Message {
        const NESTED: u16 = 0x8000;
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&[0; 4]);
        let mut message = fill(self);
        let length = (message.bytes.len() - start) as u16;
        message.bytes[start..start + 2].copy_from_slice(&length.to_ne_bytes());
        message.bytes[start + 2..start + 4].copy_from_slice(&(kind | NESTED).to_ne_bytes());
        message
    }
}

// ---- links and addresses ------------------------------------------------------------------------------

const NEW_LINK: u16 = 16;
const NEW_ADDRESS: u16 = 20;
const IFLA_IFNAME: u16 = 3;
const IFLA_MASTER: u16 = 10;
const IFLA_LINKINFO: u16 = 18;
const IFLA_NET_NS_FD: u16 = 28;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_DATA: u16 = 2;
const VETH_INFO_PEER: u16 = 1;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const UP: u32 = 1;

/// `ifinfomsg`: which interface, and which of its flags to set.
fn interface(index: u32, up: bool) -> [u8; 16] {
    let mut body = [0; 16];
    body[4..8].copy_from_slice(&index.to_ne_bytes());
    if up {
        body[8..12].copy_from_slice(&UP.to_ne_bytes());
        body[12..16].copy_from_slice(&UP.to_ne_bytes());
    }
    body
}

/// Takes interface `index` into service.
pub fn link_up(index: u32) -> Message {
    Message::new(NEW_LINK, ACK).body(&interface(index, true))
}

/// Makes a bridge, in service.
pub fn bridge(name: &str) -> Message {
    Message::new(NEW_LINK, ACK | CREATE | EXCLUSIVE)
        .body(&interface(0, true))
        .text(IFLA_IFNAME, name)
        .nested(IFLA_LINKINFO, |m| m.text(IFLA_INFO_KIND, "bridge"))
}

/// Makes a cable: one end here, plugged into the bridge `master` and in service, the other end named `peer`
/// in the network namespace that the file descriptor `space` stands for.
pub fn veth(name: &str, master: u32, peer: &str, space: i32) -> Message {
    Message::new(NEW_LINK, ACK | CREATE | EXCLUSIVE)
        .body(&interface(0, true))
        .text(IFLA_IFNAME, name)
        .native(IFLA_MASTER, master)
        .nested(IFLA_LINKINFO, |m| {
            m.text(IFLA_INFO_KIND, "veth").nested(IFLA_INFO_DATA, |m| {
                m.nested(VETH_INFO_PEER, |m| {
                    m.body(&interface(0, false)).text(IFLA_IFNAME, peer).native(IFLA_NET_NS_FD, space as u32)
                })
            })
        })
}

/// Gives interface `index` an address in a network of 2^(32 - `prefix`) addresses.
pub fn address(index: u32, address: Ipv4Addr, prefix: u8) -> Message {
    const INET: u8 = 2;
    let mut body = vec![INET, prefix, 0, 0];
    body.extend_from_slice(&index.to_ne_bytes());
    Message::new(NEW_ADDRESS, ACK | CREATE | EXCLUSIVE)
        .body(&body)
        .attribute(IFA_LOCAL, &address.octets())
        .attribute(IFA_ADDRESS, &address.octets())
}

// ---- the packet filter --------------------------------------------------------------------------------

const SUBSYSTEM: u16 = 10;
const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;
const NEW_TABLE: u16 = 0;
const NEW_CHAIN: u16 = 3;
const NEW_RULE: u16 = 6;
const GET_RULE: u16 = 7;
const DELETE_TABLE: u16 = 2;
const DELETE_RULE: u16 = 8;
const IPV4: u8 = 2;
const IPV6: u8 = 10;

const CHAIN: &str = "cut";

const TABLE_NAME: u16 = 1;
const CHAIN_TABLE: u16 = 1;
const CHAIN_NAME: u16 = 3;
const CHAIN_HOOK: u16 = 4;
const CHAIN_POLICY: u16 = 5;
const CHAIN_TYPE: u16 = 7;
const HOOK_NUMBER: u16 = 1;
const HOOK_PRIORITY: u16 = 2;
const RULE_TABLE: u16 = 1;
const RULE_CHAIN: u16 = 2;
const RULE_HANDLE: u16 = 3;
const RULE_EXPRESSIONS: u16 = 4;
const LIST_ELEMENT: u16 = 1;
const EXPRESSION_NAME: u16 = 1;
const EXPRESSION_DATA: u16 = 2;
const REGISTER_1: u32 = 1;

/// `nfgenmsg`: the family, and for a batch's ends the subsystem it speaks to.
fn family(family: u8, resource: u16) -> [u8; 4] {
    let resource = resource.to_be_bytes();
    [family, 0, resource[0], resource[1]]
}

/// These changes as one transaction: all of them take effect at one instant, or none.
pub fn transaction(changes: impl IntoIterator<Item = Message>) -> Vec<Message> {
    let end = |kind| Message::new(kind, 0).body(&family(0, SUBSYSTEM));
    let mut messages = vec![end(BATCH_BEGIN)];
    messages.extend(changes);
    messages.push(end(BATCH_END));
    messages
}

/// A table of our own, for one version of IP. Nobody else's is ever touched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    family: u8,
    name: String,
}

impl Table {
    /// The table of this name for IPv4.
    pub fn v4(name: &str) -> Table {
        Table { family: IPV4, name: name.into() }
    }

    /// The table of this name for IPv6.
    pub fn v6(name: &str) -> Table {
        Table { family: IPV6, name: name.into() }
    }

    fn filter(&self, kind: u16, flags: u16) -> Message {
        Message::new(SUBSYSTEM << 8 | kind, flags).body(&family(self.family, 0))
    }

    /// Makes it.
    pub fn create(&self) -> Message {
        self.filter(NEW_TABLE, ACK | CREATE | EXCLUSIVE).text(TABLE_NAME, &self.name)
    }

    /// Removes it with all that is in it.
    pub fn delete(&self) -> Message {
        self.filter(DELETE_TABLE, ACK).text(TABLE_NAME, &self.name)
    }

    /// The chain in it that sees every packet addressed to this host; what no rule drops is accepted.
    pub fn chain(&self) -> Message {
        const LOCAL_IN: u32 = 1;
        const ACCEPT: u32 = 1;
        self.filter(NEW_CHAIN, ACK | CREATE | EXCLUSIVE)
            .text(CHAIN_TABLE, &self.name)
            .text(CHAIN_NAME, CHAIN)
            .nested(CHAIN_HOOK, |m| m.network(HOOK_NUMBER, LOCAL_IN).network(HOOK_PRIORITY, 0))
            .network(CHAIN_POLICY, ACCEPT)
            .text(CHAIN_TYPE, "filter")
    }

    /// A rule that drops, and counts, what comes from `source`, an address of the table's version of IP.
    pub fn drop_rule(&self, source: IpAddr) -> Message {
        const VERDICT_REGISTER: u32 = 0;
        const DROP: u32 = 0;
        const DATA_VERDICT: u16 = 2;
        let rule = self.filter(NEW_RULE, ACK | CREATE | APPEND);
        rule.text(RULE_TABLE, &self.name).text(RULE_CHAIN, CHAIN).nested(RULE_EXPRESSIONS, |m| {
            let m = comes_from(m, source);
            let m = expression(m, "counter", |m| m.attribute(1, &[0; 8]).attribute(COUNTER_PACKETS, &[0; 8]));
            expression(m, "immediate", |m| {
                m.network(1, VERDICT_REGISTER).nested(2, |m| m.nested(DATA_VERDICT, |m| m.network(1, DROP)))
            })
        })
    }

    /// Removes the rule that the kernel calls `handle`.
    pub fn delete_rule(&self, handle: u64) -> Message {
        self.filter(DELETE_RULE, ACK)
            .text(RULE_TABLE, &self.name)
            .text(RULE_CHAIN, CHAIN)
            .attribute(RULE_HANDLE, &handle.to_be_bytes())
    }

    /// Asks for all rules of the chain; [`Rule::parse`] reads each answer.
    pub fn list_rules(&self) -> Message {
        self.filter(GET_RULE, DUMP).text(RULE_TABLE, &self.name).text(RULE_CHAIN, CHAIN)
    }
}

const COMPARE_DATA: u16 = 3;
const COUNTER_PACKETS: u16 = 2;

/// Only what comes from `source` meets the expressions that follow.
fn comes_from(message: Message, source: IpAddr) -> Message {
    const NETWORK_HEADER: u32 = 1;
    const EQUAL: u32 = 0;
    const DATA_VALUE: u16 = 1;
    let (offset, octets) = match source {
        IpAddr::V4(address) => (12, address.octets().to_vec()),
        IpAddr::V6(address) => (8, address.octets().to_vec()),
    };
    let length = octets.len() as u32;
    let message = expression(message, "payload", |m| {
        m.network(1, REGISTER_1).network(2, NETWORK_HEADER).network(3, offset).network(4, length)
    });
    expression(message, "cmp", |m| {
        m.network(1, REGISTER_1).network(2, EQUAL).nested(COMPARE_DATA, |m| m.attribute(DATA_VALUE, &octets))
    })
}

fn expression(message: Message, name: &str, fill: impl FnOnce(Message) -> Message) -> Message {
    message.nested(LIST_ELEMENT, |m| m.text(EXPRESSION_NAME, name).nested(EXPRESSION_DATA, fill))
}

/// One of our rules as the kernel has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The kernel's name for it.
    pub handle: u64,
    /// Whose packets it deals with.
    pub source: IpAddr,
    /// How many it has dropped so far; 0 for a rule that drops none.
    pub packets: u64,
}

impl Rule {
    /// Reads one message of the answer to [`Table::list_rules`], header included. `None` if it is not one of ours.
    pub fn parse(message: &[u8]) -> Option<Rule> {
        let attributes = message.get(HEADER + 4..)?;
        let handle = u64::from_be_bytes(find(attributes, RULE_HANDLE)?.try_into().ok()?);
        let (mut source, mut packets) = (None, 0);
        for (_, element) in Attributes(find(attributes, RULE_EXPRESSIONS)?) {
            let data = find(element, EXPRESSION_DATA);
            match find(element, EXPRESSION_NAME)? {
                b"cmp\0" => {
                    // What is compared of another length names nobody.
                    source = address_of(find(find(data?, COMPARE_DATA)?, 1)?).or(source);
                }
                b"counter\0" => {
                    packets = u64::from_be_bytes(find(data?, COUNTER_PACKETS)?.try_into().ok()?);
                }
                _ => {}
            }
        }
        Some(Rule { handle, source: source?, packets })
    }
}

fn address_of(octets: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(octets).map(|octets| Ipv4Addr::from(octets).into());
    v4.or_else(|_| <[u8; 16]>::try_from(octets).map(|octets| Ipv6Addr::from(octets).into())).ok()
}

/// The attributes in a stretch of bytes: kind (without its flag bits) and payload. Ends at the first that
/// does not fit.
struct Attributes<'a>(&'a [u8]);

impl<'a> Iterator for Attributes<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<(u16, &'a [u8])> {
        const KIND: u16 = 0x3fff;
        let length = usize::from(u16::from_ne_bytes(self.0.get(0..2)?.try_into().ok()?));
        let kind = u16::from_ne_bytes(self.0.get(2..4)?.try_into().ok()?);
        let payload = self.0.get(4..length)?;
        self.0 = self.0.get(length.next_multiple_of(4)..).unwrap_or(&[]);
        Some((kind & KIND, payload))
    }
}

fn find(attributes: &[u8], kind: u16) -> Option<&[u8]> {
    Attributes(attributes).find(|(k, _)| *k == kind).map(|(_, payload)| payload)
}

// ---- what the kernel answers --------------------------------------------------------------------------

/// One message of an answer.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer<'a> {
    /// The request of this number was carried out, or refused with this errno.
    Done(u32, Result<(), i32>),
    /// One entry of the list asked for by the request of this number, header included.
    Entry(u32, &'a [u8]),
}

/// The messages in one datagram of the kernel's. Ends at the first that does not fit.
pub struct Answers<'a>(pub &'a [u8]);

impl<'a> Iterator for Answers<'a> {
    type Item = Answer<'a>;

    fn next(&mut self) -> Option<Answer<'a>> {
        const ERROR: u16 = 2;
        const END: u16 = 3;
        let word = |at: usize| Some(u32::from_ne_bytes(self.0.get(at..at + 4)?.try_into().ok()?));
        let length = word(0)? as usize;
        let sequence = word(8)?;
        let message = self.0.get(..length).filter(|m| m.len() >= HEADER)?;
        let kind = u16::from_ne_bytes(message[4..6].try_into().ok()?);
        let code = word(HEADER).map_or(0, |c| c as i32);
        self.0 = self.0.get(length.next_multiple_of(4)..).unwrap_or(&[]);
        Some(match kind {
            ERROR | END if code < 0 => Answer::Done(sequence, Err(-code)),
            ERROR | END => Answer::Done(sequence, Ok(())),
            _ => Answer::Entry(sequence, message),
        })
    }
}

#[cfg(all(test, target_endian = "little"))]
mod tests {
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.chunks(4).map(|c| c.iter().map(|b| format!("{b:02x}")).collect::<String>() + " ").collect()
    }

    fn table() -> Table {
        Table::v4("elenchus")
    }

    #[track_caller]
    pub(super) fn check(message: Message, expect: &str) {
        let words: Vec<&str> = expect.split_whitespace().collect();
        assert_eq!(hex(&message.numbered(7)).trim(), words.join(" "));
    }

    #[test]
    fn a_link_goes_up() {
        check(link_up(3), "20000000 10000500 07000000 00000000 00000000 03000000 01000000 01000000");
    }

    #[test]
    fn a_bridge_is_a_link_of_that_kind() {
        check(
            bridge("br"),
            "38000000 10000506 07000000 00000000  00000000 00000000 01000000 01000000
             07000300 62720000  10001280 0b000100 62726964 67650000",
        );
    }

    #[test]
    fn a_cable_names_its_other_end_and_where_that_is() {
        check(
            veth("v1", 2, "eth0", 9),
            "6c000000 10000506 07000000 00000000  00000000 00000000 01000000 01000000
             07000300 76310000  08000a00 02000000
             3c001280  09000100 76657468 00000000
               2c000280  28000180 00000000 00000000 00000000 00000000
                 09000300 65746830 00000000  08001c00 09000000",
        );
    }

    #[test]
    fn an_address_is_local_and_in_its_network() {
        check(
            address(2, Ipv4Addr::new(10, 77, 0, 1), 24),
            "28000000 14000506 07000000 00000000  02180000 02000000
             08000200 0a4d0001  08000100 0a4d0001",
        );
    }

    #[test]
    fn a_transaction_has_two_ends_that_are_not_answered() {
        let messages = transaction([table().create()]);
        assert_eq!(messages.iter().map(Message::is_answered).collect::<Vec<_>>(), [false, true, false]);
        check(messages[0].clone(), "14000000 10000100 07000000 00000000 0000000a");
        check(
            messages[1].clone(),
            "24000000 000a0506 07000000 00000000 02000000 0d000100 656c656e 63687573 00000000",
        );
        check(messages[2].clone(), "14000000 11000100 07000000 00000000 0000000a");
    }

    #[test]
    fn the_chain_hooks_what_comes_in() {
        check(
            table().chain(),
            "54000000 030a0506 07000000 00000000 02000000
             0d000100 656c656e 63687573 00000000  08000300 63757400
             14000480 08000100 00000001 08000200 00000000
             08000500 00000001  0b000700 66696c74 65720000",
        );
    }

    #[test]
    fn a_drop_rule_compares_the_source_counts_and_drops() {
        check(
            table().drop_rule(Ipv4Addr::new(10, 77, 0, 3).into()),
            "ec000000 060a050c 07000000 00000000 02000000
             0d000100 656c656e 63687573 00000000  08000200 63757400
             c0000480
               34000180 0c000100 7061796c 6f616400
                 24000280 08000100 00000001 08000200 00000001 08000300 0000000c 08000400 00000004
               2c000180 08000100 636d7000
                 20000280 08000100 00000001 08000200 00000000 0c000380 08000100 0a4d0003
               2c000180 0c000100 636f756e 74657200
                 1c000280 0c000100 00000000 00000000 0c000200 00000000 00000000
               30000180 0e000100 696d6d65 64696174 65000000
                 1c000280 08000100 00000000 10000280 0c000280 08000100 00000000",
        );
    }

    #[test]
    fn a_rule_is_removed_by_its_handle() {
        check(
            table().delete_rule(5),
            "38000000 080a0500 07000000 00000000 02000000
             0d000100 656c656e 63687573 00000000  08000200 63757400  0c000300 00000000 00000005",
        );
    }

    #[test]
    fn a_rule_that_was_written_is_read_back() {
        let v4: IpAddr = Ipv4Addr::new(10, 77, 0, 3).into();
        let v6: IpAddr = "fd00::3".parse().unwrap();
        for (table, source) in [(table(), v4), (Table::v6("elenchus"), v6)] {
            let sent = table.drop_rule(source).attribute(RULE_HANDLE, &17u64.to_be_bytes()).numbered(1);
            assert_eq!(Rule::parse(&sent), Some(Rule { handle: 17, source, packets: 0 }));
        }
    }

    #[test]
    fn a_torn_rule_is_no_rule_and_no_panic() {
        let rule = table().drop_rule(Ipv4Addr::LOCALHOST.into());
        let sent = rule.attribute(RULE_HANDLE, &17u64.to_be_bytes()).numbered(1);
        for end in 0..sent.len() {
            assert_eq!(Rule::parse(&sent[..end]), None, "cut at {end}");
        }
    }

    #[test]
    fn answers_are_told_apart() {
        let mut bytes = vec![];
        bytes.extend(Message::new(2, 0).body(&0i32.to_ne_bytes()).body(&[0; 16]).numbered(4));
        bytes.extend(Message::new(2, 0).body(&(-1i32).to_ne_bytes()).body(&[0; 16]).numbered(5));
        bytes.extend(Message::new(SUBSYSTEM << 8 | NEW_RULE, 0).body(&[2, 0, 0, 0]).numbered(6));
        bytes.extend(Message::new(3, 0).body(&0i32.to_ne_bytes()).numbered(6));
        let answers: Vec<Answer<'_>> = Answers(&bytes).collect();
        assert_eq!(answers.len(), 4);
        assert_eq!(answers[0], Answer::Done(4, Ok(())));
        assert_eq!(answers[1], Answer::Done(5, Err(1)));
        assert!(matches!(answers[2], Answer::Entry(6, entry) if entry.len() == 20));
        assert_eq!(answers[3], Answer::Done(6, Ok(())));
        assert_eq!(Answers(&bytes[..10]).count(), 0);
    }
}
