//! Monotonic writes: all processes see the writes of one process in its order (Terry et al. 1994, as seen by
//! clients).
//!
//! Terry et al. speak of the writes that a *server* holds, which no client sees: a client that moves between
//! servers may see *w₂* and then *w₁*, from a server that lags, though every server applies them in order. So
//! no history of single reads can break their definition, and what is checked is the definition in terms
//! of observations that Jepsen gives (jepsen.io/consistency, "monotonic writes": "if a process performs write w1, then w2,
//! then all processes observe w1 before w2").
//!
//! Exactly: for two writes to one register by one process, the first of which was acknowledged, no process
//! reads the second and only afterwards, for the first time, the first. Linear in the history. Systems that
//! promise it together with monotonic reads (FIFO consistency and stronger) are never accused; of one that
//! promises Terry's alone, this condition asks more. Since every order of versions keeps each process's own writes
//! ([`super::arbitration`]), whatever breaks this condition breaks [`super::monotonic_reads`] as well.

use super::versions::{Act, Version, Versions};
use super::{RegisterOperation, anomaly, broken, name};
use crate::models::register::Register;
use elenchus_core::budget::Budget;
use elenchus_core::process::Process;
use elenchus_core::verdict::Verdict;
use std::collections::{HashMap, HashSet};

pub(super) const NAME: &str = "monotonic-writes";

/// The verdict on operations given in the order of their calls.
pub fn judge(register: &Register, operations: &[RegisterOperation], _budget: &Budget) -> Verdict {
    let versions = Versions::new(register, operations);
    if let Some(verdict) = versions.unwritten(NAME, register, operations) {
        return verdict;
    }
    let Some((earlier, later)) = reversed(&versions, operations) else {
        return versions
            .kept(NAME, "no process saw two writes of one process to one register in the wrong order");
    };
    let (first, second) = (&operations[earlier.writer], &operations[later.writer]);
    let sentence = format!(
        "process {} saw what {} wrote and only then, for the first time, what the same process had written before by {}",
        operations[earlier.reader].process,
        name(register, second),
        name(register, first)
    );
    let proof = [earlier.writer, later.writer, later.reader];
    let words = ("writes-out-of-order", sentence);
    broken(NAME, anomaly(register, operations, words, (&proof, earlier.reader)))
}

/// A write and the first read of it by one process.
#[derive(Clone, Copy)]
struct Sight {
    writer: usize,
    reader: usize,
}

/// Two writes that some process saw in the wrong order: the earlier, then the later.
fn reversed(versions: &Versions, operations: &[RegisterOperation]) -> Option<(Sight, Sight)> {
    let acknowledged: HashSet<Version> = versions
        .events
        .iter()
        .filter_map(|event| if let Act::Wrote(version) = event.act { Some(version) } else { None })
        .collect();
    let mut seen: HashSet<(Process, Version)> = HashSet::new();
    // By reader, key and writer: the latest write that the reader has seen.
    let mut latest: HashMap<(Process, usize, Process), Sight> = HashMap::new();
    for event in &versions.events {
        let Act::Saw(version) = event.act else { continue };
        let Some(writer) = versions.origins[version].1.filter(|_| seen.insert((event.process, version)))
        else {
            continue;
        };
        let sight = Sight { writer, reader: event.operation };
        let known = latest.entry((event.process, event.key, operations[writer].process)).or_insert(sight);
        // Operations stand in the order of their calls, so a process's own are in its order.
        if writer < known.writer && acknowledged.contains(&version) {
            return Some((sight, *known));
        }
        if writer > known.writer {
            *known = sight;
        }
    }
    None
}
