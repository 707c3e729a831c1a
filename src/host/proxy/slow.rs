//! Streams to a node that are late, or limited to a rate: what a proxy can do of the troubles of packets.
//!
//! A stream is cut into pieces of a packet's size, and each goes on in its order, at its time. Where a real wire of
//! limited rate would drop what piles up, and its sender would send it again, a sender here is read no further: it is
//! slowed down all the same. Loss, copies and other orders would break a stream, and are refused.

use super::{Gate, lock};
use crate::host::links::Road;
use crate::host::packets::PacketsError;
use elenchus_core::fault::Trouble;
use elenchus_core::process::NodeId;
use elenchus_core::random::{Rng, Seed};
use std::collections::{BTreeMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// How many bytes of a stream count as one packet.
pub(super) const PIECE: usize = 1460;
/// How much may wait before a wire of limited rate.
const BACKLOG: Duration = Duration::from_secs(1);
/// How many bytes of a connection may be on their way.
const ROOM: usize = 1 << 20;

/// Makes what goes to nodes slow, and fast again.
#[derive(Debug)]
pub struct Slowing {
    nodes: Vec<NodeId>,
    gates: BTreeMap<Road, Arc<Gate>>,
    in_force: BTreeMap<usize, Arc<Mutex<Slow>>>,
    chance: Rng,
}

impl Slowing {
    pub(super) fn new(nodes: &[NodeId], gates: BTreeMap<Road, Arc<Gate>>) -> Slowing {
        // From no seed of the trial: nobody could repeat when each piece comes.
        let chance = Seed(RandomState::new().hash_one("streams")).rng();
        Slowing { nodes: nodes.to_vec(), gates, in_force: BTreeMap::new(), chance }
    }

    /// Answers how many pieces the trouble that ends with this call has touched.
    pub fn disturb(&mut self, node: &NodeId, trouble: Option<Trouble>) -> Result<u64, PacketsError> {
        let place = self.nodes.iter().position(|one| one == node);
        let place = place.ok_or_else(|| PacketsError::NoSuchNode(node.clone()))?;
        let slow = match trouble {
            Some(trouble) if !is_possible(trouble) => return Err(PacketsError::Streams),
            Some(trouble) => {
                Some(Arc::new(Mutex::new(Slow::new(trouble, Seed(self.chance.next_u64()).rng()))))
            }
            None => None,
        };
        for (_, gate) in self.gates.iter().filter(|(road, _)| road.to == place) {
            gate.slow.send_replace(slow.clone());
        }
        let ended = match slow {
            Some(slow) => self.in_force.insert(place, slow),
            None => self.in_force.remove(&place),
        };
        Ok(ended.map_or(0, |slow| lock(&slow).touched))
    }
}

/// Whether streams can suffer this and stay streams.
pub fn is_possible(trouble: Trouble) -> bool {
    matches!(trouble, Trouble::Delay { .. } | Trouble::Rate { .. })
}

/// When each piece of the streams to a node goes on.
#[derive(Debug)]
pub(super) struct Slow {
    trouble: Trouble,
    rng: Rng,
    /// When the wire of limited rate is free again.
    free: Option<Instant>,
    touched: u64,
}

impl Slow {
    fn new(trouble: Trouble, rng: Rng) -> Slow {
        Slow { trouble, rng, free: None, touched: 0 }
    }

    /// When more may be read, which may be now.
    pub fn reads_at(&self, now: Instant) -> Instant {
        self.free.and_then(|free| free.checked_sub(BACKLOG)).map_or(now, |at| at.max(now))
    }

    /// When a piece of so many bytes that was read now goes on.
    pub fn due(&mut self, now: Instant, bytes: usize) -> Instant {
        self.touched += 1;
        match self.trouble {
            Trouble::Delay { ms, jitter_ms } => {
                let least = Duration::from_millis(ms.saturating_sub(jitter_ms));
                now + self.rng.duration(least, Duration::from_millis(ms.saturating_add(jitter_ms)))
            }
            Trouble::Rate { kbit } => {
                let takes = Duration::from_nanos(bytes as u64 * 8 * 1_000_000 / kbit.max(1));
                let free = self.free.map_or(now, |free| free.max(now)) + takes;
                self.free = Some(free);
                free
            }
            _ => now,
        }
    }
}

/// The pieces of one stream that are on their way, in their order.
#[derive(Debug, Default)]
pub(super) struct Late {
    pieces: VecDeque<(Instant, Vec<u8>)>,
    bytes: usize,
}

impl Late {
    /// No piece overtakes those before it.
    pub fn push(&mut self, due: Instant, piece: &[u8]) {
        let due = self.pieces.back().map_or(due, |(last, _)| due.max(*last));
        self.bytes += piece.len();
        self.pieces.push_back((due, piece.to_vec()));
    }

    /// The next piece; nothing if there is none.
    pub fn pop(&mut self) -> Vec<u8> {
        let piece = self.pieces.pop_front().map(|(_, piece)| piece).unwrap_or_default();
        self.bytes -= piece.len();
        piece
    }

    /// When the next piece goes on.
    pub fn due(&self) -> Option<Instant> {
        self.pieces.front().map(|(due, _)| *due)
    }

    /// Nothing waits any longer.
    pub fn hurry(&mut self, now: Instant) {
        self.pieces.iter_mut().for_each(|(due, _)| *due = now);
    }

    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    pub fn has_room(&self) -> bool {
        self.bytes < ROOM
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slow(trouble: Trouble) -> Slow {
        Slow::new(trouble, Seed(7).rng())
    }

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn pieces_are_late_within_their_jitter_and_in_order() {
        let (now, mut slow) = (Instant::now(), slow(Trouble::Delay { ms: 100, jitter_ms: 40 }));
        let mut late = Late::default();
        let dues: Vec<Instant> = (0..200).map(|_| slow.due(now, PIECE)).collect();
        assert!(dues.iter().all(|due| (ms(60)..=ms(140)).contains(&(*due - now))));
        assert!(dues.windows(2).any(|two| two[0] > two[1]), "it jitters");
        dues.iter().zip(0u8..).for_each(|(due, number)| late.push(*due, &[number]));
        let mut last = now;
        for number in 0..200 {
            let due = late.due().unwrap();
            assert!(due >= last);
            (last, _) = (due, assert_eq!(late.pop(), [number]));
        }
        assert!(late.is_empty() && late.due().is_none() && late.has_room());
        assert_eq!((slow.touched, slow.reads_at(now)), (200, now));
    }

    #[test]
    fn a_wire_takes_its_time_and_is_read_for_a_second_ahead() {
        let (now, mut slow) = (Instant::now(), slow(Trouble::Rate { kbit: 80 }));
        // 10,000 bytes a second, so 1,000 bytes take 100 ms.
        assert_eq!([slow.due(now, 1_000), slow.due(now, 1_000)], [now + ms(100), now + ms(200)]);
        assert_eq!(slow.due(now + ms(500), 1_000), now + ms(600));
        assert_eq!(slow.reads_at(now + ms(500)), now + ms(500));
        for _ in 0..20 {
            slow.due(now + ms(600), 1_000);
        }
        assert_eq!(slow.reads_at(now + ms(600)), now + ms(1_600));
        assert_eq!(slow.reads_at(now + ms(2_000)), now + ms(2_000));
    }

    #[test]
    fn room_is_bounded_and_nothing_waits_once_all_is_well() {
        let (now, mut late) = (Instant::now(), Late::default());
        while late.has_room() {
            late.push(now + ms(60_000), &[7; PIECE]);
        }
        assert!(late.bytes <= ROOM + PIECE);
        late.hurry(now);
        assert_eq!((late.due(), late.pop().len(), late.has_room()), (Some(now), PIECE, true));
    }

    #[test]
    fn what_would_break_a_stream_is_not_possible() {
        assert!(
            is_possible(Trouble::Delay { ms: 1, jitter_ms: 0 }) && is_possible(Trouble::Rate { kbit: 9 })
        );
        for trouble in [
            Trouble::Loss { percent: 1 },
            Trouble::Duplicate { percent: 1 },
            Trouble::Reorder { percent: 1, ms: 1 },
            Trouble::Corrupt { percent: 1 },
        ] {
            assert!(!is_possible(trouble), "{trouble:?}");
        }
    }
}
