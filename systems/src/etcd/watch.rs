//! One bounded watch over the gateway: `POST /v3/watch`, answered line by line for as long as one listens.
//!
//! It has a connection of its own, which ends with it. A watch changes nothing, so that one which was never confirmed has
//! failed for certain. etcd shows a revision whole: all its changes stand in one line, unless fragments are asked for.

use super::words;
use crate::http::{Connection, JSON, Lines, Message};
use elenchus_core::client::Response;
use elenchus_core::outcome::Outcome;
use elenchus_core::value::Value;
use elenchus_core::watch::{Change, End, Seen};
use serde_json::{Value as Json, json};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// How long one rests who found nobody to ask.
const REST: Duration = Duration::from_millis(100);

/// Watches all keys that begin so.
pub(super) async fn watch(
    address: &str,
    prefix: &str,
    from: i64,
    changes_max: usize,
    time_max: Duration,
) -> Outcome<Response> {
    let until = Instant::now() + time_max;
    let asked = async {
        let mut connection = Connection::open(address).await.map_err(|error| error.to_string())?;
        let body = request(prefix, from).to_string();
        let message = Message { method: "POST", path: "/v3/watch", headers: &[JSON], body };
        let lines = connection.listen(message).await.map_err(|error| error.to_string())?;
        // It must be held for as long as one listens.
        Ok::<(Connection, Lines), String>((connection, lines))
    };
    let (_connection, mut lines) = match timeout_at(until, asked).await {
        Ok(Ok(listening)) => listening,
        Ok(Err(why)) => {
            // Lest a dead node be hammered.
            tokio::time::sleep(REST).await;
            return Outcome::not_done(why);
        }
        Err(_) => return Outcome::not_done("the watch was not confirmed in time"),
    };
    if lines.status() != 200 {
        return Outcome::not_done(format!("status {}", lines.status()));
    }
    let mut watching = Watching::new(prefix, from);
    while watching.end.is_none() && watching.changes.len() < changes_max {
        match timeout_at(until, lines.next()).await {
            Ok(Ok(Some(line))) => {
                if let Err(strange) = watching.line(&line) {
                    return Outcome::info(strange);
                }
            }
            Ok(Ok(None) | Err(_)) => watching.end = Some(End::Cut),
            Err(_) => break,
        }
    }
    watching.outcome()
}

/// What was heard so far.
struct Watching {
    prefix: String,
    confirmed: bool,
    changes: Vec<Change>,
    next: i64,
    end: Option<End>,
}

impl Watching {
    fn new(prefix: &str, from: i64) -> Watching {
        Watching { prefix: prefix.into(), confirmed: false, changes: Vec::new(), next: from, end: None }
    }

    /// Takes a line; an error says why it is none of a watch.
    fn line(&mut self, line: &[u8]) -> Result<(), String> {
        let strange = || {
            format!(
                "the gateway said {}",
                String::from_utf8_lossy(line).chars().take(200).collect::<String>()
            )
        };
        let said: Json = serde_json::from_slice(line).map_err(|_| strange())?;
        if said["error"].is_object() || said["error"].is_string() {
            self.end = Some(End::Cut);
            return Ok(());
        }
        let result = &said["result"];
        if !result["header"].is_object() {
            return Err(strange());
        }
        self.confirmed |= result["created"] == true;
        for event in result["events"].as_array().into_iter().flatten() {
            let change = change(event).ok_or_else(strange)?;
            // Whoever shows other keys than those asked for is not to be believed.
            if !change.key.as_text().is_some_and(|key| key.starts_with(&self.prefix)) {
                return Err(strange());
            }
            self.next = self.next.max(change.revision + 1);
            self.changes.push(change);
        }
        if result["canceled"] == true {
            let compacted = result["compact_revision"].as_str().and_then(|revision| revision.parse().ok());
            self.end = Some(compacted.map_or(End::Cut, |_| End::Compacted));
            self.next = compacted.map_or(self.next, |revision| self.next.max(revision));
        }
        Ok(())
    }

    fn outcome(self) -> Outcome<Response> {
        match self.end {
            // It may have been confirmed and cut at once; without a change that makes no difference.
            None | Some(End::Cut) if !self.confirmed => Outcome::not_done("the watch was not confirmed"),
            end => {
                let end = end.unwrap_or(End::Complete);
                Outcome::Ok(Response::Seen(Seen { changes: self.changes, next: self.next, end }))
            }
        }
    }
}

fn request(prefix: &str, from: i64) -> Json {
    let mut end = prefix.as_bytes().to_vec();
    // The first key that does not begin so; prefixes of ours end with no byte that cannot grow.
    if let Some(last) = end.last_mut() {
        *last += 1;
    }
    json!({ "create_request": {
        "key": words::bytes(prefix),
        "range_end": words::bytes(end),
        "start_revision": from.to_string(),
    }})
}

fn change(event: &Json) -> Option<Change> {
    let kv = &event["kv"];
    // What is empty or a zero is left out: the value "", the type PUT.
    let value = match event.get("type").and_then(Json::as_str) {
        Some("DELETE") => Value::Nil,
        None | Some("PUT") => words::value(&kv.get("value").map_or(Some(String::new()), words::decoded)?),
        Some(_) => return None,
    };
    let key = Value::str(&words::decoded(&kv["key"])?);
    Some(Change { revision: kv["mod_revision"].as_str()?.parse().ok()?, key, value })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(lines: &[&str]) -> Outcome<Response> {
        let mut watching = Watching::new("p/", 3);
        for line in lines {
            if let Err(strange) = watching.line(line.as_bytes()) {
                return Outcome::info(strange);
            }
        }
        watching.outcome()
    }

    const CREATED: &str = r#"{"result":{"header":{"revision":"9"},"created":true}}"#;

    fn seen(outcome: Outcome<Response>) -> Seen {
        match outcome {
            Outcome::Ok(Response::Seen(seen)) => seen,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn puts_and_deletes_are_changes_with_their_revisions() {
        let events = r#"{"result":{"header":{"revision":"9"},"events":[
            {"kv":{"key":"cC9h","mod_revision":"4","value":"NDI="}},
            {"kv":{"key":"cC9h","mod_revision":"5"}},
            {"type":"DELETE","kv":{"key":"cC9h","mod_revision":"7"}}]}}"#;
        let seen = seen(heard(&[CREATED, events]));
        let change = |revision, value| Change { revision, key: Value::str("p/a"), value };
        let changes = vec![change(4, Value::Int(42)), change(5, Value::str("")), change(7, Value::Nil)];
        assert_eq!(seen, Seen { changes, next: 8, end: End::Complete });
    }

    #[test]
    fn a_compacted_beginning_is_told_and_no_gap() {
        let line = r#"{"result":{"header":{"revision":"9"},"canceled":true,"compact_revision":"8"}}"#;
        assert_eq!(seen(heard(&[CREATED, line])), Seen { changes: vec![], next: 8, end: End::Compacted });
        let line = r#"{"result":{"header":{"revision":"9"},"canceled":true}}"#;
        assert_eq!(seen(heard(&[CREATED, line])).end, End::Cut);
    }

    #[test]
    fn what_was_never_confirmed_failed_and_what_is_no_watch_is_a_doubt() {
        assert!(matches!(heard(&[]), Outcome::Fail(_)));
        assert!(matches!(heard(&[r#"{"error":{"grpc_code":14}}"#]), Outcome::Fail(_)));
        for garbage in ["", "x", "{}", r#"{"result":{}}"#] {
            assert!(heard(&[CREATED, garbage]).is_info(), "{garbage}");
        }
        let foreign = r#"{"result":{"header":{},"events":[{"kv":{"key":"eC9h","mod_revision":"4"}}]}}"#;
        assert!(heard(&[CREATED, foreign]).is_info());
    }
}
