//! The requests of workloads in the gateway's words, and its answers in theirs.

use super::txn;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use elenchus_core::client::{Request, Response};
use elenchus_core::outcome::{Cause, Outcome};
use elenchus_core::value::Value;
use serde_json::{Value as Json, json};

/// A POST to the gateway.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Call {
    pub path: &'static str,
    pub body: Json,
}

/// The call of a request; an error says what etcd cannot do.
pub(super) fn call(request: &Request, serializable: bool) -> Result<Call, Cause> {
    Ok(match request {
        Request::Get { key } => {
            Call { path: "/v3/kv/range", body: json!({ "key": bytes(key), "serializable": serializable }) }
        }
        Request::Put { key, value } | Request::Publish { key, value } => {
            Call { path: "/v3/kv/put", body: json!({ "key": bytes(key), "value": bytes(&text(value)?) }) }
        }
        Request::Peek { key } => {
            Call { path: "/v3/kv/range", body: json!({ "key": bytes(key), "serializable": true }) }
        }
        Request::Delete { key } => Call { path: "/v3/kv/deleterange", body: json!({ "key": bytes(key) }) },
        Request::Cas { .. } => {
            Call { path: "/v3/kv/txn", body: txn::body(std::slice::from_ref(request), serializable)? }
        }
        Request::Txn(requests) => Call { path: "/v3/kv/txn", body: txn::body(requests, serializable)? },
        Request::Append { .. } => return Err("etcd cannot append".into()),
        Request::Lock { .. } | Request::Unlock { .. } => return Err("a lock takes more than one call".into()),
        Request::Watch { .. } => return Err("a watch is no single call".into()),
    })
}

/// What a success says.
pub(super) fn answered(request: &Request, body: &Json) -> Outcome<Response> {
    let strange = || Outcome::info(format!("the gateway answered {body}"));
    // Whoever is no gateway may well answer with 200.
    if !body["header"].is_object() {
        return strange();
    }
    match request {
        Request::Get { .. } | Request::Peek { .. } => {
            held(body).map_or_else(strange, |value| Outcome::Ok(Response::Value(value)))
        }
        Request::Publish { .. } => {
            let revision = body["header"]["revision"].as_str().and_then(|revision| revision.parse().ok());
            Outcome::Ok(Response::Revision(revision))
        }
        Request::Cas { .. } => {
            let answer = txn::answered(std::slice::from_ref(request), body);
            answer.map_or_else(strange, |answer| {
                answer.map(|response| match response {
                    Response::Txn(_) => Response::Done,
                    saw => saw,
                })
            })
        }
        Request::Txn(requests) => txn::answered(requests, body).unwrap_or_else(strange),
        _ => Outcome::Ok(Response::Done),
    }
}

/// What a range over one key found. `None` if that cannot be read.
pub(super) fn held(range: &Json) -> Option<Value> {
    match range["kvs"].get(0) {
        None => range["header"].is_object().then_some(Value::Nil),
        Some(pair) => {
            // An empty value is left out.
            let text = pair.get("value").map_or(Some(String::new()), decoded)?;
            Some(value(&text))
        }
    }
}

/// The text that stands in base64.
pub(super) fn decoded(base64: &Json) -> Option<String> {
    String::from_utf8(BASE64_STANDARD.decode(base64.as_str()?).ok()?).ok()
}

/// What is read back is an integer if it reads as one.
pub(super) fn value(text: &str) -> Value {
    text.parse().map_or_else(|_| Value::str(text), Value::Int)
}

pub(super) fn bytes(text: impl AsRef<[u8]>) -> String {
    BASE64_STANDARD.encode(text)
}

/// Values are texts in etcd: integers in decimal.
pub(super) fn text(value: &Value) -> Result<String, Cause> {
    match value {
        Value::Int(n) => Ok(n.to_string()),
        Value::Str(text) => Ok(text.to_string()),
        other => Err(format!("etcd holds integers and text, not {other}").into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use elenchus_core::outcome::Failure;

    fn get() -> Request {
        Request::Get { key: "k".into() }
    }

    fn cas() -> Request {
        Request::Cas { key: "k".into(), from: Value::Int(1), to: Value::Int(2) }
    }

    #[test]
    fn an_absent_key_reads_as_nil_and_an_integer_as_itself() {
        let read = |body: Json| answered(&get(), &body);
        let header = json!({ "revision": "3" });
        assert_eq!(read(json!({ "header": header })), Outcome::Ok(Response::Value(Value::Nil)));
        let pair = json!({ "header": header, "kvs": [{ "key": "aw==", "value": "NDI=" }], "count": "1" });
        assert_eq!(read(pair), Outcome::Ok(Response::Value(Value::Int(42))));
        let empty = json!({ "header": header, "kvs": [{ "key": "aw==" }], "count": "1" });
        assert_eq!(read(empty), Outcome::Ok(Response::Value(Value::str(""))));
    }

    #[test]
    fn what_no_gateway_says_is_a_doubt() {
        assert!(answered(&get(), &json!({})).is_info());
        assert!(answered(&cas(), &json!({ "succeeded": true })).is_info());
        let pair = json!({ "header": {}, "kvs": [{ "key": "aw==", "value": "!" }] });
        assert!(answered(&get(), &pair).is_info());
    }

    #[test]
    fn a_refused_cas_says_what_it_saw() {
        let range = json!({ "header": {}, "kvs": [{ "key": "aw==", "value": "Nw==" }] });
        let body = json!({ "header": {}, "responses": [{ "response_range": range }] });
        let saw = Outcome::Fail(Failure::Refused(Some(Response::Value(Value::Int(7)))));
        assert_eq!(answered(&cas(), &body), saw);
        let absent = json!({ "header": {}, "responses": [{ "response_range": { "header": {} } }] });
        assert_eq!(
            answered(&cas(), &absent),
            Outcome::Fail(Failure::Refused(Some(Response::Value(Value::Nil))))
        );
        let done = json!({ "header": {}, "succeeded": true, "responses": [{ "response_put": {} }] });
        assert_eq!(answered(&cas(), &done), Outcome::Ok(Response::Done));
    }

    #[test]
    fn a_cas_from_nil_asks_whether_the_key_is_absent() {
        let from_nil = Request::Cas { key: "k".into(), from: Value::Nil, to: Value::Int(1) };
        let call = call(&from_nil, false).expect("etcd can do that");
        assert_eq!(call.body["compare"][0]["target"], "VERSION");
        assert_eq!(call.body["success"][0]["request_put"]["value"], "MQ==");
    }
}
