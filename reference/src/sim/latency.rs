//! How long things take: distributions in whole nanoseconds, without floating point, so that every machine draws
//! the same.

use elenchus_core::random::Rng;
use serde::{Deserialize, Serialize};

/// How long a message or a sync takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Latency {
    /// Always the same.
    Constant {
        /// Microseconds.
        us: u64,
    },
    /// Each duration between two with the same chance.
    Uniform {
        /// The least, in microseconds.
        min_us: u64,
        /// The most.
        max_us: u64,
    },
    /// A least duration, and a memoryless one on top.
    Exponential {
        /// The least, in microseconds.
        min_us: u64,
        /// The mean of what comes on top.
        mean_us: u64,
    },
    /// Mostly short, sometimes very long: a draw exceeds `x` with probability `(min / x)^shape`.
    Pareto {
        /// The least, in microseconds.
        min_us: u64,
        /// The shape, in tenths: 15 is 1.5. The smaller, the heavier the tail.
        shape_tenths: u64,
        /// Longer draws count as this, in microseconds.
        max_us: u64,
    },
}

/// 1 in fixed point with 32 binary places.
const ONE: u64 = 1 << 32;
/// The natural logarithm of 2 in the same.
const LN_2: u64 = 2_977_044_472;

impl Latency {
    /// A duration, in nanoseconds.
    pub fn draw(self, rng: &mut Rng) -> u64 {
        let ns = |us: u64| us.saturating_mul(1_000);
        match self {
            Latency::Constant { us } => ns(us),
            Latency::Uniform { min_us, max_us } => rng.between(ns(min_us), ns(max_us).max(ns(min_us))),
            Latency::Exponential { min_us, mean_us } => {
                let surprise = (u128::from(surprise(rng)) * u128::from(LN_2)) >> 32;
                let above = (u128::from(ns(mean_us)) * surprise) >> 32;
                ns(min_us).saturating_add(u64::try_from(above).unwrap_or(u64::MAX))
            }
            Latency::Pareto { min_us, shape_tenths, max_us } => {
                let exponent = surprise(rng).saturating_mul(10) / shape_tenths.max(1);
                let drawn = u128::from(ns(min_us)).saturating_mul(power_of_two(exponent)) >> 32;
                u64::try_from(drawn).unwrap_or(u64::MAX).min(ns(max_us))
            }
        }
    }

    /// Whether a draw can be made that makes sense.
    pub fn check(self) -> Result<(), &'static str> {
        match self {
            Latency::Uniform { min_us, max_us } | Latency::Pareto { min_us, max_us, .. }
                if min_us > max_us =>
            {
                Err("its least is more than its most")
            }
            Latency::Pareto { shape_tenths: 0, .. } => Err("its shape is at least 1 tenth"),
            _ => Ok(()),
        }
    }
}

/// `-log2` of a number drawn evenly from (0, 1), in fixed point: below 64.
fn surprise(rng: &mut Rng) -> u64 {
    let drawn = rng.next_u64() | 1;
    let zeros = u64::from(drawn.leading_zeros());
    // The mantissa is in [1, 2) with 62 places, so that its square fits 128 bits; each squaring gives a bit.
    let mut mantissa = u128::from(drawn << zeros) >> 1;
    let mut fraction = 0;
    for _ in 0..32 {
        mantissa = (mantissa * mantissa) >> 62;
        fraction <<= 1;
        if mantissa >= 1 << 63 {
            fraction |= 1;
            mantissa >>= 1;
        }
    }
    // The number is 2^(63 - zeros) · mantissa of 2^64.
    (zeros + 1) * ONE - fraction
}

/// 2 to the power of a fixed-point number, in fixed point; saturates.
fn power_of_two(exponent: u64) -> u128 {
    let whole = exponent >> 32;
    if whole >= 60 {
        return u128::MAX >> 32;
    }
    let mut result = u128::from(ONE);
    let mut root = u128::from(2 * ONE);
    for place in (0..32).rev() {
        // The square root of what the place before stood for.
        root = (root << 32).isqrt();
        if (exponent >> place) & 1 == 1 {
            result = (result * root) >> 32;
        }
    }
    result << whole
}

#[cfg(test)]
mod tests {
    use super::*;
    use elenchus_core::random::Seed;

    fn draws(latency: Latency) -> Vec<u64> {
        let mut rng = Seed(1).rng();
        let mut draws: Vec<u64> = (0..20_000).map(|_| latency.draw(&mut rng)).collect();
        draws.sort_unstable();
        draws
    }

    #[test]
    fn powers_and_logarithms_in_fixed_point_are_what_they_should_be() {
        for (exponent, expected) in [(0.0, 1.0), (0.5, 2f64.sqrt()), (1.0, 2.0), (3.25, 2f64.powf(3.25))] {
            let got = power_of_two((exponent * ONE as f64) as u64) as f64 / ONE as f64;
            assert!((got - expected).abs() < 1e-6 * expected, "2^{exponent} is {expected}, not {got}");
        }
        let mut rng = Seed(5).rng();
        for _ in 0..1_000 {
            let mut same = rng.clone();
            let expected = -((rng.next_u64() | 1) as f64 / 2f64.powi(64)).log2();
            let got = surprise(&mut same) as f64 / ONE as f64;
            assert!((got - expected).abs() < 1e-6, "{expected} {got}");
        }
    }

    #[test]
    fn an_exponential_has_its_mean_and_its_half_life() {
        let draws = draws(Latency::Exponential { min_us: 100, mean_us: 1_000 });
        let mean = draws.iter().sum::<u64>() / draws.len() as u64;
        assert!((1_070_000..1_130_000).contains(&mean), "{mean}");
        let median = draws[draws.len() / 2];
        assert!((770_000..815_000).contains(&median), "100 µs + 693 µs, not {median}");
        assert!(draws[0] >= 100_000);
    }

    #[test]
    fn a_pareto_has_its_tail() {
        let draws = draws(Latency::Pareto { min_us: 100, shape_tenths: 10, max_us: 5_000_000 });
        let above = |ns: u64| draws.iter().filter(|&&draw| draw > ns).count();
        assert_eq!(above(99_999), draws.len());
        assert!((9_500..10_500).contains(&above(200_000)), "half are above twice the least");
        assert!((170..230).contains(&above(10_000_000)), "a hundredth is above a hundred times the least");
        assert!(*draws.last().unwrap() <= 5_000_000_000);
    }

    #[test]
    fn a_seed_draws_the_same_on_every_machine() {
        let mut rng = Seed(42).rng();
        let latency = Latency::Exponential { min_us: 10, mean_us: 1_000 };
        assert_eq!([(); 3].map(|()| latency.draw(&mut rng)), FIRST_DRAWS);
    }

    const FIRST_DRAWS: [u64; 3] = [308_992, 1_843_141, 1_287_974];

    #[test]
    fn constants_and_uniforms_stay_in_their_bounds() {
        assert!(draws(Latency::Constant { us: 7 }).iter().all(|&draw| draw == 7_000));
        let uniform = draws(Latency::Uniform { min_us: 5, max_us: 6 });
        assert!(uniform[0] >= 5_000 && *uniform.last().unwrap() <= 6_000);
        assert!(Latency::Uniform { min_us: 6, max_us: 5 }.check().is_err());
        assert_eq!(Latency::Uniform { min_us: 6, max_us: 5 }.draw(&mut Seed(1).rng()), 6_000);
    }
}
