//! How many trace lines a second the consensus checkers take.
//!
//! `cargo bench -p elenchus-checkers --bench consensus [-- ENTRIES]`: three nodes replicate so many entries, a leader
//! changes every thousand; every message, entry and sync is told. Typed lines as a simulator hands them over, and the
//! same as JSON as nodes write them. The figure that must be kept is two million typed lines a second.

use elenchus_checkers::Consensus;
use elenchus_core::trace::{Config, EntryMark, Letter, Line, Mark, Node, Role, json, name};
use std::time::Instant;

const NODES: u64 = 3;
/// How many entries a leader replicates before another follows it.
const REIGN: u64 = 1_000;

fn main() {
    let entries = std::env::args().skip(1).find_map(|word| word.parse().ok()).unwrap_or(100_000);
    let lines = trace(entries);
    let began = Instant::now();
    let mut judge = Consensus::new();
    lines.iter().for_each(|line| judge.observe(line));
    let findings = judge.finish();
    tell("typed", lines.len(), began);
    assert_eq!(findings.violations, [], "the trace is correct");
    assert_eq!(findings.examined.committed, entries, "and everything in it is examined");

    let mut text = Vec::new();
    let began = Instant::now();
    for line in &lines {
        json::write(line, &mut text);
        text.push(b'\n');
    }
    tell("written as JSON", lines.len(), began);
    println!("  {} bytes a line", text.len() / lines.len());
    let began = Instant::now();
    let mut judge = Consensus::new();
    for line in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        judge.observe(&json::read(line).expect("it was written so").expect("it is a line"));
    }
    assert_eq!(judge.finish(), findings);
    tell("read from JSON and judged", lines.len(), began);
}

fn tell(what: &str, lines: usize, began: Instant) {
    let seconds = began.elapsed().as_secs_f64();
    println!("{what}: {lines} lines in {seconds:.2} s, {:.2} million a second", lines as f64 / seconds / 1e6);
}

/// Where a node stands.
#[derive(Clone, Default)]
struct Stand {
    term: u64,
    vote: u64,
    commit: u64,
    log: u64,
    leads: bool,
}

struct Cluster {
    stands: Vec<Stand>,
    numbers: u64,
    lines: Vec<Line>,
}

fn trace(entries: u64) -> Vec<Line> {
    let mut cluster =
        Cluster { stands: vec![Stand::default(); NODES as usize], numbers: 0, lines: Vec::new() };
    let voters: Vec<Node> = (1..=NODES).map(Node::Number).collect();
    for node in 0..NODES {
        let line = Line {
            boot: Some(1),
            base: Some(Mark { index: 0, term: 0 }),
            config: Some(Config { voters: voters.clone(), ..Config::default() }),
            ..cluster.line(node, name::INIT_STATE)
        };
        cluster.lines.push(line);
    }
    for index in 1..=entries {
        let term = (index - 1) / REIGN + 1;
        let leader = term % NODES;
        if (index - 1).is_multiple_of(REIGN) {
            cluster.elect(leader, term);
        }
        cluster.replicate(leader, term, index);
    }
    cluster.lines
}

impl Cluster {
    fn line(&self, node: u64, name: &'static str) -> Line {
        let stand = &self.stands[node as usize];
        Line {
            role: Some(if stand.leads { Role::Leader } else { Role::Follower }),
            term: Some(stand.term),
            vote: Some(Some(Node::Number(stand.vote)).filter(|vote| !vote.is_none())),
            commit: Some(stand.commit),
            log: Some(stand.log),
            ..Line::new(name, Node::Number(node + 1))
        }
    }

    fn say(&mut self, node: u64, name: &'static str) {
        let line = self.line(node, name);
        self.lines.push(line);
    }

    /// A message in both its lines.
    fn letter(&mut self, [from, to]: [u64; 2], names: [&'static str; 2], kind: &'static str, index: u64) {
        self.numbers += 1;
        let letter = Letter {
            kind: Some(kind.into()),
            term: Some(self.stands[from as usize].term),
            boot: Some(1),
            number: Some(self.numbers),
            index: Some(index),
            reject: Some(false),
            ..Letter::new(Node::Number(from + 1), Node::Number(to + 1))
        };
        for (node, name) in [from, to].into_iter().zip(names) {
            let line = Line { message: Some(Box::new(letter.clone())), ..self.line(node, name) };
            self.lines.push(line);
        }
    }

    fn elect(&mut self, leader: u64, term: u64) {
        for node in 0..NODES {
            let stand = &mut self.stands[node as usize];
            (stand.term, stand.vote, stand.leads) = (term, leader + 1, false);
            self.say(node, if node == leader { name::BECOME_CANDIDATE } else { name::BECOME_FOLLOWER });
        }
        for node in (0..NODES).filter(|node| *node != leader) {
            let names = [name::SEND_REQUEST_VOTE_RESPONSE, name::RECEIVE_REQUEST_VOTE_RESPONSE];
            self.letter([node, leader], names, "MsgVoteResp", 0);
        }
        self.stands[leader as usize].leads = true;
        self.say(leader, name::BECOME_LEADER);
    }

    fn append(&mut self, node: u64, term: u64, index: u64) {
        self.stands[node as usize].log = index;
        let entry = EntryMark { term, digest: Some(index) };
        let line = Line { first: Some(index), entries: vec![entry], ..self.line(node, name::APPEND) };
        self.lines.push(line);
    }

    fn persist(&mut self, node: u64, index: u64) {
        let line = Line { index: Some(index), ..self.line(node, name::PERSIST) };
        self.lines.push(line);
    }

    fn replicate(&mut self, leader: u64, term: u64, index: u64) {
        self.append(leader, term, index);
        self.persist(leader, index);
        for node in (0..NODES).filter(|node| *node != leader) {
            let names = [name::SEND_APPEND_ENTRIES_REQUEST, name::RECEIVE_APPEND_ENTRIES_REQUEST];
            self.letter([leader, node], names, "MsgApp", index - 1);
            self.append(node, term, index);
            self.persist(node, index);
            let names = [name::SEND_APPEND_ENTRIES_RESPONSE, name::RECEIVE_APPEND_ENTRIES_RESPONSE];
            self.letter([node, leader], names, "MsgAppResp", index);
        }
        for node in [leader].into_iter().chain((0..NODES).filter(|node| *node != leader)) {
            self.stands[node as usize].commit = index;
            self.say(node, name::COMMIT);
        }
    }
}
