//! What can be wrong with a host: every error names the host, and says whether anything may have happened.

use elenchus_core::process::NodeId;
use std::time::{Duration, Instant};

/// A host that did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{node} ({place}): {trouble}")]
pub struct SshError {
    /// The node that the host bears.
    pub node: NodeId,
    /// `user@host:port`.
    pub place: String,
    /// What is wrong.
    pub trouble: Trouble,
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// It cannot be reached; nothing was done. It may be reached later.
    #[error("cannot be reached: {0}")]
    Unreachable(String),
    /// Its key is not to be trusted; nothing was done.
    #[error("{0}")]
    NotTrusted(String),
    /// It does not let us in; nothing was done.
    #[error("{0}")]
    NotAdmitted(String),
    /// It was asked, and did not answer in time: in doubt.
    #[error("no answer within {limit:?} ({what})")]
    Deadline {
        /// What was asked.
        what: String,
        /// How long was waited.
        limit: Duration,
    },
    /// The connection broke in the middle: in doubt.
    #[error("the connection broke ({what}): {why}")]
    Lost {
        /// What was being done.
        what: String,
        /// What is known of it.
        why: String,
    },
    /// Its disk is full.
    #[error("the disk is full: {0}")]
    Full(String),
    /// It answered that it could not, or we could not send what was asked.
    #[error("{0}")]
    Failed(String),
}

impl Trouble {
    /// Whether another try may help: nothing was done, and the host may come back.
    pub(super) fn may_pass(&self) -> bool {
        matches!(self, Trouble::Unreachable(_))
    }
}

/// What became of an attempt over one connection.
#[derive(Debug)]
pub(super) enum Broke {
    /// The connection is gone before anything was done: another one may do it.
    Before(Trouble),
    /// The connection is gone, or cannot be used any more.
    Within(Trouble),
    /// The host answered; the connection is whole.
    Answered(Trouble),
}

/// When patience ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline {
    end: Instant,
    limit: Duration,
}

impl Deadline {
    pub fn after(limit: Duration) -> Deadline {
        Deadline { end: Instant::now() + limit, limit }
    }

    /// What is left, but at most `most`.
    pub fn within(self, most: Duration) -> Deadline {
        let end = self.end.min(Instant::now() + most);
        Deadline { end, limit: self.limit.min(most) }
    }

    pub fn left(self) -> Duration {
        self.end.saturating_duration_since(Instant::now())
    }

    pub fn is_over(self) -> bool {
        self.left().is_zero()
    }

    /// What is left as libssh2 wants it, for which 0 would be for ever.
    pub fn left_ms(self) -> u32 {
        self.left().as_millis().clamp(1, u128::from(u32::MAX)) as u32
    }

    pub fn trouble(self, what: &str) -> Trouble {
        Trouble::Deadline { what: what.to_owned(), limit: self.limit }
    }
}

const TIMEOUT: i32 = -9;
/// libssh2's errors after which a session is of no use: socket gone, banner or protocol broken, a packet half sent.
const DEADLY: [i32; 13] = [-1, -2, -3, -4, -5, -7, TIMEOUT, -13, -14, -30, -39, -43, -45];

/// Whether this error says that the connection cannot be used any more.
pub(super) fn is_deadly(error: &ssh2::Error) -> bool {
    matches!(error.code(), ssh2::ErrorCode::Session(code) if DEADLY.contains(&code))
}

/// Whether this error says that time was up.
pub(super) fn is_timeout(error: &ssh2::Error) -> bool {
    error.code() == ssh2::ErrorCode::Session(TIMEOUT)
}

/// An error in the middle of `what`: of the connection, or an answer of the host.
pub(super) fn within(what: &str, error: &ssh2::Error, deadline: Deadline) -> Broke {
    if is_timeout(error) || (is_deadly(error) && deadline.is_over()) {
        Broke::Within(deadline.trouble(what))
    } else if is_deadly(error) {
        Broke::Within(Trouble::Lost { what: what.to_owned(), why: error.message().to_owned() })
    } else {
        Broke::Answered(Trouble::Failed(format!("{what}: {}", error.message())))
    }
}
