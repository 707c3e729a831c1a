//! A bank: money moves between accounts in transactions, and the sum must never change.
//!
//! A transfer reads both accounts and then sets both, if neither changed meanwhile: a conflict is a
//! refusal and leaves nothing behind. A read sees all accounts in one transaction.

use crate::final_reads::FinalReads;
use crate::store::integer;
use elenchus_checkers::bank::BankChecker;
use elenchus_checkers::models::bank::{BankOp, BankRet, BankVocabulary};
use elenchus_core::LocalFuture;
use elenchus_core::checker::Checker;
use elenchus_core::client::{Capability, Client, Request, Response};
use elenchus_core::generator::{Action, Context, Generator, Next};
use elenchus_core::outcome::{Cause, Failure, Outcome};
use elenchus_core::random::Rng;
use elenchus_core::value::Value;
use elenchus_core::workload::{Call, Shape, Vocabulary, Workload};

/// How many accounts there are.
const ACCOUNTS: i64 = 8;
/// What each holds at first.
const BALANCE: i64 = 100;
/// The most that one transfer moves.
const AMOUNT_MAX: u64 = 5;

/// The workload.
pub struct Bank {
    prefix: String,
}

impl Bank {
    /// A bank whose keys begin with this prefix.
    pub fn new(prefix: &str) -> Bank {
        Bank { prefix: prefix.into() }
    }

    fn key(&self, account: i64) -> String {
        format!("{}/account{account}", self.prefix)
    }

    fn get(&self, account: i64) -> Request {
        Request::Get { key: self.key(account) }
    }

    async fn transfer(&self, client: &mut dyn Client, from: i64, to: i64, amount: i64) -> Outcome<BankRet> {
        let both = Request::Txn(vec![self.get(from), self.get(to)]);
        let held = match client.call(&both).await {
            Outcome::Ok(response) => response,
            // Only a read was sent so far, so nothing can have been moved.
            Outcome::Info(cause) | Outcome::Fail(Failure::NotDone(cause)) => {
                return Outcome::not_done(format!("the accounts could not be read: {cause}"));
            }
            Outcome::Fail(Failure::Refused(_)) => return Outcome::not_done("the read was refused"),
        };
        let (Some(pays), Some(receives)) = (balance(&held, 0), balance(&held, 1)) else {
            return Outcome::not_done(format!("the accounts hold {held:?}"));
        };
        if pays < amount {
            return Outcome::Fail(Failure::Refused(None));
        }
        let cas = |account, from, to| Request::Cas {
            key: self.key(account),
            from: Value::Int(from),
            to: Value::Int(to),
        };
        let moved = Request::Txn(vec![cas(from, pays, pays - amount), cas(to, receives, receives + amount)]);
        match client.call(&moved).await {
            Outcome::Ok(_) => Outcome::Ok(BankRet::Done),
            Outcome::Fail(Failure::Refused(_)) => Outcome::Fail(Failure::Refused(None)),
            Outcome::Fail(Failure::NotDone(cause)) => Outcome::not_done(cause),
            Outcome::Info(cause) => Outcome::Info(cause),
        }
    }

    async fn read(&self, client: &mut dyn Client) -> Outcome<BankRet> {
        let all = Request::Txn((0..ACCOUNTS).map(|account| self.get(account)).collect());
        client.call(&all).await.map(|response| {
            // An account that is not there is left out: that it is missing is for the checker to say.
            let held = (0..ACCOUNTS).filter_map(|n| Some((n, balance(&response, n as usize)?)));
            BankRet::Balances(held.collect())
        })
    }
}

/// The `n`th number in a transaction's answer.
fn balance(response: &Response, n: usize) -> Option<i64> {
    match response {
        Response::Txn(answers) => answers.get(n).and_then(integer),
        _ => None,
    }
}

impl Vocabulary for Bank {
    type Op = BankOp;
    type Ret = BankRet;

    fn encode_op(&self, op: &BankOp) -> Call {
        BankVocabulary.encode_op(op)
    }
    fn encode_ret(&self, op: &BankOp, ret: &BankRet) -> Value {
        BankVocabulary.encode_ret(op, ret)
    }
    fn decode_op(&self, f: &str, key: Option<&Value>, value: &Value) -> Result<BankOp, String> {
        BankVocabulary.decode_op(f, key, value)
    }
    fn decode_ret(&self, op: &BankOp, value: &Value) -> Result<BankRet, String> {
        BankVocabulary.decode_ret(op, value)
    }
}

impl Workload for Bank {
    fn name(&self) -> &'static str {
        "bank"
    }

    fn needs(&self) -> &'static [Capability] {
        &[Capability::Kv, Capability::Txn]
    }

    fn prepare<'a>(&'a self, client: &'a mut dyn Client) -> LocalFuture<'a, Result<(), Cause>> {
        Box::pin(async move {
            let open = |account| Request::Put { key: self.key(account), value: Value::Int(BALANCE) };
            match client.call(&Request::Txn((0..ACCOUNTS).map(open).collect())).await {
                Outcome::Ok(_) => Ok(()),
                other => Err(format!("the accounts could not be opened: {other:?}").into()),
            }
        })
    }

    fn call<'a>(&'a self, client: &'a mut dyn Client, op: &'a BankOp) -> LocalFuture<'a, Outcome<BankRet>> {
        Box::pin(async move {
            match *op {
                BankOp::Transfer { from, to, amount } => self.transfer(client, from, to, amount).await,
                BankOp::Read => self.read(client).await,
            }
        })
    }

    fn generator(&self, shape: &Shape) -> Box<dyn Generator<BankOp, BankRet>> {
        Box::new(Transfers { rng: shape.seed.stream("bank").rng() })
    }

    fn final_generator(&self, shape: &Shape) -> Box<dyn Generator<BankOp, BankRet>> {
        Box::new(FinalReads::new(shape.nodes, [()], |_: &BankOp| (), |()| BankOp::Read))
    }

    fn checkers(&self) -> Vec<Box<dyn Checker>> {
        vec![Box::new(BankChecker::new((0..ACCOUNTS).map(|account| (account, BALANCE)).collect()))]
    }
}

/// Transfers between accounts drawn at random, and reads.
struct Transfers {
    rng: Rng,
}

impl Generator<BankOp, BankRet> for Transfers {
    fn next(&mut self, cx: &mut Context) -> Next<BankOp> {
        let Some(slot) = cx.pick() else { return Next::Wait(None) };
        let op = if self.rng.chance(1, 2) {
            BankOp::Read
        } else {
            let from = self.rng.below(ACCOUNTS as u64) as i64;
            let to = (from + 1 + self.rng.below(ACCOUNTS as u64 - 1) as i64) % ACCOUNTS;
            BankOp::Transfer { from, to, amount: self.rng.between(1, AMOUNT_MAX) as i64 }
        };
        Next::Invoke(slot, Action::Client(op))
    }
}
