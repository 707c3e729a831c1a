//! The links between nodes: cut in the name of a fault, mended when the last fault lets go.
//!
//! Faults overlap, so a link is held by a set of them. What a cut held back is counted per fault: the
//! link's counter when the fault mends it, less what it showed when the fault cut it. The controller's own
//! links are no links here; clients reach every node always.

use elenchus_core::cluster::HeldBack;
use elenchus_core::fault::{FaultId, Link};
use elenchus_core::process::NodeId;
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A directed link, by the nodes' positions in the trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Road {
    pub from: usize,
    pub to: usize,
}

/// What truly carries the links.
pub(crate) trait Medium: Send {
    /// Lets nothing more through on these roads; when it returns, nothing passes. All or none.
    fn cut(&mut self, roads: &[Road]) -> io::Result<()>;
    /// Lets everything through again.
    fn mend(&mut self, roads: &[Road]) -> io::Result<()>;
    /// How much each of these roads, all of them cut, has held back since it was cut.
    fn held_back(&mut self, roads: &[Road]) -> io::Result<Vec<u64>>;
}

/// A link that cannot be cut or mended.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The trial has no such node.
    #[error("the trial has no node {0}")]
    NoSuchNode(NodeId),
    /// A node's link to itself does not lead through any network.
    #[error("{0} cannot be cut off from itself")]
    Itself(NodeId),
    /// The kernel refused.
    #[error("links stay as they were: {0}")]
    Refused(#[from] io::Error),
}

/// All links between the nodes of a trial. Cutting takes well under a millisecond a link, so the methods
/// block.
pub struct Links {
    held: Mutex<Held>,
}

struct Held {
    nodes: Vec<NodeId>,
    medium: Box<dyn Medium>,
    /// Who holds each cut road, and what its counter showed when they took hold.
    holders: BTreeMap<Road, BTreeMap<FaultId, u64>>,
}

impl Links {
    pub(crate) fn new(nodes: &[NodeId], medium: Box<dyn Medium>) -> Links {
        Links { held: Mutex::new(Held { nodes: nodes.to_vec(), medium, holders: BTreeMap::new() }) }
    }

    /// Cuts these directed links in the name of `id`; other cuts stay as they are. On an error nothing is
    /// cut that was not cut before.
    pub fn cut(&self, id: FaultId, links: &[Link]) -> Result<(), LinkError> {
        self.lock().cut(id, links)
    }

    /// Lets go of all that `id` cut. A link that no other fault holds carries again. Returns what was held
    /// back on these links meanwhile; 0 if `id` holds nothing.
    pub fn mend(&self, id: FaultId) -> Result<HeldBack, LinkError> {
        self.lock().mend(id)
    }

    /// Lets go of everything, whoever cut it.
    pub fn mend_all(&self) -> Result<(), LinkError> {
        let mut held = self.lock();
        let ids: Vec<FaultId> = held.holders.values().flat_map(|h| h.keys().copied()).collect();
        ids.into_iter().try_for_each(|id| held.mend(id).map(|_| ()))
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Links {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Links").field("cut", &self.lock().holders).finish()
    }
}

impl Held {
    fn road(&self, link: &Link) -> Result<Road, LinkError> {
        let place = |node: &NodeId| {
            self.nodes.iter().position(|n| n == node).ok_or_else(|| LinkError::NoSuchNode(node.clone()))
        };
        let road = Road { from: place(&link.from)?, to: place(&link.to)? };
        if road.from == road.to { Err(LinkError::Itself(link.from.clone())) } else { Ok(road) }
    }

    fn cut(&mut self, id: FaultId, links: &[Link]) -> Result<(), LinkError> {
        let mut roads = links.iter().map(|link| self.road(link)).collect::<Result<Vec<_>, _>>()?;
        roads.sort();
        roads.dedup();
        let (shared, fresh): (Vec<Road>, Vec<Road>) =
            roads.into_iter().partition(|road| self.holders.contains_key(road));
        let bases = self.medium.held_back(&shared)?;
        self.medium.cut(&fresh)?;
        let shared = shared.into_iter().zip(bases);
        for (road, base) in shared.chain(fresh.into_iter().map(|road| (road, 0))) {
            self.holders.entry(road).or_default().entry(id).or_insert(base);
        }
        Ok(())
    }

    fn mend(&mut self, id: FaultId) -> Result<HeldBack, LinkError> {
        let mine: Vec<(Road, u64, bool)> = self
            .holders
            .iter()
            .filter_map(|(road, holders)| Some((*road, *holders.get(&id)?, holders.len() == 1)))
            .collect();
        let roads: Vec<Road> = mine.iter().map(|(road, ..)| *road).collect();
        let counters = self.medium.held_back(&roads)?;
        let free: Vec<Road> = mine.iter().filter(|(.., last)| *last).map(|(road, ..)| *road).collect();
        self.medium.mend(&free)?;
        for holders in self.holders.values_mut() {
            holders.remove(&id);
        }
        self.holders.retain(|_, holders| !holders.is_empty());
        let count = mine.iter().zip(counters).map(|((_, base, _), now)| now.saturating_sub(*base)).sum();
        Ok(HeldBack { count })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::sync::Arc;

    /// A medium that holds back one thing each time it is asked.
    #[derive(Default)]
    struct Pretend {
        cut: Arc<Mutex<BTreeSet<Road>>>,
        seen: BTreeMap<Road, u64>,
        refuse: bool,
    }

    impl Medium for Pretend {
        fn cut(&mut self, roads: &[Road]) -> io::Result<()> {
            if self.refuse {
                return Err(io::Error::other("no"));
            }
            for road in roads {
                assert!(self.cut.lock().unwrap().insert(*road), "{road:?} cut twice");
                self.seen.insert(*road, 0);
            }
            Ok(())
        }

        fn mend(&mut self, roads: &[Road]) -> io::Result<()> {
            for road in roads {
                assert!(self.cut.lock().unwrap().remove(road), "{road:?} mended twice");
            }
            Ok(())
        }

        fn held_back(&mut self, roads: &[Road]) -> io::Result<Vec<u64>> {
            Ok(roads
                .iter()
                .map(|road| {
                    let count = self.seen.get_mut(road).expect("asked of cut roads only");
                    *count += 1;
                    *count
                })
                .collect())
        }
    }

    fn links() -> (Links, Arc<Mutex<BTreeSet<Road>>>) {
        let medium = Pretend::default();
        let cut = medium.cut.clone();
        (Links::new(&NodeId::numbered(3), Box::new(medium)), cut)
    }

    fn link(from: &str, to: &str) -> Link {
        Link { from: NodeId::new(from), to: NodeId::new(to) }
    }

    #[test]
    fn a_link_held_by_two_faults_is_mended_by_the_last() {
        let (links, cut) = links();
        links.cut(FaultId(1), &[link("n1", "n2"), link("n2", "n1")]).unwrap();
        links.cut(FaultId(2), &[link("n1", "n2"), link("n1", "n3")]).unwrap();
        assert_eq!(links.mend(FaultId(1)).unwrap().count, 2 + 1);
        let left: Vec<Road> = cut.lock().unwrap().iter().copied().collect();
        assert_eq!(left, [Road { from: 0, to: 1 }, Road { from: 0, to: 2 }]);
        assert_eq!(links.mend(FaultId(2)).unwrap().count, (3 - 1) + 1);
        assert!(cut.lock().unwrap().is_empty());
    }

    #[test]
    fn cutting_and_mending_twice_changes_nothing() {
        let (links, cut) = links();
        links.cut(FaultId(1), &[link("n1", "n2"), link("n1", "n2")]).unwrap();
        links.cut(FaultId(1), &[link("n1", "n2")]).unwrap();
        assert_eq!(cut.lock().unwrap().len(), 1);
        links.mend(FaultId(1)).unwrap();
        assert_eq!(links.mend(FaultId(1)).unwrap().count, 0);
        assert!(cut.lock().unwrap().is_empty());
    }

    #[test]
    fn a_refused_cut_holds_nothing() {
        let links =
            Links::new(&NodeId::numbered(3), Box::new(Pretend { refuse: true, ..Default::default() }));
        assert!(matches!(links.cut(FaultId(1), &[link("n1", "n2")]), Err(LinkError::Refused(_))));
        assert_eq!(links.mend(FaultId(1)).unwrap().count, 0);
    }

    #[test]
    fn strangers_and_oneself_cannot_be_cut() {
        let (links, cut) = links();
        let strange = links.cut(FaultId(1), &[link("n1", "n2"), link("n1", "n9")]);
        assert!(matches!(strange, Err(LinkError::NoSuchNode(node)) if node.as_str() == "n9"));
        assert!(matches!(links.cut(FaultId(1), &[link("n1", "n1")]), Err(LinkError::Itself(_))));
        assert!(cut.lock().unwrap().is_empty());
    }

    #[test]
    fn mending_all_lets_go_of_every_fault() {
        let (links, cut) = links();
        links.cut(FaultId(1), &[link("n1", "n2")]).unwrap();
        links.cut(FaultId(2), &[link("n1", "n2"), link("n3", "n2")]).unwrap();
        links.mend_all().unwrap();
        assert!(cut.lock().unwrap().is_empty());
    }
}
