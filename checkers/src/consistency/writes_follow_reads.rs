//! Writes follow reads: a write comes after whatever its process had read before it (Terry et al. 1994).
//!
//! Two demands, each exact:
//! 1. There is one order of the versions of all registers, initial ones first and each process's own writes
//!    in its order ([`super::arbitration`]), in which what a process writes comes after everything it has
//!    read (Viotti & Vukolić 2016). It exists if and only if these demands form no circle. Values that two processes pass to each other, each
//!    before the other had it, are one.
//! 2. As seen by clients (jepsen.io/consistency, "writes follow reads"): if a process read *v* of a register
//!    and then wrote *w* to it, no process reads *w* and only afterwards, for the first time, *v*.
//!
//! Linear in the history, but for a factor of the number of processes. The remark in
//! [`super::monotonic_writes`] holds of the second demand: together with monotonic reads (as in causal
//! consistency and stronger) no correct system is accused.

use super::arbitration::arbitration;
use super::monotonic_reads::tell;
use super::order::{Node, Order};
use super::versions::{Act, Version, Versions};
use super::{RegisterOperation, anomaly, broken, name};
use crate::models::register::Register;
use elenchus_core::budget::Budget;
use elenchus_core::process::Process;
use elenchus_core::verdict::{Anomaly, Verdict};
use std::collections::{HashMap, HashSet};

pub(super) const NAME: &str = "writes-follow-reads";

const CLASS: &str = "write-before-read";

/// The verdict on operations given in the order of their calls.
pub fn judge(register: &Register, operations: &[RegisterOperation], _budget: &Budget) -> Verdict {
    let versions = Versions::new(register, operations);
    if let Some(verdict) = versions.unwritten(NAME, register, operations) {
        return verdict;
    }
    let found = own(register, operations, &versions)
        .or_else(|| {
            let circle = arbitration(&versions, &[constrain]).circle()?;
            Some(tell(register, operations, CLASS, &versions, &circle))
        })
        .or_else(|| reversed(register, operations, &versions));
    match found {
        None => versions.kept(NAME, "no write was seen before what its process had read before it"),
        Some(anomaly) => broken(NAME, anomaly),
    }
}

/// What a process writes comes after everything that it has read.
pub(super) fn constrain(versions: &Versions, order: &mut Order) {
    // Of each process: the bundle of all that it has read.
    let mut read: HashMap<Process, Node> = HashMap::new();
    for event in &versions.events {
        match event.act {
            Act::Saw(version) => {
                let bundle = order.bundle();
                order.put(version, bundle, &[event.operation]);
                if let Some(older) = read.insert(event.process, bundle) {
                    order.put(older, bundle, &[]);
                }
            }
            Act::Wrote(version) | Act::Maybe(version) => {
                if let Some(bundle) = read.get(&event.process) {
                    order.put(*bundle, version, &[event.operation]);
                }
            }
        }
    }
}

/// A process that read what it wrote only later.
fn own(register: &Register, operations: &[RegisterOperation], versions: &Versions) -> Option<Anomaly> {
    let (guilty, writer) = own_future(versions, operations)?;
    let sentence = format!(
        "{} saw what the same process wrote only later, by {}",
        name(register, &operations[guilty]),
        name(register, &operations[writer])
    );
    Some(anomaly(register, operations, (CLASS, sentence), (&[writer], guilty)))
}

/// A read and the later write of the same process that it saw.
pub(super) fn own_future(versions: &Versions, operations: &[RegisterOperation]) -> Option<(usize, usize)> {
    versions.events.iter().find_map(|event| {
        let Act::Saw(version) = event.act else { return None };
        let writer = versions.origins[version].1?;
        // A cas reads before it writes.
        let future = operations[writer].process == event.process && writer >= event.operation;
        future.then_some((event.operation, writer))
    })
}

/// A process that saw a write before what its writer had read.
fn reversed(register: &Register, operations: &[RegisterOperation], versions: &Versions) -> Option<Anomaly> {
    // When each process first saw a version.
    let mut first_seen: HashMap<(Process, Version), usize> = HashMap::new();
    for event in &versions.events {
        if let Act::Saw(version) = event.act {
            first_seen.entry((event.process, version)).or_insert(event.operation);
        }
    }
    let mut seen: HashSet<(Process, Version)> = HashSet::new();
    // By reader and key: of each writer, its latest write that the reader has seen, and by which read.
    let mut latest: HashMap<(Process, usize), HashMap<Process, (usize, usize)>> = HashMap::new();
    for event in &versions.events {
        let Act::Saw(version) = event.act else { continue };
        if !seen.insert((event.process, version)) {
            continue;
        }
        let known = latest.entry((event.process, event.key)).or_default();
        for (writer, (write, read)) in known.iter() {
            let Some(before) = first_seen.get(&(*writer, version)).filter(|before| *before <= write) else {
                continue;
            };
            let sentence = format!(
                "process {} saw what {} wrote and only then, for the first time, what that process had read before, by {}",
                event.process,
                name(register, &operations[*write]),
                name(register, &operations[*before])
            );
            let proof = [*before, *write, *read];
            return Some(anomaly(register, operations, (CLASS, sentence), (&proof, event.operation)));
        }
        if let Some(write) = versions.origins[version].1 {
            let mine = known.entry(operations[write].process).or_insert((write, event.operation));
            if write > mine.0 {
                *mine = (write, event.operation);
            }
        }
    }
    None
}
