//! A set guarded by a lock: acquire it, add an element to the set, release it.
//!
//! An add reads the set and writes it back with one element more, two requests that only the lock keeps apart from
//! others'. Two things are judged: whether two clients believed to hold the lock at once ([`MutualExclusion`]), and what that
//! cost, elements that were acknowledged and are gone.
//!
//! With fencing, an add is made under the token of its grant: the store takes it only if nobody wrote under a later one. A
//! lock that is held twice is then harmless, so the set must be whole, and the tokens must grow ([`FencingTokens`]).
//!
//! A row of slots, one a node, shares a lock: whoever is cut off or paused contends with clients of all other nodes.

mod holders;

use crate::final_reads::FinalReads;
use crate::set::{elements, with};
use crate::store::{integer, translate};
use elenchus_checkers::guarded_set::vocabulary::{GuardedOp, GuardedRet, GuardedVocabulary};
use elenchus_checkers::guarded_set::{FencingTokens, GuardedSet, MutualExclusion};
use elenchus_checkers::models::lock::{Action, LockOp, LockRet};
use elenchus_checkers::models::set::{SetOp, SetRet};
use elenchus_core::LocalFuture;
use elenchus_core::checker::Checker;
use elenchus_core::client::{Capability, Client, Request, Response};
use elenchus_core::generator::Generator;
use elenchus_core::outcome::{Failure, Outcome};
use elenchus_core::value::Value;
use elenchus_core::workload::{Call, Shape, Vocabulary, Workload};
use holders::Holders;
use std::time::Duration;

/// How locks are held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// How long a lock outlives the last sign of its holder's life.
    pub ttl: Duration,
    /// How long a client waits for a lock.
    pub wait: Duration,
    /// Whether what the lock guards looks at tokens.
    pub fencing: bool,
}

/// The workload.
pub struct Lock {
    prefix: String,
    terms: Terms,
}

impl Lock {
    /// Locks and sets whose keys begin with this prefix.
    pub fn new(prefix: &str, terms: Terms) -> Lock {
        Lock { prefix: prefix.into(), terms }
    }

    fn name(&self, what: &str, key: &Value) -> String {
        format!("{}/{what}{key}", self.prefix)
    }

    async fn of_lock(&self, client: &mut dyn Client, op: &LockOp) -> Outcome<LockRet> {
        let key = self.name("lock", &op.key);
        let request = match op.action {
            Action::Acquire => Request::Lock { key, ttl: self.terms.ttl, wait: self.terms.wait },
            Action::Release => Request::Unlock { key },
        };
        translate(client.call(&request).await, |response| match response {
            Response::Granted(Some(token)) => Ok(LockRet::Fence(token)),
            Response::Granted(None) | Response::Done => Ok(LockRet::Done),
            other => Err(other),
        })
    }

    async fn of_set(&self, client: &mut dyn Client, op: &SetOp) -> Outcome<SetRet> {
        let key = self.name("set", op.key());
        let held = client.call(&Request::Get { key: key.clone() }).await;
        match op {
            SetOp::Read { .. } => translate(held, elements),
            SetOp::Add { element, .. } => {
                let held = match held {
                    Outcome::Ok(Response::Value(held)) => held,
                    other => return unread(other),
                };
                match with(&held, element) {
                    Ok(value) => translate(client.call(&Request::Put { key, value }).await, done),
                    Err(cause) => Outcome::not_done(cause),
                }
            }
        }
    }

    /// An add that the store takes only if the largest token it has seen is smaller than this one.
    async fn add_under(
        &self,
        client: &mut dyn Client,
        key: &Value,
        element: &Value,
        token: i64,
    ) -> Outcome<SetRet> {
        let (set, fence) = (self.name("set", key), self.name("fence", key));
        let both = Request::Txn(vec![Request::Get { key: fence.clone() }, Request::Get { key: set.clone() }]);
        let (seen, held) = match client.call(&both).await {
            Outcome::Ok(Response::Txn(answers)) => match &answers[..] {
                [Response::Value(seen), Response::Value(held)] => (seen.clone(), held.clone()),
                _ => return Outcome::not_done(format!("the client answered {answers:?}")),
            },
            other => return unread(other),
        };
        if let Some(later) = integer(&Response::Value(seen.clone())).filter(|seen| *seen >= token) {
            return Outcome::not_done(format!("token {later} was used before token {token}"));
        }
        let value = match with(&held, element) {
            Ok(value) => value,
            Err(cause) => return Outcome::not_done(cause),
        };
        let guard = Request::Cas { key: fence, from: seen, to: Value::Int(token) };
        let write = Request::Txn(vec![guard, Request::Put { key: set, value }]);
        match client.call(&write).await {
            Outcome::Ok(_) => Outcome::Ok(SetRet::Done),
            Outcome::Fail(Failure::Refused(_)) => Outcome::Fail(Failure::Refused(None)),
            Outcome::Fail(Failure::NotDone(cause)) => Outcome::not_done(cause),
            Outcome::Info(cause) => Outcome::Info(cause),
        }
    }
}

/// An add whose read did not succeed has changed nothing.
fn unread(read: Outcome<Response>) -> Outcome<SetRet> {
    match read {
        Outcome::Info(cause) | Outcome::Fail(Failure::NotDone(cause)) => {
            Outcome::not_done(format!("the set could not be read: {cause}"))
        }
        other => Outcome::not_done(format!("the set could not be read: {other:?}")),
    }
}

fn done(response: Response) -> Result<SetRet, Response> {
    if response == Response::Done { Ok(SetRet::Done) } else { Err(response) }
}

impl Vocabulary for Lock {
    type Op = GuardedOp;
    type Ret = GuardedRet;

    fn encode_op(&self, op: &GuardedOp) -> Call {
        GuardedVocabulary.encode_op(op)
    }
    fn encode_ret(&self, op: &GuardedOp, ret: &GuardedRet) -> Value {
        GuardedVocabulary.encode_ret(op, ret)
    }
    fn decode_op(&self, f: &str, key: Option<&Value>, value: &Value) -> Result<GuardedOp, String> {
        GuardedVocabulary.decode_op(f, key, value)
    }
    fn decode_ret(&self, op: &GuardedOp, value: &Value) -> Result<GuardedRet, String> {
        GuardedVocabulary.decode_ret(op, value)
    }
}

impl Workload for Lock {
    fn name(&self) -> &'static str {
        "lock"
    }

    fn needs(&self) -> &'static [Capability] {
        match self.terms.fencing {
            false => &[Capability::Kv, Capability::Lock],
            true => &[Capability::Kv, Capability::Txn, Capability::Lock, Capability::Fencing],
        }
    }

    fn call<'a>(
        &'a self,
        client: &'a mut dyn Client,
        op: &'a GuardedOp,
    ) -> LocalFuture<'a, Outcome<GuardedRet>> {
        Box::pin(async move {
            match op {
                GuardedOp::Lock(op) => self.of_lock(client, op).await.map(GuardedRet::Lock),
                GuardedOp::Set(op) => self.of_set(client, op).await.map(GuardedRet::Set),
                GuardedOp::AddUnder { key, element, token } => {
                    self.add_under(client, key, element, *token).await.map(GuardedRet::Set)
                }
            }
        })
    }

    fn generator(&self, shape: &Shape) -> Box<dyn Generator<GuardedOp, GuardedRet>> {
        // A single node's clients contend with each other.
        let row = if shape.nodes > 1 { shape.nodes } else { 5 };
        Box::new(Holders::new(shape.seed.stream("lock").rng(), row, self.terms.fencing))
    }

    fn final_generator(&self, shape: &Shape) -> Box<dyn Generator<GuardedOp, GuardedRet>> {
        Box::new(FinalReads::new(
            shape.nodes,
            [Value::Int(0)],
            |op: &GuardedOp| op.key().clone(),
            |key| GuardedOp::Set(SetOp::Read { key: key.clone() }),
        ))
    }

    fn checkers(&self) -> Vec<Box<dyn Checker>> {
        match self.terms.fencing {
            false => vec![Box::new(MutualExclusion), Box::new(GuardedSet)],
            true => vec![Box::new(GuardedSet), Box::new(FencingTokens)],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Store, block_on};

    fn lock(fencing: bool) -> Lock {
        let terms = Terms { ttl: Duration::from_secs(2), wait: Duration::from_secs(1), fencing };
        Lock::new("p", terms)
    }

    fn under(element: i64, token: i64) -> GuardedOp {
        GuardedOp::AddUnder { key: Value::Int(0), element: Value::Int(element), token }
    }

    fn ask(store: &mut Store, op: GuardedOp) -> Outcome<GuardedRet> {
        block_on(lock(true).call(store, &op))
    }

    #[test]
    fn a_write_under_a_token_that_is_late_is_not_done() {
        let mut store = Store::default();
        let done = Outcome::Ok(GuardedRet::Set(SetRet::Done));
        assert_eq!(ask(&mut store, under(1, 5)), done);
        assert_eq!(ask(&mut store, under(2, 9)), done);
        for late in [5, 9] {
            let outcome = ask(&mut store, under(3, late));
            assert!(matches!(outcome, Outcome::Fail(Failure::NotDone(_))), "{outcome:?}");
        }
        let read = GuardedOp::Set(SetOp::Read { key: Value::Int(0) });
        let both = SetRet::Elements(vec![Value::Int(1), Value::Int(2)]);
        assert_eq!(ask(&mut store, read), Outcome::Ok(GuardedRet::Set(both)));
    }

    #[test]
    fn a_write_that_another_overtook_is_refused_whichever_token_is_larger() {
        for token in [3, 12] {
            // Between the read and the write.
            let meanwhile = Some((1, "p/fence0".into(), Value::Int(9)));
            let mut store = Store { meanwhile, ..Store::default() };
            assert_eq!(ask(&mut store, under(1, token)), Outcome::Fail(Failure::Refused(None)));
        }
    }
}
