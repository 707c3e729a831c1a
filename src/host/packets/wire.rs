//! An IPv4 packet as bytes: who sent it, how long it is, which of its bits a checksum guards.
//!
//! Only bits that a checksum guards are ever flipped: a single one changes a one's complement sum always,
//! so the receiver's kernel throws the packet away, and no program is given bytes that nobody sent. (Cables
//! guard their frames as well; what a program gets to see of a corrupting wire is loss.) Deliberately
//! absent: IPv6, which nodes do not speak, and fragments, which the kernel has joined before it asks us.

use elenchus_core::random::Rng;
use std::net::Ipv4Addr;
use std::ops::Range;

const HEADER: usize = 20;
pub(super) const ICMP: u8 = 1;
pub(super) const TCP: u8 = 6;
pub(super) const UDP: u8 = 17;

/// An IPv4 packet of which at least the header is known.
#[derive(Clone, Copy, Debug)]
pub(super) struct Packet<'a> {
    bytes: &'a [u8],
}

impl<'a> Packet<'a> {
    /// `None` if these bytes do not begin as such a packet does.
    pub fn new(bytes: &'a [u8]) -> Option<Packet<'a>> {
        (bytes.len() >= HEADER && bytes[0] >> 4 == 4).then_some(Packet { bytes })
    }

    /// Who says to have sent it.
    pub fn source(&self) -> Ipv4Addr {
        self.address(12)
    }

    /// To whom it is addressed.
    pub fn target(&self) -> Ipv4Addr {
        self.address(16)
    }

    fn address(&self, at: usize) -> Ipv4Addr {
        let [a, b, c, d] = [0, 1, 2, 3].map(|i| self.bytes[at + i]);
        Ipv4Addr::new(a, b, c, d)
    }

    /// Its length in bytes, header included, whether all of them are known or not.
    pub fn length(&self) -> usize {
        usize::from(u16::from_be_bytes([self.bytes[2], self.bytes[3]]))
    }

    /// All of its bytes, if all are known.
    pub fn whole(&self) -> Option<&'a [u8]> {
        (self.bytes.len() == self.length()).then_some(self.bytes)
    }

    /// The packet with one bit flipped, if it is known whole and has bits that a checksum guards.
    pub fn flipped(&self, rng: &mut Rng) -> Option<Vec<u8>> {
        let guarded = self.guarded()?;
        let mut bytes = self.whole()?.to_vec();
        let place = rng.between(guarded.start as u64, guarded.end as u64 - 1) as usize;
        bytes[place] ^= 1 << rng.below(8);
        Some(bytes)
    }

    /// The bytes that the checksum of the packet's protocol guards.
    fn guarded(&self) -> Option<Range<usize>> {
        let start = usize::from(self.bytes[0] & 0xf) * 4;
        let body = self.whole()?.get(start..)?;
        let is_guarded = match self.bytes[9] {
            TCP => body.len() >= 20,
            // Without a checksum, which UDP allows, the receiver would take anything.
            UDP => body.len() >= 8 && body[6..8] != [0, 0],
            ICMP => body.len() >= 8,
            _ => false,
        };
        is_guarded.then_some(start..self.bytes.len())
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use elenchus_core::random::Seed;

    /// A packet from 10.77.0.1 to 10.77.0.2 whose checksums are right.
    pub fn packet(protocol: u8, body: &[u8]) -> Vec<u8> {
        let length = (HEADER + body.len()) as u16;
        let mut bytes = vec![0x45, 0, 0, 0, 0, 7, 0x40, 0, 64, protocol, 0, 0, 10, 77, 0, 1, 10, 77, 0, 2];
        bytes[2..4].copy_from_slice(&length.to_be_bytes());
        bytes.extend(body);
        bytes
    }

    /// The one's complement sum of a TCP or UDP packet with its pseudo header: 0xffff if it is right.
    fn sum(bytes: &[u8]) -> u16 {
        let body = &bytes[HEADER..];
        let mut words: Vec<u8> = bytes[12..20].to_vec();
        words.extend([0, bytes[9]]);
        words.extend((body.len() as u16).to_be_bytes());
        words.extend(body);
        words.resize(words.len().next_multiple_of(2), 0);
        let sum: u32 = words.chunks(2).map(|w| u32::from(u16::from_be_bytes([w[0], w[1]]))).sum();
        (0..2).fold(sum, |sum, _| (sum & 0xffff) + (sum >> 16)) as u16
    }

    fn udp(data: &[u8]) -> Vec<u8> {
        let mut body = vec![1, 2, 3, 4, 0, 0, 0, 0];
        body[4..6].copy_from_slice(&(8 + data.len() as u16).to_be_bytes());
        body.extend(data);
        let mut bytes = packet(UDP, &body);
        let check = !sum(&bytes);
        bytes[26..28].copy_from_slice(&check.to_be_bytes());
        assert_eq!(sum(&bytes), 0xffff);
        bytes
    }

    #[test]
    fn a_header_tells_source_target_and_length() {
        let bytes = packet(TCP, &[0; 30]);
        let packet = Packet::new(&bytes[..HEADER]).expect("a header");
        assert_eq!(packet.source(), Ipv4Addr::new(10, 77, 0, 1));
        assert_eq!(packet.target(), Ipv4Addr::new(10, 77, 0, 2));
        assert_eq!((packet.length(), packet.whole()), (50, None));
        assert!(Packet::new(&bytes).expect("all of it").whole().is_some());
    }

    #[test]
    fn whichever_bit_is_flipped_the_checksum_tells() {
        let bytes = udp(b"what nobody may get to see otherwise");
        let mut rng = Seed(3).rng();
        let mut places = std::collections::BTreeSet::new();
        for _ in 0..5_000 {
            let flipped = Packet::new(&bytes).expect("a packet").flipped(&mut rng).expect("guarded");
            assert_ne!(sum(&flipped), 0xffff);
            let differing: Vec<usize> = (0..bytes.len()).filter(|i| flipped[*i] != bytes[*i]).collect();
            assert_eq!(differing.len(), 1);
            assert_eq!((flipped[differing[0]] ^ bytes[differing[0]]).count_ones(), 1);
            assert!(differing[0] >= HEADER, "the kernel has looked at the header already");
            places.insert(differing[0]);
        }
        assert_eq!(places.len(), bytes.len() - HEADER);
    }

    #[test]
    fn what_no_checksum_guards_is_left_alone() {
        let mut rng = Seed(3).rng();
        let mut flipped = |bytes: &[u8]| Packet::new(bytes).and_then(|packet| packet.flipped(&mut rng));
        let mut unchecked = udp(b"anything");
        unchecked[26..28].fill(0);
        assert_eq!(flipped(&unchecked), None);
        assert_eq!(flipped(&packet(132, &[1; 40])), None, "another protocol");
        let known = udp(b"more than is known");
        assert_eq!(flipped(&known[..30]), None, "cut short");
        assert!(flipped(&known).is_some());
    }

    #[test]
    fn garbage_is_no_packet_and_no_panic() {
        let mut rng = Seed(5).rng();
        for length in 0..80 {
            for _ in 0..200 {
                let mut bytes: Vec<u8> = (0..length).map(|_| rng.below(256) as u8).collect();
                if let Some(first) = bytes.first_mut() {
                    *first = 0x40 | (*first & 0xf);
                }
                if length >= HEADER {
                    bytes[2..4].copy_from_slice(&(length as u16).to_be_bytes());
                }
                let packet = Packet::new(&bytes);
                assert_eq!(packet.is_some(), length >= HEADER);
                let _ = packet.and_then(|packet| packet.flipped(&mut rng));
            }
        }
    }
}
