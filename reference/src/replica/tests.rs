//! Whole replicas, driven by hand: what waits for what, who is answered how, and what damage does.

mod admin;

use super::*;
use crate::bug::Bug;
use crate::kv::request::Request;
use crate::protocol::{Connection, SyncId, Timer};
use crate::raft::entry::EntryId;
use crate::raft::message::Body;
use crate::replica::envelope::{Envelope, Letter, Stamp};
use crate::wire::{Answer, Command, Datum, ToClient, ToNode};
use elenchus_core::random::Rng;
use elenchus_core::trace::Node;

const SECOND: u64 = 1_000_000_000;

/// One replica of three, whose peers are the test.
struct Alone {
    replica: RaftReplica,
    now: u64,
    /// Letters of "the peers" so far.
    letters: u64,
    out: Vec<Output>,
}

impl Alone {
    fn new(change: impl FnOnce(&mut Config)) -> Alone {
        Alone::restart(change, Vec::new())
    }

    fn restart(change: impl FnOnce(&mut Config), files: Vec<(String, Vec<u8>)>) -> Alone {
        let mut config = Config::new(Peer(0), 3, Seed(1));
        change(&mut config);
        let replica = RaftReplica::new(config);
        let mut alone = Alone { replica, now: SECOND, letters: 0, out: Vec::new() };
        alone.step(Input::Restart { files });
        alone
    }

    /// Started, and its first sync is done.
    fn started(change: impl FnOnce(&mut Config)) -> Alone {
        let mut alone = Alone::new(change);
        alone.sync();
        alone
    }

    /// The leader of term 1, whose no-op is committed.
    fn leader(change: impl FnOnce(&mut Config)) -> Alone {
        let mut alone = Alone::started(change);
        alone.wait(3 * SECOND);
        alone.hear(1, 0, Body::PreVoteResponse { asked: Term(0), granted: true });
        alone.sync();
        alone.hear(1, 1, Body::RequestVoteResponse { granted: true });
        assert_eq!(alone.replica.status().role, "leader");
        alone.sync();
        alone.hear(1, 1, Body::Appended { matched: Index(1) });
        assert_eq!(alone.replica.status().commit, 1);
        alone.out.clear();
        alone
    }

    fn step(&mut self, input: Input) {
        self.replica.step(Tick(self.now), input, &mut self.out);
    }

    fn wait(&mut self, nanos: u64) {
        self.now += nanos;
        self.step(Input::Timer(Timer(0)));
    }

    /// Ends the sync that was asked for, which must be there.
    fn sync(&mut self) {
        let found = self.out.iter().rev().find_map(|output| match output {
            Output::Sync { id, .. } => Some(*id),
            _ => None,
        });
        self.step(Input::Synced(found.expect("a sync was asked for")));
    }

    fn post(&mut self, from: u16, letter: Letter) -> Stamp {
        self.letters += 1;
        let stamp = Stamp { boot: 1, number: self.letters };
        let bytes = Envelope { stamp, letter }.encode();
        self.step(Input::Message { from: Peer(from), bytes });
        stamp
    }

    fn hear(&mut self, from: u16, term: u64, body: Body) {
        self.post(from, Letter::Raft(Message { term: Term(term), body }));
    }

    fn forward(&mut self, from: u16, term: u64, request: &Request) -> Stamp {
        self.post(from, Letter::Forward { term: Term(term), request: request.encode() })
    }

    fn ask(&mut self, connection: u64, message: &ToNode) {
        let bytes = serde_json::to_vec(message).unwrap();
        self.step(Input::Request { connection: Connection(connection), bytes });
    }

    /// Letters that have left since the last look.
    fn sent(&mut self) -> Vec<(Peer, Letter)> {
        let sent = self.out.iter().filter_map(|output| match output {
            Output::Send { to, bytes } => Some((*to, Envelope::decode(bytes).unwrap().letter)),
            _ => None,
        });
        let sent = sent.collect();
        self.out.retain(|output| !matches!(output, Output::Send { .. }));
        sent
    }

    fn promises(&mut self) -> usize {
        let promise = |letter: &Letter| matches!(letter, Letter::Raft(message) if message.waits_for_disk());
        self.sent().iter().filter(|(_, letter)| promise(letter)).count()
    }

    /// Answers since the last look.
    fn answers(&mut self) -> Vec<(u64, u64, Answer)> {
        let answers = self.out.iter().filter_map(|output| match output {
            Output::Reply { connection, bytes } => {
                let ToClient { id, answer } = serde_json::from_slice(bytes).unwrap();
                Some((connection.0, id, answer))
            }
            _ => None,
        });
        let answers = answers.collect();
        self.out.retain(|output| !matches!(output, Output::Reply { .. }));
        answers
    }

    /// The answers to forwarded requests since the last look.
    fn returned(&mut self) -> Vec<(Stamp, Answer)> {
        let answer = |letter| match letter {
            Letter::Answer { stamp, answer } => Some((stamp, answer)),
            _ => None,
        };
        self.sent().into_iter().filter_map(|(_, letter)| answer(letter)).collect()
    }

    fn halted(&self) -> Option<&str> {
        self.out.iter().find_map(|output| match output {
            Output::Halt(why) => Some(why.as_str()),
            _ => None,
        })
    }

    /// The data folder, if everything reached it.
    fn files(&self) -> Vec<(String, Vec<u8>)> {
        let mut bytes = Vec::new();
        for output in &self.out {
            if let Output::Write { offset, bytes: written, .. } = output {
                bytes.truncate(*offset as usize);
                bytes.extend_from_slice(written);
            }
        }
        vec![(crate::wal::FILE.to_owned(), bytes)]
    }
}

fn put(id: u64, session: u64, number: u64) -> ToNode {
    let commands = vec![Command::Put { key: "k".into(), value: Datum::Int(number as i64) }];
    ToNode::Write { id, session, number, commands }
}

fn get(id: u64) -> ToNode {
    ToNode::Read { id, commands: vec![Command::Get { key: "k".into() }] }
}

fn is_doubt(answer: &Answer) -> bool {
    matches!(answer, Answer::InDoubt { .. })
}

fn is_not_done(answer: &Answer) -> bool {
    matches!(answer, Answer::NotDone { .. })
}

#[test]
fn section_3_8_a_vote_leaves_only_after_its_sync() {
    let mut node = Alone::started(|_| {});
    node.hear(1, 1, Body::RequestVote { last: EntryId::default(), transfer: false });
    assert_eq!(node.promises(), 0);
    node.sync();
    assert_eq!(node.promises(), 1);
}

#[test]
fn section_3_8_an_acknowledgement_leaves_only_after_the_sync_that_covers_it() {
    let mut node = Alone::started(|_| {});
    let append = |index: u64| {
        let entries = vec![raft::entry::Entry { term: Term(1), data: [].into() }];
        let previous = EntryId { term: Term(u64::from(index > 1)), index: Index(index - 1) };
        Body::AppendEntries { previous, entries, commit: Index(0) }
    };
    node.hear(1, 1, append(1));
    node.hear(1, 1, append(2));
    let syncs = node.out.iter().filter(|output| matches!(output, Output::Sync { .. })).count();
    assert_eq!(syncs, 2, "the first, and that of entry 1; entry 2 gathers");
    node.sync();
    assert_eq!(node.promises(), 1, "entry 1 is durable, entry 2 is not");
    node.sync();
    assert_eq!(node.promises(), 1);
}

#[test]
fn section_6_4_the_answer_to_a_heartbeat_does_not_wait_for_the_disk() {
    let mut node = Alone::started(|_| {});
    let entries = vec![raft::entry::Entry { term: Term(1), data: [].into() }];
    node.hear(1, 1, Body::AppendEntries { previous: EntryId::default(), entries, commit: Index(0) });
    node.sent();
    node.hear(1, 1, Body::Heartbeat { commit: Index(0), round: 4 });
    let answer = Message { term: Term(1), body: Body::HeartbeatResponse { round: 4 } };
    assert_eq!(node.sent(), [(Peer(1), Letter::Raft(answer))]);
}

#[test]
fn a_write_is_answered_when_it_is_committed_and_not_before() {
    let mut node = Alone::leader(|_| {});
    node.ask(5, &ToNode::Register { id: 70 });
    assert_eq!(node.answers(), []);
    node.sync();
    assert_eq!(node.answers(), [], "the leader's own disk is not a majority");
    node.hear(2, 1, Body::Appended { matched: Index(2) });
    assert_eq!(node.answers(), [(5, 70, Answer::Session { session: 2 })]);
    node.ask(5, &put(71, 2, 1));
    node.hear(1, 1, Body::Appended { matched: Index(3) });
    node.hear(2, 1, Body::Appended { matched: Index(3) });
    assert_eq!(node.answers(), [(5, 71, Answer::Done { results: vec![None] })], "two followers are");
}

#[test]
fn section_6_4_a_read_is_answered_when_a_majority_confirms_the_leader() {
    let mut node = Alone::leader(|_| {});
    node.ask(5, &get(9));
    assert_eq!(node.answers(), []);
    node.hear(1, 1, Body::HeartbeatResponse { round: 0 });
    assert_eq!(node.answers(), [], "an older round proves nothing");
    node.hear(1, 1, Body::HeartbeatResponse { round: 1 });
    assert_eq!(node.answers(), [(5, 9, Answer::Done { results: vec![None] })]);
}

#[test]
fn a_leader_that_loses_office_is_in_doubt_of_writes_and_has_not_done_reads() {
    let mut node = Alone::leader(|_| {});
    node.ask(5, &put(1, 2, 1));
    node.ask(5, &get(2));
    node.hear(1, 2, Body::Heartbeat { commit: Index(0), round: 0 });
    let answers = node.answers();
    assert!(matches!(&answers[..], [(5, 1, write), (5, 2, read)] if is_doubt(write) && is_not_done(read)));
    // Even if the entry is committed after all, nobody is answered twice.
    let body = Body::AppendEntries {
        previous: EntryId { term: Term(1), index: Index(2) },
        entries: vec![],
        commit: Index(2),
    };
    node.hear(1, 2, body);
    assert_eq!((node.replica.status().applied, node.answers()), (2, vec![]));
}

#[test]
fn a_leader_without_a_quorum_leaves_office_within_two_timeouts() {
    let mut node = Alone::leader(|_| {});
    node.ask(5, &put(1, 2, 1));
    node.wait(SECOND);
    node.wait(SECOND);
    assert_ne!(node.replica.status().role, "leader");
    assert!(is_doubt(&node.answers()[0].2));
}

#[test]
fn a_node_that_knows_no_leader_says_that_nothing_was_done() {
    let mut node = Alone::new(|_| {});
    node.ask(1, &put(1, 1, 1));
    node.sync();
    node.ask(1, &get(2));
    assert!(node.answers().iter().all(|(_, _, answer)| is_not_done(answer)));
}

#[test]
fn a_follower_forwards_and_hands_the_answer_back_once() {
    let mut node = Alone::started(|_| {});
    node.hear(1, 1, Body::Heartbeat { commit: Index(0), round: 0 });
    node.sent();
    node.ask(6, &put(33, 2, 1));
    let forwarded = node.out.iter().find_map(|output| match output {
        Output::Send { to: Peer(1), bytes } => Envelope::decode(bytes),
        _ => None,
    });
    let Some(Envelope { stamp, letter: Letter::Forward { term, request } }) = forwarded else { panic!() };
    let commands = vec![Command::Put { key: "k".into(), value: Datum::Int(1) }];
    assert_eq!(
        (term, Request::decode(&request)),
        (Term(1), Some(Request::Write { session: 2, number: 1, commands }))
    );
    let answer = || Answer::Done { results: vec![None] };
    node.post(1, Letter::Answer { stamp: Stamp { boot: 9, ..stamp }, answer: answer() });
    assert_eq!(node.answers(), [], "an answer for an earlier start of this node");
    node.post(1, Letter::Answer { stamp, answer: answer() });
    node.post(1, Letter::Answer { stamp, answer: answer() });
    assert_eq!(node.answers(), [(6, 33, answer())]);
}

#[test]
fn a_client_that_is_gone_is_not_answered() {
    let mut node = Alone::leader(|_| {});
    node.ask(5, &ToNode::Register { id: 1 });
    node.ask(6, &ToNode::Register { id: 2 });
    node.step(Input::Closed { connection: Connection(5) });
    node.hear(1, 1, Body::Appended { matched: Index(3) });
    node.hear(2, 1, Body::Appended { matched: Index(3) });
    assert_eq!(node.answers(), [(6, 2, Answer::Session { session: 3 })]);
}

#[test]
fn a_forwarded_request_that_the_network_doubles_is_begun_once() {
    let mut node = Alone::leader(|_| {});
    let stamp = node.forward(1, 1, &Request::Register);
    let last = node.replica.status().last;
    let bytes =
        Envelope { stamp, letter: Letter::Forward { term: Term(1), request: Request::Register.encode() } };
    node.step(Input::Message { from: Peer(1), bytes: bytes.encode() });
    assert_eq!(node.replica.status().last, last);
    // Nor is it refused after office was lost: the first copy may still be committed.
    node.hear(2, 2, Body::Heartbeat { commit: Index(0), round: 0 });
    assert!(matches!(&node.returned()[..], [(s, answer)] if *s == stamp && is_doubt(answer)));
    node.step(Input::Message { from: Peer(1), bytes: bytes.encode() });
    assert_eq!(node.returned(), []);
}

#[test]
fn a_forwarded_request_is_refused_only_by_a_node_that_cannot_have_taken_it() {
    let mut node = Alone::started(|_| {});
    let write = Request::Write { session: 1, number: 1, commands: vec![] };
    node.hear(1, 3, Body::Heartbeat { commit: Index(0), round: 0 });
    node.sent();
    node.forward(2, 3, &write);
    assert!(is_not_done(&node.returned()[0].1), "it never led term 3, and never will");
    // After a restart in term 3 it does not know what it did there before.
    node.sync();
    let files = node.files();
    let mut node = Alone::restart(|_| {}, files);
    node.sync();
    node.sync();
    assert_eq!(node.replica.status().term, 3);
    node.forward(2, 3, &write);
    assert!(is_doubt(&node.returned()[0].1));
    node.forward(2, 3, &Request::Read { commands: vec![] });
    assert!(is_not_done(&node.returned()[0].1), "a read changes nothing, ever");
    node.forward(2, 4, &write);
    assert!(is_not_done(&node.returned()[0].1));
}

#[test]
fn writes_acknowledged_before_they_are_committed_are_the_bugs_doing() {
    let mut node = Alone::leader(|config| config.bugs = Bugs::NONE.with(Bug::AckBeforeCommit));
    node.ask(5, &ToNode::Register { id: 1 });
    let cas = |from: Option<i64>, to| Command::Cas {
        key: "k".into(),
        from: from.map(Datum::Int),
        to: Datum::Int(to),
    };
    let write = |id, number, command| ToNode::Write { id, session: 2, number, commands: vec![command] };
    node.ask(5, &write(2, 1, cas(None, 7)));
    node.ask(5, &write(3, 2, cas(None, 8)));
    let answers: Vec<Answer> = node.answers().into_iter().map(|(_, _, answer)| answer).collect();
    let saw = Some(Datum::Int(7));
    let expected = [
        Answer::Session { session: 2 },
        Answer::Done { results: vec![None] },
        Answer::Refused { at: 0, saw },
    ];
    assert_eq!((answers, node.replica.status().commit), (expected.to_vec(), 1));
}

#[test]
fn a_damaged_log_halts_with_its_place_and_nothing_else_happens() {
    let mut node = Alone::started(|_| {});
    node.hear(1, 3, Body::RequestVote { last: EntryId::default(), transfer: false });
    node.sync();
    node.hear(1, 4, Body::RequestVote { last: EntryId::default(), transfer: false });
    let mut files = node.files();
    let end = files[0].1.len();
    files[0].1[end / 2] ^= 1;
    let mut node = Alone::restart(|_| {}, files);
    let why = node.halted().unwrap();
    assert!(why.starts_with("raft.wal is damaged at byte "), "{why}");
    node.out.clear();
    node.wait(10 * SECOND);
    node.ask(1, &get(1));
    node.step(Input::Synced(SyncId(1)));
    assert_eq!(node.out, []);
}

#[test]
fn a_torn_end_is_cut_off_told_in_the_trace_and_synced_before_anything_is_said() {
    let mut node = Alone::started(|_| {});
    node.hear(1, 3, Body::RequestVote { last: EntryId::default(), transfer: false });
    node.sync();
    let mut files = node.files();
    let whole = files[0].1.len() as u64;
    files[0].1.extend([1, 2, 3]);
    files.push((crate::wal::NEW_FILE.to_owned(), vec![0; 10]));
    let mut node = Alone::restart(|_| {}, files);
    assert!(node.out.contains(&Output::Truncate { file: crate::wal::FILE.to_owned(), length: whole }));
    assert!(node.out.contains(&Output::Remove { file: crate::wal::NEW_FILE.to_owned() }));
    let line =
        node.out.iter().find_map(|output| if let Output::Trace(line) = output { Some(line) } else { None });
    let line = line.unwrap();
    assert_eq!((&*line.name, line.cut.map(|cut| cut.bytes), line.boot), ("InitState", Some(3), Some(2)));
    assert_eq!((line.term, &line.vote), (Some(3), &Some(Some(Node::Number(2)))));
    assert_eq!(line.node, Node::Number(1));
    node.hear(1, 3, Body::RequestVote { last: EntryId::default(), transfer: false });
    assert_eq!(node.sent(), []);
    node.sync();
    node.sync();
    node.hear(1, 3, Body::RequestVote { last: EntryId::default(), transfer: false });
    assert_eq!(node.promises(), 1, "it remembers its vote");
}

#[test]
fn what_a_killed_process_may_not_have_synced_is_synced_before_another_record_is_begun() {
    let node = Alone::started(|_| {});
    let files = node.files();
    let mut node = Alone::restart(|_| {}, files);
    let writes =
        |node: &Alone| node.out.iter().filter(|output| matches!(output, Output::Write { .. })).count();
    assert_eq!(writes(&node), 0, "two records that are not durable could both be torn");
    node.sync();
    assert_eq!(writes(&node), 1, "it has started once more");
}

#[test]
fn a_single_node_serves_alone() {
    let mut node = Alone::started(|config| config.peers = 1);
    node.wait(3 * SECOND);
    node.sync();
    node.sync();
    node.ask(1, &ToNode::Register { id: 1 });
    node.sync();
    node.ask(1, &put(2, 2, 1));
    node.sync();
    node.ask(1, &get(3));
    let answers: Vec<Answer> = node.answers().into_iter().map(|(_, _, answer)| answer).collect();
    let done = |result| Answer::Done { results: vec![result] };
    assert_eq!(answers, [Answer::Session { session: 2 }, done(None), done(Some(Datum::Int(1)))]);
}

#[test]
fn what_cannot_be_understood_is_answered_if_it_says_which_it_is() {
    let mut node = Alone::leader(|_| {});
    let mut send = |text: &str| {
        node.step(Input::Request { connection: Connection(1), bytes: text.as_bytes().to_vec() });
        node.answers()
    };
    assert!(matches!(&send(r#"{"write":{"id":4,"sesion":1}}"#)[..], [(1, 4, answer)] if is_not_done(answer)));
    assert!(matches!(&send(r#"{"dance":{"id":5}}"#)[..], [(1, 5, answer)] if is_not_done(answer)));
    assert_eq!(send("{"), []);
    assert_eq!(send(r#"{"write":{"id":-1}}"#), []);
    node.ask(1, &ToNode::Read { id: 6, commands: vec![Command::Delete { key: "k".into() }] });
    assert!(is_not_done(&node.answers()[0].2));
    let text = "x".repeat(9 << 20);
    let commands = vec![Command::Append { key: "k".into(), text }];
    node.ask(1, &ToNode::Write { id: 7, session: 1, number: 1, commands });
    assert!(is_not_done(&node.answers()[0].2));
    assert_eq!(node.replica.status().last, 1, "nothing of this is in the log");
}

#[test]
fn noise_from_peers_and_clients_does_no_harm() {
    let mut node = Alone::leader(|_| {});
    let mut rng = Seed(11).rng();
    let noise = |rng: &mut Rng, length| (0..length).map(|_| rng.next_u64() as u8).collect::<Vec<u8>>();
    for round in 0..20_000_u64 {
        let mut bytes = noise(&mut rng, round % 60);
        if round % 2 == 0 && bytes.len() > 18 {
            // Reaches the letters: the version, and a kind.
            bytes[0] = 2;
            bytes[17] = 1 + (round % 3) as u8;
        }
        let from = Peer(rng.below(5) as u16);
        node.step(Input::Message { from, bytes });
        if round % 10 == 0 {
            let bytes = noise(&mut rng, 30);
            node.step(Input::Request { connection: Connection(round), bytes });
        }
        assert_eq!(node.halted(), None);
        node.out.clear();
    }
}

#[test]
fn a_clock_that_fell_back_an_hour_is_noticed_at_the_next_look() {
    let mut node = Alone::leader(|_| {});
    node.now += 3_600 * SECOND;
    node.ask(1, &get(1));
    node.now -= 3_600 * SECOND;
    node.out.clear();
    node.step(Input::Timer(Timer(0)));
    let at = node.out.iter().find_map(|output| match output {
        Output::SetTimer { at, .. } => Some(at.0),
        _ => None,
    });
    assert!(at.unwrap() <= node.now + SECOND);
}

#[test]
fn a_full_trace_tells_of_sending_receiving_and_persisting() {
    let mut node = Alone::started(|config| config.trace = Trace::All);
    node.out.clear();
    node.hear(1, 1, Body::RequestVote { last: EntryId::default(), transfer: false });
    node.sync();
    let lines: Vec<_> =
        node.out.iter().filter_map(|o| if let Output::Trace(line) = o { Some(line) } else { None }).collect();
    let names: Vec<_> = lines.iter().map(|line| &*line.name).collect();
    assert_eq!(names, ["ReceiveRequestVoteRequest", "BecomeFollower", "Persist", "SendRequestVoteResponse"]);
    let letters: Vec<_> = lines.iter().filter_map(|line| line.message.as_deref()).collect();
    assert_eq!(letters[0].from, Node::Number(2));
    assert_eq!((letters[0].boot, letters[0].number), (Some(1), Some(1)));
    assert_eq!((&lines[3].vote, letters[1].reject), (&Some(Some(Node::Number(2))), Some(false)));
    let sent = node.out.iter().position(|output| matches!(output, Output::Send { .. })).unwrap();
    assert!(matches!(node.out[sent - 1], Output::Trace(_)), "a line stands before its letter");
}
