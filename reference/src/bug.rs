//! The bug gallery of the reference Raft: mistakes that real systems made, each behind a name.
//!
//! A bug is as small a change as the mistake was in life and sits where the mistake happens: search for
//! `bugs.has(Bug::…)`. The gallery measures the harness: the correct build must pass every check, each bug
//! must be caught. Bugs of other protocols do not belong here.

mod page;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

pub use crate::bug::page::Page;

/// One mistake that a replica can be told to make.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Bug {
    /// A leader answers reads without confirming that it still leads.
    StaleRead,
    /// A leader answers writes when they are in its own log.
    AckBeforeCommit,
    /// Sessions are ignored: a command that is sent again is applied again.
    DoubleApply,
    /// A vote does not survive a restart.
    ForgetVote,
    /// A server votes for every candidate of a term that asks.
    VoteTwice,
    /// A server votes for candidates whose log is behind its own.
    VoteIgnoresLog,
    /// A follower answers reads from its own state.
    FollowerRead,
    /// Entries are acknowledged before they are durable.
    AckBeforeSync,
    /// The term does not survive a restart.
    ForgetTerm,
    /// Recovery takes the last whole record for a torn one.
    ForgetLogTail,
    /// A leader commits entries of earlier terms by counting who holds them.
    CommitOldTerm,
    /// Half of the servers suffice to commit.
    CommitMinority,
    /// A follower cuts its log at every AppendEntries, although the entries match.
    AppendTruncatesMatching,
    /// A follower accepts entries from the leader of an earlier term.
    AppendIgnoresTerm,
    /// A follower accepts entries after an entry that is not the leader's.
    AppendSkipsPrevCheck,
    /// A snapshot that the log already holds replaces the log all the same.
    SnapshotDropsTail,
    /// A snapshot that contradicts the log leaves the entries after it in place.
    SnapshotKeepsStaleLog,
    /// A restored snapshot lacks what the sessions did last.
    SnapshotForgetsSessions,
    /// What a session did last is dropped after a few entries of others.
    SessionExpiresEarly,
    /// A leader decides a cas when it arrives instead of when it is applied.
    CasDecidedAtPropose,
    /// A snapshot's state is one entry ahead of its index.
    RestartAppliesTwice,
    /// After a restart the first entry after the snapshot counts as applied.
    RestartSkipsEntry,
    /// A heartbeat commits entries of a follower that may not be the leader's.
    HeartbeatCommitsUnmatched,
    /// A candidate counts votes of an earlier candidacy.
    StaleVoteResponse,
    /// A leader takes an acknowledgement to cover everything that it has sent since.
    MatchFromNext,
    /// A leader that loses office says that the writes in its log were not done.
    DoubtAsFailure,
    /// A leader's lease is as long as the longest election timeout, whatever the clocks do.
    LeaseIgnoresDrift,
    /// A leader begins a change of the membership before the one before it is committed.
    MembershipTwoAtOnce,
    /// A new leader changes the membership before it has committed an entry of its own term.
    MembershipBeforeCommit,
    /// Time stands still on a node whose clock was set back, until the clock has caught up.
    ClockJumpElection,
    /// A new leader answers reads before it has committed an entry of its own term.
    ReadIndexBeforeOwnCommit,
}

impl Bug {
    /// All of them, in the order of the documentation.
    pub const ALL: [Bug; 31] = [
        Bug::StaleRead,
        Bug::AckBeforeCommit,
        Bug::DoubleApply,
        Bug::ForgetVote,
        Bug::VoteTwice,
        Bug::VoteIgnoresLog,
        Bug::FollowerRead,
        Bug::AckBeforeSync,
        Bug::ForgetTerm,
        Bug::ForgetLogTail,
        Bug::CommitOldTerm,
        Bug::CommitMinority,
        Bug::AppendTruncatesMatching,
        Bug::AppendIgnoresTerm,
        Bug::AppendSkipsPrevCheck,
        Bug::SnapshotDropsTail,
        Bug::SnapshotKeepsStaleLog,
        Bug::SnapshotForgetsSessions,
        Bug::SessionExpiresEarly,
        Bug::CasDecidedAtPropose,
        Bug::RestartAppliesTwice,
        Bug::RestartSkipsEntry,
        Bug::HeartbeatCommitsUnmatched,
        Bug::StaleVoteResponse,
        Bug::MatchFromNext,
        Bug::DoubtAsFailure,
        Bug::LeaseIgnoresDrift,
        Bug::MembershipTwoAtOnce,
        Bug::MembershipBeforeCommit,
        Bug::ClockJumpElection,
        Bug::ReadIndexBeforeOwnCommit,
    ];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Bug::StaleRead => "stale-read",
            Bug::AckBeforeCommit => "ack-before-commit",
            Bug::DoubleApply => "double-apply",
            Bug::ForgetVote => "forget-vote",
            Bug::VoteTwice => "vote-twice",
            Bug::VoteIgnoresLog => "vote-ignores-log",
            Bug::FollowerRead => "follower-read",
            Bug::AckBeforeSync => "ack-before-sync",
            Bug::ForgetTerm => "forget-term",
            Bug::ForgetLogTail => "forget-log-tail",
            Bug::CommitOldTerm => "commit-old-term",
            Bug::CommitMinority => "commit-minority",
            Bug::AppendTruncatesMatching => "append-truncates-matching",
            Bug::AppendIgnoresTerm => "append-ignores-term",
            Bug::AppendSkipsPrevCheck => "append-skips-prev-check",
            Bug::SnapshotDropsTail => "snapshot-drops-tail",
            Bug::SnapshotKeepsStaleLog => "snapshot-keeps-stale-log",
            Bug::SnapshotForgetsSessions => "snapshot-forgets-sessions",
            Bug::SessionExpiresEarly => "session-expires-early",
            Bug::CasDecidedAtPropose => "cas-decided-at-propose",
            Bug::RestartAppliesTwice => "restart-applies-twice",
            Bug::RestartSkipsEntry => "restart-skips-entry",
            Bug::HeartbeatCommitsUnmatched => "heartbeat-commits-unmatched",
            Bug::StaleVoteResponse => "stale-vote-response",
            Bug::MatchFromNext => "match-from-next",
            Bug::DoubtAsFailure => "doubt-as-failure",
            Bug::LeaseIgnoresDrift => "lease-ignores-drift",
            Bug::MembershipTwoAtOnce => "membership-two-at-once",
            Bug::MembershipBeforeCommit => "membership-before-commit",
            Bug::ClockJumpElection => "clock-jump-election",
            Bug::ReadIndexBeforeOwnCommit => "read-index-before-own-commit",
        }
    }
}

impl fmt::Display for Bug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The name of no bug.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("no bug is called {name:?}; there are {}", Bug::ALL.map(Bug::name).join(", "))]
pub struct UnknownBug {
    /// What was asked for.
    pub name: String,
}

impl FromStr for Bug {
    type Err = UnknownBug;

    fn from_str(name: &str) -> Result<Bug, UnknownBug> {
        Bug::ALL.into_iter().find(|bug| bug.name() == name).ok_or_else(|| UnknownBug { name: name.into() })
    }
}

/// The bugs that a replica has; none by default.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Bugs(u64);

impl Bugs {
    /// A correct replica.
    pub const NONE: Bugs = Bugs(0);

    /// These and `bug`.
    #[must_use]
    pub fn with(self, bug: Bug) -> Bugs {
        Bugs(self.0 | 1 << bug as u8)
    }

    /// Whether `bug` is among them.
    pub fn has(self, bug: Bug) -> bool {
        self.0 & (1 << bug as u8) != 0
    }
}

impl FromIterator<Bug> for Bugs {
    fn from_iter<I: IntoIterator<Item = Bug>>(bugs: I) -> Bugs {
        bugs.into_iter().fold(Bugs::NONE, Bugs::with)
    }
}

impl fmt::Debug for Bugs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(Bug::ALL.into_iter().filter(|bug| self.has(*bug))).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bug_is_found_by_its_name_alone() {
        for bug in Bug::ALL {
            assert_eq!(bug.to_string().parse(), Ok(bug));
            assert_eq!(serde_json::to_string(&bug).unwrap(), format!("\"{bug}\""));
            assert!(Bugs::from_iter([bug]).has(bug));
            assert_eq!(Bug::ALL.into_iter().filter(|other| Bugs::NONE.with(bug).has(*other)).count(), 1);
        }
        let error = "stale-reed".parse::<Bug>().unwrap_err();
        assert!(
            error.to_string().contains("stale-reed") && error.to_string().contains("stale-read,"),
            "{error}"
        );
    }
}
