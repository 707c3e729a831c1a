//! Tests of the set of elements: its hints, its vocabulary, its shortcut, its words.

use super::*;
use crate::linearizability::tests::exhaustive::{Sort, compare_all, judge_all};
use crate::linearizability::tests::order_free::of_every_order;
use crate::linearizability::tests::random::compare_many;
use crate::linearizability::tests::{Tally, search_says};
use crate::linearizability::{Insight, Shortcut, Task, check_operations};
use crate::synthetic::Simulation;
use elenchus_core::budget::Budget;
use elenchus_core::operation::Operation;
use elenchus_core::process::Process;
use elenchus_core::random::{Rng, Seed};
use elenchus_core::time::Time;
use elenchus_core::verdict::{Validity, Verdict};

type ElementOperation = Operation<ElementOp, ElementRet>;

const REQUESTS: [Request; 3] = [Request::Add, Request::Remove, Request::Contains];

fn op(request: Request) -> ElementOp {
    ElementOp { key: Value::Nil, element: Value::Int(7), request }
}

fn outcomes() -> Vec<Outcome<ElementRet>> {
    let rets = [ElementRet::Done, ElementRet::Answer(true), ElementRet::Answer(false)];
    let refused = rets.iter().map(|ret| Some(*ret)).chain([None]);
    let refused = refused.map(|saw| Outcome::Fail(Failure::Refused(saw)));
    rets.iter().map(|ret| Outcome::Ok(*ret)).chain(refused).chain([Outcome::info("timeout")]).collect()
}

/// `a` add, `r` remove, `c` contains; `t` and `f` the answer, `!` refused, `?` in doubt, `~` may happen; else done.
fn sort(name: &str) -> Sort<ElementSet> {
    let (request, rest) = name.split_at(1);
    let request = REQUESTS["arc".find(request).expect("a, r or c")];
    let answer = |text: &str| match text {
        "t" => ElementRet::Answer(true),
        "f" => ElementRet::Answer(false),
        _ => ElementRet::Done,
    };
    match rest {
        "?" => Sort::new(op(request), Outcome::info("timeout")),
        "!" => Sort::new(op(request), Outcome::Fail(Failure::Refused(None))),
        _ => match rest.strip_suffix('~') {
            Some(rest) => Sort::optional(op(request), Outcome::Ok(answer(rest))),
            None => Sort::new(op(request), Outcome::Ok(answer(rest))),
        },
    }
}

fn all(names: &str, count: usize) -> (u64, u64, u64) {
    of_all(&ElementSet::default(), names, count)
}

fn of_all(model: &ElementSet, names: &str, count: usize) -> (u64, u64, u64) {
    let sorts: Vec<_> = names.split_whitespace().map(sort).collect();
    let Tally { histories, linearizable, by_shortcut } = compare_all(model, &sorts, count, 3, |_| true);
    (histories, linearizable, by_shortcut)
}

fn with_seven() -> ElementSet {
    ElementSet { initial: [Value::Int(7)].into() }
}

#[test]
fn no_state_refutes_the_hints() {
    let model = ElementSet::default();
    for (request, outcome) in REQUESTS.into_iter().flat_map(|r| outcomes().into_iter().map(move |o| (r, o))) {
        let op = op(request);
        for state in [false, true] {
            let after: Vec<bool> = model.step(&state, &op, &outcome).into_iter().collect();
            if model.inert(&op, &outcome) {
                assert!(after.iter().all(|s| *s == state), "{op:?} {outcome:?} from {state}");
            }
            if model.source(&op, &outcome).is_some_and(|source| source != state) {
                assert!(after.is_empty(), "{op:?} {outcome:?} from {state}");
            }
            assert!(after.iter().all(|s| *s == state || Some(*s) == model.target(&op)));
        }
        assert!(!model.overwrites(&op));
    }
}

#[test]
fn the_order_of_changes_that_are_told_leaves_no_trace() {
    let kinds: Vec<_> =
        "a at af a! a? r rt rf r? rt~ ct cf".split(' ').map(|name| sort(name).parts()).collect();
    let (given, several) = of_every_order(&ElementSet::default(), &kinds).expect("changes alternate");
    assert!(given == 8 && several > 50, "{given} {several}");
}

#[test]
fn what_is_encoded_decodes_to_itself() {
    let v = ElementSetVocabulary;
    for request in REQUESTS {
        for key in [Value::Nil, Value::Int(3)] {
            let op = ElementOp { key, element: Value::str("x"), request };
            let call = v.encode_op(&op);
            assert_eq!(v.decode_op(call.f, call.key.as_ref(), &call.value).as_ref(), Ok(&op));
            for ret in [ElementRet::Done, ElementRet::Answer(true), ElementRet::Answer(false)] {
                let expected = (request != Request::Contains || ret != ElementRet::Done).then_some(ret);
                assert_eq!(v.decode_ret(&op, &v.encode_ret(&op, &ret)).ok(), expected);
            }
        }
    }
    assert_eq!(v.decode_ret(&op(Request::Add), &Value::Int(7)), Ok(ElementRet::Done));
    assert!(v.decode_op("read", None, &Value::Nil).is_err_and(|e| e.contains("contains")));
}

const SORTS: &str = "a at af a? at~ r rt rf r? rt~ ct cf";

#[test]
fn all_histories_of_four_operations_agree_with_the_oracle() {
    let numbers: Vec<_> = (1..=4).map(|count| all(SORTS, count)).collect();
    assert_eq!(numbers, [(12, 9, 12), (174, 101, 156), (3340, 1612, 2612), (79295, 33694, 52750)]);
}

#[test]
fn all_histories_on_an_element_that_is_there_at_first_agree_with_the_oracle() {
    let numbers: Vec<_> =
        (1..=4).map(|count| of_all(&with_seven(), "a? af r rt rf r? rt~ ct cf", count)).collect();
    assert_eq!(numbers, [(9, 7, 8), (99, 61, 84), (1434, 704, 1176), (25529, 9852, 20280)]);
}

#[test]
fn all_histories_of_five_operations_agree_with_the_oracle() {
    assert_eq!(all("at a! a? r rt r? ct cf", 5), (401942, 98355, 293054));
}

#[test]
fn all_histories_of_five_operations_of_any_kind_agree_with_the_oracle() {
    let sorts: Vec<_> = SORTS.split_whitespace().map(sort).collect();
    let found = judge_all(&ElementSet::default(), &sorts, 5, |_| true);
    assert_eq!(found, Tally { histories: 2173970, linearizable: 838873, by_shortcut: 1203400 });
}

fn choose(rng: &mut Rng, _: usize, _: &bool) -> ElementOp {
    op(*rng.pick(&[Request::Add, Request::Remove, Request::Remove, Request::Contains, Request::Contains]))
}

/// What a true set answers, which says nothing now and then.
fn answer(there: &bool, op: &ElementOp, terse: bool) -> Outcome<ElementRet> {
    match op.request {
        Request::Add | Request::Remove if terse => Outcome::Ok(ElementRet::Done),
        Request::Add if *there => Outcome::Fail(Failure::Refused(None)),
        Request::Add => Outcome::Ok(ElementRet::Answer(true)),
        Request::Remove | Request::Contains => Outcome::Ok(ElementRet::Answer(*there)),
    }
}

fn lie(rng: &mut Rng, operations: &mut [ElementOperation]) {
    for operation in operations {
        if let Outcome::Ok(ElementRet::Answer(answer)) = &mut operation.outcome
            && rng.chance(1, 6)
        {
            *answer = !*answer;
        }
    }
}

#[test]
fn random_histories_agree_with_the_oracle() {
    let mut terse = 0;
    let answer = |there: &bool, op: &ElementOp| {
        terse += 1;
        answer(there, op, terse % 3 == 0)
    };
    let tally = compare_many(&ElementSet::default(), &false, (51, 30_000), choose, answer, lie);
    assert!(tally.linearizable > 5_000 && tally.histories - tally.linearizable > 5_000, "{tally:?}");
    assert!(tally.by_shortcut > 10_000, "{tally:?}");
}

/// Operations as `(process, request, outcome, call, done)`.
fn history(rows: &[(u32, Request, Outcome<ElementRet>, u32, u32)]) -> Vec<ElementOperation> {
    let operation =
        |(process, request, outcome, call, done): &(u32, Request, Outcome<ElementRet>, u32, u32)| {
            let time = |at: u32| Time(u64::from(at) * 1_000_000);
            ElementOperation {
                process: Process(*process),
                op: op(*request),
                outcome: outcome.clone(),
                call: *call,
                done: if outcome.is_info() { ElementOperation::OPEN } else { *done },
                called: time(*call),
                ended: Some(time(*done)),
            }
        };
    rows.iter().map(operation).collect()
}

fn verdict(rows: &[(u32, Request, Outcome<ElementRet>, u32, u32)]) -> Verdict {
    let verdict = check_operations(&ElementSet::default(), &history(rows), &Budget::unlimited());
    assert_eq!(verdict.validity, Validity::Invalid);
    verdict
}

#[track_caller]
fn tells(rows: &[(u32, Request, Outcome<ElementRet>, u32, u32)], class: &str, sentence: &str) {
    let verdict = verdict(rows);
    assert_eq!((verdict.class.as_deref(), verdict.why.as_str()), (Some(class), sentence));
}

#[test]
fn anomalies_are_told_in_plain_words() {
    use Request::{Add, Contains, Remove};
    let done = || Outcome::Ok(ElementRet::Done);
    let says = |answer| Outcome::Ok(ElementRet::Answer(answer));
    tells(
        &[(0, Add, done(), 0, 1), (1, Contains, says(false), 5, 6)],
        "lost-element",
        "process 1 did not find 7 (`contains 7 → false`), although `add 7` by process 0 was answered 4 ms before \
         and nobody removed it by then; nobody found it later, so it was lost",
    );
    tells(
        &[(0, Add, done(), 0, 1), (1, Contains, says(false), 5, 6), (0, Contains, says(true), 7, 8)],
        "stale-read",
        "process 1 did not find 7 (`contains 7 → false`), although `add 7` by process 0 was answered 4 ms before \
         and nobody removed it by then",
    );
    tells(
        &[(1, Contains, says(true), 5, 6)],
        "phantom-element",
        "process 1 found 7 (`contains 7 → true`), which nobody ever added",
    );
    tells(
        &[(0, Add, Outcome::not_done("no quorum"), 1, 2), (1, Contains, says(true), 5, 6)],
        "aborted-read",
        "process 1 found 7 (`contains 7 → true`), although `add 7 failed` by process 0 was answered as not done \
         and nobody else added it",
    );
    tells(
        &[(1, Remove, says(true), 0, 1), (0, Add, done(), 2, 3)],
        "future-read",
        "process 1 found 7 (`remove 7 → true`), although `add 7` by process 0 began only after that",
    );
    tells(
        &[(0, Add, done(), 0, 1), (1, Remove, done(), 2, 3), (2, Contains, says(true), 4, 5)],
        "stale-read",
        "process 2 found 7 (`contains 7 → true`), although `remove 7` by process 1 was answered 1 ms before and \
         nobody added it again by then",
    );
    tells(
        &[(0, Add, done(), 0, 1), (1, Remove, says(true), 2, 5), (2, Remove, says(true), 3, 4)],
        "double-remove",
        "process 1 found 7 (`remove 7 → true`), although `remove 7 → true` by process 2 had the same effect and \
         nobody can have undone that",
    );
}

#[test]
fn the_search_agrees_on_histories_of_a_thousand_operations() {
    let (model, mut rng, mut refuted) = (ElementSet::default(), Seed(57).rng(), 0);
    for seed in 0..10 {
        let simulation = Simulation { operations: 1_000, clients: 5, doubt_permille: 10, seed };
        let remove = rng.between(50, 950) as usize;
        let choose = |rng: &mut Rng, number: usize, _: &bool| match number {
            20 => op(Request::Add),
            _ if number > remove && rng.chance(1, 30) => op(Request::Remove),
            _ => op(Request::Contains),
        };
        let mut operations = simulation.run(&model, false, choose, |there, op| answer(there, op, false));
        for _ in 0..3 {
            let says = model.shortcut(&Task::all(&operations).collect::<Vec<_>>());
            let says = says.expect("it was added once") == Shortcut::Linearizable;
            assert_eq!(search_says(&model, &operations), says, "seed {seed}");
            refuted += u32::from(!says);
            let at = rng.below(980) as usize;
            lie(&mut rng, &mut operations[at..at + 4]);
        }
    }
    assert!((3..=20).contains(&refuted), "{refuted} of 30 are lies");
}

/// Many elements in one set, each drawn anew once it is old.
#[test]
fn a_long_history_of_many_elements_is_judged_without_search() {
    let (simulation, mut operations) =
        (Simulation { operations: 40, clients: 4, doubt_permille: 50, seed: 5 }, Vec::new());
    let mut added = false;
    for element in 0..200 {
        added = false;
        let of = |request| ElementOp { element: Value::Int(element), ..op(request) };
        let choose = |rng: &mut Rng, number: usize, _: &bool| match number {
            0 => {
                added = true;
                of(Request::Add)
            }
            _ => of(*rng.pick(&[Request::Remove, Request::Contains, Request::Contains])),
        };
        let seed = element as u64;
        let own =
            Simulation { seed, ..simulation }
                .run(&ElementSet::default(), false, choose, |there, op| answer(there, op, false));
        let offset = operations.len() as u32 * 2;
        operations.extend(own.into_iter().map(|mut o| {
            o.call += offset;
            if o.done != ElementOperation::OPEN {
                o.done += offset;
            }
            o
        }));
    }
    assert!(added);
    let verdict = check_operations(&ElementSet::default(), &operations, &Budget::unlimited());
    assert_eq!((verdict.validity, verdict.figures["keys_searched"].as_u64()), (Validity::Valid, Some(0)));
}
