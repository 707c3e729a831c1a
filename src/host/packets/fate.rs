//! What becomes of each packet that is in trouble: a pure function of the trouble, the time and chance.
//!
//! Delay keeps the order of what one sender sends, as cables and routers do, however its jitter falls; only
//! the trouble named after it changes the order. A limited rate is a wire that all senders share: a packet
//! takes the time that its bytes need, waits for those before it, and is dropped where too much waits.

use elenchus_core::fault::Trouble;
use elenchus_core::random::Rng;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

/// How much may wait before a wire of limited rate, in time and at least in bytes.
const BACKLOG: Duration = Duration::from_secs(1);
const BACKLOG_BYTES: usize = 8 << 10;

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It goes on as if nothing were.
    Pass,
    /// It goes on at this time.
    Wait(Duration),
    /// It never arrives.
    Drop,
    /// It arrives twice.
    Twice,
    /// It arrives with a bit flipped.
    Flip,
}

/// Decides on one packet after the other.
#[derive(Debug)]
pub(super) struct Fates {
    trouble: Trouble,
    rng: Rng,
    /// When the last delayed packet of each sender goes on.
    last: BTreeMap<Ipv4Addr, Duration>,
    /// When the wire of limited rate is free again.
    free: Duration,
}

impl Fates {
    /// The fates that this trouble deals out.
    pub fn new(trouble: Trouble, rng: Rng) -> Fates {
        Fates { trouble, rng, last: BTreeMap::new(), free: Duration::ZERO }
    }

    /// Whether it needs to see more of a packet than its header.
    pub fn needs_all(trouble: Trouble) -> bool {
        matches!(trouble, Trouble::Duplicate { .. } | Trouble::Corrupt { .. })
    }

    /// The fate of a packet of so many bytes that came from `source` just now. Times only grow.
    pub fn of(&mut self, now: Duration, source: Ipv4Addr, bytes: usize) -> Fate {
        match self.trouble {
            Trouble::Delay { ms, jitter_ms } => {
                let least = Duration::from_millis(ms.saturating_sub(jitter_ms));
                let wait = self.rng.duration(least, Duration::from_millis(ms.saturating_add(jitter_ms)));
                let last = self.last.entry(source).or_default();
                *last = (now + wait).max(*last);
                Fate::Wait(*last)
            }
            Trouble::Loss { percent } => self.perhaps(percent, Fate::Drop),
            Trouble::Duplicate { percent } => self.perhaps(percent, Fate::Twice),
            Trouble::Reorder { percent, ms } => {
                self.perhaps(percent, Fate::Wait(now + Duration::from_millis(ms)))
            }
            Trouble::Corrupt { percent } => self.perhaps(percent, Fate::Flip),
            Trouble::Rate { kbit } => self.carry(now, bytes, kbit.max(1)),
        }
    }

    fn perhaps(&mut self, percent: u8, fate: Fate) -> Fate {
        if self.rng.chance(percent.into(), 100) { fate } else { Fate::Pass }
    }

    fn carry(&mut self, now: Duration, bytes: usize, kbit: u64) -> Fate {
        let begins = self.free.max(now);
        if begins - now > BACKLOG.max(takes(BACKLOG_BYTES, kbit)) {
            return Fate::Drop;
        }
        self.free = begins + takes(bytes, kbit);
        Fate::Wait(self.free)
    }

    /// Draws a bit, a packet's length, whatever else must be left to chance.
    pub fn rng(&mut self) -> &mut Rng {
        &mut self.rng
    }
}

/// How long so many bytes take on a wire of this rate.
fn takes(bytes: usize, kbit: u64) -> Duration {
    Duration::from_nanos(bytes as u64 * 8 * 1_000_000 / kbit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use elenchus_core::random::Seed;

    const A: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
    const B: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 2);

    fn fates(trouble: Trouble) -> Fates {
        Fates::new(trouble, Seed(11).rng())
    }

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// The fates of 10,000 packets, one each millisecond.
    fn many(trouble: Trouble) -> Vec<(Duration, Fate)> {
        let mut fates = fates(trouble);
        (0..10_000).map(|i| (ms(i), fates.of(ms(i), A, 1_000))).collect()
    }

    #[track_caller]
    fn share(trouble: Trouble, fate: impl Fn(Duration) -> Fate) -> f64 {
        let all = many(trouble);
        assert!(all.iter().all(|(now, f)| *f == Fate::Pass || *f == fate(*now)), "{trouble:?}");
        all.iter().filter(|(_, f)| *f != Fate::Pass).count() as f64 / all.len() as f64
    }

    #[test]
    fn shares_are_as_asked() {
        for percent in [1, 30, 99] {
            let expect = f64::from(percent) / 100.0;
            for share in [
                share(Trouble::Loss { percent }, |_| Fate::Drop),
                share(Trouble::Duplicate { percent }, |_| Fate::Twice),
                share(Trouble::Corrupt { percent }, |_| Fate::Flip),
                share(Trouble::Reorder { percent, ms: 40 }, |now| Fate::Wait(now + ms(40))),
            ] {
                assert!((share - expect).abs() < 0.02, "{share} instead of {expect}");
            }
        }
        assert_eq!(share(Trouble::Loss { percent: 0 }, |_| Fate::Drop), 0.0);
        assert_eq!(share(Trouble::Loss { percent: 100 }, |_| Fate::Drop), 1.0);
    }

    #[test]
    fn a_delay_is_at_least_what_was_asked_and_keeps_the_order() {
        let all = many(Trouble::Delay { ms: 60, jitter_ms: 10 });
        let waits: Vec<Duration> = all
            .iter()
            .map(|(now, fate)| match fate {
                Fate::Wait(until) => *until - *now,
                other => panic!("{other:?}"),
            })
            .collect();
        assert!(waits.iter().all(|wait| (ms(50)..=ms(70)).contains(wait)));
        assert!(waits.iter().any(|wait| *wait > ms(65)) && waits.iter().any(|wait| *wait < ms(60)));
        let ends: Vec<Duration> = all.iter().zip(&waits).map(|((now, _), wait)| *now + *wait).collect();
        assert!(ends.is_sorted());
    }

    #[test]
    fn delayed_senders_do_not_wait_for_each_other() {
        let mut fates = fates(Trouble::Delay { ms: 500, jitter_ms: 500 });
        let far = (0..50).map(|_| fates.of(ms(0), A, 100)).last();
        let Some(Fate::Wait(far)) = far else { panic!("{far:?}") };
        assert!(far > ms(900));
        assert!(matches!(fates.of(ms(0), B, 100), Fate::Wait(near) if near < far));
    }

    #[test]
    fn a_limited_rate_takes_its_time_and_drops_what_piles_up() {
        let mut fates = fates(Trouble::Rate { kbit: 80 });
        // 10,000 bytes a second, so 1,000 bytes take 100 ms.
        assert_eq!(fates.of(ms(0), A, 1_000), Fate::Wait(ms(100)));
        assert_eq!(fates.of(ms(0), B, 1_000), Fate::Wait(ms(200)));
        assert_eq!(fates.of(ms(500), A, 1_000), Fate::Wait(ms(600)));
        let burst: Vec<Fate> = (0..100).map(|_| fates.of(ms(500), A, 1_000)).collect();
        let dropped = burst.iter().filter(|fate| **fate == Fate::Drop).count();
        assert!((85..95).contains(&dropped), "{dropped} of 100");
        assert_eq!(fates.of(ms(5_000), A, 1_000), Fate::Wait(ms(5_100)));
    }

    #[test]
    fn the_slowest_rate_still_carries_packets() {
        for kbit in [0, 1] {
            let mut fates = fates(Trouble::Rate { kbit });
            let carried = (0..20).filter(|_| fates.of(ms(0), A, 1_500) != Fate::Drop).count();
            assert!((5..10).contains(&carried), "{carried} of 20 at {kbit} kbit/s");
        }
    }

    #[test]
    fn the_same_seed_deals_the_same_fates() {
        let trouble = Trouble::Reorder { percent: 30, ms: 5 };
        assert_eq!(many(trouble), many(trouble));
    }
}
