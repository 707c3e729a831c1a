//! Stores against the oracle: all small histories, random ones, long ones; and how their anomalies are told.

use super::{Kv, KvOp, KvRet, KvState};
use crate::linearizability::tests::Tally;
use crate::linearizability::tests::exhaustive::{Sort, compare_all, judge_all};
use crate::linearizability::tests::oracle::is_linearizable;
use crate::linearizability::tests::random::compare_many;
use crate::linearizability::tests::{search_says, search_says_blind_to_growth};
use crate::linearizability::{Insight, Shortcut, Task, check_operations};
use crate::models::register::NilReads;
use crate::synthetic::Simulation;
use elenchus_core::budget::Budget;
use elenchus_core::operation::Operation;
use elenchus_core::outcome::{Failure, Outcome};
use elenchus_core::process::Process;
use elenchus_core::random::Rng;
use elenchus_core::time::Time;
use elenchus_core::value::Value;
use elenchus_core::verdict::Validity;

const KEY: Value = Value::Nil;

fn store(initial: Value) -> Kv {
    Kv { initial, ..Kv::default() }
}

fn text(text: &str) -> Value {
    match text {
        "_" => Value::Nil,
        text => Value::str(text),
    }
}

/// An operation by a word: `got:ab`, `got:_` (nil), `put:c`, `app:a`, `del`, `cas:a,b`; with `?` in doubt, with
/// `!` refused (`!b`: having seen b), with `~` acknowledged but free not to have happened.
fn sort(word: &str) -> Sort<Kv> {
    let (op, outcome) = parse(word);
    match word.ends_with('~') {
        true => Sort::optional(op, outcome),
        false => Sort::new(op, outcome),
    }
}

fn parse(word: &str) -> (KvOp, Outcome<KvRet>) {
    let (word, refused) = match word.split_once('!') {
        None => (word, None),
        Some((word, "")) => (word, Some(None)),
        Some((word, saw)) => (word, Some(Some(KvRet::Saw(text(saw))))),
    };
    let bare = word.trim_end_matches(['?', '~']);
    let (f, argument) = bare.split_once(':').unwrap_or((bare, ""));
    let (op, ret) = match f {
        "got" => (KvOp::Get { key: KEY }, KvRet::Saw(text(argument))),
        "put" => (KvOp::Put { key: KEY, value: text(argument) }, KvRet::Done),
        "app" => (KvOp::Append { key: KEY, piece: argument.into() }, KvRet::Done),
        "del" => (KvOp::Delete { key: KEY }, KvRet::Done),
        "cas" => {
            let (from, to) = argument.split_once(',').expect("a cas has two values");
            (KvOp::Cas { key: KEY, from: text(from), to: text(to) }, KvRet::Done)
        }
        _ => panic!("no such operation: {word}"),
    };
    let outcome = match refused {
        Some(saw) => Outcome::Fail(Failure::Refused(saw)),
        None if word.ends_with('?') => Outcome::info("timeout"),
        None => Outcome::Ok(ret),
    };
    (op, outcome)
}

fn all(model: &Kv, words: &str, count: usize) -> Tally {
    let sorts: Vec<Sort<Kv>> = words.split_whitespace().map(sort).collect();
    compare_all(model, &sorts, count, 3, |_| true)
}

/// What the checker would say, with no further search.
fn judged(model: &Kv, words: &str, count: usize) -> Tally {
    let sorts: Vec<Sort<Kv>> = words.split_whitespace().map(sort).collect();
    judge_all(model, &sorts, count, |_| true)
}

fn tally(histories: u64, linearizable: u64, by_shortcut: u64) -> Tally {
    Tally { histories, linearizable, by_shortcut }
}

fn counts(tally: Tally) -> (u64, u64) {
    (tally.histories, tally.linearizable)
}

/// Appends and puts of texts that each occur once, if nothing is chosen twice.
const APPENDS: &str =
    "got: got:a got:b got:ab got:ba got:ca got:cb got:c app:a app:b app:a? put:c put:c? app:b~";
/// Everything, with texts that repeat and begin alike.
const RICH: &str = "got:_ got:a got:ab got:aa app:a app:b app:a? put:a put:ab? put:_ del del? cas:a,b cas:_,a cas:a,ab? cas:a,b! cas:_,a!a";
/// Appends of texts that repeat, each in doubt as well, and what takes them away.
const REPEATED: &str = "got: got:a got:ab got:aa got:ba app:a app:a? app:b? put:a? put: cas:a,b? del?";
/// A register's operations by other names.
const PLAIN: &str = "got:_ got:a got:b put:a put:a? put:b cas:a,b cas:_,b? cas:a,b!b del";

#[test]
fn appends_to_a_text_agree_with_the_oracle_on_every_history_of_four_operations() {
    let numbers: Vec<_> = (1..=4).map(|count| all(&store(text("")), APPENDS, count)).collect();
    assert_eq!(
        numbers,
        [tally(14, 7, 14), tally(259, 62, 244), tally(6489, 780, 5658), tally(202712, 12476, 160492)]
    );
}

#[test]
fn appends_to_nothing_agree_with_the_oracle_on_every_history_of_three_operations() {
    let nil = format!("{APPENDS} got:_");
    let silent = Kv { initial: Value::Nil, nil_reads: NilReads::SawNothing };
    let dear = "got:d got:da got:db got:dab got:c got:ca got: app:a app:b app:a? put:c put:c~";
    let numbers = [all(&store(Value::Nil), &nil, 3), all(&silent, &nil, 3), all(&store(text("d")), dear, 3)];
    assert_eq!(numbers, [tally(8150, 780, 7247), tally(8150, 885, 7247), tally(4444, 580, 3844)]);
}

#[test]
fn all_operations_agree_with_the_oracle_on_every_history_of_three() {
    let numbers = [all(&store(Value::Nil), RICH, 3), all(&store(text("")), RICH, 3)];
    assert_eq!(numbers.map(counts), [(11135, 4061), (11135, 2671)]);
    // How many need no search is up to the register.
    assert!(numbers.iter().all(|tally| tally.by_shortcut > 2_500), "{numbers:?}");
}

#[test]
fn appends_that_repeat_agree_with_the_oracle_on_every_history_of_four_operations() {
    let numbers: Vec<_> = (1..=4).map(|count| all(&store(text("")), REPEATED, count)).collect();
    let all: Vec<_> = numbers.iter().copied().map(counts).collect();
    assert_eq!(all, [(12, 8), (162, 63), (2842, 648), (61033, 8566)]);
    let searched = numbers.iter().map(|tally| tally.histories - tally.by_shortcut);
    assert!(searched.sum::<u64>() > 10_000, "{numbers:?}");
}

#[test]
fn a_text_that_only_an_append_makes_one_that_is_got_must_not_be_forgotten() {
    let certain = "0 0 1 put:a\n 1 2 3 app:b\n 2 4 5 got:ab\n 3 6 7 app:b\n 4 8 9 got:abb";
    let doubtful = "0 0 1 put:a\n 1 2 4294967295 app:b?\n 2 4 5 got:ab\n 3 6 7 app:b\n 4 8 9 got:abb";
    let through_a_cas = "0 0 1 put:a\n 1 2 4294967295 cas:aa,b?\n 2 4 5 app:a\n 3 6 7 app:c\n 4 8 9 got:bc";
    for lines in [certain, doubtful, through_a_cas] {
        let (empty, operations) = (store(text("")), history(lines));
        assert!(is_linearizable(&empty, &operations) && search_says(&empty, &operations), "{lines}");
        assert!(!search_says_blind_to_growth(&empty, &operations), "not caught by {lines}");
        let refuted = &operations[..operations.len() - 1];
        let refuted = [refuted, &history("4 8 9 got:bab")].concat();
        assert!(!is_linearizable(&empty, &refuted) && !search_says(&empty, &refuted), "{lines}");
    }
}

#[test]
fn stores_without_appends_agree_with_the_oracle_on_every_history_of_four() {
    let tally = all(&store(Value::Nil), PLAIN, 4);
    assert_eq!(counts(tally), (55729, 13425));
    assert!(tally.by_shortcut > 17_000, "{tally:?}");
}

#[test]
fn stores_without_appends_agree_with_the_oracle_on_every_history_of_five() {
    let words = "got:_ got:a got:b put:a put:b? cas:a,b cas:_,b? cas:a,b!b";
    assert_eq!(judged(&store(Value::Nil), words, 5), tally(399_548, 38_967, 193_468));
}

#[test]
fn appends_agree_with_the_oracle_on_every_history_of_five_operations() {
    assert_eq!(
        judged(&store(text("")), "got: got:a got:ab got:ba got:ca app:a app:b app:a? put:c put:c?", 5),
        tally(1446130, 85920, 823040)
    );
}

fn answer(state: &KvState, op: &KvOp) -> Outcome<KvRet> {
    match op {
        KvOp::Get { .. } => Outcome::Ok(KvRet::Saw(state.value())),
        KvOp::Cas { from, .. } if !state.is(from) => {
            Outcome::Fail(Failure::Refused(Some(KvRet::Saw(state.value()))))
        }
        _ => Outcome::Ok(KvRet::Done),
    }
}

/// Mostly appends of unique pieces, gets, and a put now and then.
fn growing(rng: &mut Rng, number: usize, _: &KvState) -> KvOp {
    match rng.below(16) {
        0 => KvOp::Put { key: KEY, value: Value::str(&format!("<{number}>")) },
        1..=11 => KvOp::Get { key: KEY },
        _ => KvOp::Append { key: KEY, piece: format!("({number})").into() },
    }
}

/// Anything, of few texts.
fn anything(rng: &mut Rng, _: usize, _: &KvState) -> KvOp {
    let mut few = || text(["_", "a", "b", "ab"][rng.below(4) as usize]);
    let (value, to) = (few(), few());
    match rng.below(8) {
        0 | 1 => KvOp::Put { key: KEY, value },
        2 => KvOp::Cas { key: KEY, from: value, to },
        3 => KvOp::Delete { key: KEY },
        4 => KvOp::Append { key: KEY, piece: "a".into() },
        _ => KvOp::Get { key: KEY },
    }
}

/// Mostly appends of few texts, now and then a put.
fn repeating(rng: &mut Rng, _: usize, _: &KvState) -> KvOp {
    let few = text(["", "a", "b", "ab"][rng.below(4) as usize]);
    match rng.below(12) {
        0 => KvOp::Put { key: KEY, value: few },
        1 => KvOp::Cas { key: KEY, from: few, to: text("a") },
        2..=6 => KvOp::Append { key: KEY, piece: ["a", "a", "b"][rng.below(3) as usize].into() },
        _ => KvOp::Get { key: KEY },
    }
}

/// Exchanges the answers of two gets, now and then.
fn lie(rng: &mut Rng, operations: &mut [Operation<KvOp, KvRet>]) {
    let gets: Vec<usize> = (0..operations.len())
        .filter(|i| matches!(operations[*i].op, KvOp::Get { .. }) && operations[*i].outcome.is_ok())
        .collect();
    if gets.len() < 2 || rng.chance(1, 4) {
        return;
    }
    let mut pick = || gets[rng.below(gets.len() as u64) as usize];
    let (a, b) = (pick(), pick());
    let outcome = operations[a].outcome.clone();
    operations[a].outcome = std::mem::replace(&mut operations[b].outcome, outcome);
}

#[test]
fn random_histories_agree_with_the_oracle() {
    let empty = store(text(""));
    let grown = compare_many(&empty, &KvState::new(&text("")), (1, 20_000), growing, answer, lie);
    let mixed =
        compare_many(&store(Value::Nil), &KvState::new(&Value::Nil), (2, 20_000), anything, answer, lie);
    assert_eq!((grown, counts(mixed)), (tally(20_000, 18_163, 20_000), (20_000, 19_335)));
    let repeated = compare_many(&empty, &KvState::new(&text("")), (3, 40_000), repeating, answer, lie);
    assert_eq!(counts(repeated), (40_000, 37_203));
}

#[test]
fn on_long_histories_search_and_shortcut_agree_and_each_exchange_of_answers_is_judged_alike() {
    let empty = store(text(""));
    let (mut valid, mut invalid) = (0, 0);
    for seed in 0..20 {
        // An append in doubt multiplies what the search must try where nothing explains an answer.
        let doubt_permille = if seed % 2 == 1 { 0 } else { 5 };
        let simulation = Simulation { operations: 1_000, clients: 3, doubt_permille, seed };
        let mut operations = simulation.run(&empty, KvState::new(&text("")), growing, answer);
        if seed % 2 == 1 {
            lie(&mut elenchus_core::random::Seed(seed).rng(), &mut operations);
        }
        let by_search = search_says(&empty, &operations);
        let tasks: Vec<Task<'_, Kv>> = Task::all(&operations).collect();
        let by_shortcut = empty.shortcut(&tasks).expect("texts occur once") == Shortcut::Linearizable;
        assert_eq!(by_search, by_shortcut, "seed {seed}");
        *if by_search { &mut valid } else { &mut invalid } += 1;
    }
    assert!(valid >= 10 && invalid >= 5, "{valid} valid, {invalid} invalid");
}

/// Operations from lines of `process call done word`, in the order of their calls.
fn history(lines: &str) -> Vec<Operation<KvOp, KvRet>> {
    let operation = |line: &str| {
        let [process, call, done, word] = line.split_whitespace().collect::<Vec<_>>()[..] else {
            panic!("no operation: {line}")
        };
        let number = |text: &str| text.parse::<u32>().expect("a number");
        let (op, mut outcome) = parse(word.trim_end_matches('x'));
        if word.ends_with('x') {
            outcome = Outcome::not_done("refused by a quota");
        }
        let (process, call, done) = (Process(number(process)), number(call), number(done));
        let (called, ended) = (Time(u64::from(call) * 1_000_000), Some(Time(u64::from(done) * 1_000_000)));
        Operation { process, op, outcome, call, done, called, ended }
    };
    lines.lines().map(str::trim).filter(|line| !line.is_empty()).map(operation).collect()
}

/// The class and the sentence of the only anomaly.
fn told(lines: &str) -> (String, String) {
    let verdict = check_operations(&store(text("")), &history(lines), &Budget::unlimited());
    assert_eq!(verdict.validity, Validity::Invalid, "{}", verdict.why);
    (verdict.class.expect("an anomaly has a class"), verdict.why)
}

#[test]
fn a_get_that_lacks_what_was_acknowledged_is_stale() {
    let (class, why) = told("0 0 1 app:(1)\n 1 2 3 got:(1)\n 2 4 6 got:");
    assert_eq!(class, "stale-read");
    assert_eq!(
        why,
        "process 2 got \"\", although `append \"(1)\"` by process 0 was acknowledged 3 ms before that began"
    );
}

#[test]
fn an_append_that_nobody_ever_sees_is_lost() {
    let (class, why) = told("0 0 1 app:(1)\n 1 2 3 got:\n 2 4 5 got:\n 3 6 7 got:");
    assert_eq!(class, "lost-write");
    assert!(why.ends_with("nobody ever saw what it wrote, so it was lost"), "{why}");
}

#[test]
fn an_empty_text_that_was_there_before_anything_was_written_hints_at_the_initial_value() {
    let of = |model: &Kv, lines: &str| check_operations(model, &history(lines), &Budget::unlimited()).why;
    let hint = "; if keys start as \"\" say --initial '\"\"'";
    let (nil, zero) = (Kv::default(), Kv { initial: Value::Int(0), ..Kv::default() });
    let first = "0 0 9 app:(1)\n 1 2 3 got:\n 2 10 11 got:(1)";
    assert!(of(&nil, first).ends_with(hint), "{}", of(&nil, first));
    // Not where the user said how keys start, nor where somebody wrote before.
    assert!(!of(&zero, first).contains("--initial"), "{}", of(&zero, first));
    let later = "0 0 1 app:(1)\n 1 2 3 got:\n 2 10 11 got:(1)";
    assert!(!of(&nil, later).contains("--initial"), "{}", of(&nil, later));
}

#[test]
fn gets_that_do_not_continue_each_other_are_forked() {
    let (class, why) = told("0 0 5 app:(1)\n 1 1 6 app:(2)\n 2 7 8 got:(1)(2)\n 3 9 10 got:(2)(1)");
    assert_eq!(class, "forked");
    assert_eq!(
        why,
        "process 3 got \"(2)(1)\", and `get \"(1)(2)\"` by process 2 saw what neither continues that nor is continued by it"
    );
}

#[test]
fn what_was_not_done_not_yet_called_or_never_written_is_named() {
    assert_eq!(told("0 0 1 app:(1)x\n 1 2 3 got:(1)").0, "aborted-read");
    assert_eq!(told("0 0 1 got:(1)\n 1 2 3 app:(1)").0, "future-read");
    let (class, why) = told("0 0 1 app:(1)\n 1 2 3 got:(1)(2)");
    assert_eq!(
        (class.as_str(), why.as_str()),
        ("never-written", "process 1 got \"(1)(2)\", which nothing that was ever written can give")
    );
}
