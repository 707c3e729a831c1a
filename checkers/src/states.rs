//! Which abstract states a cluster has been in, told from its nodes' traces while they stream by.
//!
//! An abstract state keeps of each node what protocols decide by, and only how it compares with the other nodes':
//! its role, the rank of its term among all terms, of its log among all logs (by last term, then last index), and of
//! its commit index among all commit indices. Which node is which is left out. So a state is the same whatever the
//! nodes are called, however many terms have passed and however long the logs are; there are few enough of them that
//! a campaign can run out of new ones, and a schedule that reaches one that no other did has done something else.
//!
//! Deliberately absent: whether a node is down or stands still, since a trace does not tell. It counts as it was last
//! seen.

use elenchus_core::random::Seed;
use elenchus_core::trace::{Line, Node, Role, name};
use std::collections::{BTreeMap, HashSet};

/// Collects the states. See the module.
#[derive(Debug, Default)]
pub struct States {
    places: BTreeMap<Node, usize>,
    nodes: Vec<Standing>,
    /// Looked into, never gone through: its order is nobody's.
    seen: HashSet<u64>,
    last: Option<u64>,
}

/// Where a node stands.
#[derive(Clone, Debug, Default)]
struct Standing {
    role: Option<Role>,
    term: u64,
    commit: u64,
    log: Log,
}

/// The terms of a log: each run of entries of one term by its first index.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Log {
    runs: Vec<(u64, u64)>,
    last: u64,
}

impl Log {
    fn put(&mut self, index: u64, term: u64) {
        if self.runs.last().is_none_or(|(_, last)| *last != term) {
            self.runs.push((index, term));
        }
        self.last = index;
    }

    fn cut_from(&mut self, index: u64) {
        let keeps = self.runs.partition_point(|(first, _)| *first < index);
        self.runs.truncate(keeps);
        self.last = index.saturating_sub(1);
    }

    /// What protocols compare: the term of the last entry, then its index.
    fn order(&self) -> (u64, u64) {
        (self.runs.last().map_or(0, |(_, term)| *term), self.last)
    }
}

impl Standing {
    fn take(&mut self, line: &Line) {
        match &*line.name {
            name::INIT_STATE | name::INSTALL_SNAPSHOT => {
                let base = line.base.map_or((0, 0), |base| (base.index, base.term));
                self.log = Log::default();
                self.log.put(base.0, base.1);
                self.append(base.0 + 1, line);
            }
            name::APPEND => {
                if let Some(first) = line.first {
                    self.log.cut_from(first);
                    self.append(first, line);
                }
            }
            _ => self.log.last = line.log.unwrap_or(self.log.last),
        }
        self.role = line.role.or(self.role);
        self.term = line.term.unwrap_or(self.term);
        self.commit = line.commit.unwrap_or(self.commit);
    }

    fn append(&mut self, first: u64, line: &Line) {
        for (index, entry) in (first..).zip(&line.entries) {
            self.log.put(index, entry.term);
        }
    }

    fn compared(&self) -> (Option<Role>, u64, u64, (u64, u64)) {
        (self.role, self.term, self.commit, self.log.order())
    }
}

/// What a line has changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// The cluster is in a state in which it has not been.
    pub is_new: bool,
    /// The node's role is another.
    pub turned: bool,
}

impl States {
    /// None so far.
    pub fn new() -> States {
        States::default()
    }

    /// Takes the next line.
    pub fn observe(&mut self, line: &Line) -> Change {
        let (places, nodes) = (&mut self.places, &mut self.nodes);
        let place = match places.get(&line.node) {
            Some(place) => *place,
            None => {
                places.insert(line.node.clone(), nodes.len());
                nodes.push(Standing::default());
                nodes.len() - 1
            }
        };
        let before = nodes[place].compared();
        nodes[place].take(line);
        let after = nodes[place].compared();
        if before == after {
            return Change::default();
        }
        let state = self.state();
        let is_new = self.last != Some(state) && self.seen.insert(state);
        self.last = Some(state);
        Change { is_new, turned: before.0 != after.0 }
    }

    /// All of them, hashed, in ascending order.
    pub fn finish(self) -> Vec<u64> {
        let mut all: Vec<u64> = self.seen.into_iter().collect();
        all.sort_unstable();
        all
    }

    fn state(&self) -> u64 {
        let mut all: Vec<u64> = self.nodes.iter().map(|node| self.abstracted(node)).collect();
        all.sort_unstable();
        all.into_iter().fold(Seed(0), Seed::nth).0
    }

    /// A node by its role and its ranks, packed.
    fn abstracted(&self, node: &Standing) -> u64 {
        let role = node.role.map_or(0, |role| role as u64 + 1);
        let term = self.rank(node, |node| node.term);
        let log = self.rank(node, |node| node.log.order());
        let commit = self.rank(node, |node| node.commit);
        role << 48 | term << 32 | log << 16 | commit
    }

    /// How many different values are below this node's.
    fn rank<T: Ord>(&self, node: &Standing, of: impl Fn(&Standing) -> T) -> u64 {
        let mine = of(node);
        let below = |(place, other): &(usize, &Standing)| {
            let value = of(other);
            value < mine && self.nodes[..*place].iter().all(|before| of(before) != value)
        };
        self.nodes.iter().enumerate().filter(below).count() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use elenchus_core::random::Rng;
    use elenchus_core::trace::{EntryMark, Mark};

    fn line(node: u64, role: Role, term: u64, commit: u64) -> Line {
        Line {
            role: Some(role),
            term: Some(term),
            commit: Some(commit),
            ..Line::new(name::COMMIT, Node::Number(node))
        }
    }

    fn append(node: u64, first: u64, terms: &[u64]) -> Line {
        let entries = terms.iter().map(|&term| EntryMark { term, digest: None }).collect();
        Line { first: Some(first), entries, ..Line::new(name::APPEND, Node::Number(node)) }
    }

    /// Lines as a cluster might write them, and some that none would.
    fn lines(rng: &mut Rng) -> Vec<Line> {
        let roles = [Role::Follower, Role::PreCandidate, Role::Candidate, Role::Leader];
        let one = |rng: &mut Rng| match rng.below(3) {
            0 => append(
                rng.between(1, 5),
                rng.between(1, 6),
                &[rng.below(4), rng.below(4)][..rng.below(3) as usize],
            ),
            _ => line(rng.between(1, 5), *rng.pick(&roles), rng.below(5), rng.below(6)),
        };
        (0..300).map(|_| one(rng)).collect()
    }

    fn states(lines: impl IntoIterator<Item = Line>) -> Vec<u64> {
        let mut states = States::new();
        for line in lines {
            states.observe(&line);
        }
        states.finish()
    }

    #[test]
    fn names_of_nodes_do_not_matter() {
        for seed in 0..50 {
            let lines = lines(&mut Seed(seed).rng());
            let mut names: Vec<Node> = ["n9", "a", "7", "12", "z"].map(Node::named).to_vec();
            Seed(seed).stream("names").rng().shuffle(&mut names);
            let renamed = lines.iter().cloned().map(|line| match line.node {
                Node::Number(number) => Line { node: names[number as usize - 1].clone(), ..line },
                Node::Name(_) => line,
            });
            assert_eq!(states(renamed), states(lines.iter().cloned()), "seed {seed}");
            assert!(states(lines).len() > 50);
        }
    }

    #[test]
    fn terms_and_indices_matter_only_by_their_order() {
        for seed in 0..50 {
            let lines = lines(&mut Seed(seed).rng());
            let stretched = lines.iter().cloned().map(|mut line| {
                line.term = line.term.map(|term| term * 7);
                line.commit = line.commit.map(|commit| commit * 3);
                line.entries.iter_mut().for_each(|entry| entry.term *= 7);
                line
            });
            assert_eq!(states(stretched), states(lines.iter().cloned()), "seed {seed}");
        }
    }

    #[test]
    fn the_same_role_in_another_order_of_terms_logs_or_commits_is_another_state() {
        let follower = |term, commit| line(1, Role::Follower, term, commit);
        // The follower comes first: nowhere before is its log the shorter one.
        let base = || {
            vec![follower(3, 5), append(1, 1, &[1, 3]), line(2, Role::Leader, 3, 5), append(2, 1, &[1, 3])]
        };
        let with = |more: Line| {
            let mut states = States::new();
            for line in base() {
                states.observe(&line);
            }
            states.observe(&more)
        };
        assert_eq!(with(follower(3, 5)), Change::default(), "nothing has changed");
        for more in [follower(4, 5), follower(3, 6), append(1, 2, &[]), append(1, 2, &[2, 2, 2, 2])] {
            assert_eq!(with(more.clone()), Change { is_new: true, turned: false }, "{more}");
        }
        assert_eq!(with(line(1, Role::Candidate, 3, 5)), Change { is_new: true, turned: true });
    }

    #[test]
    fn a_log_is_known_after_a_restart_and_after_a_snapshot() {
        let base = Some(Mark { index: 9, term: 4 });
        let mut standing = Standing::default();
        standing.take(&append(1, 1, &[1, 1, 2, 3]));
        assert_eq!(standing.log.order(), (3, 4));
        standing.take(&append(1, 3, &[]));
        assert_eq!(standing.log.order(), (1, 2));
        standing.take(&Line { base, ..Line::new(name::INSTALL_SNAPSHOT, Node::Number(1)) });
        assert_eq!(standing.log.order(), (4, 9));
        let entries = vec![EntryMark { term: 5, digest: None }];
        standing.take(&Line { base, entries, ..Line::new(name::INIT_STATE, Node::Number(1)) });
        assert_eq!(standing.log.order(), (5, 10));
    }
}
