//! Stores in which every text is written once: an exact answer in time n log n.
//!
//! Without appends a key is a register: get, put, cas and delete are its read, write, cas and a write of the
//! initial value.
//!
//! With appends, let all pieces and all values put be texts that are distinct and none a prefix of another
//! (a prefix code). Then a text that was got can be cut into them in one way only, and says which value was
//! put last and which appends followed it, in their order. So each append that was seen changed one text
//! into one other text: it is a compare-and-set of two values that occur once. An append that nobody saw can
//! follow no get of what it extends, and no append that was seen can follow it before the next put: it is a
//! write of a value that nobody reads. What is left is a register with unique values, and `Register`
//! knows the answer in time n log n ([`super::super::register`]). Cutting the texts, those that share a
//! beginning together, is linear in what was got.
//!
//! `None`, so that search decides: pieces or values that repeat or begin alike, appends beside cas or
//! delete, appends to what is no text.

use super::{Kv, KvOp, KvRet};
use crate::linearizability::{Insight, Shortcut, Task};
use crate::models::register::{NilReads, Register, RegisterOp, RegisterRet};
use elenchus_core::outcome::{Failure, Outcome};
use elenchus_core::value::Value;
use std::collections::HashMap;

/// The answer for the operations of one key; `None` if this cannot tell.
pub(super) fn shortcut(kv: &Kv, tasks: &[Task<'_, Kv>]) -> Option<Shortcut> {
    match tasks.iter().any(|task| matches!(task.op, KvOp::Append { .. })) {
        false => as_register(kv, tasks),
        true => with_appends(kv, tasks),
    }
}

/// Distinct contents of the key, numbered; 0 is what it holds at first.
type Number = i64;
const INITIAL: Number = 0;

/// A register's history, task for task.
#[derive(Default)]
struct History {
    /// The position of the original task beside what it does to the register.
    steps: Vec<(usize, RegisterOp, Outcome<RegisterRet>)>,
}

impl History {
    fn read(&mut self, task: usize, number: Number) {
        let saw = Outcome::Ok(RegisterRet::Saw(Value::Int(number)));
        self.steps.push((task, RegisterOp::Read { key: Value::Nil }, saw));
    }

    fn write(&mut self, task: usize, number: Number) {
        let write = RegisterOp::Write { key: Value::Nil, value: Value::Int(number) };
        self.steps.push((task, write, Outcome::Ok(RegisterRet::Done)));
    }

    fn cas(&mut self, task: usize, (from, to): (Number, Number), outcome: Outcome<RegisterRet>) {
        let (from, to) = (Value::Int(from), Value::Int(to));
        self.steps.push((task, RegisterOp::Cas { key: Value::Nil, from, to }, outcome));
    }

    fn judge(&self, tasks: &[Task<'_, Kv>]) -> Option<Shortcut> {
        let register = Register { initial: Value::Int(INITIAL), nil_reads: NilReads::SawNil };
        let task = |(original, op, outcome)| {
            let Task { process, call, done, id, .. } = tasks[original];
            Task { op, outcome, process, call, done, id }
        };
        let steps = self.steps.iter().map(|(original, op, outcome)| task((*original, op, outcome)));
        register.shortcut(&steps.collect::<Vec<_>>())
    }
}

fn as_register(kv: &Kv, tasks: &[Task<'_, Kv>]) -> Option<Shortcut> {
    let mut numbers: HashMap<&Value, Number> = HashMap::from([(&kv.initial, INITIAL)]);
    let mut history = History::default();
    for (i, task) in tasks.iter().enumerate() {
        let mut number = |value| {
            let next = numbers.len() as Number;
            *numbers.entry(value).or_insert(next)
        };
        match (task.op, task.outcome) {
            (KvOp::Get { .. }, Outcome::Ok(KvRet::Saw(value))) if !task.in_doubt() && kv.is_seen(value) => {
                history.read(i, number(value));
            }
            (KvOp::Get { .. }, _) => {}
            (KvOp::Cas { from, to, .. }, outcome) => {
                let seen = |ret: KvRet| match ret {
                    KvRet::Saw(value) => RegisterRet::Saw(value),
                    KvRet::Done => RegisterRet::Done,
                };
                let cas = (number(from), number(to));
                let outcome = match outcome {
                    Outcome::Fail(Failure::Refused(Some(KvRet::Saw(value)))) => {
                        let saw = RegisterRet::Saw(Value::Int(number(value)));
                        Outcome::Fail(Failure::Refused(Some(saw)))
                    }
                    other => other.clone().map(seen),
                };
                history.cas(i, cas, outcome);
            }
            (_, Outcome::Fail(_)) => return None,
            (KvOp::Put { value, .. }, _) => history.write(i, number(value)),
            (KvOp::Delete { .. }, _) => history.write(i, INITIAL),
            (KvOp::Append { .. }, _) => return None,
        }
    }
    history.judge(tasks)
}

fn with_appends(kv: &Kv, tasks: &[Task<'_, Kv>]) -> Option<Shortcut> {
    let mut texts = Texts::new(kv, tasks)?;
    let mut history = History::default();
    let mut gets: Vec<(&str, usize)> = Vec::new();
    for (i, task) in tasks.iter().enumerate().filter(|(_, task)| !task.in_doubt()) {
        let (KvOp::Get { .. }, Outcome::Ok(KvRet::Saw(value))) = (task.op, task.outcome) else { continue };
        match value {
            _ if !kv.is_seen(value) => {}
            Value::Str(text) => gets.push((text, i)),
            _ if *value == kv.initial => history.read(i, INITIAL),
            // A key holds a text, or what it held at first.
            _ => return Some(Shortcut::Refuted(vec![task.id])),
        }
    }
    gets.sort_unstable();
    let mut before: (&str, Number) = ("", INITIAL);
    for (text, i) in gets {
        let known = (!before.0.is_empty() && text.starts_with(before.0)).then_some(before);
        match texts.cut(text, i, known) {
            Ok(number) => {
                history.read(i, number);
                before = (text, number);
            }
            Err(others) => {
                let mut ids = vec![tasks[i].id];
                ids.extend(others.filter(|other| *other != i).map(|other| tasks[other].id));
                return Some(Shortcut::Refuted(ids));
            }
        }
    }
    texts.enter_changes(tasks, &mut history);
    Some(match history.judge(tasks)? {
        Shortcut::Refuted(ids) => Shortcut::Refuted(texts.with_proofs(ids, tasks)),
        known => known,
    })
}

/// A text that a put or an append writes, or that is there at first.
struct Token<'h> {
    text: &'h str,
    /// Who writes it; nobody what is there at first.
    task: usize,
    what: What,
}

enum What {
    /// The text of this number: nothing comes before it.
    Base(Number),
    /// A piece, not seen yet.
    Unseen,
    /// A piece that changed the one text into the other, and a get that says so.
    Seen { from: Number, to: Number, by: usize },
}

/// All that is ever written to the key, and what was got of it.
struct Texts<'h> {
    /// By their texts, in order.
    tokens: Vec<Token<'h>>,
    /// What the key holds at first adds no text to what follows it.
    starts_empty: bool,
    /// It holds the empty text at first.
    starts_as_text: bool,
    count: Number,
}

const NOBODY: usize = usize::MAX;

impl<'h> Texts<'h> {
    /// `None` if texts cannot be told apart.
    fn new(kv: &'h Kv, tasks: &[Task<'h, Kv>]) -> Option<Texts<'h>> {
        let initial = match &kv.initial {
            Value::Nil => "",
            Value::Str(text) => text,
            _ => return None,
        };
        let starts_as_text = matches!(kv.initial, Value::Str(_)) && initial.is_empty();
        let (mut tokens, mut count) = (Vec::new(), INITIAL + 1);
        if !initial.is_empty() {
            tokens.push(Token { text: initial, task: NOBODY, what: What::Base(INITIAL) });
        }
        for (i, task) in tasks.iter().enumerate() {
            match task.op {
                KvOp::Get { .. } => continue,
                KvOp::Cas { .. } | KvOp::Delete { .. } => return None,
                _ if matches!(task.outcome, Outcome::Fail(_)) => return None,
                KvOp::Put { value: Value::Str(text), .. } => {
                    tokens.push(Token { text, task: i, what: What::Base(count) });
                    count += 1;
                }
                KvOp::Put { .. } => return None,
                KvOp::Append { piece, .. } => tokens.push(Token { text: piece, task: i, what: What::Unseen }),
            }
        }
        tokens.sort_unstable_by_key(|token| token.text);
        // Were one a prefix of another, it would be one of the next.
        let apart = |pair: &[Token<'_>]| !pair[1].text.starts_with(pair[0].text);
        let code = tokens.first().is_none_or(|first| !first.text.is_empty()) && tokens.windows(2).all(apart);
        code.then_some(Texts { tokens, starts_empty: initial.is_empty(), starts_as_text, count })
    }

    /// The number of a text that `get` saw, given the number of a beginning of it, if one is known. An error
    /// are the gets that, together with this one, cannot be.
    fn cut(
        &mut self,
        text: &str,
        get: usize,
        known: Option<(&str, Number)>,
    ) -> Result<Number, impl Iterator<Item = usize> + use<>> {
        let (mut rest, mut at) = match known {
            Some((beginning, number)) => (&text[beginning.len()..], Some(number)),
            None => (text, self.starts_empty.then_some(INITIAL)),
        };
        if text.is_empty() && self.starts_as_text {
            return Ok(INITIAL);
        }
        let mut first = known.is_none();
        while first || !rest.is_empty() {
            // Of the texts that are not after `rest`, the last one alone can be its beginning.
            let place = self.tokens.partition_point(|token| token.text <= rest).checked_sub(1);
            let token = place.map(|place| &mut self.tokens[place]);
            let Some(token) = token.filter(|token| rest.starts_with(token.text)) else {
                return Err(None.into_iter());
            };
            rest = &rest[token.text.len()..];
            at = match (&token.what, at) {
                (What::Base(number), _) if first => Some(*number),
                (What::Unseen, Some(from)) => {
                    let to = self.count;
                    self.count += 1;
                    token.what = What::Seen { from, to, by: get };
                    Some(to)
                }
                (What::Seen { from, to, .. }, Some(at)) if *from == at => Some(*to),
                (What::Seen { by, .. }, Some(_)) => return Err(Some(*by).into_iter()),
                (What::Base(_), _) | (_, None) => return Err(None.into_iter()),
            };
            first = false;
        }
        at.ok_or(None.into_iter())
    }

    /// What puts and appends do to the register of numbers.
    fn enter_changes(&mut self, tasks: &[Task<'_, Kv>], history: &mut History) {
        for token in self.tokens.iter().filter(|token| token.task != NOBODY) {
            match token.what {
                What::Base(number) => history.write(token.task, number),
                What::Seen { from, to, .. } => {
                    history.cas(token.task, (from, to), Outcome::Ok(RegisterRet::Done));
                }
                What::Unseen if tasks[token.task].in_doubt() => {}
                What::Unseen => {
                    history.write(token.task, self.count);
                    self.count += 1;
                }
            }
        }
        history.steps.sort_unstable_by_key(|(task, ..)| *task);
    }

    /// The same operations, and for each append among them a get that proves what it changed.
    fn with_proofs(&self, mut ids: Vec<u32>, tasks: &[Task<'_, Kv>]) -> Vec<u32> {
        let proof = |token: &Token<'_>| match token.what {
            What::Seen { by, .. } if ids.contains(&tasks[token.task].id) => Some(tasks[by].id),
            _ => None,
        };
        let proofs: Vec<u32> = self.tokens.iter().filter_map(proof).collect();
        ids.extend(proofs);
        let mut known = std::collections::HashSet::new();
        ids.retain(|id| known.insert(*id));
        ids
    }
}
