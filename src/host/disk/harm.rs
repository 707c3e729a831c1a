//! Files of a stopped node, damaged: as a disk that rots, a file system that was repaired, a backup that was
//! put back.
//!
//! It works on any folder, with or without a disk of ours under it, and syncs what it changes. Which file is
//! struck needs no drawing: it is the one that changed last, which is where a store keeps
//! what it acknowledged last. Zeroes at a file's end are taken for room that was reserved, not for content.

use elenchus_core::fault::Harm;
use elenchus_core::random::Seed;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, MetadataExt, symlink};
use std::path::{Path, PathBuf};

/// How much of a file is looked at, in bytes.
const LOOK_MAX: u64 = 256 << 20;
/// How much of a file's end is cut off at most, in bytes.
const CUT_MAX: u64 = 1 << 20;
/// What is copied at once, in bytes; a piece that is all zeroes becomes a hole.
const PIECE: usize = 1 << 16;

/// Why nothing, or not all, was damaged.
#[derive(Debug, thiserror::Error)]
pub enum HarmError {
    /// There is nothing to damage.
    #[error("{0} holds no file with anything in it")]
    Nothing(PathBuf),
    /// There is nothing to go back to.
    #[error("no earlier copy of {0} was taken")]
    NoCopy(PathBuf),
    /// The machine gave an error.
    #[error("{path}: {source}")]
    Io {
        /// With which file.
        path: PathBuf,
        /// Which.
        source: io::Error,
    },
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> HarmError + '_ {
    move |source| HarmError::Io { path: path.to_owned(), source }
}

/// Damages the files in `folder`, whose node must be down. `copy` is where [`keep`] left an earlier state of
/// them. Says what was done.
pub fn damage(folder: &Path, harm: Harm, copy: &Path, seed: Seed) -> Result<String, HarmError> {
    match harm {
        Harm::BitFlip => flip(folder, seed),
        Harm::Truncate => cut(folder, seed),
        Harm::Rollback => roll_back(folder, copy),
    }
}

/// Copies the files in `folder` to `copy`, in place of what is there.
pub fn keep(folder: &Path, copy: &Path) -> Result<(), HarmError> {
    empty(copy)?;
    copy_all(folder, copy).map(|_| ())
}

fn flip(folder: &Path, seed: Seed) -> Result<String, HarmError> {
    let (path, content) = last_changed(folder)?;
    let mut rng = seed.rng();
    let drawn = rng.below(content.len() as u64) as usize;
    // The content ends with a byte that is not zero.
    let place = drawn + content[drawn..].iter().position(|byte| *byte != 0).unwrap_or(0);
    let bit = rng.below(8);
    let changed = [content[place] ^ (1 << bit)];
    let file = OpenOptions::new().write(true).open(&path).map_err(at(&path))?;
    file.write_all_at(&changed, place as u64).and_then(|()| file.sync_all()).map_err(at(&path))?;
    Ok(format!("bit {bit} of byte {place} of {} flipped", shown(folder, &path)))
}

fn cut(folder: &Path, seed: Seed) -> Result<String, HarmError> {
    let (path, content) = last_changed(folder)?;
    let length = content.len() as u64;
    let left = length - 1 - seed.rng().below(length.min(CUT_MAX));
    let file = OpenOptions::new().write(true).open(&path).map_err(at(&path))?;
    file.set_len(left).and_then(|()| file.sync_all()).map_err(at(&path))?;
    Ok(format!("{} cut to {left} of its {length} bytes", shown(folder, &path)))
}

/// What is there now is kept for the next time.
fn roll_back(folder: &Path, copy: &Path) -> Result<String, HarmError> {
    if !copy.is_dir() {
        return Err(HarmError::NoCopy(folder.to_owned()));
    }
    let mut newer = copy.as_os_str().to_owned();
    newer.push(".new");
    let newer = PathBuf::from(newer);
    keep(folder, &newer)?;
    empty(folder)?;
    let files = copy_all(copy, folder)?;
    fs::remove_dir_all(copy).map_err(at(copy))?;
    fs::rename(&newer, copy).map_err(at(&newer))?;
    let plural = if files == 1 { "" } else { "s" };
    Ok(format!("all is again as it was when the trial began, or was last set back: {files} file{plural}"))
}

/// The file that changed last, and its content up to the last byte that is not zero.
fn last_changed(folder: &Path) -> Result<(PathBuf, Vec<u8>), HarmError> {
    let mut files = vec![];
    walk(folder, &mut |path, metadata| {
        if metadata.is_file() && metadata.len() > 0 {
            files.push(((metadata.mtime(), metadata.mtime_nsec()), path.to_owned()));
        }
        Ok(())
    })?;
    files.sort();
    for (_, path) in files.into_iter().rev() {
        let mut content = vec![];
        let file = File::open(&path).map_err(at(&path))?;
        file.take(LOOK_MAX).read_to_end(&mut content).map_err(at(&path))?;
        content.truncate(content.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1));
        if !content.is_empty() {
            return Ok((path, content));
        }
    }
    Err(HarmError::Nothing(folder.to_owned()))
}

fn shown(folder: &Path, path: &Path) -> String {
    path.strip_prefix(folder).unwrap_or(path).display().to_string()
}

/// Calls `visit` for everything under `folder`, folders before what is in them, in the order of names.
fn walk(
    folder: &Path,
    visit: &mut impl FnMut(&Path, &fs::Metadata) -> Result<(), HarmError>,
) -> Result<(), HarmError> {
    let mut paths = vec![];
    for entry in fs::read_dir(folder).map_err(at(folder))? {
        paths.push(entry.map_err(at(folder))?.path());
    }
    paths.sort();
    for path in paths {
        let metadata = fs::symlink_metadata(&path).map_err(at(&path))?;
        visit(&path, &metadata)?;
        if metadata.is_dir() {
            walk(&path, visit)?;
        }
    }
    Ok(())
}

/// Makes the folder if it is not there, and removes everything in it; the folder itself may be a mount.
fn empty(folder: &Path) -> Result<(), HarmError> {
    fs::create_dir_all(folder).map_err(at(folder))?;
    for entry in fs::read_dir(folder).map_err(at(folder))? {
        let entry = entry.map_err(at(folder))?;
        let path = entry.path();
        let is_folder = entry.file_type().map_err(at(&path))?.is_dir();
        if is_folder { fs::remove_dir_all(&path) } else { fs::remove_file(&path) }.map_err(at(&path))?;
    }
    Ok(())
}

/// Copies files, folders and symbolic links; sockets, pipes and devices hold nothing. Returns how many files.
fn copy_all(from: &Path, to: &Path) -> Result<u64, HarmError> {
    let mut files = 0;
    walk(from, &mut |path, metadata| {
        let target = to.join(path.strip_prefix(from).expect("it was found in there"));
        if metadata.is_dir() {
            fs::create_dir(&target).map_err(at(&target))?;
        } else if metadata.is_symlink() {
            let leads = fs::read_link(path).map_err(at(path))?;
            return symlink(leads, &target).map_err(at(&target));
        } else if metadata.is_file() {
            copy_file(path, &target)?;
            files += 1;
        } else {
            return Ok(());
        }
        fs::set_permissions(&target, metadata.permissions()).map_err(at(&target))?;
        let (user, group) = (Some(metadata.uid()), Some(metadata.gid()));
        std::os::unix::fs::chown(&target, user, group).map_err(at(&target))
    })?;
    Ok(files)
}

fn copy_file(from: &Path, to: &Path) -> Result<(), HarmError> {
    let mut source = File::open(from).map_err(at(from))?;
    let target = File::create(to).map_err(at(to))?;
    let (mut piece, mut place) = (vec![0; PIECE], 0);
    loop {
        let length = source.read(&mut piece).map_err(at(from))?;
        if length == 0 {
            break;
        }
        if piece[..length].iter().any(|byte| *byte != 0) {
            target.write_all_at(&piece[..length], place).map_err(at(to))?;
        }
        place += length as u64;
    }
    target.set_len(place).and_then(|()| target.sync_all()).map_err(at(to))
}

#[cfg(test)]
mod tests {
    use super::super::tests::Scratch;
    use super::*;

    fn damaged(scratch: &Scratch, harm: Harm, seed: u64) -> Result<String, HarmError> {
        damage(&scratch.0.join("data"), harm, &scratch.0.join("copy"), Seed(seed))
    }

    fn scratch() -> Scratch {
        let scratch = Scratch::new();
        fs::create_dir_all(scratch.0.join("data/wal")).unwrap();
        fs::write(scratch.0.join("data/old"), b"old").unwrap();
        let old = fs::File::options().write(true).open(scratch.0.join("data/old")).unwrap();
        old.set_modified(std::time::UNIX_EPOCH).unwrap();
        fs::write(scratch.0.join("data/wal/log"), [b"content".as_slice(), &[0; 5000]].concat()).unwrap();
        scratch
    }

    #[test]
    fn one_bit_is_flipped_where_there_is_content() {
        for seed in 0..50 {
            let scratch = scratch();
            let said = damaged(&scratch, Harm::BitFlip, seed).unwrap();
            assert!(said.contains("wal/log"), "{said}");
            let now = fs::read(scratch.0.join("data/wal/log")).unwrap();
            let differ = now.iter().zip(b"content").map(|(now, then)| (now ^ then).count_ones()).sum::<u32>();
            assert_eq!(differ, 1, "{said}");
            assert!(now[7..].iter().all(|byte| *byte == 0) && now.len() == 5007);
        }
    }

    #[test]
    fn content_is_cut_off_not_only_reserved_room() {
        for seed in 0..50 {
            let scratch = scratch();
            damaged(&scratch, Harm::Truncate, seed).unwrap();
            let now = fs::read(scratch.0.join("data/wal/log")).unwrap();
            assert!(now.len() < 7 && b"content".starts_with(&now));
        }
    }

    #[test]
    fn a_roll_back_restores_all_and_removes_what_is_newer() {
        let scratch = scratch();
        assert!(matches!(damaged(&scratch, Harm::Rollback, 0), Err(HarmError::NoCopy(_))));
        symlink("old", scratch.0.join("data/link")).unwrap();
        let (data, copy) = (scratch.0.join("data"), scratch.0.join("copy"));
        fs::create_dir_all(copy.join("of an earlier time")).unwrap();
        keep(&data, &copy).unwrap();
        fs::write(data.join("wal/log"), b"changed").unwrap();
        fs::write(data.join("wal/newer"), b"new").unwrap();
        fs::remove_file(data.join("old")).unwrap();
        fs::remove_file(data.join("link")).unwrap();
        let said = damaged(&scratch, Harm::Rollback, 0).unwrap();
        assert!(said.contains("2 files"), "{said}");
        assert_eq!(fs::read(data.join("old")).unwrap(), b"old");
        assert_eq!(fs::read_link(data.join("link")).unwrap(), Path::new("old"));
        assert_eq!(fs::read(data.join("wal/log")).unwrap().len(), 5007);
        assert!(!data.join("wal/newer").exists() && !data.join("of an earlier time").exists());

        damaged(&scratch, Harm::Rollback, 0).unwrap();
        assert_eq!(fs::read(data.join("wal/log")).unwrap(), b"changed", "the next time leads to the last");
        assert!(data.join("wal/newer").exists() && !data.join("old").exists());
    }

    #[test]
    fn a_folder_without_content_cannot_be_damaged() {
        let scratch = Scratch::new();
        fs::create_dir_all(scratch.0.join("data")).unwrap();
        fs::write(scratch.0.join("data/zeroes"), [0; 100]).unwrap();
        for harm in [Harm::BitFlip, Harm::Truncate] {
            assert!(matches!(damaged(&scratch, harm, 0), Err(HarmError::Nothing(_))));
        }
    }
}
