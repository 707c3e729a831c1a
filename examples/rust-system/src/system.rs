//! The adapter: how a node is started, when it is ready, who leads. It starts nothing itself; the trial does.

use crate::client::ShelfConnector;
use elenchus::registry::Site;
use elenchus_core::LocalFuture;
use elenchus_core::client::Connector;
use elenchus_core::outcome::Cause;
use elenchus_core::process::NodeId;
use elenchus_core::system::{Assumptions, Leadership, Primaries, Spawn, System};
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;

/// The first argument of this program when it is a node.
pub const NODE: &str = "shelf-node";

/// A store of our own on the nodes of one trial.
pub struct Shelf {
    spawns: BTreeMap<NodeId, Spawn>,
    connector: ShelfConnector,
}

/// The store as it should be.
pub fn shelf(site: &Site<'_>) -> Result<Rc<dyn System>, String> {
    Shelf::on(site, true).map(|shelf| Rc::new(shelf) as Rc<dyn System>)
}

/// The store with its bug: what was acknowledged dies with the first node.
pub fn forgetful(site: &Site<'_>) -> Result<Rc<dyn System>, String> {
    Shelf::on(site, false).map(|shelf| Rc::new(shelf) as Rc<dyn System>)
}

impl Shelf {
    fn on(site: &Site<'_>, keeps: bool) -> Result<Shelf, String> {
        let first = site.nodes().first().ok_or("there is no node")?;
        let mut spawns = BTreeMap::new();
        for node in site.nodes() {
            let data = site.data(node)?;
            // Only through this address can the link between the two be cut.
            let onward = if node == first { "-".to_owned() } else { site.peer(node, first).to_string() };
            let log = if keeps { text(data.join("log"))? } else { "-".to_owned() };
            let argv = vec![site.program()?, NODE.into(), site.address(node).to_string(), onward, log];
            spawns.insert(node.clone(), Spawn { argv, env: Vec::new(), cwd: Some(data), user: None });
        }
        let addresses = site.nodes().iter().map(|node| (node.clone(), site.address(node))).collect();
        Ok(Shelf { spawns, connector: ShelfConnector::new(addresses) })
    }

    async fn role(&self, node: &NodeId) -> Result<Json, Cause> {
        let asked = async { self.connector.open(node).await?.ask(&json!({ "op": "role" })).await };
        asked.await.map_err(|error| Cause::from(error.to_string()))
    }
}

fn text(path: PathBuf) -> Result<String, String> {
    path.into_os_string().into_string().map_err(|path| format!("{path:?} is no text"))
}

impl System for Shelf {
    fn name(&self) -> &'static str {
        "shelf"
    }

    fn assumptions(&self) -> Assumptions {
        let lines = [
            "storage is durable: what was synced survives a crash",
            "the first node answers, or nobody does",
        ];
        Assumptions { lines: lines.map(str::to_owned).into() }
    }

    fn spawn(&self, node: &NodeId) -> Spawn {
        self.spawns[node].clone()
    }

    fn ready<'a>(&'a self, node: &'a NodeId) -> LocalFuture<'a, Result<(), Cause>> {
        Box::pin(async move { self.role(node).await.map(drop) })
    }

    fn connector(&self) -> &dyn Connector {
        &self.connector
    }

    fn primaries(&self) -> Option<&dyn Primaries> {
        Some(self)
    }
}

impl Primaries for Shelf {
    fn leads<'a>(&'a self, node: &'a NodeId) -> LocalFuture<'a, Result<Leadership, Cause>> {
        Box::pin(async move {
            let leads = self.role(node).await?["leads"] == true;
            Ok(Leadership { leads, term: 1 })
        })
    }
}
