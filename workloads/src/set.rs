//! Sets: elements are added, each once, and the whole is read, at last on every node.
//!
//! Where a client can append, an add appends to the text of one set, which is not idempotent: a system that applies a
//! retried command twice shows the element twice. Where it cannot, an add reads the set and replaces it with one that
//! holds the element too, if nobody else changed it meanwhile (a compare-and-set). A conflict is a refusal: its
//! element is never added, and must never be seen. Several small sets then take the place of a large one, so that conflicts
//! are few and little is written again with each element.

use crate::final_reads::FinalReads;
use crate::store::{read_and_set, translate};
use elenchus_checkers::models::set::{SetOp, SetRet, SetVocabulary};
use elenchus_checkers::set_full::SetFull;
use elenchus_core::LocalFuture;
use elenchus_core::checker::Checker;
use elenchus_core::client::{Capability, Client, Request, Response};
use elenchus_core::generator::{Action, Context, Generator, Next};
use elenchus_core::outcome::{Cause, Failure, Outcome};
use elenchus_core::random::Rng;
use elenchus_core::value::Value;
use elenchus_core::workload::{Call, Shape, Vocabulary, Workload};

/// How an element is added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Adding {
    /// By one append.
    Append,
    /// By a read and a compare-and-set.
    Cas,
}

/// How many sets are added to at a time, where elements are added by compare-and-set…
const SETS: i64 = 8;
/// …and how many elements one of them is offered before the next takes its place.
const ELEMENTS: i64 = 250;

/// The workload.
pub struct Set {
    prefix: String,
    adding: Adding,
}

impl Set {
    /// Sets whose keys begin with this prefix.
    pub fn new(prefix: &str, adding: Adding) -> Set {
        Set { prefix: prefix.into(), adding }
    }

    fn key(&self, set: &Value) -> String {
        format!("{}/set{set}", self.prefix)
    }

    async fn add(&self, client: &mut dyn Client, set: &Value, element: &Value) -> Outcome<SetRet> {
        let key = self.key(set);
        if self.adding == Adding::Append {
            let request = Request::Append { key, text: entry(element) };
            return translate(client.call(&request).await, done);
        }
        match read_and_set(client, &key, |held| with(held, element)).await {
            // What a refused add saw is no answer to an add.
            Outcome::Fail(Failure::Refused(_)) => Outcome::Fail(Failure::Refused(None)),
            outcome => outcome.map(|_| SetRet::Done),
        }
    }
}

fn done(response: Response) -> Result<SetRet, Response> {
    if response == Response::Done { Ok(SetRet::Done) } else { Err(response) }
}

/// An element as it stands in the text of a set.
fn entry(element: &Value) -> String {
    format!("{element} ")
}

/// A set's text with one more element.
pub(crate) fn with(held: &Value, element: &Value) -> Result<Value, Cause> {
    match held {
        Value::Nil => Ok(Value::str(&entry(element))),
        Value::Str(text) => Ok(Value::str(&format!("{text}{}", entry(element)))),
        other => Err(format!("the set holds {other}").into()),
    }
}

/// The answer to a read of a set's text; an error if it holds anything that no add wrote.
pub(crate) fn elements(response: Response) -> Result<SetRet, Response> {
    let text = match &response {
        Response::Value(Value::Nil) => "",
        Response::Value(Value::Str(text)) => text,
        _ => return Err(response),
    };
    let numbers: Result<Vec<Value>, _> =
        text.split_ascii_whitespace().map(|n| n.parse().map(Value::Int)).collect();
    numbers.map(SetRet::Elements).map_err(|_| response)
}

/// The name of the first set.
fn first() -> Value {
    Value::Int(0)
}

impl Vocabulary for Set {
    type Op = SetOp;
    type Ret = SetRet;

    fn encode_op(&self, op: &SetOp) -> Call {
        SetVocabulary.encode_op(op)
    }
    fn encode_ret(&self, op: &SetOp, ret: &SetRet) -> Value {
        SetVocabulary.encode_ret(op, ret)
    }
    fn decode_op(&self, f: &str, key: Option<&Value>, value: &Value) -> Result<SetOp, String> {
        SetVocabulary.decode_op(f, key, value)
    }
    fn decode_ret(&self, op: &SetOp, value: &Value) -> Result<SetRet, String> {
        SetVocabulary.decode_ret(op, value)
    }
}

impl Workload for Set {
    fn name(&self) -> &'static str {
        "set"
    }

    fn needs(&self) -> &'static [Capability] {
        match self.adding {
            Adding::Append => &[Capability::Kv, Capability::Append],
            Adding::Cas => &[Capability::Kv],
        }
    }

    fn call<'a>(&'a self, client: &'a mut dyn Client, op: &'a SetOp) -> LocalFuture<'a, Outcome<SetRet>> {
        Box::pin(async move {
            match op {
                SetOp::Add { key, element } => self.add(client, key, element).await,
                SetOp::Read { key } => {
                    translate(client.call(&Request::Get { key: self.key(key) }).await, elements)
                }
            }
        })
    }

    fn generator(&self, shape: &Shape) -> Box<dyn Generator<SetOp, SetRet>> {
        Box::new(Adds { rng: shape.seed.stream("set").rng(), next: 0, adding: self.adding })
    }

    fn final_generator(&self, shape: &Shape) -> Box<dyn Generator<SetOp, SetRet>> {
        Box::new(FinalReads::new(
            shape.nodes,
            [first()],
            |op: &SetOp| op.key().clone(),
            |key| SetOp::Read { key: key.clone() },
        ))
    }

    fn checkers(&self) -> Vec<Box<dyn Checker>> {
        vec![Box::new(SetFull::linearizable())]
    }
}

/// Adds of ever new elements, with reads among them.
struct Adds {
    rng: Rng,
    next: i64,
    adding: Adding,
}

impl Adds {
    /// One operation in so many is a read.
    fn read_every(&self) -> u64 {
        match self.adding {
            Adding::Append => 10,
            // A small set is read quickly.
            Adding::Cas => 4,
        }
    }

    /// The set that is offered this element.
    fn set_of(&self, element: i64) -> Value {
        match self.adding {
            Adding::Append => first(),
            Adding::Cas => Value::Int(element / (SETS * ELEMENTS) * SETS + element % SETS),
        }
    }

    /// A set that elements were offered to, most often one of the latest.
    fn any_set(&mut self) -> Value {
        let among = if self.rng.chance(3, 4) { SETS.min(self.next) } else { self.next };
        let back = self.rng.below(among.max(1) as u64) as i64;
        self.set_of((self.next - 1 - back).max(0))
    }
}

impl Generator<SetOp, SetRet> for Adds {
    fn next(&mut self, cx: &mut Context) -> Next<SetOp> {
        let Some(slot) = cx.pick() else { return Next::Wait(None) };
        let op = if self.rng.chance(1, self.read_every()) {
            SetOp::Read { key: self.any_set() }
        } else {
            self.next += 1;
            SetOp::Add { key: self.set_of(self.next - 1), element: Value::Int(self.next - 1) }
        };
        Next::Invoke(slot, Action::Client(op))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Store, block_on};
    use elenchus_core::random::Seed;

    #[test]
    fn an_add_without_append_keeps_what_others_added_or_is_refused() {
        let (mut store, set) = (Store::default(), Set::new("p", Adding::Cas));
        let add = |store: &mut Store, element| {
            let op = SetOp::Add { key: first(), element: Value::Int(element) };
            block_on(set.call(store, &op))
        };
        assert_eq!(add(&mut store, 1), Outcome::Ok(SetRet::Done));
        assert_eq!(add(&mut store, 2), Outcome::Ok(SetRet::Done));
        // Between the read and the compare-and-set.
        store.meanwhile = Some((store.asked + 1, "p/set0".into(), Value::str("1 2 3 ")));
        assert_eq!(add(&mut store, 4), Outcome::Fail(Failure::Refused(None)));
        assert_eq!(store.map["p/set0"], Value::str("1 2 3 "));
    }

    #[test]
    fn the_text_of_a_set_says_what_was_added() {
        let one = with(&Value::Nil, &Value::Int(3)).expect("an empty set");
        let two = with(&one, &Value::Int(7)).expect("a set");
        assert_eq!(elements(Response::Value(two)), Ok(SetRet::Elements(vec![Value::Int(3), Value::Int(7)])));
        assert_eq!(elements(Response::Value(Value::Nil)), Ok(SetRet::Elements(vec![])));
        assert!(with(&Value::Int(3), &Value::Int(7)).is_err(), "a number is no set");
        for strange in [Value::Int(3), Value::str("3 x ")] {
            assert!(elements(Response::Value(strange)).is_err());
        }
    }

    #[test]
    fn small_sets_take_turns_and_none_grows_large() {
        let mut adds = Adds { rng: Seed(1).rng(), next: 0, adding: Adding::Cas };
        let mut sizes = std::collections::BTreeMap::new();
        for element in 0..3 * SETS * ELEMENTS {
            adds.next = element + 1;
            *sizes.entry(adds.set_of(element)).or_insert(0) += 1;
            assert!(sizes.contains_key(&adds.any_set()), "a set is read that was never added to");
        }
        assert_eq!(sizes.len() as i64, 3 * SETS);
        assert!(sizes.values().all(|size| *size == ELEMENTS));
    }
}
