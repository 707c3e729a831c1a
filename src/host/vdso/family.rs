//! The processes of one node, which all lie together.
//!
//! They are whatever is in the node's session or descends from its first process: a shell that starts the
//! real server is patched with it. A child forked from a patched process is patched by birth; one that executes
//! another program tells the truth until the family is [tended](Family::tend).

use super::lie::Lie;
use super::patch::{Patch, PatchError};
use super::tracee::TraceError;
use super::variables::Shown;
use crate::host::processes::{self, Identity, Process};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// Why a node's clock does not lie, or does not tell the truth again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FamilyError {
    /// Nobody is there to be lied to.
    #[error("process {0} and its family have ended")]
    Gone(i32),
    /// The numbers that we know say nothing here.
    #[error("/proc shows the processes of another pid namespace: none can be patched")]
    Proc,
    /// It goes on begetting processes faster than they are patched.
    #[error("process {0} starts others faster than their clocks can be set")]
    Restless(i32),
    /// One of them cannot be patched.
    #[error(transparent)]
    Patch(#[from] PatchError),
}

/// How often newcomers are looked for in a row.
const ROUNDS: usize = 20;

/// The patched processes of a node.
#[derive(Debug, Default)]
pub struct Family {
    lie: Lie,
    patches: BTreeMap<i32, Patch>,
    /// How many reads had been seen when last somebody asked.
    reads: u64,
}

impl Family {
    /// Makes all processes around `leader` lie so from now on.
    pub fn set(&mut self, leader: Identity, lie: Lie, deadline: Instant) -> Result<(), FamilyError> {
        self.lie = lie;
        self.reads = 0;
        self.tend(leader, deadline)
    }

    /// Patches whoever is not patched.
    pub fn tend(&mut self, leader: Identity, deadline: Instant) -> Result<(), FamilyError> {
        let mut settled = BTreeSet::new();
        for _ in 0..ROUNDS {
            let members = members(leader)?;
            if members.is_empty() {
                return Err(FamilyError::Gone(leader.pid));
            }
            let new: Vec<i32> = members.into_iter().filter(|pid| !settled.contains(pid)).collect();
            if new.is_empty() {
                return Ok(());
            }
            for pid in new {
                match self.settle(pid, deadline) {
                    Ok(()) => drop(settled.insert(pid)),
                    // Then the next round does not find it.
                    Err(error) if error.is_gone() => drop(self.patches.remove(&pid)),
                    // It became another program under our hands.
                    Err(error) if error.is_passing() => std::thread::sleep(Duration::from_millis(1)),
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Err(FamilyError::Restless(leader.pid))
    }

    fn settle(&mut self, pid: i32, deadline: Instant) -> Result<(), PatchError> {
        let known = self.patches.get(&pid);
        if let Some(patch) = known.filter(|patch| patch.stands() == Ok(true)) {
            return patch.set(&self.lie);
        }
        let patch = match Patch::find(pid)? {
            Some(patch) => {
                patch.set(&self.lie)?;
                patch
            }
            None => {
                let block = known.map(Patch::block);
                Patch::install(pid, block, &self.lie, deadline)?
            }
        };
        self.patches.insert(pid, patch);
        Ok(())
    }

    /// Makes the clock of everybody tell the truth, at once; then their code is put back. The first error is
    /// told when all has been tried; a process that cannot be stopped tells the truth all the same.
    pub fn free(&mut self, leader: Identity, deadline: Instant) -> Result<(), FamilyError> {
        self.lie = Lie::default();
        self.reads = 0;
        let mut result = Ok(());
        let standing = self.patches.iter().filter(|(_, patch)| patch.stands() == Ok(true));
        let mut pids: BTreeSet<i32> = standing.map(|(pid, _)| *pid).collect();
        pids.extend(members(leader)?);
        for pid in pids {
            match free(pid, deadline) {
                Ok(()) => {}
                Err(error) if error.is_gone() => drop(self.patches.remove(&pid)),
                Err(error) => result = result.and(Err(error.into())),
            }
        }
        result
    }

    /// What they were shown since the lie began. Of several the one that was misled the most counts.
    pub fn shown(&self) -> Shown {
        self.each_shown().max_by_key(|shown| (shown.ahead_ns.unsigned_abs(), shown.reads)).unwrap_or_default()
    }

    /// Whether the clock was read askew since this was asked last.
    pub fn was_read(&mut self) -> bool {
        let reads = self.each_shown().map(|shown| shown.reads).fold(0, u64::saturating_add);
        std::mem::replace(&mut self.reads, reads) < reads
    }

    fn each_shown(&self) -> impl Iterator<Item = Shown> {
        let standing = self.patches.values().filter(|patch| patch.stands() == Ok(true));
        standing.filter_map(|patch| patch.shown().ok())
    }

    /// Whether their clock is meant to lie.
    pub fn lies(&self) -> bool {
        !self.lie.is_truth()
    }
}

fn free(pid: i32, deadline: Instant) -> Result<(), PatchError> {
    let patch = match Patch::find(pid) {
        Ok(Some(patch)) => patch,
        // What could not be patched was not.
        Ok(None) | Err(PatchError::Image(..) | PatchError::NoVdso(_) | PatchError::Short(..)) => {
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    patch.set(&Lie::default())?;
    match patch.remove(deadline) {
        // It tells the truth, only more slowly.
        Err(PatchError::Trace(TraceError::Stuck { .. })) => Ok(()),
        result => result,
    }
}

/// The living processes around `leader`; none if its number is another's by now. Parents come first: a child
/// that is about to execute another program may still share its parent's memory, and is patched with it.
fn members(leader: Identity) -> Result<Vec<i32>, FamilyError> {
    if Process::find_own().is_none_or(|own| own.identity.pid != std::process::id() as i32) {
        return Err(FamilyError::Proc);
    }
    if Process::find(leader.pid).is_some_and(|process| process.identity != leader) {
        return Ok(vec![]);
    }
    let mut family = processes::family(leader.pid);
    family.sort_by_key(|identity| identity.start);
    Ok(family.iter().map(|identity| identity.pid).collect())
}
