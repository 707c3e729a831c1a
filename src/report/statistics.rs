//! How many operations of which kind ended how, and how long they took: one row per function and per node.

use crate::report::operations::{Op, Outcome};
use crate::report::series::{QUANTILES, quantile};

/// The operations of one function, of one node, or all.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Whose.
    pub name: String,
    /// How many were invoked.
    pub count: u64,
    /// How many ended ok, fail, info, and never ended.
    pub ended: [u64; 4],
    /// Latency of those that ended ok, in nanoseconds: median, 95 %, 99 %, slowest.
    pub latency: Option<[u64; 4]>,
}

/// Rows for the groups that `group` gives, in this order of names; operations without group count nowhere.
pub fn rows(operations: &[Op], names: &[String], group: impl Fn(&Op) -> Option<usize>) -> Vec<Row> {
    let mut rows: Vec<Row> =
        names.iter().map(|name| Row { name: name.clone(), count: 0, ended: [0; 4], latency: None }).collect();
    let mut took: Vec<Vec<u64>> = vec![Vec::new(); names.len()];
    for op in operations {
        let Some(at) = group(op).filter(|&at| at < rows.len()) else { continue };
        rows[at].count += 1;
        rows[at].ended[op.outcome as usize] += 1;
        if op.outcome == Outcome::Ok {
            took[at].extend(op.took());
        }
    }
    for (row, mut took) in rows.iter_mut().zip(took) {
        took.sort_unstable();
        row.latency = (!took.is_empty()).then(|| QUANTILES.map(|q| quantile(&took, q)));
    }
    rows
}
