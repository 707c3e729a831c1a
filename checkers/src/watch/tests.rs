//! Watches, told in a line: `w1.7@5 s1:[5.1.7]`.

use super::*;
use elenchus_core::process::Process;
use elenchus_core::random::{Rng, Seed};
use elenchus_core::time::Time;
use elenchus_core::value::Value;

/// Operations one after the other; after `~` one overlaps the one before.
///
/// `w1.7@5` writes 7 to key 1 and is told revision 5; `w1.7` is not told; `w1.7?` is in doubt, `w1.7x` not done.
/// `s3[5.1.7 6.2.8]9` watches from revision 3, is shown two changes (revision, key, value) and goes on at 9; with `!` at its end
/// it was cut, with `#` compacted, with `x` it failed. `L0:` before it makes it a last one on node 0.
fn parse(text: &str) -> Vec<WatchOperation> {
    let mut operations: Vec<WatchOperation> = Vec::new();
    // The blanks within brackets separate changes.
    let mut words: Vec<String> = Vec::new();
    let mut depth = 0;
    for c in text.chars() {
        match c {
            '[' => depth += 1,
            ']' => depth -= 1,
            _ => {}
        }
        match (c, depth) {
            (' ', 0) => words.push(String::new()),
            _ if words.is_empty() => words.push(c.into()),
            _ => words.last_mut().expect("there is one").push(c),
        }
    }
    for (i, word) in words.iter().filter(|word| !word.is_empty()).enumerate() {
        let (overlaps, word) = word.strip_prefix('~').map_or((false, word.as_str()), |rest| (true, rest));
        let call = if overlaps { operations[i - 1].call + 1 } else { 4 * i as u32 };
        let (op, outcome) = if word.starts_with('w') { write(word) } else { watch(word) };
        let done = if outcome.is_info() { WatchOperation::OPEN } else { 4 * i as u32 + 3 };
        let process = Process(i as u32);
        operations.push(Operation { process, op, outcome, call, done, called: Time::ZERO, ended: None });
    }
    operations.sort_by_key(|operation| operation.call);
    operations
}

fn number(text: &str) -> i64 {
    text.parse().unwrap_or_else(|_| panic!("{text} is a number"))
}

fn outcome(end: Option<char>, ret: WatchRet) -> Outcome<WatchRet> {
    match end {
        Some('?') => Outcome::info("timeout"),
        Some('x') => Outcome::not_done("no connection"),
        _ => Outcome::Ok(ret),
    }
}

fn write(word: &str) -> (WatchOp, Outcome<WatchRet>) {
    let end = word.chars().last();
    let (name, revision) = word[1..].trim_end_matches(['?', 'x']).split_once('@').map_or_else(
        || (word[1..].trim_end_matches(['?', 'x']), None),
        |(name, revision)| (name, Some(number(revision))),
    );
    let (key, value) = name.split_once('.').expect("a key and a value");
    let op = WatchOp::Write { key: Value::Int(number(key)), value: Value::Int(number(value)) };
    (op, outcome(end, revision.map_or(WatchRet::Done, WatchRet::Revision)))
}

fn watch(word: &str) -> (WatchOp, Outcome<WatchRet>) {
    let (last, word) = word
        .strip_prefix('L')
        .and_then(|rest| rest.split_once(':'))
        .map_or((None, word), |(node, rest)| (Some(number(node) as u32), rest));
    let (from, rest) = word[1..].split_once('[').expect("a watch has a list");
    let (list, next) = rest.split_once(']').expect("a list ends");
    let change = |text: &str| {
        let numbers: Vec<i64> = text.split('.').map(number).collect();
        Change { revision: numbers[0], key: Value::Int(numbers[1]), value: Value::Int(numbers[2]) }
    };
    let changes: Vec<Change> = list.split_whitespace().map(change).collect();
    let end = match next.chars().last() {
        Some('!') => End::Cut,
        Some('#') => End::Compacted,
        _ => End::Complete,
    };
    let from = number(from);
    let digits = next.trim_end_matches(['!', '#', 'x', '?']);
    let next_or = changes.last().map_or(from, |change| change.revision + 1);
    let seen = Seen { changes, next: if digits.is_empty() { next_or } else { number(digits) }, end };
    (WatchOp::Watch { from, last }, outcome(next.chars().last(), WatchRet::Seen(seen)))
}

#[track_caller]
fn check(history: &str, validity: Validity, class: Option<&str>) -> Verdict {
    let verdict = judge(&parse(history), &Budget::unlimited());
    assert_eq!((verdict.validity, verdict.class.as_deref()), (validity, class), "{history}: {}", verdict.why);
    verdict
}

#[track_caller]
fn valid(history: &str) {
    check(history, Validity::Valid, None);
}

#[track_caller]
fn unknown(history: &str, word: &str) {
    let verdict = check(history, Validity::Unknown, None);
    assert!(verdict.why.contains(word), "{}", verdict.why);
}

/// It is invalid; the anomaly shows these operations, by their place in the line, and blames at least one.
#[track_caller]
fn invalid(history: &str, class: &str, shown: &[u32]) {
    let verdict = check(history, Validity::Invalid, Some(class));
    let anomaly = &verdict.anomalies[0];
    let processes: Vec<u32> = anomaly.operations.iter().map(|exhibit| exhibit.process).collect();
    assert_eq!(processes, shown, "{}", anomaly.sentence);
    assert!(anomaly.operations.iter().any(|exhibit| exhibit.guilty), "{anomaly:?}");
}

#[test]
fn every_change_once_and_in_order_is_valid() {
    valid("w1.7@5 w2.8@6 s1[5.1.7 6.2.8]");
    valid("w1.7@5 w2.8@6 s1[5.1.7] s6[6.2.8] s7[]");
    valid("w1.7 w2.8 s1[5.1.7 6.2.8]");
    // One transaction may change several keys.
    valid("w1.7@5 ~w2.8@5 s1[5.1.7 5.2.8]");
    // Watches that began later owe nothing of before.
    valid("w1.7@5 w2.8@6 s1[5.1.7 6.2.8] s6[6.2.8]");
}

#[test]
fn a_change_that_a_watch_has_come_past_without_showing_it_is_a_gap() {
    invalid("w1.7@5 w2.8@6 s1[6.2.8]", "gap", &[0, 2]);
    invalid("w1.7@5 w2.8@6 w3.9@7 s1[5.1.7 7.3.9]", "gap", &[1, 3]);
    // The last is shown, the one before is not, though the watch says that it came to 7.
    invalid("w1.7@5 w2.8@6 s1[5.1.7]7", "gap", &[1, 2]);
    // Between two watches that go on where the other ended.
    invalid("w1.7@5 w2.8@6 w3.9@7 s1[5.1.7] s6[7.3.9]", "gap", &[1, 4]);
}

#[test]
fn what_another_watcher_was_shown_must_be_shown_to_all() {
    invalid("w1.7? w2.8@6 s1[5.1.7 6.2.8] s1[6.2.8]", "gap", &[0, 2, 3]);
    valid("w1.7? w2.8@6 s1[6.2.8] s1[6.2.8]");
    valid("w1.7? w2.8@6 s1[5.1.7 6.2.8] s1[5.1.7 6.2.8]");
}

#[test]
fn a_watch_owes_only_what_it_came_past() {
    valid("w1.7@5 w2.8@6 s1[5.1.7] s1[5.1.7 6.2.8]");
    valid("w1.7@5 w2.8@6 s1[] s1[5.1.7 6.2.8]");
    valid("w1.7@5 w2.8@6 s1[]x s1[5.1.7 6.2.8]");
}

#[test]
fn a_cut_and_a_compaction_are_no_gaps() {
    valid("w1.7@5 w2.8@6 s1[5.1.7]! s1[5.1.7 6.2.8]");
    valid("w1.7@5 w2.8@6 s1[]7# s1[5.1.7 6.2.8]");
    valid("w1.7@5 ~w2.8@5 s1[5.1.7]! s1[5.1.7 5.2.8]");
    // What a cut watch has shown before, it has shown whole.
    invalid("w1.7@5 w2.8@6 s1[6.2.8]!", "gap", &[0, 2]);
}

#[test]
fn a_write_without_a_revision_is_missed_where_those_of_its_key_enclose_it() {
    invalid("w1.6@4 w1.7 w1.8@6 s1[4.1.6 6.1.8]", "gap", &[1, 3]);
    invalid("w1.7 w1.8@6 s1[6.1.8]", "gap", &[0, 2]);
    // Whoever began later, or another key's write, proves nothing.
    unknown("w1.7 w2.8@6 w2.9@7 s1[6.2.8 7.2.9]", "never shown");
    unknown("w1.6@4 w1.7 w1.8@6 s6[6.1.8] s6[6.1.8] w1.9@7 s4[4.1.6]5 s7[7.1.9]", "never shown");
}

#[test]
fn what_is_shown_twice_is_a_duplicate() {
    invalid("w1.7@5 s1[5.1.7 5.1.7]", "duplicate", &[0, 1]);
    invalid("w1.7@5 s1[5.1.7 6.1.7]", "duplicate", &[0, 1]);
    invalid("w1.7? s1[5.1.7 9.1.7]", "duplicate", &[0, 1]);
    // Two watchers may each be shown it.
    valid("w1.7@5 s1[5.1.7] s1[5.1.7]");
}

#[test]
fn what_is_older_than_asked_for_is_too_early() {
    invalid("w1.7@5 w2.8@6 s6[5.1.7 6.2.8]", "too-early", &[0, 2]);
    valid("w1.7@5 w2.8@6 s5[5.1.7 6.2.8]");
}

#[test]
fn revisions_that_do_not_grow_are_reordered() {
    invalid("w1.7@5 w2.8@6 s1[6.2.8 5.1.7]", "reordered", &[0, 2]);
    invalid("w1.7@5 ~w1.8? s1[5.1.7 5.1.8]", "reordered", &[1, 2]);
}

#[test]
fn one_change_has_one_place_and_one_place_of_a_key_has_one_change() {
    invalid("w1.7@5 s1[6.1.7]", "reordered", &[0, 1]);
    invalid("w1.7? s1[6.1.7] s1[5.1.7]", "reordered", &[0, 1, 2]);
    invalid("w1.7@5 w1.8? s1[5.1.7] s1[5.1.8]", "gap", &[0, 3]);
    valid("w1.7? s1[6.1.7] s1[6.1.7]");
}

#[test]
fn writes_of_one_key_stand_in_the_order_of_real_time() {
    invalid("w1.7@6 w1.8@5 s1[5.1.8 6.1.7]", "reordered", &[0, 1]);
    invalid("w1.7 w1.8 s1[5.1.8 6.1.7]", "reordered", &[0, 1, 2]);
    valid("w1.7@6 ~w1.8@5 s1[5.1.8 6.1.7]");
    valid("w1.7@6 w2.8@5 s1[5.2.8 6.1.7]");
    // A write in doubt may take effect late.
    valid("w1.7? w1.8@5 s1[5.1.8 6.1.7]");
}

#[test]
fn what_nobody_wrote_is_unwritten() {
    invalid("w1.7@5 s1[5.1.7 6.1.9]", "unwritten", &[1]);
    invalid("w1.7@5 w1.9x s1[5.1.7 6.1.9]", "unwritten", &[1, 2]);
    invalid("w1.7@5 s1[5.1.7 6.1.9] w1.9@6", "unwritten", &[1, 2]);
    valid("w1.7@5 w1.9? s1[5.1.7 6.1.9]");
    valid("w1.7@5 s1[5.1.7 6.1.9] ~w1.9@6 s6[6.1.9]");
}

#[test]
fn a_history_that_says_nothing_is_no_pass() {
    unknown("", "no watch showed any change");
    unknown("w1.7@5", "no watch showed any change");
    unknown("w1.7@5 s1[]", "no watch showed any change");
    unknown("w1.7@5 s1[]x", "no watch showed any change");
    unknown("w1.7@5 w1.8@6 w1.9@7 s1[5.1.7]", "1 of 3 acknowledged mutations");
    unknown("w1.7@5 w1.7@6 s1[5.1.7]", "written twice");
}

#[test]
fn last_watches_must_come_to_the_last_write() {
    valid("w1.7@5 w1.8@6 L0:s1[5.1.7 6.1.8] L1:s1[5.1.7] L1:s6[6.1.8]");
    unknown("w1.7@5 w1.8@6 L0:s1[5.1.7 6.1.8] L1:s1[5.1.7]", "node number 2");
    unknown("w1.7@5 w1.8@6 L0:s1[5.1.7 6.1.8] L1:s1[]x", "node number 2");
    invalid("w1.7@5 w1.8@6 L0:s1[5.1.7 6.1.8] L1:s1[6.1.8]", "gap", &[0, 3]);
}

#[test]
fn a_budget_that_ends_is_no_pass() {
    let budget = Budget::new(std::time::Duration::ZERO, 1 << 30);
    let verdict = judge(&parse("w1.7@5 s1[5.1.7]"), &budget);
    assert_eq!(verdict.validity, Validity::Unknown, "{}", verdict.why);
}

/// What a true store tells: writes in doubt that took effect or not, writers who are not told the revision, watches that
/// lag, end early, are cut, or find their beginning compacted.
fn honest(rng: &mut Rng) -> Vec<String> {
    let (mut log, mut words): (Vec<(i64, i64, i64)>, Vec<String>) = (Vec::new(), Vec::new());
    let mut revision = 1;
    let mut next = [1_i64; 3];
    for value in 1..25 {
        let key = rng.below(3) as i64;
        revision += rng.between(1, 2) as i64;
        match rng.below(8) {
            0 => words.push(format!("w{key}.{value}x")),
            1 => words.push(format!("w{key}.{value}?")),
            2 => {
                words.push(format!("w{key}.{value}?"));
                log.push((revision, key, value));
            }
            n => {
                let told = if n == 3 { String::new() } else { format!("@{revision}") };
                words.push(format!("w{key}.{value}{told}"));
                log.push((revision, key, value));
            }
        }
        if rng.chance(1, 2) {
            let watcher = rng.below(3) as usize;
            words.push(watched(rng, &log, &mut next[watcher]));
        }
    }
    let all: Vec<String> = log.iter().map(|(at, key, value)| format!("{at}.{key}.{value}")).collect();
    words.push(format!("L0:s1[{}]", all.join(" ")));
    words
}

fn watched(rng: &mut Rng, log: &[(i64, i64, i64)], next: &mut i64) -> String {
    let from = *next;
    let owed: Vec<_> = log.iter().filter(|(at, ..)| *at >= from).collect();
    let shown = &owed[..rng.below(owed.len() as u64 + 1) as usize];
    *next = shown.last().map_or(from, |(at, ..)| at + 1);
    let list: Vec<String> = shown.iter().map(|(at, key, value)| format!("{at}.{key}.{value}")).collect();
    let end = match rng.below(6) {
        0 => "!",
        1 if shown.is_empty() => "#",
        2 if shown.is_empty() => "x",
        _ => "",
    };
    format!("s{from}[{}]{end}", list.join(" "))
}

#[test]
fn a_true_store_is_never_accused() {
    let mut rng = Seed(11).rng();
    let mut valid = 0;
    for _ in 0..1_000 {
        let history = honest(&mut rng).join(" ");
        let verdict = judge(&parse(&history), &Budget::unlimited());
        assert_ne!(verdict.validity, Validity::Invalid, "{history}: {}", verdict.why);
        valid += usize::from(verdict.validity == Validity::Valid);
    }
    assert!(valid > 800, "only {valid} of 1000 honest histories are valid");
}

/// The last watch of an honest history is robbed of a change, shown one twice, one invented, or two exchanged.
#[test]
fn a_last_watch_that_lies_is_always_found() {
    let mut rng = Seed(12).rng();
    for round in 0..400 {
        let mut words = honest(&mut rng);
        let last = words.pop().expect("there is one");
        let (head, list) = last.trim_end_matches(']').split_once('[').expect("a list");
        let mut list: Vec<String> = list.split(' ').map(str::to_owned).collect();
        if list.len() < 4 {
            continue;
        }
        let at = 1 + rng.below(list.len() as u64 - 3) as usize;
        match round % 4 {
            // Only a change that somebody else tells of is known to be missing.
            0 => {
                let (revision, name) = list[at].split_once('.').expect("a change");
                if !words.contains(&format!("w{name}@{revision}")) {
                    continue;
                }
                drop(list.remove(at));
            }
            1 => list.insert(at, list[at].clone()),
            2 => list.insert(at, format!("{}.9.99", list[at].split('.').next().expect("a revision"))),
            _ => list.swap(at, at + 1),
        }
        words.push(format!("{head}[{}]", list.join(" ")));
        let history = words.join(" ");
        let verdict = judge(&parse(&history), &Budget::unlimited());
        assert_eq!(verdict.validity, Validity::Invalid, "{history}: {}", verdict.why);
    }
}
