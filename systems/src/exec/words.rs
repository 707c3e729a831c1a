//! What is said to client programs and what they say, line by line. `docs/clients.md` tells users.

use super::Node;
use elenchus_core::client::{Request, Response};
use elenchus_core::outcome::{Cause, Failure, Outcome};
use elenchus_core::process::Process;
use elenchus_core::value::Value;
use elenchus_core::watch::{Change, End, Seen};
use serde_json::{Map, Value as Json, json};
use std::time::Duration;

type Object = Map<String, Json>;

fn object(json: Json) -> Object {
    match json {
        Json::Object(object) => object,
        _ => unreachable!("it is written as an object"),
    }
}

/// The first line: whom to speak to.
pub(crate) fn open(node: &Node, process: Process) -> Object {
    object(json!({
        "op": "open",
        "node": node.name,
        "ip": node.ip,
        "addresses": node.addresses,
        "process": process.0,
    }))
}

/// Whether the first line was answered with consent.
pub(crate) fn opened(line: &str) -> Result<(), Cause> {
    let answer = parsed(line, 1)?;
    match (answer.contains_key("ok"), reason(&answer)) {
        (true, _) => Ok(()),
        (false, Some(why)) => Err(format!("the client did not open: {why}").into()),
        (false, None) => Err(strange(line)),
    }
}

/// A request.
pub(crate) fn request(request: &Request) -> Object {
    object(match request {
        Request::Get { key } => json!({ "op": "get", "key": key }),
        Request::Put { key, value } => json!({ "op": "put", "key": key, "value": plain(value) }),
        Request::Cas { key, from, to } => {
            json!({ "op": "cas", "key": key, "from": plain(from), "to": plain(to) })
        }
        Request::Append { key, text } => json!({ "op": "append", "key": key, "text": text }),
        Request::Delete { key } => json!({ "op": "delete", "key": key }),
        Request::Txn(requests) => {
            let each: Vec<Json> = requests.iter().map(|one| Json::Object(self::request(one))).collect();
            json!({ "op": "txn", "requests": each })
        }
        Request::Peek { key } => json!({ "op": "peek", "key": key }),
        Request::Lock { key, ttl, wait } => {
            json!({ "op": "lock", "key": key, "ttl_ms": millis(ttl), "wait_ms": millis(wait) })
        }
        Request::Unlock { key } => json!({ "op": "unlock", "key": key }),
        Request::Publish { key, value } => json!({ "op": "publish", "key": key, "value": plain(value) }),
        Request::Watch { prefix, from, changes_max, time_max } => json!({
            "op": "watch",
            "prefix": prefix,
            "from": from,
            "changes": changes_max,
            "time_ms": millis(time_max),
        }),
    })
}

/// What a line says of the request with this number. An error is why it says nothing.
pub(crate) fn outcome(line: &str, id: u64, request: &Request) -> Result<Outcome<Response>, Cause> {
    let answer = parsed(line, id)?;
    let why = |key: &str| answer.get(key).map(|why| Cause::from(text(why)));
    if let Some(ok) = answer.get("ok") {
        return Ok(Outcome::Ok(response(ok, request).ok_or_else(|| strange(line))?));
    }
    if let Some(saw) = answer.get("refused") {
        let saw = value(saw).ok_or_else(|| strange(line))?;
        return Ok(Outcome::Fail(Failure::Refused(Some(Response::Value(saw)))));
    }
    match (why("fail"), why("info")) {
        (Some(why), None) => Ok(Outcome::Fail(Failure::NotDone(why))),
        (None, Some(why)) => Ok(Outcome::Info(why)),
        _ => Err(strange(line)),
    }
}

fn response(ok: &Json, request: &Request) -> Option<Response> {
    Some(match request {
        Request::Get { .. } | Request::Peek { .. } => Response::Value(value(ok)?),
        Request::Lock { .. } => Response::Granted(match ok {
            Json::Null => None,
            token => Some(token.as_i64()?),
        }),
        Request::Txn(requests) => {
            let answers = ok.as_array().filter(|answers| answers.len() == requests.len())?;
            let each = answers.iter().zip(requests).map(|(ok, request)| response(ok, request));
            Response::Txn(each.collect::<Option<_>>()?)
        }
        Request::Publish { .. } if ok.is_null() => Response::Revision(None),
        Request::Publish { .. } => Response::Revision(Some(ok.as_i64()?)),
        Request::Watch { .. } => Response::Seen(seen(ok)?),
        _ => Response::Done,
    })
}

/// The one answer that bears this number.
fn parsed(line: &str, id: u64) -> Result<Object, Cause> {
    let Ok(Json::Object(answer)) = serde_json::from_str(line) else { return Err(strange(line)) };
    match answer.get("id") {
        Some(found) if *found == json!(id) => Ok(answer),
        Some(found) => Err(format!("the client answered request {found}, asked was {id}").into()),
        None => Err(format!("the client's answer bears no id: {}", short(line)).into()),
    }
}

fn reason(answer: &Object) -> Option<String> {
    answer.get("fail").or(answer.get("info")).map(text)
}

fn strange(line: &str) -> Cause {
    format!("the client printed what is no answer: {}", short(line)).into()
}

fn short(line: &str) -> String {
    line.chars().take(80).collect()
}

fn text(json: &Json) -> String {
    json.as_str().map_or_else(|| json.to_string(), str::to_owned)
}

fn millis(time: &Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// A value of the store as JSON: a number, text or null.
fn plain(value: &Value) -> Json {
    match value {
        Value::Nil => Json::Null,
        Value::Int(n) => json!(n),
        Value::Str(text) => json!(text),
        other => json!(other.to_string()),
    }
}

/// What a watch has shown.
fn seen(ok: &Json) -> Option<Seen> {
    let change = |change: &Json| {
        Some(Change {
            revision: change["revision"].as_i64()?,
            key: Value::str(change["key"].as_str()?),
            value: value(change.get("value")?)?,
        })
    };
    Some(Seen {
        changes: ok["changes"].as_array()?.iter().map(change).collect::<Option<_>>()?,
        next: ok["next"].as_i64()?,
        end: End::named(ok["end"].as_str()?)?,
    })
}

fn value(json: &Json) -> Option<Value> {
    match json {
        Json::Null => Some(Value::Nil),
        Json::Number(n) => n.as_i64().map(Value::Int),
        Json::String(text) => Some(Value::str(text)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get() -> Request {
        Request::Get { key: "k".into() }
    }

    fn said(line: &str) -> Result<Outcome<Response>, Cause> {
        outcome(line, 7, &get())
    }

    #[test]
    fn each_way_to_end_has_its_word() {
        assert_eq!(said(r#"{"id":7,"ok":3}"#), Ok(Outcome::Ok(Response::Value(Value::Int(3)))));
        assert_eq!(said(r#"{"id":7,"ok":null}"#), Ok(Outcome::Ok(Response::Value(Value::Nil))));
        assert_eq!(said(r#"{"id":7,"fail":"busy"}"#), Ok(Outcome::not_done("busy")));
        assert_eq!(said(r#"{"id":7,"info":"timeout"}"#), Ok(Outcome::info("timeout")));
        let refused = Outcome::Fail(Failure::Refused(Some(Response::Value(Value::str("a")))));
        assert_eq!(said(r#"{"id":7,"refused":"a"}"#), Ok(refused));
    }

    #[test]
    fn what_is_no_answer_is_said_to_be_none() {
        let garbage = [
            "",
            "hello",
            "[]",
            r#"{"ok":1}"#,
            r#"{"id":6,"ok":1}"#,
            r#"{"id":7}"#,
            r#"{"id":7,"ok":[1]}"#,
            r#"{"id":7,"ok":1.5}"#,
            r#"{"id":7,"fail":"x","info":"y"}"#,
        ];
        for line in garbage {
            assert!(said(line).is_err(), "{line}");
        }
    }

    #[test]
    fn a_watch_is_answered_with_what_it_has_shown() {
        let time_max = Duration::from_millis(500);
        let watch = Request::Watch { prefix: "p/".into(), from: 3, changes_max: 9, time_max };
        let asked = json!({ "op": "watch", "prefix": "p/", "from": 3, "changes": 9, "time_ms": 500 });
        assert_eq!(Json::from(request(&watch)), asked);
        let line =
            r#"{"id":1,"ok":{"changes":[{"revision":4,"key":"p/a","value":null}],"next":5,"end":"cut"}}"#;
        let change = Change { revision: 4, key: Value::str("p/a"), value: Value::Nil };
        let seen = Response::Seen(Seen { changes: vec![change], next: 5, end: End::Cut });
        assert_eq!(outcome(line, 1, &watch), Ok(Outcome::Ok(seen)));
        for garbage in [r#"{"changes":[],"next":5}"#, r#"{"changes":[4],"next":5,"end":"cut"}"#, "null", "5"]
        {
            assert!(outcome(&format!("{{\"id\":1,\"ok\":{garbage}}}"), 1, &watch).is_err(), "{garbage}");
        }
    }

    #[test]
    fn a_lock_is_granted_under_a_token_or_without_one() {
        let lock =
            Request::Lock { key: "l".into(), ttl: Duration::from_secs(2), wait: Duration::from_millis(1500) };
        assert_eq!(
            Json::from(request(&lock)),
            json!({ "op": "lock", "key": "l", "ttl_ms": 2000, "wait_ms": 1500 })
        );
        let granted = |line| outcome(line, 1, &lock);
        assert_eq!(granted(r#"{"id":1,"ok":12}"#), Ok(Outcome::Ok(Response::Granted(Some(12)))));
        assert_eq!(granted(r#"{"id":1,"ok":null}"#), Ok(Outcome::Ok(Response::Granted(None))));
        assert!(granted(r#"{"id":1,"ok":"twelve"}"#).is_err());
        assert!(granted(r#"{"id":1,"ok":1.5}"#).is_err());
    }

    #[test]
    fn a_transaction_is_answered_request_by_request() {
        let txn = Request::Txn(vec![get(), Request::Put { key: "k".into(), value: Value::Int(1) }]);
        let answers = Response::Txn(vec![Response::Value(Value::Int(4)), Response::Done]);
        assert_eq!(outcome(r#"{"id":1,"ok":[4,null]}"#, 1, &txn), Ok(Outcome::Ok(answers)));
        assert!(outcome(r#"{"id":1,"ok":[4]}"#, 1, &txn).is_err());
    }
}
