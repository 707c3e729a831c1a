//! Changes of the membership, transfers, reads by lease.

use super::*;
use crate::replica::admin::Admin;

fn change(id: u64, voters: &[u16]) -> ToNode {
    let voters = voters.iter().copied().map(Peer).collect();
    ToNode::Change { id, voters, learners: Vec::new(), joint: false }
}

fn configuration(voters: &[u16], index: u64, committed: bool) -> Answer {
    let voters = voters.iter().copied().map(Peer).collect();
    Answer::Configuration { voters, outgoing: Vec::new(), learners: Vec::new(), index, committed }
}

#[test]
fn a_change_is_answered_when_it_is_committed_and_begun_once() {
    let mut node = Alone::leader(|_| {});
    node.ask(5, &change(1, &[0, 1]));
    assert_eq!(node.answers(), []);
    node.ask(5, &ToNode::Configuration { id: 2 });
    assert_eq!(node.answers(), [(5, 2, configuration(&[0, 1], 2, false))], "in force, not committed");
    node.ask(6, &change(3, &[0, 1]));
    assert!(is_not_done(&node.answers()[0].2), "it is under way");
    node.sync();
    node.hear(2, 1, Body::Appended { matched: Index(2) });
    assert_eq!(node.answers(), [], "who leaves does not count");
    node.hear(1, 1, Body::Appended { matched: Index(2) });
    assert_eq!(node.answers(), [(5, 1, configuration(&[0, 1], 2, true))]);
    node.ask(6, &change(4, &[0, 1]));
    assert_eq!(node.answers(), [(6, 4, configuration(&[0, 1], 2, true))], "it is done already");
    assert_eq!(node.replica.status().last, 2);
}

#[test]
fn a_joint_change_is_answered_when_the_new_configuration_alone_is_committed() {
    let mut node = Alone::leader(|_| {});
    let voters = vec![Peer(0)];
    node.ask(5, &ToNode::Change { id: 1, voters, learners: vec![Peer(1)], joint: true });
    node.sync();
    node.hear(1, 1, Body::Appended { matched: Index(2) });
    assert_eq!((node.replica.status().commit, node.answers()), (2, vec![]));
    node.sync();
    let (voters, learners) = (vec![Peer(0)], vec![Peer(1)]);
    let done = Answer::Configuration { voters, outgoing: vec![], learners, index: 3, committed: true };
    assert_eq!(node.answers(), [(5, 1, done)]);
}

#[test]
fn a_change_that_is_refused_was_not_done_and_one_whose_leader_falls_is_in_doubt() {
    let mut node = Alone::leader(|_| {});
    node.ask(5, &change(1, &[0]));
    node.ask(5, &change(2, &[]));
    node.ask(5, &change(3, &[0, 1, 2, 9]));
    assert!(node.answers().iter().all(|(.., answer)| is_not_done(answer)));
    node.ask(5, &change(4, &[0, 1]));
    node.hear(1, 2, Body::Heartbeat { commit: Index(0), round: 0 });
    let answers = node.answers();
    assert!(matches!(&answers[..], [(5, 4, answer)] if is_doubt(answer)), "{answers:?}");
}

#[test]
fn a_restart_finds_the_configuration_in_the_log() {
    let mut node = Alone::started(|_| {});
    let data = raft::membership::Membership::of([Peer(0), Peer(2)], [Peer(1)]).encode();
    let entries = vec![raft::entry::Entry { term: Term(1), data }];
    node.hear(1, 1, Body::AppendEntries { previous: EntryId::default(), entries, commit: Index(0) });
    node.sync();
    let files = node.files();
    let mut node = Alone::restart(|_| {}, files);
    node.ask(1, &ToNode::Configuration { id: 1 });
    let (voters, learners) = (vec![Peer(0), Peer(2)], vec![Peer(1)]);
    let found = Answer::Configuration { voters, outgoing: vec![], learners, index: 1, committed: false };
    assert_eq!(node.answers(), [(1, 1, found)]);
}

#[test]
fn a_transfer_is_done_when_the_successor_is_seen_to_lead() {
    for (leader, told) in [(1, true), (2, true), (2, false)] {
        let mut node = Alone::leader(|_| {});
        if !told {
            node.ask(9, &ToNode::Register { id: 0 });
        }
        node.ask(5, &ToNode::Transfer { id: 1, to: Peer(1) });
        let timeout = |(to, letter): &(Peer, Letter)| {
            *to == Peer(1) && matches!(letter, Letter::Raft(message) if message.body == Body::TimeoutNow)
        };
        assert_eq!(node.sent().iter().any(timeout), told, "its log must be complete");
        node.ask(5, &put(2, 2, 1));
        assert!(is_not_done(&node.answers()[0].2), "nothing new begins");
        node.hear(1, 2, Body::RequestVote { last: EntryId::default(), transfer: true });
        node.answers();
        node.hear(leader, 2, Body::Heartbeat { commit: Index(0), round: 0 });
        let answers = node.answers();
        let [(5, 1, answer)] = &answers[..] else { panic!("{answers:?}") };
        match (leader, told) {
            (1, _) => assert_eq!(*answer, Answer::Done { results: vec![] }),
            (_, true) => assert!(is_doubt(answer), "the successor may win yet"),
            (_, false) => assert!(is_not_done(answer), "it was never told"),
        }
    }
}

#[test]
fn a_transfer_that_is_given_up_is_answered_and_work_goes_on() {
    let mut node = Alone::leader(|_| {});
    node.ask(5, &ToNode::Transfer { id: 1, to: Peer(2) });
    for _ in 0..2 {
        node.hear(1, 1, Body::HeartbeatResponse { round: 0 });
        node.wait(SECOND);
    }
    let answers = node.answers();
    assert!(matches!(&answers[..], [(5, 1, answer)] if is_not_done(answer)), "{answers:?}");
    node.ask(5, &ToNode::Register { id: 2 });
    assert_eq!(node.replica.status().last, 2);
    node.ask(5, &ToNode::Transfer { id: 3, to: Peer(0) });
    assert_eq!(node.answers(), [(5, 3, Answer::Done { results: vec![] })], "it leads already");
}

#[test]
fn a_forwarded_change_is_begun_once_and_its_answer_goes_back() {
    let mut node = Alone::leader(|_| {});
    let wanted =
        raft::change::Change { voters: [Peer(0), Peer(1)].into(), learners: [].into(), joint: false };
    let request = Admin::Change(wanted).encode();
    let stamp = node.post(1, Letter::Forward { term: Term(1), request: request.clone() });
    let doubled = Envelope { stamp, letter: Letter::Forward { term: Term(1), request } };
    node.step(Input::Message { from: Peer(1), bytes: doubled.encode() });
    node.sync();
    node.hear(1, 1, Body::Appended { matched: Index(2) });
    assert_eq!(node.returned(), [(stamp, configuration(&[0, 1], 2, true))]);
}

#[test]
fn an_unknown_configuration_of_a_node_that_starts_is_the_first_one() {
    let mut node = Alone::new(|_| {});
    node.ask(1, &ToNode::Configuration { id: 1 });
    node.ask(1, &change(2, &[0, 1]));
    let answers = node.answers();
    assert_eq!(answers[0], (1, 1, configuration(&[0, 1, 2], 0, true)));
    assert!(is_not_done(&answers[1].2));
}

/// A leader whose lease began at this moment.
fn leased(change: impl FnOnce(&mut Config)) -> Alone {
    let mut node = Alone::leader(change);
    node.wait(SECOND / 10);
    node.hear(1, 1, Body::HeartbeatResponse { round: 1 });
    node
}

fn by_lease(config: &mut Config) {
    (config.reads, config.drift_ppm) = (Reads::Lease, 250_000);
}

fn reads_at_once(node: &mut Alone) -> bool {
    node.ask(5, &get(1));
    !node.answers().is_empty()
}

#[test]
fn section_6_4_1_a_lease_answers_reads_at_once_for_less_than_the_election_timeout() {
    let mut node = leased(by_lease);
    assert!(reads_at_once(&mut node));
    node.wait(SECOND * 8 / 10 - 1);
    assert!(reads_at_once(&mut node));
    node.wait(1);
    assert!(!reads_at_once(&mut node), "a clock may run faster elsewhere");
    assert!(!reads_at_once(&mut leased(|_| {})), "unless asked for there are no leases");
}

#[test]
fn section_6_4_1_a_lease_ends_when_the_clock_is_set_back_unless_it_has_the_bug() {
    for bugs in [Bugs::NONE, Bugs::NONE.with(Bug::ClockJumpElection)] {
        let mut node = leased(|config| {
            by_lease(config);
            config.bugs = bugs;
        });
        node.now -= SECOND / 2;
        assert_eq!(reads_at_once(&mut node), bugs != Bugs::NONE);
        node.hear(1, 1, Body::HeartbeatResponse { round: 1 });
        assert_eq!(reads_at_once(&mut node), bugs != Bugs::NONE, "a round of before proves nothing");
    }
}

#[test]
fn section_6_4_1_a_lease_ends_with_the_office() {
    let mut node = leased(by_lease);
    node.hear(2, 2, Body::Heartbeat { commit: Index(0), round: 0 });
    assert!(!node.replica.lease.lasts(Tick(node.now)));
}

#[test]
fn a_lease_that_ignores_drift_outlives_the_election_timeout() {
    let mut node = leased(|config| config.bugs = Bugs::NONE.with(Bug::LeaseIgnoresDrift));
    node.hear(2, 1, Body::HeartbeatResponse { round: 0 });
    node.wait(SECOND * 11 / 10);
    assert!(reads_at_once(&mut node));
}
