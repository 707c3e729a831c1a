//! One slot of a simulated world: it connects, performs one operation at a time, and starts anew after a doubt.

use elenchus_core::LocalFuture;
use elenchus_core::client::{Client, Connector};
use elenchus_core::outcome::Outcome;
use elenchus_core::process::{NodeId, Process};
use elenchus_core::workload::Workload;
use elenchus_systems::simulated::{Simulated, SimulatedConnector};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake};
use std::time::Duration;

/// How long a slot rests after its first connection that could not be opened; doubled each time…
const BACKOFF_MIN: Duration = Duration::from_millis(100);
/// …up to this.
const BACKOFF_MAX: Duration = Duration::from_secs(1);

/// Rings when a task has something to do.
pub struct Bell(AtomicBool);

impl Bell {
    /// One that rings already.
    pub fn rung() -> Arc<Bell> {
        Arc::new(Bell(AtomicBool::new(true)))
    }

    /// Whether it rings; it stops.
    pub fn answer(&self) -> bool {
        self.0.swap(false, Ordering::Relaxed)
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// See the module.
pub struct Place<W: Workload> {
    simulated: Rc<Simulated>,
    workload: Rc<W>,
    node: NodeId,
    state: Option<State>,
    task: Option<Task<W::Ret>>,
    bell: Arc<Bell>,
}

/// What outlives an operation.
struct State {
    connection: Option<(Process, Box<dyn Client>)>,
    backoff: Duration,
}

struct Task<R> {
    process: Process,
    future: LocalFuture<'static, (State, Outcome<R>)>,
}

impl<W: Workload> Place<W> {
    /// A slot that speaks to this node.
    pub fn new(simulated: Rc<Simulated>, workload: Rc<W>, node: NodeId) -> Place<W> {
        Place { simulated, workload, node, state: None, task: None, bell: Bell::rung() }
    }

    /// Speaks to this node from now on.
    pub fn sit(&mut self, node: &NodeId) {
        self.node = node.clone();
    }

    /// Begins an operation.
    pub fn invoke(&mut self, process: Process, op: W::Op) {
        let state = self.state.take().unwrap_or(State { connection: None, backoff: BACKOFF_MIN });
        let (simulated, workload, node) = (self.simulated.clone(), self.workload.clone(), self.node.clone());
        let future = Box::pin(perform(simulated, workload, node, state, process, op));
        self.task = Some(Task { process, future });
        self.bell = Bell::rung();
    }

    /// Gives an operation up, and its connection with it.
    pub fn abandon(&mut self, process: Process) {
        self.task.take_if(|task| task.process <= process);
    }

    /// Goes on if it can; how the operation ended, if it did.
    pub fn poll(&mut self) -> Option<(Process, Outcome<W::Ret>)> {
        let Task { process, future } = self.task.as_mut().filter(|_| self.bell.answer())?;
        let waker = self.bell.clone().into();
        let Poll::Ready((state, outcome)) = future.as_mut().poll(&mut Context::from_waker(&waker)) else {
            return None;
        };
        let process = *process;
        self.task = None;
        // A connection whose operation is in doubt has had its day.
        let connection = state.connection.filter(|_| !outcome.is_info());
        self.state = Some(State { connection, ..state });
        Some((process, outcome))
    }
}

async fn perform<W: Workload>(
    simulated: Rc<Simulated>,
    workload: Rc<W>,
    node: NodeId,
    mut state: State,
    process: Process,
    op: W::Op,
) -> (State, Outcome<W::Ret>) {
    if state.connection.as_ref().is_none_or(|(owner, _)| *owner != process) {
        state.connection = None;
        match SimulatedConnector(simulated.clone()).connect(&node, process).await {
            Ok(client) => state.connection = Some((process, client)),
            Err(why) => {
                // Nothing was sent: a certain failure. The slot rests first, lest a dead node be hammered.
                simulated.sleep(state.backoff).await;
                state.backoff = (state.backoff * 2).min(BACKOFF_MAX);
                return (state, Outcome::not_done(format!("no connection to {node}: {why}")));
            }
        }
    }
    state.backoff = BACKOFF_MIN;
    let (_, client) = state.connection.as_mut().expect("it was just opened");
    let outcome = workload.call(client.as_mut(), &op).await;
    (state, outcome)
}
