//! Transactions as one etcd txn: all guards are compared at once, then everything is done in order.
//!
//! etcd compares with what was there before the transaction, and takes one change a key (`duplicate key given in
//! txn request`). A key that is changed twice is therefore refused here, before anything is sent; then every guard
//! finds what it would have found in its turn, and a get finds what the requests before it have left.

use super::words::{bytes, held, text};
use elenchus_core::client::{Request, Response};
use elenchus_core::outcome::{Cause, Failure, Outcome};
use elenchus_core::value::Value;
use serde_json::{Value as Json, json};
use std::collections::BTreeSet;

/// The body of the call; an error says what etcd cannot do.
pub(super) fn body(requests: &[Request], serializable: bool) -> Result<Json, Cause> {
    if requests.is_empty() {
        return Err("an empty transaction asks nothing".into());
    }
    let past_leader = serializable && only_reads(requests);
    let (mut compare, mut success, mut failure) = (Vec::new(), Vec::new(), Vec::new());
    let mut changed = BTreeSet::new();
    for request in requests {
        success.push(match request {
            Request::Get { key } => {
                json!({ "request_range": { "key": bytes(key), "serializable": past_leader } })
            }
            Request::Put { key, value } => change(key, value)?,
            Request::Delete { key } => change(key, &Value::Nil)?,
            Request::Cas { key, from, to } => {
                compare.push(guard(key, from)?);
                // So that the refusal says what was there.
                failure.push(json!({ "request_range": { "key": bytes(key) } }));
                change(key, to)?
            }
            _ => return Err("a transaction over etcd holds get, put, cas and delete only".into()),
        });
        if let Request::Put { key, .. } | Request::Delete { key } | Request::Cas { key, .. } = request
            && !changed.insert(key)
        {
            return Err(format!("a transaction over etcd changes a key once, and {key} twice here").into());
        }
    }
    Ok(json!({ "compare": compare, "success": success, "failure": failure }))
}

/// Whether nothing is changed.
pub(super) fn only_reads(requests: &[Request]) -> bool {
    requests.iter().all(|request| matches!(request, Request::Get { .. }))
}

fn guard(key: &str, from: &Value) -> Result<Json, Cause> {
    Ok(match from {
        Value::Nil => json!({ "key": bytes(key), "target": "VERSION", "result": "EQUAL", "version": "0" }),
        value => {
            json!({ "key": bytes(key), "target": "VALUE", "result": "EQUAL", "value": bytes(&text(value)?) })
        }
    })
}

fn change(key: &str, to: &Value) -> Result<Json, Cause> {
    Ok(match to {
        Value::Nil => json!({ "request_delete_range": { "key": bytes(key) } }),
        value => json!({ "request_put": { "key": bytes(key), "value": bytes(&text(value)?) } }),
    })
}

/// What a success of the gateway says of these requests: an answer each ([`Response::Txn`]), or the refusal of all
/// ([`Response::Value`], what was seen). `None` if it says neither.
pub(super) fn answered(requests: &[Request], body: &Json) -> Option<Outcome<Response>> {
    let answers = body["responses"].as_array().map_or(&[][..], Vec::as_slice);
    if body["succeeded"] != json!(true) {
        return Some(Outcome::Fail(Failure::Refused(refused(requests, answers).map(Response::Value))));
    }
    if answers.len() != requests.len() {
        return None;
    }
    let each = requests.iter().zip(answers).map(|(request, answer)| match request {
        Request::Get { .. } => held(&answer["response_range"]).map(Response::Value),
        _ => Some(Response::Done),
    });
    each.collect::<Option<_>>().map(|answers| Outcome::Ok(Response::Txn(answers)))
}

/// What the first guard saw that did not hold.
fn refused(requests: &[Request], answers: &[Json]) -> Option<Value> {
    let guards = requests.iter().filter_map(|request| match request {
        Request::Cas { from, .. } => Some(from),
        _ => None,
    });
    let mut seen = guards.zip(answers).map(|(from, answer)| (from, held(&answer["response_range"])));
    let unequal = |from: &Value, saw: &Value| saw != from && text(saw).ok() != text(from).ok();
    seen.find_map(|(from, saw)| saw.filter(|saw| unequal(from, saw)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(key: &str) -> Request {
        Request::Get { key: key.into() }
    }

    fn put(key: &str, n: i64) -> Request {
        Request::Put { key: key.into(), value: Value::Int(n) }
    }

    fn cas(key: &str, from: Value, to: i64) -> Request {
        Request::Cas { key: key.into(), from, to: Value::Int(to) }
    }

    fn range(value: Option<&str>) -> Json {
        let pairs = value.map(|value| json!([{ "key": "aw==", "value": bytes(value) }]));
        json!({ "response_range": { "header": { "revision": "7" }, "kvs": pairs } })
    }

    #[test]
    fn all_guards_are_compared_and_all_is_done_in_order() {
        let requests = [cas("a", Value::Int(1), 2), get("a"), cas("b", Value::Nil, 3), put("c", 4)];
        let body = body(&requests, true).expect("etcd can do that");
        let targets: Vec<&Json> =
            body["compare"].as_array().expect("guards").iter().map(|guard| &guard["target"]).collect();
        assert_eq!(targets, ["VALUE", "VERSION"]);
        let done = body["success"].as_array().expect("changes");
        let names: Vec<&String> =
            done.iter().flat_map(|one| one.as_object().expect("an object").keys()).collect();
        assert_eq!(names, ["request_put", "request_range", "request_put", "request_put"]);
        assert_eq!(
            done[1]["request_range"]["serializable"], false,
            "a transaction that writes reads the truth"
        );
        assert_eq!(body["failure"].as_array().map(Vec::len), Some(2));
    }

    #[test]
    fn only_reads_go_past_the_leader() {
        let reads = body(&[get("a"), get("b")], true).expect("etcd can do that");
        assert_eq!(reads["success"][1]["request_range"]["serializable"], true);
        let reads = body(&[get("a"), get("b")], false).expect("etcd can do that");
        assert_eq!(reads["success"][1]["request_range"]["serializable"], false);
    }

    #[test]
    fn what_etcd_would_refuse_or_misread_is_not_sent() {
        let twice: [&[Request]; 4] = [
            &[put("a", 1), put("a", 2)],
            &[put("a", 1), cas("a", Value::Int(1), 2)],
            &[cas("a", Value::Int(1), 2), cas("a", Value::Int(2), 3)],
            &[Request::Delete { key: "a".into() }, put("a", 2)],
        ];
        for requests in twice {
            let why = body(requests, false).expect_err("a key is changed twice").to_string();
            assert!(why.contains("a twice"), "{why}");
        }
        let append = Request::Append { key: "a".into(), text: "x".into() };
        for other in [append, Request::Txn(vec![get("a")]), Request::Peek { key: "a".into() }] {
            assert!(body(&[get("b"), other], false).is_err());
        }
        assert!(body(&[], false).is_err());
    }

    #[test]
    fn each_request_has_its_answer() {
        let requests = [get("a"), put("b", 1), get("c")];
        let body = json!({
            "succeeded": true, "responses": [range(Some("5")), { "response_put": {} }, range(None)],
        });
        let answers = vec![Response::Value(Value::Int(5)), Response::Done, Response::Value(Value::Nil)];
        assert_eq!(answered(&requests, &body), Some(Outcome::Ok(Response::Txn(answers))));
    }

    #[test]
    fn too_few_answers_are_none() {
        assert_eq!(
            answered(&[put("b", 1), get("a")], &json!({ "succeeded": true, "responses": [{}] })),
            None
        );
        assert_eq!(answered(&[get("a")], &json!({ "succeeded": true, "responses": [{}] })), None);
        assert_eq!(answered(&[get("a")], &json!({ "succeeded": true })), None);
    }

    #[test]
    fn a_refusal_says_what_the_first_guard_saw_that_did_not_hold() {
        let requests = [cas("a", Value::Int(1), 2), get("x"), cas("b", Value::Nil, 3)];
        let saw = |a, b| answered(&requests, &json!({ "responses": [range(a), range(b)] }));
        let refused = |saw| Some(Outcome::Fail(Failure::Refused(Some(Response::Value(saw)))));
        assert_eq!(saw(Some("9"), None), refused(Value::Int(9)));
        assert_eq!(saw(Some("1"), Some("7")), refused(Value::Int(7)));
        assert_eq!(saw(None, Some("7")), refused(Value::Nil));
        // Nobody knows which guard it was; that all was refused is certain.
        assert_eq!(saw(Some("1"), None), Some(Outcome::Fail(Failure::Refused(None))));
    }
}
