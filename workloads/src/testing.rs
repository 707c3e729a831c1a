//! A store for tests of workloads: one map, and somebody else who writes to it at a chosen moment.

use elenchus_core::LocalFuture;
use elenchus_core::client::{Client, Request, Response};
use elenchus_core::outcome::{Failure, Outcome};
use elenchus_core::value::Value;
use std::collections::BTreeMap;

/// The store, and the only connection to it.
#[derive(Default)]
pub(crate) struct Store {
    pub map: BTreeMap<String, Value>,
    /// After so many requests somebody else sets this key to this value.
    pub meanwhile: Option<(u32, String, Value)>,
    /// How many requests there were.
    pub asked: u32,
}

impl Store {
    fn held(&self, key: &str) -> Value {
        self.map.get(key).cloned().unwrap_or(Value::Nil)
    }

    fn apply(&mut self, request: &Request) -> Result<Response, Value> {
        match request {
            Request::Get { key } => return Ok(Response::Value(self.held(key))),
            Request::Put { key, value } => {
                self.map.insert(key.clone(), value.clone());
            }
            Request::Cas { key, from, to } => match self.held(key) {
                saw if saw == *from => {
                    self.map.insert(key.clone(), to.clone());
                }
                saw => return Err(saw),
            },
            Request::Txn(requests) => {
                let before = self.map.clone();
                let done: Result<Vec<Response>, Value> =
                    requests.iter().map(|request| self.apply(request)).collect();
                return done.map(Response::Txn).inspect_err(|_| self.map = before);
            }
            other => panic!("no workload that is tested asks for {other:?}"),
        }
        Ok(Response::Done)
    }
}

impl Client for Store {
    fn call<'a>(&'a mut self, request: &'a Request) -> LocalFuture<'a, Outcome<Response>> {
        if let Some((_, key, value)) = self.meanwhile.take_if(|(after, ..)| *after == self.asked) {
            self.map.insert(key, value);
        }
        self.asked += 1;
        let outcome = match self.apply(request) {
            Ok(response) => Outcome::Ok(response),
            Err(saw) => Outcome::Fail(Failure::Refused(Some(Response::Value(saw)))),
        };
        Box::pin(std::future::ready(outcome))
    }
}

/// Runs what waits for nothing but this store.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    match future.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop())) {
        std::task::Poll::Ready(value) => value,
        std::task::Poll::Pending => panic!("the store answers at once"),
    }
}
