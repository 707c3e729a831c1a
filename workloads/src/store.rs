//! Names and answers of a key-value store, as workloads use it.

use elenchus_core::client::Response;
use elenchus_core::outcome::{Failure, Outcome};
use elenchus_core::random::Seed;

/// The prefix of all keys of one trial: what another trial left behind cannot speak in this one.
pub(crate) fn prefix(seed: Seed) -> String {
    format!("{:08x}", seed.stream("prefix").0 >> 32)
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
