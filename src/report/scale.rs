//! Axes: round steps, ticks, and numbers as people write them.

/// A linear axis from zero: its end and the distance of its ticks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Linear {
    /// The largest value shown.
    pub max: f64,
    /// From one tick to the next.
    pub step: f64,
}

impl Linear {
    /// An axis that holds `max` (at least `least`) with about `ticks` ticks, its end on a tick.
    pub fn holding(max: f64, least: f64, ticks: usize) -> Linear {
        let max = if max.is_finite() { max.max(least) } else { least };
        let step = round_up(max / ticks as f64);
        Linear { max: (max / step).ceil() * step, step }
    }

    /// An axis that ends exactly at `max`, its ticks at round places.
    pub fn until(max: f64, ticks: usize) -> Linear {
        let max = if max.is_finite() && max > 0.0 { max } else { 1.0 };
        Linear { max, step: round_up(max / ticks as f64) }
    }

    /// The values of the ticks.
    pub fn ticks(self) -> impl Iterator<Item = f64> {
        let count = (self.max / self.step * (1.0 + 1e-9)).floor() as u32;
        (0..=count).map(move |i| f64::from(i) * self.step)
    }

    /// Where a value stands, from 0 to 1.
    pub fn place(self, value: f64) -> f64 {
        (value / self.max).clamp(0.0, 1.0)
    }
}

/// A logarithmic axis of durations, from one power of ten to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decades {
    /// The exponent of its begin, in nanoseconds: 3 is a microsecond.
    pub low: i32,
    /// The exponent of its end.
    pub high: i32,
}

impl Decades {
    /// The narrowest axis that holds these nanoseconds with some room above the largest.
    pub fn holding(nanos: impl Iterator<Item = u64>) -> Decades {
        let (mut min, mut max) = (u64::MAX, 0);
        for n in nanos {
            min = min.min(n.max(1));
            max = max.max(n);
        }
        if max == 0 {
            return Decades { low: 5, high: 7 };
        }
        let low = (min as f64).log10().floor() as i32;
        let high = ((max as f64).log10() + 0.08).ceil() as i32;
        Decades { low, high: high.max(low + 1) }
    }

    /// Where so many nanoseconds stand, from 0 to 1.
    pub fn place(self, nanos: u64) -> f64 {
        let at = (nanos.max(1) as f64).log10();
        ((at - f64::from(self.low)) / f64::from(self.high - self.low)).clamp(0.0, 1.0)
    }

    /// The powers of ten on the axis, as nanoseconds and as text.
    pub fn ticks(self) -> impl Iterator<Item = (u64, String)> {
        (self.low..=self.high).map(|e| {
            let nanos = 10u64.saturating_pow(e.max(0) as u32);
            (nanos, duration(nanos))
        })
    }
}

/// The smallest of 1, 2, 5, 10… times a power of ten that is not less than `least`.
pub fn round_up(least: f64) -> f64 {
    if !(least.is_finite() && least > 0.0) {
        return 1.0;
    }
    let power = 10f64.powf(least.log10().floor());
    let factor = least / power;
    let round = [1.0, 2.0, 5.0].into_iter().find(|&r| factor <= r * (1.0 + 1e-9)).unwrap_or(10.0);
    round * power
}

/// Nanoseconds in the unit that fits: `870 ns`, `1.24 ms`, `12 s`.
pub fn duration(nanos: u64) -> String {
    let (unit, name) = match nanos {
        0..1_000 => (1.0, "ns"),
        1_000..1_000_000 => (1e3, "µs"),
        1_000_000..1_000_000_000 => (1e6, "ms"),
        _ => (1e9, "s"),
    };
    format!("{} {name}", plain(nanos as f64 / unit))
}

/// A time of the trial in seconds with milliseconds: `3.104 s`.
pub fn seconds(nanos: u64) -> String {
    format!("{:.3} s", nanos as f64 / 1e9)
}

/// A number with three significant digits and no trailing zeros; thousands apart.
pub fn plain(value: f64) -> String {
    let decimals = match value.abs() {
        v if v >= 100.0 => 0,
        v if v >= 10.0 => 1,
        v if v >= 1.0 => 2,
        _ => 3,
    };
    let text = format!("{value:.decimals$}");
    if decimals > 0 {
        return text.trim_end_matches('0').trim_end_matches('.').to_owned();
    }
    if value < 0.0 { text } else { count(value.round() as u64) }
}

/// A count with its thousands apart: `12,345`.
pub fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A count with its noun: `1 operation`, `2 operations`.
pub fn counted(n: u64, noun: &str) -> String {
    format!("{} {noun}{}", count(n), if n == 1 { "" } else { "s" })
}

/// A count with a noun whose plural is not regular: `1 process`, `2 processes`.
pub fn counted_as(n: u64, one: &str, many: &str) -> String {
    format!("{} {}", count(n), if n == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_as_people_write_them() {
        assert_eq!(duration(0), "0 ns");
        assert_eq!(duration(870), "870 ns");
        assert_eq!(duration(1_240_000), "1.24 ms");
        assert_eq!(duration(10_000_000), "10 ms");
        assert_eq!(duration(5_000_000_000_000), "5,000 s");
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(counted(1, "operation"), "1 operation");
        assert_eq!(seconds(3_104_212_000), "3.104 s");
    }

    #[test]
    fn an_axis_holds_its_largest_value_and_ends_on_a_tick() {
        for max in [0.0, 0.3, 1.0, 7.0, 99.0, 100.0, 12_345.0] {
            let axis = Linear::holding(max, 1.0, 4);
            let last = axis.ticks().last().expect("zero is a tick");
            assert!((last - axis.max).abs() < 1e-9 && axis.max >= max, "{max}: {axis:?}");
            assert!(axis.ticks().count() <= 6, "{max}: {axis:?}");
        }
    }

    #[test]
    fn a_logarithmic_axis_holds_what_it_was_made_for() {
        let axis = Decades::holding([1_200, 3_000_000_000].into_iter());
        assert_eq!(axis, Decades { low: 3, high: 10 });
        assert_eq!(Decades::holding([1_000_000_000].into_iter()), Decades { low: 9, high: 10 });
        assert!(axis.place(1_200) > 0.0 && axis.place(3_000_000_000) < 1.0);
        assert_eq!(Decades::holding(std::iter::empty()), Decades { low: 5, high: 7 });
        assert_eq!(Decades::holding([0, 0].into_iter()), Decades { low: 5, high: 7 });
        assert_eq!(Decades::holding([1_000].into_iter()), Decades { low: 3, high: 4 });
    }
}
