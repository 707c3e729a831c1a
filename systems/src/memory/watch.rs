//! What was published, in its order, for those who watch. Other writes are not kept: they would fill the memory.

use elenchus_core::client::{Request, Response};
use elenchus_core::outcome::Outcome;
use elenchus_core::value::Value;
use elenchus_core::watch::{Change, End, Seen};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

/// All that was published; the first has revision 1.
#[derive(Clone, Default)]
pub(super) struct Published(Rc<RefCell<Vec<Change>>>);

impl Published {
    /// Takes note of a publication that was carried out, and answers it.
    pub(super) fn note(&self, request: &Request) -> Option<Response> {
        let Request::Publish { key, value } = request else { return None };
        let mut changes = self.0.borrow_mut();
        let revision = changes.len() as i64 + 1;
        changes.push(Change { revision, key: Value::str(key), value: value.clone() });
        Some(Response::Revision(Some(revision)))
    }

    /// Shows what there is, or what there is once the time is over.
    pub(super) async fn watch(
        &self,
        prefix: &str,
        from: i64,
        changes_max: usize,
        time_max: Duration,
    ) -> Outcome<Response> {
        let mut seen = self.since(prefix, from, changes_max);
        if seen.changes.is_empty() {
            tokio::time::sleep(time_max).await;
            seen = self.since(prefix, from, changes_max);
        }
        Outcome::Ok(Response::Seen(seen))
    }

    fn since(&self, prefix: &str, from: i64, changes_max: usize) -> Seen {
        let changes = self.0.borrow();
        let is_ours = |change: &&Change| {
            change.revision >= from && change.key.as_text().is_some_and(|key| key.starts_with(prefix))
        };
        let changes: Vec<Change> = changes.iter().filter(is_ours).take(changes_max).cloned().collect();
        let next = changes.last().map_or(from, |last| last.revision + 1);
        Seen { changes, next, end: End::Complete }
    }
}
