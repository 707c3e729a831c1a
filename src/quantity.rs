//! Quantities as people write them: `20s`, `2GiB`, `3n`.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// A duration as text: a number with a unit, `500ms`, `20s`, `1.5m`, `2h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub Duration);

/// A number of bytes as text: `65536`, `64KiB`, `512MiB`, `2GiB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bytes(pub usize);

/// How many operations may be open at once: a number, or a multiple of the nodes (`2n`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Concurrency {
    /// So many in all.
    Fixed(u32),
    /// So many a node.
    PerNode(u32),
}

impl Concurrency {
    /// The number for a cluster of `nodes`.
    pub fn of(self, nodes: u32) -> u32 {
        match self {
            Concurrency::Fixed(n) => n,
            Concurrency::PerNode(n) => n.saturating_mul(nodes),
        }
    }
}

/// Splits `12.5ms` into its number and its unit.
fn split(text: &str) -> (&str, &str) {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    (&text[..end], text[end..].trim_start())
}

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Span, String> {
        let expected =
            || format!("`{text}` is no duration: write a number and a unit, as in 500ms, 20s, 2m, 1h");
        let (number, unit) = split(text);
        let number: f64 = number.parse().map_err(|_| expected())?;
        let seconds = match unit {
            "ns" => number * 1e-9,
            "us" | "µs" => number * 1e-6,
            "ms" => number * 1e-3,
            "s" => number,
            "m" | "min" => number * 60.0,
            "h" => number * 3600.0,
            _ => return Err(expected()),
        };
        // A day bounds every trial; beyond it, arithmetic on deadlines would have to be defended.
        if !(0.0..=86_400.0).contains(&seconds) {
            return Err(format!("`{text}` is too long: a trial and its parts last a day at most"));
        }
        Ok(Span(Duration::from_secs_f64(seconds)))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.0.as_nanos();
        match nanos {
            n if n % 1_000_000_000 == 0 => write!(f, "{}s", n / 1_000_000_000),
            n if n % 1_000_000 == 0 => write!(f, "{}ms", n / 1_000_000),
            n if n % 1_000 == 0 => write!(f, "{}us", n / 1_000),
            n => write!(f, "{n}ns"),
        }
    }
}

impl FromStr for Bytes {
    type Err = String;

    fn from_str(text: &str) -> Result<Bytes, String> {
        let expected =
            || format!("`{text}` is no size: write bytes or a unit, as in 65536, 64KiB, 512MiB, 2GiB");
        let (number, unit) = split(text);
        let number: f64 = number.parse().map_err(|_| expected())?;
        let scale: u64 = match unit {
            "" | "B" => 1,
            "KiB" => 1 << 10,
            "MiB" => 1 << 20,
            "GiB" => 1 << 30,
            "KB" | "kB" => 1_000,
            "MB" => 1_000_000,
            "GB" => 1_000_000_000,
            _ => return Err(expected()),
        };
        let bytes = number * scale as f64;
        if bytes > (1u64 << 53) as f64 {
            return Err(format!("`{text}` is more memory than there is"));
        }
        Ok(Bytes(bytes as usize))
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            n if n >= 1 << 30 && n % (1 << 30) == 0 => write!(f, "{}GiB", n >> 30),
            n if n >= 1 << 20 && n % (1 << 20) == 0 => write!(f, "{}MiB", n >> 20),
            n if n >= 1 << 10 && n % (1 << 10) == 0 => write!(f, "{}KiB", n >> 10),
            n => write!(f, "{n}"),
        }
    }
}

impl FromStr for Concurrency {
    type Err = String;

    fn from_str(text: &str) -> Result<Concurrency, String> {
        let expected =
            || format!("`{text}` is no concurrency: write a number, or a multiple of the nodes as in 2n");
        let (digits, make): (&str, fn(u32) -> Concurrency) = match text.trim().strip_suffix('n') {
            Some(digits) => (digits, Concurrency::PerNode),
            None => (text.trim(), Concurrency::Fixed),
        };
        match digits.parse() {
            Ok(0) => Err("a concurrency of 0 would do nothing".into()),
            Ok(n) => Ok(make(n)),
            Err(_) => Err(expected()),
        }
    }
}

impl fmt::Display for Concurrency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Concurrency::Fixed(n) => write!(f, "{n}"),
            Concurrency::PerNode(n) => write!(f, "{n}n"),
        }
    }
}

/// Reads and writes a quantity as its text.
macro_rules! as_text {
    ($($name:ident),*) => {$(
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<$name, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
            }
        }
    )*};
}

as_text!(Span, Bytes);

impl Serialize for Concurrency {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A bare number is a concurrency too: `concurrency = 20` and `concurrency = "4n"` both read well.
impl<'de> Deserialize<'de> for Concurrency {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Concurrency, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Concurrency;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number, or a multiple of the nodes as in \"2n\"")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Concurrency, E> {
                text.parse().map_err(E::custom)
            }
            fn visit_u64<E: de::Error>(self, n: u64) -> Result<Concurrency, E> {
                n.to_string().parse().map_err(E::custom)
            }
            fn visit_i64<E: de::Error>(self, n: i64) -> Result<Concurrency, E> {
                n.to_string().parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_read_as_people_write_them_and_print_back() {
        for (text, ms) in [("500ms", 500), ("20s", 20_000), ("1.5m", 90_000), ("2h", 7_200_000), ("0s", 0)] {
            let span: Span = text.parse().unwrap();
            assert_eq!(span.0, Duration::from_millis(ms), "{text}");
            assert_eq!(span.to_string().parse::<Span>().unwrap(), span);
        }
        for (text, n) in [("0", 0), ("64KiB", 65_536), ("2GiB", 2 << 30), ("1.5MB", 1_500_000)] {
            let bytes: Bytes = text.parse().unwrap();
            assert_eq!(bytes.0, n, "{text}");
            assert_eq!(bytes.to_string().parse::<Bytes>().unwrap(), bytes);
        }
        assert_eq!("3n".parse::<Concurrency>().unwrap().of(5), 15);
        assert_eq!("7".parse::<Concurrency>().unwrap().of(5), 7);
    }

    #[test]
    fn what_is_no_quantity_is_refused_with_an_example() {
        for text in ["", "20", "s", "twenty", "-1s", "1d", "1e9s", "nans", "999999h"] {
            assert!(text.parse::<Span>().is_err(), "{text}");
        }
        for text in ["", "GiB", "1TiB", "-1", "9999999999GiB"] {
            assert!(text.parse::<Bytes>().is_err(), "{text}");
        }
        for text in ["", "n", "0", "0n", "-1", "2.5n", "99999999999"] {
            assert!(text.parse::<Concurrency>().is_err(), "{text}");
        }
        assert!("20".parse::<Span>().unwrap_err().contains("20s"));
    }
}
