//! Netlink messages of queueing disciplines: what holds packets up on an interface, and what diverts them there.
//!
//! `netem` and `tbf` sit at an interface's way out; the way in has a discipline of its own that queues
//! nothing, but takes filters that may send packets elsewhere. Layouts follow `linux/rtnetlink.h`,
//! `linux/pkt_sched.h`, `linux/pkt_cls.h` and `linux/tc_act/tc_mirred.h`.

use super::{ACK, Attributes, CREATE, DUMP, EXCLUSIVE, HEADER, Message, find};

const NEW_DISCIPLINE: u16 = 36;
const DELETE_DISCIPLINE: u16 = 37;
const GET_DISCIPLINE: u16 = 38;
const NEW_FILTER: u16 = 44;
const DELETE_FILTER: u16 = 45;
const GET_FILTER: u16 = 46;
const KIND: u16 = 1;
const OPTIONS: u16 = 2;
/// Where a discipline sits, and what it is called.
const ROOT: u32 = 0xffff_ffff;
const INGRESS: u32 = 0xffff_fff1;
const OURS: u32 = 0x0001_0000;
/// The kernel gives every discipline of a way in this name.
const INGRESS_NAME: u32 = 0xffff_0000;

/// `tcmsg`.
fn message(kind: u16, flags: u16, interface: u32, name: u32, parent: u32, info: u32) -> Message {
    let mut body = [0; 20];
    for (place, word) in [interface, name, parent, info].into_iter().enumerate() {
        body[4 + place * 4..][..4].copy_from_slice(&word.to_ne_bytes());
    }
    Message::new(kind, flags).body(&body)
}

/// A new discipline, at a place where nobody has put one: the kernel refuses to replace any but its own.
fn discipline(interface: u32, name: u32, parent: u32, kind: &str) -> Message {
    message(NEW_DISCIPLINE, ACK | CREATE | EXCLUSIVE, interface, name, parent, 0).text(KIND, kind)
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

// ---- the way out --------------------------------------------------------------------------------------

/// What `netem` does to every packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Netem {
    /// It waits so many nanoseconds, give or take some; the order is kept.
    Delay {
        /// How long.
        ns: u64,
        /// How much more or less.
        jitter_ns: u64,
    },
    /// It is lost.
    Lose,
    /// It comes twice.
    Double,
    /// It has one bit flipped.
    Flip,
}

/// Has `netem` deal with what is sent to this interface. It holds so many packets at most.
pub fn netem(interface: u32, what: Netem, packets: u32) -> Message {
    const CORRUPT: u16 = 4;
    const RATE: u16 = 6;
    const LATENCY: u16 = 10;
    const JITTER: u16 = 11;
    const ALWAYS: u32 = u32::MAX;
    let always = |is: bool| if is { ALWAYS } else { 0 };
    let (ns, jitter_ns) = match what {
        Netem::Delay { ns, jitter_ns } => (ns, jitter_ns),
        _ => (0, 0),
    };
    // Old kernels know only these, in ticks of 64 ns.
    let ticks = |ns: u64| u32::try_from(ns >> 6).unwrap_or(u32::MAX);
    let (lose, double) = (always(what == Netem::Lose), always(what == Netem::Double));
    let options = words(&[ticks(ns), packets, lose, 0, double, ticks(jitter_ns)]);
    discipline(interface, OURS, ROOT, "netem").nested(OPTIONS, |m| {
        let m = m.body(&options);
        match what {
            // On a wire with a rate, however high, a packet waits for those before it.
            Netem::Delay { .. } => m
                .attribute(LATENCY, &signed(ns))
                .attribute(JITTER, &signed(jitter_ns))
                .attribute(RATE, &words(&[u32::MAX, 0, 0, 0])),
            Netem::Flip => m.attribute(CORRUPT, &words(&[ALWAYS, 0])),
            Netem::Lose | Netem::Double => m,
        }
    })
}

fn signed(ns: u64) -> [u8; 8] {
    i64::try_from(ns).unwrap_or(i64::MAX).to_ne_bytes()
}

/// Lets so many bytes a second leave this interface, so many at once, while so many wait at most.
pub fn tbf(interface: u32, rate: u64, burst: u32, waiting: u32) -> Message {
    const PARAMETERS: u16 = 1;
    const RATE: u16 = 4;
    const BURST: u16 = 6;
    const ETHERNET: u8 = 1;
    let least = u32::try_from(rate).unwrap_or(u32::MAX);
    // `tc_tbf_qopt`: twice a rate with how it is counted, of which the second is unused.
    let mut parameters = vec![0, ETHERNET, 0, 0, 0, 0, 0, 0];
    parameters.extend(least.to_ne_bytes());
    parameters.extend([0; 12]);
    parameters.extend(words(&[waiting, 0, 0]));
    discipline(interface, OURS, ROOT, "tbf").nested(OPTIONS, |m| {
        let m = m.attribute(PARAMETERS, &parameters).native(BURST, burst);
        if rate > u64::from(least) { m.attribute(RATE, &rate.to_ne_bytes()) } else { m }
    })
}

// ---- the way in ---------------------------------------------------------------------------------------

/// Lets the way into this interface take filters.
pub fn ingress(interface: u32) -> Message {
    discipline(interface, INGRESS_NAME, INGRESS, "ingress")
}

/// The way into this interface is as it was, and its filters are gone.
pub fn delete_ingress(interface: u32) -> Message {
    message(DELETE_DISCIPLINE, ACK, interface, INGRESS_NAME, INGRESS, 0)
}

/// Asks for all disciplines of all interfaces; [`parse_ingress`] finds those that are like ours.
pub fn list_disciplines() -> Message {
    message(GET_DISCIPLINE, DUMP, 0, 0, 0, 0)
}

/// The interface whose way in has such a discipline, if this is one.
pub fn parse_ingress(message: &[u8]) -> Option<u32> {
    let (interface, attributes) = parts(message)?;
    (find(attributes, KIND)? == b"ingress\0").then_some(interface)
}

/// Of the IPv4 packets that come into `interface`, those that the program picks (it is in the words of the
/// kernel's classic packet filter) are sent to interface `to` instead.
pub fn divert(interface: u32, program: &[u8], to: u32) -> Message {
    const STEPS: u16 = 4;
    const PROGRAM: u16 = 5;
    const STOLEN: u32 = 4;
    const REDIRECT: u32 = 1;
    // `tc_mirred`: of what comes first only the verdict is ours to say.
    let mirred = words(&[0, 0, STOLEN, 0, 0, REDIRECT, to]);
    let steps = (program.len() / 8) as u16;
    message(NEW_FILTER, ACK | CREATE | EXCLUSIVE, interface, 0, INGRESS_NAME, first_of_ipv4())
        .text(KIND, "bpf")
        .nested(OPTIONS, |m| {
            m.attribute(STEPS, &steps.to_ne_bytes()).attribute(PROGRAM, program).nested(ACTIONS, |m| {
                m.nested(1, |m| {
                    m.text(ACTION_KIND, "mirred").nested(ACTION_OPTIONS, |m| m.attribute(MIRRED, &mirred))
                })
            })
        })
}

/// Ours comes before others' filters, and sees IPv4 only.
fn first_of_ipv4() -> u32 {
    const PRIORITY: u32 = 1 << 16;
    const IPV4: u16 = 0x0800;
    PRIORITY | u32::from(IPV4.to_be())
}

const ACTIONS: u16 = 1;
const ACTION_KIND: u16 = 1;
const ACTION_OPTIONS: u16 = 2;
const ACTION_STATISTICS: u16 = 4;
const MIRRED: u16 = 2;

/// Asks for all filters of the way into this interface; [`Diversion::parse`] reads each answer.
pub fn list_diversions(interface: u32) -> Message {
    message(GET_FILTER, DUMP, interface, 0, INGRESS_NAME, 0)
}

/// A filter that diverts packets, as the kernel has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Diversion {
    /// Where they come in.
    pub from: u32,
    /// The kernel's name for it, there.
    pub handle: u32,
    /// Where they are sent.
    pub to: u32,
    /// How many they were.
    pub packets: u64,
}

impl Diversion {
    /// Reads one message of the answer to [`list_diversions`], header included. `None` if it diverts nothing.
    pub fn parse(message: &[u8]) -> Option<Diversion> {
        const BASIC: u16 = 1;
        let (from, attributes) = parts(message)?;
        let handle = u32::from_ne_bytes(message.get(HEADER + 8..HEADER + 12)?.try_into().ok()?);
        let actions = find(find(attributes, OPTIONS)?, ACTIONS)?;
        let (_, action) = Attributes(actions).next()?;
        if find(action, ACTION_KIND)? != b"mirred\0" {
            return None;
        }
        let mirred = find(find(action, ACTION_OPTIONS)?, MIRRED)?;
        let to = u32::from_ne_bytes(mirred.get(24..28)?.try_into().ok()?);
        let basic = find(find(action, ACTION_STATISTICS)?, BASIC)?;
        let packets = u32::from_ne_bytes(basic.get(8..12)?.try_into().ok()?);
        Some(Diversion { from, handle, to, packets: packets.into() })
    }

    /// Removes it; all others stay.
    pub fn delete(&self) -> Message {
        message(DELETE_FILTER, ACK, self.from, self.handle, INGRESS_NAME, first_of_ipv4())
    }
}

/// Whether this is a filter of any kind.
pub fn is_filter(message: &[u8]) -> bool {
    parts(message).is_some_and(|(_, attributes)| find(attributes, OPTIONS).is_some())
}

/// The interface that the message is about, and its attributes.
fn parts(message: &[u8]) -> Option<(u32, &[u8])> {
    let body = message.get(HEADER..)?;
    let interface = u32::from_ne_bytes(body.get(4..8)?.try_into().ok()?);
    Some((interface, body.get(20..)?))
}

#[cfg(all(test, target_endian = "little"))]
mod tests {
    use super::super::tests::check;
    use super::*;

    #[test]
    fn netem_keeps_the_order_of_what_it_delays() {
        check(
            netem(3, Netem::Delay { ns: 64_000, jitter_ns: 640 }, 1000),
            "78000000 24000506 07000000 00000000
             00000000 03000000 00000100 ffffffff 00000000
             0a000100 6e657465 6d000000
             48000280 e8030000 e8030000 00000000 00000000 00000000 0a000000
               0c000a00 00fa0000 00000000  0c000b00 80020000 00000000
               14000600 ffffffff 00000000 00000000 00000000",
        );
    }

    #[test]
    fn netem_loses_doubles_or_flips_whatever_comes() {
        let head = "24000506 07000000 00000000 00000000 03000000 00000100 ffffffff 00000000
             0a000100 6e657465 6d000000";
        let plain = "00000000 e8030000";
        check(
            netem(3, Netem::Lose, 1000),
            &format!("4c000000 {head} 1c000280 {plain} ffffffff 00000000 00000000 00000000"),
        );
        check(
            netem(3, Netem::Double, 1000),
            &format!("4c000000 {head} 1c000280 {plain} 00000000 00000000 ffffffff 00000000"),
        );
        check(
            netem(3, Netem::Flip, 1000),
            &format!(
                "58000000 {head} 28000280 {plain} 00000000 00000000 00000000 00000000
                 0c000400 ffffffff 00000000"
            ),
        );
    }

    #[test]
    fn tbf_names_a_rate_a_burst_and_what_may_wait() {
        let head = "24000506 07000000 00000000 00000000 03000000 00000100 ffffffff 00000000
             08000100 74626600";
        check(
            tbf(3, 250_000, 1600, 250_000),
            &format!(
                "60000000 {head} 34000280 28000100
                 00010000 00000000 90d00300 00000000 00000000 00000000 90d00300 00000000 00000000
                 08000600 40060000"
            ),
        );
        let fast = tbf(3, 1 << 33, 1600, 1).numbered(7);
        assert_eq!(
            fast[fast.len() - 12..],
            [[12, 0, 4, 0, 0, 0, 0, 0], [2, 0, 0, 0, 0, 0, 0, 0]].concat()[..12]
        );
    }

    #[test]
    fn the_way_in_takes_filters_and_is_given_back() {
        check(
            ingress(2),
            "30000000 24000506 07000000 00000000
             00000000 02000000 0000ffff f1ffffff 00000000  0c000100 696e6772 65737300",
        );
        check(
            delete_ingress(2),
            "24000000 25000500 07000000 00000000  00000000 02000000 0000ffff f1ffffff 00000000",
        );
    }

    const PROGRAM: [u8; 8] = [6, 0, 0, 0, 1, 0, 0, 0];

    #[test]
    fn a_diversion_runs_a_program_on_ipv4_and_redirects() {
        check(
            divert(2, &PROGRAM, 9),
            "7c000000 2c000506 07000000 00000000
             00000000 02000000 00000000 0000ffff 08000100  08000100 62706600
             50000280  06000400 01000000  0c000500 06000000 01000000
               38000180 34000180 0b000100 6d697272 65640000
                 24000280 20000200 00000000 00000000 04000000 00000000 00000000 01000000 09000000",
        );
    }

    /// An answer as the kernel gives it.
    fn answer() -> Vec<u8> {
        let mirred = words(&[1, 0, 4, 1, 1, 1, 9]);
        message(NEW_FILTER, 0, 2, 1, INGRESS_NAME, 0)
            .text(KIND, "bpf")
            .nested(OPTIONS, |m| {
                m.nested(ACTIONS, |m| {
                    m.nested(1, |m| {
                        m.text(ACTION_KIND, "mirred")
                            .nested(ACTION_STATISTICS, |m| m.attribute(1, &words(&[500, 0, 7, 0])))
                            .nested(ACTION_OPTIONS, |m| m.attribute(MIRRED, &mirred))
                    })
                })
            })
            .numbered(1)
    }

    #[test]
    fn a_diversion_is_read_back_with_its_count() {
        let answer = answer();
        let diversion = Diversion { from: 2, handle: 1, to: 9, packets: 7 };
        assert_eq!(Diversion::parse(&answer), Some(diversion));
        check(
            diversion.delete(),
            "24000000 2d000500 07000000 00000000  00000000 02000000 01000000 0000ffff 08000100",
        );
        for end in 0..answer.len() {
            assert_eq!(Diversion::parse(&answer[..end]), None, "cut at {end}");
        }
        assert_eq!(Diversion::parse(&ingress(2).numbered(1)), None);
    }

    #[test]
    fn the_way_in_is_told_from_the_way_out() {
        assert_eq!(parse_ingress(&ingress(2).numbered(1)), Some(2));
        assert_eq!(parse_ingress(&netem(2, Netem::Lose, 1).numbered(1)), None);
        assert!(is_filter(&answer()));
        assert!(!is_filter(&ingress(2).numbered(1)), "without options");
    }
}
