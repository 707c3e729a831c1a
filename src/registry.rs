//! All systems and workloads there are, each under its name: the one place where types are erased.
//!
//! A [`Registry`] is a value that whoever starts the program makes and hands on: ours, or a program of the user's with
//! systems and workloads of its own beside them. Nothing about it is global.

use crate::campaign::Values;
use crate::faults::Ground;
use crate::host::addresses::Addresses;
use crate::plan::TrialPlan;
use crate::store::file;
use crate::trial::{self, Rehearsal, Stage};
use elenchus_core::checker::Checker;
use elenchus_core::client::Capability;
use elenchus_core::process::NodeId;
use elenchus_core::random::Seed;
use elenchus_core::system::System;
use elenchus_core::workload::Workload;
use elenchus_systems::{bundled, memory, simulated};
use elenchus_workloads::{Bank, Counters, Lock, Register, Set, Watch, lock, register, set};
use std::hash::{BuildHasher, RandomState};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant};

/// A system that can be tested.
#[derive(Clone, Debug)]
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

/// Makes a system of the user's own for one trial; an error says why it cannot be.
pub type Make = fn(&Site<'_>) -> Result<Rc<dyn System>, String>;

/// The systems and workloads of one program.
#[derive(Clone, Debug)]
pub struct Registry {
    program: &'static str,
    systems: Vec<SystemEntry>,
    makers: Vec<(&'static str, Make)>,
    workloads: Vec<WorkloadEntry>,
}

impl Registry {
    /// What Elenchus brings along.
    pub fn builtin() -> Registry {
        Registry {
            program: "elenchus",
            systems: SYSTEMS.to_vec(),
            makers: Vec::new(),
            workloads: WORKLOADS.to_vec(),
        }
    }

    /// The same for a program of this name, as the command lines that it prints have it.
    pub fn program(self, name: &'static str) -> Registry {
        Registry { program: name, ..self }
    }

    /// The same with a system more. Its nodes are processes on this machine, each in a network namespace of its own
    /// where the kernel grants that; `rate` is how many operations a second are tried unless a campaign says
    /// otherwise, and its clients offer `offers`.
    ///
    /// # Panics
    /// When there is a system of that name.
    pub fn system(
        mut self,
        name: &'static str,
        about: &'static str,
        rate: f64,
        offers: &'static [Capability],
        make: Make,
    ) -> Registry {
        assert!(self.find_system(name).is_none(), "there are two systems `{name}`");
        self.systems.push(SystemEntry { name, about, ground: Some(Ground::local), offers, rate });
        self.makers.push((name, make));
        self
    }

    /// The same with a workload more; [`erase`] makes what `make` returns.
    ///
    /// # Panics
    /// When there is a workload of that name.
    pub fn workload(mut self, name: &'static str, about: &'static str, make: MakeWorkload) -> Registry {
        assert!(self.workloads.iter().all(|entry| entry.name != name), "there are two workloads `{name}`");
        self.workloads.push(WorkloadEntry { name, about, make });
        self
    }

    /// What the program is called.
    pub fn program_name(&self) -> &'static str {
        self.program
    }

    /// The systems, the default first.
    pub fn systems(&self) -> &[SystemEntry] {
        &self.systems
    }

    /// The system of this name.
    pub fn find_system(&self, name: &str) -> Option<&SystemEntry> {
        self.systems.iter().find(|entry| entry.name == name)
    }

    /// Who makes the system of this name, if it is one of the user's own.
    pub fn maker(&self, name: &str) -> Option<Make> {
        self.makers.iter().find(|(known, _)| *known == name).map(|(_, make)| *make)
    }

    /// The workloads, the default first.
    pub fn workloads(&self) -> &[WorkloadEntry] {
        &self.workloads
    }

    /// The names of all workloads.
    pub fn workload_names(&self) -> Vec<&'static str> {
        self.workloads.iter().map(|entry| entry.name).collect()
    }

    /// The workload of a planned trial, its types erased; `None` if there is none of that name. `prefix` begins every
    /// key that its clients use; it means nothing to those who judge.
    pub fn trial(&self, plan: &TrialPlan, prefix: &str) -> Option<Box<dyn Trial>> {
        let entry = self.workloads.iter().find(|entry| entry.name == plan.workload)?;
        Some((entry.make)(Occasion { plan, offered: &self.offered(plan), prefix }))
    }

    /// What the clients of a planned trial offer.
    pub fn offered(&self, plan: &TrialPlan) -> Vec<Capability> {
        match &plan.cluster {
            Some(description) => description.client.capabilities(),
            None => self.find_system(&plan.system).map_or(vec![], |entry| entry.offers.to_vec()),
        }
    }
}

/// Where the nodes of one trial are to be, for whoever makes their system.
#[derive(Clone, Copy, Debug)]
pub struct Site<'t> {
    plan: &'t TrialPlan,
    addresses: &'t Addresses,
    folder: &'t Path,
}

impl<'t> Site<'t> {
    /// The site of a planned trial, whose folder is `folder`.
    pub fn new(plan: &'t TrialPlan, addresses: &'t Addresses, folder: &'t Path) -> Site<'t> {
        Site { plan, addresses, folder }
    }

    /// The nodes.
    pub fn nodes(&self) -> &'t [NodeId] {
        &self.plan.nodes
    }

    /// What a node is to listen on, and what clients dial.
    pub fn address(&self, node: &NodeId) -> SocketAddr {
        self.addresses.listen(node)
    }

    /// What one node must dial to reach another: only so can the link between them be cut.
    pub fn peer(&self, from: &NodeId, to: &NodeId) -> SocketAddr {
        self.addresses.peer(from, to)
    }

    /// A folder of the node's own, made if it is not there; it survives the node's crashes and ends with the trial.
    pub fn data(&self, node: &NodeId) -> Result<PathBuf, String> {
        let folder = std::path::absolute(self.folder).map_err(|error| error.to_string())?;
        let folder = folder.join(file::DATA).join(node.as_str());
        std::fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        Ok(folder)
    }

    /// The program that runs now: nodes may be further processes of it.
    pub fn program(&self) -> Result<String, String> {
        let program = std::env::current_exe().map_err(|error| error.to_string())?;
        program.into_os_string().into_string().map_err(|path| format!("{path:?} is no text"))
    }

    /// The number that fixes the trial's choices.
    pub fn seed(&self) -> Seed {
        self.plan.seed
    }

    /// When an operation is in doubt.
    pub fn timeout(&self) -> Duration {
        self.plan.timeout.0
    }
}

/// The systems that Elenchus brings along, the default first.
const SYSTEMS: &[SystemEntry] = &[
    SystemEntry {
        name: "bundled",
        about: "a replicated key-value store of our own: Raft, one process a node",
        ground: Some(|| Ground::Bundled),
        offers: bundled::connector::CAPABILITIES,
        rate: 2000.0,
    },
    SystemEntry {
        name: SIMULATED,
        about: "the same store in virtual time, in one thread: a seed brings back every trial, byte for byte",
        ground: Some(|| Ground::Simulation),
        offers: simulated::CAPABILITIES,
        rate: 100.0,
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

/// The name of the bundled cluster in virtual time.
pub const SIMULATED: &str = "simulated";

/// The name of the user's own system.
pub const DESCRIBED: &str = "described";

/// A workload that can be run.
#[derive(Clone, Debug)]
pub struct WorkloadEntry {
    /// Its name, as `--workload` takes it.
    pub name: &'static str,
    /// One line about it.
    pub about: &'static str,
    make: MakeWorkload,
}

/// What a workload is made for.
#[derive(Clone, Copy, Debug)]
pub struct Occasion<'t> {
    /// The trial.
    pub plan: &'t TrialPlan,
    /// What the clients of its system offer.
    pub offered: &'t [Capability],
    /// What every key that its clients use begins with; it means nothing to those who judge.
    pub prefix: &'t str,
}

/// Makes a workload for one trial.
pub type MakeWorkload = fn(Occasion<'_>) -> Box<dyn Trial>;

/// The workloads that Elenchus brings along, the default first.
const WORKLOADS: &[WorkloadEntry] = &[
    WorkloadEntry {
        name: "register",
        about: "read, write and compare-and-set many registers; judged by linearizability",
        make: |Occasion { plan, offered, prefix }| {
            let values = match plan.values {
                Values::Unique => register::Values::Unique,
                Values::Small => register::Values::Small,
            };
            let mut register = Register::new(prefix, values);
            if let Some(condition) = plan.consistency.condition() {
                register = register.promising(condition, offered.contains(&Capability::Peek));
            }
            erase(register)
        },
    },
    WorkloadEntry {
        name: "set",
        about: "add elements to sets and read them; nothing acknowledged may be lost or doubled",
        make: |Occasion { offered, prefix, .. }| {
            let appends = offered.contains(&Capability::Append);
            let adding = if appends { set::Adding::Append } else { set::Adding::Cas };
            erase(Set::new(prefix, adding))
        },
    },
    WorkloadEntry {
        name: "bank",
        about: "move money between accounts in transactions; the sum must never change",
        make: |Occasion { prefix, .. }| erase(Bank::new(prefix)),
    },
    WorkloadEntry {
        name: "counter",
        about: "add to counters and read them; judged by linearizability",
        make: |Occasion { prefix, .. }| erase(Counters::new(prefix)),
    },
    WorkloadEntry {
        name: "lock",
        about: "add to a set under a lock; two may not hold it at once, or with fencing the set must be whole",
        make: |Occasion { plan, prefix, .. }| {
            // Whoever waits gives up before the operation is overdue, so that it can say what is certain.
            let terms =
                lock::Terms { ttl: plan.lease_ttl.0, wait: plan.timeout.0 / 2, fencing: plan.fencing };
            erase(Lock::new(prefix, terms))
        },
    },
    WorkloadEntry {
        name: "watch",
        about: "write keys and watch them on every node; a watcher sees every change once, in order",
        make: |Occasion { prefix, .. }| erase(Watch::new(prefix)),
    },
];

/// A prefix that no other trial has, whatever its seed: what others left in a cluster that was not wiped cannot speak.
pub fn fresh_prefix() -> String {
    format!("{:012x}", RandomState::new().hash_one("prefix") >> 16)
}

/// A workload without its types, for a [`Registry`].
pub fn erase<W: Workload>(workload: W) -> Box<dyn Trial> {
    Box::new(Erased(Rc::new(workload)))
}

/// A workload whose operations nobody outside needs to know.
pub trait Trial {
    /// Carries the trial out on `stage` and leaves what it leaves in `folder`. Synchronous: the runtime is
    /// the world's own affair.
    fn run(
        &self,
        registry: &Registry,
        plan: &TrialPlan,
        prefix: &str,
        stage: Stage,
        folder: &Path,
    ) -> Result<(), trial::Failed>;

    /// Carries the plan's script out and leaves nothing; see [`trial::rehearse`].
    fn rehearse(
        &self,
        plan: &TrialPlan,
        enough: Option<&str>,
        deadline: Option<Instant>,
        with_lines: bool,
    ) -> Result<Rehearsal, trial::Failed>;

    /// What it asks of a client.
    fn needs(&self) -> &'static [Capability];

    /// Who judges the workload's promise.
    fn checkers(&self) -> Vec<Box<dyn Checker>>;
}

struct Erased<W>(Rc<W>);

impl<W: Workload> Trial for Erased<W> {
    fn run(
        &self,
        registry: &Registry,
        plan: &TrialPlan,
        prefix: &str,
        stage: Stage,
        folder: &Path,
    ) -> Result<(), trial::Failed> {
        trial::run(self.0.clone(), registry, plan, prefix, stage, folder)
    }

    fn rehearse(
        &self,
        plan: &TrialPlan,
        enough: Option<&str>,
        deadline: Option<Instant>,
        with_lines: bool,
    ) -> Result<Rehearsal, trial::Failed> {
        trial::rehearse(&self.0, plan, enough, deadline, with_lines)
    }

    fn needs(&self) -> &'static [Capability] {
        self.0.needs()
    }

    fn checkers(&self) -> Vec<Box<dyn Checker>> {
        self.0.checkers()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::campaign::Campaign;
    use crate::plan::Plan;

    fn own() -> Registry {
        Registry::builtin()
            .program("mine")
            .system("shelf", "a shelf", 50.0, &[Capability::Kv], |_| Err("it was sold".into()))
            .workload("elements", "a set by another name", |of| erase(Set::new(of.prefix, set::Adding::Cas)))
    }

    #[test]
    fn what_a_program_adds_is_planned_beside_what_comes_along() {
        let text = "system = \"shelf\"\nworkload = \"elements\"\nnemesis = [\"kill\"]";
        let campaign = Campaign::parse(text).expect("well written");
        let plan = Plan::of(&own(), &campaign, 1, None).expect("it can be planned").trials.remove(0);
        assert_eq!((plan.system.as_str(), plan.rate), ("shelf", 50.0));
        assert!(plan.again.starts_with("mine test "), "{}", plan.again);
        assert!(own().trial(&plan, "").is_some_and(|trial| !trial.checkers().is_empty()));
        assert!(own().maker("shelf").is_some() && own().maker("bundled").is_none());
        let refused = Plan::of(&Registry::builtin(), &campaign, 1, None).expect_err("nobody added it");
        assert!(refused.what.contains("`shelf`") && refused.what.contains("bundled"), "{refused}");
    }

    #[test]
    #[should_panic(expected = "two systems `memory`")]
    fn a_name_is_given_once() {
        let _ = Registry::builtin().system("memory", "another", 1.0, &[], |_| Err("never".into()));
    }
}
