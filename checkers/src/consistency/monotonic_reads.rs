//! Monotonic reads: once a process has seen a version of a register, it sees none older (Terry, Demers,
//! Petersen, Spreitzer, Theimer & Welch, "Session guarantees for weakly consistent replicated data", 1994).
//!
//! Exactly: there is an order of each register's versions, initial ones first and each process's own writes
//! in its order ([`super::arbitration`]), in which the versions that a process reads one after the other never
//! go back (as in Viotti & Vukolić 2016, with one arbitration). Such an order exists if and only if the
//! demands *not after* never lead from a version by another one back to itself. Linear in the history.
//!
//! A system whose order of versions keeps each process's writes is never accused: that order is such an order.
//! One process alone that reads 1, 2, 1 is enough to be accused; so are two that read 1, 2 and 2, 1, and one
//! that reads 2, 1 where another process wrote 1, then 2.

use super::arbitration::arbitration;
use super::order::{Circle, Order};
use super::versions::{Act, Version, Versions};
use super::{RegisterOperation, anomaly, broken, name};
use crate::models::register::Register;
use elenchus_core::budget::Budget;
use elenchus_core::process::Process;
use elenchus_core::verdict::Verdict;
use std::collections::HashMap;

pub(super) const NAME: &str = "monotonic-reads";

/// The verdict on operations given in the order of their calls.
pub fn judge(register: &Register, operations: &[RegisterOperation], _budget: &Budget) -> Verdict {
    let versions = Versions::new(register, operations);
    if let Some(verdict) = versions.unwritten(NAME, register, operations) {
        return verdict;
    }
    match arbitration(&versions, &[constrain]).circle() {
        None => versions.kept(
            NAME,
            "no process saw a register go back, where each process's own writes count in its order",
        ),
        Some(circle) => broken(NAME, tell(register, operations, "non-monotonic-read", &versions, &circle)),
    }
}

/// What a process reads comes not before what it read.
pub(super) fn constrain(versions: &Versions, order: &mut Order) {
    let mut last: HashMap<(Process, usize), (Version, usize)> = HashMap::new();
    for event in &versions.events {
        let Act::Saw(version) = event.act else { continue };
        let now = (version, event.operation);
        if let Some((before, operation)) = last.insert((event.process, event.key), now) {
            order.put(before, version, &[operation, event.operation]);
        }
    }
}

/// The anomaly of a circle.
pub(super) fn tell(
    register: &Register,
    operations: &[RegisterOperation],
    class: &str,
    versions: &Versions,
    circle: &Circle,
) -> elenchus_core::verdict::Anomaly {
    let text = |version: Version| match versions.origins[version].1 {
        Some(writer) => operations[writer].op.sets().map_or_else(String::new, ToString::to_string),
        None => register.initial.to_string(),
    };
    let text = |version: Version| match &operations[versions.first[versions.origins[version].0]].op.key() {
        key if key.is_nil() => text(version),
        key => format!("{} of {key}", text(version)),
    };
    let proof: Vec<usize> = circle.there.iter().chain(&circle.back).copied().collect();
    let guilty = proof.iter().copied().max_by_key(|i| operations[*i].call).unwrap_or(0);
    let names =
        |list: &[usize]| list.iter().map(|i| name(register, &operations[*i])).collect::<Vec<_>>().join(", ");
    let (a, b) = (text(circle.versions.0), text(circle.versions.1));
    let why = |first: &str, second: &str, list: &[usize]| match list.is_empty() {
        true => format!("{first} was there at first"),
        false => format!("{first} comes before {second} ({})", names(list)),
    };
    let sentence = format!("{}, yet {}", why(&a, &b, &circle.there), why(&b, &a, &circle.back));
    anomaly(register, operations, (class, sentence), (&proof, guilty))
}
