//! The state machine: keys, their values, the clients' sessions.
//!
//! Applying the same entries in the same order gives the same state and answers on every node: no clock,
//! no chance, ordered maps only. A command carries its session and number, and the answer to the last
//! number of a session is kept, so that a command which a client sends twice is applied once (Ongaro 2014,
//! section 6.3). What is not here: who may answer whom, which is the replica's business.

pub mod request;
mod session;

use std::collections::BTreeMap;

use crate::bug::{Bug, Bugs};
use crate::codec::{Reader, Write};
use crate::kv::request::{Request, read_datum, write_datum};
use crate::kv::session::Sessions;
use crate::wire::{Answer, Command, Datum};

/// The version of [`Kv::encode`]'s bytes.
const VERSION: u8 = 1;

/// The store.
#[derive(Clone, Debug)]
pub struct Kv {
    data: BTreeMap<String, Datum>,
    sessions: Sessions,
    /// The sessions before the last command: only for a bug.
    before: Sessions,
    bugs: Bugs,
}

impl Kv {
    /// An empty store.
    pub fn new(bugs: Bugs) -> Kv {
        Kv { data: BTreeMap::new(), sessions: Sessions::default(), before: Sessions::default(), bugs }
    }

    /// What `key` holds.
    pub fn get(&self, key: &str) -> Option<&Datum> {
        self.data.get(key)
    }

    /// How many sessions are open.
    pub fn sessions(&self) -> usize {
        self.sessions.len()
    }

    /// Applies the entry at `index` of the log. A read is not logged; its answer is [`Kv::read`]'s.
    pub fn apply(&mut self, index: u64, request: &Request) -> Answer {
        if self.bugs.has(Bug::RestartAppliesTwice) {
            self.before = self.sessions.clone();
        }
        match request {
            Request::Register => {
                self.sessions.open(index);
                Answer::Session { session: index }
            }
            Request::Read { commands } => self.read(commands),
            Request::Write { session, number, commands } => self.write(index, *session, *number, commands),
        }
    }

    /// What a read of `commands` finds now. Anything but a get is refused before it comes here, and finds
    /// nothing.
    pub fn read(&self, commands: &[Command]) -> Answer {
        let find = |command: &Command| match command {
            Command::Get { key } => self.data.get(key).cloned(),
            _ => None,
        };
        Answer::Done { results: commands.iter().map(find).collect() }
    }

    fn write(&mut self, index: u64, session: u64, number: u64, commands: &[Command]) -> Answer {
        if self.bugs.has(Bug::SessionExpiresEarly) {
            self.sessions.expire(session, index);
        }
        let Some(kept) = self.sessions.touch(session, index) else { return Answer::NoSession };
        if !self.bugs.has(Bug::DoubleApply) {
            match kept {
                Some((last, answer)) if *last == number => return answer.clone(),
                Some((last, _)) if *last > number => {
                    let why = format!("number {last} of session {session} came before number {number}");
                    return Answer::InDoubt { why };
                }
                _ => {}
            }
        }
        let answer = self.transact(commands);
        self.sessions.keep(session, number, answer.clone());
        answer
    }

    /// All of `commands` in one instant, or none: each sees what those before it wrote, and the first that
    /// finds what it did not expect undoes them.
    fn transact(&mut self, commands: &[Command]) -> Answer {
        let mut undo: Vec<(&String, Option<Datum>)> = Vec::new();
        let mut results = Vec::with_capacity(commands.len());
        for (at, command) in commands.iter().enumerate() {
            match self.evaluate(command) {
                Step::Result(result) => results.push(result),
                Step::Set(key, value) => {
                    let before = match value {
                        Some(value) => self.data.insert(key.clone(), value),
                        None => self.data.remove(key),
                    };
                    undo.push((key, before));
                    results.push(None);
                }
                Step::Refused(saw) => {
                    for (key, before) in undo.into_iter().rev() {
                        match before {
                            Some(value) => self.data.insert(key.clone(), value),
                            None => self.data.remove(key),
                        };
                    }
                    return Answer::Refused { at, saw };
                }
            }
        }
        Answer::Done { results }
    }

    fn evaluate<'c>(&self, command: &'c Command) -> Step<'c> {
        match command {
            Command::Get { key } => Step::Result(self.data.get(key).cloned()),
            Command::Put { key, value } => Step::Set(key, Some(value.clone())),
            Command::Cas { key, from, to } => match self.data.get(key) {
                saw if saw == from.as_ref() => Step::Set(key, Some(to.clone())),
                saw => Step::Refused(saw.cloned()),
            },
            Command::Append { key, text } => match self.data.get(key) {
                None => Step::Set(key, Some(Datum::Text(text.clone()))),
                Some(Datum::Text(before)) => Step::Set(key, Some(Datum::Text(format!("{before}{text}")))),
                Some(number) => Step::Refused(Some(number.clone())),
            },
            Command::Delete { key } => Step::Set(key, None),
        }
    }

    /// A bug's part: decides each cas of a write by the state as it is now. What is left to apply puts, and
    /// is refused by nothing; the answer if the write is refused already.
    pub fn decide(&self, request: Request) -> Result<Request, Answer> {
        let Request::Write { session, number, commands } = request else { return Ok(request) };
        let mut decided = Vec::with_capacity(commands.len());
        for (at, command) in commands.into_iter().enumerate() {
            let Command::Cas { key, from, to } = command else {
                decided.push(command);
                continue;
            };
            let saw = self.data.get(&key);
            if saw != from.as_ref() {
                return Err(Answer::Refused { at, saw: saw.cloned() });
            }
            decided.push(Command::Put { key, value: to });
        }
        Ok(Request::Write { session, number, commands: decided })
    }

    /// The state as a snapshot keeps it, [`Kv::encode`] unless a bug makes it a mixture.
    pub fn snapshot(&self) -> Vec<u8> {
        let late = self.bugs.has(Bug::RestartAppliesTwice);
        self.encode_with(if late { &self.before } else { &self.sessions })
    }

    /// The whole state as bytes, equal on all nodes that applied the same entries.
    pub fn encode(&self) -> Vec<u8> {
        self.encode_with(&self.sessions)
    }

    fn encode_with(&self, sessions: &Sessions) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.u8(VERSION);
        bytes.u32(u32::try_from(self.data.len()).expect("a snapshot has fewer than 2^32 keys"));
        for (key, value) in &self.data {
            bytes.bytes(key.as_bytes());
            write_datum(&mut bytes, Some(value));
        }
        sessions.encode(&mut bytes);
        bytes
    }

    /// The state that [`Kv::encode`] wrote, `None` if these bytes are none.
    pub fn decode(bytes: &[u8], bugs: Bugs) -> Option<Kv> {
        let mut reader = Reader::new(bytes);
        (reader.u8()? == VERSION).then_some(())?;
        let keys = reader.u32()?;
        let data = reader.many(keys, |reader| Some((reader.text()?, read_datum(reader)??)))?;
        let mut sessions = Sessions::decode(&mut reader)?;
        reader.end()?;
        if bugs.has(Bug::SnapshotForgetsSessions) {
            sessions.forget_answers();
        }
        let before = sessions.clone();
        Some(Kv { data: data.into_iter().collect(), sessions, before, bugs })
    }
}

/// What one command does to the store as it stands.
enum Step<'c> {
    Result(Option<Datum>),
    Set(&'c String, Option<Datum>),
    Refused(Option<Datum>),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(key: &str, value: i64) -> Command {
        Command::Put { key: key.into(), value: Datum::Int(value) }
    }

    fn cas(key: &str, from: Option<i64>, to: i64) -> Command {
        Command::Cas { key: key.into(), from: from.map(Datum::Int), to: Datum::Int(to) }
    }

    fn get(key: &str) -> Command {
        Command::Get { key: key.into() }
    }

    fn append(key: &str, text: &str) -> Command {
        Command::Append { key: key.into(), text: text.into() }
    }

    fn done(results: &[Option<i64>]) -> Answer {
        Answer::Done { results: results.iter().map(|result| result.map(Datum::Int)).collect() }
    }

    fn write(session: u64, number: u64, commands: &[Command]) -> Request {
        Request::Write { session, number, commands: commands.to_vec() }
    }

    /// A store with one session, number 1, and 2 the next index.
    fn store(bugs: Bugs) -> Kv {
        let mut kv = Kv::new(bugs);
        assert_eq!(kv.apply(1, &Request::Register), Answer::Session { session: 1 });
        kv
    }

    #[test]
    fn each_command_does_what_it_says() {
        let mut kv = store(Bugs::NONE);
        assert_eq!(kv.apply(2, &write(1, 1, &[put("a", 1)])), done(&[None]));
        assert_eq!(kv.apply(3, &write(1, 2, &[cas("a", Some(1), 2)])), done(&[None]));
        assert_eq!(kv.apply(4, &write(1, 3, &[cas("b", None, 7)])), done(&[None]));
        assert_eq!(
            kv.apply(5, &write(1, 4, &[get("a"), get("b"), get("c")])),
            done(&[Some(2), Some(7), None])
        );
        assert_eq!(kv.apply(6, &write(1, 5, &[Command::Delete { key: "a".into() }])), done(&[None]));
        assert_eq!(kv.apply(7, &write(1, 6, &[append("t", "x"), append("t", "y")])), done(&[None, None]));
        assert_eq!(
            kv.read(&[get("a"), get("t")]),
            Answer::Done { results: vec![None, Some(Datum::Text("xy".into()))] }
        );
        assert_eq!(kv.apply(8, &write(1, 7, &[])), done(&[]));
    }

    #[test]
    fn a_refused_command_says_what_it_saw() {
        let mut kv = store(Bugs::NONE);
        kv.apply(2, &write(1, 1, &[put("a", 1)]));
        let refused = |saw: Option<i64>| Answer::Refused { at: 0, saw: saw.map(Datum::Int) };
        assert_eq!(kv.apply(3, &write(1, 2, &[cas("a", Some(9), 2)])), refused(Some(1)));
        assert_eq!(kv.apply(4, &write(1, 3, &[cas("b", Some(9), 2)])), refused(None));
        assert_eq!(kv.apply(5, &write(1, 4, &[append("a", "x")])), refused(Some(1)));
    }

    #[test]
    fn a_refused_transaction_changes_nothing() {
        let mut kv = store(Bugs::NONE);
        kv.apply(2, &write(1, 1, &[put("a", 1)]));
        let transaction = [
            put("a", 5),
            put("a", 6),
            put("b", 7),
            Command::Delete { key: "a".into() },
            cas("b", Some(8), 9),
        ];
        let saw = Some(Datum::Int(7));
        assert_eq!(kv.apply(3, &write(1, 2, &transaction)), Answer::Refused { at: 4, saw });
        assert_eq!(kv.read(&[get("a"), get("b")]), done(&[Some(1), None]));
    }

    #[test]
    fn section_6_3_a_command_sent_twice_is_applied_once() {
        let mut kv = store(Bugs::NONE);
        let first = write(1, 1, &[append("t", "x"), get("t")]);
        let answer = kv.apply(2, &first);
        assert_eq!(kv.apply(3, &first), answer);
        let refused = write(1, 2, &[cas("t", None, 1)]);
        let answer = kv.apply(4, &refused);
        kv.apply(5, &Request::Register);
        assert_eq!(kv.apply(6, &refused), answer);
        assert_eq!(kv.read(&[get("t")]), Answer::Done { results: vec![Some(Datum::Text("x".into()))] });
    }

    #[test]
    fn section_6_3_an_overtaken_number_is_never_applied() {
        let mut kv = store(Bugs::NONE);
        kv.apply(2, &write(1, 5, &[put("a", 5)]));
        assert!(matches!(kv.apply(3, &write(1, 4, &[put("a", 4)])), Answer::InDoubt { .. }));
        assert_eq!(kv.read(&[get("a")]), done(&[Some(5)]));
    }

    #[test]
    fn an_unknown_session_changes_nothing() {
        let mut kv = store(Bugs::NONE);
        assert_eq!(kv.apply(2, &write(9, 1, &[put("a", 1)])), Answer::NoSession);
        assert_eq!(kv.read(&[get("a")]), done(&[None]));
    }

    #[test]
    fn the_least_recently_used_session_ends_first() {
        let mut kv = Kv::new(Bugs::NONE);
        let most = session::SESSIONS_MAX as u64;
        for index in 1..=most {
            kv.apply(index, &Request::Register);
        }
        assert_eq!(kv.apply(most + 1, &write(1, 1, &[])), done(&[]));
        kv.apply(most + 2, &Request::Register);
        assert_eq!(kv.sessions() as u64, most);
        assert_eq!(kv.apply(most + 3, &write(1, 2, &[])), done(&[]), "1 was used, so it stays");
        assert_eq!(kv.apply(most + 4, &write(2, 1, &[])), Answer::NoSession);
    }

    #[test]
    fn double_apply_applies_a_command_again() {
        let mut kv = store(Bugs::NONE.with(Bug::DoubleApply));
        let request = write(1, 1, &[append("t", "x")]);
        kv.apply(2, &request);
        kv.apply(3, &request);
        assert_eq!(kv.get("t"), Some(&Datum::Text("xx".into())));
    }

    #[test]
    fn session_expires_early_applies_a_command_again_when_others_came_between() {
        for (others, text) in [(0, "x"), (9, "xx")] {
            let mut kv = store(Bugs::NONE.with(Bug::SessionExpiresEarly));
            let request = write(1, 1, &[append("t", "x")]);
            kv.apply(2, &request);
            kv.apply(3 + others, &request);
            assert_eq!(kv.get("t"), Some(&Datum::Text(text.into())));
        }
    }

    #[test]
    fn a_mixed_or_forgetful_snapshot_applies_a_command_again() {
        for bug in [Bug::RestartAppliesTwice, Bug::SnapshotForgetsSessions] {
            let mut kv = store(Bugs::NONE.with(bug));
            let request = write(1, 1, &[append("t", "x")]);
            kv.apply(2, &request);
            let mut copy = Kv::decode(&kv.snapshot(), Bugs::NONE.with(bug)).unwrap();
            copy.apply(2, &request);
            assert_eq!(copy.get("t"), Some(&Datum::Text("xx".into())), "{bug}");
        }
        let mut kv = store(Bugs::NONE);
        kv.apply(2, &write(1, 1, &[append("t", "x")]));
        assert_eq!(kv.snapshot(), kv.encode());
    }

    #[test]
    fn a_cas_that_is_decided_early_ignores_what_comes_between() {
        let mut kv = store(Bugs::NONE);
        kv.apply(2, &Request::Register);
        kv.apply(3, &write(1, 1, &[put("a", 1)]));
        let (one, two) = (write(1, 2, &[cas("a", Some(1), 2)]), write(2, 1, &[cas("a", Some(1), 3)]));
        let early = [kv.decide(one).unwrap(), kv.decide(two.clone()).unwrap()];
        assert!(early.iter().all(|request| kv.apply(4, request) == done(&[None])), "both succeed");
        assert_eq!(kv.decide(two), Err(Answer::Refused { at: 0, saw: Some(Datum::Int(3)) }));
    }

    #[test]
    fn a_snapshot_restores_data_sessions_and_kept_answers() {
        let mut kv = store(Bugs::NONE);
        kv.apply(2, &Request::Register);
        kv.apply(3, &write(1, 1, &[put("a", -1), append("t", "é"), get("a")]));
        kv.apply(4, &write(2, 9, &[cas("a", None, 1)]));
        let bytes = kv.encode();
        let mut copy = Kv::decode(&bytes, Bugs::NONE).unwrap();
        assert_eq!(copy.encode(), bytes);
        for request in [write(1, 1, &[]), write(2, 9, &[]), write(2, 8, &[]), write(1, 2, &[get("t")])] {
            assert_eq!(copy.apply(5, &request), kv.apply(5, &request));
        }
        for length in 0..bytes.len() {
            assert!(Kv::decode(&bytes[..length], Bugs::NONE).is_none());
        }
    }
}
