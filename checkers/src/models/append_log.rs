//! A log to whose end entries are appended. Offsets are consecutive and count from 0.
//!
//! A log whose offsets only increase (as Kafka's may, where markers take some) is not this one: renumber them,
//! or leave them out.
//!
//! Which entry stands where is known from the offsets that appends were given and from what was read, so
//! the order is mostly fixed and need only be tried against the clock (`append_log/order.rs`). It takes a
//! search where one value was appended several times and read, and nobody knows which was which.

mod entries;
mod order;
mod tell;

pub use entries::Entries;

use super::{key_column, key_of};
use elenchus_core::model::Model;
use elenchus_core::outcome::Outcome;
use elenchus_core::value::Value;
use elenchus_core::workload::{Call, Vocabulary};

/// What a client asks of a log.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LogOp {
    /// Which log.
    pub key: Value,
    /// What to do.
    pub act: LogAct,
}

/// What can be done with a log.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum LogAct {
    /// Add this entry at the end.
    Append(Value),
    /// Which entry stands at this offset?
    Read(u64),
    /// What are all entries?
    ReadAll,
    /// What are the entries from this offset to the end?
    Poll(u64),
}

/// What a log answers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum LogRet {
    /// It is appended.
    Done,
    /// It is appended, at this offset.
    At(u64),
    /// This entry; nil if the log does not reach so far.
    Entry(Value),
    /// These entries.
    Entries(Vec<Value>),
}

/// The sequential log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AppendLog {
    /// The entries at first.
    pub initial: Vec<Value>,
}

impl Model for AppendLog {
    type Op = LogOp;
    type Ret = LogRet;
    type Key = Value;
    type State = Entries;

    fn init(&self, _key: &Value) -> Entries {
        Entries::new(&self.initial)
    }

    fn step(
        &self,
        state: &Entries,
        op: &LogOp,
        outcome: &Outcome<LogRet>,
    ) -> impl IntoIterator<Item = Entries> {
        let kept = |admitted: bool| admitted.then(|| state.clone());
        match (&op.act, outcome) {
            (_, Outcome::Fail(_)) => kept(true),
            (LogAct::Append(value), Outcome::Info(_) | Outcome::Ok(LogRet::Done)) => Some(state.with(value)),
            (LogAct::Append(value), Outcome::Ok(LogRet::At(offset))) => {
                (state.len() == place(*offset)).then(|| state.with(value))
            }
            (_, Outcome::Info(_)) => kept(true),
            (LogAct::Read(offset), Outcome::Ok(LogRet::Entry(entry))) => {
                kept(state.get(*offset).unwrap_or(&Value::Nil) == entry)
            }
            (LogAct::ReadAll, Outcome::Ok(LogRet::Entries(entries))) => kept(state.end_with(0, entries)),
            (LogAct::Poll(offset), Outcome::Ok(LogRet::Entries(entries))) => {
                kept(state.end_with(*offset, entries))
            }
            (_, Outcome::Ok(_)) => None,
        }
    }

    fn key(&self, op: &LogOp) -> Value {
        op.key.clone()
    }

    fn describe(&self, op: &LogOp, outcome: &Outcome<LogRet>) -> String {
        let what = match &op.act {
            LogAct::Append(value) => format!("append {value}"),
            LogAct::Read(offset) => format!("read at {offset}"),
            LogAct::ReadAll => "read all".to_owned(),
            LogAct::Poll(offset) => format!("poll from {offset}"),
        };
        match outcome {
            Outcome::Ok(LogRet::Done) => what,
            Outcome::Ok(LogRet::At(offset)) => format!("{what} → offset {offset}"),
            Outcome::Ok(LogRet::Entry(entry)) => format!("{what} → {entry}"),
            Outcome::Ok(LogRet::Entries(entries)) => format!("{what} → {}", shortened(entries)),
            Outcome::Fail(_) => format!("{what} failed"),
            Outcome::Info(_) => format!("{what} (in doubt)"),
        }
    }

    fn inert(&self, op: &LogOp, outcome: &Outcome<LogRet>) -> bool {
        !matches!(op.act, LogAct::Append(_)) || matches!(outcome, Outcome::Fail(_))
    }

    fn source(&self, op: &LogOp, outcome: &Outcome<LogRet>) -> Option<Entries> {
        match (&op.act, outcome) {
            (LogAct::ReadAll, Outcome::Ok(LogRet::Entries(entries))) => Some(Entries::new(entries)),
            _ => None,
        }
    }

    fn weight(&self, state: &Entries) -> usize {
        state.weight()
    }
}

fn place(offset: u64) -> usize {
    usize::try_from(offset).unwrap_or(usize::MAX)
}

/// Many entries, by their ends.
fn shortened(entries: &[Value]) -> String {
    const SHOWN_MAX: usize = 8;
    let text = |entries: &[Value]| entries.iter().map(Value::to_string).collect::<Vec<_>>().join(" ");
    match entries.len() {
        0..=SHOWN_MAX => format!("[{}]", text(entries)),
        many => format!(
            "[{} … {}] ({many} entries)",
            text(&entries[..SHOWN_MAX / 2]),
            text(&entries[many - SHOWN_MAX / 2..])
        ),
    }
}

/// Logs on disk: `append` with its value, then `[offset value]` or `{:offset n}` where the offset is known and
/// anything else where it is not; `read` with an offset, then the entry or nil if the log does not reach so
/// far; `read` with nil, then the list of all entries; `poll` with the offset to begin at, then the list of
/// all entries from there on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AppendLogVocabulary;

impl Vocabulary for AppendLogVocabulary {
    type Op = LogOp;
    type Ret = LogRet;

    fn encode_op(&self, op: &LogOp) -> Call {
        let offset = |offset: &u64| {
            i64::try_from(*offset).map_or(Value::BigInt(offset.to_string().into()), Value::Int)
        };
        let (f, value) = match &op.act {
            LogAct::Append(value) => ("append", value.clone()),
            LogAct::Read(at) => ("read", offset(at)),
            LogAct::ReadAll => ("read", Value::Nil),
            LogAct::Poll(from) => ("poll", offset(from)),
        };
        Call { f, key: key_column(&op.key), value }
    }

    fn encode_ret(&self, op: &LogOp, ret: &LogRet) -> Value {
        match ret {
            LogRet::Done => self.encode_op(op).value,
            LogRet::At(offset) => {
                let offset =
                    i64::try_from(*offset).map_or(Value::BigInt(offset.to_string().into()), Value::Int);
                Value::vector([offset, self.encode_op(op).value])
            }
            LogRet::Entry(entry) => entry.clone(),
            LogRet::Entries(entries) => Value::vector(entries.iter().cloned()),
        }
    }

    fn decode_op(&self, f: &str, key: Option<&Value>, value: &Value) -> Result<LogOp, String> {
        let offset = || offset_of(value).ok_or_else(|| format!("{f} takes an offset from 0 on, not {value}"));
        let act = match (f, value) {
            ("append", _) => LogAct::Append(value.clone()),
            ("read", Value::Nil) => LogAct::ReadAll,
            ("read", _) => LogAct::Read(offset()?),
            ("poll", Value::Nil) => LogAct::Poll(0),
            ("poll", _) => LogAct::Poll(offset()?),
            _ => return Err(format!("a log has no function {f:?}, only append, read and poll")),
        };
        Ok(LogOp { key: key_of(key), act })
    }

    fn decode_ret(&self, op: &LogOp, value: &Value) -> Result<LogRet, String> {
        match (&op.act, value) {
            (LogAct::Append(entry), _) => Ok(appended_at(entry, value).map_or(LogRet::Done, LogRet::At)),
            (LogAct::Read(_), _) => Ok(LogRet::Entry(value.clone())),
            (_, Value::Vector(entries) | Value::List(entries)) => Ok(LogRet::Entries(entries.to_vec())),
            (_, Value::Nil) => Ok(LogRet::Entries(Vec::new())),
            _ => Err(format!("a read of a log answers a list, not {value}")),
        }
    }
}

fn offset_of(value: &Value) -> Option<u64> {
    match value {
        Value::Int(offset) => u64::try_from(*offset).ok(),
        Value::BigInt(text) => text.parse().ok(),
        _ => None,
    }
}

/// The offset in the completion of an append.
fn appended_at(entry: &Value, value: &Value) -> Option<u64> {
    match value {
        Value::Map(pairs) => {
            let (_, offset) = pairs.iter().find(|(name, _)| name.as_text() == Some("offset"))?;
            (value != entry).then(|| offset_of(offset))?
        }
        _ => match value.as_items()? {
            [offset, same] if same == entry => offset_of(offset),
            _ => None,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linearizability::tests::exhaustive::{Keep, Sort, compare_all, judge_all};
    use crate::linearizability::tests::{Tally, random, search_says};
    use crate::linearizability::{Insight, Shortcut, Task, check_operations};
    use crate::synthetic::Simulation;
    use elenchus_core::budget::Budget;
    use elenchus_core::operation::Operation;
    use elenchus_core::outcome::Failure;
    use elenchus_core::process::Process;
    use elenchus_core::random::Rng;
    use elenchus_core::time::Time;

    fn of(act: LogAct) -> LogOp {
        LogOp { key: Value::Nil, act }
    }

    fn append(value: i64) -> LogOp {
        of(LogAct::Append(Value::Int(value)))
    }

    fn entries(values: &[i64]) -> LogRet {
        LogRet::Entries(values.iter().copied().map(Value::Int).collect())
    }

    fn ok(op: LogOp, ret: LogRet) -> Sort<AppendLog> {
        Sort::new(op, Outcome::Ok(ret))
    }

    fn doubt(op: LogOp) -> Sort<AppendLog> {
        Sort::new(op, Outcome::info("timeout"))
    }

    fn tally(histories: u64, linearizable: u64, by_shortcut: u64) -> Tally {
        Tally { histories, linearizable, by_shortcut }
    }

    #[test]
    fn appends_that_know_their_offsets_and_reads_at_one() {
        let mut sorts = vec![doubt(append(1)), doubt(append(2))];
        for offset in 0..3 {
            sorts.push(ok(append(1), LogRet::At(offset)));
            sorts.push(ok(append(2), LogRet::At(offset)));
        }
        for offset in 0..2 {
            for saw in [Value::Nil, Value::Int(1), Value::Int(2)] {
                sorts.push(ok(of(LogAct::Read(offset)), LogRet::Entry(saw)));
            }
        }
        assert_eq!(compare_all(&AppendLog::default(), &sorts, 3, 3, |_| true), tally(7_280, 746, 7_268));
    }

    #[test]
    fn appends_that_do_not_and_reads_of_all() {
        let mut sorts = vec![Sort::optional(append(1), Outcome::Ok(LogRet::At(1)))];
        for value in 1..=2 {
            sorts.push(doubt(append(value)));
            sorts.push(ok(append(value), LogRet::Done));
        }
        sorts.push(ok(append(3), LogRet::At(1)));
        for saw in [&[][..], &[1], &[2, 1], &[2, 3], &[1, 3, 2]] {
            sorts.push(ok(of(LogAct::ReadAll), entries(saw)));
        }
        sorts.push(ok(of(LogAct::Poll(1)), entries(&[])));
        sorts.push(ok(of(LogAct::Poll(1)), entries(&[3])));
        assert_eq!(
            compare_all(&AppendLog::default(), &sorts, 4, 3, |_| true),
            tally(145_274, 11_804, 139_209)
        );
    }

    /// No value is appended twice, and values are numbered in the order in which they are appended.
    const IN_ORDER: Keep<AppendLog> = |operations| {
        let mut highest = 0;
        operations.iter().all(|operation| match &operation.op.act {
            LogAct::Append(Value::Int(value)) => {
                highest += 1;
                *value == highest
            }
            _ => true,
        })
    };

    #[test]
    fn five_appends_to_different_offsets_and_reads() {
        let mut sorts = Vec::new();
        for value in 1..=3 {
            sorts.push(doubt(append(value)));
            sorts.push(ok(append(value), LogRet::Done));
            sorts.push(ok(append(value), LogRet::At(1)));
        }
        sorts.push(ok(append(1), LogRet::At(0)));
        sorts.push(Sort::new(append(1), Outcome::Fail(Failure::Refused(None))));
        for saw in [&[][..], &[1], &[2, 1], &[1, 2], &[3, 1, 2]] {
            sorts.push(ok(of(LogAct::ReadAll), entries(saw)));
        }
        sorts.push(ok(of(LogAct::Read(1)), LogRet::Entry(Value::Int(1))));
        sorts.push(ok(of(LogAct::Poll(1)), entries(&[2])));
        assert_eq!(
            judge_all(&AppendLog::default(), &sorts, 5, IN_ORDER),
            tally(3_438_736, 43_655, 3_438_736)
        );
    }

    #[test]
    fn a_log_that_holds_something_at_first() {
        let model = AppendLog { initial: vec![Value::Int(7)] };
        let mut sorts = vec![doubt(append(1)), ok(append(2), LogRet::Done)];
        for offset in 0..3 {
            sorts.push(ok(append(1), LogRet::At(offset)));
        }
        for saw in [&[][..], &[7], &[1], &[7, 1], &[7, 2]] {
            sorts.push(ok(of(LogAct::ReadAll), entries(saw)));
        }
        sorts.push(ok(of(LogAct::Read(0)), LogRet::Entry(Value::Nil)));
        sorts.push(ok(of(LogAct::Read(0)), LogRet::Entry(Value::Int(7))));
        assert_eq!(compare_all(&model, &sorts, 4, 2, |_| true), tally(120_396, 3_594, 119_723));
    }

    fn choose(rng: &mut Rng, number: usize, state: &Entries) -> LogOp {
        match rng.below(6) {
            0..=2 => append(number as i64),
            3 => of(LogAct::Read(rng.below(state.len() as u64 + 2))),
            4 => of(LogAct::Poll(rng.below(state.len() as u64 + 1))),
            _ => of(LogAct::ReadAll),
        }
    }

    fn answer(plain: bool) -> impl Fn(&Entries, &LogOp) -> Outcome<LogRet> {
        move |state, op| {
            let from = |offset: u64| state.to_vec().get(place(offset)..).unwrap_or_default().to_vec();
            Outcome::Ok(match &op.act {
                LogAct::Append(Value::Int(n)) if plain && n % 2 == 0 => LogRet::Done,
                LogAct::Append(_) => LogRet::At(state.len() as u64),
                LogAct::Read(offset) => LogRet::Entry(state.get(*offset).cloned().unwrap_or(Value::Nil)),
                LogAct::ReadAll => LogRet::Entries(state.to_vec()),
                LogAct::Poll(offset) => LogRet::Entries(from(*offset)),
            })
        }
    }

    fn lie(rng: &mut Rng, operations: &mut [Operation<LogOp, LogRet>]) {
        let at = rng.below(operations.len() as u64) as usize;
        match &mut operations[at].outcome {
            Outcome::Ok(LogRet::At(offset)) if rng.chance(1, 2) => *offset = rng.below(6),
            Outcome::Ok(LogRet::Entries(entries)) if rng.chance(1, 2) => drop(entries.pop()),
            Outcome::Ok(LogRet::Entry(entry)) if rng.chance(1, 2) => *entry = Value::Nil,
            _ => {}
        }
    }

    #[test]
    fn on_random_histories_of_more_operations() {
        let run = |seed, plain| {
            random::compare_many(
                &AppendLog::default(),
                &Entries::default(),
                (seed, 10_000),
                choose,
                answer(plain),
                lie,
            )
        };
        assert_eq!(
            [run(81, false), run(82, true)],
            [tally(10_000, 8_251, 10_000), tally(10_000, 9_107, 10_000)]
        );
    }

    #[test]
    fn a_long_history_is_judged_alike_by_search() {
        let model = AppendLog::default();
        for seed in 0..6 {
            let simulation = Simulation { operations: 1_000, clients: 4, doubt_permille: 0, seed };
            let mut operations = simulation.run(&model, Entries::default(), choose, answer(seed % 2 == 0));
            let changed = seed % 3 == 0;
            if changed {
                let late =
                    operations[500..].iter_mut().find(|o| matches!(o.outcome, Outcome::Ok(LogRet::At(_))));
                late.expect("there are many").outcome = Outcome::Ok(LogRet::At(100));
            }
            let tasks: Vec<_> = Task::all(&operations).collect();
            let known = model.shortcut(&tasks).map(|answer| answer == Shortcut::Linearizable);
            assert_eq!((known, search_says(&model, &operations)), (Some(!changed), !changed), "seed {seed}");
        }
    }

    #[test]
    fn the_words_name_what_went_wrong() {
        let check = |operations: &[(LogAct, LogRet)], class: &str, words: &str| {
            let one_by_one = |(number, (act, ret)): (u32, &(LogAct, LogRet))| Operation {
                process: Process(number),
                op: of(act.clone()),
                outcome: Outcome::Ok(ret.clone()),
                call: 2 * number,
                done: 2 * number + 1,
                called: Time::ZERO,
                ended: Some(Time::ZERO),
            };
            let operations: Vec<_> = (0..).zip(operations).map(one_by_one).collect();
            let verdict = check_operations(&AppendLog::default(), &operations, &Budget::unlimited());
            assert_eq!(verdict.class.as_deref(), Some(class), "{}", verdict.why);
            assert!(verdict.why.contains(words), "{}", verdict.why);
        };
        let append = |value| LogAct::Append(Value::Int(value));
        let twice = [(append(1), LogRet::At(0)), (append(2), LogRet::At(0))];
        check(&twice, "offset-assigned-twice", "offset 0 was assigned twice");
        let lost = [(append(1), LogRet::At(0)), (LogAct::ReadAll, entries(&[]))];
        check(&lost, "lost-entry", "did not see the entry at offset 0");
        let phantom = [(append(1), LogRet::At(0)), (LogAct::Read(0), LogRet::Entry(Value::Int(2)))];
        check(&phantom, "phantom-entry", "saw 2 at offset 0, which nobody ever appended");
        let changed = [(append(2), LogRet::Done), phantom[0].clone(), phantom[1].clone()];
        check(&changed, "entry-changed", "is 1 by");
        let backwards = [(append(1), LogRet::At(1)), (append(2), LogRet::At(0))];
        check(&backwards, "out-of-order", "stands before it");
    }

    #[test]
    fn no_state_refutes_the_hints() {
        let model = AppendLog::default();
        let states = [&[][..], &[Value::Int(1)], &[Value::Int(2), Value::Int(1)]].map(Entries::new);
        let acts = [LogAct::Append(Value::Int(1)), LogAct::Read(0), LogAct::ReadAll, LogAct::Poll(1)];
        let mut outcomes = vec![Outcome::info("timeout"), Outcome::Fail(Failure::Refused(None))];
        let rets =
            [LogRet::Done, LogRet::At(1), LogRet::Entry(Value::Int(1)), entries(&[1]), entries(&[2, 1])];
        outcomes.extend(rets.into_iter().map(Outcome::Ok));
        for state in &states {
            for op in acts.clone().map(of) {
                for outcome in &outcomes {
                    let after: Vec<_> = model.step(state, &op, outcome).into_iter().collect();
                    if model.inert(&op, outcome) {
                        assert!(
                            after.iter().all(|after| after == state),
                            "{op:?} {outcome:?} from {state:?}"
                        );
                    }
                    if model.source(&op, outcome).is_some_and(|source| source != *state) {
                        assert!(after.is_empty(), "{op:?} {outcome:?} from {state:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn what_is_encoded_decodes_to_itself() {
        let v = AppendLogVocabulary;
        for key in [Value::Nil, Value::Int(3)] {
            let of = |act| LogOp { key: key.clone(), act };
            let pair = Value::vector([Value::Int(0), Value::Int(7)]);
            let cases = [
                (of(LogAct::Append(Value::Int(7))), vec![LogRet::Done, LogRet::At(0), LogRet::At(7)]),
                (of(LogAct::Append(pair)), vec![LogRet::Done, LogRet::At(4)]),
                (of(LogAct::Append(Value::Nil)), vec![LogRet::Done, LogRet::At(u64::MAX)]),
                (of(LogAct::Read(3)), vec![LogRet::Entry(Value::Nil), LogRet::Entry(Value::Int(3))]),
                (of(LogAct::ReadAll), vec![entries(&[]), entries(&[1, 1])]),
                (of(LogAct::Poll(0)), vec![entries(&[]), entries(&[4])]),
            ];
            for (op, rets) in cases {
                let call = v.encode_op(&op);
                assert_eq!(v.decode_op(call.f, call.key.as_ref(), &call.value).as_ref(), Ok(&op));
                for ret in rets {
                    assert_eq!(v.decode_ret(&op, &v.encode_ret(&op, &ret)), Ok(ret));
                }
            }
        }
        assert!(v.decode_op("read", None, &Value::Int(-1)).is_err());
        assert!(v.decode_op("truncate", None, &Value::Nil).is_err());
    }
}
