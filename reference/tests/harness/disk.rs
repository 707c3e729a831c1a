//! A disk that forgets what was not synced.

use std::collections::BTreeMap;

use elenchus_core::random::Rng;
use elenchus_reference::protocol::{Output, SyncId};

/// The files as the node sees them, and as they would be after the power failed.
#[derive(Clone, Debug, Default)]
pub struct Disk {
    seen: BTreeMap<String, Vec<u8>>,
    durable: BTreeMap<String, Vec<u8>>,
    /// What each sync under way will make durable.
    syncs: BTreeMap<SyncId, (String, Vec<u8>)>,
}

impl Disk {
    pub fn files(&self) -> Vec<(String, Vec<u8>)> {
        self.seen.clone().into_iter().collect()
    }

    /// The files as a power failure would leave them at worst.
    pub fn durable(&self) -> Vec<(String, Vec<u8>)> {
        self.durable.clone().into_iter().collect()
    }

    pub fn carry_out(&mut self, output: Output) {
        match output {
            Output::Write { file, offset, bytes } => {
                let contents = self.seen.entry(file).or_default();
                let end = offset as usize + bytes.len();
                if contents.len() < end {
                    contents.resize(end, 0);
                }
                contents[offset as usize..end].copy_from_slice(&bytes);
            }
            Output::Truncate { file, length } => {
                self.seen.entry(file).or_default().resize(length as usize, 0);
            }
            Output::Rename { from, to } => {
                assert_eq!(
                    self.seen.get(&from),
                    self.durable.get(&from),
                    "a file is synced before it is renamed"
                );
                for files in [&mut self.seen, &mut self.durable] {
                    let contents = files.remove(&from).expect("it was synced");
                    files.insert(to.clone(), contents);
                }
            }
            Output::Remove { file } => {
                self.seen.remove(&file);
                self.durable.remove(&file);
            }
            other => panic!("{other:?} is not a disk's business"),
        }
    }

    pub fn sync(&mut self, id: SyncId, file: &str) {
        self.syncs.insert(id, (file.to_owned(), self.seen[file].clone()));
    }

    pub fn synced(&mut self, id: SyncId) {
        if let Some((file, contents)) = self.syncs.remove(&id) {
            self.durable.insert(file, contents);
        }
    }

    /// Of what was written since the last sync, any part may be there: a prefix, with holes.
    pub fn lose_power(&mut self, rng: &mut Rng) {
        self.syncs.clear();
        let mut files = self.durable.clone();
        for (name, seen) in &self.seen {
            let durable = files.entry(name.clone()).or_default();
            let synced = durable.len();
            if seen.len() > synced && seen.starts_with(durable) {
                let kept = rng.between(synced as u64, seen.len() as u64) as usize;
                durable.extend_from_slice(&seen[synced..kept]);
                for sector in durable[synced..].chunks_mut(64) {
                    if rng.chance(1, 8) {
                        sector.fill(0);
                    }
                }
            }
        }
        self.seen = files.clone();
        self.durable = files;
    }
}
