//! Trace lines as JSON, in the shape of etcd's raft traces.
//!
//! Reading is tolerant: names and keys that mean nothing are passed over, as are lines that are no trace lines, and
//! etcd's envelope (`{"tag":"trace","event":{…}}`) may be there or not. What is there under a known key must have
//! the right type, or the line is refused.

use crate::trace::{Config, Cut, EntryMark, Letter, Line, Mark, Node, Role, name};
use serde::de::{Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::borrow::Cow;
use std::fmt;
use std::io::Write as _;

/// Reads a line. `None`: it is JSON, but no line of a trace.
pub fn read(bytes: &[u8]) -> Result<Option<Line>, serde_json::Error> {
    // The envelope's own keys may mean anything, so they are not looked at.
    if bytes.windows(7).any(|window| window == b"\"event\"")
        && let Envelope { event: Some(event) } = serde_json::from_slice(bytes)?
    {
        return Ok(event.line());
    }
    Ok(serde_json::from_slice::<Raw<'_>>(bytes)?.line())
}

/// Appends a line, without a line break.
pub fn write(line: &Line, out: &mut Vec<u8>) {
    let mut object = Object::begin(out);
    object.text("name", &line.name);
    object.node("nid", &line.node);
    object.number("boot", line.boot);
    if line.term.is_some() || line.vote.is_some() || line.commit.is_some() {
        let mut state = Object::begin(object.key("state"));
        state.number("term", line.term);
        match &line.vote {
            None => {}
            Some(None) => state.text("vote", "0"),
            Some(Some(vote)) => state.node("vote", vote),
        }
        state.number("commit", line.commit);
        state.end();
    }
    if let Some(role) = line.role {
        object.text("role", role.name());
    }
    object.number("log", line.log);
    if let Some(letter) = &line.message {
        write_letter(letter, object.key("msg"));
    }
    if let Some(Mark { index, term }) = line.base {
        let _ = write!(object.key("base"), "[{index},{term}]");
    }
    object.number("first", line.first);
    if line.first.is_some() || line.base.is_some() && line.name == name::INIT_STATE {
        write_entries(&line.entries, object.key("entries"));
    }
    object.number("index", line.index);
    object.number("digest", line.digest);
    if let Some(config) = &line.config {
        let out = object.key("conf");
        out.push(b'[');
        write_nodes(&config.voters, out);
        out.push(b',');
        write_nodes(&config.outgoing, out);
        out.push(b']');
        if !config.learners.is_empty() {
            write_nodes(&config.learners, object.key("learners"));
        }
    }
    if let Some(Cut { offset, bytes }) = line.cut {
        let mut cut = Object::begin(object.key("cut"));
        cut.number("offset", Some(offset));
        cut.number("bytes", Some(bytes));
        cut.end();
    }
    object.end();
}

fn write_letter(letter: &Letter, out: &mut Vec<u8>) {
    let mut object = Object::begin(out);
    if let Some(kind) = &letter.kind {
        object.text("type", kind);
    }
    object.number("term", letter.term);
    object.node("from", &letter.from);
    object.node("to", &letter.to);
    object.number("boot", letter.boot);
    object.number("number", letter.number);
    object.number("logTerm", letter.log_term);
    object.number("index", letter.index);
    object.number("entries", letter.entries);
    object.number("commit", letter.commit);
    if let Some(reject) = letter.reject {
        object.key("reject").extend_from_slice(if reject { b"true" } else { b"false" });
    }
    object.number("rejectHint", letter.reject_hint);
    object.number("round", letter.round);
    object.number("offset", letter.offset);
    object.number("bytes", letter.bytes);
    object.end();
}

fn write_entries(entries: &[EntryMark], out: &mut Vec<u8>) {
    out.push(b'[');
    for (i, entry) in entries.iter().enumerate() {
        let comma = if i > 0 { "," } else { "" };
        let _ = match entry.digest {
            Some(digest) => write!(out, "{comma}[{},{digest}]", entry.term),
            None => write!(out, "{comma}[{}]", entry.term),
        };
    }
    out.push(b']');
}

fn write_nodes(nodes: &[Node], out: &mut Vec<u8>) {
    out.push(b'[');
    for (i, node) in nodes.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        write_text(&node.to_string(), out);
    }
    out.push(b']');
}

fn write_text(text: &str, out: &mut Vec<u8>) {
    serde_json::to_writer(out, text).expect("a text can be written to memory");
}

/// A JSON object under construction. Writing to memory cannot fail.
struct Object<'o> {
    out: &'o mut Vec<u8>,
    empty: bool,
}

impl<'o> Object<'o> {
    fn begin(out: &'o mut Vec<u8>) -> Object<'o> {
        out.push(b'{');
        Object { out, empty: true }
    }

    /// Where the value of `key` is to be written.
    fn key(&mut self, key: &str) -> &mut Vec<u8> {
        let comma = if std::mem::take(&mut self.empty) { "" } else { "," };
        let _ = write!(self.out, "{comma}\"{key}\":");
        self.out
    }

    fn number(&mut self, key: &str, value: Option<u64>) {
        if let Some(value) = value {
            let _ = write!(self.key(key), "{value}");
        }
    }

    fn text(&mut self, key: &str, value: &str) {
        write_text(value, self.key(key));
    }

    fn node(&mut self, key: &str, node: &Node) {
        match node {
            Node::Number(number) => {
                let _ = write!(self.key(key), "\"{number}\"");
            }
            Node::Name(name) => self.text(key, name),
        }
    }

    fn end(self) {
        self.out.push(b'}');
    }
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    event: Option<Raw<'a>>,
}

#[derive(Deserialize)]
struct Raw<'a> {
    #[serde(borrow)]
    name: Option<Cow<'a, str>>,
    nid: Option<Node>,
    boot: Option<u64>,
    state: Option<RawState>,
    #[serde(borrow)]
    role: Option<Cow<'a, str>>,
    log: Option<u64>,
    #[serde(borrow)]
    msg: Option<RawLetter<'a>>,
    base: Option<(u64, u64)>,
    first: Option<u64>,
    entries: Option<Vec<EntryMark>>,
    index: Option<u64>,
    digest: Option<Digest>,
    conf: Option<(Vec<Node>, Vec<Node>)>,
    learners: Option<Vec<Node>>,
    cut: Option<RawCut>,
}

#[derive(Deserialize, Default)]
struct RawState {
    term: Option<u64>,
    vote: Option<Node>,
    commit: Option<u64>,
}

#[derive(Deserialize)]
struct RawCut {
    offset: u64,
    bytes: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawLetter<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<Cow<'a, str>>,
    term: Option<u64>,
    from: Node,
    to: Node,
    boot: Option<u64>,
    number: Option<u64>,
    log_term: Option<u64>,
    index: Option<u64>,
    entries: Option<u64>,
    commit: Option<u64>,
    reject: Option<bool>,
    reject_hint: Option<u64>,
    round: Option<u64>,
    offset: Option<u64>,
    bytes: Option<u64>,
}

impl Raw<'_> {
    fn line(self) -> Option<Line> {
        let state = self.state.unwrap_or_default();
        let config = self.conf.filter(|(voters, _)| !voters.is_empty()).map(|(voters, outgoing)| Config {
            voters,
            outgoing,
            learners: self.learners.unwrap_or_default(),
        });
        // Without entries, what stands from `first` on or after `base` is not known.
        let told = self.entries.is_some();
        let known = |there: bool| told || !there;
        let init = self.name.as_deref() == Some(name::INIT_STATE);
        Some(Line {
            name: known_text(self.name?, &name::ALL),
            node: self.nid?,
            boot: self.boot,
            role: self.role.and_then(|role| read_role(&role)),
            term: state.term,
            vote: state.vote.map(|vote| Some(vote).filter(|vote| !vote.is_none())),
            commit: state.commit,
            log: self.log,
            message: self.msg.map(|letter| Box::new(letter.letter())),
            base: self.base.filter(|_| known(init)).map(|(index, term)| Mark { index, term }),
            first: self.first.filter(|_| known(true)),
            entries: self.entries.unwrap_or_default(),
            index: self.index,
            digest: self.digest.map(|Digest(digest)| digest),
            config,
            cut: self.cut.map(|RawCut { offset, bytes }| Cut { offset, bytes }),
        })
    }
}

impl RawLetter<'_> {
    fn letter(self) -> Letter {
        const KINDS: [&str; 10] = [
            "MsgApp",
            "MsgAppResp",
            "MsgHeartbeat",
            "MsgHeartbeatResp",
            "MsgVote",
            "MsgVoteResp",
            "MsgPreVote",
            "MsgPreVoteResp",
            "MsgSnap",
            "MsgSnapStatus",
        ];
        Letter {
            kind: self.kind.map(|kind| known_text(kind, &KINDS)),
            term: self.term,
            from: self.from,
            to: self.to,
            boot: self.boot,
            number: self.number,
            log_term: self.log_term,
            index: self.index,
            entries: self.entries,
            commit: self.commit,
            reject: self.reject,
            reject_hint: self.reject_hint,
            round: self.round,
            offset: self.offset,
            bytes: self.bytes,
        }
    }
}

/// The same text, without an allocation if it is a known one.
fn known_text(text: Cow<'_, str>, known: &[&'static str]) -> Cow<'static, str> {
    match known.iter().find(|known| **known == text) {
        Some(known) => Cow::Borrowed(known),
        None => Cow::Owned(text.into_owned()),
    }
}

/// `StateLeader`, or as others write it; a role that means nothing here is unknown.
fn read_role(text: &str) -> Option<Role> {
    let roles = [Role::Follower, Role::PreCandidate, Role::Candidate, Role::Leader];
    let found = roles.into_iter().find(|role| role.name() == text);
    found.or_else(|| {
        roles.into_iter().find(|role| role.name().strip_prefix("State").unwrap().eq_ignore_ascii_case(text))
    })
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Node, D::Error> {
        struct Named;
        impl Visitor<'_> for Named {
            type Value = Node;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a node's name or number")
            }

            fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<Node, E> {
                Ok(Node::named(name))
            }

            fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Node, E> {
                Ok(Node::Number(number))
            }
        }
        deserializer.deserialize_any(Named)
    }
}

/// A number below 2^64, or a text, of which only equality matters.
struct Digest(u64);

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Digest, D::Error> {
        struct Hashed;
        impl Visitor<'_> for Hashed {
            type Value = Digest;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a digest: a number below 2^64 or a text")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Digest, E> {
                // FNV-1a.
                let step = |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
                Ok(Digest(text.bytes().fold(0xcbf2_9ce4_8422_2325, step)))
            }

            fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Digest, E> {
                Ok(Digest(number))
            }
        }
        deserializer.deserialize_any(Hashed)
    }
}

/// `[term]` or `[term, digest]`.
impl<'de> Deserialize<'de> for EntryMark {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<EntryMark, D::Error> {
        struct Pair;
        impl<'de> Visitor<'de> for Pair {
            type Value = EntryMark;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an entry: [term] or [term, digest]")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<EntryMark, A::Error> {
                let term = items.next_element()?.ok_or_else(|| A::Error::invalid_length(0, &self))?;
                let digest = items.next_element::<Option<Digest>>()?.flatten().map(|Digest(digest)| digest);
                Ok(EntryMark { term, digest })
            }
        }
        deserializer.deserialize_seq(Pair)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Seed;

    fn text(line: &Line) -> String {
        line.to_string()
    }

    fn example() -> Line {
        let node = |number| Node::Number(number);
        let letter = Letter {
            kind: Some("MsgAppResp".into()),
            term: Some(3),
            boot: Some(1),
            number: Some(9),
            index: Some(7),
            reject: Some(false),
            ..Letter::new(node(2), node(1))
        };
        Line {
            boot: Some(2),
            role: Some(Role::Leader),
            term: Some(3),
            vote: Some(Some(node(1))),
            commit: Some(4),
            log: Some(7),
            message: Some(Box::new(letter)),
            base: Some(Mark { index: 4, term: 1 }),
            first: Some(5),
            entries: vec![EntryMark { term: 2, digest: Some(u64::MAX) }, EntryMark { term: 3, digest: None }],
            index: Some(6),
            digest: Some(12),
            config: Some(Config {
                voters: vec![node(1), Node::named("n\"2")],
                outgoing: vec![node(3)],
                learners: vec![node(4)],
            }),
            cut: Some(Cut { offset: 100, bytes: 3 }),
            ..Line::new("Custom", node(1))
        }
    }

    #[test]
    fn every_field_survives_writing_and_reading() {
        let line = example();
        assert_eq!(read(text(&line).as_bytes()).unwrap(), Some(line));
        let bare = Line::new(name::COMMIT, Node::named("a"));
        assert_eq!(text(&bare), r#"{"name":"Commit","nid":"a"}"#);
        assert_eq!(read(text(&bare).as_bytes()).unwrap(), Some(bare));
        let empty = Line { first: Some(3), ..Line::new(name::APPEND, Node::Number(1)) };
        assert_eq!(text(&empty), r#"{"name":"Append","nid":"1","first":3,"entries":[]}"#);
        assert_eq!(read(text(&empty).as_bytes()).unwrap(), Some(empty));
    }

    #[test]
    fn lines_of_etcd_are_read_in_their_envelope_and_without_it() {
        let event = r#"{"name":"ReceiveAppendEntriesResponse","nid":"1","state":{"term":2,"vote":"0","commit":3},
            "role":"StateLeader","log":5,"conf":[["1","2","3"],[]],"msg":{"type":"MsgAppResp","term":2,"from":"2",
            "to":"1","entries":0,"logTerm":0,"index":4,"commit":0,"vote":"0","reject":false,"rejectHint":0},
            "prop":{"match":1}}"#;
        let bare = read(event.as_bytes()).unwrap().unwrap();
        let logged = format!(r#"{{"level":"debug","msg":"trace","tag":"trace","event":{event}}}"#);
        assert_eq!(read(logged.as_bytes()).unwrap().as_ref(), Some(&bare));
        assert_eq!((bare.vote, bare.role, bare.log), (Some(None), Some(Role::Leader), Some(5)));
        assert_eq!(bare.config.unwrap().voters.len(), 3);
        let letter = bare.message.unwrap();
        assert_eq!((letter.index, letter.reject, letter.boot), (Some(4), Some(false), None));
    }

    #[test]
    fn what_means_nothing_is_passed_over_and_what_is_wrong_is_refused() {
        for nothing in [r"{}", r#"{"ts":1}"#, r#"{"name":"Commit"}"#, r#"{"nid":"1"}"#, r#"{"event":null}"#] {
            assert_eq!(read(nothing.as_bytes()).unwrap(), None, "{nothing}");
        }
        let odd = read(br#"{"name":"Dance","nid":7,"role":"Observer","steps":[1]}"#).unwrap().unwrap();
        assert_eq!((&*odd.name, odd.node, odd.role), ("Dance", Node::Number(7), None));
        for wrong in [
            r"[]",
            r"{",
            r#"{"name":1,"nid":"1"}"#,
            r#"{"name":"Commit","nid":"1","log":-1}"#,
            r#"{"name":"Commit","nid":"1","log":"5"}"#,
            r#"{"name":"Commit","nid":"1","state":{"term":1.5}}"#,
            r#"{"name":"Append","nid":"1","first":1,"entries":[[]]}"#,
            r#"{"name":"Append","nid":"1","first":1,"entries":[[1,2,3]]}"#,
            r#"{"name":"X","nid":"1","msg":{"from":"1"}}"#,
            r#"{"tag":"trace","event":7}"#,
        ] {
            assert!(read(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn entries_that_are_not_told_are_not_taken_for_none() {
        let init = read(br#"{"name":"InitState","nid":"1","base":[4,1]}"#).unwrap().unwrap();
        assert_eq!(init.base, None);
        let append = read(br#"{"name":"Append","nid":"1","first":5}"#).unwrap().unwrap();
        assert_eq!(append.first, None);
        let install = read(br#"{"name":"InstallSnapshot","nid":"1","base":[4,1]}"#).unwrap().unwrap();
        assert_eq!(install.base, Some(Mark { index: 4, term: 1 }));
    }

    #[test]
    fn digests_may_be_texts() {
        let digest = |json: &str| {
            let line = format!(r#"{{"name":"State","nid":"1","index":64,"digest":{json}}}"#);
            read(line.as_bytes()).unwrap().unwrap().digest
        };
        assert_eq!(digest("12"), Some(12));
        assert_eq!(digest(r#""abc""#), digest(r#""abc""#));
        assert_ne!(digest(r#""abc""#), digest(r#""abd""#));
    }

    #[test]
    fn names_that_look_like_numbers_keep_their_text() {
        for text in ["1", "01", "+1", "n1", "0", "18446744073709551616"] {
            assert_eq!(Node::named(text).to_string(), text);
        }
        assert!(Node::named("0").is_none() && Node::named("").is_none() && !Node::named("00").is_none());
    }

    #[test]
    fn garbage_never_panics() {
        let mut rng = Seed(3).rng();
        let bytes = text(&example()).into_bytes();
        for _ in 0..20_000 {
            let mut damaged = bytes.clone();
            let at = rng.below(bytes.len() as u64) as usize;
            damaged[at] = rng.next_u64() as u8;
            damaged.truncate(rng.between(1, bytes.len() as u64) as usize);
            let _ = read(&damaged);
        }
    }
}
