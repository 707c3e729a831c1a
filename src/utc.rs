//! The wall clock as UTC text, for folder names and headers.
//!
//! Only for people: nothing is ever ordered or judged by it.

use std::time::{SystemTime, UNIX_EPOCH};

/// `20260504T101112.123Z`, sortable, fit for a folder's name.
pub fn basic(at: SystemTime) -> String {
    let (year, month, day, hour, minute, second, ms) = civil(at);
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}.{ms:03}Z")
}

/// `2026-05-04T10:11:12.123Z` (RFC 3339).
pub fn extended(at: SystemTime) -> String {
    let (year, month, day, hour, minute, second, ms) = civil(at);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
}

/// Days to a date by the shifted-year method: years begin in March, so that leap days come last.
fn civil(at: SystemTime) -> (i64, i64, i64, i64, i64, i64, u32) {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    let seconds = since.as_secs() as i64;
    let days = seconds / 86_400 + 719_468;
    let era = days / 146_097;
    let of_era = days % 146_097;
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let of_day = seconds % 86_400;
    (year, month, day, of_day / 3_600, of_day / 60 % 60, of_day % 60, since.subsec_millis())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400, "2000-02-29T00:00:00.000Z"),
            (1_709_251_199, "2024-02-29T23:59:59.000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(extended(UNIX_EPOCH + Duration::from_secs(seconds)), text);
        }
        assert_eq!(basic(UNIX_EPOCH + Duration::from_millis(1_777_889_472_123)), "20260504T101112.123Z");
    }
}
