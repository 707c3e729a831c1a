//! What is known of the order of versions, and whether it contradicts itself.
//!
//! Every condition here asks for one order of all versions in which some come not after others. Such an
//! order exists if and only if no two versions each come not after the other: no strongly connected
//! component of the graph holds two. Versions of one process that come before all that follows are bundled
//! in auxiliary nodes, so that the graph stays linear in the history.

use super::versions::Version;
use std::collections::VecDeque;

/// A node: a version, or a bundle of versions.
pub(super) type Node = usize;

/// No operation.
const NOBODY: usize = usize::MAX;

/// Which nodes come not after which others.
pub(super) struct Order {
    versions: usize,
    /// From each node: what comes not before it, and the operations that say so.
    edges: Vec<Vec<(Node, [usize; 2])>>,
}

/// Versions that would each have to come before the other.
pub(super) struct Circle {
    /// Two of them.
    pub versions: (Version, Version),
    /// The operations that say that the first comes not after the second.
    pub there: Vec<usize>,
    /// The operations that say that the second comes not after the first.
    pub back: Vec<usize>,
}

impl Order {
    pub(super) fn new(versions: usize) -> Order {
        Order { versions, edges: vec![Vec::new(); versions] }
    }

    /// A bundle: versions put before it come before what it is put before.
    pub(super) fn bundle(&mut self) -> Node {
        self.edges.push(Vec::new());
        self.edges.len() - 1
    }

    /// `a` comes not after `b`, as these operations say.
    pub(super) fn put(&mut self, a: Node, b: Node, because: &[usize]) {
        if a != b {
            let mut proof = [NOBODY; 2];
            proof.iter_mut().zip(because).for_each(|(slot, operation)| *slot = *operation);
            self.edges[a].push((b, proof));
        }
    }

    /// A contradiction, if there is one.
    pub(super) fn circle(&self) -> Option<Circle> {
        let component = self.components();
        let mut first = vec![usize::MAX; self.edges.len()];
        for (version, own) in component.into_iter().enumerate().take(self.versions) {
            if first[own] != usize::MAX {
                let versions = (first[own], version);
                let (there, back) = (self.path(versions.0, versions.1), self.path(versions.1, versions.0));
                return Some(Circle { versions, there, back });
            }
            first[own] = version;
        }
        None
    }

    /// The operations on a shortest path.
    fn path(&self, from: Node, to: Node) -> Vec<usize> {
        let mut before: Vec<Option<(Node, [usize; 2])>> = vec![None; self.edges.len()];
        let mut queue = VecDeque::from([from]);
        while let Some(node) = queue.pop_front() {
            for (next, proof) in &self.edges[node] {
                if before[*next].is_none() && *next != from {
                    before[*next] = Some((node, *proof));
                    queue.push_back(*next);
                }
            }
        }
        let (mut at, mut operations) = (to, Vec::new());
        while let Some((node, proof)) = before[at].filter(|_| at != from) {
            operations.extend(proof.iter().filter(|operation| **operation != NOBODY));
            at = node;
        }
        operations.sort_unstable();
        operations.dedup();
        operations
    }

    /// The number of the strongly connected component of each node (Tarjan 1972, without recursion).
    fn components(&self) -> Vec<usize> {
        const UNSEEN: usize = usize::MAX;
        let count = self.edges.len();
        let (mut index, mut low) = (vec![UNSEEN; count], vec![0; count]);
        let (mut component, mut stack, mut next) = (vec![UNSEEN; count], Vec::new(), 0);
        let mut components = 0;
        for root in 0..count {
            if index[root] != UNSEEN {
                continue;
            }
            let mut path: Vec<(Node, usize)> = vec![(root, 0)];
            while let Some((node, edge)) = path.pop() {
                if edge == 0 {
                    (index[node], low[node]) = (next, next);
                    next += 1;
                    stack.push(node);
                } else {
                    let (child, _) = self.edges[node][edge - 1];
                    low[node] = low[node].min(low[child]);
                }
                let mut descended = false;
                for (place, (child, _)) in self.edges[node].iter().enumerate().skip(edge) {
                    if index[*child] == UNSEEN {
                        path.push((node, place + 1));
                        path.push((*child, 0));
                        descended = true;
                        break;
                    }
                    if component[*child] == UNSEEN {
                        low[node] = low[node].min(index[*child]);
                    }
                }
                if descended || low[node] != index[node] {
                    continue;
                }
                while let Some(member) = stack.pop() {
                    component[member] = components;
                    if member == node {
                        break;
                    }
                }
                components += 1;
            }
        }
        component
    }
}
