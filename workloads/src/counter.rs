//! Counters: added to and read, over many independent keys.
//!
//! An add reads the counter and sets the sum, if nobody else changed it meanwhile, so it also tells the value after it;
//! a conflict is a refusal that tells the value it met. Both say where in the order of all adds the operation stood: a
//! lost, doubled or reordered add contradicts them.

use crate::final_reads::FinalReads;
use crate::store::{integer, read_and_set, translate};
use elenchus_checkers::linearizability::Linearizability;
use elenchus_checkers::models::counter::{Counter, CounterOp, CounterRet, CounterVocabulary, Tells};
use elenchus_core::LocalFuture;
use elenchus_core::checker::Checker;
use elenchus_core::client::{Capability, Client, Request, Response};
use elenchus_core::generator::{Action, Context, Generator, Next, independent};
use elenchus_core::outcome::{Failure, Outcome};
use elenchus_core::random::{Rng, Seed};
use elenchus_core::value::Value;
use elenchus_core::workload::{Call, Shape, Vocabulary, Workload};

/// The most that is added at once.
const AMOUNT_MAX: u64 = 5;
/// How many operations a counter sees before its group goes on to the next.
const OPERATIONS_A_KEY: u64 = 200;

/// The workload.
pub struct Counters {
    prefix: String,
}

impl Counters {
    /// Counters whose keys begin with this prefix.
    pub fn new(prefix: &str) -> Counters {
        Counters { prefix: prefix.into() }
    }

    fn key(&self, counter: &Value) -> String {
        format!("{}/counter{counter}", self.prefix)
    }

    async fn add(&self, client: &mut dyn Client, counter: &Value, amount: i64) -> Outcome<CounterRet> {
        let sum = |held: &Value| match number(held).and_then(|held| held.checked_add(amount)) {
            Some(sum) => Ok(Value::Int(sum)),
            None => Err(format!("the counter holds {held}").into()),
        };
        match read_and_set(client, &self.key(counter), sum).await {
            Outcome::Ok(Value::Int(sum)) => Outcome::Ok(CounterRet::Saw(sum)),
            Outcome::Ok(other) => Outcome::info(format!("the counter was set to {other}")),
            Outcome::Fail(Failure::Refused(saw)) => {
                Outcome::Fail(Failure::Refused(saw.as_ref().and_then(number).map(CounterRet::Saw)))
            }
            Outcome::Fail(Failure::NotDone(cause)) => Outcome::not_done(cause),
            Outcome::Info(cause) => Outcome::Info(cause),
        }
    }
}

/// What a counter holds; one that is not there holds 0.
fn number(held: &Value) -> Option<i64> {
    if held.is_nil() { Some(0) } else { held.as_int() }
}

impl Vocabulary for Counters {
    type Op = CounterOp;
    type Ret = CounterRet;

    fn encode_op(&self, op: &CounterOp) -> Call {
        CounterVocabulary.encode_op(op)
    }
    fn encode_ret(&self, op: &CounterOp, ret: &CounterRet) -> Value {
        CounterVocabulary.encode_ret(op, ret)
    }
    fn decode_op(&self, f: &str, key: Option<&Value>, value: &Value) -> Result<CounterOp, String> {
        CounterVocabulary.decode_op(f, key, value)
    }
    fn decode_ret(&self, op: &CounterOp, value: &Value) -> Result<CounterRet, String> {
        CounterVocabulary.decode_ret(op, value)
    }
}

impl Workload for Counters {
    fn name(&self) -> &'static str {
        "counter"
    }

    fn needs(&self) -> &'static [Capability] {
        &[Capability::Kv]
    }

    fn call<'a>(
        &'a self,
        client: &'a mut dyn Client,
        op: &'a CounterOp,
    ) -> LocalFuture<'a, Outcome<CounterRet>> {
        Box::pin(async move {
            match op {
                CounterOp::Add { key, amount, .. } => self.add(client, key, *amount).await,
                CounterOp::Reset { .. } => Outcome::not_done("no counter is set back here"),
                CounterOp::Read { key } => {
                    let answer = client.call(&Request::Get { key: self.key(key) }).await;
                    translate(answer, |response| match &response {
                        Response::Value(Value::Nil) => Ok(CounterRet::Saw(0)),
                        _ => integer(&response).map(CounterRet::Saw).ok_or(response),
                    })
                }
            }
        })
    }

    fn generator(&self, shape: &Shape) -> Box<dyn Generator<CounterOp, CounterRet>> {
        let (seed, group) = (shape.seed.stream("counter"), (2 * shape.nodes).min(shape.concurrency));
        Box::new(independent::concurrent(group, u64::MAX, move |key| {
            Box::new(Adds::new(key, seed.nth(key))) as Box<dyn Generator<_, _>>
        }))
    }

    fn final_generator(&self, shape: &Shape) -> Box<dyn Generator<CounterOp, CounterRet>> {
        Box::new(FinalReads::new(
            shape.nodes,
            [Value::Int(0)],
            |op: &CounterOp| op.key().clone(),
            |key| CounterOp::Read { key: key.clone() },
        ))
    }

    fn checkers(&self) -> Vec<Box<dyn Checker>> {
        vec![Box::new(Linearizability::new(Counter::default(), CounterVocabulary))]
    }
}

/// Adds to one counter, and reads of it.
struct Adds {
    key: Value,
    rng: Rng,
    left: u64,
}

impl Adds {
    fn new(key: u64, seed: Seed) -> Adds {
        let key = Value::Int(i64::try_from(key).expect("keys are counted from 0"));
        Adds { key, rng: seed.rng(), left: OPERATIONS_A_KEY }
    }
}

impl Generator<CounterOp, CounterRet> for Adds {
    fn next(&mut self, cx: &mut Context) -> Next<CounterOp> {
        if self.left == 0 {
            return Next::Done;
        }
        let Some(slot) = cx.pick() else { return Next::Wait(None) };
        self.left -= 1;
        let key = self.key.clone();
        let op = if self.rng.chance(1, 2) {
            CounterOp::Read { key }
        } else {
            let amount = self.rng.between(1, AMOUNT_MAX) as i64;
            CounterOp::Add { key, amount, tells: Tells::After }
        };
        Next::Invoke(slot, Action::Client(op))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Store, block_on};
    use elenchus_core::budget::Budget;
    use elenchus_core::event::{Event, Kind};
    use elenchus_core::history::History;
    use elenchus_core::process::Process;
    use elenchus_core::time::Time;
    use elenchus_core::verdict::Validity;

    fn add(store: &mut Store, amount: i64) -> Outcome<CounterRet> {
        let op = CounterOp::Add { key: Value::Int(0), amount, tells: Tells::After };
        block_on(Counters::new("p").call(store, &op))
    }

    #[test]
    fn an_add_tells_the_sum_and_a_conflict_what_it_met() {
        let mut store = Store::default();
        assert_eq!(add(&mut store, 3), Outcome::Ok(CounterRet::Saw(3)));
        assert_eq!(add(&mut store, 4), Outcome::Ok(CounterRet::Saw(7)));
        // Between the read and the compare-and-set.
        store.meanwhile = Some((store.asked + 1, "p/counter0".into(), Value::Int(9)));
        let met = Outcome::Fail(Failure::Refused(Some(CounterRet::Saw(9))));
        assert_eq!(add(&mut store, 1), met);
        assert_eq!(store.map["p/counter0"], Value::Int(9));
        store.map.insert("p/counter0".into(), Value::str("x"));
        assert!(matches!(add(&mut store, 1), Outcome::Fail(Failure::NotDone(_))), "that is no counter");
    }

    #[test]
    fn an_add_that_was_lost_contradicts_the_next() {
        let event = |process, kind, value| Event {
            time: Time::ZERO,
            process: Process(process),
            kind,
            f: "add-and-fetch".into(),
            key: Some(Value::Int(0)),
            value: Value::Int(value),
            error: None,
            extra: Vec::new(),
        };
        let events = [
            event(0, Kind::Invoke, 3),
            event(0, Kind::Ok, 3),
            event(1, Kind::Invoke, 2),
            event(1, Kind::Ok, 2),
        ];
        let history = History::seal(events).expect("a history");
        let verdict = Counters::new("").checkers()[0].check(&history, &Budget::unlimited()).expect("judged");
        assert_eq!(verdict.validity, Validity::Invalid, "{}", verdict.why);
    }
}
