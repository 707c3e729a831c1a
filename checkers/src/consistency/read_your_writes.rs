//! Read your writes: a process that wrote a version of a register sees that one or a newer one
//! (Terry et al. 1994).
//!
//! Exactly: there is an order of each register's versions, initial ones first and each process's own writes
//! in its order ([`super::arbitration`]), in which what a process reads never comes before what it wrote
//! earlier and was told is written. After its writes 1 and 2 a process may see 2, or what another process wrote, if
//! that is not certainly older, but never 1. Such an order exists if and only if the demands *not after* never
//! lead from a version by another one back to itself. Linear in the history: a read is compared with the last own
//! write alone, for the others come before that.
//!
//! A system whose order of versions keeps each process's writes is never accused: that order is such an order.
//! A write in doubt is not counted, for it may take effect later.

use super::arbitration::arbitration;
use super::monotonic_reads::tell;
use super::order::Order;
use super::versions::{Act, Version, Versions};
use super::{RegisterOperation, broken};
use crate::models::register::Register;
use elenchus_core::budget::Budget;
use elenchus_core::process::Process;
use elenchus_core::verdict::Verdict;
use std::collections::HashMap;

pub(super) const NAME: &str = "read-your-writes";

/// The verdict on operations given in the order of their calls.
pub fn judge(register: &Register, operations: &[RegisterOperation], _budget: &Budget) -> Verdict {
    let versions = Versions::new(register, operations);
    if let Some(verdict) = versions.unwritten(NAME, register, operations) {
        return verdict;
    }
    match arbitration(&versions, &[constrain]).circle() {
        None => versions.kept(NAME, "every process saw the last of its own writes or newer ones"),
        Some(circle) => broken(NAME, tell(register, operations, "own-write-unseen", &versions, &circle)),
    }
}

/// What a process reads comes not before what it wrote last.
pub(super) fn constrain(versions: &Versions, order: &mut Order) {
    let mut own: HashMap<(Process, usize), (Version, usize)> = HashMap::new();
    for event in &versions.events {
        let at = (event.process, event.key);
        match event.act {
            Act::Maybe(_) => {}
            Act::Wrote(version) => {
                own.insert(at, (version, event.operation));
            }
            Act::Saw(version) => {
                let Some((last, writer)) = own.get(&at) else { continue };
                order.put(*last, version, &[*writer, event.operation]);
            }
        }
    }
}
