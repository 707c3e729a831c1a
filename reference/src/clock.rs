//! A node's clock, which can be made to lie.
//!
//! True nanoseconds go in, a [`Tick`] comes out. A node reads no other clock, so that jumps, strobing and
//! drift reach its elections, heartbeats and leases alike. True time only ever grows; what the clock shows
//! may jump back. All arithmetic is integer and saturates: whoever sets the clock may ask for anything.

use crate::protocol::Tick;

/// A million: the unit of rates is parts per million.
const MILLION: i128 = 1_000_000;

/// The fastest clock, in parts per million: a billion times as fast as time.
const RATE_MAX: i128 = 1_000_000_000 * MILLION;

/// How the clock lies: the reading is `true + offset`, and gains `rate_ppm` on true time since it was set.
/// The default is the truth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lie {
    /// Nanoseconds ahead of the true time.
    pub offset_ns: i64,
    /// Parts per million too fast. Below -1,000,000 counts as that: a clock that stands still. More than a
    /// billion times too fast counts as that.
    pub rate_ppm: i64,
    /// Milliseconds between jumps: the offset is shown for so long, then hidden for so long, and so on.
    /// 0 shows it always.
    pub strobe_ms: u64,
}

/// A clock that shows the truth until it is [set](Clock::set).
#[derive(Clone, Debug, Default)]
pub struct Clock {
    lie: Lie,
    /// The true time at which the lie began.
    since: u64,
}

impl Clock {
    /// A clock that shows the truth.
    pub fn new() -> Clock {
        Clock::default()
    }

    /// Begins another lie at the true time `now`; the former one leaves no trace.
    pub fn set(&mut self, lie: Lie, now: u64) {
        self.lie = lie;
        self.since = now;
    }

    /// What the clock shows at the true time `now`.
    pub fn read(&self, now: u64) -> Tick {
        Tick(self.exact(now).div_euclid(MILLION).clamp(0, u64::MAX.into()) as u64)
    }

    /// How far ahead of the true time the clock is at `now`, in nanoseconds.
    pub fn offset(&self, now: u64) -> i64 {
        let ahead = i128::from(self.read(now).0) - i128::from(now);
        ahead.clamp(i64::MIN.into(), i64::MAX.into()) as i64
    }

    /// How many true nanoseconds after `now` one should look whether the clock shows `at`; 0 if it does.
    ///
    /// When the clock is steady it shows `at` exactly then. When it strobes the answer may be earlier (the next
    /// jump): look again. A clock that stands still never shows more: `u64::MAX`.
    pub fn wait(&self, at: Tick, now: u64) -> u64 {
        if self.read(now) >= at {
            return 0;
        }
        // The reading is at least the exact one, and short of `at`, so what is missing is positive.
        let missing = i128::from(at.0) * MILLION - self.exact(now);
        let speed = MILLION + self.rate();
        let wait = if speed == 0 { i128::MAX } else { (missing + speed - 1) / speed };
        let wait = wait.min(u64::MAX.into()) as u64;
        wait.min(self.next_jump(now).unwrap_or(u64::MAX)).max(1)
    }

    /// The reading in millionths of a nanosecond, before it is confined to what a [`Tick`] can hold. Below 2^115
    /// whatever was asked for, so nothing here overflows.
    fn exact(&self, now: u64) -> i128 {
        let elapsed = i128::from(now.saturating_sub(self.since));
        let offset = if self.shows_offset(now) { i128::from(self.lie.offset_ns) } else { 0 };
        (i128::from(now) + offset) * MILLION + elapsed * self.rate()
    }

    fn rate(&self) -> i128 {
        i128::from(self.lie.rate_ppm).clamp(-MILLION, RATE_MAX)
    }

    fn period(&self) -> u64 {
        self.lie.strobe_ms.saturating_mul(1_000_000)
    }

    fn shows_offset(&self, now: u64) -> bool {
        let elapsed = now.saturating_sub(self.since);
        elapsed.checked_div(self.period()).is_none_or(|turn| turn % 2 == 0)
    }

    /// True nanoseconds from `now` to the next jump of a strobing clock.
    fn next_jump(&self, now: u64) -> Option<u64> {
        let elapsed = now.saturating_sub(self.since);
        elapsed.checked_rem(self.period()).map(|into| self.period() - into)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use elenchus_core::random::{Rng, Seed};

    const SECOND: u64 = 1_000_000_000;

    fn lying(lie: Lie, since: u64) -> Clock {
        let mut clock = Clock::new();
        clock.set(lie, since);
        clock
    }

    #[test]
    fn a_clock_that_was_never_set_tells_the_truth() {
        let clock = Clock::new();
        for now in [0, 1, SECOND, u64::MAX] {
            assert_eq!((clock.read(now), clock.offset(now)), (Tick(now), 0));
        }
        assert_eq!(clock.wait(Tick(50), 20), 30);
        assert_eq!(clock.wait(Tick(20), 20), 0);
    }

    #[test]
    fn a_bump_jumps_at_once_and_stays() {
        let clock = lying(Lie { offset_ns: -3, ..Lie::default() }, 10);
        assert_eq!((clock.read(10), clock.read(1000)), (Tick(7), Tick(997)));
        assert_eq!(clock.offset(500), -3);
        assert_eq!(clock.wait(Tick(500), 100), 403);
    }

    #[test]
    fn a_clock_never_shows_less_than_zero() {
        let clock = lying(Lie { offset_ns: -100, ..Lie::default() }, 10);
        assert_eq!(clock.read(20), Tick(0));
        assert_eq!(clock.offset(20), -20);
        assert_eq!(clock.wait(Tick(5), 20), 85, "it stands at zero until the truth has caught up");
        assert_eq!(clock.read(105), Tick(5));
    }

    #[test]
    fn a_drifting_clock_gains_from_when_it_was_set() {
        let fast = lying(Lie { rate_ppm: 500_000, ..Lie::default() }, 100);
        assert_eq!((fast.read(100), fast.read(300)), (Tick(100), Tick(400)));
        assert_eq!(fast.wait(Tick(400), 100), 200);
        let slow = lying(Lie { rate_ppm: -500_000, ..Lie::default() }, 100);
        assert_eq!(slow.read(300), Tick(200));
        assert_eq!(slow.wait(Tick(200), 100), 200);
    }

    #[test]
    fn a_clock_that_stands_still_never_gets_there() {
        for rate_ppm in [-1_000_000, -2_000_000, i64::MIN] {
            let clock = lying(Lie { rate_ppm, ..Lie::default() }, 100);
            assert_eq!(clock.read(u64::MAX), Tick(100));
            assert_eq!(clock.wait(Tick(101), 5000), u64::MAX);
        }
    }

    #[test]
    fn a_strobing_clock_jumps_to_and_fro() {
        let clock = lying(Lie { offset_ns: 1000, strobe_ms: 2, ..Lie::default() }, 0);
        let ms = 1_000_000;
        for (now, offset) in [(0, 1000), (2 * ms - 1, 1000), (2 * ms, 0), (4 * ms - 1, 0), (4 * ms, 1000)] {
            assert_eq!(clock.offset(now), offset, "at {now}");
        }
        assert_eq!(clock.wait(Tick(SECOND), ms), ms, "the wait ends at the next jump");
    }

    #[test]
    fn setting_to_the_truth_leaves_no_trace() {
        let mut clock = lying(Lie { offset_ns: 77, rate_ppm: 9, strobe_ms: 3 }, 5);
        clock.set(Lie::default(), 50);
        assert_eq!((clock.read(60), clock.offset(60)), (Tick(60), 0));
    }

    /// Numbers of every size, the extremes among them.
    fn any(rng: &mut Rng) -> u64 {
        match rng.below(8) {
            0 => 0,
            1 => u64::MAX,
            2 => i64::MAX as u64,
            3 => i64::MIN as u64,
            _ => rng.next_u64() >> rng.below(64),
        }
    }

    #[test]
    fn waiting_as_told_is_enough_and_never_too_long_whatever_the_lie() {
        let mut rng = Seed(3).stream("clock").rng();
        for _ in 0..20_000 {
            let negate =
                |n: u64, rng: &mut Rng| if rng.chance(1, 2) { n as i64 } else { (n as i64).wrapping_neg() };
            let (offset, rate) = (any(&mut rng), any(&mut rng));
            let lie = Lie {
                offset_ns: negate(offset, &mut rng),
                rate_ppm: negate(rate, &mut rng),
                strobe_ms: any(&mut rng) * rng.below(2),
            };
            let clock = lying(lie, any(&mut rng));
            let (now, at) = (any(&mut rng), Tick(any(&mut rng)));
            let wait = clock.wait(at, now);
            assert_eq!(wait == 0, clock.read(now) >= at);
            if wait == 0 || wait == u64::MAX || now.checked_add(wait).is_none() || now < clock.since {
                continue;
            }
            let jumped = clock.next_jump(now).is_some_and(|jump| wait >= jump);
            assert!(clock.read(now + wait) >= at || jumped, "{clock:?} waits {wait} from {now} for {at:?}");
            assert!(clock.read(now + wait - 1) < at, "{clock:?} waits too long from {now} for {at:?}");
        }
    }
}
