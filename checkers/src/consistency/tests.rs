//! Every condition against its definition, tried by brute force on many small histories.

use super::staleness::{Measured, Remembering, measure};
use super::*;
use crate::linearizability::tests::oracle::is_linearizable;
use elenchus_core::outcome::Failure;
use elenchus_core::process::Process;
use elenchus_core::random::{Rng, Seed};
use elenchus_core::time::Time;
use std::collections::BTreeSet;

/// A busy history of a few clients on registers that mostly, but not always, answer with what is there now.
/// Every value is written once; an eighth of the writes end in doubt.
fn random(
    rng: &mut Rng,
    operations: usize,
    processes: usize,
    keys: i64,
    with_cas: bool,
) -> Vec<RegisterOperation> {
    let mut all: Vec<RegisterOperation> = Vec::new();
    let mut open: Vec<Option<usize>> = vec![None; processes];
    let mut names: Vec<u32> = (0..processes as u32).collect();
    let mut held: Vec<Vec<Value>> = vec![vec![Value::Nil]; keys as usize];
    let mut at = 0;
    while all.len() < operations || open.iter().any(Option::is_some) {
        let slot = rng.below(processes as u64) as usize;
        match open[slot].take() {
            None if all.len() < operations => {
                let (key, value) = (Value::Int(rng.below(keys as u64) as i64), Value::Int(all.len() as i64));
                let op = match rng.below(if with_cas { 5 } else { 4 }) {
                    0 | 1 => RegisterOp::Write { key, value },
                    4 => RegisterOp::Cas { key: key.clone(), from: old(rng, &held, &key), to: value },
                    _ => RegisterOp::Read { key },
                };
                open[slot] = Some(all.len());
                let (process, done, called) =
                    (Process(names[slot]), RegisterOperation::OPEN, Time(at * 1_000));
                let (call, outcome) = (at as u32, Outcome::info("open"));
                all.push(RegisterOperation { process, op, outcome, call, done, called, ended: None });
            }
            None => continue,
            Some(i) => {
                let key = all[i].op.key().clone();
                let saw = old(rng, &held, &key);
                if !matches!(all[i].op, RegisterOp::Read { .. }) && rng.chance(1, 8) {
                    names[slot] += processes as u32;
                } else {
                    all[i].outcome = match &all[i].op {
                        RegisterOp::Read { .. } => Outcome::Ok(RegisterRet::Saw(saw)),
                        RegisterOp::Cas { from, .. } if saw != *from && rng.chance(1, 2) => {
                            Outcome::Fail(Failure::Refused(rng.chance(1, 2).then_some(RegisterRet::Saw(saw))))
                        }
                        _ => Outcome::Ok(RegisterRet::Done),
                    };
                    (all[i].done, all[i].ended) = (at as u32, Some(Time(at * 1_000)));
                }
                let written = all[i].op.sets().filter(|_| !matches!(all[i].outcome, Outcome::Fail(_)));
                held[key.as_int().expect("keys are numbers") as usize].extend(written.cloned());
            }
        }
        at += 1;
    }
    if rng.chance(1, 4) {
        see_anything(rng, &mut all);
    }
    all
}

/// Makes one read answer with any value ever written to its key, be it later.
fn see_anything(rng: &mut Rng, all: &mut [RegisterOperation]) {
    let reads: Vec<usize> =
        (0..all.len()).filter(|i| matches!(all[*i].op, RegisterOp::Read { .. })).collect();
    if reads.is_empty() {
        return;
    }
    let read = reads[rng.below(reads.len() as u64) as usize];
    let happened =
        |o: &&RegisterOperation| !matches!(o.outcome, Outcome::Fail(_)) && o.op.key() == all[read].op.key();
    let values: Vec<Value> = all.iter().filter(happened).filter_map(|o| o.op.sets().cloned()).collect();
    if !values.is_empty() {
        let value = values[rng.below(values.len() as u64) as usize].clone();
        all[read].outcome = Outcome::Ok(RegisterRet::Saw(value));
    }
}

/// What a register holds, or held not long ago.
fn old(rng: &mut Rng, held: &[Vec<Value>], key: &Value) -> Value {
    let versions = &held[key.as_int().expect("keys are numbers") as usize];
    let back = if rng.chance(2, 3) { 0 } else { rng.below(3) as usize };
    versions[versions.len().saturating_sub(1 + back)].clone()
}

/// Whether some order of all operations that keeps each process's explains everything: all are tried.
fn is_sequential(operations: &[RegisterOperation]) -> bool {
    go(operations, &mut vec![false; operations.len()], &mut Default::default())
}

fn go(
    operations: &[RegisterOperation],
    placed: &mut [bool],
    state: &mut std::collections::BTreeMap<Value, Value>,
) -> bool {
    let certain = |i: usize| !operations[i].outcome.is_info();
    if (0..operations.len()).all(|i| placed[i] || !certain(i)) {
        return true;
    }
    for i in 0..operations.len() {
        let operation = &operations[i];
        let early = |j: usize| !placed[j] && certain(j) && operations[j].process == operation.process;
        if placed[i] || (0..i).any(early) {
            continue;
        }
        let key = operation.op.key().clone();
        let before = state.get(&key).cloned().unwrap_or(Value::Nil);
        let register = Register::default();
        let after: Vec<Value> =
            register.step(&before, &operation.op, &operation.outcome).into_iter().collect();
        for value in after {
            placed[i] = true;
            state.insert(key.clone(), value);
            let explained = go(operations, placed, state);
            placed[i] = false;
            state.insert(key.clone(), before.clone());
            if explained {
                return true;
            }
        }
    }
    false
}

/// A version, as the definitions name it: a key, and what was written there (nil at first).
type Named = (Value, Value);

fn saw(operation: &RegisterOperation) -> Option<Named> {
    let value = versions::seen(&Register::default(), operation)?;
    Some((operation.op.key().clone(), value.clone()))
}

fn wrote(operation: &RegisterOperation) -> Option<Named> {
    if matches!(operation.outcome, Outcome::Fail(_)) {
        return None;
    }
    operation.op.sets().map(|value| (operation.op.key().clone(), value.clone()))
}

/// Pairs of operations of one process, in its order; a cas also with itself: it reads before it writes.
fn pairs(operations: &[RegisterOperation]) -> Vec<(&RegisterOperation, &RegisterOperation)> {
    let mut pairs = Vec::new();
    for (i, a) in operations.iter().enumerate() {
        pairs.extend(operations[i..].iter().filter(|b| a.process == b.process).map(|b| (a, b)));
    }
    pairs
}

/// Writes to one key by one process, in its order; the first was acknowledged.
fn own_writes(operations: &[RegisterOperation]) -> Vec<(Named, Named)> {
    let own = |(a, b): &(&RegisterOperation, &RegisterOperation)| {
        let first = wrote(a).filter(|_| a.outcome.is_ok() && a.call != b.call)?;
        Some((first, wrote(b)?)).filter(|(a, b)| a.0 == b.0)
    };
    pairs(operations).iter().filter_map(own).collect()
}

/// Whether some order of all versions, initial ones before the others of their key and own writes of a
/// process in its order, has every `(a, b)` in this order (or equal, unless `strictly`): all are tried.
fn has_order(operations: &[RegisterOperation], demands: &[(Named, Named)], strictly: bool) -> bool {
    let keys: BTreeSet<Value> = operations.iter().map(|o| o.op.key().clone()).collect();
    let mut versions: Vec<Named> = keys.into_iter().map(|key| (key, Value::Nil)).collect();
    versions.extend(operations.iter().filter_map(wrote));
    if strictly && demands.iter().any(|(a, b)| a == b) {
        return false;
    }
    let mut demands: Vec<(Named, Named)> = demands.iter().filter(|(a, b)| a != b).cloned().collect();
    let initial = |v: &Named| ((v.0.clone(), Value::Nil), v.clone());
    demands.extend(versions.iter().map(initial).filter(|(a, b)| a != b));
    demands.extend(own_writes(operations));
    permute(&mut versions, 0, &demands)
}

fn permute(versions: &mut [Named], fixed: usize, demands: &[(Named, Named)]) -> bool {
    if fixed == versions.len() {
        let at = |v: &Named| versions.iter().position(|other| other == v);
        return demands.iter().all(|(a, b)| at(a) < at(b));
    }
    (fixed..versions.len()).any(|i| {
        versions.swap(fixed, i);
        let found = permute(versions, fixed + 1, demands);
        versions.swap(fixed, i);
        found
    })
}

fn reads_are_monotonic(operations: &[RegisterOperation]) -> bool {
    let demand = |(a, b): &(&RegisterOperation, &RegisterOperation)| {
        Some((saw(a)?, saw(b)?)).filter(|(a, b)| a.0 == b.0)
    };
    let demands: Vec<_> =
        pairs(operations).iter().filter(|(a, b)| a.call != b.call).filter_map(demand).collect();
    has_order(operations, &demands, false)
}

fn writes_are_read(operations: &[RegisterOperation]) -> bool {
    let demand = |(a, b): &(&RegisterOperation, &RegisterOperation)| {
        let written = wrote(a).filter(|_| a.outcome.is_ok() && a.call != b.call)?;
        Some((written, saw(b)?)).filter(|(a, b)| a.0 == b.0)
    };
    let demands: Vec<_> = pairs(operations).iter().filter_map(demand).collect();
    has_order(operations, &demands, false)
}

/// Whether some process reads `second` and only afterwards, for the first time, `first`.
fn is_seen_reversed(operations: &[RegisterOperation], first: &Named, second: &Named) -> bool {
    let place = |process: Process, version: &Named| {
        operations.iter().position(|o| o.process == process && saw(o).as_ref() == Some(version))
    };
    operations.iter().any(|o| {
        let (a, b) = (place(o.process, first), place(o.process, second));
        a.zip(b).is_some_and(|(a, b)| b < a)
    })
}

fn writes_are_monotonic(operations: &[RegisterOperation]) -> bool {
    pairs(operations).iter().filter(|(a, b)| a.call != b.call && a.outcome.is_ok()).all(|(a, b)| {
        let (Some(first), Some(second)) = (wrote(a), wrote(b)) else { return true };
        first.0 != second.0 || !is_seen_reversed(operations, &first, &second)
    })
}

fn writes_follow_reads(operations: &[RegisterOperation]) -> bool {
    // A cas in doubt is not known to have read anything.
    let demands: Vec<(Named, Named)> =
        pairs(operations).iter().filter_map(|(a, b)| Some((saw(a)?, wrote(b)?))).collect();
    has_order(operations, &demands, true)
        && demands.iter().filter(|(v, w)| v.0 == w.0).all(|(v, w)| !is_seen_reversed(operations, v, w))
}

/// Whether a history keeps a condition, by its definition.
type Definition = fn(&[RegisterOperation]) -> bool;

/// Judges many random histories by a condition and by its definition. Many must keep it, and some break it.
fn compare(condition: Judge, definition: Definition, rounds: u64, size: u64) {
    let (mut rng, mut kept) = (Seed(7).rng(), 0);
    for round in 0..rounds {
        let (count, processes, keys) = (rng.between(2, size), rng.between(1, 3), rng.between(1, 2));
        let history = random(&mut rng, count as usize, processes as usize, keys as i64, round % 2 == 0);
        let verdict = condition(&Register::default(), &history, &Budget::unlimited());
        let expected = definition(&history);
        assert_eq!(verdict.validity == Validity::Valid, expected, "{}: {history:#?}", verdict.why);
        assert_eq!(verdict.validity == Validity::Invalid, !expected, "{}: {history:#?}", verdict.why);
        for anomaly in &verdict.anomalies {
            assert_eq!(anomaly.operations.iter().filter(|shown| shown.guilty).count(), 1);
        }
        kept += u64::from(expected);
    }
    assert!(kept > rounds / 2 && rounds - kept > 50, "{kept} of {rounds} keep it");
}

#[test]
fn sequential_consistency_is_what_brute_force_says() {
    compare(sequential::judge, is_sequential, 20_000, 8);
}

#[test]
fn monotonic_reads_are_what_brute_force_says() {
    compare(monotonic_reads::judge, reads_are_monotonic, 10_000, 9);
}

#[test]
fn read_your_writes_is_what_brute_force_says() {
    compare(read_your_writes::judge, writes_are_read, 10_000, 9);
}

#[test]
fn monotonic_writes_are_what_brute_force_says() {
    compare(monotonic_writes::judge, writes_are_monotonic, 20_000, 12);
}

#[test]
fn writes_follow_reads_is_what_brute_force_says() {
    compare(super::writes_follow_reads::judge, writes_follow_reads, 10_000, 9);
}

#[test]
fn whatever_is_sequentially_consistent_keeps_every_session_guarantee() {
    let mut rng = Seed(11).rng();
    let mut sequential = 0;
    for _ in 0..20_000 {
        let (count, processes, keys) = (rng.between(2, 12), rng.between(2, 4), rng.between(1, 2));
        let history = random(&mut rng, count as usize, processes as usize, keys as i64, true);
        let says = |judge: Judge| judge(&Register::default(), &history, &Budget::unlimited()).validity;
        if says(sequential::judge) != Validity::Valid {
            continue;
        }
        sequential += 1;
        for judge in [
            monotonic_reads::judge,
            read_your_writes::judge,
            monotonic_writes::judge,
            super::writes_follow_reads::judge,
        ] {
            assert_eq!(says(judge), Validity::Valid, "{history:#?}");
        }
    }
    assert!(sequential > 2_000, "{sequential}");
}

#[test]
fn staleness_is_what_brute_force_says() {
    let (mut rng, mut by_versions, mut future) = (Seed(3).rng(), [0; 5], 0);
    for _ in 0..10_000 {
        let (count, processes) = (rng.between(3, 9), rng.between(2, 3));
        let history = random(&mut rng, count as usize, processes as usize, 1, false);
        let register = Register::default();
        let own: Vec<(usize, &RegisterOperation)> = history.iter().enumerate().collect();
        let least = (1..=8).find(|k| is_linearizable(&Remembering { register: &register, k: *k }, &history));
        match measure(&register, &own, &Budget::unlimited()) {
            Measured::Stale(stale) => {
                let k = least.expect("what is measured can be explained");
                assert_eq!((stale.versions_min, stale.versions_max), (k - 1, k - 1), "{history:#?}");
                assert_eq!(stale.time.map(|time| time.as_nanos() as u64), least_delta(&register, &history));
                assert!(stale.stalest.is_none_or(|read| saw(&history[read]).is_some()));
                by_versions[k.min(5) - 1] += 1;
            }
            Measured::Future { .. } => {
                assert_eq!(least, None, "{history:#?}");
                future += 1;
            }
            Measured::Unclear(why) => panic!("{why}"),
        }
    }
    assert!(by_versions[..3].iter().all(|count| *count > 100) && future > 100, "{by_versions:?}, {future}");
}

/// The least of all deltas in question after which the oracle explains every read.
fn least_delta(register: &Register, history: &[RegisterOperation]) -> Option<u64> {
    let moved = |delta: u64| {
        let mut history = history.to_vec();
        for operation in &mut history {
            // Times are the positions, in microseconds. What happens at the very time is concurrent.
            let call = u64::from(operation.call) * 10;
            let read = matches!(operation.op, RegisterOp::Read { .. });
            let since = (u64::from(operation.call) * 1_000).saturating_sub(delta).div_ceil(1_000) * 10;
            operation.call = if read && delta > 0 { call.min(since.saturating_sub(1)) } else { call } as u32;
            if operation.done != RegisterOperation::OPEN {
                operation.done = operation.done * 10 + 1;
            }
        }
        history
    };
    let deltas = (0..=history.len() as u64 * 2).map(|n| n * 1_000);
    deltas.into_iter().find(|delta| is_linearizable(register, &moved(*delta)))
}

#[test]
fn a_read_of_what_nobody_wrote_breaks_every_condition_and_repeated_values_leave_doubt() {
    let read = |value: i64, call: u32| read(0, call, call + 1, value);
    let write = |value: i64, call: u32| write(0, call, call + 1, value);
    let judges: [(&str, Judge); 6] = [
        (sequential::NAME, sequential::judge),
        (monotonic_reads::NAME, monotonic_reads::judge),
        (read_your_writes::NAME, read_your_writes::judge),
        (monotonic_writes::NAME, monotonic_writes::judge),
        (super::writes_follow_reads::NAME, super::writes_follow_reads::judge),
        (staleness::NAME, staleness::judge),
    ];
    for (name, judge) in judges {
        let verdict = judge(&Register::default(), &[write(1, 0), read(2, 2)], &Budget::unlimited());
        assert_eq!(
            (verdict.validity, verdict.class.as_deref()),
            (Validity::Invalid, Some("never-written")),
            "{name}"
        );
        assert_eq!(named(name).map(|condition| condition.name), Some(name));
    }
    let twice = [write(1, 0), write(2, 2), write(1, 4), read(1, 6), read(2, 8)];
    let says = |judge: Judge| judge(&Register::default(), &twice, &Budget::unlimited()).validity;
    assert_eq!(says(monotonic_reads::judge), Validity::Unknown);
    assert_eq!(says(staleness::judge), Validity::Unknown);
    assert_eq!(says(sequential::judge), Validity::Invalid, "a search needs no unique values");
}

#[test]
fn a_search_that_is_not_allowed_enough_is_unknown_in_time() {
    let mut rng = Seed(5).rng();
    let history = random(&mut rng, 3_000, 12, 3, true);
    let budget = Budget::new(std::time::Duration::from_millis(300), 64 << 20);
    let began = std::time::Instant::now();
    let verdict = sequential::judge(&Register::default(), &history, &budget);
    assert_ne!(verdict.validity, Validity::Valid);
    assert!(began.elapsed() < std::time::Duration::from_secs(30), "{:?}", began.elapsed());
}

/// One operation of a process, a second an event.
fn at(process: u32, call: u32, done: u32, op: RegisterOp, ret: RegisterRet) -> RegisterOperation {
    let time = |position: u32| Time(u64::from(position) * 1_000_000_000);
    let (process, outcome) = (Process(process), Outcome::Ok(ret));
    RegisterOperation { process, op, outcome, call, done, called: time(call), ended: Some(time(done)) }
}

fn read(process: u32, call: u32, done: u32, value: i64) -> RegisterOperation {
    at(process, call, done, RegisterOp::Read { key: Value::Nil }, RegisterRet::Saw(Value::Int(value)))
}

fn write(process: u32, call: u32, done: u32, value: i64) -> RegisterOperation {
    let op = RegisterOp::Write { key: Value::Nil, value: Value::Int(value) };
    at(process, call, done, op, RegisterRet::Done)
}

#[test]
fn the_stalest_read_is_told_in_versions_and_in_seconds() {
    let history = [write(0, 0, 1, 1), write(0, 2, 3, 2), write(0, 4, 5, 3), read(1, 6, 7, 1)];
    let verdict = staleness::judge(&Register::default(), &history, &Budget::unlimited());
    let why = "the stalest read was 2 versions and 3.00 s behind; `read 1` by process 1 was certainly stale";
    assert_eq!((verdict.validity, verdict.why.as_str()), (Validity::Valid, why));
    assert_eq!(verdict.figures["stale_nanos"], 3_000_000_000u64);
    assert_eq!(
        (&verdict.figures["stale_versions_min"], &verdict.figures["stale_versions_max"]),
        (&2.into(), &2.into())
    );
}

#[test]
fn a_process_that_sees_a_register_go_back_is_told_with_its_reads() {
    let history =
        [write(0, 0, 1, 1), write(0, 2, 3, 2), read(1, 4, 5, 2), read(1, 6, 7, 1), read(1, 8, 9, 2)];
    let verdict = monotonic_reads::judge(&Register::default(), &history, &Budget::unlimited());
    assert_eq!((verdict.validity, verdict.class.as_deref()), (Validity::Invalid, Some("non-monotonic-read")));
    let shown: Vec<&str> = verdict.anomalies[0].operations.iter().map(|o| o.text.as_str()).collect();
    assert_eq!(shown, ["read 2", "read 1", "read 2"]);
}

#[test]
fn long_histories_that_keep_everything_are_judged_quickly() {
    let simulation =
        crate::synthetic::Simulation { operations: 50_000, clients: 20, doubt_permille: 20, seed: 1 };
    let choose = |rng: &mut Rng, number: usize, _: &Value| match rng.chance(1, 2) {
        true => RegisterOp::Read { key: Value::Nil },
        false => RegisterOp::Write { key: Value::Nil, value: Value::Int(number as i64) },
    };
    let answer = |state: &Value, op: &RegisterOp| match op {
        RegisterOp::Read { .. } => Outcome::Ok(RegisterRet::Saw(state.clone())),
        _ => Outcome::Ok(RegisterRet::Done),
    };
    let history = simulation.run(&Register::default(), Value::Nil, choose, answer);
    let judges: [Judge; 6] = [
        sequential::judge,
        monotonic_reads::judge,
        read_your_writes::judge,
        monotonic_writes::judge,
        super::writes_follow_reads::judge,
        staleness::judge,
    ];
    let began = std::time::Instant::now();
    for judge in judges {
        assert_eq!(judge(&Register::default(), &history, &Budget::unlimited()).validity, Validity::Valid);
    }
    assert!(began.elapsed() < std::time::Duration::from_secs(60), "{:?}", began.elapsed());
}

/// Every history of this many reads and writes of one register by up to three processes: each write acknowledged
/// or in doubt, each read of any value that somebody writes, be it later, or of the first.
fn every_history(size: usize, judge: &mut impl FnMut(&[RegisterOperation])) {
    fn go(size: usize, all: &mut Vec<RegisterOperation>, judge: &mut impl FnMut(&[RegisterOperation])) {
        let i = all.len() as u32;
        if all.len() == size {
            return answer(0, all, judge);
        }
        let known = all.iter().map(|o| o.process.0 + 1).max().unwrap_or(0);
        for process in 0..=known.min(2) {
            let written = write(process, 2 * i, 2 * i + 1, i64::from(i));
            let mut in_doubt = written.clone();
            (in_doubt.outcome, in_doubt.done) = (Outcome::info("open"), RegisterOperation::OPEN);
            for operation in [written, in_doubt, read(process, 2 * i, 2 * i + 1, 0)] {
                all.push(operation);
                go(size, all, judge);
                all.pop();
            }
        }
    }
    fn answer(from: usize, all: &mut Vec<RegisterOperation>, judge: &mut impl FnMut(&[RegisterOperation])) {
        let reads = |o: &RegisterOperation| matches!(o.op, RegisterOp::Read { .. });
        let Some(next) = (from..all.len()).find(|i| reads(&all[*i])) else { return judge(all) };
        let values = all.iter().filter_map(|o| o.op.sets().cloned()).chain([Value::Nil]);
        for value in values.collect::<Vec<_>>() {
            all[next].outcome = Outcome::Ok(RegisterRet::Saw(value));
            answer(next + 1, all, judge);
        }
    }
    go(size, &mut Vec::new(), judge);
}

#[test]
fn every_condition_is_its_definition_on_every_history_of_five_operations() {
    let conditions: [(Judge, Definition); 5] = [
        (sequential::judge, is_sequential),
        (monotonic_reads::judge, reads_are_monotonic),
        (read_your_writes::judge, writes_are_read),
        (monotonic_writes::judge, writes_are_monotonic),
        (super::writes_follow_reads::judge, writes_follow_reads),
    ];
    let (mut histories, mut kept) = (0, [0; 5]);
    for size in 1..=5 {
        every_history(size, &mut |history| {
            histories += 1;
            let keeps = conditions.map(|(judge, definition)| {
                let verdict = judge(&Register::default(), history, &Budget::unlimited());
                assert_ne!(verdict.validity, Validity::Unknown, "{}: {history:#?}", verdict.why);
                let keeps = verdict.validity == Validity::Valid;
                assert_eq!(keeps, definition(history), "{}: {history:#?}", verdict.why);
                keeps
            });
            assert!(
                keeps[3] || !keeps[1],
                "writes seen out of order are a register that goes back: {history:#?}"
            );
            assert!(!keeps[0] || keeps.iter().all(|kept| *kept), "{history:#?}");
            kept.iter_mut().zip(keeps).for_each(|(count, keeps)| *count += usize::from(keeps));
        });
    }
    assert_eq!((histories, kept), (127_397, [71_876, 110_483, 111_408, 125_993, 94_933]));
}

#[test]
fn own_writes_count_in_the_order_in_which_they_were_made() {
    let class = |judge: Judge, history: &[RegisterOperation]| {
        judge(&Register::default(), history, &Budget::unlimited()).class
    };
    let older = [write(0, 0, 1, 1), write(0, 2, 3, 2), read(0, 4, 5, 1)];
    assert_eq!(class(read_your_writes::judge, &older).as_deref(), Some("own-write-unseen"));
    let of_another = [write(0, 0, 1, 1), write(1, 2, 3, 3), write(0, 4, 5, 2), read(0, 6, 7, 3)];
    assert_eq!(class(read_your_writes::judge, &of_another), None, "3 may be newer than 2");
    let mut in_doubt = [write(0, 0, 1, 1), write(0, 2, 3, 2), read(0, 4, 5, 1)];
    in_doubt[0].outcome = Outcome::info("open");
    assert_eq!(class(read_your_writes::judge, &in_doubt), None, "1 may have taken effect after 2");
    let back = [write(0, 0, 1, 1), write(0, 2, 3, 2), read(1, 4, 5, 2), read(1, 6, 7, 1)];
    assert_eq!(class(monotonic_reads::judge, &back).as_deref(), Some("non-monotonic-read"));
    assert_eq!(class(monotonic_writes::judge, &back).as_deref(), Some("writes-out-of-order"));
    let of_two = [write(0, 0, 1, 1), write(2, 2, 3, 2), read(1, 4, 5, 2), read(1, 6, 7, 1)];
    assert_eq!(class(monotonic_reads::judge, &of_two), None, "nothing says that 2 is the newer one");
}

/// Two processes, each of which writes one register and then finds the other one as it was at first.
fn store_buffering() -> Vec<RegisterOperation> {
    let key = |name: &str| Value::str(name);
    let write = |process, call, name| {
        let op = RegisterOp::Write { key: key(name), value: Value::Int(1) };
        at(process, call, call + 1, op, RegisterRet::Done)
    };
    let read = |process, call, name| {
        at(process, call, call + 1, RegisterOp::Read { key: key(name) }, RegisterRet::Saw(Value::Nil))
    };
    vec![write(0, 0, "x"), read(0, 2, "y"), write(1, 4, "y"), read(1, 6, "x")]
}

#[test]
fn what_cannot_be_ordered_is_told_with_its_keys_and_all_that_proves_it() {
    let verdict = sequential::judge(&Register::default(), &store_buffering(), &Budget::unlimited());
    assert_eq!(
        verdict.why,
        "no order that keeps each process's own explains all 4 operations; the longest explains 3, \
         and then `read nil of \"x\"` by process 1 cannot follow"
    );
    let anomaly = &verdict.anomalies[0];
    assert_eq!(anomaly.key.as_deref(), Some("\"x\", \"y\""));
    let shown: Vec<(&str, bool)> = anomaly.operations.iter().map(|o| (o.text.as_str(), o.guilty)).collect();
    let expected = [
        ("write 1 to \"x\"", false),
        ("read nil of \"y\"", false),
        ("write 1 to \"y\"", false),
        ("read nil of \"x\"", true),
    ];
    assert_eq!(shown, expected);
}

#[test]
fn operations_that_the_proof_does_not_need_are_not_shown() {
    let mut history = store_buffering();
    for i in 0..20 {
        let op = RegisterOp::Write { key: Value::str("z"), value: Value::Int(i) };
        history.push(at(i as u32 % 3, 8 + 2 * i as u32, 9 + 2 * i as u32, op, RegisterRet::Done));
    }
    let verdict = sequential::judge(&Register::default(), &history, &Budget::unlimited());
    let these = "explains these 4 operations, whatever the others did; the longest explains 3, and";
    assert!(verdict.why.contains(these), "{}", verdict.why);
    assert_eq!(verdict.anomalies[0].operations.len(), 4);
}

/// The most operations not in doubt that some order which keeps each process's has: all are tried.
fn longest(
    operations: &[RegisterOperation],
    placed: &mut [bool],
    state: &mut std::collections::BTreeMap<Value, Value>,
) -> usize {
    let certain = |i: usize| !operations[i].outcome.is_info();
    let mut most = (0..operations.len()).filter(|i| placed[*i] && certain(*i)).count();
    for i in 0..operations.len() {
        let operation = &operations[i];
        let early = |j: usize| !placed[j] && certain(j) && operations[j].process == operation.process;
        if placed[i] || (0..i).any(early) {
            continue;
        }
        let key = operation.op.key().clone();
        let before = state.get(&key).cloned().unwrap_or(Value::Nil);
        let after: Vec<Value> =
            Register::default().step(&before, &operation.op, &operation.outcome).into_iter().collect();
        for value in after {
            placed[i] = true;
            state.insert(key.clone(), value);
            most = most.max(longest(operations, placed, state));
            placed[i] = false;
            state.insert(key.clone(), before.clone());
        }
    }
    most
}

#[test]
fn evidence_against_sequential_consistency_is_a_proof_and_no_more() {
    let (mut rng, mut proved, mut searched) = (Seed(13).rng(), 0, 0);
    for _ in 0..20_000 {
        let history = random(&mut rng, 6, 3, 2, true);
        let verdict = sequential::judge(&Register::default(), &history, &Budget::unlimited());
        let Some(anomaly) = verdict.anomalies.first() else { continue };
        let shown = |i: &usize| anomaly.operations.iter().any(|o| o.call == history[*i].call);
        let proof: Vec<usize> = (0..history.len()).filter(shown).collect();
        let kept = sequential::released(&history, &proof);
        assert!(!is_sequential(&kept), "{}: {history:#?}", verdict.why);
        proved += 1;
        if !verdict.why.contains("the longest") {
            continue;
        }
        searched += 1;
        for left_out in &proof {
            let fewer: Vec<usize> = proof.iter().copied().filter(|i| i != left_out).collect();
            assert!(is_sequential(&sequential::released(&history, &fewer)), "{}: {history:#?}", verdict.why);
        }
        let certain = kept.iter().filter(|o| !o.outcome.is_info()).count();
        let placed = longest(&kept, &mut vec![false; kept.len()], &mut Default::default());
        let expected = format!("the longest explains {}, and", proof.len() - (certain - placed));
        assert!(verdict.why.contains(&expected), "{expected}; {}: {history:#?}", verdict.why);
    }
    assert!(proved > 1_000 && searched > 100, "{proved}, {searched}");
}
