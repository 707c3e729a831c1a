//! Changes of the membership.

use super::*;
use crate::raft::change::{Change, Refusal};
use crate::raft::membership::Membership;

fn peers(numbers: &[u16]) -> BTreeSet<Peer> {
    numbers.iter().copied().map(Peer).collect()
}

fn of(voters: &[u16], learners: &[u16]) -> Membership {
    Membership { voters: peers(voters), outgoing: peers(&[]), learners: peers(learners) }
}

fn change(
    cluster: &mut Cluster,
    at: u16,
    (voters, learners): (&[u16], &[u16]),
    joint: bool,
) -> Result<Index, Refusal> {
    let change = Change { voters: peers(voters), learners: peers(learners), joint };
    cluster.on(at, |server, fx| server.change(&change, fx))
}

/// A step that is carried out everywhere.
fn step(cluster: &mut Cluster, at: u16, to: (&[u16], &[u16])) {
    change(cluster, at, to, false).unwrap();
    cluster.settle();
    cluster.beat(at);
    assert_eq!(*cluster[at].membership().1, of(to.0, to.1));
    assert!(cluster[at].membership().0 <= cluster[at].commit());
}

/// Server 0 leads `peers` servers, and its no-op is committed.
fn led(peers: u16) -> Cluster {
    let mut cluster = Cluster::new(peers);
    cluster.elect(0);
    cluster.beat(0);
    cluster
}

#[test]
fn section_4_1_a_configuration_is_in_force_as_soon_as_it_stands_in_the_log() {
    let mut cluster = led(3);
    change(&mut cluster, 0, (&[0, 1], &[]), false).unwrap();
    assert_eq!(cluster[0].membership(), (Index(2), &of(&[0, 1], &[])));
    assert!(cluster.effects[&Peer(0)].membership);
    cluster.cut.insert(Peer(2));
    cluster.settle();
    assert_eq!(cluster[1].membership(), (Index(2), &of(&[0, 1], &[])));
    assert_eq!(cluster[0].commit(), Index(2), "both of the two have it");
    cluster.cut.insert(Peer(1));
    cluster.propose(0, 1);
    cluster.settle();
    assert_eq!(cluster[0].commit(), Index(2), "one of two is no majority");
}

#[test]
fn section_4_1_a_configuration_that_is_cut_off_is_no_longer_in_force() {
    let mut cluster = led(3);
    cluster.cut.insert(Peer(0));
    change(&mut cluster, 0, (&[0, 1], &[]), false).unwrap();
    cluster.settle();
    cluster.elect(1);
    cluster.cut.clear();
    cluster.beat(1);
    cluster.beat(1);
    assert_eq!(cluster[0].membership(), (Index(0), &Membership::initial(3)));
    assert_eq!(cluster.terms(0), [1, 2]);
}

#[test]
fn section_4_1_a_step_moves_one_voter() {
    let mut cluster = led(5);
    assert_eq!(change(&mut cluster, 0, (&[0, 1, 2], &[]), false), Err(Refusal::TooMany(2)));
    step(&mut cluster, 0, (&[0, 1, 2, 3], &[4]));
    step(&mut cluster, 0, (&[0, 1, 2], &[3, 4]));
    assert_eq!(change(&mut cluster, 0, (&[0, 1, 3], &[4]), false), Err(Refusal::TooMany(2)));
    step(&mut cluster, 0, (&[0, 1, 2, 4], &[3]));
}

#[test]
fn senseless_changes_are_refused_and_the_one_in_force_begins_nothing() {
    let mut cluster = led(3);
    let last = cluster[0].log().last_index();
    for ((voters, learners), refusal) in [
        ((&[][..], &[0][..]), Refusal::NoVoters),
        ((&[0, 1, 2, 3], &[]), Refusal::Stranger(Peer(3))),
        ((&[0, 1, 2], &[9]), Refusal::Stranger(Peer(9))),
        ((&[0, 1, 2], &[1]), Refusal::Twice(Peer(1))),
    ] {
        for joint in [false, true] {
            assert_eq!(change(&mut cluster, 0, (voters, learners), joint), Err(refusal));
        }
    }
    assert_eq!(change(&mut cluster, 1, (&[0, 1], &[]), false), Err(Refusal::NotLeader));
    assert_eq!(change(&mut cluster, 0, (&[0, 1, 2], &[]), true), Ok(Index(0)));
    assert_eq!(cluster[0].log().last_index(), last);
}

#[test]
fn section_4_1_a_second_change_waits_until_the_first_is_committed_unless_it_has_the_bug() {
    for bugs in [Bugs::NONE, Bugs::NONE.with(Bug::MembershipTwoAtOnce)] {
        let mut cluster = Cluster::with(4, |config| config.bugs = bugs);
        cluster.elect(0);
        cluster.beat(0);
        change(&mut cluster, 0, (&[0, 1, 2], &[]), false).unwrap();
        let second = change(&mut cluster, 0, (&[0, 1], &[]), false);
        let expected = if bugs == Bugs::NONE { Err(Refusal::UnderWay(Index(2))) } else { Ok(Index(3)) };
        assert_eq!(second, expected);
        cluster.settle();
        assert!(change(&mut cluster, 0, (&[0, 1], &[]), false).is_ok());
    }
}

#[test]
fn a_change_waits_until_the_leader_has_committed_in_its_term_unless_it_has_the_bug() {
    for bugs in [Bugs::NONE, Bugs::NONE.with(Bug::MembershipBeforeCommit)] {
        let mut cluster = Cluster::crowned(|config| config.bugs = bugs);
        let early = change(&mut cluster, 0, (&[0, 1], &[]), false);
        assert_eq!(early, if bugs == Bugs::NONE { Err(Refusal::TooEarly) } else { Ok(Index(2)) });
    }
}

#[test]
fn section_4_2_1_a_learner_gets_the_log_and_has_no_say() {
    let mut cluster = led(4);
    step(&mut cluster, 0, (&[0, 1, 2], &[3]));
    cluster.cut = peers(&[1, 2]);
    let index = cluster.propose(0, 1);
    cluster.settle();
    assert_eq!(cluster[3].log().last_index(), index);
    assert!(cluster[0].commit() < index, "the leader and a learner are one of three");
    cluster.on(0, |server, fx| server.read(ReadId(1), fx));
    cluster.settle();
    assert_eq!(cluster.reads(0), []);
    for _ in 0..3 {
        cluster.on(3, |server, fx| server.election_timeout(fx));
        cluster.settle();
        assert_eq!((cluster[3].stand().role, cluster[3].term()), ("follower", Term(1)));
    }
    cluster.beat(0);
    cluster.on(0, |server, fx| server.quorum_timeout(fx));
    cluster.on(0, |server, fx| server.quorum_timeout(fx));
    assert!(!cluster[0].is_leader(), "a learner's answers keep nobody in office");
}

#[test]
fn section_4_2_1_a_new_voter_is_a_learner_that_has_caught_up() {
    let mut cluster = led(4);
    step(&mut cluster, 0, (&[0, 1, 2], &[]));
    let behind = Err(Refusal::Behind(Peer(3)));
    for joint in [false, true] {
        assert_eq!(change(&mut cluster, 0, (&[0, 1, 2, 3], &[]), joint), behind);
    }
    cluster.cut.insert(Peer(3));
    for _ in 0..200 {
        cluster.propose(0, 1);
    }
    cluster.settle();
    step(&mut cluster, 0, (&[0, 1, 2], &[3]));
    assert_eq!(change(&mut cluster, 0, (&[0, 1, 2, 3], &[]), false), behind);
    cluster.cut.clear();
    (0..3).for_each(|_| cluster.beat(0));
    step(&mut cluster, 0, (&[0, 1, 2, 3], &[]));
    assert_eq!(*cluster[3].membership().1, Membership::initial(4));
}

#[test]
fn section_4_2_2_a_leader_that_leaves_does_not_count_itself_and_then_hands_over() {
    let mut cluster = led(3);
    change(&mut cluster, 0, (&[1, 2], &[]), false).unwrap();
    cluster.cut.insert(Peer(2));
    cluster.settle();
    assert_eq!(cluster[0].commit(), Index(1), "of the two that remain, one has it");
    cluster.beat(0);
    assert!(cluster[0].is_leader());
    cluster.cut.clear();
    (0..3).for_each(|_| cluster.beat(0));
    assert!(!cluster[0].is_leader());
    assert!(cluster[1].is_leader() || cluster[2].is_leader(), "nobody had to miss it");
    let terms: Vec<Term> = (0..3).map(|at| cluster[at].term()).collect();
    for _ in 0..3 {
        cluster.on(0, |server, fx| server.election_timeout(fx));
        cluster.settle();
    }
    assert_eq!((0..3).map(|at| cluster[at].term()).collect::<Vec<_>>(), terms, "it stands for nothing");
}

#[test]
fn figure_4_6_a_server_may_be_elected_to_commit_its_own_leaving() {
    let mut cluster = Cluster::with(2, |config| config.pre_vote = false);
    cluster.elect(0);
    cluster.beat(0);
    cluster.cut.insert(Peer(1));
    change(&mut cluster, 0, (&[1], &[]), false).unwrap();
    cluster.settle();
    let entries: Vec<Entry> = cluster[0].log().entries_from(Index(1)).cloned().collect();
    let (config, hard) = (cluster[0].config().clone(), cluster[0].hard_state());
    cluster.servers[0] = Raft::new(config, hard, None, entries);
    assert_eq!(*cluster[0].membership().1, of(&[1], &[]), "a restart reads it from the log");
    cluster.on(1, |server, fx| server.election_timeout(fx));
    cluster.cut.clear();
    cluster.settle();
    assert!(!cluster[1].is_leader(), "without the other's longer log it needs both votes");
    cluster.on(0, |server, fx| server.election_timeout(fx));
    cluster.on(0, |server, fx| server.election_timeout(fx));
    assert!(!cluster[0].is_leader(), "its own vote does not count");
    cluster.settle();
    assert!(cluster[0].is_leader());
    (0..2).for_each(|_| cluster.beat(0));
    assert!(!cluster[0].is_leader() && cluster[1].is_leader());
}

#[test]
fn section_4_2_3_a_removed_server_that_knows_nothing_of_it_disturbs_nobody() {
    let mut cluster = led(4);
    cluster.cut.insert(Peer(3));
    step(&mut cluster, 0, (&[0, 1, 2], &[]));
    cluster.cut.clear();
    for _ in 0..5 {
        cluster.on(3, |server, fx| server.election_timeout(fx));
        cluster.settle();
        cluster.beat(0);
    }
    assert!(cluster[0].is_leader() && cluster[0].term() == Term(1));
    assert_eq!(cluster[3].membership().0, Index(0), "nobody tells it any more");
}

#[test]
fn section_4_3_a_joint_configuration_needs_both_majorities_and_leads_to_the_new_one() {
    let mut cluster = led(5);
    step(&mut cluster, 0, (&[0, 1, 2, 3], &[4]));
    step(&mut cluster, 0, (&[0, 1, 2], &[3, 4]));
    cluster.cut = peers(&[3, 4]);
    let joint = change(&mut cluster, 0, (&[0, 3, 4], &[]), true).unwrap();
    let mixed = Membership { voters: peers(&[0, 3, 4]), outgoing: peers(&[0, 1, 2]), learners: peers(&[]) };
    assert_eq!(cluster[0].membership(), (joint, &mixed));
    cluster.settle();
    assert!(cluster[0].commit() < joint, "the old majority alone decides nothing");
    let under_way = Err(Refusal::UnderWay(joint));
    assert_eq!(change(&mut cluster, 0, (&[0, 1], &[]), false), under_way);
    cluster.cut = peers(&[2]);
    (0..3).for_each(|_| cluster.beat(0));
    assert_eq!(cluster[0].membership(), (joint.next(), &of(&[0, 3, 4], &[])));
    assert_eq!(cluster[0].commit(), joint.next());
    assert_eq!(*cluster[1].membership().1, of(&[0, 3, 4], &[]), "who leaves hears of it");
}

#[test]
fn section_4_3_a_new_leader_completes_a_joint_configuration() {
    let mut cluster = led(3);
    let joint = change(&mut cluster, 0, (&[1], &[]), true).unwrap();
    while let Some((from, to, message)) = cluster.letters.pop_front() {
        // The followers get it, the leader does not hear of that.
        if to != Peer(0) {
            cluster.on(to.0, |server, fx| server.receive(from, message, fx));
        }
    }
    cluster.cut.insert(Peer(0));
    cluster.elect(1);
    (0..3).for_each(|_| cluster.beat(1));
    assert_eq!(cluster[1].membership(), (Index(joint.0 + 2), &of(&[1], &[])));
    assert_eq!(cluster[1].commit(), Index(joint.0 + 2));
    cluster.on(1, |server, fx| server.read(ReadId(1), fx));
    assert_eq!(cluster.reads(1).len(), 1, "alone it is a majority");
}

#[test]
fn section_5_a_snapshot_carries_the_configuration() {
    let mut cluster = led(4);
    cluster.cut.insert(Peer(3));
    step(&mut cluster, 0, (&[0, 1, 3], &[2]));
    let index = cluster.propose(0, 1);
    cluster.settle();
    cluster.on(0, |server, _| server.compact(index, b"state".to_vec()));
    assert_eq!(cluster[0].log().base().index, index);
    assert_eq!(*cluster[0].membership().1, of(&[0, 1, 3], &[2]));
    cluster.cut.clear();
    (0..6).for_each(|_| cluster.beat(0));
    assert_eq!(cluster[3].snapshot(), cluster[0].snapshot());
    assert_eq!(*cluster[3].membership().1, of(&[0, 1, 3], &[2]));
    let snapshot = cluster[3].snapshot().cloned();
    let again = Raft::new(cluster[3].config().clone(), cluster[3].hard_state(), snapshot, Vec::new());
    assert_eq!(*again.membership().1, of(&[0, 1, 3], &[2]));
}

#[test]
fn a_read_does_not_wait_for_those_who_left() {
    let mut cluster = led(2);
    cluster.fast_disks = false;
    let index = change(&mut cluster, 0, (&[0], &[]), false).unwrap();
    cluster.cut.insert(Peer(1));
    cluster.on(0, |server, fx| server.read(ReadId(1), fx));
    cluster.settle();
    cluster.on(0, |server, fx| server.persisted(index, fx));
    assert_eq!(cluster[0].commit(), index);
    cluster.effects.clear();
    cluster.on(0, |server, fx| server.read(ReadId(2), fx));
    assert_eq!(cluster.reads(0), [(ReadId(2), index)]);
}
