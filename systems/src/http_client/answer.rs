//! What an answer says, by the description: done, refused, certainly not done. Anything else is a doubt.

use super::description::{Exchange, Sign};
use crate::http::Answer;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use elenchus_core::outcome::{Cause, Failure, Outcome};
use elenchus_core::value::Value;
use serde_json::Value as Json;

/// What an answer means.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Meaning {
    Done,
    /// Declined, having seen this, if the answer says so.
    Refused(Option<Value>),
    NotDone(Cause),
    Absent,
    Doubt(Cause),
}

impl Meaning {
    /// The outcome of a request without an answer of its own.
    pub(super) fn outcome<R>(self, done: impl FnOnce() -> R, saw: impl Fn(Value) -> R) -> Outcome<R> {
        match self {
            Meaning::Done => Outcome::Ok(done()),
            Meaning::Refused(value) => Outcome::Fail(Failure::Refused(value.map(saw))),
            Meaning::NotDone(why) => Outcome::not_done(why),
            Meaning::Absent => Outcome::info("the key is said to be absent"),
            Meaning::Doubt(why) => Outcome::Info(why),
        }
    }
}

/// What this answer means. The words of a doubt leave out `secrets`.
pub(super) fn meaning(exchange: &Exchange, answer: &Answer, secrets: &[String]) -> Meaning {
    let status = answer.status;
    let has = |list: &[u16]| list.contains(&status);
    let stands = |sign: &Option<Sign>| sign.as_ref().map(|sign| sign.stands(answer));
    let seen = || exchange.value.as_ref().and_then(|_| value(exchange, answer));
    if has(&exchange.refused) {
        return Meaning::Refused(seen());
    }
    if has(&exchange.absent) {
        return Meaning::Absent;
    }
    if has(&exchange.not_done) {
        return Meaning::NotDone(said(answer, secrets).into());
    }
    match (has(&exchange.ok), stands(&exchange.refused_when), stands(&exchange.ok_when)) {
        (true, Some(true), _) => Meaning::Refused(seen()),
        (true, _, None | Some(true)) => Meaning::Done,
        _ => Meaning::Doubt(said(answer, secrets).into()),
    }
}

/// The value in an answer; `None` if there is none that can be read.
pub(super) fn value(exchange: &Exchange, answer: &Answer) -> Option<Value> {
    let text = match &exchange.value {
        None => std::str::from_utf8(&answer.body).ok()?.to_owned(),
        Some(pointer) => match json(answer)?.pointer(pointer)? {
            Json::Null => return Some(Value::Nil),
            Json::String(text) => text.clone(),
            Json::Number(number) => return number.as_i64().map(Value::Int),
            _ => return None,
        },
    };
    let text = match exchange.base64 {
        true => String::from_utf8(BASE64_STANDARD.decode(text.trim()).ok()?).ok()?,
        false => text,
    };
    // Stores hold text: what reads as an integer is one.
    Some(text.trim().parse().map_or_else(|_| Value::str(&text), Value::Int))
}

/// The text that stands at this place.
pub(super) fn text_at(answer: &Answer, pointer: &str) -> Option<String> {
    json(answer)?.pointer(pointer).map(plain)
}

/// The answer for people, without the secrets that a server may have echoed.
pub(super) fn said(answer: &Answer, secrets: &[String]) -> String {
    let secrets = secrets.iter().filter(|secret| !secret.is_empty());
    let body = secrets.fold(String::from_utf8_lossy(&answer.body).into_owned(), |body, secret| {
        body.replace(secret.as_str(), "(secret)")
    });
    let short: String = body.trim().chars().filter(|c| !c.is_control()).take(80).collect();
    if short.is_empty() {
        format!("status {}", answer.status)
    } else {
        format!("status {}: {short}", answer.status)
    }
}

impl Sign {
    fn stands(&self, answer: &Answer) -> bool {
        let found = text_at(answer, &self.at);
        found.is_some_and(|found| self.is.as_ref().is_none_or(|is| *is == found))
    }
}

fn json(answer: &Answer) -> Option<Json> {
    serde_json::from_slice(&answer.body).ok()
}

/// A text without its quotes.
fn plain(value: &Json) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exchange(rest: &str) -> Exchange {
        toml::from_str(&format!("method = \"GET\"\npath = \"/{{key}}\"\n{rest}")).expect("well written")
    }

    fn answer(status: u16, body: &str) -> Answer {
        Answer { status, body: body.to_owned().into() }
    }

    #[test]
    fn a_status_that_nobody_named_is_a_doubt() {
        let cas = exchange("refused = [409]\nnot-done = [429]\nvalue = \"/now\"");
        let means = |status, body: &str| meaning(&cas, &answer(status, body), &[]);
        assert_eq!(means(200, ""), Meaning::Done);
        assert_eq!(means(409, "{\"now\": 3}"), Meaning::Refused(Some(Value::Int(3))));
        assert_eq!(means(409, "garbage"), Meaning::Refused(None));
        assert!(matches!(means(429, "busy"), Meaning::NotDone(_)));
        for status in [201, 301, 302, 307, 400, 404, 500, 503] {
            assert!(matches!(means(status, ""), Meaning::Doubt(_)), "{status}");
        }
    }

    #[test]
    fn an_answer_may_say_in_its_body_that_it_is_a_refusal() {
        let cas =
            exchange("ok-when = { at = \"\", is = \"true\" }\nrefused-when = { at = \"\", is = \"false\" }");
        assert_eq!(meaning(&cas, &answer(200, "true"), &[]), Meaning::Done);
        assert_eq!(meaning(&cas, &answer(200, "false"), &[]), Meaning::Refused(None));
        assert!(matches!(meaning(&cas, &answer(200, "<html>"), &[]), Meaning::Doubt(_)));
        let there = exchange("refused-when = { at = \"/seen\" }");
        assert_eq!(meaning(&there, &answer(200, "{\"seen\": null}"), &[]), Meaning::Refused(None));
    }

    #[test]
    fn values_stand_where_the_description_says() {
        let read = |rest: &str, body: &str| value(&exchange(rest), &answer(200, body));
        assert_eq!(read("", "42\n"), Some(Value::Int(42)));
        assert_eq!(read("", "1 2 "), Some(Value::str("1 2 ")));
        assert_eq!(
            read("value = \"/0/Value\"\nbase64 = true", "[{\"Value\": \"NDI=\"}]"),
            Some(Value::Int(42))
        );
        assert_eq!(read("value = \"/v\"", "{\"v\": null}"), Some(Value::Nil));
        for body in ["", "[]", "{\"v\": 1.5}", "{\"v\": [1]}", "\u{0}"] {
            assert_eq!(read("value = \"/v\"", body), None, "{body}");
        }
        assert_eq!(read("base64 = true", "!"), None);
    }
}
