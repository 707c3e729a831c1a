//! What travels between two nodes: Raft's messages, clients' requests on their way to the leader, and the
//! answers on their way back.
//!
//! Each letter carries how often its sender had started and a number that the sender never uses twice, so
//! that traces can match what was sent with what was received, and a request that the network doubled is
//! taken once.

use crate::codec::{Reader, Write};
use crate::raft::entry::Term;
use crate::raft::message::Message;
use crate::wire::Answer;

/// The version of the encoding.
const VERSION: u8 = 2;

/// A letter and its stamp.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Envelope {
    pub stamp: Stamp,
    pub letter: Letter,
}

/// Names a letter among all of its sender's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Stamp {
    /// How often the sender had started.
    pub boot: u64,
    /// Upwards from 1 since then.
    pub number: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Letter {
    /// Consensus.
    Raft(Message),
    /// A client's request, for the leader of `term`.
    Forward { term: Term, request: Vec<u8> },
    /// The answer to the forwarded request of this stamp.
    Answer { stamp: Stamp, answer: Answer },
}

impl Envelope {
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(64);
        bytes.u8(VERSION);
        write_stamp(&mut bytes, self.stamp);
        match &self.letter {
            Letter::Raft(message) => {
                bytes.u8(1);
                message.encode(&mut bytes);
            }
            Letter::Forward { term, request } => {
                bytes.u8(2);
                bytes.u64(term.0);
                bytes.bytes(request);
            }
            Letter::Answer { stamp, answer } => {
                bytes.u8(3);
                write_stamp(&mut bytes, *stamp);
                bytes.bytes(&serde_json::to_vec(answer).expect("an answer is plain data"));
            }
        }
        bytes
    }

    /// `None` if the bytes are no letter.
    pub fn decode(bytes: &[u8]) -> Option<Envelope> {
        let mut reader = Reader::new(bytes);
        (reader.u8()? == VERSION).then_some(())?;
        let stamp = read_stamp(&mut reader)?;
        let letter = match reader.u8()? {
            1 => Letter::Raft(Message::decode(reader)?),
            2 => {
                let letter = Letter::Forward { term: Term(reader.u64()?), request: reader.bytes()?.to_vec() };
                reader.end()?;
                letter
            }
            3 => {
                let stamp = read_stamp(&mut reader)?;
                let answer = serde_json::from_slice(reader.bytes()?).ok()?;
                reader.end()?;
                Letter::Answer { stamp, answer }
            }
            _ => return None,
        };
        Some(Envelope { stamp, letter })
    }
}

fn write_stamp(bytes: &mut Vec<u8>, stamp: Stamp) {
    bytes.u64(stamp.boot);
    bytes.u64(stamp.number);
}

fn read_stamp(reader: &mut Reader<'_>) -> Option<Stamp> {
    Some(Stamp { boot: reader.u64()?, number: reader.u64()? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raft::entry::Index;
    use crate::raft::message::Body;
    use elenchus_core::random::Seed;

    fn examples() -> Vec<Envelope> {
        let stamp = Stamp { boot: 2, number: 77 };
        let message = Message { term: Term(3), body: Body::Appended { matched: Index(4) } };
        let answer = Answer::Refused { at: 1, saw: None };
        let letters = [
            Letter::Raft(message),
            Letter::Forward { term: Term(3), request: vec![1, 2, 3] },
            Letter::Answer { stamp: Stamp { boot: 1, number: 5 }, answer },
        ];
        letters.map(|letter| Envelope { stamp, letter }).to_vec()
    }

    #[test]
    fn every_letter_survives_its_encoding_and_no_part_of_it_is_one() {
        for envelope in examples() {
            let bytes = envelope.encode();
            assert_eq!(Envelope::decode(&bytes), Some(envelope));
            for length in 0..bytes.len() {
                assert_eq!(Envelope::decode(&bytes[..length]), None);
            }
        }
    }

    #[test]
    fn garbage_never_panics() {
        let mut rng = Seed(7).rng();
        for envelope in examples() {
            let bytes = envelope.encode();
            for _ in 0..5_000 {
                let mut damaged = bytes.clone();
                let at = rng.below(bytes.len() as u64) as usize;
                damaged[at] = rng.next_u64() as u8;
                let _ = Envelope::decode(&damaged);
            }
        }
    }
}
