//! What holds each node: which faults want it dead, standing still or its clock wrong.
//!
//! Faults overlap. So none of them acts on a node directly: it enters its hold, and the ledger brings the node
//! into the state that all holds together ask for. Down beats standing still beats running; of two skews the
//! newer counts. Hence healing one fault never undoes another:
//!
//! - a node killed by one fault and paused by another stays dead until the kill heals, and then, while the
//!   pause lasts, is started and stopped again at once;
//! - a paused node that is killed is simply gone; the end of the pause then changes nothing;
//! - a clock set while its node does not run is set when it runs again, and a restarted node whose clock
//!   should lie is made to lie anew.
//!
//! A hold is entered **before** anything is done and leaves only **after** it is undone, and while something is
//! being done the node's state counts as unknown. So whoever gives up half way (a deadline drops the future)
//! leaves a ledger from which healing still finds everything. Calls on one node come one after the other.

use elenchus_core::cluster::Cluster;
use elenchus_core::fault::{FaultId, Skew};
use elenchus_core::outcome::Cause;
use elenchus_core::process::NodeId;
use std::collections::BTreeMap;
use tokio::sync::Mutex;

/// What a fault does to a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// Keeps it dead.
    Kill,
    /// Keeps it standing still.
    Pause,
    /// Keeps its clock wrong.
    Skew(Skew),
}

/// How a node stands, as far as we made it so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Its processes run.
    Running,
    /// They stand still.
    Paused,
    /// There are none.
    Down,
    /// Something was begun and its end not seen.
    Unknown,
}

/// What came of entering or lifting a hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Effect {
    /// Whether this hold, and not another before it, has had effect by now.
    pub hit: bool,
    /// How the node stands now.
    pub standing: Standing,
    /// What the node's clock read, in nanoseconds ahead of the true time, if it was set just now.
    pub offset_ns: Option<i64>,
    /// Whether a hold wants the node's clock wrong.
    pub skewed: bool,
}

/// What holds each node.
#[derive(Debug)]
pub struct Ledger {
    nodes: BTreeMap<NodeId, Mutex<Node>>,
}

impl Ledger {
    /// A ledger of nodes that run, with true clocks.
    pub fn new(nodes: &[NodeId]) -> Ledger {
        Ledger { nodes: nodes.iter().map(|node| (node.clone(), Mutex::new(Node::new()))).collect() }
    }

    /// Enters a hold and brings it about. On an error the hold stays, until it is lifted.
    pub async fn hold(
        &self,
        cluster: &dyn Cluster,
        node: &NodeId,
        id: FaultId,
        hold: Hold,
    ) -> Result<Effect, Cause> {
        let mut state = self.lock(node)?.lock().await;
        state.holds.push(Held { id, hold, lifted: false, hit: false });
        let settled = state.settle(cluster, node).await;
        let hit = state.holds.iter().any(|held| held.id == id && held.hit);
        settled.result_for(Some(hold))?;
        Ok(state.effect(hit, settled.offset_ns))
    }

    /// Lifts the hold and undoes what no other hold wants. On an error what is to be undone stays on record,
    /// and lifting can be tried again; without such a hold the node is settled and no more.
    pub async fn lift(&self, cluster: &dyn Cluster, node: &NodeId, id: FaultId) -> Result<Effect, Cause> {
        let mut state = self.lock(node)?.lock().await;
        let at = state.holds.iter().position(|held| held.id == id);
        if let Some(at) = at {
            state.holds[at].lifted = true;
        }
        let settled = state.settle(cluster, node).await;
        let held = at.map(|at| state.holds[at]);
        settled.result_for(held.map(|held| held.hold))?;
        if let Some(at) = at {
            state.holds.remove(at);
        }
        Ok(state.effect(held.is_some_and(|held| held.hit), settled.offset_ns))
    }

    /// Notes that nobody knows what the node's clock shows: it is set again when next the node is settled.
    pub async fn distrust_clock(&self, node: &NodeId) {
        if let Ok(state) = self.lock(node) {
            state.lock().await.skew = None;
        }
    }

    /// Notes that a hold has shown its effect later than when it was entered.
    pub async fn mark_hit(&self, node: &NodeId, id: FaultId) {
        if let Ok(state) = self.lock(node) {
            let mut state = state.lock().await;
            state.holds.iter_mut().filter(|held| held.id == id).for_each(|held| held.hit = true);
        }
    }

    /// What the node reads on its clock, if it runs and answers.
    pub async fn clock(&self, cluster: &dyn Cluster, node: &NodeId) -> Option<i64> {
        let state = self.lock(node).ok()?.lock().await;
        if state.standing == Standing::Running { cluster.clock(node).await.ok() } else { None }
    }

    /// Brings every node into the state that its holds ask for, as far as it is not: a last resort after errors.
    pub async fn settle(&self, cluster: &dyn Cluster, node: &NodeId) -> Result<(), Cause> {
        let mut state = self.lock(node)?.lock().await;
        state.settle(cluster, node).await.result_for(None)
    }

    /// The nodes.
    pub fn nodes(&self) -> impl Iterator<Item = &NodeId> {
        self.nodes.keys()
    }

    fn lock(&self, node: &NodeId) -> Result<&Mutex<Node>, Cause> {
        self.nodes.get(node).ok_or_else(|| format!("{node} is no node of this cluster").into())
    }
}

#[derive(Clone, Copy, Debug)]
struct Held {
    id: FaultId,
    hold: Hold,
    /// Wanted no more, but not undone yet.
    lifted: bool,
    hit: bool,
}

#[derive(Debug)]
struct Node {
    standing: Standing,
    /// How the clock was last set (`None`: true); outside `None` means that nobody knows.
    skew: Option<Option<Skew>>,
    /// In the order in which they were entered.
    holds: Vec<Held>,
}

/// What came of an attempt to settle.
struct Settled {
    power: Result<(), Cause>,
    clock: Result<(), Cause>,
    offset_ns: Option<i64>,
}

impl Settled {
    /// The part that matters to this hold: a clock that could not be set is not the matter of a kill.
    fn result_for(&self, hold: Option<Hold>) -> Result<(), Cause> {
        match hold {
            Some(Hold::Kill | Hold::Pause) => self.power.clone(),
            Some(Hold::Skew(_)) => self.clock.clone(),
            None => self.power.clone().and(self.clock.clone()),
        }
    }
}

impl Node {
    fn new() -> Node {
        Node { standing: Standing::Running, skew: Some(None), holds: Vec::new() }
    }

    fn effect(&self, hit: bool, offset_ns: Option<i64>) -> Effect {
        Effect { hit, standing: self.standing, offset_ns, skewed: self.wanted().1.is_some() }
    }

    fn wanted(&self) -> (Standing, Option<Skew>) {
        let holds = || self.holds.iter().filter(|held| !held.lifted).map(|held| held.hold);
        let standing = if holds().any(|hold| hold == Hold::Kill) {
            Standing::Down
        } else if holds().any(|hold| hold == Hold::Pause) {
            Standing::Paused
        } else {
            Standing::Running
        };
        let mut skews =
            holds().filter_map(|hold| if let Hold::Skew(skew) = hold { Some(skew) } else { None });
        (standing, skews.next_back())
    }

    /// Brings the node from how it stands to how it should, and tells the holds that had effect.
    async fn settle(&mut self, cluster: &dyn Cluster, node: &NodeId) -> Settled {
        let (standing, skew) = self.wanted();
        let power = self.settle_power(cluster, node, standing).await;
        let mut settled = Settled { power, clock: Ok(()), offset_ns: None };
        match self.standing {
            Standing::Down => self.credit(|hold| hold == Hold::Kill),
            Standing::Paused => self.credit(|hold| hold == Hold::Pause),
            _ => {}
        }
        // Whoever does not run cannot be told the time; it is told once it runs.
        if self.standing == Standing::Running && self.skew != Some(skew) {
            self.skew = None;
            match cluster.skew(node, skew).await {
                Ok(offset) => {
                    self.skew = Some(skew);
                    settled.offset_ns = Some(offset);
                }
                Err(cause) => settled.clock = Err(cause),
            }
        }
        settled
    }

    async fn settle_power(
        &mut self,
        cluster: &dyn Cluster,
        node: &NodeId,
        wanted: Standing,
    ) -> Result<(), Cause> {
        if self.standing == wanted {
            return Ok(());
        }
        let from = std::mem::replace(&mut self.standing, Standing::Unknown);
        if wanted == Standing::Down {
            // Until it is known to be dead it may go on with its clock as it is.
            let skew = self.skew.take();
            self.skew = skew.filter(Option::is_none);
            cluster.kill(node).await?;
            self.skew = Some(None);
        } else {
            if matches!(from, Standing::Down | Standing::Unknown) {
                cluster.start(node).await?;
            }
            match (wanted, from) {
                (Standing::Paused, _) => cluster.pause(node).await?,
                // A process that was just started runs.
                (_, Standing::Down) => {}
                _ => cluster.resume(node).await?,
            }
        }
        self.standing = wanted;
        Ok(())
    }

    /// The first hold of this kind is what keeps the node so.
    fn credit(&mut self, kind: impl Fn(Hold) -> bool) {
        if let Some(held) = self.holds.iter_mut().find(|held| !held.lifted && kind(held.hold)) {
            held.hit = true;
        }
    }
}
