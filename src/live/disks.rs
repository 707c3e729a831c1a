//! The data folders of nodes on this machine: a disk under each, where the plan wants disks to fail, and earlier
//! copies, where it wants files set back.
//!
//! A disk costs each call of a node a way through this process, so there is none unless a fault needs it.

use crate::host::Means;
use crate::host::disk::harm;
use crate::host::disk::{Disk, Lost};
use crate::plan::TrialPlan;
use elenchus_core::cluster::HeldBack;
use elenchus_core::fault::{Ailment, Harm, Loss};
use elenchus_core::outcome::Cause;
use elenchus_core::process::NodeId;
use elenchus_core::random::Seed;
use elenchus_core::system::System;
use elenchus_nemeses::FaultName;
use serde::{Deserialize, Serialize};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

/// The data folders that faults strike; none by default.
#[derive(Default)]
pub struct Disks {
    nodes: RefCell<BTreeMap<NodeId, Rc<Storage>>>,
}

/// A node's data folder that faults strike.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct DataFolder {
    /// Where it is, on the node's machine.
    pub path: PathBuf,
    /// Whether its disk loses power, or ails.
    pub ails: bool,
    /// Whether its files are damaged.
    pub is_damaged: bool,
    /// Decides what is damaged.
    pub seed: Seed,
}

/// One node's data folder.
struct Storage {
    folder: PathBuf,
    disk: Option<Arc<Disk>>,
    /// Where earlier copies of the files go, if they may be set back.
    copies: Option<PathBuf>,
    seed: Seed,
    /// How often its files were harmed.
    harms: Cell<u64>,
}

impl Disks {
    /// The data folders of a planned trial, each with a disk under it if the plan holds a fault of disks.
    pub fn new(plan: &TrialPlan, system: &dyn System, means: Means) -> Result<Disks, String> {
        let folders = DataFolder::all(plan, system)?;
        if folders.iter().any(|(_, folder)| folder.ails) && means == Means::Proxy {
            let why = "power and disk faults need mounts that end with the trial, and namespaces were not to be had";
            return Err(why.into());
        }
        let disks = Disks::default();
        folders.iter().try_for_each(|(node, folder)| disks.add(node, folder))?;
        Ok(disks)
    }

    /// Puts a disk under this data folder of a node that has not been started yet, if it is to ail.
    pub fn add(&self, node: &NodeId, folder: &DataFolder) -> Result<(), String> {
        let storage = Storage::new(folder).map_err(|error| format!("{}: {error}", folder.path.display()))?;
        self.nodes.borrow_mut().insert(node.clone(), Rc::new(storage));
        Ok(())
    }

    /// Whether the node's data folder is one of them.
    pub fn has(&self, node: &NodeId) -> bool {
        self.nodes.borrow().contains_key(node)
    }

    /// The trial begins: what nodes have written so far is durable, as it would be had they run for a while, and
    /// is what files may be set back to.
    pub(super) async fn settle(&self) -> Result<(), Cause> {
        let all: Vec<Rc<Storage>> = self.nodes.borrow().values().cloned().collect();
        for storage in all {
            storage.settle().await?;
        }
        Ok(())
    }

    /// The disk of a node whose processes are gone loses power.
    pub(super) async fn power_off(&self, node: &NodeId, loss: Loss) -> Result<Lost, Cause> {
        let disk = self.disk(node)?;
        blocking(move || disk.power_off(loss)).await
    }

    /// The node's disk ails, or is cured.
    pub(super) fn ail(&self, node: &NodeId, ailment: Option<Ailment>) -> Result<HeldBack, Cause> {
        Ok(HeldBack { count: self.disk(node)?.ail(ailment) })
    }

    /// The files of a node that does not run are harmed.
    pub(super) async fn damage(&self, node: &NodeId, harm: Harm) -> Result<String, Cause> {
        let storage = self.storage(node).ok_or("this trial was not planned with damage")?;
        let (folder, copies) = (storage.folder.clone(), storage.copies.clone());
        let seed = storage.seed.nth(storage.harms.get());
        storage.harms.set(storage.harms.get() + 1);
        let copies = copies.ok_or("no copies were kept to set files back to")?;
        blocking(move || harm::damage(&folder, harm, &copies, seed)).await
    }

    fn storage(&self, node: &NodeId) -> Option<Rc<Storage>> {
        self.nodes.borrow().get(node).cloned()
    }

    fn disk(&self, node: &NodeId) -> Result<Arc<Disk>, Cause> {
        let disk = self.storage(node).and_then(|storage| storage.disk.clone());
        disk.ok_or_else(|| "this trial was not planned with disks that fail".into())
    }
}

impl DataFolder {
    /// Those of a planned trial; none if no fault strikes them.
    pub fn all(plan: &TrialPlan, system: &dyn System) -> Result<Vec<(NodeId, DataFolder)>, String> {
        let wants = |fault| plan.strikes(fault);
        let (ails, is_damaged) =
            (wants(FaultName::Power) || wants(FaultName::Disk), wants(FaultName::Damage));
        let folder = |(nth, node): (u64, &NodeId)| {
            let path = system.data(node);
            let path =
                path.ok_or_else(|| format!("nobody said which folder of {node} must survive a crash"))?;
            let seed = plan.seed.stream("harm").nth(nth);
            Ok((node.clone(), DataFolder { path, ails, is_damaged, seed }))
        };
        (0..).zip(&plan.nodes).filter(|_| ails || is_damaged).map(folder).collect()
    }
}

impl Storage {
    fn new(data: &DataFolder) -> io::Result<Storage> {
        std::fs::create_dir_all(&data.path)?;
        let folder = data.path.canonicalize()?;
        let disk = if data.ails { Some(Arc::new(Disk::mount(&folder, &folder)?)) } else { None };
        let copies = data.is_damaged.then(|| {
            let mut path = folder.clone().into_os_string();
            path.push(".copy");
            PathBuf::from(path)
        });
        Ok(Storage { folder, disk, copies, seed: data.seed, harms: Cell::new(0) })
    }

    async fn settle(&self) -> Result<(), Cause> {
        if let Some(disk) = self.disk.clone() {
            blocking(move || disk.settle()).await?;
        }
        if let Some(copies) = self.copies.clone() {
            let folder = self.folder.clone();
            blocking(move || harm::keep(&folder, &copies)).await?;
        }
        Ok(())
    }
}

/// Does what may take long where it keeps no client waiting.
async fn blocking<T: Send + 'static, E: std::fmt::Display + Send + 'static>(
    act: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> Result<T, Cause> {
    let done = tokio::task::spawn_blocking(act).await;
    let result = done.map_err(|error| Cause::from(error.to_string()))?;
    result.map_err(|error| error.to_string().into())
}
