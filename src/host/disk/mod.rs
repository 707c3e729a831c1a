//! Disks that fail: a file system of our own over a node's data folder.
//!
//! The folder itself is the **durable state**: what is not synced is in this process's memory and nowhere
//! else. A power loss forgets it; the node that is started again finds, under the same mount, what its disk
//! would have held.
//!
//! Which state that is must be one that a real machine can show, or correct programs would be accused. It is
//! that of ext4 (ordered data, delayed allocation, `auto_da_alloc`), whose journal has just been committed,
//! while no block was written that nobody asked for:
//!
//! - **Names** (create, rename, link, unlink, mkdir, rmdir, symlink), owners and modes are durable at once,
//!   in their order. Whoever forgets to sync a folder is not caught.
//! - **Bytes** are durable by `fsync`, `fdatasync`, `msync(MS_SYNC)`, a write to a file opened with `O_SYNC`
//!   or `O_DSYNC` or with `RWF_SYNC` or `RWF_DSYNC`; all of the file's at once. `O_DIRECT`, `close`,
//!   `munmap`, `msync(MS_ASYNC)` and `sync_file_range` promise nothing. `sync` and `syncfs` do not reach a
//!   FUSE file system: they make nothing durable either, which is harsher than ext4.
//! - **Sizes**: appended bytes count once they are durable. `ftruncate` and `fallocate` are metadata:
//!   durable at once, and what was not synced within the size reads as what was there before, or zeroes.
//! - **Replacing**: a file renamed over another is written out first, and a file cut to nothing is written
//!   out when it is closed, as ext4 does (`auto_da_alloc`). A new file under a new name that was never
//!   synced is there, and empty.
//! - After a failed sync the bytes are kept, and a later sync may succeed; ext4 drops them.
//!
//! The disk is served by threads of the process that mounts it. Should that die, the kernel answers every
//! request with an error: nothing hangs.
//!
//! | module | what it is |
//! |---|---|
//! | `unsynced` | what a file holds beyond what its disk holds |
//! | `node`, `tree` | the files of a folder, durable part and all |
//! | `ailing` | what ails a disk |
//! | `server` | the kernel's questions, put to the tree |
//! | `mounting` | mounting, and whether the kernel would let us |
//! | `mounted` | a disk in use |
//! | `elsewhere` | the same where there is no FUSE: refusals |
//! | [`harm`] | files of a stopped node, damaged |

#[cfg(target_os = "linux")]
mod ailing;
#[cfg(not(target_os = "linux"))]
mod elsewhere;
pub mod harm;
#[cfg(target_os = "linux")]
mod mounted;
#[cfg(target_os = "linux")]
mod mounting;
#[cfg(target_os = "linux")]
mod node;
#[cfg(target_os = "linux")]
mod server;
#[cfg(target_os = "linux")]
mod tree;
#[cfg(target_os = "linux")]
mod unsynced;

pub use elenchus_core::cluster::Lost;
#[cfg(not(target_os = "linux"))]
pub use elsewhere::{Disk, probe, probe_as_we_are};
#[cfg(target_os = "linux")]
pub use {
    mounted::Disk,
    mounting::{probe, probe_as_we_are, unmount},
};

#[cfg(all(test, target_os = "linux"))]
mod tests;
