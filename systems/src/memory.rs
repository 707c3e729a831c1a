//! A linearizable map in memory: the system that never fails.
//!
//! It runs the whole harness without a cluster, in tests and benchmarks. All requests are carried out at
//! once on the runner's own thread, so every history of it is linearizable.

mod locks;
mod watch;

use elenchus_core::LocalFuture;
use elenchus_core::client::{Capability, Client, Connector, Request, Response};
use elenchus_core::outcome::{Cause, Failure, Outcome};
use elenchus_core::process::{NodeId, Process};
use elenchus_core::value::Value;
use locks::Locks;
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

/// What all clients share.
type Map = HashMap<String, Value>;

/// What its clients offer.
pub const CAPABILITIES: &[Capability] = &[
    Capability::Kv,
    Capability::Append,
    Capability::Txn,
    Capability::Lock,
    Capability::Fencing,
    Capability::Watch,
];

/// Opens clients of one map.
#[derive(Clone, Default)]
pub struct MemoryConnector {
    map: Rc<RefCell<Map>>,
    locks: Rc<Locks>,
    published: watch::Published,
}

struct MemoryClient {
    map: Rc<RefCell<Map>>,
    locks: Rc<Locks>,
    name: u64,
    published: watch::Published,
}

impl Connector for MemoryConnector {
    fn capabilities(&self) -> &[Capability] {
        CAPABILITIES
    }

    fn connect<'a>(
        &'a self,
        _node: &'a NodeId,
        _process: Process,
    ) -> LocalFuture<'a, Result<Box<dyn Client>, Cause>> {
        let client = MemoryClient {
            map: self.map.clone(),
            locks: self.locks.clone(),
            name: self.locks.client(),
            published: self.published.clone(),
        };
        Box::pin(async move { Ok(Box::new(client) as Box<dyn Client>) })
    }
}

impl Client for MemoryClient {
    fn call<'a>(&'a mut self, request: &'a Request) -> LocalFuture<'a, Outcome<Response>> {
        Box::pin(async move {
            match request {
                Request::Lock { key, wait, .. } => match self.locks.acquire(key, self.name, *wait).await {
                    Some(token) => Outcome::Ok(Response::Granted(Some(token))),
                    None => Outcome::not_done(format!("the lock was not granted within {wait:?}")),
                },
                Request::Unlock { key } => match self.locks.release(key, self.name) {
                    true => Outcome::Ok(Response::Done),
                    false => Outcome::not_done("this client does not hold the lock"),
                },
                Request::Watch { prefix, from, changes_max, time_max } => {
                    self.published.watch(prefix, *from, *changes_max, *time_max).await
                }
                Request::Txn(requests) if !requests.iter().all(is_of_keys) => {
                    Outcome::not_done("a transaction holds requests of single keys only")
                }
                request => match apply(&mut self.map.borrow_mut(), request) {
                    Ok(response) => Outcome::Ok(self.published.note(request).unwrap_or(response)),
                    Err(saw) => Outcome::Fail(Failure::Refused(Some(Response::Value(saw)))),
                },
            }
        })
    }
}

impl Drop for MemoryClient {
    fn drop(&mut self) {
        self.locks.leave(self.name);
    }
}

/// Whether a transaction may hold it.
fn is_of_keys(request: &Request) -> bool {
    key(request).is_some()
}

/// Carries one request on keys out; refused, it says what the key held and leaves all as it was.
fn apply(map: &mut Map, request: &Request) -> Result<Response, Value> {
    let held = |map: &Map, key: &str| map.get(key).cloned().unwrap_or(Value::Nil);
    match request {
        Request::Get { key } | Request::Peek { key } => return Ok(Response::Value(held(map, key))),
        Request::Put { key, value } | Request::Publish { key, value } => put(map, key, value.clone()),
        Request::Delete { key } => put(map, key, Value::Nil),
        Request::Cas { key, from, to } => match held(map, key) {
            saw if saw == *from => put(map, key, to.clone()),
            saw => return Err(saw),
        },
        Request::Append { key, text } => match held(map, key) {
            Value::Nil => put(map, key, Value::str(text)),
            Value::Str(old) => put(map, key, Value::str(&format!("{old}{text}"))),
            saw => return Err(saw),
        },
        Request::Txn(requests) => return transaction(map, requests),
        Request::Lock { .. } | Request::Unlock { .. } | Request::Watch { .. } => {
            unreachable!("whoever applies requests has told those on keys from the others")
        }
    }
    Ok(Response::Done)
}

/// All or nothing: the transaction works on a copy of the keys that it names.
fn transaction(map: &mut Map, requests: &[Request]) -> Result<Response, Value> {
    let mut before = Map::new();
    for key in requests.iter().filter_map(key) {
        before.insert(key.clone(), map.get(key).cloned().unwrap_or(Value::Nil));
    }
    let done: Result<Vec<Response>, Value> = requests.iter().map(|request| apply(map, request)).collect();
    if done.is_err() {
        for (key, value) in before {
            put(map, &key, value);
        }
    }
    done.map(Response::Txn)
}

fn put(map: &mut Map, key: &str, value: Value) {
    if value.is_nil() {
        map.remove(key);
    } else if let Some(held) = map.get_mut(key) {
        *held = value;
    } else {
        map.insert(key.to_owned(), value);
    }
}

fn key(request: &Request) -> Option<&String> {
    match request {
        Request::Get { key }
        | Request::Peek { key }
        | Request::Put { key, .. }
        | Request::Cas { key, .. }
        | Request::Append { key, .. }
        | Request::Delete { key } => Some(key),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put_request(key: &str, n: i64) -> Request {
        Request::Put { key: key.into(), value: Value::Int(n) }
    }

    fn cas(key: &str, from: i64, to: i64) -> Request {
        Request::Cas { key: key.into(), from: Value::Int(from), to: Value::Int(to) }
    }

    fn get(map: &mut Map, key: &str) -> Value {
        match apply(map, &Request::Get { key: key.into() }) {
            Ok(Response::Value(value)) => value,
            other => panic!("a get answered {other:?}"),
        }
    }

    #[test]
    fn a_refused_cas_says_what_it_saw_and_changes_nothing() {
        let mut map = Map::new();
        assert_eq!(apply(&mut map, &put_request("a", 1)), Ok(Response::Done));
        assert_eq!(apply(&mut map, &cas("a", 2, 3)), Err(Value::Int(1)));
        assert_eq!(get(&mut map, "a"), Value::Int(1));
        assert_eq!(get(&mut map, "b"), Value::Nil);
    }

    #[test]
    fn a_transaction_refused_at_its_end_leaves_nothing_of_its_beginning() {
        let mut map = Map::new();
        let txn = Request::Txn(vec![put_request("a", 1), put_request("b", 2), cas("a", 9, 9)]);
        assert_eq!(apply(&mut map, &txn), Err(Value::Int(1)));
        assert!(map.is_empty());
    }
}
