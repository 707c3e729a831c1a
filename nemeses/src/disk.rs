//! Disks that ail: slow to sync, full, or failing. Healing cures them, and starts whoever died of it.

use crate::Shade;
use crate::ledger::Effect;
use crate::partition::thousands;
use crate::target::{self, Reach};
use elenchus_core::fault::{Ailment, Fault};
use elenchus_core::process::NodeId;
use elenchus_core::random::Rng;

/// How plots shade it.
pub const SHADE: Shade = Shade { color: "#E9C3A0", label: "disk" };

/// Draws an ailment of this reach.
pub fn draw(rng: &mut Rng, nodes: &[NodeId], reach: Reach) -> Fault {
    let ailment = match rng.below(3) {
        0 => Ailment::SlowSync { ms: rng.between(20, 500) },
        1 => Ailment::Full,
        _ => Ailment::Failing,
    };
    Fault::Disk { nodes: target::draw(rng, nodes, reach), ailment }
}

/// An ailment for people.
pub fn describe(ailment: Ailment) -> String {
    match ailment {
        Ailment::SlowSync { ms } => format!("each sync takes {ms} ms longer"),
        Ailment::Full => "full (ENOSPC)".into(),
        Ailment::Failing => "failing (EIO)".into(),
    }
}

/// What shows that it struck.
pub(crate) fn injected(ailment: Ailment, effects: &[(NodeId, Effect)]) -> String {
    let nodes = target::names(effects.iter().map(|(node, _)| node));
    format!("{nodes}: {}; how many calls it met is known when it heals", describe(ailment))
}

/// What shows that it is undone.
pub(crate) fn healed(effects: &[(NodeId, Effect)]) -> String {
    let part = |(node, effect): &(NodeId, Effect)| match effect.count {
        0 => format!("{node}: no call met it"),
        1 => format!("{node}: 1 call met it"),
        count => format!("{node}: {} calls met it", thousands(count)),
    };
    effects.iter().map(part).collect::<Vec<_>>().join("; ")
}
