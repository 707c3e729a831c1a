//! What is shown of a refuted history proves it, and nothing of it is superfluous.

use super::agreement::{few_values, random, simulated};
use super::notation::{RegisterOperation, parse};
use super::oracle::is_linearizable;
use crate::linearizability::witness::evidence_after;
use crate::linearizability::{Answer, Evidence, Insight, Shortcut, Task, check_operations, evidence, judge};
use crate::models::lock::{Holder, LockOp, LockRet};
use crate::models::mutex::Mutex as Lock;
use crate::models::register::{Register, RegisterOp, RegisterRet};
use elenchus_core::budget::Budget;
use elenchus_core::model::Model;
use elenchus_core::operation::Operation;
use elenchus_core::outcome::Outcome;
use elenchus_core::process::Process;
use elenchus_core::random::Seed;
use elenchus_core::time::Time;
use elenchus_core::value::Value;
use elenchus_core::verdict::{Validity, Verdict};
use std::sync::Mutex;
use std::time::{Duration, Instant};

fn evidence_on(operations: &[RegisterOperation]) -> Option<Evidence> {
    let (model, budget) = (Register::default(), Budget::unlimited());
    let finding = judge(&model, operations, &budget).remove(0);
    let Answer::Refuted { failed, .. } = finding.answer else { return None };
    Some(evidence(&model, operations, &finding.operations, failed, &budget))
}

/// The history with all operations but these free to happen at any time or never.
pub(super) fn release_all_but<O: Clone, R: Clone>(
    operations: &[Operation<O, R>],
    held: &[usize],
) -> Vec<Operation<O, R>> {
    let mut released = operations.to_vec();
    for (_, operation) in released.iter_mut().enumerate().filter(|(i, _)| !held.contains(i)) {
        operation.outcome = Outcome::info("released");
        operation.call = 0;
        operation.done = Operation::<O, R>::OPEN;
    }
    released.sort_by_key(|operation| operation.call);
    released
}

#[test]
fn a_witness_refutes_alone_and_no_less_does() {
    let (model, mut rng) = (Register::default(), Seed(11).rng());
    let mut refuted = 0;
    while refuted < 3_000 {
        let (count, processes, values) =
            (rng.between(2, 7) as usize, rng.between(1, 4) as usize, rng.between(1, 3));
        let doubt = rng.below(4);
        // Positions begin at 1, so that what is released can be called before everything.
        let operations = random(&mut rng, count, processes, values, doubt);
        let Some(found) = evidence_on(&operations) else { continue };
        refuted += 1;
        assert!(found.minimal && found.witness.contains(&found.guilty));
        assert!(
            !is_linearizable(&model, &release_all_but(&operations, &found.witness)),
            "{operations:#?} {found:?}"
        );
        for member in &found.witness {
            let less: Vec<usize> = found.witness.iter().copied().filter(|other| other != member).collect();
            assert!(
                is_linearizable(&model, &release_all_but(&operations, &less)),
                "{operations:#?} {found:?}"
            );
        }
        assert_partial_is_legal(&operations, &found);
    }
}

/// The partial linearization respects real time, and the register could have produced it.
#[track_caller]
fn assert_partial_is_legal(operations: &[RegisterOperation], found: &Evidence) {
    let mut state = Value::Nil;
    for operation in found.partial.iter().map(|i| &operations[*i]) {
        let model = Register::default();
        let after: Vec<Value> = model.step(&state, &operation.op, &operation.outcome).into_iter().collect();
        state = after.first().expect("every step of a partial linearization is legal").clone();
    }
    for (i, before) in found.partial.iter().enumerate() {
        for after in &found.partial[i + 1..] {
            assert!(!operations[*after].precedes(&operations[*before]));
        }
    }
}

fn verdict(history: &str) -> Verdict {
    check_operations(&Register::default(), &parse(history), &Budget::unlimited())
}

/// The class, the sentence and the operations shown, the guilty one marked.
#[track_caller]
fn told(history: &str, class: &str, sentence: &str, shown: &[&str]) {
    let verdict = verdict(history);
    assert_eq!(
        (verdict.validity, verdict.class.as_deref()),
        (Validity::Invalid, Some(class)),
        "{}",
        verdict.why
    );
    let anomaly = &verdict.anomalies[0];
    assert!(anomaly.sentence.contains(sentence), "{}", anomaly.sentence);
    let mark = |guilty| if guilty { "! " } else { "" };
    let operations: Vec<String> =
        anomaly.operations.iter().map(|e| format!("{}{}", mark(e.guilty), e.text)).collect();
    assert_eq!(operations, shown, "{}", anomaly.sentence);
}

#[test]
fn a_stale_read_is_told_with_the_write_that_it_missed() {
    told(
        "|-w1-| |-w2-|        |-w5-|\n               |-r1-|         |-r5-|",
        "stale-read",
        "process 1 read 1, although `write 2` by process 0 was acknowledged",
        &["write 1", "write 2", "! read 1"],
    );
}

#[test]
fn a_zero_that_was_there_before_anything_was_written_hints_at_the_initial_value() {
    let hint = "; if keys start as 0 say --initial '0'";
    told("|-r0-| |-w2-|", "never-written", hint, &["! read 0"]);
    assert!(!verdict("|-w2-| |-r0-|").why.contains("--initial"));
}

#[test]
fn a_stale_read_of_the_initial_value_names_no_writer() {
    told(
        "|-w2-|\n        |-r_-|  |-r2-|",
        "stale-read",
        "nothing ever wrote that",
        &["write 2", "! read nil"],
    );
}

#[test]
fn a_value_from_nowhere_is_told_alone() {
    told(
        "|-w2-|\n        |-r7-|",
        "never-written",
        "process 1 read 7, which nobody ever wrote",
        &["! read 7"],
    );
}

#[test]
fn a_value_of_a_write_that_was_answered_as_not_done_is_told_with_it() {
    told("|-w7x-|\n        |-r7-|", "aborted-read", "not done", &["write 7 failed", "! read 7"]);
    let history = "|-w1-| |-c2,7!1-|\n              |-r1-| |-r7-|";
    // The cas could not have set 7 even if it were free to happen, so it does not belong to the proof.
    told(history, "aborted-read", "not done", &["! read 7"]);
    assert!(verdict(history).anomalies[0].context.iter().any(|e| e.text == "cas 2 → 7 refused, saw 1"));
}

#[test]
fn a_cas_that_was_refused_for_what_it_set_itself_is_told_so() {
    told(
        "|-w1-|\n        |-c1,7!7-|",
        "refused-but-applied",
        "nobody but this very cas would write",
        &["! cas 1 → 7 refused, saw 7"],
    );
}

#[test]
fn a_value_read_before_its_write_began_is_told_as_such() {
    told("        |-w7-|\n|-r7-|       |-r7-|", "future-read", "only after that", &["! read 7", "write 7"]);
}

#[test]
fn two_cas_from_one_value_are_a_lost_update() {
    told(
        "|-w1-|  |-c1,2-|  |-r3-|\n      |----c1,3---|",
        "lost-update",
        "succeeded from the same value",
        &["! cas 1 → 3", "cas 1 → 2"],
    );
}

#[test]
fn an_acknowledged_write_that_nobody_saw_before_the_old_value_was_used_again_is_lost() {
    told(
        "|-w1-| |-w2-| |-r1-| |-c1,3-| |-r3-|",
        "lost-write",
        "so it was lost",
        &["write 1", "write 2", "! read 1"],
    );
}

#[test]
fn an_old_value_used_again_after_the_new_one_was_seen_has_reappeared() {
    told(
        "|-w1-| |-w2-| |-r2-| |-r1-| |-c1,3-| |-r3-|",
        "reappeared",
        "took effect twice",
        &["write 1", "write 2", "! read 1"],
    );
}

#[test]
fn what_has_no_simple_story_is_told_plainly() {
    let history = "|--w1--|    |-r1-| |-r1-|\n|--w2--|    |-r1-| |-r2-| |-r1-|";
    let verdict = verdict(history);
    assert_eq!((verdict.validity, verdict.class.as_deref()), (Validity::Invalid, Some("nonlinearizable")));
    let possible = "when the register can only have held 1: no order of these";
    assert!(verdict.why.contains(possible), "{}", verdict.why);
}

#[test]
fn a_refusal_that_nothing_explains_is_told_with_what_the_register_held() {
    told(
        "|-w1-| |-c1,2!-|",
        "nonlinearizable",
        "process 0 was refused the cas 1 → 2, when the register can only have held 1",
        &["write 1", "! cas 1 → 2 refused"],
    );
}

#[test]
fn a_value_that_others_wrote_too_is_told_with_the_write_that_was_answered_as_not_done() {
    let history = "|-w1-| |-w2-| |-w1x-|\n                      |-r1-| |-w1-| |-r1-|";
    let verdict = verdict(history);
    assert_eq!(verdict.class.as_deref(), Some("aborted-read"));
    assert!(verdict.why.contains("which `write 1 failed` by process 0 explains"), "{}", verdict.why);
}

#[test]
fn the_earliest_prefix_that_fails_is_named() {
    let history = "|-w1-| |-w2-| |-r1-| |-r1-| |-r1-|";
    let operations = parse(history);
    assert_eq!(verdict(history).figures["prefix_end"], operations[2].done);
    assert_eq!(
        verdict(history).figures["partial_linearization"],
        serde_json::json!([operations[0].call, operations[1].call])
    );
}

#[test]
fn the_longest_linearization_of_a_long_history_is_whole() {
    let mut operations = simulated(&mut Seed(12).rng(), 4_000, 10, 1, few_values);
    let reads = |o: &&mut RegisterOperation| o.outcome.is_ok() && matches!(o.op, RegisterOp::Read { .. });
    let last = operations.iter_mut().filter(reads).last().expect("somebody reads");
    last.outcome = Outcome::Ok(RegisterRet::Saw(Value::Int(99)));
    let end = last.done;
    let found = evidence_on(&operations).expect("nobody wrote that");
    assert_eq!(operations[found.guilty].done, end);
    assert_partial_is_legal(&operations, &found);
    let returned: Vec<usize> = (0..operations.len()).filter(|i| operations[*i].done < end).collect();
    let effective = |i: &&usize| operations[**i].outcome.is_ok();
    assert!(returned.iter().filter(effective).count() > 2_000);
    assert!(returned.iter().filter(effective).all(|i| found.partial.contains(i)));
}

/// A register whose shortcut takes its time, and refutes without a reason.
#[derive(Default)]
struct Slow {
    register: Register,
    /// Which questions were begun, and when they should be answered.
    answers: Mutex<Vec<Instant>>,
}

/// So long for each operation.
const PAUSE: Duration = Duration::from_millis(15);

impl Model for Slow {
    type Op = RegisterOp;
    type Ret = RegisterRet;
    type Key = Value;
    type State = Value;

    fn init(&self, key: &Value) -> Value {
        self.register.init(key)
    }

    fn step(
        &self,
        state: &Value,
        op: &RegisterOp,
        outcome: &Outcome<RegisterRet>,
    ) -> impl IntoIterator<Item = Value> {
        self.register.step(state, op, outcome)
    }

    fn key(&self, op: &RegisterOp) -> Value {
        self.register.key(op)
    }

    fn describe(&self, op: &RegisterOp, outcome: &Outcome<RegisterRet>) -> String {
        self.register.describe(op, outcome)
    }
}

impl Insight for Slow {
    fn shortcut(&self, tasks: &[Task<'_, Slow>]) -> Option<Shortcut> {
        let time = PAUSE * tasks.len() as u32;
        self.answers.lock().expect("no test panics here").push(Instant::now() + time);
        std::thread::sleep(time);
        let reads = |task: &&Task<'_, Slow>| task.outcome.is_ok() && task.done > task.call;
        let refuted = tasks.iter().filter(reads).count() >= 3;
        Some(if refuted { Shortcut::Refuted(Vec::new()) } else { Shortcut::Linearizable })
    }
}

#[test]
fn no_question_is_asked_that_would_not_be_answered_in_time() {
    let operations = parse("|-w1-| |-w2-| |-w3-| |-r1-| |-r1-| |-r1-| |-r1-| |-r1-| |-r1-| |-r1-|");
    let part: Vec<usize> = (0..operations.len()).collect();
    for (time, asked) in [(0, 0), (100, 0), (1_000, 1)] {
        let (model, time) = (Slow::default(), Duration::from_millis(time));
        let budget = Budget::unlimited().within(time);
        let deadline = Instant::now() + time;
        let found = evidence_after(&model, &operations, &part, 3, (&budget, 10 * PAUSE));
        assert!(!found.minimal && found.witness.len() >= 3, "{found:?}");
        let answers = model.answers.lock().expect("no question panics");
        assert!(answers.len() >= asked && (asked > 0 || answers.is_empty()), "{answers:?}");
        // A machine that stands still between the look at the clock and the question asks it late.
        let late = Duration::from_millis(100);
        assert!(answers.iter().all(|at| *at < deadline + late), "{answers:?}");
    }
}

#[test]
fn evidence_on_a_long_history_ends_with_its_time() {
    let operation = |(at, acquires): (u32, bool)| Operation {
        process: Process(0),
        op: match acquires {
            true => LockOp::acquire(Value::Nil, Holder::ANYBODY),
            false => LockOp::release(Value::Nil, Holder::ANYBODY),
        },
        outcome: Outcome::Ok(LockRet::Done),
        call: 2 * at + 1,
        done: 2 * at + 2,
        called: Time::ZERO,
        ended: None,
    };
    // In turn, but for two acquires in the middle: every release must be held to its place to prove that.
    let acquires = |at: u32| at.is_multiple_of(2) == (at <= 50_000);
    let operations: Vec<_> = (0..100_001).map(|at| operation((at, acquires(at)))).collect();
    let check = |evidence| {
        let began = Instant::now();
        let budget = Budget::unlimited().with_evidence(evidence);
        let verdict = check_operations(&Lock::default(), &operations, &budget);
        assert_eq!(verdict.validity, Validity::Invalid);
        assert_eq!(verdict.figures["prefix_end"], operations[50_001].done);
        (began.elapsed(), verdict)
    };
    let (answer, _) = check(Duration::ZERO);
    let evidence = Duration::from_millis(300);
    let (all, verdict) = check(evidence);
    let room = Duration::from_secs(1);
    assert!(all < 2 * answer + evidence + room, "{all:?}, of which the answer took {answer:?}");
    assert!(verdict.why.contains("the budget ended"), "{}", verdict.why);
    assert_eq!(verdict.anomalies[0].operations.iter().filter(|exhibit| exhibit.guilty).count(), 1);
}
