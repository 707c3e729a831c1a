//! etcd v3 over its JSON gateway: <https://etcd.io/docs/v3.4/dev-guide/api_grpc_gateway/>.
//!
//! Keys and values travel in base64; absent numbers are zeros that the gateway leaves out. Each request is sent
//! once, over a connection of its own client, to its own node. What is certain is listed in `certain`: all else
//! is a doubt.

mod words;

use crate::http::{Connection, NoAnswer};
use elenchus_core::LocalFuture;
use elenchus_core::client::{Capability, Client, Connector, Request, Response};
use elenchus_core::outcome::{Cause, Failure, Outcome};
use elenchus_core::process::{NodeId, Process};
use serde_json::Value as Json;

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
        &[Capability::Kv]
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
            let client = EtcdClient { address: address.clone(), connection, serializable: self.serializable };
            Ok(Box::new(client) as Box<dyn Client>)
        })
    }
}

struct EtcdClient {
    address: String,
    connection: Connection,
    serializable: bool,
}

impl Client for EtcdClient {
    fn call<'a>(&'a mut self, request: &'a Request) -> LocalFuture<'a, Outcome<Response>> {
        Box::pin(async move {
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
            let answer = match self.connection.post(call.path, call.body.to_string()).await {
                Ok(answer) => answer,
                Err(NoAnswer::Unsent(why)) => return Outcome::not_done(why),
                Err(NoAnswer::Doubt(why)) => return Outcome::info(why),
            };
            let Ok(body) = serde_json::from_slice::<Json>(&answer.body) else {
                return Outcome::info(format!("status {}, and no JSON", answer.status));
            };
            match answer.status {
                200 => words::answered(request, &body),
                status => declined(request, status, &body),
            }
        })
    }
}

/// An answer that is no success.
fn declined(request: &Request, status: u16, body: &Json) -> Outcome<Response> {
    let said = body["error"].as_str().or(body["message"].as_str()).unwrap_or("no reason given");
    let why = format!("status {status}: {said}");
    match changes_nothing(request) || certain(said) {
        true => Outcome::Fail(Failure::NotDone(why.into())),
        false => Outcome::info(why),
    }
}

/// A read that failed has done nothing, whatever the reason.
fn changes_nothing(request: &Request) -> bool {
    matches!(request, Request::Get { .. })
}

/// Whether etcd refuses so before it proposes anything (`etcdserver/api/v3rpc/rpctypes/error.go`, v3.4). A timeout or
/// a leader that changed is not among them: the proposal may live on.
fn certain(said: &str) -> bool {
    const CERTAIN: [&str; 6] = [
        "etcdserver: too many requests",
        "etcdserver: request is too large",
        "etcdserver: mvcc: database space exceeded",
        "etcdserver: key is not provided",
        "etcdserver: duplicate key given in txn request",
        "etcdserver: permission denied",
    ];
    CERTAIN.iter().any(|known| said.contains(known))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_proposal_that_may_live_on_is_a_doubt() {
        let put = Request::Put { key: "k".into(), value: elenchus_core::value::Value::Int(1) };
        for said in
            ["etcdserver: request timed out", "etcdserver: leader changed", "etcdserver: no leader", "?"]
        {
            assert!(declined(&put, 503, &json!({"error": said})).is_info(), "{said}");
        }
        let full = declined(&put, 429, &json!({"error": "etcdserver: mvcc: database space exceeded"}));
        assert!(matches!(full, Outcome::Fail(Failure::NotDone(_))));
    }

    #[test]
    fn a_read_that_failed_did_nothing() {
        let get = Request::Get { key: "k".into() };
        let outcome = declined(&get, 503, &json!({"error": "etcdserver: request timed out"}));
        assert!(matches!(outcome, Outcome::Fail(Failure::NotDone(_))));
    }
}
