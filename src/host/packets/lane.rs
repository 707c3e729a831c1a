//! The way into one node: its packet filter hands us what other nodes send, we say what becomes of it.
//!
//! The queue sits at the receiver, where a packet has left its sender for good: held at the sender it would
//! count against the socket that sent it, and throttle it. It gets no rule while nothing is in trouble, so
//! nothing is slower then; and rules let pass what nobody serves, so that traffic flows on when we die.
//!
//! A second copy of a packet is sent from inside the node's network, by the loopback, with its first
//! sender's address. Rules of ours leave the loopback alone, those of cuts do not: a cut link carries no
//! copies either.

use super::fate::{Fate, Fates};
use super::wire;
use crate::host::isolation::Refusal;
use crate::host::kernel::Socket;
use crate::host::netlink::queue::{self, Means, Queue, Verdict};
use crate::host::netlink::{self, Answer, Answers, Message, Table};
use elenchus_core::fault::Trouble;
use elenchus_core::random::Rng;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrIn, sendto, socket,
};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

/// How many packets a queue holds before it lets pass what comes.
const PACKETS_MAX: u32 = 16_384;
/// How much of a packet tells its fate: its header.
const HEADER: u16 = 20;
const ALL: u16 = 0xffff;
/// How many datagrams are read before held packets get their turn.
const READS_MAX: usize = 32;

/// The way into one node.
#[derive(Debug)]
pub(super) struct Lane {
    table: Table,
    number: Queue,
    rules: Socket,
    queue: Socket,
    /// Where second copies are sent.
    copies: OwnedFd,
    means: Means,
    began: Instant,
    fates: Option<Fates>,
    held: BinaryHeap<Reverse<Held>>,
    /// How many packets were ever held: the order of those held until the same moment.
    order: u64,
    touched: u64,
    buffer: Vec<u8>,
}

/// A packet that goes on at a certain time.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Held {
    until: Duration,
    order: u64,
    id: u32,
}

impl Lane {
    /// Opens all that is needed, in the current network namespace, and finds out by which means packets are
    /// handed to us. Nothing is in trouble yet. `name` is the table's, `number` the queue's: nobody else in
    /// the namespace uses them.
    pub fn open(name: &str, number: Queue) -> Result<Lane, Refusal> {
        let table = Table::v4(name);
        let mut rules = step("netlink socket", Socket::filter())?;
        let chain = netlink::transaction([table.create_unless_there(), table.queue_chain()]);
        step("packet filter (nftables)", rules.transact(chain).map(|_| ()))?;
        let means = find_means(&mut rules, &table, number)?;
        let mut queue = step("netlink socket", Socket::filter())?;
        step("packet queue (nfnetlink_queue)", queue.request(number.bind(PACKETS_MAX)))?;
        // The larger, the fewer packets pass by us in a burst; any size will do.
        let _ = queue.enlarge(4 << 20);
        let copies = socket(AddressFamily::Inet, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::Raw);
        Ok(Lane {
            table,
            number,
            rules,
            queue,
            copies: step("raw socket", copies)?,
            means,
            began: Instant::now(),
            fates: None,
            held: BinaryHeap::new(),
            order: 0,
            touched: 0,
            buffer: vec![0; 1 << 17],
        })
    }

    /// How packets are handed to us.
    pub fn means(&self) -> Means {
        self.means
    }

    /// From now on what comes from these addresses is in trouble.
    pub fn disturb(&mut self, trouble: Trouble, rng: Rng, sources: &[Ipv4Addr]) -> Result<(), Refusal> {
        self.fates = Some(Fates::new(trouble, rng));
        self.touched = 0;
        let copied = if Fates::needs_all(trouble) { ALL } else { HEADER };
        let begun = step("packet queue", self.queue.tell([self.number.copy(copied)])).and_then(|()| {
            let rule = |source: &Ipv4Addr| self.table.queue_rule(*source, self.means, self.number);
            let rules = sources.iter().map(rule);
            step("rules of the packet queue", self.rules.transact(netlink::transaction(rules)).map(|_| ()))
        });
        if begun.is_err() {
            self.fates = None;
        }
        begun
    }

    /// From now on nothing is in trouble, and what was held goes on at once. Returns how many packets the
    /// trouble has touched; 0 if there was none.
    pub fn calm(&mut self) -> Result<u64, Refusal> {
        if self.fates.is_none() {
            return Ok(0);
        }
        let clear = netlink::transaction([self.table.clear_queue_rules()]);
        step("rules of the packet queue", self.rules.transact(clear).map(|_| ()))?;
        // What is in the queue came while there was trouble; then all go on in the order of their times.
        step("packet queue", self.take_in(self.began.elapsed(), usize::MAX).map(|_| ()))?;
        self.fates = None;
        step("packet queue", self.release(Duration::MAX))?;
        Ok(std::mem::take(&mut self.touched))
    }

    /// Deals with all that has come and all that is due. Returns when the next held packet will be, and
    /// whether there may be more to read now.
    pub fn work(&mut self) -> io::Result<(Option<Instant>, bool)> {
        let now = self.began.elapsed();
        let more = self.take_in(now, READS_MAX)?;
        self.release(self.began.elapsed())?;
        Ok((self.held.peek().map(|Reverse(held)| self.began + held.until), more))
    }

    /// Reads what the kernel has for us, and says at once what becomes of those that need not wait.
    fn take_in(&mut self, now: Duration, reads: usize) -> io::Result<bool> {
        let mut buffer = std::mem::take(&mut self.buffer);
        let mut result = Ok(true);
        for _ in 0..reads {
            match self.queue.hear(&mut buffer) {
                Ok(Some(length)) => {
                    let verdicts: Vec<Message> = Answers(&buffer[..length])
                        .filter_map(|answer| match answer {
                            Answer::Entry(_, entry) => queue::Packet::parse(entry),
                            // A verdict on a packet that is gone: its interface went down, say.
                            Answer::Done(..) => None,
                        })
                        .filter_map(|packet| self.judge(now, packet))
                        .collect();
                    result = self.queue.tell(verdicts).map(|()| true);
                }
                Ok(None) => result = Ok(false),
                Err(error) => result = Err(error),
            }
            if !matches!(result, Ok(true)) {
                break;
            }
        }
        self.buffer = buffer;
        result
    }

    /// What is to be said of this packet now. `None`: it is held.
    fn judge(&mut self, now: Duration, packet: queue::Packet<'_>) -> Option<Message> {
        let (Some(fates), Some(seen)) = (&mut self.fates, wire::Packet::new(packet.bytes)) else {
            return Some(self.number.verdict(packet.id, &Verdict::Accept));
        };
        let (verdict, is_touched) = match fates.of(now, seen.source(), seen.length()) {
            Fate::Pass => (Verdict::Accept, false),
            Fate::Drop => (Verdict::Drop, true),
            Fate::Wait(until) => {
                self.touched += 1;
                self.order += 1;
                self.held.push(Reverse(Held { until, order: self.order, id: packet.id }));
                return None;
            }
            Fate::Twice => (Verdict::Accept, send_copy(&self.copies, seen)),
            Fate::Flip => match seen.flipped(fates.rng()) {
                Some(bytes) => (Verdict::Replace(bytes), true),
                None => (Verdict::Accept, false),
            },
        };
        self.touched += u64::from(is_touched);
        Some(self.number.verdict(packet.id, &verdict))
    }

    /// Lets go on what is due.
    fn release(&mut self, now: Duration) -> io::Result<()> {
        let mut verdicts = vec![];
        while let Some(Reverse(held)) = self.held.peek()
            && held.until <= now
        {
            verdicts.push(self.number.verdict(held.id, &Verdict::Accept));
            self.held.pop();
        }
        // A datagram has its limits.
        verdicts.chunks(VERDICTS_MAX).try_for_each(|some| self.queue.tell(some.iter().cloned()))
    }
}

const VERDICTS_MAX: usize = 256;

impl AsFd for Lane {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.queue.as_fd()
    }
}

/// Sends the packet once more to where it goes. Says whether that went well.
fn send_copy(copies: &OwnedFd, packet: wire::Packet<'_>) -> bool {
    let Some(bytes) = packet.whole() else { return false };
    let target = SockaddrIn::from(SocketAddrV4::new(packet.target(), 0));
    sendto(copies.as_raw_fd(), bytes, &target, MsgFlags::MSG_DONTWAIT).is_ok()
}

/// The first kind of rule that the kernel takes. None is left behind.
fn find_means(rules: &mut Socket, table: &Table, number: Queue) -> Result<Means, Refusal> {
    let mut refused = None;
    for means in Means::ALL {
        let rule = table.queue_rule(Ipv4Addr::LOCALHOST, means, number);
        let trial = netlink::transaction([rule, table.clear_queue_rules()]);
        match rules.transact(trial) {
            Ok(_) => return Ok(means),
            Err(error) => {
                let step = format!("rule that queues packets ({})", means.as_str());
                refused = Some(Refusal::new(step, &error));
            }
        }
    }
    Err(refused.expect("there are means to try"))
}

fn step<T, E: Into<io::Error>>(name: &str, result: Result<T, E>) -> Result<T, Refusal> {
    result.map_err(|error| Refusal::new(name, &error.into()))
}
