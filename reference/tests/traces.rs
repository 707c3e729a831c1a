//! Whole traces of the replica under the eyes of the consensus checkers: silent on the correct one however the traces
//! are cut and mixed, loud on mistakes.

#[allow(dead_code, reason = "other tests use the rest of it")]
mod harness;

use elenchus_checkers::consensus::{Consensus, Findings};
use elenchus_core::random::{Rng, Seed};
use elenchus_core::trace::{Line, json};
use elenchus_reference::bug::{Bug, Bugs};
use elenchus_reference::protocol::Peer;
use elenchus_reference::replica::{Reads, Trace};

use harness::{MS, Weather, World};

const STORM: Weather = Weather {
    lost: 30,
    doubled: 30,
    late: 20,
    calm_ms: 400,
    travel_ms: 3,
    jumps: true,
    drift_ppm: 0,
    reforms: false,
};
const HURRICANE: Weather = Weather { lost: 150, doubled: 150, late: 150, calm_ms: 250, ..STORM };

/// `ELENCHUS_SEEDS=1000..2000` tries others than the usual ones.
fn seeds() -> std::ops::Range<u64> {
    let Ok(text) = std::env::var("ELENCHUS_SEEDS") else { return 0..16 };
    let (from, to) = text.split_once("..").expect("ELENCHUS_SEEDS is FROM..TO");
    from.parse().expect("FROM is a number")..to.parse().expect("TO is a number")
}

/// The traces of a storm, one a node.
fn files(seed: u64, bugs: Bugs) -> Vec<Vec<Line>> {
    let peers = [3, 5, 4][(seed % 3) as usize];
    let weather = if seed.is_multiple_of(4) { HURRICANE } else { STORM };
    let weather = Weather { reforms: seed % 2 == 1, ..weather };
    let mut world = World::telling(Trace::All, Reads::ReadIndex, Seed(seed), peers, bugs, weather);
    world.lawless = bugs != Bugs::NONE;
    world.run(10_000);
    if !world.lawless {
        world.run_until(world.now + 3_000 * MS);
    }
    let mut files = vec![Vec::new(); usize::from(peers)];
    for (_, line) in world.trace {
        let place = world_place(&line);
        files[place].push(line);
    }
    files
}

fn world_place(line: &Line) -> usize {
    let number: usize = line.node.to_string().parse().expect("nodes have numbers");
    usize::from(Peer(number as u16 - 1).0)
}

/// Judges files whose lines come in some order that keeps that of each file.
fn judge<'l>(files: &[&'l [Line]], rng: &mut Rng) -> Findings {
    let mut judge = Consensus::new();
    let mut rest: Vec<&'l [Line]> = files.to_vec();
    while let Some(at) =
        Some(rng.below(rest.len() as u64) as usize).filter(|_| rest.iter().any(|f| !f.is_empty()))
    {
        let some = rng.between(1, 200).min(rest[at].len() as u64) as usize;
        let (now, later) = rest[at].split_at(some);
        now.iter().for_each(|line| judge.observe(line));
        rest[at] = later;
    }
    judge.finish()
}

#[track_caller]
fn assert_silent(findings: &Findings, what: &str) {
    let sentences: Vec<&str> = findings.violations.iter().map(|v| v.sentence.as_str()).collect();
    assert!(sentences.is_empty(), "{what}: {sentences:#?}");
}

#[test]
fn correct_traces_are_silent_however_they_are_cut_and_mixed() {
    let mut total = [0; 12];
    for seed in seeds() {
        let files = files(seed, Bugs::NONE);
        let mut rng = Seed(seed).stream("cuts").rng();
        let whole: Vec<&[Line]> = files.iter().map(Vec::as_slice).collect();
        let findings = judge(&whole, &mut rng);
        assert_silent(&findings, &format!("seed {seed}"));
        for (sum, (_, figure)) in total.iter_mut().zip(findings.examined.figures()) {
            *sum += figure;
        }
        for cut in 0..30 {
            let part: Vec<&[Line]> = files.iter().map(|file| cut_out(file, cut, &mut rng)).collect();
            assert_silent(&judge(&part, &mut rng), &format!("seed {seed}, cut {cut}"));
        }
    }
    println!("{total:?}");
    assert!(total.iter().all(|figure| *figure > 20), "every invariant had something to examine: {total:?}");
}

/// A file without its end; every third time also without its beginning.
fn cut_out<'l>(file: &'l [Line], cut: usize, rng: &mut Rng) -> &'l [Line] {
    let end = rng.below(file.len() as u64 + 1) as usize;
    let begin = if cut.is_multiple_of(3) { rng.below(end as u64 + 1) as usize } else { 0 };
    &file[begin..end]
}

#[test]
fn what_is_written_and_read_again_is_judged_the_same() {
    let files = files(1, Bugs::NONE);
    let read = |line: &Line| {
        let mut bytes = Vec::new();
        json::write(line, &mut bytes);
        json::read(&bytes).unwrap().expect("a line is a line")
    };
    let again: Vec<Vec<Line>> = files.iter().map(|file| file.iter().map(read).collect()).collect();
    assert_eq!(files, again);
}

/// The classes that the first seeds with this bug show.
#[track_caller]
fn caught(bug: Bug, class: &str) {
    let mut seen = std::collections::BTreeMap::new();
    for seed in 0..12 {
        let files = files(seed, Bugs::NONE.with(bug));
        let whole: Vec<&[Line]> = files.iter().map(Vec::as_slice).collect();
        let findings = judge(&whole, &mut Seed(seed).rng());
        for class in findings.counts.keys() {
            *seen.entry(*class).or_insert(0) += 1;
        }
    }
    println!("{bug}: {seen:?}");
    assert!(seen.contains_key(class), "{bug}: {seen:?}");
}

#[test]
fn a_vote_that_is_forgotten_is_seen_at_the_restart() {
    caught(Bug::ForgetVote, "forgot-vote");
}

#[test]
fn a_second_vote_is_seen_when_it_is_given() {
    caught(Bug::VoteTwice, "voted-twice");
}

#[test]
fn a_leader_without_a_committed_entry_is_seen() {
    caught(Bug::VoteIgnoresLog, "leader-lacks-committed");
}

#[test]
fn mistakes_that_leave_consensus_intact_are_none_of_its_business() {
    for bug in [Bug::StaleRead, Bug::AckBeforeCommit] {
        for seed in 0..3 {
            let files = files(seed, Bugs::NONE.with(bug));
            let whole: Vec<&[Line]> = files.iter().map(Vec::as_slice).collect();
            assert_silent(&judge(&whole, &mut Seed(seed).rng()), &format!("{bug}, seed {seed}"));
        }
    }
}
