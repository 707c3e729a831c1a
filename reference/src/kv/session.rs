//! The clients' sessions: for each, its last number and the answer to it.
//!
//! A session is named by the log index that opened it. Their count is limited, and which one ends is
//! decided by the log alone: the one whose last use is the oldest (Ongaro 2014, section 6.3, requires that
//! all servers agree on it). Opening one past the limit ends it.

use std::collections::BTreeMap;

use crate::codec::{Reader, Write};
use crate::wire::Answer;

/// How many sessions are kept.
pub(super) const SESSIONS_MAX: usize = 10_000;

/// A bug's: after how many entries that are not its own what is kept of a session is dropped.
const IDLE_MAX: u64 = 8;

/// The open sessions.
///
/// Invariant: `by_use` holds exactly one index per session, its `used`.
#[derive(Clone, Debug, Default)]
pub(super) struct Sessions {
    open: BTreeMap<u64, Session>,
    by_use: BTreeMap<u64, u64>,
}

#[derive(Clone, Debug)]
struct Session {
    /// The log index that last used it.
    used: u64,
    /// Its last number and the answer; none yet when it is new.
    last: Option<(u64, Answer)>,
}

impl Sessions {
    pub fn len(&self) -> usize {
        self.open.len()
    }

    /// Opens the session that the entry at `index` asks for.
    pub fn open(&mut self, index: u64) {
        while self.open.len() >= SESSIONS_MAX {
            let Some((_, oldest)) = self.by_use.pop_first() else { break };
            self.open.remove(&oldest);
        }
        self.insert(index, Session { used: index, last: None });
    }

    /// Marks `session` as used at `index`; `None` if it is not open, else what is kept of it.
    pub fn touch(&mut self, session: u64, index: u64) -> Option<&Option<(u64, Answer)>> {
        let found = self.open.get_mut(&session)?;
        self.by_use.remove(&found.used);
        self.by_use.insert(index, session);
        found.used = index;
        Some(&found.last)
    }

    /// Keeps the answer to the session's last number.
    pub fn keep(&mut self, session: u64, number: u64, answer: Answer) {
        if let Some(found) = self.open.get_mut(&session) {
            found.last = Some((number, answer));
        }
    }

    /// A bug's: drops what is kept of `session` if it was idle for a little while before `index`.
    pub fn expire(&mut self, session: u64, index: u64) {
        if let Some(found) = self.open.get_mut(&session)
            && index.saturating_sub(found.used) > IDLE_MAX
        {
            found.last = None;
        }
    }

    /// A bug's: the sessions stay open, but what they did last is not known.
    pub fn forget_answers(&mut self) {
        self.open.values_mut().for_each(|session| session.last = None);
    }

    pub fn encode(&self, bytes: &mut Vec<u8>) {
        bytes.u32(self.open.len() as u32);
        for (number, session) in &self.open {
            bytes.u64(*number);
            bytes.u64(session.used);
            bytes.u8(u8::from(session.last.is_some()));
            if let Some((number, answer)) = &session.last {
                bytes.u64(*number);
                bytes.bytes(&serde_json::to_vec(answer).expect("an answer is plain data"));
            }
        }
    }

    pub fn decode(reader: &mut Reader<'_>) -> Option<Sessions> {
        let mut sessions = Sessions::default();
        for _ in 0..reader.u32()? {
            let (number, used) = (reader.u64()?, reader.u64()?);
            let last = match reader.u8()? {
                0 => None,
                _ => Some((reader.u64()?, serde_json::from_slice(reader.bytes()?).ok()?)),
            };
            sessions.insert(number, Session { used, last });
        }
        Some(sessions)
    }

    fn insert(&mut self, number: u64, session: Session) {
        self.by_use.insert(session.used, number);
        self.open.insert(number, session);
    }
}
