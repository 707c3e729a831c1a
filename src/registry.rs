//! All systems and workloads there are, each under its name: the one place where types are erased.

use crate::campaign::Values;
use crate::faults::Ground;
use crate::plan::TrialPlan;
use crate::trial::{self, Stage};
use elenchus_core::checker::Checker;
use elenchus_core::workload::Workload;
use elenchus_workloads::{Bank, Register, Set, register};
use std::path::Path;
use std::rc::Rc;

/// A system that can be tested.
pub struct SystemEntry {
    /// Its name, as `--system` takes it.
    pub name: &'static str,
    /// One line about it.
    pub about: &'static str,
    /// Where its nodes are; without nodes it can suffer nothing.
    pub ground: Option<fn() -> Ground>,
    /// Operations a second, unless the campaign says otherwise; 0 is as fast as it goes.
    pub rate: f64,
}

/// The systems, the default first.
pub const SYSTEMS: &[SystemEntry] = &[
    SystemEntry {
        name: "bundled",
        about: "a replicated key-value store of our own: Raft, one process a node",
        ground: Some(|| Ground::Bundled),
        rate: 2000.0,
    },
    SystemEntry {
        name: DESCRIBED,
        about: "your own: what `[cluster]` of a campaign file describes, on this machine",
        ground: Some(Ground::local),
        rate: 200.0,
    },
    SystemEntry {
        name: "memory",
        about: "one linearizable map in this process: no cluster, no faults, no false hopes",
        ground: None,
        rate: 10_000.0,
    },
];

/// The name of the user's own system.
pub const DESCRIBED: &str = "described";

/// A workload that can be run.
pub struct WorkloadEntry {
    /// Its name, as `--workload` takes it.
    pub name: &'static str,
    /// One line about it.
    pub about: &'static str,
    make: fn(&TrialPlan) -> Box<dyn Trial>,
}

/// The workloads, the default first.
pub const WORKLOADS: &[WorkloadEntry] = &[
    WorkloadEntry {
        name: "register",
        about: "read, write and compare-and-set many registers; judged by linearizability",
        make: |plan| {
            let values = match plan.values {
                Values::Unique => register::Values::Unique,
                Values::Small => register::Values::Small,
            };
            Box::new(Erased(Rc::new(Register::new(plan.seed, values))))
        },
    },
    WorkloadEntry {
        name: "set",
        about: "add elements to one set and read it; nothing acknowledged may be lost or doubled",
        make: |plan| Box::new(Erased(Rc::new(Set::new(plan.seed)))),
    },
    WorkloadEntry {
        name: "bank",
        about: "move money between accounts in transactions; the sum must never change",
        make: |plan| Box::new(Erased(Rc::new(Bank::new(plan.seed)))),
    },
];

/// The names of all workloads.
pub fn workload_names() -> Vec<&'static str> {
    WORKLOADS.iter().map(|entry| entry.name).collect()
}

/// The workload of a planned trial, its types erased; `None` if there is none of that name.
pub fn trial(plan: &TrialPlan) -> Option<Box<dyn Trial>> {
    WORKLOADS.iter().find(|entry| entry.name == plan.workload).map(|entry| (entry.make)(plan))
}

/// A workload whose operations nobody outside needs to know.
pub trait Trial {
    /// Carries the trial out on `stage` and leaves what it leaves in `folder`. Synchronous: the runtime is
    /// the world's own affair.
    fn run(&self, plan: &TrialPlan, stage: Stage, folder: &Path) -> Result<(), trial::Failed>;

    /// Who judges the workload's promise.
    fn checkers(&self) -> Vec<Box<dyn Checker>>;
}

struct Erased<W>(Rc<W>);

impl<W: Workload> Trial for Erased<W> {
    fn run(&self, plan: &TrialPlan, stage: Stage, folder: &Path) -> Result<(), trial::Failed> {
        trial::run(self.0.clone(), plan, stage, folder)
    }

    fn checkers(&self) -> Vec<Box<dyn Checker>> {
        self.0.checkers()
    }
}
