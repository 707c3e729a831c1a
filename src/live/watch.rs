//! Who leads, who died: what the log notes of a cluster without having caused it.

use super::cluster::LiveCluster;
use elenchus_core::world::Note;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

/// Takes what was noted.
pub type Noter = Box<dyn Fn(Note)>;

/// How often each node is asked whether it leads.
const INTERVAL: Duration = Duration::from_millis(200);

/// Notes every new leader: the node and its term, once.
pub async fn leaders(cluster: Rc<LiveCluster>, note: Noter) {
    let mut terms: BTreeMap<String, u64> = BTreeMap::new();
    loop {
        for (node, term) in cluster.leaders().await {
            if terms.insert(node.to_string(), term) != Some(term) {
                let fields = vec![("node", node.to_string()), ("term", term.to_string())];
                note(Note { f: "leader", fields });
            }
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

/// Notes every node that ended though nobody killed it.
pub async fn exits(cluster: Rc<LiveCluster>, note: Noter) {
    while let Some((node, status)) = cluster.unexpected_exit().await {
        let log = cluster.log(&node).display().to_string();
        note(Note { f: "exit", fields: vec![("node", node.to_string()), ("status", status), ("log", log)] });
    }
}
