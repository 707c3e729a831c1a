//! A model check of the consensus core: every interleaving of three servers, up to a bound.
//!
//! A state is three cores and the letters on their way between them. From each state follow: any election
//! timeout, the arrival of any letter in any order (loss is a letter that never arrives), a proposal to any
//! leader, the removal of any voter by any leader, a restart of any server, which keeps what [`Raft::hard_state`] and the log say. Disks are as fast as
//! steps here; slow ones, doubled letters, heartbeats, pre-votes and snapshots are the random schedules'
//! business. Bounds: terms, proposals, restarts and, for the larger explorations, steps.
//!
//! States are remembered by a hash of 64 bits (hash compaction: among ten million states the chance that
//! one is missed is below one in a hundred thousand). The servers are alike, so only server 0 may move first.

use std::collections::hash_map::{DefaultHasher, Entry as Slot};
use std::collections::{BTreeSet, HashMap};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use elenchus_reference::bug::{Bug, Bugs};
use elenchus_reference::protocol::Peer;
use elenchus_reference::raft::change::Change;
use elenchus_reference::raft::entry::{Entry, EntryId, Index, Term};
use elenchus_reference::raft::message::{Body, Message};
use elenchus_reference::raft::{Config, Effects, Raft};

const SERVERS: u16 = 3;

/// How far to look.
#[derive(Clone, Copy, Debug)]
struct Bounds {
    /// No election timeout takes a server beyond this term.
    term: u64,
    /// How many entries clients propose, in all.
    proposals: u8,
    /// How many restarts there are, in all.
    restarts: u8,
    /// How many changes of the membership are asked for, in all.
    changes: u8,
    /// How many steps a run has at most.
    depth: usize,
}

/// A server, and the hash of what it holds.
#[derive(Clone)]
struct Server {
    raft: Arc<Raft>,
    hash: u64,
}

/// A letter on its way.
type Letter = (Peer, Peer, Arc<Message>);

#[derive(Clone)]
struct State {
    servers: Vec<Server>,
    letters: Vec<Letter>,
    proposals: u8,
    restarts: u8,
    changes: u8,
    history: Arc<History>,
}

/// What has ever been so on the way to a state.
#[derive(Clone, Default, Hash)]
struct History {
    /// Who led which term.
    leaders: Vec<(Term, Peer)>,
    /// Which entries were committed, and the term of the server that was the first to know.
    committed: Vec<(Entry, Term)>,
}

/// What can happen in a state.
#[derive(Clone, Debug)]
enum Event {
    Timeout(Peer),
    Restart(Peer),
    Propose(Peer),
    /// A leader is asked to do without a voter.
    Remove(Peer, Peer),
    Arrive(Peer, Peer, Arc<Message>),
}

/// What an exploration found.
#[derive(Debug, Default)]
struct Report {
    states: usize,
    depth: usize,
    /// States with no successor that the bound on steps forbids.
    complete: bool,
    /// The most entries committed, the most leaders, in one run.
    committed: usize,
    leaders: usize,
    /// The first violation, and the events that lead to it.
    violation: Option<(String, Vec<Event>)>,
}

fn hash_of(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

impl State {
    fn new(bugs: Bugs) -> State {
        State::of(SERVERS, bugs)
    }

    fn of(servers: u16, bugs: Bugs) -> State {
        let server = |me| {
            let config = Config { pre_vote: false, bugs, ..Config::new(Peer(me), servers) };
            Server::new(Raft::new(config, Default::default(), None, Vec::new()))
        };
        let servers = (0..servers).map(server).collect();
        State { servers, letters: Vec::new(), proposals: 0, restarts: 0, changes: 0, history: Arc::default() }
    }

    /// The state after `event`, which violates nothing, and after all letters to `hearers` and their answers
    /// have arrived; others are lost.
    fn told(self, event: &Event, hearers: &[u16]) -> State {
        let mut state = self.after(event).unwrap();
        for (from, to, message) in state.letters.clone() {
            if hearers.contains(&to.0) && state.letters.contains(&(from, to, message.clone())) {
                state = state.after(&Event::Arrive(from, to, message)).unwrap();
            }
        }
        state
    }

    fn peers(&self) -> impl Iterator<Item = Peer> + use<> {
        (0..self.servers.len() as u16).map(Peer)
    }

    fn fingerprint(&self) -> u64 {
        let mut letters: Vec<u64> = self.letters.iter().map(hash_of).collect();
        letters.sort_unstable();
        let servers: Vec<u64> = self.servers.iter().map(|server| server.hash).collect();
        hash_of(&(servers, letters, self.proposals, self.restarts, self.changes, &self.history))
    }

    fn raft(&self, peer: Peer) -> &Raft {
        &self.servers[usize::from(peer.0)].raft
    }

    fn events(&self, bounds: &Bounds, depth: usize) -> Vec<Event> {
        let mut events = Vec::new();
        for peer in self.peers() {
            let raft = self.raft(peer);
            if !raft.is_leader() && raft.term().0 < bounds.term && (depth > 0 || peer == Peer(0)) {
                events.push(Event::Timeout(peer));
            }
            if raft.is_leader() && self.proposals < bounds.proposals {
                events.push(Event::Propose(peer));
            }
            if raft.is_leader() && self.changes < bounds.changes {
                let voters = &raft.membership().1.voters;
                events.extend(voters.iter().map(|voter| Event::Remove(peer, *voter)));
            }
            if self.restarts < bounds.restarts && depth > 0 {
                events.push(Event::Restart(peer));
            }
        }
        let mut seen = Vec::new();
        for (from, to, message) in &self.letters {
            let letter = (*from, *to, message);
            if !seen.contains(&letter) {
                seen.push(letter);
                events.push(Event::Arrive(*from, *to, message.clone()));
            }
        }
        events
    }

    /// The state after `event`, or which property it violates.
    fn after(&self, event: &Event) -> Result<State, String> {
        let mut next = self.clone();
        let at = match event {
            Event::Timeout(peer) | Event::Restart(peer) | Event::Propose(peer) | Event::Remove(peer, _) => {
                *peer
            }
            Event::Arrive(_, to, _) => *to,
        };
        let before = self.raft(at);
        let mut raft = before.clone();
        let mut fx = Effects::default();
        match event {
            Event::Timeout(_) => raft.election_timeout(&mut fx),
            Event::Propose(_) => {
                next.proposals += 1;
                raft.propose(vec![next.proposals].into(), &mut fx);
            }
            Event::Remove(_, voter) => {
                next.changes += 1;
                let mut change = Change {
                    voters: raft.membership().1.voters.clone(),
                    learners: BTreeSet::new(),
                    joint: false,
                };
                change.voters.remove(voter);
                // A refusal is an answer, and changes nothing.
                let _ = raft.change(&change, &mut fx);
            }
            Event::Restart(_) => {
                next.restarts += 1;
                let entries = raft.log().entries_from(Index(1)).cloned().collect();
                raft = Raft::new(raft.config().clone(), raft.hard_state(), None, entries);
            }
            Event::Arrive(from, to, message) => {
                let letter = (*from, *to, message.clone());
                let place = self.letters.iter().position(|other| *other == letter);
                next.letters.swap_remove(place.expect("it is on its way"));
                raft.receive(*from, (**message).clone(), &mut fx);
            }
        }
        raft.voted(raft.term(), &mut fx);
        raft.persisted(raft.log().last_index(), &mut fx);
        if let Some(why) = fx.contradiction {
            return Err(format!("State Machine Safety: {why}"));
        }
        next.letters.extend(fx.messages.into_iter().map(|(to, message)| (at, to, Arc::new(message))));
        let restarted = matches!(event, Event::Restart(_));
        next.history = check(&self.history, at, (!restarted).then_some(before), &raft, self)?;
        next.servers[usize::from(at.0)] = Server::new(raft);
        next.forget();
        Ok(next)
    }

    /// Drops letters that will never again have an effect, so that states which differ in nothing else
    /// are one.
    fn forget(&mut self) {
        let servers = &self.servers;
        self.letters.retain(|(_, to, message)| {
            let raft = &servers[usize::from(to.0)].raft;
            let role = raft.stand().role;
            let current = message.term == raft.term();
            match message.body {
                _ if message.term > raft.term() => true,
                Body::RequestVoteResponse { granted } => granted && current && role == "candidate",
                Body::Appended { .. } | Body::AppendRejected { .. } => current && role == "leader",
                Body::HeartbeatResponse { .. } => false,
                _ => true,
            }
        });
    }
}

impl Server {
    fn new(raft: Raft) -> Server {
        Server { hash: hash_of(&raft), raft: Arc::new(raft) }
    }
}

/// The five properties of figure 3.2, on the step of server `at` from `before` to `raft`.
fn check(
    history: &Arc<History>,
    at: Peer,
    before: Option<&Raft>,
    raft: &Raft,
    state: &State,
) -> Result<Arc<History>, String> {
    for peer in state.peers().filter(|peer| *peer != at) {
        log_matching(raft, state.raft(peer))?;
    }
    let mut history = history.clone();
    if raft.is_leader() {
        let term = raft.term();
        match before.filter(|before| before.is_leader() && before.term() == term) {
            Some(before) => append_only(before, raft)?,
            None => {
                if let Some((_, other)) = history.leaders.iter().find(|(led, _)| *led == term) {
                    return Err(format!("Election Safety: {other:?} and {at:?} lead term {term}"));
                }
                leader_completeness(&history, raft)?;
                Arc::make_mut(&mut history).leaders.push((term, at));
            }
        }
    }
    for index in 1..=raft.commit().0 {
        let entry = raft.log().get(Index(index)).ok_or("a server has committed what it does not have")?;
        match history.committed.get(index as usize - 1) {
            Some((known, _)) if known == entry => {}
            Some(_) => return Err(format!("State Machine Safety: two entries {index}")),
            None => Arc::make_mut(&mut history).committed.push((entry.clone(), raft.term())),
        }
    }
    Ok(history)
}

fn log_matching(a: &Raft, b: &Raft) -> Result<(), String> {
    let shared = a.log().last_index().min(b.log().last_index()).0;
    let same = |index: &u64| a.log().term_at(Index(*index)) == b.log().term_at(Index(*index));
    let Some(last) = (1..=shared).rev().find(same) else { return Ok(()) };
    match (1..=last).find(|index| a.log().get(Index(*index)) != b.log().get(Index(*index))) {
        Some(index) => Err(format!("Log Matching: logs agree at {last} but not at {index}")),
        None => Ok(()),
    }
}

fn append_only(before: &Raft, after: &Raft) -> Result<(), String> {
    let EntryId { term, index } = before.log().last();
    let kept = after.log().term_at(index) == Some(term);
    if kept { Ok(()) } else { Err(format!("Leader Append-Only: entry {index} is gone")) }
}

fn leader_completeness(history: &History, raft: &Raft) -> Result<(), String> {
    for (index, (entry, known)) in (1..).zip(&history.committed) {
        if *known < raft.term() && raft.log().get(Index(index)) != Some(entry) {
            let term = raft.term();
            return Err(format!("Leader Completeness: the leader of term {term} lacks entry {index}"));
        }
    }
    Ok(())
}

/// Looks at all states within the bounds, nearest first, and stops at the first violation.
fn explore(start: State, bounds: Bounds) -> Report {
    let mut parents: HashMap<u64, (u64, Option<Event>)> = HashMap::new();
    parents.insert(start.fingerprint(), (0, None));
    let mut layer = vec![(start.fingerprint(), start)];
    let mut report = Report { complete: true, ..Report::default() };
    while !layer.is_empty() {
        let mut next = Vec::new();
        for (fingerprint, state) in layer {
            report.committed = report.committed.max(state.history.committed.len());
            report.leaders = report.leaders.max(state.history.leaders.len());
            if report.depth == bounds.depth {
                report.complete = false;
                continue;
            }
            for event in state.events(&bounds, report.depth) {
                match state.after(&event) {
                    Ok(after) => {
                        let reached = after.fingerprint();
                        if let Slot::Vacant(slot) = parents.entry(reached) {
                            slot.insert((fingerprint, Some(event)));
                            next.push((reached, after));
                        }
                    }
                    Err(why) => {
                        let mut events = path(&parents, fingerprint);
                        events.push(event);
                        report.states = parents.len();
                        report.violation = Some((why, events));
                        return report;
                    }
                }
            }
        }
        layer = next;
        report.depth += usize::from(!layer.is_empty() && report.depth < bounds.depth);
    }
    report.states = parents.len();
    report
}

fn path(parents: &HashMap<u64, (u64, Option<Event>)>, mut at: u64) -> Vec<Event> {
    let mut events = Vec::new();
    while let Some((parent, Some(event))) = parents.get(&at) {
        events.push(event.clone());
        at = *parent;
    }
    events.reverse();
    events
}

/// `ELENCHUS_MODEL_DEEPER=2` looks two steps further than a test has time for.
#[track_caller]
fn holds(name: &str, bounds: Bounds) -> Report {
    holds_from(State::new(Bugs::NONE), name, bounds)
}

#[track_caller]
fn holds_from(start: State, name: &str, mut bounds: Bounds) -> Report {
    let deeper = std::env::var("ELENCHUS_MODEL_DEEPER").ok().and_then(|steps| steps.parse().ok());
    bounds.depth += deeper.unwrap_or(0);
    let report = explore(start, bounds);
    println!(
        "{name}: {} states to depth {}{}, up to {} leaders and {} committed entries in a run",
        report.states,
        report.depth,
        if report.complete { " (all there are)" } else { "" },
        report.leaders,
        report.committed
    );
    if let Some((why, events)) = &report.violation {
        panic!("{why}\n{events:#?}");
    }
    report
}

/// The correct core within the same bounds holds, the one with the bug is found out.
fn finds(bug: Bug, bounds: Bounds, property: &str) {
    finds_from(State::new, bug, bounds, property);
}

/// As [`finds`], from some other state than the first.
fn finds_from(start: impl Fn(Bugs) -> State, bug: Bug, bounds: Bounds, property: &str) {
    let report = explore(start(Bugs::NONE.with(bug)), bounds);
    let (why, events) = report.violation.expect("the bug is found");
    println!("{bug}: {why}, after {} states, in {} steps:", report.states, events.len());
    events.iter().for_each(|event| println!("  {event:?}"));
    assert!(why.starts_with(property), "{why}");
    let bounds = Bounds { depth: events.len(), ..bounds };
    assert!(explore(start(Bugs::NONE), bounds).violation.is_none());
}

#[test]
fn a_forgotten_vote_is_found_to_break_election_safety() {
    let bounds = Bounds { term: 1, proposals: 0, restarts: 1, changes: 0, depth: 12 };
    finds(Bug::ForgetVote, bounds, "Election Safety");
}

#[test]
fn a_vote_for_two_is_found_to_break_election_safety() {
    let bounds = Bounds { term: 1, proposals: 0, restarts: 0, changes: 0, depth: 12 };
    finds(Bug::VoteTwice, bounds, "Election Safety");
}

#[test]
fn a_vote_that_ignores_the_log_is_found_to_break_leader_completeness() {
    let bounds = Bounds { term: 2, proposals: 0, restarts: 0, changes: 0, depth: 12 };
    finds(Bug::VoteIgnoresLog, bounds, "Leader Completeness");
}

#[test]
fn a_forgotten_term_is_found_to_break_election_safety() {
    let bounds = Bounds { term: 1, proposals: 0, restarts: 1, changes: 0, depth: 12 };
    finds(Bug::ForgetTerm, bounds, "Election Safety");
}

#[test]
fn a_commit_without_a_majority_is_found_to_break_leader_completeness() {
    let bounds = Bounds { term: 2, proposals: 0, restarts: 0, changes: 0, depth: 12 };
    finds(Bug::CommitMinority, bounds, "Leader Completeness");
}

#[test]
fn one_term_with_restarts_and_proposals_is_safe() {
    let report = holds("one term", Bounds { term: 1, proposals: 2, restarts: 1, changes: 0, depth: 40 });
    assert!(report.complete && report.committed == 3 && report.states > 100_000);
}

#[test]
fn two_terms_are_safe() {
    let report = holds("two terms", Bounds { term: 2, proposals: 1, restarts: 1, changes: 0, depth: 12 });
    assert!(report.leaders == 2 && report.committed == 3 && report.states > 300_000);
}

#[test]
fn three_terms_are_safe() {
    let report = holds("three terms", Bounds { term: 3, proposals: 0, restarts: 0, changes: 0, depth: 11 });
    assert!(report.leaders == 3 && report.committed >= 1 && report.states > 300_000);
}

/// Server 0 leads term 1, and server 1 knows all that it does.
fn led(bugs: Bugs) -> State {
    let state = State::new(bugs).told(&Event::Timeout(Peer(0)), &[1]);
    let (from, to, vote) =
        state.letters.iter().find(|(from, to, _)| (from.0, to.0) == (1, 0)).cloned().unwrap();
    state.told(&Event::Arrive(from, to, vote), &[1])
}

#[test]
fn changes_of_the_membership_are_safe() {
    let bounds = Bounds { term: 2, proposals: 0, restarts: 1, changes: 2, depth: 9 };
    let report = holds_from(led(Bugs::NONE), "changes", bounds);
    assert!(report.leaders == 2 && report.committed >= 3, "{report:?}");
}

#[test]
fn two_changes_at_once_are_found_to_break_leader_completeness() {
    let bounds = Bounds { term: 2, proposals: 0, restarts: 0, changes: 2, depth: 8 };
    finds_from(led, Bug::MembershipTwoAtOnce, bounds, "Leader Completeness");
}

/// Server 0 leads term 1, its entries have reached nobody, and it has been asked to do without server 3. Server
/// 2 leads term 2 by the votes of servers 1 and 3.
fn two_leaders(bugs: Bugs) -> State {
    let elected = |mut state: State, leader: u16, voters: &[u16], hearers: &[u16]| {
        state = state.told(&Event::Timeout(Peer(leader)), hearers);
        for voter in voters {
            let vote = state.letters.iter().find(|(from, to, _)| (from.0, to.0) == (*voter, leader)).cloned();
            let (from, to, vote) = vote.unwrap();
            state = state.after(&Event::Arrive(from, to, vote)).unwrap();
        }
        state.letters.retain(|(from, _, message)| {
            from.0 == leader && matches!(message.body, Body::AppendEntries { .. })
        });
        state
    };
    let mut state = elected(State::of(4, bugs), 0, &[1, 2], &[1, 2]);
    state.letters.clear();
    state = state.after(&Event::Remove(Peer(0), Peer(3))).unwrap();
    elected(state, 2, &[1, 3], &[0, 1, 3])
}

#[test]
fn a_change_before_the_leader_has_committed_is_found_to_break_leader_completeness() {
    let bounds = Bounds { term: 3, proposals: 0, restarts: 0, changes: 2, depth: 8 };
    finds_from(two_leaders, Bug::MembershipBeforeCommit, bounds, "Leader Completeness");
}
