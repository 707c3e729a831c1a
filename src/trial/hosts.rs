//! A trial on hosts over SSH: its stage is set and left here, what lies between is the same as everywhere.
//!
//! It runs in the process that the user started, which therefore listens to signals itself. Whatever becomes of the
//! trial, the hosts are left as they were; those that cannot be reached any more are named.

use super::{Cast, Failed, SetupLog, Stop, SystemConnector, keep_record, listen, perform, runtime};
use crate::host;
use crate::hosts::HostGround;
use crate::live::{DataFolder, LiveCluster, LiveWorld, Machines};
use crate::plan::TrialPlan;
use crate::runner::End;
use crate::store::{TrialRecord, file};
use elenchus_core::client::Connector;
use elenchus_core::process::NodeId;
use elenchus_core::system::System;
use elenchus_core::workload::Workload;
use elenchus_nemeses::FaultName;
use elenchus_systems::described::DescribedSystem;
use elenchus_systems::described::description::Description;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use tokio::runtime::Runtime;

/// What a trial on hosts stands on.
struct Scene<'a> {
    plan: &'a TrialPlan,
    description: &'a Description,
    folder: &'a Path,
    ground: HostGround,
}

/// Carries a trial out on the hosts that its plan names.
pub(super) fn on_hosts<W: Workload>(
    workload: Rc<W>,
    plan: &TrialPlan,
    folder: &Path,
    record: &mut TrialRecord,
) -> Result<End, Failed> {
    let description = plan.cluster.as_ref().ok_or_else(|| Failed::Setup("no cluster is described".into()))?;
    let journal = host::journal::Journal::create(folder);
    let journal = journal.map_err(|error| Failed::Folder { path: folder.join(file::JOURNAL), error })?;
    let runtime = runtime()?;
    let mut setup = SetupLog::create(folder)?;
    let by_force = "what faults did on hosts is undone within a minute; `elenchus heal` does the rest";
    let (_listening, mut stop) = listen(&runtime, by_force)?;
    // Standard error, so that `--json` leaves standard output to machines.
    eprintln!("hosts: {} over SSH", plan.nodes.len());
    let ground = unless_stopped(&runtime, &mut stop, HostGround::reach(plan, description, folder));
    let Some(ground) = ground? else { return Ok(End::Interrupted) };
    let settled = unless_stopped(&runtime, &mut stop, ground.settle(description));
    let scene = Scene { plan, description, folder, ground };
    let (end, left) = match settled {
        Ok(Some(lines)) => {
            lines.iter().for_each(|line| setup.line(line));
            on_settled(workload, &scene, record, runtime, &mut setup, stop)
        }
        Ok(None) => (Ok(End::Interrupted), runtime.block_on(scene.ground.leave())),
        Err(failed) => (Err(failed), runtime.block_on(scene.ground.leave())),
    };
    match left {
        Ok(()) => {
            // A journal without its last line only makes `heal` look once more.
            let _ = journal.done();
        }
        Err(why) => {
            setup.line(&format!("leaving the hosts: {why}"));
            eprintln!("elenchus: something may be left on hosts that cannot be reached: {why}");
            eprintln!(
                "elenchus: what faults did there is undone within a minute; `elenchus heal` does the rest"
            );
        }
    }
    end
}

/// What comes of a step of the set-up; `None` if the user wants the trial to end.
fn unless_stopped<T>(
    runtime: &Runtime,
    stop: &mut Stop,
    step: impl Future<Output = Result<T, String>>,
) -> Result<Option<T>, Failed> {
    runtime.block_on(async {
        tokio::select! {
            done = step => done.map(Some).map_err(Failed::Setup),
            () = stop => Ok(None),
        }
    })
}

/// The trial itself, on hosts that have our helper; then their logs, and farewell.
fn on_settled<W: Workload>(
    workload: Rc<W>,
    scene: &Scene<'_>,
    record: &mut TrialRecord,
    runtime: Runtime,
    setup: &mut SetupLog,
    stop: Stop,
) -> (Result<End, Failed>, Result<(), String>) {
    let Scene { plan, description, folder, ground } = scene;
    let mut plan = (*plan).clone();
    let system = match DescribedSystem::new((*description).clone(), ground.seats()) {
        Ok(system) => system,
        Err(why) => return (Err(Failed::Setup(why)), runtime.block_on(ground.leave())),
    };
    let units = system.units();
    let system: Rc<dyn System> = Rc::new(system);
    record.assumptions = system.assumptions().lines;
    let connector: Rc<dyn Connector> = Rc::new(SystemConnector(system.clone()));
    let mut world =
        LiveWorld::new(runtime, workload.clone(), connector.clone(), &plan.nodes, plan.concurrency);
    let faults: Vec<FaultName> = FaultName::ALL.into_iter().filter(|fault| plan.strikes(*fault)).collect();
    let agents = world.block_on(async {
        let agents = ground.machines().await?;
        record.left_out = leave_out(&mut plan, ground.lacking(&agents, &faults)?)?;
        for line in &record.left_out {
            setup.line(&format!("left out: {line}"));
            eprintln!("left out: {line}");
        }
        for (node, ran) in agents.adopt(&units).await.map_err(|error| error.to_string())? {
            let before =
                if ran { "ran, and was stopped; it is started again in the end" } else { "did not run" };
            setup.line(&format!("{node}: the unit is the trial's; it {before}"));
        }
        ground.store(&agents, &DataFolder::all(&plan, &*system)?).await.map(|()| Rc::new(agents))
    });
    let cluster = agents.clone().and_then(|agents| {
        keep_record(folder, record).map_err(|failed| failed.to_string())?;
        let machines: Rc<dyn Machines> = agents;
        LiveCluster::new(plan.nodes.clone(), system.clone(), machines.clone(), folder, outputs(&plan, ground))
            .map(|cluster| (Rc::new(cluster), machines))
    });
    let end = match cluster {
        Ok((cluster, machines)) => {
            let cast = Cast { workload, system: system.clone(), connector, machines, cluster };
            let (end, same) = perform(&cast, &plan, folder, record, world, setup, stop);
            world = same;
            end
        }
        Err(why) => Err(Failed::Setup(why)),
    };
    let left = world.block_on(async {
        setup.line("the nodes are stopped");
        if let Ok(agents) = &agents {
            for error in agents.journals(&units).await {
                setup.line(&format!("the journal of {error}"));
            }
        }
        match ground.collect().await {
            Ok(()) => setup.line("their logs are here"),
            Err(why) => setup.line(&format!("logs: {why}")),
        }
        ground.keep(&*system).await.iter().for_each(|line| setup.line(line));
        if let Ok(agents) = agents {
            for error in agents.end().await {
                setup.line(&format!("leaving: {error}"));
            }
        }
        setup.line("the helpers are told");
        ground.leave().await
    });
    (end, left)
}

/// Takes the faults out of the plan that some host does not allow; says which, and why. An error if somebody named
/// one of them.
fn leave_out(plan: &mut TrialPlan, lacking: Vec<(FaultName, String)>) -> Result<Vec<String>, String> {
    let is_named = |fault: FaultName| {
        plan.nemesis_named || plan.schedule.iter().any(|strike| strike.fault.name() == fault.as_str())
    };
    let (named, left_out): (Vec<_>, Vec<_>) = lacking.into_iter().partition(|(fault, _)| is_named(*fault));
    if !named.is_empty() {
        return Err(named.into_iter().map(|(_, why)| why).collect::<Vec<_>>().join("\n"));
    }
    plan.nemesis.retain(|fault| left_out.iter().all(|(lacking, _)| lacking != fault));
    Ok(left_out.into_iter().map(|(_, why)| why).collect())
}

/// Where each node's output goes, on its host.
fn outputs(plan: &TrialPlan, ground: &HostGround) -> impl Fn(&NodeId) -> PathBuf + use<> {
    let known: Vec<(NodeId, PathBuf)> =
        plan.nodes.iter().map(|node| (node.clone(), ground.output(node))).collect();
    move |node| {
        known.iter().find(|(name, _)| name == node).map_or_else(PathBuf::new, |(_, path)| path.clone())
    }
}
