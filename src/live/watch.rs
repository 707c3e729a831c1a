//! Who leads, who died: what the log notes of a cluster without having caused it.

use super::cluster::LiveCluster;
use elenchus_core::process::NodeId;
use elenchus_core::world::Note;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

/// Takes what was noted.
pub type Noter = Box<dyn Fn(Note)>;

/// How often each node is asked whether it leads.
const INTERVAL: Duration = Duration::from_millis(100);

/// Asks again and again who leads; the cluster notes whatever is new.
pub async fn leaders(cluster: Rc<LiveCluster>) {
    loop {
        cluster.leaders().await;
        tokio::time::sleep(INTERVAL).await;
    }
}

/// Every new leader, noted once a term. Whoever asks who leads, a nemesis for one, brings it to light: a
/// leader that is killed at once would otherwise never be seen.
#[derive(Default)]
pub struct Leaders {
    terms: RefCell<BTreeMap<NodeId, u64>>,
    noter: RefCell<Option<Noter>>,
}

impl Leaders {
    /// Notes from now on, beginning with whoever leads.
    pub fn tell(&self, noter: Noter) {
        self.terms.borrow_mut().clear();
        *self.noter.borrow_mut() = Some(noter);
    }

    /// Takes an answer in.
    pub fn saw(&self, node: &NodeId, term: u64) {
        let noter = self.noter.borrow();
        if let Some(noter) = noter.as_ref()
            && self.terms.borrow_mut().insert(node.clone(), term) != Some(term)
        {
            noter(Note { f: "leader", fields: vec![("node", node.to_string()), ("term", term.to_string())] });
        }
    }
}

/// Notes every node that ended though nobody killed it.
pub async fn exits(cluster: Rc<LiveCluster>, note: Noter) {
    while let Some((node, status)) = cluster.unexpected_exit().await {
        let log = cluster.log(&node).display().to_string();
        note(Note { f: "exit", fields: vec![("node", node.to_string()), ("status", status), ("log", log)] });
    }
}
