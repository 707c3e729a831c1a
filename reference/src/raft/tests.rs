//! The core against its dissertation, section by section.

mod change;
mod lease;
mod transfer;

use std::collections::{BTreeMap, VecDeque};

mod gallery;

use super::*;
use crate::raft::message::Body;
use elenchus_core::random::Seed;

/// Servers whose letters arrive at once, in order, unless a test takes them.
struct Cluster {
    servers: Vec<Raft>,
    letters: VecDeque<(Peer, Peer, Message)>,
    /// Servers that nothing reaches or leaves.
    cut: BTreeSet<Peer>,
    /// Whether disks are as fast as memory.
    fast_disks: bool,
    effects: BTreeMap<Peer, Effects>,
}

impl Cluster {
    fn new(peers: u16) -> Cluster {
        Cluster::with(peers, |_| {})
    }

    fn with(peers: u16, change: impl Fn(&mut Config)) -> Cluster {
        let server = |me| {
            let mut config = Config { trailing: 0, chunk_bytes: 4, ..Config::new(Peer(me), peers) };
            change(&mut config);
            Raft::new(config, HardState::default(), None, Vec::new())
        };
        Cluster {
            servers: (0..peers).map(server).collect(),
            letters: VecDeque::new(),
            cut: BTreeSet::new(),
            fast_disks: true,
            effects: BTreeMap::new(),
        }
    }

    /// Does something to one server, and takes what it asks for. Its other wishes are kept for a look.
    fn on<T>(&mut self, at: u16, act: impl FnOnce(&mut Raft, &mut Effects) -> T) -> T {
        let mut fx = Effects::default();
        let server = &mut self.servers[usize::from(at)];
        let result = act(server, &mut fx);
        if self.fast_disks {
            server.voted(server.term(), &mut fx);
            server.persisted(server.log().last_index(), &mut fx);
        }
        for (to, message) in fx.messages.drain(..) {
            self.letters.push_back((Peer(at), to, message));
        }
        self.effects.insert(Peer(at), fx);
        result
    }

    /// Lets all letters arrive, and those that they cause.
    fn settle(&mut self) {
        while let Some((from, to, message)) = self.letters.pop_front() {
            if !self.cut.contains(&from) && !self.cut.contains(&to) {
                let reads = std::mem::take(&mut self.effects.entry(to).or_default().reads);
                self.on(to.0, |server, fx| server.receive(from, message, fx));
                self.effects.entry(to).or_default().reads.splice(0..0, reads);
            }
        }
    }

    /// Three servers, of which the first has just won the first election; its no-op is still on its way.
    fn crowned(change: impl Fn(&mut Config)) -> Cluster {
        let mut cluster = Cluster::with(3, |config| {
            config.pre_vote = false;
            change(config);
        });
        cluster.servers.iter_mut().for_each(Raft::lease_timeout);
        cluster.on(0, |server, fx| server.election_timeout(fx));
        for _ in 0..2 {
            let (from, to, message) = cluster.letters.pop_front().unwrap();
            cluster.letters.clear();
            cluster.on(to.0, |server, fx| server.receive(from, message, fx));
        }
        assert!(cluster[0].is_leader() && cluster[0].commit() == Index(0));
        cluster
    }

    fn elect(&mut self, at: u16) {
        for server in &mut self.servers {
            server.lease_timeout();
        }
        self.on(at, |server, fx| server.election_timeout(fx));
        self.settle();
        assert!(self[at].is_leader(), "{:?}", self[at].stand());
    }

    fn propose(&mut self, at: u16, data: u8) -> Index {
        self.on(at, |server, fx| server.propose([data].into(), fx)).expect("it leads")
    }

    fn beat(&mut self, at: u16) {
        self.on(at, |server, fx| server.heartbeat_timeout(fx));
        self.settle();
    }

    fn terms(&self, at: u16) -> Vec<u64> {
        self[at].log().entries_from(Index(0)).map(|entry| entry.term.0).collect()
    }

    fn reads(&mut self, at: u16) -> Vec<(ReadId, Index)> {
        std::mem::take(&mut self.effects.entry(Peer(at)).or_default().reads)
    }

    /// Starts a server again, with a log of these terms.
    fn restart(&mut self, at: u16, term: u64, terms: &[u64]) {
        let entries = terms.iter().map(|t| Entry { term: Term(*t), data: [*t as u8].into() }).collect();
        let hard = HardState { term: Term(term), vote: None };
        let config = self[at].config().clone();
        self.servers[usize::from(at)] = Raft::new(config, hard, None, entries);
    }
}

impl std::ops::Index<u16> for Cluster {
    type Output = Raft;

    fn index(&self, at: u16) -> &Raft {
        &self.servers[usize::from(at)]
    }
}

fn id(term: u64, index: u64) -> EntryId {
    EntryId { term: Term(term), index: Index(index) }
}

#[test]
fn section_3_4_a_majority_of_votes_makes_a_leader_whom_all_follow() {
    let mut cluster = Cluster::new(5);
    cluster.elect(2);
    assert!((0..5).all(|at| cluster[at].leader() == Some(Peer(2)) && cluster[at].term() == Term(1)));
    cluster.beat(2);
    assert!((0..5).all(|at| cluster[at].commit() == Index(1)), "its no-op is committed");
}

#[test]
fn section_3_4_without_a_majority_nobody_leads() {
    let mut cluster = Cluster::with(5, |config| config.pre_vote = false);
    cluster.cut = BTreeSet::from([Peer(2), Peer(3), Peer(4)]);
    cluster.on(0, |server, fx| server.election_timeout(fx));
    cluster.settle();
    assert_eq!(cluster[0].stand().role, "candidate");
}

#[test]
fn section_3_4_a_server_votes_once_in_a_term() {
    let mut cluster = Cluster::new(3);
    let ask = |server: &mut Raft, from, term, fx: &mut Effects| {
        let body = Body::RequestVote { last: id(0, 0), transfer: false };
        server.receive(Peer(from), Message { term: Term(term), body }, fx);
    };
    let granted = |cluster: &mut Cluster| match cluster.letters.pop_back().unwrap().2.body {
        Body::RequestVoteResponse { granted } => granted,
        other => panic!("{other:?}"),
    };
    for (from, term, expected) in [(1, 5, true), (2, 5, false), (1, 5, true), (2, 6, true), (1, 5, false)] {
        cluster.on(0, |server, fx| ask(server, from, term, fx));
        assert_eq!(granted(&mut cluster), expected, "{from} in term {term}");
    }
    assert_eq!(cluster[0].hard_state(), HardState { term: Term(6), vote: Some(Peer(2)) });
}

#[test]
fn section_3_5_entries_reach_every_log_and_are_committed_by_a_majority() {
    let mut cluster = Cluster::new(3);
    cluster.elect(0);
    cluster.cut.insert(Peer(2));
    let index = cluster.propose(0, 7);
    cluster.settle();
    assert_eq!((cluster[0].commit(), cluster[2].commit()), (index, Index(0)));
    cluster.cut.clear();
    cluster.beat(0);
    cluster.beat(0);
    cluster.beat(0);
    assert_eq!(cluster[2].log().last(), cluster[0].log().last());
    assert_eq!(cluster[2].commit(), index);
}

#[test]
fn section_3_5_a_followers_conflicting_entries_are_replaced_a_term_at_a_time() {
    let mut cluster = Cluster::new(3);
    // Figure 3.6 (f): a server that led terms 2 and 3, and committed nothing.
    cluster.restart(0, 7, &[1, 1, 1, 4, 4, 5, 5, 6, 6, 6]);
    cluster.restart(1, 7, &[1, 1, 1, 4, 4, 5, 5, 6, 6, 6]);
    cluster.restart(2, 3, &[1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3]);
    cluster.elect(0);
    assert_eq!(cluster.terms(2), [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 8]);
    assert_eq!(cluster[0].commit(), Index(11));
}

#[test]
fn section_3_5_backing_off_skips_whole_terms() {
    let mut cluster = Cluster::new(2);
    let stale = [vec![1; 5], vec![2; 50], vec![3; 50]].concat();
    let newer = [vec![1; 5], vec![4; 200]].concat();
    cluster.restart(0, 4, &newer);
    cluster.restart(1, 3, &stale);
    cluster.on(0, |server, fx| server.election_timeout(fx));
    let mut rejections = 0;
    while let Some((from, to, message)) = cluster.letters.pop_front() {
        rejections += u32::from(matches!(message.body, Body::AppendRejected { .. }));
        cluster.on(to.0, |server, fx| server.receive(from, message, fx));
    }
    assert_eq!(cluster.terms(1), [newer, vec![5]].concat());
    assert!(rejections <= 4, "{rejections} for 100 conflicting entries of two terms");
}

#[test]
fn section_3_5_a_late_append_does_not_shorten_the_log() {
    let mut cluster = Cluster::new(3);
    cluster.elect(0);
    let entry = Entry { term: Term(1), data: [].into() };
    let late = Message {
        term: Term(1),
        body: Body::AppendEntries { previous: id(0, 0), entries: vec![entry], commit: Index(0) },
    };
    cluster.propose(0, 1);
    cluster.propose(0, 2);
    cluster.settle();
    cluster.on(1, |server, fx| server.receive(Peer(0), late, fx));
    assert_eq!(cluster[1].log().last_index(), Index(3));
    assert_eq!(cluster.effects[&Peer(1)].written, None, "and nothing is written twice");
}

#[test]
fn section_3_6_1_a_server_with_the_better_log_refuses_its_vote() {
    let mut cluster = Cluster::with(3, |config| config.pre_vote = false);
    cluster.restart(0, 3, &[1, 1, 1]);
    cluster.restart(1, 3, &[1, 2]);
    cluster.restart(2, 3, &[1, 1]);
    cluster.on(0, |server, fx| server.election_timeout(fx));
    cluster.cut.insert(Peer(2));
    cluster.settle();
    assert!(!cluster[0].is_leader(), "a later last term beats a longer log");
    cluster.cut = BTreeSet::from([Peer(1)]);
    cluster.on(0, |server, fx| server.election_timeout(fx));
    cluster.settle();
    assert!(cluster[0].is_leader(), "a longer log of the same last term suffices");
}

#[test]
fn section_3_6_2_entries_of_earlier_terms_are_not_committed_by_counting() {
    // Figure 3.7: in (c), the entry of term 2 is on a majority, and yet not committed.
    let mut cluster = Cluster::with(5, |config| config.pre_vote = false);
    cluster.restart(0, 3, &[1, 2]);
    cluster.restart(1, 3, &[1, 2]);
    for at in 2..5 {
        cluster.restart(at, 3, &[1]);
    }
    cluster.on(0, |server, fx| server.election_timeout(fx));
    // The votes arrive, and of the entries only those that end with the one of term 2.
    let mut appended = 0;
    while let Some((from, to, mut message)) = cluster.letters.pop_front() {
        if let Body::AppendEntries { entries, previous, .. } = &mut message.body {
            entries.truncate(2_u64.saturating_sub(previous.index.0) as usize);
        }
        appended += u32::from(matches!(message.body, Body::Appended { .. }));
        cluster.on(to.0, |server, fx| server.receive(from, message, fx));
        if appended >= 4 {
            break;
        }
    }
    assert!(cluster[2].log().last() == id(2, 2), "it is on a majority");
    assert_eq!(cluster[0].commit(), Index(0));
    cluster.letters.clear();
    cluster.beat(0);
    cluster.beat(0);
    cluster.beat(0);
    assert_eq!(cluster[0].commit(), Index(3), "with an entry of its own term, all are");
}

#[test]
fn section_3_8_term_vote_and_log_survive_a_restart() {
    let mut cluster = Cluster::new(3);
    cluster.elect(0);
    cluster.propose(0, 9);
    cluster.settle();
    let entries: Vec<Entry> = cluster[1].log().entries_from(Index(1)).cloned().collect();
    let again = Raft::new(cluster[1].config().clone(), cluster[1].hard_state(), None, entries);
    assert_eq!((again.term(), again.vote, again.log()), (Term(1), Some(Peer(0)), cluster[1].log()));
    assert_eq!((again.commit(), again.leader()), (Index(0), None));
}

#[test]
fn section_3_8_promises_wait_for_the_disk_and_nothing_else_does() {
    let message = |body| Message { term: Term(1), body };
    for body in [
        Body::RequestVote { last: id(0, 0), transfer: false },
        Body::RequestVoteResponse { granted: true },
        Body::Appended { matched: Index(1) },
    ] {
        assert!(message(body).waits_for_disk());
    }
    for body in [
        Body::PreVote { last: id(0, 0) },
        Body::RequestVoteResponse { granted: false },
        Body::AppendEntries { previous: id(0, 0), entries: vec![], commit: Index(0) },
        Body::HeartbeatResponse { round: 1 },
    ] {
        assert!(!message(body).waits_for_disk());
    }
}

#[test]
fn section_10_2_1_a_leader_counts_itself_only_when_its_disk_has_the_entry() {
    let mut cluster = Cluster::new(3);
    cluster.elect(0);
    cluster.fast_disks = false;
    cluster.cut.insert(Peer(2));
    let index = cluster.propose(0, 1);
    cluster.settle();
    assert_eq!(cluster[0].commit(), Index(1), "one follower alone is no majority");
    cluster.on(0, |server, fx| server.persisted(index, fx));
    assert_eq!(cluster[0].commit(), index);
    cluster.cut.clear();
    for _ in 0..3 {
        cluster.beat(0);
    }
    let next = cluster.propose(0, 2);
    cluster.settle();
    assert_eq!(cluster[0].commit(), next, "both followers are, without the leader's disk");
}

#[test]
fn section_9_6_a_server_that_was_cut_off_disturbs_nobody_when_it_comes_back() {
    let mut cluster = Cluster::new(3);
    cluster.elect(0);
    cluster.cut.insert(Peer(2));
    for _ in 0..10 {
        cluster.on(2, |server, fx| server.election_timeout(fx));
        cluster.settle();
    }
    assert_eq!(cluster[2].term(), Term(1), "it asks and asks, in its old term");
    cluster.cut.clear();
    cluster.on(2, |server, fx| server.election_timeout(fx));
    cluster.settle();
    assert!(cluster[0].is_leader() && cluster[0].term() == Term(1));
    cluster.beat(0);
    assert_eq!((cluster[2].stand().role, cluster[2].leader()), ("follower", Some(Peer(0))));
}

#[test]
fn section_9_6_a_pre_vote_is_granted_only_when_the_leader_is_missed_and_the_log_is_good() {
    let mut cluster = Cluster::new(3);
    cluster.elect(0);
    cluster.propose(0, 1);
    cluster.settle();
    let granted = |cluster: &mut Cluster, last, term| {
        let message = Message { term: Term(term), body: Body::PreVote { last } };
        cluster.on(1, |server, fx| server.receive(Peer(2), message, fx));
        match cluster.letters.pop_back().unwrap().2.body {
            Body::PreVoteResponse { granted, .. } => granted,
            other => panic!("{other:?}"),
        }
    };
    assert!(!granted(&mut cluster, id(1, 2), 1), "the leader was just heard");
    cluster.on(1, |server, _| server.lease_timeout());
    assert!(granted(&mut cluster, id(1, 2), 1));
    assert!(granted(&mut cluster, id(1, 2), 8));
    assert!(!granted(&mut cluster, id(1, 1), 8), "its log is behind");
    assert!(!granted(&mut cluster, id(1, 2), 0), "its term is behind");
    assert_eq!(cluster[1].hard_state().term, Term(1), "asking changes nothing");
}

#[test]
fn section_6_2_a_leader_that_hears_no_majority_leaves_office() {
    let mut cluster = Cluster::new(5);
    cluster.elect(0);
    cluster.on(0, |server, fx| server.quorum_timeout(fx));
    cluster.cut = BTreeSet::from([Peer(3), Peer(4)]);
    cluster.beat(0);
    cluster.on(0, |server, fx| server.quorum_timeout(fx));
    assert!(cluster[0].is_leader(), "two followers and itself are a majority");
    cluster.cut.insert(Peer(2));
    cluster.beat(0);
    cluster.on(0, |server, fx| server.quorum_timeout(fx));
    assert_eq!((cluster[0].stand().role, cluster[0].leader()), ("follower", None));
}

#[test]
fn section_6_4_a_read_waits_for_a_round_that_began_after_it() {
    let mut cluster = Cluster::new(3);
    cluster.elect(0);
    let index = cluster.propose(0, 1);
    cluster.settle();
    assert!(cluster.on(0, |server, fx| server.read(ReadId(1), fx)));
    let first: Vec<_> = cluster.letters.drain(..).collect();
    assert!(cluster.on(0, |server, fx| server.read(ReadId(2), fx)));
    assert!(cluster.letters.is_empty(), "it waits for the round after the one under way");
    cluster.letters.extend(first.into_iter().take(1));
    let (from, to, message) = cluster.letters.pop_front().unwrap();
    cluster.on(to.0, |server, fx| server.receive(from, message, fx));
    let (from, to, message) = cluster.letters.pop_front().unwrap();
    cluster.on(to.0, |server, fx| server.receive(from, message, fx));
    assert_eq!(cluster.reads(0), [(ReadId(1), index)]);
    cluster.settle();
    assert_eq!(cluster.reads(0), [(ReadId(2), index)]);
    assert!(!cluster.on(1, |server, fx| server.read(ReadId(3), fx)), "a follower cannot");
}

#[test]
fn section_6_4_a_new_leader_reads_nothing_before_its_no_op_is_committed() {
    let mut cluster = Cluster::with(3, |config| config.pre_vote = false);
    cluster.on(0, |server, fx| server.election_timeout(fx));
    let (from, to, message) = cluster.letters.pop_front().unwrap();
    cluster.on(to.0, |server, fx| server.receive(from, message, fx));
    let (from, to, message) = cluster.letters.pop_back().unwrap();
    cluster.on(to.0, |server, fx| server.receive(from, message, fx));
    assert!(cluster[0].is_leader());
    let appends: Vec<_> = cluster.letters.drain(..).collect();
    assert!(cluster.on(0, |server, fx| server.read(ReadId(1), fx)));
    cluster.beat(0);
    assert_eq!(cluster.reads(0), []);
    cluster.letters.extend(appends);
    cluster.settle();
    assert_eq!(cluster.reads(0), [(ReadId(1), Index(1))]);
}

#[test]
fn section_6_4_a_deposed_leader_answers_no_read_unless_it_has_the_bug() {
    for bugs in [Bugs::NONE, Bugs::NONE.with(Bug::StaleRead)] {
        let mut cluster = Cluster::with(3, |config| config.bugs = bugs);
        cluster.elect(0);
        cluster.cut.insert(Peer(0));
        cluster.elect(1);
        cluster.propose(1, 1);
        cluster.settle();
        cluster.on(0, |server, fx| server.read(ReadId(1), fx));
        assert_eq!(cluster.reads(0).len(), usize::from(bugs.has(Bug::StaleRead)));
        cluster.beat(0);
        cluster.on(0, |server, fx| server.quorum_timeout(fx));
        cluster.on(0, |server, fx| server.quorum_timeout(fx));
        assert_eq!(cluster[0].is_leader(), bugs.has(Bug::StaleRead));
        assert_eq!(cluster.reads(0), []);
    }
}

#[test]
fn section_5_a_follower_that_needs_compacted_entries_gets_the_snapshot_in_pieces() {
    let mut cluster = Cluster::new(3);
    cluster.elect(0);
    cluster.cut.insert(Peer(2));
    for data in 0..5 {
        cluster.propose(0, data);
    }
    cluster.settle();
    cluster.on(0, |server, _| server.compact(Index(5), b"eleven byte".to_vec()));
    assert_eq!(cluster[0].log().base().index, Index(5));
    cluster.cut.clear();
    let mut pieces = 0;
    for _ in 0..8 {
        cluster.on(0, |server, fx| server.heartbeat_timeout(fx));
        while let Some((from, to, message)) = cluster.letters.pop_front() {
            if matches!(message.body, Body::InstallSnapshot { .. }) {
                pieces += 1;
                if pieces == 2 {
                    // Lost: the leader sends it again when nothing is heard for two heartbeats.
                    continue;
                }
            }
            cluster.on(to.0, |server, fx| server.receive(from, message, fx));
        }
    }
    assert_eq!(cluster[2].snapshot(), cluster[0].snapshot());
    assert_eq!(cluster[2].log().last(), cluster[0].log().last());
    assert_eq!(pieces, 4, "three of four bytes for eleven, one of them twice");
    assert_eq!(cluster[2].commit(), Index(6));
}

#[test]
fn section_5_late_and_doubled_answers_about_a_snapshot_do_not_beget_each_other() {
    for seed in 0..20 {
        let mut rng = Seed(seed).rng();
        let mut cluster = Cluster::new(3);
        cluster.elect(0);
        cluster.cut.insert(Peer(2));
        for data in 0..5 {
            cluster.propose(0, data);
        }
        cluster.settle();
        cluster.on(0, |server, _| server.compact(Index(5), vec![7; 400]));
        cluster.cut.clear();
        let mut pieces = 0;
        for beat in 0..400 {
            cluster.on(0, |server, fx| server.heartbeat_timeout(fx));
            // Many letters come late, in any order, and one in five twice.
            for _ in 0..40 {
                let count = cluster.letters.len();
                if count == 0 {
                    break;
                }
                let at = rng.below(count as u64) as usize;
                let (from, to, message) = cluster.letters.remove(at).unwrap();
                if rng.chance(1, 5) {
                    cluster.letters.push_back((from, to, message.clone()));
                }
                pieces += usize::from(matches!(message.body, Body::InstallSnapshot { .. }));
                cluster.on(to.0, |server, fx| server.receive(from, message, fx));
            }
            if cluster[2].commit() >= Index(5) {
                break;
            }
            assert!(beat < 399, "seed {seed}: the follower never has it");
        }
        assert!(pieces < 1_000, "seed {seed}: {pieces} letters for 100 pieces");
    }
}

#[test]
fn section_5_a_snapshot_that_the_log_already_holds_changes_nothing() {
    let mut cluster = Cluster::new(3);
    cluster.elect(0);
    cluster.propose(0, 1);
    cluster.propose(0, 2);
    cluster.settle();
    let body = Body::InstallSnapshot { last: id(1, 2), membership: None, total: 1, offset: 0, data: vec![0] };
    cluster.on(1, |server, fx| server.receive(Peer(0), Message { term: Term(1), body }, fx));
    assert!(!cluster.effects[&Peer(1)].installed);
    assert_eq!((cluster[1].log().last_index(), cluster[1].commit()), (Index(3), Index(2)));
    let (.., answer) = cluster.letters.pop_back().unwrap();
    assert_eq!(answer.body, Body::Appended { matched: Index(2) });
}

#[test]
fn what_a_leader_sends_is_bounded_and_grows_into_batches() {
    let mut cluster = Cluster::new(3);
    cluster.elect(0);
    for data in 0..100 {
        cluster.propose(0, data);
    }
    let to_one = |(_, to, message): &&(Peer, Peer, Message)| {
        *to == Peer(1) && matches!(message.body, Body::AppendEntries { .. })
    };
    assert_eq!(cluster.letters.iter().filter(to_one).count(), 2, "the rest gathers");
    cluster.settle();
    assert_eq!(cluster[1].log().last_index(), Index(101));
}

#[test]
fn a_single_server_leads_itself_once_its_vote_is_durable() {
    let mut cluster = Cluster::new(1);
    cluster.fast_disks = false;
    cluster.on(0, |server, fx| server.election_timeout(fx));
    assert_eq!(cluster[0].stand().role, "candidate");
    cluster.on(0, |server, fx| server.voted(Term(0), fx));
    assert_eq!(cluster[0].stand().role, "candidate");
    cluster.on(0, |server, fx| server.voted(Term(1), fx));
    assert!(cluster[0].is_leader());
}

#[test]
fn a_single_server_leads_itself() {
    let mut cluster = Cluster::new(1);
    cluster.elect(0);
    let index = cluster.propose(0, 1);
    assert_eq!(cluster[0].commit(), index);
    cluster.on(0, |server, fx| server.read(ReadId(1), fx));
    assert_eq!(cluster.reads(0), [(ReadId(1), index)]);
}

#[test]
fn a_leader_that_contradicts_what_is_committed_is_not_obeyed() {
    let mut cluster = Cluster::new(3);
    cluster.elect(0);
    cluster.beat(0);
    let entries = vec![Entry { term: Term(9), data: [].into() }];
    let body = Body::AppendEntries { previous: id(0, 0), entries, commit: Index(1) };
    cluster.on(1, |server, fx| server.receive(Peer(2), Message { term: Term(9), body }, fx));
    let why = cluster.effects[&Peer(1)].contradiction.clone().unwrap();
    assert!(why.contains("entry 1 of term 1 is committed"), "{why}");
    assert_eq!(cluster.terms(1), [1]);
}

#[test]
fn strangers_and_absurd_numbers_are_ignored() {
    let mut cluster = Cluster::new(3);
    cluster.elect(0);
    let before = cluster[0].clone();
    let huge = Index(1 << 59);
    for (from, body) in [
        (7, Body::RequestVote { last: id(9, 9), transfer: false }),
        (0, Body::Appended { matched: Index(1) }),
        (1, Body::Appended { matched: huge }),
        (1, Body::AppendRejected { previous: huge, conflict: None, hint: huge }),
        (1, Body::SnapshotReceived { index: huge, offset: u64::MAX }),
    ] {
        let term = if from == 7 { Term(99) } else { Term(1) };
        cluster.on(0, |server, fx| server.receive(Peer(from), Message { term, body }, fx));
    }
    assert_eq!((cluster[0].commit(), cluster[0].term()), (before.commit(), before.term()));
    assert!(cluster[0].is_leader());
}
