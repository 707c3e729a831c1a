//! Reads by lease: what the core owes to whoever measures the time.

use super::*;

fn leased(pre_vote: bool) -> Cluster {
    let mut cluster = Cluster::with(3, |config| (config.lease, config.pre_vote) = (true, pre_vote));
    cluster.elect(0);
    cluster.beat(0);
    cluster
}

#[test]
fn section_6_4_1_each_heartbeat_is_a_round_and_a_majority_confirms_it() {
    let mut cluster = leased(true);
    cluster.cut.insert(Peer(2));
    cluster.on(0, |server, fx| server.heartbeat_timeout(fx));
    let round = cluster.effects[&Peer(0)].round.unwrap();
    assert_eq!(cluster.effects[&Peer(0)].confirmed, None);
    cluster.settle();
    assert_eq!(cluster.effects[&Peer(0)].confirmed, Some(round));
    cluster.on(0, |server, fx| server.heartbeat_timeout(fx));
    assert_eq!(cluster.effects[&Peer(0)].round, Some(round + 1));
}

#[test]
fn section_6_4_1_who_answered_a_leader_votes_for_nobody_until_its_timeout() {
    let mut cluster = leased(false);
    let ask = |cluster: &mut Cluster, transfer| {
        let body = Body::RequestVote { last: id(9, 9), transfer };
        cluster.on(1, |server, fx| server.receive(Peer(2), Message { term: Term(8), body }, fx));
        cluster.letters.pop_back().map(|(.., answer)| answer.body)
    };
    assert_eq!(ask(&mut cluster, false), None);
    assert_eq!(cluster[1].term(), Term(1), "not even the term counts");
    // Another's term does, but frees nobody's vote.
    let body = Body::PreVoteResponse { asked: Term(0), granted: false };
    cluster.on(1, |server, fx| server.receive(Peer(2), Message { term: Term(7), body }, fx));
    assert_eq!(cluster[1].term(), Term(7));
    assert_eq!(ask(&mut cluster, false), None);
    cluster.on(1, |server, _| server.lease_timeout());
    assert_eq!(ask(&mut cluster, false), Some(Body::RequestVoteResponse { granted: true }));
}

#[test]
fn section_6_4_1_a_restart_does_not_free_the_vote_at_once() {
    let mut cluster = leased(false);
    let entries: Vec<Entry> = cluster[1].log().entries_from(Index(1)).cloned().collect();
    let (config, hard) = (cluster[1].config().clone(), cluster[1].hard_state());
    cluster.servers[1] = Raft::new(config, hard, None, entries);
    let message = Message { term: Term(8), body: Body::RequestVote { last: id(9, 9), transfer: false } };
    cluster.on(1, |server, fx| server.receive(Peer(2), message, fx));
    assert_eq!(cluster[1].term(), Term(1));
    assert!(cluster.letters.is_empty());
}

#[test]
fn section_3_10_a_leader_that_told_a_successor_no_longer_trusts_its_lease() {
    let mut cluster = leased(true);
    assert!(cluster.on(0, |server, fx| server.read_by_lease(ReadId(1), fx)));
    assert_eq!(cluster.reads(0), [(ReadId(1), Index(1))], "at once");
    cluster.cut.insert(Peer(2));
    cluster.on(0, |server, fx| server.transfer(Peer(2), fx)).unwrap();
    for _ in 0..2 {
        cluster.beat(0);
        cluster.on(0, |server, fx| server.quorum_timeout(fx));
    }
    assert_eq!(cluster[0].transferring(), None);
    cluster.cut.insert(Peer(1));
    assert!(cluster.on(0, |server, fx| server.read_by_lease(ReadId(2), fx)));
    cluster.settle();
    assert_eq!(cluster.reads(0), [], "it asks");
    cluster.cut.clear();
    cluster.beat(0);
    assert_eq!(cluster.reads(0), [(ReadId(2), Index(1))]);
}

#[test]
fn a_new_leader_reads_by_lease_only_what_it_knows_to_be_committed() {
    let mut cluster = Cluster::crowned(|config| config.lease = true);
    cluster.on(0, |server, fx| server.read_by_lease(ReadId(1), fx));
    assert_eq!(cluster.reads(0), []);
}

#[test]
fn read_index_before_own_commit_answers_early() {
    for bugs in [Bugs::NONE, Bugs::NONE.with(Bug::ReadIndexBeforeOwnCommit)] {
        let mut cluster = Cluster::crowned(|config| config.bugs = bugs);
        cluster.letters.clear();
        cluster.on(0, |server, fx| server.read(ReadId(1), fx));
        cluster.settle();
        assert_eq!(cluster.reads(0).len(), usize::from(bugs != Bugs::NONE));
    }
}
