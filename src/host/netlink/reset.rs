//! The rules of a link that is cut by resetting its connections.
//!
//! There are two: resets pass, or else nobody would hear them across a link that is cut both ways; all else
//! is refused, and counted. The kernel answers what belongs to a connection with a reset that the sender's
//! takes for the receiver's, and lets the rest vanish.

use super::{
    ACK, APPEND, CHAIN, COMPARE_DATA, COUNTER_PACKETS, CREATE, Message, NEW_RULE, REGISTER_1, RULE_CHAIN,
    RULE_EXPRESSIONS, RULE_TABLE, Table, comes_from, expression,
};
use std::net::IpAddr;

const NETWORK_HEADER: u32 = 1;
const TRANSPORT_HEADER: u32 = 2;
const DATA_VALUE: u16 = 1;

impl Table {
    /// Rules that refuse, and count, what comes from `source`, an address of the table's version of IP.
    pub fn reset_rules(&self, source: IpAddr) -> [Message; 2] {
        const TCP_RESET: u32 = 1;
        [
            self.rule(|m| accept(resets(comes_from(m, source), source))),
            self.rule(|m| {
                let m = comes_from(m, source);
                let m =
                    expression(m, "counter", |m| m.attribute(1, &[0; 8]).attribute(COUNTER_PACKETS, &[0; 8]));
                expression(m, "reject", |m| m.network(1, TCP_RESET))
            }),
        ]
    }

    fn rule(&self, fill: impl FnOnce(Message) -> Message) -> Message {
        self.filter(NEW_RULE, ACK | CREATE | APPEND)
            .text(RULE_TABLE, &self.name)
            .text(RULE_CHAIN, CHAIN)
            .nested(RULE_EXPRESSIONS, fill)
    }
}

/// Only packets that reset a connection meet the expressions that follow.
fn resets(message: Message, source: IpAddr) -> Message {
    // Where IPv6 names what follows; packets with further headers before it are refused as all others.
    let protocol_offset = if source.is_ipv4() { 9 } else { 6 };
    const TCP: u8 = 6;
    const FLAGS_OFFSET: u32 = 13;
    const RESET: u8 = 4;
    const EQUAL: u32 = 0;
    const NOT_EQUAL: u32 = 1;
    let message = compare(byte(message, NETWORK_HEADER, protocol_offset), EQUAL, TCP);
    let message = expression(byte(message, TRANSPORT_HEADER, FLAGS_OFFSET), "bitwise", |m| {
        m.network(1, REGISTER_1)
            .network(2, REGISTER_1)
            .network(3, 1)
            .nested(4, |m| m.attribute(DATA_VALUE, &[RESET]))
            .nested(5, |m| m.attribute(DATA_VALUE, &[0]))
    });
    compare(message, NOT_EQUAL, 0)
}

/// Loads a byte of the packet.
fn byte(message: Message, header: u32, offset: u32) -> Message {
    expression(message, "payload", |m| {
        m.network(1, REGISTER_1).network(2, header).network(3, offset).network(4, 1)
    })
}

/// Compares the byte that was loaded.
fn compare(message: Message, how: u32, with: u8) -> Message {
    expression(message, "cmp", |m| {
        m.network(1, REGISTER_1).network(2, how).nested(COMPARE_DATA, |m| m.attribute(DATA_VALUE, &[with]))
    })
}

fn accept(message: Message) -> Message {
    const VERDICT_REGISTER: u32 = 0;
    const DATA_VERDICT: u16 = 2;
    const ACCEPT: u32 = 1;
    expression(message, "immediate", |m| {
        m.network(1, VERDICT_REGISTER).nested(2, |m| m.nested(DATA_VERDICT, |m| m.network(1, ACCEPT)))
    })
}

#[cfg(all(test, target_endian = "little"))]
mod tests {
    use super::super::{RULE_HANDLE, Rule};
    use super::*;

    #[test]
    fn both_rules_are_read_back_as_their_senders() {
        let v4: IpAddr = [10, 77, 0, 3].into();
        let v6: IpAddr = "fd00::3".parse().unwrap();
        let (four, six) = (Table::v4("elenchus"), Table::v6("elenchus"));
        let rules = four.reset_rules(v4).map(|rule| (v4, rule)).into_iter();
        for (source, rule) in rules.chain(six.reset_rules(v6).map(|rule| (v6, rule))) {
            let sent = rule.attribute(RULE_HANDLE, &17u64.to_be_bytes()).numbered(1);
            assert_eq!(Rule::parse(&sent), Some(Rule { handle: 17, source, packets: 0 }));
            for end in 0..sent.len() {
                assert_eq!(Rule::parse(&sent[..end]), None, "cut at {end}");
            }
        }
    }
}
