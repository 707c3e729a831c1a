//! A cluster that runs for as long as somebody tries its client out: nothing is recorded, nothing is broken.

use super::{Failed, SETUP_LIMIT, SetupLog, Stop, SystemConnector, come_up, listen, reach, runtime};
use crate::live::{LiveCluster, LocalMachines, Machines};
use crate::plan::TrialPlan;
use crate::registry::Registry;
use crate::store::file;
use crate::{bundled, described, ending, host};
use elenchus_core::client::Connector;
use elenchus_core::process::NodeId;
use elenchus_core::system::System;
use elenchus_systems::described::DescribedSystem;
use std::path::Path;
use std::rc::Rc;
use tokio::runtime::Runtime;
use tokio::task::LocalSet;

/// How the clients of a cluster are opened.
pub struct Client<'a> {
    /// Whatever they are.
    pub connector: &'a dyn Connector,
    /// The system, if it is described.
    pub described: Option<&'a DescribedSystem>,
}

/// What is done with the client; `None` if the user wanted an end before it was done.
type Tried<T> = Result<Option<T>, Failed>;

/// Starts the cluster of a plan on its ground, and lets `body` try out its clients.
pub fn on_ground<T>(
    registry: &Registry,
    plan: &TrialPlan,
    ground: host::Ground,
    folder: &Path,
    body: impl AsyncFnOnce(Client<'_>) -> T,
) -> Tried<T> {
    let runtime = runtime()?;
    let described = match &plan.cluster {
        Some(description) => {
            Some(Rc::new(described::system(description, plan, &ground, folder).map_err(Failed::Setup)?))
        }
        None => None,
    };
    let system: Rc<dyn System> = match (&described, registry.maker(&plan.system)) {
        (Some(described), _) => described.clone(),
        (None, Some(_)) => super::system(registry, plan, &ground, folder).map_err(Failed::Setup)?,
        (None, None) => Rc::new(bundled::system(plan, &ground, folder).map_err(Failed::Setup)?),
    };
    let host::Ground { supervisor, links, packets, token, mut interrupts, .. } = ground;
    let machines: Rc<dyn Machines> = {
        let _inside = runtime.enter();
        Rc::new(LocalMachines::new(supervisor, links, packets, token).map_err(Failed::Setup)?)
    };
    let logs = folder.join(file::LOGS);
    let output = move |node: &NodeId| logs.join(node.as_str()).join("output.log");
    let cluster = LiveCluster::new(plan.nodes.clone(), system.clone(), machines, folder, output);
    let cluster = cluster.map_err(Failed::Setup)?;
    let mut setup = SetupLog::create(folder)?;
    let ready = async {
        let up = tokio::time::timeout(SETUP_LIMIT, come_up(&cluster, &*system, plan, &mut setup)).await;
        up.unwrap_or_else(|_| Err(setup.overdue()))
    };
    let stop: Stop = Box::pin(async move { drop(interrupts.next().await) });
    let tried = until_stopped(&runtime, stop, ready, &system, described.as_deref(), body);
    LocalSet::new().block_on(&runtime, async {
        ending::stop(&cluster, &*system, &plan.nodes).await;
        cluster.stop_all().await;
    });
    tried
}

/// Reaches an external cluster, and lets `body` try out its clients.
pub fn on_external<T>(plan: &TrialPlan, folder: &Path, body: impl AsyncFnOnce(Client<'_>) -> T) -> Tried<T> {
    let description = plan.cluster.as_ref().ok_or_else(|| Failed::Setup("no cluster is described".into()))?;
    let described = Rc::new(described::external(description, plan, folder).map_err(Failed::Setup)?);
    let system: Rc<dyn System> = described.clone();
    let runtime = runtime()?;
    let (_listening, stop) = listen(&runtime, super::NOTHING_LEFT)?;
    let mut setup = SetupLog::create(folder)?;
    let ready = async {
        let reached = tokio::time::timeout(SETUP_LIMIT, reach(&*system, plan, &mut setup)).await;
        reached.unwrap_or_else(|_| Err(setup.overdue()))
    };
    until_stopped(&runtime, stop, ready, &system, Some(&*described), body)
}

fn until_stopped<T>(
    runtime: &Runtime,
    mut stop: Stop,
    ready: impl Future<Output = Result<(), Failed>>,
    system: &Rc<dyn System>,
    described: Option<&DescribedSystem>,
    body: impl AsyncFnOnce(Client<'_>) -> T,
) -> Tried<T> {
    let connector = SystemConnector(system.clone());
    let tried = async {
        ready.await?;
        Ok(Some(body(Client { connector: &connector, described }).await))
    };
    LocalSet::new().block_on(runtime, async {
        tokio::select! {
            tried = tried => tried,
            () = &mut stop => Ok(None),
        }
    })
}
