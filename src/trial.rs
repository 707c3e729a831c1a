//! One trial, from a provisioned stage to a history on disk.
//!
//! The order is Jepsen's: set up, clients and faults together, everything healed, last questions, end.
//! Whatever happens after the first event, the history stands and can be judged: a failure in tearing down
//! or in collecting logs never costs a verdict.

mod hosts;
mod simulated;
mod stop;
pub mod tryout;

use crate::ending::{self, Collector};
use crate::live::{Disks, LiveCluster, LiveWorld, LocalMachines, Machines};
use crate::plan::TrialPlan;
use crate::progress::Progress;
use crate::registry::{Registry, Site};
use crate::runner::{Broken, End, Limits, Log, Runner, Silent};
use crate::script::{Actor, Script};
use crate::store::{self, TrialEnd, TrialRecord, file};
use crate::{bundled, described, host, utc};
use elenchus_core::client::Connector;
use elenchus_core::format::jsonl::Header;
use elenchus_core::generator::{self, Boxed, Compose, Context, Event, Generator, Next};
use elenchus_core::process::NodeId;
use elenchus_core::system::System;
use elenchus_core::value::Value;
use elenchus_core::workload::{Shape, Workload};
use elenchus_core::world::{Note, Wake, World};
use elenchus_nemeses::{Schedule, ScheduleOptions};
use elenchus_systems::memory::MemoryConnector;
pub use simulated::{Rehearsal, rehearse};
use std::cell::RefCell;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, SystemTime};
use stop::{Listening, Stop};
use tokio::runtime::Runtime;

/// How long the cluster may take to come up.
const SETUP_LIMIT: Duration = Duration::from_secs(30);

/// Where a trial takes place, provisioned and not yet started.
pub enum Stage {
    /// One map in this process.
    Memory,
    /// Processes kept apart on this machine.
    Ground(Box<host::Ground>),
    /// Nodes that somebody else runs.
    External,
    /// Hosts over SSH, as the plan's cluster names them.
    Hosts,
    /// Virtual time in this very thread.
    Simulation {
        /// Whether the nodes' traces are kept.
        traced: bool,
    },
}

/// A trial that failed as a trial. What the history holds can still be judged.
#[derive(Debug, thiserror::Error)]
pub enum Failed {
    /// The cluster did not come up.
    #[error("the cluster did not come up: {0}")]
    Setup(String),
    /// The runner could not go on.
    #[error("{0}")]
    Runner(#[from] Broken),
    /// A file of the trial's folder could not be written.
    #[error("{}: {error}", path.display())]
    Folder {
        /// Which.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// It took longer than it may.
    #[error("it took longer than it may")]
    Overdue,
    /// No runtime could be built.
    #[error("no asynchronous runtime can be built: {0}")]
    Runtime(std::io::Error),
}

/// Carries a trial out. `prefix` is what the keys of its clients begin with.
pub fn run<W: Workload>(
    workload: Rc<W>,
    registry: &Registry,
    plan: &TrialPlan,
    prefix: &str,
    stage: Stage,
    folder: &Path,
) -> Result<(), Failed> {
    let mut record = record(plan, &stage, prefix);
    keep_record(folder, &record)?;
    let result = match stage {
        Stage::Memory => in_memory(workload, plan, folder, &record),
        Stage::Ground(ground) => on_ground(workload, registry, plan, *ground, folder, &mut record),
        Stage::External => on_external(workload, plan, folder, &mut record),
        Stage::Hosts => hosts::on_hosts(workload, plan, folder, &mut record),
        Stage::Simulation { traced } => simulated::in_simulation(workload, plan, folder, &mut record, traced),
    };
    record.ended = Some(utc::extended(SystemTime::now()));
    (record.end, record.why) = match &result {
        Ok(End::Completed) => (TrialEnd::Completed, None),
        Ok(End::Interrupted) => (TrialEnd::Interrupted, Some("the user ended the trial early".into())),
        Err(failed) => (TrialEnd::Broken, Some(failed.to_string())),
    };
    keep_record(folder, &record)?;
    let end = result?;
    let path = folder.join(file::HISTORY);
    if end == End::Interrupted && !path.exists() {
        // Nothing happened yet; that can be judged too.
        Log::create(&path, &header(plan, &record)).map_err(|error| Failed::Folder { path, error })?;
    }
    Ok(())
}

fn record(plan: &TrialPlan, stage: &Stage, prefix: &str) -> TrialRecord {
    let (isolation, isolation_why) = match stage {
        Stage::Memory => ("none".to_owned(), "the system lives in this process".to_owned()),
        Stage::Hosts => ("hosts".to_owned(), "each node has a host of its own, reached over SSH".to_owned()),
        Stage::Ground(ground) => (ground.isolation.chosen.to_string(), ground.isolation.why.clone()),
        Stage::External => ("none".to_owned(), "somebody else runs the nodes".to_owned()),
        Stage::Simulation { .. } => ("simulation".to_owned(), "the nodes run in virtual time".to_owned()),
    };
    TrialRecord {
        version: 1,
        isolation,
        isolation_why,
        wiped: plan.cluster.as_ref().map(|description| !description.is_unwiped()),
        prefix: prefix.into(),
        left_out: Vec::new(),
        assumptions: Vec::new(),
        began: match stage {
            // The history names it, and must not depend on when it was made.
            Stage::Simulation { .. } => utc::extended(SystemTime::UNIX_EPOCH),
            _ => utc::extended(SystemTime::now()),
        },
        ended: None,
        end: TrialEnd::Running,
        why: None,
        program: env!("CARGO_PKG_VERSION").into(),
    }
}

fn keep_record(folder: &Path, record: &TrialRecord) -> Result<(), Failed> {
    let path = folder.join(file::TRIAL);
    store::write_json(&path, record).map_err(|error| Failed::Folder { path, error })
}

fn runtime() -> Result<Runtime, Failed> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failed::Runtime)
}

fn in_memory<W: Workload>(
    workload: Rc<W>,
    plan: &TrialPlan,
    folder: &Path,
    record: &TrialRecord,
) -> Result<End, Failed> {
    let connector: Rc<dyn Connector> = Rc::new(MemoryConnector::default());
    let runtime = runtime()?;
    let (_listening, stop) = listen(&runtime, NOTHING_LEFT)?;
    let world = LiveWorld::new(runtime, workload.clone(), connector.clone(), &plan.nodes, plan.concurrency);
    world_alone(
        &*workload,
        plan,
        folder,
        record,
        world,
        stop,
        prepare(&*workload, &*connector, plan, tokio::time::sleep),
    )
}

/// What is said when a trial is ended by force that neither started nor broke anything.
const NOTHING_LEFT: &str = "nothing is left to be undone";

/// Listens to signals as long as the first of these lives.
fn listen(runtime: &Runtime, by_force: &'static str) -> Result<(Listening, Stop), Failed> {
    let _inside = runtime.enter();
    Listening::begin(by_force).map_err(Failed::Runtime)
}

/// A trial in which nothing is started, broken or ended: it is made ready, then clients work.
fn world_alone<W: Workload>(
    workload: &W,
    plan: &TrialPlan,
    folder: &Path,
    record: &TrialRecord,
    mut world: LiveWorld<W>,
    mut stop: Stop,
    ready: impl Future<Output = Result<(), Failed>>,
) -> Result<End, Failed> {
    let is_ready = world.block_on(async {
        tokio::select! {
            ready = ready => ready.map(|()| true),
            () = &mut stop => Ok(false),
        }
    })?;
    if !is_ready {
        return Ok(End::Interrupted);
    }
    let mut world = world.interrupted_by(stop);
    drive(workload, plan, folder, record, &mut world)
}

fn on_ground<W: Workload>(
    workload: Rc<W>,
    registry: &Registry,
    plan: &TrialPlan,
    ground: host::Ground,
    folder: &Path,
    record: &mut TrialRecord,
) -> Result<End, Failed> {
    // Standard error, so that `--json` leaves standard output to machines.
    eprintln!("isolation: {}", ground.isolation);
    let runtime = runtime()?;
    let system = system(registry, plan, &ground, folder).map_err(Failed::Setup)?;
    let _kept = Collector::new(system.clone(), &plan.nodes, folder);
    let host::Ground { supervisor, links, packets, token, mut interrupts, isolation, .. } = ground;
    record.assumptions = system.assumptions().lines;
    keep_record(folder, record)?;
    let machines: Rc<dyn Machines> = {
        let _inside = runtime.enter();
        let disks = Disks::new(plan, &*system, isolation.chosen).map_err(Failed::Setup)?;
        let machines = LocalMachines::new(supervisor, links, packets, token).map_err(Failed::Setup)?;
        Rc::new(machines.with_disks(disks))
    };
    let logs = folder.join(file::LOGS);
    let output = move |node: &NodeId| logs.join(node.as_str()).join("output.log");
    let cluster = LiveCluster::new(plan.nodes.clone(), system.clone(), machines.clone(), folder, output);
    let cluster = Rc::new(cluster.map_err(Failed::Setup)?);
    let connector: Rc<dyn Connector> = Rc::new(SystemConnector(system.clone()));
    let world = LiveWorld::new(runtime, workload.clone(), connector.clone(), &plan.nodes, plan.concurrency);
    let mut setup = SetupLog::create(folder)?;
    // An error means that the outer process is gone: an end as well.
    let stop: Stop = Box::pin(async move {
        if interrupts.next().await.is_ok() {
            stop::announce("");
        }
    });
    let cast = Cast { workload, system, connector, machines, cluster };
    perform(&cast, plan, folder, record, world, &mut setup, stop).0
}

/// Who takes part in a trial.
struct Cast<W> {
    workload: Rc<W>,
    system: Rc<dyn System>,
    connector: Rc<dyn Connector>,
    machines: Rc<dyn Machines>,
    cluster: Rc<LiveCluster>,
}

/// From nodes that do not run yet to the end of the history, and to nodes that do not run any more.
fn perform<W: Workload>(
    cast: &Cast<W>,
    plan: &TrialPlan,
    folder: &Path,
    record: &TrialRecord,
    mut world: LiveWorld<W>,
    setup: &mut SetupLog,
    mut stop: Stop,
) -> (Result<End, Failed>, LiveWorld<W>) {
    let Cast { workload, system, connector, machines, cluster } = cast;
    let up = world.block_on(async {
        let up = async {
            come_up(cluster, &**system, plan, setup).await?;
            prepare(&**workload, &**connector, plan, tokio::time::sleep).await?;
            machines.settle().await.map_err(|why| Failed::Setup(why.to_string()))
        };
        tokio::select! {
            up = tokio::time::timeout(SETUP_LIMIT, up) => up.ok().map(|up| up.map(|()| true)),
            () = &mut stop => Some(Ok(false)),
        }
    });
    let end = match up.unwrap_or_else(|| Err(setup.overdue())) {
        Ok(true) => {
            world = world.with_cluster(cluster.clone()).interrupted_by(stop);
            let end = drive(&**workload, plan, folder, record, &mut world);
            for trouble in world.heal_all() {
                setup.line(&format!("healing: {trouble}"));
            }
            if plan.leave_running && matches!(end, Ok(End::Completed)) {
                eprintln!(
                    "the cluster is left running; its logs are in {}; Ctrl-C ends it",
                    folder.display()
                );
                while !matches!(world.wait(None), Wake::Interrupted) {}
            }
            end
        }
        Ok(false) => Ok(End::Interrupted),
        Err(failed) => Err(failed),
    };
    let stopped = world.block_on(async {
        let lines = ending::stop(cluster, &**system, &plan.nodes).await;
        cluster.stop_all().await;
        lines
    });
    stopped.iter().for_each(|line| setup.line(line));
    (end, world)
}

/// A trial of nodes that somebody else runs: nothing is started, broken or ended.
fn on_external<W: Workload>(
    workload: Rc<W>,
    plan: &TrialPlan,
    folder: &Path,
    record: &mut TrialRecord,
) -> Result<End, Failed> {
    let description = plan.cluster.as_ref().ok_or_else(|| Failed::Setup("no cluster is described".into()))?;
    let system: Rc<dyn System> =
        Rc::new(described::external(description, plan, folder).map_err(Failed::Setup)?);
    let _kept = Collector::new(system.clone(), &plan.nodes, folder);
    record.assumptions = system.assumptions().lines;
    keep_record(folder, record)?;
    let connector: Rc<dyn Connector> = Rc::new(SystemConnector(system.clone()));
    let runtime = runtime()?;
    let (_listening, stop) = listen(&runtime, NOTHING_LEFT)?;
    let world = LiveWorld::new(runtime, workload.clone(), connector.clone(), &plan.nodes, plan.concurrency);
    let mut setup = SetupLog::create(folder)?;
    let ready = async {
        let reached = tokio::time::timeout(SETUP_LIMIT, reach(&*system, plan, &mut setup)).await;
        reached.unwrap_or_else(|_| Err(setup.overdue()))?;
        prepare(&*workload, &*connector, plan, tokio::time::sleep).await
    };
    world_alone(&*workload, plan, folder, record, world, stop, ready)
}

/// Waits until nodes that run already answer, and somebody leads.
async fn reach(system: &dyn System, plan: &TrialPlan, setup: &mut SetupLog) -> Result<(), Failed> {
    for line in system.install().await.map_err(|why| Failed::Setup(why.to_string()))? {
        setup.line(&line);
    }
    for node in &plan.nodes {
        while let Err(why) = system.ready(node).await {
            setup.line(&format!("{node} is not ready: {why}"));
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        setup.line(&format!("{node} is ready"));
    }
    let Some(primaries) = system.primaries() else { return Ok(()) };
    loop {
        for node in &plan.nodes {
            if primaries.leads(node).await.is_ok_and(|leadership| leadership.leads) {
                setup.line(&format!("{node} leads"));
                return Ok(());
            }
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The system of a planned trial.
fn system(
    registry: &Registry,
    plan: &TrialPlan,
    ground: &host::Ground,
    folder: &Path,
) -> Result<Rc<dyn System>, String> {
    if let Some(make) = registry.maker(&plan.system) {
        return make(&Site::new(plan, &ground.addresses, folder));
    }
    Ok(match &plan.cluster {
        Some(description) => Rc::new(described::system(description, plan, ground, folder)?),
        None => Rc::new(bundled::system(plan, ground, folder)?),
    })
}

/// The connector of a system, owning the system.
struct SystemConnector(Rc<dyn System>);

impl Connector for SystemConnector {
    fn capabilities(&self) -> &[elenchus_core::client::Capability] {
        self.0.connector().capabilities()
    }
    fn connect_limit(&self) -> Duration {
        self.0.connector().connect_limit()
    }
    fn connect<'a>(
        &'a self,
        node: &'a elenchus_core::process::NodeId,
        process: elenchus_core::process::Process,
    ) -> elenchus_core::LocalFuture<
        'a,
        Result<Box<dyn elenchus_core::client::Client>, elenchus_core::outcome::Cause>,
    > {
        self.0.connector().connect(node, process)
    }
}

async fn come_up(
    cluster: &LiveCluster,
    system: &dyn System,
    plan: &TrialPlan,
    setup: &mut SetupLog,
) -> Result<(), Failed> {
    use elenchus_core::cluster::Cluster;
    for line in system.install().await.map_err(|why| Failed::Setup(why.to_string()))? {
        setup.line(&line);
    }
    for node in &plan.nodes {
        cluster.start(node).await.map_err(|e| Failed::Setup(format!("{node}: {e}")))?;
        setup.line(&format!("{node} started"));
    }
    for node in &plan.nodes {
        while let Err(why) = system.ready(node).await {
            setup.line(&format!("{node} is not ready: {why}"));
            if let Some(status) = cluster.died(node) {
                let log = cluster.log(node);
                return Err(Failed::Setup(format!("{node} ended ({status}); its log is {}", log.display())));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        setup.line(&format!("{node} is ready"));
    }
    if system.primaries().is_some() {
        while cluster.leaders().await.is_empty() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        setup.line("the cluster has a leader");
    }
    Ok(())
}

/// Lets the workload lay its foundations, through the first node; it rests between two tries.
async fn prepare<W: Workload, S: Future<Output = ()>>(
    workload: &W,
    connector: &dyn Connector,
    plan: &TrialPlan,
    rest: impl Fn(Duration) -> S,
) -> Result<(), Failed> {
    let offered = connector.capabilities();
    if let Some(lacking) = workload.needs().iter().find(|need| !offered.contains(need)) {
        let why =
            format!("the workload {} needs {}, which its clients lack", workload.name(), lacking.name());
        return Err(Failed::Setup(why));
    }
    let who = elenchus_core::process::Process(plan.concurrency);
    let mut tries = 5;
    loop {
        let prepared = async {
            let mut client = connector.connect(&plan.nodes[0], who).await?;
            workload.prepare(client.as_mut()).await
        };
        match prepared.await {
            Ok(()) => return Ok(()),
            Err(why) if tries == 0 => {
                return Err(Failed::Setup(format!("{} on {}: {why}", workload.name(), plan.nodes[0])));
            }
            Err(_) => {
                tries -= 1;
                rest(Duration::from_millis(500)).await;
            }
        }
    }
}

/// Clients and faults, then healing, then the last questions.
fn drive<W: Workload>(
    workload: &W,
    plan: &TrialPlan,
    folder: &Path,
    record: &TrialRecord,
    world: &mut dyn World<W::Op, W::Ret>,
) -> Result<End, Failed> {
    let path = folder.join(file::HISTORY);
    let log = Log::create(&path, &header(plan, record)).map_err(|error| Failed::Folder { path, error })?;
    match &plan.script {
        None => improvise(workload, plan, log, record, world),
        Some(script) => follow(workload, plan, script, log, world),
    }
}

/// A trial whose operations and faults are drawn as it goes.
fn improvise<W: Workload>(
    workload: &W,
    plan: &TrialPlan,
    log: Log,
    record: &TrialRecord,
    world: &mut dyn World<W::Op, W::Ret>,
) -> Result<End, Failed> {
    let shape =
        Shape { seed: plan.stream("clients"), concurrency: plan.concurrency, nodes: plan.nodes.len() as u32 };
    let limits = limits(plan);
    let mut progress = Progress::new(plan.is_simulated());
    let last = Rc::new(RefCell::new(workload.final_generator(&shape)));
    let mut main = Both { first: main_generator(workload, plan, record, &shape), second: last.clone() };
    let mut runner = Runner::new(workload, world, &mut progress, log, plan.concurrency, limits)
        .seeded(plan.stream("slots"));
    let mut end = runner.run(&mut main)?;
    runner.heal_all()?;
    if end == End::Completed {
        runner.note(&final_phase())?;
        let mut last = Shared(last).time_limit(plan.final_limit.0);
        end = runner.run(&mut last)?;
    }
    progress.finish();
    Ok(end)
}

fn limits(plan: &TrialPlan) -> Limits {
    Limits { operation: plan.timeout.0, fault: elenchus_core::fault::FAULT_TIMEOUT }
}

/// All is healed, and the last questions begin.
fn final_phase() -> Note {
    Note { f: "phase", fields: vec![("phase", "final".into())] }
}

/// A trial in which everything is done at the time that a script names. Whoever has seen enough ends it at once.
fn follow<W: Workload>(
    workload: &W,
    plan: &TrialPlan,
    script: &Script,
    log: Log,
    world: &mut dyn World<W::Op, W::Ret>,
) -> Result<End, Failed> {
    let (mut first, last) = Actor::parts(script, workload).map_err(Failed::Setup)?;
    let mut silent = Silent;
    let mut runner = Runner::new(workload, world, &mut silent, log, plan.concurrency, limits(plan));
    let end = runner.run(&mut first)?;
    if end == End::Interrupted {
        return Ok(end);
    }
    runner.heal_all()?;
    let Some(mut last) = last else { return Ok(end) };
    runner.note(&final_phase())?;
    Ok(runner.run(&mut last)?)
}

fn main_generator<W: Workload>(
    workload: &W,
    plan: &TrialPlan,
    record: &TrialRecord,
    shape: &Shape,
) -> Boxed<W::Op, W::Ret> {
    let limit = plan.time_limit.0;
    let work = Shared(Rc::new(RefCell::new(workload.generator(shape))));
    let work: Boxed<W::Op, W::Ret> = if plan.rate > 0.0 {
        let mean = Duration::from_secs_f64(1.0 / plan.rate);
        work.stagger(mean, plan.stream("rate")).time_limit(limit).clients().boxed()
    } else {
        work.time_limit(limit).clients().boxed()
    };
    if plan.nemesis.is_empty() && plan.schedule.is_empty() {
        return work;
    }
    let drawn = match &plan.drawn {
        Some(strikes) => Schedule::of(strikes.clone(), limit),
        None => Schedule::new(&drawn_from(plan, record.isolation == host::Means::Proxy.to_string())),
    };
    generator::any(vec![drawn.with_written(&plan.schedule).nemesis().boxed(), work]).boxed()
}

/// What the seed draws the strikes of a plan from. `streams`: nodes exchange streams, as through a proxy.
pub fn drawn_from(plan: &TrialPlan, streams: bool) -> ScheduleOptions {
    ScheduleOptions {
        faults: plan.nemesis.clone(),
        interval: plan.nemesis_interval.0,
        nodes: plan.nodes.clone(),
        seed: plan.stream("nemesis"),
        until: plan.time_limit.0,
        resets: true,
        streams,
        // Real systems refuse to change members then; ours is to be asked all the same.
        crowded: plan.simulation.is_some(),
        // Who cannot say who leads has nobody to aim at.
        primaries: plan.cluster.as_ref().is_none_or(|description| description.leader.is_some()),
    }
}

fn header(plan: &TrialPlan, record: &TrialRecord) -> Header {
    Header {
        name: plan.name.clone(),
        workload: plan.workload.clone(),
        concurrency: plan.concurrency,
        nodes: plan.nodes.clone(),
        seed: plan.seed.0,
        began: record.began.clone(),
        extra: vec![("prefix".into(), Value::str(&record.prefix))],
        ..Header::default()
    }
}

/// One generator that acts, another that only watches, for later.
struct Both<O, R> {
    first: Boxed<O, R>,
    second: Rc<RefCell<Boxed<O, R>>>,
}

impl<O, R> Generator<O, R> for Both<O, R> {
    fn next(&mut self, cx: &mut Context) -> Next<O> {
        self.first.next(cx)
    }
    fn update(&mut self, cx: &mut Context, event: &Event<O, R>) {
        self.first.update(cx, event);
        self.second.borrow_mut().update(cx, event);
    }
}

/// A generator that somebody else holds too.
struct Shared<O, R>(Rc<RefCell<Boxed<O, R>>>);

impl<O, R> Generator<O, R> for Shared<O, R> {
    fn next(&mut self, cx: &mut Context) -> Next<O> {
        self.0.borrow_mut().next(cx)
    }
    fn update(&mut self, cx: &mut Context, event: &Event<O, R>) {
        self.0.borrow_mut().update(cx, event);
    }
}

/// `setup.log`: what was done before the first operation, and after the last.
struct SetupLog {
    file: std::fs::File,
    began: std::time::Instant,
    path: PathBuf,
    last: String,
}

impl SetupLog {
    fn create(folder: &Path) -> Result<SetupLog, Failed> {
        let path = folder.join(file::SETUP);
        let file = std::fs::File::create(&path);
        let file = file.map_err(|error| Failed::Folder { path: path.clone(), error })?;
        Ok(SetupLog { file, began: std::time::Instant::now(), path, last: String::new() })
    }

    fn line(&mut self, text: &str) {
        // It is for people who wonder; a trial does not fail for want of it.
        let _ = writeln!(self.file, "{:8.3}s {text}", self.began.elapsed().as_secs_f64());
        text.clone_into(&mut self.last);
    }

    /// Why the cluster is not up though its time is over.
    fn overdue(&self) -> Failed {
        let (last, path) = (&self.last, self.path.display());
        let last = if last.is_empty() { "nothing was done" } else { last };
        Failed::Setup(format!(
            "not within {SETUP_LIMIT:?}; last of all, {last}; the rest is in {path}, and in logs/ beside it"
        ))
    }
}
