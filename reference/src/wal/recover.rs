//! Recovery: what a file still promises after a crash, or why it cannot be trusted.
//!
//! Reads the records in order and does again what they say. At the first that is not whole it decides: is
//! this the end that a crash tore, or has the disk lost what was promised? The text of [`crate::wal`] says on
//! what that decision rests and what it cannot see.

use thiserror::Error;

use crate::bug::{Bug, Bugs};
use crate::codec::Reader;
use crate::raft::entry::{Entry, HardState, Index, Snapshot};
use crate::wal::record::{self, Item};
use crate::wal::{FILE, Image};

/// What a server knew when it stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovered {
    /// How often it had started.
    pub boot: u64,
    /// Its term and vote.
    pub hard: HardState,
    /// Its latest snapshot.
    pub snapshot: Option<Snapshot>,
    /// Its log after that.
    pub entries: Vec<Entry>,
    /// How many records the file holds.
    pub records: u64,
    /// How long they and the header are, in bytes. The file is to be cut to this length.
    pub length: u64,
    /// What stands after them, if anything does.
    pub cut: Option<Cut>,
    pub(super) salt: u64,
}

/// The torn end of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// Where it begins.
    pub offset: u64,
    /// Its length, in bytes.
    pub bytes: u64,
}

/// A file that cannot be trusted.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "{file} is damaged at byte {offset}: {what}. The node would forget what it promised to keep, so it does \
     not start. Restore the file, or empty the data folder and let the node join as a new member"
)]
pub struct Damage {
    /// The file.
    pub file: &'static str,
    /// Where.
    pub offset: u64,
    /// What is wrong.
    pub what: String,
}

/// Reads the data folder's files, given by name and contents. `None` if there is no log: the server is new.
/// (`raft.wal.new` never became the log, so nothing rests on it.)
pub fn recover(files: &[(String, Vec<u8>)], bugs: Bugs) -> Result<Option<Recovered>, Damage> {
    let Some((_, bytes)) = files.iter().find(|(name, _)| name == FILE) else { return Ok(None) };
    let damage = |offset: usize, what: String| Damage { file: FILE, offset: offset as u64, what };
    let salt = record::read_header(bytes).map_err(|what| damage(0, what))?;
    let mut image = Image { boot: 0, hard: HardState::default(), snapshot: None, entries: Vec::new() };
    let mut offset = record::HEADER;
    let mut records = 0;
    while let Some(found) = record::decode(salt, &bytes[offset..]).filter(|r| r.number == records + 1) {
        let number = found.number;
        if bugs.has(Bug::ForgetLogTail) && records > 0 && offset + found.length >= bytes.len() {
            break;
        }
        redo(&mut image, found.items).ok_or_else(|| {
            damage(offset, format!("record {number} has a good checksum but cannot be understood"))
        })?;
        records = number;
        offset += found.length;
    }
    if records == 0 {
        let what = "the first record, which was whole before the file had its name, is not".to_owned();
        return Err(damage(record::HEADER, what));
    }
    let later = find_later(salt, bytes, offset, records).filter(|_| !bugs.has(Bug::ForgetLogTail));
    if let Some((later, number)) = later {
        let what = format!("record {} is not whole, but record {number} at byte {later} is", records + 1);
        return Err(damage(offset, what));
    }
    let rest = (bytes.len() - offset) as u64;
    let length = offset as u64;
    let cut = (rest > 0).then_some(Cut { offset: length, bytes: rest });
    let Image { boot, hard, snapshot, entries } = image;
    Ok(Some(Recovered { boot, hard, snapshot, entries, records, length, cut, salt }))
}

/// A record after `from` that is whole: then what is bad at `from` had been durable when it was begun.
fn find_later(salt: u64, bytes: &[u8], from: usize, records: u64) -> Option<(usize, u64)> {
    (from..bytes.len()).find_map(|offset| {
        let number = record::decode(salt, &bytes[offset..])?.number;
        (number > records).then_some((offset, number))
    })
}

fn redo(image: &mut Image, items: &[u8]) -> Option<()> {
    let mut reader = Reader::new(items);
    while reader.clone().end().is_none() {
        match Item::decode(&mut reader)? {
            Item::Boot(boot) => image.boot = boot,
            Item::Hard(hard) => image.hard = hard,
            Item::Snapshot(snapshot) => {
                image.snapshot = Some(snapshot);
                image.entries.clear();
            }
            Item::Entries { first, entries } => {
                let keep = usize::try_from(first.0.checked_sub(image.first().0)?).ok()?;
                // Entries never leave a gap.
                (keep <= image.entries.len()).then_some(())?;
                image.entries.truncate(keep);
                image.entries.extend(entries);
            }
        }
    }
    Some(())
}

impl Recovered {
    /// The last index of the log.
    pub fn last(&self) -> Index {
        let base = self.snapshot.as_ref().map_or(0, |snapshot| snapshot.last.index.0);
        Index(base + self.entries.len() as u64)
    }
}
