//! Which nodes a fault strikes: drawn before the trial, or the leaders of the moment.

use elenchus_core::cluster::Cluster;
use elenchus_core::fault::Target;
use elenchus_core::outcome::Cause;
use elenchus_core::process::NodeId;
use elenchus_core::random::Rng;

/// How far a fault on nodes reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reach {
    /// One node.
    One,
    /// As many as the others can do without.
    Minority,
    /// As few as the others cannot do without.
    Majority,
    /// Every node.
    All,
    /// Whoever leads at that moment.
    Primaries,
}

impl Reach {
    /// How many of `nodes` nodes this strikes; of leaders there is one, as a rule.
    pub fn size(self, nodes: usize) -> usize {
        match self {
            Reach::One | Reach::Primaries => 1,
            Reach::Minority => minority(nodes).max(1),
            Reach::Majority => nodes / 2 + 1,
            Reach::All => nodes,
        }
    }
}

/// How many of `nodes` nodes may fail while the others are still a majority.
pub fn minority(nodes: usize) -> usize {
    nodes.saturating_sub(1) / 2
}

/// Draws the nodes of this reach, each with the same chance; they come in the order of the cluster.
pub fn draw(rng: &mut Rng, nodes: &[NodeId], reach: Reach) -> Target {
    if reach == Reach::Primaries {
        return Target::Primaries;
    }
    let mut order: Vec<usize> = (0..nodes.len()).collect();
    rng.shuffle(&mut order);
    order.truncate(reach.size(nodes.len()));
    order.sort_unstable();
    Target::Nodes(order.into_iter().map(|at| nodes[at].clone()).collect())
}

/// The nodes meant, now. That nobody leads is an error: a fault asked for on the leaders must not strike others.
pub async fn resolve(cluster: &dyn Cluster, target: &Target) -> Result<Vec<NodeId>, Cause> {
    match target {
        Target::Primaries => primaries(cluster).await,
        Target::Nodes(nodes) => {
            if let Some(stranger) = nodes.iter().find(|node| !cluster.nodes().contains(node)) {
                return Err(format!("{stranger} is no node of this cluster").into());
            }
            Ok(nodes.clone())
        }
    }
}

/// The leaders of the moment, in the order of the cluster, at least one.
pub(crate) async fn primaries(cluster: &dyn Cluster) -> Result<Vec<NodeId>, Cause> {
    let leaders = cluster.primaries().await?;
    let leaders: Vec<_> = cluster.nodes().iter().filter(|node| leaders.contains(node)).cloned().collect();
    if leaders.is_empty() { Err("no node says that it leads".into()) } else { Ok(leaders) }
}

/// Nodes in a sentence.
pub(crate) fn names<'n>(nodes: impl IntoIterator<Item = &'n NodeId>) -> String {
    nodes.into_iter().map(NodeId::as_str).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use elenchus_core::random::Seed;

    #[test]
    fn sizes_are_those_of_quorums() {
        let sizes =
            |nodes| [Reach::One, Reach::Minority, Reach::Majority, Reach::All].map(|reach| reach.size(nodes));
        assert_eq!(
            [1, 2, 3, 4, 5, 6, 7].map(sizes),
            [
                [1, 1, 1, 1],
                [1, 1, 2, 2],
                [1, 1, 2, 3],
                [1, 1, 3, 4],
                [1, 2, 3, 5],
                [1, 2, 4, 6],
                [1, 3, 4, 7]
            ]
        );
    }

    #[test]
    fn every_node_is_drawn_as_often() {
        let (nodes, mut rng) = (NodeId::numbered(5), Seed(1).rng());
        for reach in [Reach::One, Reach::Minority, Reach::Majority] {
            let mut struck = [0; 5];
            for _ in 0..2000 {
                let Target::Nodes(drawn) = draw(&mut rng, &nodes, reach) else {
                    panic!("nodes were asked for")
                };
                assert_eq!(drawn.len(), reach.size(5));
                assert!(drawn.is_sorted());
                drawn
                    .iter()
                    .for_each(|node| struck[nodes.iter().position(|n| n == node).expect("a node")] += 1);
            }
            let fair = 400 * reach.size(5);
            assert!(struck.iter().all(|&n| (fair - 120..fair + 120).contains(&n)), "{reach:?}: {struck:?}");
        }
    }
}
