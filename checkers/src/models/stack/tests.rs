//! The stack's hints, its vocabulary, and its shortcut against the oracle.

use super::*;
use crate::linearizability::tests::Tally;
use crate::linearizability::tests::exhaustive::{Sort, compare_all, judge_all};
use crate::linearizability::tests::random::compare_many;
use crate::linearizability::{Answer, check_operations, judge as judge_operations};
use crate::synthetic::Simulation;
use elenchus_core::budget::Budget;
use elenchus_core::operation::Operation;
use elenchus_core::process::Process;
use elenchus_core::random::{Rng, Seed};
use elenchus_core::time::Time;
use elenchus_core::verdict::Validity;
use std::collections::HashSet;
use std::time::Duration;

type StackOperation = Operation<StackOp, StackRet>;

fn int(number: i64) -> Value {
    Value::Int(number)
}

fn push(value: i64) -> StackOp {
    StackOp::Push { key: Value::Nil, value: int(value) }
}

const POP: StackOp = StackOp::Pop { key: Value::Nil };
const PEEK: StackOp = StackOp::Peek { key: Value::Nil };

fn top(value: i64) -> StackRet {
    StackRet::Top(int(value))
}

/// `+1` pushes, `-1` pops, `=1` sees; `-_` and `=_` found nothing, `-` alone does not say. With `?` in doubt, with
/// `*` it may never have happened, but what it answers if it did is known; with `!` refused.
fn sort(name: &str) -> Sort<Stack> {
    let (what, rest) = name.split_at(1);
    let (number, end) = rest.split_at(rest.find(['?', '*', '!']).unwrap_or(rest.len()));
    let value = number.parse().ok();
    let op = match what {
        "+" => push(value.expect("a push names its value")),
        "-" => POP,
        _ => PEEK,
    };
    let ret = match (what, value) {
        ("+", _) => StackRet::Done,
        (_, Some(value)) => top(value),
        (_, None) => StackRet::Empty,
    };
    match end {
        "?" => Sort::new(op, Outcome::info("timeout")),
        "*" => Sort::optional(op, Outcome::Ok(ret)),
        "!" if number.is_empty() => Sort::new(op, Outcome::Fail(Failure::Refused(None))),
        "!" => Sort::new(op, Outcome::Fail(Failure::Refused(Some(ret)))),
        _ => Sort::new(op, Outcome::Ok(ret)),
    }
}

/// Each value is pushed once, and values appear in the order of their numbers: one history of those that
/// differ in names alone.
fn pushed_once_in_order(operations: &[StackOperation]) -> bool {
    let (mut pushed, mut highest) = (HashSet::new(), 0);
    for operation in operations {
        let value = match deed(&operation.op, &operation.outcome) {
            Deed::Add(value) if !pushed.insert(value) => return false,
            Deed::Add(value) | Deed::Take(Seen::Value(value)) | Deed::Look(Seen::Value(value)) => value,
            _ => continue,
        };
        let Value::Int(number) = value else { continue };
        if *number > highest + 1 {
            return false;
        }
        highest = highest.max(*number);
    }
    true
}

fn all(model: &Stack, names: &str, count: usize) -> [u64; 3] {
    let sorts: Vec<_> = names.split_whitespace().map(sort).collect();
    let Tally { histories, linearizable, by_shortcut } =
        compare_all(model, &sorts, count, 3, pushed_once_in_order);
    [histories, linearizable, by_shortcut]
}

/// What the checker would say, with no further search.
fn judged(model: &Stack, names: &str, count: usize) -> [u64; 3] {
    let sorts: Vec<_> = names.split_whitespace().map(sort).collect();
    let Tally { histories, linearizable, by_shortcut } =
        judge_all(model, &sorts, count, pushed_once_in_order);
    [histories, linearizable, by_shortcut]
}

const COMPLETE: &str = "+1 -1 +2 -2 +3 -3 -_";
const PEEKS: &str = "+1 -1 =1 +2 -2 =2 =_";
const DOUBT: &str = "+1 -1 +2 -2 +1? +2? -? =1 -_";
const KNOWN: &str = "+1 -1 +2 -2 +1* +2* -1* -2* =2 -_ -?";
const TWICE: &str = "+1 -1 =1 -_ +2 -2 +1? +1! -1?";
const REFUSED: &str = "+1 -1 =1 -! -1! -_! +1! =? +1?";

/// The numbers are those of the enumeration, histories and linearizable ones: should they change, histories were lost
/// or gained. Hardly any needs search.
#[track_caller]
fn check(numbers: [[u64; 3]; 5], expected: [[u64; 2]; 5]) {
    assert_eq!(numbers.map(|[histories, linearizable, _]| [histories, linearizable]), expected);
    let few_need_search = |[histories, _, known]: &[u64; 3]| (histories - known) * 1_000 <= *histories;
    assert!(numbers.iter().all(few_need_search), "{numbers:?}");
}

#[test]
fn the_shortcut_agrees_on_every_small_history() {
    let model = Stack::default();
    let numbers = [COMPLETE, PEEKS, DOUBT, KNOWN, REFUSED].map(|names| all(&model, names, 4));
    check(numbers, [[4021, 447], [11084, 883], [10799, 1849], [13777, 2668], [29219, 6901]]);
}

#[test]
fn values_that_are_pushed_twice_are_found_out_whatever_the_order_of_calls() {
    let sorts: Vec<Sort<Stack>> = TWICE.split(' ').map(sort).collect();
    let Tally { histories, linearizable, .. } = compare_all(&Stack::default(), &sorts, 4, 3, |_| true);
    assert_eq!([histories, linearizable], [34627, 9801]);
}

#[test]
fn the_shortcut_agrees_on_every_history_of_five_operations() {
    let model = Stack::default();
    let numbers = [COMPLETE, PEEKS, DOUBT, KNOWN, REFUSED].map(|names| judged(&model, names, 5));
    check(numbers, [[73037, 4204], [218651, 9837], [182203, 19630], [254889, 31968], [616630, 104784]]);
}

/// Values pushed once, by processes that also pop and peek.
fn choose(rng: &mut Rng, number: usize, _: &Pile) -> StackOp {
    match rng.below(9) {
        0..4 => push(number as i64 + 1),
        4..8 => POP,
        _ => PEEK,
    }
}

fn answer(state: &Pile, op: &StackOp) -> Outcome<StackRet> {
    Outcome::Ok(match (op, state.top()) {
        (StackOp::Push { .. }, _) => StackRet::Done,
        (_, Some(value)) => StackRet::Top(value.clone()),
        (_, None) => StackRet::Empty,
    })
}

/// Two answers change places, or one of them changes.
fn lie(rng: &mut Rng, operations: &mut [StackOperation]) {
    let answered = |o: &StackOperation| o.outcome.is_ok() && !matches!(o.op, StackOp::Push { .. });
    let places: Vec<usize> = (0..operations.len()).filter(|i| answered(&operations[*i])).collect();
    if places.len() < 2 || rng.chance(1, 4) {
        return;
    }
    let (one, other) = (*rng.pick(&places), *rng.pick(&places));
    let answer = operations[other].outcome.clone();
    operations[other].outcome = match rng.below(3) {
        0 => Outcome::Ok(top(rng.between(1, 8) as i64)),
        1 => Outcome::Ok(StackRet::Empty),
        _ => std::mem::replace(&mut operations[one].outcome, answer),
    };
}

#[test]
fn the_shortcut_agrees_on_random_histories() {
    let tally = compare_many(&Stack::default(), &Pile::default(), (11, 30_000), choose, answer, lie);
    let lies = tally.histories - tally.linearizable;
    assert!(lies > 4_000 && tally.linearizable > 10_000, "{tally:?}");
    assert!(tally.by_shortcut * 1000 > tally.histories * 995, "{tally:?}");
}

#[test]
#[ignore = "long: a million histories"]
fn the_shortcut_agrees_on_many_random_histories() {
    let rounds = (12, 1_000_000);
    let tally = compare_many(&Stack::default(), &Pile::default(), rounds, choose, answer, lie);
    assert!(tally.by_shortcut * 1000 > tally.histories * 995, "{tally:?}");
}

/// A history of a true stack.
fn simulated(operations: usize, clients: usize, doubt_permille: u64, seed: u64) -> Vec<StackOperation> {
    let simulation = Simulation { operations, clients, doubt_permille, seed };
    simulation.run(&Stack::default(), Pile::default(), choose, answer)
}

#[test]
fn the_shortcut_knows_long_histories_of_a_true_stack() {
    let mut open = Vec::new();
    for seed in 0..120 {
        let operations = simulated(3_000, 2 + seed as usize % 19, 10 * (seed % 6), seed);
        let tasks: Vec<_> = Task::all(&operations).collect();
        match Stack::default().shortcut(&tasks) {
            Some(Shortcut::Linearizable) => {}
            Some(refuted) => panic!("seed {seed}: {refuted:?}"),
            None => open.push(seed),
        }
    }
    assert!(open.len() < 2, "{open:?}");
}

#[test]
fn search_and_shortcut_agree_on_a_thousand_operations() {
    let (mut rng, mut decided, mut refuted) = (Seed(5).rng(), 0, 0);
    for seed in 0..40 {
        let mut operations = simulated(1_000, 2, 0, seed);
        if seed % 2 == 0 {
            lie(&mut rng, &mut operations);
        }
        let shortcut = Stack::default().shortcut(&Task::all(&operations).collect::<Vec<_>>());
        let search = by_search_alone(&operations);
        let (Some(shortcut), Some(search)) = (shortcut, search) else { continue };
        assert_eq!(shortcut == Shortcut::Linearizable, search, "seed {seed}");
        decided += 1;
        refuted += u32::from(!search);
    }
    assert!(decided >= 10 && refuted >= 4, "{decided} decided, {refuted} refuted");
}

/// What the search says within a second.
fn by_search_alone(operations: &[StackOperation]) -> Option<bool> {
    let budget = Budget::new(Duration::from_secs(1), 1 << 26);
    match judge_operations(&Plain(Stack::default()), operations, &budget)[0].answer {
        Answer::Linearizable => Some(true),
        Answer::Refuted { .. } => Some(false),
        Answer::Unknown { .. } => None,
    }
}

/// The stack without its shortcut.
struct Plain(Stack);

impl Model for Plain {
    type Op = StackOp;
    type Ret = StackRet;
    type Key = Value;
    type State = Pile;

    fn init(&self, key: &Value) -> Pile {
        self.0.init(key)
    }

    fn step(
        &self,
        state: &Pile,
        op: &StackOp,
        outcome: &Outcome<StackRet>,
    ) -> impl IntoIterator<Item = Pile> {
        self.0.step(state, op, outcome)
    }

    fn key(&self, op: &StackOp) -> Value {
        self.0.key(op)
    }

    fn describe(&self, op: &StackOp, outcome: &Outcome<StackRet>) -> String {
        self.0.describe(op, outcome)
    }
}

impl Insight for Plain {}

/// A history in order: of each operation its process, its name as in [`sort`], its call and its return.
fn history(lines: &[(u32, &str, u32, u32)]) -> Vec<StackOperation> {
    let operation = |(process, name, call, done): &(u32, &str, u32, u32)| {
        let (op, outcome) = sort(name).parts();
        let done = if outcome.is_info() { StackOperation::OPEN } else { *done };
        let (called, process) = (Time(u64::from(*call)), Process(*process));
        StackOperation { process, op, outcome, call: *call, done, called, ended: None }
    };
    lines.iter().map(operation).collect()
}

#[track_caller]
fn told(lines: &[(u32, &str, u32, u32)]) -> (String, String, usize) {
    let verdict = check_operations(&Stack::default(), &history(lines), &Budget::unlimited());
    assert_eq!(verdict.validity, Validity::Invalid, "{}", verdict.why);
    let anomaly = &verdict.anomalies[0];
    (anomaly.class.clone(), anomaly.sentence.clone(), anomaly.operations.len())
}

#[test]
fn anomalies_are_told_in_plain_words() {
    let check = |lines: &[(u32, &str, u32, u32)], class: &str, sentence: &str| {
        let (named, words, _) = told(lines);
        assert_eq!((named.as_str(), words.as_str()), (class, sentence));
    };
    check(
        &[(0, "+1", 0, 1), (1, "-2", 2, 3)],
        "phantom-value",
        "process 1 popped 2, which nobody ever pushed",
    );
    check(
        &[(1, "-2", 0, 1), (0, "+2", 2, 3)],
        "future-value",
        "process 1 popped 2, although `push 2` by process 0 began only after that",
    );
    check(
        &[(0, "+1", 0, 1), (1, "-1", 2, 3), (2, "-1", 4, 5)],
        "double-pop",
        "process 2 popped 1, although `pop 1` by process 1 took it too and it was pushed only once",
    );
    check(
        &[(0, "+1", 0, 1), (1, "-1", 2, 3), (2, "=1", 4, 5)],
        "stale-peek",
        "process 2 saw 1 on top, although `pop 1` by process 1 had taken it before",
    );
    check(
        &[(0, "+1", 0, 1), (1, "-_", 2, 3), (2, "-1", 4, 5)],
        "false-empty",
        "process 1 found the stack empty, although 1 was inside: it had been pushed by process 0, and `pop 1` by \
         process 2 began only later",
    );
    check(
        &[(0, "+1", 0, 1), (1, "=_", 2, 3)],
        "false-empty",
        "process 1 found the stack empty, although 1 was inside: it had been pushed by process 0, and nobody who may \
         have popped 1 had begun",
    );
    check(
        &[(0, "+1", 0, 1), (0, "+2", 2, 3), (1, "-1", 4, 5), (2, "-2", 6, 7)],
        "out-of-order",
        "process 1 popped 1, although 2 was inside and was pushed after 1: it had been pushed by process 0, and \
         `pop 2` by process 2 began only later",
    );
}

#[test]
fn a_lost_value_is_out_of_order_only_while_nobody_can_have_popped_it() {
    let lost = [(0, "+1", 0, 1), (0, "+2", 2, 3), (1, "-1", 5, 6)];
    assert_eq!(told(&lost).0, "out-of-order");
    let excused = [(0, "+1", 0, 1), (0, "+2", 2, 3), (2, "-?", 4, 0), (1, "-1", 5, 6)];
    let verdict = check_operations(&Stack::default(), &history(&excused), &Budget::unlimited());
    assert_ne!(verdict.validity, Validity::Invalid, "{}", verdict.why);
}

#[test]
fn what_is_there_from_the_start_lies_at_the_bottom() {
    let stack = Stack::holding(&Value::vector([int(1), int(2)])).expect("a list");
    let in_order = history(&[(0, "-2", 0, 1), (0, "-1", 2, 3), (0, "-_", 4, 5)]);
    let reversed = history(&[(0, "-1", 0, 1), (0, "-2", 2, 3)]);
    let says = |of: &[StackOperation]| stack.shortcut(&Task::all(of).collect::<Vec<_>>());
    assert_eq!(says(&in_order), Some(Shortcut::Linearizable));
    assert!(matches!(says(&reversed), Some(Shortcut::Refuted(_))));
    assert!(Stack::holding(&int(3)).is_err());
}

#[test]
fn no_state_refutes_the_hints() {
    let piles: Vec<Pile> = [&[][..], &[1], &[2], &[1, 2], &[2, 1]]
        .map(|values| values.iter().copied().map(int).collect())
        .into();
    let rets = [StackRet::Done, StackRet::Empty, top(1), top(2)];
    let mut outcomes: Vec<Outcome<StackRet>> =
        vec![Outcome::info("timeout"), Outcome::Fail(Failure::Refused(None))];
    for ret in rets {
        outcomes.push(Outcome::Ok(ret.clone()));
        outcomes.push(Outcome::Fail(Failure::Refused(Some(ret))));
    }
    let (model, mut tried) = (Stack::default(), 0);
    for op in [push(1), POP, PEEK] {
        for outcome in &outcomes {
            for state in &piles {
                let after: Vec<Pile> = model.step(state, &op, outcome).into_iter().collect();
                if model.inert(&op, outcome) {
                    assert!(after.iter().all(|s| s == state), "{op:?} {outcome:?} from {state:?}");
                }
                if model.source(&op, outcome).is_some_and(|source| source != *state) {
                    assert!(after.is_empty(), "{op:?} {outcome:?} from {state:?}");
                }
                tried += after.len();
            }
        }
    }
    assert!(tried > 20, "hardly anything is possible");
}

#[test]
fn a_pop_may_change_the_stack_unless_it_found_nothing() {
    let model = Stack::default();
    assert!(!model.inert(&POP, &Outcome::Ok(top(1))) && !model.inert(&POP, &Outcome::info("timeout")));
    assert!(model.inert(&POP, &Outcome::Ok(StackRet::Empty)) && model.inert(&PEEK, &Outcome::Ok(top(1))));
}

#[test]
fn what_is_encoded_decodes_to_itself() {
    let v = StackVocabulary;
    for key in [Value::Nil, int(4)] {
        let push = StackOp::Push { key: key.clone(), value: int(7) };
        let cases = [
            (push, vec![StackRet::Done]),
            (StackOp::Pop { key: key.clone() }, vec![StackRet::Empty, top(7)]),
            (StackOp::Peek { key }, vec![StackRet::Empty, top(7)]),
        ];
        for (op, rets) in cases {
            let call = v.encode_op(&op);
            assert_eq!(v.decode_op(call.f, call.key.as_ref(), &call.value).as_ref(), Ok(&op));
            for ret in rets {
                assert_eq!(v.decode_ret(&op, &v.encode_ret(&op, &ret)), Ok(ret));
            }
        }
    }
    assert_eq!(v.decode_op("top", None, &Value::Nil), Ok(PEEK));
    assert!(
        v.decode_op("push", None, &Value::Nil).is_err() && v.decode_op("enqueue", None, &int(1)).is_err()
    );
}
