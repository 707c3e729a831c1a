//! The only source of chance: seeds split into named streams.
//!
//! Every choice is drawn from hash(seed, stream), so that a change in one stream (one more fault, one
//! client less) leaves the others alone. The generator is SplitMix64 (Steele, Lea, Flood, OOPSLA 2014),
//! written out here because a seed printed today must mean the same in every later version.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Names one reproducible universe of choices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Seed(pub u64);

impl Seed {
    /// The seed of the stream `name`, independent of all other streams of this seed.
    pub fn stream(self, name: &str) -> Seed {
        let mut hash = mix(self.0 ^ 0x9e37_79b9_7f4a_7c15);
        for byte in name.bytes() {
            hash = mix(hash ^ u64::from(byte)).wrapping_add(0x9e37_79b9_7f4a_7c15);
        }
        Seed(mix(hash ^ name.len() as u64))
    }

    /// The seed of the `n`th member of a family, a trial of a campaign for one.
    pub fn nth(self, n: u64) -> Seed {
        Seed(mix(mix(self.0 ^ 0x2545_f491_4f6c_dd1d).wrapping_add(n)))
    }

    /// A generator that starts here.
    pub fn rng(self) -> Rng {
        Rng { state: self.0 }
    }
}

/// A small, fast, portable random generator: SplitMix64.
#[derive(Clone, Debug)]
pub struct Rng {
    state: u64,
}

impl Rng {
    /// The next 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.state)
    }

    /// A number in `0..bound`, without bias worth speaking of (multiply-shift, Lemire 2019).
    ///
    /// # Panics
    /// When `bound` is 0: there is nothing to choose from.
    pub fn below(&mut self, bound: u64) -> u64 {
        assert!(bound > 0, "cannot choose from nothing");
        ((u128::from(self.next_u64()) * u128::from(bound)) >> 64) as u64
    }

    /// A number in `low..=high`.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        assert!(low <= high, "empty range {low}..={high}");
        match (high - low).checked_add(1) {
            Some(width) => low + self.below(width),
            None => self.next_u64(),
        }
    }

    /// True with probability `numerator / denominator`.
    pub fn chance(&mut self, numerator: u64, denominator: u64) -> bool {
        self.below(denominator) < numerator
    }

    /// A duration in `low..=high`.
    pub fn duration(&mut self, low: Duration, high: Duration) -> Duration {
        let nanos = |d: Duration| u64::try_from(d.as_nanos()).unwrap_or(u64::MAX);
        Duration::from_nanos(self.between(nanos(low), nanos(high)))
    }

    /// One of `items`.
    ///
    /// # Panics
    /// When `items` is empty.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len() as u64) as usize]
    }

    /// Puts `items` in random order (Fisher-Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i as u64 + 1) as usize);
        }
    }
}

/// The finalizer of SplitMix64: a bijection that scatters all bits.
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_means_the_same_for_ever() {
        let mut rng = Seed(42).stream("clients").rng();
        let drawn: Vec<u64> = (0..3).map(|_| rng.next_u64()).collect();
        let mut again = Seed(42).stream("clients").rng();
        assert_eq!(drawn, (0..3).map(|_| again.next_u64()).collect::<Vec<_>>());
        // SplitMix64's published first output for state 0.
        assert_eq!(Seed(0).rng().next_u64(), 0xe220_a839_7b1d_cdaf);
    }

    #[test]
    fn streams_and_members_differ() {
        let seeds = [
            Seed(1),
            Seed(1).stream("a"),
            Seed(1).stream("b"),
            Seed(1).nth(0),
            Seed(1).nth(1),
            Seed(2).nth(0),
        ];
        for (i, a) in seeds.iter().enumerate() {
            for b in &seeds[i + 1..] {
                assert_ne!(a, b);
            }
        }
    }

    #[test]
    fn choices_stay_in_their_range() {
        let mut rng = Seed(7).rng();
        for _ in 0..10_000 {
            assert!(rng.below(3) < 3);
            assert!((5..=9).contains(&rng.between(5, 9)));
        }
        let mut items: Vec<u32> = (0..20).collect();
        rng.shuffle(&mut items);
        items.sort_unstable();
        assert_eq!(items, (0..20).collect::<Vec<_>>());
    }
}
