//! A disk that forgets: what was written is volatile until a sync that follows it is done.
//!
//! Per file, the durable bytes and the list of changes since. A crash of the process keeps all (the kernel has
//! them); a failure of the power keeps a prefix of the changes, or, torn, any part of them.

use crate::protocol::SyncId;
use elenchus_core::fault::Loss;
use elenchus_core::random::Rng;
use std::collections::BTreeMap;

/// The unit in which a torn write is torn, in bytes.
const SECTOR: usize = 64;

/// One node's files.
#[derive(Clone, Debug, Default)]
pub struct Disk {
    files: BTreeMap<String, File>,
    syncs: BTreeMap<SyncId, Syncing>,
}

#[derive(Clone, Debug, Default)]
struct File {
    /// What the node sees.
    seen: Vec<u8>,
    /// What survives.
    durable: Vec<u8>,
    /// Whether the name itself survives.
    kept: bool,
    /// The changes that are not durable yet, oldest first.
    changes: Vec<Change>,
}

#[derive(Clone, Debug)]
enum Change {
    Write { offset: usize, bytes: Vec<u8> },
    Truncate { length: usize },
}

/// A sync under way: how many of a file's changes it covers.
#[derive(Clone, Debug)]
struct Syncing {
    file: String,
    changes: usize,
}

/// What a failure of the power has cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Forgotten {
    /// Bytes that were written and are gone.
    pub bytes: u64,
    /// Of so many files.
    pub files: u64,
}

impl Disk {
    /// All files, as the node sees them.
    pub fn files(&self) -> Vec<(String, Vec<u8>)> {
        self.files.iter().map(|(name, file)| (name.clone(), file.seen.clone())).collect()
    }

    /// Writes at an offset; the file grows as needed.
    pub fn write(&mut self, file: String, offset: u64, bytes: Vec<u8>) {
        self.change(file, Change::Write { offset: offset as usize, bytes });
    }

    /// Cuts a file to a length.
    pub fn truncate(&mut self, file: String, length: u64) {
        self.change(file, Change::Truncate { length: length as usize });
    }

    fn change(&mut self, file: String, change: Change) {
        let file = self.files.entry(file).or_default();
        change.apply(&mut file.seen);
        file.changes.push(change);
    }

    /// Begins a sync.
    pub fn sync(&mut self, id: SyncId, file: String) {
        let changes = self.files.get(&file).map_or(0, |file| file.changes.len());
        self.syncs.insert(id, Syncing { file, changes });
    }

    /// The sync is done.
    pub fn synced(&mut self, id: SyncId) {
        let Some(Syncing { file, changes }) = self.syncs.remove(&id) else { return };
        let Some(synced) = self.files.get_mut(&file) else { return };
        synced.settle(changes);
        // Whoever syncs the same file later covers what is left only.
        for other in self.syncs.values_mut().filter(|other| other.file == file) {
            other.changes = other.changes.saturating_sub(changes);
        }
    }

    /// Puts one file in another's place, durably.
    pub fn rename(&mut self, from: &str, to: String) {
        let Some(mut file) = self.files.remove(from) else { return };
        let all = file.changes.len();
        file.settle(all);
        self.syncs.retain(|_, sync| sync.file != from && sync.file != to);
        self.files.insert(to, file);
    }

    /// Removes a file.
    pub fn remove(&mut self, file: &str) {
        self.files.remove(file);
    }

    /// The process is gone: nobody waits for its syncs any more. What it wrote stays with the kernel, which may
    /// have made all of it durable or none.
    pub fn abandon(&mut self) {
        self.syncs.clear();
    }

    /// The power is gone, and what was not durable with it.
    pub fn lose_power(&mut self, loss: Loss, rng: &mut Rng) -> Forgotten {
        self.syncs.clear();
        let mut forgotten = Forgotten::default();
        for file in self.files.values_mut() {
            let cost = file.lose_power(loss, rng);
            forgotten.bytes += cost;
            forgotten.files += u64::from(cost > 0);
        }
        self.files.retain(|_, file| file.kept);
        forgotten
    }

    /// Flips a bit of what is durable. Says what was done, for people; `None` if there is nothing to flip.
    pub fn flip_bit(&mut self, rng: &mut Rng) -> Option<String> {
        let (name, file) = self.pick(rng)?;
        let (at, bit) = (rng.below(file.seen.len() as u64) as usize, rng.below(8));
        let mut changed = std::mem::take(&mut file.seen);
        changed[at] ^= 1 << bit;
        file.become_whole(changed);
        Some(format!("bit {bit} of byte {at} of {name} flipped"))
    }

    /// Cuts the end of a file off.
    pub fn cut_end(&mut self, rng: &mut Rng) -> Option<String> {
        let (name, file) = self.pick(rng)?;
        let was = file.seen.len();
        let length = rng.below(was as u64) as usize;
        let mut changed = std::mem::take(&mut file.seen);
        changed.truncate(length);
        file.become_whole(changed);
        Some(format!("{name} cut from {was} to {length} bytes"))
    }

    fn pick(&mut self, rng: &mut Rng) -> Option<(&String, &mut File)> {
        let mut some: Vec<_> = self.files.iter_mut().filter(|(_, file)| !file.seen.is_empty()).collect();
        if some.is_empty() {
            return None;
        }
        let at = rng.below(some.len() as u64) as usize;
        Some(some.swap_remove(at))
    }
}

impl File {
    /// The first so many changes are durable.
    fn settle(&mut self, changes: usize) {
        for change in self.changes.drain(..changes.min(self.changes.len())) {
            change.apply(&mut self.durable);
        }
        self.kept = true;
    }

    fn become_whole(&mut self, contents: Vec<u8>) {
        self.durable.clone_from(&contents);
        self.seen = contents;
        self.changes.clear();
        self.kept = true;
    }

    /// Returns how many bytes are gone.
    fn lose_power(&mut self, loss: Loss, rng: &mut Rng) -> u64 {
        let before: usize = self.changes.iter().map(Change::len).sum();
        let all = self.changes.len();
        // The kernel writes back in its own time: any first part of the changes may have been durable already.
        let whole = rng.between(0, all as u64) as usize;
        let mut survivors = self.changes.split_off(whole.min(all));
        let kept: usize = self.changes.iter().map(Change::len).sum();
        if !self.changes.is_empty() {
            let count = self.changes.len();
            self.settle(count);
        }
        if loss == Loss::Torn && !survivors.is_empty() {
            if rng.chance(1, 2) {
                survivors.truncate(1);
            }
            for change in survivors {
                change.apply_torn(&mut self.durable, rng);
            }
            self.kept = true;
        }
        self.changes.clear();
        self.seen.clone_from(&self.durable);
        (before - kept) as u64
    }
}

impl Change {
    fn len(&self) -> usize {
        match self {
            Change::Write { bytes, .. } => bytes.len(),
            Change::Truncate { .. } => 0,
        }
    }

    fn apply(&self, contents: &mut Vec<u8>) {
        match self {
            Change::Write { offset, bytes } => {
                let end = offset + bytes.len();
                if contents.len() < end {
                    contents.resize(end, 0);
                }
                contents[*offset..end].copy_from_slice(bytes);
            }
            Change::Truncate { length } => contents.resize(*length, 0),
        }
    }

    /// Some sectors of a write reach the disk, others do not; a truncation does or does not.
    fn apply_torn(&self, contents: &mut Vec<u8>, rng: &mut Rng) {
        match self {
            Change::Truncate { .. } if rng.chance(1, 2) => self.apply(contents),
            Change::Truncate { .. } => {}
            Change::Write { offset, bytes } => {
                let kept = rng.between(0, bytes.len() as u64) as usize;
                for (nth, sector) in bytes[..kept].chunks(SECTOR).enumerate() {
                    if rng.chance(7, 8) {
                        let change = Change::Write { offset: offset + nth * SECTOR, bytes: sector.to_vec() };
                        change.apply(contents);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use elenchus_core::random::Seed;

    fn contents(disk: &Disk) -> Vec<u8> {
        disk.files().pop().map(|(_, bytes)| bytes).unwrap_or_default()
    }

    #[test]
    fn what_was_synced_survives_every_loss_and_what_was_not_only_in_part() {
        let mut lengths = std::collections::BTreeSet::new();
        for seed in 0..200 {
            let mut disk = Disk::default();
            disk.write("log".into(), 0, b"synced".to_vec());
            disk.sync(SyncId(1), "log".into());
            disk.write("log".into(), 6, b"one".to_vec());
            disk.synced(SyncId(1));
            disk.write("log".into(), 9, b"two".to_vec());
            let lost = disk.lose_power(Loss::Unsynced, &mut Seed(seed).rng());
            let kept = contents(&disk);
            assert!(b"syncedonetwo".starts_with(&kept) && kept.len() >= 6, "{kept:?}");
            assert_eq!(lost.bytes as usize + kept.len(), 12);
            lengths.insert(kept.len());
        }
        assert_eq!(lengths, [6, 9, 12].into(), "whole changes survive or do not, in their order");
    }

    #[test]
    fn a_torn_loss_may_keep_part_of_a_write_but_never_touches_what_was_synced() {
        let mut lengths = std::collections::BTreeSet::new();
        for seed in 0..300 {
            let mut disk = Disk::default();
            disk.write("log".into(), 0, vec![1; 100]);
            disk.sync(SyncId(1), "log".into());
            disk.synced(SyncId(1));
            disk.write("log".into(), 100, vec![2; 300]);
            disk.lose_power(Loss::Torn, &mut Seed(seed).rng());
            let kept = contents(&disk);
            assert!(kept[..100].iter().all(|&byte| byte == 1));
            lengths.insert(kept.len());
        }
        assert!(lengths.len() > 20, "{lengths:?}");
    }

    #[test]
    fn a_file_that_was_never_synced_may_be_gone_by_name() {
        let gone = (0..50).filter(|seed| {
            let mut disk = Disk::default();
            disk.write("new".into(), 0, b"x".to_vec());
            disk.lose_power(Loss::Unsynced, &mut Seed(*seed).rng());
            disk.files().is_empty()
        });
        assert!((10..40).contains(&gone.count()));
    }

    #[test]
    fn a_sync_covers_what_was_written_before_it_and_nothing_after() {
        let mut disk = Disk::default();
        disk.write("a".into(), 0, b"1".to_vec());
        disk.sync(SyncId(1), "a".into());
        disk.write("a".into(), 1, b"2".to_vec());
        disk.sync(SyncId(2), "a".into());
        disk.write("a".into(), 2, b"3".to_vec());
        disk.synced(SyncId(1));
        disk.synced(SyncId(2));
        assert_eq!(disk.files["a"].durable, b"12");
        assert_eq!(disk.files["a"].changes.len(), 1);
    }

    #[test]
    fn a_rename_is_durable_and_takes_the_contents_along() {
        let mut disk = Disk::default();
        disk.write("new".into(), 0, b"whole".to_vec());
        disk.sync(SyncId(1), "new".into());
        disk.synced(SyncId(1));
        disk.rename("new", "log".into());
        disk.lose_power(Loss::Torn, &mut Seed(1).rng());
        assert_eq!(disk.files(), [("log".to_owned(), b"whole".to_vec())]);
    }

    #[test]
    fn harm_is_durable_and_says_what_it_did() {
        let mut disk = Disk::default();
        assert_eq!(disk.flip_bit(&mut Seed(1).rng()), None);
        disk.write("log".into(), 0, vec![0; 10]);
        assert!(disk.flip_bit(&mut Seed(1).rng()).unwrap().contains("log flipped"));
        assert_eq!(contents(&disk).iter().map(|byte| byte.count_ones()).sum::<u32>(), 1);
        disk.cut_end(&mut Seed(1).rng()).unwrap();
        let cut = contents(&disk);
        assert!(cut.len() < 10);
        disk.lose_power(Loss::Unsynced, &mut Seed(1).rng());
        assert_eq!(contents(&disk), cut);
    }
}
