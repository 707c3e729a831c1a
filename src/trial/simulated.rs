//! A trial in virtual time: the bundled cluster's nodes in this very thread.

use super::{Failed, SetupLog, drive, prepare};
use crate::bundled::client_limit;
use crate::plan::TrialPlan;
use crate::runner::End;
use crate::search::Coverage;
use crate::sim::{self, SimWorld, pass};
use crate::store::{self, TrialRecord, file};
use elenchus_checkers::consensus::Consensus;
use elenchus_checkers::states::States;
use elenchus_core::process::NodeId;
use elenchus_core::time::Time;
use elenchus_core::trace::Line;
use elenchus_core::workload::Workload;
use elenchus_nemeses::FaultName;
use elenchus_reference::bug::{Bugs, UnknownBug};
use elenchus_reference::replica::{self, RaftReplica, Trace};
use elenchus_reference::sim::Make;
use elenchus_systems::simulated::{Simulated, SimulatedConnector};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

/// How long the cluster may take to elect a leader, in its own time.
const SETUP_LIMIT: Duration = Duration::from_secs(60);

/// Carries a trial out in virtual time. Nothing in the folder depends on real time or on this machine.
pub(super) fn in_simulation<W: Workload>(
    workload: Rc<W>,
    plan: &TrialPlan,
    folder: &Path,
    record: &mut TrialRecord,
    traced: bool,
) -> Result<End, Failed> {
    let simulated = Rc::new(cluster(plan).map_err(Failed::Setup)?);
    let watch = Rc::new(RefCell::new(Watch::new(plan, folder, traced)?));
    let shared = watch.clone();
    let trace: sim::Trace = Box::new(move |now, node, line| shared.borrow_mut().saw(now, node, line));
    let mut setup = SetupLog::create(folder)?;
    simulated.start_all();
    while !simulated.has_leader() {
        if simulated.now() >= Time::from(SETUP_LIMIT) {
            return Err(Failed::Setup(format!("nobody leads after {SETUP_LIMIT:?} of simulated time")));
        }
        simulated.advance(Time::MAX, &mut Vec::new());
    }
    setup.line("the cluster has a leader");
    let connector = SimulatedConnector(simulated.clone());
    pass(&simulated, prepare(&*workload, &connector, plan, |time| simulated.sleep(time)))?;
    let mut world = SimWorld::new(simulated, workload.clone(), plan.concurrency, trace);
    let end = drive(&*workload, plan, folder, record, &mut world);
    for trouble in world.heal_all() {
        setup.line(&format!("healing: {trouble}"));
    }
    watch.borrow_mut().finish(folder)?;
    end
}

/// The cluster of a plan, of which no node runs yet.
fn cluster(plan: &TrialPlan) -> Result<Simulated, String> {
    let bugs = plan
        .bugs
        .iter()
        .map(|name| name.parse().map_err(|e: UnknownBug| e.to_string()))
        .collect::<Result<Bugs, String>>()?;
    let simulation = plan.simulation.unwrap_or_default();
    let (seed, nodes) = (plan.stream("raft"), plan.nodes.len() as u16);
    let make: Make = Box::new(move |me| {
        let defaults = replica::Config::new(me, nodes, seed.nth(u64::from(me.0)));
        let config = replica::Config { bugs, trace: Trace::All, ..defaults };
        Box::new(RaftReplica::new(simulation.config(config)))
    });
    let patience = client_limit(plan.timeout.0);
    Ok(Simulated::new(plan.stream("universe"), &plan.nodes, &simulation, patience, make))
}

/// Who looks at the nodes' traces while they are made.
struct Watch {
    consensus: Consensus,
    states: States,
    /// When a node's role changed, in milliseconds.
    turns: Vec<u64>,
    /// When the first invariant was broken.
    broken_at: Option<Time>,
    /// The files of the nodes, if any are wanted.
    files: BTreeMap<NodeId, BufWriter<File>>,
}

impl Watch {
    fn new(plan: &TrialPlan, folder: &Path, traced: bool) -> Result<Watch, Failed> {
        let forgets = plan.strikes(FaultName::Damage);
        let consensus = Consensus::new();
        let consensus = if forgets { consensus.with_forgetful_disks() } else { consensus };
        let mut files = BTreeMap::new();
        let folder = folder.join(file::TRACE);
        for node in plan.nodes.iter().filter(|_| traced) {
            let path = folder.join(format!("{node}.jsonl"));
            let file = std::fs::create_dir_all(&folder).and_then(|()| File::create(&path));
            let file = file.map_err(|error| Failed::Folder { path, error })?;
            files.insert(node.clone(), BufWriter::new(file));
        }
        Ok(Watch { consensus, states: States::new(), turns: Vec::new(), broken_at: None, files })
    }

    fn saw(&mut self, now: Time, node: &NodeId, line: &Line) {
        self.consensus.observe(line);
        let at_ms = now.0 / 1_000_000;
        if self.states.observe(line).turned && self.turns.last() != Some(&at_ms) {
            self.turns.push(at_ms);
        }
        if self.broken_at.is_none() && self.consensus.is_broken() {
            self.broken_at = Some(now);
        }
        if let Some(file) = self.files.get_mut(node) {
            // A trace that cannot be written ends short, which its readers take for what it is.
            let _ = writeln!(file, "{line}");
        }
    }

    /// Leaves the verdict of the invariants in the trial's folder, and which states there were.
    fn finish(&mut self, folder: &Path) -> Result<(), Failed> {
        let (states, turns) = (std::mem::take(&mut self.states).finish(), std::mem::take(&mut self.turns));
        let path = folder.join(file::STATES);
        store::write_json(&path, &Coverage { states, turns })
            .map_err(|error| Failed::Folder { path, error })?;
        let mut verdict = std::mem::take(&mut self.consensus).finish().verdict();
        if let Some(at) = self.broken_at {
            verdict = verdict.with_figure("first_ns", at.0);
        }
        self.files.clear();
        let path = folder.join(file::CONSENSUS);
        store::write_json(&path, &verdict).map_err(|error| Failed::Folder { path, error })
    }
}
