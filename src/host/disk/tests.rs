//! The tree against a brute-force model: random operations, the power lost at any point.

use super::Lost;
use super::tree::{ROOT, Rights, Tree, What};
use elenchus_core::fault::Loss;
use elenchus_core::random::{Rng, Seed};
use nix::errno::Errno;
use nix::fcntl::RenameFlags;
use nix::unistd::UnlinkatFlags;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

/// A folder that goes away with the test.
pub struct Scratch(pub PathBuf);

impl Scratch {
    pub fn new() -> Scratch {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let name = format!("elenchus-disk-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Scratch(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A file of the model: what programs see, and what is durable.
#[derive(Clone, Default)]
struct File {
    seen: Vec<u8>,
    durable: Vec<u8>,
    dirty: Vec<bool>,
    is_replaced: bool,
}

impl File {
    fn write(&mut self, offset: usize, bytes: &[u8]) {
        let end = offset + bytes.len();
        if !bytes.is_empty() {
            self.resize(self.seen.len().max(end));
            self.seen[offset..end].copy_from_slice(bytes);
            self.dirty[offset..end].fill(true);
        }
    }
    fn resize(&mut self, length: usize) {
        self.seen.resize(length, 0);
        self.dirty.resize(length, false);
    }
    fn truncate(&mut self, length: usize) {
        self.resize(length);
        self.durable.resize(length, 0);
        self.is_replaced |= length == 0;
    }
    fn reserve(&mut self, end: usize) {
        self.resize(self.seen.len().max(end));
        self.durable.resize(self.durable.len().max(end), 0);
    }
    fn sync(&mut self) {
        for place in (0..self.seen.len()).filter(|place| self.dirty[*place]) {
            self.durable.resize(self.durable.len().max(place + 1), 0);
            self.durable[place] = self.seen[place];
        }
        self.dirty.fill(false);
        self.is_replaced = false;
    }
    fn unsynced(&self) -> u64 {
        self.dirty.iter().filter(|dirty| **dirty).count() as u64
    }
    fn lose(&mut self) {
        self.seen = self.durable.clone();
        self.dirty = vec![false; self.seen.len()];
        self.is_replaced = false;
    }
}

/// The model: names to files, several names perhaps to one.
#[derive(Default)]
struct Model {
    names: BTreeMap<String, usize>,
    files: Vec<File>,
}

impl Model {
    fn file(&mut self, name: &str) -> Option<&mut File> {
        self.names.get(name).map(|file| &mut self.files[*file])
    }
    fn lose(&mut self) -> Lost {
        let named: std::collections::BTreeSet<usize> = self.names.values().copied().collect();
        let lost = named.iter().map(|file| self.files[*file].unsynced()).filter(|bytes| *bytes > 0);
        let lost =
            lost.fold(Lost::default(), |sum, bytes| Lost { bytes: sum.bytes + bytes, files: sum.files + 1 });
        self.files.iter_mut().for_each(File::lose);
        lost
    }
}

fn rights() -> Rights {
    Rights { mode: 0o644, user: nix::unistd::geteuid().as_raw(), group: nix::unistd::getegid().as_raw() }
}

const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];

/// Does something to the file of this name, as the kernel would: look it up, act, forget it.
fn with<T>(tree: &mut Tree, name: &str, act: impl FnOnce(&mut Tree, u64) -> T) -> T {
    let inode = tree.look_up(ROOT, OsStr::new(name)).unwrap().st_ino;
    let result = act(tree, inode);
    tree.forget(inode, 1);
    result
}

/// One random step of both.
fn step(rng: &mut Rng, tree: &mut Tree, model: &mut Model) {
    let (name, other) = (*rng.pick(&NAMES), *rng.pick(&NAMES));
    let is_there = model.names.contains_key(name);
    match rng.below(16) {
        0 | 1 => {
            let made = tree.make(ROOT, OsStr::new(name), What::File, rights());
            assert_eq!(made.is_ok(), !is_there);
            if let Ok(stat) = made {
                model.names.insert(name.into(), model.files.len());
                model.files.push(File::default());
                tree.forget(stat.st_ino, 1);
            }
        }
        2 => {
            let removed = tree.remove(ROOT, OsStr::new(name), UnlinkatFlags::NoRemoveDir);
            assert_eq!(removed.is_ok(), model.names.remove(name).is_some());
        }
        3 | 4 => {
            let renamed =
                tree.rename((ROOT, OsStr::new(name)), (ROOT, OsStr::new(other)), RenameFlags::empty(), true);
            assert_eq!(renamed.is_ok(), is_there);
            if let Some(file) = model.names.get(name).copied() {
                let target = model.names.get(other).copied();
                if target.is_some() {
                    model.files[file].sync();
                }
                // Two names of one file: renaming does nothing, says POSIX.
                if target != Some(file) {
                    model.names.remove(name);
                    model.names.insert(other.into(), file);
                }
            }
        }
        5 if is_there && !model.names.contains_key(other) => {
            with(tree, name, |tree, inode| {
                tree.link(inode, ROOT, OsStr::new(other)).unwrap();
                tree.forget(inode, 1);
            });
            model.names.insert(other.into(), model.names[name]);
        }
        _ if !is_there => {}
        6 | 7 => {
            with(tree, name, Tree::sync).unwrap();
            model.file(name).unwrap().sync();
        }
        8 => {
            let length = if rng.chance(1, 3) { 0 } else { rng.below(3000) };
            with(tree, name, |tree, inode| tree.truncate(inode, length)).unwrap();
            model.file(name).unwrap().truncate(length as usize);
        }
        9 => {
            let (offset, length) = (rng.below(2000), 1 + rng.below(2000));
            with(tree, name, |tree, inode| tree.allocate(inode, 0, offset, length)).unwrap();
            model.file(name).unwrap().reserve((offset + length) as usize);
        }
        10 => {
            with(tree, name, |tree, inode| tree.close(inode, true)).unwrap();
            let file = model.file(name).unwrap();
            if file.is_replaced {
                file.sync();
            }
        }
        _ => {
            let file = model.file(name).unwrap();
            let offset = if rng.chance(1, 2) { file.seen.len() as u64 } else { rng.below(3000) };
            let bytes: Vec<u8> = (0..rng.below(700)).map(|_| rng.next_u64() as u8).collect();
            file.write(offset as usize, &bytes);
            with(tree, name, |tree, inode| tree.write(inode, offset, &bytes)).unwrap();
        }
    }
}

#[track_caller]
fn compare(tree: &mut Tree, model: &Model, folder: &std::path::Path, seed: u64) {
    let listed: Vec<String> =
        tree.list(ROOT).unwrap().into_iter().map(|entry| entry.name.into_string().unwrap()).collect();
    assert_eq!(listed.iter().collect::<Vec<_>>(), model.names.keys().collect::<Vec<_>>(), "seed {seed}");
    for (name, file) in &model.names {
        let file = &model.files[*file];
        let (seen, size) = with(tree, name, |tree, inode| {
            (tree.read(inode, 0, 1 << 20).unwrap(), tree.attributes(inode).unwrap().st_size)
        });
        assert!(seen == file.seen, "seed {seed}: {name} is seen wrong");
        assert_eq!(size, file.seen.len() as i64, "seed {seed}");
        assert!(std::fs::read(folder.join(name)).unwrap() == file.durable, "seed {seed}: {name} on disk");
    }
}

#[test]
fn whenever_the_power_goes_the_disk_holds_what_the_rules_say() {
    for seed in 0..150 {
        let scratch = Scratch::new();
        let mut tree = Tree::open(&scratch.0).unwrap();
        let (mut rng, mut model) = (Seed(seed).rng(), Model::default());
        for _ in 0..80 {
            step(&mut rng, &mut tree, &mut model);
            if rng.chance(1, 12) {
                compare(&mut tree, &model, &scratch.0, seed);
            }
            if rng.chance(1, 20) {
                assert_eq!(tree.lose(Loss::Unsynced).unwrap().0, model.lose(), "seed {seed}");
                compare(&mut tree, &model, &scratch.0, seed);
            }
        }
        compare(&mut tree, &model, &scratch.0, seed);
        tree.sync_all().unwrap();
        model.files.iter_mut().for_each(File::sync);
        compare(&mut tree, &model, &scratch.0, seed);
    }
}

#[test]
fn only_the_file_that_was_written_last_is_torn() {
    let scratch = Scratch::new();
    let mut tree = Tree::open(&scratch.0).unwrap();
    for name in ["first", "last", "synced"] {
        let inode = tree.make(ROOT, OsStr::new(name), What::File, rights()).unwrap().st_ino;
        tree.write(inode, 0, &[b'x'; 4096]).unwrap();
        tree.write(inode, 4096, &[b'y'; 2000]).unwrap();
        if name == "synced" {
            tree.sync(inode).unwrap();
        }
    }
    let (lost, changed) = tree.lose(Loss::Torn).unwrap();
    assert_eq!((lost, changed.len()), (Lost { bytes: 6096 + 6096 - 2560, files: 2 }, 2));
    let length = |name: &str| std::fs::metadata(scratch.0.join(name)).unwrap().len();
    // The half, down to a whole sector.
    assert_eq!([length("first"), length("last"), length("synced")], [0, 2560, 6096]);
}

#[test]
fn an_open_file_without_a_name_works_until_it_is_forgotten() {
    let scratch = Scratch::new();
    let mut tree = Tree::open(&scratch.0).unwrap();
    let name = OsStr::new("short-lived");
    let inode = tree.make(ROOT, name, What::File, rights()).unwrap().st_ino;
    tree.write(inode, 0, b"still here").unwrap();
    tree.remove(ROOT, name, UnlinkatFlags::NoRemoveDir).unwrap();
    assert_eq!(tree.look_up(ROOT, name).unwrap_err(), Errno::ENOENT);
    assert_eq!(tree.read(inode, 6, 100).unwrap(), b"here");
    tree.forget(inode, 1);
    assert_eq!(tree.read(inode, 0, 1).unwrap_err().raw_os_error(), Some(libc::ESTALE));
    assert_eq!(tree.lose(Loss::Unsynced).unwrap().0, Lost::default());
}

#[test]
fn requests_that_make_no_sense_are_refused() {
    let scratch = Scratch::new();
    let mut tree = Tree::open(&scratch.0).unwrap();
    let inode = tree.make(ROOT, OsStr::new("file"), What::File, rights()).unwrap().st_ino;
    let code = |result: std::io::Result<()>| result.unwrap_err().raw_os_error();
    assert_eq!(code(tree.write(inode, i64::MAX as u64, b"x")), Some(libc::EFBIG));
    assert_eq!(code(tree.write(u64::MAX, 0, b"x")), Some(libc::ESTALE));
    assert_eq!(code(tree.write(ROOT, 0, b"x")), Some(libc::EISDIR));
    assert_eq!(code(tree.allocate(inode, 0, u64::MAX, 1)), Some(libc::EFBIG));
    assert_eq!(code(tree.allocate(inode, 1 << 30, 0, 1)), Some(libc::EOPNOTSUPP));
    assert_eq!(tree.make(ROOT, OsStr::new("file"), What::Folder, rights()).unwrap_err(), Errno::EEXIST);
    assert_eq!(tree.look_up(inode, OsStr::new("x")).unwrap_err(), Errno::ENOTDIR);
    let target = (ROOT, OsStr::new("y"));
    let renamed = tree.rename((ROOT, OsStr::new("x")), target, RenameFlags::empty(), true);
    assert_eq!(code(renamed), Some(libc::ENOENT));
    assert!(Tree::open(&scratch.0.join("file")).is_err());
}
