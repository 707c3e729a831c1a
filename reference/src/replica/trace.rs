//! The trace of a node: protocol events as JSON objects, in the vocabulary of etcd's raft traces.
//!
//! Every line has `name`, `nid`, `state` (`term`, `vote`, `commit`), `role` and `log` (the last index), lines
//! of messages also `msg`. Nodes are named from "1", as there; the vote "0" is none. Ours beside theirs:
//! `BecomePreCandidate`, `Persist`, pre-vote messages (`SendRequestPreVoteRequest`…), `boot` and `number` in
//! `msg` (a letter's stamp, equal in its two lines), and what was cut from a torn log in `InitState`.

use std::fmt;
use std::str::FromStr;

use serde_json::{Value, json};

use crate::protocol::Peer;
use crate::raft::Stand;
use crate::raft::message::{Body, Message};
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
pub(super) fn line(me: Peer, name: &str, stand: &Stand) -> Value {
    let role = match stand.role {
        "leader" => "StateLeader",
        "candidate" => "StateCandidate",
        "pre-candidate" => "StatePreCandidate",
        _ => "StateFollower",
    };
    json!({
        "name": name,
        "nid": nid(me),
        "state": {
            "term": stand.term.0,
            "vote": stand.vote.map_or_else(|| "0".to_owned(), nid),
            "commit": stand.commit.0,
        },
        "role": role,
        "log": stand.last.0,
    })
}

/// The name of a change of role.
pub(super) fn turn(stand: &Stand) -> &'static str {
    match stand.role {
        "leader" => "BecomeLeader",
        "candidate" => "BecomeCandidate",
        "pre-candidate" => "BecomePreCandidate",
        _ => "BecomeFollower",
    }
}

/// A line with what a message says.
pub(super) fn message_line(
    me: Peer,
    verb: &str,
    stand: &Stand,
    (from, to): (Peer, Peer),
    stamp: Stamp,
    message: &Message,
) -> Value {
    let mut value = line(me, &format!("{verb}{}", event(&message.body)), stand);
    let mut msg = json!({
        "type": kind(&message.body),
        "term": message.term.0,
        "from": nid(from),
        "to": nid(to),
        "boot": stamp.boot,
        "number": stamp.number,
    });
    for (key, said) in details(&message.body) {
        msg[key] = said;
    }
    value["msg"] = msg;
    value
}

/// A node's name in a trace: numbers from 1, as text.
pub(super) fn nid(peer: Peer) -> String {
    (u32::from(peer.0) + 1).to_string()
}

fn event(body: &Body) -> &'static str {
    match body {
        Body::PreVote { .. } => "RequestPreVoteRequest",
        Body::PreVoteResponse { .. } => "RequestPreVoteResponse",
        Body::RequestVote { .. } => "RequestVoteRequest",
        Body::RequestVoteResponse { .. } => "RequestVoteResponse",
        Body::AppendEntries { .. } | Body::Heartbeat { .. } => "AppendEntriesRequest",
        Body::Appended { .. } | Body::AppendRejected { .. } | Body::HeartbeatResponse { .. } => {
            "AppendEntriesResponse"
        }
        Body::InstallSnapshot { .. } => "Snapshot",
        Body::SnapshotReceived { .. } => "SnapshotResponse",
        Body::TimeoutNow => "TimeoutNow",
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

fn details(body: &Body) -> Vec<(&'static str, Value)> {
    match body {
        Body::PreVote { last } | Body::RequestVote { last, .. } => {
            vec![("logTerm", json!(last.term.0)), ("index", json!(last.index.0))]
        }
        Body::PreVoteResponse { granted, .. } | Body::RequestVoteResponse { granted } => {
            vec![("reject", json!(!granted))]
        }
        Body::AppendEntries { previous, entries, commit } => vec![
            ("logTerm", json!(previous.term.0)),
            ("index", json!(previous.index.0)),
            ("entries", json!(entries.len())),
            ("commit", json!(commit.0)),
        ],
        Body::Appended { matched } => vec![("index", json!(matched.0)), ("reject", json!(false))],
        Body::AppendRejected { previous, conflict, hint } => vec![
            ("index", json!(previous.0)),
            ("reject", json!(true)),
            ("rejectHint", json!(hint.0)),
            ("logTerm", json!(conflict.map(|term| term.0))),
        ],
        Body::Heartbeat { commit, round } => {
            vec![("commit", json!(commit.0)), ("round", json!(round))]
        }
        Body::HeartbeatResponse { round } => vec![("round", json!(round))],
        Body::InstallSnapshot { last, offset, data, .. } => vec![
            ("logTerm", json!(last.term.0)),
            ("index", json!(last.index.0)),
            ("offset", json!(offset)),
            ("bytes", json!(data.len())),
        ],
        Body::SnapshotReceived { index, offset } => {
            vec![("index", json!(index.0)), ("offset", json!(offset))]
        }
        Body::TimeoutNow => Vec::new(),
    }
}
