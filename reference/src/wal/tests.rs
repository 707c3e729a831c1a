//! Adversarial tests of recovery: every cut, every flipped byte.

use super::*;
use crate::bug::{Bug, Bugs};
use crate::codec::Write as _;
use crate::protocol::Peer;
use crate::raft::entry::{EntryId, Term};
use crate::raft::membership::Membership;
use crate::raft::message::write_id;

/// The data folder, as a driver would keep it.
#[derive(Default)]
struct Disk(Vec<(String, Vec<u8>)>);

impl Disk {
    fn file(&mut self, name: &str) -> &mut Vec<u8> {
        let at = self.0.iter().position(|(file, _)| file == name).unwrap_or_else(|| {
            self.0.push((name.to_owned(), Vec::new()));
            self.0.len() - 1
        });
        &mut self.0[at].1
    }

    /// Carries out what the log asked for and says that it is durable.
    fn settle(&mut self, wal: &mut Wal, last: u64, image: impl FnOnce() -> Image) -> Option<Index> {
        let mut out = Vec::new();
        wal.flush(Index(last), image, &mut out);
        let mut covers = None;
        for output in std::mem::take(&mut out) {
            match output {
                Output::Write { file, offset, bytes } => {
                    let file = self.file(&file);
                    assert_eq!(file.len() as u64, offset, "the log only grows at its end");
                    file.extend(bytes);
                }
                Output::Truncate { file, length } => self.file(&file).truncate(length as usize),
                Output::Sync { id, .. } => covers = wal.synced(id, &mut out),
                other => panic!("{other:?}"),
            }
        }
        for output in out {
            let Output::Rename { from, to } = output else { panic!("{output:?}") };
            let bytes = std::mem::take(self.file(&from));
            self.0.clear();
            *self.file(&to) = bytes;
        }
        covers
    }

    fn recover(&self) -> Result<Option<Recovered>, Damage> {
        recover(&self.0, Bugs::NONE)
    }
}

fn entries(terms: &[u64]) -> Vec<Entry> {
    terms.iter().map(|term| Entry { term: Term(*term), data: vec![7; *term as usize].into() }).collect()
}

fn hard(term: u64, vote: u16) -> HardState {
    HardState { term: Term(term), vote: Some(Peer(vote)) }
}

fn new_image() -> Image {
    Image { boot: 1, hard: HardState::default(), snapshot: None, entries: Vec::new() }
}

fn unused() -> Image {
    unreachable!("the file is not written anew")
}

/// A file of four records; the length of the file after each.
fn written() -> (Disk, Vec<usize>) {
    let (mut disk, mut wal, mut ends) = (Disk::default(), Wal::create(99), Vec::new());
    disk.settle(&mut wal, 0, new_image);
    ends.push(disk.file(FILE).len());
    wal.hard_state(hard(1, 2));
    wal.entries(Index(1), entries(&[1, 1, 1]).iter());
    assert_eq!(disk.settle(&mut wal, 3, unused), Some(Index(3)));
    ends.push(disk.file(FILE).len());
    wal.hard_state(hard(2, 0));
    wal.entries(Index(3), entries(&[2, 2]).iter());
    disk.settle(&mut wal, 4, unused);
    ends.push(disk.file(FILE).len());
    wal.entries(Index(5), entries(&[2]).iter());
    disk.settle(&mut wal, 5, unused);
    ends.push(disk.file(FILE).len());
    (disk, ends)
}

#[test]
fn what_was_synced_is_recovered() {
    let (disk, _) = written();
    let recovered = disk.recover().unwrap().unwrap();
    assert_eq!((recovered.boot, recovered.hard), (1, hard(2, 0)));
    assert_eq!(recovered.entries, entries(&[1, 1, 2, 2, 2]));
    assert_eq!((recovered.records, recovered.last(), recovered.cut), (4, Index(5), None));
}

#[test]
fn no_file_is_a_new_server_and_an_unfinished_one_too() {
    assert_eq!(recover(&[], Bugs::NONE), Ok(None));
    assert_eq!(recover(&[(NEW_FILE.to_owned(), b"half of it".to_vec())], Bugs::NONE), Ok(None));
}

#[test]
fn the_last_record_cut_anywhere_is_cut_off_and_reported() {
    let (mut disk, ends) = written();
    let whole = disk.file(FILE).clone();
    let [.., before, after] = ends[..] else { unreachable!() };
    for length in before..after {
        disk.file(FILE).truncate(length);
        let recovered = disk.recover().unwrap().unwrap();
        assert_eq!(recovered.entries, entries(&[1, 1, 2, 2]), "cut at {length}");
        assert_eq!(recovered.length, before as u64);
        let bytes = (length - before) as u64;
        assert_eq!(recovered.cut, (bytes > 0).then_some(Cut { offset: before as u64, bytes }));
        *disk.file(FILE) = whole.clone();
    }
}

#[test]
fn forget_log_tail_forgets_the_last_record_that_was_synced_and_no_other() {
    let (mut disk, ends) = written();
    let forgetful = Bugs::NONE.with(Bug::ForgetLogTail);
    let recovered = recover(&disk.0, forgetful).unwrap().unwrap();
    assert_eq!((recovered.entries, recovered.length), (entries(&[1, 1, 2, 2]), ends[2] as u64));
    disk.file(FILE).truncate(ends[0]);
    assert_eq!(recover(&disk.0, forgetful).unwrap().unwrap().records, 1, "the first was never torn");
}

#[test]
fn zeros_or_noise_after_the_end_are_cut_off() {
    let (mut disk, ends) = written();
    let noise = (0..999_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8);
    for tail in [vec![0; 999], noise.collect()] {
        disk.file(FILE).truncate(ends[3]);
        disk.file(FILE).extend(tail);
        let recovered = disk.recover().unwrap().unwrap();
        assert_eq!(recovered.entries, entries(&[1, 1, 2, 2, 2]));
        assert_eq!(recovered.cut, Some(Cut { offset: ends[3] as u64, bytes: 999 }));
    }
}

#[test]
fn a_byte_flipped_before_the_last_record_is_refused_with_its_place() {
    let (mut disk, ends) = written();
    for at in 0..ends[2] {
        for flip in [0x01, 0x80, 0xff] {
            disk.file(FILE)[at] ^= flip;
            let damage = disk.recover().expect_err("an acknowledged record is damaged");
            let begins = ends.iter().rfind(|end| **end <= at).copied();
            // The header and the first record have no record's end before them.
            let begins = begins.unwrap_or(if at < record::HEADER { 0 } else { record::HEADER });
            assert_eq!(damage.offset, begins as u64, "byte {at}: {damage}");
            assert!(damage.to_string().contains(FILE));
            disk.file(FILE)[at] ^= flip;
        }
    }
}

#[test]
fn a_byte_flipped_in_the_last_record_loses_that_record_alone_as_documented() {
    let (mut disk, ends) = written();
    for at in ends[2]..ends[3] {
        disk.file(FILE)[at] ^= 0x10;
        let recovered = disk.recover().unwrap().unwrap();
        assert_eq!((recovered.records, recovered.entries), (3, entries(&[1, 1, 2, 2])));
        assert!(recovered.cut.is_some(), "it is reported");
        disk.file(FILE)[at] ^= 0x10;
    }
}

#[test]
fn a_file_without_its_first_record_is_refused() {
    let (mut disk, ends) = written();
    for length in 0..ends[0] {
        disk.file(FILE).truncate(ends[0]);
        disk.file(FILE).truncate(length);
        disk.recover().expect_err("a file with its name was once whole");
        disk = written().0;
    }
}

#[test]
fn a_record_missing_in_the_middle_is_refused() {
    let (mut disk, ends) = written();
    disk.file(FILE).drain(ends[1]..ends[2]);
    let damage = disk.recover().unwrap_err();
    assert_eq!(damage.offset, ends[1] as u64);
}

#[test]
fn bytes_that_a_client_stored_are_never_taken_for_a_record() {
    // The torn last record holds, as its data, a perfect record of a file with another salt.
    let (mut disk, ends) = written();
    let mut wal = Wal::resume(&disk.recover().unwrap().unwrap());
    let fake = record::encode(98, 6, &[]);
    wal.entries(Index(6), [Entry { term: Term(2), data: [fake, vec![0; 50]].concat().into() }].iter());
    disk.settle(&mut wal, 6, unused);
    let length = disk.file(FILE).len();
    disk.file(FILE).truncate(length - 1);
    assert_eq!(disk.recover().unwrap().unwrap().length, ends[3] as u64);
}

#[test]
fn a_recovered_log_goes_on_where_it_was_cut() {
    let (mut disk, ends) = written();
    disk.file(FILE).truncate(ends[3] - 1);
    let recovered = disk.recover().unwrap().unwrap();
    disk.file(FILE).truncate(recovered.length as usize);
    let mut wal = Wal::resume(&recovered);
    wal.boot(2);
    wal.entries(Index(5), entries(&[3]).iter());
    disk.settle(&mut wal, 5, unused);
    let recovered = disk.recover().unwrap().unwrap();
    assert_eq!((recovered.boot, recovered.records), (2, 4));
    assert_eq!(recovered.entries, entries(&[1, 1, 2, 2, 3]));
}

#[test]
fn a_new_file_replaces_the_old_one_and_is_shorter() {
    let (mut disk, ends) = written();
    let mut wal = Wal::resume(&disk.recover().unwrap().unwrap());
    wal.renew(Index(5));
    let last = EntryId { term: Term(2), index: Index(4) };
    let snapshot =
        Snapshot { last, membership: Some(Membership::initial(3).into()), data: b"state".as_slice().into() };
    let image = Image { boot: 1, hard: hard(2, 0), snapshot: Some(snapshot.clone()), entries: entries(&[2]) };
    assert_eq!(disk.settle(&mut wal, 5, || image), Some(Index(5)));
    assert!(disk.file(FILE).len() < ends[3]);
    wal.entries(Index(6), entries(&[3]).iter());
    disk.settle(&mut wal, 6, unused);
    let recovered = disk.recover().unwrap().unwrap();
    assert_eq!((recovered.snapshot.clone(), recovered.hard), (Some(snapshot), hard(2, 0)));
    assert_eq!((recovered.entries.clone(), recovered.last()), (entries(&[2, 3]), Index(6)));
}

#[test]
fn a_file_of_version_1_is_read_and_continued() {
    let id = EntryId { term: Term(2), index: Index(4) };
    let mut file = b"ELRAFTW\x01".to_vec();
    file.u64(77);
    let checksum = crc32fast::hash(&file);
    file.u32(checksum);
    let mut items = vec![3];
    write_id(&mut items, id);
    items.bytes(b"state");
    record::encode_entries(&mut items, Index(5), entries(&[2, 2]).iter());
    file.extend(record::encode(77, 1, &items));
    let mut disk = Disk(vec![(FILE.to_owned(), file)]);
    let recovered = disk.recover().unwrap().unwrap();
    let snapshot = Snapshot { last: id, membership: None, data: b"state".as_slice().into() };
    assert_eq!((recovered.snapshot.as_ref(), recovered.last()), (Some(&snapshot), Index(6)));
    let mut wal = Wal::resume(&recovered);
    wal.entries(Index(7), entries(&[3]).iter());
    disk.settle(&mut wal, 7, unused);
    assert_eq!(disk.recover().unwrap().unwrap().entries, entries(&[2, 2, 3]));
    disk.file(FILE)[7] = 3;
    let checksum = crc32fast::hash(&disk.file(FILE)[..16]).to_le_bytes();
    disk.file(FILE)[16..20].copy_from_slice(&checksum);
    assert!(disk.recover().unwrap_err().what.contains("version"), "a later version is not guessed at");
}

#[test]
fn writes_gather_while_a_sync_is_under_way() {
    let (mut disk, mut wal, mut out) = (Disk::default(), Wal::create(1), Vec::new());
    disk.settle(&mut wal, 0, new_image);
    wal.entries(Index(1), entries(&[1]).iter());
    assert!(wal.flush(Index(1), unused, &mut out));
    for index in 2..5 {
        wal.entries(Index(index), entries(&[1]).iter());
        assert!(!wal.flush(Index(index), unused, &mut out));
    }
    assert_eq!(out.len(), 2, "one write, one sync");
    let Output::Sync { id, .. } = out[1] else { panic!() };
    assert_eq!(wal.synced(id, &mut out), Some(Index(1)));
    assert_eq!(wal.synced(id, &mut out), None);
    assert!(wal.flush(Index(4), unused, &mut out));
    assert_eq!(out.len(), 4);
}

#[test]
fn a_sync_does_not_cover_entries_that_were_replaced_meanwhile() {
    let (mut disk, mut wal, mut out) = (Disk::default(), Wal::create(1), Vec::new());
    disk.settle(&mut wal, 0, new_image);
    wal.entries(Index(1), entries(&[1, 1, 1]).iter());
    wal.flush(Index(3), unused, &mut out);
    wal.entries(Index(2), entries(&[2, 2]).iter());
    let Output::Sync { id, .. } = out[1] else { panic!() };
    assert_eq!(wal.synced(id, &mut out), Some(Index(1)));
}
