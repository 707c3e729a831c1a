//! One line of a node's trace: what the protocol did there, typed.
//!
//! The vocabulary is that of etcd's raft traces and some names beside them; `docs/trace-format.md` lists it. Nodes
//! and simulators emit these lines, [`mod@json`] writes and reads them, consensus checkers judge them.
//!
//! Every field but the node is optional, because **an absent field is unknown**, never a contradiction. Lines of
//! one node stand in the order in which things happened there. Nothing is said about the order of two nodes' lines
//! but by letters' stamps: what was received had been sent before.
//!
//! Deliberately absent: times. Nothing that is judged here rests on a clock.

pub mod json;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

/// The names that have a meaning. Others are allowed and say only where the node stands.
pub mod name {
    /// What a node found on its disk when it started. A life begins.
    pub const INIT_STATE: &str = "InitState";
    /// It follows.
    pub const BECOME_FOLLOWER: &str = "BecomeFollower";
    /// It asks if it would be elected.
    pub const BECOME_PRE_CANDIDATE: &str = "BecomePreCandidate";
    /// It stands for election and votes for itself.
    pub const BECOME_CANDIDATE: &str = "BecomeCandidate";
    /// It leads. Its log is still what it was elected with.
    pub const BECOME_LEADER: &str = "BecomeLeader";
    /// A leader took entries into its log.
    pub const REPLICATE: &str = "Replicate";
    /// The log from `first` on is now exactly `entries`.
    pub const APPEND: &str = "Append";
    /// The log up to `index` is durable.
    pub const PERSIST: &str = "Persist";
    /// A snapshot up to `base` has taken the place of the log.
    pub const INSTALL_SNAPSHOT: &str = "InstallSnapshot";
    /// The state machine after exactly `index` has this `digest`.
    pub const STATE: &str = "State";
    /// The commit index has advanced.
    pub const COMMIT: &str = "Commit";
    /// A change of the configuration was proposed.
    pub const CHANGE_CONF: &str = "ChangeConf";
    /// Another configuration is in force.
    pub const APPLY_CONF_CHANGE: &str = "ApplyConfChange";
    /// A vote was asked for.
    pub const SEND_REQUEST_VOTE_REQUEST: &str = "SendRequestVoteRequest";
    /// A request for a vote has come.
    pub const RECEIVE_REQUEST_VOTE_REQUEST: &str = "ReceiveRequestVoteRequest";
    /// A vote was given or refused.
    pub const SEND_REQUEST_VOTE_RESPONSE: &str = "SendRequestVoteResponse";
    /// A vote or a refusal has come.
    pub const RECEIVE_REQUEST_VOTE_RESPONSE: &str = "ReceiveRequestVoteResponse";
    /// As for votes, for those asked for beforehand.
    pub const SEND_REQUEST_PRE_VOTE_REQUEST: &str = "SendRequestPreVoteRequest";
    /// As for votes, for those asked for beforehand.
    pub const RECEIVE_REQUEST_PRE_VOTE_REQUEST: &str = "ReceiveRequestPreVoteRequest";
    /// As for votes, for those asked for beforehand.
    pub const SEND_REQUEST_PRE_VOTE_RESPONSE: &str = "SendRequestPreVoteResponse";
    /// As for votes, for those asked for beforehand.
    pub const RECEIVE_REQUEST_PRE_VOTE_RESPONSE: &str = "ReceiveRequestPreVoteResponse";
    /// Entries, or a heartbeat, were sent.
    pub const SEND_APPEND_ENTRIES_REQUEST: &str = "SendAppendEntriesRequest";
    /// Entries, or a heartbeat, have come.
    pub const RECEIVE_APPEND_ENTRIES_REQUEST: &str = "ReceiveAppendEntriesRequest";
    /// Entries were acknowledged or refused, or a heartbeat was answered.
    pub const SEND_APPEND_ENTRIES_RESPONSE: &str = "SendAppendEntriesResponse";
    /// An acknowledgement, a refusal or a heartbeat's answer has come.
    pub const RECEIVE_APPEND_ENTRIES_RESPONSE: &str = "ReceiveAppendEntriesResponse";
    /// A piece of a snapshot was sent.
    pub const SEND_SNAPSHOT: &str = "SendSnapshot";
    /// A piece of a snapshot has come.
    pub const RECEIVE_SNAPSHOT: &str = "ReceiveSnapshot";
    /// A piece of a snapshot was answered.
    pub const SEND_SNAPSHOT_RESPONSE: &str = "SendSnapshotResponse";
    /// The answer to a piece of a snapshot has come.
    pub const RECEIVE_SNAPSHOT_RESPONSE: &str = "ReceiveSnapshotResponse";
    /// The leader told a successor to stand for election.
    pub const SEND_TIMEOUT_NOW: &str = "SendTimeoutNow";
    /// The receiver's side.
    pub const RECEIVE_TIMEOUT_NOW: &str = "ReceiveTimeoutNow";

    /// All of them.
    pub const ALL: [&str; 31] = [
        INIT_STATE,
        BECOME_FOLLOWER,
        BECOME_PRE_CANDIDATE,
        BECOME_CANDIDATE,
        BECOME_LEADER,
        REPLICATE,
        APPEND,
        PERSIST,
        INSTALL_SNAPSHOT,
        STATE,
        COMMIT,
        CHANGE_CONF,
        APPLY_CONF_CHANGE,
        SEND_REQUEST_VOTE_REQUEST,
        RECEIVE_REQUEST_VOTE_REQUEST,
        SEND_REQUEST_VOTE_RESPONSE,
        RECEIVE_REQUEST_VOTE_RESPONSE,
        SEND_REQUEST_PRE_VOTE_REQUEST,
        RECEIVE_REQUEST_PRE_VOTE_REQUEST,
        SEND_REQUEST_PRE_VOTE_RESPONSE,
        RECEIVE_REQUEST_PRE_VOTE_RESPONSE,
        SEND_APPEND_ENTRIES_REQUEST,
        RECEIVE_APPEND_ENTRIES_REQUEST,
        SEND_APPEND_ENTRIES_RESPONSE,
        RECEIVE_APPEND_ENTRIES_RESPONSE,
        SEND_SNAPSHOT,
        RECEIVE_SNAPSHOT,
        SEND_SNAPSHOT_RESPONSE,
        RECEIVE_SNAPSHOT_RESPONSE,
        SEND_TIMEOUT_NOW,
        RECEIVE_TIMEOUT_NOW,
    ];
}

/// A node as a trace names it. Numbers are kept as such, so that a line costs no allocation for its nodes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Node {
    /// `"1"`, `"10276657743932975437"`.
    Number(u64),
    /// Any other name.
    Name(Arc<str>),
}

impl Node {
    /// The node of this name.
    pub fn named(name: &str) -> Node {
        let canonical = |number: &u64| number.to_string() == name;
        match name.parse::<u64>().ok().filter(canonical) {
            Some(number) => Node::Number(number),
            None => Node::Name(name.into()),
        }
    }

    /// Whether this stands for no node at all: `"0"` or nothing, as in the vote of who has not voted.
    pub fn is_none(&self) -> bool {
        match self {
            Node::Number(number) => *number == 0,
            Node::Name(name) => name.is_empty(),
        }
    }
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Node::Number(number) => number.fmt(f),
            Node::Name(name) => name.fmt(f),
        }
    }
}

/// What a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// It follows.
    Follower,
    /// It asks if it would be elected.
    PreCandidate,
    /// It stands for election.
    Candidate,
    /// It leads.
    Leader,
}

impl Role {
    /// As etcd writes it.
    pub fn name(self) -> &'static str {
        match self {
            Role::Follower => "StateFollower",
            Role::PreCandidate => "StatePreCandidate",
            Role::Candidate => "StateCandidate",
            Role::Leader => "StateLeader",
        }
    }
}

/// Names an entry of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mark {
    /// Where it stands, counted from 1; 0 is before the first.
    pub index: u64,
    /// The term in which a leader made it.
    pub term: u64,
}

/// What a trace tells of an entry. Its index is its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EntryMark {
    /// The term in which a leader made it.
    pub term: u64,
    /// A hash of what it carries, if known.
    pub digest: Option<u64>,
}

/// Who decides: one set of voters, or two while one takes the other's place.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Config {
    /// The voters; in a joint configuration the new ones.
    pub voters: Vec<Node>,
    /// In a joint configuration the old voters, else none.
    pub outgoing: Vec<Node>,
    /// Who gets the log and has no vote.
    pub learners: Vec<Node>,
}

/// The end of a log that a crash had torn and that was cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cut {
    /// Where it began in the file, in bytes.
    pub offset: u64,
    /// Its length, in bytes.
    pub bytes: u64,
}

/// A message, in the line of its sender or of its receiver.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Letter {
    /// What it is: `MsgApp`, `MsgVoteResp`….
    pub kind: Option<Cow<'static, str>>,
    /// The term that it bears.
    pub term: Option<u64>,
    /// Who sent it.
    pub from: Node,
    /// To whom.
    pub to: Node,
    /// In which of its lives the sender did. With `number` it names the message among all of the sender's.
    pub boot: Option<u64>,
    /// Upwards from 1 in that life.
    pub number: Option<u64>,
    /// The term of the entry at `index`, in requests.
    pub log_term: Option<u64>,
    /// A request: of the entry before the first one sent, or the last of the candidate's log. A positive response:
    /// up to where the sender's log equals the leader's, durably.
    pub index: Option<u64>,
    /// How many entries it carries.
    pub entries: Option<u64>,
    /// How far the leader knows the log to be committed.
    pub commit: Option<u64>,
    /// Whether a response refuses.
    pub reject: Option<bool>,
    /// Where a refused leader may try next.
    pub reject_hint: Option<u64>,
    /// Which round of heartbeats it belongs to.
    pub round: Option<u64>,
    /// Where in a snapshot the piece belongs, in bytes.
    pub offset: Option<u64>,
    /// The length of the piece of a snapshot, in bytes.
    pub bytes: Option<u64>,
}

impl Letter {
    /// A letter of which nothing else is known.
    pub fn new(from: Node, to: Node) -> Letter {
        Letter {
            kind: None,
            term: None,
            from,
            to,
            boot: None,
            number: None,
            log_term: None,
            index: None,
            entries: None,
            commit: None,
            reject: None,
            reject_hint: None,
            round: None,
            offset: None,
            bytes: None,
        }
    }
}

/// One line. See [`name`] for which fields belong to which.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Line {
    /// What happened.
    pub name: Cow<'static, str>,
    /// Where.
    pub node: Node,
    /// How often the node had started, this time included.
    pub boot: Option<u64>,
    /// What it is, after what happened.
    pub role: Option<Role>,
    /// Its term.
    pub term: Option<u64>,
    /// Its vote in the term; `Some(None)`: it has none.
    pub vote: Option<Option<Node>>,
    /// How far it knows the log to be committed.
    pub commit: Option<u64>,
    /// The last index of its log.
    pub log: Option<u64>,
    /// What was sent or received.
    pub message: Option<Box<Letter>>,
    /// The last entry that the snapshot covers.
    pub base: Option<Mark>,
    /// The index of the first of `entries`.
    pub first: Option<u64>,
    /// Entries: from `first` on, or in `InitState` from after `base` on.
    pub entries: Vec<EntryMark>,
    /// Up to where, or after which index.
    pub index: Option<u64>,
    /// A hash of the state machine.
    pub digest: Option<u64>,
    /// Who decides from here on.
    pub config: Option<Config>,
    /// What was cut off the log.
    pub cut: Option<Cut>,
}

impl Line {
    /// Calls every node that the line speaks of by another name.
    pub fn rename(&mut self, other: impl Fn(&Node) -> Node) {
        let all = |nodes: &mut Vec<Node>| nodes.iter_mut().for_each(|node| *node = other(node));
        self.node = other(&self.node);
        if let Some(Some(vote)) = &mut self.vote {
            *vote = other(vote);
        }
        if let Some(letter) = &mut self.message {
            (letter.from, letter.to) = (other(&letter.from), other(&letter.to));
        }
        if let Some(config) = &mut self.config {
            all(&mut config.voters);
            all(&mut config.outgoing);
            all(&mut config.learners);
        }
    }

    /// A line of which nothing else is known.
    pub fn new(name: impl Into<Cow<'static, str>>, node: Node) -> Line {
        Line {
            name: name.into(),
            node,
            boot: None,
            role: None,
            term: None,
            vote: None,
            commit: None,
            log: None,
            message: None,
            base: None,
            first: None,
            entries: Vec::new(),
            index: None,
            digest: None,
            config: None,
            cut: None,
        }
    }
}

/// As one line of JSON.
impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = Vec::new();
        json::write(self, &mut bytes);
        f.write_str(&String::from_utf8_lossy(&bytes))
    }
}
