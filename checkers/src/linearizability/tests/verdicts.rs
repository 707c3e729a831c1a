//! Verdicts over whole histories: keys, vacuity, budgets, panics.

use super::agreement::{few_values, simulated};
use super::notation::{RegisterOperation, parse};
use crate::linearizability::judge::judge_watched;
use crate::linearizability::{Answer, Insight, check_operations, judge};
use crate::models::register::{NilReads, Register, RegisterOp, RegisterRet, failed_cas_is_refused};
use elenchus_core::budget::Budget;
use elenchus_core::checker::{Decided, Known, Watch};
use elenchus_core::model::Model;
use elenchus_core::outcome::Outcome;
use elenchus_core::random::Seed;
use elenchus_core::value::Value;
use elenchus_core::verdict::{Validity, Verdict};
use std::time::{Duration, Instant};

fn verdict(operations: &[RegisterOperation]) -> Verdict {
    check_operations(&Register::default(), operations, &Budget::unlimited())
}

#[track_caller]
fn check(history: &str, validity: Validity) -> Verdict {
    let verdict = verdict(&parse(history));
    assert_eq!(verdict.validity, validity, "{}", verdict.why);
    verdict
}

#[test]
fn nothing_is_no_pass() {
    check("", Validity::Unknown);
    check("|-w1-> |-r1->", Validity::Unknown);
    check("|-w1x-| |-r1x-|", Validity::Unknown);
}

#[test]
fn writes_that_nobody_looked_at_are_no_pass() {
    check("|-w1-| |-w2-| |-r2-| |-w3-| |-w4-| |-w5-|", Validity::Unknown);
    check("|-w1-| |-w2-| |-r2-| |-w3-| |-w4-|", Validity::Valid);
    let verdict = check("|-r_-| |-w1-|", Validity::Unknown);
    assert!(verdict.why.contains("0 of 1 acknowledged mutations"), "{}", verdict.why);
}

#[test]
fn a_violation_wins_over_a_lack_of_observations() {
    check("|-w1-| |-r2-| |-w3-| |-w4-| |-w5-| |-w6-|", Validity::Invalid);
}

fn with_key(operations: Vec<RegisterOperation>, key: i64) -> Vec<RegisterOperation> {
    let rekey = |mut operation: RegisterOperation| {
        match &mut operation.op {
            RegisterOp::Read { key: k }
            | RegisterOp::Write { key: k, .. }
            | RegisterOp::Cas { key: k, .. } => {
                *k = Value::Int(key);
            }
        }
        operation
    };
    operations.into_iter().map(rekey).collect()
}

#[test]
fn keys_are_judged_apart_and_the_guilty_one_is_named() {
    let mut operations = with_key(parse("|-w1-|        |-r1-|"), 3);
    operations.extend(with_key(parse("       |-w2-|        |-r1-|"), 4));
    operations.sort_by_key(|operation| operation.call);
    let verdict = verdict(&operations);
    assert_eq!(verdict.validity, Validity::Invalid);
    assert_eq!((&verdict.figures["keys"], &verdict.figures["keys_invalid"]), (&2.into(), &1.into()));
    assert_eq!(verdict.anomalies[0].key.as_deref(), Some("4"));
    assert!(verdict.why.contains("read 1 of key 4"), "{}", verdict.why);
}

#[test]
fn an_initial_value_other_than_nil_can_be_read() {
    let model = Register { initial: Value::Int(0), nil_reads: NilReads::SawNil };
    let check = |history| check_operations(&model, &parse(history), &Budget::unlimited()).validity;
    assert_eq!(check("|-r0-|"), Validity::Valid);
    assert_eq!(check("|-r_-|"), Validity::Invalid);
}

#[test]
fn a_read_of_nil_can_be_taken_to_say_nothing() {
    let model = Register { initial: Value::Nil, nil_reads: NilReads::SawNothing };
    let check = |history| check_operations(&model, &parse(history), &Budget::unlimited()).validity;
    assert_eq!(check("|-w1-| |-r_-|"), Validity::Valid);
    assert_eq!(check("|-w1-| |-r2-|"), Validity::Invalid);
}

#[test]
fn a_failed_cas_can_be_taken_for_a_refusal() {
    let mut operations = parse("|-w1-| |-c1,2x-| |-r1-|");
    assert_eq!(verdict(&operations).validity, Validity::Valid);
    operations.iter_mut().for_each(failed_cas_is_refused);
    assert_eq!(verdict(&operations).validity, Validity::Invalid);
}

#[test]
fn hundreds_of_operations_in_doubt_do_not_stop_the_search() {
    let mut line = String::new();
    for value in 0..200 {
        line += &format!("|w{}> ", value % 7);
    }
    let certain = "|-w8-| |-r8-| |-r3-| |-r4-| |-r3-| |-w9-| |-r9-|";
    let offset = " ".repeat(line.len());
    check(&format!("{line}\n{offset}{certain}"), Validity::Valid);
    check(&format!("{line}\n{offset}{certain} |-r8-|"), Validity::Invalid);
}

#[test]
fn thousands_of_open_operations_do_not_overflow_the_window() {
    for width in [63, 64, 65, 128, 129, 600, 3_000] {
        let mut operations = Vec::new();
        for i in 0..width {
            let mut one = parse("|-w1-|").remove(0);
            one.call = i;
            one.done = 2 * width + i;
            operations.push(one);
        }
        let mut read = parse("|-r1-|").remove(0);
        (read.call, read.done) = (width, width + 1);
        operations.push(read.clone());
        let mut later = read.clone();
        (later.call, later.done) = (3 * width, 3 * width + 1);
        operations.push(later.clone());
        assert_eq!(verdict(&operations).validity, Validity::Valid, "{width} open");
        let last = operations.len() - 1;
        operations[last].outcome = Outcome::Ok(RegisterRet::Saw(Value::Nil));
        assert_eq!(verdict(&operations).validity, Validity::Invalid, "{width} open");
    }
}

#[test]
fn a_search_out_of_memory_ends_as_unknown() {
    let budget = Budget::new(Duration::from_secs(60), 1 << 20);
    let operations = hopeless();
    let findings = judge(&Register::default(), &operations, &budget);
    let Answer::Unknown { why, .. } = &findings[0].answer else { panic!("{:?}", findings[0].answer) };
    assert!(why.contains("memory"), "{why}");
    let verdict = check_operations(&Register::default(), &operations, &budget);
    assert_eq!(verdict.validity, Validity::Unknown);
    assert!(verdict.why.starts_with("1 of 1 keys were not decided"), "{}", verdict.why);
}

#[test]
fn a_search_out_of_time_ends_as_unknown() {
    let began = Instant::now();
    let budget = Budget::new(Duration::from_millis(100), usize::MAX);
    let verdict = check_operations(&Register::default(), &hopeless(), &budget);
    assert_eq!(verdict.validity, Validity::Unknown);
    assert!(verdict.why.contains("time"), "{}", verdict.why);
    // Far below what the search would need, far above what a loaded machine delays.
    assert!(began.elapsed() < Duration::from_secs(30));
}

/// Thirty writes of different values at once, and cas that link them: too many orders to try.
fn hopeless() -> Vec<RegisterOperation> {
    let mut operations = Vec::new();
    for i in 0..60u32 {
        let mut one = parse("|-w1-|").remove(0);
        if i % 2 == 0 {
            one.op = RegisterOp::Write { key: Value::Nil, value: Value::Int(i64::from(i)) };
        } else {
            let (from, to) = (Value::Int(i64::from(i / 2 * 4 % 60)), Value::Int(i64::from(i)));
            one.op = RegisterOp::Cas { key: Value::Nil, from, to };
        }
        (one.call, one.done) = (i, 100 + i);
        operations.push(one);
    }
    // A value set twice: no shortcut.
    for call in [98, 99] {
        let mut twice = parse("|-w70-|").remove(0);
        (twice.call, twice.done) = (call, 102 + call);
        operations.push(twice);
    }
    let mut read = parse("|-r_-|").remove(0);
    (read.call, read.done) = (300, 301);
    operations.push(read);
    operations
}

#[test]
fn values_set_once_need_no_search() {
    let mut operations = hopeless();
    operations.retain(|operation| operation.op.sets() != Some(&Value::Int(70)));
    let verdict = verdict(&operations);
    assert_eq!((verdict.validity, &verdict.figures["keys_searched"]), (Validity::Invalid, &0.into()));
    assert!(verdict.anomalies[0].operations.len() < 5, "{:?}", verdict.anomalies[0]);
}

#[test]
fn a_true_register_is_never_accused() {
    let mut rng = Seed(21).rng();
    for round in 0..300 {
        let operations = simulated(&mut rng, 200, 8, 1, few_values);
        let verdict = verdict(&operations);
        assert_eq!(verdict.validity, Validity::Valid, "round {round}: {}", verdict.why);
    }
}

#[test]
fn a_true_register_with_one_read_changed_to_what_nobody_wrote_always_is() {
    let mut rng = Seed(22).rng();
    for _ in 0..300 {
        let mut operations = simulated(&mut rng, 200, 8, 1, few_values);
        let is_read =
            |o: &&mut RegisterOperation| matches!(o.op, RegisterOp::Read { .. }) && o.outcome.is_ok();
        let mut reads: Vec<_> = operations.iter_mut().filter(is_read).collect();
        let at = rng.below(reads.len() as u64) as usize;
        reads[at].outcome = Outcome::Ok(RegisterRet::Saw(Value::Int(99)));
        let call = reads[at].call;
        let verdict = verdict(&operations);
        assert_eq!((verdict.validity, verdict.class.as_deref()), (Validity::Invalid, Some("never-written")));
        assert_eq!(verdict.anomalies[0].operations.iter().map(|e| e.call).collect::<Vec<_>>(), [call]);
    }
}

/// A model that panics at one value.
struct Brittle(Register);

impl Model for Brittle {
    type Op = RegisterOp;
    type Ret = RegisterRet;
    type Key = Value;
    type State = Value;
    fn init(&self, key: &Value) -> Value {
        self.0.init(key)
    }
    fn step(
        &self,
        state: &Value,
        op: &RegisterOp,
        outcome: &Outcome<RegisterRet>,
    ) -> impl IntoIterator<Item = Value> {
        assert!(op.sets() != Some(&Value::Int(9)), "nine is too many");
        self.0.step(state, op, outcome).into_iter().collect::<Vec<_>>()
    }
    fn key(&self, op: &RegisterOp) -> Value {
        self.0.key(op)
    }
    fn describe(&self, op: &RegisterOp, outcome: &Outcome<RegisterRet>) -> String {
        self.0.describe(op, outcome)
    }
}

impl Insight for Brittle {}

#[test]
fn a_model_that_panics_leaves_its_key_unknown_and_the_others_judged() {
    let mut operations = with_key(parse("|-w9-| |-r9-|"), 1);
    operations.extend(with_key(parse("               |-w2-| |-r3-|"), 2));
    for threads in [1, 2] {
        let budget = Budget::unlimited().with_threads(threads);
        let findings = judge(&Brittle(Register::default()), &operations, &budget);
        assert!(
            matches!(&findings[0].answer, Answer::Unknown { why, .. } if why.contains("nine is too many"))
        );
        assert!(matches!(findings[1].answer, Answer::Refuted { .. }));
        let verdict = check_operations(&Brittle(Register::default()), &operations, &budget);
        assert_eq!(verdict.validity, Validity::Invalid);
        assert_eq!(verdict.figures["keys_unknown"], 1);
    }
}

/// Keeps what it is told.
#[derive(Default)]
struct Notes(std::sync::Mutex<Vec<Decided>>);

impl Watch for Notes {
    fn decided(&self, part: Decided) {
        self.0.lock().expect("nobody panics").push(part);
    }
}

#[test]
fn a_watcher_is_told_of_every_key() {
    let mut operations = with_key(parse("|-w9-| |-r9-|"), 1);
    operations.extend(with_key(parse("               |-w2-| |-r3-|"), 2));
    operations.extend(with_key(parse("                             |-w2-|"), 3));
    let notes = Notes::default();
    judge_watched(&Brittle(Register::default()), &operations, &Budget::unlimited(), &notes);
    let told = notes.0.into_inner().expect("nobody panics");
    let validities: Vec<Validity> = told.iter().map(|part| part.validity).collect();
    assert_eq!(validities, [Validity::Unknown, Validity::Invalid, Validity::Valid]);
    assert!(told.iter().all(|part| part.parts == 3));
    assert_eq!(told.iter().map(|part| part.part).collect::<Vec<_>>(), [0, 1, 2]);
    let anomaly = told[1].anomaly.as_ref().expect("it is invalid");
    assert!(anomaly.sentence.contains("`read 3` of key Int(2)"), "{}", anomaly.sentence);
    assert!(anomaly.operations[0].guilty);
}

/// Knows of the first part that it is hopeless and of the second that it is valid.
struct Knows;

impl Watch for Knows {
    fn begins(&self, part: usize) -> Option<Known> {
        [Known::Hopeless("it bites".into()), Known::Valid].into_iter().nth(part)
    }

    fn decided(&self, _: Decided) {}
}

#[test]
fn a_part_that_a_watcher_knows_is_not_examined_and_the_others_are() {
    // Of the two reads of what nobody wrote, only the third part's can be found.
    let mut operations = with_key(parse("|-w9-| |-r9-| |-w9-|"), 1);
    operations.extend(with_key(parse("                     |-w2-| |-r3-|"), 2));
    operations.extend(with_key(parse("                                    |-r4-|"), 3));
    let findings = judge_watched(&Brittle(Register::default()), &operations, &Budget::unlimited(), &Knows);
    assert_eq!(findings[0].answer, Answer::Unknown { reached: 0, why: "it bites".into() });
    assert_eq!(findings[1].answer, Answer::Linearizable);
    assert!(matches!(findings[2].answer, Answer::Refuted { .. }));
}

#[test]
fn where_only_the_answer_is_wanted_no_time_goes_into_evidence() {
    let operations = parse("|-w1-|  |-w2-|  |-r1-|");
    let budget = Budget::unlimited().with_evidence(Duration::ZERO);
    let verdict = check_operations(&Register::default(), &operations, &budget);
    assert_eq!((verdict.validity, verdict.anomalies.len()), (Validity::Invalid, 1));
    let shown = &verdict.anomalies[0].operations;
    assert!(shown.len() == 1 && shown[0].guilty && shown[0].text == "read 1", "{shown:?}");
    assert_eq!(verdict.why, "no order of all operations explains `read 1` by process 0");
}
