//! Accounts between which money is moved, and which are read all at once.
//!
//! There is no sequential model here: the promise judged is that money is neither made nor lost
//! ([`crate::bank`]), and it does not depend on the order of the transfers.

use elenchus_core::value::Value;
use elenchus_core::workload::{Call, Vocabulary};
use std::collections::BTreeMap;

/// What a client asks of a bank.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum BankOp {
    /// Move money from one account to another, atomically.
    Transfer {
        /// The account that pays.
        from: i64,
        /// The account that receives.
        to: i64,
        /// How much.
        amount: i64,
    },
    /// What do all accounts hold, at one moment?
    Read,
}

/// What a bank answers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum BankRet {
    /// It is done.
    Done,
    /// The balance of each account.
    Balances(BTreeMap<i64, i64>),
}

/// Banks on disk: `transfer` with `{from, to, amount}`; `read` with value nil, then a map from account to
/// balance. Names are written as text, so that JSON needs no tricks, and read as text or keywords.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BankVocabulary;

impl Vocabulary for BankVocabulary {
    type Op = BankOp;
    type Ret = BankRet;

    fn encode_op(&self, op: &BankOp) -> Call {
        match op {
            BankOp::Transfer { from, to, amount } => {
                let pair = |name: &str, n: &i64| (Value::str(name), Value::Int(*n));
                let pairs = [pair("from", from), pair("to", to), pair("amount", amount)];
                Call { f: "transfer", key: None, value: Value::Map(pairs.into()) }
            }
            BankOp::Read => Call { f: "read", key: None, value: Value::Nil },
        }
    }

    fn encode_ret(&self, op: &BankOp, ret: &BankRet) -> Value {
        match ret {
            BankRet::Done => self.encode_op(op).value,
            BankRet::Balances(balances) => Value::Map(
                balances
                    .iter()
                    .map(|(account, n)| (Value::str(&account.to_string()), Value::Int(*n)))
                    .collect(),
            ),
        }
    }

    fn decode_op(&self, f: &str, _key: Option<&Value>, value: &Value) -> Result<BankOp, String> {
        match f {
            "transfer" => {
                let of = |name| field(value, name).ok_or_else(|| format!("a transfer needs {name}: {value}"));
                Ok(BankOp::Transfer { from: of("from")?, to: of("to")?, amount: of("amount")? })
            }
            "read" => Ok(BankOp::Read),
            _ => Err(format!("a bank has no function {f:?}, only transfer and read")),
        }
    }

    fn decode_ret(&self, op: &BankOp, value: &Value) -> Result<BankRet, String> {
        match (op, value) {
            (BankOp::Transfer { .. }, _) => Ok(BankRet::Done),
            (BankOp::Read, Value::Map(pairs)) => decode_balances(pairs).map(BankRet::Balances),
            (BankOp::Read, _) => Err(format!("a read of a bank answers a map of balances, not {value}")),
        }
    }
}

fn field(map: &Value, name: &str) -> Option<i64> {
    let Value::Map(pairs) = map else { return None };
    pairs.iter().find(|(key, _)| key.as_text() == Some(name)).and_then(|(_, value)| value.as_int())
}

/// An account whose balance is nil counts as absent: Jepsen writes so what a read did not find.
fn decode_balances(pairs: &[(Value, Value)]) -> Result<BTreeMap<i64, i64>, String> {
    let mut balances = BTreeMap::new();
    for (account, balance) in pairs {
        let number = account.as_int().or_else(|| account.as_text()?.parse().ok());
        let number = number.ok_or_else(|| format!("an account is a number, not {account}"))?;
        let twice = match balance {
            Value::Nil => false,
            Value::Int(n) => balances.insert(number, *n).is_some(),
            _ => return Err(format!("the balance of account {number} is no integer: {balance}")),
        };
        if twice {
            return Err(format!("account {number} stands twice in one read"));
        }
    }
    Ok(balances)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_decodes_to_itself() {
        let v = BankVocabulary;
        let transfer = BankOp::Transfer { from: 1, to: 2, amount: 5 };
        let balances = BankRet::Balances([(1, -3), (2, 13)].into());
        for (op, ret) in [(transfer, BankRet::Done), (BankOp::Read, balances)] {
            let call = v.encode_op(&op);
            assert_eq!(v.decode_op(call.f, call.key.as_ref(), &call.value).as_ref(), Ok(&op));
            assert_eq!(v.decode_ret(&op, &v.encode_ret(&op, &ret)), Ok(ret));
        }
    }

    #[test]
    fn jepsens_keywords_and_numbers_are_understood() {
        let keyword = |name: &str, n| (Value::keyword(name), Value::Int(n));
        let map = Value::Map([keyword("amount", 5), keyword("from", 0), keyword("to", 1)].into());
        let transfer = BankOp::Transfer { from: 0, to: 1, amount: 5 };
        assert_eq!(BankVocabulary.decode_op("transfer", None, &map), Ok(transfer));
        let read = Value::Map([(Value::Int(0), Value::Int(7)), (Value::Int(1), Value::Nil)].into());
        let ret = BankRet::Balances([(0, 7)].into());
        assert_eq!(BankVocabulary.decode_ret(&BankOp::Read, &read), Ok(ret));
    }

    #[test]
    fn nonsense_is_an_error_that_says_what_was_expected() {
        let v = BankVocabulary;
        assert!(v.decode_op("transfer", None, &Value::Int(1)).is_err_and(|e| e.contains("needs from")));
        assert!(v.decode_ret(&BankOp::Read, &Value::Int(1)).is_err_and(|e| e.contains("map")));
        let text = Value::Map([(Value::str("a"), Value::Int(1))].into());
        assert!(v.decode_ret(&BankOp::Read, &text).is_err_and(|e| e.contains("account")));
    }
}
