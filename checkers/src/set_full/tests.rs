//! One set, told in a line: `+5 +6? r5 r56 -7`.

use super::*;
use elenchus_core::outcome::Outcome;
use elenchus_core::process::Process;
use elenchus_core::random::Seed;
use elenchus_core::time::Time;

/// Operations one after the other: `+5` an add, `+5?` in doubt, `+5x` not done, `r56` a read of 5 and 6,
/// `rx` a read that failed. After `~` an operation overlaps the one before.
fn parse(text: &str) -> Vec<SetOperation> {
    let mut operations: Vec<SetOperation> = Vec::new();
    for (i, word) in text.split_whitespace().enumerate() {
        let (overlaps, word) = word.strip_prefix('~').map_or((false, word), |rest| (true, rest));
        let call = if overlaps { operations[i - 1].call + 1 } else { 4 * i as u32 };
        let outcome = |ret| match word.chars().last() {
            Some('?') => Outcome::info("timeout"),
            Some('x') => Outcome::not_done("no connection"),
            _ => Outcome::Ok(ret),
        };
        let digits = || word.chars().filter_map(|c| c.to_digit(10)).map(|n| Value::Int(i64::from(n)));
        let (op, outcome) = match word.as_bytes()[0] {
            b'r' => (SetOp::Read { key: Value::Nil }, outcome(SetRet::Elements(digits().collect()))),
            _ => {
                let element = digits().next().expect("an add has an element");
                (SetOp::Add { key: Value::Nil, element }, outcome(SetRet::Done))
            }
        };
        let done = if outcome.is_info() { SetOperation::OPEN } else { 4 * i as u32 + 3 };
        let process = Process(i as u32);
        operations.push(Operation { process, op, outcome, call, done, called: Time::ZERO, ended: None });
    }
    operations.sort_by_key(|operation| operation.call);
    operations
}

#[track_caller]
fn check(history: &str, checker: SetFull, validity: Validity, class: Option<&str>) -> Verdict {
    let verdict = checker.judge(&parse(history), &Budget::unlimited());
    assert_eq!((verdict.validity, verdict.class.as_deref()), (validity, class), "{history}: {}", verdict.why);
    verdict
}

#[track_caller]
fn valid(history: &str) {
    check(history, SetFull::linearizable(), Validity::Valid, None);
}

#[track_caller]
fn invalid(history: &str, class: &str) {
    let verdict = check(history, SetFull::linearizable(), Validity::Invalid, Some(class));
    let anomaly = &verdict.anomalies[0];
    assert_eq!(anomaly.operations.iter().filter(|exhibit| exhibit.guilty).count(), 1, "{anomaly:?}");
    assert_eq!(anomaly.sentence.is_empty(), verdict.why.is_empty());
}

#[track_caller]
fn unknown(history: &str) {
    check(history, SetFull::linearizable(), Validity::Unknown, None);
}

#[test]
fn what_is_added_and_read_is_valid() {
    valid("+1 +2 r12");
    valid("+1 r1 +2 r12 r21");
    valid("+1 ~r r1");
}

#[test]
fn an_acknowledged_element_missing_from_later_reads_is_lost() {
    invalid("+1 +2 r2", "lost");
    invalid("+1 r1 r r", "lost");
    check("+1 +2 r2", SetFull::eventual(), Validity::Invalid, Some("lost"));
}

#[test]
fn an_element_missing_for_a_while_is_stale() {
    invalid("+1 r r1", "stale");
    let verdict = check("+1 r r1", SetFull::eventual(), Validity::Valid, None);
    assert_eq!(verdict.figures["stale"], 1);
}

#[test]
fn an_add_in_doubt_may_be_seen_or_not_but_does_not_vanish() {
    valid("+2 +1? r2 r2");
    valid("+2 +1? r2 r12 r12");
    invalid("+2 +1? r12 r2", "lost");
    invalid("+2 +1? r12 r2 r12", "stale");
}

#[test]
fn a_read_that_overlaps_the_one_that_saw_it_first_may_miss_it() {
    valid("+2 +1? r12 ~r2 r12");
}

#[test]
fn what_nobody_added_is_unexpected() {
    invalid("+1 r12", "unexpected");
    invalid("+1 +2x r12", "unexpected");
    invalid("+1 r12 +2", "unexpected");
}

#[test]
fn an_element_stands_only_once_in_a_read() {
    invalid("+1 r11", "duplicated");
}

#[test]
fn a_history_that_says_nothing_is_no_pass() {
    unknown("");
    unknown("+1");
    unknown("+1 rx");
    unknown("r1x");
    unknown("+1x rx");
    unknown("+1 r1 +2 +3 +4");
}

#[test]
fn the_figures_count_every_fate() {
    let verdict =
        check("+1 +2 +3? +4 r1245 r145 r1445 +6", SetFull::linearizable(), Validity::Invalid, Some("lost"));
    let figure = |name: &str| verdict.figures[name].clone();
    assert_eq!([figure("lost"), figure("unexpected"), figure("duplicated")], [1, 1, 1]);
    assert_eq!([figure("stable"), figure("never-read"), figure("stale")], [1, 2, 0]);
    assert_eq!(figure("lost_elements"), json!(["2"]));
}

#[test]
fn a_budget_that_ends_is_no_pass() {
    let budget = Budget::new(std::time::Duration::from_secs(60), 100);
    let verdict = SetFull::linearizable().judge(&parse("+1 +2 r12 r12 r12"), &budget);
    assert_eq!(verdict.validity, Validity::Unknown);
    assert!(verdict.why.contains("1 of 1 sets"), "{}", verdict.why);
}

/// Every read of a simulated set, taken at one moment within it, is accepted; with one element taken out
/// of the last read it is not.
#[test]
fn a_true_set_is_never_accused_and_a_robbed_one_always() {
    let mut rng = Seed(5).rng();
    for _ in 0..500 {
        let mut held: Vec<i64> = Vec::new();
        let mut line = String::new();
        for element in 1..10 {
            let doubt = rng.chance(1, 4);
            if !doubt || rng.chance(1, 2) {
                held.push(element);
            }
            line += &format!("+{element}{} ", if doubt { "?" } else { "" });
            if rng.chance(1, 2) {
                rng.shuffle(&mut held);
                line += &format!("r{} ", held.iter().map(i64::to_string).collect::<String>());
            }
        }
        let all = held.iter().map(i64::to_string).collect::<String>();
        valid(&format!("{line}r{all}"));
        if held.len() > 1 {
            let verdict = SetFull::linearizable()
                .judge(&parse(&format!("{line}r{all} r{}", &all[1..])), &Budget::unlimited());
            assert_eq!(verdict.validity, Validity::Invalid, "{line}");
        }
    }
}
