//! A simulated cluster as a nemesis sees it.

use super::operator::GLANCE;
use super::{Awaited, Simulated};
use elenchus_core::LocalFuture;
use elenchus_core::cluster::{Cluster, HeldBack, Lost};
use elenchus_core::fault::{Ailment, FaultId, Harm, Link, Loss, Skew, Trouble};
use elenchus_core::outcome::Cause;
use elenchus_core::process::NodeId;
use elenchus_reference::protocol::Peer;
use elenchus_reference::sim::Universe;
use std::future::{poll_fn, ready};
use std::task::Poll;
use std::time::Duration;

/// How long somebody waits for a leader: longer than most elections, and not as long as an injection may take.
const LEADER_MAX: Duration = Duration::from_secs(4);

impl Simulated {
    /// Does something to a node at once.
    fn on<T>(&self, node: &NodeId, act: impl FnOnce(&mut Universe, Peer) -> T) -> Result<T, Cause> {
        let peer = self.peer(node).ok_or_else(|| Cause::from(format!("{node} is no node here")))?;
        Ok(act(&mut self.universe.borrow_mut(), peer))
    }

    fn at_once<'a, T: 'a>(
        &self,
        node: &NodeId,
        act: impl FnOnce(&mut Universe, Peer) -> T,
    ) -> LocalFuture<'a, Result<T, Cause>> {
        Box::pin(ready(self.on(node, act)))
    }

    /// Kills a node, which dies at some point of its work.
    async fn end(&self, node: &NodeId, loss: Option<Loss>) -> Result<Lost, Cause> {
        self.on(node, |universe, peer| universe.kill(peer, loss))?;
        let peer = self.on(node, |_, peer| peer)?;
        poll_fn(|cx| {
            if self.universe.borrow().is_dead(peer) {
                return Poll::Ready(());
            }
            self.wait(Awaited::Node(peer), cx)
        })
        .await;
        self.on(node, |universe, peer| universe.forgotten(peer))
    }
}

impl Cluster for Simulated {
    fn nodes(&self) -> &[NodeId] {
        &self.nodes
    }

    fn cut<'a>(&'a self, id: FaultId, links: &'a [Link]) -> LocalFuture<'a, Result<(), Cause>> {
        let ends = |link: &Link| self.peer(&link.from).zip(self.peer(&link.to));
        self.universe.borrow_mut().cut(id, links.iter().filter_map(ends));
        Box::pin(ready(Ok(())))
    }

    /// Letters have no connections: what is refused is as lost as what vanishes.
    fn reset<'a>(&'a self, id: FaultId, links: &'a [Link]) -> LocalFuture<'a, Result<(), Cause>> {
        self.cut(id, links)
    }

    fn mend<'a>(&'a self, id: FaultId) -> LocalFuture<'a, Result<HeldBack, Cause>> {
        let count = self.universe.borrow_mut().mend(id);
        Box::pin(ready(Ok(HeldBack { count })))
    }

    fn kill<'a>(&'a self, node: &'a NodeId) -> LocalFuture<'a, Result<(), Cause>> {
        Box::pin(async move { self.end(node, None).await.map(drop) })
    }

    fn start<'a>(&'a self, node: &'a NodeId) -> LocalFuture<'a, Result<(), Cause>> {
        self.at_once(node, Universe::start)
    }

    fn pause<'a>(&'a self, node: &'a NodeId) -> LocalFuture<'a, Result<(), Cause>> {
        let paused = self.on(node, Universe::pause);
        let still =
            |is_there: bool| is_there.then_some(()).ok_or_else(|| format!("{node} does not run").into());
        Box::pin(ready(paused.and_then(still)))
    }

    fn resume<'a>(&'a self, node: &'a NodeId) -> LocalFuture<'a, Result<(), Cause>> {
        self.at_once(node, Universe::resume)
    }

    fn skew<'a>(
        &'a self,
        node: &'a NodeId,
        skew: Option<Skew>,
    ) -> LocalFuture<'a, Result<Option<i64>, Cause>> {
        self.at_once(node, |universe, peer| Some(universe.skew(peer, skew)))
    }

    fn clock<'a>(&'a self, node: &'a NodeId) -> LocalFuture<'a, Result<Option<i64>, Cause>> {
        self.at_once(node, |universe, peer| Some(universe.ahead(peer)))
    }

    fn disturb<'a>(
        &'a self,
        node: &'a NodeId,
        trouble: Option<Trouble>,
    ) -> LocalFuture<'a, Result<HeldBack, Cause>> {
        self.at_once(node, |universe, peer| HeldBack { count: universe.disturb(peer, trouble) })
    }

    fn power_off<'a>(&'a self, node: &'a NodeId, loss: Loss) -> LocalFuture<'a, Result<Lost, Cause>> {
        Box::pin(self.end(node, Some(loss)))
    }

    fn ail<'a>(
        &'a self,
        node: &'a NodeId,
        ailment: Option<Ailment>,
    ) -> LocalFuture<'a, Result<HeldBack, Cause>> {
        self.at_once(node, |universe, peer| HeldBack { count: universe.ail(peer, ailment) })
    }

    fn damage<'a>(&'a self, node: &'a NodeId, harm: Harm) -> LocalFuture<'a, Result<String, Cause>> {
        let harmed = self.on(node, |universe, peer| universe.harm(peer, harm));
        let harmed = harmed.and_then(|what| what.ok_or_else(|| "it has no files to harm".into()));
        Box::pin(ready(harmed))
    }

    fn leave<'a>(&'a self, node: &'a NodeId) -> LocalFuture<'a, Result<(), Cause>> {
        Box::pin(self.remove(node))
    }

    fn join<'a>(&'a self, node: &'a NodeId) -> LocalFuture<'a, Result<(), Cause>> {
        Box::pin(self.take_back(node))
    }

    fn primaries<'a>(&'a self) -> LocalFuture<'a, Result<Vec<NodeId>, Cause>> {
        Box::pin(async move {
            // Whoever waits for somebody to lead strikes in the moment that an office is taken: what is begun then
            // is half done.
            let until = self.now() + LEADER_MAX;
            while self.leaders().is_empty() && self.now() < until {
                self.sleep(GLANCE).await;
            }
            Ok(self.leaders().into_iter().map(|peer| self.name(peer).clone()).collect())
        })
    }
}
