//! Registers: read, write and compare-and-set, over many independent keys.
//!
//! A group of slots, two a node where there are enough, works on one key for a while and then goes on to
//! the next. Many keys keep the checker fast; several nodes on one key are what can disagree. Of the two
//! slots of a node one only reads (as in Jepsen's register tests): a write that nobody answers keeps its
//! slot waiting, and a deposed leader whose every client waits is never caught with a stale answer.

use crate::final_reads::FinalReads;
use crate::store::translate;
use elenchus_checkers::consistency::Condition;
use elenchus_checkers::linearizability::{Linearizability, Subject};
use elenchus_checkers::models::catalogue::Choices;
use elenchus_checkers::models::register::{self, RegisterOp, RegisterRet, RegisterVocabulary};
use elenchus_core::LocalFuture;
use elenchus_core::checker::Checker;
use elenchus_core::client::{Capability, Client, Request, Response};
use elenchus_core::generator::{Action, Context, Event, Generator, Next, What, independent};
use elenchus_core::outcome::Outcome;
use elenchus_core::process::Slot;
use elenchus_core::random::{Rng, Seed};
use elenchus_core::value::Value;
use elenchus_core::workload::{Call, Shape, Vocabulary, Workload};

/// Which values are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Values {
    /// Each value once a key.
    Unique,
    /// 0 to 4, again and again.
    Small,
}

/// How many operations a key sees before its group goes on to the next.
const OPERATIONS_A_KEY: u64 = 200;

/// The workload.
pub struct Register {
    prefix: String,
    values: Values,
    /// What is promised, where it is less than linearizability.
    condition: Option<&'static Condition>,
    /// Whether reads may be answered by the node asked alone.
    peek: bool,
}

impl Register {
    /// Registers whose keys begin with this prefix.
    pub fn new(prefix: &str, values: Values) -> Register {
        Register { prefix: prefix.into(), values, condition: None, peek: false }
    }

    /// The same registers, which promise this condition only; with `peek`, clients ask for reads as old as the node asked.
    pub fn promising(self, condition: &'static Condition, peek: bool) -> Register {
        Register { condition: Some(condition), peek, ..self }
    }

    fn request(&self, op: &RegisterOp) -> Request {
        let key = format!("{}/r{}", self.prefix, op.key());
        match op.clone() {
            RegisterOp::Read { .. } if self.peek => Request::Peek { key },
            RegisterOp::Read { .. } => Request::Get { key },
            RegisterOp::Write { value, .. } => Request::Put { key, value },
            RegisterOp::Cas { from, to, .. } => Request::Cas { key, from, to },
        }
    }
}

impl Vocabulary for Register {
    type Op = RegisterOp;
    type Ret = RegisterRet;

    fn encode_op(&self, op: &RegisterOp) -> Call {
        RegisterVocabulary.encode_op(op)
    }
    fn encode_ret(&self, op: &RegisterOp, ret: &RegisterRet) -> Value {
        RegisterVocabulary.encode_ret(op, ret)
    }
    fn decode_op(&self, f: &str, key: Option<&Value>, value: &Value) -> Result<RegisterOp, String> {
        RegisterVocabulary.decode_op(f, key, value)
    }
    fn decode_ret(&self, op: &RegisterOp, value: &Value) -> Result<RegisterRet, String> {
        RegisterVocabulary.decode_ret(op, value)
    }
}

impl Workload for Register {
    fn name(&self) -> &'static str {
        "register"
    }

    fn needs(&self) -> &'static [Capability] {
        if self.peek { &[Capability::Kv, Capability::Peek] } else { &[Capability::Kv] }
    }

    fn call<'a>(
        &'a self,
        client: &'a mut dyn Client,
        op: &'a RegisterOp,
    ) -> LocalFuture<'a, Outcome<RegisterRet>> {
        Box::pin(async move {
            let request = self.request(op);
            translate(client.call(&request).await, |response| match response {
                Response::Value(value) => Ok(RegisterRet::Saw(value)),
                Response::Done => Ok(RegisterRet::Done),
                other => Err(other),
            })
        })
    }

    fn generator(&self, shape: &Shape) -> Box<dyn Generator<RegisterOp, RegisterRet>> {
        let (seed, values, nodes) = (shape.seed.stream("register"), self.values, shape.nodes);
        let group = (2 * nodes).min(shape.concurrency);
        let readers = (group > nodes).then_some(nodes);
        Box::new(independent::concurrent(group, u64::MAX, move |key| {
            Box::new(Key::new(key, seed.nth(key), values, readers)) as Box<dyn Generator<_, _>>
        }))
    }

    fn final_generator(&self, shape: &Shape) -> Box<dyn Generator<RegisterOp, RegisterRet>> {
        Box::new(FinalReads::new(
            shape.nodes,
            [Value::Int(0)],
            |op: &RegisterOp| op.key().clone(),
            |key| RegisterOp::Read { key: key.clone() },
        ))
    }

    fn checkers(&self) -> Vec<Box<dyn Checker>> {
        vec![match self.condition {
            None => Box::new(Linearizability::new(register::Register::default(), RegisterVocabulary)),
            Some(condition) => {
                (condition.checker)(&Choices { subject: Subject::Trial, ..Choices::default() })
                    .expect("registers that hold nil at first suit every condition")
            }
        }]
    }
}

/// The operations on one key: reads, writes, and compare-and-sets from what was seen last.
struct Key {
    key: Value,
    rng: Rng,
    values: Values,
    /// With so many nodes, every other row of slots only reads.
    readers: Option<u32>,
    left: u64,
    next: i64,
    seen: Value,
}

impl Key {
    fn new(key: u64, seed: Seed, values: Values, readers: Option<u32>) -> Key {
        let key = Value::Int(i64::try_from(key).expect("keys are counted from 0"));
        Key { key, rng: seed.rng(), values, readers, left: OPERATIONS_A_KEY, next: 1, seen: Value::Nil }
    }

    fn only_reads(&self, slot: Slot) -> bool {
        self.readers.is_some_and(|nodes| (slot.0 / nodes).is_multiple_of(2))
    }

    fn value(&mut self) -> Value {
        match self.values {
            Values::Small => Value::Int(self.rng.below(5) as i64),
            Values::Unique => {
                self.next += 1;
                Value::Int(self.next - 1)
            }
        }
    }
}

impl Generator<RegisterOp, RegisterRet> for Key {
    fn next(&mut self, cx: &mut Context) -> Next<RegisterOp> {
        if self.left == 0 {
            return Next::Done;
        }
        let Some(slot) = cx.pick() else { return Next::Wait(None) };
        self.left -= 1;
        let key = self.key.clone();
        let dice = if self.only_reads(slot) { 0 } else { self.rng.below(8) };
        let op = match dice {
            0 | 1 => RegisterOp::Read { key },
            2..=4 => RegisterOp::Write { key, value: self.value() },
            // A cas from what was last seen succeeds now and then; one from anything else hardly ever.
            _ => RegisterOp::Cas { key, from: self.seen.clone(), to: self.value() },
        };
        Next::Invoke(slot, Action::Client(op))
    }

    fn update(&mut self, _cx: &mut Context, event: &Event<RegisterOp, RegisterRet>) {
        let What::Done(op, Outcome::Ok(ret)) = &event.what else { return };
        if op.key() != &self.key {
            return;
        }
        match (op, ret) {
            (RegisterOp::Read { .. }, RegisterRet::Saw(value)) => self.seen = value.clone(),
            _ => self.seen = op.sets().cloned().unwrap_or(Value::Nil),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use elenchus_checkers::consistency::{CONDITIONS, named};
    use elenchus_core::budget::Budget;
    use elenchus_core::event;
    use elenchus_core::event::Kind::{self, Invoke, Ok as Done};
    use elenchus_core::history::History;
    use elenchus_core::process::Process;
    use elenchus_core::time::Time;
    use elenchus_core::verdict::Validity;

    fn history(events: &[(u32, Kind, &str, Value)]) -> History {
        let event = |(process, kind, f, value): &(u32, Kind, &str, Value)| event::Event {
            time: Time::ZERO,
            process: Process(*process),
            kind: *kind,
            f: (*f).into(),
            key: Some(Value::Int(0)),
            value: value.clone(),
            error: None,
            extra: Vec::new(),
        };
        History::seal(events.iter().map(event)).expect("a history")
    }

    fn validity(register: &Register, history: &History) -> Validity {
        register.checkers()[0].check(history, &Budget::unlimited()).expect("it can be judged").validity
    }

    #[test]
    fn a_weaker_promise_allows_what_it_says_and_no_more() {
        let linearizable = Register::new("", Values::Unique);
        let sequential =
            Register::new("", Values::Unique).promising(named("sequential").expect("it is known"), true);
        let (one, nil) = (Value::Int(1), Value::Nil);
        let read = |process, saw: &Value| {
            [(process, Invoke, "read", Value::Nil), (process, Done, "read", saw.clone())]
        };
        let write = [(0, Invoke, "write", one.clone()), (0, Done, "write", one.clone())];
        let stale = history(&[write.clone(), read(1, &nil)].concat());
        assert_eq!(validity(&linearizable, &stale), Validity::Invalid);
        assert_eq!(validity(&sequential, &stale), Validity::Valid);
        let backwards = history(&[write.clone(), read(1, &one), read(1, &nil)].concat());
        assert_eq!(validity(&sequential, &backwards), Validity::Invalid);
        let own = history(&[write, read(0, &nil)].concat());
        assert_eq!(validity(&sequential, &own), Validity::Invalid);
    }

    #[test]
    fn a_weaker_promise_asks_for_older_reads_where_there_are_such() {
        let weak = |peek| Register::new("", Values::Unique).promising(&CONDITIONS[0], peek);
        let read = RegisterOp::Read { key: Value::Int(0) };
        assert!(matches!(weak(true).request(&read), Request::Peek { .. }));
        assert!(weak(true).needs().contains(&Capability::Peek));
        assert!(matches!(weak(false).request(&read), Request::Get { .. }));
        assert_eq!(weak(false).needs(), [Capability::Kv]);
    }
}
