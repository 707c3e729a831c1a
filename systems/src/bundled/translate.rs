//! The requests of workloads in the words of a bundled cluster, and its answers in theirs.
//!
//! What cannot be said is not sent, so it fails for certain.

use elenchus_core::client::{Request, Response};
use elenchus_core::outcome::{Cause, Failure, Outcome};
use elenchus_core::value::Value;
use elenchus_reference::session::{Call, End};
use elenchus_reference::wire::{Command, Datum};

/// The call that a request asks for: a read if nothing is changed. An error: it cannot be said.
pub fn call(request: &Request) -> Result<Call, Cause> {
    let commands = match request {
        Request::Txn(requests) if requests.is_empty() => {
            return Err("an empty transaction asks nothing".into());
        }
        Request::Txn(requests) => requests.iter().map(command).collect::<Result<Vec<_>, _>>()?,
        single => vec![command(single)?],
    };
    let reads = commands.iter().all(|command| matches!(command, Command::Get { .. }));
    Ok(if reads { Call::Read(commands) } else { Call::Write(commands) })
}

fn command(request: &Request) -> Result<Command, Cause> {
    let key = |key: &String| key.clone();
    Ok(match request {
        Request::Get { key: name } => Command::Get { key: key(name) },
        Request::Put { key: name, value } => Command::Put { key: key(name), value: datum(value)? },
        Request::Cas { key: name, from, to } => {
            let from = if from.is_nil() { None } else { Some(datum(from)?) };
            Command::Cas { key: key(name), from, to: datum(to)? }
        }
        Request::Append { key: name, text } => Command::Append { key: key(name), text: text.clone() },
        Request::Delete { key: name } => Command::Delete { key: key(name) },
        Request::Txn(_) => return Err("a transaction cannot hold another".into()),
        Request::Publish { .. } | Request::Watch { .. } => {
            return Err("the bundled store has no revisions and no watches".into());
        }
        Request::Peek { .. } => return Err("the bundled cluster answers no stale reads on request".into()),
        Request::Lock { .. } | Request::Unlock { .. } => {
            return Err("the bundled cluster has no locks".into());
        }
    })
}

fn datum(value: &Value) -> Result<Datum, Cause> {
    match value {
        Value::Int(n) => Ok(Datum::Int(*n)),
        Value::Str(text) => Ok(Datum::Text(text.as_ref().to_owned())),
        other => Err(format!("the bundled store keeps integers and text, not {other}").into()),
    }
}

fn value(datum: Option<Datum>) -> Value {
    match datum {
        None => Value::Nil,
        Some(Datum::Int(n)) => Value::Int(n),
        Some(Datum::Text(text)) => Value::Str(text.into()),
    }
}

/// What a request's end means to its workload.
pub fn outcome(request: &Request, end: End) -> Outcome<Response> {
    match end {
        End::Done(results) => match responses(request, results) {
            Some(response) => Outcome::Ok(response),
            None => Outcome::info("the node gave more or fewer answers than it was asked for"),
        },
        End::Refused { saw, .. } => Outcome::Fail(Failure::Refused(Some(Response::Value(value(saw))))),
        End::NotDone(why) => Outcome::not_done(why),
        End::InDoubt(why) => Outcome::info(why),
    }
}

/// One answer a request; `None` if the numbers do not match.
fn responses(request: &Request, results: Vec<Option<Datum>>) -> Option<Response> {
    match request {
        Request::Txn(requests) if requests.len() == results.len() => Some(Response::Txn(
            requests.iter().zip(results).map(|(one, result)| response(one, result)).collect(),
        )),
        Request::Txn(_) => None,
        single => {
            let [result] = <[_; 1]>::try_from(results).ok()?;
            Some(response(single, result))
        }
    }
}

fn response(request: &Request, result: Option<Datum>) -> Response {
    if matches!(request, Request::Get { .. }) { Response::Value(value(result)) } else { Response::Done }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get() -> Request {
        Request::Get { key: "x".into() }
    }

    fn put(value: Value) -> Request {
        Request::Put { key: "x".into(), value }
    }

    #[test]
    fn reads_are_told_from_writes() {
        assert!(matches!(call(&get()), Ok(Call::Read(_))));
        assert!(
            matches!(call(&Request::Txn(vec![get(), get()])), Ok(Call::Read(commands)) if commands.len() == 2)
        );
        assert!(matches!(call(&Request::Txn(vec![get(), put(Value::Int(1))])), Ok(Call::Write(_))));
        assert!(matches!(call(&Request::Delete { key: "x".into() }), Ok(Call::Write(_))));
    }

    #[test]
    fn nil_is_the_absent_key() {
        let cas = Request::Cas { key: "x".into(), from: Value::Nil, to: Value::str("new") };
        let Ok(Call::Write(commands)) = call(&cas) else { panic!() };
        assert_eq!(commands, [Command::Cas { key: "x".into(), from: None, to: Datum::Text("new".into()) }]);
        assert_eq!(outcome(&get(), End::Done(vec![None])), Outcome::Ok(Response::Value(Value::Nil)));
        let refused = End::Refused { at: 0, saw: None };
        assert_eq!(
            outcome(&cas, refused),
            Outcome::Fail(Failure::Refused(Some(Response::Value(Value::Nil))))
        );
    }

    #[test]
    fn what_cannot_be_said_is_not_sent() {
        for value in
            [Value::Nil, Value::Bool(true), Value::Float(1.5), Value::keyword("a"), Value::vector([])]
        {
            assert!(call(&put(value.clone())).is_err(), "{value}");
            assert!(call(&Request::Txn(vec![get(), put(value)])).is_err());
        }
        assert!(call(&Request::Txn(vec![])).is_err());
        assert!(call(&Request::Txn(vec![Request::Txn(vec![get()])])).is_err());
    }

    #[test]
    fn answers_stand_beside_their_requests() {
        let request = Request::Txn(vec![put(Value::Int(1)), get()]);
        let results = vec![None, Some(Datum::Int(1))];
        let expected = Response::Txn(vec![Response::Done, Response::Value(Value::Int(1))]);
        assert_eq!(outcome(&request, End::Done(results)), Outcome::Ok(expected));
        assert!(outcome(&request, End::Done(vec![None])).is_info(), "a wrong count is no answer");
        assert!(outcome(&get(), End::Done(vec![])).is_info());
    }
}
