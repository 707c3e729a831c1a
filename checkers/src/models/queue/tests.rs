//! Tests of the queue: its hints, its words on disk, and its shortcut against the oracle.

use super::*;
use crate::linearizability::check_operations;
use crate::linearizability::tests::exhaustive::{Sort, compare_all, judge_all, try_all};
use crate::linearizability::tests::random::compare_many;
use crate::linearizability::tests::{Tally, compare};
use crate::models::collection::tests::{by_search, by_shortcut, check_linearization};
use crate::synthetic::Simulation;
use elenchus_core::budget::Budget;
use elenchus_core::operation::Operation;
use elenchus_core::process::Process;
use elenchus_core::random::{Rng, Seed};
use elenchus_core::time::Time;

type QueueOperation = Operation<QueueOp, QueueRet>;

fn enqueue(n: i64) -> QueueOp {
    QueueOp::Enqueue { key: Value::Nil, value: Value::Int(n) }
}

fn saw(n: i64) -> Outcome<QueueRet> {
    Outcome::Ok(QueueRet::Value(Value::Int(n)))
}

const DEQUEUE: QueueOp = QueueOp::Dequeue { key: Value::Nil };
const PEEK: QueueOp = QueueOp::Peek { key: Value::Nil };

/// Kinds of operations: `e1` an enqueue, `d1` a dequeue of 1, `d_` one that found nothing, `d` and `e1?` in doubt,
/// `d1?` in doubt with a known answer, `p1` and `p_` peeks, `x1` a refused dequeue that saw 1.
fn sorts(names: &str) -> Vec<Sort<Queue>> {
    names.split_whitespace().map(sort).collect()
}

fn sort(name: &str) -> Sort<Queue> {
    let (op, outcome) = kind(name);
    if name.ends_with('?') { Sort::optional(op, outcome) } else { Sort::new(op, outcome) }
}

fn kind(name: &str) -> (QueueOp, Outcome<QueueRet>) {
    let doubt = name.ends_with('?');
    let number = name[1..].trim_end_matches('?').parse::<i64>();
    match (&name[..1], number) {
        ("e", Ok(n)) if doubt => (enqueue(n), Outcome::info("timeout")),
        ("e", Ok(n)) => (enqueue(n), Outcome::Ok(QueueRet::Done)),
        ("d", Ok(n)) => (DEQUEUE, saw(n)),
        ("d", Err(_)) if doubt => (DEQUEUE, Outcome::info("timeout")),
        ("d", Err(_)) => (DEQUEUE, Outcome::Ok(QueueRet::Empty)),
        ("p", Ok(n)) => (PEEK, saw(n)),
        ("p", Err(_)) => (PEEK, Outcome::Ok(QueueRet::Empty)),
        ("x", Ok(n)) => (DEQUEUE, Outcome::Fail(Failure::Refused(Some(QueueRet::Value(Value::Int(n)))))),
        _ => panic!("no operation: {name}"),
    }
}

fn named(operation: &QueueOperation) -> Option<i64> {
    match (&operation.op, &operation.outcome) {
        (QueueOp::Enqueue { value, .. }, _) => value.as_int(),
        (
            _,
            Outcome::Ok(QueueRet::Value(value))
            | Outcome::Fail(Failure::Refused(Some(QueueRet::Value(value)))),
        ) => value.as_int(),
        _ => None,
    }
}

/// Values are numbered in the order in which they are first named.
fn canonical(operations: &[QueueOperation]) -> bool {
    let mut highest = 0;
    operations.iter().filter_map(named).all(|value| {
        highest = highest.max(value).min(highest + 1);
        value <= highest
    })
}

/// And each is enqueued once at most.
fn is_unique(operations: &[QueueOperation]) -> bool {
    let enqueued = |n: i64| operations.iter().filter(|o| o.op == enqueue(n)).count();
    canonical(operations) && (1..=4).all(|n| enqueued(n) <= 1)
}

/// Where a history is known to be linearizable, it is shown how.
fn written_down(queue: &Queue, operations: &[QueueOperation]) -> Tally {
    check_linearization(queue, operations);
    compare(queue, operations)
}

#[track_caller]
fn on_all(count: usize, names: &str) -> Tally {
    try_all(&Queue::default(), &sorts(names), (count, 3), is_unique, written_down)
}

/// Histories, linearizable ones, and those decided without search.
#[track_caller]
fn numbers(count: usize, names: &str) -> (u64, u64, u64) {
    let Tally { histories, linearizable, by_shortcut } = on_all(count, names);
    (histories, linearizable, by_shortcut)
}

// The numbers are those of the enumeration: should they change, histories were lost or gained.

#[test]
fn enqueues_in_doubt_and_empty_dequeues_need_no_search() {
    assert_eq!(numbers(5, "e1 e2 e3 d1 d2 d3 d_ e1? e2? e3?"), (96561, 6638, 96561));
}

#[test]
fn dequeues_in_doubt_and_empty_dequeues_need_no_search() {
    assert_eq!(numbers(4, "e1 e2 e3 d1 d2 d3 d_ d?"), (4577, 728, 4577));
    assert_eq!(numbers(5, "e1 e2 e3 d1 d2 d3 d_ d?"), (82736, 7160, 82736));
}

#[test]
fn peeks_need_no_search() {
    assert_eq!(numbers(4, "e1 e2 e3 d1 d2 d3 p1 p2 p3"), (9727, 511, 9727));
    assert_eq!(numbers(5, "e1 e2 e3 d1 d2 d3 p1 p2 p3"), (245660, 5930, 245660));
}

#[test]
fn dequeues_in_doubt_with_a_known_answer_need_no_search() {
    assert_eq!(numbers(5, "e1 e2 e3 d1 d2 d3 d1? d2? d_ d?"), (150906, 20093, 150906));
}

#[test]
fn peeks_and_dequeues_in_doubt_seldom_need_search() {
    assert_eq!(numbers(5, "e1 e2 d1 d2 d_ p1 p2 d? e1? e2?"), (335219, 21818, 335196));
}

#[test]
fn peeks_alone_and_dequeues_in_doubt_seldom_need_search() {
    assert_eq!(numbers(5, "e1 e2 e3 p1 p2 p3 d1 d2 d?"), (215081, 10134, 215062));
}

#[test]
fn values_enqueued_twice_are_searched_for() {
    let all = |count| compare_all(&Queue::default(), &sorts("e1 e2 d1 d2 d_ d? e1?"), count, 3, canonical);
    let Tally { histories, linearizable, by_shortcut } = all(5);
    assert_eq!((histories, linearizable, by_shortcut), (101129, 26004, 46805));
}

#[test]
#[ignore = "long: millions of histories"]
fn on_every_history_of_six_operations() {
    for names in ["e1 e2 e3 d1 d2 d3 d_ d?", "e1 e2 p1 p2 d1 d2 d_ d?", "e1 e2 e3 d1 d2 d1? d2? d_ d?"] {
        let began = std::time::Instant::now();
        println!("{names}: {:?} in {:?}", on_all(6, names), began.elapsed());
    }
}

#[test]
fn what_a_queue_holds_at_first_comes_first() {
    let queue = Queue { initial: vec![Value::Int(1), Value::Int(2)] };
    let all = compare_all(&queue, &sorts("e3 e4 d1 d2 d3 d_ d? p2"), 4, 3, |_| true);
    assert_eq!(all, Tally { histories: 27812, linearizable: 2903, by_shortcut: 22681 });
}

#[test]
fn refused_dequeues_and_peeks_are_sights() {
    assert_eq!(numbers(4, "e1 e2 d1 x1 x2 p_ d?"), (7913, 1092, 7913));
    let Tally { histories, linearizable, by_shortcut } =
        judge_all(&Queue::default(), &sorts("e1 e2 d1 x1 x2 p_ d?"), 5, is_unique);
    assert_eq!((histories, linearizable, by_shortcut), (131853, 11003, 131834));
}

/// Half enqueues of new values; dequeues; some peeks.
fn choose(rng: &mut Rng, number: usize, _: &Contents) -> QueueOp {
    match rng.below(6) {
        0..3 => enqueue(number as i64),
        3..5 => DEQUEUE,
        _ => PEEK,
    }
}

/// The queue is short, so that few orders of enqueues are possible at once.
fn mostly_dequeue(rng: &mut Rng, number: usize, _: &Contents) -> QueueOp {
    match rng.below(10) {
        0..3 => enqueue(number as i64),
        3..9 => DEQUEUE,
        _ => PEEK,
    }
}

fn answer(state: &Contents, op: &QueueOp) -> Outcome<QueueRet> {
    Outcome::Ok(match (op, state.first()) {
        (QueueOp::Enqueue { .. }, _) => QueueRet::Done,
        (_, Some(value)) => QueueRet::Value(value.clone()),
        (_, None) => QueueRet::Empty,
    })
}

/// One answer becomes another one's, in half of the histories.
fn lie(rng: &mut Rng, operations: &mut [QueueOperation]) {
    let answers: Vec<usize> = (0..operations.len())
        .filter(|i| !matches!(operations[*i].op, QueueOp::Enqueue { .. }) && operations[*i].outcome.is_ok())
        .collect();
    if answers.is_empty() || rng.chance(1, 2) {
        return;
    }
    let (at, from) = (*rng.pick(&answers), rng.below(operations.len() as u64) as usize);
    operations[at].outcome = match &operations[from].op {
        QueueOp::Enqueue { value, .. } => Outcome::Ok(QueueRet::Value(value.clone())),
        _ if operations[from].outcome.is_ok() => operations[from].outcome.clone(),
        _ => Outcome::Ok(QueueRet::Empty),
    };
}

fn on_random_histories(seed: u64, rounds: usize) -> Tally {
    compare_many(&Queue::default(), &Contents::new([]), (seed, rounds), choose, answer, lie)
}

#[test]
fn random_histories_are_judged_as_the_oracle_does() {
    let tally = on_random_histories(1, 30_000);
    assert!(tally.by_shortcut * 100 > tally.histories * 99, "{tally:?}");
    assert!((24_000..28_000).contains(&tally.linearizable), "{tally:?}");
}

#[test]
#[ignore = "long: a million random histories"]
fn many_random_histories_are_judged_as_the_oracle_does() {
    println!("{:?}", on_random_histories(2, 1_000_000));
}

fn simulated(operations: usize, clients: usize, doubt_permille: u64, seed: u64) -> Vec<QueueOperation> {
    let simulation = Simulation { operations, clients, doubt_permille, seed };
    let choose = if seed.is_multiple_of(2) { choose } else { mostly_dequeue };
    simulation.run(&Queue::default(), Contents::new([]), choose, answer)
}

#[test]
fn linearizations_of_long_histories_are_some() {
    for seed in 0..300 {
        let doubt_permille = [0, 20, 100, 400][seed as usize % 4];
        let operations = simulated(300, 2 + seed as usize % 20, doubt_permille, seed);
        assert_ne!(by_shortcut(&Queue::default(), &operations), Some(false), "{seed}");
        check_linearization(&Queue::default(), &operations);
    }
}

#[test]
fn search_agrees_on_a_thousand_operations() {
    let (model, mut decided, mut refuted) = (Queue::default(), 0, 0);
    for seed in 0..24 {
        let mut operations = simulated(1_000, 3, 2 * (seed % 2), 2 * seed + 1);
        if seed >= 8 {
            lie(&mut Seed(seed).rng(), &mut operations);
        }
        if let (Some(search), Some(shortcut)) =
            (by_search(&model, &operations), by_shortcut(&model, &operations))
        {
            assert_eq!(search, shortcut, "seed {seed}");
            decided += 1;
            refuted += u32::from(!search);
        }
    }
    assert!(decided >= 10 && refuted >= 4, "{refuted} of {decided}");
}

/// Operations by name, with call and return, each by a process of its own.
fn history(text: &str) -> Vec<QueueOperation> {
    let operation = |(process, words): (u32, Vec<&str>)| {
        let (op, outcome) = kind(words[0].trim_end_matches('!'));
        let outcome = if words[0].ends_with('!') { Outcome::not_done("full") } else { outcome };
        let [call, done] = [words[1], words[2]].map(|at| at.parse::<u32>().expect("a position"));
        let [called, ended] = [call, done].map(|at| Time(u64::from(at)));
        QueueOperation { process: Process(process), op, outcome, call, done, called, ended: Some(ended) }
    };
    let lines = text.split(';').map(|line| line.split_whitespace().collect::<Vec<_>>());
    (1..).zip(lines).map(operation).collect()
}

#[track_caller]
fn tells(text: &str, class: &str, fragment: &str) {
    let verdict = check_operations(&Queue::default(), &history(text), &Budget::unlimited());
    let anomaly = verdict.anomalies.first().expect("it is not linearizable");
    assert_eq!(anomaly.class, class, "{}", anomaly.sentence);
    assert!(anomaly.sentence.contains(fragment), "{}", anomaly.sentence);
}

#[test]
fn anomalies_are_told_by_the_operations_that_contradict_each_other() {
    tells("e1 0 1; d1 2 3; d1 4 5", "double-dequeue", "both dequeued 1, which was enqueued only once");
    tells("d7 0 1", "phantom-value", "`dequeue 7` by process 1 answered 7, which nobody ever enqueued");
    tells("e7! 0 1; d7 2 3", "aborted-value", "`enqueue 7 failed` by process 1 did nothing");
    tells("d1 0 1; e1 2 3", "future-value", "had returned before `enqueue 1` by process 2 began");
    tells("e1 0 1; d1 2 3; p1 4 5", "reappeared", "had returned before `peek 1` by process 3 began");
    tells(
        "e1 0 1; e2 2 3; d2 4 5; d1 6 7",
        "out-of-order",
        "2 overtook 1: `enqueue 1` by process 1 was over",
    );
    tells("e1 0 1; e2 2 3; d2 4 5", "lost-value", "nobody can have dequeued that value by then");
    tells("e1 0 10; e2 1 11; p1 2 3; p2 4 5; p1 6 7; d1 8 9", "two-heads", "answered 2 while 1 came first");
    tells("e1 0 1; d_ 2 3; d1 4 5", "false-empty", "although 1 was certainly inside");
    tells("e1 0 1; e2 2 3; d1 4 7; d_ 5 6; d2 8 9", "false-empty", "although 2 was certainly inside");
}

#[test]
fn no_state_refutes_the_hints() {
    let states = [vec![], vec![1], vec![2], vec![1, 2], vec![2, 1, 1]];
    let states = states.map(|items| Contents::new(items.into_iter().map(Value::Int)));
    let answers =
        [QueueRet::Done, QueueRet::Empty, QueueRet::Value(Value::Int(1)), QueueRet::Value(Value::Int(2))];
    let mut outcomes = vec![Outcome::info("timeout"), Outcome::Fail(Failure::Refused(None))];
    for answer in answers {
        outcomes.push(Outcome::Ok(answer.clone()));
        outcomes.push(Outcome::Fail(Failure::Refused(Some(answer))));
    }
    let model = Queue::default();
    for op in [enqueue(1), DEQUEUE, PEEK] {
        for outcome in &outcomes {
            for state in &states {
                let after: Vec<Contents> = model.step(state, &op, outcome).into_iter().collect();
                if model.inert(&op, outcome) {
                    assert!(after.iter().all(|s| s == state), "{op:?} {outcome:?} from {state:?}");
                }
                if model.source(&op, outcome).is_some_and(|source| source != *state) {
                    assert!(after.is_empty(), "{op:?} {outcome:?} from {state:?}");
                }
                assert!(!model.overwrites(&op) && model.target(&op).is_none());
            }
        }
    }
}

#[test]
fn what_is_encoded_decodes_to_itself() {
    let v = QueueVocabulary;
    for key in [Value::Nil, Value::Int(3)] {
        let some = QueueRet::Value(Value::Int(7));
        for (op, ret) in [
            (QueueOp::Enqueue { key: key.clone(), value: Value::Int(7) }, QueueRet::Done),
            (QueueOp::Dequeue { key: key.clone() }, some.clone()),
            (QueueOp::Dequeue { key: key.clone() }, QueueRet::Empty),
            (QueueOp::Peek { key: key.clone() }, some),
            (QueueOp::Peek { key: key.clone() }, QueueRet::Empty),
        ] {
            let call = v.encode_op(&op);
            assert_eq!(v.decode_op(call.f, call.key.as_ref(), &call.value).as_ref(), Ok(&op));
            assert_eq!(v.decode_ret(&op, &v.encode_ret(&op, &ret)), Ok(ret));
        }
    }
    assert!(v.decode_op("enqueue", None, &Value::Nil).is_err());
    assert!(v.decode_op("push", None, &Value::Int(1)).is_err());
}
