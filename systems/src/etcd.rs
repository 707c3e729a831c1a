//! etcd v3 over its JSON gateway: <https://etcd.io/docs/v3.4/dev-guide/api_grpc_gateway/>.
//!
//! Keys and values travel in base64; absent numbers are zeros that the gateway leaves out. Each request is sent
//! once, over a connection of its own client, to its own node. What is certain is listed in `certain`: all else
//! is a doubt.
//!
//! | module | its part |
//! |---|---|
//! | `words` | requests and answers of single keys |
//! | `txn` | several of them at once |
//! | `locks` | leases and locks |
//! | `watch` | one bounded watch |

mod locks;
mod txn;
mod watch;
mod words;

use crate::http::{Connection, NoAnswer};
use elenchus_core::LocalFuture;
use elenchus_core::client::{Capability, Client, Connector, Request, Response};
use elenchus_core::outcome::{Cause, Failure, Outcome};
use elenchus_core::process::{NodeId, Process};
use locks::Locks;
use serde_json::Value as Json;

/// What its clients offer.
pub const CAPABILITIES: &[Capability] = &[
    Capability::Kv,
    Capability::Peek,
    Capability::Txn,
    Capability::Lock,
    Capability::Fencing,
    Capability::Watch,
];

/// Opens clients of an etcd cluster.
#[derive(Clone, Debug)]
pub struct EtcdConnector {
    nodes: Vec<(NodeId, String)>,
    serializable: bool,
}

impl EtcdConnector {
    /// A connector to nodes whose gateways listen at these `host:port`. `serializable` reads are answered by the
    /// node asked, however stale it is.
    pub fn new(nodes: Vec<(NodeId, String)>, serializable: bool) -> EtcdConnector {
        EtcdConnector { nodes, serializable }
    }
}

impl Connector for EtcdConnector {
    fn capabilities(&self) -> &[Capability] {
        CAPABILITIES
    }

    fn connect<'a>(
        &'a self,
        node: &'a NodeId,
        _process: Process,
    ) -> LocalFuture<'a, Result<Box<dyn Client>, Cause>> {
        Box::pin(async move {
            let known = self.nodes.iter().find(|(name, _)| name == node);
            let (_, address) = known.ok_or_else(|| Cause::from(format!("{node} is no node here")))?;
            let connection = Connection::open(address).await?;
            let (address, serializable) = (address.clone(), self.serializable);
            let locks = Locks::new(&address);
            Ok(Box::new(EtcdClient { address, connection, serializable, locks }) as Box<dyn Client>)
        })
    }
}

struct EtcdClient {
    address: String,
    connection: Connection,
    serializable: bool,
    locks: Locks,
}

impl Client for EtcdClient {
    fn call<'a>(&'a mut self, request: &'a Request) -> LocalFuture<'a, Outcome<Response>> {
        Box::pin(async move {
            match request {
                Request::Lock { key, ttl, wait } => self.locks.lock(key, *ttl, *wait).await,
                Request::Unlock { key } => self.locks.unlock(key).await,
                Request::Watch { prefix, from, changes_max, time_max } => {
                    watch::watch(&self.address, prefix, *from, *changes_max, *time_max).await
                }
                request => self.on_keys(request).await,
            }
        })
    }
}

impl EtcdClient {
    async fn on_keys(&mut self, request: &Request) -> Outcome<Response> {
        let call = match words::call(request, self.serializable) {
            Ok(call) => call,
            Err(why) => return Outcome::not_done(why),
        };
        // A node that died since the last answer took its connection along; nothing of this request was sent yet.
        if self.connection.is_closed() {
            match Connection::open(&self.address).await {
                Ok(connection) => self.connection = connection,
                Err(error) => return Outcome::not_done(format!("no connection: {error}")),
            }
        }
        match post(&mut self.connection, call.path, &call.body).await {
            Ok(body) => words::answered(request, &body),
            Err(Trouble::Unsent(why)) => Outcome::not_done(why),
            Err(Trouble::Doubt(why)) => Outcome::info(why),
            Err(Trouble::Declined { status, said }) => declined(request, status, &said),
        }
    }
}

/// Why the gateway gave no answer that is a success.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    /// Nothing was sent.
    #[error("{0}")]
    Unsent(String),
    /// Whether etcd acted on it is unknown.
    #[error("{0}")]
    Doubt(String),
    /// It answered with an error.
    #[error("status {status}: {said}")]
    Declined { status: u16, said: String },
}

/// One call over a connection of its own.
async fn ask(address: &str, path: &str, body: &Json) -> Result<Json, Trouble> {
    let opened = Connection::open(address).await;
    let mut connection = opened.map_err(|error| Trouble::Unsent(format!("no connection: {error}")))?;
    post(&mut connection, path, body).await
}

async fn post(connection: &mut Connection, path: &str, body: &Json) -> Result<Json, Trouble> {
    let answer = connection.post(path, body.to_string()).await.map_err(|error| match error {
        NoAnswer::Unsent(why) => Trouble::Unsent(why),
        NoAnswer::Doubt(why) => Trouble::Doubt(why),
    })?;
    let Ok(body) = serde_json::from_slice::<Json>(&answer.body) else {
        return Err(Trouble::Doubt(format!("status {}, and no JSON", answer.status)));
    };
    match answer.status {
        200 => Ok(body),
        status => {
            let said = body["error"].as_str().or(body["message"].as_str()).unwrap_or("no reason given");
            Err(Trouble::Declined { status, said: said.into() })
        }
    }
}

/// An answer that is no success.
fn declined(request: &Request, status: u16, said: &str) -> Outcome<Response> {
    let why = format!("status {status}: {said}");
    match changes_nothing(request) || certain(said) {
        true => Outcome::Fail(Failure::NotDone(why.into())),
        false => Outcome::info(why),
    }
}

/// A read that failed has done nothing, whatever the reason.
fn changes_nothing(request: &Request) -> bool {
    match request {
        Request::Get { .. } | Request::Peek { .. } => true,
        Request::Txn(requests) => txn::only_reads(requests),
        _ => false,
    }
}

/// Whether etcd refuses so before it proposes anything (`etcdserver/api/v3rpc/rpctypes/error.go`, v3.4). A timeout or
/// a leader that changed is not among them: the proposal may live on.
fn certain(said: &str) -> bool {
    const CERTAIN: [&str; 7] = [
        "etcdserver: too many requests",
        "etcdserver: request is too large",
        "etcdserver: mvcc: database space exceeded",
        "etcdserver: key is not provided",
        "etcdserver: duplicate key given in txn request",
        "etcdserver: too many operations in txn request",
        "etcdserver: permission denied",
    ];
    CERTAIN.iter().any(|known| said.contains(known))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proposal_that_may_live_on_is_a_doubt() {
        let put = Request::Put { key: "k".into(), value: elenchus_core::value::Value::Int(1) };
        for said in
            ["etcdserver: request timed out", "etcdserver: leader changed", "etcdserver: no leader", "?"]
        {
            assert!(declined(&put, 503, said).is_info(), "{said}");
        }
        let full = declined(&put, 429, "etcdserver: mvcc: database space exceeded");
        assert!(matches!(full, Outcome::Fail(Failure::NotDone(_))));
    }

    #[test]
    fn a_read_that_failed_did_nothing() {
        let get = Request::Get { key: "k".into() };
        let put = Request::Put { key: "k".into(), value: elenchus_core::value::Value::Int(1) };
        let failed = |request: &Request| declined(request, 503, "etcdserver: request timed out");
        for read in [get.clone(), Request::Txn(vec![get.clone(), get.clone()])] {
            assert!(matches!(failed(&read), Outcome::Fail(Failure::NotDone(_))), "{read:?}");
        }
        assert!(failed(&Request::Txn(vec![get, put])).is_info());
    }
}
