//! The bug gallery of the reference Raft: mistakes that real systems made, each behind a name.
//!
//! A bug is as small a change as the mistake was in life and sits where the mistake happens: search for
//! `bugs.has(Bug::…)`. The gallery measures the harness: the correct build must pass every check, each bug
//! must be caught. Bugs of other protocols do not belong here.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

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
    pub const ALL: [Bug; 11] = [
        Bug::StaleRead,
        Bug::AckBeforeCommit,
        Bug::DoubleApply,
        Bug::ForgetVote,
        Bug::VoteTwice,
        Bug::VoteIgnoresLog,
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
            Bug::LeaseIgnoresDrift => "lease-ignores-drift",
            Bug::MembershipTwoAtOnce => "membership-two-at-once",
            Bug::MembershipBeforeCommit => "membership-before-commit",
            Bug::ClockJumpElection => "clock-jump-election",
            Bug::ReadIndexBeforeOwnCommit => "read-index-before-own-commit",
        }
    }

    /// Its page in the gallery.
    pub fn page(self) -> Page {
        match self {
            Bug::StaleRead => Page {
                change: "A leader answers a read from its own state at once: no round of heartbeats confirms \
                         that it still leads, and it does not step down when it hears no majority.",
                breaks: "Linearizability of reads: a deposed leader answers with values that a newer leader \
                         has overwritten.",
                source: "Ongaro 2014, section 6.4; etcd and Consul read so once (Kingsbury, Jepsen: etcd and \
                         Consul, 2014).",
                fault: "A partition that leaves the leader in a minority together with clients, or a pause \
                        of the leader.",
                checker: "linearizability of the register workload",
            },
            Bug::AckBeforeCommit => Page {
                change: "A leader evaluates a write against its log's end and answers when the entry is in \
                         its own log, before a majority has it.",
                breaks: "Durability of acknowledged writes, and with it linearizability: the entry may be \
                         overwritten by the next leader, and reads do not see it until it is committed.",
                source: "Ongaro 2014, section 3.6.2: only committed entries are safe to apply. MongoDB's \
                         write concern 1 acknowledges so (Kingsbury, Jepsen: MongoDB, 2013).",
                fault: "A partition or kill of the leader loses writes for good; a busy cluster without \
                        faults already reads past them.",
                checker: "linearizability of the register workload; lost elements of the set workload",
            },
            Bug::DoubleApply => Page {
                change: "The state machine ignores which numbers of a session it has applied, so that a \
                         command which its client sends again takes effect again.",
                breaks: "Exactly-once semantics: one operation of the history acts twice, the second time \
                         perhaps after it returned.",
                source: "Ongaro 2014, section 6.3; jetcd sent transactions again without sessions (Jepsen: \
                         jetcd 0.8.2, 2024).",
                fault: "Whatever makes clients send again: a partition, a kill or a pause of the leader.",
                checker: "linearizability of the register workload; the total of the bank workload",
            },
            Bug::ForgetVote => Page {
                change: "The write-ahead log keeps the term and leaves out the vote.",
                breaks: "Election Safety: a server that restarts may vote for a second candidate of the same \
                         term, so that two leaders share it.",
                source: "Ongaro 2014, section 3.8: term and vote must be persistent.",
                fault: "A restart of a voter between two candidacies of one term.",
                checker: "the model check; invariants over traces (two leaders in a term)",
            },
            Bug::VoteTwice => Page {
                change: "A vote is granted although another candidate of the term has it.",
                breaks: "Election Safety: two leaders in one term.",
                source: "Ongaro 2014, section 3.4: each server votes for at most one candidate in a term.",
                fault: "Two candidates at once: pauses, slow links.",
                checker: "the model check; invariants over traces (two leaders in a term)",
            },
            Bug::VoteIgnoresLog => Page {
                change: "A vote is granted without comparing the candidate's log with the voter's.",
                breaks: "Leader Completeness: a leader without a committed entry overwrites it.",
                source: "Ongaro 2014, section 3.6.1, the election restriction.",
                fault: "A server that was cut off and comes back while the leader dies.",
                checker: "the model check; invariants over traces (diverging logs)",
            },
            Bug::LeaseIgnoresDrift => Page {
                change: "A leader answers reads by a lease that lasts the longest election timeout on its own \
                         clock, without a margin for clocks that run apart.",
                breaks: "Linearizability of reads: others, whose timeouts are shorter or whose clocks are \
                         faster, elect a leader while the old one still trusts its lease.",
                source: "Ongaro 2014, section 6.4.1: leases rest on a bound of the clocks' drift. etcd says of \
                         its ReadOnlyLeaseBased that it is unsafe where the drift is unbounded.",
                fault: "A partition that leaves the leader in a minority together with clients; clocks that \
                        drift make the window longer.",
                checker: "linearizability of the register workload",
            },
            Bug::MembershipTwoAtOnce => Page {
                change: "A leader appends a configuration while the one before it is not committed.",
                breaks: "Quorum intersection: two configurations that differ by two servers have majorities \
                         that share none, so that a committed entry is missing from the next leader.",
                source: "Ongaro 2014, section 4.1: a leader must not begin a change before the one before it \
                         is committed.",
                fault: "Changes of the membership in quick succession, and a partition.",
                checker: "the model check; invariants over traces (quorum intersection, leader completeness)",
            },
            Bug::MembershipBeforeCommit => Page {
                change: "A new leader changes the membership before it has committed an entry of its own term.",
                breaks: "Quorum intersection: a change of an earlier term that it does not know of may still \
                         come into force, and majorities of the two need share no server.",
                source: "Ongaro, \"bug in single-server membership changes\", raft-dev, 10 July 2015.",
                fault: "A change of the membership on each side of a partition, by the old leader and the new.",
                checker: "the model check; invariants over traces (quorum intersection, leader completeness)",
            },
            Bug::ClockJumpElection => Page {
                change: "A node that answers reads by lease takes the latest time that it saw for the time: \
                         when its clock is set back, its lease and its timers stand still until the clock has \
                         caught up.",
                breaks: "Linearizability of reads: a leader that stands still sends no heartbeats and so is \
                         replaced, but its lease does not end.",
                source: "Ongaro 2014, section 6.4.1: leases rest on clocks. etcd measured its leases of keys by \
                         a clock that could be set back (issues 6700, 2016, and 12291, 2020).",
                fault: "A jump back of the leader's clock.",
                checker: "linearizability of the register workload",
            },
            Bug::ReadIndexBeforeOwnCommit => Page {
                change: "A leader answers a read at the commit index that it knows, though it has committed no \
                         entry of its own term.",
                breaks: "Linearizability of reads: its predecessor may have committed and acknowledged entries \
                         that it holds but does not know to be committed.",
                source: "Ongaro 2014, section 6.4, step 1; etcd answered such reads (issue 7331, 2017).",
                fault: "A change of the leader under load: a kill, a pause or a partition of the leader.",
                checker: "linearizability of the register workload",
            },
        }
    }
}

/// What the gallery says of a bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// What was changed.
    pub change: &'static str,
    /// Which property no longer holds.
    pub breaks: &'static str,
    /// Where the mistake is described, or was made.
    pub source: &'static str,
    /// What brings it out.
    pub fault: &'static str,
    /// Which checker must see it.
    pub checker: &'static str,
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
