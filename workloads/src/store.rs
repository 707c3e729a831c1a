//! Names and answers of a key-value store, as workloads use it.

use elenchus_core::client::{Client, Request, Response};
use elenchus_core::outcome::{Cause, Failure, Outcome};
use elenchus_core::value::Value;

/// Reads a key and sets it to what `change` makes of it, unless somebody else changed it meanwhile: then this is refused,
/// with what was seen. The answer is what was set.
///
/// Each of the two requests is sent once. Whatever ends the operation before the second one has changed nothing.
pub(crate) async fn read_and_set(
    client: &mut dyn Client,
    key: &str,
    change: impl FnOnce(&Value) -> Result<Value, Cause>,
) -> Outcome<Value> {
    let from = match client.call(&Request::Get { key: key.to_owned() }).await {
        Outcome::Ok(Response::Value(value)) => value,
        Outcome::Ok(other) => return Outcome::not_done(format!("the client answered {other:?}")),
        Outcome::Info(cause) | Outcome::Fail(Failure::NotDone(cause)) => {
            return Outcome::not_done(format!("it could not be read: {cause}"));
        }
        Outcome::Fail(Failure::Refused(_)) => return Outcome::not_done("the read was refused"),
    };
    let to = match change(&from) {
        Ok(to) => to,
        Err(cause) => return Outcome::not_done(cause),
    };
    let cas = Request::Cas { key: key.to_owned(), from, to: to.clone() };
    match client.call(&cas).await {
        Outcome::Ok(_) => Outcome::Ok(to),
        Outcome::Fail(Failure::Refused(saw)) => Outcome::Fail(Failure::Refused(match saw {
            Some(Response::Value(saw)) => Some(saw),
            _ => None,
        })),
        Outcome::Fail(Failure::NotDone(cause)) => Outcome::not_done(cause),
        Outcome::Info(cause) => Outcome::Info(cause),
    }
}

/// An outcome whose answer has been translated; an answer that the request cannot have is a doubt.
pub(crate) fn translate<R>(
    outcome: Outcome<Response>,
    answer: impl Fn(Response) -> Result<R, Response>,
) -> Outcome<R> {
    let strange = |response: Response| Outcome::info(format!("the client answered {response:?}"));
    match outcome {
        Outcome::Ok(response) => match answer(response) {
            Ok(ret) => Outcome::Ok(ret),
            Err(response) => strange(response),
        },
        Outcome::Fail(Failure::Refused(saw)) => {
            Outcome::Fail(Failure::Refused(saw.and_then(|response| answer(response).ok())))
        }
        Outcome::Fail(Failure::NotDone(cause)) => Outcome::Fail(Failure::NotDone(cause)),
        Outcome::Info(cause) => Outcome::Info(cause),
    }
}

/// The integer that a key holds; `None` if it holds none, or something else.
pub(crate) fn integer(response: &Response) -> Option<i64> {
    match response {
        Response::Value(value) => value.as_int(),
        _ => None,
    }
}
