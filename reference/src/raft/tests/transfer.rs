//! Leadership transfer.

use super::*;
use crate::raft::change::Refusal;

fn transfer(cluster: &mut Cluster, at: u16, to: u16) -> Result<(), Refusal> {
    cluster.on(at, |server, fx| server.transfer(Peer(to), fx))
}

#[test]
fn section_3_10_the_successor_leads_at_once_though_nobody_missed_the_leader() {
    let mut cluster = Cluster::with(3, |config| config.lease = true);
    cluster.elect(0);
    cluster.beat(0);
    transfer(&mut cluster, 0, 2).unwrap();
    assert_eq!(cluster[0].transferring(), Some((Peer(2), true)));
    cluster.settle();
    assert!(cluster[2].is_leader() && cluster[2].term() == Term(2));
    cluster.beat(2);
    assert!((0..3).all(|at| cluster[at].leader() == Some(Peer(2))));
}

#[test]
fn section_3_10_the_successors_log_is_completed_first_and_nothing_new_begins() {
    let mut cluster = Cluster::new(3);
    cluster.elect(0);
    cluster.cut.insert(Peer(2));
    cluster.propose(0, 1);
    cluster.settle();
    transfer(&mut cluster, 0, 2).unwrap();
    assert_eq!(cluster[0].transferring(), Some((Peer(2), false)));
    assert_eq!(cluster.on(0, |server, fx| server.propose([2].into(), fx)), None);
    assert_eq!(transfer(&mut cluster, 0, 1), Err(Refusal::Transferring));
    cluster.cut.clear();
    (0..3).for_each(|_| cluster.beat(0));
    assert!(cluster[2].is_leader());
    assert_eq!(cluster.terms(2), [1, 1, 2]);
}

#[test]
fn section_3_10_a_transfer_that_comes_to_nothing_is_given_up() {
    let mut cluster = Cluster::new(3);
    cluster.elect(0);
    cluster.cut.insert(Peer(2));
    transfer(&mut cluster, 0, 2).unwrap();
    for _ in 0..2 {
        cluster.beat(0);
        cluster.on(0, |server, fx| server.quorum_timeout(fx));
    }
    assert_eq!(cluster[0].transferring(), None);
    assert!(cluster[0].is_leader());
    let index = cluster.propose(0, 1);
    cluster.settle();
    assert_eq!(cluster[0].commit(), index);
}

#[test]
fn only_a_leader_transfers_and_only_to_a_voter() {
    let mut cluster = Cluster::new(3);
    cluster.elect(0);
    assert_eq!(transfer(&mut cluster, 1, 2), Err(Refusal::NotLeader));
    assert_eq!(transfer(&mut cluster, 0, 7), Err(Refusal::NoVoter(Peer(7))));
    assert_eq!(transfer(&mut cluster, 0, 0), Ok(()));
    assert_eq!(cluster[0].transferring(), None);
}
