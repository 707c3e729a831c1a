//! What a client wants, as it travels between nodes and stands in the log.
//!
//! The same three requests as in [`crate::wire`], without what belongs to a connection, in a compact
//! encoding: a leader logs the bytes that a follower forwarded. An empty entry is a leader's no-op and no
//! request at all.

use crate::codec::{Reader, Write};
use crate::wire::{Command, Datum};

/// A client's request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Opens a session.
    Register,
    /// Reads keys in one instant.
    Read {
        /// Only gets.
        commands: Vec<Command>,
    },
    /// Changes keys in one instant.
    Write {
        /// The session.
        session: u64,
        /// The command's number in it.
        number: u64,
        /// What to change.
        commands: Vec<Command>,
    },
}

impl Request {
    /// As bytes, at least one.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(64);
        match self {
            Request::Register => bytes.u8(1),
            Request::Read { commands } => {
                bytes.u8(2);
                write_commands(&mut bytes, commands);
            }
            Request::Write { session, number, commands } => {
                bytes.u8(3);
                bytes.u64(*session);
                bytes.u64(*number);
                write_commands(&mut bytes, commands);
            }
        }
        bytes
    }

    /// From bytes, `None` if they are no request.
    pub fn decode(bytes: &[u8]) -> Option<Request> {
        let mut reader = Reader::new(bytes);
        let request = match reader.u8()? {
            1 => Request::Register,
            2 => Request::Read { commands: read_commands(&mut reader)? },
            3 => Request::Write {
                session: reader.u64()?,
                number: reader.u64()?,
                commands: read_commands(&mut reader)?,
            },
            _ => return None,
        };
        reader.end()?;
        Some(request)
    }
}

fn write_commands(bytes: &mut Vec<u8>, commands: &[Command]) {
    bytes.u32(commands.len() as u32);
    for command in commands {
        match command {
            Command::Get { key } => {
                bytes.u8(1);
                bytes.bytes(key.as_bytes());
            }
            Command::Put { key, value } => {
                bytes.u8(2);
                bytes.bytes(key.as_bytes());
                write_datum(bytes, Some(value));
            }
            Command::Cas { key, from, to } => {
                bytes.u8(3);
                bytes.bytes(key.as_bytes());
                write_datum(bytes, from.as_ref());
                write_datum(bytes, Some(to));
            }
            Command::Append { key, text } => {
                bytes.u8(4);
                bytes.bytes(key.as_bytes());
                bytes.bytes(text.as_bytes());
            }
            Command::Delete { key } => {
                bytes.u8(5);
                bytes.bytes(key.as_bytes());
            }
        }
    }
}

fn read_commands(reader: &mut Reader<'_>) -> Option<Vec<Command>> {
    let count = reader.u32()?;
    reader.many(count, |reader| {
        let kind = reader.u8()?;
        let key = reader.text()?;
        Some(match kind {
            1 => Command::Get { key },
            2 => Command::Put { key, value: read_datum(reader)?? },
            3 => Command::Cas { key, from: read_datum(reader)?, to: read_datum(reader)?? },
            4 => Command::Append { key, text: reader.text()? },
            5 => Command::Delete { key },
            _ => return None,
        })
    })
}

/// A value or its absence.
pub(super) fn write_datum(bytes: &mut Vec<u8>, datum: Option<&Datum>) {
    match datum {
        None => bytes.u8(0),
        Some(Datum::Int(number)) => {
            bytes.u8(1);
            bytes.u64(number.cast_unsigned());
        }
        Some(Datum::Text(text)) => {
            bytes.u8(2);
            bytes.bytes(text.as_bytes());
        }
    }
}

/// What [`write_datum`] wrote; the outer `None` if it is neither.
pub(super) fn read_datum(reader: &mut Reader<'_>) -> Option<Option<Datum>> {
    Some(match reader.u8()? {
        0 => None,
        1 => Some(Datum::Int(reader.u64()?.cast_signed())),
        2 => Some(Datum::Text(reader.text()?)),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use elenchus_core::random::Seed;

    fn examples() -> Vec<Request> {
        let key = "k".to_owned();
        let text = Datum::Text("µ".into());
        let commands = vec![
            Command::Get { key: key.clone() },
            Command::Put { key: key.clone(), value: Datum::Int(i64::MIN) },
            Command::Cas { key: key.clone(), from: None, to: text.clone() },
            Command::Cas { key: String::new(), from: Some(text), to: Datum::Int(-1) },
            Command::Append { key: key.clone(), text: "\0".into() },
            Command::Delete { key },
        ];
        vec![
            Request::Register,
            Request::Read { commands: commands.clone() },
            Request::Write { session: 7, number: u64::MAX, commands },
        ]
    }

    #[test]
    fn every_request_survives_its_encoding() {
        for request in examples() {
            assert_eq!(Request::decode(&request.encode()), Some(request));
        }
    }

    #[test]
    fn a_request_cut_short_or_followed_by_more_is_none() {
        for request in examples() {
            let bytes = request.encode();
            for length in 0..bytes.len() {
                assert_eq!(Request::decode(&bytes[..length]), None);
            }
            assert_eq!(Request::decode(&[bytes, vec![0]].concat()), None);
        }
    }

    #[test]
    fn garbage_never_panics() {
        let mut rng = Seed(3).rng();
        for request in examples() {
            let bytes = request.encode();
            for _ in 0..5_000 {
                let mut damaged = bytes.clone();
                let at = rng.below(bytes.len() as u64) as usize;
                damaged[at] = rng.next_u64() as u8;
                let _ = Request::decode(&damaged);
            }
        }
    }
}
