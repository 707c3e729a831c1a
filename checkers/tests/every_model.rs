//! Every model against an oracle of this file's own, on random histories of few operations over few values.
//!
//! Answers are drawn without regard to what the object could say, or with, so that values repeat, refusals and
//! operations in doubt meet, and many histories are wrong. Judged as a user judges: [`judge`], then
//! [`evidence`].

use elenchus_checkers::linearizability::{Answer, Insight, evidence, judge};
use elenchus_checkers::models::append_log::{AppendLog, LogAct, LogOp, LogRet};
use elenchus_checkers::models::bag::{Bag, BagOp, BagRet};
use elenchus_checkers::models::counter::{Counter, CounterOp, CounterRet, Tells};
use elenchus_checkers::models::element_set::{ElementOp, ElementRet, ElementSet, Request};
use elenchus_checkers::models::fenced_mutex::FencedMutex;
use elenchus_checkers::models::grow_only_set::GrowOnlySet;
use elenchus_checkers::models::kv::{Kv, KvOp, KvRet};
use elenchus_checkers::models::lock::{Holder, LockOp, LockRet};
use elenchus_checkers::models::multi_register::{Access, MultiRegister, MultiRegisterOp, MultiRegisterRet};
use elenchus_checkers::models::mutex::Mutex;
use elenchus_checkers::models::priority_queue::{Priority, PriorityQueue, PriorityQueueOp, PriorityQueueRet};
use elenchus_checkers::models::queue::{Queue, QueueOp, QueueRet};
use elenchus_checkers::models::reentrant_mutex::ReentrantMutex;
use elenchus_checkers::models::register::{NilReads, Register, RegisterOp, RegisterRet};
use elenchus_checkers::models::semaphore::Semaphore;
use elenchus_checkers::models::set::{SetOp, SetRet};
use elenchus_checkers::models::stack::{Stack, StackOp, StackRet};
use elenchus_core::budget::Budget;
use elenchus_core::model::Model;
use elenchus_core::operation::Operation;
use elenchus_core::outcome::{Failure, Outcome};
use elenchus_core::process::Process;
use elenchus_core::random::{Rng, Seed};
use elenchus_core::time::Time;
use elenchus_core::value::Value;
use std::collections::BTreeSet;
use std::ops::Range;

const KEY: Value = Value::Nil;

/// An operation and what it may answer.
type Kind<M> = (<M as Model>::Op, Vec<<M as Model>::Ret>);

/// Whether some order explains the operations: all are tried (Wing & Gong 1993).
fn is_linearizable<M: Model>(model: &M, operations: &[&Operation<M::Op, M::Ret>], state: &M::State) -> bool {
    let certain = |o: &&&Operation<M::Op, M::Ret>| o.done != Operation::<M::Op, M::Ret>::OPEN;
    let Some(first_return) = operations.iter().filter(certain).map(|o| o.done).min() else { return true };
    operations.iter().enumerate().filter(|(_, next)| next.call < first_return).any(|(at, next)| {
        let rest = [&operations[..at], &operations[at + 1..]].concat();
        let states = model.step(state, &next.op, &next.outcome);
        states.into_iter().any(|after| is_linearizable(model, &rest, &after))
    })
}

fn oracle<M: Model>(model: &M, operations: &[Operation<M::Op, M::Ret>]) -> bool {
    let not_done = |o: &&Operation<M::Op, M::Ret>| matches!(o.outcome, Outcome::Fail(Failure::NotDone(_)));
    let tasks: Vec<_> = operations.iter().filter(|o| !not_done(o)).collect();
    tasks.first().is_none_or(|first| is_linearizable(model, &tasks, &model.init(&model.key(&first.op))))
}

/// The same operations, all but these released: they may have done what they were asked for at any time, or never.
fn released<O: Clone, R: Clone>(operations: &[Operation<O, R>], held: &[usize]) -> Vec<Operation<O, R>> {
    let free = |operation: &Operation<O, R>| Operation {
        outcome: Outcome::info("released"),
        call: 0,
        done: Operation::<O, R>::OPEN,
        ..operation.clone()
    };
    let one = |(i, o): (usize, &Operation<O, R>)| if held.contains(&i) { o.clone() } else { free(o) };
    operations.iter().enumerate().map(one).collect()
}

struct Draw<'a, M: Model> {
    model: &'a M,
    kinds: &'a [Kind<M>],
    rng: Rng,
    /// Of ten answers, how many are drawn without regard to the object, up to eight.
    lies: u64,
}

impl<M: Model> Draw<'_, M> {
    fn history(&mut self) -> Vec<Operation<M::Op, M::Ret>> {
        let (count, processes) = (self.rng.between(2, 7) as usize, self.rng.between(1, 4) as usize);
        let mut operations: Vec<Operation<M::Op, M::Ret>> = Vec::new();
        let mut open: Vec<Option<usize>> = vec![None; processes];
        let mut state = self.model.init(&self.model.key(&self.kinds[0].0));
        for at in 0..4 * count as u32 {
            let process = self.rng.below(processes as u64) as usize;
            match open[process].take() {
                None if operations.len() == count => {}
                None => {
                    let (op, outcome) = self.called(&mut state);
                    open[process] = Some(operations.len());
                    operations.push(Operation {
                        process: Process(process as u32),
                        op,
                        outcome,
                        call: at,
                        done: Operation::<M::Op, M::Ret>::OPEN,
                        called: Time(u64::from(at)),
                        ended: None,
                    });
                }
                Some(number) if !operations[number].outcome.is_info() => operations[number].done = at,
                Some(_) => {}
            }
        }
        for operation in &mut operations {
            let cut = operation.done == Operation::<M::Op, M::Ret>::OPEN;
            if cut && matches!(operation.outcome, Outcome::Fail(_)) {
                operation.outcome = Outcome::info("no completion");
            }
        }
        operations
    }

    /// An operation that takes effect at once, with its outcome: mostly one that the object can give.
    fn called(&mut self, state: &mut M::State) -> (M::Op, Outcome<M::Ret>) {
        let (op, answers) = &self.kinds[self.rng.below(self.kinds.len() as u64) as usize];
        let mut outcomes: Vec<Outcome<M::Ret>> = answers.iter().cloned().map(Outcome::Ok).collect();
        outcomes.push(Outcome::Fail(Failure::Refused(None)));
        outcomes.extend(answers.iter().cloned().map(|saw| Outcome::Fail(Failure::Refused(Some(saw)))));
        let outcome = match self.rng.below(10) {
            0 => Outcome::not_done("refused connection"),
            1 => Outcome::info("timeout"),
            drawn if drawn < 2 + self.lies => self.any(&outcomes),
            _ => {
                let ok: Vec<_> = outcomes[..answers.len()].to_vec();
                let is_possible =
                    |o: &Outcome<M::Ret>| self.model.step(state, op, o).into_iter().next().is_some();
                let possible: Vec<_> = ok.into_iter().filter(is_possible).collect();
                if possible.is_empty() { self.any(&outcomes) } else { self.any(&possible) }
            }
        };
        if !matches!(outcome, Outcome::Fail(_)) && (outcome.is_ok() || self.rng.below(2) == 0) {
            let after: Vec<_> = self.model.step(state, op, &outcome).into_iter().collect();
            if !after.is_empty() {
                *state = after[self.rng.below(after.len() as u64) as usize].clone();
            }
        }
        (op.clone(), outcome)
    }

    fn any<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.rng.below(of.len() as u64) as usize].clone()
    }
}

/// Judges a random history of a model for each of these seeds; how many are linearizable.
#[track_caller]
fn agree<M: Insight>(rounds: &Range<u32>, model: &M, kinds: &[Kind<M>]) -> u32 {
    let mut linearizable = 0;
    for round in rounds.clone() {
        let rng = Seed(u64::from(round)).rng();
        let operations = Draw { model, kinds, rng, lies: u64::from(round % 9) }.history();
        let expected = oracle(model, &operations);
        linearizable += u32::from(expected);
        for finding in judge(model, &operations, &Budget::unlimited()) {
            match finding.answer {
                Answer::Linearizable => assert!(expected, "accepted: {operations:#?}"),
                Answer::Unknown { why, .. } => panic!("unknown without a budget, {why}: {operations:#?}"),
                Answer::Refuted { failed, .. } => {
                    assert!(!expected, "accused: {operations:#?}");
                    let found =
                        evidence(model, &operations, &finding.operations, failed, &Budget::unlimited());
                    prove(model, &operations, &found.witness, found.minimal);
                }
            }
        }
    }
    linearizable
}

/// All others released, no order explains the witness; nor is there one member too many.
#[track_caller]
fn prove<M: Insight>(model: &M, operations: &[Operation<M::Op, M::Ret>], witness: &[usize], minimal: bool) {
    assert!(minimal, "{witness:?} is not minimal, it says: {operations:#?}");
    assert!(!oracle(model, &released(operations, witness)), "no witness: {witness:?} of {operations:#?}");
    for (at, _) in witness.iter().enumerate() {
        let fewer = [&witness[..at], &witness[at + 1..]].concat();
        assert!(oracle(model, &released(operations, &fewer)), "not minimal: {witness:?} of {operations:#?}");
    }
}

fn int(n: i64) -> Value {
    Value::Int(n)
}

/// Tests with the numbers of linearizable histories among the first 5,000.
macro_rules! groups {
    ($($group:ident: $sentence:ident, $numbers:expr;)*) => {
        const GROUPS: &[(&str, Group)] = &[$((stringify!($group), $group)),*];
        $(#[test]
        fn $sentence() {
            assert_eq!($group(0..5_000), &$numbers[..]);
        })*
    };
}

type Group = fn(Range<u32>) -> Vec<u32>;

groups! {
    registers: every_verdict_on_registers_is_the_oracles, [1938, 1988, 1803, 2182];
    transactions: every_verdict_on_transactions_is_the_oracles, [2001];
    texts: every_verdict_on_texts_is_the_oracles, [1995, 2049];
    queues: every_verdict_on_queues_is_the_oracles, [3335, 3076];
    bags: every_verdict_on_bags_is_the_oracles, [3219, 3040];
    stacks: every_verdict_on_stacks_is_the_oracles, [3354, 3192];
    priority_queues: every_verdict_on_priority_queues_is_the_oracles, [3330, 3102];
    sets: every_verdict_on_sets_is_the_oracles, [3064, 3164, 2493, 2699];
    counters: every_verdict_on_counters_is_the_oracles, [2367, 3270, 3091];
    locks: every_verdict_on_locks_is_the_oracles, [2234, 2063, 1855, 1710, 1686, 1915, 1961];
    logs: every_verdict_on_logs_is_the_oracles, [2448, 2870];
}

#[test]
#[ignore = "long: 25 million histories"]
fn every_verdict_is_the_oracles_on_a_million_histories_of_each_kind() {
    for (name, group) in GROUPS {
        println!("{name}: {:?} of 1,000,000 linearizable", group(5_000..1_005_000));
    }
}

fn registers(rounds: Range<u32>) -> Vec<u32> {
    use RegisterOp::{Cas, Read, Write};
    let saw = || [KEY, int(1), int(2), int(3)].map(RegisterRet::Saw).to_vec();
    let write = |n| (Write { key: KEY, value: int(n) }, vec![RegisterRet::Done]);
    let cas = |from, to| (Cas { key: KEY, from, to }, vec![RegisterRet::Done]);
    let read = || (Read { key: KEY }, saw());
    let few = [read(), write(1), write(2), cas(int(1), int(2)), cas(int(2), int(1)), cas(KEY, int(3))];
    let chain = [read(), write(1), cas(int(1), int(2)), cas(int(2), int(3)), cas(int(3), int(4))];
    let nil_says_nothing = Register { initial: int(1), nil_reads: NilReads::SawNothing };
    vec![
        agree(&rounds, &Register::default(), &few),
        agree(&rounds, &nil_says_nothing, &few),
        agree(&rounds, &Register::default(), &chain),
        agree(&rounds, &Register::default(), &[read(), write(1), write(2), write(3)]),
    ]
}

fn transactions(rounds: Range<u32>) -> Vec<u32> {
    let read = |register: i64| Access::Read { register: int(register) };
    let write = |register: i64, value: i64| Access::Write { register: int(register), value: int(value) };
    let both = |a: i64, b: i64| MultiRegisterRet([int(a), int(b)].into());
    let rets = || vec![both(0, 0), both(0, 1), both(1, 0), both(1, 1), both(0, 2)];
    let kinds: Vec<Kind<MultiRegister>> = vec![
        (MultiRegisterOp([read(0), read(1)].into()), rets()),
        (MultiRegisterOp([write(0, 1), read(1)].into()), vec![both(1, 0), both(1, 1), both(1, 2)]),
        (MultiRegisterOp([write(0, 0), write(1, 1)].into()), vec![both(0, 1)]),
        (MultiRegisterOp([read(0), write(1, 2)].into()), vec![both(0, 2), both(1, 2)]),
    ];
    let model =
        MultiRegister { initial: [(int(0), int(0)), (int(1), int(0))].into(), nil_reads: NilReads::SawNil };
    vec![agree(&rounds, &model, &kinds)]
}

fn texts(rounds: Range<u32>) -> Vec<u32> {
    let saw = || ["", "a", "b", "ab", "ba", "c"].map(|text| KvRet::Saw(Value::str(text))).to_vec();
    let done = || vec![KvRet::Done];
    let append = |piece: &str| (KvOp::Append { key: KEY, piece: piece.into() }, done());
    let put = |value: &str| (KvOp::Put { key: KEY, value: Value::str(value) }, done());
    let kinds = [
        (KvOp::Get { key: KEY }, saw()),
        append("a"),
        append("b"),
        put("c"),
        put("a"),
        (KvOp::Cas { key: KEY, from: Value::str("a"), to: Value::str("b") }, done()),
        (KvOp::Delete { key: KEY }, done()),
    ];
    let model = Kv { initial: Value::str(""), nil_reads: NilReads::SawNil };
    vec![
        agree(&rounds, &model, &kinds),
        agree(&rounds, &model, &[(KvOp::Get { key: KEY }, saw()), append("a"), append("b"), put("c")]),
    ]
}

fn queues(rounds: Range<u32>) -> Vec<u32> {
    let saw = || {
        [QueueRet::Empty, QueueRet::Value(int(1)), QueueRet::Value(int(2)), QueueRet::Value(int(3))].to_vec()
    };
    let enqueue = |n| (QueueOp::Enqueue { key: KEY, value: int(n) }, vec![QueueRet::Done]);
    let kinds = [
        enqueue(1),
        enqueue(2),
        enqueue(3),
        (QueueOp::Dequeue { key: KEY }, saw()),
        (QueueOp::Peek { key: KEY }, saw()),
    ];
    vec![
        agree(&rounds, &Queue::default(), &kinds),
        agree(&rounds, &Queue { initial: vec![int(2), int(1)] }, &kinds),
    ]
}

fn bags(rounds: Range<u32>) -> Vec<u32> {
    let saw =
        || [BagRet::Empty, BagRet::Value(int(1)), BagRet::Value(int(2)), BagRet::Value(int(3))].to_vec();
    let put = |n| (BagOp::Put { key: KEY, value: int(n) }, vec![BagRet::Done]);
    let kinds =
        [put(1), put(2), put(3), (BagOp::Take { key: KEY }, saw()), (BagOp::Take { key: KEY }, saw())];
    vec![agree(&rounds, &Bag::default(), &kinds), agree(&rounds, &Bag { initial: vec![int(1)] }, &kinds)]
}

fn stacks(rounds: Range<u32>) -> Vec<u32> {
    let saw =
        || [StackRet::Empty, StackRet::Top(int(1)), StackRet::Top(int(2)), StackRet::Top(int(3))].to_vec();
    let push = |n| (StackOp::Push { key: KEY, value: int(n) }, vec![StackRet::Done]);
    let kinds =
        [push(1), push(2), push(3), (StackOp::Pop { key: KEY }, saw()), (StackOp::Peek { key: KEY }, saw())];
    vec![
        agree(&rounds, &Stack::default(), &kinds),
        agree(&rounds, &Stack { initial: vec![int(2), int(1)] }, &kinds),
    ]
}

fn priority_queues(rounds: Range<u32>) -> Vec<u32> {
    use PriorityQueueOp::{Insert, Peek, Poll};
    use PriorityQueueRet::{Done, Empty, First};
    let saw = || vec![Empty, First(1), First(2), First(3)];
    let insert = |value| (Insert { key: KEY, value }, vec![Done]);
    let kinds = [insert(1), insert(2), insert(3), (Poll { key: KEY }, saw()), (Peek { key: KEY }, saw())];
    let lowest = PriorityQueue { initial: vec![3, 1], priority: Priority::Lowest };
    vec![agree(&rounds, &PriorityQueue::default(), &kinds), agree(&rounds, &lowest, &kinds)]
}

fn sets(rounds: Range<u32>) -> Vec<u32> {
    let element = |request| {
        (
            ElementOp { key: KEY, element: int(1), request },
            vec![ElementRet::Answer(true), ElementRet::Answer(false), ElementRet::Done],
        )
    };
    let kinds = [element(Request::Add), element(Request::Remove), element(Request::Contains)];
    let lists = [&[][..], &[1], &[2], &[1, 2], &[1, 2, 3], &[3]];
    let reads = lists.map(|list| SetRet::Elements(list.iter().copied().map(int).collect()));
    let add = |n| (SetOp::Add { key: KEY, element: int(n) }, vec![SetRet::Done]);
    let whole = [add(1), add(2), add(3), (SetOp::Read { key: KEY }, reads.to_vec())];
    vec![
        agree(&rounds, &ElementSet::default(), &kinds),
        agree(&rounds, &ElementSet { initial: [int(1)].into() }, &kinds),
        agree(&rounds, &GrowOnlySet::default(), &whole),
        agree(&rounds, &GrowOnlySet { initial: BTreeSet::from([int(3)]) }, &whole),
    ]
}

fn counters(rounds: Range<u32>) -> Vec<u32> {
    let saw = || (0..4).map(CounterRet::Saw).collect::<Vec<_>>();
    let add = |amount, tells| {
        let answers = if tells == Tells::Nothing { vec![CounterRet::Done] } else { saw() };
        (CounterOp::Add { key: KEY, amount, tells }, answers)
    };
    let read = || (CounterOp::Read { key: KEY }, saw());
    let reset = (CounterOp::Reset { key: KEY, value: 1 }, vec![CounterRet::Done]);
    let up = [add(1, Tells::Nothing), read(), add(1, Tells::Before), add(1, Tells::After)];
    let mixed = [add(1, Tells::Nothing), add(2, Tells::Nothing), add(-1, Tells::Before), read(), reset];
    vec![
        agree(&rounds, &Counter::default(), &up),
        agree(&rounds, &Counter { initial: 1 }, &mixed),
        agree(&rounds, &Counter::default(), &[add(1, Tells::Nothing), read()]),
    ]
}

/// Acquire and release by each of these holders.
fn locking(holders: &[Holder], rets: &[LockRet]) -> Vec<Kind<Semaphore>> {
    let acquire = |holder: &Holder| (LockOp::acquire(KEY, holder.clone()), rets.to_vec());
    let release = |holder: &Holder| (LockOp::release(KEY, holder.clone()), vec![LockRet::Done]);
    holders.iter().flat_map(|holder| [acquire(holder), release(holder)]).collect()
}

fn locks(rounds: Range<u32>) -> Vec<u32> {
    let holders = ["a", "b"].map(|name| Holder::of(Value::str(name)));
    let done = [LockRet::Done, LockRet::Declined];
    let fences = [LockRet::Fence(1), LockRet::Fence(2), LockRet::Fence(3)];
    let mut two = locking(&[Holder::ANYBODY], &done);
    two.iter_mut().for_each(|(op, _)| op.permits = 2);
    two.extend(locking(&[Holder::ANYBODY], &done));
    vec![
        agree(&rounds, &Mutex::default(), &locking(&[Holder::ANYBODY], &done)),
        agree(&rounds, &Mutex::default(), &locking(&holders, &done)),
        agree(&rounds, &ReentrantMutex, &locking(&holders, &done)),
        agree(&rounds, &FencedMutex { reentrant: false }, &locking(&holders, &fences)),
        agree(&rounds, &FencedMutex { reentrant: true }, &locking(&holders, &fences)),
        agree(&rounds, &Semaphore { permits: 2 }, &locking(&[Holder::ANYBODY], &done)),
        agree(&rounds, &Semaphore { permits: 3 }, &two),
    ]
}

fn logs(rounds: Range<u32>) -> Vec<u32> {
    let lists = [&[][..], &[1], &[2], &[1, 2], &[1, 1], &[2, 1]];
    let entries: Vec<_> =
        lists.iter().map(|list| LogRet::Entries(list.iter().copied().map(int).collect())).collect();
    let act = |act, answers: &[LogRet]| (LogOp { key: KEY, act }, answers.to_vec());
    let offsets = [LogRet::At(0), LogRet::At(1), LogRet::At(2), LogRet::Done];
    let one = [LogRet::Entry(int(1)), LogRet::Entry(int(2))];
    let kinds = [
        act(LogAct::Append(int(1)), &offsets),
        act(LogAct::Append(int(2)), &offsets),
        act(LogAct::Read(0), &one),
        act(LogAct::Read(1), &one),
        act(LogAct::ReadAll, &entries),
        act(LogAct::Poll(1), &entries),
    ];
    vec![
        agree(&rounds, &AppendLog::default(), &kinds),
        agree(&rounds, &AppendLog { initial: vec![int(1)] }, &kinds),
    ]
}
