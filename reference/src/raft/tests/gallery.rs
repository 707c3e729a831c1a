//! Mistakes of the gallery as hand-made scenes: what the correct server does, and what the bug makes of it.

use super::*;

/// Both casts of a scene: without the bug and with it.
fn casts(bug: Bug) -> [(Bugs, bool); 2] {
    [(Bugs::NONE, false), (Bugs::NONE.with(bug), true)]
}

/// Lets letters arrive until one has that fits.
fn settle_until(cluster: &mut Cluster, fits: impl Fn(Peer, &Message) -> bool) {
    while let Some((from, to, message)) = cluster.letters.pop_front() {
        if cluster.cut.contains(&from) || cluster.cut.contains(&to) {
            continue;
        }
        let last = fits(from, &message);
        cluster.on(to.0, |server, fx| server.receive(from, message, fx));
        if last {
            return;
        }
    }
    panic!("no such letter came");
}

#[test]
fn commit_old_term_commits_what_the_next_leader_overwrites() {
    for (bugs, broken) in casts(Bug::CommitOldTerm) {
        // Figure 3.7: (c), then (d). One entry a message.
        let mut cluster = Cluster::with(5, |config| {
            *config = Config { pre_vote: false, append_bytes_max: 0, bugs, ..config.clone() };
        });
        cluster.restart(0, 3, &[1, 2]);
        cluster.restart(1, 3, &[1, 2]);
        cluster.restart(2, 3, &[1]);
        cluster.restart(3, 4, &[1]);
        cluster.restart(4, 4, &[1, 3]);
        cluster.cut = BTreeSet::from([Peer(3), Peer(4)]);
        cluster.on(0, |server, fx| server.election_timeout(fx));
        settle_until(&mut cluster, |from, message| {
            from == Peer(2) && message.body == Body::Appended { matched: Index(2) }
        });
        assert_eq!(cluster[0].commit(), Index(if broken { 2 } else { 0 }));
        cluster.letters.clear();
        cluster.cut = BTreeSet::from([Peer(0), Peer(1)]);
        cluster.elect(4);
        assert_eq!(cluster[4].log().term_at(Index(2)), Some(Term(3)), "the voters allow it");
        let late = Entry { term: Term(3), data: [3].into() };
        let body = Body::AppendEntries { previous: id(1, 1), entries: vec![late], commit: Index(0) };
        cluster.on(0, |server, fx| server.receive(Peer(4), Message { term: Term(5), body }, fx));
        assert_eq!(cluster.effects[&Peer(0)].contradiction.is_some(), broken);
    }
}

#[test]
fn append_truncates_matching_loses_what_was_acknowledged() {
    for (bugs, broken) in casts(Bug::AppendTruncatesMatching) {
        let mut cluster = Cluster::with(3, |config| config.bugs = bugs);
        cluster.elect(0);
        cluster.propose(0, 1);
        cluster.propose(0, 2);
        cluster.settle();
        let entries = vec![Entry { term: Term(1), data: [].into() }];
        let body = Body::AppendEntries { previous: id(0, 0), entries, commit: Index(0) };
        cluster.on(1, |server, fx| server.receive(Peer(0), Message { term: Term(1), body }, fx));
        assert_eq!(cluster[1].log().last_index(), Index(if broken { 1 } else { 3 }));
    }
}

#[test]
fn append_ignores_term_lets_a_deposed_leader_overwrite() {
    for (bugs, broken) in casts(Bug::AppendIgnoresTerm) {
        let mut cluster = Cluster::with(3, |config| config.bugs = bugs);
        cluster.elect(0);
        cluster.cut.insert(Peer(0));
        cluster.elect(1);
        let entries = vec![Entry { term: Term(1), data: [9].into() }];
        let body = Body::AppendEntries { previous: id(1, 1), entries, commit: Index(0) };
        assert_eq!(cluster[1].commit(), Index(2), "the new leader has counted on server 2");
        cluster.on(2, |server, fx| server.receive(Peer(0), Message { term: Term(1), body }, fx));
        assert_eq!(cluster[2].log().last(), if broken { id(1, 2) } else { id(2, 2) });
    }
}

#[test]
fn append_skips_prev_check_acknowledges_another_log() {
    for (bugs, broken) in casts(Bug::AppendSkipsPrevCheck) {
        let mut cluster = Cluster::with(3, |config| config.bugs = bugs);
        cluster.restart(1, 2, &[1, 1]);
        let entries = vec![Entry { term: Term(3), data: [].into() }];
        let body = Body::AppendEntries { previous: id(2, 2), entries, commit: Index(0) };
        cluster.on(1, |server, fx| server.receive(Peer(0), Message { term: Term(3), body }, fx));
        let (.., answer) = cluster.letters.pop_back().unwrap();
        assert_eq!(answer.body == Body::Appended { matched: Index(3) }, broken);
    }
}

#[test]
fn commit_minority_commits_with_two_of_five() {
    for (bugs, broken) in casts(Bug::CommitMinority) {
        let mut cluster = Cluster::with(5, |config| config.bugs = bugs);
        cluster.elect(0);
        let before = cluster[0].commit();
        cluster.cut = BTreeSet::from([Peer(2), Peer(3), Peer(4)]);
        let index = cluster.propose(0, 1);
        cluster.settle();
        assert_eq!(cluster[0].commit(), if broken { index } else { before });
    }
}

#[test]
fn match_from_next_counts_what_is_still_on_its_way() {
    for (bugs, broken) in casts(Bug::MatchFromNext) {
        let mut cluster = Cluster::with(3, |config| config.bugs = bugs);
        cluster.elect(0);
        cluster.cut.insert(Peer(2));
        cluster.propose(0, 1);
        cluster.propose(0, 2);
        settle_until(&mut cluster, |_, message| message.body == Body::Appended { matched: Index(2) });
        assert_eq!(cluster[0].commit(), Index(if broken { 3 } else { 2 }));
    }
}

#[test]
fn stale_vote_response_makes_a_leader_for_whom_nobody_voted() {
    for (bugs, broken) in casts(Bug::StaleVoteResponse) {
        let mut cluster = Cluster::with(3, |config| {
            *config = Config { pre_vote: false, bugs, ..config.clone() };
        });
        cluster.on(0, |server, fx| server.election_timeout(fx));
        let granted = Message { term: Term(1), body: Body::RequestVoteResponse { granted: true } };
        cluster.on(0, |server, fx| server.election_timeout(fx));
        cluster.on(0, |server, fx| server.receive(Peer(1), granted, fx));
        assert_eq!((cluster[0].term(), cluster[0].is_leader()), (Term(2), broken));
    }
}

#[test]
fn heartbeat_commits_unmatched_commits_a_followers_own_entries() {
    for (bugs, broken) in casts(Bug::HeartbeatCommitsUnmatched) {
        let mut cluster = Cluster::with(3, |config| config.bugs = bugs);
        cluster.restart(2, 0, &[1, 1]);
        cluster.restart(0, 2, &[2, 2]);
        cluster.restart(1, 2, &[2, 2]);
        cluster.cut.insert(Peer(2));
        cluster.elect(0);
        cluster.cut.clear();
        cluster.letters.clear();
        cluster.on(0, |server, fx| server.heartbeat_timeout(fx));
        settle_until(&mut cluster, |from, message| {
            from == Peer(2) && matches!(message.body, Body::HeartbeatResponse { .. })
        });
        assert_eq!(cluster[2].commit(), Index(if broken { 2 } else { 0 }));
    }
}

#[test]
fn snapshot_drops_tail_takes_the_log_back() {
    for (bugs, broken) in casts(Bug::SnapshotDropsTail) {
        let mut cluster = Cluster::with(3, |config| config.bugs = bugs);
        cluster.elect(0);
        cluster.propose(0, 1);
        cluster.propose(0, 2);
        cluster.settle();
        let body =
            Body::InstallSnapshot { last: id(1, 1), membership: None, total: 1, offset: 0, data: vec![0] };
        cluster.on(1, |server, fx| server.receive(Peer(0), Message { term: Term(1), body }, fx));
        assert_eq!(cluster[1].log().last_index(), Index(if broken { 1 } else { 3 }));
    }
}

#[test]
fn snapshot_keeps_stale_log_keeps_what_no_leader_has() {
    for (bugs, broken) in casts(Bug::SnapshotKeepsStaleLog) {
        let mut cluster = Cluster::with(3, |config| config.bugs = bugs);
        cluster.restart(1, 1, &[1, 1, 1, 1]);
        let body =
            Body::InstallSnapshot { last: id(2, 3), membership: None, total: 1, offset: 0, data: vec![0] };
        cluster.on(1, |server, fx| server.receive(Peer(0), Message { term: Term(2), body }, fx));
        assert_eq!(cluster[1].log().last(), if broken { id(1, 4) } else { id(2, 3) });
    }
}

#[test]
fn forget_term_votes_again_in_a_term_that_it_has_voted_in() {
    for (bugs, broken) in casts(Bug::ForgetTerm) {
        let mut cluster = Cluster::with(3, |config| config.bugs = bugs);
        let ask = |cluster: &mut Cluster, from| {
            let message =
                Message { term: Term(5), body: Body::RequestVote { last: id(0, 0), transfer: false } };
            cluster.on(1, |server, fx| server.receive(Peer(from), message, fx));
            cluster.letters.pop_back().unwrap().2.body == Body::RequestVoteResponse { granted: true }
        };
        assert!(ask(&mut cluster, 0));
        let hard = cluster[1].hard_state();
        cluster.servers[1] = Raft::new(cluster[1].config().clone(), hard, None, Vec::new());
        assert_eq!(ask(&mut cluster, 2), broken);
    }
}
