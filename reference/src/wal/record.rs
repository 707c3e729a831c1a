//! The bytes of the write-ahead log: header, records, items.
//!
//! | header | bytes | | record | bytes |
//! |---|---|---|---|---|
//! | magic and version | 8 | | magic | 4 |
//! | salt | 8 | | length of the items | 4 |
//! | checksum of these | 4 | | number, from 1 | 8 |
//! | | | | checksum of salt, length, number, items | 4 |
//! | | | | items | |
//!
//! Checksums are CRC-32. Numbers are written little end first.

use crate::codec::{Reader, Write};
use crate::protocol::Peer;
use crate::raft::entry::{Entry, HardState, Index, Snapshot, Term};
use crate::raft::message::{
    read_entries, read_id, read_membership, write_entries, write_id, write_membership,
};
use crate::wal::Image;

/// The last byte is the version.
const HEADER_MAGIC: &[u8; 8] = b"ELRAFTW\x02";
/// Before there were changes of the membership: as now, but without [`Item::Snapshot`]'s configuration.
const HEADER_MAGIC_1: &[u8; 8] = b"ELRAFTW\x01";
/// The length of the header, in bytes.
pub(super) const HEADER: usize = 20;
/// Begins each record.
const RECORD_MAGIC: u32 = 0xe1e2_c405;
/// The length of what comes before a record's items, in bytes.
const RECORD_HEADER: usize = 20;
/// Stands for the absence of a vote.
const NO_VOTE: u16 = u16::MAX;

/// The header of a file.
pub(super) fn header(salt: u64) -> Vec<u8> {
    let mut bytes = HEADER_MAGIC.to_vec();
    bytes.u64(salt);
    let checksum = crc32fast::hash(&bytes);
    bytes.u32(checksum);
    bytes
}

/// The salt of a file, or what is wrong with its header.
pub(super) fn read_header(file: &[u8]) -> Result<u64, String> {
    let Some((header, _)) = file.split_at_checked(HEADER) else {
        return Err(format!("the header has {HEADER} bytes, the file {}", file.len()));
    };
    let (body, checksum) = header.split_at(HEADER - 4);
    if Reader::new(checksum).u32() != Some(crc32fast::hash(body)) {
        return Err("the header's checksum does not match".to_owned());
    }
    let salt = body.strip_prefix(HEADER_MAGIC).or_else(|| body.strip_prefix(HEADER_MAGIC_1));
    match salt.and_then(|salt| Reader::new(salt).u64()) {
        Some(salt) => Ok(salt),
        None => Err("this is no write-ahead log of this version".to_owned()),
    }
}

/// A record that holds `items`.
pub(super) fn encode(salt: u64, number: u64, items: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(RECORD_HEADER + items.len());
    bytes.u32(RECORD_MAGIC);
    bytes.u32(u32::try_from(items.len()).expect("a flush is shorter than 4 GiB"));
    bytes.u64(number);
    let checksum = checksum(salt, &bytes, items);
    bytes.u32(checksum);
    bytes.extend_from_slice(items);
    bytes
}

/// A record at the beginning of bytes.
pub(super) struct Record<'a> {
    pub number: u64,
    pub items: &'a [u8],
    /// The length of all of it, in bytes.
    pub length: usize,
}

/// The record at the beginning of `bytes`, if a whole one with a good checksum stands there.
pub(super) fn decode(salt: u64, bytes: &[u8]) -> Option<Record<'_>> {
    let (header, rest) = bytes.split_at_checked(RECORD_HEADER)?;
    let mut reader = Reader::new(header);
    (reader.u32()? == RECORD_MAGIC).then_some(())?;
    let length = reader.u32()? as usize;
    let number = reader.u64()?;
    let items = rest.get(..length)?;
    (reader.u32()? == checksum(salt, &header[..RECORD_HEADER - 4], items)).then_some(())?;
    Some(Record { number, items, length: RECORD_HEADER + length })
}

fn checksum(salt: u64, header: &[u8], items: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&salt.to_le_bytes());
    hasher.update(header);
    hasher.update(items);
    hasher.finalize()
}

/// One thing that a record says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Item {
    /// The server has started for the nth time.
    Boot(u64),
    /// Term and vote.
    Hard(HardState),
    /// The log begins after this.
    Snapshot(Snapshot),
    /// The log from `first` on is this.
    Entries { first: Index, entries: Vec<Entry> },
}

impl Item {
    pub fn encode(&self, bytes: &mut Vec<u8>) {
        match self {
            Item::Boot(boot) => {
                bytes.u8(1);
                bytes.u64(*boot);
            }
            Item::Hard(hard) => {
                bytes.u8(2);
                bytes.u64(hard.term.0);
                bytes.u16(hard.vote.map_or(NO_VOTE, |peer| peer.0));
            }
            Item::Snapshot(snapshot) => encode_snapshot(bytes, snapshot),
            Item::Entries { first, entries } => encode_entries(bytes, *first, entries.iter()),
        }
    }

    pub fn decode(reader: &mut Reader<'_>) -> Option<Item> {
        Some(match reader.u8()? {
            1 => Item::Boot(reader.u64()?),
            2 => {
                let (term, vote) = (Term(reader.u64()?), reader.u16()?);
                Item::Hard(HardState { term, vote: (vote != NO_VOTE).then_some(Peer(vote)) })
            }
            // As version 1 wrote it.
            3 => {
                let (last, data) = (read_id(reader)?, reader.bytes()?.into());
                Item::Snapshot(Snapshot { last, membership: None, data })
            }
            4 => Item::Entries { first: Index(reader.u64()?), entries: read_entries(reader)? },
            5 => {
                let (last, membership) = (read_id(reader)?, read_membership(reader)?);
                Item::Snapshot(Snapshot { last, membership, data: reader.bytes()?.into() })
            }
            _ => return None,
        })
    }
}

/// As [`Item::Entries`], without owning them.
pub(super) fn encode_entries<'e>(
    bytes: &mut Vec<u8>,
    first: Index,
    entries: impl Iterator<Item = &'e Entry> + Clone,
) {
    bytes.u8(4);
    bytes.u64(first.0);
    write_entries(bytes, entries);
}

fn encode_snapshot(bytes: &mut Vec<u8>, snapshot: &Snapshot) {
    bytes.u8(5);
    write_id(bytes, snapshot.last);
    write_membership(bytes, snapshot.membership.as_deref());
    bytes.bytes(&snapshot.data);
}

/// The items of a new file's first record.
pub(super) fn encode_image(image: &Image) -> Vec<u8> {
    let mut bytes = Vec::new();
    Item::Boot(image.boot).encode(&mut bytes);
    Item::Hard(image.hard).encode(&mut bytes);
    if let Some(snapshot) = &image.snapshot {
        encode_snapshot(&mut bytes, snapshot);
    }
    encode_entries(&mut bytes, image.first(), image.entries.iter());
    bytes
}
