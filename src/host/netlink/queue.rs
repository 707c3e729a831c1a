//! Netlink messages of packet queues: the rules that fill one, the queue itself, the verdicts.
//!
//! Two kinds of rule hand a packet to user space: the packet filter's own `queue`, and the target `NFQUEUE`
//! of its predecessor, which it takes in as well; a kernel may have been built with either alone. Layouts
//! follow `linux/netfilter/nfnetlink_queue.h`, `nf_tables_compat.h` and `xt_NFQUEUE.h`.

use super::{
    ACK, APPEND, Attributes, CHAIN_HOOK, CHAIN_NAME, CHAIN_POLICY, CHAIN_TABLE, CHAIN_TYPE, CREATE,
    DELETE_RULE, HEADER, HOOK_NUMBER, HOOK_PRIORITY, Message, NEW_CHAIN, NEW_RULE, REGISTER_1, RULE_CHAIN,
    RULE_EXPRESSIONS, RULE_TABLE, TABLE_NAME, Table, comes_from, expression, family,
};
use std::net::Ipv4Addr;

const QUEUE_SUBSYSTEM: u16 = 3;
const PACKET: u16 = 0;
const VERDICT: u16 = 1;
const CONFIG: u16 = 2;
const PAYLOAD: u16 = 10;
const CHAIN: &str = "packets";

/// The kind of rule that hands packets to the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Means {
    /// The packet filter's own statement.
    Statement,
    /// The target of xtables.
    Target,
}

impl Means {
    /// Both, in the order in which to try them.
    pub const ALL: [Means; 2] = [Means::Statement, Means::Target];

    /// What to call it.
    pub fn as_str(self) -> &'static str {
        match self {
            Means::Statement => "nft queue",
            Means::Target => "xtables NFQUEUE",
        }
    }
}

// ---- rules --------------------------------------------------------------------------------------------

impl Table {
    /// Makes it, unless it is there already.
    pub fn create_unless_there(&self) -> Message {
        self.filter(super::NEW_TABLE, ACK | CREATE).text(TABLE_NAME, &self.name)
    }

    /// The chain of our queue's rules. It sees what comes in before the chain of cuts does, so that a packet
    /// that has waited here while its link was cut is dropped there.
    pub fn queue_chain(&self) -> Message {
        const LOCAL_IN: u32 = 1;
        const BEFORE_CUTS: i32 = -1;
        const ACCEPT: u32 = 1;
        self.filter(NEW_CHAIN, ACK | CREATE)
            .text(CHAIN_TABLE, &self.name)
            .text(CHAIN_NAME, CHAIN)
            .nested(CHAIN_HOOK, |m| {
                m.network(HOOK_NUMBER, LOCAL_IN).attribute(HOOK_PRIORITY, &BEFORE_CUTS.to_be_bytes())
            })
            .network(CHAIN_POLICY, ACCEPT)
            .text(CHAIN_TYPE, "filter")
    }

    /// A rule that hands to the queue what comes from `source` by any way but the loopback. While nobody
    /// serves the queue, all passes.
    pub fn queue_rule(&self, source: Ipv4Addr, means: Means, queue: Queue) -> Message {
        const BYPASS: u16 = 1;
        let rule = self.filter(NEW_RULE, ACK | CREATE | APPEND);
        rule.text(RULE_TABLE, &self.name).text(RULE_CHAIN, CHAIN).nested(RULE_EXPRESSIONS, |m| {
            let m = comes_from(not_by_loopback(m), source.into());
            match means {
                Means::Statement => expression(m, "queue", |m| {
                    m.attribute(1, &queue.0.to_be_bytes())
                        .attribute(2, &1u16.to_be_bytes())
                        .attribute(3, &BYPASS.to_be_bytes())
                }),
                Means::Target => expression(m, "target", |m| {
                    // `xt_NFQ_info_v3`: the first queue, how many, flags; filled up to 8 bytes.
                    let info: Vec<u8> =
                        [queue.0, 1, BYPASS, 0].iter().flat_map(|word| word.to_ne_bytes()).collect();
                    m.text(1, "NFQUEUE").network(2, 3).attribute(3, &info)
                }),
            }
        })
    }

    /// Removes all rules that hand packets to the queue. The chain stays: when the kernel unhooks one, it
    /// drops whatever waits in the queues of its namespace.
    pub fn clear_queue_rules(&self) -> Message {
        self.filter(DELETE_RULE, ACK).text(RULE_TABLE, &self.name).text(RULE_CHAIN, CHAIN)
    }
}

fn not_by_loopback(message: Message) -> Message {
    const INTERFACE_IN: u32 = 4;
    const NOT_EQUAL: u32 = 1;
    const DATA_VALUE: u16 = 1;
    /// In every network namespace the loopback is the first.
    const LOOPBACK: u32 = 1;
    let message = expression(message, "meta", |m| m.network(1, REGISTER_1).network(2, INTERFACE_IN));
    expression(message, "cmp", |m| {
        m.network(1, REGISTER_1)
            .network(2, NOT_EQUAL)
            .nested(super::COMPARE_DATA, |m| m.attribute(DATA_VALUE, &LOOPBACK.to_ne_bytes()))
    })
}

// ---- the queue ----------------------------------------------------------------------------------------

/// A queue, by its number: one of its own for whoever takes packets in a network namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Queue(pub u16);

impl Queue {
    fn message(self, kind: u16, flags: u16) -> Message {
        Message::new(QUEUE_SUBSYSTEM << 8 | kind, flags).body(&family(0, self.0))
    }

    /// Makes the queue, served by the socket that says so. It holds up to `packets`; what comes when it is
    /// full passes.
    pub fn bind(self, packets: u32) -> Message {
        const COMMAND: u16 = 1;
        const BIND: u8 = 1;
        const LENGTH_MAX: u16 = 3;
        const MASK: u16 = 4;
        const FLAGS: u16 = 5;
        const FAIL_OPEN: u32 = 1;
        self.message(CONFIG, ACK)
            .attribute(COMMAND, &[BIND, 0, 0, 0])
            .network(LENGTH_MAX, packets)
            .network(MASK, FAIL_OPEN)
            .network(FLAGS, FAIL_OPEN)
    }

    /// How much of each packet is copied to whoever serves the queue, at most; answered only if refused. The
    /// kernel fills in checksums that it had left to the hardware before it copies anything, and splits what
    /// it had put together.
    pub fn copy(self, bytes: u16) -> Message {
        const PARAMETERS: u16 = 2;
        const COPY_PACKET: u8 = 2;
        let [a, b, c, d] = u32::from(bytes).to_be_bytes();
        self.message(CONFIG, 0).attribute(PARAMETERS, &[a, b, c, d, COPY_PACKET])
    }

    /// Says what becomes of the packet `id`; answered only if there is no such packet.
    pub fn verdict(self, id: u32, verdict: &Verdict) -> Message {
        const HEAD: u16 = 2;
        const DROP: u32 = 0;
        const ACCEPT: u32 = 1;
        let code = if *verdict == Verdict::Drop { DROP } else { ACCEPT };
        let mut head = code.to_be_bytes().to_vec();
        head.extend(id.to_be_bytes());
        let message = self.message(VERDICT, 0).attribute(HEAD, &head);
        match verdict {
            Verdict::Replace(bytes) => message.attribute(PAYLOAD, bytes),
            Verdict::Accept | Verdict::Drop => message,
        }
    }
}

/// What becomes of a packet in the queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It goes on.
    Accept,
    /// It is no more.
    Drop,
    /// It goes on with these bytes instead; its checksum is looked at as if it came off a wire.
    Replace(Vec<u8>),
}

/// A packet that waits in the queue for its verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// The kernel's name for it.
    pub id: u32,
    /// It, from its IP header on, as far as it is copied.
    pub bytes: &'a [u8],
}

impl<'a> Packet<'a> {
    /// Reads one message of the kernel's, header included. `None` if it is no packet.
    pub fn parse(message: &'a [u8]) -> Option<Packet<'a>> {
        const HEAD: u16 = 1;
        let kind = u16::from_ne_bytes(message.get(4..6)?.try_into().ok()?);
        if kind != QUEUE_SUBSYSTEM << 8 | PACKET {
            return None;
        }
        let (mut id, mut bytes): (_, &[u8]) = (None, &[]);
        for (kind, payload) in Attributes(message.get(HEADER + 4..)?) {
            match kind {
                HEAD => id = Some(u32::from_be_bytes(payload.get(..4)?.try_into().ok()?)),
                PAYLOAD => bytes = payload,
                _ => {}
            }
        }
        Some(Packet { id: id?, bytes })
    }
}

#[cfg(all(test, target_endian = "little"))]
mod tests {
    use super::super::tests::check;
    use super::super::{Answer, Answers};
    use super::*;

    fn table() -> Table {
        Table::v4("elenchus")
    }

    #[test]
    fn the_chain_comes_before_the_cuts() {
        check(
            table().queue_chain(),
            "58000000 030a0504 07000000 00000000 02000000
             0d000100 656c656e 63687573 00000000  0c000300 7061636b 65747300
             14000480 08000100 00000001 08000200 ffffffff
             08000500 00000001  0b000700 66696c74 65720000",
        );
    }

    #[test]
    fn a_rule_compares_the_way_in_and_the_source_and_queues() {
        let before = "060a050c 07000000 00000000 02000000
             0d000100 656c656e 63687573 00000000  0c000200 7061636b 65747300";
        let compares = "24000180 09000100 6d657461 00000000
                 14000280 08000100 00000001 08000200 00000004
               2c000180 08000100 636d7000
                 20000280 08000100 00000001 08000200 00000001 0c000380 08000100 01000000
               34000180 0c000100 7061796c 6f616400
                 24000280 08000100 00000001 08000200 00000001 08000300 0000000c 08000400 00000004
               2c000180 08000100 636d7000
                 20000280 08000100 00000001 08000200 00000000 0c000380 08000100 0a4d0003";
        let source = Ipv4Addr::new(10, 77, 0, 3);
        let statement = "2c000180 0a000100 71756575 65000000
                 1c000280 06000100 00000000 06000200 00010000 06000300 00010000";
        check(
            table().queue_rule(source, Means::Statement, Queue(0)),
            &format!("10010000 {before} e0000480 {compares} {statement}"),
        );
        let target = "34000180 0b000100 74617267 65740000
                 24000280 0c000100 4e465155 45554500 08000200 00000003 0c000300 00000100 01000000";
        check(
            table().queue_rule(source, Means::Target, Queue(0)),
            &format!("18010000 {before} e8000480 {compares} {target}"),
        );
    }

    #[test]
    fn a_queue_is_bound_open_and_told_how_much_to_copy() {
        check(
            Queue(0).bind(1024),
            "34000000 02030500 07000000 00000000 00000000
             08000100 01000000  08000300 00000400  08000400 00000001  08000500 00000001",
        );
        check(
            Queue(0).copy(0xffff),
            "20000000 02030100 07000000 00000000 00000000  09000200 0000ffff 02000000",
        );
    }

    #[test]
    fn verdicts_name_their_packet_and_may_carry_another() {
        let head = "01030100 07000000 00000000 00000000";
        check(Queue(0).verdict(5, &Verdict::Accept), &format!("20000000 {head} 0c000200 00000001 00000005"));
        check(Queue(0).verdict(5, &Verdict::Drop), &format!("20000000 {head} 0c000200 00000000 00000005"));
        check(
            Queue(0).verdict(5, &Verdict::Replace(vec![1, 2, 3])),
            &format!("28000000 {head} 0c000200 00000001 00000005 07000a00 01020300"),
        );
    }

    fn packet() -> Vec<u8> {
        Message::new(QUEUE_SUBSYSTEM << 8 | PACKET, 0)
            .body(&family(2, 0))
            .attribute(1, &[0, 0, 0, 9, 8, 0, 1, 0])
            .attribute(PAYLOAD, &[0x45, 1, 2, 3, 4])
            .numbered(0)
    }

    #[test]
    fn a_packet_is_read_among_the_kernels_answers() {
        let mut datagram = packet();
        datagram.resize(datagram.len().next_multiple_of(4), 0);
        datagram.extend(Message::new(2, 0).body(&(-2i32).to_ne_bytes()).body(&[0; 16]).numbered(4));
        let answers: Vec<_> = Answers(&datagram).collect();
        let Answer::Entry(0, entry) = answers[0] else { panic!("{answers:?}") };
        assert_eq!(Packet::parse(entry), Some(Packet { id: 9, bytes: &[0x45, 1, 2, 3, 4] }));
        assert_eq!(answers[1], Answer::Done(4, Err(2)));
    }

    #[test]
    fn garbage_is_no_packet_and_no_panic() {
        let whole = packet();
        for end in 0..whole.len() - 12 {
            assert_eq!(Packet::parse(&whole[..end]), None, "cut at {end}");
        }
        for place in 0..whole.len() {
            for value in [0, 1, 0x7f, 0xff] {
                let mut bytes = whole.clone();
                bytes[place] = value;
                let _ = Packet::parse(&bytes);
            }
        }
        assert_eq!(
            Packet::parse(&Message::new(super::super::SUBSYSTEM << 8, 0).body(&[0; 40]).numbered(1)),
            None
        );
    }
}
