//! The write-ahead log: how a server's promises reach its disk, without doing any IO.
//!
//! One file, `raft.wal`: a header, then records. **A record is one flush**: everything that gathered while
//! the sync before it was under way (group commit). A record is begun only after the one before it is
//! durable (after a restart what was recovered is synced first), so of all records only the last can be torn,
//! however the disk reorders its sectors; a bad record with a good one after it is damage, never a crash.
//! [`recover`] rests on that.
//!
//! The file is born, and shortened once a snapshot allows it, by writing `raft.wal.new`, syncing it, and
//! renaming it: whatever has the name `raft.wal` was once whole, so its header and first record are never
//! excused.
//!
//! **What a damaged last record cannot tell.** A crash in the middle of a write and a disk that later lost or
//! changed the last record's bytes look the same. [`recover`] takes it for the crash and cuts it off (and
//! says so); if the record had been acknowledged, this server now breaks its promises, as it does when the
//! file is cut at a record's end or replaced by an older copy. A majority of the cluster still remembers;
//! a second such server may lose what was committed. Refusing every torn end would keep healthy servers down
//! after each power failure instead.

mod record;
mod recover;

use crate::protocol::{Output, SyncId};
use crate::raft::entry::{Entry, HardState, Index, Snapshot};
use crate::wal::record::Item;

pub use crate::wal::recover::{Cut, Damage, Recovered, recover};

/// The file.
pub const FILE: &str = "raft.wal";
/// What becomes the file once it is whole.
pub const NEW_FILE: &str = "raft.wal.new";

/// The writing side. It tells what to write; [`Wal::synced`] is told when that is durable.
///
/// Invariant: at most one sync is under way.
#[derive(Clone, Debug)]
pub struct Wal {
    /// Enters every checksum, so that no client can store bytes that look like a record.
    salt: u64,
    /// The length of the file, in bytes.
    length: u64,
    /// The number of the next record.
    number: u64,
    /// Items for the next record.
    gathered: Vec<u8>,
    /// Whether the file is to be written anew instead.
    renew: bool,
    under_way: Option<UnderWay>,
    syncs: u64,
}

#[derive(Clone, Debug)]
struct UnderWay {
    id: SyncId,
    /// The log is durable up to here when it ends.
    covers: Index,
    /// The length of the new file, if this is one.
    renewed: Option<u64>,
}

/// All that a new file must hold.
#[derive(Clone, Debug)]
pub struct Image {
    /// How often the server has started.
    pub boot: u64,
    /// Term and vote.
    pub hard: HardState,
    /// The latest snapshot.
    pub snapshot: Option<Snapshot>,
    /// The log after it.
    pub entries: Vec<Entry>,
}

impl Image {
    fn first(&self) -> Index {
        self.snapshot.as_ref().map_or(Index(0), |snapshot| snapshot.last.index).next()
    }
}

impl Wal {
    /// A log that does not exist yet: its first flush makes the file. Servers differ in `salt`.
    pub fn create(salt: u64) -> Wal {
        Wal { salt, length: 0, number: 1, gathered: Vec::new(), renew: true, under_way: None, syncs: 0 }
    }

    /// Continues the file that was recovered.
    pub fn resume(recovered: &Recovered) -> Wal {
        Wal {
            salt: recovered.salt,
            length: recovered.length,
            number: recovered.records + 1,
            renew: false,
            ..Wal::create(0)
        }
    }

    /// Syncs what was recovered, up to `last`. A process that was killed may have written the last record
    /// and not synced it: until it is durable no other may be begun.
    pub fn sync_recovered(&mut self, last: Index, out: &mut Vec<Output>) {
        self.begin_sync(FILE, last, None, out);
    }

    /// The server has started for the `boot`th time.
    pub fn boot(&mut self, boot: u64) {
        Item::Boot(boot).encode(&mut self.gathered);
    }

    /// Term and vote are now these.
    pub fn hard_state(&mut self, hard: HardState) {
        Item::Hard(hard).encode(&mut self.gathered);
    }

    /// The log from `first` on is now `entries`, whatever stood there before.
    pub fn entries<'e>(&mut self, first: Index, entries: impl Iterator<Item = &'e Entry> + Clone) {
        if let Some(under_way) = &mut self.under_way {
            // What is being synced there is no longer the log.
            under_way.covers = under_way.covers.min(first.previous());
        }
        record::encode_entries(&mut self.gathered, first, entries);
    }

    /// The file is to be written anew, because a snapshot replaces (a part of) the log. `durable` is how far
    /// the log remains what it was.
    pub fn renew(&mut self, durable: Index) {
        if let Some(under_way) = &mut self.under_way {
            under_way.covers = under_way.covers.min(durable);
        }
        self.renew = true;
    }

    /// Whether anything waits to be written.
    pub fn is_dirty(&self) -> bool {
        self.renew || !self.gathered.is_empty()
    }

    /// Whether a sync is under way.
    pub fn is_syncing(&self) -> bool {
        self.under_way.is_some()
    }

    /// Writes and syncs what has gathered, unless a sync is under way: then it gathers on. True if it did.
    /// `last` is the last index of the log, `image` all of it in case the file is to be written anew.
    pub fn flush(&mut self, last: Index, image: impl FnOnce() -> Image, out: &mut Vec<Output>) -> bool {
        if self.is_syncing() || !self.is_dirty() {
            return false;
        }
        let (file, renewed) = if self.renew {
            (NEW_FILE, Some(self.write_new(&image(), out)))
        } else {
            self.write_record(out);
            (FILE, None)
        };
        self.gathered.clear();
        self.renew = false;
        self.begin_sync(file, last, renewed, out);
        true
    }

    fn begin_sync(&mut self, file: &str, covers: Index, renewed: Option<u64>, out: &mut Vec<Output>) {
        self.syncs += 1;
        let id = SyncId(self.syncs);
        self.under_way = Some(UnderWay { id, covers, renewed });
        out.push(Output::Sync { id, file: file.to_owned() });
    }

    /// The sync `id` has ended; how far the log is durable. `None` if it is not the one under way.
    pub fn synced(&mut self, id: SyncId, out: &mut Vec<Output>) -> Option<Index> {
        let under_way = self.under_way.take_if(|under_way| under_way.id == id)?;
        if let Some(length) = under_way.renewed {
            self.length = length;
            out.push(Output::Rename { from: NEW_FILE.to_owned(), to: FILE.to_owned() });
        }
        Some(under_way.covers)
    }

    fn write_record(&mut self, out: &mut Vec<Output>) {
        let bytes = record::encode(self.salt, self.number, &self.gathered);
        self.number += 1;
        let offset = self.length;
        self.length += bytes.len() as u64;
        out.push(Output::Write { file: FILE.to_owned(), offset, bytes });
    }

    fn write_new(&mut self, image: &Image, out: &mut Vec<Output>) -> u64 {
        // A salt of its own, so that no record of the old file is one of the new.
        self.salt = self.salt.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(1);
        let mut bytes = record::header(self.salt);
        bytes.extend(record::encode(self.salt, 1, &record::encode_image(image)));
        self.number = 2;
        let length = bytes.len() as u64;
        // An attempt that a crash cut short may have left a longer one.
        out.push(Output::Truncate { file: NEW_FILE.to_owned(), length: 0 });
        out.push(Output::Write { file: NEW_FILE.to_owned(), offset: 0, bytes });
        length
    }
}

#[cfg(test)]
mod tests;
