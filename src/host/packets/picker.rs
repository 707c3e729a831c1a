//! Which packets a trouble strikes, as a program that the kernel runs on each: by sender, and by chance.
//!
//! Chance is drawn here and not by `netem`, which strikes whatever it is given: so the kernel's count of what
//! the program picked is the number of packets struck. It is written for the classic packet filter, which
//! every kernel that filters traffic by programs understands, and which takes no right but that over the
//! network.

use super::wire::{ICMP, TCP, UDP};
use elenchus_core::fault::Trouble;
use std::net::Ipv4Addr;

const LOAD_WORD: u16 = 0x20;
const LOAD_HALF: u16 = 0x28;
const LOAD_BYTE: u16 = 0x30;
const JUMP: u16 = 0x05;
const IS: u16 = 0x15;
const IS_AT_LEAST: u16 = 0x35;
const HAS_BITS: u16 = 0x45;
const RETURN: u16 = 0x06;
/// From here on a packet's own bytes are loaded, the IP header's first.
const PACKET: u32 = 0xfff0_0000;
/// Where a random word is loaded from.
const CHANCE: u32 = 0xffff_f000 + 56;

/// One step, as the kernel reads it: what to do, how many steps to skip if so and if not, and a number.
type Step = (u16, u8, u8, u32);

/// The program that picks what of these senders' packets is struck.
pub(super) fn program(trouble: Trouble, sources: &[Ipv4Addr]) -> Vec<u8> {
    let mut steps = senders(sources);
    let mut last = if matches!(trouble, Trouble::Corrupt { .. }) { guarded() } else { vec![] };
    last.extend(chance(trouble));
    last.extend([(RETURN, 0, 0, 1), NEVER]);
    let end = last.len() as u8 - 1;
    for (place, (_, yes, no, _)) in last.iter_mut().enumerate() {
        for skip in [yes, no].into_iter().filter(|skip| **skip == NOT_STRUCK) {
            *skip = end - place as u8 - 1;
        }
    }
    steps.extend(last);
    steps.iter().flat_map(bytes).collect()
}

/// Stands for a jump to the last step.
const NOT_STRUCK: u8 = 0xff;
const NEVER: Step = (RETURN, 0, 0, 0);

fn bytes(&(code, yes, no, number): &Step) -> [u8; 8] {
    let ([a, b], [c, d, e, f]) = (code.to_ne_bytes(), number.to_ne_bytes());
    [a, b, yes, no, c, d, e, f]
}

/// Whoever is none of these is not struck; for others it goes on behind.
fn senders(sources: &[Ipv4Addr]) -> Vec<Step> {
    let mut steps = vec![(LOAD_WORD, 0, 0, PACKET + 12)];
    for (place, source) in sources.iter().enumerate() {
        // A conditional jump leads no further than 255 steps.
        let rest = (sources.len() - place - 1) as u32 * 2 + 1;
        steps.extend([(IS, 0, 1, u32::from(*source)), (JUMP, 0, 0, rest)]);
    }
    steps.push(NEVER);
    steps
}

/// Whether a checksum guards what the packet carries, as `wire` has it: then a flipped bit is always noticed.
fn guarded() -> Vec<Step> {
    const NO_OPTIONS: u32 = 0x45;
    const FRAGMENT: u32 = 0x3fff;
    vec![
        (LOAD_BYTE, 0, 0, PACKET),
        (IS, 0, NOT_STRUCK, NO_OPTIONS),
        (LOAD_HALF, 0, 0, PACKET + 6),
        (HAS_BITS, NOT_STRUCK, 0, FRAGMENT),
        (LOAD_BYTE, 0, 0, PACKET + 9),
        (IS, 4, 0, TCP.into()),
        (IS, 3, 0, ICMP.into()),
        (IS, 0, NOT_STRUCK, UDP.into()),
        (LOAD_HALF, 0, 0, PACKET + 26),
        (IS, NOT_STRUCK, 0, 0),
    ]
}

fn chance(trouble: Trouble) -> Vec<Step> {
    let percent = match trouble {
        Trouble::Loss { percent }
        | Trouble::Duplicate { percent }
        | Trouble::Reorder { percent, .. }
        | Trouble::Corrupt { percent } => percent,
        Trouble::Delay { .. } | Trouble::Rate { .. } => 100,
    };
    if percent >= 100 {
        return vec![];
    }
    let struck = (u64::from(percent) << 32) / 100;
    vec![(LOAD_WORD, 0, 0, CHANCE), (IS_AT_LEAST, NOT_STRUCK, 0, struck as u32)]
}

#[cfg(test)]
mod tests {
    use super::super::wire::tests::packet;
    use super::*;

    /// What the kernel would do with it. Whoever draws says what comes of chance.
    fn picks(program: &[u8], packet: &[u8], drawn: u32) -> bool {
        let steps: Vec<Step> = program
            .chunks(8)
            .map(|step| {
                let number = u32::from_ne_bytes(step[4..].try_into().unwrap());
                (u16::from_ne_bytes([step[0], step[1]]), step[2], step[3], number)
            })
            .collect();
        let load = |at: u32, length: usize| {
            let bytes = &packet[(at - PACKET) as usize..][..length];
            bytes.iter().fold(0, |word, byte| word << 8 | u32::from(*byte))
        };
        let (mut at, mut held) = (0, 0);
        loop {
            let (code, yes, no, number) = steps[at];
            at += 1;
            let skip = |is: bool| usize::from(if is { yes } else { no });
            match code {
                LOAD_WORD if number == CHANCE => held = drawn,
                LOAD_WORD => held = load(number, 4),
                LOAD_HALF => held = load(number, 2),
                LOAD_BYTE => held = load(number, 1),
                JUMP => at += number as usize,
                IS => at += skip(held == number),
                IS_AT_LEAST => at += skip(held >= number),
                HAS_BITS => at += skip(held & number != 0),
                RETURN => return number != 0,
                other => panic!("{other:#x}"),
            }
        }
    }

    const PEER: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
    const LATE: Trouble = Trouble::Delay { ms: 1, jitter_ms: 0 };

    #[test]
    fn only_peers_are_struck_however_many_there_are() {
        let from_peer = packet(TCP, &[0; 20]);
        for others in [0, 1, 300] {
            let mut sources: Vec<Ipv4Addr> = (0..others).map(|n| Ipv4Addr::from(0xac10_0000 + n)).collect();
            assert!(!picks(&program(LATE, &sources), &from_peer, 0), "{others}");
            sources.insert(others as usize / 2, PEER);
            assert!(picks(&program(LATE, &sources), &from_peer, u32::MAX), "{others}");
        }
    }

    #[test]
    fn chance_strikes_its_share() {
        let packet = packet(UDP, &[0; 8]);
        for percent in [0, 1, 30, 99, 100] {
            let program = program(Trouble::Loss { percent }, &[PEER]);
            let draws = (0..10_000u32).map(|n| n * (u32::MAX / 10_000));
            let struck = draws.filter(|drawn| picks(&program, &packet, *drawn)).count();
            assert!(struck.abs_diff(usize::from(percent) * 100) <= 1, "{struck} at {percent} %");
        }
    }

    #[test]
    fn only_what_a_checksum_guards_is_corrupted() {
        let program = program(Trouble::Corrupt { percent: 100 }, &[PEER]);
        let struck = |packet: &[u8]| picks(&program, packet, 0);
        assert!(struck(&packet(TCP, &[0; 20])));
        assert!(struck(&packet(ICMP, &[0; 8])));
        assert!(struck(&packet(UDP, &[0, 0, 0, 0, 0, 8, 0, 1])));
        assert!(!struck(&packet(UDP, &[0; 8])), "UDP without a checksum");
        assert!(!struck(&packet(47, &[0; 20])), "no protocol that we know");
        for (place, byte) in [(0, 0x46), (6, 0x20), (7, 1)] {
            let mut odd = packet(TCP, &[0; 24]);
            odd[place] = byte;
            assert!(!struck(&odd), "options, or a fragment");
        }
    }
}
