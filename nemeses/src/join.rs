//! Waits for many futures at once.

use elenchus_core::LocalFuture;
use std::future::poll_fn;
use std::task::Poll;

/// The answers of all, in their order, once all are there. One that hangs holds none of the others up.
pub(crate) async fn join_all<T>(mut futures: Vec<LocalFuture<'_, T>>) -> Vec<T> {
    let mut answers: Vec<Option<T>> = futures.iter().map(|_| None).collect();
    poll_fn(move |waker| {
        for (future, answer) in futures.iter_mut().zip(&mut answers) {
            if answer.is_none()
                && let Poll::Ready(value) = future.as_mut().poll(waker)
            {
                *answer = Some(value);
            }
        }
        if answers.iter().all(Option::is_some) {
            Poll::Ready(answers.drain(..).flatten().collect())
        } else {
            Poll::Pending
        }
    })
    .await
}
