//! Partitions: some directed links between nodes carry nothing.
//!
//! Whether a cut mattered is known only when it heals: what was sent across it meanwhile was held back, and
//! counted. Shapes are Jepsen's (jepsen.nemesis), with one-way cuts added, which its grudges allow too.

use crate::Shade;
use crate::target::{minority, names, primaries};
use elenchus_core::cluster::Cluster;
use elenchus_core::fault::{Cut, Fault, FaultId, Link, Manner, Proof, Shape};
use elenchus_core::outcome::Cause;
use elenchus_core::process::NodeId;
use elenchus_core::random::Rng;
use std::collections::BTreeSet;

/// How plots shade it.
pub const SHADE: Shade = Shade { color: "#E9DCA0", label: "partition" };

/// The shapes that this many nodes can be cut into.
pub fn shapes(nodes: usize) -> &'static [Shape] {
    use Shape::{Bridge, Halves, MajoritiesRing, One, OneWay, Primaries};
    match nodes {
        0 | 1 => &[],
        2 => &[Halves, One, Primaries, OneWay],
        _ => &[Halves, One, MajoritiesRing, Bridge, Primaries, OneWay],
    }
}

/// How many nodes a majority may have to do without while a partition of this shape is in force.
pub fn load(shape: Shape, nodes: usize) -> usize {
    if shape == Shape::One { 1 } else { smaller_half(nodes) }
}

/// Draws a partition of this shape.
///
/// # Panics
/// When these nodes cannot be cut so; see [`shapes`].
pub fn draw(rng: &mut Rng, nodes: &[NodeId], shape: Shape) -> Fault {
    assert!(shapes(nodes.len()).contains(&shape), "{} nodes have no partition {shape:?}", nodes.len());
    let mut order = nodes.to_vec();
    rng.shuffle(&mut order);
    let cut = match shape {
        Shape::Halves => Cut::Links(between(order.split_at(smaller_half(nodes.len())))),
        Shape::One => Cut::Links(between(order.split_at(1))),
        Shape::MajoritiesRing => Cut::Links(ring(&order)),
        Shape::Bridge => {
            let others = &order[1..];
            Cut::Links(between(others.split_at(others.len() / 2)))
        }
        Shape::Primaries => {
            order.truncate(rng.below(smaller_half(nodes.len()) as u64) as usize);
            Cut::Primaries { companions: order }
        }
        Shape::OneWay => Cut::Links(one_way(rng, &order)),
    };
    Fault::Partition { shape, cut, manner: Manner::Drop }
}

/// The same partition, by resetting connections.
pub fn by_reset(fault: Fault) -> Fault {
    match fault {
        Fault::Partition { shape, cut, .. } => Fault::Partition { shape, cut, manner: Manner::Reset },
        other => other,
    }
}

/// Two halves, the smaller of which is a minority also when the number of nodes is even: else no side could
/// go on, and nothing would be learnt of the one that does.
fn smaller_half(nodes: usize) -> usize {
    minority(nodes).max(1)
}

/// All links from one side to the other.
fn towards(from: &[NodeId], to: &[NodeId]) -> Vec<Link> {
    let link = |a: &NodeId, b: &NodeId| Link { from: a.clone(), to: b.clone() };
    from.iter().flat_map(|a| to.iter().map(move |b| link(a, b))).collect()
}

/// All links between two sides, both ways.
fn between((a, b): (&[NodeId], &[NodeId])) -> Vec<Link> {
    let mut links = towards(a, b);
    links.extend(towards(b, a));
    links
}

/// Every node sees itself and its nearest neighbours on a ring, as many as make a majority: one more where
/// both sides must be alike. Of three nodes, each hears only the one before it.
fn ring(order: &[NodeId]) -> Vec<Link> {
    let count = order.len();
    let reach = (count / 2).div_ceil(2);
    let sees = |from: usize, to: usize| {
        let ahead = (to + count - from) % count;
        if count == 3 { ahead <= 1 } else { ahead <= reach || count - ahead <= reach }
    };
    let pairs = (0..count).flat_map(|from| (0..count).map(move |to| (from, to)));
    let cut = pairs.filter(|&(from, to)| !sees(from, to));
    cut.map(|(from, to)| Link { from: order[from].clone(), to: order[to].clone() }).collect()
}

/// Half of the nodes cannot reach the others, or one node is not heard, or one node does not hear.
fn one_way(rng: &mut Rng, order: &[NodeId]) -> Vec<Link> {
    let side = if rng.chance(1, 2) { smaller_half(order.len()) } else { 1 };
    let (few, rest) = order.split_at(side);
    if rng.chance(1, 2) { towards(few, rest) } else { towards(rest, few) }
}

/// What a cut in force must remember until it heals.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Severed {
    /// The nodes struck.
    pub nodes: Vec<NodeId>,
    /// The links cut.
    pub links: Vec<Link>,
    /// How.
    pub manner: Manner,
}

/// The links meant, now.
pub async fn resolve(cluster: &dyn Cluster, cut: &Cut, manner: Manner) -> Result<Severed, Cause> {
    match cut {
        Cut::Links(links) => {
            let ends: BTreeSet<&NodeId> = links.iter().flat_map(|link| [&link.from, &link.to]).collect();
            if let Some(stranger) = ends.iter().find(|node| !cluster.nodes().contains(node)) {
                return Err(format!("{stranger} is no node of this cluster").into());
            }
            let nodes = cluster.nodes().iter().filter(|node| ends.contains(node)).cloned().collect();
            Ok(Severed { nodes, links: links.clone(), manner })
        }
        Cut::Primaries { companions } => {
            let size = smaller_half(cluster.nodes().len());
            let mut side = primaries(cluster).await?;
            let strangers = companions.iter().filter(|node| cluster.nodes().contains(node));
            let more: Vec<_> = strangers.filter(|node| !side.contains(node)).cloned().collect();
            side.extend(more);
            side.truncate(size);
            let rest: Vec<_> = cluster.nodes().iter().filter(|node| !side.contains(node)).cloned().collect();
            Ok(Severed { links: between((&side, &rest)), nodes: side, manner })
        }
    }
}

/// Cuts.
pub async fn inject(cluster: &dyn Cluster, id: FaultId, severed: &Severed) -> Result<Proof, Cause> {
    match severed.manner {
        Manner::Drop => cluster.cut(id, &severed.links).await?,
        Manner::Reset => cluster.reset(id, &severed.links).await?,
    }
    Ok(proof(severed, false, format!("{}; what it holds back is known when it heals", extent(severed))))
}

/// Mends.
pub async fn heal(cluster: &dyn Cluster, id: FaultId, severed: &Severed) -> Result<Proof, Cause> {
    let count = cluster.mend(id).await?.count;
    let held = match count {
        0 => "nothing was sent across it".to_owned(),
        1 => "held back once".to_owned(),
        _ => format!("held back {} times", thousands(count)),
    };
    Ok(proof(severed, count > 0, format!("{}; {held}", extent(severed))))
}

fn proof(severed: &Severed, hit: bool, text: String) -> Proof {
    Proof { nodes: severed.nodes.clone(), links: severed.links.clone(), hit, text }
}

fn extent(severed: &Severed) -> String {
    let how = match severed.manner {
        Manner::Drop => "cut",
        Manner::Reset => "cut by resets",
    };
    format!("{} links {how} at {}", severed.links.len(), names(&severed.nodes))
}

/// `1204` as `1,204`.
pub(crate) fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Fake, block_on};
    use elenchus_core::random::Seed;

    const ALL: [Shape; 6] =
        [Shape::Halves, Shape::One, Shape::MajoritiesRing, Shape::Bridge, Shape::Primaries, Shape::OneWay];

    fn links(nodes: usize, shape: Shape, seed: u64) -> Option<Vec<Link>> {
        let drawn = draw(&mut Seed(seed).rng(), &NodeId::numbered(nodes), shape);
        match drawn {
            Fault::Partition { cut: Cut::Links(links), .. } => Some(links),
            _ => None,
        }
    }

    /// Whom each node hears, itself included.
    fn hears(nodes: usize, cut: &[Link]) -> Vec<BTreeSet<NodeId>> {
        let all = NodeId::numbered(nodes);
        let heard = |to: &NodeId| {
            let silent = |from: &NodeId| cut.contains(&Link { from: from.clone(), to: to.clone() });
            all.iter().filter(|from| !silent(from)).cloned().collect()
        };
        all.iter().map(heard).collect()
    }

    #[test]
    fn no_link_is_cut_twice_or_from_a_node_to_itself() {
        for (nodes, seed) in (2..=9).flat_map(|nodes| (0..30).map(move |seed| (nodes, seed))) {
            for &shape in shapes(nodes) {
                let Some(cut) = links(nodes, shape, seed) else { continue };
                let distinct: BTreeSet<_> = cut.iter().collect();
                assert_eq!(distinct.len(), cut.len(), "{shape:?} of {nodes}");
                assert!(
                    !cut.is_empty() && cut.iter().all(|link| link.from != link.to),
                    "{shape:?} of {nodes}"
                );
            }
        }
    }

    #[test]
    fn halves_leave_a_majority_and_cut_both_ways() {
        for nodes in 2..=9 {
            let heard = hears(nodes, &links(nodes, Shape::Halves, 3).expect("links"));
            let sizes: BTreeSet<usize> = heard.iter().map(BTreeSet::len).collect();
            assert_eq!(sizes, [smaller_half(nodes), nodes - smaller_half(nodes)].into_iter().collect());
            assert!(nodes == 2 || *sizes.last().expect("two sides") > nodes / 2);
        }
        assert_eq!(links(5, Shape::Halves, 3).expect("links").len(), 12);
    }

    #[test]
    fn one_node_stands_alone() {
        let heard = hears(5, &links(5, Shape::One, 9).expect("links"));
        assert_eq!(heard.iter().filter(|side| side.len() == 1).count(), 1);
        assert_eq!(heard.iter().filter(|side| side.len() == 4).count(), 4);
    }

    #[test]
    fn on_a_ring_each_sees_a_majority_and_no_two_the_same() {
        for nodes in 3..=12 {
            let heard = hears(nodes, &links(nodes, Shape::MajoritiesRing, 4).expect("links"));
            assert!(
                heard.iter().all(|side| side.len() > nodes / 2 && side.len() < nodes),
                "{nodes}: {heard:?}"
            );
            assert_eq!(heard.iter().collect::<BTreeSet<_>>().len(), nodes, "{nodes}: {heard:?}");
        }
        let of_five = hears(5, &links(5, Shape::MajoritiesRing, 4).expect("links"));
        assert!(of_five.iter().all(|side| side.len() == 3), "as Jepsen has it: {of_five:?}");
    }

    #[test]
    fn a_bridge_sees_all_and_joins_two_halves() {
        for nodes in [3, 4, 5, 7] {
            let heard = hears(nodes, &links(nodes, Shape::Bridge, 2).expect("links"));
            assert_eq!(heard.iter().filter(|side| side.len() == nodes).count(), 1);
            assert!(heard.iter().all(|side| side.len() > 1));
        }
    }

    #[test]
    fn one_way_cuts_leave_the_way_back() {
        let mut sizes = BTreeSet::new();
        for seed in 0..50 {
            let cut = links(5, Shape::OneWay, seed).expect("links");
            assert!(cut.iter().all(|l| !cut.contains(&Link { from: l.to.clone(), to: l.from.clone() })));
            let senders: BTreeSet<_> = cut.iter().map(|link| &link.from).collect();
            sizes.insert((senders.len(), cut.len()));
        }
        assert_eq!(sizes, [(1, 4), (4, 4), (2, 6), (3, 6)].into_iter().collect());
    }

    #[test]
    fn every_shape_comes_from_its_seed() {
        for shape in ALL {
            let again = |seed: u64| draw(&mut Seed(seed).rng(), &NodeId::numbered(5), shape);
            assert_eq!(again(5), again(5));
            assert!((0..20).any(|seed| again(seed) != again(5)));
        }
    }

    #[test]
    fn the_leaders_side_stays_a_minority() {
        let cluster = Fake::new(5);
        let companions = NodeId::numbered(5);
        cluster.lead(&["n4"]);
        let severed =
            block_on(resolve(&cluster, &Cut::Primaries { companions }, Manner::Drop)).expect("a leader");
        assert_eq!(names(&severed.nodes), "n4, n1");
        assert_eq!(severed.links.len(), 12);
        cluster.lead(&["n2", "n3", "n5"]);
        let severed = block_on(resolve(&cluster, &Cut::Primaries { companions: vec![] }, Manner::Drop))
            .expect("leaders");
        assert_eq!(names(&severed.nodes), "n2, n3");
        cluster.lead(&[]);
        let nobody =
            block_on(resolve(&cluster, &Cut::Primaries { companions: NodeId::numbered(1) }, Manner::Drop));
        assert_eq!(nobody, Err("no node says that it leads".into()));
    }

    #[test]
    fn figures_are_grouped() {
        let grouped = [0, 7, 999, 1000, 1204, 123_456, 1_000_000].map(thousands);
        assert_eq!(grouped, ["0", "7", "999", "1,000", "1,204", "123,456", "1,000,000"]);
    }
}
