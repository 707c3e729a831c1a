//! The world of virtual time: the same loop, clients and nemeses over a simulated cluster, in one thread.
//!
//! Tasks are plain futures that this world polls when what they wait for has happened; there is no runtime and no
//! real time. Whatever is ready is polled in the order of its slot, so that a seed gives the same history, byte for byte.

mod slot;

use crate::script::Script;
use elenchus_core::LocalFuture;
use elenchus_core::cluster::Cluster;
use elenchus_core::fault::{Fault, FaultId, Proof};
use elenchus_core::outcome::Cause;
use elenchus_core::process::{NodeId, Process, Slot};
use elenchus_core::time::Time;
use elenchus_core::trace::Line;
use elenchus_core::workload::Workload;
use elenchus_core::world::{Wake, World};
use elenchus_nemeses::Nemesis;
use elenchus_systems::simulated::Simulated;
use slot::{Bell, Place};
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;
use std::task::{Context, Poll};

/// Takes the lines that nodes trace, each with its time in the trial.
pub type Trace = Box<dyn FnMut(Time, &NodeId, &Line)>;

/// See the module.
pub struct SimWorld<W: Workload> {
    simulated: Rc<Simulated>,
    began: Time,
    places: Vec<Place<W>>,
    nemesis: Rc<Nemesis>,
    acts: BTreeMap<FaultId, Act>,
    wakes: VecDeque<Wake<W::Ret>>,
    trace: Trace,
    stop: Rc<Cell<bool>>,
    /// Faults that wait until somebody leads.
    once_led: BTreeSet<FaultId>,
}

/// A fault that comes or goes.
struct Act {
    heals: bool,
    bell: std::sync::Arc<Bell>,
    future: LocalFuture<'static, Result<Proof, Cause>>,
}

impl<W: Workload> SimWorld<W> {
    /// A world whose time begins now. Slot `i` speaks to node `i mod nodes`.
    pub fn new(simulated: Rc<Simulated>, workload: Rc<W>, concurrency: u32, trace: Trace) -> SimWorld<W> {
        let nodes = simulated.nodes();
        let place = |i: u32| {
            let node = nodes[i as usize % nodes.len()].clone();
            Place::new(simulated.clone(), workload.clone(), node)
        };
        SimWorld {
            began: simulated.now(),
            places: (0..concurrency).map(place).collect(),
            nemesis: Rc::new(Nemesis::new(nodes)),
            acts: BTreeMap::new(),
            wakes: VecDeque::new(),
            simulated,
            trace,
            stop: Rc::default(),
            once_led: BTreeSet::new(),
        }
    }

    /// The same world, whose slots speak to the nodes that a script names, and whose faults wait for leaders where it
    /// says so.
    #[must_use]
    pub fn following(mut self, script: &Script) -> SimWorld<W> {
        for (place, seat) in self.places.iter_mut().zip(&script.seats) {
            place.sit(seat);
        }
        let once_led = script.strikes.iter().filter(|blow| blow.once_led);
        self.once_led = once_led.map(|blow| blow.id).collect();
        self
    }

    /// The same world, which ends the trial when this is set.
    #[must_use]
    pub fn stopped_by(self, stop: Rc<Cell<bool>>) -> SimWorld<W> {
        SimWorld { stop, ..self }
    }

    /// Heals whatever is still broken; returns what could not be healed.
    pub fn heal_all(&mut self) -> Vec<String> {
        self.acts.clear();
        let (nemesis, simulated) = (self.nemesis.clone(), self.simulated.clone());
        let healed = pass(&self.simulated, async move { nemesis.heal_all(&*simulated).await });
        healed
            .into_iter()
            .filter_map(|(id, healed)| healed.err().map(|e| format!("fault {}: {e}", id.0)))
            .collect()
    }

    fn act(
        &mut self,
        id: FaultId,
        heals: bool,
        future: impl Future<Output = Result<Proof, Cause>> + 'static,
    ) {
        let bell = Bell::rung();
        self.acts.insert(id, Act { heals, bell, future: Box::pin(future) });
        self.poll();
    }

    /// Polls whatever has been woken.
    fn poll(&mut self) {
        for (i, place) in self.places.iter_mut().enumerate() {
            if let Some((process, outcome)) = place.poll() {
                self.wakes.push_back(Wake::Done(Slot(i as u32), process, outcome));
            }
        }
        let wakes = &mut self.wakes;
        self.acts.retain(|id, act| {
            if !act.bell.answer() {
                return true;
            }
            let waker = act.bell.clone().into();
            let Poll::Ready(proof) = act.future.as_mut().poll(&mut Context::from_waker(&waker)) else {
                return true;
            };
            wakes.push_back(if act.heals { Wake::Healed(*id, proof) } else { Wake::Injected(*id, proof) });
            false
        });
    }

    /// Lets the next thing happen. Whether anything did before the time.
    fn advance(&mut self, until: Time) -> bool {
        let mut notes = Vec::new();
        let happened = self.simulated.advance(until, &mut notes);
        let now = Time::from(self.simulated.now().since(self.began));
        let trace = &mut self.trace;
        self.simulated.traced(|node, line| trace(now, node, line));
        self.wakes.extend(notes.into_iter().map(Wake::Noted));
        self.poll();
        happened
    }

    fn universal(&self, time: Time) -> Time {
        self.began + time.since(Time::ZERO)
    }
}

impl<W: Workload> World<W::Op, W::Ret> for SimWorld<W> {
    fn now(&self) -> Time {
        Time::from(self.simulated.now().since(self.began))
    }

    fn invoke(&mut self, slot: Slot, process: Process, op: W::Op) {
        self.places[slot.0 as usize].invoke(process, op);
        self.poll();
    }

    fn abandon(&mut self, slot: Slot, process: Process) {
        self.places[slot.0 as usize].abandon(process);
    }

    fn inject(&mut self, id: FaultId, fault: Fault) {
        let (nemesis, simulated) = (self.nemesis.clone(), self.simulated.clone());
        let once_led = self.once_led.contains(&id);
        self.act(id, false, async move {
            if once_led {
                // That nobody leads even then spares nobody: who is struck has a name.
                let _ = simulated.primaries().await;
            }
            nemesis.inject(&*simulated, id, &fault).await
        });
    }

    fn heal(&mut self, id: FaultId) {
        // An injection that is overdue must not go on and break again what is about to be healed.
        self.acts.remove(&id);
        let (nemesis, simulated) = (self.nemesis.clone(), self.simulated.clone());
        self.act(id, true, async move { nemesis.heal(&*simulated, id).await });
    }

    fn wait(&mut self, until: Option<Time>) -> Wake<W::Ret> {
        let until = until.map(|until| self.universal(until));
        loop {
            if self.stop.take() {
                return Wake::Interrupted;
            }
            // Whoever waits is woken at once, and not only when something else happens or somebody else looks.
            while self.simulated.has_news() {
                self.advance(Time::MAX);
            }
            if let Some(wake) = self.wakes.pop_front() {
                return wake;
            }
            let limit = until.unwrap_or(Time::MAX);
            if self.simulated.now() >= limit || (!self.advance(limit) && self.wakes.is_empty()) {
                return Wake::Timeout;
            }
        }
    }
}

/// Lets the universe's time pass until a future is done.
pub fn pass<T>(simulated: &Simulated, future: impl Future<Output = T>) -> T {
    let mut future = Box::pin(future);
    loop {
        let mut cx = Context::from_waker(std::task::Waker::noop());
        if let Poll::Ready(done) = future.as_mut().poll(&mut cx) {
            return done;
        }
        simulated.advance(Time::MAX, &mut Vec::new());
    }
}
