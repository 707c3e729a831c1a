//! What holds each node: which faults want it dead, standing still, its clock wrong, its disk ill.
//!
//! Faults overlap. So none of them acts on a node directly: it enters its hold, and the ledger brings the node
//! into the state that all holds together ask for. Down beats standing still beats running; of two skews (or
//! troubles, ailments, limits) the newer counts. Hence healing one fault never undoes another:
//!
//! - a node killed by one fault and paused by another stays dead until the kill heals, and then, while the
//!   pause lasts, is started and stopped again at once;
//! - a paused node that is killed is simply gone; the end of the pause then changes nothing;
//! - a clock set while its node does not run is set when it runs again, and a restarted node whose clock
//!   should lie is made to lie anew;
//! - who was removed from the cluster is added again before anything else is asked of it.
//!
//! A hold is entered **before** anything is done and leaves only **after** it is undone, and while something is
//! being done the node's state counts as unknown. So whoever gives up half way (a deadline drops the future)
//! leaves a ledger from which healing still finds everything. Calls on one node come one after the other.

use crate::condition::Condition;
use crate::power;
use elenchus_core::cluster::Cluster;
use elenchus_core::fault::{Ailment, FaultId, Harm, Limit, Loss, Skew, Trouble};
use elenchus_core::outcome::Cause;
use elenchus_core::process::NodeId;
use std::collections::BTreeMap;
use tokio::sync::Mutex;

/// What a fault does to a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// Keeps it dead.
    Kill,
    /// Takes its power, once, and keeps it dead.
    Power(Loss),
    /// Harms its files, once, and keeps it dead.
    Damage(Harm),
    /// Keeps it out of the cluster, and dead.
    Out,
    /// Keeps it standing still.
    Pause,
    /// Keeps its clock wrong.
    Skew(Skew),
    /// Keeps its packets in trouble.
    Trouble(Trouble),
    /// Keeps its disk ill.
    Ailment(Ailment),
    /// Keeps it short of something.
    Limit(Limit),
}

impl Hold {
    fn is_down(self) -> bool {
        matches!(self, Hold::Kill | Hold::Power(_) | Hold::Damage(_) | Hold::Out)
    }

    /// Whether a node may die of it, by its own hand or the kernel's.
    fn is_deadly(self) -> bool {
        matches!(self, Hold::Ailment(_) | Hold::Limit(_))
    }
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effect {
    /// Whether this hold, and not another before it, has had effect by now.
    pub hit: bool,
    /// How the node stands now.
    pub standing: Standing,
    /// What the node's clock read, in nanoseconds ahead of the true time, if it was set just now and read since.
    pub offset_ns: Option<i64>,
    /// Whether a hold wants the node's clock wrong.
    pub skewed: bool,
    /// What this hold has touched or cost so far: packets, calls, bytes.
    pub count: u64,
    /// What was done, where only who did it knows.
    pub told: Option<String>,
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
        state.holds.push(Held::new(id, hold));
        let settled = state.settle(cluster, node).await;
        settled.result_for(Some(hold))?;
        let at = state.place(id);
        Ok(state.effect(at, settled.offset_ns))
    }

    /// Lifts the hold and undoes what no other hold wants. On an error what is to be undone stays on record,
    /// and lifting can be tried again; without such a hold the node is settled and no more.
    pub async fn lift(&self, cluster: &dyn Cluster, node: &NodeId, id: FaultId) -> Result<Effect, Cause> {
        let mut state = self.lock(node)?.lock().await;
        let at = state.place(id);
        if let Some(at) = at {
            state.holds[at].lifted = true;
        }
        let mut settled = state.settle(cluster, node).await;
        let hold = at.map(|at| state.holds[at].hold);
        settled.result_for(hold)?;
        if hold.is_some_and(Hold::is_deadly) {
            state.revive(cluster, node, &mut settled).await?;
        }
        let effect = state.effect(at, settled.offset_ns);
        if let Some(at) = at {
            state.holds.remove(at);
        }
        Ok(effect)
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

    /// Whether the node runs, so that it may look at its clock.
    pub async fn is_running(&self, node: &NodeId) -> bool {
        match self.lock(node) {
            Ok(state) => state.lock().await.standing == Standing::Running,
            Err(_) => false,
        }
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

#[derive(Clone, Debug)]
struct Held {
    id: FaultId,
    hold: Hold,
    /// Wanted no more, but not undone yet.
    lifted: bool,
    /// What is done once only is done.
    done: bool,
    hit: bool,
    count: u64,
    told: Option<String>,
}

impl Held {
    fn new(id: FaultId, hold: Hold) -> Held {
        Held { id, hold, lifted: false, done: false, hit: false, count: 0, told: None }
    }
}

#[derive(Debug)]
struct Node {
    standing: Standing,
    /// Whether it is a member of the cluster; `None`: nobody knows.
    member: Option<bool>,
    /// How the clock was last set (`None`: true); outside `None` means that nobody knows.
    skew: Option<Option<Skew>>,
    packets: Condition<Trouble>,
    disk: Condition<Ailment>,
    resources: Condition<Limit>,
    /// In the order in which they were entered.
    holds: Vec<Held>,
}

/// What came of an attempt to settle.
struct Settled {
    packets: Result<(), Cause>,
    disk: Result<(), Cause>,
    resources: Result<(), Cause>,
    power: Result<(), Cause>,
    clock: Result<(), Cause>,
    offset_ns: Option<i64>,
}

impl Settled {
    /// The part that matters to this hold: a clock that could not be set is not the matter of a kill.
    fn result_for(&self, hold: Option<Hold>) -> Result<(), Cause> {
        let parts = [&self.packets, &self.disk, &self.resources, &self.power, &self.clock];
        match hold {
            Some(hold) if hold.is_down() || hold == Hold::Pause => self.power.clone(),
            Some(Hold::Skew(_)) => self.clock.clone(),
            Some(Hold::Trouble(_)) => self.packets.clone(),
            Some(Hold::Ailment(_)) => self.disk.clone(),
            Some(Hold::Limit(_)) => self.resources.clone(),
            _ => parts.into_iter().cloned().collect(),
        }
    }
}

impl Node {
    fn new() -> Node {
        Node {
            standing: Standing::Running,
            member: Some(true),
            skew: Some(None),
            packets: Condition::none(),
            disk: Condition::none(),
            resources: Condition::none(),
            holds: Vec::new(),
        }
    }

    fn place(&self, id: FaultId) -> Option<usize> {
        self.holds.iter().position(|held| held.id == id)
    }

    fn effect(&self, at: Option<usize>, offset_ns: Option<i64>) -> Effect {
        let held = at.map(|at| &self.holds[at]);
        Effect {
            hit: held.is_some_and(|held| held.hit),
            standing: self.standing,
            offset_ns,
            skewed: self.wanted().1.is_some(),
            count: held.map_or(0, |held| held.count),
            told: held.and_then(|held| held.told.clone()),
        }
    }

    /// The holds that are wanted, the newest last.
    fn wants(&self) -> impl DoubleEndedIterator<Item = (FaultId, Hold)> {
        self.holds.iter().filter(|held| !held.lifted).map(|held| (held.id, held.hold))
    }

    fn wanted(&self) -> (Standing, Option<Skew>) {
        let standing = if self.wants().any(|(_, hold)| hold.is_down()) {
            Standing::Down
        } else if self.wants().any(|(_, hold)| hold == Hold::Pause) {
            Standing::Paused
        } else {
            Standing::Running
        };
        let skew = self.newest(|hold| if let Hold::Skew(skew) = hold { Some(skew) } else { None });
        (standing, skew.map(|(_, skew)| skew))
    }

    /// What the newest hold of a kind asks for.
    fn newest<T>(&self, kind: impl Fn(Hold) -> Option<T>) -> Option<(FaultId, T)> {
        self.wants().rev().find_map(|(id, hold)| kind(hold).map(|asked| (id, asked)))
    }

    /// Brings the node from how it stands to how it should, and tells the holds that had effect.
    async fn settle(&mut self, cluster: &dyn Cluster, node: &NodeId) -> Settled {
        let packets = self.settle_packets(cluster, node).await;
        let disk = self.settle_disk(cluster, node).await;
        let resources = self.settle_resources(cluster, node).await;
        let power = self.settle_power(cluster, node).await;
        match self.standing {
            Standing::Down => self.credit(|hold| hold == Hold::Kill),
            Standing::Paused => self.credit(|hold| hold == Hold::Pause),
            _ => {}
        }
        let mut settled = Settled { packets, disk, resources, power, clock: Ok(()), offset_ns: None };
        self.settle_clock(cluster, node, &mut settled).await;
        settled
    }

    async fn settle_packets(&mut self, cluster: &dyn Cluster, node: &NodeId) -> Result<(), Cause> {
        let wanted = self.newest(|hold| if let Hold::Trouble(it) = hold { Some(it) } else { None });
        let ended = self.packets.settle(wanted, |trouble| cluster.disturb(node, trouble)).await?;
        self.touched(ended);
        Ok(())
    }

    async fn settle_disk(&mut self, cluster: &dyn Cluster, node: &NodeId) -> Result<(), Cause> {
        let wanted = self.newest(|hold| if let Hold::Ailment(it) = hold { Some(it) } else { None });
        let ended = self.disk.settle(wanted, |ailment| cluster.ail(node, ailment)).await?;
        self.touched(ended);
        Ok(())
    }

    async fn settle_resources(&mut self, cluster: &dyn Cluster, node: &NodeId) -> Result<(), Cause> {
        let wanted = self.newest(|hold| if let Hold::Limit(it) = hold { Some(it) } else { None });
        let ended = self.resources.settle(wanted, |limit| cluster.restrict(node, limit)).await?;
        self.touched(ended);
        Ok(())
    }

    /// Whoever does not run cannot be told the time; it is told once it runs.
    async fn settle_clock(&mut self, cluster: &dyn Cluster, node: &NodeId, settled: &mut Settled) {
        let (_, skew) = self.wanted();
        if self.standing != Standing::Running || self.skew == Some(skew) {
            return;
        }
        self.skew = None;
        match cluster.skew(node, skew).await {
            Ok(offset) => {
                self.skew = Some(skew);
                settled.offset_ns = offset;
            }
            Err(cause) => settled.clock = Err(cause),
        }
    }

    /// Membership first, then what happens once, then how the node is to stand.
    async fn settle_power(&mut self, cluster: &dyn Cluster, node: &NodeId) -> Result<(), Cause> {
        self.settle_membership(cluster, node).await?;
        self.cut_power(cluster, node).await?;
        let (wanted, _) = self.wanted();
        self.stand(cluster, node, wanted).await?;
        self.harm(cluster, node).await
    }

    async fn settle_membership(&mut self, cluster: &dyn Cluster, node: &NodeId) -> Result<(), Cause> {
        let wanted = !self.wants().any(|(_, hold)| hold == Hold::Out);
        if self.member == Some(wanted) {
            return Ok(());
        }
        self.member = None;
        let from = std::mem::replace(&mut self.standing, Standing::Unknown);
        self.forget_clock();
        if wanted {
            // Whoever stands still never catches up, and would be waited for in vain; it is stopped again afterwards.
            // Where there is no process this fails, and joining starts one.
            if from != Standing::Down {
                let _ = cluster.resume(node).await;
            }
            cluster.join(node).await?;
            self.standing = Standing::Running;
            self.skew = Some(None);
        } else {
            cluster.leave(node).await?;
            self.standing = Standing::Down;
            self.credit(|hold| hold == Hold::Out);
        }
        self.member = Some(wanted);
        Ok(())
    }

    async fn cut_power(&mut self, cluster: &dyn Cluster, node: &NodeId) -> Result<(), Cause> {
        while let Some((at, loss)) =
            self.undone(|hold| if let Hold::Power(loss) = hold { Some(loss) } else { None })
        {
            self.standing = Standing::Unknown;
            self.forget_clock();
            let lost = cluster.power_off(node, loss).await?;
            self.standing = Standing::Down;
            self.skew = Some(None);
            let told = Some(power::told(lost));
            let held = &mut self.holds[at];
            (held.done, held.hit, held.count, held.told) = (true, true, lost.bytes, told);
        }
        Ok(())
    }

    async fn harm(&mut self, cluster: &dyn Cluster, node: &NodeId) -> Result<(), Cause> {
        while let Some((at, harm)) =
            self.undone(|hold| if let Hold::Damage(harm) = hold { Some(harm) } else { None })
        {
            let told = cluster.damage(node, harm).await?;
            let held = &mut self.holds[at];
            (held.done, held.hit, held.told) = (true, true, Some(told));
        }
        Ok(())
    }

    /// The first hold of a kind whose deed is still to be done.
    fn undone<T>(&self, kind: impl Fn(Hold) -> Option<T>) -> Option<(usize, T)> {
        let open = self.holds.iter().enumerate().filter(|(_, held)| !held.lifted && !held.done);
        open.filter_map(|(at, held)| kind(held.hold).map(|asked| (at, asked))).next()
    }

    async fn stand(&mut self, cluster: &dyn Cluster, node: &NodeId, wanted: Standing) -> Result<(), Cause> {
        if self.standing == wanted {
            return Ok(());
        }
        let from = std::mem::replace(&mut self.standing, Standing::Unknown);
        if wanted == Standing::Down {
            self.forget_clock();
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

    /// Starts a node that may have died of what is healed now; one that runs is left alone.
    async fn revive(
        &mut self,
        cluster: &dyn Cluster,
        node: &NodeId,
        settled: &mut Settled,
    ) -> Result<(), Cause> {
        if self.standing != Standing::Running {
            return Ok(());
        }
        self.standing = Standing::Unknown;
        self.forget_clock();
        cluster.start(node).await?;
        self.standing = Standing::Running;
        self.settle_clock(cluster, node, settled).await;
        Ok(())
    }

    /// Until a node is known to be dead it may go on with its clock as it is: one that lies is then unknown.
    fn forget_clock(&mut self) {
        self.skew = self.skew.take().filter(Option::is_none);
    }

    /// The first hold of this kind is what keeps the node so.
    fn credit(&mut self, kind: impl Fn(Hold) -> bool) {
        if let Some(held) = self.holds.iter_mut().find(|held| !held.lifted && kind(held.hold)) {
            held.hit = true;
        }
    }

    /// What the hold of a condition that ended has touched.
    fn touched(&mut self, ended: Option<(FaultId, u64)>) {
        if let Some((id, count)) = ended
            && let Some(at) = self.place(id)
        {
            self.holds[at].count += count;
            self.holds[at].hit |= count > 0;
        }
    }
}
