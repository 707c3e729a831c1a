//! What the tests of enactments share: a cluster in memory, and a way to wait without a runtime.

use elenchus_core::LocalFuture;
use elenchus_core::cluster::{Cluster, HeldBack, Lost};
use elenchus_core::fault::{Ailment, FaultId, Harm, Limit, Link, Loss, Skew, Trouble};
use elenchus_core::outcome::Cause;
use elenchus_core::process::NodeId;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::future::poll_fn;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

/// Waits for a future by asking again and again; one that waits for nothing fails the test.
#[track_caller]
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    for _ in 0..10_000 {
        if let Poll::Ready(answer) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return answer;
        }
    }
    panic!("the future never ends");
}

/// How a node of the [`Fake`] truly is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Truth {
    pub running: bool,
    pub paused: bool,
    pub offset_ns: i64,
}

/// A cluster in memory that records calls, fails on demand, and takes a moment for each call.
pub(crate) struct Fake {
    nodes: Vec<NodeId>,
    pub truth: RefCell<BTreeMap<NodeId, Truth>>,
    pub calls: RefCell<Vec<String>>,
    /// Calls that fail: `kill n1`.
    pub failing: RefCell<BTreeSet<String>>,
    /// Calls that never end.
    pub hanging: RefCell<BTreeSet<String>>,
    pub cuts: RefCell<BTreeMap<FaultId, Vec<Link>>>,
    pub held_back: Cell<u64>,
    /// Which nodes suffer from something that does not stop them: `packets n1`.
    pub ailing: RefCell<BTreeSet<String>>,
    /// Which nodes are no members.
    pub out: RefCell<BTreeSet<NodeId>>,
    leaders: RefCell<Vec<NodeId>>,
    /// What clocks show for every nanosecond of skew that they should: 1 is right, 0 ignores the request.
    pub obedience: Cell<i64>,
    /// Whether no node looks at its clock.
    pub is_blind: Cell<bool>,
}

impl Fake {
    pub(crate) fn new(nodes: usize) -> Fake {
        let nodes = NodeId::numbered(nodes);
        let truth = Truth { running: true, paused: false, offset_ns: 0 };
        Fake {
            truth: RefCell::new(nodes.iter().map(|node| (node.clone(), truth)).collect()),
            leaders: RefCell::new(vec![nodes[0].clone()]),
            nodes,
            calls: RefCell::default(),
            failing: RefCell::default(),
            hanging: RefCell::default(),
            cuts: RefCell::default(),
            held_back: Cell::new(7),
            ailing: RefCell::default(),
            out: RefCell::default(),
            obedience: Cell::new(1),
            is_blind: Cell::new(false),
        }
    }

    pub(crate) fn lead(&self, nodes: &[&str]) {
        *self.leaders.borrow_mut() = nodes.iter().map(|node| NodeId::new(node)).collect();
    }

    pub(crate) fn fail(&self, call: &str) {
        self.failing.borrow_mut().insert(call.to_owned());
    }

    pub(crate) fn recover(&self) {
        self.failing.borrow_mut().clear();
        self.hanging.borrow_mut().clear();
    }

    /// The calls since the last time.
    pub(crate) fn calls(&self) -> Vec<String> {
        std::mem::take(&mut self.calls.borrow_mut())
    }

    pub(crate) fn node(&self, name: &str) -> Truth {
        self.truth.borrow()[&NodeId::new(name)]
    }

    /// Whether everything runs, tells the truth and sees everything.
    pub(crate) fn is_whole(&self) -> bool {
        let well = |truth: &Truth| truth.running && !truth.paused && truth.offset_ns == 0;
        self.cuts.borrow().is_empty()
            && self.truth.borrow().values().all(well)
            && self.ailing.borrow().is_empty()
            && self.out.borrow().is_empty()
    }

    /// What a node is seen to read on a clock that shows this.
    fn shown(&self, offset_ns: i64) -> Option<i64> {
        (!self.is_blind.get()).then_some(offset_ns)
    }

    fn call<'a, T: 'a>(
        &'a self,
        call: String,
        act: impl FnOnce(&Fake) -> Result<T, Cause> + 'a,
    ) -> LocalFuture<'a, Result<T, Cause>> {
        Box::pin(async move {
            self.calls.borrow_mut().push(call.clone());
            let mut asked = 0;
            poll_fn(|_| {
                asked += 1;
                let ready = asked > 2 && !self.hanging.borrow().contains(&call);
                if ready { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
            if self.failing.borrow().contains(&call) {
                return Err(format!("cannot {call}").into());
            }
            act(self)
        })
    }

    /// Sets something that does not stop a node; what it had touched before is what was held back.
    fn condition<'a>(
        &'a self,
        what: &str,
        node: &NodeId,
        is_set: bool,
    ) -> LocalFuture<'a, Result<HeldBack, Cause>> {
        let name = format!("{what} {node}");
        let call = if is_set { name.clone() } else { format!("end {name}") };
        self.call(call, move |fake| {
            let was_set = fake.ailing.borrow_mut().remove(&name);
            if is_set {
                fake.ailing.borrow_mut().insert(name);
            }
            Ok(HeldBack { count: if was_set { fake.held_back.get() } else { 0 } })
        })
    }

    fn change<'a>(
        &'a self,
        call: String,
        node: &'a NodeId,
        change: impl FnOnce(&mut Truth) -> Result<(), Cause> + 'a,
    ) -> LocalFuture<'a, Result<(), Cause>> {
        self.call(call, move |fake| change(fake.truth.borrow_mut().get_mut(node).expect("a known node")))
    }
}

impl Cluster for Fake {
    fn nodes(&self) -> &[NodeId] {
        &self.nodes
    }

    fn cut<'a>(&'a self, id: FaultId, links: &'a [Link]) -> LocalFuture<'a, Result<(), Cause>> {
        self.call(format!("cut {}", id.0), move |fake| {
            fake.cuts.borrow_mut().insert(id, links.to_vec());
            Ok(())
        })
    }

    fn reset<'a>(&'a self, id: FaultId, links: &'a [Link]) -> LocalFuture<'a, Result<(), Cause>> {
        self.call(format!("reset {}", id.0), move |fake| {
            fake.cuts.borrow_mut().insert(id, links.to_vec());
            Ok(())
        })
    }

    fn mend<'a>(&'a self, id: FaultId) -> LocalFuture<'a, Result<HeldBack, Cause>> {
        self.call(format!("mend {}", id.0), move |fake| {
            let cut = fake.cuts.borrow_mut().remove(&id);
            Ok(HeldBack { count: cut.map_or(0, |_| fake.held_back.get()) })
        })
    }

    fn kill<'a>(&'a self, node: &'a NodeId) -> LocalFuture<'a, Result<(), Cause>> {
        self.change(format!("kill {node}"), node, |truth| {
            *truth = Truth { running: false, paused: false, offset_ns: 0 };
            Ok(())
        })
    }

    fn start<'a>(&'a self, node: &'a NodeId) -> LocalFuture<'a, Result<(), Cause>> {
        self.change(format!("start {node}"), node, |truth| {
            truth.running = true;
            Ok(())
        })
    }

    fn pause<'a>(&'a self, node: &'a NodeId) -> LocalFuture<'a, Result<(), Cause>> {
        self.change(format!("pause {node}"), node, |truth| {
            truth.paused = truth.running;
            if truth.running { Ok(()) } else { Err("no process to pause".into()) }
        })
    }

    fn resume<'a>(&'a self, node: &'a NodeId) -> LocalFuture<'a, Result<(), Cause>> {
        self.change(format!("resume {node}"), node, |truth| {
            truth.paused = false;
            if truth.running { Ok(()) } else { Err("no process to resume".into()) }
        })
    }

    fn skew<'a>(
        &'a self,
        node: &'a NodeId,
        skew: Option<Skew>,
    ) -> LocalFuture<'a, Result<Option<i64>, Cause>> {
        let what = skew.map_or("true", |_| "skew");
        self.call(format!("{what} {node}"), move |fake| {
            let mut truths = fake.truth.borrow_mut();
            let truth = truths.get_mut(node).expect("a known node");
            if !truth.running || truth.paused {
                return Err("nobody answers".into());
            }
            truth.offset_ns = match skew {
                None => truth.offset_ns * (1 - fake.obedience.get()),
                Some(Skew::Bump { delta_ms } | Skew::Strobe { delta_ms, .. }) => {
                    delta_ms * 1_000_000 * fake.obedience.get()
                }
                // A drift has come to nothing yet; tests let it grow.
                Some(Skew::Drift { .. }) => 0,
            };
            Ok(fake.shown(truth.offset_ns))
        })
    }

    fn clock<'a>(&'a self, node: &'a NodeId) -> LocalFuture<'a, Result<Option<i64>, Cause>> {
        self.call(format!("read {node}"), move |fake| Ok(fake.shown(fake.truth.borrow()[node].offset_ns)))
    }

    fn disturb<'a>(
        &'a self,
        node: &'a NodeId,
        trouble: Option<Trouble>,
    ) -> LocalFuture<'a, Result<HeldBack, Cause>> {
        self.condition("packets", node, trouble.is_some())
    }

    fn power_off<'a>(&'a self, node: &'a NodeId, _loss: Loss) -> LocalFuture<'a, Result<Lost, Cause>> {
        self.call(format!("power off {node}"), move |fake| {
            let dead = Truth { running: false, paused: false, offset_ns: 0 };
            fake.truth.borrow_mut().insert(node.clone(), dead);
            Ok(Lost { bytes: 4096, files: 2 })
        })
    }

    fn ail<'a>(
        &'a self,
        node: &'a NodeId,
        ailment: Option<Ailment>,
    ) -> LocalFuture<'a, Result<HeldBack, Cause>> {
        self.condition("disk", node, ailment.is_some())
    }

    fn damage<'a>(&'a self, node: &'a NodeId, _harm: Harm) -> LocalFuture<'a, Result<String, Cause>> {
        self.call(format!("damage {node}"), move |fake| {
            if fake.truth.borrow()[node].running { Err("it runs".into()) } else { Ok("bit 3 of log".into()) }
        })
    }

    fn restrict<'a>(
        &'a self,
        node: &'a NodeId,
        limit: Option<Limit>,
    ) -> LocalFuture<'a, Result<HeldBack, Cause>> {
        self.condition("resources", node, limit.is_some())
    }

    fn leave<'a>(&'a self, node: &'a NodeId) -> LocalFuture<'a, Result<(), Cause>> {
        self.call(format!("leave {node}"), move |fake| {
            fake.out.borrow_mut().insert(node.clone());
            let dead = Truth { running: false, paused: false, offset_ns: 0 };
            fake.truth.borrow_mut().insert(node.clone(), dead);
            Ok(())
        })
    }

    fn join<'a>(&'a self, node: &'a NodeId) -> LocalFuture<'a, Result<(), Cause>> {
        self.call(format!("join {node}"), move |fake| {
            fake.out.borrow_mut().remove(node);
            fake.truth.borrow_mut().get_mut(node).expect("a known node").running = true;
            Ok(())
        })
    }

    fn primaries<'a>(&'a self) -> LocalFuture<'a, Result<Vec<NodeId>, Cause>> {
        self.call("primaries".to_owned(), |fake| Ok(fake.leaders.borrow().clone()))
    }
}
