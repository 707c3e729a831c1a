//! The variables of a patched process: which lie its stub tells now, and how often it told it.
//!
//! They are written while the process runs and reads them. So there are sixteen settings, of which one byte
//! names the one that counts: a new one is written where nobody reads and then named, and no reader ever
//! waits, even for a writer that is killed half way. A setting counts its own reads: what it shows was shown
//! under this lie, and none before it.
//!
//! | at | is |
//! |---|---|
//! | 0 | which setting counts, a byte |
//! | 64 + 64 n | setting n: offset, rate, base, period, reads, shown; 8 bytes each |

use super::lie::Lie;

/// How many bytes there are.
pub const SIZE: usize = SETTINGS + COUNT * SETTING;
/// How many of a setting are its lie.
const LIE: usize = 32;
const SETTINGS: usize = 64;
const SETTING: usize = 64;
const COUNT: usize = 16;

/// What a process was shown under its present setting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shown {
    /// How many reads of the clock were answered with another time than the true one.
    pub reads: u64,
    /// How far ahead the last of these answers was, nanoseconds; 0 if there was none.
    pub ahead_ns: i64,
}

/// A writing into the variables: these bytes at this place.
pub type Write = (u64, Vec<u8>);

/// What is to be written, one after the other, so that this lie counts from then on.
pub fn writes(now: &[u8; SIZE], lie: &Lie) -> [Write; 2] {
    let next = (current(now) + 1) % COUNT;
    let words = [lie.offset_ns, lie.rate, lie.base_ns, lie.period_ns as i64, 0, 0];
    let bytes = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    [((SETTINGS + next * SETTING) as u64, bytes), (0, vec![next as u8])]
}

/// Whether these variables say this lie.
pub fn say(now: &[u8; SIZE], lie: &Lie) -> bool {
    writes(now, lie)[0].1[..LIE] == now[setting(now)..][..LIE]
}

/// What was shown under the setting that counts.
pub fn shown(now: &[u8; SIZE]) -> Shown {
    let word = |at: usize| {
        let bytes = now[setting(now) + at..].first_chunk().expect("a setting is longer");
        i64::from_le_bytes(*bytes)
    };
    Shown { reads: word(LIE) as u64, ahead_ns: word(LIE + 8) }
}

fn setting(now: &[u8; SIZE]) -> usize {
    SETTINGS + current(now) * SETTING
}

/// The process may have written anything there.
fn current(now: &[u8; SIZE]) -> usize {
    usize::from(now[0]) % COUNT
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apply(now: &mut [u8; SIZE], lie: &Lie) {
        for (at, bytes) in writes(now, lie) {
            now[at as usize..][..bytes.len()].copy_from_slice(&bytes);
        }
    }

    #[test]
    fn a_new_lie_is_written_where_nobody_reads_and_begins_with_no_reads() {
        let mut now = [0; SIZE];
        assert!(say(&now, &Lie::default()) && shown(&now) == Shown::default());
        for turn in 0..40 {
            let lie = Lie { offset_ns: turn - 20, rate: -turn, base_ns: 7, period_ns: 9 };
            let [(at, bytes), _] = writes(&now, &lie);
            let read = setting(&now) as u64..(setting(&now) + SETTING) as u64;
            assert!(at + bytes.len() as u64 <= read.start || at >= read.end);
            apply(&mut now, &lie);
            assert!(say(&now, &lie) && !say(&now, &Lie { rate: 5, ..lie }));
            assert_eq!(shown(&now), Shown::default());
            let at = setting(&now) + LIE;
            now[at] = 3;
            now[at + 8..at + 16].copy_from_slice(&(-5_i64).to_le_bytes());
            assert_eq!(shown(&now), Shown { reads: 3, ahead_ns: -5 });
        }
    }

    #[test]
    fn variables_that_were_trampled_on_are_survived() {
        let mut now = [0xff; SIZE];
        let _ = shown(&now);
        apply(&mut now, &Lie::default());
        assert!(say(&now, &Lie::default()));
    }
}
