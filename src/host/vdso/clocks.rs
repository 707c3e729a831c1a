//! The clocks of all nodes, for a runtime that must not block.
//!
//! The kernel ties what is traced to the thread that traces it, so each deed is done in a thread of its own
//! that ends with it. A deed that nobody waits for any more is still done to its end; the next one on that node
//! comes after it.

use super::family::{Family, FamilyError};
use super::lie::{Lie, TooMuch};
use crate::host::processes::Identity;
use elenchus_core::fault::Skew;
use elenchus_core::process::NodeId;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::oneshot;

/// Why a node's clock does not lie, or does not tell the truth again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClockError {
    /// It was asked for too much.
    #[error(transparent)]
    TooMuch(#[from] TooMuch),
    /// Its processes cannot be patched, or not be freed.
    #[error(transparent)]
    Family(#[from] FamilyError),
    /// It takes too long.
    #[error("setting the clock of process {0} takes longer than {PATIENCE:?}")]
    Late(i32),
    /// There is no thread to do it.
    #[error("no thread can be started: {0}")]
    Thread(String),
}

/// How long a deed may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a read of the clock is waited for before the answer is what was shown last, if anything was.
const READ_WITHIN: Duration = Duration::from_millis(50);
/// How often new programs of a node whose clock lies are looked for.
const TEND_EVERY: Duration = Duration::from_millis(50);

/// Makes the clocks of nodes lie, each in the processes around one that the caller names.
#[derive(Debug, Default)]
pub struct Clocks {
    nodes: Mutex<BTreeMap<NodeId, Arc<Mutex<Node>>>>,
}

/// A node's processes.
#[derive(Debug, Default)]
struct Node {
    family: Family,
    /// Whose family is looked after; `None`: its clock is true.
    kept: Option<Identity>,
    /// Whether somebody looks after it, who ends once nobody is to be kept.
    has_keeper: bool,
}

impl Clocks {
    /// Makes the clock of the processes around `leader` lie from now on, or (with `None`) tell the truth.
    /// Returns how far ahead of the true time they were shown it since, in nanoseconds; `None` if they have not
    /// read it within a moment.
    pub async fn skew(
        &self,
        node: &NodeId,
        leader: Identity,
        skew: Option<Skew>,
    ) -> Result<Option<i64>, ClockError> {
        let node = self.node(node);
        deed(leader, move || {
            let deadline = Instant::now() + PATIENCE;
            let mut guard = lock(&node);
            let lie = match skew {
                Some(skew) => Lie::new(skew, now_ns())?,
                None => Lie::default(),
            };
            if lie.is_truth() {
                guard.kept = None;
                guard.family.free(leader, deadline)?;
                return Ok(Some(0));
            }
            guard.family.set(leader, lie, deadline)?;
            guard.kept = Some(leader);
            if !guard.has_keeper {
                keep(&node)?;
                guard.has_keeper = true;
            }
            drop(guard);
            Ok(read(&node))
        })
        .await
    }

    /// How far ahead of the true time the node's processes were shown it when last they were shown another
    /// than the true one, in nanoseconds; `None` if that did not happen since it was set. A clock that is not meant
    /// to lie is true whoever reads it: 0.
    pub async fn clock(&self, node: &NodeId, leader: Identity) -> Result<Option<i64>, ClockError> {
        let node = self.node(node);
        deed(leader, move || Ok(read(&node))).await
    }

    fn node(&self, node: &NodeId) -> Arc<Mutex<Node>> {
        let mut nodes = self.nodes.lock().unwrap_or_else(PoisonError::into_inner);
        nodes.entry(node.clone()).or_default().clone()
    }
}

fn lock(node: &Mutex<Node>) -> MutexGuard<'_, Node> {
    node.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits a moment for a read of the clock, and tells what was shown.
fn read(node: &Mutex<Node>) -> Option<i64> {
    let until = Instant::now() + READ_WITHIN;
    loop {
        let mut guard = lock(node);
        if !guard.family.lies() {
            return Some(0);
        }
        if guard.family.was_read() || Instant::now() >= until {
            let shown = guard.family.shown();
            return (shown.reads > 0).then_some(shown.ahead_ns);
        }
        drop(guard);
        thread::sleep(Duration::from_millis(1));
    }
}

/// Looks after a node from now on, until its clock is true or nobody asks for it any more.
fn keep(node: &Arc<Mutex<Node>>) -> Result<(), ClockError> {
    let node = Arc::downgrade(node);
    let keeper = thread::Builder::new().name("clock keeper".into());
    keeper.spawn(move || while tend(&node) {}).map(drop).map_err(|e| ClockError::Thread(e.to_string()))
}

/// One round of a keeper. Returns whether there is to be another one.
fn tend(node: &Weak<Mutex<Node>>) -> bool {
    thread::sleep(TEND_EVERY);
    let Some(node) = node.upgrade() else { return false };
    // In a thread of its own, for whatever is traced is let go when that ends.
    let round = thread::Builder::new().name("clock".into()).spawn(move || {
        let mut guard = lock(&node);
        // What cannot be patched was told when the clock was set; whoever came later is tried again.
        guard.has_keeper = guard.kept.is_some_and(|leader| {
            let tended = guard.family.tend(leader, Instant::now() + PATIENCE);
            !matches!(tended, Err(FamilyError::Gone(_)))
        });
        guard.has_keeper
    });
    // Where there is no room for a thread now there may be some next time.
    round.map_or(true, |round| round.join().unwrap_or(false))
}

/// Does something in a thread of its own.
async fn deed<T: Send + 'static>(
    leader: Identity,
    act: impl FnOnce() -> Result<T, ClockError> + Send + 'static,
) -> Result<T, ClockError> {
    let (answer, answered) = oneshot::channel();
    let doer = thread::Builder::new().name("clock".into());
    doer.spawn(move || {
        // Whoever asked may have given up.
        let _ = answer.send(act());
    })
    .map_err(|error| ClockError::Thread(error.to_string()))?;
    match tokio::time::timeout(PATIENCE + Duration::from_secs(1), answered).await {
        Ok(Ok(done)) => done,
        Ok(Err(_)) | Err(_) => Err(ClockError::Late(leader.pid)),
    }
}

/// The true time, nanoseconds since 1970.
pub(super) fn now_ns() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}
