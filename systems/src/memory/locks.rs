//! Locks in memory: one holder each, and a token that grows with every grant. A lock ends with its holder.
//!
//! Leases never lapse here, for nothing ever fails to renew them.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::time::Duration;
use tokio::sync::Notify;

/// The locks of one map, shared by its clients.
#[derive(Default)]
pub(super) struct Locks {
    holders: RefCell<HashMap<String, u64>>,
    clients: Cell<u64>,
    tokens: Cell<i64>,
    released: Notify,
}

impl Locks {
    /// A name for another client.
    pub(super) fn client(&self) -> u64 {
        next(&self.clients)
    }

    /// Waits for the lock until the time is over; the token of the grant, if there is one.
    pub(super) async fn acquire(&self, key: &str, client: u64, wait: Duration) -> Option<i64> {
        let granted = async {
            loop {
                let released = self.released.notified();
                if let Some(token) = self.try_acquire(key, client) {
                    return token;
                }
                released.await;
            }
        };
        tokio::time::timeout(wait, granted).await.ok()
    }

    fn try_acquire(&self, key: &str, client: u64) -> Option<i64> {
        let mut holders = self.holders.borrow_mut();
        if holders.contains_key(key) {
            return None;
        }
        holders.insert(key.to_owned(), client);
        Some(next(&self.tokens))
    }

    /// Whether the client held the lock, which it holds no longer.
    pub(super) fn release(&self, key: &str, client: u64) -> bool {
        let mut holders = self.holders.borrow_mut();
        let held = holders.get(key) == Some(&client);
        if held {
            holders.remove(key);
            self.released.notify_waiters();
        }
        held
    }

    /// Ends whatever the client holds.
    pub(super) fn leave(&self, client: u64) {
        self.holders.borrow_mut().retain(|_, holder| *holder != client);
        self.released.notify_waiters();
    }
}

fn next<N: Copy + From<u8> + std::ops::Add<Output = N>>(cell: &Cell<N>) -> N {
    cell.set(cell.get() + N::from(1));
    cell.get()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime")
            .block_on(future)
    }

    #[test]
    fn a_lock_is_held_by_one_until_it_is_released_or_its_holder_leaves() {
        let (locks, moment) = (Locks::default(), Duration::from_millis(5));
        block_on(async {
            let (first, second) = (locks.client(), locks.client());
            assert_eq!(locks.acquire("a", first, moment).await, Some(1));
            assert_eq!(locks.acquire("a", second, moment).await, None, "it is held");
            assert!(!locks.release("a", second), "who does not hold it cannot release it");
            assert!(locks.release("a", first));
            assert_eq!(locks.acquire("a", second, moment).await, Some(2));
            locks.leave(second);
            assert_eq!(locks.acquire("a", first, moment).await, Some(3));
        });
    }

    #[test]
    fn who_waits_is_granted_the_lock_when_it_is_released() {
        let locks = Locks::default();
        block_on(async {
            let (first, second) = (locks.client(), locks.client());
            locks.acquire("a", first, Duration::ZERO).await.expect("it is free");
            let release = async {
                tokio::task::yield_now().await;
                locks.release("a", first)
            };
            let (granted, _) = tokio::join!(locks.acquire("a", second, Duration::from_secs(5)), release);
            assert_eq!(granted, Some(2));
        });
    }
}
