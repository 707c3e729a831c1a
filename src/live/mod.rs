//! The world of real processes and real time.
//!
//! Everything lives on one current-thread runtime in the runner's own thread: clients, nemeses, whoever
//! watches the cluster. Measured, this is the only construction that drives 200,000 logged operations a
//! second; a runtime with worker threads pays for waking the loop across threads on every completion.

mod clients;
mod cluster;
mod disks;
mod local;
mod machines;
mod watch;

pub use cluster::LiveCluster;
pub use disks::{DataFolder, Disks};
pub use local::LocalMachines;
pub use machines::Machines;

use clients::Clients;
use elenchus_core::client::Connector;
use elenchus_core::cluster::Cluster;
use elenchus_core::fault::{Fault, FaultId};
use elenchus_core::process::{NodeId, Process, Slot};
use elenchus_core::time::Time;
use elenchus_core::workload::Workload;
use elenchus_core::world::{Wake, World};
use elenchus_nemeses::Nemesis;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Instant;
use tokio::runtime::Runtime;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::{JoinHandle, LocalSet};

/// Real processes, real time.
pub struct LiveWorld<W: Workload> {
    runtime: Runtime,
    tasks: LocalSet,
    began: Instant,
    clients: Clients<W>,
    wakes: UnboundedReceiver<Wake<W::Ret>>,
    wake: UnboundedSender<Wake<W::Ret>>,
    nemesis: Option<(Rc<Nemesis>, Rc<LiveCluster>)>,
    injections: BTreeMap<FaultId, JoinHandle<()>>,
}

impl<W: Workload> LiveWorld<W> {
    /// A world with one task a slot. Slot `i` speaks to node `i mod nodes`.
    pub fn new(
        runtime: Runtime,
        workload: Rc<W>,
        connector: Rc<dyn Connector>,
        nodes: &[NodeId],
        concurrency: u32,
    ) -> LiveWorld<W> {
        let (wake, wakes) = unbounded_channel();
        let tasks = LocalSet::new();
        let clients = Clients::start(&tasks, workload, connector, nodes, concurrency, &wake);
        LiveWorld {
            runtime,
            tasks,
            began: Instant::now(),
            clients,
            wakes,
            wake,
            nemesis: None,
            injections: BTreeMap::new(),
        }
    }

    /// The same world with a cluster that can be broken and that is watched.
    pub fn with_cluster(mut self, cluster: Rc<LiveCluster>) -> LiveWorld<W> {
        cluster.tell_leaders(self.noter());
        self.tasks.spawn_local(watch::leaders(cluster.clone()));
        self.tasks.spawn_local(watch::exits(cluster.clone(), self.noter()));
        self.nemesis = Some((Rc::new(Nemesis::new(cluster.nodes())), cluster));
        self
    }

    /// Reports an interrupt as soon as `asked` resolves.
    pub fn interrupted_by(self, asked: impl Future<Output = ()> + 'static) -> LiveWorld<W> {
        let wake = self.wake.clone();
        self.tasks.spawn_local(async move {
            asked.await;
            // The receiver is gone only when the trial is over anyway.
            let _ = wake.send(Wake::Interrupted);
        });
        self
    }

    /// Runs a future on this world's runtime, its other tasks going on beside it.
    pub fn block_on<F: Future>(&mut self, future: F) -> F::Output {
        self.tasks.block_on(&self.runtime, future)
    }

    /// Heals whatever is still broken, for exit paths; returns what could not be healed.
    pub fn heal_all(&mut self) -> Vec<String> {
        for injection in std::mem::take(&mut self.injections).into_values() {
            injection.abort();
        }
        let Some((nemesis, cluster)) = self.nemesis.clone() else { return Vec::new() };
        let healed = self.block_on(async move { nemesis.heal_all(&*cluster).await });
        healed
            .into_iter()
            .filter_map(|(id, healed)| healed.err().map(|e| format!("fault {}: {e}", id.0)))
            .collect()
    }

    fn noter(&self) -> watch::Noter {
        let wake = self.wake.clone();
        Box::new(move |note| {
            // As above: nobody listens only when the trial is over.
            let _ = wake.send(Wake::Noted(note));
        })
    }
}

impl<W: Workload> World<W::Op, W::Ret> for LiveWorld<W> {
    fn now(&self) -> Time {
        Time::from(self.began.elapsed())
    }

    fn invoke(&mut self, slot: Slot, process: Process, op: W::Op) {
        self.clients.invoke(slot, process, op);
    }

    fn abandon(&mut self, slot: Slot, process: Process) {
        self.clients.abandon(slot, process);
    }

    fn inject(&mut self, id: FaultId, fault: Fault) {
        let (nemesis, wake) = (self.nemesis.clone(), self.wake.clone());
        let injection = self.tasks.spawn_local(async move {
            let proof = match nemesis {
                Some((nemesis, cluster)) => nemesis.inject(&*cluster, id, &fault).await,
                None => Err("this system can suffer no faults".into()),
            };
            let _ = wake.send(Wake::Injected(id, proof));
        });
        self.injections.insert(id, injection);
    }

    fn heal(&mut self, id: FaultId) {
        // An injection that is overdue must not go on and break again what is about to be healed.
        if let Some(injection) = self.injections.remove(&id) {
            injection.abort();
        }
        let (nemesis, wake) = (self.nemesis.clone(), self.wake.clone());
        self.tasks.spawn_local(async move {
            let proof = match nemesis {
                Some((nemesis, cluster)) => nemesis.heal(&*cluster, id).await,
                None => Err("this system can suffer no faults".into()),
            };
            let _ = wake.send(Wake::Healed(id, proof));
        });
    }

    fn wait(&mut self, until: Option<Time>) -> Wake<W::Ret> {
        if let Ok(wake) = self.wakes.try_recv() {
            return wake;
        }
        let next = self.wakes.recv();
        let woken = match until {
            // A look without waiting: whatever is ready was seen above.
            Some(Time::ZERO) => return Wake::Timeout,
            Some(until) => {
                let at = tokio::time::Instant::from_std(self.began + until.since(Time::ZERO));
                let limited = async { tokio::time::timeout_at(at, next).await.ok() };
                self.tasks.block_on(&self.runtime, limited)
            }
            None => Some(self.tasks.block_on(&self.runtime, next)),
        };
        match woken {
            Some(wake) => wake.expect("this world holds a sender, so the channel is open"),
            None => Wake::Timeout,
        }
    }
}
