//! Each invariant on a trace written by hand that breaks it, and on its correct twin.
//!
//! A trace is given as JSON lines, shortened: [`line`] fills in what all lines have.

use elenchus_checkers::consensus::{CLASSES, Consensus, Findings, Violation};
use elenchus_core::trace::json;
use elenchus_core::verdict::Validity;

/// A line of node `nid`: `role` is F, C or L; term, vote, commit and last index as numbers; more keys as JSON.
fn line(nid: u64, name: &str, role: &str, [term, vote, commit, log]: [u64; 4], more: &str) -> String {
    let role = match role {
        "L" => "StateLeader",
        "C" => "StateCandidate",
        _ => "StateFollower",
    };
    let comma = if more.is_empty() { "" } else { "," };
    format!(
        r#"{{"name":"{name}","nid":"{nid}","state":{{"term":{term},"vote":"{vote}","commit":{commit}}},"role":"{role}","log":{log}{comma}{more}}}"#
    )
}

/// The start of a node of three that has found nothing.
fn fresh(nid: u64) -> String {
    line(
        nid,
        "InitState",
        "F",
        [0, 0, 0, 0],
        r#""boot":1,"base":[0,0],"entries":[],"conf":[["1","2","3"],[]]"#,
    )
}

/// The start of a node that has started before, with entries of these terms on its disk.
fn again(nid: u64, boot: u64, [term, vote]: [u64; 2], terms: &[u64]) -> String {
    let entries: Vec<String> = terms.iter().map(|term| format!("[{term},{}]", 100 + term)).collect();
    let more =
        format!(r#""boot":{boot},"base":[0,0],"entries":[{}],"conf":[["1","2","3"],[]]"#, entries.join(","));
    line(nid, "InitState", "F", [term, vote, 0, terms.len() as u64], &more)
}

/// The log from `first` on is now entries of these terms.
fn append(nid: u64, role: &str, state: [u64; 4], first: u64, terms: &[u64]) -> String {
    let entries: Vec<String> = terms.iter().map(|term| format!("[{term},{}]", 100 + term)).collect();
    line(nid, "Append", role, state, &format!(r#""first":{first},"entries":[{}]"#, entries.join(",")))
}

fn persist(nid: u64, role: &str, state: [u64; 4], index: u64) -> String {
    line(nid, "Persist", role, state, &format!(r#""index":{index}"#))
}

/// A vote given by `from`, in its own file or in the candidate's.
fn vote(way: &str, role: &str, state: [u64; 4], from: u64, to: u64) -> String {
    let term = state[0];
    let msg =
        format!(r#""msg":{{"type":"MsgVoteResp","term":{term},"from":"{from}","to":"{to}","reject":false}}"#);
    let nid = if way == "Send" { from } else { to };
    line(nid, &format!("{way}RequestVoteResponse"), role, state, &msg)
}

/// An acknowledgement by `from`, in its own file or in the leader's.
fn ack(way: &str, role: &str, state: [u64; 4], from: u64, to: u64, index: u64) -> String {
    let msg = format!(
        r#""msg":{{"type":"MsgAppResp","term":{},"from":"{from}","to":"{to}","index":{index},"reject":false}}"#,
        state[0]
    );
    let nid = if way == "Send" { from } else { to };
    line(nid, &format!("{way}AppendEntriesResponse"), role, state, &msg)
}

/// Node `nid` is elected by itself and node `by` in the term of `state`.
fn elected(nid: u64, by: u64, state: [u64; 4]) -> Vec<String> {
    vec![
        line(nid, "BecomeCandidate", "C", state, ""),
        vote("Receive", "C", state, by, nid),
        line(nid, "BecomeLeader", "L", state, ""),
    ]
}

fn findings(lines: &[String]) -> Findings {
    let mut judge = Consensus::new();
    for text in lines {
        let line = json::read(text.as_bytes()).unwrap_or_else(|e| panic!("{text}: {e}"));
        judge.observe(&line.unwrap_or_else(|| panic!("{text}")));
    }
    judge.finish()
}

#[track_caller]
fn holds(lines: &[String]) {
    let findings = findings(lines);
    assert_eq!(findings.violations, [], "{}", lines.join("\n"));
    // Nor does any part of it accuse anybody.
    for end in 0..lines.len() {
        assert_eq!(crate::findings(&lines[..end]).violations, [], "the first {end} lines");
    }
}

/// The trace breaks this and nothing else; the sentence says so much of it.
#[track_caller]
fn breaks(class: &str, says: &str, lines: &[String]) -> Violation {
    let findings = findings(lines);
    let counts: Vec<&str> = findings.counts.keys().copied().collect();
    assert_eq!(counts, [class], "{:#?}", findings.violations);
    let first = findings.violations[0].clone();
    assert!(first.sentence.contains(says), "{}", first.sentence);
    assert!(CLASSES.contains(&class));
    first
}

fn joined(parts: &[Vec<String>]) -> Vec<String> {
    parts.concat()
}

#[test]
fn a_term_has_one_leader() {
    let lead = |nid, term| line(nid, "Heartbeat", "L", [term, nid, 0, 0], "");
    holds(&[lead(1, 3), lead(2, 4), lead(1, 3)]);
    let found = breaks(
        "two-leaders",
        "node 1 leads term 3 (line 1 of node 1), and so does node 2 (line 2 of node 2)",
        &[lead(1, 3), lead(2, 4), lead(2, 3)],
    );
    assert_eq!((found.term, found.node.as_str()), (Some(3), "2"));
}

#[test]
fn a_leader_only_appends() {
    let start = |second: String| {
        vec![
            fresh(1),
            append(1, "F", [1, 0, 0, 2], 1, &[1, 1]),
            line(1, "BecomeLeader", "L", [2, 1, 0, 2], ""),
            append(1, "L", [2, 1, 0, 3], 3, &[2]),
            second,
        ]
    };
    holds(&start(append(1, "L", [2, 1, 0, 4], 4, &[2])));
    // The same once more is no change.
    holds(&start(append(1, "L", [2, 1, 0, 4], 3, &[2, 2])));
    breaks("leader-rewrote-log", "had an entry 2", &start(append(1, "L", [2, 1, 0, 2], 2, &[2])));
    breaks("leader-rewrote-log", "had an entry 3", &start(append(1, "L", [2, 1, 0, 2], 3, &[])));
    breaks("leader-rewrote-log", "had an entry 3", &start(line(1, "Ready", "L", [2, 1, 0, 2], "")));
    // As a follower of the next term it may.
    holds(&start(append(1, "F", [3, 0, 0, 2], 2, &[3])));
}

#[test]
fn index_and_term_name_one_entry_and_one_log_before_it() {
    let one = || append(1, "F", [2, 0, 0, 3], 1, &[1, 2, 2]);
    holds(&[one(), append(2, "F", [2, 0, 0, 3], 1, &[1, 2, 2])]);
    holds(&[one(), append(2, "F", [3, 0, 0, 3], 1, &[1, 2, 3])]);
    let found = breaks(
        "logs-do-not-match",
        "follows an entry",
        &[one(), append(2, "F", [2, 0, 0, 3], 1, &[1, 1, 2])],
    );
    assert_eq!((found.term, found.index), (Some(2), Some(3)));
    let other = line(2, "Append", "F", [2, 0, 0, 1], r#""first":1,"entries":[[1,7]]"#);
    breaks("logs-do-not-match", "another one", &[one(), other]);
    // A digest that is not told is not another.
    holds(&[one(), line(2, "Append", "F", [2, 0, 0, 1], r#""first":1,"entries":[[1]]"#)]);
}

#[test]
fn every_later_leader_holds_what_was_committed() {
    let committed =
        || vec![append(1, "F", [1, 0, 0, 2], 1, &[1, 1]), line(1, "Commit", "F", [1, 0, 2, 2], "")];
    let leader = |term, terms: &[u64]| {
        vec![
            fresh(2),
            append(2, "F", [1, 0, 0, terms.len() as u64], 1, terms),
            line(2, "BecomeLeader", "L", [term, 2, 0, terms.len() as u64], ""),
        ]
    };
    holds(&joined(&[committed(), leader(2, &[1, 1])]));
    holds(&joined(&[leader(2, &[1, 1, 1]), committed()]));
    breaks("leader-lacks-committed", "without the entry 2", &joined(&[committed(), leader(2, &[1])]));
    // Which file is read first does not matter.
    breaks("leader-lacks-committed", "without the entry 2", &joined(&[leader(2, &[1]), committed()]));
    breaks("leader-lacks-committed", "without the entry 2", &joined(&[leader(4, &[1, 3]), committed()]));
    // It was elected earlier, or covers it by a snapshot.
    holds(&joined(&[leader(1, &[1]), committed()]));
    let base = line(2, "InitState", "F", [1, 0, 5, 5], r#""boot":2,"base":[5,1],"entries":[]"#);
    let lead = line(2, "BecomeLeader", "L", [2, 2, 5, 5], "");
    holds(&joined(&[vec![base, lead], committed()]));
    // Even if nothing but lengths is told.
    let short = vec![line(2, "BecomeLeader", "L", [2, 2, 0, 1], "")];
    breaks("leader-lacks-committed", "without the entry 2", &joined(&[short, committed()]));
}

#[test]
fn committed_entries_and_states_are_the_same_everywhere() {
    let commits = |nid, terms: &[u64], commit| {
        vec![
            append(nid, "F", [3, 0, 0, terms.len() as u64], 1, terms),
            line(nid, "Commit", "F", [3, 0, commit, terms.len() as u64], ""),
        ]
    };
    holds(&joined(&[commits(1, &[1, 2], 2), commits(2, &[1, 2, 3], 2)]));
    holds(&joined(&[commits(1, &[1, 2], 2), commits(2, &[1, 3], 1)]));
    let found = breaks(
        "committed-entries-differ",
        "node 2 has committed an entry of term 3 at index 2",
        &joined(&[commits(1, &[1, 2], 2), commits(2, &[1, 3], 2)]),
    );
    assert_eq!(found.index, Some(2));
    let state =
        |nid, digest| line(nid, "State", "F", [3, 0, 64, 64], &format!(r#""index":64,"digest":{digest}"#));
    holds(&[state(1, 5), state(2, 5), state(3, 5)]);
    breaks("state-machines-differ", "after entry 64", &[state(1, 5), state(2, 5), state(3, 6)]);
}

#[test]
fn a_node_has_one_vote_a_term() {
    let given = |nid, to| vote("Send", "F", [4, to, 0, 0], nid, to);
    holds(&[fresh(3), given(3, 1), given(3, 1), given(2, 2)]);
    breaks("voted-twice", "voted for node 1 in term 4", &[fresh(3), given(3, 1), given(3, 2)]);
    // Those who were elected tell as well as who voted, in whatever order.
    let got = |to| vote("Receive", "C", [4, to, 0, 0], 3, to);
    holds(&[got(1), got(1)]);
    breaks("voted-twice", "node 3 voted", &[got(1), got(2)]);
    breaks("voted-twice", "node 3 voted", &[got(2), fresh(3), given(3, 1)]);
    // In one life a vote in memory is a vote.
    let stands = |vote| line(3, "Ready", "F", [4, vote, 0, 0], "");
    holds(&[fresh(3), stands(0), stands(1), stands(1)]);
    breaks("voted-twice", "node 3 voted", &[fresh(3), stands(1), stands(2)]);
}

#[test]
fn a_vote_nobody_was_told_of_may_be_lost_in_a_crash() {
    let stands = |vote| line(3, "Ready", "F", [4, vote, 0, 0], "");
    holds(&[fresh(3), stands(1), again(3, 2, [3, 0], &[]), stands(2)]);
    // Without the start between them it may have been there all the same.
    holds(&[stands(1), stands(2)]);
    // Who does not count its starts does not say what is durable when.
    let bare = line(3, "InitState", "F", [0, 0, 0, 0], "");
    let given = |to| vote("Send", "F", [4, to, 0, 0], 3, to);
    holds(&[bare.clone(), given(1), bare.clone(), given(2)]);
    breaks("voted-twice", "node 3 voted", &[bare, given(1), given(2)]);
}

#[test]
fn promises_survive_a_restart() {
    let given = || vec![fresh(3), vote("Send", "F", [4, 1, 0, 0], 3, 1)];
    holds(&joined(&[given(), vec![again(3, 2, [4, 1], &[])]]));
    holds(&joined(&[given(), vec![again(3, 2, [5, 0], &[])]]));
    breaks("forgot-term", "in term 3, though", &joined(&[given(), vec![again(3, 2, [3, 0], &[])]]));
    breaks("forgot-vote", "without a vote", &joined(&[given(), vec![again(3, 2, [4, 0], &[])]]));
    let held = || {
        vec![
            fresh(3),
            append(3, "F", [4, 0, 0, 2], 1, &[1, 4]),
            persist(3, "F", [4, 0, 0, 2], 2),
            ack("Send", "F", [4, 0, 0, 2], 3, 1, 2),
        ]
    };
    holds(&joined(&[held(), vec![again(3, 2, [4, 0], &[1, 4])]]));
    holds(&joined(&[held(), vec![again(3, 2, [4, 0], &[1, 4, 4])]]));
    let lost = breaks("forgot-entries", "its entry 2", &joined(&[held(), vec![again(3, 2, [4, 0], &[1])]]));
    assert_eq!(lost.events[0].line, 3);
    breaks("forgot-entries", "its entry 2", &joined(&[held(), vec![again(3, 2, [4, 0], &[1, 2])]]));
    // It was overwritten, or a snapshot has taken its place, before the crash; the disk may know of it or not.
    let over = append(3, "F", [5, 0, 0, 2], 2, &[5]);
    holds(&joined(&[held(), vec![over.clone(), again(3, 2, [5, 0], &[1, 5])]]));
    holds(&joined(&[held(), vec![over.clone(), again(3, 2, [5, 0], &[1, 4])]]));
    holds(&joined(&[held(), vec![over, again(3, 2, [5, 0], &[1])]]));
    let install = line(3, "InstallSnapshot", "F", [5, 0, 9, 9], r#""base":[9,5]"#);
    holds(&joined(&[held(), vec![install.clone(), again(3, 2, [5, 0], &[1, 4])]]));
    let covered = line(3, "InitState", "F", [5, 0, 9, 9], r#""boot":2,"base":[9,5],"entries":[]"#);
    holds(&joined(&[held(), vec![install, covered]]));
}

#[test]
fn a_disk_that_was_damaged_on_purpose_owes_nothing() {
    let lines = [fresh(3), vote("Send", "F", [4, 1, 0, 0], 3, 1), again(3, 2, [3, 0], &[])];
    let mut judge = Consensus::new().with_forgetful_disks();
    lines.iter().for_each(|text| judge.observe(&json::read(text.as_bytes()).unwrap().unwrap()));
    assert_eq!(judge.finish().violations, []);
}

#[test]
fn only_what_is_durable_is_acknowledged() {
    let start = |durable| {
        vec![
            fresh(3),
            append(3, "F", [4, 0, 0, 2], 1, &[4, 4]),
            persist(3, "F", [4, 0, 0, 2], durable),
            ack("Send", "F", [4, 0, 0, 2], 3, 1, 2),
        ]
    };
    holds(&start(2));
    let found = breaks("acknowledged-undurable", "durable only up to 1 (line 3 of node 3)", &start(1));
    assert_eq!(found.index, Some(2));
    // What was overwritten must become durable anew.
    let rest = |durable| {
        vec![
            append(3, "F", [5, 0, 0, 2], 2, &[5]),
            persist(3, "F", [5, 0, 0, 2], durable),
            ack("Send", "F", [5, 0, 0, 2], 3, 1, 2),
        ]
    };
    holds(&joined(&[start(2), rest(2)]));
    breaks("acknowledged-undurable", "acknowledged entry 2", &joined(&[start(2), rest(1)]));
    // Who never tells what is durable is not asked.
    let silent: Vec<String> = start(1).into_iter().filter(|line| !line.contains("Persist")).collect();
    holds(&silent);
}

/// Node 1 leads term 2 with entries of terms 1 and 2, durable up to `durable`, and `rest` follows.
fn leads(durable: u64, rest: &[String]) -> Vec<String> {
    let start = vec![fresh(1), append(1, "F", [1, 0, 0, 1], 1, &[1])];
    let state = [2, 1, 0, 2];
    let own = vec![append(1, "L", state, 2, &[2]), persist(1, "L", state, durable)];
    joined(&[start, elected(1, 2, [2, 1, 0, 1]), own, rest.to_vec()])
}

#[test]
fn a_leader_commits_what_a_majority_holds_durably() {
    let acked = |index| ack("Receive", "L", [2, 1, 0, 2], 2, 1, index);
    let commit = line(1, "Commit", "L", [2, 1, 2, 2], "");
    let next = persist(1, "L", [2, 1, 2, 2], 2);
    holds(&leads(2, &[acked(2), commit.clone(), next.clone()]));
    let found = breaks(
        "committed-without-quorum",
        "{1} held that durably, no majority of the voters {1, 2, 3}",
        &leads(2, &[acked(1), commit.clone(), next.clone()]),
    );
    assert_eq!((found.term, found.index), (Some(2), Some(2)));
    // Itself it may count only when its own disk has it.
    breaks("committed-without-quorum", "{2} held", &leads(1, &[acked(2), commit.clone(), next.clone()]));
    let third = ack("Receive", "L", [2, 1, 0, 2], 3, 1, 2);
    holds(&leads(1, &[acked(2), third, commit.clone(), next.clone()]));
    // An answer of another term or to a heartbeat does not count, nor does a refusal.
    for other in [
        acked(2).replace(r#""term":2,"from""#, r#""term":1,"from""#),
        acked(2).replace("MsgAppResp", "MsgHeartbeatResp"),
        acked(2).replace(r#""reject":false"#, r#""reject":true"#),
    ] {
        breaks("committed-without-quorum", "{1} held", &leads(2, &[other, commit.clone(), next.clone()]));
    }
    // A leader whose election was not told may have heard of them before.
    let late: Vec<String> = leads(2, &[acked(1), commit, next]);
    holds(&late[5..]);
}

#[test]
fn a_leader_commits_entries_of_its_own_term() {
    let acked = |index| ack("Receive", "L", [2, 1, 0, 2], 2, 1, index);
    let commit = |index| line(1, "Commit", "L", [2, 1, index, 2], "");
    holds(&leads(2, &[acked(2), commit(2)]));
    let found = breaks("committed-old-term", "up to entry 1 of term 1", &leads(2, &[acked(1), commit(1)]));
    assert_eq!((found.term, found.index), (Some(2), Some(1)));
}

#[test]
fn a_leader_is_elected_by_a_majority() {
    let state = [2, 1, 0, 0];
    let end = persist(1, "L", [2, 1, 0, 0], 0);
    holds(&joined(&[vec![fresh(1)], elected(1, 3, state), vec![end.clone()]]));
    // Its own vote alone is none, and neither are two of one node.
    let mut alone = joined(&[vec![fresh(1)], elected(1, 1, state), vec![end.clone()]]);
    breaks("elected-without-quorum", "with the votes of {1}", &alone);
    // Where nothing that came was told, nothing is known.
    alone.retain(|line| !line.contains("Receive"));
    holds(&alone);
    // A vote of another term does not count.
    let old = vote("Receive", "C", state, 3, 1).replace(r#""term":2,"from""#, r#""term":1,"from""#);
    let lines = [
        fresh(1),
        line(1, "BecomeCandidate", "C", state, ""),
        old,
        line(1, "BecomeLeader", "L", state, ""),
        end,
    ];
    breaks("elected-without-quorum", "with the votes of {1}", &lines);
}

#[test]
fn a_joint_configuration_needs_both_majorities() {
    let joint = r#""conf":[["1","4","5"],["1","2","3"]]"#;
    let change = line(1, "ChangeConf", "L", [2, 1, 0, 2], joint);
    let acked = |from| ack("Receive", "L", [2, 1, 0, 2], from, 1, 2);
    let commit = line(1, "Commit", "L", [2, 1, 2, 2], "");
    let next = persist(1, "L", [2, 1, 2, 2], 2);
    holds(&leads(2, &[change.clone(), acked(2), acked(4), commit.clone(), next.clone()]));
    for one in [2, 4] {
        let lines = leads(2, &[change.clone(), acked(one), commit.clone(), next.clone()]);
        breaks("committed-without-quorum", "held that durably", &lines);
    }
}

#[test]
fn a_step_may_change_the_configuration_and_decide_by_it_in_any_order_of_lines() {
    let alone = line(1, "ChangeConf", "L", [2, 1, 2, 2], r#""conf":[["1"],[]]"#);
    let commit = line(1, "Commit", "L", [2, 1, 2, 2], "");
    let next = persist(1, "L", [2, 1, 2, 2], 2);
    holds(&leads(2, &[commit.clone(), alone.clone(), next.clone()]));
    holds(&leads(2, &[alone.clone(), commit.clone(), next.clone()]));
    breaks("committed-without-quorum", "{1} held", &leads(2, &[commit, next, alone]));
}

#[test]
fn quorums_that_decided_intersect() {
    // Node 1 goes in one step to a configuration that shares nothing with the one before, and commits by it alone.
    let moved = line(1, "ChangeConf", "L", [2, 1, 0, 3], r#""conf":[["1","4","5"],[]]"#);
    let commit = line(1, "Commit", "L", [2, 1, 2, 3], "");
    let commits = |from| {
        let acked = ack("Receive", "L", [2, 1, 0, 3], from, 1, 2);
        leads(2, &[append(1, "L", [2, 1, 0, 3], 3, &[2]), moved.clone(), acked, commit.clone()])
    };
    // Node 3 is elected by the others of the old one. It holds what was committed, as if by luck.
    let log = append(3, "F", [2, 0, 0, 2], 1, &[1, 2]);
    let other = |by| joined(&[vec![fresh(3), log.clone()], elected(3, by, [3, 3, 0, 2])]);
    let found = breaks(
        "quorums-disjoint",
        "elected in term 3 by {2, 3} (line 5 of node 3), none of whom belongs to {1, 4}",
        &joined(&[commits(4), other(2)]),
    );
    assert_eq!((found.term, found.index), (Some(3), Some(2)));
    holds(&joined(&[commits(4), other(1)]));
    // A newer configuration may decide by others.
    let newer = line(3, "ApplyConfChange", "F", [2, 0, 0, 3], r#""conf":[["2","3","6"],[]]"#);
    let more = append(3, "F", [2, 0, 0, 3], 1, &[1, 2, 2]);
    let later = joined(&[vec![fresh(3), more.clone(), newer], elected(3, 2, [3, 3, 0, 3])]);
    holds(&joined(&[commits(4), later]));
    // So may one of the same members, with others in between, all of which came in one message.
    let again = |rest: &str| {
        let conf = format!(r#""conf":[["1","2","3"],[]]{rest}"#);
        let same = [line(3, "ApplyConfChange", "F", [2, 0, 0, 1], &conf), more.clone()];
        let told = line(3, "ApplyConfChange", "F", [2, 0, 0, 3], &conf);
        joined(&[vec![fresh(3)], same.to_vec(), vec![told], elected(3, 2, [3, 3, 0, 3])])
    };
    holds(&joined(&[commits(4), again("")]));
    holds(&joined(&[commits(4), again(r#","index":3"#)]));
    breaks("quorums-disjoint", "none of whom", &joined(&[commits(4), again(r#","index":2"#)]));
}

#[test]
fn terms_and_commit_indices_never_go_back() {
    let stands = |term, commit, log| line(1, "Ready", "F", [term, 0, commit, log], "");
    holds(&[fresh(1), stands(2, 0, 1), stands(2, 1, 1), stands(3, 1, 1)]);
    let found = breaks("went-back", "was in term 3", &[fresh(1), stands(3, 1, 1), stands(2, 1, 1)]);
    assert_eq!(found.events.map(|event| event.line), [2, 3]);
    breaks("went-back", "had committed up to 1", &[fresh(1), stands(3, 1, 1), stands(3, 0, 1)]);
    breaks("went-back", "its log ends at 1", &[fresh(1), stands(3, 2, 1)]);
    // After a restart they may, and where the start was not told there may have been one.
    holds(&[fresh(1), stands(3, 1, 1), again(1, 2, [3, 0], &[1]), stands(3, 0, 1)]);
    holds(&[stands(3, 1, 1), stands(2, 0, 1)]);
}

#[test]
fn a_trace_without_a_leader_was_not_examined() {
    let nothing = Consensus::new().finish().verdict();
    assert_eq!((nothing.validity, nothing.class), (Validity::Unknown, None));
    let quiet = findings(&[fresh(1), fresh(2)]).verdict();
    assert_eq!(quiet.validity, Validity::Unknown);
    assert!(quiet.why.contains("nobody leads"), "{}", quiet.why);
    let led = findings(&[line(1, "BecomeLeader", "L", [1, 1, 0, 0], "")]).verdict();
    assert_eq!((led.validity, &led.figures["terms"]), (Validity::Valid, &1.into()));
}

#[test]
fn a_verdict_names_the_class_and_where_the_lines_stand() {
    let mut judge = Consensus::new();
    let (one, two) = (judge.source("n1.jsonl"), judge.source("n2.jsonl"));
    for (source, number, nid) in [(one, 12, 1), (two, 30, 2)] {
        let text = line(nid, "BecomeLeader", "L", [5, nid, 0, 0], "");
        judge.observe_at(&json::read(text.as_bytes()).unwrap().unwrap(), source, number);
    }
    assert!(judge.is_broken());
    let findings = judge.finish();
    let places = findings.violations[0].events.clone().map(|event| (event.file.unwrap(), event.line));
    assert_eq!(places, [("n1.jsonl".to_owned(), 12), ("n2.jsonl".to_owned(), 30)]);
    let verdict = findings.verdict();
    assert_eq!((verdict.validity, verdict.class.as_deref()), (Validity::Invalid, Some("two-leaders")));
    assert!(verdict.why.contains("line 30 of n2.jsonl"), "{}", verdict.why);
    assert_eq!(verdict.anomalies.len(), 1);
}

#[test]
fn of_many_violations_the_first_are_kept_and_the_others_counted() {
    let lead = |nid, term| line(nid, "Ready", "L", [term, nid, 0, 0], "");
    let lines: Vec<String> = (1..=50).flat_map(|term| [lead(1, term), lead(2, term)]).collect();
    let findings = findings(&lines);
    assert_eq!((findings.violations.len(), findings.counts["two-leaders"]), (8, 50));
}

#[test]
fn lines_of_etcd_are_judged_by_what_they_tell() {
    let event = |nid: u64, name: &str, role: &str, state: [u64; 4], more: &str| {
        let conf = r#""conf":[["1","2","3"],[]]"#;
        let more = if more.is_empty() { conf.to_owned() } else { format!("{conf},{more}") };
        format!(r#"{{"tag":"trace","event":{}}}"#, line(nid, name, role, state, &more))
    };
    let granted = |from: u64| {
        format!(
            r#""msg":{{"type":"MsgVoteResp","term":1,"from":"{from}","to":"1","entries":0,"logTerm":0,"index":0,"commit":0,"vote":"0","reject":false,"rejectHint":0}}"#
        )
    };
    let acked = |from: u64, index: u64| {
        format!(
            r#""msg":{{"type":"MsgAppResp","term":1,"from":"{from}","to":"1","entries":0,"logTerm":0,"index":{index},"commit":0,"vote":"0","reject":false,"rejectHint":0}}"#
        )
    };
    let trace = |third: u64| {
        vec![
            event(1, "InitState", "F", [0, 0, 0, 0], ""),
            event(1, "BecomeCandidate", "C", [1, 1, 0, 0], ""),
            event(1, "ReceiveRequestVoteResponse", "C", [1, 1, 0, 0], &granted(1)),
            event(1, "ReceiveRequestVoteResponse", "C", [1, 1, 0, 0], &granted(2)),
            event(1, "BecomeLeader", "L", [1, 1, 0, 0], ""),
            event(1, "Replicate", "L", [1, 1, 0, 1], ""),
            event(1, "ReceiveAppendEntriesResponse", "L", [1, 1, 0, 1], &acked(1, 1)),
            event(1, "ReceiveAppendEntriesResponse", "L", [1, 1, 0, 1], &acked(3, third)),
            event(1, "Commit", "L", [1, 1, 1, 1], ""),
            event(1, "ReceiveAppendEntriesResponse", "L", [1, 1, 1, 1], &acked(2, 1)),
        ]
    };
    holds(&trace(1));
    let examined = findings(&trace(1)).examined;
    assert_eq!((examined.elections, examined.commits), (1, 1));
    breaks("committed-without-quorum", "{1} held", &trace(0));
}
