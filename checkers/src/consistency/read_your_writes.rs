//! Read your writes: a process that wrote a version of a register sees that one or a newer one
//! (Terry et al. 1994).
//!
//! Exactly: there is an order of each register's versions, the initial one first, in which what a process
//! reads never comes before what it wrote earlier and was told is written. Such an order exists if and only
//! if these demands (*w* not after *v*, for every write *w* of a process before its read of *v*) never lead from
//! a version by another one back to itself. Linear in the history: the earlier writes of a process are
//! bundled.
//!
//! A correct system is never accused: its own order of versions is such an order. A write in doubt is not
//! counted, for it may take effect later.

use super::monotonic_reads::{initial_first, tell};
use super::order::{Node, Order};
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
    let mut order = Order::new(versions.origins.len());
    initial_first(&versions, &mut order);
    constrain(&versions, &mut order);
    match order.circle() {
        None => versions.kept(NAME, "every process saw its own writes or newer ones"),
        Some(circle) => broken(NAME, tell(register, operations, "own-write-unseen", &versions, &circle)),
    }
}

/// What a process reads comes not before what it wrote.
pub(super) fn constrain(versions: &Versions, order: &mut Order) {
    // Of each process and key: the bundle of its writes, the last of them, and who wrote that.
    let mut own: HashMap<(Process, usize), (Option<Node>, Version, usize)> = HashMap::new();
    for event in &versions.events {
        let at = (event.process, event.key);
        match event.act {
            Act::Maybe(_) => {}
            Act::Wrote(version) => {
                // The write before joins the bundle: the last one stays apart, so that a read of it
                // says only that the others come not after it.
                let bundle = own.get(&at).map(|(older, last, writer)| {
                    let bundle = order.bundle();
                    order.put(*last, bundle, &[*writer]);
                    older.inspect(|older| order.put(*older, bundle, &[]));
                    bundle
                });
                own.insert(at, (bundle, version, event.operation));
            }
            Act::Saw(version) => {
                let Some((bundle, last, writer)) = own.get(&at) else { continue };
                bundle.inspect(|bundle| order.put(*bundle, version, &[event.operation]));
                order.put(*last, version, &[*writer, event.operation]);
            }
        }
    }
}
