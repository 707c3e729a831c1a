//! Locks over the gateway's v3lock service, each under a lease of its own that this client keeps alive.
//!
//! The lock is a key that bears the lease; etcd grants it once no older key of that lock is left, and removes the
//! key with the lease. The keep-alive runs in the background, through the client's own node, until the lock is released
//! or the client is dropped; from then on the lease lapses within its time.
//!
//! A lock call that is given up may still be carried out: its bytes wait in a paused node, its key waits in the queue.
//! Nobody holds the lock by that, since nobody sees the grant, but others wait for it. Revoking the lease ends both: the
//! key goes, and a call that is carried out later is refused for want of its lease. Once etcd has confirmed that, the
//! acquire has certainly failed; until then it is in doubt, and the lease's time bounds for how long others wait.
//!
//! A grant is told as etcd tells it, even where its key is gone by then (etcd 3.4 grants a lock to who waited longer than
//! its lease lived): then it bears no token.

use super::words::bytes;
use super::{Trouble, ask};
use elenchus_core::client::Response;
use elenchus_core::outcome::Outcome;
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, timeout};

/// How long the questions after a grant, and after a wait that was given up, may take.
const AFTERWARDS: Duration = Duration::from_millis(500);

/// The locks that one client holds.
pub(super) struct Locks {
    address: String,
    held: BTreeMap<String, Held>,
}

/// A lock that is held: its key, as the gateway writes it, and the lease.
struct Held {
    key: String,
    lease: Lease,
}

/// A lease that is kept alive until it is dropped.
struct Lease {
    id: String,
    keeper: JoinHandle<()>,
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}

impl Locks {
    /// None held, through the node at this address.
    pub(super) fn new(address: &str) -> Locks {
        Locks { address: address.into(), held: BTreeMap::new() }
    }

    /// Waits for the lock for so long.
    pub(super) async fn lock(&mut self, key: &str, ttl: Duration, wait: Duration) -> Outcome<Response> {
        if self.held.contains_key(key) {
            return Outcome::not_done("this client holds the lock already");
        }
        let began = tokio::time::Instant::now();
        // A lease that may have been granted all the same holds no lock and lapses.
        let lease = match timeout(wait, self.grant(ttl)).await {
            Ok(Ok(lease)) => lease,
            Ok(Err(trouble)) => return Outcome::not_done(format!("no lease was granted: {trouble}")),
            Err(_) => return Outcome::not_done(format!("no lease was granted within {wait:?}")),
        };
        let asked = json!({ "name": bytes(key), "lease": lease.id });
        let call = ask(&self.address, "/v3/lock/lock", &asked);
        let why = match timeout(wait.saturating_sub(began.elapsed()), call).await {
            Ok(Ok(body)) => match body["key"].as_str() {
                Some(granted) => return self.granted(key, granted.to_owned(), lease).await,
                None => format!("the gateway answered {body}"),
            },
            Ok(Err(Trouble::Unsent(why))) => return Outcome::not_done(why),
            Ok(Err(trouble)) => trouble.to_string(),
            Err(_) => format!("the lock was not granted within {wait:?}"),
        };
        match timeout(AFTERWARDS, self.revoke(&lease)).await {
            Ok(Ok(())) => Outcome::not_done(format!("{why}; its lease is revoked")),
            Ok(Err(trouble)) => Outcome::info(format!("{why}; its lease was not revoked: {trouble}")),
            Err(_) => Outcome::info(format!("{why}; its lease was not revoked in time")),
        }
    }

    /// Releases the lock. What the request does not end, the lease ends, for nobody keeps it alive any more.
    pub(super) async fn unlock(&mut self, key: &str) -> Outcome<Response> {
        let Some(held) = self.held.remove(key) else {
            return Outcome::not_done("this client does not hold the lock");
        };
        drop(held.lease);
        match ask(&self.address, "/v3/lock/unlock", &json!({ "key": held.key })).await {
            Ok(_) => Outcome::Ok(Response::Done),
            Err(trouble) => Outcome::info(format!("{trouble}; the lock ends with its lease")),
        }
    }

    async fn granted(&mut self, name: &str, key: String, lease: Lease) -> Outcome<Response> {
        let token = timeout(AFTERWARDS, self.token(&key)).await.ok().flatten();
        self.held.insert(name.to_owned(), Held { key, lease });
        Outcome::Ok(Response::Granted(token))
    }

    /// The revision that created the lock's key: no two grants share one, and a lock asked for later has a larger one.
    async fn token(&self, key: &str) -> Option<i64> {
        let found = ask(&self.address, "/v3/kv/range", &json!({ "key": key })).await.ok()?;
        number(&found["kvs"][0]["create_revision"])
    }

    async fn grant(&self, ttl: Duration) -> Result<Lease, Trouble> {
        let seconds = ttl.as_millis().div_ceil(1000).max(1);
        let granted = ask(&self.address, "/v3/lease/grant", &json!({ "TTL": seconds.to_string() })).await?;
        let (id, ttl) = (granted["ID"].as_str(), number(&granted["TTL"]).and_then(|n| u64::try_from(n).ok()));
        let (Some(id), Some(ttl @ 1..)) = (id, ttl) else {
            return Err(Trouble::Doubt(format!("the gateway answered {granted}")));
        };
        let every = Duration::from_secs(ttl) / 3;
        let keeper = tokio::task::spawn_local(keep_alive(self.address.clone(), id.to_owned(), every));
        Ok(Lease { id: id.to_owned(), keeper })
    }

    /// Ends the lease; that there is none any more is just as well.
    async fn revoke(&self, lease: &Lease) -> Result<(), Trouble> {
        match ask(&self.address, "/v3/lease/revoke", &json!({ "ID": lease.id })).await {
            Ok(_) => Ok(()),
            Err(Trouble::Declined { said, .. }) if said.contains("requested lease not found") => Ok(()),
            Err(trouble) => Err(trouble),
        }
    }
}

/// Renews a lease until it is gone. What fails is tried again: only the lease's own end is one.
async fn keep_alive(address: String, id: String, every: Duration) {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks.tick().await;
    loop {
        ticks.tick().await;
        let body = json!({ "ID": id });
        if let Ok(Ok(renewed)) = timeout(every, ask(&address, "/v3/lease/keepalive", &body)).await
            && !is_alive(&renewed)
        {
            return;
        }
    }
}

/// Whether a renewal says that the lease lives on: a lease that is gone has no time left.
fn is_alive(renewed: &Json) -> bool {
    number(&renewed["result"]["TTL"]).is_some_and(|ttl| ttl > 0)
}

/// Numbers of 64 bits are texts in the gateway's answers.
fn number(json: &Json) -> Option<i64> {
    json.as_str()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_that_is_gone_has_no_time_left() {
        assert!(is_alive(&json!({ "result": { "ID": "7", "TTL": "2" } })));
        for gone in [json!({ "result": { "ID": "7" } }), json!({ "result": { "TTL": "0" } }), json!({})] {
            assert!(!is_alive(&gone), "{gone}");
        }
    }
}
