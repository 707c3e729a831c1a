//! One task a slot: it connects, performs one operation at a time, and starts anew after a doubt.

use elenchus_core::client::{Client, Connector};
use elenchus_core::outcome::Outcome;
use elenchus_core::process::{NodeId, Process, Slot};
use elenchus_core::workload::Workload;
use elenchus_core::world::Wake;
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::LocalSet;

/// How long a slot rests after its first connection that could not be opened; doubled each time…
const BACKOFF_MIN: Duration = Duration::from_millis(100);
/// …up to this.
const BACKOFF_MAX: Duration = Duration::from_secs(1);

/// The tasks of all slots.
pub struct Clients<W: Workload> {
    slots: Vec<Post<W::Op>>,
}

/// How the loop speaks to one slot's task.
struct Post<O> {
    orders: UnboundedSender<(Process, O)>,
    given_up: Rc<GivenUp>,
}

/// The latest process of a slot that was given up; processes of one slot only ever increase.
#[derive(Default)]
struct GivenUp {
    process: Cell<Option<Process>>,
    changed: Notify,
}

impl<W: Workload> Clients<W> {
    /// Starts one task a slot; slot `i` speaks to node `i mod nodes`.
    pub fn start(
        tasks: &LocalSet,
        workload: Rc<W>,
        connector: Rc<dyn Connector>,
        nodes: &[NodeId],
        concurrency: u32,
        wake: &UnboundedSender<Wake<W::Ret>>,
    ) -> Clients<W> {
        let slots = (0..concurrency).map(|i| {
            let (orders, inbox) = unbounded_channel();
            let given_up = Rc::new(GivenUp::default());
            let place = Place {
                slot: Slot(i),
                node: nodes[i as usize % nodes.len()].clone(),
                workload: workload.clone(),
                connector: connector.clone(),
                connection: None,
                backoff: BACKOFF_MIN,
            };
            tasks.spawn_local(place.serve(inbox, given_up.clone(), wake.clone()));
            Post { orders, given_up }
        });
        Clients { slots: slots.collect() }
    }

    /// Hands an operation to its slot's task.
    pub fn invoke(&self, slot: Slot, process: Process, op: W::Op) {
        // A task ends only with the runtime; an order to a dead one would be overdue and thus in doubt.
        let _ = self.slots[slot.0 as usize].orders.send((process, op));
    }

    /// Makes the task drop what it does for this process, its connection included.
    pub fn abandon(&self, slot: Slot, process: Process) {
        let given_up = &self.slots[slot.0 as usize].given_up;
        given_up.process.set(Some(process));
        given_up.changed.notify_one();
    }
}

impl GivenUp {
    /// Resolves once this process is given up.
    async fn reached(&self, process: Process) {
        while self.process.get().is_none_or(|given_up| given_up < process) {
            self.changed.notified().await;
        }
    }
}

/// What one slot's task holds.
struct Place<W: Workload> {
    slot: Slot,
    node: NodeId,
    workload: Rc<W>,
    connector: Rc<dyn Connector>,
    connection: Option<(Process, Box<dyn Client>)>,
    backoff: Duration,
}

impl<W: Workload> Place<W> {
    async fn serve(
        mut self,
        mut inbox: UnboundedReceiver<(Process, W::Op)>,
        given_up: Rc<GivenUp>,
        wake: UnboundedSender<Wake<W::Ret>>,
    ) {
        while let Some((process, op)) = inbox.recv().await {
            let outcome = tokio::select! {
                biased;
                outcome = self.perform(process, &op) => Some(outcome),
                () = given_up.reached(process) => None,
            };
            let Some(outcome) = outcome else {
                self.connection = None;
                continue;
            };
            if outcome.is_info() {
                self.connection = None;
            }
            if wake.send(Wake::Done(self.slot, process, outcome)).is_err() {
                return;
            }
        }
    }

    async fn perform(&mut self, process: Process, op: &W::Op) -> Outcome<W::Ret> {
        if self.connection.as_ref().is_none_or(|(owner, _)| *owner != process) {
            self.connection = None;
            match self.connect(process).await {
                Ok(client) => self.connection = Some((process, client)),
                Err(why) => return self.unreachable(why).await,
            }
        }
        self.backoff = BACKOFF_MIN;
        let (_, client) = self.connection.as_mut().expect("it was just opened");
        self.workload.call(client.as_mut(), op).await
    }

    async fn connect(&self, process: Process) -> Result<Box<dyn Client>, String> {
        let limit = self.connector.connect_limit();
        match tokio::time::timeout(limit, self.connector.connect(&self.node, process)).await {
            Ok(Ok(client)) => Ok(client),
            Ok(Err(cause)) => Err(format!("no connection to {}: {cause}", self.node)),
            Err(_) => Err(format!("no connection to {} within {limit:?}", self.node)),
        }
    }

    /// Nothing was sent: a certain failure. The slot rests first, lest a dead node be hammered.
    async fn unreachable(&mut self, why: String) -> Outcome<W::Ret> {
        tokio::time::sleep(self.backoff).await;
        self.backoff = (self.backoff * 2).min(BACKOFF_MAX);
        Outcome::not_done(why)
    }
}
