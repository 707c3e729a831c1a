//! All systems and workloads there are, each under its name: the one place where types are erased.

use crate::campaign::Values;
use crate::faults::Ground;
use crate::plan::TrialPlan;
use crate::trial::{self, Stage};
use elenchus_core::checker::Checker;
use elenchus_core::client::Capability;
use elenchus_core::workload::Workload;
use elenchus_systems::{bundled, memory};
use elenchus_workloads::{Bank, Counters, Lock, Register, Set, lock, register, set};
use std::hash::{BuildHasher, RandomState};
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
    /// What its clients offer; those of a described system offer what its description says.
    pub offers: &'static [Capability],
    /// Operations a second, unless the campaign says otherwise; 0 is as fast as it goes.
    pub rate: f64,
}

/// The systems, the default first.
pub const SYSTEMS: &[SystemEntry] = &[
    SystemEntry {
        name: "bundled",
        about: "a replicated key-value store of our own: Raft, one process a node",
        ground: Some(|| Ground::Bundled),
        offers: bundled::connector::CAPABILITIES,
        rate: 2000.0,
    },
    SystemEntry {
        name: DESCRIBED,
        about: "your own: what `[cluster]` of a campaign file describes, on this machine",
        ground: Some(Ground::local),
        offers: &[],
        rate: 200.0,
    },
    SystemEntry {
        name: "memory",
        about: "one linearizable map in this process: no cluster, no faults, no false hopes",
        ground: None,
        offers: memory::CAPABILITIES,
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
    make: Make,
}

/// Makes the workload of a planned trial whose keys begin with a prefix.
type Make = fn(&TrialPlan, &str) -> Box<dyn Trial>;

/// The workloads, the default first.
pub const WORKLOADS: &[WorkloadEntry] = &[
    WorkloadEntry {
        name: "register",
        about: "read, write and compare-and-set many registers; judged by linearizability",
        make: |plan, prefix| {
            let values = match plan.values {
                Values::Unique => register::Values::Unique,
                Values::Small => register::Values::Small,
            };
            let mut register = Register::new(prefix, values);
            if let Some(condition) = plan.consistency.condition() {
                let peek = offered(plan).contains(&Capability::Peek);
                register = register.promising(condition, peek);
            }
            erased(register, prefix)
        },
    },
    WorkloadEntry {
        name: "set",
        about: "add elements to sets and read them; nothing acknowledged may be lost or doubled",
        make: |plan, prefix| {
            let appends = offered(plan).contains(&Capability::Append);
            let adding = if appends { set::Adding::Append } else { set::Adding::Cas };
            erased(Set::new(prefix, adding), prefix)
        },
    },
    WorkloadEntry {
        name: "bank",
        about: "move money between accounts in transactions; the sum must never change",
        make: |_, prefix| erased(Bank::new(prefix), prefix),
    },
    WorkloadEntry {
        name: "counter",
        about: "add to counters and read them; judged by linearizability",
        make: |_, prefix| erased(Counters::new(prefix), prefix),
    },
    WorkloadEntry {
        name: "lock",
        about: "add to a set under a lock; two may not hold it at once, or with fencing the set must be whole",
        make: |plan, prefix| {
            // Whoever waits gives up before the operation is overdue, so that it can say what is certain.
            let terms =
                lock::Terms { ttl: plan.lease_ttl.0, wait: plan.timeout.0 / 2, fencing: plan.fencing };
            erased(Lock::new(prefix, terms), prefix)
        },
    },
];

/// The names of all workloads.
pub fn workload_names() -> Vec<&'static str> {
    WORKLOADS.iter().map(|entry| entry.name).collect()
}

/// The workload of a planned trial, its types erased; `None` if there is none of that name. `prefix` begins every key
/// that its clients use; it means nothing to those who judge.
pub fn trial(plan: &TrialPlan, prefix: &str) -> Option<Box<dyn Trial>> {
    WORKLOADS.iter().find(|entry| entry.name == plan.workload).map(|entry| (entry.make)(plan, prefix))
}

/// A prefix that no other trial has, whatever its seed: what others left in a cluster that was not wiped cannot speak.
pub fn fresh_prefix() -> String {
    format!("{:012x}", RandomState::new().hash_one("prefix") >> 16)
}

/// What the clients of a planned trial offer.
pub fn offered(plan: &TrialPlan) -> Vec<Capability> {
    match &plan.cluster {
        Some(description) => description.client.capabilities(),
        None => SYSTEMS.iter().find(|entry| entry.name == plan.system).map_or(vec![], |s| s.offers.to_vec()),
    }
}

/// A workload whose operations nobody outside needs to know.
pub trait Trial {
    /// Carries the trial out on `stage` and leaves what it leaves in `folder`. Synchronous: the runtime is
    /// the world's own affair.
    fn run(&self, plan: &TrialPlan, stage: Stage, folder: &Path) -> Result<(), trial::Failed>;

    /// What it asks of a client.
    fn needs(&self) -> &'static [Capability];

    /// Who judges the workload's promise.
    fn checkers(&self) -> Vec<Box<dyn Checker>>;
}

struct Erased<W> {
    workload: Rc<W>,
    prefix: String,
}

fn erased<W: Workload>(workload: W, prefix: &str) -> Box<dyn Trial> {
    Box::new(Erased { workload: Rc::new(workload), prefix: prefix.into() })
}

impl<W: Workload> Trial for Erased<W> {
    fn run(&self, plan: &TrialPlan, stage: Stage, folder: &Path) -> Result<(), trial::Failed> {
        trial::run(self.workload.clone(), plan, &self.prefix, stage, folder)
    }

    fn needs(&self) -> &'static [Capability] {
        self.workload.needs()
    }

    fn checkers(&self) -> Vec<Box<dyn Checker>> {
        self.workload.checkers()
    }
}
