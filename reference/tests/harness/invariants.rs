//! The five properties of figure 3.2 in Ongaro 2014, checked after every step of any server; beside them
//! that a commit index never falls, that a leader commits by counting only entries of its own term, and that
//! configurations which follow upon each other share a server of any two majorities.

use std::collections::BTreeMap;

use elenchus_reference::protocol::Peer;
use elenchus_reference::raft::Raft;
use elenchus_reference::raft::entry::{Entry, EntryId, Index, Term};
use elenchus_reference::raft::membership::Membership;
use elenchus_reference::replica::RaftReplica;

/// What has been seen.
#[derive(Debug, Default)]
pub struct Invariants {
    leaders: BTreeMap<Term, Peer>,
    /// Each entry ever seen in a log, and the term of the one before it.
    entries: BTreeMap<EntryId, (Entry, Option<Term>)>,
    /// Each committed entry, and the term of the server that was the first to know.
    committed: BTreeMap<Index, (Entry, Term)>,
    /// Each committed configuration.
    memberships: BTreeMap<Index, Membership>,
    nodes: BTreeMap<Peer, Seen>,
    /// The encoded state machine after some entries.
    states: BTreeMap<Index, Vec<u8>>,
    /// How many snapshots were installed.
    pub installed: usize,
}

#[derive(Debug, Default)]
struct Seen {
    applied: Index,
    last: EntryId,
    commit: Index,
    leads: Option<Term>,
}

impl Invariants {
    pub fn leaders(&self) -> usize {
        self.leaders.len()
    }

    pub fn committed(&self) -> usize {
        self.committed.len()
    }

    pub fn states(&self) -> usize {
        self.states.len()
    }

    /// A server starts again with what it finds on its disk.
    pub fn restarted(&mut self, node: Peer) {
        self.nodes.remove(&node);
    }

    pub fn check(&mut self, node: Peer, replica: &RaftReplica) {
        let raft = replica.raft();
        let seen = self.nodes.entry(node).or_default();
        let applied = replica.applied();
        if seen.applied < applied && applied.0.is_multiple_of(16) {
            let state = replica.kv().encode();
            let known = self.states.entry(applied).or_insert_with(|| state.clone());
            assert!(*known == state, "State Machine Safety: {node:?} differs after entry {applied}");
        }
        self.installed +=
            usize::from(seen.last.index > Index(0) && seen.last.index < raft.log().base().index);
        if seen.last != raft.log().last() {
            matching(&mut self.entries, raft);
        }
        assert!(seen.commit <= raft.commit(), "Commit Monotonic: {node:?} from {}", seen.commit);
        if seen.commit < raft.commit() {
            machine_safety(&mut self.committed, seen.commit, raft);
            succession(&mut self.memberships, &self.committed, seen.commit, raft);
        }
        let leads = raft.is_leader().then(|| raft.term());
        if let Some(term) = leads {
            let leader = *self.leaders.entry(term).or_insert(node);
            assert_eq!(leader, node, "Election Safety: two leaders in term {term}");
            if seen.leads == leads {
                let kept = raft.log().term_at(seen.last.index);
                assert_eq!(kept, Some(seen.last.term), "Leader Append-Only: {node:?} in term {term}");
                if seen.commit < raft.commit() {
                    let of = raft.log().term_at(raft.commit());
                    assert_eq!(of, leads, "Own Term: {node:?} commits by counting what it did not propose");
                }
            } else {
                completeness(&self.committed, raft);
            }
        }
        *seen = Seen { applied, last: raft.log().last(), commit: raft.commit(), leads };
    }
}

/// Log Matching: two logs with the same entry are the same up to it. Checked by induction: the same index and
/// term are the same entry, after an entry of the same term.
fn matching(entries: &mut BTreeMap<EntryId, (Entry, Option<Term>)>, raft: &Raft) {
    let log = raft.log();
    for index in log.base().index.0 + 1..=log.last_index().0 {
        let entry = log.get(Index(index)).expect("it is in the log");
        let before = log.term_at(Index(index - 1));
        let id = EntryId { term: entry.term, index: Index(index) };
        let known = entries.entry(id).or_insert_with(|| (entry.clone(), before));
        assert_eq!((&known.0, known.1), (entry, before), "Log Matching: {id:?}");
    }
}

/// State Machine Safety: no two servers apply different entries at an index.
fn machine_safety(committed: &mut BTreeMap<Index, (Entry, Term)>, from: Index, raft: &Raft) {
    for index in from.0 + 1..=raft.commit().0 {
        // What a snapshot covers is compared through the state machine.
        let Some(entry) = raft.log().get(Index(index)) else { continue };
        let known = committed.entry(Index(index)).or_insert_with(|| (entry.clone(), raft.term()));
        assert_eq!(&known.0, entry, "State Machine Safety: entry {index}");
    }
}

/// Each committed configuration is one step from the one before it (section 4.1), or joins it with the next
/// (section 4.3). What a snapshot took out of sight may have been a configuration; then nothing is known.
fn succession(
    memberships: &mut BTreeMap<Index, Membership>,
    committed: &BTreeMap<Index, (Entry, Term)>,
    from: Index,
    raft: &Raft,
) {
    for index in (from.0 + 1..=raft.commit().0).map(Index) {
        let entry = raft.log().get(index);
        let Some(next) = entry.and_then(|entry| Membership::decode(&entry.data)) else { continue };
        let before = memberships.range(..index).next_back();
        let (known, before) = before
            .map(|(index, before)| (*index, before.clone()))
            .unwrap_or_else(|| (Index(0), Membership::initial(raft.config().peers)));
        let between = committed.range(known.next()..index).count() as u64;
        let fits = match (before.is_joint(), next.is_joint()) {
            _ if known.0 + between + 1 < index.0 => true,
            (false, false) => before.voters.symmetric_difference(&next.voters).count() <= 1,
            (false, true) => next.outgoing == before.voters,
            (true, false) => next == before.joined_out(),
            (true, true) => false,
        };
        assert!(fits, "Succession: {next:?} of entry {index} cannot follow {before:?}");
        memberships.insert(index, next);
    }
}

/// Leader Completeness: whatever was committed in an earlier term is in a new leader's log.
fn completeness(committed: &BTreeMap<Index, (Entry, Term)>, raft: &Raft) {
    let log = raft.log();
    for (index, (entry, term)) in committed.range(log.base().index.next()..) {
        if *term < raft.term() {
            let term = raft.term();
            assert_eq!(log.get(*index), Some(entry), "Leader Completeness: entry {index} in term {term}");
        }
    }
}
