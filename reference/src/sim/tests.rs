use super::*;
use crate::bug::Bugs;
use crate::replica::{Config, RaftReplica};
use crate::wire::{Command, Datum};
use elenchus_core::fault::{Ailment, FaultId, Loss, Skew};
use std::collections::BTreeSet;

const SECOND: u64 = 1_000_000_000;

fn universe(seed: u64, nodes: u16, weather: Weather) -> Universe {
    let make = move |me| -> Box<dyn Replica> {
        let config = Config {
            snapshot_every: 50,
            trailing: 10,
            bugs: Bugs::NONE,
            ..Config::new(me, nodes, Seed(seed))
        };
        Box::new(RaftReplica::new(config))
    };
    let mut universe = Universe::new(Seed(seed), nodes, weather, Box::new(make));
    universe.peers().for_each(|node| universe.start(node));
    universe
}

fn pass(universe: &mut Universe, ns: u64) {
    let until = universe.now() + ns;
    while universe.advance(until) {}
}

fn leaders(universe: &Universe) -> Vec<Peer> {
    let leads = |node: &Peer| universe.status(*node).is_some_and(|status| status.role == "leader");
    universe.peers().filter(leads).collect()
}

#[track_caller]
fn leader(universe: &mut Universe) -> Peer {
    for _ in 0..100 {
        if let [leader] = leaders(universe)[..] {
            return leader;
        }
        pass(universe, SECOND / 10);
    }
    panic!("nobody leads after {} s", universe.now() / SECOND);
}

fn put(key: &str, value: i64) -> Call {
    Call::Write(vec![Command::Put { key: key.into(), value: Datum::Int(value) }])
}

fn get(key: &str) -> Call {
    Call::Read(vec![Command::Get { key: key.into() }])
}

fn ask(universe: &mut Universe, client: ClientId, call: Call) -> End {
    let deadline = universe.now() + 5 * SECOND;
    universe.begin(client, call, deadline);
    loop {
        if let Some(end) = universe.take_end(client) {
            return end;
        }
        assert!(universe.advance(deadline + 1), "an operation ends by its deadline");
    }
}

#[test]
fn a_client_of_any_node_writes_and_reads() {
    let mut universe = universe(1, 3, Weather::default());
    leader(&mut universe);
    for node in universe.peers() {
        let client = universe.open(node).unwrap();
        let value = i64::from(node.0);
        assert!(matches!(ask(&mut universe, client, put("x", value)), End::Done(_)));
        assert_eq!(ask(&mut universe, client, get("x")), End::Done(vec![Some(Datum::Int(value))]));
    }
}

#[test]
fn nobody_can_call_a_node_that_does_not_run_and_a_client_hears_of_its_death() {
    let mut universe = universe(2, 3, Weather::default());
    let leader = leader(&mut universe);
    let other = universe.peers().find(|node| *node != leader).unwrap();
    let client = universe.open(other).unwrap();
    universe.kill(other, None);
    pass(&mut universe, SECOND);
    assert!(universe.is_dead(other));
    assert!(universe.open(other).is_err());
    assert!(matches!(ask(&mut universe, client, put("x", 1)), End::NotDone(_)));
    universe.start(other);
    pass(&mut universe, SECOND);
    assert!(matches!(ask(&mut universe, client, put("x", 1)), End::Done(_)), "it calls again");
}

#[test]
fn a_leader_that_stands_still_is_replaced_and_hears_of_it_when_it_goes_on() {
    let mut universe = universe(3, 5, Weather::default());
    let first = leader(&mut universe);
    universe.pause(first);
    pass(&mut universe, 5 * SECOND);
    assert_ne!(leader(&mut universe), first);
    assert_eq!(universe.status(first), None, "it does not answer");
    universe.resume(first);
    pass(&mut universe, SECOND);
    assert!(universe.status(first).is_some_and(|status| status.role == "follower"));
}

#[test]
fn nobody_can_be_stopped_who_does_not_run() {
    let mut universe = universe(3, 3, Weather::default());
    let first = leader(&mut universe);
    universe.kill(first, None);
    pass(&mut universe, 2 * SECOND);
    assert!(universe.is_dead(first) && !universe.pause(first));
    universe.start(first);
    assert!(universe.pause(first));
}

#[test]
fn some_who_are_killed_together_die_one_after_the_other_as_they_come_to_lead() {
    let led_again = |seed: u64| {
        let mut universe = universe(seed, 5, Weather::default());
        leader(&mut universe);
        universe.peers().for_each(|node| universe.kill(node, None));
        let mut terms = BTreeSet::new();
        while universe.news().is_some() {}
        while !universe.peers().all(|node| universe.is_dead(node)) {
            pass(&mut universe, SECOND / 100);
            while let Some(news) = universe.news() {
                if let News::Leads { term, .. } = news {
                    terms.insert(term);
                }
            }
        }
        terms.len()
    };
    let led: Vec<usize> = (0..60).map(led_again).collect();
    assert!(led.iter().any(|terms| *terms > 0), "somebody came to lead, and died of it: {led:?}");
    assert!(led.contains(&0), "most die where they stand: {led:?}");
}

#[test]
fn whoever_is_started_before_it_comes_to_die_does_not_die() {
    for seed in 0..20 {
        let mut universe = universe(seed, 3, Weather::default());
        leader(&mut universe);
        universe.peers().for_each(|node| universe.kill(node, None));
        universe.peers().for_each(|node| universe.start(node));
        pass(&mut universe, 5 * SECOND);
        assert!(universe.peers().all(|node| universe.status(node).is_some()), "seed {seed}");
    }
}

#[test]
fn a_leader_behind_a_cut_is_replaced_and_the_cut_holds_letters_back() {
    let mut universe = universe(4, 3, Weather::default());
    let first = leader(&mut universe);
    let others: Vec<Peer> = universe.peers().filter(|node| *node != first).collect();
    universe.cut(FaultId(1), others.iter().flat_map(|&other| [(first, other), (other, first)]));
    pass(&mut universe, 5 * SECOND);
    assert!(leaders(&universe).iter().any(|leader| *leader != first));
    assert!(universe.mend(FaultId(1)) > 10);
}

#[test]
fn a_cluster_that_lost_its_power_remembers_what_it_has_acknowledged() {
    for (seed, loss) in [(5, Loss::Unsynced), (6, Loss::Torn), (7, Loss::Torn)] {
        let mut universe = universe(seed, 3, Weather::default());
        let node = leader(&mut universe);
        let client = universe.open(node).unwrap();
        for value in 0..40 {
            assert!(matches!(ask(&mut universe, client, put("x", value)), End::Done(_)));
        }
        for node in universe.peers() {
            universe.kill(node, Some(loss));
        }
        pass(&mut universe, SECOND);
        universe.peers().for_each(|node| universe.start(node));
        let node = leader(&mut universe);
        let client = universe.open(node).unwrap();
        assert_eq!(ask(&mut universe, client, get("x")), End::Done(vec![Some(Datum::Int(39))]));
    }
}

#[test]
fn a_node_whose_disk_is_full_ends_and_says_why() {
    let mut universe = universe(8, 3, Weather::default());
    let node = leader(&mut universe);
    let client = universe.open(node).unwrap();
    universe.ail(node, Some(Ailment::Full));
    ask(&mut universe, client, put("x", 1));
    let exits: Vec<News> =
        std::iter::from_fn(|| universe.news()).filter(|news| matches!(news, News::Exited { .. })).collect();
    assert!(matches!(&exits[..], [News::Exited { why, .. }] if why.contains("no space left")), "{exits:?}");
    assert!(universe.ail(node, None) > 0);
}

#[test]
fn clocks_lie_and_their_nodes_notice() {
    let mut universe = universe(9, 3, Weather::default());
    let node = leader(&mut universe);
    assert_eq!(universe.skew(node, Some(Skew::Bump { delta_ms: 8_000 })), 8 * SECOND as i64);
    universe.skew(node, Some(Skew::Drift { rate_ppm: 100_000 }));
    pass(&mut universe, 10 * SECOND);
    assert_eq!(universe.ahead(node), SECOND as i64);
    assert_eq!(universe.skew(node, None), 0);
    pass(&mut universe, 5 * SECOND);
    leader(&mut universe);
}

#[test]
fn idle_time_costs_nothing_but_heartbeats() {
    let mut universe = universe(10, 5, Weather::default().fair());
    leader(&mut universe);
    let before = universe.steps();
    pass(&mut universe, 100 * SECOND);
    let steps = universe.steps() - before;
    assert!(steps < 100 * 110, "ten heartbeats a second, to four, and back: {steps}");
}

#[test]
fn a_seed_gives_the_same_run_and_another_gives_another() {
    let run = |seed| {
        let mut universe = universe(seed, 3, Weather::default());
        let first = leader(&mut universe);
        let client = universe.open(first).unwrap();
        ask(&mut universe, client, put("x", 1));
        universe.kill(first, Some(Loss::Torn));
        pass(&mut universe, 5 * SECOND);
        universe.start(first);
        pass(&mut universe, 5 * SECOND);
        let steps = universe.steps();
        (steps, universe.traced().map(|(node, line)| format!("{node:?} {line}")).collect::<Vec<_>>())
    };
    assert_eq!(run(11), run(11));
    assert_ne!(run(11), run(12));
}
