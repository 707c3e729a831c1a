//! The trace of a node: protocol events as typed lines ([`elenchus_core::trace`]).
//!
//! Every line has the node, its term, vote and commit index, its role and the last index of its log, lines of
//! messages also the message with its letter's stamp (equal in its two lines). A line that changes the log comes
//! before any other that shows the consequences. Nodes are named from "1".

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use elenchus_core::trace::{Config, EntryMark, Letter, Line, Mark, Node, Role, name};

use crate::protocol::Peer;
use crate::raft::entry::{Entry, EntryId, Index};
use crate::raft::log::Log;
use crate::raft::message::{Body, Message};
use crate::raft::{Raft, Stand};
use crate::replica::envelope::Stamp;

/// How much a node tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Trace {
    /// Nothing.
    Off,
    /// Starts, changes of role, and about once a second how far the log is committed.
    #[default]
    Roles,
    /// Every message, entry, commitment and sync as well.
    All,
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Trace::Off => "off",
            Trace::Roles => "roles",
            Trace::All => "all",
        })
    }
}

impl FromStr for Trace {
    type Err = String;

    fn from_str(name: &str) -> Result<Trace, String> {
        let all = [Trace::Off, Trace::Roles, Trace::All];
        let found = all.into_iter().find(|trace| trace.to_string() == name);
        found.ok_or_else(|| format!("a node traces off, roles or all, not {name:?}"))
    }
}

/// A line of a node that stands so.
pub(super) fn line(me: Peer, name: &'static str, stand: &Stand) -> Line {
    Line {
        role: Some(match stand.role {
            "leader" => Role::Leader,
            "candidate" => Role::Candidate,
            "pre-candidate" => Role::PreCandidate,
            _ => Role::Follower,
        }),
        term: Some(stand.term.0),
        vote: Some(stand.vote.map(node)),
        commit: Some(stand.commit.0),
        log: Some(stand.last.0),
        ..Line::new(name, node(me))
    }
}

/// The name of a change of role.
pub(super) fn turn(stand: &Stand) -> &'static str {
    match stand.role {
        "leader" => name::BECOME_LEADER,
        "candidate" => name::BECOME_CANDIDATE,
        "pre-candidate" => name::BECOME_PRE_CANDIDATE,
        _ => name::BECOME_FOLLOWER,
    }
}

/// A line with what a message says.
pub(super) fn message_line(
    me: Peer,
    way: Way,
    stand: &Stand,
    (from, to): (Peer, Peer),
    stamp: Stamp,
    message: &Message,
) -> Line {
    let letter = Letter {
        kind: Some(kind(&message.body).into()),
        term: Some(message.term.0),
        boot: Some(stamp.boot),
        number: Some(stamp.number),
        ..Letter::new(node(from), node(to))
    };
    let message_said = Box::new(details(letter, &message.body));
    Line { message: Some(message_said), ..line(me, event(way, &message.body), stand) }
}

/// A line that tells what the log holds from `first` on.
pub(super) fn append_line(me: Peer, raft: &Raft, first: Index) -> Line {
    let entries = marks(raft.log(), first);
    Line { first: Some(first.0), entries, ..line(me, name::APPEND, &raft.stand()) }
}

/// A line that tells what a server starts with.
pub(super) fn init_line(me: Peer, boot: u64, raft: &Raft, trace: Trace) -> Line {
    let mut line = line(me, name::INIT_STATE, &raft.stand());
    line.boot = Some(boot);
    line.config = Some(config(raft));
    if trace == Trace::All {
        let base = raft.log().base();
        line.base = Some(mark(base));
        line.entries = marks(raft.log(), base.index.next());
    }
    line
}

/// A line that tells that another configuration is in force, and since which entry.
pub(super) fn config_line(me: Peer, raft: &Raft) -> Line {
    let (index, _) = raft.membership();
    Line {
        config: Some(config(raft)),
        index: Some(index.0),
        ..line(me, name::APPLY_CONF_CHANGE, &raft.stand())
    }
}

fn config(raft: &Raft) -> Config {
    let (_, membership) = raft.membership();
    let nodes = |peers: &BTreeSet<Peer>| peers.iter().map(|peer| node(*peer)).collect();
    Config {
        voters: nodes(&membership.voters),
        outgoing: nodes(&membership.outgoing),
        learners: nodes(&membership.learners),
    }
}

/// A node's name in a trace: numbers from 1.
pub(super) fn node(peer: Peer) -> Node {
    Node::Number(u64::from(peer.0) + 1)
}

/// An entry's name in a trace.
pub(super) fn mark(id: EntryId) -> Mark {
    Mark { index: id.index.0, term: id.term.0 }
}

fn marks(log: &Log, first: Index) -> Vec<EntryMark> {
    let mark = |entry: &Entry| EntryMark { term: entry.term.0, digest: Some(digest(&entry.data)) };
    log.entries_from(first).map(mark).collect()
}

/// A hash by which traces tell entries and states apart: eight bytes at a time, scattered as SplitMix64 does.
pub(super) fn digest(bytes: &[u8]) -> u64 {
    let step = |hash: u64, word: u64| {
        let mixed = (hash ^ word).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (mixed ^ (mixed >> 29)).wrapping_mul(0x94d0_49bb_1331_11eb) ^ (mixed >> 32)
    };
    let words = bytes.chunks(8).map(|chunk| {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        u64::from_le_bytes(word)
    });
    words.fold(step(0x9e37_79b9_7f4a_7c15, bytes.len() as u64), step)
}

/// Which of a message's two lines it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Send,
    Receive,
}

fn event(way: Way, body: &Body) -> &'static str {
    let (send, receive) = match body {
        Body::PreVote { .. } => (name::SEND_REQUEST_PRE_VOTE_REQUEST, name::RECEIVE_REQUEST_PRE_VOTE_REQUEST),
        Body::PreVoteResponse { .. } => {
            (name::SEND_REQUEST_PRE_VOTE_RESPONSE, name::RECEIVE_REQUEST_PRE_VOTE_RESPONSE)
        }
        Body::RequestVote { .. } => (name::SEND_REQUEST_VOTE_REQUEST, name::RECEIVE_REQUEST_VOTE_REQUEST),
        Body::RequestVoteResponse { .. } => {
            (name::SEND_REQUEST_VOTE_RESPONSE, name::RECEIVE_REQUEST_VOTE_RESPONSE)
        }
        Body::AppendEntries { .. } | Body::Heartbeat { .. } => {
            (name::SEND_APPEND_ENTRIES_REQUEST, name::RECEIVE_APPEND_ENTRIES_REQUEST)
        }
        Body::Appended { .. } | Body::AppendRejected { .. } | Body::HeartbeatResponse { .. } => {
            (name::SEND_APPEND_ENTRIES_RESPONSE, name::RECEIVE_APPEND_ENTRIES_RESPONSE)
        }
        Body::InstallSnapshot { .. } => (name::SEND_SNAPSHOT, name::RECEIVE_SNAPSHOT),
        Body::SnapshotReceived { .. } => (name::SEND_SNAPSHOT_RESPONSE, name::RECEIVE_SNAPSHOT_RESPONSE),
        Body::TimeoutNow => (name::SEND_TIMEOUT_NOW, name::RECEIVE_TIMEOUT_NOW),
    };
    match way {
        Way::Send => send,
        Way::Receive => receive,
    }
}

fn kind(body: &Body) -> &'static str {
    match body {
        Body::PreVote { .. } => "MsgPreVote",
        Body::PreVoteResponse { .. } => "MsgPreVoteResp",
        Body::RequestVote { .. } => "MsgVote",
        Body::RequestVoteResponse { .. } => "MsgVoteResp",
        Body::AppendEntries { .. } => "MsgApp",
        Body::Appended { .. } | Body::AppendRejected { .. } => "MsgAppResp",
        Body::Heartbeat { .. } => "MsgHeartbeat",
        Body::HeartbeatResponse { .. } => "MsgHeartbeatResp",
        Body::InstallSnapshot { .. } => "MsgSnap",
        Body::SnapshotReceived { .. } => "MsgSnapStatus",
        Body::TimeoutNow => "MsgTimeoutNow",
    }
}

/// The letter with what the body says.
fn details(letter: Letter, body: &Body) -> Letter {
    let said = |id: &EntryId| (Some(id.term.0), Some(id.index.0));
    match body {
        Body::PreVote { last } | Body::RequestVote { last, .. } => {
            let (log_term, index) = said(last);
            Letter { log_term, index, ..letter }
        }
        Body::PreVoteResponse { granted, .. } | Body::RequestVoteResponse { granted } => {
            Letter { reject: Some(!granted), ..letter }
        }
        Body::AppendEntries { previous, entries, commit } => {
            let (log_term, index) = said(previous);
            let entries = Some(entries.len() as u64);
            Letter { log_term, index, entries, commit: Some(commit.0), ..letter }
        }
        Body::Appended { matched } => Letter { index: Some(matched.0), reject: Some(false), ..letter },
        Body::AppendRejected { previous, conflict, hint } => Letter {
            index: Some(previous.0),
            reject: Some(true),
            reject_hint: Some(hint.0),
            log_term: conflict.map(|term| term.0),
            ..letter
        },
        Body::Heartbeat { commit, round } => Letter { commit: Some(commit.0), round: Some(*round), ..letter },
        Body::HeartbeatResponse { round } => Letter { round: Some(*round), ..letter },
        Body::InstallSnapshot { last, offset, data, .. } => {
            let (log_term, index) = said(last);
            Letter { log_term, index, offset: Some(*offset), bytes: Some(data.len() as u64), ..letter }
        }
        Body::SnapshotReceived { index, offset } => {
            Letter { index: Some(index.0), offset: Some(*offset), ..letter }
        }
        Body::TimeoutNow => letter,
    }
}
