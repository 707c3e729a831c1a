//! Opens clients of a bundled cluster.

use super::client::{BundledClient, Target};
use elenchus_core::LocalFuture;
use elenchus_core::client::{Capability, Client, Connector};
use elenchus_core::outcome::Cause;
use elenchus_core::process::{NodeId, Process};
use std::net::SocketAddr;
use std::time::Duration;

/// What its clients offer.
pub const CAPABILITIES: &[Capability] = &[Capability::Kv, Capability::Append, Capability::Txn];

/// How long an attempt to connect may take.
const CONNECT_MAX: Duration = Duration::from_secs(1);

/// How long an operation may take unless told otherwise. Well before a runner's own deadline, so that the
/// client itself can say what is certain.
const OPERATION_MAX: Duration = Duration::from_secs(5);

/// See the module.
#[derive(Clone, Debug)]
pub struct BundledConnector {
    cluster: u64,
    nodes: Vec<(NodeId, SocketAddr)>,
    connect_max: Duration,
    operation_max: Duration,
}

impl BundledConnector {
    /// A connector to these nodes of this cluster.
    pub fn new(cluster: u64, nodes: Vec<(NodeId, SocketAddr)>) -> BundledConnector {
        BundledConnector { cluster, nodes, connect_max: CONNECT_MAX, operation_max: OPERATION_MAX }
    }

    /// The same, but operations end after `limit` at the latest.
    pub fn with_operation_max(self, limit: Duration) -> BundledConnector {
        BundledConnector { operation_max: limit, ..self }
    }

    /// Where a client of this node would call.
    pub fn target(&self, node: &NodeId) -> Option<Target> {
        let &(_, address) = self.nodes.iter().find(|(name, _)| name == node)?;
        let BundledConnector { cluster, connect_max, operation_max, .. } = *self;
        Some(Target { address, cluster, connect_max, operation_max })
    }
}

impl Connector for BundledConnector {
    fn capabilities(&self) -> &[Capability] {
        CAPABILITIES
    }

    fn connect<'a>(
        &'a self,
        node: &'a NodeId,
        _process: Process,
    ) -> LocalFuture<'a, Result<Box<dyn Client>, Cause>> {
        Box::pin(async move {
            let target = self.target(node).ok_or_else(|| Cause::from(format!("{node} is no node here")))?;
            let client = BundledClient::connect(target).await?;
            Ok(Box::new(client) as Box<dyn Client>)
        })
    }
}
