//! The gallery's pages: what each bug changes, breaks and rests on.
//!
//! Sources name where the rule is stated or where a system broke it. The checkers named are those that must
//! see the bug, not all that may.

use crate::bug::Bug;

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

impl Bug {
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
                change: "A vote, or a pre-vote, is granted without comparing the candidate's log with the voter's.",
                breaks: "Leader Completeness: a leader without a committed entry overwrites it.",
                source: "Ongaro 2014, section 3.6.1, the election restriction.",
                fault: "A server that was cut off and comes back while the leader dies.",
                checker: "the model check; invariants over traces (diverging logs)",
            },
            Bug::FollowerRead => Page {
                change: "A node that does not lead answers a read from its own state instead of forwarding \
                         it.",
                breaks: "Linearizability of reads: a follower is behind its leader, by a heartbeat on a \
                         good day, by much when it is cut off.",
                source: "Ongaro 2014, section 6.4. ZooKeeper answers so by design and offers sync against \
                         it (Hunt et al., ATC 2010).",
                fault: "None is needed; a partition that leaves a follower in a minority together with \
                        clients widens the gap.",
                checker: "linearizability of the register workload",
            },
            Bug::AckBeforeSync => Page {
                change: "A follower acknowledges entries before its disk has them, and a leader counts \
                         itself as soon as an entry is in its memory.",
                breaks: "Durability of what is committed: a power failure takes the entry from servers that \
                         the quorum was counted with.",
                source: "Ongaro 2014, sections 3.8 and 10.2.1. Elasticsearch synced its translog every five \
                         seconds (Kingsbury, Jepsen: Elasticsearch 1.5.0, 2015).",
                fault: "A power failure of several nodes, or of one followed by an election; a kill alone \
                        loses only what was not yet written.",
                checker: "invariants over traces (committed without a durable quorum, Leader Completeness); \
                          lost elements of the set workload",
            },
            Bug::ForgetTerm => Page {
                change: "After a restart the term is that of the last entry in the log.",
                breaks: "Election Safety: the server votes again in a term in which it has voted, and obeys \
                         a leader that it had voted to replace.",
                source: "Ongaro 2014, section 3.8: term and vote must be persistent.",
                fault: "A restart of a voter between two candidacies, or soon after an election that \
                        brought no entry.",
                checker: "invariants over traces (a term that goes back, two leaders in a term)",
            },
            Bug::ForgetLogTail => Page {
                change: "Recovery stops before a record that ends where the file ends, as if the crash had \
                         torn it: less-than in place of less-or-equal.",
                breaks: "Durability of acknowledged entries, and with it Leader Completeness; a vote in the \
                         last record is lost as well.",
                source: "Ongaro 2014, section 3.8. Which torn ends may be cut: Alagappan et al., \
                         Protocol-Aware Recovery, FAST 2018.",
                fault: "A restart of a follower, then an election that needs its vote.",
                checker: "invariants over traces (Leader Completeness, committed without a durable quorum); \
                          lost elements of the set workload",
            },
            Bug::CommitOldTerm => Page {
                change: "A leader commits whatever a majority holds, whether or not the entry is of its own \
                         term.",
                breaks: "Leader Completeness: such an entry may still be overwritten by a leader whose last \
                         entry is of a later term.",
                source: "Ongaro 2014, section 3.6.2, figure 3.7 (figure 8 of Ongaro and Ousterhout, ATC \
                         2014).",
                fault: "Three leaders in turn that die soon after they are elected, each with entries that \
                        the others lack.",
                checker: "invariants over traces (an entry of an earlier term committed by counting, Leader \
                          Completeness)",
            },
            Bug::CommitMinority => Page {
                change: "The quorum to commit is half of the servers, rounded down, instead of one more: \
                         two of five, one of three or of two. Written for odd clusters as (n + 1) / 2 the \
                         same slip is wrong for even ones only; this form shows in five.",
                breaks: "Leader Completeness: an election needs nobody of the two who hold a committed \
                         entry.",
                source: "Ongaro 2014, section 3.3: a majority, so that any two quorums share a server.",
                fault: "A partition or crash that takes the leader and one follower from the rest.",
                checker: "invariants over traces (committed without a quorum, Leader Completeness); lost \
                          elements of the set workload",
            },
            Bug::AppendTruncatesMatching => Page {
                change: "A follower cuts its log after the entry before the new ones and puts them there, \
                         without looking whether they already stand there.",
                breaks: "Durability of acknowledged entries: a late, shorter AppendEntries removes entries \
                         that were acknowledged since.",
                source: "Ongaro 2014, section 3.5 and figure 3.1 (receiver's steps 3 and 4); a common \
                         mistake of implementers (Gjengset, Students' Guide to Raft, 2016).",
                fault: "Messages that are late, doubled or overtaken, then an election.",
                checker: "invariants over traces (a log shortened below what is committed, committed \
                          without a durable quorum)",
            },
            Bug::AppendIgnoresTerm => Page {
                change: "A follower takes entries from a leader of an earlier term than its own.",
                breaks: "Log Matching and Leader Completeness: a deposed leader overwrites what a newer one \
                         has committed.",
                source: "Ongaro 2014, figure 3.1: reply false if term < currentTerm (receiver's step 1).",
                fault: "A pause of the leader or late messages across an election.",
                checker: "invariants over traces (State Machine Safety, entries of an earlier term \
                          accepted); a node that halts over the contradiction",
            },
            Bug::AppendSkipsPrevCheck => Page {
                change: "A follower accepts entries if its log reaches the entry before them; it does not \
                         compare that entry's term.",
                breaks: "Log Matching: the follower acknowledges a log that differs from the leader's, and \
                         applies entries that nobody committed.",
                source: "Ongaro 2014, section 3.5: the consistency check of AppendEntries.",
                fault: "A leader that is cut off with entries of its own and comes back as a follower.",
                checker: "invariants over traces (Log Matching, State Machine Safety); linearizability of \
                          the register workload",
            },
            Bug::SnapshotDropsTail => Page {
                change: "A follower installs every snapshot that arrives: it does not look whether its log \
                         already holds the last entry that the snapshot covers.",
                breaks: "Durability of acknowledged entries: the log after the snapshot is gone, and a late \
                         snapshot takes commit index and state back.",
                source: "Ongaro 2014, figure 5.3: retain the entries that follow (receiver's step 6). \
                         Redis-Raft lost updates around snapshots (Jepsen: Redis-Raft 1b3fbf6, 2020).",
                fault: "Late or doubled InstallSnapshot messages; a restart of a follower while the \
                        leader's answers are lost.",
                checker: "invariants over traces (commit index goes back, committed without a durable \
                          quorum)",
            },
            Bug::SnapshotKeepsStaleLog => Page {
                change: "A snapshot that contradicts the follower's log replaces only the part that it \
                         covers; the entries after it stay.",
                breaks: "Log Matching: entries that an old leader never committed stand after a committed \
                         prefix, and the log's last term is too low for the votes that rest on it.",
                source: "Ongaro 2014, figure 5.3: discard the entire log (receiver's step 7).",
                fault: "A leader that is cut off with many entries of its own, while the rest snapshots \
                        just beyond the point where they part.",
                checker: "invariants over traces (Log Matching)",
            },
            Bug::SnapshotForgetsSessions => Page {
                change: "A server that restores a snapshot knows the sessions in it, but not what each did \
                         last.",
                breaks: "Exactly-once semantics: a command sent again is applied again by the servers that \
                         have restored, which then differ from the others.",
                source: "Ongaro 2014, section 6.3: the sessions are part of the replicated state.",
                fault: "Snapshots, restarts, and whatever makes clients send again.",
                checker: "replicas that disagree at the end; linearizability of the register workload; the \
                          total of the bank workload",
            },
            Bug::SessionExpiresEarly => Page {
                change: "What a session did last is dropped once eight entries of others follow, and its \
                         next command is taken for new.",
                breaks: "Exactly-once semantics: a command that is sent again late is applied again. All \
                         servers agree on it, so no invariant of the protocol breaks.",
                source: "Ongaro 2014, section 6.3: an expired session must not be recreated in silence.",
                fault: "Whatever makes clients send again: a partition, a kill or a pause of the leader.",
                checker: "linearizability of the register workload; the total of the bank workload; \
                          duplicate elements of lists",
            },
            Bug::CasDecidedAtPropose => Page {
                change: "A leader compares when a cas arrives, against what it has applied so far, and logs \
                         the result as a plain write.",
                breaks: "Linearizability of cas: two that overlap both succeed; one that is sent again is \
                         refused although it took effect; a deposed leader refuses by an old state.",
                source: "Schneider, Implementing Fault-Tolerant Services Using the State Machine Approach, \
                         1990: commands are evaluated in the order of the log.",
                fault: "None is needed: two clients at once.",
                checker: "linearizability of the register workload",
            },
            Bug::RestartAppliesTwice => Page {
                change: "A snapshot is taken while an entry is being applied: its data have the entry, its \
                         index and its sessions do not.",
                breaks: "State Machine Safety: whoever restores the snapshot applies that entry to a state \
                         which already holds it.",
                source: "etcd 3.5.0 to 3.5.5 applied entries again after a crash during defragmentation \
                         (etcd pull request 14685, 2022).",
                fault: "A restart of a node that has a snapshot, or a follower that needs one.",
                checker: "replicas that disagree at the end; linearizability of the append and bank \
                          workloads",
            },
            Bug::RestartSkipsEntry => Page {
                change: "A server that restarts takes the first entry after its snapshot for applied.",
                breaks: "State Machine Safety: one committed entry is missing from the state of that server \
                         alone.",
                source: "etcd 3.5.0 to 3.5.2 recorded an index before the data that belong to it (etcd \
                         issue 13766, 2022).",
                fault: "A restart of a node; clients see it when that node leads.",
                checker: "replicas that disagree at the end; linearizability of the register workload; lost \
                          elements of the set workload",
            },
            Bug::HeartbeatCommitsUnmatched => Page {
                change: "A heartbeat carries the leader's commit index as it is, not limited to what is \
                         known to match the follower's log.",
                breaks: "State Machine Safety: a follower applies entries of its own that the leader never \
                         had.",
                source: "Ongaro 2014, figure 3.1: commit up to the last new entry. etcd's raft limits a \
                         heartbeat's commit to the follower's match index for this reason.",
                fault: "A leader that is cut off with entries of its own and comes back as a follower.",
                checker: "invariants over traces (State Machine Safety); linearizability of the register \
                          workload",
            },
            Bug::StaleVoteResponse => Page {
                change: "A candidate counts a vote without looking which term it was given in.",
                breaks: "Election Safety: a leader without a majority in its term, beside the one that has \
                         it.",
                source: "Ongaro 2014, section 3.4. A common mistake of implementers: replies of an earlier \
                         term (Gjengset, Students' Guide to Raft, 2016).",
                fault: "Late votes and several candidacies in a row.",
                checker: "the model check; invariants over traces (a leader without a majority of votes, \
                          two leaders in a term)",
            },
            Bug::MatchFromNext => Page {
                change: "When a follower acknowledges entries, the leader takes its log to match up to the next \
                         entry to be sent, instead of up to what the acknowledgement says.",
                breaks: "Leader Completeness: entries still on their way are counted as held, and committed \
                         without a quorum.",
                source: "Ongaro 2014, section 3.5 (matchIndex). A common mistake of implementers: the state has \
                         changed since the request was sent (Gjengset, Students' Guide to Raft, 2016).",
                fault: "Lost or late messages, or slow disks of followers, then the death of the leader.",
                checker: "invariants over traces (committed without a durable quorum, Leader Completeness)",
            },
            Bug::DoubtAsFailure => Page {
                change: "A leader that loses office tells its clients that the writes in its log were not \
                         done, although the next leader may commit them.",
                breaks: "What a failure means: an operation that certainly did nothing takes effect. No \
                         invariant of the protocol breaks.",
                source: "Aborted reads of Redis-Raft (Jepsen: Redis-Raft 1b3fbf6, 2020).",
                fault: "A cut that lets a leader send and not hear: its entries arrive, their acknowledgements do \
                        not. A client that gives up before it finds the next leader relies on what it was told.",
                checker: "linearizability of the register workload; elements of the set workload that were \
                          never added",
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
                breaks: "Linearizability of reads: a leader that is cut off is replaced, but its lease does not \
                         end, nor does it count who answers it.",
                source: "Ongaro 2014, section 6.4.1: leases rest on clocks. etcd measured its leases of keys by \
                         a clock that could be set back (issues 6700, 2016, and 12291, 2020).",
                fault: "A jump back of the leader's clock, and a partition that cuts it off meanwhile.",
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
