//! Who takes part: the configuration of a cluster, and those that a server's log knows (chapter 4).
//!
//! A configuration is an entry of the log and in force as soon as it stands there, committed or not
//! (section 4.1); when the entry is cut off, the one before it is in force again. Entries of the log are
//! bytes to the core but for these, which begin with a byte that no request begins with.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::codec::{Reader, Write};
use crate::protocol::Peer;
use crate::raft::entry::{Entry, Index};

/// Begins the data of an entry that is a configuration.
const TAG: u8 = 0xc0;
/// The version of what follows it.
const VERSION: u8 = 1;

/// One configuration.
///
/// Invariant: `voters` is not empty. Unless the configuration is joint, no voter is a learner.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Membership {
    /// Whose votes and logs count.
    pub voters: BTreeSet<Peer>,
    /// The voters of the configuration that is being left: then majorities of both are needed (section 4.3).
    /// Empty unless the configuration is joint.
    pub outgoing: BTreeSet<Peer>,
    /// Who gets the log and has no vote (section 4.2.1).
    pub learners: BTreeSet<Peer>,
}

impl Membership {
    /// The one that a cluster begins with: all `peers` nodes vote.
    pub fn initial(peers: u16) -> Membership {
        Membership::of((0..peers).map(Peer), [])
    }

    /// A configuration that is not joint.
    pub fn of(
        voters: impl IntoIterator<Item = Peer>,
        learners: impl IntoIterator<Item = Peer>,
    ) -> Membership {
        let (voters, learners) = (voters.into_iter().collect(), learners.into_iter().collect());
        Membership { voters, outgoing: BTreeSet::new(), learners }
    }

    /// Whether two majorities are needed.
    pub fn is_joint(&self) -> bool {
        !self.outgoing.is_empty()
    }

    /// Whether `peer` has a vote.
    pub fn votes(&self, peer: Peer) -> bool {
        self.voters.contains(&peer) || self.outgoing.contains(&peer)
    }

    /// Whether `peer` gets the log.
    pub fn contains(&self, peer: Peer) -> bool {
        self.votes(peer) || self.learners.contains(&peer)
    }

    /// All that have a vote, in order.
    pub fn all_voters(&self) -> BTreeSet<Peer> {
        self.voters.union(&self.outgoing).copied().collect()
    }

    /// All that get the log, in order.
    pub fn members(&self) -> BTreeSet<Peer> {
        self.all_voters().union(&self.learners).copied().collect()
    }

    /// The largest value that a majority has reached; of both majorities, if the configuration is joint.
    pub fn agreed<T: Ord + Copy>(&self, reached: impl Fn(Peer) -> T) -> T {
        self.reached_by(|voters| voters / 2 + 1, reached)
    }

    /// The largest value that half of the voters have reached: no majority where they are even.
    pub(super) fn reached_by_half<T: Ord + Copy>(&self, reached: impl Fn(Peer) -> T) -> T {
        self.reached_by(|voters| (voters / 2).max(1), reached)
    }

    fn reached_by<T: Ord + Copy>(&self, needed: impl Fn(usize) -> usize, reached: impl Fn(Peer) -> T) -> T {
        let by = |set: &BTreeSet<Peer>| {
            let mut values: Vec<T> = set.iter().map(|peer| reached(*peer)).collect();
            values.sort_unstable_by(|a, b| b.cmp(a));
            values[needed(set.len()) - 1]
        };
        let of_voters = by(&self.voters);
        if self.is_joint() { of_voters.min(by(&self.outgoing)) } else { of_voters }
    }

    /// Whether those who say yes are a majority.
    pub fn is_quorum(&self, yes: impl Fn(Peer) -> bool) -> bool {
        self.agreed(yes)
    }

    /// The joint configuration between this one and `next`.
    #[must_use]
    pub fn joined(&self, next: &Membership) -> Membership {
        Membership { outgoing: self.voters.clone(), ..next.clone() }
    }

    /// What a joint configuration leads to.
    #[must_use]
    pub fn joined_out(&self) -> Membership {
        Membership { outgoing: BTreeSet::new(), ..self.clone() }
    }

    /// As the data of an entry.
    pub fn encode(&self) -> Arc<[u8]> {
        let mut bytes = vec![TAG, VERSION];
        for set in [&self.voters, &self.outgoing, &self.learners] {
            bytes.u16(set.len() as u16);
            set.iter().for_each(|peer| bytes.u16(peer.0));
        }
        bytes.into()
    }

    /// From the data of an entry, `None` if it is something else.
    pub fn decode(data: &[u8]) -> Option<Membership> {
        let rest = data.strip_prefix(&[TAG, VERSION])?;
        let mut reader = Reader::new(rest);
        let mut set = || {
            let count = reader.u16()?;
            let peers = reader.many(u32::from(count), |reader| reader.u16().map(Peer))?;
            Some(peers.into_iter().collect::<BTreeSet<_>>())
        };
        let membership = Membership { voters: set()?, outgoing: set()?, learners: set()? };
        reader.end()?;
        (!membership.voters.is_empty()).then_some(membership)
    }
}

/// The configurations that a server's log knows, by the index of their entries.
///
/// Invariant: it is never empty. Its first is the one that was in force at the latest snapshot or before it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Memberships(BTreeMap<Index, Arc<Membership>>);

impl Memberships {
    /// `first` holds from `index` on, at which or before which its entry stands.
    pub fn new(index: Index, first: Arc<Membership>) -> Memberships {
        Memberships(BTreeMap::from([(index, first)]))
    }

    /// The one in force, and where it stands.
    pub fn current(&self) -> (Index, &Arc<Membership>) {
        let (index, membership) = self.0.last_key_value().expect("there is always one");
        (*index, membership)
    }

    /// The one that would be in force if the current one were cut off, if the log knows.
    pub fn before(&self) -> Option<&Membership> {
        self.0.values().nth_back(1).map(|membership| &**membership)
    }

    /// The one that is in force where the log ends with `index`.
    pub fn at(&self, index: Index) -> Option<&Arc<Membership>> {
        self.0.range(..=index).next_back().map(|(_, membership)| membership)
    }

    /// Takes note of an entry that was added to the log; true if it is a configuration.
    pub fn observe(&mut self, index: Index, entry: &Entry) -> bool {
        let Some(membership) = Membership::decode(&entry.data) else { return false };
        self.0.insert(index, membership.into());
        true
    }

    /// The log was cut: entries from `index` on are gone. True if a configuration was among them. The first
    /// stays: a snapshot covers it.
    pub fn truncate(&mut self, index: Index) -> bool {
        let first = *self.0.keys().next().expect("there is always one");
        !self.0.split_off(&index.max(first.next())).is_empty()
    }

    /// The log up to `index` is in a snapshot: only the configuration in force there is still of use.
    pub fn compact(&mut self, index: Index) {
        while self.0.keys().nth(1).is_some_and(|second| *second <= index) {
            self.0.pop_first();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raft::entry::Term;
    use elenchus_core::random::Seed;

    fn peers(numbers: &[u16]) -> BTreeSet<Peer> {
        numbers.iter().copied().map(Peer).collect()
    }

    fn joint(voters: &[u16], outgoing: &[u16], learners: &[u16]) -> Membership {
        Membership { voters: peers(voters), outgoing: peers(outgoing), learners: peers(learners) }
    }

    #[test]
    fn a_majority_is_more_than_half_whether_odd_or_even() {
        for (voters, least) in [(1, 1), (2, 2), (3, 2), (4, 3), (5, 3), (6, 4)] {
            let membership = Membership::initial(voters);
            for yes in 0..=voters {
                assert_eq!(membership.is_quorum(|peer| peer.0 < yes), yes >= least, "{yes} of {voters}");
            }
        }
    }

    #[test]
    fn section_4_3_a_joint_configuration_needs_both_majorities_and_learners_count_in_none() {
        let membership = joint(&[2, 3, 4], &[0, 1, 2], &[5, 6]);
        for (yes, quorum) in [
            (&[0, 1, 2][..], false),
            (&[2, 3, 4], false),
            (&[1, 2, 3], true),
            (&[0, 1, 3, 4], true),
            (&[2, 5, 6], false),
        ] {
            let yes = peers(yes);
            assert_eq!(membership.is_quorum(|peer| yes.contains(&peer)), quorum, "{yes:?}");
        }
        assert_eq!(membership.members(), peers(&[0, 1, 2, 3, 4, 5, 6]));
        assert_eq!(membership.agreed(|peer| 10 - peer.0), 7);
    }

    #[test]
    fn a_configuration_survives_its_encoding_and_nothing_else_is_one() {
        for membership in [Membership::initial(5), joint(&[1, 9], &[0, 1, 2], &[3])] {
            let bytes = membership.encode();
            assert_eq!(Membership::decode(&bytes), Some(membership));
            for length in 0..bytes.len() {
                assert_eq!(Membership::decode(&bytes[..length]), None);
            }
            let mut rng = Seed(3).rng();
            for _ in 0..2_000 {
                let mut damaged = bytes.to_vec();
                damaged[rng.below(bytes.len() as u64) as usize] = rng.next_u64() as u8;
                if let Some(read) = Membership::decode(&damaged) {
                    assert!(!read.voters.is_empty());
                }
            }
        }
        assert_eq!(Membership::decode(&joint(&[], &[1], &[]).encode()), None, "somebody must vote");
    }

    #[test]
    fn the_latest_of_the_log_is_in_force_and_the_one_before_it_when_it_is_cut_off() {
        let entry = |membership: &Membership| Entry { term: Term(1), data: membership.encode() };
        let (first, second, third) =
            (Membership::initial(3), Membership::initial(2), joint(&[0], &[0, 1], &[]));
        let mut known = Memberships::new(Index(0), first.clone().into());
        assert!(!known.observe(Index(1), &Entry { term: Term(1), data: [].into() }));
        assert!(known.observe(Index(4), &entry(&second)));
        assert!(known.observe(Index(9), &entry(&third)));
        assert_eq!(known.current(), (Index(9), &third.clone().into()));
        assert_eq!(known.before(), Some(&second));
        assert_eq!(known.at(Index(8)), Some(&second.clone().into()));
        assert_eq!(known.at(Index(3)), Some(&first.into()));
        let mut cut = known.clone();
        assert!(!cut.truncate(Index(10)));
        assert!(cut.truncate(Index(9)));
        assert_eq!(cut.current(), (Index(4), &second.clone().into()));
        known.compact(Index(5));
        assert_eq!((known.at(Index(3)), known.at(Index(5))), (None, Some(&second.into())));
        known.compact(Index(50));
        assert_eq!((known.current().0, known.before()), (Index(9), None));
    }
}
