//! A trial in virtual time: the bundled cluster's nodes in this very thread.

use super::{Failed, SetupLog, Stage, drive, follow, header, prepare, record};
use crate::bundled::client_limit;
use crate::plan::TrialPlan;
use crate::runner::{End, Log, Pages};
use crate::search::Coverage;
use crate::sim::{self, SimWorld, pass};
use crate::store::{self, TrialRecord, file};
use crate::trace_names::TraceNames;
use elenchus_checkers::consensus::{Consensus, Findings};
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
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// How long the cluster may take to elect a leader, in its own time.
const SETUP_LIMIT: Duration = Duration::from_secs(60);

/// After so many lines of the nodes' traces the real time is looked at, if there is a deadline.
const LOOK_EVERY: u64 = 1_024;

/// Carries a trial out in virtual time. Nothing in the folder depends on real time or on this machine.
pub(super) fn in_simulation<W: Workload>(
    workload: Rc<W>,
    plan: &TrialPlan,
    folder: &Path,
    record: &mut TrialRecord,
    traced: bool,
) -> Result<End, Failed> {
    let watch = Rc::new(RefCell::new(Watch::new(plan)));
    if traced {
        watch.borrow_mut().keep_files(plan, folder)?;
    }
    let mut setup = SetupLog::create(folder)?;
    let mut world = world(&workload, plan, &watch)?;
    setup.line("the cluster has a leader");
    let end = drive(&*workload, plan, folder, record, &mut world);
    for trouble in world.heal_all() {
        setup.line(&format!("healing: {trouble}"));
    }
    let verdict = watch.borrow_mut().finish();
    let path = folder.join(file::CONSENSUS);
    store::write_json(&path, &verdict).map_err(|error| Failed::Folder { path, error })?;
    let path = folder.join(file::STATES);
    let coverage = watch.borrow_mut().coverage();
    store::write_json(&path, &coverage).map_err(|error| Failed::Folder { path, error })?;
    end
}

/// A scripted trial that left nothing but what it showed.
#[derive(Debug)]
pub struct Rehearsal {
    /// The history, as it would stand in its file.
    pub history: Vec<u8>,
    /// What the nodes' traces showed.
    pub findings: Findings,
    /// When an invariant was broken first, in the trial's time.
    pub broken_at: Option<Time>,
    /// The class of what was broken first.
    pub first: Option<&'static str>,
    /// The lines that the nodes traced, each with its time, if they were wanted.
    pub lines: Vec<(Time, NodeId, Line)>,
}

/// Carries a script out without leaving anything. It ends as soon as an invariant of the class `enough` is broken, and
/// fails at the deadline, so that nodes gone mad take nobody's time.
pub fn rehearse<W: Workload>(
    workload: &Rc<W>,
    plan: &TrialPlan,
    enough: Option<&str>,
    deadline: Option<Instant>,
    with_lines: bool,
) -> Result<Rehearsal, Failed> {
    let script = plan.script.as_ref().ok_or_else(|| Failed::Setup("the plan has no script".into()))?;
    script.check(plan).map_err(Failed::Setup)?;
    let mut watch = Watch::new(plan);
    watch.enough = enough.map(str::to_owned);
    watch.deadline = deadline;
    watch.lines = with_lines.then(Vec::new);
    let watch = Rc::new(RefCell::new(watch));
    let pages = Pages::default();
    let log = Log::kept(&pages, &header(plan, &record(plan, &Stage::Simulation { traced: false }, "")));
    let mut world = world(workload, plan, &watch)?;
    follow(&**workload, plan, script, log, &mut world)?;
    drop(world);
    let watch = watch.take();
    if watch.overdue {
        return Err(Failed::Overdue);
    }
    let lines = watch.lines.unwrap_or_default();
    Ok(Rehearsal {
        history: pages.take(),
        first: watch.consensus.first(),
        findings: watch.consensus.finish(),
        broken_at: watch.broken_at,
        lines,
    })
}

/// The world of a plan, whose cluster has a leader and whose workload is prepared.
fn world<W: Workload>(
    workload: &Rc<W>,
    plan: &TrialPlan,
    watch: &Rc<RefCell<Watch>>,
) -> Result<SimWorld<W>, Failed> {
    let simulated = Rc::new(cluster(plan).map_err(Failed::Setup)?);
    let (shared, stop) = (watch.clone(), watch.borrow().stop.clone());
    let trace: sim::Trace = Box::new(move |now, node, line| shared.borrow_mut().saw(now, node, line));
    simulated.rank_for(Duration::ZERO);
    simulated.start_all();
    while !simulated.has_leader() {
        if simulated.now() >= Time::from(SETUP_LIMIT) {
            return Err(Failed::Setup(format!("nobody leads after {SETUP_LIMIT:?} of simulated time")));
        }
        simulated.advance(Time::MAX, &mut Vec::new());
    }
    let connector = SimulatedConnector(simulated.clone());
    pass(&simulated, prepare(&**workload, &connector, plan, |time| simulated.sleep(time)))?;
    simulated.rank_for(plan.time_limit.0);
    let world = SimWorld::new(simulated, workload.clone(), plan.concurrency, trace).stopped_by(stop);
    Ok(match &plan.script {
        None => world,
        Some(script) => world.following(script),
    })
}

/// The cluster of a plan, of which no node runs yet.
fn cluster(plan: &TrialPlan) -> Result<Simulated, String> {
    let bugs = plan
        .bugs
        .iter()
        .map(|name| name.parse().map_err(|e: UnknownBug| e.to_string()))
        .collect::<Result<Bugs, String>>()?;
    let simulation = plan.simulation.unwrap_or_default();
    let luck = plan.script.as_ref().map_or(0, |script| script.luck);
    // In a script that was made small 64 entries may be more than there are.
    let is_scripted = plan.script.is_some();
    let (timeouts, weather) = (plan.stream("raft"), plan.stream("universe"));
    let seed = if luck > 0 && luck.is_multiple_of(2) { timeouts.nth(luck) } else { timeouts };
    let universe = if luck > 0 { weather.nth(luck) } else { weather };
    let nodes = plan.nodes.len() as u16;
    let make: Make = Box::new(move |me| {
        let defaults = replica::Config::new(me, nodes, seed.nth(u64::from(me.0)));
        let state_every = if is_scripted { 1 } else { defaults.state_every };
        let config = replica::Config { bugs, trace: Trace::All, state_every, ..defaults };
        Box::new(RaftReplica::new(simulation.config(config)))
    });
    let patience = client_limit(plan.timeout.0);
    Ok(Simulated::new(universe, &plan.nodes, &simulation, patience, make))
}

/// Who looks at the nodes' traces while they are made.
#[derive(Default)]
struct Watch {
    names: TraceNames,
    consensus: Consensus,
    states: States,
    /// When a node's role changed, in milliseconds.
    turns: Vec<u64>,
    /// When the first invariant was broken.
    broken_at: Option<Time>,
    /// The files of the nodes, if any are wanted.
    files: BTreeMap<NodeId, BufWriter<File>>,
    /// The lines, if they are wanted.
    lines: Option<Vec<(Time, NodeId, Line)>>,
    /// The class of violation that is enough…
    enough: Option<String>,
    /// …and ends the trial…
    stop: Rc<Cell<bool>>,
    /// …as does this time.
    deadline: Option<Instant>,
    /// Whether it has come.
    overdue: bool,
    /// How many lines were traced.
    seen: u64,
}

impl Watch {
    fn new(plan: &TrialPlan) -> Watch {
        let consensus = Consensus::new();
        let forgets = plan.strikes(FaultName::Damage);
        let consensus = if forgets { consensus.with_forgetful_disks() } else { consensus };
        Watch { consensus, names: TraceNames::of(&plan.nodes), ..Watch::default() }
    }

    fn keep_files(&mut self, plan: &TrialPlan, folder: &Path) -> Result<(), Failed> {
        let folder = folder.join(file::TRACE);
        for node in &plan.nodes {
            let path = folder.join(format!("{node}.jsonl"));
            let file = std::fs::create_dir_all(&folder).and_then(|()| File::create(&path));
            let file = file.map_err(|error| Failed::Folder { path, error })?;
            self.files.insert(node.clone(), BufWriter::new(file));
        }
        Ok(())
    }

    fn saw(&mut self, now: Time, node: &NodeId, line: &Line) {
        self.look_at_the_time();
        let renamed = self.names.renamed(line);
        let line = renamed.as_ref().unwrap_or(line);
        self.consensus.observe(line);
        let at_ms = now.0 / 1_000_000;
        if self.states.observe(line).turned && self.turns.last() != Some(&at_ms) {
            self.turns.push(at_ms);
        }
        if self.broken_at.is_none() {
            let is_broken = match &self.enough {
                Some(class) => self.consensus.has_found(class),
                None => self.consensus.is_broken(),
            };
            if is_broken {
                self.broken_at = Some(now);
                self.stop.set(self.enough.is_some());
            }
        }
        if let Some(lines) = &mut self.lines {
            lines.push((now, node.clone(), line.clone()));
        }
        if let Some(file) = self.files.get_mut(node) {
            // A trace that cannot be written ends short, which its readers take for what it is.
            let _ = writeln!(file, "{line}");
        }
    }

    fn look_at_the_time(&mut self) {
        self.seen += 1;
        if let Some(deadline) = self.deadline
            && self.seen.is_multiple_of(LOOK_EVERY)
            && Instant::now() >= deadline
        {
            self.overdue = true;
            self.stop.set(true);
        }
    }

    /// Which states there were.
    fn coverage(&mut self) -> Coverage {
        Coverage { states: std::mem::take(&mut self.states).finish(), turns: std::mem::take(&mut self.turns) }
    }

    /// The verdict of the invariants.
    fn finish(&mut self) -> elenchus_core::verdict::Verdict {
        let verdict = std::mem::take(&mut self.consensus).finish().verdict();
        self.files.clear();
        match self.broken_at {
            Some(at) => verdict.with_figure("first_ns", at.0),
            None => verdict,
        }
    }
}
