//! The priority queue's hints, its vocabulary, and its shortcut against the oracle.

use super::*;
use crate::linearizability::tests::Tally;
use crate::linearizability::tests::exhaustive::{Sort, compare_all, judge_all};
use crate::linearizability::tests::order_free::of_every_order;
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

type QueueOperation = Operation<PriorityQueueOp, PriorityQueueRet>;

fn insert(value: i64) -> PriorityQueueOp {
    PriorityQueueOp::Insert { key: Value::Nil, value }
}

fn first(value: i64) -> PriorityQueueRet {
    PriorityQueueRet::First(value)
}

const POLL: PriorityQueueOp = PriorityQueueOp::Poll { key: Value::Nil };
const PEEK: PriorityQueueOp = PriorityQueueOp::Peek { key: Value::Nil };

/// `+1` inserts, `-1` polls, `=1` sees; `-_` and `=_` found nothing, `-` alone does not say. With `?` in doubt, with
/// `*` it may never have happened, but what it answers if it did is known; with `!` refused.
fn sort(name: &str) -> Sort<PriorityQueue> {
    let (what, rest) = name.split_at(1);
    let (number, end) = rest.split_at(rest.find(['?', '*', '!']).unwrap_or(rest.len()));
    let value = number.parse().ok();
    let op = match what {
        "+" => insert(value.expect("an insert names its value")),
        "-" => POLL,
        _ => PEEK,
    };
    let ret = match (what, value) {
        ("+", _) => PriorityQueueRet::Done,
        (_, Some(value)) => PriorityQueueRet::First(value),
        (_, None) => PriorityQueueRet::Empty,
    };
    match end {
        "?" => Sort::new(op, Outcome::info("timeout")),
        "*" => Sort::optional(op, Outcome::Ok(ret)),
        "!" if number.is_empty() => Sort::new(op, Outcome::Fail(Failure::Refused(None))),
        "!" => Sort::new(op, Outcome::Fail(Failure::Refused(Some(ret)))),
        _ => Sort::new(op, Outcome::Ok(ret)),
    }
}

/// Each value is inserted once.
fn inserted_once(operations: &[QueueOperation]) -> bool {
    let mut inserted = HashSet::new();
    operations.iter().all(|operation| match deed(&operation.op, &operation.outcome) {
        Deed::Add(value) => inserted.insert(value),
        _ => true,
    })
}

fn all(model: &PriorityQueue, names: &str, count: usize) -> [u64; 3] {
    let sorts: Vec<_> = names.split_whitespace().map(sort).collect();
    let Tally { histories, linearizable, by_shortcut } = compare_all(model, &sorts, count, 3, inserted_once);
    [histories, linearizable, by_shortcut]
}

/// What the checker would say, with no further search.
fn judged(model: &PriorityQueue, names: &str, count: usize) -> [u64; 3] {
    let sorts: Vec<_> = names.split_whitespace().map(sort).collect();
    let Tally { histories, linearizable, by_shortcut } = judge_all(model, &sorts, count, inserted_once);
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
fn the_order_of_what_is_inserted_and_polled_leaves_no_trace() {
    let kinds: Vec<_> =
        "+1 +2 +3? +1! -1 -2* -_ -! =1 =? -?".split(' ').map(|name| sort(name).parts()).collect();
    let (given, several) =
        of_every_order(&PriorityQueue::default(), &kinds).expect("it is known what is polled");
    assert!(given == 10 && several > 50, "{given} {several}");
}

#[test]
fn the_shortcut_agrees_on_every_small_history() {
    let model = PriorityQueue::default();
    let numbers = [COMPLETE, PEEKS, DOUBT, KNOWN, REFUSED].map(|names| all(&model, names, 4));
    check(numbers, [[15224, 1460], [17375, 1259], [16761, 2562], [27268, 5439], [29219, 6901]]);
}

#[test]
fn values_that_are_inserted_twice_are_found_out_whatever_the_order_of_calls() {
    let sorts: Vec<Sort<PriorityQueue>> = TWICE.split(' ').map(sort).collect();
    let Tally { histories, linearizable, .. } =
        compare_all(&PriorityQueue::default(), &sorts, 4, 3, |_| true);
    assert_eq!([histories, linearizable], [34627, 9236]);
}

#[test]
fn the_shortcut_agrees_on_every_history_of_five_operations() {
    let model = PriorityQueue::default();
    let numbers = [COMPLETE, PEEKS, DOUBT, KNOWN, REFUSED].map(|names| judged(&model, names, 5));
    check(numbers, [[271484, 13517], [334015, 13264], [278886, 26566], [492503, 64999], [616630, 104784]]);
}

/// Values inserted once, by processes that also poll and peek.
fn choose(rng: &mut Rng, number: usize, _: &Heap) -> PriorityQueueOp {
    // Scattered, and each once.
    let value = (number as i64 + 1) * 5 % 1_000_003;
    match rng.below(9) {
        0..4 => insert(value),
        4..8 => POLL,
        _ => PEEK,
    }
}

fn answer(state: &Heap, op: &PriorityQueueOp) -> Outcome<PriorityQueueRet> {
    Outcome::Ok(match (op, state.greatest()) {
        (PriorityQueueOp::Insert { .. }, _) => PriorityQueueRet::Done,
        (_, Some(value)) => PriorityQueueRet::First(value),
        (_, None) => PriorityQueueRet::Empty,
    })
}

/// Two answers change places, or one of them changes.
fn lie(rng: &mut Rng, operations: &mut [QueueOperation]) {
    let answered = |o: &QueueOperation| o.outcome.is_ok() && !matches!(o.op, PriorityQueueOp::Insert { .. });
    let places: Vec<usize> = (0..operations.len()).filter(|i| answered(&operations[*i])).collect();
    if places.len() < 2 || rng.chance(1, 4) {
        return;
    }
    let (one, other) = (*rng.pick(&places), *rng.pick(&places));
    let answer = operations[other].outcome.clone();
    operations[other].outcome = match rng.below(3) {
        0 => Outcome::Ok(first(5 * rng.between(1, 8) as i64)),
        1 => Outcome::Ok(PriorityQueueRet::Empty),
        _ => std::mem::replace(&mut operations[one].outcome, answer),
    };
}

#[test]
fn the_shortcut_agrees_on_random_histories() {
    let tally = compare_many(&PriorityQueue::default(), &Heap::default(), (11, 30_000), choose, answer, lie);
    let lies = tally.histories - tally.linearizable;
    assert!(lies > 4_000 && tally.linearizable > 10_000, "{tally:?}");
    assert!(tally.by_shortcut * 1000 > tally.histories * 995, "{tally:?}");
}

#[test]
#[ignore = "long: a million histories"]
fn the_shortcut_agrees_on_many_random_histories() {
    let rounds = (12, 1_000_000);
    let tally = compare_many(&PriorityQueue::default(), &Heap::default(), rounds, choose, answer, lie);
    assert!(tally.by_shortcut * 1000 > tally.histories * 995, "{tally:?}");
}

/// A history of a true queue.
fn simulated(operations: usize, clients: usize, doubt_permille: u64, seed: u64) -> Vec<QueueOperation> {
    let simulation = Simulation { operations, clients, doubt_permille, seed };
    simulation.run(&PriorityQueue::default(), Heap::default(), choose, answer)
}

#[test]
fn the_shortcut_knows_long_histories_of_a_true_queue() {
    let mut open = Vec::new();
    for seed in 0..120 {
        let operations = simulated(3_000, 2 + seed as usize % 19, 10 * (seed % 6), seed);
        let tasks: Vec<_> = Task::all(&operations).collect();
        match PriorityQueue::default().shortcut(&tasks) {
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
        let shortcut = PriorityQueue::default().shortcut(&Task::all(&operations).collect::<Vec<_>>());
        let search = by_search_alone(&operations);
        let (Some(shortcut), Some(search)) = (shortcut, search) else { continue };
        assert_eq!(shortcut == Shortcut::Linearizable, search, "seed {seed}");
        decided += 1;
        refuted += u32::from(!search);
    }
    assert!(decided >= 10 && refuted >= 4, "{decided} decided, {refuted} refuted");
}

/// What the search says within a second.
fn by_search_alone(operations: &[QueueOperation]) -> Option<bool> {
    let budget = Budget::new(Duration::from_secs(1), 1 << 26);
    match judge_operations(&Plain(PriorityQueue::default()), operations, &budget)[0].answer {
        Answer::Linearizable => Some(true),
        Answer::Refuted { .. } => Some(false),
        Answer::Unknown { .. } => None,
    }
}

/// The queue without its shortcut.
struct Plain(PriorityQueue);

impl Model for Plain {
    type Op = PriorityQueueOp;
    type Ret = PriorityQueueRet;
    type Key = Value;
    type State = Heap;

    fn init(&self, key: &Value) -> Heap {
        self.0.init(key)
    }

    fn step(
        &self,
        state: &Heap,
        op: &PriorityQueueOp,
        outcome: &Outcome<PriorityQueueRet>,
    ) -> impl IntoIterator<Item = Heap> {
        self.0.step(state, op, outcome)
    }

    fn key(&self, op: &PriorityQueueOp) -> Value {
        self.0.key(op)
    }

    fn describe(&self, op: &PriorityQueueOp, outcome: &Outcome<PriorityQueueRet>) -> String {
        self.0.describe(op, outcome)
    }
}

impl Insight for Plain {}

/// A history in order: of each operation its process, its name as in [`sort`], its call and its return.
fn history(lines: &[(u32, &str, u32, u32)]) -> Vec<QueueOperation> {
    let operation = |(process, name, call, done): &(u32, &str, u32, u32)| {
        let (op, outcome) = sort(name).parts();
        let done = if outcome.is_info() { QueueOperation::OPEN } else { *done };
        let (called, process) = (Time(u64::from(*call)), Process(*process));
        QueueOperation { process, op, outcome, call: *call, done, called, ended: None }
    };
    lines.iter().map(operation).collect()
}

#[track_caller]
fn told(lines: &[(u32, &str, u32, u32)]) -> (String, String, usize) {
    let verdict = check_operations(&PriorityQueue::default(), &history(lines), &Budget::unlimited());
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
        "process 1 polled 2, which nobody ever inserted",
    );
    check(
        &[(0, "+1", 0, 1), (1, "-1", 2, 3), (2, "-1", 4, 5)],
        "double-poll",
        "process 2 polled 1, although `poll 1` by process 1 took it too and it was inserted only once",
    );
    check(
        &[(0, "+1", 0, 1), (1, "-_", 2, 3), (2, "-1", 4, 5)],
        "false-empty",
        "process 1 found the priority queue empty, although 1 was inside: it had been inserted by process 0, and \
         `poll 1` by process 2 began only later",
    );
    check(
        &[(0, "+2", 0, 1), (0, "+1", 2, 3), (1, "-1", 4, 5), (2, "-2", 6, 7)],
        "out-of-order",
        "process 1 polled 1, although 2 was inside and comes first: it had been inserted by process 0, and `poll 2` \
         by process 2 began only later",
    );
}

#[test]
fn what_is_there_from_the_start_is_polled_by_its_priority() {
    let initial = Value::vector([Value::Int(1), Value::Int(2)]);
    let highest = history(&[(0, "-2", 0, 1), (0, "-1", 2, 3), (0, "-_", 4, 5)]);
    let lowest = history(&[(0, "-1", 0, 1), (0, "-2", 2, 3)]);
    for (priority, valid, invalid) in
        [(Priority::Highest, &highest, &lowest), (Priority::Lowest, &lowest, &highest)]
    {
        let queue = PriorityQueue::holding(&initial, priority).expect("a list of integers");
        let says = |of: &[QueueOperation]| queue.shortcut(&Task::all(of).collect::<Vec<_>>());
        assert_eq!(says(valid), Some(Shortcut::Linearizable));
        assert!(matches!(says(invalid), Some(Shortcut::Refuted(_))));
    }
    assert!(PriorityQueue::holding(&Value::vector([Value::str("a")]), Priority::Highest).is_err());
    assert!(PriorityQueue::holding(&Value::Int(3), Priority::Highest).is_err());
}

#[test]
fn the_order_of_priorities_includes_the_extremes() {
    for values in [[i64::MIN, i64::MAX], [-1, 0], [i64::MIN, i64::MIN + 1]] {
        assert!(Priority::Highest.rank(values[1]) < Priority::Highest.rank(values[0]));
        assert!(Priority::Lowest.rank(values[0]) < Priority::Lowest.rank(values[1]));
    }
}

#[test]
fn the_shortcut_agrees_where_the_lowest_comes_first() {
    let model = PriorityQueue { priority: Priority::Lowest, ..PriorityQueue::default() };
    assert_eq!(all(&model, "+1 -1 +2 -2 -? +2? -_", 3), [566, 167, 566]);
}

#[test]
fn no_state_refutes_the_hints() {
    let piles: Vec<Heap> =
        [&[][..], &[1], &[2], &[1, 2], &[2, 1]].map(|values| values.iter().copied().collect()).into();
    let rets = [PriorityQueueRet::Done, PriorityQueueRet::Empty, first(1), first(2)];
    let mut outcomes: Vec<Outcome<PriorityQueueRet>> =
        vec![Outcome::info("timeout"), Outcome::Fail(Failure::Refused(None))];
    for ret in rets {
        outcomes.push(Outcome::Ok(ret.clone()));
        outcomes.push(Outcome::Fail(Failure::Refused(Some(ret))));
    }
    let (model, mut tried) = (PriorityQueue::default(), 0);
    for op in [insert(1), POLL, PEEK] {
        for outcome in &outcomes {
            for state in &piles {
                let after: Vec<Heap> = model.step(state, &op, outcome).into_iter().collect();
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
fn a_poll_may_change_the_queue_unless_it_found_nothing() {
    let model = PriorityQueue::default();
    assert!(!model.inert(&POLL, &Outcome::Ok(first(1))) && !model.inert(&POLL, &Outcome::info("timeout")));
    assert!(
        model.inert(&POLL, &Outcome::Ok(PriorityQueueRet::Empty))
            && model.inert(&PEEK, &Outcome::Ok(first(1)))
    );
}

#[test]
fn what_is_encoded_decodes_to_itself() {
    let v = PriorityQueueVocabulary::default();
    for key in [Value::Nil, Value::Int(4)] {
        let insert = PriorityQueueOp::Insert { key: key.clone(), value: 7 };
        let cases = [
            (insert, vec![PriorityQueueRet::Done]),
            (PriorityQueueOp::Poll { key: key.clone() }, vec![PriorityQueueRet::Empty, first(7)]),
            (PriorityQueueOp::Peek { key }, vec![PriorityQueueRet::Empty, first(7)]),
        ];
        for (op, rets) in cases {
            let call = v.encode_op(&op);
            assert_eq!(v.decode_op(call.f, call.key.as_ref(), &call.value).as_ref(), Ok(&op));
            for ret in rets {
                assert_eq!(v.decode_ret(&op, &v.encode_ret(&op, &ret)), Ok(ret));
            }
        }
    }
    assert_eq!(v.decode_op("take-max", None, &Value::Nil), Ok(POLL));
    assert!(
        v.decode_op("insert", None, &Value::Nil).is_err()
            && v.decode_op("take-min", None, &Value::Nil).is_err()
    );
}
