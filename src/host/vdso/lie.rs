//! How a clock lies, as numbers that a few machine instructions can work with.
//!
//! What is shown is the true time, plus a jump (always, or in every other period), plus what a drift has come
//! to since the lie began. A rate is a fixed-point number with 32 binary places, so that no division can
//! overflow inside somebody else's process.

use elenchus_core::fault::Skew;

/// A lie about the time. The default is the truth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lie {
    /// Nanoseconds that the clock jumps ahead.
    pub offset_ns: i64,
    /// How much time it gains per time, times 2^32.
    pub rate: i64,
    /// The true time at which the lie began, nanoseconds since 1970.
    pub base_ns: i64,
    /// Nanoseconds for which a strobing clock shows its offset, and then hides it; 0: it shows it always.
    pub period_ns: u64,
}

/// Asked for more than a clock can show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a clock lies by at most a hundred years and a thousandfold speed")]
pub struct TooMuch;

/// A hundred years: with today's time far from the end of 64 bits.
const OFFSET_MS_MAX: u64 = 100 * 365 * 86_400_000;
/// A thousand times as fast as time.
const RATE_PPM_MAX: i64 = 1_000_000_000;
/// A clock that stands still. It never runs backwards, as no clock in hardware does.
const RATE_PPM_MIN: i64 = -MILLION;
const MILLION: i64 = 1_000_000;

impl Lie {
    /// The lie that begins at this true time, in nanoseconds since 1970.
    pub fn new(skew: Skew, now_ns: i64) -> Result<Lie, TooMuch> {
        let lie = Lie { base_ns: now_ns, ..Lie::default() };
        match skew {
            Skew::Bump { delta_ms } => Ok(Lie { offset_ns: nanoseconds(delta_ms)?, ..lie }),
            Skew::Strobe { delta_ms, period_ms } => {
                let period_ns = period_ms.max(1).saturating_mul(MILLION as u64);
                Ok(Lie { offset_ns: nanoseconds(delta_ms)?, period_ns, ..lie })
            }
            Skew::Drift { rate_ppm } if rate_ppm > RATE_PPM_MAX => Err(TooMuch),
            Skew::Drift { rate_ppm } => {
                let rate = (i128::from(rate_ppm.max(RATE_PPM_MIN)) << 32) / i128::from(MILLION);
                Ok(Lie { rate: rate as i64, ..lie })
            }
        }
    }

    /// Whether it is none.
    pub fn is_truth(&self) -> bool {
        self.offset_ns == 0 && self.rate == 0
    }

    /// How far ahead of the true time the clock shows to be at this true time: what the stub computes.
    #[cfg(test)]
    pub fn ahead(&self, now_ns: i64) -> i64 {
        let elapsed = (now_ns - self.base_ns).max(0);
        let drift = ((i128::from(elapsed) * i128::from(self.rate)) >> 32) as i64;
        let turn = (elapsed as u64).checked_div(self.period_ns).unwrap_or(0);
        drift + if turn.is_multiple_of(2) { self.offset_ns } else { 0 }
    }
}

fn nanoseconds(ms: i64) -> Result<i64, TooMuch> {
    if ms.unsigned_abs() > OFFSET_MS_MAX { Err(TooMuch) } else { Ok(ms * MILLION) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_800_000_000_000_000_000;
    const SECOND: i64 = 1_000_000_000;

    fn lie(skew: Skew) -> Lie {
        Lie::new(skew, NOW).expect("within bounds")
    }

    #[test]
    fn a_bump_stays() {
        let lie = lie(Skew::Bump { delta_ms: -60_000 });
        assert_eq!([NOW - 5, NOW, NOW + 3 * SECOND].map(|now| lie.ahead(now)), [-60 * SECOND; 3]);
    }

    #[test]
    fn a_strobe_shows_its_offset_in_every_other_period_beginning_with_the_first() {
        let lie = lie(Skew::Strobe { delta_ms: 7, period_ms: 100 });
        let shown = [0, 99, 100, 199, 200].map(|ms| lie.ahead(NOW + ms * MILLION) / MILLION);
        assert_eq!(shown, [7, 7, 0, 0, 7]);
        assert_eq!(Lie::new(Skew::Strobe { delta_ms: 7, period_ms: 0 }, NOW).unwrap().period_ns, 1_000_000);
    }

    #[test]
    fn a_drift_gains_as_asked_and_never_runs_backwards() {
        let after = |rate_ppm, seconds: i64| lie(Skew::Drift { rate_ppm }).ahead(NOW + seconds * SECOND);
        assert_eq!(after(500_000, 10), 5 * SECOND);
        assert_eq!(after(-1_000_000, 3_600), -3_600 * SECOND);
        assert_eq!(after(i64::MIN, 1), -SECOND, "it stands still");
        assert!((after(100, 10) - MILLION).abs() < 10, "a rate is exact to a few billionths");
    }

    #[test]
    fn what_no_clock_could_show_is_refused() {
        for skew in [
            Skew::Bump { delta_ms: i64::MIN },
            Skew::Bump { delta_ms: i64::MAX },
            Skew::Strobe { delta_ms: 1 << 50, period_ms: 1 },
            Skew::Drift { rate_ppm: i64::MAX },
        ] {
            assert_eq!(Lie::new(skew, NOW), Err(TooMuch), "{skew:?}");
        }
        assert!(!lie(Skew::Strobe { delta_ms: 1, period_ms: u64::MAX }).is_truth());
        assert!(lie(Skew::Bump { delta_ms: 0 }).is_truth());
    }
}
