//! The orders of versions that the session guarantees speak of.
//!
//! Terry et al. (1994) leave it to the system in which order it keeps the writes, and ask only that the servers agree on it.
//! Under that alone a process may write 1, write 2 and read 1: the system had put 1 after 2. Nobody who relies on
//! the guarantee means that. So an order of versions is, for every guarantee here, one in which
//! 1. the initial version of a register comes before its others;
//! 2. of two writes to one register by one process the later comes after the earlier, if the earlier was
//!    acknowledged. One in doubt may take effect late, so nothing need come after it.
//!
//! Versions of different processes may stand in any order: real time between processes is no part of it.

use super::order::Order;
use super::versions::{Act, Version, Versions};
use elenchus_core::process::Process;
use std::collections::HashMap;

/// What adds the demands of a condition.
pub(super) type Demand = fn(&Versions, &mut Order);

/// What every order of versions has to keep, and these demands. They come before own writes, so that where they
/// contradict each other without those, the proof needs none.
pub(super) fn arbitration(versions: &Versions, demands: &[Demand]) -> Order {
    let mut order = Order::new(versions.origins.len());
    for (version, (key, _)) in versions.origins.iter().enumerate() {
        order.put(versions.initial[*key], version, &[]);
    }
    demands.iter().for_each(|demand| demand(versions, &mut order));
    keep_own_writes(versions, &mut order);
    order
}

/// What a process writes to a register comes after what it was told is written there.
fn keep_own_writes(versions: &Versions, order: &mut Order) {
    let mut last: HashMap<(Process, usize), (Version, usize)> = HashMap::new();
    for event in &versions.events {
        let (Act::Wrote(version) | Act::Maybe(version)) = event.act else { continue };
        let at = (event.process, event.key);
        if let Some((before, writer)) = last.get(&at) {
            order.put(*before, version, &[*writer, event.operation]);
        }
        if matches!(event.act, Act::Wrote(_)) {
            last.insert(at, (version, event.operation));
        }
    }
}
