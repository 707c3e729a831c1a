//! A disk in use: mounted, served, made to fail.

use super::Lost;
use super::mounting::Mount;
use super::server::{Server, State};
use super::tree::Tree;
use elenchus_core::fault::{Ailment, Loss};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How many threads ask the kernel for work. A slow sync takes a further one, so that two suffice.
const THREADS: usize = 2;

/// A disk in use. Dropped, it is written out and unmounted, as if the machine was shut down.
#[derive(Debug)]
pub struct Disk {
    state: Arc<State>,
    notifier: fuser::Notifier,
    point: PathBuf,
    /// Dropped before the tree is written out, so that nobody writes to it any more.
    mount: Option<Mount>,
}

impl Disk {
    /// Mounts a disk at `point` whose durable state is `folder`; the two may be the same. The threads that
    /// serve it belong to this process.
    pub fn mount(folder: &Path, point: &Path) -> io::Result<Disk> {
        let state = Arc::new(State::new(Tree::open(folder)?));
        let (mount, device) = Mount::new(point)?;
        let mut config = fuser::Config::default();
        config.n_threads = Some(THREADS);
        config.acl = fuser::SessionACL::All;
        let server = Server::new(state.clone());
        let session = fuser::Session::from_fd(server, device, fuser::SessionACL::All, config)?;
        let notifier = session.notifier();
        // It ends with the mount.
        drop(session.spawn()?);
        Ok(Disk { state, notifier, point: point.to_owned(), mount: Some(mount) })
    }

    /// Where it is mounted.
    pub fn point(&self) -> &Path {
        &self.point
    }

    /// Makes everything durable that is there now, as if nobody had used the disk yet.
    pub fn settle(&self) -> io::Result<()> {
        self.state.tree().sync_all()
    }

    /// The power goes: what is not synced is lost. To be called when the node's processes are gone; what
    /// they had mapped has been handed to us by then, as writes.
    pub fn power_off(&self, loss: Loss) -> io::Result<Lost> {
        self.state.ailing.power_went();
        let (lost, changed) = self.state.tree().lose(loss)?;
        for inode in changed {
            // The kernel may hold pages of what is lost. It must be asked without the lock: a page that is
            // being read is waited for.
            self.notifier.inval_inode(fuser::INodeNo(inode), 0, 0)?;
        }
        Ok(lost)
    }

    /// Makes the disk ail in this way, or cures it. Returns how many operations the ailment that ends here
    /// has touched.
    pub fn ail(&self, ailment: Option<Ailment>) -> u64 {
        self.state.ailing.set(ailment)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        self.mount = None;
        self.state.ailing.set(None);
        // Nobody is left to be told; what was not synced was never promised.
        let _ = self.state.tree().sync_all();
    }
}
