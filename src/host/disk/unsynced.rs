//! What a file holds beyond what its disk holds: bytes written and not yet synced.
//!
//! The durable part of a file is behind [`Platter`]: a file on a real disk, a vector in tests. Everything
//! here is about one file and knows no name, no handle and no kernel.
//!
//! The size that programs see is never stored: it is the durable length, or the end of the last un-synced
//! byte if that lies further out. Truncation and allocation change the durable length at once, as metadata
//! (see [`super`]), so the two can never contradict each other.

use std::collections::BTreeMap;
use std::io;

/// The unit that a disk writes whole or not at all, in bytes. A tear falls between two of them.
pub(super) const SECTOR: u64 = 512;

/// What of a file survives a power loss.
pub(super) trait Platter {
    /// Its length, in bytes.
    fn length(&self) -> io::Result<u64>;
    /// Reads into all of `buffer`; what lies behind the end is left as it is.
    fn read(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;
    /// Writes all of `bytes`; what lies between the end and `offset` becomes zeroes.
    fn write(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Cuts or extends (with zeroes) to this length.
    fn set_length(&self, length: u64) -> io::Result<()>;
}

/// The un-synced bytes of one file.
#[derive(Clone, Debug, Default)]
pub(super) struct Unsynced {
    /// Bytes by where they begin. Invariant: runs are not empty, and do not overlap.
    runs: BTreeMap<u64, Vec<u8>>,
    /// How many bytes the runs hold.
    bytes: u64,
    /// The last write, with those before it that it goes on end to end, unless it was synced or cut off.
    last: Option<Last>,
}

/// A write: its place, and its number among those of the whole disk.
#[derive(Clone, Copy, Debug)]
struct Last {
    number: u64,
    start: u64,
    end: u64,
}

impl Unsynced {
    /// How many bytes are not synced.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The number of the last un-synced write.
    pub fn last(&self) -> Option<u64> {
        self.last.map(|last| last.number)
    }

    /// The size that programs see.
    pub fn size(&self, durable: u64) -> u64 {
        let end = self.runs.last_key_value().map_or(0, |(start, run)| start + run.len() as u64);
        durable.max(end)
    }

    /// The disk's write with this number.
    pub fn write(&mut self, offset: u64, bytes: &[u8], number: u64) {
        if bytes.is_empty() {
            return;
        }
        let end = offset + bytes.len() as u64;
        // The kernel may hand over one write in pieces.
        let start = self.last.filter(|last| last.end == offset).map_or(offset, |last| last.start);
        self.forget(offset, end);
        self.last = Some(Last { number, start, end });
        self.bytes += bytes.len() as u64;
        // Appending to the run before keeps a log one run, however many writes it took.
        if let Some((start, run)) = self.runs.range_mut(..offset).next_back()
            && start + run.len() as u64 == offset
        {
            run.extend_from_slice(bytes);
            return;
        }
        self.runs.insert(offset, bytes.to_vec());
    }

    /// What programs read at `offset`: at most `length` bytes, fewer where the file ends.
    pub fn read(&self, platter: &impl Platter, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let size = self.size(platter.length()?);
        let end = size.min(offset.saturating_add(length as u64));
        let mut buffer = vec![0; end.saturating_sub(offset) as usize];
        platter.read(&mut buffer, offset)?;
        for (start, run) in self.runs_within(offset, end) {
            buffer[(start - offset) as usize..][..run.len()].copy_from_slice(run);
        }
        Ok(buffer)
    }

    /// Makes everything durable. What an error leaves undone stays un-synced.
    pub fn sync(&mut self, platter: &impl Platter) -> io::Result<()> {
        for (start, run) in &self.runs {
            platter.write(run, *start)?;
        }
        *self = Unsynced::default();
        Ok(())
    }

    /// The file now ends at `length`, durably.
    pub fn truncate(&mut self, platter: &impl Platter, length: u64) -> io::Result<()> {
        platter.set_length(length)?;
        self.forget(length, u64::MAX);
        Ok(())
    }

    /// What was written in `start..end` no longer matters.
    pub fn forget(&mut self, start: u64, end: u64) {
        if start >= end {
            return;
        }
        let first = self.runs.range(..start).next_back().map_or(start, |(first, _)| *first);
        let touched: Vec<u64> = self.runs.range(first..end).map(|(place, _)| *place).collect();
        for place in touched {
            let mut run = self.runs.remove(&place).expect("it was just seen");
            let past = place + run.len() as u64;
            if past <= start {
                self.runs.insert(place, run);
                continue;
            }
            self.bytes -= past.min(end) - place.max(start);
            if past > end {
                self.runs.insert(end, run[(end - place) as usize..].to_vec());
            }
            if place < start {
                run.truncate((start - place) as usize);
                self.runs.insert(place, run);
            }
        }
        self.last = self.last.and_then(|last| last.without(start, end));
    }

    /// Loses everything. Returns how many bytes that were.
    pub fn lose(&mut self) -> u64 {
        std::mem::take(self).bytes
    }

    /// Loses everything but the first half of the last write, to whole sectors; a write within one sector
    /// is lost. Returns how many bytes were lost.
    ///
    /// A write behind the durable end takes along what was written between that end and it: a disk that
    /// allocates in order shows no hole there.
    pub fn tear(&mut self, platter: &impl Platter) -> io::Result<u64> {
        let Some(last) = self.last else { return Ok(self.lose()) };
        let cut = (last.start + (last.end - last.start) / 2) / SECTOR * SECTOR;
        let mut survived = 0;
        if cut > last.start {
            let from = last.start.min(platter.length()?);
            for (start, run) in self.runs_within(from, cut) {
                platter.write(run, start)?;
                survived += run.len() as u64;
            }
        }
        Ok(self.lose() - survived)
    }

    /// The runs, as far as they lie in `from..to`.
    fn runs_within(&self, from: u64, to: u64) -> impl Iterator<Item = (u64, &[u8])> {
        let first = self.runs.range(..=from).next_back().map_or(from, |(first, _)| *first);
        let touched = if from < to { Some(self.runs.range(first..to)) } else { None };
        touched.into_iter().flatten().filter_map(move |(place, run)| {
            let past = (place + run.len() as u64).min(to);
            let start = (*place).max(from);
            (start < past).then(|| (start, &run[(start - place) as usize..(past - place) as usize]))
        })
    }
}

impl Last {
    /// What is left of the write when `start..end` is taken away; a write that loses its middle counts as
    /// what came before it.
    fn without(self, start: u64, end: u64) -> Option<Last> {
        if end <= self.start || self.end <= start {
            return Some(self);
        }
        let left = if self.start < start {
            Last { end: start, ..self }
        } else {
            Last { start: end.min(self.end), ..self }
        };
        (left.start < left.end).then_some(left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use elenchus_core::random::{Rng, Seed};
    use std::cell::RefCell;

    impl Platter for RefCell<Vec<u8>> {
        fn length(&self) -> io::Result<u64> {
            Ok(self.borrow().len() as u64)
        }
        fn read(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
            let held = self.borrow();
            let held = held.get(offset as usize..).unwrap_or_default();
            let length = held.len().min(buffer.len());
            buffer[..length].copy_from_slice(&held[..length]);
            Ok(())
        }
        fn write(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
            let (offset, mut held) = (offset as usize, self.borrow_mut());
            let length = held.len().max(offset + bytes.len());
            held.resize(length, 0);
            held[offset..offset + bytes.len()].copy_from_slice(bytes);
            Ok(())
        }
        fn set_length(&self, length: u64) -> io::Result<()> {
            self.borrow_mut().resize(length as usize, 0);
            Ok(())
        }
    }

    /// The same file, in the plainest way: what programs see, what is durable, which bytes differ.
    #[derive(Clone, Default)]
    struct Plain {
        seen: Vec<u8>,
        durable: Vec<u8>,
        dirty: Vec<bool>,
        last: Option<(usize, usize)>,
    }

    impl Plain {
        fn write(&mut self, offset: usize, bytes: &[u8]) {
            let end = offset + bytes.len();
            self.resize(self.seen.len().max(end));
            self.seen[offset..end].copy_from_slice(bytes);
            self.dirty[offset..end].fill(true);
            let start = self.last.filter(|last| last.1 == offset).map_or(offset, |last| last.0);
            self.last = Some((start, end));
        }
        fn resize(&mut self, length: usize) {
            self.seen.resize(length, 0);
            self.dirty.resize(length, false);
        }
        fn truncate(&mut self, length: usize) {
            self.resize(length);
            self.durable.resize(length, 0);
            self.last =
                self.last.map(|(start, end)| (start, end.min(length))).filter(|(start, end)| start < end);
        }
        fn sync(&mut self) {
            for (place, byte) in self.seen.iter().enumerate().filter(|(place, _)| self.dirty[*place]) {
                self.durable.resize(self.durable.len().max(place + 1), 0);
                self.durable[place] = *byte;
            }
            self.dirty.fill(false);
            self.last = None;
        }
        fn tear(&mut self) {
            if let Some((start, end)) = self.last {
                let cut = (start + end) / 2 / SECTOR as usize * SECTOR as usize;
                let from = start.min(self.durable.len());
                for place in (from..cut).filter(|_| cut > start) {
                    if self.dirty[place] {
                        self.durable.resize(self.durable.len().max(place + 1), 0);
                        self.durable[place] = self.seen[place];
                    }
                }
            }
            self.lose();
        }
        fn lose(&mut self) {
            self.seen = self.durable.clone();
            self.dirty = vec![false; self.seen.len()];
            self.last = None;
        }
    }

    fn write_something(rng: &mut Rng, plain: &mut Plain, file: &mut Unsynced, number: u64) {
        let length = if rng.chance(1, 4) { rng.below(3000) } else { rng.below(90) };
        let offset = if rng.chance(1, 2) { plain.seen.len() as u64 } else { rng.below(4000) };
        let bytes: Vec<u8> = (0..length).map(|_| rng.next_u64() as u8).collect();
        if !bytes.is_empty() {
            plain.write(offset as usize, &bytes);
        }
        file.write(offset, &bytes, number);
    }

    #[test]
    fn any_sequence_of_operations_leaves_what_the_plain_file_has() {
        for seed in 0..400 {
            let mut rng = Seed(seed).rng();
            let (mut plain, mut file) = (Plain::default(), Unsynced::default());
            let platter = RefCell::new(vec![]);
            for number in 0..60 {
                match rng.below(10) {
                    0 => {
                        plain.sync();
                        file.sync(&platter).unwrap();
                    }
                    1 => {
                        let length = rng.below(4000);
                        plain.truncate(length as usize);
                        file.truncate(&platter, length).unwrap();
                    }
                    2 if rng.chance(1, 3) => {
                        let dirty = plain.dirty.iter().filter(|dirty| **dirty).count() as u64;
                        plain.lose();
                        assert_eq!(file.lose(), dirty, "seed {seed}");
                    }
                    3 if rng.chance(1, 3) => {
                        let dirty = plain.dirty.iter().filter(|dirty| **dirty).count() as u64;
                        plain.tear();
                        assert!(file.tear(&platter).unwrap() <= dirty, "seed {seed}");
                    }
                    _ => write_something(&mut rng, &mut plain, &mut file, number),
                }
                let (offset, length) = (rng.below(4500), rng.below(2000) as usize);
                let seen = file.read(&platter, offset, length).unwrap();
                let end = plain.seen.len().min(offset as usize + length);
                assert_eq!(seen, plain.seen.get(offset as usize..end).unwrap_or_default(), "seed {seed}");
                assert_eq!(file.read(&platter, 0, 1 << 20).unwrap(), plain.seen, "seed {seed}");
                assert_eq!(*platter.borrow(), plain.durable, "seed {seed}");
                assert_eq!(file.bytes(), plain.dirty.iter().filter(|dirty| **dirty).count() as u64);
            }
        }
    }

    #[test]
    fn a_hole_punched_into_a_run_leaves_both_its_ends() {
        let (platter, mut file) = (RefCell::new(vec![7; 9]), Unsynced::default());
        file.write(1, b"abcdefg", 1);
        file.forget(3, 5);
        assert_eq!(file.read(&platter, 0, 20).unwrap(), b"\x07ab\x07\x07efg\x07");
        assert_eq!(file.bytes(), 5);
        file.forget(4, 4);
        file.forget(8, 3);
        assert_eq!(file.bytes(), 5);
    }

    #[test]
    fn a_tear_falls_between_two_sectors_and_leaves_no_hole_before_it() {
        let (platter, mut file) = (RefCell::new(vec![]), Unsynced::default());
        file.write(0, &[1; 700], 1);
        file.write(800, &[2; 2000], 2);
        assert_eq!(file.tear(&platter).unwrap(), 700 + 2000 - 1436);
        assert_eq!(*platter.borrow(), [[1; 700].as_slice(), &[0; 100], &[2; 736]].concat());

        file.write(1536, &[3; 500], 3);
        assert_eq!(file.tear(&platter).unwrap(), 500, "a write within one sector is whole or not there");
        assert_eq!(platter.borrow().len(), 1536);
    }

    #[test]
    fn writes_end_to_end_are_torn_as_one() {
        let (platter, mut file) = (RefCell::new(vec![]), Unsynced::default());
        for number in 0..10 {
            file.write(number * 400, &[number as u8; 400], number);
        }
        assert_eq!(file.tear(&platter).unwrap(), 4000 - 1536);
        assert_eq!(platter.borrow().len(), 1536);
    }

    #[test]
    fn what_lies_inside_the_durable_part_is_not_taken_along() {
        let (platter, mut file) = (RefCell::new(vec![0; 8192]), Unsynced::default());
        file.write(0, &[1; 1000], 1);
        file.write(4096, &[2; 4096], 2);
        assert_eq!(file.tear(&platter).unwrap(), 1000 + 2048);
        let durable = platter.borrow();
        assert!(durable[..4096].iter().all(|byte| *byte == 0));
        assert!(durable[4096..6144].iter().all(|byte| *byte == 2));
        assert!(durable[6144..].iter().all(|byte| *byte == 0));
    }
}
