//! Tests of the bag: its hints, its words on disk, and its shortcut against the oracle.

use super::*;
use crate::linearizability::tests::exhaustive::{Sort, compare_all, judge_all, try_all};
use crate::linearizability::tests::order_free::of_every_order;
use crate::linearizability::tests::random::compare_many;
use crate::linearizability::tests::{Tally, compare};
use crate::models::collection::tests::{by_search, by_shortcut, check_linearization};
use crate::synthetic::Simulation;
use elenchus_core::operation::Operation;
use elenchus_core::random::{Rng, Seed};

type BagOperation = Operation<BagOp, BagRet>;

fn put(n: i64) -> BagOp {
    BagOp::Put { key: Value::Nil, value: Value::Int(n) }
}

fn got(n: i64) -> Outcome<BagRet> {
    Outcome::Ok(BagRet::Value(Value::Int(n)))
}

const TAKE: BagOp = BagOp::Take { key: Value::Nil };

/// Kinds of operations: `p1` a put, `t1` a take of 1, `t_` one that found nothing, `t?` and `p1?` in doubt, `t1?` in
/// doubt with a known answer, `x_` a refused take.
fn sorts(names: &str) -> Vec<Sort<Bag>> {
    names.split_whitespace().map(sort).collect()
}

fn sort(name: &str) -> Sort<Bag> {
    let doubt = name.ends_with('?');
    match (&name[..1], name[1..].trim_end_matches('?').parse::<i64>()) {
        ("p", Ok(n)) if doubt => Sort::new(put(n), Outcome::info("timeout")),
        ("p", Ok(n)) => Sort::new(put(n), Outcome::Ok(BagRet::Done)),
        ("t", Ok(n)) if doubt => Sort::optional(TAKE, got(n)),
        ("t", Ok(n)) => Sort::new(TAKE, got(n)),
        ("t", Err(_)) if doubt => Sort::new(TAKE, Outcome::info("timeout")),
        ("t", Err(_)) => Sort::new(TAKE, Outcome::Ok(BagRet::Empty)),
        ("x", Err(_)) => Sort::new(TAKE, Outcome::Fail(Failure::Refused(None))),
        _ => panic!("no operation: {name}"),
    }
}

fn named(operation: &BagOperation) -> Option<i64> {
    match (&operation.op, &operation.outcome) {
        (BagOp::Put { value, .. }, _) | (_, Outcome::Ok(BagRet::Value(value))) => value.as_int(),
        _ => None,
    }
}

/// Values are numbered in the order in which they are first named.
fn canonical(operations: &[BagOperation]) -> bool {
    let mut highest = 0;
    operations.iter().filter_map(named).all(|value| {
        highest = highest.max(value).min(highest + 1);
        value <= highest
    })
}

/// And each is put in once at most.
fn is_unique(operations: &[BagOperation]) -> bool {
    let times = |n: i64| operations.iter().filter(|o| o.op == put(n)).count();
    canonical(operations) && (1..=4).all(|n| times(n) <= 1)
}

/// Where a history is known to be linearizable, it is shown how.
fn written_down(bag: &Bag, operations: &[BagOperation]) -> Tally {
    check_linearization(bag, operations);
    compare(bag, operations)
}

/// Histories, linearizable ones, and those decided without search.
#[track_caller]
fn numbers(count: usize, names: &str) -> (u64, u64, u64) {
    let tally = try_all(&Bag::default(), &sorts(names), (count, 3), is_unique, written_down);
    (tally.histories, tally.linearizable, tally.by_shortcut)
}

#[test]
fn the_order_of_what_is_put_and_taken_leaves_no_trace() {
    let kinds: Vec<_> = sorts("p1 p2 p1? t1 t2 t2? t_ x_ t?").into_iter().map(Sort::parts).collect();
    let (given, several) = of_every_order(&Bag::default(), &kinds).expect("it is known what is taken");
    assert!(given == 8 && several > 50, "{given} {several}");
}

// The numbers are those of the enumeration: should they change, histories were lost or gained.

#[test]
fn puts_in_doubt_and_empty_takes_need_no_search() {
    assert_eq!(numbers(5, "p1 p2 p3 t1 t2 t3 t_ p1? p2? p3? x_"), (204082, 23393, 204082));
}

#[test]
fn takes_in_doubt_and_empty_takes_need_no_search() {
    assert_eq!(numbers(5, "p1 p2 p3 t1 t2 t3 t_ t?"), (82736, 8175, 82736));
}

#[test]
fn takes_in_doubt_of_both_kinds_need_no_search() {
    assert_eq!(numbers(5, "p1 p2 p3 t1 t2 t1? t2? t_ t?"), (109163, 20293, 109163));
}

#[test]
fn values_put_in_twice_are_searched_for() {
    let tally = compare_all(&Bag::default(), &sorts("p1 p2 t1 t2 t_ t? p1?"), 4, 3, canonical);
    assert_eq!(tally, Tally { histories: 6110, linearizable: 2094, by_shortcut: 3606 });
    let tally = judge_all(&Bag::default(), &sorts("p1 p2 t1 t2 t_ t? p1?"), 5, canonical);
    assert_eq!(tally, Tally { histories: 101129, linearizable: 27928, by_shortcut: 46805 });
}

#[test]
fn what_a_bag_holds_at_first_is_inside() {
    let bag = Bag { initial: vec![Value::Int(2), Value::Int(1)] };
    let tally = compare_all(&bag, &sorts("p3 t1 t2 t3 t_ t?"), 4, 3, |_| true);
    assert_eq!(tally, Tally { histories: 8101, linearizable: 1293, by_shortcut: 6797 });
}

/// Half puts of new values, half takes.
fn choose(rng: &mut Rng, number: usize, _: &Contents) -> BagOp {
    if rng.chance(1, 2) { put(number as i64) } else { TAKE }
}

/// A true bag may give away any value: here the greatest.
fn answer(state: &Contents, op: &BagOp) -> Outcome<BagRet> {
    Outcome::Ok(match (op, state.items().last()) {
        (BagOp::Put { .. }, _) => BagRet::Done,
        (_, Some(value)) => BagRet::Value(value.clone()),
        (_, None) => BagRet::Empty,
    })
}

/// One take answers what another operation put or took, in half of the histories.
fn lie(rng: &mut Rng, operations: &mut [BagOperation]) {
    let takes: Vec<usize> = (0..operations.len())
        .filter(|i| operations[*i].op == TAKE && operations[*i].outcome.is_ok())
        .collect();
    if takes.is_empty() || rng.chance(1, 2) {
        return;
    }
    let (at, from) = (*rng.pick(&takes), rng.below(operations.len() as u64) as usize);
    operations[at].outcome = named(&operations[from]).map_or(Outcome::Ok(BagRet::Empty), got);
}

#[test]
fn random_histories_are_judged_as_the_oracle_does() {
    let tally = compare_many(&Bag::default(), &Contents::new([]), (1, 30_000), choose, answer, lie);
    assert!(tally.by_shortcut * 100 > tally.histories * 99, "{tally:?}");
    assert!((24_000..28_000).contains(&tally.linearizable), "{tally:?}");
}

fn simulated(operations: usize, clients: usize, doubt_permille: u64, seed: u64) -> Vec<BagOperation> {
    let simulation = Simulation { operations, clients, doubt_permille, seed };
    simulation.run(&Bag::default(), Contents::new([]), choose, answer)
}

#[test]
fn linearizations_of_long_histories_are_some() {
    for seed in 0..300 {
        let doubt_permille = [0, 20, 100, 400][seed as usize % 4];
        let operations = simulated(300, 2 + seed as usize % 20, doubt_permille, seed);
        assert_ne!(by_shortcut(&Bag::default(), &operations), Some(false), "{seed}");
        check_linearization(&Bag::default(), &operations);
    }
}

#[test]
fn search_agrees_on_a_thousand_operations() {
    let (model, mut decided, mut refuted) = (Bag::default(), 0, 0);
    for seed in 0..24 {
        let mut operations = simulated(1_000, 4, 2 * (seed % 3), seed);
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
    assert!(decided >= 16 && refuted >= 4, "{refuted} of {decided}");
}

#[test]
fn no_state_refutes_the_hints() {
    let states = [vec![], vec![1], vec![2], vec![1, 2], vec![1, 1, 2]];
    let states = states.map(|items| Contents::new(items.into_iter().map(Value::Int)));
    let answers = [BagRet::Done, BagRet::Empty, BagRet::Value(Value::Int(1)), BagRet::Value(Value::Int(2))];
    let mut outcomes = vec![Outcome::info("timeout"), Outcome::Fail(Failure::Refused(None))];
    for answer in answers {
        outcomes.push(Outcome::Ok(answer.clone()));
        outcomes.push(Outcome::Fail(Failure::Refused(Some(answer))));
    }
    let model = Bag::default();
    for op in [put(1), TAKE] {
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
    let v = BagVocabulary;
    for key in [Value::Nil, Value::Int(3)] {
        for (op, ret) in [
            (BagOp::Put { key: key.clone(), value: Value::Int(7) }, BagRet::Done),
            (BagOp::Take { key: key.clone() }, BagRet::Value(Value::Int(7))),
            (BagOp::Take { key: key.clone() }, BagRet::Empty),
        ] {
            let call = v.encode_op(&op);
            assert_eq!(v.decode_op(call.f, call.key.as_ref(), &call.value).as_ref(), Ok(&op));
            assert_eq!(v.decode_ret(&op, &v.encode_ret(&op, &ret)), Ok(ret));
        }
    }
    assert_eq!(v.decode_op("dequeue", None, &Value::Nil), Ok(TAKE));
    assert!(v.decode_op("put", None, &Value::Nil).is_err());
    assert!(v.decode_op("add", None, &Value::Int(1)).is_err());
}
