//! Choosing and counting what is shown as evidence.

use elenchus_core::operation::Operation;
use std::time::Duration;

/// The `count` operations nearest to `centre` in the log, in the order of their calls.
pub(crate) fn nearest<'h, O, R>(
    operations: &[&'h Operation<O, R>],
    centre: &Operation<O, R>,
    count: usize,
) -> Vec<&'h Operation<O, R>> {
    let distance = |operation: &Operation<O, R>| {
        let before = centre.call.saturating_sub(operation.done);
        let after = operation.call.saturating_sub(centre.done);
        // Of those that overlap it, the ones called last tell most.
        (before.max(after), centre.call.abs_diff(operation.call))
    };
    let mut near = operations.to_vec();
    if count < near.len() {
        near.select_nth_unstable_by_key(count, |operation| distance(operation));
        near.truncate(count);
    }
    near.sort_by_key(|operation| operation.call);
    near
}

/// `1 key`, `2 keys`.
pub(crate) fn count(n: usize, noun: &str) -> String {
    if n == 1 { format!("1 {noun}") } else { format!("{n} {noun}s") }
}

/// A duration for people: `1.20 s`, `34 ms`, `120 µs`.
pub(crate) fn span(duration: Duration) -> String {
    match duration.as_nanos() {
        0..1_000_000 => format!("{} µs", duration.as_micros()),
        1_000_000..1_000_000_000 => format!("{} ms", duration.as_millis()),
        _ => format!("{:.2} s", duration.as_secs_f64()),
    }
}
