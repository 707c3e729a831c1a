//! What the servers of a cluster say to each other.
//!
//! The RPCs of the dissertation as one-way messages: a request and its response are two messages, either
//! may be lost, doubled or late. Heartbeats are a message of their own rather than an empty AppendEntries,
//! because their answer promises nothing that rests on disk and must not wait for one (section 6.4 lets
//! reads wait for them). They travel in the plain binary of `codec`.

use std::sync::Arc;

use crate::codec::{Reader, Write};
use crate::raft::entry::{Entry, EntryId, Index, Term};
use crate::raft::membership::Membership;

/// A message and the term its sender was in.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Message {
    /// The sender's term when it made the message.
    pub term: Term,
    /// What it says.
    pub body: Body,
}

/// What a message says.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Body {
    /// Asks whether a candidacy in the next term would have this server's vote (section 9.6).
    PreVote {
        /// The last entry of the sender's log.
        last: EntryId,
    },
    /// Answers [`Body::PreVote`].
    PreVoteResponse {
        /// The term of the request that this answers.
        asked: Term,
        /// Whether it would.
        granted: bool,
    },
    /// Asks for this server's vote (section 3.4).
    RequestVote {
        /// The last entry of the sender's log.
        last: EntryId,
        /// Whether the leader wants it (section 3.10): then nobody waits until it is missed.
        transfer: bool,
    },
    /// Answers [`Body::RequestVote`].
    RequestVoteResponse {
        /// Whether the sender has the vote.
        granted: bool,
    },
    /// Replicates entries (section 3.5).
    AppendEntries {
        /// The entry before the first of `entries`.
        previous: EntryId,
        /// The entries.
        entries: Vec<Entry>,
        /// How far the leader knows the log to be committed.
        commit: Index,
    },
    /// Answers [`Body::AppendEntries`]: the follower's log equals the leader's up to here, durably.
    Appended {
        /// Up to where.
        matched: Index,
    },
    /// Answers [`Body::AppendEntries`]: the follower does not have its `previous`.
    AppendRejected {
        /// The index of the `previous` that was refused.
        previous: Index,
        /// The term that the follower has there, `None` if its log ends before.
        conflict: Option<Term>,
        /// The first index of that term in the follower's log, or the one after its end.
        hint: Index,
    },
    /// Says that the leader lives, and how far a follower's log may be applied.
    Heartbeat {
        /// Committed, and known to stand in the receiver's log.
        commit: Index,
        /// Which round of confirmation this belongs to (section 6.4).
        round: u64,
    },
    /// Answers [`Body::Heartbeat`].
    HeartbeatResponse {
        /// Its round.
        round: u64,
    },
    /// A piece of a snapshot (section 5).
    InstallSnapshot {
        /// The last entry that the snapshot covers.
        last: EntryId,
        /// The configuration in force there; `None`: the one that the cluster began with.
        membership: Option<Arc<Membership>>,
        /// The length of the whole, in bytes.
        total: u64,
        /// Where this piece belongs.
        offset: u64,
        /// The piece.
        data: Vec<u8>,
    },
    /// Answers a piece of a snapshot: the next one wanted. The last piece is answered by
    /// [`Body::Appended`].
    SnapshotReceived {
        /// Which snapshot.
        index: Index,
        /// How many bytes of it have arrived.
        offset: u64,
    },
    /// The leader wants the receiver to stand for election at once (section 3.10).
    TimeoutNow,
}

impl Message {
    /// Whether the sender's disk must hold what it wrote before this may be sent (section 3.8).
    ///
    /// A vote and an acknowledgement of entries are promises that must survive a crash; asking for votes
    /// announces a vote for oneself. A leader's entries may travel while its own disk still writes (section
    /// 10.2.1), and a heartbeat's answer promises only that its sender had voted for no later leader *when it
    /// answered*: had it voted for one, durably or not, it would be in that term.
    pub fn waits_for_disk(&self) -> bool {
        matches!(
            self.body,
            Body::RequestVote { .. } | Body::RequestVoteResponse { granted: true } | Body::Appended { .. }
        )
    }

    /// As bytes, appended.
    pub(crate) fn encode(&self, bytes: &mut Vec<u8>) {
        bytes.u8(self.kind());
        bytes.u64(self.term.0);
        match &self.body {
            Body::PreVote { last } => write_id(bytes, *last),
            Body::RequestVote { last, transfer } => {
                write_id(bytes, *last);
                bytes.u8(u8::from(*transfer));
            }
            Body::PreVoteResponse { asked, granted } => {
                bytes.u64(asked.0);
                bytes.u8(u8::from(*granted));
            }
            Body::RequestVoteResponse { granted } => bytes.u8(u8::from(*granted)),
            Body::AppendEntries { previous, entries, commit } => {
                write_id(bytes, *previous);
                bytes.u64(commit.0);
                write_entries(bytes, entries);
            }
            Body::Appended { matched } => bytes.u64(matched.0),
            Body::AppendRejected { previous, conflict, hint } => {
                bytes.u64(previous.0);
                bytes.u8(u8::from(conflict.is_some()));
                bytes.u64(conflict.unwrap_or_default().0);
                bytes.u64(hint.0);
            }
            Body::Heartbeat { commit, round } => {
                bytes.u64(commit.0);
                bytes.u64(*round);
            }
            Body::HeartbeatResponse { round } => bytes.u64(*round),
            Body::InstallSnapshot { last, membership, total, offset, data } => {
                write_id(bytes, *last);
                write_membership(bytes, membership.as_deref());
                bytes.u64(*total);
                bytes.u64(*offset);
                bytes.bytes(data);
            }
            Body::SnapshotReceived { index, offset } => {
                bytes.u64(index.0);
                bytes.u64(*offset);
            }
            Body::TimeoutNow => {}
        }
    }

    /// From bytes, `None` if they are no message.
    pub(crate) fn decode(mut reader: Reader<'_>) -> Option<Message> {
        let kind = reader.u8()?;
        let term = read_term(&mut reader)?;
        let r = &mut reader;
        let body = match kind {
            1 => Body::PreVote { last: read_id(r)? },
            2 => Body::PreVoteResponse { asked: read_term(r)?, granted: r.u8()? != 0 },
            3 => Body::RequestVote { last: read_id(r)?, transfer: r.u8()? != 0 },
            4 => Body::RequestVoteResponse { granted: r.u8()? != 0 },
            5 => {
                let (previous, commit) = (read_id(r)?, read_index(r)?);
                Body::AppendEntries { previous, entries: read_entries(r)?, commit }
            }
            6 => Body::Appended { matched: read_index(r)? },
            7 => {
                let (previous, known, term, hint) =
                    (read_index(r)?, r.u8()? != 0, read_term(r)?, read_index(r)?);
                Body::AppendRejected { previous, conflict: known.then_some(term), hint }
            }
            8 => Body::Heartbeat { commit: read_index(r)?, round: r.u64()? },
            9 => Body::HeartbeatResponse { round: r.u64()? },
            10 => Body::InstallSnapshot {
                last: read_id(r)?,
                membership: read_membership(r)?,
                total: r.u64()?,
                offset: r.u64()?,
                data: r.bytes()?.to_vec(),
            },
            11 => Body::SnapshotReceived { index: read_index(r)?, offset: r.u64()? },
            12 => Body::TimeoutNow,
            _ => return None,
        };
        reader.end()?;
        Some(Message { term, body })
    }

    fn kind(&self) -> u8 {
        match self.body {
            Body::PreVote { .. } => 1,
            Body::PreVoteResponse { .. } => 2,
            Body::RequestVote { .. } => 3,
            Body::RequestVoteResponse { .. } => 4,
            Body::AppendEntries { .. } => 5,
            Body::Appended { .. } => 6,
            Body::AppendRejected { .. } => 7,
            Body::Heartbeat { .. } => 8,
            Body::HeartbeatResponse { .. } => 9,
            Body::InstallSnapshot { .. } => 10,
            Body::SnapshotReceived { .. } => 11,
            Body::TimeoutNow => 12,
        }
    }
}

/// A term or an index that can still be counted up. Nothing honest comes near the limit.
fn small(value: u64) -> Option<u64> {
    (value < 1 << 60).then_some(value)
}

fn read_term(reader: &mut Reader<'_>) -> Option<Term> {
    reader.u64().and_then(small).map(Term)
}

fn read_index(reader: &mut Reader<'_>) -> Option<Index> {
    reader.u64().and_then(small).map(Index)
}

/// Term, then index.
pub(crate) fn write_id(bytes: &mut Vec<u8>, id: EntryId) {
    bytes.u64(id.term.0);
    bytes.u64(id.index.0);
}

/// What [`write_id`] wrote.
pub(crate) fn read_id(reader: &mut Reader<'_>) -> Option<EntryId> {
    Some(EntryId { term: read_term(reader)?, index: read_index(reader)? })
}

/// As the data of an entry, after its length; nothing is the one that the cluster began with.
pub(crate) fn write_membership(bytes: &mut Vec<u8>, membership: Option<&Membership>) {
    match membership {
        Some(membership) => bytes.bytes(&membership.encode()),
        None => bytes.bytes(&[]),
    }
}

/// What [`write_membership`] wrote.
pub(crate) fn read_membership(reader: &mut Reader<'_>) -> Option<Option<Arc<Membership>>> {
    match reader.bytes()? {
        [] => Some(None),
        bytes => Membership::decode(bytes).map(|membership| Some(membership.into())),
    }
}

/// Their count, then term and data of each.
pub(crate) fn write_entries<'e>(
    bytes: &mut Vec<u8>,
    entries: impl IntoIterator<Item = &'e Entry, IntoIter: Clone>,
) {
    let entries = entries.into_iter();
    bytes.u32(entries.clone().count() as u32);
    for entry in entries {
        bytes.u64(entry.term.0);
        bytes.bytes(&entry.data);
    }
}

/// What [`write_entries`] wrote.
pub(crate) fn read_entries(reader: &mut Reader<'_>) -> Option<Vec<Entry>> {
    let count = reader.u32()?;
    reader.many(count, |reader| Some(Entry { term: read_term(reader)?, data: reader.bytes()?.into() }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use elenchus_core::random::Seed;

    fn examples() -> Vec<Message> {
        let id = EntryId { term: Term(3), index: Index(9) };
        let entries =
            vec![Entry { term: Term(3), data: [].into() }, Entry { term: Term(4), data: [1, 2, 3].into() }];
        let bodies = [
            Body::PreVote { last: id },
            Body::PreVoteResponse { asked: Term(2), granted: true },
            Body::RequestVote { last: id, transfer: true },
            Body::RequestVoteResponse { granted: false },
            Body::AppendEntries { previous: id, entries, commit: Index(7) },
            Body::Appended { matched: Index(8) },
            Body::AppendRejected { previous: Index(8), conflict: None, hint: Index(4) },
            Body::AppendRejected { previous: Index(8), conflict: Some(Term(2)), hint: Index(4) },
            Body::Heartbeat { commit: Index(1), round: 2 },
            Body::HeartbeatResponse { round: 3 },
            Body::InstallSnapshot { last: id, membership: None, total: 10, offset: 4, data: vec![5, 6] },
            Body::InstallSnapshot {
                last: id,
                membership: Some(Membership::initial(3).into()),
                total: 10,
                offset: 4,
                data: vec![5, 6],
            },
            Body::TimeoutNow,
            Body::SnapshotReceived { index: Index(1), offset: 6 },
        ];
        bodies.map(|body| Message { term: Term(5), body }).to_vec()
    }

    fn encode(message: &Message) -> Vec<u8> {
        let mut bytes = Vec::new();
        message.encode(&mut bytes);
        bytes
    }

    #[test]
    fn every_message_survives_its_encoding_and_no_part_of_it_is_one() {
        for message in examples() {
            let bytes = encode(&message);
            assert_eq!(Message::decode(Reader::new(&bytes)), Some(message));
            for length in 0..bytes.len() {
                assert_eq!(Message::decode(Reader::new(&bytes[..length])), None);
            }
        }
    }

    #[test]
    fn garbage_never_panics() {
        let mut rng = Seed(5).rng();
        for message in examples() {
            let bytes = encode(&message);
            for _ in 0..2_000 {
                let mut damaged = bytes.clone();
                for _ in 0..=rng.below(3) {
                    let at = rng.below(bytes.len() as u64) as usize;
                    damaged[at] = rng.next_u64() as u8;
                }
                let _ = Message::decode(Reader::new(&damaged));
            }
        }
        for length in 0..200 {
            let noise: Vec<u8> = (0..length).map(|_| rng.next_u64() as u8).collect();
            let _ = Message::decode(Reader::new(&noise));
        }
    }
}
